"""A demo's page that stages an evening: what it says, who may order one, when, and that there is none elsewhere."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import httpx
import pytest
from console_doubles import EVIL, Seen
from console_elsewhere import ORIGIN, Elsewhere, House, console_beside
from waiting import eventually

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import open_incident
from prikkfri.assurance.rehearsals import store
from prikkfri.assurance.rehearsals.service import Rehearsals
from prikkfri.assurance.rehearsals.staging import (
    NOT_TAKEN,
    SILENT,
    Order,
    Stage,
    Staging,
    State,
    Step,
    Verdict,
    as_seen,
    break_off,
    conclude,
    in_the_way,
    is_stale,
)
from prikkfri.assurance.response import store as incident_store
from prikkfri.assurance.segments import Segment
from prikkfri.clock import ManualClock
from prikkfri.errors import StorageUnavailable
from prikkfri.storage import Transaction

NOW = 1_000.0
STAGING = Staging("kickoff", "duty", NOW, NOW)
ORDER = Order("kickoff", "duty", NOW)


def test_an_order_is_shown_until_it_is_taken_and_warned_of_when_nobody_takes_it() -> None:
    seen = as_seen(None, ORDER, NOW + 10)
    assert seen is not None and (seen.state, seen.by, seen.since, seen.trouble) == ("asked", "duty", NOW, "")
    late = as_seen(None, ORDER, NOW + 10.1)
    assert late is not None and (late.state, late.trouble) == ("asked", NOT_TAKEN)
    before = replace(STAGING, since=NOW - 1, state="passed")
    assert as_seen(before, ORDER, NOW) == seen
    assert as_seen(STAGING, ORDER, NOW) == STAGING  # it is what came of that order
    assert as_seen(None, None, NOW) is None


def test_of_a_stage_that_has_fallen_silent_nothing_more_is_expected() -> None:
    assert as_seen(STAGING, None, NOW + 20) == STAGING
    silent = as_seen(replace(STAGING, told_at=NOW + 5), None, NOW + 25.1)
    assert silent is not None and (silent.state, silent.until, silent.trouble) == ("broken-off", NOW + 5, SILENT)
    passed = replace(STAGING, state="passed")
    assert as_seen(passed, None, NOW + 9_000) == passed


@pytest.mark.parametrize(
    ("state", "trouble", "hinders"),
    [("asked", "", True), ("asked", NOT_TAKEN, False), ("running", "", True), ("passed", "", False),
     ("failed", "", False), ("not-judged", "", False), ("broken-off", SILENT, False)],
)  # fmt: skip
def test_one_evening_is_staged_at_a_time(state: State, trouble: str, hinders: bool) -> None:
    other = replace(STAGING, state=state, trouble=trouble)
    assert in_the_way([replace(STAGING, state="passed"), other]) == (other if hinders else None)


def test_an_order_of_long_ago_is_not_played() -> None:
    assert not is_stale(ORDER, NOW + 10)
    assert is_stale(ORDER, NOW + 10.1)


@pytest.mark.parametrize(
    ("holds", "state"),
    [((True, True), "passed"), ((True, None), "not-judged"), ((None, False), "failed"), ((False,), "failed")],
)
def test_what_an_evening_comes_to_is_the_worst_of_its_verdicts(holds: tuple[bool | None, ...], state: str) -> None:
    verdicts = tuple(Verdict("it held", "3 s", each) for each in holds)
    found = conclude(STAGING, verdicts, ("i-1",), NOW + 60)
    assert (found.state, found.until, found.told_at, found.incidents) == (state, NOW + 60, NOW + 60, ("i-1",))
    assert found.verdicts == verdicts
    off = break_off(STAGING, "no route", NOW + 5)
    assert (off.state, off.until, off.told_at, off.trouble) == ("broken-off", NOW + 5, NOW + 5, "no route")


def test_an_order_is_taken_once_and_what_another_version_wrote_is_as_good_as_nothing(tmp_path: Path) -> None:
    assert store.take_order(tmp_path) is None and store.stage(tmp_path) == Stage()
    store.put_order(tmp_path, ORDER)
    assert store.order(tmp_path) == ORDER
    assert (store.take_order(tmp_path), store.take_order(tmp_path)) == (ORDER, None)
    store.put_staging(tmp_path, STAGING)
    assert store.stagings(tmp_path) == {"kickoff": STAGING}
    folder = tmp_path / "run" / "rehearsals"
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
    (folder / "kickoff.json").write_text('{"evening": "carnival"}')
    assert store.stagings(tmp_path) == {}


@pytest.fixture
async def house(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    async with console_beside(Elsewhere(), tmp_path, clock, demo=True) as opened_house:
        yield opened_house


async def post(house: House, **fields: str) -> httpx.Response:
    return await house.browser.post("/rehearsals", data=fields, headers={"origin": ORIGIN})


async def page(house: House) -> str:
    answer = await house.browser.get("/rehearsals")
    assert answer.status_code == 200
    return unescape(answer.text)


async def test_only_a_demo_has_the_page(tmp_path: Path, clock: ManualClock) -> None:
    async with console_beside(Elsewhere(), tmp_path, clock) as house:
        assert (await house.browser.get("/rehearsals")).status_code == 404
        assert (await house.browser.get("/rehearsals/live")).status_code == 404
        assert (await post(house, evening="kickoff", sure="yes")).status_code == 404
        assert "rehearsals" not in (await house.browser.get("/")).text
    assert store.order(tmp_path) is None


async def test_the_page_is_for_those_who_have_signed_in_and_the_button_for_those_who_act(
    house: House, tmp_path: Path
) -> None:
    password = await house.console.add_user("eva", by="duty", role="look")
    await house.browser.post("/sign-out", headers={"origin": ORIGIN})
    for answer in (await house.browser.get("/rehearsals"), await post(house, evening="kickoff", sure="yes")):
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in")
    form = {"name": "eva", "password": str(password)}
    await house.browser.post("/sign-in", data=form, headers={"origin": ORIGIN})
    assert "What happens" in await page(house)
    assert (await post(house, evening="kickoff", sure="yes")).status_code == 403
    assert store.order(tmp_path) is None


async def test_an_evening_is_ordered_at_the_second_word(house: House, tmp_path: Path, clock: ManualClock) -> None:
    assert "stage an evening that goes wrong" in (await house.browser.get("/")).text
    before = await page(house)
    assert before.count("not staged yet") == 2 and 'href="http://viewer.test"' in before
    asked = await post(house, evening="misdelivery")
    assert asked.status_code == 422 and "Stage the misdelivery?" in asked.text and store.order(tmp_path) is None
    fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', asked.text))
    answer = await post(house, **fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/rehearsals#misdelivery")
    assert store.order(tmp_path) == Order("misdelivery", "duty", clock.now())
    after = await page(house)
    assert "asked for" in after and "by duty" in after and '<form method="post" action="/rehearsals">' not in after
    other = await post(house, evening="kickoff", sure="yes")
    assert other.status_code == 422 and "One evening at a time: the misdelivery is asked for." in unescape(other.text)
    clock.advance(10.1)
    assert NOT_TAKEN in await page(house)
    assert (await post(house, evening="kickoff", sure="yes")).status_code == 303
    assert store.order(tmp_path) == Order("kickoff", "duty", clock.now())


@pytest.mark.parametrize("evening", ["", "carnival", "order"])
async def test_what_is_no_evening_is_refused(house: House, tmp_path: Path, evening: str) -> None:
    answer = await house.browser.post(
        "/rehearsals", data={"evening": evening, "sure": "yes"}, headers={"origin": ORIGIN, "accept": "*/*"}
    )
    assert (answer.status_code, answer.json()["error"]) == (422, "not-accepted")
    assert store.order(tmp_path) is None
    assert (await house.browser.post("/rehearsals", data={"evening": "kickoff", "sure": "yes"})).status_code == 403


async def test_while_it_runs_the_step_and_the_incident_show_and_in_the_end_each_check(
    house: House, tmp_path: Path, clock: ManualClock
) -> None:
    now = clock.now()
    running = Staging("kickoff", "duty", now, now, steps=(Step(now, "people come"), Step(now + 3, EVIL)))
    store.put_staging(tmp_path, running)
    alarm = Alarm("told", Segment.of({"service": "television"}), now + 2, now + 1, 0.0, 1.0, 9, 27, 26, text="gone")
    incident = open_incident("i-1", alarm, now + 2)
    earlier = open_incident("i-0", alarm, now - 60)

    async def put(tx: Transaction) -> None:
        for each in (incident, earlier):
            await incident_store.save_incident(tx, each)

    await house.assurance.database.write(put)
    running_response = asyncio.create_task(house.response.run())
    await eventually(lambda: len(house.response.register.open_incidents) == 2)
    running_response.cancel()
    answer = await house.browser.get("/rehearsals")
    assert "evil-x" not in Seen(answer).elements
    shown = unescape(answer.text)
    assert "running" in shown and EVIL in shown
    assert 'href="/incidents/i-1/hit"' in shown and "/incidents/i-0" not in shown
    assert "it can be staged when the other has ended" in shown
    assert (await post(house, evening="misdelivery", sure="yes")).status_code == 422
    verdicts = (Verdict("It was placed", "signin", True), Verdict("In time", "not judged: machine busy", None),
                Verdict("Nobody is missing", "2 of 9", False))  # fmt: skip
    store.put_staging(tmp_path, conclude(running, verdicts, ("i-1",), now + 90))
    shown = await page(house)
    assert "1 of 3 passed, 1 not judged<" in shown and "<td>machine busy</td>" in shown  # it is said once
    assert shown.count("not judged") == 2 and "2 of 9" in shown and "failed" in shown
    assert 'href="/incidents/i-1"' in shown and "Stage the kick-off again" in shown
    assert (await post(house, evening="kickoff")).status_code == 422  # it asks
    assert (await post(house, evening="kickoff", sure="yes")).status_code == 303


async def test_what_this_demo_cannot_stage_has_no_button_and_says_why(house: House, tmp_path: Path) -> None:
    store.put_stage(tmp_path, Stage({"misdelivery": "there is no Nordtel"}, {"Nordtel": "http://nordtel.test"}))
    shown = await page(house)
    assert "It cannot be staged here: there is no Nordtel" in shown and 'href="http://nordtel.test"' in shown
    assert 'value="misdelivery"' not in shown and 'value="kickoff"' in shown
    assert (await post(house, evening="misdelivery", sure="yes")).status_code == 422
    assert store.order(tmp_path) is None


async def test_a_home_that_takes_nothing_more_is_said_to_be(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(StorageUnavailable, match="rehearsals"):
        await Rehearsals(tmp_path, clock).order("kickoff", by="duty")
