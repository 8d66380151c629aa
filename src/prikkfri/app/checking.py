"""`prikkfri check`: what could keep an installation from starting or from staying up, each with its mend."""

import asyncio
import resource
import shutil
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from prikkfri.app.connections import smpp_connections_for
from prikkfri.clock import Clock
from prikkfri.config import ROLES, Channel, Config, Sms
from prikkfri.errors import InDoubt, ProtocolError, StorageError
from prikkfri.journal import last_written_at
from prikkfri.sms.binding import promised_too_many
from prikkfri.storage import Location, open_database
from prikkfri.storage.opening import AREAS
from prikkfri.streaming.guides import read_guide

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
    """Looks at disk, keys, databases, clock, ports and what accounts are promised; changes nothing but missing tables.

    `smpp_connections_max` 0: what the sms role would have here.
    """
    smpp_connections_max = smpp_connections_max or smpp_connections_for(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    found = [_disk(config.home, free_bytes_min), _keys(config.home)]
    for area in AREAS:
        found += await _database(Location(config.home, config.storage.url), area, clock)
    for name in dict.fromkeys(channel.xmltv for channel in config.streaming.channels if channel.xmltv):
        channels = [channel for channel in config.streaming.channels if channel.xmltv == name]
        found.append(await asyncio.to_thread(_guide, config.home, name, channels))
    ports = [(role, config.roles.edge(role).port) for role in ROLES]
    with httpx.Client(timeout=ANSWER_SECONDS_MAX) as client:
        found += await asyncio.gather(*(asyncio.to_thread(_port, client, role, port) for role, port in ports))
    found.append(await asyncio.to_thread(_smpp_port, config.roles.sms.smpp_port))
    found.append(_smpp_connections(config.sms, smpp_connections_max))
    return found


def _disk(home: Path, free_bytes_min: int) -> Finding:
    free = shutil.disk_usage(home).free
    detail = f"{free / 1e9:.1f} GB free under {home}"
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
    try:
        database = await open_database(location, area)
    except (StorageError, InDoubt) as error:
        return [Finding(f"database {area}", False, str(error))]
    try:
        written_at = await last_written_at(database)
    finally:
        await database.close()
    findings = [Finding(f"database {area}", True, "PostgreSQL" if location.url else str(location.home / f"{area}.db"))]
    if written_at > clock.now() + CLOCK_BEHIND_SECONDS_MAX:
        behind = written_at - clock.now()
        findings.append(
            Finding("clock", False, f"{behind:.0f} s behind the journal of {area}; set it before you start")
        )
    return findings


def _guide(home: Path, name: str, channels: Sequence[Channel]) -> Finding:
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


def _port(client: httpx.Client, role: str, port: int) -> Finding:
    answer = _health(client, port)
    if answer is None:
        return Finding(f"port {port}", True, f"free for {role}")
    if answer == role:
        return Finding(f"port {port}", True, f"{role} answers")
    return Finding(
        f"port {port}", False, f"wanted by {role}, held by {answer or 'something else'}; free it or set a port"
    )


def _health(client: httpx.Client, port: int) -> str | None:
    """The role that answers on a port; empty when something else does, None when nobody does."""
    try:
        return str(client.get(f"http://127.0.0.1:{port}/health").json()["role"])
    except httpx.ConnectError:
        return None
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return ""


def _smpp_connections(sms: Sms, connections_max: int) -> Finding:
    wrong = promised_too_many(sms.accounts, sms.links, connections_max)
    held = f"at most {connections_max}, enough for all accounts and links"
    return Finding("SMPP connections", not wrong, wrong or held)


def _smpp_port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(ANSWER_SECONDS_MAX)
        held = probe.connect_ex(("127.0.0.1", port)) == 0
    return Finding(f"port {port}", True, "something answers (SMPP)" if held else "free for SMPP")
