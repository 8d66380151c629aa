"""A real engine that fails on command: its commits can be held, refused, or done with their answer lost."""

import asyncio
from collections import deque
from typing import Any

from prikkfri.storage import Database, StorageLimits
from prikkfri.storage.database import Engine


class FailingEngine:
    """All that it does not do itself, the engine that it wraps does."""

    def __init__(self, engine: Engine) -> None:
        self.commits = 0
        """How often a commit was asked for."""
        self.refused_with: Exception | None = None
        """While set, every commit is refused with it; nothing is kept."""
        self.answers_lost: deque[Exception] = deque()
        """Each is raised once, by a commit that was done."""
        self.passing = asyncio.Event()
        """Commits wait while it is not set."""
        self.passing.set()
        self.housekeeping_fails_with: Exception | None = None
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def commit(self) -> None:
        self.commits += 1
        await self.passing.wait()
        if self.refused_with is not None:
            raise self.refused_with
        await self._engine.commit()
        if self.answers_lost:
            raise self.answers_lost.popleft()

    async def between_groups(self) -> None:
        if self.housekeeping_fails_with is not None:
            raise self.housekeeping_fails_with
        await self._engine.between_groups()


def failing(database: Database, **limits: int) -> tuple[Database, FailingEngine]:
    """The same database, over an engine that fails on command; the one given is not to be written to any more."""
    engine = FailingEngine(database.engine)
    return Database(engine, area=database.area, limits=StorageLimits(**limits)), engine
