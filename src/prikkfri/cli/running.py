"""The roles under their supervisor, the world around a demo, and what whoever started them is told.

The demo's world is loaded only for a demo: it takes longer than the roles' own start.
"""

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.table import Table

from prikkfri.app.first_user import first_user_file
from prikkfri.app.logs import log_file
from prikkfri.app.supervisor import Program, Supervisor
from prikkfri.cli.printing import console
from prikkfri.config import ROLES, Config, load, process_name
from prikkfri.errors import StorageDamaged, StorageUnwritable


def serve_roles(home: Path, roles: Sequence[str], config: Path | None, *, demo: bool) -> int:
    """Keeps the roles running until it is told to stop; returns the exit code."""
    if demo:
        from prikkfri.simulation import demo as demonstration
    if demo and config is None:
        demonstration.write_configuration(home)
    settings = load(home, file=config, environment=os.environ, demo=demo)
    programs = [role_program(role, settings, config) for role in roles]
    if demo and len(roles) == len(ROLES) and settings.sms.links:
        programs += demo_programs(settings, config)
    say = partial(console.print, "·", soft_wrap=True)
    supervisor = Supervisor(programs, home=home, say=say)
    console.print(f"starting {', '.join(program.name for program in programs)} …")

    async def run() -> int:
        if demo:
            try:
                await demonstration.seed(settings, demonstration.people(demonstration.PEOPLE))
            except (StorageDamaged, StorageUnwritable) as error:
                say(f"nobody is made up: {error}")
        return await supervisor.run(when_ready=lambda: say_ready(settings, roles))

    return asyncio.run(run())


def say_ready(settings: Config, roles: Sequence[str]) -> None:
    """The addresses, how to sign in, and what to try."""
    shown = {"viewer": "watch", "assurance": "console", "status": "status page"}
    table = Table(box=None, show_header=False, pad_edge=False)
    for role, label in shown.items():
        if role in roles:
            table.add_row(label, settings.roles.edge(role).url, _sign_in_with(settings, role))
    if settings.demo:
        table.add_row("phones", f"http://localhost:{settings.phones_port}", "text messages arrive here")
    console.print(table)
    if settings.demo:
        from prikkfri.simulation import demo as demonstration

        phone = demonstration.people(1)[0].msisdn
        message = f'prikkfri send --from 2010 --to {phone} "Middag kl. 18" --home {settings.home}'
        console.print(f"\ntry    .venv/bin/{message}", soft_wrap=True)
        console.print(
            f"       or an SMPP client of your own on localhost:{settings.roles.sms.smpp_port}", soft_wrap=True
        )
        console.print(
            f"       or an evening that goes wrong, while you watch: {settings.roles.assurance.url}/rehearsals",
            soft_wrap=True,
        )
    console.print("Ctrl-C stops everything.", style="dim")


def _sign_in_with(settings: Config, role: str) -> str:
    if role == "viewer" and settings.demo:
        from prikkfri.simulation import demo as demonstration

        return f"{demonstration.people(1)[0].email} / {demonstration.PASSWORD}"
    file = first_user_file(settings.home)
    if role == "assurance" and file.exists():
        return file.read_text(encoding="utf-8").strip() if settings.demo else f"name and first password: {file}"
    return ""


def demo_programs(settings: Config, config: Path | None) -> list[Program]:
    """The world around the demo: phones behind an SMSC, and a little life."""
    from prikkfri.simulation import demo as demonstration

    phones = demonstration.phones(demonstration.people(demonstration.PEOPLE))
    handsets = ["-m", "prikkfri.simulation.handsets", "--name", demonstration.NETWORK]
    handsets += [f"--http-port={settings.phones_port}", f"--smpp-port={settings.sms.links[0].port}", *phones]
    smpp_ports = {link.name: link.port for link in settings.sms.links}
    partners = [
        _helper(
            settings,
            partner.link,
            partner.program(
                seed=1,
                people=demonstration.PARTNER_PEOPLE,
                canaries=demonstration.PARTNER_CANARIES,
                smpp_port=smpp_ports[partner.link],
                http_port=port,
            ),
        )
        for port, partner in demonstration.partners_of(settings).items()
    ]
    installed = ["--home", str(settings.home), *(["--config", str(config)] if config is not None else [])]
    life = ["-m", "prikkfri.simulation.life", *installed]
    stage = ["-m", "prikkfri.simulation.stage", *installed]
    return [
        _helper(settings, "handsets", handsets),
        *partners,
        _helper(settings, "life", life),
        _helper(settings, "stage", stage),
    ]


def _helper(settings: Config, name: str, arguments: list[str]) -> Program:
    return Program(name, arguments, log_file(settings.home, name), helper=True)


def role_program(role: str, settings: Config, config: Path | None) -> Program:
    arguments = ["-m", "prikkfri.app", role, "--home", str(settings.home)]
    if config is not None:
        arguments += ["--config", str(config)]
    if settings.demo:
        arguments.append("--demo")
    name = process_name(role, settings.instance)
    return Program(name, arguments, log_file(settings.home, name))
