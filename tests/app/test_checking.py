"""`prikkfri check`: what could keep an installation from starting or from staying up."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import eventually

from prikkfri.app.checking import Finding, check
from prikkfri.clock import ManualClock
from prikkfri.config import ROLES, Account, Config, Sms, load
from prikkfri.journal import Outcome, open_journal
from prikkfri.simulation.installation import free_ports, ports_section
from prikkfri.storage import Location, open_database
from prikkfri.storage.keys import secret_key


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
    finding = (await check(config, clock, free_bytes_min=1 << 62))[0]
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
    servers = [await asyncio.start_server(answering(text), "127.0.0.1", port) for port, text in held.items()]
    findings = await found(config, clock)
    await eventually(lambda: len(answered) == len(held))
    for server in servers:
        server.close()
        await server.wait_closed()
    assert failing(findings) == [f"port {roles.signin.port}", f"port {roles.playout.port}"]
    assert [findings[f"port {port}"].detail for port in held] == [
        "viewer answers",
        "wanted by signin, held by door; free it or set a port",
        "wanted by playout, held by something else; free it or set a port",
        "something answers (SMPP)",
    ]


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
