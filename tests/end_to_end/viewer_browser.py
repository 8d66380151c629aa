"""Drives the viewer in Debian's Chromium as a person would."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, TimeoutError, ViewportSize, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
WIDE: ViewportSize = {"width": 1280, "height": 720}
PHONE: ViewportSize = {"width": 390, "height": 844}
SECONDS_MAX = 45.0
"""For whatever the page is waited for: two cores may be busy with much else."""
# Without these the browser asks for its maker's hosts at every start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
expect.set_options(timeout=SECONDS_MAX * 1000)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class Viewer:
    """One person in front of one screen."""

    def __init__(self, browser: Browser, url: str, size: ViewportSize = WIDE, locale: str = "en-GB") -> None:
        self.url = url
        self.context: BrowserContext = browser.new_context(viewport=size, locale=locale, has_touch=size == PHONE)
        self.context.set_default_timeout(SECONDS_MAX * 1000)
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        """Scripts that failed, and what the content security policy has stopped."""
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on(
            "console",
            lambda said: "Content Security Policy" in said.text and self.faults.append(said.text),
        )

    def open(self) -> None:
        self.page.goto(self.url)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def sign_in(self, login: str, password: str) -> None:
        """By keyboard alone."""
        expect(self.page.locator("#login")).to_be_focused()
        self.page.keyboard.type(login)
        self.press("ArrowDown")
        self.page.keyboard.type(password)
        self.press("Enter")

    def position(self) -> float:
        """`currentTime` of the picture, in seconds."""
        return float(self.page.locator("#video").evaluate("video => video.currentTime"))

    def sees_the_picture(self) -> None:
        expect(self.page.locator("#stage:not(.covered)")).to_be_visible()

    def watches(self, seconds: float) -> None:
        """Returns when the picture has advanced by `seconds`; fails when it takes thrice that and `SECONDS_MAX`."""
        self.sees_the_picture()
        script = "([video, until]) => video.currentTime >= until"
        video = self.page.locator("#video").element_handle()
        until = self.position() + seconds
        try:
            patience = 1000 * (3 * seconds + SECONDS_MAX)
            self.page.wait_for_function(script, arg=[video, until], polling=100, timeout=patience)
        except TimeoutError:
            pytest.fail(f"the picture stands at {self.position()}, {self.notice()}")

    def waits_until(self, condition: Callable[[], object], what: str) -> None:
        """Lets the page go on until something outside of it has come about."""
        end = time.monotonic() + SECONDS_MAX
        while not condition():
            assert time.monotonic() < end, f"waited in vain for {what}"
            self.page.wait_for_timeout(20)

    def has_come_to_rest(self) -> None:
        """Returns when nothing moves into its place any more."""
        script = """() => Promise.all(document.getAnimations()
            .filter(animation => animation.effect.getComputedTiming().endTime !== Infinity)
            .map(animation => animation.finished.catch(() => null))).then(() => true)"""
        self.page.evaluate(script)

    def channel(self) -> str:
        """The name of the channel that is on, as the banner tells it, shown or not."""
        return self.page.locator("#banner-tile .tile-name").text_content() or ""

    def notice(self) -> str:
        return self.page.locator("#notice").inner_text()

    def keeps_the_shell(self) -> None:
        """Returns when the device holds the whole interface."""
        self.page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")

    def close(self) -> None:
        self.context.close()
        assert not self.faults
