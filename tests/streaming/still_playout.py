"""A playout whose channels stand still and whose clock moves when it is told to: the edge and all its decisions,
without an encoder and without a wait."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from waiting import eventually

from prikkfri.clock import ManualClock
from prikkfri.config import Channel, Streaming
from prikkfri.journal.outcomes import Outcome
from prikkfri.protocols import cat
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.streaming.http import application
from prikkfri.streaming.limits import Limits
from prikkfri.streaming.pictures import PICTURE
from prikkfri.streaming.playout import LiveView
from prikkfri.streaming.service import Playout

VIEWER = "http://localhost:8080"
COMMAND_KEY = "the key of playout"
DEVICE = b"0123456789abcdef"
"""The id of a device token: with it the ids of its playback tokens begin."""
HOUR = 3600.0
QUICK = Limits(housekeeping_seconds=0.002, sign_in_asked_seconds=0.002)
INDEX, MEDIA, SEGMENT = "index.m3u8", "media.m3u8", "7.m4s"
NEWS = Channel(id="news", name="News", number=1, package="basic")
SPORT = Channel(id="sport", name="Sport", number=2, package="sport")
SQUARE = Channel(id="square", name="Square", number=3, package="basic", open=True)


class StillChannel:
    """A channel with one segment that never ages, until a test says when it ended."""

    def __init__(self, channel: Channel, clock: ManualClock) -> None:
        self.feed = SimpleNamespace(on_air="source")
        self.runs = 1
        self.started = self.stopped = self.joined = 0
        self._files = {SEGMENT: f"segment of {channel.id}".encode(), "init-7.mp4": b"init"}
        self._clock = clock
        self._ended_at: float | None = None

    @property
    def live(self) -> LiveView:
        end = self._clock.now() if self._ended_at is None else self._ended_at
        return LiveView(b"#EXTM3U\n#media\n", b"#EXTM3U\n#index\n", self._files, end)

    def stalls(self) -> None:
        self._ended_at = self._clock.now()

    def goes_on(self) -> None:
        self._ended_at = None

    def start(self) -> None:
        self.started += 1

    def stop(self) -> None:
        self.stopped += 1

    def join(self) -> None:
        self.joined += 1


class StillPlayout:
    """What a test needs to watch, to issue tokens, to pass time and to see what was recorded."""

    def __init__(
        self,
        folder: Path,
        *channels: Channel,
        settings: Streaming | None = None,
        sign_in_trouble: Callable[[], Awaitable[str]] | None = None,
        limits: Limits = QUICK,
        trusted_proxies: tuple[str, ...] = (),
    ) -> None:
        self.clock = ManualClock()
        self.outcomes: list[Outcome] = []
        """All but what is told of pictures, which concerns nobody's promise."""
        self.pictures: list[Outcome] = []
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.keys_folder = folder / "playback-keys"
        self.keys_folder.mkdir(exist_ok=True)
        self.revocations = folder / "revoked.json"
        self.new_key("door")
        self.playout = Playout(
            channels or (NEWS, SPORT, SQUARE),
            settings or Streaming(),
            folder=folder,
            keys_path=self.keys_folder,
            revocations_path=self.revocations,
            record=self._record,
            clock=self.clock,
            sign_in_trouble=sign_in_trouble,
            limits=limits,
            put_on_air=lambda channel: StillChannel(channel, self.clock),
            device_tokens=DeviceTokens(folder, self.clock),
            trusted_proxies=trusted_proxies,
        )
        self.application = application(self.playout, VIEWER, COMMAND_KEY)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.application), base_url="http://playout")

    def _record(self, outcome: Outcome) -> None:
        (self.pictures if outcome.step == PICTURE else self.outcomes).append(outcome)

    def told_gone(self, channel: str) -> bool:
        """Whether the last that was told of its picture is that it has gone."""
        told = [each.verdict for each in self.pictures if each.dimensions["channel"] == channel]
        return told[-1:] == ["broken"]

    def new_key(self, issuer: str) -> None:
        """The issuer signs with a new key from now on, and has published it."""
        self.keys[issuer] = ec.generate_private_key(ec.SECP256R1())
        document = {"keys": [cat.public_jwk(self.keys[issuer].public_key(), f"{issuer}-1")]}
        (self.keys_folder / f"{issuer}.json").write_text(json.dumps(document))

    def token(
        self,
        *packages: str,
        subscriber: str = "s-1",
        device: bytes = DEVICE,
        issuer: str = "door",
        age_s: float = 0.0,
        lifetime_s: float = HOUR,
    ) -> str:
        issued = self.clock.now() - age_s
        key = self.keys[issuer]
        return cat.issue(key, f"{issuer}-1", issuer, subscriber, packages, issued, lifetime_s, device + b"-token-1")

    def revoke(self, *devices: bytes) -> None:
        """The list is written anew, now."""
        names = [base64.urlsafe_b64encode(device).rstrip(b"=").decode() for device in devices]
        self.revocations.write_text(json.dumps({"as_of": self.clock.now(), "device_tokens": names}))

    async def until_revocations_of(self, as_of: float) -> None:
        age = "prikkfri_playout_revocation_list_age_seconds"
        await eventually(lambda: self.playout.metrics().get(age) == self.clock.now() - as_of)

    async def watch(self, token: str, channel: str = "news", name: str = MEDIA) -> tuple[int, str]:
        """The status, and the error if there is one."""
        answer = await self.http.get(f"/live/{token}/{channel}/{name}")
        return answer.status_code, "" if answer.is_success else answer.json()["error"]

    async def open_to_all(self) -> set[str]:
        """The channels whose stream is had without a token; the list of those that are open says the same."""
        found = set()
        for channel in self.playout.on_air:
            answers = {(await self.http.get(f"/open/{channel}/{name}")).status_code for name in (INDEX, MEDIA, SEGMENT)}
            assert len(answers) == 1
            found |= {channel} if answers == {200} else set()
        assert found == {channel["id"] for channel in (await self.http.get("/open")).json()}
        return found

    async def say(self, channel: str, state: str, by: str = "Kari", key: str = COMMAND_KEY) -> int:
        asked = {"state": state, "by": by}
        return (await self.http.put(f"/open/{channel}", json=asked, headers=bearer(key))).status_code

    def steps(self, customer: str = "") -> list[tuple[str, str, str, str]]:
        """What was recorded of a customer: step, verdict, reason, channel."""
        return [
            (outcome.step, outcome.verdict, outcome.reason, outcome.dimensions["channel"])
            for outcome in self.outcomes
            if outcome.customer == customer
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["StillPlayout"]:
        running = asyncio.create_task(self.playout.run())
        try:
            await eventually(lambda: running.done() or all(each.started for each in self.playout.on_air.values()))
            yield self
            assert not running.done(), "playout came to an end by itself"
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self.http.aclose()


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}
