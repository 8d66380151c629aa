"""Histories: of each incident that is looked at its outcomes, kept from one look to the next; only new ones are read.

What is new is what stands behind the heads of the journals at the last look. What has been archived is stored in
pieces, and with them where the history stood: after a restart what is in no archived household and what has come since
are read. Where nothing is stored, and after a customer was erased, a history is read from nothing, in parts. One that
is too large to be kept is read anew at each look.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

from prikkfri.assurance.incidents import Incident
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.response import evaluation, store
from prikkfri.assurance.response.archive import JournalPlace
from prikkfri.assurance.response.histories.store import HistoryStore, StoredPieces, save_checkpoint, save_piece
from prikkfri.assurance.response.history import History
from prikkfri.assurance.response.incident_history import IncidentHistory
from prikkfri.assurance.response.records import (
    PLACE_BYTES,
    HistoryCheckpoint,
    checkpoint_bytes,
    checksum,
    format_of,
    piece_of,
)
from prikkfri.assurance.response.register.service import IncidentRegister
from prikkfri.assurance.response.timing import Timing
from prikkfri.assurance.tally import Expectation
from prikkfri.storage import Database, Transaction, in_parts

log = logging.getLogger("prikkfri.assurance")

Heads = Mapping[tuple[str, str], int]


@dataclass
class _Kept:
    history: IncidentHistory
    heads: Heads
    """Up to here it has been read."""
    erasures: int
    """Customers erased when it was begun."""
    stored: StoredPieces
    stands: bool = True
    """Where it stood when the last piece was stored is stored, too."""


class Histories:
    def __init__(
        self,
        database: Database,
        register: IncidentRegister,
        *,
        expectations: Mapping[tuple[str, str], Expectation],
        timing: Timing,
    ) -> None:
        self._database = database
        self._register = register
        self._expectations = expectations
        self._timing = timing
        self._form = format_of(expectations)
        self._store = HistoryStore(database, form=self._form)
        self._kept: dict[str, _Kept] = {}
        """By incident. What is being worked on is not in it: should that fail, it is read from nothing."""

    async def forget_all_but(self, identifiers: Collection[str]) -> None:
        """The others are looked at no more. Raises `StorageError`."""
        for identifier in {*self._kept, *await self._store.incidents()} - set(identifiers):
            self._kept.pop(identifier, None)
            await self._store.forget(identifier)

    async def of(self, incident: Incident, now: float) -> History:
        """The history of an incident as of `now`; good until the next is asked for. Raises `StorageError`."""
        kept = self._kept.pop(incident.id, None)
        if kept is not None and (kept.erasures != self._register.erasures or incident.since > kept.history.usual_until):
            kept = None  # its memory is needed for the next
        if kept is None:
            kept = await self._as_it_stood(incident, now)
        if kept is None:
            kept = await self._from_nothing(incident, now)
        else:
            kept.history.live_max = self._live_max
            await self._go_on(kept, incident, now)
        await self._keep_pieces(kept, incident, stands=True)
        self._kept[incident.id] = kept
        return kept.history

    async def _as_it_stood(self, incident: Incident, now: float) -> _Kept | None:
        """As an earlier run has stored it, and what is in no archived household read again; None: not stored."""
        erasures, stored = self._register.erasures, StoredPieces()
        try:
            checkpoint = await self._store.checkpoint(incident.id)
            if checkpoint is None or incident.since > checkpoint.usual_until:
                await self._store.forget(incident.id)
                return None
            history = self._history(since=checkpoint.since, usual_until=checkpoint.usual_until)
            async for records in self._store.pieces(incident.id, checkpoint, stored):
                await asyncio.to_thread(history.do_again, records)
            await asyncio.to_thread(history.keep_records)
        except ValueError as error:
            log.warning("incident %s: what is stored of its outcomes is left, all are read: %s", incident.id, error)
            await self._store.forget(incident.id)
            return None
        heads = {(stream, incarnation): position for stream, incarnation, position in checkpoint.heads}
        kept = _Kept(history, heads, erasures, stored)
        places, unread = await asyncio.to_thread(_live_places, checkpoint)
        for part in in_parts(places, self._timing.outcomes_at_once_max):
            rows = await self._register.outcomes_at(part)
            history.take(rows)
            unread.difference_update(part)
            await self._advance(
                kept, incident, now, lambda row: not _beyond(row, heads) and _journal_place(row) not in unread
            )
        return kept

    def _history(self, *, since: float, usual_until: float) -> IncidentHistory:
        return IncidentHistory(
            since=since,
            usual_until=usual_until,
            expectations=self._expectations,
            live_max=self._live_max,
        )

    async def _keep_pieces(self, kept: _Kept, incident: Incident, *, stands: bool = False) -> None:
        """Stores what has been archived, when that comes to a piece; `stands`: it has taken in all up to its heads."""
        history, stored, register = kept.history, kept.stored, self._register
        # Where it stands is written with each: what of it grows with those who are not archived is to be no more.
        due = history.recorded_bytes >= max(self._timing.piece_bytes_min, PLACE_BYTES * history.live)
        if not due and (not stands or kept.stands):
            return
        content = await asyncio.to_thread(piece_of, history.take_records())
        number, size_bytes = stored.count, stored.size_bytes + len(content)
        if size_bytes > self._timing.pieces_bytes_max:
            log.warning("incident %s: more is archived of its outcomes than is stored", incident.id)
            history.drop_records()
            await self._store.forget(incident.id)
            kept.stands = True
            return
        last = await asyncio.to_thread(checksum, stored.checksum, content)
        where = b""
        if stands:
            checkpoint = await asyncio.to_thread(history.checkpoint, kept.heads, pieces=number + 1, stands_on=last)
            where = await asyncio.to_thread(checkpoint_bytes, checkpoint)

        async def work(transaction: Transaction) -> None:
            if register.erasures != kept.erasures:
                return  # somebody was erased, and would be told of again
            await save_piece(transaction, incident.id, number, content)
            if where:
                await save_checkpoint(transaction, incident.id, where, form=self._form)

        self._store.note(incident.id)
        await self._database.write(work)
        kept.stored, kept.stands = StoredPieces(number + 1, last, size_bytes), stands

    @property
    def _live_max(self) -> int:
        """How many outcomes of an incident may be in memory one by one beside what is kept of the others."""
        room = self._timing.kept_outcomes_max - sum(each.history.rows for each in self._kept.values())
        return max(min(self._timing.live_outcomes_max, room), 0)

    async def _from_nothing(self, incident: Incident, now: float) -> _Kept:
        """Read in steps, each as it would be when it came late."""
        register, since = self._register, incident.since - evaluation.BEFORE_SECONDS
        erasures, heads = register.erasures, await register.heads()
        usual_until = max(incident.opened_at, incident.since)
        history = self._history(since=since, usual_until=usual_until)
        history.keep_records()
        kept = _Kept(history, heads, erasures, StoredPieces())
        async for part in register.stored_outcomes(since, inf, service=incident.service):
            history.take(row for row in part if not _beyond(row, heads))
            await self._advance(kept, incident, now, partial(_is_taken, heads=heads, part=part))
        return kept

    async def _go_on(self, kept: _Kept, incident: Incident, now: float) -> None:
        register, history = self._register, kept.history
        before, kept.heads = kept.heads, await register.heads()
        since, began = incident.since - evaluation.BEFORE_SECONDS, history.since
        if since < began:
            history.since = since
            async for part in register.stored_outcomes(since, began, service=incident.service):
                history.take(row for row in part if not _beyond(row, before))
                known = partial(_is_taken, heads=before, part=part, known_from=began)
                await self._advance(kept, incident, now, known)
        elif since > began:
            await asyncio.to_thread(history.begin_at, since)
        taken = dict(before)
        async for part in register.outcomes_after(before, kept.heads):
            # Whatever service tells it: who is on a device may change by it.
            history.joined([row.outcome.device for row in part if _joins(row)])
            history.take(row for row in part if row.outcome.service == incident.service)
            taken |= {(row.stream, row.incarnation): row.position for row in part}
            await self._advance(kept, incident, now, partial(_is_taken, heads=taken))
        await self._advance(kept, incident, now, partial(_is_taken, heads=taken))

    async def _advance(
        self, kept: _Kept, incident: Incident, now: float, taken: Callable[[StoredOutcome], bool]
    ) -> None:
        """`taken`: whether an outcome of the service has been taken in so far."""
        history = kept.history
        recalled: list[JournalPlace] = []
        devices: list[str] = []
        while True:
            if recalled := await asyncio.to_thread(history.to_recall, now):
                of_those = self._register.outcomes_of_those
                found, rows = await of_those(recalled, service=incident.service, since=history.since)
                await asyncio.to_thread(history.recall, found, [row for row in rows if taken(row)])
            elif devices := await asyncio.to_thread(history.devices_to_look_up, now):
                held = await self._database.read(lambda q, devices=devices: store.holders_of(q, devices))  # type: ignore[misc]
                await asyncio.to_thread(history.hold, devices, held)
            else:
                break
        await asyncio.to_thread(history.advance, now)
        await self._keep_pieces(kept, incident)


def _beyond(row: StoredOutcome, heads: Heads) -> bool:
    """Stored after the heads were read: it comes with what is new at the next look."""
    return row.position > heads.get((row.stream, row.incarnation), -1)


def _is_taken(row: StoredOutcome, *, heads: Heads, part: Sequence[StoredOutcome] = (), known_from: float = inf) -> bool:
    """Whether it was read up to `heads`; where that is done in the order of time, up to the end of a `part`."""
    reached = not part or row.outcome.time >= known_from or row.place <= part[-1].place
    return reached and not _beyond(row, heads)


def _live_places(checkpoint: HistoryCheckpoint) -> tuple[list[JournalPlace], set[JournalPlace]]:
    places = [JournalPlace(*place) for place in checkpoint.live_places()]
    return places, set(places)


def _journal_place(row: StoredOutcome) -> JournalPlace:
    return JournalPlace(row.stream, row.incarnation, row.position)


def _joins(row: StoredOutcome) -> bool:
    return bool(row.outcome.observed and row.outcome.device and row.outcome.customer)
