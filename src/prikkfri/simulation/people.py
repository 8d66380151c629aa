"""People at the edge of the house: they enter, wait, sign in, watch and switch channel over real sockets.

A person knows only what a customer knows. What they asked for and got is kept here, apart from the product, so that a
rehearsal can hold the product's list against it.
"""

import asyncio
import base64
import contextlib
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import cast
from urllib.parse import urljoin

import aiohttp

from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.door.waiting_room import LOOK_SECONDS, LOOK_SECONDS_MIN, LOOK_SHARE, POLL_SHARE
from prikkfri.simulation.demo import Person
from prikkfri.simulation.device_key import DeviceKey, DeviceSecret

ANSWER_SECONDS_MAX = 5.0
PATIENT_SECONDS = 2.0
"""After which the viewer looks for open channels."""
LINE_CACHED_SECONDS = 1.0
GREEN_SECONDS_MAX = 180.0
TROUBLE = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True)
class Addresses:
    """Where a customer's device finds the roles."""

    signin: str
    playout: str
    door: str
    viewer: str
    assurance: str

    @classmethod
    def of(cls, config: Config) -> "Addresses":
        roles = config.roles
        return cls(roles.signin.url, roles.playout.url, roles.door.url, roles.viewer.url, roles.assurance.url)


def device_pseudonym(number: int, *, seed: int) -> str:
    """A device's pseudonym in the form that the viewer makes."""
    content = number.to_bytes(8, "big") + seed.to_bytes(8, "big")
    return "d-" + base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass
class ViewerRequest:
    """What one person asked for, and what they got, by their own watch (seconds since 1970 UTC)."""

    subscriber_id: str
    asked_at: float
    got_at: float = 0.0
    """0: never."""
    device: str = ""
    """The pseudonym by which alone one is known who never got in."""
    refused: int = 0
    waited_in_line: bool = False
    saw_open_channel_at: float = 0.0
    """When the open channel was playing for somebody who stood outside; 0: never."""


def open_session(connections_max: int = 0) -> aiohttp.ClientSession:
    """One for many people: they share no cookies, and each request has a limit."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections_max, keepalive_timeout=20),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX),
    )


async def until_green(http: aiohttp.ClientSession, summary: str, clock: Clock, *, again_seconds: float = 1.0) -> float:
    """When the status page (its summary's address) is green; 0 when it has not been for `GREEN_SECONDS_MAX`."""
    give_up_at = clock.now() + GREEN_SECONDS_MAX
    while clock.now() < give_up_at:
        with contextlib.suppress(*TROUBLE):
            async with http.get(summary) as response:
                if (await response.json())["status"]["indicator"] == "none":
                    return clock.now()
        await asyncio.sleep(again_seconds)
    return 0.0


@dataclass
class LineView:
    """Where the front of the line is, as one who waits sees it; many people may share one, as behind a cache."""

    http: aiohttp.ClientSession = field(repr=False)
    address: str
    clock: Clock
    _told: Mapping[str, object] = field(default_factory=dict, repr=False)
    _told_at: float = 0.0

    async def wait_s(self, position: float) -> float | None:
        """Of somebody there, None: nothing is said of it."""
        if self.clock.now() - self._told_at >= LINE_CACHED_SECONDS:
            self._told_at = self.clock.now()
            with contextlib.suppress(*TROUBLE):
                async with self.http.get(self.address) as response:
                    self._told = dict(await response.json()) if response.status == 200 else {}
        turns = cast("Sequence[tuple[float, int, float]]", self._told.get("turns", ()))
        at = bisect_left(turns, position, key=lambda turn: turn[0])
        if at == len(turns):
            return None
        (start, _, least), (end, _, most) = turns[max(0, at - 1)], turns[at]
        return least + (most - least) * ((position - start) / (end - start) if end > start else 1.0)


@dataclass
class Viewer:
    """A subscriber with a device."""

    person: Person
    device: str
    password: str = field(repr=False)
    http: aiohttp.ClientSession = field(repr=False)
    at: Addresses
    clock: Clock
    device_token: str = field(default="", repr=False)
    playback_token: str = field(default="", repr=False)
    key: DeviceKey | DeviceSecret = field(default_factory=DeviceKey, repr=False)
    line: LineView | None = field(default=None, repr=False)
    """Shared with others; None: their own."""
    _shown: set[str] = field(default_factory=set, repr=False)
    """Passes with which they have come back to the door."""

    async def sign_in(self, *, give_up_at: float, asked: ViewerRequest | None = None) -> ViewerRequest:
        """Enters, waits as told, signs in; tries again as told until `give_up_at`."""
        asked = asked or ViewerRequest(self.person.subscriber_id, self.clock.now())
        admission = ""
        ticket = ""
        while self.clock.now() < give_up_at:
            pause = 1.0
            try:
                if not admission:
                    answer = await self._wait_in_line(ticket)
                    admission, ticket = str(answer.get("admitted", "")), str(answer.get("ticket", ""))
                    if ticket:
                        asked.waited_in_line = True
                        if answer.get("open") and not asked.saw_open_channel_at:
                            asked.saw_open_channel_at = await self._watch_open_channel(str(answer["open"]))
                        await self._wait_for_question(answer)
                        continue
                if not ticket:
                    pause = await self._submit_and_look_round(admission, asked)
                    if asked.got_at:
                        return asked
                    await self._meets_trouble(asked)
            except TROUBLE:
                await self._come_back(admission)
                await self._meets_trouble(asked)
            await asyncio.sleep(pause)
        return asked

    async def was_hit(self, *, since: float) -> bool | None:
        """Asks whether a fault has hit them in what they asked for `since` then; None: no answer."""
        headers = {"Authorization": f"Bearer {self.device_token}", **self._origin}
        try:
            async with self.http.get(f"{self.at.assurance}/was-i-hit", headers=headers) as response:
                if response.status != 200:
                    return None
                return any(each["asked_at"] >= since for each in (await response.json())["incidents"])
        except TROUBLE:
            return None

    async def watch(self, channel: str, *, segments: int = 1) -> str:
        """Fetches the playlist of a channel and its newest segments; says what did not come, empty when all did."""
        if not self.playback_token:
            return "no playback token"
        return await self._fetch_stream(f"{self.at.playout}/live/{self.playback_token}/{channel}/index.m3u8", segments)

    async def renew(self) -> bool:
        """Turns the device token into a fresh playback token at the door."""
        headers = {"Authorization": f"Bearer {self.device_token}"}
        try:
            async with self.http.post(f"{self.at.door}/playback-token", headers=headers) as response:
                if response.status != 200:
                    return False
                self.playback_token = (await response.json())["playback_token"]
                return True
        except TROUBLE:
            return False

    async def _wait_in_line(self, ticket: str) -> Mapping[str, object]:
        """The door's answer; without a door, an empty one: then the person goes on without a pass."""
        try:
            if ticket:
                shown = {"ticket": ticket, "proof": self.key.proof("enter", ticket)}
                async with self.http.get(f"{self.at.door}/waiting", params=shown) as response:
                    if response.status == 200:
                        return dict(await response.json())
            body = {"device": self.device, **self.key.names}
            async with self.http.post(f"{self.at.door}/enter", json=body, headers=self._origin) as r:
                if r.status == 200:
                    return dict(await r.json())
                await asyncio.sleep(_seconds(r.headers.get("Retry-After"), 1.0))
        except TROUBLE:
            pass
        return {}

    async def _wait_for_question(self, answer: Mapping[str, object]) -> None:
        """Until it is time to ask again: as told, or sooner where the line is seen to move faster, as the page does."""
        line = self.line or LineView(self.http, f"{self.at.door}/line", self.clock)
        position, now = float(cast(float, answer.get("position") or 0.0)), self.clock.now()
        ask_at = now + _seconds(answer.get("poll_after_s"), 1.0)
        turn_at = now + _seconds(answer.get("wait_s"), inf)
        while (now := self.clock.now()) < ask_at:
            look_s = min(LOOK_SECONDS, max(LOOK_SECONDS_MIN, LOOK_SHARE * (turn_at - now)))
            if ask_at - now <= look_s:
                await asyncio.sleep(ask_at - now)
                return
            await asyncio.sleep(look_s)
            if (wait_s := await line.wait_s(position)) is not None:
                turn_at = self.clock.now() + wait_s
                if turn_at < ask_at:
                    ask_at = self.clock.now() + POLL_SHARE * wait_s

    async def _come_back(self, admission: str) -> None:
        """Shows the door the pass to which sign-in has given no answer: so it knows that there is somebody."""
        if admission and admission not in self._shown:
            self._shown.add(admission)
            with contextlib.suppress(*TROUBLE):
                async with self.http.get(f"{self.at.door}/waiting", params={"ticket": admission}):
                    pass

    async def _meets_trouble(self, asked: ViewerRequest) -> None:
        """Sees an error, and beside it, as the viewer shows them, the channels that need no sign-in."""
        asked.refused += 1
        if not asked.saw_open_channel_at:
            asked.saw_open_channel_at = await self._watch_open_channel(f"{self.at.playout}/open")

    async def _submit_and_look_round(self, admission: str, asked: ViewerRequest) -> float:
        """Signs in once, and looks at what is open while that takes long; returns the pause before the next try."""
        submitting = asyncio.create_task(self._submit(admission, asked))
        try:
            done, _ = await asyncio.wait({submitting}, timeout=PATIENT_SECONDS)
            if not done and not asked.saw_open_channel_at:
                asked.saw_open_channel_at = await self._watch_open_channel(f"{self.at.playout}/open")
            return await submitting
        finally:
            submitting.cancel()  # whoever leaves takes the question along

    async def _submit(self, admission: str, asked: ViewerRequest) -> float:
        """Signs in once; returns the pause before the next try."""
        body = {"login": self.person.email, "password": self.password, "device": self.device}
        if admission:
            body |= {"pass": admission, "proof": self.key.proof("sign-in", admission)}
        async with self.http.post(f"{self.at.signin}/sign-in", json=body, headers=self._origin) as response:
            if response.status == 200:
                answer = await response.json()
                self.device_token, self.playback_token = answer["device_token"], answer["playback_token"]
                asked.got_at = self.clock.now()
            return _seconds(response.headers.get("Retry-After"), 1.0)

    async def _watch_open_channel(self, address: str) -> float:
        """When an open channel was playing; 0 when none did."""
        try:
            async with self.http.get(address) as response:
                channels = await response.json()
        except TROUBLE:
            return 0.0
        for channel in channels:
            if not await self._fetch_stream(urljoin(address + "/", f"/open/{channel['id']}/index.m3u8"), 1):
                return self.clock.now()
        return 0.0

    async def _fetch_stream(self, playlist: str, segments: int) -> str:
        """What did not come; empty when all did."""
        try:
            async with self.http.get(playlist) as response:
                if response.status != 200:
                    return f"playlist: {response.status}"
                text = await response.text()
            if inner := re.search(r"^#EXT-X-STREAM-INF.*\n(\S+)", text, re.MULTILINE):
                return await self._fetch_stream(urljoin(playlist, inner[1]), segments)
            names = [line for line in text.splitlines() if line and not line.startswith("#")]
            for name in names[-segments:]:
                async with self.http.get(urljoin(playlist, name)) as response:
                    if response.status != 200 or not await response.read():
                        return f"segment: {response.status}"
            return "" if names else "playlist: empty"
        except TROUBLE as error:
            return type(error).__name__

    @property
    def _origin(self) -> dict[str, str]:
        return {"Origin": self.at.viewer}


def _seconds(value: object, otherwise: float) -> float:
    try:
        return min(max(float(str(value)), 0.05), 30.0)
    except ValueError:
        return otherwise
