"""The canaries at work: sent over each link, told of by their phones, judged; a way that misdelivers is stopped.

Nothing here needs assurance: the rule that stops a route lives where it is acted upon.
"""

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf

from prikkfri.clock import Clock
from prikkfri.config import Sms
from prikkfri.errors import StorageError
from prikkfri.journal import Journal
from prikkfri.sms import outcomes
from prikkfri.sms.canaries import store
from prikkfri.sms.canaries.phones import TEXT, digits, phone_of_turn, phones_by_link
from prikkfri.sms.canaries.verdicts import ASTRAY, Canary, JudgedCanary, Verdict, judge
from prikkfri.sms.conformance import NO_SIGNS, Signs
from prikkfri.sms.routing import ExposedMessage
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.timing import TIMING, Timing
from prikkfri.sms.trust.evidence import TELLING, Hint
from prikkfri.sms.trust.flying import (
    WHOLE,
    Allowance,
    any_missed,
    flying_seconds_max,
    is_suspicious,
    pause,
    quick_seconds,
)
from prikkfri.sms.trust.noticing import CanarySchedule, DetectableShare, detectable_shares, settling_seconds
from prikkfri.sms.trust.routes import Trust, observe, observe_hints, reopen, replay_verdicts
from prikkfri.sms.trust.since import FaultOnset, change_point
from prikkfri.sms.trust.wrong_numbers import Complainants
from prikkfri.storage import Database, Queries, Transaction

log = logging.getLogger("prikkfri.sms.canaries")

JUDGED_AT_ONCE_MAX = 1_000
READ_AT_ONCE_MAX = 5_000
SINCE_CANARIES_MAX = 20_000
"""So far back, ten hours while nothing was suspected, the beginning of a fault is looked for."""
TOLD_OF_LAST = 200
"""By so many canaries it is known how many of them tell anything."""
TOKEN_OCTETS = 9
ERASED_AT_ONCE_MAX = 500
RULE = "rule:canaries"


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


@dataclass
class _Seen:
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
    """Something is suspected from now on."""


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
        self._settling_seconds = settling_seconds(settings.canary_grace_seconds, settings.canary_receipted_seconds)
        self._heard_at: dict[str, float] = {phone: 0.0 for phones in self._phones.values() for phone in phones}
        self._trust: defaultdict[str, Trust] = defaultdict(Trust)
        self._seen = {link: _Seen(clock.now()) for link in self._links}
        self._sayers = Complainants()
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
                tasks.create_task(self._fly(link), name=f"canaries of {link}")
            tasks.create_task(self._judge(), name="judge canaries")
            tasks.create_task(self._erase(), name="erase canaries")

    async def take_reports(self, said: Sequence[PhoneReport]) -> int:
        """Takes what canary phones say, again without harm; returns how many of the phones are ours.

        Raises `StorageError`.
        """
        now = self._clock.now()
        known = [each for each in said if digits(each.phone) in self._heard_at]

        async def work(tx: Transaction) -> _Recorded:
            strays: list[Canary] = []
            for each in known:
                strays += await store.mark_reported(tx, digits(each.phone), each.tokens, now=now)
            return await self._record(tx, [_astray(canary) for canary in strays], now)

        recorded = await self._database.write(work)
        for each in known:
            self._heard_at[digits(each.phone)] = now
        await self._learn(recorded)
        return len(known)

    async def complain(self, link: str, *, who: str) -> bool:
        """A partner complains, says a person, that messages go astray; False when there is no such link.

        Raises `StorageError`.
        """
        if link not in self._links:
            return False
        log.warning("link %s: its partner complains of misdelivery, says %s", link, who)
        await self._journal.append(outcomes.complained(link, self._partners, who=who, now=self._clock.now()))
        self._hint(link, Hint.PARTNER)
        return True

    def say_wrong_number(self, number: str, *, address: str) -> bool:
        """Somebody got a message on a phone with this number that was not for them; False: it is no number of a link.

        What is said too often, of one number or from one network, is not taken, and answered alike.
        """
        link = self._centre.link_of(number)
        if link is None:
            return False
        if self._sayers.takes(digits(number), address, self._clock.monotonic()):
            self._hint(link, Hint.PEOPLE)
        return True

    async def switch(self, link: str, state: str, *, who: str) -> bool:
        """A person stops or opens a route; False when there is no such link. Raises `StorageError`."""
        if link not in self._links:
            return False
        if state == "open":
            await self._database.write(lambda tx: self._open(tx, link))
            await self._centre.switch_route(link, state, who=who, reason="opened")
        else:
            await self._stop(link, who=who, reason="stopped")
        return True

    async def route_statuses(self) -> list[RouteStatus]:
        """All links. Raises `StorageError`."""
        return [await self._way(link) for link in self._links]

    def coverage(self) -> list[CanaryCoverage]:
        """Of all links."""
        found = [(link, self._looking(link)) for link in self._links]
        return [CanaryCoverage(link, 60 * looking.per_second, detectable_shares(looking)) for link, looking in found]

    def exposed(self, link: str, *, since: float, until: float) -> AsyncIterator[list[ExposedMessage]] | None:
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

    async def _open(self, tx: Transaction, link: str) -> None:
        trust = reopen(await store.trust(tx, link) or Trust())
        await store.put_trust(tx, link, trust)
        self._trust[link] = trust

    async def _fly(self, link: str) -> None:
        turn = 0
        while True:
            await self._send(link, phone_of_turn(self._phones[link], turn))
            turn += 1
            seen = self._seen[link]
            seen.closer.clear()
            seconds, seen.allowance = pause(
                always_seconds=self._settings.canary_seconds,
                phones=len(self._phones[link]),
                suspicious=self._hurries(link),
                allowance=seen.allowance,
                now=self._clock.now(),
            )
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(seconds):
                    await seen.closer.wait()

    async def _send(self, link: str, phone: str) -> None:
        token = self._entropy(TOKEN_OCTETS).hex()

        async def note(tx: Transaction, message: str) -> None:
            await store.add(tx, token, message, link=link, phone=phone, now=self._clock.now())

        try:
            if self._centre.holds:  # one that does not leave proves nothing
                return
            seconds = 2 * self._settings.canary_grace_seconds + self._settings.canary_seconds
            await self._centre.send_canary(link, phone, TEXT.format(token=token), seconds=seconds, note=note)
            self._sent += 1
        except StorageError as error:
            log.error("no canary can be sent over %s: %s", link, error)

    async def _judge(self) -> None:
        while True:
            await self._clock.sleep(self._timing.judge_seconds)
            try:
                await self._judge_once()
            except StorageError as error:
                log.error("the canaries cannot be judged: %s", error)

    async def _judge_once(self) -> None:
        now = self._clock.now()
        canaries = await self._database.read(partial(store.undecided, limit=JUDGED_AT_ONCE_MAX))
        judged = [found for each in canaries if (found := self._judged(each, now)) is not None]
        self._look_for_missed(canaries, now)
        self._read_signs()
        returned = self._centre.take_returned()
        due = [link for link in self._links if self._is_due(link, now)]
        if judged or returned or due:

            async def work(tx: Transaction) -> _Recorded:
                back = [await store.mark_returned(tx, token, to, now=now) for to, token in returned]
                strays = [_astray(canary) for canary in back if canary is not None]
                return await self._record(tx, [*judged, *strays], now, due)

            await self._learn(await self._database.write(work))

    def _judged(self, canary: Canary, now: float) -> JudgedCanary | None:
        settings = self._settings
        return judge(
            canary,
            self._heard_at.get(canary.phone, 0.0),
            grace_seconds=settings.canary_grace_seconds,
            receipted_seconds=settings.canary_receipted_seconds,
            now=now,
        )

    def _look_for_missed(self, canaries: Sequence[Canary], now: float) -> None:
        by_link: defaultdict[str, list[tuple[Canary, float]]] = defaultdict(list)
        for each in canaries:
            by_link[each.link].append((each, self._heard_at.get(each.phone, 0.0)))
        for link, seen in self._seen.items():
            hurried = self._hurries(link)
            seen.missed = any_missed(by_link[link], now)
            self._look_closer(link, hurried)

    def _read_signs(self) -> None:
        """What receipts and what is handed in hint at, and who says by message that one was not for them."""
        for link, number in self._centre.take_complainants():
            if self._sayers.takes(number, "", self._clock.monotonic()):
                self._hint(link, Hint.PEOPLE)
        for link, seen in self._seen.items():
            signs = self._centre.signs(link)
            if (misfits := signs.misfits - seen.signs.misfits) > 0:
                self._hint(link, Hint.RECEIPTS, misfits)
            if (returned := signs.returned - seen.signs.returned) > 0:
                self._hint(link, Hint.RETURNED, returned)
            seen.signs = replace(signs, taken=seen.signs.taken)

    def _hint(self, link: str, hint: Hint, times: int = 1) -> None:
        self._seen[link].hints[hint] += times
        self._seen[link].hinted_at = self._clock.now()

    def _is_due(self, link: str, now: float) -> bool:
        seen = self._seen[link]
        always = link in self._phones and now >= seen.weighed_at + self._timing.hints_weighed_seconds
        return bool(seen.hints) or always

    def _suspects(self, link: str) -> bool:
        trust, seen = self._trust[link], self._seen[link]
        if trust.to_be_stopped:
            return False  # what was suspected has been found
        return is_suspicious(trust.evidence, missed=seen.missed, hinted_at=seen.hinted_at, now=self._clock.now())

    def _hurries(self, link: str) -> bool:
        """Whether canaries fly as often as phones can take them: to find something, or to prove that it is over."""
        return self._trust[link].being_proven or self._suspects(link)

    def _look_closer(self, link: str, hurried: bool) -> None:
        if not hurried and self._hurries(link):
            self._seen[link].closer.set()

    async def _record(
        self, tx: Transaction, judged: Iterable[JudgedCanary], now: float, due: Iterable[str] = ()
    ) -> "_Recorded":
        """Stores verdicts with their outcomes, and what they and the hints of the links that are `due` come to."""
        recorded = _Recorded()
        for link in due:
            seen, taken = self._seen[link], self._centre.signs(link).taken
            recorded.weighed[link] = (Counter(seen.hints), taken)
            recorded.trusts[link] = observe_hints(
                await self._stored(tx, recorded, link),
                seen.hints,
                messages=taken - seen.signs.taken,
                seconds=max(now - seen.weighed_at, 0.0),
                now=now,
            )
        for each in judged:
            if not await store.decide(tx, each.canary, each.verdict, now=now):
                continue
            link = each.canary.link
            trust = await self._stored(tx, recorded, link)
            trust = observe(
                trust,
                each.canary.phone,
                each.verdict,
                each.canary.verdict,
                sent_at=each.canary.attempted_at,
                now=now,
                settling_seconds=self._settling_seconds,
            )
            recorded.trusts[link] = trust
            recorded.stand.append(each)
            self._journal.record(tx, *outcomes.canary(each, self._partners, trusted=not trust.condemned, now=now))
        for link, trust in recorded.trusts.items():
            await store.put_trust(tx, link, trust)
        return recorded

    async def _stored(self, tx: Transaction, recorded: "_Recorded", link: str) -> Trust:
        return recorded.trusts.get(link) or await store.trust(tx, link) or self._trust[link]

    async def _learn(self, recorded: "_Recorded") -> None:
        now = self._clock.now()
        for link, (hints, taken) in recorded.weighed.items():
            seen = self._seen[link]
            seen.hints -= hints
            seen.signs, seen.weighed_at = replace(seen.signs, taken=taken), now
        for each in recorded.stand:
            seen = self._seen[each.canary.link]
            seen.telling.append(each.verdict in TELLING)
            seen.judged_at = now
            self._verdicts[each.verdict] += 1
            if each.verdict in ASTRAY:
                log.error("link %s: canary %s: %s", each.canary.link, each.canary.message, each.verdict)
        for link, trust in recorded.trusts.items():
            await self._know(link, trust)
        async with self._stopping:
            await self._stop_condemned(recorded.trusts)

    async def _know(self, link: str, trust: Trust) -> None:
        before, hurried = self._trust[link], self._hurries(link)
        if trust.changes <= before.changes:
            return  # one that was stored later is known already
        self._trust[link] = trust
        self._look_closer(link, hurried)
        if trust.condemned and not before.condemned and (since := await self._since(link)):
            found = outcomes.condemned(link, self._partners, earliest=since.earliest, likeliest=since.likeliest)
            await self._journal.append(*found)
        if before.condemned and not trust.condemned:
            log.warning("link %s: proven again; its route is to be opened by a person", link)

    async def _stop_condemned(self, links: Iterable[str]) -> None:
        for link in links:
            if self._trust[link].to_be_stopped and self._settings.canary_rule == "stop" and not self._is_stopped(link):
                log.critical("link %s: messages go to wrong phones; its route is stopped", link)
                await self._stop(link, who=RULE, reason="misdelivery")

    async def _stop(self, link: str, *, who: str, reason: str) -> None:
        since = await self._since(link) or FaultOnset(0.0, 0.0)
        await self._centre.switch_route(
            link, "stopped", who=who, reason=reason, exposed_since=since.earliest, likely_since=since.likeliest
        )

    async def _since(self, link: str) -> FaultOnset | None:
        """Of what goes on now: not since a fault that canaries have proven over."""
        found: list[store.DecidedCanary] = []
        before, proven_at = inf, self._trust[link].proven_at
        while len(found) < SINCE_CANARIES_MAX:
            read = partial(store.verdicts, link=link, limit=READ_AT_ONCE_MAX, before=before)
            page = await self._database.read(read)
            found = [*page, *found]
            if len(page) < READ_AT_ONCE_MAX or page[0].decided_at < proven_at:
                break
            before = page[0].made_at
        return change_point([(each.made_at, each.verdict) for each in found if each.decided_at >= proven_at])

    async def _remember(self) -> None:
        """After a restart the trust is what is stored, or, where none is yet, what the stored verdicts come to."""

        async def work(queries: Queries, link: str) -> Trust:
            if (trust := await store.trust(queries, link)) is not None:
                return trust
            found = await store.verdicts(queries, link, limit=READ_AT_ONCE_MAX)
            outage = self._centre.outage_of(link)
            opened_at = outage.changed_at if outage is not None and not outage.stopped else 0.0
            return replay_verdicts(
                sorted((each.decided_at, each.made_at, each.phone, each.verdict) for each in found), opened_at
            )

        for link in self._phones:
            self._trust[link] = await self._database.read(partial(work, link=link))

    async def _leave_untold(self) -> None:
        """What phones told of those in a restored snapshot may be lost with what came after it: they say nothing."""
        left = True
        while left:
            now = self._clock.now()
            found = await self._database.read(partial(store.undecided, limit=JUDGED_AT_ONCE_MAX))
            untold = [JudgedCanary(each, Verdict.UNTOLD, False) for each in found]
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
        outage = self._centre.outage_of(link)
        return outage is not None and outage.stopped

    async def _way(self, name: str) -> RouteStatus:
        link, outage, trust = self._links[name], self._centre.outage_of(name), self._trust[name]
        return RouteStatus(
            link=name,
            partner=link.partner,
            state=outage.state if outage else "open",
            since=outage.changed_at if outage else 0.0,
            by=outage.who if outage else "",
            reason=outage.reason if outage else "",
            instead=link.instead,
            waiting=await self._centre.waiting(name),
            trusted=not trust.condemned,
            judged=trust.judged,
            astray=trust.astray,
            stopped_at=outage.stopped_at if outage else 0.0,
            exposed_since=outage.exposed_since if outage else 0.0,
            likely_since=outage.likely_since if outage else 0.0,
            nats=trust.evidence.nats,
            suspected=name in self._phones and self._suspects(name),
            canaries_per_minute=60 * (looking := self._looking(name)).per_second,
            noticed=detectable_shares(looking),
            hints=trust.hints,
            canaries_to_prove=trust.canaries_to_prove if name in self._phones else 0,
            proving_seconds=self._proving_seconds(name),
        )

    def _proving_seconds(self, link: str) -> float:
        phones, trust, now = self._phones.get(link, []), self._trust[link], self._clock.now()
        if not phones or not trust.condemned:
            return 0.0
        flying = flying_seconds_max(
            trust.canaries_to_prove,
            always_seconds=self._settings.canary_seconds,
            phones=len(phones),
            allowance=self._seen[link].allowance.now(now),
        )
        return flying + self._settling_seconds - (now - trust.enough_at if trust.enough_at else 0.0)

    def _looking(self, link: str) -> CanarySchedule:
        """By what the last canaries told, and which phones are heard from."""
        now, settings, seen = self._clock.now(), self._settings, self._seen[link]
        grace = settings.canary_grace_seconds
        phones = self._phones.get(link, [])
        heard = [phone for phone in phones if now - self._heard_at[phone] <= grace]
        stale = now - seen.judged_at > 2 * (grace + settings.canary_seconds)
        told_of = 0.0 if stale or not seen.telling else sum(seen.telling) / len(seen.telling)
        always = told_of / settings.canary_seconds
        quick = told_of / quick_seconds(len(phones), settings.canary_seconds) if phones else 0.0
        receipted = min(grace, settings.canary_receipted_seconds)
        return CanarySchedule(always, quick, len(heard), receipted)


@dataclass
class _Recorded:
    """What is stored: verdicts that stand, and the trust in each route that has changed."""

    stand: list[JudgedCanary] = field(default_factory=list)
    trusts: dict[str, Trust] = field(default_factory=dict)
    weighed: dict[str, tuple[Counter[Hint], int]] = field(default_factory=dict)
    """By link, the hints that are in, and up to how many messages had been taken."""


def _astray(canary: Canary) -> JudgedCanary:
    return JudgedCanary(canary, Verdict.WRONG_PHONE, False)
