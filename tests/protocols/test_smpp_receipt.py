import calendar
import contextlib
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.smpp.pdu import ShortMessage, Tag
from prikkfri.protocols.smpp.receipt import (
    FINAL,
    MessageState,
    Receipt,
    format_receipt,
    is_receipt,
    parse_receipt,
    receipt_message,
)
from prikkfri.protocols.smpp.times import format_absolute, format_minute, format_relative, parse_time

NOW = 1_700_000_000.0


@given(st.text("0123456789abcdefXYZ-", min_size=1, max_size=64), st.sampled_from(MessageState))
def test_a_receipt_is_read_as_it_was_written(message_id: str, state: MessageState) -> None:
    receipt = Receipt(message_id, state, "042")
    submitted = ShortMessage(source="Shop", destination="4790000001", octets=b"your code is 1234")
    message = receipt_message(receipt, submitted, submitted=NOW, done=NOW + 60)
    assert is_receipt(message)
    assert (message.source, message.destination) == ("4790000001", "Shop")
    assert b"code" not in message.octets
    assert b"1234" not in message.octets.partition(b" sub:")[2]  # before it stands the id, which may be anything
    assert parse_receipt(message) == receipt
    assert parse_receipt(ShortMessage(octets=message.octets)) == receipt  # by its text alone


def test_a_receipt_as_networks_write_it() -> None:
    text = b"id:7220bb6bd0be98fa sub:001 dlvrd:000 submit date:2311142213 done date:2311142214 stat:UNDELIV err:1B2"
    assert parse_receipt(ShortMessage(octets=text)) == Receipt("7220bb6bd0be98fa", MessageState.UNDELIVERABLE, "1B2")


# SMPP 3.4, appendix B and 5.2.28, written down from the book.
WORDS = {
    "ENROUTE": 1, "DELIVRD": 2, "EXPIRED": 3, "DELETED": 4, "UNDELIV": 5, "ACCEPTD": 6, "UNKNOWN": 7, "REJECTD": 8,
}  # fmt: skip


VARIANTS = {
    "DELIVERED": 2, "DELIVERD": 2, "DELIVRED": 2, "FAILED": 5, "UNDELIVERABLE": 5, "UNDELIVERED": 5, "UNDELIVRD": 5,
    "SKIPPED": 5, "REJECTED": 8, "ACCEPTED": 6, "BUFFRED": 1, "BUFFERED": 1, "SCHEDULED": 1,
}  # fmt: skip


def told_state(octets: bytes, tlvs: tuple[tuple[int, bytes], ...] = ()) -> int | None:
    """What a receipt says became of its message; None when it does not say, or names no message."""
    try:
        return parse_receipt(ShortMessage(octets=octets, tlvs=tlvs)).state
    except RemoteProtocolError:
        return None


@pytest.mark.parametrize("word", WORDS)
def test_each_word_of_the_book_is_read_and_written(word: str) -> None:
    for written in (word, word.lower()):
        assert told_state(b"id:1 stat:%b err:000" % written.encode()) == WORDS[word]
    assert (
        told_state(b"", ((Tag.RECEIPTED_MESSAGE_ID, b"1\0"), (Tag.MESSAGE_STATE, bytes((WORDS[word],))))) == WORDS[word]
    )
    text = format_receipt(Receipt("1", MessageState(WORDS[word])), submitted=NOW, done=NOW)
    assert b" stat:%b " % word.encode() in text
    assert (b" dlvrd:001 " if word == "DELIVRD" else b" dlvrd:000 ") in text


@pytest.mark.parametrize("word", VARIANTS)
def test_the_words_of_partners_are_read(word: str) -> None:
    for written in (word, word.lower(), word.capitalize()):
        for text in (b"id:1 stat:%b err:000", b"id:1 stat:%b,err:000", b"id:1\nstat:%b\nerr:000", b"id:1 Stat:%b"):
            assert parse_receipt(ShortMessage(octets=text % written.encode())) == Receipt("1", VARIANTS[word])


@pytest.mark.parametrize("word", ["FOOBAR", "delivr", "DELIVRD9", "xDELIVRD", "DELIVRD-NOT", "Ukjent", "A" * 32])
def test_a_word_that_nobody_knows_is_kept_as_it_is_written(word: str) -> None:
    text = b"id:1 sub:001 stat:%b err:000 text:stat:DELIVRD" % word.encode()
    assert parse_receipt(ShortMessage(octets=text)) == Receipt("1", None, word=word)
    number = ((Tag.RECEIPTED_MESSAGE_ID, b"1"), (Tag.MESSAGE_STATE, b"\x63"))
    assert parse_receipt(ShortMessage(tlvs=number)) == Receipt("1", None, word="63")
    assert parse_receipt(ShortMessage(octets=text, tlvs=number)).word == word
    assert parse_receipt(ShortMessage(octets=b"id:1 err:000")) == Receipt("1", None)
    longer = parse_receipt(ShortMessage(octets=b"id:1 stat:" + b"B" * 40))
    assert (longer.state, longer.word) == (None, "B" * 32)


def test_states_of_later_versions_of_the_book_are_read() -> None:
    for octet, state in ((0, MessageState.ENROUTE), (9, MessageState.UNDELIVERABLE)):
        assert told_state(b"id:1", ((Tag.MESSAGE_STATE, bytes((octet,))),)) == state


@given(st.text("ABCDEFGHIJKLMNOPRSTUVWXYZabcdefg0123456789_-", max_size=12).filter(lambda x: "DELIV" not in x.upper()))
@example("FAILED")
@example("NOTDELIVRD")
@example("")
def test_a_word_that_nobody_knows_never_means_delivered(word: str) -> None:
    for written in (b"id:1 stat:%b err:000", b"id:1 stat:%b", b"id:1 sub:001 dlvrd:001 stat:%b err:000 Text:DELIVRD"):
        assert told_state(written % word.encode()) != MessageState.DELIVERED


def test_a_state_that_nobody_knows_never_means_delivered() -> None:
    for octet in (0, *range(9, 256)):
        parameters = ((Tag.RECEIPTED_MESSAGE_ID, b"1"), (Tag.MESSAGE_STATE, bytes((octet,))))
        assert told_state(b"", parameters) != MessageState.DELIVERED


@pytest.mark.parametrize("value", [b"", b"\x02\x02", b"\x00\x02"])
def test_a_state_of_more_or_less_than_an_octet_never_means_delivered(value: bytes) -> None:
    parameters = ((Tag.RECEIPTED_MESSAGE_ID, b"1"), (Tag.MESSAGE_STATE, value))
    assert told_state(b"", parameters) != MessageState.DELIVERED


@pytest.mark.parametrize(
    "octets",
    [
        b"id:1 DELIVRD",
        b"id:1 stat: DELIVRD",
        b"id:1 restat:DELIVRD",
        b"id:1 stat:DELIVRD9",
        b"id:1 stat:xDELIVRD",
        b"id:1 dlvrd:001 err:000",
        b"stat:DELIVRD",
        b"valid:1 stat:DELIVRD",
        b"id: stat:DELIVRD",
        # Networks give back the first words of the message, which its sender chose.
        b"id:1 stat:UNDELIVERABLE err:001 Text:stat:DELIVRD",
        b"id:1 err:001 text:stat:DELIVRD",
        b"id: stat:UNDELIV Text:id:2 stat:DELIVRD",
        b"stat:DELIVRD err:000 Text:\nid:2",
        b"id:1 err:000Text:stat:DELIVRD",
        b"id:1 err:000 TEXT :stat:DELIVRD",
        b"id:1 text:hei\nstat:DELIVRD",
    ],
)
def test_what_does_not_say_delivered_of_a_message_is_not_taken_for_it(octets: bytes) -> None:
    assert told_state(octets) != MessageState.DELIVERED


def test_an_id_has_a_limit_and_ends_at_a_nul() -> None:
    state = (Tag.MESSAGE_STATE, b"\x02")
    for value, wanted in ((b"1" * 64, "1" * 64), (b"1" * 64 + b"\0", "1" * 64), (b"1\0002", "1")):
        found = parse_receipt(ShortMessage(octets=b"id:3", tlvs=((Tag.RECEIPTED_MESSAGE_ID, value), state)))
        assert found.message_id == wanted
    # A parameter that says nothing leaves the word to the text.
    for value in (b"", b"\0", b" ", b"\0001", b"1" * 256):
        found = parse_receipt(ShortMessage(octets=b"id:3", tlvs=((Tag.RECEIPTED_MESSAGE_ID, value), state)))
        assert (found.message_id, found.other_id) == ("3", "")
        with pytest.raises(RemoteProtocolError):
            parse_receipt(ShortMessage(octets=b"id: stat:DELIVRD", tlvs=((Tag.RECEIPTED_MESSAGE_ID, value), state)))
    for value in (b"1" * 65, b"1" * 255):
        assert parse_receipt(ShortMessage(tlvs=((Tag.RECEIPTED_MESSAGE_ID, value), state))).message_id == value.decode()
    assert parse_receipt(ShortMessage(octets=b"id:" + b"y" * 255)).message_id == "y" * 255
    with pytest.raises(RemoteProtocolError):  # half an id is another's
        parse_receipt(ShortMessage(octets=b"id:" + b"y" * 256))
    assert parse_receipt(ShortMessage(octets=b"ID:" + b"x" * 64 + b" STAT:DELIVRD")).message_id == "x" * 64


def test_the_networks_own_reason_is_kept() -> None:
    for text, reason in (
        (b"err:1B2", "1B2"),
        (b"Err:5 Text:", "5"),
        (b"", "000"),
        (b"err:1234", "1234"),
        (b"err:EC_ABSENT-SUBSCRIBER text:", "EC_ABSENT-SUBSCRIBER"),
        (b"err:0x22,text:", "0x22"),
        (b"err:00000", "00000"),
        (b"err:", "000"),
        (b"err:" + b"e" * 70, "e" * 64),
        (b"text:err:7", "000"),
        (b"terr:7", "000"),
    ):
        assert parse_receipt(ShortMessage(octets=b"id:1 stat:UNDELIV " + text)).error == reason
    parameters = ((Tag.RECEIPTED_MESSAGE_ID, b"1"), (Tag.MESSAGE_STATE, b"\x05"))
    assert parse_receipt(ShortMessage(octets=b"stat:DELIVRD err:042", tlvs=parameters)).error == "042"


def test_the_networks_own_reason_is_taken_from_its_parameter_where_the_text_has_none() -> None:
    def error(text: bytes, code: bytes) -> str:
        return parse_receipt(ShortMessage(octets=b"id:1 " + text, tlvs=((Tag.NETWORK_ERROR_CODE, code),))).error

    assert error(b"", b"\x03\x00\x22") == "034"
    assert error(b"err:000", b"\x03\x01\x00") == "256"
    assert error(b"err:042", b"\x03\x00\x22") == "042"
    assert error(b"err:00", b"\x03\x00\x00") == "00"
    for code in (b"", b"\x03", b"\x00\x22", b"\x03\x00\x22\x00", b"\x03\x00\x00"):
        assert error(b"", code) == "000"


@pytest.mark.parametrize("behind", [b",", b"\n", b"\r\n", b";", b"\t", b" ", b"\0", b""])
def test_an_id_ends_where_it_ends(behind: bytes) -> None:
    rest = b"sub:001 stat:DELIVRD" if behind else b""
    for identity in (b"ff", b"0000000255", b"a-b.c_d/9"):
        found = parse_receipt(ShortMessage(octets=b"id:" + identity + behind + rest))
        assert found.message_id == identity.decode()


WHOLE = b"id:net-1 sub:001 dlvrd:001 submit date:2311142213 done date:2311142214 stat:DELIVRD err:000 text:id:2 stat:X"


def test_a_receipt_is_read_wherever_its_text_travels_and_however_it_is_written() -> None:
    wanted = Receipt("net-1", MessageState.DELIVERED)
    wide = WHOLE.decode().encode("utf-16-be")
    payloads = [
        ShortMessage(octets=WHOLE),
        ShortMessage(tlvs=((Tag.MESSAGE_PAYLOAD, WHOLE),)),
        ShortMessage(octets=wide, data_coding=8),
        ShortMessage(octets=b"\xfe\xff" + wide, data_coding=8),
        ShortMessage(octets=wide + b"\0", data_coding=0x18),
        ShortMessage(octets=wide),  # partners forget to say it
        ShortMessage(octets=b"\x02\x70\x00" + WHOLE, esm_class=0x40),
        ShortMessage(octets=b"\r\n" + WHOLE),
        ShortMessage(octets=WHOLE.upper().replace(b"NET", b"net")),
    ]
    for message in payloads:
        assert is_receipt(message)
        assert parse_receipt(message) == wanted


def test_a_payload_of_many_octets_is_not_searched_to_its_end() -> None:
    for begin, found in ((b"id:net-1 ".ljust(2_035), MessageState.DELIVERED), (b"id:net-1 ".ljust(2_037), None)):
        assert told_state(b"", ((Tag.MESSAGE_PAYLOAD, begin + b" stat:DELIVRD err:000"),)) == found
    assert not is_receipt(ShortMessage(tlvs=((Tag.MESSAGE_PAYLOAD, b"id:" * 21_000),)))


def test_nothing_is_read_out_of_a_header_that_does_not_fit() -> None:
    with pytest.raises(RemoteProtocolError):
        parse_receipt(ShortMessage(octets=b"\xff" + WHOLE, esm_class=0x44))


@given(st.integers(0, 255))
def test_a_receipt_is_known_by_what_it_says_whatever_its_type(esm_class: int) -> None:
    esm_class &= ~0x40  # with that bit the first octets are a header
    for message in (
        ShortMessage(octets=WHOLE, esm_class=esm_class),
        ShortMessage(octets=b"id:1 stat:FOO err:1", esm_class=esm_class),
        ShortMessage(tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"1"),), esm_class=esm_class),
        ShortMessage(tlvs=((Tag.MESSAGE_STATE, b""),), esm_class=esm_class),
    ):
        assert is_receipt(message)


@pytest.mark.parametrize(
    "octets",
    [b"Hei! id:1 sub:001 stat:DELIVRD err:000", b"id: 7 stat: fine", b"id:7 sub:001 dlvrd:001", b"id:1 stat:DELIVRD",
     b"id:1 text:stat:DELIVRD err:000", b"stat:DELIVRD err:000", b"", b"id:"],
)  # fmt: skip
def test_what_a_person_writes_is_no_receipt(octets: bytes) -> None:
    assert not is_receipt(ShortMessage(octets=octets))
    assert is_receipt(ShortMessage(octets=octets, esm_class=0x04))


def test_a_receipt_without_an_id_may_name_its_message_by_our_reference() -> None:
    found = parse_receipt(ShortMessage(octets=b"stat:DELIVRD", tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\1\2"),)))
    assert found == Receipt("", MessageState.DELIVERED)
    with pytest.raises(RemoteProtocolError):
        parse_receipt(ShortMessage(octets=b"stat:DELIVRD", tlvs=((Tag.USER_MESSAGE_REFERENCE, b""),)))


def test_the_id_of_the_text_is_told_beside_another_of_the_parameter() -> None:
    message = ShortMessage(octets=b"id:0000000255 stat:DELIVRD", tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"ff\0"),))
    assert parse_receipt(message) == Receipt("ff", MessageState.DELIVERED, other_id="0000000255")


def test_only_one_type_of_message_is_a_receipt() -> None:
    """5.2.12: of the bits 5 to 2 only 0001 is a delivery receipt; others are people's or a handset's own words."""
    for esm_class in range(256):
        message = ShortMessage(octets=b"id:1 stat:DELIVRD", esm_class=esm_class)
        assert is_receipt(message) is (f"{esm_class:08b}"[2:6] == "0001"), esm_class


def test_a_receipt_as_the_book_lays_it_out() -> None:
    submitted = ShortMessage(
        source="Shop", source_ton=5, source_npi=9, destination="4790000001", destination_ton=1, destination_npi=2,
        service_type="CMT", octets=b"your code is 1234", tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\x01\x02"),),
    )  # fmt: skip
    done = calendar.timegm((2023, 12, 1, 3, 4, 59))
    receipt = Receipt("0a1b", MessageState.UNDELIVERABLE, "1B2")
    text = b"id:0a1b sub:001 dlvrd:000 submit date:2311142213 done date:2312010304 stat:UNDELIV err:1B2 Text:"
    assert receipt_message(receipt, submitted, submitted=NOW, done=done) == ShortMessage(
        source="4790000001", source_ton=1, source_npi=2, destination="Shop", destination_ton=5, destination_npi=9,
        service_type="CMT", esm_class=0x04, octets=text,
        tlvs=((0x001E, b"0a1b\0"), (0x0427, b"\x05"), (0x0204, b"\x01\x02")),
    )  # fmt: skip
    bare = receipt_message(receipt, ShortMessage(source="Shop"), submitted=NOW, done=done)
    assert [tag for tag, _ in bare.tlvs] == [0x001E, 0x0427]


def test_some_states_are_not_the_end() -> None:
    assert {int(state) for state in FINAL} == {2, 3, 4, 5, 7, 8}


def test_parameters_count_before_text() -> None:
    message = ShortMessage(
        octets=b"id:1 stat:DELIVRD", tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"2\0"), (Tag.MESSAGE_STATE, b"\x03"))
    )
    assert parse_receipt(message) == Receipt("2", MessageState.EXPIRED, other_id="1")


@given(st.binary(max_size=200), st.lists(st.tuples(st.sampled_from([0x1E, 0x427]), st.binary(max_size=70))).map(tuple))
def test_any_message_is_a_receipt_or_a_remote_error(octets: bytes, tlvs) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert parse_receipt(ShortMessage(octets=octets, tlvs=tlvs)).message_id


def test_times() -> None:
    assert parse_time("", NOW) is None
    assert parse_time("000002030405000R", NOW) == NOW + 2 * 86_400 + 3 * 3600 + 4 * 60 + 5
    assert parse_time("231114221320000+", NOW) == calendar.timegm((2023, 11, 14, 22, 13, 20))
    assert parse_time("231114231320004+", NOW) == NOW
    assert parse_time("231114211320004-", NOW) == NOW
    assert parse_time("231114221320900+", NOW) == NOW + 0.9
    assert parse_time("000000000001900R", NOW) == NOW + 1
    assert parse_time("010000000000000R", NOW) == NOW + 365 * 86_400
    assert parse_time("000100000000000R", NOW) == NOW + 30 * 86_400
    for wrong in ("2311", "231399000000000+", "x" * 16, "0000020304050000", "231114221320099+", "231114221360000+",
                  "231114222360000-", "0000020304050000R", "000002030405000r", " 000002030405000R"):  # fmt: skip
        with pytest.raises(RemoteProtocolError):
            parse_time(wrong, NOW)


@given(st.text(alphabet="0123456789+-R٣", max_size=17), st.floats(0, 4e9))
def test_any_text_is_a_time_or_a_remote_error(text: str, now: float) -> None:
    with contextlib.suppress(RemoteProtocolError):
        parse_time(text, now)


@given(st.integers(1, 30 * 86_400))
def test_a_relative_time_is_read_as_it_was_written(seconds: int) -> None:
    assert parse_time(format_relative(seconds), NOW) == NOW + seconds


@given(st.floats(1.0, 400 * 86_400.0))
def test_a_validity_is_never_nothing_and_never_longer_than_what_is_left(seconds: float) -> None:
    text = format_relative(seconds)
    read = parse_time(text, 0.0)
    assert read is not None and max(1.0, min(seconds, 30 * 86_400.0) - 1) <= read <= seconds
    assert text[:4] == "0000", "to some a month has 31 days"


@given(st.floats(1.0, 400 * 86_400.0), st.floats(0.0, 1.0))
def test_a_moment_is_told_never_later_than_it_is_and_never_in_the_past(seconds: float, fraction: float) -> None:
    now = NOW + fraction
    read = parse_time(format_absolute(now + seconds, now), 0.0)
    assert read is not None and now < read <= now + seconds
    assert read > now + min(seconds, 30 * 86_400.0) - 1.001


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5.0, "231114221321000+"),
        (1.0, "231114221321000+"),
        (1.999, "231114221321000+"),
        (2.0, "231114221322000+"),
        (600.0, "231114222320000+"),
        (30 * 86_400.0, "231214221320000+"),
        (31 * 86_400.0, "231214221320000+"),
    ],
)
def test_a_moment_is_written_in_utc(seconds: float, text: str) -> None:
    assert format_absolute(NOW + seconds, NOW) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5.0, "000000000001000R"),
        (0.0, "000000000001000R"),
        (1.0, "000000000001000R"),
        (1.01, "000000000001000R"),
        (1.999, "000000000001000R"),
        (2.0, "000000000002000R"),
        (59.5, "000000000059000R"),
        (3_600.0, "000000010000000R"),
        (3_599.0, "000000005959000R"),
        (86_399.0, "000000235959000R"),
        (86_400.0, "000001000000000R"),
        (29 * 86_400.0, "000029000000000R"),
        (30 * 86_400.0 - 0.5, "000029235959000R"),
        (30 * 86_400.0, "000030000000000R"),
        (30 * 86_400.0 + 1, "000030000000000R"),
        (1e9, "000030000000000R"),
    ],
)
def test_a_validity_is_rounded_down_to_the_second_and_cut_at_thirty_days(seconds: float, text: str) -> None:
    assert format_relative(seconds) == text


@pytest.fixture
def _ahead_of_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own time is an hour ahead of UTC."""
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_ahead_of_utc")
def test_a_receipts_minute_is_in_utc() -> None:
    assert format_minute(NOW) == "2311142213"
    assert format_minute(NOW + 39.9) == "2311142213"
    assert format_minute(NOW + 40.0) == "2311142214"
