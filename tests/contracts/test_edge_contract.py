"""What every role's HTTP answers alike, whatever it serves: one shape of refusal, methods, bodies, origins."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import documents
import httpx
import pytest

from prikkfri.app.roles import build
from prikkfri.app.serving import with_health
from prikkfri.clock import SystemClock
from prikkfri.config import ROLES, Account, Config, Sms, SmsEdge
from prikkfri.simulation.installation import free_ports
from prikkfri.storage.keys import command_key

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
CONFIG = Config(sms=Sms(accounts=(Account(system_id="shop", password="secret12"),)))
VIEWER, CONSOLE = CONFIG.roles.viewer.url, CONFIG.roles.assurance.url


@dataclass(frozen=True)
class Known:
    """One path of a role: by which methods it is asked, and what else a request must bring to have its body read."""

    role: str
    path: str
    allow: str
    status: int = 200
    """Of a GET; 0: it is not looked at."""
    body_max: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    cors: str = ""
    too_large: str = "too-large"
    bad_method: str = "bad-method"

    def __str__(self) -> str:
        return f"{self.role}:{self.path}"


BASIC = (("authorization", "Basic c2hvcDpzZWNyZXQxMg=="),)
KEY = (("authorization", "Bearer KEY"),)
FROM_VIEWER, FROM_CONSOLE = (("origin", VIEWER),), (("origin", CONSOLE),)
PATHS = [
    *(Known(role, path, "GET, HEAD") for role in ROLES for path in ("/health", "/metrics")),
    Known("viewer", "/", "GET, HEAD"),
    Known("viewer", "/settings.json", "GET, HEAD"),
    Known("signin", "/session", "GET, HEAD", 401, cors=VIEWER),
    Known("signin", "/capacity", "GET, HEAD", 401, cors=VIEWER),
    Known("signin", "/sign-in", "POST", 0, 8_192, FROM_VIEWER, cors=VIEWER),
    Known("signin", "/sign-out", "POST", 0, cors=VIEWER),
    *(
        Known(role, f"/journal/{role}", "GET, HEAD, POST", 401, 1_024, KEY)
        for role in ("signin", "sms", "playout", "door")
    ),
    Known("signin", "/published/device-keys", "GET, HEAD", 401),
    Known("door", "/published/pass-keys", "GET, HEAD", 401),
    Known("door", "/line", "GET, HEAD", cors=VIEWER),
    Known("door", "/steering", "GET, HEAD, POST", 401, 1_024, KEY, cors=VIEWER),
    Known("door", "/waiting", "GET, HEAD", 400, cors=VIEWER),
    Known("door", "/enter", "POST", 0, 1_024, FROM_VIEWER, cors=VIEWER),
    Known("door", "/playback-token", "POST", 0, cors=VIEWER),
    *(
        Known("playout", path, "GET, HEAD", status, cors=VIEWER, bad_method="method-not-allowed")
        for path, status in (("/channels", 200), ("/open", 200), ("/guide", 200), ("/standings", 401),
                             ("/live/a/b/c", 404), ("/open/a/b", 404))
    ),
    Known("playout", "/report", "POST", 0, 2_048, FROM_VIEWER, cors=VIEWER, bad_method="method-not-allowed"),
    Known("playout", "/open/sport", "PUT", 0, 2_048, KEY, cors=VIEWER, bad_method="method-not-allowed"),
    Known("sms", "/messages", "POST", 0, 65_536, BASIC, too_large="too-long"),
    Known("sms", "/messages/x", "GET, HEAD", 401),
    *(Known(role, "/openapi.json", "GET, HEAD") for role in ("sms", "status")),
    Known("assurance", "/openapi.json", "GET, HEAD", cors=VIEWER),
    Known("sms", "/routes", "GET, HEAD", 401),
    Known("sms", "/routes/nord", "POST", 0, 65_536, KEY, too_large="too-long"),
    Known("sms", "/routes/nord/exposed", "GET, HEAD", 401),
    Known("sms", "/canaries/received", "POST", 0),
    Known("sms", "/routes/nord/complaints", "POST", 0, 65_536, KEY, too_large="too-long"),
    Known("sms", "/wrong-number", "GET, HEAD, POST", 200, 1_000, too_large="too-long"),
    Known("sms", "/links", "GET, HEAD", 401),
    Known("sms", "/restored", "GET, HEAD, POST", 401, 65_536, KEY, too_large="too-long"),
    Known("sms", "/quarantine", "GET, HEAD, POST", 401, 65_536, KEY, too_large="too-long"),
    Known("sms", "/quarantine/x", "GET, HEAD, POST", 401, 65_536, KEY, too_large="too-long"),
    Known("assurance", "/was-i-hit", "GET, HEAD", 401, cors=VIEWER),
    Known("assurance", "/sign-in", "GET, HEAD, POST", 200, 20_000, FROM_CONSOLE),
    *(
        Known("assurance", path, "GET, HEAD", 401)
        for path in ("/", "/live", "/chart.json", "/outcomes", "/incidents", "/incidents/x", "/controls", "/system")
    ),
    *(Known("assurance", path, "GET, HEAD, POST", 401) for path in ("/people", "/customers", "/incidents/x/hit")),
    Known("assurance", "/sign-out", "POST", 0),
    Known("status", "/", "GET, HEAD"),
    Known("status", "/api/v2/summary.json", "GET, HEAD"),
    Known("status", "/publish", "PUT", 0, 1_000_000, KEY),
]  # fmt: skip


class Edges:
    """The roles' applications, each built when it is first asked."""

    def __init__(self, home: Path, stack: AsyncExitStack) -> None:
        [port] = free_ports(1)
        roles = replace(CONFIG.roles, sms=SmsEdge(port=8083, smpp_port=port))
        self._config = replace(CONFIG, home=home, roles=roles)
        self._stack = stack

    async def client(self, name: str) -> httpx.AsyncClient:
        role = await build(name, self._config, SystemClock())
        self._stack.push_async_callback(role.close)
        transport = httpx.ASGITransport(with_health(role.application, name, role.counters))
        client = httpx.AsyncClient(transport=transport, base_url=self._config.roles.edge(name).url)
        return await self._stack.enter_async_context(client)

    def headers(self, path: Known) -> dict[str, str]:
        key = command_key(self._config.home, path.role) if path.headers == KEY else ""
        return {name: value.replace("KEY", key) if key else value for name, value in path.headers}


@pytest.fixture
async def edges(tmp_path: Path) -> AsyncIterator[Edges]:
    async with AsyncExitStack() as stack:
        yield Edges(tmp_path, stack)


def refused(answer: httpx.Response, status: int, slug: str = "", *, told: str = "") -> None:
    """It is a refusal of the one shape; `told`: what it is about."""
    assert answer.status_code == status, (told, answer.text[:200])
    assert answer.headers["content-type"].startswith("application/json"), told
    document = answer.json()
    assert document["message"] and document["error"] == (slug or document["error"]), told
    assert answer.headers["cache-control"] == "no-store", told
    if status == 405:
        assert answer.headers["allow"], told


def of(role: str) -> list[Known]:
    return [path for path in PATHS if path.role == role]


@pytest.mark.parametrize("role", ROLES)
async def test_every_role_answers_alike(edges: Edges, role: str) -> None:
    """One test a role, since building one costs more than asking it."""
    client = await edges.client(role)
    await refuses_alike(client, role)
    await answers_head_where_get_is_and_options_everywhere(client, role)
    await limits_bodies(client, edges, role)
    await serves_what_documents_name(client, role)
    if role in ("viewer", "status", "assurance"):
        await shows_browsers_a_page(client)


async def refuses_alike(client: httpx.AsyncClient, role: str) -> None:
    cors = {path.cors for path in of(role) if path.cors}
    names = [path.path.replace("/x", "/%00") for path in of(role) if "/x" in path.path]
    for path in ("/nothing", "/nothing/at/all", "/health/", "/.env", *names):
        for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
            answer = await client.request(method, path, headers={"origin": CONSOLE, "content-length": "0"})
            if method == "HEAD":
                assert (answer.status_code, answer.content) == (404, b"")
            else:
                refused(answer, 404, "not-found", told=f"{method} {path}")
            if role != "assurance":
                assert answer.headers.get("access-control-allow-origin") == next(iter(cors), None)
    for path in of(role):
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - set(path.allow.split(", ")):
            headers = {"origin": CONSOLE, "content-length": "0"}
            answer = await client.request(method, path.path, headers=headers)
            refused(answer, 405, path.bad_method, told=f"{method} {path}")
            assert ", ".join(sorted(answer.headers["allow"].split(", "))) == path.allow
            assert answer.headers.get("access-control-allow-origin", "") == path.cors, str(path)


async def answers_head_where_get_is_and_options_everywhere(client: httpx.AsyncClient, role: str) -> None:
    for path in of(role):
        options = await client.options(path.path, headers={"origin": VIEWER})
        assert (options.status_code, options.content) == (204, b""), str(path)
        assert options.headers.get("access-control-allow-origin", "") == path.cors, str(path)
        asked_by = set(path.allow.split(", ")) - {"HEAD"}
        if path.cors:
            assert set(options.headers["access-control-allow-methods"].split(", ")) == asked_by, str(path)
        else:
            assert set(options.headers["allow"].split(", ")) - {"HEAD"} == asked_by, str(path)
            assert "access-control-allow-methods" not in options.headers
        if "GET" not in asked_by:
            continue
        got, head = await client.get(path.path), await client.head(path.path)
        assert got.status_code == head.status_code == path.status, str(path)
        assert head.content == b""
        if path.path != "/metrics":
            assert head.headers.get("content-length") == got.headers.get("content-length"), str(path)
        assert head.headers["content-type"] == got.headers["content-type"]
        assert got.headers.get("access-control-allow-origin", "") == (
            path.cors or ("*" if path.path.startswith("/api/") else "")
        )
        if path.status >= 400:
            refused(got, path.status, told=str(path))
        else:
            refused(await client.get(path.path, params={"lang": "n\0"}), 400, "bad-request", told=str(path))


async def limits_bodies(client: httpx.AsyncClient, edges: Edges, role: str) -> None:
    for path in of(role):
        if path.body_max:
            method = next(method for method in ("POST", "PUT") if method in path.allow)
            for size in (path.body_max, path.body_max + 1):
                answer = await client.request(method, path.path, content=b"x" * size, headers=edges.headers(path))
                if size > path.body_max:
                    refused(answer, 413, path.too_large, told=str(path))
                else:
                    assert answer.status_code in (400, 401, 404, 422), (path, answer.text)


async def serves_what_documents_name(client: httpx.AsyncClient, role: str) -> None:
    async def served(method: str, path: str) -> bool:
        answer = await client.options(path)
        allowed = answer.headers.get("allow") or answer.headers.get("access-control-allow-methods", "")
        return answer.status_code == 204 and method in allowed.split(", ")

    named = [
        (method, path)
        for document in DOCUMENTS
        for callee, method, path in documents.addresses(document.read_text(encoding="utf-8"))
        if callee == role
    ]
    assert named
    for method, path in named:
        assert await served(method, path), f"{role} does not serve {method} {path}"
    for method, path in (("GET", "/nowhere"), ("DELETE", named[0][1])):
        assert not await served(method, path), f"{method} {path} would not be noticed"


async def shows_browsers_a_page(client: httpx.AsyncClient) -> None:
    for language, said in (
        ("nb", "Her er det ingenting."),
        ("sv-SE, en;q=0.5", "Här finns ingenting."),
        ("en-GB", "There is nothing here."),
    ):
        headers = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-language": language}
        answer = await client.get("/nothing", headers=headers)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert len(answer.headers.get_list("content-security-policy")) == 1
        assert f"<h1>{said}</h1>" in answer.text
