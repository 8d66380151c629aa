"""One role as a process: what it tells its supervisor, and with which code it ends."""

import asyncio
import errno
import json
import socket
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from waiting import eventually

from prikkfri.app.__main__ import code_of, lines_of, main, mend_of, run
from prikkfri.app.logs import configure_logs, log_file
from prikkfri.app.supervisor import AWAY
from prikkfri.config import ROLES, Config, Storage, load
from prikkfri.errors import (
    FencedOut,
    InDoubt,
    StorageDamaged,
    StorageError,
    StorageUnavailable,
    StorageUnmade,
    StorageUnwritable,
)
from prikkfri.simulation.installation import free_ports, ports_section
from prikkfri.storage import Location, open_database, open_spool_reader

pytestmark = pytest.mark.usefixtures("own_logs")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "prikkfri.toml").write_text(ports_section(free_ports(len(ROLES) + 1)))
    return load(tmp_path, file=None, environment={})


def logged(home: Path, role: str) -> list[str]:
    return [json.loads(line)["message"] for line in log_file(home, role).read_text().splitlines()]


async def test_a_role_says_ready_when_it_serves_and_leaves_nothing_open_when_it_stops(
    config: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    running = asyncio.create_task(run("door", config))
    said = ""

    def ready() -> bool:
        nonlocal said
        said += capfd.readouterr().out
        return said != ""

    await eventually(ready)
    assert said == "ready\n"
    async with httpx.AsyncClient(headers={"Connection": "close"}, timeout=60) as client:
        url = f"http://127.0.0.1:{config.roles.door.port}"
        assert (await client.get(f"{url}/health")).json() == {"role": "door", "status": "ok", "troubles": []}
        assert "prikkfri_door_" in (await client.get(f"{url}/metrics")).text
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [file.name for file in (config.home / "spool").iterdir()] == ["door.db"]
    await open_spool_reader(config.home, "door").close()


def test_a_port_that_is_taken_is_bad_usage_and_never_ready(config: Config, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # it is held for this test, and for nobody else
        taken.bind(("127.0.0.1", config.roles.status.port))
        taken.listen()
        assert main(["status", "--home", str(config.home)]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"port {config.roles.status.port} cannot be opened")


def test_a_wrong_setting_is_bad_usage(config: Config, capfd: pytest.CaptureFixture[str]) -> None:
    wrong = config.home / "wrong.toml"
    wrong.write_text("[rolls]")
    assert main(["status", "--home", str(config.home), "--config", str(wrong)]) == 2
    assert "wrong.toml" in capfd.readouterr().err


def test_a_key_that_is_none_is_for_a_person_to_mend(config: Config, capfd: pytest.CaptureFixture[str]) -> None:
    (config.home / "keys").mkdir()
    (config.home / "keys" / "status-command.key").write_text("rubbish")
    assert main(["status", "--home", str(config.home)]) == 2
    assert capfd.readouterr().err.endswith("remove the file to have a new key made\n")


def test_a_damaged_database_and_a_home_in_which_nothing_can_be_written_are_one_line_each(
    config: Config, capfd: pytest.CaptureFixture[str]
) -> None:
    (config.home / "sms.db").write_text("no database at all" * 1_000)
    (config.home / "public").write_text("in the way")
    (config.home / "logs").mkdir()
    (config.home / "logs" / "viewer.log").mkdir()
    for role, said in (
        ("sms", "sms.db: file is not a database; put a copy back in its place, or move the file away"),
        ("door", "door.json: Not a directory; let whoever runs Prikkfri read and write there"),
        ("viewer", "viewer.log: Is a directory; let whoever runs Prikkfri read and write there"),
    ):
        assert main([role, "--home", str(config.home)]) == 2
        line = capfd.readouterr().err
        assert line.count("\n") == 1 and said in line


def test_what_a_person_has_to_mend_and_what_another_try_may() -> None:
    file = OSError(errno.ENOSPC, "No space left on device", "/home/x")
    assert mend_of(file).startswith("/home/x: No space left on device; ")
    assert mend_of(ExceptionGroup("tasks", [ValueError(), StorageDamaged("x.db: restore it")])) == "x.db: restore it"
    assert mend_of(OSError(errno.ENOSPC, "No space left on device")).startswith("the home: No space left on device; ")
    assert mend_of(StorageUnwritable("disk full")) == "disk full"
    for passing in (StorageUnavailable("away"), InDoubt("?"), FencedOut("another"), ConnectionError(), ValueError()):
        assert mend_of(passing) == mend_of(ExceptionGroup("tasks", [passing])) == ""


def test_a_role_says_with_which_code_it_ends_whether_only_its_database_was_away() -> None:
    away, fault = StorageUnavailable("away"), ValueError()
    for gone in (away, BaseExceptionGroup("tasks", [away, BaseExceptionGroup("x", [StorageUnmade("not made")])])):
        assert code_of(gone) == AWAY
    for other in (fault, FencedOut("another"), InDoubt("?"), BaseExceptionGroup("tasks", [away, fault])):
        assert code_of(other) == 1


def test_what_ends_a_role_is_a_line_where_it_is_known_and_a_trace_where_it_is_not() -> None:
    fenced, away = FencedOut("another process writes"), StorageUnavailable("away")
    assert lines_of(fenced) == ["another process writes"]
    assert lines_of(BaseExceptionGroup("tasks", [fenced, BaseExceptionGroup("x", [away, fenced])])) == [
        "another process writes",
        "away",
    ]
    assert lines_of(BaseExceptionGroup("tasks", [fenced, ValueError("a bug")])) == []
    assert lines_of(ValueError("a bug")) == lines_of(KeyboardInterrupt()) == []


async def test_a_role_that_is_fenced_out_ends_with_the_first_request_that_meets_it(
    config: Config, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    running = asyncio.create_task(run("signin", config))
    await eventually(lambda: "ready" in capfd.readouterr().out)
    another = await open_database(Location(config.home), "signin")
    await another.write(lambda tx: tx.execute("UPDATE journal_stream SET epoch = epoch + 1"))
    await another.close()
    headers = {"Cookie": "prikkfri-signin=x", "Origin": config.roles.viewer.url}
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        answer = await client.post(f"http://127.0.0.1:{config.roles.signin.port}/sign-out")
    assert (answer.status_code, answer.json()["error"]) == (
        500,
        "in-doubt",
    )  # of no edge is it known, and none says 503
    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert caught.group_contains(FencedOut)
    [line] = lines_of(caught.value)
    assert line == "another process writes the journal stream signin now"
    [failed] = [each for each in caplog.records if each.getMessage() == f"a request failed: {line}"]
    assert failed.exc_info is None


def test_what_a_role_must_not_outlive_is_nothing_to_try_again() -> None:
    assert not issubclass(FencedOut, StorageError) and not issubclass(InDoubt, StorageError)


async def test_a_role_whose_postgresql_does_not_answer_waits_for_it_and_serves_when_it_does(
    config: Config, postgres_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ended, it was started again after longer and longer pauses, and came back half a minute after its database."""
    sockets = config.home / "sockets"
    url = postgres_url.partition("?host=")[0] + f"?host={sockets}"
    configure_logs(config.home, "signin")
    running = asyncio.create_task(run("signin", replace(config, storage=Storage(url=url))))
    await eventually(lambda: log_file(config.home, "signin").exists() and logged(config.home, "signin"))
    with pytest.raises(OSError):  # refused at once: nobody waits for an answer meanwhile
        await asyncio.open_connection("127.0.0.1", config.roles.signin.port)
    assert not running.done()
    sockets.symlink_to(postgres_url.partition("?host=")[2])
    await eventually(lambda: running.done() or "ready" in capfd.readouterr().out)
    waited, answers, *_ = logged(config.home, "signin")
    assert waited.startswith("waits for its database: PostgreSQL, signin: ") and answers == "its database answers"
    assert logged(config.home, "signin").count(waited) == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
