"""A sign-in on either engine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import TypeVar, cast

import pytest
from signin_house import COMMAND_KEY, PASSWORD, SEED, VIEWER, BuildHouse, Centre, Hindered, House, Passwords
from waiting import WAIT_SECONDS_MAX

from prikkfri.clock import Clock, ManualClock
from prikkfri.config import Config, Signin
from prikkfri.journal import Outcome, open_journal
from prikkfri.protocols import jwt
from prikkfri.signin import credentials
from prikkfri.signin.credentials import hash_password
from prikkfri.signin.devices import http as devices_http
from prikkfri.signin.devices.service import Devices
from prikkfri.signin.http import application
from prikkfri.signin.limits import Limits
from prikkfri.signin.passwords import http as passwords_http
from prikkfri.signin.passwords.limits import PasswordLimits
from prikkfri.signin.passwords.service import Passwords as PasswordRoom
from prikkfri.signin.personal import http as personal_http
from prikkfri.signin.personal.service import Personal
from prikkfri.signin.service import DEFAULT_LIMITS, SignIn, load_keys, set_password_hashes
from prikkfri.storage import Database, Location, Transaction, open_database
from prikkfri.storage.keys import SecretKey, read_public_keys, signing_key

Hurried = TypeVar("Hurried", Limits, PasswordLimits)


def unhurried(limits: Hurried) -> Hurried:
    """The same, and where nothing is said of a database it may take as long as a busy machine does."""
    said = limits.database_seconds_max != type(limits)().database_seconds_max
    return limits if said else replace(limits, database_seconds_max=WAIT_SECONDS_MAX)


@pytest.fixture(scope="session")
def hashed() -> str:
    return hash_password(PASSWORD, b"salt of the test")


@pytest.fixture
def passwords(hashed: str) -> Iterator[Passwords]:
    passwords = Passwords(hashed)
    yield passwords
    passwords.open.set()


@pytest.fixture
async def quick_house(build_house: BuildHouse, passwords: Passwords) -> House:
    """Where passwords are compared in no time."""
    return await build_house(matches=passwords)


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

    async def build(
        signin: Signin = Signin(),  # noqa: B008
        *,
        seen_through: Callable[[Database], Hindered] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        matches: Callable[[str, str], bool] = credentials.matches,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        service_clock: Clock | None = None,
        sends: bool = True,
        password_limits: PasswordLimits = PasswordLimits(),  # noqa: B008
        **settings: object,
    ) -> House:
        recorded: list[Outcome] = []
        config = replace(Config(home=location.home, signin=signin), **settings)  # type: ignore[arg-type]
        service = SignIn(
            database=cast(Database, seen_through(database)) if seen_through else database,
            subscribers=subscribers,
            journal=journal,
            record=recorded.append,
            config=config,
            keys=load_keys(location.home),
            clock=service_clock or clock,
            limits=unhurried(limits),
            matches=matches,
            sleep=sleep,
        )
        built.append(service)
        centre = Centre()
        seen_database = cast(Database, seen_through(database)) if seen_through else database
        devices = Devices(
            database=seen_database,
            journal=journal,
            device_keys=jwt.read_jwks(read_public_keys(location.home, "device")),
            subscribers=subscribers,
            key=signing_key(location.home, "signin-device"),
            load=lambda: service.pool.load,
            revoked=service.publish_revoked_soon,
            clock=clock,
            limits=unhurried(DEFAULT_LIMITS),
        )
        personal = Personal(
            database=seen_database,
            subscribers=subscribers,
            journal=journal,
            revoked=service.publish_revoked_soon,
            clock=clock,
            limits=unhurried(DEFAULT_LIMITS),
        )
        passwords = PasswordRoom(
            database=seen_database,
            subscribers=subscribers,
            journal=journal,
            record=recorded.append,
            pool=service.pool,
            send=centre if sends else None,
            revoked=service.publish_revoked_soon,
            config=config,
            key=SecretKey(b"key of codes in the test"),
            clock=clock,
            limits=unhurried(password_limits),
        )
        rooms = [
            *devices_http.routes(devices, viewer_origin=VIEWER, command_key=COMMAND_KEY),
            *passwords_http.routes(passwords, viewer_origin=VIEWER, command_key=COMMAND_KEY),
            *personal_http.routes(personal, command_key=COMMAND_KEY),
        ]
        edge = application(service, viewer_origin=VIEWER, secure=False, command_key=COMMAND_KEY, rooms=rooms)
        return House(service, edge, config, clock, database, subscribers, recorded, devices, passwords, centre)

    yield build
    for service in built:
        await asyncio.to_thread(service.close)
    await database.close()
    await subscribers.close()


@pytest.fixture
async def house(build_house: BuildHouse) -> House:
    return await build_house()
