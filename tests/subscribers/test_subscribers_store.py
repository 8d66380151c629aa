"""What the tables of the subscribers answer and hold, on both engines."""

from pathlib import Path
from typing import Any

import pytest
from query_plans import walks

from prikkfri.storage import Database, Location, open_database
from prikkfri.subscribers import store
from prikkfri.subscribers.subscriptions import STILL, Subscriber, Subscription

KARI = Subscriber("s-1", "Kari", "kari@example.no")
OLA = Subscriber("s-2", "Ola", "")
PER = Subscriber("s-3", "Per", "")
NUMBER, OTHER = "+4791234567", "+4791234568"
HELD = [
    Subscription("s-1", "mobile", "Fri", NUMBER, 100.0, 200.0),
    Subscription("s-2", "mobile", "Fri", NUMBER, 200.0, 300.0),
    Subscription("s-1", "mobile", "Fast", NUMBER, 400.0, STILL),
    Subscription("s-2", "mobile", "Fast", OTHER, 0.0, STILL),
]
FIXED = [
    Subscription("s-1", "television", "sport", "", 100.0, 200.0),
    Subscription("s-1", "television", "sport", "", 200.0, STILL),
    Subscription("s-1", "television", "basic", "", 50.0, STILL),
    Subscription("s-1", "broadband", "fibre", "", 0.0, STILL),
    Subscription("s-2", "television", "film", "", 0.0, STILL),
]


@pytest.fixture
async def people(database: Database) -> Database:
    await database.write(lambda t: store.write_subscribers(t, [KARI, OLA, PER]))
    await database.write(lambda t: store.write_subscriptions(t, [*HELD, *FIXED]))
    return database


@pytest.mark.parametrize(
    ("when", "holder"),
    [(99.9, None), (100.0, KARI), (199.9, KARI), (200.0, OLA), (299.9, OLA), (300.0, None), (400.0, KARI),
     (1e12, KARI)],
)  # fmt: skip
async def test_a_number_is_held_from_its_first_moment_up_to_the_next(
    people: Database, when: float, holder: Subscriber | None
) -> None:
    assert await people.read(lambda q: store.holder_at(q, NUMBER, when)) == holder
    assert await people.read(lambda q: store.subscriber_by_login(q, "912 34 567", when)) == holder
    assert await people.read(lambda q: store.holder_at(q, OTHER, when)) == OLA
    assert await people.read(lambda q: store.holder_at(q, "+4790000000", when)) is None
    several = await people.read(lambda q: store.holders_at(q, {NUMBER, OTHER, "+4790000000"}, when))
    assert several == {OTHER: OLA.id, **({NUMBER: holder.id} if holder else {})}


@pytest.mark.parametrize(
    ("login", "region", "who"),
    [
        ("kari@example.no", "NO", KARI),
        (" KARI@Example.no\t", "NO", KARI),
        ("kari@example.se", "NO", None),
        ("%@example.no", "NO", None),
        ("@", "NO", None),
        (" ", "NO", None),
        ("s-1", "NO", None),
        ("91234568", "NO", OLA),
        ("91234568", "SE", None),
        ("+47 91234568", "SE", OLA),
    ],
)
async def test_a_login_is_an_address_or_a_number_as_people_there_write_it(
    people: Database, login: str, region: str, who: Subscriber | None
) -> None:
    assert await people.read(lambda q: store.subscriber_by_login(q, login, 500.0, region=region)) == who


@pytest.mark.parametrize(
    ("now", "packages"),
    [(49.9, ()), (50.0, ("basic",)), (100.0, ("basic", "sport")), (199.9, ("basic", "sport")),
     (200.0, ("basic", "sport")), (1e12, ("basic", "sport"))],
)  # fmt: skip
async def test_packages_are_ones_own_of_television_and_of_the_moment(
    people: Database, now: float, packages: tuple[str, ...]
) -> None:
    assert await people.read(lambda q: store.packages_at(q, "s-1", now)) == packages
    assert await people.read(lambda q: store.packages_at(q, "s-2", now)) == ("film",)
    assert await people.read(lambda q: store.packages_at(q, "", now)) == ()


async def test_of_many_at_once_each_has_the_packages_of_the_moment(people: Database) -> None:
    many = [f"x-{number}" for number in range(2_100)]
    ids = ["s-2", *many, "s-1", "s-1", "s-3", ""]
    assert await people.read(lambda q: store.products_at(q, ids, 100.0)) == {"s-1": "basic+sport", "s-2": "film"}
    assert await people.read(lambda q: store.products_at(q, ids, 49.9)) == {"s-2": "film"}
    assert await people.read(lambda q: store.products_at(q, ["s-1"], 50.0)) == {"s-1": "basic"}
    assert await people.read(lambda q: store.products_at(q, [], 100.0)) == {}


async def test_what_somebody_has_and_who_has_held_a_number_is_told_oldest_first(people: Database) -> None:
    assert await people.read(lambda q: store.subscriptions_of(q, "s-1")) == [
        FIXED[3], FIXED[2], HELD[0], FIXED[0], FIXED[1], HELD[2],
    ]  # fmt: skip
    assert await people.read(lambda q: store.holders_of(q, NUMBER)) == HELD[:3]
    assert await people.read(lambda q: store.subscriptions_of(q, "s-3")) == []
    assert await people.read(lambda q: store.subscriber(q, "s-2")) == OLA
    assert await people.read(lambda q: store.subscriber(q, "s-9")) is None


async def test_what_is_known_is_known_of_those_asked_for_and_of_nobody_else(people: Database) -> None:
    async def known(ids: set[str], emails: set[str]) -> list[Subscriber]:
        return sorted(await people.read(lambda q: store.subscribers_known(q, ids, emails)), key=lambda p: p.id)

    assert await known({"s-2"}, {""}) == [OLA]  # an address that is not known is nobody's
    assert await known({"s-2"}, {"kari@example.no", ""}) == [KARI, OLA]
    assert await known({"s-1"}, {"kari@example.no"}) == [KARI]  # once
    assert await known(set(), set()) == []
    assert await known({"s-1", "s-3"}, set()) == [KARI, PER]
    many = {f"x-{number}" for number in range(450)}
    assert await known(many | {"s-1", "s-3"}, {f"{name}@x.no" for name in many}) == [KARI, PER]

    things = await people.read(lambda q: store.subscriptions_known(q, {"s-2"} | many, {NUMBER}))
    assert sorted(things, key=lambda s: (s.kind, s.starts)) == [*HELD[:3], FIXED[4]]


async def test_what_is_written_again_changes_its_own_row(people: Database) -> None:
    changed = [
        Subscription("s-1", "mobile", "Fri+", NUMBER, 400.0, 500.0),
        Subscription("s-1", "television", "sport", "", 200.0, 500.0),
    ]
    await people.write(lambda t: store.write_subscribers(t, [Subscriber("s-1", "Kari N", "k@example.no")]))
    await people.write(lambda t: store.write_subscriptions(t, changed))
    assert await people.read(lambda q: store.subscriber(q, "s-1")) == Subscriber("s-1", "Kari N", "k@example.no")
    assert await people.read(lambda q: store.subscriber(q, "s-2")) == OLA
    assert await people.read(lambda q: store.holders_of(q, NUMBER)) == [*HELD[:2], changed[0]]
    own = await people.read(lambda q: store.subscriptions_of(q, "s-1"))
    assert own == [FIXED[3], FIXED[2], HELD[0], FIXED[0], changed[1], changed[0]]
    assert await people.read(lambda q: store.subscriptions_of(q, "s-2")) == [HELD[3], FIXED[4], HELD[1]]


async def test_whoever_is_asked_for_among_many_is_found(people: Database) -> None:
    """All of them, wherever the statements that look for them begin and end."""
    many = [Subscriber(f"m-{number:03}", "M", f"m{number}@example.no") for number in range(450)]
    await people.write(lambda t: store.write_subscribers(t, many))
    for ids, emails in (({each.id for each in many}, set()), (set(), {each.email for each in many})):
        found = await people.read(lambda q, ids=ids, emails=emails: store.subscribers_known(q, ids, emails))
        assert {each.id for each in found} == {each.id for each in many}


async def test_the_next_ones_are_told_in_the_order_of_their_ids_and_no_more_than_asked_for(people: Database) -> None:
    async def after(subscriber_id: str, most: int) -> list[Subscriber]:
        return await people.read(lambda q: store.subscribers_after(q, subscriber_id, most=most))

    await people.write(lambda t: store.write_subscribers(t, [Subscriber("s-0", "Ada", "ada@example.no")]))
    assert await after("", 9) == [Subscriber("s-0", "Ada", "ada@example.no"), KARI, OLA, PER]
    assert await after("", 2) == [Subscriber("s-0", "Ada", "ada@example.no"), KARI]
    assert await after("s-1", 1) == [OLA]
    assert await after("s-3", 9) == []


async def test_whoever_is_erased_leaves_nothing_and_nobody_else_loses_anything(people: Database) -> None:
    async def held(subscriber_id: str) -> tuple[object, ...]:
        asked = (store.subscriber, store.subscriptions_of, store.imported_password)
        return tuple([await people.read(lambda q, ask=ask: ask(q, subscriber_id)) for ask in asked])  # type: ignore[misc]

    hashes = {"s-1": "one", "s-2": "two"}
    await people.write(lambda t: store.write_imported_passwords(t, hashes, superseded=()))
    before = await held("s-2")
    assert before == (OLA, [HELD[3], FIXED[4], HELD[1]], "two")
    assert await people.write(lambda t: store.erase_subscriber(t, "s-1")) is True
    assert await held("s-1") == (None, [], None)
    assert (await held("s-2"), (await held("s-3"))[0]) == (before, PER)
    assert await people.read(lambda q: store.holders_of(q, NUMBER)) == [HELD[1]]
    assert await people.write(lambda t: store.erase_subscriber(t, "s-1")) is False


async def test_of_passwords_that_a_file_brings_the_last_is_kept_and_none_that_was_superseded(people: Database) -> None:
    async def write(hashes: dict[str, str], superseded: set[str]) -> list[str | None]:
        await people.write(lambda t: store.write_imported_passwords(t, hashes, superseded=superseded))
        return [await people.read(lambda q, who=who: store.imported_password(q, who)) for who in ("s-1", "s-2", "s-3")]  # type: ignore[misc]

    assert await people.read(store.any_imported_password) is False
    assert await write({"s-1": "one", "s-2": "two"}, set()) == ["one", "two", None]
    assert await people.read(store.any_imported_password) is True
    assert await write({"s-2": "new", "s-3": "three"}, {"s-3"}) == ["one", "new", None]
    assert await write({}, {"s-1"}) == [None, "new", None]
    assert await write({}, {"s-2", "s-9"}) == [None, None, None]
    assert await people.read(store.any_imported_password) is False


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (store.subscriber, {"subscriber_id": "s-1"}),
        (store.subscriber_by_login, {"login": "kari@example.no", "now": 1.0}),
        (store.subscriber_by_login, {"login": "912 34 567", "now": 1.0}),
        (store.packages_at, {"subscriber_id": "s-1", "now": 1.0}),
        (store.products_at, {"subscriber_ids": ["s-1"], "when": 1.0}),
        (store.subscriptions_of, {"subscriber_id": "s-1"}),
        (store.holders_of, {"msisdn": NUMBER}),
        (store.holders_at, {"msisdns": {NUMBER}, "when": 1.0}),
        (store.subscribers_known, {"ids": {"s-1"}, "emails": {"kari@example.no"}}),
        (store.subscribers_after, {"subscriber_id": "s-1", "most": 2}),
        (store.imported_password, {"subscriber_id": "s-1"}),
        (store.subscriptions_known, {"subscriber_ids": {"s-1"}, "msisdns": {NUMBER}}),
    ],
)
async def test_one_among_millions_is_found_by_an_index(
    function: Any, arguments: dict[str, Any], tmp_path: Path
) -> None:
    database = await open_database(Location(tmp_path), "subscribers")
    assert await walks(database, function, **arguments) == []
    await database.close()
