"""Who is named after the incident has closed: on the list, and credited, for as long as outcomes are kept."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from query_plans import walks
from response_house import FAULT_SECONDS, House, open_house, tried

from prikkfri.assurance.impact import Hit, Impact, Scope, holder_of, name_devices
from prikkfri.assurance.incidents import Fact
from prikkfri.assurance.outcomes.store import join_devices
from prikkfri.assurance.post_incident.service import RULE
from prikkfri.assurance.response import store
from prikkfri.clock import ManualClock
from prikkfri.storage import Location, open_database

DAY = 86_400.0


@pytest.fixture
async def house(location: Location, clock: ManualClock) -> AsyncIterator[House]:
    house = await open_house(location, clock)
    yield house
    await house.close()


async def _closed(house: House, *devices: str, facts: tuple[Fact, ...] = ()) -> None:
    """An incident that nobody looks at any more, with devices on its list whose holders nobody knows."""
    hits = [tried(house.began_at + n, device=device) for n, device in enumerate(devices)]
    await house.fault(*hits, tried(house.began_at, "known"), facts=facts)
    response = await house.start()
    await response.evaluations.look()
    house.clock.advance(house.timing.after_seconds)
    await response.evaluations.look()


async def _sign_in(house: House, customer: str, device: str) -> None:
    await house.outcomes(tried(house.clock.now(), customer, device=device, kept=True))


async def _waiting(house: House) -> list[str]:
    return await house.database.read(lambda q: store.named_devices(q, most=100))


async def test_who_is_named_after_it_has_closed_is_on_the_list_and_credited_once(house: House) -> None:
    await _closed(house, "d-a", "d-b")
    house.clock.advance(DAY)
    await _sign_in(house, "a", "d-a")
    await _sign_in(house, "passer-by", "d-on-no-list")
    assert await _waiting(house) == ["d-a"]
    response = await house.start()
    before = await response.register.listed("i")
    await response.evaluations.look()
    assert await house.amounts() == {"known": 5_000, "a": 5_000}
    assert {hit.key for hit in await response.register.hits("i")} == {"customer:known", "customer:a", "device:d-b"}
    after = await response.register.listed("i")
    assert before and after and after.frozen == before.frozen and after.digest != before.digest
    incident = await house.incident()
    assert (incident.state, incident.hit) == ("resolved", 3)
    assert house.entries(incident, "credited")[-1] == (RULE, "1 customer was credited kr\u00a050.00")
    sheet = await house.database.read(lambda q: store.answers(q, "i"))
    assert any("2 get kr\u00a0100.00" in answer.text for answer in sheet)
    # Signed in again, and after a restart, nobody gets a second one.
    given = await house.given()
    await _sign_in(house, "a", "d-a")
    assert await _waiting(house) == []
    await (await house.start()).evaluations.look()
    assert await house.given() == given and await house.incident() == incident


async def test_some_at_a_time_and_gone_on_with_after_a_crash(house: House) -> None:
    devices = [f"d-{n}" for n in range(5)]
    house.settings = replace(house.settings, remedies=(replace(house.settings.remedies[0], cap_total=100_000),))
    await _closed(house, *devices)
    house.timing = replace(house.timing, named_at_once_max=2)
    for device in devices:
        await _sign_in(house, device.removeprefix("d-"), device)
    response = await house.start()
    await response.evaluations.look()
    assert await _waiting(house) == devices[2:] and len(await house.given()) == 3
    house.killed = True
    with pytest.raises(asyncio.CancelledError):
        await response.evaluations.look()
    house.killed = False
    assert await _waiting(house) == devices[2:] and len(await house.given()) == 3
    response = await house.start()
    for _ in range(2):
        await response.evaluations.look()
    assert await _waiting(house) == []
    assert set(await house.amounts()) == {"known", "0", "1", "2", "3", "4"}


async def test_nobodys_and_another_times_device_stays_without_a_name(house: House) -> None:
    await _closed(house, "d-two", "d-old")
    await _sign_in(house, "one", "d-two")
    await _sign_in(house, "two", "d-two")
    response = await house.start()
    await response.evaluations.look()
    house.clock.advance(house.settings.outcomes_kept_days * DAY)
    await _sign_in(house, "late", "d-old")
    await response.evaluations.look()
    assert await _waiting(house) == [] and set(await house.amounts()) == {"known"}
    assert {hit.key for hit in await response.register.hits("i")} == {"customer:known", "device:d-two", "device:d-old"}


async def test_without_proof_they_are_named_and_wait_for_a_person(house: House) -> None:
    at = house.began_at
    facts = (Fact("evidence", at + 20), Fact("all-clear", at + FAULT_SECONDS, "Kari"))
    await _closed(house, "d-a", facts=facts)
    await _sign_in(house, "a", "d-a")
    response = await house.start()
    await response.evaluations.look()
    assert "customer:a" in {hit.key for hit in await response.register.hits("i")} and await house.amounts() == {}
    assert await response.actions.release("i", by="Ola") == 2


async def test_above_the_cap_of_the_whole_they_wait_for_a_person(house: House) -> None:
    remedy = replace(house.settings.remedies[0], cap_total=6_999)
    house.settings = replace(house.settings, remedies=(remedy,))
    await _closed(house, "d-a", "d-b")
    await _sign_in(house, "a", "d-b")
    response = await house.start()
    await response.evaluations.look()
    assert set(await house.amounts()) == {"known"} and await response.actions.release("i", by="Ola") == 1


async def test_one_that_has_been_looked_back_on_is_credited_too(house: House) -> None:
    await _closed(house, "d-a")
    response = await house.start()
    await response.actions.act("i", Fact("review", house.clock.now(), "Kari"))
    await _sign_in(house, "a", "d-a")
    await response.evaluations.look()
    assert (await house.incident()).state == "reviewed" and set(await house.amounts()) == {"known", "a"}


async def test_another_incident_that_is_open_holds_nobody_up(house: House) -> None:
    await _closed(house, "d-a")
    opened = replace(await house.incident(), id="open", state="confirmed", opened_at=house.clock.now())
    await house.database.write(lambda t: store.save_incident(t, opened))
    await _sign_in(house, "a", "d-a")
    await (await house.start()).evaluations.look()
    assert await _waiting(house) == [] and set(await house.amounts()) == {"known", "a"}


async def test_what_waits_for_an_incident_that_is_still_looked_at_holds_nobody_else_up(house: House) -> None:
    await _closed(house, "d-c", "d-d")
    at = house.clock.now()
    opened = replace(
        await house.incident(), id="open", state="confirmed", since=at, opened_at=at, resolved_at=None, ended_at=None
    )
    await house.database.write(lambda t: store.save_incident(t, opened))
    await house.outcomes(*(tried(at, device=device) for device in ("d-a", "d-b", "d-c")))
    house.clock.advance(100)
    await (await house.start()).evaluations.look()
    for customer, device in (("1", "d-a"), ("2", "d-a"), ("1", "d-b"), ("2", "d-b"), ("c", "d-c"), ("d", "d-d")):
        await _sign_in(house, customer, device)
    house.timing = replace(house.timing, named_at_once_max=2)
    response = await house.start()
    await response.evaluations.look()
    for _ in range(2):
        await response.evaluations.look()
        assert await _waiting(house) == ["d-a", "d-b"], "nobody knows which of the two it was"
    assert {hit.key for hit in await response.register.hits("open")} >= {"device:d-a", "device:d-b", "customer:c"}
    assert {hit.key for hit in await response.register.hits("i")} == {"customer:known", "customer:c", "customer:d"}


async def test_who_had_the_device_before_has_it_still_when_nobody_has_come_since(house: House) -> None:
    await house.outcomes(tried(house.began_at - 5_000, "a", device="d-a", kept=True))
    await _closed(house, "d-a", "d-b")
    assert set(await house.amounts()) == {"known", "a"}


async def test_who_is_told_of_late_is_listed_and_credited_and_who_got_it_after_all_is_for_a_person(
    house: House,
) -> None:
    """A role's outcomes come a day late, when nobody looks at the incident any more."""
    await _closed(house, "d-b")
    other = replace(await house.incident(), id="other", since=house.began_at + 86_000.0)
    await house.database.write(lambda t: store.save_incident(t, other))
    house.clock.advance(DAY)
    at = house.began_at
    await house.outcomes(tried(at + 5, "late"), tried(at + 20, "known", kept=True))
    response = await house.start()
    await response.evaluations.look()
    assert {hit.key for hit in await response.register.hits("i")} == {"customer:late", "device:d-b"}
    assert set(await house.amounts()) == {"known", "late"}
    incident = await house.incident()
    assert (incident.state, incident.hit, incident.doubted) == ("resolved", 2, 1)
    assert house.entries(incident, "doubted")
    listed = await response.register.listed("i")
    assert listed and listed.frozen != listed.digest
    # Done once: nothing is left to do, and a day later nothing is done again.
    assert await house.database.read(store.late_incidents) == []
    given = await house.given()
    await (await house.start()).evaluations.look()
    assert await house.incident() == incident and await house.given() == given


async def test_what_is_told_late_of_another_time_or_by_a_device_makes_no_list_anew(house: House) -> None:
    await _closed(house, "d-b")
    house.clock.advance(DAY)
    at = house.began_at
    await house.outcomes(
        tried(at - 20_000.0, "before"),
        tried(at + 20_000.0, "after"),
        tried(house.clock.now() - 10.0, "now"),
        tried(at + 5.0, "told", observed=False),
    )
    assert await house.database.read(store.late_incidents) == []
    # One that nobody knows any more, or of whose time outcomes are erased, is forgotten and stays as it is.
    await house.database.write(lambda t: t.execute("INSERT INTO incident_late (incident) VALUES ('gone'), ('i')"))
    response = await house.start()
    before = await response.register.listed("i")
    house.clock.advance(house.settings.outcomes_kept_days * DAY)
    await response.evaluations.look()
    await response.evaluations.look()
    assert await house.database.read(store.late_incidents) == [] and await response.register.listed("i") == before


async def test_while_it_is_looked_at_what_comes_late_waits_and_holds_no_other_up(house: House) -> None:
    await _closed(house, "d-b")
    house.clock.advance(DAY)
    now = house.clock.now()
    opened = replace(await house.incident(), id="a-open", state="confirmed", opened_at=now, resolved_at=None)
    await house.database.write(lambda t: store.save_incident(t, opened))
    await house.database.write(lambda t: t.execute("INSERT INTO incident_late (incident) VALUES ('a-open'), ('i')"))
    await (await house.start()).evaluations.look()
    assert await house.database.read(store.late_incidents) == ["a-open"]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (store.nameless_on, {"devices": ["d"]}),
        (store.holders_of, {"devices": ["d"]}),
        (store.forget_named, {"devices": ["d"]}),
        (store.credited_amounts, {"since": 1.0, "until": 2.0, "currency": "NOK", "but": "i"}),
        (join_devices, {"outcomes": [tried(1.0, "a", device="d")], "now": 1.0}),
    ],
)
async def test_nothing_that_names_or_caps_walks_through_a_table(
    function: Any, arguments: dict[str, Any], tmp_path: Path
) -> None:
    database = await open_database(Location(tmp_path), "assurance")
    assert await walks(database, function, **arguments) == []
    await database.close()


def _hit(device: str, at: float, customer: str = "", **more: Any) -> Hit:
    return structs.replace(Hit(customer, device, "television", "sign-in", at, 2, 1, "", None, True), **more)


def test_two_lines_about_one_person_become_one() -> None:
    made = Impact(Scope((), 0.0, 200.0), (
        _hit("d-2", 100.0, "a", observed=False, kept_later_at=300.0),
        _hit("d-1", 50.0, last_reason="full", kept_later_at=400.0),
        _hit("d-3", 60.0),
    ), 9, 0, "")  # fmt: skip
    holder = holder_of([("d-1", "a", 40.0, 70.0), ("d-3", "b", 65.0, 70.0)])
    after = name_devices(made, holder, since=50.0)
    assert after.hits == (
        _hit("d-1", 50.0, "a", tries=4, unanswered=2, last_reason="full", kept_later_at=300.0),
        _hit("d-3", 60.0, "b"),
    )
    assert (after.asked, after.scope) == (8, made.scope) and after.digest
    # Of those who asked before it, nobody is named.
    assert [hit.key for hit in name_devices(made, holder, since=60.0).hits] == [
        "customer:a",
        "customer:b",
        "device:d-1",
    ]
