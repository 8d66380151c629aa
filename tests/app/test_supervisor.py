"""Supervision with real processes."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from prikkfri.app.supervisor import Program, Supervisor, pause_before_restart

pytestmark = pytest.mark.slow


def test_pauses_grow_and_end_growing() -> None:
    ends = [float(i) for i in range(12)]
    pauses = [pause_before_restart(ends[:n], now=12.0) for n in range(1, 13)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert pauses[-1] == 30
    assert pause_before_restart(ends, now=1_000.0) == pauses[0]


class Scene:
    """A supervisor over small scripts, told to stop by SIGTERM as in life."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.ready = asyncio.Event()

    def program(self, name: str, script: str) -> Program:
        file = self.folder / f"{name}.py"
        file.write_text(script, encoding="utf-8")
        return Program(name, [str(file)], self.folder / f"{name}.log")

    def start(self, *programs: Program) -> asyncio.Task[int]:
        supervisor = Supervisor(programs, home=self.folder, say=self.said.append)
        return asyncio.create_task(supervisor.run(when_ready=self.ready.set))

    async def until(self, words: str) -> None:
        async with asyncio.timeout(20):
            while not any(words in line for line in self.said):
                await asyncio.sleep(0.05)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


STAYS = "import sys; print('ready', flush=True); sys.stdin.read()"
NOTES_ITS_PID = "import os, sys; open(sys.argv[0] + '.pid', 'a').write(f'{os.getpid()} ')\n"


async def pids(scene: Scene, name: str, count: int) -> list[int]:
    file = scene.folder / f"{name}.py.pid"
    async with asyncio.timeout(20):
        while not file.exists() or len(file.read_text().split()) < count:
            await asyncio.sleep(0.05)
    return [int(pid) for pid in file.read_text().split()]


async def test_a_killed_program_is_started_again_and_a_stop_is_clean(scene: Scene) -> None:
    running = scene.start(scene.program("a", NOTES_ITS_PID + STAYS))
    await asyncio.wait_for(scene.ready.wait(), 20)
    os.kill((await pids(scene, "a", 1))[0], signal.SIGKILL)
    await scene.until("was killed by SIGKILL; starting it again")
    second = (await pids(scene, "a", 2))[1]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 20) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


async def test_a_crash_loop_is_said_plainly_with_the_last_words(scene: Scene) -> None:
    running = scene.start(scene.program("b", "import sys; sys.exit('no luck today')"))
    await scene.until("crash loop")
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 20)
    assert any("no luck today" in line for line in scene.said)


async def test_bad_usage_stops_everything_with_the_reason(scene: Scene) -> None:
    running = scene.start(
        scene.program("c", "import sys; print('port 1 is taken', file=sys.stderr); sys.exit(2)"),
        scene.program("d", STAYS),
    )
    assert await asyncio.wait_for(running, 20) == 2
    assert scene.said == ["c cannot start: port 1 is taken"]


async def test_a_frozen_program_is_stopped_too(scene: Scene) -> None:
    running = scene.start(scene.program("e", NOTES_ITS_PID + STAYS))
    pid = (await pids(scene, "e", 1))[0]
    os.kill(pid, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 20) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_programs_end_when_their_supervisor_is_killed(scene: Scene) -> None:
    child = scene.program("f", NOTES_ITS_PID + STAYS)
    parent = scene.folder / "parent.py"
    parent.write_text(
        "import asyncio, pathlib\n"
        "from prikkfri.app.supervisor import Program, Supervisor\n"
        f"program = Program('f', [{child.arguments[0]!r}], pathlib.Path({str(child.log)!r}))\n"
        "asyncio.run(Supervisor([program], home=program.log.parent, say=print).run(when_ready=lambda: None))\n",
        encoding="utf-8",
    )
    supervisor = await asyncio.create_subprocess_exec(sys.executable, str(parent))
    pid = (await pids(scene, "f", 1))[0]
    supervisor.kill()
    await supervisor.wait()
    async with asyncio.timeout(20):
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
            await asyncio.sleep(0.05)
