"""What hurts is asked for twice, without JavaScript; what only puts things back is one click."""

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import httpx
import pytest
from console_doubles import EVIL, Seen
from console_elsewhere import ORIGIN, Elsewhere, House, console_beside

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import Fact, apply_fact, open_incident
from prikkfri.assurance.response import store
from prikkfri.assurance.segments import Segment
from prikkfri.clock import ManualClock

HELD = {
    "entry": {
        "id": "m1", "kind": "message", "link": "nord", "reason": "r", "held_at": 1.6e9, "sender": "", "recipient": "",
        "detail": "",
    },
    "hindrance": "", "goes_to": "", "steps": [],
}  # fmt: skip


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    async with console_beside(Elsewhere(held={"m1": HELD}), tmp_path, clock) as opened_house:
        yield opened_house


async def post(house: House, path: str, **fields: str) -> httpx.Response:
    return await house.browser.post(path, data=fields, headers={"origin": ORIGIN})


async def confirmed(house: House, asked: httpx.Response) -> httpx.Response:
    """What comes of the button on the page that asks."""
    assert asked.status_code == 422 and "Nothing is done yet" in asked.text and "<script" not in asked.text
    (action,) = re.findall(r'<form class="card narrow confirm" method="post" action="([^"]*)"', asked.text)
    fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', asked.text))
    return await post(house, unescape(action), **{name: unescape(value) for name, value in fields.items()})


async def test_a_pay_channel_is_opened_at_the_second_word_and_closed_at_the_first(house: House) -> None:
    asked = await post(house, "/controls/channel", name="sport", state="open", back="/incidents/x")
    assert "Open Sport to everybody?" in asked.text and 'href="/incidents/x"' in asked.text
    assert not house.elsewhere.channels["sport"]["open"]
    assert (await confirmed(house, asked)).headers["location"] == "/incidents/x"
    assert house.elsewhere.channels["sport"]["open"]
    for state in ("closed", "rule"):
        assert (await post(house, "/controls/channel", name="sport", state=state)).status_code == 303


async def test_a_route_is_stopped_at_the_second_word_and_opened_at_the_first_unless_it_is_not_trusted(
    house: House,
) -> None:
    asked = await post(house, "/controls/route", name="nord", state="stopped")
    assert "Stop the route nord?" in asked.text and "new ones are kept" in asked.text
    assert house.elsewhere.route["state"] == "open"
    assert (await confirmed(house, asked)).status_code == 303 and house.elsewhere.route["state"] == "stopped"
    assert (await post(house, "/controls/route", name="nord", state="open")).status_code == 303
    house.elsewhere.route.update(trusted=False, instead="syd")
    await house.assurance.look_at_controls()
    asked = await post(house, "/controls/route", name="nord", state="open")
    assert "before proof?" in asked.text and "strangers" in asked.text
    assert (await confirmed(house, asked)).status_code == 303
    assert "new ones go over syd" in (await post(house, "/controls/route", name="nord", state="stopped")).text


async def test_over_and_nothing_are_declared_at_the_second_word_with_the_words_of_the_first(house: House) -> None:
    now = house.assurance.clock.now()
    place = Segment.of({"service": "television", "step": "sign-in"})
    for name in ("over", "nothing"):
        found = open_incident(name, Alarm("share", place, now, now - 5, 0.005, 0.9, 40, 30.0, 25.0), now)
        found = apply_fact(found, Fact("evidence", now, text="has stood for 10 s"))
        await house.assurance.database.write(lambda t, found=found: store.save_incident(t, found))  # type: ignore[misc]
    for name, kind, question in (
        ("over", "all-clear", "Declare this incident over?"),
        ("nothing", "dismiss", "Dismiss"),
    ):
        asked = await post(house, f"/incidents/{name}/act", kind=kind, text=EVIL)
        assert question in asked.text and "evil-x" not in Seen(asked).elements
        known = await house.response.evaluations.known(name)
        assert known is not None and known.incident.open
        assert (await confirmed(house, asked)).status_code == 303
        known = await house.response.evaluations.known(name)
        assert known is not None and not known.incident.open and known.incident.timeline[-1].text == EVIL
    noted = await post(house, "/incidents/over/act", kind="note", text="called them")
    assert noted.status_code == 303  # a note hurts nobody


async def test_what_is_held_is_discarded_at_the_second_word(house: House) -> None:
    asked = await post(house, "/quarantine/m1", action="discard")
    assert "Discard it for good?" in asked.text and house.elsewhere.said == [] and await house.console.accesses() == []
    assert (await confirmed(house, asked)).status_code == 303
    assert house.elsewhere.said == [("m1", "discard", "duty")]


async def test_a_script_is_told_that_nothing_was_done(house: House) -> None:
    house.browser.headers["accept"] = "application/json"
    answer = await post(house, "/controls/channel", name="sport", state="open")
    assert answer.status_code == 422 and answer.json()["message"] == "Nothing is done yet: say `sure`=`yes`."
    assert (await post(house, "/controls/channel", name="sport", state="open", sure="yes")).status_code == 303


async def test_a_page_that_is_not_there_leads_back(house: House) -> None:
    page = await house.browser.get("/nothing-here")
    assert page.status_code == 404 and "<h1>There is nothing here.</h1>" in page.text
    norwegian = await house.browser.get("/nothing-here", headers={"accept-language": "nb"})
    assert "<h1>Her er det ingenting.</h1>" in norwegian.text and "Til forsiden" in norwegian.text
    for way in ("/", "/incidents", "/customers"):
        assert f'href="{way}"' in page.text
    assert 'href="/static/console.css"' in page.text and "default-src" in page.headers["content-security-policy"]
    house.browser.headers["accept"] = "application/json"
    assert (await house.browser.get("/nothing-here")).json()["error"] == "not-found"
