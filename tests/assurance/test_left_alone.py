"""Assurance and a message centre left alone with everybody's habits: nothing is announced, no incident is confirmed."""

import random
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
from msgspec import structs
from surroundings import surroundings

from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.service import Assurance
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Journal, Outcome, open_journal, read_page
from prikkfri.sms import outcomes
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Message
from prikkfri.sms.routing import Party
from prikkfri.storage import Location, open_database

HOUR_SECONDS = 3_600
STEP_SECONDS = 30
PARTNERS = outcomes.Partners({"handsets": "Fjordmobil"})
OFF_SHARE = 0.1
"""Of the phones, which are off all the time."""
QUIET_FROM, LEFT_AT, UNBOUND_FROM = 2_400, 1_500, 900
"""Seconds at which the night falls, the programme ends, and the system of the short code goes away for good."""


class Habits:
    """What people and accounts do in a stretch of time, as the roles would tell it."""

    def __init__(self, seed: int) -> None:
        self._lots = random.Random(seed)
        self._count = 0
        self._due: list[Outcome] = []
        """Receipts that come later."""

    def stretch(self, start: float, since: float) -> Iterator[Outcome]:
        """`start`: since 1970; `since`: since the beginning."""
        lots = self._lots
        night = since >= QUIET_FROM
        for _ in range(2 if night else 12):
            yield from self._message(start + lots.random() * STEP_SECONDS)
        if lots.random() < (0.1 if night else 0.9):
            yield self._reply(start + lots.random() * STEP_SECONDS, bound=since < UNBOUND_FROM)
        for _ in range(30 if since < LEFT_AT else 1):
            at = start + lots.random() * STEP_SECONDS
            yield Outcome(time=at, service="television", step="switch-channel", layer="streams", verdict="kept",
                          customer=f"s-{lots.randrange(90)}")  # fmt: skip
        for _ in range(4 if since < LEFT_AT else lots.random() < 0.2):
            who, at = lots.randrange(400), start + lots.random() * STEP_SECONDS
            wrong = lots.random() < 0.05
            yield Outcome(time=at, service="television", step="sign-in", layer="signin", device=f"d-{who}",
                          verdict="broken" if wrong else "kept", reason="wrong-credentials" if wrong else "",
                          customer="" if wrong else f"s-{who}")  # fmt: skip

    def _message(self, at: float) -> Iterator[Outcome]:
        """A notice; a phone that is off is told of as such, or not at all."""
        phone = self._lots.randrange(300)
        message = self._submitted(at, "account:middag", "link:handsets", f"4790{phone:06d}")
        yield outcomes.submitted(Party("account", "middag"), "notice", PARTNERS, reason="", now=at)
        yield outcomes.asked(message, PARTNERS)
        yield outcomes.handed_over(structs.replace(message, attempted_at=at + 0.1), PARTNERS)
        off = phone < OFF_SHARE * 300
        if off and phone % 2:
            return
        dims = PARTNERS.dimensions(message.origin, message.target, message.message_class)
        state, reason = (DeliveryState.UNDELIVERABLE, "network-027") if off else (DeliveryState.DELIVERED, "")
        yield outcomes.settled(message.submission, message.recipient, state, reason, dims, now=at + 0.5)

    def _reply(self, at: float, *, bound: bool) -> Outcome:
        message = self._submitted(at, "link:handsets", "account:middag", "2010")
        if bound and self._lots.random() < 0.9:
            dims = PARTNERS.dimensions(message.origin, message.target, message.message_class)
            return outcomes.settled(
                message.submission, "2010", DeliveryState.DELIVERED, "", dims, for_account=True, now=at
            )
        return outcomes.asked(message, PARTNERS, bound=False)

    def _submitted(self, at: float, origin: str, target: str, recipient: str) -> Message:
        self._count += 1
        name = f"m-{self._count}"
        return Message(name, name, 1, 1, origin, target, "notice", "2010", recipient, b"", 0, at, at, at + 259_200)


async def test_an_hour_left_alone_is_announced_as_nothing(location: Location, clock: ManualClock) -> None:
    sms, database = await open_database(location, "sms"), await open_database(location, "assurance")
    journal: Journal = await open_journal(sms, stream="sms", clock=clock)
    published: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/publish":
            published.append(msgspec.json.decode(request.content))
        return httpx.Response(200, json=[])

    response = Response(
        database, settings=Settings(), surroundings=surroundings(), clock=clock, zone=ZoneInfo("Europe/Oslo")
    )
    urls = {"status": "http://status"}
    neighbours = RoleClient(
        httpx.AsyncClient(transport=httpx.MockTransport(answer)), urls=urls, command_keys=dict.fromkeys(urls, "key")
    )
    assurance = Assurance(
        database, sources={"sms": lambda stream, after: read_page(sms, stream, after)}, neighbours=neighbours,
        clock=clock, settings=Settings(), operator="Test", status_url="http://status", zone=ZoneInfo("Europe/Oslo"),
        arrived=response.watch.arrived,
        told=response.announcements.told,
    )  # fmt: skip
    await response.recover()
    habits, began = Habits(seed=8), clock.now()
    for since in range(0, HOUR_SECONDS, STEP_SECONDS):
        told = sorted(habits.stretch(began + since, since), key=lambda outcome: outcome.time)
        clock.advance(STEP_SECONDS)

        async def write(transaction: Any, told: list[Outcome] = told) -> None:
            journal.record(transaction, *told)

        await sms.write(write)
        while await assurance.step("sms") == 0.0:
            pass
        await response.watch.tick()
        if since % 120 == 0:
            await response.evaluations.look()
            await assurance.publish()
    await neighbours.close()
    assert [
        (each.state, each.alarms[0].sentence) for each in await response.register.incidents() if each.confirmed_at
    ] == []
    assert len(published) == HOUR_SECONDS / 120
    assert {part["state"] for document in published for part in document["components"] if part["id"] != "watch"} <= {
        "operational", "unknown",
    }  # fmt: skip
    assert [document["incidents"] for document in published if document["incidents"]] == []
    waiting = [row for row in (await assurance.overview()).rows if row.layer == "account"]
    assert [row.own_reasons[0][0] for row in waiting] == ["account-not-bound"]
    for closing in (sms, database):
        await closing.close()
