"""Incident response in a small house: a real database, an SMS centre that answers over HTTP, and restarts at will."""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from surroundings import surroundings

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.incidents import Fact, Incident, apply_fact, open_incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.response import store
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.store import CreditRecord
from prikkfri.assurance.response.timing import Timing
from prikkfri.assurance.segments import Segment
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.config import Remedy, Tier
from prikkfri.errors import StorageUnavailable
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Database, Location, open_database

SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
REMEDY = Remedy(
    name="kick-off",
    service="television",
    tiers=(Tier(from_minutes=1.0, amount=2_000), Tier(from_minutes=10.0, amount=9_000)),
    products=("sport",),
    cap_per_customer=5_000,
    cap_total=15_000,
)
SETTINGS = Settings(hold_seconds=30.0, remedies=(REMEDY,))
FAULT_SECONDS = 600.0
WELL_SECONDS = 90.0


@dataclass
class SmsCentre:
    """The message API of the SMS centre, as far as assurance uses it: an ASGI application."""

    accepted: list[tuple[str, str, str]] = field(default_factory=list)
    """Sender, recipient and text of each message taken on, in order."""
    refuses: set[str] = field(default_factory=set)
    """Recipients for whom it has no room now."""
    never_answers: set[str] = field(default_factory=set)
    """Recipients whose message it takes on, and says nothing."""
    loses_answer: set[str] = field(default_factory=set)
    """Recipients whose message it takes on before the connection breaks."""
    took_on: asyncio.Event = field(default_factory=asyncio.Event)

    def sent_to(self, recipient: str) -> list[str]:
        return [text for _, to, text in self.accepted if to == recipient]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (scope["method"], scope["path"]) == ("POST", "/messages")
        expected = b"Basic " + base64.b64encode(b"remedies:secret")
        assert dict(scope["headers"])[b"authorization"] == expected
        message = json.loads((await receive())["body"])
        status, answer = 503, {"error": "throttled"}
        if message["to"] not in self.refuses:
            self.accepted.append((message["from"], message["to"], message["text"]))
            self.took_on.set()
            if message["to"] in self.never_answers:
                await asyncio.Event().wait()
            if message["to"] in self.loses_answer:
                raise httpx.ReadError("the connection broke")
            status, answer = 202, {"id": f"m-{len(self.accepted)}"}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


class House:
    """What of the house incident response needs. `start` again is a restart: only the database is kept."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database, self.clock = database, clock
        self.sms = SmsCentre()
        self.settings, self.timing = SETTINGS, Timing(relearn_seconds=5.0)
        self.products: dict[str, str] = {}
        """By customer; whoever is not named has `sport`."""
        self.asked_products_at: list[float] = []
        self.subscribers_dead = False
        self.killed = False
        """Whether the process is killed while it asks for products, which it does just before it gives."""
        self.around: dict[str, Any] = {}
        self.changed = 0
        self.response: Response
        self.began_at = clock.now() - FAULT_SECONDS - WELL_SECONDS
        """Of the fault: `WELL_SECONDS` after its end it is now."""
        self._taken = 0
        self._neighbours = RoleClient(
            httpx.AsyncClient(transport=httpx.ASGITransport(self.sms)), urls={"sms": "http://sms"}, command_keys={}
        )

    async def start(self) -> Response:
        """A new one on the same database, which goes on where the one before it stopped."""
        self.response = Response(
            self.database,
            settings=self.settings,
            surroundings=surroundings(
                products=self._products, tell=self._tell, changed=self._note_change, **self.around
            ),
            clock=self.clock,
            zone=ZoneInfo("Europe/Oslo"),
            timing=self.timing,
        )
        await self.response.recover()
        return self.response

    async def close(self) -> None:
        await self._neighbours.close()
        await self.database.close()

    async def _products(self, customers: Sequence[str], at: float) -> Mapping[str, str]:
        if self.subscribers_dead:
            raise StorageUnavailable("subscribers: nobody is there")
        if self.killed:
            raise asyncio.CancelledError
        self.asked_products_at.append(at)
        return {customer: self.products.get(customer, "sport") for customer in customers}

    async def _tell(self, customer: str, texts: Mapping[str, str]) -> str | None:
        if self.subscribers_dead:
            raise StorageUnavailable("subscribers: nobody is there")
        return await self._neighbours.send_message("remedies", "secret", "Test", f"+47-{customer}", texts["nb"])

    def _note_change(self) -> None:
        self.changed += 1

    async def outcomes(self, *outcomes: Outcome) -> None:
        """Stored as the follower stores them; the response is not told."""
        page = Page("i", self._taken + 1, self._taken + len(outcomes), list(outcomes), self._taken, 0, 0)
        self._taken += len(outcomes)

        async def work(transaction: Any) -> None:
            await outcome_store.add_outcomes(transaction, "signin", page, self.clock.now())
            await outcome_store.join_devices(transaction, outcomes, self.clock.now())
            await outcome_store.note_late(transaction, outcomes, self.clock.now())

        await self.database.write(work)

    async def fault(self, *hits: Outcome, name: str = "i", facts: Sequence[Fact] = ()) -> Incident:
        """Sign-in has failed for everybody, and has been well for long enough: the next look can prove it over.

        `facts`: what happened to the incident; by default it was confirmed and is recovering.
        """
        began, ended = self.began_at, self.began_at + FAULT_SECONDS
        ordinary = [tried(began - 30.0 + n / 2, kept=True) for n in range(60)]
        since = [tried(ended + 1.0 + n / 2, kept=True) for n in range(int(2 * WELL_SECONDS) - 4)]
        nameless = [tried(began), tried(ended)]
        await self.outcomes(*ordinary, *nameless, *since, *hits)
        alarm = Alarm("share", SIGN_IN, began + 5, began, 0.005, 1.0, 40.0, 30.0, 25.0)
        incident = open_incident(name, alarm, began + 5)
        for fact in facts or (Fact("evidence", began + 20), Fact("improving", ended + 40)):
            incident = apply_fact(incident, fact)
        await self.database.write(lambda t: store.save_incident(t, incident))
        return incident

    async def incident(self, name: str = "i") -> Incident:
        return {incident.id: incident for incident in await self.response.register.incidents()}[name]

    async def amounts(self, name: str = "i") -> dict[str, int]:
        """What each customer was credited for an incident."""
        given = await self.given(name)
        assert len({each.credit.customer for each in given}) == len(given)
        return {each.credit.customer: each.credit.amount for each in given}

    async def given(self, name: str = "i") -> list[CreditRecord]:
        return await self.database.read(lambda q: store.credits_of(q, name))

    def entries(self, incident: Incident, kind: str) -> list[tuple[str, str]]:
        """Who and what, of the lines of a kind in an incident's timeline."""
        return [(entry.who, entry.text) for entry in incident.timeline if entry.kind == kind]


def tried(at: float, customer: str = "", *, kept: bool = False, **more: Any) -> Outcome:
    """Somebody tried to sign in."""
    known = {"service": "television", "step": "sign-in", "layer": "signin", "customer": customer}
    verdict, reason = ("kept", "") if kept else ("broken", "overloaded")
    return Outcome(**{"time": at, "verdict": verdict, "reason": reason, **known, **more})


async def open_house(location: Location, clock: ManualClock) -> House:
    return House(await open_database(location, "assurance"), clock)
