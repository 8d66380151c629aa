"""Keys changed by command under roles that run: nobody is refused for it."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from machines import Machines
from typer.testing import CliRunner
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.app.command_keys import owned_keys
from prikkfri.app.locks import hold_lock
from prikkfri.app.roles import CALLED
from prikkfri.cli import application
from prikkfri.config import ROLES
from prikkfri.door.service import asking_signin
from prikkfri.errors import UsageError
from prikkfri.storage import limits, rotation
from prikkfri.storage.keys import command_key, secret_file, signing_file

pytestmark = pytest.mark.usefixtures("own_logs")


def ran(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(application, [str(argument) for argument in arguments])


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path, {"a": ["signin"], "b": ["door"]})


async def asked_signin(client: httpx.AsyncClient, signin: str, home: Path) -> object:
    """As a door with this home asks; but a busy machine has its time."""
    return await asking_signin(client, [signin], home, seconds_max=WAIT_SECONDS_MAX)()


async def test_a_command_key_is_changed_while_its_callers_go_on(machines: Machines) -> None:
    """The caller on the same home takes it up with its next call; the other machine goes on with its copy."""
    here, there = machines.home("a"), machines.home("b")
    async with machines.running("a", "signin") as signin, machines.client("a") as client:
        first = command_key(here, "signin")
        asked = 0

        async def is_new() -> bool:
            nonlocal asked
            for home in (here, there):
                assert await asked_signin(client, signin, home) is not None
            asked += 1
            return command_key(here, "signin") != first

        assert not await is_new()
        assert ran("keys", "rotate", "signin-command", "--home", here).exit_code == 0
        await eventually(is_new, what="the new key")
        assert await is_new() and asked > 2
        # At the second change the copy is worth nothing any more, until it is made anew.
        ran("keys", "rotate", "signin-command", "--home", here)
        await eventually(lambda: not secret_file(here, "signin-command.next").exists())
        assert await asked_signin(client, signin, here) is not None
        assert await asked_signin(client, signin, there) is None


async def test_passes_of_a_new_key_sign_in_and_those_of_the_old_one_do(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = limits.StorageLimits(next_key_read_seconds=0.05, key_published_seconds=3.0)
    monkeypatch.setitem(rotation.KeyRotation.__init__.__kwdefaults__, "limits", quick)
    home = machines.home("b")

    async def passed(client: httpx.AsyncClient, door: str, device: str) -> str:
        body = {"device": device, "secret": "s" * 43}
        origin = {"origin": machines.config("b").roles.viewer.url}

        async def admitted() -> str:  # a door that has been late itself turns some back for a moment
            return str((await client.post(f"{door}/enter", json=body, headers=origin)).json().get("admitted", ""))

        return await eventually(admitted, what="the door to let in")

    async with (
        machines.running("a", "signin") as signin,
        machines.running("b", "door") as door,
        machines.client("b") as client,
    ):

        async def judged(admission: str, device: str) -> str:
            body = {"login": "nobody@x.no", "password": "x", "device": device, "pass": admission, "proof": "x" * 43}
            origin = {"origin": machines.config("b").roles.viewer.url}
            answer = await client.post(f"{signin}/sign-in", json=body, headers=origin)
            return str(answer.json()["error"])

        devices = [f"d-{letter * 22}" for letter in "AB"]

        async def let_in() -> bool:
            return bool((await client.get(f"{door}/line")).json()["wait_s"] == 0)

        await eventually(let_in, what="the door to know signin's capacity")
        old = await passed(client, door, devices[0])
        before = signing_file(home, "door-pass").read_bytes()
        assert "publishes it now" in ran("keys", "rotate", "door-pass", "--home", home).output
        await eventually(lambda: signing_file(home, "door-pass").read_bytes() != before, what="the new key")
        new = await passed(client, door, devices[1])
        # Whose pass it is can be said of one alone that signin knows; by others one signs in as without.
        assert await judged(old, devices[0]) == "not-your-pass"
        assert await judged(new, devices[1]) == "not-your-pass"
        assert await judged(f"{new[:-8]}AAAAAAAA", devices[1]) == "wrong-credentials"
        # The door knows both as its own.
        for each in (old, new):
            assert (await client.get(f"{door}/waiting", params={"ticket": each})).json()["admitted"] == each


def test_every_role_that_is_told_something_owns_the_key_for_it() -> None:
    for called in CALLED.values():
        assert {role for role in called} <= {role for role in ROLES if role in owned_keys(role)}
    assert owned_keys("viewer") == []


def test_where_a_changed_key_has_to_go_is_said(machines: Machines) -> None:
    """The machine with the authority's key makes bundles of what it has: the next would put the earlier key back."""
    edge, office = machines.home("b"), machines.home("office")
    told = ran("keys", "rotate", "door-command", "--home", edge).output
    assert "Copy keys/door-command.key to the machine with the authority's key first" in told
    assert "keys machine" not in told
    command_key(office, "sms")
    assert "get it by `prikkfri keys machine" in ran("keys", "rotate", "sms-command", "--home", office).output


def test_a_home_that_has_only_a_copy_changes_nothing(tmp_path: Path) -> None:
    """Nobody there would take the next key up."""
    (tmp_path / "prikkfri.toml").write_text('[roles.signin]\ninternal_url = "https://core-1.internal:9081"\n')
    command_key(tmp_path, "signin")
    for name in ("signin-command", "signin-published-command", "signin-device", "signin-session"):
        refused = ran("keys", "rotate", name, "--home", tmp_path).exception
        assert isinstance(refused, UsageError)
        assert str(refused) == (
            f"--home {tmp_path}: keys/{name} is a copy here, or is not here at all: signin runs at"
            " https://core-1.internal:9081; change it on that machine"
        )
    assert [file.name for file in (tmp_path / "keys").iterdir()] == ["signin-command.key"]
    with hold_lock(tmp_path, "signin"):  # it runs here after all
        assert ran("keys", "rotate", "signin-command", "--home", tmp_path).exit_code == 0
    assert secret_file(tmp_path, "signin-command.next").exists()


def test_what_is_no_key_is_refused_with_those_that_are(tmp_path: Path) -> None:
    error = ran("keys", "rotate", "sealing", "--home", tmp_path).exception
    assert isinstance(error, UsageError) and "there are signin-device, signin-playback" in str(error)
    error = ran("keys", "rotate", "sms-command", "--home", tmp_path).exception
    assert isinstance(error, UsageError) and "go where the role runs" in str(error)
