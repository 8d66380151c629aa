"""Importing the customers from a file, and showing one of them."""

import csv
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import partial
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TextIO

from prikkfri.clock import Clock
from prikkfri.errors import UsageError
from prikkfri.protocols.spreadsheet import cell
from prikkfri.storage import Database, Queries, Transaction
from prikkfri.subscribers import store
from prikkfri.subscribers.customer_file import (
    LINE_CHARACTERS_MAX,
    Entry,
    Header,
    Record,
    RefusedRecord,
    entry,
    header_of,
)
from prikkfri.subscribers.customer_file import records as records_of
from prikkfri.subscribers.encodings import Encoding, encoding_of
from prikkfri.subscribers.limits import Limits
from prikkfri.subscribers.merging import MergeResult, merge
from prikkfri.subscribers.naming import is_named, words_of
from prikkfri.subscribers.numbers import e164
from prikkfri.subscribers.profile import Profile, profile
from prikkfri.subscribers.subscriptions import Subscriber

DEFAULT_LIMITS = Limits()
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class ImportReport:
    """What became of the rows of a file: each was added, changed something, changed nothing, or was rejected."""

    rows: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    rejected_file: Path | None
    """The rejected rows with line and reason; None when there are none."""
    seconds: float
    encoding: str
    """What the file was read as; of Windows-1252 it is a guess, since such a file does not say so."""


OwnPasswords = Callable[[Collection[str]], Awaitable[Set[str]]]
"""Those of these subscribers who have set a password here, or whose imported one was renewed: theirs counts."""

Progress = Callable[[int, int], None]
"""Told how many bytes of how many have been read."""


async def import_file(
    database: Database,
    path: Path,
    *,
    region: str,
    timezone: tzinfo,
    clock: Clock,
    progress: Progress,
    own_passwords: OwnPasswords | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> ImportReport:
    """Imports a file of customers into the area `subscribers`; safe to break off and to repeat.

    Numbers without a country code are of `region`, dates begin at midnight in `timezone`. Raises `UsageError` when
    the file cannot be read or lacks a column, `StorageError` when the database fails; what was imported before stays.
    """
    began = clock.monotonic()
    try:
        binary = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; name a CSV file that can be read") from None
    size = os.fstat(binary.fileno()).st_size
    if not binary.seekable():
        binary.close()
        raise UsageError(f"{path}: is no file that can be read twice; write it to one first")
    encoding = encoding_of(iter(partial(binary.read, PIECE_BYTES), b""))
    binary.seek(0)
    with TextIOWrapper(binary, encoding=encoding.name, errors=encoding.errors, newline="") as file:
        lines = _lines(file)
        layout = header_of(lines, str(path))
        with _Rejections(path, layout, encoding) as rejections:
            run = _Import(database, layout, region, timezone, rejections, own_passwords)
            records = records_of(lines, layout)
            conflicts: list[RefusedRecord] = []
            while batch := list(islice(records, limits.batch_records)):
                conflicts += await run.take(batch)
                while len(conflicts) > limits.conflicts_retried_max:
                    rejections.add(conflicts.pop())
                progress(binary.tell(), size)
            # A number or an address may have passed from one to another, and the row that ends it stood further down.
            for start in range(0, len(conflicts), limits.batch_records):
                again = [conflict.record for conflict in conflicts[start : start + limits.batch_records]]
                for conflict in await run.take(again):
                    rejections.add(conflict)
    return ImportReport(
        rows=run.counts.total() + rejections.count,
        added=run.counts["added"],
        changed=run.counts["changed"],
        unchanged=run.counts["unchanged"],
        rejected=rejections.count,
        rejected_file=rejections.path if rejections.count else None,
        seconds=clock.monotonic() - began,
        encoding=encoding.name,
    )


async def show(
    database: Database, key: str, *, region: str, timezone: tzinfo, now: float, unmasked: bool = False
) -> Profile | None:
    """The subscriber with this id, or who holds (or last held) this mobile number; None when there is nobody."""

    async def work(queries: Queries) -> Profile | None:
        msisdn = ""
        subscriber = await store.subscriber(queries, key)
        if subscriber is None:
            msisdn = e164(key, region) or ""
            holdings = await store.holders_of(queries, msisdn)
            begun = [holding for holding in holdings if holding.starts <= now] or holdings[:1]
            subscriber = await store.subscriber(queries, begun[-1].subscriber_id) if begun else None
        if subscriber is None:
            return None
        subscriptions = await store.subscriptions_of(queries, subscriber.id)
        holdings = await store.holders_of(queries, msisdn) if msisdn else []
        return profile(subscriber, subscriptions, holdings, now=now, timezone=timezone, unmasked=unmasked)

    return await database.read(work)


Page = Callable[[str], Awaitable[Sequence[Subscriber]]]
"""The subscribers after an id, some at a time; none when those were all."""


async def subscribers_named(page: Page, name: str, *, most: int) -> list[Subscriber]:
    """Those with this name, as somebody typed it, `most` at most. Others are served between its steps."""
    sought, found, after = words_of(name), list[Subscriber](), ""
    while sought and len(found) < most and (some := await page(after)):
        found += (each for each in some if is_named(each.name, sought))
        after = some[-1].id
    return found[:most]


@dataclass
class _Import:
    database: Database
    layout: Header
    region: str
    timezone: tzinfo
    rejections: "_Rejections"
    own_passwords: OwnPasswords | None
    counts: Counter[str] = field(default_factory=Counter)

    async def take(self, batch: Sequence[Record | RefusedRecord]) -> list[RefusedRecord]:
        """Imports a batch; returns what contradicts what is known."""
        entries: list[Entry] = []
        for record in batch:
            made = self._entry(record)
            if isinstance(made, RefusedRecord):
                self.rejections.add(made)
            else:
                entries.append(made)
        with_hash = {entry.subscriber.id for entry in entries if entry.password_hash}
        superseded = await self.own_passwords(with_hash) if self.own_passwords and with_hash else frozenset()
        merged = await self.database.write(lambda transaction: _merge(transaction, entries, superseded))
        self.counts.update(merged.effects)
        return merged.conflicts

    def _entry(self, record: Record | RefusedRecord) -> Entry | RefusedRecord:
        if isinstance(record, RefusedRecord):
            return record
        return entry(record, self.layout, region=self.region, timezone=self.timezone)


async def _merge(transaction: Transaction, entries: Sequence[Entry], superseded: Set[str]) -> MergeResult:
    await store.take_turns(transaction)
    ids = {entry.subscriber.id for entry in entries}
    emails = {entry.subscriber.email for entry in entries}
    msisdns = {entry.subscription.msisdn for entry in entries if entry.subscription.msisdn}
    merged = merge(
        entries,
        await store.subscribers_known(transaction, ids, emails),
        await store.subscriptions_known(transaction, ids, msisdns),
    )
    await store.write_subscribers(transaction, merged.subscribers)
    await store.write_subscriptions(transaction, merged.subscriptions)
    await store.write_imported_passwords(transaction, merged.password_hashes, superseded=superseded)
    return merged


def _lines(file: TextIO) -> Iterator[str]:
    """The lines of a file; of one that is too long only so much that it can be told."""
    while line := file.readline(LINE_CHARACTERS_MAX + 1):
        rest = line
        while len(rest) > LINE_CHARACTERS_MAX and rest[-1] not in "\r\n":
            rest = file.readline(LINE_CHARACTERS_MAX + 1)
        yield line


class _Rejections:
    """The file of rejected rows, in the columns of the imported file and then line and reason: mended, it can be
    imported itself, and no cell is a formula. It takes the place of an earlier import's when all has been read."""

    def __init__(self, imported: Path, layout: Header, encoding: Encoding) -> None:
        self.path = imported.with_suffix(".rejected.csv")
        self.count = 0
        self._unfinished = imported.with_suffix(".rejected.unfinished")
        self._layout = layout
        self._encoding = encoding.of_rejected
        self._file: TextIO | None = None

    def add(self, refused: RefusedRecord) -> None:
        if self._file is None:
            self._file = self._open()
            self._writer = csv.writer(self._file, delimiter=self._layout.delimiter)
            self._writer.writerow([*map(cell, self._layout.names), "line", "reason"])
        width = len(self._layout.names)
        fields = (refused.record.fields + [""] * width)[:width]
        self._writer.writerow(map(cell, [*fields, refused.record.line, refused.reason]))
        self.count += 1

    def _open(self) -> TextIO:
        try:
            # Mode 0600: it is people's data.
            descriptor = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise UsageError(f"{self._unfinished}: rejected rows cannot be written: {error.strerror}") from None
        return os.fdopen(descriptor, "w", encoding=self._encoding, errors="surrogateescape", newline="")

    def __enter__(self) -> "_Rejections":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if self._file is not None:
            self._file.close()
        if kind is not None:
            self._unfinished.unlink(missing_ok=True)
        elif self.count:
            self._unfinished.replace(self.path)
        else:
            self.path.unlink(missing_ok=True)
