"""How each role is put together: configuration in, a role out that can be served."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from starlette.types import ASGIApp

from prikkfri.app.serving import listen
from prikkfri.assurance.console.service import Console, ensure_first_account
from prikkfri.assurance.http import Neighbours
from prikkfri.assurance.service import Assurance, OthersArea
from prikkfri.clock import Clock
from prikkfri.config import ROLES, Config
from prikkfri.door import http as door_http
from prikkfri.door.service import Door, asking_signin
from prikkfri.door.service import load_keys as door_keys
from prikkfri.errors import StorageError
from prikkfri.journal import Journal, Spool, open_journal, taken_to, trim
from prikkfri.signin import http as signin_http
from prikkfri.signin.service import SignIn, load_keys
from prikkfri.sms import http as sms_http
from prikkfri.sms.service import SmsCentre
from prikkfri.storage import Database, Location, Queries, open_database, open_reader, open_spool, open_spool_reader
from prikkfri.storage.keys import command_key, secret_key, write_whole
from prikkfri.streaming import http as playout_http
from prikkfri.streaming.demo import channels as demo_channels
from prikkfri.streaming.service import Playout
from prikkfri.subscribers.store import subscriber, subscriber_by_login
from prikkfri.subscribers.subscriptions import Subscriber
from prikkfri.web.console import server as web_console
from prikkfri.web.status_page import server as web_status_page
from prikkfri.web.viewer import server as web_viewer

log = logging.getLogger("prikkfri.app")

TRIM_SECONDS = 60.0


async def _nothing() -> None:
    """A role that holds nothing open has nothing to close."""


@dataclass(frozen=True)
class Role:
    application: ASGIApp
    work: tuple[Callable[[], Coroutine[None, None, None]], ...] = ()
    """Runs until cancelled."""
    counters: Callable[[], Mapping[str, float]] = field(default=dict)
    close: Callable[[], Awaitable[None]] = _nothing


Builder = Callable[[Config, Clock], Awaitable[Role]]


async def viewer(config: Config, clock: Clock) -> Role:
    urls = {role: config.roles.edge(role).url for role in ("signin", "playout", "door", "status")}
    return Role(web_viewer.application({**urls, "demo": config.demo, "operator": config.operator}))


async def signin(config: Config, clock: Clock) -> Role:
    location = _location(config)
    database = await open_database(location, "signin")
    subscribers = await open_database(location, "subscribers")
    journal = await open_journal(database, stream="signin", clock=clock)
    spool = _spool(journal, config)
    service = SignIn(
        database=database,
        subscribers=subscribers,
        journal=journal,
        record=spool.record,
        config=config,
        keys=load_keys(config.home),
        clock=clock,
    )
    url = config.roles.signin.url

    async def close() -> None:
        await database.close()
        await subscribers.close()

    return Role(
        signin_http.application(
            service,
            viewer_origin=config.roles.viewer.url,
            secure=url.startswith("https://"),
            command_key=command_key(config.home, "signin"),
        ),
        work=(service.run, spool.run, _trimming(journal, config, clock)),
        counters=service.counters,
        close=close,
    )


async def playout(config: Config, clock: Clock) -> Role:
    database = await open_spool(config.home, "playout")
    journal = await open_journal(database, stream="playout", clock=clock)
    spool = _spool(journal, config)
    channels = config.streaming.channels or (demo_channels() if config.demo else ())
    service = Playout(
        channels,
        config.streaming,
        folder=config.home,
        keys_path=config.home / "public" / "playback-keys",
        revocations_path=config.home / "public" / "revoked.json",
        record=spool.record,
        clock=clock,
    )
    return Role(
        playout_http.application(service, config.roles.viewer.url),
        work=(service.run, spool.run, _trimming(journal, config, clock)),
        counters=service.metrics,
        close=database.close,
    )


async def sms(config: Config, clock: Clock) -> Role:
    database = await open_database(_location(config), "sms")
    journal = await open_journal(database, stream="sms", clock=clock)
    centre = SmsCentre(
        database=database,
        journal=journal,
        settings=config.sms,
        sealing_key=secret_key(config.home, "sealing"),
        clock=clock,
        entropy=secrets.token_bytes,
        smpp_sockets=listen(config.roles.sms.smpp_port, config.bind),
    )
    return Role(
        sms_http.application(centre),
        work=(centre.run, _trimming(journal, config, clock)),
        counters=centre.counters,
        close=database.close,
    )


async def door(config: Config, clock: Clock) -> Role:
    database = await open_spool(config.home, "door")
    journal = await open_journal(database, stream="door", clock=clock)
    spool = _spool(journal, config)
    client = httpx.AsyncClient()
    service = Door(
        record=spool.record,
        config=config,
        keys=door_keys(config.home),
        clock=clock,
        ask_capacity=asking_signin(client, f"http://localhost:{config.roles.signin.port}", config.home),
    )

    async def close() -> None:
        await client.aclose()
        await database.close()

    return Role(
        door_http.application(
            service,
            viewer_origin=config.roles.viewer.url,
            open_channels_url=f"{config.roles.playout.url}/open",
        ),
        work=(service.run, spool.run, _trimming(journal, config, clock)),
        counters=service.counters,
        close=close,
    )


async def assurance(config: Config, clock: Clock) -> Role:
    location = _location(config)
    database = await open_database(location, "assurance")
    subscribers = OthersArea(lambda: open_reader(location, "subscribers"), clock)
    spools = {role: OthersArea(_spool_of(config, role), clock) for role in ("playout", "door")}
    areas = {area: OthersArea(_area_of(location, area), clock) for area in ("signin", "sms")}
    sources = spools | areas
    others = [role for role in ROLES if role != "assurance"]
    neighbours = Neighbours(
        httpx.AsyncClient(),
        urls={role: f"http://localhost:{config.roles.edge(role).port}" for role in others},
        status_command_key=command_key(config.home, "status"),
    )
    service = Assurance(
        database,
        sources={stream: area.page for stream, area in sources.items()},
        neighbours=neighbours,
        clock=clock,
        settings=config.assurance,
        operator=config.operator,
        status_url=config.roles.status.url,
    )
    if first := await ensure_first_account(database, clock):
        write_whole(first_account_file(config.home), " / ".join(first).encode() + b"\n", mode=0o600)

    async def find_subscriber(key: str) -> Subscriber | None:
        async def found(queries: Queries) -> Subscriber | None:
            by_id = await subscriber(queries, key)
            return by_id or await subscriber_by_login(queries, key, clock.now(), region=config.region)

        return await subscribers.use(lambda reader: reader.read(found))

    async def close() -> None:
        await neighbours.close()
        for area in (subscribers, *sources.values()):
            await area.close()
        await database.close()

    return Role(
        web_console.application(
            service,
            Console(database, clock=clock),
            find_subscriber=find_subscriber,
            clock=clock,
            public_url=config.roles.assurance.url,
            timezone=config.streaming.timezone,
            operator=config.operator,
        ),
        work=(service.run,),
        counters=service.counters,
        close=close,
    )


async def status(config: Config, clock: Clock) -> Role:
    return Role(
        web_status_page.application(
            config.home / "status",
            command_key=command_key(config.home, "status"),
            clock=clock,
            operator=config.operator,
            public_url=config.roles.status.url,
            timezone=config.streaming.timezone,
        )
    )


def _spool_of(config: Config, role: str) -> Callable[[], Database]:
    return lambda: open_spool_reader(config.home, role)


def _area_of(location: Location, area: str) -> Callable[[], Database]:
    return lambda: open_reader(location, area)


def first_account_file(home: Path) -> Path:
    """Where the console's first account is told, once, mode 0600; to be removed when it has been read."""
    return home / "console-first-account"


def _location(config: Config) -> Location:
    return Location(config.home, config.storage.url)


def _spool(journal: Journal, config: Config) -> Spool:
    return Spool(journal, outcomes_max=config.journal.spool_outcomes_max, alarm=log.error)


def _trimming(journal: Journal, config: Config, clock: Clock) -> Callable[[], Coroutine[None, None, None]]:
    """Drops what assurance has taken and what is old enough, for as long as the role runs."""

    async def work() -> None:
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            try:
                followers = open_reader(_location(config), "assurance")
                try:
                    taken = await taken_to(followers, journal.stream)
                finally:
                    await followers.close()
                await trim(journal, taken_to=taken, written_before=clock.now() - config.journal.kept_days * 86_400)
            except StorageError as error:
                log.warning("the journal is not trimmed: %s", error)

    return work


BUILDERS: dict[str, Builder] = {
    "viewer": viewer,
    "signin": signin,
    "playout": playout,
    "sms": sms,
    "assurance": assurance,
    "door": door,
    "status": status,
}
