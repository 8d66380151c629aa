"""The operator's customer service: people call it, and its own system hands in who did, as an operator's would."""

import asyncio
import contextlib
import random
import secrets
from collections import deque

import aiohttp

from prikkfri.assurance.response.http import CONTACTS_PATH
from prikkfri.clock import Clock
from prikkfri.simulation.people import TROUBLE

HAND_IN_SECONDS = 10.0
WAITING_MAX = 1_000
"""Contacts that could not be handed in yet; past that the oldest are given up."""
AGAIN_SECONDS = 600.0
"""Whoever has called does not call again so soon."""
QUESTION_SECONDS = 90.0
"""About so long after each other somebody asks about a bill."""


class CustomerService:
    """`key`: the command key of assurance."""

    def __init__(self, http: aiohttp.ClientSession, assurance: str, key: str, clock: Clock) -> None:
        self._http, self._url, self._key, self._clock = http, f"{assurance}{CONTACTS_PATH}", key, clock
        self._run = secrets.token_hex(4)
        self._called = 0
        self._waiting: deque[str] = deque(maxlen=WAITING_MAX)
        self._last: dict[str, float] = {}
        self.handed_in = 0

    def call(self, service: str, kind: str, who: str = "") -> None:
        """Somebody calls; `who` calls once in a while only."""
        now = self._clock.now()
        if who and now - self._last.get(who, 0.0) < AGAIN_SECONDS:
            return
        if who:
            self._last[who] = now
        self._called += 1
        self._waiting.append(f"{self._run}-{self._called},{now:.3f},{service},{kind},telephone")

    async def hand_in(self) -> None:
        """Once, what has not been handed in; what is not taken is kept."""
        rows = [*self._waiting]
        if not rows:
            return
        text = "\n".join(["id,at,service,kind,channel", *rows])
        headers = {"authorization": f"Bearer {self._key}", "content-type": "text/csv"}
        with contextlib.suppress(*TROUBLE):
            async with self._http.post(self._url, data=text.encode(), headers=headers) as response:
                if response.status == 200:
                    self.handed_in += len(rows)
                    for _ in rows:
                        self._waiting.popleft()

    async def work(self) -> None:
        """Hands in every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(HAND_IN_SECONDS)
            await self.hand_in()

    async def be_asked(self, lots: random.Random) -> None:
        """Somebody asks about a bill now and then, whatever else happens."""
        while True:
            await asyncio.sleep(lots.expovariate(1 / QUESTION_SECONDS))
            self.call("television", "bill")
