"""What a partner's own traffic tells of it."""

import pytest

from prikkfri.protocols.smpp.receipt import MessageState, Receipt
from prikkfri.sms.conformance import WORDS_MAX, Traffic, label


def said(word: str) -> Receipt:
    return Receipt("1", None, word=word)


def test_each_unknown_word_is_told_once_and_counted_always() -> None:
    traffic = Traffic()
    assert traffic.note_receipts([said("GONE"), Receipt("1", MessageState.EXPIRED), said("GONE"), said("")]) == [
        "GONE", "none"
    ]  # fmt: skip
    assert traffic.note_receipts([said("GONE"), said("gone"), Receipt("1", MessageState.EXPIRED)], unnamed=2) == [
        "gone"
    ]
    assert dict(traffic.unknown) == {"GONE": 3, "none": 1, "gone": 1}
    assert (dict(traffic.states), traffic.unnamed) == ({"EXPIRED": 2}, 2)


def test_words_without_end_are_counted_together() -> None:
    traffic = Traffic()
    words = [f"w{number}" for number in range(WORDS_MAX + 3)]
    assert traffic.note_receipts([said(word) for word in words]) == [*words[:WORDS_MAX], "other"]
    assert traffic.note_receipts([said("w0"), said("w900")]) == []
    assert (len(traffic.unknown), traffic.unknown["other"], traffic.unknown["w0"]) == (WORDS_MAX + 1, 4, 2)


@pytest.mark.parametrize(
    ("word", "shown"), [("GONE", "GONE"), ('a"b', 'a\\"b'), ("a\\b", "a\\\\b"), ("a\nb", "a\\nb"), ("ø", "\\xf8")]
)
def test_a_word_is_a_label_whatever_it_says(word: str, shown: str) -> None:
    assert label(word) == shown
