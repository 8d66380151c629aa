"""All SQL of assurance: outcomes taken from the journal, what is counted of them, who holds a device, alarms."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from sys import intern

import msgspec

from prikkfri.assurance.counting import PERIOD_SECONDS, Count, plausible_time
from prikkfri.assurance.tally import own_error
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Queries, Row, Transaction, fetch_in

ERASED_IN_A_TRANSACTION_MAX = 1_000
TEXT_CHARACTERS_MAX = 200
DIMENSIONS_MAX = 20
PEOPLE_MAX = 20_000
ALIKE_MAX = 32
"""Patterns in one statement; what would need more is read and sorted out afterwards."""
LATE_SECONDS = 60.0
"""What is told so long after its time may belong to an incident that nobody looks at any more ..."""
LATE_AROUND_SECONDS = 3_600.0
"""... and lies up to so long before or after it: no grace time is longer."""


class StoredOutcome(msgspec.Struct, frozen=True, gc=False):
    """An outcome as it was taken from a stream. A struct, as outcomes are: a look reads tens of thousands."""

    stream: str
    position: int
    outcome: Outcome
    incarnation: str = ""
    """Of the journal that the position is in."""

    @property
    def place(self) -> tuple[float, str, int, str]:
        """By this outcomes are in order."""
        return self.outcome.time, self.stream, self.position, self.incarnation


@dataclass(frozen=True)
class Alarm:
    """Something that a follower could not explain, until a person has seen it."""

    text: str
    first_at: float
    last_at: float
    times: int
    seen_by: str
    seen_at: float


@dataclass(frozen=True)
class OutcomeFilter:
    """Which outcomes to list; an empty text means any."""

    since: float
    until: float
    service: str = ""
    step: str = ""
    layer: str = ""
    verdict: str = ""
    reason: str = ""


async def add_outcomes(transaction: Transaction, stream: str, page: Page, now: float) -> None:
    """Stores a page of a stream. Raises `StorageError` when any of it is stored already."""
    await transaction.execute_many(
        "INSERT INTO outcome (stream, incarnation, position, time, service, step, layer, verdict, reason, customer,"
        " device, promise, observed, dimensions) VALUES (:stream, :incarnation, :position, :time, :service, :step,"
        " :layer, :verdict, :reason, :customer, :device, :promise, :observed, :dimensions)",
        [
            {
                "stream": stream,
                "incarnation": page.incarnation,
                "position": page.first + index,
                "time": plausible_time(outcome.time, now),
                "service": _text(outcome.service),
                "step": _text(outcome.step),
                "layer": _text(outcome.layer),
                "verdict": outcome.verdict,
                "reason": _text(outcome.reason),
                "customer": _text(outcome.customer),
                "device": _text(outcome.device),
                "promise": _text(outcome.promise),
                "observed": outcome.observed,
                "dimensions": _dimensions(tuple(outcome.dimensions.items())),
            }
            for index, outcome in enumerate(page.outcomes)
        ],
    )


def _text(value: str) -> str:
    # One outcome that a database cannot hold (PostgreSQL refuses NUL) would hold up its whole stream for good.
    return value.replace("\0", "\ufffd")[:TEXT_CHARACTERS_MAX]


@lru_cache(maxsize=4_096)
def _dimensions(dimensions: tuple[tuple[str, str], ...]) -> str:
    """The same few stand in a great many outcomes."""
    kept = {_text(name): _text(value) for name, value in dimensions[:DIMENSIONS_MAX]}
    return msgspec.json.encode(kept).decode()


async def add_counts(transaction: Transaction, counts: Iterable[Count]) -> None:
    await transaction.execute_many(
        "INSERT INTO outcome_count (second, service, step, layer, verdict, reason, observed, outcomes)"
        " VALUES (:second, :service, :step, :layer, :verdict, :reason, :observed, :outcomes)"
        " ON CONFLICT (second, service, step, layer, verdict, reason, observed)"
        " DO UPDATE SET outcomes = outcome_count.outcomes + excluded.outcomes",
        [count._asdict() for count in counts],
    )


async def join_devices(transaction: Transaction, outcomes: Iterable[Outcome], now: float) -> None:
    """Remembers who held a device when, from outcomes that a role saw and that name both."""
    seen: dict[tuple[str, str], list[float]] = {}
    for outcome in outcomes:
        if outcome.observed and outcome.customer and outcome.device:
            seen.setdefault((_text(outcome.device), _text(outcome.customer)), []).append(
                plausible_time(outcome.time, now)
            )
    await transaction.execute_many(
        "INSERT INTO device_holder (device, customer, first_seen, last_seen)"
        " VALUES (:device, :customer, :first, :last) ON CONFLICT (device, customer) DO UPDATE SET"
        " first_seen = CASE WHEN excluded.first_seen < device_holder.first_seen"
        " THEN excluded.first_seen ELSE device_holder.first_seen END,"
        " last_seen = CASE WHEN excluded.last_seen > device_holder.last_seen"
        " THEN excluded.last_seen ELSE device_holder.last_seen END",
        [
            {"device": device, "customer": customer, "first": min(times), "last": max(times)}
            for (device, customer), times in sorted(seen.items())
        ],
    )
    # Whoever is on the list of an incident by this device alone is named later, in a step of its own.
    await transaction.execute_many(
        "INSERT INTO device_named (device) SELECT DISTINCT device FROM incident_hit"
        " WHERE device = :device AND customer = '' ON CONFLICT (device) DO NOTHING",
        [{"device": device} for device in sorted({device for device, _ in seen})],
    )


async def note_late(transaction: Transaction, outcomes: Iterable[Outcome], now: float) -> None:
    """Remembers the incidents of whose time these outcomes tell though it is long past: their lists are made anew."""
    hours = {o.time // LATE_AROUND_SECONDS for o in outcomes if o.observed and o.time < now - LATE_SECONDS}
    await transaction.execute_many(
        "INSERT INTO incident_late (incident) SELECT incident FROM incident_impact"
        " WHERE since < :last AND until >= :first ON CONFLICT (incident) DO NOTHING",
        [
            {"first": (hour - 1) * LATE_AROUND_SECONDS, "last": (hour + 2) * LATE_AROUND_SECONDS}
            for hour in sorted(hours)
        ],
    )


async def counts(queries: Queries, *, since: int, until: int, period: int) -> list[Count]:
    """What was counted from `since` to before `until`, added up in periods of `period` seconds.

    `period` is a multiple of the periods in which counts are kept.
    """
    if period == PERIOD_SECONDS:  # as they are kept, each kind is one row: adding up a thousand of them costs as much
        rows = await queries.fetch(
            "SELECT second, service, step, layer, verdict, reason, observed, outcomes FROM outcome_count"
            " WHERE second >= :since AND second < :until ORDER BY 1, 2, 3, 4, 5, 6, 7",
            {"since": since, "until": until},
        )
        return [Count._make((*row[:6], bool(row[6]), row[7])) for row in rows]
    rows = await queries.fetch(
        "SELECT second / :period * :period, service, step, layer, verdict, reason, observed,"
        " CAST(SUM(outcomes) AS BIGINT) FROM outcome_count WHERE second >= :since AND second < :until"
        " GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1",
        {"since": since, "until": until, "period": period},
    )
    return [Count._make((*row[:6], bool(row[6]), row[7])) for row in rows]


async def people(queries: Queries, *, since: float) -> dict[tuple[str, str], tuple[int, int]]:
    """By service and step: who is named for whom a promise was broken since then, and who asked; as roles saw it.

    Past `PEOPLE_MAX` kinds of broken promise of one person each the rest are not counted: it is bad enough.
    """
    rows = await queries.fetch(
        "SELECT service, step, COUNT(DISTINCT CASE WHEN device <> '' THEN device ELSE customer END) FROM outcome"
        " WHERE time >= :since AND observed = :observed AND (device <> '' OR customer <> '') GROUP BY service, step",
        {"since": since, "observed": True},
    )
    asked = {(service, step): count for service, step, count in rows}
    broken = await queries.fetch(
        "SELECT DISTINCT service, step, layer, reason, CASE WHEN device <> '' THEN device ELSE customer END"
        " FROM outcome WHERE time >= :since AND verdict = 'broken' AND observed = :observed"
        " AND (device <> '' OR customer <> '') LIMIT :most",
        {"since": since, "observed": True, "most": PEOPLE_MAX},
    )
    hit: dict[tuple[str, str], set[str]] = {}
    for service, step, layer, reason, name in broken:
        if not own_error(service, reason, layer):
            hit.setdefault((service, step), set()).add(name)
    return {place: (len(hit.get(place, ())), count) for place, count in asked.items()}


_OUTCOMES = (
    "SELECT stream, position, time, service, step, layer, verdict, reason, customer, device, promise, observed,"
    " dimensions, incarnation FROM outcome"
)
_OF_CUSTOMER = "WHERE customer = :customer AND customer <> ''"
_OF_HELD_DEVICES = (
    "WHERE customer = '' AND device <> '' AND device IN (SELECT device FROM device_holder WHERE customer = :customer)"
)


async def outcomes(queries: Queries, sought: OutcomeFilter, *, most: int) -> list[StoredOutcome]:
    """The newest outcomes that answer to `sought`, newest first."""
    # The constant lets the planner take the partial index of broken outcomes.
    broken = " AND verdict = 'broken'" if sought.verdict == "broken" else ""
    rows = await queries.fetch(
        _OUTCOMES + " WHERE time >= :since AND time < :until"
        " AND (:service = '' OR service = :service) AND (:step = '' OR step = :step)"
        " AND (:layer = '' OR layer = :layer) AND (:verdict = '' OR verdict = :verdict)"
        " AND (:reason = '' OR reason = :reason)" + broken + " ORDER BY time DESC, position DESC LIMIT :most",
        {**asdict(sought), "most": most},
    )
    return [_taken(row) for row in rows]


async def outcomes_in(
    queries: Queries,
    *,
    since: float,
    until: float,
    service: str = "",
    after: StoredOutcome | None = None,
    most: int,
) -> list[StoredOutcome]:
    """The first `most` outcomes of a time and service (empty: any), oldest first; `after` one, those after it."""
    stream, position = (after.stream, after.position) if after else ("", -1)
    since = after.outcome.time if after else since
    rows = await queries.fetch(
        f"{_OUTCOMES} WHERE time >= :since AND time < :until AND (:service = '' OR service = :service)"
        " AND (time, stream, position) > (:since, :stream, :position) ORDER BY time, stream, position LIMIT :most",
        {
            "since": since,
            "until": until,
            "service": service,
            "stream": stream,
            "position": position,
            "most": most,
        },
    )
    return [_taken(row) for row in rows]


async def journal_heads(queries: Queries) -> dict[tuple[str, str], int]:
    """By stream and incarnation the position of the last outcome that is stored."""
    heads: dict[tuple[str, str], int] = {}
    stream = incarnation = ""
    # By two look-ups: where both are compared at once SQLite goes through all that bears the last of them.
    while found := (
        await queries.fetch_one(
            "SELECT stream, incarnation FROM outcome WHERE stream = :stream AND incarnation > :incarnation"
            " ORDER BY incarnation LIMIT 1",
            {"stream": stream, "incarnation": incarnation},
        )
        or await queries.fetch_one(
            "SELECT stream, incarnation FROM outcome WHERE stream > :stream ORDER BY stream, incarnation LIMIT 1",
            {"stream": stream},
        )
    ):
        stream, incarnation = found
        newest = await queries.fetch_one(
            "SELECT MAX(position) FROM outcome WHERE stream = :stream AND incarnation = :incarnation",
            {"stream": stream, "incarnation": incarnation},
        )
        heads[stream, incarnation] = newest[0] if newest else -1
    return heads


async def outcomes_after(
    queries: Queries, *, stream: str, incarnation: str, position: int, up_to: int, most: int
) -> list[StoredOutcome]:
    """The first `most` outcomes of a stream after a position and up to another, in its order."""
    rows = await queries.fetch(
        f"{_OUTCOMES} WHERE stream = :stream AND incarnation = :incarnation AND position > :position"
        " AND position <= :up_to ORDER BY position LIMIT :most",
        {"stream": stream, "incarnation": incarnation, "position": position, "up_to": up_to, "most": most},
    )
    return [_taken(row) for row in rows]


async def outcomes_at(queries: Queries, places: Iterable[tuple[str, str, int]]) -> list[StoredOutcome]:
    """Those at these places: stream, incarnation and position. What is not stored is left out."""
    positions: dict[tuple[str, str], list[int]] = {}
    for stream, incarnation, position in places:
        positions.setdefault((stream, incarnation), []).append(position)
    rows: list[Row] = []
    for (stream, incarnation), theirs in positions.items():
        sql = f"{_OUTCOMES} WHERE stream = :stream AND incarnation = :incarnation AND position IN (:values)"
        rows += await fetch_in(queries, sql, theirs, {"stream": stream, "incarnation": incarnation})
    return [_taken(row) for row in rows]


async def outcomes_by_name(
    queries: Queries, *, devices: Collection[str], customers: Collection[str], service: str, since: float
) -> list[StoredOutcome]:
    """The outcomes of a service since then that name one of these devices, or no device and one of these customers."""
    scope = {"service": service, "since": since}
    sql = f"{_OUTCOMES} WHERE device IN (:values) AND device <> '' AND time >= :since AND service = :service"
    rows = await fetch_in(queries, sql, devices, scope) if devices else []
    sql = f"{_OUTCOMES} WHERE customer IN (:values) AND customer <> '' AND time >= :since AND service = :service"
    rows += await fetch_in(queries, f"{sql} AND device = ''", customers, scope) if customers else []
    return [_taken(row) for row in rows]


async def routes_in(
    queries: Queries, *, service: str, since: float, after: StoredOutcome | None = None, most: int
) -> list[StoredOutcome]:
    """The first `most` of what canaries say of routes from then on, oldest first; `after` one, those after it."""
    time, stream, position, incarnation = after.place if after else (since, "", -1, "")
    rows = await queries.fetch(
        f"{_OUTCOMES} WHERE step = 'route' AND service = :service AND time >= :time"
        " AND (time, stream, position, incarnation) > (:time, :stream, :position, :incarnation)"
        " ORDER BY time, stream, position, incarnation LIMIT :most",
        {
            "service": service,
            "time": time,
            "stream": stream,
            "position": position,
            "incarnation": incarnation,
            "most": most,
        },
    )
    return [_taken(row) for row in rows]


async def deliveries_after(
    queries: Queries,
    *,
    stream: str,
    incarnation: str,
    position: int,
    up_to: int,
    service: str,
    routes_only: bool = False,
    most: int,
) -> tuple[list[StoredOutcome], int]:
    """Of the first `most` outcomes of a stream after a position and up to another: what canaries say of routes, those
    of deliveries, and those that name a device's customer; and up to which position that is."""
    scope = {"stream": stream, "incarnation": incarnation, "position": position, "up_to": up_to}
    of_stream = "stream = :stream AND incarnation = :incarnation AND position > :position AND position <= :up_to"
    last = await queries.fetch_one(
        f"SELECT position FROM outcome WHERE {of_stream} ORDER BY position LIMIT 1 OFFSET :skipped",  # noqa: S608
        {**scope, "skipped": most - 1},
    )
    end = last[0] if last else up_to
    others = "" if routes_only else " OR (step = 'deliver' AND promise <> '') OR (customer <> '' AND device <> '')"
    rows = await queries.fetch(
        f"{_OUTCOMES} WHERE {of_stream} AND service = :service AND (step = 'route'{others}) ORDER BY position",
        {**scope, "up_to": end, "service": service},
    )
    return [_taken(row) for row in rows], end


async def handed_over_in(
    queries: Queries, *, service: str, since: float, until: float, ways: Collection[Mapping[str, str]], most: int
) -> tuple[list[str], float]:
    """Of the first `most` outcomes of a time, the promises of those that tell of a link with the dimensions of one of
    `ways`, and perhaps of more; and up to when that is. Of one moment all are gone through at once.
    """
    last = await queries.fetch_one(
        "SELECT time FROM outcome WHERE time >= :since AND time < :until ORDER BY time LIMIT 1 OFFSET :most",
        {"since": since, "until": until, "most": most},
    )
    end = max(last[0], math.nextafter(since, math.inf)) if last else until
    named: dict[str, str] = {}
    alike = []
    for way in ways:
        texts = [_like(*value) for value in way.items()]
        names = [f"d{len(named) + index}" for index in range(len(texts))]
        named |= dict(zip(names, texts, strict=True))
        alike.append(" AND ".join(f"dimensions LIKE :{name} ESCAPE '!'" for name in names) or "1 = 1")
    on_a_way = f" AND ({' OR '.join(f'({each})' for each in alike)})" if len(named) <= ALIKE_MAX else ""
    rows = await queries.fetch(
        "SELECT promise FROM outcome WHERE time >= :since AND time < :end AND service = :service AND step = 'deliver'"  # noqa: S608
        f" AND layer = 'link' AND promise <> ''{on_a_way}",
        {"since": since, "end": end, "service": service, **(named if on_a_way else {})},
    )
    return list(dict.fromkeys(promise for (promise,) in rows)), end


def _like(name: str, value: str) -> str:
    """A pattern of the dimensions that have this value, as they are stored."""
    text = msgspec.json.encode({name: value}).decode()[1:-1]
    return "%" + text.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"


async def deliveries_of(queries: Queries, promises: Collection[str], *, service: str) -> list[StoredOutcome]:
    """All that is told of the delivery of these messages, oldest first."""
    sql = f"{_OUTCOMES} WHERE step = 'deliver' AND promise <> '' AND promise IN (:values) AND service = :service"
    rows = [_taken(row) for row in await fetch_in(queries, sql, promises, {"service": service})]
    return sorted(rows, key=lambda row: row.place)


async def named_on(
    queries: Queries, devices: Collection[str], *, service: str, since: float
) -> list[tuple[str, str, float]]:
    """Who a role of a service has named on these devices since then, and when first: device, customer, time."""
    rows = await fetch_in(
        queries,
        "SELECT device, customer, MIN(time) FROM outcome WHERE device IN (:values) AND device <> '' AND customer <> ''"
        " AND time >= :since AND service = :service AND observed = :observed GROUP BY device, customer",
        devices,
        {"since": since, "service": service, "observed": True},
    )
    return [(device, customer, time) for device, customer, time in rows]


async def outcomes_of_customer(
    queries: Queries, customer: str, *, most: int, before: StoredOutcome | None = None
) -> list[StoredOutcome]:
    """The newest outcomes of a subscriber, and those of a held device from before anyone had signed in on it.

    `before` one of them: those that come after it.
    """
    last = (before.outcome.time, before.position, before.stream) if before else (math.inf, 0, "")
    rows = await queries.fetch(
        f"SELECT * FROM ({_OUTCOMES} {_OF_CUSTOMER} UNION ALL {_OUTCOMES} {_OF_HELD_DEVICES}) AS theirs"  # noqa: S608
        " WHERE (time, position, stream) < (:time, :position, :stream)"
        " ORDER BY time DESC, position DESC, stream DESC LIMIT :most",
        {"customer": customer, "most": most, "time": last[0], "position": last[1], "stream": last[2]},
    )
    return [_taken(row) for row in rows]


def _taken(row: Row) -> StoredOutcome:
    (stream, position, time, service, step, layer, verdict, reason, customer, device, promise, observed, dimensions,
     incarnation) = row  # fmt: skip
    # What a great many outcomes say alike is kept once: they are kept for as long as their incident is looked at.
    return StoredOutcome(
        intern(stream),
        position,
        Outcome(
            time=time,
            service=intern(service),
            step=intern(step),
            layer=intern(layer),
            verdict=intern(verdict),  # type: ignore[arg-type]
            reason=intern(reason),
            customer=customer,
            device=device,
            promise=promise,
            observed=bool(observed),
            dimensions=_dimensions_of(dimensions),
        ),
        intern(incarnation),
    )


@lru_cache(maxsize=4_096)
def _dimensions_of(text: str) -> Mapping[str, str]:
    """The same few stand in a great many outcomes."""
    return msgspec.json.decode(text, type=dict[str, str])


async def raise_alarm(transaction: Transaction, text: str, now: float) -> None:
    """Stores an alarm; the same text, which names positions, is the same event met again."""
    await transaction.execute(
        "INSERT INTO alarm (text, first_at, last_at, times, seen_by, seen_at) VALUES (:text, :now, :now, 1, '', 0)"
        " ON CONFLICT (text) DO UPDATE SET last_at = excluded.last_at, times = alarm.times + 1",
        {"text": _text(text), "now": now},
    )


async def alarms(queries: Queries, *, most: int) -> list[Alarm]:
    """Unseen alarms first, then the newest."""
    rows = await queries.fetch(
        "SELECT text, first_at, last_at, times, seen_by, seen_at FROM alarm"
        " ORDER BY CASE WHEN seen_by = '' THEN 0 ELSE 1 END, last_at DESC LIMIT :most",
        {"most": most},
    )
    return [Alarm(*row) for row in rows]


async def mark_alarm_seen(transaction: Transaction, text: str, *, by: str, now: float) -> None:
    await transaction.execute(
        "UPDATE alarm SET seen_by = :by, seen_at = :now WHERE text = :text AND seen_by = ''",
        {"text": text, "by": by, "now": now},
    )


async def erase_outcomes(transaction: Transaction, *, before: float, most: int = ERASED_IN_A_TRANSACTION_MAX) -> int:
    """Erases some of what is older, and who held devices; 0 when nothing is left to erase.

    The oldest first, by the index of time: a step is short, so that nobody waits long behind it.
    """
    erased = await transaction.execute(
        "DELETE FROM outcome WHERE (stream, incarnation, position) IN"
        " (SELECT stream, incarnation, position FROM outcome WHERE time < :before ORDER BY time LIMIT :most)",
        {"before": before, "most": most},
    )
    return erased + await transaction.execute(
        "DELETE FROM device_holder WHERE (device, customer) IN"
        " (SELECT device, customer FROM device_holder WHERE last_seen < :before ORDER BY last_seen LIMIT :most)",
        {"before": before, "most": most},
    )


async def erase_counts(transaction: Transaction, *, before: float) -> int:
    return await transaction.execute(
        "DELETE FROM outcome_count WHERE second < :before AND second <= (SELECT MIN(second) + 600 FROM outcome_count)",
        {"before": int(before)},
    )
