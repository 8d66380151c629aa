"""Followers against what can go wrong: rivals, backups, failures in the middle, pages of any size."""

import asyncio

import pytest

from prikkfri.clock import ManualClock
from prikkfri.errors import StorageError
from prikkfri.journal import Follower, Journal, Outcome, Page, following, open_journal, read_page, taken_to
from prikkfri.storage import Database, Location, Transaction, open_database


def outcome(number: int, **fields: object) -> Outcome:
    return Outcome(  # type: ignore[arg-type]
        **{"time": 0.0, "service": "s", "step": "t", "layer": "l", "verdict": "kept", "promise": str(number)} | fields
    )


class Taking:
    def __init__(self, database: Database, journal: Journal) -> None:
        self.database = database
        self.journal = journal
        self.alarms: list[str] = []
        self.fail_after_write = False

    def follower(self) -> Follower:
        return Follower(self.database, name="test", take=self._take, alarm=self.alarms.append)

    async def _take(self, transaction: Transaction, stream: str, page: Page) -> None:
        await transaction.execute_many(
            "INSERT INTO took (promise) VALUES (:promise)", [{"promise": o.promise} for o in page.outcomes]
        )

    async def source(self, stream: str, after: int) -> Page | None:
        return await read_page(self.journal.database, stream, after)

    async def drain(self, follower: Follower) -> None:
        while await follower.step("sms", self.source) or follower.behind.get("sms"):
            pass

    async def took(self) -> list[str]:
        return [row[0] for row in await self.database.read(lambda q: q.fetch("SELECT promise FROM took ORDER BY n"))]


@pytest.fixture
async def taking(tmp_path_factory: pytest.TempPathFactory, database: Database, clock: ManualClock) -> Taking:
    journal = await open_journal(database, stream="sms", clock=clock)
    own = await open_database(Location(tmp_path_factory.mktemp("assurance")), "assurance")
    await own.write(lambda t: t.execute("CREATE TABLE took (n INTEGER PRIMARY KEY, promise TEXT NOT NULL)"))
    return Taking(own, journal)


async def test_of_two_followers_of_one_name_only_one_takes_each_page(taking: Taking) -> None:
    """As when one was frozen, another started in its place, and the first thawed."""
    first, second = taking.follower(), taking.follower()
    refused = 0
    for i in range(20):
        await taking.journal.append(outcome(i))
        steps = await asyncio.gather(
            *(follower.step("sms", taking.source) for follower in (first, second)), return_exceptions=True
        )
        refused += sum(isinstance(step, StorageError) for step in steps)
    await taking.drain(first)
    assert await taking.took() == [str(i) for i in range(20)]
    assert refused and taking.alarms == []


async def test_after_a_failed_step_the_stored_position_counts_and_not_the_remembered_one(
    taking: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit was done, its answer was lost: taking the page again would count it twice."""
    follower = taking.follower()
    for i in range(3):
        await taking.journal.append(outcome(i))
    committing = taking.database.engine.commit
    lost = False

    async def commit() -> None:
        nonlocal lost
        await committing()
        if not lost:
            lost = True
            raise StorageError("the answer was lost")

    await taking.database.read(lambda q: q.fetch("SELECT 1"))
    await follower.step("sms", taking.source)
    await taking.journal.append(outcome(3))
    monkeypatch.setattr(taking.database.engine, "commit", commit)
    with pytest.raises(StorageError):
        await follower.step("sms", taking.source)
    await taking.drain(follower)
    assert await taking.took() == ["0", "1", "2", "3"]


async def test_a_stream_restored_from_a_backup_of_itself_is_an_alarm_and_is_followed_on(taking: Taking) -> None:
    for i in range(5):
        await taking.journal.append(outcome(i))
    follower = taking.follower()
    await taking.drain(follower)

    async def restore(transaction: Transaction) -> None:
        await transaction.execute("UPDATE journal_stream SET position = 2")
        await transaction.execute("DELETE FROM journal_batch WHERE position > 2")

    await taking.journal.database.write(restore)
    await taking.drain(follower)
    await taking.journal.append(outcome(100))
    await taking.drain(follower)
    assert await taking.took() == ["0", "1", "2", "3", "4", "100"]
    assert taking.alarms == ["stream sms went back from 5 to 2, as from a backup: some is not known"]


async def test_pages_are_bounded_whatever_the_size_of_the_batches(
    taking: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE_OUTCOMES_MAX", 100)
    monkeypatch.setattr(following, "PAGE_BATCHES_MAX", 30)
    number = 0
    for size in [1] * 70 + [40] * 7 + [250, 1, 99, 1, 1]:
        await taking.journal.append(*(outcome(number + i) for i in range(size)))
        number += size
    sizes: list[int] = []
    follower = taking.follower()
    while taken := await follower.step("sms", taking.source):
        sizes.append(taken)
    assert sum(sizes) == number and max(size for size in sizes if size != 250) <= 100 + 40
    assert await taking.took() == [str(i) for i in range(number)]
    assert taking.alarms == []


async def test_an_unreadable_batch_stops_its_stream_with_a_reason_and_is_not_passed_over(taking: Taking) -> None:
    await taking.journal.append(outcome(1))
    await taking.journal.append(outcome(2))
    await taking.journal.database.write(
        lambda t: t.execute("UPDATE journal_batch SET payload = :p WHERE position = 2", {"p": b"\x91\x93rubbish"})
    )
    follower = taking.follower()
    with pytest.raises(StorageError, match="unreadable"):
        await taking.drain(follower)
    await taking.journal.database.write(
        lambda t: t.execute("UPDATE journal_batch SET payload = :p WHERE position = 2", {"p": b"\x90"})
    )
    with pytest.raises(StorageError, match="holds 1 outcomes"):
        await taking.drain(follower)
    assert await taking.took() == []


async def test_half_a_character_costs_no_neighbour_its_place(taking: Taking) -> None:
    strange = outcome(2, reason="\ud83d", dimensions={"client": "\udcff", "\udcff": "b"})
    await asyncio.gather(*(taking.journal.append(o) for o in (outcome(1), strange, outcome(3))))
    page = await taking.source("sms", 0)
    assert page is not None
    assert [o.promise for o in page.outcomes] == ["1", "2", "3"]
    assert page.outcomes[1].reason == "?" and page.outcomes[1].dimensions == {"client": "?", "?": "b"}
    assert page.outcomes[1].observed is True


async def test_trimming_waits_for_a_follower_that_has_looked_and_not_yet_taken(taking: Taking) -> None:
    for i in range(3):
        await taking.journal.append(outcome(i))
    await taking.drain(taking.follower())
    assert await taken_to(taking.database, "sms") == 3

    async def nothing_yet(stream: str, after: int) -> Page | None:
        return None

    other = Follower(taking.database, name="other", take=taking._take, alarm=taking.alarms.append)
    await other.step("sms", nothing_yet)
    assert await taken_to(taking.database, "sms") == 0
