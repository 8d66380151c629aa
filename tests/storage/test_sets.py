"""Sets of values for `IN (...)`: all of them, in statements of few lengths."""

from hypothesis import given
from hypothesis import strategies as st

from prikkfri.storage import named_row_sets, named_sets, named_values
from prikkfri.storage.sets import VALUES_AT_ONCE


@given(st.lists(st.integers(), min_size=1, max_size=VALUES_AT_ONCE))
def test_each_value_stands_in_its_set_and_nothing_else(values: list[int]) -> None:
    listed, named = named_values(values)
    assert listed.split(", ") == [f":{name}" for name in named]
    assert [*named.values()][: len(values)] == values
    assert set(named.values()) == set(values)


def test_the_lengths_are_few() -> None:
    lengths = {len(named_values(range(length))[1]) for length in range(1, VALUES_AT_ONCE + 1)}
    assert lengths == {1, 2, 4, 8, 16, 32, 64, 128, 256}


def test_many_values_are_named_some_at_a_time() -> None:
    sets = [list(dict.fromkeys(named.values())) for _, named in named_sets(range(2 * VALUES_AT_ONCE + 1))]
    assert sets == [[*range(256)], [*range(256, 512)], [512]]
    assert list(named_sets([])) == []


@given(st.lists(st.tuples(st.integers(), st.integers(), st.integers()), max_size=2 * VALUES_AT_ONCE + 1))
def test_each_row_stands_among_its_values_and_nothing_else(rows: list[tuple[int, int, int]]) -> None:
    found: list[tuple[int, ...]] = []
    for listed, named in named_row_sets(rows):
        names = [each.strip("():").split(", :") for each in listed.split("), (")]
        found += dict.fromkeys(tuple(named[name] for name in row) for row in names)
    assert {*found} == {*rows}
    assert len({listed for listed, _ in named_row_sets(rows)}) <= 2
