"""A demo's evenings that go wrong on purpose: what happens in each, where to watch it, how it stands, its button."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from prikkfri.assurance.incidents import Incident
from prikkfri.assurance.rehearsals.service import Rehearsals
from prikkfri.assurance.rehearsals.staging import EVENINGS, Evening, Staging
from prikkfri.clock import Clock
from prikkfri.protocols.asgi import HttpResponse
from prikkfri.web.console.confirming import Confirmation, ask_first
from prikkfri.web.console.forms import form_of
from prikkfri.web.console.live import LiveUpdates, Pace, Parts
from prikkfri.web.console.pages import ConsoleRequest, Page, ShowPage, redirect
from prikkfri.web.console.rendering import Templates

REHEARSALS_PATH = "/rehearsals"
SERVICES: dict[Evening, tuple[str, ...]] = {"kickoff": ("television",), "misdelivery": ("messages", "receipts")}
NAMES: dict[Evening, str] = {"kickoff": "The kick-off", "misdelivery": "The misdelivery"}
SURE: dict[Evening, Confirmation] = {
    "kickoff": Confirmation(
        "Stage the kick-off?",
        "For about a quarter of a minute nobody can sign in to this demo's television, you neither; it goes on for two"
        " or three minutes.",
        "Stage the kick-off",
    ),
    "misdelivery": Confirmation(
        "Stage the misdelivery?",
        "For half a minute three in ten of this demo's messages to Nordtel reach a wrong phone; then the route is"
        " stopped until it is proven. It goes on for about two minutes.",
        "Stage the misdelivery",
    ),
}
STATES = {
    "": ("unknown", "not staged yet"),
    "asked": ("unknown", "asked for"),
    "running": ("warning", "running"),
    "passed": ("kept", "passed"),
    "failed": ("broken", "failed"),
    "not-judged": ("warning", "not judged"),
    "broken-off": ("broken", "broken off"),
}
"""Tone and word of each state."""

OpenIncidents = Callable[[], Awaitable[list[tuple[Incident, str]]]]


@dataclass(frozen=True)
class Demo:
    """What a demo has that an installation has not."""

    rehearsals: Rehearsals
    viewer_url: str
    status_url: str
    phones_url: str


class RehearsalPages:
    def __init__(
        self, demo: Demo, *, open_incidents: OpenIncidents, show: ShowPage, templates: Templates, clock: Clock,
        pace: Pace,
    ) -> None:  # fmt: skip
        self._demo = demo
        self._open_incidents = open_incidents
        self._show = show
        self._templates = templates
        self._clock = clock
        self.live = LiveUpdates(self._update, clock=clock, pace=pace)

    def pages(self) -> list[tuple[str, Page, list[str]]]:
        """Address, page and methods; all for those who have signed in."""
        return [(REHEARSALS_PATH, self._rehearsals, ["GET", "POST"])]

    async def _rehearsals(self, request: ConsoleRequest, who: str) -> HttpResponse:
        if request.method != "POST":
            return await self._page(request, who)
        form = await form_of(request)
        evening = next((each for each in EVENINGS if each == form.get("evening")), None)
        if evening is None:
            return await self._page(request, who, status=422, trouble="Say which evening is to be staged.")
        evenings = await self._demo.rehearsals.evenings()
        if hindrance := evenings.stage.hindrances.get(evening):
            return await self._page(request, who, status=422, trouble=hindrance)
        other = evenings.in_the_way
        if other is None and form.get("sure") != "yes":
            fields = {"evening": evening}
            return ask_first(self._show, request, who, SURE[evening], fields=fields, back=REHEARSALS_PATH)
        if other is None:
            other = await self._demo.rehearsals.order(evening, by=who)
        if other is not None:
            trouble = f"One evening at a time: {_lowered(NAMES[other.evening])} is {STATES[other.state][1]}."
            return await self._page(request, who, status=422, trouble=trouble)
        return redirect(f"{REHEARSALS_PATH}#{evening}")

    async def _page(self, request: ConsoleRequest, who: str, *, status: int = 200, trouble: str = "") -> HttpResponse:
        facts = {"parts": await self._parts(), "names": NAMES, "trouble": trouble, "at": self._clock.now()}
        pages = (await self._demo.rehearsals.evenings()).stage.pages
        return self._show("rehearsals.html", request, who, status=status, demo=self._demo, pages=pages, **facts)

    async def _update(self, _: str) -> dict[str, Any]:
        return {"at": self._clock.now(), "html": await self._parts()}

    async def _parts(self) -> Parts:
        """How each evening stands, by the id of its place."""
        evenings = await self._demo.rehearsals.evenings()
        opened = await self._open_incidents()
        return {
            f"{evening}-state": self._templates.render(
                "parts/rehearsal.html", evening=evening, staging=(found := evenings.seen.get(evening)),
                state=STATES[found.state if found else ""], hindrance=evenings.stage.hindrances.get(evening, ""),
                other=evenings.in_the_way, label=SURE[evening].label, incidents=_incidents(found, opened),
                now=self._clock.now(),
            )
            for evening in EVENINGS
        }  # fmt: skip


def _incidents(staging: Staging | None, opened: list[tuple[Incident, str]]) -> list[tuple[str, str]]:
    """Id and sentence of those that an evening made: while it runs, those that are open and came with it."""
    if staging is None:
        return []
    sentences = {incident.id: sentence for incident, sentence in opened}
    if staging.state != "running":
        return [(each, sentences.get(each, f"Incident {each}")) for each in staging.incidents]
    services = SERVICES[staging.evening]
    came = [incident for incident, _ in opened if incident.service in services and incident.opened_at >= staging.since]
    return [(incident.id, sentences[incident.id]) for incident in came]


def _lowered(name: str) -> str:
    return name[0].lower() + name[1:]
