"""A playout that is served over real HTTP, in a thread with a loop of its own."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from waiting import WAIT_SECONDS_MAX, until

from prikkfri.clock import Clock
from prikkfri.config import Channel, Streaming
from prikkfri.journal.outcomes import Outcome
from prikkfri.protocols import cat
from prikkfri.streaming.http import application
from prikkfri.streaming.limits import Limits
from prikkfri.streaming.pictures import PICTURE
from prikkfri.streaming.service import Playout

VIEWER = "http://localhost:8080"
COMMAND_KEY = "the key of playout"
DEVICE_TOKEN_ID = b"0123456789abcdef"
QUICK = Limits(housekeeping_seconds=0.02, keys_refresh_seconds=0.01, picture_told_seconds=0.1)
"""What is only a matter of patience takes no time."""


class ServedPlayout:
    """What a test needs to watch, to issue tokens, and to see what was recorded."""

    def __init__(
        self, folder: Path, channels: tuple[Channel, ...], clock: Clock, *, segment_seconds: float = 0.4
    ) -> None:
        self.folder = folder
        self.outcomes: list[Outcome] = []
        """All but what is told of pictures, which concerns nobody's promise."""
        self.pictures: list[tuple[str, str]] = []
        """What was told of the channels' pictures: verdict and reason."""
        self.private_key = ec.generate_private_key(ec.SECP256R1())
        self.keys_folder = folder / "playback-keys"
        self.keys_folder.mkdir()
        self.publish_key("door", self.private_key)
        self.revocations_path = folder / "revoked.json"
        self.playout = Playout(
            channels,
            Streaming(segment_seconds=segment_seconds, window_seconds=20.0, timezone="UTC"),  # a day is a day
            folder=folder,
            keys_path=self.keys_folder,
            revocations_path=self.revocations_path,
            record=self._record,
            clock=clock,
            limits=QUICK,
        )
        config = uvicorn.Config(
            application(self.playout, VIEWER, COMMAND_KEY), port=0, log_config=None, access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.url = ""
        self.client = httpx.Client(timeout=WAIT_SECONDS_MAX)

    def publish_key(self, issuer: str, key: ec.EllipticCurvePrivateKey) -> None:
        document = {"keys": [cat.public_jwk(key.public_key(), f"{issuer}-1")]}
        (self.keys_folder / f"{issuer}.json").write_text(json.dumps(document))

    def token(
        self, *packages: str, subscriber: str = "s-1", age_s: float = 0.0, token_id: bytes = DEVICE_TOKEN_ID
    ) -> str:
        issued = time.time() - age_s
        return cat.issue(self.private_key, "door-1", "door", subscriber, packages, issued, 3600.0, token_id)

    def get(self, path: str, **options: object) -> httpx.Response:
        return self.client.get(self.url + path, **options)  # type: ignore[arg-type]

    def recorded(self, customer: str) -> list[tuple[str, str, str]]:
        return [
            (outcome.verdict, outcome.reason, outcome.dimensions["channel"])
            for outcome in self.outcomes
            if outcome.customer == customer
        ]

    async def _serve(self) -> None:
        running = asyncio.create_task(self.playout.run())
        await self._server.serve()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    def _record(self, outcome: Outcome) -> None:
        if outcome.step == PICTURE:
            self.pictures.append((outcome.verdict, outcome.reason))
        else:
            self.outcomes.append(outcome)

    @contextmanager
    def running(self) -> Iterator["ServedPlayout"]:
        self._thread.start()
        try:
            until(lambda: self._server.started)
            port = self._server.servers[0].sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{port}"
            yield self
        finally:
            self.client.close()
            self._server.should_exit = True
            self._thread.join(WAIT_SECONDS_MAX)
            assert not self._thread.is_alive()


Serve = Callable[..., ServedPlayout]
"""Serves the channels that it is given until the test ends."""
