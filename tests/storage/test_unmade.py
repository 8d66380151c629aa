"""An area whose role has not started yet: whoever reads there waits, on either engine."""

from pathlib import Path

import pytest

from prikkfri.app.__main__ import mend_of
from prikkfri.clock import ManualClock
from prikkfri.errors import StorageUnavailable, StorageUnmade
from prikkfri.journal import Outcome, open_journal
from prikkfri.journal.others import OthersArea
from prikkfri.storage import Database, Location, open_database, open_reader
from prikkfri.storage.opening import open_unmigrated


async def test_a_reader_of_an_area_that_is_not_made_finds_nothing_until_it_is(
    location: Location, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "prikkfri.journal")
    opened: list[Database] = []

    def open_it() -> Database:
        opened.append(open_reader(location, "signin"))
        return opened[-1]

    area = OthersArea(open_it, clock)
    for _ in range(2):
        assert await area.page("signin", 0) is None
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("waits for what another role makes: ") and "signin" in said
    database = await open_database(location, "signin")
    journal = await open_journal(database, stream="signin", clock=clock)
    await journal.append(Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept"))
    page = await area.page("signin", 0)
    assert page is not None and page.newest == 1
    assert [record.getMessage() for record in caplog.records][1:] == [
        "what another role makes is there now: nothing is waited for any more"
    ]
    assert len(opened) == 1, "a server takes milliseconds for a connection, each time that somebody asks"
    await area.close()
    await database.close()


async def test_what_is_not_made_is_told_apart_and_is_for_nobody_to_mend(location: Location, tmp_path: Path) -> None:
    """A file that is there and has no tables, as in the moment in which its role makes them."""
    made = await open_database(location, "sms")  # so that a server has other schemas
    if not location.url:
        await open_unmigrated(location, "signin").close()
    reader = open_reader(location, "signin") if location.url or (tmp_path / "signin.db").exists() else None
    assert reader is not None
    with pytest.raises(StorageUnmade) as error:
        await reader.read(lambda q: q.fetch("SELECT * FROM journal_stream"))
    assert isinstance(error.value, StorageUnavailable) and mend_of(error.value) == ""
    await reader.close()
    await made.close()
