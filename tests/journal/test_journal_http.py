"""A journal over HTTP, through a real socket: the same follower, and peers that are wrong, slow, boundless or dead."""

import asyncio
import gzip
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import msgspec
import pytest
import uvicorn
from neighbours import move_in
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.clock import ManualClock
from prikkfri.errors import StorageError, StorageUnavailable
from prikkfri.journal import (
    Follower,
    Journal,
    JournalLimits,
    Outcome,
    Page,
    Position,
    Source,
    open_journal,
    taken_to,
    trim,
)
from prikkfri.journal.following import Batches
from prikkfri.journal.http import application, remote_source
from prikkfri.journal.outcomes import encode_batch
from prikkfri.storage import Location, Transaction, open_database

KEY = "command-key-of-the-role"


def outcome(number: int) -> Outcome:
    return Outcome(time=0.0, service="s", step="t", layer="l", verdict="kept", promise=str(number))


@pytest.fixture
async def journal(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Journal]:
    database = await open_database(Location(tmp_path), "sms")
    yield await open_journal(database, stream="sms", clock=clock)
    await database.close()


@pytest.fixture
async def url(journal: Journal) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(application(lambda: journal, KEY), port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
async def inside(journal: Journal) -> AsyncIterator[httpx.AsyncClient]:
    """The same without a socket, for what does not depend on one."""
    transport = httpx.ASGITransport(application(lambda: journal, KEY))
    async with httpx.AsyncClient(transport=transport, base_url="http://role") as client:
        yield client


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


async def test_a_follower_elsewhere_takes_everything_and_makes_room(
    journal: Journal, url: str, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    own = await open_database(Location(tmp_path / "elsewhere"), "assurance")
    took: list[str] = []
    alarms: list[str] = []

    async def take(transaction: Transaction, stream: str, page: Page) -> None:
        took.extend(o.promise for o in page.outcomes)

    follower = Follower(own, name="assurance", take=take, alarm=alarms.append)
    source = remote_source(client, url, lambda: KEY)
    for i in range(0, 60, 3):
        await journal.append(*(outcome(i + k) for k in range(3)))
        await follower.step("sms", source)
    assert await follower.step("sms", source) == 0
    assert took == [str(i) for i in range(60)] and alarms == []
    assert journal.taken_to == 60
    assert await trim(journal, taken_to=journal.taken_to, written_before=2e9) == 60
    assert await follower.step("another", source) == 0
    await own.close()


@pytest.mark.parametrize("key", ["", "wrong", KEY[:-1], KEY + "x", "æøå"])
async def test_without_the_key_nothing_is_told(journal: Journal, inside: httpx.AsyncClient, key: str) -> None:
    await journal.append(outcome(1))
    for stream in ("sms", "another"):
        answer = await inside.get(
            f"/journal/{stream}?after=1", headers={b"Authorization": f"Bearer {key}".strip().encode()}
        )
        assert (answer.status_code, answer.json()["error"]) == (401, "bad-command-key")
    assert (await inside.get("/journal/sms?after=1")).status_code == 401
    assert (await inside.get("/journal/sms?after=1", headers={"Authorization": KEY})).status_code == 401
    assert journal.taken_to == 0


@pytest.mark.parametrize("after", ["-1", "x", "", str(1 << 63), "9" * 19, "1" * 100_0, "٣", "1.0", " 1"])
async def test_a_position_that_is_none_is_refused(inside: httpx.AsyncClient, after: str) -> None:
    answer = await inside.get("/journal/sms", params={"after": after}, headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 400


async def test_a_wrong_key_is_said_without_telling_it(journal: Journal, url: str, client: httpx.AsyncClient) -> None:
    with pytest.raises(StorageUnavailable, match="answers 401") as error:
        await remote_source(client, url, lambda: "a-secret")("sms", 0)
    assert "a-secret" not in str(error.value)


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def source_of(answer: Answer, client: httpx.AsyncClient, limits: JournalLimits) -> tuple[Source, asyncio.Server]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return remote_source(client, f"http://127.0.0.1:{port}", lambda: KEY, limits=limits), server


def answering(head: bytes, body: bytes = b"", *, forever: bool = False) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head + body)
            while forever:
                writer.write(body)
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        finally:
            writer.close()

    return answer


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/msgpack\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answering(OK, b"<html>rubbish"), "unreadable answer"),
        (answering(OK, b""), "unreadable answer"),
        (answering(OK, b"\x97\xa1i\x01\x02\x91\xc4\x01\x90\x02\x00\x00"), "1 to 2 holds 0 outcomes"),
        (answering(OK, b"\x97\xa1i\x01\x01\x91\xc4\x02\x91\x01\x01\x00\x00"), "unreadable from 1"),
        (answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"), "answers 302"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), "peer closed"),
        (answering(b"SSH-2.0-OpenSSH\r\n\r\n"), "illegal|invalid|SSH"),
        (answering(b""), "disconnected"),
        (answering(OK, b"x" * 65536, forever=True), "more than 1000000 bytes"),
    ],
)
async def test_a_peer_that_answers_rubbish_is_refused(client: httpx.AsyncClient, answer: Answer, said: str) -> None:
    source, server = await source_of(answer, client, JournalLimits(answer_bytes_max=1_000_000))
    with pytest.raises(StorageError, match=said):
        await source("sms", 0)
    server.close()
    await server.wait_closed()


async def test_a_peer_that_drips_or_is_dead_is_given_up(client: httpx.AsyncClient) -> None:
    dripped = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        while not reader.at_eof():
            writer.write(b"\x97")
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(65536), 0.01)
        writer.close()
        dripped.set()

    source, server = await source_of(drip, client, JournalLimits(answer_seconds_max=0.1))
    async with asyncio.timeout(WAIT_SECONDS_MAX):  # whoever waited for the whole answer would wait for ever
        with pytest.raises(StorageUnavailable, match="no answer within"):
            await source("sms", 0)
    await dripped.wait()
    server.close()
    await server.wait_closed()
    with pytest.raises(StorageUnavailable):
        await source("sms", 0)


async def test_what_a_peer_that_breaks_off_has_done_is_said(client: httpx.AsyncClient) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    source, server = await source_of(break_off, client, JournalLimits())
    with pytest.raises(StorageUnavailable, match=r"journal at http://\S+: ReadError$"):
        await source("sms", 0)
    server.close()
    await server.wait_closed()


async def test_an_answer_of_just_the_size_that_is_taken_is_taken(journal: Journal, url: str) -> None:
    await journal.append(outcome(1), outcome(2))
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
        size = len((await client.get(f"{url}/journal/sms")).content)
        page = await remote_source(client, url, lambda: KEY, limits=JournalLimits(answer_bytes_max=size))("sms", 0)
        assert page is not None and [o.promise for o in page.outcomes] == ["1", "2"]
        with pytest.raises(StorageError, match=f"more than {size - 1} bytes"):
            await remote_source(client, url, lambda: KEY, limits=JournalLimits(answer_bytes_max=size - 1))("sms", 0)


async def test_how_far_a_follower_has_come_is_what_it_asks_from_and_not_what_it_is_given(
    journal: Journal, url: str, client: httpx.AsyncClient
) -> None:
    """It has stored the one; the other may never arrive."""
    await journal.append(*(outcome(i) for i in range(5)))
    source = remote_source(client, url, lambda: KEY)
    for after in (0, 3, 3):
        page = await source("sms", after)
        assert page is not None and page.last == 5
        assert journal.taken_to == after


async def test_what_a_follower_took_of_a_lost_file_makes_no_room_in_the_one_that_was_begun_anew(
    journal: Journal, url: str, client: httpx.AsyncClient
) -> None:
    await journal.append(outcome(1), outcome(2))
    source = remote_source(client, url, lambda: KEY)
    for after in (3, 1_000, (1 << 63) - 1):
        page = await source("sms", after)
        assert page is not None and page.newest == 2 and page.outcomes == []
        assert journal.taken_to == 0
    await source("sms", 2)
    assert journal.taken_to == 2


async def test_a_journal_that_cannot_be_read_says_come_again_and_what_was_taken_stays_known(
    journal: Journal, url: str, client: httpx.AsyncClient
) -> None:
    await journal.append(outcome(1))
    await remote_source(client, url, lambda: KEY)("sms", 1)
    await journal.database.close()
    answer = await client.get(f"{url}/journal/sms?after=0", headers={"Authorization": f"Bearer {KEY}"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    with pytest.raises(StorageUnavailable, match="answers 503"):
        await remote_source(client, url, lambda: KEY)("sms", 0)
    assert journal.taken_to == 1


async def test_a_stream_that_the_role_does_not_write_is_not_there(
    journal: Journal, url: str, client: httpx.AsyncClient
) -> None:
    """Also where its tables hold one, as after a move."""
    await move_in(journal.database)
    source = remote_source(client, url, lambda: KEY)
    assert await source("neighbour", 0) is None
    page = await source("sms", 0)
    assert page is not None and page.newest == 0
    assert journal.taken_to == 0


# How far a follower has come, and what is small on the way.


def bearer(key: str = KEY) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_what_a_follower_says_it_has_stored_is_kept_beside_the_stream(
    journal: Journal, inside: httpx.AsyncClient
) -> None:
    """The last word holds, also when it is less: its database may have been restored."""
    await journal.append(*(outcome(i) for i in range(9)))

    async def told(position: int, follower: str = "assurance", incarnation: str = journal.incarnation) -> int:
        document = {"follower": follower, "incarnation": incarnation, "position": position}
        answer = await inside.post("/journal/sms", json=document, headers=bearer())
        assert answer.status_code == 204, answer.text
        return await taken_to(journal.database, "sms", incarnation=journal.incarnation)

    assert await taken_to(journal.database, "sms", incarnation=journal.incarnation) == 0
    assert [await told(at) for at in (4, 9, 9, 6)] == [4, 9, 9, 6]
    groups = journal.database.counters.groups
    assert await told(6) == 6 and journal.database.counters.groups == groups  # nothing new is no write
    assert await told(2, "second") == 2
    # What is not written yet nobody can have stored: it would be dropped once it is.
    ahead = {"follower": "second", "incarnation": journal.incarnation, "position": 10}
    answer = await inside.post("/journal/sms", json=ahead, headers=bearer())
    assert (answer.status_code, answer.json()["error"]) == (409, "not-written")
    assert await taken_to(journal.database, "sms", incarnation=journal.incarnation) == 2
    assert await told(8, "second", "a lost one") == 0


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"follower": "a", "incarnation": "i", "position": -1}, 400),
        ({"follower": "a", "incarnation": "i", "position": 1 << 63}, 400),
        ({"follower": "a", "incarnation": "i"}, 400),
        ({"follower": "", "incarnation": "i", "position": 1}, 400),
        ({"follower": "a\0", "incarnation": "i", "position": 1}, 400),
        ({"follower": "a", "incarnation": "i", "position": 1, "more": 1}, 400),
        ([], 400),
        ({"follower": "a" * 2_000, "incarnation": "i", "position": 1}, 413),
    ],
)
async def test_what_is_no_position_is_not_kept(
    journal: Journal, inside: httpx.AsyncClient, document: object, status: int
) -> None:
    assert (await inside.post("/journal/sms", json=document, headers=bearer())).status_code == status
    assert await taken_to(journal.database, "sms", incarnation=journal.incarnation) == 0
    good = {"follower": "a", "incarnation": "i", "position": 1}
    assert (await inside.post("/journal/sms", json=good, headers=bearer("x"))).status_code == 401
    assert (await inside.post("/journal/other", json=good, headers=bearer())).status_code == 404


async def test_a_journal_that_is_not_open_yet_says_come_again() -> None:
    transport = httpx.ASGITransport(application(lambda: None, KEY))
    async with httpx.AsyncClient(transport=transport, base_url="http://role") as client:
        for method in ("GET", "POST"):
            document = {"follower": "a", "incarnation": "i", "position": 1}
            answer = await client.request(method, "/journal/sms", json=document, headers=bearer())
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_a_page_goes_compressed_to_whoever_can_read_it(journal: Journal, url: str) -> None:
    await journal.append(*(outcome(i) for i in range(2_000)))
    sizes = {}
    async with httpx.AsyncClient(headers=bearer()) as client:
        for coding in ("identity", "gzip"):
            async with client.stream("GET", f"{url}/journal/sms", headers={"accept-encoding": coding}) as answer:
                assert answer.headers.get("content-encoding", "identity") == coding
                sizes[coding] = len(b"".join([chunk async for chunk in answer.aiter_raw()]))
        page = await remote_source(client, url, lambda: KEY)("sms", 0)
        assert page is not None and [o.promise for o in page.outcomes] == [str(i) for i in range(2_000)]
        with pytest.raises(StorageError, match="more than 20000 bytes"):  # of which less than that came
            await remote_source(client, url, lambda: KEY, limits=JournalLimits(answer_bytes_max=20_000))("sms", 0)
    assert sizes["gzip"] * 4 < sizes["identity"] and sizes["gzip"] < 20_000


ZIPPED = b"HTTP/1.1 200 OK\r\nContent-Type: application/msgpack\r\nContent-Encoding: gzip\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"rubbish", "unreadable answer"), (gzip.compress(b"x" * 5_000)[:-9], "it breaks off"),
     (gzip.compress(b"x" * 5_000_000), "more than 1000000 bytes"), (gzip.compress(b"no msgpack"), "unreadable")],
    ids=["rubbish", "breaks-off", "boundless", "no-page"],  # gzip writes the time of day: it stands in no test's name
)  # fmt: skip
async def test_what_is_compressed_wrongly_is_refused(client: httpx.AsyncClient, body: bytes, said: str) -> None:
    source, server = await source_of(answering(ZIPPED, body), client, JournalLimits(answer_bytes_max=1_000_000))
    with pytest.raises(StorageError, match=said):
        await source("sms", 0)
    server.close()
    await server.wait_closed()


async def test_what_is_small_on_the_way_takes_no_more_room_here_than_it_may(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(bytes(60_000_000), 9)
    source, server = await source_of(answering(ZIPPED, bomb), client, JournalLimits(answer_bytes_max=1_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(StorageError, match="more than 1000000 bytes"):
            await source("sms", 0)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    server.close()
    await server.wait_closed()


async def test_what_comes_after_what_was_compressed_is_not_read(client: httpx.AsyncClient) -> None:
    sent = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ZIPPED + gzip.compress(msgspec.msgpack.encode(Batches("i", 0, 0, [], 0, 0, 0))))
            while sent < 100_000_000:
                sent += writer.write(bytes(65_536)) or 65_536
                await writer.drain()
        writer.close()

    source, server = await source_of(answer, client, JournalLimits())
    page = await source("sms", 0)
    assert page is not None and page.newest == 0
    assert sent < 100_000_000
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "batches",
    [
        Batches("i", 0, 0, [], (1 << 64) - 1, 0, 0),
        Batches("i", 0, 0, [], -1, 0, 0),
        Batches("i", 0, 0, [], 9, -1, 0),
        Batches("i", 0, 0, [], 9, 0, 1 << 63),
        Batches("i", 900, 900, [], 900, 0, 0),  # comes so far without a single outcome
        Batches("i", 1, 5, [encode_batch([outcome(i) for i in range(5)])], 9, 0, 0),  # an old one
        Batches("i", 6, 10, [encode_batch([outcome(i) for i in range(5)])], 9, 0, 0),  # beyond its end
    ],
    ids=range(7),
)
async def test_a_page_that_cannot_be_is_refused(clock: ManualClock, tmp_path: Path, batches: Batches) -> None:
    """Whoever follows others, too, is not ended by it, and stays where it was."""

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield msgspec.msgpack.encode(batches)

    async def nothing(transaction: Transaction, stream: str, page: Page) -> None:
        raise AssertionError(page)

    own = await open_database(Location(tmp_path), "assurance")
    follower = Follower(own, name="assurance", take=nothing, alarm=lambda _: None)
    good = Page("i", 1, 5, [], 5, 0, 0)

    async def before(stream: str, after: int) -> Page:
        return good

    await follower.step("sms", before)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Body()))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(StorageError, match="unreadable answer"):
            await follower.step("sms", remote_source(client, "http://role", lambda: KEY))
    assert follower.committed["sms"] == Position("i", 5)
    await own.close()


async def test_one_of_several_processes_of_a_role_answers_for_its_own_stream(
    tmp_path: Path, clock: ManualClock
) -> None:
    database = await open_database(Location(tmp_path), "sms")
    journal = await open_journal(database, stream="sms/b", clock=clock)
    await journal.append(outcome(1))
    transport = httpx.ASGITransport(application(lambda: journal, KEY))
    async with httpx.AsyncClient(transport=transport, base_url="http://role") as client:
        source = remote_source(client, "http://role", lambda: KEY)
        page = await source("sms/b", 0)
        assert page is not None and page.newest == 1
        for other in ("sms", "sms/a"):
            assert await source(other, 0) is None
    await database.close()
