"""Followers against what can go wrong: rivals, backups, failures in the middle, pages of any size."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from failing_engine import failing
from neighbours import move_in, neighbours
from waiting import WAIT_SECONDS_MAX

from prikkfri.clock import ManualClock
from prikkfri.errors import InDoubt, StorageError, StorageUnavailable
from prikkfri.journal import (
    Follower,
    Journal,
    JournalLimits,
    Outcome,
    Page,
    last_written_at,
    open_journal,
    read_page,
    taken_to,
    trim,
)
from prikkfri.storage import Database, Location, Transaction, open_database


def outcome(number: int, **fields: object) -> Outcome:
    return Outcome(  # type: ignore[arg-type]
        **{"time": 0.0, "service": "s", "step": "t", "layer": "l", "verdict": "kept", "promise": str(number)} | fields
    )


class Taking:
    """A journal, a database of its follower's own, and what the follower took and was alarmed about."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self.database = database
        self.journal = journal
        self.alarms: list[str] = []
        self.limits = JournalLimits()

    def follower(self, name: str = "test") -> Follower:
        return Follower(self.database, name=name, take=self.take, alarm=self.alarms.append)

    async def take(self, transaction: Transaction, stream: str, page: Page) -> None:
        await transaction.execute_many(
            "INSERT INTO took (promise) VALUES (:promise)", [{"promise": o.promise} for o in page.outcomes]
        )

    async def source(self, stream: str, after: int) -> Page | None:
        return await read_page(self.journal.database, stream, after, limits=self.limits)

    async def drain(self, follower: Follower) -> None:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while await follower.step("sms", self.source) or follower.behind.get("sms"):
                await asyncio.sleep(0)

    async def taken_to(self, stream: str = "sms") -> int:
        return await taken_to(self.database, stream, incarnation=self.journal.incarnation)

    async def took(self) -> list[str]:
        return [row[0] for row in await self.database.read(lambda q: q.fetch("SELECT promise FROM took ORDER BY n"))]


@pytest.fixture
async def taking(
    tmp_path_factory: pytest.TempPathFactory, database: Database, clock: ManualClock
) -> AsyncIterator[Taking]:
    journal = await open_journal(database, stream="sms", clock=clock)
    own = await open_database(Location(tmp_path_factory.mktemp("assurance")), "assurance")
    await own.write(lambda t: t.execute("CREATE TABLE took (n INTEGER PRIMARY KEY, promise TEXT NOT NULL)"))
    theirs = [await move_in(each) for each in (database, own)]
    yield Taking(own, journal)
    assert [await neighbours(each) for each in (database, own)] == theirs
    await own.close()


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


async def test_after_a_failed_step_the_stored_position_counts_and_not_the_remembered_one(taking: Taking) -> None:
    """The commit was done, its answer was lost: taking the page again would count it twice."""
    taking.database, engine = failing(taking.database)
    follower = taking.follower()
    for i in range(3):
        await taking.journal.append(outcome(i))
    await follower.step("sms", taking.source)
    await taking.journal.append(outcome(3))
    engine.answers_lost.append(StorageError("the answer was lost"))
    with pytest.raises(StorageError):
        await follower.step("sms", taking.source)
    await taking.drain(follower)
    assert await taking.took() == ["0", "1", "2", "3"]
    await taking.journal.append(outcome(4))
    engine.refused_with = StorageError("the disk is full")
    with pytest.raises(StorageError):
        await follower.step("sms", taking.source)
    engine.refused_with = None
    await taking.drain(follower)
    assert await taking.took() == ["0", "1", "2", "3", "4"]


async def test_a_follower_for_which_there_is_nothing_new_writes_nothing(taking: Taking) -> None:
    await taking.journal.append(outcome(0))
    follower = taking.follower()
    await taking.drain(follower)
    before = taking.database.counters.groups
    for _ in range(3):
        assert await follower.step("sms", taking.source) == 0
    assert taking.database.counters.groups == before


async def test_a_page_whose_effects_fail_is_not_passed_over(taking: Taking) -> None:
    for i in range(3):
        await taking.journal.append(outcome(i))

    async def failing_take(transaction: Transaction, stream: str, page: Page) -> None:
        await taking.take(transaction, stream, page)
        raise LookupError("no such customer")

    clumsy = Follower(taking.database, name="test", take=failing_take, alarm=taking.alarms.append)
    for _ in range(2):
        with pytest.raises(LookupError):
            await clumsy.step("sms", taking.source)
    assert await taking.took() == [] and await taking.taken_to() == 0
    await taking.drain(taking.follower())
    assert await taking.took() == ["0", "1", "2"]


async def test_each_follower_has_a_position_of_its_own(taking: Taking) -> None:
    first, second = taking.follower(), taking.follower("second")
    await taking.journal.append(*(outcome(i) for i in range(3)))
    await taking.drain(first)
    assert await taking.took() == ["0", "1", "2"] and await taking.taken_to() == 3
    await second.step("another", taking.source)
    assert await taking.taken_to() == 3 and await taking.taken_to("another") == 0
    await second.step("sms", nothing_yet)
    assert await taking.taken_to() == 0
    await taking.drain(second)
    assert await taking.took() == ["0", "1", "2"] * 2 and await taking.taken_to() == 3


async def test_behind_is_what_is_written_and_not_taken_and_overflow_is_handed_on(taking: Taking) -> None:
    taking.limits = JournalLimits(page_outcomes_max=4)
    follower = taking.follower()
    for i in range(10):
        await taking.journal.append(outcome(i))
    await taking.journal.database.write(
        lambda t: t.execute("UPDATE journal_stream SET overflowed = 17 WHERE stream = 'sms'")
    )
    seen = []
    while await follower.step("sms", taking.source):
        seen.append(follower.behind["sms"])
    assert seen == [6, 2, 0]
    assert follower.overflowed == {"sms": 17}


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_writer_and_follower_each_outcome_is_taken_once_and_in_order(
    taking: Taking, seed: int
) -> None:
    """Restarts, rivals, refusals, answers that are lost, sources that are away, trimming: in any order."""
    chance = random.Random(seed)
    taking.limits = JournalLimits(page_outcomes_max=chance.randint(1, 9), page_batches_max=chance.randint(1, 5))
    taking.database, engine = failing(taking.database)
    followers = [taking.follower(), taking.follower()]
    written = 0

    async def away(stream: str, after: int) -> Page | None:
        raise StorageError("nobody answers")

    for _ in range(120):
        what = chance.choice(["append", "append", "step", "step", "restart", "lost", "refused", "away", "trim"])
        at = chance.randrange(2)
        if what == "append":
            size = chance.choice([1, 1, 2, 7, 30])
            await taking.journal.append(*(outcome(written + i) for i in range(size)))
            written += size
        elif what == "restart":
            followers[at] = taking.follower()
        elif what == "trim":
            await trim(taking.journal, taken_to=await taking.taken_to(), written_before=2e9)
        else:
            if what == "lost":
                engine.answers_lost.append(InDoubt("the answer was lost"))
            if what == "refused":
                engine.refused_with = StorageUnavailable("the disk is full")
            with suppress(StorageError, InDoubt):
                await followers[at].step("sms", away if what == "away" else taking.source)
            engine.refused_with = None
            engine.answers_lost.clear()
    await taking.drain(taking.follower())
    assert await taking.took() == [str(i) for i in range(written)]
    assert taking.alarms == [] and written > 100


async def test_a_stream_restored_from_a_backup_of_itself_is_an_alarm_and_is_followed_on(taking: Taking) -> None:
    for i in range(5):
        await taking.journal.append(outcome(i))
    follower = taking.follower()
    await taking.drain(follower)

    async def restore(transaction: Transaction) -> None:
        await transaction.execute("UPDATE journal_stream SET position = 2 WHERE stream = 'sms'")
        await transaction.execute("DELETE FROM journal_batch WHERE stream = 'sms' AND position > 2")

    await taking.journal.database.write(restore)
    await taking.drain(follower)
    await taking.journal.append(outcome(100))
    await taking.drain(follower)
    assert await taking.took() == ["0", "1", "2", "3", "4", "100"]
    assert taking.alarms == ["stream sms went back from 5 to 2, as from a backup: some is not known"]


async def test_a_stream_whose_rest_is_missing_is_an_alarm_and_is_followed_on(taking: Taking) -> None:
    for i in range(5):
        await taking.journal.append(outcome(i))
    follower = taking.follower()
    await taking.journal.database.write(
        lambda t: t.execute("DELETE FROM journal_batch WHERE stream = 'sms' AND position > 2")
    )
    for _ in range(3):
        await follower.step("sms", taking.source)
    assert taking.alarms == ["stream sms: 3 outcomes after 2 are missing"]
    assert await taking.taken_to() == 5
    await taking.journal.append(outcome(5))
    await taking.drain(follower)
    assert await taking.took() == ["0", "1", "5"] and len(taking.alarms) == 1


async def test_a_gap_in_the_middle_of_a_page_is_an_alarm_and_costs_only_what_is_missing(taking: Taking) -> None:
    for i in range(6):
        await taking.journal.append(outcome(i))
    await taking.journal.database.write(
        lambda t: t.execute("DELETE FROM journal_batch WHERE stream = 'sms' AND position IN (2, 3, 5)")
    )
    await taking.drain(taking.follower())
    assert await taking.took() == ["0", "3", "5"]
    assert taking.alarms == ["stream sms: a gap: after 1 comes 4", "stream sms: a gap: after 4 comes 6"]


async def test_a_new_incarnation_is_read_from_its_beginning_wherever_the_old_one_ended(taking: Taking) -> None:
    """Shorter, as long, or longer than the old one: a position of the old one says nothing about it."""
    follower = taking.follower()
    number = 0
    for length in (3, 2, 2, 5):
        incarnation = f"born {number}"
        await taking.journal.database.write(lambda t: t.execute("DELETE FROM journal_batch WHERE stream = 'sms'"))
        await taking.journal.database.write(
            lambda t, i=incarnation: t.execute(
                "UPDATE journal_stream SET position = 0, incarnation = :i WHERE stream = 'sms'", {"i": i}
            )
        )
        for _ in range(length):
            await taking.journal.append(outcome(number))
            number += 1
        await taking.drain(follower)
        assert await taking.took() == [str(i) for i in range(number)]
    assert [alarm.partition(":")[0] for alarm in taking.alarms] == ["stream sms is a new incarnation"] * 3


async def test_of_two_followers_of_one_name_only_one_takes_a_new_incarnation_as_long_as_the_old_one(
    taking: Taking,
) -> None:
    """Their positions are the same number then, and mean something else."""
    first, second = taking.follower(), taking.follower()
    for number in (0, 3):
        for i in range(3):
            await taking.journal.append(outcome(number + i))
        await taking.drain(first)
        if number == 0:
            assert await second.step("sms", taking.source) == 0
            await taking.journal.database.write(lambda t: t.execute("DELETE FROM journal_batch WHERE stream = 'sms'"))
            await taking.journal.database.write(
                lambda t: t.execute("UPDATE journal_stream SET position = 0, incarnation = 'anew' WHERE stream = 'sms'")
            )
    with pytest.raises(StorageError, match="another process follows it"):
        await second.step("sms", taking.source)
    assert await second.step("sms", taking.source) == 0
    assert await taking.took() == [str(i) for i in range(6)]


async def test_pages_are_bounded_whatever_the_size_of_the_batches(taking: Taking) -> None:
    taking.limits = JournalLimits(page_outcomes_max=100, page_batches_max=30)
    number = 0
    for size in [1] * 70 + [40] * 7 + [250, 1, 99, 1, 1, 100, 101]:
        await taking.journal.append(*(outcome(number + i) for i in range(size)))
        number += size
    sizes: list[int] = []
    follower = taking.follower()
    while taken := await follower.step("sms", taking.source):
        sizes.append(taken)
    assert sizes == [30, 30, 90, 80, 80, 40, 250, 100, 2, 100, 101]
    assert await taking.took() == [str(i) for i in range(number)]
    assert taking.alarms == []


async def test_an_unreadable_batch_stops_its_stream_with_a_reason_and_is_not_passed_over(taking: Taking) -> None:
    await taking.journal.append(outcome(1))
    await taking.journal.append(outcome(2))
    await taking.journal.database.write(
        lambda t: t.execute(
            "UPDATE journal_batch SET payload = :p WHERE stream = 'sms' AND position = 2", {"p": b"\x91\x93rubbish"}
        )
    )
    follower = taking.follower()
    with pytest.raises(StorageError, match="unreadable"):
        await taking.drain(follower)
    await taking.journal.database.write(
        lambda t: t.execute(
            "UPDATE journal_batch SET payload = :p WHERE stream = 'sms' AND position = 2", {"p": b"\x90"}
        )
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


async def nothing_yet(stream: str, after: int) -> Page | None:
    return None


async def test_trimming_waits_for_a_follower_that_has_looked_and_not_yet_taken(taking: Taking) -> None:
    for i in range(3):
        await taking.journal.append(outcome(i))
    await taking.follower("early").step("sms", nothing_yet)
    await taking.drain(taking.follower())
    assert await taking.taken_to() == 0
    await taking.drain(taking.follower("early"))
    assert await taking.taken_to() == 3
    await taking.follower("late").step("sms", nothing_yet)
    assert await taking.taken_to() == 0


async def test_what_was_taken_of_a_lost_file_is_not_taken_of_the_one_that_was_begun_anew(taking: Taking) -> None:
    """Else it would be trimmed before its follower has seen it."""
    await taking.journal.append(*(outcome(i) for i in range(3)))
    await taking.drain(taking.follower())
    assert await taking.taken_to() == 3
    assert await taken_to(taking.database, "sms", incarnation="begun anew") == 0


async def test_the_newest_batch_of_any_stream_tells_when_it_was_last_written(
    taking: Taking, clock: ManualClock
) -> None:
    assert await last_written_at(taking.journal.database) == 0
    for _ in range(3):
        await taking.journal.append(outcome(1))
        assert await last_written_at(taking.journal.database) == clock.now()
        clock.advance(10)
