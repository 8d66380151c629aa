import itertools
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import (
    CONFIRM_SECONDS,
    DISMISSED_SECONDS,
    ENTRIES_MAX,
    HITS_CONFIRM,
    SEGMENTS_MAX,
    TRANSITIONS,
    WORSE_SHARE,
    Fact,
    Incident,
    Kind,
    State,
    about_arriving,
    accepts,
    apply_fact,
    confirm_hits,
    confirm_silence,
    confirm_standing,
    describe_state,
    displayed_state,
    document,
    joins,
    knows,
    of_few,
    of_others,
    only_hinted,
    only_slow,
    open_incident,
    record_alarm,
    record_doubts,
    record_placement,
    recurrences,
    stays_dismissed,
    take_back,
)
from prikkfri.assurance.localisation import Cell, Placement, place
from prikkfri.assurance.segments import Segment

SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
TELEVISION_SETS = Segment.of({**dict(SIGN_IN.values), "client": "television"})
START = Segment.of({"service": "television", "step": "start-playback", "layer": "streams"})
DELIVER = Segment.of({"service": "messages", "step": "deliver", "layer": "link"})


def alarm(segment: Segment = SIGN_IN, at: float = 100.0, kind: str = "share") -> Alarm:
    return Alarm(kind, segment, at, at - 4, 0.005, 0.9, 40, 30.0, 25.0)  # type: ignore[arg-type]


def confirmed() -> Incident:
    return apply_fact(open_incident("1", alarm(), 100.0), Fact("confirm", 101.0, "kari"))


def test_one_alarm_suspects_and_standing_confirms() -> None:
    incident = open_incident("1", alarm(), 100.0)
    assert (incident.state, incident.since, incident.service) == ("suspected", 96.0, "television")
    assert incident.timeline[-1].text == alarm().sentence
    assert confirm_standing(incident, [alarm()], 100.0 + CONFIRM_SECONDS - 1).state == "suspected"
    assert confirm_standing(incident, [alarm(START)], 100.0 + CONFIRM_SECONDS).state == "suspected"
    assert confirm_standing(incident, [alarm()], 100.0 + CONFIRM_SECONDS).state == "confirmed"


def test_a_fall_alone_confirms_nothing_and_counts_once_however_many_series_count_it() -> None:
    fall = open_incident("1", alarm(kind="plunge"), 100.0)
    fall = record_alarm(fall, alarm(START, kind="plunge"), 101.0)
    for seconds in (CONFIRM_SECONDS, 60.0, 3_600.0):
        assert confirm_standing(fall, [alarm(kind="plunge")], 100.0 + seconds).state == "suspected", (
            "no promise is broken by it"
        )
    assert record_alarm(fall, alarm(START), 102.0).state == "confirmed"


def test_a_role_of_its_service_that_is_silent_confirms() -> None:
    fall = open_incident("1", alarm(kind="plunge"), 100.0)
    assert confirm_silence(fall, ["sms", "status"], 110.0).state == "suspected"
    told = confirm_silence(fall, ["viewer", "sms", "door"], 110.0)
    assert (told.state, told.timeline[-1].text) == ("confirmed", "no answer from door, viewer")


def test_customers_hit_are_no_suspicion() -> None:
    assert confirm_hits(open_incident("1", alarm(), 100.0), HITS_CONFIRM - 1, 101.0).state == "suspected"
    told = confirm_hits(open_incident("1", alarm(), 100.0), HITS_CONFIRM, 101.0)
    assert (told.state, told.timeline[-1].text) == ("confirmed", f"{HITS_CONFIRM} customers hit")
    assert confirm_hits(open_incident("1", alarm(kind="plunge"), 100.0), HITS_CONFIRM, 101.0).state == "suspected"


def test_a_phone_that_is_off_is_no_incident_while_others_get_their_messages() -> None:
    off = open_incident("1", alarm(DELIVER), 100.0)
    assert of_few(1, 5) and of_few(2, 10)
    assert not of_few(1, 4) and not of_few(2, 9)  # who could tell?
    assert not of_few(3, 100)
    assert not of_few(0, 100)  # nobody is named
    assert about_arriving(off)
    assert not about_arriving(open_incident("1", alarm(DELIVER, kind="plunge"), 100.0))  # nobody's message failed
    assert not about_arriving(open_incident("1", alarm(), 100.0))
    assert not about_arriving(record_alarm(off, alarm(Segment.of({**dict(DELIVER.values), "step": "route"})), 101.0))


def test_a_suspicion_that_the_data_takes_back_is_nothing_unless_somebody_was_hit() -> None:
    nothing = take_back(open_incident("1", alarm(), 100.0), 0, "all is well", 130.0)
    assert (nothing.state, nothing.confirmed_at, nothing.timeline[-1].text) == ("resolved", None, "all is well")
    assert take_back(open_incident("1", alarm(), 100.0), 3, "all is well", 130.0).state == "confirmed"
    assert take_back(confirmed(), 0, "all is well", 130.0) == confirmed()


def test_a_sign_of_other_promises_confirms_at_once_and_the_same_promises_do_not() -> None:
    incident = open_incident("1", alarm(), 100.0)
    assert record_alarm(incident, alarm(TELEVISION_SETS), 101.0).state == "suspected"
    another = record_alarm(incident, alarm(START), 101.0)
    assert another.state == "confirmed"
    assert [entry.text for entry in another.timeline[1:]] == [
        alarm(START).sentence, "2 signs that count different promises",
    ]  # fmt: skip
    assert record_alarm(incident, alarm(kind="plunge"), 101.0).state == "confirmed"


def test_an_alarm_joins_the_incident_of_its_service() -> None:
    incident = confirmed()
    assert joins(incident, alarm(START), within_seconds=900.0)
    assert not joins(incident, alarm(DELIVER), within_seconds=900.0)
    over = apply_fact(incident, Fact("all-clear", 200.0, "kari"))
    assert joins(over, alarm(at=201.0), within_seconds=900.0)
    assert not joins(over, alarm(at=1_100.0), within_seconds=900.0)
    # Elsewhere, and long after its last sign (at 100), it is no relapse.
    assert joins(over, alarm(START, at=999.9), within_seconds=900.0)
    assert not joins(over, alarm(START, at=1_000.0), within_seconds=900.0)
    assert joins(over, alarm(at=1_000.0), within_seconds=900.0)
    tonight = replace(over, resolved_at=1_700_000_000.0)
    assert joins(tonight, alarm(at=1_700_000_899.0), within_seconds=900.0)


def test_what_canaries_say_of_a_way_later_joins_what_all_of_them_came_to() -> None:
    """Hours later the share of those that do not arrive is an alarm of its own: it is the same fault."""
    of_way = {"service": "messages", "layer": "link", "link": "nord"}
    astray = open_incident("1", alarm(Segment.of({**of_way, "step": "route"})), 100.0)
    for step, link, is_same in (
        ("canary", "nord", True), ("route", "nord", True), ("canary", "syd", False), ("deliver", "nord", False),
    ):  # fmt: skip
        later = alarm(Segment.of({**of_way, "step": step, "link": link}), at=20_000.0)
        assert joins(astray, later, within_seconds=900.0) == is_same, (step, link)


def test_a_crowd_that_goes_is_no_relapse() -> None:
    recovering = apply_fact(confirmed(), Fact("improving", 150.0))
    again = record_alarm(recovering, alarm(at=160.0, kind="plunge"), 160.0)
    assert (again.state, again.timeline[-1].kind) == ("recovering", "alarm")
    assert again.timeline[-1].text == alarm(kind="plunge").sentence
    assert record_alarm(recovering, alarm(at=160.0), 160.0).state == "confirmed"
    over = apply_fact(recovering, Fact("proven", 200.0))
    assert not joins(over, alarm(at=201.0, kind="plunge"), within_seconds=900.0)


def test_an_all_clear_by_a_person_is_possible_marked_and_reopened_by_the_data() -> None:
    over = apply_fact(confirmed(), Fact("all-clear", 200.0, "kari", "restarted"))
    assert (over.state, over.unproven, over.resolved_by) == ("resolved", True, "kari")
    again = record_alarm(replace(over, ended_at=199.0), alarm(at=210.0), 210.0)
    assert (again.state, again.reopened, again.resolved_at, again.ended_at) == ("confirmed", 1, None, None)
    assert again.since == over.since
    assert [(entry.who, entry.kind, entry.state) for entry in again.timeline[-2:]] == [
        ("kari", "all-clear", "resolved"),
        ("data", "alarm", "confirmed"),
    ]


def test_what_the_data_prove_is_not_marked() -> None:
    incident = apply_fact(confirmed(), Fact("improving", 150.0))
    over = apply_fact(incident, Fact("proven", 450.0))
    assert (over.state, over.unproven, over.resolved_by, over.resolved_at) == ("resolved", False, "data", 450.0)


def test_proof_without_recovery_moves_nothing_and_is_noted() -> None:
    incident = apply_fact(confirmed(), Fact("proven", 150.0))
    assert incident.state == "confirmed"
    assert incident.timeline[-1].kind == "proven"
    assert not accepts(incident, "proven")


def test_an_estimate_is_kept_with_the_entry_that_gave_it() -> None:
    incident = apply_fact(confirmed(), Fact("estimate", 110.0, "kari", solution_at=900.0, next_update_at=500.0))
    assert (incident.expected_solution_at, incident.next_update_at) == (900.0, 500.0)
    last = incident.timeline[-1]
    assert (last.solution_at, last.next_update_at, incident.state) == (900.0, 500.0, "confirmed")


def test_placing_narrows_what_it_is_about_and_is_written_once() -> None:
    now = [Cell(Segment.of({"layer": "signin"}), 100, 90), Cell(Segment.of({"layer": "streams"}), 900, 1)]
    placement = place(now)
    incident = record_placement(confirmed(), placement, 120.0)
    assert incident.segments == (Segment.of({"service": "television", "layer": "signin"}),)
    assert incident.timeline[-1].kind == "placed"
    assert len(record_placement(incident, placement, 121.0).timeline) == len(incident.timeline)


def test_until_placed_it_is_about_the_broadest_series() -> None:
    incident = record_alarm(open_incident("1", alarm(TELEVISION_SETS), 100.0), alarm(SIGN_IN), 101.0)
    assert incident.segments == (SIGN_IN,)


def test_what_recurs_is_recognised() -> None:
    earlier, elsewhere = confirmed(), replace(open_incident("2", alarm(DELIVER), 50.0), opened_at=50.0)
    now = replace(confirmed(), id="3", opened_at=500.0)
    dismissed = replace(earlier, id="4", dismissed=True)
    newer, later = replace(earlier, id="5", opened_at=400.0), replace(earlier, id="6", opened_at=500.0)
    streams = replace(open_incident("7", alarm(START), 50.0), opened_at=50.0)
    assert [each.id for each in recurrences(now, [earlier, elsewhere, dismissed, streams, now, newer, later])] == [
        "5",
        "1",
    ]


BY_FACTS: dict[State, dict[Kind, State]] = {
    "suspected": {"evidence": "confirmed", "confirm": "confirmed", "mitigate": "mitigated",
                  "proven": "resolved", "dismiss": "resolved", "all-clear": "resolved"},
    "confirmed": {"mitigate": "mitigated", "improving": "recovering", "dismiss": "resolved", "all-clear": "resolved"},
    "mitigated": {"improving": "recovering", "all-clear": "resolved"},
    "recovering": {"relapse": "confirmed", "alarm": "confirmed", "proven": "resolved", "all-clear": "resolved"},
    "resolved": {"relapse": "confirmed", "alarm": "confirmed", "review": "reviewed"},
    "reviewed": {},
}  # fmt: skip
WAYS: dict[State, tuple[Kind, ...]] = {
    "suspected": (),
    "confirmed": ("confirm",),
    "mitigated": ("confirm", "mitigate"),
    "recovering": ("confirm", "improving"),
    "resolved": ("confirm", "all-clear"),
    "reviewed": ("confirm", "all-clear", "review"),
}


def brought_to(state: State) -> Incident:
    incident = open_incident("1", alarm(), 100.0)
    for at, kind in enumerate(WAYS[state], 101):
        incident = apply_fact(incident, Fact(kind, float(at), "kari"))
    return incident


def test_how_many_credits_are_in_doubt_is_said_when_it_changes() -> None:
    before = brought_to("resolved")
    assert record_doubts(before, 0, 200.0) == before
    one = record_doubts(before, 1, 200.0)
    assert (one.doubted, one.state, one.timeline[-1].kind, one.timeline[-1].at) == (1, "resolved", "doubted", 200.0)
    assert one.timeline[-1].text.startswith("1 credited customers stand on the list no more")
    assert record_doubts(one, 1, 300.0) == one
    none = record_doubts(one, 0, 300.0)
    assert (none.doubted, none.timeline[-1].text) == (0, "all credited customers stand on the list again")


@pytest.mark.parametrize("state", get_args(State))
def test_a_fact_moves_an_incident_where_the_table_says_and_any_other_only_stands_in_the_timeline(state: State) -> None:
    before = brought_to(state)
    assert before.state == state
    for kind in get_args(Kind):
        after = apply_fact(before, Fact(kind, 200.0, "kari", "a word"))
        assert after.state == BY_FACTS[state].get(kind, state), kind
        assert accepts(before, kind) == (kind in BY_FACTS[state])
        last = after.timeline[-1]
        assert (last.at, last.who, last.kind, last.text, last.state) == (200.0, "kari", kind, "a word", after.state)
        assert after.timeline[:-1] == before.timeline
        assert (after.confirmed_at is None) == (state == "suspected" and after.state in ("suspected", "resolved"))
        if before.resolved_at is not None and after.state in ("resolved", "reviewed"):
            assert (after.resolved_at, after.resolved_by, after.unproven) == (before.resolved_at, "kari", True)
        assert after.reopened == (state == "resolved" and after.state == "confirmed")
        assert after.open == (after.state not in ("resolved", "reviewed"))


steps = st.one_of(
    st.sampled_from(get_args(Kind)),
    st.tuples(st.sampled_from([SIGN_IN, TELEVISION_SETS, START]), st.sampled_from(["share", "plunge", "told"])),
    st.sampled_from(["stood", "silent", "counted", "taken back: nobody", "taken back: one"]),
)


@given(st.lists(steps, max_size=25))
def test_whatever_happens_no_incident_goes_where_its_table_does_not_allow(happenings: list[object]) -> None:
    incident, at = open_incident("1", alarm(), 100.0), 100.0
    for happening in happenings:
        before, at = incident, at + 40
        if isinstance(happening, tuple):
            incident = record_alarm(incident, alarm(happening[0], at, happening[1]), at)
        elif happening == "stood":
            incident = confirm_standing(incident, incident.alarms, at)
        elif happening == "silent":
            incident = confirm_silence(incident, ["signin"], at)
        elif happening == "counted":
            incident = confirm_hits(incident, 1_000, at)
        elif happening == "taken back: nobody":
            incident = take_back(incident, 0, "all is well", at)
        elif happening == "taken back: one":
            incident = take_back(incident, 1, "all is well", at)
        else:
            incident = apply_fact(incident, Fact(happening, at, "kari"))  # type: ignore[arg-type]
        # Every step on the way stands in the timeline, with what moved it.
        state = before.state
        assert incident.timeline[: len(before.timeline)] == before.timeline
        for entry in incident.timeline[len(before.timeline) :]:
            goes = isinstance(happening, tuple) and happening[1] == "plunge" and state == "recovering"
            assert entry.state == (state if goes else BY_FACTS[state].get(entry.kind, state))
            state = entry.state
        assert state == incident.state
        # What is told of it agrees.
        ever = {entry.state for entry in incident.timeline}
        assert (incident.confirmed_at is not None) == bool(ever & {"confirmed", "mitigated", "recovering"})
        assert before.confirmed_at in (None, incident.confirmed_at)
        assert (incident.resolved_at is None) == incident.open
        assert bool(incident.resolved_by) == (not incident.open)
        assert incident.since <= before.since
        if incident.state == "resolved" != before.state:
            last = incident.timeline[-1]
            assert (incident.resolved_at, incident.resolved_by) == (last.at, last.who)
            assert (incident.unproven, incident.dismissed) == (last.kind == "all-clear", last.kind == "dismiss")
        assert incident.reopened - before.reopened == (before.state == "resolved" and incident.open)


def test_what_was_dismissed_and_came_back_is_not_dismissed_when_it_is_over() -> None:
    again = apply_fact(apply_fact(confirmed(), Fact("dismiss", 130.0, "kari")), Fact("relapse", 140.0))
    over = apply_fact(apply_fact(again, Fact("improving", 150.0)), Fact("proven", 450.0))
    assert (over.state, over.dismissed, over.unproven) == ("resolved", False, False)


def test_what_was_found_to_be_nothing_is_not_opened_again_by_one_alarm() -> None:
    """The next alarm is a suspicion of its own: the public hears of it when it has been confirmed."""
    taken = take_back(open_incident("1", alarm(), 100.0), 0, "all is well", 130.0)
    waved_off = apply_fact(open_incident("1", alarm(), 100.0), Fact("all-clear", 130.0, "kari"))
    dismissed = apply_fact(confirmed(), Fact("dismiss", 130.0, "kari"))
    for nothing in (taken, waved_off, dismissed):
        assert not joins(nothing, alarm(at=131.0), within_seconds=900.0)
    over = apply_fact(confirmed(), Fact("all-clear", 130.0, "kari"))
    assert joins(over, alarm(at=131.0), within_seconds=900.0)
    assert not joins(over, alarm(at=1_030.0), within_seconds=900.0), "by then it is another one"
    assert not joins(apply_fact(over, Fact("review", 140.0, "kari")), alarm(at=141.0), within_seconds=900.0)
    assert not joins(over, alarm(DELIVER, at=131.0), within_seconds=900.0)
    assert joins(confirmed(), alarm(at=9_000.0, kind="plunge"), within_seconds=900.0), "while it is open, any"


def test_it_began_when_the_earliest_of_its_alarms_did_but_not_later_and_not_with_a_relapse() -> None:
    incident = open_incident("1", alarm(at=100.0), 100.0)
    earlier = replace(alarm(START, at=103.0), since=80.0)
    assert record_alarm(incident, earlier, 103.0).since == 80.0
    assert record_alarm(incident, alarm(START, at=120.0), 120.0).since == 96.0
    over = apply_fact(confirmed(), Fact("all-clear", 200.0, "kari"))
    again = record_alarm(over, replace(earlier, raised_at=210.0), 210.0)
    assert (again.since, again.state, len(again.alarms)) == (96.0, "confirmed", 2)


def test_an_alarm_that_comes_again_is_written_and_not_counted_as_another() -> None:
    again = record_alarm(open_incident("1", alarm(), 100.0), replace(alarm(), raised_at=130.0, since=90.0), 130.0)
    assert (again.state, len(again.alarms), again.since) == ("suspected", 1, 96.0)
    assert [entry.kind for entry in again.timeline] == ["alarm", "alarm"]


def test_no_more_series_are_kept_than_anybody_could_read_and_lines_neither() -> None:
    incident = open_incident("1", alarm(), 100.0)
    for number in range(SEGMENTS_MAX + 5):
        incident = record_alarm(incident, alarm(Segment.of({**dict(SIGN_IN.values), "client": str(number)})), 101.0)
    assert len(incident.alarms) == SEGMENTS_MAX
    full = replace(incident, timeline=incident.timeline[:1] * ENTRIES_MAX)
    over = apply_fact(full, Fact("all-clear", 200.0, "kari"))
    assert (over.state, len(over.timeline)) == ("resolved", ENTRIES_MAX)


def test_only_a_suspicion_is_confirmed_by_what_is_seen() -> None:
    recovering = apply_fact(confirmed(), Fact("improving", 150.0))
    for known in (confirmed(), recovering, brought_to("mitigated"), brought_to("resolved")):
        assert confirm_standing(known, [alarm()], 900.0) == known
        assert confirm_silence(known, ["signin"], 900.0) == known
        assert confirm_hits(known, 1_000, 900.0) == known
        assert take_back(known, 0, "all is well", 900.0) == known


PLACES = ({}, {"client": "phone"}, {"client": "television"}, {"channel": "sport"})


@example({}, {}, 0.5, 0.5, DISMISSED_SECONDS, "share", "dismiss")
@example({}, {}, 0.5, 0.5 + WORSE_SHARE, 10.0, "share", "dismiss")
@example({"client": "phone"}, {}, 0.5, 0.5, 90.0, "share", "dismiss")
@given(
    st.sampled_from(PLACES), st.sampled_from(PLACES), st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0, 20_000),
    st.sampled_from(["share", "plunge", "told"]), st.sampled_from(["dismiss", "all-clear"]),
)  # fmt: skip
def test_what_was_dismissed_stays_so_until_it_is_new_or_worse(
    was: dict[str, str], then: dict[str, str], share: float, again: float, after: float, kind: str, word_of_theirs: str
) -> None:
    base = {"service": "television", "step": "sign-in", "layer": "signin"}
    first = replace(alarm(Segment.of({**base, **was})), seen=share)
    incident = apply_fact(open_incident("1", first, 100.0), Fact(word_of_theirs, 200.0, "Kari"))  # type: ignore[arg-type]
    later = replace(alarm(Segment.of({**base, **then})), seen=again, raised_at=200.0 + after, kind=kind)
    inside = set(was.items()) <= set(then.items())
    beside = not (set(was) & set(then) and was != then) and after < 90.0
    same = (inside or beside) and after < DISMISSED_SECONDS and kind != "told"
    worse = kind == "share" and again > share + WORSE_SHARE
    expected = word_of_theirs == "dismiss" and same and not worse
    assert stays_dismissed(incident, later, within_seconds=90.0) is expected
    assert not (expected and joins(incident, later, within_seconds=90.0))
    elsewhere = replace(later, segment=Segment.of({"service": "messages"}))
    assert not stays_dismissed(incident, elsewhere, within_seconds=90.0)


def test_of_what_was_dismissed_the_share_that_was_broken_is_remembered() -> None:
    def dismissed(*alarms: Alarm) -> float:
        incident = open_incident("1", alarms[0], 100.0)
        for each in alarms[1:]:
            incident = record_alarm(incident, each, 101.0)
        return apply_fact(incident, Fact("dismiss", 200.0, "Kari")).dismissed_share

    assert dismissed(alarm(), replace(alarm(START), seen=0.4)) == 0.9
    assert dismissed(alarm(kind="plunge")) == 0.0  # only that fewer came


def test_one_word_is_said_of_an_incident_and_its_timeline_is_told_in_the_order_of_time() -> None:
    dismissed = apply_fact(confirmed(), Fact("dismiss", 300.0, "Kari"))
    assert (displayed_state(dismissed), describe_state(dismissed), document(dismissed)["state"]) == ("dismissed",) * 3
    believed = apply_fact(confirmed(), Fact("all-clear", 300.0, "Kari"))
    assert (displayed_state(believed), describe_state(believed)) == ("resolved", "resolved, not proven")
    for state in ("suspected", "confirmed", "mitigated", "recovering", "resolved", "reviewed"):
        assert displayed_state(brought_to(state)) == document(brought_to(state))["state"] == state
    late = apply_fact(dismissed, Fact("act", 150.0, "rule:x", "heard of late"))
    told = [(entry["at"], entry["state"]) for entry in document(late)["timeline"]]
    assert told == [(100.0, "suspected"), (101.0, "confirmed"), (150.0, "dismissed"), (300.0, "dismissed")]
    again = apply_fact(late, Fact("alarm", 400.0))
    assert document(again)["timeline"][-1]["state"] == displayed_state(again) == "confirmed"


def test_what_stands_confirms_only_while_it_stands() -> None:
    incident = open_incident("1", alarm(), 100.0)
    assert confirm_standing(incident, [], 1_000.0) == incident
    assert confirm_standing(incident, [alarm(kind="plunge")], 1_000.0) == incident, "another test's alarm"
    both = record_alarm(open_incident("1", alarm(kind="plunge"), 100.0), alarm(TELEVISION_SETS, kind="plunge"), 101.0)
    standing = [alarm(TELEVISION_SETS, kind="plunge")]
    assert confirm_standing(both, standing, 100.0 + 60.0) == both


@pytest.mark.parametrize(
    ("role", "services"),
    [("viewer", "television"), ("signin", "television"), ("playout", "television"), ("door", "television"),
     ("sms", "messages"), ("status", ""), ("assurance", "")],
)  # fmt: skip
def test_whose_silence_speaks_for_which_incident(role: str, services: str) -> None:
    for segment in (SIGN_IN, DELIVER):
        incident = confirm_silence(open_incident("1", alarm(segment), 100.0), [role], 110.0)
        assert (incident.state == "confirmed") == (incident.service == services)


def test_of_customers_hit_one_is_enough_to_keep_a_suspicion_only_when_promises_were_broken() -> None:
    hit = take_back(open_incident("1", alarm(), 100.0), 1, "all is well", 130.0)
    assert (hit.state, hit.timeline[-1].text) == ("confirmed", "1 customers were hit")
    fewer_came = take_back(open_incident("1", alarm(kind="plunge"), 100.0), 1, "all is well", 130.0)
    assert (fewer_came.state, fewer_came.resolved_by, fewer_came.unproven) == ("resolved", "data", False)


def test_a_place_is_taken_with_what_is_cleared_and_each_change_is_written_once() -> None:
    signin, streams = Segment.of({"layer": "signin"}), Segment.of({"layer": "streams"})
    door = Segment.of({"layer": "door"})
    first = place([Cell(signin, 100, 90), Cell(streams, 900, 1)])
    incident = record_placement(confirmed(), first, 120.0)
    assert incident.timeline[-1].text == "sign-in, 90% of 100 failed"
    more = place([Cell(signin, 100, 90), Cell(streams, 900, 1), Cell(door, 500, 1)])
    incident = record_placement(incident, more, 130.0)
    assert (incident.timeline[-1].kind, incident.timeline[-1].text) == ("placed", "the door is not affected")
    both = record_placement(record_placement(confirmed(), replace(more, cleared=()), 120.0), more, 130.0)
    assert both.timeline[-1].text == "the door and streams are not affected"
    two = place([Cell(signin, 1_000, 900), Cell(door, 1_000, 900), Cell(streams, 9_000, 1)])
    assert (
        record_placement(confirmed(), two, 120.0).timeline[-1].text
        == "the door, 90% of 1000 failed; sign-in, 90% of 1000 failed"
    )
    fewer = record_placement(incident, first, 140.0)
    assert (fewer.placement, fewer.timeline) == (first, incident.timeline), "no longer cleared, and nothing new"
    moved = place([Cell(signin, 100, 1), Cell(streams, 900, 800)])
    assert record_placement(fewer, moved, 150.0).timeline[-1].text.startswith("streams, 89% of 900 failed")
    assert record_placement(fewer, Placement(), 150.0).timeline == fewer.timeline
    assert record_placement(fewer, moved, 150.0).segments == (
        Segment.of({"service": "television", "layer": "streams"}),
    )


def test_nothing_but_the_data_or_a_person_resolves() -> None:
    ends = {(state, kind) for (state, kind), after in TRANSITIONS.items() if after == "resolved"}
    assert {kind for _, kind in ends} == {"proven", "all-clear", "dismiss"}
    assert {state for state, kind in ends if kind == "proven"} == {"recovering", "suspected"}


@given(st.lists(st.sampled_from(get_args(Kind)), max_size=30))
def test_the_timeline_tells_every_step(kinds: list[Kind]) -> None:
    incident = open_incident("1", alarm(), 0.0)
    for at, kind in enumerate(kinds, 1):
        incident = apply_fact(incident, Fact(kind, float(at), "kari"))
    assert [entry.kind for entry in incident.timeline] == ["alarm", *kinds]
    for before, after in itertools.pairwise(incident.timeline):
        assert after.state in (before.state, TRANSITIONS.get((before.state, after.kind)))
    assert (incident.resolved_at is None) == (incident.state not in ("resolved", "reviewed"))
    assert incident.timeline[-1].state == incident.state


@pytest.mark.parametrize("kind", ["dismiss", "all-clear"])
def test_a_person_may_end_a_suspicion(kind: Kind) -> None:
    over = apply_fact(open_incident("1", alarm(), 100.0), Fact(kind, 101.0, "kari"))
    assert (over.state, over.dismissed) == ("resolved", kind == "dismiss")
    assert over.confirmed_at is None


def test_an_alarm_that_is_raised_again_from_the_same_outcomes_is_known() -> None:
    incident = open_incident("1", alarm(at=100.0), 100.0)
    later = replace(alarm(at=400.0), seen=0.4)
    assert knows(incident, replace(alarm(at=110.0), seen=0.4), within_seconds=10.0)
    assert not knows(incident, replace(alarm(at=110.1), seen=0.4), within_seconds=10.0)
    assert not knows(incident, replace(alarm(TELEVISION_SETS), seen=0.4), within_seconds=10.0)
    assert not knows(incident, replace(alarm(kind="plunge"), seen=0.4), within_seconds=10.0)
    # Of a series only the first stands in it; of the others its timeline tells.
    assert not knows(incident, later, within_seconds=10.0)
    assert knows(record_alarm(incident, later, 400.0), later, within_seconds=10.0)
    noted = apply_fact(incident, Fact("note", 400.0, text=f"as dismissed, and neither new nor worse: {later.sentence}"))
    assert knows(noted, later, within_seconds=10.0)


def test_a_cause_that_is_far_in_place_and_time_is_an_incident_of_its_own() -> None:
    telia, tele2 = (Segment.of({**dict(DELIVER.values), "partner": name}) for name in ("Telia", "Tele2"))
    first = open_incident("1", alarm(telia, 100.0), 100.0)
    assert joins(first, alarm(tele2, 999.9), within_seconds=900.0)
    assert not joins(first, alarm(tele2, 1_000.0), within_seconds=900.0)
    assert joins(first, alarm(DELIVER, 5_000.0), within_seconds=900.0), "something may lie in both"
    later = record_alarm(first, alarm(tele2, 900.0), 900.0)
    third = Segment.of({**dict(DELIVER.values), "partner": "Tre"})
    assert joins(later, alarm(third, 1_799.0), within_seconds=900.0), "it follows upon the last sign"
    second = open_incident("2", alarm(tele2, 1_000.0), 1_000.0)
    elsewhere, same = open_incident("3", alarm(SIGN_IN), 100.0), open_incident("4", alarm(DELIVER), 100.0)
    nothing = apply_fact(open_incident("5", alarm(third), 100.0), Fact("dismiss", 101.0, "kari"))
    assert of_others(second, [first, second, elsewhere, same, nothing]) == (telia,)


def test_only_an_end_that_a_person_said_and_the_data_did_not_is_not_proven() -> None:
    over = apply_fact(confirmed(), Fact("all-clear", 200.0, "kari"))
    assert describe_state(over) == f"{displayed_state(over)}, not proven"
    for other in (confirmed(), replace(over, unproven=False), replace(confirmed(), unproven=True)):
        assert describe_state(other) == displayed_state(other)


def test_the_share_that_was_dismissed_is_kept_only_when_it_was_dismissed() -> None:
    ends: tuple[tuple[Kind, float], ...] = (("dismiss", 0.9), ("all-clear", 0.0))
    for kind, share in ends:
        assert apply_fact(confirmed(), Fact(kind, 200.0, "kari")).dismissed_share == share


def test_how_long_it_has_stood_is_told() -> None:
    assert (
        confirm_standing(open_incident("1", alarm(), 100.0), [alarm()], 140.0).timeline[-1].text == "has stood for 40 s"
    )


def test_what_is_only_hinted_at_has_no_other_alarm() -> None:
    fall = open_incident("1", alarm(kind="plunge"), 100.0)
    assert only_hinted(fall)
    assert not only_hinted(record_alarm(fall, alarm(START), 101.0))
    assert not only_hinted(open_incident("1", alarm(), 100.0))


CALLS = Segment.of({"service": "television", "step": "contact"})


@pytest.mark.parametrize(("segment", "kind"), [(CALLS, "contacts"), (SIGN_IN, "slow"), (SIGN_IN, "plunge")])
def test_a_hint_confirms_nothing_alone_or_beside_another_and_a_broken_share_does(segment: Segment, kind: str) -> None:
    hinted = open_incident("1", alarm(segment, kind=kind), 100.0)
    hinted = confirm_standing(hinted, [alarm(segment, kind=kind)], 100.0 + 10 * CONFIRM_SECONDS)
    hinted = confirm_hits(record_alarm(hinted, alarm(START, kind="plunge"), 200.0), 100, 201.0)
    hinted = record_alarm(hinted, alarm(CALLS, kind="contacts"), 202.0)
    assert hinted.state == "suspected" and hinted.confirmed_at is None
    assert record_alarm(hinted, alarm(START), 203.0).state == "confirmed"


def test_that_people_call_is_no_place_beside_one_and_that_it_is_slow_does_not_move_the_beginning() -> None:
    found = open_incident("1", alarm(at=100.0), 100.0)
    for segment, kind in ((CALLS, "contacts"), (SIGN_IN, "slow")):
        found = record_alarm(found, alarm(segment, at=50.0, kind=kind), 101.0)
    assert (found.segments, found.since) == ((SIGN_IN,), 96.0)
    assert open_incident("1", alarm(CALLS, kind="contacts"), 100.0).segments == (CALLS,)
    assert only_slow(open_incident("1", alarm(kind="slow"), 100.0)) and not only_slow(found)


@pytest.mark.parametrize("kind", ["contacts", "slow", "plunge"])
def test_a_hint_reopens_nothing(kind: str) -> None:
    over = open_incident("1", alarm(), 100.0)
    for name in ("confirm", "improving", "proven"):
        over = apply_fact(over, Fact(name, 110.0))  # type: ignore[arg-type]
    assert over.state == "resolved"
    assert not joins(over, alarm(at=112.0, kind=kind), within_seconds=900.0)
    assert joins(over, alarm(at=112.0), within_seconds=900.0)
