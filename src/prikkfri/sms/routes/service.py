"""Routes: stopped and opened; what waits is brought to where they say, and what went over them can be listed."""

from functools import partial

from prikkfri.sms import outcomes
from prikkfri.sms import store as messages
from prikkfri.sms.routes import store
from prikkfri.sms.routing import Exposed, Party, Stop, moves, switched
from prikkfri.sms.shared.service import Shared
from prikkfri.sms.trail import Step
from prikkfri.storage import Transaction

MOVING_BATCH = 5_000
EXPOSED_MAX = 200_000


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

    async def move_waiting(self) -> None:
        """Brings the messages that wait to where the routes say, after a switch and for what comes back later."""
        shared = self._shared
        for source, target in moves(shared.stops, shared.stopped()):
            event = "held" if target.kind == "held" else "freed"

            async def work(tx: Transaction, source: Party = source, target: Party = target, event: str = event) -> int:
                moved = await messages.move(tx, str(source), str(target), limit=MOVING_BATCH)
                step = Step(shared.clock.now(), event, f"from {source.kind} to {target.kind} {target.name}")
                await messages.add_events(tx, [(message, step) for message in moved])
                return len(moved)

            while await shared.database.write(work) == MOVING_BATCH:
                pass
            shared.bound.wake([target])

    async def waiting(self, link: str) -> int:
        """How many messages wait for a link, those that are held included."""
        parties = [Party("link", link), Party("held", link)]
        read = self._shared.database.read
        return sum([await read(partial(store.waiting, target=str(party))) for party in parties])

    async def exposed(self, link: str, *, since: float, until: float) -> list[Exposed]:
        """The messages that went over a link in a time, oldest first, `EXPOSED_MAX` at most; canaries left out."""
        read = partial(
            store.exposed,
            target=str(Party("link", link)),
            since=since,
            until=until,
            validity_seconds_max=self._shared.settings.validity_hours_max * 3600,
            limit=EXPOSED_MAX,
        )
        return await self._shared.database.read(read)
