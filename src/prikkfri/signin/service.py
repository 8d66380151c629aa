"""Sign-in: a password in, a session, a device token and a playback token out; each try an outcome.

A sign-in that is kept is journalled in the transaction of its session. A refusal changes no state and is recorded
behind its answer, by a spool: neither a full disk nor a dead database holds it up.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

from prikkfri.clock import Clock
from prikkfri.config import Config, moments_of
from prikkfri.errors import InDoubt, RemoteProtocolError, StorageError, UsageError
from prikkfri.journal import Journal, Outcome
from prikkfri.journal.outcomes import Verdict
from prikkfri.protocols import admission_pass, cat, device_token, guessing, jwt, possession
from prikkfri.protocols.admission_pass import Pass
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.protocols.guessing import Guesses
from prikkfri.protocols.networks import networks_of
from prikkfri.protocols.renewals import Span, renewals
from prikkfri.signin import admission, credentials, store
from prikkfri.signin.credentials import SALT_BYTES, costs_the_same, hash_password
from prikkfri.signin.hash_pool import HashPool, Overload
from prikkfri.signin.limits import Limits
from prikkfri.storage import Database, Queries, Transaction
from prikkfri.storage.keys import (
    SecretKey,
    SigningKey,
    publish_public_key,
    read_public_keys,
    role_secret,
    signing_key,
    write_whole,
)
from prikkfri.subscribers.numbers import e164
from prikkfri.subscribers.store import (
    any_imported_password,
    imported_password,
    packages_at,
    subscriber,
    subscriber_by_login,
)
from prikkfri.subscribers.subscriptions import Subscriber

log = logging.getLogger(__name__)

T = TypeVar("T")

DATABASE_RETRY_AFTER_SECONDS = 5.0
REVOKED_KEPT_SECONDS = 2 * 86_400.0
"""Beyond the end of a device token, since the playback tokens that came of it live on for some hours."""
MEASURED_PER_THREAD = 4
CREDENTIALS_PER_WRITE = 1_000
PLAYBACK_ID_BYTES = 8
DEFAULT_LIMITS = Limits()

Reason = Literal[
    "wrong-credentials", "too-many-tries", "overloaded", "no-subscription", "database-unavailable", "not-your-pass",
    "pass-spent",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attempt:
    login: str
    password: str = field(repr=False)
    device: str
    address: str
    client: str
    """Its kind, see `clients`."""
    admission: str = field(default="", repr=False)
    """The pass of the waiting room."""
    proof: str = field(default="", repr=False)
    """That the pass is theirs, see `possession`."""
    device_name: str = ""
    """See `clients`."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    session: str = field(repr=False)
    session_lifetime_s: float
    device_token: str = field(repr=False)
    playback_token: str = field(repr=False)
    expires_at: float
    """Of the playback token, like `renew_after` and `renew_by`."""
    renew_after: float
    renew_by: float
    name: str


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Reason
    retry_after_s: float | None = None
    customer: str = ""
    """Only whom the password has proven; the others are devices."""


@dataclass(frozen=True, slots=True)
class _Opening:
    """A session that is to be opened."""

    signed_in: SignedIn
    session: store.Session
    token_expires_at: float
    admitted: Pass | None
    """What it spends."""
    kept: Outcome
    password: "_Password"


@dataclass(frozen=True, slots=True)
class _Secrets:
    """What makes a session and its tokens unlike all others."""

    session: str = field(repr=False)
    token_id: bytes
    playback_id: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    """By what somebody is known again who was right with a pass."""

    digest: bytes = field(repr=False)
    """Of login and password, under a key that lives as long as we do; empty once something else was shown."""
    customer: str
    until: float
    """The end of the pass."""


def _drawn() -> _Secrets:
    return _Secrets(
        secrets.token_urlsafe(32),
        secrets.token_bytes(device_token.TOKEN_ID_BYTES),
        secrets.token_bytes(PLAYBACK_ID_BYTES),
    )


def _derived(key: bytes, pass_id: str) -> _Secrets:
    """Those of the one session that a pass opens: whoever repeats gets the same, and no database holds it."""
    session, token_id, playback_id = (
        hmac.digest(key, f"{what} {pass_id}".encode(), hashlib.sha256) for what in ("session", "device", "playback")
    )
    cookie = base64.urlsafe_b64encode(session).rstrip(b"=").decode()
    return _Secrets(cookie, token_id[: device_token.TOKEN_ID_BYTES], playback_id[:PLAYBACK_ID_BYTES])


@dataclass(frozen=True, slots=True)
class _Password:
    """By what a password was judged."""

    own: str | None = field(repr=False)
    """The hash that we made; None: it was an imported one."""
    renewed: str = field(repr=False)
    """What takes an imported one's place; empty: nothing has to."""


@dataclass(frozen=True, slots=True)
class _Checked:
    right: bool
    renewed: str = field(repr=False)
    """The same password hashed as ours are, when it was right and had been hashed otherwise."""
    began: float


@dataclass(frozen=True, slots=True)
class CurrentSession:
    name: str
    device: str
    started_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Keys:
    device: SigningKey
    playback: SigningKey
    session: SecretKey
    """Of the sessions that passes open."""


def load_keys(home: Path, issuer: str = "signin") -> Keys:
    """Makes the keys at first start and publishes their public halves, as `issuer`. Raises `StorageError`."""
    device, playback = signing_key(home, "signin-device"), signing_key(home, "signin-playback")
    keys = Keys(device, playback, role_secret(home, "signin-session"))
    publish_public_key(home, "device", issuer, keys.device)
    publish_public_key(home, "playback", issuer, keys.playback)
    return keys


class SignIn:
    def __init__(
        self,
        *,
        database: Database,
        subscribers: Database,
        journal: Journal,
        record: Callable[[Outcome], None],
        config: Config,
        keys: Keys,
        clock: Clock,
        limits: Limits = DEFAULT_LIMITS,
        matches: Callable[[str, str], bool] = credentials.matches,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`matches` runs in a hash thread: whether a password (first) belongs to a hash."""
        self.pool = HashPool(
            threads=config.signin.hash_threads,
            queue_seconds_max=config.signin.hash_queue_seconds_max,
            waiting_room=config.door.waiting_room == "on",
            clock=clock,
        )
        self._database = database
        self._subscribers = subscribers
        self._journal = journal
        self._record = record
        self._home = config.home
        self._region = config.region
        self._session_lifetime_s = config.signin.session_lifetime_days * 86_400
        self._device_token_lifetime_s = config.signin.device_token_lifetime_days * 86_400
        self._playback_token_lifetime_s = config.streaming.token_lifetime_hours * 3_600
        self._large_programmes = [Span(*moments_of(each)) for each in config.streaming.large_programmes]
        self._keys = keys
        self._clock = clock
        self._limits = limits
        self._matches = matches
        self._sleep = sleep
        self._decoy = hash_password(secrets.token_urlsafe(), secrets.token_bytes(SALT_BYTES))
        self._guesses = Guesses(buckets_max=limits.buckets_max)
        self._pass_lifetime_s = config.door.pass_lifetime_seconds
        self._passes: OrderedDict[str, int] = OrderedDict()
        """Comparisons that each pass came to."""
        self._answered: OrderedDict[str, _Known] = OrderedDict()
        """By pass that is spent, or may be: what was right."""
        self._unheard: OrderedDict[str, None] = OrderedDict()
        """Passes whose answer reached nobody, and that was told."""
        self._digest_key = secrets.token_bytes(32)
        self._spent = 0
        """Passes that have come to a hash, each once."""
        self._pass_keys: jwt.PublicKeys = {}
        self._pass_keys_read_at = 0.0
        self._gathering: list[asyncio.Future[None]] = []
        self._departure: asyncio.TimerHandle | None = None
        self._revoked_changed = asyncio.Event()
        self._answers: dict[str, int] = {}
        self._imported = False
        """Whether passwords were imported, which may have other costs than ours."""

    async def sign_in(self, attempt: Attempt) -> SignedIn | Refused:
        """Cancel it when the client has left: it is then not hashed, and counted as abandoned.

        From the moment when its session is on the way to the disk, it may be kept all the same: whatever the journal
        says of it, nobody was told.
        """
        own = self._pass_of(attempt)
        if isinstance(own, Refused):
            self._broken(attempt, None, own.reason)
            return own
        if own and own.expires_at <= self._clock.now():
            own = None
        if own and own.pass_id in self._answered and (again := await self._again(attempt, own)):
            return again
        admitted = self._with_a_try(own)
        answer: SignedIn | Refused
        writing = in_doubt = False
        try:
            decided = await self._decide(attempt, admitted)
            writing = isinstance(decided, _Opening)
            answer = await self._open_session(attempt, decided) if isinstance(decided, _Opening) else decided
        except asyncio.CancelledError:
            self._broken(attempt, admitted, "undelivered" if writing else "abandoned")
            raise
        except (StorageError, InDoubt, TimeoutError) as error:
            log.warning("a sign-in is refused: %s", str(error) or "the database did not answer in time")
            answer = Refused("database-unavailable", DATABASE_RETRY_AFTER_SECONDS)
            in_doubt = writing and isinstance(error, InDoubt | TimeoutError)
        if isinstance(answer, Refused):
            if admitted and answer.reason in ("overloaded", "database-unavailable"):
                # Our fault, and no try of theirs.
                self._passes[admitted.pass_id] = self._passes.get(admitted.pass_id, 1) - 1
            self._broken(attempt, admitted, "undelivered" if in_doubt else answer.reason, answer.customer)
        return answer

    def left_before_answer(self, attempt: Attempt, answer: SignedIn | Refused) -> None:
        """Whoever asked had left when the answer was ready."""
        if isinstance(answer, SignedIn):
            own = self._pass_of(attempt)
            self._broken(attempt, own if isinstance(own, Pass) else None, "undelivered")

    async def session(self, cookie: str) -> CurrentSession | None:
        """Raises `StorageError` or `TimeoutError` when the database does not answer."""
        async with asyncio.timeout(self._limits.database_seconds_max):
            now = self._clock.now()
            found = await self._database.read(lambda q: store.session(q, _hashed(cookie), now))
            if found is None:
                return None
            who = await self._subscribers.read(lambda q: subscriber(q, found.subscriber_id))
        return CurrentSession(who.name if who else "", found.device, found.started_at, found.expires_at)

    async def sign_out(self, cookie: str) -> None:
        """Ends the session and revokes its tokens; of no effect when there is none. Raises like `session`."""
        now = self._clock.now()
        async with asyncio.timeout(self._limits.database_seconds_max):
            if await self._database.write(lambda t: store.end_session(t, _hashed(cookie), now)):
                self._revoked_changed.set()

    @property
    def gathering(self) -> int:
        """Those whose sessions wait for others, to go to the disk with them."""
        return len(self._gathering)

    def publish_revoked_soon(self) -> None:
        """To be called when tokens have been revoked."""
        self._revoked_changed.set()

    def capacity(self) -> dict[str, float]:
        """What the waiting room lets people in by: measured sign-ins a second, the wait of those it let in, and how
        many of their passes have come to a hash."""
        load = self.pool.load
        return {
            "per_second": load.per_second,
            "waiting_s": self.pool.wait_s(),
            "waiting": load.waiting_with_pass + load.waiting_without,
            "spent": self._spent,
        }

    def counters(self) -> dict[str, float]:
        load = self.pool.load
        return {
            **{f"sign_ins_{reason.replace('-', '_')}_total": n for reason, n in self._answers.items()},
            **{f"{name}_total": number for name, number in asdict(self.pool.counters).items()},
            "hash_threads": load.threads,
            "hash_capacity_per_second": load.per_second,
            "hash_queue_with_pass": load.waiting_with_pass,
            "hash_queue_without_pass": load.waiting_without,
            "hash_queue_wait_seconds": load.wait_s(with_pass=False),
        }

    async def run(self) -> None:
        """Until cancelled: first measures what a hash takes, then keeps house.

        Raises `FencedOut` when another process has taken over.
        """
        await self.measure()
        while True:
            self._revoked_changed.clear()
            try:
                await self.keep_house()
            except (StorageError, InDoubt, OSError) as error:  # what is done twice here is done once
                log.warning("housekeeping is put off: %s", error)
            await asyncio.sleep(self._limits.sign_outs_gathered_seconds)
            try:
                async with asyncio.timeout(self._limits.revoked_published_seconds):
                    await self._revoked_changed.wait()
            except TimeoutError:
                continue

    async def keep_house(self) -> None:
        """Publishes the revocation list and forgets what has expired. Raises `StorageError` or `OSError`."""
        now = self._clock.now()
        self._answered = OrderedDict((id_, known) for id_, known in self._answered.items() if known.until > now)
        before = now - REVOKED_KEPT_SECONDS
        tokens = await self._database.read(lambda q: store.revoked_tokens(q, before))
        document = json.dumps({"as_of": now, "device_tokens": tokens}).encode()
        await asyncio.to_thread(write_whole, self._home / "public" / "revoked.json", document)
        await self._database.write(lambda t: store.forget_expired(t, sessions_before=now, tokens_before=before))
        most = self._limits.admissions_forgotten_max
        while await self._database.write(partial(store.forget_admissions, before=now, limit=most)) == most:
            pass
        # Last: where the customers stand has its own database, and nothing here waits for that.
        self._imported = await self._subscribers.read(any_imported_password)

    async def measure(self) -> None:
        """Some hashes before anybody comes, so that capacity is known from the start."""
        work = partial(self._matches, "", self._decoy)
        await asyncio.gather(*(self.pool.run(work) for _ in range(MEASURED_PER_THREAD * self.pool.load.threads)))

    def close(self) -> None:
        self.pool.close()

    async def _decide(self, attempt: Attempt, admitted: Pass | None) -> "_Opening | Refused":
        if refusal := self.pool.refusal(with_pass=admitted is not None):
            return Refused("overloaded", refusal.retry_after_s)
        name = e164(attempt.login, self._region) or attempt.login.strip().lower()
        of_device = guessing.acquaintance(name, attempt.device, self._limits.guesses)
        tried = guessing.stranger(name, networks_of(attempt.address)[0], self._limits.guesses) | of_device
        wait_s = self._guesses.reserve(tried, self._clock.now())
        if wait_s is not None:
            if not await self._is_known_device(attempt):
                return Refused("too-many-tries", wait_s)
            tried = of_device
            wait_s = self._guesses.reserve(tried, self._clock.now())
            if wait_s is not None:
                return Refused("too-many-tries", wait_s)
        failed = False
        try:
            decided = await self._compare(attempt, admitted)
            failed = isinstance(decided, Refused) and decided.reason == "wrong-credentials"
            return decided
        finally:
            self._guesses.settle(tried, self._clock.now(), failed=failed)

    async def _is_known_device(self, attempt: Attempt) -> bool:
        """Whether this device signed in to this account before: strangers' guesses do not lock it out."""
        now = self._clock.now()
        async with asyncio.timeout(self._limits.database_seconds_max):
            who = await self._subscribers.read(
                lambda q: subscriber_by_login(q, attempt.login, now, region=self._region)
            )
            subscriber_id = who.id if who else ""
            return await self._database.read(lambda q: store.has_signed_in(q, subscriber_id, attempt.device))

    async def _compare(self, attempt: Attempt, admitted: Pass | None) -> "_Opening | Refused":
        with_pass = admitted is not None
        now = self._clock.now()

        async def of_login(queries: Queries) -> tuple[Subscriber | None, tuple[str, ...], str | None]:
            who = await subscriber_by_login(queries, attempt.login, now, region=self._region)
            subscriber_id = who.id if who else ""
            # An unknown login takes every step that a known one takes.
            packages = await packages_at(queries, subscriber_id, now)
            return who, packages, await imported_password(queries, subscriber_id)

        async with asyncio.timeout(self._limits.database_seconds_max):
            who, packages, imported = await self._subscribers.read(of_login)
            own = await self._database.read(lambda q: store.password_hash(q, who.id if who else ""))
        expected = own or imported
        work = partial(self._checked, attempt.password, expected or self._decoy)
        hashed = await self.pool.run(work, with_pass=with_pass)
        if isinstance(hashed, Overload):
            return Refused("overloaded", hashed.retry_after_s)
        if admitted and self._passes.get(admitted.pass_id) == 1:
            self._spent += 1
        checked = hashed.result
        if not checked.right or who is None or expected is None:
            await self._hold_back(checked.began)
            return Refused("wrong-credentials")
        if not packages:
            return Refused("no-subscription", customer=who.id)
        return self._opening(attempt, admitted, who, packages, _Password(own, checked.renewed))

    def _checked(self, password: str, expected: str) -> "_Checked":
        """In a hash thread. What is right and not as ours are is hashed anew in the same turn: it waited once."""
        began = self._clock.monotonic()
        right = self._matches(password, expected)
        dear = right and not costs_the_same(expected)
        renewed = hash_password(password, secrets.token_bytes(SALT_BYTES)) if dear else ""
        return _Checked(right, renewed, began)

    async def _hold_back(self, began: float) -> None:
        """Until a wrong password may be told, whatever it cost to compare it."""
        left_s = self._limits.wrong_after_seconds - (self._clock.monotonic() - began)
        if left_s > 0 and self._imported:
            await self._sleep(left_s)

    def _opening(
        self,
        attempt: Attempt,
        admitted: Pass | None,
        who: Subscriber,
        packages: tuple[str, ...],
        password: _Password,
    ) -> "_Opening":
        now = self._clock.now()
        drawn = _derived(self._keys.session.current, admitted.pass_id) if admitted else _drawn()
        token_expires_at = now + self._device_token_lifetime_s
        session = store.Session(
            _hashed(drawn.session),
            who.id,
            attempt.device,
            device_token.jti(drawn.token_id),
            now,
            now + self._session_lifetime_s,
            attempt.device_name,
        )
        signed_in = self._signed_in(who, packages, attempt.device, drawn, now)
        kept = self._outcome(attempt, admitted, "kept", "", who.id)
        return _Opening(signed_in, session, token_expires_at, admitted, kept, password)

    def _signed_in(
        self, who: Subscriber, packages: tuple[str, ...], device: str, drawn: _Secrets, now: float
    ) -> SignedIn:
        """The answer to a sign-in of then: the same for the same."""
        # A handful beside those whom the door renews: they are not counted, only spread.
        renewal = renewals(now, self._playback_token_lifetime_s, self._large_programmes)[0]
        token = DeviceToken(who.id, device, packages, now, now + self._device_token_lifetime_s, drawn.token_id)
        return SignedIn(
            session=drawn.session,
            session_lifetime_s=self._session_lifetime_s,
            device_token=device_token.issue(self._keys.device.private, self._keys.device.kid, token),
            playback_token=cat.issue(
                self._keys.playback.private,
                self._keys.playback.kid,
                "signin",
                who.id,
                packages,
                now,
                self._playback_token_lifetime_s,
                drawn.token_id + drawn.playback_id,
            ),
            expires_at=now + self._playback_token_lifetime_s,
            renew_after=renewal.start,
            renew_by=renewal.end,
            name=who.name,
        )

    async def _open_session(self, attempt: Attempt, opening: "_Opening") -> SignedIn | Refused:
        """Refused when another password was set while this one was compared: that one ends all sessions. When the pass
        was spent meanwhile, the answer is that of then."""
        customer, password, admitted = opening.session.subscriber_id, opening.password, opening.admitted

        async def work(transaction: Transaction) -> Literal["opened", "other password", "spent"]:
            now = self._clock.now()
            if not await store.is_password_hash(transaction, customer, password.own):
                return "other password"
            until = now + admission_pass.AFRESH_SECONDS + self._pass_lifetime_s
            if admitted and not await store.spend(transaction, admitted.pass_id, until=until):
                return "spent"
            if password.renewed:
                await store.put_credentials(transaction, [(customer, password.renewed)], now)
            await store.open_session(transaction, opening.session, token_expires_at=opening.token_expires_at)
            self._journal.record(transaction, opening.kept)
            return "opened"

        if admitted:
            self._remember(
                self._answered, admitted.pass_id, _Known(self._digest(attempt), customer, admitted.expires_at)
            )
        await self._gathered()
        async with asyncio.timeout(self._limits.database_seconds_max):
            became = await self._database.write(work)
        if became == "other password":
            return Refused("wrong-credentials")
        if admitted and became == "spent":
            return await self._answer_of_then(attempt, admitted, customer) or Refused("pass-spent")
        self._count("kept")
        return opening.signed_in

    async def _gathered(self) -> None:
        """Under pressure waits a moment for others: those who go on together share a transaction and its fsync, and
        what that spares is left for hashes."""
        limits = self._limits
        together = admission.gathering(self.pool.load, limits.gathered_max, limits.gathered_seconds)
        if len(self._gathering) + 1 >= together:
            self._depart()
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._gathering.append(turn)
        if self._departure is None:
            self._departure = loop.call_later(limits.gathered_seconds, self._depart)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._gathering:
                self._gathering.remove(turn)
            raise

    def _depart(self) -> None:
        if self._departure is not None:
            self._departure.cancel()
            self._departure = None
        for each in self._gathering:
            if not each.done():
                each.set_result(None)
        self._gathering.clear()

    async def _again(self, attempt: Attempt, own: Pass) -> SignedIn | Refused | None:
        """The answer to whoever shows a pass again that is spent, without another hash; None: it is not spent.

        With it goes what was right: guessing here would cost nothing, so that there is one guess.
        """
        answer: SignedIn | Refused | None
        known = self._answered[own.pass_id]
        same = hmac.compare_digest(known.digest, self._digest(attempt))
        if not same:
            self._answered[own.pass_id] = replace(known, digest=b"")
        try:
            if same:
                answer = await self._answer_of_then(attempt, own, known.customer)
            else:
                async with asyncio.timeout(self._limits.database_seconds_max):
                    spent = await self._database.read(lambda q: store.is_spent(q, own.pass_id))
                answer = Refused("pass-spent") if spent else None
        except asyncio.CancelledError:
            self._broken(attempt, own if same else None, "undelivered" if same else "abandoned")
            raise
        except (StorageError, TimeoutError) as error:
            log.warning("a sign-in is refused: %s", str(error) or "the database did not answer in time")
            answer = Refused("database-unavailable", DATABASE_RETRY_AFTER_SECONDS)
        if answer is None:
            self._answered.pop(own.pass_id, None)
        if isinstance(answer, Refused):
            self._broken(attempt, None, answer.reason, answer.customer)
        return answer

    async def _answer_of_then(self, attempt: Attempt, own: Pass, customer: str) -> SignedIn | Refused | None:
        """What a pass that is spent has opened, if that was for this customer; None: it is not spent.

        No second promise is told kept, unless the first answer is told to have reached nobody.
        """
        now = self._clock.now()
        async with asyncio.timeout(self._limits.database_seconds_max):
            if not await self._database.read(lambda q: store.is_spent(q, own.pass_id)):
                return None
            for key in self._keys.session.all:
                drawn = _derived(key, own.pass_id)
                found = await self._database.read(partial(store.session, session_hash=_hashed(drawn.session), now=now))
                if found is not None:
                    break
            if found is None or found.subscriber_id != customer:
                return Refused("pass-spent")
            who = await self._subscribers.read(lambda q: subscriber(q, found.subscriber_id))
            packages = await self._subscribers.read(lambda q: packages_at(q, found.subscriber_id, now))
        if who is None or not packages:
            return Refused("no-subscription", customer=found.subscriber_id)
        self._count("repeated")
        if own.pass_id in self._unheard:
            del self._unheard[own.pass_id]
            self._record(self._outcome(attempt, own, "kept", "", who.id))
        return self._signed_in(who, packages, found.device, drawn, found.started_at)

    def _digest(self, attempt: Attempt) -> bytes:
        return hmac.digest(self._digest_key, f"{attempt.login}\n{attempt.password}".encode(), hashlib.sha256)

    def _pass_of(self, attempt: Attempt) -> Pass | Refused | None:
        """The pass that somebody shows, when it is one of the door's, and theirs; of another device it is refused."""
        if not attempt.admission:
            return None
        self._know_key_of(attempt.admission, self._clock.now())
        shown = admission_pass.verified(attempt.admission, self._pass_keys)
        if shown is None:
            return None
        own = shown.device == attempt.device
        if own and possession.proven(shown.holder, attempt.proof, "sign-in", attempt.admission):
            return shown
        return Refused("not-your-pass")

    def _with_a_try(self, own: Pass | None) -> Pass | None:
        """The pass, when it has a try left; that is then taken."""
        if own is None:
            return None
        tries = self._passes.get(own.pass_id, 0)
        if tries >= self._limits.tries_with_one_pass:
            return None
        self._remember(self._passes, own.pass_id, tries + 1)
        return own

    def _remember(self, entries: OrderedDict[str, T], pass_id: str, value: T) -> None:
        entries[pass_id] = value
        entries.move_to_end(pass_id)
        while len(entries) > self._limits.passes_remembered_max:
            entries.popitem(last=False)

    def _know_key_of(self, token: str, now: float) -> None:
        """The door may have made its key after we started; looks at most once a second."""
        kid = jwt.key_id(token)
        if kid is None or kid in self._pass_keys or abs(now - self._pass_keys_read_at) < 1:
            return
        self._pass_keys_read_at = now
        try:
            self._pass_keys = jwt.read_jwks(read_public_keys(self._home, "pass"))
        except (StorageError, RemoteProtocolError) as error:
            log.error("the door's public keys cannot be read: %s", error)

    def _broken(self, attempt: Attempt, admitted: Pass | None, reason: str, customer: str = "") -> None:
        if admitted and reason == "undelivered":
            self._remember(self._unheard, admitted.pass_id, None)
        self._count(reason)
        self._record(self._outcome(attempt, admitted, "broken", reason, customer))

    def _outcome(
        self, attempt: Attempt, admitted: Pass | None, verdict: Verdict, reason: str, customer: str
    ) -> Outcome:
        return Outcome(
            time=self._clock.now(),
            service="television",
            step="sign-in",
            layer="signin",
            verdict=verdict,
            reason=reason,
            customer=customer,
            device=attempt.device,
            promise=admitted.promise if admitted else "",
            dimensions={"client": attempt.client},
        )

    def _count(self, answer: str) -> None:
        self._answers[answer] = self._answers.get(answer, 0) + 1


async def set_password_hashes(database: Database, hashes: Iterable[tuple[str, str]], now: float) -> int:
    """Sets many (subscriber id, Argon2id hash in PHC form); returns their number.

    Raises `UsageError` for a hash of another cost than ours; what came before it is kept.
    """
    done = 0
    rest = iter(hashes)
    while part := list(islice(rest, CREDENTIALS_PER_WRITE)):
        for subscriber_id, hashed in part:
            if not costs_the_same(hashed):
                raise UsageError(f"subscriber {subscriber_id}: not an Argon2id hash with m=19456,t=2,p=1")
        await database.write(partial(store.put_credentials, hashes=part, now=now))
        done += len(part)
    return done


def _hashed(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
