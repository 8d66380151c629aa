"""Quarantine on the console: masked, recorded, and let go by who may act and no one else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from console_elsewhere import ORIGIN, Elsewhere, House, console_beside

from prikkfri.clock import ManualClock

BROKEN = "the seal does not open for this recipient: it can only be discarded"


def held(identity: str, link: str, *, kind: str = "message", hindrance: str = "", **fields: Any) -> dict[str, Any]:
    entry = {
        "id": identity, "kind": kind, "link": link, "held_at": 1_700_000_000.0, "reason": "<b>misdirected</b>",
        "sender": "Shop", "recipient": "+47 ••• •• 001", "detail": "class ordinary, from account shop",
    }  # fmt: skip
    steps = [{"time": 1_700_000_000.0, "event": "accepted", "detail": "from account shop"}]
    return {"entry": {**entry, **fields}, "hindrance": hindrance, "goes_to": "link syd", "steps": steps}


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    elsewhere = Elsewhere()
    for each in (held("m1", "nord"), held("m2", "syd", hindrance=BROKEN), held("r1", "syd", kind="receipt", sender="")):
        elsewhere.held[each["entry"]["id"]] = each
    async with console_beside(elsewhere, tmp_path, clock) as opened:
        yield opened


async def page(house: House, path: str, status: int = 200) -> str:
    answer = await house.browser.get(path)
    assert answer.status_code == status
    return answer.text


async def say(house: House, identity: str, action: str, origin: str = ORIGIN) -> Any:
    return await house.browser.post(
        f"/quarantine/{identity}", data={"action": action, "sure": "yes"}, headers={"origin": origin}
    )


async def test_what_is_held_is_listed_by_link_and_that_somebody_looked_is_recorded(house: House) -> None:
    everything = await page(house, "/quarantine")
    assert all(f'href="/quarantine/{identity}"' in everything for identity in ("m1", "m2", "r1"))
    assert "&lt;b&gt;misdirected" in everything and "<b>misdirected" not in everything
    assert "/quarantine?link=nord" in everything
    some = await page(house, "/quarantine?link=syd")
    assert "/quarantine/m1" not in some and "/quarantine/m2" in some and "/quarantine/r1" in some
    assert "Nothing is in quarantine for none" in await page(house, "/quarantine?link=none")
    looks = [(look.who, look.what, look.subject) for look in await house.console.accesses()]
    assert sorted(looks) == [("duty", "quarantine, masked", subject) for subject in ("all", "none", "syd")]


async def test_one_is_shown_with_what_may_be_done_and_released_by_name(house: House) -> None:
    shown = await page(house, "/quarantine/m1")
    assert "link syd" in shown and "accepted" in shown and "Release</button>" in shown and "Discard" in shown
    answer = await say(house, "m1", "release")
    assert (answer.status_code, answer.headers["location"]) == (303, "/quarantine?done=release")
    assert house.elsewhere.said == [("m1", "release", "duty")]
    assert "It is released from quarantine." in await page(house, "/quarantine?done=release")
    assert "<i>" not in await page(house, "/quarantine?done=<i>")
    looks = [(look.what, look.subject) for look in await house.console.accesses() if look.subject == "m1"]
    assert sorted(looks) == [("entry in quarantine, masked", "m1"), ("released from quarantine", "m1")]
    await page(house, "/quarantine/m1", 404)


async def test_a_broken_seal_is_offered_no_release_and_only_discarded(house: House) -> None:
    shown = await page(house, "/quarantine/m2")
    assert BROKEN in shown and "Release</button>" not in shown
    answer = await say(house, "m2", "release")
    assert answer.status_code == 503
    assert f"Nothing was done: {BROKEN}." in answer.text
    assert (await say(house, "m2", "burn")).status_code == 422
    assert house.elsewhere.said == []
    assert (await say(house, "m2", "discard")).status_code == 303
    assert house.elsewhere.said == [("m2", "discard", "duty")]


async def test_who_only_looks_and_who_comes_from_elsewhere_change_nothing(house: House) -> None:
    assert (await say(house, "r1", "discard", origin="http://evil.test")).status_code == 403
    password = await house.console.add_user("eva", by="duty", role="look")
    await house.browser.post("/sign-out", headers={"origin": ORIGIN})
    assert (await say(house, "r1", "discard")).status_code == 303  # to sign in
    await house.browser.post("/sign-in", data={"name": "eva", "password": password}, headers={"origin": ORIGIN})
    assert "Discard" not in await page(house, "/quarantine/r1")
    assert (await say(house, "r1", "discard")).status_code == 403
    assert house.elsewhere.said == []
    assert "r1" in house.elsewhere.held


async def test_while_the_centre_is_dead_it_is_said_and_nothing_is_done(house: House) -> None:
    house.elsewhere.alive = False
    assert "The SMS centre does not answer" in await page(house, "/quarantine")
    assert "The SMS centre does not answer." in await page(house, "/quarantine/m1", 503)
    answer = await say(house, "m1", "release")
    assert answer.status_code == 503
    assert "Nothing was done: the sms role cannot be reached" in answer.text
