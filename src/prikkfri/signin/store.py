"""The tables of sign-in: credentials, sessions, device tokens, admissions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from prikkfri.storage import Queries, Transaction


@dataclass(frozen=True, slots=True)
class Session:
    session_hash: bytes
    """SHA-256 of what the cookie holds: whoever reads the database cannot sign in with it."""
    subscriber_id: str
    device: str
    token_id: str
    started_at: float
    expires_at: float
    name: str = ""
    """Of the device, as people know it: `Firefox · Windows`."""


async def password_hash(queries: Queries, subscriber_id: str) -> str | None:
    row = await queries.fetch_one(
        "SELECT password_hash FROM credential WHERE subscriber_id = :id", {"id": subscriber_id}
    )
    return row[0] if row else None


async def put_credentials(transaction: Transaction, hashes: Sequence[tuple[str, str]], now: float) -> None:
    """Sets the password hash of each subscriber (id, hash)."""
    await transaction.execute_many(
        "INSERT INTO credential (subscriber_id, password_hash, changed_at) VALUES (:id, :hash, :now)"
        " ON CONFLICT (subscriber_id) DO UPDATE SET password_hash = excluded.password_hash,"
        " changed_at = excluded.changed_at",
        [{"id": subscriber_id, "hash": hashed, "now": now} for subscriber_id, hashed in hashes],
    )


async def who_has_password(queries: Queries, subscriber_ids: Collection[str]) -> set[str]:
    """Those of these subscribers who have a password of our own making."""
    found: set[str] = set()
    for subscriber_id in subscriber_ids:
        if await password_hash(queries, subscriber_id) is not None:
            found.add(subscriber_id)
    return found


async def is_password_hash(queries: Queries, subscriber_id: str, expected: str | None) -> bool:
    """Whether this still is what a subscriber has here; None: nothing."""
    return await password_hash(queries, subscriber_id) == expected


async def has_signed_in(queries: Queries, subscriber_id: str, device: str) -> bool:
    """Whether the device was given a token of this subscriber that is still remembered, be it revoked."""
    row = await queries.fetch_one(
        "SELECT 1 FROM device_token WHERE subscriber_id = :id AND device = :device LIMIT 1",
        {"id": subscriber_id, "device": device},
    )
    return row is not None


async def open_session(transaction: Transaction, session: Session, *, token_expires_at: float) -> None:
    """Adds a session with the device token that was issued with it."""
    await transaction.execute(
        "INSERT INTO device_token (token_id, subscriber_id, device, issued_at, expires_at, name, seen_at)"
        " VALUES (:token_id, :subscriber_id, :device, :now, :expires_at, :name, :now)",
        {
            "token_id": session.token_id,
            "subscriber_id": session.subscriber_id,
            "device": session.device,
            "now": session.started_at,
            "expires_at": token_expires_at,
            "name": session.name,
        },
    )
    await transaction.execute(
        "INSERT INTO session (session_hash, subscriber_id, device, token_id, started_at, expires_at)"
        " VALUES (:session_hash, :subscriber_id, :device, :token_id, :now, :expires_at)",
        {
            "session_hash": session.session_hash,
            "subscriber_id": session.subscriber_id,
            "device": session.device,
            "token_id": session.token_id,
            "now": session.started_at,
            "expires_at": session.expires_at,
        },
    )


async def spend(transaction: Transaction, pass_id: str, *, until: float) -> bool:
    """Spends an admission, which stays spent until then; False: it was spent before."""
    row = await transaction.fetch_one(
        "INSERT INTO admission (pass_id, expires_at) VALUES (:id, :until)"
        " ON CONFLICT (pass_id) DO NOTHING RETURNING pass_id",
        {"id": pass_id, "until": until},
    )
    return row is not None


async def is_spent(queries: Queries, pass_id: str) -> bool:
    return await queries.fetch_one("SELECT 1 FROM admission WHERE pass_id = :id", {"id": pass_id}) is not None


async def forget_admissions(transaction: Transaction, *, before: float, limit: int) -> int:
    """Erases what nobody can show any more, the oldest `limit` of them; returns the number of rows."""
    return await transaction.execute(
        "DELETE FROM admission WHERE pass_id IN"
        " (SELECT pass_id FROM admission WHERE expires_at < :at ORDER BY expires_at LIMIT :limit)",
        {"at": before, "limit": limit},
    )


async def session(queries: Queries, session_hash: bytes, now: float) -> Session | None:
    row = await queries.fetch_one(
        "SELECT session_hash, subscriber_id, device, token_id, started_at, expires_at FROM session"
        " WHERE session_hash = :hash AND expires_at > :now",
        {"hash": session_hash, "now": now},
    )
    return Session(*row) if row else None


async def end_session(transaction: Transaction, session_hash: bytes, now: float) -> bool:
    """Ends a session and revokes its device token; False when there is no such session."""
    row = await transaction.fetch_one(
        "DELETE FROM session WHERE session_hash = :hash RETURNING token_id", {"hash": session_hash}
    )
    if row is None:
        return False
    await transaction.execute(
        "UPDATE device_token SET revoked_at = :now WHERE token_id = :token_id AND revoked_at IS NULL",
        {"now": now, "token_id": row[0]},
    )
    return True


@dataclass(frozen=True, slots=True)
class Device:
    """One that a subscriber is signed in on."""

    device: str
    name: str
    first_at: float
    """Since when without a break."""
    seen_at: float


async def devices(queries: Queries, subscriber_id: str, now: float) -> list[Device]:
    """Where a subscriber is signed in, the one seen last first. A device may hold several tokens, of several times."""
    rows = await queries.fetch(
        "SELECT device, name, issued_at, seen_at FROM device_token"
        " WHERE subscriber_id = :id AND revoked_at IS NULL AND expires_at > :now ORDER BY issued_at",
        {"id": subscriber_id, "now": now},
    )
    found: dict[str, Device] = {}
    for device, name, issued_at, seen_at in rows:
        seen_at = max(seen_at, issued_at)
        if before := found.get(device):
            found[device] = Device(device, name or before.name, before.first_at, max(before.seen_at, seen_at))
        else:
            found[device] = Device(device, name, issued_at, seen_at)
    return sorted(found.values(), key=lambda each: (-each.seen_at, each.device))


async def is_live(queries: Queries, token_id: str, now: float) -> bool:
    """Whether a device token is one that we issued and nobody has revoked."""
    row = await queries.fetch_one(
        "SELECT 1 FROM device_token WHERE token_id = :id AND revoked_at IS NULL AND expires_at > :now",
        {"id": token_id, "now": now},
    )
    return row is not None


async def see(transaction: Transaction, token_id: str, now: float, *, not_since: float) -> None:
    """Notes that a device is in use, unless that was noted after `not_since`."""
    await transaction.execute(
        "UPDATE device_token SET seen_at = :now"
        " WHERE token_id = :id AND seen_at <= :not_since AND revoked_at IS NULL AND expires_at > :now",
        {"id": token_id, "now": now, "not_since": not_since},
    )


async def end_devices(
    transaction: Transaction, subscriber_id: str, now: float, *, only: str | None = None, but: str | None = None
) -> int:
    """Revokes a subscriber's tokens and ends their sessions, of one device (`only`) or all (`but` one).

    Returns how many devices that ended.
    """
    rows = await transaction.fetch(
        "SELECT token_id, device FROM device_token WHERE subscriber_id = :id AND revoked_at IS NULL",
        {"id": subscriber_id},
    )
    ended = [(token, device) for token, device in rows if (only is None or device == only) and device != but]
    tokens = [{"token_id": token, "now": now} for token, _ in ended]
    await transaction.execute_many(
        "DELETE FROM session WHERE token_id = :token_id", [{"token_id": t} for t, _ in ended]
    )
    await transaction.execute_many(
        "UPDATE device_token SET revoked_at = :now WHERE token_id = :token_id AND revoked_at IS NULL", tokens
    )
    return len({device for _, device in ended})


async def revoked_tokens(queries: Queries, expired_after: float) -> list[str]:
    rows = await queries.fetch(
        "SELECT token_id FROM device_token WHERE revoked_at IS NOT NULL AND expires_at > :after ORDER BY token_id",
        {"after": expired_after},
    )
    return [row[0] for row in rows]


async def forget_expired(transaction: Transaction, *, sessions_before: float, tokens_before: float) -> int:
    """Erases what ended before; returns the number of rows."""
    sessions = await transaction.execute("DELETE FROM session WHERE expires_at < :at", {"at": sessions_before})
    tokens = await transaction.execute("DELETE FROM device_token WHERE expires_at < :at", {"at": tokens_before})
    return sessions + tokens
