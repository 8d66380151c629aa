"""The store's statements by their plans: none reads a table from end to end. Their effects: test_store_effects.py."""

import inspect
from functools import partial
from typing import Any

import pytest
from message_table import BASE, NOW, Row, fill, numbered
from query_plans import instructions, rows_read, walks

from prikkfri.sms import store
from prikkfri.sms.canaries import store as canaries
from prikkfri.sms.canaries.verdicts import Canary, JudgedCanary, Verdict
from prikkfri.sms.housekeeping import store as housekeeping
from prikkfri.sms.keys import store as keys
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.placing import store as placing
from prikkfri.sms.quarantine import store as quarantine_store
from prikkfri.sms.receipts import store as receipts
from prikkfri.sms.restores import store as restores
from prikkfri.sms.routes import store as routes_store
from prikkfri.sms.routing import RouteOutage
from prikkfri.sms.submissions import store as submissions_store
from prikkfri.sms.trails import store as trails_store
from prikkfri.sms.trust.routes import Trust
from prikkfri.storage import Database, Location, open_database

STORES = (
    store, housekeeping, keys, quarantine_store, receipts, routes_store, trails_store, canaries, placing,
    submissions_store, restores,
)  # fmt: skip
CANARY = Canary("t", "a", "nord", "47", DeliveryState.SENT, 0.0, 0.0, 0.0, 0.0, 0.0)
STATEMENTS: list[tuple[Any, dict[str, Any]]] = [
    (store.claim, {"target": "link:nord", "limit": 10, "now": 1.0}),
    (housekeeping.is_full, {"target": "link:nord", "limit": 10}),
    (keys.earliest_open, {}),
    (keys.latest_sealed, {}),
    (keys.sealed_now, {}),
    (store.release, {"ids": ["a", "b"]}),
    (store.mark_sent, {"sent": [("a", "n")], "now": 1.0}),
    (store.claims, {"ids": ["a", "b"]}),
    (store.recall, {"ids": ["a", "b"], "target": "link:nord"}),
    (store.put_off, {"message": "a", "due_at": 1.0, "reason": ""}),
    (store.mark_in_doubt, {"ids": ["a"], "due_at": 1.0}),
    (store.doubt_what_was_sending, {"due_at": 1.0}),
    (housekeeping.left_waiting, {"target": "account:shop", "accepted_after": 1.0, "limit": 10}),
    (housekeeping.settled_doubts, {"target": "link:nord", "limit": 10, "now": 1.0}),
    (store.end, {"ends": [("a", DeliveryState.DELIVERED, ""), ("b", DeliveryState.EXPIRED, "")], "now": 1.0}),
    (store.end, {"ends": [(name, DeliveryState.REJECTED, "") for name in "abc"], "now": 1.0}),
    (receipts.end_submission, {"submission": "a", "now": 1.0}),
    (receipts.find_in_doubt, {"target": "link:nord", "recipient": "47"}),
    (store.end_overdue, {"state": DeliveryState.WAITING, "before": 1.0, "limit": 10, "now": 1.0}),
    (store.end_overdue, {"state": DeliveryState.SENT, "before": 1.0, "limit": 10, "now": 1.0}),
    (receipts.known, {"target": "link:nord", "keys": ["n"]}),
    (receipts.known_by_key, {"target": "link:nord", "keys": ["n", "m", "o"]}),
    (receipts.add_unknown_state, {"message": "a", "word": "GONE", "now": 1.0}),
    (receipts.add_contradiction, {"message": "a", "what": "it was", "now": 1.0}),
    (receipts.one_before, {"link": "nord", "next_hop_id": "n"}),
    (receipts.due_network_receipts, {"limit": 10, "now": 1.0}),
    (receipts.make_due, {"link": "nord", "keys": ["n"], "now": 1.0}),
    (receipts.try_later, {"receipt": "r", "due_at": 1.0}),
    (receipts.hold_network_receipt, {"receipt": "r", "reason": "", "now": 1.0}),
    (receipts.held_network_receipts, {"ids": ["r", "s"]}),
    (receipts.identified, {"message": "a", "given": "n"}),
    (receipts.settle_network_receipt, {"receipt": "r"}),
    (receipts.erase_discarded, {"discarded_before": 1.0, "limit": 10}),
    (quarantine_store.messages, {"party": "", "limit": 10}),
    (quarantine_store.messages, {"party": "link:nord", "limit": 10}),
    (quarantine_store.message, {"identity": "a"}),
    (quarantine_store.receipts, {"link": "", "limit": 10}),
    (quarantine_store.receipts, {"link": "nord", "limit": 10}),
    (quarantine_store.receipt, {"identity": "r"}),
    (quarantine_store.free, {"identity": "a", "target": "link:nord", "now": 1.0}),
    (quarantine_store.discard_message, {"identity": "a", "now": 1.0}),
    (quarantine_store.discard_receipt, {"identity": "r", "by": "Kari", "now": 1.0}),
    (quarantine_store.discard_receipts, {"link": "nord", "by": "Kari", "now": 1.0, "limit": 10}),
    (receipts.claim_receipts, {"origin": "account:shop", "limit": 10, "now": 1.0}),
    (receipts.mark_receipts_delivered, {"ids": ["a"], "now": 1.0}),
    (receipts.put_off_receipts, {"ids": ["a"], "due_at": 1.0}),
    (submissions_store.part_references, {"since": 1.0, "limit": 10}),
    (submissions_store.erase_part_references, {"before": 1.0, "limit": 10}),
    (trails_store.facts, {"submission": "a"}),
    (trails_store.events, {"messages": ["a"]}),
    (trails_store.erase, {"submission": "a"}),
    (housekeeping.erase, {"ended_before": 1.0, "limit": 10}),
    (store.move, {"source": "held:nord", "target": "link:nord", "limit": 10}),
    (store.move, {"source": "held:nord", "target": "link:nord", "limit": 10, "among": ["a", "b"]}),
    (placing.waiting, {"target": "link:nord", "after": (1.0, 1.0, 1, "a"), "limit": 10}),
    (placing.is_waiting, {"target": "link:nord"}),
    (placing.is_due, {"target": "link:nord", "now": 1.0}),
    (routes_store.waiting, {"target": "held:nord"}),
    (routes_store.exposed, {"target": "link:nord", "since": 1.0, "until": 2.0, "after": (1.0, ""), "limit": 10}),
    (store.give_up, {"ids": ["a"], "now": 1.0}),
    (restores.newest, {}),
    (restores.count_accepted, {"messages": 1}),
    (restores.find, {"state": DeliveryState.WAITING, "number": 1, "after": (1.0, "a"), "limit": 10}),
    (restores.waited, {"limit": 10}),
    (restores.let_go, {"ids": ["a"]}),
    (canaries.mark_reported, {"said": [("47", "t")], "now": 1.0}),
    (canaries.undecided, {"limit": 10}),
    (canaries.decide, {"judged": [JudgedCanary(CANARY, Verdict.LATE, False)], "now": 1.0}),
    (canaries.verdicts, {"link": "nord", "limit": 10}),
    (canaries.verdicts, {"link": "nord", "limit": 10, "before": 5.0}),
    (canaries.mark_returned, {"token": "t", "destination": "47", "now": 1.0}),
    (canaries.trust, {"link": "nord"}),
    (canaries.put_trust, {"link": "nord", "trust": Trust()}),
    (canaries.erase, {"made_before": 1.0, "limit": 10}),
]  # fmt: skip


@pytest.fixture
async def area(tmp_path: Any) -> Any:
    database = await open_database(Location(tmp_path), "sms")
    yield database
    await database.close()


def test_no_statement_of_the_store_is_left_out() -> None:
    """But for those that only insert, the few rows that there are of routes, links and restored snapshots, and a look
    at the start.
    """
    named = {function for function, _ in STATEMENTS}
    every = {
        function
        for module in STORES
        for name, function in vars(module).items()
        if inspect.iscoroutinefunction(function) and function.__module__ == module.__name__
        # Not what is the module's own affair, nor the copies that `make mutants` lays beside each function.
        if name[0] != "_" and "__" not in name
    }
    assert {function.__name__ for function in every - named} == {
        "insert", "add", "add_events", "add_network_receipt", "put_route", "routes", "put_habit", "habits",
        "count_kept", "count_waiting", "references", "put_references", "newest", "put", "accepted",
        "put_part_references", "held_ids",
    }  # fmt: skip


@pytest.mark.parametrize(("function", "arguments"), STATEMENTS, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_statement_finds_its_rows_by_an_index(area: Database, function: Any, arguments: dict[str, Any]) -> None:
    assert await walks(area, function, **arguments) == []


# What a statement does must not grow with what it is not about: what waits, behind or before, for whom it is.

MANY = 1_500
WAITING: Row = {"state": "waiting", "due_at": NOW - 10, "expires_at": NOW + 1_000}
CASES: list[tuple[str, Any, dict[str, Any], Row]] = [
    ("is_full", housekeeping.is_full, {"target": "link:nord", "limit": 1_000}, WAITING),
    ("waiting", routes_store.waiting, {"target": "link:nord"}, WAITING),
    ("claim", store.claim, {"target": "link:nord", "limit": 10, "now": NOW}, WAITING),
    ("claim, not due", store.claim, {"target": "link:nord", "limit": 10, "now": NOW}, {**WAITING, "due_at": NOW + 1}),
    ("claim, stopped", store.claim, {"target": "link:syd", "limit": 10, "now": NOW}, {**WAITING, "target": "link:syd"}),
    ("earliest_open", keys.earliest_open, {}, WAITING),
    ("earliest_open, on their way", keys.earliest_open, {}, {**WAITING, "state": "sending"}),
    ("latest_sealed", keys.latest_sealed, {}, WAITING),
    ("move", store.move, {"source": "link:nord", "target": "held:nord", "limit": 10}, WAITING),
    ("is due", placing.is_due, {"target": "link:nord", "now": NOW}, WAITING),
    (
        "in doubt",
        receipts.find_in_doubt,
        {"target": "link:nord", "recipient": "46"},
        {"state": "in-doubt", "doubts": 1},
    ),
    (
        "expire, none due",
        store.end_overdue,
        {"state": DeliveryState.WAITING, "before": NOW, "limit": 10, "now": NOW},
        WAITING,
    ),
    (
        "expire, many due",
        store.end_overdue,
        {"state": DeliveryState.WAITING, "before": NOW, "limit": 10, "now": NOW},
        {**WAITING, "expires_at": NOW - 1},
    ),
    (
        "expire, many sent that may still be told of",
        store.end_overdue,
        {"state": DeliveryState.SENT, "before": NOW - 3_600, "limit": 10, "now": NOW},
        {"state": "sent", "expires_at": NOW - 1},
    ),
    (
        "left_waiting",
        housekeeping.left_waiting,
        {"target": "account:shop", "accepted_after": NOW - 100, "limit": 10},
        {**WAITING, "target": "account:shop", "accepted_at": NOW - 5, "part": 2},
    ),
    (
        "exposed",
        routes_store.exposed,
        {"target": "link:nord", "since": NOW, "until": NOW + 10, "after": (NOW, ""), "limit": 10},
        {"state": "sent", "attempted_at": NOW + 1},
    ),
    (
        "exposed, of a time in which little went",
        routes_store.exposed,
        {"target": "link:nord", "since": NOW, "until": NOW + 10, "after": (NOW, ""), "limit": 10},
        {"state": "sent", "attempted_at": NOW - 1},
    ),
    (
        "exposed, of what was refused",
        routes_store.exposed,
        {"target": "link:nord", "since": NOW, "until": NOW + 10, "after": (NOW, ""), "limit": 10},
        {"state": "rejected", "attempted_at": NOW + 1, "sent_at": 0.0},
    ),
    (
        "erase, beside a full quarantine",
        housekeeping.erase,
        {"ended_before": NOW, "limit": 10},
        {"state": "quarantined", "ended_at": NOW - 100},
    ),
]


@pytest.mark.parametrize(("function", "arguments", "row"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
async def test_a_statement_does_not_more_because_more_waits(
    area: Database, function: Any, arguments: dict[str, Any], row: Row
) -> None:
    async def stop(tx: Any) -> None:
        await routes_store.put_route(tx, "syd", RouteOutage("stopped", 1.0, "Kari", "r", 1.0, 0.0, 0.0))

    await area.write(stop)
    done = []
    for count in (50, MANY):
        await area.write(lambda tx: tx.execute("DELETE FROM sms_message"))
        await area.write(lambda tx, count=count: fill(tx, numbered([{**BASE, **row}] * count)))
        done.append(await instructions(area, function, **arguments))
    assert done[1] <= done[0] + 30, done


async def test_who_still_waits_behind_many_whose_time_is_up_is_claimed_and_no_more_than_so_many_are_looked_at(
    area: Database,
) -> None:
    late: Row = {**BASE, **WAITING, "due_at": NOW - 20, "expires_at": NOW - 1}
    waits: Row = {**BASE, **WAITING, "id": "waits"}
    for past, found in ((200, ["waits"]), (store.LOOKED_PAST_MAX, ["waits"]), (store.LOOKED_PAST_MAX + 10, [])):
        await area.write(lambda tx: tx.execute("DELETE FROM sms_message"))
        await area.write(lambda tx, past=past: fill(tx, numbered([*[late] * past, waits])))
        claimed = await area.write(lambda tx: store.claim(tx, "link:nord", limit=10, now=NOW))
        assert [message.id for message in claimed] == found, past


async def test_a_look_at_what_waits_goes_on_from_its_place_however_much_is_due_at_one_moment(area: Database) -> None:
    done: dict[Any, list[int]] = {}
    for count in (50, MANY):
        rows = numbered([{**BASE, **WAITING, "target": "link:nord"}] * count)
        for number, row in enumerate(rows):
            row["accepted_at"] = NOW - 1_000 + number
        await area.write(lambda tx: tx.execute("DELETE FROM sms_message"))
        await area.write(partial(fill, rows=rows))
        for after in (placing.START, (NOW - 10, NOW - 970, 1, "")):
            found = await instructions(area, placing.waiting, target="link:nord", after=after, limit=10)
            done.setdefault(after, []).append(found)
    assert all(many <= few + 30 for few, many in done.values()), done


# PostgreSQL chooses by what it has counted: of many that fit it may read all and sort them, where it could read the
# first of them in the order of an index.

KINDS: list[Row] = [
    {**WAITING, "due_at": NOW - 10},
    {**WAITING, "target": "link:past", "expires_at": NOW - 1},
    {**WAITING, "target": "account:shop", "accepted_at": NOW - 5},
    {"target": "link:sent", "state": "sent", "attempted_at": NOW + 1, "sent_at": NOW + 1, "expires_at": NOW - 1},
    {"target": "link:sent", "state": "delivered", "ended_at": NOW - 100, "attempted_at": NOW - 100},
    {"target": "link:nord", "state": "quarantined", "ended_at": NOW - 100},
    {"target": "link:doubt", "state": "in-doubt", "doubts": 1, "due_at": NOW - 10, "expires_at": NOW + 1_000},
]
OF_EACH_KIND = 6_000
LOOKS: list[tuple[Any, dict[str, Any]]] = [
    (store.claim, {"target": "link:nord", "limit": 10, "now": NOW}),
    (store.claim, {"target": "link:past", "limit": 10, "now": NOW}),
    (store.move, {"source": "link:nord", "target": "held:nord", "limit": 10}),
    (store.end_overdue, {"state": DeliveryState.WAITING, "before": NOW, "limit": 10, "now": NOW}),
    (store.end_overdue, {"state": DeliveryState.SENT, "before": NOW - 3_600, "limit": 10, "now": NOW}),
    (placing.waiting, {"target": "link:nord", "after": placing.START, "limit": 10}),
    (placing.waiting, {"target": "link:nord", "after": (NOW - 10, NOW - 1_000 + 3e-3, 1, ""), "limit": 10}),
    (placing.is_due, {"target": "link:nord", "now": NOW}),
    (housekeeping.settled_doubts, {"target": "link:doubt", "limit": 10, "now": NOW}),
    (housekeeping.left_waiting, {"target": "account:shop", "accepted_after": NOW - 100, "limit": 10}),
    (housekeeping.erase, {"ended_before": NOW, "limit": 10}),
    (receipts.find_in_doubt, {"target": "link:doubt", "recipient": "46"}),
    (keys.earliest_open, {}),
    (
        routes_store.exposed,
        {"target": "link:sent", "since": NOW, "until": NOW + 10, "after": (NOW, ""), "limit": 200},
    ),
    (
        routes_store.exposed,
        {"target": "link:sent", "since": NOW, "until": NOW + 10, "after": (NOW + 1 + 3e-3, ""), "limit": 200},
    ),
    (restores.find, {"state": DeliveryState.WAITING, "number": 1, "after": (NOW, ""), "limit": 10}),
]


async def test_postgresql_looks_at_no_more_than_it_is_asked_for_however_much_waits(
    tmp_path: Any, postgres_url: str
) -> None:
    area = await open_database(Location(tmp_path, postgres_url), "sms")

    async def multiply(tx: Any) -> None:
        """Each row many times, a microsecond apart where that may be."""
        await fill(tx, numbered([{**BASE, "accepted_at": NOW - 1_000, **kind} for kind in KINDS]))
        rows = await tx.fetch("SELECT column_name FROM information_schema.columns WHERE table_name = 'sms_message'")
        columns = {row[0]: row[0] for row in rows}
        changed = {"id": "id || '-' || n", "submission": "submission || '-' || n"}
        moments = ("accepted_at", "attempted_at", "sent_at", "expires_at")
        changed |= {name: f"{name} + SIGN({name}) * n / 1e6" for name in moments}
        await tx.execute(
            f"INSERT INTO sms_message ({', '.join(columns)}) SELECT {', '.join((columns | changed).values())}"
            " FROM sms_message, generate_series(1, :times) AS n ORDER BY sms_message.id",
            {"times": OF_EACH_KIND},
        )
        await tx.execute("ANALYZE")

    try:
        await area.write(multiply)
        found = [await rows_read(area, function, **arguments) for function, arguments in LOOKS]
    finally:
        await area.close()
    most = store.LOOKED_PAST_MAX + 200  # as many a claim may look past, and the ten
    assert [(LOOKS[place], read) for place, read in enumerate(found) if read > most] == []
