"""The message's states and ids, against the drawing at the head of `messages.py` and not against its table."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.protocols.smpp.receipt import MessageState
from prikkfri.sms.lifecycle import ENDED, TRANSITIONS, DeliveryState
from prikkfri.sms.messages import RECEIPT_STATES, Message, message_id, network_state, reference_of
from prikkfri.sms.sealing import Binding

# Each arrow of the drawing. These are the guards of the store's statements: one too many, and a late word of a
# network undoes an end or sends somebody's message twice.
ARROWS = {
    ("waiting", "sending"), ("waiting", "expired"), ("waiting", "in-doubt"),
    ("sending", "waiting"), ("sending", "sent"), ("sending", "in-doubt"), ("sending", "quarantined"),
    ("sending", "rejected"), ("sending", "delivered"),
    ("sent", "delivered"), ("sent", "undeliverable"), ("sent", "rejected"), ("sent", "expired"),
    ("sent", "unreported"),
    ("in-doubt", "waiting"), ("in-doubt", "sent"), ("in-doubt", "delivered"), ("in-doubt", "undeliverable"),
    ("in-doubt", "rejected"), ("in-doubt", "expired"), ("in-doubt", "unreported"),
    ("quarantined", "waiting"), ("quarantined", "rejected"), ("waiting", "unreported"),  # by a person alone
}  # fmt: skip


def test_a_message_takes_the_ways_of_the_drawing_and_no_others() -> None:
    assert {(str(now), str(then)) for now, following in TRANSITIONS.items() for then in following} == ARROWS
    assert set(TRANSITIONS) == set(DeliveryState)


def test_what_has_ended_stays_ended() -> None:
    leaving = {now for now, _ in ARROWS} - {"quarantined"}
    assert {str(state) for state in ENDED} == {str(state) for state in DeliveryState} - leaving
    assert {"delivered", "undeliverable", "rejected", "expired", "unreported", "quarantined"} == set(ENDED)


def test_a_sender_is_told_what_became_of_a_message() -> None:
    """SMPP 3.4, 5.2.28. Only what was delivered is called so; of what is held nobody is told more than unknown."""
    told = {"delivered": 2, "undeliverable": 5, "rejected": 8, "expired": 3, "unreported": 7, "quarantined": 7}
    assert {str(state): int(number) for state, number in RECEIPT_STATES.items()} == told


def test_a_networks_word_ends_a_message_in_its_state() -> None:
    meaning = {1: None, 2: "delivered", 3: "expired", 4: "undeliverable", 5: "undeliverable", 6: None,
               7: "unreported", 8: "rejected"}  # fmt: skip
    assert {int(state): network_state(state) for state in MessageState} == meaning


@given(st.integers(0, 2**44 - 1), st.integers(0, 2**44 - 1), st.binary(min_size=5, max_size=5))
def test_ids_sort_by_time(first: int, second: int, entropy: bytes) -> None:
    early, late = sorted((first, second))
    a, b = message_id(early / 1000 + 0.0002, entropy), message_id(late / 1000 + 0.0002, bytes(5))
    assert len(a) == len(b) == 21
    assert (a[:11] < b[:11]) is (early < late)
    assert a[11:] == entropy.hex()


def test_a_reference_fits_its_parameter_and_tells_messages_apart() -> None:
    draw = random.Random(1)
    ids = [message_id(1_700_000_000.0 + n / 1000, draw.randbytes(5)) for n in range(500)]
    ids += [f"{ids[0]}-{part}" for part in range(2, 256)]
    references = {identity: reference_of(identity) for identity in ids}
    assert all(0 <= reference < 2**16 for reference in references.values())
    assert len(set(references.values())) > 0.97 * len(ids)
    # What went out before an upgrade comes back after it.
    assert reference_of("018bcfe56800123456789") == 5_982
    assert reference_of("018bcfe56800123456789-2") == 15_673


def message(**fields: object) -> Message:
    return Message(
        **{
            "id": "id-2", "submission": "id", "part": 2, "parts": 2, "origin": "account:shop", "target": "link:nord",
            "message_class": "ordinary", "sender": "Shop", "recipient": "4790000001", "sealed": b"", "registered": 0,
            "accepted_at": 1.0, "due_at": 2.0, "expires_at": 3.0, **fields,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "target", "goes"),
    [
        ("account:shop", "link:nord", True),
        ("link:sor", "link:nord", True),
        ("canary:nord", "link:nord", False),
        ("account:shop", "account:clinic", False),
        ("account:shop", "held:nord", False),
        ("account:canary", "link:nord", True),
    ],
)
def test_what_goes_to_a_network_is_somebodys_message_to_a_link(origin: str, target: str, goes: bool) -> None:
    assert message(origin=origin, target=target).goes_to_network is goes


def test_a_seal_is_bound_to_all_that_says_whose_a_message_is() -> None:
    assert message().binding == Binding(
        message_id="id-2",
        account="account:shop",
        sender="Shop",
        recipient="4790000001",
        part=2,
        expires_at=3.0,
        message_class="ordinary",
    )
