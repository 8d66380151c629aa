"""Three machines (edge, core, office) over a real PostgreSQL, and the network between them: stalled, reset, healed.

A machine is a home of its own with what it was given; the network is a relay of our own before each role's address.
"""

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from machines import Machines
from outcome_rows import outcome_rows
from relay import Relay
from running_house import Loop
from waiting import until

from prikkfri.app.published import heard_at
from prikkfri.config import Config
from prikkfri.journal import Position, read_page
from prikkfri.simulation import demo
from prikkfri.simulation.installation import Installation, free_ports, stored_at
from prikkfri.storage import Location, open_reader, open_spool_reader

pytestmark = pytest.mark.slow

LAYOUT = {"edge": ["viewer", "door", "playout", "status"], "core": ["signin", "sms"], "office": ["assurance"]}
DEVICE = "d-AAAAAAAAAAAAAAAAAAAAAA"


class Network:
    """The machines with their relays; `cut` them from each other."""

    def __init__(self, folder: Path, postgres: str) -> None:
        self.loop = Loop()
        roles = [role for machine in LAYOUT.values() for role in machine]
        reached_at = dict(zip(roles, free_ports(len(roles)), strict=True))
        text = demo.configuration(handset_smpp_port=free_ports(1)[0])
        self.machines = Machines(folder, LAYOUT, more=text, reached_at=reached_at)
        self.relays = {role: Relay(reached_at[role], self.machines.internal_ports[role]) for role in roles}
        self.postgres = postgres
        self.installations = {
            name: Installation(self.machines.home(name), stored_at("" if name == "edge" else postgres))
            for name in LAYOUT
        }
        self.people = demo.people(3)

    def config(self, machine: str) -> Config:
        return self.installations[machine].configuration()

    def start(self) -> None:
        async def start() -> None:
            for relay in self.relays.values():
                await relay.listen()
            await demo.seed(self.config("core"), self.people)
            await asyncio.gather(*(self.installations[name].start(roles) for name, roles in LAYOUT.items()))

        self.loop.run(start)

    def be(self, state: str) -> None:
        async def be() -> None:
            for relay in self.relays.values():
                relay.be(state)  # type: ignore[arg-type]

        self.loop.run(be)

    def stop(self) -> None:
        async def stop() -> None:
            await asyncio.gather(*(each.stop() for each in self.installations.values()))
            for relay in self.relays.values():
                await relay.close()

        self.loop.run(stop)
        self.loop.close()

    def start_anew(self, machine: str, role: str) -> None:
        async def anew() -> None:
            await self.installations[machine].harm(role, "kill")
            await self.installations[machine].give_back(role)

        self.loop.run(anew)

    def url(self, role: str) -> str:
        return self.config("edge").roles.edge(role).url

    # What a device and a person on duty ask.

    def sign_in(self) -> httpx.Response:
        body = {"login": self.people[0].email, "password": demo.PASSWORD, "device": DEVICE}
        return httpx.post(
            f"{self.url('signin')}/sign-in", json=body, headers={"Origin": self.url("viewer")}, timeout=60
        )

    def renewal(self, device_token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {device_token}", "Origin": self.url("viewer")}
        return httpx.post(f"{self.url('door')}/playback-token", headers=headers, timeout=60)

    def plays(self, playback_token: str) -> bool:
        found = httpx.get(f"{self.url('playout')}/live/{playback_token}/havn/index.m3u8", timeout=60)
        return found.status_code == 200

    def written(self) -> int:
        """Outcomes in the door's spool."""

        async def newest() -> int:
            reader = open_spool_reader(self.machines.home("edge"), "door")
            page = await read_page(reader, "door", 0)
            await reader.close()
            return page.newest if page else 0

        return self.loop.run(newest)

    def stored(self) -> list[int]:
        """Positions of the door's outcomes in assurance's database."""

        async def positions() -> list[int]:
            reader = open_reader(Location(self.machines.home("office"), self.postgres), "assurance")
            rows = await reader.read(lambda q: outcome_rows(q, "position", "stream = 'door'"))
            await reader.close()
            return sorted(row[0] for row in rows)

        return self.loop.run(positions)

    def told(self) -> Position:
        """How far the door was told that assurance has come."""

        async def position() -> Position:
            reader = open_spool_reader(self.machines.home("edge"), "door")
            row = await reader.read(lambda q: q.fetch_one("SELECT incarnation, position FROM journal_follower"))
            await reader.close()
            return Position(*row) if row else Position()

        return self.loop.run(position)


@pytest.fixture
def network(tmp_path: Path, postgres_url: str) -> Iterator[Network]:
    network = Network(tmp_path, postgres_url)
    try:
        network.start()
        yield network
    finally:
        network.stop()


def test_those_inside_watch_through_a_cut_and_the_lists_are_exact_when_it_heals(network: Network) -> None:
    edge, core = network.machines.home("edge"), network.machines.home("core")
    until(lambda: heard_at(edge, "signin") and heard_at(core, "door"), what="the machines to hear of each other")
    signed_in = network.sign_in()
    assert signed_in.status_code == 200, signed_in.text
    device_token = signed_in.json()["device_token"]
    until(lambda: network.plays(signed_in.json()["playback_token"]), what="the first segment")
    line = f"{network.url('door')}/line"
    until(lambda: httpx.get(line, timeout=60).json()["since"] is None, what="the door to hear signin")

    network.be("stalls")
    until(lambda: httpx.get(line, timeout=60).json()["since"] is not None, what="the line to stand still")
    renewed = network.renewal(device_token)
    assert renewed.status_code == 200 and network.plays(renewed.json()["playback_token"])
    network.start_anew("edge", "door")  # which meets none of its peers
    again = network.renewal(device_token)
    assert again.status_code == 200 and network.plays(again.json()["playback_token"])
    # What happens on each side meanwhile: the one signs out, the other keeps its book.
    left = httpx.post(
        f"{network.url('signin')}/sign-out",
        headers={"Origin": network.url("viewer")}, cookies=dict(signed_in.cookies), timeout=60,
    )  # fmt: skip
    assert left.status_code == 204
    for number in range(30):
        assert network.renewal(f"nobody-{number}").status_code == 401
    until(lambda: network.written() >= 30)
    before = network.stored()
    assert network.renewal(device_token).status_code == 200  # of which the edge cannot know

    for _ in range(3):  # it comes back by fits and starts
        network.be("passes")
        until(lambda: heard_at(edge, "signin"))
        network.be("resets")
    network.be("passes")
    until(lambda: network.renewal(device_token).json().get("error") == "revoked", what="the sign-out to be heard")

    def exact() -> bool:
        newest = network.written()
        return network.stored() == list(range(1, newest + 1)) and network.told().position == newest

    until(exact, seconds_max=120, what="all that the door saw, once, in assurance")
    assert len(network.stored()) >= len(before) + 30
    until(lambda: httpx.get(line, timeout=60).json()["since"] is None, what="the line to move")
    assert jti_of(device_token) in json.loads((edge / "public" / "revoked.json").read_bytes())["device_tokens"]
    for role in ("signin", "door", "playout", "sms", "status", "viewer"):  # nobody elsewhere asks anything of assurance
        assert network.relays[role].connections, role
    logged = "".join(file.read_text() for home in (core, edge) for file in (home / "logs").glob("*.log"))
    assert "does not exist" not in logged and not re.search(r"Traceback", logged), logged[-3_000:]


def jti_of(device_token: str) -> str:
    claims = device_token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"])
