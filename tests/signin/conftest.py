"""A sign-in on either engine."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from signin_house import COMMAND_KEY, PASSWORD, SEED, VIEWER, BuildHouse, House

from prikkfri.clock import ManualClock
from prikkfri.config import Config, Signin
from prikkfri.journal import Outcome, open_journal
from prikkfri.signin.credentials import hash_password
from prikkfri.signin.http import application
from prikkfri.signin.service import SignIn, load_keys, set_password_hashes
from prikkfri.storage import Location, Transaction, open_database


@pytest.fixture(scope="session")
def hashed() -> str:
    return hash_password(PASSWORD, b"salt of the test")


@pytest.fixture
async def build_house(location: Location, clock: ManualClock, hashed: str) -> AsyncIterator[BuildHouse]:
    subscribers = await open_database(location, "subscribers")

    async def seed(transaction: Transaction) -> None:
        for statement in SEED:
            await transaction.execute(statement)

    await subscribers.write(seed)
    database = await open_database(location, "signin")
    await set_password_hashes(database, [("s-1", hashed), ("s-2", hashed)], clock.now())
    journal = await open_journal(database, stream="signin", clock=clock)
    built: list[SignIn] = []

    async def build(signin: Signin = Signin(), **settings: object) -> House:  # noqa: B008
        recorded: list[Outcome] = []
        config = replace(Config(home=location.home, signin=signin), **settings)  # type: ignore[arg-type]
        service = SignIn(
            database=database,
            subscribers=subscribers,
            journal=journal,
            record=recorded.append,
            config=config,
            keys=load_keys(location.home),
            clock=clock,
        )
        built.append(service)
        edge = application(service, viewer_origin=VIEWER, secure=False, command_key=COMMAND_KEY)
        return House(service, edge, config, clock, database, subscribers, recorded)

    yield build
    for service in built:
        service.close()
    await database.close()
    await subscribers.close()


@pytest.fixture
async def house(build_house: BuildHouse) -> House:
    return await build_house()
