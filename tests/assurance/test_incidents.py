import itertools
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import (
    CONFIRM_SECONDS,
    HITS_CONFIRM,
    PLUNGE_CONFIRM_SECONDS,
    TRANSITIONS,
    Fact,
    Incident,
    Kind,
    State,
    accepts,
    alarmed,
    counted,
    happened,
    joins,
    of_few,
    opened,
    placed,
    recurrences,
    silent,
    stood,
    taken_back,
)
from prikkfri.assurance.localisation import Cell, place
from prikkfri.assurance.segments import Segment

SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
TELEVISION_SETS = Segment.of({**dict(SIGN_IN.values), "client": "television"})
START = Segment.of({"service": "television", "step": "start-playback", "layer": "streams"})
DELIVER = Segment.of({"service": "messages", "step": "deliver", "layer": "link"})


def alarm(segment: Segment = SIGN_IN, at: float = 100.0, kind: str = "share") -> Alarm:
    return Alarm(kind, segment, at, at - 4, 0.005, 0.9, 40, 30.0, 25.0)  # type: ignore[arg-type]


def confirmed() -> Incident:
    return happened(opened("1", alarm(), 100.0), Fact("confirm", 101.0, "kari"))


def test_one_alarm_suspects_and_standing_confirms() -> None:
    incident = opened("1", alarm(), 100.0)
    assert (incident.state, incident.since, incident.service) == ("suspected", 96.0, "television")
    assert stood(incident, [alarm()], 100.0 + CONFIRM_SECONDS - 1).state == "suspected"
    assert stood(incident, [alarm(START)], 100.0 + CONFIRM_SECONDS).state == "suspected"
    assert stood(incident, [alarm()], 100.0 + CONFIRM_SECONDS).state == "confirmed"


def test_a_fall_has_to_stand_longer_and_counts_once_however_many_series_count_it() -> None:
    fall = opened("1", alarm(kind="plunge"), 100.0)
    fall = alarmed(fall, alarm(START, kind="plunge"), 101.0)
    assert stood(fall, [alarm(kind="plunge")], 100.0 + CONFIRM_SECONDS).state == "suspected"
    assert stood(fall, [alarm(kind="plunge")], 100.0 + PLUNGE_CONFIRM_SECONDS).state == "confirmed"
    assert alarmed(fall, alarm(START), 102.0).state == "confirmed"


def test_a_role_of_its_service_that_is_silent_confirms() -> None:
    fall = opened("1", alarm(kind="plunge"), 100.0)
    assert silent(fall, ["sms", "status"], 110.0).state == "suspected"
    told = silent(fall, ["viewer", "sms"], 110.0)
    assert (told.state, told.timeline[-1].text) == ("confirmed", "no answer from viewer")


def test_customers_hit_are_no_suspicion() -> None:
    assert counted(opened("1", alarm(), 100.0), HITS_CONFIRM - 1, 101.0).state == "suspected"
    assert counted(opened("1", alarm(), 100.0), HITS_CONFIRM, 101.0).state == "confirmed"
    assert counted(opened("1", alarm(kind="plunge"), 100.0), HITS_CONFIRM, 101.0).state == "suspected"


def test_a_phone_that_is_off_is_no_incident_while_others_get_their_messages() -> None:
    off = opened("1", alarm(DELIVER), 100.0)
    assert of_few(off, 1, 5) and of_few(off, 2, 10)
    assert not of_few(off, 1, 4)  # who could tell?
    assert not of_few(off, 3, 100)
    assert not of_few(off, 0, 100)  # nobody is named
    assert not of_few(opened("1", alarm(), 100.0), 1, 5)
    assert not of_few(alarmed(off, alarm(Segment.of({**dict(DELIVER.values), "step": "route"})), 101.0), 1, 5)


def test_a_suspicion_that_the_data_takes_back_is_nothing_unless_somebody_was_hit() -> None:
    nothing = taken_back(opened("1", alarm(), 100.0), 0, "all is well", 130.0)
    assert (nothing.state, nothing.confirmed_at, nothing.timeline[-1].text) == ("resolved", None, "all is well")
    assert taken_back(opened("1", alarm(), 100.0), 3, "all is well", 130.0).state == "confirmed"
    assert taken_back(confirmed(), 0, "all is well", 130.0) == confirmed()


def test_a_sign_of_other_promises_confirms_at_once_and_the_same_promises_do_not() -> None:
    incident = opened("1", alarm(), 100.0)
    assert alarmed(incident, alarm(TELEVISION_SETS), 101.0).state == "suspected"
    assert alarmed(incident, alarm(START), 101.0).state == "confirmed"
    assert alarmed(incident, alarm(kind="plunge"), 101.0).state == "confirmed"


def test_an_alarm_joins_the_incident_of_its_service() -> None:
    incident = confirmed()
    assert joins(incident, alarm(START), within_seconds=900.0)
    assert not joins(incident, alarm(DELIVER), within_seconds=900.0)
    over = happened(incident, Fact("all-clear", 200.0, "kari"))
    assert joins(over, alarm(at=201.0), within_seconds=900.0)
    assert not joins(over, alarm(at=1_100.0), within_seconds=900.0)


def test_a_crowd_that_goes_is_no_relapse() -> None:
    recovering = happened(confirmed(), Fact("improving", 150.0))
    again = alarmed(recovering, alarm(at=160.0, kind="plunge"), 160.0)
    assert (again.state, again.timeline[-1].kind) == ("recovering", "alarm")
    assert alarmed(recovering, alarm(at=160.0), 160.0).state == "confirmed"
    over = happened(recovering, Fact("proven", 200.0))
    assert not joins(over, alarm(at=201.0, kind="plunge"), within_seconds=900.0)


def test_an_all_clear_by_a_person_is_possible_marked_and_reopened_by_the_data() -> None:
    over = happened(confirmed(), Fact("all-clear", 200.0, "kari", "restarted"))
    assert (over.state, over.unproven, over.resolved_by) == ("resolved", True, "kari")
    again = alarmed(over, alarm(at=210.0), 210.0)
    assert (again.state, again.reopened, again.resolved_at) == ("confirmed", 1, None)
    assert again.since == over.since
    assert [(entry.who, entry.kind, entry.state) for entry in again.timeline[-2:]] == [
        ("kari", "all-clear", "resolved"),
        ("data", "alarm", "confirmed"),
    ]


def test_what_the_data_prove_is_not_marked() -> None:
    incident = happened(confirmed(), Fact("improving", 150.0))
    over = happened(incident, Fact("proven", 450.0))
    assert (over.state, over.unproven, over.resolved_by, over.resolved_at) == ("resolved", False, "data", 450.0)


def test_proof_without_recovery_moves_nothing_and_is_noted() -> None:
    incident = happened(confirmed(), Fact("proven", 150.0))
    assert incident.state == "confirmed"
    assert incident.timeline[-1].kind == "proven"
    assert not accepts(incident, "proven")


def test_an_estimate_is_kept_with_the_entry_that_gave_it() -> None:
    incident = happened(confirmed(), Fact("estimate", 110.0, "kari", solution_at=900.0, next_update_at=500.0))
    assert (incident.expected_solution_at, incident.next_update_at) == (900.0, 500.0)
    assert (incident.timeline[-1].solution_at, incident.state) == (900.0, "confirmed")


def test_placing_narrows_what_it_is_about_and_is_written_once() -> None:
    now = [Cell(Segment.of({"layer": "signin"}), 100, 90), Cell(Segment.of({"layer": "streams"}), 900, 1)]
    placement = place(now)
    incident = placed(confirmed(), placement, 120.0)
    assert incident.segments == (Segment.of({"service": "television", "layer": "signin"}),)
    assert incident.timeline[-1].kind == "placed"
    assert len(placed(incident, placement, 121.0).timeline) == len(incident.timeline)


def test_until_placed_it_is_about_the_broadest_series() -> None:
    incident = alarmed(opened("1", alarm(TELEVISION_SETS), 100.0), alarm(SIGN_IN), 101.0)
    assert incident.segments == (SIGN_IN,)


def test_what_recurs_is_recognised() -> None:
    earlier, elsewhere = confirmed(), replace(opened("2", alarm(DELIVER), 50.0), opened_at=50.0)
    now = replace(confirmed(), id="3", opened_at=500.0)
    dismissed = replace(earlier, id="4", dismissed=True)
    assert [each.id for each in recurrences(now, [earlier, elsewhere, dismissed, now])] == ["1"]


def test_every_state_can_be_left_and_reviewed_is_the_end() -> None:
    states = set(get_args(State))
    assert {state for state, _ in TRANSITIONS} == states - {"reviewed"}
    assert set(TRANSITIONS.values()) == states - {"suspected"}


def test_nothing_but_the_data_or_a_person_resolves() -> None:
    ends = {(state, kind) for (state, kind), after in TRANSITIONS.items() if after == "resolved"}
    assert {kind for _, kind in ends} == {"proven", "all-clear", "dismiss"}
    assert {state for state, kind in ends if kind == "proven"} == {"recovering", "suspected"}


@given(st.lists(st.sampled_from(get_args(Kind)), max_size=30))
def test_the_timeline_tells_every_step(kinds: list[Kind]) -> None:
    incident = opened("1", alarm(), 0.0)
    for at, kind in enumerate(kinds, 1):
        incident = happened(incident, Fact(kind, float(at), "kari"))
    assert [entry.kind for entry in incident.timeline] == ["alarm", *kinds]
    for before, after in itertools.pairwise(incident.timeline):
        assert after.state in (before.state, TRANSITIONS.get((before.state, after.kind)))
    assert (incident.resolved_at is None) == (incident.state not in ("resolved", "reviewed"))
    assert incident.timeline[-1].state == incident.state


@pytest.mark.parametrize("kind", ["dismiss", "all-clear"])
def test_a_person_may_end_a_suspicion(kind: Kind) -> None:
    over = happened(opened("1", alarm(), 100.0), Fact(kind, 101.0, "kari"))
    assert (over.state, over.dismissed) == ("resolved", kind == "dismiss")
    assert over.confirmed_at is None
