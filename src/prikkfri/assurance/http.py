"""What assurance asks of the other roles: whether they answer, what they measure, and what people tell them to do."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from prikkfri.assurance.controls import ChannelControl, LineControl, RouteControl, channels_of, line_of, routes_of
from prikkfri.assurance.customers import CustomerDevice, PasswordLink, devices_of, ended_of, link_of
from prikkfri.assurance.partners import PartnersReport, partners_of
from prikkfri.assurance.personal.history import Trail, trails_of
from prikkfri.assurance.programmes import Programmes, programmes_of
from prikkfri.assurance.quarantine import HeldEntry, ReleaseCheck, entries_of, examined_of
from prikkfri.journal import role_of


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long the other roles may take to answer."""

    health_seconds_max: float = 2.0
    command_seconds_max: float = 3.0


LIMITS = Limits()
PROGRAMMES_BEFORE_SECONDS, PROGRAMMES_AHEAD_SECONDS = 6 * 3_600.0, 12 * 3_600.0
"""What is on when playout falls silent is known for so long."""


class _Health(msgspec.Struct):
    troubles: tuple[str, ...] = ()


class RoleClient:
    """The other roles by HTTP; nothing here raises because one of them is dead."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        urls: Mapping[str, str],
        command_keys: Mapping[str, str],
        limits: Limits = LIMITS,
        processes: Mapping[str, str] = MappingProxyType({}),
        direct: httpx.AsyncClient | None = None,
    ) -> None:
        """`urls`: the address of each role by its name, `status` among them; `command_keys` of those it commands.

        `processes`: of roles of several processes that work beside each other, the address of each, by the role's
        name and by `ROLE/INSTANCE`; `direct` asks that very one, where `client` may ask another of its role.
        """
        self.roles = tuple(urls)
        self.processes = {role: url for role, url in urls.items()} | dict(processes)
        self._client = client
        self._direct = direct or client
        self._urls = urls
        self._keys = command_keys
        self._limits = limits

    async def answers(self, process: str) -> bool:
        """Whether `/health` of a process answers 200 in time; of a role that works in one, whichever that is."""
        client = self._direct if self._several(role_of(process)) else self._client
        try:
            async with asyncio.timeout(self._limits.health_seconds_max):
                response = await client.get(f"{self.processes[process]}/health")
        except (httpx.HTTPError, TimeoutError):
            return False
        return response.status_code == httpx.codes.OK

    def _several(self, role: str) -> list[str]:
        """The processes of a role that work beside each other; empty when it has one."""
        found = [process for process in self.processes if role_of(process) == role]
        return found if len(found) > 1 else []

    async def troubles(self, role: str) -> tuple[str, ...]:
        """What a role says is wrong though it serves, a sentence each; nothing when it does not answer."""
        try:
            return msgspec.json.decode(await self._told(role, "/health"), type=_Health).troubles
        except msgspec.DecodeError:
            return ()

    async def report_taken(self, role: str, stream: str, incarnation: str, position: int) -> str:
        """Tells a role how much of its journal is stored here; returns what went wrong, empty when it was noted."""
        document = {"follower": "assurance", "incarnation": incarnation, "position": position}
        process = stream if stream in self.processes else role
        return await self._command("POST", process, f"/journal/{stream}", msgspec.json.encode(document))

    async def publish(self, document: bytes) -> str:
        """Hands the summary to the status role; returns what went wrong, empty when it was taken."""
        return await self._command_all("PUT", "status", "/publish", document)

    async def capacity_per_second(self, role: str) -> float | None:
        """Sign-ins, or messages, a second that `signin` or `sms` measures; None when it does not say.

        Processes that work beside each other measure it together.
        """
        told = await asyncio.gather(*map(self._capacity, self._several(role) or [role]))
        found = [each for each in told if each is not None]
        return sum(found) if found else None

    async def _capacity(self, process: str) -> float | None:
        try:
            per_second = float(msgspec.json.decode(await self._told(process, "/capacity"))["per_second"])
        except (msgspec.DecodeError, ValueError, KeyError, TypeError):
            return None
        return per_second if 0 < per_second < 1e6 else None

    async def channels(self) -> tuple[ChannelControl, ...] | None:
        """How the channels stand; None when playout does not say."""
        try:
            return channels_of(await self._told("playout", "/standings"))
        except msgspec.DecodeError:
            return None

    async def programmes(self, now: float) -> Programmes | None:
        """What is on, has lately been and will soon be; None when playout does not say."""
        since, until = now - PROGRAMMES_BEFORE_SECONDS, now + PROGRAMMES_AHEAD_SECONDS
        try:
            return programmes_of(await self._told("playout", f"/guide?from={since:.0f}&to={until:.0f}"))
        except msgspec.DecodeError:
            return None

    async def routes(self) -> tuple[RouteControl, ...] | None:
        """How the routes of messages stand; None when the SMS centre does not say."""
        try:
            return routes_of(await self._told("sms", "/routes"))
        except msgspec.DecodeError:
            return None

    async def line(self) -> LineControl | None:
        """How the line at the door stands; None when the door does not say."""
        try:
            return line_of(await self._told("door", "/steering"))
        except msgspec.DecodeError:
            return None

    async def steer_line(self, order: Mapping[str, object]) -> str:
        """Hands an order to the door; returns what went wrong, empty when it holds."""
        return await self._command("POST", "door", "/steering", msgspec.json.encode(order))

    async def switch_channel(self, channel: str, state: str, *, by: str) -> str:
        """Opens or closes a channel, or leaves it to the rule; returns what went wrong, empty when it was done."""
        return await self._command_all("PUT", "playout", f"/open/{quote(channel, safe='')}", _switch(state, by))

    async def switch_route(self, link: str, state: str, *, by: str) -> str:
        """Stops or opens a route; returns what went wrong, empty when it was done."""
        return await self._command("POST", "sms", f"/routes/{quote(link, safe='')}", _switch(state, by))

    async def complain(self, link: str, *, by: str) -> str:
        """Says that a partner complains of misdelivery; returns what went wrong, empty when it was noted."""
        document = msgspec.json.encode({"by": by})
        return await self._command("POST", "sms", f"/routes/{quote(link, safe='')}/complaints", document)

    async def partners(self) -> PartnersReport | None:
        """How the partners speak, and what waits for whom; None when the SMS centre does not say."""
        try:
            return partners_of(await self._told("sms", "/links"))
        except msgspec.DecodeError:
            return None

    async def quarantine(self, link: str) -> tuple[HeldEntry, ...] | None:
        """What is in quarantine, for a link (empty: for all); None when the SMS centre does not say."""
        try:
            return entries_of(await self._told("sms", f"/quarantine?link={quote(link, safe='')}"))
        except msgspec.DecodeError:
            return None

    async def quarantine_entry(self, identity: str) -> tuple[bool, ReleaseCheck | None]:
        """Whether the SMS centre answered, and what it says of one entry."""
        status, document = await self._asked("sms", f"/quarantine/{quote(identity, safe='')}")
        try:
            return True, examined_of(document if status == httpx.codes.OK else b"")
        except msgspec.DecodeError:
            return status == httpx.codes.NOT_FOUND, None

    async def say_of_quarantine(self, identity: str, action: str, *, by: str) -> str:
        """Has an entry released or discarded; returns what went wrong, empty when it was done."""
        document = msgspec.json.encode({"action": action, "by": by})
        return await self._command("POST", "sms", f"/quarantine/{quote(identity, safe='')}", document)

    async def devices(self, customer: str) -> tuple[CustomerDevice, ...] | None:
        """Where a customer is signed in; None when signin does not say."""
        try:
            return devices_of(await self._told("signin", f"/customers/devices?customer={quote(customer, safe='')}"))
        except msgspec.DecodeError:
            return None

    async def end_devices(self, customer: str, *, by: str) -> int | None:
        """Signs a customer out everywhere; of how many devices, None when signin does not say that it did."""
        wanted = msgspec.json.encode({"customer": customer, "by": by})
        try:
            return ended_of(await self._told("signin", "/customers/devices/end", wanted))
        except msgspec.DecodeError:
            return None

    async def password_link(self, customer: str, *, by: str) -> PasswordLink | None:
        """A link by which a customer sets a password, once; None when signin makes none."""
        wanted = msgspec.json.encode({"customer": customer, "by": by})
        try:
            return link_of(await self._told("signin", "/customers/password-link", wanted))
        except msgspec.DecodeError:
            return None

    async def trails(self, messages: Sequence[str]) -> tuple[Trail, ...] | None:
        """What happened to messages, those that are still kept; None when the SMS centre does not say."""
        if not messages:
            return ()
        try:
            return trails_of(await self._told("sms", "/trails", msgspec.json.encode({"messages": messages})))
        except msgspec.DecodeError:
            return None

    async def erase_trails(self, messages: Sequence[str], *, by: str) -> int | None:
        """Has erased what is known of messages that have ended; how many, None when the SMS centre does not say."""
        return await self._erased("sms", "/trails/erase", {"messages": messages, "by": by})

    async def held_by_signin(self, customer: str) -> dict[str, Any] | None:
        """All that signin holds of a customer; None when it does not say."""
        try:
            told = await self._told("signin", f"/customers/data?customer={quote(customer, safe='')}")
            return msgspec.json.decode(told, type=dict[str, Any])
        except msgspec.DecodeError:
            return None

    async def erase_in_signin(self, customer: str, *, by: str) -> int | None:
        """Has signin erase a customer, and who they are; None when it does not say that it did."""
        return await self._erased("signin", "/customers/erase", {"customer": customer, "by": by})

    async def _erased(self, role: str, path: str, wanted: dict[str, object]) -> int | None:
        try:
            told = await self._told(role, path, msgspec.json.encode(wanted))
            return msgspec.json.decode(told, type=dict[str, int])["erased"]
        except (msgspec.DecodeError, KeyError):
            return None

    async def send_message(self, account: str, password: str, sender: str, recipient: str, text: str) -> str | None:
        """Hands a text message to the SMS centre; returns its id, empty when it was not accepted.

        None: no answer came, or one that says so: nobody knows whether it was.
        """
        message = {"from": sender, "to": recipient, "text": text}
        try:
            async with asyncio.timeout(self._limits.command_seconds_max):
                response = await self._client.post(
                    f"{self._urls['sms']}/messages", json=message, auth=(account, password)
                )
            if response.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
                return None
            return str(response.raise_for_status().json()["id"])
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.HTTPStatusError):
            return ""
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError):
            return None

    async def close(self) -> None:
        await self._client.aclose()
        await self._direct.aclose()

    async def _told(self, role: str, path: str, wanted: bytes | None = None) -> bytes:
        """What a role tells whoever has its command key; empty when it tells nothing."""
        status, document = await self._asked(role, path, wanted)
        return document if httpx.codes.is_success(status) else b""

    async def _asked(self, role: str, path: str, wanted: bytes | None = None) -> tuple[int, bytes]:
        """The status and the body that a role answers, to a GET or to what is `wanted` of it; 0 when it does not."""
        if role not in self.processes:
            return 0, b""
        try:
            async with asyncio.timeout(self._limits.health_seconds_max):
                response = await self._client_for(role, path).request(
                    "GET" if wanted is None else "POST",
                    f"{self.processes[role]}{path}",
                    content=wanted,
                    headers=self._authorization(role),
                )
        except (httpx.HTTPError, TimeoutError):
            return 0, b""
        return response.status_code, response.content

    async def _command(self, method: str, role: str, path: str, document: bytes) -> str:
        """Tells a role to do something; returns what went wrong, empty when it was done."""
        headers = {"content-type": "application/json", **self._authorization(role)}
        try:
            async with asyncio.timeout(self._limits.command_seconds_max):
                response = await self._client_for(role, path, to_all=method == "PUT").request(
                    method, f"{self.processes[role]}{path}", content=document, headers=headers
                )
        except TimeoutError:
            return f"the {role} role does not answer"
        except httpx.HTTPError as error:
            return f"the {role} role cannot be reached ({type(error).__name__})"
        if response.status_code == httpx.codes.CONFLICT:  # it says why it must not be done
            return refused_because(response.content) or f"the {role} role answered {response.status_code}"
        return "" if response.is_success else f"the {role} role answered {response.status_code}"

    async def _command_all(self, method: str, role: str, path: str, document: bytes) -> str:
        """Tells every process of a role; returns what went wrong with any of them."""
        processes = self._several(role) or [role]
        troubles = await asyncio.gather(*(self._command(method, each, path, document) for each in processes))
        return "; ".join(filter(None, troubles))

    def _client_for(self, process: str, path: str, *, to_all: bool = False) -> httpx.AsyncClient:
        """What one process keeps for itself is asked of that one."""
        own = to_all or "/" in process or path == "/capacity" or path.startswith("/journal/")
        return self._direct if own and self._several(role_of(process)) else self._client

    def _authorization(self, role: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self._keys[role_of(role)]}"}


def _switch(state: str, by: str) -> bytes:
    return msgspec.json.encode({"state": state, "by": by})


def refused_because(document: bytes) -> str:
    """The line for people of a refusal; empty when there is none."""
    try:
        return str(msgspec.json.decode(document)["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return ""
