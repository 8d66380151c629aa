"""Whether a link to a network that is far away carries what it should, beside the same link without a round trip.

    python benchmarks/sms_round_trip.py [--round-trip-ms 100] [--binds 4] [--window 100] [--messages 20000] [--times 2]

The sms role is a process of its own, with receipts and an fsync before each answer, as in `prikkfri bench sms`. Both
ways run in turns within the same minutes, since what else the machine does counts for both. `bound` is what windows and
round trip let through at most: binds x window / round trip. Exit code 1 when fewer than 2,000 messages a second went
over the far link in the better run, or one is lost, came twice or went astray.
"""

import argparse
import sys
from dataclasses import replace

import uvloop

from prikkfri.simulation.bench import machine, sms

PER_SECOND_MIN = 2_000


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--round-trip-ms", type=float, default=100.0)
    arguments.add_argument("--binds", type=int, default=4)
    arguments.add_argument("--window", type=int, default=100)
    arguments.add_argument("--messages", type=int, default=20_000)
    arguments.add_argument("--times", type=int, default=2)
    chosen = arguments.parse_args()
    cores = machine.this_machine()
    near = sms.Load(
        messages=chosen.messages, link_binds=chosen.binds, link_window=chosen.window, per_second=500, paced_seconds=1
    )
    far = replace(near, round_trip_seconds=chosen.round_trip_ms / 1_000)
    print(f"{machine.described(cores)}; bound {chosen.binds * chosen.window / far.round_trip_seconds:,.0f} a second")
    found: dict[str, list[sms.Result]] = {"near": [], "far": []}
    for _ in range(chosen.times):
        for name, load in (("near", near), ("far", far)):
            result = uvloop.run(sms.run(load, database="", cores=cores, say=lambda _: None))
            found[name].append(result)
            print(
                f"  {name:5} {result.messages_per_second:7,} a second  {result.cpu_us_per_message:6.1f} us CPU each"
                f"  lost {result.lost}, twice {result.duplicated}, astray {result.misdelivered};"
                f" others took {result.others_share:.0%} of the machine",
                flush=True,
            )
    carries = max(result.messages_per_second for result in found["far"]) >= PER_SECOND_MIN
    return 0 if carries and all(result.clean for results in found.values() for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
