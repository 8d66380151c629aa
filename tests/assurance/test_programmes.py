"""Programmes: what people came for, and whether it has ended."""

import msgspec
import pytest

from prikkfri.assurance.programmes import PROGRAMMES_MAX, Programme, last_ended, most_watched_channel, programmes_of
from prikkfri.journal import Outcome

NEWS, FINAL = Programme("News", 100.0, 200.0), Programme("Final", 200.0, 7_000.0)


def came(
    channel: str, count: int = 1, *, verdict: str = "kept", step: str = "start-playback", **more: object
) -> list[Outcome]:
    known = {"service": "television", "step": step, "layer": "streams", "verdict": verdict, **more}
    return [Outcome(time=1.0, dimensions={"channel": channel} if channel else {}, **known) for _ in range(count)]  # type: ignore[arg-type]


def test_the_last_that_has_ended_since_then() -> None:
    programmes = (NEWS, FINAL)
    assert last_ended(programmes, since=100.0, now=199.9) is None
    assert last_ended(programmes, since=199.9, now=200.0) == NEWS
    assert last_ended(programmes, since=200.0, now=6_999.0) is None
    assert last_ended(programmes, since=150.0, now=7_000.0) == FINAL
    assert last_ended((), since=0.0, now=1e9) is None


def test_most_of_those_who_began_to_watch_came_to_one_channel() -> None:
    assert most_watched_channel([]) == ""
    assert (
        most_watched_channel([*came("sport", 5), *came("news", 5)])
        == most_watched_channel([*came("news", 5), *came("sport", 5)])
        == "news"
    )
    assert most_watched_channel([*came("", 5), *came("a", 3), *came("z", 2)]) == "a"
    assert most_watched_channel([*came("sport", 5), *came("news", 3), *came("film", 3)]) == ""
    assert most_watched_channel([*came("news", 2), *came("sport", 3, step="switch-channel")]) == "sport"
    others = [*came("film", 9, verdict="broken"), *came("film", 9, observed=False), *came("film", 9, step="sign-in")]
    assert most_watched_channel([*others, *came("news")]) == "news"


def test_the_guide_is_read_and_what_is_none_is_refused() -> None:
    final = {"title": "Final", "description": "", "start": 200, "stop": 7_000.0}
    guide = msgspec.json.encode([{"id": "sport", "programmes": [final]}, {"id": "news", "programmes": []}])
    assert programmes_of(guide) == {"sport": (FINAL,), "news": ()}
    many = [{"title": "x", "start": 0, "stop": 1}] * (PROGRAMMES_MAX + 1)
    assert len(programmes_of(msgspec.json.encode([{"id": "a", "programmes": many}]))["a"]) == PROGRAMMES_MAX
    for bad in (b"", b"{}", b'[{"id": "sport"}]', b'[{"id": "a", "programmes": [{"title": 1}]}]'):
        with pytest.raises(msgspec.DecodeError):
            programmes_of(bad)
