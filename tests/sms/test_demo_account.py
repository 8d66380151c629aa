"""The demo is whole: the account of its short code is bound, takes what phones reply, and answers."""

import asyncio
from typing import Any

from sms_house import NUMBER

from prikkfri.config import Account
from prikkfri.protocols.smpp.pdu import Command, ShortMessage, Status
from prikkfri.protocols.smpp.text import decode_text
from prikkfri.simulation.demo import SMPP_PASSWORD, configuration
from prikkfri.simulation.life import ANSWER, ITS_ACCOUNT, SHORT_CODE, answer_replies


async def test_what_a_phone_replies_to_the_short_code_is_taken_and_answered(house: Any) -> None:
    assert f'system_id = "{ITS_ACCOUNT}"' in configuration() and f'short_codes = ["{SHORT_CODE}"]' in configuration()
    account = Account(system_id=ITS_ACCOUNT, password=SMPP_PASSWORD, short_codes=(SHORT_CODE,))
    async with house(accounts=(account,)) as at:
        link = await at.bound_link()
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, destination=SHORT_CODE, octets=b"BYTT"))
        assert (await link.answered()).status == Status.OK
        [waiting] = await at.outcomes("deliver")
        assert (waiting.layer, waiting.reason) == ("account", "account-not-bound")
        answering = asyncio.create_task(answer_replies(at.port))
        request, message = await link.message()
        assert (message.source, message.destination) == (SHORT_CODE, NUMBER)
        assert decode_text(message.data_coding, message.octets) == ANSWER
        link.take_message(request, "net-1")
        await at.until("SELECT state FROM sms_message WHERE recipient = '2010'", "delivered")
        assert [(each.layer, each.verdict) for each in await at.outcomes("deliver")][1] == ("account", "kept")
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
