"""SQLite's disk as it is when the power fails, when a sync takes its time, and when it is full or broken."""

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import apsw


class _Content:
    """What of a file is safe, and what has been written since."""

    def __init__(self) -> None:
        self.synced = b""
        self.unsynced: list[tuple[int, bytes | None]] = []
        """Offset and data in order; no data: cut off there."""

    def survives(self, keeps: Callable[[], bool]) -> bytes:
        return _applied(self.synced, [each for each in self.unsynced if keeps()])


def _applied(content: bytes, operations: list[tuple[int, bytes | None]]) -> bytes:
    found = bytearray(content)
    for offset, data in operations:
        if data is None:
            del found[offset:]
        else:
            found.extend(bytes(max(offset - len(found), 0)))
            found[offset : offset + len(data)] = data
    return bytes(found)


class _File(apsw.VFSFile):
    def __init__(self, disk: "Disk", name: apsw.URIFilename | str | None, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__("unix", name, flags)
        self._disk = disk
        self._content = disk.files.setdefault(Path(path).name, _Content()) if path else _Content()

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk.full:
            raise apsw.FullError("no room")
        super().xWrite(data, offset)
        self._content.unsynced.append((offset, bytes(data)))
        self._disk.happened()

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self._content.unsynced.append((size, None))
        self._disk.happened()

    def xSync(self, flags: int) -> None:
        self._disk.syncing.set()
        assert self._disk.may_sync.wait(60), "nobody lets the sync go on"
        if self._disk.broken:
            raise apsw.IOError("the disk did not answer")
        super().xSync(flags)
        self._content.synced = _applied(self._content.synced, self._content.unsynced)
        self._content.unsynced = []
        self._disk.happened()


class Disk(apsw.VFS):
    """To be named to an engine; writes through to the real files, and remembers what of them was synced."""

    def __init__(self) -> None:
        self.name = f"disk-{uuid4().hex}"
        self.files: dict[str, _Content] = {}
        self.full = False
        self.broken = False
        """Syncs fail."""
        self.may_sync = threading.Event()
        self.may_sync.set()
        self.syncing = threading.Event()
        """A sync was asked for."""
        self.happened: Callable[[], None] = lambda: None
        """Called after each operation, on whatever thread does it."""
        super().__init__(self.name, "unix")

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> _File:
        return _File(self, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        super().xDelete(name, sync)
        self.files.pop(Path(name).name, None)

    def after_power_failure(self, chance: random.Random | None = None) -> Mapping[str, bytes]:
        """What is found again: all that was synced, and of the rest nothing, or whatever chance has kept."""
        keeps = (lambda: chance.random() < 0.5) if chance else (lambda: False)
        return {name: content.survives(keeps) for name, content in list(self.files.items())}


@contextmanager
def disk() -> Iterator[Disk]:
    found = Disk()
    try:
        yield found
    finally:
        found.unregister()
