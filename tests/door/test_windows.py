"""Windows of people who came at the same time: which of them is taken, and who is counted in it."""

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
    assert windows.state() == [(64_000, 1)]
    windows.came_back(63_999.75, NOW)
    assert windows.state() == [(64_000, 1)]
    windows.joined_at(64_050.5, NOW)
    windows.front = 64_010.0
    windows.came_back(64_009.5, NOW)
    windows.came_back(64_000.75, NOW)
    assert windows.state() == [(64_000, 2)], "a window of which a step has not been told yet counts on, no new one"
