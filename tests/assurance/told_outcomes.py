"""Outcomes drawn by lot, and what a history from nothing says of them."""

import random
from collections.abc import Sequence

from outcome_history import OutcomeHistory

from prikkfri.assurance.impact import holder_of
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.response.archive import JournalPlace
from prikkfri.assurance.response.households import HolderRow
from prikkfri.assurance.response.incident_history import AHEAD_SECONDS
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import EXPECTATIONS, Expectation
from prikkfri.journal import Outcome

BEGAN = 10_000.0
LASTS = 120.0
GRACE = {
    place: Expectation(15.0, each.repeatable, each.carried_to, each.carried_layer)
    for place, each in EXPECTATIONS.items()
}
SEGMENTS = {
    "television": (
        (Segment.of({"service": "television", "step": "sign-in"}),),
        (Segment.of({"service": "television", "step": "sign-in", "layer": "signin"}),),
        (Segment.of({"service": "television", "layer": "signin", "client": "phone"}), Segment.of({"step": "enter"})),
        (Segment.of({"service": "television"}),),
    ),
    "messages": (
        (Segment.of({"service": "messages", "step": "deliver"}),),
        (Segment.of({"service": "messages", "step": "deliver", "layer": "link", "link": "nord"}),),
        (Segment.of({"service": "messages", "layer": "link"}), Segment.of({"step": "submit"})),
        (Segment.of({"service": "messages"}),),
    ),
}
STEPS = {
    "television": ("join", "enter", "sign-in", "return", "start-playback", "picture", "route", "open-channel"),
    "messages": ("submit", "deliver", "deliver", "deliver", "canary", "route", "complaint"),
}
LAYERS = {"television": ("door", "signin"), "messages": ("sms-centre", "link", "account")}
REASONS = {
    "television": ("overloaded", "wrong-credentials", "undelivered", "database-unavailable", "pass-spent"),
    "messages": ("network-001", "expired", "too-long", "no-route"),
}


class Told:
    """Outcomes drawn by lot: few people, so that they meet in every way, and times that often are the same."""

    def __init__(self, seed: int, *, calm: bool = False, service: str = "television") -> None:
        self._lot = random.Random(seed)
        self._service = service
        self._calm = calm
        """Most people ask once, and get it soon."""
        self._positions = {"door": 0, "signin": 0}
        self.people = self._lot.choice((12, 40) if calm else (3, 12, 40))
        self.rows: list[StoredOutcome] = []
        self.held: dict[tuple[str, str], tuple[float, float]] = {}

    def some(self, now: float) -> list[StoredOutcome]:
        """What is stored by `now`: of just then, of long before, of a moment ahead, and told again."""
        lot, new = self._lot, list[StoredOutcome]()
        for _ in range(lot.randrange(9)):
            again = self.rows and lot.random() < 0.08
            if self._calm and not again and lot.random() < 0.8:
                some = self._message(now) if self._service == "messages" else self._answered(now)
            else:
                some = [lot.choice(self.rows).outcome if again else self._outcome(now)]
            for outcome in some:
                stream = lot.choice(("door", "signin"))
                self._positions[stream] += 1
                new.append(StoredOutcome(stream, self._positions[stream], outcome, "i"))
                if outcome.observed and outcome.device and outcome.customer:
                    first, last = self.held.get((outcome.device, outcome.customer), (outcome.time, outcome.time))
                    self.held[outcome.device, outcome.customer] = min(first, outcome.time), max(last, outcome.time)
        self.rows += new
        return new

    @property
    def heads(self) -> dict[tuple[str, str], int]:
        return {(stream, "i"): position for stream, position in self._positions.items()}

    def _answered(self, now: float) -> list[Outcome]:
        lot = self._lot
        number, asked = lot.randrange(20 * self.people), now - lot.choice((0.0, 2.0, 20.0, 60.0)) * lot.random()
        if lot.random() < 0.4:
            return self._let_in(f"d-{number}", f"s-{number}", asked)
        step, device = lot.choice(("sign-in", "start-playback", "enter")), "" if lot.random() < 0.1 else f"d-{number}"
        known = {"service": "television", "step": step, "device": device, "promise": f"q-{lot.randrange(10**9)}"}
        customer = f"s-{number}" if lot.random() < 0.7 or not device else ""
        kept = Outcome(time=asked + 4 * lot.random(), layer="signin", verdict="kept", customer=customer, **known)  # type: ignore[arg-type]
        if lot.random() < 0.3:
            return [kept]
        who = "" if device else customer
        return [Outcome(time=asked, layer="door", verdict="asked", customer=who, **known), kept]  # type: ignore[arg-type]

    def _let_in(self, device: str, customer: str, at: float) -> list[Outcome]:
        """As the door tells it: at once, or by the line, for which they come back."""
        lot, promise = self._lot, f"q-{self._lot.randrange(10**9)}"
        at_once, asked_again = lot.random() < 0.5, lot.random() < 0.3
        known = {"service": "television", "device": device}
        told = [
            Outcome(time=at, step="join", layer="door", verdict="asked", promise=promise,
                    dimensions={"for": "sign-in" if at_once else "enter"}, **known)  # type: ignore[arg-type]
        ]  # fmt: skip
        if at_once:
            told.insert(0, Outcome(time=at, step="enter", layer="door", verdict="kept", **known))  # type: ignore[arg-type]
        else:
            told.append(
                Outcome(time=float(int(at)), step="enter", layer="door", verdict="asked", promise=promise, **known)
            )  # type: ignore[arg-type]
        if asked_again:
            told.append(Outcome(time=at + 1, step="sign-in", layer="door", verdict="asked", promise=promise, **known))  # type: ignore[arg-type]
        if lot.random() < 0.9:
            came = at + lot.choice((0.5, 3.0, 14.0, 20.0)) * lot.random()
            told.append(
                Outcome(time=came, step="sign-in", layer="signin", verdict="kept", promise=promise, customer=customer,
                        dimensions={"client": lot.choice(("phone", "television"))}, **known)  # type: ignore[arg-type]
            )  # fmt: skip
        return told

    def _message(self, now: float) -> list[Outcome]:
        """As the SMS centre tells it: taken on, handed to a link (to another one after that), and what became of it."""
        lot = self._lot
        at = now - lot.choice((0.0, 2.0, 20.0)) * lot.random()
        device = "" if lot.random() < 0.1 else f"+47{lot.randrange(4 * self.people)}"
        link = {"link": lot.choice(("nord", "syd"))}
        known = {"service": "messages", "step": "deliver", "device": device, "promise": f"m-{lot.randrange(10**9)}"}
        told = [
            Outcome(time=at, service="messages", step="submit", layer="sms-centre", verdict="kept"),
            Outcome(time=at, layer="sms-centre", verdict="asked", dimensions=link, **known),  # type: ignore[arg-type]
        ]
        for _ in range(lot.choice((1, 1, 1, 0, 2))):
            told.append(Outcome(time=at + lot.random(), layer="link", verdict="asked", dimensions=link, **known))  # type: ignore[arg-type]
        if lot.random() < 0.9:
            verdict = "kept" if lot.random() < 0.9 else "broken"
            reason = "" if verdict == "kept" else "network-001"
            came = at + lot.choice((0.5, 3.0, 14.0, 20.0)) * lot.random()
            told.append(Outcome(time=came, layer="link", verdict=verdict, reason=reason, dimensions=link, **known))  # type: ignore[arg-type]
        return told

    def of_those(self, places: Sequence[JournalPlace]) -> list[StoredOutcome]:
        """All that is stored of whoever these outcomes are of."""
        at = {place[:3]: "" for place in places}
        names = {
            r.outcome.device or r.outcome.customer for r in self.rows if (r.stream, r.incarnation, r.position) in at
        }
        return [row for row in self.rows if (row.outcome.device or row.outcome.customer) in names]

    def _outcome(self, now: float) -> Outcome:
        lot = self._lot
        ago = lot.choice((0.0, lot.random(), 5 * lot.random(), 60 * lot.random(), -0.5, -3.0))
        step, number = lot.choice(STEPS[self._service]), lot.randrange(self.people)
        verdict = lot.choice(("asked", "asked", "kept", "broken"))
        dimensions = {} if lot.random() < 0.5 else {"client": lot.choice(("phone", "television"))}
        if step == "join":
            verdict, dimensions = "asked", {"for": lot.choice(("enter", "sign-in"))}
        if step in ("picture", "start-playback"):
            dimensions = {"channel": lot.choice(("sport", "news"))}
        if self._service == "messages":
            dimensions = {"link": lot.choice(("nord", "syd"))}
        return Outcome(
            time=round((now - ago) * 4) / 4 if lot.random() < 0.7 else now - ago,
            service=self._service,
            step=step,
            layer=lot.choice(LAYERS[self._service]),
            verdict=verdict,  # type: ignore[arg-type]
            reason=lot.choice(REASONS[self._service]) if verdict == "broken" else "",
            customer=f"s-{number // 2}" if lot.random() < 0.3 else "",
            device=f"d-{number}" if lot.random() < 0.8 else "",
            promise=f"p-{lot.randrange(3 * self.people)}" if lot.random() < 0.7 else "",
            observed=lot.random() < 0.9,
            dimensions=dimensions,
        )

    def holders(self, devices: Sequence[str] | None = None) -> list[HolderRow]:
        found = [(device, customer, *times) for (device, customer), times in self.held.items()]
        return [row for row in found if devices is None or row[0] in devices]


def from_nothing(told: Told, since: float, now: float) -> OutcomeHistory:
    rows = sorted(
        (row for row in told.rows if since <= row.outcome.time < now + AHEAD_SECONDS), key=lambda row: row.place
    )
    return OutcomeHistory([row.outcome for row in rows], now, GRACE, holder_of(told.holders()))
