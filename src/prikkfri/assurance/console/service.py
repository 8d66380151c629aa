"""The people on duty: they sign in with accounts of the console's own, and every look at a customer leaves a trace.

Nothing here needs the customers' sign-in: the console must stand when that does not.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from prikkfri.assurance.console import store
from prikkfri.assurance.console.places import HashCaller, HashQuota, has_room
from prikkfri.assurance.console.store import ConsoleUser, CustomerAccess, Member, Role, SecondFactor
from prikkfri.clock import Clock
from prikkfri.protocols import one_time
from prikkfri.protocols.guessing import Guesses, Key, Limit, acquaintance, stranger
from prikkfri.protocols.guessing import Limits as GuessingLimits
from prikkfri.protocols.networks import network_of
from prikkfri.storage import Database
from prikkfri.storage.keys import SecretKey

T = TypeVar("T")

FIRST_ACCOUNT = "duty"
PASSWORD_CHARACTERS_MIN = 12
PASSWORD_CHARACTERS_MAX = 200
NAME_CHARACTERS_MAX = 40
WORD_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without what is easily mistaken for something else."""


SHARES = HashQuota()
GUESSING = GuessingLimits(network=Limit(60, 900))
"""Fewer from one network than for customers: behind it stand a few people on duty."""
CODES = Limit(10, 3_600)
"""Of one account: whoever has its password finds a code in a year by luck of 1 in 4."""
SALT = re.compile(r"(?:([A-Za-z0-9_-]{8})\.)?[A-Za-z0-9_-]{22}")
"""With the name of the key before it by which the secret is made; of the first key that there was it may be missing."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    session_seconds: float = 12 * 3_600
    """A long shift."""
    users_max: int = 1_000
    shares: HashQuota = SHARES
    guesses: GuessingLimits = GUESSING
    buckets_max: int = 100_000
    browsers_max: int = 20
    """Of one account, the newest."""
    browser_seconds: float = 400 * 86_400.0
    """How long a browser is known after it signed in; no browser keeps a cookie longer."""
    code_seconds: float = 300.0
    """Between a right password and its code."""
    half_in_max: int = 1_000
    codes: Limit = CODES
    accesses_shown_max: int = 500


LIMITS = Limits()
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class Busy(Exception):
    """So many are signing in that another would wait for seconds; try again later."""


@dataclass(frozen=True, slots=True)
class SecondFactorChallenge:
    """The password was right, and the account has a second factor."""

    half_in: str = field(repr=False)


class TooManyTries(Exception):
    """So many passwords of this name, or from this network, were wrong that this one was not looked at."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many tries that went wrong; again in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


def generated_password() -> str:
    """100 bits in five groups that can be read out over the telephone."""
    return "-".join("".join(secrets.choice(WORD_CHARACTERS) for _ in range(4)) for _ in range(5))


async def ensure_first_user(
    database: Database, clock: Clock, *, hasher: PasswordHasher = HASHER
) -> tuple[str, str] | None:
    """Makes the first account when there is none; returns its name and its password, which is not kept anywhere."""
    if await database.read(store.users):
        return None
    password = generated_password()
    hashed = await asyncio.to_thread(hasher.hash, password)
    now = clock.now()
    added = await database.write(
        lambda t: store.add_user(t, FIRST_ACCOUNT, hashed, role="act", by="first start", now=now)
    )
    return (FIRST_ACCOUNT, password) if added else None


class Console:
    """Accounts, sessions and looks."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        key: SecretKey,
        limits: Limits = LIMITS,
        hasher: PasswordHasher = HASHER,
    ) -> None:
        """`key`: random, and kept elsewhere than the database."""
        self._database = database
        self._key = key
        self._hasher = hasher
        self._clock = clock
        self._limits = limits
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="console-password")
        self._waiting: Counter[HashCaller] = Counter()
        self._half_in: OrderedDict[str, tuple[str, str, float]] = OrderedDict()
        """By digest: whose password was right, the browser if it is known, and until when a code may follow."""
        self._guesses = Guesses(buckets_max=limits.buckets_max)
        # What is verified for a name that does not exist, so that the time tells nothing.
        self._nobody = hasher.hash(secrets.token_urlsafe())

    async def _hashed(self, work: Callable[[], T], asking: HashCaller) -> T:
        self._need_room(asking)
        self._waiting[asking] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hashing, work)
        finally:
            self._waiting[asking] -= 1
            self._waiting += Counter()  # forgets whose last one this was

    def _need_room(self, asking: HashCaller) -> None:
        if not has_room(self._waiting, asking, self._limits.shares):
            raise Busy

    async def _is_right(
        self, hashed: str | None, password: str, asking: HashCaller, tried: Mapping[Key, Limit]
    ) -> bool:
        """Whether it is the password; the place among those who may guess is taken before it is hashed."""
        self._need_room(asking)
        wait_s = self._guesses.reserve(tried, self._clock.now())
        if wait_s is not None:
            raise TooManyTries(wait_s)
        wrong = False
        try:
            matches = await self._hashed(lambda: self._matches(hashed or self._nobody, password), asking)
            wrong = hashed is None or not matches
            return not wrong
        finally:
            self._guesses.settle(tried, self._clock.now(), failed=wrong)

    async def sign_in(
        self, name: str, password: str, *, address: str = "", browser: str = ""
    ) -> str | SecondFactorChallenge | None:
        """The token of a new session, None when name or password is wrong. Raises `Busy` and `TooManyTries`.

        `browser`: what `remember_browser` gave it; strangers' guesses do not keep such a one out.
        """
        digest, since = _digest(browser), self._clock.now() - self._limits.browser_seconds
        known = bool(browser) and await self._database.read(lambda q: store.knows_browser(q, digest, name, since=since))
        network = network_of(address)
        tried = acquaintance(name, digest, self._limits.guesses)
        if not known:
            tried = stranger(name, network, self._limits.guesses)
        stored = await self._database.read(lambda q: store.password_hash(q, name))
        if not await self._is_right(stored, password, HashCaller(known, digest if known else network), tried):
            return None
        if (await self._database.read(lambda q: store.codes(q, name))).salt:
            return self._ask_for_code(name, digest if known else "")
        return await self._open_session(name)

    def _ask_for_code(self, name: str, browser_digest: str) -> SecondFactorChallenge:
        token = secrets.token_urlsafe(32)
        self._half_in[_digest(token)] = (name, browser_digest, self._clock.now() + self._limits.code_seconds)
        while len(self._half_in) > self._limits.half_in_max:
            self._half_in.popitem(last=False)
        return SecondFactorChallenge(token)

    async def sign_in_with_code(self, half_in: str, code: str) -> tuple[str, str] | None:
        """Name and token of a new session, None when the code is wrong, was used, or comes too late.

        `half_in`: what `SecondFactorChallenge` holds. Raises `TooManyTries`.
        """
        now = self._clock.now()
        name, browser_digest, until = self._half_in.get(_digest(half_in), ("", "", 0.0))
        if now >= until:
            return None
        tried = {("code", name, browser_digest): self._limits.codes}
        wait_s = self._guesses.reserve(tried, now)
        if wait_s is not None:
            raise TooManyTries(wait_s)
        right = False
        try:
            codes = await self._database.read(lambda q: store.codes(q, name))
            if not codes.salt:
                return None
            right = await self._use_code(name, codes, code, now)
        finally:
            self._guesses.settle(tried, self._clock.now(), failed=not right)
        if not right:
            return None
        self._half_in.pop(_digest(half_in), None)
        return name, await self._open_session(name)

    async def _use_code(self, name: str, codes: SecondFactor, code: str, now: float) -> bool:
        """Uses up the code of an authenticator, or a recovery code; False when it is neither, or was used."""
        secret = self._code_secret(name, codes.salt)
        step = one_time.matching_step(secret, code, now, after=codes.step)
        number = one_time.matching_recovery(secret, code)
        if step is not None:
            return await self._database.write(lambda t: store.use_code(t, name, SecondFactor(codes.salt, step)))
        if number is not None:
            return await self._database.write(lambda t: store.spend_recovery(t, name, codes.salt, number))
        return False

    async def recovery_codes_left(self, name: str) -> int:
        codes = await self._database.read(lambda q: store.codes(q, name))
        return one_time.RECOVERY_CODES - codes.spent.bit_count() if codes.salt else 0

    def offer_codes(self, name: str) -> tuple[str, bytes]:
        """A salt and the secret that comes of it, for an authenticator; of no effect until `begin_codes`."""
        salt = f"{_key_name(self._key.current)}.{secrets.token_urlsafe(16)}"
        return salt, self._code_secret(name, salt)

    def secret_of(self, name: str, salt: str) -> bytes:
        """The secret that was offered with a salt, to be shown once more while nothing has come of it."""
        return self._code_secret(name, salt)

    async def begin_codes(self, name: str, salt: str, code: str) -> tuple[str, ...]:
        """From now on the account's sign-in asks for a code; none when `code` is not one, or it does so already.

        Returns the recovery codes, each of which gets in once instead.
        """
        secret = self._code_secret(name, salt)
        step = one_time.matching_step(secret, code, self._clock.now(), after=0)
        if not SALT.fullmatch(salt) or step is None:
            return ()
        begun = await self._database.write(lambda t: store.set_codes(t, name, SecondFactor(salt, step)))
        return one_time.recovery_codes(secret) if begun else ()

    async def remove_codes(self, name: str) -> None:
        await self._database.write(lambda t: store.remove_codes(t, name))

    def _code_secret(self, name: str, salt: str) -> bytes:
        """Whoever reads the database alone cannot tell it."""
        named = SALT.fullmatch(salt)
        known = {_key_name(key): key for key in self._key.all}
        # What is made by a key that is no more is made by none that anybody knows.
        key = known.get(named[1], secrets.token_bytes(32)) if named and named[1] else self._key.all[-1]
        return hmac.digest(key, f"{salt}/{name}".encode(), "sha256")[: one_time.SECRET_BYTES]

    async def _open_session(self, name: str) -> str:
        token, now = secrets.token_urlsafe(32), self._clock.now()
        await self._database.write(
            lambda t: store.add_session(t, _digest(token), name, expires_at=now + self._limits.session_seconds, now=now)
        )
        return token

    async def remember_browser(self, name: str, browser: str) -> str:
        """The token by which the browser that has signed in is known from now on: its own, or a new one."""
        now = self._clock.now()
        theirs = bool(browser) and await self._database.read(lambda q: store.has_browser(q, _digest(browser)))
        token = browser if theirs else secrets.token_urlsafe(32)  # never one that somebody else has planted
        await self._database.write(
            lambda t: store.remember_browser(
                t, _digest(token), name, now=now, most=self._limits.browsers_max,
                forgotten_before=now - self._limits.browser_seconds,
            )
        )  # fmt: skip
        return token

    @property
    def browser_seconds(self) -> float:
        return self._limits.browser_seconds

    async def member(self, token: str) -> Member | None:
        """Whose session it is; None when there is none."""
        now = self._clock.now()
        return await self._database.read(lambda q: store.member(q, _digest(token), now))

    async def who(self, token: str) -> str | None:
        """The same, the name alone."""
        found = await self.member(token)
        return found.name if found else None

    async def sign_out(self, token: str) -> None:
        await self._database.write(lambda t: store.remove_session(t, _digest(token)))

    async def users(self) -> list[ConsoleUser]:
        return await self._database.read(store.users)

    async def add_user(self, name: str, *, by: str, role: Role = "act") -> str | None:
        """The password of the new account, shown once; None when the name is taken or cannot be one. Raises `Busy`."""
        if not 0 < len(name) <= NAME_CHARACTERS_MAX or not name.isprintable() or name != name.strip():
            return None
        if len(await self.users()) >= self._limits.users_max:
            return None
        password = generated_password()
        hashed = await self._hashed(lambda: self._hasher.hash(password), HashCaller(True, by))
        now = self._clock.now()
        added = await self._database.write(lambda t: store.add_user(t, name, hashed, role=role, by=by, now=now))
        return password if added else None

    async def remove_user(self, name: str) -> None:
        """Its sessions end at once."""
        await self._database.write(lambda t: store.remove_user(t, name))

    async def change_password(self, name: str, old: str, new: str) -> bool:
        """False when `old` is wrong or `new` too short or too long; all sessions of the account end.

        Raises `Busy` and `TooManyTries`.
        """
        if not PASSWORD_CHARACTERS_MIN <= len(new) <= PASSWORD_CHARACTERS_MAX:
            return False
        stored = await self._database.read(lambda q: store.password_hash(q, name))
        asking, tried = HashCaller(True, name), acquaintance(name, "session", self._limits.guesses)
        if not await self._is_right(stored, old, asking, tried):
            return False
        hashed = await self._hashed(lambda: self._hasher.hash(new), asking)
        await self._database.write(lambda t: store.set_password_hash(t, name, hashed))
        return True

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password[:PASSWORD_CHARACTERS_MAX])
        except (VerificationError, InvalidHashError):
            return False

    async def record_access(self, *, who: str, what: str, subject: str, why: str) -> None:
        """Returns when the trace is durable: only then may the data be shown."""
        look = CustomerAccess(self._clock.now(), who, what, subject, why)
        await self._database.write(lambda t: store.add_access(t, secrets.token_hex(16), look))

    async def accesses(self) -> list[CustomerAccess]:
        return await self._database.read(lambda q: store.accesses(q, most=self._limits.accesses_shown_max))


def _key_name(key: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(key).digest()[:6]).decode()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
