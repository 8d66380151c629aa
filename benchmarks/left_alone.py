"""A real demo of all roles, left alone: nothing is to be announced.

    python benchmarks/left_alone.py [--minutes 30]

The demo runs in a temporary home on free ports, with its phones and its little life. Every two seconds the public
document is read; printed is each change of what it says of a component, each incident that it names, and at the end
every incident that the console has. Exit code 1 when anything was announced: a component that fails, or an incident.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from prikkfri.config import ROLES
from prikkfri.simulation import demo
from prikkfri.simulation.installation import free_ports, ports_section

LOOK_SECONDS = 2.0
FAILS = ("partial_outage", "major_outage")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=30.0, help="for which it is left alone")
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory(prefix="pf-left-alone-", ignore_cleanup_errors=True) as folder:
        return left_alone(Path(folder), chosen.minutes * 60)


def left_alone(home: Path, seconds: float) -> int:
    ports = free_ports(len(ROLES) + 3)
    phones = f"phones_port = {ports[-1]}\n"
    settings = phones + demo.configuration(handset_smpp_port=ports[-2]) + ports_section(ports)
    (home / "prikkfri.toml").write_text(settings, encoding="utf-8")
    status = f"http://localhost:{ports[ROLES.index('status')]}/api/v2/summary.json"
    serving = subprocess.Popen(
        [sys.executable, "-m", "prikkfri", "serve", "--demo", "--home", str(home)],
        stdout=subprocess.DEVNULL, stderr=(home / "serve.log").open("wb"),
    )  # fmt: skip
    announced: set[str] = set()
    try:
        told: dict[str, str] = {}
        looks, began = 0, time.monotonic()
        while (since := time.monotonic() - began) < seconds and serving.poll() is None:
            time.sleep(LOOK_SECONDS)
            document = read(status)
            if document is None:
                continue
            looks += 1
            for part in document["components"]:
                if told.get(part["id"]) != part["state"]:
                    print(f"  {since:6.0f} s {part['name']}: {part['state']}", flush=True)
                    told[part["id"]] = part["state"]
                if part["state"] in FAILS:
                    announced.add(part["id"])
            for incident in document["incidents"]:
                if incident["id"] not in announced:
                    announced.add(incident["id"])
                    print(f"  {since:6.0f} s announced: {incident['name']} ({incident['impact']})", flush=True)
        found = json.loads(
            subprocess.run(
                [sys.executable, "-m", "prikkfri", "incidents", "--json", "-", "--home", str(home)],
                stdout=subprocess.PIPE, check=False,
            ).stdout or b"[]"
        )  # fmt: skip
    finally:
        ended = serving.poll() is not None
        serving.send_signal(signal.SIGTERM)
        serving.wait(30)
    if ended:
        print("  the demo ended by itself: " + (home / "serve.log").read_text(encoding="utf-8")[-400:])
    for incident in found:
        alarm = incident["alarms"][0]
        print(f"  console: {incident['id']} {incident['state']}, {alarm['kind']} of {alarm['segment']}")
    print(f"  {looks} looks in {seconds / 60:.0f} min; announced: {', '.join(sorted(announced)) or 'nothing'}")
    return 1 if announced or ended or not looks else 0


def read(url: str) -> dict | None:  # type: ignore[type-arg]
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    sys.exit(main())
