"""A customer's devices over HTTP, by their device token; and what the operator asks of them, by the command key."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec

from prikkfri.protocols.asgi import PLAIN, HttpResponse, Request, Route, bearer, refusal
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.signin.devices.service import Devices
from prikkfri.signin.http import when_stored
from prikkfri.signin.store import Device

BODY_BYTES_MAX = 1_024
_WHO_ASKS = refusal(401, "bad-token", "Sign in anew: this device is not signed in.")


class _End(msgspec.Struct):
    device: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)] = ""
    others: bool = False


class _Seen(msgspec.Struct):
    due: bool = False
    """It has been put off for as long as may be."""


class ForCustomer(msgspec.Struct, forbid_unknown_fields=True):
    customer: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]
    """Here and not in the path: the id of an operator's system may hold a slash."""
    by: Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]
    """The name of the person who says so."""


def routes(devices: Devices, *, viewer_origin: str, command_key: str) -> list[Route]:
    def for_holder(
        answer: Callable[[Request, DeviceToken], Awaitable[HttpResponse]],
    ) -> Callable[[Request], Awaitable[HttpResponse]]:
        async def of_holder(request: Request) -> HttpResponse:
            holder = await devices.holder(bearer(request.scope))
            return _WHO_ASKS if holder is None else await answer(request, holder)

        return of_holder

    async def listed(request: Request, holder: DeviceToken) -> HttpResponse:
        found = await devices.listed(holder)
        return HttpResponse(200, {"devices": [_document(each.device) | {"here": each.here} for each in found]})

    async def end(request: Request, holder: DeviceToken) -> HttpResponse:
        try:
            asked = msgspec.json.decode(await request.body(), type=_End)
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        if bool(asked.device) == asked.others:
            return refusal(400, "bad-request", "Either one `device`, or `others`: true.")
        return HttpResponse(200, {"ended": await devices.end(holder, device=asked.device)})

    async def confirmed(_: Request, holder: DeviceToken) -> HttpResponse:
        changed = await devices.confirm(holder)
        if changed is None:
            return HttpResponse(204)
        return HttpResponse(200, {"device_token": changed.device_token, "gained": changed.gained})

    async def seen(request: Request) -> HttpResponse:
        try:
            asked = msgspec.json.decode(await request.body() or b"{}", type=_Seen)
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        if not asked.due and (put_off_s := devices.put_off()) is not None:
            return refusal(503, "overloaded", "People wait to get in; this is asked later.", retry_after_s=put_off_s)
        return await for_holder(confirmed)(request)

    async def of_customer(request: Request) -> HttpResponse:
        asked = dict(parse_qsl(request.query.decode("latin-1")))
        found = await devices.of(asked.get("customer", ""))
        return HttpResponse(200, {"devices": [_document(each) for each in found]})

    async def end_all(request: Request) -> HttpResponse:
        try:
            asked = msgspec.json.decode(await request.body(), type=ForCustomer)
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        return HttpResponse(200, {"ended": await devices.end_all(asked.customer, by=asked.by)})

    size = BODY_BYTES_MAX
    return [
        Route("GET", "/devices", when_stored(for_holder(listed))),
        Route("POST", "/devices/end", when_stored(for_holder(end)), body_bytes_max=size, origin=viewer_origin),
        Route("POST", "/devices/seen", when_stored(seen), body_bytes_max=size, origin=viewer_origin),
        Route("GET", "/customers/devices", when_stored(of_customer), key=command_key),
        Route("POST", "/customers/devices/end", when_stored(end_all), body_bytes_max=size, key=command_key),
    ]


def _document(device: Device) -> dict[str, object]:
    return {
        "device": device.device,
        "name": device.name,
        "first_at": device.first_at,
        "seen_at": device.seen_at,
    }
