"""A rising share: seen as soon as the evidence allows, clumped or not, and false alarms below their bound."""

from dataclasses import replace
from functools import cache
from math import exp, lgamma, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_detection import PlainShares

from prikkfri.assurance.detection import shares
from prikkfri.assurance.detection.shares import NATS_MAX, SECONDS_PER_MONTH, Shares, ShareSettings, fresh, step

ORDINARY = 0.002
LIVE = ShareSettings()
LEARNED = ("settled", "broken", "excess", "together", "noise", "size")


def drawn(rng: np.random.Generator, rate: float, share: float, clumping: float, series: int) -> tuple[object, object]:
    settled = rng.poisson(rate, series)
    if clumping:
        weight = 1 / clumping - 1
        return settled, rng.binomial(settled, rng.beta(share * weight, (1 - share) * weight, series))
    return settled, rng.binomial(settled, share)


@cache
def learned(rate: float, *, series: int, buckets: int, clumping: float = 0.0, seed: int = 1) -> Shares:
    rng, state = np.random.default_rng(seed), fresh(series, LIVE)
    for second in range(buckets):
        state, raised = step(state, *drawn(rng, rate, ORDINARY, clumping, series), float(second), LIVE)
        assert not raised.any()
    return state


def test_time_alone_raises_nothing() -> None:
    """The threshold is so low that the products reach it in a calm minute; there is no since when, nor how many."""
    quick = ShareSettings(series=1, false_alarms_per_month=SECONDS_PER_MONTH / 10)
    state = fresh(3, quick)
    for second in range(300):
        state, raised = step(state, np.array([0.0, 0.1, 5.0]), np.zeros(3), float(second), quick)
        assert not raised.any() and not state.standing.any()
    state, raised = step(state, np.array([0.0, 5.0, 5.0]), np.array([0.0, 5.0, 0.0]), 300.0, quick)
    assert raised.tolist() == [False, True, False] and shares.best(state, 1) == (300.0, 5.0, 5.0)


@pytest.mark.parametrize(
    ("rate", "lift", "clumping", "within"),
    [(1_000, 0.005, 0.0, 9), (100, 0.005, 0.0, 95), (100, 0.01, 0.0, 28), (10, 0.05, 0.0, 30), (100, 0.05, 0.0, 4),
     (100, 0.01, 0.005, 44), (100, 0.05, 0.005, 6), (1_000, 0.005, 0.001, 18)],
)  # fmt: skip
def test_half_of_all_series_whose_share_rises_are_seen_in_time(
    rate: float, lift: float, clumping: float, within: int
) -> None:
    """After ten minutes; after more of them it is sooner (see the benchmark)."""
    rng, series, before = np.random.default_rng(2), 30, 600
    state, seen = learned(rate, series=series, buckets=before, clumping=clumping), np.zeros(series, dtype=bool)
    for second in range(within):
        settled, broken = drawn(rng, rate, ORDINARY, clumping, series)
        broken = broken + rng.binomial(settled - broken, lift)  # type: ignore[operator]
        state, raised = step(state, settled, broken, float(before + second), LIVE)  # type: ignore[arg-type]
        seen |= raised
    assert seen.mean() >= 0.5
    of_one = shares.best(state, int(np.argmax(seen)))
    assert before - 60 <= of_one[0] <= before + within
    assert of_one[2] / of_one[1] > ORDINARY + lift / 2


@pytest.mark.parametrize("clumping", [0.0, 0.001, 0.005])
@pytest.mark.parametrize("rate", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_false_alarms_stay_below_the_bound(rate: float, clumping: float) -> None:
    """At a lower threshold, where there are enough to be counted: exp(-h) a bucket at the most."""
    series, buckets, height = 60, 500, 5.0
    low = ShareSettings(series=1, false_alarms_per_month=SECONDS_PER_MONTH / exp(height))
    assert low.threshold == pytest.approx(height)
    rng, state, found = np.random.default_rng(3), learned(rate, series=series, buckets=600, clumping=clumping), 0
    for second in range(buckets):
        state, raised = step(state, *drawn(rng, rate, ORDINARY, clumping, series), 600.0 + second, low)
        found += int(raised.sum())
        if raised.any():
            anew = (np.where(raised, 0.0, each) for each in (state.products, state.sums))
            state = replace(
                state, **dict(zip(("products", "sums"), anew, strict=True)), standing=np.zeros(series, bool)
            )  # type: ignore[arg-type]
    assert 0 < found <= series * buckets / exp(height)


def test_the_threshold_is_one_false_alarm_a_month_over_a_thousand_series() -> None:
    assert LIVE.threshold == pytest.approx(log(1_000 * SECONDS_PER_MONTH)) == pytest.approx(21.69, abs=0.01)
    assert ShareSettings(bucket_seconds=60.0).threshold == pytest.approx(LIVE.threshold - log(60))
    assert ShareSettings(series=10_000, false_alarms_per_month=10.0).threshold == pytest.approx(LIVE.threshold)
    assert ShareSettings(false_alarms_per_month=1e-300).threshold == NATS_MAX
    assert ShareSettings(series=1, false_alarms_per_month=1e9).threshold == 1.0


def test_clumps_are_fitted_and_a_fault_that_lasts_is_none() -> None:
    fitted = [float(np.median(learned(1_000, series=30, buckets=600, clumping=c).fit.clumping)) for c in (0.0, 0.005)]
    assert fitted[0] < 0.0003
    assert fitted[1] == pytest.approx(0.005, rel=0.3)
    state, rng = learned(1_000, series=30, buckets=600), np.random.default_rng(4)
    for second in range(60):
        state, _ = step(state, *drawn(rng, 1_000, 0.05, 0.0, 30), 600.0 + second, LIVE)
    assert np.median(state.fit.clumping) < 0.0005
    assert np.median(state.fit.share) == pytest.approx(ORDINARY, rel=0.2)


def test_the_bound_comes_down_to_the_share_as_more_is_known_and_never_below_the_floor() -> None:
    early, late = (learned(100, series=30, buckets=buckets) for buckets in (60, 600))
    assert np.all(early.fit.bound > early.fit.share) and np.all(late.fit.bound > late.fit.share)
    assert np.median(late.fit.bound) < np.median(early.fit.bound)
    state = fresh(2, LIVE)
    for second in range(300):
        state, _ = step(state, np.array([1_000, 1_000]), np.array([0, 600]), float(second), LIVE)
    assert state.fit.bound[0] == LIVE.floor
    assert state.standing.tolist() == [False, True]


def test_everything_broken_is_seen_at_once_and_an_alarm_stands_until_it_is_over() -> None:
    state, raised = step(fresh(1, LIVE), np.array([20]), np.array([20]), 0.0, LIVE)
    assert raised.tolist() == state.standing.tolist() == [True]
    state, again = step(state, np.array([20]), np.array([20]), 1.0, LIVE)
    assert (again.tolist(), state.standing.tolist()) == ([False], [True])
    seconds = 0
    while state.standing[0]:
        state, _ = step(state, np.array([20]), np.array([0]), 2.0 + seconds, LIVE)
        seconds += 1
    assert 2 <= seconds < 600
    assert shares.best(state, 0) == (0.0, 0.0, 0.0)
    assert state.products.tolist() == [[0.0]] * 4, "it begins anew"
    told = []
    for second in range(1_000, 1_005):
        state, raised = step(state, np.array([20]), np.array([20]), float(second), LIVE)
        told.append(bool(raised[0]))
    assert sum(told[:4]) == 1, "a second fault is an alarm of its own"
    assert shares.best(state, 0) == (1_000.0, 100.0, 100.0)


def test_an_outage_tells_little_of_how_failures_come_otherwise() -> None:
    state, rng = learned(100, series=30, buckets=600), np.random.default_rng(5)
    before = np.median(state.fit.clumping)
    for second in range(30):
        state, _ = step(state, np.full(30, 100), np.full(30, 100), 600.0 + second, LIVE)
    for second in range(300):
        state, _ = step(state, *drawn(rng, 100, ORDINARY, 0.0, 30), 630.0 + second, LIVE)
    assert np.median(state.fit.clumping) < before + 0.005


def test_silent_seconds_neither_speak_for_nor_against() -> None:
    one, other = fresh(1, LIVE), fresh(1, LIVE)
    for second in range(40):
        other, _ = step(other, np.array([0]), np.array([0]), float(second), LIVE)
    for state in (one, other):
        _, raised = step(state, np.array([20]), np.array([20]), 40.0, LIVE)
        assert raised[0]
    assert other.sums.tolist() == one.sums.tolist()


def test_the_logarithm_of_the_gamma_function() -> None:
    x = np.array([1e-5, 0.3, 1.0, 2.0, 5.0, 6.999, 7.0, 50.0, 1e5])
    assert shares.log_gamma(x) == pytest.approx([lgamma(each) for each in x], abs=1e-8)
    assert shares.log_gamma(np.array([8.0])) == pytest.approx([log(5_040)], abs=1e-9)


counts = st.integers(min_value=0, max_value=10**9)


@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=40))
@settings(max_examples=30)
def test_any_counts_are_taken(pairs: list[tuple[int, int]]) -> None:
    state = fresh(2, LIVE)
    for second, (kept, broken) in enumerate(pairs):
        state, raised = step(state, [kept + broken, broken], [broken, 0], float(second), LIVE)
        assert not raised[1], "where nothing is broken nothing rises"
    numbers = shares.kept(state)
    assert all(np.isfinite(value).all() for value in numbers.values())
    assert shares.kept(shares.restored(numbers)) == numbers
    assert np.isfinite(state.fit.alpha).all() and (state.sums >= 0).all() and (state.sums <= LIVE.threshold).all()


def test_further_series_begin_with_what_is_ordinary_at_their_step() -> None:
    first, _ = step(fresh(1, LIVE), [10], [1], 0.0, LIVE)
    both = shares.grown(first, fresh(2, LIVE, [0.05, LIVE.prior_share]))
    assert both.fit.share.tolist() == [*first.fit.share.tolist(), 0.05, LIVE.prior_share]
    assert (both.sums.shape, both.buckets, both.standing.tolist()) == ((4, 3), 1, [False] * 3)
    after, _ = step(both, [10, 0, 0], [1, 0, 0], 1.0, LIVE)
    alone, _ = step(first, [10], [1], 1.0, LIVE)
    assert after.sums[:, :1].tolist() == alone.sums.tolist()


@pytest.mark.parametrize(("seed", "changes"), [(1, {}), (2, {"bucket_seconds": 60.0, "half_life_seconds": 600.0})])
def test_it_agrees_with_each_series_reckoned_by_itself(seed: int, changes: dict[str, float]) -> None:
    """Calm times, faults of every height, clumps, silence and single outages, one after the other."""
    tried, rng = ShareSettings(**changes), np.random.default_rng(seed)  # type: ignore[arg-type]
    priors = [tried.prior_share, 0.0, 0.6, 0.03]
    state, alone = fresh(len(priors), tried, priors), [PlainShares(tried, prior) for prior in priors]
    alarms, ended, series = 0, 0, len(priors)
    for phase in range(24):
        if phase % 5 == 0:  # as after a restart
            numbers = shares.kept(state)
            state = shares.restored(numbers)
            assert shares.kept(state) == numbers and {type(n) for each in numbers.values() for n in each} == {float}
        sizes = rng.choice((0, 1, 30, 400, 5_000), series)
        parts = rng.choice((0.0, 0.0, 0.002, 0.01, 0.1, 1.0), series)
        for second in range(rng.choice((1, 3, 15, 25))):
            time = 1_000.0 * (phase + 1) + second
            settled = rng.integers(sizes // 2, sizes + 1)
            broken = rng.binomial(settled, np.minimum(parts * rng.choice((1, 1, 1, 0, 4), series), 1.0))
            stood = state.standing
            state, raised = step(state, settled, broken, time, tried)
            given_to = zip(alone, settled.tolist(), broken.tolist(), strict=True)
            assert raised.tolist() == [each.step(n, b, time) for each, n, b in given_to]
            assert state.standing.tolist() == [each.stands_by is not None for each in alone]
            alarms, ended = alarms + int(raised.sum()), ended + int((stood & ~state.standing).sum())
            for known, names in ((state.fit, ("share", "bound", "clumping")), (state, LEARNED)):
                for name in names:
                    wanted = [getattr(each, name) for each in alone]
                    assert np.allclose(getattr(known, name), wanted, rtol=1e-4, atol=1e-6), name
            for name, theirs in (("sums", "height"), ("since", "since"), ("of", "of"), ("seen", "seen")):
                wanted = [[getattr(each, theirs) for each in plain.sums] for plain in alone]
                assert np.allclose(getattr(state, name).T, wanted, rtol=1e-4, atol=1e-6), name
            of_lists, _ = step(state, settled.tolist(), broken.tolist(), time, tried)
            kinds = {name: each.dtype for name, each in vars(of_lists).items() if isinstance(each, np.ndarray)}
            assert (kinds.pop("standing"), kinds.pop("lift"), {*kinds.values()}) == (bool, np.intp, {np.dtype(float)})
            assert np.allclose(state.products.T, [each.products for each in alone], rtol=1e-4, atol=1e-6)
    assert alarms > 4 and ended > 2, "there was something to agree on"
