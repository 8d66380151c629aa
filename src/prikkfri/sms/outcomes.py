"""What the messages' journal says: `submit` of each request to take one on, `deliver` of each that was taken on."""

from collections.abc import Mapping

from prikkfri.journal import Outcome
from prikkfri.journal.outcomes import Verdict
from prikkfri.sms.addresses import is_number
from prikkfri.sms.messages import Message, State
from prikkfri.sms.routing import Party

SERVICE = "messages"
Partners = Mapping[str, str]
"""The partner that each link leads to."""


def dimensions(origin: str, target: str, message_class: str, partners: Partners) -> dict[str, str]:
    """`direction` is seen from the house: `out` over a link, `in` from one."""
    found = {"class": message_class}
    for party, direction in ((Party.parse(origin), "in"), (Party.parse(target), "out")):
        if party.kind == "link":
            found |= {"link": party.name, "partner": partners.get(party.name, ""), "direction": direction}
        else:
            found["account"] = party.name
    return found


def submitted(origin: Party, message_class: str, partners: Partners, *, reason: str, now: float) -> Outcome:
    """`reason` empty: the message was taken on."""
    found = {"class": message_class, origin.kind: origin.name}
    if origin.kind == "link":
        found |= {"partner": partners.get(origin.name, ""), "direction": "in"}
    verdict: Verdict = "broken" if reason else "kept"
    return Outcome(
        time=now,
        service=SERVICE,
        step="submit",
        layer="sms-centre",
        verdict=verdict,
        reason=reason,
        dimensions=found,
    )


def asked(message: Message, partners: Partners) -> Outcome:
    return Outcome(
        time=message.accepted_at,
        service=SERVICE,
        step="deliver",
        layer="sms-centre",
        verdict="asked",
        device=device(message.recipient),
        promise=message.submission,
        dimensions=dimensions(message.origin, message.target, message.message_class, partners),
    )


def settled(submission: str, recipient: str, state: State, reason: str, dims: dict[str, str], *, now: float) -> Outcome:
    """What became of a submission: delivered, or else broken by the layer that gave it up."""
    ours = state in (State.QUARANTINED, State.EXPIRED)
    return Outcome(
        time=now,
        service=SERVICE,
        step="deliver",
        layer="sms-centre" if ours else "link",
        verdict="kept" if state is State.DELIVERED else "broken",
        reason="" if state is State.DELIVERED else (reason or str(state)),
        device=device(recipient),
        promise=submission,
        dimensions=dims,
    )


def device(recipient: str) -> str:
    """A phone is known by its number (E.164 with `+`) until somebody tells whose it was; others have no device."""
    return f"+{recipient}" if is_number(recipient) else ""
