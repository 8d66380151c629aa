"""What is written to the wire, and what is done about each answer."""

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from prikkfri.config import Account, Link
from prikkfri.protocols.smpp.pdu import HEADER, Command, ShortMessage, Status, Tag, decode_body, encode_body
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, parse_receipt
from prikkfri.protocols.smpp.times import parse_time
from prikkfri.sms import delivery
from prikkfri.sms.delivery import (
    REFUSALS,
    AttemptEnd,
    Misdirected,
    OutgoingPdu,
    RefusalKind,
    Retry,
    TooLate,
    after_refusal,
    is_sent_again,
    is_too_late,
    receipt_body,
    reconnect_pause,
    refusals_of,
    wire_body,
)
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import DueReceipt, Message, reference_of
from prikkfri.sms.reading_back import difference
from prikkfri.sms.routing import Party
from prikkfri.sms.sealing import Envelope, Sealer

NOW = 1_700_000_000.0
SEALER = Sealer(os.urandom)
NORD, SHOP = Party("link", "nord"), Party("account", "shop")
ENVELOPE = Envelope(
    octets=b"\x05\x00\x03\x07\x02\x01part",
    data_coding=8,
    esm_class=0xC0,
    sender_ton=5,
    sender_npi=9,
    protocol_id=17,
    priority=2,
    service_type="CMT",
    tlvs=((0x1401, b"x"), (0x1402, b"")),
)


def stored(envelope: Envelope = ENVELOPE, **changes: object) -> Message:
    """A message whose seal is what its row says."""
    row = Message("0018bcfe568000102030405", "s", 1, 1, "account:shop", "link:nord", "ordinary", "Shop", "4790000001",
                  None, 1, NOW - 60, NOW, NOW + 3_600, 1)  # fmt: skip
    row = structs.replace(row, **changes)
    return structs.replace(row, sealed=SEALER.seal(envelope, row.binding, bytes(12)))


class Differs(Exception):
    """What would be written is not what it is to say."""


def read_back(outgoing: OutgoingPdu, sequence: int = 7) -> bytes:
    """The body, looked at as it is before it is written."""
    head = HEADER.pack(HEADER.size + len(outgoing.body), outgoing.wanted.command, Status.OK, sequence)
    if field := difference(head + outgoing.body, sequence, outgoing.wanted):
        raise Differs(field)
    return outgoing.body


def on_the_wire(message: Message, party: Party = NORD, *, now: float = NOW, **known: Any) -> ShortMessage:
    octets = read_back(wire_body(message, SEALER, party, now=now, **known))
    body = decode_body(Command.SUBMIT_SM, octets)
    assert isinstance(body, ShortMessage)
    return body


def test_all_that_the_sender_said_of_a_message_goes_out_and_what_is_between_us_and_the_next() -> None:
    reference = (Tag.USER_MESSAGE_REFERENCE, reference_of(stored().id).to_bytes(2, "big"))
    expected = ShortMessage(
        source="Shop",
        destination="4790000001",
        octets=ENVELOPE.octets,
        data_coding=8,
        esm_class=0xC0,
        registered_delivery=1,
        source_ton=5,
        source_npi=9,
        destination_ton=1,
        destination_npi=1,
        service_type="CMT",
        protocol_id=17,
        priority=2,
        validity="000000010000000R",
        tlvs=(*ENVELOPE.tlvs, reference),
    )
    assert on_the_wire(stored()) == expected
    to_account = on_the_wire(stored(target="account:shop"), SHOP)
    assert to_account == structs.replace(expected, registered_delivery=0, validity="")


def test_a_network_is_given_the_time_that_a_message_has_left() -> None:
    assert on_the_wire(stored(), now=NOW + 3_000).validity == "000000001000000R"
    assert on_the_wire(stored(), now=NOW + 3_599).validity == "000000000001000R"
    assert on_the_wire(stored(accepted_at=NOW - 9_999), now=NOW).validity == "000000010000000R"


def test_a_network_that_wants_it_so_is_told_until_when() -> None:
    assert on_the_wire(stored(expires_at=NOW + 600.9), absolute=True).validity == "231114222320000+"
    assert on_the_wire(stored(target="account:shop"), SHOP, absolute=True).validity == ""


@given(st.floats(0.0, 400 * 86_400.0), st.booleans())
def test_what_leaves_is_never_valid_for_longer_than_is_left_nor_for_no_time(left: float, absolute: bool) -> None:
    message = stored(expires_at=NOW + left)
    left = message.expires_at - NOW
    if left < 1.0:
        with pytest.raises(TooLate):
            wire_body(message, SEALER, NORD, now=NOW, absolute=absolute)
        return
    until = parse_time(on_the_wire(message, absolute=absolute).validity, NOW)
    assert until is not None and NOW < until <= message.expires_at


def test_what_has_less_than_a_second_left_never_becomes_bytes() -> None:
    assert not is_too_late(stored(), NOW + 3_599)
    assert is_too_late(stored(), NOW + 3_599.001) and is_too_late(stored(), NOW + 9_999)
    for party in (NORD, SHOP):
        with pytest.raises(TooLate):
            on_the_wire(stored(target=str(party)), party, now=NOW + 3_599.5)


def test_the_same_message_bears_the_same_reference_at_every_attempt() -> None:
    first, again = stored(attempts=1), stored(attempts=2)
    assert on_the_wire(first).tlv(Tag.USER_MESSAGE_REFERENCE) == on_the_wire(again).tlv(Tag.USER_MESSAGE_REFERENCE)
    other = stored(id="0018bcfe568000102030406")
    assert on_the_wire(first).tlv(Tag.USER_MESSAGE_REFERENCE) != on_the_wire(other).tlv(Tag.USER_MESSAGE_REFERENCE)


@pytest.mark.parametrize(
    "change",
    [
        {"destination": "4790000002"},
        {"source": "Bank"},
        {"octets": b"your code is 483 201"},
        {"esm_class": 0},
        {"data_coding": 0},
        {"validity": ""},
        {"tlvs": ()},
    ],
)
def test_an_encoder_that_writes_something_else_is_caught(change: dict[str, object]) -> None:
    def wrong(body: ShortMessage) -> bytes:
        return encode_body(structs.replace(body, **change))

    with pytest.raises(Differs):
        on_the_wire(stored(), encode=wrong)


def test_what_cannot_be_encoded_is_held_and_so_is_a_number_in_another_form() -> None:
    with pytest.raises(Misdirected, match="cannot be encoded"):
        on_the_wire(stored(structs.replace(ENVELOPE, octets=b"x" * 255)))
    with pytest.raises(Differs, match="recipient"):
        on_the_wire(stored(recipient="+4790000001"))
    with pytest.raises(Misdirected, match="no recipient"):
        on_the_wire(stored(recipient="nobody"))
    with pytest.raises(Misdirected, match="nothing sealed"):
        on_the_wire(structs.replace(stored(), sealed=None))
    with pytest.raises(Misdirected, match="does not open for this recipient"):
        on_the_wire(structs.replace(stored(), recipient="4790000002"))
    with pytest.raises(Misdirected, match="no key for it"):
        on_the_wire(structs.replace(stored(), message_class="never-seen"))


@pytest.mark.parametrize("party", [Party("link", "syd"), Party("account", "nord"), Party("held", "nord")])
def test_what_is_claimed_for_another_is_held(party: Party) -> None:
    with pytest.raises(Misdirected, match="for another party"):
        on_the_wire(stored(), party)


FOR_NOW = {
    Status.SYSTEM_ERROR,
    Status.QUEUE_FULL,
    Status.TEMPORARY_APPLICATION_ERROR,
    Status.INVALID_BIND_STATUS,
}


def test_each_status_says_whether_to_come_again() -> None:
    for status in {*map(int, Status), 0x33, 0x45, 0x400, 0xFF} - {Status.OK}:
        found = after_refusal(status, 1, NOW - 9, NOW)
        reason = f"smpp-{status:02x}"
        wanted: AttemptEnd | Retry = (
            Retry(NOW + 1.0, reason) if status in FOR_NOW else AttemptEnd(DeliveryState.REJECTED, reason)
        )
        if status == Status.THROTTLED:
            wanted = Retry(NOW - 9, reason, is_attempt=False)
        assert found == wanted
    assert after_refusal(Status.THROTTLED, 8, NOW - 9, NOW) == Retry(NOW - 9, "smpp-58", is_attempt=False)
    assert after_refusal(Status.INVALID_DESTINATION, 1, NOW, NOW) == AttemptEnd(DeliveryState.REJECTED, "smpp-0b")
    assert after_refusal(0x8, 1, NOW, NOW) == Retry(NOW + 1.0, "smpp-08")


def test_pauses_between_attempts_grow_to_half_an_hour() -> None:
    pauses = []
    for attempts in range(1, 11):
        found = after_refusal(Status.QUEUE_FULL, attempts, NOW, NOW)
        assert isinstance(found, Retry)
        pauses.append(found.due_at - NOW)
    assert pauses == [1, 5, 15, 60, 300, 900, 1_800, 1_800, 1_800, 1_800]


def test_what_is_in_doubt_is_sent_again_once_unless_twice_would_be_worse() -> None:
    shop = Account(system_id="shop", password="p")
    clinic = replace(shop, in_doubt="report")
    assert [is_sent_again(doubts, "ordinary", shop) for doubts in (1, 2, 3)] == [True, False, False]
    assert [is_sent_again(doubts, "ordinary", None) for doubts in (1, 2)] == [True, False]
    assert not is_sent_again(1, "ordinary", clinic)
    for message_class in ("code", "log-in-code", "sensitive", "health", "otp", "canary"):
        assert not is_sent_again(1, message_class, shop)
    assert is_sent_again(1, "marketing", shop)


def test_a_link_may_mean_something_else_by_a_status_and_means_the_rest_by_the_book() -> None:
    link = Link(name="nord", partner="Fjordmobil", host="h", port=1, system_id="s", password="p", prefixes=("47",))
    assert refusals_of(link) == REFUSALS
    own = replace(link, refused_for_good=(0x08, 0x14), refused_for_now=(0x45,), refused_when_too_fast=(0x400,))
    assert refusals_of(own) == {
        **REFUSALS, 0x08: RefusalKind.FOR_GOOD, 0x14: RefusalKind.FOR_GOOD, 0x45: RefusalKind.FOR_NOW,
        0x400: RefusalKind.THROTTLED
    }  # fmt: skip
    assert after_refusal(0x45, 2, NOW, NOW, refusals_of(own)) == Retry(NOW + 5.0, "smpp-45")


def test_links_come_back_ever_later_to_half_a_minute_and_not_in_step() -> None:
    assert [reconnect_pause(failures, 0.5) for failures in range(4)] == [0.25, 0.5, 1.0, 2.0]
    assert reconnect_pause(10**6, 0.5) == delivery.RECONNECT_SECONDS_MAX == 30.0
    assert (reconnect_pause(2, 0.0), reconnect_pause(2, 1.0)) == (0.75, 1.25)
    assert [reconnect_pause(n, 0.5, first_seconds=0.01) for n in (1, 10, 11)] == [0.02, 10.24, 10.24]


@pytest.mark.parametrize(
    ("sender", "recipient", "types"),
    [
        ("4790000001", "2010", ((3, 0), (1, 1))),
        ("Shop", "4790000001", ((1, 1), (5, 0))),
        ("æøå", "*100#", ((0, 0), (0, 0))),  # what is no address any more is still told about
    ],
)
def test_a_receipt_comes_from_whom_the_message_went_to(
    sender: str, recipient: str, types: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    due = DueReceipt("id-1", sender, recipient, int(MessageState.EXPIRED), NOW - 3_600, NOW)
    told = decode_body(Command.DELIVER_SM, read_back(receipt_body(due)))
    assert isinstance(told, ShortMessage)
    assert (told.source, told.destination) == (recipient, sender)
    assert ((told.source_ton, told.source_npi), (told.destination_ton, told.destination_npi)) == types
    assert parse_receipt(told) == Receipt("id-1", MessageState.EXPIRED)
    assert b"submit date:2311142113 done date:2311142213" in told.octets


def test_a_receipt_gives_an_account_its_reference_back_and_says_it_all_in_its_text_to_one_without_parameters() -> None:
    due = DueReceipt("id-1", "Shop", "4790000001", int(MessageState.DELIVERED), NOW - 60, NOW, user_reference=0x0102)
    told, plain = (
        decode_body(Command.DELIVER_SM, read_back(receipt_body(due, parameters=knows))) for knows in (True, False)
    )
    assert isinstance(told, ShortMessage) and isinstance(plain, ShortMessage)
    assert told.tlv(Tag.USER_MESSAGE_REFERENCE) == b"\x01\x02" and told.tlv(Tag.RECEIPTED_MESSAGE_ID) == b"id-1\0"
    assert plain == structs.replace(told, tlvs=())
    assert parse_receipt(plain) == parse_receipt(told) == Receipt("id-1", MessageState.DELIVERED)
    unmarked = decode_body(Command.DELIVER_SM, read_back(receipt_body(structs.replace(due, user_reference=None))))
    assert isinstance(unmarked, ShortMessage) and unmarked.tlv(Tag.USER_MESSAGE_REFERENCE) is None
