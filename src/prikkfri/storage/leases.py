"""Leases: of all processes that could do one thing, the one that may; it ends when its holder does, however that ends.

Where the databases are files, a file that the kernel takes back; on PostgreSQL a lock of a session, which the server
takes back. Whoever is frozen keeps it. What a holder does not know yet (that its session was lost) the epoch of its
journal holds against it.
"""

import fcntl
import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from prikkfri.errors import StorageUnavailable, StorageUnwritable
from prikkfri.storage.limits import LIMITS, StorageLimits
from prikkfri.storage.opening import Location

if TYPE_CHECKING:  # its driver takes longer to load than a role on files may
    import psycopg


class Lease(Protocol):
    async def take(self) -> bool:
        """Whether it is held now; of no effect when it is. Raises `StorageUnavailable` when that cannot be told."""
        ...

    async def close(self) -> None:
        """Gives it back."""
        ...


def open_lease(location: Location, name: str, *, limits: StorageLimits = LIMITS) -> Lease:
    """The lease of a stream, or of whatever has a name, in an installation; nobody holds it yet."""
    return _SessionLease(location.url, name, limits) if location.url else _FileLease(location, name)


class _FileLease:
    def __init__(self, location: Location, name: str) -> None:
        self._path = location.home / "run" / f"lease-{name.replace('/', '.')}.lock"
        self._file: int | None = None

    async def take(self) -> bool:
        if self._file is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageUnwritable(f"{self._path}: {error.strerror}; let whoever runs Prikkfri write there") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    async def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


class _SessionLease:
    def __init__(self, url: str, name: str, limits: StorageLimits) -> None:
        self._url = url
        self._name = name
        self._number = int.from_bytes(hashlib.sha256(f"prikkfri {name}".encode()).digest()[:8], "big", signed=True)
        self._limits = limits
        self._session: psycopg.AsyncConnection[tuple[object, ...]] | None = None
        self._held = False

    async def take(self) -> bool:
        import psycopg

        try:
            if self._held and await self._lives():
                return True
            self._held = False
            if self._session is None or self._session.closed:
                self._session = await self._connect()
            cursor = await self._session.execute("SELECT pg_try_advisory_lock(%s)", (self._number,))
            row = await cursor.fetchone()
        except psycopg.Error as error:
            raise StorageUnavailable(f"PostgreSQL, the lease {self._name}: {' '.join(str(error).split())}") from None
        self._held = bool(row and row[0])
        return self._held

    async def _lives(self) -> bool:
        import psycopg

        assert self._session is not None
        try:
            await self._session.execute("SELECT 1")
        except psycopg.Error:
            await self._session.close()
            return False
        return True

    async def _connect(self) -> "psycopg.AsyncConnection[tuple[object, ...]]":
        import psycopg

        # A holder that is gone without a word is noticed by the server as it notices that the server is.
        quiet, every, most = (
            self._limits.lease_quiet_seconds, self._limits.lease_asked_seconds, self._limits.lease_asked_max
        )  # fmt: skip
        asked = {"idle": quiet, "interval": every, "count": most}
        return await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=self._limits.connect_seconds_max,
            options=" ".join(f"-c tcp_keepalives_{name}={value}" for name, value in asked.items()),
            application_name=f"prikkfri lease {self._name}",
            keepalives_idle=quiet,
            keepalives_interval=every,
            keepalives_count=most,
            tcp_user_timeout=1_000 * (quiet + every * most),
        )

    async def close(self) -> None:
        import psycopg

        if self._session is not None:
            with suppress(psycopg.Error):  # else the server gives it back a moment after the session has ended
                if self._held:
                    await self._session.execute("SELECT pg_advisory_unlock(%s)", (self._number,))
            await self._session.close()
        self._held = False
