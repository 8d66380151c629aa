"""The person on duty, at the console as anybody else is: over HTTP, with a name and a password."""

from dataclasses import dataclass, field
from typing import Any

import aiohttp

from prikkfri.app.first_user import first_user_file
from prikkfri.config import Config
from prikkfri.errors import PrikkfriError

PATIENT = aiohttp.ClientTimeout(total=60)
"""Somebody on duty waits longer than a viewer."""


@dataclass
class Duty:
    """Signed in to the console."""

    http: aiohttp.ClientSession = field(repr=False)
    url: str
    _cookie: str = field(repr=False)

    @classmethod
    async def signed_in(cls, http: aiohttp.ClientSession, config: Config) -> "Duty":
        """With the console's first account. Raises `PrikkfriError` when that has been removed or changed."""
        file, url = first_user_file(config.home), config.roles.assurance.url
        try:
            name, _, password = file.read_text(encoding="utf-8").strip().partition(" / ")
        except OSError:
            raise PrikkfriError(f"{file} is gone: nobody can sign in to the console for the rehearsal") from None
        form = {"name": name, "password": password}
        sent: dict[str, Any] = {"headers": {"Origin": url}, "allow_redirects": False, "timeout": PATIENT}
        async with http.post(f"{url}/sign-in", data=form, **sent) as answer:
            if answer.status != 303:
                raise PrikkfriError(f"the account in {file} cannot sign in to the console any more")
            cookie = "; ".join(f"{morsel.key}={morsel.value}" for morsel in answer.cookies.values())
        return cls(http, url, cookie)

    async def tell_those_credited(self, incident: str) -> None:
        await self._order(f"/incidents/{incident}/tell", sure="yes")

    async def review(self, incident: str, text: str) -> None:
        """Looks back on an incident that is over: what comes now is another."""
        await self._order(f"/incidents/{incident}/act", kind="review", text=text, sure="yes")

    async def _order(self, path: str, **form: str) -> None:
        headers = {"Origin": self.url, "Cookie": self._cookie}
        sent: dict[str, Any] = {"headers": headers, "allow_redirects": False, "timeout": PATIENT}
        async with self.http.post(f"{self.url}{path}", data=form, **sent) as answer:
            if answer.status != 303:
                raise PrikkfriError(f"the console answers {answer.status} to {path}")
