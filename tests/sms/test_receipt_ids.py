"""Which message a receipt tells of, however its partner writes ids; by partners of the test's own."""

import random
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from prikkfri.sms.receipt_ids import (
    ALL,
    COMPLAINT_MISSES,
    MISSES_MAX,
    VOTES_MIN,
    Habit,
    Match,
    MismatchReason,
    Reading,
    complaint,
    expected_ids,
    fold,
    is_number_of,
    key,
    keys_apart,
    learn,
    match,
    readings,
)

SAME, DECIMAL, HEXADECIMAL = Reading.SAME, Reading.DECIMAL, Reading.HEXADECIMAL
KARI, OLA = "4790000001", "4790000002"


class Candidate(NamedTuple):
    message: str
    key: str
    recipient: str


# How partners write the id of a message: in the answer, and in the receipt.
PARTNERS: dict[str, tuple[Callable[[int], str], Callable[[int], str], Reading]] = {
    "decimal": (str, str, SAME),
    "hexadecimal": ("{:x}".format, "{:x}".format, SAME),
    "in capitals": ("{:x}".format, "{:X}".format, SAME),
    "capitals first": ("{:X}".format, "{:x}".format, SAME),
    "with zeros": (str, "{:010}".format, SAME),
    "zeros first": ("{:08X}".format, "{:x}".format, SAME),
    "hex, told in decimal": ("{:x}".format, str, DECIMAL),
    "hex of eight, told in ten": ("{:08X}".format, "{:010}".format, DECIMAL),
    "decimal, told in hex": (str, "{:x}".format, HEXADECIMAL),
    "ten, told in hex of eight": ("{:010}".format, "{:08X}".format, HEXADECIMAL),
    "words": (lambda n: f"msg-{n:x}-A", lambda n: f"MSG-{n:x}-a", SAME),
}


def candidates(numbers: list[int], write: Callable[[int], str]) -> list[Candidate]:
    return [Candidate(f"m{n}", fold(write(n)), f"47{90_000_000 + n % 1_000}") for n in numbers]


@pytest.mark.parametrize("partner", PARTNERS)
def test_each_partners_receipts_are_matched_at_once_and_its_way_is_learnt(partner: str) -> None:
    first, then, way = PARTNERS[partner]
    draw = random.Random(partner)
    numbers = draw.sample(range(1_000_000), 60)
    sent, habit = candidates(numbers, first), Habit()
    for n in numbers:
        ways = readings(None, habit)
        assert ways in (ALL, (way,))
        phone = f"47{90_000_000 + n % 1_000}"
        keys = expected_ids([then(n)], ways)
        rows = [each for each in sent if each.key in keys]
        found = match([then(n)], ("Shop", phone), rows, ways)
        assert isinstance(found, Match)
        assert found.message == f"m{n}"
        habit = learn(habit, found)
    assert habit.settled is way
    assert readings(None, habit) == (way,)
    assert complaint(partner, None, habit) is None


@given(
    st.sampled_from(sorted(PARTNERS)), st.lists(st.integers(0, 400), min_size=1, max_size=40, unique=True), st.data()
)
@settings(max_examples=80, deadline=None)
def test_a_receipt_never_moves_another_message_than_its_own(
    partner: str, numbers: list[int], data: st.DataObject
) -> None:
    """Ids so close that they mean each other to the other base; half of them go to one phone."""
    first, then, _ = PARTNERS[partner]
    sent = [Candidate(f"m{n}", fold(first(n)), KARI if n % 2 else OLA) for n in numbers]
    n = data.draw(st.sampled_from(numbers))
    phone = KARI if n % 2 else OLA
    found = match([then(n)], (phone, "Shop"), sent)
    if isinstance(found, Match) and found.message != f"m{n}":
        # Only where the id as it is written is another message's to the same phone: then nobody can tell.
        assert key(then(n), SAME) != fold(first(n))
        assert fold(then(n)) in {each.key for each in sent if each.recipient == phone}
    settled = match([then(n)], (phone, "Shop"), sent, (PARTNERS[partner][2],))
    assert isinstance(settled, Match) and settled.message == f"m{n}"


def test_case_and_zeros_are_folded() -> None:
    for written in ("ff", "FF", "00ff", "000000FF", " fF "):
        assert fold(written) == "ff"
    assert (fold("0"), fold("000"), fold(""), fold("a0"), fold("0x1F")) == ("0", "0", "", "a0", "x1f")


@pytest.mark.parametrize(
    ("written", "way", "found"),
    [
        ("0000000255", SAME, "255"),
        ("0000000255", DECIMAL, "ff"),
        ("0000000255", HEXADECIMAL, "597"),
        ("FF", SAME, "ff"),
        ("FF", DECIMAL, None),
        ("FF", HEXADECIMAL, "255"),
        ("0", DECIMAL, "0"),
        ("0", HEXADECIMAL, "0"),
        ("", SAME, None),
        ("", DECIMAL, None),
        ("g1", HEXADECIMAL, None),
        ("1_0", DECIMAL, None),
        ("-5", DECIMAL, None),
        ("٣", DECIMAL, None),
        ("9" * 64, DECIMAL, f"{int('9' * 64):x}"),
        ("9" * 65, DECIMAL, None),
        ("9" * 65, HEXADECIMAL, None),
        ("9" * 65, SAME, "9" * 65),
    ],
)
def test_an_id_is_read_by_each_base_that_it_can_have(written: str, way: Reading, found: str | None) -> None:
    assert key(written, way) == found


def test_what_is_looked_for_is_a_few_keys_and_those_of_the_ways_that_are_tried() -> None:
    assert expected_ids(["255"]) == {"255", "ff", "597"}
    assert expected_ids(["255"], (DECIMAL,)) == {"ff"}
    assert expected_ids(["ff", "0000000255"]) == {"ff", "255", "597"}
    assert expected_ids(["", "net-1"]) == {"net-1"}
    assert expected_ids([]) == frozenset()


def test_the_number_is_the_second_key() -> None:
    sent = [Candidate("as hex", "ff", KARI), Candidate("as it is", "255", OLA)]
    assert match(["255"], (KARI, "Shop"), sent) == Match("as hex", DECIMAL)
    assert match(["255"], ("Shop", KARI), sent) == Match("as hex", DECIMAL)  # swapped
    assert match(["255"], ("90000002", ""), sent) == Match("as it is", SAME)  # national
    assert match(["255"], ("4790000003", "Shop"), sent) is MismatchReason.OTHER_NUMBER
    assert match(["256"], (KARI, "Shop"), sent) is MismatchReason.NO_MESSAGE
    assert match(["255"], ("", ""), sent) is MismatchReason.SEVERAL
    assert match(["255"], ("", ""), sent, (DECIMAL,)) == Match("as hex", None)
    assert match([], (KARI,), sent) is MismatchReason.NO_MESSAGE
    same = [Candidate("one", "ff", KARI), Candidate("other", "255", KARI)]
    assert match(["255"], (KARI, ""), same) is MismatchReason.SEVERAL
    twice = [Candidate("one", "ff", KARI), Candidate("other", "ff", KARI)]
    assert match(["ff"], (KARI, ""), twice) is MismatchReason.SEVERAL
    assert match(["5"], (KARI, ""), [Candidate("five", "5", KARI)]) == Match("five", None)


def test_the_parameter_comes_before_the_text() -> None:
    sent = [Candidate("right", "ff", KARI), Candidate("wrong", "255", KARI)]
    assert match(["ff", "0000000255"], (KARI, ""), sent[:1]) == Match("right", SAME)
    assert match(["ff", "other"], (KARI, ""), sent, (SAME,)) == Match("right", SAME)
    assert match(["other", "ff"], (KARI, ""), sent, (SAME,)) == Match("right", SAME)
    # What a link that writes ids as they were given could have meant by another base makes nothing doubtful.
    assert match(["255", "ff"], (KARI, ""), sent, (SAME,)) == Match("wrong", SAME)


@pytest.mark.parametrize("written", ["4790000001", "+4790000001", "004790000001", "90000001", "0090000001"])
def test_a_number_may_be_written_as_its_own_country_writes_it(written: str) -> None:
    assert is_number_of(KARI, written)
    assert is_number_of("46701234567", "0701234567")
    assert is_number_of("46701234567", "234567")
    assert not is_number_of("46701234567", "34567")  # many phones end so


@pytest.mark.parametrize("written", ["", "00001", "Shop", "90000002", "14790000001", "X4790000001", "0", "+"])
def test_another_number_is_another(written: str) -> None:
    assert not is_number_of(KARI, written)


def test_what_is_set_is_what_is_tried_and_what_is_learnt_is_doubted_when_it_fails() -> None:
    habit = Habit()
    for count in range(VOTES_MIN):
        assert readings(None, habit) == ALL, count
        habit = learn(habit, Match("m", DECIMAL))
    assert habit == Habit(decimal=VOTES_MIN)
    assert readings(None, habit) == (DECIMAL,)
    assert readings(SAME, habit) == (SAME,)
    for count in range(MISSES_MAX):
        assert readings(None, habit) == (DECIMAL,), count
        habit = learn(habit, MismatchReason.NO_MESSAGE)
    assert readings(None, habit) == ALL
    assert learn(habit, Match("m", None)) == Habit(decimal=VOTES_MIN)
    # The partner has changed its ways: what was learnt before counts no more.
    assert learn(habit, Match("m", SAME)) == Habit(same=1)
    for found in (MismatchReason.OTHER_NUMBER, MismatchReason.SEVERAL):
        assert learn(habit, found) == habit


def test_who_writes_in_several_ways_is_read_by_all() -> None:
    habit = Habit(same=500, decimal=1)
    assert habit.settled is None
    assert readings(None, habit) == ALL
    assert learn(habit, Match("m", HEXADECIMAL)) == replace(habit, hexadecimal=1)


def test_it_is_told_when_nothing_fits() -> None:
    habit = Habit(same=3)
    for _ in range(COMPLAINT_MISSES):
        assert complaint("nord", None, habit) is None
        habit = learn(habit, MismatchReason.NO_MESSAGE)
    assert complaint("nord", None, habit) == (
        "link nord: the last 20 receipts fit no message, their ids read to any base"
    )
    assert complaint("nord", DECIMAL, habit) == (
        "link nord: the last 20 receipts fit no message, their ids read as decimal, as is set"
    )
    assert complaint("nord", None, learn(habit, Match("m", SAME))) is None


def test_of_several_receipts_those_are_looked_for_together_that_share_no_key() -> None:
    ff, fe, shared, none = frozenset({"ff", "255"}), frozenset({"fe"}), frozenset({"255", "7"}), frozenset[str]()
    assert keys_apart([ff, fe, none]) == [ff, fe]
    assert keys_apart([ff, fe, shared]) == [fe]
    assert keys_apart([fe, fe]) == []
    assert keys_apart([]) == []
