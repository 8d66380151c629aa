"""Exposures: which messages each incident exposed to strangers, kept from one look to the next.

Only what is new is read: what stands behind the heads of the journals at the last look, and what lies in a time that
canaries have come to speak against since. At first (after a restart, too) the time in which they do so is gone through
in parts. Nothing of it is stored. Whoever asks meanwhile waits for it.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from prikkfri.assurance.impact import NOBODY_EXPOSED, ROUTE, ExposedMessage, ExposureFigures
from prikkfri.assurance.incidents import Incident
from prikkfri.assurance.outcomes.store import deliveries_after, deliveries_of, handed_over_in, named_on, routes_in
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.response import evaluation
from prikkfri.assurance.response.incident_exposure import IncidentExposure
from prikkfri.assurance.response.register.service import IncidentRegister
from prikkfri.assurance.response.route_evidence import RouteEvidence
from prikkfri.assurance.response.timing import Timing
from prikkfri.clock import Clock
from prikkfri.storage import Database
from prikkfri.storage.sets import VALUES_AT_ONCE

SERVICE = "messages"


@dataclass
class _Kept:
    exposure: IncidentExposure = field(default_factory=IncidentExposure)
    evidence: RouteEvidence | None = None
    heads: Mapping[tuple[str, str], int] | None = None
    """Up to here the journals have been read; None: nothing was."""
    erasures: int = 0
    """Customers erased when it was last read."""
    asked_at: float = 0.0
    """When somebody last asked for it."""
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


class Exposures:
    """All of it raises `StorageError`."""

    def __init__(self, database: Database, register: IncidentRegister, *, clock: Clock, timing: Timing) -> None:
        self._database = database
        self._register = register
        self._clock = clock
        self._timing = timing
        self._kept: dict[str, _Kept] = {}
        """By incident."""

    def forget_all_but(self, identifiers: Collection[str]) -> None:
        """The others are looked at no more: only that for which somebody asked last is kept, for a while."""
        others = sorted(self._kept.keys() - {*identifiers}, key=lambda each: self._kept[each].asked_at)
        if others and self._clock.now() - self._kept[others[-1]].asked_at < self._timing.exposed_kept_seconds:
            others.pop()
        for identifier in others:
            del self._kept[identifier]

    async def figures(self, incident: Incident) -> ExposureFigures | None:
        """How many messages an incident has exposed; None when nothing tells whether it did."""
        if incident.service != SERVICE:
            return NOBODY_EXPOSED
        kept = self._of(incident)
        async with kept.busy:
            astray, surely_none = await self._go_on(kept, incident)
            return kept.exposure.figures if astray else NOBODY_EXPOSED if surely_none else None

    async def first(self, incident: Incident, *, most: int) -> tuple[list[ExposedMessage], int]:
        """The oldest of the messages, and how many there are."""
        if incident.service != SERVICE:
            return [], 0
        kept = self._of(incident)
        async with kept.busy:
            await self._go_on(kept, incident)
            return await asyncio.to_thread(kept.exposure.first, most), kept.exposure.figures.messages

    async def messages(self, incident: Incident) -> AsyncIterator[list[ExposedMessage]]:
        """All of them, oldest first, part by part; what is found to be none of them meanwhile is left out."""
        if incident.service != SERVICE:
            return
        kept = self._of(incident)
        async with kept.busy:
            await self._go_on(kept, incident)
            order = await asyncio.to_thread(kept.exposure.order)
        most = self._timing.outcomes_at_once_max
        for first in range(0, len(order), most):
            async with kept.busy:
                part = await asyncio.to_thread(kept.exposure.messages, order[first : first + most])
            yield part

    def _of(self, incident: Incident) -> _Kept:
        kept = self._kept.setdefault(incident.id, _Kept())
        kept.asked_at = self._clock.now()
        return kept

    async def _go_on(self, kept: _Kept, incident: Incident) -> tuple[bool, bool]:
        """Whether messages went astray, and whether surely none did, by what is stored now."""
        until = evaluation.until(incident, self._clock.now())
        earlier = incident.since - self._timing.exposed_before_seconds
        erasures, heads = self._register.erasures, await self._register.heads()
        if kept.heads is not None:
            await self._take_new(kept, heads)
        if kept.erasures != erasures:
            await asyncio.to_thread(kept.exposure.read_all_again)
        kept.heads, kept.erasures = heads, erasures
        evidence = kept.evidence
        if evidence is None or (evidence.segments, evidence.since) != (incident.segments, incident.since):
            evidence = kept.evidence = await self._evidence(incident, earlier)
        scopes = await asyncio.to_thread(evidence.scopes, earlier=earlier, until=until)
        await asyncio.to_thread(kept.exposure.move, scopes, since=earlier, until=until)
        await self._read(kept.exposure, earlier)
        # Failing to arrive exposes nobody. That none went astray, only canaries can say.
        return bool(scopes), not scopes and evidence.proven(until=until)

    async def _evidence(self, incident: Incident, earlier: float) -> RouteEvidence:
        evidence = RouteEvidence(incident.segments, incident.since)
        last: StoredOutcome | None = None
        most = self._timing.outcomes_at_once_max
        while True:
            rows = await self._database.read(partial(routes_in, service=SERVICE, since=earlier, after=last, most=most))
            await asyncio.to_thread(evidence.take, rows)
            if len(rows) < most:
                return evidence
            last = rows[-1]

    async def _take_new(self, kept: _Kept, heads: Mapping[tuple[str, str], int]) -> None:
        """What stands in the journals behind where they have been read, up to `heads`."""
        taken = dict(kept.heads or {})
        for (stream, incarnation), head in heads.items():
            position = taken.get((stream, incarnation), -1)
            while position < head:
                rows, position = await self._database.read(
                    partial(
                        deliveries_after,
                        stream=stream,
                        incarnation=incarnation,
                        position=position,
                        up_to=head,
                        service=SERVICE,
                        routes_only=not kept.exposure.begun,
                        most=self._timing.outcomes_at_once_max,
                    )
                )
                await asyncio.to_thread(self._take, kept, rows)
                taken[stream, incarnation] = position
                kept.heads = dict(taken)

    @staticmethod
    def _take(kept: _Kept, rows: list[StoredOutcome]) -> None:
        if kept.evidence is not None:
            kept.evidence.take(row for row in rows if row.outcome.step == ROUTE)
        kept.exposure.take(rows)

    async def _read(self, exposure: IncidentExposure, earlier: float) -> None:
        """All that is to be read, some at a time, so that little waits."""
        most = self._timing.outcomes_at_once_max
        while True:
            if exposure.waiting < VALUES_AT_ONCE and (times := exposure.time_to_read) is not None:
                found, up_to = await self._database.read(
                    partial(
                        handed_over_in, service=SERVICE, since=times[0], until=times[1], ways=exposure.ways, most=most
                    )
                )
                exposure.found(found, up_to=up_to)
                await asyncio.sleep(0)
            elif messages := exposure.messages_to_read(VALUES_AT_ONCE):
                told_from = earlier - self._timing.delivery_seconds_max
                rows = await self._database.read(
                    partial(deliveries_of, promises=messages, service=SERVICE, since=told_from)
                )
                await asyncio.to_thread(exposure.read, messages, rows)
            elif devices := exposure.devices_to_name(VALUES_AT_ONCE):
                named = await self._database.read(partial(named_on, devices=devices, service=SERVICE, since=earlier))
                await asyncio.to_thread(exposure.name, devices, named)
            else:
                return
