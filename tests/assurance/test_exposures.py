"""Which messages an incident exposed is carried on, and comes out as from nothing whatever came when."""

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import structs
from outcome_rows import drop_outcomes
from query_plans import instructions, rows_read

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import (
    NOBODY_EXPOSED,
    ExposedMessage,
    ExposureFigures,
    Scope,
    exposure,
    misdelivery_scopes,
    proven,
)
from prikkfri.assurance.incidents import Incident, open_incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.outcomes.store import deliveries_after, deliveries_of, handed_over_in, named_on, routes_in
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.personal import store as personal_store
from prikkfri.assurance.response import evaluation
from prikkfri.assurance.response.exposures.service import Exposures
from prikkfri.assurance.response.incident_exposure import IncidentExposure
from prikkfri.assurance.response.register.service import IncidentRegister
from prikkfri.assurance.response.timing import Timing
from prikkfri.assurance.segments import Segment
from prikkfri.clock import ManualClock
from prikkfri.errors import StorageUnavailable
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Database, Location, open_database

NOW = 1_700_000_000.0
BEFORE_SECONDS = 40.0
LINKS = {"nord": "Nordtel", "syd": "Sydtel", "ost": "Nord%_tel"}
PLACES = (
    {"service": "messages", "link": "nord", "step": "route", "layer": "link"},
    {"service": "messages", "partner": "Sydtel"},
    {"service": "messages", "link": "ost", "partner": "Nord%_tel", "direction": "out"},
    {"service": "messages"},
)
CLASSES = ("code", "notice", "")


def told(at: float, step: str, layer: str, verdict: str, **known: Any) -> Outcome:
    return Outcome(time=at, **{"service": "messages", "step": step, "layer": layer, "verdict": verdict, **known})


def way(link: str, direction: str = "out") -> dict[str, str]:
    return {"link": link, "partner": LINKS[link], "direction": direction}


class DrawnWorld:
    """Messages, canaries and who is named, told in any order by two processes."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.waiting = [*self._messages(), *self._canaries(), *self._named()]
        self.random.shuffle(self.waiting)

    def at(self) -> float:
        """In half seconds, so that many are of one moment; some lie ahead, or long before."""
        return NOW + self.random.randrange(-140, 60) / 2

    def device(self) -> str:
        return self.random.choice(("", *(f"+4790000{n:03}" for n in range(6))))

    def _messages(self) -> Iterator[Outcome]:
        random = self.random
        for number in range(40):
            link, device, at = random.choice((*LINKS, "nord", "nord")), self.device(), self.at()
            customer = f"c{random.randrange(3)}" if random.random() < 0.1 else ""
            known = {"promise": f"m{number}", "device": device, "customer": customer}
            more = {"class": random.choice(CLASSES), "account": "clinic"}
            asked = partial(told, step="deliver", verdict="asked", **known)
            if random.random() < 0.9:
                yield asked(at, layer="sms-centre", dimensions={**way(link), **more})
            for _ in range(random.choice((0, 1, 1, 1, 2))):
                at += random.choice((0, 0.5, 1, 7))
                yield asked(at, layer="link", dimensions={**way(link), **more})
                link = random.choice((link, *LINKS))
            for _ in range(random.choice((0, 1, 1, 1, 2))):
                at += random.choice((-1, 0, 0.5, 4, 30))
                layer, verdict = (
                    random.choice(("link", "link", "sms-centre", "account")),
                    random.choice(("kept", "broken")),
                )
                direction = random.choice(("out", "out", "out", "in"))
                yield told(at, "deliver", layer, verdict, **known, dimensions={**way(link, direction), **more},
                           observed=random.random() < 0.9)  # fmt: skip
        yield told(NOW, "deliver", "link", "asked", dimensions=way("nord"))
        yield told(NOW, "deliver", "link", "asked", promise="m1", service="games", dimensions=way("nord"))

    def _canaries(self) -> Iterator[Outcome]:
        bad = {link: self.random.random() < 0.6 for link in LINKS}
        for number in range(60):
            link = self.random.choice((*LINKS,))
            broken = bad[link] and self.random.random() < 0.5
            verdict, reason = ("broken", "misdelivery") if broken else ("kept", "")
            promise = self.random.choice(("", f"k{number}"))
            yield told(self.at(), "route", "link", verdict, reason=reason, promise=promise, dimensions=way(link),
                       observed=self.random.random() < 0.95)  # fmt: skip

    def _named(self) -> Iterator[Outcome]:
        for _ in range(8):
            customer = f"c{self.random.randrange(3)}"
            yield told(self.at(), "answer", "phone", "kept", device=self.device(), customer=customer,
                       observed=self.random.random() < 0.8)  # fmt: skip

    def next_ones(self) -> list[Outcome]:
        """Some of what is not told yet, and perhaps one once more."""
        some = [self.waiting.pop() for _ in range(min(len(self.waiting), self.random.randrange(30)))]
        return some + some[: self.random.randrange(2)]

    def change(self, incident: Incident, now: float) -> Incident:
        random = self.random
        if random.random() < 0.2:
            incident = replace(incident, since=self.at())
        if random.random() < 0.15:
            places = random.sample(PLACES, random.choice((1, 1, 2)))
            incident = replace(incident, alarms=tuple(alarm(Segment.of(place), incident.since) for place in places))
        if random.random() < 0.2:
            over = random.random() < 0.5
            ended_at = now - random.randrange(20) / 2 if over else None
            incident = replace(
                incident, state="resolved" if over else "confirmed", resolved_at=ended_at, ended_at=ended_at
            )
        return incident


class Roles:
    """Two processes and a journal of one that was begun anew, as they are stored."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._taken = dict.fromkeys((("sms", "i"), ("sms", "j"), ("sms/2", "i")), 0)

    async def tell(self, outcomes: Iterable[Outcome], random: Random, now: float) -> None:
        by_journal: dict[tuple[str, str], list[Outcome]] = {}
        for outcome in outcomes:
            by_journal.setdefault(random.choice((*self._taken,)), []).append(outcome)

        async def work(transaction: Any) -> None:
            for (stream, incarnation), theirs in by_journal.items():
                page = Page(incarnation, self._taken[stream, incarnation] + 1, 0, theirs, 0, 0, 0)
                await outcome_store.add_outcomes(transaction, stream, page, now)

        await self.database.write(work)
        for journal, theirs in by_journal.items():
            self._taken[journal] += len(theirs)


class BreakingDatabase:
    """One that does not answer now and then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.answers_left = -1
        """Below zero: it always answers."""

    async def read(self, work: Any) -> Any:
        if self.answers_left == 0:
            self.answers_left = -1
            raise StorageUnavailable("it does not answer")
        self.answers_left -= 1
        return await self._database.read(work)


def alarm(segment: Segment, at: float) -> Alarm:
    return Alarm("share", segment, at + 5, at, 0.005, 1.0, 40.0, 30.0, 25.0)


async def stored(database: Database, since: float, until: float) -> list[Outcome]:
    rows = await database.read(
        lambda q: outcome_store.outcomes_in(q, since=since, until=until, service="messages", most=100_000)
    )
    return [row.outcome for row in sorted(rows, key=lambda row: row.place)]


async def from_nothing(database: Database, incident: Incident, now: float) -> list[ExposedMessage] | None:
    """As it is without any of what is carried on."""
    scope = Scope(incident.segments, incident.since, evaluation.until(incident, now))
    outcomes = await stored(database, incident.since - BEFORE_SECONDS, scope.until)
    astray = misdelivery_scopes(outcomes, scope)
    if not astray:
        return [] if proven(outcomes, scope) else None
    return list(exposure(outcomes, *astray))


async def carried_on(exposures: Exposures, incident: Incident) -> list[ExposedMessage] | None:
    """What those say that go on from the last time, in all of the ways in which they say it."""
    figures = await exposures.figures(incident)
    pages = [page async for page in exposures.messages(incident)]
    listed = [each for page in pages for each in page]
    assert (figures or NOBODY_EXPOSED).by_class == ExposureFigures.of(listed).by_class
    assert await exposures.first(incident, most=3) == (listed[:3], len(listed))
    return None if figures is None else listed


@pytest.mark.parametrize("seed", range(20))
async def test_what_is_carried_on_comes_out_as_from_nothing(location: Location, seed: int) -> None:
    world = DrawnWorld(seed)
    random = world.random
    database = await open_database(location, "assurance")
    clock, roles, breaking = ManualClock(NOW), Roles(database), BreakingDatabase(database)
    timing = Timing(outcomes_at_once_max=random.choice((2, 7, 50)), exposed_before_seconds=BEFORE_SECONDS)
    register = IncidentRegister(database, clock=clock, timing=timing, changed=lambda: None)
    restarted = partial(Exposures, breaking, register, clock=clock, timing=timing)  # type: ignore[arg-type]
    exposures, incident = restarted(), open_incident("m", alarm(Segment.of(PLACES[0]), NOW - 20), NOW)
    seen: list[list[ExposedMessage] | None] = []
    for _ in range(14):
        await roles.tell(world.next_ones(), random, clock.now())
        incident = world.change(incident, clock.now())
        clock.advance(random.randrange(8) / 2)
        if random.random() < 0.15:
            await register.without(partial(erase, database, random), lambda touched: touched)
        if random.random() < 0.15:
            exposures = restarted()
        if random.random() < 0.3:
            breaking.answers_left = random.randrange(12)
            try:
                await exposures.figures(incident)
            except StorageUnavailable:
                await roles.tell(world.next_ones()[:3], random, clock.now())
            breaking.answers_left = -1
        expected = await from_nothing(database, incident, clock.now())
        assert await carried_on(exposures, incident) == expected, f"seed {seed}, after {len(seen)} looks"
        seen.append(expected)
    await database.close()


async def erase(database: Database, random: Random) -> list[str]:
    number = personal_store.Number(f"+4790000{random.randrange(6):03}", NOW - 10, NOW + 5)
    drawn = iter(range(1_000_000))
    await database.write(
        lambda t: personal_store.erase(
            t, f"c{random.randrange(3)}", [number], lambda kind: f"{kind}{random.random()}{next(drawn)}"
        )
    )
    return []


def exposure_of(*outcomes: Outcome) -> "Carried":
    return Carried([StoredOutcome("sms", number, outcome) for number, outcome in enumerate(outcomes)])


class Carried:
    """Exposure that is carried on over outcomes in memory."""

    def __init__(self, rows: list[StoredOutcome]) -> None:
        self.rows = sorted(rows, key=lambda row: row.place)
        self.exposure = IncidentExposure()

    def at(self, *scopes: Scope, since: float = 0.0, until: float = 100.0) -> list[tuple[str, str]]:
        """Which it is of, with what became of each."""
        self.exposure.move(scopes, since=since, until=until)
        while times := self.exposure.time_to_read:
            inside = [row.outcome.promise for row in self.rows if times[0] <= row.outcome.time < times[1]]
            self.exposure.found(filter(None, inside), up_to=times[1])
        messages = self.exposure.messages_to_read(100)
        self.exposure.read(messages, [row for row in self.rows if row.outcome.promise in messages])
        assert not self.exposure.waiting
        return [(each.message, each.verdict) for each in self.exposure.messages(self.exposure.order())]


ASTRAY = Scope((Segment.of({"service": "messages", "link": "nord"}),), 10.0, 20.0)


def delivery(at: float, verdict: str, link: str = "nord", **known: Any) -> Outcome:
    return told(at, "deliver", "link", verdict, promise="m", device="+4790000001", dimensions=way(link), **known)


def test_what_was_told_before_the_time_that_is_gone_by_is_not_gone_by() -> None:
    carried = exposure_of(delivery(5, "asked", "syd"), delivery(12, "kept"))
    assert carried.at(ASTRAY) == [], "another link was asked"
    assert carried.at(ASTRAY, since=8) == [("m", "kept")], "of this one it is not known any more"
    assert carried.at(ASTRAY) == []


def test_what_became_of_it_after_the_end_is_not_gone_by() -> None:
    carried = exposure_of(delivery(12, "asked"), delivery(30, "kept"))
    assert carried.at(ASTRAY, until=40) == [("m", "kept")]
    assert carried.at(ASTRAY, until=25) == [("m", "asked")]
    assert carried.at(ASTRAY, until=30.5) == [("m", "kept")]


def test_where_nothing_went_astray_nothing_is_looked_for() -> None:
    carried = exposure_of(delivery(12, "asked"))
    carried.exposure.move([ASTRAY], since=0.0, until=100.0)
    assert carried.exposure.time_to_read == (10.0, 20.0)
    carried.exposure.move([], since=0.0, until=100.0)
    assert carried.exposure.time_to_read is None
    assert carried.at() == [] and carried.at(ASTRAY) == [("m", "asked")]
    assert carried.exposure.figures == ExposureFigures({"": 1})


def test_a_time_that_canaries_take_back_is_lost() -> None:
    carried = exposure_of(delivery(12, "asked"), delivery(17, "asked"))
    assert carried.at(ASTRAY) == [("m", "asked")]
    assert carried.at(replace(ASTRAY, since=15.0)) == [("m", "asked")], "it went there again"
    assert carried.at(replace(ASTRAY, since=18.0)) == [] and not carried.exposure.figures


@pytest.fixture
async def tables(location: Location) -> AsyncIterator[Database]:
    database = await open_database(location, "assurance")
    yield database
    await database.close()


def looked_at(database: Database, clock: ManualClock) -> tuple[Exposures, IncidentRegister, Incident]:
    register = IncidentRegister(database, clock=clock, timing=Timing(), changed=lambda: None)
    exposures = Exposures(database, register, clock=clock, timing=Timing())
    return exposures, register, open_incident("m", alarm(Segment.of(PLACES[0]), NOW - 100), NOW - 90)


def on_its_way(at: float, number: int, link: str = "nord") -> list[Outcome]:
    """As the SMS centre tells it."""
    known = {"promise": f"m{number:06}", "device": f"+47{number:08}"}
    more = {**way(link), "class": "code", "account": "clinic"}
    return [
        told(at, "deliver", "sms-centre", "asked", **known, dimensions=more),
        told(at + 0.1, "deliver", "link", "asked", **known, dimensions=more),
        told(at + 1, "deliver", "link", "kept", **known, dimensions=more),
    ]


def astray(at: float, link: str = "nord") -> Outcome:
    return told(at, "route", "link", "broken", reason="misdelivery", promise=f"k{at}", dimensions=way(link))


async def store_all(database: Database, outcomes: list[Outcome], first: int = 1) -> int:
    page = Page("i", first, first + len(outcomes) - 1, outcomes, 0, 0, 0)
    await database.write(lambda t: outcome_store.add_outcomes(t, "sms", page, NOW))
    return first + len(outcomes)


async def test_a_look_reads_what_is_new_and_no_more(tables: Database) -> None:
    clock = ManualClock(NOW)
    exposures, _, incident = looked_at(tables, clock)
    some = [each for number in range(20) for each in on_its_way(NOW - 90 + number, number)]
    end = await store_all(tables, [astray(NOW - 100), *some, astray(NOW - 10)])
    assert await exposures.figures(incident) == ExposureFigures({"code": 20})
    await tables.write(drop_outcomes)
    clock.advance(5)
    end = await store_all(tables, [*on_its_way(NOW - 5, 20), *on_its_way(NOW - 5, 21, "syd")], end)
    assert await exposures.figures(incident) == ExposureFigures({"code": 20})
    await store_all(tables, [astray(NOW - 3)], end)
    assert await exposures.figures(incident) == ExposureFigures({"code": 21})
    exposures.forget_all_but([])
    assert await exposures.figures(incident) == ExposureFigures({"code": 21}), "somebody has just asked for it"
    clock.advance(Timing.exposed_kept_seconds)
    exposures.forget_all_but(["m"])
    assert await exposures.figures(incident) == ExposureFigures({"code": 21}), "it is looked at"
    clock.advance(Timing.exposed_kept_seconds)
    exposures.forget_all_but([])
    assert await exposures.figures(incident) == NOBODY_EXPOSED, "nothing is known of it but what is stored"


async def test_whoever_is_erased_while_it_is_read_is_named_no_more(tables: Database) -> None:
    exposures, register, incident = looked_at(tables, ManualClock(NOW))
    named = replace_customer(on_its_way(NOW - 50, 1), "c1")
    await store_all(tables, [astray(NOW - 100), *named, *on_its_way(NOW - 40, 2), astray(NOW - 10)])

    async def names() -> list[tuple[str, str]]:
        return [(each.recipient, each.customer) async for page in exposures.messages(incident) for each in page]

    assert await names() == [("+4700000001", "c1"), ("+4700000002", "")]

    async def erase_slowly() -> list[str]:
        assert ("+4700000001", "c1") in await names()
        await tables.write(lambda t: personal_store.erase(t, "c1", [], lambda kind: f"{kind}x"))
        return []

    await register.without(erase_slowly, lambda touched: touched)
    assert await names() == [("", "erased-x"), ("+4700000002", "")]


def replace_customer(outcomes: list[Outcome], customer: str) -> list[Outcome]:
    return [structs.replace(outcome, customer=customer) for outcome in outcomes]


def messages_with_canaries(size: int) -> list[Outcome]:
    return [each for number in range(size) for each in (*on_its_way(NOW + number, number), astray(NOW + number))]


def reads_at_the_end(size: int) -> list[tuple[Any, dict[str, Any]]]:
    """What a look reads of the last few of so many messages."""
    last, end, most = NOW + size - 10, 4 * size, {"service": "messages", "most": 20}
    devices, promises = [f"+47{size - 3:08}"], [f"m{size - 3:06}", f"m{size - 5:06}"]
    return [
        (routes_in, {"since": last, **most}),
        (handed_over_in, {"since": last, "until": last + 3, "ways": [way("nord")], **most}),
        (deliveries_after, {"stream": "sms", "incarnation": "i", "position": end - 30, "up_to": end, **most}),
        (deliveries_of, {"promises": promises, "service": "messages", "since": 0.0}),
        (named_on, {"devices": devices, "service": "messages", "since": NOW}),
    ]


async def test_no_look_walks_through_what_is_known_already(tmp_path: Path) -> None:
    spent = []
    for size in (300, 1_200):
        database = await open_database(Location(tmp_path / str(size)), "assurance")
        await store_all(database, messages_with_canaries(size))
        spent.append([await instructions(database, function, **known) for function, known in reads_at_the_end(size)])
        await database.close()
    assert all(few * 0.9 < many < few * 1.1 for few, many in zip(*spent, strict=True)), spent


async def test_postgresql_looks_at_no_more_than_it_is_asked_for(tmp_path: Path, postgres_url: str) -> None:
    """It chooses by what it has counted: a table of a few thousand it may still read as a whole."""
    database, size = await open_database(Location(tmp_path, postgres_url), "assurance"), 8_000
    try:
        outcomes, end = messages_with_canaries(size), 1
        for first in range(0, len(outcomes), 8_000):
            end = await store_all(database, outcomes[first : first + 8_000], end)
        await database.write(lambda t: t.execute("ANALYZE"))
        found = [await rows_read(database, function, **known) for function, known in reads_at_the_end(size)]
    finally:
        await database.close()
    assert max(found) <= 100, found
