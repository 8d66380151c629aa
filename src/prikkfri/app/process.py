"""How a process of ours is begun, and what each one does: says when it is ready, ends when it is told or left alone."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence


def python(arguments: Sequence[str]) -> list[str]:
    """The command line of another process of ours.

    The folder in which somebody stands is not on its import path: a `token.py` there is not Python's own.
    """
    return [sys.executable, "-P", *arguments]


async def run_until_stopped(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Runs `work` until it ends, or until SIGTERM, SIGINT or the end of standard input; then cancels it and waits.

    Standard input ends when the supervisor has been killed. Raises what `work` raises, other than its cancellation.
    """
    working = asyncio.create_task(work())
    watching = asyncio.create_task(_input_ends())
    told = False

    def tell(*_: object) -> None:
        nonlocal told
        told = True
        working.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, tell)
    watching.add_done_callback(tell)
    try:
        await working
    except asyncio.CancelledError:
        if not told:
            raise
    finally:
        watching.remove_done_callback(tell)
        watching.cancel()


def say_ready() -> None:
    """Tells the supervisor that this process serves."""
    print("ready", flush=True)


STANDBY = "stands by: "


def say_it_waits(why: str) -> None:
    """Tells the supervisor that this process serves when another has ended."""
    print(f"{STANDBY}{why}", flush=True)


async def _input_ends() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1_024):
        pass
