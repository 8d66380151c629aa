"""The limits of each verdict on a canary, to the moment."""

import pytest

from prikkfri.sms.canaries.verdicts import Canary, Verdict, judge
from prikkfri.sms.lifecycle import DeliveryState

GRACE = 10.0
"""Seconds; taken by the network at 100, a canary is due on its phone at 110."""


def canary(state: DeliveryState = DeliveryState.SENT, **known: float) -> Canary:
    times = {"attempted_at": 99.0, "sent_at": 100.0, "ended_at": 0.0, "arrived_at": 0.0, "stray_at": 0.0, **known}
    return Canary("token", "id", "nord", "4790000001", state, *times.values())


def verdict(of: Canary, *, now: float, heard_at: float = 1e9) -> Verdict | None:
    judged = judge(of, heard_at, grace_seconds=GRACE, now=now)
    assert judged is None or judged.canary is of
    assert judged is None or judged.receipted is (of.state is DeliveryState.DELIVERED)
    return judged and judged.verdict


DELIVERED = DeliveryState.DELIVERED
LIMITS = [
    # on its phone just in time, or just too late
    (canary(DELIVERED, ended_at=101.0, arrived_at=110.0), 110.0, Verdict.ARRIVED),
    (canary(DELIVERED, ended_at=101.0, arrived_at=110.1), 110.1, Verdict.LATE),
    # counted from the attempt where no answer came
    (canary(DELIVERED, ended_at=101.0, sent_at=0.0, arrived_at=109.0), 109.0, Verdict.ARRIVED),
    (canary(DELIVERED, ended_at=101.0, sent_at=0.0, arrived_at=109.1), 109.1, Verdict.LATE),
    # there, and its receipt has the same time to come
    (canary(arrived_at=101.0), 110.0, None),
    (canary(arrived_at=101.0), 110.1, Verdict.ARRIVED),
    # not there
    (canary(), 110.0, None),
    (canary(), 110.1, Verdict.LOST),
    (canary(DELIVERED, ended_at=104.0), 114.0, None),
    (canary(DELIVERED, ended_at=104.0), 114.1, Verdict.MISSING),
    (canary(DeliveryState.SENDING, sent_at=0.0), 1_000.0, None),
    # ended otherwise
    (canary(DeliveryState.UNREPORTED, ended_at=101.0), 101.0, Verdict.REFUSED),
    (canary(DeliveryState.EXPIRED, sent_at=0.0, ended_at=101.0), 101.0, Verdict.UNSENT),
    # on another phone: nothing else counts
    (canary(DeliveryState.WAITING, sent_at=0.0, stray_at=1.0), 1.0, Verdict.WRONG_PHONE),
    (canary(DELIVERED, ended_at=101.0, arrived_at=101.0, stray_at=200.0), 200.0, Verdict.WRONG_PHONE),
]


@pytest.mark.parametrize(("of", "now", "expected"), LIMITS)
def test_a_canary_is_judged_at_the_moment_when_its_time_is_over(
    of: Canary, now: float, expected: Verdict | None
) -> None:
    assert verdict(of, now=now) == expected


def test_a_phone_must_have_been_heard_after_the_canary_was_due_and_has_three_times_as_long() -> None:
    gone = canary(DELIVERED, ended_at=101.0)  # due at 111
    assert verdict(gone, now=111.2, heard_at=111.1) is Verdict.MISSING
    assert verdict(gone, now=111.2, heard_at=111.0) is None
    assert verdict(gone, now=141.0, heard_at=111.0) is None
    assert verdict(gone, now=141.1, heard_at=111.0) is Verdict.UNTOLD
    assert verdict(gone, now=141.1, heard_at=111.1) is Verdict.MISSING


def test_what_the_network_says_is_delivered_has_a_time_of_its_own_to_be_told_of() -> None:
    gone = canary(DELIVERED, ended_at=101.0)
    for receipted, now, expected in ((4.0, 105.0, None), (4.0, 105.1, Verdict.MISSING), (20.0, 111.1, Verdict.MISSING)):
        found = judge(gone, 1e9, grace_seconds=GRACE, now=now, receipted_seconds=receipted)
        assert (found and found.verdict) == expected
    # Without a receipt, and once it is there, it makes no difference.
    assert judge(canary(), 1e9, grace_seconds=GRACE, now=109.0, receipted_seconds=4.0) is None
    late = judge(
        canary(DELIVERED, ended_at=101.0, arrived_at=109.0), 0.0, grace_seconds=GRACE, now=109.0, receipted_seconds=4.0
    )
    assert late and late.verdict is Verdict.ARRIVED
