"""A crowd of several times what the machine can take, through the real door and the real sign-in: all of it gets in."""

import asyncio
import base64
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from waiting import eventually

from prikkfri.config import ROLES, Config
from prikkfri.journal import Outcome, read_page
from prikkfri.simulation import demo
from prikkfri.simulation.device_key import DeviceKey
from prikkfri.simulation.installation import Installation, free_ports, ports_section
from prikkfri.storage import Database, Location, open_reader, open_spool_reader
from prikkfri.storage.keys import command_key

pytestmark = pytest.mark.slow

TIMES_CAPACITY = 3.0
SECONDS = 6.0
CAPACITY_ASKED_SECONDS = 0.25


async def person(config: Config, client: aiohttp.ClientSession, login: str) -> tuple[bool, int, int]:
    """One viewer, as the contract says a client behaves: whether they waited, what sign-in said in the end, and how
    often before that it said to try again."""
    device = f"d-{base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()[:22]}"
    door, key = config.roles.door.url, DeviceKey()
    _, _, answer = await answered(client, "POST", f"{door}/enter", json={"device": device, "holder": key.holder})
    waited = "ticket" in answer
    while "admitted" not in answer:
        await asyncio.sleep(answer["poll_after_s"])
        shown = {"ticket": answer["ticket"], "proof": key.proof("enter", answer["ticket"])}
        _, _, answer = await answered(client, "GET", f"{door}/waiting", params=shown)
    body = {"login": login, "password": demo.PASSWORD, "device": device, "pass": answer["admitted"]}
    body["proof"] = key.proof("sign-in", answer["admitted"])
    refused, status, _ = await answered(client, "POST", f"{config.roles.signin.url}/sign-in", json=body)
    return waited, status, refused


async def answered(client: aiohttp.ClientSession, method: str, url: str, **more: Any) -> tuple[int, int, Any]:
    """How often a role was too busy and said when to ask again, and the status and document in the end."""
    refused = 0
    while True:
        async with client.request(method, url, **more) as answer:
            document = await answer.json()
        if answer.status != 503:
            return refused, answer.status, document
        refused += 1
        await asyncio.sleep(document["retry_after_s"])


async def capacity(config: Config, client: aiohttp.ClientSession) -> float:
    """Sign-ins a second, as signin measures just now."""
    ask = {"authorization": f"Bearer {command_key(config.home, 'signin')}"}
    async with client.get(f"{config.roles.signin.url}/capacity", headers=ask) as answer:
        return float((await answer.json())["per_second"])


async def the_door_knows_the_capacity(config: Config, client: aiohttp.ClientSession) -> bool:
    """Whether the first hashes have been measured, after which signin keeps house, and the door has heard of it."""
    if not (config.home / "public" / "revoked.json").exists():
        return False
    async with client.get(f"{config.roles.door.url}/metrics") as answer:
        rate = float(re.findall(r"^prikkfri_door_line_rate_per_second (\S+)", await answer.text(), re.MULTILINE)[0])
    return rate > 0


async def moments(measured: Callable[[], Awaitable[float]]) -> AsyncIterator[None]:
    """One for each who comes, at `TIMES_CAPACITY` of what the machine takes at that time: that changes as the other
    work on it does, and what was measured at the start may be half of it."""
    began = asked_at = asyncio.get_running_loop().time()
    due, per_second = began, await measured()
    while due < began + SECONDS:
        now = asyncio.get_running_loop().time()
        if now - asked_at > CAPACITY_ASKED_SECONDS:
            asked_at, per_second = now, await measured()
        await asyncio.sleep(due - now)
        yield
        due += 1 / (TIMES_CAPACITY * per_second)


async def outcomes(database: Database, stream: str) -> list[Outcome]:
    found: list[Outcome] = []
    while (page := await read_page(database, stream, len(found))) and page.outcomes:
        found += page.outcomes
    await database.close()
    return found


async def test_a_crowd_of_three_times_the_capacity_waits_in_line_and_gets_in(tmp_path: Path) -> None:
    all_from_one_machine = "[door]\njoins_per_network = 0\n"
    (tmp_path / "prikkfri.toml").write_text(
        ports_section(free_ports(len(ROLES) + 1)) + all_from_one_machine, encoding="utf-8"
    )
    installation = Installation(tmp_path)
    config = installation.configuration()
    people = demo.people(demo.PEOPLE)
    logins = [somebody.email for somebody in people if somebody.packages and somebody.email]
    await demo.seed(config, people)
    try:
        await installation.start(("signin", "door"))
        origin = {"origin": config.roles.viewer.url}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=origin) as client:
            await eventually(lambda: the_door_knows_the_capacity(config, client))
            crowd: list[asyncio.Task[tuple[bool, int, int]]] = []
            async for _ in moments(lambda: capacity(config, client)):
                crowd.append(asyncio.create_task(person(config, client, logins[len(crowd) % len(logins)])))
            answers = await asyncio.gather(*crowd)
    finally:
        await installation.stop()  # what the door's spool still holds in memory is written then
    assert {status for _, status, _ in answers} == {200}
    had_to_wait = sum(waited for waited, _, _ in answers)
    assert had_to_wait > len(answers) / 2, "a crowd of three times the capacity that nobody waited in"
    # The machines' own capacity may fall while people are on their way (other work on them): some are sent back.
    refused = sum(refused for _, _, refused in answers)
    assert refused < len(answers) / 4

    signin = await outcomes(open_reader(Location(tmp_path), "signin"), "signin")
    kept = [outcome for outcome in signin if outcome.verdict == "kept"]
    at_the_door = await outcomes(open_spool_reader(tmp_path, "door"), "door")
    joined = [outcome for outcome in at_the_door if outcome.step == "join"]
    came_back = [outcome for outcome in at_the_door if (outcome.step, outcome.verdict) == ("enter", "asked")]
    assert len(came_back) == had_to_wait
    assert len(joined) == len(answers)
    assert len(kept) == len(answers)
    assert {outcome.reason for outcome in signin if outcome.verdict == "broken"} <= {"overloaded"}
    assert {outcome.promise for outcome in kept} == {outcome.promise for outcome in joined}
