"""Machines in namespaces of their own: what is between them passes, comes late, is torn or lost."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from waiting import eventually, until

from prikkfri.clock import SystemClock
from prikkfri.errors import UsageError
from prikkfri.simulation.installation import free_ports
from prikkfri.simulation.machines.evenings import excused
from prikkfri.simulation.machines.namespaces import Namespace
from prikkfri.simulation.machines.network import HELD_PACKETS_MAX, Network
from prikkfri.simulation.machines.packets import checksum, ends, resets
from prikkfri.simulation.machines.passages import Passage
from prikkfri.simulation.machines.weather import Outage, Spell, go_through
from prikkfri.simulation.misdelivery import Plan, SentMessage, Truth
from prikkfri.simulation.misdelivery_result import TAKEN_ON
from prikkfri.simulation.report import Check

PORT = 7
SYN = bytes.fromhex(
    "4500003c1c4640004006b1e6ac100a63ac100a0c"  # the example of the checksum that everybody uses, and a SYN behind it
    "c0de0050000000100000000050020fff00000000"
)


def test_a_reset_is_what_a_peer_takes_for_one() -> None:
    assert checksum(SYN[:10] + b"\0\0" + SYN[12:20]) == 0xB1E6
    assert ends(SYN) == (bytes([172, 16, 10, 99]), bytes([172, 16, 10, 12]))
    assert ends(b"\x60" + bytes(39)) is None and ends(b"E") is None  # IPv6, and nothing at all
    torn = resets(SYN)
    assert torn is not None
    back, onward = torn
    assert ends(back) == (SYN[16:20], SYN[12:16]) and ends(onward) == ends(SYN)
    for packet in torn:
        assert checksum(packet[:20]) == 0
        assert checksum(packet[12:20] + bytes([0, 6, 0, 20]) + packet[20:]) == 0
        assert packet[33] == 0x14 and resets(packet) is None  # RST and ACK; it is not torn again
    assert int.from_bytes(onward[24:28]) == 16
    assert int.from_bytes(back[28:32]) == 16 + 1 + 20  # behind the SYN and what the length says is there
    assert resets(SYN[:9] + b"\x11" + SYN[10:]) is None  # UDP


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    try:
        made = Network(["one", "two", "three"], random.Random(7))
    except UsageError as error:
        pytest.skip(str(error))
    with contextlib.closing(made):
        made.open()
        yield made


@asynccontextmanager
async def listening(network: Network, machine: str) -> AsyncIterator[list[str]]:
    """Says back what it is told; yields how connections have ended."""
    ends: list[str] = []
    answering: set[asyncio.Task[None]] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        try:
            while said := await reader.read(65_536):
                writer.write(said)
                await writer.drain()
            ends.append("ended")
        except ConnectionResetError:
            ends.append("reset")
        finally:
            writer.transport.abort()

    held = network.namespaces[machine].socket()
    held.bind((network.address[machine], PORT))
    held.listen()
    async with await asyncio.start_server(echo, sock=held):
        yield ends
    for task in answering:
        task.cancel()
    await asyncio.gather(*answering, return_exceptions=True)
    await asyncio.sleep(0)  # transports are closed by the loop


class Talk:
    """A connection from one machine to another."""

    def __init__(self, network: Network, source: str, target: str) -> None:
        self.socket, self.to = network.namespaces[source].socket(), (network.address[target], PORT)
        self.socket.setblocking(False)

    async def __aenter__(self) -> "Talk":
        self.loop = asyncio.get_running_loop()
        try:
            await self.loop.sock_connect(self.socket, self.to)
        except BaseException:
            self.socket.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.socket.close()

    async def say(self, said: bytes) -> bytes:
        await self.loop.sock_sendall(self.socket, said)
        heard = b""
        while len(heard) < len(said):
            more = await self.loop.sock_recv(self.socket, 65_536)
            if not more:
                raise ConnectionResetError
            heard += more
        return heard


async def test_what_is_sent_arrives_whole_over_a_way_that_loses(network: Network) -> None:
    said = random.Random(1).randbytes(300_000)
    [cable] = network.cables("one", "two")
    cable.loss, cable.delay_seconds, cable.jitter_seconds = 0.05, 0.001, 0.002
    async with listening(network, "two"), Talk(network, "one", "two") as talk:
        assert await talk.say(said) == said
    assert cable.lost > 0 and cable.passed > len(said) / 1_500
    assert not any(cable.passed for cable in network.cables("three"))  # nobody hears what is not for them


async def test_a_stall_holds_back_a_cut_loses_and_either_heals(network: Network) -> None:
    [cable] = network.cables("one", "two")
    async with listening(network, "two"), Talk(network, "one", "two") as talk:
        for state in ("stalls", "cut"):
            await talk.say(b"before")
            network.be(state, "one", "two")  # type: ignore[arg-type]
            cable.lost, waiting = 0, asyncio.create_task(talk.say(b"meanwhile"))
            await eventually(lambda: cable.held or cable.lost)
            assert bool(cable.held) == (state == "stalls")
            async with listening(network, "three"), Talk(network, "one", "three") as other:
                assert await other.say(b"elsewhere") == b"elsewhere"
            assert not waiting.done()
            network.be("passes")
            assert await waiting == b"meanwhile"
    assert len(cable.held) <= HELD_PACKETS_MAX


async def test_a_reset_tears_what_is_open_at_both_ends(network: Network) -> None:
    async with listening(network, "two") as ended, Talk(network, "one", "two") as talk:
        await talk.say(b"before")
        network.be("resets")
        with pytest.raises(ConnectionResetError):
            await talk.say(b"now")
        await eventually(lambda: ended == ["reset"])
        with pytest.raises(ConnectionRefusedError):
            async with Talk(network, "one", "two"):
                pass


async def test_a_passage_leads_into_a_namespace(network: Network) -> None:
    [port] = free_ports(1)
    passage = Passage("127.0.0.1", port, (network.address["two"], PORT), leads_to=network.namespaces["one"])
    await passage.open()
    async with listening(network, "two"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"through two networks")
        assert await reader.readexactly(20) == b"through two networks"
        writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""  # nobody answers there any more
    await passage.close()
    writer.close()


HOLDER = """
import asyncio, random, subprocess, sys
from prikkfri.simulation.machines.network import Network
network = Network(["one"], random.Random(1))
child = subprocess.Popen([*network.namespaces["one"].launcher, "cat"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""


def test_nothing_is_left_of_a_network_whose_process_was_killed(network: Network) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    inode = os.stat(f"/proc/{holder.pid}/task/{holder.pid}/ns/net").st_ino
    own = os.stat("/proc/self/ns/net").st_ino
    assert inode == own  # it has come back from where it made them
    until(lambda: os.stat(f"/proc/{child}/ns/net").st_ino != own, what="the child to be in its namespace")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    until(lambda: not Path(f"/proc/{child}/cmdline").exists() or not Path(f"/proc/{child}/cmdline").read_bytes())
    holder.stdout.close()


async def test_spells_come_one_after_the_other_and_it_passes_in_the_end(network: Network) -> None:
    said: list[str] = []
    states: list[str] = []
    [seen], [other] = network.cables("one", "two"), network.cables("two", "three")

    def say(line: str) -> None:
        said.append(line)
        asyncio.get_running_loop().call_soon(lambda: states.append(f"{seen.state} {other.state}"))

    spells = (Spell(0.01, "cut"), Spell(0.01), Spell(0.01, "stalls", ("three",)))
    been = await go_through(network, spells, SystemClock(), say)
    assert states == ["cut cut", "passes passes", "passes stalls"] and seen.state == other.state == "passes"
    assert said == [f"the network: {spell}" for spell in spells] == [
        "the network: all cut for 0.01 s", "the network: all passes for 0.01 s", "the network: three stalls for 0.01 s",
    ]  # fmt: skip
    assert [(each.parts("one", "two"), each.parts("two", "three")) for each in been] == [
        (True, True), (False, False), (False, True),
    ]  # fmt: skip
    assert not Outage(Spell(1, "cut", ("one", "two")), 0.0, 1.0).parts("two", "three")
    going = asyncio.create_task(go_through(network, (Spell(60, "cut"),), SystemClock(), lambda line: None))
    await eventually(lambda: seen.state == "cut")
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)
    assert seen.state == "passes"


def test_of_messages_only_those_are_excused_that_no_database_could_keep() -> None:
    been = [Outage(Spell(4, "cut", ("core", "office")), 100.0, 104.0), Outage(Spell(9, "cut", ("edge",)), 200.0, 209.0)]
    check = Check(TAKEN_ON, "", None)

    def judged(*moments: float) -> bool | None:
        sent = [SentMessage(f"{at}", "code", "4790000001", at) for at in moments]
        taken = SentMessage("t", "code", "4790000001", 150.0, id="m-1")
        return excused(check, Truth(Plan(), 0.0, sent=[*sent, taken]), been).holds

    assert judged() is judged(95.0, 100.0, 104.0) is True
    assert judged(94.9) is judged(104.1) is judged(100.0, 205.0) is False
    other = Check("No message was lost", "1 of 2", None)
    assert excused(other, Truth(Plan(), 0.0), been) is other


def test_the_benchmark_says_in_one_line_what_it_could_not_do() -> None:
    benchmark = Path(__file__).parents[2] / "benchmarks" / "machines_cut.py"
    environment = os.environ | {"PATH": "/nowhere"}
    done = subprocess.run([sys.executable, benchmark], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == ("could not be done: no network namespaces: ip and nsenter missing (iproute2, util-linux)\n")


def test_where_no_namespace_can_be_made_it_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="no network namespaces: ip and nsenter missing"):
        Namespace.make()
