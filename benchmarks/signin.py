"""What a sign-in costs signin in CPU beside the password hash.

    python benchmarks/signin.py [--sign-ins 400] [--turns 3] [--json FILE]

The signin role runs in a process of its own, as in production: real HTTP, SQLite on disk with an fsync for each group,
an ES256 pass of the door's and a proof of possession by a P-256 key (every twentieth person, a television, by a
secret). Each person comes on a connection of their own. The role has one core, the generator another. CPU is that of
all threads of the role but the hash threads, whose share is told apart by their lower priority.

`alone`: one sign-in after another, so that each is a transaction of its own; `together`: sixteen at a time. In both
the password is compared in an instant (nothing but that is left out). `behind a hash`: eight at a time behind real
Argon2id in one thread, as in a crowd: what is measured beside it then runs with the caches that a hash of 19 MiB
leaves behind.

Turns go round the three; each figure is the median of its turns, with the least and the most beside it. On a machine
whose speed changes, `hash_share` says more: which part of the role's CPU the hash has behind a real one, and so the
most that goodput can be of the hash limit while the role has one core.
"""

import argparse
import asyncio
import json
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from prikkfri.app.__main__ import main as role_main
from prikkfri.config import load
from prikkfri.protocols import admission_pass
from prikkfri.protocols.admission_pass import Pass
from prikkfri.signin.hash_pool import NICENESS
from prikkfri.signin.service import SignIn
from prikkfri.simulation import demo
from prikkfri.simulation.device_key import DeviceKey, DeviceSecret
from prikkfri.simulation.kickoff import ONE_IN_TELEVISIONS
from prikkfri.simulation.people import device_pseudonym
from prikkfri.storage.keys import publish_public_key, signing_key

PORT = 18_181
PEOPLE = 500
GOAL_MS = 2.0
PASS_SECONDS = 3_600.0
HEADERS = (
    "Host: signin.example\r\nOrigin: http://localhost:8080\r\nReferer: http://localhost:8080/\r\nAccept: */*\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: nb-NO,nb;q=0.9,no;q=0.8,en;q=0.7\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36\r\n"
    "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-site\r\nContent-Type: application/json\r\n"
)
WAYS = {"alone": (1, "instant"), "together": (16, "instant"), "behind a hash": (8, "argon2id")}
"""How many at a time, and how passwords are compared."""


def sign_ins(home: Path, count: int) -> list[bytes]:
    """Requests of people whose turn has come, each with a device of their own and a pass that nobody has spent."""
    key = signing_key(home, "door-pass")
    publish_public_key(home, "pass", "door", key)
    people = demo.people(PEOPLE)
    requests = []
    for number in range(count):
        owner = DeviceSecret() if number % ONE_IN_TELEVISIONS == 0 else DeviceKey()
        device = device_pseudonym(number, seed=secrets.randbits(32))
        promise, until = secrets.token_urlsafe(12), time.time() + PASS_SECONDS
        shown = admission_pass.issue(
            key.private, key.kid, Pass(secrets.token_urlsafe(16), device, until, promise, owner.holder)
        )
        body = json.dumps({
            "login": people[number % PEOPLE].email if number % 2 else people[number % PEOPLE].msisdn,
            "password": demo.PASSWORD,
            "device": device,
            "pass": shown,
            "proof": owner.proof("sign-in", shown),
        }).encode()  # fmt: skip
        requests.append(f"POST /sign-in HTTP/1.1\r\n{HEADERS}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return requests


async def all_signed_in(requests: list[bytes], at_a_time: int) -> None:
    """Each request on a connection of its own; raises `RuntimeError` when somebody is not signed in."""
    rest = iter(requests)

    async def person() -> None:
        for request in rest:
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            writer.close()
            if not head.startswith(b"http/1.1 200") or not json.loads(body)["device_token"]:
                raise RuntimeError(f"not signed in: {head[:12]!r} {body!r}")

    await asyncio.gather(*(person() for _ in range(at_a_time)))


def cpu_seconds(pid: int) -> dict[str, float]:
    """What a process's threads have spent: the loop, those that hash, and the others (commits)."""
    spent = {"loop": 0, "hash": 0, "others": 0}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            niceness = int((task / "stat").read_text().rpartition(")")[2].split()[16])
            whose = "loop" if task.name == str(pid) else "hash" if niceness == NICENESS else "others"
            spent[whose] += int((task / "schedstat").read_text().split()[0])
    return {whose: nanoseconds / 1e9 for whose, nanoseconds in spent.items()}


async def measured(pid: int, home: Path, count: int, at_a_time: int) -> dict[str, float]:
    """Milliseconds of CPU for each of `count` sign-ins."""
    requests = sign_ins(home, count)
    before, began = cpu_seconds(pid), time.perf_counter()
    await all_signed_in(requests, at_a_time)
    elapsed, after = time.perf_counter() - began, cpu_seconds(pid)
    each = {f"{whose}_ms": 1_000 * (after[whose] - before[whose]) / count for whose in after}
    return {"cpu_ms": each["loop_ms"] + each["others_ms"], **each, "per_s": count / elapsed}


@contextmanager
def role(home: Path, core: int, passwords: str) -> Iterator[int]:
    running = subprocess.Popen(
        [sys.executable, __file__, "--be", passwords, "--home", str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        os.sched_setaffinity(running.pid, {core})
        if running.stdout is None or running.stdout.readline() != b"ready\n":
            raise RuntimeError("signin does not start")
        yield running.pid
    finally:
        running.terminate()
        running.wait(15)


def be(home: Path, passwords: str) -> int:
    """The role, with passwords compared for real or in an instant."""
    if passwords == "instant":
        SignIn.__init__.__kwdefaults__["matches"] = lambda password, _: password == demo.PASSWORD
    return role_main(["signin", "--home", str(home)])


async def turn(home: Path, core: int, count: int) -> dict[str, dict[str, float]]:
    points: dict[str, dict[str, float]] = {}
    for passwords in ("instant", "argon2id"):
        with role(home, core, passwords) as pid:
            await asyncio.sleep(1.5)  # housekeeping of the start
            await all_signed_in(sign_ins(home, 20), 4)
            for name, (at_a_time, compared) in WAYS.items():
                if compared == passwords:
                    points[name] = await measured(pid, home, count, at_a_time)
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sign-ins", type=int, default=400)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--be", choices=("instant", "argon2id"), help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.be:
        sys.exit(be(chosen.home, chosen.be))
    cores = sorted(os.sched_getaffinity(0))
    machine = f"{platform.platform()}, Python {platform.python_version()}, {len(cores)} cores"
    at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    print(f"{machine}, {at}, load {os.getloadavg()[0]:.1f} before", flush=True)
    os.sched_setaffinity(0, {cores[-1]})
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory(prefix="pf-signin-") as folder:
        home = Path(folder)
        (home / "prikkfri.toml").write_text(
            f"[signin]\nhash_threads = 1\nhash_queue_seconds_max = 30\n[roles.signin]\nport = {PORT}\n"
        )
        (home / "prikkfri.toml").chmod(0o600)
        asyncio.run(demo.seed(load(home, file=None, environment=os.environ), demo.people(PEOPLE)))
        for _ in range(chosen.turns):
            for name, point in uvloop.run(turn(home, cores[0], chosen.sign_ins)).items():
                turns[name].append(point)
    points: dict[str, Any] = {}
    for name, each in turns.items():
        figures = {key: round(statistics.median(point[key] for point in each), 3) for key in each[0]}
        of_cpu = sorted(round(point["cpu_ms"], 3) for point in each)
        points[name] = {**figures, "least_ms": of_cpu[0], "most_ms": of_cpu[-1]}
        print(
            f"  {name:<14} {figures['cpu_ms']:.2f} ms CPU ({of_cpu[0]:.2f} to {of_cpu[-1]:.2f}): loop"
            f" {figures['loop_ms']:.2f}, commits {figures['others_ms']:.2f}; hash thread {figures['hash_ms']:.2f};"
            f" {figures['per_s']:,.0f}/s"
        )
    behind = turns["behind a hash"]
    share = statistics.median(each["hash_ms"] / (each["hash_ms"] + each["cpu_ms"]) for each in behind)
    print(f"  the hash has {share:.1%} of the role's CPU behind a hash")
    good = points["alone"]["cpu_ms"] <= GOAL_MS
    print(f"  {'at most' if good else 'MORE THAN'} {GOAL_MS} ms for one alone")
    if chosen.json:
        told = {
            "machine": machine,
            "at": at,
            "goal_ms": GOAL_MS,
            "passed": good,
            "hash_share": round(share, 4),
            "signin": points,
        }
        chosen.json.write_text(json.dumps(told, indent=2) + "\n")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
