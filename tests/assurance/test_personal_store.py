"""One customer in assurance's tables, among neighbours that must stay as they are; on both engines."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any

import pytest
from outcome_rows import outcome_rows
from response_house import SIGN_IN

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import Hit, Impact, Scope
from prikkfri.assurance.incidents import open_incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.personal import store
from prikkfri.assurance.personal.history import Number
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response import store as response_store
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Database, Location, open_database

NUMBER, OTHER = "+4791234567", "+4797654321"
HELD = Number(NUMBER, 100.0, 200.0)


@pytest.fixture
async def area(location: Location) -> AsyncIterator[Database]:
    database = await open_database(location, "assurance")
    yield database
    await database.close()


def outcome(time: float, **more: Any) -> Outcome:
    return Outcome(time=time, service=more.pop("service", "television"), step=more.pop("step", "sign-in"),
                   layer="signin", verdict="broken", **more)  # fmt: skip


def delivered(time: float, message: str, device: str = NUMBER, step: str = "deliver") -> Outcome:
    return outcome(time, service="messages", step=step, device=device, promise=message)


async def happened(area: Database, *outcomes: Outcome) -> None:
    page = Page("i", 1, len(outcomes), list(outcomes), len(outcomes), 0, 0)
    await area.write(lambda t: outcome_store.add_outcomes(t, "signin", page, 1e4))
    await area.write(lambda t: outcome_store.join_devices(t, outcomes, 1e4))


async def listed(area: Database, name: str, *hits: Hit) -> None:
    incident = open_incident(name, Alarm("share", SIGN_IN, 90.0, 85.0, 0.0, 1.0, 5.0, 30.0, 25.0), 90.0)
    await area.write(lambda t: response_store.save_incident(t, incident))
    made = Impact(Scope((SIGN_IN,), 1.0, 2.0), hits, 9, 0, f"digest of {name}")
    await area.write(lambda t: response_store.save_impact(t, name, made, "", 95.0))


def hit(customer: str, device: str, asked: float) -> Hit:
    return Hit(customer, device, "television", "sign-in", asked, 3, 2, "overloaded", None, True)


async def credited(area: Database, incident: str, customer: str) -> None:
    credit = ServiceCredit(f"{incident}:{customer}", incident, customer, 4_900, "NOK", "kick-off", "waited")
    await area.write(lambda t: response_store.give_credits(t, [credit], given_by="rule:policy", now=300.0))
    await area.write(lambda t: response_store.mark_notified(t, credit.key, "m-told", 310.0))


async def test_the_lists_on_which_somebody_stands_by_name_or_by_a_number_while_they_held_it(area: Database) -> None:
    await listed(area, "a", hit("s-1", "d-1", 110.0), hit("s-2", "d-2", 110.0), hit("", NUMBER, 199.9))
    await listed(area, "b", hit("s-1", "d-1", 120.0), hit("", NUMBER, 200.0), hit("", OTHER, 150.0))
    await listed(area, "c", hit("", NUMBER, 100.0))
    await listed(area, "d", hit("", NUMBER, 99.9), hit("", "d-9", 150.0))
    await credited(area, "b", "s-1")
    await credited(area, "a", "s-2")
    hits = await area.read(lambda q: store.hits_of(q, "s-1", [HELD], most=9))
    assert [(each.incident, each.asked_at, each.amount, each.told_message) for each in hits] == [
        ("a", 199.9, 0, ""), ("b", 120.0, 4_900, "m-told"), ("a", 110.0, 0, ""), ("c", 100.0, 0, ""),
    ]  # fmt: skip
    b = hits[1]
    assert (b.step, b.tries, b.unanswered, b.last_reason, b.got_at, b.observed) == (
        "sign-in", 3, 2, "overloaded", None, True,
    )  # fmt: skip
    assert (b.currency, b.given_by, b.given_at, b.told_at) == ("NOK", "rule:policy", 300.0, 310.0)
    assert (hits[0].currency, hits[0].given_by, hits[0].given_at, hits[0].told_at) == ("", "", 0.0, 0.0)
    assert len(await area.read(lambda q: store.hits_of(q, "s-1", [HELD], most=2))) == 2
    assert await area.read(lambda q: store.hits_of(q, "", [], most=9)) == []


async def test_messages_to_a_number_are_theirs_while_they_held_it(area: Database) -> None:
    await happened(
        area,
        delivered(99.9, "before"), delivered(100.0, "first"), delivered(199.9, "last"), delivered(200.0, "after"),
        delivered(150.0, "other", OTHER), delivered(150.0, "submitted", step="submit"), delivered(150.0, ""),
        delivered(198.0, "first"), outcome(150.0, device=NUMBER, promise="television"),
    )  # fmt: skip
    assert await area.read(lambda q: store.messages_to(q, [HELD], most=9)) == ["last", "first"]
    assert await area.read(lambda q: store.messages_to(q, [HELD], most=1)) == ["last"]
    both = [HELD, Number(OTHER, 0.0, 1e9)]
    assert await area.read(lambda q: store.messages_to(q, both, most=9)) == ["last", "first", "other"]


@pytest.fixture
def drawn() -> Iterator[Any]:
    lots = count(1)
    yield lambda kind: f"{kind}{next(lots)}"


async def table(area: Database, select: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await area.read(lambda q: q.fetch(select))]


async def test_a_name_is_taken_off_everything_and_everybody_else_stays(area: Database, drawn: Any) -> None:
    await happened(
        area,
        outcome(101.0, customer="s-1", device="d-own"), outcome(102.0, device="d-own"),
        outcome(103.0, customer="s-1", device="d-shared"), outcome(104.0, customer="s-2", device="d-shared"),
        outcome(105.0, device="d-shared"), outcome(106.0, customer="s-1"), outcome(107.0, customer="s-3", device="d-3"),
        delivered(99.0, "m-1"), delivered(150.0, "m-2"), delivered(200.0, "m-3"),
    )  # fmt: skip
    await listed(
        area,
        "a",
        hit("s-1", "d-own", 110.0),
        hit("s-2", "d-shared", 110.0),
        hit("", NUMBER, 150.0),
        hit("", OTHER, 5.0),
    )
    await listed(area, "b", hit("s-1", "d-shared", 110.0), hit("", NUMBER, 200.0))
    await listed(area, "c", hit("s-2", "d-2", 110.0))
    for incident, customer in (("a", "s-1"), ("c", "s-1"), ("a", "s-2")):
        await credited(area, incident, customer)
    erased, touched = await area.write(lambda t: store.erase(t, "s-1", [HELD], drawn))
    assert (erased, touched) == (5, ["a", "b"])
    everything = [
        *await area.read(lambda q: outcome_rows(q, "customer, device")),
        *await table(area, "SELECT customer, device, person FROM incident_hit"),
        *await table(area, "SELECT customer, credit_key FROM service_credit"),
        *await table(area, "SELECT customer, device FROM device_holder"),
    ]
    told = str(everything)
    assert "s-1" not in told and "d-own" not in told
    who = await area.read(lambda q: outcome_rows(q, "time, customer, device"))
    nobody = who[1][1]
    assert nobody.startswith("erased-")
    mine = who[1][2]
    assert mine.startswith("d-erased-")
    assert who[0] == (99.0, "", NUMBER) and who[-1] == (200.0, "", NUMBER)
    assert who[1:-2] == [
        (101.0, nobody, mine), (102.0, "", mine), (103.0, nobody, ""), (104.0, "s-2", "d-shared"),
        (105.0, "", "d-shared"), (106.0, nobody, ""), (107.0, "s-3", "d-3"),
    ]  # fmt: skip
    assert who[-2][2].startswith("d-erased-") and who[-2][2] != mine
    hits = await table(
        area, "SELECT incident, customer, device, person FROM incident_hit ORDER BY incident, first_asked"
    )
    assert {row for row in hits if row[1] == nobody} == {
        ("a", nobody, mine, f"customer:{nobody}"), ("b", nobody, "", f"customer:{nobody}"),
    }  # fmt: skip
    phone = who[-2][2]
    assert ("a", "", phone, f"device:{phone}") in hits and ("b", "", NUMBER, f"device:{NUMBER}") in hits
    assert ("a", "s-2", "d-shared", "customer:s-2") in hits and ("a", "", OTHER, f"device:{OTHER}") in hits
    credits = await table(
        area, "SELECT credit_key, customer, amount, told_message FROM service_credit ORDER BY amount, 1"
    )
    assert credits == sorted(
        [("a:s-2", "s-2", 4_900, "m-told"), (f"a:{nobody}", nobody, 4_900, ""), (f"c:{nobody}", nobody, 4_900, "")]
    )
    holders = await table(area, "SELECT device, customer FROM device_holder ORDER BY device, customer")
    assert holders == sorted([(mine, nobody), ("d-shared", nobody), ("d-shared", "s-2"), ("d-3", "s-3")])


async def test_who_is_erased_twice_and_who_was_never_here_change_nothing(area: Database, drawn: Any) -> None:
    await happened(area, outcome(101.0, customer="s-1", device="d-own"), outcome(102.0))
    await area.write(lambda t: store.erase(t, "s-1", [], drawn))
    before = await area.read(lambda q: outcome_rows(q, "time, customer, device"))
    assert await area.write(lambda t: store.erase(t, "s-1", [HELD], drawn)) == (0, None)
    assert await area.write(lambda t: store.erase(t, "", [], drawn)) == (0, None)
    assert await area.read(lambda q: outcome_rows(q, "time, customer, device")) == before


async def test_all_that_a_customer_did_can_be_read_in_parts(area: Database) -> None:
    some = [outcome(float(100 + n // 3), customer="s-1", reason=str(n)) for n in range(7)]
    await happened(area, *some, outcome(101.0, customer="s-2"))
    found: list[str] = []
    part = await area.read(lambda q: outcome_store.outcomes_of_customer(q, "s-1", most=2))
    while part:
        found += [each.outcome.reason for each in part]
        last = part[-1]
        part = await area.read(lambda q, last=last: outcome_store.outcomes_of_customer(q, "s-1", most=2, before=last))
    assert found == ["6", "5", "4", "3", "2", "1", "0"]
