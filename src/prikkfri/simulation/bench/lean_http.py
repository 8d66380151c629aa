"""HTTP for many people on one core: what they use of aiohttp's client, at a fraction of its CPU.

A crowd of four hundred a second asks more often than aiohttp can on the core that it shares with the door. Connections
are kept open and go to whoever asks next; one whose owner leaves before the answer is closed, as a browser does.
"""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

ANSWER_SECONDS_MAX = 5.0
_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """By their names in small letters; `get` takes them as they are usually written."""
    body: bytes

    async def json(self) -> Any:
        return json.loads(self.body)

    async def text(self) -> str:
        return self.body.decode()

    async def read(self) -> bytes:
        return self.body


class _Headers(dict[str, str]):
    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class LeanSession:
    """`get` and `post` as aiohttp's session has them. What fails raises `OSError` or `TimeoutError`."""

    def __init__(self, *, answer_seconds_max: float = ANSWER_SECONDS_MAX) -> None:
        self._answer_seconds_max = answer_seconds_max
        self._idle: defaultdict[tuple[str, int], list[_Ends]] = defaultdict(list)
        self._closed = False
        self.asked = 0

    def get(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> contextlib.AbstractAsyncContextManager[Answer]:
        return self._ask("GET", f"{url}?{urlencode(params)}" if params else url, headers or {}, b"")

    def post(
        self, url: str, *, json: object = None, headers: Mapping[str, str] | None = None
    ) -> contextlib.AbstractAsyncContextManager[Answer]:
        return self._ask("POST", url, headers or {}, b"" if json is None else _written(json))

    def close(self) -> None:
        """What is still under way is closed when it ends."""
        self._closed = True
        for ends in self._idle.values():
            for _, writer in ends:
                writer.close()
        self._idle.clear()

    @contextlib.asynccontextmanager
    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> AsyncIterator[Answer]:
        self.asked += 1
        parts = urlsplit(url)
        place = (parts.hostname or "localhost", parts.port or 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {path} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}"]
        lines += ["content-type: application/json"] if body else []
        lines += [f"{name}: {value}" for name, value in headers.items()]
        octets = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        async with asyncio.timeout(self._answer_seconds_max):
            answer = await self._exchange(place, octets)
        yield answer

    async def _exchange(self, place: tuple[str, int], octets: bytes) -> Answer:
        while idle := self._idle[place]:
            ends = idle.pop()
            # One that the other side has closed meanwhile says nothing: the question goes by a new one.
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                return await self._asked(place, ends, octets)
        # "localhost" is looked up in another thread, which many at once wait for.
        host = "127.0.0.1" if place[0] == "localhost" else place[0]
        ends = await asyncio.open_connection(host, place[1])
        try:
            return await self._asked(place, ends, octets)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError(f"{place[0]}:{place[1]} said only {error.partial[:40]!r}") from None

    async def _asked(self, place: tuple[str, int], ends: _Ends, octets: bytes) -> Answer:
        reader, writer = ends
        whole = False
        try:
            writer.write(octets)
            answer = await _read(reader)
            whole = True
        finally:
            if self._closed or not whole or answer.headers.get("connection") == "close":
                writer.close()
            else:
                self._idle[place].append(ends)
        return answer


def _written(document: object) -> bytes:
    return json.dumps(document).encode()


async def _read(reader: asyncio.StreamReader) -> Answer:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = _Headers()
    for line in rest:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(first.split(" ")[1]), headers, body)
