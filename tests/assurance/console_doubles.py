"""What a console stands on in tests: passwords that cost nothing, and a disk that can be full."""

from collections.abc import Awaitable, Callable
from typing import Any

from argon2 import PasswordHasher

from prikkfri.errors import StorageUnavailable
from prikkfri.storage import Database

QUICK_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Disk(Database):
    """A database on a disk that may fill up: then it reads, and takes nothing more."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.engine, area=database.area)
        self.database = database
        self.full = False

    async def read(self, work: Callable[..., Awaitable[Any]]) -> Any:
        return await self.database.read(work)

    async def write(self, work: Callable[..., Awaitable[Any]]) -> Any:
        if self.full:
            raise StorageUnavailable("disk full")
        return await self.database.write(work)

    async def close(self) -> None:
        await self.database.close()
