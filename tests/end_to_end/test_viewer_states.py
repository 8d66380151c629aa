"""The viewer against doubles of the other roles, in a real browser: each state that a person can meet."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect
from viewer_browser import NEEDS_CHROMIUM, PHONE, WIDE, Viewer, chromium
from viewer_double import CHANNELS, LOGIN, PASSWORD, Double, Served, make_clip, stop_all, television

pytestmark = [pytest.mark.browser, NEEDS_CHROMIUM]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number, channel in enumerate(CHANNELS):
        if channel["package"] == "basic":  # nobody gets to see another
            make_clip(folder / str(channel["id"]), number / len(CHANNELS))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Room:
    """The roles, and a viewer in front of them."""

    def __init__(self, double: Double, roles: dict[str, Served], viewer: Viewer) -> None:
        self.double = double
        self.roles = roles
        self.viewer = viewer
        self.page = viewer.page

    def sign_in(self) -> None:
        self.viewer.open()
        self.viewer.sign_in(LOGIN, PASSWORD)

    def asked_for(self, start: str) -> bool:
        return any(address.startswith(start) for address in self.double.addresses)

    def comes_to_ask_for(self, start: str) -> None:
        """Returns when it is asked for: until then it may still be the picture before that goes on."""
        self.viewer.waits_until(lambda: self.asked_for(start), f"{start} to be asked for")

    def comes_to_tell(self, report: dict[str, object]) -> None:
        """Returns when the device has reported this; on a busy machine it may have more to report."""
        self.viewer.waits_until(
            lambda: any(report.items() <= told.items() for told in self.double.reports), str(report)
        )

    def told_of(self, step: str) -> list[dict[str, object]]:
        return [told for told in self.double.reports if told["step"] == step]


@pytest.fixture
def room(browser: Browser, clips: Path, request: pytest.FixtureRequest) -> Iterator[Room]:
    size = getattr(request, "param", WIDE)
    with television(clips) as (double, roles):
        viewer = Viewer(browser, roles["viewer"].url, size)
        yield Room(double, roles, viewer)
        viewer.close()


def test_a_remote_is_enough(room: Room) -> None:
    room.sign_in()
    room.viewer.watches(2)
    room.comes_to_ask_for("/live/first/en/")
    room.viewer.press("Escape", "Enter")
    first_row = room.page.locator(".row").first.locator(".card")
    second_row = room.page.locator(".row").nth(1).locator(".card")
    expect(first_row.first).to_be_focused()
    room.viewer.press("ArrowRight", "ArrowRight")
    expect(first_row.nth(2)).to_be_focused()
    room.viewer.press("ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    expect(second_row.first).to_be_focused()
    room.viewer.press("ArrowUp")
    expect(first_row.nth(2)).to_be_focused()  # each row remembers its place
    room.viewer.press("ArrowDown", "Enter")
    room.viewer.watches(2)
    assert room.viewer.channel() == "Sport"
    room.comes_to_ask_for("/live/first/sport/")
    room.viewer.press("ArrowUp")
    room.viewer.watches(1)
    assert room.viewer.channel() == "Nyheter"
    room.viewer.press("4")
    expect(room.page.locator("#banner-tile .tile-name")).to_have_text("Natur")


def test_back_closes_the_guide(room: Room) -> None:
    room.sign_in()
    room.viewer.sees_the_picture()
    room.viewer.press("Escape", "Enter")
    expect(room.page.locator("#guide")).to_be_visible()
    room.page.go_back()
    expect(room.page.locator("#guide")).not_to_be_visible()
    room.viewer.press("Enter")
    expect(room.page.locator("#guide")).to_be_visible()
    room.viewer.press("Escape")
    expect(room.page.locator("#guide")).not_to_be_visible()
    expect(room.page.locator("#stage")).to_be_focused()


@pytest.mark.parametrize("room", [PHONE], indirect=True, ids=["phone"])
def test_a_finger_switches_channel(room: Room) -> None:
    room.sign_in()
    room.viewer.watches(1)
    room.page.locator(".row").nth(2).locator(".card").first.tap()
    room.viewer.watches(1)
    room.comes_to_ask_for("/live/first/nyheter/")
    width = room.page.evaluate("document.documentElement.scrollWidth")
    assert width == PHONE["width"]  # nothing sticks out at the side


def test_a_wrong_password_tells_nothing_of_who_exists(room: Room) -> None:
    said = []
    for login in (LOGIN, "nobody@example.no"):
        room.viewer.open()
        room.viewer.sign_in(login, "wrong")
        expect(room.page.locator("#form-error")).to_be_visible()
        expect(room.page.locator("#password")).to_be_focused()
        said.append(room.page.locator("#form-error").inner_text())
    assert said[0] == said[1]


def test_the_crowd_is_waited_out(room: Room) -> None:
    room.double.sign_in_answers = itertools.repeat("busy")
    room.double.retry_after_s = 1
    room.sign_in()
    expect(room.page.locator("#wait-title")).to_have_text("Many are on their way in")
    room.viewer.waits_until(lambda: len(room.double.sign_ins) > 1, "the next try")
    room.double.sign_in_answers = itertools.repeat("ok")
    room.viewer.watches(1)
    assert {body["login"] for body in room.double.sign_ins} == {LOGIN}
    assert re.fullmatch(r"d-[A-Za-z0-9_-]{22}", room.double.sign_ins[0]["device"])
    assert not room.told_of("sign-in")  # a refusal is the role's own outcome, not the device's


def test_the_line_is_stood_in_and_ends_with_a_pass(room: Room) -> None:
    room.double.line = [300] * 1000
    room.sign_in()
    expect(room.page.locator("#wait-text")).to_contain_text("number 300 in line; estimated wait about 5 min")
    room.double.line = [2, 1]
    room.viewer.watches(1)
    assert room.double.entered[0] == "enter" and set(room.double.entered[1:]) == {"a-ticket"}
    assert [body.get("pass") for body in room.double.sign_ins] == ["a-pass"]


def test_a_reload_keeps_the_place_in_the_line(room: Room) -> None:
    room.double.line = [9] * 1000
    room.sign_in()
    expect(room.page.locator("#wait-figure")).to_have_text("9")
    room.double.line = []
    room.sign_in()
    room.viewer.sees_the_picture()
    assert room.double.entered.count("enter") == 1


def test_a_typing_error_costs_no_second_pass(room: Room) -> None:
    room.viewer.open()
    room.viewer.sign_in(LOGIN, "wrong")
    expect(room.page.locator("#form-error")).to_be_visible()
    room.page.locator("#password").fill(PASSWORD)
    room.viewer.press("Enter")
    room.viewer.sees_the_picture()
    assert room.double.entered == ["enter"]


@pytest.mark.parametrize("trouble", ["a dead door", "a line that stands"])
def test_without_a_waiting_room_one_tries_all_the_same(room: Room, trouble: str) -> None:
    if trouble == "a dead door":
        room.roles["door"].stop()
    else:
        room.double.line_stands_since = 1.7e9
    room.sign_in()
    room.viewer.sees_the_picture()
    assert ["pass" in body for body in room.double.sign_ins] == [False]


def test_a_wait_can_be_given_up(room: Room) -> None:
    room.double.sign_in_answers = itertools.repeat("busy")
    room.double.retry_after_s = 30  # so that no try is under way when it is given up
    room.page.clock.install()
    room.sign_in()
    expect(room.page.locator("#wait-text")).to_contain_text(re.compile(r"\d+ s"))
    room.viewer.press("Escape")
    expect(room.page.locator("#login")).to_be_visible()
    tries = len(room.double.sign_ins)
    room.page.clock.run_for(100_000)
    room.page.evaluate("() => fetch('/settings.json').then(answer => answer.status)")
    assert len(room.double.sign_ins) == tries


def test_a_dead_sign_in_is_said_with_what_can_be_watched_meanwhile(room: Room) -> None:
    room.double.open_ids = {"nyheter"}
    room.roles["signin"].stop()
    room.sign_in()
    expect(room.page.locator("#wait-title")).to_contain_text(re.compile(r"not worked since \d\d:\d\d"))
    expect(room.page.locator("#wait-status")).to_have_attribute("href", room.roles["status"].url)
    room.page.locator(".open-channel").click()
    room.viewer.watches(2)
    assert not room.asked_for("/live/")
    report = {"step": "sign-in", "kept": False, "reason": "no-answer", "channel": ""}
    room.comes_to_tell(report)
    assert len(room.told_of("sign-in")) == 1


@pytest.mark.parametrize("trouble", ["frozen", "dead", "a long line"])
def test_a_channel_that_opens_meanwhile_is_offered_to_whoever_stands_outside(room: Room, trouble: str) -> None:
    if trouble == "frozen":
        room.double.sign_in_answers = itertools.repeat("silent")
    elif trouble == "dead":
        room.roles["signin"].stop()
    else:
        room.double.line = [500] * 1000
    room.sign_in()
    if trouble == "frozen":
        expect(room.page.locator("#sign-in-button")).to_be_disabled()
    else:
        expect(room.page.locator("#wait-title")).to_be_visible()
    assert not room.page.locator(".open-channel").is_visible()
    room.double.open_ids = {"sport"}
    expect(room.page.locator(".open-channel")).to_contain_text("Sport")


def test_a_sign_in_that_is_frozen_says_so_long_before_it_is_given_up(room: Room) -> None:
    room.double.sign_in_answers = itertools.repeat("silent")
    room.sign_in()
    expect(room.page.locator("#form-note")).to_contain_text("Sign-in is slow to answer")
    expect(room.page.locator("#wait")).to_be_hidden()  # that comes after twenty seconds
    expect(room.page.locator("#sign-in-button")).to_be_disabled()


def test_tab_reaches_every_control_and_arrows_do_what_people_expect(room: Room) -> None:
    room.sign_in()
    room.viewer.watches(1)
    page = room.page
    assert page.locator("h1").count() == 1
    expect(page.locator("h1")).to_contain_text("Fjordnett")
    reached = []
    for _ in range(12):
        room.viewer.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    controls = ["open-guide", "channel-down", "channel-up", "pause", "mute", "volume", "in-picture", "full-screen",
                "open-settings"]  # fmt: skip
    if not page.evaluate("document.pictureInPictureEnabled"):
        controls.remove("in-picture")
    start = reached.index("open-guide")
    assert reached[start : start + len(controls)] == controls

    page.locator("#volume").focus()
    before = room.viewer.channel()
    room.viewer.press("ArrowDown", "ArrowLeft")
    assert page.evaluate("[video.volume, Number(volume.value)]") == [0.9, 90]
    assert room.viewer.channel() == before  # up and down are the slider's while one is on it
    room.viewer.press("Home")
    assert page.evaluate("[video.muted, video.volume]") == [True, 0]
    room.viewer.press("End")
    assert page.evaluate("[video.muted, video.volume]") == [False, 1]
    page.locator("#stage").focus()
    room.viewer.press("m")
    assert page.evaluate("video.muted")

    page.locator("#open-settings").click()
    quality = page.locator("#settings-quality button")
    expect(quality.first).to_have_text("Automatic")
    expect(quality.first).to_have_attribute("aria-pressed", "true")
    if quality.count() > 1:
        quality.nth(1).click()
        expect(quality.nth(1)).to_have_attribute("aria-pressed", "true")
        expect(quality.first).to_have_attribute("aria-pressed", "false")
    assert not room.viewer.faults


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_systems_light_setting_is_followed(room: Room, scheme: Literal["light", "dark"]) -> None:
    room.page.emulate_media(color_scheme=scheme)
    room.viewer.open()
    expect(room.page.locator("#login")).to_be_focused()
    script = "getComputedStyle(document.documentElement).getPropertyValue('--ground').trim()"
    assert room.page.evaluate(script) == {"light": "#f5f5f2", "dark": "#0b0d12"}[scheme]


def test_a_channel_that_is_not_open_asks_for_sign_in(room: Room) -> None:
    room.double.open_ids = {"nyheter"}
    room.viewer.open()
    room.page.locator(".open-channel").click()
    room.viewer.sees_the_picture()
    room.viewer.press("Escape", "Enter", "ArrowUp", "Enter")
    expect(room.page.locator("#notice-title")).to_have_text("Sign in to watch Sport")
    room.page.locator("#notice-action").click()
    expect(room.page.locator("#login")).to_be_visible()


def test_who_is_in_stays_in_when_all_but_playout_are_dead(room: Room) -> None:
    room.sign_in()
    room.viewer.watches(1)
    room.viewer.keeps_the_shell()
    stop_all([room.roles[role] for role in ("viewer", "signin", "door", "status")])
    room.viewer.watches(3)
    room.viewer.press("ArrowUp")
    room.viewer.watches(2)
    assert room.viewer.channel() == "Sport"
    room.page.reload()
    room.viewer.watches(2)
    assert room.viewer.channel() == "Sport"  # what was watched last
    room.viewer.press("ArrowDown")
    room.viewer.watches(1)
    assert room.viewer.channel() == "Prikkfri En"


def test_an_expired_token_is_renewed_at_the_door_alone(room: Room) -> None:
    room.sign_in()
    room.viewer.sees_the_picture()
    room.roles["signin"].stop()
    room.double.tokens.clear()
    room.viewer.press("ArrowUp")
    room.viewer.watches(2)
    room.comes_to_ask_for("/live/renewed-1/sport/")
    assert room.double.renewals == ["Bearer a-device-token"]


def test_a_running_picture_takes_the_renewed_token(room: Room) -> None:
    room.double.lifetime_seconds = 4
    room.sign_in()
    room.viewer.sees_the_picture()
    room.viewer.waits_until(lambda: room.asked_for("/live/renewed-1/en/"), "the renewed token to be used")
    room.viewer.watches(2)
    expect(room.page.locator("#notice")).not_to_be_visible()


def test_refused_at_door_and_playout_one_must_sign_in(room: Room) -> None:
    room.sign_in()
    room.viewer.sees_the_picture()
    room.double.tokens.clear()
    room.double.door_answers = "refused"
    room.viewer.press("ArrowUp")
    expect(room.page.locator("#notice-title")).to_have_text("Sign in to watch Sport")


def test_a_silent_door_is_told_and_tried_again(room: Room) -> None:
    room.sign_in()
    room.viewer.sees_the_picture()
    room.double.tokens.clear()
    room.double.door_answers = "broken"
    room.viewer.press("ArrowUp")
    expect(room.page.locator("#notice-title")).to_have_text("Your right to watch must be renewed")
    room.double.door_answers = "ok"
    room.viewer.watches(1)
    room.comes_to_tell({"step": "playback-token", "reason": "http-500"})


def test_a_picture_that_stops_is_told_and_comes_back(room: Room) -> None:
    room.sign_in()
    room.viewer.watches(1)
    room.double.stream_answers = "broken"
    expect(room.page.locator("#notice-title")).to_have_text("The picture has stopped")
    expect(room.page.locator("#notice-action")).to_be_visible()
    room.double.stream_answers = "ok"
    room.viewer.watches(2)
    expect(room.page.locator("#notice")).not_to_be_visible()
    room.comes_to_tell({"step": "watch", "kept": False, "channel": "en"})


def test_a_channel_outside_the_subscription_is_said_plainly(room: Room) -> None:
    room.sign_in()
    room.viewer.sees_the_picture()
    room.viewer.press("5")
    expect(room.page.locator("#notice-title")).to_have_text("Kino is not in your subscription")


def test_language_is_chosen_and_remembered(room: Room) -> None:
    room.viewer.open()
    expect(room.page.locator("html")).to_have_attribute("lang", "en")
    room.page.get_by_role("button", name="Svenska").click()
    expect(room.page.locator("#sign-in-button")).to_have_text("Logga in")
    room.page.reload()
    expect(room.page.locator("html")).to_have_attribute("lang", "sv")
    expect(room.page.locator("#sign-in-button")).to_have_text("Logga in")


def test_sign_out_forgets(room: Room) -> None:
    room.sign_in()
    room.viewer.sees_the_picture()
    room.page.mouse.move(300, 300)
    room.page.locator("#open-settings").click()
    expect(room.page.locator("#settings-name")).to_have_text("Signed in as Kari")
    room.page.locator("#sign-out").click()
    expect(room.page.locator("#login")).to_be_visible()
    kept = room.page.evaluate("Object.keys(localStorage)")
    assert not {"prikkfri.device_token", "prikkfri.playback", "prikkfri.name"} & set(kept)
    room.viewer.waits_until(lambda: room.double.sign_outs, "the sign-out")
    assert room.double.sign_outs == 1


def test_was_i_hit_is_answered_to_whoever_is_signed_in(room: Room) -> None:
    """Nothing of it stands in the way of watching: assurance may be dead."""
    since = 1_787_000_000.0
    what = {"nb": "Innlogging til TV svikter", "sv": "Inloggning fungerar inte", "en": "Signing in fails"}
    hit = {"what": what, "since": since, "until": since + 1_200, "asked_at": since + 60, "got_at": since + 900}
    told = room.page.locator("#hits-told")
    room.sign_in()
    room.viewer.sees_the_picture()
    room.page.mouse.move(300, 300)
    room.page.locator("#open-settings").click()
    room.page.locator("#ask-hit").click()
    expect(told).to_have_text("No. As far as we know, you got what you asked for.")
    room.double.hits = [{**hit, "credit": {"amount": 4900, "currency": "NOK"}}]
    room.page.locator("#ask-hit").press("Enter")
    expect(told.locator("li")).to_have_count(1)
    expect(told).to_contain_text("Signing in fails, ")
    expect(told).to_contain_text("kr\xa049.00 comes off your next bill.")
    expect(told).to_contain_text("and got it")
    room.roles["assurance"].stop()
    room.page.locator("#ask-hit").click()
    expect(told).to_have_text("That cannot be looked up right now. Try again a little later.")
    room.page.locator("#settings-close").click()
    room.viewer.watches(1)
