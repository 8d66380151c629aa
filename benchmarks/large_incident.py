"""An incident of an operator's whole evening: what assurance needs to know of it again after a restart, and to go on.

    python benchmarks/large_incident.py [--outcomes 1000000] [--hit 10000] [--live 60000] [--by line]
        [--database URL]

People sign in at an even rate for twenty minutes, from some clients and regions. From the middle on nobody is answered
in one region, up to the number who are to be hit. All of it is stored as assurance stores it (SQLite in a temporary
folder). Then, each in CPU seconds, with the most that the loop's own thread spent in one piece and the memory of the
process: the history is read from nothing; the incident is looked at; a second's new outcomes come, of which half are
of people who were answered before; it is known again as after a restart; it is counted by dimension; the list is
stored, read and held against the truth; one customer is asked for; and the day is erased. `--live`: so many
outcomes stay in memory one by one. `--database`: an empty PostgreSQL in its place, whose own CPU is not counted. What
was seen stands in docs/decisions/looking-at-an-incident.md.
"""

import argparse
import asyncio
import os
import platform
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar, get_args

from journeys import Entrance, journey

from prikkfri.assurance import store
from prikkfri.assurance.counting import PERIOD_SECONDS, count
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import ListChange
from prikkfri.assurance.incidents import Fact, apply_fact, open_incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.outcomes.days import DAY_SECONDS
from prikkfri.assurance.outcomes.store import LEFT_SECONDS, erase_outcomes
from prikkfri.assurance.recovery import Criteria
from prikkfri.assurance.response import assessing, evaluation
from prikkfri.assurance.response import store as response_store
from prikkfri.assurance.response.histories.service import Histories
from prikkfri.assurance.response.register.service import IncidentRegister
from prikkfri.assurance.response.timing import TIMING
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import EXPECTATIONS
from prikkfri.clock import ManualClock
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Database, Location, Transaction, open_database

SECONDS = 1_200
BEGAN = 1_700_000_000.0
FAULT = BEGAN + SECONDS / 2
CLIENTS = ("phone", "television", "browser", "box")
REGIONS = tuple(f"region-{number:02d}" for number in range(20))
HIT_REGION = REGIONS[7]
AT_ONCE = 2_000
BEAT_SECONDS = 0.005
T = TypeVar("T")


@dataclass
class Evening:
    """People by their number; the first in each second come first."""

    per_second: int
    hit_most: int
    by: Entrance
    hit: int = 0

    def of(self, number: int) -> list[Outcome]:
        at = BEGAN + number / self.per_second
        region = REGIONS[number % len(REGIONS)]
        failing = at >= FAULT and region == HIT_REGION and self.hit < self.hit_most
        self.hit += failing
        return of_person(number, at, region, answered=not failing, by=self.by)


def of_person(
    number: int, at: float, region: str, *, answered: bool, by: Entrance = "at-once", name: str = ""
) -> list[Outcome]:
    known = {"device": f"d-{number:022d}", "promise": f"p-{number}{name}", "customer": f"s-{number}"}
    dimensions = {"client": CLIENTS[number % len(CLIENTS)], "region": region}
    told = journey(at, by=by, answered_after=0.1 if answered else None, dimensions=dimensions, **known)
    if not answered:
        told.append(
            Outcome(
                time=at, service="television", step="sign-in", layer="signin", verdict="broken", reason="overloaded",
                dimensions=dimensions, **known,
            )  # type: ignore[arg-type]
        )  # fmt: skip
    return told


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--outcomes", type=int, default=1_000_000)
    arguments.add_argument("--hit", type=int, default=10_000, help="at the most; a fortieth of all who come")
    arguments.add_argument("--live", type=int, default=TIMING.live_outcomes_max)
    arguments.add_argument("--by", choices=get_args(Entrance), default="at-once", help="how people come in")
    arguments.add_argument("--database", default="", help="URL of an empty PostgreSQL")
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before", flush=True)
    with tempfile.TemporaryDirectory(prefix="pf-large-") as folder:
        location = Location(Path(folder), chosen.database)
        asyncio.run(large(location, chosen.outcomes, chosen.hit, chosen.live, chosen.by))


async def large(location: Location, outcomes: int, hit: int, live: int, by: Entrance) -> None:
    clock = ManualClock(BEGAN + SECONDS + 400.0)  # nobody waits any more
    database = await open_database(location, "assurance")
    each = len(of_person(0, BEGAN, REGIONS[0], answered=True, by=by))
    people = Evening(max(outcomes // each // SECONDS, 1), hit, by)
    stored, spent = 0, time.process_time()
    new: list[Outcome] = []
    for number in range(people.per_second * SECONDS):
        new += people.of(number)
        if len(new) >= AT_ONCE:
            stored += await take(database, stored, new, clock.now())
            new = []
    stored += await take(database, stored, new, clock.now()) if new else 0
    spent = time.process_time() - spent
    print(f"{stored:,} outcomes, {people.hit:,} hit; stored in {1e6 * spent / stored:.0f} CPU µs each", end="")
    print("" if location.url else f", {(location.home / 'assurance.db').stat().st_size / 1e9:.1f} GB")
    segment = Segment.of({"service": "television", "step": "sign-in", "layer": "signin", "region": HIT_REGION})
    incident = apply_fact(
        open_incident("i", Alarm("share", segment, FAULT + 5, FAULT, 0.005, 1.0, 40.0, 30.0, 25.0), FAULT + 5),
        Fact("evidence", FAULT + 6),
    )
    opened = replace(incident, since=FAULT)
    seen: evaluation.Evaluation | None = None
    await database.write(lambda t: response_store.save_incident(t, opened))
    register = IncidentRegister(database, clock=clock, timing=TIMING, changed=lambda: None)
    timing = replace(TIMING, live_outcomes_max=live, kept_outcomes_max=10**9)
    histories = Histories(database, register, expectations=EXPECTATIONS, timing=timing)

    async def look() -> evaluation.Evaluation:
        incident = seen.incident if seen is not None else opened
        history = await histories.of(incident, clock.now())
        grounds = evaluation.EvaluationContext(
            standing=incident.alarms, blind=False, contacts=None, criteria=Criteria()
        )
        return await asyncio.to_thread(evaluation.evaluate, incident, history, grounds, now=clock.now())

    await timed("read from nothing, in steps", lambda: histories.of(opened, clock.now()))
    seen = await timed("looked at for the first time", look)
    seen = await timed("looked at again, the place being known", look)
    for name in ("a second's new outcomes, half of people known", "the next second's"):
        clock.advance(1)
        fresh = []
        for index in range(people.per_second):
            number = index if index % 2 else 10**9 + int(clock.now()) * people.per_second + index
            fresh += of_person(
                number, clock.now() - 0.5, REGIONS[index % 7], answered=True, by=by, name=f"-{clock.now()}"
            )
        stored += await take(database, stored, fresh, clock.now())
        seen = await timed(name, look)
    seen = await timed("with nothing new", look)
    histories = Histories(database, register, expectations=EXPECTATIONS, timing=timing)
    pieces = await database.read(
        lambda q: q.fetch("SELECT COUNT(*), COALESCE(SUM(LENGTH(content)), 0) FROM incident_piece", {})
    )
    before = seen.impact
    await timed("known again after a restart, in steps", lambda: histories.of(seen.incident, clock.now()))
    seen = await look()
    print(f"  {pieces[0][0]} pieces of {pieces[0][1]:,} bytes; the same list: {seen.impact == before}")
    history = await histories.of(seen.incident, clock.now())
    cells = await timed(
        "counted by dimension",
        lambda: asyncio.to_thread(assessing.cells, history.promises(), since=BEGAN, until=clock.now()),
    )
    print(f"  {len(cells)} combinations, {sum(cell.settled for cell in cells):,} promises")
    await timed(
        "the counts of the console",
        lambda: database.read(
            lambda q: store.counts(q, since=int(BEGAN), until=int(clock.now()), period=PERIOD_SECONDS)
        ),
    )
    change = ListChange.between({}, seen.impact.hits)
    await timed(
        "the list, stored",
        lambda: database.write(
            lambda t: response_store.save_impact(t, "i", seen.impact, "", clock.now(), change=change)
        ),
    )
    hits = await timed("the list, read", lambda: register.hits("i"))
    number, truth = 0, set[str]()
    while len(truth) < people.hit:
        if number % len(REGIONS) == 7 and BEGAN + number / people.per_second >= FAULT:
            truth.add(f"s-{number}")
        number += 1
    listed = {each.customer for each in hits}
    print(f"  {len(listed):,} listed; missing {len(truth - listed):,}, wrongly listed {len(listed - truth):,}")
    whom = max(truth, default="s-7")
    await timed(
        "one customer", lambda: database.read(lambda q: outcome_store.outcomes_of_customer(q, whom, most=200)), digits=4
    )
    for name, later in (("a day left", 0.0), ("its table dropped", LEFT_SECONDS)):
        erasing = partial(erase_outcomes, before=FAULT + 3 * DAY_SECONDS, now=clock.now() + later)
        await timed(name, lambda erasing=erasing: database.write(erasing))  # type: ignore[misc]
    await database.close()


async def take(database: Database, before: int, outcomes: list[Outcome], now: float) -> int:
    page = Page("i", before + 1, before + len(outcomes), outcomes, before + len(outcomes), 0, 0)

    async def work(transaction: Transaction) -> None:
        await outcome_store.add_outcomes(transaction, "signin", page, now)
        await store.add_counts(transaction, count(outcomes, now))
        await outcome_store.join_devices(transaction, outcomes, now)

    await database.write(work)
    return len(outcomes)


async def timed(name: str, work: Callable[[], Awaitable[T]], *, digits: int = 2) -> T:
    pieces = [0.0]
    beating = asyncio.create_task(beat(pieces))
    await asyncio.sleep(0)
    wall, cpu = time.perf_counter(), time.process_time()
    done = await work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    await asyncio.sleep(BEAT_SECONDS)
    beating.cancel()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"  {name}: {cpu:.{digits}f} CPU s, {wall:.{digits}f} s, {1e3 * max(pieces):.0f} ms in one piece,"
        f" {memory:.0f} MB at the peak so far",
        flush=True,
    )
    return done


async def beat(pieces: list[float]) -> None:
    """The CPU of the loop's own thread from beat to beat; what runs between two may be several pieces."""
    while True:
        began = time.thread_time()
        await asyncio.sleep(BEAT_SECONDS)
        pieces.append(time.thread_time() - began)


if __name__ == "__main__":
    main()
