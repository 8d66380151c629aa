"""The SMS centre's links, how their partners speak, and its quarantine: what is held, and what a person says of it."""

from urllib.parse import quote

from prikkfri.assurance.console import Console
from prikkfri.assurance.service import Assurance
from prikkfri.clock import Clock
from prikkfri.protocols.asgi import HttpResponse
from prikkfri.web.console.confirming import Confirmation, ask_first
from prikkfri.web.console.forms import form_of
from prikkfri.web.console.pages import ConsoleRequest, Page, ShowPage, redirect

LINKS_PATH = "/links"
QUARANTINE_PATH = "/quarantine"
ACTIONS = {"release": "released from quarantine", "discard": "discarded in quarantine"}
LINK_CHARACTERS_MAX = 64
DISCARD = Confirmation(
    "Discard it for good?", "A message is then never delivered, a receipt ends no message.", "Discard it for good"
)


class MessagePages:
    def __init__(self, assurance: Assurance, console: Console, *, show: ShowPage, clock: Clock) -> None:
        self._assurance = assurance
        self._console = console
        self._show = show
        self._clock = clock

    def pages(self) -> list[tuple[str, Page, list[str]]]:
        """Address, page and methods; all for those who have signed in."""
        return [
            (LINKS_PATH, self._links, ["GET"]),
            (QUARANTINE_PATH, self._list, ["GET"]),
            (f"{QUARANTINE_PATH}/{{id}}", self._entry, ["GET"]),
            (f"{QUARANTINE_PATH}/{{id}}", self._say, ["POST"]),
        ]

    async def _links(self, request: ConsoleRequest, who: str) -> HttpResponse:
        found = await self._assurance.partners()
        troubles = await self._assurance.troubles_of("sms")
        return self._show("links.html", request, who, found=found, troubles=troubles, now=self._clock.now())

    async def _list(self, request: ConsoleRequest, who: str) -> HttpResponse:
        link = request.query("link")[:LINK_CHARACTERS_MAX]
        await self._console.record_access(who=who, what="quarantine, masked", subject=link or "all", why="")
        entries = await self._assurance.quarantine(link)
        routes = self._assurance.controls.routes or ()
        links = sorted({route.link for route in routes} | ({link} if link else set()))
        facts = {"entries": entries, "links": links, "link": link, "done": ACTIONS.get(request.query("done"), "")}
        return self._show("quarantine.html", request, who, now=self._clock.now(), **facts)

    async def _entry(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return await self._entry_page(request, who)

    async def _entry_page(
        self, request: ConsoleRequest, who: str, *, status: int = 200, trouble: str = ""
    ) -> HttpResponse:
        identity = request.part("id")
        await self._console.record_access(who=who, what="entry in quarantine, masked", subject=identity, why="")
        answered, found = await self._assurance.quarantine_entry(identity)
        if found is None and not trouble:
            status = 404 if answered else 503
            trouble = "There is nothing of that id in quarantine." if answered else "The SMS centre does not answer."
        facts = {"found": found, "trouble": trouble, "identity": identity, "now": self._clock.now()}
        return self._show("quarantine_entry.html", request, who, status=status, **facts)

    async def _say(self, request: ConsoleRequest, who: str) -> HttpResponse:
        form, identity = await form_of(request), request.part("id")
        action = form.get("action", "")
        if action not in ACTIONS:
            return await self._entry_page(request, who, status=422, trouble="Say what is to be done with it.")
        if action == "discard" and form.get("sure") != "yes":
            fields = {"action": action}
            return ask_first(
                self._show, request, who, DISCARD, fields=fields, back=f"{QUARANTINE_PATH}/{quote(identity)}"
            )
        # Before it is done: an attempt that nobody can see afterwards would be worse than one that failed.
        await self._console.record_access(who=who, what=ACTIONS[action], subject=identity, why="")
        if trouble := await self._assurance.say_of_quarantine(identity, action, by=who):
            return await self._entry_page(request, who, status=503, trouble=f"Nothing was done: {trouble}.")
        return redirect(f"{QUARANTINE_PATH}?done={action}")
