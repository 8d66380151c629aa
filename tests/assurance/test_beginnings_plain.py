"""When something began: the columns say what going through the promises one by one says."""

import random
from collections.abc import Sequence
from math import inf, log

import pytest

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.localisation import ORDINARY_SLACK, SHARE_FLOOR, FaultSegment
from prikkfri.assurance.response.assessing import (
    ROSE_BEFORE_NATS,
    ROSE_BEFORE_SECONDS,
    ROSE_FITTED_SECONDS,
    ROSE_NATS,
    ROSE_UNBROKEN_NATS,
    began,
    lying_in,
    rose,
    rose_beside,
)
from prikkfri.assurance.response.promises import SettledPromise
from prikkfri.assurance.segments import Segment

LINK = Segment.of({"service": "messages", "step": "deliver", "layer": "link"})
PLACES = [Segment.of({**dict(LINK.values), "link": link}) for link in ("nord", "syd", "vest")]


def at_most_ordinary(level: float) -> float:
    return min(0.5, ORDINARY_SLACK * max(level, SHARE_FLOOR))


def plain_began(promises: Sequence[SettledPromise], segments: Sequence[Segment], *, since: float) -> float:
    ours = lying_in(promises, segments)
    last_kept = max((each.asked for each in ours if each.kept and each.at < since), default=0.0)
    broken = (each.asked for each in ours if not each.kept and each.at >= since)
    return min([since, *(asked for asked in broken if asked > last_kept)])


def plain_rose(promises: Sequence[SettledPromise], alarm: Alarm) -> float:
    if alarm.kind != "share" or alarm.seen <= at_most_ordinary(alarm.level):
        return alarm.since
    since = alarm.since - ROSE_BEFORE_SECONDS
    ours = lying_in(promises, [alarm.segment])
    theirs = [each for each in ours if each.at < alarm.raised_at]
    beginnings = plain_beginnings(theirs, alarm.level, alarm.seen, least_since=since)
    best = max(beginnings, default=(-inf, since))[0]
    near = [each for each in beginnings if each[1] >= since]
    nearby = max(near, default=(-inf, since))[0]
    if best < nearby + ROSE_BEFORE_NATS:
        best, beginnings = nearby, near
        for known in (theirs, ours):
            near = [each for each in known if each.at >= alarm.since - ROSE_FITTED_SECONDS]
            fitted = plain_fitted(near, at_most_ordinary(alarm.level))
            most = max(fitted, default=(-inf, since))[0]
            beginnings += [(best, at) for nats, at in fitted if nats >= most - ROSE_NATS]
    return min((at for nats, at in beginnings if nats >= best - ROSE_NATS), default=alarm.since)


def plain_rose_beside(
    promises: Sequence[SettledPromise], placed: FaultSegment, worse: Sequence[Segment], alarms: Sequence[Alarm]
) -> float | None:
    levels = [each.level for each in alarms if each.kind == "share" and each.segment.meets(placed.segment)]
    if not levels or placed.share <= at_most_ordinary(min(levels)):
        return None
    theirs = [p for p in lying_in(promises, [placed.segment]) if not any(each.holds(p.segment) for each in worse)]
    beginnings = plain_beginnings(theirs, min(levels), placed.share, least_since=inf)
    if not beginnings:
        return None
    best, first = max(beginnings)
    since = first - ROSE_BEFORE_SECONDS
    return min(at for nats, at in beginnings if nats >= best - ROSE_NATS and at >= since)


def plain_beginnings(
    promises: Sequence[SettledPromise], level: float, seen: float, *, least_since: float
) -> list[tuple[float, float]]:
    ordinary, risen = at_most_ordinary(level), min(seen, 0.999)
    kept, broken = log((1 - risen) / (1 - ordinary)), log(risen / ordinary)
    evidence, best = 0.0, -inf
    found: list[tuple[float, float]] = []
    for each in reversed(promises):
        if each.at < least_since and evidence < best - ROSE_UNBROKEN_NATS:
            break
        evidence += kept if each.kept else broken
        if not each.kept:
            found.append((evidence, each.at))
            best = max(best, evidence)
    return found


def plain_fitted(promises: Sequence[SettledPromise], ordinary: float) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    broken = settled = 0
    for each in reversed(promises):
        broken += not each.kept
        settled += broken > 0
        if each.kept:
            continue
        share, kept = broken / settled, settled - broken
        if share > ordinary:
            nats = broken * log(share / ordinary) + (kept * log((1 - share) / (1 - ordinary)) if kept else 0.0)
            found.append((nats, each.at))
    return found


def drawn(lot: random.Random) -> tuple[list[SettledPromise], float]:
    """Promises of ten minutes, of which more are broken in a part of it, and from when on."""
    fault, risen, usual = 1_000 + 600 * lot.random(), lot.choice((0.02, 0.2, 0.9)), lot.choice((0.0, 0.02))
    found = []
    for _ in range(lot.choice((0, 5, 60, 600))):
        at = float(round(1_000 + 600 * lot.random(), lot.choice((0, 3))))
        place = lot.choice(PLACES)
        failing = at >= fault and (place is not PLACES[0] or lot.random() < 0.5) and lot.random() < 0.8
        found.append(SettledPromise(at, at - 30 * lot.random(), place, lot.random() >= (risen if failing else usual)))
    return sorted(found, key=lambda each: each.at), fault


@pytest.mark.parametrize("seed", range(120))
def test_it_began_when_it_began_by_going_through_them_one_by_one(seed: int) -> None:
    lot = random.Random(seed)
    promises, fault = drawn(lot)
    levels = (0.001, 0.02, 0.3)
    alarms = []
    for _ in range(6):
        since = fault + 60 * (lot.random() - 0.5)
        segment = lot.choice((*PLACES, LINK))
        seen, level = lot.choice((0.05, 0.5, 1.0)), lot.choice(levels)
        alarms.append(Alarm("share", segment, since + 90 * lot.random(), since, level, seen, 9.0, 30.0, 26.0))
    for alarm in alarms:
        assert rose(promises, alarm) == plain_rose(promises, alarm)
    for _ in range(6):
        placed = FaultSegment(lot.choice((*PLACES, LINK)), 100.0, lot.choice((1.0, 20.0, 90.0)), 0.0, 0.05, 30.0)
        worse = lot.sample(PLACES, lot.randrange(3))
        theirs = lot.sample(alarms, 2)
        assert rose_beside(promises, placed, worse, theirs) == plain_rose_beside(promises, placed, worse, theirs)
        segments = lot.sample((*PLACES, LINK), 2)
        since = fault + 60 * (lot.random() - 0.5)
        assert began(promises, segments, since=since) == plain_began(promises, segments, since=since)
