"""What commands ask of an installation: its configuration, its databases, its SMS centre."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prikkfri.config import Config, load
from prikkfri.errors import PrikkfriError, UsageError

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
    import httpx

    from prikkfri.storage.keys import CallersKeys

    url = f"http://localhost:{settings.roles.sms.port}{path}"
    key = CallersKeys(settings.home, ("sms",))["sms"]
    try:
        answer = httpx.request(
            method, url, json=wanted, headers={"Authorization": f"Bearer {key}"}, timeout=SEND_SECONDS_MAX
        )
        document = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise PrikkfriError(f"the SMS centre does not answer on {url}: {type(error).__name__}") from None
    if answer.is_success:
        return document
    kind = UsageError if answer.status_code == httpx.codes.NOT_FOUND else PrikkfriError
    raise kind(f"not done: {document.get('message', answer.status_code)}")
