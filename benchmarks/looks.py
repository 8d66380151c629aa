"""Looks at one incident, by how much is known of it: from nothing, as after a restart, and carried on.

    python benchmarks/looks.py [--outcomes 1000 100000 300000] [--kept 300000]

Sign-in answers nobody for three minutes after ten ordinary ones. All of it is stored, as a follower stores it (SQLite
in a temporary folder); then a started incident response looks at it: from nothing, with a second's new outcomes, and
with nothing new. Printed are CPU seconds, the most of them that the loop's own thread spent in one piece, and then the
reading of the list, of one customer and of the counts; the list against the truth, and the memory. `--kept`: so many
outcomes may be kept in memory from one look to the next. What was seen stands in
docs/decisions/looking-at-an-incident.md.
"""

import argparse
import asyncio
import logging
import os
import platform
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import evening
from msgspec import structs

from prikkfri.assurance import store
from prikkfri.assurance.counting import PERIOD_SECONDS, count
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import Fact, apply_fact, open_incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.store import save_incident
from prikkfri.assurance.response.timing import TIMING
from prikkfri.assurance.segments import Segment
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Database, Location, Transaction, open_database

BEFORE_SECONDS = 600
FAULT_SECONDS = 180
OUTCOMES_OF_A_RATE = 2 * BEFORE_SECONDS + FAULT_SECONDS
"""For each person a second: who is answered makes two."""
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--outcomes", type=int, nargs="+", default=[1_000, 100_000, 300_000])
    arguments.add_argument("--kept", type=int, default=TIMING.kept_outcomes_max)
    chosen = arguments.parse_args()
    logging.disable(logging.CRITICAL)
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    for outcomes in chosen.outcomes:
        print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before", flush=True)
        with tempfile.TemporaryDirectory(prefix="pf-looks-") as folder:
            asyncio.run(looks(Path(folder), outcomes, chosen.kept))


async def looks(folder: Path, outcomes: int, kept: int) -> None:
    clock = ManualClock(1_700_000_000.0)
    database = await open_database(Location(folder), "assurance")
    per_second = max(outcomes // OUTCOMES_OF_A_RATE, 1)
    fault = clock.now() + BEFORE_SECONDS
    end = fault + FAULT_SECONDS + 3
    stored = 0
    new: list[Outcome] = []
    spent = time.process_time()
    async for each in evening.seconds(clock, until=end, fault=fault, end=end, per_second=per_second, by="plain"):
        new += each
        clock.advance(1)
        if len(new) >= 2_000 or clock.now() >= end - 3:
            stored += await take(database, stored, new)
            new = []
            if clock.now() >= end - 3:
                break
    spent = time.process_time() - spent
    alarm = Alarm("share", SIGN_IN, fault + 65, fault, 0.005, 1.0, 40.0, 30.0, 25.0)
    incident = apply_fact(open_incident("i", alarm, fault + 65), Fact("evidence", fault + 66))
    await database.write(lambda t: save_incident(t, replace(incident, since=fault)))
    response = Response(
        database, settings=Assurance(sign_in_grace_seconds=60.0), surroundings=evening.nothing_else(clock),
        clock=clock, zone=ZoneInfo("Europe/Oslo"), timing=replace(TIMING, kept_outcomes_max=kept),
    )  # fmt: skip
    await response.register.recover()
    print(f"{stored:,} outcomes, stored in {1e6 * spent / stored:.0f} CPU µs each")
    await timed("from nothing", response.evaluations.look)
    await timed("again, the place being known", response.evaluations.look)
    for name in ("with a second's new outcomes", "with the next second's"):
        at = clock.now()
        fresh = [
            Outcome(
                time=at + index / per_second, service="television", step="sign-in", layer="door", verdict="asked",
                device=f"n-{at}-{index}", promise=f"n-{at}-{index}",
            )
            for index in range(per_second)
        ]  # fmt: skip
        clock.advance(1)
        stored += await take(database, stored, fresh)
        await timed(name, response.evaluations.look)
    await timed("with nothing new", response.evaluations.look)
    listed = await response.register.listed("i")
    waited = int(clock.now() - fault) - 60
    print(
        f"  listed {listed.hit if listed else 0:,}; in truth {per_second * waited:,} to {per_second * (waited + 1):,}"
    )
    await timed("the list, read", lambda: response.register.hits("i"))
    hit = f"s-{per_second * BEFORE_SECONDS + 7}"
    if not await response.announcements.was_hit(hit):
        print("  they are not on the list!")
    await timed("one customer who was: was I hit", lambda: response.announcements.was_hit(hit))
    await timed(
        "one customer's outcomes", lambda: database.read(lambda q: outcome_store.outcomes_of_customer(q, hit, most=200))
    )
    since, until = int(fault) - BEFORE_SECONDS, int(clock.now())
    await timed(
        "the counts", lambda: database.read(lambda q: store.counts(q, since=since, until=until, period=PERIOD_SECONDS))
    )
    print(f"  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at the peak of this process so far")
    await database.close()


async def take(database: Database, before: int, outcomes: list[Outcome]) -> int:
    page = Page("i", before + 1, before + len(outcomes), outcomes, before + len(outcomes), 0, 0)

    now = outcomes[-1].time
    # Everybody has signed in on their device before.
    named = [structs.replace(o, customer=f"s-{o.promise[2:]}") for o in outcomes if o.verdict == "asked"]

    async def work(transaction: Transaction) -> None:
        await outcome_store.add_outcomes(transaction, "signin", page, now)
        await store.add_counts(transaction, count(outcomes, now))
        await outcome_store.join_devices(transaction, named, now)

    await database.write(work)
    return len(outcomes)


async def timed(name: str, work: Callable[[], Awaitable[object]]) -> None:
    held_up: list[float] = []
    beating = asyncio.create_task(evening.beat(held_up))
    await asyncio.sleep(0)
    wall, cpu = time.perf_counter(), time.process_time()
    await work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    await asyncio.sleep(0)
    beating.cancel()
    print(
        f"  {name}: {cpu:.3f} CPU s (with the beat), {wall:.3f} s, {1e3 * max(held_up):.0f} ms in one piece", flush=True
    )


if __name__ == "__main__":
    main()
