"""The waiting room: who comes gets a position, and the front, below which people are called, moves as fast as signin
can.

The line itself is held by those who stand in it, each with a signed ticket; here are only counts and a few rates.

Theory of operation. Signin reports, about once a second, how many sign-ins it can take, how long those let in wait
there, and how many passes have been spent. The front moves so that passes are *spent* at that rate: somewhat faster
while signin's own line is shorter than `SIGNIN_WAIT_SECONDS`, slower while it is longer; faster by those who are called
and do not come, and by those who come and do not spend their pass. Each who waits is told when to ask again, before
their turn, and sees between two questions where the front is. Who asks shortly before their turn is held back until it
comes: past them the front goes only as there are passes. When a crowd has left, those due do not come, and the front
hurries past their places, up to whoever has come since. When signin is silent, all stands still. What people order
(`steering.py`) takes the place of the measured rate, holds the front, or sends it to the end.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import inf
from typing import Any

import msgspec

from prikkfri.door import forecast
from prikkfri.door.forecast import Fit
from prikkfri.door.presence import GONE_SHARE, Dues, Standby
from prikkfri.door.steering import ScheduledRoom, Steering, advance
from prikkfri.door.windows import NUMBERS_PER_SECOND, Windows

SIGNIN_WAIT_SECONDS = 0.7
"""The line that signin should have of its own, so that no thread idles while the let-in are on their way."""
GAIN_PER_SECOND = 0.5
"""How strongly that is corrected. A correction shows some two seconds later: 1.5/2 would begin to swing."""
GAIN_OF_PASSES = 0.5
"""How strongly the front follows passes left over or given beyond their rate; shows at once."""
BUSY_SECONDS = 0.15
"""A line at signin of so much, in two reports: it worked all the time between, and what it did is what it can."""
BUSY_WEIGHT, BUSY_WEIGHT_OF_NEWS, NEWS_SHARE = 0.2, 0.7, 0.15
"""Of the newest such measurement, and of one that is so far from what was known that something has changed."""
BACK_SECONDS = 1.5
"""Whoever has joined cannot be expected back for their place sooner; the front waits for them."""
PUSH, PUSH_MAX = 1.3, 2.0
"""With each report of an idle signin while people wait, more than it says it can take is tried."""
AHEAD_SECONDS = 1.0
AHEAD_MIN = 3.0
SILENT_AFTER_SECONDS = 3.0
"""Signin counts as silent when it was last heard so long ago."""
STEP_SECONDS = 0.05
"""The front moves in steps no shorter than this."""
STEP_SECONDS_MAX = 1.0
"""A door that was frozen must not let in at once who was due meanwhile."""
FROZEN_SECONDS = 1.5
"""A door moves the line more often, unless it stands still itself."""
REACHED_SECONDS = 2.0
"""Whether a crowd has left is asked when somebody has come so lately, and the door has run for longer."""
COMING_SECONDS = 3.0
"""Over which the share of those who come is measured for the front."""
MEMORY_SECONDS = 15.0
"""Over which the share of those who spend their pass is measured; longer than any step."""
UNDER_WAY_SECONDS = 0.3
"""Those called so recently may still come."""
SPENT_AFTER_SECONDS = 1.5
"""A pass is spent so long after it was given, beside the line at signin."""
SHARE_MIN = 0.1
OBSERVED_SECONDS = 1.0
EARLY_SECONDS = 0.15
"""Whoever asks so shortly before their turn need not ask again."""
POLL_SHARE = 0.8
"""Of the wait that is foretold, after which to ask again: before the turn, also when it comes sooner than foretold."""
POLL_SHARE_UNMEASURED = 0.4
"""The same while nothing but signin's own word is known."""
FASTER, FASTER_UNMEASURED = 1.75, 1.4
"""Than foretold, at most: a page looks again after a quarter of the wait that it saw."""
LOOK_SECONDS, LOOK_SECONDS_MIN = 4.0, 1.0
"""So often pages look where the front is: seldom, and when their turn is near."""
LOOK_SHARE = 0.25
"""Of the wait that they saw, between these two."""
POLL_SECONDS_MIN = 0.25
POLL_SECONDS_MAX = 120.0
HELD_SECONDS_MAX = 1.5
"""Whose next question would come so soon is not sent away for it: only the way of one answer is left then."""
ANSWER_SECONDS = 0.1
"""An answer and the next question are so long on their way."""
ROOM_POLL_SECONDS_MAX = 540.0
"""Whoever waits for a room to open asks so seldom, and once ..."""
ROOM_SETTLED_SECONDS = 300.0
"""... in so long before, when most have come; those who are drawn last ask first."""
TURNS_AT = (0, 5, 10, 20, 40, 60, 90, 120, 180, 240, 300, 420, 600, 900, 1_200, 1_800, 3_600, 7_200, 14_400)
"""Seconds of capacity that stand before the positions whose turn is published."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What signin says."""

    per_second: float
    waiting_s: float
    spent: float | None = None
    """Passes that were spent since it started; None: it does not say."""


def together(processes: Sequence[Capacity], spent: float | None) -> Capacity | None:
    """What several processes of signin can take in all, among whom people are spread; None: none of them says."""
    if len(processes) < 2:
        return replace(processes[0], spent=spent) if processes else None
    per_second = sum(each.per_second for each in processes)
    waiting = sum(each.waiting_s * each.per_second for each in processes)
    return Capacity(
        per_second, waiting / per_second if per_second else max(each.waiting_s for each in processes), spent
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody stands who has to wait."""

    ahead: int
    wait_s: float | None
    """None while the line stands still."""
    poll_after_s: float
    held: bool
    """Whether the answer is held back until then, and the question asked anew for them: their way would take longer
    than what is left."""


@dataclass(frozen=True, slots=True)
class LineMeasurements:
    """The line as whoever steers it sees it."""

    waiting: int
    given_per_second: float
    """Passes of late, those that should be spent by now."""
    spent_per_second: float
    machine_per_second: float
    """Sign-ins that signin can take; 0: not known."""
    passes_out: int
    """Given and not spent."""
    wait_s: float | None
    """Of whoever comes now; None: it is not known to end."""
    unspent_share: float
    """Of passes given of late: bots, and people who have left."""
    absent_share: float
    """Of those called of late."""
    silent_since: float | None


@dataclass(frozen=True, slots=True)
class Attendance:
    """What was learned while people waited: how many of those who are called come, and how many can be taken."""

    called: float = 0.0
    came: float = 0.0
    """Of late."""
    fit: Fit = field(default_factory=Fit)
    measured: float = 0.0
    """Passes that signin takes up in a second, as far as it was seen."""


class Line:
    """Changed in place: it counts a million people, and a copy for each who asks would cost more than the answer."""

    def __init__(
        self, front: float, now: float, windows: Iterable[tuple[int, ...]] = (), coming: Attendance | None = None
    ) -> None:
        """`windows` and `coming`: as it was left. Raises `ValueError` for what is no state of windows."""
        coming = coming or Attendance()
        self.opened_at = now
        self.capacity: Capacity | None = None
        self.silent_since: float | None = now
        self.passes = 0.0
        """That may be given now; below zero when more came than were expected."""
        self._windows = Windows(front)
        self._windows.restore(windows)
        self._windows.counted(now)
        self._dues = Dues()
        self._standby = Standby()
        self._moved_at = now
        self._runs_since = now
        self._joined_at = now
        self._heard_at = now
        self._measured = coming.measured
        """Passes that signin was seen to take up in a second while it was busy; 0: not yet."""
        self._per_second = 0.0
        self._push = 1.0
        self._called, self._came = coming.called, coming.came
        """Those whom the front has passed of late, and those of them who came for their pass."""
        self._given = self._spent = 0.0
        """Passes given of late, and spent."""
        self._given_ever = 0.0
        self._given_until: deque[tuple[float, float]] = deque([(now, 0.0)])
        self._given_counted = 0.0
        self._fit = coming.fit
        self._observed_at = now
        self._called_new = self._came_new = 0.0
        self._hurried_at: float | None = None
        self._early = 0.0
        """How many may stand before somebody who is let in."""
        self._share, self._trend = 1.0, 0.0
        """Of those to be called, who will spend a pass, and how that changes in a second."""
        self.steering = Steering()

    @classmethod
    def as_left(cls, state: Mapping[str, Any], now: float) -> "Line":
        """What `state` told of an earlier line. Raises `ValueError`, `TypeError` or `KeyError` for what is none."""
        windows = [tuple(map(int, row)) for row in state["windows"]]
        coming = msgspec.convert(state.get("coming"), Attendance | None, strict=False)
        return cls(float(state["front"]), now, windows, coming)

    # What happens

    def steer(self, steering: Steering, now: float) -> None:
        """Goes by what was ordered from now on."""
        self.steering = steering
        self._obey(now)
        self.passes = min(self.passes, self.ahead_max)

    def heard(self, capacity: Capacity, now: float) -> None:
        before, elapsed, done = self.capacity, now - self._heard_at, 0.0
        if before is not None and before.spent is not None and capacity.spent is not None and elapsed > 0:
            spent = capacity.spent - before.spent
            if spent >= 0:  # else signin has started anew
                if min(before.waiting_s, capacity.waiting_s) > BUSY_SECONDS and self.silent_since is None:
                    known = self._measured or spent / elapsed
                    news = abs(spent / elapsed - known) > NEWS_SHARE * known
                    self._measured = known + (BUSY_WEIGHT_OF_NEWS if news else BUSY_WEIGHT) * (spent / elapsed - known)
                done = spent / elapsed
                self._settle(spent, capacity.waiting_s, now)
        if self.waiting <= 0 or capacity.spent is None:
            self._measured = 0.0
        by_itself = self.steering.order.kind == "auto" and self.steering.closed_room is None
        idle = (
            by_itself and self.waiting > 0 and capacity.waiting_s <= BUSY_SECONDS and self.passes < self.ahead_max / 2
        )
        self._push = min(self._push * PUSH, PUSH_MAX) if idle else 1.0
        said = max(capacity.per_second, min(done, 3 * capacity.per_second))  # it can do what it has done
        if self._measured:
            said = min(3 * said, self._measured if capacity.waiting_s > BUSY_SECONDS else max(self._measured, said))
        self._per_second = said
        self.capacity, self._heard_at, self.silent_since = capacity, now, None
        # What signin could take a moment ago is no promise of what it can now.
        self.passes = min(self.passes, self.ahead_max)

    def moved(self, now: float) -> None:
        """Brings the line to `now`."""
        if self.silent_since is None and now - self._heard_at > SILENT_AFTER_SECONDS:
            self.silent_since = self._heard_at
        elapsed = min(now - self._moved_at, STEP_SECONDS_MAX)
        if 0 <= elapsed < STEP_SECONDS:
            return
        if not 0 <= now - self._moved_at < FROZEN_SECONDS:
            self._runs_since = now
        self._moved_at = now
        self._windows.counted(now)
        self._dues.forget(now)
        self._standby.forget(now)
        self._obey(now)
        if elapsed <= 0 or self.stands or self.is_open:
            return
        fade = max(0.0, 1 - elapsed / COMING_SECONDS)
        self._called, self._came = self._called * fade, self._came * fade
        self.passes = min(self.passes + self.passes_per_second * elapsed, self.ahead_max)
        self._call(elapsed, now)
        under_way = UNDER_WAY_SECONDS * self.per_second
        if now - self._observed_at >= OBSERVED_SECONDS:
            self._fit = forecast.observed(
                self._fit, self._called_new, self._came_new, under_way, now - self._observed_at
            )
            self._observed_at, self._called_new, self._came_new = now, 0.0, 0.0
        level = self._fit.level(under_way)
        self._share, self._trend = level * self.spending, self._fit.trend * self.spending
        self._early = EARLY_SECONDS * self.per_second / self._share

    def at_once(self) -> bool:
        """Whether whoever comes now gets a pass without a place; that is then given."""
        if self.is_open:
            self._given_ever += 1
            return True
        if self.stands or self.steering.closed_room or self.passes < 1 or self.waiting > 0:
            return False
        self._give()
        return True

    def joined(self, lot: float, now: float) -> float:
        """One more who has to come back for their place; the position that they will have."""
        self._joined_at = now
        room = self.steering.room
        return self._windows.joined(
            lot, now, self.per_second, least=0.0 if room is None or room.begins is None else room.ends
        )

    def joined_room(self, position: float, now: float) -> None:
        """One more in the room that has not opened, where they were drawn a place."""
        self._joined_at = now
        self._windows.joined_at(position, now)

    def came_back(self, position: float, now: float) -> None:
        self._windows.came_back(position, now)

    def came_back_before(self, position: float, now: float) -> None:
        """Somebody whom a line before this one had counted."""
        self._windows.came_back_before(position, now)

    def let_in(self, position: float) -> bool:
        """Whoever was called gets in, in debt of passes for a second at most: in the order of the line, not by luck."""
        if self.is_open:
            self._given_ever += 1  # takes nothing from those who come when it is over
            return True
        if self.stands or self._is_held(position):
            return False
        if position >= self._windows.front and self._windows.ahead(position) >= self._early:
            return False
        if self.passes <= -self.ahead_max:  # they stay first in the line
            return False
        if self._is_known:
            self._came += 1
            self._came_new += 1
        self._give()
        return True

    def called_below(self) -> float:
        """Those whose answers are held back, and whose positions lie below it, are to ask now."""
        return inf if self.is_open else min(self._windows.front, self._standby.after(self.passes + self.ahead_max))

    def landed(self, position: float, due: float) -> None:
        """Somebody asks who was told to ask at `due`."""
        self._dues.landed(due)
        self._standby.discard(position)

    def told(self, position: float, now: float) -> tuple[Place, float]:
        """The place of somebody whom `let_in` did not let in, and when they are due to ask again."""
        place = self.place(position)
        due = now + place.poll_after_s + (0.0 if place.held else ANSWER_SECONDS)
        self._dues.tell(due)
        if place.held:
            self._standby.add(position, due)
        return place, due

    # What there is to know

    @property
    def name(self) -> int:
        """The second in which it was opened."""
        return max(1, int(self.opened_at)) % 2**31

    @property
    def stands(self) -> bool:
        """Nobody gets in: signin is silent, or it was ordered so."""
        return not self.is_open and (self.silent_since is not None or self.steering.order.kind == "pause")

    @property
    def is_open(self) -> bool:
        """Everybody gets in at once, by order."""
        return self.steering.order.kind == "open"

    @property
    def ordered_per_second(self) -> float | None:
        """People let in, by order."""
        return self.steering.order.per_second if self.steering.order.kind == "rate" else None

    @property
    def number_of_windows(self) -> int:
        return self._windows.number_of_windows

    @property
    def front(self) -> float:
        return self._windows.front

    @property
    def waiting(self) -> float:
        return self._windows.waiting

    @property
    def ahead_max(self) -> float:
        return max(AHEAD_MIN, AHEAD_SECONDS * self.per_second)

    @property
    def per_second(self) -> float:
        """Sign-ins that signin can take, or what was ordered in its place."""
        return self._per_second if self.ordered_per_second is None else self.ordered_per_second

    @property
    def measured_per_second(self) -> float:
        """What signin can take by its own word, corrected by what it has done while it was busy; 0: not known."""
        return self._per_second if self.silent_since is None else 0.0

    @property
    def passes_per_second(self) -> float:
        """Passes to be spent, corrected by signin's own line."""
        if self.capacity is None or self.stands:
            return 0.0
        if self.ordered_per_second is not None:
            return self.ordered_per_second
        correction = 1 + GAIN_PER_SECOND * (SIGNIN_WAIT_SECONDS - self.capacity.waiting_s)
        return self.per_second * self._push * max(0.0, correction) / self.spending

    @property
    def coming(self) -> float:
        """The share of those called who come."""
        under_way = 1 + UNDER_WAY_SECONDS * self.per_second
        return min(1.0, max(SHARE_MIN, (self._came + under_way) / (self._called + under_way)))

    @property
    def spending(self) -> float:
        """The share of those with a pass who spend it; who does not is not made up for when a rate is ordered."""
        return 1.0 if self.ordered_per_second is not None else self.spent_share

    @property
    def spent_share(self) -> float:
        """The share of passes given of late that were spent."""
        under_way = 1 + self.per_second
        return min(1.0, max(SHARE_MIN, (self._spent + under_way) / (self._given + under_way)))

    @property
    def rate(self) -> float:
        """People per second whom the front passes."""
        return self.passes_per_second / self.coming

    def place(self, position: float) -> Place:
        ahead = self._windows.ahead(position)
        wait_s = self.wait_s(ahead)
        share = POLL_SHARE if self._measured else POLL_SHARE_UNMEASURED
        soon = share * wait_s if wait_s is not None else max(1.0, self.waiting / 1_000)
        most = POLL_SECONDS_MAX
        if wait_s is not None and self._is_held(position) and (room := self.steering.closed_room):
            until_s = self._until_s(room)
            soon, most = until_s + share * (wait_s - until_s), ROOM_POLL_SECONDS_MAX
            if until_s > ROOM_SETTLED_SECONDS:
                soon = until_s - ROOM_SETTLED_SECONDS * (position - room.first) / (room.ends - room.first)
        poll_after_s = min(max(soon, POLL_SECONDS_MIN), most)
        held = wait_s is not None and poll_after_s <= HELD_SECONDS_MAX
        return Place(int(ahead) + 1, wait_s, poll_after_s, held)

    def wait_s(self, ahead: float) -> float | None:
        """Of somebody with so many before them; None while the line is not known to move."""
        if self.is_open:
            return 0.0
        if self.stands or self.per_second <= 0:
            return None
        wait_s = self._wait_s(ahead)
        if (room := self.steering.closed_room) and ahead >= (before := self._windows.ahead(room.first)):
            return max(wait_s, self._until_s(room) + self._wait_s(ahead - before))
        return wait_s

    def wait_of_whoever_comes_s(self) -> float | None:
        room = self.steering.closed_room
        if not self.stands and not room and self.passes >= 1 and self.waiting <= 0:
            return 0.0
        wait_s = self.wait_s(self._windows.back)
        return wait_s if wait_s is None or room is None else max(wait_s, self._until_s(room))

    def turns(self) -> list[tuple[float, int, float]]:
        """Positions from the front on, each with how many stand before it and its wait; what lies between two is
        between their waits. Empty while the line stands still."""
        found: list[tuple[float, int, float]] = []
        for seconds in TURNS_AT:
            ahead = seconds * self.per_second
            position = self._windows.at(ahead) if ahead else self.front
            if position == float("inf"):
                break
            if (wait_s := self.wait_s(ahead)) is not None:
                found.append((position, int(ahead), wait_s))
        if (wait_s := self.wait_s(self.waiting)) is not None:
            found.append((self._windows.end(), int(self.waiting), wait_s))
            if room := self.steering.closed_room:
                before = self._windows.ahead(room.first)
                edges = (self._wait_s(before), self.wait_s(before) or 0.0)
                found += [(room.first, int(before), seconds) for seconds in edges[before <= 0 :]]
                found.sort(key=lambda turn: turn[0])
        return found

    @property
    def state_bytes(self) -> int:
        """What the line takes up in memory, about."""
        return self._windows.bytes_held + self._dues.bytes_held + self._standby.bytes_held

    def measure(self) -> "LineMeasurements":
        lasts = MEMORY_SECONDS
        out = self._given_ever - self._given_counted + max(0.0, self._given - self._spent)
        return LineMeasurements(
            waiting=int(self.waiting),
            given_per_second=self._given / lasts,
            spent_per_second=self._spent / lasts,
            machine_per_second=self.measured_per_second,
            passes_out=int(max(0.0, out)),
            wait_s=self.wait_of_whoever_comes_s(),
            unspent_share=1 - self.spent_share,
            absent_share=1 - self.coming,
            silent_since=self.silent_since,
        )

    def state(self) -> dict[str, Any]:
        """What a door that starts anew has to know."""
        coming = Attendance(self._called, self._came, self._fit, self._measured) if self.waiting > 0 else None
        return {"front": self.front, "windows": self._windows.state(), "coming": coming and asdict(coming)}

    def _obey(self, now: float) -> None:
        """Begins and opens a room at its time; sends the front to the end while everybody is let in."""
        windows = self._windows
        self.steering = advance(self.steering, now, windows.end(), now * NUMBERS_PER_SECOND)
        if self.is_open:
            room = self.steering.room
            windows.front = windows.end() if room is None or room.begins is None else max(windows.end(), room.ends)

    def _is_held(self, position: float) -> bool:
        """Whether it lies in a room that has not opened."""
        room = self.steering.closed_room
        return room is not None and position >= room.first

    @property
    def _is_known(self) -> bool:
        """Whether those who are about to be called could see for long enough where the front is."""
        return self._moved_at - self._runs_since > REACHED_SECONDS

    def _until_s(self, room: ScheduledRoom) -> float:
        return max(0.0, room.opens_at - self._moved_at)

    def _wait_s(self, ahead: float) -> float:
        return forecast.wait_s(ahead + 1, self.per_second, self._share, self._trend)

    def _give(self) -> None:
        self.passes -= 1
        self._given_ever += 1

    def _settle(self, spent: float, waiting_s: float, now: float) -> None:
        """Compares what was spent with what had been given for it."""
        self._given_until.append((now, self._given_ever))
        due_at = now - SPENT_AFTER_SECONDS - waiting_s
        while len(self._given_until) > 1 and self._given_until[1][0] <= due_at:
            self._given_until.popleft()
        given = self._given_until[0][1]
        fade = max(0.0, 1 - (now - self._heard_at) / MEMORY_SECONDS)
        self._given = self._given * fade + given - self._given_counted
        self._spent = self._spent * fade + spent
        self._given_counted = given

    def _call(self, elapsed: float, now: float) -> None:
        """Moves the front; never backwards: whoever has been called stays so."""
        windows = self._windows
        # Where nobody at all gets through to us, nobody has left; nor when it was us who did not answer.
        reached = now - self._joined_at < REACHED_SECONDS and now - self._runs_since > REACHED_SECONDS
        present = self._dues.present(now) if reached else 1.0
        # Slower while more come than were expected, and not at all while as many are let in as may be in advance.
        left = self.passes / self.ahead_max
        passes = self.passes_per_second * elapsed * max(0.0, 1 + (GAIN_OF_PASSES * left if left > 0 else left))
        # Nor so fast that the turns come before the pages, which look where the front is, can ask.
        faster = FASTER if self._measured else FASTER_UNMEASURED
        people = min(passes / self.coming, faster * self.per_second / self._share * elapsed)
        if people <= 0:
            return
        if present < GONE_SHARE:
            self._hurried_at = self._hurried_at or now - REACHED_SECONDS
            since = self._hurried_at * NUMBERS_PER_SECOND
            far = min(windows.at(passes / min(self.coming, present)), since)
            front = max(windows.at(people) if far <= windows.front else far, windows.front)
        else:
            self._hurried_at = None
            front = max(windows.front, windows.at(people))
        # Of those who are known to be there no more are called than there are passes for.
        front = min(front, self._standby.after(self.passes, windows.front))
        room = self.steering.closed_room
        back = (now - BACK_SECONDS) * NUMBERS_PER_SECOND
        front = max(windows.front, min(front, windows.end(), back, room.first if room else back))
        before = windows.waiting
        windows.front = front
        if self._is_known:
            called = before - windows.waiting
            self._called += called
            self._called_new += called
