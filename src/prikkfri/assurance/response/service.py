"""Incident response at work: from outcomes to incidents, the list of those hit, and what is done about them.

Theory of operation. Outcomes come from the followers; every second `watching` counts what is settled and steps the
detection of every series. An alarm opens an incident or joins one. Each open incident is assessed every few seconds
from the stored outcomes themselves: where it is, who was hit, whether it is over. All of it is stored, so that a
restart goes on; the levels of the series are learned anew from the last half hour.
"""

import asyncio
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

from prikkfri.assurance import incidents, recovery, status, watching
from prikkfri.assurance.answers import Answer, Known, Load, answer_sheet
from prikkfri.assurance.detection import SECONDS_PER_YEAR, Alarm
from prikkfri.assurance.detection import Settings as Detection
from prikkfri.assurance.impact import Exposed, Hit, Holder, Impact, Scope, condemned, exposure, impact, proven
from prikkfri.assurance.incidents import Fact, Incident
from prikkfri.assurance.localisation import place
from prikkfri.assurance.notices import notices
from prikkfri.assurance.recovery import Recovery
from prikkfri.assurance.remedies import Policy, Tier, Trial, trial
from prikkfri.assurance.response import assessing, store
from prikkfri.assurance.response.store import Contact, Given, Listed
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.status import Statement, statements
from prikkfri.assurance.tally import EXPECTATIONS, Bucket
from prikkfri.clock import Clock
from prikkfri.config import Assurance as Settings
from prikkfri.config import Remedy
from prikkfri.errors import StorageError, UsageError
from prikkfri.journal import Outcome
from prikkfri.storage import Database, Transaction

log = logging.getLogger("prikkfri.assurance")

TICK_SECONDS = 0.5
SETTLING_SECONDS = 1.5
"""An outcome is on its way from its role to here for about so long."""
ASSESS_SECONDS = 2.0
ASSESS_COST_MAX = 0.25
"""Assessing takes at most this part of the time, however much there is to read."""
BEFORE_SECONDS = 600.0
"""What is usual is taken from so long before an incident."""
RELEARN_SECONDS = 1_800.0
EXPOSED_BEFORE_SECONDS = 3_600.0
"""Messages may have gone astray so long before the first sign of it; canaries tell since when."""
AFTER_SECONDS = 900.0
"""A resolved incident is looked at for so long: late outcomes and a relapse still count."""
LOAD_STRETCH_SECONDS = 5.0
LOAD_BEFORE_SECONDS = 120.0
"""A line fills before anybody has waited too long."""
HISTORY_MAX = 200
CONTACT_PERIOD_SECONDS = 60.0
RULE = "rule:policy"


@dataclass(frozen=True)
class Surroundings:
    """What response knows of the rest of the house, by asking."""

    blind: Callable[[], frozenset[str]]
    """The streams that cannot be read just now."""
    silent: Callable[[], frozenset[str]]
    """The roles that do not answer just now."""
    incomplete: Callable[[], str]
    """Why a list may lack somebody; empty when it does not."""
    capacity_per_second: Callable[[], tuple[float, float] | None]
    """Sign-ins a second as last measured, and when; None when never."""
    products: Callable[[Sequence[str], float], Awaitable[Mapping[str, str]]]
    """Each customer's product at a time."""
    tell: Callable[[str, str], Awaitable[str]]
    """Sends a customer a text message; returns its id, empty when it was not accepted."""
    changed: Callable[[], None]
    """An incident has changed: tell the public."""


@dataclass(frozen=True)
class Befallen:
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
    ) -> None:
        self._database = database
        self._settings = settings
        self._around = surroundings
        self._clock = clock
        self._zone = zone
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
        self._watch = watching.Watch(clock.now() - SETTLING_SECONDS)
        self._incidents: dict[str, Incident] = {}
        """Those that are open, and those resolved lately."""
        self._recoveries: dict[str, Recovery] = {}
        self._assess_at = 0.0
        self._acting = asyncio.Lock()
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
            tasks.create_task(self._keep_watch(), name="incidents")
            tasks.create_task(self._keep_telling(), name="tell those credited")

    async def _keep_watch(self) -> None:
        while True:
            try:
                await self.tick()
            except StorageError as error:
                log.warning("incident response waits for its database: %s", error)
            await asyncio.sleep(TICK_SECONDS)

    async def recover(self) -> None:
        """Goes on where an earlier run has stopped: open incidents, and levels learned from the last half hour."""
        now = self._clock.now()
        for incident in await self._database.read(lambda q: store.incidents(q, most=HISTORY_MAX)):
            if _worth_looking_at(incident, now):
                self._incidents[incident.id] = incident
        past = await self._outcomes(now - RELEARN_SECONDS, now)
        if past:
            self._watch = watching.Watch(math.floor(past[0].time))
            arrivals = [("", outcome) for outcome in past]
            # What was raised then has been dealt with then.
            self._watch, _ = self._advance(arrivals, until=now - SETTLING_SECONDS)
        self._arrived.clear()

    async def tick(self) -> None:
        """Counts what has settled, and acts on it. Raises `StorageError`; then it is tried again."""
        now = self._clock.now()
        arrived, self._arrived = self._arrived, []
        self._watch, alarms = self._advance(arrived, until=now - SETTLING_SECONDS)
        told = [alarm for _, outcome in arrived if (alarm := assessing.sign(outcome))]
        async with self._acting:
            for alarm in (*told, *alarms):
                await self._take_alarm(alarm, now)
            for incident in list(self._incidents.values()):
                await self._save(incidents.silent(incident, self._around.silent(), now))
            if self._incidents and now >= self._assess_at:
                began = self._clock.monotonic()
                for incident in list(self._incidents.values()):
                    await self._assess(incident, now)
                cost = self._clock.monotonic() - began
                self._assess_at = now + max(ASSESS_SECONDS, cost / ASSESS_COST_MAX)

    @property
    def _alarmed(self) -> set[Segment]:
        """The series whose alarms stand."""
        return {alarm.segment for alarm in self._watch.standing}

    def _advance(
        self, arrived: Sequence[watching.Arrival], *, until: float
    ) -> tuple[watching.Watch, tuple[Alarm, ...]]:
        return watching.advance(
            self._watch,
            arrived,
            self._detection,
            until=until,
            blind=self._around.blind(),
            expectations=self._expectations,
        )

    async def _outcomes(self, since: float, until: float) -> list[Outcome]:
        return await self._database.read(lambda q: store.outcomes_between(q, since=since, until=until))

    # Incidents.

    async def _take_alarm(self, alarm: Alarm, now: float) -> None:
        log.warning("alarm: %s", alarm.sentence)
        for incident in self._incidents.values():
            if incidents.joins(incident, alarm, within_seconds=incidents.JOIN_HOLDS * self._settings.hold_seconds):
                await self._save(incidents.alarmed(incident, alarm, now))
                return
        moment = datetime.fromtimestamp(now, UTC)
        await self._save(incidents.opened(f"{moment:%Y%m%d-%H%M}-{secrets.token_hex(2)}", alarm, now))

    async def _save(self, incident: Incident) -> None:
        known = self._incidents.get(incident.id)
        if known == incident:
            return
        await self._database.write(lambda t: store.save_incident(t, incident))
        self._incidents[incident.id] = incident
        if known is None or known.state != incident.state or len(known.timeline) != len(incident.timeline):
            log.warning("incident %s is %s: %s", incident.id, incident.state, incident.timeline[-1].text)
            self._around.changed()

    async def _assess(self, incident: Incident, now: float) -> None:
        """Where it is, who was hit, whether it is over: from the outcomes themselves."""
        if not _worth_looking_at(incident, now):
            del self._incidents[incident.id]
            return
        outcomes = [
            outcome
            for outcome in await self._outcomes(incident.since - BEFORE_SECONDS, now + 1)
            if outcome.service == incident.service
        ]
        promises = assessing.settled(outcomes, now=now, expectations=self._expectations)
        usual = assessing.cells(promises, since=incident.since - BEFORE_SECONDS, until=incident.since)
        if incident.state in ("suspected", "confirmed", "mitigated"):
            # Once it is getting better the place stands: later minutes would only water it down.
            broken = assessing.cells(promises, since=incident.since, until=now)
            placement = place(broken, usual)
            if placement.placed:
                incident = incidents.placed(incident, placement, now)
            since = assessing.began(promises, incident.segments, since=incident.since)
            incident = replace(incident, since=since)
        if incident.state != "suspected":
            # A rule that acts on what it sees is one sign, not two: it does not confirm what it has raised itself.
            for fact in assessing.done(outcomes, incident):
                incident = incidents.happened(incident, fact)
        judged = self._judge(incident, promises, now, await self._contacts(incident))
        self._recoveries[incident.id] = judged
        listed = await self.listed(incident.id)
        hits = listed.hit if listed else 0
        if incidents.of_few(incident, *assessing.people(outcomes, incident.segments, since=incident.since)):
            hits = 0
        else:
            incident = incidents.stood(incident, self._watch.standing, now)
        incident = incidents.counted(incident, hits, now)
        if judged.over and not {alarm.segment for alarm in incident.alarms} & self._alarmed:
            incident = incidents.taken_back(incident, hits, judged.sentence, now)
        incident = _moved(incident, judged, now, settled_after_seconds=self._settings.hold_seconds)
        # By the data just now, or by a person since the last look: either way it gets its end, and its list is frozen.
        just_resolved = incident.state == "resolved" and incident.ended_at is None
        if just_resolved:
            last_broken = assessing.last_broken(promises, incident.segments, since=incident.since)
            incident = replace(incident, ended_at=last_broken or incident.resolved_at)
        listed_anew = await self._list(incident, outcomes, now, freeze=just_resolved)
        await self._save(incident)
        if status.told(incident) and _proven(incident) and (just_resolved or listed_anew):
            await self._give(incident, by=RULE, over_cap=False)
        if known := await self.known(incident.id):
            sheet = await self.answers(known)
            await self._database.write(lambda t: store.save_answers(t, incident.id, sheet))

    def _judge(
        self,
        incident: Incident,
        promises: Sequence[assessing.Settled],
        now: float,
        contacts: Sequence[tuple[float, float]] | None,
    ) -> Recovery:
        def counted(since: float, until: float) -> list[Bucket]:
            return assessing.buckets(promises, incident.segments, since=since, until=until, seconds=1.0)

        before, during = counted(incident.since - BEFORE_SECONDS, incident.since), counted(incident.since, now)
        # The seconds from the first kept promise on: before that there was nothing to be usual.
        first = next((index for index, bucket in enumerate(before) if bucket.kept), len(before))
        kept_before = sum(bucket.kept for bucket in before[first:])
        fault = [placed.share for placed in incident.placement.placed] or [
            alarm.seen for alarm in incident.alarms if alarm.kind == "share"
        ]
        return recovery.judge(
            recovery.Evidence(
                buckets=during,
                bucket_seconds=1.0,
                usual_share=_share(before),
                fault_share=max([*fault, _share(during)]) or 0.5,
                usual_rate=kept_before / (len(before) - first) if kept_before else None,
                contacts=contacts,
                blind_since=now if self._around.blind() else None,
            ),
            self._criteria,
            now=now,
        )

    async def _contacts(self, incident: Incident) -> list[tuple[float, float]] | None:
        since = incident.since - BEFORE_SECONDS
        found = await self._database.read(
            lambda q: store.contact_counts(q, incident.service, since=since, period_seconds=CONTACT_PERIOD_SECONDS)
        )
        if not found:
            return None
        # A minute in which nobody rang is a minute with none.
        last = since + (self._clock.now() - since) // CONTACT_PERIOD_SECONDS * CONTACT_PERIOD_SECONDS
        return found if found[-1][0] >= last else [*found, (last, 0.0)]

    # The list.

    async def _list(self, incident: Incident, outcomes: Sequence[Outcome], now: float, *, freeze: bool) -> bool:
        """Makes the list anew; says whether it has changed."""
        scope = Scope(incident.segments, incident.since, _until(incident, now))
        made = impact(outcomes, scope, now=now, holder=await self._holder(), expectations=self._expectations)
        known = await self._database.read(lambda q: store.impact_of(q, incident))
        if known is not None and known[0].hits == made.hits and not freeze:
            return False
        incomplete = self._around.incomplete()

        async def work(transaction: Transaction) -> None:
            await store.save_impact(transaction, incident.id, made, incomplete, now)
            if freeze:
                await store.freeze_impact(transaction, incident.id, now)

        await self._database.write(work)
        return True

    async def _holder(self) -> Holder:
        held: dict[str, list[tuple[str, float, float]]] = {}
        for device, customer, first, last in await self._database.read(store.holders):
            held.setdefault(device, []).append((customer, first, last))

        def holder(device: str, at: float) -> str:
            """Whoever was seen on the device at the time, or else next after it."""
            known = held.get(device, [])
            inside = [customer for customer, first, last in known if first <= at <= last]
            after = sorted((first, customer) for customer, first, _ in known if first > at)
            return inside[0] if len(inside) == 1 else after[0][1] if not inside and after else ""

        return holder

    # What others ask.

    async def incidents(self, *, most: int = 100) -> list[Incident]:
        """The newest first."""
        return await self._database.read(lambda q: store.incidents(q, most=most))

    @property
    def open_incidents(self) -> list[Incident]:
        """The newest first, from memory."""
        found = [incident for incident in self._incidents.values() if incident.open]
        return sorted(found, key=lambda incident: incident.opened_at, reverse=True)

    async def listed(self, identifier: str) -> Listed | None:
        """The figures of the list of those hit; None before it was made."""
        return await self._database.read(lambda q: store.listed(q, identifier))

    async def known(self, identifier: str) -> Known | None:
        """All that is known of an incident; None when there is no such."""
        incident = await self._database.read(lambda q: store.incident(q, identifier))
        if incident is None:
            return None
        listed = await self._database.read(lambda q: store.impact_of(q, incident))
        made, incomplete, _ = listed or (None, "", None)
        outcomes = await self._outcomes(incident.since, _until(incident, self._clock.now()))
        exposed = await self._exposed(incident, outcomes)
        given = await self.credits(identifier)
        history = await self._database.read(lambda q: store.incidents(q, most=HISTORY_MAX))
        return Known(
            incident=incident,
            impact=made,
            incomplete=incomplete,
            load=await self._load(incident, outcomes),
            exposed=exposed,
            notices=notices(incident, exposed or (), hit=len(made.hits) if made else None),
            recovery=self._recoveries.get(identifier),
            history=incidents.recurrences(incident, history),
            remedy=await self._trial(incident, made) if made else None,
            credited=len(given),
            told=sum(bool(each.told_at) for each in given),
        )

    async def told(self) -> Sequence[Statement]:
        """What the public is told."""
        now = self._clock.now()
        return statements(await self.incidents(most=HISTORY_MAX), now=now, zone=self._zone)

    async def answers(self, known: Known) -> tuple[Answer, ...]:
        return answer_sheet(known, now=self._clock.now(), zone=self._zone)

    async def hits(self, identifier: str) -> list[Hit]:
        return await self._database.read(lambda q: store.hits_of(q, identifier))

    async def credits(self, identifier: str) -> list[Given]:
        return await self._database.read(lambda q: store.credits_of(q, identifier))

    async def was_hit(self, customer: str) -> list[Befallen]:
        """The incidents in which a customer was hit and of which one may be told, the newest first."""
        found = []
        for hit in await self._database.read(lambda q: store.incidents_that_hit(q, customer)):
            incident = await self._database.read(lambda q, hit=hit: store.incident(q, hit.incident))  # type: ignore[misc]
            if incident is not None and status.told(incident):
                found.append(Befallen(incident, hit.asked_at, hit.got_at, hit.amount, hit.currency))
        return found

    async def add_contacts(self, contacts: Sequence[Contact]) -> int:
        """Takes in contacts with customer service; returns how many were new."""
        return await self._database.write(lambda t: store.add_contacts(t, contacts))

    # What people do.

    async def act(self, identifier: str, fact: Fact) -> Incident:
        """Something that a person or another role did. Raises `UsageError` when there is no such incident."""
        async with self._acting:
            incident = self._incidents.get(identifier) or await self._database.read(
                lambda q: store.incident(q, identifier)
            )
            if incident is None:
                raise UsageError(f"there is no incident {identifier}")
            incident = incidents.happened(incident, fact)
            await self._save(incident)
            return incident

    async def release(self, identifier: str, *, by: str) -> int:
        """Gives the credits that wait for a person; returns how many were given."""
        incident = await self._database.read(lambda q: store.incident(q, identifier))
        if incident is None:
            raise UsageError(f"there is no incident {identifier}")
        return await self._give(incident, by=by, over_cap=True)

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
        """Waits until somebody has those credited told, and tells them, each once. Raises `StorageError`."""
        identifier, by = await self._to_tell.get()
        told = failed = 0
        for given in await self.credits(identifier):
            if given.told_at:
                continue
            key, now = given.credit.key, self._clock.now()
            # Marked before it is sent: after a crash in between, one is not told rather than told twice.
            await self._database.write(lambda t, key=key, now=now: store.mark_told(t, key, "", now))  # type: ignore[misc]
            amount = f"{given.credit.amount / 100:.2f} {given.credit.currency}"
            text = f"Du ble rammet av en feil hos oss, og det er vi lei for. {amount} trekkes fra neste regning."
            message = await self._around.tell(given.credit.customer, text)
            if not message:
                await self._database.write(lambda t, key=key: store.mark_told(t, key, "", 0.0))  # type: ignore[misc]
                failed += 1
                continue
            await self._database.write(lambda t, key=key, m=message, now=now: store.mark_told(t, key, m, now))  # type: ignore[misc]
            told += 1
        if told or failed:
            rest = f"; {failed} could not be" if failed else ""
            text = f"{told} customers were told by SMS{rest}"
            await self.act(identifier, Fact("told", self._clock.now(), by, text))

    # Remedies.

    def _policy(self, service: str) -> Policy | None:
        remedy = next((each for each in self._settings.remedies if each.service == service), None)
        return _policy(remedy) if remedy else None

    async def _trial(self, incident: Incident, made: Impact, *, released: bool = False) -> Trial | None:
        policy = self._policy(incident.service)
        if policy is None:
            return None
        customers = [hit.customer for hit in made.hits if hit.customer]
        products = await self._around.products(customers, incident.since)
        ended_at = incident.ended_at or self._clock.now()
        return trial(
            policy,
            made.hits,
            incident=incident.id,
            ended_at=ended_at,
            products=products,
            reported_released=released,
        )

    async def _give(self, incident: Incident, *, by: str, over_cap: bool) -> int:
        listed = await self._database.read(lambda q: store.impact_of(q, incident))
        tried = await self._trial(incident, listed[0], released=over_cap) if listed else None
        if tried is None or not tried.credits or (tried.over_cap and not over_cap):
            return 0
        now = self._clock.now()
        given = await self._database.write(lambda t: store.give_credits(t, tried.credits, given_by=by, now=now))
        if given:
            total = sum(credit.amount for credit in given) / 100
            text = f"{len(given)} customers were credited {total:,.2f} {given[0].currency} together"
            current = self._incidents.get(incident.id, incident)
            await self._save(incidents.happened(current, Fact("credited", now, by, text)))
        return len(given)

    # What else is known.

    async def _load(self, incident: Incident, outcomes: Sequence[Outcome]) -> Load | None:
        capacity = self._around.capacity_per_second()
        if incident.service != "television" or capacity is None:
            return None
        before = await self._outcomes(incident.since - LOAD_BEFORE_SECONDS, incident.since)
        came = [*before, *outcomes]
        return Load(
            "signin", assessing.peak_per_second(came, step="enter", over_seconds=LOAD_STRETCH_SECONDS), *capacity
        )

    async def _exposed(self, incident: Incident, outcomes: Sequence[Outcome]) -> Sequence[Exposed] | None:
        if incident.service != "messages":
            return ()
        scope = Scope(incident.segments, incident.since, _until(incident, self._clock.now()))
        before = await self._outcomes(incident.since - EXPOSED_BEFORE_SECONDS, incident.since)
        outcomes = [*before, *outcomes]
        if (astray := condemned(outcomes, scope)) is not None:
            return exposure(outcomes, astray)
        # Failing to arrive exposes nobody. That none went astray, only canaries can say.
        return () if proven(outcomes, scope) else None


def _worth_looking_at(incident: Incident, now: float) -> bool:
    return incident.open or (incident.resolved_at is not None and now - incident.resolved_at < AFTER_SECONDS)


def _until(incident: Incident, now: float) -> float:
    """Up to the last broken promise of an incident that is over; else the present."""
    return now if incident.open or incident.ended_at is None else incident.ended_at + 0.001


def _moved(incident: Incident, judged: Recovery, now: float, *, settled_after_seconds: float) -> Incident:
    """The incident after what the data says of its recovery.

    What was resolved is judged again after `settled_after_seconds`: before that the judgement rests on broken promises
    from before the all-clear. (An alarm reopens it at once.)
    """
    if judged.over and incident.state == "recovering":
        return incidents.happened(incident, Fact("proven", now, text=judged.sentence))
    if judged.improving and incidents.accepts(incident, "improving") and incident.state != "suspected":
        return incidents.happened(incident, Fact("improving", now, text=judged.sentence))
    if incident.resolved_at is not None and now - incident.resolved_at < settled_after_seconds:
        return incident
    if judged.broken and incident.state in ("recovering", "resolved") and not incident.dismissed:
        return incidents.happened(incident, Fact("relapse", now, text=judged.sentence))
    return incident


def _proven(incident: Incident) -> bool:
    """Whether the data says that it is over: only then money moves by itself."""
    return incident.state == "resolved" and not incident.unproven


def _share(buckets: Sequence[Bucket]) -> float:
    settled = sum(bucket.settled for bucket in buckets)
    return sum(bucket.broken for bucket in buckets) / settled if settled else 0.0


def _policy(remedy: Remedy) -> Policy:
    return Policy(
        name=remedy.name,
        service=remedy.service,
        currency=remedy.currency,
        tiers=tuple(Tier(from_minutes=tier.from_minutes, amount=tier.amount) for tier in remedy.tiers),
        products=dict.fromkeys(remedy.products, 1.0),
        cap_per_customer=remedy.cap_per_customer,
        cap_total=remedy.cap_total,
    )
