"""Routing: from a recipient to the party that takes the message on."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from prikkfri.config import Account, Link, Sms
from prikkfri.sms.addresses import SHORT_CODE_DIGITS_MAX, Numbering, read_recipient


class Party(NamedTuple):
    """One who hands messages in and takes them out: an account, or a link to a network."""

    kind: str
    """`account` or `link`; `held`: a link whose route is stopped; `canary`: ourselves, proving a link."""
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(*text.split(":", 1))


class Stop(NamedTuple):
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


def switched(
    known: Stop | None, state: str, *, who: str, reason: str, exposed_since: float, likely_since: float, now: float
) -> Stop | None:
    """What is known after a route was stopped or opened; None when it is so already."""
    if state == (known.state if known else "open"):
        return None
    if state == "stopped" or known is None:
        return Stop(state, now, who, reason, now, exposed_since, likely_since)
    return known._replace(state=state, changed_at=now, who=who, reason=reason)


class Exposed(NamedTuple):
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
    prefixes: Mapping[str, Party]
    prefix_digits_max: int
    detours: Mapping[Party, Party] = field(default_factory=dict)
    """Where messages for a link go whose route is stopped."""

    @classmethod
    def of(cls, settings: Sms, stopped: Collection[str] = ()) -> Self:
        """`stopped`: the links that no message may take."""
        prefixes: dict[str, Party] = {}
        for link in first_links(settings.links):
            prefixes |= dict.fromkeys(link.prefixes, Party("link", link.name))
        return cls(
            {
                _as_read(code, numbering_of(settings, account)): Party("account", account.system_id)
                for account in settings.accounts
                for code in account.short_codes
            },
            prefixes,
            max(map(len, prefixes), default=0),
            detours(settings.links, stopped),
        )

    @classmethod
    def over(cls, link: str) -> Self:
        """Every number by one link, whatever its prefix and whether or not it is stopped: what canaries take."""
        return cls({}, {"": Party("link", link)}, 0)


def first_links(links: Sequence[Link]) -> list[Link]:
    """The links, each behind those that stand in for it: of two that have a prefix, the last one here takes it.

    Which of two that is, the configuration says by `instead`: without that it is refused.
    """

    def steps(link: Link, left: int) -> int:
        following = [each for each in links if each.name == link.instead] if left else []
        return 1 + steps(following[0], left - 1) if following else 0

    return sorted(links, key=lambda link: steps(link, len(links)))


def numbering_of(settings: Sms, account: Account | None = None) -> Numbering:
    """How an account, or (None) a link, writes numbers that do not bring their country code."""
    return Numbering(settings.region, account is None or account.numbers_unmarked == "national-first")


def _as_read(code: str, numbering: Numbering) -> str:
    """A number of an account in the form in which a recipient is read; a short code stays as it is written."""
    found = read_recipient(code, 0, numbering) if len(code) > SHORT_CODE_DIGITS_MAX else None
    return found.text if found else code


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
            return Route(routes.detours.get(link, link), recipient[:digits])
    return None


def detours(links: Iterable[Link], stopped: Collection[str]) -> dict[Party, Party]:
    """For each stopped link, the link that takes its messages instead; they are held when that is stopped too."""
    found = {}
    for link in links:
        if link.name in stopped:
            open_way = link.instead and link.instead not in stopped
            found[Party("link", link.name)] = Party("link", link.instead) if open_way else Party("held", link.name)
    return found


def moves(links: Iterable[Link], ever_stopped: Collection[str], stopped: Collection[str]) -> list[tuple[Party, Party]]:
    """From which party to which the messages that wait have to be moved, so that they are where the routes say."""
    ways = detours(links, stopped)
    found = []
    for name in sorted(ever_stopped):
        link, held = Party("link", name), Party("held", name)
        now_for = ways.get(link, link)
        found += [(source, now_for) for source in (link, held) if source != now_for]
    return found
