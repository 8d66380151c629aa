"""The message centre and the phones as real processes on loopback, for foreign peers to speak to."""

import base64
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from waiting import WAIT_SECONDS_MAX, until

from prikkfri.simulation.installation import free_ports
from prikkfri.simulation.partners.quirks import Quirks

PASSWORD = "secret12"
PHONES = tuple(f"4790100{number:03d}" for number in range(8))
NODE_MODULES = Path(__file__).parent / "node_modules"


def get(url: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=WAIT_SECONDS_MAX) as answer:
        return json.load(answer)


def post(url: str, body: object, **headers: str) -> Any:
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=WAIT_SECONDS_MAX) as answer:
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
        self.running.wait(WAIT_SECONDS_MAX)
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
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=WAIT_SECONDS_MAX) as answer:
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

        until(linked, what="the link to be bound")


CONFIGURATION = """
[roles.sms]
port = {http}
smpp_port = {smpp}

[sms]
in_doubt_seconds = {in_doubt_seconds}

[[sms.accounts]]
system_id = "shop"
password = "{password}"
short_codes = ["2010"]
senders = ["*"]
throughput_per_second_max = 100000.0

[[sms.accounts]]
system_id = "clinic"
password = "{password}"
message_class = "log-in-code"
senders = ["*"]
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
network = "own"
"""


@contextmanager
def started_handsets(folder: Path) -> Iterator[Handsets]:
    smpp, http = free_ports(2)
    arguments = ["-m", "prikkfri.simulation.handsets", "--smpp-port", str(smpp), "--http-port", str(http)]
    arguments += ["--password", PASSWORD, *(f"+{number}=Phone {number[-1]}" for number in PHONES)]
    process = Process(arguments, folder / "handsets.log")
    process.start()
    try:
        yield Handsets(process, smpp, f"http://127.0.0.1:{http}")
    finally:
        process.stop()


@contextmanager
def started_partner(folder: Path, quirks: Quirks) -> Iterator[Handsets]:
    """The same phones in a partner's network that leaves the book."""
    smpp, http = free_ports(2)
    arguments = ["-m", "prikkfri.simulation.partners", "--smpp-port", str(smpp), "--http-port", str(http)]
    arguments += ["--name", "Fjordmobil", "--quirks", json.dumps(asdict(quirks)), "--password", PASSWORD]
    process = Process([*arguments, *PHONES], folder / "partner.log")
    process.start()
    try:
        yield Handsets(process, smpp, f"http://127.0.0.1:{http}")
    finally:
        process.stop()


@contextmanager
def started_centre(
    folder: Path, *, link_port: int, handsets: Handsets | None = None, in_doubt_seconds: float = 3.0, more: str = ""
) -> Iterator[Centre]:
    """`more`: what its configuration says beside accounts and links of everybody."""
    smpp, http = free_ports(2)
    home = folder / "home"
    home.mkdir()
    text = CONFIGURATION.format(
        http=http, smpp=smpp, link=link_port, password=PASSWORD, in_doubt_seconds=in_doubt_seconds
    )
    (home / "prikkfri.toml").write_text(text + more)
    process = Process(["-m", "prikkfri.app", "sms", "--home", str(home)], folder / "sms.log")
    process.start()
    centre = Centre(process, smpp, f"http://127.0.0.1:{http}", handsets, home)
    try:
        centre.wait_until_linked()
        yield centre
    finally:
        process.stop()


def need_node_modules() -> None:
    """Skips the test where the foreign peers from npm are not installed; where all of them must be, in CI, it fails."""
    if shutil.which("node") and all((NODE_MODULES / name).is_dir() for name in ("smpp", "@aero/statuspage")):
        return
    missing = "the foreign peers in tests/interop/node_modules are not installed; mend it: make setup-tests"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
