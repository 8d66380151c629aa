"""What commands ask of an installation: its configuration, its databases, its SMS centre."""

import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from prikkfri.config import Config, load
from prikkfri.errors import PrikkfriError, ProtocolError, StorageUnmade, UsageError

if TYPE_CHECKING:
    from prikkfri.storage import Database

THE_HOME = "name the folder on which `prikkfri serve` runs (--home or PRIKKFRI_HOME)"
SEND_SECONDS_MAX = 10.0
NAMES = {"sms": "SMS centre", "signin": "sign-in role", "assurance": "assurance role", "door": "door"}
"""What people call the roles that commands ask."""
T = TypeVar("T")


def configuration(home: Path, file: Path | None) -> Config:
    """Of an installation that is there. Raises `UsageError` with option, place and mend when none is.

    The home may be missing where the databases are elsewhere.
    """
    refuse_file(home)
    settings = load(home, file=file, environment=os.environ)
    if not home.is_dir() and not settings.storage.url:
        raise UsageError(
            f"--home {home}: there is no such folder; {THE_HOME}, or make a new one: mkdir -p -m 700 {home}"
        )
    return settings


def refuse_file(home: Path) -> None:
    """Raises `UsageError` when a file is where the home, or what leads to it, should be."""
    in_the_way = next((each for each in (home, *home.parents) if each.exists() and not each.is_dir()), None)
    if in_the_way is not None:
        raise UsageError(f"--home {home}: {in_the_way} is no folder; {THE_HOME}")


def read(settings: Config, area: str, work: "Callable[[Database], Awaitable[T]]") -> T:
    """What `work` reads in an area that another process writes. Raises `UsageError` when none has yet."""
    import asyncio

    from prikkfri.storage import Location, open_reader

    if not settings.storage.url and not (settings.home / f"{area}.db").exists():
        raise UsageError(f"--home {settings.home}: nothing is stored there yet, {area}.db is missing; {THE_HOME}")

    async def reading() -> T:
        database = open_reader(Location(settings.home, settings.storage.url), area)
        try:
            return await work(database)
        except StorageUnmade as error:
            raise UsageError(f"nothing is stored there yet: {error}; start the roles, or mend `storage.url`") from None
        finally:
            await database.close()

    return asyncio.run(reading())


def asked_of_sms(settings: Config, method: str, path: str, wanted: object = None) -> Any:
    return asked_of("sms", settings, method, path, wanted)


def asked_of(role: str, settings: Config, method: str, path: str, wanted: object = None) -> Any:
    """What a role (of `NAMES`) answers whoever has its command key, which stands in the home."""
    from prikkfri.storage.keys import made_command_key

    key, name = made_command_key(settings.home, role), NAMES[role]
    if key is None:
        raise UsageError(f"--home {settings.home}: no {name} has run there, which leaves its key; {THE_HOME}")
    status, document = ask_role_as(role, settings, method, path, wanted, f"Bearer {key}")
    if status == HTTPStatus.UNAUTHORIZED:
        url = f"{settings.roles.edge(role).internal}{path}"
        raise UsageError(f"--home {settings.home}: the {name} on {url} runs on another; {THE_HOME}")
    if status < 300:
        return document
    kind = UsageError if status == HTTPStatus.NOT_FOUND else PrikkfriError
    raise kind(f"not done: {document.get('message', status)}")


def ask_sms_as(settings: Config, method: str, path: str, wanted: object, authorization: str) -> tuple[int, Any]:
    return ask_role_as("sms", settings, method, path, wanted, authorization)


def ask_role_as(
    role: str, settings: Config, method: str, path: str, wanted: object, authorization: str
) -> tuple[int, Any]:
    """What a role answers, whatever it is. Raises `PrikkfriError` when it does not."""
    from prikkfri.app.asking import ask_role

    tls, processes = None, list(settings.roles.processes(role).values())
    if role == "door":
        processes = processes[:1]  # who has the line
    if any(edge.tls_port for edge in processes):
        from prikkfri.app.internal_network import Identity
        from prikkfri.clock import SystemClock

        tls = Identity(settings.home, SystemClock()).client
    headers = {"Authorization": authorization}
    for edge in processes[:-1]:
        with suppress(OSError):  # of several the one that can be reached
            socket.create_connection(_place(edge.internal), timeout=SEND_SECONDS_MAX).close()
            processes = [edge]
            break
    url = processes[-1].internal
    try:
        told = ask_role(url, method, path, body=wanted, headers=headers, seconds=SEND_SECONDS_MAX, tls=tls)
        return told.status, told.document
    except (OSError, ProtocolError, ValueError) as error:
        raise PrikkfriError(
            f"the {NAMES[role]} does not answer on {url}{path}: {type(error).__name__};"
            f" is it running? prikkfri serve --home {settings.home}"
        ) from None


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 443
