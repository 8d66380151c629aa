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
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from prikkfri.app.asking import ask_role
from prikkfri.app.internal_network import Identity
from prikkfri.app.limits import smpp_connections_for
from prikkfri.app.locks import lock_holder
from prikkfri.app.ports import Listener, listener
from prikkfri.app.published import heard_at
from prikkfri.clock import Clock
from prikkfri.config import ROLES, SINGLE, Channel, Config, Sms
from prikkfri.errors import InDoubt, ProtocolError, StorageError, UsageError
from prikkfri.journal import last_written_at, role_of
from prikkfri.sms.binding import promised_too_many
from prikkfri.storage import Location, open_reader
from prikkfri.storage.certificates import machine_file, read_certificate
from prikkfri.storage.keys import made_command_key
from prikkfri.storage.opening import AREAS, migrations_missing

FREE_BYTES_MIN = 1_000_000_000
CLOCK_BEHIND_SECONDS_MAX = 2.0
ANSWER_SECONDS_MAX = 2.0
SKEW_SECONDS_MAX = 5.0
"""Between two machines: outcomes of one are put in order with those of the other."""
DATE_SECONDS = 2.0
"""A role tells the time in whole seconds, and anew every second: it is so much later at most."""
COMMANDED_AT = {"signin": "/capacity", "sms": "/capacity", "playout": "/standings", "door": "/steering"}
"""What changes nothing and needs the key."""


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
        *(asyncio.to_thread(_port, config.home, role, name, port) for role, name, port in _ports(config)),
        asyncio.to_thread(_smpp_port, config.home, config.roles.sms.smpp_port),
    )
    found.append(_smpp_connections(config.sms, smpp_connections_max))
    if config.roles.span_machines:
        found += await _machines(config, clock)
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
    files = [*sorted((home / "keys").glob("*")), *(home / "tls" / name for name in ("ca.key", "machine.pem"))]
    files = [file for file in files if file.exists()]
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


def _ports(config: Config) -> list[tuple[str, str, int]]:
    """Role, process and port of what may run on this machine; what takes over from another listens where that did."""
    found = []
    for role in ROLES:
        ports: set[int] = set()
        for name, edge in config.roles.processes(role).items():
            if edge.port not in ports:
                ports.add(edge.port)
                found.append((role, name, edge.port))
    return found


def _port(home: Path, role: str, process: str, port: int) -> Finding:
    answer, pid = _health(port), lock_holder(home, process)
    if answer is None and pid and role in SINGLE:
        return Finding(f"port {port}", True, f"free; {process} of this home (process {pid}) stands by")
    holder = None if answer is None else listener(port)
    setting = f"roles.{role}.port" if process == role else f"`port` of {process}"
    return port_finding(role, port, setting, home, answer, holder, locked=bool(pid), process=process)


def _smpp_port(home: Path, port: int) -> Finding:
    with socket.socket() as probe:
        probe.settimeout(ANSWER_SECONDS_MAX)
        answer = "sms" if probe.connect_ex(("127.0.0.1", port)) == 0 else None
    holder = None if answer is None else listener(port)
    return port_finding("sms", port, "roles.sms.smpp_port", home, answer, holder, locked=bool(lock_holder(home, "sms")))


def port_finding(
    role: str,
    port: int,
    setting: str,
    home: Path,
    answer: str | None,
    holder: Listener | None,
    *,
    locked: bool,
    process: str = "",
) -> Finding:
    """Whose port it is. `answer`: the role that answers there, empty when something else does, None when nobody does;
    `locked`: a process runs as this role on this home; `process`: what it is called, where not as its role."""
    process = process or role
    subject = f"port {port}"
    if answer is None:
        return Finding(subject, True, f"free for {'SMPP' if setting.endswith('.smpp_port') else process}")
    mend = f"stop that one, or set another port (`{setting}`)"
    if holder is None:
        if answer == role and locked:
            return Finding(subject, True, f"{process} of this home")
        return Finding(
            subject, False, f"wanted by {process}, held by {answer or 'a process'} that another user runs; {mend}"
        )
    if holder.role == role and holder.home == home.resolve():
        if answer == role:
            return Finding(subject, True, f"{process} of this home (process {holder.pid})")
        silent = f"{process} of this home (process {holder.pid}) does not answer; see its log"
        return Finding(subject, False, f"{silent}, and kill {holder.pid} to have it started anew")
    who = f"{holder.role} of {holder.home}" if holder.role else holder.program
    return Finding(subject, False, f"wanted by {process}, held by {who} (process {holder.pid}); {mend}")


def _health(port: int) -> str | None:
    """The role that answers on a port; empty when something else does, None when nobody does."""
    try:
        told = ask_role(f"http://127.0.0.1:{port}", "GET", "/health", seconds=ANSWER_SECONDS_MAX)
        return str(told.document["role"])
    except ConnectionRefusedError:
        return None
    except (OSError, ProtocolError, ValueError, KeyError, TypeError):
        return ""


async def _machines(config: Config, clock: Clock) -> list[Finding]:
    """This machine's certificate, and each role that is reached by one: whether it is, its clock, and what it takes."""
    try:
        identity = Identity(config.home, clock)
    except UsageError as error:
        return [Finding("certificate", False, str(error))]
    certificate = read_certificate(machine_file(config.home))
    names = certificate.names if certificate else ()
    until = f"of {', '.join(names)}; {(identity.expires_at - clock.now()) / 86_400:.0f} days left"
    troubles = identity.troubles()
    found = [Finding("certificate", not troubles, troubles[0] if troubles else until)]
    elsewhere = [
        (process, edge.internal)
        for role in ROLES
        for process, edge in config.roles.processes(role).items()
        if edge.tls_port
    ]
    return found + await asyncio.gather(
        *(asyncio.to_thread(_reached, config, clock, identity, process, url, names) for process, url in elsewhere)
    )


def _reached(config: Config, clock: Clock, identity: Identity, process: str, url: str, names: Sequence[str]) -> Finding:
    role, subject = role_of(process), f"reach {process}"
    began = clock.now()
    try:
        answer = ask_role(url, "GET", "/health", seconds=ANSWER_SECONDS_MAX, tls=identity.client)
        document = answer.document
        told, troubles = str(document["role"]), [str(each) for each in document.get("troubles", ())]
    except (OSError, ProtocolError, ValueError, KeyError, TypeError, AttributeError) as error:
        pid = lock_holder(config.home, process)
        if urlsplit(url).hostname in names and not pid:
            return Finding(subject, True, f"{url} is this machine, on which it does not run")
        if pid and role in SINGLE:
            return Finding(subject, True, f"process {pid} of this home stands by")
        if role in SINGLE and len(config.roles.processes(role)) > 1:
            return Finding(subject, True, f"{url} does not answer; one of {role} works at a time")
        return Finding(subject, False, f"{url} does not answer ({error or type(error).__name__}); does it run there?")
    took = clock.now() - began
    if told != role:
        return Finding(subject, False, f"{url} is {told}; mend `roles.{role}.internal_url`")
    said = [f"{url} in {took * 1_000:.0f} ms"]
    wrong = [f"it says: {each}" for each in troubles]
    try:
        skew = parsedate_to_datetime(answer.date).timestamp() + DATE_SECONDS / 2 - (began + took / 2)
    except (ValueError, TypeError):
        said.append("its clock is not known")
    else:
        off = f"its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
        said.append(off if abs(skew) > DATE_SECONDS else "its clock is ours")
        if abs(skew) > SKEW_SECONDS_MAX:
            wrong.append(f"{off}; set the wrong one")
    if path := COMMANDED_AT.get(role):
        key = made_command_key(config.home, role)
        taken = key is not None and _is_taken(url, path, key, identity)
        if key is not None:
            said.append("it takes our commands" if taken else "it takes none of our commands")
        if key is not None and not taken:
            wrong.append(f"keys/{role}-command.key is not its own; copy it anew (prikkfri keys machine --out)")
    if at := heard_at(config.home, process):
        said.append(f"what it publishes was heard {max(clock.now() - at, 0):.0f} s ago")
    return Finding(subject, not wrong, "; ".join([*said, *wrong]))


def _is_taken(url: str, path: str, key: str, identity: Identity) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    try:
        answer = ask_role(url, "GET", path, seconds=ANSWER_SECONDS_MAX, headers=headers, tls=identity.client)
    except (OSError, ProtocolError):
        return False
    return answer.status != HTTPStatus.UNAUTHORIZED


def _smpp_connections(sms: Sms, connections_max: int) -> Finding:
    wrong = promised_too_many(sms.accounts, sms.links, connections_max)
    held = f"at most {connections_max}, enough for all accounts and links"
    return Finding("SMPP connections", not wrong, wrong or held)
