"""What became of a canary, and whether its way is to be trusted: the decisions alone."""

import random
from statistics import mean, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.config import Canary as CanaryPhone
from prikkfri.config import Link, Sms
from prikkfri.errors import ConfigError
from prikkfri.sms.canaries.phones import phone_of_turn, phones_by_link
from prikkfri.sms.canaries.verdicts import (
    ASTRAY,
    CONDEMNING_NATS,
    NATS,
    Canary,
    Trust,
    Verdict,
    change_point,
    judge,
    observe,
    opened,
    remembered,
)
from prikkfri.sms.lifecycle import State
from prikkfri.sms.routing import Party, Routes, Stop, switched, way_on

GRACE = 10.0


def canary(state: State = State.SENT, *, sent_at: float = 100.0, **known: float) -> Canary:
    times = {"attempted_at": 99.9, "ended_at": 0.0, "arrived_at": 0.0, "stray_at": 0.0, **known}
    return Canary("token", "id", "nord", "4790000001", state, sent_at=sent_at, **times)  # type: ignore[arg-type]


def verdict(of: Canary, *, now: float, heard_at: float | None = None) -> Verdict | None:
    judged = judge(of, now if heard_at is None else heard_at, grace_seconds=GRACE, now=now)
    return judged and judged.verdict


RECEIPTED = {"state": State.DELIVERED, "ended_at": 101.0}


@pytest.mark.parametrize(
    ("of", "now", "expected"),
    [
        (canary(**RECEIPTED, arrived_at=101.5), 102.0, Verdict.ARRIVED),
        (canary(**RECEIPTED, arrived_at=111.0), 111.5, Verdict.LATE),
        (canary(**RECEIPTED), 111.0, None),  # its time is not over
        (canary(**RECEIPTED), 111.1, Verdict.MISSING),
        (canary(), 109.0, None),
        (canary(), 110.1, Verdict.LOST),
        (canary(arrived_at=101.0), 105.0, None),  # its receipt may still come
        (canary(arrived_at=101.0), 110.1, Verdict.ARRIVED),
        (canary(State.UNDELIVERABLE, ended_at=101.0), 102.0, Verdict.REFUSED),
        (canary(State.EXPIRED, sent_at=0.0, ended_at=130.0), 131.0, Verdict.UNSENT),
        (canary(State.WAITING, sent_at=0.0), 1_000.0, None),
        (canary(stray_at=101.0), 101.5, Verdict.WRONG_PHONE),
        (canary(**RECEIPTED, arrived_at=101.0, stray_at=102.0), 102.0, Verdict.WRONG_PHONE),  # to its phone and another
    ],
)
def test_a_canary_is_judged_by_phone_and_network_together(of: Canary, now: float, expected: Verdict | None) -> None:
    assert verdict(of, now=now) == expected


def test_a_phone_that_is_silent_says_nothing_about_the_way() -> None:
    gone = canary(**RECEIPTED)  # type: ignore[arg-type]
    assert verdict(gone, now=120.0, heard_at=110.9) is None
    assert verdict(gone, now=150.0, heard_at=110.9) is Verdict.UNTOLD
    assert verdict(gone, now=150.0, heard_at=111.1) is Verdict.MISSING


def test_a_receipt_is_told_apart_from_an_arrival() -> None:
    without = judge(canary(arrived_at=101.0), 0.0, grace_seconds=GRACE, now=111.0)
    assert without is not None
    assert (without.verdict, without.receipted) == (Verdict.ARRIVED, False)


def after(verdicts: list[Verdict], trust: Trust | None = None) -> Trust:
    trust = trust or Trust()
    for each in verdicts:
        trust = observe(trust, each)
    return trust


def canaries_until_condemned(lots: random.Random, *, astray: float, on_ours: float) -> int:
    trust, count = Trust(), 0
    while not trust.condemned:
        count += 1
        goes_astray = lots.random() < astray
        where = Verdict.WRONG_PHONE if lots.random() < on_ours else Verdict.MISSING
        trust = observe(trust, where if goes_astray else Verdict.ARRIVED)
    return count


@pytest.mark.parametrize(
    ("astray", "on_ours", "mean_max", "within_95"),
    [(0.05, 0.0, 120, 235), (0.05, 0.3, 90, 200), (0.05, 0.5, 75, 165), (0.20, 0.0, 30, 50), (1.0, 0.0, 5, 5)],
)
def test_five_in_a_hundred_are_found_within_the_stated_number_of_canaries(
    astray: float, on_ours: float, mean_max: float, within_95: float
) -> None:
    lots = random.Random(11)
    needed = [canaries_until_condemned(lots, astray=astray, on_ours=on_ours) for _ in range(1_500)]
    assert mean(needed) <= mean_max
    assert quantiles(needed, n=20)[-1] <= within_95


def test_an_honest_way_is_not_condemned() -> None:
    """By Lorden's bound once in 8.9 million canaries; here 200,000."""
    lots = random.Random(12)
    trust = Trust()
    for _ in range(200_000):
        trust = observe(trust, Verdict.MISSING if lots.random() < 0.001 else Verdict.ARRIVED)
        assert not trust.condemned


@given(st.lists(st.sampled_from([v for v in Verdict if v not in ASTRAY])))
def test_what_only_got_lost_condemns_nobody(verdicts: list[Verdict]) -> None:
    trust = after(verdicts)
    assert not trust.condemned
    assert trust.astray == 0
    assert trust.judged == len(verdicts)


@given(st.lists(st.sampled_from(list(Verdict)), max_size=60))
def test_more_light_on_a_canary_weighs_no_more_than_all_of_it_at_once(verdicts: list[Verdict]) -> None:
    """Missing first and found on another phone later is as much evidence as found there at once."""
    trust = Trust()  # with room above and below, so that no limit hides a difference
    base = observe(trust, Verdict.MISSING)
    in_two = observe(base, Verdict.WRONG_PHONE, earlier=Verdict.MISSING)
    at_once = observe(trust, Verdict.WRONG_PHONE)
    assert after(verdicts, in_two) == after(verdicts, at_once)


def test_condemned_it_is_stopped_until_it_is_proven_or_a_person_says_otherwise() -> None:
    condemned = after([Verdict.WRONG_PHONE] * 2)
    assert condemned.to_be_stopped
    excused = opened(condemned)
    assert excused.condemned
    assert not excused.to_be_stopped
    assert not after([Verdict.WRONG_PHONE], excused).to_be_stopped
    assert after([Verdict.WRONG_PHONE] * 2, excused).to_be_stopped  # only what is new stops it again
    good = after([Verdict.ARRIVED] * 98, condemned)
    assert good.condemned
    assert not after([Verdict.ARRIVED] * 2, good).condemned
    assert after([*[Verdict.ARRIVED] * 90, Verdict.MISSING, *[Verdict.ARRIVED] * 90], condemned).condemned


@given(st.lists(st.sampled_from(list(Verdict)), max_size=200), st.integers(0, 200))
def test_a_restart_forgets_nothing(verdicts: list[Verdict], opened_after: int) -> None:
    lived = Trust()
    for number, each in enumerate(verdicts):
        if number == opened_after:
            lived = opened(lived)
        lived = observe(lived, each)
    if opened_after >= len(verdicts):
        lived = opened(lived)
    decided = [(float(number), str(each)) for number, each in enumerate(verdicts)]
    assert remembered(decided, opened_after - 0.5) == lived if opened_after else True


def evening(lots: random.Random, began: int) -> list[tuple[float, str]]:
    """Canaries, one a second, until their way is condemned for what began at `began`."""
    trust, told = Trust(), []
    while not trust.condemned:
        astray = len(told) >= began and lots.random() < 0.05
        each = Verdict.MISSING if astray else Verdict.ARRIVED
        told.append((float(len(told)), str(each)))
        trust = observe(trust, each)
    return told


def test_the_time_from_which_the_list_is_made_misses_no_bad_message() -> None:
    """The fault began after `earliest`, but for one in a thousand; before `likeliest` nothing is known to be bad."""
    lots = random.Random(13)
    began, missed, early = 300, 0, []
    for _ in range(1_000):
        told = evening(lots, began)
        since = change_point(told)
        assert since is not None
        missed += since.earliest > began
        early.append(began - since.earliest)
        assert not [at for at, each in told if each in ASTRAY and at < since.earliest]
    assert missed <= 4
    assert mean(early) <= 140


def test_without_a_canary_astray_nothing_began() -> None:
    assert change_point([(1.0, "arrived"), (2.0, "lost")]) is None
    assert change_point([]) is None


def test_the_weights_are_what_the_theory_says() -> None:
    assert 2 * NATS[Verdict.WRONG_PHONE] >= CONDEMNING_NATS
    assert NATS[Verdict.WRONG_PHONE] + 2 * NATS[Verdict.MISSING] >= CONDEMNING_NATS
    assert 5 * NATS[Verdict.MISSING] >= CONDEMNING_NATS > 4 * NATS[Verdict.MISSING]


# Routes: where messages go whose link is stopped.


def link(name: str, instead: str = "") -> Link:
    return Link(
        name=name, partner=name.title(), host="h", port=1, system_id="s", password="p", prefixes=(), instead=instead
    )


LINKS = (link("nord"), link("syd", instead="fjord"), link("fjord"))


def party(text: str) -> Party:
    return Party.parse(text)


def test_what_waits_is_held_while_its_route_is_stopped() -> None:
    stopped, opened = Routes.of(Sms(links=LINKS), ["nord"]), Routes.of(Sms(links=LINKS))
    assert way_on(stopped, party("link:nord"), "4790000001", None) == party("held:nord")
    assert way_on(opened, party("held:nord"), "4790000001", None) == party("link:nord")


def test_a_switch_that_changes_nothing_is_none_and_an_opening_keeps_what_is_known_of_the_stop() -> None:
    def to(known: Stop | None, state: str, now: float) -> Stop | None:
        return switched(known, state, who="Kari", reason="r", exposed_since=1.0, likely_since=2.0, now=now)

    assert to(None, "open", 5.0) is None
    stopped = to(None, "stopped", 5.0)
    assert stopped == Stop("stopped", 5.0, "Kari", "r", 5.0, 1.0, 2.0)
    assert to(stopped, "stopped", 6.0) is None
    again = to(stopped, "open", 7.0)
    assert again is not None
    assert (again.stopped, again.changed_at, again.stopped_at, again.exposed_since) == (False, 7.0, 5.0, 1.0)


def phone(msisdn: str, link: str = "nord") -> CanaryPhone:
    return CanaryPhone(msisdn=msisdn, link=link)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            Sms(links=(link("syd"), link("nord")), canaries=(phone("+4790000801", link="south"),)),
            "sms.canaries: there is no link 'south'; known: nord, syd",
        ),
        (Sms(links=LINKS, canaries=(phone("90000801"),)), "sms.canaries: '90000801' is no number in E.164"),
        (Sms(links=LINKS, canaries=(phone("+nobody"),)), "sms.canaries: '+nobody' is no number in E.164"),
        (Sms(links=(link("nord", instead="nord"),)), "sms.links: `instead` of nord names no other link: 'nord'"),
        (Sms(links=(link("nord", instead="south"),)), "sms.links: `instead` of nord names no other link: 'south'"),
    ],
)
def test_a_canary_or_a_stand_in_that_cannot_be_is_refused(settings: Sms, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        phones_by_link(settings)
    assert str(refused.value) == says


def test_each_phone_has_its_turn() -> None:
    phones = tuple(phone(f"+479000080{number}") for number in range(3))
    found = phones_by_link(Sms(links=LINKS, canaries=phones))
    assert found == {"nord": ["4790000800", "4790000801", "4790000802"]}
    assert {phone_of_turn(found["nord"], turn) for turn in range(5)} == set(found["nord"])
