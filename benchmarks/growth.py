"""What a second, a look and a list cost as promises, series, people hit and outcomes grow.

    python benchmarks/growth.py [--sizes 1000,100000,1000000] [--only promises,series] [--json FILE]

`promises`: so many are open while a hundred are asked and a hundred answered each second; CPU of counting a second.
`series`: 2,000 and 10,000 of them, a promise a second in one in a hundred of them, and in each.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prikkfri.assurance.detection import Settings
from prikkfri.assurance.watching import Arrival, Watch, advance
from prikkfri.journal import Outcome

START = 1_700_000_000.0
SECONDS = 20


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", default="1000,100000,1000000")
    arguments.add_argument("--only", default=",".join(PARTS))
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    sizes = [int(size) for size in chosen.sizes.split(",")]
    figures = {name: PARTS[name](sizes) for name in chosen.only.split(",")}
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def promises(sizes: Sequence[int]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for size in sizes:
        askings = [message(START + n / size, "asked", f"m-{n}") for n in range(size)]
        watch, _ = advance(Watch(START), askings, Settings(), until=START + 1)
        costs = []
        for second in range(1, SECONDS):
            at = START + second
            told = [message(at + n / 100, "asked", f"n-{second}-{n}") for n in range(100)]
            told += [message(at + n / 100 + 0.001, "kept", f"n-{second}-{n}") for n in range(100)]
            began = time.process_time()
            watch, _ = advance(watch, told, Settings(), until=at + 1)
            costs.append((time.process_time() - began) * 1e3)
        assert len(watch.open) == size
        figures[str(size)] = told_of(f"{size:,} promises open: a second", costs)
    return figures


def series(_: Sequence[int]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for size in (2_000, 10_000):
        settings = Settings(series=size)
        for part in (100, 1):
            watch, _ = advance(Watch(START), placed(START, size, 1), settings, until=START + 1)
            costs = []
            for second in range(1, 3 * SECONDS + 5):
                told = placed(START + second, size, part)
                began = time.process_time()
                watch, _ = advance(watch, told, settings, until=START + second + 1)
                costs.append((time.process_time() - began) * 1e3)
            name = f"{size:,} series, a promise in {size // part:,} of them: a second"
            figures[f"{size}, {size // part} a second"] = told_of(name, costs)
    return figures


def placed(at: float, size: int, part: int) -> list[Arrival]:
    known = {"service": "messages", "step": "deliver", "layer": "link", "verdict": "kept"}
    return [
        ("sms", Outcome(time=at + n / size, dimensions={"account": f"a-{n}"}, **known))  # type: ignore[arg-type]
        for n in range(0, size, part)
    ]


def message(at: float, verdict: str, promise: str) -> Arrival:
    known = {"service": "messages", "step": "deliver", "layer": "link", "dimensions": {"partner": "Telia"}}
    return "sms", Outcome(time=at, verdict=verdict, promise=promise, **known)  # type: ignore[arg-type]


def told_of(what: str, costs: Sequence[float]) -> dict[str, float]:
    figures = {"median_ms": round(statistics.median(costs), 2), "worst_ms": round(max(costs), 2)}
    print(f"{what}: {figures['median_ms']:.1f} ms CPU (median), {figures['worst_ms']:.1f} ms at most")
    return figures


PARTS: dict[str, Callable[[Sequence[int]], dict[str, Any]]] = {"promises": promises, "series": series}

if __name__ == "__main__":
    sys.exit(main())
