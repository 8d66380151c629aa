"""Where a rehearsal keeps its databases: all of it there, and nothing by a setting of whoever starts it."""

import asyncio
import json
from pathlib import Path

import psycopg
import pytest

from prikkfri.cli.rehearsals import database_of, shown_url
from prikkfri.cli.running import demo_programs
from prikkfri.config import load
from prikkfri.errors import StorageUnavailable
from prikkfri.simulation import demo, rehearsing
from prikkfri.simulation.incident_reports import read_incidents
from prikkfri.simulation.installation import BorrowedInstallation, Installation, stored_at
from prikkfri.simulation.rehearsing import a_database
from prikkfri.simulation.stage import plays_of
from prikkfri.storage import Location, open_database

AWAY = "postgresql://nobody@localhost:1/none"


def databases(server: str) -> set[str]:
    with psycopg.connect(server, autocommit=True) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


async def test_a_rehearsal_has_a_database_of_its_own_and_leaves_none(postgres_server: str) -> None:
    before = databases(postgres_server)
    with pytest.raises(RuntimeError):
        async with a_database(postgres_server) as url:
            [own] = databases(postgres_server) - before
            database = await open_database(Location(Path("nowhere"), url), "sms")
            [(name,)] = await database.read(lambda q: q.fetch("SELECT current_database()"))
            assert name == own
            raise RuntimeError  # also with a connection that is still open
    assert databases(postgres_server) == before
    await database.close()
    async with a_database("") as url:
        assert url == ""
    with pytest.raises(StorageUnavailable, match=r"PostgreSQL: .*CREATE DATABASE"):
        async with a_database(AWAY):
            pass


@pytest.mark.parametrize("kind", [Installation, BorrowedInstallation])
def test_its_roles_and_the_commands_that_ask_them_go_by_one_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Installation] | type[BorrowedInstallation]
) -> None:
    monkeypatch.setenv("PRIKKFRI_STORAGE_URL", AWAY)
    monkeypatch.setenv("PRIKKFRI_OPERATOR", "Somebody")
    for url in ("", "postgresql://here/x"):
        installation = kind(tmp_path, stored_at(url))
        given = {name: value for name, value in installation.environment().items() if name.startswith("PRIKKFRI_")}
        assert given == stored_at(url)
        config = installation.configuration()
        assert (config.storage.url, config.operator) == (url, "Prikkfri")


def test_a_demo_that_runs_goes_by_the_settings_that_it_was_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ports stood in the environment of `serve`, and an evening staged in it knocked at 8084."""
    monkeypatch.setenv("PRIKKFRI_ROLES_ASSURANCE_PORT", "18084")
    monkeypatch.setenv("PRIKKFRI_HOME", "elsewhere")
    asked: list[BorrowedInstallation] = []

    async def staged(installation: BorrowedInstallation, *_: object) -> None:
        asked.append(installation)
        raise RuntimeError

    file = tmp_path / "its.toml"
    file.write_text('operator = "Its"\n')
    for evening, name in (
        (rehearsing.rehearse_kickoff, "_kickoff_in"),
        (rehearsing.rehearse_misdelivery, "_misdelivery_in"),
    ):
        monkeypatch.setattr(rehearsing, name, staged)
        with pytest.raises(RuntimeError):
            asyncio.run(evening(object(), say=str, home=tmp_path, database=AWAY, file=file))  # type: ignore[arg-type]
    for installation in asked:
        config = installation.configuration()
        assert (config.roles.assurance.port, config.storage.url, config.operator) == (18084, AWAY, "Its")
        given = {name: value for name, value in installation.environment().items() if name.startswith("PRIKKFRI_")}
        assert given == {"PRIKKFRI_ROLES_ASSURANCE_PORT": "18084", "PRIKKFRI_STORAGE_URL": AWAY}
    assert len(asked) == 2


def test_all_of_a_demo_is_told_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "its.toml"
    file.write_text(demo.configuration())
    config = load(tmp_path, file=file, environment={}, demo=True)
    told = [
        list(program.arguments)[-2:] for program in demo_programs(config, file) if program.name in ("life", "stage")
    ]
    assert told == [["--config", str(file)]] * 2
    plays = plays_of(config, file).values()
    assert all(play.keywords == {"database": "", "file": file} for play in plays)  # type: ignore[attr-defined]


def test_the_account_is_read_where_the_roles_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another database in the shell it was read there, while the roles wrote in the home."""
    monkeypatch.setenv("PRIKKFRI_STORAGE_URL", AWAY)

    async def made_and_read() -> list[object]:
        await (await open_database(Location(tmp_path), "assurance")).close()
        return list(await read_incidents(Installation(tmp_path), "television"))

    assert asyncio.run(made_and_read()) == []


def test_how_to_stage_it_again_is_said_without_a_password() -> None:
    assert shown_url("postgresql://us:secret@db:5432/x?a=b") == "postgresql://us@db:5432/x?a=b"
    assert shown_url("postgresql:///x?host=/run/a:b@c") == "postgresql:///x?host=/run/a:b@c"
    assert shown_url("host=db password=secret dbname=x") == "host=db password=... dbname=x"
    assert shown_url("postgresql://db/x?password=secret&a=b") == "postgresql://db/x?password=...&a=b"
    assert shown_url("postgresql://db/x") == "postgresql://db/x"


def test_a_demo_says_itself_where_its_databases_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert database_of(tmp_path, "") == ""
    (tmp_path / "prikkfri.toml").write_text(f"[storage]\nurl = {json.dumps(AWAY)}\n")
    assert database_of(tmp_path, "") == AWAY
    assert database_of(tmp_path, "postgresql://there/x") == "postgresql://there/x"
    monkeypatch.setenv("PRIKKFRI_STORAGE_URL", "postgresql://shell/x")
    assert database_of(tmp_path, "") == "postgresql://shell/x"  # as every command asks that home
    assert database_of(None, "") == ""  # one of its own goes by what is named alone
    config = BorrowedInstallation(tmp_path).configuration()
    assert all(play.keywords == {"database": AWAY, "file": None} for play in plays_of(config).values())  # type: ignore[attr-defined]
