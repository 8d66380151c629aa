"""How a customer comes in, on the console: seen by all, done by who may act, and on the record before it is done."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from console_elsewhere import ORIGIN, Elsewhere, House, console_beside

from prikkfri.clock import ManualClock

END, LINK = "/customers/end-sessions", "/customers/password-link"


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    elsewhere = Elsewhere(
        devices=[
            {"device": "d-secret", "name": "<b>Firefox</b>", "first_at": 1.6e9, "seen_at": 1.65e9},
            {"device": "d-other", "name": "", "first_at": 1.6e9, "seen_at": 1.65e9},
        ]
    )
    async with console_beside(elsewhere, tmp_path, clock) as opened:
        yield opened


async def say(house: House, path: str, **fields: str) -> httpx.Response:
    return await house.browser.post(path, data=fields, headers={"origin": ORIGIN})


async def test_a_customers_page_says_where_they_are_signed_in(house: House) -> None:
    page = (await say(house, "/customers", query="kari@example.no", why="case 4711")).text
    assert "&lt;b&gt;Firefox&lt;/b&gt;" in page and "Unknown device" in page and "d-secret" not in page
    assert f'action="{END}"' in page and f'action="{LINK}"' in page and 'value="case 4711"' in page
    assert house.elsewhere.asked_of_signin == [("/customers/devices?customer=s%2F1", {})]
    house.elsewhere.devices = []
    assert "No device." in (await say(house, "/customers", query="kari@example.no", why="case 4711")).text
    house.elsewhere.alive = False
    assert "Sign-in does not say." in (await say(house, "/customers", query="kari@example.no", why="case 4711")).text


async def test_sessions_are_ended_and_a_link_is_made_on_the_record(house: House) -> None:
    said = {"customer": "s/1", "why": "case 4711"}
    assert "Signed out on 2 devices." in (await say(house, END, **said)).text
    assert "Signed out on 0 devices." in (await say(house, END, **said)).text
    made = await say(house, LINK, **said)
    assert 'value="http://tv.test/#password=abc"' in made.text
    assert made.headers["cache-control"] == "no-store"
    wanted = {"customer": "s/1", "by": "duty"}
    assert house.elsewhere.asked_of_signin == [
        ("/customers/devices/end", wanted),
        ("/customers/devices/end", wanted),
        ("/customers/password-link", wanted),
    ]
    looks = [(each.who, each.what, each.subject, each.why) for each in await house.console.accesses()]
    assert looks == [
        ("duty", "link to a new password made", "s/1", "case 4711"),
        ("duty", "customer signed out everywhere", "s/1", "case 4711"),
        ("duty", "customer signed out everywhere", "s/1", "case 4711"),
    ]


async def test_nothing_is_done_without_a_reason_or_when_sign_in_is_silent(house: House) -> None:
    for path in (END, LINK):
        for fields in ({"customer": "s/1", "why": "x"}, {"customer": "", "why": "case 4711"}, {}):
            assert (await say(house, path, **fields)).status_code == 422
    assert house.elsewhere.asked_of_signin == [] and await house.console.accesses() == []
    house.elsewhere.alive = False
    for path in (END, LINK):
        silent = await say(house, path, customer="s/1", why="case 4711")
        assert silent.status_code == 503 and "Nothing was done" in silent.text
