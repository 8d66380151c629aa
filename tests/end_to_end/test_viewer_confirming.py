"""What a device asks signin after it has come in, in a real browser whose clock is moved: put off, never dropped."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from viewer_browser import NEEDS_CHROMIUM, Viewer, chromium
from viewer_double import television

pytestmark = [pytest.mark.browser, NEEDS_CHROMIUM]
BEGIN = """async (until) => {
    const { makeConfirming } = await import("/confirming.js");
    const start = Date.now() / 1000;
    window.asked = [];
    window.changed = [];
    const confirming = makeConfirming({
        ask: async (due) => {
            window.asked.push([Date.now() / 1000 - start, due]);
            const answer = window.answer(due);
            if (answer?.status) throw answer;
            return answer;
        },
        programmeEnds: () => until && start + until,
        onChange: (told) => window.changed.push(told),
    });
    window.confirming = confirming;
    confirming.begin();
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


# What a page draws is the same in every run (mulberry32): that two moments lie close together is a matter of chance.
DRAWN = """(() => {
    let drawn = 1;
    Math.random = () => {
        drawn = (drawn + 0x6d2b79f5) | 0;
        let mixed = Math.imul(drawn ^ (drawn >>> 15), 1 | drawn);
        mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
})()"""


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    with television(tmp_path) as (_, roles):
        viewer = Viewer(browser, roles["viewer"].url)
        viewer.page.clock.install()
        viewer.page.add_init_script(DRAWN)
        viewer.page.goto(f"{roles['viewer'].url}/settings.json")  # of this origin, and with no clocks of its own
        yield viewer.page
        viewer.close()


def asked_after(page: Page, minutes: float, answer: str, until: float | None = 3_600.0) -> list[list[Any]]:
    page.evaluate(f"window.answer = {answer}; 0")
    page.evaluate(BEGIN, until)
    page.clock.run_for(int(minutes * 60_000))
    found: list[list[Any]] = page.evaluate("window.asked")
    return found


def test_in_a_calm_it_is_asked_once_and_soon(page: Page) -> None:
    [[at, due]] = asked_after(page, 180, "() => null")
    assert 15 <= at <= 30 and not due
    assert page.evaluate("window.changed") == []


def test_what_has_changed_is_told(page: Page) -> None:
    asked_after(page, 5, "() => ({ device_token: 'new', gained: true })")
    assert page.evaluate("window.changed") == [{"device_token": "new", "gained": True}]


@pytest.mark.parametrize(("until", "latest"), [(3_600.0, 3_600.0), (None, 7_200.0)])
def test_under_pressure_it_is_put_off_and_asked_by_the_end_of_the_programme(
    page: Page, until: float | None, latest: float
) -> None:
    answer = "(due) => due ? null : { status: 503, retryAfter: 300 }"
    *early, [at, due] = asked_after(page, 300, answer, until)
    assert due and 0.75 * latest - 1 <= at <= latest, "the last is answered"
    assert early and not any(was for _, was in early)
    times = [when for when, _ in early]
    assert at - times[-1] > 0.1, "once, when its time comes"
    assert all(later - sooner >= 299 for sooner, later in itertools.pairwise(times))


def test_a_dead_signin_is_asked_ever_more_seldom(page: Page) -> None:
    asked = asked_after(page, 600, "() => { throw new Error('no-answer') }", 60.0)
    assert 20 <= len(asked) <= 60
    times = [when for when, _ in asked]
    assert times[-1] - times[-2] > 600 and all(due for when, due in asked if when > 60)


def test_whose_token_is_none_any_more_asks_no_further(page: Page) -> None:
    assert len(asked_after(page, 300, "() => ({ status: 401 })")) == 1


def test_it_ends_with_the_session(page: Page) -> None:
    asked_after(page, 0.1, "() => ({ status: 503, retryAfter: 300 })")
    page.evaluate("window.confirming.end()")
    page.clock.run_for(3_600_000)
    assert page.evaluate("window.asked.length") == 0
