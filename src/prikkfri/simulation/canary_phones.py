"""Canary phones: they tell the message centre which canaries they got, and nothing of what else may reach them.

What a modem with a small script is to a real operator. A phone that has nothing to tell says so, which is a sign of
life: only then does the centre take it that a canary that is not there has not come.
"""

import asyncio
import contextlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field

import aiohttp

from prikkfri.simulation.people import TROUBLE
from prikkfri.sms.canaries.phones import token_of

TELL_SECONDS = 0.25
AGAIN_SECONDS = 1.0
TOKENS_MAX = 500
"""In one report of one phone."""


@dataclass
class CanaryPhones:
    """The canary phones of one network."""

    http: aiohttp.ClientSession
    network: str
    """The network's page, on which its phones show."""
    centre: str
    key: str = field(repr=False)
    """The canary phones' command key."""
    numbers: Collection[str]
    """Digits with country code."""
    tell_seconds: float = TELL_SECONDS
    _waiting: dict[str, list[str]] = field(default_factory=dict)
    """Tokens by phone that the centre has not taken yet."""
    _seen: bool = False
    """Whether what reaches the phones is seen just now."""

    async def run(self) -> None:
        """Tells until cancelled."""
        self._waiting = {number: [] for number in self.numbers}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look())
            tasks.create_task(self._tell())

    async def _look(self) -> None:
        while True:
            with contextlib.suppress(*TROUBLE):
                forever = aiohttp.ClientTimeout(total=None)
                async with self.http.get(f"{self.network}/events", timeout=forever) as events:
                    await self._read_screens()
                    self._seen = True
                    async for line in events.content:
                        if line.startswith(b"data: ") and b'"direction": "in"' in line:
                            entry = json.loads(line[6:])
                            self._got(entry["msisdn"], entry["text"])
            self._seen = False
            await asyncio.sleep(AGAIN_SECONDS)

    async def _read_screens(self) -> None:
        """What came while nobody looked."""
        async with self.http.get(f"{self.network}/phones") as response:
            for phone in (await response.json())["phones"]:
                for entry in phone["entries"]:
                    self._got(phone["msisdn"], entry["text"])

    def _got(self, number: str, text: str) -> None:
        if number in self._waiting and (token := token_of(text)):
            self._waiting[number].append(token)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(self.tell_seconds)
            if not self._seen:
                continue
            telling = {number: tokens[:TOKENS_MAX] for number, tokens in self._waiting.items()}
            report = [{"phone": f"+{number}", "tokens": tokens} for number, tokens in telling.items()]
            headers = {"Authorization": f"Bearer {self.key}"}
            with contextlib.suppress(*TROUBLE):
                address = f"{self.centre}/canaries/received"
                async with self.http.post(address, json={"phones": report}, headers=headers) as response:
                    if response.status == 200:
                        for number, tokens in telling.items():
                            del self._waiting[number][: len(tokens)]
