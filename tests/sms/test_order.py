"""First attempts leave in the order of acceptance for each sender and recipient, whatever happens on their way."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Collection, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cables import SHOP, CabledLoop, link, running_centre
from sms_house import NUMBER

from prikkfri.protocols.smpp.pdu import BindResponse, Command, MessageResponse, ShortMessage, Status, Tag
from prikkfri.protocols.smpp.session import (
    Event,
    PeerResponse,
    Request,
    ResponseTimeout,
    SessionEnd,
    UnreadableResponse,
)
from prikkfri.sms.messages import Message
from prikkfri.sms.pairs import Pairs, responded_messages
from prikkfri.sms.server import Connection
from prikkfri.sms.timing import TIMING

T = TypeVar("T")
Pair = tuple[str, str]
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 4))]
PAIRS = [(sender, f"479000000{number}") for sender in ("Shop", "Bank") for number in range(3)]


class Partner:
    """Takes what comes over its connections, each of which has a delay of its own, and notes what came when first."""

    def __init__(self, loop: CabledLoop, chance: random.Random, refuses: int, even: bool) -> None:
        self.loop = loop
        self.chance = chance
        self.refuses = refuses
        """Of how many it refuses one; 0: none."""
        self.pauses = () if even else (0.0, 0.0, 0.001, 0.02)
        self.seen: defaultdict[Pair, list[str]] = defaultdict(list)
        self.taken: set[str] = set()
        self.came_over: set[tuple[str, str]] = set()
        self.bound: list[tuple[str, Connection]] = []
        self.asked = self.refused = 0
        self.serving: list[asyncio.Task[None]] = []

    def opened(self, name: str, connection: Connection) -> None:
        self.serving.append(self.loop.create_task(self.serve(name, connection)))

    async def serve(self, name: str, connection: Connection) -> None:
        self.bound.append((name, connection))
        while True:
            for event in await connection.take(100):
                if isinstance(event, SessionEnd):
                    self.bound.remove((name, connection))
                    return
                assert isinstance(event, Request)
                if isinstance(event.body, ShortMessage):
                    if self.pauses:
                        await asyncio.sleep(self.chance.choice(self.pauses))
                    self.came_over.add((name, event.body.octets.decode("ascii")))
                    self.answer(connection, event, event.body)
                elif event.command == Command.UNBIND:
                    connection.session.answer(event, Status.OK)
                else:
                    connection.session.answer(event, Status.OK, BindResponse("partner"))
            connection.flush()

    def answer(self, connection: Connection, request: Request, message: ShortMessage) -> None:
        text = message.octets.decode("ascii")
        seen = self.seen[message.source, message.destination]
        if text not in seen:
            seen.append(text)
        self.asked += 1
        if self.refuses and self.asked % self.refuses == 0:
            self.refused += 1
            connection.session.answer(request, Status.THROTTLED, MessageResponse())
        else:
            self.taken.add(text)
            connection.session.answer(request, Status.OK, MessageResponse(f"net-{text}"))


class World:
    """A partner and the order in which messages for it were accepted."""

    def __init__(self, seed: int, refuses: int = 0, even: bool = False) -> None:
        self.chance = random.Random(seed)
        self.loop = CabledLoop(self.opened, lambda: 0.05 if even else self.chance.uniform(0.001, 0.3))
        self.away: set[str] = set()
        """The links that nobody answers."""
        self.partner = Partner(self.loop, self.chance, refuses, even)
        self.accepted: defaultdict[Pair, list[str]] = defaultdict(list)
        self.count = 0
        self.texts: dict[str, str] = {}
        """By the id that its sender was given."""

    def opened(self, name: str, connection: Connection) -> None:
        if name in self.away:
            raise ConnectionRefusedError
        self.partner.opened(name, connection)

    async def hand_in(self, centre: Any, messages: int) -> None:
        asked = []
        for _ in range(messages):
            self.count += 1
            pair, text = self.chance.choice(PAIRS), f"number {self.count}"
            self.accepted[pair].append(text)
            asked.append(centre.submit(SHOP, pair[0], f"+{pair[1]}", text))
        ids = await asyncio.gather(*asked)
        assert all(isinstance(each, str) for each in ids)
        first = self.count - messages + 1
        self.texts |= {identity: f"number {first + number}" for number, identity in enumerate(ids)}

    async def doubtful(self, database: Any) -> set[str]:
        """What may have been lost on its way, and come later than it left."""
        rows = await database.read(lambda queries: queries.fetch("SELECT id FROM sms_message WHERE doubts > 0"))
        return {self.texts[row[0]] for row in rows}

    async def all_taken(self) -> None:
        while len(self.partner.taken) < self.count:
            await asyncio.sleep(0.5)
            assert self.loop.time() < 3_000.0
        await asyncio.sleep(2.0)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            found = self.loop.run_until_complete(work)
            for task in self.partner.serving:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*self.partner.serving, return_exceptions=True))
            return found
        finally:
            self.loop.close()

    def must_be_in_order(self, but: Collection[str] = ()) -> None:
        """`but`: what was lost on its way, and came later than it left."""
        for pair, texts in self.accepted.items():
            left = [text for text in texts if text not in but]
            assert [text for text in self.partner.seen[pair] if text not in but] == left


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_keep_their_order_over_several_binds_of_odd_delays(folder: Path, seed: int) -> None:
    world = World(seed)

    async def work() -> None:
        async with running_centre(world.loop, folder, link(binds=3, window=5)) as (centre, _):
            await asyncio.sleep(1.0)
            assert len(world.partner.bound) == 3
            for _ in range(15):
                await world.hand_in(centre, 10)
                await asyncio.sleep(world.chance.uniform(0.0, 0.3))
            await world.all_taken()

    world.run(work())
    world.must_be_in_order()


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_keep_their_order_when_the_partner_says_now_and_then_that_we_are_too_fast(
    folder: Path, seed: int
) -> None:
    world = World(seed, refuses=17)

    async def work() -> None:
        async with running_centre(world.loop, folder, link(binds=3, window=5)) as (centre, _):
            for _ in range(10):
                await world.hand_in(centre, 10)
                await asyncio.sleep(world.chance.uniform(0.0, 2.0))
            await world.all_taken()

    world.run(work())
    assert world.partner.refused
    world.must_be_in_order()


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_keep_their_order_while_binds_are_lost_routes_stopped_and_the_centre_started_again(
    folder: Path, seed: int
) -> None:
    """What was under way over a lost bind may have arrived or not; all the rest keeps its order."""
    world, lost = World(seed), set()
    chance = world.chance

    async def disturb(centre: Any) -> None:
        what = chance.choice(("cut", "stop", "wait", "wait"))
        if what == "cut" and world.partner.bound:
            chance.choice(world.partner.bound)[1].abort()
        elif what == "stop":
            await centre.switch_route("nord", "stopped", who="Kari", reason="r")
            await world.hand_in(centre, 10)
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            await centre.switch_route("nord", "open", who="Kari", reason="r")

    async def work() -> None:
        for _ in range(2):
            async with running_centre(
                world.loop, folder, link(binds=3, window=5), timing=replace(TIMING, take_over_seconds=1e6)
            ) as (centre, database):
                await asyncio.sleep(chance.choice((0.0, 1.0)))
                for _ in range(8):
                    await world.hand_in(centre, 10)
                    await disturb(centre)
                    await asyncio.sleep(chance.uniform(0.0, 0.3))
        async with running_centre(world.loop, folder, link(binds=3, window=5)) as (_, database):
            await world.all_taken()
            lost.update(await world.doubtful(database))

    world.run(work())
    assert len(lost) < world.count / 2
    world.must_be_in_order(lost)


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_keep_their_order_when_another_link_takes_over_and_gives_back(folder: Path, seed: int) -> None:
    """Both are as far away, so that what leaves first comes first."""
    world = World(seed, even=True)
    chance = world.chance

    async def work() -> set[str]:
        links = link("nord", window=5), link("syd", window=5, priority=1)
        async with running_centre(world.loop, folder, *links) as (centre, database):
            await asyncio.sleep(1.0)
            for _ in range(3):
                await world.hand_in(centre, 20)
                how = chance.choice(("stop", "down"))
                if how == "stop":
                    await centre.switch_route("nord", "stopped", who="Kari", reason="r")
                else:
                    world.away.add("nord")
                    for name, connection in list(world.partner.bound):
                        if name == "nord":
                            connection.abort()
                for _ in range(10):
                    await world.hand_in(centre, 10)
                    await asyncio.sleep(chance.uniform(0.0, 1.5))
                world.away.clear()
                await centre.switch_route("nord", "open", who="Kari", reason="r")
                for _ in range(10):
                    await world.hand_in(centre, 5)
                    await asyncio.sleep(chance.uniform(0.0, 0.5))
            await world.all_taken()
            return await world.doubtful(database)

    lost = world.run(work())
    assert {name for name, _ in world.partner.came_over} == {"nord", "syd"}
    assert len(lost) < world.count / 4
    world.must_be_in_order(lost)


async def test_what_is_scheduled_for_one_moment_leaves_in_the_order_of_its_acceptance(house: Any) -> None:
    async with house(window=7) as at:
        link, client = await at.network.bound(), await at.bound_client()
        texts = [f"message {number}".encode() for number in range(40)]
        for burst, seconds in enumerate((9, 8, 7, 6)):
            fields = {"source": "Shop", "destination": NUMBER, "schedule": f"0000000000{seconds:02}000R"}
            for text in texts[burst * 10 : burst * 10 + 10]:
                client.ask(Command.SUBMIT_SM, ShortMessage(octets=text, **fields))
            for _ in range(10):
                assert (await client.answered()).status == Status.OK
            at.clock.advance(1.0)
        assert len(await at.fetch("SELECT DISTINCT due_at FROM sms_message")) == 1
        at.clock.advance(5.0)
        left = []
        for _ in texts:
            request, message = await link.message()
            left.append(message.octets)
            link.take_message(request, f"net-{request.sequence}")
        assert left == texts


async def test_parts_that_are_scheduled_leave_in_their_order_and_before_what_was_accepted_after_them(
    house: Any,
) -> None:
    async with house(window=3) as at:
        link, client = await at.network.bound(), await at.bound_client()
        for _ in range(3):
            tlvs = ((Tag.MESSAGE_PAYLOAD, b"x" * (153 * 12)),)
            assert (await client.submit(octets=b"", tlvs=tlvs, schedule="000000000005000R"))[0] == Status.OK
        at.clock.advance(5.0)
        marks = []
        for _ in range(36):
            request, message = await link.message()
            marks.append((message.octets[3], message.octets[5]))
            link.take_message(request, f"net-{request.sequence}")
        first = marks[0][0]
        assert marks == [((first + number) % 256, part) for number in range(3) for part in range(1, 13)]


async def test_references_go_on_after_a_restart(house: Any) -> None:
    marks = []
    for _ in range(3):
        async with house() as at:
            link, client = await at.network.bound(), await at.bound_client()
            for _ in range(2):
                assert (await client.submit(octets=b"", tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 161),)))[0] == Status.OK
                for _ in range(2):
                    request, message = await link.message()
                    marks.append(message.octets[3])
                    link.take_message(request, f"net-{request.sequence}")
    assert marks[::2] == marks[1::2] == [(marks[0] + number) % 256 for number in range(6)]


async def test_after_a_restart_the_parts_of_two_accounts_in_one_name_are_still_told_apart(house: Any) -> None:
    async def part(client: Any, number: int) -> None:
        header = bytes((5, 0, 3, 7, 2, number))
        assert (await client.submit(octets=header + b"x", esm_class=0x40, source="Felles"))[0] == Status.OK

    marks: list[tuple[int, int]] = []
    for number, accounts in ((1, ("shop", "clinic")), (2, ("clinic", "shop"))):
        async with house() as at:
            link = await at.network.bound()
            for account in accounts:
                await part(await at.bound_client(account), number)
                request, message = await link.message()
                marks.append((message.octets[3], message.octets[5]))
                link.take_message(request, f"net-{number}-{account}")
    assert marks == [(7, 1), (8, 1), (8, 2), (7, 2)]


# which bind a message leaves by


def entry(number: int, sender: str = "Shop", recipient: str = NUMBER) -> Message:
    return Message(
        id=str(number), submission=str(number), part=1, parts=1, origin="account:shop", target="link:nord",
        message_class="ordinary", sender=sender, recipient=recipient, sealed=b"", registered=0, accepted_at=0.0,
        due_at=0.0, expires_at=1.0,
    )  # fmt: skip


def test_a_pair_leaves_by_one_bind_until_all_of_it_is_answered() -> None:
    pairs: Pairs[str] = Pairs()
    assert [pairs.enter(entry(1), "a"), pairs.enter(entry(2), "b"), pairs.enter(entry(3, "Bank"), "b")] == [*"aab"]
    assert [message.id for message in pairs.queue("a")] == ["1", "2"]
    assert [message.id for message in pairs.queue("b")] == ["3"]
    pairs.leave([entry(2), entry(2), entry(7), entry(8, "Else")])
    assert pairs.enter(entry(4, recipient="46"), "b") == "b", "another phone's"
    assert pairs.enter(entry(5), "b") == "a"
    pairs.leave([entry(1), entry(5)])
    assert pairs.enter(entry(6), "b") == "b"
    assert len(pairs) == 3


def test_what_is_under_way_to_a_phone_is_told_until_its_peer_has_said_something() -> None:
    pairs: Pairs[str] = Pairs()
    for each in (entry(1), entry(2, "Bank"), entry(3, recipient="46")):
        pairs.enter(each, "a")
    assert set(pairs.under_way([NUMBER, "47"])) == {"1", "2"}
    pairs.queue("a").clear()  # it has been written
    pairs.leave([entry(1)])
    assert set(pairs.under_way({NUMBER})) == {"2"} and set(pairs.under_way(["46"])) == {"3"}


def test_what_is_withdrawn_is_neither_written_nor_under_way() -> None:
    pairs: Pairs[str] = Pairs()
    for each in (entry(1), entry(2), entry(3, "Bank"), entry(4, recipient="46")):
        pairs.enter(each, "a" if each.id != "4" else "b")
    pairs.queue("a").popleft()  # 1 has been written
    asked = {"1", "2", "4", "5"}
    assert sorted(pairs.unwritten(asked)) == ["2", "4"]
    pairs.withdraw(asked)
    assert [message.id for message in pairs.queue("a")] == ["3"]
    assert not pairs.queue("b") and not pairs.unwritten(asked)
    assert set(pairs.under_way([NUMBER])) == {"1", "3"} and len(pairs) == 2


def test_what_is_not_known_any_more_takes_no_room() -> None:
    pairs: Pairs[str] = Pairs()
    for number in range(100):
        pairs.enter(entry(number, recipient=str(number)), "a")
        pairs.leave([pairs.queue("a").popleft()])
    assert len(pairs) == 0


def test_a_bind_claims_no_more_than_its_own_window_and_the_queues_of_others_have_room_for() -> None:
    pairs: Pairs[str] = Pairs()
    assert (pairs.room("a", 5, 5), pairs.room("a", 0, 5)) == (5, 0)
    for number in range(4):
        pairs.enter(entry(number), "a")
    assert pairs.room("a", 5, 5) == 1
    assert pairs.room("a", 3, 5) == 0
    assert pairs.room("b", 5, 5) == 1
    assert pairs.room("b", 5, 3) == 0
    pairs.enter(entry(4, "Bank"), "b")
    assert (pairs.room("a", 5, 5), pairs.room("b", 5, 5), pairs.room("c", 5, 5)) == (1, 1, 0)


def test_a_bind_that_is_gone_holds_nothing() -> None:
    pairs: Pairs[str] = Pairs()
    pairs.enter(entry(1), "a")
    pairs.enter(entry(2, "Bank"), "b")
    pairs.queue("a").clear()
    pairs.forget("a")
    pairs.forget("never seen")
    assert (pairs.enter(entry(3), "b"), len(pairs)) == ("b", 2)
    with pytest.raises(AssertionError):
        pairs.forget("b")


def test_another_bind_writes_what_one_that_is_gone_has_not() -> None:
    pairs: Pairs[str] = Pairs()
    for number, sender in enumerate(("Shop", "Bank", "Shop", "Shop", "Bank")):
        pairs.enter(entry(number, sender), "a" if sender == "Shop" else "b")
    pairs.queue("a").popleft()  # written, and its answer lost
    pairs.hand_over("a", "b")
    assert [message.id for message in pairs.queue("b")] == ["1", "4", "2", "3"]
    assert pairs.enter(entry(5), "a") == "b"
    pairs.leave([entry(number) for number in (2, 3, 5)])
    assert pairs.enter(entry(6), "a") == "a", "the lost one holds nothing"


def test_whatever_ends_the_wait_for_an_answer_is_one() -> None:
    first, second, third, fourth, fifth = map(entry, range(5))
    events: list[Event] = [
        PeerResponse(first, Status.OK, MessageResponse()), PeerResponse("a receipt", Status.OK, MessageResponse()),
        Request(Command.UNBIND, 1, MessageResponse()), ResponseTimeout(second), UnreadableResponse(third),
        ResponseTimeout("a receipt"), PeerResponse(entry(9), Status.OK, MessageResponse(), late=True),
        SessionEnd("gone", (fourth, "a receipt", fifth)),
    ]  # fmt: skip
    assert list(responded_messages(events)) == [first, second, third, fourth, fifth]
