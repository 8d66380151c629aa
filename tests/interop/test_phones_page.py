"""The page of the phones in a browser: messages come live, and a person with a keyboard alone can send."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from smpp_peers import PHONES, Centre, Handsets, basic, post

CHROMIUM = shutil.which("chromium")
# Without these the browser asks for its maker's hosts at every start.
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
TYPED = "Kommer du på kampen?"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]


@pytest.fixture(scope="module")
def page(handsets: Handsets) -> Iterator[Page]:
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(handsets.url)
        yield page
        browser.close()
    assert not problems


def test_a_message_appears_on_its_phone_and_on_no_other(page: Page, centre: Centre) -> None:
    text = "Hei 😀 <b>ikke fet</b>\nlinje to €"
    expect(page.get_by_role("status")).to_have_text("linked to the message centre")
    post(f"{centre.url}/messages", {"from": "Shop", "to": f"+{PHONES[3]}", "text": text}, **basic("shop"))
    screen = page.get_by_role("list", name="Messages of Phone 3")
    expect(screen.locator(".words")).to_have_text([text], use_inner_text=True)
    expect(page.locator(".words")).to_have_count(1)


def test_the_keyboard_is_enough_to_send_from_one_phone_to_another(page: Page, centre: Centre) -> None:
    page.get_by_role("region", name="Phone 4").get_by_label("To").focus()
    page.keyboard.type(f"+{PHONES[5]}")
    page.keyboard.press("Tab")
    page.keyboard.type(TYPED)
    page.keyboard.press("Enter")
    expect(page.get_by_role("list", name="Messages of Phone 5").locator(".words")).to_have_text(
        ["Kommer du på kampen?"]
    )
    sent = page.get_by_role("list", name="Messages of Phone 4").get_by_role("listitem")
    expect(sent).to_have_class("out sent new")
    page.get_by_role("region", name="Phone 4").get_by_label("To").fill("2999")
    page.get_by_role("region", name="Phone 4").get_by_label("Message", exact=True).fill("til ingen")
    page.keyboard.press("Enter")
    expect(sent.last).to_contain_text("not sent")


def test_a_key_that_is_held_down_sends_once(page: Page, centre: Centre) -> None:
    page.get_by_role("region", name="Phone 6").get_by_label("To").fill(f"+{PHONES[7]}")
    form = page.get_by_role("region", name="Phone 6").locator("form")
    for text in ("en gang", "og igjen"):
        page.get_by_role("region", name="Phone 6").get_by_label("Message", exact=True).fill(text)
        form.evaluate("(form) => { for (let n = 0; n < 5; n++) form.requestSubmit(); }")
        arrived = page.get_by_role("list", name="Messages of Phone 7").locator(".words")
        expect(arrived.last).to_have_text(text)
        expect(page.get_by_role("region", name="Phone 6").get_by_label("Message", exact=True)).to_have_value("")
    expect(arrived).to_have_text(["en gang", "og igjen"])


def test_a_phone_is_found_by_name_or_number(page: Page) -> None:
    field = page.get_by_role("searchbox")
    for wanted in ("phone 6", "+47 901 00 006", "100006"):
        field.fill(wanted)
        expect(page.get_by_role("region")).to_have_count(1)
        expect(page.get_by_role("region")).to_have_accessible_name("Phone 6")
    field.fill("nobody")
    expect(page.get_by_text("No phone matches.")).to_be_visible()
    field.fill("")
    expect(page.get_by_role("region")).to_have_count(len(PHONES))


def test_a_page_opened_later_shows_what_has_come(page: Page) -> None:
    page.reload()
    expect(page.get_by_role("list", name="Messages of Phone 5").locator(".words")).to_have_text(
        ["Kommer du på kampen?"]
    )
    page.set_viewport_size({"width": 390, "height": 780})
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
