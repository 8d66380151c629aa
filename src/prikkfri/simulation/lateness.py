"""Lateness: whether the machine had time for a rehearsal, as the rehearsal itself has measured while it ran.

A clock of the rehearsal's own ticks all the time, and its people come at planned moments. On a machine that is too busy
both are late; and how much of it others than the rehearsal and the roles take is looked at as well (`company`), since
the roles may be late where the rehearsal is not. What the product then did in time, or did not, says nothing of the
product: it is not judged.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from prikkfri.clock import Clock
from prikkfri.simulation.report import Check

TICK_SECONDS = 0.1
LATE_SECONDS = 0.25
"""What comes so much later than it should is late."""
LATE_SHARE_MAX = 0.1
"""With a larger part of them late, the machine was too busy ..."""
LATE_SECONDS_MAX = 3.0
"""... and also when anything at all was so late: the checks count in tens of seconds."""
OTHERS_SHARE_MAX = 0.6
"""With more of the machine taken by others, on average, roles wait for their turn."""
ALREADY = "it was so before the fault had begun"


@dataclass(frozen=True)
class Lateness:
    share: float = 0.0
    """Of all that was to happen at a moment: how much of it was late."""
    worst_s: float = 0.0
    others_share: float = 0.0
    """Of the machine, that others than the rehearsal and the roles took."""

    @property
    def too_busy(self) -> str:
        """Why nothing that is a matter of time can be judged; empty: it can."""
        if self.share > LATE_SHARE_MAX or self.worst_s > LATE_SECONDS_MAX:
            return (
                f"the machine was too busy: {self.share:.0%} of what was to happen came more than {LATE_SECONDS} s"
                f" late, {self.worst_s:.1f} s at the worst"
            )
        if self.others_share > OTHERS_SHARE_MAX:
            return f"the machine was too busy: others took {self.others_share:.0%} of it"
        return ""


def lateness(late: Sequence[float], others: Sequence[float] = ()) -> Lateness:
    """`late`: by how many seconds each thing came late; `others`: what part of the machine others took, by stretch."""
    share = sum(each > LATE_SECONDS for each in late) / len(late) if late else 0.0
    taken = sum(others) / len(others) if others else 0.0
    return Lateness(round(share, 4), round(max(0.0, *late, 0.0), 2), round(taken, 4))


async def keep_time(late: list[float], clock: Clock) -> None:
    """Until cancelled: adds by how much each tick came late."""
    due = clock.monotonic()
    while True:
        due += TICK_SECONDS
        await asyncio.sleep(due - clock.monotonic())
        now = clock.monotonic()
        late.append(now - due)
        due = max(due, now)  # one long wait is one thing that was late


def not_judged(check: Check, reason: str) -> Check:
    return replace(check, figure=f"not judged: {reason}", holds=None)


def timed(check: Check, busy: str) -> Check:
    """A check that is a matter of time: on a machine that was too busy it is neither kept nor broken."""
    return not_judged(check, busy) if busy else check


def unless_held(check: Check, busy: str) -> Check:
    """A check that a busy machine may have broken, by what came too late to be counted: when it holds, it holds."""
    return not_judged(check, busy) if busy and not check.holds else check


def within(name: str, after_s: float | None, most_s: float, busy: str, *, figure: str, also: bool = True) -> Check:
    """A check that something came within so many seconds of the fault (`after_s`: None when before it), and `also`."""
    if after_s is None:
        return not_judged(Check(name, "", None), busy or ALREADY)
    return timed(Check(name, figure, 0 <= after_s <= most_s and also), busy)


def green_checks(green_at: float | None, mended_at: float, busy: str) -> list[Check]:
    """Whether the status page was green in the end; none where nobody has looked."""
    if green_at is None:
        return []
    figure = f"{green_at - mended_at:.1f} s after the fault had ended" if green_at else "never"
    return [unless_held(Check("The status page was green again in the end", figure, green_at > 0), busy)]


def reason_not_judged(checks: Sequence[Check]) -> str:
    """Why some checks could not be judged; empty: all were."""
    reasons = dict.fromkeys(check.figure.removeprefix("not judged: ") for check in checks if check.holds is None)
    return "; ".join(reasons)
