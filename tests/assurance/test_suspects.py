"""Suspects: the values that hold the fault, neither wider nor narrower, and what is cleared beside them."""

import importlib.util
import itertools
import random
from collections.abc import Callable
from math import log
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.assurance.lattice import lattice
from prikkfri.assurance.localisation import Cell
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.suspects import (
    CAUSES_MAX,
    SUSPECTS_MAX,
    Location,
    Reading,
    divergence,
    locate,
)

PARTNERS, CLASSES, DIRECTIONS = ("Telia", "Tele2", "Tre", "Ice"), ("ordinary", "code", "notice"), ("in", "out")
Values = dict[str, str]


def table(share: Callable[[Values], float], each: int = 1_000) -> list[Cell]:
    """Messages by partner, class and direction, broken by the share of their values, without chance."""
    found = []
    for partner, kind, direction in itertools.product(PARTNERS, CLASSES, DIRECTIONS):
        values = {"partner": partner, "class": kind, "direction": direction}
        found.append(Cell(Segment.of(values), each, round(share(values) * each)))
    return found


def worse(*segments: Values, share: float = 0.2, otherwise: float = 0.01) -> Callable[[Values], float]:
    return lambda values: share if any(each.items() <= values.items() for each in segments) else otherwise


USUAL = table(worse(), each=5_000)


def placed(found: Location) -> list[Values]:
    return [dict(each.segment.values) for each in found.placed]


def cleared(found: Location) -> set[str]:
    return {str(each.segment) for each in found.cleared}


@pytest.mark.parametrize(
    "fault",
    [
        {"partner": "Telia"},
        {"direction": "in"},
        {"partner": "Telia", "direction": "in"},
        {"partner": "Tre", "class": "code"},
        {"partner": "Tre", "class": "code", "direction": "out"},
    ],
    ids=str,
)
@pytest.mark.parametrize("share", [0.06, 0.2, 0.9])
def test_neither_the_wider_nor_the_narrower_is_placed(fault: Values, share: float) -> None:
    found = locate(table(worse(fault, share=share)), USUAL)
    assert placed(found) == [fault]
    assert found.suspects[0] == found.placed[0]
    assert not {f"{name}={value}" for name, value in fault.items()} & cleared(found)


def test_four_values_are_found() -> None:
    fault = {"a": "1", "b": "1", "c": "1", "d": "1"}

    def cells(broken: Callable[[Values], float]) -> list[Cell]:
        every = (dict(zip("abcde", values, strict=True)) for values in itertools.product("123", repeat=5))
        return [Cell(Segment.of(values), 200, 200 * broken(values)) for values in every]

    assert placed(locate(cells(worse(fault, share=0.5)), cells(worse()))) == [fault]


def test_several_of_the_same_dimensions_are_placed_the_best_first() -> None:
    one, two = {"partner": "Telia"}, {"partner": "Tre"}
    found = locate(table(lambda values: {"Telia": 0.3, "Tre": 0.4}.get(values["partner"], 0.01)), USUAL)
    assert placed(found) == [two, one]
    assert cleared(found) == {"partner=Ice", "partner=Tele2"}
    assert [each.segment for each in found.suspects[:2]] == [Segment.of(two), Segment.of(one)]


def test_what_is_less_than_half_as_bad_is_a_suspect_and_not_placed_and_not_cleared() -> None:
    found = locate(table(lambda values: {"Telia": 0.4, "Tre": 0.16}.get(values["partner"], 0.01)), USUAL)
    assert placed(found) == [{"partner": "Telia"}]
    assert Segment.of({"partner": "Tre"}) in [each.segment for each in found.suspects[:3]]
    assert cleared(found) == {"partner=Ice", "partner=Tele2"}


def test_what_is_broken_alike_everywhere_is_in_none_of_the_values_that_are_known() -> None:
    assert locate(table(worse(otherwise=0.5)), USUAL) == Location()


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_what_is_as_it_always_was_is_not_placed_and_nothing_is_cleared(share: float) -> None:
    always = worse({"partner": "Tre"}, share=share)
    found = locate(table(always), table(always, each=5_000))
    assert (placed(found), found.cleared) == ([], ())
    assert placed(locate(table(worse({"partner": "Tre"}, share=0.6)), table(always))) == [{"partner": "Tre"}]


def test_a_first_minute_is_placed_by_what_lies_outside_and_clears_nothing() -> None:
    found = locate(table(worse({"partner": "Telia"})))
    assert placed(found) == [{"partner": "Telia"}]
    assert (found.placed[0].usual, found.cleared) == (None, ())


def test_a_hundred_thousand_that_fail_together_prove_no_more_than_five_hundred() -> None:
    """A share that moves a little from minute to minute is no fault, however many promises say so."""

    def cells(share: float, each: int) -> list[Cell]:
        shares = {"Telia": share, "Tre": 0.02, "Ice": 0.02, "Tele2": 0.02}
        return [Cell(Segment.of({"partner": name}), each, round(each * s)) for name, s in shares.items()]

    assert placed(locate(cells(0.04, 100_000), cells(0.02, 500_000))) == []
    bold = Reading(overdispersion=0.0)
    assert placed(locate(cells(0.04, 100_000), cells(0.02, 500_000), reading=bold)) == [{"partner": "Telia"}]
    assert placed(locate(cells(0.3, 100_000), cells(0.02, 500_000))) == [{"partner": "Telia"}]


def test_the_figures_are_those_of_the_table() -> None:
    now = table(worse({"partner": "Telia"}))
    (at_fault,) = locate(now, USUAL).placed
    assert (at_fault.settled, at_fault.broken, at_fault.usual) == (6_000.0, 1_200.0, 0.01)
    assert at_fault.outside == pytest.approx(0.01)
    assert at_fault.evidence > 100
    by = {str(each.segment): each for each in locate(now, USUAL).cleared}
    assert set(by) == {"partner=Tele2", "partner=Tre", "partner=Ice"}
    assert (by["partner=Tre"].settled, by["partner=Tre"].broken) == (6_000.0, 60.0)
    assert by["partner=Tre"].usual == pytest.approx(0.01)
    everything = [Cell(Segment.of({"partner": "Telia"}), 500, 400)]
    assert locate(everything, [Cell(Segment.of({"partner": "Telia"}), 500, 4)]).placed == ()


def test_what_shows_too_little_to_show_the_fault_is_not_cleared() -> None:
    def cells(broken: int, of_ice: int) -> list[Cell]:
        return [
            Cell(Segment.of({"partner": "Telia"}), 1_000, broken),
            Cell(Segment.of({"partner": "Tre"}), 1_000, 10),
            Cell(Segment.of({"partner": "Ice"}), of_ice, 0),
        ]

    assert cleared(locate(cells(300, 5), cells(10, 50))) == {"partner=Tre"}
    assert cleared(locate(cells(300, 50), cells(10, 50))) == {"partner=Tre", "partner=Ice"}


def test_a_value_that_some_do_not_have_is_a_place_among_those_that_have_it() -> None:
    now = [
        *(Cell(Segment.of({"layer": "link", "link": link}), 500, broken) for link, broken in (("a", 200), ("b", 5))),
        Cell(Segment.of({"layer": "sms-centre"}), 1_000, 10),
    ]
    before = [Cell(each.segment, 5_000, 50) for each in now]
    assert placed(locate(now, before)) == [{"link": "a"}]


def test_of_the_same_promises_the_one_of_fewer_values_is_named() -> None:
    shares = (("a", "x", 0.4), ("b", "x", 0.01), ("b", "y", 0.01), ("c", "y", 0.01))
    now = [Cell(Segment.of({"link": link, "site": site}), 1_000, 1_000 * share) for link, site, share in shares]
    assert placed(locate(now, [Cell(each.segment, 5_000, 50) for each in now])) == [{"link": "a"}]


def test_what_is_just_half_as_bad_is_placed_too() -> None:
    now = [
        Cell(Segment.of({"link": link}), 1_000, broken)
        for link, broken in (("a", 400), ("b", 200), ("c", 10), ("d", 10))
    ]
    before = [Cell(each.segment, 5_000, 50) for each in now]
    assert placed(locate(now, before)) == [{"link": "a"}, {"link": "b"}]
    now[1] = Cell(now[1].segment, 1_000, 199)
    assert placed(locate(now, before)) == [{"link": "a"}]


def test_one_promise_that_broke_with_any_of_the_faults_keeps_its_values_from_being_cleared() -> None:
    counts = {link + kind: (1_000, 400) for link in "ab" for kind in "uvz"} | {"ax": (20, 1), "by": (20, 1)}
    counts |= {link + kind: (1_000, 10) for link in "cd" for kind in "uvwxyz"}
    now = [Cell(Segment.of({"link": link, "class": kind}), *each) for (link, kind), each in counts.items()]
    found = locate(now, [Cell(each.segment, each.settled * 5, each.settled * 0.05) for each in now])
    assert sorted(str(each) for each in placed(found)) == ["{'link': 'a'}", "{'link': 'b'}"]
    assert cleared(found) == {"link=c", "link=d", "class=w"}


def test_of_many_equals_those_of_fewer_values_come_first() -> None:
    def cells(share: Callable[[int], float]) -> list[Cell]:
        return [Cell(Segment.of({"link": f"{n:02}", "site": f"{n:02}"}), 400, 400 * share(n)) for n in range(60)]

    found = locate(cells(lambda n: (0.5, 0.4)[n % 2] if n < 20 else 0.01), cells(lambda n: 0.01))
    assert placed(found) == [{"link": f"{n:02}"} for n in (0, 2, 4, 6, 8)]
    assert {len(each.segment.values) for each in found.suspects} == {1}


def test_where_all_is_broken_alike_nothing_is_divided_by_nothing() -> None:
    every = [Cell(Segment.of({"x": x, "y": y}), 1, 1) for x, y in itertools.product("ab", "cd")]
    with np.errstate(divide="raise", invalid="raise"):
        assert locate(every) == Location()


def test_there_are_so_many_suspects_and_causes_and_no_more() -> None:
    def cells(share: Callable[[int], float]) -> list[Cell]:
        return [Cell(Segment.of({"link": f"{n:03}"}), 400, 400 * share(n)) for n in range(60)]

    found = locate(cells(lambda n: 0.5 if n < 20 else 0.01), cells(lambda n: 0.01))
    assert [len(found.placed), len(found.suspects)] == [CAUSES_MAX, SUSPECTS_MAX]
    assert len({each.segment for each in found.suspects}) == SUSPECTS_MAX
    assert found.suspects[: len(found.placed)] == found.placed


def test_a_table_of_nothing_is_nowhere() -> None:
    assert locate([]) == locate([], USUAL) == locate([Cell(Segment(), 10, 5)]) == Location()
    assert locate(table(worse(share=0.0, otherwise=0.0)), USUAL) == Location()


def test_a_lattice_holds_every_combination_once_and_says_which_lies_in_which() -> None:
    found = lattice(table(worse({"partner": "Telia"})), USUAL)
    segments = [found.segment(group) for group in range(len(found.leaf))]
    assert len(set(segments)) == len(segments) == 4 + 3 + 2 + 12 + 8 + 6 + 24
    counts = found.summed(found.leaves)
    for group, segment in enumerate(segments):
        inside = [cell for cell in table(worse({"partner": "Telia"})) if segment.holds(cell.segment)]
        assert counts.settled[group] == sum(cell.settled for cell in inside) == found.holds(group).sum() * 1_000
        assert counts.broken[group] == sum(cell.broken for cell in inside)
        assert counts.settled_before[group] == 5 * counts.settled[group]
    pairs = set(zip(found.narrow.tolist(), found.wide.tolist(), strict=True))
    assert pairs == {
        (narrow, wide)
        for narrow, wide in itertools.product(range(len(segments)), repeat=2)
        if segments[wide].holds(segments[narrow]) and len(segments[wide].values) == len(segments[narrow].values) - 1
    }


@pytest.mark.parametrize("cells", [[], [Cell(Segment(), 10, 5)]], ids=["nothing", "no values"])
def test_a_lattice_of_no_values_has_no_groups(cells: list[Cell]) -> None:
    found = lattice(cells, [])
    assert [len(each) for each in (found.leaf, found.combination, found.narrow, found.wide)] == [0, 0, 0, 0]


def test_a_lattice_of_many_values_numbers_its_groups_as_one_of_few() -> None:
    """More pairs of values are possible than are counted off; some leaves lack one of the two."""
    pairs = [{"link": f"{n:03}", "site": f"{n * 7 % 300:03}"} for n in range(300)]
    values = [*pairs, *({"link": f"{n:03}"} for n in range(40)), {"link": "000", "site": "000", "layer": "link"}]
    found = lattice([Cell(Segment.of(each), 1, 0) for each in values], [])
    segments = [found.segment(group) for group in range(len(found.leaf))]
    assert segments[0] == Segment.of({"layer": "link"}) and len(segments) == len(set(segments)) == 1 + 300 * 3 + 3
    for group in range(0, len(segments), 13):
        assert found.holds(group).tolist() == [segments[group].holds(leaf) for leaf in found.segments]
    pair = {str(segment): group for group, segment in enumerate(segments)}
    links = set(zip(found.narrow.tolist(), found.wide.tolist(), strict=True))
    assert {wide for narrow, wide in links if narrow == pair["link=001, site=007"]} == {
        pair["link=001"],
        pair["site=007"],
    }


@pytest.mark.parametrize(("dimensions", "leaves", "depth"), [(5, 40, 4), (16, 900, 4), (22, 440, 3), (60, 2_200, 1)])
def test_of_many_leaves_of_many_dimensions_groups_are_of_fewer_values(dimensions: int, leaves: int, depth: int) -> None:
    names = [f"{number:02}" for number in range(1, dimensions)]
    cells = [Cell(Segment.of({"00": f"{n:04}"} | dict.fromkeys(names, "x")), 1, 0) for n in range(leaves)]
    found = lattice(cells, [])
    assert max(map(len, found.combinations)) == depth


def test_counts_are_worth_fewer_the_more_fail_together() -> None:
    now = [Cell(Segment.of({"x": x}), n, n / 2) for x, n in (("a", 0), ("b", 1), ("c", 2), ("d", 501))]
    before = [Cell(Segment.of({"x": x}), n, n) for x, n in (("a", 501), ("b", 1), ("c", 2))]
    counts = lattice(now, before).leaves
    worth = counts.deflated(0.002)
    assert worth.settled.tolist() == pytest.approx([0, 1, 2 / 1.002, 250.5])
    assert worth.broken.tolist() == pytest.approx([0, 0.5, 1 / 1.002, 125.25])
    assert worth.settled_before.tolist() == worth.broken_before.tolist() == pytest.approx([250.5, 1, 2 / 1.002, 0])
    assert counts.share.tolist() == [0, 0.5, 0.5, 0.5]


def test_a_divergence_is_that_of_the_book() -> None:
    with np.errstate(all="raise"):  # what is nought times nothing is meant
        assert float(divergence(0.5, 0.25)) == pytest.approx(0.5 * log(2) + 0.5 * log(0.5 / 0.75))
        assert float(divergence(0.5, 0.0)) == pytest.approx(
            0.5 * log(0.5 / 1e-9) + 0.5 * log(0.5)
        )  # large, not endless
        assert float(divergence(0.5, 1.0)) == pytest.approx(0.5 * log(0.5) + 0.5 * log(0.5 / 1e-9))
        assert float(divergence(0.0, 0.5)) == float(divergence(1.0, 0.5)) == pytest.approx(log(2))


names = st.sampled_from("abcd")
tables = st.lists(st.tuples(names, names, st.integers(0, 3_000), st.integers(0, 3_000)), max_size=8)


@settings(max_examples=25, deadline=None)
@given(tables, tables, st.randoms(use_true_random=False))
def test_a_location_rests_on_the_counts_and_on_nothing_else(
    rows: list[tuple[str, str, int, int]], past: list[tuple[str, str, int, int]], rng: random.Random
) -> None:
    now, before = (
        [Cell(Segment.of({"x": x, "y": y}), kept + broken, broken) for x, y, kept, broken in each]
        for each in (rows, past)
    )
    found = locate(now, before)
    cut = [Cell(cell.segment, part, rest) for cell in now for part, rest in halves(cell)]
    rng.shuffle(cut)
    assert locate(cut, rng.sample(before, len(before))) == found
    for each in found.suspects:
        inside = [cell for cell in now if each.segment.holds(cell.segment)]
        assert each.settled == sum(cell.settled for cell in inside)
        assert each.broken == sum(cell.broken for cell in inside)
    assert all(each.share > each.outside for each in found.placed[:1])
    failed = [cell for cell in now if cell.broken and any(e.segment.holds(cell.segment) for e in found.placed)]
    for clear in found.cleared:
        assert not any(clear.segment.holds(cell.segment) for cell in failed)
        assert not any(clear.segment.holds(each.segment) for each in found.suspects)


def halves(cell: Cell) -> list[tuple[float, float]]:
    broken, settled = cell.broken // 2, cell.broken // 2 + (cell.settled - cell.broken) // 3
    return [(settled, broken), (cell.settled - settled, cell.broken - broken)]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "localisation.py"
    spec = importlib.util.spec_from_file_location("benchmark_localisation", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_holds_the_fault_is_never_cleared(benchmark: ModuleType, seed: int) -> None:
    """Of drawn incidents: one to three causes of one to four values, uneven and overdispersed."""
    case = benchmark.drawn(random.Random(seed), people_max=20_000)
    at_fault = {value for segment in case.truth for value in segment.values}
    for each in locate(case.now, case.before).cleared:
        assert not at_fault & set(each.segment.values), (case.truth, each.sentence)


def test_the_real_incidents_are_placed_no_worse_than_before(benchmark: ModuleType, shared_data: Path) -> None:
    scores = benchmark.scores(benchmark.real(shared_data / "localisation"), methods=("prikkfri",))["prikkfri"]
    assert scores["micro_f1"] >= 0.86
    assert (scores["within_3"] >= 0.92, scores["within_5"] >= 0.94) == (True, True)
    assert (scores["cleared_at_fault"], scores["cleared"] >= 250) == (0, True)


@pytest.mark.slow
def test_drawn_incidents_are_placed_and_drawn_quiet_is_not(benchmark: ModuleType) -> None:
    """Worlds that nothing was fitted to: their figures stand in docs/decisions/localisation.md."""
    rng = random.Random(1)
    cases = [benchmark.drawn(rng, people_max=15_000) for _ in range(15)]
    scores = benchmark.scores(cases, methods=("prikkfri",))["prikkfri"]
    assert scores["micro_f1"] >= 0.65
    assert (scores["within_5"] >= 0.8, scores["cleared_at_fault"]) == (True, 0)
    quiet = [benchmark.drawn(rng, quiet=True, people_max=15_000) for _ in range(15)]
    assert sum(bool(locate(each.now, each.before).placed) for each in quiet) <= 1
