"""The overview: what is kept, what is broken since when, what is not known; and what of it the public is told."""

from dataclasses import replace
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.counting import KINDS_IN_A_PAGE_MAX, PERIOD_SECONDS, Count, count
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import Fact, Kind, apply_fact, open_incident
from prikkfri.assurance.overview import (
    Overview,
    RoleState,
    StreamState,
    chart,
    overview,
)
from prikkfri.assurance.publishing import summary
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import ACTS, JOIN, RETURN
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
    """What the public reads when each promise was made to another customer."""
    of_one = [replace(each, hit=each.recent_broken, asked=each.recent_settled) for each in overview.breakages]
    overview = replace(overview, breakages=tuple(of_one))
    document = summary(
        overview,
        HEALTHY if roles is None else roles,
        operator="Nordavind",
        url="http://status",
        zone=ZoneInfo("Europe/Oslo"),
    )
    return document["status"]["indicator"], {part["id"]: part["status"] for part in document["components"]}


WELL = {"sign-in": "operational", "watch": "operational", "messages": "operational"}


def test_all_kept() -> None:
    view = seen(counted("kept", 100))
    assert (view.tone, view.breakages) == ("kept", ())
    assert wording.sentence(view, ZONE) == "All promises kept in the last 15 minutes."
    assert told(view) == ("none", WELL)


def test_the_share_of_known_devices_that_saw_no_line_is_told() -> None:
    def told(verdict: str, outcomes: int, reason: str = "") -> Count:
        return Count(int(NOW) - 10, "television", "playback-token", "door", verdict, reason, True, outcomes)

    view = seen(
        told("kept", 195),
        told("broken", 3, "overloaded"),
        told("broken", 2, "expired"),
        told("broken", 7, "revoked"),  # a device that was signed out is not known
        told("broken", 7, "bad-token"),
        told("asked", 7, "overloaded"),
        told("kept", 5)._replace(layer="interface"),
        told("broken", 9, "overloaded")._replace(observed=False),
        told("broken", 9, "overloaded")._replace(step="enter"),
    )
    known = view.known_devices
    assert (known.came, known.without_line, known.share) == (200, 195, 0.975)
    assert "known devices that never saw a line: 97.5 % of 200" in wording.particulars(view, ZONE)
    none = seen(counted("kept", 9, step="deliver"))
    assert none.known_devices.share is None and wording.particulars(none, ZONE) == []


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
    view = seen(*(counted("broken", 5, ago=ago) for ago in range(10, 900, 5)))
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
        StreamState("signin", exists=True, current_at=NOW - 15 - 1),
        StreamState("signin", exists=True, current_at=NOW - 15 - 1, behind=10_000),
        StreamState("signin", trouble="locked", trouble_since=NOW - 15 - 1),
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
            Count(since - 5, "television", "sign-in", "signin", "kept", "", True, 99),
            Count(since, "television", "sign-in", "door", "asked", "", True, 99),
            Count(since, "television", "sign-in", "door", "broken", "overloaded", True, 5),
        ],
        since=since,
        until=until,
        period=5,
    )
    (line,) = shown.series
    assert shown.times == (since, since + 5, since + 10, since + 15)
    assert line.kept == (0, 3, 0, 0)
    assert line.broken == (1, 0, 0.2, 0)


def test_steps_stand_in_the_order_in_which_a_customer_meets_them() -> None:
    steps = ("zapping", "sign-in", "playback-token", "enter", "start-playback", "buying")
    ordered = ["enter", "sign-in", "playback-token", "start-playback", "buying", "zapping"]
    counts = [
        counted("broken", 9)._replace(service=service, step=step, observed=observed, layer=layer)
        for service in ("television", "messages")
        for step in steps
        for layer, observed in (("signin", False), ("door", True))
    ]
    view = seen(*counts)
    places = [(service, step) for service in ("messages", "television") for step in ordered]
    assert [(b.service, b.step) for b in view.breakages] == places
    assert [(row.service, row.step, row.layer) for row in view.rows] == [
        (*place, layer) for place in places for layer in ("door", "signin")
    ]
    lines = chart(counts, since=int(NOW) - 60, until=int(NOW), period=5).series
    assert [(line.service, line.step, line.observed) for line in lines] == [
        (*place, observed) for place in places for observed in (False, True)
    ]


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60), st.floats()), max_size=10))
def test_counting_counts_every_promise_whatever_it_is_called(named: list[tuple[str, str, float]]) -> None:
    outcomes = [
        Outcome(time=time, service="television", step=step, layer="streams", verdict="broken", reason=reason)
        for step, reason, time in named
    ]
    counts = count(outcomes, NOW)
    assert sum(c.outcomes for c in counts) == sum(step not in {*ACTS, JOIN, RETURN} for step, _, _ in named)
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


@pytest.mark.parametrize(
    ("broken", "kept", "ago", "breaks"),
    [(3, 57, 10, True), (3, 58, 10, False), (2, 0, 10, False), (3, 0, 60, True), (3, 0, 65, False), (0, 9, 10, False)],
)
def test_broken_now_is_three_and_one_in_twenty_of_the_last_minute(
    broken: int, kept: int, ago: int, breaks: bool
) -> None:
    view = seen(
        counted("broken", broken, ago=ago, reason="x"), counted("kept", kept, ago=ago), counted("broken", 50, ago=300)
    )
    assert [(each.recent_broken, each.recent_settled) for each in view.breakages] == [(broken, broken + kept)] * breaks


def test_a_breakage_says_how_many_were_hit_of_those_who_asked_and_what_devices_say_breaks_nothing() -> None:
    counts = [counted("broken", 5, reason="x"), counted("asked", 5)]
    (known,) = overview(counts, FOLLOWED, HEALTHY, NOW, {("television", "sign-in"): (4, 7)}).breakages
    assert (known.hit, known.asked) == (4, 7)
    (unknown,) = overview(counts, FOLLOWED, HEALTHY, NOW).breakages
    assert (unknown.hit, unknown.asked) == (0, 0)
    assert seen(counted("broken", 50, reason="x")._replace(observed=False)).breakages == ()


def test_what_waits_for_an_account_or_fails_there_is_its_own_and_what_is_taken_is_kept() -> None:
    def of_account(verdict: str, reason: str = "") -> Count:
        return counted(verdict, 1, step="deliver", reason=reason)._replace(layer="account")

    waiting, failed = of_account("asked", "account-not-bound"), of_account("broken", "account-not-bound")
    (row,) = seen(waiting, failed, of_account("asked"), of_account("kept")).rows
    assert (row.declined, row.asked, row.kept, row.broken) == (2, 1, 1, 0)


def test_a_breakage_began_with_the_first_bad_period_after_a_good_minute() -> None:
    def since(*agos: int) -> tuple[float, bool]:
        (breakage,) = seen(*(counted("broken", 5, ago=ago) for ago in agos)).breakages
        return NOW - breakage.since, breakage.certain

    assert since(10, 70, 130) == (130, True)
    assert since(10, 75, 130) == (10, True)
    # Within the first minute of what is looked at, it may have begun earlier.
    assert since(*range(10, 836, 5)) == (835, True)
    assert since(*range(10, 841, 5)) == (840, False)


def test_a_good_period_in_between_does_not_end_a_breakage_nor_a_bad_share_below_the_least_begin_one() -> None:
    view = seen(
        counted("broken", 30, ago=10), counted("kept", 100, ago=40), counted("broken", 9, ago=50),
        counted("broken", 1, ago=60), counted("kept", 19, ago=60), counted("kept", 100, ago=65),
    )  # fmt: skip
    (breakage,) = view.breakages
    assert breakage.since == NOW - 60
    # One in twenty of a period is bad; what is counted of it in several places is counted together.
    view = seen(
        counted("broken", 30, ago=10),
        *(counted(verdict, n, ago=60) for verdict, n in (("broken", 2), ("broken", 3), ("kept", 95))),
        *(counted(verdict, n, ago=65) for verdict, n in (("broken", 2), ("broken", 2), ("kept", 96))),
    )
    assert view.breakages[0].since == NOW - 60


@pytest.mark.parametrize(
    ("state", "since"),
    [
        (StreamState("s", exists=False), None),
        (StreamState("s", exists=False, trouble="locked", trouble_since=5.0), 5.0),
        (StreamState("s", exists=True, current_at=NOW - 15), None),
        (StreamState("s", exists=True, current_at=NOW - 15 - 0.1), NOW - 15 - 0.1),
        (StreamState("s", current_at=NOW - 99, trouble="locked", trouble_since=NOW - 50), NOW - 99),
        (StreamState("s", current_at=NOW - 1, trouble="locked", trouble_since=NOW - 1), None),
        (StreamState("s"), NOW),
    ],
)
def test_the_present_is_known_as_far_as_a_stream_was_read(state: StreamState, since: float | None) -> None:
    assert state.blind_since(NOW) == since
    view = seen(counted("kept", 1), streams=[state])
    assert view.blind == (() if since is None else (("s", since),))
    assert view.tone == ("kept" if since is None else "warning")


def test_what_is_broken_is_said_before_what_is_not_known() -> None:
    roles = [RoleState("sms", False, NOW - 30), RoleState("door", None), *HEALTHY[:2]]
    blind = StreamState("playout", exists=True, current_at=NOW - 3_600)
    view = seen(counted("broken", 50, ago=30), streams=[blind], roles=roles)
    assert (view.tone, [role.role for role in view.silent_roles]) == ("broken", ["sms"])
    assert wording.sentence(view, ZONE) == "Sign-in broken since 23:12."
    assert wording.particulars(view, ZONE) == [
        "sign-in: 50 of 50 in the last minute (100 %)", "playout not read since 22:13", "sms does not answer",
    ]  # fmt: skip
    silent = seen(counted("kept", 9), streams=[blind], roles=[*roles, RoleState("signin", False, NOW - 3_600)])
    assert silent.tone == "warning"
    assert wording.sentence(silent, ZONE) == (
        "No promise is known to be broken, but sms and signin have not answered since 22:13."
    )  # fmt: skip
    one = seen(counted("kept", 9), roles=roles)
    assert wording.sentence(one, ZONE) == "No promise is known to be broken, but sms has not answered since 23:12."
    assert wording.particulars(one, ZONE) == []
    beside = open_incident("1", Alarm("share", Segment.of({"service": "television"}), NOW, NOW, 0, 1, 9, 30, 25), NOW)
    assert wording.particulars(one, ZONE, incidents=[beside]) == ["sms does not answer"]
    unread = seen(counted("kept", 9), streams=[blind, StreamState("door", exists=True, current_at=NOW - 60)])
    assert wording.sentence(unread, ZONE) == (
        "What happens now is not known: nothing current has been read from playout and door since 22:13."
    )


def test_asking_alone_is_nothing_kept() -> None:
    view = seen(counted("asked", 9))
    assert view.tone == "unknown" and (view.kept, view.broken, view.rows[0].asked) == (0, 0, 9)
    assert view.rows[0].share_broken is None


def test_a_row_is_a_step_in_a_layer_as_we_saw_it_or_as_devices_say() -> None:
    reasons = ("a", "b", "c", "d")
    counts = [counted("broken", 10 + n, ago=70, reason=reason) for n, reason in enumerate(reasons)]
    counts += [counted("broken", 4, reason=""), counted("kept", 7, ago=60), counted("kept", 5, ago=61)]
    counts += [counted("broken", 2, reason="too-many-tries"), counted("kept", 3)._replace(observed=False)]
    counts += [counted("kept", 1), counted("broken", 4, reason=""), counted("broken", 2, reason="too-many-tries")]
    counts += [counted("broken", 1, reason=reason) for reason in ("revoked", "expired", "bad-token")]
    counts += [counted("kept", 1, step=step)._replace(service="television", step=step) for step in ("zapping", "enter")]
    view = seen(counted("kept", 1, step="submit"), *counts)
    assert [(row.service, row.step, row.observed) for row in view.rows] == [
        ("messages", "submit", True), ("television", "enter", True), ("television", "sign-in", False),
        ("television", "sign-in", True), ("television", "zapping", True),
    ]  # fmt: skip
    row = view.rows[3]
    assert (row.kept, row.broken, row.declined, row.recent_kept, row.recent_broken) == (13, 54, 7, 8, 8)
    assert row.reasons == (("d", 13), ("c", 12), ("b", 11)) and row.own_reasons[0] == ("too-many-tries", 4)
    assert len(row.own_reasons) == 3
    assert wording.reasons(row).startswith("d 13, c 12, b 11, own error: too-many-tries 4, own error: ")
    assert row.share_broken == 54 / 67
    (nameless,) = [r for r in seen(counted("broken", 4)).rows]
    assert nameless.reasons == (("no reason given", 4),)


def test_the_newest_outcome_is_as_old_as_the_end_of_its_period_and_never_from_the_future() -> None:
    assert seen(counted("kept", 1, ago=20), counted("kept", 1, ago=60)).newest == NOW - 15
    assert seen(counted("kept", 1, ago=0)).newest == NOW
    assert seen().newest == 0


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (wording.number(31_204.4), "31,204"),
        (wording.share(0.005), "0.50 %"),
        (wording.share(0.995), "99.50 %"),
        (wording.share(0.0001), "0.01 %"),
        (wording.share(0.5), "50.0 %"),
        (wording.share(0.9999), "99.99 %"),
        (wording.rate(12.4), "12"),
        (wording.rate(3.44), "3.4"),
        (wording.rate(0.05), "0.05"),
        (wording.rate(0), "0.0"),
        (wording.rate(1), "1.0"),
        (wording.rate(10), "10"),
        (wording.amount(196_005, "NOK"), "kr\u00a01,960.05"),
        (wording.age(-3), "0 s"),
        (wording.age(99.4), "99 s"),
        (wording.age(100), "2 min"),
        (wording.age(240), "4 min"),
        (wording.age(6_000), "2 h"),
        (wording.age(172_799), "48 h"),
        (wording.age(172_800), "2 d"),
        (wording.clock_time(NOW, NOW + 2_000, ZONE), "23:13"),
        (wording.clock_time(NOW, NOW + 3_000, ZONE), "14 Nov 23:13"),
        (wording.clock_time(NOW, NOW + 30 * 86_400, ZONE), "14 Nov 23:13"),
        (wording.second_time(NOW, NOW, ZONE), "23:13:20"),
        (wording.second_time(NOW, NOW + 3_000, ZONE), "14 Nov 23:13:20"),
        (wording.precise_time(NOW + 0.0506, ZONE), "14 Nov 23:13:20.050"),
        (wording.field_time(NOW, ZONE), "2023-11-14T23:13"),
        (wording.field_time(None, ZONE), ""),
        (wording.masked_id("subscriber-0042"), "…0042"),
        (wording.masked_id("1234"), "…"),
        (wording.masked_id("12345"), "…2345"),
        (wording.masked_id(""), ""),
        (wording.who("data"), "the system"),
        (wording.who("rule:canaries"), "the rule for test messages"),
        (wording.who("kari"), "kari"),
        (wording.capital("sign-In"), "Sign-In"),
        (wording.capital(""), ""),
    ],
)
def test_figures_and_times_are_said_as_people_write_them(made: str, said: str) -> None:
    assert made == said


def test_the_state_of_an_incident_is_named_and_marked_by_what_is_known() -> None:
    alarm = Alarm("share", Segment.of({"service": "television"}), NOW, NOW, 0.0, 0.9, 40, 30.0, 25.0)
    found = open_incident("1", alarm, NOW)
    story: list[tuple[Kind, str, str]] = [
        ("note", "Suspected", "warning"), ("confirm", "Confirmed", "broken"), ("mitigate", "Mitigated", "warning"),
        ("improving", "Recovering", "warning"), ("all-clear", "Resolved, not proven", "warning"),
        ("relapse", "Confirmed", "broken"), ("dismiss", "Dismissed", "unknown"), ("alarm", "Confirmed", "broken"),
        ("improving", "Recovering", "warning"), ("proven", "Resolved", "kept"), ("review", "Reviewed", "kept"),
    ]  # fmt: skip
    for kind, name, tone in story:
        found = apply_fact(found, Fact(kind, NOW, "kari"))
        assert (wording.state_name(found), wording.state_tone(found)) == (name, tone)


def test_every_line_of_a_timeline_says_what_it_was() -> None:
    said = {kind: wording.entry_name(kind) for kind in get_args(Kind)}
    assert len(set(said.values())) == len(said) and said["proven"] != said["all-clear"]
    assert (said["proven"], said["all-clear"]) == ("Proven over:", "Said to be over:")
    assert (said["credited"], said["told"], said["dismiss"]) == ("Credited:", "Notified:", "Found to be nothing:")


STEPS = (("television", "sign-in"), ("television", "enter"), ("television", "switch-channel"), ("messages", "deliver"))


@given(
    st.dictionaries(st.sampled_from(STEPS), st.sampled_from(["kept", "broken", "asked"]), min_size=1),
    st.lists(st.sampled_from([*STEPS, ("television", ""), ("messages", "")]), max_size=2),
)
def test_nothing_that_an_incident_says_has_failed_was_kept_throughout(
    rows: dict[tuple[str, str], str], failing: list[tuple[str, str]]
) -> None:
    """An incident may be of what nobody answered, which is in no count of broken promises."""
    counts = [counted(verdict, 5, step=step)._replace(service=service) for (service, step), verdict in rows.items()]
    open_ones = []
    for service, step in failing:
        segment = Segment.of({"service": service, **({"step": step} if step else {})})
        open_ones.append(open_incident("1", Alarm("share", segment, NOW, NOW, 0, 1, 9, 30, 25), NOW))
    told = "; ".join(wording.particulars(seen(*counts), ZONE, incidents=open_ones))
    for (service, step), verdict in rows.items():
        failed = any(service == other and each in ("", step) for other, each in failing)
        if failed or verdict != "kept":
            assert step not in told.partition("kept throughout: ")[2], told
