"""A whole Prikkfri of a rehearsal's own: its roles are real processes in a temporary home, and can be hurt."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prikkfri.app.process import STANDBY, python
from prikkfri.app.supervisor import pid_file
from prikkfri.config import HOME_VARIABLE, ROLES, Config, load
from prikkfri.errors import PrikkfriError
from prikkfri.simulation.faults import Harm

READY_SECONDS_MAX = 90.0
"""Many roles start at once, on however few cores there are."""
STOP_SECONDS_MAX = 10.0
PID_SECONDS = 0.1
SLOW_PERIOD_SECONDS = 0.25
SLOW_AWAKE_SHARE = 0.02
"""A slowed role runs for so much of each period and is stopped for the rest."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and that this machine gives to nobody else until this process has ended.

    They stay bound here without listening: whoever sets `SO_REUSEADDR`, as servers do, may listen on them all the same,
    but no other search for a free port finds them and no outgoing connection is given one.
    """
    sockets = [socket.socket() for _ in range(count)]
    for holding in sockets:
        holding.bind(("127.0.0.1", 0))
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    ports = [holding.getsockname()[1] for holding in sockets]
    for holding in sockets:
        holding.detach()
    return ports


def ports_section(ports: Sequence[int]) -> str:
    """The `[roles]` of a configuration: eight ports, the last one for SMPP."""
    lines = [f"[roles.{role}]\nport = {port}" for role, port in zip(ROLES, ports, strict=False)]
    return "\n".join(lines).replace("[roles.sms]", f"[roles.sms]\nsmpp_port = {ports[len(ROLES)]}") + "\n"


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("PRIKKFRI_")}


@dataclass
class _Process:
    arguments: list[str]
    process: asyncio.subprocess.Process
    slowing: asyncio.Task[None] | None = None


@dataclass
class Installation:
    """Roles (and the world's own programs) by name."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """`PRIKKFRI_...` variables for its roles; those of whoever runs the rehearsal are not theirs."""
    launcher: Sequence[str] = ()
    """What stands before the command line of each of its processes."""
    file: Path | None = field(default=None, init=False)
    """It goes by that in its home."""
    _running: dict[str, _Process] = field(default_factory=dict)

    def configuration(self) -> Config:
        return load(self.home, file=None, environment=self.settings, demo=True)

    def environment(self) -> dict[str, str]:
        """What its roles, and commands that ask it, are given: nothing of whoever's shell it was started from."""
        return without_ours(os.environ) | dict(self.settings)

    async def start(self, roles: Sequence[str] = ROLES) -> None:
        """Starts roles and waits until they serve. Raises `PrikkfriError` with the role that does not."""
        await asyncio.gather(*(self._start_role(role) for role in roles))

    async def start_program(self, name: str, arguments: list[str]) -> None:
        """Starts another program of ours (`-m prikkfri.simulation.handsets ...`) and waits until it is ready."""
        log = self.home / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *self.launcher,
                *python(arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=self.environment(),
                start_new_session=True,  # uvloop knows no process_group
            )
        self._running[name] = _Process(arguments, process)
        assert process.stdout is not None
        line = STANDBY.encode()
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                while line.startswith(STANDBY.encode()):  # for the one that was killed, whose end is not known yet
                    line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if line != b"ready\n":
            raise PrikkfriError(f"{name} does not start; see {log}")

    def pid(self, name: str) -> int:
        """The process of a role or a program that was started."""
        return self._running[name].process.pid

    async def harm(self, role: str, harm: Harm) -> None:
        """Kills, freezes or slows a role until it is given back."""
        running = self._running[role]
        if harm == "kill":
            running.process.kill()
            await running.process.wait()
        elif harm == "freeze":
            running.process.send_signal(signal.SIGSTOP)
        else:
            running.slowing = asyncio.create_task(slow(running.process.pid), name=f"slow {role}")

    async def give_back(self, role: str) -> None:
        """Undoes what harmed a role: starts it again, lets it go on, or at full speed."""
        running = self._running[role]
        if running.slowing is not None:
            running.slowing.cancel()
            await asyncio.gather(running.slowing, return_exceptions=True)
            running.slowing = None
        if running.process.returncode is None:
            running.process.send_signal(signal.SIGCONT)
        else:
            await self._start_role(role)

    async def stop(self) -> None:
        """Ends everything; kills what has not ended after `STOP_SECONDS_MAX`."""
        for running in self._running.values():
            if running.slowing is not None:
                running.slowing.cancel()
            with contextlib.suppress(ProcessLookupError):
                running.process.terminate()
                running.process.send_signal(signal.SIGCONT)
        for running in self._running.values():
            try:
                await asyncio.wait_for(running.process.wait(), STOP_SECONDS_MAX)
            except TimeoutError:
                running.process.kill()
                await running.process.wait()
        self._running.clear()

    async def _start_role(self, role: str) -> None:
        await self.start_program(role, ["-m", "prikkfri.app", role, "--home", str(self.home), "--demo"])


def stored_at(database: str) -> dict[str, str]:
    """The setting of an installation whose databases are there; none: in its home."""
    return {"PRIKKFRI_STORAGE_URL": database} if database else {}


def demo_settings(database: str) -> dict[str, str]:
    """What a demo that runs goes by beside its file: settings of the shell, as every command that asks it does."""
    names = {*os.environ} - {*without_ours(os.environ), HOME_VARIABLE}
    return {name: os.environ[name] for name in names} | stored_at(database)


@dataclass
class BorrowedInstallation:
    """A Prikkfri that runs already, under its own supervisor: its roles can be hurt, and are given back.

    One that is killed is killed again each time its supervisor has started it, until it is given back: a crash loop.
    """

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """What it was started with beside its file: its ports, where its databases are."""
    file: Path | None = None
    """Its configuration, where that is not `prikkfri.toml` in the home."""
    _harming: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _frozen: dict[str, int] = field(default_factory=dict)

    def configuration(self) -> Config:
        return load(self.home, file=self.file, environment=self.settings, demo=True)

    def environment(self) -> dict[str, str]:
        return without_ours(os.environ) | dict(self.settings)

    def refuse_idle(self) -> None:
        """Raises `PrikkfriError` with the role, and the mend, when one does not run."""
        for role in ROLES:
            self._pid(role)

    async def harm(self, role: str, harm: Harm) -> None:
        """Kills, freezes or slows a role until it is given back. Raises `PrikkfriError` when it does not run."""
        if harm == "freeze":
            self._frozen[role] = self._pid(role)
            os.kill(self._frozen[role], signal.SIGSTOP)
            return
        work = self._kill(role, self._pid(role)) if harm == "kill" else slow(self._pid(role))
        self._harming[role] = asyncio.create_task(work, name=f"{harm} {role}")

    async def give_back(self, role: str) -> None:
        if task := self._harming.pop(role, None):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if pid := self._frozen.pop(role, 0):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def stop(self) -> None:
        """Gives back whatever is still hurt; what runs goes on."""
        for role in {*self._harming, *self._frozen}:
            await self.give_back(role)

    async def _kill(self, role: str, pid: int) -> None:
        killed = 0
        while True:
            if pid != killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed = pid
            await asyncio.sleep(PID_SECONDS)
            with contextlib.suppress(PrikkfriError):
                pid = self._pid(role)

    def _pid(self, role: str) -> int:
        file = pid_file(self.home, role)
        try:
            pid = int(file.read_text(encoding="ascii"))
            # A file that was left behind may name a process that is nobody's business here.
            runs = f"prikkfri.app\0{role}\0" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
        except (OSError, ValueError):
            runs = False
        if not runs:
            raise PrikkfriError(
                f"{role} does not run under {self.home}; start it with prikkfri serve --demo --home {self.home}"
            )
        return pid


async def slow(pid: int) -> None:
    """Lets a process run for a small part of the time, until cancelled or until it has ended."""
    with contextlib.suppress(ProcessLookupError):
        try:
            while True:
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(SLOW_PERIOD_SECONDS * (1 - SLOW_AWAKE_SHARE))
                os.kill(pid, signal.SIGCONT)
                await asyncio.sleep(SLOW_PERIOD_SECONDS * SLOW_AWAKE_SHARE)
        finally:
            os.kill(pid, signal.SIGCONT)
