"""The finished signin role hands its codes to the SMS centre, over a real socket and in the right account's name."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from waiting import eventually

from prikkfri.app.roles import build
from prikkfri.app.roles.signin import sent
from prikkfri.clock import SystemClock
from prikkfri.config import Account, Config, Edge, Signin, Sms, SmsEdge
from prikkfri.simulation.installation import free_ports
from prikkfri.storage import Location, Transaction, open_database
from prikkfri.storage.keys import secret_key

CODES = Account(system_id="codes", password="secret12", message_class="code", senders=("Fjordnett AS",))
DEVICE = "d-" + "A" * 22


class Centre:
    """Takes messages, and remembers them with who sent them."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, str]]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        raw = head.partition("authorization: ")[2].partition("\r\n")[0]
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        self.taken.append((raw, json.loads(await reader.readexactly(length))))
        body = b'{"id": "m1"}'
        head_out = f"HTTP/1.1 202 Accepted\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(head_out.encode() + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def centre_on(port: int) -> AsyncIterator[Centre]:
    centre = Centre()
    server = await asyncio.start_server(centre, "127.0.0.1", port)
    try:
        yield centre
    finally:
        server.close()
        await server.wait_closed()


async def test_a_code_goes_from_the_page_to_the_centre_and_sets_a_password(tmp_path: Path) -> None:
    signin, sms, smpp = free_ports(3)
    roles = replace(Config().roles, signin=Edge(port=signin), sms=SmsEdge(port=sms, smpp_port=smpp))
    config = Config(
        home=tmp_path,
        operator="Fjordnett AS Norge",
        roles=roles,
        sms=Sms(accounts=(CODES,)),
        signin=Signin(code_account="codes", hash_threads=1),
    )
    people = await open_database(Location(tmp_path), "subscribers")

    async def seed(transaction: Transaction) -> None:
        await transaction.execute("INSERT INTO subscriber (id, name, email) VALUES ('s', 'Kari', 'kari@example.no')")
        await transaction.execute(
            "INSERT INTO mobile_number (msisdn, starts, ends, subscriber_id, product)"
            " VALUES ('+4791234567', 0, 1e12, 's', 'mobile')"
        )

    await people.write(seed)
    await people.close()
    async with centre_on(sms) as centre:
        role = await build("signin", config, SystemClock())
        work = [asyncio.create_task(each()) for each in role.work]
        transport = httpx.ASGITransport(role.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://role") as http:
            asked = {"login": "kari@example.no", "device": DEVICE, "language": "en"}
            assert (await http.post("/password/code", json=asked)).status_code == 202
            await eventually(lambda: centre.taken, what="a code")
            credentials, message = centre.taken[0]
            assert credentials == f"basic {base64.b64encode(b'codes:secret12').decode()}".lower()
            assert (message["from"], message["to"]) == ("Fjordnett A", "+4791234567")
            code = message["text"].split()[0]
            assert "is your code to choose a password with Fjordnett AS Norge" in message["text"]
            chosen = {"login": "kari@example.no", "device": DEVICE, "code": code, "password": "a whole new horse"}
            assert (await http.post("/password", json=chosen)).status_code == 204
        for each in work:
            each.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await role.close()
    assert len(secret_key(tmp_path, "signin-codes")) == 32
    assert (tmp_path / "keys" / "signin-codes.key").stat().st_mode & 0o777 == 0o600


def _raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (lambda request: httpx.Response(202, json={"id": "m1"}), "m1"),
        (lambda request: httpx.Response(422, json={"error": "no-route"}), ""),
        (lambda request: httpx.Response(503, json={"error": "storage"}), ""),
        (lambda request: httpx.Response(500, json={"error": "in-doubt"}), None),
        (lambda request: httpx.Response(202, json={}), None),
        (lambda request: httpx.Response(202, text="?"), None),
        (_raising(httpx.ConnectError("nobody")), ""),
        (_raising(httpx.ConnectTimeout("nobody")), ""),
        (_raising(httpx.ReadTimeout("silent")), None),
    ],
)
async def test_taken_refused_and_nobody_knows_are_three_things(
    answer: Callable[[httpx.Request], httpx.Response], taken: str | None
) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        assert await sent(client, "http://sms.test", CODES, "Fjordnett AS", "+4791234567", "12345678") == taken
