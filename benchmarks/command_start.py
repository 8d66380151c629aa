"""What a command costs before it works: CPU of the whole process, the best of some runs. The goal: 0.3 s.

Last run: docs/commands.md; say `python benchmarks/command_start.py` for your own machine.
"""

import asyncio
import os
import platform
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from prikkfri.storage import Location, open_database
from prikkfri.storage.opening import AREAS

RUNS = 5
COMMANDS = (
    "--version",
    "--help",
    "check",
    "incidents",
    "credits nope",
    "message nope",
    "links",
    "subscribers show nope",
    "serve --only nope",
    "rehearse kickoff --without nope",
)


def main() -> None:
    where = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {where}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(make(Path(folder)))
        for command in COMMANDS:
            print(f"{command:34} {min(cpu_seconds(command.split(), folder) for _ in range(RUNS)):.2f} s")


async def make(home: Path) -> None:
    for area in AREAS:
        await (await open_database(Location(home), area)).close()


def cpu_seconds(arguments: list[str], home: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PRIKKFRI_HOME": home}
    subprocess.run([sys.executable, "-m", "prikkfri", *arguments], capture_output=True, env=environment, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
