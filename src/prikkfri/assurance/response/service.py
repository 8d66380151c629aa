"""Incident response at work: from outcomes to incidents, the list of those hit, and what is done about them.

Theory of operation. Outcomes come from the followers; every second the watch counts what is settled and steps the
detection of every series; what it raises opens an incident or joins one. Each open incident is looked at every few
seconds, from the stored outcomes themselves. All of it is stored, so that a restart goes on. What happens stands in the
rooms, each of which knows only those that are handed to it; here they are put together, and kept going.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import tzinfo

from prikkfri.assurance.response.actions.service import Actions
from prikkfri.assurance.response.announcements.service import Announcements
from prikkfri.assurance.response.evaluations.service import Evaluations
from prikkfri.assurance.response.register.service import IncidentRegister
from prikkfri.assurance.response.surroundings import Surroundings
from prikkfri.assurance.response.timing import TIMING, Timing
from prikkfri.assurance.response.watching.service import SeriesWatch
from prikkfri.assurance.tally import EXPECTATIONS
from prikkfri.clock import Clock
from prikkfri.config import Assurance as Settings
from prikkfri.errors import StorageError
from prikkfri.storage import Database

log = logging.getLogger("prikkfri.assurance")


@dataclass(frozen=True)
class ResponseRooms:
    """What the rooms are made of."""

    watch: type[SeriesWatch] = SeriesWatch
    actions: type[Actions] = Actions
    evaluations: type[Evaluations] = Evaluations


class Response:
    def __init__(
        self,
        database: Database,
        *,
        settings: Settings,
        surroundings: Surroundings,
        clock: Clock,
        zone: tzinfo,
        timing: Timing = TIMING,
        rooms: ResponseRooms = ResponseRooms(),
    ) -> None:
        self._clock = clock
        self._timing = timing
        expectations = dict(EXPECTATIONS)
        for step, seconds in (
            (("television", "enter"), settings.line_grace_seconds),
            (("television", "sign-in"), settings.sign_in_grace_seconds),
            (("messages", "deliver"), settings.delivery_grace_seconds),
        ):
            expectations[step] = replace(expectations[step], grace_seconds=seconds)
        self.register = IncidentRegister(database, clock=clock, timing=timing, changed=surroundings.changed)
        self.watch = rooms.watch(
            database,
            self.register,
            settings=settings,
            surroundings=surroundings,
            expectations=expectations,
            clock=clock,
            zone=zone,
            timing=timing,
        )
        self.actions = rooms.actions(
            database, self.register, settings=settings, surroundings=surroundings, clock=clock, zone=zone
        )
        self.evaluations = rooms.evaluations(
            database,
            self.register,
            self.watch,
            self.actions,
            settings=settings,
            surroundings=surroundings,
            expectations=expectations,
            clock=clock,
            zone=zone,
            timing=timing,
        )
        self.announcements = Announcements(
            database, self.register, self.actions, surroundings=surroundings, clock=clock, zone=zone
        )

    async def run(self) -> None:
        """Works until cancelled."""
        await self.recover()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_watch(), name="watch")
            tasks.create_task(self._keep_looking(), name="look at incidents")
            tasks.create_task(self.announcements.run(), name="tell those credited")

    async def recover(self) -> None:
        """Goes on where an earlier run has stopped: open incidents, and levels learned from the last half hour."""
        self.watch.forget_arrived()  # stored, and so read below
        await self.register.recover()
        await self.watch.recover()

    async def _keep_watch(self) -> None:
        while True:
            try:
                await self.watch.tick()
            except StorageError as error:
                log.warning("incident response waits for its database: %s", error)
            await asyncio.sleep(self._timing.tick_seconds)

    async def _keep_looking(self) -> None:
        while True:
            began = self._clock.monotonic()
            try:
                await self.evaluations.look()
            except StorageError as error:
                log.warning("incident response waits for its database: %s", error)
            cost = self._clock.monotonic() - began
            await asyncio.sleep(max(self._timing.look_seconds, cost / self._timing.looking_share_max - cost))
