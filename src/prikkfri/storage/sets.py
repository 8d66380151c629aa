"""Many values in few statements: what is asked for, or put in, one by one holds everybody up."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice, repeat
from typing import TypeVar

from prikkfri.storage.database import Parameters, Queries, Row

VALUES_AT_ONCE = 256
NEW_AT_ONCE = 20
"""Rows of one statement: what finds a named value in it looks through all of them."""
ROWS_AT_ONCE = 2_000
T = TypeVar("T")


async def fetch_in(
    queries: Queries, sql: str, values: Collection[str] | Collection[int], parameters: Parameters | None = None
) -> list[Row]:
    """Rows of a statement with `IN (:values)`, some values at a time; whoever waits has a turn after each."""
    rows: list[Row] = []
    for listed, named in named_sets(dict.fromkeys(values)):
        rows += await queries.fetch(_with_values(sql, listed), {**named, **(parameters or {})})
        await asyncio.sleep(0)
    return rows


def named_sets(values: Iterable[T]) -> Iterator[tuple[str, dict[str, T]]]:
    """`named_values` of many, some at a time."""
    for some in in_parts(values, VALUES_AT_ONCE):
        yield named_values(some)


def named_row_sets(rows: Sequence[Sequence[T]]) -> Iterator[tuple[str, dict[str, T]]]:
    """The same of rows of several values each, as they stand behind `VALUES`: `(:v0, :v1), (:v2, :v3)`.

    The last row may stand there several times.
    """
    for some in in_parts(rows, VALUES_AT_ONCE):
        count, width = 1 << (len(some) - 1).bit_length(), len(some[0])
        listed, names = _row_names(count, width)
        filled = chain(chain.from_iterable(some), chain.from_iterable(repeat(some[-1], count - len(some))))
        yield listed, dict(zip(names, filled, strict=True))


def named_values(values: Sequence[T], name: str = "v") -> tuple[str, dict[str, T]]:
    """What stands between the brackets of `IN (...)` for some values, at least one, and what it stands for.

    Of few lengths, so that each statement is prepared once: the last value may stand there several times. `name`: how
    they are called, where a statement has several such lists.
    """
    listed, names = _names(1 << (len(values) - 1).bit_length(), name)
    return listed, dict(zip(names, chain(values, repeat(values[-1])), strict=False))


async def fetch_pages(
    queries: Queries, sql: str, parameters: Mapping[str, object], *, after: str = "", key: int
) -> AsyncIterator[list[Row]]:
    """The rows of a statement in the order of a text column, its `key`th, a page at a time.

    The statement asks for `column > :after ... ORDER BY column LIMIT :most`.
    """
    while True:
        rows = await queries.fetch(sql, {**parameters, "after": after, "most": ROWS_AT_ONCE})
        yield rows
        if len(rows) < ROWS_AT_ONCE:
            return
        after = rows[-1][key]
        await asyncio.sleep(0)


async def insert_new(
    queries: Queries, sql: str, names: Sequence[str], rows: Iterable[Parameters], parameters: Parameters
) -> list[Row]:
    """What `INSERT ... VALUES :rows ON CONFLICT ... DO NOTHING RETURNING ...` has put in, of many rows.

    `names` are the values of each row, in the order of the first columns; `parameters` stand behind them in each.
    """
    found: list[Row] = []
    for some in in_parts(rows, NEW_AT_ONCE):
        filled = {f"{name}{index}": row[name] for index, row in enumerate(some) for name in names}
        statement = _with_rows(sql, tuple(names), tuple(parameters), len(some))
        found += await queries.fetch(statement, {**filled, **parameters})
        await asyncio.sleep(0)
    return found


def in_parts(values: Iterable[T], most: int) -> Iterable[list[T]]:
    """Lists of at most so many, made as they are asked for."""
    remaining = iter(values)
    while part := list(islice(remaining, most)):
        yield part


@lru_cache(maxsize=32)
def _names(length: int, name: str) -> tuple[str, list[str]]:
    names = [f"{name}{index}" for index in range(length)]
    return ", ".join(f":{name}" for name in names), names


@lru_cache(maxsize=64)
def _row_names(count: int, width: int) -> tuple[str, list[str]]:
    names = [f"v{index}" for index in range(count * width)]
    rows = (names[start : start + width] for start in range(0, len(names), width))
    return ", ".join(f"({', '.join(f':{name}' for name in row)})" for row in rows), names


@lru_cache(maxsize=256)
def _with_values(sql: str, listed: str) -> str:
    return sql.replace(":values", listed)


@lru_cache(maxsize=256)
def _with_rows(sql: str, names: tuple[str, ...], shared: tuple[str, ...], rows: int) -> str:
    def row(index: int) -> str:
        return f"({', '.join([*(f':{name}{index}' for name in names), *(f':{name}' for name in shared)])})"

    return sql.replace(":rows", ", ".join(row(index) for index in range(rows)))
