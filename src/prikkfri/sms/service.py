"""The message centre: takes messages on from accounts and links, carries them to links and accounts, tells of both.

Theory of operation. Every bound connection has two tasks. One takes the session's events in batches: it decides what
they come to (`intake`), stores that in one transaction, and only then answers. The other claims what is due for that
party, as much as the window has room for, and writes it to the wire. The database is the queue between them all, so a
crash loses nothing: what is WAITING is claimed again, what was SENDING is in doubt.
"""

import asyncio
import contextlib
import logging
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from prikkfri.clock import Clock
from prikkfri.config import Account, Link, Sms
from prikkfri.errors import FencedOut, InDoubt, LocalProtocolError, StorageError
from prikkfri.journal import Journal
from prikkfri.protocols.smpp.concatenation import References
from prikkfri.protocols.smpp.pdu import (
    Bind,
    BindAnswer,
    Command,
    MessageAnswer,
    ShortMessage,
    Status,
    Tag,
    encode_body,
)
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, receipt_message
from prikkfri.protocols.smpp.session import Answered, Ended, Event, Limits, Request, Side, Unreadable
from prikkfri.sms import delivery, outcomes, server, store
from prikkfri.sms.addresses import Address, read_sender
from prikkfri.sms.authentication import Rejected, Secrets
from prikkfri.sms.binding import ROOM, Room, Unbound, bind_refused
from prikkfri.sms.intake import Given, Intake, Told, hand_in, read_events
from prikkfri.sms.messages import DueReceipt, Ending, Message, State, network_state, reference_of
from prikkfri.sms.routing import Exposed, Party, Routes, Stop, moves, numbering_of, switched
from prikkfri.sms.sealing import Sealer
from prikkfri.sms.submission import Bucket, Refusal, Rules, text_message
from prikkfri.sms.timing import TIMING, Timing
from prikkfri.sms.trail import Step, Trail, build_trail
from prikkfri.storage import Database, Queries, Transaction

log = logging.getLogger("prikkfri.sms")

Connection = server.Connection[Told]
FATAL = (FencedOut, InDoubt)
"""Another process writes, or nobody can tell what is written: to answer or to claim now would be a guess. The role
ends, and finds out when it starts again what there is."""

SYSTEM_ID = "prikkfri"
ANYBODY = "*"
"""Among the `senders` of an account that sends for others."""
BATCH_EVENTS_MAX = 500
ACCOUNT_WINDOW = 50
HOUSEKEEPING_BATCH = 500
LEFT_WAITING_MAX = 5_000
MOVING_BATCH = 5_000
EXPOSED_MAX = 200_000


@dataclass
class Counters:
    accepted: int = 0
    refused: int = 0
    sent: int = 0
    delivered: int = 0
    failed: int = 0
    in_doubt: int = 0
    quarantined: int = 0
    receipts_unmatched: int = 0
    cut: int = 0
    """Connections for which there was no room, or that made room for others."""
    binds_refused: int = 0
    secrets_wrong: int = 0
    secrets_not_looked_at: int = 0


class SmsCentre:
    def __init__(
        self,
        *,
        database: Database,
        journal: Journal,
        settings: Sms,
        sealing_key: bytes,
        clock: Clock,
        entropy: Callable[[int], bytes],
        smpp_sockets: Sequence[socket.socket],
        timing: Timing = TIMING,
        room: Room = ROOM,
        trusted: Sequence[str] = (),
    ) -> None:
        """`smpp_sockets` listen already; `entropy(n)` gives n random octets fit for keys.

        `trusted`: addresses or networks of proxies, which connect for others.
        """
        self._database = database
        self._journal = journal
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._sockets = smpp_sockets
        self._timing = timing
        self._room = room
        self._sealer = Sealer(sealing_key)
        self._routes = Routes.of(settings)
        self._secrets = Secrets(settings.accounts)
        self._references = References()
        self._accounts = {account.system_id: account for account in settings.accounts}
        self._partners = {link.name: link.partner for link in settings.links}
        self._buckets: dict[Party, Bucket] = {}
        self._full: frozenset[Party] = frozenset()
        """Parties for whom as much waits as may wait."""
        self._bound: defaultdict[Party, list[Connection]] = defaultdict(list)
        self._bound_at: dict[Party, float] = {}
        self._throttled_until: dict[Party, float] = {}
        self._connections: set[Connection] = set()
        self._unbound: Unbound[Connection] = Unbound(room, trusted)
        self._binds: dict[str, Bucket] = {}
        self._nobody_bound = asyncio.Event()
        self._nobody_bound.set()
        self._leaving = False
        self._counters = Counters()
        self._stops: dict[str, Stop] = {}

    # what others call

    async def run(self) -> None:
        """Serves until cancelled; then unbinds and closes within seconds."""
        await self._recover()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:

            def opened(connection: Connection) -> None:
                if self._makes_room_for(connection):
                    tasks.create_task(self._serve_account(connection), name="account")
                else:
                    connection.abort()

            limits = Limits(window=ACCOUNT_WINDOW, bind_seconds_max=self._timing.bind_seconds_max)

            def accept() -> Connection:
                return server.Connection(Side.CENTRE, limits, self._clock, opened)

            listening = [await loop.create_server(accept, sock=at) for at in self._sockets]
            for link in self._settings.links:
                tasks.create_task(self._keep_link(link), name=f"link {link.name}")
            tasks.create_task(self._housekeep(), name="housekeeping")
            try:
                while True:
                    await asyncio.sleep(self._timing.look_seconds)
                    for connection in list(self._connections):
                        connection.tick()
            finally:
                self._leaving = True
                for each in listening:
                    each.close()
                await self._leave()

    def authenticate(self, system_id: str, password: str, *, address: str) -> Account | Rejected:
        """Over either edge; `address` is the client's."""
        found = self._secrets.authenticate(system_id, password, address=address, now=self._clock.now())
        self._counters.secrets_wrong += isinstance(found, Rejected) and found.retry_after_s is None
        self._counters.secrets_not_looked_at += isinstance(found, Rejected) and found.retry_after_s is not None
        return found

    async def submit(self, account: Account, sender: str, recipient: str, text: str) -> str | Refusal:
        """Takes a text on: returns its id once it is durable. Raises `StorageError`."""
        message = text_message(sender, recipient, text)
        if isinstance(message, Refusal):
            return message
        party = Party("account", account.system_id)
        intake = Intake(self._bucket(party))
        status, identity = hand_in(intake, message, self._given(party))
        self._buckets[party] = intake.bucket
        await self._store(party, intake)
        return identity or Refusal(status, intake.outcomes[-1].reason)

    async def trail(self, message: str) -> Trail | None:
        return await message_trail(self._database, message)

    async def send_canary(
        self, link: str, phone: str, text: str, *, seconds: float, note: Callable[[Transaction, str], Awaitable[None]]
    ) -> None:
        """Sends our own message over a link, stopped or not; `note` stores with it, by its id, what it is for.

        `seconds`: how long it may wait for the link. Raises `StorageError`.
        """
        message = text_message(SYSTEM_ID, phone, text)
        assert not isinstance(message, Refusal)
        rules = Rules(Party("canary", link), Routes.over(link), message_class="canary", validity_seconds_max=seconds)
        given = Given(rules, self._sealer, self._partners, self._entropy, self._clock.now())
        intake = Intake(Bucket(1.0, given.now))
        _, identity = hand_in(intake, message, given)  # its outcomes are dropped: it is nobody's message

        async def work(tx: Transaction) -> None:
            await store.insert(tx, intake.messages)
            await note(tx, identity)

        await self._database.write(work)
        self._wake([Party("link", link)])

    def stop_of(self, link: str) -> Stop | None:
        """What is known of the last time that a link's route was stopped."""
        return self._stops.get(link)

    async def switch_route(
        self, link: str, state: str, *, who: str, reason: str, exposed_since: float = 0.0, likely_since: float = 0.0
    ) -> None:
        """Makes a link's route `stopped` or `open`; a no-op when it is so. Raises `StorageError`.

        Stopped, its messages are kept, or go by the link that is configured to take them instead.
        """

        async def work(tx: Transaction) -> dict[str, Stop]:
            stops, now = await store.routes(tx), self._clock.now()
            stop = switched(
                stops.get(link), state, who=who, reason=reason, exposed_since=exposed_since, likely_since=likely_since,
                now=now,
            )  # fmt: skip
            if stop is not None:
                stops[link] = stop
                await store.put_route(tx, link, stop)
                self._journal.record(
                    tx, outcomes.switched(link, state, self._partners, who=who, reason=reason, now=now)
                )
            return stops

        self._know_routes(await self._database.write(work))
        await self._move_waiting()

    async def waiting(self, link: str) -> int:
        """How many messages wait for a link, those that are held included."""
        parties = [Party("link", link), Party("held", link)]
        return sum([await self._database.read(partial(store.waiting, target=str(party))) for party in parties])

    async def exposed(self, link: str, *, since: float, until: float) -> list[Exposed]:
        """The messages that went over a link in a time, `EXPOSED_MAX` at most."""
        return await exposed(self._database, self._settings, link, since=since, until=until)

    def counters(self) -> dict[str, float]:
        counted = self._counters
        return {
            "messages_accepted_total": counted.accepted,
            "messages_refused_total": counted.refused,
            "messages_sent_total": counted.sent,
            "messages_delivered_total": counted.delivered,
            "messages_failed_total": counted.failed,
            "messages_in_doubt_total": counted.in_doubt,
            "messages_quarantined_total": counted.quarantined,
            "receipts_unmatched_total": counted.receipts_unmatched,
            "secrets_wrong_total": counted.secrets_wrong,
            "secrets_not_looked_at_total": counted.secrets_not_looked_at,
            "connections": len(self._connections),
            "connections_unbound": len(self._unbound),
            "connections_cut_total": counted.cut,
            "binds_refused_total": counted.binds_refused,
            "links_bound": sum(len(bound) for party, bound in self._bound.items() if party.kind == "link"),
            "links": len(self._settings.links),
        }

    # connections

    def _makes_room_for(self, connection: Connection) -> bool:
        """Takes a new connection on, if need be in the place of one that has not bound; whether it could."""
        if self._leaving:
            return False
        if len(self._connections) >= self._room.connections_max:
            if (silent := self._unbound.oldest()) is None:
                self._counters.cut += 1
                return False
            self._cut(silent)
        if (silent := self._unbound.enter(connection, connection.address)) is not None:
            self._cut(silent)
        self._connections.add(connection)
        return True

    def _cut(self, connection: Connection) -> None:
        self._counters.cut += 1
        self._unbound.leave(connection)
        self._connections.discard(connection)
        connection.abort()

    async def _serve_account(self, connection: Connection) -> None:
        try:
            account = await self._welcome(connection)
            if account is not None:
                await self._attend(connection, Party("account", account.system_id))
        except FATAL:
            raise
        except Exception:
            # One connection's misfortune is not to take down the centre.
            log.exception("connection from %s given up", connection.peer)
        finally:
            connection.close("closed")
            self._connections.discard(connection)
            self._unbound.leave(connection)

    async def _welcome(self, connection: Connection) -> Account | None:
        [first] = await connection.take(1)
        if not isinstance(first, Request) or not isinstance(first.body, Bind):
            return None
        account = self.authenticate(first.body.system_id, first.body.password, address=connection.address)
        if isinstance(account, Rejected):
            if account.retry_after_s is not None:
                connection.session.answer(first, Status.BIND_FAILED)
            else:
                await self._refuse_bind(connection, first, Status.INVALID_PASSWORD, "wrong system_id or password")
            return None
        party, now = Party("account", account.system_id), self._clock.monotonic()
        bucket = self._binds.get(account.system_id) or Bucket(account.binds_max, now)
        left = bind_refused(account, len(self._bound[party]), bucket, self._room, now)
        if isinstance(left, str):
            await self._refuse_bind(connection, first, Status.BIND_FAILED, f"{party}: {left}")
            return None
        self._binds[account.system_id] = left
        self._unbound.leave(connection)
        # Peers older than 3.4 do not expect optional parameters.
        tlvs = ((Tag.SC_INTERFACE_VERSION, b"\x34"),) if first.body.interface_version >= 0x34 else ()
        connection.session.answer(first, Status.OK, BindAnswer(SYSTEM_ID, tlvs))
        connection.flush()
        return account

    async def _refuse_bind(self, connection: Connection, bind: Request, status: Status, why: str) -> None:
        log.warning("bind from %s refused: %s", connection.peer, why)
        self._counters.binds_refused += 1
        await asyncio.sleep(self._timing.wrong_password_seconds)
        connection.session.answer(bind, status)

    async def _keep_link(self, link: Link) -> None:
        failures = 0
        while not self._leaving:
            connection: Connection = server.Connection(
                Side.ESME, Limits(window=link.window), self._clock, self._connections.add
            )
            try:
                await self._connect(connection, link)
                if await self._bind(connection, link):
                    failures = 0
                    log.info("link %s is bound", link.name)
                    await self._attend(connection, Party("link", link.name))
                    log.info("link %s has ended", link.name)
            except (OSError, TimeoutError) as error:
                log.warning("link %s: cannot connect: %s", link.name, error or "no answer")
            except FATAL:
                raise
            except Exception:
                log.exception("link %s: connection given up", link.name)
            finally:
                connection.close("closed")
                self._connections.discard(connection)
            spread = self._entropy(1)[0] / 255
            await asyncio.sleep(
                delivery.reconnect_pause(failures, spread, first_seconds=self._timing.reconnect_seconds)
            )
            failures += 1

    async def _connect(self, connection: Connection, link: Link) -> None:
        async with asyncio.timeout(self._timing.connect_seconds_max):
            await asyncio.get_running_loop().create_connection(lambda: connection, link.host, link.port)

    async def _bind(self, connection: Connection, link: Link) -> bool:
        bind = Bind(link.system_id, link.password)
        connection.session.bind(Command.BIND_TRANSCEIVER, bind, self._clock.monotonic())
        connection.flush()
        [first] = await connection.take(1)
        if isinstance(first, Answered) and first.status == Status.OK:
            return True
        why = f"status {first.status:#x}" if isinstance(first, Answered) else getattr(first, "reason", "out of step")
        log.warning("link %s: bind refused: %s", link.name, why)
        return False

    async def _attend(self, connection: Connection, party: Party) -> None:
        """Takes from and sends to a bound connection until it has ended."""
        self._bound[party].append(connection)
        self._bound_at[party] = self._clock.now()
        self._nobody_bound.clear()
        sending = asyncio.create_task(self._send_out(connection, party), name=f"to {party}")
        try:
            await self._take_in(connection, party)
        finally:
            self._bound[party].remove(connection)
            connection.close("closed")
            connection.awake.set()
            await sending  # never cancelled: it may be in the middle of a claim
            if not any(self._bound.values()):
                self._nobody_bound.set()
        if not self._leaving and str(party) in self._accounts_away():
            await self._tell_left_waiting([party])

    def _accounts_away(self) -> frozenset[str]:
        """The accounts, as parties, for which nobody is bound who takes messages."""
        parties = [Party("account", name) for name in self._accounts]
        return frozenset(
            str(party)
            for party in parties
            if not any(each.session.may_ask(Command.DELIVER_SM) for each in self._bound.get(party, ()))
        )

    async def _tell_left_waiting(self, parties: Iterable[Party]) -> None:
        """Nobody takes these accounts' messages any more: what waits for them is their own matter from now on."""
        now = self._clock.now()
        after = now - self._timing.left_waiting_seconds

        async def work(tx: Transaction) -> None:
            for party in parties:
                left = await store.left_waiting(tx, str(party), accepted_after=after, limit=LEFT_WAITING_MAX)
                self._journal.record(tx, *(outcomes.left_waiting(message, self._partners, now=now) for message in left))

        try:
            await self._database.write(work)
        except FATAL:
            raise
        except StorageError as error:
            log.error("what waits for accounts that are not bound is not told: %s", error)

    async def _leave(self) -> None:
        for connection in self._connections:
            connection.session.unbind(self._clock.monotonic())
            connection.flush()
            connection.awake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.leave_seconds_max):
                await self._nobody_bound.wait()
        for connection in list(self._connections):
            connection.close("the centre stops")
            connection.abort()
        await asyncio.sleep(0)

    # in

    async def _take_in(self, connection: Connection, party: Party) -> None:
        while True:
            batch = await connection.take(BATCH_EVENTS_MAX)
            while batch:
                try:
                    over = await self._process(connection, party, batch)
                except FATAL:
                    raise
                except StorageError as error:
                    log.error("%s: cannot store: %s", party, error)
                    batch = self._refuse_requests(connection, batch)
                    await asyncio.sleep(self._timing.storage_pause_seconds)
                    batch += connection.arrived(BATCH_EVENTS_MAX)
                    continue
                if over:
                    return
                batch = []

    def _refuse_requests(self, connection: Connection, batch: list[Event | Told]) -> list[Event | Told]:
        """Says no to what can be asked again; keeps what must not be forgotten."""
        kept: list[Event | Told] = []
        for event in batch:
            if isinstance(event, Request) and event.command != Command.UNBIND:
                status = Status.QUEUE_FULL
                if event.command == Command.DELIVER_SM:
                    status = Status.TEMPORARY_APPLICATION_ERROR
                connection.session.answer(event, status, MessageAnswer())
            else:
                kept.append(event)
        connection.flush()
        return kept

    async def _process(self, connection: Connection, party: Party, batch: list[Event | Told]) -> Ended | None:
        intake = read_events(batch, self._bucket(party), self._given(party))
        self._buckets[party] = intake.bucket  # before anything is awaited: an account may have several connections
        unmatched = await self._store(party, intake)
        for request, status, body in intake.answers:
            connection.session.answer(request, status, body)
        for told in intake.told:
            if told.request.sequence not in unmatched or await self._held(connection, party, told):
                connection.session.answer(told.request, Status.OK, MessageAnswer())
        if intake.unbind is not None:
            connection.session.answer(intake.unbind, Status.OK)
            connection.close("the peer unbound")
        connection.flush()
        if intake.throttled:
            self._throttled_until[party] = self._clock.monotonic() + self._timing.throttled_seconds
        if any(isinstance(event, Answered | Unreadable) for event in batch):
            connection.awake.set()
        return intake.over

    async def _store(self, party: Party, intake: Intake) -> set[int]:
        """Makes an intake durable; returns the sequence numbers of receipts that fit no message yet.

        Raises `StorageError`.
        """
        now = self._clock.now()

        async def work(tx: Transaction) -> tuple[set[int], list[Ending]]:
            await store.insert(tx, intake.messages)
            await store.mark_sent(tx, intake.sent, now=now)
            await store.mark_in_doubt(tx, intake.in_doubt, due_at=now + self._settings.in_doubt_seconds)
            for message, retry in intake.put_off:
                await store.put_off(tx, message, due_at=retry.due_at, reason=retry.reason)
            await store.receipts_given(tx, intake.receipts_given, now=now)
            await store.put_off_receipts(tx, intake.receipts_put_off, due_at=now + self._timing.receipt_retry_seconds)
            await store.add_events(tx, intake.events)
            self._journal.record(tx, *intake.outcomes)
            endings = [
                await store.end(tx, message, state, reason=reason, now=now) for message, state, reason in intake.ended
            ]
            unmatched = set()
            for told in intake.told:
                ending, matched = await self._end_by_receipt(tx, party, told, now)
                endings.append(ending)
                if not matched:
                    unmatched.add(told.request.sequence)
            ended = [ending for ending in endings if ending is not None]
            await self._record_endings(tx, ended, now)
            return unmatched, ended

        unmatched, ended = await self._database.write(work)
        self._counters.accepted += len(intake.messages)
        self._counters.refused += intake.refused
        self._counters.sent += len(intake.sent)
        self._counters.in_doubt += len(intake.in_doubt)
        self._count_and_wake(ended)
        self._wake(Party.parse(message.target) for message in intake.messages)
        return unmatched

    async def _end_by_receipt(
        self, tx: Transaction, party: Party, told: Told, now: float
    ) -> tuple[Ending | None, bool]:
        """The message that a receipt has ended, and whether the receipt fitted any."""
        state = network_state(told.receipt.state)
        if state is None:
            return None, True
        target, reason = str(party), "" if state is State.DELIVERED else f"network-{told.receipt.error}"
        known = told.receipt.message_id, told.recipient
        ending = await store.end_by_receipt(tx, target, *known, state, reason=reason, now=now)
        if ending is not None or await store.is_known_id(tx, target, *known):
            return ending, True
        for message in await store.find_in_doubt(tx, target, told.recipient) if told.reference is not None else ():
            if reference_of(message) == told.reference:
                await store.mark_sent(tx, [(message, told.receipt.message_id)], now=now)
                await store.add_events(tx, [(message, Step(now, "doubt-settled", "the network's receipt names it"))])
                return await store.end(tx, message, state, reason=reason, now=now), True
        return None, False

    async def _record_endings(self, tx: Transaction, endings: Iterable[Ending], now: float) -> None:
        told: set[str] = set()
        for ending in endings:
            # Parts may end together: what their submission came to is told once.
            if Party.parse(ending.origin).kind == "canary" or ending.submission in told:
                continue
            told.add(ending.submission)
            state: State | None = ending.state
            if ending.parts > 1:
                state = await store.end_submission(tx, ending.submission, now=now)
            if state is not None:
                dims = outcomes.dimensions(ending.origin, ending.target, ending.message_class, self._partners)
                for_account = Party.parse(ending.target).kind == "account"
                missed = state is State.EXPIRED and ending.target in self._accounts_away()
                reason = outcomes.NOT_BOUND if missed else ending.reason
                self._journal.record(
                    tx,
                    outcomes.settled(
                        ending.submission, ending.recipient, state, reason, dims, for_account=for_account, now=now
                    ),
                )

    async def _held(self, connection: Connection, party: Party, told: Told) -> bool:
        """A receipt that fits no message may be early: it is put back for a while (False), then held in quarantine."""
        now = self._clock.now()

        def later() -> bool:
            asyncio.get_running_loop().call_later(self._timing.early_receipt_look_seconds, connection.put_back, told)
            return False

        if now - told.since < self._timing.early_receipt_seconds or connection.ended:
            return later()

        async def work(tx: Transaction) -> None:
            receipt = told.receipt
            await store.hold_receipt(
                tx,
                party.name,
                receipt.message_id,
                receipt.state or 0,
                told.recipient,
                reason="fits-no-message",
                now=now,
            )

        try:
            await self._database.write(work)
        except FATAL:
            raise
        except StorageError:
            return later()
        self._counters.receipts_unmatched += 1
        log.error("link %s: a receipt fits no message and is in quarantine", party.name)
        return True

    # out

    async def _send_out(self, connection: Connection, party: Party) -> None:
        try:
            while not (connection.ended or self._leaving):
                connection.awake.clear()
                pause = self._throttled_until.get(party, 0.0) - self._clock.monotonic()
                room = connection.session.window_room if connection.writable and pause <= 0 else 0
                if room <= 0 or await self._send_due(connection, party, room) < room:
                    look = self._timing.look_seconds
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(min(look, pause) if pause > 0 else look):
                            await connection.awake.wait()
        except BaseException:
            connection.close("nothing more can be sent")
            raise

    async def _send_due(self, connection: Connection, party: Party, room: int) -> int:
        """Claims up to `room` of what is due and writes it; returns how many it claimed."""
        command = Command.SUBMIT_SM if party.kind == "link" else Command.DELIVER_SM
        if not connection.session.may_ask(command):
            return 0
        now = self._clock.now()

        async def work(tx: Transaction) -> tuple[list[DueReceipt], list[Message]]:
            receipts = []
            if party.kind == "account":
                receipts = await store.claim_receipts(tx, str(party), limit=room, now=now)
            return receipts, await store.claim(tx, str(party), limit=room - len(receipts), now=now)

        try:
            receipts, messages = await self._database.write(work)
        except FATAL:
            raise
        except StorageError as error:
            log.error("%s: cannot claim: %s", party, error)
            return 0
        held: list[str] = []
        unsent: list[str] = []
        for message in messages:
            try:
                body = delivery.wire_body(message, self._sealer, party, now=self._clock.now())
            except delivery.Misdirected as error:
                log.critical("message %s is in quarantine: %s", message.id, error)
                held.append(message.id)
                continue
            if not self._ask(connection, command, body, message):
                unsent.append(message.id)
        unsent_receipts = [
            receipt.id for receipt in receipts if not self._ask(connection, command, _receipt_body(receipt), receipt)
        ]
        connection.flush()
        if held or unsent or unsent_receipts:
            await self._give_back(held, unsent, unsent_receipts)
        return len(messages) + len(receipts)

    def _ask(self, connection: Connection, command: Command, body: bytes, context: object) -> bool:
        """Whether it was written; False when the session has ended, or we are leaving, since it was claimed."""
        if self._leaving:
            return False
        try:
            connection.session.ask(command, body, context, self._clock.monotonic())
        except LocalProtocolError:
            return False
        return True

    async def _give_back(self, held: list[str], unsent: list[str], unsent_receipts: list[str]) -> None:
        now = self._clock.now()

        async def work(tx: Transaction) -> list[Ending]:
            await store.release(tx, unsent)
            await store.put_off_receipts(tx, unsent_receipts, due_at=now)
            endings = [
                await store.end(tx, message, State.QUARANTINED, reason="misdirected", now=now) for message in held
            ]
            ended = [ending for ending in endings if ending is not None]
            await self._record_endings(tx, ended, now)
            return ended

        self._count_and_wake(await self._database.write(work))

    # time

    async def _recover(self) -> None:
        now = self._clock.now()

        async def work(tx: Transaction) -> list[Message]:
            doubtful = await store.doubt_what_was_sending(tx, due_at=now + self._settings.in_doubt_seconds)
            await store.add_events(
                tx, [(message.id, Step(now, "in-doubt", "the centre restarted")) for message in doubtful]
            )
            gone = [message for message in doubtful if message.goes_to_network]
            self._journal.record(
                tx, *(outcomes.handed_over(each, self._partners, reason="in-doubt", now=now) for each in gone)
            )
            return doubtful

        self._know_routes(await self._database.read(store.routes))
        doubtful = await self._database.write(work)
        self._counters.in_doubt += len(doubtful)
        await self._tell_left_waiting([Party("account", name) for name in self._accounts])
        if doubtful:
            log.warning("%d messages were on their way when the last process ended: in doubt", len(doubtful))

    async def _housekeep(self) -> None:
        erased_at = counted_at = 0.0
        while True:
            await asyncio.sleep(self._timing.look_seconds)
            now = self._clock.now()
            try:
                if now - counted_at >= self._timing.count_every_seconds:
                    counted_at = now
                    await self._find_full()
                await self._expire(now)
                for party, bound in list(self._bound.items()):
                    if bound and self._bound_at[party] + self._settings.in_doubt_seconds <= now:
                        await self._decide_doubts(party, now)
                if now - erased_at >= self._timing.erase_every_seconds:
                    erased_at = now
                    await self._erase(now)
            except FATAL:
                raise
            except StorageError as error:
                log.error("housekeeping: %s", error)

    def _know_routes(self, stops: dict[str, Stop]) -> None:
        self._stops = stops
        self._routes = Routes.of(self._settings, self._stopped())

    def _stopped(self) -> set[str]:
        return {link for link, stop in self._stops.items() if stop.stopped}

    async def _move_waiting(self) -> None:
        """Brings the messages that wait to where the routes say, after a switch and for what comes back later."""
        for source, target in moves(self._settings.links, self._stops, self._stopped()):
            event = {"held": "held", "link": "freed" if source.kind == "held" else "sent-another-way"}[target.kind]

            async def work(tx: Transaction, source: Party = source, target: Party = target, event: str = event) -> int:
                moved = await store.move(tx, str(source), str(target), limit=MOVING_BATCH)
                step = Step(self._clock.now(), event, f"from {source.kind} to {target.kind} {target.name}")
                await store.add_events(tx, [(message, step) for message in moved])
                return len(moved)

            while await self._database.write(work) == MOVING_BATCH:
                pass
            self._wake([target])

    async def _expire(self, now: float) -> None:
        async def work(tx: Transaction) -> tuple[int, list[Ending]]:
            ended = []
            overdue = await store.overdue(
                tx,
                limit=HOUSEKEEPING_BATCH,
                waiting_before=now,
                sent_before=now - self._timing.unreported_seconds,
            )
            for message, state in overdue:
                final = State.EXPIRED if state is State.WAITING else State.UNREPORTED
                reason = "in-doubt" if state is State.IN_DOUBT else str(final)
                if ending := await store.end(tx, message, final, reason=reason, now=now):
                    ended.append(ending)
            await self._record_endings(tx, ended, now)
            return len(overdue), ended

        found = HOUSEKEEPING_BATCH
        while found == HOUSEKEEPING_BATCH:
            found, ended = await self._database.write(work)
            self._count_and_wake(ended)

    async def _decide_doubts(self, party: Party, now: float) -> None:
        """No receipt has told what became of these: each account has said what it wants then."""

        async def work(tx: Transaction) -> list[Ending]:
            ended = []
            for message, origin in await store.settled_doubts(tx, str(party), limit=HOUSEKEEPING_BATCH, now=now):
                account = self._accounts.get(Party.parse(origin).name)
                if Party.parse(origin).kind == "canary" or (account is not None and account.in_doubt == "report"):
                    if ending := await store.end(tx, message, State.UNREPORTED, reason="in-doubt", now=now):
                        ended.append(ending)
                else:
                    await store.put_off(tx, message, due_at=now, reason="sent-again-after-doubt")
                    await store.add_events(
                        tx, [(message, Step(now, "to-be-sent-again", "no word of it after a doubt"))]
                    )
            await self._record_endings(tx, ended, now)
            return ended

        self._count_and_wake(await self._database.write(work))
        self._wake([party])

    async def _find_full(self) -> None:
        limit = self._settings.waiting_max
        parties = [
            *(Party(kind, name) for name in self._partners for kind in ("link", "held")),
            *(Party("account", name) for name in self._accounts),
        ]

        async def work(queries: Queries) -> frozenset[Party]:
            return frozenset([party for party in parties if await store.is_full(queries, str(party), limit=limit)])

        full = await self._database.read(work)
        for party in full - self._full:
            log.error("%d messages wait for %s: no more are taken on for it", limit, party)
        self._full = full

    async def _erase(self, now: float) -> None:
        async def work(tx: Transaction) -> int:
            before = now - self._settings.kept_days * 86_400
            return await store.erase(tx, ended_before=before, limit=HOUSEKEEPING_BATCH)

        while await self._database.write(work) == HOUSEKEEPING_BATCH:
            pass

    # small

    def _bucket(self, party: Party) -> Bucket:
        rate = self._rules(party).throughput_per_second_max
        return self._buckets.get(party) or Bucket(rate, self._clock.now())

    def _given(self, party: Party) -> Given:
        now = self._clock.now()
        away = self._accounts_away()
        return Given(self._rules(party), self._sealer, self._partners, self._entropy, now, away, self._references)

    def _rules(self, party: Party) -> Rules:
        validity = self._settings.validity_hours_max * 3600
        if party.kind == "link":
            return Rules(
                party,
                self._routes,
                full=self._full,
                validity_seconds_max=validity,
                numbering=numbering_of(self._settings),
            )
        account = self._accounts[party.name]
        return Rules(
            party,
            self._routes,
            full=self._full,
            message_class=account.message_class,
            senders=None if ANYBODY in account.senders else (*account.senders, *account.short_codes),
            validity_seconds_max=validity,
            throughput_per_second_max=account.throughput_per_second_max,
            ascii_is_gsm=account.data_coding_1 == "gsm",
            numbering=numbering_of(self._settings, account),
        )

    def _wake(self, parties: Iterable[Party]) -> None:
        for party in set(parties):
            for connection in self._bound.get(party, ()):
                connection.awake.set()

    def _count_and_wake(self, ended: list[Ending]) -> None:
        for ending in ended:
            if ending.state is State.DELIVERED:
                self._counters.delivered += 1
            else:
                self._counters.failed += 1
                self._counters.quarantined += ending.state is State.QUARANTINED
        self._wake(Party.parse(ending.origin) for ending in ended)


def _receipt_body(due: DueReceipt) -> bytes:
    told = Receipt(due.id, MessageState(due.state))
    sender = read_sender(due.sender) or Address(due.sender, 0, 0)
    recipient = read_sender(due.recipient) or Address(due.recipient, 0, 0)
    submitted = ShortMessage(
        source=sender.text,
        destination=recipient.text,
        source_ton=sender.ton,
        source_npi=sender.npi,
        destination_ton=recipient.ton,
        destination_npi=recipient.npi,
        tlvs=() if due.user_reference is None else ((Tag.USER_MESSAGE_REFERENCE, due.user_reference.to_bytes(2)),),
    )
    return encode_body(receipt_message(told, submitted, submitted=due.accepted_at, done=due.ended_at))


async def exposed(database: Database, settings: Sms, link: str, *, since: float, until: float) -> list[Exposed]:
    """The messages that went over a link in a time, oldest first, `EXPOSED_MAX` at most; canaries left out."""

    async def work(queries: Queries) -> list[Exposed]:
        return await store.exposed(
            queries,
            str(Party("link", link)),
            since=since,
            until=until,
            validity_seconds_max=settings.validity_hours_max * 3600,
            limit=EXPOSED_MAX,
        )

    return await database.read(work)


async def message_trail(database: Database, message: str) -> Trail | None:
    """What happened to a message, None when there is none of that id. The body is no part of it, numbers are masked."""

    async def work(queries: Queries) -> Trail | None:
        found = await store.facts(queries, message)
        if not found:
            return None
        return build_trail(found, await store.events(queries, [facts.id for facts in found]))

    return await database.read(work)
