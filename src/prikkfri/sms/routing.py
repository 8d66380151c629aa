"""Routing: from a recipient to the party that takes the message on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Self

import msgspec

from prikkfri.config import SHORT_CODE_DIGITS_MAX, Account, Link, Sms
from prikkfri.sms.addresses import Numbering, is_number, read_recipient


class Party(NamedTuple):
    """One who hands messages in and takes them out: an account, or a link to a network."""

    kind: str
    """`account` or `link`; `held`: a link whose route is stopped; `canary`: ourselves, proving a link."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    @lru_cache(maxsize=1_024)  # they are few, and each message names them again and again
    def parse(cls, text: str) -> Self:
        return cls(*text.split(":", 1))


class RouteOutage(NamedTuple):
    """What is known of a route that was ever stopped; `store._STOP` follows the order of these fields."""

    state: str
    """`stopped` or `open`."""
    changed_at: float
    who: str
    """`rule:canaries` or the name of a person."""
    reason: str
    stopped_at: float
    """The last time, as all below."""
    exposed_since: float
    """From here on it cannot be excluded that messages went astray; 0: not known."""
    likely_since: float
    """From here on they most likely did; 0: not known."""

    @property
    def stopped(self) -> bool:
        return self.state == "stopped"


def apply_switch(
    known: RouteOutage | None,
    state: str,
    *,
    who: str,
    reason: str,
    exposed_since: float,
    likely_since: float,
    now: float,
) -> RouteOutage | None:
    """What is known after a route was stopped or opened; None when it is so already."""
    if state == (known.state if known else "open"):
        return None
    if state == "stopped" or known is None:
        return RouteOutage(state, now, who, reason, now, exposed_since, likely_since)
    return known._replace(state=state, changed_at=now, who=who, reason=reason)


class ExposedMessage(NamedTuple):
    """A message that went a way on which messages went astray; never its body. `store.exposed` follows the order."""

    message: str
    """The id that its sender was given."""
    sent_at: float
    sender: str
    recipient: str
    message_class: str
    origin: str
    state: str


@dataclass(frozen=True)
class Routes:
    short_codes: Mapping[str, Party]
    prefixes: Mapping[str, tuple[str, ...]]
    """By prefix the links that take its numbers, whoever goes first at the head."""
    prefix_digits_max: int
    stopped: Collection[str] = ()
    """The links that no message may take."""
    down: Collection[str] = ()
    """The links that are not bound: a message waits for one only where no other takes it."""
    neighbours: Mapping[str, str] = field(default_factory=dict)
    """By link the partner whom it leads to; a link that is not in here is our own network's."""
    transit: Collection[str] = ()
    """The links of partners whose messages may go on to other partners."""
    canaries: Collection[str] = ()
    """The numbers of our own phones in partners' networks."""

    @classmethod
    def of(cls, settings: Sms, stopped: Collection[str] = (), down: Collection[str] = ()) -> Self:
        prefixes = _prefixes(settings.links)
        return cls(
            {
                _as_read(code, numbering_of(settings, account)): Party("account", account.system_id)
                for account in settings.accounts
                for code in account.short_codes
            },
            prefixes,
            max(map(len, prefixes), default=0),
            frozenset(stopped),
            frozenset(down),
            {link.name: link.partner for link in settings.links if link.network == "partner"},
            frozenset(link.name for link in settings.links if link.transit),
            frozenset(canary.msisdn.removeprefix("+") for canary in settings.canaries),
        )

    @classmethod
    def over(cls, link: str) -> Self:
        """Every number by one link, whatever its prefix and whether or not it is stopped: what canaries take."""
        return cls({}, {"": (link,)}, 0)

    def prefix(self, recipient: str) -> str | None:
        """The longest one that has links; None: no network takes this number.

        Prefixes begin with a country code: of a short code, which has none, the first digits say nothing.
        """
        longest = self.prefix_digits_max if is_number(recipient) else 0
        for digits in range(min(len(recipient), longest), -1, -1):
            if recipient[:digits] in self.prefixes:
                return recipient[:digits]
        return None

    def onward(self, links: tuple[str, ...], origin: Party | None) -> tuple[str, ...]:
        """Those of the links that do not lead back to the partner from whom a message came."""
        partner = self.neighbour(origin)
        if partner is None:
            return links
        return tuple(link for link in links if self.neighbours.get(link) != partner)

    def neighbour(self, origin: Party | None) -> str | None:
        """The partner who handed a message in; None: it is an account's, our own, or our own network's."""
        return self.neighbours.get(origin.name) if origin is not None and origin.kind == "link" else None

    def bypassed(self) -> frozenset[str]:
        """The links from which nothing leaves just now, while another takes some of their numbers."""
        shut = {*self.stopped, *self.down}
        ways = [links for links in self.prefixes.values() if not shut.issuperset(links)]
        return frozenset(link for links in ways for link in links if link in shut)


def _prefixes(links: Sequence[Link]) -> dict[str, tuple[str, ...]]:
    """By prefix the links that have it in their order, each followed by the one that stands in for it.

    Which of two is first, the configuration says by `priority` or `instead`: without that it is refused.
    """

    def steps(link: Link, left: int) -> int:
        following = [each for each in links if each.name == link.instead] if left else []
        return 1 + steps(following[0], left - 1) if following else 0

    found: dict[str, tuple[str, ...]] = {}
    for link in sorted(links, key=lambda link: (link.priority, -steps(link, len(links)))):
        ways = (link.name, link.instead) if link.instead else (link.name,)
        for prefix in link.prefixes:
            found[prefix] = tuple(dict.fromkeys((*found.get(prefix, ()), *ways)))
    return found


def numbering_of(settings: Sms, account: Account | None = None) -> Numbering:
    """How an account, or (None) a link, writes numbers that do not bring their country code."""
    return Numbering(settings.region, account is None or account.numbers_unmarked == "national-first")


def _as_read(code: str, numbering: Numbering) -> str:
    """A number of an account in the form in which a recipient is read; a short code stays as it is written."""
    found = read_recipient(code, 0, numbering) if len(code) > SHORT_CODE_DIGITS_MAX else None
    return found.text if found else code


class Route(msgspec.Struct, frozen=True, gc=False):
    party: Party
    matched: str
    """The short code or the prefix that decided."""


def find_route(routes: Routes, recipient: str, origin: Party | None = None) -> Route | None:
    """A short code goes to its account, a number to a link of its longest prefix; None: there is no route.

    Of these to the first that is bound, else to the first that is open, else it is held. Never back to the partner
    `origin` from whom it came.
    """
    if owner := routes.short_codes.get(recipient):
        return Route(owner, recipient)
    if (matched := routes.prefix(recipient)) is None:
        return None
    links, stopped = routes.onward(routes.prefixes[matched], origin), routes.stopped
    for link in links:
        if link not in stopped and link not in routes.down:
            return Route(Party("link", link), matched)
    for link in links:
        if link not in stopped:
            return Route(Party("link", link), matched)
    return Route(Party("held", links[0]), matched) if links else None


def way_on(routes: Routes, source: Party, recipient: str, origin: Party | None) -> Party:
    """For whom a message is to wait that waits for a link, or is held for it; the same where no other takes it."""
    route = find_route(routes, recipient, origin)
    if route is not None and route.party.kind != "account":
        return route.party
    return Party("held" if source.name in routes.stopped else "link", source.name)


def sources(routes: Routes, link: str) -> list[Party]:
    """The parties of a link for whom messages may wait that are to go on elsewhere; where none can be, it is not one.

    What is held for a link that nobody stands in for stays, and so does what waits for one that is only down.
    """
    bypassed, stopped = link in routes.bypassed(), link in routes.stopped
    found = [Party("link", link)] if stopped or bypassed else []
    return found if stopped and not bypassed else [*found, Party("held", link)]


def stand_ins(before: Routes, after: Routes) -> frozenset[str]:
    """The links that have taken numbers of others which take them again."""
    back = {*before.stopped, *before.down} - {*after.stopped, *after.down}
    shut = {*after.stopped, *after.down}
    ways = [links for links in after.prefixes.values() if back.intersection(links)]
    return frozenset(link for links in ways for link in links) - back - shut
