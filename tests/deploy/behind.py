"""Roles for a proxy to stand before: what they were asked, by whom, as far as they know."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from prikkfri.app.connections import Connections, Limits
from prikkfri.app.roles import build
from prikkfri.app.serving import listen, serve, with_health
from prikkfri.clock import SystemClock
from prikkfri.config import ROLES, Config

STREAM = "/live"
"""Where the console's live view is told as it happens."""


class Roles:
    """The door as it is; in the place of the others what tells what it was asked. Each on the port of its role."""

    def __init__(self, config: Config) -> None:
        self.held = threading.Event()
        """The rest of a stream is told when this is set."""
        self.line_asked = 0
        """How often the door itself was asked where the front is."""
        self._config = config
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._applications: dict[str, ASGIApp] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._close: Callable[[], Coroutine[Any, Any, None]]

    def start(self) -> None:
        self._thread.start()
        self._do(self._start())

    def stop(self) -> None:
        self.held.set()
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def without(self, role: str) -> Iterator[None]:
        """Nobody answers in its place meanwhile."""
        self._do(self._end(role))
        try:
            yield
        finally:
            self._do(self._serve(role))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> None:
        door = await build("door", self._config, SystemClock())
        self._close = door.close  # type: ignore[assignment]
        for role in ROLES:
            self._applications[role] = self._counting(door.application) if role == "door" else self._telling(role)
            await self._serve(role)

    async def _stop(self) -> None:
        for role in list(self._serving):
            await self._end(role)
        await self._close()

    async def _serve(self, role: str) -> None:
        trusting = Connections(Limits(), self._config.trusted_proxies)
        application = with_health(self._applications[role], role, dict)
        sockets = listen(self._config.roles.edge(role).port, "loopback")
        self._serving[role] = asyncio.create_task(serve(application, sockets, connections=trusting))

    async def _end(self, role: str) -> None:
        serving = self._serving.pop(role)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    def _counting(self, door: ASGIApp) -> ASGIApp:
        async def count(scope: Scope, receive: Receive, send: Send) -> None:
            self.line_asked += scope["path"] == "/line"
            await door(scope, receive, send)

        return count

    def _telling(self, role: str) -> ASGIApp:
        async def tell(scope: Scope, receive: Receive, send: Send) -> None:
            asked: Mapping[str, Any] = {
                "role": role, "method": scope["method"], "path": scope["path"], "client": scope["client"][0],
                "scheme": scope["scheme"], "headers": {n.decode(): v.decode() for n, v in scope["headers"]},
            }  # fmt: skip
            live = role == "assurance" and scope["path"] == STREAM
            kind = b"text/event-stream; charset=utf-8" if live else b"application/json"
            headers = [(b"content-type", kind), (b"x-accel-buffering", b"no")] if live else [(b"content-type", kind)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if live:
                await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})
                await asyncio.to_thread(self.held.wait, 60)
            body = b"data: second\n\n" if live else json.dumps(asked).encode()
            await send({"type": "http.response.body", "body": body})

        return tell
