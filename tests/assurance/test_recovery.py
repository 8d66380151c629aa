import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.recovery import Criteria, Evidence, judge
from prikkfri.assurance.tally import Bucket

CRITERIA = Criteria(hold_seconds=300.0)


def evidence(*stretches: tuple[int, float, float], **known: object) -> Evidence:
    """Stretches of (seconds, promises a second, share broken), one after the other from time 0."""
    rng = random.Random(12)
    buckets = []
    for seconds, rate, share in stretches:
        for _ in range(seconds):
            settled = int(rate) + (rng.random() < rate % 1)
            broken = sum(rng.random() < share for _ in range(settled))
            buckets.append(Bucket(float(len(buckets)), settled - broken, broken))
    fields = {"bucket_seconds": 1.0, "usual_share": 0.002, "fault_share": 0.9, **known}
    return Evidence(buckets=buckets, **fields)  # type: ignore[arg-type]


def test_well_for_long_enough_is_over_and_says_since_when() -> None:
    found = judge(evidence((100, 20, 0.9), (320, 20, 0.002)), CRITERIA, now=420.0)
    assert found.over
    assert found.well_since is not None
    assert abs(found.well_since - 100) <= 1
    assert {check.name: check.met for check in found.checks} == {
        "shares back": True, "traffic back": None, "contacts falling": None, "held": True,
    }  # fmt: skip


def test_not_yet_held() -> None:
    found = judge(evidence((100, 20, 0.9), (200, 20, 0.002)), CRITERIA, now=300.0)
    assert (found.over, found.improving) == (False, True)


def test_a_relapse_starts_the_holding_anew() -> None:
    found = judge(evidence((100, 20, 0.9), (250, 20, 0.002), (5, 20, 0.9), (200, 20, 0.002)), CRITERIA, now=555.0)
    assert not found.over
    assert found.held_seconds <= 201


def test_while_broken_it_is_broken() -> None:
    found = judge(evidence((100, 20, 0.9)), CRITERIA, now=100.0)
    assert (found.over, found.improving, found.broken) == (False, False, True)


@pytest.mark.parametrize("left", [0.5, 0.2, 0.08])
def test_an_outage_of_which_a_part_is_left_is_not_over(left: float) -> None:
    found = judge(evidence((100, 20, 1.0), (400, 20, left), fault_share=1.0), CRITERIA, now=500.0)
    assert (found.over, found.improving, found.broken) == (False, False, True)


def test_silence_is_no_proof() -> None:
    found = judge(evidence((100, 20, 0.9), (600, 0, 0.0)), CRITERIA, now=700.0)
    assert not found.over
    assert not found.improving


def test_a_share_of_five_in_a_hundred_needs_more_promises_than_a_total_outage() -> None:
    few = (100, 20, 0.05), (3, 20, 0.002)
    assert not judge(evidence(*few, fault_share=0.05), Criteria(hold_seconds=2.0), now=103.0).improving
    many = (100, 20, 0.05), (60, 20, 0.002)
    assert judge(evidence(*many, fault_share=0.05), Criteria(hold_seconds=5.0), now=160.0).over


def test_traffic_that_has_not_come_back_holds_it_up() -> None:
    parts = (100, 20, 0.9), (320, 4, 0.0)
    assert not judge(evidence(*parts, usual_rate=20.0), CRITERIA, now=420.0).over
    assert judge(evidence(*parts, usual_rate=6.0), CRITERIA, now=420.0).over


def test_contacts_that_do_not_fall_hold_it_up() -> None:
    parts = (100, 20, 0.9), (320, 20, 0.002)
    calling = [(60.0, 40.0), (120.0, 80.0), (400.0, 60.0)]
    assert not judge(evidence(*parts, contacts=calling), CRITERIA, now=420.0).over
    assert judge(evidence(*parts, contacts=[*calling, (410.0, 30.0)]), CRITERIA, now=420.0).over
    assert judge(evidence(*parts, contacts=[(60.0, 2.0)]), CRITERIA, now=420.0).over


def test_what_is_not_seen_is_not_over() -> None:
    found = judge(evidence((100, 20, 0.9), (320, 20, 0.002), blind_since=400.0), CRITERIA, now=420.0)
    assert (found.over, found.improving, found.broken) == (False, False, False)
    assert "not seen" in found.sentence


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_any_evidence_is_judged(counts: list[tuple[int, int]], usual: float, fault: float) -> None:
    buckets = [Bucket(float(index), kept, broken) for index, (kept, broken) in enumerate(counts)]
    known = Evidence(buckets=buckets, bucket_seconds=1.0, usual_share=usual, fault_share=fault)
    found = judge(known, Criteria(hold_seconds=10.0), now=float(len(counts)))
    assert not (found.over and found.broken)
    assert found.improving or not found.over
