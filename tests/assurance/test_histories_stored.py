"""Where a history stands is stored: after a restart it says what it said, and only what is new is read."""

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from outcome_rows import drop_outcomes
from response_house import House, open_house, tried
from told_outcomes import BEGAN, GRACE, LASTS, SEGMENTS, Told, from_nothing

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import Scope
from prikkfri.assurance.incidents import Fact, Incident, open_incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.personal import store as personal_store
from prikkfri.assurance.response import archive, evaluation
from prikkfri.assurance.response.histories import service
from prikkfri.assurance.response.histories.service import Histories
from prikkfri.assurance.response.history import History
from prikkfri.assurance.response.incident_history import IncidentHistory
from prikkfri.assurance.response.records import CHECKSUM_BYTES
from prikkfri.assurance.response.register.service import IncidentRegister
from prikkfri.assurance.response.timing import Timing
from prikkfri.clock import ManualClock
from prikkfri.errors import StorageUnavailable
from prikkfri.journal import Page
from prikkfri.storage import Database, Location, Transaction, open_database

OPEN = (Fact("evidence", 0.0),)
AT_ONCE = Timing(live_outcomes_max=0, piece_bytes_min=1)
"""All that can be is archived, and stored as soon as it is."""


class Shaken(Database):
    """Some of its writes are lost, and of some it is not known that they were done."""

    def __init__(self, database: Database, lot: random.Random) -> None:
        super().__init__(database.engine, area=database.area)
        self.database, self.lot = database, lot
        self.shakes = 0
        self.calm = False

    async def write(self, work: Callable[..., Awaitable[Any]]) -> Any:
        drawn = self.lot.random()
        if drawn > 0.15 or self.calm:
            return await self.database.write(work)
        if drawn < 0.08:
            await self.database.write(work)
        self.shakes += 1
        raise StorageUnavailable("the process is killed")


def same(history: History, whole: History, scope: Scope) -> None:
    since, until = scope.since, scope.until
    assert history.promises() == whole.promises()
    assert history.impact(scope) == whole.impact(scope)
    assert history.people(scope.segments, since=since) == whole.people(scope.segments, since=since)
    assert history.asking((), since=since, until=until) == whole.asking((), since=since, until=until)
    assert list(history.acts) == list(whole.acts)
    assert sorted(history.crowd("enter", 0.0, since)) == sorted(whole.crowd("enter", 0.0, since))
    assert history.viewers(0.0, since) == whole.viewers(0.0, since)


@pytest.mark.parametrize("seed", range(4))
async def test_whenever_it_is_killed_it_says_what_one_from_nothing_says(
    location: Location, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(archive, "TAGS_AT_ONCE", 16)
    lot, told = random.Random(seed), Told(seed, calm=True)
    monkeypatch.setattr(service, "PLACE_BYTES", lot.choice((0, 1)))  # of few outcomes few are archived
    timing = Timing(live_outcomes_max=lot.choice((0, 20)), piece_bytes_min=lot.choice((1, 600)), outcomes_at_once_max=7)
    database = await open_database(location, "assurance")
    shaken, stored, again, taken = Shaken(database, lot), 0, 0, list[int]()
    take = IncidentHistory.take
    monkeypatch.setattr(IncidentHistory, "take", lambda self, rows: take(self, _counted(rows, taken)))

    def begun() -> Histories:
        register = IncidentRegister(shaken, clock=clock, timing=timing, changed=lambda: None)
        return Histories(shaken, register, expectations=GRACE, timing=timing)

    alarm = Alarm("share", SEGMENTS["television"][0][0], BEGAN + 20, BEGAN, 0.005, 1.0, 40.0, 30.0, 25.0)
    incident = open_incident("i", alarm, BEGAN + evaluation.BEFORE_SECONDS)
    histories, now, began = begun(), BEGAN, BEGAN - 60
    while now < BEGAN + (LASTS / 2 if stored and again and shaken.shakes else 4 * LASTS):
        now += lot.choice((0.25, 1.0, 2.0, 7.0))
        await database.write(partial(_follow, told.some(now), now))
        if unlucky := now > BEGAN + LASTS / 2:  # what has not come by lot is brought about
            shaken.calm = shaken.shakes > 0
        if lot.random() < 0.1 and not unlucky:
            began = BEGAN + lot.choice((-70.0, -60.0, -10.0, 5.0))
        incident = replace(incident, since=began + evaluation.BEFORE_SECONDS)
        if restarted := unlucky or lot.random() < 0.3:
            histories = begun()
        before, known = len(taken), await _stored(database)
        try:
            history = await histories.of(incident, now)
        except StorageUnavailable:
            if lot.random() < 0.5:
                histories = begun()
            continue
        whole = from_nothing(told, began, now)
        same(history, whole, Scope(lot.choice(SEGMENTS["television"]), BEGAN + lot.choice((-3.0, 8.0)), now))
        stored += bool(await _stored(database))
        again += restarted and known > 1 and len(taken) - before < len(told.rows)
    assert stored and again and shaken.shakes
    await database.close()


async def _follow(rows: Sequence[StoredOutcome], now: float, transaction: Transaction) -> None:
    for row in rows:
        page = Page("i", row.position, row.position, [row.outcome], row.position, 0, 0)
        await outcome_store.add_outcomes(transaction, row.stream, page, now)
        await outcome_store.join_devices(transaction, [row.outcome], now)


def _counted(rows: Any, taken: list[int]) -> list[Any]:
    found = list(rows)
    taken += [1] * len(found)
    return found


async def _stored(database: Database, of: str = "incident_piece") -> int:
    return (await database.read(lambda q: q.fetch(f"SELECT COUNT(*) FROM {of}", {})))[0][0]  # type: ignore[no-any-return]


@pytest.fixture
async def house(location: Location, clock: ManualClock) -> AsyncIterator[House]:
    house = await open_house(location, clock)
    house.timing = AT_ONCE
    yield house
    await house.close()


async def looked_at(house: House) -> Incident:
    """An incident of which all who were answered are stored, and whose outcomes are then taken away."""
    began = house.began_at
    answered = [tried(began + n / 10, f"s-{n}", device=f"d-{n}", kept=True) for n in range(20)]
    await house.fault(*answered, tried(began + 1, "a"), facts=OPEN)
    await (await house.start()).evaluations.look()
    found = await house.incident()
    assert await _stored(house.database) and await _stored(house.database, "incident_checkpoint") == 1
    await house.database.write(lambda t: drop_outcomes(t, "device <> ''"))
    return found


async def test_after_a_restart_what_is_in_a_piece_is_not_read(house: House) -> None:
    found = await looked_at(house)
    await (await house.start()).evaluations.look()
    assert (await house.incident()).asked == found.asked > 20
    await house.outcomes(tried(house.began_at + 3, "late"))
    await (await house.start()).evaluations.look()
    assert [hit.customer for hit in await house.response.register.hits("i")] == ["a", "late"]
    assert (await house.incident()).asked == found.asked + 1


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE incident_checkpoint SET format = 'of another time'",
        "UPDATE incident_checkpoint SET checksum = :zeros",
        "UPDATE incident_piece SET content = :zeros WHERE number = 0",
        "DELETE FROM incident_piece WHERE number = 0",
    ],
)
async def test_what_cannot_be_read_is_left_and_all_is_read(
    house: House, caplog: pytest.LogCaptureFixture, spoil: str
) -> None:
    found = await looked_at(house)
    await house.database.write(lambda t: t.execute(spoil, {"zeros": bytes(CHECKSUM_BYTES)} if ":" in spoil else {}))
    with caplog.at_level(logging.WARNING):
        await (await house.start()).evaluations.look()
    assert (await house.incident()).asked == found.asked - 20, "they are nowhere any more"
    assert len([line for line in caplog.messages if "all are read" in line]) == 1
    caplog.clear()
    await (await house.start()).evaluations.look()
    assert not [line for line in caplog.messages if "all are read" in line]


async def test_other_times_of_grace_judge_anew(house: House) -> None:
    found = await looked_at(house)
    house.settings = replace(house.settings, sign_in_grace_seconds=house.settings.sign_in_grace_seconds + 1)
    await (await house.start()).evaluations.look()
    assert (await house.incident()).asked == found.asked - 20


async def test_nothing_is_known_again_of_somebody_who_was_erased(house: House) -> None:
    found = await looked_at(house)
    await house.database.write(lambda t: personal_store.erase(t, "a", [], lambda kind: f"{kind}x"))
    assert await _stored(house.database, "incident_checkpoint") == 0
    await (await house.start()).evaluations.look()
    assert (await house.incident()).asked == found.asked - 20


async def test_a_look_that_began_before_somebody_was_erased_stores_nothing(house: House) -> None:
    await looked_at(house)

    async def erase() -> list[str]:
        await house.database.write(lambda t: personal_store.erase(t, "a", [], lambda kind: f"{kind}x"))
        return []

    register, histories = house.response.register, house.response.evaluations._histories
    kept = histories._kept["i"]
    await register.without(erase, lambda touched: touched)
    kept.stands = False
    await histories._keep_pieces(kept, await house.incident(), stands=True)
    assert await _stored(house.database, "incident_checkpoint") == 0


async def test_pieces_go_with_the_end_of_looking(house: House) -> None:
    house.timing = replace(house.timing, outcomes_at_once_max=7)
    await looked_at(house)
    assert await _stored(house.database) > 4
    await house.response.actions.act("i", Fact("improving", house.clock.now()))
    await house.response.actions.act("i", Fact("proven", house.clock.now()))
    house.clock.advance(house.timing.after_seconds + 1)
    await (await house.start()).evaluations.look()
    assert [await _stored(house.database, of) for of in ("incident_piece", "incident_checkpoint")] == [0, 0]


async def test_of_what_is_too_much_nothing_is_stored(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.timing = replace(house.timing, pieces_bytes_max=2_000, outcomes_at_once_max=7)
    answered = [tried(house.began_at + n / 10, f"s-{n}", kept=True) for n in range(50)]
    await house.fault(*answered, facts=OPEN)
    response = await house.start()
    await response.evaluations.look()
    found = await house.incident()
    await response.evaluations.look()
    assert [await _stored(house.database, of) for of in ("incident_piece", "incident_checkpoint")] == [0, 0]
    assert len([line for line in caplog.messages if "more is archived" in line]) == 1
    await (await house.start()).evaluations.look()
    assert (await house.incident()).asked == found.asked >= 50
