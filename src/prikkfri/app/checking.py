"""`prikkfri check`: what could keep an installation from starting or from staying up, each with its mend.

It looks and makes nothing: neither a home, nor a database, nor a table.
"""

import asyncio
import os
import resource
import shutil
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prikkfri.app.asking import ask_role
from prikkfri.app.limits import smpp_connections_for
from prikkfri.app.locks import lock_holder
from prikkfri.app.ports import Listener, listener
from prikkfri.clock import Clock
from prikkfri.config import ROLES, Channel, Config, Sms
from prikkfri.errors import InDoubt, ProtocolError, StorageError
from prikkfri.journal import last_written_at
from prikkfri.sms.binding import promised_too_many
from prikkfri.storage import Location, open_reader
from prikkfri.storage.opening import AREAS, migrations_missing

FREE_BYTES_MIN = 1_000_000_000
CLOCK_BEHIND_SECONDS_MAX = 2.0
ANSWER_SECONDS_MAX = 2.0


@dataclass(frozen=True)
class Finding:
    subject: str
    holds: bool
    detail: str


async def check(
    config: Config, clock: Clock, *, free_bytes_min: int = FREE_BYTES_MIN, smpp_connections_max: int = 0
) -> list[Finding]:
    """Looks at home, disk, keys, databases, guides, clock, ports and what accounts are promised; makes nothing.

    `smpp_connections_max` 0: what the sms role would have here.
    """
    smpp_connections_max = smpp_connections_max or smpp_connections_for(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    found = [_home(config.home), _disk(config.home, free_bytes_min), _keys(config.home)]
    for area in AREAS:
        found += await _database(Location(config.home, config.storage.url), area, clock)
    for name in dict.fromkeys(channel.xmltv for channel in config.streaming.channels if channel.xmltv):
        channels = [channel for channel in config.streaming.channels if channel.xmltv == name]
        found.append(await asyncio.to_thread(_guide, config.home, name, channels))
    found += await asyncio.gather(
        *(asyncio.to_thread(_port, config.home, role, config.roles.edge(role).port) for role in ROLES),
        asyncio.to_thread(_smpp_port, config.home, config.roles.sms.smpp_port),
    )
    found.append(_smpp_connections(config.sms, smpp_connections_max))
    return found


def _home(home: Path) -> Finding:
    nearest = _nearest(home)
    if not nearest.is_dir():
        return Finding("home", False, f"{nearest} is no folder; choose another home with --home")
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            "home", False, f"{nearest} cannot be written; let whoever runs Prikkfri, or choose another with --home"
        )
    return Finding("home", True, str(home) if nearest == home else f"{home} is not there yet; the first start makes it")


def _nearest(home: Path) -> Path:
    """The home, or of what leads to it what there is."""
    return next(path for path in (home, *home.absolute().parents) if path.exists())


def _disk(home: Path, free_bytes_min: int) -> Finding:
    nearest = _nearest(home)
    free = shutil.disk_usage(nearest).free
    detail = f"{free / 1e9:.1f} GB free under {nearest}"
    if free < free_bytes_min:
        return Finding("disk", False, f"{detail}; make room: what cannot be written is not acknowledged")
    return Finding("disk", True, detail)


def _keys(home: Path) -> Finding:
    files = sorted((home / "keys").glob("*")) if (home / "keys").is_dir() else []
    if not files:
        return Finding("keys", True, "none yet; each role makes its own at first start")
    loose = [file.name for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077]
    if loose:
        return Finding("keys", False, f"others can read {', '.join(loose)}; chmod 600 them and consider new ones")
    return Finding("keys", True, f"{len(files)}, readable by their owner alone")


async def _database(location: Location, area: str, clock: Clock) -> list[Finding]:
    subject = f"database {area}"
    try:
        missing = await migrations_missing(location, area)
        if missing is None:
            return [Finding(subject, True, "none yet; the first start makes it")]
        written_at = 0.0 if missing else await _written_at(location, area)
    except (StorageError, InDoubt) as error:
        return [Finding(subject, False, str(error))]
    place = "PostgreSQL" if location.url else str(location.home / f"{area}.db")
    findings = [Finding(subject, True, f"{place}; the next start brings it up to date" if missing else place)]
    if written_at > clock.now() + CLOCK_BEHIND_SECONDS_MAX:
        behind = written_at - clock.now()
        findings.append(
            Finding("clock", False, f"{behind:.0f} s behind the journal of {area}; set it before you start")
        )
    return findings


async def _written_at(location: Location, area: str) -> float:
    database = open_reader(location, area)
    try:
        return await last_written_at(database)
    finally:
        await database.close()


def _guide(home: Path, name: str, channels: Sequence[Channel]) -> Finding:
    from prikkfri.streaming.guides import read_guide  # a parser that most installations do without

    subject = f"guide {name}"
    try:
        guide = read_guide((home / name).read_bytes())
    except OSError as error:
        return Finding(
            subject, False, f"cannot be read: {error.strerror}; put it there, or mend `xmltv` of the channel"
        )
    except ProtocolError as error:
        return Finding(subject, False, f"cannot be used: {error}")
    told = guide.told(channels)
    detail = f"{len(guide.listings):,} programmes of {len(guide.listed):,} channels{told and f'; {told}'}"
    return Finding(subject, not guide.unlisted(channels), detail)


def _port(home: Path, role: str, port: int) -> Finding:
    answer = _health(port)
    holder = None if answer is None else listener(port)
    return port_finding(role, port, f"roles.{role}.port", home, answer, holder, locked=bool(lock_holder(home, role)))


def _smpp_port(home: Path, port: int) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(ANSWER_SECONDS_MAX)
        answer = "sms" if probe.connect_ex(("127.0.0.1", port)) == 0 else None
    holder = None if answer is None else listener(port)
    return port_finding("sms", port, "roles.sms.smpp_port", home, answer, holder, locked=bool(lock_holder(home, "sms")))


def port_finding(
    role: str, port: int, setting: str, home: Path, answer: str | None, holder: Listener | None, *, locked: bool
) -> Finding:
    """Whose port it is. `answer`: the role that answers there, empty when something else does, None when nobody does;
    `locked`: a process runs as this role on this home."""
    subject = f"port {port}"
    if answer is None:
        return Finding(subject, True, f"free for {'SMPP' if setting.endswith('.smpp_port') else role}")
    mend = f"stop that one, or set another port (`{setting}`)"
    if holder is None:
        if answer == role and locked:
            return Finding(subject, True, f"{role} of this home")
        return Finding(
            subject, False, f"wanted by {role}, held by {answer or 'a process'} that another user runs; {mend}"
        )
    if holder.role == role and holder.home == home.resolve():
        if answer == role:
            return Finding(subject, True, f"{role} of this home (process {holder.pid})")
        silent = f"{role} of this home (process {holder.pid}) does not answer; see its log"
        return Finding(subject, False, f"{silent}, and kill {holder.pid} to have it started anew")
    who = f"{holder.role} of {holder.home}" if holder.role else holder.program
    return Finding(subject, False, f"wanted by {role}, held by {who} (process {holder.pid}); {mend}")


def _health(port: int) -> str | None:
    """The role that answers on a port; empty when something else does, None when nobody does."""
    try:
        told = ask_role(f"http://127.0.0.1:{port}", "GET", "/health", seconds=ANSWER_SECONDS_MAX)
        return str(told.document["role"])
    except ConnectionRefusedError:
        return None
    except (OSError, ProtocolError, ValueError, KeyError, TypeError):
        return ""


def _smpp_connections(sms: Sms, connections_max: int) -> Finding:
    wrong = promised_too_many(sms.accounts, sms.links, connections_max)
    held = f"at most {connections_max}, enough for all accounts and links"
    return Finding("SMPP connections", not wrong, wrong or held)
