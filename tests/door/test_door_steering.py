"""Orders at the door: taken over HTTP with its command key, kept over a restart, told in the journal."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from prikkfri.clock import ManualClock
from prikkfri.config import Config
from prikkfri.config import Door as DoorSettings
from prikkfri.door.http import application
from prikkfri.door.service import Door, load_keys
from prikkfri.door.steering import draw_position
from prikkfri.door.ticket import LOTS
from prikkfri.door.waiting_room import Capacity
from prikkfri.journal import Outcome
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import secret_key

KEY = "key of the door"
SECRET = "s" * 43
TEN = Capacity(10, 0.2)


def device(number: int) -> str:
    return f"d-{number:022}"


async def not_held(_: asyncio.Future[None], __: float) -> None:
    """Time stands still for whoever is about to be called."""


@dataclass
class Entrance:
    door: Door
    clock: ManualClock
    home: Path
    recorded: list[Outcome]
    capacity: list[Capacity | None]
    client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        edge = application(
            self.door,
            viewer_origin="http://tv.test",
            open_channels_url="http://open.test",
            command_key=KEY,
            hold=not_held,
        )
        transport = httpx.ASGITransport(edge)  # type: ignore[arg-type]
        self.client = httpx.AsyncClient(transport=transport, base_url="http://door.test")

    async def pass_time(self, seconds: float) -> None:
        """Signin is heard each second."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            await self.door.ask_signin()

    async def order(self, kind: str, *, after: int | None = None, **more: object) -> httpx.Response:
        number = (await self.steering())["number"] if after is None else after
        wanted = {"order": kind, "by": "Kari", "after": number, **more}
        return await self.client.post("/steering", json=wanted, headers={"authorization": f"Bearer {KEY}"})

    async def steering(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get("/steering", headers={"authorization": f"Bearer {KEY}"})).json()
        return found

    async def enter(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = (
            await self.client.post("/enter", json={"device": device(number), "secret": SECRET})
        ).json()
        return found

    async def ask(self, ticket: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get("/waiting", params={"ticket": ticket})).json()
        return found

    async def line(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get("/line")).json()
        return found

    def told(self, step: str) -> list[Outcome]:
        return [outcome for outcome in self.recorded if outcome.step == step]


Build = Callable[..., Entrance]


@pytest.fixture
def build(tmp_path: Path, clock: ManualClock) -> Build:
    def build(waiting_room: Any = "on", capacity: Capacity | None = TEN) -> Entrance:
        capacities: list[Capacity | None] = [capacity]
        recorded: list[Outcome] = []

        async def ask() -> Capacity | None:
            return capacities[-1]

        door = Door(
            record=recorded.append,
            config=Config(home=tmp_path, door=DoorSettings(waiting_room=waiting_room)),
            keys=load_keys(tmp_path),
            clock=clock,
            tokens=DeviceTokens(tmp_path, clock),
            ask_capacity=ask,
        )
        return Entrance(door, clock, tmp_path, recorded, capacities)

    return build


@pytest.fixture
async def entrance(build: Build) -> Entrance:
    entrance = build()
    await entrance.pass_time(2)
    return entrance


async def test_orders_are_taken_with_the_command_key_alone_and_what_is_none_is_said(entrance: Entrance) -> None:
    for headers in ({}, {"authorization": "Bearer guessed"}):
        assert (await entrance.client.get("/steering", headers=headers)).status_code == 401
        body = {"order": "auto", "by": "x", "after": 0}
        assert (await entrance.client.post("/steering", json=body, headers=headers)).status_code == 401
    for bad in ({"by": ""}, {"by": "x\ny"}, {"after": -1}, {"what": 1}, {"order": "fly"}, {"per_second": "many"}):
        answer = await entrance.order("drain", **{**bad})
        assert (answer.status_code, answer.json()["error"]) == (400, "bad-order"), bad
    assert (await entrance.order("rate", per_second=0)).json()["error"] == "bad-order"
    answer = await entrance.order("rate", per_second=11)
    assert answer.status_code == 409 and answer.json() == {
        "error": "not-sure",
        "message": "signin says that it can take 10 a second; to order more, say that you are sure",
    }
    assert (await entrance.order("open")).json()["error"] == "not-sure"
    assert (await entrance.steering())["number"] == 0 and not entrance.told("steer-line")


async def test_in_a_pause_people_stand_and_are_told_why_and_get_in_when_it_is_over(entrance: Entrance) -> None:
    answer = await entrance.order("pause", reason="fault")
    assert answer.status_code == 200 and answer.json() == await entrance.steering()
    since = entrance.clock.now()
    ordered = {"state": "paused", "reason": "fault", "since": since}
    entered = await entrance.enter(1)
    assert entered["wait_s"] is None and entered["ordered"] == ordered and entered["place"] == 1
    await entrance.pass_time(5)
    standing = await entrance.ask(entered["ticket"])
    assert "admitted" not in standing and standing["ordered"] == ordered
    line = await entrance.line()
    assert (line["wait_s"], line["turns"], line["ordered"], line["since"]) == (None, [], ordered, None)
    assert (await entrance.order("auto")).status_code == 200
    assert (await entrance.line())["ordered"] is None
    await entrance.pass_time(3)
    assert "admitted" in await entrance.ask(standing["ticket"])


async def test_an_order_is_kept_over_a_restart_and_told_with_its_giver_and_its_age(
    entrance: Entrance, build: Build
) -> None:
    await entrance.order("rate", per_second=2.0)
    await entrance.order("pause", reason="maintenance")
    await entrance.order("pause", reason="maintenance")  # changes nothing
    ordered_at = entrance.clock.now()
    assert (await entrance.order("drain", after=1)).json()["error"] == "ordered-meanwhile"
    after = build()
    await after.pass_time(1)
    found = await after.steering()
    assert found["number"] == 2 and found["order"] == {
        "kind": "pause", "per_second": 0.0, "reason": "maintenance", "by": "Kari", "at": ordered_at,
    }  # fmt: skip
    assert [(each["by"], each["order"]) for each in found["history"]] == [
        ("Kari", "let 2 people a second in through the line"), ("Kari", "paused the line (maintenance)"),
    ]  # fmt: skip
    assert "ticket" in await after.enter(1)
    told = [(o.reason, o.verdict, o.layer, dict(o.dimensions)) for o in entrance.told("steer-line")]
    assert told == [
        ("rate", "kept", "door", {"by": "Kari", "order": "let 2 people a second in through the line"}),
        ("pause", "kept", "door", {"by": "Kari", "order": "paused the line (maintenance)"}),
    ]
    assert after.door.counters()["line_steered"] == 1.0


async def test_an_order_that_cannot_be_written_down_is_not_done(entrance: Entrance) -> None:
    (entrance.home / "door").mkdir(exist_ok=True)
    (entrance.home / "door" / "steering.json").mkdir()
    answer = await entrance.order("pause", reason="fault")
    assert (answer.status_code, answer.json()["error"]) == (503, "not-kept")
    assert (await entrance.steering())["order"]["kind"] == "auto" and not entrance.told("steer-line")
    assert "admitted" in await entrance.enter(1)


async def test_orders_that_are_lost_are_told_as_a_trouble(entrance: Entrance, build: Build) -> None:
    await entrance.order("pause", reason="fault")
    assert build().door.troubles == ()
    (entrance.home / "door" / "steering.json").write_bytes(b"{")
    after = build()
    assert "Order it again" in after.door.troubles[0] and (await after.steering())["order"]["kind"] == "auto"


async def test_while_it_is_drained_nobody_new_joins_and_those_who_stand_get_in(entrance: Entrance) -> None:
    await entrance.order("pause", reason="other")
    standing = await entrance.enter(1)
    await entrance.pass_time(1)
    standing = await entrance.ask(standing["ticket"])
    await entrance.order("drain")
    answer = await entrance.client.post("/enter", json={"device": device(2), "secret": SECRET})
    assert (answer.status_code, answer.json()["error"], answer.headers["retry-after"]) == (503, "drained", "60")
    assert [o.reason for o in entrance.told("enter") if o.verdict == "broken"] == ["drained"]
    assert (await entrance.line())["ordered"] == {"state": "drained", "since": entrance.clock.now()}
    await entrance.pass_time(3)
    assert "admitted" in await entrance.ask(standing["ticket"])


async def test_while_it_is_open_everybody_is_let_in_at_once_even_by_a_silent_signin(build: Build) -> None:
    entrance = build(capacity=None)
    await entrance.pass_time(5)
    standing = await entrance.enter(0)
    assert (await entrance.order("open", sure=True)).status_code == 200
    assert "admitted" in await entrance.ask(standing["ticket"])
    assert ["admitted" in await entrance.enter(number) for number in range(1, 30)] == [True] * 29
    assert (await entrance.line())["wait_s"] == 0.0
    await entrance.order("auto")
    assert "ticket" in await entrance.enter(30)


async def test_a_rate_is_what_people_get_in_at(entrance: Entrance) -> None:
    entrance.capacity.append(Capacity(10, 0.7))
    await entrance.order("rate", per_second=2.0)
    tickets = [
        answer["ticket"] for answer in [await entrance.enter(number) for number in range(20)] if "ticket" in answer
    ]
    assert len(tickets) == 17  # three at most come together
    let_in = 0
    for _ in range(6):
        await entrance.pass_time(1)
        answers = [await entrance.ask(ticket) for ticket in tickets]
        let_in += sum("admitted" in answer for answer in answers)
        tickets = [answer["ticket"] for answer in answers if "ticket" in answer]
    assert 6 <= let_in <= 14
    found = (await entrance.steering())["line"]
    assert abs(found["waiting"] - len(tickets)) <= 2 and found["machine_per_second"] == 10.0


async def test_a_scheduled_room_opens_at_its_moment_in_the_order_of_lots(entrance: Entrance, build: Build) -> None:
    opens_at = entrance.clock.now() + 60
    entrance.capacity.append(Capacity(2, 0.7))
    await entrance.pass_time(1)
    await entrance.order("schedule", opens_at=opens_at)
    room = entrance.door.steering()[0].closed_room
    assert room is not None
    key = secret_key(entrance.home, "door-ticket")
    tickets: dict[int, str] = {}
    for number in range(12):
        answer = await entrance.enter(number)
        assert answer["place"] is None and answer["position"] == draw_position(room, device(number), key, LOTS)
        assert answer["ordered"]["state"] == "scheduled" and answer["ordered"]["opens_at"] == opens_at
        assert answer["wait_s"] >= answer["ordered"]["in_s"]
        again = await entrance.enter(number) if number == 3 else answer
        assert again["position"] == answer["position"]  # another try is no other lot
        await entrance.pass_time(1)
        back = await entrance.ask(answer["ticket"])
        assert back["place"] is None
        tickets[number] = back["ticket"]
    assert not entrance.told("enter") and not entrance.told("join")  # nothing is promised before it opens
    await entrance.door.keep_line()
    after = build(capacity=Capacity(2, 0.7))  # it dies and comes back
    await after.pass_time(opens_at - after.clock.now() - 1)
    assert after.door.steering()[0].closed_room == room
    answers = {number: await after.ask(ticket) for number, ticket in tickets.items()}
    assert not any("admitted" in answer for answer in answers.values()) and not after.told("enter")
    tickets = {number: answer["ticket"] for number, answer in answers.items()}
    await after.pass_time(2)
    late = await after.enter(99)
    assert late["ordered"] is None and late["position"] >= room.ends and late["place"] > 1
    assert [o.promise for o in after.told("join")]
    called: list[list[float]] = []
    for _ in range(30):
        called.append([])
        for number in sorted(tickets, key=lambda each: draw_position(room, device(each), key, LOTS)):
            answer = await after.ask(tickets.pop(number))
            if "admitted" in answer:
                called[-1].append(draw_position(room, device(number), key, LOTS))
            else:
                tickets[number] = answer["ticket"]
        await after.pass_time(1)
    rounds = [sorted(positions) for positions in called if positions]
    assert len(rounds) > 3 and sum(map(len, rounds)) == 12 and "admitted" in await after.ask(late["ticket"])
    in_turn = [position for positions in rounds for position in positions]
    assert in_turn == sorted(in_turn)
    asked = [o for o in after.told("enter") if o.device != device(99)]
    assert [o.time for o in asked] == [opens_at] * 12 and len({o.promise for o in asked}) == 12
    assert [o.verdict for o in asked] == ["asked"] * 12


async def test_a_room_that_is_withdrawn_opens_at_once(entrance: Entrance) -> None:
    await entrance.order("schedule", opens_at=entrance.clock.now() + 60)
    answer = await entrance.enter(1)
    await entrance.pass_time(6)
    standing = await entrance.ask(answer["ticket"])
    assert "ticket" in standing
    withdrawn_at = entrance.clock.now()
    await entrance.order("withdraw")
    await entrance.pass_time(2)
    assert "admitted" in await entrance.ask(standing["ticket"])
    assert [o.time for o in entrance.told("enter")] == [withdrawn_at]
    assert [o.reason for o in entrance.told("steer-line")] == ["schedule", "withdraw"]


async def test_where_the_configuration_has_no_waiting_room_there_is_nothing_to_order(build: Build) -> None:
    entrance = build("off")
    answer = await entrance.order("pause", reason="fault")
    assert (answer.status_code, answer.json()["error"]) == (409, "waiting-room-off")
