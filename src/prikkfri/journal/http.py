"""A journal for followers on another machine: `GET /journal/STREAM?after=POSITION`, with the role's command key.

The answer is a `Batches` in MessagePack. What a follower asks for tells how far it has come, since it asks from the
position that it has stored: that is what trimming goes by.
"""

from urllib.parse import parse_qs

import httpx
import msgspec

from prikkfri.clock import SYSTEM_CLOCK, Clock
from prikkfri.errors import StorageError, StorageUnavailable
from prikkfri.journal.following import Batches, Page, Source, decode_page, read_batches
from prikkfri.journal.limits import LIMITS, JournalLimits
from prikkfri.journal.writing import Journal
from prikkfri.protocols.asgi import NOT_FOUND, Application, HttpResponse, Request, Route, edge, refusal

POSITION_MAX = (1 << 63) - 1
RETRY_AFTER_SECONDS = 2.0

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batches)


def application(journal: Journal, key: str) -> Application:
    """Serves a journal to whoever has the command key of its role."""

    async def batches(request: Request) -> HttpResponse:
        [after] = parse_qs(request.query.decode("latin-1"), keep_blank_values=True).get("after", ["0"])[:1]
        if not (after.isascii() and after.isdigit() and len(after) < 20 and int(after) <= POSITION_MAX):
            return refusal(400, "bad-request", "`after` must be a position.")
        if request.parts["stream"] != journal.stream:
            return NOT_FOUND
        try:
            found = await read_batches(journal.database, journal.stream, int(after))
        except StorageError:
            return refusal(503, "storage", "The journal cannot be read just now.", retry_after_s=RETRY_AFTER_SECONDS)
        if found is not None and int(after) <= found.newest:  # else it has taken another incarnation, and none of this
            journal.taken_to = int(after)
        return HttpResponse(200, None, ((b"content-type", b"application/msgpack"),), _encoder.encode(found))

    return edge([Route("GET", "/journal/{stream}", batches, key=key)])


def remote_source(
    client: httpx.AsyncClient, url: str, key: str, *, clock: Clock = SYSTEM_CLOCK, limits: JournalLimits = LIMITS
) -> Source:
    """Reads the journal of the role at `url`; raises `StorageError` when it does not answer as it should."""

    async def source(stream: str, after: int) -> Page | None:
        try:
            async with (
                clock.timeout(limits.answer_seconds_max),
                client.stream(
                    "GET",
                    f"{url}/journal/{stream}",
                    params={"after": after},
                    headers={"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"},
                    follow_redirects=False,
                ) as response,
            ):
                if response.status_code == 404:
                    return None
                if response.status_code != 200:
                    raise StorageUnavailable(f"journal at {url}: answers {response.status_code}")
                body = bytearray()
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > limits.answer_bytes_max:
                        raise StorageError(f"journal at {url}: answers more than {limits.answer_bytes_max} bytes")
        except TimeoutError:
            raise StorageUnavailable(f"journal at {url}: no answer within {limits.answer_seconds_max:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StorageUnavailable(f"journal at {url}: {str(error) or type(error).__name__}") from None
        try:
            batches = _decoder.decode(body)
        except msgspec.DecodeError as error:
            raise StorageError(f"journal at {url}: unreadable answer: {error}") from None
        return decode_page(stream, batches)

    return source
