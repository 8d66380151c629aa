"""Sets of values for `IN (...)`: all of them, in statements of few lengths."""

from hypothesis import given
from hypothesis import strategies as st

from prikkfri.storage import named_sets, named_values
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
