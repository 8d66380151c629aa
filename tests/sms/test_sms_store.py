"""The store's statements by their plans: none reads a table from end to end. Their effects: test_store_effects.py."""

import inspect
from typing import Any

import pytest
from query_plans import walks

from prikkfri.sms import store
from prikkfri.sms.canaries import store as canaries
from prikkfri.sms.canaries.verdicts import Canary
from prikkfri.sms.housekeeping import store as housekeeping
from prikkfri.sms.lifecycle import State
from prikkfri.sms.quarantine import store as quarantine_store
from prikkfri.sms.receipts import store as receipts
from prikkfri.sms.reports import store as reports_store
from prikkfri.sms.routes import store as routes_store
from prikkfri.sms.trails import store as trails_store
from prikkfri.storage import Database, Location, open_database

STORES = (store, housekeeping, quarantine_store, receipts, reports_store, routes_store, trails_store, canaries)
STATEMENTS: list[tuple[Any, dict[str, Any]]] = [
    (store.claim, {"target": "link:nord", "limit": 10, "now": 1.0}),
    (housekeeping.is_full, {"target": "link:nord", "limit": 10}),
    (store.release, {"ids": ["a"]}),
    (store.mark_sent, {"sent": [("a", "n")], "now": 1.0}),
    (store.put_off, {"message": "a", "due_at": 1.0, "reason": ""}),
    (store.mark_in_doubt, {"ids": ["a"], "due_at": 1.0}),
    (store.doubt_what_was_sending, {"due_at": 1.0}),
    (housekeeping.left_waiting, {"target": "account:shop", "accepted_after": 1.0, "limit": 10}),
    (housekeeping.settled_doubts, {"target": "link:nord", "limit": 10, "now": 1.0}),
    (store.end, {"message": "a", "state": State.DELIVERED, "reason": "", "now": 1.0}),
    (receipts.end_submission, {"submission": "a", "now": 1.0}),
    (receipts.find_in_doubt, {"target": "link:nord", "recipient": "47"}),
    (receipts.known, {"target": "link:nord", "keys": ["n"]}),
    (receipts.add_word, {"message": "a", "word": "GONE", "now": 1.0}),
    (receipts.one_before, {"link": "nord", "next_hop_id": "n"}),
    (receipts.due_network_receipts, {"limit": 10, "now": 1.0}),
    (receipts.make_due, {"link": "nord", "keys": ["n"], "now": 1.0}),
    (receipts.look_later, {"receipt": "r", "due_at": 1.0}),
    (receipts.hold_network_receipt, {"receipt": "r", "reason": "", "now": 1.0}),
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
    (reports_store.waiting_up_to, {"target": "link:nord", "most": 10}),
    (housekeeping.overdue, {"limit": 10, "waiting_before": 1.0, "sent_before": 0.0}),
    (receipts.claim_receipts, {"origin": "account:shop", "limit": 10, "now": 1.0}),
    (receipts.receipts_given, {"ids": ["a"], "now": 1.0}),
    (receipts.put_off_receipts, {"ids": ["a"], "due_at": 1.0}),
    (trails_store.facts, {"submission": "a"}),
    (trails_store.events, {"messages": ["a"]}),
    (housekeeping.erase, {"ended_before": 1.0, "limit": 10}),
    (store.move, {"source": "held:nord", "target": "link:nord", "limit": 10}),
    (routes_store.waiting, {"target": "held:nord"}),
    (routes_store.exposed, {"target": "link:nord", "since": 1.0, "until": 2.0, "validity_seconds_max": 60.0,
                            "limit": 10}),
    (canaries.mark_told, {"phone": "47", "tokens": ["t"], "now": 1.0}),
    (canaries.undecided, {"limit": 10}),
    (canaries.decide, {"canary": Canary("t", "a", "nord", "47", State.SENT, 0.0, 0.0, 0.0, 0.0, 0.0, ""),
                       "verdict": "arrived", "now": 1.0}),
    (canaries.verdicts, {"link": "nord", "limit": 10}),
    (canaries.erase, {"made_before": 1.0, "limit": 10}),
]  # fmt: skip


@pytest.fixture
async def area(tmp_path: Any) -> Any:
    database = await open_database(Location(tmp_path), "sms")
    yield database
    await database.close()


def test_no_statement_of_the_store_is_left_out() -> None:
    """But for those that only insert, the few rows that there are of routes and links, and one look at the start."""
    named = {function for function, _ in STATEMENTS}
    every = {
        function
        for module in STORES
        for name, function in vars(module).items()
        if inspect.iscoroutinefunction(function) and function.__module__ == module.__name__ and name[0] != "_"
    }
    assert {function.__name__ for function in every - named} == {
        "insert", "add", "add_events", "add_network_receipt", "put_route", "routes", "put_habit", "habits", "count_kept"
    }  # fmt: skip


@pytest.mark.parametrize(("function", "arguments"), STATEMENTS, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_statement_finds_its_rows_by_an_index(area: Database, function: Any, arguments: dict[str, Any]) -> None:
    assert await walks(area, function, **arguments) == []
