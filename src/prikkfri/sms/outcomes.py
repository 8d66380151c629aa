"""What the messages' journal says: `submit` of each request to take one on, `deliver` of each that was taken on.

`deliver` is asked twice: of the centre, with the way that is meant, and of the link once the message has gone to it.
What the link was asked is what went that way. What waits for an account that nobody has bound is asked of the account.
Canaries are nobody's messages: they have steps of their own.
"""

from collections.abc import Mapping
from functools import lru_cache

from msgspec import structs

from prikkfri.journal import Outcome
from prikkfri.journal.outcomes import Verdict
from prikkfri.sms.addresses import is_number
from prikkfri.sms.canaries import verdicts
from prikkfri.sms.delivery import STATUS
from prikkfri.sms.holders import ANOTHERS
from prikkfri.sms.lifecycle import RESTORED, DeliveryState
from prikkfri.sms.messages import Message
from prikkfri.sms.routing import Party

SERVICE = "messages"
RECEIPTS = "receipts"
"""A receipt is promised to the sender, a message to its recipient: what breaks the one need not harm the other."""
ACCOUNT = "account"
"""The layer of what is an account's own matter: it takes its messages, or nobody is there to take them."""
NOT_BOUND = "account-not-bound"
NETWORK = "network-"
"""Before the error that a network gives for a message that did not arrive."""
_DELIVERED, _EXPIRED, _QUARANTINED = DeliveryState.DELIVERED, DeliveryState.EXPIRED, DeliveryState.QUARANTINED
_ERRORS = range(1_000)
_STATUSES = frozenset((*range(0x100), *range(0x400, 0x500)))
"""Of the book, and which it leaves to vendors (5.1.3)."""


def counted_reason(reason: str) -> str:
    """The reason under which an ending is counted; as it was written it stands with the message.

    Partners and accounts may write what they like, and each word of theirs would be a row of counts every few seconds.
    """
    if reason.startswith(NETWORK):
        error = reason.removeprefix(NETWORK)
        known = error.isascii() and error.isdigit() and int(error) in _ERRORS
        return f"{NETWORK}{int(error):03}" if known else f"{NETWORK}other"
    if reason.startswith(STATUS):
        return reason if int(reason.removeprefix(STATUS), 16) in _STATUSES else f"{STATUS}other"
    return reason


class Partners:
    """The partner that each link leads to, and the dimensions of the ways: they are few, and each message has them
    several times."""

    def __init__(self, by_link: Mapping[str, str]) -> None:
        self._by_link = by_link
        self._known: dict[tuple[str, str, str], Mapping[str, str]] = {}

    def dimensions(self, origin: str, target: str, message_class: str) -> Mapping[str, str]:
        """`direction` is seen from the house: `out` over a link, `in` from one."""
        way = (origin, target, message_class)
        return self._known.get(way) or self._known.setdefault(way, self._of_way(*way))

    def _of_way(self, origin: str, target: str, message_class: str) -> Mapping[str, str]:
        found = {"class": message_class}
        for party, direction in ((Party.parse(origin), "in"), (Party.parse(target), "out")):
            found |= self.way(party.name, direction) if party.kind in ("link", "held") else {"account": party.name}
        return found

    def way(self, link: str, direction: str) -> dict[str, str]:
        return {"link": link, "partner": self._by_link.get(link, ""), "direction": direction}


def submitted(origin: Party, message_class: str, partners: Partners, *, reason: str, now: float) -> Outcome:
    """`reason` empty: the message was taken on."""
    found = {"class": message_class, origin.kind: origin.name}
    if origin.kind == "link":
        found |= partners.way(origin.name, "in")
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


def asked(message: Message, partners: Partners, *, now: float | None = None, bound: bool = True) -> Outcome:
    """A message has been taken on; it is kept here for now when its route is stopped.

    `bound` false: it is for an account for which nobody takes messages just now, and waits for that. `now`: when that
    was decided, which its place in the order of acceptance may be ahead of; without, as that says.
    """
    held = Party.parse(message.target).kind == "held"
    return Outcome(
        time=message.accepted_at if now is None else now,
        service=SERVICE,
        step="deliver",
        layer="sms-centre" if bound else ACCOUNT,
        verdict="asked",
        reason=("route-stopped" if held else "") if bound else NOT_BOUND,
        device=device(message.recipient),
        promise=message.submission,
        dimensions=partners.dimensions(message.origin, message.target, message.message_class),
    )


def handed_over(message: Message, partners: Partners, *, reason: str = "") -> Outcome:
    """A message has gone to a link; `reason` `in-doubt`: perhaps.

    It stands at the time at which it went, as in the list of those that went a way: its answer may come much later.
    """
    return Outcome(
        time=message.attempted_at,
        service=SERVICE,
        step="deliver",
        layer="link",
        verdict="asked",
        reason=reason,
        device=device(message.recipient),
        promise=message.submission,
        dimensions=partners.dimensions(message.origin, message.target, message.message_class),
    )


def left_waiting(message: Message, partners: Partners, *, now: float) -> Outcome:
    """Whoever took an account's messages has gone; this one waits for the next, and is the account's own matter."""
    return structs.replace(asked(message, partners, bound=False), time=now)


def settled(
    submission: str,
    recipient: str,
    state: DeliveryState,
    reason: str,
    dims: Mapping[str, str],
    *,
    for_account: bool = False,
    now: float,
) -> Outcome:
    """What became of a submission: delivered, or else broken by the layer that gave it up.

    `for_account`: it was for an account, which took it, refused it, or did not come for it in time.
    """
    ours = state is _QUARANTINED or (state is _EXPIRED and not for_account) or reason in (RESTORED, ANOTHERS)
    theirs = ACCOUNT if for_account else "link"
    return Outcome(
        time=now,
        service=SERVICE,
        step="deliver",
        layer="sms-centre" if ours else theirs,
        verdict="kept" if state is _DELIVERED else "broken",
        reason="" if state is _DELIVERED else (counted_reason(reason) or str(state)),
        device=device(recipient),
        promise=submission,
        dimensions=dims,
    )


@lru_cache(maxsize=4_096)  # each message has it several times
def device(recipient: str) -> str:
    """A phone is known by its number (E.164 with `+`) until somebody tells whose it was; others have no device."""
    return f"+{recipient}" if is_number(recipient) else ""


def canary(judged: verdicts.JudgedCanary, partners: Partners, *, trusted: bool, now: float) -> list[Outcome]:
    """What a canary tells of its link: whether it arrived, whether its receipt came, and whether the way is trusted.

    Nothing when nobody knows what became of it. Where no link was there at all, that is told of us and not of its link.
    """
    if judged.verdict in (verdicts.Verdict.UNTOLD, verdicts.Verdict.VOID):
        return []
    arrived, unlinked = judged.verdict is verdicts.Verdict.ARRIVED, judged.verdict is verdicts.Verdict.NO_LINK
    told = [
        (SERVICE, "canary", "" if arrived else str(judged.verdict)),
        (SERVICE, "route", "" if trusted else "misdelivery"),
    ]
    if arrived or judged.receipted:
        told.append((RECEIPTS, "receipt", "" if judged.receipted else "no-receipt"))
    return [
        Outcome(
            time=now,
            service=service,
            step=step,
            layer="sms-centre" if unlinked and step == "canary" else "link",
            verdict="broken" if reason else "kept",
            reason=reason,
            promise=judged.canary.message,
            dimensions={} if unlinked and step == "canary" else partners.way(judged.canary.link, "out"),
        )
        for service, step, reason in told
    ]


def condemned(link: str, partners: Partners, *, earliest: float, likeliest: float) -> list[Outcome]:
    """Since when messages go astray on a way: since `likeliest`, and from `earliest` on it cannot be excluded.

    They stand at the time that they tell of, so that a list made from the journal begins there.
    """
    return [
        Outcome(
            time=time,
            service=SERVICE,
            step="route",
            layer="link",
            verdict="broken",
            reason=reason,
            dimensions=partners.way(link, "out"),
        )
        for time, reason in ((earliest, "misdelivery-not-excluded"), (likeliest, "misdelivery"))
    ]


def complained(link: str, partners: Partners, *, who: str, now: float) -> Outcome:
    """A partner complains that messages go astray, says a person."""
    return Outcome(
        time=now,
        service=SERVICE,
        step="complaint",
        layer="sms-centre",
        verdict="kept",
        reason="misdelivery",
        dimensions={**partners.way(link, "out"), "by": who},
    )


def switched(link: str, state: str, partners: Partners, *, who: str, reason: str, now: float) -> Outcome:
    """A route was stopped or opened; `who`: `rule:canaries` or the name of a person."""
    return Outcome(
        time=now,
        service=SERVICE,
        step="stop-route" if state == "stopped" else "open-route",
        layer="sms-centre",
        verdict="kept",
        reason=reason,
        dimensions={**partners.way(link, "out"), "by": who},
    )


def sending(decision: str, *, by: str, now: float) -> Outcome:
    """Nothing is sent, since a snapshot was restored; or (`decision`) a person has said what comes of what waited."""
    return Outcome(
        time=now,
        service=SERVICE,
        step="start-sending" if decision else "stop-sending",
        layer="sms-centre",
        verdict="kept",
        reason=decision or "snapshot-restored",
        dimensions={"by": by},
    )
