"""The file that customers come in: CSV as programs and spreadsheets write it (docs/subscribers.md has its columns)."""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from functools import lru_cache
from operator import itemgetter

from prikkfri.errors import UsageError
from prikkfri.protocols.password_hash import NoPasswordHash, parse
from prikkfri.protocols.spreadsheet import strip_mark
from prikkfri.protocols.token_names import NAME_LENGTH_MAX
from prikkfri.subscribers.encodings import UNREADABLE
from prikkfri.subscribers.numbers import e164
from prikkfri.subscribers.subscriptions import STILL, Subscriber, Subscription

COLUMNS = ("subscriber_id", "name", "email", "kind", "product", "msisdn", "from", "to")
PASSWORD_HASH = "password_hash"  # noqa: S105
"""A column that may be left out."""
NEEDED = ("subscriber_id", "name", "kind", "product", "from")
"""The columns that no row leaves empty."""
KINDS = ("mobile", "broadband", "television")
DELIMITERS = ",;\t"
LINE_CHARACTERS_MAX = 4_000
FIELD_CHARACTERS_MAX = 254
RECORD_LINES_MAX = 20
"""Lines that one quoted field may spread a record over; a quote that is never closed must not swallow the file."""

_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.?)"?[;,\t]*\s*', re.IGNORECASE)
"""What tells a spreadsheet, before the first line, what divides the fields."""
_WORKBOOKS = ("PK\x03\x04", "\udcd0\udccf\x11\udce0", "\xd0\xcf\x11\xe0")
"""How a spreadsheet's own files begin, the newer and the older kind, in whatever they are read as."""
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[ T](\d{1,2}:\d\d(?::\d\d)?))?", re.ASCII)

Fields = list[str]


@dataclass(frozen=True)
class Header:
    """How this file is laid out, as its first line tells."""

    delimiter: str
    names: Fields
    wanted: Callable[[Fields], tuple[str, ...]]
    """Picks the fields of `COLUMNS` out of a record."""
    fields_min: int
    """How many a record has at least: what is empty at its end, spreadsheets leave out with its delimiter."""
    line: int = 1
    """The line that it is."""
    password_hash: int | None = None
    """Which field of a record it is; None: the file has none."""


@dataclass(frozen=True, slots=True)
class Record:
    """The fields that begin on a line."""

    line: int
    fields: Fields


@dataclass(frozen=True, slots=True)
class Entry:
    """A record that makes sense: a person and one thing subscribed to."""

    record: Record
    subscriber: Subscriber
    subscription: Subscription
    password_hash: str = field(default="", repr=False)
    """As `protocols.password_hash` reads it; empty: the file says nothing of it."""


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that does not, and why."""

    record: Record
    reason: str


def header_of(lines: Iterator[str], file: str) -> Header:
    """Reads the first line, after a spreadsheet's `sep=;` where there is one. Raises `UsageError` as `header`."""
    first = next(lines, "")
    if not (told := _SEPARATOR_LINE.fullmatch(first)):
        return header(first, file)
    if told[1] not in DELIMITERS:
        raise UsageError(f"{file}: sep={told[1]}: divide the fields by a comma, a semicolon or a tab")
    return replace(header(next(lines, ""), file), line=2)


def header(line: str, file: str) -> Header:
    """Reads the line of columns. Raises `UsageError` when it does not name them."""
    if line.startswith(_WORKBOOKS):
        raise UsageError(f"{file}: this is a spreadsheet's own kind of file; save it as CSV UTF-8")
    candidates = [
        (d, [name.strip().lower() for name in fields]) for d in DELIMITERS for fields in _fields([line], d) or [[]]
    ]
    delimiter, names = max(candidates, key=lambda c: len(set(COLUMNS) & set(c[1])))
    if missing := [name for name in COLUMNS if name not in names]:
        raise UsageError(
            f"{file}: the first line must name the columns {','.join(COLUMNS)}, and lacks {', '.join(missing)}"
            " (CSV in UTF-8)"
        )
    if twice := sorted({name for name in (*COLUMNS, PASSWORD_HASH) if names.count(name) > 1}):
        raise UsageError(f"{file}: the first line names {', '.join(twice)} more than once; keep one")
    fields_min = max(names.index(name) for name in NEEDED) + 1
    wanted = itemgetter(*(names.index(name) for name in COLUMNS))
    hashes = names.index(PASSWORD_HASH) if PASSWORD_HASH in names else None
    return Header(delimiter, names, wanted, fields_min, password_hash=hashes)


def records(lines: Iterator[str], header: Header) -> Iterator[Record | RefusedRecord]:
    """Splits the lines after the header, each with its line ending, into records; blank lines are passed over."""
    numbered = enumerate(lines, header.line + 1)
    ahead: deque[tuple[int, str]] = deque()
    blank = header.delimiter + " \t\r\n"
    while numbered_line := ahead.popleft() if ahead else next(numbered, None):
        number, line = numbered_line
        if len(line) > LINE_CHARACTERS_MAX:
            yield RefusedRecord(Record(number, []), f"longer than {LINE_CHARACTERS_MAX} characters")
        elif '"' not in line:
            if line.strip(blank):
                yield Record(number, _padded(line.rstrip("\r\n").split(header.delimiter), line, header))
        else:
            # A field in quotes may hold line endings: take lines until the quotes are even. They are one record only
            # when all is as it should be; else the first is refused and the others are read by themselves.
            taken = [numbered_line]
            quotes = line.count('"')
            while quotes % 2 and len(taken) < RECORD_LINES_MAX:
                following = next(numbered, None)  # none waits ahead: of those only the last may have an odd quote
                if following is None:
                    break
                taken.append(following)
                quotes += following[1].count('"')
            split = _fields([text[:LINE_CHARACTERS_MAX] for _, text in taken], header.delimiter)
            fields = _padded(split[0], taken[-1][1], header) if len(split) == 1 else []
            whole = len(split) == 1 and (len(taken) == 1 or len(fields) == len(header.names))
            if whole and quotes % 2 == 0:
                yield Record(number, fields)
            else:
                ahead.extendleft(reversed(taken[1:]))
                yield RefusedRecord(Record(number, []), "a quote is opened and not closed, or closed within a field")


def entry(record: Record, header: Header, *, region: str, timezone: tzinfo) -> Entry | RefusedRecord:
    """What a record says, or why it cannot be taken."""
    if len(record.fields) != len(header.names):
        return RefusedRecord(record, f"has {len(record.fields)} fields where the first line has {len(header.names)}")
    fields = tuple(map(str.strip, header.wanted(record.fields)))
    if not (text := "".join(fields)).isprintable() or UNREADABLE in text:
        fields = tuple(" ".join(field.split()) for field in fields)  # line endings, tabs, spaces that do not break
        for column, field in zip(COLUMNS, fields, strict=True):
            if UNREADABLE in field or any("\udc80" <= character <= "\udcff" for character in field):
                return RefusedRecord(record, f"{column} has letters that cannot be read; save the file as CSV UTF-8")
            if not field.isprintable():
                return RefusedRecord(record, f"{column} has control characters")
    if max(map(len, fields)) > FIELD_CHARACTERS_MAX:
        column = next(c for c, field in zip(COLUMNS, fields, strict=True) if len(field) > FIELD_CHARACTERS_MAX)
        return RefusedRecord(record, f"{column} is longer than {FIELD_CHARACTERS_MAX} characters")
    subscriber_id, name, email, kind, product, written, starts_text, ends_text = fields
    if not (subscriber_id and name and product and starts_text):
        column = next(c for c in ("subscriber_id", "name", "product", "from") if not fields[COLUMNS.index(c)])
        return RefusedRecord(record, f"{column} is empty")
    if kind not in KINDS:
        return RefusedRecord(record, f"kind must be {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    # Playback tokens carry both: whoever is taken in with longer ones could never sign in.
    if len(subscriber_id) > NAME_LENGTH_MAX:
        return RefusedRecord(record, f"subscriber_id is longer than {NAME_LENGTH_MAX} characters")
    if kind == "television" and len(product) > NAME_LENGTH_MAX:
        return RefusedRecord(record, f"product of television is longer than {NAME_LENGTH_MAX} characters")
    if email and (email.count("@") != 1 or " " in email or email[0] == "@" or email[-1] == "@"):
        return RefusedRecord(record, "email is not an address")
    if bool(written) != (kind == "mobile"):
        return RefusedRecord(record, "msisdn is empty" if kind == "mobile" else f"a {kind} subscription has no msisdn")
    msisdn = e164(written, region) if written else ""
    if msisdn is None:
        return RefusedRecord(record, "msisdn is not a telephone number")
    starts = moment(starts_text, timezone)
    ends = moment(ends_text, timezone) if ends_text else STILL
    if starts is None or ends is None:
        return RefusedRecord(record, f"{'from' if starts is None else 'to'} is not a date (2024-05-31 or 31.05.2024)")
    if ends <= starts:
        return RefusedRecord(record, "to is not after from")
    password_hash = "" if header.password_hash is None else record.fields[header.password_hash].strip()
    try:
        if password_hash:
            parse(password_hash)
    except NoPasswordHash as reason:
        return RefusedRecord(record, f"{PASSWORD_HASH} {reason}")
    return Entry(
        record,
        Subscriber(subscriber_id, name, email.lower()),
        Subscription(subscriber_id, kind, product, msisdn, starts, ends),  # type: ignore[arg-type]
        password_hash,
    )


@lru_cache(maxsize=50_000)
def moment(text: str, timezone: tzinfo) -> float | None:
    """A date's first moment in `timezone`, or an ISO 8601 moment: seconds since 1970 UTC. None when it is neither.

    A date may be written `31.05.2024` and have a time of day after it, as spreadsheets of the Nordic countries do.
    """
    if written := _DAY_FIRST.fullmatch(text):
        day, month, year, clock = written.groups(default="")
        hour, _, rest = (clock or "0:00").partition(":")
        text = f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{rest}"
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone)).timestamp()
    except (ValueError, OverflowError):
        return None


def _padded(fields: Fields, line: str, header: Header) -> Fields:
    """With the empty fields that were left out at the end; not of a line without an end, which a file is cut off in."""
    if header.fields_min <= len(fields) < len(header.names) and line.endswith(("\r", "\n")):
        return fields + [""] * (len(header.names) - len(fields))
    return fields


def _fields(lines: Sequence[str], delimiter: str) -> list[Fields]:
    try:
        return [[strip_mark(text) for text in row] for row in csv.reader(lines, delimiter=delimiter, strict=True)]
    except csv.Error:
        return []
