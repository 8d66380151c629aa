"""Tickets cannot be bettered, and live for an evening."""

import base64
import hashlib
import hmac
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.door.ticket import LIFETIME_SECONDS, Ticket, lot, opened, sealed

KEY = b"k" * 32
HOLDER = "k-" + "h" * 43
TICKET = Ticket(5.25, 1_700_000_000.25, b"0123456789ab", "d-AAAAAAAAAAAAAAAAAAAAAA", HOLDER, 7, 1_700_000_060.5)

tickets = st.builds(
    Ticket,
    position=st.floats(0, 1e12),
    joined_at=st.floats(0, 4e9),
    ticket_id=st.binary(min_size=12, max_size=12),
    device=st.text("AZaz09_-", min_size=22, max_size=22).map("d-{}".format),
    holder=st.text("AZaz09_-", min_size=43, max_size=43).map("k-{}".format),
    counted_by=st.integers(0, 2**32 - 1),
    due=st.floats(0, 4e9),
)


@given(tickets)
def test_a_ticket_comes_back_as_it_was(ticket: Ticket) -> None:
    text = sealed(ticket, KEY)
    assert opened(text, KEY, ticket.joined_at) == ticket
    assert opened(text, KEY, ticket.joined_at + LIFETIME_SECONDS - 1) == ticket
    assert opened(text, KEY, ticket.joined_at + LIFETIME_SECONDS + 1) is None
    assert opened(text, b"x" * 32, ticket.joined_at) is None


@given(st.integers(0, 200), st.sampled_from("AZaz09-_=. "))
def test_no_character_of_it_can_be_changed(position: int, character: str) -> None:
    text = sealed(TICKET, KEY)
    altered = text[:position] + character + text[position + 1 :]
    back = opened(altered, KEY, TICKET.joined_at)
    assert back is None or back == TICKET


@given(st.text(max_size=300))
def test_any_text_is_no_ticket(text: str) -> None:
    assert opened(text, KEY, 0) is None


def test_a_ticket_lives_for_an_evening_to_the_second() -> None:
    text = sealed(TICKET, KEY)
    assert opened(text, KEY, TICKET.joined_at + LIFETIME_SECONDS) == TICKET
    assert opened(text, KEY, TICKET.joined_at + LIFETIME_SECONDS + 0.25) is None


@pytest.mark.parametrize("length", [0, 1, 107, 166, 168, 300])
def test_what_is_shorter_or_longer_is_none(length: int) -> None:
    text = sealed(TICKET, KEY)
    assert opened((text + "=AAAA" * 60)[:length], KEY, TICKET.joined_at) is None


def test_a_ticket_is_made_as_the_documents_say_and_carries_its_holder() -> None:
    """What stands in a ticket is fixed: those who wait hold it over an update of the door."""
    text = sealed(TICKET, KEY)
    assert len(text) == 167 and "=" not in text  # as it stands in an address
    raw = base64.urlsafe_b64decode(sealed(TICKET, KEY) + "=")
    content, tag = raw[:-16], raw[-16:]
    stands = (5.25, 1_700_000_000.25, 1_700_000_060.5, 7, b"0123456789ab", TICKET.device.encode(), HOLDER.encode())
    assert struct.unpack(">dddI12s24s45s", content) == stands
    assert tag == hmac.new(KEY, content, hashlib.sha256).digest()[:16]
    assert TICKET.promise == "enter-MDEyMzQ1Njc4OWFi"


@pytest.mark.parametrize("text", ["é" * 167, "=" * 167, "." * 167, "A" * 167, "A" * 124 + "=" * 43, "\x00" * 167])
def test_as_many_characters_alone_are_none(text: str) -> None:
    assert opened(text, KEY, TICKET.joined_at) is None


@pytest.mark.parametrize("tag_bytes", [0, 8, 15, 17, 32])
def test_a_seal_of_another_length_is_none(tag_bytes: int) -> None:
    content = base64.urlsafe_b64decode(sealed(TICKET, KEY) + "=")[:-16]
    tag = hmac.new(KEY, content, hashlib.sha256).digest()[:tag_bytes]
    assert opened(base64.urlsafe_b64encode(content + tag).decode(), KEY, TICKET.joined_at) is None


@given(st.floats(0, 4e9), st.binary(min_size=32, max_size=32))
def test_a_lot_is_a_share_that_a_position_can_carry(now: float, key: bytes) -> None:
    drawn = lot(TICKET.device, now, key)
    assert 0 <= drawn < 1
    number = int(4e9) * 64
    assert number <= number + drawn < number + 1 and (number + drawn) - number == drawn


def test_a_device_has_one_lot_for_a_quarter_of_a_second_which_nobody_can_foretell_without_the_key() -> None:
    lots = [lot(TICKET.device, now, KEY) for now in (8.0, 8.24, 8.25, 8.49, 8.5)]
    assert lots[0] == lots[1] != lots[2] == lots[3] != lots[4]
    assert lot("d-BAAAAAAAAAAAAAAAAAAAAA", 8.0, KEY) != lots[0] != lot(TICKET.device, 8.0, b"x" * 32)
