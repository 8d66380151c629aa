"""What a message costs that is handed in, and that leaves, by how many come at once.

    python benchmarks/sms_batches.py [--messages 20000] [--json FILE]

The same messages of one account are taken on (decided, sealed, told to the journal), and made, read back and written
for a link, so many at a time; sockets and the database are left out. Each size has its turn in each round; shown are
microseconds of CPU a message, the median of the rounds.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from prikkfri.config import Account, Link, Sms
from prikkfri.protocols.smpp.pdu import Bind, BindResponse, Command, ShortMessage, Status
from prikkfri.protocols.smpp.session import Limits, Request, Session, Side
from prikkfri.sms import delivery
from prikkfri.sms.intake import BatchContext, BatchResult, hand_in
from prikkfri.sms.messages import Message
from prikkfri.sms.outcomes import Partners
from prikkfri.sms.reading_back import difference
from prikkfri.sms.routing import Party, Routes
from prikkfri.sms.sealing import Sealer
from prikkfri.sms.submission import Rules, TokenBucket
from prikkfri.storage.sets import in_parts

SIZES = (1, 4, 16, 50)
ROUNDS = 7
PASSWORD = "only-here"
LINK = Link(name="nord", partner="Nord", host="h", port=1, system_id="p", password=PASSWORD, prefixes=("",))
SETTINGS = Sms(links=(LINK,), accounts=(Account(system_id="shop", password=PASSWORD),), region="NO")
NORD = Party("link", "nord")


def cpu_us(work: Callable[[], object], messages: int) -> float:
    began = time.thread_time()
    work()
    return (time.thread_time() - began) / messages * 1e6


class Centre:
    """One account's way in and one link's way out."""

    def __init__(self) -> None:
        self.sealer = Sealer(os.urandom)
        rules = Rules(Party("account", "shop"), Routes.of(SETTINGS))
        self.batch = BatchContext(
            rules, self.sealer, Partners({"nord": "Nord"}), os.urandom, time.time(), lambda _: False
        )

    def take_on(self, submitted: Sequence[ShortMessage], size: int) -> list[Message]:
        stored: list[Message] = []
        for some in in_parts(submitted, size):
            intake = BatchResult(TokenBucket(1e9, self.batch.now - 1.0))
            hand_in(intake, some, self.batch)
            stored += intake.messages
        return stored

    def write(self, messages: Sequence[Message], size: int) -> None:
        session = bound(len(messages))
        for some in in_parts(messages, size):
            pdus = [delivery.wire_body(each, self.sealer, NORD, now=self.batch.now) for each in some]
            looked = session.ask_all(
                Command.SUBMIT_SM,
                [pdu.body for pdu in pdus],
                some,
                0.0,
                check=lambda number, octets, sequence, pdus=pdus: difference(octets, sequence, pdus[number].wanted),
            )
            assert not any(looked), "what is written is what was to be written"
            session.outgoing()


def bound(window: int) -> Session:
    ours, theirs = Session(Side.ESME, Limits(window=window), 0.0), Session(Side.CENTRE, Limits(), 0.0)
    ours.bind(Command.BIND_TRANSCEIVER, Bind("prikkfri", PASSWORD), 0.0)
    [request] = theirs.receive(ours.outgoing(), 0.0)
    assert isinstance(request, Request)
    theirs.answer(request, Status.OK, BindResponse("nord"))
    ours.receive(theirs.outgoing(), 0.0)
    return ours


def measure(messages: int) -> dict[str, dict[int, float]]:
    centre = Centre()
    submitted = [
        ShortMessage("2010", f"4790{number % 1_000_000:06}", octets=b"Middag %d kl. 18" % number, registered_delivery=1)
        for number in range(messages)
    ]
    stored = centre.take_on(submitted, max(SIZES))
    assert len(stored) == messages
    taken_on: dict[int, list[float]] = {size: [] for size in SIZES}
    written: dict[int, list[float]] = {size: [] for size in SIZES}
    for turn in range(ROUNDS):
        for size in SIZES if turn % 2 else reversed(SIZES):
            taken_on[size].append(cpu_us(lambda size=size: centre.take_on(submitted, size), messages))
            written[size].append(cpu_us(lambda size=size: centre.write(stored, size), messages))
    return {
        what: {size: round(statistics.median(found), 1) for size, found in each.items()}
        for what, each in (("taken on", taken_on), ("written", written))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measure(options.messages)
    machine = f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    print("at once     " + "".join(f"{size:>8}" for size in SIZES))
    for what, each in found.items():
        print(f"{what:<12}" + "".join(f"{each[size]:>8}" for size in SIZES) + "  us a message")
    print(machine)
    if options.json:
        options.json.write_text(json.dumps({**found, "machine": machine}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
