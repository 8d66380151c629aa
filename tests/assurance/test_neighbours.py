"""What assurance asks of the other roles: a dead, slow or strange one is an answer, never an exception."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from prikkfri.assurance.controls import ChannelControl, RouteControl
from prikkfri.assurance.customers import CustomerDevice, PasswordLink
from prikkfri.assurance.http import Limits, RoleClient

KEYS = {role: f"key of {role}" for role in ("status", "signin", "playout", "sms")}
Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class Elsewhere:
    """The other roles: what was asked of them, and what they answer."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[httpx.Request] = []
        self._answer = answer

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answer(request)
        return answer if isinstance(answer, httpx.Response) else await answer


def neighbours(answer: Answer, **more: Any) -> tuple[RoleClient, Elsewhere]:
    elsewhere = Elsewhere(answer)
    client = httpx.AsyncClient(transport=httpx.MockTransport(elsewhere))
    urls = {role: f"http://{role}.test" for role in KEYS}
    return RoleClient(client, urls=urls, command_keys=KEYS, **more), elsewhere


def dead(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens")


async def never(_: httpx.Request) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError


CHANNEL = {"id": "sport", "name": "Sport", "open": True, "by": "kari", "more": 1}
ROUTE = {
    "link": "nord", "partner": "Nordtel", "state": "stopped", "since": 5.0, "by": "rule:canaries", "reason": "astray",
    "instead": "south", "waiting": 3, "trusted": False, "judged": 90, "astray": 4, "stopped_at": 5.0,
}  # fmt: skip


@pytest.mark.parametrize(("status", "answers"), [(200, True), (204, False), (404, False), (503, False)])
async def test_a_role_answers_when_its_health_is_200(status: int, answers: bool) -> None:
    asking, elsewhere = neighbours(lambda request: httpx.Response(status))
    assert await asking.answers("sms") is answers
    assert str(elsewhere.asked[0].url) == "http://sms.test/health"
    assert asking.roles == ("status", "signin", "playout", "sms")


async def test_what_is_told_and_asked_carries_the_key_of_whom_it_is_for() -> None:
    asking, elsewhere = neighbours(lambda request: httpx.Response(200, json={"per_second": 41}))
    await asking.publish(b'{"summary": 1}')
    await asking.capacity_per_second("signin")
    await asking.channels()
    await asking.routes()
    await asking.switch_channel("a/b ?", "open", by="kari")
    await asking.switch_route("nord/1", "stopped", by="ola")
    assert [(r.method, r.url.host.partition(".")[0], r.url.raw_path.decode()) for r in elsewhere.asked] == [
        ("PUT", "status", "/publish"), ("GET", "signin", "/capacity"), ("GET", "playout", "/standings"),
        ("GET", "sms", "/routes"), ("PUT", "playout", "/open/a%2Fb%20%3F"), ("POST", "sms", "/routes/nord%2F1"),
    ]  # fmt: skip
    for request in elsewhere.asked:
        assert request.headers["authorization"] == f"Bearer {KEYS[request.url.host.partition('.')[0]]}"
    bodies = [json.loads(request.content) for request in elsewhere.asked if request.content]
    assert bodies == [{"summary": 1}, {"state": "open", "by": "kari"}, {"state": "stopped", "by": "ola"}]


async def test_how_channels_and_routes_stand_is_told_or_not_known() -> None:
    asking, _ = neighbours(lambda r: httpx.Response(200, json=[CHANNEL] if "playout" in r.url.host else [ROUTE]))
    assert await asking.channels() == (ChannelControl("sport", "Sport", True, "kari"),)
    (route,) = await asking.routes() or ()
    assert route == RouteControl(
        "nord", "Nordtel", "stopped", 5.0, "rule:canaries", "astray", "south", 3, False, 90, 4
    )  # fmt: skip
    asking, _ = neighbours(lambda request: httpx.Response(200, json=[{**CHANNEL, "guide": "it is gone"}]))
    assert await asking.channels() == (ChannelControl("sport", "Sport", True, "kari", "it is gone"),)
    for answer in (b"", b"{}", b'[{"id": 1}]', b"[null]", b"<html>"):
        asking, _ = neighbours(lambda request, answer=answer: httpx.Response(200, content=answer))  # type: ignore[misc]
        assert await asking.channels() is None and await asking.routes() is None
    asking, _ = neighbours(lambda request: httpx.Response(200, json=[]))
    assert await asking.channels() == () == await asking.routes()


@pytest.mark.parametrize(
    ("by", "person"), [("", False), ("configuration", False), ("rule:fallback", False), ("kari", True), ("rule", True)]
)
def test_who_opened_a_channel_was_a_person_or_not(by: str, person: bool) -> None:
    assert ChannelControl("sport", "Sport", True, by).by_person is person


@pytest.mark.parametrize(
    ("answer", "per_second"),
    [
        ({"per_second": 41.5}, 41.5), ({"per_second": "7"}, 7.0), ({"per_second": 0}, None), ({"per_second": -1}, None),
        ({"per_second": 1e6}, None), ({"per_second": None}, None), ({"per_second": "nan"}, None), ({}, None),
        ([], None), (3, None),
    ],
)  # fmt: skip
async def test_a_capacity_is_a_measured_one_or_none(answer: Any, per_second: float | None) -> None:
    asking, _ = neighbours(lambda request: httpx.Response(200, json=answer))
    assert await asking.capacity_per_second("signin") == per_second


async def test_who_does_not_answer_is_said_and_nothing_raises() -> None:
    hurried = Limits(health_seconds_max=0.02, command_seconds_max=0.02)
    for answer, says in (
        (dead, "the {} role cannot be reached (ConnectError)"), (never, "the {} role does not answer"),
        (lambda request: httpx.Response(401, json=[CHANNEL, ROUTE]), "the {} role answered 401"),
        (lambda request: httpx.Response(302, json=[CHANNEL, ROUTE]), "the {} role answered 302"),
    ):  # fmt: skip
        asking, _ = neighbours(answer, limits=hurried)
        assert await asking.publish(b"{}") == says.format("status")
        assert await asking.switch_channel("sport", "open", by="kari") == says.format("playout")
        assert await asking.switch_route("nord", "open", by="kari") == says.format("sms")
        assert not await asking.answers("sms")
        assert await asking.channels() is None and await asking.routes() is None
        assert await asking.capacity_per_second("signin") is None
        # Whether it was taken on by one who never answered, nobody knows.
        taken = await asking.send_message("account", "secret", "Nordavind", "+4791234567", "hei")
        assert taken == (None if answer is never else "")
    asking, _ = neighbours(lambda request: httpx.Response(204))
    assert await asking.publish(b"{}") == ""


async def test_roles_that_are_not_there_are_not_asked() -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(dead))
    asking = RoleClient(client, urls={}, command_keys={})
    assert await asking.channels() is None and await asking.routes() is None
    assert await asking.capacity_per_second("signin") is None


async def test_a_message_is_handed_over_in_the_name_of_its_account() -> None:
    asking, elsewhere = neighbours(lambda request: httpx.Response(202, json={"id": "m-1"}))
    assert await asking.send_message("middag", "secret", "Nordavind", "+4791234567", "hei") == "m-1"
    (request,) = elsewhere.asked
    assert (request.method, str(request.url)) == ("POST", "http://sms.test/messages")
    assert json.loads(request.content) == {"from": "Nordavind", "to": "+4791234567", "text": "hei"}
    assert request.headers["authorization"] == "Basic bWlkZGFnOnNlY3JldA=="
    for status, answer, taken in ((422, {"error": "bad-recipient", "id": "m-2"}, ""), (202, {}, None), (202, [], None),
                                  (500, {"error": "in-doubt", "id": "m-2"}, None), (500, {"error": "in-doubt"}, None),
                                  (503, {"error": "storage"}, "")):  # fmt: skip
        asking, _ = neighbours(lambda request, s=status, a=answer: httpx.Response(s, json=a))  # type: ignore[misc]
        assert await asking.send_message("middag", "secret", "Nordavind", "+47", "hei") == taken


async def test_what_signin_tells_and_does_for_a_customer_is_known_only_when_it_says_so() -> None:
    device = {"device": "d-1", "name": "Firefox", "first_at": 1.0, "seen_at": 2.0}
    answers = {"devices": [device], "ended": 2, "link": "http://tv.test/#password=x", "expires_at": 5.0}
    asking, elsewhere = neighbours(lambda request: httpx.Response(200, json=answers))
    assert await asking.devices("s/1 +") == (CustomerDevice("Firefox", 1.0, 2.0),)
    assert await asking.end_devices("s/1", by="Eva") == 2
    assert await asking.password_link("s/1", by="Eva") == PasswordLink("http://tv.test/#password=x", 5.0)
    assert [(r.method, r.url.raw_path.decode(), r.content) for r in elsewhere.asked] == [
        ("GET", "/customers/devices?customer=s%2F1%20%2B", b""),
        ("POST", "/customers/devices/end", b'{"customer":"s/1","by":"Eva"}'),
        ("POST", "/customers/password-link", b'{"customer":"s/1","by":"Eva"}'),
    ]
    assert {r.headers["authorization"] for r in elsewhere.asked} == {"Bearer key of signin"}
    for answer in (
        dead,
        lambda request: httpx.Response(404, json={"error": "no-such-customer", "message": "no"}),
        lambda request: httpx.Response(503, json=answers | {"error": "database-unavailable"}),
        lambda request: httpx.Response(200, text="?"),
    ):
        asking, _ = neighbours(answer)
        assert await asking.devices("s-1") is None
        assert await asking.end_devices("s-1", by="Eva") is None
        assert await asking.password_link("s-1", by="Eva") is None
