"""Another stream and another follower in the same tables: whatever a test does to its own, they stay as they are."""

from prikkfri.journal import Outcome
from prikkfri.journal.outcomes import encode_batch
from prikkfri.storage import Database, Queries, Row, Transaction

TABLES = ("journal_stream", "journal_batch", "journal_follower")


async def move_in(database: Database) -> list[Row]:
    """Adds neighbours to an area; returns their rows."""

    async def work(transaction: Transaction) -> None:
        await transaction.execute("INSERT INTO journal_stream VALUES ('neighbour', 'theirs', 7, 4, 1, 5, 3)")
        for position in (2, 4):
            outcomes = [
                Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept", promise=f"of a neighbour {i}")
                for i in range(2)
            ]
            await transaction.execute(
                "INSERT INTO journal_batch VALUES ('neighbour', :position, 2, 0.0, :payload)",
                {"position": position, "payload": encode_batch(outcomes)},
            )
        for follower in ("test", "neighbour"):
            await transaction.execute(
                "INSERT INTO journal_follower VALUES (:follower, 'neighbour', 'theirs', 3, 0)", {"follower": follower}
            )
        # Has looked and not yet taken: where every follower begins.
        await transaction.execute("INSERT INTO journal_follower VALUES ('test', 'new neighbour', '', 0, 0)")

    await database.write(work)
    return await neighbours(database)


async def neighbours(database: Database) -> list[Row]:
    async def work(queries: Queries) -> list[Row]:
        rows: list[Row] = []
        for table in TABLES:
            rows += await queries.fetch(f"SELECT * FROM {table} WHERE stream LIKE '%neighbour' ORDER BY 1, 2")
        return [tuple(bytes(cell) if isinstance(cell, memoryview) else cell for cell in row) for row in rows]

    return await database.read(work)
