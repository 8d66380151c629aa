"""Bound sessions: what a peer asks and answers is taken in, stored and only then answered; what is due goes out."""

import asyncio
import contextlib
from collections.abc import Iterable

from prikkfri.errors import FencedOut, StorageError
from prikkfri.protocols.smpp.pdu import Command, MessageResponse, Status
from prikkfri.protocols.smpp.session import Event, PeerResponse, Request, SessionEnd, UnreadableResponse
from prikkfri.sms import outcomes
from prikkfri.sms.dispatch.service import Dispatch
from prikkfri.sms.housekeeping import store
from prikkfri.sms.intake import read_events
from prikkfri.sms.pairs import responded_messages
from prikkfri.sms.routing import Party
from prikkfri.sms.shared.service import CentreState, Connection, log
from prikkfri.sms.submissions.service import Submissions
from prikkfri.storage import Transaction

BATCH_EVENTS_MAX = 500
LEFT_WAITING_MAX = 5_000
_OK = Status.OK
_ANSWERS = frozenset({PeerResponse, UnreadableResponse})


class Sessions:
    def __init__(self, shared: CentreState, submissions: Submissions, dispatch: Dispatch) -> None:
        self._shared = shared
        self._submissions = submissions
        self._dispatch = dispatch

    async def attend(self, connection: Connection, party: Party) -> None:
        """Takes from and sends to a bound connection until it has ended."""
        bound = self._shared.bound
        bound.enter(party, connection, self._shared.clock.now())
        sending = asyncio.create_task(self._dispatch.send_out(connection, party), name=f"to {party}")
        try:
            await self._take_in(connection, party)
        finally:
            bound.leave(party, connection, self._shared.clock.monotonic())
            connection.close("closed")
            connection.awake.set()
            await sending  # never cancelled: it may be in the middle of a claim
            await self._dispatch.leave(connection, party)
            bound.left(party)
            self._shared.came_back(party)
        if not bound.leaving and self._shared.is_away(str(party)):
            await self.tell_left_waiting([party])

    async def tell_left_waiting(self, parties: Iterable[Party]) -> None:
        """Nobody takes these accounts' messages any more: what waits for them is their own matter from now on."""
        shared, now = self._shared, self._shared.clock.now()
        after = now - shared.timing.left_waiting_seconds

        async def work(tx: Transaction) -> None:
            for party in parties:
                left = await store.left_waiting(tx, str(party), accepted_after=after, limit=LEFT_WAITING_MAX)
                told = [outcomes.left_waiting(message, shared.partners, now=now) for message in left]
                shared.journal.record(tx, *told)

        try:
            await shared.database.write(work)
        except StorageError as error:
            log.error("what waits for accounts that are not bound is not told: %s", error)

    async def unbind_all(self) -> None:
        """Says goodbye to everybody, and closes within seconds."""
        bound = self._shared.bound
        for connection in bound.connections:
            connection.session.unbind(self._shared.clock.monotonic())
            connection.flush()
            connection.awake.set()
        with contextlib.suppress(TimeoutError):
            async with self._shared.clock.timeout(self._shared.timing.leave_seconds_max):
                await bound.nobody.wait()
        for connection in list(bound.connections):
            connection.close("the centre stops")
            connection.abort()
        await asyncio.sleep(0)

    async def _take_in(self, connection: Connection, party: Party) -> None:
        while True:
            batch = await connection.take(BATCH_EVENTS_MAX)
            while batch:
                try:
                    over = await self._process(connection, party, batch)
                except FencedOut:
                    _refuse_requests(
                        connection, batch, Status.SYSTEM_ERROR
                    )  # of a doubt nobody is told: it may be kept
                    raise
                except StorageError as error:
                    log.error("%s: cannot store: %s", party, error)
                    batch = _refuse_requests(connection, batch, Status.QUEUE_FULL)
                    await self._shared.clock.sleep(self._shared.timing.storage_pause_seconds)
                    batch += connection.arrived(BATCH_EVENTS_MAX)
                    continue
                if over:
                    return
                batch = []

    async def _process(self, connection: Connection, party: Party, batch: list[Event]) -> SessionEnd | None:
        shared, arrived = self._shared, self._shared.clock.monotonic()
        intake = read_events(batch, shared.bucket(party), shared.batch_context(party))
        shared.buckets[party] = intake.bucket  # before anything is awaited: an account may have several connections
        refused = await self._submissions.store(party, intake)
        shared.pairs[party].leave(responded_messages(batch))  # now that what is sent again waits in its place
        if party.kind == "link":
            shared.traffic[party.name].note_events(batch, arrived)
        for request, status, body in intake.answers:
            connection.session.answer(request, status, body)
        for told in intake.told:
            status = Status.TEMPORARY_APPLICATION_ERROR if told in refused else _OK
            connection.session.answer(told.request, status, MessageResponse())
        if intake.unbind is not None:
            connection.session.answer(intake.unbind, Status.OK)
            connection.close("the peer unbound")
        connection.flush()
        if intake.taken or intake.throttled:
            pace = shared.pace(party)
            shared.paces[party] = pace.answered(intake.taken, intake.throttled, shared.clock.monotonic())
        if not _ANSWERS.isdisjoint(map(type, batch)):
            connection.awake.set()
        return intake.over


def _refuse_requests(connection: Connection, batch: list[Event], submitted: Status) -> list[Event]:
    """Says no to what can be asked again (to an account: `submitted`); keeps what must not be forgotten."""
    kept: list[Event] = []
    for event in batch:
        if isinstance(event, Request) and event.command != Command.UNBIND:
            status = submitted
            if event.command in (Command.DELIVER_SM, Command.DATA_SM):
                status = Status.TEMPORARY_APPLICATION_ERROR
            connection.session.answer(event, status, MessageResponse())
        else:
            kept.append(event)
    connection.flush()
    return kept
