"""The console and the status page in a real browser, as real processes, while every other role is dead."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from outcome_rows import outcome_rows
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect
from waiting import eventually

from prikkfri.app.first_user import first_user_file
from prikkfri.clock import SystemClock
from prikkfri.config import ROLES
from prikkfri.journal import Journal, Outcome, open_journal
from prikkfri.simulation.installation import Installation, free_ports, ports_section
from prikkfri.storage import Location, open_database, open_reader

CHROMIUM = shutil.which("chromium")
WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
SECONDS_MAX = 45.0
"""For whatever the page is waited for: two cores may be busy with much else."""
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]
expect.set_options(timeout=SECONDS_MAX * 1000)


@dataclass
class House:
    """Assurance and status run; what signin would write is written by the test."""

    installation: Installation
    signin: Journal
    password: str

    @property
    def console(self) -> str:
        return self.installation.configuration().roles.assurance.url

    @property
    def status(self) -> str:
        return self.installation.configuration().roles.status.url

    async def happens(self, verdict: str = "kept", times: int = 1) -> None:
        told = {"time": time.time(), "service": "television", "step": "sign-in", "layer": "signin", "verdict": verdict}
        who = {"customer": "subscriber-0042", "device": "d-" + "k" * 22}
        reason = "overloaded" if verdict == "broken" else ""
        await self.signin.append(*(Outcome(**told, **who, reason=reason) for _ in range(times)))  # type: ignore[arg-type]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "prikkfri.toml").write_text(ports_section(free_ports(len(ROLES) + 1)), encoding="utf-8")
    installation = Installation(tmp_path)
    database = await open_database(Location(tmp_path), "signin")
    try:
        await installation.start(["assurance", "status"])
        password = first_user_file(tmp_path).read_text(encoding="utf-8").split(" / ")[1].strip()
        yield House(installation, await open_journal(database, stream="signin", clock=SystemClock()), password)
    finally:
        await installation.stop()
        await database.close()


@asynccontextmanager
async def life(house: House) -> AsyncIterator[None]:
    """Somebody signs in whenever the assurance role has taken what happened before."""
    assurance = open_reader(Location(house.installation.home), "assurance")

    async def taken() -> int:
        return len(await assurance.read(lambda q: outcome_rows(q, "position")))

    async def go_on() -> None:
        while True:
            before = await taken()
            await house.happens(times=2)

            async def is_taken(before: int = before) -> bool:
                return await taken() > before

            await eventually(is_taken)

    living = asyncio.create_task(go_on())
    try:
        yield
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
        await assurance.close()


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        await browser.close()


async def page_of(browser: Browser, faults: list[str], size: ViewportSize = WIDE) -> Page:
    context = await browser.new_context(viewport=size)
    context.set_default_timeout(SECONDS_MAX * 1000)
    page = await context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: "Content Security Policy" in said.text and faults.append(said.text))
    return page


async def sign_in_by_keyboard(page: Page, house: House) -> None:
    await page.goto(house.console)
    await expect(page.get_by_label("Name")).to_be_focused()
    await page.keyboard.type("duty")
    await page.keyboard.press("Tab")
    await page.keyboard.type(house.password)
    await page.keyboard.press("Enter")
    await expect(page.locator(".sentence h1")).to_be_visible()


async def sidewise(page: Page) -> int:
    """By how many pixels the page is wider than the screen."""
    too_wide: int = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return too_wide


async def test_the_live_view_down_to_single_outcomes(house: House) -> None:
    faults: list[str] = []
    async with browser() as chromium, life(house):
        page = await page_of(chromium, faults)
        await sign_in_by_keyboard(page, house)

        # The chart gets points, the table counts, and the age is that of the newest outcome.
        chart, row = page.locator("#chart"), page.locator('tr[data-key^="television/sign-in"]')
        await expect(page.locator("#chart canvas")).to_have_count(2)
        first = await chart.get_attribute("data-newest")
        kept = await row.locator("td").nth(2).inner_text()
        await expect(chart).not_to_have_attribute("data-newest", first or "")
        await expect(row.locator("td").nth(2)).not_to_have_text(kept)
        await expect(page.locator("#age")).to_contain_text("newest outcome")
        await expect(page.locator("#reading")).to_contain_text("sign-in")

        # The keyboard's place stays where it is while everything moves.
        step = row.get_by_role("link", name="Sign-in")
        await step.focus()
        newest = await chart.get_attribute("data-newest")
        await expect(chart).not_to_have_attribute("data-newest", newest or "")
        await expect(step).to_be_focused()

        # It breaks: the sentence says so by itself, the way leads to single outcomes.
        await house.happens("broken", times=40)
        await expect(page.locator(".sentence.broken h1")).to_contain_text("Sign-in broken since")
        await row.locator("a.broken").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Broken promises at sign-in")
        text = await page.locator("main").inner_text()
        assert "…0042" in text and "subscriber-0042" not in text and "kkkkk" not in text
        await page.get_by_role("link", name="Access log", exact=True).click()
        await expect(page.locator("tbody tr").first).to_contain_text("step=sign-in")
        await expect(page.locator("tbody tr").first).to_contain_text("duty")
    assert faults == []


async def test_a_console_that_is_gone_says_so_and_comes_back(house: House) -> None:
    faults: list[str] = []
    async with browser() as chromium, life(house):
        page = await page_of(chromium, faults)
        await sign_in_by_keyboard(page, house)
        await expect(page.locator("#chart canvas")).to_have_count(2)
        await house.installation.harm("assurance", "kill")
        await expect(page.locator("#connection")).to_contain_text("Not live")
        status = await page_of(chromium, faults)
        await status.goto(house.status)  # told by a role that is dead now
        await expect(status.locator(".age")).to_contain_text("Updated")
        await house.installation.give_back("assurance")
        await expect(page.locator("#connection")).to_be_hidden()
    assert faults == []


async def test_every_page_fits_a_phone(house: House) -> None:
    faults: list[str] = []
    async with browser() as chromium, life(house):
        page = await page_of(chromium, faults, PHONE)
        await sign_in_by_keyboard(page, house)
        await house.happens("broken", times=40)
        for path in ("/", "/outcomes", "/customers", "/system", "/looks", "/people"):
            await page.goto(house.console + path)
            await expect(page.locator("main")).to_be_visible()
            assert await sidewise(page) == 0, path
        await page.goto(house.status)
        await expect(page.locator("h1")).to_be_visible()
        assert await sidewise(page) == 0
    assert faults == []
