"""`python -m prikkfri.simulation.bench.probe`: people who are inside, and go on watching; a process of its own.

They sign in before the crowd, then fetch playlist and segment again and again, and write down a line for each time:
when (seconds since 1970 UTC), how many milliseconds it took, and what did not come.
"""

import argparse
import asyncio
import random
import sys
from pathlib import Path

from prikkfri.app.process import run_until_stopped, say_ready
from prikkfri.clock import SystemClock
from prikkfri.config import load
from prikkfri.errors import PrikkfriError
from prikkfri.simulation import demo
from prikkfri.simulation.bench.crowd import FetchResult
from prikkfri.simulation.people import Addresses, Viewer, device_pseudonym, open_session

WATCH_SECONDS = 1.0
SIGN_IN_SECONDS_MAX = 60.0
ON_AIR_SECONDS_MAX = 30.0
AT_ONCE = 4
CHANNEL = "bench"
_DEVICES = 1 << 40
"""Beyond the numbers of the crowd's devices."""


def read(file: Path) -> list[FetchResult]:
    """What has been written down so far."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    rows = (line.rstrip("\n").split(" ", 2) for line in lines if line.endswith("\n"))
    return [FetchResult(float(at), float(ms), trouble) for at, ms, trouble in rows]


async def _run(home: Path, count: int, file: Path) -> None:
    clock, config = SystemClock(), load(home, file=None, environment={})
    async with open_session() as http:
        inside = [
            Viewer(
                person, device_pseudonym(_DEVICES + number, seed=1), demo.PASSWORD, http, Addresses.of(config), clock
            )
            for number, person in enumerate(demo.people(count))
        ]
        few = asyncio.Semaphore(AT_ONCE)

        async def come(viewer: Viewer) -> None:
            async with few:
                if not (await viewer.sign_in(give_up_at=clock.now() + SIGN_IN_SECONDS_MAX)).got_at:
                    raise PrikkfriError("nobody gets in before the crowd has come; see the logs in the home")

        await asyncio.gather(*(come(viewer) for viewer in inside))
        give_up_at = clock.now() + ON_AIR_SECONDS_MAX
        while trouble := await inside[0].watch(CHANNEL):
            if clock.now() > give_up_at:
                raise PrikkfriError(f"the channel does not come on air: {trouble}")
            await asyncio.sleep(0.2)
        say_ready()
        with file.open("a", encoding="utf-8", buffering=1) as lines:

            async def watch(viewer: Viewer) -> None:
                await asyncio.sleep(random.random() * WATCH_SECONDS)
                while True:
                    at, began = clock.now(), clock.monotonic()
                    trouble = await viewer.watch(CHANNEL)
                    lines.write(f"{at} {(clock.monotonic() - began) * 1_000:.2f} {trouble}\n")
                    await asyncio.sleep(WATCH_SECONDS)

            await asyncio.gather(*(watch(viewer) for viewer in inside))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m prikkfri.simulation.bench.probe", description="People inside.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--people", type=int, default=20)
    arguments = parser.parse_args()
    asyncio.run(run_until_stopped(lambda: _run(arguments.home, arguments.people, arguments.file)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
