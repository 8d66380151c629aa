"""The centre in this process, with a client and a network that do exactly what a test says (`sms_house`)."""

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest
from sms_house import ANSWER_SECONDS_MAX, HURRIED, PASSWORD, SETTINGS, FailingEngine, House, HouseClock, Network, Opener

from prikkfri.config import Link
from prikkfri.journal import Journal, open_journal
from prikkfri.sms.binding import ConnectionLimits
from prikkfri.sms.canaries.service import Canaries
from prikkfri.sms.holding.service import Holders
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.shared.service import WIRE, Wire
from prikkfri.sms.timing import Timing
from prikkfri.storage import Database, Location
from prikkfri.storage.marks import MarkFile
from prikkfri.storage.opening import open_unmigrated
from prikkfri.storage.sealing_keys import EARLIER, SealingKeysInMemory


@pytest.fixture
async def house(database: Database, location: Location) -> AsyncIterator[Opener]:
    """Opens the centre with one link, `nord`, to a network that the test plays.

    Another one is beside it where `instead` names it, or `beside` says how it differs.
    """
    failing = Database(FailingEngine(database.engine), area="sms")
    clock, sealing_keys = HouseClock(), SealingKeysInMemory()
    journal: Journal | None = None

    @asynccontextmanager
    async def opened(
        *,
        instead: str = "",
        nord: Mapping[str, Any] = MappingProxyType({}),
        beside: Mapping[str, Any] | None = None,
        timing: Timing = HURRIED,
        window: int = 10,
        connections_max: int = 100,
        room: ConnectionLimits | None = None,
        trusted: tuple[str, ...] = (),
        link_changes: dict[str, Any] | None = None,
        receipt_ids: str = "",
        mark_file: Path | None = None,
        earlier_key: bytes = b"",
        wire: Wire = WIRE,
        holders: Holders | None = None,
        **changes: Any,
    ) -> AsyncIterator[House]:
        nonlocal journal
        if earlier_key:
            sealing_keys.keys[EARLIER] = earlier_key
        network, other = Network(), Network()
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(each.accept, sock=each.listening) for each in (network, other)]
        link = Link(
            name="nord",
            partner="Fjordmobil",
            host="127.0.0.1",
            port=network.port,
            system_id="prikkfri",
            password=PASSWORD,
            prefixes=("47",),
            instead=instead,
            window=window,
            receipt_ids=receipt_ids,
            **(link_changes or {}),
        )
        second = replace(link, name=instead or "syd", partner="Sydtel", port=other.port, prefixes=(), instead="")
        links = [replace(link, **nord)]
        if instead or beside is not None:
            links.append(replace(second, **(beside or {})))
        settings = replace(SETTINGS, links=tuple(links), **changes)
        area = failing
        if mark_file is not None:  # as a process of its own: how far the stream has come is told when it is opened
            area, journal = Database(FailingEngine(open_unmigrated(location, "sms").engine), area="sms"), None
        journal = journal or await open_journal(area, stream="sms", clock=clock)
        smpp = socket.create_server(("127.0.0.1", 0))
        centre = SmsCentre(
            database=area,
            journal=journal,
            settings=settings,
            sealing_keys=sealing_keys,
            clock=clock,
            entropy=os.urandom,
            smpp_sockets=[smpp],
            timing=timing,
            room=room or ConnectionLimits(connections_max=connections_max),
            trusted=trusted,
            wire=wire,
            holders=holders,
            mark=MarkFile(mark_file) if mark_file is not None else None,
        )
        if mark_file is not None:
            await centre.restores.notice()
        canaries = Canaries(
            centre,
            database=area,
            journal=journal,
            settings=settings,
            clock=clock,
            entropy=os.urandom,
            timing=timing,
        )
        running = [asyncio.create_task(work()) for work in (centre.run, canaries.run)]
        try:
            yield House(area, clock, centre, canaries, smpp.getsockname()[1], network, other, sealing_keys)
        except BaseException:
            cast(FailingEngine, area.engine).go_on.set()  # a test that failed while it held a commit ends
            raise
        finally:
            for each in running:
                each.cancel()
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    for each in running:
                        with contextlib.suppress(asyncio.CancelledError):
                            await each
            finally:
                for server in servers:
                    server.close()
                # A centre that never came to run has not closed them.
                for listening in (smpp, network.listening, other.listening):
                    listening.close()
                await asyncio.sleep(0)
                if area is not failing:
                    await centre.restores.mark_last()
                    await area.close()
                    await cast(FailingEngine, area.engine).inner.close()

    yield opened
    await failing.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: thousands of commits are not what is tried here."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as found:
        yield Path(found)
