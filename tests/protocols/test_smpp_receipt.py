import calendar
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.smpp.pdu import ShortMessage, Tag
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, is_receipt, parse_receipt, receipt_message
from prikkfri.protocols.smpp.times import format_relative, parse_time

NOW = 1_700_000_000.0


@given(st.from_regex(r"[0-9a-zA-Z-]{1,64}", fullmatch=True), st.sampled_from(MessageState))
def test_a_receipt_is_read_as_it_was_written(message_id: str, state: MessageState) -> None:
    receipt = Receipt(message_id, state, "042")
    submitted = ShortMessage(source="Shop", destination="4790000001", octets=b"your code is 1234")
    message = receipt_message(receipt, submitted, submitted=NOW, done=NOW + 60)
    assert is_receipt(message)
    assert (message.source, message.destination) == ("4790000001", "Shop")
    assert b"1234" not in message.octets
    assert parse_receipt(message) == receipt
    assert parse_receipt(ShortMessage(octets=message.octets)) == receipt  # by its text alone


def test_a_receipt_as_networks_write_it() -> None:
    text = b"id:7220bb6bd0be98fa sub:001 dlvrd:000 submit date:2311142213 done date:2311142214 stat:UNDELIV err:1B2"
    assert parse_receipt(ShortMessage(octets=text)) == Receipt("7220bb6bd0be98fa", MessageState.UNDELIVERABLE, "1B2")


def test_parameters_count_before_text() -> None:
    message = ShortMessage(
        octets=b"id:1 stat:DELIVRD", tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"2\0"), (Tag.MESSAGE_STATE, b"\x03"))
    )
    assert parse_receipt(message) == Receipt("2", MessageState.EXPIRED)


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
    for wrong in ("2311", "231399000000000+", "x" * 16, "0000020304050000"):
        with pytest.raises(RemoteProtocolError):
            parse_time(wrong, NOW)


@given(st.text(alphabet="0123456789+-R٣", max_size=17), st.floats(0, 4e9))
def test_any_text_is_a_time_or_a_remote_error(text: str, now: float) -> None:
    with contextlib.suppress(RemoteProtocolError):
        parse_time(text, now)


@given(st.integers(1, 60 * 86_400))
def test_a_relative_time_is_read_as_it_was_written(seconds: int) -> None:
    assert parse_time(format_relative(seconds), NOW) == NOW + seconds
