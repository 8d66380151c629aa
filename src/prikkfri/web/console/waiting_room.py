"""The waiting room: what is seen of the line at the door, what is ordered of it and by whom, and the orders."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from prikkfri.assurance.controls import LineControl
from prikkfri.assurance.service import Assurance
from prikkfri.clock import Clock
from prikkfri.protocols.asgi import HttpResponse
from prikkfri.web.console.confirming import Confirmation, ask_first
from prikkfri.web.console.forms import form_of
from prikkfri.web.console.live import LiveUpdates, Pace, Parts
from prikkfri.web.console.pages import ConsoleRequest, Page, ShowPage, redirect
from prikkfri.web.console.rendering import Templates

WAITING_ROOM_PATH = "/waiting-room"
ORDERS = ("auto", "rate", "pause", "drain", "open", "schedule", "withdraw")
FIELDS = ("order", "after", "per_second", "reason", "room_from", "opens_at")


class WaitingRoomPages:
    def __init__(
        self, assurance: Assurance, *, show: ShowPage, templates: Templates, clock: Clock, pace: Pace, zone: ZoneInfo
    ) -> None:
        self._assurance = assurance
        self._show = show
        self._templates = templates
        self._clock = clock
        self._zone = zone
        self.live = LiveUpdates(self._look, clock=clock, pace=pace)

    def pages(self) -> list[tuple[str, Page, list[str]]]:
        """Address, page and methods; all for those who have signed in."""
        return [(WAITING_ROOM_PATH, self._page, ["GET"]), (f"{WAITING_ROOM_PATH}/order", self._order, ["POST"])]

    async def _page(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return self._shown(request, who)

    def _shown(self, request: ConsoleRequest, who: str, *, status: int = 200, trouble: str = "") -> HttpResponse:
        facts = {"parts": self._parts(), "trouble": trouble, "at": self._clock.now(), "typed": {}}
        return self._show("waiting_room.html", request, who, status=status, line=self._line, **facts)

    @property
    def _line(self) -> LineControl | None:
        return self._assurance.controls.line

    def _parts(self) -> Parts:
        facts = {"line": self._line, "now": self._clock.now()}
        return {name: self._templates.render(f"parts/{name}.html", **facts) for name in ("line", "line_orders")}

    async def _look(self, _: str) -> dict[str, Any]:
        return {"at": self._clock.now(), "html": self._parts()}

    async def _order(self, request: ConsoleRequest, who: str) -> HttpResponse:
        form = await form_of(request)
        order = order_of(form, self._zone)
        if isinstance(order, str):
            return self._shown(request, who, status=422, trouble=order)
        if form.get("sure") != "yes" and (sure := self._hurts(form, order)):
            fields = {name: form[name] for name in FIELDS if name in form}
            return ask_first(self._show, request, who, sure, fields=fields, back=WAITING_ROOM_PATH)
        if trouble := await self._assurance.steer_line({**order, "by": who, "sure": form.get("sure") == "yes"}):
            return self._shown(request, who, status=503, trouble=f"Nothing was ordered: {trouble}.")
        return redirect(WAITING_ROOM_PATH)

    def _hurts(self, form: dict[str, str], order: dict[str, object]) -> Confirmation | None:
        """What is to be confirmed before it is ordered; None for what only puts things back."""
        machine = self._line.line.machine_per_second if self._line else 0.0
        match order["order"]:
            case "rate":
                rate = f"{order['per_second']:g}"
                above = machine < float(str(order["per_second"]))
                than = f"more than sign-in can take now ({machine:.3g} a second)" if machine else "what is not measured"
                return Confirmation(
                    f"Let {rate} people a second in?",
                    f"This is {than}: people who are let in may be refused there."
                    if above
                    else f"Sign-in could take {machine:.3g} a second now; the line is not measured any more, it goes by"
                    " your rate until somebody orders something else.",
                    f"Let {rate} a second in",
                )
            case "pause":
                return Confirmation(
                    "Pause the line?",
                    "Nobody gets in until somebody orders something else. Everybody keeps their place, and is told why;"
                    " the fallback channels open by their rule.",
                    "Pause the line",
                )
            case "drain":
                return Confirmation(
                    "Let nobody new join?",
                    "Whoever comes now is told to come again later. Those who wait are let in.",
                    "Let nobody new join",
                )
            case "open":
                return Confirmation(
                    "Let everybody in at once?",
                    "Those who wait and those who come get in at once, however many sign-in can take, until somebody"
                    " orders something else. It refuses what is too much.",
                    "Let everybody in at once",
                )
            case "schedule":
                opens = form["opens_at"].replace("T", " ")
                return Confirmation(
                    f"Open the waiting room at {opens}?",
                    "Whoever comes before that waits until then, and is given a place by lot; whoever comes later"
                    " stands behind them.",
                    f"Open it at {opens}",
                )
        return None


def order_of(form: dict[str, str], zone: ZoneInfo) -> dict[str, object] | str:
    """What a form orders, as the door takes it; or what is wrong with it."""
    kind, after = form.get("order", ""), form.get("after", "")
    if kind not in ORDERS or not after.isascii() or not after.isdigit() or len(after) > 9:
        return "Say what is to be ordered."
    order: dict[str, object] = {"order": kind, "after": int(after)}
    if kind == "rate":
        try:
            return {**order, "per_second": float(form.get("per_second", "").replace(",", "."))}
        except ValueError:
            return "Say how many people a second."
    if kind == "pause":
        return {**order, "reason": form.get("reason", "")}
    if kind == "schedule":
        try:
            for name in ("opens_at", "room_from"):
                if form.get(name) or name == "opens_at":
                    order[name] = datetime.fromisoformat(form.get(name, "")).replace(tzinfo=zone).timestamp()
        except (ValueError, OverflowError):
            return "Say when it opens, as date and time."
    return order
