import base64
import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.config import Channel
from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.cat import Claims, Verdict
from prikkfri.streaming.admission import ASKS_SECONDS_MAX, OncePerPeriod, PictureOutage, Presence, refusal
from prikkfri.streaming.reports import REASONS, REPORT_BYTES_MAX, Report, outcome_of, read_report
from prikkfri.streaming.revocations import STALE_SECONDS, Revocations, read_revocations

DEVICE_TOKEN_ID = b"0123456789abcdef"
CLAIMS = Claims("door", "s-1", 1000.0, 2000.0, DEVICE_TOKEN_ID + b"-1", frozenset({"basic"}))
BASIC = Channel(id="a", name="A", number=1, package="basic")
SPORT = Channel(id="b", name="B", number=2, package="sport")
NOBODY = Revocations()
SIGNED_OUT = Revocations(1000.0, frozenset({DEVICE_TOKEN_ID}))
DEVICE = "d-" + "A" * 22


@pytest.mark.parametrize(
    ("verdict", "channel", "revocations", "error"),
    [
        (Verdict("ok", CLAIMS), BASIC, NOBODY, None),
        (Verdict("expired-but-honoured", CLAIMS), BASIC, NOBODY, None),
        (Verdict("ok", CLAIMS), SPORT, NOBODY, "not-entitled"),
        (Verdict("ok", replace(CLAIMS, packages=frozenset())), BASIC, NOBODY, "not-entitled"),
        (Verdict("expired", CLAIMS), BASIC, NOBODY, "expired"),
        (Verdict("bad", reason="bad-signature"), BASIC, NOBODY, "bad-token"),
        (Verdict("ok", CLAIMS), BASIC, SIGNED_OUT, "revoked"),
        (Verdict("expired-but-honoured", CLAIMS), BASIC, SIGNED_OUT, "revoked"),
        (Verdict("ok", CLAIMS), BASIC, Revocations(1.0, frozenset({b"someone else's id"})), None),
    ],
)
def test_admission(verdict: Verdict, channel: Channel, revocations: Revocations, error: str | None) -> None:
    refused = refusal(verdict, channel, revocations)
    reason = "token-bad-signature" if error == "bad-token" else error
    assert (refused and (refused.error, refused.reason)) == (error and (error, reason))


def test_the_revocation_list() -> None:
    token_id = base64.urlsafe_b64encode(DEVICE_TOKEN_ID).rstrip(b"=").decode()
    read = read_revocations(json.dumps({"as_of": 1000.0, "device_tokens": [token_id], "later": 1}).encode())
    assert read == SIGNED_OUT
    assert not read.is_stale(1000.0 + STALE_SECONDS)
    assert read.is_stale(1000.1 + STALE_SECONDS)
    for document in (
        b"",
        b"{}",
        b"[]",
        b'{"as_of": "x", "device_tokens": []}',
        b'{"as_of": 1, "device_tokens": ["A"]}',
    ):
        with pytest.raises(RemoteProtocolError, match=r"not a revocation list: ."):
            read_revocations(document)


def test_one_who_stays_is_not_taken_for_one_who_comes() -> None:
    presence = Presence(absent_seconds=300, switch_seconds_min=1, viewers_max=1000)
    assert [presence.comes(CLAIMS, "a", now) for now in (0, 2, 250, 549, 850, 851)] == [
        "start-playback",
        "",
        "",
        "",
        "start-playback",
        "",
    ]


def test_another_channel_is_a_switch_and_not_more_often_than_people_switch() -> None:
    presence = Presence(absent_seconds=300, switch_seconds_min=1, viewers_max=1000)
    asked = [("a", 0), ("b", 10), ("b", 12), ("a", 20), ("b", 20.5), ("a", 20.6), ("b", 30)]
    assert [presence.comes(CLAIMS, channel, now) for channel, now in asked] == [
        "start-playback",
        "switch-channel",
        "",
        "switch-channel",
        "",
        "",
        "switch-channel",
    ]
    assert presence.comes(CLAIMS, "a", 31) == "switch-channel", "a second is enough"
    assert presence.comes(CLAIMS, "b", 32) == "switch-channel"


def test_a_switch_back_that_is_too_quick_to_count_is_no_switch_afterwards() -> None:
    """Two players with one token, on two channels: of all their asking one switch a second counts, and from where it
    was last said that they are."""
    presence = Presence(absent_seconds=300, switch_seconds_min=1, viewers_max=1000)
    asked = [("a", 0), ("b", 0.5), ("a", 1.5), ("b", 1.6), ("b", 2.6)]
    told = ["start-playback", "", "", "switch-channel", ""]
    assert [presence.comes(CLAIMS, channel, now) for channel, now in asked] == told


@given(
    st.lists(st.floats(0.5, 60.0), min_size=1, max_size=40),
    st.floats(1.0, 400.0),
    st.floats(1.0, 200.0) | st.just(math.inf),
    st.booleans(),
)
def test_who_watched_when_the_picture_went_is_owed_word_of_it_once(
    pauses: list[float], gone_at: float, lasts: float, refused: bool
) -> None:
    """Whoever had asked in the half minute before, or asked while it was gone; not who came or came back afterwards."""
    presence = Presence(absent_seconds=300, switch_seconds_min=1, viewers_max=10)
    presence.comes(CLAIMS, "news", 0.0)
    asked, told = [0.0], []
    for now in itertools.accumulate(pauses):
        away = PictureOutage(gone_at, gone_at + lasts) if now >= gone_at else None
        presence.comes(CLAIMS, "news", now, away)
        watched = now >= gone_at and any(gone_at - ASKS_SECONDS_MAX <= at <= gone_at + lasts for at in asked)
        owed = presence.owed(CLAIMS, "news")
        assert bool(owed) == (watched and len(told) < 2)
        assert presence.owed(CLAIMS, "sport") == ""
        if owed and not (refused and len(asked) % 2):  # too much has been told just then: it is owed all the same
            told.append(owed)
            presence.told(CLAIMS)
        asked.append(now)
    assert told == ["broken", "kept"][: len(told)]


def test_a_picture_that_goes_again_is_told_again_and_only_to_who_was_there() -> None:
    presence = Presence(absent_seconds=300, switch_seconds_min=1, viewers_max=10)
    away = PictureOutage(10, 20)
    assert presence.comes(CLAIMS, "news", 11, away) == "start-playback"
    assert presence.comes(CLAIMS, "news", 12, away) == "" and presence.owed(CLAIMS, "news") == "", "came to the slate"
    for number in range(3):
        away = PictureOutage(100.0 * number + 100, 100.0 * number + 120)
        presence.comes(CLAIMS, "news", away.since - 1, None)
        presence.comes(CLAIMS, "news", away.since, away)
        assert presence.owed(CLAIMS, "news") == "broken"
        presence.told(CLAIMS)
        presence.comes(CLAIMS, "news", away.since + 5, away)
        assert presence.owed(CLAIMS, "news") == "kept"
    presence.comes(CLAIMS, "sport", away.since + 10, away)
    assert presence.owed(CLAIMS, "news") == presence.owed(CLAIMS, "sport") == ""


@pytest.mark.parametrize(
    ("came", "asked", "now", "owed"),
    [
        (0.0, 70.0, 101.0, "broken"),  # half a minute before it went, to the second
        (0.0, 69.9, 101.0, ""),
        (0.0, 120.0, 130.0, "broken"),  # at the moment that it was back
        (0.0, 120.1, 130.0, ""),
        (100.0, 100.0, 101.0, "broken"),  # who came at the moment that it went
        (100.1, 100.1, 101.0, ""),
    ],
)
def test_who_watched_is_told_to_the_moment(came: float, asked: float, now: float, owed: str) -> None:
    presence = Presence(absent_seconds=300, switch_seconds_min=1, viewers_max=10)
    presence.comes(CLAIMS, "news", came)
    presence.comes(CLAIMS, "news", asked)
    presence.comes(CLAIMS, "news", now, PictureOutage(100.0, 120.0))
    assert presence.owed(CLAIMS, "news") == owed


def test_who_is_seen_again_at_the_last_moment_has_not_been_away() -> None:
    presence = Presence(absent_seconds=300, switch_seconds_min=1, viewers_max=10)
    assert [presence.comes(CLAIMS, "a", now) for now in (0, 300, 600.5)] == ["start-playback", "", "start-playback"]


def test_the_longest_unseen_is_forgotten_first() -> None:
    presence = Presence(absent_seconds=300, switch_seconds_min=1, viewers_max=2)
    people = [replace(CLAIMS, subscriber=name) for name in "abc"]
    for person in (people[0], people[1], people[0]):
        presence.comes(person, "news", 0)
    assert presence.comes(people[2], "news", 1)  # forgets b
    assert not presence.comes(people[0], "news", 1)
    assert presence.comes(people[1], "news", 1)


def test_a_key_passes_once_in_a_period_and_so_many_keys() -> None:
    gate = OncePerPeriod(period_seconds=60, keys_max=2)
    assert [gate.lets_through((key,), now) for key, now in (("a", 100), ("a", 101), ("b", 102), ("c", 103))] == [
        True,
        False,
        True,
        False,
    ]
    assert gate.lets_through(("c",), 160)
    assert gate.lets_through(("a",), 161)
    assert gate.lets_through(("a",), 100), "a clock that was set back keeps nobody out until it has caught up"
    assert not gate.lets_through(("a",), 100) and not gate.lets_through(("a",), 100.5)


def test_a_report_becomes_a_reported_outcome() -> None:
    body = json.dumps({"device": DEVICE, "step": "sign-in", "kept": False, "reason": "unreachable"}).encode()
    outcome = outcome_of(read_report(body), 5.0)
    assert (outcome.step, outcome.layer, outcome.verdict, outcome.reason) == (
        "sign-in",
        "signin",
        "broken",
        "unreachable",
    )
    assert not outcome.observed
    assert outcome.device == DEVICE
    assert (outcome.customer, outcome.dimensions) == ("", {"proof": "none"})
    watched = outcome_of(Report(DEVICE, "watch", True, "ignored", "a"), 5.0, "s-1")
    assert (watched.verdict, watched.reason, watched.dimensions) == ("kept", "", {"channel": "a"})
    assert (watched.customer, watched.observed) == ("s-1", False)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("stalled", "stalled"),
        ("too-many-tries", "too-many-tries"),
        ("frag-load-time-out", "frag-load-time-out"),
        ("http-300", "http-300"),
        ("http-599", "http-599"),
        ("media-1", "media-1"),
        ("media-4", "media-4"),
        *((each, "other") for each in ("http-600", "http-299", "http-5000", "http-50x", "media-0", "media-5", "media-",
                                       "media-undefined", "x" * 64, "stalled-1", "a", "other")),
    ],
)  # fmt: skip
def test_of_what_a_device_may_say_as_a_reason_only_known_words_are_told_apart(said: str, read: str) -> None:
    """Each word of its own would be a row of counts every few seconds, and anybody may post one."""
    report = {"device": DEVICE, "step": "watch", "kept": False, "reason": said}
    assert read_report(json.dumps(report).encode()).reason == read


ERRORS_OF_THE_PLAYER = Path(__file__).parents[2] / "node_modules" / "hls.js" / "dist" / "hls.d.ts"


@pytest.mark.skipif(not ERRORS_OF_THE_PLAYER.exists(), reason="hls.js is not installed; mend it: npm ci")
def test_every_error_of_our_player_is_told_apart() -> None:
    [listed] = re.findall(r"enum ErrorDetails \{(.*?)\}", ERRORS_OF_THE_PLAYER.read_text(), re.DOTALL)
    errors = re.findall(r'"(\w+)"', listed)
    said = {re.sub("([A-Z])", r"-\1", each).lower() for each in errors}
    assert len(said) > 40 and said <= REASONS


def test_every_reason_that_is_told_apart_has_the_shape_of_one() -> None:
    for reason in REASONS:
        report = {"device": DEVICE, "step": "watch", "kept": False, "reason": reason}
        assert read_report(json.dumps(report).encode()).reason == reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"device": "d-short"}, "`device` is d- and 22"),
        ({"device": "x-" + "A" * 22}, "`device` is d- and 22"),
        ({"step": "teleport"}, "`step` is one of open-page, enter, sign-in, playback-token, start-playback, watch$"),
        ({"kept": "yes"}, "not a report: ."),
        ({"reason": ""}, "a broken promise needs a `reason`"),
        ({"reason": "Free text <b>"}, "`reason` is at most 64"),
        ({"reason": "x" * 65}, "`reason` is at most 64"),
        ({"channel": 7}, "not a report: ."),
        ({"padding": "x" * 3000}, "at most 2048 bytes"),
    ],
    ids=lambda value: next(iter(value)),
)
def test_a_report_outside_its_shape_is_refused_in_words(change: dict[str, object], said: str) -> None:
    report = {"device": DEVICE, "step": "watch", "kept": False, "reason": "stalled", "channel": "a"}
    assert read_report(json.dumps(report).encode()).reason == "stalled"
    with pytest.raises(RemoteProtocolError, match=said):
        read_report(json.dumps(report | change).encode())


@pytest.mark.parametrize(
    ("step", "layer"),
    [
        ("open-page", "interface"),
        ("enter", "door"),
        ("sign-in", "signin"),
        ("playback-token", "door"),
        ("start-playback", "streams"),
        ("watch", "streams"),
    ],
)
def test_every_step_of_the_journey_can_be_reported_and_points_at_who_answers_for_it(step: str, layer: str) -> None:
    kept = outcome_of(read_report(json.dumps({"device": DEVICE, "step": step, "kept": True}).encode()), 5.0)
    assert (kept.time, kept.service, kept.step, kept.layer, kept.verdict) == (5.0, "television", step, layer, "kept")
    broken = {"device": DEVICE, "step": step, "kept": False, "reason": "x" * 64}
    assert outcome_of(read_report(json.dumps(broken).encode()), 5.0).verdict == "broken"


def test_a_report_may_be_as_long_as_it_is_said() -> None:
    report = json.dumps({"device": DEVICE, "step": "watch", "kept": True}).encode()
    assert read_report(report.ljust(REPORT_BYTES_MAX)).kept
    with pytest.raises(RemoteProtocolError, match="at most 2048 bytes"):
        read_report(report.ljust(REPORT_BYTES_MAX + 1))
