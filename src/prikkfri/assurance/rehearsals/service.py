"""Ordering an evening, and seeing what becomes of it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from prikkfri.assurance.rehearsals import store
from prikkfri.assurance.rehearsals.staging import EVENINGS, Evening, Order, Stage, Staging, as_seen, in_the_way
from prikkfri.clock import Clock
from prikkfri.errors import StorageUnavailable


@dataclass(frozen=True)
class Evenings:
    """All that a demo can stage, at one moment."""

    stage: Stage
    seen: dict[Evening, Staging]
    """The last of each; those that were never staged are not in it."""

    @property
    def in_the_way(self) -> Staging | None:
        return in_the_way(self.seen.values())


class Rehearsals:
    def __init__(self, home: Path, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._ordering = asyncio.Lock()

    async def evenings(self) -> Evenings:
        return await asyncio.to_thread(self._evenings)

    def _evenings(self) -> Evenings:
        now, order, known = self._clock.now(), store.order(self._home), store.stagings(self._home)
        seen = {
            each: as_seen(known.get(each), order if order is not None and order.evening == each else None, now)
            for each in EVENINGS
        }
        return Evenings(store.stage(self._home), {each: found for each, found in seen.items() if found is not None})

    async def order(self, evening: Evening, *, by: str) -> Staging | None:
        """Orders an evening; returns what stands in its way, and then nothing is ordered.

        Raises `StorageUnavailable` when the home takes nothing more.
        """
        async with self._ordering:
            if (other := (await self.evenings()).in_the_way) is not None:
                return other
            try:
                await asyncio.to_thread(store.put_order, self._home, Order(evening, by, self._clock.now()))
            except OSError as error:
                raise StorageUnavailable(f"{error.filename}: {error.strerror}") from error
            return None
