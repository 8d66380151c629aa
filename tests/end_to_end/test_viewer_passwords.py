"""Choosing a password, and seeing where one is signed in, by keyboard alone: on a wide screen and on a phone."""

import os
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect
from test_viewer_accessible import found
from viewer_browser import NEEDS_CHROMIUM, PHONE, WIDE, Viewer, chromium
from viewer_double import CHANNELS, CODE, LINK, LOGIN, PASSWORD, make_clip, television

pytestmark = [pytest.mark.browser, pytest.mark.slow, NEEDS_CHROMIUM]
PICTURES = os.environ.get("PRIKKFRI_TEST_PICTURES", "")
"""A folder, for somebody who wants to look."""


def picture(viewer: Viewer, name: str) -> None:
    if PICTURES:
        viewer.page.screenshot(path=f"{PICTURES}/{name}.png")


def test_a_password_is_chosen_by_code_and_by_link_and_devices_are_ended(tmp_path: Path) -> None:
    make_clip(tmp_path / str(CHANNELS[0]["id"]), 0.6)
    begun = time.time()
    with television(tmp_path) as (double, roles), chromium() as browser:
        for name, size in (("wide", WIDE), ("phone", PHONE)):
            double.devices = [
                {"device": f"d-{n}", "name": known, "first_at": begun - 86_400 * n, "seen_at": begun, "here": n == 1}
                for n, known in enumerate(("Chrome · Windows", "Safari · iPhone", "Samsung TV", ""), 1)
            ]
            viewer = Viewer(browser, roles["viewer"].url, size, locale="nb-NO")
            page = viewer.page
            viewer.open()
            expect(page.locator("#login")).to_be_focused()
            page.keyboard.type(LOGIN)
            viewer.press("ArrowDown", "ArrowDown", "ArrowDown", "Enter")
            expect(page.locator("#new-login")).to_be_focused()
            expect(page.locator("#new-login")).to_have_value(LOGIN)
            picture(viewer, f"{name}-ask")
            viewer.press("Enter")
            expect(page.locator("#code")).to_be_focused()
            expect(page.locator("#new-text")).to_contain_text(LOGIN)
            assert double.codes_asked[-1]["login"] == LOGIN and double.codes_asked[-1]["language"] == "nb"
            page.keyboard.type("00000000")
            viewer.press("Tab")
            page.keyboard.type("kort")
            viewer.press("Enter")
            expect(page.locator("#new-error")).to_contain_text("minst 10 tegn")
            expect(page.locator("#new-password")).to_be_focused()
            viewer.press("Control+a")
            page.keyboard.type(PASSWORD)
            viewer.press("Enter")
            expect(page.locator("#new-error")).to_contain_text("Koden er feil")
            expect(page.locator("#code")).to_be_focused()
            picture(viewer, f"{name}-code")
            page.evaluate("() => (document.documentElement.dataset.theme = 'light')")
            picture(viewer, f"{name}-code-light")
            assert found(viewer) == []
            page.evaluate("() => (document.documentElement.dataset.theme = 'dark')")
            viewer.press("Control+a")
            page.keyboard.type(CODE)
            viewer.press("Enter")
            viewer.sees_the_picture()  # chosen, and in
            assert double.passwords_set[-1]["password"] == double.sign_ins[-1]["password"] == PASSWORD

            page.evaluate("() => document.getElementById('open-settings').click()")
            page.locator("#ask-devices").focus()
            viewer.press("Enter")
            items = page.locator("#devices-told li")
            expect(items).to_have_count(4)
            expect(items.first).to_contain_text("Chrome · Windows (denne enheten)")
            expect(items.first.locator("button")).to_have_count(0)
            viewer.has_come_to_rest()
            picture(viewer, f"{name}-devices")
            assert found(viewer) == []
            viewer.press("ArrowDown", "Enter")
            expect(items).to_have_count(3)
            expect(items.nth(1)).to_contain_text("Samsung TV")
            expect(page.locator("#ask-devices")).to_be_focused()
            page.get_by_role("button", name="Logg ut alle andre").press("Enter")
            expect(items).to_have_count(1)
            viewer.press("Escape")

            page.goto(f"{roles['viewer'].url}/#password={LINK}")
            expect(page.locator("#new-password")).to_be_focused()
            assert "#" not in page.url
            picture(viewer, f"{name}-link")
            page.keyboard.type(PASSWORD)
            viewer.press("Enter")
            expect(page.locator("#form-note")).to_contain_text("Passordet er satt")
            expect(page.locator("#login")).to_be_focused()
            picture(viewer, f"{name}-set")
            assert double.passwords_set[-1]["link"] == LINK
            viewer.close()
