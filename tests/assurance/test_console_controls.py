"""What people on duty switch from the console: channels and routes of other roles, which may be dead."""

import html
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from console_elsewhere import Elsewhere, House, console_beside

from prikkfri.clock import ManualClock


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    async with console_beside(Elsewhere(), tmp_path, clock) as opened:
        yield opened


async def test_a_channel_is_opened_by_one_click_and_left_to_its_rule_by_another(house: House) -> None:
    assert "for those signed in" in await house.page()
    answer = await house.switch("channel", name="sport", state="open")
    assert (answer.status_code, answer.headers["location"]) == (303, "/controls")
    assert house.elsewhere.channels["sport"] == {"id": "sport", "name": "Sport", "open": True, "by": "duty"}
    page = await house.page()
    assert "http://playout.test/open/sport/index.m3u8" in page
    assert "open to everybody" in page and "by duty" in page and "Leave it to the rule" in page
    await house.switch("channel", name="sport", state="closed")
    assert house.elsewhere.channels["sport"] == {"id": "sport", "name": "Sport", "open": False, "by": "duty"}
    page = await house.page()
    assert "open to everybody" not in page and "Leave it to the rule" in page
    await house.switch("channel", name="sport", state="open")
    await house.switch("channel", name="sport", state="rule")
    assert not house.elsewhere.channels["sport"]["open"]
    assert "Leave it to the rule" not in await house.page()


async def test_what_is_amiss_with_a_programme_guide_is_told_beside_its_channel(house: House) -> None:
    assert "Programme guide" not in await house.page()
    house.elsewhere.channels["sport"]["guide"] = "of the guide g.xml: 3 of 9 programmes are left out"
    await house.assurance.look_at_controls()
    assert "Programme guide: of the guide g.xml: 3 of 9 programmes are left out" in await house.page()


async def test_a_route_is_stopped_and_opened(house: House) -> None:
    assert "0 of 90 canaries astray" in await house.page()
    house.elsewhere.route.update(trusted=False, astray=4)
    await house.assurance.look_at_controls()
    page = await house.page()
    assert "open, not trusted" in page and "proven in" not in page
    house.elsewhere.route.update(canaries_to_prove=1_100, proving_seconds=1_274.2)
    await house.assurance.look_at_controls()
    assert "proven in 1,275 s if the next 1,100 arrive;" in await house.page()
    house.elsewhere.route.update(canaries_to_prove=0, proving_seconds=3.0)
    await house.assurance.look_at_controls()
    assert "proven in 3 s if none turns up missing;" in await house.page()
    back = "/incidents/20261125-1200-abcd"
    answer = await house.switch("route", name="nord", state="stopped", back=back)
    assert (answer.status_code, answer.headers["location"]) == (303, back)
    assert (house.elsewhere.route["state"], house.elsewhere.route["by"]) == ("stopped", "duty")
    assert "Open it before proof" in await house.page()


async def test_what_would_be_noticed_and_what_hints_at_misdelivery_stands_next_to_its_route(house: House) -> None:
    assert "would be noticed" not in await house.page()
    shares = [{"minutes": 1, "share": None}, {"minutes": 10, "share": 0.0117}]
    house.elsewhere.route.update(
        noticed=shares, canaries_per_minute=29.5, suspected=True, hints={"people": 3, "partner": 1}
    )
    await house.assurance.look_at_controls()
    page = await house.page()
    for said in ("none in 1 min, 1.2 % in 10 min", "looked at closely", "3 people say that a message was not for them",
                 "1 complaints of the partner"):  # fmt: skip
        assert said in page, said


async def test_that_a_partner_complains_is_said_by_one_click(house: House) -> None:
    assert "The partner complains" in await house.page()
    answer = await house.switch("complaint", name="nord", state="complains")
    assert (answer.status_code, answer.headers["location"]) == (303, "/controls")
    assert house.elsewhere.complaints == ["duty"]
    assert (await house.switch("complaint", state="complains")).status_code == 422
    answer = await house.switch("complaint", name="south", state="complains")
    assert answer.status_code == 503 and "The complaint was not noted: the sms role answered 404" in answer.text
    assert (await house.switch("complaint", name="nord", origin="http://evil.test")).status_code == 403


async def test_what_cannot_be_switched_says_why(house: House) -> None:
    for fields in ({}, {"name": "sport"}, {"name": "sport", "state": "ajar"}, {"state": "open"}):
        assert (await house.switch("channel", **fields)).status_code == 422
    assert (await house.switch("route", name="nord", state="rule")).status_code == 422
    answer = await house.switch("channel", name="nowhere", state="open")
    assert answer.status_code == 503 and "nowhere was not switched: the playout role answered 404" in answer.text
    assert (await house.switch("channel", name="sport", state="open", origin="http://evil.test")).status_code == 403
    assert not house.elsewhere.channels["sport"]["open"]
    for back in ("//evil.test/", "https://evil.test/incidents/", "/people", ""):
        answer = await house.switch("channel", name="sport", state="open", back=back)
        assert answer.headers["location"] == "/controls"


async def test_a_role_that_is_dead_is_said_to_be(house: House) -> None:
    house.elsewhere.alive = False
    answer = await house.switch("route", name="nord", state="stopped")
    assert answer.status_code == 503 and "the sms role cannot be reached" in answer.text
    page = await house.page()
    assert "Playout does not answer" in page and "The SMS centre does not answer" in page


async def test_what_a_role_tells_is_text(house: House) -> None:
    page = await house.page()
    assert "<b>" not in page.lower().partition("<main")[2]
    assert html.escape("<B>Nyheter</B>") in page


async def test_nobody_switches_without_signing_in(house: House) -> None:
    house.browser.cookies.clear()
    answer = await house.switch("channel", name="sport", state="open")
    assert answer.headers["location"] == "/sign-in"
    assert not house.elsewhere.channels["sport"]["open"]
