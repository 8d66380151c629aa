import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.assurance.recovery import Check, Criteria, Evidence, Recovery, in_each_place, judge, with_pictures
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


@pytest.mark.parametrize("rate", [3, 20])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_what_is_back_is_not_told_as_broken_again_by_the_end_of_the_fault(rate: float, share: float) -> None:
    """From one look to the next it would be back and broken, for as long as it has to be held."""
    whole = evidence((200, rate, share), (320, rate, 0.002), fault_share=share)
    told = []
    for now in range(100, 521, 3):
        found = judge(replace(whole, buckets=whole.buckets[:now]), CRITERIA, now=float(now))
        assert not (found.improving and found.broken)
        told += [found.broken] if found.improving or found.broken else []
    assert told == sorted(told, reverse=True) and {*told} == {True, False}


def test_while_broken_it_is_broken() -> None:
    found = judge(evidence((100, 20, 0.9)), CRITERIA, now=100.0)
    assert (found.over, found.improving, found.broken) == (False, False, True)


@pytest.mark.parametrize("left", [0.5, 0.2, 0.08])
def test_an_outage_of_which_a_part_is_left_is_not_over(left: float) -> None:
    found = judge(evidence((100, 20, 1.0), (400, 20, left), fault_share=1.0), CRITERIA, now=500.0)
    assert (found.over, found.improving, found.broken) == (False, False, True)


WELL = Recovery(over=True, improving=True, broken=False, checks=(), held_seconds=300.0, well_since=0.0)
OPEN = replace(WELL, over=False, improving=False)
BROKEN = replace(OPEN, broken=True)


@pytest.mark.parametrize(
    ("judged", "gone", "back_since", "alone", "over", "improving", "text"),
    [
        (WELL, ["film", "sport"], 0.0, False, False, False, "no picture on film, sport"),
        (WELL, ["film"], 0.0, True, False, False, "no picture on film"),
        (WELL, [], 100.0, False, True, True, "the picture is back, stable for 300 s (300 s required)"),
        (WELL, [], 101.0, False, False, True, "the picture is back, stable for 299 s (300 s required)"),
        (OPEN, [], 100.0, False, False, False, "the picture is back, stable for 300 s (300 s required)"),
        (
            OPEN,
            [],
            100.0,
            True,
            True,
            True,
            "the picture is back, stable for 300 s (300 s required)",
        ),  # whoever comes to see it
        (BROKEN, [], 100.0, True, False, False, "the picture is back, stable for 300 s (300 s required)"),
    ],
)
def test_a_picture_that_went_must_be_back_and_hold_and_alone_it_is_the_proof(
    judged: Recovery, gone: list[str], back_since: float, alone: bool, over: bool, improving: bool, text: str
) -> None:
    found = with_pictures(judged, gone, CRITERIA, back_since=back_since, alone=alone, now=400.0)
    assert (found.over, found.improving, found.broken) == (over, improving, judged.broken or bool(gone))
    assert found.checks == (Check("picture back", not gone, text), *judged.checks)


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


@pytest.mark.parametrize("kept_a_second", [0.2, 9.9])
def test_after_the_programme_that_people_came_for_fewer_come_and_hold_nothing_up(kept_a_second: float) -> None:
    """As long as it is on, half of those who ordinarily come have to come again."""
    known = evidence((100, 20, 1.0), (1_000, kept_a_second, 0.0), usual_rate=20.0)
    waits = judge(known, CRITERIA, now=1_100.0)
    assert not waits.over and "traffic back (" in waits.waits_for and "ordinarily 20" in waits.waits_for
    over = judge(replace(known, ended=("Final", 800.0)), CRITERIA, now=1_100.0)
    assert over.over and over.waits_for == ""
    (traffic,) = (check for check in over.checks if check.name == "traffic back")
    assert traffic.met is None and "“Final” ended 300 s ago" in traffic.text
    back = judge(replace(evidence((100, 20, 1.0), (1_000, 20, 0.0), usual_rate=20.0), ended=("Final", 800.0)), CRITERIA,
                 now=1_100.0)  # fmt: skip
    assert [check.met for check in back.checks if check.name == "traffic back"] == [True]


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


def check(found: Recovery, name: str) -> Check:
    (one,) = (each for each in found.checks if each.name == name)
    return one


def test_it_is_held_when_the_whole_time_has_been_well_and_not_a_second_before() -> None:
    before, after = (judge(evidence((100, 20, 1.0), (n, 20, 0.0)), CRITERIA, now=100.0 + n) for n in (299, 300))
    assert (before.over, before.improving, before.held_seconds, before.well_since) == (False, True, 299, 100)
    assert (after.over, after.improving, after.held_seconds, after.well_since) == (True, True, 300, 100)
    assert check(before, "held").text == "stable for 299 s (300 s required)"
    # The time runs with the clock, and what is held is what was seen: seconds without promises count, too.
    assert judge(evidence((100, 20, 1.0), (100, 20, 0.0), (200, 0, 0.0)), CRITERIA, now=400.0).over


@pytest.mark.parametrize(
    ("usual", "fault", "too_few", "enough"),
    [
        (0.002, 1.0, 40, 60),  # against a tenth of the fault, not against all of it
        (0.002, 0.05, 100, 120),  # against the fault itself, which is ten times the ordinary
        (0.02, 0.5, 14, 17),  # against ten times the ordinary, which is more than a tenth of the fault
        (0.0, 0.0, 900, 1_050),  # what has hardly been a fault is told from twice the ordinary only by a great many
    ],
)
def test_so_many_have_to_come_and_get_it_before_it_is_better(
    usual: float, fault: float, too_few: int, enough: int
) -> None:
    for count, improving in ((too_few, False), (enough, True)):
        settled = 100 if fault else 0
        broken = [Bucket(float(n), kept=settled * (1 - fault), broken=settled * fault) for n in range(10)]
        known = Evidence(
            buckets=[*broken, Bucket(10.0, kept=count)], bucket_seconds=1.0, usual_share=usual, fault_share=fault
        )
        found = judge(known, CRITERIA, now=11.0)
        assert (found.improving, found.over) == (improving, False), count


def test_it_is_well_from_the_last_broken_promise_that_spoke_for_the_fault() -> None:
    silent = judge(evidence((100, 20, 1.0), (150, 0, 0.0), (150, 20, 0.0)), CRITERIA, now=400.0)
    assert (silent.well_since, silent.over) == (100, True), "silence proves nothing and moves nothing"
    straggler = judge(evidence((100, 20, 1.0), (200, 20, 0.0), (1, 1, 1.0), (100, 20, 0.0)), CRITERIA, now=401.0)
    assert (straggler.well_since, straggler.over) == (100, True), "one that is broken is ordinary"
    for index in (0, 1):  # two of twelve are not quite evidence enough, in the first second or later
        doubtful = [Bucket(float(second), kept=100) for second in range(10)]
        doubtful[index] = Bucket(float(index), kept=10, broken=2)
        known = Evidence(buckets=doubtful, bucket_seconds=1.0, usual_share=0.002, fault_share=0.9)
        assert judge(known, CRITERIA, now=10.0).well_since == 0
    never = judge(evidence((100, 20, 0.0)), CRITERIA, now=100.0)
    assert (never.well_since, never.held_seconds) == (0, 100)
    nothing = judge(evidence(), CRITERIA, now=100.0)
    assert (nothing.well_since, nothing.held_seconds, nothing.over, nothing.improving) == (None, 0, False, False)


def test_stretches_of_ten_seconds_are_well_from_their_end() -> None:
    buckets = [Bucket(10.0 * n, kept=0 if n < 10 else 200, broken=200 if n < 10 else 0) for n in range(40)]
    known = Evidence(buckets=buckets, bucket_seconds=10.0, usual_share=0.002, fault_share=1.0, usual_rate=20.0)
    found = judge(known, CRITERIA, now=400.0)
    assert (found.well_since, found.held_seconds, found.over) == (100, 300, True)
    assert check(found, "traffic back").text == "20 kept a second, ordinarily 20"


@given(st.integers(0, 200), st.integers(1, 100))
def test_the_few_who_come_after_a_crowd_say_that_it_is_over_when_they_all_get_it(crowd: int, few: int) -> None:
    """Sign-in broke for a crowd; it has left since, and one comes every half minute."""
    broken = [Bucket(float(second), broken=20 + crowd) for second in range(60)]
    quiet = [Bucket(60.0 + n, kept=n % 30 == 0) for n in range(30 * few)]
    known = Evidence(
        buckets=[*broken, *quiet], bucket_seconds=1.0, usual_share=0.0, fault_share=1.0, usual_rate=20.0 + crowd,
        traffic_decides=False,
    )  # fmt: skip
    found = judge(known, CRITERIA, now=60.0 + 30 * few)
    # Eight after three times the time to be held prove as much as fifty before.
    assert found.over is (30 * few >= 900.0)
    assert bool(found.waits_for) is not found.over
    assert not judge(replace(known, traffic_decides=True), CRITERIA, now=60.0 + 30 * few).over


@pytest.mark.parametrize(("usual_rate", "back"), [(40.0, True), (40.1, False)])
def test_half_of_the_ordinary_traffic_is_back(usual_rate: float, back: bool) -> None:
    found = judge(evidence((100, 20, 1.0), (320, 20, 0.0), usual_rate=usual_rate), CRITERIA, now=420.0)
    assert check(found, "traffic back").met is back
    assert (found.improving, found.over) == (back, back)


def test_traffic_is_counted_since_it_has_been_well_and_is_not_back_while_it_is_broken() -> None:
    crowded = judge(evidence((100, 200, 0.5), (320, 4, 0.0), usual_rate=20.0), CRITERIA, now=420.0)
    assert check(crowded, "traffic back").text == "4 kept a second, ordinarily 20"
    some_broken = [Bucket(float(n), kept=19, broken=1) for n in range(320)]
    refused = Evidence(buckets=some_broken, bucket_seconds=1.0, usual_share=0.05, fault_share=0.9, usual_rate=39.0)
    assert check(judge(refused, CRITERIA, now=320.0), "traffic back").met is False, "a refusal is no traffic"
    at_once = judge(evidence((100, 20, 1.0), (1, 20, 0.0), usual_rate=20.0), CRITERIA, now=101.0)
    assert check(at_once, "traffic back") == Check("traffic back", True, "20 kept a second, ordinarily 20")
    nothing = judge(evidence(usual_rate=20.0), CRITERIA, now=100.0)
    assert check(nothing, "traffic back") == Check("traffic back", False, "not yet")
    still = judge(evidence((100, 20, 1.0), usual_rate=20.0), CRITERIA, now=100.0)
    assert check(still, "traffic back") == Check("traffic back", False, "not yet")
    assert check(still, "shares back").text == "no promise has been settled since"
    assert still.sentence == "; ".join(each.text for each in still.checks)


@pytest.mark.parametrize(
    ("contacts", "falling"),
    [
        ([(60.0, 80.0), (120.0, 40.0)], True),
        ([(60.0, 80.0), (120.0, 41.0)], False),
        ([(60.0, 3.0)], True),
        ([(60.0, 4.0)], False),
        ([(60.0, 10.0), (120.0, 2.0), (180.0, 9.0)], False),
        ([], None),
        (None, None),
    ],
)
def test_contacts_fall_to_half_of_the_worst_or_to_a_few(
    contacts: list[tuple[float, float]] | None, falling: bool | None
) -> None:
    found = judge(evidence((100, 20, 1.0), (320, 20, 0.0), contacts=contacts), CRITERIA, now=420.0)
    assert check(found, "contacts falling").met is falling
    assert found.improving and found.over is (falling is not False)


def test_it_is_broken_by_what_the_last_stretch_says() -> None:
    assert judge(evidence((100, 20, 1.0), (300, 0, 0.0)), CRITERIA, now=399.0).broken
    assert not judge(evidence((100, 20, 1.0), (300, 0, 0.0)), CRITERIA, now=400.0).broken
    assert not judge(evidence((100, 20, 0.0), (1, 1, 1.0)), CRITERIA, now=101.0).broken


def test_what_is_well_since_does_not_water_down_the_share_of_the_fault() -> None:
    # Told over the whole time it is a tenth: against a tenth of that hundreds would have to come and get it.
    few = evidence((20, 1, 1.0), (180, 1, 0.0), fault_share=0.1)
    found = judge(few, Criteria(hold_seconds=100.0), now=200.0)
    assert found.over and "100.0% during the fault" in check(found, "shares back").text
    # What was in evidence for a moment only is as much as was said.
    one = judge(evidence((50, 1, 0.0), (1, 1, 1.0), (49, 1, 0.0), fault_share=0.1), CRITERIA, now=100.0)
    assert "10.0% during the fault" in check(one, "shares back").text


def test_what_is_said_has_its_figures() -> None:
    found = judge(evidence((100, 20, 0.9), (300, 20, 0.0), fault_share=0.5), CRITERIA, now=400.0)
    assert check(found, "shares back").figures.startswith("0.00% of 6000 failed, 90.0% during the fault (proof 5")
    assert check(found, "shares back").figures.endswith(" of 5)")
    one = judge(evidence((100, 20, 0.9), (299, 1, 0.0), (1, 1, 1.0), fault_share=0.9), CRITERIA, now=400.0)
    assert check(one, "shares back").figures.startswith("0.33% of 300 failed, 90.0% during the fault (proof ")
    unseen = judge(evidence((100, 20, 1.0), blind_since=97.0), CRITERIA, now=100.0)
    assert unseen.checks == (Check("shares back", None, "the present is not seen, since 3 s"),)
    assert (unseen.held_seconds, unseen.well_since) == (0, None)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=30),
    st.floats(0, 1),
    st.floats(0, 1),
    st.none() | st.floats(0, 50),
    st.none() | st.lists(st.tuples(st.floats(0, 30), st.floats(0, 100)), max_size=4),
)
@settings(max_examples=60)
def test_it_is_over_only_when_every_check_that_is_known_is_met(
    counts: list[tuple[int, int]],
    usual: float,
    fault: float,
    usual_rate: float | None,
    contacts: list[tuple[float, float]] | None,
) -> None:
    known = Evidence(
        buckets=[Bucket(float(index), kept, broken) for index, (kept, broken) in enumerate(counts)],
        bucket_seconds=1.0, usual_share=usual, fault_share=fault, usual_rate=usual_rate, contacts=contacts,
    )  # fmt: skip
    found = judge(known, Criteria(hold_seconds=10.0), now=float(len(counts)))
    met = {each.name: each.met for each in found.checks}
    assert list(met) == ["shares back", "traffic back", "contacts falling", "held"]
    assert found.over == (met["shares back"] is True and met["held"] is True and False not in met.values())
    assert found.improving == (met["shares back"] is True and met["traffic back"] is not False)
    if found.over:
        assert found.well_since is not None and found.held_seconds >= 10
        assert any(kept for kept, _ in counts[int(found.well_since) :]), "silence is no proof"
    assert bool(found.waits_for) is not found.over, "it says what it still waits for"
    lenient = judge(replace(known, traffic_decides=False), Criteria(hold_seconds=10.0), now=float(len(counts)))
    traffic = {each.name: each.met for each in lenient.checks}["traffic back"]
    assert lenient.over >= found.over and (traffic is not False or not lenient.improving)
    unseen = judge(replace(known, blind_since=float(len(counts))), Criteria(hold_seconds=10.0), now=float(len(counts)))
    assert (unseen.over, unseen.improving, unseen.broken) == (False, False, False)


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_any_evidence_is_judged(counts: list[tuple[int, int]], usual: float, fault: float) -> None:
    buckets = [Bucket(float(index), kept, broken) for index, (kept, broken) in enumerate(counts)]
    known = Evidence(buckets=buckets, bucket_seconds=1.0, usual_share=usual, fault_share=fault)
    found = judge(known, Criteria(hold_seconds=10.0), now=float(len(counts)))
    assert not (found.over and found.broken)
    assert found.improving or not found.over


def place(*stretches: tuple[int, float, float]) -> Recovery:
    known = evidence(*stretches, fault_share=1.0)
    return judge(known, CRITERIA, now=float(len(known.buckets)))


@pytest.mark.parametrize(
    ("since", "over", "improving", "broken"),
    [
        ((320, 1, 0.0), True, True, False),
        ((320, 1, 0.2), False, False, True),  # of the whole, where twenty-one a second come, that is one in a hundred
        ((899, 0, 0.0), False, True, False),
        ((900, 0, 0.0), True, True, False),  # nobody comes there any more
    ],
)
def test_in_several_places_it_is_over_when_each_is_and_of_those_to_which_nobody_comes_after_a_longer_time(
    since: tuple[int, float, float], *, over: bool, improving: bool, broken: bool
) -> None:
    large, small = place((100, 20, 1.0), (since[0], 20, 0.0)), place((100, 1, 1.0), since)
    assert large.over, "as is the whole, in which the small one is hardly seen"
    found = in_each_place(large, [("large", large), ("small", small)], CRITERIA)
    assert (found.over, found.improving, found.broken) == (over, improving, broken)
    assert (found == large) is over and (over or "small: " in found.waits_for)
    assert in_each_place(large, [("small", small), ("large", large)], CRITERIA) == found


@pytest.mark.parametrize(("broken_at", "over"), [(None, True), (301, False)])
def test_one_that_is_broken_where_so_few_come_begins_the_longer_time_anew(*, broken_at: int | None, over: bool) -> None:
    large = place((100, 20, 1.0), (1_000, 20, 0.0))
    few = [Bucket(float(at), kept=at >= 100 and at % 200 == 0, broken=at < 100) for at in range(1_100)]
    if broken_at is not None:
        few[broken_at] = Bucket(float(broken_at), broken=1)
    known = Evidence(buckets=few, bucket_seconds=1.0, usual_share=0.0, fault_share=1.0)
    small = judge(known, CRITERIA, now=1_100.0)
    assert not small.over, "five prove nothing"
    found = in_each_place(large, [("large", large), ("small", small)], CRITERIA)
    assert (found.over, found.held_seconds) == (over, 1_000 if over else 798)


def test_what_is_well_in_each_place_waits_for_what_the_whole_waits_for() -> None:
    well = place((100, 20, 1.0), (320, 20, 0.0))
    calling = judge(
        evidence((100, 40, 1.0), (320, 40, 0.0), contacts=[(60.0, 80.0), (120.0, 60.0)]), CRITERIA, now=420.0
    )
    assert in_each_place(calling, [("a", well), ("b", well)], CRITERIA) == calling and not calling.over


def test_of_several_places_the_one_that_is_well_for_the_shortest_time_says_for_how_long() -> None:
    early, late = place((100, 20, 1.0), (320, 20, 0.0)), place((200, 20, 1.0), (220, 20, 0.0))
    found = in_each_place(early, [("early", early), ("late", late)], CRITERIA)
    assert (found.over, found.improving, found.held_seconds) == (False, not late.broken, 220)
    assert check(found, "held") == Check("held", False, "late: stable for 220 s (300 s required)")
    assert check(found, "shares back") == check(early, "shares back")
    assert check(found, "traffic back") == check(early, "traffic back")
