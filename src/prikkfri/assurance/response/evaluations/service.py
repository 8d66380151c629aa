"""Evaluations: each open incident gone through every few seconds: where it is, who was hit, whether it is over.

It is evaluated in another thread, on the incident as it was; what has happened to it meanwhile goes before. What it
comes to is stored, so that a restart goes on.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import tzinfo

from prikkfri.assurance import incidents, recovery, status
from prikkfri.assurance.answers import Answer, IncidentFacts, answer_sheet
from prikkfri.assurance.impact import ExposureFigures, Impact, ListChange
from prikkfri.assurance.incidents import Incident
from prikkfri.assurance.notices import notices
from prikkfri.assurance.post_incident.service import RULE, PostIncidentWork, is_proven, record_credits
from prikkfri.assurance.recovery import Recovery
from prikkfri.assurance.remedies import ServiceCredit, in_doubt
from prikkfri.assurance.response import evaluation, store
from prikkfri.assurance.response.actions.service import Actions
from prikkfri.assurance.response.exposures.service import Exposures
from prikkfri.assurance.response.histories.service import Histories
from prikkfri.assurance.response.register.service import HISTORY_MAX, IncidentRegister
from prikkfri.assurance.response.surroundings import Surroundings
from prikkfri.assurance.response.timing import Timing
from prikkfri.assurance.response.watching.service import SeriesWatch
from prikkfri.assurance.tally import Expectation
from prikkfri.clock import Clock
from prikkfri.config import Assurance as Settings
from prikkfri.errors import StorageError
from prikkfri.storage import Database, Transaction

log = logging.getLogger("prikkfri.assurance")

CONTACT_PERIOD_SECONDS = 60.0


class Evaluations:
    def __init__(
        self,
        database: Database,
        register: IncidentRegister,
        watch: SeriesWatch,
        actions: Actions,
        *,
        settings: Settings,
        surroundings: Surroundings,
        expectations: Mapping[tuple[str, str], Expectation],
        clock: Clock,
        zone: tzinfo,
        timing: Timing,
    ) -> None:
        self._database = database
        self._register = register
        self._watch = watch
        self._actions = actions
        self._around = surroundings
        self._expectations = expectations
        self._clock = clock
        self._zone = zone
        self._timing = timing
        self._criteria = recovery.Criteria(hold_seconds=settings.hold_seconds)
        self._histories = Histories(database, register, expectations=expectations, timing=timing)
        self.exposures = Exposures(database, register, clock=clock, timing=timing)
        self._recoveries: dict[str, Recovery] = {}
        self._afterwards = PostIncidentWork(
            database,
            settings=settings,
            clock=clock,
            timing=timing,
            expectations=expectations,
            acting=register.acting,
            outcomes=register.outcomes,
            trial=actions.trial_of,
            written=self._written,
            erasures=lambda: register.erasures,
        )

    async def look(self) -> None:
        """Looks at every incident that is open, or was resolved lately. Raises `StorageError`."""
        register = self._register
        for incident in register.known:
            if register.is_worth_looking_at(incident, self._clock.now()):
                await self._look_at(incident)
            else:
                register.put_away(incident)
        register.forget_earlier()
        looked_at = {each.id for each in register.worth_looking_at()}
        await self._histories.forget_all_but(looked_at)
        self.exposures.forget_all_but(looked_at)
        await self._afterwards.go_on(looked_at)

    async def _look_at(self, incident: Incident) -> None:
        """Where it is, who was hit, whether it is over: from the outcomes themselves."""
        register = self._register
        now, erasures = self._clock.now(), register.erasures
        history = await self._histories.of(incident, now)
        grounds = evaluation.EvaluationContext(
            standing=self._watch.standing,
            blind=bool(self._around.blind()),
            contacts=await self._contacts(incident),
            criteria=self._criteria,
            programmes=self._around.programmes(),
            others=incidents.of_others(incident, register.known),
            earlier=incidents.earlier_faults(incident, (*register.known, *register.earlier)),
            capacity=self._around.capacity_per_second(incident.service, incident.since, incident.opened_at),
        )
        seen = await asyncio.to_thread(evaluation.evaluate, incident, history, grounds, now=now)
        async with register.acting:
            if register.current(incident.id) != incident or register.erasures != erasures:
                return  # something has happened to it meanwhile: the next look sees that, too
            self._recoveries[incident.id] = seen.recovery
            given: list[ServiceCredit] = []
            after, changed = seen.incident, await self._list(seen, now)
            if changed and status.is_public(after) and is_proven(after):
                # Before it is saved as over: after a crash in between it is looked at again, and nobody is forgotten.
                given = await self._actions.give_by_rule(after, seen.impact)
            after = record_credits(after, given, RULE, now)
            if changed and not after.open:
                had = [each.credit for each in await register.credits(after.id)]
                doubted = await asyncio.to_thread(in_doubt, had, seen.impact.hits)
                after = incidents.record_doubts(after, len(doubted), now)
            await register.save(after)
        after = register.current(incident.id) or after
        sheet = await self.answers(await self._known(after, seen.impact, await self.exposures.figures(after)))
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
        """Stores the list of those hit, and its figures, when they have changed; says whether the list has."""
        lists, identifier = self._register.lists, seen.incident.id
        known = lists.get(identifier)
        stored = known[0] if known is not None else {hit.key: hit for hit in await self._register.hits(identifier)}
        change = await asyncio.to_thread(ListChange.between, stored, seen.impact.hits)
        changed = known is None or bool(change) or seen.just_resolved
        if known is not None and not changed and known[1] == seen.impact.figures:
            return False
        incomplete = self._around.incomplete()

        async def work(transaction: Transaction) -> None:
            await store.save_impact(transaction, identifier, seen.impact, incomplete, now, change=change)
            if seen.just_resolved:
                await store.freeze_impact(transaction, identifier, now)

        lists.pop(identifier, None)  # should the write fail, nobody knows what is stored
        await self._database.write(work)
        lists[identifier] = change.by_person, seen.impact.figures
        return changed

    async def _written(self, identifier: str, incident: Incident | None) -> None:
        """An incident's list is not what the last look wrote; `incident`: as it is now, when that was written, too."""
        self._register.lists.pop(identifier, None)
        if incident is not None:
            self._register.rewritten(incident)
            if (known := await self.known(identifier)) is not None:
                sheet = await self.answers(known)
                await self._database.write(lambda t: store.save_answers(t, identifier, sheet))
                self._around.changed()

    # What is known.

    def proven_over(self, identifier: str) -> bool:
        """Whether the last look has found that the data proves an incident to be over."""
        recovery = self._recoveries.get(identifier)
        return recovery is not None and recovery.over

    async def known(self, identifier: str) -> IncidentFacts | None:
        """All that is known of an incident; None when there is no such."""
        incident = await self._register.incident(identifier)
        if incident is None:
            return None
        listed = await self._database.snapshot(lambda q: store.impact_of(q, incident))
        return await self._known(incident, listed[0] if listed else None, await self.exposures.figures(incident))

    async def _known(self, incident: Incident, made: Impact | None, exposed: ExposureFigures | None) -> IncidentFacts:
        register = self._register
        listed = await register.listed(incident.id)
        given = await register.credits(incident.id)
        history = await register.incidents(most=HISTORY_MAX)
        try:
            remedy = await self._actions.trial(incident, made, given) if made else None
        except StorageError as error:  # of another role's area: who has which product is not known, the rest is
            log.warning("incident %s: what those hit get is not known now: %s", incident.id, error)
            remedy = None
        return IncidentFacts(
            incident=incident,
            impact=made,
            incomplete=listed.incomplete if listed else "",
            load=incident.load,
            exposed=exposed,
            notices=notices(incident, exposed, hit=made.seen if made else None),
            recovery=self._recoveries.get(incident.id),
            history=incidents.recurrences(incident, history),
            remedy=remedy,
            credited=len(given),
            told=sum(bool(each.told_message) for each in given),
        )

    async def answers(self, known: IncidentFacts) -> tuple[Answer, ...]:
        return answer_sheet(known, now=self._clock.now(), zone=self._zone)
