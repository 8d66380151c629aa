"""Outcomes lie in a table for each day: whatever is asked of them is what one table of all would say."""

import math
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from outcome_rows import outcome_rows

from prikkfri.assurance.outcomes import store
from prikkfri.assurance.outcomes.days import DAY_SECONDS, DAYS_BACK_MAX, calendar_day, statements_of, table_of
from prikkfri.assurance.outcomes.stored import OutcomeFilter, StoredOutcome
from prikkfri.assurance.personal import store as personal_store
from prikkfri.assurance.personal.history import Number
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Database, Location, Queries, open_database
from prikkfri.storage.opening import migrate, open_unmigrated

NOW = 1_700_000_000.0
TODAY = calendar_day(NOW)
KEYS: dict[str, Callable[[StoredOutcome], Any]] = {
    "place": lambda row: row.place,
    "newest": lambda row: (row.outcome.time, row.position, row.stream),
}


@pytest.fixture
async def tables(location: Location) -> AsyncIterator[Database]:
    database = await open_database(location, "assurance")
    yield database
    await database.close()


async def days(database: Database) -> list[tuple[int, float]]:
    return [(day, left) for day, left in await database.read(lambda q: q.fetch("SELECT * FROM outcome_day ORDER BY 1"))]


class Drawn:
    """Outcomes of many days by lot, told in any order, some of no day that can be; and what a list of all says."""

    def __init__(self, seed: int) -> None:
        self.lot = random.Random(seed)
        self.rows: list[StoredOutcome] = []
        self.held: set[tuple[str, str]] = set()

    def time(self, now: float) -> float:
        lot = self.lot
        ago = lot.choice((60.0, 7_200.0, 3 * DAY_SECONDS, 9 * DAY_SECONDS, 40 * DAY_SECONDS)) * lot.random()
        if lot.random() < 0.1:
            return lot.choice((0.0, now + 30 * DAY_SECONDS, now + 60, float(TODAY * DAY_SECONDS)))
        return float(int(now - ago)) if lot.random() < 0.5 else now - ago

    def outcome(self, now: float) -> Outcome:
        lot = self.lot
        service = lot.choice(("television", "messages"))
        step = lot.choice(("deliver", "route", "submit") if service == "messages" else ("sign-in", "enter"))
        return Outcome(
            time=self.time(now), service=service, step=step, layer=lot.choice(("link", "signin")),
            verdict=lot.choice(("kept", "broken", "asked")), reason=lot.choice(("overloaded", "undelivered")),
            customer=lot.choice(("", "s-1", "s-2", "s-3")), device=lot.choice(("", "d-1", "d-2", "+4790000001")),
            promise=lot.choice(("", "m-1", "m-2", "m-3")), observed=lot.random() < 0.8,
            dimensions={"link": lot.choice(("nord", "syd"))},
        )  # fmt: skip

    def page(self, now: float) -> tuple[str, Page]:
        stream, incarnation = self.lot.choice(("door", "signin", "sms")), self.lot.choice(("i", "j"))
        first = 1 + max([r.position for r in self.of_stream(stream, incarnation)], default=0)
        told = [self.outcome(now) for _ in range(self.lot.randrange(1, 6))]
        self.rows += [StoredOutcome(stream, first + n, each, incarnation) for n, each in enumerate(told)]
        self.held |= {(o.device, o.customer) for o in told if o.observed and o.device and o.customer}
        last = first + len(told) - 1
        return stream, Page(incarnation, first, last, told, last, 0, 0)

    def of_stream(self, stream: str, incarnation: str) -> list[StoredOutcome]:
        return [row for row in self.rows if (row.stream, row.incarnation) == (stream, incarnation)]

    def between(self, since: float, until: float, service: str = "") -> list[StoredOutcome]:
        return [r for r in self.rows if since <= r.outcome.time < until and service in ("", r.outcome.service)]


@pytest.mark.parametrize("seed", range(6))
async def test_of_many_tables_it_is_said_what_one_of_all_would_say(location: Location, seed: int) -> None:
    drawn = Drawn(seed)
    lot = drawn.lot
    before = open_unmigrated(location, "assurance")
    await before.engine.prepare()
    await migrate(before, up_to=31)
    await stored_before(before, drawn)
    await migrate(before)
    await before.close()
    tables = await open_database(location, "assurance")
    now = NOW
    for _ in range(25):
        now += lot.choice((1.0, 3_600.0, DAY_SECONDS))
        stream, page = drawn.page(now)
        await tables.write(lambda t, s=stream, p=page, n=now: store.add_outcomes(t, s, p, n))  # type: ignore[misc]
        await tables.write(lambda t, p=page, n=now: store.join_devices(t, p.outcomes, n))  # type: ignore[misc]
    assert len(await days(tables)) > 3
    for _ in range(12):
        await tables.read(lambda q: asked(q, drawn, now))
    await erased(tables, drawn, now)
    await tables.close()


async def stored_before(database: Database, drawn: Drawn) -> None:
    """As they were stored before there was a table for each day."""
    names = "stream, incarnation, position, time, service, step, layer, verdict, reason, customer, device, promise"
    for _ in range(6):
        drawn.page(NOW)
    for row in drawn.rows:
        told = {name: getattr(row.outcome, name) for name in names.split(", ")[3:]}
        values = {"stream": row.stream, "incarnation": row.incarnation, "position": row.position, **told}
        values |= {"observed": row.outcome.observed, "dimensions": msgspec.json.encode(row.outcome.dimensions).decode()}
        places = ", ".join(f":{name}" for name in values)
        await database.write(
            lambda t, v=values, p=places: t.execute(  # type: ignore[misc]
                f"INSERT INTO outcome ({names}, observed, dimensions) VALUES ({p})", v
            )
        )
    await database.write(lambda t: store.join_devices(t, [row.outcome for row in drawn.rows], NOW))


async def asked(queries: Queries, drawn: Drawn, now: float) -> None:
    lot = drawn.lot
    since = lot.choice((0.0, drawn.time(now), now - 900))
    until = since + lot.choice((1.0, 7_200.0, 3 * DAY_SECONDS, 1e10))
    most, service = lot.choice((1, 3, 10, 1_000)), lot.choice(("", "messages", "television"))

    newest = sorted(drawn.between(since, until, service), key=lambda r: (r.outcome.time, r.position), reverse=True)
    found = await store.outcomes(queries, OutcomeFilter(since, until, service), most=most)
    assert [r.outcome.time for r in found] == [r.outcome.time for r in newest[:most]]
    assert all(row in newest for row in found) and len({r.place for r in found}) == len(found)

    read: list[StoredOutcome] = []
    while part := await store.outcomes_in(
        queries, since=since, until=until, service=service, after=read[-1] if read else None, most=most
    ):
        read += part
    assert read == sorted(drawn.between(since, until, service), key=KEYS["place"])

    routes: list[StoredOutcome] = []
    while part := await store.routes_in(
        queries, service="messages", since=since, after=routes[-1] if routes else None, most=most
    ):
        routes += part
    assert routes == sorted(
        [r for r in drawn.between(since, math.inf, "messages") if r.outcome.step == "route"], key=KEYS["place"]
    )

    heads = await store.journal_heads(queries)
    assert heads == {
        place: max(r.position for r in drawn.of_stream(*place))
        for place in {(r.stream, r.incarnation) for r in drawn.rows}
    }
    (stream, incarnation), head = lot.choice(sorted(heads.items()))
    position, up_to = lot.randrange(-1, head + 1), lot.randrange(head + 2)
    theirs = [r for r in drawn.of_stream(stream, incarnation) if position < r.position <= up_to]
    place: dict[str, Any] = {"stream": stream, "incarnation": incarnation}
    found = await store.outcomes_after(queries, **place, position=position, up_to=up_to, most=most)
    assert found == theirs[:most]
    deliveries, at = list[StoredOutcome](), position
    while at < up_to:
        part, at = await store.deliveries_after(
            queries, **place, position=at, up_to=up_to, service="messages", most=most
        )
        deliveries += part
    assert deliveries == [
        r for r in theirs
        if r.outcome.service == "messages"
        and (r.outcome.step == "route" or (r.outcome.step == "deliver" and r.outcome.promise)
             or (r.outcome.customer and r.outcome.device))
    ]  # fmt: skip

    some = lot.sample(drawn.rows, 5)
    places = [(r.stream, r.incarnation, r.position) for r in some] + [("door", "i", 10**6)]
    assert sorted(await store.outcomes_at(queries, places), key=KEYS["place"]) == sorted(some, key=KEYS["place"])

    named = await store.outcomes_by_name(
        queries, devices=["d-1", "+4790000001"], customers=["s-1"], service="messages", since=since
    )
    assert sorted(named, key=KEYS["place"]) == sorted(
        [
            r for r in drawn.between(since, math.inf, "messages")
            if r.outcome.device in ("d-1", "+4790000001") or (not r.outcome.device and r.outcome.customer == "s-1")
        ], key=KEYS["place"],
    )  # fmt: skip

    handed, moment = set[str](), since
    while moment < until:
        found_now, end = await store.handed_over_in(
            queries, service="messages", since=moment, until=until, ways=[{"link": "nord"}], most=most
        )
        assert end > moment
        handed, moment = handed | set(found_now), end
    assert handed == {
        r.outcome.promise for r in drawn.between(since, until, "messages")
        if r.outcome.step == "deliver" and r.outcome.layer == "link" and r.outcome.promise
        and r.outcome.dimensions["link"] == "nord"
    }  # fmt: skip

    told = await store.deliveries_of(queries, ["m-1", "m-3"], service="messages", since=since)
    whole = [
        r for r in drawn.between(0.0, math.inf, "messages")
        if r.outcome.step == "deliver" and r.outcome.promise in ("m-1", "m-3")
    ]  # fmt: skip
    assert [r for r in told if r.outcome.time >= since] == sorted(
        [r for r in whole if r.outcome.time >= since], key=KEYS["place"]
    )

    first: dict[tuple[str, str], float] = {}
    for row in drawn.between(since, math.inf, "television"):
        who = (row.outcome.device, row.outcome.customer)
        if who[0] in ("d-1", "d-2") and who[1] and row.outcome.observed:
            first[who] = min(row.outcome.time, first.get(who, math.inf))
    on = await store.named_on(queries, ["d-1", "d-2"], service="television", since=since)
    assert {(device, customer): time for device, customer, time in on} == first

    customer = lot.choice(("s-1", "s-2"))
    own = [
        r for r in drawn.rows
        if r.outcome.customer == customer
        or (not r.outcome.customer and r.outcome.device and (r.outcome.device, customer) in drawn.held)
    ]  # fmt: skip
    mine: list[StoredOutcome] = []
    while part := await store.outcomes_of_customer(queries, customer, most=most, before=mine[-1] if mine else None):
        mine += part
    keys = [KEYS["newest"](row) for row in mine]
    assert keys == sorted(keys, reverse=True) and {r.place for r in mine} <= {r.place for r in own}
    assert {KEYS["newest"](row) for row in own} == set(keys)

    people = await store.people(queries, since=since)
    recent = [r.outcome for r in drawn.between(since, math.inf) if r.outcome.observed]
    for (of, step), (_, count) in people.items():
        assert count == len({o.device or o.customer for o in recent if (o.service, o.step) == (of, step)} - {""})

    number = Number("+4790000001", since, until)
    ids = {
        r.outcome.promise: r.outcome.time
        for r in sorted(drawn.between(since, until, "messages"), key=KEYS["place"])
        if r.outcome.device == number.msisdn and r.outcome.step == "deliver" and r.outcome.promise
    }
    assert set(await personal_store.messages_to(queries, [number], most=10)) == set(ids)


async def erased(tables: Database, drawn: Drawn, now: float) -> None:
    """A customer from all days; then the days that are past their time."""
    names = iter(range(100))
    await tables.write(lambda t: personal_store.erase(t, "s-1", [], lambda kind: f"{kind}{next(names)}"))
    rows = await tables.read(lambda q: outcome_rows(q, "position, customer"))
    assert len(rows) == len(drawn.rows) and "s-1" not in {customer for _, customer in rows}
    before, later = now - 2.5 * DAY_SECONDS, now
    for _ in range(60):
        await tables.write(lambda t, n=later: store.erase_outcomes(t, before=before, now=n, most=4))  # type: ignore[misc]
        later += store.LEFT_SECONDS / 2
    left = await tables.read(lambda q: outcome_rows(q, "time"))
    of_day = calendar_day(before) * DAY_SECONDS
    kept = sorted(row.outcome.time for row in drawn.rows if row.outcome.time >= before)
    assert [time for (time,) in left if time >= before] == kept
    assert all(time >= of_day for (time,) in left)
    assert all(left_at == 0 for _, left_at in await days(tables))


def page(position: int, *times: float) -> Page:
    told = [Outcome(time=time, service="television", step="sign-in", layer="signin", verdict="kept") for time in times]
    return Page("i", position, position + len(told) - 1, told, position + len(told) - 1, 0, 0)


async def test_a_clock_that_is_wrong_makes_no_tables(tables: Database) -> None:
    times = [NOW, *(NOW - n * DAY_SECONDS for n in range(8, 60)), *(NOW + n * DAY_SECONDS for n in range(2, 60))]
    await tables.write(lambda t: store.add_outcomes(t, "door", page(1, *times), NOW))
    assert await days(tables) == [(-1, 0), (TODAY, 0)]
    await tables.write(lambda t: store.add_outcomes(t, "door", page(200, NOW - DAYS_BACK_MAX * DAY_SECONDS), NOW))
    assert await days(tables) == [(-1, 0), (TODAY - DAYS_BACK_MAX, 0), (TODAY, 0)]


async def test_a_day_is_left_before_it_goes_and_takes_nothing_in_then(tables: Database) -> None:
    old = NOW - 3 * DAY_SECONDS
    await tables.write(lambda t: store.add_outcomes(t, "door", page(1, old, NOW), NOW))

    async def erase(later: float) -> int:
        return await tables.write(lambda t: store.erase_outcomes(t, before=NOW - DAY_SECONDS, now=NOW + later))

    assert await erase(0.0) == 1
    assert await days(tables) == [(TODAY - 3, NOW), (TODAY, 0)]
    assert await tables.read(lambda q: store.outcomes_in(q, since=0, until=1e12, most=9)) == await tables.read(
        lambda q: store.outcomes_after(q, stream="door", incarnation="i", position=0, up_to=9, most=9)
    )
    await tables.write(lambda t: store.add_outcomes(t, "door", page(3, old + 1), NOW + 1))
    assert [day for day, _ in await days(tables)] == [-1, TODAY - 3, TODAY]
    assert await erase(store.LEFT_SECONDS - 1) == 1  # what came late: it is past its time
    assert await erase(store.LEFT_SECONDS) == 1
    assert await erase(store.LEFT_SECONDS) == 0
    assert await days(tables) == [(TODAY, 0)]
    assert await tables.read(lambda q: outcome_rows(q, "time")) == [(NOW,)]
    assert await tables.read(store.journal_heads) == {("door", "i"): 3}


async def test_the_table_of_a_day_is_that_of_the_rest(tables: Database) -> None:
    """What a migration adds to the one has to come to the other."""
    await tables.write(lambda t: store.add_outcomes(t, "door", page(1, NOW), NOW))
    table = table_of(TODAY)
    sqlite = "SELECT sql FROM sqlite_master WHERE tbl_name = :table AND type = 'index' AND sql IS NOT NULL"
    postgres = "SELECT indexdef FROM pg_indexes WHERE tablename = :table"
    sql = postgres if "Postgres" in type(tables.engine).__name__ else sqlite

    async def indexes(of: str) -> set[str]:
        return {text.replace(of, "") for (text,) in await tables.read(lambda q: q.fetch(sql, {"table": of}))}

    assert await indexes(table) == await indexes("outcome") != set()
    assert len(await indexes(table)) >= len(statements_of(TODAY)) - 1
    await tables.write(lambda t: t.execute(f"INSERT INTO outcome SELECT * FROM {table}"))
