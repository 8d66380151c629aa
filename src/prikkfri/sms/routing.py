"""Routing: from a recipient to the party that takes the message on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from prikkfri.config import Sms


class Party(NamedTuple):
    """One who hands messages in and takes them out: an account, or a link to a network."""

    kind: str
    """`account` or `link`."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(*text.split(":", 1))


@dataclass(frozen=True)
class Routes:
    short_codes: Mapping[str, Party]
    prefixes: Mapping[str, Party]
    prefix_digits_max: int

    @classmethod
    def of(cls, settings: Sms) -> Self:
        prefixes = {prefix: Party("link", link.name) for link in settings.links for prefix in link.prefixes}
        return cls(
            {
                code: Party("account", account.system_id)
                for account in settings.accounts
                for code in account.short_codes
            },
            prefixes,
            max(map(len, prefixes), default=0),
        )


@dataclass(frozen=True)
class Route:
    party: Party
    matched: str
    """The short code or the prefix that decided."""


def find_route(routes: Routes, recipient: str) -> Route | None:
    """A short code goes to its account, a number to the link with the longest prefix; None: there is no route."""
    if owner := routes.short_codes.get(recipient):
        return Route(owner, recipient)
    for digits in range(min(len(recipient), routes.prefix_digits_max), -1, -1):
        if link := routes.prefixes.get(recipient[:digits]):
            return Route(link, recipient[:digits])
    return None
