"""A partner that goes wrong, over real sockets: what it does, what it says, and what only the world is told."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import web
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.clock import SystemClock
from prikkfri.config import load
from prikkfri.protocols.smpp.pdu import Bind, Command, MessageResponse, ShortMessage, Status, encode_body
from prikkfri.protocols.smpp.receipt import MessageState, parse_receipt
from prikkfri.protocols.smpp.session import Event, Limits, PeerResponse, Request, Side
from prikkfri.simulation.canary_phones import CanaryPhones, token_of
from prikkfri.simulation.handsets.network import Phones
from prikkfri.simulation.misdelivery import Plan, configuration
from prikkfri.simulation.partners.network import Fault, PartnerNetwork
from prikkfri.simulation.partners.operators import PARTNERS
from prikkfri.simulation.partners.quirks import BY_THE_BOOK, receipt_body
from prikkfri.simulation.partners.server import application
from prikkfri.sms.canaries.phones import phones_by_link
from prikkfri.sms.server import Connection

KARI, OLA, EVA = "4791100000", "4791100001", "4791100002"
PASSWORD = "secret12"


def partner(seed: int = 1) -> PartnerNetwork:
    phones = Phones([(KARI, "Kari"), (OLA, "Ola"), (EVA, "Eva")])
    return PartnerNetwork(phones, password=PASSWORD, clock=SystemClock(), name="Nordtel", seed=seed)


def message(to: str, text: bytes = b"Koden er 1 (m00001)") -> ShortMessage:
    return ShortMessage("Legevakt", to, text, registered_delivery=1)


class Link:
    """A message centre's link to the partner, in the test's hand."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: list[Event] = []

    async def submit(self, to: str) -> MessageState | None:
        """What the receipt says."""
        await self.hand_in(to)
        told = await self.event()
        assert isinstance(told, Request)
        assert isinstance(told.body, ShortMessage)
        self.connection.session.answer(told, Status.OK, MessageResponse())
        self.connection.flush()
        return parse_receipt(told.body).state

    async def hand_in(self, to: str) -> None:
        self.connection.session.ask(Command.SUBMIT_SM, encode_body(message(to)), "submit", 0.0)
        self.connection.flush()
        assert isinstance(await self.event(), PeerResponse)

    async def event(self) -> Event:
        if not self.events:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                self.events = await self.connection.take(10)
        return self.events.pop(0)

    async def is_silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for so long. On a slow machine it may go unnoticed that something would."""
        if not self.events:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    self.events = await self.connection.take(10)
        return not self.events


@asynccontextmanager
async def linked(network: PartnerNetwork) -> Any:
    listening = socket.create_server(("127.0.0.1", 0))
    running = asyncio.create_task(network.run([listening]))
    await asyncio.sleep(0)
    connection: Connection = Connection(Side.ESME, Limits(), SystemClock(), lambda _: None)
    await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", listening.getsockname()[1])
    connection.session.bind(Command.BIND_TRANSCEIVER, Bind("prikkfri", PASSWORD), 0.0)
    connection.flush()
    await connection.take(1)
    try:
        yield Link(connection)
    finally:
        connection.close("done")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        listening.close()


def screens(network: PartnerNetwork) -> dict[str, int]:
    return {number: len(phone.entries) for number, phone in network.phones.by_number.items()}


async def test_an_honest_partner_hands_each_message_to_its_phone() -> None:
    network = partner()
    async with linked(network) as link:
        assert await link.submit(KARI) is MessageState.DELIVERED
    assert screens(network) == {KARI: 1, OLA: 0, EVA: 0}
    [delivery] = network.deliveries
    assert (delivery.destination, delivery.phone, delivery.misdelivering) == (KARI, KARI, False)


async def test_a_bad_partner_says_delivered_of_what_it_handed_to_a_stranger() -> None:
    network = partner()
    network.fault = Fault(misdeliver=1.0)
    async with linked(network) as link:
        assert await link.submit(KARI) is MessageState.DELIVERED
    assert screens(network)[KARI] == 0
    assert sum(screens(network).values()) == 1
    [delivery] = network.deliveries
    assert delivery.destination == KARI
    assert delivery.phone in (OLA, EVA)
    assert delivery.misdelivering


async def test_lost_receipts_lose_no_message() -> None:
    network = partner()
    network.fault = Fault(lose_receipts=1.0)
    async with linked(network) as link:
        await link.hand_in(KARI)
        assert await link.is_silent()
    assert screens(network) == {KARI: 1, OLA: 0, EVA: 0}


async def test_receipts_that_a_partner_finds_again_are_sent_once_when_it_is_mended_and_not_before() -> None:
    network = partner()
    async with linked(network) as link:
        network.suffer(Fault(lose_receipts=1.0, until_mended=True))
        await link.hand_in(KARI)
        assert await link.is_silent()
        network.suffer(Fault(lose_receipts=0.5, misdeliver=1.0))
        assert await link.is_silent()
        network.suffer(Fault())
        told = await link.event()
        assert isinstance(told, Request) and isinstance(told.body, ShortMessage)
        assert parse_receipt(told.body).state is MessageState.DELIVERED
        network.suffer(Fault())
        assert await link.is_silent()


def handed_over(network: PartnerNetwork, count: int) -> list[str]:
    for number in range(count):
        network.hand_over(message(KARI), str(number), float(number))
    return [delivery.phone for delivery in network.deliveries]


def test_the_share_is_as_told_and_the_same_seed_draws_the_same_lots() -> None:
    networks = [partner(seed=7), partner(seed=7), partner(seed=8)]
    for network in networks:
        network.fault = Fault(misdeliver=0.05)
    first, second, other = (handed_over(network, 4_000) for network in networks)
    assert 140 <= sum(phone != KARI for phone in first) <= 260
    assert first == second != other


def test_what_goes_astray_lands_on_a_canary_phone_as_seldom_as_the_network_has_one() -> None:
    phones = [(KARI, "Kari"), (OLA, "Ola"), *((f"479199999{number}", "canary") for number in range(8))]

    def on_canaries(population: int) -> float:
        network = PartnerNetwork(Phones(phones), password=PASSWORD, clock=SystemClock(), name="Nordtel", seed=3)
        network.fault = Fault(misdeliver=1.0, population=population)
        landed = handed_over(network, 2_000)
        assert KARI not in landed
        return sum(phone != OLA for phone in landed) / len(landed)

    assert on_canaries(0) == pytest.approx(8 / 9, abs=0.03)
    assert on_canaries(80) == pytest.approx(0.1, abs=0.03)
    assert on_canaries(1_000_000) == 0.0


async def test_only_the_world_is_told_the_truth_and_sets_the_fault() -> None:
    network = partner()
    transport = httpx.ASGITransport(application(network))
    async with httpx.AsyncClient(transport=transport, base_url="http://nordtel") as http:
        fault = {"misdeliver": 0.5, "population": 0, "lose_receipts": 0.0, "until_mended": False}
        assert (await http.put("/fault", json={"misdeliver": 0.5})).json() == fault
        handed_over(network, 40)
        told = (await http.get("/deliveries?from=10")).json()
        assert len(told) == 30
        assert {delivery["phone"] for delivery in told} == {KARI, OLA, EVA}
        since = network.deliveries[30].time
        last = [delivery for delivery in network.deliveries if delivery.time >= since]
        assert len((await http.get("/deliveries", params={"since": str(since)})).json()) == len(last)
        assert (await http.get("/deliveries", params={"since": str(network.clock.now() + 60)})).json() == []
        phone = network.phones.by_number[KARI]
        network.type_message(phone, f"+{OLA}", "hei (m00002)").centre_id = "id-2"
        assert (await http.get("/sent")).json() == [{"from": KARI, "to": OLA, "text": "hei (m00002)", "id": "id-2"}]
        assert (await http.get("/phones")).json()["network"] == "Nordtel"  # the phones' page is there too


@pytest.mark.parametrize(
    ("text", "token"), [("Prikkfri canary ab12", "ab12"), ("Koden er 1", ""), ("prikkfri canary x", ""), ("", "")]
)
def test_a_canary_phone_tells_tokens_and_never_somebodys_text(text: str, token: str) -> None:
    assert token_of(text) == token


async def test_a_canary_phone_tells_again_what_the_centre_did_not_take() -> None:
    told: list[dict[str, list[str]]] = []
    enough = asyncio.Event()

    async def received(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer key"
        body = await request.json()
        told.append({phone["phone"]: phone["tokens"] for phone in body["phones"]})
        return web.json_response({"known": 1}, status=503 if len(told) == 1 else 200)

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        text = 'data: {"msisdn": "%s", "direction": "in", "text": "%s"}\n\n'
        await response.write((text % (KARI, "Prikkfri canary new") + text % (KARI, "til en annen")).encode())
        await enough.wait()
        return response

    async def phones(_: web.Request) -> web.Response:
        entries = [{"text": "Prikkfri canary old"}]
        return web.json_response(
            {"phones": [{"msisdn": KARI, "entries": entries}, {"msisdn": OLA, "entries": entries}]}
        )

    house = web.Application()
    house.add_routes([web.post("/canaries/received", received), web.get("/events", events), web.get("/phones", phones)])
    runner = web.AppRunner(house)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as http:
        running = asyncio.create_task(CanaryPhones(http, address, address, "key", [KARI]).run())
        await eventually(lambda: len(told) >= 3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    enough.set()
    await runner.cleanup()
    assert told[0] == told[1] == {f"+{KARI}": ["old", "new"]}
    assert told[2] == {f"+{KARI}": []}  # a sign of life


def test_the_configuration_holds(tmp_path: Any) -> None:
    plan = Plan()
    (tmp_path / "prikkfri.toml").write_text(configuration(plan, range(9_001, 9_009), (9_011, 9_012, 9_013)))
    settings = load(tmp_path, file=None, environment={}).sms
    assert {link: len(phones) for link, phones in phones_by_link(settings).items()} == {
        link.name: plan.canaries for link in settings.links
    }
    assert all(phone.msisdn[1:5] in link.prefixes for link in settings.links for phone in settings.canaries
               if phone.link == link.name)  # fmt: skip


def test_each_partner_of_the_rehearsal_leaves_the_book_and_none_as_another() -> None:
    sent = message(KARI)
    receipts = [receipt_body(each.quirks, 0xAB, MessageState.DELIVERED, sent, 0.0) for each in PARTNERS]
    assert len({*receipts, receipt_body(BY_THE_BOOK, 0xAB, MessageState.DELIVERED, sent, 0.0)}) == 1 + len(PARTNERS)
    assert any(each.quirks.answer_form != BY_THE_BOOK.answer_form for each in PARTNERS)
    assert any(each.quirks.receipt_first for each in PARTNERS)


def test_the_rehearsals_world_has_each_quirk_that_does_no_harm() -> None:
    """Not those that come to a refusal, a doubt or a pause, or to a hint: what they come to is in other tests."""
    harm = {"refuse", "refuse_status", "silent", "throughput_per_second_max", "loop", "loops_max", "transit",
            "transit_to", "binds_max", "window", "state_octet"}  # fmt: skip
    plain = asdict(BY_THE_BOOK)
    odd = {name for each in PARTNERS for name, value in asdict(each.quirks).items() if value != plain[name]}
    assert odd == plain.keys() - harm
