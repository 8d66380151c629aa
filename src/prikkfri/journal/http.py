"""A journal for followers on another machine: `GET /journal/STREAM?after=POSITION`, with the role's command key.

The answer is a `Batches` in MessagePack, compressed for whoever can read that; a follower goes on from the position
that it has stored, whatever became of the last answer. How far it has stored it tells by `POST /journal/STREAM`: that
is kept beside the stream, and what trimming goes by, so that nobody opens another's database for it.
"""

import asyncio
import zlib
from collections.abc import Callable
from typing import Annotated
from urllib.parse import parse_qs

import httpx
import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from prikkfri.clock import SYSTEM_CLOCK, Clock
from prikkfri.errors import InDoubt, StorageError, StorageUnavailable
from prikkfri.journal.following import (
    POSITION_MAX,
    Batches,
    Count,
    Page,
    Position,
    Source,
    decode_page,
    note_taken,
    read_batches,
)
from prikkfri.journal.limits import LIMITS, JournalLimits
from prikkfri.journal.writing import Journal
from prikkfri.protocols.asgi import NOT_FOUND, PLAIN, Application, HttpResponse, Request, Route, edge, header, refusal

RETRY_AFTER_SECONDS = 2.0
PATH = "/journal/"
BODY_BYTES_MAX = 1_024
COMPRESSED_FROM_BYTES = 1_000
GZIP = 31
"""As zlib is told to write, and read, the gzip format (RFC 1952)."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batches)


class _Taken(msgspec.Struct, forbid_unknown_fields=True):
    follower: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]
    incarnation: Annotated[str, msgspec.Meta(max_length=64, pattern=PLAIN)]
    position: Count


def application(journal: Callable[[], Journal | None], key: str, clock: Clock = SYSTEM_CLOCK) -> Application:
    """Serves a journal to whoever has the command key of its role; None: it is not open yet."""

    def asked_for(request: Request) -> Journal | HttpResponse:
        opened = journal()
        if opened is None:
            return refusal(503, "storage", "The journal is not open yet.", retry_after_s=RETRY_AFTER_SECONDS)
        return opened if "/".join(request.parts.values()) == opened.stream else NOT_FOUND

    async def batches(request: Request) -> HttpResponse:
        [after] = parse_qs(request.query.decode("latin-1"), keep_blank_values=True).get("after", ["0"])[:1]
        if not (after.isascii() and after.isdigit() and len(after) < 20 and int(after) <= POSITION_MAX):
            return refusal(400, "bad-request", "`after` must be a position.")
        opened = asked_for(request)
        if isinstance(opened, HttpResponse):
            return opened
        try:
            found = await read_batches(opened.database, opened.stream, int(after))
        except StorageError:
            return refusal(503, "storage", "The journal cannot be read just now.", retry_after_s=RETRY_AFTER_SECONDS)
        if found is not None and int(after) <= found.newest:  # else it has taken another incarnation, and none of this
            opened.taken_to = int(after)
        kind, body = (b"content-type", b"application/msgpack"), _encoder.encode(found)
        if len(body) < COMPRESSED_FROM_BYTES or "gzip" not in header(request.scope, b"accept-encoding"):
            return HttpResponse(200, None, (kind,), body)
        compressed = await asyncio.to_thread(zlib.compress, body, 1, GZIP)  # which lets the loop go on meanwhile
        return HttpResponse(200, None, (kind, (b"content-encoding", b"gzip")), compressed)

    async def taken(request: Request) -> HttpResponse:
        try:
            told = msgspec.json.decode(await request.body(), type=_Taken)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return refusal(400, "bad-request", str(error))
        opened = asked_for(request)
        if isinstance(opened, HttpResponse):
            return opened
        try:
            at = Position(told.incarnation, told.position)
            noted = await note_taken(opened.database, opened.stream, told.follower, at, now=clock.now())
        except (StorageError, InDoubt):  # what is noted twice is noted
            return refusal(503, "storage", "It is not noted just now.", retry_after_s=RETRY_AFTER_SECONDS)
        return HttpResponse(204) if noted else refusal(409, "not-written", "The journal has not come so far.")

    paths = (f"{PATH}{{stream}}", f"{PATH}{{role}}/{{instance}}")
    return edge(
        [
            *(Route("GET", path, batches, key=key) for path in paths),
            *(Route("POST", path, taken, body_bytes_max=BODY_BYTES_MAX, key=key) for path in paths),
        ]
    )


def serving_journal(inner: ASGIApp, journal: Callable[[], Journal | None], key: str) -> ASGIApp:
    """Answers for the journal, and hands on the rest."""
    own = application(journal, key)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await (own if scope.get("path", "").startswith(PATH) else inner)(scope, receive, send)

    return answer


def remote_source(
    client: httpx.AsyncClient,
    url: str,
    key: Callable[[], str],
    *,
    clock: Clock = SYSTEM_CLOCK,
    limits: JournalLimits = LIMITS,
) -> Source:
    """Reads the journal of the role at `url`; raises `StorageError` when it does not answer as it should.

    `key` is asked each time: it may be changed meanwhile.
    """

    async def source(stream: str, after: int) -> Page | None:
        try:
            async with (
                clock.timeout(limits.answer_seconds_max),
                client.stream(
                    "GET",
                    f"{url}/journal/{stream}",
                    params={"after": after},
                    headers={"Authorization": f"Bearer {key()}", "Accept-Encoding": "gzip"},
                    follow_redirects=False,
                ) as response,
            ):
                if response.status_code == 404:
                    return None
                if response.status_code != 200:
                    raise StorageUnavailable(f"journal at {url}: answers {response.status_code}")
                body = bytearray()
                gzipped = response.headers.get("content-encoding") == "gzip"
                unzipping = zlib.decompressobj(GZIP)
                async for chunk in response.aiter_raw():
                    room = limits.answer_bytes_max - len(body) + 1  # what is small on the way may be boundless here
                    body += unzipping.decompress(chunk, room) if gzipped else chunk
                    if len(body) > limits.answer_bytes_max:
                        raise StorageError(f"journal at {url}: answers more than {limits.answer_bytes_max} bytes")
                    if unzipping.eof:  # whatever comes after it would be kept
                        break
                if gzipped and not unzipping.eof:
                    raise StorageError(f"journal at {url}: unreadable answer: it breaks off")
        except zlib.error as error:
            raise StorageError(f"journal at {url}: unreadable answer: {error}") from None
        except TimeoutError:
            raise StorageUnavailable(f"journal at {url}: no answer within {limits.answer_seconds_max:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StorageUnavailable(f"journal at {url}: {str(error) or type(error).__name__}") from None
        try:
            batches = _decoder.decode(body)
        except msgspec.DecodeError as error:
            raise StorageError(f"journal at {url}: unreadable answer: {error}") from None
        if not batches.follow_on(after):
            raise StorageError(f"journal at {url}: unreadable answer: it is none to what was asked")
        return decode_page(stream, batches)

    return source
