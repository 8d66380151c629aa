"""The tables of sign-in: credentials, sessions, device tokens."""

from collections.abc import Sequence
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
        "INSERT INTO device_token (token_id, subscriber_id, device, issued_at, expires_at)"
        " VALUES (:token_id, :subscriber_id, :device, :now, :expires_at)",
        {
            "token_id": session.token_id,
            "subscriber_id": session.subscriber_id,
            "device": session.device,
            "now": session.started_at,
            "expires_at": token_expires_at,
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
