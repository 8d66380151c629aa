"""Addresses, routes, seals, submissions, the wire's read-back, retries: decisions alone."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from prikkfri.config import Account, Link, Sms
from prikkfri.protocols.smpp.concatenation import ESM_CLASS_HEADER, Part, Reassembly, read_part
from prikkfri.protocols.smpp.pdu import Command, ShortMessage, Status, Tag, decode_body
from prikkfri.protocols.smpp.text import decode_parts, encode_text
from prikkfri.sms import delivery
from prikkfri.sms.delivery import AttemptEnd, Misdirected, Retry, after_refusal, reconnect_pause, wire_body
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Message
from prikkfri.sms.routing import Party, Routes, find_route
from prikkfri.sms.sealing import Binding, Envelope, SealBroken, Sealer
from prikkfri.sms.submission import AcceptedSubmission, Order, Refusal, Rules, decide, sealed_messages, text_message

NOW = 1_700_000_000.0
SEALER = Sealer(os.urandom)
SETTINGS = Sms(
    accounts=(Account(system_id="shop", password="x", short_codes=("2010",)),),
    links=(
        Link(name="nord", partner="N", host="h", port=1, system_id="s", password="p", prefixes=("47", "4690")),
        Link(name="sor", partner="S", host="h", port=1, system_id="s", password="p", prefixes=("46", "4790")),
    ),
)
ROUTES = Routes.of(SETTINGS)
SHOP = Party("account", "shop")
RULES = Rules(SHOP, ROUTES)
NORD = Party("link", "nord")


@pytest.mark.parametrize(
    ("recipient", "party", "matched"),
    [
        ("2010", "account:shop", "2010"),
        ("4712345678", "link:nord", "47"),
        ("4790000001", "link:sor", "4790"),
        ("4690000001", "link:nord", "4690"),
        ("4612345678", "link:sor", "46"),
    ],
)
def test_the_longest_prefix_decides(recipient: str, party: str, matched: str) -> None:
    found = find_route(ROUTES, recipient)
    assert found is not None
    assert (str(found.party), found.matched) == (party, matched)


def chosen(sender: str, recipient: str, part: Part | None) -> int:
    return 7 if part is None else part.reference


def test_no_prefix_is_no_route_and_an_empty_one_takes_all() -> None:
    assert find_route(ROUTES, "4512345678") is None
    assert find_route(ROUTES, "2011") is None
    default = Link(name="rest", partner="R", host="h", port=1, system_id="s", password="p", prefixes=("",))
    found = find_route(Routes.of(Sms(links=(default,))), "4512345678")
    assert found is not None
    assert found.party.name == "rest"


envelopes = st.builds(
    Envelope,
    octets=st.binary(max_size=254),
    data_coding=st.integers(0, 255),
    esm_class=st.integers(0, 255),
    sender_ton=st.integers(0, 6),
    sender_npi=st.integers(0, 18),
    tlvs=st.lists(st.tuples(st.integers(0, 65_535), st.binary(max_size=20)), max_size=3).map(tuple),
)


@given(envelopes, st.binary(min_size=12, max_size=12))
def test_a_seal_opens_only_as_the_message_it_is(envelope: Envelope, nonce: bytes) -> None:
    sealer = Sealer(os.urandom)
    binding = Binding("id-1", "account:shop", "Shop", "4790000001", 1, NOW, "ordinary")
    sealed = sealer.seal(envelope, binding, nonce)
    assert sealer.open(sealed, binding) == envelope
    for other in (
        structs.replace(binding, message_id="id-2"),
        structs.replace(binding, sender="Shoq"),
        structs.replace(binding, recipient="4790000002"),
        structs.replace(binding, expires_at=NOW + 1),
        structs.replace(binding, expires_at=NOW + 3_600),
        structs.replace(binding, account="account:clinic"),
        structs.replace(binding, account="link:shop"),
        structs.replace(binding, part=2),
        structs.replace(binding, message_class="log-in-code"),
        structs.replace(binding, sender="Shop4790000001", recipient=""),
    ):
        with pytest.raises(SealBroken):
            sealer.open(sealed, other)
    with pytest.raises(SealBroken):
        Sealer(os.urandom).open(sealed, binding)


@given(envelopes, st.data())
def test_no_damage_opens(envelope: Envelope, data: st.DataObject) -> None:
    sealer, binding = Sealer(os.urandom), Binding("id-1", "account:shop", "Shop", "4790000001", 1, NOW, "ordinary")
    sealed = bytearray(sealer.seal(envelope, binding, bytes(12)))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        sealer.open(bytes(sealed[: data.draw(st.integers(0, len(sealed)))]), binding)


def accepted(message: ShortMessage, rules: Rules = RULES) -> AcceptedSubmission:
    found = decide(message, rules, reference=chosen, now=NOW)
    assert isinstance(found, AcceptedSubmission), found
    return found


SUBMIT = ShortMessage(source="Shop", destination="4712345678", octets=b"hei", source_ton=5)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"destination": "nobody"}, Status.INVALID_DESTINATION),
        ({"destination": "4512345678"}, Status.INVALID_DESTINATION),
        ({"source": ""}, Status.INVALID_SOURCE),
        ({"validity": "tomorrow"}, Status.INVALID_VALIDITY),
        ({"validity": "000000000000000R"}, Status.INVALID_VALIDITY),
        ({"schedule": "x"}, Status.INVALID_SCHEDULE),
        ({"schedule": "000100000000000R"}, Status.INVALID_VALIDITY),
        ({"esm_class": ESM_CLASS_HEADER, "octets": b"\xffa"}, Status.INVALID_ESM_CLASS),
        ({"octets": b"", "tlvs": ((Tag.MESSAGE_PAYLOAD, b"x" * 40_000),)}, Status.INVALID_MESSAGE_LENGTH),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_status(change: dict[str, object], status: Status) -> None:
    found = decide(structs.replace(SUBMIT, **change), RULES, reference=chosen, now=NOW)
    assert isinstance(found, Refusal)
    assert found.status == status


def test_an_account_may_be_held_to_its_own_names() -> None:
    rules = Rules(SHOP, ROUTES, senders=("Shop",))
    accepted(SUBMIT, rules)
    refusal = decide(
        structs.replace(SUBMIT, source="Bank"),
        rules,
        reference=lambda _s, _r, part: part.reference if part else 7,
        now=NOW,
    )
    assert isinstance(refusal, Refusal)
    assert refusal.status == Status.INVALID_SOURCE


def test_a_message_lives_as_long_as_it_asks_and_no_longer_than_we_allow() -> None:
    assert accepted(structs.replace(SUBMIT, validity="000000010000000R")).expires_at == NOW + 3600
    assert accepted(structs.replace(SUBMIT, validity="000063000000000R")).expires_at == NOW + RULES.validity_seconds_max
    assert accepted(structs.replace(SUBMIT, schedule="000000010000000R")).due_at == NOW + 3600


def test_what_has_a_header_goes_on_as_it_came() -> None:
    message = structs.replace(SUBMIT, octets=b"\x05\x00\x03\x01\x02\x01part", esm_class=0x43, tlvs=((0x1401, b"x"),))
    [envelope] = accepted(message).envelopes
    assert (envelope.octets, envelope.esm_class, envelope.tlvs) == (message.octets, ESM_CLASS_HEADER, ((0x1401, b"x"),))


@given(st.text(min_size=1, max_size=700))
def test_a_text_becomes_parts_that_read_as_the_text(text: str) -> None:
    message = text_message("Shop", "4712345678", text)
    assert isinstance(message, ShortMessage)
    found = accepted(message)
    reassembly, whole = Reassembly(), None
    for envelope in found.envelopes:
        part, octets = read_part(ShortMessage(octets=envelope.octets, esm_class=envelope.esm_class))
        if part is None:
            whole = ((envelope.data_coding, octets),)
        else:
            whole = reassembly.add("a", "b", part, envelope.data_coding, octets, NOW)
    assert whole is not None
    assert decode_parts(whole) == text


def test_gsm_octets_under_data_coding_1_are_told_for_what_they_are() -> None:
    message = structs.replace(SUBMIT, data_coding=1)
    assert accepted(message).envelopes[0].data_coding == 1
    assert accepted(message, Rules(SHOP, ROUTES, ascii_is_gsm=True)).envelopes[0].data_coding == 0


def stored(message: ShortMessage = SUBMIT) -> list[Message]:
    found = accepted(message)
    nonces = [bytes([number] * 12) for number in range(len(found.envelopes))]
    return sealed_messages([("0" * 21, found, nonces)], RULES, sealer=SEALER, order=Order(), now=NOW)


def test_the_wire_says_what_the_seal_held() -> None:
    coding, octets = encode_text("Hei på deg €")
    [message] = stored(structs.replace(SUBMIT, octets=octets, data_coding=int(coding), tlvs=((0x1401, b"x"),)))
    body = decode_body(Command.SUBMIT_SM, wire_body(message, SEALER, NORD, now=NOW).body)
    assert isinstance(body, ShortMessage)
    assert (body.source, body.destination, body.octets) == ("Shop", "4712345678", octets)
    assert (body.registered_delivery, body.validity, body.destination_ton) == (1, "000003000000000R", 1)
    assert body.tlv(0x1401) == b"x"
    assert body.tlv(Tag.USER_MESSAGE_REFERENCE) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"recipient": "4712345679"},
        {"sender": "Bank"},
        {"id": "1" * 21},
        {"origin": "account:clinic"},
        {"part": 2},
        {"message_class": "log-in-code"},
        {"expires_at": NOW + 5},
        {"sealed": None},
        {"sealed": b"short"},
        {"target": "link:sor"},
        {"recipient": "not a number"},
    ],
)
def test_a_message_that_is_not_what_was_sealed_never_becomes_bytes(change: dict[str, object]) -> None:
    [message] = stored()
    with pytest.raises(Misdirected):
        wire_body(structs.replace(message, **change), SEALER, NORD, now=NOW)


def test_two_rows_with_their_bodies_swapped_are_both_held() -> None:
    [first] = stored()
    [second] = stored(structs.replace(SUBMIT, destination="4712345679", octets=b"code 1234"))
    for row, sealed in ((first, second.sealed), (second, first.sealed)):
        with pytest.raises(Misdirected):
            wire_body(structs.replace(row, sealed=sealed), SEALER, NORD, now=NOW)


def test_refusals_for_now_are_tried_again_ever_more_seldom_and_others_end() -> None:
    pauses = [after_refusal(Status.QUEUE_FULL, attempts, NOW, NOW) for attempts in range(1, 12)]
    dues = [found.due_at for found in pauses if isinstance(found, Retry)]
    assert len(dues) == 11
    assert dues == sorted(dues)
    assert after_refusal(Status.INVALID_DESTINATION, 1, NOW, NOW) == AttemptEnd(DeliveryState.REJECTED, "smpp-0b")


def test_reconnecting_grows_slower_to_a_limit() -> None:
    pauses = [reconnect_pause(failures, 0.5) for failures in range(20)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1.0
    assert pauses[-1] == delivery.RECONNECT_SECONDS_MAX


def test_parts_have_ids_of_their_own_under_one_submission() -> None:
    messages = stored(structs.replace(SUBMIT, octets=b"", tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 400),)))
    assert [message.id for message in messages] == ["0" * 21, "0" * 21 + "-2", "0" * 21 + "-3"]
    assert {message.submission for message in messages} == {"0" * 21}
    assert [message.part for message in messages] == [1, 2, 3]
