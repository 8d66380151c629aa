"""What commands ask of an installation: its configuration, its databases, its SMS centre."""

import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prikkfri.app.locks import SUPERVISED, lock_holder
from prikkfri.config import Config, load
from prikkfri.errors import PrikkfriError, ProtocolError, UsageError

if TYPE_CHECKING:
    from prikkfri.storage import Database

SEND_SECONDS_MAX = 10.0
T = TypeVar("T")


def configuration(home: Path, file: Path | None, *, demo: bool = False) -> Config:
    """Of a home that may not be there yet. Raises `UsageError` for one that is a file."""
    if home.exists() and not home.is_dir():
        raise UsageError(f"{home}: is a file, and a home is a folder; choose another with --home")
    return load(home, file=file, environment=os.environ, demo=demo)


def installed(home: Path, file: Path | None) -> Config:
    """The configuration of an installation. Raises `UsageError` when there is no such home."""
    if not home.exists():
        raise UsageError(
            f"{home}: there is no such home; name one with --home, or start one with prikkfri serve --home {home}"
        )
    return configuration(home, file)


def refuse_without_demo(home: Path) -> None:
    """Raises `UsageError` when nothing runs on a home, or is kept running there."""
    installed(home, None)
    if not (lock_holder(home, SUPERVISED + "signin") or lock_holder(home, "signin")):
        raise UsageError(
            f"{home}: no demo runs there; start one with prikkfri serve --demo --home {home}, or leave out --home"
        )


def read(settings: Config, area: str, work: "Callable[[Database], Awaitable[T]]") -> T:
    """What `work` reads in an area that another process writes."""
    import asyncio

    from prikkfri.storage import Location, open_reader

    if not settings.storage.url and not (settings.home / f"{area}.db").exists():
        raise UsageError(
            f"{settings.home}: nothing is kept there of {area} yet; start it with prikkfri serve --home"
            f" {settings.home}, or name another home with --home"
        )

    async def reading() -> T:
        database = open_reader(Location(settings.home, settings.storage.url), area)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(reading())


def asked_of_sms(settings: Config, method: str, path: str, wanted: object = None) -> Any:
    """What the sms role answers whoever has its command key, which stands in the home."""
    from prikkfri.storage.keys import known_command_key

    key = known_command_key(settings.home, "sms")
    status, document = told_by_sms(settings, method, path, wanted, f"Bearer {key}")
    if status < 300:
        return document
    kind = UsageError if status == HTTPStatus.NOT_FOUND else PrikkfriError
    raise kind(f"not done: {document.get('message', status)}")


def told_by_sms(settings: Config, method: str, path: str, wanted: object, authorization: str) -> tuple[int, Any]:
    """What the sms role answers, whatever it is. Raises `PrikkfriError` when it does not."""
    from prikkfri.app.asking import asked

    port = settings.roles.sms.port
    headers = {"Authorization": authorization}
    try:
        told = asked(port, method, path, body=wanted, headers=headers, seconds=SEND_SECONDS_MAX)
        return told.status, told.document
    except (OSError, ProtocolError, ValueError) as error:
        raise PrikkfriError(
            f"the SMS centre does not answer on http://localhost:{port}{path}: {type(error).__name__}; "
            f"start it with prikkfri serve --home {settings.home}, or name the home that it runs on with --home"
        ) from None
