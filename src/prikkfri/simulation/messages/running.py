"""Running: the real centre over its real store, among peers and faults, in virtual time, to the end of each message."""

import asyncio
import contextlib
import gc
import hashlib
import logging
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import apsw

from prikkfri.config import Sms
from prikkfri.errors import PrikkfriError, StorageUnavailable
from prikkfri.journal import open_journal
from prikkfri.protocols.smpp.pdu import ShortMessage, encode_body
from prikkfri.simulation.messages.drawing import BEGINS, CENTRE_PORT, HOST, Fault, World
from prikkfri.simulation.messages.oracle import Book, Piece, Row
from prikkfri.simulation.messages.peers import Partner, Sender
from prikkfri.simulation.messages.texts import WrittenMessage
from prikkfri.simulation.virtual.disk import Disk
from prikkfri.simulation.virtual.folders import world_folder
from prikkfri.simulation.virtual.loop import DrawnLoop, Life, NeverEnds
from prikkfri.simulation.virtual.network import Network, Pipe, Port
from prikkfri.sms.restored import Decision, parse_mark
from prikkfri.sms.service import SmsCentre
from prikkfri.sms.shared.service import Wire
from prikkfri.sms.timing import TIMING
from prikkfri.storage import Database
from prikkfri.storage.limits import LIMITS
from prikkfri.storage.marks import MarkInMemory
from prikkfri.storage.opening import migrate
from prikkfri.storage.sealing_keys import SealingKeysInMemory
from prikkfri.storage.sqlite import SqliteEngine

T = TypeVar("T")
TIMES = replace(TIMING, unreported_seconds=60.0, early_receipt_look_seconds=1.0, look_seconds=2.0, mark_seconds=0.25)
NOBODY_WAITS = replace(LIMITS, busy_milliseconds_max=0)
"""For another's lock: while one waits, in this world nobody goes on."""
LOCKED_SECONDS = 0.005
VALIDITY_HOURS = 0.05
IN_DOUBT_SECONDS = 20.0
STARTED_AGAIN_SECONDS = 1.0
MARKED_IN_TIME = 60
"""How often it is looked whether a mark is ahead of a snapshot."""
SETTLED_SECONDS = 300.0
"""After the last message is handed in, and the last fault: by then each has come to its end, or never does."""
SLOW_SECONDS = 0.5
"""A COMMIT on a slow disk takes at most so long."""
LOOK_SECONDS = 3.0
"""How often it is looked whether anything is open still."""
CALLS_MAX = 100
"""Calls that the loop makes for each message, and as many for each of `CALLS_FOR` beside them."""
CALLS_FOR = 5_000


@dataclass(frozen=True)
class Parts:
    """What the centre is made of. A test puts in a part with a fault, to see that the judge notices."""

    centre: Callable[..., SmsCentre] = SmsCentre
    planted: Callable[[SmsCentre], None] = lambda centre: None
    """Called with each centre before it runs."""


WHOLE = Parts()


@dataclass
class RunRecord:
    rows: list[Row] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    gave_up: list[str] = field(default_factory=list)
    unsettled: str = ""
    """What did not come to its end; empty: all did."""
    unexpected: list[str] = field(default_factory=list)


def run(world: World, parts: Parts = WHOLE) -> tuple[Book, RunRecord]:
    """All that happened, and what the centre has stored in the end."""
    with _quietly(), world_folder() as folder:
        chance = random.Random(f"running {world.seed}")
        loop = DrawnLoop(BEGINS, chance, calls_max=CALLS_MAX * (CALLS_FOR + len(world.written)))
        house = _House(world, folder, loop, chance, parts)
        try:
            return loop.run_until_complete(house.whole())
        except NeverEnds as error:
            house.told.unsettled = str(error)
            return house.ended()
        finally:
            house.end()
            loop.close()
            del house, loop
            gc.collect()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Nothing is said of what ends in the midst: when the collector takes the dead, they would clean up after
    themselves, and cannot."""
    log = logging.getLogger("prikkfri")
    level, hook = log.level, sys.unraisablehook
    gc.disable()  # whom it takes when would be chance that nobody has drawn
    gc.freeze()  # and in the end it looks through what is of this world alone
    log.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda _: None
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()
        log.setLevel(level)
        sys.unraisablehook = hook


class _House:
    def __init__(self, world: World, folder: Path, loop: DrawnLoop, chance: random.Random, parts: Parts) -> None:
        self.world, self.folder, self.loop, self.chance, self.parts = world, folder, loop, chance, parts
        loop.thread_seconds = self.thread_seconds
        self.incarnations = random.Random(f"journal {world.seed}")
        self.network = Network(loop, chance)
        self.network.seen, self.network.said = self._seen, self._said
        nameless = frozenset(name for name, quirks in world.quirks.items() if quirks.addresses == "empty")
        self.book = Book({each.number: each for each in world.written}, nameless)
        self.told = RunRecord()
        self.digest = hashlib.sha256()
        self.disk = Disk(folder / "0")
        self.disks: list[Disk] = []
        """Of those who are dead."""
        self.keys = SealingKeysInMemory()
        """On another disk, which nobody troubles."""
        self.mark = MarkInMemory()
        """As the keys."""
        self.lives: list[Life] = []
        """The dead are kept until the end: the collector would have them clean up after themselves."""
        self.around: list[asyncio.Task[Any]] = []
        self.first: list[asyncio.Task[Any]] = []
        """What is to be done before anything can be at its end: all is handed in, and the faults are over."""
        self.acting = asyncio.Lock()
        self.died = asyncio.Event()
        self.life: Life | None = None
        self.centre: SmsCentre | None = None
        self.slow_until = 0.0
        self.senders: dict[str, Sender] = {}
        self.partners: dict[str, Partner] = {}
        self.serving: dict[str, asyncio.Task[None]] = {}

    def thread_seconds(self) -> float:
        """How long a COMMIT takes."""
        return (
            SLOW_SECONDS if self.loop.time() < self.slow_until else self.world.table.commit_seconds
        ) * self.chance.random()

    def _seen(self, pipe: Pipe, octets: bytes) -> None:
        centre = pipe.life is not None
        self.digest.update(b"%d %d " % (centre, len(octets)) + octets)
        if centre:
            self.book.centre_hears(pipe, octets)

    def _said(self, pipe: Pipe, octets: bytes) -> None:
        if pipe.life is not None:
            self.book.centre_says(pipe, octets)

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Something of the world around the centre."""
        task = self.loop.create_task(work)
        self.around.append(task)
        return task

    def _counted(self, kind: str) -> None:
        self.told.faults[kind] = self.told.faults.get(kind, 0) + 1

    def _encode(self, message: ShortMessage) -> bytes:
        """As it is written; and sometimes a bit of it changes in memory."""
        body = encode_body(message)
        if self.chance.random() >= self.world.table.bits_flipped:
            return body
        self._counted("bit-flipped")
        flipped = bytearray(body)
        flipped[self.chance.randrange(len(body))] ^= 1 << self.chance.randrange(8)
        return bytes(flipped)

    # the world

    async def whole(self) -> tuple[Book, RunRecord]:
        world, clock = self.world, self.loop.clock
        by_account: dict[str, list[WrittenMessage]] = {each.system_id: [] for each in world.accounts}
        by_link: dict[str, list[WrittenMessage]] = {link.name: [] for link in world.links}
        by_http: list[WrittenMessage] = []
        for each in world.written:
            (by_http if each.over == "http" else by_link.get(each.over, by_account[each.account])).append(each)
        for link in world.links:
            partner = Partner(link.name, self.book, clock, self.chance, world, self._counted)
            self.partners[link.name] = partner
            self._serve(link.name)
            self.first.append(self._begin(partner.write_in(by_link[link.name])))
        for partner in self.partners.values():
            partner.others = [each for each in self.partners.values() if each is not partner]
        await self.start()
        for account in world.accounts:
            sender = Sender(
                account.system_id, by_account[account.system_id], self.book, clock, self.chance, world.sequence_max
            )  # fmt: skip
            self.senders[account.system_id] = sender
            self._begin(sender.run())
            self.first.append(self._begin(sender.submit()))
        self.first.append(self._begin(self._by_http(by_http)))
        for fault in world.faults:
            await asyncio.sleep(max(0.0, fault.at - self.loop.time()))
            self.first.append(self._begin(self._happens(fault)))
        await self._settle(max(world.seconds, self.loop.time()) + SETTLED_SECONDS)
        async with self.acting:
            if self.centre is not None and self.centre.holds and "snapshot-restored" not in self.told.faults:
                self.told.unexpected.append("nothing is sent, though no snapshot was restored")
            await self.stop()
        return self.ended()

    def ended(self) -> tuple[Book, RunRecord]:
        """What there is to judge."""
        self.told.rows = _rows(self.disk)
        for row in sorted(self.told.rows):
            self.digest.update(repr(row).encode())
        self.told.digest = self.digest.hexdigest()
        self.told.unexpected += self.loop.unexpected
        return self.book, self.told

    async def _settle(self, until: float) -> None:
        """Until nothing is open any more; in some worlds as long as anything could be."""
        looking: apsw.Connection | None = None
        while self.loop.time() < until:
            await asyncio.sleep(LOOK_SECONDS)
            if self.world.to_the_end or not all(each.done() for each in self.first) or self.network.underway:
                continue
            if self.life is None or self.life.first.done() or any(each.tells for each in self.partners.values()):
                continue
            # Whoever closes a database last tidies it up: this one goes with the world.
            looking = looking or _opened(self.disk)
            if not looking.execute(_OPEN).fetchone()[0]:  # type: ignore[index]
                return
        if (left := [row for row in _rows(self.disk) if row.state in _NO_END]) and self.life:
            self.told.unsettled = f"{len(left)} are {' or '.join(sorted({row.state for row in left}))} still"

    def _serve(self, name: str) -> None:
        link = next(link for link in self.world.links if link.name == name)
        sockets: list[Any] = [Port(HOST, link.port)]
        self.serving[name] = self._begin(self.partners[name].run(sockets))

    async def _by_http(self, written: list[WrittenMessage]) -> None:
        accounts = {each.system_id: each for each in self.world.accounts}

        async def hand_in(each: WrittenMessage, centre: SmsCentre) -> None:
            with contextlib.suppress(PrikkfriError):  # it cannot be kept now: whoever asks is told so
                found = await centre.submit(accounts[each.account], each.sender, "+" + each.recipient, each.text)
                if isinstance(found, str):
                    self.book.accept(Piece(each.number, 0), found)

        for each in written:
            await asyncio.sleep(max(0.0, each.at - self.loop.time()))
            if self.centre is not None and self.life is not None and not self.life.dead:
                self.life.task(hand_in(each, self.centre))

    # the centre

    async def start(self) -> None:
        life = Life(self.loop, "sms")
        self.lives.append(life)
        ready: asyncio.Future[None] = self.loop.create_future()
        life.ended = lambda: self._dies(life)
        self.life = life
        main = life.task(self._live(life, ready))
        main.add_done_callback(lambda _: self._ended(life))
        await asyncio.wait([ready])

    def _ended(self, life: Life) -> None:
        """It has given up by itself, as it does when it cannot know what is stored: its supervisor starts it again."""
        error = None if life.first.cancelled() else life.first.exception()
        if life is self.life and not life.dead and error is not None:
            self.told.gave_up.append(repr(error))
            self.centre = None
            self._begin(self._again(STARTED_AGAIN_SECONDS))

    async def _again(self, seconds: float) -> None:
        async with self.acting:
            await asyncio.sleep(seconds)
            if self.centre is None:
                await self.start()

    async def _live(self, life: Life, ready: asyncio.Future[None]) -> None:
        engine = SqliteEngine(self.disk.folder / "sms.db", limits=NOBODY_WAITS, vfs=self.disk.name)
        database = Database(engine, area="sms")
        try:
            await _patiently(lambda: migrate(database))
            settings = Sms(
                accounts=self.world.accounts,
                links=self.world.links,
                region="NO",
                validity_hours_max=VALIDITY_HOURS,
                in_doubt_seconds=IN_DOUBT_SECONDS,
            )
            sockets: list[Any] = [Port(HOST, CENTRE_PORT)]
            centre = self.parts.centre(
                database=database,
                journal=await _patiently(
                    lambda: open_journal(
                        database, stream="sms", clock=self.loop.clock, entropy=self.incarnations.randbytes
                    )
                ),
                settings=settings,
                sealing_keys=self.keys,
                clock=self.loop.clock,
                entropy=self.chance.randbytes,
                smpp_sockets=sockets,
                timing=TIMES,
                mark=self.mark,
                wire=Wire(encode=self._encode, sequence_max=self.world.sequence_max),
            )
            self.parts.planted(centre)
            await _patiently(centre.restores.notice)
            self.centre = centre
            if not ready.done():
                ready.set_result(None)
            try:
                await centre.run()
            finally:
                if not life.dead:
                    await centre.restores.mark_last()
        finally:
            if not life.dead:
                await database.close()
            if not ready.done():
                ready.set_result(None)

    def _dies(self, life: Life) -> None:
        self.disk.gone = True
        self.network.died(life)
        self.died.set()

    async def stop(self) -> None:
        """Tells it to leave, as a supervisor does."""
        life, self.life, self.centre = self.life, None, None
        if life is not None and not life.first.done():
            life.first.cancel()
            await asyncio.wait([life.first])

    # faults

    async def _happens(self, fault: Fault) -> None:
        self._counted(fault.kind)
        await getattr(self, "_" + fault.kind.replace("-", "_"))(fault)

    async def _killed(self, fault: Fault) -> None:
        def soon(life: Life) -> None:
            life.ends_at_step = life.steps + 1 + int(fault.size * 2_000)

        await self._dead(soon, fault, power=False)

    async def _killed_at_a_write(self, fault: Fault) -> None:
        await self._dead(lambda life: self._at_a_write(life, fault), fault, power=False)

    async def _power_cut(self, fault: Fault) -> None:
        await self._dead(lambda life: self._at_a_write(life, fault), fault, power=True)

    def _at_a_write(self, life: Life, fault: Fault) -> None:
        self.disk.fails_at = self.disk.operations + 1 + int(fault.size * 200)
        self.disk.failing = life.kill

    async def _dead(self, bring: Callable[[Life], None], fault: Fault, *, power: bool) -> None:
        async with self.acting:
            if self.centre is None or self.life is None:
                return
            self.died.clear()
            bring(self.life)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.seconds):
                    await self.died.wait()
            self.life.kill()  # wherever it is
            self.centre = None
            await asyncio.sleep(fault.seconds)
            found = self.disk.after_power_cut(self.chance) if power else self.disk.after_kill()
            self.disks.append(self.disk)
            self.disk = Disk(self.folder / str(len(self.disks)), found)
            await self.start()

    async def _restarted(self, fault: Fault) -> None:
        async with self.acting:
            await self.stop()
            await asyncio.sleep(fault.seconds)
            await self.start()

    async def _second_owner(self, fault: Fault) -> None:
        """Another is started beside it; whoever wrote before is fenced out."""
        async with self.acting:
            if self.centre is not None:
                await self.start()

    async def _disk_full(self, fault: Fault) -> None:
        disk = self.disk
        disk.full = True
        await asyncio.sleep(fault.seconds)
        disk.full = False

    async def _disk_slow(self, fault: Fault) -> None:
        self.slow_until = self.loop.time() + fault.seconds

    async def _cut(self, fault: Fault) -> None:
        if self.network.pipes:
            self.chance.choice(self.network.pipes).breaks(loses=fault.size < 0.5)

    async def _stalled(self, fault: Fault) -> None:
        if self.network.pipes:
            self.chance.choice(self.network.pipes).stalled_until = self.loop.time() + 4 * fault.seconds

    async def _partner_away(self, fault: Fault) -> None:
        if not self.serving:
            return
        name = self.chance.choice(sorted(self.serving))
        self.serving.pop(name).cancel()
        await asyncio.sleep(fault.seconds)
        self._serve(name)

    async def _account_away(self, fault: Fault) -> None:
        sender = self.senders[self.chance.choice(sorted(self.senders))]
        sender.away = True
        if sender.connection is not None:
            sender.connection.abort()
        await asyncio.sleep(fault.seconds)
        sender.away = False

    async def _route_stopped(self, fault: Fault) -> None:
        link = self.chance.choice(self.world.links).name

        async def switch(centre: SmsCentre, state: str) -> None:
            with contextlib.suppress(PrikkfriError):  # it cannot be stored now: whoever asks is told so
                await centre.switch_route(link, state, who="vakt", reason="by lot")

        for state in ("stopped", "open"):
            if self.centre is not None and self.life is not None:
                await asyncio.wait([self.life.task(switch(self.centre, state))], timeout=fault.seconds)
            await asyncio.sleep(fault.seconds)

    async def _snapshot_restored(self, fault: Fault) -> None:
        """Of the database, not of keys and mark. What it forgets is no more than a mark tells of."""
        async with self.acting:
            if self.life is None or self.centre is None:
                return
            found, restored = self.disk.copied(), self.book.snapshot()
            commits = _commits(found, self.folder / "snapshot")
            await asyncio.sleep(fault.seconds / 10)
            for _ in range(MARKED_IN_TIME):
                mark = parse_mark(self.mark.octets or b"")
                if mark is not None and mark.commits > commits:
                    break
                await asyncio.sleep(TIMES.mark_seconds)
            else:
                return  # it has given up, or its disk is full
            self.life.kill()
            self.centre = None
            restored()
            self.disks.append(self.disk)
            self.disk = Disk(self.folder / str(len(self.disks)), found)
            await self.start()
        await self._decided(fault)

    async def _decided(self, fault: Fault) -> None:
        """A person sees what is missing, and says what becomes of what waited."""
        await asyncio.sleep(fault.seconds)
        decision = Decision.SEND if fault.size < 0.5 else Decision.DISCARD
        while self.centre is None or self.centre.holds:  # it may die before it has taken that
            if self.centre is not None and self.life is not None and not self.life.dead:
                self.book.held = False
                deciding = self.centre.restores.decide(decision, by="vakt")
                with contextlib.suppress(PrikkfriError, asyncio.CancelledError):
                    await asyncio.wait([self.life.task(deciding)], timeout=fault.seconds)
            await asyncio.sleep(STARTED_AGAIN_SECONDS)

    async def _clock_stepped(self, fault: Fault) -> None:
        self.loop.clock.step((fault.size - 0.5) * 20.0)

    def end(self) -> None:
        for each in (*self.disks, self.disk):
            each.unregister()


_NO_END = ("waiting", "sending", "in-doubt")
_OPEN = (
    f"SELECT EXISTS (SELECT 1 FROM sms_message WHERE state IN {_NO_END})"  # noqa: S608
    " OR EXISTS (SELECT 1 FROM sms_message WHERE receipt IN ('waiting', 'sending') AND origin LIKE 'account:%')"
    " OR EXISTS (SELECT 1 FROM sms_network_receipt WHERE state = 'waiting')"
)
"""Whether anything has to happen yet. What only waits for a receipt that its partner does not send is not open."""


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Where a process would wait in a thread for another's lock."""
    for _ in range(int(LIMITS.busy_milliseconds_max / 1_000 / LOCKED_SECONDS)):
        with contextlib.suppress(StorageUnavailable):
            return await work()
        await asyncio.sleep(LOCKED_SECONDS)
    return await work()


def _opened(disk: Disk) -> apsw.Connection:
    return apsw.Connection(str(disk.folder / "sms.db"), vfs=disk.name)


def _commits(found: Mapping[str, bytes], folder: Path) -> int:
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    for name, content in found.items():
        (folder / name).write_bytes(content)
    connection = apsw.Connection(str(folder / "sms.db"))
    try:
        row = connection.execute("SELECT commits FROM journal_stream").fetchone()
        return int(row[0]) if row else 0
    finally:
        connection.close()


def _rows(disk: Disk) -> list[Row]:
    connection = _opened(disk)
    try:
        found = connection.execute(
            "SELECT id, submission, CASE WHEN parts > 1 THEN part ELSE 0 END, state, doubts + ABS(restored), target,"
            " recipient, next_hop_id, reason FROM sms_message"
        ).fetchall()
        return [Row(*each) for each in found]  # type: ignore[arg-type]
    finally:
        connection.close()
