"""The waiting room: who comes gets a number, and the front, below which people are called, moves as fast as signin can.

The line itself is held by those who stand in it, each with a signed ticket; here are only a few numbers and a rate.

Theory of operation. Signin reports, about once a second, how many sign-ins it can take (measured) and how long those
already let in wait there. Passes are given at that rate: somewhat faster while signin's own line is shorter than
`SIGNIN_WAIT_SECONDS`, slower while it is longer. The front moves faster than passes are given by the share of those
who are called and do not come. Both run ahead by at most `AHEAD_SECONDS` of capacity: so on a calm evening everyone
is let in at once, and a crowd finds the machines busy from its first second. When signin is silent, all stands still.
"""

from dataclasses import dataclass, replace

SIGNIN_WAIT_SECONDS = 1.0
"""The line that signin should have of its own, so that no thread idles while the let-in are on their way."""
GAIN_PER_SECOND = 0.15
"""How strongly that is corrected. A correction shows some four seconds later: 1.5/4 would begin to swing."""
GAIN_OF_PASSES = 0.5
"""How strongly the front follows passes left over or given beyond their rate; shows a second later."""
AHEAD_SECONDS = 1.0
AHEAD_MIN = 3.0
SILENT_AFTER_SECONDS = 3.0
"""Signin counts as silent when it was last heard so long ago."""
STEP_SECONDS_MAX = 2.0
"""A door that was frozen must not let a minute's crowd in at once."""
MEMORY_SECONDS = 15.0
"""Over which the share of those who come is measured; longer than any step."""
UNDER_WAY_SECONDS = 2.0
"""Those called so recently may still come."""
COMING_MIN = 0.2
POLL_SECONDS_MIN = 1.0
POLL_SECONDS_MAX = 60.0
POLLS_PER_SECOND = 1_000.0
"""What the door plans for, however long the line is."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What signin says."""

    per_second: float
    waiting_s: float


@dataclass(frozen=True, slots=True)
class Line:
    next_number: int
    """For whoever comes now."""
    front: float
    """Numbers below it are let in."""
    moved_at: float
    pace: float = 0.0
    """Numbers per second that the front has lately moved by: what a wait is foretold from."""
    passes: float = 0.0
    """That may be given now; below zero when more came than were expected."""
    capacity: Capacity | None = None
    heard_at: float = 0.0
    silent_since: float | None = None
    called: float = 0.0
    """Numbers that the front has passed, of late."""
    came: float = 0.0
    """Those of them who came for their pass."""

    @property
    def waiting(self) -> float:
        return max(0.0, self.next_number - self.front)

    @property
    def ahead_max(self) -> float:
        return max(AHEAD_MIN, AHEAD_SECONDS * self.capacity.per_second) if self.capacity else AHEAD_MIN

    @property
    def passes_per_second(self) -> float:
        if self.capacity is None or self.silent_since is not None:
            return 0.0
        correction = 1 + GAIN_PER_SECOND * (SIGNIN_WAIT_SECONDS - self.capacity.waiting_s)
        return self.capacity.per_second * max(0.0, correction)

    @property
    def coming(self) -> float:
        """The share of those called who come."""
        under_way = 1 + UNDER_WAY_SECONDS * (self.capacity.per_second if self.capacity else 0.0)
        return min(1.0, max(COMING_MIN, (self.came + under_way) / (self.called + under_way)))

    @property
    def rate(self) -> float:
        """Numbers per second by which the front moves."""
        return self.passes_per_second / self.coming


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody stands who has to wait."""

    ahead: int
    wait_s: float | None
    """None while the line stands still."""
    poll_after_s: float


def opened(next_number: int, front: float, now: float) -> Line:
    """The line as it was left; it stands until signin is heard."""
    return Line(next_number, front, now, silent_since=now)


def heard(line: Line, capacity: Capacity, now: float) -> Line:
    pace = capacity.per_second if line.capacity is None or not line.waiting else line.pace
    line = replace(line, capacity=capacity, heard_at=now, silent_since=None, pace=pace)
    # What signin could take a moment ago is no promise of what it can now.
    return replace(line, passes=min(line.passes, line.ahead_max))


def moved(line: Line, now: float) -> Line:
    """The line at `now`."""
    if line.silent_since is None and now - line.heard_at > SILENT_AFTER_SECONDS:
        line = replace(line, silent_since=line.heard_at)
    elapsed = min(max(0.0, now - line.moved_at), STEP_SECONDS_MAX)
    if elapsed == 0:
        return replace(line, moved_at=now)
    passes = min(line.passes + line.passes_per_second * elapsed, line.ahead_max)
    # Slower while more come than were expected. And never backwards: whoever has been called stays so.
    step = line.rate * elapsed * max(0.0, 1 + GAIN_OF_PASSES * passes / line.ahead_max)
    front = max(line.front, min(line.front + step, line.next_number + line.ahead_max))
    pace = line.pace + (step / elapsed - line.pace) * elapsed / MEMORY_SECONDS if line.rate else line.pace
    called = min(front, line.next_number) - min(line.front, line.next_number)
    fading = 1 - elapsed / MEMORY_SECONDS
    return replace(
        line,
        front=front,
        moved_at=now,
        pace=pace,
        passes=passes,
        called=line.called * fading + called,
        came=line.came * fading,
    )


def joined(line: Line) -> tuple[Line, int]:
    """One more in the line, and the number that they get."""
    return replace(line, next_number=line.next_number + 1), line.next_number


def remembered(line: Line, number: int) -> Line:
    """The line after somebody showed a number that a crash may have made it forget."""
    return line if number < line.next_number else replace(line, next_number=number + 1)


def let_in(line: Line, number: int, *, waited: bool) -> Line | None:
    """The line after this number got its pass; None: it has to wait (on).

    Whoever was called gets in, in debt of the passes if need be: in the order of the line, not by luck.
    """
    if line.silent_since is not None or number >= line.front or (line.passes < 1 and not waited):
        return None
    return replace(line, passes=line.passes - 1, came=line.came + waited)


def place(line: Line, number: int) -> Place:
    """The place of somebody whom `let_in` did not let in."""
    ahead = max(0.0, number - line.front)
    wait_s = (ahead + 1) / line.pace if line.silent_since is None and line.pace > 0 else None
    fair_share = line.waiting / POLLS_PER_SECOND
    # Those about to be called ask often, the others as seldom as they may without missing their turn.
    soonest = wait_s / 4 if wait_s is not None else fair_share
    poll_after_s = min(max(soonest, min(fair_share, wait_s or fair_share), POLL_SECONDS_MIN), POLL_SECONDS_MAX)
    return Place(int(ahead) + 1, wait_s, poll_after_s)
