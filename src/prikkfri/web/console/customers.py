"""A customer's page: what customer service is asked, then what can be done, the raw outcomes last; and a message's."""

import msgspec

from prikkfri.assurance.console import Console
from prikkfri.assurance.personal import history
from prikkfri.assurance.personal.service import ERASED, EXPORTED, OUTCOMES_SHOWN_MAX, Personal
from prikkfri.clock import Clock
from prikkfri.protocols.asgi import JSON, NO_STORE, HttpResponse
from prikkfri.subscribers.subscriptions import Subscriber
from prikkfri.web.console import wording
from prikkfri.web.console.forms import WHY_CHARACTERS_MAX, WHY_CHARACTERS_MIN, WHY_TROUBLE, form_of, says_why
from prikkfri.web.console.pages import ConsoleRequest, Page, ShowPage

CUSTOMERS_PATH = "/customers"
EXPORT_PATH = "/customers/export"
ERASE_PATH = "/customers/erase"
MESSAGE_PATH = "/messages/{id}"
NOBODY = "Nobody has that name, e-mail address, number or id now."
FIND_TROUBLE = f"Say whom you look for, and why, in {WHY_CHARACTERS_MIN} to {WHY_CHARACTERS_MAX} characters."
SURE_TROUBLE = "Nothing was erased: type the customer's id to say that you are sure."


class CustomerPages:
    def __init__(self, personal: Personal, console: Console, *, show: ShowPage, clock: Clock) -> None:
        self._personal = personal
        self._console = console
        self._show = show
        self._clock = clock

    def pages(self) -> list[tuple[str, Page, list[str]]]:
        """Address, page and methods; all for those who have signed in."""
        return [
            (CUSTOMERS_PATH, self._customers, ["GET", "POST"]),
            (EXPORT_PATH, self._export, ["POST"]),
            (ERASE_PATH, self._erase, ["POST"]),
            (MESSAGE_PATH, self._message, ["GET"]),
        ]

    async def _customers(self, request: ConsoleRequest, who: str) -> HttpResponse:
        if request.method != "POST":
            return self._page(request, who)
        form = await form_of(request)
        query, why = form.get("query", ""), form.get("why", "")
        if not query or not says_why(why):
            return self._page(request, who, status=422, query=query, why=why, trouble=FIND_TROUBLE)
        found = await self._personal.find(query)
        if not found:
            subject = wording.masked_value(query)
            await self._console.record_access(who=who, what="customer sought, not found", subject=subject, why=why)
            return self._page(request, who, status=404, query=query, why=why, trouble=NOBODY)
        if len(found) > 1:
            subject = f"{len(found)} named {query}"
            await self._console.record_access(who=who, what="customers of a name", subject=subject, why=why)
            return self._page(request, who, query=query, why=why, several=found)
        await self._console.record_access(who=who, what="a customer's page", subject=found[0].id, why=why)
        return await self._customer(request, who, found[0], query=query, why=why)

    async def _customer(
        self, request: ConsoleRequest, who: str, subscriber: Subscriber, *, query: str, why: str, trouble: str = "",
        status: int = 200,
    ) -> HttpResponse:  # fmt: skip
        known = await self._personal.history(subscriber)
        return self._page(
            request, who, status=status, query=query, why=why, trouble=trouble, known=known,
            answer=history.summarise_hits(known.befallen),
        )  # fmt: skip

    async def _export(self, request: ConsoleRequest, who: str) -> HttpResponse:
        form = await form_of(request)
        found, why = await self._of_id(form.get("customer", "")), form.get("why", "")
        if found is None or not says_why(why):
            trouble = WHY_TROUBLE if found else NOBODY
            return self._page(request, who, status=422, why=why, trouble=trouble)
        await self._console.record_access(who=who, what=EXPORTED, subject=found.id, why=why)
        document = await self._personal.export(found)
        if isinstance(document, str):
            trouble = f"Nothing was exported: {document}."
            return await self._customer(request, who, found, query=found.id, why=why, trouble=trouble, status=503)
        attached = (b"content-disposition", b'attachment; filename="customer.json"')
        return HttpResponse(200, None, (JSON, NO_STORE, attached), msgspec.json.format(msgspec.json.encode(document)))

    async def _erase(self, request: ConsoleRequest, who: str) -> HttpResponse:
        form = await form_of(request)
        found, why = await self._of_id(form.get("customer", "")), form.get("why", "")
        if found is None or not says_why(why):
            trouble = WHY_TROUBLE if found else NOBODY
            return self._page(request, who, status=422, why=why, trouble=trouble)
        if form.get("sure") != found.id:
            return await self._customer(request, who, found, query=found.id, why=why, trouble=SURE_TROUBLE, status=422)
        # Before it is done: an attempt that nobody can see afterwards would be worse than one that failed.
        await self._console.record_access(who=who, what=ERASED, subject=found.id, why=why)
        done = await self._personal.erase(found, by=who)
        if done.trouble:
            return await self._customer(
                request, who, found, query=found.id, why=why, trouble=f"Not all is erased: {done.trouble}.", status=503
            )
        return self._page(request, who, erased=(found.id, done))

    async def _of_id(self, customer: str) -> Subscriber | None:
        found = await self._personal.find(customer) if customer else []
        return next((each for each in found if each.id == customer), None)

    async def _message(self, request: ConsoleRequest, who: str) -> HttpResponse:
        message = request.part("id")
        await self._console.record_access(who=who, what="trail of a message, masked", subject=message, why="")
        answered, trail = await self._personal.trail(message)
        status = 200 if trail else 404 if answered else 503
        return self._show("message.html", request, who, status=status, message=message, trail=trail, answered=answered)

    def _page(
        self, request: ConsoleRequest, who: str, *, status: int = 200, trouble: str = "", **facts: object
    ) -> HttpResponse:
        known = {"query": "", "why": "", "several": (), "known": None, "answer": "", "erased": None}
        return self._show(
            "customers.html", request, who, status=status, trouble=trouble, why_max=WHY_CHARACTERS_MAX,
            most=OUTCOMES_SHOWN_MAX, now=self._clock.now(), **{**known, **facts},
        )  # fmt: skip
