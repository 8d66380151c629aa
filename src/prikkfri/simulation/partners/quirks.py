"""What real partners do that the book does not say: switches, and the octets that each of them comes to.

Each stands for what public bug reports of other gateways tell. All off is a partner by the book.
"""

import struct
from codecs import BOM_UTF16_LE
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from msgspec import structs

from prikkfri.protocols.smpp.pdu import HEADER, RESPONSE, Command, ShortMessage, Status, Tag, Tlv, encode_body
from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.protocols.smpp.text import DataCoding
from prikkfri.protocols.smpp.times import format_minute

_MARKED = 0x04
"""5.2.12: esm_class of a receipt."""
_GSM_NETWORK = 3
"""5.3.2.31: the kind of network that speaks of an error."""
_NATIONAL = 2
_COUNTRY_DIGITS = 2
_OCTETS_MAX = 254

AnswerForm = Literal["by-the-book", "without-nul", "two-nuls", "cut-parameter", "unreadable", "no-body"]
Where = Literal["both", "parameter", "text", "neither"]
Addresses = Literal["as-sent", "swapped", "national", "national-unmarked", "empty"]
Carrier = Literal["short_message", "message_payload", "data_sm"]


@dataclass(frozen=True)
class IdStyle:
    """How a number is written as an id."""

    base: Literal[10, 16] = 16
    digits: int = 16
    """Zeros before it up to so many."""
    upper: bool = False

    def write(self, number: int) -> str:
        written = f"{number:0{self.digits}d}" if self.base == 10 else f"{number:0{self.digits}x}"
        return written.upper() if self.upper else written


@dataclass(frozen=True, kw_only=True)
class Quirks:
    """Shares are from 0 to 1, and drawn for each message."""

    # answers
    answer_id: IdStyle = IdStyle()
    answer_form: AnswerForm = "by-the-book"
    """The body of answers, of refusals too."""
    refuse: float = 0.0
    """The share of messages that are refused ..."""
    refuse_status: int = Status.SUBMIT_FAILED
    """... by this."""
    throughput_per_second_max: float = 0.0
    """Beyond it THROTTLED; 0: no limit."""
    silent: float = 0.0
    """The share that is delivered and never answered."""
    answer_seconds: float = 0.0
    """How long an answer takes."""
    binds_max: int = 0
    """Further ones are refused; 0: no limit."""
    window: int = 0
    """How much it sends before an answer must come; 0: plenty."""

    # receipts
    parameter_id: IdStyle = IdStyle()
    text_id: IdStyle = IdStyle()
    id_in: Where = "both"
    empty_parameter: bool = False
    """The parameter for the id is there, and nothing in it."""
    state_in: Where = "both"
    words: Mapping[str, str] = field(default_factory=dict)
    """What it writes for a state, by the state's name."""
    state_octet: int = 0
    """What the parameter says instead of the state; 0: the state."""
    error: str = "000"
    network_error: int = 0
    """The code in a parameter of its own; 0: there is none."""
    text: str = ""
    """What stands behind `text:`; empty: nothing."""
    behind_id: str = " "
    addresses: Addresses = "as-sent"
    wide: bool = False
    """The text is of UCS-2 ..."""
    wide_order: Literal["big", "little", "little-marked"] = "big"
    """... with this octet first, with a byte order mark or without."""
    carrier: Carrier = "short_message"
    marked: bool = True
    """Whether esm_class says that it is a receipt."""
    brings_reference: bool = True
    """Whether the user_message_reference comes back."""
    receipt_first: bool = False
    """It comes before the answer that tells its id."""
    stray: float = 0.0
    """The share of messages before whose receipt another comes, of a message that nobody sent."""

    # what it hands in
    loop: float = 0.0
    """The share of messages taken that come back, to the number that they were for ..."""
    loops_max: int = 20
    """... as long as no more than so many have."""
    transit: float = 0.0
    """The share of messages taken beside which one is handed in for a number that is not ours ..."""
    transit_to: str = ""
    """... namely this."""


BY_THE_BOOK = Quirks()


def response_octets(quirks: Quirks, sequence: int, status: int, identity: str) -> bytes:
    """The whole PDU that answers a submission."""
    octets = identity.encode("latin-1")
    body = {
        "by-the-book": octets + b"\0",
        "without-nul": octets,
        "two-nuls": octets + b"\0\0",
        "cut-parameter": octets + b"\0" + struct.pack(">HH", Tag.MESSAGE_PAYLOAD, 16) + b"two",
        "unreadable": b"\x01\x02",
        "no-body": b"",
    }[quirks.answer_form]
    return HEADER.pack(HEADER.size + len(body), Command.SUBMIT_SM | RESPONSE, status, sequence) + body


def receipt_body(quirks: Quirks, number: int, state: MessageState, message: ShortMessage, now: float) -> bytes:
    """The body of the `deliver_sm`, or `data_sm`, that tells what became of a message."""
    octets = _text(quirks, number, state, now)
    told = ShortMessage(
        source=message.destination,
        destination=message.source,
        octets=octets,
        data_coding=DataCoding.UCS_2 if quirks.wide else DataCoding.GSM,
        esm_class=_MARKED if quirks.marked else 0,
        source_ton=message.destination_ton,
        source_npi=message.destination_npi,
        destination_ton=message.source_ton,
        destination_npi=message.source_npi,
        service_type=message.service_type,
        tlvs=_parameters(quirks, number, state, message),
    )
    if quirks.addresses != "as-sent":
        told = structs.replace(told, **_addresses(quirks, message))
    if quirks.carrier == "data_sm":
        return _data_body(told)
    if quirks.carrier == "message_payload" or len(octets) > _OCTETS_MAX:
        told = structs.replace(told, octets=b"", tlvs=((Tag.MESSAGE_PAYLOAD, octets), *told.tlvs))
    return encode_body(told)


def _text(quirks: Quirks, number: int, state: MessageState, now: float) -> bytes:
    """Appendix B, as far as the partner has read it."""
    word = (quirks.words and quirks.words.get(state.name)) or _BOOK_WORDS[state]
    at = format_minute(now)
    text = f"sub:001 dlvrd:{int(state is MessageState.DELIVERED):03} submit date:{at} done date:{at}"
    if quirks.id_in in ("both", "text"):
        text = f"id:{quirks.text_id.write(number)}{quirks.behind_id}{text}"
    if quirks.state_in in ("both", "text"):
        text += f" stat:{word}"
    text += f" err:{quirks.error} text:{quirks.text}"
    if not quirks.wide:
        return text.encode("latin-1")
    if quirks.wide_order == "big":
        return text.encode("utf-16-be")
    return (BOM_UTF16_LE if quirks.wide_order == "little-marked" else b"") + text.encode("utf-16-le")


_BOOK_WORDS = {
    MessageState.ENROUTE: "ENROUTE",
    MessageState.DELIVERED: "DELIVRD",
    MessageState.EXPIRED: "EXPIRED",
    MessageState.DELETED: "DELETED",
    MessageState.UNDELIVERABLE: "UNDELIV",
    MessageState.ACCEPTED: "ACCEPTD",
    MessageState.UNKNOWN: "UNKNOWN",
    MessageState.REJECTED: "REJECTD",
}
"""A partner has them from the book itself, not from us."""


def _parameters(quirks: Quirks, number: int, state: MessageState, message: ShortMessage) -> tuple[Tlv, ...]:
    found: list[Tlv] = []
    if quirks.empty_parameter:
        found.append((Tag.RECEIPTED_MESSAGE_ID, b""))
    elif quirks.id_in in ("both", "parameter"):
        found.append((Tag.RECEIPTED_MESSAGE_ID, quirks.parameter_id.write(number).encode() + b"\0"))
    if quirks.state_in in ("both", "parameter"):
        found.append((Tag.MESSAGE_STATE, bytes((quirks.state_octet or state,))))
    if quirks.network_error:
        found.append((Tag.NETWORK_ERROR_CODE, bytes((_GSM_NETWORK,)) + quirks.network_error.to_bytes(2)))
    reference = message.tlv(Tag.USER_MESSAGE_REFERENCE)
    if reference and quirks.brings_reference:
        found.append((Tag.USER_MESSAGE_REFERENCE, reference))
    return tuple(found)


def _addresses(quirks: Quirks, message: ShortMessage) -> dict[str, str | int]:
    match quirks.addresses:
        case "swapped":
            return {
                "source": message.source,
                "source_ton": message.source_ton,
                "destination": message.destination,
                "destination_ton": message.destination_ton,
            }
        case "national":
            return {"source": message.destination[_COUNTRY_DIGITS:], "source_ton": _NATIONAL}
        case "national-unmarked":
            return {"source": message.destination[_COUNTRY_DIGITS:], "source_ton": 0}
        case "empty":
            return {"source": "", "source_ton": 0, "destination": "", "destination_ton": 0}
        case _:
            return {}


def _data_body(told: ShortMessage) -> bytes:
    """4.7.1: as `deliver_sm` with less before its parameters, and no text but in one of them."""
    body = b"%b\0%c%c%b\0%c%c%b\0%c%c%c" % (
        told.service_type.encode("latin-1"),
        told.source_ton,
        told.source_npi,
        told.source.encode("latin-1"),
        told.destination_ton,
        told.destination_npi,
        told.destination.encode("latin-1"),
        told.esm_class,
        told.registered_delivery,
        told.data_coding,
    )
    tlvs = ((Tag.MESSAGE_PAYLOAD, told.octets), *told.tlvs)
    return body + b"".join(struct.pack(">HH", tag, len(value)) + value for tag, value in tlvs)
