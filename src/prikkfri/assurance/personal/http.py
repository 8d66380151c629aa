"""One customer's data exported and erased by command, with the command key of assurance; on the record before."""

from typing import Annotated

import msgspec

from prikkfri.assurance.console import Console
from prikkfri.assurance.personal.service import ERASED, EXPORTED, Personal
from prikkfri.errors import InDoubt, StorageError
from prikkfri.protocols.asgi import PLAIN, Application, Handler, HttpResponse, Request, Route, edge, refusal
from prikkfri.subscribers.subscriptions import Subscriber

EXPORT, ERASE = "/customers/data/export", "/customers/data/erase"
PATHS = (EXPORT, ERASE)
BODY_BYTES_MAX = 2_048
_SILENT = refusal(503, "database-unavailable", "The database does not answer now.", retry_after_s=5)
_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PLAIN)]


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    customer: _Short
    """The id: a name or a number may be somebody else's by now."""
    by: _Short
    why: Annotated[str, msgspec.Meta(min_length=4, max_length=200, pattern=PLAIN)]


def application(personal: Personal, console: Console, *, command_key: str) -> Application:
    async def wanted(request: Request, what: str) -> tuple[_Wanted, Subscriber] | HttpResponse:
        try:
            asked = msgspec.json.decode(await request.body(), type=_Wanted)
        except (msgspec.DecodeError, UnicodeError) as error:
            return refusal(400, "bad-request", str(error))
        found = [each for each in await personal.find(asked.customer) if each.id == asked.customer]
        if not found:
            return refusal(404, "no-such-customer", "There is no customer with this id.")
        await console.record_access(who=asked.by, what=what, subject=asked.customer, why=asked.why)
        return asked, found[0]

    async def export(request: Request) -> HttpResponse:
        asked = await wanted(request, EXPORTED)
        if isinstance(asked, HttpResponse):
            return asked
        document = await personal.export(asked[1])
        return refusal(503, "not-whole", document) if isinstance(document, str) else HttpResponse(200, document)

    async def erase(request: Request) -> HttpResponse:
        asked = await wanted(request, ERASED)
        if isinstance(asked, HttpResponse):
            return asked
        done = await personal.erase(asked[1], by=asked[0].by)
        told = {"messages": done.messages, "outcomes": done.outcomes}
        return refusal(503, "not-whole", done.trouble, **told) if done.trouble else HttpResponse(200, told)

    def careful(handler: Handler) -> Handler:
        async def answer(request: Request) -> HttpResponse | None:
            try:
                return await handler(request)
            except (StorageError, InDoubt):  # what is erased twice is erased
                return _SILENT

        return answer

    return edge(
        [
            Route("POST", EXPORT, careful(export), body_bytes_max=BODY_BYTES_MAX, key=command_key),
            Route("POST", ERASE, careful(erase), body_bytes_max=BODY_BYTES_MAX, key=command_key),
        ]
    )
