"""What the rooms of the canaries share: the means they work with, and what is seen of each route."""

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from prikkfri.clock import Clock
from prikkfri.config import Sms
from prikkfri.journal import Journal
from prikkfri.sms.canaries.absences import NEVER_AWAY, Absences
from prikkfri.sms.canaries.phones import phones_by_link
from prikkfri.sms.canaries.verdicts import Verdict
from prikkfri.sms.conformance import NO_SIGNS, Signs
from prikkfri.sms.outcomes import Partners
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.timing import Timing
from prikkfri.sms.trust.evidence import Hint
from prikkfri.sms.trust.flying import WHOLE, Allowance, flying_seconds_max, is_suspicious, quick_seconds
from prikkfri.sms.trust.noticing import CanarySchedule, settling_seconds
from prikkfri.sms.trust.routes import Trust
from prikkfri.storage import Database

log = logging.getLogger("prikkfri.sms.canaries")

TOLD_OF_LAST = 200
"""By so many canaries it is known how many of them tell anything."""
TOLD_KEPT_MAX = 10_000
"""Tokens of which it is known when their phone had been heard from before."""


@dataclass
class RouteWatch:
    """Of one route, what is seen and not weighed yet, and how closely it is looked at."""

    weighed_at: float
    signs: Signs = NO_SIGNS
    """Up to which they have been weighed."""
    hints: Counter[Hint] = field(default_factory=Counter)
    hinted_at: float = 0.0
    missed: bool = False
    """A canary is not where it is said to be."""
    allowance: Allowance = WHOLE
    telling: deque[bool] = field(default_factory=lambda: deque(maxlen=TOLD_OF_LAST))
    """Whether each of the last canaries told anything."""
    judged_at: float = 0.0
    closer: asyncio.Event = field(default_factory=asyncio.Event)
    """Something is suspected, or it is being proven, from now on."""


@dataclass
class CanaryState:
    """The first seven are given; the rest is what is known at this moment. Raises `ConfigError` as `phones_by_link`."""

    centre: SmsCentre
    database: Database
    journal: Journal
    settings: Sms
    clock: Clock
    entropy: Callable[[int], bytes]
    timing: Timing
    trust: defaultdict[str, Trust] = field(default_factory=lambda: defaultdict(Trust))
    sent: int = 0
    verdicts: defaultdict[Verdict, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self.links = {link.name: link for link in self.settings.links}
        self.partners = Partners({link.name: link.partner for link in self.settings.links})
        self.phones = phones_by_link(self.settings)
        settings = self.settings
        self.settling_seconds = settling_seconds(settings.canary_grace_seconds, settings.canary_receipted_seconds)
        self.heard_at = {phone: 0.0 for phones in self.phones.values() for phone in phones}
        self.heard_before: dict[str, float] = {}
        """By token that a phone has told of: when it was heard from before that."""
        now = self.clock.now()
        self.absences = Absences.since_start(
            now, every_seconds=self.timing.judge_seconds, grace_seconds=settings.canary_grace_seconds
        )
        """When we could not store, or stood still."""
        self.unlinked = self.absences if len(self.links) > 1 else NEVER_AWAY
        """When none of several links was bound."""
        self._was_linked = False
        self.watches = {link: RouteWatch(now) for link in self.links}

    def look_at_links(self, now: float) -> None:
        if self.unlinked is NEVER_AWAY:
            return
        linked, self._was_linked = self._was_linked, self.centre.is_linked
        if self._was_linked:
            self.unlinked = self.unlinked.there_all_along(now) if linked else self.unlinked.there(now)

    def note_told(self, told: Iterable[tuple[str, str]]) -> None:
        """Phones tell of tokens, as (phone, token): noted before it is stored, since it is judged as soon as it is."""
        for phone, token in told:
            self.heard_before.setdefault(token, self.heard_at[phone])
        while len(self.heard_before) > TOLD_KEPT_MAX:  # of what was decided before, or is nothing
            del self.heard_before[next(iter(self.heard_before))]

    def hint(self, link: str, hint: Hint, times: int = 1) -> None:
        self.watches[link].hints[hint] += times
        self.watches[link].hinted_at = self.clock.now()

    def suspects(self, link: str) -> bool:
        trust, seen = self.trust[link], self.watches[link]
        if trust.to_be_stopped:
            return False  # what was suspected has been found
        return is_suspicious(trust.evidence, missed=seen.missed, hinted_at=seen.hinted_at, now=self.clock.now())

    def hurries(self, link: str) -> bool:
        """Whether canaries fly as often as phones can take them: to find something, or to prove that it is over."""
        return self.trust[link].being_proven or self.suspects(link)

    def look_closer(self, link: str, hurried: bool) -> None:
        if not hurried and self.hurries(link):
            self.watches[link].closer.set()

    def is_stopped(self, link: str) -> bool:
        outage = self.centre.outage_of(link)
        return outage is not None and outage.stopped

    def schedule(self, link: str) -> CanarySchedule:
        """By what the last canaries told, and which phones are heard from."""
        now, settings, seen = self.clock.now(), self.settings, self.watches[link]
        grace = settings.canary_grace_seconds
        phones = self.phones.get(link, [])
        heard = [phone for phone in phones if now - self.heard_at[phone] <= grace]
        stale = now - seen.judged_at > 2 * (grace + settings.canary_seconds)
        told_of = 0.0 if stale or not seen.telling else sum(seen.telling) / len(seen.telling)
        always = told_of / settings.canary_seconds
        quick = told_of / quick_seconds(len(phones), settings.canary_seconds) if phones else 0.0
        receipted = min(grace, settings.canary_receipted_seconds)
        return CanarySchedule(always, quick, len(heard), receipted)

    def proving_seconds(self, link: str) -> float:
        """In so long a route is proven when its canaries come home; 0: there is nothing to prove."""
        phones, trust, now = self.phones.get(link, []), self.trust[link], self.clock.now()
        if not phones or not trust.condemned:
            return 0.0
        flying = flying_seconds_max(
            trust.canaries_to_prove,
            always_seconds=self.settings.canary_seconds,
            phones=len(phones),
            allowance=self.watches[link].allowance.now(now),
        )
        return flying + self.settling_seconds - (now - trust.enough_at if trust.enough_at else 0.0)
