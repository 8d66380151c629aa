"""Localisation: places what is broken, clears what is not, says when there are several."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.assurance.localisation import CAUSES_MAX, Cell, ClearedValue, FaultSegment, Placement, place, with_alarmed
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


def delivering(**links: tuple[int, int]) -> list[Cell]:
    """Messages settled and broken on each link, and as many that were taken in, of which nothing fails."""
    base = {"service": "messages", "step": "deliver", "layer": "link"}
    found = [Cell(Segment.of({**base, "link": link}), *count) for link, count in links.items()]
    taken = sum(settled for settled, _ in links.values())
    return [*found, Cell(Segment.of({"service": "messages", "step": "submit", "layer": "sms-centre"}), taken, 0)]


@pytest.mark.parametrize("off", [5, 7])
def test_phones_that_are_off_are_no_fault_of_the_layer_beside_a_link_that_fails(off: int) -> None:
    before = delivering(a=(59, 0), b=(52, 0), c=(48, 0))
    placement = place(delivering(a=(42, 30), b=(46, off), c=(45, 0)), before)
    assert [str(each.segment) for each in placement.placed] == ["link=a"]


@pytest.mark.parametrize(("broken", "placed"), [(30, []), (100, ["layer=link"])])
def test_what_is_ordinary_at_a_step_is_no_fault_where_nothing_is_known_of_before(
    broken: int, placed: list[str]
) -> None:
    placement = place(delivering(a=(400, broken), b=(400, broken)))
    assert [str(each.segment) for each in placement.placed] == placed


def test_what_is_broken_everywhere_is_in_no_segment() -> None:
    now = [Cell(cell.segment, 100, 60) for cell in cells(random.Random(1), None)]
    assert place(now).placed == ()


def test_too_few_promises_clear_nothing() -> None:
    now = [
        Cell(Segment.of({"layer": "signin"}), 200, 200),
        Cell(Segment.of({"layer": "streams"}), 300, 0),
        Cell(Segment.of({"layer": "door"}), 1, 0),
        Cell(Segment.of({"layer": "interface"}), 20, 0),
    ]
    placement = place(now, [Cell(Segment.of({"layer": "door"}), 500, 0)])
    assert [each.segment for each in placement.placed] == [Segment.of({"layer": "signin"})]
    assert named(placement)[1] == {"layer=streams", "layer=door", "layer=interface"}
    # One promise kept where all would fail is proof; twenty kept where one in twenty fails would be none.
    weak = [Cell(cell.segment, cell.settled, 10 if cell.broken else 0) for cell in now]
    assert named(place(weak))[1] == {"layer=streams"}


Shares = dict[str, float]


def table(shares: Shares, *, otherwise: float = 0.002, each: int = 1_000) -> list[Cell]:
    """The same without chance: `Telia` or `Telia in` has its own share, the longest name that holds."""
    found = []
    for partner, message_class, direction in itertools.product(PARTNERS, CLASSES, DIRECTIONS):
        names = (f"{partner} {message_class} {direction}", f"{partner} {direction}", partner, direction, message_class)
        share = next((shares[name] for name in names if name in shares), otherwise)
        values = {"partner": partner, "class": message_class, "direction": direction}
        found.append(Cell(Segment.of(values), each, round(share * each)))
    return found


def named(placement: Placement) -> tuple[list[str], set[str]]:
    return [str(each.segment) for each in placement.placed], {str(each.segment) for each in placement.cleared}


@pytest.mark.parametrize(
    ("now", "before", "placed", "cleared"),
    [
        pytest.param({"Telia": 0.05}, {}, ["partner=Telia"],
                     {"partner=Tele2", "partner=Tre"}, id="one"),
        pytest.param({"Telia": 0.05, "Tre": 0.06}, {}, ["partner=Tre", "partner=Telia"],
                     {"partner=Tele2"}, id="two, the worst first"),
        pytest.param({"Telia in": 0.05}, {}, ["direction=in, partner=Telia"],
                     {"partner=Tele2", "partner=Tre", "direction=out"}, id="inside another"),
        pytest.param({"Telia code in": 0.2}, {}, ["class=code, direction=in, partner=Telia"],
                     {"partner=Tele2", "partner=Tre", "direction=out", "class=notice", "class=ordinary"},
                     id="inside two others"),
        pytest.param({"Telia in": 0.05, "Tre out": 0.05}, {},
                     ["direction=in, partner=Telia", "direction=out, partner=Tre"], {"partner=Tele2"},
                     id="two inside others"),
        pytest.param({"Telia": 0.05, "Tre": 0.015}, {"Tre": 0.015}, ["partner=Telia"],
                     {"partner=Tele2", "partner=Tre"},
                     id="one that is always a little worse is well"),
        pytest.param({"Tre": 0.1}, {"Tre": 0.1}, [], set(), id="one that is always worse is not what has happened"),
        pytest.param({"Telia": 0.05, "Tre": 0.1}, {}, ["partner=Tre"], {"partner=Tele2"},
                     id="what is half as bad is not named, and neither cleared"),
        pytest.param({"Telia": 0.05}, {"Telia": 0.05}, [], set(), id="all as it always is"),
        pytest.param({"Telia": 0.3, "Tre": 0.3, "Tele2": 0.3}, {}, [], set(), id="everywhere"),
    ],
)  # fmt: skip
def test_what_is_at_fault_is_named_and_only_what_is_well_is_cleared(
    now: Shares, before: Shares, placed: list[str], cleared: set[str]
) -> None:
    assert named(place(table(now), table(before, each=5_000))) == (placed, cleared)


def test_the_figures_are_those_of_the_place_and_of_what_lies_outside_it() -> None:
    placement = place(table({"Telia in": 0.05, "Telia out": 0.004}), table({"Tre": 0.003}, each=5_000))
    (at_fault,) = placement.placed
    assert (at_fault.settled, at_fault.broken, at_fault.usual) == (3_000, 150, 0.002)
    assert at_fault.share == 0.05
    assert at_fault.outside == (12 * 2 + 3 * 4) / 15_000
    assert at_fault.sentence == "direction=in, partner=Telia: 5.0% of 3000 broken, 0.2% outside it, 0.2% before"
    cleared = {str(each.segment): each for each in placement.cleared}
    assert cleared["partner=Tre"].sentence == "partner=Tre: 0.2% of 6000 broken, usually 0.3%"
    assert "class=code" not in cleared, "of what is at fault, some are codes"
    assert (cleared["partner=Tele2"].settled, cleared["partner=Tele2"].broken) == (6_000, 12), "outside the place"
    unknown = place(table({"Telia": 0.05}))
    assert [each.sentence for each in unknown.placed] == ["partner=Telia: 5.0% of 6000 broken, 0.2% outside it"]
    assert {each.usual for each in unknown.cleared} == {0.002}, "as outside, when nothing is known of before"


def test_what_is_broken_itself_is_never_cleared_by_promises_that_were_kept_elsewhere() -> None:
    """Nine in ten of Telia's go out and arrive; those that come in do not."""
    now = [
        Cell(Segment.of({"partner": "Telia", "direction": "in"}), 1_000, 900),
        Cell(Segment.of({"partner": "Telia", "direction": "out"}), 9_000, 0),
        Cell(Segment.of({"partner": "Tre", "direction": "in"}), 9_000, 0),
        Cell(Segment.of({"partner": "Tre", "direction": "out"}), 9_000, 0),
    ]
    assert named(place(now)) == (["direction=in, partner=Telia"], {"partner=Tre", "direction=out"})


def test_what_got_worse_itself_is_not_cleared_because_another_is_worse_still() -> None:
    now = table({"Telia": 0.9, "Tre": 0.006})
    placed, cleared = named(place(now, table({}, each=5_000)))
    assert placed == ["partner=Telia"]
    assert "partner=Tre" not in cleared
    assert "partner=Tele2" in cleared


def test_what_is_well_is_cleared_by_what_is_usual_for_it_or_for_all() -> None:
    """A little over the usual with ever so many promises; and as usual for all, where little was known of it."""
    now = [
        Cell(Segment.of({"link": "broken"}), 5_000, 500),
        Cell(Segment.of({"link": "large"}), 1_000_000, 2_600),
        Cell(Segment.of({"link": "new"}), 20_000, 40),
    ]
    before = [
        Cell(Segment.of({"link": "broken"}), 5_000, 10),
        Cell(Segment.of({"link": "large"}), 1_000_000, 2_000),
        Cell(Segment.of({"link": "new"}), 50, 0),
    ]
    assert named(place(now, before)) == (["link=broken"], {"link=large", "link=new"})


def test_the_step_is_named_last_and_no_more_than_three_values_are() -> None:
    now = [
        Cell(Segment.of({"step": "sign-in", "way": "a"}), 500, 400),
        Cell(Segment.of({"step": "enter", "way": "b"}), 5_000, 5),
    ]
    assert named(place(now))[0] == ["way=a"]
    four = [
        Cell(Segment.of(dict(zip("abcd", values, strict=True))), 1_000, 900 if values == ("x",) * 4 else 2)
        for values in itertools.product("xyz", repeat=4)
    ]
    assert named(place(four))[0][0].count("=x") == 3


def test_seven_tenths_as_bad_is_as_bad_and_half_as_much_again_as_usual_is_usual() -> None:
    well = Cell(Segment.of({"link": "w"}), 50_000, 100)
    now = [Cell(Segment.of({"link": "a"}), 1_000, 1_000), Cell(Segment.of({"link": "b"}), 1_000, 700), well]
    assert named(place(now))[0] == ["link=a", "link=b"]
    usual = [Cell(Segment.of({"link": "a"}), 5_000, 10), Cell(Segment.of({"link": "b"}), 3_000, 750), well]
    worse = [Cell(Segment.of({"link": "a"}), 5_000, 2_500), Cell(Segment.of({"link": "b"}), 3_000, 1_125), well]
    assert named(place(worse, usual))[0] == ["link=a"]


def test_a_lucky_minute_of_the_others_proves_nothing() -> None:
    now = [Cell(Segment.of({"link": "a"}), 10_000, 110), Cell(Segment.of({"link": "b"}), 50_000, 50)]
    before = [Cell(Segment.of({"link": "a"}), 10_000, 50), Cell(Segment.of({"link": "b"}), 50_000, 500)]
    assert named(place(now, before)) == ([], set())


def test_a_second_place_is_broken_as_badly_on_as_good_evidence_and_was_not_before() -> None:
    first, well = Cell(Segment.of({"link": "a"}), 5_000, 2_750), Cell(Segment.of({"link": "b"}), 50_000, 100)
    before = [Cell(Segment.of({"link": "a"}), 5_000, 10), Cell(Segment.of({"link": "b"}), 50_000, 100)]
    few = Cell(Segment.of({"link": "c"}), 20, 12)
    assert named(place([first, well, few], before)) == (["link=a"], {"link=b"})
    always = Cell(Segment.of({"link": "c"}), 3_000, 1_500)
    usual = Cell(Segment.of({"link": "c"}), 10_000, 4_000)
    assert named(place([first, well, always], [*before, usual])) == (["link=a"], {"link=b", "link=c"})


def test_what_is_always_as_broken_as_the_fault_is_neither_named_nor_cleared() -> None:
    now = [
        Cell(Segment.of({"link": "a"}), 5_000, 2_000),
        Cell(Segment.of({"link": "b"}), 50_000, 100),
        Cell(Segment.of({"link": "c"}), 300, 170),
    ]
    before = [
        Cell(Segment.of({"link": "a"}), 5_000, 10),
        Cell(Segment.of({"link": "b"}), 50_000, 100),
        Cell(Segment.of({"link": "c"}), 300, 150),
    ]
    assert named(place(now, before)) == (["link=a"], {"link=b"})


def test_of_two_places_the_milder_says_what_would_have_shown() -> None:
    now = [
        Cell(Segment.of({"link": "a"}), 1_000, 900),
        Cell(Segment.of({"link": "b"}), 1_000, 650),
        Cell(Segment.of({"link": "c"}), 3, 0),
        Cell(Segment.of({"link": "d"}), 10_000, 20),
    ]
    placement = place(now)
    assert named(placement) == (["link=a", "link=b"], {"link=d"})
    assert [each.usual for each in placement.cleared] == [20 / 10_003], "as outside all that is at fault"


def test_no_more_than_three_places_are_named_and_the_fourth_is_not_cleared() -> None:
    now = [Cell(Segment.of({"link": name}), 1_000, 500 if name < "e" else 2) for name in "abcdefghijkl"]
    placed, cleared = named(place(now))
    assert placed == ["link=a", "link=b", "link=c"]
    assert cleared == {f"link={name}" for name in "efghijkl"}


def link(name: str, settled: int, broken: int) -> Cell:
    return Cell(Segment.of({"link": name}), settled, broken)


def test_of_several_causes_the_mildest_is_placed_too_and_no_ordinary_one() -> None:
    now = [link("a", 490, 490), link("b", 490, 146), link("c", 490, 2), link("d", 490, 1), link("e", 20, 4)]
    before = [link(name, 2_000, 4) for name in "abcde"]
    found = place(now, before, all_causes=True)
    assert named(found) == (["link=a", "link=b"], {"link=c", "link=d"})
    assert named(place(now, before))[0] == ["link=a"]
    six = [link(name, 1_950 // 6, 1_950 // 6 if name < "g" else 1) for name in "abcdefghijkl"]
    assert sorted(named(place(six, all_causes=True))[0]) == [f"link={name}" for name in "abcdef"]
    assert len(place([link(str(n), 100, 100 if n < 60 else 0) for n in range(900)], all_causes=True).placed) == 50


def test_what_is_always_broken_is_no_cause() -> None:
    now, before = [link("a", 490, 490), link("b", 490, 146), link("c", 9_000, 9)], [link("b", 2_000, 500)]
    before += [link("a", 2_000, 4), link("c", 9_000, 9)]
    assert named(place(now, before, all_causes=True))[0] == ["link=a"]


def test_what_is_broken_alike_in_an_alarmed_segment_is_placed_as_that() -> None:
    everything = Segment.of({"layer": "link"})

    def both(name: str, settled: int, broken: int) -> Cell:
        return Cell(Segment.of({"layer": "link", "link": name}), settled, broken)

    now, before = [both("a", 400, 400), *(both(name, 400, 120) for name in "bcd")], [both(n, 900, 2) for n in "abcd"]
    placed = place(now, before, all_causes=True)
    assert named(placed)[0] == ["link=a"]
    whole = with_alarmed(placed, [everything, placed.placed[0].segment], now, before)
    assert named(whole) == (["link=a", "layer=link"], set())
    assert (whole.placed[1].settled, whole.placed[1].broken, whole.placed[1].outside) == (1_200, 360, 0.0)
    # What the placed ones explain adds nothing; nor does what was as bad before, or where nothing is placed.
    well = [now[0], *(both(name, 400, 3) for name in "bcd")]
    assert with_alarmed(place(well, before), [everything], well, before) == place(well, before)
    assert with_alarmed(placed, [everything], now, [both(n, 900, 270) for n in "abcd"]) == placed
    assert with_alarmed(Placement(), [everything], now, before) == Placement()


def test_of_the_same_promises_the_layer_is_named_and_not_the_step() -> None:
    now = [
        Cell(Segment.of({"step": "sign-in", "layer": "signin", "app": "a"}), 500, 400),
        Cell(Segment.of({"step": "start-playback", "layer": "streams", "app": "b"}), 5_000, 5),
        Cell(Segment.of({"step": "switch-channel", "layer": "streams", "app": "b"}), 5_000, 5),
    ]
    assert named(place(now)) == (
        ["layer=signin"],
        {"layer=streams", "step=start-playback", "step=switch-channel", "app=b"},
    )


def test_one_promise_names_nobody() -> None:
    now = [Cell(Segment.of({"link": "a"}), 1, 1), Cell(Segment.of({"link": "b"}), 55, 0)]
    assert named(place(now)) == ([], set())
    assert place([]) == place([], table({})) == Placement()


def test_a_dimension_that_only_some_have_is_judged_by_those() -> None:
    now = [*table({}), Cell(Segment.of({"layer": "sms-centre"}), 5_000, 10), Cell(Segment.of({"link": "x"}), 300, 100)]
    placed, cleared = named(place(now))
    assert placed == ["link=x"]
    assert "layer=sms-centre" in cleared and "partner=Telia" in cleared


names = st.sampled_from("abcd")
tables = st.lists(st.tuples(names, names, st.integers(0, 3_000), st.integers(0, 3_000)), max_size=8)


@settings(max_examples=60)
@given(tables, tables, st.randoms(use_true_random=False))
def test_a_placement_rests_on_the_counts_and_on_nothing_else(
    rows: list[tuple[str, str, int, int]], past: list[tuple[str, str, int, int]], rng: random.Random
) -> None:
    """However the cells are cut and in whatever order they come; and its figures are those of the table."""
    now, before = (
        [Cell(Segment.of({"x": x, "y": y}), kept + broken, broken) for x, y, kept, broken in each]
        for each in (rows, past)
    )
    placement = place(now, before)
    cut = [Cell(cell.segment, part, rest) for cell in now for part, rest in _halves(cell)]
    rng.shuffle(cut)
    assert place(cut, rng.sample(before, len(before))) == placement
    left = list(now)
    for each in placement.placed:
        inside = [cell for cell in left if each.segment.holds(cell.segment)]
        left = [cell for cell in left if not each.segment.holds(cell.segment)]
        assert each.settled == sum(cell.settled for cell in inside)
        assert each.broken == sum(cell.broken for cell in inside)
        past_inside = [cell for cell in before if each.segment.holds(cell.segment)]
        past_settled, past_broken = sum(c.settled for c in past_inside), sum(c.broken for c in past_inside)
        assert each.usual == (past_broken / past_settled if past_settled else None)
        assert each.share > each.outside
    at_fault = {value for each in placement.placed for value in each.segment.values}
    for each in placement.cleared:
        (value,) = each.segment.values
        assert value not in at_fault
        assert each.settled == sum(cell.settled for cell in left if value in cell.segment.values) > 0
        assert each.broken == sum(cell.broken for cell in left if value in cell.segment.values)
        assert each.share < max(worst.share for worst in placement.placed)


def _halves(cell: Cell) -> list[tuple[float, float]]:
    broken, settled = cell.broken // 2, cell.broken // 2 + (cell.settled - cell.broken) // 3
    return [(settled, broken), (cell.settled - settled, cell.broken - broken)]


count = st.integers(min_value=0, max_value=10**6)
value = st.sampled_from("abc")


@given(st.lists(st.tuples(value, value, count, count), max_size=30))
def test_any_table_is_taken(rows: list[tuple[str, str, int, int]]) -> None:
    table = [Cell(Segment.of({"x": x, "y": y}), kept + broken, broken) for x, y, kept, broken in rows]
    placement = place(table, table)
    for each in placement.placed:
        assert 0 <= each.broken <= each.settled
        assert each.share > each.outside


counts = st.lists(
    st.builds(
        lambda layer, direction, account, settled, share: Cell(
            Segment.of({"service": "messages", "layer": layer, "direction": direction, "account": account}),
            settled,
            round(settled * share),
        ),
        st.sampled_from(["link", "sms-centre"]),
        st.sampled_from(["in", "out"]),
        st.sampled_from(["shop", "clinic", "school"]),
        st.integers(1, 400),
        st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.5, 1.0]),
    ),
    min_size=1,
    max_size=12,
)


@given(counts, counts)
def test_what_is_cleared_never_overlaps_what_failed(now: list[Cell], before: list[Cell]) -> None:
    found = place(now, before)
    for cleared in found.cleared:
        for cell in now:
            failed = cell.broken and any(each.segment.holds(cell.segment) for each in found.placed)
            assert not (failed and cleared.segment.holds(cell.segment)), (cleared, found.placed)


def test_an_alarmed_series_that_nothing_placed_explains_is_placed_with_its_figures() -> None:
    def at(partner: str, **more: str) -> Segment:
        return Segment.of({"partner": partner, **more})

    now = [Cell(at("a"), 100, 100), Cell(at("b", kind="x"), 100, 40), Cell(at("c", kind="y"), 100, 30),
           Cell(at("d", kind="z"), 100, 0), Cell(at("e", kind="y"), 60, 15)]  # fmt: skip
    before = [Cell(at("a"), 1_000, 1), Cell(at("b", kind="x"), 1_000, 2), Cell(at("e", kind="y"), 10, 2)]
    first = FaultSegment(at("a"), 100, 100, 0.2, 0.001, 400.0)
    well = tuple(ClearedValue(Segment.of({"kind": kind}), 100, 0, 0.0) for kind in "xz")
    found = with_alarmed(Placement((first,), well), [at("a"), at("b"), at("c"), at("d"), at("e")], now, before)
    assert [each.segment for each in found.placed] == [at("a"), at("b"), at("c"), at("e")]
    by = {each.segment: each for each in found.placed}
    assert (by[at("b")].settled, by[at("b")].broken, by[at("b")].usual) == (100, 40, 0.002)
    assert by[at("b")].outside == pytest.approx(45 / 260)
    assert (by[at("c")].usual, by[at("e")].usual) == (None, 0.2)
    assert by[at("c")].outside == pytest.approx(15 / 160), "of what nothing placed before it explains"
    assert [each.segment for each in found.cleared] == [Segment.of({"kind": "z"})], "what failed is not cleared"
    full = Placement((first,) * CAUSES_MAX, well)
    assert with_alarmed(full, [at("b")], now, before) == full
    assert len(with_alarmed(Placement((first,) * (CAUSES_MAX - 1), well), [at("b"), at("c")], now, before).placed) == 50
