"""What a second, a look and a list cost as promises, series, people hit and outcomes grow.

    python benchmarks/growth.py [--sizes 1000,100000,1000000] [--only promises,series,lists,outcomes] [--json FILE]

`promises`: so many are open while a hundred are asked and a hundred answered each second; CPU of counting a second.
`series`: 2,000 and 10,000 of them, a promise a second in one in a hundred of them, and in each.
`lists`: so many are hit, each with a device and a product: their list is written, read, changed in a hundredth, joined
to holders and products, credited, and the credits read; CPU of each, and for how long the loop stood still.
`outcomes`: so many lie in an hour: one customer's, counts of it all by step, layer, verdict and reason, and erasing.
Both in SQLite in a temporary folder.
"""

import argparse
import asyncio
import gc
import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prikkfri.assurance import store
from prikkfri.assurance.counting import count
from prikkfri.assurance.detection import Settings
from prikkfri.assurance.impact import Hit, Impact, ListChange, Scope
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.outcomes.days import DAY_SECONDS
from prikkfri.assurance.outcomes.store import LEFT_SECONDS, erase_outcomes
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response import store as response_store
from prikkfri.assurance.watching import Arrival, Watch, advance
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Location, Transaction, open_database
from prikkfri.subscribers.store import products_at, write_subscriptions
from prikkfri.subscribers.subscriptions import Subscription

START = 1_700_000_000.0
SECONDS = 20
SIGNED_IN = {"time": START, "service": "television", "step": "sign-in", "layer": "signin", "verdict": "kept"}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", default="1000,100000,1000000")
    arguments.add_argument("--only", default=",".join(PARTS))
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    sizes = [int(size) for size in chosen.sizes.split(",")]
    figures = {name: PARTS[name](sizes) for name in chosen.only.split(",")}
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def promises(sizes: Sequence[int]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for size in sizes:
        askings = [message(START + n / size, "asked", f"m-{n}") for n in range(size)]
        watch, _ = advance(Watch(START), askings, Settings(), until=START + 1)
        costs = []
        for second in range(1, SECONDS):
            at = START + second
            told = [message(at + n / 100, "asked", f"n-{second}-{n}") for n in range(100)]
            told += [message(at + n / 100 + 0.001, "kept", f"n-{second}-{n}") for n in range(100)]
            began = time.process_time()
            watch, _ = advance(watch, told, Settings(), until=at + 1)
            costs.append((time.process_time() - began) * 1e3)
        assert len(watch.open) == size
        figures[str(size)] = told_of(f"{size:,} promises open: a second", costs)
    return figures


def series(_: Sequence[int]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for size in (2_000, 10_000):
        settings = Settings(series=size)
        for part in (100, 1):
            watch, _ = advance(Watch(START), placed(START, size, 1), settings, until=START + 1)
            costs = []
            for second in range(1, 3 * SECONDS + 5):
                told = placed(START + second, size, part)
                began = time.process_time()
                watch, _ = advance(watch, told, settings, until=START + second + 1)
                costs.append((time.process_time() - began) * 1e3)
            name = f"{size:,} series, a promise in {size // part:,} of them: a second"
            figures[f"{size}, {size // part} a second"] = told_of(name, costs)
    return figures


def placed(at: float, size: int, part: int) -> list[Arrival]:
    known = {"service": "messages", "step": "deliver", "layer": "link", "verdict": "kept"}
    return [
        ("sms", Outcome(time=at + n / size, dimensions={"account": f"a-{n}"}, **known))  # type: ignore[arg-type]
        for n in range(0, size, part)
    ]


def message(at: float, verdict: str, promise: str) -> Arrival:
    known = {"service": "messages", "step": "deliver", "layer": "link", "dimensions": {"partner": "Telia"}}
    return "sms", Outcome(time=at, verdict=verdict, promise=promise, **known)  # type: ignore[arg-type]


def told_of(what: str, costs: Sequence[float]) -> dict[str, float]:
    figures = {"median_ms": round(statistics.median(costs), 2), "worst_ms": round(max(costs), 2)}
    print(f"{what}: {figures['median_ms']:.1f} ms CPU (median), {figures['worst_ms']:.1f} ms at most")
    return figures


def lists(sizes: Sequence[int]) -> dict[str, Any]:
    figures = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="pf-growth-") as folder:
            figures[str(size)] = asyncio.run(one_list(Path(folder), size))
    return figures


async def one_list(folder: Path, size: int) -> dict[str, Any]:
    database = await open_database(Location(folder), "assurance")
    people = await open_database(Location(folder), "subscribers")
    names, devices = [f"s-{number}" for number in range(size)], [f"d-{number}" for number in range(size)]
    known = ("television", "sign-in", START, 1, 1, "", None, True)
    hits = [Hit(name, device, *known) for name, device in zip(names, devices, strict=True)]
    made = Impact(Scope((), START, START + 60), tuple(hits), size, 0, "digest")
    for part in range(0, size, 5_000):
        held = [Subscription(name, "television", "sport", "", 0.0, 1e12) for name in names[part : part + 5_000]]
        await people.write(lambda t, held=held: write_subscriptions(t, held))  # type: ignore[misc]
        seen = [
            Outcome(
                time=START, service="television", step="sign-in", layer="signin", verdict="kept", customer=c, device=d
            )
            for c, d in zip(names[part : part + 5_000], devices[part : part + 5_000], strict=True)
        ]
        await database.write(lambda t, seen=seen: outcome_store.join_devices(t, seen, START))  # type: ignore[misc]
    whole = ListChange.between({}, hits)
    changed = [replace(hit, tries=2) if number % 100 == 0 else hit for number, hit in enumerate(hits)]
    some = ListChange.between(whole.by_person, changed)
    credits = [ServiceCredit(f"i:{name}", "i", name, 4_900, "NOK", "match", "") for name in names]

    async def write(change: ListChange) -> None:
        await database.write(lambda t: response_store.save_impact(t, "i", made, "", START, change=change))

    steps: dict[str, Callable[[], Awaitable[Any]]] = {
        "written": lambda: write(whole),
        "read": lambda: database.read(lambda q: response_store.hits_of(q, "i")),
        "changed in a hundredth": lambda: write(some),
        "joined to holders": lambda: database.read(lambda q: response_store.holders_of(q, devices)),
        "joined to products": lambda: people.read(lambda q: products_at(q, names, START)),
        "credited": lambda: database.write(
            lambda t: response_store.give_credits(t, credits, given_by="rule:policy", now=START)
        ),
        "credits read": lambda: database.read(lambda q: response_store.credits_of(q, "i")),
    }
    figures = {name: await timed(f"a list of {size:,} {name}", step) for name, step in steps.items()}
    await database.close()
    await people.close()
    return figures


def outcomes(sizes: Sequence[int]) -> dict[str, Any]:
    figures = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="pf-growth-") as folder:
            figures[str(size)] = asyncio.run(an_hour(Path(folder), size))
    return figures


async def an_hour(folder: Path, size: int) -> dict[str, Any]:
    database = await open_database(Location(folder), "assurance")
    began = time.perf_counter()
    for first in range(0, size, 5_000):
        told = [person(number, START + 3_600 * number / size) for number in range(first, min(first + 5_000, size))]
        page = Page("i", first + 1, first + len(told), told, first + len(told), 0, 0)

        async def take(transaction: Transaction, page: Page = page) -> None:
            await outcome_store.add_outcomes(transaction, "signin", page, START)
            await store.add_counts(transaction, count(page.outcomes, START))
            await outcome_store.join_devices(transaction, page.outcomes, START)

        await database.write(take)
    figures: dict[str, Any] = {"taken_a_second": round(size / (time.perf_counter() - began))}
    print(f"{size:,} outcomes: {figures['taken_a_second']:,} taken a second", flush=True)
    since, until = int(START), int(START) + 3_600
    steps: dict[str, Callable[[], Awaitable[Any]]] = {
        "one customer's": lambda: database.read(
            lambda q: outcome_store.outcomes_of_customer(q, f"s-{size // 2}", most=200)
        ),
        "counted": lambda: database.read(lambda q: store.counts(q, since=since, until=until, period=60)),
        "a day left": lambda: database.write(partial(erase_outcomes, before=START + 3 * DAY_SECONDS, now=START)),
        "its table dropped": lambda: database.write(
            partial(erase_outcomes, before=START + 3 * DAY_SECONDS, now=START + LEFT_SECONDS)
        ),
    }
    figures |= {name: await timed(f"{size:,} outcomes, {name}", step) for name, step in steps.items()}
    figures["file_mb"] = sum(path.stat().st_size for path in folder.rglob("*")) // 1_000_000
    await database.close()
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{size:,} outcomes: {figures['file_mb']:,} MB on disk; {figures['peak_mb']:,} MB at the peak of the process")
    return figures


def person(number: int, at: float) -> Outcome:
    return Outcome(
        time=at, service="television", step="sign-in", layer="signin", verdict="broken" if number % 50 == 0 else "kept",
        reason="unavailable" if number % 50 == 0 else "", customer=f"s-{number}", device=f"d-{number:022d}",
        promise=f"p-{number}", dimensions={"client": ("phone", "tv", "web")[number % 3]},
    )  # fmt: skip


async def timed(what: str, step: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    """CPU of it in all threads, and the most that the loop's thread spent before somebody else had a turn.

    Not by the clock on the wall: on a shared machine that shows the neighbours.
    """
    still: list[float] = []

    async def beat() -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            still.append(time.thread_time() - began)

    beating = asyncio.create_task(beat())
    gc.collect()
    await asyncio.sleep(0.01)
    still.clear()
    began, loop = time.process_time(), time.thread_time()
    await step()
    took, loop = time.process_time() - began, time.thread_time() - loop
    beating.cancel()
    figures = {"cpu_ms": round(took * 1e3, 1), "silent_ms": round(max(still, default=loop) * 1e3, 1)}
    told = f"{figures['cpu_ms']:,.0f} ms CPU; the loop stood still for {figures['silent_ms']:.0f} ms of it at most"
    print(f"{what}: {told}", flush=True)
    return figures


PARTS: dict[str, Callable[[Sequence[int]], dict[str, Any]]] = {
    "promises": promises, "series": series, "lists": lists, "outcomes": outcomes
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
