"""Localisation: places what is broken, clears what is not, says when there are several."""

import importlib.util
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.localisation import Cell, place
from prikkfri.assurance.segments import Segment

PARTNERS, CLASSES, DIRECTIONS = ("Telia", "Tele2", "Tre"), ("ordinary", "code", "notice"), ("in", "out")


def cells(rng: random.Random, broken: dict[str, str] | None, share: float = 0.05, each: int = 400) -> list[Cell]:
    """Messages by partner, class and direction; those that `broken` holds fail with `share`, the rest 2 in 1000."""
    found = []
    for partner in PARTNERS:
        for message_class in CLASSES:
            for direction in DIRECTIONS:
                values = {"partner": partner, "class": message_class, "direction": direction}
                hit = broken is not None and broken.items() <= values.items()
                failed = sum(rng.random() < (share if hit else 0.002) for _ in range(each))
                found.append(Cell(Segment.of(values), each, failed))
    return found


@pytest.mark.parametrize(
    "broken",
    [{"partner": "Telia"}, {"direction": "in"}, {"partner": "Tre", "direction": "out"}],
    ids=str,
)
@pytest.mark.parametrize("seed", range(5))
def test_places_what_is_broken_and_clears_the_rest(broken: dict[str, str], seed: int) -> None:
    rng = random.Random(seed)
    before, now = cells(rng, None, each=2_000), cells(rng, broken)
    placement = place(now, before)
    assert [each.segment for each in placement.placed] == [Segment.of(broken)]
    cleared = {each.segment for each in placement.cleared}
    others = {("partner", partner) for partner in PARTNERS} - set(broken.items())
    assert {Segment((value,)) for value in others} <= cleared or "partner" not in broken
    assert not cleared & {Segment((value,)) for value in broken.items()}
    for each in placement.cleared:
        assert each.share < 0.02


def test_says_when_there_are_several() -> None:
    rng = random.Random(7)
    now = [
        Cell(cell.segment, cell.settled, 40 if cell.segment.get("partner") in ("Telia", "Tre") else cell.broken)
        for cell in cells(rng, None)
    ]
    placement = place(now, cells(rng, None, each=2_000))
    assert placement.several
    assert {each.segment for each in placement.placed} == {
        Segment.of({"partner": "Telia"}),
        Segment.of({"partner": "Tre"}),
    }


@pytest.mark.parametrize("seed", range(20))
def test_places_nothing_where_nothing_stands_out(seed: int) -> None:
    rng = random.Random(seed)
    assert place(cells(rng, None), cells(rng, None)).placed == ()


def test_what_is_broken_everywhere_is_in_no_segment() -> None:
    now = [Cell(cell.segment, 100, 60) for cell in cells(random.Random(1), None)]
    assert place(now).placed == ()


def test_too_few_promises_clear_nothing() -> None:
    now = [
        Cell(Segment.of({"layer": "signin"}), 200, 200),
        Cell(Segment.of({"layer": "streams"}), 300, 0),
        Cell(Segment.of({"layer": "door"}), 1, 0),
    ]
    placement = place(now, [Cell(Segment.of({"layer": "door"}), 500, 0)])
    assert [each.segment for each in placement.placed] == [Segment.of({"layer": "signin"})]
    assert Segment.of({"layer": "streams"}) in {each.segment for each in placement.cleared}
    # One promise kept where all would fail is proof; one kept where one in twenty fails would be none.
    weak = [Cell(cell.segment, cell.settled, 10 if cell.broken else 0) for cell in now]
    assert Segment.of({"layer": "door"}) not in {each.segment for each in place(weak).cleared}


count = st.integers(min_value=0, max_value=10**6)
value = st.sampled_from("abc")


@given(st.lists(st.tuples(value, value, count, count), max_size=30))
def test_any_table_is_taken(rows: list[tuple[str, str, int, int]]) -> None:
    table = [Cell(Segment.of({"x": x, "y": y}), kept + broken, broken) for x, y, kept, broken in rows]
    placement = place(table, table)
    for each in placement.placed:
        assert 0 <= each.broken <= each.settled
        assert each.share > each.outside


def test_the_real_incidents_are_placed_no_worse_than_before(shared_data) -> None:  # type: ignore[no-untyped-def]
    """The benchmark's own figure: micro-F1 over the exact segments of 67 incidents of a video provider."""
    path = Path(__file__).parents[2] / "benchmarks" / "localisation.py"
    spec = importlib.util.spec_from_file_location("benchmark_localisation", path)
    assert spec and spec.loader
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    scores = benchmark.run(shared_data / "localisation")
    assert scores["prikkfri"]["micro_f1"] >= 0.72
    assert scores["prikkfri"]["micro_f1"] > scores["plain likelihood-ratio scan"]["micro_f1"]
