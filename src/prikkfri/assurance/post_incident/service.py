"""Afterwards: what is learnt of an incident when nobody looks at it any more, for as long as outcomes are kept.

Devices get holders: who stands on a list by their device alone is named there, and credited. Outcomes come late, of a
role whose disk or line was away: the list is made anew, who is new on it is credited, and who is credited and on it no
more is for a person to look at. Both are remembered in the database with what told of them, and done some at a time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import replace

from prikkfri.assurance import incidents, status
from prikkfri.assurance.impact import Holder, Impact, ListChange, devices_of, holder_of, impact, name_devices
from prikkfri.assurance.incidents import Fact, Incident
from prikkfri.assurance.remedies import ServiceCredit, Trial, in_doubt
from prikkfri.assurance.response import evaluation, store
from prikkfri.assurance.response.timing import Timing
from prikkfri.assurance.tally import Expectation
from prikkfri.clock import Clock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Outcome
from prikkfri.protocols import money
from prikkfri.storage import Database, Transaction

RULE = "rule:policy"
SECONDS_PER_DAY = 86_400.0


class PostIncidentWork:
    def __init__(
        self,
        database: Database,
        *,
        settings: Settings,
        clock: Clock,
        timing: Timing,
        expectations: Mapping[tuple[str, str], Expectation],
        acting: asyncio.Lock,
        outcomes: Callable[[float, float], Awaitable[list[Outcome]]],
        trial: Callable[[Incident, Impact], Awaitable[Trial | None]],
        written: Callable[[str, Incident | None], Awaitable[None]],
        erasures: Callable[[], int],
    ) -> None:
        """`acting` is held while an incident is changed. `outcomes`: those between two times. `trial`: what a list
        gives. `written` hears of an incident whose list is about to change (None), and what it is after that.
        `erasures`: how many customers have been erased."""
        self._database = database
        self._settings = settings
        self._clock = clock
        self._timing = timing
        self._expectations = expectations
        self._acting = acting
        self._outcomes = outcomes
        self._trial = trial
        self._written = written
        self._erasures = erasures
        self._named_to = ""
        """The last device that was gone through; at the end it begins anew."""

    async def go_on(self, looked_at: Set[str]) -> None:
        """Does some of what is due. `looked_at`: incidents that are, and whose lists are made anew by that."""
        await self._name(looked_at)
        await self._list_anew(looked_at)

    async def _name(self, looked_at: Set[str]) -> None:
        """Names those whose devices have got a holder since, some at a time, and credits them.

        A device is forgotten when all of its incidents are done: whatever stops this, it is gone on with. What is still
        looked at names its own, and is waited for.
        """
        most = self._timing.named_at_once_max
        devices = await self._database.read(lambda q: store.named_devices(q, after=self._named_to, most=most))
        held = await self._database.read(lambda q: store.holders_of(q, devices))
        nameless = await self._database.read(lambda q: store.nameless_on(q, devices))
        touched = {incident for listed in nameless.values() for incident in listed} - looked_at
        done = [device for device in devices if not nameless.get(device, set()) & looked_at]
        for identifier in sorted(touched):
            await self._name_on(identifier, holder_of(held))
        if done:
            await self._database.write(lambda t: store.forget_named(t, done))
        self._named_to = devices[-1] if len(devices) == most else ""

    async def _name_on(self, identifier: str, holder: Holder) -> None:
        async with self._acting:
            incident = await self._database.read(lambda q: store.incident(q, identifier))
            listed = await self._database.snapshot(lambda q: store.impact_of(q, incident)) if incident else None
            if incident is None or listed is None:
                return
            made = await asyncio.to_thread(name_devices, listed[0], holder, since=self._kept_since())
            after = await self._save(incident, listed[0], made, listed[1])
        await self._written(identifier, after)

    async def _list_anew(self, looked_at: Set[str]) -> None:
        """Makes one list anew of which outcomes have come late."""
        late = await self._database.read(store.late_incidents)
        identifier = next((each for each in late if each not in looked_at), None)
        if identifier is None:
            return
        incident = await self._database.read(lambda q: store.incident(q, identifier))
        since = incident.since - evaluation.BEFORE_SECONDS if incident else 0.0
        made = True
        if incident is not None and since >= self._kept_since():  # of what is older some is erased already
            made = await self._list(incident, since)
        if made:
            await self._database.write(lambda t: store.forget_late(t, identifier))

    async def _list(self, incident: Incident, since: float) -> bool:
        """False when somebody was erased meanwhile: what was read before that would name them again."""
        now, erasures = self._clock.now(), self._erasures()
        grace_seconds = max(each.grace_seconds for each in self._expectations.values())
        until = min(now, evaluation.until(incident, now) + grace_seconds)
        outcomes = [each for each in await self._outcomes(since, until) if each.service == incident.service]
        devices = await asyncio.to_thread(devices_of, outcomes)
        held = await self._database.read(lambda q: store.holders_of(q, devices))
        async with self._acting:
            if self._erasures() != erasures:
                return False
            listed = await self._database.snapshot(lambda q: store.impact_of(q, incident))
            if listed is None:
                return True
            scope, expectations = listed[0].scope, self._expectations
            made = await asyncio.to_thread(
                lambda: impact(outcomes, scope, now=now, holder=holder_of(held), expectations=expectations)
            )
            after = await self._save(incident, listed[0], made, listed[1])
        await self._written(incident.id, after)
        return True

    async def _save(self, incident: Incident, before: Impact, made: Impact, incomplete: str) -> Incident | None:
        """The incident with its new list, and what that gives by the rule; None when the list is as it was."""
        change = await asyncio.to_thread(lambda: ListChange.between({hit.key: hit for hit in before.hits}, made.hits))
        if not change and made.figures == before.figures:
            return None
        now = self._clock.now()
        due: Sequence[ServiceCredit] = ()
        if status.is_public(incident) and is_proven(incident):
            tried = await self._trial(incident, made)
            due = tried.credits if tried and not tried.over_cap else ()

        async def work(transaction: Transaction) -> Incident:
            await store.save_impact(transaction, incident.id, made, incomplete, now, change=change)
            given = await store.give_credits(transaction, due, given_by=RULE, now=now)
            after = record_credits(replace(incident, hit=made.seen), given, RULE, now)
            had = [each.credit for each in await store.credits_of(transaction, incident.id)]
            doubted = await asyncio.to_thread(in_doubt, had, made.hits)
            after = incidents.record_doubts(after, len(doubted), now)
            await store.save_incident(transaction, after)
            return after

        await self._written(incident.id, None)
        return await self._database.write(work)

    def _kept_since(self) -> float:
        return self._clock.now() - self._settings.outcomes_kept_days * SECONDS_PER_DAY


def is_proven(incident: Incident) -> bool:
    """Whether the data says that it is over: only then money moves by itself."""
    return incident.state in ("resolved", "reviewed") and not incident.unproven


def record_credits(incident: Incident, given: Sequence[ServiceCredit], by: str, now: float) -> Incident:
    """The incident after credits were given, if any were."""
    if not given:
        return incident
    total = money.format_amount(sum(credit.amount for credit in given), given[0].currency, "en")
    text = (
        f"{len(given)} customers were credited {total} together"
        if len(given) > 1
        else f"1 customer was credited {total}"
    )
    return incidents.apply_fact(incident, Fact("credited", now, by, text))
