"""All SQL of outcomes as they were taken from the journal, and of who held which device.

Statements name `{outcome}` where the table of a day stands; which days are asked follows from the times or from the
positions that are sought. Most often that is one.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from typing import NamedTuple

import msgspec

from prikkfri.assurance.counting import plausible_time
from prikkfri.assurance.outcomes.days import REST, calendar_day, day_of, statements_of, table_of
from prikkfri.assurance.outcomes.stored import (
    COLUMNS,
    OutcomeFilter,
    StoredOutcome,
    row_of,
    stored_outcome,
    stored_text,
)
from prikkfri.assurance.tally import own_error
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Parameters, Queries, Row, Transaction, fetch_in

ERASED_IN_A_TRANSACTION_MAX = 1_000
LEFT_SECONDS = 600.0
"""A day is left so long before its table goes: nobody reads it any more then."""
PEOPLE_MAX = 20_000
ALIKE_MAX = 32
"""Patterns in one statement; what would need more is read and sorted out afterwards."""
LATE_SECONDS = 60.0
"""What is told so long after its time may belong to an incident that nobody looks at any more ..."""
LATE_AROUND_SECONDS = 3_600.0
"""... and lies up to so long before or after it: no grace time is longer."""


class _Span(NamedTuple):
    """Between which positions of a stream some lie in the table of a day."""

    day: int
    first: int
    last: int


async def add_outcomes(transaction: Transaction, stream: str, page: Page, now: float) -> None:
    """Stores a page of a stream. Raises `StorageError` when any of it is stored already."""
    of_days: dict[int, list[dict[str, object]]] = {}
    left = {day for (day,) in await transaction.fetch("SELECT day FROM outcome_day WHERE left_at > 0")}
    for position, outcome in enumerate(page.outcomes, page.first):
        row = row_of(outcome, now) | {"stream": stream, "incarnation": page.incarnation, "position": position}
        day = day_of(row["time"], now)  # type: ignore[arg-type]
        of_days.setdefault(REST if day in left else day, []).append(row)
    for day, rows in of_days.items():
        await _make(transaction, day)
        await transaction.execute_many(
            f"INSERT INTO {table_of(day)} (stream, incarnation, position, time, service, step, layer, verdict,"  # noqa: S608
            " reason, customer, device, promise, observed, dimensions) VALUES (:stream, :incarnation, :position, :time,"
            " :service, :step, :layer, :verdict, :reason, :customer, :device, :promise, :observed, :dimensions)",
            rows,
        )
        span = {"stream": stream, "incarnation": page.incarnation, "day": day}
        await transaction.execute(
            "INSERT INTO outcome_span (stream, incarnation, day, first_position, last_position)"
            " VALUES (:stream, :incarnation, :day, :first, :last) ON CONFLICT (stream, incarnation, day) DO UPDATE SET"
            " first_position = CASE WHEN excluded.first_position < outcome_span.first_position"
            " THEN excluded.first_position ELSE outcome_span.first_position END,"
            " last_position = CASE WHEN excluded.last_position > outcome_span.last_position"
            " THEN excluded.last_position ELSE outcome_span.last_position END",
            {**span, "first": rows[0]["position"], "last": rows[-1]["position"]},
        )
    if of_days:
        await transaction.execute(
            "INSERT INTO outcome_head (stream, incarnation, position) VALUES (:stream, :incarnation, :position)"
            " ON CONFLICT (stream, incarnation) DO UPDATE SET position = CASE"
            " WHEN excluded.position > outcome_head.position THEN excluded.position ELSE outcome_head.position END",
            {"stream": stream, "incarnation": page.incarnation, "position": page.first + len(page.outcomes) - 1},
        )


async def _make(transaction: Transaction, day: int) -> None:
    """The table of a day, if it is not there yet."""
    if await transaction.execute(
        "INSERT INTO outcome_day (day, left_at) VALUES (:day, 0) ON CONFLICT (day) DO NOTHING", {"day": day}
    ):
        for statement in statements_of(day) if day != REST else ():
            await transaction.execute(statement)


async def _days(queries: Queries, since: float = 0.0, until: float = math.inf) -> list[int]:
    """Of which days outcomes of a time may be stored: that of the rest, if there is any, then the oldest first."""
    first, last = calendar_day(since), calendar_day(min(until, 1e12))
    rows = await queries.fetch(
        "SELECT day FROM outcome_day WHERE left_at = 0 AND (day = :rest OR (day >= :first AND day <= :last))"
        " ORDER BY day",
        {"rest": REST, "first": first, "last": last},
    )
    return [day for (day,) in rows]


async def every_table(queries: Queries) -> list[str]:
    """In which outcomes lie, also those of days that have been left."""
    return [table_of(day) for (day,) in await queries.fetch("SELECT day FROM outcome_day ORDER BY day")]


async def tables_of(queries: Queries, *, since: float, until: float) -> list[str]:
    """In which those of a time may lie."""
    return [table_of(day) for day in await _days(queries, since, until)]


async def _spans(queries: Queries, stream: str, incarnation: str, *, after: int, up_to: int) -> list[_Span]:
    """The days in whose tables outcomes of a stream after a position and up to another may lie."""
    rows = await queries.fetch(
        "SELECT day, first_position, last_position FROM outcome_span WHERE stream = :stream"
        " AND incarnation = :incarnation AND last_position > :after AND first_position <= :up_to"
        " ORDER BY first_position",
        {"stream": stream, "incarnation": incarnation, "after": after, "up_to": up_to},
    )
    return [_Span(*row) for row in rows]


async def _first_of_days(
    queries: Queries,
    sql: str,
    parameters: Parameters,
    days: Iterable[int],
    *,
    most: int,
    key: Callable[[StoredOutcome], object],
    reverse: bool = False,
) -> list[StoredOutcome]:
    """The first `most` rows, by `key`, of a statement with `LIMIT :most` over days that follow each other.

    The rest may lie in any of their times: it is asked before them.
    """
    rows: list[StoredOutcome] = []
    of_days = 0
    for day in days:
        if of_days >= most:
            break  # what the next days hold comes after these
        found = await queries.fetch(sql.format(outcome=table_of(day)), {**parameters, "most": most})
        rows += map(stored_outcome, found)
        of_days += len(found) if day != REST else 0
    return sorted(rows, key=key, reverse=reverse)[:most]  # type: ignore[arg-type]


def _newest_first(days: Collection[int]) -> list[int]:
    return sorted(days, key=lambda day: (day != REST, -day))


async def join_devices(transaction: Transaction, outcomes: Iterable[Outcome], now: float) -> None:
    """Remembers who held a device when, from outcomes that a role saw and that name both."""
    seen: dict[tuple[str, str], list[float]] = {}
    for outcome in outcomes:
        if outcome.observed and outcome.customer and outcome.device:
            seen.setdefault((stored_text(outcome.device), stored_text(outcome.customer)), []).append(
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


async def people(queries: Queries, *, since: float) -> dict[tuple[str, str], tuple[int, int]]:
    """By service and step: who is named for whom a promise was broken since then, and who asked; as roles saw it.

    Past `PEOPLE_MAX` kinds of broken promise of one person each the rest are not counted: it is bad enough.
    """
    named = (
        "SELECT service, step, {told} CASE WHEN device <> '' THEN device ELSE customer END AS person FROM {outcome}"
        " WHERE time >= :since AND observed = :observed AND (device <> '' OR customer <> '')"
    )
    tables = await tables_of(queries, since=since, until=math.inf)
    if not tables:
        return {}
    recent = " UNION ALL ".join(named.format(told="", outcome=table) for table in tables)
    rows = await queries.fetch(
        f"SELECT service, step, COUNT(DISTINCT person) FROM ({recent}) AS recent GROUP BY service, step",  # noqa: S608
        {"since": since, "observed": True},
    )
    asked = {(service, step): count for service, step, count in rows}
    told = "layer, reason,"
    failed = " UNION ALL ".join(named.format(told=told, outcome=table) + " AND verdict = 'broken'" for table in tables)
    broken = await queries.fetch(
        f"SELECT DISTINCT service, step, layer, reason, person FROM ({failed}) AS failed LIMIT :most",  # noqa: S608
        {"since": since, "observed": True, "most": PEOPLE_MAX},
    )
    hit: dict[tuple[str, str], set[str]] = {}
    for service, step, layer, reason, name in broken:
        if not own_error(service, reason, layer):
            hit.setdefault((service, step), set()).add(name)
    return {place: (len(hit.get(place, ())), count) for place, count in asked.items()}


_OUTCOMES = f"SELECT {COLUMNS} FROM {{outcome}}"  # noqa: S608
_OF_CUSTOMER = "WHERE customer = :customer AND customer <> ''"
_OF_HELD_DEVICES = (
    "WHERE customer = '' AND device <> '' AND device IN (SELECT device FROM device_holder WHERE customer = :customer)"
)


async def outcomes(queries: Queries, sought: OutcomeFilter, *, most: int) -> list[StoredOutcome]:
    """The newest outcomes that answer to `sought`, newest first."""
    # The constant lets the planner take the partial index of broken outcomes.
    broken = " AND verdict = 'broken'" if sought.verdict == "broken" else ""
    return await _first_of_days(
        queries,
        _OUTCOMES + " WHERE time >= :since AND time < :until"
        " AND (:service = '' OR service = :service) AND (:step = '' OR step = :step)"
        " AND (:layer = '' OR layer = :layer) AND (:verdict = '' OR verdict = :verdict)"
        " AND (:reason = '' OR reason = :reason)" + broken + " ORDER BY time DESC, position DESC LIMIT :most",
        asdict(sought),
        _newest_first(await _days(queries, sought.since, sought.until)),
        most=most,
        key=lambda row: (row.outcome.time, row.position),
        reverse=True,
    )


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
    time, stream, position, incarnation = after.place if after else (since, "", -1, "")
    return await _first_of_days(
        queries,
        _OUTCOMES + " WHERE time >= :since AND time < :until AND (:service = '' OR service = :service)"
        " AND (time, stream, position, incarnation) > (:since, :stream, :position, :incarnation)"
        " ORDER BY time, stream, position, incarnation LIMIT :most",
        {
            "since": time,
            "until": until,
            "service": service,
            "stream": stream,
            "position": position,
            "incarnation": incarnation,
        },
        await _days(queries, time, until),
        most=most,
        key=lambda row: row.place,
    )


async def journal_heads(queries: Queries) -> dict[tuple[str, str], int]:
    """By stream and incarnation the position of the last outcome that is stored."""
    rows = await queries.fetch("SELECT stream, incarnation, position FROM outcome_head")
    return {(stream, incarnation): position for stream, incarnation, position in rows}


async def outcomes_after(
    queries: Queries, *, stream: str, incarnation: str, position: int, up_to: int, most: int
) -> list[StoredOutcome]:
    """The first `most` outcomes of a stream after a position and up to another, in its order."""
    rows: list[StoredOutcome] = []
    for span in await _spans(queries, stream, incarnation, after=position, up_to=up_to):
        if len(rows) == most and rows[-1].position < span.first:
            break
        found = await queries.fetch(
            f"{_OUTCOMES} WHERE stream = :stream AND incarnation = :incarnation AND position > :position"
            " AND position <= :up_to ORDER BY position LIMIT :most".format(outcome=table_of(span.day)),
            {"stream": stream, "incarnation": incarnation, "position": position, "up_to": up_to, "most": most},
        )
        rows = sorted([*rows, *map(stored_outcome, found)], key=lambda row: row.position)[:most]
    return rows


async def outcomes_at(queries: Queries, places: Iterable[tuple[str, str, int]]) -> list[StoredOutcome]:
    """Those at these places: stream, incarnation and position. What is not stored is left out."""
    positions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for stream, incarnation, position in places:
        positions[stream, incarnation].append(position)
    rows: list[Row] = []
    for (stream, incarnation), theirs in positions.items():
        for span in await _spans(queries, stream, incarnation, after=min(theirs) - 1, up_to=max(theirs)):
            if inside := [position for position in theirs if span.first <= position <= span.last]:
                sql = f"{_OUTCOMES} WHERE stream = :stream AND incarnation = :incarnation AND position IN (:values)"
                sql = sql.format(outcome=table_of(span.day))
                rows += await fetch_in(queries, sql, inside, {"stream": stream, "incarnation": incarnation})
    return [stored_outcome(row) for row in rows]


async def outcomes_by_name(
    queries: Queries, *, devices: Collection[str], customers: Collection[str], service: str, since: float
) -> list[StoredOutcome]:
    """The outcomes of a service since then that name one of these devices, or no device and one of these customers."""
    scope = {"service": service, "since": since}
    named = _OUTCOMES + " WHERE {name} IN (:values) AND {name} <> '' AND time >= :since AND service = :service"
    rows: list[Row] = []
    for day in await _days(queries, since):
        table = table_of(day)
        if devices:
            rows += await fetch_in(queries, named.format(outcome=table, name="device"), devices, scope)
        if customers:
            sql = named.format(outcome=table, name="customer") + " AND device = ''"
            rows += await fetch_in(queries, sql, customers, scope)
    return [stored_outcome(row) for row in rows]


async def routes_in(
    queries: Queries, *, service: str, since: float, after: StoredOutcome | None = None, most: int
) -> list[StoredOutcome]:
    """The first `most` of what canaries say of routes from then on, oldest first; `after` one, those after it."""
    time, stream, position, incarnation = after.place if after else (since, "", -1, "")
    return await _first_of_days(
        queries,
        _OUTCOMES + " WHERE step = 'route' AND service = :service AND time >= :time"
        " AND (time, stream, position, incarnation) > (:time, :stream, :position, :incarnation)"
        " ORDER BY time, stream, position, incarnation LIMIT :most",
        {"service": service, "time": time, "stream": stream, "position": position, "incarnation": incarnation},
        await _days(queries, time),
        most=most,
        key=lambda row: row.place,
    )


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
    spans = await _spans(queries, stream, incarnation, after=position, up_to=up_to)
    ends = [up_to]
    for span in spans:
        # Where they lie among each other the end comes sooner than it might: each holds its own first ones up to it.
        last = await queries.fetch_one(
            f"SELECT position FROM {table_of(span.day)} WHERE {of_stream}"  # noqa: S608
            " ORDER BY position LIMIT 1 OFFSET :skipped",
            {**scope, "skipped": max(most // len(spans), 1) - 1},
        )
        ends += last or ()
    end = min(ends)
    others = "" if routes_only else " OR (step = 'deliver' AND promise <> '') OR (customer <> '' AND device <> '')"
    sql = f"{_OUTCOMES} WHERE {of_stream} AND service = :service AND (step = 'route'{others})"
    rows: list[Row] = []
    for span in spans:
        if span.first <= end:
            rows += await queries.fetch(
                sql.format(outcome=table_of(span.day)), {**scope, "up_to": end, "service": service}
            )
    return sorted(map(stored_outcome, rows), key=lambda row: row.position), end


async def handed_over_in(
    queries: Queries, *, service: str, since: float, until: float, ways: Collection[Mapping[str, str]], most: int
) -> tuple[list[str], float]:
    """Of the first outcomes of a time, `most` of each day, the promises of those that tell of a link with the
    dimensions of one of `ways`, and perhaps of more; and up to when that is. Of one moment all are gone through at
    once.
    """
    tables = await tables_of(queries, since=since, until=until)
    ends = [until]
    for table in tables:
        last = await queries.fetch_one(
            f"SELECT time FROM {table} WHERE time >= :since AND time < :until"  # noqa: S608
            " ORDER BY time LIMIT 1 OFFSET :most",
            {"since": since, "until": until, "most": most},
        )
        ends += last or ()
        if last:
            break  # what later days hold comes after it
    end = max(min(ends), math.nextafter(since, math.inf)) if len(ends) > 1 else until
    named: dict[str, str] = {}
    alike = []
    for way in ways:
        texts = [_like(*value) for value in way.items()]
        names = [f"d{len(named) + index}" for index in range(len(texts))]
        named |= dict(zip(names, texts, strict=True))
        alike.append(" AND ".join(f"dimensions LIKE :{name} ESCAPE '!'" for name in names) or "1 = 1")
    on_a_way = f" AND ({' OR '.join(f'({each})' for each in alike)})" if len(named) <= ALIKE_MAX else ""
    found: dict[str, None] = {}
    for table in tables:
        rows = await queries.fetch(
            f"SELECT promise FROM {table} WHERE time >= :since AND time < :end AND service = :service"  # noqa: S608
            f" AND step = 'deliver' AND layer = 'link' AND promise <> ''{on_a_way}",
            {"since": since, "end": end, "service": service, **(named if on_a_way else {})},
        )
        found |= dict.fromkeys(promise for (promise,) in rows)
    return list(found), end


def _like(name: str, value: str) -> str:
    """A pattern of the dimensions that have this value, as they are stored."""
    text = msgspec.json.encode({name: value}).decode()[1:-1]
    return "%" + text.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"


async def deliveries_of(
    queries: Queries, promises: Collection[str], *, service: str, since: float
) -> list[StoredOutcome]:
    """All that is told of the delivery of these messages from the day of `since` on, oldest first."""
    sql = f"{_OUTCOMES} WHERE step = 'deliver' AND promise <> '' AND promise IN (:values) AND service = :service"
    rows: list[Row] = []
    for day in await _days(queries, since):
        rows += await fetch_in(queries, sql.format(outcome=table_of(day)), promises, {"service": service})
    return sorted(map(stored_outcome, rows), key=lambda row: row.place)


async def named_on(
    queries: Queries, devices: Collection[str], *, service: str, since: float
) -> list[tuple[str, str, float]]:
    """Who a role of a service has named on these devices since then, and when first: device, customer, time."""
    first: dict[tuple[str, str], float] = {}
    for day in await _days(queries, since):
        rows = await fetch_in(
            queries,
            f"SELECT device, customer, MIN(time) FROM {table_of(day)} WHERE device IN (:values) AND device <> ''"  # noqa: S608
            " AND customer <> '' AND time >= :since AND service = :service AND observed = :observed"
            " GROUP BY device, customer",
            devices,
            {"since": since, "service": service, "observed": True},
        )
        for device, customer, time in rows:
            first[device, customer] = min(time, first.get((device, customer), time))
    return [(*named, time) for named, time in first.items()]


async def outcomes_of_customer(
    queries: Queries, customer: str, *, most: int, before: StoredOutcome | None = None
) -> list[StoredOutcome]:
    """The newest outcomes of a subscriber, and those of a held device from before anyone had signed in on it.

    `before` one of them: those that come after it.
    """
    last = (before.outcome.time, before.position, before.stream) if before else (math.inf, 0, "")
    return await _first_of_days(
        queries,
        f"SELECT * FROM ({_OUTCOMES} {_OF_CUSTOMER} UNION ALL {_OUTCOMES} {_OF_HELD_DEVICES}) AS theirs"  # noqa: S608
        " WHERE (time, position, stream) < (:time, :position, :stream)"
        " ORDER BY time DESC, position DESC, stream DESC LIMIT :most",
        {"customer": customer, "time": last[0], "position": last[1], "stream": last[2]},
        _newest_first(await _days(queries, until=last[0])),
        most=most,
        key=lambda row: (row.outcome.time, row.position, row.stream),
        reverse=True,
    )


async def erase_outcomes(
    transaction: Transaction, *, before: float, now: float, most: int = ERASED_IN_A_TRANSACTION_MAX
) -> int:
    """Erases some of what is older, and who held devices; 0 when nothing is left to erase just now.

    A day goes as a whole, when all of it is older: it is left first, and its table goes in a later step, when nobody
    reads it any more. The rest goes the oldest first, by the index of time. Each step is short, so that nobody waits
    long behind it.
    """
    erased = await _erase_rest(transaction, before=before, most=most)
    gone = {"now": now, "first": calendar_day(before), "rest": REST}
    if left := await transaction.execute(
        "UPDATE outcome_day SET left_at = :now WHERE left_at = 0 AND day < :first AND day <> :rest", gone
    ):
        await transaction.execute("DELETE FROM outcome_span WHERE day < :first AND day <> :rest", gone)
    long_left = await transaction.fetch_one(
        "SELECT day FROM outcome_day WHERE left_at > 0 AND left_at <= :until ORDER BY day LIMIT 1",
        {"until": now - LEFT_SECONDS},
    )
    if long_left:
        await transaction.drop_table(table_of(long_left[0]))
        await transaction.execute("DELETE FROM outcome_day WHERE day = :day", {"day": long_left[0]})
    holders = await transaction.execute(
        "DELETE FROM device_holder WHERE (device, customer) IN"
        " (SELECT device, customer FROM device_holder WHERE last_seen < :before ORDER BY last_seen LIMIT :most)",
        {"before": before, "most": most},
    )
    return erased + left + bool(long_left) + holders


async def _erase_rest(transaction: Transaction, *, before: float, most: int) -> int:
    if not await transaction.fetch("SELECT 1 FROM outcome_day WHERE day = :rest", {"rest": REST}):
        return 0
    erased = await transaction.execute(
        "DELETE FROM outcome WHERE (stream, incarnation, position) IN"
        " (SELECT stream, incarnation, position FROM outcome WHERE time < :before ORDER BY time LIMIT :most)",
        {"before": before, "most": most},
    )
    if erased and not await transaction.fetch("SELECT 1 FROM outcome LIMIT 1"):
        await transaction.execute("DELETE FROM outcome_day WHERE day = :rest", {"rest": REST})
        await transaction.execute("DELETE FROM outcome_span WHERE day = :rest", {"rest": REST})
    return erased
