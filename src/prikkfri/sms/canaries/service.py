"""The canaries at work: sent over each link, told of by their phones, judged; a way that misdelivers is stopped.

The rooms: `flights`, `hints`, `judging` and `stopping`, round what they share (`shared`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from prikkfri.clock import Clock
from prikkfri.config import Sms
from prikkfri.errors import StorageError
from prikkfri.journal import Journal
from prikkfri.sms.canaries import store
from prikkfri.sms.canaries.flights.service import Flights
from prikkfri.sms.canaries.hints.service import Hints
from prikkfri.sms.canaries.judging.service import CanaryJudge, RecordedVerdicts, as_astray
from prikkfri.sms.canaries.phones import digits
from prikkfri.sms.canaries.shared.service import CanaryState, log
from prikkfri.sms.canaries.stopping.service import RouteGuard
from prikkfri.sms.canaries.verdicts import Verdict
from prikkfri.sms.routing import ExposedMessage
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.timing import TIMING, Timing
from prikkfri.sms.trust.evidence import Hint
from prikkfri.sms.trust.noticing import DetectableShare, detectable_shares
from prikkfri.storage import Database, Transaction

ERASED_AT_ONCE_MAX = 500


@dataclass(frozen=True)
class RouteStatus:
    """A link's route and what its canaries say of it, for people; times are 0 until there is something to tell."""

    link: str
    partner: str
    state: str
    since: float
    by: str
    reason: str
    instead: str
    waiting: int
    trusted: bool
    """False from when messages were found to go astray until it is proven again."""
    judged: int
    astray: int
    stopped_at: float
    exposed_since: float
    likely_since: float
    nats: float
    """What is seen comes to, for "messages go astray"; it is stopped at `CONDEMNING_NATS`."""
    suspected: bool
    """It is looked at closely just now."""
    canaries_per_minute: float
    """Of which something is learnt."""
    noticed: tuple[DetectableShare, ...]
    """The smallest share of messages astray that would be noticed in some minutes."""
    hints: Mapping[Hint, int]
    """How many have come since a person opened it last."""
    canaries_to_prove: int
    """So many good ones in a row prove it from now on; 0 while it is trusted."""
    proving_seconds: float
    """In so long it is proven when they come home, flying as often as phones and allowance let them."""


@dataclass(frozen=True)
class CanaryCoverage:
    """How closely a link's way is looked at."""

    link: str
    canaries_per_minute: float
    noticed: tuple[DetectableShare, ...]


@dataclass(frozen=True)
class PhoneReport:
    """What a canary phone says: which tokens it has got since it last said so; none is a sign of life."""

    phone: str
    tokens: Sequence[str]


class Canaries:
    def __init__(
        self,
        centre: SmsCentre,
        *,
        database: Database,
        journal: Journal,
        settings: Sms,
        clock: Clock,
        entropy: Callable[[int], bytes],
        timing: Timing = TIMING,
    ) -> None:
        """`entropy(n)` gives n random octets. Raises `ConfigError` when a canary names no link or has no number."""
        shared = CanaryState(centre, database, journal, settings, clock, entropy, timing)
        self._shared = shared
        self._flights = Flights(shared)
        self._hints = Hints(shared)
        self._stopping = RouteGuard(shared)
        self._judging = CanaryJudge(shared, self._hints, self._stopping)

    async def run(self) -> None:
        """Works until cancelled; without canary phones there is nothing to do."""
        await self._judging.recover()
        if self._shared.centre.holds:
            await self._judging.leave_untold()
        async with asyncio.TaskGroup() as tasks:
            for link in self._shared.phones:
                tasks.create_task(self._flights.keep(link), name=f"canaries of {link}")
            tasks.create_task(self._judging.keep(), name="judge canaries")
            tasks.create_task(self._erase(), name="erase canaries")

    async def take_reports(self, said: Sequence[PhoneReport]) -> int:
        """Takes what canary phones say, again without harm; returns how many of the phones are ours.

        Raises `StorageError`.
        """
        now = self._shared.clock.now()
        known = [(digits(each.phone), each.tokens) for each in said if digits(each.phone) in self._shared.heard_at]
        told = [(phone, token) for phone, tokens in known for token in tokens]

        async def work(tx: Transaction) -> RecordedVerdicts:
            strays = await store.mark_reported(tx, told, now=now)
            return await self._judging.record(tx, [as_astray(canary) for canary in strays], now)

        self._shared.note_told(told)
        recorded = await self._shared.database.write(work)
        self._shared.heard_at.update((phone, now) for phone, _ in known)
        await self._judging.learn(recorded)
        return len(known)

    async def complain(self, link: str, *, who: str) -> bool:
        """A partner complains, says a person, that messages go astray; False when there is no such link.

        Raises `StorageError`.
        """
        return await self._hints.complain(link, who=who)

    def say_wrong_number(self, number: str, *, address: str) -> bool:
        """Somebody got a message on a phone with this number that was not for them; False: it is no number of a link.

        What is said too often, of one number or from one network, is not taken, and answered alike.
        """
        return self._hints.say_wrong_number(number, address=address)

    async def switch(self, link: str, state: str, *, who: str) -> bool:
        """A person stops or opens a route; False when there is no such link. Raises `StorageError`."""
        if link not in self._shared.links:
            return False
        if state == "open":
            await self._stopping.open(link, who=who)
        else:
            await self._stopping.stop(link, who=who, reason="stopped")
        return True

    async def route_statuses(self) -> list[RouteStatus]:
        """All links. Raises `StorageError`."""
        return [await self._way(link) for link in self._shared.links]

    def coverage(self) -> list[CanaryCoverage]:
        """Of all links."""
        found = [(link, self._shared.schedule(link)) for link in self._shared.links]
        return [CanaryCoverage(link, 60 * looking.per_second, detectable_shares(looking)) for link, looking in found]

    def exposed(self, link: str, *, since: float, until: float) -> AsyncIterator[list[ExposedMessage]] | None:
        """The messages that went over a link in a time, page by page; None when there is no such link.

        Each page may raise `StorageError`.
        """
        return self._shared.centre.exposed(link, since=since, until=until) if link in self._shared.links else None

    def counters(self) -> dict[str, float]:
        labelled = {f'canaries_total{{verdict="{verdict}"}}': self._shared.verdicts[verdict] for verdict in Verdict}
        return {
            "canaries_sent_total": self._shared.sent,
            **labelled,
            "canaries_looked_at_seconds": self._shared.absences.there_at,
            "routes_stopped": sum(self._shared.is_stopped(link) for link in self._shared.links),
            "routes_not_trusted": sum(trust.condemned for trust in self._shared.trust.values()),
        }

    async def _erase(self) -> None:
        while True:
            before = self._shared.clock.now() - self._shared.timing.canaries_kept_seconds
            try:
                erase = partial(store.erase, made_before=before, limit=ERASED_AT_ONCE_MAX)
                while await self._shared.database.write(erase) == ERASED_AT_ONCE_MAX:
                    pass
            except StorageError as error:
                log.warning("old canaries could not be erased: %s", error)
            await self._shared.clock.sleep(self._shared.timing.erase_every_seconds)

    async def _way(self, name: str) -> RouteStatus:
        link, outage, trust = self._shared.links[name], self._shared.centre.outage_of(name), self._shared.trust[name]
        return RouteStatus(
            link=name,
            partner=link.partner,
            state=outage.state if outage else "open",
            since=outage.changed_at if outage else 0.0,
            by=outage.who if outage else "",
            reason=outage.reason if outage else "",
            instead=link.instead,
            waiting=await self._shared.centre.waiting(name),
            trusted=not trust.condemned,
            judged=trust.judged,
            astray=trust.astray,
            stopped_at=outage.stopped_at if outage else 0.0,
            exposed_since=outage.exposed_since if outage else 0.0,
            likely_since=outage.likely_since if outage else 0.0,
            nats=trust.evidence.nats,
            suspected=name in self._shared.phones and self._shared.suspects(name),
            canaries_per_minute=60 * (looking := self._shared.schedule(name)).per_second,
            noticed=detectable_shares(looking),
            hints=trust.hints,
            canaries_to_prove=trust.canaries_to_prove if name in self._shared.phones else 0,
            proving_seconds=self._shared.proving_seconds(name),
        )
