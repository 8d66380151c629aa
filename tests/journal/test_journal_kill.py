"""kill -9 of either side, on both engines: all that was acknowledged is taken, once, and no gap is alarmed about."""

import asyncio
import random
import signal
import sys
from pathlib import Path

import pytest
from journal_process import WRITERS, take

from prikkfri.journal import Follower, Page, read_page
from prikkfri.storage import Location, open_database, open_reader

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("journal_process.py")
KILLS = 6


class Killed:
    """A process that is started, listened to for a while, killed, and started again."""

    def __init__(self, what: str, location: Location, seed: int) -> None:
        self.said: list[str] = []
        self._arguments = [sys.executable, str(PROGRAM), what, str(location.home), location.url]
        self._chance = random.Random(f"{what} {seed}")

    async def lives(self) -> None:
        for _ in range(KILLS):
            process = await asyncio.create_subprocess_exec(*self._arguments, stdout=asyncio.subprocess.PIPE)
            assert process.stdout is not None
            try:
                # Killed after so many lines and not after so many seconds: then each life has done something.
                for _ in range(self._chance.randint(1, 300)):
                    line = await process.stdout.readline()
                    assert line, f"{self._arguments} ended by itself"
                    self.said.append(line.decode().strip())
            finally:
                process.send_signal(signal.SIGKILL)
            rest = await process.stdout.read()
            # What it had said before it died counts too, but for a line that it did not finish.
            self.said += rest.decode().split("\n")[:-1]
            await process.wait()


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_writers_and_followers_lose_nothing_and_take_nothing_twice(location: Location, seed: int) -> None:
    own = await open_database(location, "assurance")
    await own.write(lambda t: t.execute("CREATE TABLE took (n BIGINT PRIMARY KEY, promise TEXT NOT NULL)"))
    await (await open_database(location, "sms")).close()
    writer, follower = Killed("write", location, seed), Killed("follow", location, seed)
    writing = asyncio.create_task(writer.lives())
    following = asyncio.create_task(follower.lives())
    await writing
    following.cancel()  # it may be waiting for outcomes that nobody writes any more
    await asyncio.gather(following, return_exceptions=True)

    reader = open_reader(location, "sms")
    alarms = [line for line in follower.said if line.startswith("ALARM")]
    last = Follower(own, name="test", take=take, alarm=alarms.append)

    async def source(stream: str, after: int) -> Page | None:
        return await read_page(reader, stream, after)

    while await last.step("sms", source):
        pass
    took = [row[0] for row in await own.read(lambda q: q.fetch("SELECT promise FROM took ORDER BY n"))]
    acknowledged = set(writer.said)
    assert alarms == []
    assert len(took) == len(set(took))
    assert acknowledged <= set(took)
    # What a killed writer had written and could not acknowledge any more: at most one for each of its tasks.
    assert len(took) - len(acknowledged) <= WRITERS * KILLS
    head = await source("sms", 0)
    assert head is not None and head.newest == len(took)
    await reader.close()
    await own.close()
