from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.impact import Hit
from prikkfri.assurance.remedies import Policy, Tier, trial

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
        found = trial(POLICY, [replace(HIT, **changes)], incident="7", ended_at=1_600.0, products=PRODUCTS)  # type: ignore[arg-type]
        return found.total

    assert amount() == 2_000
    assert amount(customer="C2") == 1_000
    assert amount(kept_later_at=1_000.0 + 3_600) == 8_000
    assert amount(kept_later_at=1_030.0) == 0


def test_who_is_left_out_and_why() -> None:
    hits = [
        replace(HIT, customer=""),
        replace(HIT, customer="C3"),
        replace(HIT, customer="C2", observed=False),
        replace(HIT, service="messages"),
    ]
    found = trial(POLICY, hits, incident="7", ended_at=1_600.0, products=PRODUCTS)
    assert (found.customers, found.total, sum(found.left_out.values())) == (0, 0, 4)
    assert found.left_out["whose device it was is not known"] == 1
    released = trial(POLICY, hits, incident="7", ended_at=1_600.0, products=PRODUCTS, reported_released=True)
    assert [credit.customer for credit in released.credits] == ["C2"]


def test_once_per_customer_and_incident() -> None:
    found = credits(POLICY, [HIT, HIT], incident="7", ended_at=1_600.0, products=PRODUCTS)
    assert [(credit.key, credit.amount, credit.currency) for credit in found] == [("7:C1", 2_000, "NOK")]
    assert credits(POLICY, [HIT], incident="8", ended_at=1_600.0, products=PRODUCTS)[0].key != found[0].key


def test_above_the_cap_nobody_is_credited_without_a_person() -> None:
    hits = [replace(HIT, customer=f"C{number}") for number in range(501)]
    everyone = dict.fromkeys((hit.customer for hit in hits), "sport")
    assert trial(POLICY, hits, incident="7", ended_at=1_600.0, products=everyone).over_cap
    assert credits(POLICY, hits, incident="7", ended_at=1_600.0, products=everyone) == []
    assert len(credits(POLICY, hits[:500], incident="7", ended_at=1_600.0, products=everyone)) == 500


hits = st.builds(
    replace,
    st.just(HIT),
    customer=st.sampled_from(["", "C1", "C2", "C3", "C4"]),
    kept_later_at=st.none() | st.floats(1_000.0, 20_000.0),
    observed=st.booleans(),
)


@given(st.lists(hits, max_size=20), st.floats(1_000.0, 10_000.0))
def test_each_hit_is_credited_or_left_out_and_nobody_twice(found: list[Hit], ended_at: float) -> None:
    tried = trial(POLICY, found, incident="7", ended_at=ended_at, products=PRODUCTS)
    customers = [credit.customer for credit in tried.credits]
    assert len(customers) == len(set(customers))
    assert all(0 < credit.amount <= POLICY.cap_per_customer for credit in tried.credits)
    assert sum(tried.left_out.values()) + len(customers) <= len(found)
    repeated = trial(POLICY, reversed(found), incident="7", ended_at=ended_at, products=PRODUCTS)
    assert {c.key: c.amount for c in repeated.credits} == {c.key: c.amount for c in tried.credits}
