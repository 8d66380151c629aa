"""Codes, links and devices in their tables, with neighbours that must stay as they are; on both engines."""

from pathlib import Path
from typing import Any

from query_plans import walks

from prikkfri.signin import store as signin_store
from prikkfri.signin.passwords import store
from prikkfri.signin.passwords.store import Code, Link
from prikkfri.signin.store import Session
from prikkfri.storage import Database, Location, open_database

KARI = Code("code-1", "s-1", "d-kari", b"hash-1", 100.0, 200.0, 5)
ELSEWHERE = Code("code-2", "s-1", "d-other", b"hash-2", 110.0, 210.0, 5)
OLA = Code("code-3", "s-2", "d-kari", b"hash-3", 120.0, 220.0, 5)


async def tries(database: Database) -> dict[str, int]:
    found = await database.read(lambda q: q.fetch("SELECT id, tries_left FROM password_code"))
    return {row[0]: row[1] for row in found}


async def test_codes_are_of_one_customer_and_one_device(database: Database) -> None:
    for code in (KARI, ELSEWHERE, OLA):
        await database.write(lambda t, c=code: store.add_code(t, c))
    assert await tries(database) == {"code-1": 5, "code-2": 5, "code-3": 5}
    assert await database.write(lambda t: store.take_try(t, "s-1", "d-kari", 199.0)) == ("code-1", b"hash-1")
    assert await database.write(lambda t: store.take_try(t, "s-1", "d-kari", 200.0)) is None
    assert await database.write(lambda t: store.take_try(t, "s-2", "d-other", 130.0)) is None
    assert await tries(database) == {"code-1": 4, "code-2": 5, "code-3": 5}
    await database.write(lambda t: store.give_try_back(t, "code-1"))
    newer = Code("code-4", "s-1", "d-kari", b"hash-4", 130.0, 230.0, 5)
    await database.write(lambda t: store.add_code(t, newer))
    assert await tries(database) == {"code-1": 0, "code-2": 5, "code-3": 5, "code-4": 5}
    assert sorted(await database.read(lambda q: store.codes_made(q, "s-1", 100.0))) == [110.0, 130.0]
    assert await database.write(lambda t: store.use_code(t, "code-4", 230.0)) is None
    assert await database.write(lambda t: store.use_code(t, "code-4", 229.0)) == "s-1"
    assert await database.write(lambda t: store.use_code(t, "code-4", 229.0)) is None
    await database.write(lambda t: store.end_codes(t, "s-1"))
    assert await tries(database) == {"code-1": 0, "code-2": 0, "code-3": 5, "code-4": 0}
    await database.write(lambda t: store.drop_code(t, "code-1"))
    assert await database.write(lambda t: store.forget(t, codes_before=120.0, links_before=0.0)) == 1
    assert await tries(database) == {"code-3": 5, "code-4": 0}


async def test_links_are_of_one_customer_and_the_newest_counts(database: Database) -> None:
    for link in (
        Link(b"first", "s-1", "Eva", 100.0, 200.0),
        Link(b"of-ola", "s-2", "Eva", 100.0, 200.0),
        Link(b"second", "s-1", "Per", 110.0, 210.0),
    ):
        await database.write(lambda t, each=link: store.add_link(t, each))

    async def holders(now: float) -> list[str | None]:
        hashes = (b"first", b"of-ola", b"second")
        return [await database.read(lambda q, h=each: store.link_holder(q, h, now)) for each in hashes]

    assert await holders(199.0) == [None, "s-2", "s-1"]
    assert await holders(200.0) == [None, None, "s-1"]
    assert await database.write(lambda t: store.use_link(t, b"first", 150.0)) is None
    assert await database.write(lambda t: store.use_link(t, b"second", 210.0)) is None
    assert await database.write(lambda t: store.use_link(t, b"second", 209.0)) == "s-1"
    assert await database.write(lambda t: store.use_link(t, b"second", 209.0)) is None
    assert await holders(150.0) == [None, "s-2", None]
    await database.write(lambda t: store.end_links(t, "s-2", 150.0))
    rows = await database.read(
        lambda q: q.fetch("SELECT made_by, used_at FROM password_link ORDER BY made_at, used_at")
    )
    assert rows == [("Eva", 110.0), ("Eva", 150.0), ("Per", 209.0)]
    assert await database.write(lambda t: store.forget(t, codes_before=0.0, links_before=200.0)) == 0
    assert await database.write(lambda t: store.forget(t, codes_before=0.0, links_before=201.0)) == 2


async def test_a_device_of_several_tokens_is_one_and_what_is_over_is_none(database: Database) -> None:
    for token, device, name, started, ends in (
        ("a", "d-1", "Firefox", 10.0, 500.0),
        ("b", "d-1", "", 30.0, 900.0),
        ("c", "d-2", "", 20.0, 900.0),
        ("d", "d-2", "Chrome", 25.0, 900.0),
    ):
        session = Session(token.encode(), "s-1", device, token, started, ends, name)
        await database.write(lambda t, s=session, e=ends: signin_store.open_session(t, s, token_expires_at=e))

    async def devices(now: float) -> list[tuple[str, str, float, float]]:
        found = await database.read(lambda q: signin_store.devices(q, "s-1", now))
        return [(each.device, each.name, each.first_at, each.seen_at) for each in found]

    assert await devices(100.0) == [("d-1", "Firefox", 10.0, 30.0), ("d-2", "Chrome", 20.0, 25.0)]
    await database.write(lambda t: signin_store.see(t, "c", 80.0, not_since=20.0))
    await database.write(lambda t: signin_store.see(t, "b", 80.0, not_since=29.0))  # noted since
    assert await devices(499.0) == [("d-2", "Chrome", 20.0, 80.0), ("d-1", "Firefox", 10.0, 30.0)]
    assert await devices(500.0) == [("d-2", "Chrome", 20.0, 80.0), ("d-1", "", 30.0, 30.0)]
    assert await database.read(lambda q: signin_store.is_live(q, "a", 499.0))
    assert not await database.read(lambda q: signin_store.is_live(q, "a", 500.0))
    assert await database.write(lambda t: signin_store.end_devices(t, "s-1", 600.0, but="d-1")) == 1
    assert await database.read(lambda q: q.fetch("SELECT token_id FROM session ORDER BY token_id")) == [("a",), ("b",)]
    assert await database.write(lambda t: signin_store.end_devices(t, "s-1", 700.0)) == 1
    rows = await database.read(lambda q: q.fetch("SELECT token_id, revoked_at FROM device_token ORDER BY token_id"))
    assert rows == [("a", 700.0), ("b", 700.0), ("c", 600.0), ("d", 600.0)]


STATEMENTS: list[tuple[Any, dict[str, Any]]] = [
    (store.codes_made, {"subscriber_id": "s", "since": 0.0}),
    (store.add_code, {"code": KARI}),
    (store.take_try, {"subscriber_id": "s", "device": "d", "now": 0.0}),
    (store.use_code, {"code_id": "c", "now": 0.0}),
    (store.add_link, {"link": Link(b"x", "s", "Eva", 0.0, 1.0)}),
    (store.link_holder, {"link_hash": b"x", "now": 0.0}),
    (store.use_link, {"link_hash": b"y", "now": 0.0}),
    (store.end_codes, {"subscriber_id": "s"}),
    (store.forget, {"codes_before": 0.0, "links_before": 0.0}),
    (signin_store.devices, {"subscriber_id": "s", "now": 0.0}),
    (signin_store.is_live, {"token_id": "t", "now": 0.0}),
    (signin_store.see, {"token_id": "t", "now": 0.0, "not_since": 0.0}),
    (signin_store.end_devices, {"subscriber_id": "s", "now": 0.0}),
]


async def test_no_statement_walks_through_a_table(tmp_path: Path) -> None:
    database = await open_database(Location(tmp_path), "signin")
    for function, arguments in STATEMENTS:
        assert await walks(database, function, **arguments) == [], function
    await database.close()
