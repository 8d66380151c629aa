"""All SQL of routes: which are stopped, what waits for them, and what went over them."""
# ruff: noqa: S608

from prikkfri.sms.routing import ExposedMessage, RouteOutage
from prikkfri.storage import Queries, Transaction

_STOP = ", ".join(RouteOutage._fields)
_WENT_OF = "({0}.sent_at > 0 OR {0}.doubts > 0 OR {0}.state IN ('sending', 'in-doubt', 'unreported'))"
"""Of a message that was attempted: that it went, or may have."""
_WENT = _WENT_OF.format("m")
_PARTS = (
    "FROM sms_message AS part WHERE part.submission = m.submission AND part.parts > 1 AND part.target = m.target"
    f" AND part.attempted_at >= :since AND part.attempted_at < :until AND {_WENT_OF.format('part')}"
)
"""The other parts of a long message, and itself, that went in the time."""


async def routes(queries: Queries) -> dict[str, RouteOutage]:
    """By link, each route that was ever stopped."""
    rows = await queries.fetch(f"SELECT link, {_STOP} FROM sms_route")
    return {row[0]: RouteOutage(*row[1:]) for row in rows}


async def put_route(tx: Transaction, link: str, outage: RouteOutage) -> None:
    await tx.execute(
        f"INSERT INTO sms_route (link, {_STOP}) VALUES (:link, {', '.join(f':{name}' for name in RouteOutage._fields)})"
        f" ON CONFLICT (link) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in RouteOutage._fields)}",
        {"link": link, **outage._asdict()},
    )


async def waiting(queries: Queries, target: str) -> int:
    """How many messages wait for a party, canaries left out."""
    row = await queries.fetch_one("SELECT messages FROM sms_waiting WHERE target = :target", {"target": target})
    return int(row[0]) if row else 0


async def exposed(
    queries: Queries, target: str, *, since: float, until: float, after: tuple[float, str], limit: int
) -> tuple[list[ExposedMessage], tuple[float, str] | None]:
    """The messages that went to a link in a time, oldest first; canaries are nobody's.

    Looks at `limit` of those that were attempted after a (time, id), and says where to go on; None: that was all.
    """
    rows = await queries.fetch(
        "SELECT * FROM (SELECT attempted_at, id, submission, sender, recipient, message_class, origin,"
        f" CASE WHEN parts = 1 THEN state ELSE (SELECT MIN(state) {_PARTS}) END,"
        # A long message is listed once, by the part that went first.
        f" CASE WHEN {_WENT} AND (parts = 1 OR NOT EXISTS (SELECT 1 {_PARTS}"
        " AND (part.attempted_at, part.id) < (m.attempted_at, m.id))) THEN 1 ELSE 0 END"
        " FROM sms_message AS m WHERE target = :target AND attempted_at <> 0 AND message_class <> 'canary'"
        # SQLite takes no lower bound from the pair, and PostgreSQL would read and sort all that it takes for little:
        # of what it does not know when it plans (SELECT) it reads the first ones by the index.
        " AND attempted_at >= (SELECT :at) AND (attempted_at, id) > ((SELECT :at), (SELECT :id))"
        " ORDER BY attempted_at, id LIMIT :limit) AS found WHERE attempted_at < :until ORDER BY attempted_at, id",
        {"target": target, "since": since, "at": after[0], "id": after[1], "until": until, "limit": limit},
    )
    found = [ExposedMessage(row[2], row[0], *row[3:8]) for row in rows if row[8]]
    return found, (rows[-1][0], rows[-1][1]) if len(rows) == limit else None
