"""The canaries at work: sent over each link, told of by their phones, judged; a way that misdelivers is stopped.

Nothing here needs assurance: the rule that stops a route lives where it is acted upon.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from prikkfri.clock import Clock
from prikkfri.config import Sms
from prikkfri.errors import StorageError
from prikkfri.journal import Journal
from prikkfri.sms import outcomes
from prikkfri.sms.canaries import store
from prikkfri.sms.canaries.phones import digits, phone_of_turn, phones_by_link
from prikkfri.sms.canaries.verdicts import (
    ASTRAY,
    Canary,
    Judged,
    Since,
    Trust,
    Verdict,
    change_point,
    judge,
    observe,
    opened,
    remembered,
)
from prikkfri.sms.routing import Exposed
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.timing import TIMING, Timing
from prikkfri.storage import Database, Transaction

log = logging.getLogger("prikkfri.sms.canaries")

JUDGED_AT_ONCE_MAX = 1_000
REMEMBERED_MAX = 5_000
TOKEN_OCTETS = 9
TEXT = "Prikkfri canary {token}"
"""What stands on its phone; the token is the last word."""
ERASED_AT_ONCE_MAX = 500
RULE = "rule:canaries"


@dataclass(frozen=True)
class Way:
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


@dataclass(frozen=True)
class Told:
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
        self._centre = centre
        self._database = database
        self._journal = journal
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._timing = timing
        self._links = {link.name: link for link in settings.links}
        self._partners = {link.name: link.partner for link in settings.links}
        self._phones = phones_by_link(settings)
        self._heard_at: dict[str, float] = {phone: 0.0 for phones in self._phones.values() for phone in phones}
        self._trust: defaultdict[str, Trust] = defaultdict(Trust)
        self._stopping = asyncio.Lock()
        self._sent = 0
        self._verdicts: defaultdict[Verdict, int] = defaultdict(int)

    async def run(self) -> None:
        """Works until cancelled; without canary phones there is nothing to do."""
        await self._remember()
        if self._centre.holds:
            await self._leave_untold()
        async with asyncio.TaskGroup() as tasks:
            for link in self._phones:
                tasks.create_task(self._send(link), name=f"canaries of {link}")
            tasks.create_task(self._judge(), name="judge canaries")
            tasks.create_task(self._erase(), name="erase canaries")

    async def told(self, said: Sequence[Told]) -> int:
        """Takes what canary phones say, again without harm; returns how many of the phones are ours.

        Raises `StorageError`.
        """
        now = self._clock.now()
        known = [each for each in said if digits(each.phone) in self._heard_at]

        async def work(tx: Transaction) -> list[Judged]:
            strays: list[Canary] = []
            for each in known:
                strays += await store.mark_told(tx, digits(each.phone), each.tokens, now=now)
            return await self._record(tx, [_astray(canary) for canary in strays], now)

        judged = await self._database.write(work)
        for each in known:
            self._heard_at[digits(each.phone)] = now
        await self._learn(judged)
        return len(known)

    async def switch(self, link: str, state: str, *, who: str) -> bool:
        """A person stops or opens a route; False when there is no such link. Raises `StorageError`."""
        if link not in self._links:
            return False
        if state == "open":
            self._trust[link] = opened(self._trust[link])
            await self._centre.switch_route(link, state, who=who, reason="opened")
        else:
            await self._stop(link, who=who, reason="stopped")
        return True

    async def ways(self) -> list[Way]:
        """All links. Raises `StorageError`."""
        return [await self._way(link) for link in self._links]

    def exposed(self, link: str, *, since: float, until: float) -> AsyncIterator[list[Exposed]] | None:
        """The messages that went over a link in a time, page by page; None when there is no such link.

        Each page may raise `StorageError`.
        """
        return self._centre.exposed(link, since=since, until=until) if link in self._links else None

    def counters(self) -> dict[str, float]:
        labelled = {f'canaries_total{{verdict="{verdict}"}}': self._verdicts[verdict] for verdict in Verdict}
        return {
            "canaries_sent_total": self._sent,
            **labelled,
            "routes_stopped": sum(self._is_stopped(link) for link in self._links),
            "routes_not_trusted": sum(trust.condemned for trust in self._trust.values()),
        }

    async def _send(self, link: str) -> None:
        turn = 0
        while True:
            phone, token = phone_of_turn(self._phones[link], turn), self._entropy(TOKEN_OCTETS).hex()
            turn += 1

            async def note(tx: Transaction, message: str, token: str = token, phone: str = phone) -> None:
                await store.add(tx, token, message, link=link, phone=phone, now=self._clock.now())

            try:
                if self._centre.holds:  # one that does not leave proves nothing
                    await self._clock.sleep(self._settings.canary_seconds)
                    continue
                seconds = 2 * self._settings.canary_grace_seconds + self._settings.canary_seconds
                await self._centre.send_canary(link, phone, TEXT.format(token=token), seconds=seconds, note=note)
                self._sent += 1
            except StorageError as error:
                log.error("no canary can be sent over %s: %s", link, error)
            await self._clock.sleep(self._settings.canary_seconds)

    async def _judge(self) -> None:
        while True:
            await self._clock.sleep(self._timing.judge_seconds)
            try:
                await self._judge_once()
            except StorageError as error:
                log.error("the canaries cannot be judged: %s", error)

    async def _judge_once(self) -> None:
        now, grace = self._clock.now(), self._settings.canary_grace_seconds
        canaries = await self._database.read(partial(store.undecided, limit=JUDGED_AT_ONCE_MAX))
        found = (judge(each, self._heard_at.get(each.phone, 0.0), grace_seconds=grace, now=now) for each in canaries)
        judged = [each for each in found if each is not None]
        if judged:
            await self._learn(await self._database.write(lambda tx: self._record(tx, judged, now)))

    async def _record(self, tx: Transaction, judged: Iterable[Judged], now: float) -> list[Judged]:
        """Stores verdicts with their outcomes; returns those that stand."""
        stand = [each for each in judged if await store.decide(tx, each.canary, each.verdict, now=now)]
        trusts = dict(self._trust)
        for each in stand:
            link = each.canary.link
            trusts[link] = observe(trusts.get(link, Trust()), each.verdict, each.canary.verdict)
            trusted = not trusts[link].condemned
            self._journal.record(tx, *outcomes.canary(each, self._partners, trusted=trusted, now=now))
        return stand

    async def _learn(self, judged: Sequence[Judged]) -> None:
        for each in judged:
            link = each.canary.link
            before = self._trust[link]
            self._trust[link] = observe(before, each.verdict, each.canary.verdict)
            self._verdicts[each.verdict] += 1
            if each.verdict in ASTRAY:
                log.error("link %s: canary %s: %s", link, each.canary.message, each.verdict)
            if self._trust[link].condemned and not before.condemned and (since := await self._since(link)):
                told = outcomes.condemned(link, self._partners, earliest=since.earliest, likeliest=since.likeliest)
                await self._journal.append(*told)
            if before.condemned and not self._trust[link].condemned:
                log.warning("link %s: proven again; its route is to be opened by a person", link)
        async with self._stopping:
            await self._stop_condemned({each.canary.link for each in judged})

    async def _stop_condemned(self, links: Iterable[str]) -> None:
        for link in links:
            if self._trust[link].to_be_stopped and self._settings.canary_rule == "stop" and not self._is_stopped(link):
                log.critical("link %s: messages go to wrong phones; its route is stopped", link)
                await self._stop(link, who=RULE, reason="misdelivery")

    async def _stop(self, link: str, *, who: str, reason: str) -> None:
        since = await self._since(link) or Since(0.0, 0.0)
        await self._centre.switch_route(
            link, "stopped", who=who, reason=reason, exposed_since=since.earliest, likely_since=since.likeliest
        )

    async def _since(self, link: str) -> Since | None:
        found = await self._database.read(partial(store.verdicts, link=link, limit=REMEMBERED_MAX))
        return change_point([(made_at, verdict) for made_at, _, verdict in found])

    async def _remember(self) -> None:
        """After a restart the trust is what the stored verdicts come to."""
        for link in self._phones:
            found = await self._database.read(partial(store.verdicts, link=link, limit=REMEMBERED_MAX))
            stop = self._centre.stop_of(link)
            opened_at = stop.changed_at if stop is not None and not stop.stopped else 0.0
            self._trust[link] = remembered(sorted((decided_at, verdict) for _, decided_at, verdict in found), opened_at)

    async def _leave_untold(self) -> None:
        """What phones told of those in a restored snapshot may be lost with what came after it: they say nothing."""
        left = True
        while left:
            now = self._clock.now()
            found = await self._database.read(partial(store.undecided, limit=JUDGED_AT_ONCE_MAX))
            untold = [Judged(each, Verdict.UNTOLD, False) for each in found]
            await self._learn(await self._database.write(partial(self._record, judged=untold, now=now)))
            left = len(found) == JUDGED_AT_ONCE_MAX

    async def _erase(self) -> None:
        while True:
            before = self._clock.now() - self._timing.canaries_kept_seconds
            try:
                erase = partial(store.erase, made_before=before, limit=ERASED_AT_ONCE_MAX)
                while await self._database.write(erase) == ERASED_AT_ONCE_MAX:
                    pass
            except StorageError as error:
                log.warning("old canaries could not be erased: %s", error)
            await self._clock.sleep(self._timing.erase_every_seconds)

    def _is_stopped(self, link: str) -> bool:
        stop = self._centre.stop_of(link)
        return stop is not None and stop.stopped

    async def _way(self, name: str) -> Way:
        link, stop, trust = self._links[name], self._centre.stop_of(name), self._trust[name]
        return Way(
            link=name,
            partner=link.partner,
            state=stop.state if stop else "open",
            since=stop.changed_at if stop else 0.0,
            by=stop.who if stop else "",
            reason=stop.reason if stop else "",
            instead=link.instead,
            waiting=await self._centre.waiting(name),
            trusted=not trust.condemned,
            judged=trust.judged,
            astray=trust.astray,
            stopped_at=stop.stopped_at if stop else 0.0,
            exposed_since=stop.exposed_since if stop else 0.0,
            likely_since=stop.likely_since if stop else 0.0,
        )


def _astray(canary: Canary) -> Judged:
    return Judged(canary, Verdict.WRONG_PHONE, False)
