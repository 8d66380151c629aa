"""Which check goes red when a mechanism is switched off: both rehearsals, once with everything and once without each.

Some twenty minutes. Prints the table that stands in docs/rehearsals.md.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from prikkfri.simulation import mechanisms, misdelivery
from prikkfri.simulation.kickoff_plan import Plan
from prikkfri.simulation.mechanisms import Mechanism
from prikkfri.simulation.rehearsing import commit, machine, rehearse_kickoff, rehearse_misdelivery
from prikkfri.simulation.report import Check


def say(line: str) -> None:
    print(f"    {line}", file=sys.stderr)


async def kickoff(without: Mechanism | None) -> Sequence[Check]:
    plan = Plan(fault=without.fault) if without else Plan()
    _, checks, _, _ = await rehearse_kickoff(plan, say=say, without=without)
    return checks


async def misdelivered(without: Mechanism | None) -> Sequence[Check]:
    _, checks, _, _, _ = await rehearse_misdelivery(misdelivery.Plan(), say=say, without=without)
    return checks


def row(rehearsal: str, name: str, what: str, checks: Sequence[Check]) -> str:
    red = [f"{check.name}: {check.figure}" for check in checks if not check.holds]
    return f"| {rehearsal} | `{name}` | {what} | {'<br>'.join(red) or 'none'} | {sum(bool(c.holds) for c in checks)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a mechanism")
    only = parser.parse_args().only
    print(f"{machine()}, {datetime.now(UTC):%Y-%m-%d}, commit {commit()}\n")
    print("| rehearsal | `--without` | switched off | red | green |\n|---|---|---|---|---|")
    stagings = (
        ("kickoff", kickoff, mechanisms.KICKOFF),
        ("misdelivery", misdelivered, mechanisms.MISDELIVERY),
    )
    for rehearsal, stage, known in stagings:
        everything: dict[str, Mechanism | None] = {"-": None, **known}
        for name, mechanism in everything.items():
            if only in ("", name):
                checks = asyncio.run(stage(mechanism))
                evening = f", `--fault {mechanism.fault}`" if mechanism and mechanism.fault != "kill" else ""
                print(row(rehearsal + evening, name, mechanism.what if mechanism else "nothing", checks), flush=True)


if __name__ == "__main__":
    main()
