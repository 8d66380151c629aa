"""Fresh evenings drawn by lot, as many as are wanted, a few minutes at a time.

    python benchmarks/evenings.py [--evenings 1000] [--minutes 8] [--processes 2] [--file evenings.jsonl]

The first line of the file is the seed of the first evening, drawn when the file is begun; each evening that has been
judged is a line of its own. Called again it goes on with the next one, until there are as many as are wanted. What it
comes to so far is printed; exit code 1 when the goal does not hold.
"""

import argparse
import hashlib
import sys
from dataclasses import asdict
from pathlib import Path

from resuming import add_options, go_on

from prikkfri.simulation.evenings.judging import Judgement, goal_holds, result
from prikkfri.simulation.evenings.many import judged

AT_ONCE = 48
"""Evenings between two looks at the clock: of fewer, some processes would wait for the last for a part of the time."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--evenings", type=int, default=1_000, help="in all, over however many calls")
    add_options(arguments, file=Path("evenings.jsonl"))
    chosen = arguments.parse_args()
    seed, done = go_on(
        chosen,
        Judgement,
        wanted=lambda first: range(first, first + chosen.evenings),
        judge=lambda seeds, processes: judged(seeds, processes=processes),
        at_once=AT_ONCE,
        say=_say,
    )
    digest = hashlib.sha256("".join(each.judged.digest for each in done).encode()).hexdigest()
    seconds = sum(each.seconds for each in done)
    found = result([each.judged for each in done], seed=seed, seconds=seconds, trace_digest=digest)
    for name, value in asdict(found).items():
        print(f"  {name:24} {value}")
    holds = goal_holds(found, [each.judged for each in done])
    print("  the goal holds" if holds else "  the goal does not hold")
    return 0 if holds else 1


def _say(judged: Judgement) -> None:
    for finding in judged.findings:
        print(f"  seed {judged.seed}: {finding}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
