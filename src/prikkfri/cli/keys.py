"""Keys and certificates: what there is, made anew, and taken to the other machines of an installation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from prikkfri.cli.installation import configuration
from prikkfri.cli.options import HOME, ConfigFile, Home, roles_named
from prikkfri.cli.printing import console, moment
from prikkfri.clock import SYSTEM_CLOCK
from prikkfri.config import ROLES, Config, process_name
from prikkfri.errors import UsageError

commands = typer.Typer(help="Keys and certificates, and what other machines need of them.", rich_markup_mode=None)


@commands.command("show")
def show_keys(home: Home = HOME, config: ConfigFile = None) -> None:
    """Show which certificates there are, for whom and until when; exit code 1 when one is missing or ends soon."""
    from prikkfri.storage.certificates import (
        RENEWED_AHEAD_SECONDS,
        Certificate,
        machine_file,
        read_authorities,
        read_certificate,
    )

    settings = configuration(home, config)
    zone, holds = ZoneInfo(settings.streaming.timezone), True
    table = Table("", "what", "for", "until", "SHA-256", box=None, header_style="dim")
    authorities: list[Certificate | None] = [*read_authorities(home)]
    rows = [
        *(("authority", each) for each in authorities or [None]),
        ("this machine", read_certificate(machine_file(home))),
    ]
    for name, found in rows:
        if found is None:
            holds = holds and not settings.roles.span_machines
            table.add_row("✗" if settings.roles.span_machines else "·", name, "none", "", "")
            continue
        good = found.expires_at - SYSTEM_CLOCK.now() > RENEWED_AHEAD_SECONDS
        holds = holds and good
        until = moment(found.expires_at, zone)
        table.add_row("✓" if good else Text("✗", "red"), name, ", ".join(found.names), until, found.fingerprint[:16])
    console.print(table)
    raise typer.Exit(0 if holds else 1)


@commands.command("authority")
def make_authority(
    replace: Annotated[
        bool, typer.Option("--replace", help="Another one with a key of its own, in two steps: say it twice.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Believe the one before no more, when no machine shows it.")
    ] = False,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Make the authority that signs the machines' certificates; made again, it holds for ten years more."""
    from prikkfri.storage import certificates

    settings = configuration(home, config)
    if replace and forget:
        raise UsageError("--replace and --forget: one after the other")
    if replace:
        step, _ = certificates.replace_authority(home, settings.operator, SYSTEM_CLOCK.now())
        told = {
            "believed": "The next authority is believed beside this one. Take tls/ca.pem to every machine, and here"
            " it is already; when all have it, say this again.",
            "signs": "The next authority signs from now on. Make the certificate of every machine anew, by"
            " `prikkfri keys machine`; when all have theirs, `prikkfri keys authority --forget`.",
        }
        console.print(told[step], soft_wrap=True)
        return
    if forget:
        certificates.forget_authority(home)
        console.print("The earlier authority is believed here no more. Take tls/ca.pem to every machine.")
        return
    made = certificates.make_authority(home, settings.operator, SYSTEM_CLOCK.now())
    until = moment(made.expires_at, ZoneInfo(settings.streaming.timezone))
    console.print(f"{', '.join(made.names)}, until {until}: {certificates.authority_file(home)}", soft_wrap=True)
    console.print("Its key, tls/ca.key, stays on this machine: keep a copy where no machine reads it.", style="dim")


@commands.command("machine")
def make_machine(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HOST]...", help="Hosts and addresses of the machine (default: as it has them)."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help=f"Roles that run there, with commas between them: {', '.join(ROLES)}.")
    ] = None,
    instance: Annotated[str, typer.Option(help="Which of their processes run there, where not the first ones.")] = "",
    out: Annotated[Path | None, typer.Option(help="A folder for another machine's home (default: this home).")] = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Make or renew a machine's certificate; with --out and --only also the command keys that its roles need."""
    from prikkfri.storage import certificates

    settings = configuration(home, config)
    roles = roles_named(only)
    had = certificates.read_certificate(certificates.machine_file(out or home))
    hosts = list(names or (had.names if had else _hosts_of(settings, roles, instance)))
    if not hosts:
        raise UsageError("name the machine as `internal_url` names it, such as: prikkfri keys machine door-1.internal")
    made = certificates.make_machine(home, hosts, SYSTEM_CLOCK.now(), into=out)
    until = moment(made.expires_at, ZoneInfo(settings.streaming.timezone))
    console.print(f"{', '.join(made.names)}, until {until}: {certificates.machine_file(out or home)}", soft_wrap=True)
    if out is not None:
        # Without roles the certificate alone: a machine's keys may have been changed there since it got them.
        if roles:
            shared = share_keys(home, out, roles, second=bool(instance))
            console.print(f"{len(shared)} keys for {', '.join(roles)}: {', '.join(shared)}", soft_wrap=True)
        console.print(
            f"Take what is in {out} into that machine's home, and remove it here.", style="dim", soft_wrap=True
        )


@commands.command("rotate")
def rotate_key(
    name: Annotated[str, typer.Argument(metavar="KEY", help="Such as door-playback, or signin-command.")],
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Have the role that owns a key take a new one up, without a pause."""
    from prikkfri.app.command_keys import owned_keys
    from prikkfri.storage import certificates
    from prikkfri.storage.keys import SECRETS, SIGNING_KEYS, make_next_key
    from prikkfri.storage.limits import LIMITS

    settings = configuration(home, config)
    owners = {
        **{key: issuer for key, (_, issuer) in SIGNING_KEYS.items()},
        **SECRETS,
        **{f"{key}-command": role for role in ROLES for key in owned_keys(role)},
    }
    if name not in owners:
        raise UsageError(f"{name}: no such key is changed like this; there are {', '.join(owners)}")
    _refuse_copy(settings, name, owners[name])
    make_next_key(home, name)
    if name in SECRETS:
        seconds = f"{LIMITS.key_published_seconds:.0f} s"
        console.print(f"{owners[name]} knows it now, and uses it {seconds} later.", soft_wrap=True)
        console.print("What the keys before it have made stays good: twelve are kept.", style="dim", soft_wrap=True)
        if name in BETWEEN_PROCESSES.get(owners[name], ()) and settings.roles.edge(owners[name]).instances:
            console.print(
                f"Other homes of {owners[name]} need keys/{name}.next.key within that time, too.", soft_wrap=True
            )
    elif name in SIGNING_KEYS:
        seconds = f"{LIMITS.key_published_seconds:.0f} s"
        console.print(f"{SIGNING_KEYS[name][1]} publishes it now, and signs with it {seconds} later.", soft_wrap=True)
        console.print("What the key before it has signed is good until it ends.", style="dim", soft_wrap=True)
    else:
        console.print("It is taken from now on, and the one before it until the next is made.", soft_wrap=True)
        if certificates.authority_key_file(home).exists() or not settings.roles.span_machines:
            other = "Other machines get it by `prikkfri keys machine --only ROLE,... --out DIR`."
        else:  # whose copy would put the earlier one back with the next certificate
            other = f"Copy keys/{name}.key to the machine with the authority's key first, and to those that call."
        console.print(other, style="dim", soft_wrap=True)


def _refuse_copy(settings: Config, name: str, role: str) -> None:
    """A next key of a home that has only a copy would be taken up by nobody. Raises `UsageError`."""
    from prikkfri.app.locks import lock_holder
    from prikkfri.storage.certificates import machine_file, read_certificate
    from prikkfri.storage.keys import SIGNING_KEYS

    processes = settings.roles.processes(role)
    if name not in SIGNING_KEYS:  # of which each home has its own; of the others the first process's is the one
        processes = {role: processes[role]}
    machine = read_certificate(machine_file(settings.home))
    for process, edge in processes.items():
        host = urlsplit(edge.internal).hostname or ""
        if not edge.internal_url or lock_holder(settings.home, process) or (machine and host in machine.names):
            return
    raise UsageError(
        f"--home {settings.home}: keys/{name} is a copy here, or is not here at all: {role} runs at"
        f" {processes[role].internal}; change it on that machine"
    )


def _hosts_of(settings: Config, roles: Sequence[str], instance: str) -> list[str]:
    edges = [settings.roles.processes(role).get(process_name(role, instance)) for role in roles]
    return list(dict.fromkeys(urlsplit(edge.internal).hostname or "" for edge in edges if edge and edge.tls_port))


BETWEEN_PROCESSES = {"signin": ("signin-session", "signin-codes"), "assurance": ("console",)}
"""Secrets that all processes of a role need to be the same."""


def share_keys(home: Path, out: Path, roles: Sequence[str], *, second: bool = False) -> list[str]:
    """Copies into another home what roles there prove themselves with, and nothing else; returns the names.

    `second`: what runs there are further processes of the roles, which share more.
    """
    from prikkfri.app.published import PLACES, READ, reading_key
    from prikkfri.app.roles import CALLED
    from prikkfri.storage.keys import command_key, secret_file, secret_key, write_whole

    owners = [owner for role in roles for owner in (role, *CALLED.get(role, ()))]
    read = [reading_key(of) for role in roles for of in (role, *READ.get(role, ())) if of in PLACES]
    names = list(dict.fromkeys([*owners, *read, *(["canaries"] if "sms" in roles else [])]))
    for name in names:
        write_whole(out / "keys" / f"{name}-command.key", command_key(home, name).encode(), mode=0o600)
    for name in [each for role in roles for each in BETWEEN_PROCESSES.get(role, ()) if second]:
        secret_key(home, name)
        write_whole(secret_file(out, name), secret_file(home, name).read_bytes(), mode=0o600)
        names.append(name)
    return names
