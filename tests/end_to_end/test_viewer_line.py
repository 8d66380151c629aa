"""The way in when there is a line: it comes before the form, survives what happens to the page, and says whose turn it
is. Against doubles of the other roles, in a real browser."""

import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from test_viewer_accessible import AXE, found
from viewer_browser import NEEDS_CHROMIUM, PHONE, WIDE, Viewer, chromium
from viewer_double import CHANNELS, LOGIN, PASSWORD, Double, Served, make_clip, television

from prikkfri.config import Text
from prikkfri.config import Viewer as Look

pytestmark = [pytest.mark.browser, NEEDS_CHROMIUM]
LONG = 500
"""A place, and as many seconds until its turn: too long to give a name and password already."""
SHORT = 20
PICTURES = os.environ.get("PRIKKFRI_TEST_PICTURES", "")
"""A folder, for somebody who wants to look."""
STATES = (
    "waiting",
    "soon",
    "given",
    "still",
    "paused",
    "room",
    "drained",
    "turn",
    "late",
    "refused",
    "busy",
    "silent",
    "form",
    "wrong",
)
IN_LINE = ("waiting", "soon", "given", "still", "paused", "room")
OWN = Text(
    nb="Kampen <b>begynner</b> 20.00.", sv="Matchen <b>börjar</b> 20.00.", en="The match <b>begins</b> at 20:00."
)
LOOK = Look(colour="#0b6e4a", colour_dark="#4ccf9a", headline=Text(nb="Hei", sv="Hej", en="Hello"), waiting=OWN)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / str(CHANNELS[0]["id"]), 0.6)
    return folder


@pytest.fixture
def house(clips: Path) -> Iterator[tuple[Double, dict[str, Served]]]:
    with television(clips) as (double, roles):
        double.line_told = True
        yield double, roles


@pytest.fixture
def viewer(browser: Browser, house: tuple[Double, dict[str, Served]]) -> Iterator[Viewer]:
    viewer = Viewer(browser, house[1]["viewer"].url)
    yield viewer
    viewer.close()


def kept(viewer: Viewer) -> str:
    return json.dumps(viewer.page.evaluate("[{...localStorage}, {...sessionStorage}, document.cookie]"))


def stands_in_line(viewer: Viewer) -> None:
    expect(viewer.page.locator("#wait-text")).to_contain_text(f"number {LONG} in line; estimated wait about 9 min")
    expect(viewer.page.locator("#sign-in-form")).to_be_hidden()


def test_the_line_comes_before_the_form_and_a_keyboard_is_enough(
    viewer: Viewer, house: tuple[Double, dict[str, Served]]
) -> None:
    double, page = house[0], viewer.page
    double.line = [LONG] * 1000
    viewer.open()
    stands_in_line(viewer)
    expect(page.locator("#wait-title")).to_be_focused()
    expect(page.locator("#announcer")).to_have_text(re.compile("Many are on their way in. You are number 500"))
    expect(page.locator("#wait-next")).to_contain_text("You sign in here when it is your turn")
    expect(page.locator("#wait-cancel")).to_be_hidden()  # nothing was given that could be taken back
    expect(page).to_have_title("9 min – Fjordnett")
    double.line = []
    expect(page.locator("#turn-title")).to_have_text("It is your turn")
    expect(page.locator("#turn-text")).to_have_text(
        re.compile(r"Sign in by \d\d:\d\d. The place is yours for another \d+ s")
    )
    expect(page.locator("#announcer")).to_have_text(re.compile("It is your turn. Sign in by"))
    expect(page).to_have_title("It is your turn – Fjordnett")
    viewer.sign_in(LOGIN, "wrong")
    expect(page.locator("#form-error")).to_be_visible()
    expect(page.locator("#turn-title")).to_be_visible()
    assert LOGIN not in kept(viewer) and "wrong" not in kept(viewer)
    page.reload()
    expect(page.locator("#turn-title")).to_have_text("It is your turn")
    viewer.sign_in(LOGIN, PASSWORD)
    viewer.sees_the_picture()
    assert [body["pass"] for body in double.sign_ins] == ["a-pass"] * 2
    assert double.entered[0] == "enter" and set(double.entered[1:]) == {"a-ticket"}
    assert PASSWORD not in kept(viewer) and "ticket" not in kept(viewer)


def test_a_closed_page_and_a_dead_door_keep_the_place_and_show_it(
    viewer: Viewer, house: tuple[Double, dict[str, Served]]
) -> None:
    double, roles = house
    double.line = [LONG] * 1000
    viewer.open()
    stands_in_line(viewer)
    viewer.page.reload()
    stands_in_line(viewer)
    again = viewer.context.new_page()
    viewer.page.close()
    viewer.page = again
    viewer.open()
    stands_in_line(viewer)
    assert double.entered.count("enter") == 1
    roles["door"].stop()
    viewer.page.reload()
    expect(viewer.page.locator("#wait-title")).to_contain_text("The line has stood still since")
    expect(viewer.page.locator("#wait-text")).to_contain_text(f"You are number {LONG}, and keep your place")
    viewer.page.locator("#wait-cancel").press("Enter")
    viewer.sign_in(LOGIN, PASSWORD)
    viewer.sees_the_picture()  # signin has some to spare
    assert "pass" not in double.sign_ins[0]


def test_shortly_before_the_turn_name_and_password_are_given_and_used_when_it_comes(
    viewer: Viewer, house: tuple[Double, dict[str, Served]]
) -> None:
    double, page = house[0], viewer.page
    double.line = [SHORT] * 1000
    viewer.open()
    expect(page.locator("#wait-title")).to_be_focused()
    expect(page.locator("#wait-next")).to_contain_text("Fill in now")
    viewer.press("ArrowDown", "ArrowDown")
    viewer.sign_in(LOGIN, PASSWORD)
    expect(page.locator("#wait-next")).to_contain_text("We sign you in the moment it is your turn")
    expect(page.locator("#sign-in-form")).to_be_hidden()
    expect(page.locator("#wait-title")).to_be_focused()
    assert not double.sign_ins and PASSWORD not in kept(viewer)
    viewer.press("Escape")
    expect(page.locator("#sign-in-form")).to_be_visible()  # taken back; the place is not
    page.locator("#password").focus()
    viewer.press("Enter")
    expect(page.locator("#sign-in-form")).to_be_hidden()
    double.line = []
    viewer.sees_the_picture()
    assert [body["pass"] for body in double.sign_ins] == ["a-pass"]
    assert double.entered.count("enter") == 1


def test_a_turn_that_is_over_is_said_and_costs_no_place(
    viewer: Viewer, house: tuple[Double, dict[str, Served]]
) -> None:
    double = house[0]
    double.line, double.admitted_seconds = [LONG], 7
    viewer.open()
    expect(viewer.page.locator("#turn-title")).to_have_text("It is your turn")
    expect(viewer.page.locator("#turn-title")).to_have_text("Sign in, and we let you in again")
    double.admitted_seconds = 60
    viewer.sign_in(LOGIN, PASSWORD)
    viewer.sees_the_picture()
    assert double.entered == ["enter", "a-ticket", "a-ticket"]


def test_a_line_that_stands_is_said_and_can_be_tried_past(
    viewer: Viewer, house: tuple[Double, dict[str, Served]]
) -> None:
    double, page = house[0], viewer.page
    double.line_stands_since = 1.7e9
    viewer.open()
    expect(page.locator("#wait-title")).to_have_text(re.compile(r"The line has stood still since \d\d:\d\d"))
    expect(page.locator("#wait-status")).to_be_visible()
    double.line_stands_since, double.line = None, [LONG] * 1000
    expect(page.locator("#wait-title")).to_have_text("Many are on their way in")


def test_what_people_on_duty_order_is_told_and_a_crowd_hears_of_its_end_without_asking(
    viewer: Viewer, house: tuple[Double, dict[str, Served]]
) -> None:
    double, page = house[0], viewer.page
    double.line, double.turns, double.poll_after_s = [LONG] * 1000, [(0.0, 0, 0.0), (8.0, 400, 800.0)], 600.0
    double.ordered = {"state": "paused", "reason": "maintenance", "since": 1.7e9}
    viewer.open()
    expect(page.locator("#wait-title")).to_have_text("The line is paused")
    expect(page.locator("#wait-text")).to_have_text(re.compile(r"number 500, and keep your place. The pause began at"))
    expect(page.locator("#wait-next")).to_have_text("We are doing maintenance.")
    double.ordered = None
    expect(page.locator("#wait-text")).to_contain_text("number 351 in line; estimated wait about 12 min")
    expect(page.locator("#announcer")).to_contain_text("Many are on their way in")
    double.ordered = {"state": "paused", "reason": "other", "since": 1.7e9}
    expect(page.locator("#wait-title")).to_have_text("The line is paused")
    assert double.entered == ["enter"]

    double.poll_after_s, double.ordered = 1.0, {"state": "scheduled", "opens_at": 1.9e9, "in_s": 900.0}
    page.reload()
    expect(page.locator("#wait-title")).to_have_text(re.compile(r"We open at \d\d:\d\d"))
    expect(page.locator("#wait-text")).to_contain_text("drawn a place in the line by lot")
    double.ordered = None
    expect(page.locator("#wait-title")).to_have_text("Many are on their way in")
    assert double.entered.count("enter") == 1


def test_whoever_looks_at_an_open_channel_meanwhile_keeps_the_place(
    viewer: Viewer, house: tuple[Double, dict[str, Served]]
) -> None:
    double, page = house[0], viewer.page
    double.line, double.open_ids = [LONG] * 1000, {"en"}
    viewer.open()
    stands_in_line(viewer)
    page.locator(".open-channel").click()
    viewer.sees_the_picture()
    double.open_ids = set()
    page.reload()
    stands_in_line(viewer)
    assert double.entered.count("enter") == 1


def test_the_page_without_script_says_what_to_do_in_three_languages(browser: Browser, clips: Path) -> None:
    with television(clips) as (_, roles):
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(roles["viewer"].url)
        assert page.title() == "Fjordnett"
        for language, said in {
            "nb": "Slå på JavaScript",
            "sv": "Slå på JavaScript",
            "en": "Turn on JavaScript",
        }.items():
            expect(page.locator(f"noscript p[lang={language}]")).to_contain_text(said)
            expect(page.locator(f"noscript p[lang={language}]")).to_be_visible()
        context.close()


@pytest.mark.slow
@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed; mend it: npm ci")
@pytest.mark.parametrize(("theme", "size"), [("dark", WIDE), ("light", PHONE)], ids=["dark-wide", "light-phone"])
def test_each_state_can_be_looked_at_without_joining_in_the_operators_colours_and_words(
    browser: Browser, clips: Path, theme: str, size: dict[str, int]
) -> None:
    with television(clips, look=LOOK) as (double, roles):
        viewer = Viewer(browser, roles["viewer"].url, PHONE if size == PHONE else WIDE)
        asked: list[str] = []
        viewer.page.on("request", lambda request: asked.append(request.url))
        languages = itertools.cycle(["nb", "sv", "en"])
        for state, language in zip(STATES, languages, strict=False):
            viewer.page.goto(f"{roles['viewer'].url}/preview-waiting?state={state}&lang={language}&theme={theme}")
            expect(viewer.page.locator("#headline")).to_have_text({"nb": "Hei", "sv": "Hej", "en": "Hello"}[language])
            expect(viewer.page.locator("html")).to_have_attribute("lang", language)
            expect(viewer.page.locator("#preview-state")).to_have_value(state)
            expect(viewer.page.locator("#wait-own")).to_be_visible(visible=state in IN_LINE)
            if state == "waiting":
                expect(viewer.page.locator("#wait-own")).to_have_text(OWN.nb)  # told, not obeyed
            asked_for = state in ("soon", "turn", "late", "form", "wrong")
            expect(viewer.page.locator("#sign-in-form")).to_be_visible(visible=asked_for)
            viewer.has_come_to_rest()
            width = viewer.page.evaluate("document.documentElement.scrollWidth")
            assert width == size["width"], (state, width)
            if PICTURES:
                viewer.page.screenshot(path=f"{PICTURES}/{theme}-{state}-{language}.png", full_page=True)
            assert found(viewer) == [], state
        viewer.page.locator("#preview-state").select_option("turn")
        expect(viewer.page.locator("#turn-title")).to_be_visible()
        button = "getComputedStyle(document.getElementById('sign-in-button')).backgroundColor"
        assert viewer.page.evaluate(button) == {"dark": "rgb(76, 207, 154)", "light": "rgb(11, 110, 74)"}[theme]
        assert not double.entered and not double.sign_ins and "ticket" not in kept(viewer)
        assert {url for url in asked if not url.startswith(f"{roles['viewer'].url}/")} == set()
        viewer.close()
