"""What runs out, against a mapping that is looked through whole."""

from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.assurance.expiry import ExpiryMap

KEYS = st.integers(0, 7)
ENDS = st.sampled_from([-3.5, -0.25, 0.0, 0.25, 1.0, 1.5, 1.75, 2.0, 7.0])
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, ENDS),
    st.tuples(st.just("take"), KEYS),
    st.tuples(st.just("run out"), ENDS),
    st.tuples(st.just("oldest"), st.integers(-1, 3)),
)


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=200)
def test_it_is_a_mapping_from_which_what_has_ended_is_taken(steps: list[tuple[object, ...]]) -> None:
    entries: ExpiryMap[int, str] = ExpiryMap()
    plain: dict[int, tuple[str, float]] = {}
    for number, (what, *values) in enumerate(steps):
        if what == "put":
            key, end = values
            entries.put(key, f"v{number}", end)  # type: ignore[arg-type]
            plain[key] = (f"v{number}", end)  # type: ignore[index,assignment]
        elif what == "take":
            wanted = plain.pop(values[0], (None, 0.0))[0]  # type: ignore[call-overload]
            assert entries.take(values[0]) == wanted  # type: ignore[arg-type]
        elif what == "run out":
            over = {key: value for key, (value, end) in plain.items() if end <= values[0]}  # type: ignore[operator]
            assert dict(entries.run_out(values[0])) == over  # type: ignore[arg-type]
            plain = {key: each for key, each in plain.items() if key not in over}
        else:
            first = list(plain)[: max(values[0], 0)]  # type: ignore[call-overload]
            assert [key for key, _ in entries.oldest(values[0])] == first  # type: ignore[arg-type]
            plain = {key: each for key, each in plain.items() if key not in first}
        assert list(entries.items()) == [(key, value) for key, (value, _) in plain.items()]
        assert len(entries) == len(plain)


def test_what_was_taken_out_long_before_its_end_leaves_nothing_behind() -> None:
    entries: ExpiryMap[int, str] = ExpiryMap()
    for number in range(10_000):
        entries.put(number, "", 1_000.5)
        entries.take(number)
    assert (list(entries), entries.run_out(1_000.5)) == ([], [])
    entries.put(1, "again", 1_000.5)
    assert (entries.run_out(1_000.4), entries.run_out(1_000.5)) == ([], [(1, "again")])
