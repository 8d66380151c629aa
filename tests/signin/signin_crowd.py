"""An impatient crowd over real sockets: comes at its own pace, whatever the answers, and leaves when it must wait."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from signin_house import PASSWORD


async def one(port: int, number: int, *, patience_s: float) -> str:
    """What one person met with: a status, or `left`."""
    document = {"login": "kari@example.no", "password": PASSWORD, "device": f"d-{number:022d}"}
    body = json.dumps(document).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            b"POST /sign-in HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost:8080\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )
        async with asyncio.timeout(patience_s):
            head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1].decode()
        if status == "503":
            assert b"retry-after: " in head
        return status
    except TimeoutError:
        return "left"
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def crowd(
    port: int, *, first: int, per_second: Callable[[], float], seconds: float, patience_s: float
) -> Counter[str]:
    """Open loop: `per_second()` of this moment come for `seconds`, numbered from `first`."""
    loop = asyncio.get_running_loop()
    started = due = loop.time()
    people: list[asyncio.Task[str]] = []
    while due < started + seconds:
        await asyncio.sleep(max(0.0, due - loop.time()))
        people.append(asyncio.create_task(one(port, first + len(people), patience_s=patience_s)))
        due += 1 / per_second()
    return Counter(await asyncio.gather(*people))
