"""The door: device tokens become playback tokens, and crowds a line, with nothing but keys on disk.

Needs neither signin nor a database to let those in who have a device token.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import httpx
import msgspec

from prikkfri.clock import Clock
from prikkfri.config import Config, moments_of
from prikkfri.door import overload, steering
from prikkfri.door.renewals import Renewals
from prikkfri.door.steering import OrderRecord, OrderRefusal, OrderRequest, Steering
from prikkfri.door.ticket import ID_BYTES, LIFETIME_SECONDS, LOTS, PROMISE_PREFIX, Ticket, lot, opened, sealed
from prikkfri.door.timing import Timing
from prikkfri.door.turns import TurnCalls
from prikkfri.door.waiting_room import Capacity, Line, LineMeasurements, together
from prikkfri.door.windows import NUMBERS_PER_SECOND
from prikkfri.journal.outcomes import Outcome, Verdict
from prikkfri.protocols import admission_pass, cat, jwt
from prikkfri.protocols.admission_pass import Pass
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.protocols.networks import Allowance, Networks
from prikkfri.protocols.possession import has_key, proven
from prikkfri.protocols.renewals import Span
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import (
    CallersKeys,
    SecretKey,
    SigningKey,
    publish_public_key,
    read_public_keys,
    role_secret,
    signing_key,
    write_whole,
)

log = logging.getLogger(__name__)

DEFAULT_TIMING = Timing()
UNTOLD = 1 << 31
"""Beside the name of the line that has counted a ticket: nothing was told of it, since its room had not opened."""
ISSUE_NEWEST_WEIGHT = 0.05
"""Of the newest token, in the moving mean of what one takes; it counts at most tenfold."""
ISSUE_SECONDS_MIN = 1e-4

AskCapacity = Callable[[], Awaitable[Capacity | None]]


@dataclass(frozen=True, slots=True)
class Issued:
    playback_token: str = field(repr=False)
    expires_at: float
    renew_after: float
    renew_by: float


@dataclass(frozen=True, slots=True)
class Admitted:
    admission: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class Waiting:
    ticket: str = field(repr=False)
    place: int | None
    """None in a room that has not opened."""
    wait_s: float | None
    poll_after_s: float
    since: float | None
    """Since when the line has stood still because signin does not answer."""
    position: float = 0.0
    """By which the page finds its turn among the published ones."""
    held: bool = False
    """The next question is asked for them, after `poll_after_s`."""


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Literal[
        "bad-token", "expired", "revoked", "bad-ticket", "not-yours", "overloaded", "too-many-joins", "drained",
        "line-elsewhere",
    ]  # fmt: skip
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    playback: SigningKey
    admission: SigningKey
    ticket: SecretKey


def load_keys(home: Path, issuer: str = "door") -> Keys:
    """Makes the keys at first start and publishes their public halves, as `issuer`. Raises `StorageError`."""
    keys = Keys(signing_key(home, "door-playback"), signing_key(home, "door-pass"), role_secret(home, "door-ticket"))
    publish_public_key(home, "playback", issuer, keys.playback)
    publish_public_key(home, "pass", issuer, keys.admission)
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
        has_line: bool = True,
    ) -> None:
        """`has_line`: of several doors one has the line; the others turn device tokens into playback tokens."""
        self.has_line = has_line
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
        self._returned: dict[str, None] = {}
        """Promises of those who have come back of late: their first question may be asked twice."""
        self._keys = keys
        self._zone = ZoneInfo(config.streaming.timezone)
        self._clock = clock
        self._pass_keys: jwt.PublicKeys = {}
        self.read_pass_keys()
        self._ask_capacity = ask_capacity
        self._timing = timing
        self._lag_s = 0.0
        self._tokens = tokens
        self._line, self._line_lost = self._line_as_left()
        self.troubles: tuple[str, ...] = ()
        self._steering_kept = self._read_steering()
        if (order := self._steering_kept.order).kind != "auto":
            age_s = clock.now() - order.at
            log.warning("the line goes on as %s ordered %.0f s ago: %s", order.by, age_s, order.kind)
        self._line.steer(self._steering_kept, clock.now())
        self.turns = TurnCalls()
        self._came_back: dict[str, float] = {}
        """When it was last told that somebody came back with their pass, by promise; the last to do so last."""
        self._line_kept: dict[str, Any] | None = None
        self._renewals = Renewals([Span(*moments_of(each)) for each in config.streaming.large_programmes])
        self._issue_s = 0.001
        self._line_told = b""
        self._line_told_at = -1e18
        self._answers: dict[str, int] = {}

    def overloaded(self, step: str) -> Refused | None:
        """Whether to turn a request away before anything is done for it; that is then recorded."""
        retry_after_s = overload.retry_after(self._lag_s, self.in_flight)
        if retry_after_s is None:
            return None
        self._outcome(step, "broken", "overloaded")
        return Refused("overloaded", retry_after_s)

    def line_elsewhere(self) -> Refused | None:
        """Whether another door has the line: who asks for a place here was led astray, and that is recorded."""
        if self.has_line:
            return None
        self._outcome("enter", "broken", "line-elsewhere")
        return Refused("line-elsewhere", self._timing.follow_up_seconds)

    def playback_token(self, token: str) -> Issued | Refused:
        now, began = self._clock.now(), self._clock.monotonic()
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
        took_s = max(0.0, self._clock.monotonic() - began)
        self._issue_s += ISSUE_NEWEST_WEIGHT * (min(took_s, 10 * self._issue_s) - self._issue_s)
        lifetime = self._playback_token_lifetime_s
        renewal = self._renewals.plan(now, lifetime, 1 / max(self._issue_s, ISSUE_SECONDS_MIN), secrets.randbelow)
        return Issued(playback_token, now + lifetime, renewal.start, renewal.end)

    def enter(self, device: str, holder: str, address: str = "") -> Admitted | Waiting | Refused:
        """`holder`: who alone can use what it gets, see `possession`. `address`: where it asks from; so many may join
        from one network."""
        now = self._clock.now()
        if (retry_after_s := self._joins.take(address, now)) is not None:
            told = self._joins_told.take(address, now) is None
            self._outcome("enter", "broken", "too-many-joins", device=device, recorded=told)
            return Refused("too-many-joins", retry_after_s)
        if not self._waiting_room:
            return self._admitted_at_once(device, holder, now)
        self._move_line(now)
        if self._line.steering.order.kind == "drain":
            self._outcome("enter", "broken", "drained", device=device)
            return Refused("drained", self._timing.drained_seconds)
        if self._line.at_once():
            return self._admitted_at_once(device, holder, now)
        room = self._line.steering.closed_room
        if room is None:
            position = self._line.joined(lot(device, now, self._keys.ticket.current), now)
        else:
            position = steering.draw_position(room, device, self._keys.ticket.current, LOTS)
            self._line.joined_room(position, now)
        ticket = Ticket(position, now, secrets.token_bytes(ID_BYTES), device, holder)
        if room is None:
            self._outcome("join", "asked", device=device, promise=ticket.promise, dimensions={"for": "enter"})
        place = self._line.place(position)
        text = sealed(ticket, self._keys.ticket.current)
        follow_up_s = self._timing.follow_up_seconds
        ahead = None if room else place.ahead
        return Waiting(text, ahead, place.wait_s, follow_up_s, self._line.silent_since, position)

    def waiting(self, text: str, proof: str = "", shown: str = "") -> Admitted | Waiting | Refused:
        """What becomes of whoever holds a ticket, or a pass to which signin gave no answer.

        `proof`: that it is theirs; it is looked at when there is a pass to give. `shown`: the ticket that it is made
        for, where that is not the newest.
        """
        now = self._clock.now()
        ticket = next(filter(None, (opened(text, key, now) for key in self._keys.ticket.all)), None)
        if ticket is None:
            return self._with_pass(text, now)
        self._move_line(now)
        self._count(ticket, now)
        if self._line.let_in(ticket.position):
            if has_key(ticket.holder) and not proven(ticket.holder, proof, "enter", shown or text):
                self._outcome("enter", "broken", "not-yours", device=ticket.device, recorded=False)
                return Refused("not-yours")
            # The same pass again for whoever asks again: its id is the ticket's.
            return self._pass(ticket.promise, ticket.device, ticket.holder, ticket.promise, now)
        place, due = self._line.told(ticket.position, now)
        room = self._line.steering.closed_room
        inside = room is not None and room.holds(ticket.position)
        counted_by = self._line.name | (UNTOLD if inside else 0)
        text = sealed(replace(ticket, counted_by=counted_by, due=due), self._keys.ticket.current)
        since, position = self._line.silent_since, ticket.position
        ahead = None if inside else place.ahead
        return Waiting(text, ahead, place.wait_s, place.poll_after_s, since, position, place.held)

    def wait_s(self) -> float | None:
        """What whoever comes now waits until signin takes them up, here and there; None: it is not known to move."""
        self._move_line(self._clock.now())
        there_s = self._line.capacity.waiting_s if self._line.capacity else 0.0
        here_s = self._line.wait_of_whoever_comes_s() if self._waiting_room else 0.0
        return None if here_s is None else here_s + there_s

    def line(self) -> bytes:
        """Where the front is, for everybody alike, as JSON."""
        now = self._clock.now()
        if not 0 <= now - self._line_told_at < self._timing.line_told_seconds:
            wait_s = self.wait_s()
            turns = self._line.turns() if self._waiting_room else []
            told = {
                "wait_s": wait_s,
                "since": self._line.silent_since,
                "turns": turns,
                "ordered": steering.public_notice(self._line.steering, now),
            }
            self._line_told, self._line_told_at = json.dumps(told).encode(), now
        return self._line_told

    def ordered(self) -> dict[str, Any] | None:
        """What people who wait should know of what was ordered."""
        return steering.public_notice(self._line.steering, self._clock.now())

    def steering(self) -> tuple[Steering, LineMeasurements]:
        """What is ordered, and the line."""
        self._move_line(self._clock.now())
        return self._line.steering, self._line.measure()

    def steer(self, wanted: OrderRequest) -> OrderRefusal | None:
        """Takes an order: it stands on disk before it holds. None: it holds, or held already."""
        if not self._waiting_room:
            return OrderRefusal("waiting-room-off", "the configuration has switched the waiting room off")
        now = self._clock.now()
        self._move_line(now)
        before = self._line.steering
        after = steering.apply_order(before, wanted, now=now, rate_max=self._line.measured_per_second)
        if isinstance(after, OrderRefusal):
            return after
        if after is before:
            return None
        kind, text = steering.describe_order(before, after, self._zone)
        after = steering.record_order(after, OrderRecord(now, wanted.by, text))
        if not self._keep_steering(after):
            return OrderRefusal("not-kept", "it could not be written down, so it was not done; is the disk full?")
        self._line.steer(after, now)
        if self._line.steering is not after:  # a room begins at once
            self._keep_steering(self._line.steering)
        self._line_told_at = -1e18
        log.warning("the line: %s %s", wanted.by, text)
        self._outcome("steer-line", "kept", kind, dimensions={"by": wanted.by, "order": text})
        return None

    @property
    def draws_lots(self) -> bool:
        """Whether places are drawn by lot for a room: whoever comes twice meanwhile is to draw the same."""
        return self._line.steering.closed_room is not None

    def counters(self) -> dict[str, float]:
        return {
            **{f"{answer.replace('-', '_')}_total": number for answer, number in self._answers.items()},
            "loop_lag_seconds": self._lag_s,
            "line_waiting": self._line.waiting,
            "line_windows": self._line.number_of_windows,
            "join_networks": len(self._joins),
            "line_front": self._line.front,
            "line_rate_per_second": self._line.rate,
            "line_standing_still": float(self._line.silent_since is not None),
            "line_steered": float(self._line.steering.order.kind != "auto"),
            "revoked_list_age_seconds": self._clock.now() - self._tokens.revoked_as_of,
            "verdicts_remembered": self._tokens.remembered,
        }

    async def run(self) -> None:
        """Until cancelled: watches its own lag, follows the revocation list and, for the line, signin."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_lag())
            tasks.create_task(self._tokens.follow())
            if self._waiting_room and self.has_line:
                tasks.create_task(self._follow_signin())
                tasks.create_task(self._keep_line())
                tasks.create_task(self._call_held())

    async def ask_signin(self) -> None:
        """Asks signin once how much it can take, and moves the line."""
        capacity = await self._ask_capacity()
        now = self._clock.now()
        was_silent = self._line.silent_since is not None
        self._move_line(now)
        if capacity is not None:
            self._line.heard(capacity, now)
        self._line_told_at = -1e18
        if was_silent != (self._line.silent_since is not None):
            log.warning("signin is %s", "heard again: the line moves" if was_silent else "silent: the line stands")

    async def keep_line(self) -> None:
        """Writes the line down for the next start, if it has changed; a full disk stops nobody."""
        if self._line.steering is not self._steering_kept:
            self._keep_steering(self._line.steering)
        state = self._line.state()
        if state == self._line_kept:
            return
        try:
            await asyncio.to_thread(lambda: write_whole(self._line_file, json.dumps(state).encode()))
            self._line_kept = state
        except OSError as error:
            log.error("the line cannot be kept over a restart: %s", error)

    def _move_line(self, now: float) -> None:
        before = self._line.steering
        self._line.moved(now)
        if self.turns:
            self.turns.call(self._line.called_below())
        if self._line.steering is not before:
            self._keep_steering(self._line.steering)  # where a room begins, before anybody stands in it

    def _keep_steering(self, steering: Steering) -> bool:
        """Whether what is ordered was written down."""
        try:
            write_whole(self._steering_file, msgspec.json.encode(steering), mode=0o600)
        except OSError as error:
            log.error("what is ordered of the line cannot be kept over a restart: %s", error)
            return False
        self._steering_kept = steering
        return True

    def _read_steering(self) -> Steering:
        try:
            if not self.has_line:
                raise FileNotFoundError
            return msgspec.json.decode(self._steering_file.read_bytes(), type=Steering)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.error("what was ordered of the line is forgotten, its file cannot be read: %s", type(error).__name__)
            self.troubles = ("What was ordered of the line was lost: its file could not be read. Order it again.",)
        return Steering()

    def _admitted_at_once(self, device: str, holder: str, now: float) -> Admitted:
        pass_id = secrets.token_urlsafe(ID_BYTES)
        self._outcome("enter", "kept", device=device)
        # Should signin die before it answers, and they come back, this is all that tells that somebody asked.
        self._outcome("join", "asked", device=device, promise=pass_id, dimensions={"for": "sign-in"})
        return self._pass(pass_id, device, holder, pass_id, now)

    def _count(self, ticket: Ticket, now: float) -> None:
        """Whoever joined has a place in the line from when they come back for it; that is then told. In a room they
        wait for nothing of ours until it opens: that is told the first time after."""
        line, untold = ticket.counted_by % UNTOLD, ticket.counted_by >= UNTOLD
        if line == 0:
            if ticket.promise not in self._returned:
                self._line.came_back(ticket.position, now)
        else:
            self._line.landed(ticket.position, ticket.due)
            if line != self._line.name and (anew := f"{ticket.promise} anew") not in self._returned:
                self._remember(anew)
                count = self._line.came_back if self._line_lost else self._line.came_back_before
                count(ticket.position, now)
        if line and not untold:
            return
        room = self._line.steering.room
        inside = room is not None and room.holds(ticket.position)
        if room is not None and inside and room.opened_at is None:
            self._remember(ticket.promise)
            return
        told = f"{ticket.promise} of a room" if inside or untold else ticket.promise
        if told in self._returned:
            return
        self._remember(told)
        asked_at = max(ticket.joined_at, room.opened_at or 0.0) if room is not None and inside else ticket.joined_at
        self._outcome("enter", "asked", device=ticket.device, promise=ticket.promise, time=asked_at)

    def _with_pass(self, text: str, now: float) -> Admitted | Refused:
        """The same pass for whoever comes back with it; of whoever was let in at once, that is then told."""
        admission = admission_pass.verified(text, self._pass_keys)
        if admission is None or admission.expires_at <= now:
            return Refused("bad-ticket")
        at_once = not admission.promise.startswith(PROMISE_PREFIX)
        if at_once and admission.promise not in self._returned:
            self._remember(admission.promise)
            asked_at = admission.expires_at - self._pass_lifetime_s
            self._outcome("sign-in", "asked", device=admission.device, promise=admission.promise, time=asked_at)
        self._tell_return(admission, now)
        return Admitted(text, admission.expires_at)

    def read_pass_keys(self) -> None:
        """Knows the passes of its own keys, of the next one too. Raises `StorageError`."""
        self._pass_keys = jwt.read_jwks(read_public_keys(self._home, "pass"))

    def _tell_return(self, admission: Pass, now: float) -> None:
        """That they are back without an answer, whatever signin has answered to a try before that."""
        told_at = self._came_back.pop(admission.promise, None)
        if told_at is None or now - told_at >= self._timing.return_told_seconds:
            self._outcome("return", "asked", device=admission.device, promise=admission.promise)
            told_at = now
        self._came_back[admission.promise] = told_at
        if len(self._came_back) > self._timing.returned_max:
            del self._came_back[next(iter(self._came_back))]

    def _remember(self, promise: str) -> None:
        self._returned[promise] = None
        if len(self._returned) > self._timing.returned_max:
            del self._returned[next(iter(self._returned))]

    def _pass(self, pass_id: str, device: str, holder: str, promise: str, now: float) -> Admitted:
        admission = Pass(pass_id, device, now + self._pass_lifetime_s, promise, holder)
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

    async def _call_held(self) -> None:
        """Whoever asks moves the line; those who are held back do not ask."""
        while True:
            await asyncio.sleep(self._timing.held_called_seconds)
            if self.turns:
                self._move_line(self._clock.now())

    async def _keep_line(self) -> None:
        while True:
            await self.keep_line()
            await asyncio.sleep(self._timing.line_kept_seconds)

    def _line_as_left(self) -> tuple[Line, bool]:
        """And whether what it knew is lost: whoever has a ticket is then counted anew, and keeps their place."""
        now = self._clock.now()
        try:
            if not self.has_line:
                raise FileNotFoundError
            return Line.as_left(json.loads(self._line_file.read_bytes()), now), False
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("the line is forgotten, its file cannot be read: %s", type(error).__name__)
        return Line((now - LIFETIME_SECONDS) * NUMBERS_PER_SECOND, now), True

    @property
    def _steering_file(self) -> Path:
        return self._home / "door" / "steering.json"

    @property
    def _line_file(self) -> Path:
        return self._home / "door" / "line.json"


def asking_signin(
    client: httpx.AsyncClient,
    urls: Sequence[str],
    home: Path,
    *,
    seconds_max: float = DEFAULT_TIMING.capacity_asked_seconds,
) -> AskCapacity:
    """How the door asks the processes of signin for their capacity together; None when none gives one."""
    keys = CallersKeys(home, ["signin"])
    spent: dict[str, float] = {}
    """By process: the passes that had come to a hash when it last said."""

    async def ask_one(url: str) -> Capacity | None:
        headers = {"authorization": f"Bearer {keys['signin']}"}
        try:
            answer = await client.get(f"{url}/capacity", headers=headers, timeout=seconds_max)
            document = answer.raise_for_status().json()
            spent = document.get("spent")
            capacity = Capacity(
                float(document["per_second"]), float(document["waiting_s"]), None if spent is None else float(spent)
            )
        except (httpx.HTTPError, ValueError, TypeError, KeyError, AttributeError):
            return None
        plausible = 0 <= capacity.per_second < 1e6 and 0 <= capacity.waiting_s < 1e6 and (capacity.spent or 0) >= 0
        return capacity if plausible else None

    async def ask() -> Capacity | None:
        answers = dict(zip(urls, await asyncio.gather(*map(ask_one, urls)), strict=True))
        spent.update({url: each.spent for url, each in answers.items() if each and each.spent is not None})
        return together([each for each in answers.values() if each], sum(spent.values()) if spent else None)

    return ask
