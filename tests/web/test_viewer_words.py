"""The viewer says the same things in all three languages, with the same values in them."""

import re

import prikkfri.web.viewer.server

WORDS = (prikkfri.web.viewer.server.PAGES / "viewer" / "page" / "words.js").read_text(encoding="utf-8")


def said(language: str) -> dict[str, list[str]]:
    """What a language can say, by key, with the values that each needs."""
    start = WORDS.index(f"\n  {language}: {{")
    block = WORDS[start : WORDS.index("\n  },", start)]
    return {
        key: sorted(re.findall(r"\{(\w+)\}", text))
        for key, text in re.findall(r'^    (\w+): "(.+)",$', block, re.MULTILINE)
    }


def test_languages_say_the_same() -> None:
    assert len(said("en")) > 50
    assert said("nb") == said("en")
    assert said("sv") == said("en")
