"""What the rooms of the centre share: the means they work with, who is bound, and what is known of routes."""

import asyncio
import logging
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prikkfri.clock import Clock
from prikkfri.config import SENSITIVE_CLASSES, Account, Sms
from prikkfri.journal import Journal
from prikkfri.protocols.smpp.concatenation import PartReferences, References
from prikkfri.protocols.smpp.pdu import Command, ShortMessage, encode_body
from prikkfri.protocols.smpp.session import Limits
from prikkfri.sms import server
from prikkfri.sms.conformance import Traffic
from prikkfri.sms.delivery import REFUSALS, VALIDITY_SECONDS_MIN, refusals_of
from prikkfri.sms.intake import BatchContext
from prikkfri.sms.loops import Turns
from prikkfri.sms.messages import DueReceipt
from prikkfri.sms.outcomes import Partners
from prikkfri.sms.pace import Pace
from prikkfri.sms.pairs import Pairs
from prikkfri.sms.routing import Party, RouteOutage, Routes, numbering_of, sources
from prikkfri.sms.sealing import Sealer
from prikkfri.sms.submission import Order, Rules, TokenBucket
from prikkfri.sms.timing import Timing
from prikkfri.sms.trust.wrong_numbers import ComplaintRules
from prikkfri.storage import Database

log = logging.getLogger("prikkfri.sms")

Connection = server.Connection

SYSTEM_ID = "prikkfri"
SAID_MAX = 10_000
CLAIMED_RECEIPTS_MAX = 100
"""Receipts of an account, but for those of one batch: of more than its windows have room for the rest waits stored."""
ANYBODY = "*"
"""Among the `senders` of an account that sends for others."""


@dataclass
class Counters:
    accepted: int = 0
    restored: int = 0
    """Accepted while nothing was sent, since a snapshot was restored."""
    refused: int = 0
    turned_back: Counter[str] = field(default_factory=Counter)
    """By reason: what networks handed in that is not sent on."""
    sent: int = 0
    delivered: int = 0
    failed: int = 0
    in_doubt: int = 0
    quarantined: int = 0
    receipts_unmatched: int = 0
    receipts_contradicted: int = 0
    changed_hands: int = 0
    """Messages that were not sent since their number is another subscriber's by now."""
    holders_unknown: int = 0
    """Numbers of which nobody could tell who holds them."""
    cut: int = 0
    """Connections for which there was no room, or that made room for others."""
    binds_refused: int = 0
    secrets_wrong: int = 0
    secrets_not_looked_at: int = 0


class BoundConnections:
    """The connections that there are, and which of them are bound to whom."""

    def __init__(self) -> None:
        self.connections: dict[Connection, None] = {}
        """Bound or not, the oldest first."""
        self.leaving = False
        self.since: dict[Party, float] = {}
        """Since when somebody is bound: seconds since 1970 UTC."""
        self.nobody = asyncio.Event()
        self.nobody.set()
        self._by_party: defaultdict[Party, list[Connection]] = defaultdict(list)
        self._attended: Counter[Party] = Counter()
        """How many are bound, or have left something on its way."""
        self._away_since: dict[Party, float] = {}
        """When the last one left: seconds of the monotonic clock."""

    def enter(self, party: Party, connection: Connection, now: float) -> None:
        if not self._by_party[party]:
            self.since[party] = now
        self._by_party[party].append(connection)
        self._attended[party] += 1
        self.nobody.clear()

    def leave(self, party: Party, connection: Connection, monotonic: float) -> None:
        self._by_party[party].remove(connection)
        self._away_since[party] = monotonic

    def left(self, party: Party) -> None:
        """The last that a connection had on its way is settled."""
        self._attended[party] -= 1
        if not any(self._by_party.values()):
            self.nobody.set()

    def away_seconds(self, party: Party, monotonic: float) -> float:
        """For how long nobody has been bound, or since this was first asked; 0.0 while something is on its way."""
        return 0.0 if self._attended[party] else monotonic - self._away_since.setdefault(party, monotonic)

    def count(self, party: Party) -> int:
        return len(self._by_party.get(party, ()))

    def any_of(self, party: Party) -> Connection | None:
        """A connection over which something can be sent, if there is one."""
        return next((each for each in self._by_party.get(party, ()) if not each.ended), None)

    def parties(self) -> list[Party]:
        return [party for party, connections in self._by_party.items() if connections]

    def takes_messages(self, party: Party) -> bool:
        return any(each.session.may_ask(Command.DELIVER_SM) for each in self._by_party.get(party, ()))

    def links(self) -> list[int]:
        """How many binds each link has that has any."""
        return [len(bound) for party, bound in self._by_party.items() if party.kind == "link" and bound]

    def wake(self, parties: Iterable[Party], *, to_claim: bool = True) -> None:
        """There may be something to send to these; `to_claim`: that nobody has claimed."""
        for party in dict.fromkeys(parties):
            for connection in self._by_party.get(party, ()):
                connection.due |= to_claim
                connection.awake.set()


@dataclass(frozen=True, kw_only=True)
class Wire:
    """How PDUs are written, and the bounds of each session. What is written is not trusted (`delivery.wire_body`)."""

    encode: Callable[[ShortMessage], bytes] = encode_body
    sequence_max: int = Limits().sequence_max


WIRE = Wire()


@dataclass
class CentreState:
    """The first seven are given; the rest is what the centre knows at this moment."""

    database: Database
    journal: Journal
    settings: Sms
    clock: Clock
    entropy: Callable[[int], bytes]
    sealer: Sealer
    timing: Timing
    wire: Wire = WIRE
    counters: Counters = field(default_factory=Counters)
    bound: BoundConnections = field(default_factory=BoundConnections)
    full: frozenset[Party] = frozenset()
    """Parties for whom as much waits as may wait."""
    holds: bool = False
    """Nothing is sent: a snapshot was restored, and what waits may have been sent since."""
    paces: dict[Party, Pace] = field(default_factory=dict)
    """How fast each party is sent to, by whichever of its connections."""
    pairs: defaultdict[Party, Pairs[Connection]] = field(default_factory=lambda: defaultdict(Pairs))
    """Which of its connections messages leave by."""
    claimed_receipts: defaultdict[Party, deque[DueReceipt]] = field(default_factory=lambda: defaultdict(deque))
    """By account the receipts that were claimed as their messages ended, and are not written yet."""
    caught_up: set[Party] = field(default_factory=set)
    """The accounts of which no receipt waits to be claimed: what falls due now overtakes none."""
    withheld: set[str] = field(default_factory=set)
    """Messages that are claimed to be sent again, perhaps, while it is being stored that the first was taken."""
    outages: dict[str, RouteOutage] = field(default_factory=dict)
    down: frozenset[str] = frozenset()
    """Links that have not been bound for a while: others take over where they can."""
    misplaced: set[str] = field(default_factory=set)
    """Links for which something may wait that has another way."""
    drained: frozenset[Party] = frozenset()
    """Parties for whom nothing is claimed, while what waits for them is brought elsewhere in its order."""
    buckets: dict[Party, TokenBucket] = field(default_factory=dict)
    references: References = field(default_factory=References)
    part_references: PartReferences = field(default_factory=PartReferences)
    order: Order = field(default_factory=Order)
    turns: Turns = field(default_factory=Turns)
    returned: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=SAID_MAX))
    """Canaries that a network has handed in, as (destination, token): for whom nobody has looked at them yet."""
    said: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=SAID_MAX))
    """Who has written that they got a message which was not for them, as (link, number); the same."""
    traffic: dict[str, Traffic] = field(init=False)
    """By link."""

    def __post_init__(self) -> None:
        self.accounts: dict[str, Account] = {account.system_id: account for account in self.settings.accounts}
        self.partners = Partners({link.name: link.partner for link in self.settings.links})
        self.routes = Routes.of(self.settings)
        """What is taken on goes by these."""
        self.wanted = self.routes
        """As they are to be, once what waits has been placed by them (`placing`)."""
        self.listening = ComplaintRules.of(self.settings)
        self.traffic = {link.name: Traffic() for link in self.settings.links}
        self._ucs2_little = {link.name for link in self.settings.links if link.ucs2_byte_order == "little"}
        self._rates = {Party("link", link.name): link.throughput_per_second_max for link in self.settings.links}
        self._told_until = {Party("link", link.name) for link in self.settings.links if link.validity == "absolute"}
        self._refusals = {Party("link", link.name): refusals_of(link) for link in self.settings.links}

    def pace(self, party: Party) -> Pace:
        rate = self._rates.get(party, 0.0)
        return self.paces.get(party) or Pace(rate_max=rate or math.inf)

    def is_told_until(self, party: Party) -> bool:
        """Whether a party is told until when a message is valid, rather than for how long."""
        return party in self._told_until

    def know_outages(self, outages: dict[str, RouteOutage]) -> None:
        self.outages = outages
        self._know_routes()

    def know_down(self, down: frozenset[str]) -> None:
        self.down = down
        self._know_routes()

    def _know_routes(self) -> None:
        self.wanted = Routes.of(self.settings, self.stopped(), self.down)
        self.misplaced |= self.wanted.bypassed() | self.outages.keys()

    def came_back(self, party: Party) -> None:
        """Something that had left for a party waits for it again: if nothing leaves from there, it may go elsewhere."""
        if party in sources(self.wanted, party.name):
            self.misplaced.add(party.name)

    def stopped(self) -> set[str]:
        return {link for link, outage in self.outages.items() if outage.stopped}

    def takes_receipts(self, origin: str) -> bool:
        """Whether a sender's receipt may be claimed as it falls due: it leaves soon, and overtakes none."""
        party = Party.parse(origin) if origin else None
        return (
            party in self.caught_up
            and not self.holds
            and len(self.claimed_receipts.get(party, ())) < CLAIMED_RECEIPTS_MAX
            and not self.pace(party).paused
            and self.bound.takes_messages(party)
        )

    def is_away(self, target: str) -> bool:
        """Whether a party is an account for which nobody is bound who takes messages."""
        party = Party.parse(target)
        return party.kind == "account" and party.name in self.accounts and not self.bound.takes_messages(party)

    def bucket(self, party: Party) -> TokenBucket:
        rate = self.rules(party).throughput_per_second_max
        return self.buckets.get(party) or TokenBucket(rate, self.clock.now())

    def batch_context(self, party: Party) -> BatchContext:
        return self._batch_context(self.rules(party))

    def canary_batch_context(self, link: str, validity_seconds: float) -> BatchContext:
        """Over its link alone, stopped or not."""
        party, routes = Party("canary", link), Routes.over(link)
        validity = max(validity_seconds, 2 * VALIDITY_SECONDS_MIN)  # with less it might not leave at all
        return self._batch_context(Rules(party, routes, message_class="canary", validity_seconds_max=validity))

    def _batch_context(self, rules: Rules) -> BatchContext:
        refusals = self._refusals.get(rules.party, REFUSALS)
        now = self.clock.now()
        return BatchContext(
            rules,
            self.sealer,
            self.partners,
            self.entropy,
            now,
            self.is_away,
            references=self.references,
            part_references=self.part_references,
            turns=self.turns,
            order=self.order,
            refusals=refusals,
            listening=self.listening,
        )

    def rules(self, party: Party) -> Rules:
        validity = self.settings.validity_hours_max * 3600
        if party.kind == "link":
            numbering = numbering_of(self.settings)
            return Rules(
                party,
                self.routes,
                full=self.full,
                validity_seconds_max=validity,
                numbering=numbering,
                ucs2_little=party.name in self._ucs2_little,
            )
        account = self.accounts[party.name]
        return Rules(
            party,
            self.routes,
            full=self.full,
            message_class=account.message_class,
            senders=None if ANYBODY in account.senders else (*account.senders, *account.short_codes),
            validity_seconds_max=validity,
            life_seconds_max=self.settings.life_minutes_sensitive * 60
            if account.message_class in SENSITIVE_CLASSES
            else math.inf,
            throughput_per_second_max=account.throughput_per_second_max,
            ascii_is_gsm=account.data_coding_1 == "gsm",
            numbering=numbering_of(self.settings, account),
        )
