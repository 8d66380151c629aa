"""Placing: what waits for a link from which nothing leaves is brought, one by one, to whoever is to take it.

Looked at is what waits already: once when a link is stopped, opened, down or up, and again when something comes back
to wait for one from which nothing leaves. A link that stays down, or that nobody stands in for, costs nothing, however
much waits for it.

What is taken on goes by the old routes until what waits has been placed by the new: it comes behind, and keeps its
place in the order. And a link that is back gets what comes after only when what had come before it has left by the one
that stood in for it, or has had its time to.
"""

import asyncio
from collections.abc import Collection
from functools import partial

from prikkfri.errors import StorageError
from prikkfri.sms import store as messages
from prikkfri.sms.placing import store
from prikkfri.sms.placing.store import START, Place
from prikkfri.sms.routing import Party, Routes, sources, stand_ins, way_on
from prikkfri.sms.shared.service import CentreState, log
from prikkfri.sms.trail import Step
from prikkfri.storage import Queries, Transaction

BATCH = 500
LATE_MAX = 5_000
"""How many are placed at once of those that were taken on while the last were placed."""
LATE_SECONDS = 1.0
"""By so much earlier one may be due that is taken on later."""


class Placing:
    def __init__(self, shared: CentreState) -> None:
        self._shared = shared
        self._one_at_a_time = asyncio.Lock()
        self._back_since: float | None = None
        """Since when links are back for which others still send what came before."""

    async def keep(self) -> None:
        """Until cancelled."""
        shared = self._shared
        while True:
            self._look()
            try:
                await self.place()
            except StorageError as error:
                log.error("what waits for links that are away is not placed: %s", error)
            await shared.clock.sleep(shared.timing.look_seconds)

    def _look(self) -> None:
        """Which links are down."""
        shared, now = self._shared, self._shared.clock.monotonic()
        away = {link.name: shared.bound.away_seconds(Party("link", link.name), now) for link in shared.settings.links}
        down = frozenset(name for name, seconds in away.items() if seconds >= shared.timing.take_over_seconds)
        if down != shared.down:
            log.warning("links that are down: %s", ", ".join(sorted(down)) or "none")
            shared.know_down(down)

    async def place(self) -> None:
        """Brings what waits to where the routes say, and lets what comes go there too. Raises `StorageError`."""
        shared = self._shared
        async with self._one_at_a_time:
            await self._find_astray()
            while shared.misplaced or shared.routes is not shared.wanted:
                routes, links = shared.wanted, sorted(shared.misplaced)
                shared.misplaced.clear()
                try:
                    began = shared.clock.now()
                    found = [party for link in links for party in sources(routes, link)]
                    await self._place_from(found, routes)
                    if shared.wanted is not routes or shared.misplaced:
                        continue
                    if shared.routes is not routes:
                        if not await self._have_left(routes):
                            shared.misplaced.update(links)  # for whom more comes to wait meanwhile
                            return
                        if shared.wanted is routes:
                            shared.routes = routes
                            if not await self._place_late(found, routes, began - LATE_SECONDS):
                                shared.misplaced.update(links)
                except StorageError:
                    shared.misplaced.update(links)
                    raise

    async def _find_astray(self) -> None:
        """What a restart left half moved, or came to wait unseen."""
        shared = self._shared
        shut = shared.wanted.stopped
        parties = [Party("link" if name in shut else "held", name) for name in shared.outages]

        async def work(queries: Queries) -> list[str]:
            return [party.name for party in parties if await store.is_waiting(queries, str(party))]

        if parties:
            shared.misplaced.update(await shared.database.read(work))

    async def _place_from(self, parties: Collection[Party], routes: Routes) -> None:
        shared = self._shared
        # Over a stopped one canaries go on, and nothing else.
        shared.drained = frozenset(party for party in parties if party.name not in routes.stopped)
        try:
            for party in parties:
                after: Place | None = START
                while after is not None:
                    work = partial(self._place_some, source=party, after=after, routes=routes)
                    after, targets = await shared.database.write(work)
                    shared.bound.wake(targets)
        finally:
            drained, shared.drained = shared.drained, frozenset()
            shared.bound.wake(drained)

    async def _place_late(self, parties: Collection[Party], routes: Routes, since: float) -> bool:
        """Those that were taken on by the old routes and stored while the last were placed: before all that follow.

        Whether these were all.
        """
        after: Place = (since, *START[1:])

        async def work(tx: Transaction) -> list[tuple[Place | None, list[Party]]]:
            return [await self._place_some(tx, party, after, routes, limit=LATE_MAX) for party in parties]

        found = await self._shared.database.write(work)
        self._shared.bound.wake(target for _, targets in found for target in targets)
        return all(left is None for left, _ in found)

    async def _place_some(
        self, tx: Transaction, source: Party, after: Place, routes: Routes, *, limit: int = BATCH
    ) -> tuple[Place | None, list[Party]]:
        """Where to go on, None at the end; and the parties that have got something."""
        now = self._shared.clock.now()
        waiting = await store.waiting(tx, str(source), after=after, limit=limit)
        ways: dict[Party, list[str]] = {}
        for message in waiting:
            target = way_on(routes, source, message.recipient, Party.parse(message.origin))
            if target != source:
                ways.setdefault(target, []).append(message.id)
        for target, ids in ways.items():
            for start in range(0, len(ids), BATCH):
                among = ids[start : start + BATCH]
                moved = await messages.move(tx, str(source), str(target), limit=BATCH, among=among)
                await messages.add_events(tx, [(message, _step(source, target, now)) for message in moved])
        return (waiting[-1].place if len(waiting) == limit else None), list(ways)

    async def _have_left(self, routes: Routes) -> bool:
        """Whether those that stood in for a link that is back have sent all that is due, or have had time to."""
        shared, now = self._shared, self._shared.clock.now()
        standing_in = stand_ins(shared.routes, routes)
        if not standing_in:
            self._back_since = None
            return True
        if self._back_since is None:
            self._back_since = now

        async def work(queries: Queries) -> bool:
            return any([await store.is_due(queries, str(Party("link", link)), now=now) for link in sorted(standing_in)])

        if now - self._back_since < shared.timing.give_back_seconds_max and await shared.database.read(work):
            return False
        self._back_since = None
        return True


def _step(source: Party, target: Party, now: float) -> Step:
    if source.name == target.name:
        event = "held" if target.kind == "held" else "freed"
        return Step(now, event, f"from {source.kind} to {target.kind} {target.name}")
    event = "held" if target.kind == "held" else "sent-another-way"
    return Step(now, event, f"from {source.kind} {source.name} to {target.kind} {target.name}")
