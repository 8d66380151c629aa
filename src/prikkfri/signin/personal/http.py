"""What the operator asks of one customer's data, by the command key."""

from urllib.parse import parse_qsl

import msgspec

from prikkfri.protocols.asgi import HttpResponse, Request, Route, refusal
from prikkfri.signin.devices.http import BODY_BYTES_MAX, ForCustomer
from prikkfri.signin.http import when_stored
from prikkfri.signin.personal.service import Personal


def routes(personal: Personal, *, command_key: str) -> list[Route]:
    async def held(request: Request) -> HttpResponse:
        asked = dict(parse_qsl(request.query.decode("latin-1")))
        return HttpResponse(200, await personal.held_of(asked.get("customer", "")))

    async def erase(request: Request) -> HttpResponse:
        try:
            asked = msgspec.json.decode(await request.body(), type=ForCustomer)
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        return HttpResponse(200, {"erased": await personal.erase(asked.customer, by=asked.by)})

    return [
        Route("GET", "/customers/data", when_stored(held), key=command_key),
        Route("POST", "/customers/erase", when_stored(erase), body_bytes_max=BODY_BYTES_MAX, key=command_key),
    ]
