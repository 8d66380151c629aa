"""The machine of a benchmark: who runs on which core, and what a process has used, as Linux tells it in /proc."""

import contextlib
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prikkfri.errors import UsageError
from prikkfri.simulation.company import others_share, usage

PROC = Path("/proc")
FSYNCS = 50
FSYNC_OCTETS = 8_192
BUSY_SHARE = 0.05
"""Of the machine, that others may take before a figure is said to be from a busy one."""


@dataclass(frozen=True)
class Cores:
    """Who runs where."""

    tried: int
    """The core of the role that is measured."""
    rest: int
    """That of all else: the same one where there is only one."""
    count: int
    """How many there are for us."""

    @property
    def shared(self) -> bool:
        return self.tried == self.rest


def cores_of(allowed: Iterable[int]) -> Cores:
    """The first two of those on which this process may run."""
    first, *more = sorted(allowed)
    return Cores(first, more[0] if more else first, 1 + len(more))


def this_machine() -> Cores:
    """Raises `UsageError` where it cannot be said who runs on which core."""
    if not hasattr(os, "sched_getaffinity") or not PROC.is_dir():
        raise UsageError("bench pins processes to cores and reads /proc: run it on Linux")
    return cores_of(os.sched_getaffinity(0))


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """This thread, and whoever it starts meanwhile, runs on that core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of all their threads so far."""
    ticks = 0
    for pid in pids:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_rss_mb(pid: int) -> float:
    return _kilobytes(PROC / str(pid) / "status", "VmHWM:") / 1_000


def pss_mb(pids: Iterable[int]) -> float:
    """What they hold now, what they share with others in part."""
    return sum(_kilobytes(PROC / str(pid) / "smaps_rollup", "Pss:") for pid in pids) / 1_000


def _kilobytes(file: Path, name: str) -> int:
    line = next(line for line in file.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def fsync_ms(folder: Path) -> float:
    """The mean of so many writes with their fsync, on the disk of that folder."""
    took = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(bytes(FSYNC_OCTETS))
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.fmean(took) * 1_000


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed; 0 without values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def described(cores: Cores) -> str:
    """The machine and the moment, for whoever reads a figure later."""
    return (
        f"{platform.platform()}, Python {platform.python_version()}, {cores.count} core"
        f"{' shared by all' if cores.shared else 's'}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )


def busy(others: float) -> str:
    """What is to be said beside the figures of a machine of which others took so much; empty: nothing."""
    return f"busy machine: others took {others:.0%} of it" if others > BUSY_SHARE else ""


def watching_others(home: Path) -> Callable[[], float]:
    """Begins to watch; asked later, tells what part of the machine others took since (0: nothing is known)."""
    before = usage(home)

    def taken() -> float:
        after = usage(home)
        return others_share(before, after) if before and after else 0.0

    return taken
