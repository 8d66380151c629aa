"""The waiting room on the console: what is seen of the line, and what people order of it, asked for twice."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_elsewhere import LINE, ORIGIN, Elsewhere, House, console_beside

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import open_incident
from prikkfri.assurance.response.assessing import done
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import is_promise
from prikkfri.clock import ManualClock
from prikkfri.journal import Outcome


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    async with console_beside(Elsewhere(), tmp_path, clock) as opened_house:
        yield opened_house


async def order(house: House, **fields: str) -> httpx.Response:
    return await house.browser.post("/waiting-room/order", data={"after": "7"} | fields, headers={"origin": ORIGIN})


async def page(house: House) -> str:
    await house.assurance.look_at_controls()
    found = (await house.browser.get("/waiting-room")).text
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", found).split()))


def stands(house: House, **more: Any) -> None:
    house.elsewhere.line = {**house.elsewhere.line, **more}


async def test_what_is_seen_of_the_line_stands_there(house: House) -> None:
    shown = await page(house)
    for said in (
        "1,234 people wait", "moves by itself", "Wait of whoever comes now 62 s", "Let in of late 20 a second",
        "Signed in of late 18 a second", "Sign-in can take 24 a second; 75.0 % of it used", "Passes out 40",
        "Called and absent 12.0 %", "Let in and never signed in 10.0 %", "Nothing has been ordered of the line yet.",
    ):  # fmt: skip
        assert said in shown, said
    stands(house, line={**LINE["line"], "waiting": 1, "wait_s": None, "silent_since": 5.0, "machine_per_second": 0.0})
    shown = await page(house)
    for said in ("1 person waits", "stands still: sign-in is silent since", "Sign-in can take not known",
                 "not known: the line stands still"):  # fmt: skip
        assert said in shown, said


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"kind": "rate", "per_second": 4.5}, "4.5 people a second, ordered by Kari <b> at "),
        ({"kind": "pause", "reason": "fault"}, "paused (fault), ordered by Kari <b> at "),
        ({"kind": "drain"}, "nobody new joins, ordered by Kari <b> at "),
        ({"kind": "open"}, "open: everybody is let in at once, ordered by Kari <b> at "),
    ],
)
async def test_what_is_ordered_is_shown_with_its_giver_and_age_there_and_on_the_overview(
    house: House, clock: ManualClock, order: dict[str, Any], said: str
) -> None:
    given = {**LINE["order"], "by": "Kari <b>", "at": clock.now() - 240, **order}
    taken = [{"at": clock.now() - 240, "by": "Ola", "order": "let nobody new join the line"},
             {"at": clock.now() - 5, "by": "Kari", "order": "paused the line (fault)"}]  # fmt: skip
    stands(house, order=given, history=taken)
    shown = await page(house)
    assert said in shown and "4 min ago" in shown
    assert shown.index("paused the line (fault)") < shown.index("let nobody new join the line")
    overview = unescape((await house.browser.get("/")).text)
    assert f"waiting room: {said}" in overview


async def test_a_room_to_come_is_shown_and_can_be_withdrawn(house: House, clock: ManualClock) -> None:
    assert "Withdraw the scheduled room" not in await page(house)
    now = clock.now()
    room = {"room_from": now + 60, "opens_at": now + 600, "by": "Kari", "at": now, "begins": None, "opened_at": None}
    stands(house, room=room)
    shown = await page(house)
    assert "The scheduled room opens at" in shown and "people gather from" in shown
    assert "Withdraw the scheduled room" in shown
    stands(house, room={**room, "begins": 5.0})
    assert "people gather from" not in await page(house)
    stands(house, room={**room, "begins": 5.0, "opened_at": now})
    assert "The scheduled room opens" not in await page(house)


async def confirmed(house: House, asked: httpx.Response) -> httpx.Response:
    """What comes of the button on the page that asks."""
    assert asked.status_code == 422 and "Nothing is done yet" in asked.text and not house.elsewhere.orders
    fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', asked.text))
    return await house.browser.post("/waiting-room/order", data=fields, headers={"origin": ORIGIN})


@pytest.mark.parametrize(
    ("fields", "question", "taken"),
    [
        ({"order": "rate", "per_second": "20"}, "Sign-in could take 24 a second now", {"per_second": 20.0}),
        ({"order": "rate", "per_second": "24,5"}, "more than sign-in can take now (24 a second)", {"per_second": 24.5}),
        ({"order": "pause", "reason": "fault"}, "Everybody keeps their place", {"reason": "fault"}),
        ({"order": "drain"}, "told to come again later", {}),
        ({"order": "open"}, "Let everybody in at once?", {}),
        ({"order": "schedule", "opens_at": "2026-12-24T20:00"}, "Open the waiting room at 2026-12-24 20:00?",
         {"opens_at": 1_798_138_800.0}),
        ({"order": "schedule", "opens_at": "2026-12-24T20:00:30", "room_from": "2026-12-24T19:30"}, "by lot",
         {"opens_at": 1_798_138_830.0, "room_from": 1_798_137_000.0}),
    ],
)  # fmt: skip
async def test_what_hurts_is_ordered_at_the_second_word(
    house: House, fields: dict[str, str], question: str, taken: dict[str, object]
) -> None:
    asked = await order(house, **fields)
    assert question in asked.text
    answer = await confirmed(house, asked)
    assert (answer.status_code, answer.headers["location"]) == (303, "/waiting-room")
    assert house.elsewhere.orders == [{"order": fields["order"], "after": 7, "by": "duty", "sure": True, **taken}]


async def test_what_only_puts_things_back_is_ordered_at_the_first(house: House) -> None:
    for kind in ("auto", "withdraw"):
        assert (await order(house, order=kind)).status_code == 303
    assert [(each["order"], each["sure"]) for each in house.elsewhere.orders] == [("auto", False), ("withdraw", False)]


async def test_what_cannot_be_ordered_says_why(house: House) -> None:
    for fields, said in (
        ({}, "Say what is to be ordered"), ({"order": "fly"}, "Say what is to be ordered"),
        ({"order": "auto", "after": ""}, "Say what is to be ordered"),
        ({"order": "auto", "after": "²"}, "Say what is to be ordered"),
        ({"order": "auto", "after": "1" * 10}, "Say what is to be ordered"),
        ({"order": "rate", "per_second": "many"}, "Say how many people a second"),
        ({"order": "schedule", "opens_at": "tonight"}, "Say when it opens"),
        ({"order": "schedule"}, "Say when it opens"),
    ):  # fmt: skip
        answer = await order(house, sure="yes", **fields)
        assert answer.status_code == 422 and said in answer.text, fields
    house.elsewhere.refuses = "something else was ordered meanwhile"
    answer = await order(house, order="drain", sure="yes")
    assert answer.status_code == 503 and "Nothing was ordered: something else was ordered meanwhile." in answer.text
    assert (await house.browser.post("/waiting-room/order", data={"order": "auto", "after": "7"})).status_code == 403
    house.elsewhere.alive = False
    answer = await order(house, order="auto")
    assert answer.status_code == 503 and "the door role cannot be reached" in answer.text
    assert "The door does not answer" in await page(house)
    assert not house.elsewhere.orders


async def test_who_only_looks_orders_nothing(house: House) -> None:
    password = await house.console.add_user("ola", by="duty", role="look")
    house.browser.cookies.clear()
    await house.browser.post("/sign-in", data={"name": "ola", "password": password or ""}, headers={"origin": ORIGIN})
    assert "1,234 people wait" in await page(house)
    answer = await order(house, order="auto")
    assert answer.status_code == 403 and not house.elsewhere.orders


def test_an_order_stands_in_the_timeline_of_the_incident_that_is_open_and_is_no_promise() -> None:
    segment = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
    incident = open_incident("i-1", Alarm("share", segment, 1_000.0, 990.0, 0.01, 0.9, 40, 30.0, 25.0), 1_000.0)
    ordered = Outcome(
        time=1_060.0, service="television", step="steer-line", layer="door", verdict="kept", reason="pause",
        dimensions={"by": "Kari", "order": "paused the line (fault)"},
    )  # fmt: skip
    assert not is_promise(ordered)
    assert [(fact.kind, fact.who, fact.text) for fact in done([ordered], incident)] == [
        ("act", "Kari", "paused the line (fault)")
    ]
