"""Claims and dispatch: what is due for a party is claimed, as much as its window has room for, and written.

What is claimed stands in the queue of the bind that it leaves by (`pairs`). What cannot be written after all is given
back, and has its old place in the order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from prikkfri.errors import FatalError, LocalProtocolError, StorageError
from prikkfri.protocols.smpp.pdu import Command
from prikkfri.sms import delivery, store
from prikkfri.sms.holders import ANOTHERS, NumberHolder, bound_messages
from prikkfri.sms.holding.service import Holding
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import DueReceipt, Ending, Message
from prikkfri.sms.quarantine.service import Quarantine
from prikkfri.sms.reading_back import difference
from prikkfri.sms.receipts import store as receipts_store
from prikkfri.sms.receipts.service import Receipts
from prikkfri.sms.routing import Party, numbering_of, way_on
from prikkfri.sms.shared.service import CentreState, Connection, log
from prikkfri.sms.trail import Step
from prikkfri.storage import Transaction

PAUSE_SECONDS_MIN = 0.001
T = TypeVar("T", Message, DueReceipt)


@dataclass
class SetAside:
    """What stood in a queue and is not written."""

    back: list[Message] = field(default_factory=list)
    """What is to wait again."""
    elsewhere: list[tuple[Message, Party | None]] = field(default_factory=list)
    """With the way that it takes, if it takes any."""
    misdirected: list[tuple[Message, str]] = field(default_factory=list)
    """With why it may not be written."""

    @property
    def ids(self) -> set[str]:
        return {each.id for each in self.back} | {each.id for each, _ in (*self.elsewhere, *self.misdirected)}


class Dispatch:
    def __init__(self, shared: CentreState, receipts: Receipts, quarantine: Quarantine, holding: Holding) -> None:
        self._shared = shared
        self._receipts = receipts
        self._quarantine = quarantine
        self._holding = holding
        self._asking: set[str] = set()
        """Messages of which it is asked who holds their number: they keep their place, and are not written yet."""
        self._hands: dict[str, NumberHolder] = {}
        """Of those whose number is held by somebody else, or nobody, what was found."""
        self._unsound: dict[str, str] = {}
        """Why, of each that was not to be written and is in no quarantine yet: the next try might write it, behind what
        was to follow it."""
        self._untold: dict[str, bool] = {}
        """Receipts that were claimed and not written, until it is stored that they wait again; whether they would have
        told of another message."""
        self._served_last: dict[Party, str] = {}
        """The origin whose turn it was last: the next one is the first to be served then."""
        self._numbering = numbering_of(shared.settings)

    async def send_out(self, connection: Connection, party: Party) -> None:
        """Sends what is due, until the connection has ended or the centre leaves."""
        shared = self._shared
        try:
            while not (connection.ended or shared.bound.leaving):
                connection.awake.clear()
                await self._write_what_waits(connection, party)
                if party.kind == "account":
                    await self._write_claimed_receipts(connection, party)
                now, session = shared.clock.monotonic(), connection.session
                room = shared.pairs[party].room(connection, session.window_room, session.limits.window)
                room = min(room, shared.pace(party).room(now))
                room = room if connection.writable and party not in shared.drained else 0
                room = delivery.at_once(room, connection.session.limits.window, shared.bound.count(party))
                if room > 0 and connection.due:
                    connection.due = False
                    if await self._send_paced(connection, party, room) >= room:
                        connection.due = True
                        continue
                look = shared.timing.look_seconds
                pause = shared.pace(party).seconds_until_room(shared.clock.monotonic())
                try:
                    async with shared.clock.timeout(min(look, max(pause, PAUSE_SECONDS_MIN)) if pause > 0 else look):
                        await connection.awake.wait()
                except TimeoutError:
                    connection.due = True
            if shared.bound.leaving:
                await self._give_back(connection, party)  # a peer may take its time over its goodbye
                await self._take_back_receipts(party)
        except FatalError:
            connection.close("nothing more can be sent")
            raise
        except Exception:  # the edge of a task: whatever it was, what is claimed must not stay behind
            log.exception("%s: nothing more can be sent over this connection", party)
            connection.close("nothing more can be sent")

    async def leave(self, connection: Connection, party: Party) -> None:
        """Nothing leaves by an ended connection any more: what follows goes by others, or waits as before."""
        pairs, bound = self._shared.pairs[party], self._shared.bound
        while pairs.queue(connection):
            # Given back, it would be claimed by another bind in the midst of what is yet to be given back.
            if not bound.leaving and (heir := bound.any_of(party)):
                pairs.hand_over(connection, heir)
                heir.awake.set()
                return
            await self._give_back(connection, party)
        pairs.forget(connection)

    async def _give_back(self, connection: Connection, party: Party) -> None:
        """Gives back what was claimed and not written, so that it waits as before."""
        shared = self._shared
        queue = shared.pairs[party].queue(connection)
        if queue:
            unwritten = list(queue)
            try:
                await shared.database.write(partial(store.release, ids=[each.id for each in unwritten]))
            except StorageError as error:
                log.error("%s: cannot give back: %s", party, error)
                if shared.bound.leaving:
                    queue.clear()  # in doubt, when we start again
                await shared.clock.sleep(shared.timing.storage_pause_seconds)
                return
            given_back = {each.id for each in unwritten}
            while queue and queue[0].id in given_back:
                queue.popleft()
            shared.pairs[party].leave(unwritten)
            shared.came_back(party)
            shared.bound.wake([party])

    async def _write_what_waits(self, connection: Connection, party: Party) -> None:
        """What others have claimed of pairs that leave by this connection, and what its window had no room for."""
        shared, queue = self._shared, self._shared.pairs[party].queue(connection)
        if not queue:
            return
        if self._is_stopped(party, queue[0]) or shared.pace(party).pauses(shared.clock.monotonic()):
            await self._give_back(connection, party)  # what was refused meanwhile goes before it
            return
        await self._write(connection, party)
        if not queue:  # not at each answer: others would claim for it one by one
            shared.bound.wake([party])

    async def _take_back_receipts(self, party: Party) -> None:
        """Those that were claimed at once and are not written wait again."""
        try:
            await self._receipts.take_back(party)
        except StorageError as error:
            log.error("%s: cannot give back receipts: %s", party, error)  # they do when we start again

    async def _write_claimed_receipts(self, connection: Connection, party: Party) -> None:
        """Writes the receipts that were claimed as their messages ended, as far as there is room."""
        shared, queue = self._shared, self._shared.claimed_receipts.get(party)
        if not queue or shared.holds or not connection.session.may_ask(Command.DELIVER_SM):
            return
        now = shared.clock.monotonic()
        room = shared.pairs[party].room(connection, connection.session.window_room, connection.session.limits.window)
        room = min(room, shared.pace(party).room(now), len(queue)) if connection.writable else 0
        if room <= 0:
            return
        shared.paces[party] = shared.pace(party).spent(room, now)
        receipts = [queue.popleft() for _ in range(room)]
        left, wrong = self._write_receipts(connection, receipts)
        queue.extendleft(receipt for receipt in reversed(receipts) if receipt.id in left)
        connection.flush()
        self._untold |= dict.fromkeys(wrong, True)
        await self._put_off_receipts()

    async def _send_paced(self, connection: Connection, party: Party, room: int) -> int:
        """The same as `_send_due`, of which the party's other connections know while it goes on."""
        shared, pace = self._shared, self._shared.pace(party)
        shared.paces[party] = pace.spent(room, shared.clock.monotonic())
        claimed = await self._send_due(connection, party, room, probes=pace.paused)
        if claimed < room and shared.pace(party).paused == pace.paused:  # else it is nobody's room any more
            shared.paces[party] = shared.pace(party).given_back(room - claimed, shared.clock.monotonic())
        return claimed

    async def _send_due(self, connection: Connection, party: Party, room: int, *, probes: bool) -> int:
        """Claims up to `room` of what is due and writes it; returns how many it claimed.

        `probes`: it is to show whether the party takes any again.
        """
        command, pairs = _command(party), self._shared.pairs[party]
        if self._shared.holds or not connection.session.may_ask(command):
            return 0
        try:
            receipts, messages = await self._claim(party, room)
        except StorageError as error:
            log.error("%s: cannot claim: %s", party, error)
            connection.due = True
            return 0
        asked = bound_messages(messages) if party.kind == "link" else []
        self._asking.update(each.id for each in asked)
        leave_by = {pairs.enter(message, connection) for message in messages} - {connection}
        for each in leave_by:
            each.awake.set()
        if is_late := not probes and self._shared.pace(party).paused:
            left, wrong = [receipt.id for receipt in receipts], list[str]()
        else:
            left, wrong = self._write_receipts(connection, receipts)
        if asked:
            await self._ask_who_holds(asked)
            for each in leave_by:
                each.awake.set()
        if is_late or (not probes and self._shared.pace(party).paused):
            # Since it was claimed the party has said that we are too fast: what it refused so goes before this.
            await self._give_back(connection, party)
        else:
            await self._write(connection, party)
        self._untold |= dict.fromkeys(left, False) | dict.fromkeys(wrong, True)
        await self._put_off_receipts()
        connection.due |= bool(left)
        return len(messages) + len(receipts)

    def _write_receipts(self, connection: Connection, receipts: Sequence[DueReceipt]) -> tuple[list[str], list[str]]:
        """Those that could not be written, and those that may not be: they would have told something else."""
        parameters, encode = connection.session.takes_parameters, self._shared.wire.encode
        outgoing: list[tuple[DueReceipt, delivery.OutgoingPdu]] = []
        kept_back: list[tuple[DueReceipt, str]] = []
        room = max(connection.session.window_room, 0)
        for receipt in receipts[:room]:
            try:
                outgoing.append((receipt, delivery.receipt_body(receipt, parameters=parameters, encode=encode)))
            except delivery.Misdirected as error:
                kept_back.append((receipt, str(error)))
        left = [receipt.id for receipt in receipts[room:]]
        differing = self._ask(connection, Command.DELIVER_SM, outgoing)
        if differing is None:
            left = [receipt.id for receipt, _ in outgoing] + left
        else:
            kept_back += differing
        for receipt, why in kept_back:
            log.critical("the receipt of %s is kept back: %s", receipt.id, why)
        return left, [receipt.id for receipt, _ in kept_back]

    def _is_stopped(self, party: Party, message: Message) -> bool:
        """Over a link that was stopped, since it was claimed perhaps, canaries leave and nothing else."""
        outage = self._shared.outages.get(party.name) if party.kind == "link" else None
        return outage is not None and outage.stopped and message.message_class != "canary"

    async def _write(self, connection: Connection, party: Party) -> None:
        """Writes what stands in the connection's queue, as far as its window has room."""
        shared, session, queue = self._shared, connection.session, self._shared.pairs[party].queue(connection)
        aside, looked_at = SetAside(), list[Message]()
        while queue and connection.writable and session.window_room > 0 and not shared.bound.leaving:
            seen, taken = self._look_through(queue, party, session.window_room, aside)
            if not seen:
                break
            outgoing = self._bodies(connection, party, taken, aside)
            differing = self._ask(connection, _command(party), outgoing)
            for _ in seen:
                queue.popleft()
            looked_at += seen
            if differing is None:
                queue.extendleft(message for message, _ in reversed(outgoing))
                break
            aside.misdirected += differing
        connection.flush()
        for message, why in aside.misdirected:
            if message.id not in self._unsound:
                log.critical("message %s is in quarantine: %s", message.id, why)
                self._unsound[message.id] = why
        left = aside.ids
        unwritten = [message for message in looked_at if message.id in left]
        try:
            if aside.misdirected:
                await self._quarantine_messages([(message.id, why) for message, why in aside.misdirected])
                for message, _ in aside.misdirected:
                    left.discard(message.id)
                    self._unsound.pop(message.id, None)
            if aside.elsewhere:
                await self._send_elsewhere(aside.elsewhere, party)
                for message, _ in aside.elsewhere:
                    left.discard(message.id)
                    self._hands.pop(message.id, None)
            if aside.back:
                await shared.database.write(partial(store.release, ids=[each.id for each in aside.back]))
                left.clear()
                shared.came_back(party)
        except StorageError as error:
            # They keep their places. Given up, the connection would put all in doubt that it has not been answered.
            log.error("%s: cannot put aside what is not to be sent: %s", party, error)
            queue.extendleft(message for message in reversed(unwritten) if message.id in left)
            await shared.clock.sleep(shared.timing.storage_pause_seconds)
        shared.pairs[party].leave([message for message in unwritten if message.id not in left])

    def _look_through(
        self, queue: Iterable[Message], party: Party, room: int, aside: SetAside
    ) -> tuple[list[Message], list[Message]]:
        """Of a queue those that were looked at, and those of them, `room` at most, that are to be written."""
        seen: list[Message] = []
        taken: list[Message] = []
        for message in queue:
            if len(taken) == room or message.id in self._asking or message.id in self._shared.withheld:
                break
            seen.append(message)
            if self._is_stopped(party, message):
                aside.back.append(message)
                continue
            if (found := self._hands.get(message.id)) is not None:
                to = None if found is NumberHolder.ANOTHERS else self._way_on(message, party)
                if to != party:
                    aside.elsewhere.append((message, to))
                    continue
                del self._hands[message.id]
            if (why := self._unsound.get(message.id)) is not None:
                aside.misdirected.append((message, why))
                continue
            taken.append(message)
        return seen, taken

    def _bodies(
        self, connection: Connection, party: Party, messages: Sequence[Message], aside: SetAside
    ) -> list[tuple[Message, delivery.OutgoingPdu]]:
        """What is to be written of these, but for what may not be."""
        shared, parameters = self._shared, connection.session.takes_parameters
        now, absolute = shared.clock.now(), shared.is_told_until(party)
        outgoing = []
        for message in messages:
            try:
                pdu = delivery.wire_body(
                    message, shared.sealer, party, now=now, parameters=parameters, absolute=absolute,
                    numbering=self._numbering, encode=shared.wire.encode,
                )  # fmt: skip
                outgoing.append((message, pdu))
            except delivery.TooLate:  # while it was claimed; nobody claims it again
                aside.back.append(message)
            except delivery.Misdirected as error:
                aside.misdirected.append((message, str(error)))
        return outgoing

    async def _claim(self, party: Party, room: int) -> tuple[list[DueReceipt], list[Message]]:
        now = self._shared.clock.now()

        async def work(tx: Transaction) -> tuple[list[DueReceipt], list[Message]]:
            receipts = []
            if party.kind == "account":
                receipts = await receipts_store.claim_receipts(tx, str(party), limit=room, now=now)
                if len(receipts) < room:
                    self._shared.caught_up.add(party)
            after = self._served_last.get(party, "")
            return receipts, await store.claim(tx, str(party), limit=room - len(receipts), now=now, after=after)

        receipts, messages = await self._shared.database.write(work)
        if messages:
            self._served_last[party] = messages[-1].origin
        return receipts, messages

    async def _ask_who_holds(self, messages: Sequence[Message]) -> None:
        ids = {each.id for each in messages}
        try:
            found = await self._holding.look(messages)
            for each in ids:
                self._hands.pop(each, None)  # what was found when it was claimed before
            self._hands |= found
        finally:
            self._asking -= ids

    def _way_on(self, message: Message, party: Party) -> Party:
        return way_on(self._shared.routes, party, message.recipient, Party.parse(message.origin))

    async def _send_elsewhere(self, messages: Sequence[tuple[Message, Party | None]], party: Party) -> None:
        """By the route that a number has now which nobody of ours holds any more; nowhere (None) if another does."""
        now = self._shared.clock.now()

        async def work(tx: Transaction) -> list[Ending]:
            for message, to in messages:
                if to is None:
                    step = Step(now, "changed-hands", "its number is another subscriber's than when it was accepted")
                else:
                    await store.release(tx, [message.id])
                    await store.move(tx, str(party), str(to), limit=1, among=[message.id])
                    step = Step(now, "routed-anew", f"nobody of ours holds its number any more; it goes by {to.name}")
                await store.add_events(tx, [(message.id, step)])
            another_s = [(message.id, DeliveryState.REJECTED, ANOTHERS) for message, to in messages if to is None]
            endings = await store.end(tx, another_s, now=now)
            await self._receipts.record_ended(tx, endings, now)
            return endings

        ended = await self._shared.database.write(work)
        self._shared.counters.changed_hands += len(ended)
        self._receipts.tell_ended(ended)
        self._shared.bound.wake({to for _, to in messages if to is not None})

    def _ask(
        self, connection: Connection, command: Command, outgoing: Sequence[tuple[T, delivery.OutgoingPdu]]
    ) -> list[tuple[T, str]] | None:
        """Writes what is as it should be; returns what is not, and why it was not written.

        None: the session has ended, or we are leaving, since it was claimed; nothing was written.
        """

        def check(number: int, pdu: bytes, sequence: int) -> str:
            return difference(pdu, sequence, outgoing[number][1].wanted)

        if self._shared.bound.leaving:
            return None
        try:
            differences = connection.session.ask_all(
                command,
                [pdu.body for _, pdu in outgoing],
                [context for context, _ in outgoing],
                self._shared.clock.monotonic(),
                check=check,
            )
        except LocalProtocolError:
            return None
        return [
            (context, f"read back, it differs in its {field}")
            for (context, _), field in zip(outgoing, differences, strict=True)
            if field
        ]

    async def _put_off_receipts(self) -> None:
        """What is not told now waits; what would have told of another message waits longer, and its trail says so.

        While that cannot be stored it is tried again by whichever connection claims next: none is given up for it.
        """
        untold, self._untold = self._untold, {}
        if not untold:
            return
        now, timing = self._shared.clock.now(), self._shared.timing
        left = [each for each, wrong in untold.items() if not wrong]
        kept_back = [each for each, wrong in untold.items() if wrong]
        step = Step(now, "receipt-kept-back", "what was to be written differed from what it was to tell")

        async def work(tx: Transaction) -> None:
            await receipts_store.put_off_receipts(tx, left, due_at=now)
            await receipts_store.put_off_receipts(tx, kept_back, due_at=now + timing.receipt_retry_seconds)
            await store.add_events(tx, [(each, step) for each in kept_back])

        try:
            await self._shared.database.write(work)
        except StorageError as error:
            log.error("receipts that were not told cannot be put off: %s", error)
            self._untold |= untold
            await self._shared.clock.sleep(timing.storage_pause_seconds)

    async def _quarantine_messages(self, misdirected: list[tuple[str, str]]) -> None:
        """With why: it stands in their trails."""
        now = self._shared.clock.now()

        async def work(tx: Transaction) -> list[Ending]:
            ended = await self._quarantine.hold_messages(tx, [identity for identity, _ in misdirected], now)
            await store.add_events(tx, [(identity, Step(now, "kept-back", why)) for identity, why in misdirected])
            await self._receipts.record_ended(tx, ended, now)
            return ended

        self._receipts.tell_ended(await self._shared.database.write(work))


def _command(party: Party) -> Command:
    return Command.SUBMIT_SM if party.kind == "link" else Command.DELIVER_SM
