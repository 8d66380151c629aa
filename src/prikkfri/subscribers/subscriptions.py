"""Who the customers are, and what they subscribe to from when to when."""

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["mobile", "broadband", "television"]
STILL = math.inf
"""The end of what has not ended."""


@dataclass(frozen=True)
class Subscriber:
    """A person (or a firm) with a bill."""

    id: str
    name: str
    email: str
    """In lower case; empty when not known."""


@dataclass(frozen=True)
class Subscription:
    """One thing subscribed to, from `starts` up to but not including `ends`: seconds since 1970 UTC."""

    subscriber_id: str
    kind: Kind
    product: str
    """Of television: the package that may be watched."""
    msisdn: str
    """A mobile number in E.164 (`+4791234567`), which others may have held before and may hold later; else empty."""
    starts: float
    ends: float = STILL

    @property
    def key(self) -> tuple[str | float, ...]:
        """What makes it this subscription; the rest of it may be corrected later."""
        if self.kind == "mobile":
            return (self.msisdn, self.starts)
        return (self.subscriber_id, self.kind, self.product, self.starts)

    def overlaps(self, other: "Subscription") -> bool:
        return self.starts < other.ends and other.starts < self.ends
