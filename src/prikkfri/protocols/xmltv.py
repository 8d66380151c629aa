"""XMLTV, the common file format of programme guides (its `xmltv.dtd`): bytes to values, as guides are written.

A declared entity is refused, so no document can blow itself up or reach for another file; the five that XML has built
in and those of HTML, which many guides use without declaring them, are what they stand for.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from html.entities import html5
from xml.parsers import expat

from prikkfri.errors import RemoteProtocolError

_TIME = re.compile(
    r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\s*([+-])(\d\d)(?::?(\d\d))?|\s*([A-Za-z]+))?", re.ASCII
)
_FIRST = (1970, 1, 1, 0, 0, 0)
"""What stands for the part of a time that is left out: only the year never is."""
_ZONE_HOURS = {
    "UTC": 0, "UT": 0, "GMT": 0, "Z": 0,
    "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "MET": 1, "MEZ": 1, "CEST": 2, "MEST": 2, "MESZ": 2,
    "EET": 2, "EEST": 3, "MSK": 3, "TRT": 3,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
    "AKST": -9, "AKDT": -8, "HST": -10, "BRT": -3, "JST": 9, "KST": 9, "AWST": 8, "ACST": 9.5, "AEST": 10,
    "ACDT": 10.5, "AEDT": 11, "NZST": 12, "NZDT": 13,
}  # fmt: skip
"""Names of zones: BST as the DTD has it, the American ones as RFC 5322 4.3. A name that means several (IST) is none."""
_ENCODING = re.compile(r"(?i)utf-?8|utf-16(?:le|be)?|(?:us-)?ascii|iso[-_]8859-\d+|(?:windows-|cp)125\d|koi8-[ru]")
_STANDALONE = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<\?xml[^>]{,200}?standalone\s*=\s*[\"']yes")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


@dataclass(frozen=True, kw_only=True)
class Limits:
    document_bytes_max: int = 64 << 20
    programmes_max: int = 500_000
    channels_max: int = 10_000
    depth_max: int = 16
    text_length_max: int = 4_000
    """Of a text that is longer the beginning is kept; whatever else is beyond its limit is refused."""


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Listing:
    channel: str
    """The guide's own id of the channel."""
    start: float
    """Seconds since 1970 UTC."""
    stop: float | None
    """None when the guide does not say, or says that it is the start."""
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Omission:
    """Programmes that tell too little to be shown."""

    why: str
    """After a number of programmes: `without a title`."""
    count: int
    first_line: int


@dataclass(frozen=True, slots=True)
class Guide:
    channel_names: dict[str, str]
    listings: tuple[Listing, ...]
    left_out: tuple[Omission, ...]


def read_xmltv(document: bytes, limits: Limits = LIMITS) -> Guide:
    """Of several titles and descriptions (languages) the first that says anything is taken.

    Raises `RemoteProtocolError` for what is not XMLTV or beyond the limits.
    """
    if len(document) > limits.document_bytes_max:
        raise RemoteProtocolError(f"a guide of {len(document)} bytes; at most {limits.document_bytes_max}")
    parser = expat.ParserCreate()
    reader = _Reader(limits, line=lambda: parser.CurrentLineNumber)
    parser.buffer_text = True
    parser.XmlDeclHandler = _refuse_encoding
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = _refuse_entity
    # As if there were a DTD elsewhere, which is never fetched: what is not declared is passed over, and told.
    parser.SkippedEntityHandler = reader.entity
    parser.UseForeignDTD(True)
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        if declared := _STANDALONE.match(document):
            parser.Parse(declared.group()[: -len("yes")] + b"no", False)
            parser.Parse(memoryview(document)[declared.end() :], True)
        else:
            parser.Parse(document, True)
    except (expat.ExpatError, LookupError) as error:
        raise RemoteProtocolError(f"not XML: {error}") from None
    left_out = tuple(Omission(why, count, line) for why, (count, line) in reader.left_out.items())
    return Guide(reader.channel_names, tuple(reader.listings), left_out)


def read_time(text: str) -> float | None:
    """`20180820210000 +0200`, or the beginning of one (`201808`: its first moment); no zone means UTC.

    A zone is `+0200`, `+02:00`, `+02` or a name (`CEST`). None when it is no time.
    """
    match = _TIME.fullmatch(text.strip())
    if not match:
        return None
    *numbers, sign, hours, minutes, name = match.groups()
    offset = timedelta()
    if name:
        named = _ZONE_HOURS.get(name.upper())
        if named is None:
            return None
        offset = timedelta(hours=named)
    elif sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if offset >= timedelta(hours=24):
            return None
        offset = offset if sign == "+" else -offset
    parts = (first if number is None else int(number) for number, first in zip(numbers, _FIRST, strict=True))
    try:
        time = datetime(*parts, tzinfo=timezone(offset) if offset else UTC).timestamp()  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError):
        return None
    return time if time >= 0 else None


def _refuse_encoding(_: str, encoding: str | None, __: int) -> None:
    if encoding is not None and not _ENCODING.fullmatch(encoding):
        raise RemoteProtocolError(f"the encoding {encoding[:40]!r} is not read; write the guide in UTF-8")


def _refuse_entity(*_: object) -> None:
    raise RemoteProtocolError("the guide declares entities; they are refused")


@dataclass
class _Reader:
    """Follows the elements; what it does not know it passes over."""

    limits: Limits
    line: Callable[[], int]
    channel_names: dict[str, str] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)
    """How many, and the line of the first, by why."""
    _path: list[str] = field(default_factory=list)
    _attributes: dict[str, str] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _line: int = 0
    _collected: str | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name != "tv":
            raise RemoteProtocolError(f"not XMLTV: the root is <{name[:40]}>")
        self._path.append(name)
        if len(self._path) > self.limits.depth_max:
            raise RemoteProtocolError(f"elements nested deeper than {self.limits.depth_max}")
        if len(self._path) == 2:
            self._attributes, self._texts, self._line = attributes, {}, self.line()
        if len(self._path) == 3:
            self._collected = None if self._texts.get(name) else ""

    def text(self, text: str) -> None:
        if self._collected is not None and len(self._collected) < self.limits.text_length_max:
            self._collected += text

    def entity(self, name: str, _: int) -> None:
        self.text(f"&{name};")

    def end(self, name: str) -> None:
        if len(self._path) == 3 and self._collected is not None:
            collected = _ENTITY.sub(_character, self._collected[: self.limits.text_length_max])
            self._texts[name] = " ".join(collected.split())
            self._collected = None
        self._path.pop()
        if len(self._path) == 1 and (finish := self._finish().get(name)):
            finish()

    def _finish(self) -> dict[str, Callable[[], None]]:
        return {"channel": self._finish_channel, "programme": self._finish_programme}

    def _finish_channel(self) -> None:
        if len(self.channel_names) >= self.limits.channels_max:
            raise RemoteProtocolError(f"more than {self.limits.channels_max} channels")
        if channel := self._attributes.get("id"):
            self.channel_names[channel] = self._texts.get("display-name", channel)

    def _finish_programme(self) -> None:
        start, stop = read_time(self._attributes.get("start", "")), read_time(self._attributes.get("stop", ""))
        channel, title = self._attributes.get("channel"), self._texts.get("title")
        if not channel:
            self._leave_out("without a channel")
        elif not title:
            self._leave_out("without a title")
        elif start is None:
            self._leave_out("whose start is no time")
        elif stop is not None and stop < start:
            self._leave_out("that stop before they start")
        elif len(self.listings) >= self.limits.programmes_max:
            raise RemoteProtocolError(f"more than {self.limits.programmes_max} programmes")
        else:
            stop = None if stop == start else stop
            self.listings.append(Listing(channel, start, stop, title, self._texts.get("desc", "")))

    def _leave_out(self, why: str) -> None:
        count, first_line = self.left_out.get(why, (0, self._line))
        self.left_out[why] = (count + 1, first_line)


def _character(entity: re.Match[str]) -> str:
    """What an entity stands for, or itself when it is none; nothing for a character that cannot be shown."""
    written = entity.group()
    meant = html.unescape(written) if written[1] == "#" else html5.get(written[1:], written)
    return meant if meant.isprintable() or meant.isspace() else ""
