"""How far an area is from what this version knows, looked at without a change, on either engine."""

import subprocess
import sys

import pytest

from prikkfri.app.__main__ import mend_of
from prikkfri.clock import ManualClock
from prikkfri.errors import FencedOut, StorageError
from prikkfri.journal import Outcome, open_journal
from prikkfri.storage import Location, open_database
from prikkfri.storage.opening import history, migrate, migrations_missing, open_unmigrated


async def test_what_an_area_has_still_to_get_is_told_and_nothing_is_made(location: Location) -> None:
    assert await migrations_missing(location, "signin") is None
    assert await migrations_missing(location, "signin") is None
    assert list(location.home.iterdir()) == []
    old = open_unmigrated(location, "signin")
    await old.engine.prepare()
    assert await migrations_missing(location, "signin") is None
    await migrate(old, up_to=2)
    await old.close()
    assert await migrations_missing(location, "signin") == len(history()) - 2
    assert await migrations_missing(location, "sms") is None
    new = await open_database(location, "signin")
    assert await migrations_missing(location, "signin") == 0
    await new.write(lambda t: t.execute("INSERT INTO migration (number, name) VALUES (9999, 'later')"))
    await new.close()
    with pytest.raises(StorageError, match=r"signin: written by a newer version \(migration 9999\)"):
        await migrations_missing(location, "signin")


async def test_an_older_process_that_still_runs_is_fenced_out_and_says_what_to_install(
    location: Location, clock: ManualClock
) -> None:
    told = Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept")
    older = await open_database(location, "signin")
    writing = await open_journal(older, stream="signin", clock=clock)
    await writing.append(told)
    newer = await open_database(location, "signin")  # of a version that knows one migration more
    await newer.write(lambda t: t.execute("INSERT INTO migration (number, name) VALUES (9999, 'later')"))
    await writing.append(told)  # until the newer one has begun
    await (await open_journal(newer, stream="signin", clock=clock)).append(told)
    with pytest.raises(FencedOut) as fenced:
        await writing.append(told)
    assert mend_of(fenced.value) == ""  # it ends, and is started again
    await older.close()
    with pytest.raises(StorageError) as refused:
        await open_database(location, "signin")
    line = "signin: written by a newer version (migration 9999); install that version"
    assert str(refused.value) == mend_of(refused.value) == line  # it stays down
    await newer.close()


STARTING = """
import asyncio, sys
from pathlib import Path
from prikkfri.storage import Location, open_database

async def start():
    print("begins", flush=True)
    sys.stdin.readline()
    database = await open_database(Location(Path(sys.argv[1]), sys.argv[2]), "sms")
    print(len(await database.read(lambda q: q.fetch("SELECT number FROM migration"))), flush=True)
    await database.close()

asyncio.run(start())
"""


def test_of_two_processes_that_start_at_once_one_makes_the_tables_and_both_go_on(location: Location) -> None:
    command = [sys.executable, "-c", STARTING, str(location.home), location.url]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None and process.stdout.readline() == "begins\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()
    said = [process.communicate() for process in both]
    assert said == [(f"{len(history())}\n", "")] * 2
