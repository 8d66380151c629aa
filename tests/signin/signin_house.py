"""The sign-in that the tests talk to, with a few subscribers, and what its outcomes were."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from prikkfri.clock import ManualClock
from prikkfri.config import Config
from prikkfri.journal import Outcome, read_page
from prikkfri.protocols.asgi import Application
from prikkfri.signin import admission
from prikkfri.signin.devices.service import Devices
from prikkfri.signin.hash_pool import HashPool
from prikkfri.signin.passwords.service import Passwords
from prikkfri.signin.service import SignIn
from prikkfri.simulation.device_key import DeviceKey
from prikkfri.storage import Database

VIEWER = "http://localhost:8080"
DEVICE = "d-AAAAAAAAAAAAAAAAAAAAAA"
DEVICE_KEY = DeviceKey()
PASSWORD = "riktig hest batteri"
COMMAND_KEY = "command-key-of-the-test"

SEED = (
    "INSERT INTO subscriber (id, name, email) VALUES"
    " ('s-1', 'Kari Nordmann', 'kari@example.no'), ('s-2', 'Ola Uten', 'ola@example.no')",
    "INSERT INTO mobile_number (msisdn, starts, ends, subscriber_id, product) VALUES"
    " ('+4791234567', 0, 1e12, 's-1', 'mobile')",
    "INSERT INTO fixed_subscription (subscriber_id, kind, product, starts, ends) VALUES"
    " ('s-1', 'television', 'basic', 0, 1e12), ('s-1', 'television', 'sport', 0, 1e12)",
)


class Centre:
    """The SMS centre as far as codes go: what it was handed, and what it answers."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        """Number and text."""
        self.answer: str | None = "message-1"

    async def __call__(self, number: str, text: str) -> str | None:
        self.texts.append((number, text))
        return self.answer

    @property
    def code(self) -> str:
        """Of the newest text."""
        return self.texts[-1][1].split()[0]


@dataclass
class House:
    service: SignIn
    application: Application
    config: Config
    clock: ManualClock
    database: Database
    subscribers: Database
    recorded: list[Outcome]
    devices: Devices
    passwords: Passwords
    centre: Centre

    def client(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.application, client=(address, 1)),  # type: ignore[arg-type]
            base_url="http://localhost:8081",
            headers={"origin": VIEWER},
        )

    async def journalled(self) -> list[Outcome]:
        outcomes: list[Outcome] = []
        while (page := await read_page(self.database, "signin", len(outcomes))) and page.outcomes:
            outcomes += page.outcomes
        return outcomes


class Passwords:
    """Compares passwords in no time, or when the test opens the gate; `matches` of a sign-in that is not about hashing.

    Like the real one it says yes only to the right password with the right hash.
    """

    def __init__(self, right_hash: str) -> None:
        self.right_hash = right_hash
        self.open = threading.Event()
        self.open.set()
        self.compared: list[tuple[str, str]] = []
        """Password and hash, in the order in which threads took them up."""

    def __call__(self, password: str, password_hash: str) -> bool:
        self.compared.append((password, password_hash))
        assert self.open.wait(60)
        return password == PASSWORD and password_hash == self.right_hash


SLOW_HASH_SECONDS = 20.0
"""Of a hash on a slow machine: a line of a few is then a wait that no test lasts, and nobody has left it meanwhile."""


async def slowed(pool: HashPool, clock: ManualClock) -> None:
    """Returns when the pool has measured by its clock that a hash takes `SLOW_HASH_SECONDS`."""
    while (mean := pool.load.hash_s) < SLOW_HASH_SECONDS - 0.1:
        newest = min(10 * mean, mean + (SLOW_HASH_SECONDS - mean) / admission.NEWEST_WEIGHT)
        await pool.run(lambda newest=newest: clock.advance(newest), with_pass=True)  # type: ignore[misc]


class Hindered:
    """A database as sign-in sees it, with what a test puts in the way of its reads and writes."""

    def __init__(self, whole: Database) -> None:
        self.whole = whole
        self.read: Callable[[Any], Awaitable[Any]] = whole.read
        self.write: Callable[[Any], Awaitable[Any]] = whole.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)


BuildHouse = Callable[..., Awaitable[House]]
