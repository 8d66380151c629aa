"""The tables of the console: accounts, sessions, looks."""

from dataclasses import dataclass
from typing import Literal

from prikkfri.storage import Queries, Transaction

Role = Literal["look", "act"]
"""`look` sees everything and changes nothing; `act` does everything."""


@dataclass(frozen=True)
class ConsoleUser:
    """One who may work on the console."""

    name: str
    created_at: float
    created_by: str
    role: Role = "act"
    two_factor: bool = False


@dataclass(frozen=True)
class Member:
    """One who has signed in."""

    name: str
    role: Role


@dataclass(frozen=True)
class CustomerAccess:
    """One person's look at a customer's data."""

    at: float
    who: str
    what: str
    subject: str
    """The customer, or the outcomes that were listed."""
    why: str


async def add_user(transaction: Transaction, name: str, password_hash: str, *, role: Role, by: str, now: float) -> bool:
    """False when the name is taken."""
    added = await transaction.execute(
        "INSERT INTO console_account (name, password_hash, created_at, created_by, role)"
        " VALUES (:name, :hash, :now, :by, :role) ON CONFLICT (name) DO NOTHING",
        {"name": name, "hash": password_hash, "now": now, "by": by, "role": role},
    )
    return added == 1


async def users(queries: Queries) -> list[ConsoleUser]:
    rows = await queries.fetch(
        "SELECT name, created_at, created_by, role, code_salt FROM console_account ORDER BY name"
    )
    return [ConsoleUser(name, at, by, role, bool(salt)) for name, at, by, role, salt in rows]


@dataclass(frozen=True)
class SecondFactor:
    """The second factor of an account."""

    salt: str
    """From it and a key that is not in the database comes the secret; empty: none is asked for."""
    step: int
    """Of the last code that was used."""
    spent: int = 0
    """Which recovery codes were used: a bit each, the first one the lowest."""


async def codes(queries: Queries, name: str) -> SecondFactor:
    row = await queries.fetch_one(
        "SELECT code_salt, code_step, code_spent FROM console_account WHERE name = :name", {"name": name}
    )
    return SecondFactor(*row) if row else SecondFactor("", 0)


async def set_codes(transaction: Transaction, name: str, codes: SecondFactor) -> bool:
    """Sets them where there were none; False where there are some."""
    changed = await transaction.execute(
        "UPDATE console_account SET code_salt = :salt, code_step = :step, code_spent = 0"
        " WHERE name = :name AND code_salt = ''",
        {"name": name, "salt": codes.salt, "step": codes.step},
    )
    return changed == 1


async def remove_codes(transaction: Transaction, name: str) -> None:
    await transaction.execute(
        "UPDATE console_account SET code_salt = '', code_step = 0 WHERE name = :name", {"name": name}
    )


async def spend_recovery(transaction: Transaction, name: str, salt: str, number: int) -> bool:
    """Notes that a recovery code was used; False when it had been: of two at once one gets in."""
    changed = await transaction.execute(
        "UPDATE console_account SET code_spent = code_spent + :bit"
        " WHERE name = :name AND code_salt = :salt AND code_spent / :bit % 2 = 0",
        {"name": name, "salt": salt, "bit": 1 << number},
    )
    return changed == 1


async def use_code(transaction: Transaction, name: str, codes: SecondFactor) -> bool:
    """Notes the step of a code; False when it, or a later one, has been used: of two at once one gets in."""
    changed = await transaction.execute(
        "UPDATE console_account SET code_step = :step WHERE name = :name AND code_salt = :salt AND code_step < :step",
        {"name": name, "salt": codes.salt, "step": codes.step},
    )
    return changed == 1


async def password_hash(queries: Queries, name: str) -> str | None:
    row = await queries.fetch_one("SELECT password_hash FROM console_account WHERE name = :name", {"name": name})
    return row[0] if row else None


async def set_password_hash(transaction: Transaction, name: str, password_hash: str) -> None:
    """Sets it and ends every session that the old password had opened."""
    await transaction.execute(
        "UPDATE console_account SET password_hash = :hash WHERE name = :name", {"name": name, "hash": password_hash}
    )
    await transaction.execute("DELETE FROM console_session WHERE name = :name", {"name": name})


async def remove_user(transaction: Transaction, name: str) -> None:
    await transaction.execute("DELETE FROM console_session WHERE name = :name", {"name": name})
    await transaction.execute("DELETE FROM console_browser WHERE name = :name", {"name": name})
    await transaction.execute("DELETE FROM console_account WHERE name = :name", {"name": name})


async def knows_browser(queries: Queries, token_digest: str, name: str, *, since: float) -> bool:
    """Whether this browser has signed in to the account since then."""
    row = await queries.fetch_one(
        "SELECT 1 FROM console_browser WHERE token_digest = :digest AND name = :name AND seen_at > :since",
        {"digest": token_digest, "name": name, "since": since},
    )
    return row is not None


async def has_browser(queries: Queries, token_digest: str) -> bool:
    """Whether we gave it that token."""
    row = await queries.fetch_one(
        "SELECT 1 FROM console_browser WHERE token_digest = :digest LIMIT 1", {"digest": token_digest}
    )
    return row is not None


async def remember_browser(
    transaction: Transaction, token_digest: str, name: str, *, now: float, most: int, forgotten_before: float
) -> None:
    """Keeps the newest `most` of an account, and none that was last seen before then."""
    await transaction.execute(
        "INSERT INTO console_browser (token_digest, name, seen_at) VALUES (:digest, :name, :now)"
        " ON CONFLICT (token_digest, name) DO UPDATE SET seen_at = excluded.seen_at",
        {"digest": token_digest, "name": name, "now": now},
    )
    await transaction.execute(
        "DELETE FROM console_browser WHERE seen_at < :before OR (name = :name AND token_digest NOT IN"
        " (SELECT token_digest FROM console_browser WHERE name = :name ORDER BY seen_at DESC LIMIT :most))",
        {"before": forgotten_before, "name": name, "most": most},
    )


async def add_session(transaction: Transaction, token_digest: str, name: str, *, expires_at: float, now: float) -> None:
    await transaction.execute("DELETE FROM console_session WHERE expires_at <= :now", {"now": now})
    await transaction.execute(
        "INSERT INTO console_session (token_digest, name, expires_at) VALUES (:digest, :name, :expires)",
        {"digest": token_digest, "name": name, "expires": expires_at},
    )


async def member(queries: Queries, token_digest: str, now: float) -> Member | None:
    """Whose session it is; None when there is none or it is past its time."""
    row = await queries.fetch_one(
        "SELECT name, role FROM console_session JOIN console_account USING (name)"
        " WHERE token_digest = :digest AND expires_at > :now",
        {"digest": token_digest, "now": now},
    )
    return Member(*row) if row else None


async def remove_session(transaction: Transaction, token_digest: str) -> None:
    await transaction.execute("DELETE FROM console_session WHERE token_digest = :digest", {"digest": token_digest})


async def add_access(transaction: Transaction, id: str, look: CustomerAccess) -> None:
    await transaction.execute(
        "INSERT INTO look (look, at, who, what, subject, why) VALUES (:id, :at, :who, :what, :subject, :why)",
        {"id": id, "at": look.at, "who": look.who, "what": look.what, "subject": look.subject, "why": look.why},
    )


async def accesses(queries: Queries, *, most: int) -> list[CustomerAccess]:
    """The newest first."""
    rows = await queries.fetch(
        "SELECT at, who, what, subject, why FROM look ORDER BY at DESC LIMIT :most", {"most": most}
    )
    return [CustomerAccess(*row) for row in rows]


async def erase_accesses(transaction: Transaction, *, before: float) -> None:
    await transaction.execute("DELETE FROM look WHERE at < :before", {"before": before})
