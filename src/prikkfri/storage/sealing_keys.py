"""Keys that do not last: a file each in `HOME/keys/sealing`, written over and removed when a key's time is up.

They stand in files of their own, since no database forgets: what is deleted there stays in free pages, in its log and
in each copy that was made of it. What a file system's journal, a drive's spare blocks or a copy of this folder still
hold of a key is out of our reach (docs/security.md).
"""

import asyncio
import logging
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from prikkfri.errors import StorageError
from prikkfri.storage.keys import made_secret_key

log = logging.getLogger(__name__)

KEY_OCTETS = 32
MADE_TRIES = 10
"""Another process that destroys keys may take away what is being made."""
EARLIER = "earlier"
"""The name of the one key of an earlier version, `HOME/keys/sealing.key`. It is only read and destroyed."""


class SealingKeys(Protocol):
    """Where the keys of sealed messages are kept, by name."""

    def load(self) -> dict[str, bytes]:
        """Raises `StorageError`."""
        ...

    async def keep(self, keys: Mapping[str, bytes]) -> None:
        """Returns once they are durable; what is kept already does no harm. Raises `StorageError`."""
        ...

    async def destroy(self, names: Collection[str]) -> None:
        """Nobody can read these any more; of one that is not there nothing is said. Raises `StorageError`."""
        ...


class SealingKeysInMemory:
    """For simulations and tests: as durable as this object."""

    def __init__(self, keys: Mapping[str, bytes] | None = None) -> None:
        self.keys = dict(keys or {})

    def load(self) -> dict[str, bytes]:
        return dict(self.keys)

    async def keep(self, keys: Mapping[str, bytes]) -> None:
        self.keys.update(keys)

    async def destroy(self, names: Collection[str]) -> None:
        for name in names:
            self.keys.pop(name, None)


class SealingKeyFiles:
    def __init__(self, home: Path, folder: Path | None = None) -> None:
        """`folder`: where they are kept; None: in the home."""
        self._home = home
        self._folder = folder or home / "keys" / "sealing"

    def load(self) -> dict[str, bytes]:
        """What was cut short while it was made is removed: nothing that it sealed has been acknowledged. What was cut
        short while it was destroyed is destroyed."""
        found = {}
        try:
            for name in (EARLIER, *(path.stem for path in self._folder.glob("*.going"))):
                self._overwrite(self._going(name))
            for path in sorted(self._folder.glob("*.key")):
                with suppress(FileNotFoundError):
                    key = path.read_bytes()
                    path.stat()  # under its name still: its destruction takes that before it touches an octet
                    if len(key) == KEY_OCTETS:
                        found[path.stem] = key
                    else:
                        log.error("%s: not %d octets: removed, whatever it was to seal", path, KEY_OCTETS)
                        path.unlink()
            if earlier := self._earlier():
                found[EARLIER] = earlier
        except OSError as error:
            raise self._refused(error) from error
        return found

    def _earlier(self) -> bytes | None:
        path = self._file(EARLIER)
        try:
            key = made_secret_key(self._home, "sealing")
        except StorageError:
            if path.exists():
                raise
            return None
        return key if path.exists() else None

    async def keep(self, keys: Mapping[str, bytes]) -> None:
        await asyncio.to_thread(self._keep, dict(keys))

    async def destroy(self, names: Collection[str]) -> None:
        await asyncio.to_thread(self._destroy, list(names))

    def _file(self, name: str) -> Path:
        return self._home / "keys" / "sealing.key" if name == EARLIER else self._folder / f"{name}.key"

    def _going(self, name: str) -> Path:
        return self._file(name).with_suffix(".going")

    def _keep(self, keys: Mapping[str, bytes]) -> None:
        try:
            new = not self._folder.exists()
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name, key in keys.items():
                self._write(self._file(name), key)
            _sync_folder(self._folder)
            if new:
                _sync_folder(self._folder.parent)
                _sync_folder(self._home)
        except OSError as error:
            raise self._refused(error) from error

    def _write(self, path: Path, key: bytes) -> None:
        with suppress(FileNotFoundError):
            there = path.read_bytes()
            if len(there) == KEY_OCTETS and there != key:
                raise StorageError(f"{path}: there is another key already: another process seals in this home")
        # By its name nobody finds it half written: whoever loads meanwhile would take it for one that was cut short.
        made = path.with_suffix(".making")
        for _ in range(MADE_TRIES):
            file = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.pwrite(file, key, 0)
                os.fsync(file)
            finally:
                os.close(file)
            with suppress(FileNotFoundError):
                os.rename(made, path)
                return
        raise StorageError(f"{made}: another process takes it away again and again")

    def _destroy(self, names: Collection[str]) -> None:
        try:
            for path in self._folder.glob("*.making"):  # cut short: nothing that it sealed has been acknowledged
                path.unlink(missing_ok=True)  # not written over: another process may be giving it its name just now
            for name in names:
                # By its name nobody finds it half overwritten.
                with suppress(FileNotFoundError):
                    os.rename(self._file(name), self._going(name))
                    self._overwrite(self._going(name))
            for folder in {self._file(name).parent for name in names}:
                if folder.exists():
                    _sync_folder(folder)
        except OSError as error:
            raise self._refused(error) from error

    def _overwrite(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            # In place: a new file would leave the octets of the old one where they were.
            file = os.open(path, os.O_WRONLY)
            try:
                os.pwrite(file, os.urandom(os.fstat(file).st_size), 0)
                os.fsync(file)
            finally:
                os.close(file)
            path.unlink()

    def _refused(self, error: OSError) -> StorageError:
        return StorageError(f"{error.filename or self._folder}: {error.strerror}; sealing keys are kept there")


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
