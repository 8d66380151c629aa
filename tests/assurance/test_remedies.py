from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from msgspec import structs

from prikkfri.assurance.impact import Hit
from prikkfri.assurance.remedies import Policy, ServiceCredit, Tier, Trial, in_doubt, night, trial

POLICY = Policy(
    name="kick-off",
    service="television",
    tiers=(Tier(from_minutes=1.0, amount=2_000), Tier(from_minutes=60.0, amount=10_000)),
    products={"sport": 1.0, "basic": 0.5},
    cap_per_customer=8_000,
    cap_total=1_000_000,
)
HIT = Hit("C1", "d-1", "television", "sign-in", 1_000.0, 3, 3, "overloaded", None, True)
PRODUCTS = {"C1": "sport", "C2": "basic", "C3": "free"}


def test_the_amount_follows_the_wait_the_product_and_the_cap() -> None:
    def amount(**changes: object) -> int:
        found = trial(POLICY, [structs.replace(HIT, **changes)], incident="7", ended_at=1_600.0, products=PRODUCTS)  # type: ignore[arg-type]
        return found.total

    assert amount() == 2_000
    assert amount(customer="C2") == 1_000
    assert amount(kept_later_at=1_000.0 + 3_600) == 8_000
    assert amount(kept_later_at=1_000.0 + 3_600, customer="C2") == 5_000  # half of the tier, not of the cap
    assert amount(kept_later_at=1_030.0) == 0


def test_who_is_left_out_and_why() -> None:
    hits = [
        structs.replace(HIT, customer=""),
        structs.replace(HIT, customer="C3"),
        structs.replace(HIT, customer="C2", observed=False),
        structs.replace(HIT, service="messages"),
    ]
    found = trial(POLICY, hits, incident="7", ended_at=1_600.0, products=PRODUCTS)
    assert (found.customers, found.total, sum(found.left_out.values())) == (0, 0, 4)
    assert found.left_out["whose device it was is not known"] == 1
    released = trial(POLICY, hits, incident="7", ended_at=1_600.0, products=PRODUCTS, reported_released=True)
    assert [credit.customer for credit in released.credits] == ["C2"]


@pytest.mark.parametrize(
    ("cap", "before", "amount"),
    [(0, 0, 8_000), (0, 1, 7_999), (0, 7_999, 1), (0, 8_000, 0), (0, 9_000, 0), (9_000, 1_000, 8_000),
     (9_000, 1_001, 7_999), (9_000, 9_000, 0), (500, 0, 500)],
)  # fmt: skip
def test_for_all_incidents_of_a_night_nobody_gets_more_than_its_cap(cap: int, before: int, amount: int) -> None:
    policy = replace(POLICY, cap_per_customer_and_night=cap)
    hits = [structs.replace(HIT, kept_later_at=1_000.0 + 3_600)]
    that_night = {"C1": before, "C2": 10**6}
    found = trial(policy, hits, incident="7", ended_at=1_600.0, products=PRODUCTS, that_night=that_night)
    assert found.total == amount
    assert found.left_out == ({} if amount else {"has been given the most for one night": 1})


def test_a_night_is_from_noon_to_noon_where_the_house_is() -> None:
    zone = ZoneInfo("Europe/Oslo")

    def at(*moment: int) -> float:
        return datetime(*moment, tzinfo=zone).timestamp()  # type: ignore[misc, arg-type]

    friday = (at(2026, 3, 27, 12), at(2026, 3, 28, 12))
    assert night(friday[0], zone) == night(at(2026, 3, 28), zone) == night(friday[1] - 0.001, zone) == friday
    assert night(friday[0] - 0.001, zone) == (at(2026, 3, 26, 12), friday[0])
    # An hour of this one is skipped.
    short = night(friday[1], zone)
    assert short == (friday[1], at(2026, 3, 29, 12)) and short[1] - short[0] == 23 * 3_600


def test_in_doubt_are_those_credited_who_stand_on_the_list_no_more() -> None:
    given = [ServiceCredit(f"7:{name}", "7", name, 1, "NOK", "kick-off", "") for name in ("C3", "C1", "C2")]
    assert in_doubt(given, [HIT]) == ("C2", "C3")
    assert in_doubt(given[1:2], [HIT, structs.replace(HIT, customer="C9")]) == ()


def test_once_per_customer_and_incident_by_the_longest_wait() -> None:
    longer = structs.replace(HIT, device="d-2", kept_later_at=1_000.0 + 3_600)
    for hits in ([HIT, longer], [longer, HIT]):
        (credit,) = trial(POLICY, hits, incident="7", ended_at=1_600.0, products=PRODUCTS).credits
        assert credit == ServiceCredit("7:C1", "7", "C1", 8_000, "NOK", "kick-off", "sign-in failed for 60 min")
    # Of two that are worth the same the first is the reason.
    again = structs.replace(HIT, step="start-playback")
    (credit,) = trial(POLICY, [HIT, again], incident="7", ended_at=1_600.0, products=PRODUCTS).credits
    assert credit.reason == "sign-in failed for 10 min"
    (elsewhere,) = trial(POLICY, [HIT], incident="8", ended_at=1_600.0, products=PRODUCTS).credits
    assert elsewhere.key == "8:C1"


@pytest.mark.parametrize(
    ("minutes", "amount"), [(0.0, 0), (0.99, 0), (1.0, 2_000), (59.99, 2_000), (60.0, 8_000), (600.0, 8_000)]
)
def test_a_tier_holds_from_its_minute_on_until_it_was_got_or_the_incident_ended(minutes: float, amount: int) -> None:
    got_at = HIT.first_asked + minutes * 60
    ended = trial(POLICY, [HIT], incident="7", ended_at=got_at, products=PRODUCTS)
    got = trial(POLICY, [structs.replace(HIT, kept_later_at=got_at)], incident="7", ended_at=9e9, products=PRODUCTS)
    assert ended.total == got.total == amount
    if not amount:
        assert ended.left_out == got.left_out == {"the wait was too short": 1}


def test_who_asked_after_the_end_has_not_waited_for_a_negative_time() -> None:
    policy = replace(POLICY, tiers=(Tier(from_minutes=0.0, amount=100), Tier(from_minutes=-10.0, amount=1)))
    assert trial(policy, [HIT], incident="7", ended_at=HIT.first_asked - 900, products=PRODUCTS).total == 100


@pytest.mark.parametrize(
    ("products", "amount"),
    [
        ({"sport": 1.0}, 2_000),
        ({"*": 0.5}, 1_000),
        ({"sport": 0.25, "*": 1.0}, 500),
        ({"sport": 3.0}, 6_000),
        ({"sport": 9.0}, 8_000),
        ({"sport": 0.0, "*": 1.0}, 0),
        ({"basic": 1.0}, 0),
        ({}, 0),
    ],
)
def test_a_product_is_credited_by_its_own_factor_or_that_of_the_rest(products: dict[str, float], amount: int) -> None:
    policy = replace(POLICY, products=products)
    tried = trial(policy, [HIT], incident="7", ended_at=1_600.0, products=PRODUCTS)
    assert tried.total == amount and (amount or tried.left_out == {"the product is not credited": 1})


def test_one_who_has_no_product_is_credited_as_the_rest_unless_the_policy_says_otherwise() -> None:
    for products, amount in (({"*": 1.0}, 2_000), ({"": 0.0, "*": 1.0}, 0), ({"sport": 1.0}, 0)):
        policy = replace(POLICY, products=products)
        assert trial(policy, [HIT], incident="7", ended_at=1_600.0, products={}).total == amount


def test_above_the_cap_is_what_costs_more_than_it_with_what_was_given_before() -> None:
    hits = [structs.replace(HIT, customer=f"C{number}") for number in range(501)]
    everyone = dict.fromkeys((hit.customer for hit in hits), "sport")

    def over_cap(count: int, *given: ServiceCredit) -> bool:
        return trial(POLICY, hits[:count], incident="7", ended_at=1_600.0, products=everyone, given=given).over_cap

    def given(customer: str, amount: int) -> ServiceCredit:
        return ServiceCredit(f"7:{customer}", "7", customer, amount, "NOK", "kick-off", "")

    assert not over_cap(500) and over_cap(501)
    assert over_cap(500, given("gone", 1))
    # What one of them has got already is what they cost.
    assert not over_cap(500, given("C1", 2_000)) and over_cap(500, given("C1", 2_001))
    assert not over_cap(501, given("C1", 0))


hits = st.builds(
    structs.replace,
    st.just(HIT),
    customer=st.sampled_from(["", "C1", "C2", "C3", "C4"]),
    kept_later_at=st.none() | st.floats(1_000.0, 20_000.0),
    observed=st.booleans(),
)


@drawn(st.lists(hits, max_size=20), st.floats(1_000.0, 10_000.0))
def test_each_hit_is_credited_or_left_out_and_each_customer_once_by_their_worst(
    found: list[Hit], ended_at: float
) -> None:
    def tried(hits: Iterable[Hit]) -> Trial:
        return trial(POLICY, hits, incident="7", ended_at=ended_at, products=PRODUCTS)

    together, alone = tried(found), [tried([hit]) for hit in found]
    credits = [credit for each in alone for credit in each.credits]
    assert all(0 < credit.amount <= POLICY.cap_per_customer for credit in credits)
    worst = {who: max(c.amount for c in credits if c.customer == who) for who in {c.customer for c in credits}}
    assert [(c.customer, c.amount) for c in together.credits] == sorted(worst.items())
    assert sum(together.left_out.values()) == len(found) - len(credits)
    assert (together.customers, together.total) == (len(worst), sum(worst.values()))
