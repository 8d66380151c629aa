"""Columns of settled promises are the sequence that a list of them is, and keep its order when some go or come."""

import random

import pytest

from prikkfri.assurance.response import promises
from prikkfri.assurance.response.promises import OrderedPromises, PromiseColumns, SettledPromise, in_order
from prikkfri.assurance.segments import Segment

PLACES = [Segment.of({"service": "television", "step": step}) for step in ("enter", "sign-in", "start-playback")]


def drawn(lot: random.Random, many: int, moments: int = 40) -> list[SettledPromise]:
    """Of few moments, so that many are of the same and some are alike in everything."""
    found = []
    for _ in range(many):
        at = float(lot.randrange(moments))
        place = Segment.of(dict(lot.choice(PLACES).values))  # equal, and not the same object
        found.append(SettledPromise(at, at - lot.randrange(3), place, lot.random() < 0.7))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_what_goes_and_comes_leaves_the_rest_in_order(seed: int) -> None:
    lot = random.Random(seed)
    kept, known = list[SettledPromise](), OrderedPromises()
    moments = lot.choice((3, 40, 10_000))
    for _ in range(60):
        gone = lot.sample(kept, lot.randrange(min(len(kept), 30) + 1))
        new = drawn(lot, lot.choice((0, 1, 7, 60)), moments)
        for each in gone:
            kept.remove(each)
        kept += new
        known.replace(gone, new)
        assert list(known.columns) == in_order(kept) and len(known) == len(kept)
    assert kept


def test_a_sequence_of_columns_is_what_a_list_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "ROWS_AT_ONCE", 7)
    known = drawn(random.Random(1), 40)
    columns = PromiseColumns.of(iter(known))
    assert columns == known and list(reversed(columns)) == known[::-1] and columns == PromiseColumns.of(known)
    assert PromiseColumns.of(columns) is columns
    assert columns[3] == known[3] and columns[-1] == known[-1] and columns[5:9] == known[5:9]
    assert columns != known[:-1] and columns[:0] == [] and columns != 40
    assert columns != [*known[:-1], SettledPromise(1e9, 0.0, PLACES[0], kept=True)]


def test_places_are_counted_in_the_order_in_which_they_are_met() -> None:
    told = [SettledPromise(at, at, PLACES[place], kept=kept) for at, place, kept in
            ((1.0, 2, True), (2.0, 0, False), (3.0, 2, False), (4.0, 0, False), (5.0, 1, True))]  # fmt: skip
    assert PromiseColumns.of(told).by_place() == [(PLACES[2], 2, 1), (PLACES[0], 2, 2), (PLACES[1], 1, 0)]
    assert PromiseColumns.of(told)[:2].by_place() == [(PLACES[2], 1, 0), (PLACES[0], 1, 1)]
    assert PromiseColumns.of([]).by_place() == []


def test_a_place_is_known_again_when_objects_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promises, "OBJECTS_REMEMBERED_MAX", 2)
    known = drawn(random.Random(2), 30)
    columns = PromiseColumns.of(known)
    assert columns == known and len(columns.places.segments) == len(PLACES)
