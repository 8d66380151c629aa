"""What it costs that a role is on another machine: requests by TLS beside those in clear, and a journal over HTTP.

    python benchmarks/several_machines.py [--rounds 5] [--requests 2000] [--outcomes 200000]

Both sides run in this process, and the CPU counted is that of both; ways are measured in turns, and the median of the
rounds is told. Requests go over connections that are kept. The journal is a spool of a role, read in pages by a
follower: from its file, over HTTP in clear and by TLS, with what came over the wire for each outcome.
"""

import argparse
import asyncio
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx

from prikkfri.app.internal_network import Identity, internal_client
from prikkfri.app.serving import listen, serve
from prikkfri.clock import SystemClock
from prikkfri.journal import Journal, Outcome, Source, open_journal, read_page
from prikkfri.journal.http import application, remote_source
from prikkfri.protocols.asgi import HttpResponse, Request, Route, edge
from prikkfri.simulation.installation import free_ports
from prikkfri.storage import open_spool, open_spool_reader
from prikkfri.storage.certificates import make_authority, make_machine

KEY = "k" * 43
BATCH = 100


def outcome(number: int) -> Outcome:
    return Outcome(
        time=1_700_000_000.0 + number / 1_000,
        service="television",
        step="enter",
        layer="door",
        verdict="asked",
        device=f"d-{number * 2_654_435_761 % (1 << 64):022d}",
        promise=f"q-{number * 40_503 % (1 << 32):016d}",
        dimensions={"client": "web"},
    )


async def cpu_of(work: Callable[[], Awaitable[int]]) -> float:
    """Seconds of CPU for each thing that `work` says it has done."""
    before = time.process_time()
    done = await work()
    return (time.process_time() - before) / done


async def in_turns(ways: dict[str, Callable[[], Awaitable[int]]], rounds: int) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            found[name].append(await cpu_of(work))
    return {name: statistics.median(each) for name, each in found.items()}


async def measure(home: Path, rounds: int, requests: int, outcomes: int) -> None:
    clock = SystemClock()
    make_authority(home, "benchmark", clock.now())
    make_machine(home, ["localhost"], clock.now())
    identity = Identity(home, clock)
    clear_port, tls_port, journal_port, journal_tls_port = free_ports(4)

    async def small(request: Request) -> HttpResponse:
        return HttpResponse(200, {"per_second": 41.5, "waiting_s": 0.25, "waiting": 10, "spent": 12_345})

    database = await open_spool(home, "door")
    journal: Journal = await open_journal(database, stream="door", clock=clock)
    for first in range(0, outcomes, BATCH):
        await journal.append(*(outcome(first + i) for i in range(BATCH)))
    asked, book = edge([Route("GET", "/capacity", small, key=KEY)]), application(lambda: journal, KEY)
    async with asyncio.TaskGroup() as tasks:
        serving = [
            tasks.create_task(serve(asked, listen(clear_port, "loopback"))),
            tasks.create_task(serve(asked, listen(tls_port, "loopback"), tls=identity.server)),
            tasks.create_task(serve(book, listen(journal_port, "loopback"))),
            tasks.create_task(serve(book, listen(journal_tls_port, "loopback"), tls=identity.server)),
        ]
        client = internal_client(identity)
        await asyncio.sleep(0.5)

        def asking(url: str, *, anew: bool = False) -> Callable[[], Awaitable[int]]:
            async def ask() -> int:
                headers = {"authorization": f"Bearer {KEY}", **({"connection": "close"} if anew else {})}
                count = requests // 10 if anew else requests
                for _ in range(count):
                    (await client.get(f"{url}/capacity", headers=headers)).raise_for_status()
                return count

            return ask

        clear, tls = f"http://localhost:{clear_port}", f"https://localhost:{tls_port}"
        ways = {
            "a request in clear": asking(clear),
            "a request by TLS": asking(tls),
            "the same, a new connection each": asking(clear, anew=True),
            "the same by TLS": asking(tls, anew=True),
        }
        for name, seconds in (await in_turns(ways, rounds)).items():
            print(f"  {name:<44} {seconds * 1e6:>9,.0f} us of both sides")

        reader = open_spool_reader(home, "door")
        at = {
            name: f"{name}://localhost:{port}" for name, port in (("http", journal_port), ("https", journal_tls_port))
        }

        def following(source: Source) -> Callable[[], Awaitable[int]]:
            async def follow() -> int:
                after = 0
                while (page := await source("door", after)) is not None and page.outcomes:
                    after = page.last
                assert after == outcomes, after
                return after

            return follow

        ways = {
            "an outcome from the file": following(lambda stream, after: read_page(reader, stream, after)),
            "an outcome over HTTP": following(remote_source(client, at["http"], lambda: KEY)),
            "an outcome over HTTP by TLS": following(remote_source(client, at["https"], lambda: KEY)),
        }
        for name, seconds in (await in_turns(ways, rounds)).items():
            print(f"  {name:<44} {seconds * 1e6:>9.2f} us of both sides")
        async with client.stream("GET", f"{at['https']}/journal/door", headers=gzipped()) as answer:
            size = len(b"".join([chunk async for chunk in answer.aiter_raw()]))
        page = await read_page(reader, "door", 0)
        assert page is not None
        print(f"  {'on the wire':<44} {size / len(page.outcomes):>9.1f} octets an outcome")
        await reader.close()
        await client.aclose()
        for task in serving:
            task.cancel()
    await database.close()


def gzipped() -> httpx.Headers:
    return httpx.Headers({"authorization": f"Bearer {KEY}", "accept-encoding": "gzip"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--outcomes", type=int, default=200_000)
    chosen = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), chosen.rounds, chosen.requests, chosen.outcomes))


if __name__ == "__main__":
    main()
