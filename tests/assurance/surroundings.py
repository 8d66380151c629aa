"""What incident response knows of the rest of the house, when a test does not care."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.personal.service import Personal, Registry
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.surroundings import Surroundings
from prikkfri.clock import Clock
from prikkfri.storage import Database
from prikkfri.subscribers.subscriptions import Subscriber, Subscription


async def _no_products(customers: Sequence[str], at: float) -> Mapping[str, str]:
    return {}


async def _nobody_told(customer: str, texts: Mapping[str, str]) -> str:
    return ""


NOTHING_KNOWN = Surroundings(
    blind=frozenset,
    silent=frozenset,
    incomplete=str,
    capacity_per_second=lambda service, since, until: None,
    products=_no_products,
    tell=_nobody_told,
    changed=lambda: None,
)


def surroundings(**known: Any) -> Surroundings:
    """All is seen and nobody can be told; but for what is `known`."""
    return replace(NOTHING_KNOWN, **known)


def personal_beside(
    database: Database,
    response: Response,
    neighbours: RoleClient,
    clock: Clock,
    find: Callable[[str], Awaitable[Subscriber | None]],
    *,
    named: Sequence[Subscriber] = (),
    held: Sequence[Subscription] = (),
) -> Personal:
    """Of a house with whoever `find` finds by a key, and who are `named` alike."""

    async def by_name(name: str) -> Sequence[Subscriber]:
        return [each for each in named if name.lower() in each.name.lower()]

    async def subscriptions(customer: str) -> Sequence[Subscription]:
        return held

    return Personal(
        database,
        incidents=response.register,
        neighbours=neighbours,
        registry=Registry(find, by_name, subscriptions),
        unread=frozenset,
        clock=clock,
    )
