"""Sign-ins a second over real HTTP, and beside them the limit that Argon2id itself sets, in the same run.

    python benchmarks/sign_in.py [--seconds 10] [--times 3]

The limit is argon2-cffi alone on as many threads as there are cores. The role runs in a process of its own, as in
production (journal, session rows and fsync included); the crowd's process shares the same cores. Three crowds: as fast
as answers come (closed loop), an open loop of several times the measured capacity whose people leave after two
seconds, and the refusals in it. docs/decisions/signing-in.md records what was seen.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx

from prikkfri.signin.credentials import hash_password, matches
from prikkfri.signin.service import set_password_hashes
from prikkfri.storage import Location, Transaction, open_database
from prikkfri.storage.keys import command_key

PASSWORD = "riktig hest batteri"
PATIENCE_SECONDS = 2.0
PORT = 18_081
ORIGIN = "http://localhost:8080"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--times", type=float, default=3.0, help="the open loop, in times of the measured capacity")
    chosen = arguments.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f} before")
    bare = limit(chosen.seconds, cores)
    print(f"  limit: argon2-cffi alone, {cores} threads\n    {bare:.1f} hashes/s, {bare / cores:.1f} a core")
    with tempfile.TemporaryDirectory(prefix="pf-signin-") as folder:
        home = Path(folder)
        asyncio.run(seed(home))
        environment = {**os.environ, "PRIKKFRI_ROLES_SIGNIN_PORT": str(PORT), "PRIKKFRI_DOOR_WAITING_ROOM": "off"}
        role = subprocess.Popen(
            [sys.executable, "-m", "prikkfri.app", "signin", "--home", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        try:
            assert role.stdout is not None and role.stdout.readline() == b"ready\n"
            asyncio.run(crowds(home, chosen.seconds, chosen.times, bare, cores))
        finally:
            role.terminate()
            role.wait(15)
    print(f"  limit again: {limit(chosen.seconds / 2, cores):.1f} hashes/s; load {os.getloadavg()[0]:.1f} after")


def limit(seconds: float, cores: int) -> float:
    hashed = hash_password(PASSWORD, b"salt of a bench.")
    until = time.perf_counter() + seconds

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            assert matches(PASSWORD, hashed)
            done += 1
        return done

    with ThreadPoolExecutor(cores) as pool:
        return sum(pool.map(work, range(cores))) / seconds


async def seed(home: Path) -> None:
    subscribers = await open_database(Location(home), "subscribers")

    async def people(transaction: Transaction) -> None:
        await transaction.execute("INSERT INTO subscriber (id, name, email) VALUES ('s', 'Kari', 'kari@example.no')")
        await transaction.execute(
            "INSERT INTO fixed_subscription (subscriber_id, kind, product, starts, ends)"
            " VALUES ('s', 'television', 'basic', 0, 1e12)"
        )

    await subscribers.write(people)
    await subscribers.close()
    database = await open_database(Location(home), "signin")
    await set_password_hashes(database, [("s", hash_password(PASSWORD, b"salt of a bench."))], time.time())
    await database.close()


async def crowds(home: Path, seconds: float, times: float, bare: float, cores: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", PORT)
                writer.close()
                break
            await asyncio.sleep(0.1)
    rate, _ = await closed(seconds, 4 * cores)
    print(f"  sign-ins, closed loop\n    {rate:.1f}/s, {rate / cores:.1f} a core, {rate / bare:.0%} of the limit")
    before = await hashes()
    answers, refused_ms = await open_loop(seconds, times * rate)
    spent = await hashes() - before
    refused_ms.sort()
    print(
        f"  open loop, {times:g} times that, people leave after {PATIENCE_SECONDS:g} s: {dict(answers)}\n"
        f"    {answers['200'] / seconds:.1f} useful sign-ins/s, {answers['200'] / seconds / bare:.0%} of the limit;"
        f" {answers['200'] / spent:.0%} of {spent} hashes were for somebody still there"
    )
    if refused_ms:
        half, most = refused_ms[len(refused_ms) // 2], refused_ms[int(len(refused_ms) * 0.99)]
        print(f"    a refusal took {half:.1f} ms (median), {most:.1f} ms (99 %)")
    async with httpx.AsyncClient() as client:
        answer = await client.get(
            f"http://127.0.0.1:{PORT}/capacity",
            headers={"authorization": f"Bearer {command_key(home, 'signin')}"},
        )
        print(f"    capacity that signin reports afterwards: {answer.json()['per_second']:.1f}/s")
    rate, _ = await closed(seconds / 2, 4 * cores)
    print(f"  sign-ins, closed loop, after the crowd\n    {rate:.1f}/s, {rate / bare:.0%} of the limit")


async def hashes() -> int:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{PORT}/metrics")).text
    [line] = [line for line in text.splitlines() if line.startswith("prikkfri_signin_hashes_total ")]
    return int(float(line.split()[1]))


async def closed(seconds: float, people: int) -> tuple[float, Counter[str]]:
    until = time.perf_counter() + seconds
    answers: Counter[str] = Counter()

    async def person(number: int) -> None:
        while time.perf_counter() < until:
            answers[await sign_in(number, 60)] += 1

    await asyncio.gather(*(person(number) for number in range(people)))
    return answers["200"] / seconds, answers


async def open_loop(seconds: float, per_second: float) -> tuple[Counter[str], list[float]]:
    started = time.perf_counter()
    refused_ms: list[float] = []

    async def person(number: int) -> str:
        came = time.perf_counter()
        answer = await sign_in(number, PATIENCE_SECONDS)
        if answer == "503":
            refused_ms.append((time.perf_counter() - came) * 1_000)
        return answer

    people = []
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, started + number / per_second - time.perf_counter()))
        people.append(asyncio.create_task(person(number)))
    return Counter(await asyncio.gather(*people)), refused_ms


async def sign_in(number: int, patience_s: float) -> str:
    body = json.dumps({"login": "kari@example.no", "password": PASSWORD, "device": f"d-{number:022d}"}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    try:
        writer.write(
            f"POST /sign-in HTTP/1.1\r\nhost: localhost\r\norigin: {ORIGIN}\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        async with asyncio.timeout(patience_s):
            return (await reader.readline()).split(b" ")[1].decode()
    except TimeoutError:
        return "left"
    finally:
        writer.close()


if __name__ == "__main__":
    main()
