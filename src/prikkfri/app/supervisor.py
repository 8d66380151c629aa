"""Supervision: every role a process, restarted when it ends, with growing pauses; stopped cleanly within 10 s.

One that says that a person has to mend something first stays down, is said once, and is tried again now and then. The
others serve.

A role tells that it is ready by a line on its standard output. It ends by itself when its standard input closes, so
that no role outlives a supervisor that was killed.
"""

import asyncio
import contextlib
import json
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prikkfri.app.limits import LIMITS, AppLimits
from prikkfri.app.locks import file_name, out_of_reach
from prikkfri.app.process import STANDBY, python

KILLED_SECONDS_MAX = 1.0
"""A process in the middle of a broken disk outlives even this signal."""
LINE_BYTES_MAX = 20_000
BAD_USAGE = 2
"""The exit code with which a program says that no restart will help before a person has mended something."""
AWAY = 75
"""The exit code with which a program says that its database was not at hand (`EX_TEMPFAIL` of sysexits.h)."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """One process to keep alive."""

    name: str
    arguments: Sequence[str]
    """What follows `python`."""
    log: Path
    """Where its standard error goes."""
    helper: bool = False
    """One beside the roles: when it alone runs, nothing is served."""


def pid_file(home: Path, name: str) -> Path:
    """Where the process id of a program that is supervised in a home stands while it runs."""
    return home / "run" / f"{file_name(name)}.pid"


def recent_ends(ends: Sequence[float], now: float, limits: AppLimits = LIMITS) -> int:
    """How many of a program's ends (monotonic seconds) count towards a crash loop."""
    return sum(now - end < limits.crash_loop_seconds for end in ends)


def pause_before_restart(ends: Sequence[float], now: float, limits: AppLimits = LIMITS) -> float:
    """Seconds to wait before starting again a program that has ended at `ends`, `now` for the last time."""
    doublings = max(recent_ends(ends, now, limits) - 1, 0)
    return float(min(limits.pause_seconds * 2**doublings, limits.pause_seconds_max))


@dataclass
class _Running:
    program: Program
    process: asyncio.subprocess.Process | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """It has been ready, or stays down."""
    down: str = ""
    """What has to be mended before it can run; empty: nothing that is known."""
    said: str = ""
    """What this run has said on its standard output, beside that it is ready: it could not write its log."""
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=20))


class Supervisor:
    def __init__(self, programs: Sequence[Program], *, home: Path, say: Say, limits: AppLimits = LIMITS) -> None:
        self._home = home
        self._running = [_Running(program) for program in programs]
        self._say = say
        self._limits = limits
        self._stopping = asyncio.Event()
        self._failed: str = ""

    async def run(self, *, when_ready: Callable[[], None]) -> int:
        """Keeps the programs alive until SIGINT or SIGTERM; returns the exit code for the shell."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        async with asyncio.TaskGroup() as tasks:
            keepers = [tasks.create_task(self._keep(running)) for running in self._running]
            announcing = tasks.create_task(self._announce(when_ready))
            await self._stopping.wait()
            announcing.cancel()
            await self._stop()
            for keeper in keepers:
                keeper.cancel()
        if self._failed:
            self._say(self._failed)
            return BAD_USAGE
        return 0

    async def _announce(self, when_ready: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(self._limits.ready_seconds_max):
                for running in self._running:
                    await running.settled.wait()
        except TimeoutError:
            late = ", ".join(r.program.name for r in self._running if not r.settled.is_set())
            self._say(f"not ready after {self._limits.ready_seconds_max:.0f} s: {late}; see their logs")
            return
        if not self._stopping.is_set():
            when_ready()

    async def _keep(self, running: _Running) -> None:
        while not self._stopping.is_set():
            mend = ""
            try:
                if (code := await self._run_once(running)) == BAD_USAGE:
                    mend = running.said or _last_words(running.program.log)
            except OSError as error:  # its log cannot be written
                code, mend = BAD_USAGE, out_of_reach(error)
            if self._stopping.is_set():
                return
            program = running.program
            if mend:
                self._stays_down(running, mend)
                await self._pause(self._limits.mended_asked_seconds)
                continue
            running.down, now = "", time.monotonic()
            running.ends.append(now)
            pause = pause_before_restart(running.ends, now, self._limits)
            if code == AWAY:  # what it waits for comes back at a moment of its own
                pause = min(pause, self._limits.away_pause_seconds_max)
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
            recent = recent_ends(running.ends, now, self._limits)
            if recent >= self._limits.crash_loop_ends:
                self._say(
                    f"{program.name} is in a crash loop: {recent} ends in {self._limits.crash_loop_seconds:.0f} s; "
                    f"it {how}, last said: {_last_words(program.log)}; next try in {pause:.0f} s"
                )
            else:
                self._say(f"{program.name} {how}; starting it again in {pause:g} s")
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _stays_down(self, running: _Running, mend: str) -> None:
        if mend != running.down:
            self._say(f"{running.program.name} stays down: {mend}")
        running.down = mend
        running.settled.set()
        if all(each.down for each in self._running if not each.program.helper):
            self._failed = "nothing can be served before that is mended"
            self._stopping.set()

    def _serves(self, running: _Running) -> None:
        if running.down:
            self._say(f"{running.program.name} serves: what kept it down is mended")
        running.down = ""
        running.settled.set()

    async def _run_once(self, running: _Running) -> int:
        running.program.log.parent.mkdir(parents=True, exist_ok=True)
        with running.program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *python(running.program.arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                process_group=0,  # Ctrl-C is for us; we tell them
            )
        running.process, running.said = process, ""
        assert process.stdout is not None
        file = pid_file(self._home, running.program.name)
        try:
            _write_pid(file, process.pid)
            while line := await process.stdout.readline():
                if line == b"ready\n":
                    self._serves(running)
                elif line.startswith(STANDBY.encode()):
                    self._say(f"{running.program.name} {line.decode('utf-8', 'replace').strip()}")
                    running.settled.set()
                else:
                    running.said = line.decode("utf-8", "replace").strip()
            return await process.wait()
        finally:
            running.process = None
            with contextlib.suppress(OSError):
                file.unlink()

    async def _stop(self) -> None:
        processes = [running.process for running in self._running if running.process is not None]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGCONT)  # a frozen one could not hear it
        seconds_max = self._limits.stop_seconds_max
        try:
            async with asyncio.timeout(seconds_max):
                for process in processes:
                    await process.wait()
        except TimeoutError:
            for running in self._running:
                if (stuck := running.process) is not None:
                    self._say(f"{running.program.name} did not stop within {seconds_max:.0f} s and was killed")
                    with contextlib.suppress(ProcessLookupError, TimeoutError):
                        stuck.kill()
                        await asyncio.wait_for(stuck.wait(), KILLED_SECONDS_MAX)


def _write_pid(file: Path, pid: int) -> None:
    with contextlib.suppress(OSError):  # on a full disk it serves all the same
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{pid}\n", encoding="ascii")


def _last_words(log: Path) -> str:
    """What a program wrote last: plain text, or the message and the exception of a structured line."""
    line = _last_line(log)
    try:
        entry = json.loads(line)
        exception = entry.get("exception", "").strip().splitlines()[-1:]
        return ": ".join([entry["message"], *exception])
    except (ValueError, KeyError, TypeError, AttributeError):
        return line


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - LINE_BYTES_MAX, 0))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return "(no log)"
    return lines[-1] if lines else "(nothing)"
