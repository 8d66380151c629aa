"""Stopping: a way that misdelivers is stopped, with since when it did; a person stops and opens ways, too.

Nothing here needs assurance: the rule that stops a route lives where it is acted upon.
"""

import asyncio
from collections.abc import Iterable
from functools import partial
from math import inf

from prikkfri.sms.canaries import store
from prikkfri.sms.canaries.shared.service import CanaryState, log
from prikkfri.sms.trust.routes import Trust, reopen
from prikkfri.sms.trust.since import FaultOnset, change_point
from prikkfri.storage import Transaction

READ_AT_ONCE_MAX = 5_000
SINCE_CANARIES_MAX = 20_000
"""So far back, ten hours while nothing was suspected, the beginning of a fault is looked for."""
RULE = "rule:canaries"


class RouteGuard:
    def __init__(self, shared: CanaryState) -> None:
        self._shared = shared
        self._one_at_a_time = asyncio.Lock()

    async def stop_condemned(self, links: Iterable[str]) -> None:
        """Those of the links of which it is known that messages go astray. Raises `StorageError`."""
        shared = self._shared
        async with self._one_at_a_time:
            for link in links:
                to_be_stopped = shared.trust[link].to_be_stopped and shared.settings.canary_rule == "stop"
                if to_be_stopped and not shared.is_stopped(link):
                    log.critical("link %s: messages go to wrong phones; its route is stopped", link)
                    await self.stop(link, who=RULE, reason="misdelivery")

    async def stop(self, link: str, *, who: str, reason: str) -> None:
        """Raises `StorageError`."""
        since = await self.since(link) or FaultOnset(0.0, 0.0)
        await self._shared.centre.switch_route(
            link, "stopped", who=who, reason=reason, exposed_since=since.earliest, likely_since=since.likeliest
        )

    async def since(self, link: str) -> FaultOnset | None:
        """Of what goes on now: not since a fault that canaries have proven over."""
        found: list[store.DecidedCanary] = []
        before, proven_at = inf, self._shared.trust[link].proven_at
        while len(found) < SINCE_CANARIES_MAX:
            read = partial(store.verdicts, link=link, limit=READ_AT_ONCE_MAX, before=before)
            page = await self._shared.database.read(read)
            found = [*page, *found]
            if len(page) < READ_AT_ONCE_MAX or page[0].decided_at < proven_at:
                break
            before = page[0].made_at
        # One that never left says nothing, and one that waited here for long was made before a fault that it met.
        left = sorted((each.sent_at, each.verdict) for each in found if each.sent_at and each.decided_at >= proven_at)
        return change_point(left)

    async def open(self, link: str, *, who: str) -> None:
        """Raises `StorageError`."""
        await self._shared.database.write(lambda tx: self._open(tx, link))
        await self._shared.centre.switch_route(link, "open", who=who, reason="opened")

    async def _open(self, tx: Transaction, link: str) -> None:
        trust = reopen(await store.trust(tx, link) or Trust())
        await store.put_trust(tx, link, trust)
        self._shared.trust[link] = trust
