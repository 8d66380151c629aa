"""The oracle: from the truth alone, what assurance had to find, and whom it had to list. Shares no code with assurance.

*Hit* is everybody whose promise was broken in a faulty segment between the fault's first and last break, whatever its
cause. A promise at a repeatable step (all of television) is not broken for whoever got it by a later try within the
grace time.

What counts neither way stands here, and nowhere else:

- *Faults below the stated size.* Stated is "at most 5 % of broken at ten promises a second, within 60 s": thirty broken
  promises among at most six hundred. So a fault is of stated size when it breaks `STATED_BROKEN` promises in a stretch
  in which at least `STATED_SHARE` of its segment's are broken, and is found within 60 s of the beginning of that
  stretch, or by its end when that takes longer: a slower segment shows the same thirty later. Where phones that are off
  are ordinary (`deliver`), the share is six times the ordinary one, as it is elsewhere at a floor of half a per cent
  and more.
- *Edges.* Whoever was truly let down in the segment shortly before it began (the first was told so, or asked what
  nobody answered) or after the last break, before anybody can know that it is over, may stand on the list or not; so
  may whoever got it within the clocks' skew of the end of their grace time, or by an earlier try within that of asking
  again, and whoever joined and never came back.
- *The end of the evening.* Those whose grace time ends after the last look may stand on the list or not.
- *What a person has dismissed* stays dismissed: nothing is asked of its list.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prikkfri.simulation.evenings.drawing import STREAMS, Evening, Place
from prikkfri.simulation.evenings.world import Promise, World, lies_in

STATED_BROKEN = 30
STATED_SHARE = 0.05
STATED_SHARE_AT: Mapping[str, float] = {"deliver": 0.3}
STATED_SECONDS = 60.0
SETTLING_SECONDS = 5.0
"""From the journal to a look at it."""
BEFORE_SECONDS = 60.0
"""An edge: so long before it began ..."""
AFTER_SECONDS = 240.0
"""... and after the last break: until it is proven to be over, at the latest, and a look."""
LOOK_SECONDS = 20.0
"""The last look at an incident is so long before the end of the evening, at most."""
REPEATABLE = frozenset({"television"})
"""Services at which a later try makes good for an earlier one."""


@dataclass(frozen=True)
class MissedPromise:
    """Somebody who truly did not get what they asked for in time, or of whom that cannot be told."""

    promise: Promise
    sure: bool


@dataclass(frozen=True)
class Cause:
    """A fault as it truly was."""

    number: int
    """Its place in `Evening.faults`."""
    place: Place
    first: float
    last: float
    """Its first and last break."""
    began: float
    """When the first of those whom it broke was told so, or asked what nobody answered."""
    breaks: tuple[float, ...]
    settled: tuple[float, ...]
    """When each promise of its segment was kept or broken."""
    hit: frozenset[str]
    """Who must be on the list."""

    @property
    def due(self) -> float | None:
        """By when it is to be found, when assurance runs all the while; None: it is below the stated size."""
        return self.due_after(0.0)

    def due_after(self, moment: float) -> float | None:
        """The same of what broke since then: as of a fault that began then."""
        return _due([each for each in self.breaks if each > moment], self.settled, self.place)

    @property
    def service(self) -> str:
        return self.place["service"]


@dataclass(frozen=True)
class Expectation:
    causes: tuple[Cause, ...]
    """Those that broke anything."""
    missed: tuple[MissedPromise, ...]
    margin_seconds: float
    """By which clocks may be apart."""

    def of(self, service: str) -> list[Cause]:
        return [cause for cause in self.causes if cause.service == service]


def expected(world: World) -> Expectation:
    evening = world.evening
    margin = 1.0 + 2 * max(abs(evening.disturbance.skew[stream]) for stream in STREAMS)
    missed = tuple(_missed(world.promises, margin, until=evening.ends - LOOK_SECONDS))
    causes = [
        cause
        for number in range(len(evening.faults))
        if (cause := _cause(number, evening, world.promises, missed, margin)) is not None
    ]
    return Expectation(tuple(causes), missed, margin)


def _missed(promises: Sequence[Promise], margin: float, *, until: float) -> list[MissedPromise]:
    got: dict[tuple[str, str], list[float]] = {}
    for each in promises:
        if each.got is not None and each.place["service"] in REPEATABLE:
            got.setdefault((each.person, each.place["step"]), []).append(each.got)
    for times in got.values():
        times.sort()
    found = []
    for each in promises:
        answer, sure = each.got, not each.unsure
        if each.place["service"] in REPEATABLE:
            times = got.get((each.person, each.place["step"]), [])
            if any(abs(at - each.asked) <= margin for at in times if at != each.got):
                sure = False
                times = [at for at in times if at > each.asked + margin or at == each.got]
            index = bisect_left(times, each.asked)
            answer = times[index] if index < len(times) else None
        if not each.person or (answer is not None and answer < each.deadline - margin):
            continue
        surely = answer is None or answer > each.deadline + margin
        found.append(MissedPromise(each, sure=sure and surely and each.deadline < until - margin))
    return found


def _cause(
    number: int, evening: Evening, promises: Sequence[Promise], missed: Sequence[MissedPromise], margin: float
) -> Cause | None:
    place = evening.faults[number].place
    breaks = sorted(moment for each in promises if number in each.faults for moment in _breaks(each))
    if not breaks:
        return None
    first, last = breaks[0], breaks[-1]
    began = min(
        each.told[0] if each.told else each.asked for each in promises if number in each.faults and _breaks(each)
    )
    settled = tuple(sorted(_settled_at(each) for each in promises if lies_in(each.place, place)))
    hit = frozenset(
        each.promise.person
        for each in missed
        if each.sure
        and lies_in(each.promise.place, place)
        and (number in each.promise.faults or first + margin <= _broke_at(each.promise) <= last - margin)
    )
    return Cause(number, place, first, last, began, tuple(breaks), settled, hit)


def _breaks(promise: Promise) -> tuple[float, ...]:
    if promise.told:
        return promise.told
    return (promise.deadline,) if promise.got is None or promise.got > promise.deadline else ()


def _broke_at(promise: Promise) -> float:
    return promise.told[-1] if promise.told else promise.deadline


def _settled_at(promise: Promise) -> float:
    return promise.told[0] if promise.told else min(promise.deadline, promise.got or promise.deadline)


def _due(breaks: Sequence[float], settled: Sequence[float], place: Place) -> float | None:
    share = STATED_SHARE_AT.get(place["step"], STATED_SHARE)
    for end in range(STATED_BROKEN - 1, len(breaks)):
        since, until = breaks[end - STATED_BROKEN + 1], breaks[end]
        among = bisect_right(settled, until) - bisect_left(settled, since)
        if share * among <= STATED_BROKEN:
            return max(since + STATED_SECONDS, until) + SETTLING_SECONDS
    return None
