"""What an operator types: what each command refuses, with its place and the mend; the version, and completion."""

import asyncio
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from prikkfri.app.locks import SUPERVISED, held
from prikkfri.cli import application
from prikkfri.cli.installation import refuse_without_demo
from prikkfri.errors import PrikkfriError, UsageError
from prikkfri.storage import Location, open_database

SEND = ("send", "x", "--from", "1", "--to", "2")
OF_A_HOME = (
    SEND,
    ("message", "m1"),
    ("links",),
    ("quarantine",),
    ("quarantine", "show", "m1"),
    ("quarantine", "release", "m1"),
    ("quarantine", "discard", "m1"),
    ("subscribers", "show", "S1"),
    ("subscribers", "import", "FILE.csv"),
    ("incidents",),
    ("incidents", "show", "i1"),
    ("affected", "i1"),
    ("credits", "i1"),
    ("rehearse", "kickoff"),
)


def ran(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(application, [str(argument) for argument in arguments])


def refused(*arguments: object) -> str:
    """What is said of wrong usage, in one line."""
    error = ran(*arguments).exception
    assert isinstance(error, UsageError), error
    assert "\n" not in str(error)
    return str(error)


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("command", OF_A_HOME, ids=" ".join)
def test_a_home_that_is_not_there_is_named_and_not_made(command: tuple[str, ...], tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert refused(*command, "--home", home) == (
        f"{home}: there is no such home; name one with --home, or start one with prikkfri serve --home {home}"
    )
    assert everything(tmp_path) == []


@pytest.mark.parametrize("command", [*OF_A_HOME, ("check",), ("serve",)], ids=" ".join)
def test_a_home_that_is_a_file_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("")
    assert refused(*command, "--home", home) == f"{home}: is a file, and a home is a folder; choose another with --home"


@pytest.mark.parametrize(
    ("command", "area"),
    [
        (("message", "m1"), "sms"),
        (("subscribers", "show", "S1"), "subscribers"),
        (("incidents",), "assurance"),
        (("incidents", "show", "i1"), "assurance"),
        (("affected", "i1"), "assurance"),
        (("credits", "i1"), "assurance"),
    ],
)
def test_a_home_in_which_nothing_has_run_yet_is_named(command: tuple[str, ...], area: str, tmp_path: Path) -> None:
    assert refused(*command, "--home", tmp_path) == (
        f"{tmp_path}: nothing is kept there of {area} yet; start it with prikkfri serve --home {tmp_path},"
        " or name another home with --home"
    )
    assert everything(tmp_path) == []


@pytest.mark.parametrize("command", [("links",), ("quarantine",), ("quarantine", "show", "m1")], ids=" ".join)
def test_a_centre_that_does_not_run_is_said_with_the_mend_and_no_key_is_made(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "prikkfri.toml").write_text("[roles.sms]\nport = 1\n")
    error = ran(*command, "--home", tmp_path).exception
    assert isinstance(error, PrikkfriError) and not isinstance(error, UsageError)
    assert str(error).startswith("the SMS centre does not answer on http://localhost:1/")
    assert str(error).endswith(
        f": ConnectionRefusedError; start it with prikkfri serve --home {tmp_path},"
        " or name the home that it runs on with --home"
    )
    assert everything(tmp_path) == [tmp_path / "prikkfri.toml"]


def test_nobody_may_send_where_no_account_is_or_another_was_named(tmp_path: Path) -> None:
    file = tmp_path / "prikkfri.toml"
    for arguments in ((), ("--account", "shop")):
        assert refused(*SEND, *arguments, "--home", tmp_path) == (
            f"no account may send: add one under [[sms.accounts]] in {file}, or name another home with --home"
        )
    account = '[[sms.accounts]]\nsystem_id = "{}"\npassword = "8letters"\nsenders = ["*"]\n'
    file.write_text(account.format("bank") + account.format("bus"))
    told = refused(*SEND, "--account", "shop", "--home", tmp_path)
    assert told == "--account: there is no account 'shop'; there are bank, bus"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A home with every area, and nothing in them."""

    async def make() -> None:
        for area in ("sms", "subscribers", "assurance"):
            await (await open_database(Location(tmp_path), area)).close()

    asyncio.run(make())
    return tmp_path


def test_what_is_not_there_is_refused_with_where_to_look(kept: Path) -> None:
    for command in (("incidents", "show"), ("affected",), ("credits",)):
        assert refused(*command, "nope", "--home", kept) == (
            f"there is no incident nope in {kept}; list them with prikkfri incidents --home {kept},"
            " or name another home with --home"
        )
    assert refused("message", "nope", "--home", kept) == (
        f"there is no message nope in {kept}; take the id that send told, or name another home with --home"
    )
    assert refused("subscribers", "show", "nope", "--home", kept) == (
        f"nobody in {kept} is or holds 'nope'; import customers with prikkfri subscribers import FILE.csv,"
        " or name another home with --home"
    )


def test_a_file_that_cannot_be_written_is_named_with_its_option(kept: Path) -> None:
    nowhere = kept / "nowhere" / "x"
    assert refused("incidents", "--json", nowhere, "--home", kept) == (
        f"--json {nowhere}: No such file or directory; name a file that can be written"
    )
    for command in (("rehearse", "kickoff"), ("rehearse", "misdelivery"), ("simulate", "evenings")):
        for option in ("--json", "--report")[: 1 if command[0] == "simulate" else 2]:
            for file, why in ((nowhere, "there is no such folder"), (kept, "it is a folder")):
                told = refused(*command, option, file)
                assert told == f"{option} {file}: {why}; name a file that can be written"


def test_a_role_or_a_mechanism_that_is_none_is_named_with_its_option(tmp_path: Path) -> None:
    assert refused("serve", "--only", "door,dor", "--home", tmp_path).startswith("--only: there is no role 'dor'; the")
    for evening in ("kickoff", "misdelivery"):
        assert refused("rehearse", evening, "--without", "x").startswith("--without: there is no mechanism 'x' to")
    assert everything(tmp_path) == []


@pytest.mark.parametrize("lock", [SUPERVISED + "signin", "signin"])
def test_a_rehearsal_against_a_demo_wants_one_that_runs(tmp_path: Path, lock: str) -> None:
    assert refused("rehearse", "kickoff", "--home", tmp_path) == (
        f"{tmp_path}: no demo runs there; start one with prikkfri serve --demo --home {tmp_path}, or leave out --home"
    )
    with held(tmp_path, lock):
        refuse_without_demo(tmp_path)


def test_the_version_is_told() -> None:
    told = ran("--version")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (told.exit_code, told.stdout) == (0, f"prikkfri {project['version']}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_has_been_begun_is_completed(shell: str) -> None:
    def answered(instruction: str, **environment: str) -> str:
        runner = CliRunner(env={"_PRIKKFRI_COMPLETE": f"{instruction}_{shell}", **environment})
        return runner.invoke(application, [], prog_name="prikkfri").stdout

    assert "prikkfri" in answered("source")
    for begun, word, completed in (
        ("prikkfri inc", 1, "incidents"),
        ("prikkfri rehearse kickoff --fault fr", 4, "freeze"),
    ):
        bash = {"COMP_WORDS": begun, "COMP_CWORD": str(word)}
        others = {"_TYPER_COMPLETE_ARGS": begun, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        assert completed in answered("complete", **(bash if shell == "bash" else others))


def loaded(statement: str) -> set[str]:
    """The modules that a fresh process has loaded after it."""
    command = [sys.executable, "-c", f"{statement}\nimport sys; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"})
    return set(done.stdout.splitlines()[-1].split())


SLOW_TO_LOAD = {
    "aiohttp", "apsw", "asyncio", "av", "cryptography", "httpx", "jinja2", "numpy", "phonenumbers", "psycopg",
    "starlette", "uvicorn", "prikkfri.journal", "prikkfri.simulation.kickoff", "prikkfri.storage",
}  # fmt: skip


def test_commands_load_what_they_work_with_only_when_they_run(kept: Path) -> None:
    assert not loaded("import prikkfri.cli") & SLOW_TO_LOAD
    listing = f"""
from prikkfri.cli import application
try:
    application(["incidents", "--home", {str(kept)!r}], standalone_mode=False)
except SystemExit:
    pass"""
    assert loaded(listing) & SLOW_TO_LOAD <= {"apsw", "asyncio", "prikkfri.journal", "prikkfri.storage"}
