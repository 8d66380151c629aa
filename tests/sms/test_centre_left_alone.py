"""The real centre with everybody's habits for an hour, over real SMPP sessions, and the real assurance that follows it.

Phones are off, or say nothing; receipts come late; one account leaves and stays away, another never comes; a night
falls. Nothing is announced of that, and a network that stops taking messages is.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from sms_house import House, Peer
from waiting import eventually

from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.surroundings import Surroundings
from prikkfri.assurance.service import Assurance
from prikkfri.config import Assurance as Settings
from prikkfri.journal import read_page
from prikkfri.protocols.smpp.pdu import Command, MessageResponse, ShortMessage, Status
from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.protocols.smpp.session import PeerResponse, Request
from prikkfri.storage import Location, open_database

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("location", ["sqlite"], indirect=True)]

HOUR_SECONDS, STEP_SECONDS, LOOK_SECONDS = 3_600, 30, 120
NIGHT_FROM, GONE_FROM, SICK_FROM, SICK_UNTIL = 2_400, 900, 1_200, 2_100
OSLO = ZoneInfo("Europe/Oslo")
PHONES = 300


async def no_products(customers: Sequence[str], at: float) -> Mapping[str, str]:
    return {}


async def nobody_told(customer: str, text: str) -> str:
    return ""


ALL_IS_SEEN = Surroundings(
    blind=frozenset, silent=frozenset, incomplete=str, capacity_per_second=lambda *at: None, products=no_products,
    tell=nobody_told, changed=lambda: None,
)  # fmt: skip


class Partner:
    """A network that takes messages, and its phones: some are off, some say nothing, some tell late."""

    def __init__(self, link: Peer, lots: random.Random) -> None:
        self.sick = False
        self._link, self._lots = link, lots
        self._count = 0
        self._later: list[tuple[ShortMessage, str, MessageState]] = []
        self._unanswered = 0

    @property
    def quiet(self) -> bool:
        return not self._unanswered

    async def answer(self) -> None:
        """Until cancelled."""
        while True:
            found = await self._link.connection.take(100)
            for event in found:
                if isinstance(event, PeerResponse):
                    self._unanswered -= 1
                elif isinstance(event, Request):
                    self._take(event)

    def _take(self, request: Request) -> None:
        if not isinstance(request.body, ShortMessage):
            self._link.answer(request)
            return
        if self.sick:
            self._link.answer(request, Status.SYSTEM_ERROR)
            return
        self._count += 1
        message, identity = request.body, f"net-{self._count}"
        self._link.take_message(request, identity)
        phone = int(message.destination[-3:])
        if phone % 20 == 0:
            return  # nothing is ever heard of it
        state = MessageState.UNDELIVERABLE if phone % 20 == 1 else MessageState.DELIVERED
        if self._lots.random() < 0.2:
            self._later.append((message, identity, state))
        else:
            self.tell(message, identity, state)

    def tell(self, message: ShortMessage, identity: str, state: MessageState) -> None:
        self._unanswered += 1
        self._link.tell(message, identity, state)

    def tell_late(self) -> None:
        later, self._later = self._later, []
        for each in later:
            self.tell(*each)

    def reply(self, phone: int, short_code: str) -> None:
        self._unanswered += 1
        message = ShortMessage(source=f"4790000{phone:03d}", destination=short_code, octets=b"ja")
        self._link.ask(Command.DELIVER_SM, message, "reply")


async def take_all(client: Peer) -> None:
    """The account's own system, which takes whatever comes; until cancelled."""
    while True:
        for event in await client.connection.take(100):
            if isinstance(event, Request):
                client.answer(event, body=MessageResponse())


class Duty:
    """Assurance with a database of its own, and what it tells the public."""

    def __init__(self, at: House, database: Any) -> None:
        self.published: list[dict[str, Any]] = []
        self._database = database
        self.response = Response(database, settings=Settings(), surroundings=ALL_IS_SEEN, clock=at.clock, zone=OSLO)
        urls = {"status": "http://status"}
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self._neighbours = RoleClient(client, urls=urls, command_keys=dict.fromkeys(urls, "key"))
        self.assurance = Assurance(
            database, sources={"sms": lambda stream, after: read_page(at.database, stream, after)},
            neighbours=self._neighbours, clock=at.clock, settings=Settings(), operator="Test",
            status_url="http://status", zone=OSLO, arrived=self.response.watch.arrived,
            told=self.response.announcements.told,
        )  # fmt: skip

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/publish":
            self.published.append(msgspec.json.decode(request.content))
        return httpx.Response(200, json=[])

    async def second(self, since: int) -> None:
        while await self.assurance.step("sms") == 0.0:
            pass
        await self.response.watch.tick()
        if since % LOOK_SECONDS == 0:
            await self.response.evaluations.look()
            await self.assurance.publish()

    async def close(self) -> None:
        await self._neighbours.close()
        await self._database.close()


def messages(lots: random.Random, since: int) -> Iterator[str]:
    for _ in range(1 if since >= NIGHT_FROM else 8):
        yield f"4790000{lots.randrange(PHONES):03d}"


async def hour(at: House, folder: Path, *, sick: bool) -> Duty:
    lots = random.Random(8)
    link, shop, goes = await at.bound_link(), await at.bound_client(), await at.bound_client("clinic")
    partner = Partner(link, lots)
    duty = Duty(at, await open_database(Location(folder), "assurance"))
    await duty.response.recover()
    tasks = [asyncio.create_task(partner.answer()), asyncio.create_task(take_all(goes))]
    for since in range(0, HOUR_SECONDS, STEP_SECONDS):
        partner.sick = sick and SICK_FROM <= since < SICK_UNTIL
        if since == GONE_FROM:
            tasks.pop().cancel()
            goes.cut()
            await eventually(lambda: at.centre.counters()["connections"] == 2)
        for number in messages(lots, since):
            status, _ = await shop.submit(source="Shop", destination=number, registered_delivery=0)
            assert status == Status.OK
        if lots.random() < (0.1 if since >= NIGHT_FROM else 0.8):
            partner.reply(lots.randrange(PHONES), "2020")  # of the account that goes away
        partner.tell_late()
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'sending' OR (state = 'waiting' AND due_at <= "
                       f"{at.clock.now()} AND SUBSTR(target, 1, 4) = 'link')", 0)  # fmt: skip
        await eventually(lambda: partner.quiet)
        at.clock.advance(STEP_SECONDS)
        await duty.second(since)
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    shop.cut()
    return duty


async def test_an_hour_of_the_real_centre_left_alone_is_announced_as_nothing(house: Any, tmp_path: Path) -> None:
    async with house() as at:
        duty = await hour(at, tmp_path, sick=False)
        incidents = await duty.response.register.incidents()
        assert [(each.state, each.alarms[0].sentence) for each in incidents if each.confirmed_at] == []
        parts = [part for document in duty.published for part in document["components"] if part["id"] == "messages"]
        assert {part["state"] for part in parts} <= {"operational", "unknown"}
        assert len(parts) == HOUR_SECONDS / LOOK_SECONDS and not any(each["incidents"] for each in duty.published)
        rows = (await duty.assurance.overview()).rows
        assert "account-not-bound" in [
            reason for row in rows if row.layer == "account" for reason, _ in row.own_reasons
        ]
        await duty.close()


async def test_the_same_hour_with_a_network_that_takes_nothing_for_a_while_is_announced(
    house: Any, tmp_path: Path
) -> None:
    async with house() as at:
        duty = await hour(at, tmp_path, sick=True)
        confirmed = [each for each in await duty.response.register.incidents() if each.confirmed_at]
        assert {each.service for each in confirmed} == {"messages"}
        states = [part["state"] for told in duty.published for part in told["components"] if part["id"] == "messages"]
        assert any(state.endswith("_outage") for state in states)
        await duty.close()
