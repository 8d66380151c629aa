"""Alarms on real traffic: false ones in a month of football, events found in labelled traffic, delays of staged faults.

    python benchmarks/detection.py [--data ../shared/data/traffic] [--json FILE]

Peers in the same run, on the same counts: a z-score of ten minutes against the sixty before, and a seasonal baseline
(the same time a day before, scaled by the last hour) with a two-sided CUSUM of its residuals. An event is found when
an alarm begins in it, or up to five buckets after it; alarms that begin elsewhere are false. Ours looks for plunges
only: most of the labelled events are rises, which it does not look for; the table says how many are which.
"""

import argparse
import json
import platform
import random
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

from prikkfri.assurance.detection import Settings, detect
from prikkfri.assurance.recordings import Series, read_series
from prikkfri.assurance.tally import Bucket

DATA = Path(__file__).parents[2] / "shared" / "data" / "traffic"
FOOTBALL = "worldcup98-group-stage.csv"
TOLERANCE_BUCKETS = 5
WEEK_SECONDS = 7 * 86_400
Method = Callable[[Series], list[int]]
"""The indices of the buckets at which alarms were raised."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    if not (chosen.data / FOOTBALL).is_file():
        print(f"{chosen.data}: no {FOOTBALL} there; nothing to run on")
        return 0
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    figures = {
        "false_alarms_per_week": false_alarms(chosen.data / FOOTBALL),
        "events": events(chosen.data),
        "share_delay_s": share_delays(),
    }
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def false_alarms(path: Path) -> dict[str, float]:
    """Nothing in the football month is a fault: each alarm is false."""
    series = read(path)
    weeks = len(series.buckets) * series.bucket_seconds / WEEK_SECONDS
    found = {name: len(method(series)) / weeks for name, method in METHODS.items()}
    for name, rate in found.items():
        print(f"football crowds, {weeks:.1f} weeks: {name:18} {rate:8.2f} false alarms a week")
    return found


def events(folder: Path) -> dict[str, dict[str, Any]]:
    """Event F1 over all labelled series together."""
    totals: dict[str, list[int]] = {name: [0, 0, 0] for name in METHODS}
    falls = all_events = 0
    for path in sorted(folder.glob("*.csv")):
        series = read(path)
        if not series.labelled:
            continue
        labelled = stretches(series.labelled)
        all_events += len(labelled)
        falls += sum(is_fall(series, *stretch) for stretch in labelled)
        for name, method in METHODS.items():
            right, false, missed = matched(method(series), labelled)
            totals[name] = [a + b for a, b in zip(totals[name], (right, false, missed), strict=True)]
    print(f"labelled traffic: {all_events} events, {falls} of them falls to half or less")
    scores = {}
    for name, (right, false, missed) in totals.items():
        f1 = 2 * right / (2 * right + false + missed) if right else 0.0
        scores[name] = {"event_f1": round(f1, 3), "found": right, "false_alarms": false, "missed": missed}
        print(f"  {name:18} event F1 {f1:.3f}: {right} found, {missed} missed, {false} false alarms")
    return scores


def share_delays() -> dict[str, float]:
    """Median delay until 5 % broken is seen in a series where 2 in 1000 break ordinarily; 20 seeds each."""
    found = {}
    for rate in (2, 20, 200):
        delays = []
        for seed in range(20):
            rng = random.Random(seed)
            buckets = []
            for second in range(1_800):
                broken = sum(rng.random() < (0.05 if second >= 600 else 0.002) for _ in range(rate))
                buckets.append(Bucket(float(second), rate - broken, broken))
            alarms = [alarm for alarm in detect(buckets, Settings()) if alarm.raised_at > 600]
            delays.append(alarms[0].raised_at - 600 if alarms else float("inf"))
        found[f"{rate}_per_second"] = median(delays)
        print(f"5 % broken at {rate:3} promises a second: seen after {median(delays):.0f} s (median of 20)")
    return found


def read(path: Path) -> Series:
    with path.open(encoding="utf-8") as lines:
        return read_series(lines)


def stretches(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """First and last index of each run of true."""
    found: list[tuple[int, int]] = []
    for index, flag in enumerate(flags):
        if flag and found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
        elif flag:
            found.append((index, index))
    return found


def is_fall(series: Series, first: int, last: int) -> bool:
    before = [bucket.kept for bucket in series.buckets[max(0, first - 10) : first]]
    return bool(before) and min(b.kept for b in series.buckets[first : last + 1]) <= 0.5 * median(before)


def matched(alarms: Sequence[int], labelled: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    """Events found, alarms outside all events, events missed."""
    found, false = set(), 0
    for alarm in alarms:
        event = next((e for e in labelled if e[0] <= alarm <= e[1] + TOLERANCE_BUCKETS), None)
        if event is None:
            false += 1
        else:
            found.add(event)
    return len(found), false, len(labelled) - len(found)


def ours(series: Series) -> list[int]:
    settings = Settings(bucket_seconds=series.bucket_seconds, volume_half_life_seconds=10 * series.bucket_seconds)
    start = series.buckets[0].time
    return [round((alarm.raised_at - start) / series.bucket_seconds) - 1 for alarm in detect(series.buckets, settings)]


def z_score(series: Series) -> list[int]:
    """The last 10 buckets against the 60 before, six standard deviations below; once until it is back."""
    counts = [bucket.kept for bucket in series.buckets]
    found, standing = [], False
    for index in range(70, len(counts)):
        before = counts[index - 69 : index - 9]
        low = fmean(counts[index - 9 : index + 1]) < fmean(before) - 6 * (pstdev(before) or 1.0)
        if low and not standing:
            found.append(index)
        standing = low
    return found


def seasonal_cusum(series: Series) -> list[int]:
    """Residuals from yesterday's shape in units of their own spread; two-sided CUSUM, slack 0.5, threshold 8."""
    counts = [bucket.kept for bucket in series.buckets]
    day = max(1, round(86_400 / series.bucket_seconds))
    hour = max(3, round(3_600 / series.bucket_seconds))
    high = low = 0.0
    spread = 0.0
    found, standing = [], False
    for index in range(day + hour, len(counts)):
        scale = sum(counts[index - hour : index]) / (sum(counts[index - day - hour : index - day]) or 1.0)
        residual = counts[index] - scale * counts[index - day]
        spread = abs(residual) if not spread else 0.99 * spread + 0.01 * abs(residual)
        deviation = max(-6.0, min(6.0, residual / (1.25 * spread or 1.0)))
        high, low = max(0.0, high + deviation - 0.5), max(0.0, low - deviation - 0.5)
        raised = max(high, low) > 8
        if raised and not standing:
            found.append(index)
        standing = raised
        if raised:
            high = low = 0.0
    return found


METHODS: dict[str, Method] = {"prikkfri": ours, "z-score": z_score, "seasonal and CUSUM": seasonal_cusum}

if __name__ == "__main__":
    sys.exit(main())
