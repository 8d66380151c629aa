"""How a customer comes in: where they are signed in, signing them out everywhere, and a link to a new password."""

from prikkfri.assurance.console import Console
from prikkfri.assurance.customers import PasswordLink
from prikkfri.assurance.service import Assurance
from prikkfri.protocols.asgi import HttpResponse
from prikkfri.web.console.forms import WHY_TROUBLE, form_of, says_why
from prikkfri.web.console.pages import ConsoleRequest, Page, ShowPage

SILENT = "Nothing was done, as far as is known: sign-in did not say that it was."


class AccessPages:
    def __init__(self, assurance: Assurance, console: Console, *, show: ShowPage) -> None:
        self._assurance = assurance
        self._console = console
        self._show = show

    def pages(self) -> list[tuple[str, Page, list[str]]]:
        """Address, page and methods; all for those who may act."""
        return [
            ("/customers/end-sessions", self._end_sessions, ["POST"]),
            ("/customers/password-link", self._password_link, ["POST"]),
        ]

    async def _end_sessions(self, request: ConsoleRequest, who: str) -> HttpResponse:
        customer, refused = await self._said(request, who, "customer signed out everywhere")
        if refused is not None:
            return refused
        ended = await self._assurance.end_devices_of_customer(customer, by=who)
        return self._shown(request, who, customer, "" if ended is not None else SILENT, ended=ended)

    async def _password_link(self, request: ConsoleRequest, who: str) -> HttpResponse:
        customer, refused = await self._said(request, who, "link to a new password made")
        if refused is not None:
            return refused
        made = await self._assurance.password_link(customer, by=who)
        return self._shown(request, who, customer, "" if made is not None else SILENT, made=made)

    async def _said(self, request: ConsoleRequest, who: str, what: str) -> tuple[str, HttpResponse | None]:
        """Whom it is about, after it has been recorded; or why nothing is done."""
        form = await form_of(request)
        customer, why = form.get("customer", ""), form.get("why", "")
        if not customer or not says_why(why):
            return customer, self._shown(request, who, customer, WHY_TROUBLE, status=422)
        # Before it is done: an attempt that nobody can see afterwards would be worse than one that failed.
        await self._console.record_access(who=who, what=what, subject=customer, why=why)
        return customer, None

    def _shown(
        self,
        request: ConsoleRequest,
        who: str,
        customer: str,
        trouble: str,
        *,
        status: int = 200,
        ended: int | None = None,
        made: PasswordLink | None = None,
    ) -> HttpResponse:
        status = 503 if trouble == SILENT else status
        facts = {"customer": customer, "trouble": trouble, "ended": ended, "made": made}
        return self._show("access.html", request, who, status=status, **facts)
