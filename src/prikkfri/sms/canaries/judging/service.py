"""Judging: what became of each canary, and what that and the hints of a route come to, is stored and learnt."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from prikkfri.errors import StorageError
from prikkfri.sms import outcomes
from prikkfri.sms.canaries import store
from prikkfri.sms.canaries.hints.service import Hints
from prikkfri.sms.canaries.shared.service import CanaryState, log
from prikkfri.sms.canaries.stopping.service import READ_AT_ONCE_MAX, RouteGuard
from prikkfri.sms.canaries.verdicts import ASTRAY, Canary, JudgedCanary, Verdict, judge
from prikkfri.sms.trust.evidence import TELLING, Hint
from prikkfri.sms.trust.flying import any_missed
from prikkfri.sms.trust.routes import Trust, observe, observe_hints, replay_verdicts
from prikkfri.storage import Queries, Transaction

JUDGED_AT_ONCE_MAX = 1_000


@dataclass
class RecordedVerdicts:
    """What is stored: verdicts that stand, and the trust in each route that has changed."""

    stand: list[JudgedCanary] = field(default_factory=list)
    trusts: dict[str, Trust] = field(default_factory=dict)
    weighed: dict[str, tuple[Counter[Hint], int]] = field(default_factory=dict)
    """By link, the hints that are in, and up to how many messages had been taken."""


class CanaryJudge:
    def __init__(self, shared: CanaryState, hints: Hints, stopping: RouteGuard) -> None:
        self._shared = shared
        self._hints = hints
        self._stopping = stopping
        self._returned: list[tuple[str, str]] = []
        """Canaries that networks have handed in, as (destination, token), and that are not stored yet."""

    async def recover(self) -> None:
        """After a restart the trust is what is stored, or, where none is yet, what the stored verdicts come to."""

        async def work(queries: Queries, link: str) -> Trust:
            if (trust := await store.trust(queries, link)) is not None:
                return trust
            found = await store.verdicts(queries, link, limit=READ_AT_ONCE_MAX)
            outage = self._shared.centre.outage_of(link)
            opened_at = outage.changed_at if outage is not None and not outage.stopped else 0.0
            return replay_verdicts(
                sorted((each.decided_at, each.sent_at, each.phone, each.verdict) for each in found), opened_at
            )

        for link in self._shared.phones:
            self._shared.trust[link] = await self._shared.database.read(partial(work, link=link))

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await self._shared.clock.sleep(self._shared.timing.judge_seconds)
            try:
                await self._judge_once()
            except StorageError as error:
                log.error("the canaries cannot be judged: %s", error)

    async def _judge_once(self) -> None:
        shared, now = self._shared, self._shared.clock.now()
        shared.look_at_links(now)
        self._hints.read_signs()
        self._returned += shared.centre.take_returned()
        returned = list(self._returned)
        due = [link for link in shared.links if self._is_due(link, now)]
        if not returned and not due and not await shared.database.read(partial(store.undecided, limit=1)):
            shared.absences = shared.absences.there(shared.clock.now())  # nothing is stored where nothing flies
            return

        async def work(tx: Transaction) -> tuple[list[Canary], RecordedVerdicts]:
            # What had come by then was handed in before this, and so is stored: it only looked late.
            back = [await store.mark_returned(tx, token, to, now=now) for to, token in returned]
            canaries = await store.undecided(tx, limit=JUDGED_AT_ONCE_MAX)
            judged = [found for each in canaries if (found := self._judged(each, now)) is not None]
            strays = [as_astray(canary) for canary in back if canary is not None]
            return canaries, await self.record(tx, [*strays, *judged], now, due)

        canaries, recorded = await shared.database.write(work)
        shared.absences = shared.absences.there(shared.clock.now())
        del self._returned[: len(returned)]
        self._look_for_missed(canaries, now)
        await self.learn(recorded)

    def _judged(self, canary: Canary, now: float) -> JudgedCanary | None:
        shared, settings = self._shared, self._shared.settings
        return judge(
            canary,
            shared.heard_at.get(canary.phone, 0.0),
            grace_seconds=settings.canary_grace_seconds,
            receipted_seconds=settings.canary_receipted_seconds,
            heard_before=shared.heard_before.get(canary.token, 0.0),
            absences=shared.absences,
            unlinked=shared.unlinked,
            now=now,
        )

    def _look_for_missed(self, canaries: Sequence[Canary], now: float) -> None:
        by_link: defaultdict[str, list[tuple[Canary, float]]] = defaultdict(list)
        for each in canaries:
            by_link[each.link].append((each, self._shared.heard_at.get(each.phone, 0.0)))
        for link, seen in self._shared.watches.items():
            hurried = self._shared.hurries(link)
            seen.missed = any_missed(by_link[link], now)
            self._shared.look_closer(link, hurried)

    def _is_due(self, link: str, now: float) -> bool:
        seen = self._shared.watches[link]
        always = link in self._shared.phones and now >= seen.weighed_at + self._shared.timing.hints_weighed_seconds
        return bool(seen.hints) or always

    async def record(
        self, tx: Transaction, judged: Iterable[JudgedCanary], now: float, due: Iterable[str] = ()
    ) -> RecordedVerdicts:
        """Stores verdicts with their outcomes, and what they and the hints of the links that are `due` come to."""
        recorded = RecordedVerdicts()
        for link in due:
            seen, taken = self._shared.watches[link], self._shared.centre.signs(link).taken
            recorded.weighed[link] = (Counter(seen.hints), taken)
            recorded.trusts[link] = observe_hints(
                await self._stored(tx, recorded, link),
                seen.hints,
                messages=taken - seen.signs.taken,
                seconds=max(now - seen.weighed_at, 0.0),
                now=now,
            )
        for each in await store.decide(tx, judged, now=now):
            link = each.canary.link
            trust = await self._stored(tx, recorded, link)
            trust = observe(
                trust,
                each.canary.phone,
                each.verdict,
                each.canary.verdict,
                sent_at=each.canary.attempted_at,
                now=now,
                settling_seconds=self._shared.settling_seconds,
            )
            recorded.trusts[link] = trust
            recorded.stand.append(each)
            self._shared.journal.record(
                tx, *outcomes.canary(each, self._shared.partners, trusted=not trust.condemned, now=now)
            )
        for link, trust in recorded.trusts.items():
            await store.put_trust(tx, link, trust)
        return recorded

    async def _stored(self, tx: Transaction, recorded: RecordedVerdicts, link: str) -> Trust:
        return recorded.trusts.get(link) or await store.trust(tx, link) or self._shared.trust[link]

    async def learn(self, recorded: RecordedVerdicts) -> None:
        """What was recorded is known, once it is stored, and acted upon. Raises `StorageError`."""
        now = self._shared.clock.now()
        for link, (hints, taken) in recorded.weighed.items():
            seen = self._shared.watches[link]
            seen.hints -= hints
            seen.signs, seen.weighed_at = replace(seen.signs, taken=taken), now
        for each in recorded.stand:
            seen = self._shared.watches[each.canary.link]
            seen.telling.append(each.verdict in TELLING)
            seen.judged_at = now
            self._shared.heard_before.pop(each.canary.token, None)
            self._shared.verdicts[each.verdict] += 1
            if each.verdict in ASTRAY:
                log.error("link %s: canary %s: %s", each.canary.link, each.canary.message, each.verdict)
        for link, trust in recorded.trusts.items():
            await self._know(link, trust)
        await self._stopping.stop_condemned(recorded.trusts)

    async def _know(self, link: str, trust: Trust) -> None:
        before, hurried = self._shared.trust[link], self._shared.hurries(link)
        if trust.changes <= before.changes:
            return  # one that was stored later is known already
        self._shared.trust[link] = trust
        self._shared.look_closer(link, hurried)
        if trust.condemned and not before.condemned and (since := await self._stopping.since(link)):
            found = outcomes.condemned(link, self._shared.partners, earliest=since.earliest, likeliest=since.likeliest)
            await self._shared.journal.append(*found)
        if before.condemned and not trust.condemned:
            log.warning("link %s: proven again; its route is to be opened by a person", link)

    async def leave_untold(self) -> None:
        """What phones told of those in a restored snapshot may be lost with what came after it: they say nothing."""
        left = True
        while left:
            now = self._shared.clock.now()
            found = await self._shared.database.read(partial(store.undecided, limit=JUDGED_AT_ONCE_MAX))
            untold = [JudgedCanary(each, Verdict.UNTOLD, False) for each in found]
            await self.learn(await self._shared.database.write(partial(self.record, judged=untold, now=now)))
            left = len(found) == JUDGED_AT_ONCE_MAX


def as_astray(canary: Canary) -> JudgedCanary:
    """A canary that another phone than its own has."""
    return JudgedCanary(canary, Verdict.WRONG_PHONE, False)
