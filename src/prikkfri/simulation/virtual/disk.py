"""SQLite's disk in memory: what is synced is safe, and of the rest a crash keeps what it likes, torn by the sector.

A `Disk` is a VFS whose files are octets in memory (SQLite's shared memory and locks are the real ones, beside empty
files), and keeps for each file what has been written since it was synced, and what was there before. What is found
begins the next disk.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import apsw

SECTOR_OCTETS = 512


_Change = tuple[int, bytes | None, bytes, int]
"""Offset and data (None: cut off there), what was there before, and how long the file was."""


@dataclass
class _Content:
    """A file as its readers see it, and what of it is not safe."""

    now: bytearray = field(default_factory=bytearray)
    unsynced: list[_Change] = field(default_factory=list)
    """In order."""
    unheard: list[_Change] = field(default_factory=list)
    """Written by the dead: they alone see it."""

    def written(self) -> bytearray:
        """Without what the dead wrote."""
        return _undone(self.now, self.unheard)

    def found(self, chance: random.Random) -> bytes:
        """After a power cut: all that was synced, and of the rest any sectors."""
        found = _undone(self.written(), self.unsynced)
        for offset, data, _, _ in self.unsynced:
            if data is None:
                if chance.random() < 0.5:
                    _apply(found, offset, None)
                continue
            for start in range(0, len(data), SECTOR_OCTETS):
                if chance.random() < 0.5:
                    _apply(found, offset + start, data[start : start + SECTOR_OCTETS])
        return bytes(found)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _undone(content: bytearray, changes: list[_Change]) -> bytearray:
    found = bytearray(content)
    for offset, _, before, octets in reversed(changes):
        found[offset : offset + len(before)] = before
        del found[octets:]
    return found


class _File(apsw.VFSFile):
    def __init__(self, disk: "Disk", name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk = disk
        self._content = disk.files.setdefault(Path(path).name, _Content()) if path else _Content()

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._content.now[offset : offset + amount])

    def xFileSize(self) -> int:
        return len(self._content.now)

    def xWrite(self, data: bytes, offset: int) -> None:
        # In one step: half of all that a world does is written.
        disk, content = self._disk, self._content
        disk.operations += 1
        if disk.full or disk.operations == disk.fails_at:
            disk.fails_or_is_full()
        now = content.now
        octets, end = len(now), offset + len(data)
        before = bytes(now[offset:end]) if offset < octets else b""
        (content.unheard if disk.gone else content.unsynced).append((offset, data, before, octets))
        if offset > octets:
            now.extend(bytes(offset - octets))
        now[offset:end] = data

    def xTruncate(self, size: int) -> None:
        content, now = self._content, self._content.now
        (content.unheard if self._disk.gone else content.unsynced).append((size, None, bytes(now[size:]), len(now)))
        del now[size:]

    def xSync(self, flags: int) -> None:
        disk = self._disk
        disk.operations += 1
        if disk.operations == disk.fails_at:
            disk.failing()
        if not disk.gone:
            self._content.unsynced.clear()


class Disk(apsw.VFS):
    """To be named to an engine. `folder`: where its files are, as they were found."""

    def __init__(self, folder: Path, found: Mapping[str, bytes] = {}) -> None:
        self.name = f"virtual-{uuid4().hex}"
        self.folder = folder
        self.files: dict[str, _Content] = {}
        self.full = False
        self.gone = False
        """Whoever used it is dead: what they still write reaches nothing."""
        self.operations = 0
        """Writes and syncs so far."""
        self.fails_at = 0
        """The operation at which `failing` is called; 0: none."""
        self.failing: Callable[[], None] = lambda: None
        folder.mkdir(parents=True, exist_ok=True)
        self.files.update((name, _Content(bytearray(content))) for name, content in found.items())
        super().__init__(self.name, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        if Path(name).exists():  # what was found is a file only once it has been opened
            super().xDelete(name, sync)
        if not self.gone:
            self.files.pop(Path(name).name, None)

    def xAccess(self, name: str, flags: int) -> bool:
        content = self.files.get(Path(name).name)
        return bool(content.now) if content is not None else super().xAccess(name, flags)

    def fails_or_is_full(self) -> None:
        """Where something is to be written. Raises what a disk answers that cannot."""
        if self.operations == self.fails_at:
            self.failing()
        if self.full:
            raise apsw.FullError("no room")

    def copied(self) -> dict[str, bytes]:
        """What a copy has that is made while it is used."""
        return {name: bytes(content.written()) for name, content in self.files.items()}

    def after_power_cut(self, chance: random.Random) -> dict[str, bytes]:
        """What is found again of its files. The shared memory of the log is none of them: it is made anew."""
        return {name: content.found(chance) for name, content in self.files.items()}

    def after_kill(self) -> dict[str, bytes]:
        """The same when only the process is gone: what it has written, the machine keeps."""
        for content in self.files.values():
            content.unsynced.clear()
        return self.copied()
