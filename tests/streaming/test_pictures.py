"""A picture that goes and comes back: what playout sees of it, and what it tells."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from still_playout import SPORT, SQUARE, StillPlayout
from waiting import eventually

from prikkfri.streaming.limits import Limits
from prikkfri.streaming.pictures import Gone, Picture, seen

BASIC = "basic"
PATIENCE_SECONDS = Limits().picture_told_seconds
ADMITTED = (200, "")


def shows(at: StillPlayout, what: str, channel: str = "news") -> None:
    at.playout.on_air[channel].feed.on_air = what  # type: ignore[misc]


async def until_told(at: StillPlayout, channel: str = "news") -> list[tuple[str, str, float]]:
    """All that is told of a channel's picture, with when it was so, once what it shows has lasted long enough."""
    since = at.clock.now()

    def of_channel() -> list[tuple[str, str, float]]:
        found = [each for each in at.pictures if each.dimensions["channel"] == channel]
        assert all((each.service, each.layer, each.observed) == ("television", "streams", True) for each in found)
        return [(each.verdict, each.reason, each.time) for each in found]

    def one_more() -> bool:
        at.clock.advance(0.5)  # the look that sees it may come at any moment
        return len(of_channel()) > before

    before = len(of_channel())
    await eventually(one_more)
    assert since <= of_channel()[-1][2] <= at.clock.now() - PATIENCE_SECONDS
    return of_channel()


@given(st.lists(st.tuples(st.sampled_from(["", "slate", "no-picture"]), st.floats(0.1, 5.0))), st.floats(0.0, 4.0))
def test_what_is_told_is_what_lasted_and_never_the_same_twice(looks: list[tuple[Gone, float]], after: float) -> None:
    now, picture, said = 0.0, None, []
    for gone, seconds in looks:
        now += seconds
        picture = seen(picture, gone, now)
        assert picture.gone == gone and picture.since <= now
        if picture.to_tell(now, after_seconds=after):
            assert now - picture.since >= after
            said.append(gone)
            picture = picture.as_told()
    assert all(one != next_one for one, next_one in pairwise(said))


def test_a_source_that_flickers_is_no_news() -> None:
    picture: Picture | None = None
    for second in range(20):
        picture = seen(picture, "slate" if second % 2 else "", float(second))
        assert not picture.to_tell(float(second), after_seconds=1.5)
    assert picture is not None and picture.to_tell(19.0 + 1.5, after_seconds=1.5)


async def test_a_picture_that_goes_and_one_that_is_back_are_told_once_each(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        assert [(verdict, reason) for verdict, reason, _ in await until_told(at)] == [("kept", "")]
        shows(at, "slate")
        assert (await until_told(at))[1][:2] == ("broken", "slate")
        shows(at, "source")
        assert (await until_told(at))[2][:2] == ("kept", "")
        at.playout.on_air["news"].stalls()  # type: ignore[attr-defined]
        assert (await until_told(at))[3][:2] == ("broken", "no-picture")
        assert [each.verdict for each in at.pictures if each.dimensions["channel"] == "sport"] == ["kept"]


async def test_who_comes_to_a_slate_has_not_come_until_the_picture_is_there(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        stays, comes, switches = (
            at.token(BASIC, "sport", subscriber=name, device=name.encode() * 2)
            for name in ("s-stays-", "s-comes-", "s-switch")
        )
        assert await at.watch(stays) == ADMITTED and await at.watch(switches, "sport") == ADMITTED
        at.clock.advance(2)
        shows(at, "slate")
        for _ in range(3):
            for token in (stays, comes, switches):
                assert await at.watch(token) == ADMITTED, "whoever may watch gets what there is"
        shows(at, "source")
        for _ in range(2):
            for token in (stays, comes, switches):
                assert await at.watch(token) == ADMITTED
        start = ("start-playback", "kept", "", "news")
        assert at.steps("s-stays-") == [start], "it was so short that it is no news"
        assert at.steps("s-comes-") == [("start-playback", "broken", "slate", "news"), start]
        assert at.steps("s-switch") == [
            ("start-playback", "kept", "", "sport"),
            ("switch-channel", "broken", "slate", "news"),
            ("switch-channel", "kept", "", "news"),
        ]


async def test_who_watches_when_the_picture_goes_is_hit_and_gets_it_back(tmp_path: Path) -> None:
    """Each one once, by their next question: nobody goes through all who watch."""
    async with StillPlayout(tmp_path).running() as at:
        names = ("s-stays-", "s-sport-", "s-after-")
        stays, elsewhere, after = (
            at.token(BASIC, "sport", subscriber=name, device=name.encode() * 2) for name in names
        )
        assert await at.watch(stays) == ADMITTED and await at.watch(elsewhere, "sport") == ADMITTED
        shows(at, "slate")
        await eventually(lambda: at.told_gone("news") or at.clock.advance(0.5))
        for _ in range(3):
            assert await at.watch(stays) == ADMITTED and await at.watch(elsewhere, "sport") == ADMITTED
            at.clock.advance(2)
        shows(at, "source")
        await eventually(lambda: not at.told_gone("news") or at.clock.advance(0.5))
        for _ in range(3):
            assert await at.watch(stays) == ADMITTED and await at.watch(after) == ADMITTED
        assert at.steps("s-stays-")[1:] == [("watch", "broken", "slate", "news"), ("watch", "kept", "", "news")]
        assert at.steps("s-sport-") == [("start-playback", "kept", "", "sport")]
        assert at.steps("s-after-") == [("start-playback", "kept", "", "news")]


async def test_a_channel_that_is_taken_away_while_it_shows_the_slate_has_no_trouble_any_more(tmp_path: Path) -> None:
    async with StillPlayout(tmp_path).running() as at:
        for channel in ("news", "sport"):
            shows(at, "slate", channel)
        await eventually(lambda: (at.told_gone("news") and at.told_gone("sport")) or at.clock.advance(0.5))
    for told in (["news"], []):
        async with StillPlayout(tmp_path, SPORT, SQUARE).running() as again:
            shows(again, "slate", "sport")
            await eventually(lambda again=again: again.told_gone("sport") or again.clock.advance(0.5))
            ended = [each for each in again.pictures if each.dimensions["channel"] == "news"]
            assert [(each.verdict, each.reason) for each in ended] == [("kept", "")] * len(told)
