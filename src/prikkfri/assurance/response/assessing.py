"""Assessing: from outcomes to the counts that placing and recovery judge by."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf, log

import numpy as np
from msgspec import structs

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import Fact, Incident, Kind
from prikkfri.assurance.localisation import ORDINARY_SLACK, SHARE_FLOOR, Cell, FaultSegment
from prikkfri.assurance.response.promises import Floats, PromiseColumns, SettledPromise
from prikkfri.assurance.segments import Places, Segment, segment_of
from prikkfri.assurance.tally import (
    EXPECTATIONS,
    JOIN,
    ORDINARY_SHARES,
    RETURN,
    Bucket,
    Expectation,
    Pairing,
    asking_of,
    expectation,
    is_promise,
    own_error,
    own_layer,
    unanswered,
)
from prikkfri.journal import Outcome
from prikkfri.streaming.fallback import NOT_ANSWERING, RULE
from prikkfri.streaming.pictures import PICTURE

DONE: Mapping[str, tuple[Kind, str]] = {
    "stop-route": ("mitigate", "stopped the route over {link} ({partner}): {reason}"),
    "open-route": ("act", "opened the route over {link} ({partner})"),
    "complaint": ("act", "noted that {partner} complains of {reason} over {link}"),
    "stop-sending": ("mitigate", "stopped sending messages: {reason}"),
    "start-sending": ("act", "started sending messages again: {reason} what waited"),
    "open-channel": ("mitigate", "opened the channel {channel} to everybody: {reason}"),
    "steer-line": ("act", "{order}"),
    "close-channel": ("act", "closed the channel {channel} again: {reason}"),
}
"""What the acts that roles tell of are in an incident's timeline."""

PRIOR_PROMISES = 200.0
"""What is ordinary at a step weighs as many, as it does in detection."""
ROSE_NATS = 3.0
"""A beginning that explains so much less than the best is none: e**3 is twenty to one."""
ROSE_BEFORE_SECONDS = 60.0
"""A series is looked at from so long before its sum left zero: clocks differ, and few come ..."""
ROSE_FITTED_SECONDS = 120.0
"""... and by the share that it comes to itself from so long before: of one that breaks a third, several are kept in a
row, and the sum falls to zero again; ..."""
ROSE_BEFORE_NATS = 8.0
"""... and from before that where so much speaks for it: what was counted late, all at once, began much earlier ..."""
ROSE_UNBROKEN_NATS = 12.0
"""... for as long as no stretch speaks by so much for the ordinary."""

Expectations = Mapping[tuple[str, str], Expectation]


def settled(
    outcomes: Iterable[Outcome], *, now: float, expectations: Expectations = EXPECTATIONS
) -> list[SettledPromise]:
    """Every promise of `outcomes` (oldest first) that is settled at `now`.

    One that nobody answered in its grace time is broken when that ended, whatever came later: as on the list of those
    hit. So is that of whoever typed a wrong password, tried again and came back without an answer, or got it too late.
    What is an account's own matter is none of them.
    """
    pairing, places = Pairing(expectations=expectations), Places()
    joined: dict[str, Outcome] = {}
    mistyped: dict[str, Outcome] = {}
    """The asking by promise, of whoever was told so last."""
    returned: dict[str, Outcome] = {}
    """Of them, who came back since."""
    found: list[SettledPromise] = []
    for outcome in outcomes:
        if outcome.observed and outcome.step == JOIN and outcome.promise:
            joined[outcome.promise] = asking_of(outcome)
        if outcome.step == RETURN and (asking := mistyped.pop(outcome.promise, None)) is not None:
            returned[outcome.promise] = asking
        if not is_promise(outcome):
            continue
        if outcome.verdict == "asked":
            pairing.ask(outcome)
            continue
        asking, first = pairing.settle(outcome)
        asking = asking or joined.pop(outcome.promise, None)
        waited = asking is not None and own_layer(asking.service, asking.layer)
        if asking is None:
            asking = returned.pop(outcome.promise, None)
        if asking is None and outcome.verdict == "kept":
            asking = mistyped.pop(outcome.promise, None)
        if asking is not None and not waited and outcome.time > (deadline := _deadline(asking, expectations)):
            found.append(_unanswered(asking, deadline, expectations))
        elif own_error(outcome.service, outcome.reason, outcome.layer):
            if asking is not None and not waited:
                mistyped[outcome.promise] = asking
        elif first:
            asked = asking.time if asking is not None else outcome.time
            found.append(SettledPromise(outcome.time, asked, places.of(outcome), outcome.verdict == "kept"))
    for asking in (*pairing.waiting.values(), *returned.values()):
        if own_layer(asking.service, asking.layer):
            continue
        if (deadline := _deadline(asking, expectations)) <= now:
            found.append(_unanswered(asking, deadline, expectations))
    found.sort(key=lambda each: (each.at, each.asked, each.kept))
    return found


def _deadline(asking: Outcome, expectations: Expectations) -> float:
    return asking.time + expectation(asking, expectations).grace_seconds


def _unanswered(asking: Outcome, deadline: float, expectations: Expectations) -> SettledPromise:
    return SettledPromise(deadline, asking.time, segment_of(unanswered(asking, expectations)), kept=False)


def lying_in(promises: Iterable[SettledPromise], segments: Sequence[Segment]) -> PromiseColumns:
    """Those of the segments."""
    columns = PromiseColumns.of(promises)
    return columns.where(columns.lying_in(segments))


def outside(promises: Iterable[SettledPromise], segments: Sequence[Segment]) -> PromiseColumns:
    """Those of none of the segments."""
    columns = PromiseColumns.of(promises)
    return columns.where(~columns.lying_in(segments)) if segments else columns


def without_fault(
    promises: Iterable[SettledPromise], segment: Segment, *, since: float, until: float
) -> PromiseColumns:
    """Those that do not lie in a fault: in its segment, from its beginning to its last broken promise."""
    columns = PromiseColumns.of(promises)
    return columns.where(~(columns.lying_in([segment]) & (columns.at >= since) & (columns.at <= until)))


def parted(promises: Iterable[SettledPromise], segments: Sequence[Segment]) -> list[PromiseColumns]:
    """Those of each segment, in their order; what lies in several is the first one's."""
    columns = PromiseColumns.of(promises)
    first = columns.places.first_holder(segments)[columns.place]
    return [columns.where(first == index) for index in range(len(segments))]


def cells(promises: Iterable[SettledPromise], *, since: float, until: float) -> list[Cell]:
    """Counts by combination of dimension values, of what was settled from `since` to before `until`."""
    columns = _between(PromiseColumns.of(promises), since, until)
    return [Cell(segment, settled, broken) for segment, settled, broken in columns.by_place()]


def buckets(
    promises: Iterable[SettledPromise], segments: Sequence[Segment], *, since: float, until: float, seconds: float
) -> list[Bucket]:
    """Counts of the segments in stretches of `seconds`, empty ones too."""
    many = max(int((until - since) / seconds), 0)
    columns = PromiseColumns.of(promises)
    columns = columns.where(columns.lying_in(segments) & (columns.at >= since))
    stretch = ((columns.at - since) / seconds).astype(np.int64)
    within = stretch < many
    kept, broken = (
        np.bincount(stretch[within & chosen], minlength=many).tolist() for chosen in (columns.kept, ~columns.kept)
    )
    return [Bucket(since + i * seconds, k, b) for i, (k, b) in enumerate(zip(kept, broken, strict=True))]


def usual_share(
    promises: Iterable[SettledPromise], segments: Sequence[Segment], *, since: float, until: float
) -> float:
    """The share of the segments that was broken before; what is ordinary at their steps if little is seen."""
    inside = lying_in(promises, segments)
    if not inside:
        return 0.0
    before = _between(inside, since, until)
    settled, broken = len(before), int(np.count_nonzero(~before.kept))
    ordinary = sum(_ordinary_share(place.values) * count for place, count, _ in inside.by_place()) / len(inside)
    drawn = (broken + PRIOR_PROMISES * ordinary) / (settled + PRIOR_PROMISES)
    return max(drawn, broken / settled if settled else 0.0)


def _between(columns: PromiseColumns, since: float, until: float) -> PromiseColumns:
    return columns.where((columns.at >= since) & (columns.at < until))


def _ordinary_share(place: tuple[tuple[str, str], ...]) -> float:
    values = dict(place)
    return ORDINARY_SHARES.get((values.get("service", ""), values.get("step", "")), 0.0)


def last_broken(promises: Iterable[SettledPromise], segments: Sequence[Segment], *, since: float) -> float | None:
    """When the last promise of the segments was broken, since then."""
    columns = PromiseColumns.of(promises)
    broken = columns.at[columns.lying_in(segments) & ~columns.kept & (columns.at >= since)]
    return float(broken.max()) if len(broken) else None


def began(promises: Iterable[SettledPromise], segments: Sequence[Segment], *, since: float) -> float:
    """When it began: `since`, by what was broken, or the first asking before that which was not answered in time.

    An unanswered promise is known to be broken a whole grace time after the fault that broke it. What was asked before
    something that was kept says nothing: then it still worked, at least for some.
    """
    ours = lying_in(promises, segments)
    last_kept = ours.asked[ours.kept & (ours.at < since)].max(initial=0.0)
    asked = ours.asked[~ours.kept & (ours.at >= since)]
    return float(asked[asked > last_kept].min(initial=since))


def rose_first(promises: Iterable[SettledPromise], alarms: Collection[Alarm], segments: Sequence[Segment]) -> float:
    """When the first share of several alarms' series rose, of a fault that lies in `segments`.

    Of a fault that is wider a part does not tell that it began before the whole has risen, unless the very best
    beginning of that part lies there: in a part there are few promises, and there are many parts.
    """

    def is_part(alarm: Alarm) -> bool:
        wider = any(each.segment != alarm.segment and each.segment.holds(alarm.segment) for each in alarms)
        return wider and not any(alarm.segment.holds(each) for each in segments)

    return min(rose(promises, alarm, nearly=0.0 if is_part(alarm) else ROSE_NATS) for alarm in alarms)


def rose(promises: Iterable[SettledPromise], alarm: Alarm, *, nearly: float = ROSE_NATS) -> float:
    """When the share of an alarm's series rose: the first of all beginnings that explain nearly as much as the best.

    The sum that raised it may have stood above zero for long, by what is broken on any evening, and counts what comes
    late (all at once after a restart) when it comes. `promises` are oldest first.
    """
    if alarm.kind != "share" or alarm.seen <= _at_most_ordinary(alarm.level):
        return alarm.since
    since, ordinary = alarm.since - ROSE_BEFORE_SECONDS, _at_most_ordinary(alarm.level)
    ours = lying_in(promises, [alarm.segment])
    theirs = ours.where(ours.at < alarm.raised_at)
    nats, at = _beginnings(theirs, ordinary, alarm.seen, least_since=since)
    likely = [at[nats >= nats.max(initial=-inf) - nearly]]
    near = at >= since
    nearby = nats[near].max(initial=-inf)
    if nats.max(initial=-inf) < nearby + ROSE_BEFORE_NATS:
        likely = [at[near & (nats >= nearby - nearly)]]
        # The share that an alarm saw is often that of a few, and one that comes and goes is lower than in its spells.
        # What comes after the alarm tells better how much is broken, unless it has become worse since.
        for known in (theirs, ours):
            nats, at = _fitted(known.where(known.at >= alarm.since - ROSE_FITTED_SECONDS), ordinary)
            likely.append(at[nats >= nats.max(initial=-inf) - nearly])
    return min((float(each.min()) for each in likely if len(each)), default=alarm.since)


def rose_beside(
    promises: Iterable[SettledPromise], placed: FaultSegment, worse: Sequence[Segment], alarms: Iterable[Alarm]
) -> float | None:
    """When the share of one of several places rose, by what lies in none of the worse; None where nothing tells.

    An alarm of a place in which another cause broke much more tells of both together: against that share the mild time
    before the other began is no beginning. `promises` are oldest first.
    """
    levels = [each.level for each in alarms if each.kind == "share" and each.segment.meets(placed.segment)]
    if not levels or placed.share <= _at_most_ordinary(min(levels)):
        return None
    theirs = outside(lying_in(promises, [placed.segment]), worse)
    nats, at = _beginnings(theirs, _at_most_ordinary(min(levels)), placed.share, least_since=inf)
    if not len(nats):
        return None
    since = at[nats == nats.max()].max() - ROSE_BEFORE_SECONDS
    return float(at[(nats >= nats.max() - ROSE_NATS) & (at >= since)].min())


def _at_most_ordinary(level: float) -> float:
    return min(0.5, ORDINARY_SLACK * max(level, SHARE_FLOOR))


def _beginnings(promises: PromiseColumns, ordinary: float, seen: float, *, least_since: float) -> tuple[Floats, Floats]:
    """Each broken promise as the beginning of a share `seen`, the last one first: the nats by which that explains all
    from it on better than the ordinary does, and when it was. Up to `least_since` all are looked at, and before it as
    far as it goes on.
    """
    risen = min(seen, 0.999)
    at, broken = promises.at[::-1], ~promises.kept[::-1]
    nats = np.cumsum(np.where(broken, log(risen / ordinary), log((1 - risen) / (1 - ordinary))))
    best = np.maximum.accumulate(np.where(broken, nats, -inf))
    unbroken = np.flatnonzero((at[1:] < least_since) & (nats[:-1] < best[:-1] - ROSE_UNBROKEN_NATS))
    broken[int(unbroken[0]) + 1 if len(unbroken) else len(broken) :] = False
    return nats[broken], at[broken]


def _fitted(promises: PromiseColumns, ordinary: float) -> tuple[Floats, Floats]:
    """The same by the share that all from each beginning to the last broken has itself (a generalised likelihood
    ratio)."""
    at, broken = promises.at[::-1], ~promises.kept[::-1]
    failed = np.cumsum(broken)
    at, failed = at[broken], failed[broken]
    settled = np.flatnonzero(broken) + 1.0
    settled -= settled[:1] - 1.0  # the first of these is the last that was broken
    kept, share = settled - failed, failed / settled
    risen = share > ordinary
    at, failed, kept, share = at[risen], failed[risen], kept[risen], share[risen]
    whole = np.log((1 - np.minimum(share, 1 - 1e-9)) / (1 - ordinary))
    return failed * np.log(share / ordinary) + kept * whole, at


def sign(outcome: Outcome) -> Alarm | None:
    """What a role's act says of a fault that it saw itself; None: nothing."""
    by = outcome.dimensions.get("by", "")
    if not outcome.observed:
        return None
    if (outcome.step, by, outcome.reason) == ("open-channel", RULE, NOT_ANSWERING):
        segment = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
        text = f"{NOT_ANSWERING}, as playout sees it"
    elif outcome.step == "stop-route" and by.startswith("rule:"):
        link = outcome.dimensions.get("link", "")
        segment = Segment.of({"service": "messages", "step": "route", "layer": "link", "link": link})
        text = f"{outcome.reason}, as the message centre sees it by its canaries"
    elif (outcome.step, outcome.verdict, outcome.observed) == (PICTURE, "broken", True):
        # Without a step: whatever is asked of the channel's streams is in it.
        channel = outcome.dimensions.get("channel", "")
        segment = Segment.of({"service": "television", "layer": "streams", "channel": channel})
        text = f"the picture has gone ({outcome.reason}), as playout sees it"
    else:
        return None
    return Alarm(
        kind="told",
        segment=segment,
        raised_at=outcome.time,
        since=outcome.time,
        level=0.0,
        seen=1.0,
        promises=0.0,
        evidence=0.0,
        threshold=0.0,
        text=text,
    )


def picture_channel(alarm: Alarm) -> str:
    """The channel whose picture has gone, when that is what an alarm says; else empty."""
    return alarm.segment.get("channel") if alarm.kind == "told" and alarm.segment.get("layer") == "streams" else ""


def is_act(outcome: Outcome) -> bool:
    """Whether it is something that was done about a fault, or what became of a picture."""
    return outcome.step in DONE or outcome.step == PICTURE


def pictures(outcomes: Iterable[Outcome]) -> dict[str, Outcome]:
    """What playout said last of each channel's picture; `outcomes` are oldest first."""
    return {o.dimensions.get("channel", ""): o for o in outcomes if o.step == PICTURE and o.observed}


def done(outcomes: Iterable[Outcome], incident: Incident) -> list[Fact]:
    """What was done on an incident's way since it began, and does not stand in its timeline yet."""
    known = {(entry.at, entry.kind) for entry in incident.timeline}
    places = [segment.without("step", "layer") for segment in incident.segments]
    facts = []
    for outcome in outcomes:
        kind, text = DONE.get(outcome.step, (None, ""))
        if kind is None or not outcome.observed or outcome.time < incident.since or (outcome.time, kind) in known:
            continue
        if any(place.holds(segment_of(outcome)) for place in places):
            told = text.format_map({"link": "", "partner": "", **outcome.dimensions, "reason": outcome.reason})
            told = told.removesuffix(": ")
            facts.append(Fact(kind, outcome.time, outcome.dimensions.get("by", ""), told))
    return facts


def people(
    outcomes: Iterable[Outcome],
    segments: Sequence[Segment],
    *,
    since: float,
    now: float,
    expectations: Expectations = EXPECTATIONS,
) -> tuple[int, int]:
    """How many are named for whom a promise of the segments was broken since then, and for how many one was kept.

    What nobody has answered in its grace time at `now` is broken.
    """
    found: dict[str, set[str]] = {"broken": set(), "kept": set()}
    ours: dict[Segment, bool] = {}
    pairing, places = Pairing(expectations=expectations), Places()
    told: list[Outcome] = []
    for outcome in outcomes:
        if not is_promise(outcome):
            continue
        if outcome.verdict == "asked":
            pairing.ask(outcome)
        else:
            pairing.settle(outcome)
            told.append(outcome)
    late = [each for each in pairing.waiting.values() if since <= _deadline(each, expectations) <= now]
    for outcome in (*told, *(structs.replace(unanswered(e, expectations), time=since) for e in late)):
        who = outcome.device or outcome.customer
        if outcome.time < since or not who or outcome.verdict not in found:
            continue
        if who in found[outcome.verdict]:
            continue
        place = places.of(outcome)
        if (lies := ours.get(place)) is None:
            lies = ours[place] = any(segment.holds(place) for segment in segments)
        if lies and not own_error(outcome.service, outcome.reason, outcome.layer):
            found[outcome.verdict].add(who)
    return len(found["broken"]), len(found["kept"])


def asking(outcomes: Iterable[Outcome], steps: Sequence[str], *, since: float, until: float) -> int:
    """How many are named who asked at these steps (none: at any), as our own roles saw it."""
    return len(
        {
            outcome.device or outcome.customer
            for outcome in outcomes
            if outcome.observed and since <= outcome.time < until and (not steps or outcome.step in steps)
        }
        - {""}
    )


def peak_per_second(outcomes: Iterable[Outcome], *, step: str, over_seconds: float) -> float:
    """The most that was asked for in a second at a step, averaged over any stretch of `over_seconds`."""
    came = (outcome.time for outcome in outcomes if outcome.step == step and is_promise(outcome))
    return peak_of(sorted(came), over_seconds=over_seconds)


def peak_of(moments: Sequence[float], *, over_seconds: float) -> float:
    """The same of the moments at which it was asked for, in order."""
    start = most = 0
    for end, moment in enumerate(moments):
        while moment - moments[start] >= over_seconds:
            start += 1
        most = max(most, end + 1 - start)
    return most / over_seconds
