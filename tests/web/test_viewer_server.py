"""The viewer role serves its files from memory, each under the same strict policy."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from prikkfri.config import Viewer
from prikkfri.errors import UsageError
from prikkfri.web.viewer.server import PAGES, PREVIEW, application, brand, content_security_policy, shell_files

KINDS = {
    "/": "text/html", "/preview-waiting": "text/html",
    ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml",
    ".json": "application/json", ".webmanifest": "application/manifest+json",
}  # fmt: skip
SETTINGS = {
    "signin": "https://signin.example:8081",
    "playout": "https://playout.example/under/a/path",
    "door": "https://door.example",
    "status": "https://status.example.org",
    "assurance": "https://assurance.example.org",
    "demo": False,
    "operator": "Fjordnett",
}
pytestmark = pytest.mark.skipif(
    not (PAGES / "vendor" / "hls.mjs").exists(), reason="browser parts are not built; mend it: npm ci && npm run build"
)


@pytest.fixture
def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(application(SETTINGS)), base_url="http://viewer")


def directives(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (part.split() for part in policy.split("; "))}


def test_policy_names_exactly_the_origins() -> None:
    policy = directives(content_security_policy(SETTINGS))
    for directive in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert policy[directive] == ["'none'"], directive
    for directive in ("script-src", "style-src", "img-src", "manifest-src", "worker-src"):
        assert policy[directive] == ["'self'"], directive
    assert policy["require-trusted-types-for"] == ["'script'"] and policy["trusted-types"] == ["viewer"]
    origins = ["https://signin.example:8081", "https://door.example", "https://playout.example"]
    assert policy["connect-src"] == ["'self'", *origins, "https://status.example.org", "https://assurance.example.org"]
    assert policy["media-src"] == ["blob:", "https://playout.example"]
    assert "unsafe" not in content_security_policy(SETTINGS)


async def test_every_file_of_the_shell_is_served_under_the_policy(client: httpx.AsyncClient) -> None:
    files = shell_files(SETTINGS)
    assert {"/", "/main.js", "/vendor/hls.mjs", "/tokens.css", "/settings.json", "/service_worker.js"} <= files.keys()
    for path, body in files.items():
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.content == body
        assert answer.headers["content-security-policy"] == content_security_policy(SETTINGS)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["vary"] == "accept-encoding" and answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["permissions-policy"] == "camera=(), microphone=(), geolocation=()"
        kind = KINDS["." + path.rpartition(".")[2] if "." in path else path]
        assert answer.headers["content-type"].partition(";")[0] == kind, path


async def test_settings(client: httpx.AsyncClient) -> None:
    assert (await client.get("/settings.json")).json() == SETTINGS


async def test_a_file_that_the_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/main.js")
    again = await client.get("/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get("/main.js", headers={"if-none-match": (await client.get("/watch.js")).headers["etag"]})
    assert (other.status_code, other.content) == (200, first.content)


async def test_a_file_that_has_changed_is_sent_again(client: httpx.AsyncClient) -> None:
    etag = (await client.get("/settings.json")).headers["etag"]
    changed = httpx.ASGITransport(application(SETTINGS | {"operator": "Other"}))
    async with httpx.AsyncClient(transport=changed, base_url="http://viewer") as other:
        answer = await other.get("/settings.json", headers={"if-none-match": etag})
        assert answer.status_code == 200 and answer.json()["operator"] == "Other"
        kept = (await client.get("/main.js")).headers["etag"]
        assert (await other.get("/main.js", headers={"if-none-match": kept})).status_code == 304


async def test_compressed_only_for_who_asks(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/main.js", headers={"accept-encoding": "gzip, br"}) as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-length"] == str(len(raw))
    plain = await client.get("/main.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/../config.py", 404), ("POST", "/", 405), ("HEAD", "/", 200)],
)
async def test_nothing_else(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers.get("allow") == ("GET, HEAD" if status == 405 else None)
    assert not answer.content or answer.json()["error"] == {404: "not-found", 405: "bad-method"}[status]


async def test_only_the_head_is_sent_to_who_asks_for_it() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    await application(SETTINGS)({"type": "http", "method": "HEAD", "path": "/main.js", "headers": []}, receive, send)
    length = dict(sent[0]["headers"])[b"content-length"]
    assert sent[0]["status"] == 200 and int(length) == len(shell_files(SETTINGS)["/main.js"])
    assert [message["body"] for message in sent[1:]] == [b""]


def test_the_shell_has_another_version_when_anything_changed() -> None:
    def version(settings: dict[str, object]) -> str:
        first_line = shell_files(settings)["/service_worker.js"].split(b";\n")[0]
        shell = json.loads(first_line.removeprefix(b"const SHELL = "))
        assert "/service_worker.js" not in shell["files"]
        return str(shell["version"])

    assert version(SETTINGS) == version(dict(SETTINGS))
    assert version(SETTINGS) != version(SETTINGS | {"door": "https://other.example"})


def test_the_operators_name_and_words_stand_in_the_page_as_text() -> None:
    page = shell_files(SETTINGS | {"operator": "<b>Fjord & Nett</b>"})["/"].decode()
    assert "<title>&lt;b&gt;Fjord &amp; Nett&lt;/b&gt;</title>" in page
    assert "<b>" not in page and "Prikkfri" not in page


def test_the_preview_is_the_page_with_nobody_behind_it() -> None:
    files = shell_files(SETTINGS)
    assert files[PREVIEW] == files["/"].replace(b"/main.js", b"/preview.js") != files["/"]
    imports = re.findall(r'from "./(\w+).js"', files["/preview.js"].decode())
    assert "session" not in imports and "watch" not in imports


def test_the_operators_colours_are_worn_with_ink_that_can_be_read() -> None:
    assert shell_files(SETTINGS)["/brand.css"] == b""
    rules = brand(Viewer(colour="#0b6e4a", colour_dark="#4ccf9a")).splitlines()
    assert [rule.split(" .sign-in")[0] for rule in rules] == [
        ':root[data-theme="dark"]',
        "@media (prefers-color-scheme: dark) { :root:not([data-theme])",
        ':root[data-theme="light"]',
        "@media (prefers-color-scheme: light) { :root:not([data-theme])",
    ]
    assert all("--brand: #4ccf9a; --solid: #4ccf9a;" in rule and "--on-solid: #000000;" in rule for rule in rules[:2])
    assert all("--brand: #0b6e4a; --solid: #0b6e4a;" in rule and "--on-solid: #ffffff;" in rule for rule in rules[2:])
    assert "color-mix(in srgb, #4ccf9a 85%, #ffffff)" in rules[0]  # away from the ink, never towards it
    assert "color-mix(in srgb, #0b6e4a 85%, #000000)" in rules[2]


def test_missing_browser_parts_say_the_mend(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="npm run build"):
        shell_files(SETTINGS, tmp_path)
