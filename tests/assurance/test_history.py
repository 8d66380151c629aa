"""A history that is carried on says what one from nothing says, whatever came late, early, twice or out of order."""

import random
from collections.abc import Sequence
from math import inf

import pytest

from prikkfri.assurance.impact import Scope, holder_of
from prikkfri.assurance.response import archive
from prikkfri.assurance.response.archive import JournalPlace
from prikkfri.assurance.response.history import OutcomeHistory
from prikkfri.assurance.response.households import HolderRow
from prikkfri.assurance.response.incident_history import AHEAD_SECONDS, IncidentHistory
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.store import StoredOutcome
from prikkfri.assurance.tally import EXPECTATIONS, Expectation
from prikkfri.journal import Outcome

BEGAN = 10_000.0
LASTS = 120.0
GRACE = {
    place: Expectation(15.0, each.repeatable, each.carried_to, each.carried_layer)
    for place, each in EXPECTATIONS.items()
}
SEGMENTS = (
    (Segment.of({"service": "television", "step": "sign-in"}),),
    (Segment.of({"service": "television", "step": "sign-in", "layer": "signin"}),),
    (Segment.of({"service": "television", "layer": "signin", "client": "phone"}), Segment.of({"step": "enter"})),
    (Segment.of({"service": "television"}),),
)
STEPS = ("join", "enter", "sign-in", "return", "start-playback", "picture", "route", "open-channel")
REASONS = ("overloaded", "wrong-credentials", "undelivered", "database-unavailable", "pass-spent")


class Told:
    """Outcomes drawn by lot: few people, so that they meet in every way, and times that often are the same."""

    def __init__(self, seed: int, *, calm: bool = False) -> None:
        self._lot = random.Random(seed)
        self._calm = calm
        """Most people ask once, and get it soon."""
        self._positions = {"door": 0, "signin": 0}
        self.people = self._lot.choice((12, 40) if calm else (3, 12, 40))
        self.rows: list[StoredOutcome] = []
        self.held: dict[tuple[str, str], tuple[float, float]] = {}

    def some(self, now: float) -> list[StoredOutcome]:
        """What is stored by `now`: of just then, of long before, of a moment ahead, and told again."""
        lot, new = self._lot, list[StoredOutcome]()
        for _ in range(lot.randrange(9)):
            again = self.rows and lot.random() < 0.08
            if self._calm and not again and lot.random() < 0.8:
                some = self._answered(now)
            else:
                some = [lot.choice(self.rows).outcome if again else self._outcome(now)]
            for outcome in some:
                stream = lot.choice(("door", "signin"))
                self._positions[stream] += 1
                new.append(StoredOutcome(stream, self._positions[stream], outcome, "i"))
                if outcome.observed and outcome.device and outcome.customer:
                    first, last = self.held.get((outcome.device, outcome.customer), (outcome.time, outcome.time))
                    self.held[outcome.device, outcome.customer] = min(first, outcome.time), max(last, outcome.time)
        self.rows += new
        return new

    def _answered(self, now: float) -> list[Outcome]:
        lot = self._lot
        number, asked = lot.randrange(4 * self.people), now - lot.choice((0.0, 2.0, 20.0, 60.0)) * lot.random()
        step, device = lot.choice(("sign-in", "start-playback", "enter")), "" if lot.random() < 0.1 else f"d-{number}"
        known = {"service": "television", "step": step, "device": device, "promise": f"q-{lot.randrange(10**9)}"}
        customer = f"s-{number}" if lot.random() < 0.7 or not device else ""
        kept = Outcome(time=asked + 4 * lot.random(), layer="signin", verdict="kept", customer=customer, **known)  # type: ignore[arg-type]
        if lot.random() < 0.3:
            return [kept]
        who = "" if device else customer
        return [Outcome(time=asked, layer="door", verdict="asked", customer=who, **known), kept]  # type: ignore[arg-type]

    def of_those(self, places: Sequence[JournalPlace]) -> list[StoredOutcome]:
        """All that is stored of whoever these outcomes are of."""
        at = {place[:3]: "" for place in places}
        names = {
            r.outcome.device or r.outcome.customer for r in self.rows if (r.stream, r.incarnation, r.position) in at
        }
        return [row for row in self.rows if (row.outcome.device or row.outcome.customer) in names]

    def _outcome(self, now: float) -> Outcome:
        lot = self._lot
        ago = lot.choice((0.0, lot.random(), 5 * lot.random(), 60 * lot.random(), -0.5, -3.0))
        step, number = lot.choice(STEPS), lot.randrange(self.people)
        verdict = lot.choice(("asked", "asked", "kept", "broken"))
        dimensions = {} if lot.random() < 0.5 else {"client": lot.choice(("phone", "television"))}
        if step == "join":
            verdict, dimensions = "asked", {"for": lot.choice(("enter", "sign-in"))}
        if step in ("picture", "start-playback"):
            dimensions = {"channel": lot.choice(("sport", "news"))}
        return Outcome(
            time=round((now - ago) * 4) / 4 if lot.random() < 0.7 else now - ago,
            service="television",
            step=step,
            layer=lot.choice(("door", "signin")),
            verdict=verdict,  # type: ignore[arg-type]
            reason=lot.choice(REASONS) if verdict == "broken" else "",
            customer=f"s-{number // 2}" if lot.random() < 0.3 else "",
            device=f"d-{number}" if lot.random() < 0.8 else "",
            promise=f"p-{lot.randrange(3 * self.people)}" if lot.random() < 0.7 else "",
            observed=lot.random() < 0.9,
            dimensions=dimensions,
        )

    def holders(self, devices: Sequence[str] | None = None) -> list[HolderRow]:
        found = [(device, customer, *times) for (device, customer), times in self.held.items()]
        return [row for row in found if devices is None or row[0] in devices]


def from_nothing(told: Told, since: float, now: float) -> OutcomeHistory:
    rows = sorted(
        (row for row in told.rows if since <= row.outcome.time < now + AHEAD_SECONDS), key=lambda row: row.place
    )
    return OutcomeHistory([row.outcome for row in rows], now, GRACE, holder_of(told.holders()))


def bring_up(history: IncidentHistory, told: Told, now: float) -> int:
    """Advances it; how many households came back from the archive."""
    back = 0
    while True:
        if places := history.to_recall(now):
            back += len(places)
            history.recall(told.of_those(places))
        elif devices := history.devices_to_look_up(now):
            history.hold(devices, told.holders(devices))
        else:
            history.advance(now)
            return back


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("live_max", [inf, 0, 40])
def test_carried_on_it_says_what_it_says_from_nothing(
    monkeypatch: pytest.MonkeyPatch, seed: int, live_max: float
) -> None:
    # The archive sorts and tidies up as it does when there are a million.
    monkeypatch.setattr(archive, "TAGS_AT_ONCE", 16)
    monkeypatch.setattr(archive, "RUN_TAGS_MAX", 100)
    calm = live_max < inf
    lot, told = random.Random(-seed), Told(seed, calm=calm)
    back = 0
    most = 0
    now, since, opened = BEGAN, BEGAN - 60, BEGAN + 20
    told.some(now - 50)
    history: IncidentHistory | None = None
    unread: list[StoredOutcome] = []
    segments, scope_since = lot.choice(SEGMENTS), BEGAN + 2.5
    ended: float | None = None
    while now < BEGAN + LASTS:
        now += lot.choice((0.25, 0.5, 1.0, 2.0, 7.0, 20.0))
        unread += told.some(now)
        if lot.random() < 0.3:
            continue
        if lot.random() < 0.15:
            segments, scope_since = lot.choice(SEGMENTS), BEGAN + lot.choice((-3.0, 2.5, 8.0))
        if lot.random() < 0.1:
            ended = lot.choice((None, now - 5.0))
        if lot.random() < 0.1:
            since = BEGAN + lot.choice((-70.0, -60.0, -10.0, 5.0))
        if history is None or lot.random() < 0.1:  # a restart
            history = IncidentHistory(since=since, usual_until=opened, expectations=GRACE, live_max=live_max)
            history.take(told.rows)
        else:
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
        whole = from_nothing(told, since, now)
        scope = Scope(segments, scope_since, now if ended is None else ended)
        assert history.promises() == whole.promises()
        assert history.impact(scope) == whole.impact(scope)
        assert history.people(segments, since=scope_since) == whole.people(segments, since=scope_since)
        steps = lot.choice(((), ("sign-in", "enter")))
        found = [each.asking(steps, since=scope_since, until=scope.until) for each in (history, whole)]
        assert found[0] == found[1]
        assert history.whole == (history.archived == 0)
        if history.whole:
            assert history.between(scope_since, now) == whole.between(scope_since, now)
        assert list(history.acts) == list(whole.acts) and list(history.routes) == list(whole.routes)
        for until in (scope_since, opened):
            assert sorted(history.crowd("enter", since, until)) == sorted(whole.crowd("enter", since, until))
            assert history.viewers(since, until) == whole.viewers(since, until)
    assert told.rows and history is not None
    assert most > 5 if calm else most == back == 0
    assert back > 0 or live_max != 0, "and some came back"
