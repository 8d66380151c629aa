"""Placing: what waits for a link from which nothing leaves is brought, one by one, to a link that takes its number too.

New messages are placed when they are taken on, by the routes of that moment. So only what waits already has to be
looked at: once when a link is stopped, opened, down or up, and again when something comes back to wait for one from
which nothing leaves. A link that stays down, or that nobody stands in for, costs nothing, however much waits for it.
"""

import asyncio
from functools import partial

from prikkfri.errors import StorageError
from prikkfri.sms import store as messages
from prikkfri.sms.placing import store
from prikkfri.sms.routing import Party, find_route
from prikkfri.sms.shared.service import Shared, log
from prikkfri.sms.trail import Step
from prikkfri.storage import Transaction

BATCH = 500
Place = tuple[float, str]
"""How far a look at what waits has come: the time at which a message is due, and its id."""


class Placing:
    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._one_at_a_time = asyncio.Lock()

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            self._look()
            try:
                await self.place()
            except StorageError as error:
                log.error("what waits for links that are away is not placed: %s", error)
            await asyncio.sleep(self._shared.timing.look_seconds)

    def _look(self) -> None:
        """Which links are down."""
        shared, now = self._shared, self._shared.clock.monotonic()
        away = {link.name: shared.bound.away_seconds(Party("link", link.name), now) for link in shared.settings.links}
        down = frozenset(name for name, seconds in away.items() if seconds >= shared.timing.take_over_seconds)
        if down != shared.down:
            log.warning("links that are down: %s", ", ".join(sorted(down)) or "none")
            shared.know_down(down)

    async def place(self) -> None:
        """Brings what waits where nothing leaves to where the routes say. Raises `StorageError`."""
        shared = self._shared
        async with self._one_at_a_time:
            while shared.misplaced:
                link = shared.misplaced.pop()
                try:
                    for kind in ("link", "held"):
                        await self._place_from(Party(kind, link))
                except StorageError:
                    shared.misplaced.add(link)
                    raise

    async def _place_from(self, source: Party) -> None:
        after: Place | None = (0.0, "")
        while after is not None:
            work = partial(self._place_some, source=source, after=after)
            after, targets = await self._shared.database.write(work)
            self._shared.bound.wake(targets)

    async def _place_some(self, tx: Transaction, source: Party, after: Place) -> tuple[Place | None, list[Party]]:
        """Where to go on, None at the end; and the parties that have got something."""
        shared, now = self._shared, self._shared.clock.now()
        waiting = await store.waiting(tx, str(source), after=after, limit=BATCH)
        ways: dict[Party, list[str]] = {}
        for message in waiting:
            route = find_route(shared.routes, message.recipient, Party.parse(message.origin))
            if route is not None and route.party.kind != "account" and route.party != source:
                ways.setdefault(route.party, []).append(message.id)
        for target, ids in ways.items():
            moved = await messages.move(tx, str(source), str(target), limit=BATCH, among=ids)
            event = "held" if target.kind == "held" else "sent-another-way"
            step = Step(now, event, f"from {source.kind} {source.name} to {target.kind} {target.name}")
            await messages.add_events(tx, [(message, step) for message in moved])
        last = (waiting[-1].due_at, waiting[-1].id) if len(waiting) == BATCH else None
        return last, list(ways)
