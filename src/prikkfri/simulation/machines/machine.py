"""One machine: its roles under their supervisor, until SIGTERM or the end of standard input.

`python -m prikkfri.simulation.machines.machine --home HOME --only ROLE,...`
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from prikkfri.app.logs import log_file
from prikkfri.app.process import say_ready
from prikkfri.app.supervisor import Program, Supervisor


def role_program(home: Path, role: str) -> Program:
    return Program(role, ["-m", "prikkfri.app", role, "--home", str(home), "--demo"], log_file(home, role))


async def run(home: Path, roles: list[str]) -> int:
    loop = asyncio.get_running_loop()
    # A pipe's end is said by its being readable: nobody writes to it.
    loop.add_reader(sys.stdin, lambda: os.kill(os.getpid(), signal.SIGTERM))
    programs = [role_program(home, role) for role in roles]
    return await Supervisor(programs, home=home, say=lambda line: print(line, file=sys.stderr, flush=True)).run(
        when_ready=say_ready
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m prikkfri.simulation.machines.machine")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--only", required=True)
    chosen = parser.parse_args()
    sys.exit(asyncio.run(run(chosen.home, chosen.only.split(","))))
