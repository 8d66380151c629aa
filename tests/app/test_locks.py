"""One process of a kind on one home, with real processes."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from prikkfri.app.__main__ import main
from prikkfri.app.locks import hold_lock, lock_file, refuse_held
from prikkfri.cli.serving import alone_with
from prikkfri.errors import UsageError

HOLDS = """
import pathlib, sys
from prikkfri.app.locks import hold_lock
with hold_lock(pathlib.Path(sys.argv[1]), "door"):
    print("held", flush=True)
    sys.stdin.read()
"""


async def holder(home: Path) -> asyncio.subprocess.Process:
    """A process that holds the door's lock."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", HOLDS, str(home), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"held\n"
    return process


async def test_a_second_one_is_refused_with_the_holder_until_the_kernel_has_taken_the_lock_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    first = await holder(home)
    os.kill(first.pid, signal.SIGSTOP)  # frozen, it keeps the lock
    before = sorted(home.rglob("*"))
    assert main(["door", "--home", str(home)]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and f"door runs on {home} already: process {first.pid} holds it" in said
    assert f"kill {first.pid}" in said and "--home" in said
    with pytest.raises(UsageError, match=f"process {first.pid} holds it"):
        refuse_held(home, "door")
    with pytest.raises(UsageError, match=f"process {first.pid} holds it"), alone_with(home, ["door"]):
        pytest.fail("it may not serve")
    assert {path.name for path in set(home.rglob("*")) - set(before)} == {"supervised-door.lock"}
    first.kill()
    await first.wait()
    refuse_held(home, "door")
    with hold_lock(home, "door"):
        assert lock_file(home, "door").read_text() == f"{os.getpid()}\n"
    assert home.stat().st_mode & 0o777 == 0o700


def test_two_that_keep_roles_running_may_share_a_home_but_no_role(tmp_path: Path) -> None:
    with alone_with(tmp_path, ["door", "sms"]), alone_with(tmp_path, ["signin"]):
        said = f"sms runs on .* already: process {os.getpid()}"
        with pytest.raises(UsageError, match=said), alone_with(tmp_path, ["status", "sms"]):
            pytest.fail("sms is kept running by another")
        with alone_with(tmp_path, ["status"]):  # what it had taken before it was refused is free again
            pass


def test_to_look_makes_nothing_and_a_home_that_is_none_is_one_line(tmp_path: Path) -> None:
    refuse_held(tmp_path / "nowhere", "door")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "file").write_text("in the way")
    said = r"file.*; let whoever runs Prikkfri read and write there"
    with pytest.raises(UsageError, match=said), hold_lock(tmp_path / "file", "door"):
        pytest.fail("there is no home")
