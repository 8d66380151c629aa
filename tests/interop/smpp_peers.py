"""The message centre and the phones as real processes on loopback, for foreign peers to speak to."""

import base64
import functools
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "secret12"
PHONES = tuple(f"4790100{number:03d}" for number in range(8))
READY_SECONDS_MAX = 30.0


def free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        port: int = probing.getsockname()[1]
        return port


def wait_for(condition: Callable[[], Any], what: str, seconds_max: float = 30.0) -> Any:
    """Looks until `condition` gives something true, and returns that; fails with `what` when it never does."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds_max:.0f} s: {what}")


def get(url: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return json.load(answer)


def post(url: str, body: object, **headers: str) -> Any:
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def basic(account: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{account}:{PASSWORD}".encode()).decode()}


@dataclass
class Process:
    arguments: list[str]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, *self.arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        assert self.running.stdout is not None
        line = self.running.stdout.readline()
        assert line == b"ready\n", self.log.read_text()

    def kill(self) -> None:
        """As a power cut would: no goodbye."""
        assert self.running is not None
        self.running.kill()
        self._wait()

    def stop(self) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.terminate()
            self._wait()

    def _wait(self) -> None:
        assert self.running is not None
        self.running.wait(10)
        for pipe in (self.running.stdin, self.running.stdout):
            assert pipe is not None
            pipe.close()


@dataclass
class Handsets:
    process: Process
    smpp_port: int
    url: str

    def inbox(self, number: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = get(f"{self.url}/phones/{number}/inbox")
        return found

    def send(self, number: str, to: str, text: str) -> None:
        post(f"{self.url}/phones/{number}/send", {"to": to, "text": text})


@dataclass
class Centre:
    process: Process
    smpp_port: int
    url: str
    handsets: Handsets | None
    home: Path

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"prikkfri_sms_{name} "):
                    return float(line.split()[1])
        raise KeyError(name)

    def wait_until_linked(self) -> None:
        def linked() -> bool:
            try:
                return self.metric("links_bound") >= 1
            except urllib.error.URLError:
                return False

        wait_for(linked, "the link is bound")


CONFIGURATION = """
[roles.sms]
port = {http}
smpp_port = {smpp}

[sms]
in_doubt_seconds = 3.0

[[sms.accounts]]
system_id = "shop"
password = "{password}"
short_codes = ["2010"]
throughput_per_second_max = 100000.0

[[sms.accounts]]
system_id = "clinic"
password = "{password}"
message_class = "log-in-code"
in_doubt = "report"
throughput_per_second_max = 100000.0

[[sms.links]]
name = "handsets"
partner = "Fjordmobil"
host = "127.0.0.1"
port = {link}
system_id = "prikkfri"
password = "{password}"
prefixes = ["47"]
"""


@contextmanager
def started_handsets(folder: Path) -> Iterator[Handsets]:
    smpp, http = free_port(), free_port()
    arguments = ["-m", "prikkfri.simulation.handsets", "--smpp-port", str(smpp), "--http-port", str(http)]
    arguments += ["--password", PASSWORD, *(f"+{number}=Phone {number[-1]}" for number in PHONES)]
    process = Process(arguments, folder / "handsets.log")
    process.start()
    try:
        yield Handsets(process, smpp, f"http://127.0.0.1:{http}")
    finally:
        process.stop()


@contextmanager
def started_centre(folder: Path, *, link_port: int, handsets: Handsets | None = None) -> Iterator[Centre]:
    smpp, http = free_port(), free_port()
    home = folder / "home"
    home.mkdir()
    text = CONFIGURATION.format(http=http, smpp=smpp, link=link_port, password=PASSWORD)
    (home / "prikkfri.toml").write_text(text)
    process = Process(["-m", "prikkfri.app", "sms", "--home", str(home)], folder / "sms.log")
    process.start()
    centre = Centre(process, smpp, f"http://127.0.0.1:{http}", handsets, home)
    try:
        centre.wait_until_linked()
        yield centre
    finally:
        process.stop()


@functools.cache
def node_modules() -> None:
    """Fetches the foreign peers when one is not here yet; skips the test when they cannot be had."""
    here = Path(__file__).parent
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not here")
    if not all((here / "node_modules" / name).is_dir() for name in ("smpp", "@aero/statuspage")):
        done = subprocess.run(["npm", "ci", "--silent"], cwd=here, capture_output=True)
        if done.returncode:
            pytest.skip(f"npm cannot fetch the foreign peers: {done.stderr.decode()[-200:]}")
