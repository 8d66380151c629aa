"""Clocks: one that is wrong is told by name, and one page that has waited for its disk is no wrong clock."""

import pytest

from prikkfri.assurance.clocks import RoleClock, off_seconds, seen, sentence

NOW = 1_000.0


def looked(pages: list[tuple[float, list[float]]], *, current: bool = True) -> RoleClock:
    """`pages`: when each was read, and how far the times in it are from that."""
    clock = RoleClock()
    for at, offs in pages:
        clock = seen(clock, [at + off for off in offs], at, current=current)
    return clock


@pytest.mark.parametrize(
    ("offs", "sign"),
    [([5.1], 1), ([5.0], 0), ([-6.5], 0), ([-6.6], -1), ([-600.0, -1.0], 0), ([-9.0, 9.0, 9.0], 1), ([-9.0, -8.0], -1)],
)
def test_it_is_ahead_by_the_middle_and_behind_by_the_newest(offs: list[float], sign: int) -> None:
    assert looked([(NOW, offs)]).sign == sign


def test_it_is_told_when_it_has_been_so_for_a_while_over_several_pages() -> None:
    pages = [(NOW, [-20.0]), (NOW + 5, [-20.0]), (NOW + 9.9, [-20.0]), (NOW + 10, [-20.0])]
    assert [looked(pages[:count]).wrong for count in range(5)] == [False, False, False, False, True]
    assert not looked([(NOW, [-20.0]), (NOW + 60, [-20.0])]).wrong
    assert looked([(NOW, [-20.0]), (NOW + 5, [-20.0]), (NOW + 10, [-20.0])]).wrong
    assert looked([*pages, (NOW + 11, [-20.0])]).wrong, "as long as it is so"
    assert looked([*pages, (NOW + 12, [-0.2])]) == RoleClock(0, NOW + 12, 1)
    assert not looked([(NOW + 5 * n, [-0.2]) for n in range(9)]).wrong
    assert not looked([(NOW, [-20.0]), (NOW + 5, [-0.2]), (NOW + 9, [-20.0]), (NOW + 12, [-20.0])]).wrong


def test_what_has_waited_to_be_read_says_nothing_unless_it_is_from_the_future() -> None:
    assert looked([(NOW + 5 * n, [-20.0]) for n in range(4)], current=False) == RoleClock()
    assert looked([(NOW + 5 * n, [20.0]) for n in range(4)], current=False).wrong
    assert looked([(NOW, [])]) == RoleClock()


def test_the_sentence_names_the_role_and_the_seconds() -> None:
    assert sentence("door", off_seconds([NOW + 7.0, NOW + 9.0], NOW)).startswith("the clock of door is about 8 s ahead")
    assert sentence("sms", off_seconds([NOW - 40.0, NOW - 7.0], NOW)).startswith("the clock of sms is about 7 s behind")
    assert off_seconds([NOW - 40.0, NOW + 1.0], NOW) == 0.0
    assert off_seconds([NOW + 0.5], NOW) == 0.5
    assert sentence("sms", 0.6).startswith("the clock of sms is about 1 s ahead")
