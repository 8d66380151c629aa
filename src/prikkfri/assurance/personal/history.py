"""What customer service is asked of one customer: were they hit, by what, were they told and credited; what is open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from prikkfri.assurance.customers import CustomerDevice
from prikkfri.assurance.incidents import Incident
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.subscribers.subscriptions import Subscriber, Subscription


class Number(NamedTuple):
    """A mobile number (E.164), and from when to before when a customer holds it."""

    msisdn: str
    since: float
    until: float


class CustomerHit(NamedTuple):
    """A customer on the list of an incident, and what was given for it; all zero and empty where nothing was."""

    incident: str
    step: str
    asked_at: float
    tries: int
    unanswered: int
    last_reason: str
    got_at: float | None
    observed: bool
    amount: int
    currency: str
    given_by: str
    given_at: float
    told_message: str
    """The text message by which they were told of their credit; empty: they were not, or nobody knows."""
    told_at: float


@dataclass(frozen=True)
class IncidentHit:
    incident: Incident
    hit: CustomerHit


@dataclass(frozen=True)
class Trail:
    """A text message as the SMS centre tells of it: numbers masked, no body."""

    id: str
    state: str
    sender: str
    recipient: str
    account: str
    steps: tuple["TrailStep", ...]

    @property
    def began_at(self) -> float:
        return self.steps[0].time if self.steps else 0.0


@dataclass(frozen=True)
class TrailStep:
    time: float
    event: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class History:
    """What is known of one customer at a moment."""

    subscriber: Subscriber
    subscriptions: Sequence[Subscription]
    befallen: Sequence[IncidentHit]
    """The newest first."""
    near: Sequence[Incident]
    """Open incidents of a service that they have, on whose lists they do not stand (yet)."""
    devices: Sequence[CustomerDevice] | None
    """Where they are signed in; None when signin does not say."""
    trails: Sequence[Trail] | None
    """Their text messages, the newest first; None when the SMS centre does not say."""
    outcomes: Sequence[StoredOutcome]
    """The newest first."""

    @property
    def open(self) -> tuple[IncidentHit, ...]:
        return tuple(each for each in self.befallen if each.incident.open)

    @property
    def waiting(self) -> tuple[Trail, ...]:
        """Messages on their way."""
        return tuple(each for each in self.trails or () if each.state in ON_THEIR_WAY)

    @property
    def untold(self) -> tuple[IncidentHit, ...]:
        """Credits of which they have not been told."""
        return tuple(each for each in self.befallen if each.hit.amount and not each.hit.told_at)


ON_THEIR_WAY = frozenset({"waiting", "sending", "in-doubt", "sent"})
_SERVICE_OF_KIND = {"mobile": "messages", "television": "television"}


def numbers_of(subscriptions: Sequence[Subscription]) -> tuple[Number, ...]:
    """The mobile numbers that somebody holds or held, each with its time: what was before or after is another's."""
    return tuple(Number(each.msisdn, each.starts, each.ends) for each in subscriptions if each.msisdn)


def near(
    incidents: Sequence[Incident], befallen: Sequence[IncidentHit], subscriptions: Sequence[Subscription], *, now: float
) -> tuple[Incident, ...]:
    """Open incidents of the services that somebody has now, but for those in which they were hit."""
    had = {_SERVICE_OF_KIND.get(each.kind, "") for each in subscriptions if each.starts <= now < each.ends}
    hit = {each.incident.id for each in befallen}
    return tuple(each for each in incidents if each.open and each.service in had and each.id not in hit)


def summarise_hits(befallen: Sequence[IncidentHit]) -> str:
    """Was this customer hit? In one sentence, without figures that a page puts in its own words."""
    if not befallen:
        return "No: this customer stands on the list of no incident."
    now = sum(each.incident.open for each in befallen)
    dismissed = sum(each.incident.dismissed for each in befallen)
    reported = sum(not each.hit.observed for each in befallen)
    incidents = "one incident" if len(befallen) == 1 else f"{len(befallen)} incidents"
    parts = [f"Yes: in {incidents}"]
    if now:
        parts.append("which lasts" if now == len(befallen) == 1 else f"{now} of them still open")
    if dismissed:
        parts.append(f"{dismissed} found to be nothing")
    if reported:
        parts.append(f"{reported} only by what their device reported")
    return ", ".join(parts) + "."


class _Trails(msgspec.Struct):
    trails: tuple[Trail, ...]


def trails_of(document: bytes) -> tuple[Trail, ...]:
    """What the SMS centre answers. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(document, type=_Trails).trails


@dataclass(frozen=True)
class ErasureResult:
    """What became of a customer's data; `trouble` is empty when all of it is erased."""

    messages: int = 0
    """Text messages whose trails are erased."""
    outcomes: int = 0
    """Outcomes that name nobody any more."""
    trouble: str = ""
