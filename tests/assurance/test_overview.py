"""The overview: what is kept, what is broken since when, what is not known; and what of it the public is told."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.counting import KINDS_IN_A_PAGE_MAX, PERIOD_SECONDS, Count, count
from prikkfri.assurance.overview import (
    STALE_SECONDS,
    WINDOW_SECONDS,
    Overview,
    RoleState,
    StreamState,
    chart,
    overview,
)
from prikkfri.assurance.publishing import summary
from prikkfri.journal import Outcome
from prikkfri.web.console import wording

NOW = 1_700_000_000.0
ZONE = ZoneInfo("Europe/Oslo")
HEALTHY = [RoleState(role, True, NOW - 999) for role in ("signin", "door", "playout", "sms", "status")]
FOLLOWED = [StreamState(stream, exists=True, current_at=NOW) for stream in ("signin", "door", "playout", "sms")]


def counted(verdict: str, outcomes: int, *, ago: float = 10, step: str = "sign-in", reason: str = "") -> Count:
    service, layer = ("television", "signin") if step == "sign-in" else ("messages", "link")
    second = int(NOW - ago) // PERIOD_SECONDS * PERIOD_SECONDS
    return Count(second, service, step, layer, verdict, reason, True, outcomes)


def seen(*counts: Count, streams: list[StreamState] | None = None, roles: list[RoleState] | None = None) -> Overview:
    return overview(counts, FOLLOWED if streams is None else streams, HEALTHY if roles is None else roles, NOW)


def told(overview: Overview, roles: list[RoleState] | None = None) -> tuple[str, dict[str, str]]:
    document = summary(overview, HEALTHY if roles is None else roles, operator="Nordavind", url="http://status")
    return document["status"]["indicator"], {part["id"]: part["status"] for part in document["components"]}


WELL = {"sign-in": "operational", "watch": "operational", "messages": "operational"}


def test_all_kept() -> None:
    view = seen(counted("kept", 100))
    assert (view.tone, view.breakages) == ("kept", ())
    assert wording.sentence(view, ZONE) == "All promises kept in the last 15 minutes."
    assert told(view) == ("none", WELL)


def test_a_few_broken_are_said_and_are_no_breakage() -> None:
    view = seen(counted("kept", 9_998), counted("broken", 2, reason="overloaded"))
    assert view.tone == "kept"
    assert wording.sentence(view, ZONE) == "99.98 % of promises kept in the last 15 minutes; 2 broken."


def test_broken_since_the_first_of_the_run_of_bad_periods() -> None:
    view = seen(
        counted("broken", 9, ago=600),  # an earlier trouble, over for minutes
        *(counted("kept", 50, ago=ago) for ago in range(10, 890, 5)),
        *(counted("broken", 30, ago=ago, reason="overloaded") for ago in (10, 15, 20, 60, 100)),
        counted("kept", 500, step="deliver"),
    )
    (breakage,) = view.breakages
    assert (breakage.step, breakage.since, breakage.certain) == ("sign-in", NOW - 100, True)
    assert wording.sentence(view, ZONE) == "Sign-in broken since 23:11."
    assert "kept throughout: deliver" in wording.particulars(view, ZONE)
    indicator, parts = told(view)
    assert indicator == "major" and parts == WELL | {"sign-in": "partial_outage"}


def test_a_breakage_older_than_the_window_is_since_before() -> None:
    view = seen(*(counted("broken", 5, ago=ago) for ago in range(10, WINDOW_SECONDS, 5)))
    assert not view.breakages[0].certain
    assert "since before" in wording.sentence(view, ZONE)
    assert told(view)[0] == "critical"


def test_a_breakage_that_ended_more_than_a_minute_ago_is_over() -> None:
    view = seen(counted("broken", 50, ago=70), counted("kept", 50, ago=10))
    assert view.breakages == ()


def test_what_went_wrong_by_the_customers_own_hand_breaks_nothing() -> None:
    view = seen(counted("kept", 1), counted("broken", 500, reason="wrong-credentials"))
    assert view.tone == "kept" and view.broken == 0
    assert view.rows[0].declined == 500 and view.rows[0].own_reasons == (("wrong-credentials", 500),)
    assert told(view)[0] == "none"


def test_nobody_asked_is_not_all_kept() -> None:
    view = seen()
    assert view.tone == "unknown"
    assert wording.sentence(view, ZONE) == "Nobody has asked for anything in the last 15 minutes."


@pytest.mark.parametrize(
    "state",
    [
        StreamState("signin"),
        StreamState("signin", exists=True, current_at=NOW - STALE_SECONDS - 1),
        StreamState("signin", exists=True, current_at=NOW - STALE_SECONDS - 1, behind=10_000),
        StreamState("signin", trouble="locked", trouble_since=NOW - STALE_SECONDS - 1),
    ],
)
def test_what_is_not_read_is_not_known_and_never_well(state: StreamState) -> None:
    view = seen(counted("kept", 100), streams=[state, *FOLLOWED[1:]])
    assert view.tone == "warning"
    assert "not known" in wording.sentence(view, ZONE)
    assert told(view) == ("minor", WELL | {"sign-in": "degraded_performance"})


@pytest.mark.parametrize("answers", [None, False])
def test_a_role_that_does_not_answer_is_not_well(answers: bool | None) -> None:
    roles = [RoleState("sms", answers, NOW - 30 if answers is False else 0.0), *HEALTHY[:3]]
    view = seen(counted("kept", 100), roles=roles)
    assert told(view, roles) == ("minor", WELL | {"messages": "degraded_performance"})


def test_a_stream_whose_role_has_never_written_hides_nothing() -> None:
    assert seen(counted("kept", 1), streams=[StreamState("door", exists=False), *FOLLOWED]).blind == ()


def test_the_chart_has_a_rate_for_each_period_and_leaves_the_customers_own_out() -> None:
    since, until = int(NOW) - 20, int(NOW)
    shown = chart(
        [
            Count(since + 5, "television", "sign-in", "signin", "kept", "", True, 10),
            Count(since + 5, "television", "sign-in", "door", "kept", "", True, 5),
            Count(since + 10, "television", "sign-in", "signin", "broken", "overloaded", True, 1),
            Count(since + 10, "television", "sign-in", "signin", "broken", "wrong-credentials", True, 99),
            Count(until, "television", "sign-in", "signin", "kept", "", True, 99),
        ],
        since=since,
        until=until,
        period=5,
    )
    (line,) = shown.series
    assert shown.times == (since, since + 5, since + 10, since + 15)
    assert line.kept == (0, 3, 0, 0)
    assert line.broken == (0, 0, 0.2, 0)


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60), st.floats()), max_size=50))
def test_counting_counts_everything_whatever_it_is_called(named: list[tuple[str, str, float]]) -> None:
    outcomes = [
        Outcome(time=time, service="television", step=step, layer="streams", verdict="broken", reason=reason)
        for step, reason, time in named
    ]
    counts = count(outcomes, NOW)
    assert sum(c.outcomes for c in counts) == len(outcomes)
    assert all("\0" not in c.reason and len(c.reason) <= 40 for c in counts)


def test_what_devices_make_up_cannot_fill_the_tables() -> None:
    outcomes = [
        Outcome(time=NOW, service="television", step="start", layer="streams", verdict="broken", reason=f"r{n}")
        for n in range(5_000)
    ]
    counts = count(outcomes, NOW)
    assert len(counts) <= KINDS_IN_A_PAGE_MAX + 1
    assert sum(c.outcomes for c in counts) == 5_000


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (0, "0 %"), (1, "100 %"), (0.00001, "< 0.01 %"), (0.99999, "> 99.99 %"), (0.0312, "3.1 %")],
)
def test_a_share_is_never_rounded_to_nothing_or_everything(value: float | None, said: str) -> None:
    assert wording.share(value) == said


@given(st.text(max_size=60))
def test_a_masked_id_shows_its_end_at_most(text: str) -> None:
    assert len(wording.masked_id(text)) <= 5


@pytest.mark.parametrize(
    "number",
    [
        "+4791234567",
        "4791234567",
        "0701234567",
        "1234567",
        "+47 912 34 567",
        "(912) 34-567",
        "sip:+4791234567@x",
        "x 91.23.45.67",
    ],
)
def test_a_number_in_a_dimension_is_masked(number: str) -> None:
    said = wording.masked_value(number)
    assert sum(character.isdigit() for character in said) <= 5 and "•" in said
    assert said.startswith(number.partition("9")[0][:4] if number[0] in "sx" else "")


def test_partners_and_channels_are_not_masked() -> None:
    assert wording.masked_value("Nordtel") == "Nordtel" and wording.masked_value("123456") == "123456"
    assert wording.masked_value("nord-1, sør 12 og 34") == "nord-1, sør 12 og 34"
