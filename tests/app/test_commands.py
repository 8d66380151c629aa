"""What an operator types: what each command refuses, with its place and the mend; the version, and completion."""

import asyncio
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from prikkfri.cli import application, main
from prikkfri.config import ROLES
from prikkfri.errors import UsageError
from prikkfri.storage import Location, open_database

SEND = ("send", "x", "--from", "1", "--to", "2")


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
    for nobody in ("", " , "):
        for command in (("serve",), ("keys", "machine", "here")):
            said = refused(*command, "--only", nobody, "--home", tmp_path)
            assert said == "--only names no role; leave it out, or name some of " + ", ".join(ROLES)
    said = refused("serve", "--database", "", "--home", tmp_path)
    assert said == "--database names none; leave it out, or say where it is: postgresql://HOST/NAME"
    for evening in ("kickoff", "misdelivery"):
        assert refused("rehearse", evening, "--without", "x").startswith("--without: there is no mechanism 'x' to")
    assert everything(tmp_path) == []


def test_a_name_in_brackets_is_shown_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    columns = "subscriber_id,name,email,kind,product,msisdn,from,to"
    file.write_text(f"{columns}\n[/1],Kari [red] [/x],,television,[/y],,2020-01-01,\n")
    assert ran("subscribers", "import", file, "--home", tmp_path).exit_code == 0
    shown = ran("subscribers", "show", "[/1]", "--unmasked", "--home", tmp_path)
    assert shown.exit_code == 0 and "[/1]  Kari [red] [/x]" in shown.stdout and "[/y]" in shown.stdout


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("nope", "No such command 'nope'; see prikkfri --help"),
        ("send --from x", "Missing argument 'text'; see prikkfri send --help"),
        ("locate x", "Missing option '--minute'; see prikkfri locate --help"),
        (
            "simulate sms --events 0",
            "Invalid value for '--events': Input should be greater than or equal to 1; see prikkfri simulate sms --he",
        ),
        (
            "bench sms --vs nope",
            "Invalid value for '--vs': 'nope' is not one of 'none', 'kannel'; see prikkfri bench sms --help",
        ),
        ("line rate x", "Invalid value for 'PEOPLE': Input should be a valid number, unable to parse string as a"),
    ],
)
def test_what_is_typed_wrong_is_named_with_its_option_and_whose_help_tells_more(
    typed: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prikkfri", *typed.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "") and told.err.count("\n") == 1
    assert told.err.startswith(f"prikkfri: {said}")


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
    "aiohttp", "apsw", "asyncio", "av", "cryptography", "httpx", "jinja2", "numpy", "psycopg",
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


def test_detect_tells_what_would_have_been_told_of_a_recording(tmp_path: Path) -> None:
    counts, found = tmp_path / "counts.csv", tmp_path / "found.json"
    rows = (f"2026-01-01T{n // 60:02d}:{n % 60:02d}:00,{100 if n < 180 else 1}" for n in range(182))
    counts.write_text("\n".join(("time_utc,count", *rows)), encoding="utf-8")
    assert ran("detect", counts, "--json", found).exit_code == 0
    assert json.loads(found.read_text(encoding="utf-8")) == {
        "alarms": [
            {"from": "2026-01-01T03:00:00Z", "to": "2026-01-01T03:02:00Z", "detected": "2026-01-01T03:01:00Z",
             "direction": "fall", "expected": 100.0, "seen": 1.0}
        ]
    }  # fmt: skip
    assert ran("detect", counts).exit_code == 0
    shares = tmp_path / "shares.csv"
    shares.write_text("time_utc,broken,total\n2026-01-01T00:00:00,0,9\n2026-01-01T00:00:01,0,9\n", encoding="utf-8")
    assert ran("detect", shares).stdout == "no alarm in 2 buckets of 1 s\n"


def test_detect_refuses_what_is_no_series_and_says_where(tmp_path: Path) -> None:
    file = tmp_path / "series.csv"
    assert refused("detect", file) == f"{file}: No such file or directory; name a CSV file that can be read"
    for text, why in (
        ("time_utc,broken,total\n2026-01-01T00:00:00,3,2\n", "line 2: more broken than total"),
        ("time_utc\n", "line 1: the header must name time_utc and count, or time_utc, broken and total"),
        ("time_utc,count\n2026-01-01T00:00:00,3\n", "fewer than two rows: there is nothing to compare"),
        ("time_utc,count\n" + "2026-01-01T00:00:00,3\n" * 3,
         "most rows have the time of the row before: give one row for each bucket of time"),
    ):  # fmt: skip
        file.write_text(text, encoding="utf-8")
        assert refused("detect", file) == f"{file}: {why}"
    file.write_bytes(b"\xff\xfe")
    assert refused("detect", file) == f"{file}: it is not UTF-8; name a CSV file that can be read"
    missing = tmp_path / "no" / "found.json"
    assert "there is no such folder" in refused("detect", file, "--json", missing)


def test_a_server_on_which_nothing_is_stored_yet_is_said_in_one_line(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "prikkfri.toml").write_text(f"[storage]\nurl = {json.dumps(postgres_url)}\n")
    told = refused("incidents", "--home", tmp_path)
    assert told.startswith("nothing is stored there yet: PostgreSQL, assurance: ")
    assert told.endswith("start the roles, or mend `storage.url`")
