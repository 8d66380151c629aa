"""What a console stands on in tests: passwords that cost nothing, a disk that can be full, a browser's eyes."""

from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from typing import Any

import httpx
from argon2 import PasswordHasher

from prikkfri.errors import StorageUnavailable
from prikkfri.storage import Database
from prikkfri.storage.keys import SecretKey

KEY = SecretKey(bytes(32))
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
"""A browser that opens a page."""
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


EVIL = "\"'><evil-x onload=1>&lt;{{7*7}}"
"""A text that would be an element and an attribute of the page, were it taken for markup."""


class Seen(HTMLParser):
    """What a browser makes of a page: its elements, and all of its texts and values."""

    def __init__(self, page: httpx.Response) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.texts: list[str] = []
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements |= {tag, *(name for name, _ in attrs)}
        self.texts += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
