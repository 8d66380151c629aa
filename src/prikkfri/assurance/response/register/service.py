"""The register: incidents as they are now and as they are stored, the lists of those hit, and the outcomes behind them.

Those that are open or were resolved lately are in memory, too; whoever changes one holds `acting` meanwhile.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from prikkfri.assurance import incidents
from prikkfri.assurance.impact import Hit
from prikkfri.assurance.incidents import Incident
from prikkfri.assurance.outcomes.store import journal_heads, outcomes_after, outcomes_at, outcomes_by_name, outcomes_in
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.response import evaluation, store
from prikkfri.assurance.response.archive import JournalPlace
from prikkfri.assurance.response.store import Contact, CreditRecord, ListSummary
from prikkfri.assurance.response.timing import Timing
from prikkfri.clock import Clock
from prikkfri.journal import Outcome
from prikkfri.storage import Database

log = logging.getLogger("prikkfri.assurance")
T = TypeVar("T")

HISTORY_MAX = 200


class IncidentRegister:
    def __init__(self, database: Database, *, clock: Clock, timing: Timing, changed: Callable[[], None]) -> None:
        """`changed` hears that an incident is other than the public was told."""
        self._database = database
        self._clock = clock
        self._timing = timing
        self._changed = changed
        self._known: dict[str, Incident] = {}
        """Those that are open, and those resolved lately."""
        self._earlier: dict[str, Incident] = {}
        """Those of which nothing more is to be known than that what they were about was not usual."""
        self.lists: dict[str, tuple[Mapping[str, Hit], tuple[int, int, int]]] = {}
        """Who stands on each incident's list in the database, by person; without one that is not known."""
        self.new_contacts: list[Contact] = []
        """Contacts that have been stored, and that the watch has not taken yet."""
        self.acting = asyncio.Lock()
        self.erasures = 0
        """Goes up before a customer is erased and once more after it: a look that began before either would write their
        names again."""

    async def recover(self) -> None:
        """Knows again what is stored. Raises `StorageError`."""
        now = self._clock.now()
        for incident in await self.incidents(most=HISTORY_MAX):
            known = self._known if self._worth_remembering(incident, now) else self._earlier
            known[incident.id] = incident
        self._forget_earlier(now)

    # Those in memory.

    @property
    def known(self) -> Sequence[Incident]:
        """Those that are open, and those resolved lately."""
        return list(self._known.values())

    @property
    def earlier(self) -> Sequence[Incident]:
        """Those of which nothing more is to be known than that what they were about was not usual."""
        return list(self._earlier.values())

    def current(self, identifier: str) -> Incident | None:
        """An incident as it is now, of those in memory."""
        return self._known.get(identifier)

    @property
    def open_incidents(self) -> list[Incident]:
        """The newest first, from memory."""
        found = [incident for incident in self._known.values() if incident.open]
        return sorted(found, key=lambda incident: incident.opened_at, reverse=True)

    def worth_looking_at(self) -> list[Incident]:
        """Those that are open, or were resolved so lately that late outcomes and a relapse still count."""
        return [each for each in self._known.values() if self.is_worth_looking_at(each, self._clock.now())]

    def is_worth_looking_at(self, incident: Incident, now: float) -> bool:
        after_seconds = self._timing.after_seconds
        return incident.open or (incident.resolved_at is not None and now - incident.resolved_at < after_seconds)

    def put_away(self, incident: Incident) -> None:
        """Keeps an incident for what was not usual alone, when it need not be remembered any more."""
        if not self._worth_remembering(incident, self._clock.now()):
            self._earlier[incident.id] = self._known.pop(incident.id)
            self.lists.pop(incident.id, None)

    def forget_earlier(self) -> None:
        self._forget_earlier(self._clock.now())

    def rewritten(self, incident: Incident) -> None:
        """An incident in memory is what somebody has stored."""
        if incident.id in self._known:
            self._known[incident.id] = incident

    def _worth_remembering(self, incident: Incident, now: float) -> bool:
        """What a person dismissed is not looked at for so long, and yet known when it is seen again."""
        lately = incident.resolved_at is not None and now - incident.resolved_at < incidents.DISMISSED_SECONDS
        return self.is_worth_looking_at(incident, now) or (incident.dismissed and lately)

    def _forget_earlier(self, now: float) -> None:
        """Those that had ended before what is usual for any incident of today."""
        since = min((each.since for each in self._known.values()), default=now) - evaluation.BEFORE_SECONDS
        for incident in list(self._earlier.values()):
            if (incident.ended_at or incident.resolved_at or incident.since) < since:
                del self._earlier[incident.id]

    async def save(self, incident: Incident) -> None:
        """Stores an incident when it has changed. Raises `StorageError`."""
        known = self._known.get(incident.id)
        if known == incident:
            return
        await self._database.write(lambda t: store.save_incident(t, incident))
        self._known[incident.id] = incident
        if known is None or known.state != incident.state or len(known.timeline) != len(incident.timeline):
            log.warning(
                "incident %s is %s: %s", incident.id, incidents.displayed_state(incident), incident.timeline[-1].text
            )
            self._changed()

    async def without(self, erase: Callable[[], Awaitable[T]], touched: Callable[[T], Sequence[str] | None]) -> T:
        """Erases somebody while nobody makes a list; of those `touched` it is not known any more who is on them.

        `touched` says None when there was nothing to erase: as is found again and again of whoever was erased lately.
        """
        async with self.acting:
            self.erasures += 1  # before it: nobody may write meanwhile what is erased
            done = await erase()
            incidents = touched(done)
            self.erasures += 1 if incidents is not None else -1
            for identifier in incidents or ():
                self.lists.pop(identifier, None)
            return done

    # What is stored. Each raises `StorageError`.

    async def incidents(self, *, most: int = 100) -> list[Incident]:
        """The newest first."""
        return await self._database.read(lambda q: store.incidents(q, most=most))

    async def incident(self, identifier: str) -> Incident | None:
        """An incident by itself; None when there is no such."""
        return await self._database.read(lambda q: store.incident(q, identifier))

    async def listed(self, identifier: str) -> ListSummary | None:
        """The figures of the list of those hit; None before it was made."""
        return await self._database.read(lambda q: store.listed(q, identifier))

    async def hits(self, identifier: str) -> list[Hit]:
        return await self._database.snapshot(lambda q: store.hits_of(q, identifier))

    async def first_hits(self, identifier: str, *, most: int) -> tuple[list[Hit], int]:
        """The first of those hit, and how many there are."""
        return await self._database.read(lambda q: store.first_hits(q, identifier, most=most))

    async def credits(self, identifier: str) -> list[CreditRecord]:
        return await self._database.read(lambda q: store.credits_of(q, identifier))

    async def add_contacts(self, contacts: Sequence[Contact]) -> int:
        """Takes in contacts with customer service; returns how many were new."""
        new = await self._database.write(lambda t: store.add_contacts(t, contacts))
        self.new_contacts += new
        return len(new)

    async def outcomes(self, since: float, until: float, *, service: str = "") -> list[Outcome]:
        """In the order of time; read in parts, so that many hold nobody up."""
        found: list[Outcome] = []
        async for part in self.stored_outcomes(since, until, service=service):
            found += [stored.outcome for stored in part]
        return found

    async def stored_outcomes(
        self, since: float, until: float, *, service: str = ""
    ) -> AsyncIterator[list[StoredOutcome]]:
        """The same part by part, with their places in the journals."""
        last: StoredOutcome | None = None
        most = self._timing.outcomes_at_once_max
        while True:
            part = await self._database.read(
                lambda q, last=last: outcomes_in(q, since=since, until=until, service=service, after=last, most=most)  # type: ignore[misc]
            )
            yield part
            if len(part) < most:
                return
            last = part[-1]
            await asyncio.sleep(0)

    async def outcomes_at(self, places: Collection[JournalPlace]) -> list[StoredOutcome]:
        """Those at these places; what is not stored any more is left out."""
        return await self._database.read(lambda q: outcomes_at(q, places))

    async def outcomes_of_those(
        self, places: Collection[JournalPlace], *, service: str, since: float
    ) -> tuple[list[StoredOutcome], list[StoredOutcome]]:
        """The outcomes at these places, and all since then of whoever they are of: of their device, or where none is
        named of their customer."""
        found = await self.outcomes_at(places)
        devices = {row.outcome.device for row in found} - {""}
        customers = {row.outcome.customer for row in found if not row.outcome.device}
        return found, await self._database.read(
            lambda q: outcomes_by_name(q, devices=devices, customers=customers, service=service, since=since)
        )

    async def heads(self) -> dict[tuple[str, str], int]:
        """By stream and incarnation the position of the last outcome that is stored."""
        return await self._database.read(journal_heads)

    async def outcomes_after(
        self, before: Mapping[tuple[str, str], int], heads: Mapping[tuple[str, str], int]
    ) -> AsyncIterator[list[StoredOutcome]]:
        """What has been stored since the heads were as `before`, up to `heads`; read in parts."""
        most = self._timing.outcomes_at_once_max
        for (stream, incarnation), head in heads.items():
            position = before.get((stream, incarnation), -1)
            while position < head:
                part = await self._database.read(
                    partial(
                        outcomes_after,
                        stream=stream,
                        incarnation=incarnation,
                        position=position,
                        up_to=head,
                        most=most,
                    )
                )
                yield part
                if len(part) < most:
                    break
                position = part[-1].position
