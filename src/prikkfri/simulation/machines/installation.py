"""An installation on several machines, as `docs/several-machines.md` has it: a home each, and what its roles need."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prikkfri.app.process import python
from prikkfri.config import ROLES
from prikkfri.errors import PrikkfriError
from prikkfri.simulation.faults import Harm
from prikkfri.simulation.installation import BorrowedInstallation, Installation, free_ports, stored_at
from prikkfri.simulation.machines.namespaces import Namespace
from prikkfri.simulation.machines.network import Network
from prikkfri.simulation.machines.passages import Passage
from prikkfri.storage import postgres

OFFICE, CORE = "office", "core"
LAYOUT: Mapping[str, Sequence[str]] = {
    "edge": ("viewer", "door", "playout", "status"),
    CORE: ("signin", "sms"),
    OFFICE: ("assurance",),
}
"""Roles by machine. The authority's key, and the database, are in the office."""
DATABASE_PORT = 5432


@dataclass
class SpreadInstallation(Installation):
    """Its `home` is the office's, where an operator asks; programs of the world run where the SMS centre is."""

    network: Network = field(kw_only=True)
    server: str = field(kw_only=True)
    """The URL of the office's PostgreSQL, reached by a Unix socket, and the database there."""
    layout: Mapping[str, Sequence[str]] = field(kw_only=True)
    _machines: dict[str, Installation] = field(default_factory=dict)
    _supervised: dict[str, BorrowedInstallation] = field(default_factory=dict)
    _passages: list[Passage] = field(default_factory=list)

    @classmethod
    def make(
        cls, folder: Path, network: Network, text: str, *, server: str, layout: Sequence[str]
    ) -> "SpreadInstallation":
        """With homes of its own, configured by `text`, which says each role's port.

        `layout`: the roles that run, each on its machine. Nothing is made or started but the homes.
        """
        held = {name: [role for role in roles if role in layout] for name, roles in LAYOUT.items()}
        internal = dict(zip(ROLES, free_ports(len(ROLES)), strict=True))
        for name, roles in held.items():
            for role in roles:
                url = f"https://{network.address[name]}:{internal[role]}"
                text = text.replace(f"[roles.{role}]\n", f'[roles.{role}]\ninternal_url = "{url}"\n')
        own = cls(
            folder / OFFICE, stored_at(server), network.namespaces[CORE].launcher,
            network=network, server=server, layout=held,
        )  # fmt: skip
        for name in held:
            home = folder / name
            home.mkdir()
            (home / "prikkfri.toml").touch(mode=0o600)
            (home / "prikkfri.toml").write_text(text, encoding="utf-8")
        for name in held:
            settings = stored_at(own.database_of(name))
            own._machines[name] = Installation(folder / name, settings, network.namespaces[name].launcher)
        own._supervised = {
            role: BorrowedInstallation(folder / name, own._machines[name].settings)
            for name, roles in held.items()
            for role in roles
        }
        return own

    def database_of(self, machine: str) -> str:
        """The database as roles on a machine find it; those at the edge need none."""
        if machine == OFFICE:
            return self.server
        if machine != CORE:
            return ""
        return postgres.reached_at(self.server, self.network.address[OFFICE], DATABASE_PORT)

    async def lead_to(self, port: int, machine: str) -> None:
        """What listens at a port of a machine's loopback is reached at the same port of ours, from now on."""
        namespace = self.network.namespaces[machine]
        await self._open(Passage("127.0.0.1", port, ("127.0.0.1", port), leads_to=namespace))

    async def _open(self, passage: Passage) -> None:
        await passage.open()
        self._passages.append(passage)

    async def open(self) -> None:
        """Makes certificates and keys by the commands for it; opens the database and all ports to whom they are for."""
        await self._keys("authority")
        for name, roles in self.layout.items():
            elsewhere = [] if name == OFFICE else [f"--only={','.join(roles)}", f"--out={self._machines[name].home}"]
            await self._keys("machine", self.network.address[name], *elsewhere)
        office: Namespace = self.network.namespaces[OFFICE]
        socket = postgres.socket_of(self.server)
        await self._open(Passage(self.network.address[OFFICE], DATABASE_PORT, socket, listens_in=office))
        config = self.configuration()
        for name, roles in self.layout.items():
            for role in roles:
                await self.lead_to(config.roles.edge(role).port, name)
        await self.lead_to(config.roles.sms.smpp_port, CORE)

    async def start(self, roles: Sequence[str] = ROLES) -> None:
        """Starts the machines, and waits until their roles serve; `roles` are those of the layout."""
        program = ["-m", "prikkfri.simulation.machines.machine"]
        await asyncio.gather(
            *(
                machine.start_program("machine", [*program, f"--home={machine.home}", f"--only={','.join(held)}"])
                for name, machine in self._machines.items()
                if (held := self.layout[name])
            )
        )

    async def harm(self, role: str, harm: Harm) -> None:
        await self._supervised[role].harm(role, harm)

    async def give_back(self, role: str) -> None:
        await self._supervised[role].give_back(role)

    async def _keys(self, *arguments: str) -> None:
        command = python(["-m", "prikkfri", "keys", *arguments, "--home", str(self.home)])
        done = await asyncio.create_subprocess_exec(
            *command, env=self.environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await done.communicate()
        if done.returncode:
            raise PrikkfriError(f"prikkfri keys {' '.join(arguments)}: {said.decode().strip()}")

    async def stop(self) -> None:
        await asyncio.gather(*(each.stop() for each in self._supervised.values()))
        await asyncio.gather(*(each.stop() for each in self._machines.values()), super().stop())
        for passage in self._passages:
            await passage.close()
