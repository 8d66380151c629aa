"""The links on the console: how each partner speaks, and what is not known."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from console_elsewhere import Elsewhere, House, console_beside

from prikkfri.clock import ManualClock
from prikkfri.web.console.wording import seconds

NOTHING = {"half": None, "most": None, "longest": None}
LINK: dict[str, Any] = {
    "link": "nord", "partner": "Fjordmobil", "binds": 2, "bound_since": 1_699_999_000.0, "waiting": 10_000,
    "rate": 183.2, "ids": "to base ten, given to base sixteen, as was learnt", "complaint": "", "taken": 1_204_331,
    "handed_in": 5_432, "turned_back": {"no-transit": 21},
    "refused": {"smpp-58": 6_650}, "round_trip": {"half": 0.05, "most": 0.25, "longest": 3.127}, "unanswered": 12,
    "without_answer": 0.0001, "unreadable": 3, "answered_late": 4, "states": {"DELIVERED": 1_100_000},
    "unknown": {"<b>": 7}, "unnamed": 1, "receipts": 1_100_000, "receipt_after": NOTHING, "without_receipt": 0.021,
    "late": 0.0004, "out_of_order": 0.113, "repeated": 90, "unmatched": None, "receipts_waiting": 17,
    "receipts_held": 12, "canaries_per_minute": 30.0,
    "noticed": [{"minutes": 1, "share": None}, {"minutes": 10, "share": 0.012}, {"minutes": 60, "share": 0.0055}],
}  # fmt: skip


def document(*links: dict[str, Any]) -> dict[str, Any]:
    accounts = [{"account": "shop", "binds": 1, "waiting": 3}]
    return {"since": 1_699_990_000.0, "links": list(links), "accounts": accounts}


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    async with console_beside(Elsewhere(), tmp_path, clock) as opened:
        yield opened


async def page(house: House) -> str:
    answer = await house.browser.get("/links")
    assert answer.status_code == 200
    return " ".join(answer.text.split())


async def test_a_link_is_shown_with_what_its_traffic_tells(house: House) -> None:
    house.elsewhere.links = document(LINK)
    shown = await page(house)
    for told in ("bound 2 times", "<dd>10,000</dd>", "1,204,331, 183 a second", "smpp-58 6,650", "0.05 s", "3.13 s",
                 "0.01 %; 4 came late", "as was learnt", "DELIVERED 1,100,000", "&lt;b&gt; 7", "2.1 %", "0.04 %",
                 "11.3 %", "<dt>Unmatched</dt><dd>–</dd>", "12 receipts", "/quarantine?link=nord", "shop",
                 "<dd>5,432; turned back: no-transit 21</dd>",
                 "none in 1 min, 1.2 % in 10 min, 0.55 % in 60 min"):  # fmt: skip
        assert told in shown, told
    assert "<b> 7" not in shown
    unseen = [{"minutes": minutes, "share": None} for minutes in (1, 10, 60)]
    house.elsewhere.links = document({**LINK, "canaries_per_minute": 0.0, "noticed": unseen})
    assert "<dd>none, however large</dd>" in await page(house)  # "none" three times read as if all were noticed


async def test_one_that_is_not_bound_or_whose_receipts_fit_nothing_is_said_to_be_so(house: House) -> None:
    house.elsewhere.links = document({**LINK, "binds": 0, "waiting": 9_999, "complaint": "link nord: the last 22"})
    shown = await page(house)
    assert "not bound" in shown and "link nord: the last 22" in shown
    assert "9,999</dd>" in shown


async def test_where_there_is_none_and_where_nobody_answers_it_is_said(house: House) -> None:
    house.elsewhere.links = document()
    assert "There are no links" in await page(house)
    house.elsewhere.links = None
    assert "The SMS centre does not answer" in await page(house)


def test_seconds_are_said_as_short_as_they_can_be_read() -> None:
    assert [seconds(value) for value in (0.0, 0.05, 3.127, 99.9, 100.0, 5_000.4)] == [
        "0 s", "0.05 s", "3.13 s", "99.9 s", "100 s", "5,000 s"
    ]  # fmt: skip


async def test_what_the_centre_says_is_wrong_though_it_serves_stands_above(house: House) -> None:
    house.elsewhere.links = document(LINK)
    assert 'role="alert"' not in await page(house)
    house.elsewhere.troubles = ["the SMS centre sends <i>nothing</i>", "the mark is not kept"]
    shown = await page(house)
    assert 'role="alert">the SMS centre sends &lt;i&gt;nothing&lt;/i&gt;</p>' in shown
    assert 'role="alert">the mark is not kept</p>' in shown
    house.elsewhere.alive = False
    assert 'role="alert"' not in await page(house)  # that it does not answer is said in words of its own
