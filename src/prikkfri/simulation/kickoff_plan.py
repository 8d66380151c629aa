"""What an evening of the kick-off is to be like."""

from dataclasses import dataclass

from prikkfri.simulation.faults import DONE_TO, HARMED, Fault


@dataclass(frozen=True)
class Plan:
    inside: int = 60
    outside: int = 400
    evening_seconds: float = 62.0
    """The 75 minutes from 20:30 on take so long here; people come until the end."""
    fault: Fault | None = "kill"
    """With `crowd` nothing breaks: so many more come at once that sign-in cannot take them all."""
    fault_from: float = 0.28
    """At this part of the evening ..."""
    fault_to: float = 0.5
    """... until this part."""
    rush: int = 1_200
    """Those who then come at once ..."""
    rush_seconds: float = 8.0
    """... within this time."""
    grace_seconds: float = 6.0
    """Who has waited longer than this did not get what was promised."""
    seed: int = 1

    @property
    def coming(self) -> int:
        """People in the crowd."""
        return self.outside + (self.rush if self.fault == "crowd" else 0)

    @property
    def what_fails(self) -> str:
        if self.fault == "crowd":
            return f"{self.rush} people come within {self.rush_seconds:g} s"
        return f"{' and '.join(HARMED)} {DONE_TO[self.fault]}" if self.fault else "nothing"

    @property
    def how_it_ends(self) -> str:
        return "no more come than usual" if self.fault == "crowd" else f"{' and '.join(HARMED)} are given back"
