"""The status role: keeps the last summary that it was told on disk, and serves it as a page and as JSON.

It needs nobody: whatever else is dead, it tells what was last known, how old that is, and after a minute that it is
not known any more.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from prikkfri.assurance.publishing import KNOWN_SECONDS, State, as_known, moment, unknown_summary
from prikkfri.clock import Clock
from prikkfri.protocols import openapi
from prikkfri.protocols.asgi import Application, Headers, HttpResponse, Request, Route, edge, header, refusal
from prikkfri.protocols.iso8601 import iso
from prikkfri.storage.keys import write_whole
from prikkfri.web.refusal_page import refusal_page
from prikkfri.web.status_page.words import (
    LANGUAGES,
    WORDS,
    age_said,
    headline,
    particulars,
    time_said,
    tone,
    wanted_language,
    zone_said,
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

NAMES = {"bad-command-key": "unauthorized"}
NOSNIFF = (b"x-content-type-options", b"nosniff")
_FRESH = (b"cache-control", f"public, max-age={CACHE_SECONDS}".encode())
PAGE_HEADERS: Headers = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"vary", b"accept-language"),
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    NOSNIFF,
    _FRESH,
)
JSON_HEADERS: Headers = (
    (b"content-type", b"application/json; charset=utf-8"),
    (b"access-control-allow-origin", b"*"),
    NOSNIFF,
    _FRESH,
)


class Page(msgspec.Struct):
    id: str
    name: str
    updated_at: str


class Status(msgspec.Struct):
    indicator: Literal["none", "minor", "major", "critical"]
    description: str
    state: State | None = None


class Component(msgspec.Struct):
    id: str
    name: str
    status: Literal["operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"]
    state: State | None = None
    since: str | None = None


class IncidentUpdate(msgspec.Struct):
    body: str
    created_at: str
    bodies: dict[str, str] = {}


class Incident(msgspec.Struct):
    id: str
    name: str
    status: str
    incident_updates: list[IncidentUpdate]
    names: dict[str, str] = {}
    next_update_at: str | None = None
    expected_at: str | None = None


class Summary(msgspec.Struct):
    """What of a summary the page stands on; everything else is passed on as it came."""

    page: Page
    status: Status
    components: list[Component]
    incidents: list[Incident]
    scheduled_maintenances: list[Incident]

    def moments(self) -> Iterator[str]:
        """Every time that the page says."""
        yield self.page.updated_at
        yield from (component.since for component in self.components if component.since)
        for incident in (*self.incidents, *self.scheduled_maintenances):
            yield from (at for at in (incident.next_update_at, incident.expected_at) if at)
            yield from (update.created_at for update in incident.incident_updates)


class KnownStatus(Status):
    """After a minute without a word it is not known any more, and what was last known stands beside."""

    last_known: Status | None = None


class StatusDocument(msgspec.Struct):
    page: Page
    status: KnownStatus


class ComponentsDocument(msgspec.Struct):
    page: Page
    components: list[Component]


class UnresolvedDocument(msgspec.Struct):
    page: Page
    incidents: list[Incident]


class SummaryDocument(msgspec.Struct):
    """Statuspage's shape, of which these are the fields that are always there, and ours beside them."""

    page: Page
    status: KnownStatus
    components: list[Component]
    incidents: list[Incident]
    scheduled_maintenances: list[Incident]


def checked(body: bytes, now: float, zone: tzinfo) -> dict[str, Any]:
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
        document["page"]["updated_at"] = iso(now, zone)
    return document


def application(
    folder: Path, *, command_key: str, clock: Clock, operator: str, public_url: str, timezone: str
) -> Application:
    """The ASGI application of the status role; what it is told is kept in `folder`."""
    page = _StatusPage(folder / "summary.json", clock, operator, public_url, ZoneInfo(timezone))
    return edge(page.routes(command_key), names=NAMES, page=refusal_page)


class _StatusPage:
    def __init__(self, path: Path, clock: Clock, operator: str, public_url: str, zone: ZoneInfo) -> None:
        self._path = path
        self._clock = clock
        self._operator = operator
        self._public_url = public_url
        self._zone = zone
        self._publishing = asyncio.Lock()
        self._document = self._read()
        self._never_told = unknown_summary(operator, public_url, zone)
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
            return checked(self._path.read_bytes(), self._clock.now(), self._zone)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.error("%s: not a summary, nothing is known: %s", self._path, error)
            return None

    def routes(self, command_key: str) -> list[Route]:
        return [
            Route("PUT", "/publish", self._publish, body_bytes_max=DOCUMENT_BYTES_MAX, key=command_key),
            Route("GET", "/", self._page),
            openapi.route(described(self._public_url)),
            *(Route("GET", f"/api/v2/{name}", self._json) for name in PARTS),
            *(Route("GET", path, self._file) for path in self._static),
        ]

    # Told.

    async def _publish(self, request: Request) -> HttpResponse:
        body = await request.body()
        try:
            document = checked(body, self._clock.now(), self._zone)
        except ValueError as error:
            return refusal(422, "not-a-summary", str(error))
        async with self._publishing:
            try:
                await asyncio.to_thread(write_whole, self._path, json.dumps(document).encode())
            except OSError as error:
                # A full disk must not keep the public from what is known: it is told from memory.
                log.error("%s cannot be written: %s", self._path, error)
            self._document = document
            self._documents += 1
        return HttpResponse(204, None, (NOSNIFF,))

    # Telling.

    async def _file(self, request: Request) -> HttpResponse:
        kind, body = self._static[request.scope["path"]]
        cache = f"public, max-age={STATIC_SECONDS}, immutable"
        headers = ((b"content-type", kind + b"; charset=utf-8"), (b"cache-control", cache.encode()), NOSNIFF)
        return HttpResponse(200, None, headers, body)

    async def _page(self, request: Request) -> HttpResponse:
        chosen = parse_qs(request.query.decode("ascii", "replace")).get("lang", [""])[0]
        accepted = wanted_language(header(request.scope, b"accept-language"))
        body = self._once_a_second("page", chosen if chosen in LANGUAGES else accepted)
        return HttpResponse(200, None, PAGE_HEADERS, body)

    async def _json(self, request: Request) -> HttpResponse:
        return HttpResponse(
            200, None, JSON_HEADERS, self._once_a_second("json", request.scope["path"][len("/api/v2/") :])
        )

    def _once_a_second(self, kind: str, variant: str) -> bytes:
        now = self._clock.now()
        made_for = (int(now), self._documents)
        if made_for != self._made_for:
            self._made, self._made_for = {}, made_for
        if (kind, variant) not in self._made:
            document = as_known(self._document, now) if self._document else self._never_told
            self._made[kind, variant] = (
                self._rendered(document, variant, now) if kind == "page" else _json(document, variant)
            )
        return self._made[kind, variant]

    def _rendered(self, document: Mapping[str, Any], language: str, now: float) -> bytes:
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
                zone_said=zone_said(self._zone.key, language),
                age=age_said(now - updated_at, language) if updated_at else "",
                updated_at=updated_at,
                now=now,
                style=style,
                script=script,
            )
            .encode()
        )


DOCUMENTS: dict[str, tuple[type[msgspec.Struct], str, str]] = {
    "summary.json": (SummaryDocument, "summary", "Everything that the public is told"),
    "status.json": (StatusDocument, "status", "How things are, in one word"),
    "components.json": (ComponentsDocument, "components", "How each part of the service is"),
    "incidents/unresolved.json": (UnresolvedDocument, "unresolvedIncidents", "What is not over"),
}
PARTS = {name: tuple(each.name for each in msgspec.structs.fields(kind)) for name, (kind, _, _) in DOCUMENTS.items()}
OPERATIONS = [
    openapi.Operation("GET", f"/api/v2/{name}", operation, summary, openapi.Reply(200, summary, kind))
    for name, (kind, operation, summary) in DOCUMENTS.items()
]


def described(url: str) -> dict[str, Any]:
    """The OpenAPI document of the status page's JSON, which is served at `url`."""
    return openapi.document("Prikkfri: status", OPERATIONS, url=url, names=NAMES)


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
    parts = {part: document[part] for part in PARTS[name]}
    if name.startswith("incidents/"):
        parts["incidents"] = _unresolved(document)
    return json.dumps(parts, ensure_ascii=False).encode()
