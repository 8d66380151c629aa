"""The limits of each verdict on a canary and on its way, to the moment and to the canary."""

import pytest

from prikkfri.sms.canaries.verdicts import (
    CONDEMNING_NATS,
    NATS,
    PROVING_NATS,
    Canary,
    Since,
    Trust,
    Verdict,
    change_point,
    judge,
    observe,
    opened,
    remembered,
)
from prikkfri.sms.lifecycle import State

GRACE = 10.0
"""Seconds; taken by the network at 100, a canary is due on its phone at 110."""
A, M, W = Verdict.ARRIVED, Verdict.MISSING, Verdict.WRONG_PHONE


def canary(state: State = State.SENT, **known: float) -> Canary:
    times = {"attempted_at": 99.0, "sent_at": 100.0, "ended_at": 0.0, "arrived_at": 0.0, "stray_at": 0.0, **known}
    return Canary("token", "id", "nord", "4790000001", state, *times.values())


def verdict(of: Canary, *, now: float, heard_at: float = 1e9) -> Verdict | None:
    judged = judge(of, heard_at, grace_seconds=GRACE, now=now)
    assert judged is None or judged.canary is of
    assert judged is None or judged.receipted is (of.state is State.DELIVERED)
    return judged and judged.verdict


DELIVERED = State.DELIVERED
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
    (canary(State.SENDING, sent_at=0.0), 1_000.0, None),
    # ended otherwise
    (canary(State.UNREPORTED, ended_at=101.0), 101.0, Verdict.REFUSED),
    (canary(State.EXPIRED, sent_at=0.0, ended_at=101.0), 101.0, Verdict.UNSENT),
    # on another phone: nothing else counts
    (canary(State.WAITING, sent_at=0.0, stray_at=1.0), 1.0, Verdict.WRONG_PHONE),
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


def after(*verdicts: Verdict, trust: Trust | None = None) -> Trust:
    trust = trust or Trust()
    for each in verdicts:
        trust = observe(trust, each)
    return trust


def test_evidence_that_reaches_the_limit_exactly_condemns() -> None:
    below = Trust(evidence=CONDEMNING_NATS - NATS[W])
    assert observe(below, W).condemned
    assert not observe(Trust(evidence=below.evidence - 1e-6), W).condemned
    assert not observe(Trust(evidence=CONDEMNING_NATS), A).condemned  # what is good never does


def test_proof_that_reaches_the_limit_exactly_proves() -> None:
    assert not observe(Trust(condemned=True, proof=PROVING_NATS), Verdict.LOST).condemned
    assert observe(Trust(condemned=True, proof=PROVING_NATS - 1e-6), Verdict.LOST).condemned


def test_more_light_on_a_canary_weighs_as_much_as_all_of_it_at_once() -> None:
    trust = Trust(evidence=1.0)
    assert observe(observe(trust, M), W, earlier=M) == observe(trust, W)
    assert observe(observe(trust, Verdict.LOST), W, earlier=Verdict.LOST) == observe(trust, W)
    assert observe(trust, Verdict.LOST).evidence == 1.0
    assert observe(Trust(), A).evidence == 0.0


def test_a_way_is_counted_by_canaries_and_not_by_verdicts() -> None:
    trust = after(A, M, Verdict.LOST)
    assert (trust.judged, trust.astray) == (3, 1)
    more = observe(trust, W, earlier=M)  # the same canary, seen again
    assert (more.judged, more.astray) == (3, 1)
    found = observe(trust, W, earlier=A)
    assert (found.judged, found.astray) == (3, 2)


def test_a_hundred_good_ones_in_a_row_prove_a_way_and_wipe_the_slate() -> None:
    condemned = after(W, W)
    needed, trust = 0, condemned
    while trust.condemned:
        needed, trust = needed + 1, observe(trust, A)
    assert needed == 100
    assert trust.evidence == 0.0
    assert after(W, trust=trust).condemned is False  # what it was condemned for no longer weighs
    # One that goes astray in between, and all begin anew.
    again = after(*[A] * 99, M, *[A] * 99, trust=condemned)
    assert again.condemned
    assert not observe(again, A).condemned
    # What only got lost proves nothing, and disproves nothing.
    assert not after(*[A, Verdict.LOST] * 100, trust=condemned).condemned


def test_opened_by_a_person_it_takes_as_much_as_at_first_to_stop_it_again() -> None:
    excused = opened(after(W, W))
    assert (excused.condemned, excused.to_be_stopped, excused.evidence) == (True, False, 0.0)
    once = observe(excused, W)
    assert (once.excused, once.to_be_stopped) == (True, False)
    twice = observe(once, W)
    assert (twice.excused, twice.to_be_stopped) == (False, True)


def test_what_was_decided_up_to_the_opening_counts_before_it() -> None:
    decided = [(1.0, str(W)), (2.0, str(W)), (3.0, str(W))]
    assert remembered(decided, 2.0) == observe(opened(after(W, W)), W)
    assert remembered(decided, 1.9) == after(W, W, trust=opened(after(W)))
    assert remembered(decided, 0.0) == after(W, W, W)
    assert remembered(decided, 9.0) == opened(after(W, W, W))
    assert remembered([], 0.0) == Trust()


def told(text: str) -> list[tuple[float, str]]:
    """A letter a canary, one each second from 1 on."""
    return [(float(number), str({"a": A, "m": M, "w": W}[letter])) for number, letter in enumerate(text, 1)]


@pytest.mark.parametrize(
    ("text", "earliest", "likeliest"),
    [
        ("aaaaw", 1.0, 5.0),  # so little is known that it may have been so all along
        ("w", 1.0, 1.0),
        ("m" + "a" * 60, 1.0, 1.0),  # the sum is below one nat, and above nothing
        ("aaww", 1.0, 3.0),
        ("a" * 200 + "ww", 61.0, 201.0),  # 139 good ones weigh 7 nats, and the fault began after the one before
        ("a" * 200 + "waaw", 61.0, 201.0),
        ("w" + "a" * 300 + "ww", 1.0, 302.0),
        ("w" + "a" * 500 + "ww", 362.0, 502.0),  # the first one is history
        ("m" + "a" * 60 + "m", 1.0, 1.0),
        ("m" + "a" * 90 + "m", 1.0, 92.0),
    ],
)
def test_since_when_is_the_likeliest_canary_and_the_last_one_before_it_could_have_begun(
    text: str, earliest: float, likeliest: float
) -> None:
    assert change_point(told(text)) == Since(earliest, likeliest)


def test_what_says_nothing_of_strays_neither_begins_nor_ends_anything() -> None:
    lost = [(float(number), str(Verdict.LOST)) for number in range(1, 30)]
    assert change_point(lost) is None
    assert change_point([]) is None
    assert change_point([*lost, (30.0, str(W))]) == Since(1.0, 30.0)
    assert change_point([*lost, (30.0, str(M)), (31.0, str(Verdict.LOST))]) == Since(1.0, 30.0)
