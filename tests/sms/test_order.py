"""First attempts leave in the order of acceptance for each sender and recipient, whatever happens on their way."""

import asyncio
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from cables import SHOP, CabledLoop, link, running_centre

from prikkfri.protocols.smpp.pdu import BindAnswer, Command, MessageAnswer, ShortMessage, Status
from prikkfri.protocols.smpp.session import Ended, Request
from prikkfri.sms.server import Connection

Pair = tuple[str, str]
PAIRS = [(sender, f"479000000{number}") for sender in ("Shop", "Bank") for number in range(3)]


class Partner:
    """Takes what comes over its connections, each of which has a delay of its own, and notes what came when first."""

    def __init__(self, loop: CabledLoop, chance: random.Random, refuses: float) -> None:
        self.loop = loop
        self.chance = chance
        self.refuses = refuses
        self.seen: defaultdict[Pair, list[str]] = defaultdict(list)
        self.taken: set[str] = set()
        self.bound: list[tuple[str, Connection]] = []
        self.binds_per_text: defaultdict[str, set[int]] = defaultdict(set)
        self.refused = 0
        self.serving: list[asyncio.Task[None]] = []

    def opened(self, name: str, connection: Connection) -> None:
        self.serving.append(self.loop.create_task(self.serve(name, connection)))

    async def serve(self, name: str, connection: Connection) -> None:
        self.bound.append((name, connection))
        while True:
            for event in await connection.take(self.chance.randint(1, 20)):
                if isinstance(event, Ended):
                    self.bound.remove((name, connection))
                    return
                assert isinstance(event, Request)
                if isinstance(event.body, ShortMessage):
                    await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.001, 0.02)))
                    self.answer(connection, event, event.body)
                elif event.command == Command.UNBIND:
                    connection.session.answer(event, Status.OK)
                else:
                    connection.session.answer(event, Status.OK, BindAnswer("partner"))
            connection.flush()

    def answer(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        text = message.octets.decode("ascii")
        seen = self.seen[message.source, message.destination]
        if text not in seen:
            seen.append(text)
        if self.chance.random() < self.refuses:
            self.refused += 1
            connection.session.answer(request, Status.THROTTLED, MessageAnswer())
        else:
            self.taken.add(text)
            connection.session.answer(request, Status.OK, MessageAnswer(f"net-{text}"))


class World:
    """A partner and the order in which messages for it were accepted."""

    def __init__(self, seed: int, refuses: float = 0.0) -> None:
        self.chance = random.Random(seed)
        self.loop = CabledLoop(lambda *args: self.partner.opened(*args), lambda: self.chance.uniform(0.001, 0.3))
        self.partner = Partner(self.loop, self.chance, refuses)
        self.accepted: defaultdict[Pair, list[str]] = defaultdict(list)
        self.count = 0

    async def hand_in(self, centre: Any, messages: int) -> None:
        asked = []
        for _ in range(messages):
            self.count += 1
            pair, text = self.chance.choice(PAIRS), f"number {self.count}"
            self.accepted[pair].append(text)
            asked.append(centre.submit(SHOP, pair[0], f"+{pair[1]}", text))
        assert all(isinstance(each, str) for each in await asyncio.gather(*asked))

    async def all_taken(self, database: Any) -> None:
        while len(self.partner.taken) < self.count:
            await asyncio.sleep(0.5)
            assert self.loop.time() < 3_000.0
        await asyncio.sleep(2.0)

    def run(self, work: Any) -> None:
        try:
            self.loop.run_until_complete(work)
        finally:
            self.loop.close()

    def must_be_in_order(self, but: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        """`but`: what was lost on its way, and came later than it left."""
        for pair, texts in self.accepted.items():
            assert [each for each in self.partner.seen[pair] if each not in but] == [
                each for each in texts if each not in but
            ]


@pytest.mark.parametrize("seed", range(30))
def test_pairs_keep_their_order_over_several_binds_of_odd_delays(folder: Path, seed: int) -> None:
    world = World(seed)

    async def work() -> None:
        async with running_centre(world.loop, folder, link(binds=3, window=5)) as (centre, database):
            await asyncio.sleep(1.0)
            assert len(world.partner.bound) == 3
            for _ in range(15):
                await world.hand_in(centre, 10)
                await asyncio.sleep(world.chance.uniform(0.0, 0.3))
            await world.all_taken(database)

    world.run(work())
    world.must_be_in_order()
