"""Long messages: cut into parts for sending, put together on arrival.

A part says which it is in a user data header (3GPP TS 23.040, 9.2.3.24: 8 or 16 bit reference) or in the sar_*
parameters of SMPP (5.3.2.22); a whole long message may travel in message_payload (5.3.2.32).
"""

import struct
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from math import inf
from zlib import crc32

import msgspec
from msgspec import structs

from prikkfri.errors import LocalProtocolError, RemoteProtocolError
from prikkfri.protocols.smpp.pdu import SHORT_MESSAGE_OCTETS_MAX, ShortMessage, Tag
from prikkfri.protocols.smpp.text import ESCAPE, DataCoding, alphabet

ESM_CLASS_HEADER = 0x40
"""The bit of esm_class that says a user data header stands first in the message."""
PARTS_MAX = 255
REFERENCES = 256
"""Of 8 bits."""
_USER_DATA_OCTETS = 140  # what one message carries over the air, header included
_CONCATENATION_8, _CONCATENATION_16 = 0x00, 0x08
_CONCATENATIONS = (_CONCATENATION_8, _CONCATENATION_16)
_NOT_YET = -1


TEXTS_MAX = 100_000
TEXT_SECONDS_MAX = 86_400.0
"""A phone that still waits for parts after a day has given them up."""


class Part(msgspec.Struct, frozen=True, gc=False):
    """Which part of which long message; `number` counts from 1."""

    reference: int
    total: int
    number: int
    wide: bool = False
    """A reference of 16 bits: it is another than the one of 8 bits of the same number."""


def split_header(octets: bytes) -> tuple[tuple[tuple[int, bytes], ...], bytes]:
    """The elements of a user data header and what follows it. Raises RemoteProtocolError when it is cut short."""
    if not octets or octets[0] >= len(octets):
        raise RemoteProtocolError("user data header longer than its message")
    end = octets[0] + 1
    elements: list[tuple[int, bytes]] = []
    at = 1
    while at < end:
        if at + 2 > end or at + 2 + octets[at + 1] > end:
            raise RemoteProtocolError("element longer than its user data header")
        start = at + 2
        at = start + octets[start - 1]
        elements.append((octets[start - 2], octets[start:at]))
    return tuple(elements), octets[end:]


def payload(message: ShortMessage) -> bytes:
    """The message's octets, wherever they travel: short_message or message_payload."""
    return message.octets or message.tlv(Tag.MESSAGE_PAYLOAD) or b""


def _is_part(number: int, total: int) -> bool:
    """Whether there is such a part; what says "0 of 0" or "3 of 2" says nothing (TS 23.040, 9.2.3.24.1)."""
    return 1 <= number <= total


def read_part(message: ShortMessage) -> tuple[Part | None, bytes]:
    """Which part a message is (None: whole) and its octets without the header. Raises RemoteProtocolError."""
    octets = payload(message)
    if message.esm_class & ESM_CLASS_HEADER:
        elements, octets = split_header(octets)
        for element, value in elements:
            if element == _CONCATENATION_8 and len(value) == 3 and _is_part(value[2], value[1]):
                return Part(value[0], value[1], value[2]), octets
            if element == _CONCATENATION_16 and len(value) == 4 and _is_part(value[3], value[2]):
                return Part(value[0] << 8 | value[1], value[2], value[3], wide=True), octets
        return None, octets
    if not message.tlvs:
        return None, octets
    reference = message.tlv(Tag.SAR_REFERENCE)
    total = message.tlv(Tag.SAR_TOTAL)
    number = message.tlv(Tag.SAR_SEQUENCE)
    if reference is None or total is None or number is None:
        return None, octets
    if (len(reference), len(total), len(number)) != (2, 1, 1):
        raise RemoteProtocolError("sar parameters of wrong length")
    if not _is_part(number[0], total[0]):
        return None, octets
    return Part(int.from_bytes(reference, "big"), total[0], number[0], wide=True), octets


def without_parameters(message: ShortMessage) -> ShortMessage:
    """The same for a peer that knows no optional parameters: a part says in a header which it is.

    Of what comes whole in message_payload only the caller can make parts; a part so long that no header fits beside it
    stays as it is. Raises RemoteProtocolError as `read_part` does.
    """
    part, _ = read_part(message)
    if part is None or message.esm_class & ESM_CLASS_HEADER:
        return structs.replace(message, tlvs=())
    header = struct.pack(">BBBHBB", 6, _CONCATENATION_16, 4, part.reference, part.total, part.number)
    if len(header) + len(message.octets) > SHORT_MESSAGE_OCTETS_MAX:
        return message
    esm_class = message.esm_class | ESM_CLASS_HEADER
    return structs.replace(message, octets=header + message.octets, esm_class=esm_class, tlvs=())


def _cut_before(octets: bytes, letters: DataCoding | None, start: int, end: int) -> int:
    """The last place at or before `end` where no escape pair and no surrogate pair is broken; none is at `start`."""
    if end >= len(octets):
        return len(octets)
    if letters in (DataCoding.GSM, DataCoding.ASCII):  # many write the GSM alphabet under the number of ASCII
        escapes = end
        while escapes > start and octets[escapes - 1] == ESCAPE:
            escapes -= 1
        return end - (end - escapes) % 2  # of escapes in a row each second one is what the one before it escapes
    if letters is DataCoding.UCS_2 and 0xD8 <= octets[end - 2] <= 0xDB:
        return end - 2
    return end


def fits_one(octets: bytes, data_coding: int) -> bool:
    """Whether the octets go in one message, without a header."""
    return len(octets) <= (160 if alphabet(data_coding) is DataCoding.GSM else _USER_DATA_OCTETS)


def split(octets: bytes, data_coding: int, reference: int, *, wide: bool = False) -> tuple[bytes, ...]:
    """Parts, each with its header before it (set ESM_CLASS_HEADER); `wide` takes a 16-bit reference.

    Call it only when `fits_one` says no. Raises LocalProtocolError beyond PARTS_MAX parts.
    """
    letters = alphabet(data_coding)
    if letters is DataCoding.GSM:
        room = 152 if wide else 153  # septets beside a header of 7 or 6 octets
    else:
        room = _USER_DATA_OCTETS - (7 if wide else 6)
        if letters is DataCoding.UCS_2:
            room -= room % 2
    pieces: list[bytes] = []
    at = 0
    while at < len(octets):
        end = _cut_before(octets, letters, at, at + room)
        pieces.append(octets[at:end])
        at = end
    total = len(pieces)
    if total > PARTS_MAX:
        raise LocalProtocolError(f"{total} parts, more than {PARTS_MAX}")
    if wide:
        start = bytes((6, _CONCATENATION_16, 4, reference >> 8 & 0xFF, reference & 0xFF, total))
    else:
        start = bytes((5, _CONCATENATION_8, 3, reference & 0xFF, total))
    return tuple(start + bytes((number,)) + piece for number, piece in enumerate(pieces, 1))


def cut_anew(message: ShortMessage, reference: int) -> tuple[bytes, bytes]:
    """A part whose reference has 8 bits as two parts of a text of twice as many, under a reference of 16 bits.

    A full part has no room for the longer header, and of those beside it, that may come late or never, nothing needs to
    be known. Whatever else its header says is in both. The second may have no text, where the part has one letter.
    Call it only with one that `read_part` reads, and that has PARTS_MAX // 2 siblings at most.
    """
    part, octets = read_part(message)
    assert part is not None
    elements, _ = split_header(payload(message))
    beside = b"".join(
        bytes((element, len(value))) + value for element, value in elements if element not in _CONCATENATIONS
    )
    end = _cut_before(octets, alphabet(message.data_coding), 0, max((len(octets) + 2) // 4 * 2, 2))
    first = struct.pack(">BBHB", _CONCATENATION_16, 4, reference, 2 * part.total)
    head = bytes((len(first) + 1 + len(beside),)) + first
    number = 2 * part.number
    return head + bytes((number - 1,)) + beside + octets[:end], head + bytes((number,)) + beside + octets[end:]


class References:
    """The references of long messages, counted by the sender and the recipient that a phone is shown.

    A phone knows nothing of accounts: two that write in one name to one phone must not use one reference after the
    other by chance, or it makes one text of two. Each pair has one of `SLOTS` counters, for good: two messages of it
    have the same reference only when 256 others have gone between, of its own or of pairs that share its slot. So no
    pair is ever forgotten, and there are never more counters than that.
    """

    SLOTS = 65_536

    def __init__(self) -> None:
        self._last = array("h", [_NOT_YET]) * self.SLOTS
        self._changed: dict[int, int] = {}

    @classmethod
    def slot(cls, sender: str, recipient: str) -> int:
        return crc32(f"{sender}\0{recipient}".encode()) % cls.SLOTS

    def recover(self, last: Mapping[int, int]) -> None:
        """`last`: what `changed` told, altogether."""
        for slot, reference in last.items():
            self._last[slot] = reference

    def next(self, sender: str, recipient: str, *, first: int) -> int:
        """0 to 255. `first`: where a slot begins, best drawn by lot."""
        slot = self.slot(sender, recipient)
        last = self._last[slot]
        self._last[slot] = self._changed[slot] = reference = (first if last == _NOT_YET else last + 1) % 256
        return reference

    def changed(self) -> dict[int, int]:
        """By slot the last reference of those that have gone on since this was asked before: to be kept."""
        changed, self._changed = self._changed, {}
        return changed


class PartReference(msgspec.Struct, frozen=True, gc=False):
    """By which text a reference is taken."""

    sender: str
    recipient: str
    wide: bool
    """Of the reference that its sender gave it."""
    reference: int
    """Of 16 bits where it is no less than REFERENCES, whatever its sender gave it."""
    origin: str
    """Who handed the text in; empty: we have cut it ourselves."""
    chosen: int
    """The reference that its sender gave it."""
    total: int
    numbers: bytes
    """The parts that have come, an octet each."""
    at: float
    """When the last one came: seconds since 1970 UTC."""


class PartReferences:
    """The references of parts that senders have cut themselves: as they chose them, but where a phone would mix them.

    Two senders that write in one name to one phone know nothing of each other, and each may choose the reference of
    the other's text, of which parts may still be missing. The later one then gets the next that is free, or
    else the one whose text was silent longest. Bounded: of the pairs and messages the oldest are forgotten. What
    `changed` tells is to be kept: a phone that waits for the rest of a text knows nothing of our restarts.
    """

    def __init__(self, *, messages_max: int = TEXTS_MAX, age_seconds_max: float = TEXT_SECONDS_MAX) -> None:
        self._messages_max = messages_max
        self._age_seconds_max = age_seconds_max
        self._texts: OrderedDict[tuple[str, str, str, Part], _Text] = OrderedDict()
        """By origin, sender, recipient and part without its number; the one that went on last is last."""
        self._taken: dict[tuple[str, str, bool], dict[int, tuple[str, str, str, Part]]] = {}
        """By sender, recipient and width: whose each reference is."""
        self._changed: dict[tuple[str, str, str, Part], None] = {}
        self._octet = 0
        self._apart_until = -inf

    def set_apart(self, octet: int, *, until: float) -> None:
        """Texts that begin before `until` bear references of 16 bits whose high octet is this one, 1 to 255.

        For when it is not known which are taken. The whole number differs from any of 8 bits: many a phone goes by the
        number alone, and not by the element that it stands in. A text that came with one of 16 bits bears another one
        so many times 256 further; one that has more parts than can be cut anew bears what it was given.
        """
        self._octet, self._apart_until = octet, until

    def apart(self, now: float) -> int:
        """What is added to a reference of 8 bits of a text that begins now; 0: it stays one."""
        return self._octet << 8 if now < self._apart_until else 0

    def recover(self, kept: Iterable[PartReference]) -> None:
        """`kept`: what `changed` told, of each reference the last; the one that went on last is last."""
        for each in kept:
            key = (each.origin, each.sender, each.recipient, Part(each.chosen, each.total, 0, each.wide))
            self._forget(key)
            self._texts[key] = _Text(each.reference, set(each.numbers), each.at)
            self._taken.setdefault(_pair(key, each.reference), {})[each.reference] = key

    def changed(self) -> list[PartReference]:
        """What each reference is taken by, of those that have gone on since this was asked before."""
        changed, self._changed = self._changed, {}
        found = []
        for key in changed:
            if (text := self._texts.get(key)) is not None:
                origin, sender, recipient, part = key
                taken = (sender, recipient, part.wide, text.reference)
                found.append(PartReference(*taken, origin, part.reference, part.total, bytes(text.numbers), text.at))
        return found

    def of(self, origin: str, sender: str, recipient: str, part: Part, now: float) -> int:
        """The reference that a part bears on its way; `origin`: who handed it in.

        No less than REFERENCES for one that is not wide: it has to be cut anew.
        """
        key = (origin, sender, recipient, structs.replace(part, number=0))
        text = self._texts.get(key)
        if text is None or part.number in text.numbers or now - text.at > self._age_seconds_max:
            self._forget(key)
            text = self._texts[key] = _Text(self._free(key, part, now), set(), now)
            self._taken.setdefault(_pair(key, text.reference), {})[text.reference] = key
        text.numbers.add(part.number)
        text.at = now
        self._texts.move_to_end(key)
        self._changed[key] = None
        if len(self._texts) > self._messages_max:
            self._forget(next(iter(self._texts)))
        return text.reference

    def takes(self, sender: str, recipient: str, reference: int, now: float) -> bool:
        """Whether a reference is free for a text that we cut ourselves; if so it is taken from now on."""
        part = Part(reference, 0, 0, wide=reference >= REFERENCES)
        key = ("", sender, recipient, part)
        if self._free(key, part, now) != reference:
            return False
        self.of("", sender, recipient, part, now)
        return True

    def _free(self, key: tuple[str, str, str, Part], part: Part, now: float) -> int:
        apart = self.apart(now) if key[0] else 0
        size, first, base = REFERENCES, part.reference, 0
        if part.wide:
            size, first = 65_536, part.reference + apart
        elif 2 * part.total <= PARTS_MAX:
            base = apart
        taken = self._taken.get(_pair(key, base), {})
        for further in range(size):
            reference = base + (first + further) % size
            if not self._is_in_use(key, reference, now):
                if (before := taken.get(reference)) is not None:
                    self._forget(before)
                return reference
        oldest = min(range(base, base + size), key=lambda each: self._texts[taken[each]].at)
        self._forget(taken[oldest])
        return oldest

    def _is_in_use(self, key: tuple[str, str, str, Part], reference: int, now: float) -> bool:
        """By a text that it is not meant to go on from: who chooses the same again knows what it does."""
        holder = self._taken.get(_pair(key, reference), {}).get(reference)
        if holder is None or now - self._texts[holder].at > self._age_seconds_max:
            return False
        # What was moved there its own sender knows nothing of, either.
        return not (holder[0] == key[0] and holder[3].reference == key[3].reference == reference)

    def _forget(self, key: tuple[str, str, str, Part]) -> None:
        text = self._texts.pop(key, None)
        if text is None:
            return
        pair = _pair(key, text.reference)
        taken = self._taken.get(pair, {})
        if taken.get(text.reference) == key:
            del taken[text.reference]
            if not taken:
                del self._taken[pair]


def _pair(key: tuple[str, str, str, Part], reference: int) -> tuple[str, str, bool]:
    """Among which references one has to differ that this text bears."""
    return key[1], key[2], key[3].wide or reference >= REFERENCES


class _Text(msgspec.Struct):
    reference: int
    numbers: set[int]
    """The parts that have come."""
    at: float
    """When the last one came."""


def with_reference(message: ShortMessage, reference: int) -> ShortMessage:
    """A part with another reference; call it only with one that `read_part` reads."""
    if not message.esm_class & ESM_CLASS_HEADER:
        tlvs = tuple((tag, reference.to_bytes(2)) if tag == Tag.SAR_REFERENCE else (tag, v) for tag, v in message.tlvs)
        return structs.replace(message, tlvs=tlvs)
    whole = payload(message)
    elements, octets = split_header(whole)
    written = b"".join(
        bytes((element, len(value))) + _renumbered(element, value, reference) for element, value in elements
    )
    octets = bytes((len(written),)) + written + octets
    if message.octets:
        return structs.replace(message, octets=octets)
    tlvs = tuple((tag, octets if tag == Tag.MESSAGE_PAYLOAD else value) for tag, value in message.tlvs)
    return structs.replace(message, tlvs=tlvs)


def _renumbered(element: int, value: bytes, reference: int) -> bytes:
    if element == _CONCATENATION_8 and len(value) == 3:
        return bytes((reference,)) + value[1:]
    if element == _CONCATENATION_16 and len(value) == 4:
        return reference.to_bytes(2) + value[2:]
    return value


class Reassembly:
    """Parts that wait for their siblings, keyed by sender, recipient, reference (and its width) and total.

    Without the sender in the key two senders' references collide, and one person reads another's text. Bounded: beyond
    `messages_max` the message that has waited longest for its next part is given up, and a part that comes more than
    `age_seconds_max` after the last one begins anew.
    """

    def __init__(self, *, messages_max: int = 10_000, age_seconds_max: float = 86_400.0) -> None:
        self._messages_max = messages_max
        self._age_seconds_max = age_seconds_max
        self._waiting: OrderedDict[tuple[str, str, Part], tuple[float, dict[int, tuple[int, bytes]]]]
        self._waiting = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(
        self, sender: str, recipient: str, part: Part, data_coding: int, octets: bytes, now: float
    ) -> tuple[tuple[int, bytes], ...] | None:
        """All parts in order as (data_coding, octets) when this was the last one missing, else None.

        A part that came before is kept as it first came.
        """
        key = (sender, recipient, structs.replace(part, number=0))
        since, parts = self._waiting.pop(key, (now, {}))
        if now - since > self._age_seconds_max:
            parts = {}  # the reference has been reused
        parts.setdefault(part.number, (data_coding, octets))
        if len(parts) == part.total:
            return tuple(parts[number] for number in range(1, part.total + 1))
        self._waiting[key] = (now, parts)
        while len(self._waiting) > self._messages_max:
            self._waiting.popitem(last=False)
        return None
