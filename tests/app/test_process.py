"""How a role's process ends: when it is told, when it is left alone, when its work ends or fails."""

import asyncio
import signal
import sys
from pathlib import Path

import prikkfri

SOURCE = Path(prikkfri.__file__).parents[1]
SCRIPT = f"""
import asyncio, sys
sys.path.insert(0, {str(SOURCE)!r})
from prikkfri.app.process import run_until_stopped, say_ready

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
    asyncio.run(run_until_stopped(work))
except asyncio.CancelledError:
    sys.exit(3)
except LookupError:
    sys.exit(4)
"""


async def ended(script: Path, how: str) -> tuple[str, int]:
    """What a process says that ends in some way, and its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", str(script), how, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readline(), 60)
    if how.startswith("SIG"):
        process.send_signal(getattr(signal, how))
    elif how == "left alone":
        process.stdin.write(b"words that mean nothing")
        process.stdin.close()
    rest = await asyncio.wait_for(process.stdout.read(), 60)
    return (first + rest).decode(), await asyncio.wait_for(process.wait(), 60)


async def test_a_process_ends_as_it_is_told_and_cleans_up_first(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    for how, said, code in (
        ("SIGTERM", "ready\ncleaned up\n", 0),
        ("SIGINT", "ready\ncleaned up\n", 0),
        ("left alone", "ready\ncleaned up\n", 0),
        ("ends", "", 0),
        ("fails", "", 4),
        ("cancels itself", "", 3),
    ):
        assert await ended(script, how) == (said, code), how
