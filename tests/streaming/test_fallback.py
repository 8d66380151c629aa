"""The open channel: by rule when sign-in does not answer, by a person's word before all."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from prikkfri.config import Channel, Streaming
from prikkfri.streaming.fallback import (
    LONG_LINE,
    NOT_ANSWERING,
    RULE,
    ChannelOverride,
    Fallback,
    SignInHealth,
    apply_override,
    apply_rule,
    channel_statuses,
    open_channels,
    trouble_of,
)

CHANNELS = (
    Channel(id="news", name="News", number=1),
    Channel(id="sport", name="Sport", number=2),
    Channel(id="square", name="Square", number=3, open=True),
)
CLOSED = ChannelOverride("closed", "Kari")
SETTINGS = Streaming(fallback_channels=("sport",), fallback_after_seconds=3.0, fallback_held_seconds=60.0)


def opened(fallback: Fallback) -> set[str]:
    return {channel.id for channel in open_channels(CHANNELS, fallback, SETTINGS)}


def evening(answers: list[bool]) -> list[set[str]]:
    """What stands open after each second in which sign-in did or did not answer."""
    fallback, seen, told = Fallback(), SignInHealth("", 0.0), []
    for second, answer in enumerate(answers):
        seen = seen.asked("" if answer else NOT_ANSWERING, float(second))
        fallback = apply_rule(fallback, seen, SETTINGS, now=float(second))
        told.append(opened(fallback))
    return told


def test_it_opens_after_the_time_that_is_set_and_closes_when_sign_in_has_held() -> None:
    told = evening([True] * 10 + [False] * 10 + [True] * 70)
    assert told[12] == {"square"}
    assert told[13] == {"square", "sport"}
    assert told[20 + 59] == {"square", "sport"}
    assert told[20 + 60] == {"square"}


def test_it_stays_open_however_long_the_trouble_lasts() -> None:
    assert all("sport" in each for each in evening([False] * 200)[3:])


def test_it_opens_at_the_very_first_moment_of_the_clock_too() -> None:
    settings = replace(SETTINGS, fallback_after_seconds=0.0)
    decided = apply_rule(Fallback(), SignInHealth(NOT_ANSWERING, 0.0), settings, now=0.0)
    assert {channel.id for channel in open_channels(CHANNELS, decided, settings)} == {"square", "sport"}


def test_a_short_silence_opens_nothing() -> None:
    assert evening([True, False, False, True] * 10)[-1] == {"square"}


def test_sign_in_that_comes_and_goes_keeps_it_open() -> None:
    told = evening([False] * 5 + ([True] * 30 + [False] * 2) * 5)
    assert all("sport" in each for each in told[4:])


@given(st.lists(st.booleans(), max_size=200))
def test_the_rule_never_touches_other_channels(answers: list[bool]) -> None:
    assert all(each - {"sport"} == {"square"} for each in evening(answers))


def test_a_persons_word_goes_before_the_rule_until_it_is_taken_back() -> None:
    by_rule = apply_rule(Fallback(), SignInHealth(NOT_ANSWERING, 0.0), SETTINGS, now=10.0)
    assert opened(by_rule) == {"square", "sport"}
    closed = apply_override(apply_override(by_rule, "sport", CLOSED), "square", CLOSED)
    assert opened(closed) == set()
    assert opened(apply_rule(closed, SignInHealth(NOT_ANSWERING, 0.0), SETTINGS, now=20.0)) == set()
    assert opened(apply_override(closed, "news", ChannelOverride("open", "Kari"))) == {"news"}
    assert opened(apply_override(closed, "sport", None)) == {"sport"}


def test_a_line_that_is_too_long_opens_it_as_silence_does() -> None:
    patient = SETTINGS.fallback_wait_seconds
    assert trouble_of(True, patient, SETTINGS) == trouble_of(True, None, SETTINGS) == ""
    assert trouble_of(True, patient + 1, SETTINGS) == trouble_of(True, math.inf, SETTINGS) == LONG_LINE
    assert trouble_of(False, 0.0, SETTINGS) == NOT_ANSWERING
    # From the one trouble to the other is still trouble: the time goes on.
    assert SignInHealth(LONG_LINE, 5.0).asked(NOT_ANSWERING, 8.0) == SignInHealth(NOT_ANSWERING, 5.0)


def test_each_channel_tells_who_wants_it_as_it_is() -> None:
    by_rule = apply_rule(Fallback(), SignInHealth(NOT_ANSWERING, 0.0), SETTINGS, now=10.0)
    told = channel_statuses(CHANNELS, apply_override(by_rule, "news", CLOSED), SETTINGS)
    assert [(each.channel.id, each.open, each.by) for each in told] == [
        ("news", False, "Kari"),
        ("sport", True, RULE),
        ("square", True, "configuration"),
    ]
