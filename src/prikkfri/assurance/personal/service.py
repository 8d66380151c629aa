"""One customer: what is known of them, gathered from the roles by their commands; exported, and erased."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.outcomes.store import outcomes_of_customer
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.personal import history, store
from prikkfri.assurance.personal.history import ErasureResult, History, IncidentHit, Number, Trail
from prikkfri.assurance.response.register.service import IncidentRegister
from prikkfri.assurance.response.store import incident
from prikkfri.clock import Clock
from prikkfri.errors import InDoubt, StorageError
from prikkfri.storage import Database
from prikkfri.subscribers.subscriptions import Subscriber, Subscription

log = logging.getLogger("prikkfri.assurance")

EXPORTED, ERASED = "data of a customer, exported", "customer erased"
"""On the record."""
SWEPT_SECONDS = 60.0
SWEPT_FOR_SECONDS = 2 * 86_400.0
"""So long what is told late of somebody who was erased loses their name as well."""
FOUND_MAX = 20
"""So many of one name are told apart on a page."""
HITS_MAX = 50
OUTCOMES_SHOWN_MAX = 200
TRAILS_SHOWN_MAX = 20
AT_ONCE = 200
"""Messages of one command, and outcomes of one statement."""
MESSAGES_MAX = 100_000
NOT_READ = "what {streams} wrote is not read to its end; erase again when it is"
SILENT = "the {role} does not answer; nothing after it is erased, and it is safe to erase again"


@dataclass(frozen=True)
class Registry:
    """Who the customers are, as the operator's own file told. Each raises `StorageError`."""

    by_key: Callable[[str], Awaitable[Subscriber | None]]
    """By id, e-mail address, or the number that they hold now."""
    by_name: Callable[[str], Awaitable[Sequence[Subscriber]]]
    subscriptions: Callable[[str], Awaitable[Sequence[Subscription]]]


class Personal:
    def __init__(
        self,
        database: Database,
        *,
        incidents: IncidentRegister,
        neighbours: RoleClient,
        registry: Registry,
        unread: Callable[[], frozenset[str]],
        clock: Clock,
    ) -> None:
        """`unread`: the streams that have not been read to their end."""
        self._database = database
        self._incidents = incidents
        self._neighbours = neighbours
        self._registry = registry
        self._unread = unread
        self._clock = clock

    async def find(self, key: str) -> list[Subscriber]:
        """Whoever has this id, address or number; else those of this name, `FOUND_MAX` at most."""
        known = await self._registry.by_key(key)
        return [known] if known else [*await self._registry.by_name(key)][:FOUND_MAX]

    async def history(self, subscriber: Subscriber) -> History:
        """Raises `StorageError`."""
        held = await self._registry.subscriptions(subscriber.id)
        numbers = history.numbers_of(held)
        befallen = await self._befallen(subscriber.id, numbers)
        messages = await self._database.read(lambda q: store.messages_to(q, numbers, most=TRAILS_SHOWN_MAX))
        told = [each.hit.told_message for each in befallen if each.hit.told_message]
        trails = await self._neighbours.trails([*dict.fromkeys([*messages, *told])][:AT_ONCE])
        return History(
            subscriber=subscriber,
            subscriptions=held,
            befallen=befallen,
            near=history.near(self._incidents.open_incidents, befallen, held, now=self._clock.now()),
            devices=await self._neighbours.devices(subscriber.id),
            trails=None if trails is None else sorted(trails, key=lambda trail: trail.began_at, reverse=True),
            outcomes=await self._outcomes(subscriber.id, most=OUTCOMES_SHOWN_MAX),
        )

    async def trail(self, message: str) -> tuple[bool, Trail | None]:
        """Whether the SMS centre answered, and what happened to a message."""
        found = await self._neighbours.trails([message])
        return found is not None, found[0] if found else None

    async def export(self, subscriber: Subscriber) -> dict[str, Any] | str:
        """All that is kept of a customer, or why it cannot be told whole. Raises `StorageError`."""
        held = await self._registry.subscriptions(subscriber.id)
        numbers = history.numbers_of(held)
        signin = await self._neighbours.held_by_signin(subscriber.id)
        if signin is None:
            return "sign-in does not answer, and what it holds would be missing; export again when it does"
        trails: list[Trail] = []
        for some in _parts(await self._messages(numbers)):
            told = await self._neighbours.trails(some)
            if told is None:
                return "the SMS centre does not answer, and messages would be missing; export again when it does"
            trails += told
        return {
            "exported_at": self._clock.now(),
            "customer": asdict(subscriber),
            "subscriptions": [_subscription(each) for each in held],
            "incidents": [
                each.hit._asdict() | {"service": each.incident.service, "since": each.incident.since}
                for each in await self._befallen(subscriber.id, numbers)
            ],
            "sign-in": signin,
            "messages": [asdict(trail) for trail in trails],
            "outcomes": [_outcome(taken) for taken in await self._all_outcomes(subscriber.id)],
        }

    async def erase(self, subscriber: Subscriber, *, by: str) -> ErasureResult:
        """Erases a customer everywhere, who they are last: broken off anywhere, they are found and erased again.

        What is on its way is left, and runs out by itself; so do the journals. Raises `StorageError`, `InDoubt`.
        """
        log.warning("%s has a customer erased", by)
        if await self._neighbours.end_devices(subscriber.id, by=by) is None:
            return ErasureResult(trouble=SILENT.format(role="sign-in role"))
        if unread := self._unread():
            return ErasureResult(trouble=NOT_READ.format(streams=" and ".join(sorted(unread))))
        numbers = history.numbers_of(await self._registry.subscriptions(subscriber.id))
        done = ErasureResult()
        for some in _parts(await self._messages(numbers)):
            erased = await self._neighbours.erase_trails(some, by=by)
            if erased is None:
                return replace(done, trouble=SILENT.format(role="SMS centre"))
            done = replace(done, messages=done.messages + erased)

        done = replace(done, outcomes=await self._without(subscriber.id, numbers))
        if await self._neighbours.erase_in_signin(subscriber.id, by=by) is None:
            return replace(done, trouble=SILENT.format(role="sign-in role"))
        return done

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            await asyncio.sleep(SWEPT_SECONDS)
            try:
                await self.sweep()
            except (StorageError, InDoubt) as error:  # what is erased twice is erased
                log.warning("what came late of somebody who was erased waits: %s", error)

    async def sweep(self) -> None:
        """Takes the names of those who were erased off what was told of them since; not of whoever came back."""
        since = self._clock.now() - SWEPT_FOR_SECONDS
        for customer in await self._database.read(lambda q: store.recorded(q, ERASED, since=since)):
            known = await self._registry.by_key(customer)
            if known is None or known.id != customer:  # an id may be somebody's number as well
                await self._without(customer, ())

    async def _without(self, customer: str, numbers: Sequence[Number]) -> int:
        async def erase() -> tuple[int, list[str] | None]:
            return await self._database.write(lambda t: store.erase(t, customer, numbers, _drawn))

        outcomes, _ = await self._incidents.without(erase, lambda found: found[1])
        return outcomes

    async def _befallen(self, customer: str, numbers: Sequence[Number]) -> list[IncidentHit]:
        found = []
        for hit in await self._database.read(lambda q: store.hits_of(q, customer, numbers, most=HITS_MAX)):
            of = await self._database.read(lambda q, hit=hit: incident(q, hit.incident))  # type: ignore[misc]
            if of is not None:
                found.append(IncidentHit(of, hit))
        return found

    async def _messages(self, numbers: Sequence[Number]) -> list[str]:
        return await self._database.read(lambda q: store.messages_to(q, numbers, most=MESSAGES_MAX))

    async def _outcomes(self, customer: str, *, most: int, before: StoredOutcome | None = None) -> list[StoredOutcome]:
        return await self._database.read(lambda q: outcomes_of_customer(q, customer, most=most, before=before))

    async def _all_outcomes(self, customer: str) -> list[StoredOutcome]:
        found = some = await self._outcomes(customer, most=AT_ONCE)
        while len(some) == AT_ONCE:
            some = await self._outcomes(customer, most=AT_ONCE, before=some[-1])
            found = [*found, *some]
        return found


def _parts(messages: Sequence[str]) -> list[Sequence[str]]:
    return [messages[start : start + AT_ONCE] for start in range(0, len(messages), AT_ONCE)]


def _drawn(kind: str) -> str:
    return kind + secrets.token_urlsafe(12)


def _subscription(subscription: Subscription) -> dict[str, object]:
    told = asdict(subscription)
    return told | {"ends": None if subscription.ends == float("inf") else subscription.ends}


def _outcome(taken: StoredOutcome) -> dict[str, object]:
    o = taken.outcome
    return {
        "time": o.time, "service": o.service, "step": o.step, "layer": o.layer, "verdict": o.verdict,
        "reason": o.reason, "device": o.device, "observed": o.observed, "dimensions": dict(o.dimensions),
    }  # fmt: skip
