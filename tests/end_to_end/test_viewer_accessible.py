"""What axe-core finds against WCAG 2.2 A and AA in each of the viewer's states, dark and light, wide and phone."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize, expect
from viewer_browser import NEEDS_CHROMIUM, PHONE, WIDE, Viewer, chromium
from viewer_double import CHANNELS, LOGIN, PASSWORD, Double, make_clip, television

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
pytestmark = [
    pytest.mark.browser,
    NEEDS_CHROMIUM,
    pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed; mend it: npm ci"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / str(CHANNELS[0]["id"]), 0.6)
    return folder


def found(viewer: Viewer) -> list[str]:
    """Each violation with the elements at fault, once no colour changes any more."""
    viewer.has_come_to_rest()
    viewer.page.evaluate(AXE.read_text(encoding="utf-8"))
    options = {"runOnly": {"type": "tag", "values": RULES}}
    result = viewer.page.evaluate("options => axe.run(document, options)", options)
    assert len(result["passes"]) > 10  # it did look
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]


def form(viewer: Viewer, double: Double) -> None:
    viewer.sign_in(LOGIN, "wrong")
    expect(viewer.page.locator("#form-error")).to_be_visible()


def wait(viewer: Viewer, double: Double) -> None:
    double.sign_in_answers = itertools.repeat("busy")
    double.open_ids = {str(CHANNELS[0]["id"])}
    viewer.sign_in(LOGIN, PASSWORD)
    expect(viewer.page.locator("#wait")).to_be_visible()


def banner(viewer: Viewer, double: Double) -> None:
    viewer.sign_in(LOGIN, PASSWORD)
    viewer.sees_the_picture()
    viewer.press("ArrowRight")


def guide(viewer: Viewer, double: Double) -> None:
    viewer.sign_in(LOGIN, PASSWORD)
    viewer.sees_the_picture()
    viewer.press("Escape", "Enter")


def notice(viewer: Viewer, double: Double) -> None:
    viewer.sign_in(LOGIN, PASSWORD)
    viewer.sees_the_picture()
    viewer.press("5")
    expect(viewer.page.locator("#notice")).to_be_visible()


def settings(viewer: Viewer, double: Double) -> None:
    banner(viewer, double)
    viewer.page.locator("#open-settings").click()


@pytest.mark.parametrize(("theme", "size"), [("dark", WIDE), ("light", PHONE)], ids=["dark-wide", "light-phone"])
@pytest.mark.parametrize("state", [form, wait, banner, guide, notice, settings])
def test_axe_finds_nothing(
    browser: Browser, clips: Path, state: Callable[[Viewer, Double], None], theme: str, size: ViewportSize
) -> None:
    with television(clips) as (double, roles):
        viewer = Viewer(browser, roles["viewer"].url, size)
        viewer.context.add_init_script(f"localStorage.setItem('prikkfri.theme', '\"{theme}\"')")
        viewer.open()
        state(viewer, double)
        assert found(viewer) == []
        viewer.close()
