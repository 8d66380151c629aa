"""The viewer's page as it is served: what every reader and every system may expect of it."""

import re

import prikkfri.web.viewer.server

PAGE = prikkfri.web.viewer.server.PAGES / "viewer" / "page"
HTML = (PAGE / "index.html").read_text(encoding="utf-8")
CONTROLS = ("open-guide", "channel-down", "channel-up", "pause", "mute", "volume", "in-picture", "full-screen",
            "open-settings")  # fmt: skip


def test_there_is_one_first_heading() -> None:
    assert re.findall(r"<h1[ >]", HTML) == ["<h1 "]


def test_light_or_dark_is_the_systems_until_somebody_chooses() -> None:
    assert '<html lang="nb">' in HTML and '<meta name="color-scheme" content="dark light">' in HTML
    assert HTML.count('name="theme-color"') == HTML.count("(prefers-color-scheme:") == 2
    assert 'wear(read("theme") ?? "system")' in (PAGE / "main.js").read_text(encoding="utf-8")


def test_every_control_is_reached_by_tab_and_has_a_name() -> None:
    for name in CONTROLS:
        (tag,) = re.findall(rf'<(?:button|input) id="{name}"[^>]*>', HTML)
        assert "tabindex" not in tag, name
    assert "tabindex" not in (PAGE / "focus.js").read_text(encoding="utf-8").lower()
    assert "disablepictureinpicture" not in HTML
