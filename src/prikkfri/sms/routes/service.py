"""Routes: stopped and opened; how much waits for them, and what went over them, can be listed."""

from collections.abc import AsyncIterator
from functools import partial

from prikkfri.sms import outcomes
from prikkfri.sms.routes import store
from prikkfri.sms.routing import ExposedMessage, Party, RouteOutage, apply_switch
from prikkfri.sms.shared.service import CentreState
from prikkfri.storage import Transaction

EXPOSED_BATCH = 1_000


class RouteSwitch:
    def __init__(self, shared: CentreState) -> None:
        self._shared = shared

    async def recover(self) -> None:
        self._shared.know_outages(await self._shared.database.read(store.routes))
        self._shared.routes = self._shared.wanted  # nothing is taken on yet

    async def switch(
        self, link: str, state: str, *, who: str, reason: str, exposed_since: float = 0.0, likely_since: float = 0.0
    ) -> None:
        """Makes a link's route `stopped` or `open`; a no-op when it is so. Raises `StorageError`.

        Where what waits goes then is the matter of `placing`.
        """
        shared = self._shared

        async def work(tx: Transaction) -> dict[str, RouteOutage]:
            outages, now = await store.routes(tx), shared.clock.now()
            outage = apply_switch(
                outages.get(link), state, who=who, reason=reason, exposed_since=exposed_since,
                likely_since=likely_since, now=now,
            )  # fmt: skip
            if outage is not None:
                outages[link] = outage
                await store.put_route(tx, link, outage)
                shared.journal.record(
                    tx, outcomes.switched(link, state, shared.partners, who=who, reason=reason, now=now)
                )
            return outages

        shared.know_outages(await shared.database.write(work))
        if state == "stopped":
            shared.routes = shared.wanted  # what is taken on from here on is known to be held

    async def waiting(self, link: str) -> int:
        """How many messages wait for a link, those that are held included."""
        parties = [Party("link", link), Party("held", link)]
        read = self._shared.database.read
        return sum([await read(partial(store.waiting, target=str(party))) for party in parties])

    async def exposed(self, link: str, *, since: float, until: float) -> AsyncIterator[list[ExposedMessage]]:
        """The messages that went over a link in a time, oldest first, page by page; canaries left out."""
        target = str(Party("link", link))
        after: tuple[float, str] | None = (since, "")
        while after is not None:
            read = partial(store.exposed, target=target, since=since, until=until, after=after, limit=EXPOSED_BATCH)
            found, after = await self._shared.database.read(read)
            if found:
                yield found
