"""Fresh worlds of messages drawn by lot, as many as are wanted, a few minutes at a time.

    python benchmarks/messages.py [--events 10000000] [--minutes 8] [--file messages.jsonl]

The first line of the file is the seed of the first world, drawn when the file is begun; each world that has been judged
is a line of its own. Called again it goes on with the next one, until as many messages as are wanted have been handed
in. What it comes to so far is printed; exit code 1 when anything is wrong.
"""

import argparse
import os
import platform
import secrets
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from prikkfri.clock import SystemClock
from prikkfri.simulation.messages.many import Judged, each_of, result, worlds

AT_ONCE = 20
"""Worlds between two looks at the clock."""


class Line(msgspec.Struct):
    judged: Judged
    seconds: float


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=10_000_000, help="in all, over however many calls")
    arguments.add_argument("--minutes", type=float, default=8.0, help="for this call")
    arguments.add_argument("--file", type=Path, default=Path("messages.jsonl"))
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before")
    if not chosen.file.exists():
        chosen.file.write_text(f"{secrets.randbelow(1_000_000_000)}\n", encoding="utf-8")
    first, *lines = chosen.file.read_text(encoding="utf-8").splitlines()
    # A line that was being written when it was stopped is judged again.
    done = [msgspec.json.decode(line, type=Line) for line in lines if line.endswith("}")]
    chosen.file.write_text(first + "\n" + "".join(_line(each) for each in done), encoding="utf-8")
    clock, wanted = SystemClock(), worlds(int(first), chosen.events)
    began = clock.monotonic()
    while len(done) < len(wanted) and clock.monotonic() - began < 60 * chosen.minutes:
        since = clock.monotonic()
        some = list(each_of(wanted[len(done) : len(done) + AT_ONCE]))
        taken = (clock.monotonic() - since) / len(some)
        with chosen.file.open("a", encoding="utf-8") as file:
            for each in some:
                done.append(Line(each, taken))
                file.write(_line(done[-1]))
                for finding in each.findings[:3]:
                    print(f"  seed {each.seed}: {finding}", flush=True)
    found = result([each.judged for each in done], seed=int(first), seconds=sum(each.seconds for each in done))
    for name, value in asdict(found).items():
        print(f"  {name:28} {value}")
    print(f"  handed in a second           {found.events / found.seconds:,.0f}")
    print(f"  to a stranger at most        {found.bound:.2g} (at 95 %)")
    wrong = [each.judged.seed for each in done if each.judged.findings]
    print(f"  seeds with findings: {wrong}" if wrong else "  nothing is wrong")
    return 0 if found.holds and not wrong else 1


def _line(line: Line) -> str:
    return msgspec.json.encode(line).decode() + "\n"


if __name__ == "__main__":
    sys.exit(main())
