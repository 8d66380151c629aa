"""A partner that says at once what became of a message, and minutes later which message it was: in virtual time."""

import asyncio
import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cables import SHOP, CabledLoop, CabledPartner, link, running_centre

from prikkfri.protocols.smpp.pdu import Command, MessageResponse, ShortMessage, Status, Tag, encode_body
from prikkfri.protocols.smpp.session import Request
from prikkfri.sms import store
from prikkfri.sms.server import Connection
from prikkfri.sms.timing import TIMING


class TellingPartner(CabledPartner):
    """It tells what became of messages."""

    def __init__(self, loop: CabledLoop, seconds: float = 0.0) -> None:
        super().__init__(loop)
        self.seconds = seconds

    def answered(self) -> None:
        """Its receipts are."""

    def tell(self, connection: Connection, message: ShortMessage, identity: str, *tlvs: tuple[int, bytes]) -> None:
        text = f"id:{identity} sub:001 dlvrd:001 stat:DELIVRD err:000 text:".encode()
        told = ShortMessage(source=message.destination, destination=message.source, octets=text, esm_class=4, tlvs=tlvs)
        connection.session.ask(Command.DELIVER_SM, encode_body(told), identity, self.loop.time())
        connection.flush()


class SlowPartner(TellingPartner):
    """Its receipts bear no reference, and each of its answers comes `seconds` after its receipt."""

    def take(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        self.taken += 1
        identity = f"net-{self.taken}"
        self.tell(connection, message, identity)

        def answer() -> None:
            connection.session.answer(request, Status.OK, MessageResponse(identity))
            connection.flush()

        self.loop.call_later(self.seconds, answer)


@pytest.mark.parametrize(
    ("seconds", "in_doubt", "state"),
    [
        (1.0, "resend", "delivered"),
        (90.0, "resend", "delivered"),
        (90.0, "report", "delivered"),
        (150.0, "resend", "delivered"),  # sent again by then: each copy has an id of its own
        (150.0, "report", "unreported"),
        (3_000.0, "resend", "unreported"),
    ],
)
def test_every_receipt_finds_its_message_however_late_the_answer_is(
    folder: Path, seconds: float, in_doubt: str, state: str
) -> None:
    loop = CabledLoop(lambda _, connection: partner.opened(connection), lambda: 0.01)
    partner = SlowPartner(loop, seconds)
    account = replace(SHOP, in_doubt=in_doubt)

    async def work() -> None:
        async with running_centre(loop, folder, link(), account=account) as (centre, database):
            await asyncio.sleep(5.0)
            await centre.submit(account, "Shop", "4790000001", "hei")

            async def found() -> list[tuple[object, ...]]:
                return await database.read(
                    lambda queries: queries.fetch(
                        "SELECT state, (SELECT COUNT(*) FROM sms_network_receipt) FROM sms_message"
                    )
                )

            await asyncio.sleep(seconds + TIMING.early_receipt_seconds + 1.0)
            assert await found() == [(state, 0)]

    try:
        loop.run_until_complete(work())
    finally:
        loop.close()


def test_what_waits_for_another_by_now_is_not_sent_when_the_first_has_it(folder: Path) -> None:
    loop = CabledLoop(lambda _, connection: partner.opened(connection), lambda: 0.01)
    partner = SlowPartner(loop, 200.0)
    nord = link(throughput_per_second_max=0.01)

    async def work() -> None:
        async with running_centre(loop, folder, nord) as (centre, database):
            await asyncio.sleep(5.0)
            for number in range(4):
                await centre.submit(SHOP, "Shop", f"479000000{number}", "hei")

            async def states() -> list[tuple[object, ...]]:
                return await database.read(
                    lambda queries: queries.fetch("SELECT state, target FROM sms_message ORDER BY accepted_at, id")
                )

            await asyncio.sleep(150.0)  # the first is to be sent again, behind what was due before
            waits, unanswered = ("waiting", "link:nord"), ("sending", "link:nord")
            assert await states() == [waits, unanswered, waits, waits]
            await database.write(lambda tx: store.move(tx, "link:nord", "held:nord", limit=10))
            await asyncio.sleep(60.0)
            held = ("waiting", "held:nord")
            assert await states() == [("delivered", "link:nord"), ("in-doubt", "link:nord"), held, held]
            assert partner.taken == 2

    try:
        loop.run_until_complete(work())
    finally:
        loop.close()


class SilentPartner(TellingPartner):
    """It answers nothing, and tells `seconds` later what became of a message, by the reference that this bore."""

    def take(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        self.taken += 1
        reference = message.tlv(Tag.USER_MESSAGE_REFERENCE)
        assert reference is not None
        told = (connection, message, f"net-{self.taken}", (Tag.USER_MESSAGE_REFERENCE, reference))
        self.loop.call_later(self.seconds, self.tell, *told)


def test_what_a_receipt_names_while_it_waits_to_be_sent_again_is_not_sent(folder: Path) -> None:
    loop = CabledLoop(lambda _, connection: partner.opened(connection), lambda: 0.01)
    partner = SilentPartner(loop, 180.0)
    nord = link(throughput_per_second_max=0.01)

    async def work() -> None:
        async with running_centre(loop, folder, nord) as (centre, database):
            await asyncio.sleep(5.0)
            for number in range(3):
                await centre.submit(SHOP, "Shop", f"479000000{number}", "hei")
            await asyncio.sleep(195.0)
            states = await database.read(
                lambda queries: queries.fetch("SELECT state FROM sms_message ORDER BY accepted_at, id")
            )
            assert states == [("delivered",), ("in-doubt",), ("waiting",)]
            assert partner.taken == 2

    try:
        loop.run_until_complete(work())
    finally:
        loop.close()


# Drawn: answers of every kind, at once, late and never, while much else waits for the link.


@dataclass
class Copy:
    text: bytes
    came_at: float
    answered_at: float
    status: Status


class DrawnPartner(TellingPartner):
    """It answers each copy as it is drawn, and tells what became of what it took; it knows what it was given when."""

    def __init__(self, loop: CabledLoop, rng: random.Random) -> None:
        super().__init__(loop)
        self.rng = rng
        self.copies: list[Copy] = []

    def take(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        self.taken += 1
        now, identity = self.loop.time(), f"net-{self.taken}"
        seconds = self.rng.choice((0.1, self.rng.uniform(60.0, 200.0), self.rng.uniform(60.0, 200.0)))
        status = self.rng.choice((Status.OK, Status.OK, Status.QUEUE_FULL, Status.INVALID_DESTINATION))
        self.copies.append(Copy(message.octets, now, now + seconds, status))

        def answer() -> None:
            connection.session.answer(request, status, MessageResponse(identity if status == Status.OK else ""))
            if status == Status.OK:
                self.tell(connection, message, identity)
            connection.flush()

        self.loop.call_later(seconds, answer)


@pytest.mark.parametrize("seed", range(6))
def test_what_a_partner_has_said_of_one_copy_is_heard_before_another_leaves(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    loop = CabledLoop(lambda _, connection: partner.opened(connection), lambda: 0.01)
    partner = DrawnPartner(loop, rng)
    nord = link(throughput_per_second_max=rng.choice((0.02, 0.05, 1.0)), window=rng.choice((1, 2, 10)))

    async def work() -> dict[bytes, str]:
        async with running_centre(loop, folder, nord) as (centre, database):
            await asyncio.sleep(5.0)
            texts = {}
            for number in range(6):
                text = f"hei {number}"
                texts[await centre.submit(SHOP, "Shop", f"47900000{number % 2:02}", text)] = text.encode()
            await asyncio.sleep(600.0)
            rows = await database.read(lambda queries: queries.fetch("SELECT id, state FROM sms_message"))
            return {texts[identity]: str(state) for identity, state in rows}

    try:
        states = loop.run_until_complete(work())
    finally:
        loop.close()
    assert len(partner.copies) >= len(states)
    for text, state in states.items():
        copies = [copy for copy in partner.copies if copy.text == text]
        for copy in copies:
            if copy.status == Status.OK:
                assert not [each for each in copies if each.came_at > copy.answered_at + 0.1], (text, copies)
        unanswered = [copy for copy in copies if copy.answered_at - copy.came_at > 60.0]
        assert len(unanswered) <= 2, (text, copies)  # in doubt twice it is not sent again
        if state == "rejected":  # what was said of an earlier copy says nothing of a later one
            assert copies[-1].status == Status.INVALID_DESTINATION, (text, copies)
        if state == "delivered":
            assert [copy for copy in copies if copy.status == Status.OK], (text, copies)
