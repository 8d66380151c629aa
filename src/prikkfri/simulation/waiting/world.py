"""A crowd before the real line, in virtual time: drawn people whose pages ask as they are told, and a signin.

What a person does is drawn once, in arrays; each request is answered by `door.waiting_room`, in the order of arrival.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from prikkfri.door.timing import Timing
from prikkfri.door.waiting_room import (
    LOOK_SECONDS,
    LOOK_SECONDS_MIN,
    LOOK_SHARE,
    POLL_SHARE,
    Capacity,
    Line,
)

TICK_SECONDS = 0.05
CALM_SECONDS = 5.0
"""Before the crowd comes."""
LOOKING_MAX = 10_000
"""Of so many people it is kept what they were shown."""
FOLLOW_UP_SECONDS = Timing().follow_up_seconds
REPORT_SECONDS = Timing().capacity_asked_seconds
MESSAGE_SECONDS = 0.035
"""One way, in the median; a twentieth of them is sent again after `RESENT_SECONDS`."""
MESSAGE_SPREAD = 0.6
RESENT_SHARE, RESENT_SECONDS = 0.02, 0.25
MESSAGE_SECONDS_MAX = 0.6
LATE_SHARE, LATE_SECONDS_MAX = 0.01, 20.0
"""Pages in the background, telephones in a pocket: they ask later than told, each time."""
RESTART_SECONDS = 2.0
"""The door is away for so long when it is killed and starts anew, from what it wrote down a second before at most."""
AGAIN_SECONDS, AGAIN_SECONDS_MAX = 1.0, 3.0
"""Whoever found no door asks again between so long after."""
LATER_SHARE = 0.7
"""Of the capacity, that comes after all have left."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a crowd is drawn from."""

    people: int
    capacity_per_second: float
    leaving: float = 0.0
    """The share of those who leave while they wait."""
    bots: float = 0.0
    """The share of those who take their pass and never sign in."""
    all_leave_after_s: float | None = None
    """Since the first came. New people come after that."""
    rush_s: float = 20.0
    """The mean of how long after the beginning somebody comes."""
    claimed: tuple[tuple[float, float], ...] = ((0.0, 0.6), (15.0, 0.8), (30.0, 1.0))
    """What signin says of its capacity, as a share of it, from a time on."""
    capacity_from: tuple[tuple[float, float], ...] = ()
    """Its capacity, as a share, from a time on."""
    load_x: float | None = None
    """People come evenly, so many times the capacity, and not in one rush."""
    patience_s: float | None = None
    """In the mean, after which everybody leaves, memoryless, whatever they are told."""
    patience: str = "of-the-wait"
    """How leavers are patient: for a part of their own wait, or ("alike") for a part of the whole evening."""
    door_killed_at_s: float | None = None
    """Since the first came."""
    seed: int = 1


@dataclass
class Evening:
    """What came of it, by the people's own watch."""

    came_at: Floats
    leaves_at: Floats
    """Unless they have signed in before; endless: they stay."""
    joined_at: Floats
    """When they reached the door for the first time; as they came, unless it was away."""
    called_at: Floats
    """NaN: never."""
    late_s: Floats
    """By how much somebody asked later than told, at the end."""
    signed_in_at: Floats
    bot: NDArray[np.bool_]
    absent: NDArray[np.bool_]
    """Whose page is in the background: it asks late, and does not look."""
    shown: list[tuple[Numbers, float, Floats]] = field(default_factory=list)
    """Who was shown which wait, and when."""
    used: list[tuple[float, float, float]] = field(default_factory=list)
    """For each second: when, sign-ins, and what signin could have taken."""
    outstanding_s: list[tuple[float, float]] = field(default_factory=list)
    waiting_peak: int = 0
    state_bytes: int = 0
    requests: int = 0
    told_wait_s: list[tuple[float, float]] = field(default_factory=list)
    """What whoever came then was told, each second."""


def share_at(shares: tuple[tuple[float, float], ...], at: float, otherwise: float = 1.0) -> float:
    for since, share in shares:
        if at >= since:
            otherwise = share
    return otherwise


class World:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._lots = lots = np.random.default_rng(scene.seed)
        if scene.load_x is None:
            crowd = np.sort(CALM_SECONDS + lots.gamma(2.0, scene.rush_s / 2, scene.people))
        else:
            apart_s = lots.exponential(1 / (scene.load_x * scene.capacity_per_second), scene.people)
            crowd = CALM_SECONDS + np.cumsum(apart_s)
        calm = lots.uniform(1.5, CALM_SECONDS, int(0.2 * scene.capacity_per_second * (CALM_SECONDS - 1.5)))
        later = np.empty(0)
        if scene.all_leave_after_s is not None:
            left = CALM_SECONDS + scene.all_leave_after_s
            crowd = crowd[crowd < left]
            later = lots.uniform(left, left + 30, int(30 * LATER_SHARE * scene.capacity_per_second))
        came = np.sort(np.concatenate((calm, crowd, later)))
        people = len(came)
        rank = np.arange(people) / scene.capacity_per_second * (1 - scene.leaving)
        whole = people / scene.capacity_per_second * (1 - scene.leaving)
        span = np.maximum(1.0, rank if scene.patience == "of-the-wait" else np.full(people, whole))
        leaves = lots.random(people) < scene.leaving
        self._leaves_at = np.where(leaves, came + lots.random(people) * span, np.inf)
        if scene.all_leave_after_s is not None:
            self._leaves_at[came < left] = np.minimum(self._leaves_at[came < left], left)
        if scene.patience_s is not None:
            self._leaves_at = came + lots.exponential(scene.patience_s, people)
        self._late = np.where(lots.random(people) < LATE_SHARE, 1.0, 0.0)
        self._came = came
        self._position = np.full(people, np.nan)
        self._due = np.full(people, np.nan)
        self._asks_at = came.copy()
        self._looks_at = came + lots.random(people) * LOOK_SECONDS
        self._lottery = lots.random(people)
        nan = np.full(people, np.nan)
        bot = lots.random(people) < scene.bots
        self.evening = Evening(
            came, self._leaves_at, came.copy(), nan.copy(), np.zeros(people), nan.copy(), bot, self._late > 0
        )
        self._landing: dict[int, list[tuple[Numbers, Floats]]] = {}
        self._at_signin: list[tuple[Floats, Numbers]] = []
        self._queue: list[Numbers] = []
        self._queued = 0
        self._line = Line(0.0, 0.0)
        self._kept = self._line.state()
        self._line_number = 0
        self._counted_by = np.zeros(people, np.int64)
        """The line that has counted each who came back."""
        self._door_away = (np.inf, np.inf)
        if scene.door_killed_at_s is not None:
            killed_at = CALM_SECONDS + scene.door_killed_at_s
            self._door_away = (killed_at, killed_at + RESTART_SECONDS)
        self._parked = np.empty(0, np.int64)
        self._spent = 0
        self._serving = 0.0
        self._given = self._given_honest = 0
        self._watching = np.zeros(people, np.bool_)
        self._watching[lots.permutation(people)[:LOOKING_MAX]] = True

    def run(self, seconds_max: float = 1e9) -> Evening:
        evening = self.evening
        self._land(np.arange(len(self._came)), self._came)
        tick, reported = 0, -1.0
        done = capable = 0.0
        quiet_since = float(self._came[-1])
        while True:
            now = tick * TICK_SECONDS
            capacity = self.scene.capacity_per_second * share_at(self.scene.capacity_from, now - CALM_SECONDS)
            away = self._is_away(now)
            if not away and now >= self._door_away[1]:
                self._line, self._door_away = Line.as_left(self._kept, now), (np.inf, np.inf)
                self._line_number += 1
            line = self._line
            if now - reported >= REPORT_SECONDS - 1e-9:
                reported = now
                claimed = share_at(self.scene.claimed, now - CALM_SECONDS) * self._lots.normal(1.0, 0.02)
                if not away:
                    line.moved(now)
                    self._kept = line.state()
                    line.heard(Capacity(capacity * claimed, self._queued / capacity, self._spent), now)
                    self._look(now)
                evening.used.append((now, done, capable))
                evening.outstanding_s.append((now, (self._given_honest - self._spent) / capacity))
                evening.told_wait_s.append((now, line.wait_of_whoever_comes_s() or 0.0))
                evening.waiting_peak = max(evening.waiting_peak, int(line.waiting))
                evening.state_bytes = max(evening.state_bytes, line.state_bytes)
                done = capable = 0.0
            if away:
                self._turn_away(tick)
            else:
                line.moved(now)
                self._wake(now)
                self._answer(tick)
            served = self._serve(now, capacity)
            done, capable = done + served, capable + capacity * TICK_SECONDS
            tick += 1
            if self._landing or self._at_signin or self._queued:
                quiet_since = now
            if (now > quiet_since + 2 and now > self._came[-1]) or now > seconds_max:
                return evening

    def _is_away(self, now: float) -> bool:
        return self._door_away[0] <= now < self._door_away[1]

    def _turn_away(self, tick: int) -> None:
        """Who asks while the door is away, and whose answer it held back, asks again."""
        parts = self._landing.pop(tick, [])
        asking = [who[self._asks_at[who] == at] for who, at in parts]
        who = np.union1d(np.concatenate([*asking, np.empty(0, np.int64)]), self._parked).astype(np.int64)
        self._parked = np.empty(0, np.int64)
        again = tick * TICK_SECONDS + self._lots.uniform(AGAIN_SECONDS, AGAIN_SECONDS_MAX, len(who))
        self._land(who, again + self._message_s(len(who)))

    def _land(self, who: Numbers, at: Floats) -> None:
        """Their requests, by the tick in which they reach the door; of those who have left by then, none."""
        there = at < self._leaves_at[who]
        who, at = who[there], at[there]
        if not len(who):
            return
        ticks = np.ceil(at / TICK_SECONDS).astype(np.int64)
        order = np.argsort(ticks, kind="stable")
        who, at, ticks = who[order], at[order], ticks[order]
        self._asks_at[who] = at
        starts = np.flatnonzero(np.diff(ticks, prepend=-1))
        for begin, end in zip(starts, [*starts[1:], len(ticks)], strict=True):
            self._landing.setdefault(int(ticks[begin]), []).append((who[begin:end], at[begin:end]))

    def _wake(self, now: float) -> None:
        """Those whose answers are held back are called when the front has passed them."""
        parked = self._parked
        waits = (self._asks_at[parked] > now) & (self._leaves_at[parked] > now)
        called = waits & (self._position[parked] < self._line.called_below())
        if called.any():
            self._land(parked[called], np.full(int(called.sum()), now))
        self._parked = parked[waits & ~called]

    def _message_s(self, number: int) -> Floats:
        seconds = MESSAGE_SECONDS * np.exp(MESSAGE_SPREAD * self._lots.standard_normal(number))
        seconds += RESENT_SECONDS * (self._lots.random(number) < RESENT_SHARE)
        return np.minimum(seconds, MESSAGE_SECONDS_MAX)

    def _answer(self, tick: int) -> None:
        """Each request that has come in this tick, by the line."""
        parts = self._landing.pop(tick, [])
        if not parts:
            return
        who = np.concatenate([part for part, _ in parts])
        at = np.concatenate([part for _, part in parts])
        still = self._asks_at[who] == at
        who, at = who[still], at[still]
        self.evening.joined_at[who] = np.where(np.isnan(self._position[who]), at, self.evening.joined_at[who])
        order = np.argsort(at, kind="stable")
        who, at = who[order], at[order]
        line, position, due, lottery = self._line, self._position, self._due, self._lottery
        pauses: list[float] = []
        waits: list[float] = []
        held: list[bool] = []
        positions: list[float] = position[who].tolist()
        dues: list[float] = due[who].tolist()
        lots: list[float] = lottery[who].tolist()
        counted_by: list[int] = self._counted_by[who].tolist()
        for index, now in enumerate(at.tolist()):
            stands, was_due = positions[index], dues[index]
            held.append(False)
            waits.append(np.inf)
            if stands != stands:  # has no position yet
                if line.at_once():
                    pauses.append(-1.0)
                else:
                    positions[index] = line.joined(lots[index], now)
                    pauses.append(FOLLOW_UP_SECONDS)
                continue
            if was_due != was_due:
                line.came_back(stands, now)
            else:
                line.landed(stands, was_due)
                if counted_by[index] != self._line_number:
                    line.came_back_before(stands, now)
            if line.let_in(stands):
                pauses.append(-1.0)
                continue
            place, dues[index] = line.told(stands, now)
            pauses.append(place.poll_after_s)
            held[-1] = place.held
            waits[-1] = np.inf if place.wait_s is None else place.wait_s
        self.evening.requests += len(who)
        position[who], due[who] = positions, dues
        self._counted_by[who] = self._line_number
        self._looks_at[who] = at + np.clip(LOOK_SHARE * np.array(waits), LOOK_SECONDS_MIN, LOOK_SECONDS)
        pause = np.array(pauses)
        called = pause < 0
        self._call(who[called], at[called])
        who, at, pause, stays = who[~called], at[~called], pause[~called], np.array(held, np.bool_)[~called]
        self._land(who[stays], at[stays] + pause[stays])
        self._parked = np.union1d(self._parked, who[stays])
        who, at, pause = who[~stays], at[~stays], pause[~stays]
        late = self._late[who] * self._lots.random(len(who)) * LATE_SECONDS_MAX
        self.evening.late_s[who] = late
        self._land(who, at + pause + late + self._message_s(len(who)) + self._message_s(len(who)))

    def _call(self, who: Numbers, at: Floats) -> None:
        self.evening.called_at[who] = at
        honest = who[~self.evening.bot[who]]
        self._given += len(who)
        self._given_honest += len(honest)
        if len(honest):
            at = at[~self.evening.bot[who]]
            self._at_signin.append((at + self._message_s(len(honest)) + self._message_s(len(honest)), honest))

    def _serve(self, now: float, capacity: float) -> int:
        """Signin takes up whoever has reached it, first come, first served; returns how many are done."""
        waiting = []
        for at, who in self._at_signin:
            there = at <= now
            if there.any():
                self._queue.append(who[there])
                self._queued += int(there.sum())
            if not there.all():
                waiting.append((at[~there], who[~there]))
        self._at_signin = waiting
        if not self._queued:
            self._serving = 0.0
            return 0
        self._serving += capacity * TICK_SECONDS
        served = min(int(self._serving), self._queued)
        self._serving -= served
        self._queued -= served
        self._spent += served
        left = served
        while left:
            first = self._queue[0]
            self.evening.signed_in_at[first[:left]] = now
            if left < len(first):
                self._queue[0] = first[left:]
                break
            left -= len(first)
            self._queue.pop(0)
        return served

    def _look(self, now: float) -> None:
        """Some see by the public object of this second how long they have to wait; whoever sees their turn nearer than
        they were told to ask asks then."""
        turns = self._line.turns()
        if not turns:
            return
        mine = np.flatnonzero(self._looks_at <= now)
        standing = ~np.isnan(self._due[mine]) & np.isnan(self.evening.called_at[mine]) & (self._leaves_at[mine] > now)
        mine = mine[standing]
        if not len(mine):
            return
        positions, _, waits = zip(*turns, strict=True)
        shown = np.interp(self._position[mine], positions, waits)
        self._looks_at[mine] = now + np.clip(LOOK_SHARE * shown, LOOK_SECONDS_MIN, LOOK_SECONDS)
        seen = self._watching[mine]
        self.evening.shown.append((mine[seen], now, shown[seen]))
        sooner = (self._asks_at[mine] > now + shown) & (self._late[mine] == 0)
        if sooner.any():
            who = mine[sooner]
            self._land(who, now + POLL_SHARE * shown[sooner] + self._message_s(len(who)))
