"""The message API as an integrator meets it, over ASGI."""

import base64
from typing import Any

import httpx

from prikkfri.sms.http import BODY_OCTETS_MAX, application

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
        trail = await shop.get(f"/messages/{identity}")
        assert trail.json()["state"] == "waiting"
        assert [step["event"] for step in trail.json()["steps"]] == ["accepted"]
        assert "483 201" not in trail.text
        assert "90000001" not in trail.text
        assert (await clinic.get(f"/messages/{identity}")).status_code == 404
        assert (await shop.get("/messages/unknown")).status_code == 404


WRONG_CREDENTIALS = [
    "",
    "Bearer x",
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


WRONG_BODIES = [
    (b"{", 400, "bad-request"),
    (b"[]", 400, "bad-request"),
    (b'{"from": "Shop", "to": "+4790000001"}', 400, "bad-request"),
    (b'{"from": "Shop", "to": "+4790000001", "text": 7}', 400, "bad-request"),
    (b'{"from": "Shop", "to": "+4790000001", "text": "hei", "urgent": true}', 400, "bad-request"),
    (b'{"from": "Shop", "to": "+4512345678", "text": "hei"}', 422, "no-route"),
    (b'{"from": "Shop", "to": "somebody", "text": "hei"}', 422, "bad-recipient"),
    (b'{"from": "a name that is long", "to": "+4790000001", "text": "hei"}', 422, "bad-sender"),
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


async def test_who_sends_too_fast_is_told_when_to_try_again(house: Any) -> None:
    async with house() as at, caller(at, "slow") as slow:
        body = {"from": "Shop", "to": NUMBER, "text": "hei"}
        answers = [await slow.post("/messages", json=body) for _ in range(4)]
        assert answers[0].status_code == 202
        refused = answers[-1]
        assert (refused.status_code, refused.json()["error"]) == (503, "throttled")
        assert refused.headers["retry-after"] == str(refused.json()["retry_after_s"]) == "1"
