"""XMLTV, the common file format of programme guides (its `xmltv.dtd`, 2006): bytes to values.

Entities are refused altogether, so no document can blow itself up or reach for another file; the five that XML has
built in are enough.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from xml.parsers import expat

from prikkfri.errors import RemoteProtocolError

_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:\s*([+-])(\d\d):?(\d\d)|\s*(?:UTC|GMT|Z))?", re.ASCII)


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
    """None when the guide does not say."""
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Guide:
    channel_names: dict[str, str]
    listings: tuple[Listing, ...]
    left_out: int
    """Programmes that had no title, no channel or a time that cannot be."""


def read_xmltv(document: bytes, limits: Limits = LIMITS) -> Guide:
    """Of several titles and descriptions (languages) the first is taken.

    Raises `RemoteProtocolError` for what is not XMLTV or beyond the limits.
    """
    if len(document) > limits.document_bytes_max:
        raise RemoteProtocolError(f"a guide of {len(document)} bytes; at most {limits.document_bytes_max}")
    reader = _Reader(limits)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = _refuse_entity
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise RemoteProtocolError(f"not XML: {error}") from None
    return Guide(reader.channel_names, tuple(reader.listings), reader.left_out)


def read_time(text: str) -> float | None:
    """`20180820210000 +0200`; seconds may be missing, and no zone means UTC. None when it is no time."""
    match = _TIME.fullmatch(text.strip())
    if not match:
        return None
    *numbers, sign, hours, minutes = match.groups()
    zone = UTC
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        if offset >= timedelta(hours=24):
            return None
        zone = timezone(offset if sign == "+" else -offset)
    try:
        time = datetime(*(int(number or 0) for number in numbers), tzinfo=zone).timestamp()  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError):
        return None
    return time if time >= 0 else None


def _refuse_entity(*_: object) -> None:
    raise RemoteProtocolError("the guide declares entities; they are refused")


@dataclass
class _Reader:
    """Follows the elements; what it does not know it passes over."""

    limits: Limits
    channel_names: dict[str, str] = field(default_factory=dict)
    listings: list[Listing] = field(default_factory=list)
    left_out: int = 0
    _path: list[str] = field(default_factory=list)
    _attributes: dict[str, str] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)
    _collected: str | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name != "tv":
            raise RemoteProtocolError(f"not XMLTV: the root is <{name[:40]}>")
        self._path.append(name)
        if len(self._path) > self.limits.depth_max:
            raise RemoteProtocolError(f"elements nested deeper than {self.limits.depth_max}")
        if len(self._path) == 2:
            self._attributes, self._texts = attributes, {}
        if len(self._path) == 3:
            self._collected = "" if name not in self._texts else None

    def text(self, text: str) -> None:
        if self._collected is not None and len(self._collected) < self.limits.text_length_max:
            self._collected += text

    def end(self, name: str) -> None:
        if len(self._path) == 3 and self._collected is not None:
            self._texts[name] = " ".join(self._collected[: self.limits.text_length_max].split())
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
        if start is None or not channel or not title or (stop is not None and stop <= start):
            self.left_out += 1
            return
        if len(self.listings) >= self.limits.programmes_max:
            raise RemoteProtocolError(f"more than {self.limits.programmes_max} programmes")
        self.listings.append(Listing(channel, start, stop, title, self._texts.get("desc", "")))
