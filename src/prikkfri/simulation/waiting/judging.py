"""What the people saw of an evening in the line, against what they were promised; judged by their own watch alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from prikkfri.simulation.waiting.world import CALM_SECONDS, LATE_SECONDS_MAX, RESTART_SECONDS, Evening, Scene

OVERTAKEN_SECONDS = 1.0
SHOWN_AFTER_SECONDS = 60.0
"""Of each person's wait, from which on what they are shown counts."""
NEAR_SHARE, NEAR_SECONDS = 0.1, 15.0
RECOVERED_SHARE = 0.9
MACHINE_USED_MIN = 0.95
OUTSTANDING_SECONDS_MAX = 2.0
STATE_BYTES_MAX = 10_000_000
SETTLED_SECONDS = 5.0
GOODPUT_SHARE_MIN = 0.85
HONEST_SHARE_MIN = 0.95
RECOVERY_SECONDS_MAX = 5.0
MEDIAN_SECONDS_MAX = {"leaving_12": 5.0, "leaving_45": 7.0}


@dataclass(frozen=True, slots=True)
class EstimateError:
    """How far the waits shown were from the real ones."""

    median: float
    p90: float
    p90_of_allowed: float
    """The 90th percentile of each error against a tenth of its wait or 15 s, whichever is more."""


@dataclass(frozen=True, slots=True)
class Result:
    waiting_peak: int
    state_bytes: int
    overtaken_by_more_than_1_s: int
    estimate_error_s: dict[str, EstimateError]
    machine_used: float
    passes_outstanding_s: float
    bots_30: dict[str, float]
    all_leave_recovery_s: float
    ten_times: dict[str, float]
    door_killed: dict[str, float]
    """`overtaken`: called by more than a second later than who came after them, beside what they themselves were late
    since they had found no door."""
    forged_admitted: int
    repeated_admitted: int
    tickets_per_cpu_s: float

    @property
    def holds(self) -> bool:
        errors = self.estimate_error_s
        return (
            self.overtaken_by_more_than_1_s == self.forged_admitted == self.repeated_admitted == 0
            and all(errors[name].median <= most for name, most in MEDIAN_SECONDS_MAX.items())
            and all(error.p90_of_allowed <= 1 for error in errors.values())
            and self.machine_used >= MACHINE_USED_MIN
            and self.passes_outstanding_s <= OUTSTANDING_SECONDS_MAX
            and self.state_bytes < STATE_BYTES_MAX
            and self.bots_30["honest_share"] > HONEST_SHARE_MIN
            and self.all_leave_recovery_s <= RECOVERY_SECONDS_MAX
            and self.ten_times["goodput_share"] >= GOODPUT_SHARE_MIN
            and self.door_killed["goodput_share"] >= GOODPUT_SHARE_MIN
            and self.door_killed["overtaken"] == 0
        )


def overtaken(evening: Evening, seconds: float = OVERTAKEN_SECONDS) -> int:
    """How many were called more than a second after somebody who reached the door later.

    Not counted are pages in the background, which neither look nor ask in time: they are let in when they ask.
    """
    order = np.argsort(evening.joined_at, kind="stable")
    called = np.where(np.isnan(evening.called_at), np.inf, evening.called_at)[order]
    first_of_later = np.append(np.minimum.accumulate(called[::-1])[::-1][1:], np.inf)
    return int(np.sum((called < np.inf) & ~evening.absent[order] & (called > first_of_later + seconds)))


def estimate_error(evening: Evening) -> EstimateError:
    errors, allowed = [np.empty(0)], [np.empty(0)]
    for who, now, shown in evening.shown:
        real = evening.called_at[who] - now
        counts = (real >= 0) & (now - evening.came_at[who] >= SHOWN_AFTER_SECONDS) & ~evening.absent[who]
        errors.append(np.abs(shown - real)[counts])
        allowed.append(np.maximum(NEAR_SHARE * real[counts], NEAR_SECONDS))
    error, most = np.concatenate(errors), np.concatenate(allowed)
    if not len(error):
        return EstimateError(0.0, 0.0, 0.0)
    return EstimateError(
        round(float(np.median(error)), 2),
        round(float(np.quantile(error, 0.9)), 2),
        round(float(np.quantile(error / most, 0.9)), 3),
    )


def machine_used(evening: Evening) -> float:
    """The share of what signin could have taken while people waited: from the crowd's coming until the last is called,
    and not the last seconds, in which only background pages are left."""
    last = float(np.nanmax(evening.called_at)) - LATE_SECONDS_MAX
    used = [(done, able) for at, done, able in evening.used if at - 1 > CALM_SECONDS and at < last]
    able = sum(able for _, able in used)
    return round(sum(done for done, _ in used) / able, 4) if able else 1.0


def goodput_share(evening: Evening, scene: Scene) -> float:
    """Sign-ins of people who were still there, as a share of what signin could take while they came, but for the first
    seconds of the crowd."""
    return _goodput_share(evening, scene, CALM_SECONDS + SETTLED_SECONDS)


def goodput_share_after_restart(evening: Evening, scene: Scene) -> float:
    """The same from some seconds after the door had started anew."""
    assert scene.door_killed_at_s is not None
    return _goodput_share(evening, scene, CALM_SECONDS + scene.door_killed_at_s + RESTART_SECONDS + SETTLED_SECONDS)


def _goodput_share(evening: Evening, scene: Scene, begins: float) -> float:
    ends = float(evening.came_at[-1])
    done = (evening.signed_in_at >= begins) & (evening.signed_in_at < ends)
    useful = int(np.sum(done & (evening.signed_in_at < evening.leaves_at)))
    return round(useful / (scene.capacity_per_second * (ends - begins)), 4)


def outstanding_s(evening: Evening) -> float:
    """The most passes of honest people that were given and not spent, in seconds of capacity."""
    return round(max(seconds for _, seconds in evening.outstanding_s), 2)


def recovery_s(evening: Evening, scene: Scene, offered_share: float) -> float:
    """From when all left until those who came after them got in as fast as they came, or as signin could take them."""
    assert scene.all_leave_after_s is not None
    left = CALM_SECONDS + scene.all_leave_after_s
    for at, done, able in evening.used:
        if at - 1 > left + 1 and able and done >= RECOVERED_SHARE * min(1.0, offered_share) * able:
            return round(at - left, 2)
    return float("inf")


def document(result: Result) -> dict[str, Any]:
    return {
        "waiting_peak": result.waiting_peak,
        "state_bytes": result.state_bytes,
        "overtaken_by_more_than_1_s": result.overtaken_by_more_than_1_s,
        "estimate_error_s": {
            name: {"median": error.median, "p90": error.p90} for name, error in result.estimate_error_s.items()
        },
        "machine_used": result.machine_used,
        "passes_outstanding_s": result.passes_outstanding_s,
        "bots_30": result.bots_30,
        "all_leave_recovery_s": result.all_leave_recovery_s,
        "ten_times": result.ten_times,
        "door_killed": result.door_killed,
        "forged_admitted": result.forged_admitted,
        "repeated_admitted": result.repeated_admitted,
        "tickets_per_cpu_s": result.tickets_per_cpu_s,
    }
