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

    async def capacity_per_second(self, command_key: str) -> float | None:
        """Sign-ins a second that signin measures; None when it does not say."""
        headers = {"authorization": f"Bearer {command_key}"}
        try:
            async with asyncio.timeout(HEALTH_SECONDS_MAX):
                response = await self._client.get(f"{self._urls['signin']}/capacity", headers=headers)
            per_second = float(response.raise_for_status().json()["per_second"])
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError):
            return None
        return per_second if 0 < per_second < 1e6 else None

    async def send_message(self, account: str, password: str, sender: str, recipient: str, text: str) -> str:
        """Hands a text message to the SMS centre; returns its id, empty when it was not accepted."""
        message = {"from": sender, "to": recipient, "text": text}
        try:
            async with asyncio.timeout(PUBLISH_SECONDS_MAX):
                response = await self._client.post(
                    f"{self._urls['sms']}/messages", json=message, auth=(account, password)
                )
            return str(response.raise_for_status().json()["id"])
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError):
            return ""

    async def close(self) -> None:
        await self._client.aclose()
