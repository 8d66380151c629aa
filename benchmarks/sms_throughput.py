"""Messages per CPU second through the message centre, end to end, and what the codec costs a message.

    python benchmarks/sms_throughput.py [--messages 20000] [--window 200] [--database URL] [--json FILE]
        [--round-trip-ms 100] [--binds 4]

The centre is a process of its own (`python -m prikkfri.app sms`), SQLite in a fresh folder. A client and a network in
this process do as little as they can: each message is submitted, stored and fsynced, answered, delivered over the
link, its receipt taken, and the receipt given to the client. The CPU counted is the centre's alone. The codecs of
smpp34 (Rust) and smpplib (Python) encode and decode the same message in the same run. With a round trip the network
answers each message so much later, as one far away does: a link then carries at most binds x window messages in it.
"""

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import tempfile
import time
import timeit
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from typing import Any

import uvloop
from msgspec import structs

from prikkfri.clock import SystemClock
from prikkfri.protocols.smpp.pdu import (
    Bind,
    BindResponse,
    Command,
    MessageResponse,
    Pdu,
    ShortMessage,
    decode,
    encode,
    encode_body,
)
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, receipt_message
from prikkfri.protocols.smpp.session import Limits, PeerResponse, Request, Side
from prikkfri.simulation.installation import free_ports
from prikkfri.sms.server import Connection

PASSWORD = "bench123"
PHONES = 1_000
"""Messages of one sender to one phone leave by one bind."""
TEXT = b"Your parcel is at the shop. Bring identification and the code 483 201. Open until 22 today."
MESSAGE = ShortMessage(
    source="Shop",
    destination="4790000001",
    octets=TEXT,
    registered_delivery=1,
    source_ton=5,
    destination_ton=1,
    destination_npi=1,
)
CONFIGURATION = """
[roles.sms]
port = {http}
smpp_port = {smpp}
[[sms.accounts]]
system_id = "bench"
senders = ["*"]
password = "{password}"
throughput_per_second_max = 1000000.0
[[sms.links]]
name = "bench"
partner = "bench"
host = "127.0.0.1"
port = {link}
system_id = "prikkfri"
password = "{password}"
prefixes = [""]
window = {window}
binds = {binds}
[storage]
url = "{database}"
"""


async def network(connection: Connection, ids: Iterator[int], round_trip: float) -> None:
    """Takes every message, and tells with the answer, a round trip later, that it was delivered."""
    waiting: list[bytes] = []
    [bind] = await connection.take(1)
    connection.session.answer(bind, 0, BindResponse("bench"))
    connection.flush()

    def answer(requests: list[Request]) -> None:
        for request in requests:
            assert isinstance(request.body, ShortMessage)
            identity = str(next(ids))
            connection.session.answer(request, 0, MessageResponse(identity))
            receipt = Receipt(identity, MessageState.DELIVERED)
            waiting.append(encode_body(receipt_message(receipt, request.body, submitted=0.0, done=0.0)))
        tell()

    def tell() -> None:
        while waiting and connection.session.window_room:
            connection.session.ask(Command.DELIVER_SM, waiting.pop(), None, 0.0)
        connection.flush()

    while True:
        events = await connection.take(1_000)
        requests = [each for each in events if isinstance(each, Request) and isinstance(each.body, ShortMessage)]
        if len(requests) + sum(isinstance(each, PeerResponse) for each in events) < len(events):
            return
        if round_trip and requests:
            asyncio.get_running_loop().call_later(round_trip, answer, requests)
        else:
            answer(requests)
        tell()


async def client(connection: Connection, messages: int) -> None:
    """Submits as fast as the window allows; returns when every receipt has come."""
    connection.session.bind(Command.BIND_TRANSCEIVER, Bind("bench", PASSWORD), 0.0)
    connection.flush()
    await connection.take(1)
    left, receipts = messages, 0
    bodies = cycle([encode_body(structs.replace(MESSAGE, destination=f"479{n:07}")) for n in range(PHONES)])
    while receipts < messages:
        for _ in range(min(left, connection.session.window_room)):
            connection.session.ask(Command.SUBMIT_SM, next(bodies), None, 0.0)
            left -= 1
        connection.flush()
        for event in await connection.take(1_000):
            if isinstance(event, Request):
                connection.session.answer(event, 0, MessageResponse())
                receipts += 1
            elif not isinstance(event, PeerResponse) or event.status != 0:
                raise SystemExit(f"the centre said {event}")
        connection.flush()


async def end_to_end(messages: int, window: int, database: str, binds: int, round_trip: float) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    http, smpp, link = free_ports(3)
    tasks, ids = [], count(1_000_000)  # as long as real ones: of few digits it is not clear to which base they are
    limits = Limits(window=window)

    def accept() -> Connection:
        return Connection(
            Side.CENTRE,
            limits,
            SystemClock(),
            lambda linked: tasks.append(loop.create_task(network(linked, ids, round_trip))),
        )

    server = await loop.create_server(accept, "127.0.0.1", link)
    with tempfile.TemporaryDirectory() as folder:
        values = {"http": http, "smpp": smpp, "link": link, "password": PASSWORD, "window": window, "binds": binds}
        (Path(folder) / "prikkfri.toml").write_text(CONFIGURATION.format(**values, database=database))
        command = [sys.executable, "-m", "prikkfri.app", "sms", "--home", folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            await loop.run_in_executor(None, process.stdout.readline)
            await asyncio.sleep(1.0)
            connection: Connection = Connection(Side.ESME, limits, SystemClock(), lambda _: None)
            await loop.create_connection(lambda: connection, "127.0.0.1", smpp)
            wall, cpu = time.perf_counter(), await metric(http)
            await client(connection, messages)
            wall, cpu = time.perf_counter() - wall, await metric(http) - cpu
            process.terminate()
            await loop.run_in_executor(None, process.wait)
    server.close()
    return {
        "messages": messages,
        "window": window,
        "binds": binds,
        "round_trip_ms": round(round_trip * 1_000),
        "messages_per_cpu_second": round(messages / cpu),
        "messages_per_second": round(messages / wall),
        "us_cpu_per_message": round(cpu / messages * 1e6),
    }


async def metric(port: int) -> float:
    def read() -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("process_cpu_seconds_total "))

    return await asyncio.get_running_loop().run_in_executor(None, read)


def us(work: Any) -> float:
    """The best of five: microseconds of one call."""
    return round(min(timeit.repeat(work, number=5_000, repeat=5)) / 5_000 * 1e6, 2)


def codecs() -> dict[str, dict[str, float]]:
    import smpp34
    import smpplib.client
    import smpplib.smpp

    pdu = Pdu(Command.SUBMIT_SM, 0, 7, MESSAGE)
    octets = encode(pdu)
    fields = {"source_addr_ton": 5, "dest_addr_ton": 1, "dest_addr_npi": 1, "registered_delivery": 1}
    rust = smpp34.SubmitSm("Shop", MESSAGE.destination, TEXT, sequence_number=7, **fields)
    assert rust.encode() == octets, "smpp34 writes the same octets"
    peer = smpplib.client.Client("127.0.0.1", 1, allow_unknown_opt_params=True)

    def make() -> bytes:
        return bytes(
            smpplib.smpp.make_pdu(
                "submit_sm",
                client=peer,
                source_addr="Shop",
                destination_addr=MESSAGE.destination,
                short_message=TEXT,
                **fields,
            ).generate()
        )

    return {
        "prikkfri": {"encode_us": us(lambda: encode(pdu)), "decode_us": us(lambda: decode(octets))},
        "smpp34": {"encode_us": us(rust.encode), "decode_us": us(lambda: smpp34.decode(octets))},
        "smpplib": {
            "encode_us": us(make),
            "decode_us": us(lambda: smpplib.smpp.parse_pdu(octets, client=peer, allow_unknown_opt_params=True)),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--window", type=int, default=200)
    parser.add_argument("--database", default="", help="postgresql://... instead of SQLite")
    parser.add_argument("--round-trip-ms", type=float, default=0.0)
    parser.add_argument("--binds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}")
    found: dict[str, Any] = {"codecs": codecs()}
    for name, costs in found["codecs"].items():
        print(f"  {name:<10} encode {costs['encode_us']:>6} us   decode {costs['decode_us']:>6} us   a submit_sm")
    found["end_to_end"] = uvloop.run(
        end_to_end(
            arguments.messages,
            arguments.window,
            arguments.database,
            arguments.binds,
            arguments.round_trip_ms / 1_000,
        )
    )
    for name, value in found["end_to_end"].items():
        print(f"  {name:<26} {value:>8,}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
