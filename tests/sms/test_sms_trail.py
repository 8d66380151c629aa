"""The trail of a message, as its sender and our people see it."""

from dataclasses import replace

import pytest

from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.trail import Facts, Step, build_trail

FACTS = Facts("id", 1, 1, "account:shop", "link:nord", "log-in-code", "4740000001", "4790000001",
              DeliveryState.DELIVERED, "why", 2, 10.0, 20.0, 30.0, 40.0, 50.0, "given", 45.0)  # fmt: skip


def test_a_trail_tells_each_step_in_its_time_and_nobodys_number() -> None:
    trail = build_trail([FACTS], [Step(15.0, "refused-for-now", "smpp-58"), Step(5.0, "first")])
    assert trail.steps == (
        Step(5.0, "first"),
        Step(10.0, "accepted", "from account shop, class log-in-code, for link nord"),
        Step(15.0, "refused-for-now", "smpp-58"),
        Step(20.0, "attempted", "attempt 2"),
        Step(30.0, "sent", "taken by link nord"),
        Step(40.0, "delivered", "why"),
        Step(45.0, "receipt-given", "to account shop"),
    )
    assert (trail.id, trail.state, trail.account) == ("id", "delivered", "shop")
    assert "90000001" not in str(trail)
    assert "40000001" not in str(trail)


def test_what_has_not_come_is_not_told() -> None:
    waiting = replace(
        FACTS, state=DeliveryState.WAITING, attempts=0, attempted_at=0.0, sent_at=0.0, ended_at=0.0, receipt=""
    )
    assert [step.event for step in build_trail([waiting], []).steps] == ["accepted"]
    for receipt in ("", "waiting", "sending"):
        trail = build_trail([replace(FACTS, receipt=receipt)], [])
        assert "receipt-given" not in [step.event for step in trail.steps]
    given_back = replace(waiting, attempted_at=20.0)  # claimed, and never written
    assert [step.event for step in build_trail([given_back], []).steps] == ["accepted"]
    for state in (DeliveryState.SENDING, DeliveryState.IN_DOUBT, DeliveryState.SENT):
        steps = build_trail([replace(FACTS, state=state)], []).steps
        assert state not in [step.event for step in steps if step.time == 40.0]


def test_what_a_link_handed_in_is_no_accounts() -> None:
    trail = build_trail([replace(FACTS, origin="link:nord", target="account:shop")], [])
    assert trail.account == ""
    assert trail.steps[0].detail == "from link nord, class log-in-code, for account shop"


def test_the_parts_of_a_long_message_are_told_apart() -> None:
    parts = [replace(FACTS, id=f"id-{part}", part=part, parts=2, ended_at=40.0 + part) for part in (1, 2)]
    trail = build_trail(parts, [])
    assert trail.id == "id-1"
    assert [step.detail for step in trail.steps if step.event == "delivered"] == [
        "part 1 of 2: why",
        "part 2 of 2: why",
    ]
    assert [step.detail[:12] for step in trail.steps if step.event in ("attempted", "sent", "accepted")] == [
        "part 1 of 2:",
        "part 2 of 2:",
    ] * 3


ORDER = ("waiting", "sending", "in-doubt", "sent", "quarantined", "rejected", "undeliverable", "expired", "unreported",
         "delivered")  # fmt: skip


@pytest.mark.parametrize("number", range(len(ORDER)))
def test_of_several_parts_the_one_that_is_furthest_behind_or_ended_worst_tells(number: int) -> None:
    worse, better = DeliveryState(ORDER[number]), [DeliveryState(each) for each in ORDER[number:]]
    for other in better:
        for pair in ((worse, other), (other, worse)):
            assert build_trail([replace(FACTS, state=state) for state in pair], []).state == worse
