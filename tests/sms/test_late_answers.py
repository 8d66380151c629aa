"""A partner that says at once what became of a message, and minutes later which message it was: in virtual time."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from cables import SHOP, CabledLoop, CabledPartner, link, running_centre

from prikkfri.protocols.smpp.pdu import Command, MessageResponse, ShortMessage, Status, encode_body
from prikkfri.protocols.smpp.session import Request
from prikkfri.sms.server import Connection
from prikkfri.sms.timing import TIMING


class SlowPartner(CabledPartner):
    """Its receipts bear no reference, and each of its answers comes `seconds` after its receipt."""

    def __init__(self, loop: CabledLoop, seconds: float) -> None:
        super().__init__(loop)
        self.seconds = seconds

    def answered(self) -> None:
        """Its receipts are."""

    def take(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        self.taken += 1
        identity = f"net-{self.taken}"
        text = f"id:{identity} sub:001 dlvrd:001 stat:DELIVRD err:000 text:".encode()
        told = ShortMessage(source=message.destination, destination=message.source, octets=text, esm_class=4)
        connection.session.ask(Command.DELIVER_SM, encode_body(told), identity, self.loop.time())

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
