"""Windows of people who came at the same time: which of them is taken, and who is counted in it."""

import pytest

from prikkfri.door.windows import Windows

NOW = 1_000.0
"""Its windows have numbers from 64,000 on."""


def test_whoever_may_not_stand_before_a_number_stands_in_its_window_with_those_who_may_not_either() -> None:
    windows = Windows(0.0)
    assert windows.joined(0.5, NOW, 1_000.0) == 64_000.5
    assert [windows.joined(lot, NOW, 1_000.0, least=70_000.0) for lot in (0.5, 0.25)] == [70_000.5, 70_000.25]
    assert windows.joined(0.75, NOW, 1_000.0) == 70_000.75


def test_each_whose_position_was_drawn_is_counted_with_the_next_step() -> None:
    windows = Windows(64_000.0)
    for position in (64_100.25, 64_100.75, 64_101.5):
        windows.joined_at(position, NOW)
    assert windows.waiting == 0
    windows.counted(NOW)
    assert [windows.ahead(place) for place in (64_100.0, 64_101.0, 64_102.0)] == [0, 2, 3]


def test_whoever_stands_in_the_window_that_is_being_called_is_known_again_and_nobody_before_it_is() -> None:
    windows = Windows(64_000.0)
    for position in (64_000.25, 64_000.5, 64_000.75):
        windows.joined_at(position, NOW)
    windows.front = 64_000.5
    windows.came_back(64_000.25, NOW)
    assert windows.state() == [(64_000, 1, 3)]
    windows.came_back(63_999.75, NOW)
    assert windows.state() == [(64_000, 1, 3)]
    windows.joined_at(64_050.5, NOW)
    windows.front = 64_010.0
    windows.came_back(64_009.5, NOW)
    windows.came_back(64_000.75, NOW)
    assert windows.state() == [(64_000, 2, 3), (64_050, 0, 1)], (
        "a window of which a step has not been told yet counts on, no new one"
    )


def test_those_who_came_back_after_the_last_that_is_known_before_a_crash_are_counted_once() -> None:
    left = Windows(0.0)
    for second, people in ((0.0, 4), (1.0, 3), (2.0, 2)):
        positions = [left.joined(0.1 * each, NOW + second, 100.0) for each in range(people)]
        if second == 0.0:
            for position in positions[:3]:
                left.came_back(position, NOW + 1.0)
    left.counted(NOW + 2.5)
    assert left.state() == [(64_000, 3), (64_064, 0, 3), (64_128, 0, 2)], "the fourth has not come back in two seconds"
    again = Windows(0.0)
    again.restore(left.state())
    for each in range(5):  # of three who joined; who shows more tickets than there were counts no more
        again.came_back_before(64_064.0 + 0.1 * each, NOW + 5)
    again.came_back_before(64_000.9, NOW + 5)
    again.came_back_before(64_032.5, NOW + 5)  # nobody stood there
    again.came_back_before(64_192.5, NOW + 5)  # joined after what is known
    again.came_back_before(64_192.6, NOW + 5)
    again.counted(NOW + 6)
    assert again.state() == [(64_000, 3), (64_064, 3), (64_192, 2)]
    assert [again.ahead(place) for place in (64_064.0, 64_128.0, 64_192.0, 64_193.0)] == [3, 6, 6, 8]


def test_windows_without_counts_are_no_state() -> None:
    with pytest.raises(ValueError):
        Windows(0.0).restore([(64_000,)])
