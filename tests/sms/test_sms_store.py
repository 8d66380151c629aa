"""The store's statements by their plans: none reads a table from end to end. Their effects: test_store_effects.py."""

import inspect
from typing import Any

import pytest
from query_plans import walks

from prikkfri.sms import store
from prikkfri.sms.canaries import store as canaries
from prikkfri.sms.canaries.verdicts import Canary
from prikkfri.sms.messages import State
from prikkfri.storage import Database, Location, open_database

STATEMENTS: list[tuple[Any, dict[str, Any]]] = [
    (store.claim, {"target": "link:nord", "limit": 10, "now": 1.0}),
    (store.is_full, {"target": "link:nord", "limit": 10}),
    (store.release, {"ids": ["a"]}),
    (store.mark_sent, {"sent": [("a", "n")], "now": 1.0}),
    (store.put_off, {"message": "a", "due_at": 1.0, "reason": ""}),
    (store.mark_in_doubt, {"ids": ["a"], "due_at": 1.0}),
    (store.doubt_what_was_sending, {"due_at": 1.0}),
    (store.left_waiting, {"target": "account:shop", "accepted_after": 1.0, "limit": 10}),
    (store.settled_doubts, {"target": "link:nord", "limit": 10, "now": 1.0}),
    (store.end, {"message": "a", "state": State.DELIVERED, "reason": "", "now": 1.0}),
    (store.end_by_receipt, {"target": "link:nord", "next_hop_id": "n", "recipient": "47", "state": State.DELIVERED,
                            "reason": "", "now": 1.0}),
    (store.end_submission, {"submission": "a", "now": 1.0}),
    (store.find_in_doubt, {"target": "link:nord", "recipient": "47"}),
    (store.is_known_id, {"target": "link:nord", "next_hop_id": "n", "recipient": "47"}),
    (store.overdue, {"limit": 10, "waiting_before": 1.0, "sent_before": 0.0}),
    (store.claim_receipts, {"origin": "account:shop", "limit": 10, "now": 1.0}),
    (store.receipts_given, {"ids": ["a"], "now": 1.0}),
    (store.put_off_receipts, {"ids": ["a"], "due_at": 1.0}),
    (store.facts, {"submission": "a"}),
    (store.events, {"messages": ["a"]}),
    (store.erase, {"ended_before": 1.0, "limit": 10}),
    (store.move, {"source": "held:nord", "target": "link:nord", "limit": 10}),
    (store.waiting, {"target": "held:nord"}),
    (store.exposed, {"target": "link:nord", "since": 1.0, "until": 2.0, "validity_seconds_max": 60.0, "limit": 10}),
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
    """But for those that only insert, and the few rows that there are of routes."""
    named = {function for function, _ in STATEMENTS}
    every = {
        function
        for module in (store, canaries)
        for name, function in vars(module).items()
        if inspect.iscoroutinefunction(function) and function.__module__ == module.__name__
        # Not what is the module's own affair, nor the copies that `make mutants` lays beside each function.
        if name[0] != "_" and "__" not in name
    }
    assert {function.__name__ for function in every - named} == {
        "insert", "add", "add_events", "hold_receipt", "put_route", "routes"
    }  # fmt: skip


@pytest.mark.parametrize(("function", "arguments"), STATEMENTS, ids=lambda value: getattr(value, "__name__", ""))
async def test_a_statement_finds_its_rows_by_an_index(area: Database, function: Any, arguments: dict[str, Any]) -> None:
    assert await walks(area, function, **arguments) == []
