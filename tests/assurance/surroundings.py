"""What incident response knows of the rest of the house, when a test does not care."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from prikkfri.assurance.response.service import Surroundings


async def _no_products(customers: Sequence[str], at: float) -> Mapping[str, str]:
    return {}


async def _nobody_told(customer: str, text: str) -> str:
    return ""


NOTHING_KNOWN = Surroundings(
    blind=frozenset,
    silent=frozenset,
    incomplete=str,
    capacity_per_second=lambda at: None,
    products=_no_products,
    tell=_nobody_told,
    changed=lambda: None,
)


def surroundings(**known: Any) -> Surroundings:
    """All is seen and nobody can be told; but for what is `known`."""
    return replace(NOTHING_KNOWN, **known)
