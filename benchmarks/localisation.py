"""Places 67 real incidents of a video provider, and drawn ones, beside a plain scan, in the same run.

    python benchmarks/localisation.py [--data FOLDER] [--drawn 100] [--halves] [--json FILE] [--show]

Micro-F1 is over exact segments; recall within three and five is of the true segments among the suspects; CPU is of
this process for one incident, without reading its file. The plain scan takes the one segment, of up to three values,
with the highest two-sample likelihood ratio. `--halves` chooses overdispersion and evenness on one half of the real
incidents and scores them on the other, twenty times: how far the figure goes by fitting, and by luck.
"""

import argparse
import json
import platform
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from math import exp, log
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

import numpy as np

from prikkfri.assurance.localisation import Cell, place
from prikkfri.assurance.recordings import read_table
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.suspects import BEST, Location, Reading, locate

DATA = Path(__file__).parents[2] / "shared" / "data" / "localisation"
Method = Callable[[list[Cell], list[Cell]], tuple[list[Segment], list[Segment], list[Segment]]]
"""Segments, suspects and what is cleared."""


@dataclass(frozen=True)
class Case:
    name: str
    now: list[Cell]
    before: list[Cell]
    truth: frozenset[Segment]


@dataclass(frozen=True)
class Outcome:
    right: int
    wrong: int
    missed: int
    within: tuple[int, int]
    """True segments among the first three and five suspects."""
    cleared: int
    cleared_at_fault: int
    """Cleared values that a true segment names."""
    cpu_ms: float


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--drawn", type=int, default=0, help="so many drawn incidents, and as many quiet tables")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--halves", action="store_true")
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--show", action="store_true", help="each incident that was not placed exactly")
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    found: dict[str, Any] = {}
    if (chosen.data / "cases.json").is_file():
        found = run(chosen.data, show=chosen.show)
        tell("real", found)
        if chosen.halves:
            found["halves"] = halves(real(chosen.data))
            print(f"chosen on one half, scored on the other: {found['halves']}")
    else:
        print(f"{chosen.data}: no cases.json there; nothing real to run on")
    if chosen.drawn:
        rng = random.Random(chosen.seed)
        cases = [drawn(rng) for _ in range(chosen.drawn)]
        found["drawn"] = scores(cases, show=chosen.show)
        tell("drawn", found["drawn"])
        quiet = [drawn(rng, quiet=True) for _ in range(chosen.drawn)]
        found["quiet_named"] = sum(bool(locate(each.now, each.before).placed) for each in quiet)
        print(f"drawn without a fault: a segment was named in {found['quiet_named']} of {len(quiet)}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


def tell(kind: str, found: dict[str, Any]) -> None:
    for name in METHODS:
        score = found[name]
        print(
            f"{kind:5} {name:28} micro-F1 {score['micro_f1']:.3f}  ({score['right']} right, {score['wrong']} wrong,"
            f" {score['missed']} missed)  within 3 {score['within_3']:.3f}  within 5 {score['within_5']:.3f}"
            f"  cleared {score['cleared']}, at fault {score['cleared_at_fault']}"
            f"  CPU {score['cpu_ms_median']:.0f} ms, p95 {score['cpu_ms_p95']:.0f} ms"
        )


def run(folder: Path, *, show: bool = False) -> dict[str, dict[str, Any]]:
    """The scores of each method over the incidents in `cases.json`."""
    return scores(real(folder), show=show)


def real(folder: Path) -> list[Case]:
    found = []
    for name, truth in json.loads((folder / "cases.json").read_text(encoding="utf-8")).items():
        with (folder / f"{name}.csv").open(encoding="utf-8") as lines:
            rows = read_table(lines)
        now = [row.cell for row in rows if row.minute == truth["minute"]]
        before = [row.cell for row in rows if row.minute < truth["minute"]]
        found.append(Case(name, now, before, frozenset(Segment.of(segment) for segment in truth["segments"])))
    return found


def scores(cases: Sequence[Case], *, methods: Iterable[str] = (), show: bool = False) -> dict[str, dict[str, Any]]:
    return {
        name: summed([judged(case, METHODS[name], name if show else "") for case in cases])
        for name in methods or METHODS
    }


def judged(case: Case, method: Method, show: str = "") -> Outcome:
    started = time.process_time()
    segments, suspects, cleared = method(case.now, case.before)
    cpu_ms = (time.process_time() - started) * 1_000
    found = set(segments)
    if show and found != case.truth:
        print(f"  {show}: {case.name}: {sorted(map(str, found))} instead of {sorted(map(str, case.truth))}")
    at_fault = {value for segment in case.truth for value in segment.values}
    return Outcome(
        len(found & case.truth),
        len(found - case.truth),
        len(case.truth - found),
        (len(case.truth & set(suspects[:3])), len(case.truth & set(suspects[:5]))),
        len(cleared),
        sum(bool(at_fault & set(each.values)) for each in cleared),
        cpu_ms,
    )


def summed(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    right, wrong, missed = (sum(getattr(each, name) for each in outcomes) for name in ("right", "wrong", "missed"))
    cpu = sorted(each.cpu_ms for each in outcomes)
    return {
        "micro_f1": round(2 * right / max(2 * right + wrong + missed, 1), 3),
        "right": right,
        "wrong": wrong,
        "missed": missed,
        "within_3": round(sum(each.within[0] for each in outcomes) / max(right + missed, 1), 3),
        "within_5": round(sum(each.within[1] for each in outcomes) / max(right + missed, 1), 3),
        "cleared": sum(each.cleared for each in outcomes),
        "cleared_at_fault": sum(each.cleared_at_fault for each in outcomes),
        "cpu_ms_median": cpu[len(cpu) // 2],
        "cpu_ms_p95": quantiles(cpu, n=20)[-1] if len(cpu) > 1 else cpu[0],
    }


def halves(cases: Sequence[Case], times: int = 20) -> dict[str, Any]:
    """What was chosen on one half, scored on the other: mean, and the range of the middle nine tenths."""
    readings = [replace(BEST, overdispersion=r, evenness=e) for r in (0.0005, 0.002, 0.005) for e in (0.25, 0.5, 0.75)]
    known = {
        reading: [judged(case, lambda now, before, reading=reading: _ours(now, before, reading)) for case in cases]
        for reading in readings
    }
    rng = random.Random(1)
    rounds = []
    for _ in range(times):
        order = rng.sample(range(len(cases)), len(cases))
        half = len(cases) // 2
        for fitted, tried in ((order[:half], order[half:]), (order[half:], order[:half])):
            best = max(readings, key=lambda reading: summed([known[reading][at] for at in fitted])["micro_f1"])
            rounds.append(summed([known[best][at] for at in tried]))
    return {
        name: {"mean": round(mean(each[name] for each in rounds), 3),
               "p5_p95": [round(cut, 3) for cut in quantiles([each[name] for each in rounds], n=20)[:: 18]]}
        for name in ("micro_f1", "within_3", "within_5")
    }  # fmt: skip


def _ours(now: list[Cell], before: list[Cell], reading: Reading = BEST) -> tuple[list[Segment], ...]:
    found: Location = locate(now, before, reading=reading)
    return tuple([each.segment for each in listed] for listed in (found.placed, found.suspects, found.cleared))


def _live(now: list[Cell], before: list[Cell]) -> tuple[list[Segment], list[Segment], list[Segment]]:
    found = place(now, before)
    placed = [each.segment for each in found.placed]
    return placed, placed, [each.segment for each in found.cleared]


def plain_scan(now: list[Cell], before: list[Cell]) -> tuple[list[Segment], list[Segment], list[Segment]]:
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

    found = sorted(counts, key=ratio, reverse=True)[:10]
    return found[:1], found, []


def likelihood(settled: float, broken: float) -> float:
    """The log-likelihood of a share under its own best value."""
    kept = settled - broken
    return (broken * log(broken / settled) if broken else 0.0) + (kept * log(kept / settled) if kept else 0.0)


METHODS: dict[str, Method] = {
    "prikkfri": _ours,  # type: ignore[dict-item]
    "the scan of live incidents": _live,
    "plain likelihood-ratio scan": plain_scan,
}


def drawn(rng: random.Random, *, quiet: bool = False, people_max: int = 400_000) -> Case:
    """A table of three to five dimensions of two to ten values, with uneven and overdispersed traffic whose usual share
    differs from value to value; in its last minute, unless it is quiet, one to three segments of one to four values are
    worse, unevenly so among their other values."""
    numbers = np.random.default_rng(rng.getrandbits(64))
    while True:
        values = [rng.randint(2, 10) for _ in range(rng.choice((3, 4, 5, 5)))]
        size, total = tuple(values), exp(rng.uniform(log(4_000), log(people_max)))
        traffic = _crossed([numbers.dirichlet(np.full(count, 0.6)) for count in values])
        traffic = (
            traffic * numbers.lognormal(0, rng.uniform(0.3, 1.2), size) * (numbers.random(size) > rng.uniform(0, 0.5))
        )
        traffic /= traffic.sum()
        uneven = rng.uniform(0.1, 0.7)
        usual = exp(rng.uniform(log(0.0025), log(0.06))) * _crossed([numbers.lognormal(0, uneven, n) for n in values])
        usual = np.clip(usual * numbers.lognormal(0, uneven / 2, size), 0, 0.5)
        worse, truth = np.zeros(size), frozenset[Segment]()
        if not quiet:
            worse, truth = _faults(rng, numbers, traffic, usual, total)
            if not truth:
                continue
        dispersion = exp(rng.uniform(log(1e-4), log(1e-2)))
        unrest, minutes = rng.uniform(0, 0.15), rng.choice((5, 10))
        cells: tuple[list[Cell], list[Cell]] = ([], [])
        for minute in range(minutes + 1):
            last = minute == minutes
            share = np.clip(usual * numbers.lognormal(0, unrest), 1e-6, 0.9)
            share = 1 - (1 - share) * (1 - worse) if last else share
            settled = numbers.poisson(traffic * total)
            strength = (1 - dispersion) / dispersion
            broken = numbers.binomial(settled, numbers.beta(share * strength, (1 - share) * strength))
            for at in zip(*np.nonzero(settled), strict=True):
                segment = Segment.of({f"d{dimension}": str(value) for dimension, value in enumerate(at)})
                cells[not last].append(Cell(segment, float(settled[at]), float(broken[at])))
        return Case(f"drawn {rng.getrandbits(32):08x}", *cells, truth)


def _faults(rng: random.Random, numbers: Any, traffic: Any, usual: Any, total: float) -> tuple[Any, frozenset[Segment]]:
    """What is added to the share by leaf, and the segments; no segment where the draw would have alarmed nobody."""
    worse, truth, where = np.zeros(traffic.shape), set(), np.indices(traffic.shape)
    depth = min(rng.choices((1, 2, 3, 4), (50, 27, 18, 5))[0], traffic.ndim)
    dimensions = sorted(rng.sample(range(traffic.ndim), depth))
    wanted, strength = rng.choices((1, 2, 3), (80, 15, 5))[0], exp(rng.uniform(log(0.03), log(0.5)))
    for _ in range(50):
        named = {dimension: rng.randrange(traffic.shape[dimension]) for dimension in dimensions}
        inside = np.logical_and.reduce([where[dimension] == value for dimension, value in named.items()])
        part = traffic[inside].sum()
        if part * total < 60 or part > 0.6 or part * strength < 0.15 * (traffic * usual).sum():
            continue
        spread = rng.uniform(0.1, 0.6)
        others = [
            np.ones(count) if dimension in named else numbers.lognormal(0, spread, count)
            for dimension, count in enumerate(traffic.shape)
        ]
        worse = np.where(inside, np.maximum(worse, np.clip(strength * _crossed(others), 0, 0.97)), worse)
        truth.add(Segment.of({f"d{dimension}": str(value) for dimension, value in named.items()}))
        if len(truth) == wanted:
            break
    return worse, frozenset(truth)


def _crossed(factors: Sequence[Any]) -> Any:
    crossed = np.ones(())
    for factor in factors:
        crossed = np.multiply.outer(crossed, factor)
    return crossed


if __name__ == "__main__":
    sys.exit(main())
