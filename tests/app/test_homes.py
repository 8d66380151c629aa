"""A home that is missing, that is no folder, or on which nothing runs: every command says so, and makes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from prikkfri.cli import application
from prikkfri.errors import PrikkfriError, UsageError
from prikkfri.simulation.demo import configuration
from prikkfri.simulation.installation import free_ports
from prikkfri.storage.keys import command_key

READERS = {
    "message": ["message", "m1"],
    "subscribers show": ["subscribers", "show", "s-1"],
    "subscribers password-link": ["subscribers", "password-link", "s-1"],
    "subscribers end-sessions": ["subscribers", "end-sessions", "s-1"],
    "subscribers export": ["subscribers", "export", "s-1", "--why", "case 4711"],
    "subscribers erase": ["subscribers", "erase", "s-1", "--why", "case 4711", "--yes"],
    "incidents": ["incidents"],
    "incidents show": ["incidents", "show", "i-1"],
    "affected": ["affected", "i-1"],
    "credits": ["credits", "i-1"],
}
ASKERS = {
    "links": ["links"],
    "complaint": ["complaint", "nord"],
    "quarantine": ["quarantine"],
    "quarantine show": ["quarantine", "show", "m1"],
    "quarantine release": ["quarantine", "release", "m1"],
    "quarantine discard": ["quarantine", "discard", "m1"],
    "sms restored": ["sms", "restored"],
}
ASKERS_OF_THE_DOOR = {
    "line show": ["line", "show"],
    "line rate": ["line", "rate", "10"],
    "line pause": ["line", "pause"],
    "line drain": ["line", "drain"],
    "line open": ["line", "open"],
    "line auto": ["line", "auto"],
    "line schedule": ["line", "schedule", "--withdraw"],
}
SEND = ["send", "--from", "2010", "--to", "+4790000001", "hei"]
REHEARSE, REHEARSE_MISDELIVERY = ["rehearse", "kickoff"], ["rehearse", "misdelivery"]
NEEDS_A_HOME = {
    **READERS,
    **ASKERS,
    **ASKERS_OF_THE_DOOR,
    "send": SEND,
    "rehearse kickoff": REHEARSE,
    "rehearse misdelivery": REHEARSE_MISDELIVERY,
    "check": ["check"],
    "keys show": ["keys", "show"],
    "keys authority": ["keys", "authority"],
    "keys machine": ["keys", "machine", "door-1.internal"],
    "keys rotate": ["keys", "rotate", "door-playback"],
    "subscribers import": ["subscribers", "import", "customers.csv"],
    "contacts": ["contacts", "contacts.csv"],
}
MAKES_A_HOME = {"serve": ["serve"]}
MEND = "name the folder on which `prikkfri serve` runs (--home or PRIKKFRI_HOME)"


def refusal(command: list[str], home: Path, **environment: str) -> PrikkfriError:
    ended = CliRunner(env={"COLUMNS": "200", **environment}).invoke(application, [*command, "--home", str(home)])
    assert isinstance(ended.exception, PrikkfriError), (ended.exception, ended.output)
    assert ended.stdout == "" and "\n" not in str(ended.exception)
    return ended.exception


def with_home(command: object, path: tuple[str, ...] = ()) -> Iterator[str]:
    if any(parameter.name == "home" for parameter in command.params):  # type: ignore[attr-defined]
        yield " ".join(path)
    for name, below in getattr(command, "commands", {}).items():
        yield from with_home(below, (*path, name))


def test_every_command_that_takes_a_home_stands_in_these_tables() -> None:
    assert {*with_home(get_command(application))} == {*NEEDS_A_HOME, *MAKES_A_HOME}


@pytest.mark.parametrize("command", NEEDS_A_HOME.values(), ids=NEEDS_A_HOME)
def test_a_home_that_is_missing_is_said_to_be_and_not_made(tmp_path: Path, command: list[str]) -> None:
    home = tmp_path / "missing" / "below"
    error = refusal(command, home)
    assert isinstance(error, UsageError)
    assert str(error) == f"--home {home}: there is no such folder; {MEND}, or make a new one: mkdir -p -m 700 {home}"
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", {**NEEDS_A_HOME, **MAKES_A_HOME}.values(), ids={**NEEDS_A_HOME, **MAKES_A_HOME})
@pytest.mark.parametrize("below", ["", "below"])
def test_a_home_that_is_a_file_is_said_to_be(tmp_path: Path, command: list[str], below: str) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    home = file / below
    error = refusal(command, home)
    assert isinstance(error, UsageError)
    assert str(file) in str(error) and "--home" in str(error)
    if command != ["serve"]:
        assert str(error) == f"--home {home}: {file} is no folder; {MEND}"
    assert [each.name for each in tmp_path.iterdir()] == ["file"] and file.read_text() == "mine"


@pytest.mark.parametrize("command", READERS.values(), ids=READERS)
def test_a_home_in_which_nothing_is_stored_yet_is_said_to_be(tmp_path: Path, command: list[str]) -> None:
    error = refusal(command, tmp_path)
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"--home {tmp_path}: nothing is stored there yet, ")
    assert str(error).endswith(f".db is missing; {MEND}")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command", [*ASKERS.values(), *ASKERS_OF_THE_DOOR.values()], ids=[*ASKERS, *ASKERS_OF_THE_DOOR]
)
def test_a_home_on_which_no_centre_has_run_has_no_key_and_is_given_none(tmp_path: Path, command: list[str]) -> None:
    error = refusal(command, tmp_path)
    asked = "door" if command[0] == "line" else "SMS centre"
    assert isinstance(error, UsageError)
    assert str(error) == f"--home {tmp_path}: no {asked} has run there, which leaves its key; {MEND}"
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", [*ASKERS.values(), SEND], ids=[*ASKERS, "send"])
def test_a_centre_that_does_not_run_is_named_with_how_to_start_it(tmp_path: Path, command: list[str]) -> None:
    command_key(tmp_path, "sms")
    account = '[[sms.accounts]]\nsystem_id = "shop"\npassword = "secret"\nsenders = ["*"]\n'
    [port] = free_ports(1)
    (tmp_path / "prikkfri.toml").write_text(f"{account}[roles.sms]\nport = {port}\n")
    error = refusal(command, tmp_path)
    assert not isinstance(error, UsageError)
    assert str(error).startswith(f"the SMS centre does not answer on http://localhost:{port}/")
    assert str(error).endswith(f"; is it running? prikkfri serve --home {tmp_path}")


@pytest.mark.parametrize("command", ASKERS_OF_THE_DOOR.values(), ids=ASKERS_OF_THE_DOOR)
def test_a_door_that_does_not_run_is_named_with_how_to_start_it(tmp_path: Path, command: list[str]) -> None:
    command_key(tmp_path, "door")
    [port] = free_ports(1)
    (tmp_path / "prikkfri.toml").write_text(f"[roles.door]\nport = {port}\n")
    error = refusal(command, tmp_path)
    assert not isinstance(error, UsageError)
    assert str(error).startswith(f"the door does not answer on http://localhost:{port}/")
    assert str(error).endswith(f"; is it running? prikkfri serve --home {tmp_path}")


@pytest.mark.parametrize("command", [REHEARSE, REHEARSE_MISDELIVERY], ids=["kickoff", "misdelivery"])
def test_a_demo_that_does_not_run_is_not_rehearsed_in(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "prikkfri.toml").write_text(configuration())
    mend = f"start it with prikkfri serve --demo --home {tmp_path}"
    assert str(refusal(command, tmp_path)) == f"viewer does not run under {tmp_path}; {mend}"


def test_who_keeps_all_on_a_postgresql_needs_no_home_to_read(tmp_path: Path) -> None:
    error = refusal(["incidents"], tmp_path / "missing", PRIKKFRI_STORAGE_URL="postgresql://127.0.0.1:1/none")
    assert not isinstance(error, UsageError) and "--home" not in str(error)
    assert not any(tmp_path.iterdir())
