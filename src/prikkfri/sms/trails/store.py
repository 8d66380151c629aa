"""All SQL of trails: what is known of a submission's messages."""
# ruff: noqa: S608

from collections.abc import Sequence

from prikkfri.sms.lifecycle import ENDED
from prikkfri.sms.trail import Facts, Step
from prikkfri.storage import Queries, Transaction

FACTS = ", ".join(Facts.__dataclass_fields__)
_OVER = ", ".join(f"'{state}'" for state in sorted(ENDED) if state != "quarantined")
"""What a message in quarantine is, a person has yet to say."""


async def facts(queries: Queries, submission: str) -> list[Facts]:
    """All messages of a submission in order, empty when there is none of that id."""
    rows = await queries.fetch(
        f"SELECT {FACTS} FROM sms_message WHERE id = :id OR (submission = :id AND parts > 1) ORDER BY part",
        {"id": submission},
    )
    return [Facts(*row) for row in rows]


async def events(queries: Queries, messages: Sequence[str]) -> list[Step]:
    steps: list[Step] = []
    for message in messages:
        rows = await queries.fetch(
            "SELECT time, event, detail FROM sms_event WHERE message = :id ORDER BY time", {"id": message}
        )
        steps += [Step(*row) for row in rows]
    return steps


async def erase(transaction: Transaction, submission: str) -> int:
    """Erases the messages of a submission with their events, those that have ended and whose receipts are given.

    Returns how many those were.
    """
    rows = await transaction.fetch(
        f"DELETE FROM sms_message WHERE id IN (SELECT id FROM sms_message WHERE id = :id UNION"
        f" SELECT id FROM sms_message WHERE submission = :id AND parts > 1)"
        f" AND state IN ({_OVER}) AND ended_at > 0 AND receipt NOT IN ('waiting', 'sending') RETURNING id",
        {"id": submission},
    )
    await transaction.execute_many("DELETE FROM sms_event WHERE message = :id", [{"id": row[0]} for row in rows])
    return len(rows)
