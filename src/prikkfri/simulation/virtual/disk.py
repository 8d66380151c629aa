"""SQLite's disk in memory: what is synced is safe, and of the rest a crash keeps what it likes, torn by the sector.

A `Disk` is a VFS over files on a disk in memory (SQLite's shared memory and locks are the real ones), and keeps beside
each file what of it would be found again. What is found begins the next disk.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import apsw

SECTOR_OCTETS = 512


@dataclass
class _Content:
    """What of a file is safe, and what has been written since."""

    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Offset and data in order; no data: cut off there."""

    def sync(self) -> None:
        for offset, data in self.unsynced:
            _apply(self.synced, offset, data)
        self.unsynced.clear()

    def found(self, chance: random.Random) -> bytes:
        """After a power cut: all that was synced, and of the rest any sectors."""
        found = bytearray(self.synced)
        for offset, data in self.unsynced:
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


class _File(apsw.VFSFile):
    def __init__(self, disk: "Disk", name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk = disk
        self._content = disk.files.setdefault(Path(path).name, _Content()) if path else _Content()

    def xWrite(self, data: bytes, offset: int) -> None:
        disk = self._disk
        disk.asked("write")
        super().xWrite(data, offset)
        if not disk.gone:
            self._content.unsynced.append((offset, data))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        if not self._disk.gone:
            self._content.unsynced.append((size, None))

    def xSync(self, flags: int) -> None:
        # On a disk in memory there is nothing to sync: what is safe is what is kept here.
        self._disk.asked("sync")
        if not self._disk.gone:
            self._content.sync()


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
        for name, content in found.items():
            (folder / name).write_bytes(content)
            self.files[name] = _Content(bytearray(content))
        super().__init__(self.name, "unix")

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        super().xDelete(name, sync)
        if not self.gone:
            self.files.pop(Path(name).name, None)

    def asked(self, operation: str) -> None:
        """Something is to be written, or synced. Raises what a disk answers that cannot."""
        self.operations += 1
        if self.operations == self.fails_at:
            self.failing()
        if self.full and operation == "write":
            raise apsw.FullError("no room")

    def copied(self) -> dict[str, bytes]:
        """What a copy has that is made while it is used."""
        found = {}
        for name, content in self.files.items():
            copy = bytearray(content.synced)
            for offset, data in content.unsynced:
                _apply(copy, offset, data)
            found[name] = bytes(copy)
        return {name: content for name, content in found.items() if not name.endswith("-shm")}

    def after_power_cut(self, chance: random.Random) -> dict[str, bytes]:
        """What is found again of its files. The shared memory of the log is none of them: it is made anew."""
        return {name: content.found(chance) for name, content in self.files.items() if not name.endswith("-shm")}

    def after_kill(self) -> dict[str, bytes]:
        """The same when only the process is gone: what it has written, the machine keeps."""
        for content in self.files.values():
            content.sync()
        return {name: bytes(content.synced) for name, content in self.files.items() if not name.endswith("-shm")}
