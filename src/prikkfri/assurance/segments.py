"""Segments: the set of dimension values that a series, an alarm or an incident is about.

Service, step and layer are dimensions like any other here, so that "layer=link" and "partner=Telia" are said, compared
and stored in one way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from prikkfri.journal import Outcome

Value = tuple[str, str]
"""A dimension and its value: `("partner", "Telia")`."""

BASE = ("service", "step", "layer", "seen")
"""What every outcome says; `seen=reported` only of those that a device told and no role saw."""


def _place(value: Value) -> tuple[int, Value]:
    return (BASE.index(value[0]) if value[0] in BASE else len(BASE), value)


@dataclass(frozen=True, order=True)
class Segment:
    """Dimension values that all hold at once; the empty segment is everything. Make it with `Segment.of`."""

    values: tuple[Value, ...] = ()

    @classmethod
    def of(cls, dimensions: Mapping[str, str]) -> "Segment":
        return cls(tuple(sorted(dimensions.items(), key=_place)))

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values) or "everything"

    def get(self, name: str) -> str:
        """The value of a dimension, empty when the segment does not name it."""
        return next((value for key, value in self.values if key == name), "")

    def without(self, *names: str) -> "Segment":
        return Segment(tuple(value for value in self.values if value[0] not in names))

    def replaced(self, name: str, value: str) -> "Segment":
        """With another value of a dimension that it has."""
        return Segment(tuple((each, value if each == name else known) for each, known in self.values))

    @property
    def base(self) -> "Segment":
        """Only service, step and layer (and that it was only reported)."""
        return Segment(tuple(value for value in self.values if value[0] in BASE))

    def holds(self, other: "Segment") -> bool:
        """True when whatever lies in `other` lies in this segment too."""
        return _within(self.values, other.values)

    def meets(self, other: "Segment") -> bool:
        """True when no dimension tells the two apart: something may lie in both."""
        return all(other.get(name) in ("", value) for name, value in self.values)


def dimensions_of(outcome: Outcome) -> dict[str, str]:
    """Everything that an outcome can be placed by."""
    return dict(segment_of(outcome).values)


def segment_of(outcome: Outcome) -> Segment:
    """The narrowest segment that an outcome lies in."""
    own = (outcome.service, outcome.step, outcome.layer, outcome.observed)
    return placed_at(own, tuple(outcome.dimensions.items()))


class Places:
    """`segment_of` for many outcomes that were read together: a great many share their dimensions as one object."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str, bool, int], tuple[Segment, Mapping[str, str]]] = {}
        """By the dimensions' own number, which stays theirs since they are kept."""

    def of(self, outcome: Outcome) -> Segment:
        dimensions = outcome.dimensions
        key = (outcome.service, outcome.step, outcome.layer, outcome.observed, id(dimensions))
        if (known := self._known.get(key)) is None:
            known = self._known[key] = (segment_of(outcome), dimensions)
        return known[0]


# A great many outcomes lie in a few segments.


@lru_cache(maxsize=16_384)
def placed_at(own: tuple[str, str, str, bool], dimensions: tuple[Value, ...]) -> Segment:
    """The same from its service, step, layer and whether a role saw it, and its dimensions."""
    service, step, layer, observed = own
    said = {**dict(dimensions), "service": service, "step": step, "layer": layer}
    return Segment.of(said if observed else {**said, "seen": "reported"})


@lru_cache(maxsize=16_384)
def _within(wide: tuple[Value, ...], narrow: tuple[Value, ...]) -> bool:
    return set(wide) <= set(narrow)
