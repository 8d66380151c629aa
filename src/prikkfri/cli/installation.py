"""What commands ask of an installation: its configuration, its databases, its SMS centre."""

import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prikkfri.config import Config, load
from prikkfri.errors import PrikkfriError, ProtocolError, UsageError

if TYPE_CHECKING:
    from prikkfri.storage import Database

SEND_SECONDS_MAX = 10.0
T = TypeVar("T")


def configuration(home: Path, file: Path | None, *, demo: bool = False) -> Config:
    return load(home, file=file, environment=os.environ, demo=demo)


def read(settings: Config, area: str, work: "Callable[[Database], Awaitable[T]]") -> T:
    """What `work` reads in an area that another process writes."""
    import asyncio

    from prikkfri.storage import Location, open_reader

    async def reading() -> T:
        database = open_reader(Location(settings.home, settings.storage.url), area)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(reading())


def asked_of_sms(settings: Config, method: str, path: str, wanted: object = None) -> Any:
    """What the sms role answers whoever has its command key, which stands in the home."""
    from prikkfri.storage.keys import CallersKeys

    key = CallersKeys(settings.home, ("sms",))["sms"]
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
