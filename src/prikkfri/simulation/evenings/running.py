"""Running: the real assurance over an evening's journals, in virtual time, with whatever disturbs it.

The roles' journals are real (on a disk in memory where there is one), and so are assurance's followers, its database
and its loops: they run on `VirtualLoop`. Stood in for are the neighbours' edges, by which nothing is asked here but
the public document.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.impact import Hit
from prikkfri.assurance.incidents import Fact, Incident
from prikkfri.assurance.response import store
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.store import CreditRecord
from prikkfri.assurance.response.surroundings import Surroundings
from prikkfri.assurance.response.timing import TIMING
from prikkfri.assurance.service import Assurance
from prikkfri.config import Assurance as Settings
from prikkfri.config import Remedy, Tier
from prikkfri.journal import Journal, Page, Source, open_journal
from prikkfri.journal.others import OthersArea
from prikkfri.journal.outcomes import encode_batch
from prikkfri.protocols.money import Language
from prikkfri.simulation.evenings.drawing import STREAMS
from prikkfri.simulation.evenings.world import GRACE_SECONDS, World, WrittenOutcome
from prikkfri.simulation.virtual.folders import world_folder
from prikkfri.simulation.virtual.loop import VirtualLoop
from prikkfri.storage import Database, Location, open_database, open_reader, open_spool, open_spool_reader

HOLD_SECONDS = 60.0
CREDIT = 4_900
SETTINGS = Settings(
    sign_in_grace_seconds=GRACE_SECONDS["sign-in"],
    line_grace_seconds=GRACE_SECONDS["enter"],
    delivery_grace_seconds=GRACE_SECONDS["deliver"],
    warm_up_seconds=120.0,
    hold_seconds=HOLD_SECONDS,
    remedies=(
        Remedy(
            name="evening", service="television", tiers=(Tier(from_minutes=0.0, amount=CREDIT),),
            cap_per_customer=CREDIT,
        ),
    ),
)  # fmt: skip
"""Compressed as an evening is; nobody is credited twice in one night."""
TIMES = replace(TIMING, look_seconds=15.0, after_seconds=300.0, relearn_seconds=900.0)
"""A look reads everything of an incident; on a machine with so much to read, it would not come oftener by itself."""
WRITTEN_EVERY_SECONDS = 0.5
AREAS = ("signin", "sms")
"""Roles with a database of their own; the others have a spool."""
ASSURANCE = "assurance"
INCIDENTS_MAX = 1_000
PERSON = "vakt"
ZONE = ZoneInfo("Europe/Oslo")


@dataclass(frozen=True)
class Parts:
    """What the house is made of. A test puts in a part with a fault, to see that the judge notices."""

    assurance: Callable[..., Assurance] = Assurance
    response: Callable[..., Response] = Response
    source: Callable[[Source], Source] = lambda source: source


WHOLE = Parts()


@dataclass(frozen=True)
class PublishedPage:
    """What the public was told from a moment on."""

    at: float
    failing: tuple[str, ...]
    """Components that are said to fail."""
    incidents: tuple[tuple[str, str, str], ...]
    """Each incident's id, its service by its title, and its state."""


@dataclass
class EveningRecord:
    """All that assurance told of an evening."""

    outcomes: int = 0
    published: list[PublishedPage] = field(default_factory=list)
    """Each change."""
    away: list[tuple[float, float]] = field(default_factory=list)
    """When assurance did not run."""
    acts: list[tuple[float, str, str]] = field(default_factory=list)
    """What a person did: when, the incident, and what."""
    incidents: list[Incident] = field(default_factory=list)
    """The oldest first."""
    hits: dict[str, list[Hit]] = field(default_factory=dict)
    credits: list[CreditRecord] = field(default_factory=list)
    digest: str = ""
    """Of all that was written and told; without the ids of incidents, which are drawn anew each time."""


def run(world: World, *, parts: Parts = WHOLE, disturbed: bool = True) -> EveningRecord:
    """What assurance tells of an evening."""
    loop = VirtualLoop(world.evening.begins)
    quiet = logging.getLogger("prikkfri")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)
    with world_folder() as folder:
        try:
            return loop.run_until_complete(_House(world, folder, loop, parts, disturbed=disturbed).evening())
        finally:
            quiet.setLevel(level)
            loop.close()


class _Public(RoleClient):
    """The other roles: all answer, and the status page takes what it is told."""

    def __init__(self, published: Callable[[bytes], None]) -> None:
        self.roles = STREAMS
        self.processes = dict.fromkeys(STREAMS, "")
        self._published = published

    async def answers(self, process: str) -> bool:
        return True

    async def publish(self, document: bytes) -> str:
        self._published(document)
        return ""

    async def report_taken(self, role: str, stream: str, incarnation: str, position: int) -> str:
        return ""

    async def channels(self) -> None:
        return None

    async def routes(self) -> None:
        return None

    async def line(self) -> None:
        return None

    async def programmes(self, now: float) -> None:
        return None


class _House:
    def __init__(self, world: World, home: Path, loop: VirtualLoop, parts: Parts, *, disturbed: bool) -> None:
        self._world, self._evening = world, world.evening
        self._location = Location(home)
        self._clock, self._parts, self._disturbed = loop.clock, parts, disturbed
        self._told = EveningRecord()
        self._written = {stream: Page("", 0, 0, [], 0, 0, 0) for stream in STREAMS}
        """The last that each role has written."""
        self._areas: dict[str, OthersArea] = {}
        self._running: asyncio.Task[None] | None = None
        self._response: Response | None = None
        self._dead = False
        self._digest = hashlib.sha256()

    async def evening(self) -> EveningRecord:
        writers = [await self._open(stream) for stream in STREAMS]
        await self._start()
        doing: list[Any] = [self._feed(dict(zip(STREAMS, writers, strict=True))), self._people()]
        if self._disturbed:
            doing.append(self._restarts())
        async with asyncio.TaskGroup() as tasks:
            for each in doing:
                tasks.create_task(each)
        await self._stop()
        await self._read()
        for journal in writers:
            await journal.database.close()
        return self._told

    async def _open(self, stream: str) -> Journal:
        home = self._location.home
        database = await (open_database(self._location, stream) if stream in AREAS else open_spool(home, stream))
        opened = _reader(self._location, stream)
        self._areas[stream] = OthersArea(opened, self._clock)
        return await open_journal(database, stream=stream, clock=self._clock)

    async def _feed(self, journals: Mapping[str, Journal]) -> None:
        """Writes what the roles write, when they do."""
        written, next_one = self._world.written, 0
        while self._clock.now() < self._evening.ends:
            await asyncio.sleep(WRITTEN_EVERY_SECONDS)
            due: dict[str, list[WrittenOutcome]] = {}
            while next_one < len(written) and written[next_one].at <= self._clock.now():
                due.setdefault(written[next_one].stream, []).append(written[next_one])
                next_one += 1
            for stream, batch in due.items():
                outcomes = [each.outcome for each in batch]
                first = self._written[stream].last + 1
                await journals[stream].append(*outcomes)
                last = first + len(outcomes) - 1
                self._written[stream] = Page(journals[stream].incarnation, first, last, outcomes, last, 0, 0)
                self._told.outcomes += len(outcomes)
                self._digest.update(encode_batch(outcomes))

    def _source(self, stream: str) -> Source:
        """As the role reads it; whoever has read all up to the last writing, or that too, need not ask the disk."""
        area = self._areas[stream]
        opened = False

        async def source(name: str, after: int) -> Page | None:
            nonlocal opened
            last = self._written[stream]
            if opened and after == last.last:
                return replace(last, first=after, last=after, outcomes=[])
            if opened and after == last.first - 1:
                return last
            page = await area.page(name, after)
            opened = opened or page is not None
            return page

        return source

    async def _start(self) -> None:
        database = await open_database(self._location, ASSURANCE)
        capacity = max(4.0, 2.0 * self._evening.per_second)
        service: Assurance

        async def products(customers: Sequence[str], at: float) -> Mapping[str, str]:
            return {}

        async def tell(customer: str, texts: Mapping[Language, str]) -> str | None:
            return ""

        response = self._parts.response(
            database,
            settings=SETTINGS,
            surroundings=Surroundings(
                blind=lambda: service.blind(),
                silent=lambda: service.silent(),
                incomplete=lambda: service.incomplete(),
                capacity_per_second=lambda service, since, until: (capacity, since),
                products=products,
                tell=tell,
                changed=lambda: service.publish_soon(),
            ),
            clock=self._clock,
            zone=ZONE,
            timing=TIMES,
        )
        service = self._parts.assurance(
            database,
            sources={stream: self._parts.source(self._source(stream)) for stream in STREAMS},
            neighbours=_Public(self._publish),
            clock=self._clock,
            settings=SETTINGS,
            operator="Prikkfri",
            status_url="http://localhost:8085",
            zone=ZONE,
            arrived=response.watch.arrived,
            told=response.announcements.told,
        )
        self._response = response
        self._running = asyncio.create_task(self._work(service, response, database))

    async def _work(self, service: Assurance, response: Response, database: Database) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(service.run())
                tasks.create_task(response.run())
        finally:
            await database.close()

    async def _stop(self) -> None:
        running, self._running, self._response = self._running, None, None
        if running is not None:
            if running.done():
                running.result()  # it has failed by itself: that is to be seen
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def _kill(self) -> None:
        """Power is lost: from now on nothing it tells is heard, and what it stores is not there when it is back."""
        self._dead = True
        files = [self._location.home / f"{ASSURANCE}.db{part}" for part in ("", "-wal", "-shm")]
        # The index of the log (the last) is made anew by whoever opens it first.
        stored = {file: file.read_bytes() for file in files[:2] if file.exists()}
        await self._stop()
        for file in files:
            file.unlink(missing_ok=True)
        for file, content in stored.items():
            file.write_bytes(content)
        self._dead = False

    async def _restarts(self) -> None:
        for restart in self._evening.disturbance.restarts:
            now = self._clock.now()
            await asyncio.sleep(max(0.0, self._evening.begins + restart.at - now))
            for _ in range(restart.steps):
                await asyncio.sleep(0)
            since = self._clock.now()
            await (self._kill() if restart.killed else self._stop())
            await asyncio.sleep(restart.away_seconds)
            await self._start()
            self._told.away.append((since, self._clock.now()))

    async def _people(self) -> None:
        for act in sorted(self._evening.acts, key=lambda each: each.at):
            await asyncio.sleep(max(0.0, self._evening.begins + act.at - self._clock.now()))
            if self._response is not None and (open_now := self._response.register.open_incidents):
                await self._response.actions.act(open_now[0].id, Fact(act.kind, self._clock.now(), PERSON))
                self._told.acts.append((self._clock.now(), open_now[0].id, act.kind))

    def _publish(self, encoded: bytes) -> None:
        if self._dead:
            return
        document = msgspec.json.decode(encoded)
        failing = tuple(c["id"] for c in document["components"] if c["state"] in ("partial_outage", "major_outage"))
        told = tuple((each["id"], each["name"], each["status"]) for each in document["incidents"])
        last = self._told.published[-1] if self._told.published else None
        if last is None or (last.failing, last.incidents) != (failing, told):
            self._told.published.append(PublishedPage(self._clock.now(), failing, told))

    async def _read(self) -> None:
        """What assurance has stored by the end."""
        told = self._told
        database = open_reader(self._location, ASSURANCE)
        try:
            told.incidents = await database.read(lambda q: store.incidents(q, most=INCIDENTS_MAX))
            told.incidents.sort(key=lambda each: (each.opened_at, each.service))
            for incident in told.incidents:
                name = incident.id
                told.hits[name] = await database.snapshot(lambda q, name=name: store.hits_of(q, name))  # type: ignore[misc]
                told.credits += await database.read(lambda q, name=name: store.credits_of(q, name))  # type: ignore[misc]
        finally:
            await database.close()
        told.digest = _digest(self._digest.hexdigest(), told)


def _reader(location: Location, stream: str) -> Callable[[], Database]:
    if stream in AREAS:
        return lambda: open_reader(location, stream)
    return lambda: open_spool_reader(location.home, stream)


def _digest(written: str, told: EveningRecord) -> str:
    number = {incident.id: f"incident {place}" for place, incident in enumerate(told.incidents)}
    account = {
        "written": written,
        "published": [
            (each.at, each.failing, [(number[name], *rest) for name, *rest in each.incidents])
            for each in told.published
        ],
        "away": told.away,
        "acts": [(at, number[name], kind) for at, name, kind in told.acts],
        "incidents": [replace(each, id=number[each.id]) for each in told.incidents],
        "hits": [told.hits[each.id] for each in told.incidents],
        "credits": sorted((number[g.credit.incident], g.credit.customer, g.credit.amount) for g in told.credits),
    }
    return hashlib.sha256(msgspec.json.encode(account, order="deterministic")).hexdigest()
