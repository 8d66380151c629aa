"""Roles on several machines reach each other by TLS of their own: real sockets, real handshakes, homes of their own."""

import asyncio
import contextlib
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from machines import NOW, Machines
from typer.testing import CliRunner
from waiting import eventually

from prikkfri.app.__main__ import run
from prikkfri.app.internal_network import Identity, internal_client
from prikkfri.cli import application
from prikkfri.clock import ManualClock, SystemClock
from prikkfri.door.service import asking_signin
from prikkfri.errors import UsageError
from prikkfri.storage.certificates import (
    MACHINE_DAYS,
    forget_authority,
    machine_file,
    make_authority,
    make_machine,
    read_certificate,
    replace_authority,
)
from prikkfri.storage.keys import command_key

pytestmark = pytest.mark.usefixtures("own_logs")


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path, {"a": ["signin"], "b": ["door", "playout"]})


def ran(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(application, [str(argument) for argument in arguments])


async def test_a_door_on_another_machine_asks_signin_for_its_capacity(machines: Machines) -> None:
    async with machines.running("a", "signin") as signin, machines.client("b") as client:
        assert signin.startswith("https://")
        capacity = await asking_signin(client, [signin], machines.home("b"))()
        assert capacity is not None and capacity.per_second > 0
        # The command key still has to come with it.
        assert (await client.get(f"{signin}/capacity")).status_code == 401


async def test_whoever_is_no_machine_of_ours_is_not_heard(machines: Machines, tmp_path: Path) -> None:
    make_authority(stranger := tmp_path / "stranger", "Other", NOW)
    make_machine(stranger, ["localhost"], NOW)
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.load_verify_locations(machines.home("b") / "tls" / "ca.pem")  # knows us, and shows nothing
    believing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    believing.load_verify_locations(machines.home("b") / "tls" / "ca.pem")
    believing.load_cert_chain(machine_file(stranger))  # one that our authority has not signed
    async with machines.running("a", "signin") as signin:
        for context in (nobody, believing, Identity(stranger, SystemClock()).client):
            async with httpx.AsyncClient(verify=context, trust_env=False) as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(f"{signin}/health")
        async with httpx.AsyncClient(trust_env=False) as client:  # in clear
            with pytest.raises(httpx.TransportError):
                await client.get(signin.replace("https", "http") + "/health")
        async with machines.client("b") as client:
            assert (await client.get(f"{signin}/health")).status_code == 200


async def test_a_machine_is_believed_under_its_own_name_alone(machines: Machines) -> None:
    make_machine(machines.office, ["signin.internal"], NOW, into=machines.home("a"))
    port = machines.internal_ports["signin"]
    task = asyncio.create_task(run("signin", machines.config("a")))
    try:
        async with machines.client("b") as client:

            async def refused() -> str:
                try:
                    await client.get(f"https://localhost:{port}/health")
                except httpx.ConnectError as error:
                    return str(error) if "refused" not in str(error) and "attempts failed" not in str(error) else ""
                return ""

            assert "ostname mismatch" in await eventually(refused)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_renewed_certificate_is_shown_by_a_role_that_runs(machines: Machines) -> None:
    """And no request meanwhile goes without its answer."""

    def shown() -> bytes:
        context = Identity(machines.home("b"), SystemClock()).client
        with (
            socket.create_connection(("localhost", machines.internal_ports["signin"])) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            return wrapped.getpeercert(binary_form=True) or b""

    async with machines.running("a", "signin") as signin, machines.client("b") as client:
        before = await asyncio.to_thread(shown)
        make_machine(machines.office, ["localhost"], NOW + 60, into=machines.home("a"))

        async def is_new() -> bool:
            assert (await client.get(f"{signin}/health")).status_code == 200
            return await asyncio.to_thread(shown) != before

        await eventually(is_new, what="the new certificate")


async def test_the_authority_is_replaced_under_roles_that_run(machines: Machines) -> None:
    """And no request meanwhile goes without its answer, from a role that runs to one that does."""
    homes = [machines.home("a"), machines.home("b")]
    identity = Identity(homes[1], SystemClock())
    stranger = machine_file(homes[0]).read_bytes()

    async def take_along() -> None:
        before = await asyncio.to_thread(shown)
        for home in homes:
            make_machine(machines.office, ["localhost"], NOW, into=home)
        assert identity.refresh()

        async def is_new() -> bool:
            async with internal_client(identity) as client:  # a connection of its own
                assert (await client.get(f"{signin}/health")).status_code == 200
            return await asyncio.to_thread(shown) != before

        await eventually(is_new, what="the role to take it up")

    def shown() -> bytes:
        with (
            socket.create_connection(("localhost", machines.internal_ports["signin"])) as plain,
            identity.client.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            return wrapped.getpeercert(binary_form=True) or b""

    async with machines.running("a", "signin") as signin:
        for _ in ("believed", "signs"):
            replace_authority(machines.office, "Fjordnett", NOW)
            await take_along()
        forget_authority(machines.office)
        await take_along()
        # Who shows what the earlier one has signed is heard no more.
        machine_file(homes[1]).write_bytes(stranger)
        async with machines.client("b") as client:

            async def refused() -> bool:
                try:
                    await client.get(f"{signin}/health")
                except httpx.TransportError:
                    return True
                return False

            assert await eventually(refused)


def test_what_is_half_copied_leaves_what_was_read_in_force(machines: Machines) -> None:
    identity = Identity(machines.home("a"), SystemClock())
    file, whole = machine_file(machines.home("a")), machine_file(machines.home("a")).read_bytes()
    other = machine_file(machines.home("b")).read_bytes()
    half = whole[: whole.index(b"-----BEGIN CERT")] + other[other.index(b"-----BEGIN CERT") :]  # another's key
    for content in (whole[:100], half, b""):
        file.write_bytes(content)
        os.utime(file, (1, 1))
        with pytest.raises(UsageError, match="make them anew"):
            identity.refresh()
    served = identity.server
    pipe, answers = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = served.wrap_bio(pipe, answers, server_side=True)
    hello, heard = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = Identity(machines.home("b"), SystemClock()).client.wrap_bio(hello, heard, server_hostname="localhost")
    for _ in range(4):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            pipe.write(heard.read())
            hello.write(answers.read())
    assert client.getpeercert()
    file.write_bytes(whole)
    os.utime(file, (2, 2))
    assert identity.refresh() and not identity.refresh()


def test_an_end_that_is_near_is_said_while_the_role_serves(machines: Machines) -> None:
    clock = ManualClock(NOW)
    identity = Identity(machines.home("a"), clock)
    assert identity.troubles() == []
    clock.advance((MACHINE_DAYS - 20) * 86_400)
    assert "ends in 20 days" in identity.troubles()[0]
    clock.advance(30 * 86_400)
    assert "has ended" in identity.troubles()[0] and identity.counters()["certificate_seconds_left"] < 0


def test_without_a_certificate_a_role_says_how_one_is_made(machines: Machines) -> None:
    machine_file(machines.home("b")).unlink()
    with pytest.raises(UsageError, match="prikkfri keys machine"):
        asyncio.run(run("door", machines.config("b")))


async def test_the_internal_client_asks_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://localhost:1")
    monkeypatch.setenv("HTTP_PROXY", "http://localhost:1")
    async with internal_client(None) as client:
        assert not client._mounts


# By command.


def test_commands_make_an_authority_a_certificate_and_what_another_machine_needs(tmp_path: Path) -> None:
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    (home / "prikkfri.toml").write_text('[roles.door]\ninternal_url = "https://door-1.internal:9086"\n')
    assert ran("keys", "show", "--home", home).exit_code == 1
    assert "Prikkfri of Prikkfri" in ran("keys", "authority", "--home", home).output
    found = ran("keys", "machine", "signin-1.internal", "--home", home)
    assert found.exit_code == 0 and "signin-1.internal, until" in found.output
    assert ran("keys", "show", "--home", home).exit_code == 0
    found = ran("keys", "machine", "--only", "door", "--out", out, "--home", home)
    assert found.exit_code == 0, found.exception
    certificate = read_certificate(machine_file(out))
    assert certificate is not None and certificate.names == ("door-1.internal",)  # as the configuration has it
    assert sorted(path.name for path in (out / "keys").iterdir()) == [
        "door-command.key",
        "door-published-command.key",
        "signin-command.key",
        "signin-published-command.key",
    ]
    assert command_key(out, "signin") == command_key(home, "signin")
    # Renewed elsewhere: no key goes along, since it may have been changed there.
    alone = tmp_path / "alone"
    assert ran("keys", "machine", "door-1.internal", "--out", alone, "--home", home).exit_code == 0
    assert not (alone / "keys").exists() and read_certificate(machine_file(alone)) is not None
    # Renewed under the names that it has.
    assert "signin-1.internal" in ran("keys", "machine", "--home", home).output
    for arguments, said in (
        (("--out", tmp_path / "unnamed"), "name the machine"),
        (("x", "--only", "porch"), "no role 'porch'"),
    ):
        error = ran("keys", "machine", *arguments, "--home", home).exception
        assert isinstance(error, UsageError) and said in str(error)


async def test_a_command_asks_a_role_on_another_machine(machines: Machines) -> None:
    async with machines.running("b", "door"):
        found = await asyncio.to_thread(ran, "line", "show", "--home", machines.home("b"))
        assert "nothing: it moves by itself" in found.output, found.exception
