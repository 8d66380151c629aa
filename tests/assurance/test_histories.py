"""A look reads what is new and no more; after a restart, an erasure, or where there is too much, it reads all."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from outcome_rows import drop_outcomes
from query_plans import instructions
from response_house import House, open_house, tried

from prikkfri.assurance.incidents import Fact
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.outcomes.store import journal_heads, outcomes_after
from prikkfri.clock import ManualClock
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Location, open_database

OPEN = (Fact("evidence", 0.0),)
"""It is confirmed, and by far not over."""


@pytest.fixture
async def house(location: Location, clock: ManualClock) -> AsyncIterator[House]:
    house = await open_house(location, clock)
    yield house
    await house.close()


async def listed(house: House) -> list[str]:
    return [hit.customer or hit.device for hit in await house.response.register.hits("i")]


async def forget_stored(house: House) -> None:
    """Whoever reads anew what was read before finds nothing."""
    await house.database.write(drop_outcomes)


async def test_a_look_goes_on_from_the_last_and_takes_what_came_late_as_if_it_had_come_in_time(house: House) -> None:
    began = house.began_at
    await house.fault(tried(began + 1, "a"), tried(began + 2, device="of-b"), facts=OPEN)
    response = await house.start()
    await response.evaluations.look()
    assert await listed(house) == ["a", "of-b"]
    await forget_stored(house)
    await house.outcomes(tried(began + 3, "late"), tried(began + 4, "b", device="of-b"))
    await response.evaluations.look()
    assert await listed(house) == ["a", "b", "late"], (
        "what was read is remembered, and who holds a device is asked again"
    )
    house.clock.advance(1.0)
    await response.evaluations.look()
    assert await listed(house) == ["a", "b", "late"]


async def test_who_is_on_a_device_is_asked_again_when_another_service_tells_it(house: House) -> None:
    await house.fault(tried(house.began_at + 2, device="of-b"), facts=OPEN)
    response = await house.start()
    await response.evaluations.look()
    assert await listed(house) == ["of-b"]
    await house.outcomes(at_play(tried(house.began_at + 3, "b", device="of-b", kept=True)))
    await response.evaluations.look()
    assert await listed(house) == ["b"]


def at_play(outcome: Outcome) -> Outcome:
    return Outcome(
        time=outcome.time, service="games", step="play", layer="streams", verdict="kept", customer=outcome.customer,
        device=outcome.device,
    )  # fmt: skip


async def test_after_a_restart_and_after_an_erasure_all_is_read(house: House) -> None:
    await house.fault(tried(house.began_at + 1, "a"), facts=OPEN)
    await (await house.start()).evaluations.look()
    await forget_stored(house)
    await house.outcomes(tried(house.began_at + 3, "late"))
    response = await house.start()
    await response.evaluations.look()
    assert await listed(house) == ["late"]
    await forget_stored(house)

    async def erase() -> list[str]:
        return ["i"]

    await response.register.without(erase, lambda touched: None)
    await response.evaluations.look()
    assert await listed(house) == ["late"], (
        "of whoever was erased before there is nothing any more: nothing is read anew"
    )
    await response.register.without(erase, lambda touched: touched)
    await response.evaluations.look()
    assert await listed(house) == []


@pytest.mark.parametrize("most", [0, 30, 100_000])
async def test_however_little_room_there_is_what_is_known_is_carried_on(house: House, most: int) -> None:
    """To read all of a large incident at each look would take hours, and all the memory that there is."""
    house.timing = replace(house.timing, kept_outcomes_max=most, outcomes_at_once_max=7)
    await house.fault(tried(house.began_at + 1, "a"), facts=OPEN)
    response = await house.start()
    await response.evaluations.look()
    await house.outcomes(tried(house.began_at + 3, "late"), tried(house.began_at - 700, "before"))
    await response.evaluations.look()
    assert await listed(house) == ["a", "late"]
    before = await house.incident()
    await (await house.start()).evaluations.look()
    assert await house.incident() == before
    await forget_stored(house)
    await response.evaluations.look()
    assert await listed(house) == ["a", "late"]


async def test_what_is_new_is_read_by_its_place_in_each_journal(location: Location) -> None:
    database = await open_database(location, "assurance")
    at = 1_700_000_000.0

    async def store(stream: str, incarnation: str, first: int, *names: str) -> None:
        outcomes = [tried(at, name) for name in names]
        page = Page(incarnation, first, first + len(names) - 1, outcomes, first, 0, 0)
        await database.write(lambda t: outcome_store.add_outcomes(t, stream, page, at))

    assert await database.read(journal_heads) == {}
    await store("door", "i", 1, "a", "b", "c")
    await store("door", "j", 1, "d")
    await store("signin", "i", 7, "e")
    heads = await database.read(journal_heads)
    assert heads == {("door", "i"): 3, ("door", "j"): 1, ("signin", "i"): 7}
    read = [
        await database.read(
            lambda q, most=most: outcomes_after(  # type: ignore[misc]
                q, stream="door", incarnation="i", position=1, up_to=3, most=most
            )
        )
        for most in (1, 5)
    ]
    assert [[each.outcome.customer for each in found] for found in read] == [["b"], ["b", "c"]]
    assert {(each.stream, each.incarnation, each.position) for each in read[1]} == {("door", "i", 2), ("door", "i", 3)}
    await database.close()


@pytest.mark.parametrize("live_max", [0, 100_000])
async def test_who_was_answered_is_read_again_when_more_is_told_of_them(house: House, live_max: int) -> None:
    began = house.began_at
    house.timing = replace(house.timing, live_outcomes_max=live_max)
    answered = [
        tried(began + 1, "a", device="of-a", kept=True),
        tried(began + 2, "b", kept=True),
        tried(began + 3, device="of-c", kept=True),
        tried(began + 4, "d", device="of-d", kept=True),
    ]
    await house.fault(*answered, facts=OPEN)
    response = await house.start()
    await response.evaluations.look()
    assert await listed(house) == []
    known = (await house.incident()).asked
    assert known >= 4
    await house.outcomes(
        tried(began + 5, "a", device="of-a"), tried(began + 6, "b"), tried(began + 7, "c", device="of-c")
    )
    await response.evaluations.look()
    assert {hit.customer: hit.tries for hit in await response.register.hits("i")} == {"a": 2, "b": 2, "c": 2}
    assert (await house.incident()).asked == known, "and each is one person as before"
    await house.outcomes(tried(began + 8, "d", device="another"), at_play(tried(began + 9, "e", device="of-d")))
    await response.evaluations.look()
    assert await listed(house) == ["a", "b", "c", "d"]
    carried_on = await house.incident()
    hits = await response.register.hits("i")
    restarted = await house.start()
    await restarted.evaluations.look()
    assert await restarted.register.hits("i") == hits and await house.incident() == carried_on


async def test_of_whom_nothing_is_stored_any_more_nothing_is_known_as_after_a_restart(house: House) -> None:
    house.timing = replace(house.timing, live_outcomes_max=0)
    await house.fault(tried(house.began_at + 1, "a", device="of-a", kept=True), facts=OPEN)
    response = await house.start()
    await response.evaluations.look()
    await house.database.write(lambda t: drop_outcomes(t, "customer = 'a'"))
    await house.outcomes(tried(house.began_at + 5, "a", device="of-a"))
    await response.evaluations.look()
    assert {hit.customer: hit.tries for hit in await response.register.hits("i")} == {"a": 1}


async def test_how_far_the_journals_have_come_is_found_without_going_through_them(tmp_path: Path) -> None:
    database = await open_database(Location(tmp_path), "assurance")
    at, taken, spent = 1_700_000_000.0, 0, []
    for stored in (20, 2_000):
        page = Page("i", taken + 1, taken + stored, [tried(at, "a")] * stored, taken + 1, 0, 0)
        await database.write(lambda t, page=page: outcome_store.add_outcomes(t, "signin", page, at))  # type: ignore[misc]
        taken += stored
        spent.append(await instructions(database, journal_heads))
    assert await database.read(journal_heads) == {("signin", "i"): taken}
    assert spent[1] <= spent[0] + 20, spent
    await database.close()
