"""The house's terms as people on duty say them."""

import pytest

from prikkfri.assurance import plain
from prikkfri.assurance.segments import Segment


@pytest.mark.parametrize(
    ("segment", "said"),
    [
        ({}, "everything"),
        ({"channel": "havn"}, "Havn"),
        ({"service": "television", "step": "watch", "channel": "sport"}, "watching (Sport)"),
        ({"service": "television", "step": "sign-in", "layer": "signin"}, "sign-in"),
        ({"layer": "sms-centre"}, "the message centre"),
        ({"layer": "unheard-of"}, "unheard-of"),
        ({"service": "messages"}, "messages"),
        (
            {"step": "deliver", "partner": "Telia", "direction": "out"},
            "delivery of messages (going out, partner Telia)",
        ),
        ({"direction": "in"}, "coming in"),
        ({"step": "watch", "seen": "reported"}, "watching (as devices report)"),
        ({"step": "a-new-step"}, "a new step"),
    ],
)
def test_a_place_is_said_without_our_terms(segment: dict[str, str], said: str) -> None:
    assert plain.place(Segment.of(segment)) == said


def test_what_is_not_affected_is_a_sentence() -> None:
    assert plain.not_affected(["Havn", "Sport"]) == "Havn and Sport are not affected"
    assert plain.not_affected(["Havn"]) == "Havn is not affected"
    assert plain.not_affected(["Havn"], over=True) == "Havn was not affected"
    assert plain.not_affected(["Havn", "Sport"], over=True) == "Havn and Sport were not affected"
    assert plain.listed(["a", "b", "c"]) == "a, b and c" and plain.listed([]) == ""


def test_who_and_why_are_said_in_words() -> None:
    assert [plain.who(each) for each in ("data", "rule:fallback", "rule:new", "kari")] == [
        "the system", "the rule for open channels", "the rule new", "kari",
    ]  # fmt: skip
    assert plain.reason("overloaded") == "too many at once" and plain.reason("network-001") == "network 001"
