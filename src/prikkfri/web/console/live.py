"""The live view: what a page shows, once a second, for everybody who watches at the same time."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from prikkfri.assurance.overview import Chart, Overview
from prikkfri.assurance.service import Assurance
from prikkfri.clock import Clock
from prikkfri.errors import StorageError
from prikkfri.protocols.asgi import Receive, Send, Stream, until_disconnect

TAIL_SECONDS = 60
"""How far back an event tells the chart anew, for outcomes that came late."""
WINDOWS = {"15m": (900, 5), "1h": (3_600, 20), "6h": (21_600, 120)}
"""What the chart can show: seconds in all, and seconds of a period."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often the live view tells, how long and to how many."""

    live_seconds: float = 1.0
    looking_share_max: float = 0.1
    """Looking takes at most this part of the time: what is slow to find out is shown less often."""
    watchers_max: int = 200
    watch_seconds_max: float = 600.0
    """After that the browser comes again by itself, and its session is looked at anew."""


PACE = Pace()
Parts = dict[str, str]
"""What of a page changes, by the id of its place."""
Look = Callable[[str], Awaitable[dict[str, Any]]]
"""What is to be shown of a subject: `at`, `html` and whatever else its page takes. Raises `StorageError`."""


def chart_document(shown: Chart) -> dict[str, Any]:
    """The chart for the browser: times in seconds, and for each line its place and its figures a second."""
    return {
        "period": shown.period_seconds,
        "times": shown.times,
        "series": [
            {
                "key": f"{line.service}/{line.step}{'' if line.observed else '/reported'}",
                "service": line.service,
                "name": line.step if line.observed else f"{line.step} (reported)",
                "kept": [round(value, 3) for value in line.kept],
                "broken": [round(value, 3) for value in line.broken],
            }
            for line in shown.series
        ],
    }


def read_overview(assurance: Assurance, render: Callable[[Overview], Awaitable[Parts]]) -> Look:
    """Looks at the overview with a chart of a window."""

    async def look(window: str) -> dict[str, Any]:
        _, period = WINDOWS[window]
        seen = await assurance.overview()
        tail = await assurance.chart(seconds=max(TAIL_SECONDS, 3 * period), period=period)
        return {"at": seen.at, "html": await render(seen), "chart": chart_document(tail)}

    return look


def stream_of(parts: AsyncGenerator[bytes, None]) -> Stream:
    """Sends `parts` as they come, until they end or the client leaves; they are closed then."""

    async def stream(receive: Receive, send: Send) -> None:
        async def tell() -> None:
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        telling, left = asyncio.ensure_future(tell()), asyncio.ensure_future(until_disconnect(receive))
        try:
            await asyncio.wait((telling, left), return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            telling.cancel()
            try:
                await asyncio.gather(telling, left)
            except asyncio.CancelledError:
                pass
            finally:
                await parts.aclose()

    return stream


class LiveUpdates:
    """One look at each subject a second, however many watch; none when nobody does."""

    def __init__(self, look: Look, *, clock: Clock, pace: Pace) -> None:
        self._look = look
        self._clock = clock
        self._pace = pace
        self._looking = asyncio.Lock()
        self._watching: Counter[str] = Counter()
        self._events: dict[str, tuple[float, bytes]] = {}
        """The last event of each subject, and until when it is new enough."""

    @property
    def watchers(self) -> int:
        return self._watching.total()

    @property
    def full(self) -> bool:
        """Whether one more would be too many."""
        return self.watchers >= self._pace.watchers_max

    async def events(self, subject: str) -> AsyncGenerator[bytes, None]:
        """Server-sent events until the watcher goes or has watched for `watch_seconds_max`."""
        self._watching[subject] += 1
        began = self._clock.monotonic()
        try:
            yield b"retry: 2000\n\n"
            last = b""
            while self._clock.monotonic() - began < self._pace.watch_seconds_max:
                event = await self._event(subject)
                yield event if event is not last else b"event: same\ndata: {}\n\n"
                last = event
                await asyncio.sleep(self._pace.live_seconds)
        finally:
            self._watching[subject] -= 1
            if not self._watching[subject]:
                del self._watching[subject]
                self._events.pop(subject, None)

    async def _event(self, subject: str) -> bytes:
        async with self._looking:
            until, event = self._events.get(subject, (-math.inf, b""))
            began = self._clock.monotonic()
            if began >= until:
                event = await self._look_now(subject)
                cost = self._clock.monotonic() - began
                pause = max(self._pace.live_seconds * 0.9, cost / self._pace.looking_share_max)
                self._events[subject] = (began + pause, event)
            return event

    async def _look_now(self, subject: str) -> bytes:
        try:
            name, document = "seen", await self._look(subject)
        except StorageError as error:
            name, document = "trouble", {"at": self._clock.now(), "trouble": str(error)}
        return f"event: {name}\ndata: {json.dumps(document)}\n\n".encode()
