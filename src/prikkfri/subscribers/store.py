"""The tables of the subscribers."""

from collections.abc import Collection, Mapping, Sequence, Set

from prikkfri.storage import Queries, Transaction, fetch_in, in_parts
from prikkfri.subscribers.numbers import e164
from prikkfri.subscribers.subscriptions import Subscriber, Subscription

SUBSCRIBERS_AT_ONCE = 2_000

_MOBILE = "subscriber_id, 'mobile', product, msisdn, starts, ends FROM mobile_number"
_FIXED = "subscriber_id, kind, product, '', starts, ends FROM fixed_subscription"


async def subscriber(queries: Queries, subscriber_id: str) -> Subscriber | None:
    row = await queries.fetch_one("SELECT id, name, email FROM subscriber WHERE id = :id", {"id": subscriber_id})
    return Subscriber(*row) if row else None


async def subscriber_by_login(queries: Queries, login: str, now: float, *, region: str = "NO") -> Subscriber | None:
    """Whoever has this e-mail address, or holds this mobile number now (as written by somebody in `region`)."""
    if "@" in login:
        row = await queries.fetch_one(
            "SELECT id, name, email FROM subscriber WHERE email = :email AND email <> ''",
            {"email": login.strip().lower()},
        )
        return Subscriber(*row) if row else None
    msisdn = e164(login, region)
    return await holder_at(queries, msisdn, now) if msisdn else None


async def holder_at(queries: Queries, msisdn: str, when: float) -> Subscriber | None:
    """Who held a mobile number (E.164) at a moment."""
    row = await queries.fetch_one(
        "SELECT s.id, s.name, s.email FROM mobile_number n JOIN subscriber s ON s.id = n.subscriber_id"
        " WHERE n.msisdn = :msisdn AND n.starts <= :at AND n.ends > :at",
        {"msisdn": msisdn, "at": when},
    )
    return Subscriber(*row) if row else None


async def holders_at(queries: Queries, msisdns: Collection[str], when: float) -> dict[str, str]:
    """By mobile number (E.164) the id of whoever held it at a moment; those that nobody held are left out."""
    select = (
        "SELECT msisdn, subscriber_id FROM mobile_number WHERE starts <= :at AND ends > :at AND msisdn IN (:values)"
    )
    return dict(await fetch_in(queries, select, msisdns, {"at": when}))


async def packages_at(queries: Queries, subscriber_id: str, now: float) -> tuple[str, ...]:
    """The television packages that a subscriber may watch."""
    rows = await queries.fetch(
        "SELECT DISTINCT product FROM fixed_subscription"
        " WHERE subscriber_id = :id AND kind = 'television' AND starts <= :at AND ends > :at",
        {"id": subscriber_id, "at": now},
    )
    return tuple(sorted(row[0] for row in rows))


async def products_at(queries: Queries, subscriber_ids: Collection[str], when: float) -> dict[str, str]:
    """By subscriber the television packages that they could watch at a moment, joined by `+`; without any left out."""
    found: dict[str, str] = {}
    for some in in_parts(dict.fromkeys(subscriber_ids), SUBSCRIBERS_AT_ONCE):
        rows = await fetch_in(
            queries,
            "SELECT DISTINCT subscriber_id, product FROM fixed_subscription WHERE subscriber_id IN (:values)"
            " AND kind = 'television' AND starts <= :at AND ends > :at",
            some,
            {"at": when},
        )
        for subscriber_id, product in sorted(rows):
            found[subscriber_id] = f"{found[subscriber_id]}+{product}" if subscriber_id in found else product
    return found


async def subscribers_after(queries: Queries, subscriber_id: str, *, most: int) -> list[Subscriber]:
    """The next ones in the order of their ids."""
    rows = await queries.fetch(
        "SELECT id, name, email FROM subscriber WHERE id > :id ORDER BY id LIMIT :most",
        {"id": subscriber_id, "most": most},
    )
    return [Subscriber(*row) for row in rows]


async def erase_subscriber(transaction: Transaction, subscriber_id: str) -> bool:
    """Erases all that is known of a subscriber; False when there is nobody of that id."""
    for table in ("mobile_number", "fixed_subscription", "imported_password"):
        await transaction.execute(
            f"DELETE FROM {table} WHERE subscriber_id = :id",  # noqa: S608
            {"id": subscriber_id},
        )
    return bool(await transaction.execute("DELETE FROM subscriber WHERE id = :id", {"id": subscriber_id}))


async def subscriptions_of(queries: Queries, subscriber_id: str) -> list[Subscription]:
    """All that a subscriber has had, oldest first."""
    numbers = await queries.fetch(f"SELECT {_MOBILE} WHERE subscriber_id = :id", {"id": subscriber_id})
    fixed = await queries.fetch(f"SELECT {_FIXED} WHERE subscriber_id = :id", {"id": subscriber_id})
    return sorted((Subscription(*row) for row in numbers + fixed), key=lambda s: (s.starts, s.kind, s.product))


async def holders_of(queries: Queries, msisdn: str) -> list[Subscription]:
    """Everyone who has held a mobile number (E.164), oldest first."""
    rows = await queries.fetch(f"SELECT {_MOBILE} WHERE msisdn = :msisdn ORDER BY starts", {"msisdn": msisdn})
    return [Subscription(*row) for row in rows]


async def take_turns(transaction: Transaction) -> None:
    """Makes two imports write one batch after the other: the row's lock lasts until the commit."""
    await transaction.execute("UPDATE subscriber_import SET batches = batches + 1 WHERE id = 1")


async def subscribers_known(queries: Queries, ids: Set[str], emails: Set[str]) -> list[Subscriber]:
    """Those with one of these ids, and those with one of these e-mail addresses."""
    rows = await fetch_in(queries, "SELECT id, name, email FROM subscriber WHERE id IN (:values)", ids)
    unknown = emails - {row[2] for row in rows} - {""}
    rows += await fetch_in(
        queries, "SELECT id, name, email FROM subscriber WHERE email <> '' AND email IN (:values)", unknown
    )
    return [Subscriber(*row) for row in rows]


async def subscriptions_known(
    queries: Queries, subscriber_ids: Collection[str], msisdns: Collection[str]
) -> list[Subscription]:
    """What these subscribers have had of broadband and television, and everyone who has held one of these numbers."""
    rows = await fetch_in(queries, f"SELECT {_FIXED} WHERE subscriber_id IN (:values)", subscriber_ids)
    rows += await fetch_in(queries, f"SELECT {_MOBILE} WHERE msisdn IN (:values)", msisdns)
    return [Subscription(*row) for row in rows]


async def write_subscribers(transaction: Transaction, subscribers: Sequence[Subscriber]) -> None:
    await transaction.execute_many(
        "INSERT INTO subscriber (id, name, email) VALUES (:id, :name, :email)"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email",
        [vars(subscriber) for subscriber in subscribers],
    )


async def write_subscriptions(transaction: Transaction, subscriptions: Sequence[Subscription]) -> None:
    await transaction.execute_many(
        "INSERT INTO mobile_number (msisdn, starts, ends, subscriber_id, product)"
        " VALUES (:msisdn, :starts, :ends, :subscriber_id, :product) ON CONFLICT (msisdn, starts)"
        " DO UPDATE SET ends = excluded.ends, product = excluded.product",
        [vars(subscription) for subscription in subscriptions if subscription.msisdn],
    )
    await transaction.execute_many(
        "INSERT INTO fixed_subscription (subscriber_id, kind, product, starts, ends)"
        " VALUES (:subscriber_id, :kind, :product, :starts, :ends)"
        " ON CONFLICT (subscriber_id, kind, product, starts) DO UPDATE SET ends = excluded.ends",
        [vars(subscription) for subscription in subscriptions if not subscription.msisdn],
    )


async def imported_password(queries: Queries, subscriber_id: str) -> str | None:
    """The hash that a file brought for this subscriber. Whoever has set a password since goes by that."""
    row = await queries.fetch_one(
        "SELECT password_hash FROM imported_password WHERE subscriber_id = :id", {"id": subscriber_id}
    )
    return row[0] if row else None


async def any_imported_password(queries: Queries) -> bool:
    return await queries.fetch_one("SELECT 1 FROM imported_password LIMIT 1") is not None


async def write_imported_passwords(
    transaction: Transaction, hashes: Mapping[str, str], *, superseded: Collection[str]
) -> None:
    """Keeps the hashes of a file, and none for the `superseded`: what was replaced is not left to be stolen."""
    await transaction.execute_many(
        "INSERT INTO imported_password (subscriber_id, password_hash) VALUES (:id, :hash)"
        " ON CONFLICT (subscriber_id) DO UPDATE SET password_hash = excluded.password_hash",
        [
            {"id": subscriber_id, "hash": text}
            for subscriber_id, text in hashes.items()
            if subscriber_id not in superseded
        ],
    )
    await transaction.execute_many(
        "DELETE FROM imported_password WHERE subscriber_id = :id", [{"id": each} for each in superseded]
    )
