"""Claims and dispatch: what is due for a party is claimed, as much as its window has room for, and written."""

import asyncio
import contextlib
from dataclasses import dataclass, field

from prikkfri.errors import LocalProtocolError, StorageError
from prikkfri.protocols.smpp.pdu import Command
from prikkfri.sms import delivery, store
from prikkfri.sms.messages import DueReceipt, Ending, Message
from prikkfri.sms.quarantine.service import Quarantine
from prikkfri.sms.receipts import store as receipts_store
from prikkfri.sms.receipts.service import Receipts
from prikkfri.sms.routing import Party
from prikkfri.sms.shared.service import Connection, Shared, log
from prikkfri.storage import Transaction

PAUSE_SECONDS_MIN = 0.001


@dataclass
class _Unwritten:
    """What was claimed and did not come to the wire."""

    misdirected: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)


class Dispatch:
    def __init__(self, shared: Shared, receipts: Receipts, quarantine: Quarantine) -> None:
        self._shared = shared
        self._receipts = receipts
        self._quarantine = quarantine

    async def send_out(self, connection: Connection, party: Party) -> None:
        """Sends what is due, until the connection has ended or the centre leaves."""
        shared = self._shared
        try:
            while not (connection.ended or shared.bound.leaving):
                connection.awake.clear()
                now, pace = shared.clock.monotonic(), shared.pace(party)
                room = min(connection.session.window_room, pace.room(now)) if connection.writable else 0
                room = delivery.at_once(room, connection.session.limits.window, shared.bound.count(party))
                if room <= 0 or await self._send_paced(connection, party, room) < room:
                    look = shared.timing.look_seconds
                    pause = shared.pace(party).seconds_until_room(shared.clock.monotonic())
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(min(look, max(pause, PAUSE_SECONDS_MIN)) if pause > 0 else look):
                            await connection.awake.wait()
        except BaseException:
            connection.close("nothing more can be sent")
            raise

    async def _send_paced(self, connection: Connection, party: Party, room: int) -> int:
        """The same as `_send_due`, of which the party's other connections know while it goes on."""
        shared = self._shared
        shared.paces[party] = shared.pace(party).spent(room, shared.clock.monotonic())
        claimed = await self._send_due(connection, party, room)
        if claimed < room:
            shared.paces[party] = shared.pace(party).given_back(room - claimed, shared.clock.monotonic())
        return claimed

    async def _send_due(self, connection: Connection, party: Party, room: int) -> int:
        """Claims up to `room` of what is due and writes it; returns how many it claimed."""
        command = Command.SUBMIT_SM if party.kind == "link" else Command.DELIVER_SM
        if self._shared.holds or not connection.session.may_ask(command):
            return 0
        try:
            receipts, messages = await self._claim(party, room)
        except StorageError as error:
            log.error("%s: cannot claim: %s", party, error)
            return 0
        left = _Unwritten()
        now, parameters = self._shared.clock.now(), connection.session.takes_parameters
        for message in messages:
            try:
                body = delivery.wire_body(message, self._shared.sealer, party, now=now, parameters=parameters)
            except delivery.Misdirected as error:
                log.critical("message %s is in quarantine: %s", message.id, error)
                left.misdirected.append(message.id)
                continue
            if not self._ask(connection, command, body, message):
                left.messages.append(message.id)
            elif party.kind == "link":
                self._shared.traffic[party.name].wrote(message, self._shared.clock.monotonic())
        for receipt in receipts:
            if not self._ask(connection, command, delivery.receipt_body(receipt, parameters=parameters), receipt):
                left.receipts.append(receipt.id)
        connection.flush()
        if left.misdirected or left.messages or left.receipts:
            await self._give_back(left)
        return len(messages) + len(receipts)

    async def _claim(self, party: Party, room: int) -> tuple[list[DueReceipt], list[Message]]:
        now = self._shared.clock.now()

        async def work(tx: Transaction) -> tuple[list[DueReceipt], list[Message]]:
            receipts = []
            if party.kind == "account":
                receipts = await receipts_store.claim_receipts(tx, str(party), limit=room, now=now)
            return receipts, await store.claim(tx, str(party), limit=room - len(receipts), now=now)

        return await self._shared.database.write(work)

    def _ask(self, connection: Connection, command: Command, body: bytes, context: object) -> bool:
        """Whether it was written; False when the session has ended, or we are leaving, since it was claimed."""
        if self._shared.bound.leaving:
            return False
        try:
            connection.session.ask(command, body, context, self._shared.clock.monotonic())
        except LocalProtocolError:
            return False
        return True

    async def _give_back(self, left: _Unwritten) -> None:
        now = self._shared.clock.now()

        async def work(tx: Transaction) -> list[Ending]:
            await store.release(tx, left.messages)
            await receipts_store.put_off_receipts(tx, left.receipts, due_at=now)
            ended = await self._quarantine.hold_messages(tx, left.misdirected, now)
            await self._receipts.record_ended(tx, ended, now)
            return ended

        self._receipts.tell_ended(await self._shared.database.write(work))
