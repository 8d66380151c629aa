"""The people on duty: they sign in with accounts of the console's own, and every look at a customer leaves a trace.

Nothing here needs the customers' sign-in: the console must stand when that does not.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from prikkfri.assurance.console import store
from prikkfri.assurance.console.store import Account, Look
from prikkfri.clock import Clock
from prikkfri.storage import Database

T = TypeVar("T")

FIRST_ACCOUNT = "duty"
PASSWORD_CHARACTERS_MIN = 12
PASSWORD_CHARACTERS_MAX = 200
NAME_CHARACTERS_MAX = 40
WORD_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without what is easily mistaken for something else."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    session_seconds: float = 12 * 3_600
    """A long shift."""
    accounts_max: int = 1_000
    hashes_waiting_max: int = 20
    looks_shown_max: int = 500


LIMITS = Limits()
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class Busy(Exception):
    """So many are signing in that another would wait for seconds; try again later."""


def generated_password() -> str:
    """100 bits in five groups that can be read out over the telephone."""
    return "-".join("".join(secrets.choice(WORD_CHARACTERS) for _ in range(4)) for _ in range(5))


async def ensure_first_account(
    database: Database, clock: Clock, *, hasher: PasswordHasher = HASHER
) -> tuple[str, str] | None:
    """Makes the first account when there is none; returns its name and its password, which is not kept anywhere."""
    if await database.read(store.accounts):
        return None
    password = generated_password()
    hashed = await asyncio.to_thread(hasher.hash, password)
    now = clock.now()
    added = await database.write(lambda t: store.add_account(t, FIRST_ACCOUNT, hashed, by="first start", now=now))
    return (FIRST_ACCOUNT, password) if added else None


class Console:
    """Accounts, sessions and looks."""

    def __init__(
        self, database: Database, *, clock: Clock, limits: Limits = LIMITS, hasher: PasswordHasher = HASHER
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._clock = clock
        self._limits = limits
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="console-password")
        self._hashes_waiting = 0
        # What is verified for a name that does not exist, so that the time tells nothing.
        self._nobody = hasher.hash(secrets.token_urlsafe())

    async def _hashed(self, work: Callable[[], T]) -> T:
        if self._hashes_waiting >= self._limits.hashes_waiting_max:
            raise Busy
        self._hashes_waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hashing, work)
        finally:
            self._hashes_waiting -= 1

    async def sign_in(self, name: str, password: str) -> str | None:
        """The token of a new session, None when name or password is wrong. Raises `Busy`."""
        stored = await self._database.read(lambda q: store.password_hash(q, name))
        matches = await self._hashed(lambda: self._matches(stored or self._nobody, password))
        if stored is None or not matches:
            return None
        token, now = secrets.token_urlsafe(32), self._clock.now()
        await self._database.write(
            lambda t: store.add_session(t, _digest(token), name, expires_at=now + self._limits.session_seconds, now=now)
        )
        return token

    async def who(self, token: str) -> str | None:
        """Whose session it is; None when there is none."""
        now = self._clock.now()
        return await self._database.read(lambda q: store.session_name(q, _digest(token), now))

    async def sign_out(self, token: str) -> None:
        await self._database.write(lambda t: store.remove_session(t, _digest(token)))

    async def accounts(self) -> list[Account]:
        return await self._database.read(store.accounts)

    async def add_account(self, name: str, *, by: str) -> str | None:
        """The password of the new account, shown once; None when the name is taken or cannot be one. Raises `Busy`."""
        if not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable() or name != name.strip():
            return None
        if len(await self.accounts()) >= self._limits.accounts_max:
            return None
        password = generated_password()
        hashed = await self._hashed(lambda: self._hasher.hash(password))
        now = self._clock.now()
        added = await self._database.write(lambda t: store.add_account(t, name, hashed, by=by, now=now))
        return password if added else None

    async def remove_account(self, name: str) -> None:
        """Its sessions end at once."""
        await self._database.write(lambda t: store.remove_account(t, name))

    async def change_password(self, name: str, old: str, new: str) -> bool:
        """False when `old` is wrong or `new` too short or too long; all sessions of the account end. Raises `Busy`."""
        if not PASSWORD_CHARACTERS_MIN <= len(new) <= PASSWORD_CHARACTERS_MAX:
            return False
        stored = await self._database.read(lambda q: store.password_hash(q, name))
        if stored is None or not await self._hashed(lambda: self._matches(stored, old)):
            return False
        hashed = await self._hashed(lambda: self._hasher.hash(new))
        await self._database.write(lambda t: store.set_password_hash(t, name, hashed))
        return True

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password[:PASSWORD_CHARACTERS_MAX])
        except (VerificationError, InvalidHashError):
            return False

    async def record_look(self, *, who: str, what: str, subject: str, why: str) -> None:
        """Returns when the trace is durable: only then may the data be shown."""
        look = Look(self._clock.now(), who, what, subject, why)
        await self._database.write(lambda t: store.add_look(t, secrets.token_hex(16), look))

    async def looks(self) -> list[Look]:
        return await self._database.read(lambda q: store.looks(q, most=self._limits.looks_shown_max))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
