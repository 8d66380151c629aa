"""What people on duty switch: a channel opened to everybody, a route stopped; one click each, and one to undo it."""

from collections.abc import Awaitable, Callable
from typing import Any

from prikkfri.assurance.service import Assurance
from prikkfri.clock import Clock
from prikkfri.protocols.asgi import HttpResponse
from prikkfri.web.console.confirming import Confirmation, ask_first
from prikkfri.web.console.forms import form_of
from prikkfri.web.console.live import LiveUpdates, Pace, Parts
from prikkfri.web.console.pages import ConsoleRequest, Page, ShowPage, redirect
from prikkfri.web.console.rendering import Templates

CONTROLS_PATH = "/controls"
CHANNEL_STATES = ("open", "closed", "rule")
ROUTE_STATES = ("stopped", "open")
FIELDS = ("name", "state", "back")


class ControlPages:
    def __init__(
        self,
        assurance: Assurance,
        *,
        playout_url: str,
        show: ShowPage,
        templates: Templates,
        clock: Clock,
        pace: Pace,
    ) -> None:
        """`playout_url`: where everybody finds playout."""
        self._assurance = assurance
        self._playout_url = playout_url
        self._show = show
        self._templates = templates
        self._clock = clock
        self.live = LiveUpdates(self._look, clock=clock, pace=pace)

    def pages(self) -> list[tuple[str, Page, list[str]]]:
        """Address, page and methods; all for those who have signed in."""
        return [
            (CONTROLS_PATH, self._controls, ["GET"]),
            (f"{CONTROLS_PATH}/channel", self._channel, ["POST"]),
            (f"{CONTROLS_PATH}/route", self._route, ["POST"]),
            (f"{CONTROLS_PATH}/complaint", self._complaint, ["POST"]),
        ]

    def part(self, *, service: str = "", back: str = CONTROLS_PATH) -> str:
        """The switches of a service (empty: of all); whoever uses one comes to the page `back` afterwards."""
        return self._templates.render(
            "parts/controls.html", controls=self._assurance.controls, playout_url=self._playout_url, service=service,
            back=back, now=self._clock.now(),
        )  # fmt: skip

    async def _controls(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return self._page(request, who)

    def _page(self, request: ConsoleRequest, who: str, *, status: int = 200, trouble: str = "") -> HttpResponse:
        facts = {"parts": self._parts(), "trouble": trouble, "at": self._clock.now()}
        return self._show("controls.html", request, who, status=status, **facts)

    def _parts(self) -> Parts:
        return {"controls": self.part()}

    async def _look(self, _: str) -> dict[str, Any]:
        return {"at": self._clock.now(), "html": self._parts()}

    async def _channel(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return await self._switch(request, who, self._assurance.switch_channel, CHANNEL_STATES)

    async def _route(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return await self._switch(request, who, self._assurance.switch_route, ROUTE_STATES)

    async def _complaint(self, request: ConsoleRequest, who: str) -> HttpResponse:
        form = await form_of(request)
        name, back = form.get("name", ""), form.get("back", "")
        if not name:
            return self._page(request, who, status=422, trouble="Say of which link the partner complains.")
        if trouble := await self._assurance.complain(name, by=who):
            return self._page(request, who, status=503, trouble=f"The complaint was not noted: {trouble}.")
        return redirect(back if back.startswith("/incidents/") else CONTROLS_PATH)

    async def _switch(
        self, request: ConsoleRequest, who: str, switch: Callable[..., Awaitable[str]], states: tuple[str, ...]
    ) -> HttpResponse:
        form = await form_of(request)
        name, state, back = form.get("name", ""), form.get("state", ""), form.get("back", "")
        if not name or state not in states:
            return self._page(request, who, status=422, trouble="Say what is to be switched, and how.")
        wayback = back if back.startswith("/incidents/") else CONTROLS_PATH
        if form.get("sure") != "yes" and (asked := self._hurts(request.path, name, state)):
            return ask_first(
                self._show, request, who, asked, fields={k: form[k] for k in FIELDS if k in form}, back=wayback
            )
        if trouble := await switch(name, state, by=who):
            return self._page(request, who, status=503, trouble=f"{name} was not switched: {trouble}.")
        return redirect(wayback)

    def _hurts(self, path: str, name: str, state: str) -> Confirmation | None:
        """What is to be confirmed before it is switched; None for what only puts things back."""
        if path.endswith("/channel"):
            channel = next((each for each in self._assurance.controls.channels or () if each.id == name), None)
            shown = channel.name if channel else name
            if state != "open":
                return None
            return Confirmation(
                f"Open {shown} to everybody?",
                "Anybody can then watch it without signing in and without paying, until it is closed again.",
                f"Open {shown} to everybody",
            )
        route = next((each for each in self._assurance.controls.routes or () if each.link == name), None)
        if state == "stopped":
            elsewhere = (
                f"new ones go over {route.instead}" if route and route.instead else "new ones are kept, and wait"
            )
            return Confirmation(
                f"Stop the route {name}?",
                f"No message goes over it until somebody opens it; {elsewhere}.",
                f"Stop the route {name}",
            )
        if route is not None and not route.trusted:
            return Confirmation(
                f"Open the route {name} before proof?",
                "Its test messages have gone astray: what goes over it may reach strangers.",
                f"Open the route {name}",
            )
        return None
