"""What the centre could take on, by what it took on for each second that its loop worked."""

from prikkfri.sms.load import Busyness, Capacity, capacity_between

BEFORE = Busyness(100.0, 1_000, 7.0)


def test_the_capacity_is_what_was_taken_on_for_each_second_of_work() -> None:
    assert capacity_between(BEFORE, Busyness(105.0, 2_000, 7.5)) == Capacity(0.1, 2_000.0)
    assert capacity_between(BEFORE, Busyness(105.0, 1_005, 13.0)) == Capacity(1.0, 5 / 6)
    assert capacity_between(BEFORE, Busyness(100.5, 2_000, 7.25)) == Capacity(0.5, 4_000.0)


def test_of_too_few_messages_or_no_time_nothing_is_told() -> None:
    assert capacity_between(BEFORE, Busyness(105.0, 1_004, 7.5)) == Capacity(0.1, None)
    assert capacity_between(BEFORE, Busyness(100.0, 1_010, 7.0)) == Capacity(0.0, 10_000.0)
    assert capacity_between(BEFORE, BEFORE) == Capacity(0.0, None)
