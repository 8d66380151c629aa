"""Recordings: CSV files of series and tables, read as values; for `detect`, `locate` and the benchmarks."""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from prikkfri.assurance import suspects
from prikkfri.assurance.detection.counts import CountSettings
from prikkfri.assurance.detection.recorded import Finding, in_counts, in_shares
from prikkfri.assurance.detection.shares import ShareSettings
from prikkfri.assurance.localisation import Cell
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.suspects import Location
from prikkfri.assurance.tally import Bucket
from prikkfri.errors import UsageError

ROWS_MAX = 2_000_000
_COLUMNS = (("time_utc", "count"), ("time_utc", "broken", "total"), ("time_utc", "kept", "broken"))


@dataclass(frozen=True)
class Series:
    buckets: tuple[Bucket, ...]
    bucket_seconds: float
    """The usual distance of two rows."""
    labelled: tuple[bool, ...]
    """True where the file's own column `anomaly` says so; empty without that column."""
    shares: bool = False
    """True where the file tells what was broken: then the share of it is the matter, else the count."""


@dataclass(frozen=True)
class Row:
    """What one combination of dimension values counted in one minute."""

    minute: int
    cell: Cell


def read_series(lines: Iterable[str], *, rows_max: int = ROWS_MAX) -> Series:
    """Reads `time_utc,count[,anomaly]`, `time_utc,broken,total` or `time_utc,kept,broken`; times are ISO 8601, UTC if
    they do not say.

    Raises `UsageError` with the line that is wrong.
    """
    names, rows = _read(lines, rows_max)
    columns = next((each for each in _COLUMNS if set(each) <= set(names)), None)
    if columns is None:
        raise UsageError("line 1: the header must name time_utc and count, or time_utc, broken and total")
    buckets: list[Bucket] = []
    labelled: list[bool] = []
    for line, row in rows:
        time = _moment(row["time_utc"], line)
        if buckets and time < buckets[-1].time:
            raise UsageError(f"line {line}: times must not fall; sort the file by time_utc")
        buckets.append(_bucket(time, columns, row, line))
        if "anomaly" in names:
            labelled.append(row["anomaly"] not in ("", "0", None))
    if len(buckets) < 2:
        raise UsageError("fewer than two rows: there is nothing to compare")
    steps = [later.time - earlier.time for earlier, later in pairwise(buckets)]
    return Series(tuple(buckets), median(steps), tuple(labelled), shares="broken" in columns)


def findings(series: Series) -> list[Finding]:
    """What detection would have told of a series, as if it were live.

    Raises `UsageError` when its rows are no buckets of time.
    """
    if series.bucket_seconds <= 0:
        raise UsageError("most rows have the time of the row before: give one row for each bucket of time")
    if series.shares:
        return in_shares(series.buckets, ShareSettings(bucket_seconds=series.bucket_seconds))
    return in_counts(series.buckets, CountSettings(bucket_seconds=series.bucket_seconds))


def read_table(lines: Iterable[str], *, rows_max: int = ROWS_MAX) -> list[Row]:
    """Reads `minute,DIMENSION...,failed,total`. Raises `UsageError` with the line that is wrong."""
    names, rows = _read(lines, rows_max)
    dimensions = [name for name in names if name not in ("minute", "failed", "total")]
    if not {"minute", "failed", "total"} < set(names):
        raise UsageError("line 1: the header must name minute, one dimension or more, failed and total")
    table: list[Row] = []
    known: dict[tuple[str, ...], Segment] = {}
    for line, row in rows:
        minute = int(_count(row["minute"], line))
        failed, total = _count(row["failed"], line), _count(row["total"], line)
        if failed > total:
            raise UsageError(f"line {line}: more failed than total")
        values = tuple(row[name] or "" for name in dimensions)
        if (segment := known.get(values)) is None:
            segment = known[values] = Segment.of(dict(zip(dimensions, values, strict=True)))
        table.append(Row(minute, Cell(segment, total, failed)))
    return table


def locate(rows: Sequence[Row], minute: int) -> Location:
    """Where the fault of `minute` is; the minutes before it say what is usual.

    Raises `UsageError` when the table has no such minute.
    """
    now = [row.cell for row in rows if row.minute == minute]
    if not now:
        known = sorted({row.minute for row in rows})
        mend = f"it has {known[0]} to {known[-1]}" if known else "it is empty"
        raise UsageError(f"the table has no minute {minute}; {mend}")
    return suspects.locate(now, [row.cell for row in rows if row.minute < minute])


def _read(lines: Iterable[str], rows_max: int) -> tuple[list[str], Iterator[tuple[int, dict[str, str | None]]]]:
    """The names in the header, and each row with the number of its line."""
    reader = csv.DictReader(lines)

    def rows() -> Iterator[tuple[int, dict[str, str | None]]]:
        try:
            for count, row in enumerate(reader, 1):
                if count > rows_max:
                    raise UsageError(f"more than {rows_max} rows; cut the file in parts")
                yield reader.line_num, row
        except csv.Error as error:
            raise UsageError(f"line {reader.line_num + 1}: not CSV: {error}") from None

    try:
        return list(reader.fieldnames or ()), rows()
    except csv.Error as error:
        raise UsageError(f"line 1: not CSV: {error}") from None


def _bucket(time: float, columns: Sequence[str], row: dict[str, str | None], line: int) -> Bucket:
    counts = {name: _count(row[name], line) for name in columns if name != "time_utc"}
    if "count" in counts:
        return Bucket(time, kept=counts["count"])
    broken = counts["broken"]
    kept = counts["kept"] if "kept" in counts else counts["total"] - broken
    if kept < 0:
        raise UsageError(f"line {line}: more broken than total")
    return Bucket(time, kept=kept, broken=broken)


def _moment(text: str | None, line: int) -> float:
    try:
        moment = datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise UsageError(f"line {line}: {text!r} is not a time such as 2018-08-20T19:00:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _count(text: str | None, line: int) -> float:
    try:
        count = float(str(text))
    except ValueError:
        count = math.nan
    if not 0 <= count < 1e15:
        raise UsageError(f"line {line}: {text!r} is not a count")
    return count
