"""What a role is made of: the right key, database and rule in each place, seen from outside of the finished role."""

import asyncio
import base64
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import eventually

from prikkfri.app.first_user import first_user_file
from prikkfri.app.roles import Role, build
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import Scope, impact
from prikkfri.assurance.incidents import open_incident
from prikkfri.assurance.outcomes.store import add_outcomes
from prikkfri.assurance.response import store
from prikkfri.assurance.segments import Segment
from prikkfri.clock import Clock, ManualClock, SystemClock
from prikkfri.config import Account, Canary, Config, Edge, Journal, Link, Remedy, Sms, SmsEdge, Tier
from prikkfri.config import Assurance as AssuranceSettings
from prikkfri.journal import Outcome, Page, Position, note_taken, open_journal, read_page
from prikkfri.protocols import device_token
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.signin.service import load_keys
from prikkfri.simulation.installation import free_ports
from prikkfri.sms.messages import Message
from prikkfri.sms.sealing import Sealer
from prikkfri.sms.store import COLUMNS
from prikkfri.storage import Database, Location, open_database
from prikkfri.storage.keys import command_key
from prikkfri.storage.sealing_keys import SealingKeyFiles
from prikkfri.subscribers.store import write_subscriptions
from prikkfri.subscribers.subscriptions import STILL, Subscription

SHOP = Account(system_id="shop", password="secret12", senders=("*",), short_codes=("2010",))
NORD = Link(name="nord", partner="Fjordmobil", host="127.0.0.1", port=1, system_id="p", password="p", prefixes=("47",))
Sent = tuple[str, str, str]
"""Name and secret of the account that sent a message, whom it is from, and to whom."""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    names = ("viewer", "signin", "playout", "sms", "assurance", "status", "door")
    ports = dict(zip((*names, "smpp"), free_ports(8), strict=True))
    roles = replace(
        Config().roles,
        **{name: Edge(port=ports[name]) for name in names if name != "sms"},
        sms=SmsEdge(port=ports["sms"], smpp_port=ports["smpp"]),
    )
    return Config(home=tmp_path, roles=roles, sms=Sms(accounts=(SHOP,), links=(NORD,)))


@asynccontextmanager
async def built(name: str, config: Config, clock: Clock | None = None, *, working: bool = False) -> AsyncIterator[Role]:
    """The role; `working`: with all that it does beside answering."""
    role = await build(name, config, clock or SystemClock())
    tasks = [asyncio.create_task(work()) for work in role.work] if working else []
    try:
        yield role
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        await role.close()
        assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends


def caller(role: Role, **settings: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(role.application), base_url="http://role", **settings)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(("url", "secure"), [("https://signin.example", True), ("", False)])
async def test_the_cookie_of_sign_in_travels_over_https_alone_where_we_are_reached_by_it(
    config: Config, url: str, secure: bool
) -> None:
    roles = replace(config.roles, signin=Edge(port=config.roles.signin.port, public_url=url))
    async with built("signin", replace(config, roles=roles)) as role, caller(role) as http:
        answer = await http.post("/sign-out", headers={"origin": config.roles.viewer.url})
        assert ("; Secure" in answer.headers["set-cookie"]) == secure


async def test_the_commands_of_signin_and_playout_take_their_own_keys(config: Config) -> None:
    for name, path in (("signin", "/capacity"), ("sms", "/capacity"), ("playout", "/standings")):
        async with built(name, config) as role, caller(role) as http:
            for key in ("signin", "playout", "sms", "status", "canaries"):
                answer = await http.get(path, headers=bearer(command_key(config.home, key)))
                assert answer.status_code == (200 if key == name else 401), (name, key)


async def test_whoever_plays_a_canary_phone_cannot_switch_routes_nor_a_role_play_a_phone(config: Config) -> None:
    async with built("sms", config) as role, caller(role) as http:
        for key, phones, routes in (("canaries", 200, 401), ("sms", 401, 200), ("signin", 401, 401)):
            headers = bearer(command_key(config.home, key))
            answer = await http.post("/canaries/received", json={"phones": []}, headers=headers)
            assert answer.status_code == phones
            assert (await http.get("/routes", headers=headers)).status_code == routes


async def test_messages_are_sealed_with_keys_that_stand_beside_the_database(config: Config) -> None:
    async with built("sms", config) as role, caller(role, auth=("shop", "secret12")) as http:
        answer = await http.post("/messages", json={"from": "Shop", "to": "+4790000001", "text": "hei"})
        assert answer.status_code == 202
    database = await open_database(Location(config.home), "sms")
    [row] = await database.read(lambda q: q.fetch(f"SELECT {COLUMNS} FROM sms_message"))
    await database.close()
    message = Message(*row)
    assert message.sealed is not None
    sealer = Sealer(os.urandom, SealingKeyFiles(config.home).load())
    assert sealer.open(message.sealed, message.binding).octets == b"hei"


async def test_messages_are_bound_to_the_subscriber_who_holds_the_number(config: Config) -> None:
    """And to nobody before there are any subscribers."""
    for known in (False, True):
        if known:
            people = await open_database(Location(config.home), "subscribers")
            held = [Subscription("s-1", "mobile", "Fri", "+4790000001", 0.0, STILL)]
            await people.write(lambda tx, held=held: write_subscriptions(tx, held))
            await people.close()
        async with built("sms", config) as role, caller(role, auth=("shop", "secret12")) as http:
            for number in ("+4790000001", "+4790000002"):
                answer = await http.post("/messages", json={"from": "Shop", "to": number, "text": "hei"})
                assert answer.status_code == 202
            assert role.counters()["holders_unknown_total"] == 0
    database = await open_database(Location(config.home), "sms")
    found = await database.read(lambda q: q.fetch("SELECT recipient, holder FROM sms_message ORDER BY accepted_at, id"))
    await database.close()
    assert sorted(found) == [("4790000001", ""), ("4790000001", "s-1"), ("4790000002", ""), ("4790000002", "")]


async def test_a_copy_of_the_messages_database_that_is_brought_back_is_noticed(config: Config) -> None:
    """Also one that was made at the stop before the last: a stop leaves a mark."""
    file, message = config.home / "sms.db", {"from": "Shop", "to": "+4790000001", "text": "hei"}
    copies = []
    for _ in range(2):
        async with built("sms", config) as role, caller(role, auth=("shop", "secret12")) as http:
            assert role.troubles is not None and role.troubles() == [] and role.counters()["sending_held"] == 0
            assert (await http.post("/messages", json=message)).status_code == 202
        copies.append(file.read_bytes())
    file.write_bytes(copies[0])
    async with built("sms", config) as role:
        assert role.counters()["sending_held"] == 1
        assert role.troubles is not None and "1 messages in it may have been sent since" in role.troubles()[0]
    (config.home / "marks" / "sms.mark").unlink()
    file.write_bytes(copies[0])
    async with built("sms", config) as role:  # without a mark nothing is known
        assert role.counters()["sending_held"] == 0


async def test_numbers_are_of_the_installations_region_unless_messages_have_their_own(config: Config) -> None:
    danish = replace(config, region="DK")
    for each, status in ((config, 202), (danish, 422), (replace(danish, sms=replace(config.sms, region="NO")), 202)):
        async with built("sms", each) as role, caller(role, auth=("shop", "secret12")) as http:
            answer = await http.post("/messages", json={"from": "Shop", "to": "46789012", "text": "hei"})
            assert answer.status_code == status


async def test_a_working_sms_role_listens_at_home_and_flies_its_canaries(config: Config) -> None:
    sms = replace(config.sms, canaries=(Canary(msisdn="+4790000009", link="nord"),))
    async with built("sms", replace(config, sms=sms), working=True) as role:
        with socket.create_connection(("127.0.0.1", config.roles.sms.smpp_port)):
            pass
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", config.roles.sms.smpp_port)):
            pass
        await eventually(lambda: role.counters().get("canaries_sent_total"), what="a canary")


@pytest.mark.parametrize("name", ["signin", "sms"])
async def test_a_working_role_drops_of_its_journal_what_is_old_and_taken(config: Config, name: str) -> None:
    """By the days that are set, and none that assurance has not taken."""
    config = replace(config, journal=Journal(kept_days=2.0))

    async def journal_of(at: float) -> tuple[Database, str]:
        database = await open_database(Location(config.home), name)
        journal = await open_journal(database, stream=name, clock=ManualClock(at))
        await journal.append(Outcome(time=at, service="s", step="t", layer="l", verdict="kept"))
        return database, journal.incarnation

    now = 1_700_000_000.0
    for days in (2.1, 1.9, 0.0):
        database, incarnation = await journal_of(now - days * 86_400)
        if days:
            await database.close()
    await note_taken(database, name, "assurance", Position(incarnation, 2))

    async def trimmed() -> int:
        page = await read_page(database, name, 2)
        return page.trimmed_to if page else 0

    async with built(name, config, ManualClock(now), working=True):
        assert await eventually(trimmed, what="the journal to be trimmed") == 1
    await database.close()


async def test_a_working_playout_hears_who_was_signed_out(config: Config) -> None:
    key, clock = load_keys(config.home).device, ManualClock(1_700_000_000.0)
    signed_out, stays = (
        DeviceToken("s-1", device, ("basic",), clock.now(), clock.now() + 1e6, secrets.token_bytes(16))
        for device in ("d-AAAAAAAAAAAAAAAAAAAAAA", "d-BBBBBBBBBBBBBBBBBBBBBB")
    )
    listed = {"as_of": clock.now(), "device_tokens": [signed_out.jti]}
    (config.home / "public" / "revoked.json").write_text(json.dumps(listed))
    async with built("playout", config, clock, working=True) as role, caller(role) as http:

        async def proves(token: DeviceToken) -> bool:
            """Whether a report that comes with the token counts as its customer's."""
            before = role.counters().get("prikkfri_playout_reports_total", 0)
            headers = {"origin": config.roles.viewer.url, **bearer(device_token.issue(key.private, key.kid, token))}
            report = {"device": token.device, "step": "sign-in", "kept": True}
            assert (await http.post("/report", json=report, headers=headers)).status_code == 204
            clock.advance(1.0)  # so that nobody has reported enough
            return role.counters().get("prikkfri_playout_reports_total", 0) > before

        async def refused() -> bool:
            return not await proves(signed_out)

        await eventually(refused, what="the list to be read")
        assert await proves(stays)


# Assurance: what it tells whom, and what it goes by.


SINCE = 1_700_000_000.0
NOW = SINCE + 86_400
SUBSCRIBERS = (
    "INSERT INTO subscriber (id, name, email) VALUES ('s-1', 'Kari', ''), ('s-2', 'Ola', ''), ('s-3', 'Per', '')",
    # Kari had the match in her package and has it no more; Ola has it since. Kari has another number by now.
    "INSERT INTO fixed_subscription (subscriber_id, kind, product, starts, ends) VALUES"
    f" ('s-1', 'television', 'sport', 0, {SINCE + 60}), ('s-1', 'television', 'basic', {SINCE + 60}, 1e12),"
    f" ('s-2', 'television', 'basic', 0, {SINCE + 60}), ('s-2', 'television', 'sport', {SINCE + 60}, 1e12)",
    "INSERT INTO mobile_number (msisdn, starts, ends, subscriber_id, product) VALUES"
    f" ('+4791000001', 0, {NOW - 60}, 's-1', 'm'), ('+4791000001', {NOW - 60}, 1e12, 's-3', 'm'),"
    f" ('+4791000003', {NOW + 60}, 1e12, 's-1', 'm'), ('+4791000002', {NOW - 60}, {NOW + 60}, 's-1', 'm')",
)


class Evening:
    """Assurance at work, with two subscribers who were hit, and a person who is signed in."""

    def __init__(self, http: httpx.AsyncClient, config: Config, database: Database, sent: list[Sent]) -> None:
        self.http = http
        self.config = config
        self.database = database
        self.sent = sent

    async def post(self, path: str, **fields: str) -> None:
        answer = await self.http.post(path, data=fields, headers={"origin": self.config.roles.assurance.url})
        assert answer.status_code == 303, answer.text

    async def credited(self) -> list[str]:
        given = await self.database.read(lambda q: store.credits_of(q, "evening"))
        return [each.credit.customer for each in given]


class Centre:
    """A message centre that takes everything, over a real socket."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if taken := first.startswith("POST /messages "):
            [secret] = [line.partition("Basic ")[2] for line in lines if line.lower().startswith("authorization:")]
            message = json.loads(body)
            self.sent.append((base64.b64decode(secret).decode(), message["from"], message["to"]))
        status, answer = (b"202 Accepted", b'{"id": "m-1"}') if taken else (b"404 Not Found", b"{}")
        head = b"HTTP/1.1 %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(answer))
        writer.write(head + answer)
        await writer.drain()
        writer.close()


@pytest.fixture
async def evening(config: Config) -> AsyncIterator[Evening]:
    remedy = Remedy(
        name="match", service="television", tiers=(Tier(from_minutes=0.0, amount=4_900),), products=("sport",)
    )
    other = Account(system_id="aaa", password="other", senders=("*",))
    settings = AssuranceSettings(remedies=(remedy,), tell_account="shop")
    sms = replace(config.sms, accounts=(other, SHOP))
    config = replace(config, assurance=settings, sms=sms, operator="Nordavind Tele")
    subscribers = await open_database(Location(config.home), "subscribers")
    database = await open_database(Location(config.home), "assurance")
    segment = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
    found = open_incident("evening", Alarm("share", segment, SINCE, SINCE, 0, 0.9, 2, 30.0, 25.0), SINCE)
    broken = [
        Outcome(time=SINCE + 1, service="television", step="sign-in", layer="signin", verdict="broken",
                reason="overloaded", customer=customer, device=f"d-{customer}")
        for customer in ("s-1", "s-2")
    ]  # fmt: skip
    listed = impact(broken, Scope((segment,), SINCE, SINCE + 60), now=SINCE + 600)
    for statement in SUBSCRIBERS:
        await subscribers.write(lambda t, sql=statement: t.execute(sql))  # type: ignore[misc]
    await subscribers.close()
    await database.write(lambda t: add_outcomes(t, "signin", Page("i", 1, 2, broken, 2, 0, 0), SINCE))
    await database.write(lambda t: store.save_incident(t, found))
    await database.write(lambda t: store.save_impact(t, "evening", listed, "", SINCE))
    centre = Centre()
    listening = await asyncio.start_server(centre.answer, "127.0.0.1", config.roles.sms.port)
    url = config.roles.assurance.url
    async with (
        listening,
        built("assurance", config, ManualClock(NOW), working=True) as role,
        httpx.AsyncClient(transport=httpx.ASGITransport(role.application), base_url=url) as http,
    ):
        evening = Evening(http, config, database, centre.sent)
        name, password = first_user_file(config.home).read_text().strip().split(" / ")
        await evening.post("/sign-in", name=name, password=password)
        yield evening
    await database.close()


async def test_those_hit_are_credited_by_what_they_had_then_and_told_at_the_number_that_they_hold_now(
    evening: Evening,
) -> None:
    assert first_user_file(evening.config.home).stat().st_mode & 0o777 == 0o600
    await evening.post("/incidents/evening/release", sure="yes")
    assert await evening.credited() == ["s-1"]
    await evening.post("/incidents/evening/tell", sure="yes")
    await eventually(lambda: evening.sent, what="the message")
    # In the operator's name, as far as it fits.
    assert evening.sent == [("shop:secret12", "Nordavind T", "+4791000002")]
