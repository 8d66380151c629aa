"""The tables of codes and links by which a password is set."""

from dataclasses import dataclass

from prikkfri.storage import Queries, Transaction


@dataclass(frozen=True, slots=True)
class Code:
    id: str
    subscriber_id: str
    device: str
    """Which asked for it, and which alone may use it: nobody elsewhere can use up its tries."""
    code_hash: bytes
    made_at: float
    expires_at: float
    tries_left: int


@dataclass(frozen=True, slots=True)
class Link:
    link_hash: bytes
    """SHA-256 of what stands in it, which is too long to be guessed."""
    subscriber_id: str
    made_by: str
    made_at: float
    expires_at: float


async def codes_made(queries: Queries, subscriber_id: str, since: float) -> list[float]:
    rows = await queries.fetch(
        "SELECT made_at FROM password_code WHERE subscriber_id = :id AND made_at > :since",
        {"id": subscriber_id, "since": since},
    )
    return [row[0] for row in rows]


async def add_code(transaction: Transaction, code: Code) -> None:
    """Keeps a code; one that its device asked for before is good no more."""
    await transaction.execute(
        "UPDATE password_code SET tries_left = 0 WHERE subscriber_id = :id AND device = :device",
        {"id": code.subscriber_id, "device": code.device},
    )
    await transaction.execute(
        "INSERT INTO password_code (id, subscriber_id, device, code_hash, made_at, expires_at, tries_left)"
        " VALUES (:id, :subscriber_id, :device, :code_hash, :made_at, :expires_at, :tries_left)",
        {
            "id": code.id,
            "subscriber_id": code.subscriber_id,
            "device": code.device,
            "code_hash": code.code_hash,
            "made_at": code.made_at,
            "expires_at": code.expires_at,
            "tries_left": code.tries_left,
        },
    )


async def drop_code(transaction: Transaction, code_id: str) -> None:
    """Of one that was certainly not sent: it counts towards nothing."""
    await transaction.execute("DELETE FROM password_code WHERE id = :id", {"id": code_id})


async def take_try(transaction: Transaction, subscriber_id: str, device: str, now: float) -> tuple[str, bytes] | None:
    """Takes one of the tries of the device's code; returns its id and hash, None when it has none that is good."""
    row = await transaction.fetch_one(
        "UPDATE password_code SET tries_left = tries_left - 1"
        " WHERE subscriber_id = :id AND device = :device AND tries_left > 0 AND expires_at > :now"
        " RETURNING id, code_hash",
        {"id": subscriber_id, "device": device, "now": now},
    )
    return (row[0], bytes(row[1])) if row else None


async def give_try_back(transaction: Transaction, code_id: str) -> None:
    await transaction.execute("UPDATE password_code SET tries_left = tries_left + 1 WHERE id = :id", {"id": code_id})


async def use_code(transaction: Transaction, code_id: str, now: float) -> str | None:
    """Uses a code up; returns whose it was, None when it was used or has expired in the meantime."""
    row = await transaction.fetch_one(
        "UPDATE password_code SET tries_left = 0 WHERE id = :id AND tries_left > 0 AND expires_at > :now"
        " RETURNING subscriber_id",
        {"id": code_id, "now": now},
    )
    return row[0] if row else None


async def add_link(transaction: Transaction, link: Link) -> None:
    """Keeps a link; an earlier one of the same customer is good no more."""
    await end_links(transaction, link.subscriber_id, link.made_at)
    await transaction.execute(
        "INSERT INTO password_link (link_hash, subscriber_id, made_by, made_at, expires_at, used_at)"
        " VALUES (:link_hash, :subscriber_id, :made_by, :made_at, :expires_at, 0)",
        {
            "link_hash": link.link_hash,
            "subscriber_id": link.subscriber_id,
            "made_by": link.made_by,
            "made_at": link.made_at,
            "expires_at": link.expires_at,
        },
    )


async def link_holder(queries: Queries, link_hash: bytes, now: float) -> str | None:
    """For whom a link is good."""
    row = await queries.fetch_one(
        "SELECT subscriber_id FROM password_link WHERE link_hash = :hash AND used_at = 0 AND expires_at > :now",
        {"hash": link_hash, "now": now},
    )
    return row[0] if row else None


async def use_link(transaction: Transaction, link_hash: bytes, now: float) -> str | None:
    """Uses a link up; returns for whom it was, None when it was used or has expired in the meantime."""
    row = await transaction.fetch_one(
        "UPDATE password_link SET used_at = :now WHERE link_hash = :hash AND used_at = 0 AND expires_at > :now"
        " RETURNING subscriber_id",
        {"hash": link_hash, "now": now},
    )
    return row[0] if row else None


async def end_links(transaction: Transaction, subscriber_id: str, now: float) -> None:
    await transaction.execute(
        "UPDATE password_link SET used_at = :now WHERE subscriber_id = :id AND used_at = 0",
        {"id": subscriber_id, "now": now},
    )


async def end_codes(transaction: Transaction, subscriber_id: str) -> None:
    await transaction.execute(
        "UPDATE password_code SET tries_left = 0 WHERE subscriber_id = :id", {"id": subscriber_id}
    )


async def forget(transaction: Transaction, *, codes_before: float, links_before: float) -> int:
    """Erases codes that were made and links that ended before; returns the number of rows."""
    codes = await transaction.execute("DELETE FROM password_code WHERE made_at < :at", {"at": codes_before})
    links = await transaction.execute("DELETE FROM password_link WHERE expires_at < :at", {"at": links_before})
    return codes + links
