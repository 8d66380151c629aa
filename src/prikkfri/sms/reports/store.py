"""All SQL of reports: what waits for whom, up to a number that costs little to count."""

from prikkfri.storage import Queries


async def waiting_up_to(queries: Queries, target: str, *, most: int) -> int:
    """How many messages wait for a party, `most` where these or more do."""
    row = await queries.fetch_one(
        "SELECT COUNT(*) FROM sms_message WHERE id IN (SELECT id FROM sms_message WHERE target = :target"
        " AND state = 'waiting' LIMIT :most)",
        {"target": target, "most": most},
    )
    return int(row[0]) if row else 0
