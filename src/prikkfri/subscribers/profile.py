"""A subscriber as shown to a person: masked, unless the whole is asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from prikkfri.subscribers.numbers import mask_number
from prikkfri.subscribers.subscriptions import Subscriber, Subscription


@dataclass(frozen=True)
class HeldSubscription:
    """One thing subscribed to, ready to be shown."""

    subscriber_id: str
    kind: str
    product: str
    number: str
    since: str
    """Local date."""
    until: str
    """Local date; empty while it lasts."""
    now: bool
    """Whether it is held at the moment."""


@dataclass(frozen=True)
class Profile:
    id: str
    name: str
    email: str
    subscriptions: tuple[HeldSubscription, ...]
    holders: tuple[HeldSubscription, ...]
    """When a number was asked for: everyone who has held it, oldest first."""


def profile(
    subscriber: Subscriber,
    subscriptions: Sequence[Subscription],
    holders: Sequence[Subscription],
    *,
    now: float,
    timezone: tzinfo,
    unmasked: bool,
) -> Profile:
    def held(subscription: Subscription) -> HeldSubscription:
        return HeldSubscription(
            subscription.subscriber_id,
            subscription.kind,
            subscription.product,
            subscription.msisdn if unmasked else mask_number(subscription.msisdn),
            _date(subscription.starts, timezone),
            _date(subscription.ends, timezone),
            subscription.starts <= now < subscription.ends,
        )

    return Profile(
        subscriber.id,
        subscriber.name if unmasked else masked_name(subscriber.name),
        subscriber.email if unmasked else masked_email(subscriber.email),
        tuple(map(held, subscriptions)),
        tuple(map(held, holders)),
    )


def masked_name(name: str) -> str:
    """`Kari Nordmann` becomes `K••• N•••`: the same length for everybody."""
    return " ".join(f"{part[0]}•••" for part in name.split())


def masked_email(email: str) -> str:
    """`kari@example.no` becomes `k•••@example.no`."""
    person, at, domain = email.rpartition("@")
    return f"{person[:1]}•••@{domain}" if at else ""


def _date(moment: float, timezone: tzinfo) -> str:
    return "" if math.isinf(moment) else f"{datetime.fromtimestamp(moment, timezone):%Y-%m-%d}"
