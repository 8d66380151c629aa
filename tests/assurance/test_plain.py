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


@pytest.mark.parametrize(
    ("service", "segment", "said"),
    [
        ("television", {"channel": "havn"}, "Havn"),
        ("receipts", {"link": "nordtel"}, "receipts over link nordtel"),
        ("receipts", {"partner": "Nordtel"}, "receipts of partner Nordtel"),
        ("messages", {"class": "notice"}, "messages of class notice"),
        ("messages", {"direction": "in"}, "messages coming in"),
        ("messages", {"region": "Oslo"}, "messages in region Oslo"),
        ("messages", {"step": "submit"}, "handing in messages"),
        ("messages", {"layer": "sms-centre"}, "the message centre"),
    ],
)
def test_a_part_of_a_service_is_said_with_it_where_it_is_a_part_of_others_too(
    service: str, segment: dict[str, str], said: str
) -> None:
    assert plain.place_in(service, Segment.of(segment)) == said


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
