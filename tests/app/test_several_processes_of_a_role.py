"""Several processes of a role: names, turns, who is asked, and what they share on one home."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from waiting import eventually

from prikkfri.app.internal_network import ReachableProcess, internal_client
from prikkfri.app.limits import AppLimits
from prikkfri.app.published import place_of, read_elsewhere
from prikkfri.app.roles.sms import build
from prikkfri.app.standby import Turn, turn_of
from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.overview import RoleState, together
from prikkfri.cli.keys import share_keys
from prikkfri.clock import ManualClock, SystemClock
from prikkfri.config import Config, Edge, Instance, Roles, SmsEdge, load
from prikkfri.door import waiting_room
from prikkfri.door.service import asking_signin
from prikkfri.door.waiting_room import Capacity
from prikkfri.errors import ConfigError, FencedOut, UsageError
from prikkfri.simulation.installation import free_ports
from prikkfri.storage import Location
from prikkfri.storage.keys import command_key, made_secret_key, make_next_key, secret_key, signing_key
from prikkfri.storage.leases import open_lease
from prikkfri.storage.limits import LIMITS
from prikkfri.storage.rotation import KeyRotation

QUICK = AppLimits(standby_seconds=0.01)


def configured(tmp_path: Path, text: str) -> Config:
    (tmp_path / "prikkfri.toml").write_text(text)
    return load(tmp_path, file=None, environment={})


def test_a_home_without_names_keeps_the_names_that_it_had(tmp_path: Path) -> None:
    config = configured(tmp_path, "")
    for role in ("signin", "sms", "door"):
        assert [*config.roles.processes(role)] == [role]
    assert place_of("signin", "device-keys") == "device-keys/signin.json"
    assert place_of("signin/b", "device-keys") == "device-keys/signin.b.json"
    assert place_of("signin/b", "revoked") == "revoked.json"
    assert place_of("signin/b", "nothing") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('instance = "A b"', "`instance` is a name such as core-2, not 'A b'"),
        ('[[roles.signin.instances]]\nname = "b/c"\nport = 9', "not 'b/c'"),
        ('[[roles.signin.instances]]\nname = "b"', "signin/b needs a `port` of its own on this machine"),
        ('[[roles.signin.instances]]\nname = "b"\nport = 8081', "signin/b needs a `port` of its own on this machine"),
        (
            '[[roles.door.instances]]\nname = "b"\nport = 9\n[[roles.door.instances]]\nname = "b"\nport = 10',
            "`name` of a further door is one of its own",
        ),
        (
            '[[roles.door.instances]]\nname = "b"\ninternal_url = "http://edge-2.internal:9086"',
            "`internal_url` of door/b is http://edge-2.internal:9086, in clear to another machine",
        ),
        (
            '[roles.door]\ninternal_url = "https://e:1"\n[[roles.door.instances]]\nname = "b"\n'
            'internal_url = "https://e:1"',
            "`internal_url` of door/b is that of door",
        ),
    ],
)
def test_two_processes_never_have_one_name_or_address(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(tmp_path, text)
    assert said in str(refused.value) and "prikkfri.toml:" in str(refused.value)


async def test_the_second_of_a_name_says_so_once_and_comes_when_the_first_ends(location: Location) -> None:
    first, second = (Turn(open_lease(location, "sms"), "sms", limits=QUICK) for _ in range(2))
    said: list[str] = []
    await first.come(said.append)
    assert said == []
    waiting = asyncio.create_task(second.come(said.append))
    await eventually(lambda: said)
    keeping = asyncio.create_task(first.keep())
    await asyncio.sleep(5 * QUICK.standby_seconds)
    assert not waiting.done() and not keeping.done()
    keeping.cancel()
    await first.end()
    await asyncio.wait_for(waiting, 60)
    assert said == ["another process is sms and works; this one takes over when that one ends"]
    with pytest.raises(FencedOut, match="another process is sms now"):
        await first.keep()
    await first.end()
    await second.end()


def test_who_may_work_beside_any_other_waits_for_nobody(tmp_path: Path) -> None:
    config = Config(home=tmp_path, instance="b")
    assert [role for role in ("viewer", "playout", "status", "door") if turn_of(role, config)] == []
    assert all(turn_of(role, config) for role in ("signin", "sms", "assurance"))


async def test_of_several_the_one_that_can_be_reached_is_asked_and_nothing_is_sent_twice() -> None:
    asked: list[tuple[str, str, bytes]] = []
    dead, fails = {"a"}, set[str]()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host in dead:
            raise httpx.ConnectError("refused")
        asked.append((request.url.host, request.headers["host"], await request.aread()))
        if request.url.host in fails:
            raise httpx.ReadTimeout("slow")
        return httpx.Response(200)

    transport = ReachableProcess(httpx.MockTransport(answer), [["http://a:1", "http://b:2"]])
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post("http://a:1/path", content=b"do")
        assert asked == [("b", "b:2", b"do")]
        fails = {"b"}
        with pytest.raises(httpx.ReadTimeout):  # it may have been done
            await client.post("http://a:1/path", content=b"do")
        assert len(asked) == 2
        dead = {"a", "b"}
        with pytest.raises(httpx.ConnectError):
            await client.get("http://a:1/path")
        dead = {"b"}
        await client.get("http://a:1/path")
        await client.get("http://c:3/path")  # of whom nothing is known is asked as it is
        assert [host for host, _, _ in asked[2:]] == ["a", "c"]


async def test_one_process_of_a_role_alone_is_asked_as_ever() -> None:
    async with internal_client(None, roles=Roles()) as client:
        assert not isinstance(client._transport, ReachableProcess)
    several = Roles(signin=Edge(port=8081, instances=(Instance(name="b", port=8181),)))
    async with internal_client(None, roles=several) as client:
        assert isinstance(client._transport, ReachableProcess)


async def test_what_all_have_to_do_is_told_to_all_and_what_one_keeps_to_that_one() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.host}{request.url.path}")
        if request.url.host == "status-b":
            return httpx.Response(503)
        return httpx.Response(200, json={"per_second": 7.0})

    urls = {"signin": "http://signin", "status": "http://status", "playout": "http://playout", "sms": "http://sms"}
    more = {f"{role}/b": f"http://{role}-b" for role in ("signin", "status", "playout")}

    def any_of_them(request: httpx.Request) -> httpx.Response:
        return answer(httpx.Request(request.method, request.url.copy_with(host=f"any-{request.url.host}")))

    neighbours = RoleClient(
        httpx.AsyncClient(transport=httpx.MockTransport(any_of_them)),
        urls=urls,
        processes=more,
        direct=httpx.AsyncClient(transport=httpx.MockTransport(answer)),
        command_keys=dict.fromkeys(urls, "key"),
    )
    assert await neighbours.publish(b"{}") == "the status/b role answered 503"
    assert await neighbours.switch_channel("sport", "open", by="kari") == ""
    assert await neighbours.capacity_per_second("signin") == 14.0
    assert await neighbours.capacity_per_second("sms") == 7.0
    await neighbours.report_taken("signin", "signin/b", "one", 3)
    await neighbours.report_taken("sms", "sms", "one", 3)
    await neighbours.devices("s-1")
    assert [await neighbours.answers(each) for each in ("signin", "signin/b", "sms")] == [True, True, True]
    assert sorted(asked) == sorted(
        [
            "PUT status/publish",
            "PUT status-b/publish",
            "PUT playout/open/sport",
            "PUT playout-b/open/sport",
            "GET signin/capacity",
            "GET signin-b/capacity",
            "GET any-sms/capacity",
            "POST signin-b/journal/signin/b",
            "POST any-sms/journal/sms",
            "GET any-signin/customers/devices",
            "GET signin/health",
            "GET signin-b/health",
            "GET any-sms/health",
        ]
    )
    await neighbours.close()


def test_a_role_answers_when_any_of_its_processes_does() -> None:
    def role(*states: RoleState) -> RoleState:
        for order in (states, tuple(reversed(states))):
            [found] = together(order).values()
        return found

    up, down, later = RoleState("signin", True, 5), RoleState("signin/b", False, 9), RoleState("signin", False, 12)
    assert role(up, down) == up
    assert role(later, down) == RoleState("signin", False, 12)
    assert role(down, RoleState("signin")) == RoleState("signin")
    assert role(down) == RoleState("signin", False, 9)
    assert [*together([up, down, RoleState("door", True, 1)])] == ["signin", "door"]


async def test_the_door_lets_in_what_all_of_signin_can_take(tmp_path: Path) -> None:
    silent: Sequence[str] = ()
    told = {
        "a": {"per_second": 30, "waiting_s": 1.0, "spent": 100},
        "b": {"per_second": 10, "waiting_s": 3.0, "spent": 50},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host in silent:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json=told[request.url.host])

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        ask = asking_signin(client, ["http://a", "http://b"], tmp_path)
        assert await ask() == Capacity(40, 1.5, 150)
        silent, told["a"]["spent"] = ("b",), 130
        assert await ask() == Capacity(30, 1.0, 180)  # what the silent one has spent is spent
        silent = ("a", "b")
        assert await ask() is None
    assert waiting_room.together([Capacity(0, 2.0), Capacity(0, 4.0)], None) == Capacity(0, 4.0, None)


@pytest.mark.parametrize("first", [0, 1])
def test_two_processes_on_one_home_take_one_next_key_up(tmp_path: Path, clock: ManualClock, first: int) -> None:
    keys = [signing_key(tmp_path, "signin-device") for _ in range(2)]
    rotations = [
        KeyRotation(tmp_path, "signin-device", key, clock, issuer=issuer)
        for key, issuer in zip(keys, ("signin", "signin.b"), strict=True)
    ]
    before = keys[0].kid
    make_next_key(tmp_path, "signin-device")
    rotations[first].step()
    if first:  # the other is so slow that it never sees the next one
        rotations[0].step()
    clock.advance(LIMITS.key_published_seconds)
    rotations[first].step()
    rotations[1 - first].step()
    assert {key.kid for key in keys} == {signing_key(tmp_path, "signin-device").kid} != {before}
    for issuer in ("signin", "signin.b"):
        listed = json.loads((tmp_path / "public" / "device-keys" / f"{issuer}.json").read_bytes())["keys"]
        assert keys[0].kid in [each["kid"] for each in listed]


def test_each_machine_reads_every_process_but_itself(tmp_path: Path) -> None:
    text = """
[roles.signin]
internal_url = "https://core-1.internal:9081"
[[roles.signin.instances]]
name = "b"
internal_url = "https://core-2.internal:9081"
"""
    config = configured(tmp_path, text)
    assert [process for process, _, _ in read_elsewhere("door", config)] == ["signin", "signin/b"]
    assert [process for process, _, _ in read_elsewhere("signin", config)] == ["signin/b"]
    second = load(tmp_path, file=None, environment={"PRIKKFRI_INSTANCE": "b"})
    assert [process for process, _, _ in read_elsewhere("signin", second)] == ["signin"]


def test_a_further_process_is_given_the_secrets_that_all_share(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    share_keys(here, there, ["signin"])
    assert made_secret_key(there, "signin-session") is None
    share_keys(here, there, ["signin"], second=True)
    for name in ("signin-session", "signin-codes"):
        assert secret_key(here, name) == secret_key(there, name)
    assert command_key(here, "signin") == command_key(there, "signin")


async def test_who_takes_over_without_the_keys_of_what_waits_does_not_work(tmp_path: Path) -> None:
    """It would open nothing of it, and quarantine it all."""
    ports = free_ports(3)
    account = '[[sms.accounts]]\nsystem_id = "shop"\npassword = "secret12"\nsenders = ["*"]\n'
    link = (
        '[[sms.links]]\nname = "nord"\npartner = "F"\nhost = "127.0.0.1"\nport = 1\nsystem_id = "p"\npassword = "p"\n'
        'prefixes = ["47"]\n'
    )
    roles = f'[roles.sms]\nport = {ports[0]}\nsmpp_port = {ports[1]}\n[[roles.sms.instances]]\nname = "b"\n'
    config = configured(tmp_path, account + link + roles)
    assert isinstance(config.roles.sms, SmsEdge)
    role = await build(config, SystemClock())
    running = [asyncio.create_task(work()) for work in role.work]  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(role.application), base_url="http://sms") as client:
        message = {"from": "2010", "to": "+4790000001", "text": "hei"}

        async def taken() -> bool:
            return (await client.post("/messages", json=message, auth=("shop", "secret12"))).status_code == 202

        await eventually(taken)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await role.close()
    folder = tmp_path / "keys" / "sealing"
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="1 keys are missing by which waiting messages are sealed; copy them there"):
        await build(config, SystemClock())
    shared = f'sealing_folder = "{tmp_path / "elsewhere"}"\n'
    for more in ("keys_lost = true\n", shared):
        settings = configured(tmp_path, f"[sms]\n{more}{account}{link}{roles}")
        await (await build(settings, SystemClock())).close()
