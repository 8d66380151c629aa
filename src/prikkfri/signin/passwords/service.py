"""Passwords that customers set for themselves, by a code on their mobile or by a link that the operator gave them.

Whoever asks for a code is answered before anything is looked up, so that neither the answer nor its time tells who is a
customer. The one hash that a new password costs waits in the line of sign-in, behind whoever has a pass, and comes
only after the code was right.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.errors import InDoubt, StorageError
from prikkfri.journal import Journal, Outcome
from prikkfri.protocols.guessing import Guesses
from prikkfri.protocols.networks import network_of
from prikkfri.signin import store as credentials
from prikkfri.signin.credentials import SALT_BYTES, hash_password
from prikkfri.signin.devices.service import device_act
from prikkfri.signin.hash_pool import HashPool, Overload
from prikkfri.signin.passwords import codes, store
from prikkfri.signin.passwords.limits import LIMITS, PasswordLimits
from prikkfri.signin.passwords.store import Code, Link
from prikkfri.storage import Database, Queries, Transaction
from prikkfri.storage.keys import SecretKey
from prikkfri.subscribers.numbers import e164
from prikkfri.subscribers.store import subscriber, subscriber_by_login, subscriptions_of
from prikkfri.subscribers.subscriptions import Subscriber

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 5.0
HOUSE_KEPT_SECONDS = 600.0

Reason = Literal["no-codes", "too-many-tries", "overloaded", "wrong-code", "bad-link", "database-unavailable"]

Send = Callable[[str, str], Awaitable[str | None]]
"""Hands a text (second) for a number to the SMS centre. An id: taken; empty: certainly not; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class CodeRequest:
    login: str
    device: str
    address: str
    client: str
    language: str
    """`nb`, `sv` or `en`."""


@dataclass(frozen=True, slots=True)
class NewPassword:
    """Proven by `link`, or else by a code that `device` asked for in the name of `login`."""

    password: str = field(repr=False)
    address: str
    client: str
    login: str = ""
    code: str = field(default="", repr=False)
    device: str = ""
    link: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PasswordRefusal:
    reason: Reason
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class IssuedLink:
    link: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Proof:
    """A code or link that is good, and what uses it up: then whose it was, None when it is good no more."""

    use: Callable[[Transaction], Awaitable[str | None]]


class Passwords:
    def __init__(
        self,
        *,
        database: Database,
        subscribers: Database,
        journal: Journal,
        record: Callable[[Outcome], None],
        pool: HashPool,
        send: Send | None,
        revoked: Callable[[], None],
        config: Config,
        key: SecretKey,
        clock: Clock,
        limits: PasswordLimits = LIMITS,
    ) -> None:
        """`send`: None when no account sends codes. `key`: of the hashes of codes. `revoked`: as of `Devices`."""
        self._database = database
        self._subscribers = subscribers
        self._journal = journal
        self._record = record
        self._pool = pool
        self._send = send
        self._revoked = revoked
        self._operator = config.operator
        self._region = config.region
        self._viewer_url = config.roles.viewer.url
        self._key = key
        self._clock = clock
        self._limits = limits
        self._asked = Guesses(buckets_max=limits.buckets_max)
        self._waiting: asyncio.Queue[CodeRequest] = asyncio.Queue(limits.waiting_max)

    def ask_for_code(self, wanted: CodeRequest) -> PasswordRefusal | None:
        """Puts a code on its way to whoever this is, if they are a customer. What it answers does not tell."""
        if self._send is None:
            return PasswordRefusal("no-codes")
        if refused := self._no_room():
            self._record(self._outcome_of(wanted, "broken", reason="overloaded"))
            return refused
        name = e164(wanted.login, self._region) or wanted.login.strip().lower()
        asked_from = codes.asked_from(name, network_of(wanted.address), self._limits)
        now = self._clock.now()
        wait_s = self._asked.reserve(asked_from, now)
        if wait_s is not None:
            self._record(self._outcome_of(wanted, "broken", reason="too-many-tries"))
            return PasswordRefusal("too-many-tries", wait_s)
        self._asked.settle(asked_from, now, failed=True)
        try:
            self._waiting.put_nowait(wanted)
        except asyncio.QueueFull:
            self._record(self._outcome_of(wanted, "broken", reason="overloaded"))
            return PasswordRefusal("overloaded", RETRY_AFTER_SECONDS)
        return None

    async def set(self, wanted: NewPassword) -> PasswordRefusal | None:
        """Sets the password, and ends all of the customer's sessions."""
        try:
            answer = await self._set(wanted)
        except (StorageError, InDoubt, TimeoutError) as error:
            log.warning("a password is not set: %s", str(error) or "the database did not answer in time")
            answer = PasswordRefusal("database-unavailable", RETRY_AFTER_SECONDS)
        if answer is not None and answer.reason not in ("wrong-code", "bad-link"):
            self._record(self._broken(wanted, answer.reason))
        return answer

    async def make_link(self, subscriber_id: str, *, by: str) -> IssuedLink | None:
        """A link for a customer; None when there is no such customer.

        Raises `StorageError`, `InDoubt` or `TimeoutError`.
        """
        now = self._clock.now()
        secret = secrets.token_urlsafe(32)
        link = Link(_link_hash(secret), subscriber_id, by, now, now + self._limits.link_seconds)

        async def work(transaction: Transaction) -> None:
            await store.add_link(transaction, link)
            self._journal.record(transaction, device_act("password-link", subscriber_id, by, now))

        async with asyncio.timeout(self._limits.database_seconds_max):
            if await self._subscribers.read(lambda q: subscriber(q, subscriber_id)) is None:
                return None
            await self._database.write(work)
        # Behind the #, where no server and no log of ours sees it.
        return IssuedLink(f"{self._viewer_url}/#password={secret}", link.expires_at)

    async def run(self) -> None:
        """Until cancelled: sends what was asked for, and forgets what is past its time."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._limits.senders):
                group.create_task(self._send_codes())
            group.create_task(self._keep_house())

    async def send_next(self) -> None:
        """Looks up who asked, and sends them their code; waits until somebody asks."""
        wanted = await self._waiting.get()
        try:
            outcome = await self._sent(wanted)
        except (StorageError, InDoubt, TimeoutError) as error:
            log.warning("a code is not sent: %s", str(error) or "the database did not answer in time")
            outcome = self._outcome_of(wanted, "broken", reason="database-unavailable")
        self._record(outcome)

    async def forget(self) -> None:
        now = self._clock.now()
        before = now - self._limits.kept_seconds
        await self._database.write(lambda t: store.forget(t, codes_before=before, links_before=before))

    async def _send_codes(self) -> None:
        lots = secrets.SystemRandom()
        while True:
            await asyncio.sleep(codes.pause(lots.random(), self._limits))
            await self.send_next()

    async def _keep_house(self) -> None:
        while True:
            try:
                await self.forget()
            except (StorageError, InDoubt) as error:  # what is done twice here is done once
                log.warning("codes and links are kept a while longer: %s", error)
            await asyncio.sleep(HOUSE_KEPT_SECONDS)

    async def _sent(self, wanted: CodeRequest) -> Outcome:
        now = self._clock.now()
        async with asyncio.timeout(self._limits.database_seconds_max):
            who = await self._who(wanted.login, now)
            if who is None:
                return self._outcome_of(wanted, "broken", reason="unknown-customer")
            number = await self._subscribers.read(partial(_number_of, who.id, e164(wanted.login, self._region), now))
            if not number:
                return self._outcome_of(wanted, "broken", reason="no-number", customer=who.id)
            code = codes.code_of(secrets.randbelow(codes.CODES))
            kept = Code(
                secrets.token_urlsafe(16),
                who.id,
                wanted.device,
                codes.code_hash(self._key.current, who.id, wanted.device, code),
                now,
                now + self._limits.code_seconds,
                self._limits.code_tries,
            )
            if not await self._database.write(partial(self._add, kept)):
                return self._outcome_of(wanted, "broken", reason="too-many-codes", customer=who.id)
        minutes = round(self._limits.code_seconds / 60)
        assert self._send is not None  # nobody is in the line otherwise
        taken = await self._send(number, codes.message_text(code, self._operator, wanted.language, minutes))
        if taken:
            return self._outcome_of(wanted, "kept", customer=who.id)
        if taken is None:
            return self._outcome_of(wanted, "broken", reason="no-answer", layer="sms-centre", customer=who.id)
        async with asyncio.timeout(self._limits.database_seconds_max):
            await self._database.write(lambda t: store.drop_code(t, kept.id))
        return self._outcome_of(wanted, "broken", reason="not-accepted", layer="sms-centre", customer=who.id)

    async def _add(self, code: Code, transaction: Transaction) -> bool:
        made = await store.codes_made(transaction, code.subscriber_id, code.made_at - self._limits.kept_seconds)
        if not codes.may_have_another(made, code.made_at, self._limits):
            return False
        await store.add_code(transaction, code)
        return True

    async def _set(self, wanted: NewPassword) -> PasswordRefusal | None:
        if refused := self._no_room():
            return refused
        guessed_from = codes.guessed_from(network_of(wanted.address), self._limits)
        wait_s = self._asked.reserve(guessed_from, self._clock.now())
        if wait_s is not None:
            return PasswordRefusal("too-many-tries", wait_s)
        wrong = False
        try:
            async with asyncio.timeout(self._limits.database_seconds_max):
                proven = await (self._by_link(wanted) if wanted.link else self._by_code(wanted))
            wrong = proven is None
        finally:
            self._asked.settle(guessed_from, self._clock.now(), failed=wrong)
        if proven is None:
            return _wrong(wanted)
        salt = secrets.token_bytes(SALT_BYTES)
        hashed = await self._pool.run(partial(hash_password, wanted.password, salt))
        if isinstance(hashed, Overload):
            return PasswordRefusal("overloaded", hashed.retry_after_s)
        async with asyncio.timeout(self._limits.database_seconds_max):
            if not await self._database.write(partial(self._write, wanted, proven, hashed.result)):
                return _wrong(wanted)
        self._revoked()
        return None

    async def _by_code(self, wanted: NewPassword) -> _Proof | None:
        now = self._clock.now()
        who = await self._who(wanted.login, now)
        subscriber_id = who.id if who else ""
        plain = codes.plain(wanted.code)
        given = [codes.code_hash(key, subscriber_id, wanted.device, plain) for key in self._key.all]

        async def work(transaction: Transaction) -> str | None:
            taken = await store.take_try(transaction, subscriber_id, wanted.device, now)
            if taken and any([hmac.compare_digest(taken[1], each) for each in given]):
                await store.give_try_back(transaction, taken[0])
                return taken[0]
            # In the journal at once, so that a wrong code costs one write whether or not there is a right one.
            self._journal.record(transaction, self._broken(wanted, "wrong-code"))
            return None

        code_id = await self._database.write(work)
        return _Proof(lambda t: store.use_code(t, code_id, self._clock.now())) if code_id else None

    async def _by_link(self, wanted: NewPassword) -> _Proof | None:
        link_hash = _link_hash(wanted.link)
        now = self._clock.now()
        if await self._database.read(lambda q: store.link_holder(q, link_hash, now)) is None:
            self._record(self._broken(wanted, "bad-link"))
            return None
        return _Proof(lambda t: store.use_link(t, link_hash, self._clock.now()))

    async def _write(self, wanted: NewPassword, proven: _Proof, hashed: str, transaction: Transaction) -> bool:
        now = self._clock.now()
        customer = await proven.use(transaction)
        if customer is None:
            self._journal.record(transaction, self._broken(wanted, _wrong(wanted).reason))
            return False
        await credentials.put_credentials(transaction, [(customer, hashed)], now)
        await credentials.end_devices(transaction, customer, now)
        await store.end_codes(transaction, customer)
        await store.end_links(transaction, customer, now)
        kept = _outcome("set-password", "kept", wanted.device, wanted.client, now, customer=customer)
        self._journal.record(transaction, kept)
        return True

    async def _who(self, login: str, now: float) -> Subscriber | None:
        return await self._subscribers.read(lambda q: subscriber_by_login(q, login, now, region=self._region))

    def _no_room(self) -> PasswordRefusal | None:
        """When sign-in is full, this is too: it must cost whoever signs in nothing."""
        refusal = self._pool.refusal(with_pass=False)
        return PasswordRefusal("overloaded", refusal.retry_after_s) if refusal else None

    def _outcome_of(
        self, wanted: CodeRequest, verdict: Literal["kept", "broken"], *, reason: str = "", layer: str = "signin",
        customer: str = "",
    ) -> Outcome:  # fmt: skip
        now = self._clock.now()
        return _outcome("send-code", verdict, wanted.device, wanted.client, now, reason=reason, layer=layer,
                        customer=customer)  # fmt: skip

    def _broken(self, wanted: NewPassword, reason: str) -> Outcome:
        return _outcome("set-password", "broken", wanted.device, wanted.client, self._clock.now(), reason=reason)


def _wrong(wanted: NewPassword) -> PasswordRefusal:
    return PasswordRefusal("bad-link" if wanted.link else "wrong-code")


async def _number_of(subscriber_id: str, written: str | None, now: float, queries: Queries) -> str:
    """Where a customer's code goes: to the number that was asked with, else to the one they have had longest."""
    held = [
        each.msisdn
        for each in await subscriptions_of(queries, subscriber_id)
        if each.msisdn and each.starts <= now < each.ends
    ]
    return written if written in held else next(iter(held), "")


def _link_hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _outcome(
    step: str,
    verdict: Literal["kept", "broken"],
    device: str,
    client: str,
    now: float,
    *,
    reason: str = "",
    layer: str = "signin",
    customer: str = "",
) -> Outcome:
    return Outcome(
        time=now,
        service="television",
        step=step,
        layer=layer,
        verdict=verdict,
        reason=reason,
        customer=customer,
        device=device,
        dimensions={"client": client},
    )
