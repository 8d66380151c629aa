"""All SQL of trails: what is known of a submission's messages."""
# ruff: noqa: S608

from collections.abc import Sequence

from prikkfri.sms.trail import Facts, Step
from prikkfri.storage import Queries

FACTS = ", ".join(Facts.__dataclass_fields__)


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
