"""The console's pages over HTTP: server-rendered, then kept current by server-sent events."""

import asyncio
import logging
import re
from itertools import groupby
from pathlib import Path
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from prikkfri.assurance.console import Busy, Console, Role, SecondFactorChallenge, TooManyTries
from prikkfri.assurance.outcomes.stored import OutcomeFilter
from prikkfri.assurance.overview import WINDOW_SECONDS, Overview
from prikkfri.assurance.personal.service import Personal
from prikkfri.assurance.response.service import Response as IncidentResponse
from prikkfri.assurance.service import OUTCOMES_SHOWN_MAX, Assurance
from prikkfri.clock import Clock
from prikkfri.errors import InDoubt, StorageError
from prikkfri.protocols import one_time
from prikkfri.protocols.asgi import (
    NO_STORE,
    NOT_FOUND,
    Application,
    Handler,
    HttpResponse,
    Request,
    Route,
    Scope,
    edge,
    refusal,
    wants_html,
)
from prikkfri.web.console import wording
from prikkfri.web.console.access import AccessPages
from prikkfri.web.console.controls import ControlPages
from prikkfri.web.console.customers import CUSTOMERS_PATH, EXPORT_PATH, CustomerPages
from prikkfri.web.console.forms import form_of
from prikkfri.web.console.incidents import CONTACTS_BYTES_MAX, CONTACTS_PATH, IncidentPages
from prikkfri.web.console.live import (
    PACE,
    WINDOWS,
    LiveUpdates,
    Pace,
    Parts,
    chart_document,
    read_overview,
    stream_of,
)
from prikkfri.web.console.messages import MessagePages
from prikkfri.web.console.pages import (
    BODY_BYTES_MAX,
    NAMES,
    ConsoleRequest,
    Page,
    in_place_of_page,
    page,
    redirect,
    set_cookie,
    with_policy,
)
from prikkfri.web.console.rehearsals import REHEARSALS_PATH, Demo, RehearsalPages
from prikkfri.web.console.rendering import Templates
from prikkfri.web.console.waiting_room import WaitingRoomPages
from prikkfri.web.refusal_page import refusal_words

log = logging.getLogger("prikkfri.console")

PAGES = Path(__file__).parent.parent
STATIC = {
    "tokens.css": PAGES / "tokens.css",
    "console.css": PAGES / "console" / "static" / "console.css",
    "incidents.css": PAGES / "console" / "static" / "incidents.css",
    "live.js": PAGES / "console" / "static" / "live.js",
    "watching.js": PAGES / "console" / "static" / "watching.js",
    "incidents.js": PAGES / "console" / "static" / "incidents.js",
    "lines.js": PAGES / "console" / "static" / "lines.js",
    "chart.js": PAGES / "console" / "static" / "chart.js",
    "uplot.mjs": PAGES / "vendor" / "uplot.mjs",
    "uplot.css": PAGES / "vendor" / "uplot.css",
}
SCRIPT = b"text/javascript; charset=utf-8"
MEDIA_TYPES = {".css": b"text/css; charset=utf-8", ".js": SCRIPT, ".mjs": SCRIPT}
NAVIGATION = (
    ("/", "Overview"),
    ("/incidents", "Incidents"),
    ("/controls", "Controls"),
    ("/waiting-room", "Waiting room"),
    ("/links", "Links"),
    ("/quarantine", "Quarantine"),
    ("/customers", "Customers"),
    ("/system", "System"),
    ("/looks", "Access log"),
    ("/people", "People"),
)
RETRY_AFTER_SECONDS = 5
WRONG_CODE = "That is not the code of this moment, or it was used. Is the clock of the telephone right?"
TOO_MANY = (
    "Too many tries went wrong, with this name or from this network. Wait a little, or use a browser that has signed in"
    " to this account before."
)


def application(
    assurance: Assurance,
    console: Console,
    *,
    response: IncidentResponse,
    personal: Personal,
    clock: Clock,
    public_url: str,
    playout_url: str,
    timezone: str,
    operator: str,
    pace: Pace = PACE,
    demo: Demo | None = None,
) -> Application:
    """The ASGI application of the assurance role.

    `public_url` is the one origin from which it takes orders; only with a `demo` are there rehearsals. Raises
    `FileNotFoundError` with the mend when the browser parts have not been built.
    """
    if missing := [path for path in STATIC.values() if not path.is_file()]:
        raise FileNotFoundError(f"{missing[0]} is missing; mend it: npm ci && npm run build")
    origin, zone = public_url.rstrip("/"), ZoneInfo(timezone)
    pages = _Pages(assurance, console, response, personal, clock, origin, playout_url, zone, operator, pace, demo)
    return with_policy(edge(pages.routes(), names=NAMES, page=pages.refused))


class _Pages:
    def __init__(
        self,
        assurance: Assurance,
        console: Console,
        response: IncidentResponse,
        personal: Personal,
        clock: Clock,
        origin: str,
        playout_url: str,
        zone: ZoneInfo,
        operator: str,
        pace: Pace,
        demo: Demo | None,
    ) -> None:
        self.origin = origin
        self._assurance = assurance
        self._console = console
        self._response = response
        self._operator = operator
        self._clock = clock
        # A __Host- cookie is one that no neighbour on the same site can plant; it needs HTTPS.
        self._secure = origin.startswith("https://")
        self._cookie = "__Host-prikkfri-console" if self._secure else "prikkfri-console"
        self._browser_cookie = f"{self._cookie}-browser"
        self._templates = Templates(
            words=wording, zone=zone, operator=operator, outcomes_url=_outcomes_url, rehearses=demo is not None,
            navigation=(*NAVIGATION, (REHEARSALS_PATH, "Rehearsals")) if demo else NAVIGATION,
        )  # fmt: skip
        self._live = LiveUpdates(read_overview(assurance, self._moving_parts), clock=clock, pace=pace)
        self._controls = ControlPages(
            assurance, playout_url=playout_url, show=self._page, templates=self._templates, clock=clock, pace=pace
        )
        self._waiting_room = WaitingRoomPages(
            assurance, show=self._page, templates=self._templates, clock=clock, pace=pace, zone=zone
        )
        self._messages = MessagePages(assurance, console, show=self._page, clock=clock)
        self._access = AccessPages(assurance, console, show=self._page)
        self._customers = CustomerPages(personal, console, show=self._page, clock=clock)
        self._incidents = IncidentPages(
            response,
            console,
            switches=self._controls.part,
            show=self._page,
            templates=self._templates,
            clock=clock,
            pace=pace,
            zone=zone,
        )

        self._rehearsals: RehearsalPages | None = None
        if demo is not None:
            self._rehearsals = RehearsalPages(
                demo,
                open_incidents=self._incidents.open,
                show=self._page,
                templates=self._templates,
                clock=clock,
                pace=pace,
            )

    def routes(self) -> list[Route]:
        for_members: list[tuple[str, Page, list[str]]] = [
            ("/sign-out", self._sign_out, ["POST"]),
            ("/", self._overview, ["GET"]),
            ("/live", self._events, ["GET"]),
            ("/chart.json", self._chart, ["GET"]),
            ("/outcomes", self._outcomes, ["GET"]),
            ("/incidents/live", self._incident_events, ["GET"]),
            ("/incidents/{id}/live", self._incident_events, ["GET"]),
            ("/controls/live", self._control_events, ["GET"]),
            ("/waiting-room/live", self._waiting_room_events, ["GET"]),
            *self._controls.pages(),
            *self._waiting_room.pages(),
            *self._incidents.pages(),
            *self._messages.pages(),
            *self._access.pages(),
            *self._customers.pages(),
            ("/system", self._system, ["GET"]),
            ("/alarms/seen", self._alarm_seen, ["POST"]),
            ("/looks", self._looks, ["GET"]),
            ("/people", self._people, ["GET", "POST"]),
            ("/people/remove", self._remove_person, ["POST"]),
            ("/people/password", self._change_password, ["POST"]),
            ("/people/code", self._begin_codes, ["POST"]),
            ("/people/remove-code", self._remove_codes, ["POST"]),
        ]
        if self._rehearsals:
            for_members += [*self._rehearsals.pages(), (f"{REHEARSALS_PATH}/live", self._rehearsal_events, ["GET"])]
        for_all: list[tuple[str, Handler, list[str]]] = [
            ("/static/{name}", self._static, ["GET"]),
            ("/sign-in", self._sign_in, ["GET", "POST"]),
        ]
        for_all += (
            (path, self._for_members(page, looks=path in LOOKING), methods) for path, page, methods in for_members
        )
        return [self._route(method, path, answer) for path, answer, methods in for_all for method in methods]

    def _route(self, method: str, path: str, answer: Handler) -> Route:
        """What is sent comes from a page of ours, and has its limit."""
        if method == "GET":
            return Route(method, path, answer)
        most = BYTES_MAX.get(path, BODY_BYTES_MAX)
        return Route(method, path, answer, body_bytes_max=most, origin=self.origin, names_origin=True)

    # Who is there.

    def _for_members(self, page: Page, *, looks: bool) -> Handler:
        """`looks`: whoever may only look may send it, too."""

        async def guarded(asked: Request) -> HttpResponse:
            request = ConsoleRequest(asked)
            try:
                member = await self._console.member(request.cookie(self._cookie))
                if member is not None:
                    request.acts = member.role == "act"
                    if request.method not in ("GET", "HEAD") and not looks and not request.acts:
                        return self._page("looks_only.html", request, member.name, status=403)
                    return await page(request, member.name)
            except (StorageError, Busy, TooManyTries) as error:
                return self._trouble(request, error)
            if not wants_html(request.scope) or request.path.endswith(("/live", "/chart.json")):
                return refusal(401, "signed-out", "sign in again")
            query = asked.query.decode("latin-1")
            wanted = request.path + (f"?{query}" if query else "")
            return redirect(f"/sign-in?to={quote(wanted)}" if request.method != "POST" else "/sign-in")

        return guarded

    def _trouble(self, request: ConsoleRequest, error: Exception) -> HttpResponse:
        log.warning("%s: %s", request.path, error)
        if isinstance(error, TooManyTries):
            return self._page("trouble.html", request, "", status=429, trouble=TOO_MANY, at=self._clock.now())
        trouble = "Too much is asked at once." if isinstance(error, Busy) else "The console's database does not answer."
        return self._page("trouble.html", request, "", status=503, trouble=trouble, at=self._clock.now())

    async def _sign_in(self, asked: Request) -> HttpResponse:
        request = ConsoleRequest(asked)
        wanted = _own_path(request.query("to"))
        if request.method != "POST":
            return self._page("sign_in.html", request, "", to=wanted, trouble="", half_in="")
        form = await form_of(request)
        half_in = form.get("half_in", "")
        browser = request.cookie(self._browser_cookie)
        try:
            entered = await (self._by_code(form) if half_in else self._by_password(request, form, browser))
            if isinstance(entered, SecondFactorChallenge):
                return self._page("sign_in.html", request, "", to=wanted, trouble="", half_in=entered.half_in)
            known = await self._console.remember_browser(entered[0], browser) if entered else ""
        except Busy:
            trouble = "Too many are signing in at this moment. Try again in a few seconds."
            return self._page("sign_in.html", request, "", status=503, to=wanted, trouble=trouble, half_in=half_in)
        except TooManyTries as error:
            return self._page(
                "sign_in.html", request, "", status=429, retry_after_s=error.retry_after_s, to=wanted,
                trouble=TOO_MANY, half_in=half_in,
            )  # fmt: skip
        except (StorageError, InDoubt) as error:  # who signs in again is signed in
            return self._trouble(request, error)
        if entered is None:
            trouble = WRONG_CODE if half_in else "Name or password is wrong."
            return self._page("sign_in.html", request, "", status=401, to=wanted, trouble=trouble, half_in=half_in)
        token = entered[1]
        return redirect(
            wanted,
            set_cookie(self._cookie, token, secure=self._secure),
            set_cookie(
                self._browser_cookie, known, secure=self._secure, max_age_s=round(self._console.browser_seconds)
            ),
        )

    async def _by_password(
        self, request: ConsoleRequest, form: dict[str, str], browser: str
    ) -> tuple[str, str] | SecondFactorChallenge | None:
        """Name and session."""
        name, address = form.get("name", ""), request.address
        entered = await self._console.sign_in(name, form.get("password", ""), address=address, browser=browser)
        return (name, entered) if isinstance(entered, str) else entered

    async def _by_code(self, form: dict[str, str]) -> tuple[str, str] | None:
        return await self._console.sign_in_with_code(form["half_in"], form.get("code", "").replace(" ", ""))

    async def _sign_out(self, request: ConsoleRequest, who: str) -> HttpResponse:
        await self._console.sign_out(request.cookie(self._cookie))
        return redirect("/sign-in", set_cookie(self._cookie, "", secure=self._secure, max_age_s=0))

    # Now.

    async def _overview(self, request: ConsoleRequest, who: str) -> HttpResponse:
        seen = await self._assurance.overview()
        window = _window(request)
        parts = await self._moving_parts(seen)
        return self._page("overview.html", request, who, parts=parts, window=window, at=seen.at)

    async def _moving_parts(self, seen: Overview) -> Parts:
        facts = {
            "seen": seen,
            "open_incidents": await self._incidents.open(),
            "services": [(service, list(rows)) for service, rows in groupby(seen.rows, key=lambda row: row.service)],
            "rushes": self._response.watch.rushes,
            "failing": {(breakage.service, breakage.step) for breakage in seen.breakages},
            "assurance": self._assurance,
            "now": seen.at,
        }
        return {name: self._templates.render(f"parts/{name}.html", **facts) for name in PARTS}

    async def _events(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return _streamed(request, self._live, _window(request))

    async def _incident_events(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return _streamed(request, self._incidents.live, request.part("id"))

    async def _control_events(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return _streamed(request, self._controls.live, "")

    async def _rehearsal_events(self, request: ConsoleRequest, who: str) -> HttpResponse:
        assert self._rehearsals is not None
        return _streamed(request, self._rehearsals.live, "")

    async def _waiting_room_events(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return _streamed(request, self._waiting_room.live, "")

    async def _chart(self, request: ConsoleRequest, who: str) -> HttpResponse:
        seconds, period = WINDOWS[_window(request)]
        shown = await self._assurance.chart(seconds=seconds, period=period)
        return HttpResponse(200, chart_document(shown))

    # Single outcomes.

    async def _outcomes(self, request: ConsoleRequest, who: str) -> HttpResponse:
        now = self._clock.now()
        asked = {name: request.query(name)[:200] for name in FILTERS}
        sought = OutcomeFilter(now - WINDOW_SECONDS, now + 60, **asked)
        subject = ", ".join(f"{name}={value}" for name, value in asked.items() if value) or "all"
        await self._console.record_access(who=who, what="single outcomes, masked", subject=subject, why="")
        found = await self._assurance.outcomes(sought)
        return self._page(
            "outcomes.html", request, who, sought=sought, asked=asked, found=found, most=OUTCOMES_SHOWN_MAX, now=now
        )

    async def _looks(self, request: ConsoleRequest, who: str) -> HttpResponse:
        looks = await self._console.accesses()
        return self._page("looks.html", request, who, looks=looks, now=self._clock.now())

    # The system and its people.

    async def _system(self, request: ConsoleRequest, who: str) -> HttpResponse:
        alarms = await self._assurance.alarms()
        return self._page("system.html", request, who, assurance=self._assurance, alarms=alarms, now=self._clock.now())

    async def _alarm_seen(self, request: ConsoleRequest, who: str) -> HttpResponse:
        form = await form_of(request)
        await self._assurance.mark_alarm_seen(form.get("text", ""), who)
        return redirect("/system")

    async def _people(self, request: ConsoleRequest, who: str) -> HttpResponse:
        if request.method != "POST":
            return await self._people_page(request, who)
        form = await form_of(request)
        name = form.get("name", "")
        role: Role = "act" if form.get("role") == "act" else "look"
        password = await self._console.add_user(name, by=who, role=role)
        if password is None:
            return await self._people_page(request, who, trouble="That name is taken, or cannot be one.", status=422)
        return await self._people_page(request, who, made=(name, password))

    async def _remove_person(self, request: ConsoleRequest, who: str) -> HttpResponse:
        form = await form_of(request)
        name = form.get("name", "")
        if name == who:
            trouble = "You cannot remove yourself: somebody has to be able to sign in."
            return await self._people_page(request, who, trouble=trouble, status=422)
        await self._console.remove_user(name)
        return redirect("/people")

    async def _change_password(self, request: ConsoleRequest, who: str) -> HttpResponse:
        form = await form_of(request)
        old, new = form.get("old", ""), form.get("new", "")
        if not await self._console.change_password(who, old, new):
            trouble = (
                "The password was not changed: the old one is wrong, or the new one is shorter than 12 characters."
            )
            return await self._people_page(request, who, trouble=trouble, status=422)
        return redirect("/sign-in")

    async def _begin_codes(self, request: ConsoleRequest, who: str) -> HttpResponse:
        """Offers a secret; the second time, with a code of it, has the sign-in ask for one from then on."""
        form = await form_of(request)
        salt = form.get("salt", "")
        if not salt:
            salt, _ = self._console.offer_codes(who)
            return await self._people_page(request, who, offered=salt)
        if recovery := await self._console.begin_codes(who, salt, form.get("code", "").replace(" ", "")):
            return await self._people_page(request, who, recovery=recovery)
        return await self._people_page(request, who, trouble=WRONG_CODE, offered=salt, status=422)

    async def _remove_codes(self, request: ConsoleRequest, who: str) -> HttpResponse:
        name = (await form_of(request)).get("name", "")
        if name == who:
            trouble = "Somebody else who may act has to remove yours: else whoever sits at your desk could."
            return await self._people_page(request, who, trouble=trouble, status=422)
        await self._console.remove_codes(name)
        await self._console.record_access(who=who, what="second factor removed", subject=name, why="")
        return redirect("/people")

    async def _people_page(
        self, request: ConsoleRequest, who: str, *, trouble: str = "", made: tuple[str, str] | None = None,
        offered: str = "", recovery: tuple[str, ...] = (), status: int = 200,
    ) -> HttpResponse:  # fmt: skip
        users = await self._console.users()
        secret = self._console.secret_of(who, offered)
        return self._page(
            "people.html", request, who, status=status, users=users, trouble=trouble, made=made, offered=offered,
            secret=one_time.shown_secret(secret),
            otpauth=one_time.otpauth(secret, issuer=f"{self._operator} Prikkfri", name=who),
            two_factor=any(each.two_factor for each in users if each.name == who), recovery=recovery,
            recovery_left=await self._console.recovery_codes_left(who),
        )  # fmt: skip

    # Files and templates.

    def refused(self, scope: Scope, refusal: HttpResponse) -> HttpResponse:
        """What people are shown in place of a refusal of the edge: what is wrong, and the ways back."""
        if not wants_html(scope):
            return refusal
        language, said, back = refusal_words(scope, refusal)
        facts = {"language": language, "said": said, "back": back, "who": "", "acts": True, "path": str(scope["path"])}
        shown = page(self._templates.render("refused.html", **facts), refusal.status)
        headers = (*refusal.headers, *shown.headers, (b"vary", b"Accept-Language"))
        return HttpResponse(refusal.status, None, headers, shown.body)

    async def _static(self, request: Request) -> HttpResponse:
        path = STATIC.get(request.parts["name"])
        if path is None:
            return NOT_FOUND
        headers = ((b"content-type", MEDIA_TYPES[path.suffix]), (b"cache-control", b"no-cache"))
        return HttpResponse(200, None, headers, await asyncio.to_thread(path.read_bytes))

    def _page(
        self, template: str, request: ConsoleRequest, who: str, *, status: int = 200,
        retry_after_s: float | None = None, **facts: object,
    ) -> HttpResponse:  # fmt: skip
        if refused := in_place_of_page(request.scope, status, str(facts.get("trouble", "")), retry_after_s):
            return refused
        html = self._templates.render(template, who=who, acts=request.acts, path=request.path, **facts)
        return page(html, status, retry_after_s=retry_after_s)


BYTES_MAX = {CONTACTS_PATH: CONTACTS_BYTES_MAX}
"""How much some paths take, where that is more than a form."""
PARTS = ("sentence", "rushes", "age", "table", "roles", "load")
LOOKING = (
    "/sign-out", CUSTOMERS_PATH, EXPORT_PATH, "/people/password", "/people/code", "/incidents/{id}/hit",
    "/incidents/{id}/csv",
)  # fmt: skip
"""What is sent and changes nothing but one's own."""
FILTERS = ("service", "step", "layer", "verdict", "reason")


def _window(request: ConsoleRequest) -> str:
    window = request.query("window")
    return window if window in WINDOWS else "15m"


def _streamed(request: ConsoleRequest, live: LiveUpdates, subject: str) -> HttpResponse:
    if live.full:
        return refusal(503, "overloaded", "too many watch at once", retry_after_s=RETRY_AFTER_SECONDS)
    headers = ((b"content-type", b"text/event-stream; charset=utf-8"), NO_STORE, (b"x-accel-buffering", b"no"))
    # Whoever asks for the head alone watches nothing.
    return HttpResponse(
        200, None, headers, stream=None if request.method == "HEAD" else stream_of(live.events(subject))
    )


def _own_path(path: str) -> str:
    """`path` when it is one of ours, so that nobody is sent elsewhere after signing in."""
    return path if re.fullmatch(r"/(?![/\\])[\x21-\x7e]*", path) else "/"


def _outcomes_url(**sought: str) -> str:
    return "/outcomes?" + urlencode({name: value for name, value in sought.items() if value})
