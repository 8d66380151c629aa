from math import inf

import pytest

from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Bucket, Expectation, Pairing, asking_of, expectation, tally, unanswered
from prikkfri.journal import Outcome


def outcome(verdict: str = "kept", **fields: object) -> Outcome:
    known = {"time": 100.0, "service": "messages", "step": "deliver", "layer": "link", "verdict": verdict}
    return Outcome(**{**known, **fields})  # type: ignore[arg-type]


BASE = {"service": "messages", "step": "deliver", "layer": "link"}


def test_a_series_for_the_layer_and_for_each_dimension_value() -> None:
    found = tally([outcome(dimensions={"partner": "Telia"}), outcome("broken")], {}, start=100, now=101)
    assert found.buckets == {
        Segment.of(BASE): Bucket(100, kept=1, broken=1),
        Segment.of({**BASE, "partner": "Telia"}): Bucket(100, kept=1),
    }


def test_an_asking_is_not_settled_and_a_dimension_does_not_pass_for_a_layer() -> None:
    assert Bucket(0, kept=2, broken=1, asked=5).settled == 3
    found = tally([outcome(dimensions={"layer": "signin", "service": "television"})], {}, start=100, now=101)
    assert found.buckets == {Segment.of(BASE): Bucket(100, kept=1)}


def test_what_only_a_device_reports_or_who_only_joins_counts_in_no_series() -> None:
    joined = outcome("asked", step="join", promise="p-1", dimensions={"for": "sign-in"})
    found = tally(
        [outcome(observed=False), outcome("asked", observed=False, promise="p-2"), joined], {}, start=100, now=9_999
    )
    assert (found.buckets, found.open) == ({}, {})


def test_the_customers_own_error_is_neither_kept_nor_broken() -> None:
    wrong = outcome("broken", service="television", step="sign-in", layer="signin", reason="wrong-credentials")
    assert tally([wrong], {}, start=100, now=101).buckets == {}


def test_a_promise_that_nobody_settles_is_broken_once_when_its_grace_time_is_over() -> None:
    patient = {("messages", "deliver"): Expectation(30.0)}
    asking = outcome("asked", promise="m1")
    first = tally([asking], {}, start=100, now=101, expectations=patient)
    assert first.buckets[Segment.of(BASE)] == Bucket(100, asked=1)
    assert list(first.open) == ["m1"]
    waiting = tally([], first.open, start=129, now=129.9, expectations=patient)
    assert (waiting.buckets, waiting.open) == ({}, first.open)
    over = tally([], waiting.open, start=129, now=130, expectations=patient)
    assert over.buckets[Segment.of(BASE)] == Bucket(129, broken=1)
    assert over.open == {}


def test_a_promise_that_is_settled_is_no_longer_open() -> None:
    asked = tally([outcome("asked", promise="m1"), outcome("asked", promise="m2")], {}, start=100, now=101)
    settled = tally([outcome(promise="m2", time=102.0)], asked.open, start=102, now=103)
    assert list(settled.open) == ["m1"]


def test_who_waits_in_a_line_is_answered_by_what_comes_after_it_or_broken_there() -> None:
    entering = {"service": "television", "step": "enter", "layer": "door", "dimensions": {"client": "phone"}}
    asked = tally([outcome("asked", promise="t1", time=100.0, **entering)], {}, start=100, now=101)
    assert tally([], asked.open, start=399, now=399.9).buckets == {}
    over = tally([], asked.open, start=399, now=400.0)
    sign_in = {"service": "television", "step": "sign-in", "layer": "signin"}
    assert over.buckets == {
        Segment.of(sign_in): Bucket(399, broken=1),
        Segment.of({**sign_in, "client": "phone"}): Bucket(399, broken=1),
    }


def test_an_answer_that_is_read_before_its_asking_answers_it() -> None:
    answer, asking = outcome(promise="m1", time=100.0), outcome("asked", promise="m1", time=104.0)
    first = tally([answer], {}, start=100, now=101)
    second = tally([asking], first.open, start=125, now=126, answered=first.answered)
    assert (second.open, second.answered) == ({}, first.answered)
    assert second.buckets[Segment.of(BASE)] == Bucket(125, asked=1)
    # A message is asked for when it is taken on and again when it is handed over: both may come late.
    assert tally([asking], {}, start=125, now=126, answered=second.answered).open == {}
    refused = tally([outcome("broken", promise="t", service="television", step="enter")], {}, start=100, now=101)
    entering = outcome("asked", promise="t", service="television", step="enter")
    assert tally([entering], {}, start=100, now=101, answered=refused.answered).open == {}, "at its own step, or after"
    # What is asked at another step has not been answered by it.
    route = outcome("asked", promise="m1", step="route")
    assert list(tally([route], {}, start=100, now=101, answered=first.answered).open) == ["m1"]
    # Nor is it remembered for ever, unless a stream cannot be read.
    assert tally([], {}, start=129, now=129.9, answered=first.answered).answered == first.answered
    assert tally([], {}, start=129, now=130.0, answered=first.answered).answered == {}
    assert tally([], {}, start=129, now=-inf, answered=first.answered).answered == first.answered


def test_a_clock_that_is_further_behind_than_stated_is_no_broken_promise() -> None:
    answer, asking = outcome(promise="m1", time=100.0), outcome("asked", promise="m1", time=120.0)
    first = tally([answer], {}, start=100, now=101)
    assert tally([asking], first.open, start=120, now=121, answered=first.answered).open == {}
    # Not so when its asking was read before the answer: what comes well after that is asked anew.
    asked = tally([outcome("asked", promise="m1", time=99.0), answer], {}, start=100, now=101)
    for time, still_open in ((105.0, []), (105.1, ["m1"])):
        again = outcome("asked", promise="m1", time=time)
        assert list(tally([again], {}, start=105, now=106, answered=asked.answered).open) == still_open


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("in_one", [True, False])
def test_who_was_asked_last_has_the_promise_in_whatever_order_that_is_read(turned: bool, in_one: bool) -> None:
    """The centre hands a message on to a link, and what is written in one second stands in any order."""
    centre, link = outcome("asked", promise="m", layer="sms-centre"), outcome("asked", promise="m", time=100.1)
    read = [link, centre] if turned else [centre, link]
    parts = [read] if in_one else [[each] for each in read]
    still_open: dict[str, Outcome] = {}
    for part in parts:
        still_open = dict(tally(part, still_open, start=100, now=101).open)
    over = tally([], still_open, start=500, now=501)
    assert over.buckets == {Segment.of(BASE): Bucket(500, broken=1)}


def test_what_was_settled_is_not_opened_again_by_an_asking_that_comes_late() -> None:
    taken_on, handed_over = outcome("asked", promise="m1", layer="sms-centre"), outcome("asked", promise="m1")
    settled = tally([taken_on, outcome(promise="m1", time=101.0)], {}, start=100, now=102)
    assert settled.open == {}
    late = tally([handed_over], settled.open, start=110, now=111, answered=settled.answered)
    assert (late.open, late.buckets[Segment.of(BASE)]) == ({}, Bucket(110, asked=1))


def test_what_is_told_twice_counts_once_and_what_is_broken_twice_counts_twice() -> None:
    asked, broken = outcome("asked", promise="m1"), outcome("broken", promise="m1", time=101.0)
    once = tally([asked, broken, broken], {}, start=100, now=102)
    assert once.buckets[Segment.of(BASE)] == Bucket(100, asked=1, broken=1)
    again = tally([broken], {}, start=102, now=103, answered=once.answered)
    assert again.buckets == {}
    anew = outcome("broken", promise="m1", time=103.0)
    assert tally([anew], {}, start=103, now=104, answered=once.answered).buckets[Segment.of(BASE)].broken == 1
    nameless = outcome("broken", time=101.0)
    assert tally([nameless, nameless], {}, start=100, now=102).buckets[Segment.of(BASE)].broken == 2


def test_of_too_many_open_promises_the_oldest_are_given_up() -> None:
    many = [outcome("asked", promise=f"m{n}") for n in range(7)]
    found = tally(many, {}, start=100, now=101, open_max=5)
    assert list(found.open) == ["m2", "m3", "m4", "m5", "m6"]
    assert found.buckets[Segment.of(BASE)] == Bucket(100, asked=7, broken=2)
    answers = [outcome(promise=f"m{n}") for n in range(7)]
    assert [promise for promise, _ in tally(answers, {}, start=100, now=101, open_max=5).answered] == list(found.open)


def test_what_has_no_promise_is_never_open() -> None:
    found = tally([outcome("asked"), outcome()], {}, start=100, now=101)
    assert (found.open, found.answered) == ({}, {})
    assert found.buckets[Segment.of(BASE)] == Bucket(100, kept=1, asked=1)


@pytest.mark.parametrize(
    ("service", "reasons", "own"),
    [
        ("television", "wrong-credentials too-many-tries no-subscription bad-token expired revoked not-entitled", True),
        ("messages", "text-length not-text too-long bad-recipient bad-sender bad-header bad-schedule", True),
        ("messages", "bad-validity expires-before-due no-such-mode no-replacing no-default-message two-texts", True),
        ("messages", "expired wrong-credentials unanswered", False),
        ("television", "overloaded unanswered bad-recipient", False),
        ("somebody-elses", "wrong-credentials bad-recipient", False),
    ],
)
def test_whose_doing_it_was_depends_on_the_service(service: str, reasons: str, own: bool) -> None:
    for reason in reasons.split():
        found = tally([outcome("broken", service=service, reason=reason)], {}, start=100, now=101)
        assert (found.buckets == {}) == own, reason


def test_a_customers_own_error_is_an_answer() -> None:
    asked = {"m1": outcome("asked", promise="m1")}
    assert tally([outcome("broken", promise="m1", reason="bad-recipient")], asked, start=100, now=101).open == {}


@pytest.mark.parametrize(
    ("service", "step", "grace_seconds", "repeatable", "carried_to"),
    [
        ("television", "enter", 300, True, ("sign-in", "signin")),
        ("television", "sign-in", 60, True, ("sign-in", "signin")),
        ("messages", "submit", 30, False, ("submit", "here")),
        ("messages", "deliver", 300, False, ("deliver", "here")),
        ("television", "start-playback", 30, True, ("start-playback", "here")),
        ("somebody-elses", "enter", 30, True, ("enter", "here")),
    ],
)
def test_what_got_it_means_at_each_step(
    service: str, step: str, grace_seconds: float, repeatable: bool, carried_to: tuple[str, str]
) -> None:
    asking = outcome("asked", service=service, step=step, layer="here", promise="p", customer="ann", device="d")
    expected = expectation(asking)
    assert (expected.grace_seconds, expected.repeatable) == (grace_seconds, repeatable)
    patient = {(service, step): Expectation(1.0, carried_to="there", carried_layer="link")}
    carried = unanswered(asking, patient)
    assert (carried.step, carried.layer) == ("there", "link")
    broken = unanswered(asking)
    assert (broken.verdict, broken.reason, (broken.step, broken.layer)) == ("broken", "unanswered", carried_to)
    assert (broken.promise, broken.customer, broken.device, broken.time) == ("p", "ann", "d", asking.time)


def test_who_joined_has_asked_for_what_they_stand_in_line_for_like_anybody_else() -> None:
    joined = outcome("asked", step="join", promise="p", device="d", dimensions={"for": "playback-token"})
    asking = asking_of(joined)
    assert (asking.step, asking.verdict, asking.promise, asking.device) == ("playback-token", "asked", "p", "d")
    assert asking.dimensions == {}
    assert asking_of(outcome("asked", step="join", promise="p", dimensions={})).step == "enter"


def test_what_was_done_about_a_fault_is_no_promise() -> None:
    acts = [outcome(step=step) for step in ("open-channel", "close-channel", "stop-route", "open-route", "picture")]
    assert tally(acts, {}, start=100, now=101).buckets == {}


def test_what_is_an_accounts_own_is_in_no_series_and_no_promise_of_ours() -> None:
    """Whether it is taken, refused or waits for somebody to bind."""
    own = {"layer": "account", "promise": "m1", "dimensions": {"account": "shop"}}
    for told in (outcome(**own), outcome("broken", reason="account-not-bound", **own), outcome("asked", **own)):
        assert tally([told], {}, start=100, now=101).buckets == {}
    # Left waiting by whoever took it, it runs out in nobody's series; what it was asked of the centre is answered so.
    asked = tally([outcome("asked", layer="sms-centre", promise="m1")], {}, start=100, now=101)
    left = tally([outcome("asked", reason="account-not-bound", **own)], asked.open, start=101, now=102)
    over = tally([], left.open, start=500, now=501)
    assert (over.buckets, over.open) == ({}, {})
    assert (unanswered(left.open["m1"]).reason, unanswered(left.open["m1"]).layer) == ("account-not-bound", "account")
    silent = unanswered(outcome("asked", **own))
    assert (silent.verdict, silent.reason, silent.layer) == ("broken", "unanswered", "account")


def test_what_is_no_promise_does_not_hide_what_comes_after_it() -> None:
    found = tally([outcome(observed=False), outcome()], {}, start=100, now=101)
    assert found.buckets == {Segment.of(BASE): Bucket(100, kept=1)}


def test_an_answer_is_remembered_from_when_it_was_read() -> None:
    late = outcome(promise="m1", time=100.0)
    assert [answer.read_at for answer in tally([late], {}, start=500, now=501).answered.values()] == [500]
    pairing = Pairing(expectations={})
    pairing.settle(outcome(promise="m1", time=0.5))
    assert [answer.read_at for answer in pairing.answered.values()] == [0.5]


def test_where_a_promise_is_carried_to_is_as_the_expectations_say() -> None:
    carried = {("messages", "route"): Expectation(30.0, carried_to="deliver", carried_layer="partners")}
    asking = outcome("asked", promise="m1", step="route", layer="sms-centre")
    answered = tally([outcome(promise="m1")], {}, start=100, now=101, expectations=carried).answered
    assert tally([asking], {}, start=100, now=101, answered=answered, expectations=carried).open == {}
    over = tally([], {"m1": asking}, start=130, now=130, expectations=carried)
    assert over.buckets == {Segment.of({**BASE, "layer": "partners"}): Bucket(130, broken=1)}
