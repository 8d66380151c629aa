"""How each role is put together: configuration in, a role out that can be served.

A module for each, named after the role, with one function `build`. Each is imported only by the process that needs
it, so that a role carries no other's code in its memory.
"""

import importlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from prikkfri.clock import Clock
from prikkfri.config import Config

CALLED: Mapping[str, tuple[str, ...]] = {
    "door": ("signin",),
    "assurance": ("signin", "playout", "sms", "status", "door"),
}
"""Whom a role gives commands, and whose command keys it needs for that."""
COMMANDED = (*CALLED["assurance"], "assurance")
"""Who takes commands at all."""
Work = Callable[[], Coroutine[None, None, None]]


async def _nothing() -> None:
    """A role that holds nothing open has nothing to close."""


@dataclass(frozen=True)
class Role:
    application: ASGIApp
    work: tuple[Work, ...] = ()
    """Runs until cancelled."""
    counters: Callable[[], Mapping[str, float]] = field(default=dict)
    troubles: Callable[[], Sequence[str]] | None = None
    """What is wrong at this moment though it serves, a sentence each; None: it has nothing of the kind to tell."""
    close: Callable[[], Awaitable[None]] = _nothing


async def build(name: str, config: Config, clock: Clock) -> Role:
    """Puts the role together. Raises `StorageError` and `UsageError`."""
    from prikkfri.app.command_keys import with_command_keys
    from prikkfri.app.published import with_published

    role: Role = await importlib.import_module(f"{__name__}.{name}").build(config, clock)
    return with_command_keys(with_published(role, name, config, clock), name, config, clock)
