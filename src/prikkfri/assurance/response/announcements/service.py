"""What those outside hear: the public of incidents, a customer who asks of their own, those credited by a message."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from prikkfri.assurance import status, telling
from prikkfri.assurance.incidents import Fact, Incident
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response import store
from prikkfri.assurance.response.actions.service import Actions
from prikkfri.assurance.response.register.service import HISTORY_MAX, IncidentRegister
from prikkfri.assurance.response.surroundings import Surroundings
from prikkfri.assurance.status import Statement, statements
from prikkfri.clock import Clock
from prikkfri.errors import StorageError
from prikkfri.storage import Database

log = logging.getLogger("prikkfri.assurance")


@dataclass(frozen=True)
class CustomerIncident:
    """An incident as one customer met it."""

    incident: Incident
    asked_at: float
    got_at: float | None
    """When they got it after all."""
    amount: int
    """Of their service credit, in the smallest unit; 0: none was given (yet)."""
    currency: str


class Announcements:
    def __init__(
        self,
        database: Database,
        register: IncidentRegister,
        actions: Actions,
        *,
        surroundings: Surroundings,
        clock: Clock,
        zone: tzinfo,
    ) -> None:
        self._database = database
        self._register = register
        self._actions = actions
        self._around = surroundings
        self._clock = clock
        self._zone = zone
        self._to_tell: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        """Incidents of which those credited are to be told, and the person who said so."""

    async def told(self) -> Sequence[Statement]:
        """What the public is told."""
        now = self._clock.now()
        return statements(await self._register.incidents(most=HISTORY_MAX), now=now, zone=self._zone)

    async def was_hit(self, customer: str) -> list[CustomerIncident]:
        """The incidents in which a customer was hit and of which one may be told, the newest first."""
        found = []
        for hit in await self._database.read(lambda q: store.incidents_that_hit(q, customer)):
            incident = await self._register.incident(hit.incident)
            if incident is not None and status.is_public(incident):
                found.append(CustomerIncident(incident, hit.asked_at, hit.got_at, hit.amount, hit.currency))
        return found

    async def tell(self, identifier: str, *, by: str) -> int:
        """Has those credited told by a text message; returns how many are still to be told.

        They are told one after the other while people work on; after a restart somebody has to say so again.
        """
        untold = sum(not given.told_at for given in await self._register.credits(identifier))
        if untold:
            self._to_tell.put_nowait((identifier, by))
        return untold

    async def run(self) -> None:
        """Tells those credited, until cancelled."""
        while True:
            try:
                await self.tell_next()
            except StorageError as error:
                log.error("those hit were not all told: %s", error)

    async def tell_next(self) -> None:
        """Waits until somebody has those credited told, and tells them, each once. Raises `StorageError`.

        Whoever could not be told is told when somebody says so again; so are those after one of whom nobody knows
        whether they were told: whatever does not answer now would leave the next in doubt as well.
        """
        identifier, by = await self._to_tell.get()
        untold = [given.credit for given in await self._register.credits(identifier) if not given.told_at]
        told = failed = 0
        rest = ""
        for credit in untold:
            message = await self._tell(credit)
            if message is None:
                rest = f"; of one nobody knows, and {len(untold) - told - failed - 1} wait"
                break
            told, failed = told + bool(message), failed + (not message)
        if untold:
            rest = (f"; {failed} could not be" if failed else "") + rest
            text = f"{told} customers were told by SMS{rest}"
            await self._actions.act(identifier, Fact("told", self._clock.now(), by, text))

    async def _tell(self, credit: ServiceCredit) -> str | None:
        """The id of the message, empty when the customer could not be told, None when nobody knows."""
        now = self._clock.now()

        async def mark(message: str, at: float) -> None:
            await self._database.write(lambda t: store.mark_notified(t, credit.key, message, at))

        # Marked before it is sent: after a crash in between, one is not told rather than told twice.
        await mark("", now)
        texts = {each: telling.of_credit(credit.amount, credit.currency, each) for each in telling.LANGUAGES}
        try:
            message = await self._around.tell(credit.customer, texts)
        except StorageError as error:
            log.error("a customer could not be told: %s", error)
            message = ""
        if message is not None:
            await mark(message, now if message else 0.0)
        return message
