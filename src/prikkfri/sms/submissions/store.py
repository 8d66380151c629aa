"""All SQL of submissions that is theirs alone: how far the references of long messages have come."""

from collections.abc import Mapping, Sequence

import msgspec

from prikkfri.protocols.smpp.concatenation import PartReference
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


async def part_references(queries: Queries, *, since: float, limit: int) -> list[PartReference]:
    """What references of long texts have been taken by since then, the newest last. Once, when the centre starts."""
    rows = await queries.fetch(
        "SELECT sender, recipient, wide, reference, origin, chosen, total, numbers, at FROM sms_part_reference"
        " WHERE at >= :since ORDER BY at DESC LIMIT :limit",
        {"since": since, "limit": limit},
    )
    return [
        PartReference(sender, recipient, bool(wide), reference, origin, chosen, total, bytes(numbers), at)
        for sender, recipient, wide, reference, origin, chosen, total, numbers, at in reversed(rows)
    ]


async def put_part_references(tx: Transaction, taken: Sequence[PartReference]) -> None:
    """The last of them counts for each reference."""
    await tx.execute_many(
        "INSERT INTO sms_part_reference (sender, recipient, wide, reference, origin, chosen, total, numbers, at)"
        " VALUES (:sender, :recipient, :wide, :reference, :origin, :chosen, :total, :numbers, :at)"
        " ON CONFLICT (sender, recipient, wide, reference) DO UPDATE SET origin = excluded.origin,"
        " chosen = excluded.chosen, total = excluded.total, numbers = excluded.numbers, at = excluded.at",
        [{**msgspec.structs.asdict(each), "wide": int(each.wide)} for each in taken],
    )


async def erase_part_references(tx: Transaction, *, before: float, limit: int) -> int:
    """Forgets what no phone waits for any more; returns how many."""
    return await tx.execute(
        "DELETE FROM sms_part_reference WHERE (sender, recipient, wide, reference) IN (SELECT sender, recipient, wide,"
        " reference FROM sms_part_reference WHERE at < :before ORDER BY at LIMIT :limit)",
        {"before": before, "limit": limit},
    )
