"""What it takes to send out what has waited for a link, and how long others wait beside it.

    python benchmarks/sms_drain.py [--waiting 100000] [--others 10] [--json FILE]

One account hands in so many messages while its link is down; then the network answers again. Beside the drain another
account hands in ten, again and again: `others` is how long each of theirs took to the phone, from when it was handed
in. The sms role is a process of its own on a core of its own, with receipts, the trail, the journal and an fsync before
each answer. Exit code 1 when one is lost, came twice or went astray, or one of the others waited for more than a
second longer than they do with nothing beside them.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from prikkfri.simulation.bench import machine, sms
from prikkfri.simulation.bench.machine import Cores
from prikkfri.simulation.bench.sms_ledger import Ledger
from prikkfri.simulation.bench.sms_peers import Sender, Sink
from prikkfri.simulation.installation import Installation, free_ports

BULK, OTHER = 0, 1
LONGER_SECONDS_MAX = 1.0
WAIT_SECONDS_MAX = 900.0
PAUSE_SECONDS = 0.5
"""Between two tens of the other account."""


class Watch:
    """When each message of the other account was handed in, and when it came to its phone."""

    def __init__(self) -> None:
        self.handed_in: dict[int, float] = {}
        self.took_s: list[float] = []

    def taken(self, ledger: Ledger, phone: str, words: str) -> None:
        ledger.arrive(phone, words)
        if began := self.handed_in.get(int(words[6:16])):
            self.took_s.append(time.perf_counter() - began)

    async def tens(self, sender: Sender, ledger: Ledger, others: int) -> None:
        """Until cancelled."""
        while True:
            first = ledger.handed_in
            now = time.perf_counter()
            self.handed_in |= {first + number: now for number in range(others)}
            sender.hand_in(OTHER, others)
            await asyncio.sleep(PAUSE_SECONDS)


async def run(waiting: int, others: int, cores: Cores) -> dict[str, float]:
    load = sms.Load(binds=2, window=max(50, others), warm_up=500)
    with (
        tempfile.TemporaryDirectory(prefix="prikkfri-drain-", ignore_cleanup_errors=True) as folder,
        machine.on_core(cores.rest),
    ):
        home, (http, smpp, link) = Path(folder), free_ports(3)
        (home / "prikkfri.toml").write_text(sms.configuration(load, http, smpp, link), encoding="utf-8")
        (home / "prikkfri.toml").chmod(0o600)
        installation, ledger, watch = Installation(home, {}), Ledger(receipts=True), Watch()
        sink = Sink(ledger, window=load.link_window, taken=watch.taken)
        sender = Sender(ledger, smpp, load.accounts, load.binds, load.window)
        try:
            await sink.listen(link)
            with machine.on_core(cores.tried):
                await installation.start_program("sms", ["-m", "prikkfri.app", "sms", "--home", folder])
            pid = installation.pid("sms")
            await sender.bind()
            await sender.send(load.warm_up)
            alone = asyncio.create_task(watch.tens(sender, ledger, others))
            await asyncio.sleep(5)
            alone.cancel()
            await until(lambda: ledger.settled, "the first have come")
            alone_s, watch.took_s = machine.quantile(watch.took_s, 1.0), []
            await sink.close()
            sender.hand_in(BULK, waiting)
            await until(lambda: ledger.answered >= ledger.handed_in, f"{waiting:,} wait")
            arrived = ledger.arrived
            sink = Sink(ledger, window=load.link_window, taken=watch.taken)
            await sink.listen(link)
            await until(lambda: ledger.arrived > arrived, "the link is bound again")
            cpu, began = machine.cpu_seconds([pid]), time.perf_counter()
            beside = asyncio.create_task(watch.tens(sender, ledger, others))
            await until(lambda: ledger.arrived >= arrived + waiting, "what had waited has gone")
            seconds, cpu = time.perf_counter() - began, machine.cpu_seconds([pid]) - cpu
            beside.cancel()
            await until(lambda: ledger.settled, "all have come to their end")
            verdict = ledger.verdict()
            return {
                "waiting": waiting,
                "cpu_us_per_message": round(cpu / (waiting + len(watch.took_s)) * 1e6, 1),
                "seconds": round(seconds, 2),
                "others": len(watch.took_s),
                "others_p50_s": round(machine.quantile(watch.took_s, 0.5), 3),
                "others_max_s": round(machine.quantile(watch.took_s, 1.0), 3),
                "others_alone_max_s": round(alone_s, 3),
                "lost": verdict.lost,
                "duplicated": verdict.duplicated,
                "misdelivered": verdict.misdelivered,
            }
        finally:
            await sender.close()
            await installation.stop()
            await sink.close()


async def until(condition: Callable[[], bool], what: str) -> None:
    end = time.perf_counter() + WAIT_SECONDS_MAX
    while not condition():
        if time.perf_counter() > end:
            raise SystemExit(f"waited {WAIT_SECONDS_MAX:.0f} s until {what}")
        await asyncio.sleep(0.02)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--waiting", type=int, default=100_000)
    arguments.add_argument("--others", type=int, default=10, help="messages that the other account hands in at once")
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    cores = machine.this_machine()
    print(machine.described(cores))
    found = uvloop.run(run(chosen.waiting, chosen.others, cores))
    for name, value in found.items():
        print(f"  {name:20} {value:,}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    clean = not (found["lost"] or found["duplicated"] or found["misdelivered"])
    fair = found["others_max_s"] <= found["others_alone_max_s"] + LONGER_SECONDS_MAX
    return 0 if clean and fair else 1


if __name__ == "__main__":
    sys.exit(main())
