"""What is handed in: taken on or refused, with what status, for how long, in how many pieces, and how fast."""

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from prikkfri.protocols.smpp.concatenation import Part
from prikkfri.protocols.smpp.pdu import ShortMessage, Status, Tag
from prikkfri.sms.addresses import Numbering
from prikkfri.sms.messages import Message
from prikkfri.sms.routing import Party, Routes
from prikkfri.sms.sealing import Binding, Envelope, Sealer
from prikkfri.sms.submission import (
    AcceptedSubmission,
    Order,
    Refusal,
    Rules,
    TokenBucket,
    decide,
    sealed_messages,
    text_message,
)

NOW = 1_700_000_000.0
SHOP, NORD, SOR = Party("account", "shop"), Party("link", "nord"), Party("link", "sor")
HELD = Party("held", "sor")
ROUTES = Routes({"2010": SHOP}, {"47": (NORD.name,), "46": (SOR.name,)}, 2, {SOR.name})
RULES = Rules(SHOP, ROUTES)
NORWEGIAN = structs.replace(RULES, numbering=Numbering("NO"))
HOUR = 3_600.0
SUBMIT = ShortMessage(source="Shop", destination="4790000001", octets=b"hei")


def decided(rules: Rules = RULES, reference: int = 7, **fields: object) -> AcceptedSubmission | Refusal:
    return decide(
        structs.replace(SUBMIT, **fields),
        rules,
        reference=lambda _s, _r, part: reference if part is None else part.reference,
        now=NOW,
    )


def accepted(rules: Rules = RULES, reference: int = 7, **fields: object) -> AcceptedSubmission:
    found = decided(rules, reference, **fields)
    assert isinstance(found, AcceptedSubmission), found
    return found


def envelope(rules: Rules = RULES, **fields: object) -> Envelope:
    [found] = accepted(rules, **fields).envelopes
    return found


# how fast


@given(
    st.floats(0.5, 200),
    st.lists(st.one_of(st.just(0.0), st.floats(0, 0.5), st.floats(0, 1_000)), min_size=1, max_size=120),
)
@settings(max_examples=60, deadline=None)
def test_in_no_stretch_of_time_does_a_bucket_give_more_than_its_rate_and_a_second(
    rate: float, gaps: list[float]
) -> None:
    """However long a party was silent before: it has saved up one second's worth, and no more."""
    bucket, now, taken = TokenBucket(rate, NOW), NOW, []
    for gap in gaps:
        now += gap
        for _ in range(3):
            if left := bucket.take(rate, now):
                bucket = left
                taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= max(rate, 1.0) + rate * (taken[last] - taken[first]) + 1e-3


@pytest.mark.parametrize(("rate", "worth"), [(0.25, 1), (1.0, 1), (1.5, 1), (2.0, 2), (50.0, 50)])
def test_a_bucket_left_alone_is_full_after_a_while_and_holds_a_seconds_worth(rate: float, worth: int) -> None:
    def burst(bucket: TokenBucket, now: float) -> tuple[int, TokenBucket]:
        count = 0
        while left := bucket.take(rate, now):
            bucket, count = left, count + 1
        return count, bucket

    for silence in (4.0, 60.0, 1e9):
        count, empty = burst(TokenBucket(0.0, NOW), NOW + silence)
        assert count == worth
        assert burst(empty, NOW + silence)[0] == 0
        assert burst(empty, NOW + silence - 50.0)[0] == 0  # a clock that was set back gives nothing
        assert burst(empty, NOW + silence + 100.0)[0] == worth
    assert TokenBucket(1.0, NOW).take(rate, NOW - 50.0) == TokenBucket(0.0, NOW - 50.0)  # and takes nothing away
    # A bucket that begins with more than it may hold, after the rate was lowered, has a second's worth too.
    assert burst(TokenBucket(1e6, NOW), NOW)[0] == worth


def test_a_token_comes_when_it_was_said_to_come() -> None:
    empty = TokenBucket(0.0, NOW)
    assert empty.seconds_until_token(2.0, NOW) == 0.5
    assert empty.seconds_until_token(2.0, NOW + 0.25) == 0.25
    assert empty.seconds_until_token(2.0, NOW + 9.0) == 0.0
    assert TokenBucket(0.75, NOW).seconds_until_token(0.5, NOW) == 0.5
    assert TokenBucket(5.0, NOW).seconds_until_token(2.0, NOW) == 0.0
    assert empty.take(2.0, NOW + 0.25) is None
    assert empty.take(2.0, NOW + 0.5) == TokenBucket(0.0, NOW + 0.5)
    assert empty.seconds_until_token(0.0, NOW) == 3_600.0  # never, told as a long time
    assert empty.take(0.0, NOW + 1e6) is None


# taken on or refused


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"destination": "nobody"}, 0x0B, "bad-recipient"),
        ({"destination": ""}, 0x0B, "bad-recipient"),
        ({"source": ""}, 0x0A, "bad-sender"),
        ({"source": "twelve letter"}, 0x0A, "bad-sender"),
        ({"destination": "4512345678"}, 0x0B, "no-route"),
        ({"destination": "2011"}, 0x0B, "no-route"),
        ({"schedule": "x"}, 0x61, "bad-schedule"),
        ({"validity": "tomorrow"}, 0x62, "bad-validity"),
        ({"validity": "000000000000000R"}, 0x62, "expires-before-due"),
        ({"validity": "201114221320000+"}, 0x62, "expires-before-due"),
        ({"schedule": "000000010000000R", "validity": "000000010000000R"}, 0x62, "expires-before-due"),
        ({"schedule": "000003000000000R"}, 0x62, "expires-before-due"),
        ({"esm_class": 0x40, "octets": b"\xffa"}, 0x43, "bad-header"),
        ({"esm_class": 0x40, "octets": b""}, 0x43, "bad-header"),
        ({"tlvs": ((0x20C, b"\1"), (0x20E, b"\2"), (0x20F, b"\1"))}, 0x43, "bad-header"),
        ({"octets": b"", "tlvs": ((0x424, b"x" * (153 * 255 + 1)),)}, 0x01, "too-long"),
        ({"esm_class": 0x40, "octets": b"", "tlvs": ((0x424, b"\x00" + b"x" * 254),)}, 0x01, "too-long"),
        # What is wrong with the recipient is told before what is wrong with the sender, and that before the text.
        ({"destination": "", "source": "", "schedule": "x"}, 0x0B, "bad-recipient"),
        ({"destination": "2011", "source": ""}, 0x0A, "bad-sender"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_status_and_a_reason(
    fields: dict[str, object], status: int, reason: str
) -> None:
    assert decided(**fields) == Refusal(Status(status), reason)


def test_a_full_queue_refuses_those_for_it_and_no_others() -> None:
    full = structs.replace(RULES, full=frozenset({NORD}))
    assert decided(full) == Refusal(Status.QUEUE_FULL, "queue-full")
    assert accepted(full, destination="2010").target == SHOP
    assert accepted(full, destination="4690000001").target == HELD
    # What waits in a queue counts where it waits: with the link that is stopped, or with the one that stands in.
    assert decided(structs.replace(RULES, full=frozenset({HELD})), destination="4690000001").status == Status.QUEUE_FULL
    assert accepted(structs.replace(RULES, full=frozenset({SOR})), destination="4690000001").target == HELD


def test_a_party_may_be_held_to_its_own_names_however_they_are_written() -> None:
    rules = structs.replace(RULES, senders=("Shop", "4790000009"))
    assert accepted(rules).sender.text == "Shop"
    assert accepted(rules, source="+4790000009").sender.text == "4790000009"
    for source in ("Bank", "shop", "4790000008", "2010"):
        assert decided(rules, source=source) == Refusal(Status.INVALID_SOURCE, "bad-sender")
    assert accepted(source="Bank").sender.text == "Bank"  # no names: any


@pytest.mark.parametrize(
    ("destination", "ton", "target", "recipient"),
    [
        ("46789012", 2, NORD, "4746789012"),
        ("46789012", 0, NORD, "4746789012"),
        ("46789012", 1, HELD, "46789012"),
        ("46701234567", 0, HELD, "46701234567"),
        ("02010", 0, SHOP, "02010"),  # somebody's short code is that, although a phone could have it
        ("2010", 1, SHOP, "2010"),
    ],
)
def test_a_number_takes_the_way_that_its_type_says(destination: str, ton: int, target: Party, recipient: str) -> None:
    rules = structs.replace(NORWEGIAN, routes=replace(ROUTES, short_codes={"2010": SHOP, "02010": SHOP}))
    found = accepted(rules, destination=destination, destination_ton=ton)
    assert (found.target, found.recipient.text) == (target, recipient)
    assert found.recipient.ton == (1 if len(recipient) > 6 else 3)


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"destination": "0701234567", "destination_ton": 1}, 0x0B, "bad-recipient"),
        ({"destination": "123456789", "destination_ton": 2}, 0x0B, "bad-recipient"),
        ({"destination": "4790000001", "destination_ton": 5}, 0x50, "bad-recipient"),
        ({"destination": "4790000001", "destination_ton": 7}, 0x50, "bad-recipient"),
        ({"source": "123456789", "source_ton": 2}, 0x0A, "bad-sender"),
        ({"source": "Shop", "source_ton": 7}, 0x48, "bad-sender"),
    ],
)
def test_a_number_that_is_not_what_it_says_is_refused_by_its_status(
    fields: dict[str, object], status: int, reason: str
) -> None:
    assert decided(NORWEGIAN, **fields) == Refusal(Status(status), reason)


def test_whom_an_account_may_send_from_is_read_as_its_messages_are() -> None:
    rules = structs.replace(NORWEGIAN, senders=("46789012", "02010", "Shop"))
    for source, ton in (("46789012", 0), ("46789012", 2), ("4746789012", 1), ("+4746789012", 0)):
        assert accepted(rules, source=source, source_ton=ton).sender.text == "4746789012"
    assert accepted(rules, source="02010").sender.text == "4702010"
    assert accepted(rules, source="02010", source_ton=3).sender.text == "4702010"
    ours = structs.replace(rules, routes=replace(ROUTES, short_codes={"02010": SHOP}))
    assert accepted(ours, source="02010").sender == ("02010", 3, 0)
    assert decided(rules, source="46789012", source_ton=1) == Refusal(Status.INVALID_SOURCE, "bad-sender")


def test_what_is_taken_on_knows_whose_it_is_and_where_it_goes() -> None:
    found = accepted(destination="+4790000001", source="004790000002")
    assert (found.target, found.sender, found.recipient) == (NORD, ("4790000002", 1, 1), ("4790000001", 1, 1))
    assert (found.due_at, found.expires_at) == (NOW, NOW + 259_200.0)


def test_only_the_bits_that_ask_for_a_receipt_are_kept() -> None:
    for registered in range(256):
        assert accepted(registered_delivery=registered).registered == registered % 4


@pytest.mark.parametrize(
    ("schedule", "validity", "due_in", "expires_in"),
    [
        ("", "", 0.0, 72 * HOUR),
        ("", "000000010000000R", 0.0, HOUR),
        ("", "000002235959000R", 0.0, 72 * HOUR - 1),
        ("", "000003000001000R", 0.0, 72 * HOUR),
        ("", "000100000000000R", 0.0, 72 * HOUR),
        ("000000010000000R", "", HOUR, 72 * HOUR),
        ("000000010000000R", "000000010001000R", HOUR, HOUR + 1),
        ("231114231320000+", "231115221320000+", HOUR, 24 * HOUR),
        ("201114221320000+", "", 1_605_392_000.0 - NOW, 72 * HOUR),
    ],
)
def test_a_message_is_due_when_it_asks_and_lives_no_longer_than_we_allow(
    schedule: str, validity: str, due_in: float, expires_in: float
) -> None:
    found = accepted(schedule=schedule, validity=validity)
    assert (found.due_at, found.expires_at) == (NOW + due_in, NOW + expires_in)


def test_how_long_a_message_may_live_is_set() -> None:
    rules = structs.replace(RULES, validity_seconds_max=60.0)
    assert accepted(rules).expires_at == NOW + 60
    assert accepted(rules, validity="000000010000000R").expires_at == NOW + 60
    assert accepted(rules, validity="000000000059000R").expires_at == NOW + 59


# what goes on


def test_all_that_is_the_recipients_is_in_the_envelope() -> None:
    found = envelope(
        octets=b"abc", data_coding=3, esm_class=0x83, source_ton=5, source_npi=9, protocol_id=11, priority=2,
        service_type="CMT", destination_ton=4, destination_npi=6,
        tlvs=((0x1401, b"x"), (0x1402, b"")),
    )  # fmt: skip
    assert found == Envelope(b"abc", 3, 0x80, 5, 9, 11, 2, "CMT", ((0x1401, b"x"), (0x1402, b"")))


def test_the_mode_and_type_that_a_sender_writes_stay_between_it_and_us() -> None:
    """A message of the type of a receipt would be read as one further on."""
    for esm_class in (kind | mode for kind in range(0, 64, 4) for mode in (0, 3)):
        assert envelope(esm_class=esm_class).esm_class == 0
        assert envelope(esm_class=0x80 | esm_class).esm_class == 0x80
        assert envelope(esm_class=0x40 | esm_class, octets=b"\0hei").esm_class == 0x40


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"esm_class": 0x01}, 0x43, "no-such-mode"),
        ({"esm_class": 0x02}, 0x43, "no-such-mode"),
        ({"esm_class": 0xC1, "octets": b"\0hei"}, 0x43, "no-such-mode"),
        ({"replace_if_present": 1}, 0x54, "no-replacing"),
        ({"replace_if_present": 2}, 0x54, "no-replacing"),
        ({"default_message_id": 1}, 0x63, "no-default-message"),
        ({"default_message_id": 255}, 0x63, "no-default-message"),
        ({"default_message_id": 1, "destination": "nobody"}, 0x63, "no-default-message"),
        ({"octets": b"hei", "tlvs": ((Tag.MESSAGE_PAYLOAD, b"hi"),)}, 0x01, "two-texts"),
    ],
)
def test_what_we_do_not_do_is_refused_to_an_account_and_means_nothing_from_a_network(
    fields: dict[str, object], status: int, reason: str
) -> None:
    assert decided(**fields) == Refusal(Status(status), reason)
    if "destination" not in fields:  # of a deliver_sm these fields say nothing (4.6.1)
        assert isinstance(decided(structs.replace(RULES, party=NORD), **fields), AcceptedSubmission)


@pytest.mark.parametrize(
    ("value", "kept"),
    [(b"\1\2", 258), (b"\0\0", 0), (b"\xff\xff", 65_535), (b"\7", 7), (b"", None), (b"\1\2\3", None)],
)
def test_an_accounts_own_reference_is_kept_for_its_receipt_and_goes_no_further(value: bytes, kept: int | None) -> None:
    found = accepted(tlvs=((Tag.USER_MESSAGE_REFERENCE, value),))
    assert found.user_reference == kept
    assert found.envelopes[0].tlvs == ()
    assert accepted().user_reference is None


@pytest.mark.parametrize(
    ("source", "fields", "kind"),
    [
        ("Shop", {}, (5, 0)),
        ("4790000002", {}, (1, 1)),
        ("2010", {}, (3, 0)),
        ("2010", {"source_ton": 6, "source_npi": 9}, (6, 9)),
        ("4790000002", {"source_ton": 2}, (1, 1)),  # as it is passed on it has its country code
        ("90000002", {"source_ton": 2}, (1, 1)),
        ("Shop", {"source_ton": 1}, (5, 0)),
        ("4790000002", {"source_npi": 8}, (1, 8)),
    ],
)
def test_a_sender_that_does_not_say_what_it_is_is_said_to_be_what_it_looks_like(
    source: str, fields: dict[str, object], kind: tuple[int, int]
) -> None:
    found = envelope(NORWEGIAN, source=source, **fields)
    assert (found.sender_ton, found.sender_npi) == kind


@pytest.mark.parametrize("tag", [0x001E, 0x0204, 0x0424, 0x0427])
def test_parameters_that_are_ours_to_set_are_not_passed_on_from_a_sender(tag: int) -> None:
    """The network gives the first user_message_reference back, and by it a doubt is settled: it has to be ours."""
    octets = b"" if tag == Tag.MESSAGE_PAYLOAD else b"hei"
    found = envelope(octets=octets, tlvs=((0x1401, b"x"), (tag, b"\x00\x01"), (0x0205, b"y")))
    assert found.tlvs == ((0x1401, b"x"), (0x0205, b"y"))


def test_octets_under_data_coding_1_are_gsm_where_the_account_says_so() -> None:
    rules = structs.replace(RULES, ascii_is_gsm=True)
    assert [envelope(rules, data_coding=coding).data_coding for coding in (0, 1, 3, 4, 8)] == [0, 0, 3, 4, 8]
    assert [envelope(data_coding=coding).data_coding for coding in (0, 1, 3, 4, 8)] == [0, 1, 3, 4, 8]
    # 160 septets fit one message, 140 octets do; what the coding is decides before it is counted.
    long = {"octets": b"x" * 150, "data_coding": 1}
    assert len(accepted(rules, **long).envelopes) == 1
    assert len(accepted(**long).envelopes) == 2


@pytest.mark.parametrize(
    ("coding", "length", "pieces"),
    [(0, 160, 1), (0, 161, 2), (0, 306, 2), (0, 307, 3), (3, 140, 1), (3, 141, 2), (3, 268, 2), (3, 269, 3),
     (8, 140, 1), (8, 142, 2), (8, 268, 2), (8, 270, 3), (4, 254, 2)],
)  # fmt: skip
def test_what_comes_whole_is_cut_when_it_does_not_fit(coding: int, length: int, pieces: int) -> None:
    octets = b"\0x" * (length // 2) + b"x" * (length % 2)
    carried = [{"octets": b"", "tlvs": ((Tag.MESSAGE_PAYLOAD, octets),)}]
    carried += [{"octets": octets}] if length <= 254 else []
    for fields in carried:
        found = accepted(reference=0x17, data_coding=coding, esm_class=0x80, priority=2, **fields).envelopes
        assert len(found) == pieces
        assert all((each.data_coding, each.priority, each.tlvs) == (coding, 2, ()) for each in found)
        if pieces == 1:
            assert (found[0].octets, found[0].esm_class) == (octets, 0x80)
        else:
            assert b"".join(each.octets[6:] for each in found) == octets
            assert [each.octets[:6] for each in found] == [
                bytes((5, 0, 3, 0x17, pieces, number)) for number in range(1, pieces + 1)
            ]
            assert {each.esm_class for each in found} == {0xC0}


@pytest.mark.parametrize(
    "header", [b"\x05\x00\x03\x01\x02\x01", b"\x06\x08\x04\x01\x01\x02\x01", b"\x06\x05\x04\0\1\0\2"]
)
def test_what_its_sender_gave_a_header_is_never_cut_again(header: bytes) -> None:
    octets = header + b"x" * (254 - len(header))
    assert envelope(octets=octets, esm_class=0x40).octets == octets
    assert decided(octets=b"", esm_class=0x40, tlvs=((0x424, octets + b"x"),)) == Refusal(
        Status.INVALID_MESSAGE_LENGTH, "too-long"
    )


def test_what_its_sender_cut_by_sar_parameters_goes_on_with_them() -> None:
    sar = ((0x20C, b"\1\2"), (0x20E, b"\3"), (0x20F, b"\2"))
    found = envelope(octets=b"x" * 200, tlvs=sar)
    assert (found.octets, found.esm_class, found.tlvs) == (b"x" * 200, 0, sar)


def test_what_says_that_it_is_a_part_that_cannot_be_goes_on_as_a_plain_message() -> None:
    for total, number in ((0, 0), (2, 3)):
        octets = bytes((5, 0, 3, 7, total, number)) + b"hei"
        assert envelope(octets=octets, esm_class=0x40).octets == octets  # phones ignore such an element
        sar = ((0x20C, b"\1\2"), (0x20E, bytes((total,))), (0x20F, bytes((number,))), (0x1401, b"x"))
        plain = envelope(octets=b"hei", tlvs=sar)
        assert (plain.octets, plain.esm_class, plain.tlvs) == (b"hei", 0, ((0x1401, b"x"),))
        long = accepted(octets=b"x" * 200, tlvs=sar).envelopes
        assert [(each.octets[:6], each.tlvs) for each in long] == [
            (bytes((5, 0, 3, 7, 2, n)), ((0x1401, b"x"),)) for n in (1, 2)
        ]


@pytest.mark.parametrize("coding", [0x10, 0x11, 0x12, 0x13, 0xF0, 0xF1, 0xF2, 0xF3])
def test_160_letters_with_a_class_are_one_message(coding: int) -> None:
    assert len(accepted(octets=b"x" * 160, data_coding=coding).envelopes) == 1
    cut = accepted(octets=b"x" * 152 + b"\x1b\x65" + b"x" * 8, data_coding=coding).envelopes
    assert [len(each.octets) - 6 for each in cut] == [152, 10]
    assert {each.data_coding for each in cut} == {coding}


def test_a_reference_is_asked_for_by_who_is_shown_and_only_where_a_text_is_cut() -> None:
    asked: list[tuple[str, str]] = []

    def reference(sender: str, recipient: str, part: Part | None) -> int:
        assert part is None
        asked.append((sender, recipient))
        return 5

    for octets in (b"hei", b"x" * 161):
        message = structs.replace(SUBMIT, octets=octets, source="004790000002", destination="+4790000001")
        decide(message, RULES, reference=reference, now=NOW)
    assert asked == [("4790000002", "4790000001")]


# texts by other ways


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "text-length"), ("x" * 4_001, "text-length"), ("hei \ud83d", "not-text"), ("\ude00", "not-text")],
)
def test_a_text_that_is_none_is_refused(text: str, reason: str) -> None:
    assert text_message("Shop", "4790000001", text) == Refusal(Status.INVALID_MESSAGE_LENGTH, reason)


def test_a_text_is_as_if_it_had_come_by_smpp() -> None:
    assert text_message("Shop", "4790000001", "hei") == ShortMessage(
        "Shop", "4790000001", data_coding=0, tlvs=((0x424, b"hei"),)
    )
    assert text_message("Shop", "4790000001", "ж") == ShortMessage(
        "Shop", "4790000001", data_coding=8, tlvs=((0x424, b"\x04\x36"),)
    )
    for text in ("x" * 4_000, "😀" * 4_000):
        message = text_message("Shop", "4790000001", text)
        assert isinstance(message, ShortMessage)
        assert isinstance(decide(message, RULES, reference=lambda _s, _r, part: 1, now=NOW), AcceptedSubmission)


# what is stored


def test_what_shares_a_moment_has_places_in_order_and_none_of_them_waits() -> None:
    order = Order()
    places = [order.place(NOW) for _ in range(19_000)]
    assert places == sorted(set(places)) and places[0] >= NOW - 0.01 and places[-1] <= NOW
    assert order.place(NOW + 0.001) > places[-1], "what comes just after it follows"
    later = order.place(NOW + 5.0)
    assert later == NOW + 5.0 - Order.EARLY_SECONDS
    assert order.place(NOW - 60.0) == NOW - 60.0 - Order.EARLY_SECONDS, "a clock that is put back holds nobody up"
    assert all(order.place(NOW) <= NOW for _ in range(50_000))
    first = order.place(NOW)
    back = first + Order.STEP_SECONDS
    assert order.place(back) == back, "a clock that is put back a little lets nobody overtake"


def test_what_is_due_now_is_due_at_its_place_and_what_is_due_later_then() -> None:
    sealer, order = Sealer(os.urandom), Order()

    def stored(**fields: object) -> Message:
        found = accepted(**fields)
        [message] = sealed_messages([("id", found, [bytes(12)])], RULES, sealer=sealer, order=order, now=NOW)
        return message

    first, second = stored(), stored(tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\x01\x02"),))
    assert NOW - Order.EARLY_SECONDS == first.due_at < second.due_at < NOW
    assert (first.user_reference, second.user_reference) == (None, 0x0102)
    later = stored(schedule="000000000001000R")
    assert later.due_at == NOW + 1 and later.accepted_at > second.accepted_at


def test_each_piece_is_a_message_of_its_own_that_opens_as_itself_alone() -> None:
    sealer = Sealer(os.urandom)
    found = accepted(octets=b"x" * 161, registered_delivery=1, schedule="000000010000000R")
    nonces = [b"a" * 12, b"b" * 12]
    rules = structs.replace(RULES, message_class="log-in-code")
    first, second = sealed_messages([("id", found, nonces)], rules, sealer=sealer, order=Order(), now=NOW)
    expires_at = NOW + 72 * HOUR
    assert first == Message(
        id="id", submission="id", part=1, parts=2, origin="account:shop", target="link:nord",
        message_class="log-in-code", sender="Shop", recipient="4790000001", sealed=first.sealed, registered=1,
        accepted_at=NOW, due_at=NOW + HOUR, expires_at=expires_at, attempts=0,
    )  # fmt: skip
    assert second == structs.replace(first, id="id-2", part=2, sealed=second.sealed)
    assert (first.sealed[1:13], second.sealed[1:13]) == tuple(nonces)
    bound = Binding("id", "account:shop", "Shop", "4790000001", 1, expires_at, "log-in-code")
    assert sealer.open(first.sealed, bound) == found.envelopes[0]
    assert sealer.open(second.sealed, structs.replace(bound, message_id="id-2", part=2)) == found.envelopes[1]
    with pytest.raises(ValueError, match="zip"):
        sealed_messages([("id", found, nonces[:1])], RULES, sealer=sealer, order=Order(), now=NOW)


@pytest.mark.parametrize(
    ("schedule", "validity", "lives"),
    [
        ("", "", 600.0),
        ("", "000000000959000R", 599.0),
        ("", "000000001000000R", 600.0),
        ("", "000000010000000R", 600.0),
        ("000000010000000R", "", 3_600 + 600.0),
        ("000000010000000R", "000000010500000R", 3_900.0),
        ("000000010000000R", "000001000000000R", 3_600 + 600.0),
        ("231114221310000+", "", 600.0),
        ("000002235500000R", "", 72 * 3_600.0),
    ],
)
def test_what_may_not_live_long_ends_ten_minutes_after_it_was_due_or_when_its_sender_says(
    schedule: str, validity: str, lives: float
) -> None:
    found = accepted(structs.replace(RULES, life_seconds_max=600.0), schedule=schedule, validity=validity)
    assert found.expires_at == NOW + lives


def test_what_may_not_live_long_and_is_due_after_its_time_is_refused() -> None:
    rules = structs.replace(RULES, life_seconds_max=600.0)
    refused = decided(rules, schedule="000000010000000R", validity="000000010000000R")
    assert refused == Refusal(Status.INVALID_VALIDITY, "expires-before-due")
