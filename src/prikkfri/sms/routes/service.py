"""Routes: stopped and opened; what waits is brought to where they say, and what went over them can be listed."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from prikkfri.errors import StorageError
from prikkfri.sms import outcomes
from prikkfri.sms import store as messages
from prikkfri.sms.routes import store
from prikkfri.sms.routing import Exposed, Party, Stop, moves, switched
from prikkfri.sms.shared.service import Shared, log
from prikkfri.sms.trail import Step
from prikkfri.storage import Queries, Transaction

MOVING_BATCH = 500
EXPOSED_BATCH = 1_000


class RouteSwitch:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def recover(self) -> None:
        self._shared.know_stops(await self._shared.database.read(store.routes))

    async def switch(
        self, link: str, state: str, *, who: str, reason: str, exposed_since: float = 0.0, likely_since: float = 0.0
    ) -> None:
        """Makes a link's route `stopped` or `open`; a no-op when it is so. Raises `StorageError`.

        Stopped, its messages are kept; `placing` brings those to another link that have one.
        """
        shared = self._shared

        async def work(tx: Transaction) -> dict[str, Stop]:
            stops, now = await store.routes(tx), shared.clock.now()
            stop = switched(
                stops.get(link), state, who=who, reason=reason, exposed_since=exposed_since, likely_since=likely_since,
                now=now,
            )  # fmt: skip
            if stop is not None:
                stops[link] = stop
                await store.put_route(tx, link, stop)
                shared.journal.record(
                    tx, outcomes.switched(link, state, shared.partners, who=who, reason=reason, now=now)
                )
            return stops

        shared.know_stops(await shared.database.write(work))
        await self.move_waiting()

    async def keep(self) -> None:
        """Until cancelled: what comes back to a stopped route, and what a restart left, is brought where it belongs."""
        shared = self._shared
        while True:
            await asyncio.sleep(shared.timing.look_seconds)
            try:
                if await shared.database.read(self._is_astray):
                    await self.move_waiting()
            except StorageError as error:
                log.error("what waits for stopped routes is not moved: %s", error)

    async def _is_astray(self, queries: Queries) -> bool:
        ways = moves(self._shared.stops, self._shared.stopped())
        return any([await store.waiting(queries, str(source)) > 0 for source, _ in ways])

    async def move_waiting(self) -> None:
        """Brings the messages that wait to where the routes say, in steps of bounded size."""
        while (target := await self._shared.database.write(self._move_some)) is not None:
            self._shared.bound.wake([target])

    async def _move_some(self, tx: Transaction) -> Party | None:
        """The party to which some have been moved; None: all are where they belong."""
        # As the routes are at this moment: another may be switching them meanwhile.
        stops, now = await store.routes(tx), self._shared.clock.now()
        for source, target in moves(stops, {link for link, stop in stops.items() if stop.stopped}):
            event = "held" if target.kind == "held" else "freed"
            moved = await messages.move(tx, str(source), str(target), limit=MOVING_BATCH)
            step = Step(now, event, f"from {source.kind} to {target.kind} {target.name}")
            await messages.add_events(tx, [(message, step) for message in moved])
            if moved:
                self._shared.came_back(source)
                return target
        return None

    async def waiting(self, link: str) -> int:
        """How many messages wait for a link, those that are held included."""
        parties = [Party("link", link), Party("held", link)]
        read = self._shared.database.read
        return sum([await read(partial(store.waiting, target=str(party))) for party in parties])

    async def exposed(self, link: str, *, since: float, until: float) -> AsyncIterator[list[Exposed]]:
        """The messages that went over a link in a time, oldest first, page by page; canaries left out."""
        target = str(Party("link", link))
        after: tuple[float, str] | None = (since, "")
        while after is not None:
            read = partial(store.exposed, target=target, since=since, until=until, after=after, limit=EXPOSED_BATCH)
            found, after = await self._shared.database.read(read)
            if found:
                yield found
