"""The status role: keeps the last summary that it was told on disk, and serves it as a page and as JSON.

It needs nobody: whatever else is dead, it tells what was last known, how old that is, and after a minute that it is
not known any more.
"""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from starlette.types import ASGIApp, Receive, Scope, Send

from prikkfri.assurance.publishing import KNOWN_SECONDS, State, as_known, iso, moment, never_told
from prikkfri.clock import Clock
from prikkfri.storage.keys import write_whole
from prikkfri.web.status_page.words import (
    LANGUAGES,
    WORDS,
    age_said,
    headline,
    particulars,
    time_said,
    tone,
    wanted_language,
)

log = logging.getLogger("prikkfri.status")

DOCUMENT_BYTES_MAX = 1_000_000
CACHE_SECONDS = 5
MOMENT_MAX = 1e11
"""The year 5138: later ones cannot be said on every clock."""
OVER = ("resolved", "postmortem")
"""Statuspage's words for incidents that are not `unresolved`."""
PAGES = Path(__file__).parent.parent
STATIC_SECONDS = 3_600
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)


class _Page(msgspec.Struct):
    id: str
    name: str
    updated_at: str


class _Status(msgspec.Struct):
    indicator: Literal["none", "minor", "major", "critical"]
    description: str
    state: State | None = None


class _Component(msgspec.Struct):
    id: str
    name: str
    status: Literal["operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"]
    state: State | None = None
    since: str | None = None


class _Update(msgspec.Struct):
    body: str
    created_at: str
    bodies: dict[str, str] = {}


class _Incident(msgspec.Struct):
    id: str
    name: str
    status: str
    incident_updates: list[_Update]
    names: dict[str, str] = {}
    next_update_at: str | None = None
    expected_at: str | None = None


class Summary(msgspec.Struct):
    """What of a summary the page stands on; everything else is passed on as it came."""

    page: _Page
    status: _Status
    components: list[_Component]
    incidents: list[_Incident]
    scheduled_maintenances: list[_Incident]

    def moments(self) -> Iterator[str]:
        """Every time that the page says."""
        yield self.page.updated_at
        yield from (component.since for component in self.components if component.since)
        for incident in (*self.incidents, *self.scheduled_maintenances):
            yield from (at for at in (incident.next_update_at, incident.expected_at) if at)
            yield from (update.created_at for update in incident.incident_updates)


def checked(body: bytes, now: float) -> dict[str, Any]:
    """The document in `body`, never newer than `now`. Raises `ValueError` saying what is wrong with it."""
    try:
        summary = msgspec.json.decode(body, type=Summary)
        document: dict[str, Any] = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    for text in summary.moments():
        if not 0 <= moment(text) < MOMENT_MAX:
            raise ValueError(f"{text!r} is no time that could be told")
    document["status"].pop("last_known", None)  # that is for this page to say
    if moment(document["page"]["updated_at"]) > now:
        document["page"]["updated_at"] = iso(now)
    return document


def application(
    folder: Path, *, command_key: str, clock: Clock, operator: str, public_url: str, timezone: str
) -> ASGIApp:
    """The ASGI application of the status role; what it is told is kept in `folder`."""
    return _StatusPage(folder / "summary.json", command_key, clock, operator, public_url, ZoneInfo(timezone))


class _StatusPage:
    def __init__(
        self, path: Path, command_key: str, clock: Clock, operator: str, public_url: str, zone: ZoneInfo
    ) -> None:
        self._path = path
        self._command_key = command_key.encode()
        self._clock = clock
        self._operator = operator
        self._zone = zone
        self._publishing = asyncio.Lock()
        self._document = self._read()
        self._never_told = never_told(operator, public_url)
        style = (PAGES / "tokens.css").read_bytes() + (PAGES / "status_page" / "static" / "status.css").read_bytes()
        script = (PAGES / "status_page" / "static" / "age.js").read_bytes()
        self._static = {
            f"/{hashlib.sha256(body).hexdigest()[:12]}{suffix}": (kind, body)
            for suffix, kind, body in ((".css", b"text/css", style), (".js", b"text/javascript", script))
        }
        # A crowd comes to a status page all at once: each answer is made once a second, not once a reader.
        self._made: dict[tuple[str, str], bytes] = {}
        self._made_for = (0, 0)
        self._documents = 0

    def _read(self) -> dict[str, Any] | None:
        try:
            return checked(self._path.read_bytes(), self._clock.now())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.error("%s: not a summary, nothing is known: %s", self._path, error)
            return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        if path == "/publish":
            status, headers, body = await self._publish(method, dict(scope["headers"]), receive)
        elif method not in ("GET", "HEAD"):
            status, headers, body = 405, {"allow": "GET, HEAD"}, b""
        else:
            status, headers, body = self._answer(path, dict(scope["headers"]), scope["query_string"])
        headers |= {"content-length": str(len(body)), "x-content-type-options": "nosniff"}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})

    # Told.

    async def _publish(
        self, method: str, headers: Mapping[bytes, bytes], receive: Receive
    ) -> tuple[int, dict[str, str], bytes]:
        if method != "PUT":
            return 405, {"allow": "PUT"}, b""
        if not hmac.compare_digest(headers.get(b"authorization", b""), b"Bearer " + self._command_key):
            return _refusal(401, "unauthorized", "this command needs the status role's command key")
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return _refusal(400, "incomplete", "the document did not arrive whole")
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > DOCUMENT_BYTES_MAX:
                return _refusal(413, "too-large", f"at most {DOCUMENT_BYTES_MAX} bytes")
        try:
            document = checked(body, self._clock.now())
        except ValueError as error:
            return _refusal(422, "not-a-summary", str(error))
        async with self._publishing:
            try:
                await asyncio.to_thread(write_whole, self._path, json.dumps(document).encode())
            except OSError as error:
                # A full disk must not keep the public from what is known: it is told from memory.
                log.error("%s cannot be written: %s", self._path, error)
            self._document = document
            self._documents += 1
        return 204, {}, b""

    # Telling.

    def _answer(self, path: str, asked: Mapping[bytes, bytes], query: bytes) -> tuple[int, dict[str, str], bytes]:
        if path in self._static:
            kind, body = self._static[path]
            cache = f"public, max-age={STATIC_SECONDS}, immutable"
            return 200, {"content-type": f"{kind.decode()}; charset=utf-8", "cache-control": cache}, body
        if path == "/":
            chosen = parse_qs(query.decode("ascii", "replace")).get("lang", [""])[0]
            accepted = wanted_language(asked.get(b"accept-language", b"").decode("latin-1"))
            body = self._once_a_second("page", chosen if chosen in LANGUAGES else accepted)
            headers = {
                "content-type": "text/html; charset=utf-8",
                "vary": "accept-language",
                "content-security-policy": POLICY,
                "referrer-policy": "no-referrer",
            }
        elif path.startswith("/api/v2/") and path.removeprefix("/api/v2/") in _PARTS:
            body = self._once_a_second("json", path.removeprefix("/api/v2/"))
            headers = {"content-type": "application/json; charset=utf-8", "access-control-allow-origin": "*"}
        else:
            return 404, {"content-type": "text/plain; charset=utf-8"}, b"There is no such page.\n"
        return 200, headers | {"cache-control": f"public, max-age={CACHE_SECONDS}"}, body

    def _once_a_second(self, kind: str, variant: str) -> bytes:
        now = self._clock.now()
        made_for = (int(now), self._documents)
        if made_for != self._made_for:
            self._made, self._made_for = {}, made_for
        if (kind, variant) not in self._made:
            document = as_known(self._document, now) if self._document else self._never_told
            self._made[kind, variant] = (
                self._page(document, variant, now) if kind == "page" else _json(document, variant)
            )
        return self._made[kind, variant]

    def _page(self, document: Mapping[str, Any], language: str, now: float) -> bytes:
        words = WORDS[language]
        updated_at = moment(document["page"]["updated_at"])
        style, script = self._static
        unresolved = _unresolved(document)
        earlier = [each for each in document["incidents"] if each not in unresolved]

        def time(text: str) -> str:
            return time_said(moment(text), now, self._zone, language)

        return (
            _template()
            .render(
                document=document,
                told=(("incidents", unresolved), ("earlier", earlier)),
                language=language,
                languages=LANGUAGES,
                words=words,
                operator=self._operator,
                headline=headline(document, words),
                tone=tone(document),
                particulars=particulars(document, words, time),
                time=time,
                overdue=lambda text: moment(text) < now,
                missed=lambda text: moment(text) < (now if now - updated_at <= KNOWN_SECONDS else updated_at),
                zone=self._zone.key,
                age=age_said(now - updated_at, language) if updated_at else "",
                updated_at=updated_at,
                now=now,
                style=style,
                script=script,
            )
            .encode()
        )


_PARTS: dict[str, tuple[str, ...]] = {
    "summary.json": ("page", "status", "components", "incidents", "scheduled_maintenances"),
    "status.json": ("page", "status"),
    "components.json": ("page", "components"),
    "incidents/unresolved.json": ("page", "incidents"),
}


@cache
def _template() -> Template:
    templates = Environment(
        loader=PackageLoader("prikkfri.web.status_page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("page.html")


def _unresolved(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in document["incidents"] if each["status"] not in OVER]


def _json(document: Mapping[str, Any], name: str) -> bytes:
    parts = {part: document[part] for part in _PARTS[name]}
    if name.startswith("incidents/"):
        parts["incidents"] = _unresolved(document)
    return json.dumps(parts, ensure_ascii=False).encode()


def _refusal(status: int, error: str, message: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"content-type": "application/json"}, json.dumps({"error": error, "message": message}).encode()
