"""How SQLite finds the rows of a statement: to walk through a whole table is to lack an index."""

import contextlib
from collections.abc import Callable
from typing import Any

from prikkfri.storage import Database


class Listening:
    """Passes statements on and remembers them."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.heard: list[tuple[str, Any]] = []

    async def execute(self, sql: str, parameters: Any = None) -> int:
        self.heard.append((sql, parameters))
        return await self.inner.execute(sql, parameters)

    async def execute_many(self, sql: str, rows: Any) -> None:
        self.heard += [(sql, row) for row in rows]
        await self.inner.execute_many(sql, rows)

    async def drop_table(self, table: str) -> None:
        await self.inner.drop_table(table)

    async def fetch(self, sql: str, parameters: Any = None) -> Any:
        self.heard.append((sql, parameters))
        return await self.inner.fetch(sql, parameters)

    async def fetch_one(self, sql: str, parameters: Any = None) -> Any:
        self.heard.append((sql, parameters))
        return await self.inner.fetch_one(sql, parameters)


async def walks(database: Database, function: Callable[..., Any], **arguments: Any) -> list[str]:
    """The steps of its plans that go through a whole table.

    To go through a partial index is none: it holds what is open, and that is few.
    """

    async def work(tx: Any) -> list[str]:
        listening = Listening(tx)
        await function(listening, **arguments)
        assert listening.heard
        steps = []
        for sql, parameters in listening.heard:
            steps += [row[-1] for row in await tx.fetch(f"EXPLAIN QUERY PLAN {sql}", parameters)]
        made = {step.split()[1] for step in steps if step.split()[0] in ("CO-ROUTINE", "MATERIALIZE")}
        scans = [step for step in steps if step.startswith("SCAN ") and "INDEX" not in step and "SUBQUERY" not in step]
        return [step for step in scans if step.split()[1] not in made and step != "SCAN CONSTANT ROW"]

    return await database.write(work)


async def instructions(database: Database, function: Callable[..., Any], **arguments: Any) -> int:
    """How much SQLite does for a statement, in instructions of its machine: the same at every run.

    What it changes is undone.
    """
    count = 0

    def step() -> bool:
        nonlocal count
        count += 1
        return False

    async def work(tx: Any) -> None:
        tx.connection.set_progress_handler(step, 1)
        try:
            await function(tx, **arguments)
        finally:
            tx.connection.set_progress_handler(None)
        raise Undone

    with contextlib.suppress(Undone):
        await database.write(work)
    return count


class Undone(Exception):
    pass


async def rows_read(database: Database, function: Callable[..., Any], **arguments: Any) -> int:
    """How many rows and entries of indexes PostgreSQL looks at for a statement, as it plans by what it has counted.

    What it changes is undone.
    """
    found = 0

    async def work(tx: Any) -> None:
        nonlocal found
        listening = Listening(tx)
        await function(listening, **arguments)
        for sql, parameters in listening.heard:
            [[[plan]]] = await tx.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
            found += _read(plan["Plan"])
        raise Undone

    with contextlib.suppress(Undone):
        await database.write(work)
    return found


def _read(node: dict[str, Any]) -> int:
    own = 0
    if "Relation Name" in node or "Index Name" in node:
        removed = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
        own = 0 if node["Node Type"] == "ModifyTable" else int((node["Actual Rows"] + removed) * node["Actual Loops"])
    return own + sum(_read(each) for each in node.get("Plans", ()))
