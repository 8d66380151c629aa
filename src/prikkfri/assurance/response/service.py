"""Incident response at work: from outcomes to incidents, the list of those hit, and what is done about them.

Theory of operation. Outcomes come from the followers; every second `watching` counts what is settled and steps the
detection of every series. An alarm opens an incident or joins one. Each open incident is looked at every few seconds,
from the stored outcomes themselves: where it is, who was hit, whether it is over. The look is taken in another thread,
on the incident as it was; what has happened to it meanwhile goes before. All of it is stored, so that a
restart goes on. What is known of all series is kept now and then, and after each alarm: a restart counts on from there,
from the stored outcomes, and takes the alarms that no incident knows.
"""

import asyncio
import logging
import math
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import partial
from typing import TypeVar

from prikkfri.assurance import incidents, recovery, status, telling, watching
from prikkfri.assurance.answers import Answer, IncidentFacts, answer_sheet
from prikkfri.assurance.detection import SECONDS_PER_YEAR, Alarm
from prikkfri.assurance.detection import Settings as Detection
from prikkfri.assurance.impact import (
    ROUTE,
    ExposedMessage,
    Hit,
    Holder,
    Impact,
    ListChange,
    Scope,
    devices_of,
    exposure,
    holder_of,
    misdelivery_scopes,
    proven,
)
from prikkfri.assurance.incidents import Fact, Incident
from prikkfri.assurance.notices import notices
from prikkfri.assurance.post_incident.service import RULE, PostIncidentWork, is_proven, record_credits
from prikkfri.assurance.programmes import Programmes
from prikkfri.assurance.recovery import Recovery
from prikkfri.assurance.remedies import Policy, ServiceCredit, Tier, Trial, in_doubt, night, trial
from prikkfri.assurance.response import assessing, evaluation, store
from prikkfri.assurance.response.store import Contact, CreditRecord, ListSummary
from prikkfri.assurance.response.timing import TIMING, Timing
from prikkfri.assurance.status import Statement, statements
from prikkfri.assurance.store import StoredOutcome, outcomes_in
from prikkfri.assurance.tally import ANSWERED_KEPT_SECONDS, EXPECTATIONS
from prikkfri.clock import Clock
from prikkfri.config import Assurance as Settings
from prikkfri.config import Remedy
from prikkfri.errors import StorageError, UsageError
from prikkfri.journal import Outcome
from prikkfri.protocols.money import Language
from prikkfri.storage import Database, Transaction

log = logging.getLogger("prikkfri.assurance")
T = TypeVar("T")

HISTORY_MAX = 200
CONTACT_PERIOD_SECONDS = 60.0
SAME_SECONDS = 10.0
"""Counted again after a restart, an alarm is raised at the same moment, but for what came late the first time."""


@dataclass(frozen=True)
class Surroundings:
    """What response knows of the rest of the house, by asking."""

    blind: Callable[[], frozenset[str]]
    """The streams that cannot be read just now."""
    silent: Callable[[], frozenset[str]]
    """The roles that do not answer just now."""
    incomplete: Callable[[], str]
    """Why a list may lack somebody; empty when it does not."""
    capacity_per_second: Callable[[str, float, float], tuple[float, float] | None]
    """What a service was measured to take, and when, for a fault that began and was opened then; None: not known."""
    products: Callable[[Sequence[str], float], Awaitable[Mapping[str, str]]]
    """Each customer's product at a time."""
    tell: Callable[[str, Mapping[Language, str]], Awaitable[str | None]]
    """Sends a customer a text message in their language; returns its id, empty when it was not accepted, None when
    nobody knows."""
    changed: Callable[[], None]
    """An incident has changed: tell the public."""
    programmes: Callable[[], Programmes] = dict
    """What is on, as playout last told."""


@dataclass(frozen=True)
class CustomerIncident:
    """An incident as one customer met it."""

    incident: Incident
    asked_at: float
    got_at: float | None
    """When they got it after all."""
    amount: int
    """Of their service credit, in the smallest unit; 0: none was given (yet)."""
    currency: str


class Response:
    def __init__(
        self,
        database: Database,
        *,
        settings: Settings,
        surroundings: Surroundings,
        clock: Clock,
        zone: tzinfo,
        timing: Timing = TIMING,
    ) -> None:
        self._database = database
        self._settings = settings
        self._around = surroundings
        self._clock = clock
        self._zone = zone
        self._timing = timing
        self._detection = Detection(
            warm_up_buckets=max(int(settings.warm_up_seconds), 1),
            # More than once a second is no alarm any more, and never would need an infinite threshold.
            false_alarms_per_year=min(max(settings.false_alarms_per_year, 1e-300), SECONDS_PER_YEAR),
        )
        self._criteria = recovery.Criteria(hold_seconds=settings.hold_seconds)
        self._expectations = dict(EXPECTATIONS)
        for step, seconds in (
            (("television", "enter"), settings.line_grace_seconds),
            (("television", "sign-in"), settings.sign_in_grace_seconds),
            (("messages", "deliver"), settings.delivery_grace_seconds),
        ):
            self._expectations[step] = replace(self._expectations[step], grace_seconds=seconds)
        self._arrived: list[watching.Arrival] = []
        self._raised: list[Alarm] = []
        """Alarms that stand in no incident yet: the database may fail by the very fault that raised them."""
        self._watch = watching.Watch(clock.now() - self._timing.settling_seconds)
        self._watch_kept_at = clock.now()
        self._incidents: dict[str, Incident] = {}
        self._earlier: dict[str, Incident] = {}
        """Those of which nothing more is to be known than that what they were about was not usual."""
        """Those that are open, and those resolved lately."""
        self._recoveries: dict[str, Recovery] = {}
        self._lists: dict[str, Mapping[str, Hit]] = {}
        """Who stands on each incident's list in the database, by person; without one that is not known."""
        self._acting = asyncio.Lock()
        self._erasures = 0
        """Customers erased since the start: a look that began before one would write their names again."""
        self._afterwards = PostIncidentWork(
            database,
            settings=settings,
            clock=clock,
            timing=timing,
            expectations=self._expectations,
            acting=self._acting,
            outcomes=self._outcomes,
            trial=self._trial_of,
            written=self._written,
            erasures=lambda: self._erasures,
        )
        self._to_tell: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        """Incidents of which those credited are to be told, and the person who said so."""

    # What comes in.

    def arrived(self, stream: str, outcomes: Sequence[Outcome]) -> None:
        """Takes outcomes that have been stored."""
        self._arrived += [(stream, outcome) for outcome in outcomes]

    async def run(self) -> None:
        """Works until cancelled."""
        await self.recover()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_watch(), name="watch")
            tasks.create_task(self._keep_looking(), name="look at incidents")
            tasks.create_task(self._keep_telling(), name="tell those credited")

    async def _keep_watch(self) -> None:
        while True:
            try:
                await self.tick()
            except StorageError as error:
                log.warning("incident response waits for its database: %s", error)
            await asyncio.sleep(self._timing.tick_seconds)

    async def _keep_looking(self) -> None:
        while True:
            began = self._clock.monotonic()
            try:
                await self.look()
            except StorageError as error:
                log.warning("incident response waits for its database: %s", error)
            cost = self._clock.monotonic() - began
            await asyncio.sleep(max(self._timing.look_seconds, cost / self._timing.looking_share_max - cost))

    async def recover(self) -> None:
        """Goes on where an earlier run has stopped: open incidents, and levels learned from the last half hour."""
        now = self._clock.now()
        self._arrived.clear()  # stored, and so read below
        for incident in await self._database.read(lambda q: store.incidents(q, most=HISTORY_MAX)):
            known = self._incidents if self._worth_remembering(incident, now) else self._earlier
            known[incident.id] = incident
        self._forget_earlier(now)
        kept = await self._database.read(store.watch)
        if kept is not None and now - kept[0] < self._timing.relearn_seconds:
            await self._count_on(*kept, now)
        else:
            await self._relearn(now)

    async def _count_on(self, counted_to: float, document: str, now: float) -> None:
        """As if there had been no restart: from what was kept, and from the outcomes since then."""
        remembered = max(each.grace_seconds for each in self._expectations.values()) + ANSWERED_KEPT_SECONDS
        before = [("", outcome) for outcome in await self._outcomes(counted_to - remembered, counted_to)]
        since = await self._outcomes(counted_to, now + watching.AHEAD_SECONDS_MAX)
        self._watch = watching.restored(
            document, before, counted_to=counted_to, settings=self._detection, expectations=self._expectations
        )
        self._watch, alarms = self._replayed(since, now)
        told = [alarm for outcome in since if (alarm := assessing.sign(outcome))]
        self._raised += [alarm for alarm in (*told, *alarms) if not self._is_known(alarm, within_seconds=SAME_SECONDS)]

    async def _relearn(self, now: float) -> None:
        past = await self._outcomes(now - self._timing.relearn_seconds, now + watching.AHEAD_SECONDS_MAX)
        if past:
            self._watch = watching.Watch(math.floor(past[0].time))
            self._watch, _ = self._replayed(past, now)
            # What was raised then has been dealt with then, unless it stands and no incident is about it.
            standing = self._watch.standing
            self._raised += [alarm for alarm in standing if not self._is_known(alarm, within_seconds=math.inf)]

    def _replayed(self, past: Sequence[Outcome], now: float) -> tuple[watching.Watch, tuple[Alarm, ...]]:
        """Counts what is stored. What has been handed on while it was read is in it."""
        if self._arrived:
            read = Counter(_told(outcome) for outcome in past)
            self._arrived = [each for each in self._arrived if read[_told(each[1])] <= 0]
        # All of that time has been seen, whatever is blind now: what ran out in it would else run out later, all at
        # once.
        last = past[-1].time if past else 0.0
        until = max(self._watch.counted_to, min(now, last) - self._timing.settling_seconds)
        return self._advance([("", outcome) for outcome in past], until=until, blind=frozenset())

    def _is_known(self, alarm: Alarm, *, within_seconds: float) -> bool:
        return any(incidents.knows(each, alarm, within_seconds=within_seconds) for each in self._incidents.values())

    async def tick(self) -> None:
        """Counts what has settled, and takes the alarms that this raises. Raises `StorageError`."""
        now = self._clock.now()
        arrived, self._arrived = self._arrived, []
        until = now - self._timing.settling_seconds
        self._watch, alarms = self._advance(arrived, until=until, blind=self._around.blind())
        told = [alarm for _, outcome in arrived if (alarm := assessing.sign(outcome))]
        self._raised += (*told, *alarms)
        async with self._acting:
            taken = bool(self._raised)
            while self._raised:
                await self._take_alarm(self._raised[0], now)
                del self._raised[0]
            if taken or now - self._watch_kept_at >= self._timing.watch_kept_every_seconds:
                await self._keep(now)
            for incident in list(self._incidents.values()):
                await self._save(incidents.confirm_silence(incident, self._around.silent(), now))

    async def _keep(self, now: float) -> None:
        """Keeps the watch; what it has raised stands in incidents."""
        counted_to, document = self._watch.counted_to, watching.kept(self._watch)
        await self._database.write(lambda t: store.save_watch(t, counted_to, document))
        self._watch_kept_at = now

    async def look(self) -> None:
        """Looks at every incident that is open, or was resolved lately. Raises `StorageError`."""
        for incident in list(self._incidents.values()):
            now = self._clock.now()
            if self._worth_looking_at(incident, now):
                await self._look_at(incident)
            elif not self._worth_remembering(incident, now):
                self._earlier[incident.id] = self._incidents.pop(incident.id)
                self._lists.pop(incident.id, None)
        self._forget_earlier(self._clock.now())
        looked_at = {each.id for each in self._incidents.values() if self._worth_looking_at(each, self._clock.now())}
        await self._afterwards.go_on(looked_at)

    def _worth_looking_at(self, incident: Incident, now: float) -> bool:
        after_seconds = self._timing.after_seconds
        return incident.open or (incident.resolved_at is not None and now - incident.resolved_at < after_seconds)

    def _worth_remembering(self, incident: Incident, now: float) -> bool:
        """What a person dismissed is not looked at for so long, and yet known when it is seen again."""
        lately = incident.resolved_at is not None and now - incident.resolved_at < incidents.DISMISSED_SECONDS
        return self._worth_looking_at(incident, now) or (incident.dismissed and lately)

    def _forget_earlier(self, now: float) -> None:
        """Those that had ended before what is usual for any incident of today."""
        since = min((each.since for each in self._incidents.values()), default=now) - evaluation.BEFORE_SECONDS
        for incident in list(self._earlier.values()):
            if (incident.ended_at or incident.resolved_at or incident.since) < since:
                del self._earlier[incident.id]

    def _advance(
        self, arrived: Sequence[watching.Arrival], *, until: float, blind: frozenset[str]
    ) -> tuple[watching.Watch, tuple[Alarm, ...]]:
        return watching.advance(
            self._watch,
            arrived,
            self._detection,
            until=until,
            blind=blind,
            expectations=self._expectations,
        )

    async def _outcomes(self, since: float, until: float, *, service: str = "", step: str = "") -> list[Outcome]:
        """In the order of time; read in parts, so that many hold nobody up."""
        found: list[Outcome] = []
        last: StoredOutcome | None = None
        most = self._timing.outcomes_at_once_max
        while True:
            part = await self._database.read(
                lambda q, last=last: outcomes_in(
                    q, since=since, until=until, service=service, step=step, after=last, most=most
                )  # type: ignore[misc]
            )
            found += [taken.outcome for taken in part]
            if len(part) < most:
                return found
            last = part[-1]
            await asyncio.sleep(0)

    # Incidents.

    async def _take_alarm(self, alarm: Alarm, now: float) -> None:
        log.warning("alarm: %s", alarm.sentence)
        within_seconds = incidents.JOIN_HOLDS * self._settings.hold_seconds
        for incident in self._incidents.values():
            if incidents.stays_dismissed(incident, alarm, within_seconds=within_seconds):
                text = f"as dismissed, and neither new nor worse: {alarm.sentence}"
                await self._save(incidents.apply_fact(incident, Fact("note", now, text=text)))
                return
        for incident in self._incidents.values():
            if incidents.joins(incident, alarm, within_seconds=within_seconds):
                await self._save(incidents.record_alarm(incident, alarm, now))
                return
        moment = datetime.fromtimestamp(now, self._zone)
        await self._save(incidents.open_incident(f"{moment:%Y%m%d-%H%M}-{secrets.token_hex(2)}", alarm, now))

    async def _save(self, incident: Incident) -> None:
        known = self._incidents.get(incident.id)
        if known == incident:
            return
        await self._database.write(lambda t: store.save_incident(t, incident))
        self._incidents[incident.id] = incident
        if known is None or known.state != incident.state or len(known.timeline) != len(incident.timeline):
            log.warning(
                "incident %s is %s: %s", incident.id, incidents.displayed_state(incident), incident.timeline[-1].text
            )
            self._around.changed()

    async def _look_at(self, incident: Incident) -> None:
        """Where it is, who was hit, whether it is over: from the outcomes themselves."""
        now, erasures = self._clock.now(), self._erasures
        earlier = incident.since - evaluation.BEFORE_SECONDS
        outcomes = await self._outcomes(earlier, now + 1, service=incident.service)
        grounds = evaluation.EvaluationContext(
            standing=self._watch.standing,
            blind=bool(self._around.blind()),
            contacts=await self._contacts(incident),
            holder=await self._holder(outcomes),
            expectations=self._expectations,
            criteria=self._criteria,
            programmes=self._around.programmes(),
            others=incidents.of_others(incident, self._incidents.values()),
            earlier=incidents.earlier_faults(incident, (*self._incidents.values(), *self._earlier.values())),
            capacity=self._around.capacity_per_second(incident.service, incident.since, incident.opened_at),
        )
        seen = await asyncio.to_thread(evaluation.evaluate, incident, outcomes, grounds, now=now)
        async with self._acting:
            if self._incidents.get(incident.id) != incident or self._erasures != erasures:
                return  # something has happened to it meanwhile: the next look sees that, too
            self._recoveries[incident.id] = seen.recovery
            given: list[ServiceCredit] = []
            after, changed = seen.incident, await self._list(seen, now)
            if changed and status.is_public(after) and is_proven(after):
                # Before it is saved as over: after a crash in between it is looked at again, and nobody is forgotten.
                given = await self._give_by_rule(after, seen.impact)
            after = record_credits(after, given, RULE, now)
            if changed and not after.open:
                had = [each.credit for each in await self.credits(after.id)]
                doubted = await asyncio.to_thread(in_doubt, had, seen.impact.hits)
                after = incidents.record_doubts(after, len(doubted), now)
            await self._save(after)
        after = self._incidents[incident.id]
        sheet = await self.answers(await self._known(after, seen.impact, await self._exposed(after, outcomes)))
        await self._database.write(lambda t: store.save_answers(t, incident.id, sheet))

    async def _contacts(self, incident: Incident) -> list[tuple[float, float]] | None:
        since = incident.since - evaluation.BEFORE_SECONDS
        found = await self._database.read(
            lambda q: store.contact_counts(q, incident.service, since=since, period_seconds=CONTACT_PERIOD_SECONDS)
        )
        if not found:
            return None
        running = since + (self._clock.now() - since) // CONTACT_PERIOD_SECONDS * CONTACT_PERIOD_SECONDS
        last, counts = running - CONTACT_PERIOD_SECONDS, dict(found)
        # A minute in which nobody rang is a minute with none; of the one that runs, only that it is worse is known.
        whole = [*(each for each in found if each[0] < last), (last, counts.get(last, 0.0))]
        worse = counts.get(running, 0.0)
        return [*whole, (running, worse)] if worse > whole[-1][1] else whole

    # The list.

    async def _list(self, seen: evaluation.Evaluation, now: float) -> bool:
        """Stores the list of those hit when it has changed; says whether it has."""
        identifier, known = seen.incident.id, self._lists.get(seen.incident.id)
        stored = known if known is not None else {hit.key: hit for hit in await self.hits(identifier)}
        change = await asyncio.to_thread(ListChange.between, stored, seen.impact.hits)
        if known is not None and not change and not seen.just_resolved:
            return False
        incomplete = self._around.incomplete()

        async def work(transaction: Transaction) -> None:
            await store.save_impact(transaction, identifier, seen.impact, incomplete, now, change=change)
            if seen.just_resolved:
                await store.freeze_impact(transaction, identifier, now)

        self._lists.pop(identifier, None)  # should the write fail, nobody knows what is stored
        await self._database.write(work)
        self._lists[identifier] = change.by_person
        return True

    async def _holder(self, outcomes: Sequence[Outcome]) -> Holder:
        devices = await asyncio.to_thread(devices_of, outcomes)
        return await asyncio.to_thread(holder_of, await self._database.read(lambda q: store.holders_of(q, devices)))

    # What comes when nobody looks any more.

    async def _trial_of(self, incident: Incident, made: Impact) -> Trial | None:
        return await self._trial(incident, made, await self.credits(incident.id))

    async def _written(self, identifier: str, incident: Incident | None) -> None:
        """An incident's list is not what the last look wrote; `incident`: as it is now, when that was written, too."""
        self._lists.pop(identifier, None)
        if incident is not None and identifier in self._incidents:
            self._incidents[identifier] = incident
        if incident is not None and (known := await self.known(identifier)) is not None:
            sheet = await self.answers(known)
            await self._database.write(lambda t: store.save_answers(t, identifier, sheet))
            self._around.changed()

    # What others ask.

    async def incidents(self, *, most: int = 100) -> list[Incident]:
        """The newest first."""
        return await self._database.read(lambda q: store.incidents(q, most=most))

    @property
    def open_incidents(self) -> list[Incident]:
        """The newest first, from memory."""
        found = [incident for incident in self._incidents.values() if incident.open]
        return sorted(found, key=lambda incident: incident.opened_at, reverse=True)

    async def listed(self, identifier: str) -> ListSummary | None:
        """The figures of the list of those hit; None before it was made."""
        return await self._database.read(lambda q: store.listed(q, identifier))

    async def incident(self, identifier: str) -> Incident | None:
        """An incident by itself; None when there is no such."""
        return await self._database.read(lambda q: store.incident(q, identifier))

    def proven_over(self, identifier: str) -> bool:
        """Whether the last look has found that the data proves an incident to be over."""
        recovery = self._recoveries.get(identifier)
        return recovery is not None and recovery.over

    async def exposed(self, incident: Incident) -> Sequence[ExposedMessage] | None:
        """The messages that an incident exposed to strangers; None when nothing tells whether it did."""
        if incident.service != "messages":
            return ()
        now = self._clock.now()
        outcomes = await self._outcomes(incident.since, evaluation.until(incident, now), service=incident.service)
        return await self._exposed(incident, outcomes)

    async def known(self, identifier: str) -> IncidentFacts | None:
        """All that is known of an incident; None when there is no such."""
        incident = await self.incident(identifier)
        if incident is None:
            return None
        listed = await self._database.snapshot(lambda q: store.impact_of(q, incident))
        return await self._known(incident, listed[0] if listed else None, await self.exposed(incident))

    async def _known(
        self, incident: Incident, made: Impact | None, exposed: Sequence[ExposedMessage] | None
    ) -> IncidentFacts:
        listed = await self.listed(incident.id)
        given = await self.credits(incident.id)
        history = await self._database.read(lambda q: store.incidents(q, most=HISTORY_MAX))
        try:
            remedy = await self._trial(incident, made, given) if made else None
        except StorageError as error:  # of another role's area: who has which product is not known, the rest is
            log.warning("incident %s: what those hit get is not known now: %s", incident.id, error)
            remedy = None
        return IncidentFacts(
            incident=incident,
            impact=made,
            incomplete=listed.incomplete if listed else "",
            load=incident.load,
            exposed=exposed,
            notices=notices(incident, exposed or (), hit=made.seen if made else None),
            recovery=self._recoveries.get(incident.id),
            history=incidents.recurrences(incident, history),
            remedy=remedy,
            credited=len(given),
            told=sum(bool(each.told_message) for each in given),
        )

    async def told(self) -> Sequence[Statement]:
        """What the public is told."""
        now = self._clock.now()
        return statements(await self.incidents(most=HISTORY_MAX), now=now, zone=self._zone)

    async def answers(self, known: IncidentFacts) -> tuple[Answer, ...]:
        return answer_sheet(known, now=self._clock.now(), zone=self._zone)

    async def hits(self, identifier: str) -> list[Hit]:
        return await self._database.snapshot(lambda q: store.hits_of(q, identifier))

    async def first_hits(self, identifier: str, *, most: int) -> tuple[list[Hit], int]:
        """The first of those hit, and how many there are."""
        return await self._database.read(lambda q: store.first_hits(q, identifier, most=most))

    async def credits(self, identifier: str) -> list[CreditRecord]:
        return await self._database.read(lambda q: store.credits_of(q, identifier))

    async def was_hit(self, customer: str) -> list[CustomerIncident]:
        """The incidents in which a customer was hit and of which one may be told, the newest first."""
        found = []
        for hit in await self._database.read(lambda q: store.incidents_that_hit(q, customer)):
            incident = await self._database.read(lambda q, hit=hit: store.incident(q, hit.incident))  # type: ignore[misc]
            if incident is not None and status.is_public(incident):
                found.append(CustomerIncident(incident, hit.asked_at, hit.got_at, hit.amount, hit.currency))
        return found

    async def add_contacts(self, contacts: Sequence[Contact]) -> int:
        """Takes in contacts with customer service; returns how many were new."""
        return await self._database.write(lambda t: store.add_contacts(t, contacts))

    async def without(self, erase: Callable[[], Awaitable[T]], touched: Callable[[T], Sequence[str]]) -> T:
        """Erases somebody while nobody makes a list; of those `touched` it is not known any more who is on them."""
        async with self._acting:
            self._erasures += 1
            done = await erase()
            for identifier in touched(done):
                self._lists.pop(identifier, None)
            return done

    # What people do.

    async def act(self, identifier: str, fact: Fact) -> Incident:
        """Something that a person or another role did. Raises `UsageError` when there is no such incident."""
        async with self._acting:
            incident = self._incidents.get(identifier) or await self._database.read(
                lambda q: store.incident(q, identifier)
            )
            if incident is None:
                raise UsageError(f"there is no incident {identifier}")
            incident = incidents.apply_fact(incident, fact)
            await self._save(incident)
            return incident

    async def release(self, identifier: str, *, by: str) -> int:
        """Gives the credits that wait for a person; returns how many were given."""
        incident = await self._database.read(lambda q: store.incident(q, identifier))
        if incident is None:
            raise UsageError(f"there is no incident {identifier}")
        async with self._acting:
            listed = await self._database.snapshot(lambda q: store.impact_of(q, incident))
            given = await self._give(incident, listed[0], by=by, by_person=True) if listed else []
            if given:
                await self._save(
                    record_credits(self._incidents.get(identifier, incident), given, by, self._clock.now())
                )
            return len(given)

    async def tell(self, identifier: str, *, by: str) -> int:
        """Has those credited told by a text message; returns how many are still to be told.

        They are told one after the other while people work on; after a restart somebody has to say so again.
        """
        untold = sum(not given.told_at for given in await self.credits(identifier))
        if untold:
            self._to_tell.put_nowait((identifier, by))
        return untold

    async def _keep_telling(self) -> None:
        while True:
            try:
                await self.tell_next()
            except StorageError as error:
                log.error("those hit were not all told: %s", error)

    async def tell_next(self) -> None:
        """Waits until somebody has those credited told, and tells them, each once. Raises `StorageError`.

        Whoever could not be told is told when somebody says so again; so are those after one of whom nobody knows
        whether they were told: whatever does not answer now would leave the next in doubt as well.
        """
        identifier, by = await self._to_tell.get()
        untold = [given.credit for given in await self.credits(identifier) if not given.told_at]
        told = failed = 0
        rest = ""
        for credit in untold:
            message = await self._tell(credit)
            if message is None:
                rest = f"; of one nobody knows, and {len(untold) - told - failed - 1} wait"
                break
            told, failed = told + bool(message), failed + (not message)
        if untold:
            rest = (f"; {failed} could not be" if failed else "") + rest
            text = f"{told} customers were told by SMS{rest}"
            await self.act(identifier, Fact("told", self._clock.now(), by, text))

    async def _tell(self, credit: ServiceCredit) -> str | None:
        """The id of the message, empty when the customer could not be told, None when nobody knows."""
        now = self._clock.now()

        async def mark(message: str, at: float) -> None:
            await self._database.write(lambda t: store.mark_notified(t, credit.key, message, at))

        # Marked before it is sent: after a crash in between, one is not told rather than told twice.
        await mark("", now)
        texts = {each: telling.of_credit(credit.amount, credit.currency, each) for each in telling.LANGUAGES}
        try:
            message = await self._around.tell(credit.customer, texts)
        except StorageError as error:
            log.error("a customer could not be told: %s", error)
            message = ""
        if message is not None:
            await mark(message, now if message else 0.0)
        return message

    # Remedies.

    def _policy(self, service: str) -> Policy | None:
        remedy = next((each for each in self._settings.remedies if each.service == service), None)
        return _policy(remedy) if remedy else None

    async def _trial(
        self, incident: Incident, made: Impact, given: Sequence[CreditRecord], *, released: bool = False
    ) -> Trial | None:
        policy = self._policy(incident.service)
        if policy is None:
            return None
        customers = [hit.customer for hit in made.hits if hit.customer]
        products = await self._around.products(customers, incident.since)
        ended_at = incident.ended_at or self._clock.now()
        since, until = night(incident.opened_at, self._zone)
        that_night = await self._database.read(
            partial(store.credited_amounts, since=since, until=until, currency=policy.currency, but=incident.id)
        )
        return await asyncio.to_thread(
            trial,
            policy,
            made.hits,
            incident=incident.id,
            ended_at=ended_at,
            products=products,
            reported_released=released,
            given=[each.credit for each in given],
            that_night=that_night,
        )

    async def _give_by_rule(self, incident: Incident, made: Impact) -> list[ServiceCredit]:
        try:
            return await self._give(incident, made, by=RULE, by_person=False)
        except StorageError as error:
            log.error("incident %s: its credits are not given yet: %s", incident.id, error)
            self._lists.pop(incident.id, None)  # so that the next look lists anew, and gives
            return []

    async def _give(self, incident: Incident, made: Impact, *, by: str, by_person: bool) -> list[ServiceCredit]:
        """Gives what has not been given; a person's word goes above the cap of the whole and for what was reported."""
        tried = await self._trial(incident, made, await self.credits(incident.id), released=by_person)
        if tried is None or not tried.credits or (tried.over_cap and not by_person):
            return []
        now = self._clock.now()
        return await self._database.write(lambda t: store.give_credits(t, tried.credits, given_by=by, now=now))

    # What else is known.

    async def _exposed(self, incident: Incident, outcomes: Sequence[Outcome]) -> Sequence[ExposedMessage] | None:
        if incident.service != "messages":
            return ()
        scope = Scope(incident.segments, incident.since, evaluation.until(incident, self._clock.now()))
        earlier = incident.since - self._timing.exposed_before_seconds
        within = [outcome for outcome in outcomes if scope.since <= outcome.time < scope.until]
        # Whether any went astray only canaries say, and they are few; who went that way is asked when some did.
        flown = await self._outcomes(earlier, incident.since, service=incident.service, step=ROUTE)
        astray, surely_none = await asyncio.to_thread(_said_by_canaries, [*flown, *within], scope)
        if not astray:
            return () if surely_none else None
        before = await self._outcomes(earlier, incident.since, service=incident.service)
        return await asyncio.to_thread(exposure, [*before, *within], *astray)


def _said_by_canaries(known: Sequence[Outcome], scope: Scope) -> tuple[tuple[Scope, ...], bool]:
    """Where and when messages went astray; and when nothing says that any did, whether that proves that none did."""
    astray = misdelivery_scopes(known, scope)
    # Failing to arrive exposes nobody. That none went astray, only canaries can say.
    return astray, not astray and proven(known, scope)


def _told(outcome: Outcome) -> tuple[object, ...]:
    """What tells one outcome from another."""
    return outcome.time, outcome.promise, outcome.step, outcome.verdict, outcome.layer, outcome.device, outcome.customer


def _policy(remedy: Remedy) -> Policy:
    return Policy(
        name=remedy.name,
        service=remedy.service,
        currency=remedy.currency,
        tiers=tuple(Tier(from_minutes=tier.from_minutes, amount=tier.amount) for tier in remedy.tiers),
        products=dict.fromkeys(remedy.products, 1.0),
        cap_per_customer=remedy.cap_per_customer,
        cap_per_customer_and_night=remedy.cap_per_customer_and_night,
        cap_total=remedy.cap_total,
    )
