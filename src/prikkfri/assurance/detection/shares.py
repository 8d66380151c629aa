"""Shares: a rising share of broken promises, in all series at once.

Theory of operation. Of the n promises that a series settles in a bucket, b are broken. What is ordinary is that
series' own recent share, exponentially forgotten, at its upper bound; failures come in clumps, so b is taken for
beta-binomial: its variance is that of a coin times 1 + (n - 1) r, where r, the *overdispersion*, is fitted by moments
from the differences of neighbouring buckets, which a share that has risen for good leaves alone. For each of a few
*lifts* the likelihood ratio of "the share is the lift higher, as clumped as ever" against "it is ordinary" is an
e-value: its expectation is at most 1 while the share is ordinary. The Shiryaev-Roberts sum of their products,

    R := L (1 + R),

averaged over the lifts, is an e-detector (J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for
sequential change detection", New England J. Stat. Data Sci. 2, 2024): the mean time until it reaches exp(h) by chance
is at least exp(h) buckets, whatever the volume and whenever one looks. With so many series, and one false alarm a
month wanted in all of them, h is the logarithm of their buckets in a month: 21.7 nats for 1,000 series of seconds.

The tail of a beta-binomial falls like a power, so a burst of failures at one phone tells less than as many that come
one by one. The bound rests on the fit: a series whose clumps grow beyond what its own past has shown may cry wolf until
the fit has followed. Page's sums of the same likelihood ratios tell when it began, and when an alarm is over.
"""

from dataclasses import astuple, dataclass, replace
from functools import cached_property
from math import exp, log
from typing import Any

import numpy as np
import numpy.typing as npt

SECONDS_PER_MONTH = 365.25 / 12 * 86_400
LIFTS = np.array([0.003, 0.01, 0.05, 0.3])[:, None]
"""By how much a share may have risen, of what was not broken."""
NATS_MAX = 300.0
"""No evidence is counted higher: its exponential is still a number."""
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ShareSettings:
    bucket_seconds: float = 1.0
    series: int = 1_000
    false_alarms_per_month: float = 1.0
    """In all series together."""
    floor: float = 0.001
    """Shares up to this are ordinary in any series."""
    half_life_seconds: float = 3_600.0
    """Of what is remembered as ordinary."""
    prior_promises: float = 200.0
    prior_share: float = 0.005
    margin: float = 1.5
    """Standard deviations from the recent share to its upper bound."""
    clump_margin: float = 0.5
    """Standard deviations from the fitted overdispersion to the one that is reckoned with."""
    clump_least: float = 1e-5
    clump_most: float = 0.5
    jump_most: float = 20.0
    """Standard deviations that one pair of buckets may count for in that fit."""
    refit_buckets: int = 10
    """What is ordinary is fitted anew so often."""
    suspicion: float = 5.4
    """Nothing is learned as ordinary while one of Page's sums stands above so many nats."""

    @cached_property
    def threshold(self) -> float:
        """h, in nats: see the theory of operation."""
        buckets = self.series * SECONDS_PER_MONTH / self.bucket_seconds
        return min(max(1.0, log(buckets) - log(self.false_alarms_per_month)), NATS_MAX)

    @cached_property
    def keep(self) -> float:
        return float(0.5 ** (self.bucket_seconds / self.half_life_seconds))


@dataclass(frozen=True)
class Fit:
    """What is ordinary in each series, and the terms of the likelihood ratios that follow from it."""

    share: Floats
    """The recent share."""
    bound: Floats
    """Its upper bound: the worst that is still ordinary."""
    clumping: Floats
    """The overdispersion that is reckoned with."""
    alpha: Floats
    beta: Floats
    """Of the beta distribution of the share in a bucket: ordinary first, then one row for each lift."""
    gamma_alpha: Floats
    gamma_beta: Floats
    """The logarithms of the gamma function of these."""


@dataclass(frozen=True)
class Shares:
    """All that is remembered; each array holds one figure for each series (a row for each lift, where there are)."""

    settled: Floats
    broken: Floats
    excess: Floats
    """Variance beyond a coin's, and what it would be if all of a bucket fell together: their quotient is the
    overdispersion."""
    together: Floats
    noise: Floats
    """The variance of the excess, if there were no clumps."""
    before_settled: Floats
    before_broken: Floats
    """In the bucket before."""
    size: Floats
    """Promises a bucket, of late."""
    fit: Fit
    products: Floats
    """The Shiryaev-Roberts sums, none above the exponential of the threshold."""
    sums: Floats
    """Page's sums, none above the threshold."""
    since: Floats
    """When each of these last stood at zero, and what was settled and broken from then on."""
    of: Floats
    seen: Floats
    standing: Flags
    """Alarms that stand ..."""
    lift: npt.NDArray[np.intp]
    """... and the row that explained each best when it was raised."""
    buckets: int = 0

    @property
    def height(self) -> Floats:
        """The logarithm of the e-detector, in nats."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.products.mean(axis=0)))


def fresh(series: int, settings: ShareSettings, prior_shares: npt.ArrayLike | None = None) -> Shares:
    """Of which nothing has been seen, but perhaps what share is ordinary at the step of each."""
    none, rows = np.zeros(series), np.zeros((len(LIFTS), series))
    settled = np.full(series, settings.prior_promises)
    broken = settled * (settings.prior_share if prior_shares is None else np.asarray(prior_shares, dtype=float))
    return Shares(
        settled, broken, none, none, none, none, none, none, _fit(settled, broken, none, none, none, none, settings),
        rows, rows, rows, rows, rows, none.astype(bool), none.astype(np.intp),
    )  # fmt: skip


def grown(shares: Shares, more: Shares) -> Shares:
    """With further series behind those that are there."""
    arrays = {
        name: np.concatenate([value, getattr(more, name)], axis=-1)
        for name, value in vars(shares).items()
        if isinstance(value, np.ndarray)
    }
    fit = Fit(*(np.concatenate(pair, axis=-1) for pair in zip(astuple(shares.fit), astuple(more.fit), strict=True)))
    return Shares(**arrays, fit=fit, buckets=shares.buckets)


def kept(shares: Shares) -> dict[str, list[float]]:
    """As plain numbers, by name; what follows from others is not in it."""
    arrays = {name: value for name, value in vars(shares).items() if isinstance(value, np.ndarray)}
    told = {name: getattr(shares.fit, name) for name in ("share", "bound", "clumping")}
    numbers = {name: value.ravel().astype(float).tolist() for name, value in {**arrays, **told}.items()}
    return {**numbers, "buckets": [float(shares.buckets)]}


def restored(numbers: dict[str, list[float]]) -> Shares:
    """What was `kept`."""
    series, buckets = len(numbers["settled"]), int(numbers["buckets"][0])
    rows = {name: value for name, value in numbers.items() if name != "buckets"}
    arrays = {name: np.array(value, dtype=float).reshape(-1, series) for name, value in rows.items()}
    flat = {name: value[0] if len(value) == 1 else value for name, value in arrays.items()}
    fit = _terms(*(flat.pop(name) for name in ("share", "bound", "clumping")))
    typed = {"standing": flat.pop("standing").astype(bool), "lift": flat.pop("lift").astype(np.intp)}
    return Shares(**flat, **typed, fit=fit, buckets=buckets)  # type: ignore[arg-type]


def step(
    before: Shares,
    settled: npt.ArrayLike,
    broken: npt.ArrayLike,
    time: float,
    settings: ShareSettings,
    *,
    learns: Flags | bool = True,
) -> tuple[Shares, Flags]:
    """Takes one bucket of all series, which began at `time`; tells in which an alarm is raised by it.

    `learns`: the series of which what is settled tells what share is ordinary.
    """
    n, b = np.asarray(settled, dtype=float), np.asarray(broken, dtype=float)
    (some,) = np.nonzero(n)  # where nothing is settled nothing speaks for or against anything
    products, most = 1 + before.products, exp(settings.threshold)
    sums, since, of, seen = (each.copy() for each in (before.sums, before.since, before.of, before.seen))
    if some.size:
        ratio = _log_ratio(before.fit, n, b, some)
        products[:, some] *= np.exp(np.minimum(ratio, NATS_MAX))
        stood = before.sums[:, some]
        risen = stood + ratio
        goes_on = risen > 0
        sums[:, some] = np.where(goes_on, risen, 0.0)
        since[:, some] = np.where(goes_on, np.where(stood > 0, before.since[:, some], time), 0.0)
        of[:, some] = np.where(goes_on, before.of[:, some] + n[some], 0.0)
        seen[:, some] = np.where(goes_on, before.seen[:, some] + b[some], 0.0)
    highest = _highest(sums)
    calm = (highest < settings.suspicion) & learns
    # The products grow by time alone, too: where nothing speaks for a lift at this moment there is nothing to tell.
    raised = (_added_up(products) >= most * len(LIFTS)) & (highest > 0) & ~before.standing
    lift, standing = before.lift.copy(), before.standing | raised
    (stands,) = np.nonzero(standing)
    if stands.size:
        # An alarm stands until as much speaks for "ordinary" as spoke for the lift that explained it best.
        new = np.flatnonzero(raised)
        lift[new] = sums[:, new].argmax(axis=0)
        over = stands[sums[lift[stands], stands] <= 0]
        standing[over] = False
        ended = over[before.standing[over]]
        for each in (products, sums, since, of, seen):
            each[:, ended] = 0.0
    after = replace(
        _learned(before, n, b, calm, settings),
        products=np.minimum(products, most, out=products),
        sums=np.minimum(sums, settings.threshold, out=sums),
        since=since,
        of=of,
        seen=seen,
        standing=standing,
        lift=lift,
        buckets=before.buckets + 1,
    )
    if after.buckets % settings.refit_buckets == 0:
        after = replace(after, fit=_refit(after, settings))
    return after, raised


def _added_up(rows: Floats) -> Floats:
    total: Floats = rows[0]
    for row in rows[1:]:
        total = total + row
    return total


def _highest(rows: Floats) -> Floats:
    highest: Floats = rows[0]
    for row in rows[1:]:
        highest = np.maximum(highest, row)
    return highest


def best(shares: Shares, index: int) -> tuple[float, float, float]:
    """Of one series: when its share rose, and what was settled and broken from then on."""
    row = int(shares.sums[:, index].argmax())
    return float(shares.since[row, index]), float(shares.of[row, index]), float(shares.seen[row, index])


def _learned(before: Shares, n: Floats, b: Floats, calm: Flags, settings: ShareSettings) -> Shares:
    keep = np.where(calm, settings.keep, 1.0)
    pairs = n + before.before_settled
    some = np.maximum(pairs, 1.0)
    share = (b + before.before_broken) / some
    # Of two neighbours with one share, twice the variance of a bucket of their size; clumps are learned always.
    expected = 2 * share * (1 - share) * n * before.before_settled / some
    excess = 2 * ((b * before.before_settled - before.before_broken * n) / some) ** 2 - expected
    # One jump, of an outage that begins or ends, says little of how failures come otherwise.
    ordinary = before.fit.bound * n
    wild = 1 + before.fit.clumping * n
    excess = np.minimum(excess, settings.jump_most * wild * np.sqrt(2 * ordinary**2 + ordinary))
    return replace(
        before,
        settled=before.settled * keep + np.where(calm, n, 0.0),
        broken=before.broken * keep + np.where(calm, b, 0.0),
        excess=before.excess * settings.keep + excess,
        together=before.together * settings.keep + expected * np.maximum(n - 1, 0.0),
        noise=before.noise * settings.keep**2 + 2 * expected**2 + expected,
        before_settled=n,
        before_broken=b,
        size=np.where(before.size > 0, before.size + 0.02 * (n - before.size), n),
    )


def _refit(after: Shares, settings: ShareSettings) -> Fit:
    return _fit(
        after.settled, after.broken, after.excess, after.together, after.noise, after.size, settings
    )  # fmt: skip


def _fit(
    settled: Floats,
    broken: Floats,
    excess: Floats,
    together: Floats,
    noise: Floats,
    size: Floats,
    settings: ShareSettings,
) -> Fit:
    fitted = (excess + settings.clump_margin * np.sqrt(noise)) / np.maximum(together, 1e-9)
    clumping = np.clip(fitted, settings.clump_least, settings.clump_most)
    wild, z = 1 + clumping * size, settings.margin
    # Wilson's bound, with as much more variance as there are clumps.
    bound = (broken + z * z / 2 * wild + z * np.sqrt(broken * wild + (z * wild) ** 2 / 4)) / settled
    return _terms(broken / settled, np.clip(bound, settings.floor, 0.5), clumping)


def _terms(share: Floats, bound: Floats, clumping: Floats) -> Fit:
    shares = np.concatenate([bound[None], np.minimum(bound + LIFTS * (1 - bound), 0.999)])
    weight = 1 / clumping - 1
    alpha, beta = shares * weight, (1 - shares) * weight
    return Fit(share, bound, clumping, alpha, beta, log_gamma(alpha), log_gamma(beta))


def _log_ratio(fit: Fit, n: Floats, b: Floats, some: npt.NDArray[np.intp]) -> Floats:
    """Of each lift against the ordinary in some series, one row for each lift."""
    kept = log_gamma(fit.beta[:, some] + (n - b)[some]) - fit.gamma_beta[:, some]
    ratio: Floats = kept[1:] - kept[0]
    (broken,) = np.nonzero(b[some])
    if broken.size:
        these = some[broken]
        failed = log_gamma(fit.alpha[:, these] + b[these]) - fit.gamma_alpha[:, these]
        ratio[:, broken] += failed[1:] - failed[0]
    return ratio


def log_gamma(x: Floats) -> Floats:
    """ln of the gamma function of positive numbers, by Stirling's series (eight digits or more)."""
    small = x < 7.0
    if not small.any():
        return _stirling(x)
    out: Floats = np.empty_like(x)
    out[~small] = _stirling(x[~small])
    low = x[small]
    product: Any = low * (low + 1) * (low + 2) * (low + 3) * (low + 4) * (low + 5) * (low + 6)
    out[small] = _stirling(low + 7) - np.log(product)
    return out


def _stirling(x: Floats) -> Floats:
    inverse = 1 / x
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square / 1260))
    return np.asarray((x - 0.5) * np.log(x) - x + 0.918938533204672741 + series)
