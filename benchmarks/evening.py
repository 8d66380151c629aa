"""An evening of an operator's size through incident response: how long one look takes, and what it holds up.

    python benchmarks/evening.py [--people 50000] [--minutes 3] [--by plain]

Sign-in answers nobody for some minutes while people come at an even rate, after ten ordinary minutes of the same.
Outcomes go through the same store, detection, placing and list as those of a real evening (SQLite in a temporary
folder); people and roles are made up. Printed are the CPU seconds of each look at the incident, the longest time for
which the loop (the console, say) was held up by it, and the list against the truth. What was seen stands in
docs/decisions/looking-at-an-incident.md.
"""

import argparse
import asyncio
import os
import platform
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from journeys import Entrance, journey

from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.surroundings import Surroundings
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance, Remedy, Tier
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Location, open_database

ORDINARY_MINUTES = 10
LOOKED_AT_EVERY_SECONDS = 10
BEAT_SECONDS = 0.01


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--people", type=int, default=50_000, help="who come while sign-in answers nobody")
    arguments.add_argument("--minutes", type=int, default=3, help="for which it answers nobody")
    arguments.add_argument("--by", choices=("at-once", "plain"), default="at-once", help="how people come in")
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory(prefix="pf-evening-") as folder:
        asyncio.run(evening(Path(folder), chosen.people, chosen.minutes, chosen.by))


async def evening(folder: Path, people: int, minutes: int, by: Entrance) -> None:
    clock = ManualClock(1_700_000_000.0)
    database = await open_database(Location(folder), "assurance")
    remedy = Remedy(name="kick-off", service="television", tiers=(Tier(from_minutes=0.0, amount=4_900),))
    settings = Assurance(sign_in_grace_seconds=60.0, warm_up_seconds=120.0, hold_seconds=60.0, remedies=(remedy,))
    response = Response(
        database, settings=settings, surroundings=nothing_else(clock), clock=clock, zone=ZoneInfo("Europe/Oslo")
    )
    per_second = people // (minutes * 60)
    fault = clock.now() + ORDINARY_MINUTES * 60
    end = fault + minutes * 60
    looks: list[tuple[float, float]] = []
    held_up: list[float] = []
    taken, longest_count = 0, 0.0
    beating = asyncio.create_task(beat(held_up))
    async for outcomes in seconds(clock, until=end + 150, fault=fault, end=end, per_second=per_second, by=by):
        page = Page("i", taken + 1, taken + len(outcomes), outcomes, taken + len(outcomes), 0, 0)
        taken += len(outcomes)
        await database.write(lambda t, page=page: outcome_store.add_outcomes(t, "signin", page, clock.now()))  # type: ignore[misc]
        response.watch.arrived("signin", outcomes)
        clock.advance(1)
        counted = time.thread_time()
        await response.watch.tick()
        longest_count = max(longest_count, time.thread_time() - counted)
        if int(clock.now()) % LOOKED_AT_EVERY_SECONDS == 0:
            await asyncio.sleep(2 * BEAT_SECONDS)
            held_up.clear()
            spent = time.process_time()
            await response.evaluations.look()
            spent = time.process_time() - spent
            await asyncio.sleep(2 * BEAT_SECONDS)
            looks.append((spent, max(held_up, default=0.0)))
    beating.cancel()
    before, failed = ORDINARY_MINUTES * 60 * per_second, minutes * 60 * per_second
    await report(response, taken, {device(number) for number in range(before + 1, before + failed + 1)}, looks)
    print(f"  a second's outcomes counted: {longest_count:.2f} CPU s at most")
    await database.close()


async def report(response: Response, taken: int, truth: set[str], looks: Sequence[tuple[float, float]]) -> None:
    [incident] = await response.register.incidents()
    listed = {hit.device for hit in await response.register.hits(incident.id)}
    given = await response.register.credits(incident.id)
    print(f"  {taken:,} outcomes; {len(truth):,} hit; listed {len(listed):,}: missing {len(truth - listed):,},")
    print(f"  wrongly {len(listed - truth):,}; credited {len(given):,};")
    print(f"  the incident is {incident.state}, placed at {', '.join(str(segment) for segment in incident.segments)}")
    slowest = max(looks)
    print(f"  a look at it: {slowest[0]:.1f} CPU s at most ({taken / slowest[0]:,.0f} outcomes a CPU second),")
    print(f"  {sum(cpu for cpu, _ in looks) / len(looks):.1f} on the mean of {len(looks)};")
    print(f"  the loop was held up for {max(held for _, held in looks):.2f} s at most by it")
    print(f"  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at the peak")


async def seconds(
    clock: ManualClock, *, until: float, fault: float, end: float, per_second: int, by: Entrance
) -> AsyncIterator[list[Outcome]]:
    """The outcomes of each second: everybody asks at the door; while the fault lasts nobody is answered."""
    number, later = 0, list[Outcome]()
    while clock.now() < until:
        outcomes = list[Outcome]()
        for index in range(per_second):
            number += 1
            at, failing = clock.now() + index / per_second, fault <= clock.now() < end
            known = {"device": device(number), "promise": f"p-{number}", "customer": f"s-{number}"}
            told = journey(at, by=by, answered_after=None if failing else 0.1, dimensions={"client": "phone"}, **known)
            outcomes += [each for each in told if each.time < clock.now() + 1]
            later += [each for each in told if each.time >= clock.now() + 1]
        due = [each for each in later if each.time < clock.now() + 1]
        later = [each for each in later if each.time >= clock.now() + 1]
        outcomes += due
        yield outcomes


def device(number: int) -> str:
    return f"d-{number:022d}"


async def beat(held_up: list[float]) -> None:
    """In CPU of the loop's thread: the clock on the wall shows the neighbours of a shared machine as well."""
    while True:
        began = time.thread_time()
        await asyncio.sleep(0)
        held_up.append(time.thread_time() - began)


def nothing_else(clock: ManualClock) -> Surroundings:
    async def products(customers: Sequence[str], at: float) -> Mapping[str, str]:
        return dict.fromkeys(customers, "sport")

    async def tell(customer: str, text: str) -> str:
        return ""

    return Surroundings(
        blind=frozenset, silent=frozenset, incomplete=str, capacity_per_second=lambda *_: (80.0, clock.now()),
        products=products, tell=tell, changed=lambda: None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
