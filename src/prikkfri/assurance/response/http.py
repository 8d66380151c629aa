"""Was I hit? What a customer who is signed in may ask of incident response, from the viewer's pages.

And contacts with customer service, which the operator's own system hands in with the command key of assurance.
"""

import asyncio
from dataclasses import asdict, dataclass
from datetime import tzinfo
from typing import Any

from prikkfri.assurance import status
from prikkfri.assurance.response.announcements.service import Announcements, CustomerIncident
from prikkfri.assurance.response.register.service import IncidentRegister
from prikkfri.assurance.response.tables import contacts_of
from prikkfri.assurance.response.timing import TIMING, Timing
from prikkfri.clock import Clock
from prikkfri.errors import InDoubt, StorageError
from prikkfri.protocols import openapi
from prikkfri.protocols.asgi import (
    Application,
    HttpResponse,
    Request,
    Route,
    bearer,
    cross_origin,
    edge,
    refusal,
)
from prikkfri.storage.device_tokens import DeviceTokens

PATH = "/was-i-hit"
RETRY_AFTER_SECONDS = 10.0
CONTACTS_PATH = "/contacts/taken"
CONTACTS_BYTES_MAX = 1_000_000
REFUSED_SHOWN_MAX = 5

_BUSY = refusal(503, "overloaded", "Very many ask just now; please try again.", retry_after_s=RETRY_AFTER_SECONDS)
_SILENT = refusal(503, "database-unavailable", "This cannot be looked up now.", retry_after_s=RETRY_AFTER_SECONDS)


@dataclass(frozen=True, slots=True)
class Credit:
    amount: int
    """In the smallest unit of the currency."""
    currency: str


@dataclass(frozen=True, slots=True)
class Hit:
    """An incident in which this customer was hit. Times are seconds since 1970 UTC."""

    what: dict[str, str]
    """By language: `nb`, `sv`, `en`."""
    since: float
    until: float | None
    """None: it is not over."""
    asked_at: float
    got_at: float | None
    """When they got it after all."""
    credit: Credit | None


@dataclass(frozen=True, slots=True)
class Hits:
    incidents: list[Hit]


OPERATIONS = (
    openapi.Operation(
        "GET",
        PATH,
        "wasIHit",
        "The incidents in which the customer who signed in on this device was hit, and what they get",
        openapi.Reply(200, "Those incidents, none when there were none", Hits),
        ((401, ("bad-token", "expired", "revoked")), (503, ("overloaded", "database-unavailable"))),
        scheme="device",
    ),
)


def described(url: str) -> dict[str, Any]:
    """The OpenAPI document of what customers may ask, which is served at `url`."""
    return openapi.document("Prikkfri: was I hit?", OPERATIONS, url=url)


def application(
    announcements: Announcements,
    tokens: DeviceTokens,
    *,
    viewer_origin: str,
    public_url: str = "",
    timing: Timing = TIMING,
) -> Application:
    """`GET /was-i-hit` with a device token. `public_url`: where integrators find it."""
    asking = 0

    async def was_hit(request: Request) -> HttpResponse:
        nonlocal asking
        known, wrong = tokens.judge(bearer(request.scope))
        if known is None or wrong is not None:
            return refusal(401, wrong or "bad-token", "Please sign in again.")
        if asking >= timing.asked_at_once_max:
            return _BUSY
        asking += 1
        try:
            async with asyncio.timeout(timing.answer_seconds_max):
                found = await announcements.was_hit(known.subscriber)
        except (StorageError, TimeoutError):
            return _SILENT
        finally:
            asking -= 1
        return HttpResponse(200, asdict(Hits([_shown(each) for each in found])))

    routes = [Route("GET", PATH, was_hit), openapi.route(described(public_url))]
    return edge(routes, cors=cross_origin(viewer_origin, credentials=False))


def contacts_application(register: IncidentRegister, *, command_key: str, clock: Clock, zone: tzinfo) -> Application:
    """`POST /contacts/taken` with CSV as `tables.contacts_of` reads it; those that are known change nothing."""

    async def taken(request: Request) -> HttpResponse:
        try:
            text = (await request.body()).decode("utf-8-sig")
        except UnicodeDecodeError:
            return refusal(400, "bad-request", "It is not UTF-8.")
        found = contacts_of(text, now=clock.now(), zone=zone)
        if not found.found and found.refused:
            line, why = found.refused[0]
            return refusal(422, "not-accepted", f"line {line}: {why}")
        try:
            new = await register.add_contacts(found.found) if found.found else 0
        except (StorageError, InDoubt):  # what is taken twice is taken once
            return _SILENT
        examples = [{"line": line, "why": why} for line, why in found.refused[:REFUSED_SHOWN_MAX]]
        told = {"found": len(found.found), "new": new, "refused": len(found.refused), "examples": examples}
        return HttpResponse(200, told)

    return edge([Route("POST", CONTACTS_PATH, taken, body_bytes_max=CONTACTS_BYTES_MAX, key=command_key)])


def _shown(each: CustomerIncident) -> Hit:
    incident = each.incident
    return Hit(
        what=dict(status.what(incident)),
        since=incident.since,
        until=None if incident.open else incident.ended_at or incident.resolved_at,
        asked_at=each.asked_at,
        got_at=each.got_at,
        credit=Credit(each.amount, each.currency) if each.amount else None,
    )
