"""How many people get in when more come than can be hashed, over real sockets: `prikkfri bench signin`.

Signin has one core and one hash thread. Door and playout (one channel), the crowd, and those who are inside are on the
other. What Argon2id itself allows on that core is measured by a closed loop just before and just after each point of
the curve, since machines change: a point whose limits do not agree is not valid. Each point runs some times, and the
median of the valid ones counts. People give up after some seconds, close their connection and are gone: each after
their own time, drawn without memory as the theory of telephone lines has it (Erlang-A), or all after the same.

At the end of the last point the whole crowd leaves at once, and half of what the machine can take comes instead: how
soon as many get in as come is the recovery. A plain FastAPI server gets the same crowds in the same run.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import aiohttp

from prikkfri.clock import SystemClock
from prikkfri.config import ROLES, Config
from prikkfri.errors import PrikkfriError
from prikkfri.signin.credentials import SALT_BYTES, hash_password, matches
from prikkfri.signin.hash_pool import NICENESS
from prikkfri.simulation import demo
from prikkfri.simulation.bench import baseline, machine, probe
from prikkfri.simulation.bench.crowd import FetchResult, Point, Visitor, goals, middle, point, recovery_s
from prikkfri.simulation.bench.lean_http import LeanSession
from prikkfri.simulation.bench.machine import Cores
from prikkfri.simulation.device_key import DeviceKey, DeviceSecret
from prikkfri.simulation.installation import Installation, free_ports, ports_section
from prikkfri.simulation.kickoff import ONE_IN_TELEVISIONS
from prikkfri.simulation.people import TROUBLE, Addresses, LineView, Viewer, ViewerRequest, device_pseudonym

CONFIGURATION = """\
[door]
# The crowd comes from this one machine.
joins_per_network = 0

[signin]
hash_threads = 1

[[streaming.channels]]
id = "bench"
name = "Bench"
number = 1
"""
PSS_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
"""In the mean."""
AGAIN_SECONDS = 1.0
"""Whoever is refused by the plain server comes again after so long."""
TIMEOUT_SECONDS = 5.0
"""Whoever is inside and has no picture after so long has none."""
RECOVERING_X = 0.5
SETTLING_SECONDS_MAX = 5.0
LIMIT_SECONDS_MAX = 2.0
RECOVERY_SECONDS_MAX = 12.0
INSIDE_PAUSE_SECONDS = 1.0

Say = Callable[[str], None]
Person = Callable[[int, float], Awaitable[float]]
"""Somebody tries to get in for so many seconds; returns when they did. They are cancelled when they lose patience."""


@dataclass(frozen=True)
class Plan:
    points: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0)
    seconds: float = 15.0
    rounds: int = 3
    people: int = 500
    """Subscribers, each of whom comes with many devices."""
    inside: int = 20
    together: bool = False
    """All of ours on one core; the crowd on the other."""
    alike: bool = False
    """All give up after the mean time exactly."""
    seed: int = 1

    @property
    def settling_seconds(self) -> float:
        return min(SETTLING_SECONDS_MAX, self.seconds / 3)

    @property
    def recovery_seconds(self) -> float:
        return min(RECOVERY_SECONDS_MAX, 2 * self.seconds)

    @property
    def limit_seconds(self) -> float:
        return min(LIMIT_SECONDS_MAX, self.seconds / 3)


@dataclass(frozen=True)
class Baseline:
    says: str
    points: list[Point] | None
    recovery_s: float | None = None


@dataclass(frozen=True)
class Result:
    hash_limit_per_s: float
    points: list[Point]
    recovery_s: float | None
    """None: not in the time that was looked at."""
    inside_idle_p99_ms: float
    """Of those inside while nobody came, in the same run."""
    peak_pss_mb: float
    """Door and signin."""
    baseline: Baseline
    seconds: float
    rounds: int
    together: bool
    alike: bool
    others_share: float
    machine: str

    def goals(self) -> list[tuple[str, bool]]:
        return goals(self.points, self.recovery_s, self.peak_pss_mb, together=self.together)

    @property
    def inside_failed(self) -> int:
        return sum(each.inside_failed for each in self.points)


def hash_limit(core: int, seconds: float) -> float:
    """Hashes a second that a thread reaches on that core which does nothing else, as kind to others as signin's."""
    os.sched_setaffinity(threading.get_native_id(), {core})
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    hashed = hash_password(demo.PASSWORD, bytes(SALT_BYTES))
    began, done = time.perf_counter(), 0
    while (now := time.perf_counter()) < began + seconds:
        assert matches(demo.PASSWORD, hashed)
        done += 1
    return done / (now - began)


async def measured_limit(cores: Cores, seconds: float) -> float:
    with ThreadPoolExecutor(1) as thread:  # one of its own: it stays where it was put
        return await asyncio.get_running_loop().run_in_executor(thread, hash_limit, cores.tried, seconds)


@dataclass
class Crowd:
    """People who come by lot, so many a second, and give up after a while."""

    person: Person
    lots: random.Random
    alike: bool = False
    came: list[Visitor] = field(default_factory=list)
    number: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def come(self, per_second: float, seconds: float) -> None:
        """Returns when the last has come; some have not got in yet."""
        loop = asyncio.get_running_loop()
        due, end = loop.time(), loop.time() + seconds
        while (due := due + self.lots.expovariate(per_second)) < end:
            await asyncio.sleep(max(0.0, due - loop.time()))
            task = asyncio.create_task(self._try(self.number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self.number += 1
        await asyncio.sleep(max(0.0, end - loop.time()))

    async def gone(self, *, at_once: bool = False) -> list[Visitor]:
        """Waits until nobody is left, or sends all away; returns those who came, and begins anew."""
        tasks = list(self._tasks)
        if at_once:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        came, self.came = self.came, []
        return came

    async def _try(self, number: int) -> None:
        at, got_at = time.time(), 0.0
        patience_s = PATIENCE_SECONDS if self.alike else self.lots.expovariate(1 / PATIENCE_SECONDS)
        try:
            async with asyncio.timeout(patience_s):
                got_at = await self.person(number, patience_s)
        except TimeoutError:
            pass
        finally:
            self.came.append(Visitor(at, got_at))


@dataclass
class HouseUnderTest:
    """A house before which a crowd comes: ours, or the plain one."""

    crowd: Crowd
    hashes: Callable[[], Awaitable[int]]
    fetched: Callable[[], Sequence[FetchResult]]
    settle: Callable[[], Awaitable[None]]
    """Leaves the core to whoever measures it."""
    limits: list[float] = field(default_factory=list)
    recovered_s: float | None = None

    async def curve(self, plan: Plan, cores: Cores, say: Say) -> list[Point]:
        points: dict[float, list[Point]] = {load_x: [] for load_x in plan.points}
        for turn in range(plan.rounds):
            for load_x in plan.points:
                leaving = turn == plan.rounds - 1 and load_x == plan.points[-1]
                found = await self._point(load_x, plan, cores, leaving=leaving)
                points[load_x].append(found)
                say(
                    f"{load_x:4g} x: {found.offered_per_s:6.1f}/s came, {found.goodput_per_s:5.1f}/s got in,"
                    f" {found.goodput_share:.0%} of the limit; wasted {found.wasted_share:.1%},"
                    f" inside failed {found.inside_failed}, p99 {found.inside_p99_ms:.0f} ms"
                    f"{'' if found.valid else '; not valid: the limit changed'}"
                )
        return [middle(each) for each in points.values()]

    async def _point(self, load_x: float, plan: Plan, cores: Cores, *, leaving: bool) -> Point:
        before = await measured_limit(cores, plan.limit_seconds)
        hashes = await self.hashes()
        per_second = load_x * (self.limits[-1] if self.limits else before)
        await self.crowd.come(per_second, plan.settling_seconds)
        begins = time.time()
        await self.crowd.come(per_second, plan.seconds)
        ends = time.time()
        came = await self.crowd.gone(at_once=leaving)
        hashes = await self.hashes() - hashes
        if leaving:
            await self._recover(RECOVERING_X * before, plan.recovery_seconds)
        await self.settle()
        after = await measured_limit(cores, plan.limit_seconds)
        self.limits += [before, after]
        return point(load_x, came, self.fetched(), begins=begins, ends=ends, hashes=hashes, limits=(before, after))

    async def _recover(self, per_second: float, seconds: float) -> None:
        left_at = time.time()
        await self.crowd.come(per_second, seconds)
        ends = time.time()
        self.recovered_s = recovery_s(await self.crowd.gone(), left_at=left_at, ends=ends)


async def run(plan: Plan, *, cores: Cores, say: Say) -> Result:
    """Raises `PrikkfriError`."""
    with (
        tempfile.TemporaryDirectory(prefix="prikkfri-bench-", ignore_cleanup_errors=True) as folder,
        machine.on_core(cores.rest),
    ):
        home = Path(folder)
        (home / "prikkfri.toml").write_text(CONFIGURATION + ports_section(free_ports(len(ROLES) + 1)), encoding="utf-8")
        (home / "prikkfri.toml").chmod(0o600)
        installation = Installation(home)
        others = machine.watching_others(home)
        try:
            return await _run(plan, installation, cores, others, say)
        finally:
            await installation.stop()


async def _run(plan: Plan, installation: Installation, cores: Cores, others: Callable[[], float], say: Say) -> Result:
    home, config, peak = installation.home, installation.configuration(), [0.0]
    people = demo.people(plan.people)
    await demo.seed(config, people)
    role = ["-m", "prikkfri.app"]
    with machine.on_core(cores.tried):
        await installation.start_program("signin", [*role, "signin", "--home", str(home)])
    with machine.on_core(cores.tried if plan.together else cores.rest):
        await asyncio.gather(
            *(installation.start_program(name, [*role, name, "--home", str(home)]) for name in ("door", "playout"))
        )
    file = home / "inside"
    words = [f"--home={home}", f"--file={file}", f"--people={plan.inside}"]
    await installation.start_program("probe", ["-m", "prikkfri.simulation.bench.probe", *words])
    say(f"{plan.inside} are inside and watch; nobody comes for {plan.seconds:g} s")
    watching = asyncio.create_task(_watch_memory([installation.pid("signin"), installation.pid("door")], peak))
    try:
        await asyncio.sleep(plan.seconds)
        idle = machine.quantile([each.ms for each in probe.read(file)], 0.99)
        http = LeanSession()
        crowd = Crowd(_viewers(people[plan.inside :], http, config, plan.seed), random.Random(plan.seed), plan.alike)
        ours = HouseUnderTest(crowd, lambda: _hashes(http, config), lambda: probe.read(file), _nothing)
        try:
            points = await ours.curve(plan, cores, say)
        finally:
            http.close()
        taken = others()  # while the roles are there: of what has ended nobody knows whose it was
    finally:
        watching.cancel()
    await installation.stop()
    return Result(
        hash_limit_per_s=round(statistics.median(ours.limits), 1),
        points=points,
        recovery_s=ours.recovered_s,
        inside_idle_p99_ms=round(idle, 1),
        peak_pss_mb=round(peak[0], 1),
        baseline=await _plain(plan, installation, cores, say),
        seconds=plan.seconds,
        rounds=plan.rounds,
        together=plan.together,
        alike=plan.alike,
        others_share=round(taken, 3),
        machine=machine.described(cores),
    )


async def _nothing() -> None:
    pass


def _viewers(people: Sequence[demo.Person], http: LeanSession, config: Config, seed: int) -> Person:
    clock, at = SystemClock(), Addresses.of(config)
    session = cast(aiohttp.ClientSession, http)  # as far as viewers use one
    line = LineView(session, f"{at.door}/line", clock)

    async def person(number: int, patience_s: float) -> float:
        someone = people[number % len(people)]
        key = DeviceSecret() if number % ONE_IN_TELEVISIONS == 0 else DeviceKey()
        viewer = Viewer(
            someone, device_pseudonym(number, seed=seed), demo.PASSWORD, session, at, clock, key=key, line=line
        )
        asked = await viewer.sign_in(
            give_up_at=clock.now() + patience_s, asked=ViewerRequest(someone.subscriber_id, 0.0)
        )
        return asked.got_at

    return person


async def _hashes(http: LeanSession, config: Config) -> int:
    async with http.get(f"{config.roles.signin.url}/metrics") as answer:
        found = re.search(r"^prikkfri_signin_hashes_total (\S+)", await answer.text(), re.MULTILINE)
    if found is None:
        raise PrikkfriError("signin does not tell how many hashes it has worked out")
    return int(float(found[1]))


async def _watch_memory(pids: list[int], peak: list[float]) -> None:
    while True:
        peak[0] = max(peak[0], machine.pss_mb(pids))
        await asyncio.sleep(PSS_SECONDS)


# the plain server


async def _plain(plan: Plan, installation: Installation, cores: Cores, say: Say) -> Baseline:
    if lacks := baseline.missing():
        say(f"no plain server beside it: {lacks} is not installed")
        return Baseline(f"not installed: {lacks}", None)
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    fetched: list[FetchResult] = []

    async def settle() -> None:
        """What it still hashes for people who are gone would take the core from whoever measures it."""
        await installation.stop()
        await start()

    async def start() -> None:
        with machine.on_core(cores.tried):
            words = ["-m", "prikkfri.simulation.bench.baseline", f"--port={port}"]
            await installation.start_program("baseline", words)
        await _until_it_answers(http, url)

    http = LeanSession()
    crowd = Crowd(_plainly(http, url), random.Random(plan.seed), plan.alike)
    say("the same before a plain FastAPI server")
    await start()
    inside = [asyncio.create_task(_look(url, fetched)) for _ in range(plan.inside)]
    try:
        tried = HouseUnderTest(crowd, lambda: _plain_hashes(url), lambda: fetched, settle)
        return Baseline("FastAPI, uvicorn", await tried.curve(plan, cores, say), tried.recovered_s)
    finally:
        for task in inside:
            task.cancel()
        await asyncio.gather(*inside, return_exceptions=True)
        await installation.stop()
        http.close()


def _plainly(http: LeanSession, url: str) -> Person:
    async def person(_: int, __: float) -> float:
        document = {"login": "kari@example.no", "password": demo.PASSWORD}
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                async with http.post(f"{url}/sign-in", json=document) as answer:
                    if answer.status == 200:
                        return time.time()
            await asyncio.sleep(AGAIN_SECONDS)

    return person


async def _plain_hashes(url: str) -> int:
    """By a connection of its own, and as patiently as it takes: the server may be far behind."""
    http = LeanSession(answer_seconds_max=600.0)
    try:
        async with http.get(f"{url}/hashes") as answer:
            return int(json.loads(answer.body))
    finally:
        http.close()


async def _look(url: str, fetched: list[FetchResult]) -> None:
    """Somebody inside the plain server's house, who fetches a playlist again and again."""
    http = LeanSession(answer_seconds_max=TIMEOUT_SECONDS)
    try:
        while True:
            at, began, trouble = time.time(), time.perf_counter(), ""
            try:
                async with http.get(f"{url}/live/index.m3u8") as answer:
                    trouble = "" if answer.status == 200 else str(answer.status)
            except TROUBLE as error:
                trouble = type(error).__name__
            fetched.append(FetchResult(at, (time.perf_counter() - began) * 1_000, trouble))
            await asyncio.sleep(INSIDE_PAUSE_SECONDS)
    finally:
        http.close()


async def _until_it_answers(http: LeanSession, url: str) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError, TimeoutError):
            async with http.get(f"{url}/hashes"):
                return
        await asyncio.sleep(0.1)
    raise PrikkfriError("the plain server does not answer")
