"""The assurance role: follows everyone, serves the console, over its database."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from zoneinfo import ZoneInfo

from starlette.types import Receive, Scope, Send

from prikkfri.app.first_user import first_user_file
from prikkfri.app.internal_network import following, identity_of, internal_client
from prikkfri.app.roles import CALLED, Role
from prikkfri.app.roles.journals import location_of
from prikkfri.assurance.console.service import Console, ensure_first_user
from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.loads import LAYERS, Layer, Measured, capacity_of
from prikkfri.assurance.personal import http as personal_http
from prikkfri.assurance.personal.service import FOUND_MAX, Personal, Registry
from prikkfri.assurance.rehearsals.service import Rehearsals
from prikkfri.assurance.response import http as customers
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.surroundings import Surroundings
from prikkfri.assurance.service import Assurance
from prikkfri.assurance.telling import language_of
from prikkfri.clock import Clock
from prikkfri.config import ROLES, SINGLE, Config
from prikkfri.journal import Source, open_journal
from prikkfri.journal.http import remote_source
from prikkfri.journal.others import OthersArea
from prikkfri.protocols import openapi
from prikkfri.protocols.money import Language
from prikkfri.storage import Database, Location, Queries, open_database, open_reader, open_spool_reader
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import CallersKeys, command_key, role_secret, write_whole
from prikkfri.storage.rotation import SecretRotation
from prikkfri.subscribers.service import subscribers_named
from prikkfri.subscribers.store import (
    products_at,
    subscriber,
    subscriber_by_login,
    subscribers_after,
    subscriptions_of,
)
from prikkfri.subscribers.subscriptions import Subscriber, Subscription
from prikkfri.web.console.rehearsals import Demo
from prikkfri.web.console.server import application

CAPACITY_SECONDS = 5.0
CAPACITIES_KEPT = 720
"""An hour of them: a fault may be found long after it has begun."""
NAMES_AT_ONCE = 2_000
"""Subscribers that one statement reads while somebody is sought by name."""
ROLE_OF: Mapping[Layer, str] = {"signin": "signin", "sms-centre": "sms"}
"""Who measures what a layer takes."""


async def build(config: Config, clock: Clock) -> Role:
    location = location_of(config)
    database = await open_database(location, "assurance")
    await open_journal(database, stream="assurance", clock=clock)  # nothing is told in it: it fences out
    subscribers = OthersArea(lambda: open_reader(location, "subscribers"), clock)
    others = [role for role in ROLES if role != "assurance"]
    identity = identity_of(config, clock)
    client, direct = internal_client(identity, roles=config.roles), internal_client(identity)
    keys = CallersKeys(config.home, CALLED["assurance"])
    neighbours = RoleClient(
        client,
        urls={role: config.roles.edge(role).internal for role in others},
        processes={
            process: at.internal
            for role in others
            if role not in SINGLE
            for process, at in config.roles.processes(role).items()
        },
        direct=direct,
        command_keys=keys,
    )
    read_here: dict[str, OthersArea] = {}
    sources: dict[str, Source] = {}
    for area in ("signin", "sms"):
        read_here[area] = OthersArea(_area_of(location, area), clock)
        streams = [area] if area in SINGLE else config.roles.processes(area)
        sources |= dict.fromkeys(streams, read_here[area].page)
    for role in ("playout", "door"):
        for stream, at in config.roles.processes(role).items():
            if at.internal_url:
                key = partial(keys.__getitem__, role)
                sources[stream] = remote_source(direct, at.internal, key, clock=clock)
            else:
                read_here[stream] = OthersArea(_spool_of(config, stream), clock)
                sources[stream] = read_here[stream].page
    measured: dict[Layer, deque[Measured]] = {layer: deque(maxlen=CAPACITIES_KEPT) for layer in ROLE_OF}
    """What each layer takes, and when it was measured; the newest last."""

    async def measure() -> None:
        while True:
            for layer, role in ROLE_OF.items():
                if (per_second := await neighbours.capacity_per_second(role)) is not None:
                    measured[layer].append((per_second, clock.now()))
            await asyncio.sleep(CAPACITY_SECONDS)

    def capacity(service: str, since: float, until: float) -> Measured | None:
        layer = LAYERS.get(service)
        return capacity_of(layer, measured[layer], since=since, until=until) if layer else None

    zone = ZoneInfo(config.streaming.timezone)
    searching = asyncio.Lock()
    """One goes through the names at a time."""

    async def products(customers: Sequence[str], at: float) -> Mapping[str, str]:
        return await subscribers.use(lambda reader: reader.read(lambda q: products_at(q, customers, at))) or {}

    async def tell(customer: str, texts: Mapping[Language, str]) -> str | None:
        async def number(queries: Queries) -> str:
            held = await subscriptions_of(queries, customer)
            return next((s.msisdn for s in held if s.msisdn and s.starts <= clock.now() < s.ends), "")

        recipient = await subscribers.use(lambda reader: reader.read(number))
        account = next((a for a in config.sms.accounts if a.system_id == config.assurance.tell_account), None)
        if not recipient or account is None:
            return ""
        sender, text = config.operator[:11], texts[language_of(recipient)]
        return await neighbours.send_message(account.system_id, account.password, sender, recipient, text)

    response = Response(
        database,
        settings=config.assurance,
        surroundings=Surroundings(
            blind=lambda: service.blind(),
            silent=lambda: service.silent(),
            incomplete=lambda: service.incomplete(),
            capacity_per_second=capacity,
            products=products,
            tell=tell,
            changed=lambda: service.publish_soon(),
            programmes=lambda: service.programmes,
        ),
        clock=clock,
        zone=zone,
    )
    service = Assurance(
        database,
        sources=sources,
        neighbours=neighbours,
        clock=clock,
        settings=config.assurance,
        operator=config.operator,
        status_url=config.roles.status.url,
        zone=zone,
        arrived=response.watch.arrived,
        told=response.announcements.told,
        capacities=measured,
    )
    if first := await ensure_first_user(database, clock):
        write_whole(first_user_file(config.home), " / ".join(first).encode() + b"\n", mode=0o600)

    async def find_subscriber(key: str) -> Subscriber | None:
        async def found(queries: Queries) -> Subscriber | None:
            by_id = await subscriber(queries, key)
            return by_id or await subscriber_by_login(queries, key, clock.now(), region=config.region)

        return await subscribers.use(lambda reader: reader.read(found))

    async def page_after(subscriber_id: str) -> list[Subscriber]:
        read = partial(subscribers_after, subscriber_id=subscriber_id, most=NAMES_AT_ONCE)
        found = await subscribers.use(lambda reader: reader.read(read)) or []
        await asyncio.sleep(0)
        return found

    async def find_by_name(name: str) -> list[Subscriber]:
        async with searching:
            return await subscribers_named(page_after, name, most=FOUND_MAX)

    async def held(customer: str) -> list[Subscription]:
        read = partial(subscriptions_of, subscriber_id=customer)
        return await subscribers.use(lambda reader: reader.read(read)) or []

    async def close() -> None:
        await neighbours.close()
        for area in (subscribers, *read_here.values()):
            await area.close()
        await database.close()

    tokens = DeviceTokens(config.home, clock)
    console_key = role_secret(config.home, "console")
    people = Console(database, clock=clock, key=console_key)
    rotation = SecretRotation(config.home, "console", console_key, clock)
    personal = Personal(
        database,
        incidents=response.register,
        neighbours=neighbours,
        registry=Registry(find_subscriber, find_by_name, held),
        unread=service.blind,
        clock=clock,
    )
    console = application(
        service,
        people,
        response=response,
        personal=personal,
        clock=clock,
        public_url=config.roles.assurance.url,
        playout_url=config.roles.playout.url,
        timezone=config.streaming.timezone,
        operator=config.operator,
        demo=demo_of(config, clock) if config.demo else None,
    )
    viewer, own = config.roles.viewer.url, config.roles.assurance.url
    for_customers = customers.application(response.announcements, tokens, viewer_origin=viewer, public_url=own)

    commanded = personal_http.application(personal, people, command_key=command_key(config.home, "assurance"))
    to_customers = dict.fromkeys((customers.PATH, openapi.PATH), for_customers)
    handed_in = customers.contacts_application(
        response.register, command_key=command_key(config.home, "assurance"), clock=clock, zone=zone
    )
    elsewhere = {
        **to_customers,
        **dict.fromkeys(personal_http.PATHS, commanded),
        customers.CONTACTS_PATH: handed_in,
    }

    async def edge(scope: Scope, receive: Receive, send: Send) -> None:
        await elsewhere.get(scope.get("path", ""), console)(scope, receive, send)

    return Role(
        edge,
        work=(service.run, response.run, personal.run, measure, tokens.follow, rotation.follow, *following(identity)),
        counters=service.counters,
        close=close,
    )


def demo_of(config: Config, clock: Clock) -> Demo:
    roles = config.roles
    phones = f"http://localhost:{config.phones_port}"
    return Demo(Rehearsals(config.home, clock), roles.viewer.url, roles.status.url, phones)


def _spool_of(config: Config, stream: str) -> Callable[[], Database]:
    return lambda: open_spool_reader(config.home, stream)


def _area_of(location: Location, area: str) -> Callable[[], Database]:
    return lambda: open_reader(location, area)
