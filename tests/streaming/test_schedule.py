from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri import config
from prikkfri.errors import ConfigError
from prikkfri.protocols.xmltv import Listing
from prikkfri.streaming import demo
from prikkfri.streaming.channels import check_channels, loggable, source_kind
from prikkfri.streaming.schedule import (
    Programme,
    between,
    from_configuration,
    from_listings,
    now_and_next,
    schedule,
)

OSLO = ZoneInfo("Europe/Oslo")
KICK_OFF = datetime(2018, 8, 20, 21, tzinfo=OSLO).timestamp()
DAY = 86400.0


def programme(title: str, start: float, stop: float) -> Programme:
    return Programme(title, "", start, stop)


def test_a_daily_programme_comes_at_its_local_time() -> None:
    match = config.Programme(title="Match", start="21:00", minutes=115)
    found = from_configuration([match], OSLO, KICK_OFF - DAY / 2, KICK_OFF + DAY * 1.5)
    assert [began.start - KICK_OFF for began in found] == [0.0, DAY]
    assert found[0].stop - found[0].start == 115 * 60


@pytest.mark.parametrize(("day", "hours"), [("2018-03-24", 23), ("2018-10-27", 25)])
def test_summer_time_moves_a_day_and_not_its_programmes(day: str, hours: int) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=OSLO).timestamp()
    found = from_configuration(
        [config.Programme(title="Noon", start="12:00", minutes=30)], OSLO, noon, noon + DAY * 1.5
    )
    assert [began.start - noon for began in found] == [0.0, hours * 3600.0]


def test_a_programme_past_midnight_is_on_after_midnight() -> None:
    late = config.Programme(title="Late", start="23:00", minutes=120)
    midnight = datetime(2018, 8, 21, 0, 30, tzinfo=OSLO).timestamp()
    assert [found.title for found in from_configuration([late], OSLO, midnight, midnight + 60)] == ["Late"]


@pytest.mark.parametrize("start", ["2018-08-20T21:00", "2018-08-20T21:00:00+02:00", "2018-08-20T19:00Z"])
def test_a_programme_at_a_moment_comes_once(start: str) -> None:
    match = config.Programme(title="Match", start=start, minutes=115)
    found = from_configuration([match], OSLO, KICK_OFF - 3 * DAY, KICK_OFF + 3 * DAY)
    assert [began.start for began in found] == [KICK_OFF]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 30)), max_size=20))
def test_a_schedule_is_in_order_and_without_overlap(times: list[tuple[int, int]]) -> None:
    ordered = schedule(programme(str(n), start, start + length) for n, (start, length) in enumerate(times))
    for one, other in pairwise(ordered):
        assert one.start < one.stop <= other.start < other.stop
    assert {one.start for one in ordered} == {start for start, length in times if length}


def test_now_and_next() -> None:
    ordered = schedule([programme("a", 10, 20), programme("b", 20, 30), programme("c", 40, 50)])
    titles = {}
    for now in (5, 10, 19.9, 20, 30, 39.9, 40, 50):
        on, following = now_and_next(ordered, now)
        titles[now] = (on.title if on else "", following.title if following else "")
    assert titles == {
        5: ("", "a"),
        10: ("a", "b"),
        19.9: ("a", "b"),
        20: ("b", "c"),
        30: ("", "c"),
        39.9: ("", "c"),
        40: ("c", ""),
        50: ("", ""),
    }
    assert [found.title for found in between(ordered, 20, 40)] == ["b"]
    assert now_and_next((), 0) == (None, None)


@given(
    st.sampled_from(["Europe/Oslo", "America/New_York", "Pacific/Auckland", "UTC"]),
    st.integers(0, 47),
    st.integers(30, 1440),
    st.integers(0, 60 * 24 * 3),
    st.integers(1, 60 * 24 * 4),
)
def test_a_daily_programme_comes_whenever_it_touches_the_time(
    zone: str, half_hours: int, minutes: int, after: int, span: int
) -> None:
    """As if every day for a week before and after were looked at."""
    timezone = ZoneInfo(zone)
    clock = f"{half_hours // 2:02d}:{half_hours % 2 * 30:02d}"
    start = datetime(2018, 8, 20, tzinfo=UTC).timestamp() + after * 60
    stop = start + span * 60
    on = [
        datetime.combine(date(2018, 8, 20) + timedelta(n), time.fromisoformat(clock), timezone) for n in range(-7, 15)
    ]
    wanted = [at.timestamp() for at in on if at.timestamp() < stop and at.timestamp() + minutes * 60 > start]
    found = from_configuration([config.Programme(title="x", start=clock, minutes=minutes)], timezone, start, stop)
    assert [each.start for each in found] == wanted


def test_what_begins_or_ends_just_at_the_edge_does_not_touch_the_time() -> None:
    match = [config.Programme(title="Match", start="21:00", minutes=60)]
    assert from_configuration(match, OSLO, KICK_OFF - 60, KICK_OFF) == []
    assert from_configuration(match, OSLO, KICK_OFF + 3600, KICK_OFF + 3660) == []
    assert len(from_configuration(match, OSLO, KICK_OFF - 60, KICK_OFF + 1)) == 1
    assert len(from_configuration(match, OSLO, KICK_OFF + 3599, KICK_OFF + 3660)) == 1


def test_listings_become_programmes_of_their_channel() -> None:
    listings = [
        Listing("bane", 10, None, "No end", "told"),
        Listing("other", 10, 20, "Elsewhere", ""),
        Listing("bane", 20, 30, "With an end", ""),
    ]
    assert from_listings(listings, "bane") == [
        Programme("No end", "told", 10, 10 + 7200),
        Programme("With an end", "", 20, 30),
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_of_listings_that_begin_together_one_whose_end_is_known_counts(turned: bool) -> None:
    listings = [
        Listing("bane", 10, None, "News", ""),
        Listing("bane", 10, 40, "News and weather", ""),
        Listing("bane", 20, None, "Weather", ""),
    ]
    assert schedule(from_listings(reversed(listings) if turned else listings, "bane")) == (
        Programme("News and weather", "", 10, 20),
        Programme("Weather", "", 20, 20 + 7200),
    )
    full = [Listing("bane", 10, 30, "First", ""), Listing("bane", 10, 20, "Later given", "")]
    assert schedule(from_listings(full, "bane")) == (Programme("Later given", "", 10, 20),)


def test_the_demo_fills_every_minute_of_the_day() -> None:
    channels = check_channels(demo.channels())
    assert [channel.number for channel in channels] == [1, 2, 3]
    start = datetime(2018, 8, 20, tzinfo=UTC).timestamp()
    for channel in channels:
        programmes = schedule(from_configuration(channel.programmes, OSLO, start, start + 3 * DAY))
        assert programmes[0].start <= start
        assert programmes[-1].stop >= start + 3 * DAY
        assert all(one.stop == other.start for one, other in pairwise(programmes))
        assert all(one.title and one.description for one in programmes)
    sport = schedule(from_configuration(channels[1].programmes, OSLO, KICK_OFF, KICK_OFF + 1))
    assert sport[0].start == KICK_OFF
    assert sport[0].title.startswith("Fotball")
    assert [channel.id for channel in channels if channel.open] == ["torget"]


def channel(**settings: object) -> config.Channel:
    return config.Channel(**({"id": "a", "name": "A", "number": 1} | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([channel(id="A/b")], "an id is"),
        ([channel(id="")], "an id is"),
        ([channel(id="x" * 33)], "an id is"),
        ([channel(colour="blue")], "#rrggbb"),
        ([channel(colour="#12345g")], "#rrggbb"),
        ([channel(), channel(number=2)], "the id 'a'"),
        ([channel(), channel(id="b")], "the number 1"),
        ([channel(programmes=(config.Programme(title="x", start="9pm", minutes=1),))], "HH:MM"),
        ([channel(programmes=(config.Programme(title="x", start="25:00", minutes=1),))], "HH:MM"),
        ([channel(id=f"c{n}", number=n) for n in range(65)], "at most 64"),
    ],
)
def test_a_channel_that_cannot_go_on_air_is_refused(channels: list[config.Channel], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        check_channels(channels)
    if len(channels) == 1:
        assert str(told.value).startswith(f"channel `{channels[0].id}`: ")


def test_as_many_channels_as_one_playout_carries_go_on_air_in_order_of_their_numbers() -> None:
    most = [channel(id=f"c{n}" + "x" * (30 - len(str(n))), number=100 - n) for n in range(64)]
    assert [each.number for each in check_channels(most)] == list(range(37, 101))


def test_kinds_of_source() -> None:
    assert source_kind("test-picture") == "test-picture"
    assert source_kind("https://origin.example/index.m3u8") == "address"
    assert source_kind("films/match.mp4") == "file"


@pytest.mark.parametrize(
    ("source", "logged"),
    [
        ("https://user:secret@origin.example/fetch?of=http://x:y@far.example", "https://origin.example/fetch"),
        ("https://user:p@ss@origin.example/live.m3u8", "https://origin.example/live.m3u8"),
        ("https://user:secret@origin.example/live.m3u8?key=secret", "https://origin.example/live.m3u8"),
        ("http://origin.example/live/0oRLogEmBE/sport/index.m3u8", "http://origin.example/live/***/sport/index.m3u8"),
        ("films/a@b?.mp4", "films/a@b?.mp4"),
    ],
)
def test_secrets_of_a_source_are_not_logged(source: str, logged: str) -> None:
    assert loggable(source) == logged
