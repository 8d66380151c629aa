"""Impact: the list against a world that knows the truth, and each rule of it by an example."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from prikkfri.assurance.impact import (
    ExposedMessage,
    Hit,
    Impact,
    Scope,
    exposure,
    holder_of,
    impact,
    misdelivery_scopes,
    name_devices,
    proven,
)
from prikkfri.assurance.response.assessing import settled
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Expectation
from prikkfri.journal import Outcome
from prikkfri.journal.outcomes import Verdict

SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
SCOPE = Scope((SIGN_IN,), since=1_000.0, until=2_000.0)
LATE = 10_000.0


def sign_in(time: float, verdict: str = "broken", *, reason: str = "overloaded", **fields: object) -> Outcome:
    known = {"service": "television", "step": "sign-in", "layer": "signin", "device": "d-1", "time": time}
    return Outcome(**{**known, "verdict": verdict, "reason": reason if verdict == "broken" else "", **fields})  # type: ignore[arg-type]


def enter(time: float, verdict: str = "asked", **fields: object) -> Outcome:
    return sign_in(time, verdict, step="enter", layer="door", **fields)


def hit(*outcomes: Outcome, scope: Scope = SCOPE, now: float = LATE) -> list[str]:
    return [each.key for each in impact(outcomes, scope, now=now).hits]


def test_one_who_asked_and_never_got_it_is_hit_with_the_evidence() -> None:
    found = impact([sign_in(1_100.0), sign_in(1_200.0, reason="abandoned")], SCOPE, now=LATE)
    (only,) = found.hits
    assert (only.key, only.first_asked, only.tries, only.unanswered, only.last_reason, only.kept_later_at) == (
        "device:d-1", 1_100.0, 2, 2, "abandoned", None,
    )  # fmt: skip
    assert (found.asked, found.unsettled, only.observed) == (1, 0, True)


def test_who_was_answered_before_they_asked_by_the_clocks_of_two_roles_was_there_when_they_were_answered() -> None:
    for asked_at, answered_at, there in ((2_001.0, 1_999.9, True), (2_001.0, 2_000.0, False), (1_999.9, 2_001.0, True)):
        told = sign_in(asked_at, "asked", layer="door", promise="p-1"), sign_in(answered_at, promise="p-1")
        assert (hit(*told) == ["device:d-1"]) is there


@pytest.mark.parametrize(
    ("back", "there"), [([], False), ([1_099.0], False), ([1_110.0], True), ([1_110.0, 1_060.0], True)]
)
def test_who_mistyped_tried_again_and_came_back_without_an_answer_has_none(back: list[float], there: bool) -> None:
    told = [
        sign_in(1_090.0, "asked", step="join", layer="door", promise="p", dimensions={"for": "sign-in"}),
        sign_in(1_100.0, reason="wrong-credentials", promise="p"),
        sign_in(1_090.0, "asked", layer="door", promise="p"),
        *(sign_in(at, "asked", step="return", layer="door", promise="p") for at in back),
    ]
    found = impact(told, SCOPE, now=LATE)
    assert [(each.first_asked, each.last_reason, each.tries) for each in found.hits] == [(1_090.0, "", 1)] * there
    # And whoever gets an answer after that has it, whichever.
    assert hit(*told, sign_in(1_120.0, "kept", promise="p")) == []
    assert hit(*told, sign_in(1_120.0, reason="wrong-credentials", promise="p")) == []
    alone = [each for each in told if each.step == "return"]
    assert hit(*alone) == [], "a coming back alone is no try"
    other = sign_in(1_150.0, device="d-2", promise="p-2")
    assert hit(*alone, other) == ["device:d-2"], "and holds nobody else up"


def test_one_who_got_it_within_the_grace_time_is_not_hit() -> None:
    assert hit(sign_in(1_100.0), sign_in(1_159.0, "kept")) == []


def test_one_who_got_it_later_is_hit_and_the_list_says_when() -> None:
    found = impact([sign_in(1_100.0), sign_in(1_161.0, "kept")], SCOPE, now=LATE)
    assert [each.kept_later_at for each in found.hits] == [1_161.0]


@pytest.mark.parametrize(("again_at", "later"), [(1_160.0, []), (1_160.5, [1_160.5]), (1_099.9, [1_200.0])])
def test_who_was_answered_too_late_and_got_it_by_another_try_meanwhile_is_not_hit(
    again_at: float, later: list[float]
) -> None:
    slow = sign_in(1_100.0, "asked", layer="door", promise="p-1"), sign_in(1_200.0, "kept", promise="p-1")
    found = impact([*slow, sign_in(again_at, "kept", promise="p-2")], SCOPE, now=LATE)
    assert [each.kept_later_at for each in found.hits] == later


def test_a_message_that_came_too_late_is_not_made_good_by_another() -> None:
    def message(at: float, verdict: Verdict, promise: str) -> Outcome:
        return Outcome(
            time=at, service="messages", step="deliver", layer="link", verdict=verdict, device="+47", promise=promise
        )

    slow = message(1_100.0, "asked", "m-1"), message(1_500.0, "kept", "m-1")
    scope = Scope((Segment.of({"service": "messages"}),), 1_000.0, 2_000.0)
    assert hit(*slow, message(1_110.0, "kept", "m-2"), scope=scope) == ["device:+47"]


def test_an_answer_that_reached_nobody_answers_nothing() -> None:
    lost = sign_in(1_105.0, "kept", promise="p-1"), sign_in(1_105.5, reason="undelivered", promise="p-1")
    asked = sign_in(1_100.0, "asked", layer="door", promise="p-1")
    assert hit(asked, *lost) == ["device:d-1"]
    assert hit(asked, *lost, sign_in(1_150.0, "kept", promise="p-1")) == []
    found = impact([asked, *lost, sign_in(1_200.0, "kept", promise="p-1")], SCOPE, now=LATE)
    assert [(each.kept_later_at, each.last_reason) for each in found.hits] == [(1_200.0, "undelivered")]
    # Nobody tries again for what they have got.
    again = sign_in(1_105.0, "kept", promise="p-1"), sign_in(1_160.5, "kept", promise="p-1")
    assert [each.kept_later_at for each in impact([asked, *again], SCOPE, now=LATE).hits] == [1_160.5]
    # Somebody else's, and another asking of the same person, stand as they were.
    kept = sign_in(1_105.0, "kept", promise="p-1")
    assert hit(asked, kept, sign_in(1_105.5, reason="undelivered", device="d-2")) == ["device:d-2"]


def test_before_and_after_the_incident_nobody_is_hit() -> None:
    assert hit(sign_in(999.0), sign_in(2_000.0, device="d-2")) == []


def test_another_segment_is_not_this_incident() -> None:
    assert hit(sign_in(1_100.0, layer="door", step="playback-token")) == []


def test_a_wrong_password_is_the_customers_own() -> None:
    assert hit(sign_in(1_100.0, reason="wrong-credentials")) == []
    # ... also when the right one comes long after.
    assert hit(sign_in(1_100.0, reason="wrong-credentials"), sign_in(1_500.0, "kept")) == []


def test_a_wrong_password_does_not_hide_the_overload_that_the_same_person_met() -> None:
    assert hit(sign_in(1_100.0, reason="wrong-credentials"), sign_in(1_200.0)) == ["device:d-1"]


def test_while_the_grace_time_runs_one_is_neither_hit_nor_forgotten() -> None:
    found = impact([sign_in(1_100.0)], SCOPE, now=1_150.0)
    assert (found.hits, found.unsettled) == ((), 1)


def test_who_waits_in_line_for_a_dead_sign_in_is_hit_though_nobody_wrote_a_word() -> None:
    assert hit(enter(990.0, promise="p1")) == ["device:d-1"]
    assert hit(enter(990.0, promise="p1"), sign_in(1_200.0, "kept", promise="p1")) == []
    # The line was left and joined anew: the second place in it is what counts.
    anew = [enter(1_000.0, promise="p1"), enter(1_100.0, promise="p2"), sign_in(1_200.0, "kept", promise="p2")]
    assert hit(*anew) == []
    # Being let in is not yet being in.
    assert hit(enter(1_000.0, promise="p1"), enter(1_010.0, "kept"), sign_in(1_020.0)) == ["device:d-1"]


def test_a_device_is_joined_to_its_subscriber_by_what_comes_later() -> None:
    assert hit(sign_in(1_100.0), sign_in(3_000.0, "kept", customer="C7")) == ["customer:C7"]
    known = impact([sign_in(1_100.0)], SCOPE, now=LATE, holder=lambda device, at: "C9" if device == "d-1" else "")
    assert [each.customer for each in known.hits] == ["C9"]


def test_a_device_that_two_have_used_is_neithers() -> None:
    both = [sign_in(3_000.0, "kept", customer="C1"), sign_in(4_000.0, "kept", customer="C2")]
    assert hit(sign_in(1_100.0), *both) == ["device:d-1"]


def test_whose_a_device_is_no_device_may_say() -> None:
    said = (
        sign_in(1_050.0, "kept", customer="thief", observed=False),
        sign_in(3_000.0, customer="thief", observed=False),
    )
    assert hit(sign_in(1_100.0), said[1]) == ["device:d-1"]
    # What a role saw stands, whatever a device says beside it.
    seen = sign_in(3_000.0, "kept", customer="C1")
    assert hit(sign_in(1_100.0), *said, seen) == ["customer:C1"]


@pytest.mark.parametrize(("known", "listed"), [(None, "customer:C7"), ("", "device:d-1"), ("C9", "customer:C9")])
def test_what_is_known_of_a_devices_holders_goes_before_what_shows_here(known: str | None, listed: str) -> None:
    outcomes = [sign_in(1_100.0), sign_in(3_000.0, "kept", customer="C7")]
    asked: list[tuple[str, float]] = []

    def holder(device: str, at: float) -> str | None:
        asked.append((device, at))
        return known

    assert [each.key for each in impact(outcomes, SCOPE, now=LATE, holder=holder).hits] == [listed]
    assert asked == [("d-1", 1_100.0)]


def test_a_subscriber_with_two_devices_is_on_the_list_once() -> None:
    found = impact([sign_in(1_100.0, customer="C1"), sign_in(1_200.0, customer="C1", device="d-2")], SCOPE, now=LATE)
    assert [(each.key, each.tries) for each in found.hits] == [("customer:C1", 2)]


def test_what_only_the_device_tells_is_marked() -> None:
    told = sign_in(1_100.0, observed=False, reason="unreachable", customer="C1")
    found = impact([told], SCOPE, now=LATE)
    assert [each.observed for each in found.hits] == [False]
    assert (found.seen, found.asked, found.unconfirmed) == (0, 1, 0)


def test_a_report_without_the_token_of_a_subscriber_is_on_no_list() -> None:
    reports = [sign_in(1_100.0, observed=False, reason="unreachable", device=f"d-{n}") for n in range(150)]
    found = impact([*reports, sign_in(1_100.0, device="d-real")], SCOPE, now=LATE)
    assert [each.device for each in found.hits] == ["d-real"]
    assert (found.asked, found.unconfirmed) == (1, 150)


def test_what_a_device_reports_answers_nothing_and_takes_nothing_back() -> None:
    told = sign_in(1_110.0, "kept", customer="C1", observed=False)
    assert hit(sign_in(1_100.0, customer="C1"), told) == ["customer:C1"]
    kept = sign_in(1_110.0, "kept", customer="C1")
    taken_back = sign_in(1_111.0, reason="undelivered", customer="C1", observed=False, promise="p")
    found = impact([sign_in(1_100.0, customer="C1", promise="p"), kept, taken_back], SCOPE, now=LATE)
    assert (len(found.hits), found.seen) == (1, 0)  # only the report itself, marked


def joining(time: float, device: str, promise: str, asks: str = "enter") -> Outcome:
    return Outcome(
        time=time, service="television", step="join", layer="door", verdict="asked", device=device, promise=promise,
        dimensions={"for": asks},
    )  # fmt: skip


def entered(time: float, device: str) -> Outcome:
    return Outcome(time=time, service="television", step="enter", layer="door", verdict="kept", device=device)


def test_who_only_joined_is_counted_apart_and_on_no_list() -> None:
    invented = [joining(1_100.0, f"d-{n}", f"enter-{n}") for n in range(300)]
    at_once = [
        o
        for n in range(300, 310)
        for o in (entered(1_100.0, f"d-{n}"), joining(1_100.0, f"d-{n}", f"p-{n}", "sign-in"))
    ]
    came_back = Outcome(
        time=1_100.0,
        service="television",
        step="enter",
        layer="door",
        verdict="asked",
        device="d-real",
        promise="enter-r",
    )
    honest = [joining(1_100.0, "d-real", "enter-r"), came_back]
    found = impact([*invented, *at_once, *honest], SCOPE, now=LATE)
    assert [(each.device, each.step, each.tries) for each in found.hits] == [("d-real", "enter", 1)]
    assert (found.asked, found.unconfirmed, found.unsettled) == (1, 310, 0)
    assert impact([*invented, *at_once], SCOPE, now=1_110.0).unconfirmed == 0  # their grace time still runs


def test_who_joined_and_is_a_subscriber_or_was_seen_elsewhere_is_no_invention() -> None:
    joined = [entered(1_100.0, "d-1"), joining(1_100.0, "d-1", "p-1", "sign-in")]
    held = impact(joined, SCOPE, now=LATE, holder=lambda device, at: "C1")
    assert [(each.key, each.step, each.first_asked) for each in held.hits] == [("customer:C1", "sign-in", 1_100.0)]
    # They came with their pass to a sign-in that turned them away, and that is when they had asked.
    refused = sign_in(1_130.0, reason="overloaded", device="d-1", promise="p-1")
    found = impact([*joined, refused], SCOPE, now=LATE)
    assert [(each.first_asked, each.last_reason) for each in found.hits] == [(1_100.0, "overloaded")]


def deliver(time: float, verdict: str, promise: str, **fields: object) -> Outcome:
    known = {"service": "messages", "step": "deliver", "layer": "link", "device": "+4790000001", "time": time}
    dimensions = {"partner": "Telia", "class": "code", "account": "clinic"}
    return Outcome(**{**known, "verdict": verdict, "promise": promise, "dimensions": dimensions, **fields})  # type: ignore[arg-type]


TELIA = Scope((Segment.of({"service": "messages", "partner": "Telia"}),), 1_000.0, 2_000.0)


def test_a_message_is_itself_or_nothing() -> None:
    lost, other = deliver(1_100.0, "asked", "m1", layer="sms-centre"), deliver(1_150.0, "kept", "m2")
    assert hit(lost, other, scope=TELIA) == ["device:+4790000001"]
    assert hit(lost, deliver(1_300.0, "kept", "m1"), scope=TELIA) == []
    late = impact([lost, deliver(1_500.0, "kept", "m1")], TELIA, now=LATE)
    assert [each.kept_later_at for each in late.hits] == [1_500.0]


def test_the_exposure_list_names_each_message_that_went_that_way_once_and_holds_no_body() -> None:
    found = exposure(
        [
            deliver(1_100.0, "asked", "m1", layer="sms-centre"),
            deliver(1_101.0, "asked", "m1"),
            deliver(1_102.0, "kept", "m1"),
            deliver(1_200.0, "broken", "m2"),
            deliver(990.0, "kept", "early"),
            deliver(995.0, "asked", "gone before"),
            deliver(1_005.0, "kept", "gone before"),
            deliver(1_150.0, "asked", "held until after", layer="sms-centre"),
            deliver(2_150.0, "asked", "held until after"),
            deliver(1_160.0, "asked", "sent another way", layer="sms-centre"),
            deliver(1_170.0, "asked", "sent another way", dimensions={"partner": "Tre", "class": "code"}),
            deliver(1_180.0, "kept", "to us", dimensions={"partner": "Telia", "direction": "in"}),
            deliver(1_300.0, "kept", "m3", dimensions={"partner": "Tre", "class": "code"}),
        ],
        TELIA,
        holder=lambda number, at: "C1",
    )
    assert [(each.message, each.verdict, each.message_class, each.sent_at) for each in found] == [
        ("m1", "kept", "code", 1_101.0),
        ("m2", "broken", "code", 1_200.0),
    ]
    assert {each.customer for each in found} == {"C1"}


def test_canaries_say_since_when_and_until_when_a_way_is_not_to_be_trusted() -> None:
    def route(time: float, verdict: str, partner: str) -> Outcome:
        return deliver(time, verdict, "", step="route", device="", dimensions={"partner": partner, "direction": "out"})

    told = [route(800.0, "broken", "Telia"), route(900.0, "kept", "Telia"), route(1_250.0, "broken", "Telia")]
    told += [route(700.0, "broken", "Tre"), route(1_900.0, "broken", "Tre"), route(1_400.0, "kept", "Telia")]
    by_canaries = Scope((Segment.of({"service": "messages", "step": "route", "partner": "Telia"}),), 1_000.0, 2_000.0)
    telia = Segment.of({"service": "messages", "partner": "Telia"})
    assert misdelivery_scopes(told, by_canaries) == (Scope((telia,), 800.0, 1_250.0),)
    assert misdelivery_scopes(told[:0], by_canaries) == () and not proven(told[:0], by_canaries)
    kept = [structs.replace(outcome, verdict="kept") for outcome in told]
    assert misdelivery_scopes(kept, by_canaries) == () and proven(kept, by_canaries)
    sent = [deliver(850.0, "asked", "before anybody knew"), deliver(1_300.0, "asked", "after it was proven")]
    assert [each.message for each in exposure(sent, *misdelivery_scopes(told, by_canaries))] == ["before anybody knew"]


def test_each_way_has_its_own_time_and_what_failed_elsewhere_in_the_incident_has_not_gone_astray() -> None:
    """An incident that is not placed, or that what came too late has joined, lies on more ways than the bad one."""

    def route(time: float, verdict: str, link: str) -> Outcome:
        return deliver(time, verdict, "canary", step="route", device="", dimensions={"link": link, "direction": "out"})

    def gone(time: float, promise: str, link: str, layer: str = "link", reason: str = "") -> Outcome:
        dimensions = {"link": link, "direction": "out", "class": "notice"}
        return deliver(time, "asked", promise, layer=layer, reason=reason, dimensions=dimensions)

    told = [route(at, "broken", "nord") for at in (1_100.0, 1_200.0)]
    told += [route(at, "broken", "vest") for at in (1_400.0, 1_500.0)]
    told += [route(at, "kept", link) for at in (1_050.0, 1_250.0, 1_450.0) for link in ("nord", "south", "vest")]
    messages = [gone(at, f"{link} {at:g}", link) for at in (1_150.0, 1_300.0, 1_450.0) for link in ("nord", "vest")]
    messages += [gone(at, f"south {at:g}", "south") for at in (1_150.0, 1_450.0)]
    messages += [gone(1_150.0 + at, f"kept here {at}", "nord", "sms-centre", "route-stopped") for at in range(5)]
    everywhere = Scope((Segment.of({"service": "messages"}),), 1_000.0, 2_000.0)
    scopes = misdelivery_scopes(told, everywhere)
    ways = [Segment.of({"service": "messages", "link": link}) for link in ("nord", "vest")]
    assert scopes == (Scope((ways[0],), 1_100.0, 1_200.0), Scope((ways[1],), 1_400.0, 1_500.0))
    assert [each.message for each in exposure([*messages, *told], *scopes)] == ["nord 1150", "vest 1450"]


Went = tuple[str, float]
"""The link over which a message went, and when."""


@given(
    st.lists(st.tuples(st.sampled_from(["nord", "south"]), st.integers(0, 99)), max_size=20),
    st.lists(st.tuples(st.sampled_from(["nord", "south"]), st.integers(0, 99)), max_size=20),
    st.integers(0, 98),
    st.integers(1, 99),
    st.booleans(),
)
def test_the_list_is_of_those_that_went_the_bad_way_in_its_time_however_many_wait_and_whatever_the_incident_holds(
    went: list[Went], waited: list[Went], since: int, length: int, placed: bool
) -> None:
    def deliveries(of: list[Went], name: str, layer: str, reason: str) -> list[Outcome]:
        ways = [{"link": link, "direction": "out", "class": "notice"} for link, _ in of]
        return [
            deliver(float(at), "asked", f"{name} {number}", layer=layer, reason=reason, dimensions=way)
            for number, ((_, at), way) in enumerate(zip(of, ways, strict=True))
        ]

    told = [
        deliver(float(at), "broken", "", step="route", device="", dimensions={"link": "nord", "direction": "out"})
        for at in (since, since + length)
    ]
    outcomes = [*deliveries(went, "went", "link", ""), *deliveries(waited, "waits", "sms-centre", "route-stopped")]
    segment = Segment.of({"service": "messages"} | ({"link": "nord"} if placed else {"step": "deliver"}))
    wide = Segment.of({"service": "messages", "direction": "out"})
    scope = Scope((segment,) if placed else (segment, wide), 0.0, 200.0)
    found = exposure([*outcomes, *told], *misdelivery_scopes(told, scope))
    true = {f"went {n}" for n, (link, at) in enumerate(went) if link == "nord" and since <= at < since + length}
    assert sorted(each.message for each in found) == sorted(true)


def test_a_fault_that_was_proven_over_before_exposes_nobody_in_the_next() -> None:
    def route(time: float, verdict: str, promise: str = "canary", link: str = "nord") -> Outcome:
        dimensions = {"partner": "Telia", "link": link, "direction": "out"}
        return deliver(time, verdict, promise, step="route", device="", dimensions=dimensions)

    scope = Scope((Segment.of({"service": "messages", "step": "route", "partner": "Telia"}),), 1_000.0, 2_000.0)
    begins = [route(600.0, "broken", ""), route(610.0, "kept"), route(640.0, "broken", ""), route(650.0, "kept")]
    stopped = [route(700.0, "broken"), route(710.0, "broken")]
    again = [route(900.0, "broken", ""), route(950.0, "kept"), route(980.0, "broken", ""), route(1_100.0, "broken")]
    way = Segment.of({"service": "messages", "partner": "Telia", "link": "nord"})
    unproven = [*begins, *stopped, *again[:1], *again[2:]]
    assert misdelivery_scopes(unproven, scope) == (Scope((way,), 600.0, 1_100.0),)
    elsewhere = [*begins, *stopped, route(800.0, "kept", link="south"), *again[2:]]
    assert misdelivery_scopes(elsewhere, scope) == (Scope((way,), 600.0, 1_100.0),), "of another link"
    for proof in (720.0, 1_000.0):
        told = [*begins, *stopped, route(proof, "kept"), *again]
        assert misdelivery_scopes(told, scope) == (Scope((way,), 900.0, 1_100.0),)
        assert misdelivery_scopes(told[::-1], scope) == (Scope((way,), 900.0, 1_100.0),)
    early = [*begins, *stopped, route(705.0, "broken", ""), route(720.0, "kept"), route(1_100.0, "broken")]
    early[-3] = structs.replace(early[-3], time=711.0)  # what cannot be excluded begins before the proof is in
    assert misdelivery_scopes(early, scope) == (Scope((way,), 711.0, 1_100.0),)
    relapse = [*begins, *stopped, route(1_000.1, "kept"), route(1_100.0, "broken")]
    assert misdelivery_scopes(relapse, scope) == (Scope((way,), 600.0, 1_100.0),)


def test_the_same_outcomes_in_any_order_make_the_same_list() -> None:
    rng = random.Random(8)
    outcomes, _ = evening(rng, people=60)
    first = impact(outcomes, SCOPE, now=LATE)
    rng.shuffle(outcomes)
    second = impact(outcomes, SCOPE, now=LATE)
    assert (first.hits, first.digest) == (second.hits, second.digest)


def test_a_late_outcome_changes_the_digest() -> None:
    early = impact([sign_in(1_100.0)], SCOPE, now=LATE)
    late = impact([sign_in(1_100.0), sign_in(1_900.0, "kept")], SCOPE, now=LATE)
    assert early.digest != late.digest


def evening(rng: random.Random, people: int) -> tuple[list[Outcome], set[str]]:
    """People who try to sign in now and then; what becomes of each try, and who was hit by the rule in plain words."""
    outcomes: list[Outcome] = []
    truth: set[str] = set()
    for number in range(people):
        device = f"d-{number}"
        tries = sorted(rng.uniform(800.0, 2_200.0) for _ in range(rng.randrange(1, 6)))
        verdicts = [rng.choice(("kept", "broken", "broken", "own", "silent")) for _ in tries]
        got = [at for at, verdict in zip(tries, verdicts, strict=True) if verdict == "kept"]
        for index, (at, verdict) in enumerate(zip(tries, verdicts, strict=True)):
            if verdict == "silent":
                outcomes.append(sign_in(at, "asked", device=device, promise=f"{device}-{index}"))
            else:
                reason = "wrong-credentials" if verdict == "own" else "overloaded"
                outcomes.append(sign_in(at, "kept" if verdict == "kept" else "broken", device=device, reason=reason))
            if verdict in ("broken", "silent") and not any(at <= moment <= at + 60.0 for moment in got):
                # A try that was answered stood open for an instant; one that was not, until its grace time was over.
                open_until = at if verdict == "broken" else at + 60.0
                if at < 2_000.0 and open_until >= 1_000.0:
                    truth.add(f"device:{device}")
    return outcomes, truth


@given(st.integers(min_value=0, max_value=2**32))
def test_exactly_those_who_were_hit_are_listed(seed: int) -> None:
    outcomes, truth = evening(random.Random(seed), people=30)
    assert {each.key for each in impact(outcomes, SCOPE, now=LATE).hits} == truth


@pytest.mark.parametrize("grace_seconds", [5.0, 600.0])
def test_the_grace_time_is_the_operators_to_set(grace_seconds: float) -> None:
    expectations = {("television", "sign-in"): Expectation(grace_seconds)}
    found = impact([sign_in(1_100.0), sign_in(1_159.0, "kept")], SCOPE, now=LATE, expectations=expectations)
    assert len(found.hits) == (1 if grace_seconds == 5.0 else 0)


def test_every_line_of_the_list_is_evidence_for_its_digest() -> None:
    """What a list says cannot change without its digest."""
    told = {"customer": "C1", "promise": "p1"}
    lists = [
        [sign_in(1_100.0)],
        [sign_in(1_100.0, device="d-2")],
        [sign_in(1_100.0, **told)],
        [sign_in(1_101.0)],
        [sign_in(1_100.0, reason="abandoned")],
        [sign_in(1_100.0, observed=False, customer="C2")],
        [sign_in(1_100.0), sign_in(1_100.0)],
        [sign_in(1_100.0), sign_in(1_200.0, reason="wrong-credentials")],
        [sign_in(1_100.0), sign_in(1_300.0, "kept")],
        [sign_in(1_100.0), sign_in(1_301.0, "kept")],
        [],
    ]
    made = [impact(outcomes, SCOPE, now=LATE) for outcomes in lists]
    made += [
        impact(lists[0], scope, now=LATE)
        for scope in (Scope((SIGN_IN,), 999.0, 2_000.0), Scope((SIGN_IN,), 1_000.0, 2_001.0))
    ]
    shown = {(each.scope, each.hits) for each in made}
    assert len({each.digest for each in made}) == len(shown) == len(made) - 1  # an own error is no try


@pytest.mark.parametrize(("kept", "missed"), [(1_160.0, False), (1_160.001, True), (None, True)])
def test_the_grace_time_ends_with_its_last_moment(kept: float | None, missed: bool) -> None:
    outcomes = [sign_in(1_100.0)] + ([sign_in(kept, "kept")] if kept else [])
    assert hit(*outcomes) == (["device:d-1"] if missed else [])


@pytest.mark.parametrize(("now", "listed"), [(1_160.0, 0), (1_160.1, 1)])
def test_who_has_waited_for_the_grace_time_alone_is_not_hit_yet(now: float, listed: int) -> None:
    found = impact([sign_in(1_100.0)], SCOPE, now=now)
    assert (len(found.hits), found.unsettled, found.asked) == (listed, 1 - listed, 1)


def test_what_stood_open_at_the_beginning_counts_and_what_was_asked_at_the_end_does_not() -> None:
    asked = {
        f"p{at}": sign_in(at, "asked", device=f"d-{at}", promise=f"p{at}") for at in (939.9, 940.0, 1_999.9, 2_000.0)
    }
    assert hit(*asked.values()) == ["device:d-1999.9", "device:d-940.0"]
    said = [sign_in(at, device=f"d-{at}") for at in (999.9, 1_000.0)]
    assert hit(*said) == ["device:d-1000.0"]


def test_in_a_place_is_whoever_was_let_down_there_and_not_who_only_came_through() -> None:
    through = [sign_in(1_100.0, "asked", layer="door", promise="p1"), sign_in(1_101.0, promise="p1")]
    assert hit(*through) == ["device:d-1"]
    assert not hit(*through, scope=Scope((Segment.of({"service": "television", "layer": "door"}),), 1_000.0, 2_000.0))
    assert not hit(
        *through, scope=Scope((Segment.of({"service": "television", "layer": "streams"}),), 1_000.0, 2_000.0)
    )
    two = Scope((Segment.of({"service": "messages"}), SIGN_IN), 1_000.0, 2_000.0)
    assert hit(*through, scope=two) == ["device:d-1"]


@pytest.mark.parametrize(
    ("told", "hit_by"),
    [
        ([], ["sms-centre"]),
        ([(1.0, "asked", "link")], ["link"]),
        ([(1.0, "asked", "link"), (2.0, "broken", "link")], ["link"]),
        ([(1.0, "asked", "link"), (2.0, "broken", "sms-centre")], ["sms-centre"]),
        ([(300.0, "broken", "link")], ["link"]),
        ([(301.0, "broken", "link")], ["link", "sms-centre"]),
        ([(1.0, "asked", "link"), (301.0, "kept", "link")], ["link"]),
        ([(301.0, "kept", "link")], ["link", "sms-centre"]),
    ],
    ids=str,
)
def test_a_message_is_let_down_where_it_was_settled_or_by_whoever_was_asked_last(
    told: list[tuple[float, Verdict, str]], hit_by: list[str]
) -> None:
    def outcome(after: float, verdict: Verdict, layer: str) -> Outcome:
        return Outcome(
            time=1_100.0 + after, service="messages", step="deliver", layer=layer, verdict=verdict, device="+47",
            promise="m",
        )  # fmt: skip

    message = [outcome(0.0, "asked", "sms-centre"), *(outcome(at, v, layer) for at, v, layer in told)]
    layers = [
        layer
        for layer in ("link", "sms-centre")
        if hit(*message, scope=Scope((Segment.of({"service": "messages", "layer": layer}),), 1_000.0, 2_000.0))
    ]
    assert layers == hit_by


AFTER = st.floats(0.0, 400.0)
MESSAGES = st.tuples(st.lists(AFTER, min_size=1, max_size=3), st.sampled_from(["", "kept", "broken"]), AFTER)


@given(st.lists(MESSAGES, min_size=1, max_size=6))
def test_whoever_broke_as_an_incident_began_is_on_its_list(drawn: list[tuple[list[float], Verdict, float]]) -> None:
    """However often a message was asked for: an incident begins with what a look settles as broken."""

    def outcome(number: int, at: float, verdict: Verdict) -> Outcome:
        return Outcome(
            time=1_000.0 + at, service="messages", step="deliver", layer="link", verdict=verdict,
            device=f"+47{number}", promise=f"m{number}", dimensions={"account": f"+47{number}"},
        )  # fmt: skip

    told = []
    for number, (asked, verdict, answered) in enumerate(drawn):
        told += [outcome(number, at, "asked") for at in asked]
        told += [outcome(number, max(asked) + answered, verdict)] if verdict else []
    told.sort(key=lambda each: each.time)
    links = (Segment.of({"service": "messages", "layer": "link"}),)
    for each in settled(told, now=LATE):
        if not each.kept:
            listed = hit(*told, scope=Scope(links, each.at, each.at + 0.001))
            assert f"device:{each.segment.get('account')}" in listed


def test_who_is_hit_is_told_by_the_first_try_that_failed_and_the_last_reason() -> None:
    (only,) = impact(
        [
            sign_in(1_050.0, "kept", customer="C1", device="d-0"),
            sign_in(1_100.0, customer="C1", device="d-a", reason="overloaded", observed=False),
            sign_in(1_200.0, customer="C1", device="d-b", reason="abandoned"),
            sign_in(1_300.0, "kept", customer="C1", device="d-c"),
        ],
        SCOPE,
        now=LATE,
    ).hits
    assert only == Hit("C1", "d-a", "television", "sign-in", 1_100.0, 4, 2, "abandoned", 1_300.0, True)


def routed(time: float, partner: str = "Telia", **fields: object) -> Outcome:
    """A canary that came where it should."""
    dimensions = {"partner": partner, "direction": "out"}
    return deliver(time, "kept", "", step="route", device="", dimensions=dimensions, **fields)


def test_canaries_prove_a_way_in_its_time_and_of_several_each_its_own() -> None:
    by_step = Scope((Segment.of({"service": "messages", "step": "deliver", "partner": "Telia"}),), 1_000.0, 2_000.0)
    by_layer = Scope(
        (Segment.of({"service": "messages", "layer": "sms-centre", "partner": "Telia"}),), 1_000.0, 2_000.0
    )
    for scope in (TELIA, by_step, by_layer):
        assert [proven([routed(at)], scope) for at in (999.9, 1_000.0, 1_999.9, 2_000.0)] == [False, True, True, False]
        assert not proven([routed(1_500.0, "Tre"), deliver(1_500.0, "kept", "m1")], scope)
    two = Scope((*TELIA.segments, Segment.of({"service": "messages", "partner": "Tre"})), 1_000.0, 2_000.0)
    assert not proven([routed(1_500.0)], two) and not proven([routed(1_500.0, "Tre")], two)
    assert proven([routed(1_500.0), routed(1_600.0, "Tre")], two)
    assert not proven([], Scope((), 1_000.0, 2_000.0))


def test_condemned_and_exposed_is_a_way_whatever_step_and_layer_told_of_it() -> None:
    told = [structs.replace(routed(at), verdict="broken", reason="misdelivery") for at in (1_200.0, 1_300.0)]
    for told_of in ({"step": "deliver"}, {"layer": "sms-centre"}, {"step": "route", "layer": "sms-centre"}):
        scope = Scope((Segment.of({"service": "messages", "partner": "Telia", **told_of}),), 1_000.0, 2_000.0)
        assert misdelivery_scopes(told, scope) == (Scope(TELIA.segments, 1_200.0, 1_300.0),)
        assert [each.message for each in exposure([deliver(1_250.0, "asked", "m1")], scope)] == ["m1"]


def test_exposed_is_what_was_sent_from_the_first_moment_to_before_the_last_and_by_the_first_way() -> None:
    sent = [deliver(at, "asked", f"m{at}") for at in (999.9, 1_000.0, 1_999.9, 2_000.0)]
    assert [each.message for each in exposure(sent, TELIA)] == ["m1000.0", "m1999.9"]
    elsewhere = {"partner": "Tre"}
    settled_twice = [deliver(1_100.0, "broken", "m1", dimensions=elsewhere), deliver(1_200.0, "kept", "m1")]
    assert exposure(settled_twice, TELIA) == ()
    submitted = deliver(1_100.0, "kept", "m2", step="submit")
    assert exposure([submitted, deliver(1_100.0, "kept", "")], TELIA) == ()
    sent_on = [deliver(1_100.0, "asked", "m3", dimensions=elsewhere), deliver(1_200.0, "asked", "m3")]
    assert [each.sent_at for each in exposure(sent_on, TELIA)] == [1_200.0]


def test_a_message_exposed_stands_with_what_its_journal_says_and_nothing_else() -> None:
    (whole,) = exposure([deliver(1_100.0, "asked", "m1", customer="C1"), deliver(1_200.0, "broken", "m1")], TELIA)
    assert whole == ExposedMessage("m1", "+4790000001", "C1", "clinic", "code", 1_100.0, "broken")
    (bare,) = exposure([deliver(1_100.0, "asked", "m1", device="", dimensions={"partner": "Telia"})], TELIA)
    assert bare == ExposedMessage("m1", "", "", "", "", 1_100.0, "asked")
    named = [deliver(900.0, "kept", "m0", customer="C7"), deliver(1_100.0, "asked", "m1")]
    assert [each.customer for each in exposure(named, TELIA)] == ["C7"]
    two = [deliver(1_300.0, "asked", "m2"), deliver(1_100.0, "asked", "m1")]
    assert [each.message for each in exposure(two, TELIA)] == ["m1", "m2"]


def test_who_is_let_in_when_they_join_again_has_not_got_in_by_that() -> None:
    first = joining(1_100.0, "d-1", "enter-1")
    again = [entered(1_103.0, "d-1"), joining(1_103.0, "d-1", "p-2", "sign-in")]
    got_in = sign_in(1_420.0, "kept", device="d-1", promise="p-2")
    found = impact([first, *again, got_in], SCOPE, now=LATE)
    assert [(each.first_asked, each.kept_later_at) for each in found.hits] == [(1_100.0, 1_420.0)]


def test_the_digest_is_of_this_canonical_form() -> None:
    """Who keeps a digest can prove a list with it years later, in another language."""
    first, second = sign_in(1_100.12345, device="d-ø", promise="p-1"), sign_in(1_200.0, customer="C2", device="d-2")
    later = sign_in(1_300.98765, "kept", device="d-2", customer="C2")
    found = impact([first, second, later], SCOPE, now=LATE)
    lines = (
        '["service=television, step=sign-in, layer=signin"]',
        "[1000.0,2000.0]",
        '["customer:C2","d-2","television","sign-in",1200.0,2,1,"overloaded",1300.988,true]',
        '["device:d-\\u00f8","d-\\u00f8","television","sign-in",1100.123,1,1,"overloaded",null,true]',
    )
    assert [hit.key for hit in found.hits] == ["customer:C2", "device:d-ø"]
    assert found.digest == hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def test_each_one_who_asked_and_each_one_who_still_waits_is_counted() -> None:
    waiting = [sign_in(1_990.0 + n, "asked", device=f"d-{n}", promise=f"p-{n}", layer="door") for n in range(3)]
    kept = [sign_in(1_100.0 + n, "kept", device=f"d-k{n}") for n in range(4)]
    nobody = [sign_in(1_150.0 + n, device="") for n in range(2)]
    for order in ([*nobody, *kept, *waiting], [*waiting, *kept, *nobody]):
        found = impact(order, SCOPE, now=1_995.0)
        assert (found.asked, found.unsettled, found.hits) == (7, 3, ())


def test_an_asking_and_its_answer_of_one_moment_are_read_in_that_order() -> None:
    asked = sign_in(1_100.0, "asked", promise="p-1", layer="door")
    found = impact([sign_in(1_100.0, "kept", promise="p-1"), asked], SCOPE, now=LATE)
    assert (found.asked, found.hits) == (1, ())
    broken = sign_in(1_161.0, reason="abandoned", promise="p-1")
    late = impact([sign_in(1_100.0, "asked", promise="p-1", layer="door"), broken], SCOPE, now=LATE)
    assert [(each.first_asked, each.last_reason) for each in late.hits] == [(1_100.0, "abandoned")]


def test_a_try_of_the_same_moment_as_the_answer_to_another_is_answered_by_it() -> None:
    assert hit(sign_in(1_100.0, promise="p-1"), sign_in(1_100.0, "kept", promise="p-2")) == []


def test_what_only_a_device_says_takes_nothing_back_from_a_promise() -> None:
    """As neither does an asking: only what a role kept can turn out to have reached nobody."""
    kept = sign_in(1_110.0, "kept", promise="p-1")
    asked = sign_in(1_100.0, "asked", promise="p-1", layer="door")
    reported = sign_in(1_111.0, reason="undelivered", promise="p-1", observed=False)
    assert hit(asked, kept, reported) == []
    assert hit(asked, kept, sign_in(1_111.0, "asked", promise="p-1", layer="door")) == []
    alone = sign_in(1_110.0, "kept"), sign_in(1_111.0, reason="undelivered")
    assert hit(*alone) == ["device:d-1"]
    assert hit(alone[0], sign_in(1_111.0, reason="undelivered", device="d-2")) == ["device:d-2"]


def test_a_message_without_a_phone_is_held_by_nobody() -> None:
    held = Segment.of({"service": "messages", "step": "deliver"})
    lost = Outcome(time=1_100.0, service="messages", step="deliver", layer="sms-centre", verdict="broken",
                   reason="expired", promise="m-1", customer="C1")  # fmt: skip
    found = impact([lost], Scope((held,), 1_000.0, 2_000.0), now=LATE, holder=lambda device, at: "nobody's")
    assert [(each.customer, each.device, each.last_reason) for each in found.hits] == [("C1", "", "expired")]
    silent = structs.replace(lost, verdict="asked", reason="", customer="")
    assert impact([silent], Scope((held,), 1_000.0, 2_000.0), now=1e7, holder=lambda device, at: "X").hits == ()


def test_the_digest_is_that_of_the_scope_and_of_each_line_to_the_millisecond() -> None:
    """A list that was frozen has the same digest whenever it is made again."""
    found = impact([sign_in(1_100.1234, reason="for «mange»"), sign_in(1_161.9876, "kept")], SCOPE, now=LATE)
    lines = (
        f'["{SIGN_IN}"]',
        "[1000.0,2000.0]",
        '["device:d-1","d-1","television","sign-in",1100.123,2,1,"for \\u00abmange\\u00bb",1161.988,true]',
    )
    assert found.digest == hashlib.sha256("".join(f"{line}\n" for line in lines).encode("ascii")).hexdigest()


def test_each_who_asked_counts_and_each_who_may_yet_get_it() -> None:
    asked = [sign_in(1_100.0, "asked", device=f"d-{n}", promise=f"p-{n}") for n in range(3)]
    got = [sign_in(1_101.0, "kept", device=f"k-{n}") for n in range(2)]
    running = impact([*asked, *got], SCOPE, now=1_120.0)
    assert (running.asked, running.unsettled, running.hits) == (5, 3, ())
    assert [(each.key, each.last_reason) for each in impact([*asked, *got], SCOPE, now=LATE).hits] == [
        (f"device:d-{n}", "") for n in range(3)
    ]


def test_of_one_moment_the_asking_comes_first_and_an_answer_answers() -> None:
    failed, asked = sign_in(1_100.0, promise="p-1"), enter(1_100.0, promise="p-1")
    assert [each.step for each in impact([failed, asked], SCOPE, now=LATE).hits] == ["enter"]
    assert hit(sign_in(1_100.0), sign_in(1_100.0, "kept")) == []


def test_only_what_a_role_says_of_the_same_asking_takes_an_answer_back() -> None:
    asked, kept = sign_in(1_100.0, "asked", promise="p-1"), sign_in(1_105.0, "kept", promise="p-1")
    assert hit(asked, kept, sign_in(1_106.0, "asked", promise="p-1")) == []
    others = sign_in(1_105.5, reason="undelivered", device="d-2")
    assert hit(sign_in(1_100.0), sign_in(1_105.0, "kept"), others) == ["device:d-2"]
    once = {("television", "sign-in"): Expectation(60.0, repeatable=False)}
    again = sign_in(1_160.5, "kept", promise="p-1")
    assert impact([asked, kept, again], SCOPE, now=LATE, expectations=once).hits == ()
    assert [each.kept_later_at for each in impact([asked, kept, again], SCOPE, now=LATE).hits] == [1_160.5]


def test_who_is_not_named_stands_on_no_list_and_hides_nobody() -> None:
    nameless = sign_in(1_050.0, device="")
    found = impact([nameless, sign_in(1_100.0)], SCOPE, now=LATE, holder=lambda device, at: "s-1")
    assert [each.key for each in found.hits] == ["customer:s-1"] and found.hits[0].first_asked == 1_100.0
    assert hit(nameless, sign_in(1_100.0)) == ["device:d-1"]


def test_a_device_that_is_real_may_not_say_without_a_token_that_it_was_hit() -> None:
    assert hit(sign_in(1_050.0, "kept"), sign_in(1_100.0, observed=False)) == []


def test_what_was_asked_of_another_service_or_is_an_accounts_own_is_not_this_incident() -> None:
    message = {"service": "messages", "step": "deliver", "layer": "link", "promise": "m-1", "customer": "s-1"}
    assert hit(sign_in(1_100.0, "asked", **message)) == []
    messages = Scope((Segment.of({"service": "messages"}),), since=1_000.0, until=2_000.0)
    own = {**message, "layer": "account"}
    assert hit(sign_in(1_100.0, reason="account-not-bound", **own), scope=messages) == []
    assert hit(sign_in(1_100.0, reason="account-not-bound", **message), scope=messages) == ["customer:s-1"]


def test_who_held_a_device_is_told_to_the_moment() -> None:
    holder = holder_of([("d", "C1", 10.0, 20.0), ("d", "C2", 30.0, 40.0), ("e", "C1", 1.0, 9.0), ("e", "C2", 5.0, 9.0)])
    assert [holder("d", at) for at in (9.0, 10.0, 20.0, 20.1, 29.9, 30.0, 40.0, 40.1)] == [
        "C1", "C1", "C1", "C2", "C2", "C2", "C2", None,
    ]  # fmt: skip
    assert [holder("e", at) for at in (4.0, 7.0)] == ["C1", ""] and holder("x", 1.0) is None


def test_a_device_that_only_one_was_ever_seen_on_is_theirs_afterwards_too() -> None:
    holder = holder_of([("d", "C1", 10.0, 20.0), ("e", "C1", 1.0, 9.0), ("e", "C2", 5.0, 9.0)])
    assert [holder("d", at) for at in (9.0, 20.0, 20.1, 1e9)] == ["C1"] * 4
    assert holder("e", 9.1) is None, "two have been there, and nobody knows which of them it was"


def test_a_line_that_a_role_saw_is_seen_when_it_becomes_one_with_what_only_a_device_told() -> None:
    told = Hit("C1", "d-1", "television", "sign-in", 1_050.0, 1, 1, "", None, False)
    for first, second in ((1_050.0, 1_100.0), (1_100.0, 1_050.0)):
        lines = (structs.replace(told, first_asked=first), structs.replace(told, first_asked=second, observed=True))
        (only,) = name_devices(Impact(SCOPE, lines, 2, 0, ""), lambda device, at: "C1", since=0.0).hits
        assert only.observed


def test_lines_that_turn_out_to_be_one_persons_become_one() -> None:
    lines = (
        Hit("", "d-1", "television", "sign-in", 1_100.0, 2, 1, "overloaded", None, False),
        Hit("", "d-2", "television", "sign-in", 1_050.0, 1, 1, "abandoned", None, True),
        Hit("C1", "d-3", "television", "sign-in", 1_200.0, 3, 2, "", 1_300.0, False),
    )
    made = Impact(SCOPE, lines, 9, 0, "")
    found = name_devices(made, lambda device, at: "C1", since=0.0)
    (only,) = found.hits
    assert only == Hit("C1", "d-2", "television", "sign-in", 1_050.0, 6, 4, "overloaded", 1_300.0, True)
    assert (found.asked, found.digest) == (7, name_devices(found, lambda device, at: None, since=0.0).digest)
    assert len({made.digest, found.digest, name_devices(made, lambda device, at: None, since=0.0).digest}) == 3
    (both,) = name_devices(Impact(SCOPE, lines[:2], 9, 0, ""), lambda device, at: "C1", since=0.0).hits
    assert (both.kept_later_at, both.last_reason, both.observed) == (None, "overloaded", True)
    for seen in (True, False):  # by a role, whichever of the two it was
        earlier, later = structs.replace(lines[0], observed=not seen), structs.replace(lines[2], observed=seen)
        (one,) = name_devices(Impact(SCOPE, (earlier, later), 9, 0, ""), lambda device, at: "C1", since=0.0).hits
        assert one.observed
    for since, customer in ((1_100.0, "C1"), (1_100.1, "")):
        (late,) = name_devices(Impact(SCOPE, (lines[0],), 9, 0, ""), lambda device, at: "C1", since=since).hits
        assert late.customer == customer
