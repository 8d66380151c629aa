"""What assurance asks of the other roles: whether they answer, and that the status page takes its summary."""

import asyncio
from collections.abc import Mapping

import httpx

HEALTH_SECONDS_MAX = 2.0
PUBLISH_SECONDS_MAX = 3.0


class Neighbours:
    """The other roles by HTTP; nothing here raises because one of them is dead."""

    def __init__(self, client: httpx.AsyncClient, *, urls: Mapping[str, str], status_command_key: str) -> None:
        """`urls`: the address of each role by its name, `status` among them."""
        self.roles = tuple(urls)
        self._client = client
        self._urls = urls
        self._status_command_key = status_command_key

    async def answers(self, role: str) -> bool:
        """Whether `/health` answers 200 in time."""
        try:
            async with asyncio.timeout(HEALTH_SECONDS_MAX):
                response = await self._client.get(f"{self._urls[role]}/health")
        except (httpx.HTTPError, TimeoutError):
            return False
        return response.status_code == httpx.codes.OK

    async def publish(self, document: bytes) -> str:
        """Hands the summary to the status role; returns what went wrong, empty when it was taken."""
        headers = {"authorization": f"Bearer {self._status_command_key}", "content-type": "application/json"}
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                response = await self._client.put(f"{self._urls['status']}/publish", content=document, headers=headers)
        except TimeoutError:
            return "the status role does not answer"
        except httpx.HTTPError as error:
            return f"the status role cannot be reached ({type(error).__name__})"
        return "" if response.is_success else f"the status role answered {response.status_code}"

    async def close(self) -> None:
        await self._client.aclose()
