"""Every test that may raise an alarm in a series, where nothing is wrong: false alarms against their bound.

    python benchmarks/false_alarms.py [--series 300] [--buckets 4000] [--heights 6,8] [--json FILE]

The threshold of an installation lets so little through that nobody can wait for it; at lower ones, h nats, there is
enough to count, and exp(-h) a bucket is the bound of each test (docs/assurance.md). All tests are stepped beside each
other, as the watch does it, one second at a time, with what it would tell them of each other. In each series promises
come by Poisson's law, or in clumps; 0.2 % are broken and 0.5 % slow, in trials that are independent or clumped as far
as is said. The first quarter of an hour, with the installation's own threshold, is for learning. An alarm that stands
keeps its series from another one. Told are alarms as a part of the bound of their test, or of the tests that are told
together: 1 is as many as it allows.
"""

import argparse
import json
import platform
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
from detection import ORDINARY, drawn

from prikkfri.assurance.detection import Settings, shares, silence, together
from prikkfri.assurance.detection.series import ODDS_RATIOS, SECONDS_PER_YEAR, TESTS, VOLUME_WINDOWS
from prikkfri.assurance.detection.shares import ShareSettings
from prikkfri.assurance.detection.slowness import Slowness
from prikkfri.assurance.detection.volumes import Volumes
from prikkfri.assurance.segments import Segment

WARM_UP_SECONDS = 900
SLOW = 0.005
RATES = (0.2, 2.0, 20.0, 200.0)
CLUMPINGS = (0.0, 0.001, 0.005)
TOLD_TOGETHER = {
    "share": len(ODDS_RATIOS), "every lift": 1, "plunge": 1, "fall": VOLUME_WINDOWS, "silence": 1, "slowness": 1
}  # fmt: skip


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--series", type=int, default=300)
    arguments.add_argument("--buckets", type=int, default=4_000)
    arguments.add_argument("--heights", default="6,8")
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    figures: dict[str, Any] = {}
    for rate in RATES:
        for clumping in CLUMPINGS:
            for height in map(float, chosen.heights.split(",")):
                found = false_alarms(rate, clumping, height, chosen.series, chosen.buckets)
                bound = chosen.series * chosen.buckets * exp(-height)
                parts = {name: round(found[name] / tests / bound, 3) for name, tests in TOLD_TOGETHER.items()}
                figures[f"{rate:g}/s, clumped {clumping:g}, h = {height:g}"] = parts
                told = ", ".join(f"{name} {part:.2f}" for name, part in parts.items())
                print(f"{rate:5g}/s, clumped {clumping:5g}, h = {height:g}: {told}", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def false_alarms(rate: float, clumping: float, height: float, series: int, buckets: int) -> Counter[str]:
    rng, real, found = np.random.default_rng(20180820), Settings(), Counter[str]()
    lower = replace(real, false_alarms_per_year=real.series * TESTS * SECONDS_PER_YEAR * exp(-height))
    segments = [Segment.of({"service": "made-up", "step": f"s-{number}"}) for number in range(series)]
    sums = together.fresh(segments, real)
    lifts = shares.fresh(series, tested(real))
    volumes, quiet, slow = Volumes(series, lower), silence.fresh(series), Slowness(lower)
    all_of_them = np.ones(series, dtype=bool)
    for second in range(WARM_UP_SECONDS + buckets):
        time, settings = float(second), lower if second >= WARM_UP_SECONDS else real
        settled, broken = drawn(rng, rate, ORDINARY, clumping, series)
        kept = (settled - broken).astype(float)
        late = drawn_of(rng, kept, SLOW, clumping)
        sums, alarms = together.step(
            sums, kept, broken.astype(float), time, settings, segments=segments, seen=all_of_them, falls=all_of_them
        )
        lifts, raised = shares.step(lifts, settled, broken, time, tested(settings))
        fallen = volumes.step(
            settled.astype(float), time, median=sums.median, seen=all_of_them, falls=all_of_them,
            stands=sums.plunges_stand,
        )  # fmt: skip
        quiet, silent = silence.step(quiet, settled, time, settings, seen=all_of_them, falls=all_of_them)
        timed = {segments[n]: (float(kept[n]), float(late[n])) for n in np.flatnonzero(kept).tolist()}
        slowed = slow.step(timed, time)
        if second >= WARM_UP_SECONDS:
            found.update("share" if alarm.kind == "share" else "plunge" for _, alarm in alarms)
            found.update({"every lift": int(raised.sum()), "fall": len(fallen), "silence": int(silent.sum())})
            found["slowness"] += len(slowed)
    return found


def tested(settings: Settings) -> ShareSettings:
    return ShareSettings(series=settings.series, false_alarms_per_month=settings.false_alarms_per_month)


def drawn_of(rng: np.random.Generator, kept: Any, share: float, clumping: float) -> Any:
    """How many of those kept are slow, as `drawn` draws those that are broken."""
    if clumping:
        weight = 1 / clumping - 1
        return rng.binomial(kept.astype(int), rng.beta(share * weight, (1 - share) * weight, len(kept)))
    return rng.binomial(kept.astype(int), share)


if __name__ == "__main__":
    sys.exit(main())
