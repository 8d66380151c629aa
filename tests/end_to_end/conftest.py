"""A whole installation for the end-to-end tests: seven roles and the handset network, on ports of its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import pytest

from prikkfri.config import ROLES, Config
from prikkfri.simulation import demo
from prikkfri.simulation.installation import Installation, free_ports, ports_section

T = TypeVar("T")


class Loop:
    """An event loop in a thread, so that tests which drive a browser can ask for what is asynchronous."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], Coroutine[object, object, T]]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work(), self._loop)
        return future.result(120)

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

    def harm(self, role: str, how: str) -> None:
        self.loop.run(lambda: self.installation.harm(role, how))  # type: ignore[arg-type]

    def give_back(self, role: str) -> None:
        self.loop.run(lambda: self.installation.give_back(role))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("home")
    *ports, handset_smpp, handset_http = free_ports(len(ROLES) + 3)
    text = demo.configuration(handset_smpp_port=handset_smpp) + "\n" + ports_section(ports)
    (home / "prikkfri.toml").write_text(text, encoding="utf-8")
    people = demo.people(demo.PEOPLE)
    installation = Installation(home)
    loop = Loop()
    handsets = ["-m", "prikkfri.simulation.handsets", f"--smpp-port={handset_smpp}", f"--http-port={handset_http}"]
    handsets += [f"{person.msisdn}={person.name}" for person in people[: demo.PHONES]]

    async def start() -> None:
        await demo.seed(installation.configuration(), people)
        await installation.start_program("handsets", handsets)
        await installation.start()

    try:
        loop.run(start)
        yield House(installation.configuration(), installation, loop, f"http://localhost:{handset_http}", people)
    finally:
        loop.run(installation.stop)
        loop.close()
