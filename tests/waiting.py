"""Waiting for what happens, instead of for time to pass.

A condition that nothing announces (another process has come up, a row was written by a task) is asked again and again
until it holds; whoever waits in vain is told what for. The limit is for a machine that is stuck, not a measure.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Value = TypeVar("Value")

WAIT_SECONDS_MAX = 60.0
ASK_AGAIN_SECONDS = 0.01


def until(condition: Callable[[], Value], *, seconds_max: float = WAIT_SECONDS_MAX, what: str = "") -> Value:
    """The first true value of `condition`; AssertionError when there is none in time."""
    end = time.monotonic() + seconds_max
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {seconds_max} s for {what or condition} and last saw {value!r}"
        time.sleep(ASK_AGAIN_SECONDS)
    return value


def never(condition: Callable[[], object], *, seconds: float) -> bool:
    """Whether `condition` stays false for so long. On a slow machine it may go unnoticed that it would not."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return True
        time.sleep(ASK_AGAIN_SECONDS)
    return False


async def eventually(
    condition: Callable[[], Awaitable[Value] | Value], *, seconds_max: float = WAIT_SECONDS_MAX, what: str = ""
) -> Value:
    """The same on a loop; `condition` may be a coroutine function."""
    end = time.monotonic() + seconds_max
    while True:
        found = condition()
        value = await found if isinstance(found, Awaitable) else found
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds_max} s for {what or condition} and last saw {value!r}"
        await asyncio.sleep(ASK_AGAIN_SECONDS)
