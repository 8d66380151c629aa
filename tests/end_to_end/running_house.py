"""A running installation as the tests hold it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from prikkfri.config import Config
from prikkfri.simulation import demo
from prikkfri.simulation.installation import Harm, Installation

T = TypeVar("T")
LOOP_SECONDS_MAX = 300.0
"""For a machine that is stuck; not a measure."""


class Loop:
    """An event loop in a thread, so that tests which drive a browser can ask for what is asynchronous."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], Coroutine[object, object, T]]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work(), self._loop)
        return future.result(LOOP_SECONDS_MAX)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass(frozen=True)
class House:
    """Everything running; hurt it with `harm`, and give back what you hurt."""

    config: Config
    installation: Installation
    loop: Loop
    handsets_url: str
    people: list[demo.Person]

    def url(self, role: str) -> str:
        return self.config.roles.edge(role).url

    def harm(self, role: str, how: Harm) -> None:
        self.harm_all([role], how)

    def give_back(self, role: str) -> None:
        self.give_back_all([role])

    def harm_all(self, roles: Sequence[str], how: Harm) -> None:
        async def harm() -> None:
            await asyncio.gather(*(self.installation.harm(role, how) for role in roles))

        self.loop.run(harm)

    def give_back_all(self, roles: Sequence[str]) -> None:
        """All at once: one that was killed takes its time to start."""

        async def give_back() -> None:
            await asyncio.gather(*(self.installation.give_back(role) for role in roles))

        self.loop.run(give_back)
