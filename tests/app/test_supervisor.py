"""Supervision with real processes."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import eventually

from prikkfri.app.limits import AppLimits
from prikkfri.app.supervisor import AWAY, Program, Supervisor, pause_before_restart, pid_file
from prikkfri.simulation.installation import Installation

QUICK = AppLimits(pause_seconds=0.01, pause_seconds_max=0.02)


def test_pauses_double_up_to_a_limit_and_old_ends_are_forgotten() -> None:
    ends = [float(i) for i in range(12)]
    pauses = [pause_before_restart(ends[:n], now=12.0) for n in range(1, 13)]
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert pause_before_restart(ends, now=1_000.0) == 0.25
    assert pause_before_restart([0.0, 60.0], now=60.0) == 0.25
    assert pause_before_restart([0.0, 59.9], now=59.9) == 0.5


class Scene:
    """A supervisor over small scripts, told to stop by SIGTERM as in life."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.ready = asyncio.Event()

    def program(self, name: str, script: str) -> Program:
        file = self.folder / f"{name}.py"
        file.write_text(script, encoding="utf-8")
        return Program(name, ["-I", "-S", str(file)], self.folder / "logs" / f"{name}.log")

    def start(self, *programs: Program, limits: AppLimits = QUICK) -> asyncio.Task[int]:
        supervisor = Supervisor(programs, home=self.folder, say=self.said.append, limits=limits)
        return asyncio.create_task(supervisor.run(when_ready=self.ready.set))

    async def until(self, words: str) -> None:
        await eventually(lambda: any(words in line for line in self.said), what=words)

    async def noted(self, name: str, count: int) -> list[str]:
        """What a script has written into its notes, once it is so many words."""
        file = self.folder / f"{name}.py.notes"
        await eventually(lambda: file.exists() and len(file.read_text().split()) >= count, what=f"notes of {name}")
        return file.read_text().split()

    async def stopped(self, running: asyncio.Task[int]) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return await asyncio.wait_for(running, 60)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


NOTES_ITS_PID = """
import os, sys
def note(word): open(sys.argv[0] + '.notes', 'a').write(f'{word} ')
note(os.getpid())
"""
STAYS = NOTES_ITS_PID + "print('ready', flush=True); sys.stdin.read()"


def gone(pid: int) -> bool:
    """Ended; perhaps not yet waited for by whoever inherited it."""
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except FileNotFoundError:
        return True


async def test_a_killed_program_is_started_again_and_a_stop_is_clean(scene: Scene) -> None:
    running = scene.start(scene.program("a", STAYS), scene.program("b", STAYS))
    await asyncio.wait_for(scene.ready.wait(), 60)
    first, other = int((await scene.noted("a", 1))[0]), int((await scene.noted("b", 1))[0])
    assert pid_file(scene.folder, "a").read_text() == f"{first}\n"
    os.kill(first, signal.SIGKILL)
    await scene.until("a was killed by SIGKILL; starting it again in 0.01 s")
    second = int((await scene.noted("a", 2))[1])
    await eventually(lambda: pid_file(scene.folder, "a").exists())
    assert pid_file(scene.folder, "a").read_text() == f"{second}\n"
    assert await scene.stopped(running) == 0
    assert gone(second) and gone(other)
    assert len(scene.said) == 1 and await scene.noted("b", 1) == [str(other)]
    assert not pid_file(scene.folder, "a").exists() and not pid_file(scene.folder, "b").exists()


async def test_ready_is_when_every_program_has_said_so(scene: Scene) -> None:
    hesitating = NOTES_ITS_PID + (
        "print('not yet', flush=True); note('waits')\n"
        "import time\nwhile not os.path.exists(sys.argv[0] + '.go'): time.sleep(0.01)\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    running = scene.start(scene.program("a", STAYS), scene.program("b", hesitating))
    await scene.noted("a", 1)
    await scene.noted("b", 2)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not scene.ready.is_set()
    (scene.folder / "b.py.go").touch()
    await asyncio.wait_for(scene.ready.wait(), 60)
    assert await scene.stopped(running) == 0
    assert scene.said == []


async def test_who_is_not_ready_in_time_is_named(scene: Scene) -> None:
    silent = NOTES_ITS_PID + "sys.stdin.read()"
    programs = [scene.program("quick", STAYS), scene.program("silent", silent)]
    running = scene.start(*programs, limits=AppLimits(ready_seconds_max=0.5))
    await scene.until("not ready after 0 s: ")
    assert scene.said[0].endswith("silent; see their logs")
    await scene.noted("silent", 1)
    assert await scene.stopped(running) == 0
    assert not scene.ready.is_set()


async def test_a_crash_loop_is_said_plainly_with_the_last_words(scene: Scene) -> None:
    running = scene.start(scene.program("b", "import sys; sys.exit('no luck today')"))
    await scene.until("crash loop: 4 ends in 60 s; it ended with code 1, last said: no luck today")
    assert await scene.stopped(running) == 0
    assert scene.said[:3] == [
        f"b ended with code 1; starting it again in {pause} s" for pause in ("0.01", "0.02", "0.02")
    ]
    assert (scene.folder / "logs" / "b.log").read_text().count("no luck today") >= 4  # nothing is overwritten


async def test_who_ended_for_want_of_its_database_is_started_again_soon_however_often(scene: Scene) -> None:
    """It came back half a minute after its database had."""
    limits = AppLimits(pause_seconds=300.0, pause_seconds_max=300.0, away_pause_seconds_max=0.01)
    ends = scene.program("waits", NOTES_ITS_PID + f"sys.exit({AWAY})")
    running = scene.start(ends, limits=limits)
    assert len(set(await scene.noted("waits", 6))) >= 6
    await scene.stopped(running)


async def test_last_words_of_a_structured_log_are_its_message_and_exception(scene: Scene) -> None:
    entry = {"message": "the role ends", "exception": "Traceback\n  File x\nOSError: no disk\n"}
    script = f"import sys; print('first', file=sys.stderr); print({json.dumps(entry)!r}, file=sys.stderr); sys.exit(3)"
    running = scene.start(scene.program("b", script))
    await scene.until("last said: the role ends: OSError: no disk;")
    assert await scene.stopped(running) == 0


NEEDS_MENDING = NOTES_ITS_PID + (
    "if not os.path.exists(sys.argv[0] + '.mended'):\n    print('port 1 is taken', file=sys.stderr); sys.exit(2)\n"
    "print('ready', flush=True); sys.stdin.read()"
)


async def test_one_that_a_person_has_to_mend_stays_down_is_said_once_and_comes_up_once_mended(scene: Scene) -> None:
    limits = AppLimits(mended_asked_seconds=0.01)
    running = scene.start(scene.program("c", NEEDS_MENDING), scene.program("d", STAYS), limits=limits)
    await asyncio.wait_for(scene.ready.wait(), 60)
    await scene.noted("c", 4)
    assert scene.said == ["c stays down: port 1 is taken"]
    (scene.folder / "c.py.mended").touch()
    await scene.until("c serves: what kept it down is mended")
    assert await scene.stopped(running) == 0
    assert len(scene.said) == 2 and len(await scene.noted("d", 1)) == 1


async def test_what_has_served_and_then_has_to_be_mended_is_no_crash_loop(scene: Scene) -> None:
    script = NOTES_ITS_PID + "print('ready', flush=True); print('x.db: restore it', file=sys.stderr); sys.exit(2)"
    running = scene.start(scene.program("c", script), scene.program("d", STAYS))
    await scene.until("c stays down: x.db: restore it")
    assert await scene.stopped(running) == 0
    assert len(scene.said) == 1 and len(await scene.noted("c", 1)) == 1


async def test_what_cannot_be_written_into_its_log_is_said_all_the_same(scene: Scene) -> None:
    script = "import sys; print('old', file=sys.stderr); print('no room', flush=True); sys.exit(2)"
    running = scene.start(scene.program("c", script), scene.program("d", STAYS))
    await scene.until("c stays down: no room")
    assert await scene.stopped(running) == 0


async def test_when_every_role_is_down_there_is_nothing_to_serve(scene: Scene) -> None:
    """What stands beside the roles does not count."""
    helper = replace(scene.program("phones", STAYS), helper=True)
    in_the_way = replace(scene.program("d", STAYS), log=scene.folder / "c.py" / "d.log")
    running = scene.start(scene.program("c", NEEDS_MENDING), in_the_way, helper)
    assert await asyncio.wait_for(running, 60) == 2
    down, in_the_way_of = sorted(scene.said[:2])
    assert down == "c stays down: port 1 is taken"
    assert in_the_way_of.startswith(f"d stays down: {scene.folder / 'c.py'}: File exists; let whoever runs Prikkfri ")
    assert scene.said[2:] == ["nothing can be served before that is mended"]
    assert not scene.ready.is_set()


async def test_a_program_serves_also_where_its_process_id_cannot_be_written(scene: Scene) -> None:
    (scene.folder / "run").write_text("in the way")
    running = scene.start(scene.program("a", STAYS))
    await asyncio.wait_for(scene.ready.wait(), 60)
    assert await scene.stopped(running) == 0
    assert scene.said == []


async def test_the_folder_where_somebody_stands_is_not_on_the_import_path(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scene.folder / "token.py").write_text("raise SystemExit('not the token that was meant')")
    monkeypatch.chdir(scene.folder)
    words = ["-c", "import sys, token; print('ready', flush=True); sys.stdin.read()"]
    running = scene.start(Program("a", words, scene.folder / "logs" / "a.log"))
    await asyncio.wait_for(scene.ready.wait(), 60)
    installation = Installation(scene.folder)
    await installation.start_program("b", words)
    await installation.stop()
    assert await scene.stopped(running) == 0
    assert scene.said == []


async def test_a_frozen_program_is_stopped_too_and_cleans_up(scene: Scene) -> None:
    cleans_up = (
        "import signal\n"
        "def told(*_):\n    note('told'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, told); print('ready', flush=True); sys.stdin.read()"
    )
    running = scene.start(scene.program("e", NOTES_ITS_PID + cleans_up))
    await asyncio.wait_for(scene.ready.wait(), 60)
    pid = int((await scene.noted("e", 1))[0])
    os.kill(pid, signal.SIGSTOP)
    assert await scene.stopped(running) == 0
    assert gone(pid) and await scene.noted("e", 2) == [str(pid), "told"]
    assert scene.said == []


async def test_a_program_that_does_not_stop_is_killed_and_named(scene: Scene) -> None:
    deaf = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\nwhile True: signal.pause()"
    )
    running = scene.start(scene.program("f", NOTES_ITS_PID + deaf), limits=AppLimits(stop_seconds_max=0.1))
    await asyncio.wait_for(scene.ready.wait(), 60)
    pid = int((await scene.noted("f", 1))[0])
    assert await scene.stopped(running) == 0
    await eventually(lambda: gone(pid))
    assert scene.said == ["f did not stop within 0 s and was killed"]


async def test_an_interrupt_from_the_keyboard_reaches_the_programs_through_their_supervisor_alone(scene: Scene) -> None:
    """It goes to a whole group of processes: they stand in groups of their own."""
    running = scene.start(scene.program("a", STAYS))
    await asyncio.wait_for(scene.ready.wait(), 60)
    pid = int((await scene.noted("a", 1))[0])
    assert os.getpgid(pid) == pid
    os.kill(os.getpid(), signal.SIGINT)
    assert await asyncio.wait_for(running, 60) == 0
    assert gone(pid) and scene.said == []


@pytest.mark.slow
async def test_programs_end_when_their_supervisor_is_killed(scene: Scene) -> None:
    child = scene.program("f", STAYS)
    parent = scene.folder / "parent.py"
    parent.write_text(
        "import asyncio, pathlib\n"
        "from prikkfri.app.supervisor import Program, Supervisor\n"
        f"program = Program('f', {child.arguments!r}, pathlib.Path({str(child.log)!r}))\n"
        f"home = pathlib.Path({str(scene.folder)!r})\n"
        "asyncio.run(Supervisor([program], home=home, say=print).run(when_ready=lambda: None))\n",
        encoding="utf-8",
    )
    supervisor = await asyncio.create_subprocess_exec(sys.executable, str(parent))
    pid = int((await scene.noted("f", 1))[0])
    supervisor.kill()
    await supervisor.wait()
    await eventually(lambda: gone(pid))
