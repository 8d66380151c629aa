"""Several machines on one: homes of their own, roles at addresses of their own, one authority."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.app.__main__ import run
from prikkfri.app.internal_network import Identity
from prikkfri.cli.keys import share_keys
from prikkfri.clock import SystemClock
from prikkfri.config import ROLES, Config, load
from prikkfri.simulation.installation import free_ports, ports_section
from prikkfri.storage.certificates import make_authority, make_machine

NOW = SystemClock().now()


class Machines:
    """Roles by machine: each has a home with what it was given and nothing else; all have one configuration."""

    def __init__(
        self,
        folder: Path,
        roles: Mapping[str, Sequence[str]],
        *,
        more: str = "",
        reached_at: Mapping[str, int] | None = None,
    ) -> None:
        """`more`: of the configuration. `reached_at`: where the other machines find roles, as through a relay."""
        self.folder = folder
        self.roles = roles
        self.internal_ports = dict(zip(ROLES, free_ports(len(ROLES)), strict=True))
        self._reached_at = {**self.internal_ports, **(reached_at or {})}
        self._text = more + ports_section(free_ports(len(ROLES) + 1))
        self.office = self.home("office")
        make_authority(self.office, "Fjordnett", NOW)
        for name, machine in roles.items():
            make_machine(self.office, ["localhost"], NOW, into=self.home(name))
            share_keys(self.office, self.home(name), list(machine))

    def home(self, machine: str) -> Path:
        home = self.folder / machine
        home.mkdir(exist_ok=True)
        text = self._text
        for name, roles in self.roles.items():
            for role in roles:
                ports = self.internal_ports if name == machine else self._reached_at
                url = f'internal_url = "https://localhost:{ports[role]}"'
                text = text.replace(f"[roles.{role}]\n", f"[roles.{role}]\n{url}\n")
        (home / "prikkfri.toml").write_text(text)
        return home

    def config(self, machine: str) -> Config:
        return load(self.home(machine), file=None, environment={})

    def client(self, machine: str) -> httpx.AsyncClient:
        """Who asks as this machine does."""
        identity = Identity(self.home(machine), SystemClock())
        return httpx.AsyncClient(verify=identity.client, trust_env=False, timeout=WAIT_SECONDS_MAX)

    @asynccontextmanager
    async def running(self, machine: str, role: str) -> AsyncIterator[str]:
        """A role as its process runs it; its internal address."""
        config = self.config(machine)
        task = asyncio.create_task(run(role, config))
        url = config.roles.edge(role).internal

        async def answers() -> bool:
            if task.done():
                task.result()
            with contextlib.suppress(httpx.HTTPError):
                return (await client.get(f"{url}/health")).status_code == 200
            return False

        try:
            async with self.client(machine) as client:
                await eventually(answers, what=f"{role} on {machine}")
            yield url
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
