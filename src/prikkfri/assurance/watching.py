"""Watching: outcomes as they come in, into seconds, into the detection of every series.

Theory of operation. A second is counted when every stream that can be read has been read beyond it, so that what a
role writes late is not silence. A stream that cannot be read is *blind*: its series stand still meanwhile, since not
seeing a plunge and seeing none look the same. What comes for a second that is counted already counts in the next.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from math import inf

import msgspec
import numpy as np
from msgspec import structs

from prikkfri.assurance.counting import plausible_time
from prikkfri.assurance.detection import SECONDS_PER_YEAR, TESTS, Alarm, SeriesState, Settings, shares, step
from prikkfri.assurance.detection.shares import SECONDS_PER_MONTH, Shares, ShareSettings
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import (
    CLOCKS_APART_SECONDS_MAX,
    EXPECTATIONS,
    Bucket,
    Expectation,
    Settlement,
    Tally,
    is_promise,
    series_of,
    tally,
)
from prikkfri.journal import Outcome

CATCH_UP_SECONDS_MAX = 900.0
"""After a longer pause the time before is skipped: what it held can be looked up, and no alarm helps it any more."""
AHEAD_SECONDS_MAX = 2 * CLOCKS_APART_SECONDS_MAX
"""No clock of ours is so much ahead: such a time is none, and what it tells counts at once."""

ANYBODYS_STEPS = frozenset({"enter"})
"""Steps that whoever is made up takes, too: that fewer do is no sign of a fault."""

Arrival = tuple[str, Outcome]
"""A stream and an outcome from it."""


@dataclass(frozen=True)
class Watch:
    """What is known of all series up to a moment."""

    counted_to: float
    """The end of the last bucket that was counted."""
    states: Mapping[Segment, SeriesState] = field(default_factory=dict)
    shares: Shares | None = None
    """What is known of the shares of all series together, in the order of `states`."""
    streams: Mapping[Segment, str] = field(default_factory=dict)
    """The stream that each series first came from; empty when no outcome has come, only promises that ran out."""
    open: Mapping[str, Outcome] = field(default_factory=dict)
    """Promises that were asked and are not settled, by id."""
    answered: Mapping[tuple[str, str], Settlement] = field(default_factory=dict)
    """Promises that were settled lately, by id and the step that settled them."""
    early: tuple[Arrival, ...] = ()
    """Outcomes of seconds that are not counted yet."""

    @property
    def standing(self) -> tuple[Alarm, ...]:
        """The alarms that stand now."""
        return tuple(alarm for state in self.states.values() for alarm in state.raised)


def advance(
    watch: Watch,
    arrived: Iterable[Arrival],
    settings: Settings,
    *,
    until: float,
    blind: frozenset[str] = frozenset(),
    expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS,
) -> tuple[Watch, tuple[Alarm, ...]]:
    """Counts every whole bucket up to `until`; returns the new watch and the alarms that were raised."""
    waiting = sorted(
        (*watch.early, *(_possible(arrival, until) for arrival in arrived)), key=lambda arrival: arrival[1].time
    )
    times = [outcome.time for _, outcome in waiting]
    taken = 0
    if until - watch.counted_to > CATCH_UP_SECONDS_MAX:
        since = until - CATCH_UP_SECONDS_MAX
        taken = bisect_left(times, since)
        watch = _skipped(replace(watch, counted_to=since), waiting[:taken], blind, expectations)
    alarms: list[Alarm] = []
    while watch.counted_to + settings.bucket_seconds <= until:
        end = watch.counted_to + settings.bucket_seconds
        due = bisect_left(times, end)
        watch, raised = _one_bucket(watch, waiting[taken:due], settings, blind, expectations)
        alarms += raised
        taken = due
    return replace(watch, early=tuple(waiting[taken:])), tuple(alarms)


class _Kept(msgspec.Struct):
    """How a watch is kept; before the shares of all were counted together it was the list alone."""

    series: list[tuple[str, SeriesState]]
    shares: dict[str, list[float]]


def kept(watch: Watch) -> str:
    """What is known of the series, as text; what is open is not in it, since the outcomes tell that."""
    series = [(watch.streams[series], state) for series, state in watch.states.items()]
    return msgspec.json.encode(_Kept(series, {} if watch.shares is None else shares.kept(watch.shares))).decode()


def restored(
    document: str,
    before: Iterable[Arrival],
    *,
    counted_to: float,
    expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS,
) -> Watch:
    """The watch that was `kept` when it had counted up to `counted_to`.

    `before`: what came in the grace times before that, oldest first: it tells which promises are open.
    """
    kept = msgspec.json.decode(document, type=list[tuple[str, SeriesState]] | _Kept)
    known, numbers = (kept.series, kept.shares) if isinstance(kept, _Kept) else (kept, {})
    watch = Watch(
        counted_to,
        states={state.segment: state for _, state in known},
        shares=shares.restored(numbers) if numbers else None,
        streams={state.segment: stream for stream, state in known},
    )
    counted = _tallied(watch, list(before), frozenset(), expectations, end=counted_to)
    return replace(watch, open=counted.open, answered=counted.answered)


def _possible(arrival: Arrival, until: float) -> Arrival:
    """With a time that can be one: what is told for no time, or for next year, would wait for ever to be counted."""
    stream, outcome = arrival
    if plausible_time(outcome.time, inf) <= until + AHEAD_SECONDS_MAX:
        return arrival
    return stream, structs.replace(outcome, time=until)


def _skipped(
    watch: Watch,
    skipped: Sequence[Arrival],
    blind: frozenset[str],
    expectations: Mapping[tuple[str, str], Expectation],
) -> Watch:
    """Up to `counted_to` nothing is counted; only which promises are open is known after it."""
    counted = _tallied(watch, skipped, blind, expectations, end=watch.counted_to)
    return replace(watch, open=counted.open, answered=counted.answered)


def _tallied(
    watch: Watch,
    due: Sequence[Arrival],
    blind: frozenset[str],
    expectations: Mapping[tuple[str, str], Expectation],
    *,
    end: float,
) -> Tally:
    # While a stream is blind, a promise may be kept without our knowing it: none runs out.
    clock = -inf if blind else end
    return tally(
        (outcome for _, outcome in due),
        watch.open,
        start=watch.counted_to,
        now=clock,
        answered=watch.answered,
        expectations=expectations,
    )


def _one_bucket(
    watch: Watch,
    due: Sequence[Arrival],
    settings: Settings,
    blind: frozenset[str],
    expectations: Mapping[tuple[str, str], Expectation],
) -> tuple[Watch, list[Alarm]]:
    start, end = watch.counted_to, watch.counted_to + settings.bucket_seconds
    counted = _tallied(watch, due, blind, expectations, end=end)
    streams = dict(watch.streams)
    arrived = ((series, stream) for stream, told in due if is_promise(told) for series in series_of(told))
    # A promise that ran out counts in a series from which nothing may ever have come: no stream tells of it.
    ran_out = ((series, "") for series in counted.buckets)
    for series, stream in chain(arrived, ran_out):
        # Past that many, what is new is counted only in the series that are there.
        if series not in streams and len(streams) < settings.series:
            streams[series] = stream
    states: dict[Segment, SeriesState] = {}
    alarms: list[Alarm] = []
    no_falls = _no_falls(settings)
    for series, stream in streams.items():
        state = watch.states.get(series) or SeriesState(series)
        bucket = counted.buckets.get(series)
        if bucket is not None or stream not in blind:
            tested = no_falls if series.get("step") in ANYBODYS_STEPS else settings
            state, raised = step(state, bucket or Bucket(start), tested)
            alarms += raised
        states[series] = state
    together, risen = _shares_stepped(watch, states, counted.buckets, settings)
    counted_on = replace(watch, counted_to=end, open=counted.open, answered=counted.answered)
    return replace(counted_on, states=states, shares=together, streams=streams), [*alarms, *risen]


def _shares_stepped(
    watch: Watch, states: dict[Segment, SeriesState], buckets: Mapping[Segment, Bucket], settings: Settings
) -> tuple[Shares | None, list[Alarm]]:
    """The shares of all series, one bucket on; `states` then hold the alarms of these that stand, too."""
    if not states:
        return None, []
    tested, order, before = _share_settings(settings), list(states), watch.shares
    new = order[0 if before is None else len(before.settled) :]
    if new or before is None:
        more = shares.fresh(len(new), tested, [settings.prior_share(segment) for segment in new])
        before = more if before is None else shares.grown(before, more)
    if not buckets:
        return before, []  # where nothing is settled nothing speaks for or against anything
    # Of a series that is blind nothing is counted, and nothing speaks for or against it.
    none = Bucket(watch.counted_to)
    found = [buckets.get(segment, none) for segment in order]
    settled, broken = np.array([(each.settled, each.broken) for each in found], dtype=float).T
    after, raised = shares.step(before, settled, broken, watch.counted_to, tested)
    alarms: list[Alarm] = []
    for index in np.flatnonzero(after.standing):
        segment = order[index]
        state = states[segment]
        if any(alarm.kind == "share" for alarm in state.raised):
            continue
        stands = [alarm for alarm in _stood(watch, segment) if alarm.kind == "share"]
        if raised[index]:
            since, of, seen = shares.best(after, int(index))
            alarm = Alarm(
                kind="share",
                segment=segment,
                raised_at=watch.counted_to + settings.bucket_seconds,
                since=since,
                level=float(before.fit.share[index]),
                seen=seen / of,
                promises=of,
                evidence=tested.threshold,
                threshold=tested.threshold,
            )
            stands = [alarm]
            alarms.append(alarm)
        states[segment] = replace(state, raised=(*state.raised, *stands))
    return after, alarms


def _stood(watch: Watch, segment: Segment) -> tuple[Alarm, ...]:
    state = watch.states.get(segment)
    return state.raised if state else ()


@lru_cache(maxsize=8)
def _share_settings(settings: Settings) -> ShareSettings:
    return ShareSettings(
        bucket_seconds=settings.bucket_seconds,
        series=settings.series,
        false_alarms_per_month=settings.false_alarms_per_year / TESTS * SECONDS_PER_MONTH / SECONDS_PER_YEAR,
        half_life_seconds=settings.share_half_life_seconds,
        prior_promises=settings.share_prior_promises,
    )


@lru_cache(maxsize=8)
def _no_falls(settings: Settings) -> Settings:
    """Settings by which no level of a volume is ever believed."""
    return replace(settings, warm_up_buckets=1 << 62)
