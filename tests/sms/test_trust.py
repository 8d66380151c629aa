"""Whether a route is to be trusted: the evidence, its bounds, when one looks closer, and how soon what is noticed."""

import random
from collections.abc import Sequence
from dataclasses import replace
from math import exp, inf, log
from statistics import mean, quantiles

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.sms.canaries.verdicts import ASTRAY, Canary, Verdict
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.trust import flying
from prikkfri.sms.trust.evidence import (
    CONDEMNING_NATS,
    ELSEWHERE_ORDINARILY,
    HINTS,
    HINTS_NATS_MAX,
    MISSING_ORDINARILY,
    NOTHING,
    SHARES,
    START_SECONDS,
    STRAYS_ON_OURS,
    UNHINTED,
    WEIGHTS,
    Evidence,
    Gap,
    Hint,
    factors,
    false_alarms_max,
    start_alternatives,
    weigh,
    weigh_hints,
)
from prikkfri.sms.trust.flying import Allowance, is_missed, is_suspicious, pause
from prikkfri.sms.trust.noticing import (
    CanarySchedule,
    DetectableShare,
    detectable_shares,
    seconds_to_notice,
    settling_seconds,
)
from prikkfri.sms.trust.routes import PROVING_NATS, Trust, observe, observe_hints, reopen, replay_verdicts, usable
from prikkfri.sms.trust.since import FaultOnset, change_point

A, M, W = Verdict.ARRIVED, Verdict.MISSING, Verdict.WRONG_PHONE
LETTERS = {"a": A, "m": M, "w": W}
PHONES = tuple(f"479000080{number}" for number in range(8))


def after(text: str, trust: Trust | None = None, *, phones: Sequence[str] = PHONES, now: float = 1.0) -> Trust:
    """The trust after canaries, a letter each, to each phone in turn, one a second."""
    trust = trust or Trust()
    for letter in text:
        phone = phones[trust.judged % len(phones)]
        trust = observe(trust, phone, LETTERS[letter], sent_at=float(trust.judged), now=now)
    return trust


# The evidence.


def ordinarily() -> list[tuple[Verdict, float]]:
    """All that may become of a canary that tells anything, and how often it does on an honest route."""
    return [
        (A, 1 - MISSING_ORDINARILY - ELSEWHERE_ORDINARILY),
        (M, MISSING_ORDINARILY),
        (W, ELSEWHERE_ORDINARILY),
    ]


@pytest.mark.parametrize("left_out", [False, True])
def test_what_a_canary_is_worth_is_one_in_the_mean_while_the_route_is_honest(left_out: bool) -> None:
    """Of each alternative, so of any mixture of them: an e-value. Of a phone that is left out, too."""
    before = Evidence({"": WEIGHTS, "1": WEIGHTS, "2": WEIGHTS}, 1.0)
    of = "1" if left_out else "2"
    means = [
        sum(often * weigh(before, "1", verdict, sent_at=1.0).sums[of][at] for verdict, often in ordinarily()) / weight
        for at, weight in enumerate(WEIGHTS)
    ]
    assert means == pytest.approx([1.0] * len(WEIGHTS), rel=1e-9)


@pytest.mark.parametrize("hint", Hint)
def test_what_hints_are_worth_is_one_in_the_mean_when_they_come_as_often_as_is_stated(hint: Hint) -> None:
    rates, messages, seconds = HINTS[hint], 1_000, 7_200.0
    expected = rates.ordinarily * (seconds / 3600 if rates.hourly else messages)
    least = [*WEIGHTS]
    total = [0.0] * len(WEIGHTS)
    often = exp(-expected)  # Poisson's
    for times in range(60):
        found = weigh_hints(NOTHING, {hint: times}, messages=messages, seconds=seconds).sums[""]
        total = [so_far + often * each for so_far, each in zip(total, found, strict=True)]
        often *= expected / (times + 1)
    at = len(SHARES) * (1 + list(Hint).index(hint))
    if not rates.hourly:  # three complaints within two hours, and larger shares, are cut by the bound
        for each, weight in zip(total[at : at + 3], least[at:], strict=False):
            assert each / weight == pytest.approx(1.0, rel=1e-3)
    assert all(each <= weight * (1 + 1e-9) for each, weight in zip(total, least, strict=True))


def test_an_alternative_with_a_hint_has_it_and_no_other() -> None:
    found = weigh_hints(NOTHING, {Hint.PEOPLE: 1}, messages=0, seconds=0.0).sums[""]
    people = HINTS[Hint.PEOPLE]
    wanted = [*WEIGHTS]
    for number, share in enumerate(SHARES):
        wanted[len(SHARES) + number] *= 1 + share * people.astray / people.ordinarily
    assert found == pytest.approx(tuple(wanted))


def test_silence_speaks_for_a_route_in_so_far_as_hints_would_have_come() -> None:
    found = weigh_hints(NOTHING, {}, messages=1_000, seconds=3_600.0).sums[""]
    for hint, rates in HINTS.items():
        at = len(SHARES) * (1 + list(Hint).index(hint))
        for number, share in enumerate(SHARES):
            more = rates.astray if rates.hourly else rates.astray * share * 1_000
            assert found[at + number] == pytest.approx(WEIGHTS[at + number] * exp(-more))
    assert found[: len(SHARES)] == WEIGHTS[: len(SHARES)]


def test_the_weights_are_one_together_and_most_of_them_need_no_hint() -> None:
    assert sum(WEIGHTS) == pytest.approx(1.0)
    assert sum(WEIGHTS[: len(SHARES)]) == pytest.approx(UNHINTED)
    assert len(WEIGHTS) == len(SHARES) * (1 + len(Hint))


def test_factors_are_the_ratios_of_what_is_stated() -> None:
    assert factors(M)[3] == pytest.approx(0.05 * (1 - STRAYS_ON_OURS) / 0.001)
    assert factors(W)[3] == pytest.approx(0.05 * STRAYS_ON_OURS / 0.000001)
    assert factors(A)[3] == pytest.approx(0.95 / 0.998999)
    assert factors(A)[-1] == 0.0  # all astray: one that is at home excludes it
    for verdict in (None, *(each for each in Verdict if each not in (A, M, W))):
        assert set(factors(verdict)) == {1.0}


def test_a_start_comes_each_minute_and_is_one_however_long_nothing_was_seen() -> None:
    first = start_alternatives(NOTHING, 100.0)
    assert (first.sums, first.started_at) == (NOTHING.sums, 100.0)
    assert (
        start_alternatives(first, 100.0)
        is start_alternatives(first, 100.5)
        is start_alternatives(first, 100.0 + START_SECONDS - 0.01)
        is first
    )
    once = start_alternatives(first, 100.0 + START_SECONDS)
    assert once.sums[""] == pytest.approx([2 * weight for weight in WEIGHTS])
    assert once.started_at == 100.0 + START_SECONDS
    assert start_alternatives(first, 1e6).sums == once.sums
    assert start_alternatives(first, 99.0).started_at == 99.0  # the clock was set back
    assert false_alarms_max(1_000.0) == pytest.approx(60_000 / exp(16.0))
    assert false_alarms_max(1_000.0) < 0.01


def test_phones_that_lose_all_that_they_get_stop_nothing_and_a_share_of_each_does() -> None:
    broken = Trust()
    for number in range(400):
        verdict = M if number % 8 < 3 else A
        broken = observe(broken, PHONES[number % 8], verdict, sent_at=float(number), now=1.0 + number)
    assert (broken.astray, broken.condemned) == (150, False)
    flaky = Trust()
    for number in range(400):
        verdict = M if number % 8 == 0 and number % 16 == 0 else A  # one of eight phones loses every other
        flaky = observe(flaky, PHONES[number % 8], verdict, sent_at=float(number), now=1.0 + number)
    assert (flaky.astray, flaky.condemned) == (25, False)
    assert flaky.evidence.nats < 2.0
    assert after("m" * 8).condemned  # all that goes that way
    assert after("m" * 4, phones=PHONES[:4]).condemned


def test_what_a_phone_misses_after_one_that_it_missed_says_nothing_until_it_has_got_one() -> None:
    def weighs(evidence: Evidence, verdict: Verdict, sent_at: float) -> bool:
        ratio = weigh(evidence, "x", verdict, sent_at=sent_at).sums[""][3] / evidence.sums[""][3]
        found = ratio == pytest.approx(factors(verdict)[3])
        assert found or ratio == pytest.approx(1 - SHARES[3] * STRAYS_ON_OURS, rel=1e-5)
        return found

    def seen(evidence: Evidence, verdict: Verdict, sent_at: float) -> Evidence:
        return weigh(evidence, "x", verdict, sent_at=sent_at)

    first = seen(NOTHING, M, 10.0)
    assert first.gaps == {"x": Gap(10.0)}
    assert first.sums[""] == pytest.approx([w * f for w, f in zip(WEIGHTS, factors(M) * 5, strict=True)])
    for verdict, sent_at in ((M, 11.0), (A, 11.0), (M, 9.0), (A, 9.0)):
        assert not weighs(first, verdict, sent_at)
    assert seen(first, M, 11.0).gaps == first.gaps == seen(first, A, 10.0).gaps == seen(first, Verdict.LOST, 12.0).gaps
    closed = seen(first, A, 12.0)
    assert closed.gaps == {"x": Gap(10.0, 12.0)}
    # What was on its way to it then belongs to the same gap.
    for verdict, sent_at in ((M, 11.0), (M, 12.0), (A, 12.0)):
        assert not weighs(closed, verdict, sent_at)
        assert seen(closed, verdict, sent_at).gaps == closed.gaps
    assert weighs(closed, A, 12.1) and seen(closed, A, 12.1).gaps == closed.gaps
    assert weighs(closed, M, 12.1) and seen(closed, M, 12.1).gaps == {"x": Gap(12.1)}
    # On another phone it counts all the same, and so does what others miss.
    assert seen(first, W, 11.0).sums[""] == pytest.approx(
        [total * factor for total, factor in zip(first.sums[""], factors(W) * 5, strict=True)]
    )
    assert weigh(first, "y", M, sent_at=11.0).gaps == {"x": Gap(10.0), "y": Gap(11.0)}


def test_a_lone_phone_is_believed_of_a_share_and_a_new_one_inherits_what_is_known() -> None:
    assert not after("m" * 80, phones=PHONES[:1]).condemned
    assert after("maa" * 8, phones=PHONES[:1]).condemned
    before = after("m", phones=PHONES[:1]).evidence
    second = weigh(before, "other", A, sent_at=1.0)
    assert second.sums["other"] == pytest.approx(
        [
            total * (1 - share * STRAYS_ON_OURS) / (1 - 1e-6)
            for total, share in zip(before.sums[""], SHARES * 5, strict=True)
        ]
    )
    assert second.sums[""] == pytest.approx([t * f for t, f in zip(before.sums[""], factors(A) * 5, strict=True)])


def test_more_light_on_a_canary_weighs_as_much_as_all_of_it_at_once() -> None:
    base = after("aam")
    in_two = observe(observe(base, "x", M, sent_at=50.0, now=1.0), "x", W, earlier=str(M), sent_at=50.0, now=1.0)
    at_once = observe(base, "x", W, sent_at=50.0, now=1.0)
    for phone, sums in at_once.evidence.sums.items():
        assert in_two.evidence.sums[phone] == pytest.approx(sums)
    assert (in_two.judged, in_two.astray) == (at_once.judged, at_once.astray) == (4, 2)
    lost = observe(base, "x", Verdict.LOST, sent_at=50.0, now=1.0)
    assert observe(lost, "x", W, earlier=str(Verdict.LOST), sent_at=50.0, now=1.0).astray == 2
    # One that had come home and turns up elsewhere as well.
    assert (
        after("w").evidence.nats
        < observe(after("a"), PHONES[0], W, earlier=str(A), sent_at=0.0, now=1.0).evidence.nats + 3
    )


def test_more_light_on_one_that_excluded_an_alternative_leaves_it_where_it_was() -> None:
    """One at home excludes that all goes astray; that it was elsewhere as well brings that back by its next start."""
    base = start_alternatives(after("a", now=1_000.0).evidence, 1_000.0 + START_SECONDS)
    more = weigh(base, PHONES[1], W, A, sent_at=1.0)
    assert base.sums[""][len(SHARES) - 1] == more.sums[""][len(SHARES) - 1] == WEIGHTS[len(SHARES) - 1]


def test_of_two_phones_either_must_reach_the_limit_without_the_other_and_one_alone_is_believed() -> None:
    high, low = tuple(weight * exp(9.0) for weight in WEIGHTS), WEIGHTS
    assert Evidence({"": high, "1": low, "2": high}).nats == pytest.approx(0.0)
    assert Evidence({"": high, "1": low}).nats == pytest.approx(9.0)


@pytest.mark.parametrize("hints", [False, True])
def test_nothing_is_suspected_before_anything_is_seen_whatever_the_shares_weigh(hints: bool) -> None:
    assert NOTHING.suspicion_nats(hints=hints) == pytest.approx(0.0)
    twice = Evidence({"": tuple(2 * weight for weight in WEIGHTS)})
    assert twice.suspicion_nats(hints=hints) == pytest.approx(log(2))


def test_what_tells_nothing_changes_no_sum() -> None:
    base = after("amaw").evidence
    for verdict in (each for each in Verdict if each not in (A, M, W)):
        assert weigh(base, PHONES[0], verdict, sent_at=9.0).sums == base.sums


def test_hints_bring_back_so_many_nats_at_once_and_no_more() -> None:
    low = Evidence({"": (exp(-30.0),) * len(WEIGHTS)})
    people = weigh_hints(low, {Hint.PEOPLE: 10_000}, messages=0, seconds=0.0).sums[""][len(SHARES) : 2 * len(SHARES)]
    assert people == pytest.approx([exp(10.0)] * len(SHARES))


def test_only_what_is_bad_condemns_however_high_the_sums_are() -> None:
    high = Trust(evidence=Evidence({"": tuple(exp(CONDEMNING_NATS) * weight * 2 for weight in WEIGHTS)}))
    assert high.evidence.condemns
    for hints in ({}, {Hint.PEOPLE: 0}):
        assert not observe_hints(high, hints, messages=0, seconds=0.0, now=1.0).condemned
    assert observe_hints(high, {Hint.PEOPLE: 1}, messages=0, seconds=0.0, now=1.0).condemned
    assert not observe(high, "x", Verdict.LOST, sent_at=1.0, now=1.0).condemned


def test_hints_alone_stop_nothing_and_save_canaries_that_say_the_same() -> None:
    crowd = observe_hints(Trust(), {Hint.PEOPLE: 10_000}, messages=1, seconds=1.0, now=1.0)
    assert crowd.evidence.nats > CONDEMNING_NATS
    assert not crowd.condemned
    assert not after("m", crowd).condemned

    def needed(trust: Trust) -> int:
        count = 0
        while not trust.condemned and count < 100:
            count, trust = count + 1, after("a" * 10 + "m", trust)
        return count

    assert needed(crowd) < needed(Trust())


def test_what_hints_count_for_is_bounded_to_the_nat() -> None:
    at = len(SHARES)

    def evidence(alone: float) -> Evidence:
        share = exp(alone) * UNHINTED / at
        return Evidence({"": (*[share] * at, exp(CONDEMNING_NATS), *WEIGHTS[at + 1 :])})

    assert evidence(CONDEMNING_NATS - HINTS_NATS_MAX + 1e-6).condemns
    assert not evidence(CONDEMNING_NATS - HINTS_NATS_MAX - 1e-6).condemns
    alone = Evidence({"": (exp(CONDEMNING_NATS) * (1 - 1e-9), *[0.0] * (len(WEIGHTS) - 1))})
    assert not alone.condemns
    assert Evidence({"": (exp(CONDEMNING_NATS) * (1 + 1e-9), *[0.0] * (len(WEIGHTS) - 1))}).condemns


def test_a_hint_that_comes_last_may_stop_what_canaries_nearly_did() -> None:
    nearly = Trust()
    while not (more := after("aaaam", nearly)).condemned and nearly.judged < 500:
        nearly = more
    assert nearly.evidence.nats_of_canaries > CONDEMNING_NATS - HINTS_NATS_MAX
    assert not observe_hints(nearly, {}, messages=0, seconds=0.0, now=1.0).condemned
    assert observe_hints(nearly, {Hint.PARTNER: 2}, messages=0, seconds=0.0, now=1.0).condemned


def test_nothing_outgrows_the_bound_so_that_it_can_fall_again() -> None:
    sums = after("w" * 40).evidence.sums
    assert max(max(each) for each in sums.values()) == pytest.approx(exp(20.0))


# Routes.


def needed(lots: random.Random, astray: float, on_ours: float = 0.0) -> int:
    trust, count = Trust(), 0
    while not trust.condemned and count < 2_000:
        letter = ("w" if lots.random() < on_ours else "m") if lots.random() < astray else "a"
        count, trust = count + 1, after(letter, trust, now=1.0 + count)
    return count


@pytest.mark.parametrize(
    ("astray", "on_ours", "mean_max", "within_95"),
    [(0.05, 0.0, 210, 380), (0.05, 0.3, 130, 280), (0.2, 0.0, 45, 90), (1.0, 0.0, 4, 4)],
)
def test_shares_are_found_within_the_stated_number_of_canaries(
    astray: float, on_ours: float, mean_max: float, within_95: float
) -> None:
    lots = random.Random(11)
    found = [needed(lots, astray, on_ours) for _ in range(40)]
    assert mean(found) <= mean_max
    assert quantiles(found, n=20)[-1] <= within_95


def test_an_honest_way_is_not_condemned() -> None:
    lots = random.Random(12)
    trust = Trust()
    for number in range(4_000):
        trust = after("m" if lots.random() < MISSING_ORDINARILY else "a", trust, now=1.0 + 2 * number)
        assert not trust.condemned


@given(st.lists(st.sampled_from([v for v in Verdict if v not in ASTRAY]), max_size=40))
def test_what_only_got_lost_condemns_nobody(verdicts: list[Verdict]) -> None:
    trust = Trust()
    for verdict in verdicts:
        trust = observe(trust, "x", verdict, sent_at=1.0, now=1.0)
    assert (trust.condemned, trust.astray, trust.judged, trust.changes) == (False, 0, len(verdicts), len(verdicts))


def test_a_hundred_good_ones_in_a_row_prove_a_way_and_wipe_the_slate() -> None:
    condemned = after("ww")
    assert condemned.condemned
    assert after("a" * 99, condemned).condemned
    proven = after("a" * 100, condemned, now=7.0)
    assert (condemned.proven_at, after("a" * 99, condemned, now=7.0).proven_at) == (0.0, 0.0)
    assert (proven.condemned, proven.proven_at, after("a", proven, now=9.0).proven_at) == (False, 7.0, 7.0)
    assert proven.evidence.sums == NOTHING.sums
    assert not after("w", proven).condemned  # what it was condemned for no longer weighs
    again = after("a" * 99 + "m" + "a" * 99, condemned)
    assert again.condemned
    assert not after("a", again).condemned
    for _ in range(100):  # what only got lost proves nothing, and disproves nothing
        condemned = observe(observe(condemned, "x", A, sent_at=9.0, now=1.0), "x", Verdict.LOST, sent_at=9.0, now=1.0)
    assert not condemned.condemned


def test_the_smaller_the_share_that_it_was_condemned_for_the_more_it_takes_to_prove_it() -> None:
    trust = Trust()
    while not trust.condemned and trust.judged < 5_000:
        trust = after("a" * 98 + "m", trust)
    assert trust.share == 0.01
    good = after("a" * 540, trust)
    assert good.condemned
    assert good.proof < PROVING_NATS
    assert not after("a" * 20, good).condemned


def test_what_still_goes_astray_once_it_is_found_makes_the_proof_no_longer() -> None:
    found = after("m" * 8)
    assert (found.to_be_stopped, found.share) == (True, 0.05)
    late = after("am" * 30 + "a", found)
    assert (late.to_be_stopped, late.share, late.astray) == (True, 0.05, found.astray + 30)
    assert after("a" * 98, late).condemned
    assert not after("a" * 99, late).condemned


def test_what_goes_astray_after_a_person_has_opened_it_says_anew_what_is_to_be_proven() -> None:
    excused = replace(reopen(after("m" * 8)), share=0.01)
    again = after("wwww", excused)
    assert (again.to_be_stopped, again.share) == (True, 0.05)


def test_proof_that_reaches_the_limit_exactly_proves_and_only_with_a_good_one() -> None:
    ready = Trust(condemned=True, proof=PROVING_NATS - log(0.999 / 0.95))
    assert not after("a", replace(ready, proof=ready.proof + 1e-9)).condemned
    assert after("a", replace(ready, proof=ready.proof - 1e-6)).condemned
    assert not after("a", ready).condemned


def test_what_a_route_is_condemned_for_is_read_where_the_shares_can_still_be_told_apart() -> None:
    """By all phones together what goes astray is worth the most long before it is without each: that tells no more."""
    high, low = exp(20.0), exp(14.0)
    hints = (0.0,) * (len(WEIGHTS) - len(SHARES))
    whole = (0.0, 0.9 * high, high, 0.9 * high, 0.1, 0.0, *hints)
    least, more = (0.0, 1.0, low, low * 4, 1.0, 0.0, *hints), (0.0, low * 9, low, 1.0, 1.0, 0.0, *hints)
    assert Evidence({"": whole, "1": least, "2": more}).likeliest_share == 0.05
    assert Evidence({"": whole, "1": least}).likeliest_share == 0.02, "one phone alone is believed"


def test_whatever_was_seen_before_three_in_ten_astray_is_proven_over_by_a_hundred() -> None:
    """Forty drawn faults, each after some minutes in which all was well: none is taken for a smaller one."""
    lots = random.Random(17)
    for _ in range(40):
        trust = Trust()
        for number in range(lots.randrange(20, 200)):
            trust = after("a", trust, now=1.0 + number)
        while not trust.condemned:
            trust = after("m" if lots.random() < 0.3 else "a", trust, now=1.0 + trust.judged)
        assert (trust.share, trust.canaries_to_prove) == (0.05, 100)


@settings(max_examples=40)
@given(st.sampled_from([0.01, 0.02, 0.05]), st.integers(0, 600), st.booleans())
def test_as_many_good_canaries_as_are_told_prove_a_route_and_no_fewer(share: float, good: int, missed: bool) -> None:
    gain = log((1 - MISSING_ORDINARILY) / (1 - share))
    begun = 0.0 if missed else min(good, int(PROVING_NATS / gain)) * gain
    trust = Trust(condemned=True, share=share, proof=begun)
    assert trust.being_proven is (begun > 0)
    left = trust.canaries_to_prove
    assert left > 0
    while trust.condemned:
        trust, left = observe(trust, PHONES[0], A, sent_at=1.0, now=1.0), left - 1
    assert (left, trust.canaries_to_prove, trust.being_proven) == (0, 0, False)


def test_a_proof_waits_for_what_may_be_missing_of_the_canaries_that_are_in_it() -> None:
    """What has come home is known at once, what is astray not: else a quick series would prove a route by its first."""

    def seen(trust: Trust, verdict: Verdict, now: float) -> Trust:
        return observe(trust, PHONES[0], verdict, sent_at=now, now=now, settling_seconds=10.0)

    nearly = Trust(condemned=True, proof=PROVING_NATS - 0.001)
    enough = seen(nearly, A, 50.0)
    assert (enough.condemned, enough.enough_at, enough.canaries_to_prove, enough.being_proven) == (True, 50.0, 0, True)
    more = enough
    for number in range(40):
        more = seen(more, A, 51.0 + number / 10)
    assert (more.condemned, more.canaries_to_prove) == (True, 0)
    for verdict in (A, Verdict.LOST):
        waits = seen(enough, verdict, 59.9)
        assert (waits.condemned, waits.enough_at) == (True, 50.0)
        proven = seen(waits, verdict, 60.0)
        assert (proven.condemned, proven.enough_at, proven.proven_at) == (False, 0.0, 60.0)
    missed = seen(enough, M, 59.9)
    assert (missed.condemned, missed.enough_at, missed.proof, missed.canaries_to_prove) == (True, 0.0, 0.0, 100)
    assert settling_seconds(30.0, 10.0) == settling_seconds(10.0, 30.0) == 14.0


def test_what_hints_have_condemned_is_proven_from_then_on() -> None:
    """Good canaries from before it was condemned, against another share perhaps, are no proof that it is over."""
    nearly = Trust()
    while not (more := after("aaaam", nearly)).condemned and nearly.judged < 500:
        nearly = more
    nearly = replace(nearly, proof=PROVING_NATS + 1)
    found = observe_hints(nearly, {Hint.PARTNER: 2}, messages=0, seconds=0.0, now=1.0)
    assert (found.condemned, found.proof, found.being_proven) == (True, 0.0, False)
    more = after("a", found)
    assert (more.condemned, more.being_proven) == (True, True)
    assert not replace(more, condemned=False).being_proven


def test_opened_by_a_person_it_takes_as_much_as_at_first_to_stop_it_again() -> None:
    hinted_at = observe_hints(after("ww"), {Hint.PEOPLE: 3}, messages=0, seconds=0.0, now=1.0)
    assert hinted_at.hints == {Hint.PEOPLE: 3}
    excused = reopen(hinted_at)
    assert (excused.condemned, excused.to_be_stopped, excused.evidence.sums) == (True, False, NOTHING.sums)
    assert (excused.hints, excused.changes) == ({}, hinted_at.changes + 1)
    missed = after("m", hinted_at)
    assert reopen(missed).evidence.gaps == missed.evidence.gaps != {}, "what is known of phones stays known"
    once = after("w", excused)
    assert (once.excused, once.to_be_stopped) == (True, False)
    twice = after("w", once)
    assert (twice.excused, twice.to_be_stopped) == (False, True)


def test_hints_are_counted_as_they_come() -> None:
    trust = observe_hints(Trust(), {Hint.PEOPLE: 1}, messages=9, seconds=1.0, now=1.0)
    trust = observe_hints(trust, {Hint.PEOPLE: 2, Hint.PARTNER: 1}, messages=9, seconds=1.0, now=1.0)
    assert (trust.hints, trust.changes) == ({Hint.PEOPLE: 3, Hint.PARTNER: 1}, 2)


def test_what_is_decided_up_to_the_opening_counts_before_it() -> None:
    decided = [(float(at), 0.5, PHONES[at], str(W)) for at in range(3)]

    def lived(opened_after: int | None) -> Trust:
        trust = Trust()
        for number, (at, _, phone, _) in enumerate(decided):
            if number == opened_after:
                trust = reopen(trust)
            trust = observe(trust, phone, W, sent_at=0.5, now=at)
        return reopen(trust) if opened_after == len(decided) else trust

    assert replay_verdicts(decided, 0.0) == lived(None)
    assert replay_verdicts(decided, 1.0) == lived(2)
    assert replay_verdicts(decided, 0.9) == lived(1)
    assert replay_verdicts(decided, 9.0) == lived(3)
    assert replay_verdicts([], 0.0) == Trust()


def test_evidence_for_other_alternatives_begins_anew_and_the_rest_is_kept() -> None:
    stored = replace(after("ww"), evidence=Evidence({"": (1.0,), "x": WEIGHTS}, 7.0))
    assert usable(stored) == replace(stored, evidence=Evidence(started_at=7.0))
    assert usable(replace(stored, evidence=Evidence({"x": WEIGHTS}))).evidence == NOTHING
    assert usable(after("aw")) == after("aw")


# FaultOnset when.


def moments(text: str) -> list[tuple[float, str]]:
    """A letter a canary, one each second from 1 on."""
    return [(float(number), str(LETTERS[letter])) for number, letter in enumerate(text, 1)]


@pytest.mark.parametrize(
    ("text", "earliest", "likeliest"),
    [
        ("aaaaw", 1.0, 5.0),  # so little is known that it may have been so all along
        ("w", 1.0, 1.0),
        ("aaww", 1.0, 3.0),
        ("w" + "a" * 3_000 + "ww", 2_972.0, 3_002.0),  # the first one is history
        ("m" + "a" * 40 + "m" + "a" * 60 + "m" + "a" * 20 + "m", 1.0, 1.0),
        ("a" * 3_000 + "mm" + "a" * 10 + "mm", 2_932.0, 3_001.0),
        ("a" * 100 + "ww", 71.0, 101.0),
        ("m" + "a" * 100, 1.0, 1.0),  # likelier by little is likelier
    ],
)
def test_since_when_is_the_likeliest_canary_and_the_last_one_before_it_could_have_begun(
    text: str, earliest: float, likeliest: float
) -> None:
    found = change_point(moments(text))
    assert found is not None
    assert found.likeliest == likeliest
    assert found.earliest == earliest


def test_without_a_canary_astray_nothing_began() -> None:
    lost = [(float(number), str(Verdict.LOST)) for number in range(1, 30)]
    assert change_point(moments("aaa")) is None
    assert change_point(lost) is None
    assert change_point([]) is None
    assert change_point([*lost, (30.0, str(W))]) == FaultOnset(1.0, 30.0)
    assert change_point([*lost, (30.0, str(M)), (31.0, str(Verdict.LOST))]) == FaultOnset(1.0, 30.0)


@pytest.mark.parametrize("astray", [0.05, 0.2])
def test_the_time_from_which_the_list_is_made_misses_no_bad_message(astray: float) -> None:
    """Whatever the share is: the fault began after `earliest`."""
    lots = random.Random(13)
    began, missed = 300, 0
    for _ in range(12):
        text, trust = "a" * began, after("a" * 100)
        while not trust.condemned and len(text) < 3_000:
            text += "m" if lots.random() < astray else "a"
            trust = after(text[-1], trust, now=1.0 + 2 * len(text))
        since = change_point(moments(text))
        assert since is not None
        missed += since.earliest > began
        assert not [at for at, each in moments(text) if each != A and at < since.earliest]
    assert missed == 0


# How often canaries fly.


def canary(**known: object) -> Canary:
    times = {"attempted_at": 99.0, "sent_at": 100.0, "ended_at": 101.0, "arrived_at": 0.0, "stray_at": 0.0}
    return Canary("token", "id", "nord", "47", DeliveryState.DELIVERED, **(times | known))  # type: ignore[arg-type]


def test_what_is_said_to_be_delivered_is_missed_when_its_phone_tells_and_has_nothing() -> None:
    after_seconds = flying.NOT_THERE_SECONDS
    assert is_missed(canary(), 200.0, 101.1 + after_seconds)
    assert not is_missed(canary(), 200.0, 101.0 + after_seconds)
    assert not is_missed(canary(), 101.0 + after_seconds, 200.0)
    assert is_missed(canary(), 101.1 + after_seconds, 200.0)
    assert not is_missed(canary(arrived_at=150.0), 200.0, 200.0)
    assert not is_missed(canary(verdict="lost"), 200.0, 200.0)
    assert not is_missed(replace(canary(), state=DeliveryState.SENT), 200.0, 200.0)
    assert flying.any_missed([(canary(arrived_at=1.0), 200.0), (canary(), 200.0)], 200.0)
    assert not flying.any_missed([], 200.0)


def test_a_sign_is_followed_by_a_closer_look_until_good_canaries_have_outweighed_it() -> None:
    quiet, sign = after("a" * 200).evidence, after("a" * 200 + "m").evidence

    def suspicious(evidence: Evidence, *, missed: bool = False, hinted_at: float = 0.0, now: float = 100.0) -> bool:
        return is_suspicious(evidence, missed=missed, hinted_at=hinted_at, now=now)

    assert not suspicious(quiet)
    assert suspicious(quiet, missed=True)
    assert suspicious(after("m").evidence)
    assert not suspicious(sign) or suspicious(after("a" * 300, Trust(evidence=sign)).evidence) is False
    crowd = weigh_hints(quiet, {Hint.PEOPLE: 50}, messages=0, seconds=0.0)
    assert not suspicious(crowd)
    assert suspicious(crowd, hinted_at=100.0)
    assert suspicious(crowd, hinted_at=100.1 - flying.HINTED_SECONDS)
    assert not suspicious(crowd, hinted_at=100.0 - flying.HINTED_SECONDS)
    assert not suspicious(quiet, hinted_at=100.0)  # a hint that says nothing much


def test_canaries_fly_as_often_as_phones_can_take_them_until_the_allowance_is_used_up() -> None:
    def pauses(allowance: Allowance, *, suspicious: bool = True, now: float = 50.0) -> tuple[float, Allowance]:
        return pause(always_seconds=2.0, phones=8, suspicious=suspicious, allowance=allowance, now=now)

    most = flying.MORE_PER_HOUR_MAX
    assert pauses(Allowance(), suspicious=False) == (2.0, Allowance(most, 50.0))
    assert pauses(Allowance()) == (0.25, Allowance(most - 0.875, 50.0))
    assert pauses(Allowance(0.875, 50.0)) == (0.25, Allowance(0.0, 50.0))
    assert pauses(Allowance(0.874, 50.0)) == (2.0, Allowance(0.874, 50.0))
    assert Allowance(0.0, 50.0).now(50.0 + 1_800) == Allowance(most / 2, 1_850.0)
    assert Allowance(most - 1, 50.0).now(3_650.0) == Allowance(most, 3_650.0)
    assert Allowance(5.0, 50.0).now(40.0) == Allowance(5.0, 40.0)
    # Never more seldom than always, and one that flies always costs nothing more.
    assert pause(always_seconds=0.1, phones=1, suspicious=True, allowance=Allowance(0.0, 1.0), now=1.0)[0] == 0.1


def test_how_long_a_proof_takes_is_stated() -> None:
    """In `docs/messages.md`: good canaries, seconds with a whole allowance and with none, at default settings."""
    stated = [
        (share, (left := Trust(condemned=True, share=share).canaries_to_prove), *map(round, seconds_of(left)))
        for share in SHARES[:4]
    ]
    assert stated == [(0.003, 2_495, 624, 1_871), (0.01, 553, 138, 415), (0.02, 261, 65, 196), (0.05, 100, 25, 75)]


def seconds_of(canaries: int) -> tuple[float, float]:
    def within(allowance: Allowance) -> float:
        return flying.flying_seconds_max(canaries, always_seconds=2.0, phones=8, allowance=allowance)

    return within(Allowance()), within(Allowance(0.0))


@given(st.integers(0, 600), st.sampled_from([0.1, 1.0, 2.0, 30.0]), st.integers(1, 12), st.floats(0, 600))
def test_so_many_canaries_have_flown_by_the_time_that_is_told(
    canaries: int, always_seconds: float, phones: int, left: float
) -> None:
    allowance, now = Allowance(left, 50.0), 50.0
    told = flying.flying_seconds_max(canaries, always_seconds=always_seconds, phones=phones, allowance=allowance)
    for _ in range(canaries):
        seconds, allowance = pause(
            always_seconds=always_seconds, phones=phones, suspicious=True, allowance=allowance, now=now
        )
        now += seconds
    assert told - always_seconds <= now - 50.0 + 1e-6 and now - 50.0 <= told + always_seconds


# How soon what is noticed.

USUAL = CanarySchedule(per_second=0.5, quick_per_second=4.0, phones=8, grace_seconds=10.0)


def test_the_smaller_the_share_the_longer_it_takes_and_what_is_ordinary_is_never_noticed() -> None:
    times = [seconds_to_notice(share, USUAL) for share in (1.0, 0.2, 0.05, 0.02, 0.01, 0.005, 0.002)]
    assert times == sorted(times)
    assert seconds_to_notice(MISSING_ORDINARILY / 0.9, USUAL) == inf
    assert seconds_to_notice(MISSING_ORDINARILY * 1.5, USUAL) == inf  # the phones that tell of all weigh more
    assert seconds_to_notice(0.05, replace(USUAL, per_second=0.0)) == inf
    assert seconds_to_notice(0.05, replace(USUAL, phones=0)) == inf
    assert seconds_to_notice(0.05, replace(USUAL, phones=1)) < seconds_to_notice(0.05, replace(USUAL, phones=2))
    more = seconds_to_notice(0.05, replace(USUAL, grace_seconds=30.0))
    assert more == pytest.approx(seconds_to_notice(0.05, USUAL) + 20.0)


@pytest.mark.parametrize(
    ("share", "looking", "seconds"),
    [
        # 1 / 0.5 until the first, 2.65 to the limit and 2.5 on a phone that is left out, 4 a second; 7 and 14 besides.
        (1.0, USUAL, 2 + 7 + (2.648 + 2.5 - 1) / 4 + 14),
        # 16 nats and ln(6 / 0.8) at 0.1426 each: 126.4; and 2.5 / 0.05 of a phone that is left out.
        (0.05, USUAL, 40 + 7 + (126.37 + 50 - 20) / 4 + 14),
        (0.05, replace(USUAL, phones=3), 40 + 7 + (126.37 * 1.5 - 20) / 4 + 14),  # of few phones each has had more
        (0.05, replace(USUAL, phones=1), 40 + 7 + (126.37 - 20) / 4 + 14),
        # 1,384.4 and 250; exp(-2.5) of them fly as always.
        (0.01, USUAL, 200 + 7 + 1_534.4 * (0.9179 / 4 + 0.0821 / 0.5) + 14),
        (0.01, replace(USUAL, per_second=2.0, quick_per_second=1.0), 50 + 7 + 1_534.4 / 2 + 14),
    ],
)
def test_how_long_it_takes_is_the_first_one_what_the_limit_needs_and_the_last_ones_way(
    share: float, looking: CanarySchedule, seconds: float
) -> None:
    assert seconds_to_notice(share, looking) == pytest.approx(seconds, rel=1e-3)


def test_the_share_that_is_told_is_the_smallest_that_is_noticed_in_time() -> None:
    found = detectable_shares(USUAL)
    assert [each.minutes for each in found] == [1, 10, 60]
    for each in found:
        assert each.share is not None
        assert seconds_to_notice(each.share, USUAL) <= each.minutes * 60
        assert seconds_to_notice(each.share * 0.999, USUAL) > each.minutes * 60
    shares = [each.share or 1.0 for each in found]
    assert shares == sorted(shares, reverse=True)
    assert 0.005 < shares[1] < 0.05
    slow = detectable_shares(replace(USUAL, per_second=0.01, quick_per_second=0.01))
    assert slow[0] == DetectableShare(1, None)
    assert detectable_shares(replace(USUAL, per_second=0.0)) == (
        DetectableShare(1, None),
        DetectableShare(10, None),
        DetectableShare(60, None),
    )
