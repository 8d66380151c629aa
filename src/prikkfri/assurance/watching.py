"""Watching: outcomes as they come in, into seconds, into the detection of every series.

Theory of operation. A second is counted when every stream that can be read has been read beyond it, so that what a
role writes late is not silence. A stream that cannot be read is *blind*: its series stand still meanwhile, since not
seeing a plunge and seeing none look the same. What comes for a second that is counted already counts in the next.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from math import inf

import msgspec
import numpy as np
from msgspec import structs

from prikkfri.assurance.counting import plausible_time
from prikkfri.assurance.detection import (
    Alarm,
    SeriesState,
    Settings,
    contacts,
    shares,
    silence,
    slowness,
    together,
    volumes,
)
from prikkfri.assurance.detection.contacts import ContactMoment, ContactRates, KeptContacts
from prikkfri.assurance.detection.shares import Flags, Floats, Shares, ShareSettings
from prikkfri.assurance.detection.silence import Silences
from prikkfri.assurance.detection.slowness import KeptSlowness, Slowness
from prikkfri.assurance.detection.together import Sums
from prikkfri.assurance.detection.volumes import KeptVolumes, Rush, Volumes
from prikkfri.assurance.programmes import COMING, CROWD_SHARE, Programme, Programmes, last_ended
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import (
    CLOCKS_APART_SECONDS_MAX,
    EXPECTATIONS,
    Bucket,
    Expectation,
    Pairing,
    Settlement,
    count_promises,
    is_promise,
    kind_of,
    series_of_kind,
)
from prikkfri.journal import Outcome, role_of

CATCH_UP_SECONDS_MAX = 900.0
"""After a longer pause the time before is skipped: what it held can be looked up, and no alarm helps it any more."""
AHEAD_SECONDS_MAX = 2 * CLOCKS_APART_SECONDS_MAX
"""No clock of ours is so much ahead: such a time is none, and what it tells counts at once."""

ANYBODYS_STEPS = frozenset({"enter"})
"""Steps that whoever is made up takes, too: that fewer do is no sign of a fault."""

EVERY_WAY = ""
"""Among the ways that are stopped: no message is sent at all."""
SENT = frozenset({"messages", "receipts"})
"""Services that say nothing where nothing is sent."""
LEFT_SECONDS = 600.0
"""So long a crowd goes home after the programme that it came for; while it does, a part of it is left."""

Arrival = tuple[str, Outcome]
"""A stream and an outcome from it."""
Buckets = Mapping[Segment, Bucket]
DETECTION = Settings()


@dataclass(frozen=True)
class SeriesNumbers:
    """Series by their numbers."""

    all: tuple[Segment, ...] = ()
    number: Mapping[Segment, int] = field(default_factory=dict)
    falls: Flags = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Whether that fewer come is a sign of a fault."""
    grace_seconds: Floats = field(default_factory=lambda: np.zeros(0))
    """In so many seconds what was asked first is settled: until then what is kept comes before what is not."""

    @classmethod
    def of(cls, segments: Iterable[Segment], expectations: Mapping[tuple[str, str], Expectation]) -> "SeriesNumbers":
        known = tuple(segments)
        falls = np.array([segment.get("step") not in ANYBODYS_STEPS for segment in known], dtype=bool)
        expected = [expectations.get((segment.get("service"), segment.get("step")), Expectation()) for segment in known]
        grace_seconds = np.array([each.grace_seconds for each in expected])
        return cls(known, {segment: number for number, segment in enumerate(known)}, falls, grace_seconds)


_NONE = SeriesNumbers()


@dataclass(frozen=True)
class Watch:
    """What is known of all series up to a moment. One owner has it: what is open is carried on, not copied."""

    counted_to: float
    """The end of the last bucket that was counted."""
    streams: Mapping[Segment, str] = field(default_factory=dict)
    """The stream that each series first came from; empty when no outcome has come, only promises that ran out."""
    series: SeriesNumbers = _NONE
    """The same series by number, in the order of `streams`."""
    sums: Sums | None = None
    """What is known of all series ..."""
    raised: Mapping[int, tuple[Alarm, ...]] = field(default_factory=dict)
    """... the alarms that stand in them, by their number ..."""
    shares: Shares | None = None
    """... what the other test of their shares knows ..."""
    volumes: Volumes | None = None
    """... how many come of late, against a minute ago ..."""
    silences: Silences | None = None
    """... and how long they keep quiet at this hour."""
    slowness: Slowness | None = None
    """What is kept, and late."""
    contacts: ContactRates | None = None
    """Who turns to customer service, of those who are active."""
    stopped: Mapping[str, str] = field(default_factory=dict)
    """The ways of messages that somebody has stopped, by link, with its partner."""
    pairing: Pairing | None = None
    early: tuple[Arrival, ...] = ()
    """Outcomes of seconds that are not counted yet."""

    @property
    def standing(self) -> tuple[Alarm, ...]:
        """The alarms that stand now."""
        calls = () if self.contacts is None else self.contacts.standing
        slow = () if self.slowness is None else self.slowness.standing
        return (*(alarm for _, alarms in sorted(self.raised.items()) for alarm in alarms), *slow, *calls)

    @property
    def rushes(self) -> tuple[Rush, ...]:
        """Where far more come than of late, each in the broadest series that shows it; the one since first is first."""
        found = [] if self.volumes is None else self.volumes.rushes(self.series.all)
        places = [each.segment for each in found]
        broad = [each for each in found if not any(p != each.segment and p.holds(each.segment) for p in places)]
        return tuple(sorted(broad, key=lambda each: (each.since, each.segment)))

    @property
    def states(self) -> dict[Segment, SeriesState]:
        """Each series by itself."""
        if self.sums is None:
            return {}
        return {state.segment: state for state in together.each_series(self.sums, self.series.all, self.raised)}

    @property
    def open(self) -> Mapping[str, Outcome]:
        """Promises that were asked and are not settled, by id."""
        return self.pairing.waiting if self.pairing else {}

    @property
    def answered(self) -> Mapping[tuple[str, str], Settlement]:
        """Promises that were settled lately, by id and the step that settled them."""
        return self.pairing.answered if self.pairing else {}


def advance(
    watch: Watch,
    arrived: Iterable[Arrival],
    settings: Settings,
    *,
    until: float,
    blind: frozenset[str] = frozenset(),
    expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS,
) -> tuple[Watch, tuple[Alarm, ...]]:
    """Counts every whole bucket up to `until`; returns the new watch and the alarms that were raised.

    The watch that it is given is used up: what is open goes over into the new one.
    """
    waiting = sorted(
        (*watch.early, *(_possible(arrival, until) for arrival in arrived)), key=lambda arrival: arrival[1].time
    )
    times = [outcome.time for _, outcome in waiting]
    pairing = watch.pairing or Pairing(expectations=expectations)
    taken = 0
    if until - watch.counted_to > CATCH_UP_SECONDS_MAX:
        since = until - CATCH_UP_SECONDS_MAX
        taken = bisect_left(times, since)
        # Up to then nothing is counted; only which promises are open is known after it.
        watch = replace(watch, counted_to=since)
        watch = replace(watch, stopped=_stopped(watch.stopped, waiting[:taken]))
        _counted(pairing, waiting[:taken], blind, since, since)
    alarms: list[Alarm] = []
    while watch.counted_to + settings.bucket_seconds <= until:
        end = watch.counted_to + settings.bucket_seconds
        due = bisect_left(times, end)
        watch, raised = _one_bucket(watch, pairing, waiting[taken:due], settings, blind)
        alarms += raised
        taken = due
    return replace(watch, pairing=pairing, early=tuple(waiting[taken:])), tuple(alarms)


def with_contacts(
    watch: Watch, taken: Iterable[ContactMoment], settings: Settings, *, now: float
) -> tuple[Watch, list[Alarm]]:
    """Takes contacts with customer service that have been handed in; returns the alarms that they raise.

    As `advance`, it uses up the watch that it is given.
    """
    rates = watch.contacts or ContactRates(settings)
    alarms = rates.take(taken, now)
    return replace(watch, contacts=rates), alarms


class _Kept(msgspec.Struct):
    """How a watch is kept; before the shares of all were counted together it was the list alone."""

    series: list[tuple[str, SeriesState]]
    shares: dict[str, list[float]]
    silences: silence.KeptSilences | None = None
    volumes: KeptVolumes | None = None
    slowness: KeptSlowness | None = None
    contacts: KeptContacts | None = None
    stopped: dict[str, str] = {}


def kept(watch: Watch) -> str:
    """What is known of the series, as text; what is open is not in it, since the outcomes tell that."""
    series = [(watch.streams[series], state) for series, state in watch.states.items()]
    document = _Kept(
        series,
        {} if watch.shares is None else shares.kept(watch.shares),
        None if watch.silences is None else silence.kept(watch.silences),
        None if watch.volumes is None else volumes.kept(watch.volumes),
        None if watch.slowness is None else slowness.kept(watch.slowness),
        None if watch.contacts is None else contacts.kept(watch.contacts),
        dict(watch.stopped),
    )
    return msgspec.json.encode(document).decode()


def restored(
    document: str,
    before: Iterable[Arrival],
    *,
    counted_to: float,
    settings: Settings = DETECTION,
    expectations: Mapping[tuple[str, str], Expectation] = EXPECTATIONS,
) -> Watch:
    """The watch that was `kept` when it had counted up to `counted_to`.

    `before`: what came in the grace times before that, oldest first: it tells which promises are open.
    """
    kept = msgspec.json.decode(document, type=list[tuple[str, SeriesState]] | _Kept)
    found = kept if isinstance(kept, _Kept) else _Kept(kept, {})
    known, numbers, quiet = found.series, found.shares, found.silences
    states = [state for _, state in known]
    pairing = Pairing(expectations=expectations)
    _counted(pairing, list(before), frozenset(), counted_to, counted_to)
    return Watch(
        counted_to,
        streams={state.segment: stream for stream, state in known},
        series=SeriesNumbers.of((state.segment for state in states), expectations),
        sums=together.of(states, settings) if states else None,
        raised={number: state.raised for number, state in enumerate(states) if state.raised},
        shares=shares.restored(numbers) if numbers else None,
        volumes=None if found.volumes is None else volumes.restored(found.volumes, settings),
        slowness=None if found.slowness is None else slowness.restored(found.slowness, settings),
        contacts=None if found.contacts is None else contacts.restored(found.contacts, settings),
        silences=silence.restored(quiet, len(states)) if quiet is not None else None,
        stopped=found.stopped,
        pairing=pairing,
    )


def remembering(document: str, *, since: float) -> Watch:
    """A watch that counts anew from `since` and still knows what `kept` had learnt of weeks; of the hours, nothing."""
    found = restored(document, (), counted_to=since)
    if found.sums is None:
        return Watch(since)
    sums = together.fresh(found.series.all, DETECTION)
    return replace(found, sums=sums, raised={}, shares=None, volumes=None, slowness=None, pairing=None)


def _possible(arrival: Arrival, until: float) -> Arrival:
    """With a time that can be one: what is told for no time, or for next year, would wait for ever to be counted."""
    stream, outcome = arrival
    if plausible_time(outcome.time, inf) <= until + AHEAD_SECONDS_MAX:
        return arrival
    return stream, structs.replace(outcome, time=until)


def _counted(pairing: Pairing, due: Sequence[Arrival], blind: frozenset[str], start: float, end: float) -> Buckets:
    # While a stream is blind, a promise may be kept without our knowing it: none runs out.
    return count_promises(pairing, (outcome for _, outcome in due), start=start, now=-inf if blind else end)


def _one_bucket(
    watch: Watch, pairing: Pairing, due: Sequence[Arrival], settings: Settings, blind: frozenset[str]
) -> tuple[Watch, list[Alarm]]:
    start, end = watch.counted_to, watch.counted_to + settings.bucket_seconds
    buckets = _counted(pairing, due, blind, start, end)
    rates = watch.contacts or ContactRates(settings)
    rates.ask(start, ((o.service, o.customer or o.device) for _, o in due if o.observed and (o.customer or o.device)))
    watch = replace(watch, contacts=rates)
    watch = _with_new_series(
        replace(watch, counted_to=end, stopped=_stopped(watch.stopped, due)),
        due,
        buckets,
        settings,
        pairing.expectations,
    )
    if watch.sums is None:
        return watch, []
    series = watch.series
    kept, broken = np.zeros(len(series.all)), np.zeros(len(series.all))
    seen, falls = kept == 0, series.falls
    if blind:
        # What its role's other processes write counts in the same series: of some of them alone, fewer is no plunge.
        unseen = {role_of(stream) for stream in blind}
        seen = np.array([role_of(stream) not in unseen for stream in watch.streams.values()])
        falls = falls & seen if any(stream not in blind and role_of(stream) in unseen for stream, _ in due) else falls
    came = [(number, each) for name, each in buckets.items() if (number := series.number.get(name)) is not None]
    if came:
        numbers = [number for number, _ in came]
        kept[numbers], broken[numbers] = [each.kept for _, each in came], [each.broken for _, each in came]
        seen[numbers] = True
    # Of a young series only what is kept at once is settled: taken for ordinary, what is not kept would be a fault.
    learns = watch.sums.buckets * settings.bucket_seconds >= series.grace_seconds
    sums, alarms = together.step(
        watch.sums, kept, broken, start, settings, segments=series.all, seen=seen, falls=falls, learns=learns
    )
    stood = watch.raised
    watch = replace(watch, sums=sums, raised=_standing(stood, alarms, sums))
    watch, risen = _shares_stepped(watch, stood, kept, broken, bool(buckets), settings, learns=learns)
    spoken = seen & ~_resting(series.all, watch.stopped) if watch.stopped else seen
    watch, fallen = _volumes_stepped(watch, stood, kept + broken, settings, seen=spoken, falls=falls)
    watch, quiet = _silences_stepped(watch, stood, kept + broken, settings, seen=spoken, falls=falls)
    slow = watch.slowness or Slowness(settings)
    late = slow.step({name: (each.timed, each.slow) for name, each in buckets.items() if each.timed}, start)
    watch = replace(watch, slowness=slow)
    return watch, [*(alarm for _, alarm in alarms), *risen, *fallen, *quiet, *late]


def _with_new_series(
    watch: Watch,
    due: Sequence[Arrival],
    buckets: Buckets,
    settings: Settings,
    expectations: Mapping[tuple[str, str], Expectation],
) -> Watch:
    if len(watch.streams) >= settings.series:
        return watch  # past that many, what is new is counted only in the series that are there
    new: dict[Segment, str] = {}
    arrived = dict.fromkeys((kind_of(told), stream) for stream, told in due if is_promise(told))
    # A promise that ran out counts in a series from which nothing may ever have come: no stream tells of it.
    for found, stream in chain(((series_of_kind(*kind), stream) for kind, stream in arrived), ((tuple(buckets), ""),)):
        for series in found:
            if series not in watch.streams and len(watch.streams) + len(new) < settings.series:
                new.setdefault(series, stream)
    if not new:
        return watch
    fresh, streams = together.fresh(new, settings), {**watch.streams, **new}
    sums = fresh if watch.sums is None else together.grown(watch.sums, fresh)
    return replace(watch, streams=streams, series=SeriesNumbers.of(streams, expectations), sums=sums)


def _standing(
    stood: Mapping[int, tuple[Alarm, ...]], alarms: Iterable[tuple[int, Alarm]], sums: Sums
) -> dict[int, tuple[Alarm, ...]]:
    """The alarms that stand after a bucket has raised some and ended some."""
    after = dict(stood)
    for number, alarm in alarms:
        after[number] = (*after.get(number, ()), alarm)
    over = {"share": ~sums.shares_stand, "plunge": ~sums.plunges_stand}
    left = {
        number: tuple(alarm for alarm in theirs if not (alarm.kind in over and over[alarm.kind][number]))
        for number, theirs in after.items()
    }
    return {number: theirs for number, theirs in left.items() if theirs}


def _shares_stepped(
    watch: Watch,
    stood: Mapping[int, tuple[Alarm, ...]],
    kept: Floats,
    broken: Floats,
    any_counted: bool,
    settings: Settings,
    *,
    learns: Flags,
) -> tuple[Watch, list[Alarm]]:
    """The other test of all shares, one bucket on; `stood`: the alarms that stood before the bucket."""
    tested, before, order = _share_settings(settings), watch.shares, watch.series.all
    new = order[0 if before is None else len(before.settled) :]
    if new or before is None:
        more = shares.fresh(len(new), tested, [settings.prior_share(segment) for segment in new])
        before = more if before is None else shares.grown(before, more)
    if not any_counted:  # where nothing is settled nothing speaks for or against anything
        return replace(watch, shares=before), []
    # Of a series that is blind nothing is counted, and nothing speaks for or against it.
    start = watch.counted_to - settings.bucket_seconds
    after, raised = shares.step(before, kept + broken, broken, start, tested, learns=learns)
    assert watch.sums is not None
    alarms: list[Alarm] = []
    standing, shares_stand = dict(watch.raised), watch.sums.shares_stand.copy()
    for number in np.flatnonzero(after.standing & ~shares_stand).tolist():
        stands = [alarm for alarm in stood.get(number, ()) if alarm.kind == "share"]
        if raised[number]:
            since, of, seen = shares.best(after, number)
            alarm = Alarm(
                kind="share",
                segment=order[number],
                raised_at=watch.counted_to,
                since=since,
                level=float(before.fit.share[number]),
                seen=seen / of,
                promises=of,
                evidence=tested.threshold,
                threshold=tested.threshold,
            )
            stands = [alarm]
            alarms.append(alarm)
        if stands:
            standing[number] = (*standing.get(number, ()), *stands)
            shares_stand[number] = True
    sums = replace(watch.sums, shares_stand=shares_stand)
    return replace(watch, sums=sums, raised=standing, shares=after), alarms


def _stopped(stopped: Mapping[str, str], arrived: Iterable[Arrival]) -> Mapping[str, str]:
    """The ways that are stopped after what has arrived."""
    for _, outcome in arrived:
        way = outcome.dimensions.get("link", EVERY_WAY)
        if outcome.step in ("stop-route", "stop-sending"):
            stopped = {**stopped, way: outcome.dimensions.get("partner", "")}
        elif outcome.step in ("open-route", "start-sending"):
            stopped = {link: partner for link, partner in stopped.items() if link != way}
    return stopped


def went_home(watch: Watch, alarm: Alarm, programmes: Programmes, settings: Settings) -> Programme | None:
    """The programme whose end explains that fewer come; None: none does, or next to nobody is left, which none does."""
    if alarm.kind != "plunge" or alarm.segment.get("service") != "television" or watch.sums is None:
        return None
    if alarm.seen <= settings.volume_plunge * alarm.level:
        return None
    channel = alarm.segment.get("channel") or _most_watched(watch)
    return last_ended(programmes.get(channel, ()), since=alarm.since - LEFT_SECONDS, now=alarm.raised_at)


def _most_watched(watch: Watch) -> str:
    """The channel to which most come, if it is most of all; empty when there is none."""
    assert watch.sums is not None
    came: dict[str, float] = {}
    for segment, rate in zip(watch.series.all, watch.sums.median.tolist(), strict=True):
        channel = segment.get("channel")
        if channel and segment.get("step") in COMING and rate < inf:
            came[channel] = came.get(channel, 0.0) + rate
    channel = max(sorted(came), key=came.__getitem__, default="")
    return channel if channel and came[channel] >= CROWD_SHARE * sum(came.values()) else ""


def _resting(series: Sequence[Segment], stopped: Mapping[str, str]) -> Flags:
    """Which series may say nothing while those ways are stopped: all of messages that do not name another way."""

    def rests(segment: Segment) -> bool:
        if segment.get("service") not in SENT:
            return False
        if EVERY_WAY in stopped:
            return True
        if link := segment.get("link"):
            return link in stopped
        partner = segment.get("partner")
        return not partner or partner in stopped.values()

    return np.array([rests(segment) for segment in series], dtype=bool)


def _volumes_stepped(
    watch: Watch,
    stood: Mapping[int, tuple[Alarm, ...]],
    settled: Floats,
    settings: Settings,
    *,
    seen: Flags,
    falls: Flags,
) -> tuple[Watch, list[Alarm]]:
    """The test of how many come in all series, one bucket on; `stood`: the alarms that stood before the bucket."""
    start, order = watch.counted_to - settings.bucket_seconds, watch.series.all
    kept = watch.volumes or Volumes(0, settings)
    if new := len(order) - len(kept.falls):
        kept.grow(new)
    sums = watch.sums
    assert sums is not None
    believed = falls & (sums.buckets >= settings.warm_up_buckets)
    began = kept.step(settled, start, median=sums.median, seen=seen, falls=believed, stands=sums.plunges_stand)
    watch = replace(watch, volumes=kept)
    best = {number: (window, nats) for number, window, nats in began}

    def fresh(number: int) -> Alarm | None:
        return kept.alarm(number, *best[number], watch.counted_to, order[number]) if number in best else None

    return _fallen(watch, stood, kept.falls, fresh)


def _fallen(
    watch: Watch, stood: Mapping[int, tuple[Alarm, ...]], falls: Flags, fresh: Callable[[int], Alarm | None]
) -> tuple[Watch, list[Alarm]]:
    """With the alarms of a test's falls beside those that the plunge has told already, and those that are new.

    `stood`: the alarms that stood before the bucket; `fresh`: the alarm of a series in which a fall has just begun.
    """
    assert watch.sums is not None
    (lasting,) = np.nonzero(falls & ~watch.sums.plunges_stand)
    if not lasting.size:
        return watch, []
    alarms: list[Alarm] = []
    standing, plunges_stand = dict(watch.raised), watch.sums.plunges_stand.copy()
    for number in lasting.tolist():
        stands = [alarm for alarm in stood.get(number, ()) if alarm.kind == "plunge"]
        if not stands and (new := fresh(number)) is not None:
            stands = [new]
            alarms += stands
        if stands:
            standing[number] = (*standing.get(number, ()), *stands)
            plunges_stand[number] = True
    return replace(watch, sums=replace(watch.sums, plunges_stand=plunges_stand), raised=standing), alarms


def _silences_stepped(
    watch: Watch,
    stood: Mapping[int, tuple[Alarm, ...]],
    settled: Floats,
    settings: Settings,
    *,
    seen: Flags,
    falls: Flags,
) -> tuple[Watch, list[Alarm]]:
    """The test of silence in all series, one bucket on; `stood`: the alarms that stood before the bucket.

    What the plunge has told already is not told again; it stands for as long as nothing comes.
    """
    start, order = watch.counted_to - settings.bucket_seconds, watch.series.all
    before = watch.silences or silence.fresh(0, start)
    if new := len(order) - len(before.quiet):
        before = silence.grown(before, new)
    after, raised = silence.step(before, settled, start, settings, seen=seen, falls=falls)

    def fresh(number: int) -> Alarm | None:
        return silence.alarm(after, number, order[number], settings) if raised[number] else None

    return _fallen(replace(watch, silences=after), stood, after.stand, fresh)


@lru_cache(maxsize=8)
def _share_settings(settings: Settings) -> ShareSettings:
    return ShareSettings(
        bucket_seconds=settings.bucket_seconds,
        series=settings.series,
        false_alarms_per_month=settings.false_alarms_per_month,
        half_life_seconds=settings.share_half_life_seconds,
        prior_promises=settings.share_prior_promises,
    )
