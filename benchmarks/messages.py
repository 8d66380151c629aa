"""Fresh worlds of messages drawn by lot, as many as are wanted, a few minutes at a time.

    python benchmarks/messages.py [--events 10000000] [--minutes 8] [--processes 2] [--file messages.jsonl]

The first line of the file is the seed of the first world, drawn when the file is begun; each world that has been judged
is a line of its own. Called again it goes on with the next one, until as many messages as are wanted have been handed
in. What it comes to so far is printed; exit code 1 when anything is wrong.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from resuming import add_options, go_on

from prikkfri.simulation.messages.many import Judgement, each_of, result, worlds

AT_ONCE = 48
"""Worlds between two looks at the clock."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=10_000_000, help="in all, over however many calls")
    add_options(arguments, file=Path("messages.jsonl"))
    chosen = arguments.parse_args()
    seed, done = go_on(
        chosen,
        Judgement,
        wanted=lambda first: worlds(first, chosen.events),
        judge=lambda seeds, processes: each_of(seeds, processes=processes),
        at_once=AT_ONCE,
        say=_say,
    )
    found = result([each.judged for each in done], seed=seed, seconds=sum(each.seconds for each in done))
    print(f"  {'worlds':28} {len(done)} of {found.events // len(done):,} messages")
    for name, value in asdict(found).items():
        print(f"  {name:28} {value}")
    print(f"  handed in a second           {found.events / found.seconds:,.0f}")
    print(f"  to a stranger at most        {found.bound:.2g} (at 95 %)")
    wrong = [each.judged.seed for each in done if each.judged.findings]
    print(f"  seeds with findings: {wrong}" if wrong else "  nothing is wrong")
    return 0 if found.holds and not wrong else 1


def _say(judged: Judgement) -> None:
    for finding in judged.findings[:3]:
        print(f"  seed {judged.seed}: {finding}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
