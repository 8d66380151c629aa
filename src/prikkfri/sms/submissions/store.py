"""All SQL of submissions that is theirs alone: how far the references of long messages have come."""

from collections.abc import Mapping

from prikkfri.storage import Queries, Transaction


async def references(queries: Queries) -> dict[int, int]:
    """By slot the last reference. As many as there are slots at most: once, when the centre starts."""
    return dict(await queries.fetch("SELECT slot, reference FROM sms_reference"))


async def put_references(tx: Transaction, last: Mapping[int, int]) -> None:
    await tx.execute_many(
        "INSERT INTO sms_reference (slot, reference) VALUES (:slot, :reference)"
        " ON CONFLICT (slot) DO UPDATE SET reference = excluded.reference",
        [{"slot": slot, "reference": reference} for slot, reference in last.items()],
    )


async def skip_references(tx: Transaction, by: int, of: int) -> None:
    """A database from a backup does not know which were used since: its slots go on elsewhere on the circle."""
    sql = "UPDATE sms_reference SET reference = reference + :by - CASE WHEN reference + :by >= :of THEN :of ELSE 0 END"
    await tx.execute(sql, {"by": by, "of": of})
