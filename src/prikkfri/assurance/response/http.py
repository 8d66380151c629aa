"""Was I hit? What a customer who is signed in may ask of incident response, from the viewer's pages."""

import asyncio

from prikkfri.assurance import status
from prikkfri.assurance.response.service import Befallen, Response
from prikkfri.assurance.response.timing import TIMING, Timing
from prikkfri.errors import StorageError
from prikkfri.protocols.asgi import (
    Answer,
    Application,
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

_BUSY = refusal(503, "overloaded", "Very many ask just now; please try again.", retry_after_s=RETRY_AFTER_SECONDS)
_SILENT = refusal(503, "database-unavailable", "This cannot be looked up now.", retry_after_s=RETRY_AFTER_SECONDS)


def application(
    response: Response, tokens: DeviceTokens, *, viewer_origin: str, timing: Timing = TIMING
) -> Application:
    """`GET /was-i-hit` with a device token."""
    asking = 0

    async def was_hit(request: Request) -> Answer:
        nonlocal asking
        known, wrong = tokens.judge(bearer(request.scope))
        if known is None or wrong is not None:
            return refusal(401, wrong or "bad-token", "Please sign in again.")
        if asking >= timing.asked_at_once_max:
            return _BUSY
        asking += 1
        try:
            async with asyncio.timeout(timing.answer_seconds_max):
                found = await response.was_hit(known.subscriber)
        except (StorageError, TimeoutError):
            return _SILENT
        finally:
            asking -= 1
        return Answer(200, {"incidents": [_shown(each) for each in found]})

    return edge([Route("GET", PATH, was_hit)], cors=cross_origin(viewer_origin, credentials=False))


def _shown(each: Befallen) -> dict[str, object]:
    incident = each.incident
    return {
        "what": dict(status.what(incident)),
        "since": incident.since,
        "until": None if incident.open else incident.ended_at or incident.resolved_at,
        "asked_at": each.asked_at,
        "got_at": each.got_at,
        "credit": {"amount": each.amount, "currency": each.currency} if each.amount else None,
    }
