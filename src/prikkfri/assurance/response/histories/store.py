"""What is stored of histories: pieces of their archives, and where each stood when so many were stored.

A piece is one row and is not changed while anything stands on it. Where a history stands is written in one transaction
with the last of its pieces; of a crash before that nothing is left but pieces that the next ones replace.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from prikkfri.assurance.response.records import (
    NO_CHECKSUM,
    ArchiveRecord,
    HistoryCheckpoint,
    checkpoint_of,
    checksum,
    records_of,
)
from prikkfri.storage import Database, Queries, Row, Transaction

log = logging.getLogger("prikkfri.assurance")

PIECES_FORGOTTEN_AT_ONCE = 4
"""Of about a megabyte."""


@dataclass
class StoredPieces:
    """Those that are stored of one history."""

    count: int = 0
    checksum: bytes = NO_CHECKSUM
    """Of the last."""
    size_bytes: int = 0


class HistoryStore:
    """One owner has it. All of it raises `StorageError`."""

    def __init__(self, database: Database, *, form: str) -> None:
        """`form`: what was written by another is not read."""
        self._database = database
        self._form = form
        self._incidents: set[str] | None = None
        """Those of which something may be stored; None: not known."""

    async def checkpoint(self, incident: str) -> HistoryCheckpoint | None:
        """Where the history of an incident stood; None when that is not stored. Raises `ValueError` where it is
        broken, or was written by another version."""
        row = await self._database.read(
            lambda q: q.fetch_one(
                "SELECT format, checksum, content FROM incident_checkpoint WHERE incident = :id", {"id": incident}
            )
        )
        if row is None:
            return None
        form, stored, content = row[0], bytes(row[1]), bytes(row[2])
        if form != self._form:
            raise ValueError(f"it was written as {form}, what is read is {self._form}")
        if checksum(NO_CHECKSUM, content) != stored:
            raise ValueError("where it stood is broken")
        return checkpoint_of(content)

    async def pieces(
        self, incident: str, checkpoint: HistoryCheckpoint, read: StoredPieces
    ) -> AsyncIterator[Sequence[ArchiveRecord]]:
        """What was done in each piece on which it stands, in turn; `read` says how many those are.

        Raises `ValueError` when any is missing, broken or of another history, and be it after the last.
        """
        for number in range(checkpoint.pieces):
            row: Row | None = await self._database.read(
                lambda q, number=number: q.fetch_one(  # type: ignore[misc]
                    "SELECT content FROM incident_piece WHERE incident = :id AND number = :number",
                    {"id": incident, "number": number},
                )
            )
            if row is None:
                raise ValueError(f"piece {number} is missing")
            content = bytes(row[0])
            read.checksum = await asyncio.to_thread(checksum, read.checksum, content)
            read.count, read.size_bytes = number + 1, read.size_bytes + len(content)
            yield await asyncio.to_thread(records_of, content)
        if read.checksum != checkpoint.stands_on:
            raise ValueError("it stands on other pieces")

    async def incidents(self) -> Collection[str]:
        """Those of which something is stored."""
        if self._incidents is None:
            self._incidents = await self._database.read(_incidents_stored)
        return tuple(self._incidents)

    def note(self, incident: str) -> None:
        """Something of it is about to be stored."""
        if self._incidents is not None:
            self._incidents.add(incident)

    async def forget(self, incident: str) -> None:
        """Erases what is stored of an incident, some at a time."""
        if incident not in await self.incidents():
            return
        while await self._database.write(lambda t: _erase_some(t, incident)):
            pass
        if self._incidents is not None:
            self._incidents.discard(incident)


async def save_piece(transaction: Transaction, incident: str, number: int, content: bytes) -> None:
    await transaction.execute(
        "INSERT INTO incident_piece (incident, number, content) VALUES (:id, :number, :content)"
        " ON CONFLICT (incident, number) DO UPDATE SET content = excluded.content",
        {"id": incident, "number": number, "content": content},
    )


async def save_checkpoint(transaction: Transaction, incident: str, content: bytes, *, form: str) -> None:
    """`content`: a `HistoryCheckpoint`, as bytes."""
    await transaction.execute(
        "INSERT INTO incident_checkpoint (incident, format, checksum, content)"
        " VALUES (:id, :format, :checksum, :content) ON CONFLICT (incident) DO UPDATE"
        " SET format = excluded.format, checksum = excluded.checksum, content = excluded.content",
        {"id": incident, "format": form, "checksum": checksum(NO_CHECKSUM, content), "content": content},
    )


async def _incidents_stored(queries: Queries) -> set[str]:
    rows = await queries.fetch("SELECT incident FROM incident_piece WHERE number = 0", {})
    rows += await queries.fetch("SELECT incident FROM incident_checkpoint", {})
    return {incident for (incident,) in rows}


async def _erase_some(transaction: Transaction, incident: str) -> int:
    """The last pieces, and where it stood; 0 when there was nothing."""
    erased = await transaction.execute("DELETE FROM incident_checkpoint WHERE incident = :id", {"id": incident})
    return erased + await transaction.execute(
        "DELETE FROM incident_piece WHERE incident = :id AND number IN"
        " (SELECT number FROM incident_piece WHERE incident = :id ORDER BY number DESC LIMIT :most)",
        {"id": incident, "most": PIECES_FORGOTTEN_AT_ONCE},
    )
