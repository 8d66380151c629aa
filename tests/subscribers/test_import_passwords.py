"""A file that brings password hashes."""

from collections.abc import AsyncIterator, Collection, Set
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from prikkfri.clock import ManualClock
from prikkfri.errors import UsageError
from prikkfri.storage import Database, Location, open_database
from prikkfri.subscribers import store
from prikkfri.subscribers.customer_file import COLUMNS, header
from prikkfri.subscribers.limits import Limits
from prikkfri.subscribers.service import ImportReport, import_file

BCRYPT = "$2b$10$" + "a" * 53
OTHER = "$2y$10$" + "b" * 53
TOO_DEAR = "$2b$15$" + "a" * 53
KARI = "S1,Kari,kari@example.no,television,sport,,2020-01-01,"
OLA = "S2,Ola,ola@example.no,television,sport,,2020-01-01,"


@pytest.fixture
async def people(location: Location) -> AsyncIterator[Database]:
    database = await open_database(location, "subscribers")
    yield database
    await database.close()


async def bring(
    people: Database, folder: Path, *rows: str, own: Collection[str] = (), columns: str = "password_hash"
) -> ImportReport:
    file = folder / "customers.csv"
    file.write_text("\n".join((",".join((*COLUMNS, columns)), *rows, "")), encoding="utf-8")

    async def own_passwords(asked: Collection[str]) -> Set[str]:
        return {each for each in asked if each in own}

    return await import_file(
        people,
        file,
        region="NO",
        timezone=ZoneInfo("Europe/Oslo"),
        clock=ManualClock(),
        progress=lambda done, of: None,
        own_passwords=own_passwords,
        limits=Limits(batch_records=2),
    )


async def kept(people: Database) -> dict[str, str]:
    rows = await people.read(lambda q: q.fetch("SELECT subscriber_id, password_hash FROM imported_password"))
    return {row[0]: row[1] for row in rows}


async def test_hashes_are_kept_and_a_line_without_one_says_nothing_of_it(people: Database, tmp_path: Path) -> None:
    assert not await people.read(store.any_imported_password)
    report = await bring(people, tmp_path, f"{KARI},{BCRYPT}", f"{OLA}, ", f"{KARI.replace('sport', 'basic')},")
    assert (report.added, report.rejected) == (3, 0)
    assert await kept(people) == {"S1": BCRYPT}
    assert await people.read(store.any_imported_password)
    assert await people.read(lambda q: store.imported_password(q, "S1")) == BCRYPT
    assert await people.read(lambda q: store.imported_password(q, "S2")) is None
    await bring(people, tmp_path, f"{KARI},{OTHER}", f"{OLA},{BCRYPT}")
    assert await kept(people) == {"S1": OTHER, "S2": BCRYPT}


async def test_whoever_has_one_of_our_own_keeps_it_and_the_imported_one_is_erased(
    people: Database, tmp_path: Path
) -> None:
    await bring(people, tmp_path, f"{KARI},{BCRYPT}", f"{OLA},{BCRYPT}")
    await bring(people, tmp_path, f"{KARI},{OTHER}", f"{OLA},{OTHER}", own=["S1"])
    assert await kept(people) == {"S2": OTHER}
    await bring(people, tmp_path, KARI + ",", f"{OLA},", own=["S2"])  # a file without hashes asks nobody
    assert await kept(people) == {"S2": OTHER}


async def test_an_absurd_hash_is_refused_with_its_line_and_the_others_come_in(people: Database, tmp_path: Path) -> None:
    report = await bring(people, tmp_path, f"{KARI},{TOO_DEAR}", f"{OLA},{BCRYPT}")
    assert (report.added, report.rejected) == (1, 1)
    rejected = (tmp_path / "customers.rejected.csv").read_text(encoding="utf-8")
    assert "2,password_hash has a bcrypt cost of 15; 4 to 12 will do" in rejected
    assert await kept(people) == {"S2": BCRYPT}


def test_the_column_stands_once_and_anywhere() -> None:
    with pytest.raises(UsageError, match="names password_hash more than once"):
        header(",".join((*COLUMNS, "password_hash", "password_hash")), "FILE.csv")
    assert header(",".join(("password_hash", *COLUMNS)), "FILE.csv").password_hash == 0
    assert header(",".join(COLUMNS), "FILE.csv").password_hash is None
