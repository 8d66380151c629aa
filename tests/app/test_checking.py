"""`prikkfri check`: what could keep an installation from starting or from staying up."""

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from machines import NOW, Machines
from waiting import eventually

from prikkfri.app.checking import Finding, check, port_finding
from prikkfri.app.locks import lock_holder
from prikkfri.app.ports import Listener, listener
from prikkfri.app.published import Copies, heard_at
from prikkfri.clock import Clock, ManualClock, SystemClock
from prikkfri.config import ROLES, Account, Config, Sms, load
from prikkfri.journal import Outcome, open_journal
from prikkfri.simulation.installation import free_ports, ports_section
from prikkfri.storage import Location, open_database
from prikkfri.storage.certificates import make_machine
from prikkfri.storage.keys import command_key, secret_key
from prikkfri.storage.opening import migrate, open_unmigrated


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "prikkfri.toml").write_text(ports_section(free_ports(len(ROLES) + 1)))
    return load(tmp_path, file=None, environment={})


async def found(config: Config, clock: ManualClock) -> dict[str, Finding]:
    findings = await check(config, clock)
    assert len({each.subject for each in findings}) == len(findings)
    return {each.subject: each for each in findings}


def failing(findings: dict[str, Finding]) -> list[str]:
    return [subject for subject, each in findings.items() if not each.holds]


async def test_nothing_is_wrong_with_a_new_home(config: Config, clock: ManualClock) -> None:
    findings = await found(config, clock)
    assert failing(findings) == []
    assert [subject for subject in findings if not subject.startswith("port")] == [
        "home",
        "disk",
        "keys",
        *(f"database {area}" for area in ("signin", "sms", "assurance", "subscribers")),
        "SMPP connections",
    ]
    assert "GB free" in findings["disk"].detail and findings["keys"].detail.startswith("none yet")
    assert [findings[f"port {config.roles.edge(role).port}"].detail for role in ROLES] == [
        f"free for {role}" for role in ROLES
    ]
    assert findings[f"port {config.roles.sms.smpp_port}"].detail == "free for SMPP"


async def test_keys_that_others_can_read_are_named(config: Config, clock: ManualClock) -> None:
    for name in ("sealing", "tickets"):
        secret_key(config.home, name)
    for mode, detail in (
        (0o400, "2, readable by their owner alone"),
        (0o640, "others can read sealing.key; chmod 600 them and consider new ones"),
        (0o604, "others can read sealing.key; chmod 600 them and consider new ones"),
    ):
        (config.home / "keys" / "sealing.key").chmod(mode)
        finding = (await found(config, clock))["keys"]
        assert (finding.holds, finding.detail) == (mode == 0o400, detail)


async def test_a_database_that_is_damaged_is_named_and_the_others_are_looked_at(
    config: Config, clock: ManualClock
) -> None:
    (config.home / "sms.db").write_bytes(b"no database at all" * 1_000)
    findings = await found(config, clock)
    assert failing(findings) == ["database sms"]
    assert "sms.db" in findings["database sms"].detail and findings["database assurance"].holds


async def test_a_clock_behind_the_journal_is_an_error(config: Config, clock: ManualClock) -> None:
    database = await open_database(Location(config.home), "signin")
    journal = await open_journal(database, stream="signin", clock=clock)
    await journal.append(Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept"))
    await database.close()
    clock.advance(5)
    assert failing(await found(config, clock)) == []
    clock.advance(-7)
    assert failing(await found(config, clock)) == []
    clock.advance(-1)
    findings = await found(config, clock)
    assert failing(findings) == ["clock"]
    assert findings["clock"].detail == "3 s behind the journal of signin; set it before you start"


async def test_a_disk_with_too_little_room_is_named(config: Config, clock: ManualClock) -> None:
    finding = (await check(config, clock, free_bytes_min=1 << 62))[1]
    assert (finding.subject, finding.holds) == ("disk", False)
    assert "make room" in finding.detail


async def test_who_holds_a_port_is_told_apart(config: Config, clock: ManualClock) -> None:
    """A role that runs already, another role, somebody else, and an SMPP centre."""
    roles = config.roles
    answered: list[bytes] = []

    def answering(text: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(text)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            answered.append(text)

        return answer

    def health(role: str) -> bytes:
        body = f'{{"role": "{role}"}}'
        return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()

    held = {
        roles.viewer.port: health("viewer"),
        roles.signin.port: health("door"),
        roles.playout.port: b"SSH-2.0-OpenSSH\r\n",
        roles.sms.smpp_port: b"",
    }
    assert listener(roles.viewer.port) is None
    servers = [await asyncio.start_server(answering(text), "127.0.0.1", port) for port, text in held.items()]
    me = listener(roles.viewer.port)
    assert me is not None and me.pid == os.getpid() and me.folder == Path.cwd()
    who = f"{me.program} (process {me.pid})"
    findings = await found(config, clock)
    await eventually(lambda: len(answered) == len(held))
    for server in servers:
        server.close()
        await server.wait_closed()
    # They all stand in this process, which is no role, whatever it answers.
    assert sorted(failing(findings)) == sorted(f"port {port}" for port in held)
    assert [findings[f"port {port}"].detail for port in held] == [
        f"wanted by {role}, held by {who}; stop that one, or set another port (`{setting}`)"
        for role, setting in (
            ("viewer", "roles.viewer.port"),
            ("signin", "roles.signin.port"),
            ("playout", "roles.playout.port"),
            ("sms", "roles.sms.smpp_port"),
        )
    ]


ROLE = """
import http.server, pathlib, sys
from prikkfri.app.locks import hold_lock
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"role": "viewer"}')
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health)
with hold_lock(pathlib.Path(sys.argv[-1]), "viewer"):
    print("ready", flush=True)
    server.serve_forever()
"""


@pytest.mark.parametrize("here", [True, False])
async def test_a_role_of_this_home_is_told_from_one_of_another(config: Config, clock: ManualClock, here: bool) -> None:
    home = config.home if here else config.home / "other"
    home.mkdir(exist_ok=True)
    port = config.roles.viewer.port
    command = [sys.executable, "-c", ROLE, str(port), "-m", "prikkfri.app", "viewer", "--home", home.name]
    process = await asyncio.create_subprocess_exec(*command, cwd=home.parent, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None and await process.stdout.readline() == b"ready\n"
        finding = (await found(config, clock))[f"port {port}"]
        assert lock_holder(home, "viewer") == process.pid
    finally:
        process.kill()
        await process.wait()
    assert finding.holds is here
    assert finding.detail == (
        f"viewer of this home (process {process.pid})"
        if here
        else f"wanted by viewer, held by viewer of {home} (process {process.pid});"
        " stop that one, or set another port (`roles.viewer.port`)"
    )
    assert lock_holder(home, "viewer") == 0


MEND = "stop that one, or set another port (`roles.door.port`)"
HOME = Path("/srv/ours")
OURS = Listener(7, ("python", "-m", "prikkfri.app", "door", "--home", "ours"), Path("/srv"))


@pytest.mark.parametrize(
    ("answer", "holder", "locked", "holds", "detail"),
    [
        (None, None, True, True, "free for door"),
        ("door", OURS, False, True, "door of this home (process 7)"),
        ("", OURS, True, False, "door of this home (process 7) does not answer; see its log, and kill 7 to have it"
         " started anew"),
        ("door", Listener(8, OURS.arguments, Path("/opt")), True, False,
         f"wanted by door, held by door of /opt/ours (process 8); {MEND}"),
        ("sms", Listener(9, ("python", "-m", "prikkfri.app", "sms", "--home", "ours"), Path("/srv")), True, False,
         f"wanted by door, held by sms of /srv/ours (process 9); {MEND}"),
        ("", Listener(5, ("/usr/sbin/nginx", "-g"), Path("/")), True, False,
         f"wanted by door, held by nginx (process 5); {MEND}"),
        ("", Listener(5, (), Path("/")), True, False, f"wanted by door, held by ? (process 5); {MEND}"),
        ("door", None, True, True, "door of this home"),
        ("door", None, False, False, f"wanted by door, held by door that another user runs; {MEND}"),
        ("sms", None, True, False, f"wanted by door, held by sms that another user runs; {MEND}"),
        ("", None, True, False, f"wanted by door, held by a process that another user runs; {MEND}"),
    ],
)  # fmt: skip
def test_whose_a_port_is(answer: str | None, holder: Listener | None, locked: bool, holds: bool, detail: str) -> None:
    finding = port_finding("door", 8086, "roles.door.port", HOME, answer, holder, locked=locked)
    assert finding == Finding("port 8086", holds, detail)


async def test_a_home_that_is_not_there_is_not_made(tmp_path: Path, clock: ManualClock) -> None:
    home = tmp_path / "not" / "yet"
    (tmp_path / "ports.toml").write_text(ports_section(free_ports(len(ROLES) + 1)))
    findings = await found(load(home, file=tmp_path / "ports.toml", environment={}), clock)
    assert failing(findings) == []
    assert findings["home"].detail == f"{home} is not there yet; the first start makes it"
    assert findings["database sms"].detail == "none yet; the first start makes it"
    assert findings["disk"].detail.endswith(f"under {tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["ports.toml"]


async def test_what_is_looked_at_is_as_it_was(config: Config, clock: ManualClock) -> None:
    for area in ("signin", "sms"):
        await (await open_database(Location(config.home), area)).close()
    old = open_unmigrated(Location(config.home), "assurance")
    await migrate(old, up_to=1)
    await old.close()
    await open_unmigrated(Location(config.home), "subscribers").close()  # a file without tables
    before = {path: path.read_bytes() for path in config.home.rglob("*") if path.is_file()}
    findings = await found(config, clock)
    assert failing(findings) == []
    assert [findings[f"database {area}"].detail for area in ("sms", "assurance", "subscribers")] == [
        str(config.home / "sms.db"),
        f"{config.home / 'assurance.db'}; the next start brings it up to date",
        "none yet; the first start makes it",
    ]
    assert {path: path.read_bytes() for path in config.home.rglob("*") if path.is_file()} == before


async def test_a_home_that_is_a_file_or_cannot_be_written_is_named(config: Config, clock: ManualClock) -> None:
    file = config.home / "prikkfri.toml"
    finding = (await found(replace(config, home=file), clock))["home"]
    assert (finding.holds, finding.detail) == (False, f"{file} is no folder; choose another home with --home")
    if os.geteuid() == 0:
        return  # everything may be written by root
    config.home.chmod(0o500)
    finding = (await found(config, clock))["home"]
    config.home.chmod(0o700)
    assert not finding.holds and "cannot be written" in finding.detail


async def test_accounts_that_are_promised_more_binds_than_there_are_connections(
    config: Config, clock: ManualClock
) -> None:
    accounts = tuple(Account(system_id=name, password="secret12", binds_max=20) for name in ("a", "b"))
    config = replace(config, sms=Sms(accounts=accounts))
    for connections_max, holds in ((39, False), (40, True)):
        findings = await check(config, clock, smpp_connections_max=connections_max)
        [finding] = [each for each in findings if each.subject == "SMPP connections"]
        assert finding.holds is holds and str(connections_max) in finding.detail


async def test_guides_are_looked_at_and_what_they_leave_out_is_told(tmp_path: Path, clock: ManualClock) -> None:
    channels = "".join(
        f'[[streaming.channels]]\nid = "c{n}"\nname = "C"\nnumber = {n}\nxmltv = "{file}"\n'
        for n, file in enumerate(["a.xml", "b.xml", "a.xml", "c.xml", "d.xml"])
    )
    (tmp_path / "prikkfri.toml").write_text(ports_section(free_ports(len(ROLES) + 1)) + channels)
    listed = '<programme start="2018" channel="{}"><title>T</title></programme>'
    whole = f"<tv>{listed.format('c0')}{listed.format('c2')}</tv>"
    (tmp_path / "a.xml").write_text(whole.replace("</tv>", "<programme/></tv>"))
    (tmp_path / "b.xml").write_text(whole)
    (tmp_path / "c.xml").write_text("<rss/>")
    findings = await found(load(tmp_path, file=None, environment={}), clock)
    assert failing(findings) == ["guide b.xml", "guide c.xml", "guide d.xml"]
    assert [each.detail for subject, each in findings.items() if subject.startswith("guide")] == [
        "2 programmes of 2 channels; 1 of 3 programmes are left out: 1 without a channel (first on line 1)",
        "2 programmes of 2 channels; nothing is listed for channel c1 (c1)",
        "cannot be used: not XMLTV: the root is <rss>",
        "cannot be read: No such file or directory; put it there, or mend `xmltv` of the channel",
    ]


# Several machines.


async def checked(machines: Machines, machine: str, clock: Clock | None = None) -> dict[str, Finding]:
    findings = await check(machines.config(machine), clock or SystemClock())
    return {each.subject: each for each in findings if each.subject.partition(" ")[0] in ("certificate", "reach")}


@pytest.mark.usefixtures("own_logs")
async def test_each_machine_says_what_it_reaches_with_age_and_skew(tmp_path: Path) -> None:
    machines = Machines(tmp_path, {"a": ["signin"], "b": ["door"]})
    alone = await checked(machines, "b")
    assert alone["certificate"].holds and "of localhost; 39" in alone["certificate"].detail
    # All machines of a test are called localhost.
    assert "is this machine, on which it does not run" in alone["reach signin"].detail
    make_machine(machines.office, ["b.internal"], NOW, into=machines.home("b"))
    assert not (gone := (await checked(machines, "b"))["reach signin"]).holds
    assert "does not answer (" in gone.detail and gone.detail.endswith("; does it run there?")
    async with machines.running("a", "signin"):
        config = machines.config("b")
        async with machines.client("b") as client:
            copies = Copies("door", config, SystemClock(), client)

            async def heard() -> bool:
                await copies.step("signin")
                return heard_at(config.home, "signin") > 0

            await eventually(heard, what="a copy of what signin publishes")
        ours = (await checked(machines, "b"))["reach signin"]
        of_ours = r"its clock is (ours|[0-4] s behind); it takes our commands; what it publishes was heard \d+ s ago"
        assert re.search(of_ours, ours.detail), ours.detail
        # What signin itself tells of its own neighbour is handed on, and is no reason to call it well.
        assert ours.holds or "it says: what door publishes is not known here" in ours.detail
        ahead = (await checked(machines, "b", Ahead(-60.0)))["reach signin"]
        assert not ahead.holds and re.search("its clock is (5[6-9]|6[01]) s ahead; set the wrong one", ahead.detail)
        behind = (await checked(machines, "b", Ahead(60.0)))["reach signin"]
        assert not behind.holds and re.search("its clock is (59|6[0-4]) s behind; set the wrong one", behind.detail)
        (config.home / "keys" / "signin-command.key").unlink()
        command_key(config.home, "signin")  # another one
        wrong = (await checked(machines, "b"))["reach signin"]
        assert not wrong.holds and "keys/signin-command.key is not its own; copy it anew" in wrong.detail
    (config.home / "tls" / "machine.pem").unlink()
    assert [each.holds for each in (await checked(machines, "b")).values()] == [False]


class Ahead(SystemClock):
    """The clock of a machine that goes wrong."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return super().now() + self._seconds


async def test_a_machine_whose_key_others_can_read_is_told(tmp_path: Path) -> None:
    machines = Machines(tmp_path, {"a": ["signin"]})
    (machines.home("a") / "tls" / "machine.pem").chmod(0o640)
    findings = {each.subject: each for each in await check(machines.config("a"), SystemClock())}
    assert not findings["keys"].holds and "others can read machine.pem" in findings["keys"].detail
