"""What the README says, typed as it stands there: `serve --demo` from nothing, then its commands."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from waiting import until

from prikkfri.config import ROLES, load
from prikkfri.simulation.installation import free_ports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def shell_lines(document: Path) -> list[str]:
    """The lines of every `sh` block."""
    blocks = re.findall(r"^```sh\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


class Served:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.ports = dict(zip((*ROLES, "smpp", "phones", "handsets"), free_ports(len(ROLES) + 3), strict=True))
        variables = {f"PRIKKFRI_ROLES_{role.upper()}_PORT": str(self.ports[role]) for role in ROLES}
        variables["PRIKKFRI_ROLES_SMS_SMPP_PORT"] = str(self.ports["smpp"])
        variables["PRIKKFRI_PHONES_PORT"] = str(self.ports["phones"])
        self.environment = {**os.environ, **variables, "PRIKKFRI_HOME": str(home), "COLUMNS": "200"}
        self.output = ""

    def start(self) -> None:
        # The demo's configuration names the handset network's port; a test has one of its own.
        from prikkfri.simulation import demo

        self.home.mkdir()
        text = demo.configuration(handset_smpp_port=self.ports["handsets"])
        (self.home / "prikkfri.toml").write_text(text, encoding="utf-8")
        self.log = self.home.with_suffix(".out")
        with self.log.open("wb") as out:
            command = [sys.executable, "-m", "prikkfri", "serve", "--demo"]
            self.process = subprocess.Popen(command, env=self.environment, stdout=out, stderr=subprocess.STDOUT)
        until(lambda: "Ctrl-C stops everything." in self.read() or self.process.poll() is not None, seconds_max=200)
        assert self.process.poll() is None, self.read()

    def read(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        """Types a line of the README with this Python."""
        line = line.replace(".venv/bin/prikkfri", f"{sys.executable} -m prikkfri")
        return subprocess.run(line, shell=True, env=self.environment, capture_output=True, text=True, timeout=180)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("serve") / "home")
    try:
        served.start()
        yield served
    finally:
        served.process.kill()
        served.process.wait()


def test_it_ends_with_the_addresses_and_the_sign_in(served: Served) -> None:
    text = served.read()
    for role in ("viewer", "assurance", "status", "phones"):
        assert f"http://localhost:{served.ports[role]}" in text
    assert "kari@example.no / prikkfri-demo" in text
    assert f"http://localhost:{served.ports['assurance']}/rehearsals" in text
    assert re.search(r"duty / [a-z0-9-]{20,}", text)


def test_the_commands_of_the_readme_do_what_it_says(served: Served) -> None:
    lines = [line for line in shell_lines(ROOT / "README.md") if line.startswith(".venv/bin/prikkfri")]
    # Staged small, by the same command, in tests/simulation/test_rehearse_kickoff.py.
    lines = [line for line in lines if " rehearse " not in line]
    assert len(lines) >= 4
    message = ""
    for line in lines:
        typed = served.type(line.replace(" ID", f" {message}"))
        assert typed.returncode == 0, f"{line}: {typed.stdout}{typed.stderr}"
        if found := re.search(r"accepted as (\w+)", typed.stdout):
            message = found[1]
            wait_until_delivered(served, message)
    inbox = httpx.get(f"http://localhost:{served.ports['phones']}/phones/%2B4790100000/inbox", timeout=60).json()
    assert "Middag kl. 18" in [entry["text"] for entry in inbox]


def wait_until_delivered(served: Served, message: str) -> None:
    account = load(served.home, file=None, environment={}, demo=True).sms.accounts[0]
    url = f"http://localhost:{served.ports['sms']}/messages/{message}"

    def state() -> str:
        trail = httpx.get(url, auth=(account.system_id, account.password), timeout=60).json()
        return str(trail["state"])

    until(lambda: state() == "delivered")
    assert "delivered" in served.type(f".venv/bin/prikkfri message {message}").stdout


def test_every_make_target_that_is_named_exists() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(
            r"`make ([a-z]+)`|^make ([a-z]+)$", document.read_text(encoding="utf-8"), re.MULTILINE
        ):
            assert f"make {''.join(target)} " in listed, f"{document.name} names {target}"


def test_the_demo_lives_without_anybody(served: Served) -> None:
    """Some watch and messages flow, and assurance has it all."""

    def taken() -> float:
        metrics = httpx.get(f"http://localhost:{served.ports['assurance']}/metrics", timeout=60).text
        return float(re.findall(r"^prikkfri_assurance_outcomes_taken_total (\S+)", metrics, re.MULTILINE)[0])

    until(lambda: taken() >= 15, seconds_max=120)


def test_a_stop_is_clean_and_leaves_nothing_running(served: Served) -> None:
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(timeout=60) == 0
    assert "was killed" not in served.read()
    for name in (*ROLES, "phones"):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://localhost:{served.ports[name]}/health", timeout=60)
