"""A process to be killed: `write` appends and prints what was acknowledged, `follow` takes it into its own database."""

import asyncio
import os
import sys
from pathlib import Path

from prikkfri.clock import SystemClock
from prikkfri.journal import Follower, Outcome, Page, open_journal, read_page
from prikkfri.storage import Location, Transaction, open_database, open_reader

WRITERS = 20


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


async def write(location: Location) -> None:
    database = await open_database(location, "sms")
    journal = await open_journal(database, stream="sms", clock=SystemClock())

    async def append(writer: int) -> None:
        number = 0
        while True:
            promise = f"{os.getpid()}.{writer}.{number}"
            await journal.append(Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept", promise=promise))
            say(promise)
            number += 1

    await asyncio.gather(*(append(writer) for writer in range(WRITERS)))


async def take(transaction: Transaction, stream: str, page: Page) -> None:
    await transaction.execute_many(
        "INSERT INTO took (n, promise) VALUES (:n, :promise)",
        [{"n": page.first + i, "promise": o.promise} for i, o in enumerate(page.outcomes)],
    )


async def follow(location: Location) -> None:
    own = await open_database(location, "assurance")
    reader = open_reader(location, "sms")
    follower = Follower(own, name="test", take=take, alarm=lambda text: say(f"ALARM {text}"))

    async def source(stream: str, after: int) -> Page | None:
        return await read_page(reader, stream, after)

    while True:
        if taken := await follower.step("sms", source):
            say(str(taken))
        else:
            await asyncio.sleep(0.001)


if __name__ == "__main__":
    what, home, url = sys.argv[1:]
    asyncio.run({"write": write, "follow": follow}[what](Location(Path(home), url)))
