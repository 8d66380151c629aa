"""A history that is carried on says what one from nothing says, whatever came late, early, twice or out of order."""

import random
from collections.abc import Callable, Sequence
from math import inf

import pytest
from told_outcomes import BEGAN, GRACE, LASTS, SEGMENTS, Told, from_nothing

from prikkfri.assurance.impact import Scope
from prikkfri.assurance.outcomes.stored import StoredOutcome
from prikkfri.assurance.response import archive
from prikkfri.assurance.response.incident_history import IncidentHistory
from prikkfri.assurance.response.records import checkpoint_bytes, checkpoint_of, piece_of, records_of


def bring_up(
    history: IncidentHistory, told: Told, now: float, *, unread: Callable[[StoredOutcome], bool] = lambda row: False
) -> int:
    """Advances it; how many households came back from the archive."""
    back = 0
    while True:
        if places := history.to_recall(now):
            back += len(places)
            rows = [row for row in told.of_those(places) if row.outcome.time >= history.since and not unread(row)]
            history.recall([row for row in told.rows if place_of(row) in places], rows)
        elif devices := history.devices_to_look_up(now):
            history.hold(devices, told.holders(devices))
        else:
            history.advance(now)
            return back


class Kept:
    """What is stored of a history: pieces, and where it stood when so many were."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.checkpoint: bytes | None = None

    def keep(self, history: IncidentHistory, told: Told, *, stands: bool) -> None:
        self.pieces.append(piece_of(history.take_records()))
        if stands:
            self.checkpoint = checkpoint_bytes(history.checkpoint(told.heads, pieces=len(self.pieces)))

    def known_again(self, told: Told, lot: random.Random, now: float, live_max: float) -> IncidentHistory:
        """As after a restart; what came after it stood is not read yet."""
        assert self.checkpoint is not None
        checkpoint = checkpoint_of(self.checkpoint)
        del self.pieces[checkpoint.pieces :]  # their history never stood on them
        history = IncidentHistory(
            since=checkpoint.since, usual_until=checkpoint.usual_until, expectations=GRACE, live_max=live_max
        )
        for piece in self.pieces:
            history.do_again(records_of(piece))
        history.keep_records()
        places = set(checkpoint.live_places())
        live = [row for row in told.rows if place_of(row) in places]
        assert len(live) == len(places)
        lot.shuffle(live)
        for start in range(0, len(live), 7):
            part, later = live[start : start + 7], set(map(place_of, live[start + 7 :]))
            history.take(part)
            bring_up(
                history,
                told,
                now,
                unread=lambda row, later=later: place_of(row) in later or beyond(row, checkpoint.heads),  # type: ignore[misc]
            )
        return history


def place_of(row: StoredOutcome) -> tuple[str, str, int]:
    return row.stream, row.incarnation, row.position


def beyond(row: StoredOutcome, heads: Sequence[tuple[str, str, int]]) -> bool:
    return not any((row.stream, row.incarnation) == head[:2] and row.position <= head[2] for head in heads)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("live_max", [inf, 0, 40])
@pytest.mark.parametrize("service", ["television", "messages"])
def test_carried_on_it_says_what_it_says_from_nothing(
    monkeypatch: pytest.MonkeyPatch, seed: int, live_max: float, service: str
) -> None:
    # The archive sorts and tidies up as it does when there are a million.
    monkeypatch.setattr(archive, "TAGS_AT_ONCE", 16)
    monkeypatch.setattr(archive, "RUN_TAGS_MAX", 100)
    calm = live_max < inf
    lot, told = random.Random(-seed), Told(seed, calm=calm, service=service)
    back = most = restarts = 0
    kept = Kept()
    now, since, opened = BEGAN, BEGAN - 60, BEGAN + 20
    told.some(now - 50)
    history: IncidentHistory | None = None
    unread: list[StoredOutcome] = []
    segments, scope_since = lot.choice(SEGMENTS[service]), BEGAN + 2.5
    ended: float | None = None
    while now < BEGAN + LASTS:
        now += lot.choice((0.25, 0.5, 1.0, 2.0, 7.0, 20.0))
        unread += told.some(now)
        if lot.random() < 0.3:
            continue
        if lot.random() < 0.15:
            segments, scope_since = lot.choice(SEGMENTS[service]), BEGAN + lot.choice((-3.0, 2.5, 8.0))
        if lot.random() < 0.1:
            ended = lot.choice((None, now - 5.0))
        if lot.random() < 0.1:
            since = BEGAN + lot.choice((-70.0, -60.0, -10.0, 5.0))
        if history is None or lot.random() < 0.05:  # a restart of which nothing is stored
            history = IncidentHistory(since=since, usual_until=opened, expectations=GRACE, live_max=live_max)
            history.keep_records()
            history.take(told.rows)
            kept = Kept()
        else:
            if kept.checkpoint is not None and (lot.random() < 0.1 or (calm and not restarts)):
                history = kept.known_again(told, lot, now, live_max)
                restarts += history.archived > 0
                unread = [row for row in told.rows if beyond(row, checkpoint_of(kept.checkpoint).heads)]
            if since < history.since:
                earlier = [row for row in told.rows if since <= row.outcome.time < history.since]
                unread = [row for row in unread if row.outcome.time >= history.since]
                history.since = since
                history.take(earlier)
            history.begin_at(since)
            history.joined([row.outcome.device for row in unread if row.outcome.customer])
            lot.shuffle(unread)
            history.take(unread)
        unread = []
        back += bring_up(history, told, now)
        most = max(most, history.archived)
        first = history.archived > 0 and not restarts
        if lot.random() < 0.5 or first:
            kept.keep(history, told, stands=lot.random() < 0.5 or first)
        whole = from_nothing(told, since, now)
        scope = Scope(segments, scope_since, now if ended is None else ended)
        assert history.promises() == whole.promises()
        assert history.impact(scope) == whole.impact(scope)
        assert history.people(segments, since=scope_since) == whole.people(segments, since=scope_since)
        steps = lot.choice(((), ("sign-in", "enter"), ("join",), ("deliver",)))
        found = [each.asking(steps, since=scope_since, until=scope.until) for each in (history, whole)]
        assert found[0] == found[1]
        assert list(history.acts) == list(whole.acts)
        for until in (scope_since, opened):
            for step in ("enter", "submit"):
                assert sorted(history.crowd(step, since, until)) == sorted(whole.crowd(step, since, until))
            assert history.viewers(since, until) == whole.viewers(since, until)
    assert told.rows and history is not None
    assert most > (5 if service == "television" else 2) if calm else most == back == 0
    assert back > 0 or live_max != 0, "and some came back"
    assert restarts > 0 or not calm, "and it was known again with an archive"
