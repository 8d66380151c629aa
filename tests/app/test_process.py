"""How a role's process ends: when it is told, when it is left alone, when its work ends or fails."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

SCRIPT = """
import asyncio, sys
from prikkfri.app.process import run_until_told, say_ready

async def work():
    how = sys.argv[1]
    if how == "ends":
        return
    if how == "fails":
        raise LookupError("no luck")
    if how == "cancels itself":
        raise asyncio.CancelledError
    say_ready()
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        print("cleaned up", flush=True)

try:
    asyncio.run(run_until_told(work))
except asyncio.CancelledError:
    sys.exit(3)
except LookupError:
    sys.exit(4)
"""


@pytest.mark.parametrize(
    ("how", "said", "code"),
    [
        ("SIGTERM", "ready\ncleaned up\n", 0),
        ("SIGINT", "ready\ncleaned up\n", 0),
        ("left alone", "ready\ncleaned up\n", 0),
        ("ends", "", 0),
        ("fails", "", 4),
        ("cancels itself", "", 3),
    ],
)
async def test_a_process_ends_as_it_is_told_and_cleans_up_first(tmp_path: Path, how: str, said: str, code: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), how, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readline(), 60)
    if how.startswith("SIG"):
        process.send_signal(getattr(signal, how))
    elif how == "left alone":
        process.stdin.write(b"words that mean nothing")
        process.stdin.close()
    rest = await asyncio.wait_for(process.stdout.read(), 60)
    assert ((first + rest).decode(), await asyncio.wait_for(process.wait(), 60)) == (said, code)
