"""The sign-in that the tests talk to, with a few subscribers, and what its outcomes were."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from prikkfri.clock import ManualClock
from prikkfri.config import Config
from prikkfri.journal import Outcome, read_page
from prikkfri.protocols.asgi import Application
from prikkfri.signin.service import SignIn
from prikkfri.storage import Database

VIEWER = "http://localhost:8080"
DEVICE = "d-AAAAAAAAAAAAAAAAAAAAAA"
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


@dataclass
class House:
    service: SignIn
    application: Application
    config: Config
    clock: ManualClock
    database: Database
    subscribers: Database
    recorded: list[Outcome]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.application),  # type: ignore[arg-type]
            base_url="http://localhost:8081",
            headers={"origin": VIEWER},
        )

    async def journalled(self) -> list[Outcome]:
        outcomes: list[Outcome] = []
        while (page := await read_page(self.database, "signin", len(outcomes))) and page.outcomes:
            outcomes += page.outcomes
        return outcomes


BuildHouse = Callable[..., Awaitable[House]]
