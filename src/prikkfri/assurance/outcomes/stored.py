"""An outcome as it is stored: what of it fits into a row, and what a row says."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from sys import intern

import msgspec

from prikkfri.assurance.counting import plausible_time
from prikkfri.journal import Outcome
from prikkfri.storage import Row

TEXT_CHARACTERS_MAX = 200
DIMENSIONS_MAX = 20
COLUMNS = (
    "stream, position, time, service, step, layer, verdict, reason, customer, device, promise, observed, dimensions,"
    " incarnation"
)


class StoredOutcome(msgspec.Struct, frozen=True, gc=False):
    """An outcome as it was taken from a stream. A struct, as outcomes are: a look reads tens of thousands."""

    stream: str
    position: int
    outcome: Outcome
    incarnation: str = ""
    """Of the journal that the position is in."""

    @property
    def place(self) -> tuple[float, str, int, str]:
        """By this outcomes are in order."""
        return self.outcome.time, self.stream, self.position, self.incarnation


@dataclass(frozen=True)
class OutcomeFilter:
    """Which outcomes to list; an empty text means any."""

    since: float
    until: float
    service: str = ""
    step: str = ""
    layer: str = ""
    verdict: str = ""
    reason: str = ""


def row_of(outcome: Outcome, now: float) -> dict[str, object]:
    """What is stored of an outcome, by column; its place is not among it."""
    return {
        "time": plausible_time(outcome.time, now),
        "service": stored_text(outcome.service),
        "step": stored_text(outcome.step),
        "layer": stored_text(outcome.layer),
        "verdict": outcome.verdict,
        "reason": stored_text(outcome.reason),
        "customer": stored_text(outcome.customer),
        "device": stored_text(outcome.device),
        "promise": stored_text(outcome.promise),
        "observed": outcome.observed,
        "dimensions": _dimensions(tuple(outcome.dimensions.items())),
    }


def stored_text(value: str) -> str:
    # One outcome that a database cannot hold (PostgreSQL refuses NUL) would hold up its whole stream for good.
    return value.replace("\0", "\ufffd")[:TEXT_CHARACTERS_MAX]


@lru_cache(maxsize=4_096)
def _dimensions(dimensions: tuple[tuple[str, str], ...]) -> str:
    """The same few stand in a great many outcomes."""
    kept = {stored_text(name): stored_text(value) for name, value in dimensions[:DIMENSIONS_MAX]}
    return msgspec.json.encode(kept).decode()


def stored_outcome(row: Row) -> StoredOutcome:
    """Of a row of `COLUMNS`."""
    (stream, position, time, service, step, layer, verdict, reason, customer, device, promise, observed, dimensions,
     incarnation) = row  # fmt: skip
    # What a great many outcomes say alike is kept once: they are kept for as long as their incident is looked at.
    return StoredOutcome(
        intern(stream),
        position,
        Outcome(
            time=time,
            service=intern(service),
            step=intern(step),
            layer=intern(layer),
            verdict=intern(verdict),  # type: ignore[arg-type]
            reason=intern(reason),
            customer=customer,
            device=device,
            promise=promise,
            observed=bool(observed),
            dimensions=_dimensions_of(dimensions),
        ),
        intern(incarnation),
    )


@lru_cache(maxsize=4_096)
def _dimensions_of(text: str) -> Mapping[str, str]:
    """The same few stand in a great many outcomes."""
    return msgspec.json.decode(text, type=dict[str, str])
