"""The viewer in a real browser, against the real roles: watch, switch channel, and stay in when all else is gone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ViewportSize, expect
from running_house import House
from viewer_browser import NEEDS_CHROMIUM, PHONE, WIDE, Viewer, chromium

from prikkfri.config import ROLES
from prikkfri.simulation.demo import PASSWORD
from prikkfri.simulation.installation import Harm

pytestmark = [pytest.mark.browser, pytest.mark.slow, NEEDS_CHROMIUM]
SIX_SEGMENTS, THREE_SEGMENTS = 6.0, 3.0
"""Seconds; a player has three in store, so that six cannot be had without new ones from playout."""
ALL_BUT_PLAYOUT = [role for role in ROLES if role != "playout"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def signed_in(browser: Browser, house: House, size: ViewportSize) -> Viewer:
    viewer = Viewer(browser, house.url("viewer"), size, locale="nb-NO")
    viewer.open()
    viewer.sign_in(house.people[0].email, PASSWORD)
    viewer.sees_the_picture()
    return viewer


def test_watches_and_switches_with_keys(browser: Browser, house: House) -> None:
    viewer = signed_in(browser, house, WIDE)
    viewer.watches(SIX_SEGMENTS)
    first = viewer.channel()
    viewer.press("Escape", "Enter")
    expect(viewer.page.locator(".row").first.locator(".card").first).to_be_focused()
    viewer.press("ArrowDown", "Enter")
    viewer.watches(THREE_SEGMENTS)
    assert viewer.channel() != first
    viewer.close()


def test_watches_and_switches_on_a_phone(browser: Browser, house: House) -> None:
    viewer = signed_in(browser, house, PHONE)
    viewer.watches(SIX_SEGMENTS)
    first = viewer.page.locator("#hero-channel").inner_text()
    viewer.page.locator(".row").nth(1).locator(".card").first.tap()
    expect(viewer.page.locator("#hero-channel")).not_to_have_text(first)
    viewer.watches(THREE_SEGMENTS)
    viewer.close()


@pytest.mark.parametrize("harm", ["kill", "freeze"])
def test_who_is_in_stays_in(browser: Browser, house: House, harm: Harm) -> None:
    viewer = signed_in(browser, house, WIDE)
    viewer.keeps_the_shell()
    try:
        house.harm_all(ALL_BUT_PLAYOUT, harm)
        viewer.watches(SIX_SEGMENTS)
        first = viewer.channel()
        viewer.press("ArrowUp")
        viewer.watches(THREE_SEGMENTS)
        assert viewer.channel() != first
        viewer.page.reload()
        viewer.watches(THREE_SEGMENTS)
        viewer.press("ArrowDown")
        viewer.watches(THREE_SEGMENTS)
        assert viewer.channel() == first
        expect(viewer.page.locator("#notice")).not_to_be_visible()
    finally:
        house.give_back_all(ALL_BUT_PLAYOUT)
        viewer.close()


def test_each_role_frozen_alone_leaves_who_is_in_alone(browser: Browser, house: House) -> None:
    viewer = signed_in(browser, house, WIDE)
    viewer.keeps_the_shell()
    try:
        for number, role in enumerate(ALL_BUT_PLAYOUT):
            house.harm(role, "freeze")
            before = viewer.channel()
            viewer.watches(THREE_SEGMENTS)
            viewer.press("ArrowUp" if number % 2 == 0 else "ArrowDown")
            viewer.watches(2)
            assert viewer.channel() != before, role
            house.give_back(role)
    finally:
        house.give_back_all(ALL_BUT_PLAYOUT)
        viewer.close()


def test_the_door_alone_lets_a_known_device_in(browser: Browser, house: House) -> None:
    viewer = signed_in(browser, house, WIDE)
    viewer.page.evaluate("localStorage.removeItem('prikkfri.playback')")
    house.harm("signin", "kill")
    try:
        viewer.page.reload()
        viewer.watches(THREE_SEGMENTS)
    finally:
        house.give_back("signin")
        viewer.close()


@pytest.mark.parametrize("harm", ["kill", "freeze"])
def test_the_picture_comes_back_with_playout(browser: Browser, house: House, harm: Harm) -> None:
    viewer = signed_in(browser, house, WIDE)
    viewer.watches(THREE_SEGMENTS)
    house.harm("playout", harm)
    try:
        expect(viewer.page.locator("#notice-title")).to_have_text("Bildet har stanset")
        expect(viewer.page.locator("#notice-action")).to_be_visible()
    finally:
        house.give_back("playout")
    viewer.watches(THREE_SEGMENTS)
    expect(viewer.page.locator("#notice")).not_to_be_visible()
    viewer.close()
