"""Detection: delays of risen shares and of falls, false alarms against their bound, real traffic, cost.

    python benchmarks/detection.py [--data FOLDER] [--json FILE] [--only delays,bound,traffic,crowds,cost]

Everything is drawn under a seed and judged causally. On labelled traffic, labelled points at most 3 steps apart are one
event, an alarm within 2 steps of it hits it, and the first day (hourly series: week) is left out; the score is over all
series together, by one setting. Peers in the same run: a z-score of ten buckets against the sixty before, and the same
time a day before, scaled by the last hour, with a two-sided CUSUM. In the football month falls of ten minutes are
multiplied in at moments drawn by lot after the third day; each is found by an alarm within twelve minutes of its start.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np

from prikkfri.assurance.detection import shares
from prikkfri.assurance.detection.counts import Counts, CountSettings
from prikkfri.assurance.detection.shares import SECONDS_PER_MONTH, ShareSettings
from prikkfri.assurance.recordings import Series, findings, read_series

DATA = Path(__file__).parents[2] / "shared" / "data" / "traffic"
FOOTBALL = "worldcup98-group-stage.csv"
ORDINARY = 0.002
JOINED_STEPS = 3
NEAR_STEPS = 2
Method = Callable[[Series], list[float]]
"""The times of the buckets that raised an alarm."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--only", default=",".join(PARTS))
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    figures = {name: PARTS[name](chosen.data) for name in chosen.only.split(",")}
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


# Drawn traffic.


def drawn(rng: np.random.Generator, rate: float, share: float, clumping: float, series: int) -> tuple[Any, Any]:
    """Settled and broken in one bucket of each series; the share is beta-distributed from bucket to bucket."""
    settled = rng.poisson(rate, series)
    if clumping:
        weight = 1 / clumping - 1
        return settled, rng.binomial(settled, rng.beta(share * weight, (1 - share) * weight, series))
    return settled, rng.binomial(settled, share)


def delays(_: Path) -> dict[str, Any]:
    """Median seconds until it is seen, after an hour of 0.2 %; and of falls at 100 a second, after an hour."""
    figures: dict[str, Any] = {}
    for rate, lift, goal in ((1_000, 0.005, 8), (100, 0.005, 80), (100, 0.01, 22), (10, 0.05, 22), (100, 0.05, 3)):
        found = [median_share_delay(rate, lift, clumping) for clumping in (0.0, 0.001, 0.005)]
        figures[f"+{lift:.1%} at {rate}/s"] = found
        print(f"+{lift:.1%} at {rate:5}/s: {found[0]:.0f} s (goal {goal}); clumped 0.001 {found[1]:.0f} s,", end=" ")
        print(f"0.005 {found[2]:.0f} s (goal {2 * goal})")
    for part, goal in ((0.0, 2), (0.5, 5), (0.7, 60)):
        found = fall_delays(part)
        figures[f"to {part:.0%} at 100/s"] = found
        print(f"to {part:.0%} at 100/s: median {np.median(found):.0f} s, worst {max(found):.0f} s (goal {goal})")
    return figures


def median_share_delay(rate: float, lift: float, clumping: float, *, series: int = 100, before: int = 3_600) -> float:
    rng, settings = np.random.default_rng(20180820), ShareSettings()
    state, seen = shares.fresh(series, settings), np.full(series, np.inf)
    for second in range(before + 600):
        settled, broken = drawn(rng, rate, ORDINARY, clumping, series)
        if second >= before:
            broken = broken + rng.binomial(settled - broken, lift)
        state, raised = shares.step(state, settled, broken, float(second), settings)
        if second >= before:
            seen = np.where(raised & np.isinf(seen), second + 1 - before, seen)
        if np.isfinite(seen).all():
            break
    return float(np.median(seen))


def fall_delays(part: float, *, series: int = 100, before: int = 3_600) -> list[float]:
    rng, counts, seen = np.random.default_rng(20230120), Counts(series, CountSettings()), np.full(series, np.inf)
    for second in range(before + 120):
        signs = counts.step(rng.poisson(100 * (part if second >= before else 1), series), float(second))
        if second >= before:
            seen = np.where((signs < 0) & np.isinf(seen), second + 1 - before, seen)
    return [float(each) for each in seen]


def bound(_: Path) -> dict[str, Any]:
    """False alarms at lower thresholds against their bound, exp(-h) a bucket, for each clumping; 0.2 % ordinary."""
    figures: dict[str, Any] = {}
    series, buckets, warm_up = 300, 4_000, 900
    for rate in (10, 100, 1_000):
        for clumping in (0.0, 0.001, 0.005):
            ratios = {}
            for height in (6.0, 8.0, 10.0):
                month = series * SECONDS_PER_MONTH
                settings = ShareSettings(series=series, false_alarms_per_month=month / np.exp(height))
                raised = false_share_alarms(settings, rate, clumping, series, buckets, warm_up)
                ratios[height] = raised / (series * buckets / np.exp(height))
            figures[f"{rate}/s clumped {clumping}"] = ratios
            told = ", ".join(f"h = {height:.0f}: {ratio:.2f}" for height, ratio in ratios.items())
            print(f"false alarms as a part of the bound, {rate:5}/s, clumped {clumping}: {told}")
    return figures


def false_share_alarms(
    settings: ShareSettings, rate: float, clumping: float, series: int, buckets: int, warm_up: int
) -> int:
    """The level is learned at the real threshold first; each alarm begins the series' sums anew."""
    rng, real = np.random.default_rng(1998), ShareSettings()
    state, found = shares.fresh(series, real), 0
    for second in range(warm_up + buckets):
        used = settings if second >= warm_up else real
        state, raised = shares.step(state, *drawn(rng, rate, ORDINARY, clumping, series), float(second), used)
        if second >= warm_up and raised.any():
            found += int(raised.sum())
            anew = np.where(raised, 0.0, state.products), np.where(raised, 0.0, state.sums)
            state = replace(state, products=anew[0], sums=anew[1], standing=state.standing & ~raised)
    return found


# Real traffic.


def traffic(folder: Path) -> dict[str, Any]:
    """Event F1 over all labelled series together, and of each."""
    if not (folder / FOOTBALL).is_file():
        print(f"{folder}: no {FOOTBALL} there; nothing to run on")
        return {}
    figures: dict[str, Any] = {}
    labelled = [(path.stem, series) for path in sorted(folder.glob("*.csv")) if (series := read(path)).labelled]
    for name, method in METHODS.items():
        scores = {stem: scored(series, method(series)) for stem, series in labelled}
        whole = Score(*(sum(each) for each in zip(*(s.counts for s in scores.values()), strict=True)))
        figures[name] = {"event_f1": round(whole.f1, 3), **{stem: each.counts for stem, each in scores.items()}}
        print(f"{name:18} event F1 {whole.f1:.3f}: {whole.hit} hit, {whole.missed} missed, {whole.false} false alarms")
        if name == "prikkfri":
            for stem, each in scores.items():
                print(f"  {stem:12} {each.hit} hit, {each.missed} missed, {each.false} false")
    return figures


def crowds(folder: Path) -> dict[str, Any]:
    """The football month: false alarms, and falls of ten minutes multiplied into it, three lots of twenty."""
    if not (folder / FOOTBALL).is_file():
        return {}
    series = read(folder / FOOTBALL)
    days = len(series.buckets) * series.bucket_seconds / 86_400
    alarms = {name: len(method(series)) / days for name, method in METHODS.items()}
    for name, rate in alarms.items():
        print(f"football crowds, {days:.0f} days: {name:18} {2 * rate:6.2f} alarms in two days (goal 1)")
    found: dict[str, list[int]] = {}
    for part, goal in ((0.3, 18), (0.5, 12)):
        found[f"to {part:.0%}"] = [falls_found(series, part, seed) for seed in range(3)]
        print(f"of 20 falls of ten minutes to {part:.0%} found: {found[f'to {part:.0%}']} (goal {goal})")
    return {"alarms_a_day": alarms, "falls_found": found}


def falls_found(series: Series, part: float, seed: int) -> int:
    rng, buckets = np.random.default_rng(seed), list(series.buckets)
    starts = rng.choice(np.arange(3 * 1_440, len(buckets) - 20), 20, replace=False)
    for index in sorted(starts):
        for number in range(index, index + 10):
            buckets[number] = replace(buckets[number], kept=round(series.buckets[number].kept * part))
    detected = ours(replace(series, buckets=tuple(buckets)))
    times = [series.buckets[index].time for index in starts]
    return sum(any(at <= each < at + 12 * 60 for each in detected) for at in times)


@dataclass(frozen=True)
class Score:
    hit: int
    false: int
    missed: int

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.hit, self.false, self.missed

    @property
    def f1(self) -> float:
        return 2 * self.hit / (2 * self.hit + self.false + self.missed) if self.hit else 0.0


def scored(series: Series, alarms: Iterable[float]) -> Score:
    """Events hit, alarms that hit none, events missed; the first day (hourly: week) is left out."""
    step = series.bucket_seconds
    first = series.buckets[0].time + (7 if step >= 3_600 else 1) * 86_400
    events = joined([b.time for b, flag in zip(series.buckets, series.labelled, strict=True) if flag], step)
    hit: set[tuple[float, float]] = set()
    false = 0
    for alarm in (each for each in alarms if each >= first):
        near = [event for event in events if event[0] - NEAR_STEPS * step <= alarm <= event[1] + NEAR_STEPS * step]
        hit.update(near)
        false += not near
    counted = [event for event in events if event[0] >= first]
    return Score(sum(event in hit for event in counted), false, sum(event not in hit for event in counted))


def joined(times: Sequence[float], step: float) -> list[tuple[float, float]]:
    """First and last labelled time of each event."""
    if not times:
        return []
    breaks = [index for index, (a, b) in enumerate(pairwise(times), 1) if b - a > JOINED_STEPS * step]
    return [(times[a], times[b - 1]) for a, b in pairwise([0, *breaks, len(times)])]


def read(path: Path) -> Series:
    with path.open(encoding="utf-8") as lines:
        return read_series(lines)


def ours(series: Series) -> list[float]:
    return [each.detected - series.bucket_seconds for each in findings(series)]


def z_score(series: Series) -> list[float]:
    """The last 10 buckets against the 60 before, six standard deviations away; once until it is back."""
    counts = [bucket.kept for bucket in series.buckets]
    found, standing = [], False
    for index in range(70, len(counts)):
        before = counts[index - 69 : index - 9]
        far = abs(fmean(counts[index - 9 : index + 1]) - fmean(before)) > 6 * (pstdev(before) or 1.0)
        if far and not standing:
            found.append(series.buckets[index].time)
        standing = far
    return found


def seasonal_cusum(series: Series) -> list[float]:
    """Residuals from yesterday's shape in units of their own spread; two-sided CUSUM, slack 0.5, threshold 8."""
    counts = [bucket.kept for bucket in series.buckets]
    day = max(1, round(86_400 / series.bucket_seconds))
    hour = max(3, round(3_600 / series.bucket_seconds))
    high = low = spread = 0.0
    found, standing = [], False
    for index in range(day + hour, len(counts)):
        scale = sum(counts[index - hour : index]) / (sum(counts[index - day - hour : index - day]) or 1.0)
        residual = counts[index] - scale * counts[index - day]
        spread = abs(residual) if not spread else 0.99 * spread + 0.01 * abs(residual)
        deviation = max(-6.0, min(6.0, residual / (1.25 * spread or 1.0)))
        high, low = max(0.0, high + deviation - 0.5), max(0.0, low - deviation - 0.5)
        raised = max(high, low) > 8
        if raised and not standing:
            found.append(series.buckets[index].time)
        standing = raised
        if raised:
            high = low = 0.0
    return found


METHODS: dict[str, Method] = {"prikkfri": ours, "z-score": z_score, "seasonal and CUSUM": seasonal_cusum}


def cost(_: Path) -> dict[str, float]:
    """CPU of one second of 10,000 series at 100 a second."""
    rng, series, seconds = np.random.default_rng(7), 10_000, 60
    settings, counts = ShareSettings(series=series), Counts(series, CountSettings(series=series))
    state = shares.fresh(series, settings)
    drawings = [drawn(rng, 100, ORDINARY, 0.0, series) for _ in range(seconds)]
    began = time.process_time()
    for second, (settled, broken) in enumerate(drawings):
        state, _raised = shares.step(state, settled, broken, float(second), settings)
    between = time.process_time()
    for second, (settled, broken) in enumerate(drawings):
        counts.step(settled - broken, float(second))
    ended = time.process_time()
    figures = {"shares_ms": (between - began) / seconds * 1e3, "counts_ms": (ended - between) / seconds * 1e3}
    print(f"10,000 series, a second: shares {figures['shares_ms']:.1f} ms CPU, counts {figures['counts_ms']:.1f} ms")
    return figures


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "delays": delays, "bound": bound, "traffic": traffic, "crowds": crowds, "cost": cost
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
