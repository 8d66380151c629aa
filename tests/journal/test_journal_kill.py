"""kill -9 of either side, on both engines: all that was acknowledged is taken, once, and no gap is alarmed about."""

import asyncio
import random
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

    async def lives(self, enough: asyncio.Event) -> None:
        """Lives and is killed, again and again, or until there is `enough`."""
        stopping = asyncio.create_task(enough.wait())
        for _ in range(KILLS):
            process = await asyncio.create_subprocess_exec(*self._arguments, stdout=asyncio.subprocess.PIPE)
            # Killed after so many lines and not after so many seconds: then each life has done something.
            heard = asyncio.Event()
            listening = asyncio.create_task(self._listen(process, self._chance.randint(1, 300), heard))
            hearing = asyncio.create_task(heard.wait())
            await asyncio.wait({hearing, listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            assert not listening.done(), f"{self._arguments} ended by itself"
            process.kill()
            await listening
            hearing.cancel()
            await process.wait()
            if enough.is_set():
                break
        stopping.cancel()

    async def _listen(self, process: asyncio.subprocess.Process, lines: int, heard: asyncio.Event) -> None:
        """Listens to the end: what it had said before it died counts, but for a line that it did not finish."""
        assert process.stdout is not None
        async for line in process.stdout:
            if line.endswith(b"\n"):
                self.said.append(line.decode().strip())
            lines -= 1
            if lines == 0:
                heard.set()


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_writers_and_followers_lose_nothing_and_take_nothing_twice(location: Location, seed: int) -> None:
    own = await open_database(location, "assurance")
    await own.write(lambda t: t.execute("CREATE TABLE took (n BIGINT PRIMARY KEY, promise TEXT NOT NULL)"))
    await (await open_database(location, "sms")).close()
    writer, follower = Killed("write", location, seed), Killed("follow", location, seed)
    written = asyncio.Event()
    following = asyncio.create_task(follower.lives(written))
    await writer.lives(asyncio.Event())
    written.set()  # the follower may be waiting for outcomes that nobody writes any more
    await following

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
