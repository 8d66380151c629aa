"""The message API as an integrator meets it, over ASGI."""

import asyncio
import base64
import logging
from dataclasses import replace
from typing import Any

import httpx
import pytest
from message_table import BASE, NOW, Row, fill, numbered
from sms_house import HURRIED
from waiting import eventually

from prikkfri.app.serving import with_health
from prikkfri.errors import FencedOut, InDoubt, StorageUnavailable
from prikkfri.protocols.smpp.pdu import Command, ShortMessage, Status
from prikkfri.sms.http import BODY_OCTETS_MAX, application, commands
from prikkfri.sms.routes.service import EXPOSED_BATCH

STILL = replace(HURRIED, look_seconds=60.0)
PASSWORD = "secret12"
NUMBER = "+4790000001"


def caller(at: Any, account: str = "shop", password: str = PASSWORD) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application(at.centre))
    return httpx.AsyncClient(transport=transport, base_url="http://sms", auth=(account, password))


async def test_a_message_is_taken_and_its_trail_shown_to_its_account_alone(house: Any) -> None:
    async with house() as at, caller(at) as shop, caller(at, "clinic") as clinic:
        answer = await shop.post("/messages", json={"from": "Shop", "to": NUMBER, "text": "Koden er 483 201"})
        assert answer.status_code == 202
        identity = answer.json()["id"]
        assert answer.headers["location"] == f"/messages/{identity}"
        trail = await shop.get(f"/messages/{identity}")
        assert trail.headers["cache-control"] == "no-store"
        assert trail.json()["state"] == "waiting"
        assert [step["event"] for step in trail.json()["steps"]] == ["accepted"]
        assert "483 201" not in trail.text
        assert "90000001" not in trail.text
        assert (await clinic.get(f"/messages/{identity}")).status_code == 404
        assert (await shop.get("/messages/unknown")).status_code == 404


WRONG_CREDENTIALS = [
    "",
    "Bearer x",
    "Bearer " + base64.b64encode(b"shop:secret12").decode(),
    "Basic !!",
    "Basic " + base64.b64encode(b"\xff:\xff").decode(),
    "Basic " + base64.b64encode(b"shop:wrong").decode(),
    "Basic " + base64.b64encode(b"nobody:").decode(),
]


async def test_without_the_right_secret_nothing_is_taken(house: Any) -> None:
    async with house() as at:
        transport = httpx.ASGITransport(application(at.centre))
        async with httpx.AsyncClient(transport=transport, base_url="http://sms") as nobody:
            body = {"from": "Shop", "to": NUMBER, "text": "hei"}
            for credentials in WRONG_CREDENTIALS:
                headers = {"Authorization": credentials} if credentials else {}
                for method, path in (("POST", "/messages"), ("GET", "/messages/x")):
                    answer = await nobody.request(method, path, json=body, headers=headers)
                    assert answer.status_code == 401, credentials
                    assert answer.json()["error"] == "wrong-credentials"
                    assert "Basic" in answer.headers["www-authenticate"]
        assert await at.fetch("SELECT id FROM sms_message") == []


async def test_no_secret_right_or_wrong_is_ever_logged(house: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Over either edge, and none of what a message says or of whom it goes to."""
    caplog.set_level(logging.DEBUG)
    async with house() as at, caller(at) as shop, caller(at, password="guessed-it") as stranger:
        body = {"from": "Shop", "to": NUMBER, "text": "Koden er 483 201"}
        answers = [await http.post("/messages", json=body) for http in (shop, stranger)]
        assert [answer.status_code for answer in answers] == [202, 401]
        link = await at.network.bound()
        await link.message()
        await at.bound_client()
        assert (await at.client(password="guessed-it"))[1] == Status.INVALID_PASSWORD
    assert "bind from" in caplog.text
    said = caplog.text + "".join(repr(record.args) for record in caplog.records)
    for secret in (PASSWORD, "guessed-it", "483 201", NUMBER[1:]):
        assert secret not in said


WRONG_BODIES = [
    (b"{", 400, "bad-request"),
    (b"[]", 400, "bad-request"),
    (b'{"from": "Shop", "to": "+4790000001"}', 400, "bad-request"),
    (b'{"from": "Shop", "to": "+4790000001", "text": 7}', 400, "bad-request"),
    (b'{"from": "Shop", "to": "+4790000001", "text": "hei", "urgent": true}', 400, "bad-request"),
    (b'{"from": "Shop", "to": "+4512345678", "text": "hei"}', 422, "no-route"),
    (b'{"from": "Shop", "to": "somebody", "text": "hei"}', 400, "bad-recipient"),
    (b'{"from": "a name that is long", "to": "+4790000001", "text": "hei"}', 400, "bad-sender"),
    (b'{"from": "Shop", "to": "0701234567", "text": "hei"}', 400, "bad-recipient"),
    (b'{"from": "Shop", "to": "46701234", "text": "hei"}', 422, "no-route"),  # of no region: in Sweden
    (b'{"from": "Shop", "to": "+4790000001", "text": ""}', 422, "text-length"),
    (b"x" * (BODY_OCTETS_MAX + 1), 413, "too-long"),
    (b"\xff\xfe", 400, "bad-request"),
]


async def test_what_is_wrong_is_said_in_a_line(house: Any) -> None:
    async with house() as at, caller(at) as shop:
        for body, status, error in WRONG_BODIES:
            answer = await shop.post("/messages", content=body)
            assert (answer.status_code, answer.json()["error"]) == (status, error), body[:80]
            assert answer.json()["message"]


async def test_a_number_without_its_country_code_is_of_the_region(house: Any) -> None:
    async with house(region="NO") as at, caller(at) as shop, caller(at, "abroad") as abroad:
        answer = await shop.post("/messages", json={"from": "41234567", "to": "46789012", "text": "hei"})
        assert answer.status_code == 202
        assert await at.fetch("SELECT sender, recipient, target FROM sms_message") == [
            ("4741234567", "4746789012", "link:nord")
        ]
        answer = await abroad.post("/messages", json={"from": "Shop", "to": "46789012", "text": "hei"})
        assert (answer.status_code, answer.json()["error"]) == (422, "no-route")
        client, link = await at.bound_client(), await at.network.bound()
        assert (await client.submit(destination="46789012", destination_ton=1))[0] == Status.INVALID_DESTINATION
        assert (await client.submit(destination="46789013", destination_ton=2))[0] == Status.OK
        for number in ("4746789012", "4746789013"):
            _, message = await link.message()
            assert (message.destination, message.destination_ton, message.destination_npi) == (number, 1, 1)
        link.ask(Command.DELIVER_SM, ShortMessage(source="46789012", source_ton=2, destination="2010", octets=b"ja"))
        assert (await link.answered()).status == Status.OK
        _, message = await client.message()
        assert (message.source, message.source_ton) == ("4746789012", 1)


async def test_who_sends_too_fast_is_told_when_to_try_again(house: Any) -> None:
    async with house() as at, caller(at, "slow") as slow:
        body = {"from": "Shop", "to": NUMBER, "text": "hei"}
        answers = [await slow.post("/messages", json=body) for _ in range(4)]
        assert answers[0].status_code == 202
        refused = answers[-1]
        assert (refused.status_code, refused.json()["error"]) == (503, "throttled")
        assert refused.headers["retry-after"] == str(refused.json()["retry_after_s"]) == "1"


async def test_what_the_database_cannot_take_or_show_is_asked_again_later(house: Any) -> None:
    async with house() as at, caller(at) as shop:
        body = {"from": "Shop", "to": NUMBER, "text": "hei"}
        await at.bound_client()  # the centre has begun
        at.engine.refusal = at.engine.deaf = StorageUnavailable("the disk is full")
        for answer in (await shop.post("/messages", json=body), await shop.get("/messages/x")):
            assert (answer.status_code, answer.json()["error"]) == (503, "storage")
            assert answer.headers["retry-after"] == str(answer.json()["retry_after_s"]) == "1"
        at.engine.refusal = at.engine.deaf = None
        assert await at.fetch("SELECT id FROM sms_message") == []
        assert (await shop.post("/messages", json=body)).status_code == 202


async def test_who_cannot_know_whether_a_message_was_taken_is_told_so(house: Any) -> None:
    async with house(timing=STILL) as at, caller(at) as shop:
        await (await at.bound_client()).submit()  # the centre has begun, and has nothing more to write
        at.engine.lost = InDoubt("lost while committing")
        kept = {"from": "Shop", "to": NUMBER, "text": "hei"}
        answer = await shop.post("/messages", json=kept)
        assert (answer.status_code, answer.json()["error"]) == (500, "in-doubt")
        assert "retry-after" not in answer.headers
        nothing = await shop.post("/messages", json=kept | {"to": "Kari"})
        assert (nothing.status_code, nothing.json()["error"]) == (400, "bad-recipient")  # there was nothing to keep
        at.engine.lost = None
        found = await shop.get(f"/messages/{answer.json()['id']}")
        assert (found.status_code, found.json()["id"]) == (200, answer.json()["id"])


async def test_who_is_fenced_out_keeps_nothing_and_says_so_before_the_role_ends(house: Any) -> None:
    async with house(timing=STILL) as at, caller(at) as shop:
        await (await at.bound_client()).submit()  # the centre has begun, and has nothing more to write
        stored = await at.fetch("SELECT id FROM sms_message")
        at.engine.refusal = FencedOut("another process writes")
        body = {"from": "Shop", "to": NUMBER, "text": "hei"}
        with pytest.raises(FencedOut):  # to the edge of the role, which ends it
            await shop.post("/messages", json=body)
        fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        served = with_health(application(at.centre), "sms", dict, fatal=fatal)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(served, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://sms", auth=("shop", PASSWORD)) as told:
            answer = await told.post("/messages", json=body)
        assert (answer.status_code, answer.json()["error"], answer.headers["retry-after"]) == (503, "storage", "1")
        assert fatal.done() and fatal.exception() is at.engine.refusal
        at.engine.refusal = None
        assert await at.fetch("SELECT id FROM sms_message") == stored


@pytest.mark.parametrize("error", [FencedOut("another process writes"), InDoubt("lost while committing")])
async def test_a_route_is_not_said_to_be_switched_by_who_cannot_know(house: Any, error: Exception) -> None:
    async with house(timing=STILL) as at:
        await (await at.bound_client()).submit()
        serving = application(at.centre, commands(at.canaries, command_key="k", canary_key="c"))
        transport = httpx.ASGITransport(serving)
        at.engine.refusal = error
        async with httpx.AsyncClient(transport=transport, base_url="http://sms") as asking:
            asking.headers["authorization"] = "Bearer k"
            with pytest.raises(type(error)):
                await asking.post("/routes/nord", json={"state": "stopped", "by": "Kari"})
        at.engine.refusal = None


async def test_where_too_much_waits_already_it_is_said(house: Any) -> None:
    async with house(waiting_max=1) as at, caller(at) as shop:
        body = {"from": "Shop", "to": NUMBER, "text": "hei"}
        assert (await shop.post("/messages", json=body)).status_code == 202
        at.clock.advance(5.0)

        client = await at.bound_client()

        async def is_full() -> bool:
            return (await client.submit(schedule="never"))[0] == Status.QUEUE_FULL

        await eventually(is_full)
        answer = await shop.post("/messages", json=body)
        assert (answer.status_code, answer.json()["error"]) == (503, "queue-full")
        assert answer.headers["retry-after"] == "1"


async def test_a_long_list_of_those_exposed_is_one_list(house: Any) -> None:
    async with house() as at:
        row: Row = {**BASE, "state": "sent", "attempted_at": NOW}
        await at.database.write(lambda tx: fill(tx, numbered([row] * (2 * EXPOSED_BATCH + 1))))
        app = application(at.centre, commands(at.canaries, command_key="role", canary_key="phone"))
        role = {"Authorization": "Bearer role"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sms", headers=role) as http:
            listed = (await http.get(f"/routes/nord/exposed?since={NOW}&until={NOW + 1}")).json()
            assert len({each["message"] for each in listed}) == len(listed) == 2 * EXPOSED_BATCH + 1


async def test_who_may_be_exposed_is_shown_masked_and_by_link_and_time(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        _, identity = await client.submit()
        request, _ = await link.message()
        link.take_message(request, "net-1")
        await at.until("SELECT state FROM sms_message", "sent")
        at.clock.advance(10.0)
        await client.submit(source="4790000077")
        request, _ = await link.message()
        link.take_message(request, "net-2")
        await at.until("SELECT MIN(state) FROM sms_message", "sent")
        later = at.clock.now()
        at.clock.advance(-10.0)
        app = application(at.centre, commands(at.canaries, command_key="role", canary_key="phone"))
        role, now = {"Authorization": "Bearer role"}, at.clock.now()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sms", headers=role) as http:
            answer = await http.get(f"/routes/nord/exposed?since={now}&until={now + 1}")
            [listed] = answer.json()
            assert answer.headers["cache-control"] == "no-store"
            assert "90000001" not in answer.text
            assert listed.pop("to").endswith(NUMBER[-2:])
            assert listed == {"message": identity, "sent_at": now, "from": "Shop", "class": "ordinary",
                              "account": "shop", "state": "sent"}  # fmt: skip
            [by_number] = (await http.get(f"/routes/nord/exposed?since={later}&until={later + 1}")).json()
            assert "90000077" not in by_number["from"] and by_number["from"].endswith("77")
            both = (await http.get(f"/routes/nord/exposed?since={now}&until={later + 1}")).json()
            assert [each["sent_at"] for each in both] == [now, later]
            for since, until in ((now - 1, now), (now + 0.5, now + 1), (now, now)):
                assert (await http.get(f"/routes/nord/exposed?since={since}&until={until}")).json() == []
            for wrong in ("", "?since=1", "?until=1", "?since=2&until=1", "?since=nan&until=1"):
                answer = await http.get(f"/routes/nord/exposed{wrong}")
                assert (answer.status_code, answer.json()["error"]) == (400, "bad-request"), wrong
            answer = await http.get("/routes/south/exposed?since=0&until=1")
            assert (answer.status_code, answer.json()["error"]) == (404, "unknown-link")
            answer = await http.post("/canaries/received", content=b"x" * (BODY_OCTETS_MAX + 1),
                                     headers={"Authorization": "Bearer phone"})  # fmt: skip
            assert (answer.status_code, answer.json()["error"]) == (413, "too-long")
            at.engine.refusal = at.engine.deaf = StorageUnavailable("the disk is full")
            for method, path in (("GET", "/routes"), ("GET", f"/routes/nord/exposed?since=0&until={now}")):
                answer = await http.request(method, path)
                assert (answer.status_code, answer.json()["error"]) == (503, "storage")
            at.engine.refusal = at.engine.deaf = None


async def test_the_scheme_may_be_written_in_any_case_and_a_request_be_as_long_as_is_said(house: Any) -> None:
    async with house() as at:
        transport = httpx.ASGITransport(application(at.centre))
        secret = base64.b64encode(b"shop:secret12").decode()
        async with httpx.AsyncClient(transport=transport, base_url="http://sms") as http:
            for scheme in ("Basic", "basic", "BASIC"):
                answer = await http.get("/messages/x", headers={"Authorization": f"{scheme} {secret}"})
                assert answer.status_code == 404
            longest = b"{}" + b" " * (BODY_OCTETS_MAX - 2)
            answer = await http.post("/messages", content=longest, headers={"Authorization": f"Basic {secret}"})
            assert answer.status_code == 400
            answer = await http.post("/messages", content=longest + b" ", headers={"Authorization": f"Basic {secret}"})
            assert answer.status_code == 413
