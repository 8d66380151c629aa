"""The tables of the subscribers."""

from prikkfri.storage import Queries
from prikkfri.subscribers.numbers import e164
from prikkfri.subscribers.subscriptions import Subscriber, Subscription


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


async def packages_at(queries: Queries, subscriber_id: str, now: float) -> tuple[str, ...]:
    """The television packages that a subscriber may watch."""
    rows = await queries.fetch(
        "SELECT DISTINCT product FROM fixed_subscription"
        " WHERE subscriber_id = :id AND kind = 'television' AND starts <= :at AND ends > :at",
        {"id": subscriber_id, "at": now},
    )
    return tuple(sorted(row[0] for row in rows))


async def subscriptions_of(queries: Queries, subscriber_id: str) -> list[Subscription]:
    """All that a subscriber has had, oldest first."""
    numbers = await queries.fetch(
        "SELECT subscriber_id, 'mobile', product, msisdn, starts, ends FROM mobile_number WHERE subscriber_id = :id",
        {"id": subscriber_id},
    )
    fixed = await queries.fetch(
        "SELECT subscriber_id, kind, product, '', starts, ends FROM fixed_subscription WHERE subscriber_id = :id",
        {"id": subscriber_id},
    )
    return sorted((Subscription(*row) for row in numbers + fixed), key=lambda s: (s.starts, s.kind, s.product))


async def holders_of(queries: Queries, msisdn: str) -> list[Subscription]:
    """Everyone who has held a mobile number (E.164), oldest first."""
    rows = await queries.fetch(
        "SELECT subscriber_id, 'mobile', product, msisdn, starts, ends FROM mobile_number"
        " WHERE msisdn = :msisdn ORDER BY starts",
        {"msisdn": msisdn},
    )
    return [Subscription(*row) for row in rows]
