"""The live view: what the overview shows, once a second, for everybody who watches at the same time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from prikkfri.assurance.overview import Chart, Overview
from prikkfri.assurance.service import Assurance
from prikkfri.clock import Clock
from prikkfri.errors import StorageError

LIVE_SECONDS = 1.0
WATCHERS_MAX = 200
WATCH_SECONDS_MAX = 600
"""After that the browser comes again by itself, and its session is looked at anew."""
TAIL_SECONDS = 60
"""How far back an event tells the chart anew, for outcomes that came late."""
WINDOWS = {"15m": (900, 5), "1h": (3_600, 20), "6h": (21_600, 120)}
"""What the chart can show: seconds in all, and seconds of a period."""

Render = Callable[[Overview], dict[str, str]]
"""The parts of the page that change, by the id of their place."""


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


class Live:
    """One look at the database a second, however many watch; none when nobody does."""

    def __init__(self, assurance: Assurance, *, render: Render, clock: Clock) -> None:
        self.watchers = 0
        self._assurance = assurance
        self._render = render
        self._clock = clock
        self._looking = asyncio.Lock()
        self._events: dict[str, tuple[float, bytes]] = {}

    async def events(self, window: str) -> AsyncIterator[bytes]:
        """Server-sent events until the watcher goes or has watched for `WATCH_SECONDS_MAX`."""
        self.watchers += 1
        began = self._clock.monotonic()
        try:
            yield b"retry: 2000\n\n"
            while self._clock.monotonic() - began < WATCH_SECONDS_MAX:
                yield await self._event(window)
                await asyncio.sleep(LIVE_SECONDS)
        finally:
            self.watchers -= 1

    async def _event(self, window: str) -> bytes:
        async with self._looking:
            made_at, event = self._events.get(window, (-LIVE_SECONDS, b""))
            if self._clock.monotonic() - made_at >= LIVE_SECONDS * 0.9:
                event = await self._look(window)
                self._events[window] = (self._clock.monotonic(), event)
            return event

    async def _look(self, window: str) -> bytes:
        _, period = WINDOWS[window]
        try:
            seen = await self._assurance.overview()
            tail = await self._assurance.chart(seconds=max(TAIL_SECONDS, 3 * period), period=period)
        except StorageError as error:
            trouble = json.dumps({"at": self._clock.now(), "trouble": str(error)})
            return f"event: trouble\ndata: {trouble}\n\n".encode()
        document = {"at": seen.at, "html": self._render(seen), "chart": chart_document(tail)}
        return f"event: overview\ndata: {json.dumps(document)}\n\n".encode()
