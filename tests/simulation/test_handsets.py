"""The phones: what they show, what they send, and their page in a browser."""

import asyncio
import socket
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.clock import SystemClock
from prikkfri.protocols.smpp.concatenation import ESM_CLASS_HEADER, read_part, split
from prikkfri.protocols.smpp.pdu import Bind, Command, MessageResponse, ShortMessage, Status, encode_body
from prikkfri.protocols.smpp.receipt import MessageState, parse_receipt
from prikkfri.protocols.smpp.session import Limits, PeerResponse, Request, Side
from prikkfri.protocols.smpp.text import decode_parts, encode_text
from prikkfri.simulation.handsets.network import Phones
from prikkfri.simulation.handsets.server import HandsetNetwork, application
from prikkfri.sms.server import Connection

KARI, OLA = "4790000001", "4790000002"
PASSWORD = "secret12"


def phones() -> Phones:
    return Phones([(f"+{KARI}", "Kari"), (OLA, "Ola")])


@given(st.text(min_size=1, max_size=900))
def test_what_one_phone_sends_another_shows(text: str) -> None:
    found = phones()
    entry, messages = found.send(found.by_number[KARI], f"+{OLA}", text, "1", 0.0)
    assert (entry.direction, entry.text) == ("out", text)
    shown = [found.receive(message, "2", 1.0)[2] for message in messages]
    assert [screen.text for screen in shown if screen] == [text]
    assert shown[-1] is not None
    assert shown[-1].parts == len(messages)
    assert [screen.text for screen in found.by_number[OLA].entries] == [text]


def test_a_number_that_is_no_phone_here_is_undeliverable() -> None:
    state, phone, entry = phones().receive(ShortMessage("Shop", "4799999999", b"hei"), "1", 0.0)
    assert (state, phone, entry) == (MessageState.UNDELIVERABLE, None, None)


def test_what_is_not_text_is_rejected_and_never_shown() -> None:
    found = phones()
    state, _, entry = found.receive(ShortMessage("Shop", KARI, b"\xd8", data_coding=8), "1", 0.0)
    assert (state, entry) == (MessageState.REJECTED, None)
    assert not found.by_number[KARI].entries


class Network:
    """The network with one link bound by the test."""

    def __init__(self) -> None:
        self.network = HandsetNetwork(phones(), password=PASSWORD, clock=SystemClock(), name="Fjordmobil")
        self.link: Connection = Connection(Side.ESME, Limits(), SystemClock(), lambda _: None)

    async def __aenter__(self) -> "Network":
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self._running = asyncio.create_task(self.network.run([self._listening]))
        await asyncio.sleep(0)
        await asyncio.get_running_loop().create_connection(lambda: self.link, "127.0.0.1", port)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(application(self.network)), base_url="http://phones"
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.link.close("done")
        await self.http.aclose()
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._listening.close()

    async def bind(self, password: str = PASSWORD) -> int:
        self.link.session.bind(Command.BIND_TRANSCEIVER, Bind("prikkfri", password), 0.0)
        self.link.flush()
        answered = await self.event()
        assert isinstance(answered, PeerResponse)
        return answered.status

    async def event(self) -> Any:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            [event] = await self.link.take(1)
        return event


async def test_a_link_binds_with_its_password_only() -> None:
    async with Network() as at:
        assert await at.bind("wrong") == Status.INVALID_PASSWORD
    async with Network() as at:
        assert await at.bind() == Status.OK


async def test_a_message_shows_on_its_phone_and_its_receipt_is_sent() -> None:
    coding, octets = encode_text("Hei på deg " * 30 + "€")
    async with Network() as at:
        await at.bind()
        for piece in split(octets, coding, 9):
            message = ShortMessage(
                "Shop", KARI, piece, data_coding=coding, esm_class=ESM_CLASS_HEADER, registered_delivery=1
            )
            at.link.session.ask(Command.SUBMIT_SM, encode_body(message), None, 0.0)
        at.link.flush()
        accepted, told = set(), set()
        while len(told) < 3:
            event = await at.event()
            if isinstance(event, PeerResponse):
                assert isinstance(event.body, MessageResponse)
                accepted.add(event.body.message_id)
            else:
                receipt = parse_receipt(event.body)
                assert receipt.state is MessageState.DELIVERED
                told.add(receipt.message_id)
                at.link.session.answer(event, Status.OK, MessageResponse())
        assert accepted == told
        [entry] = (await at.http.get(f"/phones/+{KARI}/inbox")).json()
        assert (entry["from"], entry["text"], entry["parts"]) == ("Shop", "Hei på deg " * 30 + "€", 3)


async def test_a_phone_sends_over_the_link_and_knows_whether_it_was_taken() -> None:
    async with Network() as at:
        body = {"to": "2010", "text": "STOPP 😀"}
        assert (await at.http.post(f"/phones/{KARI}/send", json=body)).status_code == 202
        await at.bind()  # what was typed while there was no link goes out when there is one
        request = await at.event()
        assert isinstance(request, Request)
        assert isinstance(request.body, ShortMessage)
        assert (request.body.source, request.body.destination) == (KARI, "2010")
        _, octets = read_part(request.body)
        assert decode_parts([(request.body.data_coding, octets)]) == "STOPP 😀"
        at.link.session.answer(request, Status.TEMPORARY_APPLICATION_ERROR, MessageResponse())
        at.link.flush()
        again = await at.event()
        assert again.body == request.body
        at.link.session.answer(again, Status.INVALID_DESTINATION, MessageResponse())
        at.link.flush()

        async def state() -> str:
            shown = (await at.http.get("/phones")).json()
            return str(shown["phones"][0]["entries"][0]["state"])

        async def decided() -> bool:
            return await state() != "sending"

        await eventually(decided)
        assert await state() == "failed"
        shown = (await at.http.get("/phones")).json()
        assert (shown["network"], shown["linked"]) == ("Fjordmobil", True)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 400),
        (b"[", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b'{"to": "", "text": "x"}', "application/json", 400),
        (b'{"to": "2010", "text": "\\ud800"}', "application/json", 400),
        (b'{"to": "2010", "text": "x"}', "text/plain", 415),
        (b'{"to": "' + b"1" * 30 + b'", "text": "x"}', "application/json", 422),
        (b"x" * 70_000, "application/json", 413),
    ],
)
async def test_what_cannot_be_sent_is_refused(body: bytes, kind: str, status: int) -> None:
    async with Network() as at:
        answer = await at.http.post(f"/phones/{KARI}/send", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert not at.network.phones.by_number[KARI].entries
        assert (await at.http.post("/phones/4799999999/send", content=body)).status_code == 404


async def test_the_page_and_its_parts_are_served() -> None:
    async with Network() as at:
        for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.mjs", "text/javascript")):
            answer = await at.http.get(path)
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(kind)
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "--space-1" in (await at.http.get("/tokens.css")).text
