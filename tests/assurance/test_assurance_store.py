"""The tables of assurance, on both engines: what changes, and what stays as it is beside it."""

import math
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from query_plans import walks

from prikkfri.assurance import store
from prikkfri.assurance.counting import Count
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.outcomes.days import DAY_SECONDS
from prikkfri.assurance.outcomes.stored import DIMENSIONS_MAX, TEXT_CHARACTERS_MAX, OutcomeFilter, StoredOutcome
from prikkfri.errors import StorageError
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Database, Location, Transaction, open_database

NOW = 1_700_000_000.0
ANY_TIME = {"since": 0.0, "until": 1e12}


@pytest.fixture
async def tables(location: Location) -> AsyncIterator[Database]:
    database = await open_database(location, "assurance")
    yield database
    await database.close()


def outcome(ago: float = 0.0, **told: Any) -> Outcome:
    known = {"service": "television", "step": "sign-in", "layer": "signin", "verdict": "kept"}
    return Outcome(time=NOW - ago, **{**known, **told})


async def taken(tables: Database, *outcomes: Outcome, stream: str = "signin", first: int = 1) -> None:
    last = first + len(outcomes) - 1
    page = Page("i", first, last, list(outcomes), last, 0, 0)
    await tables.write(lambda t: outcome_store.add_outcomes(t, stream, page, NOW))


async def found(tables: Database, most: int = 100, **sought: Any) -> list[StoredOutcome]:
    return await tables.read(lambda q: outcome_store.outcomes(q, OutcomeFilter(**{**ANY_TIME, **sought}), most=most))


def reasons(found: list[StoredOutcome]) -> list[str]:
    return [each.outcome.reason for each in found]


async def test_an_outcome_is_kept_whole(tables: Database) -> None:
    whole = outcome(
        verdict="broken", reason="overloaded", customer="c", device="d", promise="p", observed=False,
        dimensions={"client": "phone"},
    )  # fmt: skip
    await taken(tables, whole, outcome(1), first=41)
    assert await found(tables) == [
        StoredOutcome("signin", 41, whole, "i"),
        StoredOutcome("signin", 42, outcome(1), "i"),
    ]


async def test_what_is_stored_is_not_stored_again_nor_anything_beside_it(tables: Database) -> None:
    await taken(tables, outcome(reason="first"))
    with pytest.raises(StorageError):
        await taken(tables, outcome(reason="new"), outcome(reason="second"), first=0)
    await taken(tables, outcome(reason="another stream"), stream="door")
    assert sorted(reasons(await found(tables))) == ["another stream", "first"]


async def test_what_a_device_makes_up_fits_into_the_tables(tables: Database) -> None:
    odd = "\0" + "x" * 300
    names = ("service", "step", "layer", "reason", "customer", "device", "promise")
    dimensions = {f"{n}{odd}": odd for n in range(50)}
    wild = Outcome(time=math.nan, verdict="kept", dimensions=dimensions, **dict.fromkeys(names, odd))
    await taken(tables, wild)
    ((_, _, kept),) = [(each.stream, each.position, each.outcome) for each in await found(tables)]
    fits = "\ufffd" + "x" * (TEXT_CHARACTERS_MAX - 1)
    assert {getattr(kept, name) for name in names} == {fits}
    assert kept.time == NOW and len(kept.dimensions) == DIMENSIONS_MAX
    assert set(kept.dimensions.values()) == {fits} and max(map(len, kept.dimensions)) == TEXT_CHARACTERS_MAX


async def test_outcomes_are_found_by_all_that_is_asked_the_newest_first(tables: Database) -> None:
    told = {"service": "messages", "step": "deliver", "layer": "link", "verdict": "broken", "reason": "expired"}
    await taken(tables, outcome(9, **told), outcome(8, **{**told, "reason": "rejected"}))
    for position, (name, value) in enumerate(told.items(), 3):
        other = {"verdict": "kept"} if name == "verdict" else {name: f"not {value}"}
        await taken(tables, outcome(10 - position, **{**told, **other}), first=position)
    assert reasons(await found(tables, **told)) == ["expired"]
    for name, value in told.items():
        listed = await found(tables, **{name: value})
        assert {getattr(each.outcome, name) for each in listed} == {value} and len(listed) >= 5
    everything = [each.position for each in await found(tables)]
    assert everything == [7, 6, 5, 4, 3, 2, 1]
    assert [each.position for each in await found(tables, most=2)] == everything[:2]
    times = await found(tables, since=NOW - 5, until=NOW - 3)
    assert [NOW - each.outcome.time for each in times] == [4, 5]


async def test_outcomes_of_one_moment_are_listed_by_their_place(tables: Database) -> None:
    await taken(tables, *(outcome() for _ in range(4)))
    assert [each.position for each in await found(tables)] == [4, 3, 2, 1]


@pytest.mark.parametrize("most", [1, 2, 3, 100])
async def test_a_time_is_read_in_parts_each_outcome_once_the_oldest_first(tables: Database, most: int) -> None:
    for stream in ("signin", "door"):
        await taken(tables, outcome(11), outcome(10), outcome(5), outcome(5), outcome(7), outcome(0), stream=stream)
    read: list[StoredOutcome] = []

    async def part_after(last: StoredOutcome | None) -> list[StoredOutcome]:
        return await tables.read(
            lambda q: outcome_store.outcomes_in(q, since=NOW - 10, until=NOW, after=last, most=most)
        )

    while part := await part_after(read[-1] if read else None):
        assert len(part) <= most
        read += part
    assert [(NOW - each.outcome.time, each.stream, each.position) for each in read] == [
        (10, "door", 2), (10, "signin", 2), (7, "door", 5), (7, "signin", 5),
        (5, "door", 3), (5, "door", 4), (5, "signin", 3), (5, "signin", 4),
    ]  # fmt: skip


async def test_a_customer_has_their_own_outcomes_and_nobody_elses(tables: Database) -> None:
    outcomes = [
        outcome(9, customer="kari", device="d-1", reason="own"),
        outcome(8, device="d-1", reason="before anyone had signed in"),
        outcome(7, customer="ola", device="d-1", reason="of another on the same device"),
        outcome(6, device="d-2", reason="of a device that only told of itself"),
        outcome(5, device="", reason="of nobody"),
        outcome(4, customer="kari", reason="own without a device"),
    ]
    await taken(tables, *outcomes)
    told_of_itself = outcome(6, customer="kari", device="d-2", observed=False)
    await tables.write(lambda t: outcome_store.join_devices(t, [*outcomes, told_of_itself], NOW))

    async def of(customer: str, most: int = 100) -> list[str]:
        return reasons(await tables.read(lambda q: outcome_store.outcomes_of_customer(q, customer, most=most)))

    own = ["own without a device", "before anyone had signed in", "own"]
    assert await of("kari") == own and await of("kari", most=2) == own[:2]
    assert await of("ola") == ["of another on the same device", "before anyone had signed in"]
    assert await of("") == [] and await of("nobody") == []


async def test_who_held_a_device_is_known_from_the_first_to_the_last_time(tables: Database) -> None:
    for seconds in ((50, 40), (60, 45), (55, 30), (100,)):
        who = "kari" if len(seconds) == 2 else "ola"
        held = [outcome(ago, customer=who, device="d") for ago in seconds]
        await tables.write(lambda t, held=held: outcome_store.join_devices(t, held, NOW))
    rows = await tables.read(lambda q: q.fetch("SELECT * FROM device_holder ORDER BY customer"))
    assert rows == [("d", "kari", NOW - 60, NOW - 30), ("d", "ola", NOW - 100, NOW - 100)]


def counted(second: int, outcomes: int, **kind: Any) -> Count:
    known = {"service": "television", "step": "sign-in", "layer": "signin", "verdict": "kept", "reason": ""}
    return Count(second=second, outcomes=outcomes, **{**known, "observed": True, **kind})


async def test_counts_add_up_by_kind_and_period(tables: Database) -> None:
    kinds: list[dict[str, Any]] = [{}, {"observed": False}, {"reason": "x"}, {"verdict": "broken"}, {"step": "enter"}]
    for _ in range(2):
        await tables.write(lambda t: store.add_counts(t, [counted(100, 3, **kind) for kind in kinds]))
    await tables.write(lambda t: store.add_counts(t, [counted(second, 1) for second in (95, 105, 110, 115, 120)]))
    read = await tables.read(lambda q: store.counts(q, since=100, until=120, period=10))
    assert [each.second for each in read] == sorted(each.second for each in read)
    expected = [counted(100, 6, **kind) for kind in kinds[1:]] + [counted(100, 7), counted(110, 2)]
    assert sorted(read) == sorted(expected)
    assert all(type(each.observed) is bool and type(each.outcomes) is int for each in read)


async def test_an_alarm_is_met_again_or_seen_by_somebody_once(tables: Database) -> None:
    clock = count(1)

    async def raised(text: str) -> None:
        now = NOW + next(clock)
        await tables.write(lambda t: store.raise_alarm(t, text, now))

    async def listed(most: int = 10) -> list[tuple[Any, ...]]:
        alarms = await tables.read(lambda q: store.alarms(q, most=most))
        return [(a.text, a.first_at - NOW, a.last_at - NOW, a.times, a.seen_by) for a in alarms]

    for text in ("gap", "gap", "other\0", "gap", "third"):
        await raised(text)
    assert await listed() == [("third", 5, 5, 1, ""), ("gap", 1, 4, 3, ""), ("other\ufffd", 3, 3, 1, "")]
    await tables.write(lambda t: store.mark_alarm_seen(t, "third", by="kari", now=NOW + 9))
    await tables.write(lambda t: store.mark_alarm_seen(t, "third", by="ola", now=NOW + 10))
    await tables.write(lambda t: store.mark_alarm_seen(t, "no such", by="ola", now=NOW + 10))
    assert await listed() == [("gap", 1, 4, 3, ""), ("other\ufffd", 3, 3, 1, ""), ("third", 5, 5, 1, "kari")]
    assert len(await listed(most=2)) == 2
    (seen,) = [a for a in await tables.read(lambda q: store.alarms(q, most=10)) if a.seen_by]
    assert seen.seen_at == NOW + 9


async def erase(transaction: Transaction, ago: float) -> int:
    return await outcome_store.erase_outcomes(transaction, before=NOW - ago, now=NOW, most=4)


async def test_what_is_told_long_after_its_day_is_erased_in_parts_and_nothing_else(tables: Database) -> None:
    ago = 20 * DAY_SECONDS
    old = [outcome(ago + 100 + n, customer=f"c{n}", device=f"d{n}") for n in range(5)]
    young = [outcome(ago + 99, customer="young", device="d"), outcome(ago + 50, customer="c4", device="d4")]
    await taken(tables, *old, *young)
    await taken(tables, outcome(ago + 100.5, reason="old"), outcome(ago + 99, reason="young"), stream="door")
    await tables.write(lambda t: outcome_store.join_devices(t, [*old, *young], NOW))
    holders = len(old) - 1
    erased = [await tables.write(lambda t: erase(t, ago + 99.5)) for _ in range(3)]
    assert erased == [4 + holders, 2, 0]
    assert [NOW - ago - each.outcome.time for each in await found(tables)] == [50, 99, 99]
    rows = await tables.read(lambda q: q.fetch("SELECT customer FROM device_holder ORDER BY 1"))
    assert rows == [("c4",), ("young",)]


async def test_who_held_devices_is_erased_in_parts(tables: Database) -> None:
    held = [outcome(100 + n, customer=f"c{n}", device=f"d{n}") for n in range(9)]
    await tables.write(lambda t: outcome_store.join_devices(t, held, NOW))
    erased = [await tables.write(lambda t: erase(t, 100.5)) for _ in range(3)]
    assert erased == [4, 4, 0]
    assert await tables.read(lambda q: q.fetch("SELECT customer FROM device_holder")) == [("c0",)]


async def test_nothing_that_is_erased_is_sought_through_a_whole_table(tmp_path: Path) -> None:
    database = await open_database(Location(tmp_path), "assurance")
    assert await walks(database, outcome_store.erase_outcomes, before=1.0, now=NOW) == []
    await database.close()


async def test_counts_are_erased_ten_minutes_at_a_time(tables: Database) -> None:
    seconds = (1_000, 1_600, 1_605, 2_200, 2_995, 3_000, 3_005)
    await tables.write(lambda t: store.add_counts(t, [counted(second, 1) for second in seconds]))
    left = []
    for _ in range(4):
        await tables.write(lambda t: store.erase_counts(t, before=3_000.9))
        read = await tables.read(lambda q: store.counts(q, since=0, until=9_000, period=5))
        left.append([each.second for each in read])
    assert left == [[1_605, 2_200, 2_995, 3_000, 3_005], [2_995, 3_000, 3_005], [3_000, 3_005], [3_000, 3_005]]


async def test_people_are_counted_once_whatever_they_asked_and_only_as_roles_saw_it(tables: Database) -> None:
    def broken(**told: Any) -> Outcome:
        return outcome(10, verdict="broken", **{"reason": "overloaded", **told})

    await taken(
        tables,
        *(broken(device="d-1", reason=reason) for reason in ("overloaded", "undelivered", "overloaded")),
        broken(customer="c-2"), broken(device="d-3", customer="c-3"),
        broken(device="d-4", reason="wrong-credentials"),  # their own doing
        broken(device="d-5", observed=False), broken(),  # reported, and nobody
        broken(device="d-6", service="messages", step="deliver", layer="account"),
        outcome(70, verdict="broken", device="d-7"),
        outcome(10, device="d-8"), outcome(10, device="d-1"), outcome(10, verdict="asked", device="d-9"),
    )  # fmt: skip
    assert await tables.read(lambda q: outcome_store.people(q, since=NOW - 60)) == {
        ("television", "sign-in"): (3, 6), ("messages", "deliver"): (0, 1),
    }  # fmt: skip
