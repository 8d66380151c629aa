"""The door: device tokens become playback tokens, and crowds a line, with nothing but keys on disk.

Needs neither signin nor a database to let those in who have a device token.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import httpx

from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.door import overload, waiting_room
from prikkfri.door.ticket import ID_BYTES, PROMISE_PREFIX, Ticket, opened, sealed
from prikkfri.door.timing import Timing
from prikkfri.door.waiting_room import Capacity
from prikkfri.journal.outcomes import Outcome, Verdict
from prikkfri.protocols import admission_pass, cat, jwt
from prikkfri.protocols.admission_pass import Pass
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.protocols.networks import Allowance, Networks
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import (
    CallersKeys,
    SigningKey,
    publish_public_key,
    read_public_keys,
    secret_key,
    signing_key,
    write_whole,
)

log = logging.getLogger(__name__)

DEFAULT_TIMING = Timing()

AskCapacity = Callable[[], Awaitable[Capacity | None]]


@dataclass(frozen=True, slots=True)
class Issued:
    playback_token: str = field(repr=False)
    expires_at: float
    renew_after: float


@dataclass(frozen=True, slots=True)
class Admitted:
    admission: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class Waiting:
    ticket: str = field(repr=False)
    place: int
    wait_s: float | None
    poll_after_s: float
    since: float | None
    """Since when the line has stood still because signin does not answer."""


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Literal["bad-token", "expired", "revoked", "bad-ticket", "overloaded", "too-many-joins"]
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    playback: SigningKey
    admission: SigningKey
    ticket: bytes = field(repr=False)


def load_keys(home: Path) -> Keys:
    """Makes the keys at first start and publishes their public halves. Raises `StorageError`."""
    keys = Keys(signing_key(home, "door-playback"), signing_key(home, "door-pass"), secret_key(home, "door-ticket"))
    publish_public_key(home, "playback", "door", keys.playback)
    publish_public_key(home, "pass", "door", keys.admission)
    return keys


class Door:
    def __init__(
        self,
        *,
        record: Callable[[Outcome], None],
        config: Config,
        keys: Keys,
        clock: Clock,
        tokens: DeviceTokens,
        ask_capacity: AskCapacity,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self.in_flight = 0
        """Requests that the edge has taken and not yet answered."""
        self._record = record
        self._home = config.home
        self._playback_token_lifetime_s = config.streaming.token_lifetime_hours * 3_600
        self._pass_lifetime_s = config.door.pass_lifetime_seconds
        self._waiting_room = config.door.waiting_room == "on"
        self._joins = Allowance(
            burst=config.door.joins_per_network,
            per_second=config.door.joins_per_network_per_minute / 60,
            free=Networks((*config.trusted_proxies, *config.door.joins_unlimited)),
            ipv4_prefix=config.door.joins_ipv4_prefix,
        )
        self._joins_told = Allowance(
            burst=1, per_second=1 / timing.refused_told_seconds, ipv4_prefix=config.door.joins_ipv4_prefix
        )
        self._newcomers: dict[bytes, float] = {}
        """Who has joined and may still come back for their place: when they joined, by ticket, oldest first."""
        self._returned: dict[str, int] = {}
        """The number (of a pass: 0) of whoever has come back, by promise: their first question may be asked twice."""
        self._keys = keys
        self._clock = clock
        self._pass_keys = jwt.read_jwks(read_public_keys(config.home, "pass"))
        self._ask_capacity = ask_capacity
        self._timing = timing
        self._lag_s = 0.0
        self._tokens = tokens
        self._line = self._line_as_left()
        self._came_back: dict[str, float] = {}
        """When it was last told that somebody came back with their pass, by promise; the last to do so last."""
        self._line_kept: dict[str, float] | None = None
        self._answers: dict[str, int] = {}

    def overloaded(self, step: str) -> Refused | None:
        """Whether to turn a request away before anything is done for it; that is then recorded."""
        retry_after_s = overload.retry_after(self._lag_s, self.in_flight)
        if retry_after_s is None:
            return None
        self._outcome(step, "broken", "overloaded")
        return Refused("overloaded", retry_after_s)

    def playback_token(self, token: str) -> Issued | Refused:
        now = self._clock.now()
        known, reason = self._tokens.judge(token)
        if known is None or reason is not None:
            refused = reason or "bad-token"
            self._outcome("playback-token", "broken", refused, known)
            return Refused(refused)
        playback_token = cat.issue(
            self._keys.playback.private,
            self._keys.playback.kid,
            "door",
            known.subscriber,
            known.packages,
            now,
            self._playback_token_lifetime_s,
            known.token_id + secrets.token_bytes(8),
        )
        self._outcome("playback-token", "kept", "", known)
        lifetime = self._playback_token_lifetime_s
        return Issued(playback_token, now + lifetime, now + lifetime / 2)

    def enter(self, device: str, address: str = "") -> Admitted | Waiting | Refused:
        """`address`: where it asks from; so many may join from one network."""
        now = self._clock.now()
        if (retry_after_s := self._joins.take(address, now)) is not None:
            told = self._joins_told.take(address, now) is None
            self._outcome("enter", "broken", "too-many-joins", device=device, recorded=told)
            return Refused("too-many-joins", retry_after_s)
        if not self._waiting_room:
            return self._admitted_at_once(device, now)
        self._line = waiting_room.moved(self._line, now)
        line, number = waiting_room.joined(self._line)
        if admitting := waiting_room.let_in(line, number, waited=False):
            self._line = admitting
            return self._admitted_at_once(device, now)
        ticket = Ticket(None, now, secrets.token_bytes(ID_BYTES), device)
        ahead = self._newcomers_at(now)
        self._newcomers[ticket.ticket_id] = now
        self._outcome("join", "asked", device=device, promise=ticket.promise, dimensions={"for": "enter"})
        place = waiting_room.place(self._line, number + ahead)
        text = sealed(ticket, self._keys.ticket)
        return Waiting(text, place.ahead, place.wait_s, self._timing.follow_up_seconds, self._line.silent_since)

    def waiting(self, text: str) -> Admitted | Waiting | Refused:
        """What becomes of whoever holds a ticket, or a pass to which signin gave no answer."""
        now = self._clock.now()
        ticket = opened(text, self._keys.ticket, now)
        if ticket is None:
            return self._with_pass(text, now)
        ticket = self._with_number(ticket, now)
        number = ticket.number or 0
        self._line = waiting_room.remembered(waiting_room.moved(self._line, now), number)
        if line := waiting_room.let_in(self._line, number, waited=True):
            self._line = line
            # The same pass again for whoever asks again: its id is the ticket's.
            return self._pass(ticket.promise, ticket.device, ticket.promise, now)
        place = waiting_room.place(self._line, number)
        text = sealed(ticket, self._keys.ticket)
        return Waiting(text, place.ahead, place.wait_s, place.poll_after_s, self._line.silent_since)

    def wait_s(self) -> float | None:
        """What whoever comes now waits until signin takes them up, here and there; None: it is not known to move."""
        self._line = line = waiting_room.moved(self._line, self._clock.now())
        there_s = line.capacity.waiting_s if line.capacity else 0.0
        if not self._waiting_room or waiting_room.let_in(line, line.next_number, waited=False):
            return there_s
        here_s = waiting_room.place(line, line.next_number).wait_s
        return None if here_s is None else here_s + there_s

    def counters(self) -> dict[str, float]:
        return {
            **{f"{answer.replace('-', '_')}_total": number for answer, number in self._answers.items()},
            "loop_lag_seconds": self._lag_s,
            "line_waiting": self._line.waiting,
            "line_newcomers": len(self._newcomers),
            "join_networks": len(self._joins),
            "line_front": self._line.front,
            "line_rate_per_second": self._line.rate,
            "line_standing_still": float(self._line.silent_since is not None),
            "revoked_list_age_seconds": self._clock.now() - self._tokens.revoked_as_of,
            "verdicts_remembered": self._tokens.remembered,
        }

    async def run(self) -> None:
        """Until cancelled: watches its own lag, follows the revocation list and, for the line, signin."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_lag())
            tasks.create_task(self._tokens.follow())
            if self._waiting_room:
                tasks.create_task(self._follow_signin())
                tasks.create_task(self._keep_line())

    async def ask_signin(self) -> None:
        """Asks signin once how much it can take, and moves the line."""
        capacity = await self._ask_capacity()
        now = self._clock.now()
        was_silent = self._line.silent_since is not None
        self._line = waiting_room.moved(self._line, now)
        if capacity is not None:
            self._line = waiting_room.heard(self._line, capacity, now)
        if was_silent != (self._line.silent_since is not None):
            log.warning("signin is %s", "heard again: the line moves" if was_silent else "silent: the line stands")

    async def keep_line(self) -> None:
        """Writes the line down for the next start, if it has changed; a full disk stops nobody."""
        state = {"next_number": self._line.next_number, "front": self._line.front}
        if state == self._line_kept:
            return
        try:
            await asyncio.to_thread(write_whole, self._line_file, json.dumps(state).encode())
            self._line_kept = state
        except OSError as error:
            log.error("the line cannot be kept over a restart: %s", error)

    def _admitted_at_once(self, device: str, now: float) -> Admitted:
        pass_id = secrets.token_urlsafe(ID_BYTES)
        self._outcome("enter", "kept", device=device)
        # Should signin die before it answers, and they come back, this is all that tells that somebody asked.
        self._outcome("join", "asked", device=device, promise=pass_id, dimensions={"for": "sign-in"})
        return self._pass(pass_id, device, pass_id, now)

    def _with_number(self, ticket: Ticket, now: float) -> Ticket:
        """The ticket with a place in the line, which whoever joined gets when they come back; that is then told."""
        self._newcomers.pop(ticket.ticket_id, None)
        if ticket.number is not None:
            return ticket
        number = self._returned.get(ticket.promise)
        if number is None:
            self._line, number = waiting_room.joined(self._line)
            self._remember(ticket.promise, number)
            self._outcome("enter", "asked", device=ticket.device, promise=ticket.promise, time=ticket.joined_at)
        return replace(ticket, number=number)

    def _with_pass(self, text: str, now: float) -> Admitted | Refused:
        """The same pass for whoever comes back with it; of whoever was let in at once, that is then told."""
        admission = admission_pass.verified(text, self._pass_keys)
        if admission is None or admission.expires_at <= now:
            return Refused("bad-ticket")
        at_once = not admission.promise.startswith(PROMISE_PREFIX)
        if at_once and admission.promise not in self._returned:
            self._remember(admission.promise, 0)
            asked_at = admission.expires_at - self._pass_lifetime_s
            self._outcome("sign-in", "asked", device=admission.device, promise=admission.promise, time=asked_at)
        self._tell_return(admission, now)
        return Admitted(text, admission.expires_at)

    def _tell_return(self, admission: Pass, now: float) -> None:
        """That they are back without an answer, whatever signin has answered to a try before that."""
        told_at = self._came_back.pop(admission.promise, None)
        if told_at is None or now - told_at >= self._timing.return_told_seconds:
            self._outcome("return", "asked", device=admission.device, promise=admission.promise)
            told_at = now
        self._came_back[admission.promise] = told_at
        if len(self._came_back) > self._timing.returned_max:
            del self._came_back[next(iter(self._came_back))]

    def _remember(self, promise: str, number: int) -> None:
        self._returned[promise] = number
        if len(self._returned) > self._timing.returned_max:
            del self._returned[next(iter(self._returned))]

    def _newcomers_at(self, now: float) -> int:
        """How many have joined who may still come back for their place."""
        while self._newcomers:
            ticket_id, joined_at = next(iter(self._newcomers.items()))
            if 0 <= now - joined_at <= self._timing.newcomer_seconds_max:
                break
            del self._newcomers[ticket_id]
        return len(self._newcomers)

    def _pass(self, pass_id: str, device: str, promise: str, now: float) -> Admitted:
        admission = Pass(pass_id, device, now + self._pass_lifetime_s, promise)
        signed = admission_pass.issue(self._keys.admission.private, self._keys.admission.kid, admission)
        return Admitted(signed, admission.expires_at)

    def _outcome(
        self,
        step: str,
        verdict: Verdict,
        reason: str = "",
        known: DeviceToken | None = None,
        *,
        device: str = "",
        promise: str = "",
        time: float | None = None,
        dimensions: Mapping[str, str] = {},
        recorded: bool = True,
    ) -> None:
        """Counts an answer and records it; `time`: of what is told later than it was asked."""
        answer = f"{step}-{reason or verdict}"
        self._answers[answer] = self._answers.get(answer, 0) + 1
        if not recorded:
            return
        self._record(
            Outcome(
                time=self._clock.now() if time is None else time,
                service="television",
                step=step,
                layer="door",
                verdict=verdict,
                reason=reason,
                customer=known.subscriber if known else "",
                device=known.device if known else device,
                promise=promise,
                dimensions=dimensions,
            )
        )

    async def _watch_lag(self) -> None:
        while True:
            asked = self._clock.monotonic()
            await asyncio.sleep(self._timing.lag_measured_seconds)
            late_s = max(0.0, self._clock.monotonic() - asked - self._timing.lag_measured_seconds)
            self._lag_s = overload.lag(self._lag_s, late_s)

    async def _follow_signin(self) -> None:
        while True:
            await self.ask_signin()
            await asyncio.sleep(self._timing.capacity_asked_seconds)

    async def _keep_line(self) -> None:
        while True:
            await self.keep_line()
            await asyncio.sleep(self._timing.line_kept_seconds)

    def _line_as_left(self) -> waiting_room.Line:
        now = self._clock.now()
        try:
            state = json.loads(self._line_file.read_bytes())
            return waiting_room.opened(int(state["next_number"]), float(state["front"]), now)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("the line is forgotten, its file cannot be read: %s", type(error).__name__)
        return waiting_room.opened(0, 0.0, now)

    @property
    def _line_file(self) -> Path:
        return self._home / "door" / "line.json"


def asking_signin(client: httpx.AsyncClient, url: str, home: Path) -> AskCapacity:
    """How the door asks signin for its capacity; the answer is None when signin does not give one."""
    keys = CallersKeys(home, ["signin"])

    async def ask() -> Capacity | None:
        headers = {"authorization": f"Bearer {keys['signin']}"}
        try:
            answer = await client.get(f"{url}/capacity", headers=headers, timeout=DEFAULT_TIMING.capacity_asked_seconds)
            document = answer.raise_for_status().json()
            capacity = Capacity(float(document["per_second"]), float(document["waiting_s"]))
        except (httpx.HTTPError, ValueError, TypeError, KeyError):
            return None
        plausible = 0 <= capacity.per_second < 1e6 and 0 <= capacity.waiting_s < 1e6
        return capacity if plausible else None

    return ask
