"""The waiting room in a real browser, against real assurance and a real door, by keyboard, wide and on a phone."""

import json
import shutil
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from prikkfri.app.first_user import first_user_file
from prikkfri.config import ROLES
from prikkfri.simulation.installation import Installation, free_ports, ports_section
from prikkfri.storage.keys import command_key

CHROMIUM = shutil.which("chromium")
WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
GIVER = "Kari Nordmann, on duty in the night"
SECONDS_MAX = 45.0
"""For whatever the page is waited for: two cores may be busy with much else."""
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]
expect.set_options(timeout=SECONDS_MAX * 1000)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    (tmp_path / "prikkfri.toml").write_text(ports_section(free_ports(len(ROLES) + 1)), encoding="utf-8")
    installation = Installation(tmp_path)
    try:
        await installation.start(["door", "assurance"])
        yield installation
    finally:
        await installation.stop()


@asynccontextmanager
async def signed_in(
    installation: Installation, size: ViewportSize, **more: Any
) -> AsyncIterator[tuple[Page, list[str]]]:
    """The page, and what went wrong in it."""
    password = first_user_file(installation.home).read_text(encoding="utf-8").split(" / ")[1].strip()
    faults: list[str] = []
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = await browser.new_context(viewport=size, **more)
        context.set_default_timeout(SECONDS_MAX * 1000)
        page = await context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: "Content Security Policy" in said.text and faults.append(said.text))
        await page.goto(installation.configuration().roles.assurance.url)
        await page.get_by_label("Name").fill("duty")
        await page.get_by_label("Password").fill(password)
        await page.keyboard.press("Enter")
        await expect(page.locator(".sentence h1")).to_be_visible()
        await page.get_by_role("link", name="Waiting room").click()
        await expect(page.get_by_role("heading", name="Waiting room", exact=True)).to_be_visible()
        yield page, faults
        await browser.close()


async def tab_to(page: Page, name: str) -> None:
    """Goes by Tab alone to the control with this text, as somebody without a mouse would."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        found = await page.evaluate(
            "() => (document.activeElement.labels?.[0] ?? document.activeElement).firstChild?.textContent?.trim()"
        )
        if found == name:
            return
    raise AssertionError(f"{name!r} is not reached by the keyboard")


def line_of(installation: Installation) -> Any:
    url = f"http://localhost:{installation.configuration().roles.door.port}/line"
    with urllib.request.urlopen(url, timeout=SECONDS_MAX) as answer:
        return json.loads(answer.read())


def order_pause(installation: Installation) -> None:
    """Somebody else does, by command."""
    url = f"http://localhost:{installation.configuration().roles.door.port}/steering"
    body = json.dumps({"order": "pause", "reason": "fault", "by": GIVER, "after": 0}).encode()
    headers = {"authorization": f"Bearer {command_key(installation.home, 'door')}"}
    urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=SECONDS_MAX).close()


async def test_the_line_is_paused_by_keyboard_and_moves_again(installation: Installation) -> None:
    async with signed_in(installation, WIDE) as (page, faults):
        await expect(page.get_by_text("0 people wait")).to_be_visible()
        await expect(page.get_by_text("stands still: sign-in is silent since")).to_be_visible()
        await tab_to(page, "Why, as people are told")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Pause the line?")).to_be_visible()
        assert line_of(installation)["ordered"] is None
        await tab_to(page, "Pause the line")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("paused (maintenance), ordered by duty at")).to_be_visible()
        await expect(page.locator("#line_orders").get_by_text("paused the line (maintenance)")).to_be_visible()
        assert line_of(installation)["ordered"]["reason"] == "maintenance"
        await tab_to(page, "Let it move by itself")
        await page.keyboard.press("Enter")
        await expect(page.locator("#line_orders").get_by_text("let the line move by itself again")).to_be_visible()
        # The journal of the real door has reached the real assurance.
        await page.goto(f"{installation.configuration().roles.assurance.url}/outcomes?step=steer-line")
        await expect(page.get_by_role("row", name="paused the line (maintenance)")).to_be_visible()
        await page.get_by_role("navigation").get_by_role("link", name="Overview").click()
        await expect(page.locator(".sentence h1")).to_be_visible()
        assert not faults


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_on_a_phone_nothing_is_cut_off_and_what_somebody_types_stays(
    installation: Installation, scheme: str
) -> None:
    async with signed_in(installation, PHONE, color_scheme=scheme) as (page, faults):
        await page.get_by_label("People a second").fill("12.5")
        order_pause(installation)
        await expect(page.get_by_text(f"paused (fault), ordered by {GIVER} at")).to_be_visible()  # without a reload
        await expect(page.get_by_label("People a second")).to_have_value("12.5")
        assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        short = await page.evaluate(
            "() => [...document.querySelectorAll('main button, main input:not([type=hidden]), main select')]"
            ".filter((each) => each.getBoundingClientRect().height < 36).map((each) => each.textContent)"
        )
        assert not short and not faults
