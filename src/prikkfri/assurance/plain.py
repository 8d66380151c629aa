"""The house's own terms as people on duty say them: steps, layers, places, reasons; the terms stay where they count."""

from collections.abc import Iterable

from prikkfri.assurance.segments import BASE, Segment

_STEPS = {
    "enter": "the waiting room",
    "join": "joining the line",
    "return": "coming back from the line",
    "sign-in": "sign-in",
    "send-code": "codes by SMS",
    "set-password": "setting a password",
    "playback-token": "renewing the right to watch",
    "start-playback": "starting to watch",
    "switch-channel": "switching channel",
    "watch": "watching",
    "picture": "the picture",
    "submit": "handing in messages",
    "deliver": "delivery of messages",
    "canary": "test messages",
    "route": "the way of messages",
    "receipt": "receipts",
    "contact": "contacts with customer service",
}
_LAYERS = {
    "signin": "sign-in",
    "streams": "streams",
    "door": "the door",
    "interface": "the web page",
    "sms-centre": "the message centre",
    "link": "the links to partners",
    "account": "the accounts",
}
_REASONS = {
    "overloaded": "too many at once",
    "database-unavailable": "our database did not answer",
    "abandoned": "they left before an answer",
    "undelivered": "they left before the answer reached them",
    "wrong-credentials": "wrong login or password",
    "too-many-tries": "too many tries",
    "no-subscription": "no subscription",
    "not-yours": "somebody else's place in the line",
    "not-your-pass": "somebody else's place in the line",
    "pass-spent": "their place in the line was used before",
    "bad-token": "not signed in properly",
    "expired": "their right to watch had run out",
    "revoked": "they were signed out",
    "not-entitled": "not in their subscription",
    "no-picture": "no picture",
    "slate": "the picture was replaced by a still",
    "misdelivery": "went to somebody else",
    "misdelivery-not-excluded": "may have gone to somebody else",
    "no-receipt": "no receipt came",
    "route-stopped": "the way is stopped",
    "in-doubt": "perhaps taken, nobody knows",
    "account-not-bound": "nobody takes this account's messages",
    "queue-full": "too many messages waited",
    "throttled": "faster than agreed",
    "no-answer": "no answer",
    "not-accepted": "not accepted",
}
_RULES = {
    "rule:fallback": "the rule for open channels",
    "rule:open-channel": "the rule for open channels",
    "rule:canaries": "the rule for test messages",
    "rule:policy": "the policy",
    "data": "the system",
}
_JOINED = {"link": "over", "region": "in"}
"""How what is said of a service is joined to it: `messages over link nordtel`, else `messages of account shop`."""
_DIRECTIONS = {"in": "coming in", "out": "going out"}


def step(name: str) -> str:
    """A step of a journey in words; one that is not ours as it was written."""
    return _STEPS.get(name, name.replace("-", " "))


def layer(name: str) -> str:
    return _LAYERS.get(name, name)


def reason(name: str) -> str:
    """Why a promise was not kept; of networks and foreign systems, what they wrote."""
    return _REASONS.get(name, name.replace("-", " "))


def who(name: str) -> str:
    """Who did something: a person by name, a rule or the system in words."""
    return _RULES.get(name, f"the rule {name.removeprefix('rule:')}" if name.startswith("rule:") else name)


def not_affected(names: Iterable[str], *, over: bool = False) -> str:
    """`Havn and Sport are not affected`; of what is over, that they were not."""
    names = [*names]
    is_, are = ("was", "were") if over else ("is", "are")
    return f"{listed(names)} {is_ if len(names) == 1 else are} not affected"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def place(segment: Segment) -> str:
    """A segment: `sign-in`, `Havn`, `delivery of messages (partner Telia, going out)`."""
    at, answered = segment.get("step"), segment.get("layer")
    base = step(at) if at else layer(answered) if answered else segment.get("service")
    others = [_value(name, value) for name, value in segment.values if name not in BASE]
    if segment.get("seen"):
        others.append("as devices report")
    where = ", ".join(others)
    return (f"{base} ({where})" if where else base) if base else where or "everything"


def place_in(service: str, segment: Segment) -> str:
    """A place as a part of its service, where its name alone would say too much: `receipts over link nordtel`.

    The link carries messages too, of which that says nothing. Channels are of television alone.
    """
    if service in ("", "television") or any(name in (*BASE, "seen") for name, _ in segment.values):
        return place(segment)
    words = [value if name == "direction" else f"{name} {value}" for name, value in segment.values]
    named = [_DIRECTIONS.get(each, f"{_JOINED.get(each.split(' ')[0], 'of')} {each}") for each in words]
    return " ".join([service, *named])


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *before, last = [*names] or [""]
    return f"{', '.join(before)} and {last}" if before else last


def _value(name: str, value: str) -> str:
    if name == "channel":
        return value[:1].upper() + value[1:]
    if name == "direction":
        return _DIRECTIONS.get(value, value)
    return f"{name} {value}"
