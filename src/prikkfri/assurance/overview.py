"""What the last minutes come to: which promises were kept and broken, what is broken now, and what is not known.

What devices report is shown in rows of its own, and decides nothing.

The rule for "broken now" is the plain one (a share of the last minute); detection, which knows the ordinary level of
each series, may say more.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from prikkfri.assurance.counting import PERIOD_SECONDS, Count
from prikkfri.assurance.loads import LayerLoad
from prikkfri.assurance.tally import ORDINARY_SHARES, own_error, own_layer
from prikkfri.journal import role_of

WINDOW_SECONDS = 900
RECENT_SECONDS = 60
BROKEN_SHARE = 0.05
BROKEN_LEAST = 3
"""A step is broken now when, in the last minute, this share and at least this many of its promises were broken ..."""
BROKEN_TIMES_ORDINARY = 5.0
"""... and so many times the share that is ordinary at that step."""
STALE_SECONDS = 15.0
"""A stream that could not be read, or is behind, for longer than this hides what happens now."""
SETTLING_SECONDS = 1
"""The newest second is still being counted: a chart that showed it would always seem to plunge."""
JOURNEY = ("enter", "sign-in", "playback-token", "start-playback", "switch-channel", "submit", "deliver", "receipt")
REASONS_SHOWN = 3
SEEN_A_LINE = ("overloaded", "expired")
"""Why a device that is known did not come in at once. One that was signed out or has no token of ours is none."""

Tone = Literal["kept", "broken", "warning", "unknown"]
Kind = tuple[str, str, str, str, str, bool]
"""All of a `Count` but when and how many."""
Kinds = Mapping[Kind, Sequence[int]]
"""Outcomes of each kind in the window, and in the last minute, in the order in which they are first met."""


@dataclass(frozen=True)
class StreamState:
    """How far a role's stream has been followed."""

    stream: str
    exists: bool | None = None
    """None: not looked for yet; False: its role has never written."""
    current_at: float = 0.0
    """When it was last read to its end; 0: not yet."""
    trouble: str = ""
    """Why it cannot be read."""
    trouble_since: float = 0.0
    behind: int = 0
    """Outcomes that are written and not yet taken."""
    overflowed: int = 0
    """Outcomes that its writer had to drop."""

    def blind_since(self, now: float) -> float | None:
        """Since when what this stream says of the present is not known; None when it is known."""
        if self.exists is False and not self.trouble:
            return None  # its role's health tells more than this silence
        if now - self.current_at <= STALE_SECONDS:
            return None
        return self.current_at or self.trouble_since or now


@dataclass(frozen=True)
class RoleState:
    """Whether a role answers `/health`."""

    role: str
    answers: bool | None = None
    """None: not asked yet."""
    since: float = 0.0
    """Since when the answer has been the same."""


def together(processes: Iterable[RoleState]) -> dict[str, RoleState]:
    """Of each role whether any of its processes answers."""
    found: dict[str, RoleState] = {}
    for each in processes:
        role = role_of(each.role)
        before = found.get(role)
        if before is None or _tells_more(each, before):
            found[role] = replace(each, role=role)
    return found


def _tells_more(one: RoleState, other: RoleState) -> bool:
    """One that answers tells more than one that was not asked yet, and that more than one that is silent; of two that
    are silent the last to fall silent does."""
    order = (False, None, True)
    if one.answers is not other.answers:
        return order.index(one.answers) > order.index(other.answers)
    return one.since > other.since if one.answers is False else one.since < other.since


@dataclass(frozen=True)
class Row:
    """The promises of one step in one layer."""

    service: str
    step: str
    layer: str
    observed: bool
    asked: int
    kept: int
    broken: int
    declined: int
    """By the customer's own doing (a wrong password): neither kept nor broken."""
    recent_kept: int
    recent_broken: int
    reasons: tuple[tuple[str, int], ...]
    """Why promises were broken, the most frequent first."""
    own_reasons: tuple[tuple[str, int], ...]
    """Why customers were declined."""

    @property
    def share_broken(self) -> float | None:
        """None when nothing was settled."""
        settled = self.kept + self.broken
        return self.broken / settled if settled else None


@dataclass(frozen=True)
class Breakage:
    """A step that is broken now."""

    service: str
    step: str
    since: float
    certain: bool
    """False when it had begun before the window that was looked at."""
    recent_broken: int
    recent_settled: int
    hit: int = 0
    """Customers for whom a promise was broken in the last minute ..."""
    asked: int = 0
    """... of those who asked."""


@dataclass(frozen=True)
class KnownDevices:
    """Those that came to the door with a device token of ours: who of them saw no line."""

    came: int = 0
    without_line: int = 0
    """Who got a playback token for it; the others were turned away by the overload gate, or have to sign in anew."""

    @property
    def share(self) -> float | None:
        """None when none came."""
        return self.without_line / self.came if self.came else None


@dataclass(frozen=True)
class Overview:
    at: float
    tone: Tone
    rows: tuple[Row, ...]
    breakages: tuple[Breakage, ...]
    blind: tuple[tuple[str, float], ...]
    """Streams of which the present is not known, and since when."""
    silent_roles: tuple[RoleState, ...]
    """Roles that do not answer."""
    newest: float
    """When the newest outcome was decided; 0 when there is none in the window."""
    loads: tuple[LayerLoad, ...] = ()
    known_devices: KnownDevices = KnownDevices()

    @property
    def kept(self) -> int:
        return sum(row.kept for row in self.rows if row.observed)

    @property
    def broken(self) -> int:
        return sum(row.broken for row in self.rows if row.observed)


People = Mapping[tuple[str, str], tuple[int, int]]
"""By service and step: customers for whom a promise was broken in the last minute, and all who asked."""


def overview(
    counts: Sequence[Count],
    streams: Sequence[StreamState],
    roles: Sequence[RoleState],
    now: float,
    people: People | None = None,
    loads: tuple[LayerLoad, ...] = (),
) -> Overview:
    """`counts` cover the last `WINDOW_SECONDS`, in the periods in which they are kept."""
    kinds = _by_kind(counts, now)
    rows = _rows(kinds)
    breakages = tuple(_breakages(rows, counts, now, people or {}))
    blind = tuple((s.stream, since) for s in streams if (since := s.blind_since(now)) is not None)
    silent = tuple(role for role in roles if role.answers is False)
    newest = max((float(count.second + PERIOD_SECONDS) for count in counts), default=0.0)
    tone: Tone
    if breakages:
        tone = "broken"
    elif blind or silent:
        tone = "warning"
    elif not any(row.observed and (row.kept or row.broken) for row in rows):
        tone = "unknown"
    else:
        tone = "kept"
    return Overview(now, tone, rows, breakages, blind, silent, min(newest, now), loads, _known_devices(kinds))


def with_people(seen: Overview, people: People) -> Overview:
    """The same, with how many were hit by what is broken now."""
    named = (
        replace(each, hit=hit, asked=asked)
        for each in seen.breakages
        for hit, asked in [people.get((each.service, each.step), (0, 0))]
    )
    return replace(seen, breakages=tuple(named))


def _by_kind(counts: Iterable[Count], now: float) -> Kinds:
    """A window holds many periods of few kinds."""
    kinds: dict[Kind, list[int]] = {}
    recent = now - RECENT_SECONDS
    for count in counts:
        second, outcomes, kind = count[0], count[7], count[1:7]
        if (sums := kinds.get(kind)) is None:
            sums = kinds[kind] = [0, 0]
        sums[0] += outcomes
        if second >= recent:
            sums[1] += outcomes
    return kinds


def _known_devices(kinds: Kinds) -> KnownDevices:
    came = without_line = 0
    for (_, step, layer, verdict, reason, observed), (outcomes, _) in kinds.items():
        if (step, layer, observed) != ("playback-token", "door", True):
            continue
        if verdict == "kept":
            without_line += outcomes
        elif verdict != "broken" or reason not in SEEN_A_LINE:
            continue
        came += outcomes
    return KnownDevices(came, without_line)


@lru_cache(maxsize=4_096)
def _settled(service: str, layer: str, verdict: str, reason: str) -> str:
    """How an outcome counts: `kept`, `broken`, `asked`, or `declined` by the customer's own doing.

    What waits for an account that is not bound is that account's own doing, and shown as such while it waits.
    """
    broken = verdict == "broken" and own_error(service, reason, layer)
    waits = verdict == "asked" and bool(reason) and own_layer(service, layer)
    return "declined" if broken or waits else verdict


def _rows(kinds: Kinds) -> tuple[Row, ...]:
    totals: dict[tuple[str, str, str, bool], Counter[str]] = defaultdict(Counter)
    reasons: dict[tuple[str, str, str, bool, str], Counter[str]] = defaultdict(Counter)
    for (service, step, layer, verdict, reason, observed), (outcomes, recent) in kinds.items():
        key = (service, step, layer, observed)
        total = totals[key]
        settled = _settled(service, layer, verdict, reason)
        total[settled] += outcomes
        total[f"recent {settled}"] += recent
        if settled in ("broken", "declined"):
            reasons[*key, settled][reason or "no reason given"] += outcomes
    return tuple(
        Row(
            *key,
            asked=total["asked"],
            kept=total["kept"],
            broken=total["broken"],
            declined=total["declined"],
            recent_kept=total["recent kept"],
            recent_broken=total["recent broken"],
            reasons=tuple(reasons.get((*key, "broken"), Counter()).most_common(REASONS_SHOWN)),
            own_reasons=tuple(reasons.get((*key, "declined"), Counter()).most_common(REASONS_SHOWN)),
        )
        for key, total in sorted(totals.items(), key=lambda item: (item[0][0], journey_place(item[0][1]), item[0][2:]))
    )


def journey_place(step: str) -> tuple[int, str]:
    """Sorts steps as a customer meets them; what we do not know comes last, by name."""
    return (JOURNEY.index(step) if step in JOURNEY else len(JOURNEY), step)


def _breakages(rows: Iterable[Row], counts: Sequence[Count], now: float, people: People) -> Iterable[Breakage]:
    recent: dict[tuple[str, str], list[int]] = {}
    for row in rows:  # as a customer meets them
        if row.observed:
            sums = recent.setdefault((row.service, row.step), [0, 0])
            sums[0] += row.recent_broken
            sums[1] += row.recent_broken + row.recent_kept
    for (service, step), (broken, settled) in recent.items():
        share = max(BROKEN_SHARE, BROKEN_TIMES_ORDINARY * ORDINARY_SHARES.get((service, step), 0.0))
        if broken >= BROKEN_LEAST and broken >= share * settled:
            since, certain = _began(_periods(counts, service, step), now, share)
            hit, asked = people.get((service, step), (0, 0))
            yield Breakage(service, step, since, certain, broken, settled, hit, asked)


def _periods(counts: Iterable[Count], service: str, step: str) -> dict[int, Counter[str]]:
    """What each period kept and broke at a step, as roles saw it."""
    periods: dict[int, Counter[str]] = defaultdict(Counter)
    for count in counts:
        if (count.service, count.step, count.observed) == (service, step, True):
            settled = _settled(service, count.layer, count.verdict, count.reason)
            if settled in ("kept", "broken"):
                periods[count.second][settled] += count.outcomes
    return periods


def _began(periods: dict[int, Counter[str]], now: float, share: float) -> tuple[float, bool]:
    """The start of the run of bad periods that reaches the present; good for less than a minute does not end it."""
    bad = sorted(
        (s for s, total in periods.items() if total["broken"] >= share * total.total() and total["broken"]),
        reverse=True,
    )
    began = bad[0]
    for second in bad[1:]:
        if began - second > RECENT_SECONDS:
            break
        began = second
    return float(began), began > now - WINDOW_SECONDS + RECENT_SECONDS


@dataclass(frozen=True)
class Series:
    """One line of the chart: promises a second, kept and broken, in each period."""

    service: str
    step: str
    observed: bool
    kept: tuple[float, ...]
    broken: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    period_seconds: int
    times: tuple[int, ...]
    """The start of each period."""
    series: tuple[Series, ...]


def chart(counts: Iterable[Count], *, since: int, until: int, period: int) -> Chart:
    """Whole periods from `since` to before `until`; both are multiples of `period` seconds."""
    times = tuple(range(since, until, period))
    lines: dict[tuple[str, str, bool], dict[str, list[float]]] = {}
    for count in counts:
        settled = _settled(count.service, count.layer, count.verdict, count.reason)
        place = (count.second - since) // period
        if settled in ("kept", "broken") and 0 <= place < len(times):
            key = (count.service, count.step, count.observed)
            line = lines.setdefault(key, {"kept": [0.0] * len(times), "broken": [0.0] * len(times)})
            line[settled][place] += count.outcomes / period
    series = tuple(
        Series(*key, kept=tuple(line["kept"]), broken=tuple(line["broken"]))
        for key, line in sorted(lines.items(), key=lambda item: (item[0][0], journey_place(item[0][1]), item[0][2]))
    )
    return Chart(period, times, series)
