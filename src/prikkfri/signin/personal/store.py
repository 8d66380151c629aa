"""All SQL of what signin holds of one customer."""

from typing import Any

from prikkfri.storage import Queries, Transaction

_HELD = {
    "passwords": ("changed_at", "credential"),
    "devices": ("device, name, issued_at, seen_at, expires_at, revoked_at", "device_token"),
    "sessions": ("device, started_at, expires_at", "session"),
    "password_codes": ("device, made_at, expires_at", "password_code"),
    "password_links": ("made_by, made_at, expires_at, used_at", "password_link"),
}
"""What a customer may see of each table: neither hashes nor tokens."""


async def held_of(queries: Queries, subscriber_id: str) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for name, (columns, table) in _HELD.items():
        rows = await queries.fetch(
            f"SELECT {columns} FROM {table} WHERE subscriber_id = :id",  # noqa: S608
            {"id": subscriber_id},
        )
        found[name] = [dict(zip(columns.split(", "), row, strict=True)) for row in rows]
    return found


async def erase(transaction: Transaction, subscriber_id: str, now: float) -> int:
    """Erases all of it, and revokes the customer's tokens; returns how many rows it concerned.

    A token outlives its customer: so that it stays revoked until it ends, its row stays, of nobody.
    """
    erased = await transaction.execute(
        "UPDATE device_token SET revoked_at = COALESCE(revoked_at, :now), subscriber_id = '', device = '', name = ''"
        " WHERE subscriber_id = :id",
        {"now": now, "id": subscriber_id},
    )
    for table in ("session", "credential", "password_code", "password_link"):
        erased += await transaction.execute(
            f"DELETE FROM {table} WHERE subscriber_id = :id",  # noqa: S608
            {"id": subscriber_id},
        )
    return erased
