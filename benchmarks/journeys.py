"""What the door and signin tell of somebody who comes; for the benchmarks beside this module."""

from collections.abc import Mapping
from typing import Literal

from prikkfri.journal import Outcome

Entrance = Literal["at-once", "line", "plain"]
"""Let in at once, or by the line; or as a service tells it that knows no door: asked and answered."""
BACK_AFTER_SECONDS = 5.0
"""Whoever has no answer comes back with their pass, and the door tells it."""


def journey(
    at: float,
    *,
    device: str,
    customer: str,
    promise: str,
    by: Entrance = "at-once",
    answered_after: float | None = 0.1,
    dimensions: Mapping[str, str] = {},
) -> list[Outcome]:
    """`answered_after` seconds signin has let them in; None: it never answers."""

    def told(step: str, verdict: str, time: float, layer: str = "door", **more: object) -> Outcome:
        known = {"service": "television", "device": device, "promise": promise, **more}
        return Outcome(time=time, step=step, layer=layer, verdict=verdict, **known)  # type: ignore[arg-type]

    if by == "plain":
        found = [told("sign-in", "asked", at)]
    elif by == "line":
        found = [told("join", "asked", at, dimensions={"for": "enter"}), told("enter", "asked", float(int(at)))]
    else:
        found = [told("enter", "kept", at, promise=""), told("join", "asked", at, dimensions={"for": "sign-in"})]
    if answered_after is not None:
        found.append(
            told("sign-in", "kept", at + answered_after, "signin", customer=customer, dimensions=dimensions)
        )  # fmt: skip
    elif by == "at-once":
        back = at + BACK_AFTER_SECONDS
        found += [told("sign-in", "asked", float(int(at))), told("return", "asked", back)]
    return found
