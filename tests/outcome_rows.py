"""The rows of all outcomes that are stored, in whichever table they lie."""

from prikkfri.assurance.outcomes.store import every_table
from prikkfri.storage import Queries, Row, Transaction


async def outcome_rows(queries: Queries, columns: str, where: str = "1 = 1") -> list[Row]:
    """Sorted: of several tables the order says nothing."""
    rows: list[Row] = []
    for table in await every_table(queries):
        rows += await queries.fetch(f"SELECT {columns} FROM {table} WHERE {where}")
    return sorted(rows)


async def drop_outcomes(transaction: Transaction, where: str = "1 = 1") -> None:
    for table in await every_table(transaction):
        await transaction.execute(f"DELETE FROM {table} WHERE {where}")
