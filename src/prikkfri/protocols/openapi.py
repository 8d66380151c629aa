"""What an edge says of itself to integrators: an OpenAPI 3.1 document, made from the types that it reads and answers.

An edge lists its operations beside their handlers; the schemas come from msgspec, the common refusals from the edge's
own table, so that neither is written twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from prikkfri.protocols.asgi import REFUSALS, HttpResponse, Request, Route

PATH = "/openapi.json"
OPENAPI = "3.1.0"
VERSION = "1"
"""Of the interface: another one when what is asked or answered changes for those who ask."""
REF = "#/components/schemas/{name}"
ALWAYS = ("bad-request", "too-slow", "address-too-long", "headers-too-large", "internal", "overloaded")
"""Whatever is asked may be refused so before or while it is looked at."""
OF_BODIES = ("too-large",)
RETRY_AFTER = {
    "description": "Whole seconds until it is worth trying again.",
    "schema": {"type": "integer", "minimum": 1},
}

Scheme = Literal["account", "device"]
SCHEMES: Mapping[Scheme, Mapping[str, str]] = {
    "account": {"type": "http", "scheme": "basic", "description": "Name and secret of an account."},
    "device": {"type": "http", "scheme": "bearer", "description": "The device token that signing in gave."},
}


class Refusal(msgspec.Struct):
    """Why it was not done."""

    error: str
    """What programs go by."""
    message: str
    """One line for people."""
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered when it is done."""

    status: int
    meaning: str
    content: Any
    """The type of the JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What each says, by name."""


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    """As its `Route` has it."""
    name: str
    summary: str
    reply: Reply
    refusals: Sequence[tuple[int, Sequence[str]]] = ()
    """Slugs by status, of its own: those of every edge come by themselves."""
    body: Any = None
    """The type of the JSON that it takes."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the parts of its path are."""
    scheme: Scheme | None = None
    facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Schemas of what stands beside `message` in a refusal, by slug."""


def document(
    title: str, operations: Sequence[Operation], *, url: str, names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """`names`: what this edge calls a refusal of `REFUSALS`, as `asgi.edge` is told it."""
    kinds = [Refusal, *(kind for each in operations for kind in (each.body, each.reply.content) if kind is not None)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    schema_of = dict(zip(map(id, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schema_of, names or {})
    schemes = {each.scheme: SCHEMES[each.scheme] for each in operations if each.scheme}
    return {
        "openapi": OPENAPI,
        "info": {"title": title, "version": VERSION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": url}],
        "paths": paths,
        "components": {"schemas": components, **({"securitySchemes": schemes} if schemes else {})},
    }


def route(described: Mapping[str, Any]) -> Route:
    """Serves the document."""

    async def show(_: Request) -> HttpResponse:
        return HttpResponse(200, described)

    return Route("GET", PATH, show)


def _operation(each: Operation, schema_of: Mapping[int, Any], names: Mapping[str, str]) -> dict[str, Any]:
    reply = each.reply
    headers = {name: {"description": said, "schema": {"type": "string"}} for name, said in reply.headers.items()}
    answers: dict[str, Any] = {
        str(reply.status): {
            "description": reply.meaning,
            **({"headers": headers} if headers else {}),
            "content": {"application/json": {"schema": schema_of[id(reply.content)]}},
        }
    }
    for status, slugs in sorted(_by_status(each, names).items()):
        answers[str(status)] = _refusal(status, slugs, each.facts, schema_of[id(Refusal)])
    told: dict[str, Any] = {"operationId": each.name, "summary": each.summary, "responses": answers}
    if each.parts:
        told["parameters"] = [
            {"name": name, "in": "path", "required": True, "description": said, "schema": {"type": "string"}}
            for name, said in each.parts.items()
        ]
    if each.body is not None:
        content = {"application/json": {"schema": schema_of[id(each.body)]}}
        told["requestBody"] = {"required": True, "content": content}
    if each.scheme:
        told["security"] = [{each.scheme: []}]
    return told


def _by_status(each: Operation, names: Mapping[str, str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for status, slugs in each.refusals:
        found.setdefault(status, []).extend(slugs)
    missing = ("not-found",) if each.parts else ()  # a part with a slash in it is another address
    for slug in (*ALWAYS, *(OF_BODIES if each.body is not None else ()), *missing):
        found.setdefault(REFUSALS[slug][0], []).append(names.get(slug, slug))
    return found


def _refusal(
    status: int, slugs: Iterable[str], facts: Mapping[str, Mapping[str, object]], schema: Mapping[str, Any]
) -> dict[str, Any]:
    known = sorted(set(slugs))
    beside = {name: kind for slug in known for name, kind in facts.get(slug, {}).items()}
    one_of = {"properties": {"error": {"enum": known}, **beside}}
    told: dict[str, Any] = {
        "description": "Refused: " + ", ".join(known),
        "content": {"application/json": {"schema": {"allOf": [schema, one_of]}}},
    }
    if status in (429, 503):
        told["headers"] = {"Retry-After": RETRY_AFTER}
    return told
