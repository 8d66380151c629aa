"""All SQL of routes: which are stopped, what waits for them, and what went over them."""
# ruff: noqa: S608

from prikkfri.sms.messages import message_id
from prikkfri.sms.routing import Exposed, Stop
from prikkfri.storage import Queries, Transaction

_STOP = ", ".join(Stop._fields)


async def routes(queries: Queries) -> dict[str, Stop]:
    """By link, each route that was ever stopped."""
    rows = await queries.fetch(f"SELECT link, {_STOP} FROM sms_route")
    return {row[0]: Stop(*row[1:]) for row in rows}


async def put_route(tx: Transaction, link: str, stop: Stop) -> None:
    await tx.execute(
        f"INSERT INTO sms_route (link, {_STOP}) VALUES (:link, {', '.join(f':{name}' for name in Stop._fields)})"
        f" ON CONFLICT (link) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in Stop._fields)}",
        {"link": link, **stop._asdict()},
    )


async def waiting(queries: Queries, target: str) -> int:
    """How many messages wait for a party, canaries left out."""
    [[count]] = await queries.fetch(
        "SELECT COUNT(*) FROM sms_message WHERE target = :target AND state = 'waiting' AND message_class <> 'canary'",
        {"target": target},
    )
    return int(count)


async def exposed(
    queries: Queries, target: str, *, since: float, until: float, validity_seconds_max: float, limit: int
) -> list[Exposed]:
    """The messages that went to a link in a time, oldest first; canaries are nobody's."""
    rows = await queries.fetch(
        "SELECT submission, MIN(attempted_at), sender, recipient, message_class, origin, MIN(state) FROM sms_message"
        # Ids begin with the time of acceptance: this takes the primary key, not the whole table.
        " WHERE id >= :first AND id < :last AND target = :target AND message_class <> 'canary'"
        " AND attempted_at >= :since AND attempted_at < :until"
        " AND (sent_at > 0 OR state IN ('sending', 'in-doubt', 'unreported'))"
        " GROUP BY submission, sender, recipient, message_class, origin ORDER BY 2 LIMIT :limit",
        {
            "first": message_id(max(since - validity_seconds_max, 0.0), b""),
            "last": message_id(until + 1.0, b""),
            "target": target,
            "since": since,
            "until": until,
            "limit": limit,
        },
    )
    return [Exposed(*row) for row in rows]
