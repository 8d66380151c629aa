"""A mark: some octets on a path of their own, replaced as a whole, by which a database from a backup is known."""

import asyncio
import os
from pathlib import Path
from typing import Protocol


class Mark(Protocol):
    async def read(self) -> bytes | None:
        """None: there is none. Raises `OSError`."""
        ...

    async def write(self, octets: bytes) -> None:
        """Returns once it is durable. Raises `OSError`."""
        ...


class MarkInMemory:
    """For simulations and tests: as durable as this object."""

    def __init__(self) -> None:
        self.octets: bytes | None = None

    async def read(self) -> bytes | None:
        return self.octets

    async def write(self, octets: bytes) -> None:
        self.octets = octets


class MarkFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    async def read(self) -> bytes | None:
        return await asyncio.to_thread(self._read)

    async def write(self, octets: bytes) -> None:
        await asyncio.to_thread(self._write, octets)

    def _read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, octets: bytes) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        with beside.open("wb") as opened:
            opened.write(octets)
            opened.flush()
            os.fsync(opened.fileno())
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
