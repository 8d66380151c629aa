"""Importing a file into a database on either engine."""

import csv
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from prikkfri.clock import ManualClock
from prikkfri.errors import StorageError, UsageError
from prikkfri.storage import Database, Location, open_database
from prikkfri.subscribers import service, store
from prikkfri.subscribers.limits import Limits
from prikkfri.subscribers.service import ImportReport, import_file, show
from prikkfri.subscribers.subscriptions import Subscriber

OSLO = ZoneInfo("Europe/Oslo")
COLUMNS = "subscriber_id,name,email,kind,product,msisdn,from,to"
KARI = "S1,Kari Nordmann,Kari@Example.no,mobile,Frihet,+4791234567,2020-01-01,"
OLA = "S2,Ola Nordmann,ola@example.no,mobile,Fast,+4791234568,2020-01-01,"
YEAR_2022, YEAR_2024 = 1_640_995_200.0, 1_704_067_200.0


@pytest.fixture
async def people(location: Location) -> AsyncIterator[Database]:
    database = await open_database(location, "subscribers")
    yield database
    await database.close()


class Importing:
    def __init__(self, database: Database, path: Path) -> None:
        self.database = database
        self.path = path
        self.clock = ManualClock()
        self.told: Callable[[int, int], None] = lambda done, of: None
        self.limits = Limits(batch_records=10)
        self.progress: list[tuple[int, int]] = []

    async def rows(self, *rows: str, encoding: str = "utf-8", ending: str = "\n") -> ImportReport:
        self.path.write_bytes(ending.join((COLUMNS, *rows, "")).encode(encoding))
        return await self.again()

    async def again(self) -> ImportReport:
        return await import_file(
            self.database,
            self.path,
            region="NO",
            timezone=OSLO,
            clock=self.clock,
            progress=self._progressed,
            limits=self.limits,
        )

    def _progressed(self, done: int, of: int) -> None:
        self.progress.append((done, of))
        self.told(done, of)

    def rejected(self) -> list[str]:
        return self.path.with_suffix(".rejected.csv").read_text(encoding="utf-8").splitlines()[1:]

    async def holder(self, msisdn: str, when: float) -> str | None:
        found = await self.database.read(lambda queries: store.holder_at(queries, msisdn, when))
        return found.id if found else None


@pytest.fixture
def importing(people: Database, tmp_path: Path) -> Importing:
    return Importing(people, tmp_path / "customers.csv")


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    assert report.rows == report.added + report.changed + report.unchanged + report.rejected
    return report.added, report.changed, report.unchanged, report.rejected


async def test_a_second_import_changes_nothing_and_a_changed_row_updates(importing: Importing) -> None:
    rows = [KARI, OLA, "S1,Kari Nordmann,kari@example.no,television,sport,,2021-01-01,2023-01-01"]
    assert counts(await importing.rows(*rows)) == (3, 0, 0, 0)
    assert counts(await importing.again()) == (0, 0, 3, 0)
    rows[1] = OLA.replace("Ola", "Olav").replace("Fast", "Fri") + "2023-01-01"
    assert counts(await importing.rows(*rows)) == (0, 1, 2, 0)
    found = await importing.database.read(lambda q: store.subscriber_by_login(q, "OLA@example.no ", YEAR_2022))
    assert found == Subscriber("S2", "Olav Nordmann", "ola@example.no")
    assert importing.progress[-1] == (importing.path.stat().st_size,) * 2


async def test_login_is_an_address_or_a_number_held_now(importing: Importing) -> None:
    await importing.rows(KARI + "2023-01-01", "S3,Without Address,,mobile,Fri,+4799999999,2020-01-01,")

    async def login(text: str, now: float) -> str | None:
        found = await importing.database.read(lambda q: store.subscriber_by_login(q, text, now))
        return found.id if found else None

    assert await login("kari@example.no", YEAR_2024) == "S1"
    assert await login("912 34 567", YEAR_2022) == "S1"
    assert await login("+47 91234567", YEAR_2024) is None
    assert await login("nobody@example.no", YEAR_2022) is None
    assert await login("", YEAR_2022) is None
    assert await login("@", YEAR_2022) is None
    assert await login("' OR 1=1 --", YEAR_2022) is None


async def test_packages_are_those_of_the_moment(importing: Importing) -> None:
    television = "S1,Kari,kari@example.no,television"
    await importing.rows(
        f"{television},sport,,2021-01-01,2023-01-01",
        f"{television},basic,,2020-01-01,",
        f"{television},film,,2099-01-01,",
        "S1,Kari,kari@example.no,broadband,fibre,,2020-01-01,",
    )
    packages = [
        await importing.database.read(lambda q, now=now: store.packages_at(q, "S1", now))
        for now in (YEAR_2022, YEAR_2024, 0.0)
    ]
    assert packages == [("basic", "sport"), ("basic",), ()]
    assert len(await importing.database.read(lambda q: store.subscriptions_of(q, "S1"))) == 4


async def test_a_number_passes_from_one_to_another_and_back(importing: Importing) -> None:
    ola = OLA.replace("91234568", "91234567")
    await importing.rows(
        KARI + "2021-07-01",
        ola.replace("2020-01-01", "2021-07-01") + "2023-01-01",
        KARI.replace("2020-01-01", "2023-01-01"),
    )
    turn = 1_625_090_400.0  # 2021-07-01 in Oslo
    assert [await importing.holder("+4791234567", when) for when in (turn - 1, turn, YEAR_2022, YEAR_2024)] == [
        "S1", "S2", "S2", "S1",
    ]  # fmt: skip


async def test_two_people_cannot_hold_a_number_at_once(importing: Importing) -> None:
    ola = OLA.replace("91234568", "91234567").replace("2020-01-01", "2021-01-01")
    report = await importing.rows(KARI, ola)
    assert counts(report) == (1, 0, 0, 1)
    assert report.rejected_file == importing.path.with_suffix(".rejected.csv")
    assert importing.rejected() == [f"{ola},3,msisdn is held by subscriber S1 in that time; end that one first (to)"]
    assert await importing.holder("+4791234567", YEAR_2022) == "S1"


async def test_the_row_that_ends_a_period_may_stand_below_the_one_that_begins_the_next(importing: Importing) -> None:
    await importing.rows(KARI, OLA)
    ola = "S2,Ola Nordmann,kari@example.no,mobile,Fast,+4791234567,2021-01-01,"
    kari = KARI.replace("Kari@", "kari.ny@") + "2021-01-01"
    report = await importing.rows(ola, *(OLA.replace("S2", f"X{i}").replace("ola@", f"x{i}@").replace(
        "91234568", f"9000{i:04}") for i in range(importing.limits.batch_records)), kari)  # fmt: skip
    assert counts(report) == (1 + importing.limits.batch_records, 1, 0, 0)
    assert await importing.holder("+4791234567", YEAR_2022) == "S2"
    found = await importing.database.read(lambda q: store.subscriber_by_login(q, "kari@example.no", YEAR_2022))
    assert found and found.id == "S2"


async def test_an_address_passes_along_a_chain_within_one_batch(importing: Importing) -> None:
    def person(number: int, email: str) -> str:
        return f"S{number},Somebody,{email},broadband,fibre,,2020-01-01,"

    await importing.rows(person(1, "a@x.no"), person(2, "b@x.no"), person(3, "c@x.no"))
    moved = [person(3, "d@x.no"), person(2, "c@x.no"), person(1, "b@x.no"), person(3, "a@x.no"), person(2, "e@x.no")]
    assert counts(await importing.rows(*moved)) == (0, 5, 0, 0)
    twice = await importing.rows(person(4, "a@x.no"))
    assert counts(twice) == (0, 0, 0, 1)
    assert importing.rejected()[0].endswith("email is that of subscriber S3; give each their own")


async def test_what_a_spreadsheet_writes_is_read(importing: Importing) -> None:
    lines = [COLUMNS.replace(",", ";"), 'S1;"Bjørn;\r\nÅse";;mobile;Fri;912 34 567;2020-01-01;']
    importing.path.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    assert counts(await importing.again()) == (1, 0, 0, 0)
    found = await importing.database.read(lambda q: store.subscriber(q, "S1"))
    assert found and found.name == "Bjørn; Åse"


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
async def test_what_a_spreadsheet_writes_by_itself_is_read_and_what_is_rejected_it_opens(
    importing: Importing, encoding: str
) -> None:
    bad = "S2;Åse;;mobile;Fri;12;2020-01-01"
    lines = ["sep=;", COLUMNS.replace(",", ";"), "S1;Bjørn;;mobile;Fri;912 34 567;31.05.2020", bad, ""]
    importing.path.write_bytes("\r\n".join(lines).encode(encoding))
    report = await importing.again()
    assert (counts(report), report.encoding) == ((1, 0, 0, 1), encoding)
    found = await importing.database.read(lambda q: store.subscriber(q, "S1"))
    assert found and found.name == "Bjørn"
    rejected = importing.path.with_suffix(".rejected.csv").read_bytes()
    assert rejected.startswith(b"\xef\xbb\xbfsubscriber_id;")
    assert rejected.decode("utf-8-sig").splitlines()[1] == f"{bad};;4;msisdn is not a telephone number"


async def test_rejected_rows_are_told_with_line_and_reason_and_can_be_mended(importing: Importing) -> None:
    bad = "S2,Ola Nordmann,,mobile,Fast,12,2020-01-01,"
    assert counts(await importing.rows(KARI, bad, "S4,too,few")) == (1, 0, 0, 2)
    assert importing.rejected() == [
        f"{bad},3,msisdn is not a telephone number",
        "S4,too,few,,,,,,4,has 3 fields where the first line has 8",
    ]
    rejected = importing.path.with_suffix(".rejected.csv")
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o600
    mended = Importing(importing.database, rejected)
    rejected.write_text(rejected.read_text().replace(",12,", ",91234568,"))
    assert counts(await mended.again()) == (1, 0, 0, 1)
    assert counts(await importing.rows(KARI)) == (0, 0, 1, 0)
    assert not rejected.exists()


async def test_a_rejected_formula_is_written_as_text_and_comes_back_as_it_was(importing: Importing) -> None:
    name = '=HYPERLINK("http://evil.example")'
    bad = 'S2,"=HYPERLINK(""http://evil.example"")",@ola,mobile,-1,12,2020-01-01,'
    assert counts(await importing.rows(bad)) == (0, 0, 0, 1)
    rejected = importing.path.with_suffix(".rejected.csv")
    with rejected.open(encoding="utf-8", newline="") as file:
        row = list(csv.reader(file))[1]
    assert row[:6] == ["S2", f"'{name}", "'@ola", "mobile", "'-1", "12"]
    rejected.write_text(rejected.read_text().replace(",12,", ",91234568,").replace("'@ola", ""))
    assert counts(await Importing(importing.database, rejected).again()) == (1, 0, 0, 0)
    found = await importing.database.read(lambda queries: store.subscriber(queries, "S2"))
    assert found is not None and found.name == name


async def test_lines_without_end_and_bytes_that_are_no_text_cost_only_themselves(importing: Importing) -> None:
    with importing.path.open("wb") as file:
        file.write((COLUMNS + "\n" + KARI + "\n").encode())
        for _ in range(64):
            file.write(b"x" * 1_000_000)
        file.write(b"\nS9,Bj\xf8rn,,broadband,fibre,,2020-01-01,\n" + OLA.replace("Ola", "Øle").encode())
    assert counts(await importing.again()) == (2, 0, 0, 2)
    reasons = importing.path.with_suffix(".rejected.csv").read_bytes().splitlines()
    assert reasons[1].endswith(b"3,longer than 4000 characters")
    unread = b"name has letters that cannot be read; save the file as CSV UTF-8"
    assert reasons[2] == b"S9,Bj\xf8rn,,broadband,fibre,,2020-01-01,,4," + unread


async def test_a_file_that_cannot_be_read_is_said_in_one_line(importing: Importing, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        await importing.again()
    importing.path.write_bytes(COLUMNS.encode("utf-32"))
    with pytest.raises(UsageError, match="lacks subscriber_id"):
        await importing.again()
    os.mkfifo(tmp_path / "pipe")
    writing = os.open(tmp_path / "pipe", os.O_RDWR)
    importing.path = tmp_path / "pipe"
    with pytest.raises(UsageError, match="pipe: is no file that can be read twice; write it to one first"):
        await importing.again()
    os.close(writing)


class Failing:
    """A database whose disk is full from the third write on."""

    def __init__(self, whole: Database) -> None:
        self.whole = whole
        self.writes = 0

    async def write(self, work: Any) -> Any:
        self.writes += 1
        if self.writes == 3:
            raise StorageError("the disk is full")
        return await self.whole.write(work)


async def test_what_was_imported_before_a_failure_stays_and_the_rest_comes_with_the_next_run(
    importing: Importing,
) -> None:
    rows = [f"S{i},Somebody,,broadband,fibre,,2020-01-01," for i in range(25)]
    database, importing.database = importing.database, cast(Database, Failing(importing.database))
    with pytest.raises(StorageError):
        await importing.rows(*rows, "too,few")
    importing.database = database
    assert sorted(importing.path.parent.glob("customers*")) == [importing.path]
    assert counts(await importing.rows(*rows)) == (5, 0, 20, 0)
    assert sorted(importing.path.parent.glob("customers*")) == [importing.path]


async def test_a_row_that_is_refused_changes_nothing_of_whom_it_names(importing: Importing) -> None:
    await importing.rows(KARI + "2021-07-01", OLA, "S3,Third,,mobile,Fri,+4791234567,2021-07-01,")
    before = await everything(importing.database)
    refused = [
        KARI.replace("Kari Nordmann", "Somebody Else"),  # lasts on, though another holds the number now
        OLA.replace("Ola", "Olav").replace("91234568", "91234567"),  # a number that others have held in that time
        OLA.replace("Fast", "Fri").replace("ola@", "kari@"),  # another's address
        "S9,Newcomer,KARI@example.no,broadband,fibre,,2020-01-01,",
        "S9,Newcomer,,mobile,Fri,+4791234567,2021-06-30,2021-07-02",
        "S3,Thirdly,,mobile,Fri,+4791234567,2020-01-01,2020-01-02",  # of the very moment when another's began
    ]
    assert counts(await importing.rows(*refused)) == (0, 0, 0, len(refused))
    assert await everything(importing.database) == before
    assert [line.rsplit(",", 2)[1:] for line in importing.rejected()] == [
        ["2", "msisdn is held by subscriber S3 in that time; end that one first (to)"],
        ["3", "msisdn is held by subscriber S1 in that time; end that one first (to)"],
        ["4", "email is that of subscriber S1; give each their own"],
        ["5", "email is that of subscriber S1; give each their own"],
        ["6", "msisdn is held by subscriber S1 in that time; end that one first (to)"],
        ["7", "msisdn is held by subscriber S1 in that time; end that one first (to)"],
    ]


async def everything(database: Database) -> list[Any]:
    return [
        await database.read(lambda q, table=table, order=order: q.fetch(f"SELECT * FROM {table} ORDER BY {order}"))
        for table, order in (
            ("subscriber", "id"),
            ("mobile_number", "msisdn, starts"),
            ("fixed_subscription", "subscriber_id, kind, product, starts"),
        )
    ]


async def test_of_what_contradicts_so_much_is_tried_again_and_every_row_is_accounted_for(importing: Importing) -> None:
    await importing.rows(KARI)
    importing.limits = Limits(batch_records=2, conflicts_retried_max=3)
    heirs = [
        f"H{i},Heir,,mobile,Fri,+4791234567,202{i + 1}-01-01,202{i + 1}-06-01" for i in range(5)
    ]  # each of them contradicts Kari, who gives up her number at the end of the file
    report = await importing.rows(*heirs, KARI + "2021-01-01")
    assert counts(report) == (3, 1, 0, 2)
    assert {line.partition(",")[0] for line in importing.rejected()} < {f"H{i}" for i in range(5)}
    held = [await importing.holder("+4791234567", 1_609_500_000 + year * 31_557_600) for year in range(5)]
    assert sum(holder is not None for holder in held) == 3


async def test_progress_and_time_are_told(importing: Importing) -> None:
    clock = importing.clock
    importing.told = lambda done, of: clock.advance(0.5)
    report = await importing.rows(*[f"S{i},Somebody,,broadband,fibre,,2020-01-01," for i in range(25)])
    assert (report.rows, report.seconds, report.rejected_file) == (25, 1.5, None)
    size = importing.path.stat().st_size
    assert [of for _, of in importing.progress] == [size] * 3
    assert importing.progress[-1] == (size, size)


async def test_a_number_is_shown_by_who_holds_it_or_held_it_last_or_will_hold_it(importing: Importing) -> None:
    def row(number: int, since: str, until: str = "") -> str:
        return f"S{number},Somebody,,mobile,Fri,+4791234567,{since},{until}"

    async def shown(now: float) -> tuple[str, list[tuple[str, bool]]]:
        found = await show(importing.database, "+47 912 34 567", region="SE", timezone=OSLO, now=now)
        assert found is not None
        return found.id, [(holder.subscriber_id, holder.now) for holder in found.holders]

    await importing.rows(row(3, "2026-01-01"), row(1, "2020-01-01", "2021-01-01"), row(2, "2021-01-01", "2022-01-01"))
    assert await shown(YEAR_2022 - 10 * 31_557_600) == ("S1", [("S1", False), ("S2", False), ("S3", False)])
    assert await shown(YEAR_2022 - 5_000_000) == ("S2", [("S1", False), ("S2", True), ("S3", False)])
    assert await shown(YEAR_2024) == ("S2", [("S1", False), ("S2", False), ("S3", False)])
    assert await shown(YEAR_2024 + 10 * 31_557_600) == ("S3", [("S1", False), ("S2", False), ("S3", True)])


async def test_show_masks_unless_told_and_finds_by_id_or_number(importing: Importing) -> None:
    await importing.rows(KARI + "2021-07-01", OLA.replace("91234568", "91234567").replace("2020-01-01", "2021-07-01"))

    async def shown(key: str, **how: bool) -> service.Profile | None:
        return await show(importing.database, key, region="NO", timezone=OSLO, now=YEAR_2022, **how)

    profile = await shown("S1")
    assert profile and (profile.name, profile.email) == ("K••• N•••", "k•••@example.no")
    (held,) = profile.subscriptions
    assert (held.number, held.since, held.until, held.now) == ("+47 ••••• 567", "2020-01-01", "2021-07-01", False)
    by_number = await shown("912 34 567")
    assert by_number and by_number.id == "S2"
    assert [(holder.subscriber_id, holder.now) for holder in by_number.holders] == [("S1", False), ("S2", True)]
    assert "1234567" not in repr(profile) + repr(by_number)
    whole = await shown("S1", unmasked=True)
    assert whole and (whole.name, whole.subscriptions[0].number) == ("Kari Nordmann", "+4791234567")
    assert await shown("S7") is None
    assert await shown("+4790000000") is None
