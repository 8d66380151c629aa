"""What the tables of sign-in hold before and after, with neighbours that must stay as they are; on both engines."""

from pathlib import Path
from typing import Any

import pytest
from query_plans import walks

from prikkfri.signin import store
from prikkfri.signin.store import Device, Session
from prikkfri.storage import Database, Location, open_database

DAY = 86_400.0
KARI = Session(b"hash-of-kari", "s-1", "d-kari", "token-1", 100.0, 200.0)
TELEVISION = Session(b"hash-of-television", "s-1", "d-television", "token-2", 110.0, 300.0)
OLA = Session(b"hash-of-ola", "s-2", "d-ola", "token-3", 120.0, 400.0)


async def rows(database: Database, table: str, order: str) -> list[tuple[Any, ...]]:
    return await database.read(lambda q: q.fetch(f"SELECT * FROM {table} ORDER BY {order}"))


async def sessions(database: Database) -> set[bytes]:
    return {bytes(row[0]) for row in await database.read(lambda q: q.fetch("SELECT session_hash FROM session"))}


async def tokens(database: Database) -> dict[str, float | None]:
    found = await database.read(lambda q: q.fetch("SELECT token_id, revoked_at FROM device_token"))
    return {row[0]: row[1] for row in found}


@pytest.fixture
async def opened(database: Database) -> Database:
    for session, expires_at in ((KARI, 1_000.0), (TELEVISION, 2_000.0), (OLA, 3_000.0)):
        await database.write(lambda t, s=session, e=expires_at: store.open_session(t, s, token_expires_at=e))
    return database


async def test_a_session_and_its_token_are_kept_as_they_were_opened(opened: Database) -> None:
    found = await opened.read(lambda q: store.session(q, KARI.session_hash, 150.0))
    assert found is not None and Session(bytes(found.session_hash), *list(fields(found))[1:]) == KARI
    token = await opened.read(
        lambda q: q.fetch(
            "SELECT token_id, subscriber_id, device, issued_at, expires_at, revoked_at FROM device_token"
            " WHERE token_id = 'token-1'"
        )
    )
    assert token == [("token-1", "s-1", "d-kari", 100.0, 1_000.0, None)]


def fields(session: Session) -> tuple[Any, ...]:
    return tuple(getattr(session, name) for name in Session.__dataclass_fields__)


async def test_a_session_is_one_until_it_expires(opened: Database) -> None:
    for now, there in ((199.9, True), (200.0, False), (250.0, False)):
        found = await opened.read(lambda q, now=now: store.session(q, KARI.session_hash, now))
        assert (found is not None) is there
    assert await opened.read(lambda q: store.session(q, b"nobody's", 150.0)) is None


async def test_a_device_is_known_to_whom_it_was_given_a_token_of_be_it_revoked(opened: Database) -> None:
    async def known(subscriber: str, device: str) -> bool:
        return await opened.read(lambda q: store.has_signed_in(q, subscriber, device))

    assert await known("s-1", "d-kari") and await known("s-2", "d-ola")
    assert not await known("s-2", "d-kari") and not await known("s-1", "d-9")
    assert await opened.write(lambda t: store.end_session(t, KARI.session_hash, 150.0))
    assert await known("s-1", "d-kari")


async def test_a_device_of_several_tokens_is_one_by_its_last_name_and_seen_when_any_was(opened: Database) -> None:
    for token, name, at in (("t-1", "Firefox", 200.0), ("t-2", "Chrome", 300.0), ("t-3", "", 400.0)):
        session = Session(token.encode(), "s-1", "d-kari", token, at, 500.0, name)
        await opened.write(lambda t, s=session: store.open_session(t, s, token_expires_at=1_000.0))
    await opened.write(lambda t: store.see(t, "t-1", 900.0, not_since=899.0))
    assert await opened.read(lambda q: store.devices(q, "s-1", 950.0)) == [
        Device("d-kari", "Chrome", 100.0, 900.0),
        Device("d-television", "", 110.0, 110.0),
    ]
    assert await opened.read(lambda q: store.devices(q, "s-1", 1_000.0)) == [Device("d-television", "", 110.0, 110.0)]


async def test_of_some_subscribers_those_are_known_who_have_a_password_here(database: Database) -> None:
    await database.write(lambda t: store.put_credentials(t, [("s-1", "hash"), ("s-2", ""), ("s-3", "hash")], 0.0))
    found = await database.read(lambda q: store.who_has_password(q, ["s-1", "s-2", "s-4"]))
    assert found == {"s-1", "s-2"}
    assert await database.read(lambda q: store.who_has_password(q, [])) == set()


async def test_signing_out_ends_one_session_and_revokes_one_token(opened: Database) -> None:
    assert await opened.write(lambda t: store.end_session(t, KARI.session_hash, 160.0)) is True
    assert await sessions(opened) == {TELEVISION.session_hash, OLA.session_hash}
    assert await tokens(opened) == {"token-1": 160.0, "token-2": None, "token-3": None}
    assert await opened.write(lambda t: store.end_session(t, KARI.session_hash, 170.0)) is False
    assert await opened.write(lambda t: store.end_session(t, b"nobody's", 170.0)) is False
    assert await tokens(opened) == {"token-1": 160.0, "token-2": None, "token-3": None}


async def test_a_session_that_has_expired_can_still_be_signed_out_and_a_token_revoked_stays_so(
    opened: Database,
) -> None:
    await opened.write(
        lambda t: t.execute("UPDATE device_token SET revoked_at = 5 WHERE token_id = 'token-2'")  # by another way
    )
    for session in (KARI, TELEVISION):
        assert await opened.write(lambda t, s=session: store.end_session(t, s.session_hash, 500.0)) is True
    assert await tokens(opened) == {"token-1": 500.0, "token-2": 5.0, "token-3": None}


async def test_the_list_names_what_was_revoked_in_order_until_nothing_of_it_can_live(opened: Database) -> None:
    async def listed(expired_after: float) -> list[str]:
        return await opened.read(lambda q: store.revoked_tokens(q, expired_after))

    assert await listed(0.0) == []
    for session in (OLA, KARI):
        await opened.write(lambda t, s=session: store.end_session(t, s.session_hash, 160.0))
    assert await listed(0.0) == ["token-1", "token-3"]
    assert await listed(999.9) == ["token-1", "token-3"]
    assert await listed(1_000.0) == ["token-3"]
    assert await listed(3_000.0) == []


async def test_what_has_expired_is_erased_each_by_its_own_time(opened: Database) -> None:
    async def forget(sessions_before: float, tokens_before: float) -> int:
        return await opened.write(
            lambda t: store.forget_expired(t, sessions_before=sessions_before, tokens_before=tokens_before)
        )

    assert await forget(200.0, 1_000.0) == 0
    assert await forget(300.1, 1_000.0) == 2
    assert (await sessions(opened), len(await tokens(opened))) == ({OLA.session_hash}, 3)
    assert await forget(0.0, 2_000.5) == 2
    assert (await sessions(opened), set(await tokens(opened))) == ({OLA.session_hash}, {"token-3"})
    assert await forget(1e9, 1e9) == 2


async def test_a_password_is_set_for_one_and_changed_for_one(database: Database) -> None:
    await database.write(lambda t: store.put_credentials(t, [("s-1", "first"), ("s-2", "other")], 10.0))
    await database.write(lambda t: store.put_credentials(t, [("s-1", "second")], 20.0))
    assert await rows(database, "credential", "subscriber_id") == [("s-1", "second", 20.0), ("s-2", "other", 10.0)]
    found = [await database.read(lambda q, i=i: store.password_hash(q, i)) for i in ("s-1", "s-2", "s-3", "")]
    assert found == ["second", "other", None, None]
    await database.write(lambda t: store.put_credentials(t, [], 30.0))


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (store.password_hash, {"subscriber_id": "s-1"}),
        (store.put_credentials, {"hashes": [("s-1", "hash")], "now": 1.0}),
        (store.has_signed_in, {"subscriber_id": "s-1", "device": "d-kari"}),
        (store.open_session, {"session": KARI, "token_expires_at": 1.0}),
        (store.session, {"session_hash": KARI.session_hash, "now": 1.0}),
        (store.end_session, {"session_hash": KARI.session_hash, "now": 1.0}),
        (store.revoked_tokens, {"expired_after": 1.0}),
        (store.forget_expired, {"sessions_before": 1.0, "tokens_before": 1.0}),
    ],
)
async def test_no_statement_of_sign_in_walks_through_a_table(
    function: Any, arguments: dict[str, Any], tmp_path: Path
) -> None:
    database = await open_database(Location(tmp_path), "signin")
    assert await walks(database, function, **arguments) == []
    await database.close()
