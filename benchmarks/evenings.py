"""Fresh evenings drawn by lot, as many as are wanted, a few minutes at a time.

    python benchmarks/evenings.py [--evenings 1000] [--minutes 8] [--file evenings.jsonl]

The first line of the file is the seed of the first evening, drawn when the file is begun; each evening that has been
judged is a line of its own. Called again it goes on with the next one, until there are as many as are wanted. What it
comes to so far is printed; exit code 1 when the goal does not hold.
"""

import argparse
import hashlib
import os
import platform
import secrets
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from prikkfri.clock import SystemClock
from prikkfri.simulation.evenings.judging import Judged, goal_holds, result
from prikkfri.simulation.evenings.many import judged

AT_ONCE = 8
"""Evenings between two looks at the clock."""


class Line(msgspec.Struct):
    judged: Judged
    seconds: float


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--evenings", type=int, default=1_000, help="in all, over however many calls")
    arguments.add_argument("--minutes", type=float, default=8.0, help="for this call")
    arguments.add_argument("--file", type=Path, default=Path("evenings.jsonl"))
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before")
    if not chosen.file.exists():
        chosen.file.write_text(f"{secrets.randbelow(1_000_000_000)}\n", encoding="utf-8")
    first, *lines = chosen.file.read_text(encoding="utf-8").splitlines()
    # A line that was being written when it was stopped is judged again.
    done = [msgspec.json.decode(line, type=Line) for line in lines if line.endswith("}")]
    chosen.file.write_text(first + "\n" + "".join(_line(each) for each in done), encoding="utf-8")
    clock, wanted = SystemClock(), range(int(first), int(first) + chosen.evenings)
    began = clock.monotonic()
    while len(done) < chosen.evenings and clock.monotonic() - began < 60 * chosen.minutes:
        since = clock.monotonic()
        some = list(judged(wanted[len(done) : len(done) + AT_ONCE]))
        taken = (clock.monotonic() - since) / len(some)
        with chosen.file.open("a", encoding="utf-8") as file:
            for each in some:
                done.append(Line(each, taken))
                file.write(_line(done[-1]))
                for finding in each.findings:
                    print(f"  seed {each.seed}: {finding}", flush=True)
        print(f"  {len(done)} of {chosen.evenings}, {taken:.1f} s an evening", flush=True)
    digest = hashlib.sha256("".join(each.judged.digest for each in done).encode()).hexdigest()
    seconds = sum(each.seconds for each in done)
    found = result([each.judged for each in done], seed=int(first), seconds=seconds, trace_digest=digest)
    for name, value in asdict(found).items():
        print(f"  {name:24} {value}")
    holds = goal_holds(found, [each.judged for each in done])
    print("  the goal holds" if holds else "  the goal does not hold")
    return 0 if holds else 1


def _line(line: Line) -> str:
    return msgspec.json.encode(line).decode() + "\n"


if __name__ == "__main__":
    sys.exit(main())
