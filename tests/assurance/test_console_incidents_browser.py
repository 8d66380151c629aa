"""The pages of incidents in a real browser, against the real role, by keyboard, wide and on a phone."""

import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from prikkfri.app.first_user import first_user_file
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import Fact, apply_fact, open_incident
from prikkfri.assurance.response import store
from prikkfri.assurance.segments import Segment
from prikkfri.clock import SystemClock
from prikkfri.config import ROLES
from prikkfri.journal import Outcome, open_journal
from prikkfri.simulation.installation import Installation, free_ports, ports_section
from prikkfri.storage import Location, open_database

CHROMIUM = shutil.which("chromium")
WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
SECONDS_MAX = 45.0
"""For whatever the page is waited for: two cores may be busy with much else."""
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
HIT = 40
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]
expect.set_options(timeout=SECONDS_MAX * 1000)


@dataclass
class Evening:
    """An installation in which sign-in has failed for forty subscribers for a minute."""

    installation: Installation
    password: str

    @property
    def console(self) -> str:
        return self.installation.configuration().roles.assurance.url

    @property
    def page(self) -> str:
        return f"{self.console}/incidents/evening"


@pytest.fixture
async def evening(tmp_path: Path) -> AsyncIterator[Evening]:
    remedy = '\n[[assurance.remedies]]\nname = "kick-off"\nservice = "television"\n'
    remedy += "[[assurance.remedies.tiers]]\nfrom_minutes = 0.0\namount = 4900\n"
    # What is judged after the all-clear is the last second, in which nothing happens: the data does not contradict it.
    settings = ports_section(free_ports(len(ROLES) + 1)) + "\n[assurance]\nhold_seconds = 1.0\n" + remedy
    (tmp_path / "prikkfri.toml").write_text(settings, encoding="utf-8")
    now = time.time()

    def outcome(at: float, customer: str, verdict: str, step: str = "sign-in", layer: str = "signin") -> Outcome:
        reason = "overloaded" if verdict == "broken" else ""
        who = {"customer": customer, "device": f"d-{customer}"}
        return Outcome(time=at, service="television", step=step, layer=layer, verdict=verdict, reason=reason, **who)  # type: ignore[arg-type]

    before = [outcome(now - 600 + second, f"subscriber-early-{second}", "kept") for second in range(500)]
    inside = [outcome(now - 60 + n / 10, f"subscriber-in-{n}", "kept", "start-playback", "streams") for n in range(500)]
    broken = [outcome(now - 60 + n, f"subscriber-secret-{n:04}", "broken") for n in range(HIT)]
    database = await open_database(Location(tmp_path), "signin")
    journal = await open_journal(database, stream="signin", clock=SystemClock())
    await journal.append(*sorted([*before, *inside, *broken], key=lambda each: each.time))
    await database.close()

    incident = open_incident(
        "evening", Alarm("share", SIGN_IN, now - 50, now - 61, 0.005, 0.9, 40, 30.0, 25.0), now - 50
    )
    incident = apply_fact(incident, Fact("evidence", now - 40, text="has stood for 10 s"))
    database = await open_database(Location(tmp_path), "assurance")
    await database.write(lambda t: store.save_incident(t, incident))
    await database.close()

    installation = Installation(tmp_path)
    try:
        await installation.start(["assurance"])
        password = first_user_file(tmp_path).read_text(encoding="utf-8").split(" / ")[1].strip()
        yield Evening(installation, password)
    finally:
        await installation.stop()


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        await browser.close()


async def signed_in(browser: Browser, evening: Evening, faults: list[str], size: ViewportSize = WIDE) -> Page:
    context = await browser.new_context(viewport=size)
    context.set_default_timeout(SECONDS_MAX * 1000)
    page = await context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: "Content Security Policy" in said.text and faults.append(said.text))
    await page.goto(evening.console)
    await page.get_by_label("Name").fill("duty")
    await page.get_by_label("Password").fill(evening.password)
    await page.keyboard.press("Enter")
    await expect(page.locator(".sentence h1")).to_be_visible()
    return page


async def tab_to(page: Page, name: str) -> None:
    """Goes by Tab alone to the control with this accessible text, as somebody without a mouse would."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        found = await page.evaluate(
            "() => (document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"
        )
        if found.startswith(name):
            return
    raise AssertionError(f"no way by keyboard to {name!r}")


async def test_from_the_first_page_to_the_all_clear_by_keyboard(evening: Evening) -> None:
    faults: list[str] = []
    async with browser() as chromium:
        page = await signed_in(chromium, evening, faults)
        other = await signed_in(chromium, evening, faults)
        await other.goto(evening.page)

        # The first page's sentence is the incident's, and leads to it.
        await expect(page.locator(".sentence h1")).to_contain_text("40 hit")
        await tab_to(page, "Sign-in broken since")
        await page.keyboard.press("Enter")
        await expect(page.locator(".answer")).to_have_count(11)
        await expect(page.locator(".answer").nth(4)).to_contain_text(f"{HIT} of {HIT} who asked")
        await expect(page.locator(".answer").nth(1)).to_contain_text("streams")
        assert "secret" not in await page.locator("main").inner_text()

        # What is being typed stays while the page moves; it moves because another one acts.
        await other.get_by_label("How you know").fill("half a sen")
        await tab_to(page, "In words")
        await page.keyboard.type("Sign-in restarted")
        await page.keyboard.press("Enter")
        await expect(page.locator(".timeline li").first).to_contain_text("Sign-in restarted")
        await expect(other.locator(".timeline li").first).to_contain_text("Sign-in restarted")
        await expect(other.get_by_label("How you know")).to_have_value("half a sen")

        # Over, said by a person before the data has proven it.
        await expect(page.locator(".before-proof").first).to_contain_text("Before proof.")
        await tab_to(page, "How you know")
        await page.keyboard.type("the phones are silent")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("Declare this incident over?")
        await tab_to(page, "Declare it over before proof")
        await page.keyboard.press("Enter")
        await expect(page.locator(".sentence")).to_contain_text("Resolved, not proven")
        await expect(other.locator(".sentence")).to_contain_text("Resolved, not proven")

        # Money: by keyboard too, as soon as the list that it goes by is made.
        await expect(page.get_by_label("I have looked at the sum")).to_be_visible()
        await tab_to(page, "I have looked at the sum")
        await page.keyboard.press("Space")
        await page.keyboard.press("Enter")
        await expect(page.locator(".notice.kept")).to_contain_text(f"{HIT} credits were given")

        # The list, in full, for a reason; and as CSV.
        await page.get_by_role("link", name="See the list").click()
        await expect(page.locator("tbody tr")).to_have_count(HIT)
        assert "secret" not in await page.locator("main").inner_text()
        await page.get_by_label("Why you look").fill("case 4711")
        await page.keyboard.press("Enter")
        await expect(page.locator("tbody tr").first).to_contain_text("subscriber-secret-0000")
        await page.goto(evening.page)
        await page.get_by_label("As CSV").select_option("credits")
        await page.get_by_label("Why you need it").fill("billing run")
        async with page.expect_download() as downloading:
            await page.keyboard.press("Enter")
        saved = await (await downloading.value).path()
        assert saved.read_text(encoding="utf-8").count("subscriber-secret-") >= HIT
    assert faults == []


async def test_every_page_of_incidents_fits_a_phone(evening: Evening) -> None:
    faults: list[str] = []
    async with browser() as chromium:
        page = await signed_in(chromium, evening, faults, PHONE)
        for path in ("/", "/incidents", "/incidents/evening", "/incidents/evening/hit"):
            await page.goto(evening.console + path)
            await expect(page.locator("main")).to_be_visible()
            too_wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert too_wide == 0, path
        await page.goto(f"{evening.console}/incidents")
        contacts = f"id,at,service,kind,channel\nc1,{time.time()},television,cannot sign in,telephone\n"
        file = {"name": "contacts.csv", "mimeType": "text/csv", "buffer": contacts.encode()}
        await page.get_by_label("CSV with the columns").set_input_files(file)  # type: ignore[arg-type]
        await page.get_by_role("button", name="Take them in").click()
        await expect(page.locator(".notice")).to_contain_text("1 contacts read, 1 of them new")
    assert faults == []


async def test_a_console_that_is_gone_says_so_on_the_incident_too(evening: Evening) -> None:
    faults: list[str] = []
    async with browser() as chromium:
        page = await signed_in(chromium, evening, faults)
        await page.goto(evening.page)
        await expect(page.locator(".answer")).to_have_count(11)
        await evening.installation.harm("assurance", "kill")
        await expect(page.locator("#connection")).to_contain_text("Not live")
        await evening.installation.give_back("assurance")
        await expect(page.locator("#connection")).to_be_hidden()
    assert faults == []
