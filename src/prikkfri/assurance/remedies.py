"""Remedies: who gets what, by a policy that is data, once for each customer and incident.

The policy is tried on an incident before it is used: `trial` says how many, how much and who is left out, and why.
Only what a role saw itself moves money by itself; what a device reported waits for a person's release.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from prikkfri.assurance.impact import Hit


@dataclass(frozen=True, kw_only=True)
class Tier:
    """What is given from some length of the wait on."""

    from_minutes: float
    amount: int
    """In the currency's smallest unit (øre)."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A table in the configuration."""

    name: str
    service: str
    currency: str = "NOK"
    tiers: tuple[Tier, ...]
    """By the time from the first asking until it was got, or until the incident ended."""
    products: Mapping[str, float]
    """Which products are credited, and by what factor; `*` stands for those that are not named."""
    cap_per_customer: int
    """The most that one customer gets for one incident, in the smallest unit."""
    cap_per_customer_and_night: int = 0
    """The most that one customer gets for all incidents of a night; 0: as for one incident."""
    cap_total: int
    """The most that one incident may cost without a person; a trial above it credits nobody."""


@dataclass(frozen=True)
class ServiceCredit:
    key: str
    """Once per customer and incident: the same key is the same credit, however often it is made."""
    incident: str
    customer: str
    amount: int
    """In the smallest unit."""
    currency: str
    policy: str
    reason: str


@dataclass(frozen=True)
class Trial:
    """What a policy would give, before it gives."""

    credits: tuple[ServiceCredit, ...]
    left_out: Mapping[str, int]
    """How many of those hit get nothing, by reason."""
    over_cap: bool
    """The sum is above what the policy allows without a person."""

    @property
    def customers(self) -> int:
        return len(self.credits)

    @property
    def total(self) -> int:
        return sum(credit.amount for credit in self.credits)


def credit_key(incident: str, customer: str) -> str:
    return f"{incident}:{customer}"


def night(at: float, zone: tzinfo) -> tuple[float, float]:
    """From when to before when the night of a moment lasts: from noon to noon."""
    moment = datetime.fromtimestamp(at, zone)
    day = moment.date() - timedelta(days=moment.hour < 12)
    noon, next_noon = (datetime.combine(each, time(12), zone).timestamp() for each in (day, day + timedelta(days=1)))
    return noon, next_noon


def in_doubt(given: Iterable[ServiceCredit], hits: Iterable[Hit]) -> tuple[str, ...]:
    """Those credited who stand on the list no more."""
    return tuple(sorted({credit.customer for credit in given} - {hit.customer for hit in hits}))


def trial(
    policy: Policy,
    hits: Iterable[Hit],
    *,
    incident: str,
    ended_at: float,
    products: Mapping[str, str],
    reported_released: bool = False,
    given: Iterable[ServiceCredit] = (),
    that_night: Mapping[str, int] | None = None,
) -> Trial:
    """Tries a policy on those hit; `products` names each customer's product at the time of the incident.

    `reported_released`: a person has released those of whom only their own device tells. `given`: what the incident has
    cost already, whoever stands on its list by now. `that_night`: what each customer was given for other incidents of
    its night.
    """
    found: dict[str, ServiceCredit] = {}
    left_out: dict[str, int] = {}
    for hit in hits:
        amount, reason = _amount(policy, hit, ended_at, products.get(hit.customer, ""), reported_released)
        if amount:
            most = policy.cap_per_customer_and_night or policy.cap_per_customer
            amount = min(amount, max(most - (that_night or {}).get(hit.customer, 0), 0))
            reason = reason if amount else "has been given the most for one night"
        if not amount:
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        key = credit_key(incident, hit.customer)
        known = found.get(key)
        if known is None or amount > known.amount:
            found[key] = ServiceCredit(key, incident, hit.customer, amount, policy.currency, policy.name, reason)
    credited = tuple(credit for _, credit in sorted(found.items()))
    cost = {credit.key: credit.amount for credit in (*credited, *given)}
    return Trial(credited, left_out, over_cap=sum(cost.values()) > policy.cap_total)


def _amount(policy: Policy, hit: Hit, ended_at: float, product: str, reported_released: bool) -> tuple[int, str]:
    """The amount and the reason for it; 0 and why not."""
    if hit.service != policy.service:
        return 0, "another service"
    if not hit.customer:
        return 0, "whose device it was is not known"
    if not hit.observed and not reported_released:
        return 0, "only the device tells of it: a person must release it"
    factor = policy.products.get(product, policy.products.get("*", 0.0))
    if factor <= 0:
        return 0, "the product is not credited"
    got_at = hit.kept_later_at if hit.kept_later_at is not None else max(ended_at, hit.first_asked)
    minutes = (got_at - hit.first_asked) / 60
    tier = max(
        (tier for tier in policy.tiers if tier.from_minutes <= minutes), key=lambda t: t.from_minutes, default=None
    )
    if tier is None:
        return 0, "the wait was too short"
    amount = min(round(tier.amount * factor), policy.cap_per_customer)
    return amount, f"{hit.step} failed for {minutes:.0f} min"
