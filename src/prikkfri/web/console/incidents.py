"""The pages of incidents: the list, one incident with its answer sheet and what can be done, those hit."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

from prikkfri.assurance.answers import IncidentFacts, answer_sheet, headline, sentence
from prikkfri.assurance.console import Console
from prikkfri.assurance.impact import ExposedMessage
from prikkfri.assurance.incidents import TRANSITIONS, Fact, Incident, Kind, accepts, displayed_state, in_order
from prikkfri.assurance.remedies import in_doubt
from prikkfri.assurance.response.service import Response as IncidentResponse
from prikkfri.assurance.response.store import CreditRecord
from prikkfri.assurance.response.tables import contacts_of, credits_csv, exposed_csv, hits_csv
from prikkfri.clock import Clock
from prikkfri.protocols.asgi import NO_STORE, HttpResponse
from prikkfri.web.console.confirming import Confirmation, ask_first
from prikkfri.web.console.forms import WHY_CHARACTERS_MAX, WHY_TROUBLE, file_of, form_of, says_why
from prikkfri.web.console.live import LiveUpdates, Pace, Parts, stream_of
from prikkfri.web.console.pages import ConsoleRequest, Page, ShowPage, redirect
from prikkfri.web.console.rendering import Templates

INCIDENTS_SHOWN_MAX = 50
ENTRIES_SHOWN_MAX = 200
HITS_SHOWN_MAX = 500
REFUSED_SHOWN_MAX = 20
DOUBTED_SHOWN_MAX = 20
TEXT_CHARACTERS_MAX = 500
PROMISE_SECONDS_MAX = 30 * 86_400.0
"""How far ahead a solution or a next word may be promised."""
CONTACTS_PATH = "/contacts"
CONTACTS_BYTES_MAX = 1_000_000

NEEDS_TEXT: dict[Kind, str] = {
    "mitigate": "what was done",
    "act": "what was done",
    "note": "the note",
    "all-clear": "how you know that it is over",
    "dismiss": "why it is nothing",
    "review": "what was learnt",
}
"""What a person does of which the timeline must say more, and what that is."""
BY_PEOPLE: frozenset[Kind] = frozenset({*NEEDS_TEXT, "confirm", "estimate"})
CSV = (b"content-type", b"text/csv; charset=utf-8")
TABLES = ("hit", "credits", "exposed")


@dataclass(frozen=True)
class Money:
    """What has been given, and what waits for a person."""

    given: tuple[CreditRecord, ...]
    waiting: int
    """Customers whom the policy credits and who have nothing yet."""
    reported: int
    """Of those hit, customers of whom only their device tells."""
    untold: int
    doubted: tuple[str, ...]
    """Credited customers who stand on the list no more."""

    @property
    def total(self) -> int:
        return sum(each.credit.amount for each in self.given)


class IncidentPages:
    def __init__(
        self,
        response: IncidentResponse,
        console: Console,
        *,
        switches: Callable[..., str],
        show: ShowPage,
        templates: Templates,
        clock: Clock,
        pace: Pace,
        zone: ZoneInfo,
    ) -> None:
        self._response = response
        self._console = console
        self._switches = switches
        self._show = show
        self._templates = templates
        self._clock = clock
        self._zone = zone
        self.live = LiveUpdates(self._look, clock=clock, pace=pace)
        """By the id of an incident; empty: the list of them."""

    def pages(self) -> list[tuple[str, Page, list[str]]]:
        """Address, page and methods; all for those who have signed in."""
        return [
            ("/incidents", self._incidents, ["GET"]),
            ("/incidents/{id}", self._incident, ["GET"]),
            ("/incidents/{id}/act", self._act, ["POST"]),
            ("/incidents/{id}/release", self._release, ["POST"]),
            ("/incidents/{id}/tell", self._tell, ["POST"]),
            ("/incidents/{id}/hit", self._hit, ["GET", "POST"]),
            ("/incidents/{id}/csv", self._csv, ["POST"]),
            (CONTACTS_PATH, self._contacts, ["POST"]),
        ]

    # The list of incidents.

    async def open(self) -> list[tuple[Incident, str]]:
        """Open incidents with a sentence each; the one to look at first stands first."""
        found = []
        for incident in sorted(
            self._response.register.open_incidents, key=lambda incident: incident.state == "suspected"
        ):
            listed = await self._response.register.listed(incident.id)
            found.append((incident, sentence(incident, listed.hit if listed else None, self._zone)))
        return found

    async def _incidents(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return await self._incidents_page(request, who)

    async def _incidents_page(
        self, request: ConsoleRequest, who: str, *, status: int = 200, trouble: str = "", **taken: object
    ) -> HttpResponse:
        parts = await self._list_parts()
        facts = {"parts": parts, "trouble": trouble, "taken": taken, "at": self._clock.now()}
        return self._show("incidents.html", request, who, status=status, **facts)

    async def _list_parts(self) -> Parts:
        found = await self._response.register.incidents(most=INCIDENTS_SHOWN_MAX)
        rows = []
        for incident in found:
            listed = await self._response.register.listed(incident.id)
            rows.append((incident, sentence(incident, None, self._zone), listed))
        return self._parts(("incident_list",), rows=rows, now=self._clock.now(), most=INCIDENTS_SHOWN_MAX)

    # One incident.

    async def _incident(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return await self._incident_page(request, who)

    async def _incident_page(
        self,
        request: ConsoleRequest,
        who: str,
        *,
        status: int = 200,
        trouble: str = "",
        typed: dict[str, str] | None = None,
    ) -> HttpResponse:
        known = await self._response.evaluations.known(request.part("id"))
        if known is None:
            return self._nothing(request, who)
        done = {name: int(n) for name in ("given", "told") if (n := request.query(name)).isdecimal()}
        parts = await self._incident_parts(known, typed or {})
        return self._show(
            "incident.html", request, who, status=status, incident=known.incident, parts=parts, trouble=trouble,
            done=done, at=self._clock.now(),
        )  # fmt: skip

    def _nothing(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return self._show("no_incident.html", request, who, status=404)

    async def _incident_parts(self, known: IncidentFacts, typed: dict[str, str]) -> Parts:
        incident, now = known.incident, self._clock.now()
        given = await self._response.register.credits(incident.id)
        switches = self._switches(service=incident.service, back=f"/incidents/{incident.id}")
        return {"controls": switches} | self._parts(
            ("incident_sentence", "answers", "timeline", "actions", "those_hit", "notices"),
            known=known,
            incident=incident,
            sentence=headline(known, self._zone),
            answers=answer_sheet(known, now=now, zone=self._zone),
            entries=in_order(incident)[::-1][:ENTRIES_SHOWN_MAX],
            accepted={kind for kind in BY_PEOPLE if accepts(incident, kind)},
            proven=known.recovery is not None and known.recovery.over,
            money=_money(known, given),
            listed=await self._response.register.listed(incident.id),
            typed=typed,
            now=now,
            text_max=TEXT_CHARACTERS_MAX,
            doubted_max=DOUBTED_SHOWN_MAX,
            why_max=WHY_CHARACTERS_MAX,
        )

    def _parts(self, names: tuple[str, ...], **facts: object) -> Parts:
        return {name: self._templates.render(f"parts/{name}.html", **facts) for name in names}

    async def _look(self, identifier: str) -> dict[str, Any]:
        at = self._clock.now()
        if not identifier:
            return {"at": at, "html": await self._list_parts()}
        known = await self._response.evaluations.known(identifier)
        return {"at": at, "html": await self._incident_parts(known, {}) if known else {}}

    # What people do.

    async def _act(self, request: ConsoleRequest, who: str) -> HttpResponse:
        form, now = await form_of(request), self._clock.now()
        incident = await self._response.register.incident(request.part("id"))
        if incident is None:
            return self._nothing(request, who)
        fact = self._fact(form, who, now)
        if isinstance(fact, Fact) and _in_vain(incident, fact.kind):
            fact = f"That cannot be done any more: the incident is {displayed_state(incident)}."
        if isinstance(fact, str):
            return await self._incident_page(request, who, status=422, trouble=fact, typed=form)
        sure = _hurts(fact.kind, proven=self._response.evaluations.proven_over(incident.id))
        if form.get("sure") != "yes" and sure:
            fields = {"kind": fact.kind, "text": fact.text}
            return ask_first(self._show, request, who, sure, fields=fields, back=f"/incidents/{incident.id}")
        await self._response.actions.act(incident.id, fact)
        return _back(incident)

    def _fact(self, form: dict[str, str], who: str, now: float) -> Fact | str:
        """What a form says that somebody did, or what is wrong with it."""
        kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind) if kind in BY_PEOPLE}
        kind, text = kinds.get(form.get("kind", "")), form.get("text", "")
        if kind is None:
            return "Say what was done."
        if kind in NEEDS_TEXT and not text:
            return f"Say {NEEDS_TEXT[kind]}."
        if len(text) > TEXT_CHARACTERS_MAX:
            return f"Say it in at most {TEXT_CHARACTERS_MAX} characters."
        if kind != "estimate":
            return Fact(kind, now, who, text)
        promised: list[float | None] = []
        for name, field in (("expected solution", "solution_at"), ("next update", "next_update_at")):
            at = _moment(form.get(field, ""), self._zone) if form.get(field) else None
            if form.get(field) and (at is None or not now < at <= now + PROMISE_SECONDS_MAX):
                return f"The {name} must be a time to come, within 30 days."
            promised.append(at)
        return Fact(kind, now, who, text, solution_at=promised[0], next_update_at=promised[1])

    async def _release(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return await self._by_person(request, who, "given", self._response.actions.release)

    async def _tell(self, request: ConsoleRequest, who: str) -> HttpResponse:
        return await self._by_person(request, who, "told", self._response.announcements.tell)

    async def _by_person(
        self, request: ConsoleRequest, who: str, name: str, doing: Callable[..., Awaitable[int]]
    ) -> HttpResponse:
        incident = await self._response.register.incident(request.part("id"))
        if incident is None:
            return self._nothing(request, who)
        if (await form_of(request)).get("sure") != "yes":
            return await self._incident_page(request, who, status=422, trouble="Say that you are sure of it.")
        count = await doing(incident.id, by=who)
        return _back(incident, f"?{name}={count}")

    # Those hit: every look leaves a trace.

    async def _hit(self, request: ConsoleRequest, who: str) -> HttpResponse:
        incident = await self._response.register.incident(request.part("id"))
        if incident is None:
            return self._nothing(request, who)
        why = (await form_of(request)).get("why", "") if request.method == "POST" else ""
        trouble = "" if request.method != "POST" or says_why(why) else WHY_TROUBLE
        in_full = request.method == "POST" and not trouble
        what = "those hit, in full" if in_full else "those hit, masked"
        await self._console.record_access(
            who=who, what=what, subject=f"incident {incident.id}", why=why if in_full else ""
        )
        shown, count = await self._response.register.first_hits(incident.id, most=HITS_SHOWN_MAX)
        listed = await self._response.register.listed(incident.id)
        exposures = self._response.evaluations.exposures
        exposed, exposed_count = await exposures.first(incident, most=HITS_SHOWN_MAX)
        return self._show(
            "hits.html", request, who, status=422 if trouble else 200, incident=incident, shown=shown, count=count,
            in_full=in_full, why=why, why_max=WHY_CHARACTERS_MAX, trouble=trouble,
            sentence=sentence(incident, listed.hit if listed else None, self._zone),
            exposed=exposed, exposed_count=exposed_count, most=HITS_SHOWN_MAX,
        )  # fmt: skip

    async def _csv(self, request: ConsoleRequest, who: str) -> HttpResponse:
        form = await form_of(request)
        table, why = form.get("table", ""), form.get("why", "")
        incident = await self._response.register.incident(request.part("id"))
        if incident is None or table not in TABLES:
            return self._nothing(request, who)
        identifier = incident.id
        if not says_why(why):
            return await self._incident_page(request, who, status=422, trouble=WHY_TROUBLE)
        await self._console.record_access(
            who=who, what=f"CSV of an incident: {table}", subject=f"incident {identifier}", why=why
        )
        name = f"incident-{identifier}-{table}.csv"
        headers = (CSV, (b"content-disposition", f'attachment; filename="{name}"'.encode()))
        if table == "hit":
            text = await asyncio.to_thread(hits_csv, await self._response.register.hits(identifier), self._zone)
        elif table == "credits":
            text = await asyncio.to_thread(credits_csv, await self._response.register.credits(identifier), self._zone)
        else:
            pages = self._response.evaluations.exposures.messages(incident)
            first: list[ExposedMessage] = await anext(
                pages, []
            )  # before anything is answered: the database may not answer
            return HttpResponse(200, None, (*headers, NO_STORE), stream=stream_of(self._exposed_csv(first, pages)))
        return HttpResponse(200, None, headers, text.encode())

    async def _exposed_csv(
        self, first: list[ExposedMessage], pages: AsyncIterator[list[ExposedMessage]]
    ) -> AsyncGenerator[bytes, None]:
        """Page by page: nobody knows how many there are, and others are answered meanwhile."""
        yield (await asyncio.to_thread(exposed_csv, first, self._zone)).encode()
        async for page in pages:
            yield (await asyncio.to_thread(exposed_csv, page, self._zone, headed=False)).encode()

    # Contacts with customer service.

    async def _contacts(self, request: ConsoleRequest, who: str) -> HttpResponse:
        text = await file_of(request, "file")
        if not text:
            trouble = "Choose a CSV file, in UTF-8, with at least its header."
            return await self._incidents_page(request, who, status=422, trouble=trouble)
        contacts = contacts_of(text, now=self._clock.now(), zone=self._zone)
        new = await self._response.register.add_contacts(contacts.found) if contacts.found else 0
        return await self._incidents_page(
            request, who, status=200 if contacts.found or not contacts.refused else 422, found=len(contacts.found),
            new=new, refused=len(contacts.refused), examples=contacts.refused[:REFUSED_SHOWN_MAX],
        )  # fmt: skip


def _money(known: IncidentFacts, given: list[CreditRecord]) -> Money:
    have = {each.credit.customer for each in given}
    credited = known.remedy.credits if known.remedy else ()
    hits = known.impact.hits if known.impact else ()
    return Money(
        given=tuple(given),
        waiting=sum(1 for credit in credited if credit.customer not in have),
        reported=len({hit.customer for hit in hits if hit.customer and not hit.observed} - have),
        untold=sum(1 for each in given if not each.told_at),
        doubted=in_doubt((each.credit for each in given), hits) if known.impact else (),
    )


def _hurts(kind: Kind, *, proven: bool) -> Confirmation | None:
    """What is to be confirmed before it is said, since the public hears of it."""
    if kind == "all-clear":
        effect = "The public is told that it is over."
        if not proven:
            effect += " The data has not proven it: it is marked as your word, and no credit is given by itself."
        return Confirmation(
            "Declare this incident over?", effect, "Declare it over" if proven else "Declare it over before proof"
        )
    if kind == "dismiss":
        effect = "It is closed as nothing: the public hears no more of it, and nobody gets a credit for it."
        return Confirmation("Dismiss this incident?", effect, "Dismiss it")
    return None


def _in_vain(incident: Incident, kind: Kind) -> bool:
    """Whether this moves incidents, but not this one as it is."""
    if kind == "estimate":
        return not incident.open
    moves = any(kind == moving for _, moving in TRANSITIONS)
    return moves and not accepts(incident, kind)


def _moment(text: str, zone: ZoneInfo) -> float | None:
    """The time that a `datetime-local` field says, on the clocks of `zone`."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
    except (ValueError, OverflowError):
        return None


def _back(incident: Incident, query: str = "") -> HttpResponse:
    return redirect(f"/incidents/{incident.id}{query}")
