"""Tickets cannot be bettered, and live for an evening."""

from hypothesis import given
from hypothesis import strategies as st

from prikkfri.door.ticket import LIFETIME_SECONDS, Ticket, opened, sealed

KEY = b"k" * 32
TICKET = Ticket(5, 1_700_000_000.25, b"0123456789ab", "d-AAAAAAAAAAAAAAAAAAAAAA")

tickets = st.builds(
    Ticket,
    number=st.integers(0, 2**64 - 1),
    joined_at=st.floats(0, 4e9),
    ticket_id=st.binary(min_size=12, max_size=12),
    device=st.from_regex(r"d-[A-Za-z0-9_-]{22}", fullmatch=True),
)


@given(tickets)
def test_a_ticket_comes_back_as_it_was(ticket: Ticket) -> None:
    text = sealed(ticket, KEY)
    assert opened(text, KEY, ticket.joined_at) == ticket
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
