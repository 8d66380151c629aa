"""Places 67 real incidents of a video provider; micro-F1 over exact segments, beside a plain scan, in the same run.

    python benchmarks/localisation.py [--data ../shared/data/localisation] [--json FILE] [--show]

The plain scan takes the one segment, of up to three values, with the highest two-sample likelihood ratio. The
parameters of ours (three numbers in `localisation.py`) were chosen with these same incidents in sight, so the figure
says how well they can be fitted, not how well the next ones will be.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations
from math import log
from pathlib import Path
from typing import Any

from prikkfri.assurance.localisation import Cell, place
from prikkfri.assurance.recordings import Row, read_table
from prikkfri.assurance.segments import Segment

DATA = Path(__file__).parents[2] / "shared" / "data" / "localisation"
Method = Callable[[list[Cell], list[Cell]], set[Segment]]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--show", action="store_true", help="each incident that was not placed exactly")
    chosen = arguments.parse_args()
    if not (chosen.data / "cases.json").is_file():
        print(f"{chosen.data}: no cases.json there; nothing to run on")
        return 0
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    scores = run(chosen.data, show=chosen.show)
    for name, score in scores.items():
        print(
            f"{name:30} micro-F1 {score['micro_f1']:.3f}  ({score['right']} right, {score['wrong']} wrong,"
            f" {score['missed']} missed; {score['ms_per_incident']:.0f} ms an incident)"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps(scores, indent=1), encoding="utf-8")
    return 0


def run(folder: Path, *, show: bool = False) -> dict[str, dict[str, Any]]:
    """The scores of each method over the incidents in `cases.json`."""
    cases = json.loads((folder / "cases.json").read_text(encoding="utf-8"))
    tables: dict[str, list[Row]] = {}
    for name in cases:
        with (folder / f"{name}.csv").open(encoding="utf-8") as lines:
            tables[name] = read_table(lines)
    scores = {}
    methods: dict[str, Method] = {"prikkfri": ours, "plain likelihood-ratio scan": plain_scan}
    for name, method in methods.items():
        right = wrong = missed = 0
        started = time.perf_counter()
        for case, truth in cases.items():
            now = [row.cell for row in tables[case] if row.minute == truth["minute"]]
            before = [row.cell for row in tables[case] if row.minute < truth["minute"]]
            found = method(now, before)
            wanted = {Segment.of(segment) for segment in truth["segments"]}
            right, wrong, missed = (
                right + len(found & wanted),
                wrong + len(found - wanted),
                missed + len(wanted - found),
            )
            if show and found != wanted:
                print(f"  {name}: {case}: {sorted(map(str, found))} instead of {sorted(map(str, wanted))}")
        scores[name] = {
            "micro_f1": round(2 * right / (2 * right + wrong + missed), 3),
            "right": right,
            "wrong": wrong,
            "missed": missed,
            "ms_per_incident": (time.perf_counter() - started) * 1_000 / len(cases),
        }
    return scores


def ours(now: list[Cell], before: list[Cell]) -> set[Segment]:
    return {each.segment for each in place(now, before).placed}


def plain_scan(now: list[Cell], before: list[Cell]) -> set[Segment]:
    counts: dict[Segment, tuple[float, float]] = {}
    for cell in now:
        for size in (1, 2, 3):
            for values in combinations(cell.segment.values, size):
                settled, broken = counts.get(Segment(values), (0.0, 0.0))
                counts[Segment(values)] = (settled + cell.settled, broken + cell.broken)
    whole = (sum(cell.settled for cell in now), sum(cell.broken for cell in now))

    def ratio(segment: Segment) -> float:
        settled, broken = counts[segment]
        if not settled or broken / settled <= whole[1] / whole[0]:
            return -1.0
        return likelihood(settled, broken) + likelihood(whole[0] - settled, whole[1] - broken) - likelihood(*whole)

    return {max(counts, key=ratio)}


def likelihood(settled: float, broken: float) -> float:
    """The log-likelihood of a share under its own best value."""
    kept = settled - broken
    return (broken * log(broken / settled) if broken else 0.0) + (kept * log(kept / settled) if kept else 0.0)


if __name__ == "__main__":
    sys.exit(main())
