"""A world in one process: who is killed does nothing more, octets come in order, and what was synced is found again."""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any, cast

import apsw
import pytest

from prikkfri.simulation.virtual.disk import SECTOR_OCTETS, Disk
from prikkfri.simulation.virtual.loop import DrawnLoop, Life, NeverEnds
from prikkfri.simulation.virtual.network import HIGH_WATER_OCTETS, Network, Pipe, Port, Ways


def drawn(seed: int = 1) -> DrawnLoop:
    return DrawnLoop(1_000.0, random.Random(seed))


def test_who_is_killed_does_nothing_more_and_cleans_nothing_up() -> None:
    loop = drawn()
    done: list[str] = []

    async def works() -> None:
        try:
            while True:
                done.append("step")
                await asyncio.sleep(1.0)
        finally:
            done.append("cleaned up")

    async def whole() -> None:
        life = Life(loop, "one")
        life.task(works())
        other = loop.create_task(works())
        await asyncio.sleep(3.5)
        life.kill()
        assert life.dead
        before = len(done)
        await asyncio.sleep(10.0)
        assert done[before:] == ["step"] * 10, "the other one goes on, and nobody cleans up"
        other.cancel()

    loop.run_until_complete(whole())
    loop.close()


@pytest.mark.parametrize("step", range(2, 12))
def test_a_life_ends_at_any_step(step: int) -> None:
    loop = drawn()
    reached: list[int] = []
    ended: list[bool] = []

    async def works() -> None:
        for number in range(20):
            reached.append(number)
            await asyncio.sleep(0)

    async def whole() -> None:
        life = Life(loop, "one")
        life.ends_at_step, life.ended = step, lambda: ended.append(True)
        life.task(works())
        await asyncio.sleep(100.0)

    loop.run_until_complete(whole())
    loop.close()
    assert ended == [True]
    assert len(reached) == step - 1


def test_what_would_run_in_a_thread_takes_its_time_and_dies_with_its_owner() -> None:
    loop = drawn()
    loop.thread_seconds = lambda: 5.0
    done: list[float] = []

    async def works() -> None:
        await loop.run_in_executor(None, lambda: done.append(loop.time()))

    async def whole() -> None:
        await works()
        assert done == [5.0]
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 / 0)
        life = Life(loop, "one")
        life.task(works())
        await asyncio.sleep(1.0)
        life.kill()
        await asyncio.sleep(100.0)
        assert done == [5.0]

    loop.run_until_complete(whole())
    loop.close()


def test_tasks_that_are_ready_go_in_a_drawn_order_the_same_for_a_seed() -> None:
    def order(seed: int) -> list[int]:
        loop, found = drawn(seed), []

        async def one(number: int) -> None:
            await asyncio.sleep(1.0)
            await asyncio.sleep(0)
            found.append(number)

        async def whole() -> None:
            await asyncio.gather(*(one(number) for number in range(8)))

        loop.run_until_complete(whole())
        loop.close()
        return found

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == list(range(8)) != order(1)


def test_the_clock_is_set_and_durations_go_on() -> None:
    loop = drawn()

    async def whole() -> None:
        await asyncio.sleep(2.0)
        loop.clock.step(-100.0)
        assert (loop.clock.now(), loop.clock.monotonic()) == (902.0, 2.0)

    loop.run_until_complete(whole())
    loop.close()


def test_a_world_that_goes_on_and_on_is_ended_after_so_many_calls() -> None:
    async def turns(times: int) -> int:
        for _ in range(times):
            await asyncio.sleep(0)
        return times

    for times in (10, 1_000_000):
        loop = DrawnLoop(0.0, random.Random(1), calls_max=100)
        ended = contextlib.nullcontext() if times == 10 else pytest.raises(NeverEnds, match="after 101 calls and 0 s")
        with ended:
            assert loop.run_until_complete(turns(times)) == times
        loop.close()


def test_a_world_in_which_everybody_waits_for_nobody_says_so() -> None:
    loop = drawn()
    with pytest.raises(RuntimeError, match="nobody will bring"):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_what_is_called_later_is_called_in_its_time_unless_it_is_cancelled() -> None:
    loop, called = drawn(), []

    async def whole() -> None:
        for seconds in (3.0, 1.0, 2.0):
            loop.call_later(seconds, lambda seconds=seconds: called.append((seconds, loop.time())))  # type: ignore[misc]
        loop.call_later(1.5, called.append, "cancelled").cancel()
        loop.call_soon(called.append, "soon").cancel()
        await asyncio.sleep(10.0)

    loop.run_until_complete(whole())
    loop.close()
    assert called == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)] and loop.time() == 10.0


class End(asyncio.Protocol):
    def __init__(self) -> None:
        self.heard = b""
        self.pieces = 0
        self.lost = False
        self.paused = 0
        self.resumed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.pipe = cast(Pipe, transport)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self.pieces += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def pause_writing(self) -> None:
        self.paused += 1

    def resume_writing(self) -> None:
        self.resumed += 1


async def connected(network: Network) -> tuple[End, End]:
    there: list[End] = []

    def accept() -> End:
        there.append(End())
        return there[-1]

    server = await network.create_server(accept, sock=Port("a", 1))
    _, here = await network.create_connection(End, "a", 1)
    await asyncio.sleep(0)
    server.close()
    return cast(End, here), there[0]


def run(work: Any) -> None:
    loop = drawn()
    network = Network(loop, random.Random(3), Ways(seconds=0.01, cut=0.5))
    try:
        loop.run_until_complete(work(loop, network))
    finally:
        loop.close()


def test_octets_arrive_in_order_in_pieces_and_later() -> None:
    async def whole(loop: DrawnLoop, network: Network) -> None:
        here, there = await connected(network)
        said = [bytes((number,)) * 7 for number in range(50)]
        for each in said:
            here.pipe.write(each)
            await asyncio.sleep(0.005)
        here.pipe.write(b"more")
        assert not there.heard.endswith(b"more")
        assert network.underway
        said.append(b"more")
        await asyncio.sleep(10.0)
        assert not network.underway
        assert there.heard == b"".join(said)
        assert there.pieces > 10
        assert there.pipe.get_extra_info("peername") == ("a", 0)
        here.pipe.write(b"last")
        here.pipe.close()
        await asyncio.sleep(1.0)
        assert there.heard.endswith(b"last") and there.lost and here.lost
        assert network.pipes == []
        with pytest.raises(ConnectionRefusedError):
            await network.create_connection(End, "a", 1)

    run(whole)


def test_who_does_not_read_is_written_to_no_more_and_goes_on_where_it_was() -> None:
    async def whole(loop: DrawnLoop, network: Network) -> None:
        here, there = await connected(network)
        there.pipe.pause_reading()
        here.pipe.write(bytes(HIGH_WATER_OCTETS))
        assert here.paused == 0
        here.pipe.write(b"!")
        await asyncio.sleep(10.0)
        assert (here.paused, there.heard) == (1, b"")
        there.pipe.resume_reading()
        await asyncio.sleep(10.0)
        assert (here.resumed, len(there.heard)) == (1, HIGH_WATER_OCTETS + 1)
        there.pipe.stalled_until = loop.time() + 5.0
        here.pipe.write(b"?")
        await asyncio.sleep(4.0)
        assert not there.heard.endswith(b"?")
        await asyncio.sleep(2.0)
        assert there.heard.endswith(b"?")

    run(whole)


@pytest.mark.parametrize("loses", [True, False])
def test_a_cable_breaks_with_or_without_what_was_on_its_way(loses: bool) -> None:
    async def whole(loop: DrawnLoop, network: Network) -> None:
        here, there = await connected(network)
        here.pipe.write(b"on its way")
        there.pipe.breaks(loses=loses)
        await asyncio.sleep(10.0)
        assert here.lost and there.lost
        assert there.heard == (b"" if loses else b"on its way")
        here.pipe.write(b"no more")
        await asyncio.sleep(1.0)
        assert not there.heard.endswith(b"no more")

    run(whole)


def test_the_other_end_of_a_dead_process_finds_out() -> None:
    async def whole(loop: DrawnLoop, network: Network) -> None:
        accepted: list[End] = []

        async def serves() -> None:
            await network.create_server(lambda: accepted.append(End()) or accepted[-1], sock=Port("a", 1))  # type: ignore[func-returns-value]
            await asyncio.sleep(1_000.0)

        life = Life(loop, "server")
        life.ended = lambda: network.died(life)
        life.task(serves())
        await asyncio.sleep(0.1)
        _, protocol = await network.create_connection(End, "a", 1)
        here = cast(End, protocol)
        await asyncio.sleep(1.0)
        accepted[0].pipe.write(b"said before")
        life.kill()
        accepted[0].pipe.write(b"said after")
        here.pipe.write(b"to nobody")
        await asyncio.sleep(1.0)
        assert (here.lost, here.heard) == (True, b"said before")
        assert (accepted[0].lost, accepted[0].heard) == (False, b""), "nothing happens to the dead"
        with pytest.raises(ConnectionRefusedError):
            await network.create_connection(End, "a", 1)

    run(whole)


def opened(disk: Disk) -> apsw.Connection:
    connection = apsw.Connection(str(disk.folder / "a.db"), vfs=disk.name)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def test_after_a_power_cut_all_that_was_committed_is_there_and_what_was_not_is_not(tmp_path: Path) -> None:
    chance = random.Random(7)
    disk = Disk(tmp_path / "0")
    connection = opened(disk)
    connection.execute("CREATE TABLE t (n INTEGER)")
    committed, disks = 0, [disk]
    for place in range(1, 31):
        for _ in range(chance.randint(0, 3)):
            connection.execute("INSERT INTO t VALUES (?)", (committed,))
            committed += 1
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t SELECT -1 FROM t LIMIT 100")
        disk.gone = True  # and whatever it still does reaches nothing
        found = disk.after_power_cut(chance)
        disk = Disk(tmp_path / str(place), found)
        disks.append(disk)
        connection = opened(disk)
        assert connection.execute("SELECT n FROM t ORDER BY n").fetchall() == [(n,) for n in range(committed)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    for each in disks:
        each.unregister()


def test_a_disk_is_full_and_fails_at_an_operation_and_a_kill_keeps_what_was_written(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "0")
    connection = opened(disk)
    connection.execute("CREATE TABLE t (n INTEGER)")
    disk.full = True
    with pytest.raises(apsw.FullError):
        connection.execute("INSERT INTO t VALUES (1)")
    disk.full = False
    failed: list[int] = []
    disk.fails_at, disk.failing = disk.operations + 2, lambda: failed.append(disk.operations)
    connection.execute("INSERT INTO t VALUES (2)")
    assert failed == [disk.fails_at]
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("INSERT INTO t VALUES (3)")
    cut, killed = disk.after_power_cut(random.Random(2)), disk.after_kill()
    assert set(cut) == set(killed) == {"a.db", "a.db-wal"}
    after = Disk(tmp_path / "1", killed)
    again = opened(after)
    assert again.execute("SELECT n FROM t").fetchall() == [(2,), (3,)]
    for each in (connection, again):
        each.close()
    for each_disk in (disk, after):
        each_disk.unregister()


def test_of_what_was_not_synced_any_sectors_are_found(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "0")
    connection = opened(disk)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TABLE t (b BLOB)")
    connection.execute("INSERT INTO t VALUES (randomblob(20000))")
    log = disk.files["a.db-wal"]
    found = {disk.after_power_cut(random.Random(seed))["a.db-wal"] for seed in range(10)}
    assert len(found) == 10
    whole = disk.after_kill()["a.db-wal"]
    for each in found:
        sectors = range(0, len(each), SECTOR_OCTETS)
        kept = [each[at : at + SECTOR_OCTETS] == whole[at : at + SECTOR_OCTETS] for at in sectors]
        assert any(kept) and not all(kept)
    assert not log.unsynced
    connection.close()
    disk.unregister()
