"""What the JSON edges share: bodies in bounds, answers that a client can go by, and a browser's rules."""

import asyncio
import json
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.protocols.asgi import (
    NOT_FOUND,
    PLAIN,
    REFUSALS,
    ClientLeft,
    HttpResponse,
    Request,
    Route,
    bearer,
    cookie,
    cross_origin,
    edge,
    from_another_origin,
    header,
    preflight,
    read_body,
    refusal,
    respond,
    same_secret,
    until_disconnect,
)

VIEWER = "http://localhost:8080"


@pytest.mark.parametrize("text", ["a\n", "\n", "a\x00b", "\x7f", "a\tb"])
def test_plain_text_holds_no_control_character_anywhere(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Annotated[str, msgspec.Meta(pattern=PLAIN)])
    for fine in ("", "Kari Nordmann", text.translate({n: "x" for n in (*range(32), 127)})):
        assert msgspec.convert(fine, Annotated[str, msgspec.Meta(pattern=PLAIN)]) == fine


class Client:
    """What a server hears from a client, message by message."""

    def __init__(self, messages: Iterable[dict[str, Any]]) -> None:
        self.messages = list(messages)
        self.heard = 0

    async def receive(self) -> dict[str, Any]:
        self.heard += 1
        return self.messages[self.heard - 1]


def parts(*bodies: bytes) -> list[dict[str, Any]]:
    return [{"type": "http.request", "body": body, "more_body": i < len(bodies)} for i, body in enumerate(bodies, 1)]


def scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "headers": headers}


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=6), st.integers(0, 40))
def test_a_body_in_parts_is_whole_or_too_long(bodies: list[bytes], bytes_max: int) -> None:
    whole = b"".join(bodies)
    expected = whole if len(whole) <= bytes_max else None
    assert asyncio.run(read_body(Client(parts(*bodies)).receive, bytes_max)) == expected


async def test_of_a_body_that_is_too_long_no_more_is_read_than_tells() -> None:
    client = Client(parts(b"12345", b"678", b"9", b"0"))
    assert await read_body(client.receive, 7) is None
    assert client.heard == 2
    assert await read_body(Client([{"type": "http.request"}]).receive, 0) == b""


async def test_who_leaves_within_the_request_is_told_apart() -> None:
    with pytest.raises(ClientLeft):
        await read_body(Client([*parts(b"1", b"2")[:1], {"type": "http.disconnect"}]).receive, 10)
    client = Client([*parts(b"late", b"r"), {"type": "http.disconnect"}])
    await until_disconnect(client.receive)
    assert client.heard == 3


async def answered(answer: HttpResponse, *extra: tuple[bytes, bytes]) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await respond(send, answer, extra)
    start, body = sent
    assert (start["type"], body["type"]) == ("http.response.start", "http.response.body")
    assert not body.get("more_body")
    assert len(dict(start["headers"])) == len(start["headers"])
    return start["status"], dict(start["headers"]), body["body"]


async def test_an_answer_says_its_length_its_kind_and_that_nobody_may_keep_it() -> None:
    status, headers, body = await answered(
        HttpResponse(200, {"name": "Åse"}, ((b"set-cookie", b"a=b"),)), (b"vary", b"Origin")
    )
    assert (status, json.loads(body)) == (200, {"name": "Åse"})
    assert body == '{"name": "Åse"}'.encode()
    assert headers == {
        b"content-length": str(len(body)).encode(),
        b"content-type": b"application/json",
        b"cache-control": b"no-store",
        b"set-cookie": b"a=b",
        b"vary": b"Origin",
    }
    assert await answered(HttpResponse(204)) == (204, {b"content-length": b"0", b"cache-control": b"no-store"}, b"")
    assert (await answered(HttpResponse(200, {})))[2] == b"{}"


@pytest.mark.parametrize("head", [False, True])
async def test_what_is_not_to_be_outlived_is_raised_when_the_answer_has_been_sent(head: bool) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with pytest.raises(LookupError, match="another writes"):
        await respond(send, HttpResponse(503, {}, then=LookupError("another writes")), head=head)
    assert sent == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize(
    ("retry_after_s", "whole"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.01, 2), (5.0, 5), (29.5, 30), (None, None)]
)
async def test_a_refusal_says_when_to_come_again_never_too_early(
    retry_after_s: float | None, whole: int | None
) -> None:
    status, headers, body = await answered(refusal(503, "overloaded", "Later.", retry_after_s=retry_after_s, n=3))
    document = json.loads(body)
    assert (status, document["error"], document["message"], document["n"]) == (503, "overloaded", "Later.", 3)
    assert document.get("retry_after_s") == whole
    assert headers.get(b"retry-after") == (str(whole).encode() if whole else None)
    assert NOT_FOUND.status == 404


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer  abc ", "abc"),
        (b"BEARER abc", "abc"),
        (b"Bearer", ""),
        (b"Bearer ", ""),
        (b"Basic abc", ""),
        (b"abc", ""),
        (b"", ""),
        (b"Bearer \xe9", "é"),
        (b"Bearer a b", "a b"),
    ],
)
def test_a_bearer_token_is_what_stands_behind_the_word(value: bytes, token: str) -> None:
    assert bearer(scope((b"host", b"x"), (b"authorization", value))) == token


def test_a_header_is_its_first_value_or_empty() -> None:
    asked = scope((b"accept", b"a"), (b"origin", b"first"), (b"origin", b"second"))
    assert (header(asked, b"origin"), header(asked, b"cookie"), bearer(asked)) == ("first", "", "")


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (b"prikkfri-signin=abc", "abc"),
        (b"a=1; prikkfri-signin=abc; b=2", "abc"),
        (b"not-prikkfri-signin=abc", ""),
        (b"prikkfri-signin-old=abc", ""),
        (b"prikkfri-signin=", ""),
        (b"", ""),
        (b"\xff=\xff; =;;", ""),
    ],
)
def test_a_cookie_is_found_by_its_whole_name(sent: bytes, value: str) -> None:
    assert cookie(scope((b"cookie", sent)), "prikkfri-signin") == value


class Guarded(bytes):
    """Bytes of which an ordinary comparison would tell, by its time, how far they agree."""

    __hash__ = bytes.__hash__

    def __eq__(self, other: object) -> bool:
        raise AssertionError("a secret is compared with ==")

    __ne__ = __eq__


class Secret(str):
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise AssertionError("a secret is compared with ==")

    __ne__ = __eq__

    def encode(self, *arguments: Any) -> bytes:
        return Guarded(super().encode(*arguments))


@pytest.mark.parametrize(
    ("given", "expected", "same"),
    [("key", "key", True), ("kez", "key", False), ("", "key", False), ("ke", "key", False), ("key", "", False),
     ("", "", False), ("né", "né", True), ("KEY", "key", False)],
)  # fmt: skip
def test_a_secret_is_compared_in_constant_time_and_none_equals_nothing(given: str, expected: str, same: bool) -> None:
    assert same_secret(Secret(given), Secret(expected)) is same


def test_only_pages_of_the_viewer_may_read_an_answer() -> None:
    without, with_cookies = (dict(cross_origin(VIEWER, credentials=allowed)) for allowed in (False, True))
    assert without == {
        b"access-control-allow-origin": VIEWER.encode(),
        b"vary": b"Origin",
        b"access-control-expose-headers": b"Retry-After",
    }
    assert with_cookies == without | {b"access-control-allow-credentials": b"true"}


def test_a_browser_is_told_what_it_may_send() -> None:
    answer = preflight(frozenset({"PUT", "GET"}))
    assert (answer.status, answer.document, dict(answer.headers)) == (
        204,
        None,
        {
            b"access-control-allow-methods": b"GET, PUT",
            b"access-control-allow-headers": b"Authorization, Content-Type",
            b"access-control-max-age": b"7200",
        },
    )


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ([(b"origin", VIEWER.encode())], False),
        ([(b"origin", VIEWER.encode()), (b"cookie", b"a=b")], False),
        ([], False),  # no browser, and it acts for nobody
        ([(b"cookie", b"a=b")], True),
        ([(b"origin", b"null")], True),
        ([(b"origin", b"http://localhost:8081")], True),
        ([(b"origin", b"https://localhost:8080")], True),
        ([(b"origin", b"http://localhost:8080.example.org"), (b"cookie", b"a=b")], True),
    ],
)
def test_an_unsafe_request_of_another_page_is_told(headers: list[tuple[bytes, bytes]], refused: bool) -> None:
    assert from_another_origin(scope(*headers), VIEWER) is refused


async def told(request: Request) -> HttpResponse:
    return HttpResponse(200, dict(request.parts))


async def taken(request: Request) -> HttpResponse:
    return HttpResponse(200, {"bytes": len(await request.body())})


EDGE = edge(
    [
        Route("GET", "/a", told),
        Route("GET", "/a/fixed", told),
        Route("GET", "/a/{x}", told),
        Route("PUT", "/a/{x}", taken, body_bytes_max=4),
        Route("GET", "/a/{x}/b/{y}", told),
        Route("GET", "/{z}/{x}/c", told),
        Route("GET", "/closed", told, key=""),
        Route("GET", "/command", told, key="the key"),
        Route("POST", "/order", taken, origin=VIEWER),
        Route("POST", "/page", taken, origin=VIEWER, names_origin=True),
    ],
    names={"too-large": "too-long"},
)


async def asked(method: str, path: str, *headers: tuple[bytes, bytes], body: bytes = b"") -> tuple[int, Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asking = {"type": "http", "method": method, "path": path, "headers": headers}
    await EDGE(asking, Client(parts(body)).receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"] or b"null")


@pytest.mark.parametrize(
    ("path", "parts"),
    [("/a", {}), ("/a/fixed", {}), ("/a/other", {"x": "other"}), ("/a/1/b/2", {"x": "1", "y": "2"}),
     ("/z/1/c", {"z": "z", "x": "1"}), ("/a/1/c", {"z": "a", "x": "1"}), ("/a/é {x}", {"x": "é {x}"})],
)  # fmt: skip
async def test_a_path_finds_its_route_and_what_its_names_stand_for(path: str, parts: dict[str, str]) -> None:
    assert await asked("GET", path) == (200, parts)


@pytest.mark.parametrize(
    "path", ["", "/", "a", "/a/", "/a//b/2", "/a/1/b/", "/a/1/b/2/", "/A", "//a", "/{x}", "/a/1/d"]
)
async def test_whatever_else_is_asked_is_not_there(path: str) -> None:
    status, document = await asked("GET", path)
    assert (status, document["error"]) == (404, "not-found")


async def test_a_route_says_who_may_ask_and_how_much() -> None:
    mine, other = (b"origin", VIEWER.encode()), (b"origin", b"http://evil.example")
    right, wrong = (b"authorization", b"Bearer the key"), (b"authorization", b"Bearer the kez")
    assert (await asked("GET", "/command", right))[0] == 200
    for path, headers in (("/command", [wrong]), ("/command", []), ("/closed", []), ("/closed", [right])):
        status, document = await asked("GET", path, *headers)
        assert (status, document["error"]) == (401, "bad-command-key")
    assert (await asked("POST", "/order", mine))[0] == 200
    assert (await asked("POST", "/order", other))[1]["error"] == "bad-origin"
    assert await asked("PUT", "/a/1", body=b"1234") == (200, {"bytes": 4})
    status, document = await asked("PUT", "/a/1", body=b"12345")
    assert (status, document) == (413, {"error": "too-long", "message": "At most 4 bytes."})
    assert (await asked("POST", "/order", mine, body=b"1"))[0] == 413
    assert await asked("HEAD", "/a") == (200, None)
    assert (await asked("POST", "/a/1"))[1] == {"error": "bad-method", "message": "Only GET, HEAD, PUT."}


def test_every_refusal_has_a_sentence_for_people() -> None:
    for slug, (status, sentence) in REFUSALS.items():
        assert 400 <= status < 600 and slug == slug.lower() and sentence.endswith("."), slug


async def test_an_order_from_a_page_names_its_origin() -> None:
    mine = (b"origin", VIEWER.encode())
    assert (await asked("POST", "/page", mine))[0] == 200
    for headers in ([], [(b"origin", b"")], [(b"origin", b"null")]):
        assert (await asked("POST", "/page", *headers))[1]["error"] == "bad-origin"
