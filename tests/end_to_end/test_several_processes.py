"""Several processes of a role, on one home and on two: both serve, both journals are followed, one dies alone."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from outcome_rows import outcome_rows
from running_house import Loop
from waiting import until

from prikkfri.app.process import python
from prikkfri.config import ROLES, Config, load
from prikkfri.errors import StorageUnavailable
from prikkfri.journal import role_of
from prikkfri.simulation import demo
from prikkfri.simulation.installation import READY_SECONDS_MAX, free_ports, ports_section, without_ours
from prikkfri.storage import Database, Location, open_reader, open_spool_reader

pytestmark = pytest.mark.slow

BESIDE = ("signin", "door", "playout", "status")
"""Roles of which two processes work beside each other."""
ACCOUNT = """
[[sms.accounts]]
system_id = "shop"
password = "secret12"
senders = ["*"]

[[sms.links]]
name = "nord"
partner = "Fjordmobil"
host = "127.0.0.1"
port = 1
system_id = "p"
password = "p"
prefixes = ["47"]
"""


@dataclass
class Processes:
    """Real processes on homes of one configuration and, where there is one, one PostgreSQL."""

    home: Path
    database: str
    loop: Loop = field(default_factory=Loop)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def config(self, instance: str = "", home: Path | None = None) -> Config:
        environment = {"PRIKKFRI_STORAGE_URL": self.database} | ({"PRIKKFRI_INSTANCE": instance} if instance else {})
        return load(home or self.home, file=None, environment=environment)

    def start(self, name: str, *, home: Path | None = None) -> None:
        """`ROLE` or `ROLE/INSTANCE`; what it says on its standard output is in `said`."""
        role, _, instance = name.partition("/")
        home = home or self.home
        environment = {
            **without_ours(os.environ),
            "PRIKKFRI_STORAGE_URL": self.database,
            "PRIKKFRI_INSTANCE": instance,
        }
        key = name if home == self.home else f"{name} of {home.name}"
        with self._said(key).open("wb") as said, (home / f"{key.replace('/', '.')}.errors").open("ab") as errors:
            self.running[key] = subprocess.Popen(
                python(["-m", "prikkfri.app", role, "--home", str(home)]),
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=errors,
                env=environment,
            )

    def _said(self, key: str) -> Path:
        return self.home / f"{key.replace('/', '.')}.said"

    def said(self, key: str) -> str:
        assert self.running[key].poll() is None, f"{key} has ended: {self.logs()[-3_000:]}"
        return self._said(key).read_text()

    def serves(self, key: str) -> None:
        until(lambda: "ready\n" in self.said(key), seconds_max=READY_SECONDS_MAX, what=f"{key} to serve")

    def kill(self, key: str) -> None:
        process = self.running.pop(key)
        process.kill()
        process.communicate()

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.communicate()
        self.loop.close()

    def logs(self) -> str:
        return "".join(file.read_text() for file in sorted((self.home / "logs").glob("*.log")))

    def url(self, name: str) -> str:
        return f"http://localhost:{self.config().roles.processes(role_of(name))[name].port}"

    def sign_in(self, name: str, person: demo.Person, device: str) -> httpx.Response:
        body = {"login": person.email, "password": demo.PASSWORD, "device": device}
        origin = {"Origin": self.config().roles.viewer.url}
        return httpx.post(f"{self.url(name)}/sign-in", json=body, headers=origin, timeout=60)

    def newest(self, stream: str) -> int:
        """How much is written in a stream."""
        role = role_of(stream)

        async def read() -> int:
            location = Location(self.home, self.database)
            reader = open_reader(location, role) if role in ("signin", "sms") else open_spool_reader(self.home, stream)
            return await _one(reader, "SELECT position FROM journal_stream WHERE stream = :stream", stream)

        return self.loop.run(read)

    def taken(self, stream: str) -> list[int]:
        """The positions that assurance holds of a stream."""

        async def read() -> list[int]:
            reader = open_reader(Location(self.home, self.database), "assurance")
            try:
                rows = await reader.read(lambda q: outcome_rows(q, "position", f"stream = '{stream}'"))
            finally:
                await reader.close()
            return sorted(row[0] for row in rows)

        return self.loop.run(read)

    def exact(self, stream: str, least: int) -> bool:
        """Whether assurance holds all that is written, once each, and that is no less than `least`."""
        newest = self.newest(stream)
        return newest >= least and self.taken(stream) == list(range(1, newest + 1))

    def incarnations(self) -> dict[str, str]:
        """By stream, which of the streams of that name assurance has followed."""

        async def read() -> dict[str, str]:
            reader = open_reader(Location(self.home, self.database), "assurance")
            try:
                rows = await reader.read(lambda q: q.fetch("SELECT stream, incarnation FROM journal_follower"))
            finally:
                await reader.close()
            return dict(rows)  # type: ignore[arg-type]

        return self.loop.run(read)

    def alarms(self) -> list[str]:
        async def read() -> list[str]:
            reader = open_reader(Location(self.home, self.database), "assurance")
            try:
                rows = await reader.read(lambda q: q.fetch("SELECT text FROM alarm"))
            finally:
                await reader.close()
            return [row[0] for row in rows]

        return self.loop.run(read)


async def _one(reader: Database, sql: str, stream: str) -> int:
    try:
        row = await reader.read(lambda q: q.fetch_one(sql, {"stream": stream}))
    except StorageUnavailable:
        return 0
    finally:
        await reader.close()
    return int(row[0]) if row else 0


def configuration() -> str:
    text, ports = ports_section(free_ports(len(ROLES) + 1)), free_ports(len(BESIDE))
    for role, port in zip(BESIDE, ports, strict=True):
        text += f'[[roles.{role}.instances]]\nname = "b"\nport = {port}\n'
    return f'{ACCOUNT}{text}[[roles.sms.instances]]\nname = "b"\n[[roles.assurance.instances]]\nname = "b"\n'


@pytest.fixture
def processes(location: Location, tmp_path: Path) -> Iterator[Processes]:
    (tmp_path / "prikkfri.toml").write_text(configuration())
    found = Processes(tmp_path, location.url)
    try:
        yield found
    finally:
        found.stop()


def device(number: int) -> str:
    return f"d-{number:022d}"


def test_two_processes_of_a_role_serve_and_one_dies_alone(processes: Processes) -> None:
    people = demo.people(2)
    processes.loop.run(lambda: demo.seed(processes.config(), people))
    names = [f"{role}{instance}" for role in BESIDE for instance in ("", "/b")]
    for name in [*names, "assurance"]:
        processes.start(name)
    for name in [*names, "assurance"]:
        processes.serves(name)
    pids = {name: processes.running[name].pid for name in names}

    tokens = {}
    for number, name in enumerate(("signin", "signin/b")):
        signed_in = processes.sign_in(name, people[number], device(number))
        assert signed_in.status_code == 200, signed_in.text
        tokens[name] = signed_in.json()["device_token"]
    origin = processes.config().roles.viewer.url
    for token in tokens.values():
        bearer = {"Authorization": f"Bearer {token}", "Origin": origin}
        for name in ("signin", "signin/b"):  # what the one has signed the other knows
            assert httpx.get(f"{processes.url(name)}/devices", headers=bearer, timeout=60).status_code == 200
        for name in ("door", "door/b"):
            renewed = httpx.post(f"{processes.url(name)}/playback-token", headers=bearer, timeout=60)
            assert renewed.status_code == 200, renewed.text
        for name in ("playout", "playout/b"):
            report = {"device": device(9), "step": "watch", "kept": False, "reason": "http-404", "channel": "sport"}
            told = httpx.post(f"{processes.url(name)}/report", json=report, headers=bearer, timeout=60)
            assert told.status_code == 204, told.text
    # The line has one owner: the other door says so, and that is recorded.
    astray = httpx.get(f"{processes.url('door/b')}/line", timeout=60)
    assert (astray.status_code, astray.json()["error"]) == (503, "line-elsewhere")
    assert httpx.get(f"{processes.url('door')}/line", timeout=60).status_code == 200
    for name in ("status", "status/b"):
        until(lambda name=name: httpx.get(f"{processes.url(name)}/api/v2/summary.json", timeout=60).is_success)  # type: ignore[misc]

    streams = [f"{role}{instance}" for role in ("signin", "door", "playout") for instance in ("", "/b")]
    for stream in streams:
        until(lambda stream=stream: processes.exact(stream, 1), what=f"{stream} in assurance")  # type: ignore[misc]
    before = processes.incarnations()
    assert {*streams} <= {*before} and len({before[stream] for stream in streams}) == len(streams)

    for name in ("signin", "door"):
        processes.kill(name)
    # The other one is not disturbed, and who was signed in by the dead one is known to it.
    bearer = {"Authorization": f"Bearer {tokens['signin']}", "Origin": origin}
    assert httpx.get(f"{processes.url('signin/b')}/devices", headers=bearer, timeout=60).status_code == 200
    assert processes.sign_in("signin/b", people[0], device(2)).status_code == 200
    assert httpx.post(f"{processes.url('door/b')}/playback-token", headers=bearer, timeout=60).status_code == 200
    for name in ("signin", "door"):
        processes.start(name)
        processes.serves(name)
    assert processes.sign_in("signin", people[1], device(3)).status_code == 200
    assert httpx.post(f"{processes.url('door')}/playback-token", headers=bearer, timeout=60).status_code == 200
    for stream, least in {"signin": 2, "signin/b": 2, "door": 3, "door/b": 4, "playout": 2, "playout/b": 2}.items():
        until(
            lambda stream=stream, least=least: processes.exact(stream, least),  # type: ignore[misc]
            what=f"{stream} in assurance, whole",
        )
    assert processes.incarnations() == before
    assert {name: processes.running[name].pid for name in names if name not in ("signin", "door")} == {
        name: pid for name, pid in pids.items() if name not in ("signin", "door")
    }
    assert processes.alarms() == []
    logged = processes.logs()
    assert "another process" not in logged and "Traceback" not in logged, logged[-3_000:]


def send(processes: Processes, text: str) -> httpx.Response:
    message = {"from": "2010", "to": "+4790000001", "text": text}
    return httpx.post(f"{processes.url('sms')}/messages", json=message, auth=("shop", "secret12"), timeout=60)


def test_a_second_sms_centre_stands_by_and_takes_over_when_the_first_ends(processes: Processes) -> None:
    for name in ("assurance", "sms"):
        processes.start(name)
        processes.serves(name)
    first = send(processes, "one")
    assert first.status_code == 202, first.text
    for name in ("sms/b", "assurance/b"):
        processes.start(name)
        until(lambda name=name: processes.said(name), what=f"{name} to say what it does")  # type: ignore[misc]
        assert processes.said(name).startswith(f"stands by: another process is {role_of(name)} and works;")
    for number in range(20):  # it is left alone
        assert send(processes, f"beside it {number}").status_code == 202
    assert processes.said("sms/b").count("\n") == 1
    processes.kill("sms")
    processes.kill("assurance")
    for name in ("sms/b", "assurance/b"):
        processes.serves(name)
    again = send(processes, "two")
    assert again.status_code == 202, again.text
    for answer in (first, again):
        found = httpx.get(
            f"{processes.url('sms')}/messages/{answer.json()['id']}", auth=("shop", "secret12"), timeout=60
        )
        assert found.status_code == 200, found.text
    processes.start("sms")
    until(lambda: processes.said("sms"), what="the first to stand by for the second")
    assert processes.said("sms").startswith("stands by: ")
    assert send(processes, "three").status_code == 202
    until(lambda: processes.exact("sms", 23), what="all of both, once")
    assert processes.alarms() == []


def test_a_second_signin_of_the_same_name_on_another_home_does_not_fence_the_first_out(
    tmp_path: Path, postgres_url: str
) -> None:
    homes = [tmp_path / "one", tmp_path / "two"]
    for home in homes:
        home.mkdir()
        (home / "prikkfri.toml").write_text(ports_section(free_ports(len(ROLES) + 1)))
    processes = Processes(homes[0], postgres_url)
    try:
        people = demo.people(1)
        processes.loop.run(lambda: demo.seed(processes.config(), people))
        processes.start("signin")
        processes.serves("signin")
        processes.start("signin", home=homes[1])
        other = "signin of two"
        until(lambda: processes.said(other), what="the second to say what it does")
        assert processes.said(other) == (
            "stands by: another process is signin and works; this one takes over when that one ends; or give it a name"
            " of its own (--instance)\n"
        )
        assert processes.sign_in("signin", people[0], device(1)).status_code == 200
        processes.kill("signin")
        processes.serves(other)
    finally:
        processes.stop()
