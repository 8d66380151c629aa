"""What the message centre's periodic work costs with 1,000, 100,000 and 1,000,000 messages of a kind.

    python benchmarks/sms_waiting.py [--sizes 1000,100000,1000000] [--database URL] [--json FILE]

Over SQLite, or over the empty database of a PostgreSQL. Of each size a fresh database is filled: so many wait for a
link, so many wait whose time is up, so many have been sent, so many wait for an account. Then each statement of the
stores runs as the centre runs it, is undone, and runs again; the best of its runs is shown in ms, with its ratio to the
smallest size. What must not grow has a ratio near 1.
"""

import argparse
import asyncio
import contextlib
import json
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from prikkfri.sms import store
from prikkfri.sms.housekeeping import store as housekeeping
from prikkfri.sms.keys import store as keys
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Message
from prikkfri.sms.placing import store as placing
from prikkfri.sms.receipts import store as receipts
from prikkfri.sms.routes import store as routes
from prikkfri.sms.routing import RouteOutage
from prikkfri.storage import Database, Location, Transaction, open_database

NOW = 1_700_000_000.0
RUNS = 5
Work = Callable[[Transaction], Awaitable[Any]]
KINDS: dict[str, dict[str, str]] = {
    "waiting": {"target": "link:nord", "state": "waiting"},
    "past": {
        "target": "link:past",
        "state": "waiting",
        "due_at": f"{NOW - 7_200} + n / 1e6",
        "expires_at": f"{NOW - 1}",
    },
    "sent": {
        "target": "link:sent",
        "state": "sent",
        "expires_at": f"{NOW - 1}",
        "attempted_at": f"{NOW - 60} + n / 1e6",
    },
    "account": {"target": "account:shop", "state": "waiting"},
    "doubt": {"target": "link:doubt", "state": "in-doubt"},
    "scheduled": {"target": "link:late", "state": "waiting", "due_at": f"{NOW - 1}"},
}
"""Of each kind of message what differs, in SQL; `n` counts them."""


class _Undone(Exception):
    pass


def statements() -> dict[str, Work]:
    claim = partial(store.claim, limit=50, now=NOW)
    overdue = partial(store.end_overdue, limit=500, now=NOW)

    async def claim_over_stopped(tx: Transaction) -> None:
        await routes.put_route(tx, "nord", RouteOutage("stopped", NOW, "", "", NOW, 0.0, 0.0))
        await claim(tx, "link:nord")

    async def claim_behind_expired(tx: Transaction) -> None:
        """200 whose time is up before one that is due, and all the others that wait behind."""
        first = "SELECT id FROM sms_message WHERE target = :target AND state = 'waiting' ORDER BY due_at LIMIT 200"
        given = {"past": NOW - 1, "target": "link:nord"}
        await tx.execute(f"UPDATE sms_message SET expires_at = :past WHERE id IN ({first})", given)
        started = time.perf_counter()
        assert len(await claim(tx, "link:nord")) == 50
        return time.perf_counter() - started

    async def count(tx: Transaction) -> None:
        await routes.waiting(tx, "link:nord")
        await housekeeping.is_full(tx, "link:nord", limit=1_000_000)

    async def key_needed(tx: Transaction) -> None:
        await keys.earliest_open(tx)

    since = {"since": NOW - 60, "until": NOW, "after": (NOW - 60, "")}
    return {
        "count what waits for a link": count,
        "claim 50": lambda tx: claim(tx, "link:nord"),
        "claim over a stopped route": claim_over_stopped,
        "claim 50 behind 200 expired": claim_behind_expired,
        "move 500 from a stopped route": lambda tx: store.move(tx, "link:nord", "held:nord", limit=500),
        "claim 50 of one moment": lambda tx: claim(tx, "link:late"),
        "look at 500 to be placed": lambda tx: placing.waiting(tx, "link:nord", after=placing.START, limit=500),
        "look at 500 of one moment": lambda tx: placing.waiting(
            tx, "link:late", after=(NOW - 1, NOW - 1_800 + 5e-4, 1, ""), limit=500
        ),
        "find what is in doubt to a number": lambda tx: receipts.find_in_doubt(tx, "link:doubt", "4790000500"),
        "decide 500 doubts": lambda tx: housekeeping.settled_doubts(tx, "link:doubt", limit=500, now=NOW),
        "look for overdue, none is": lambda tx: overdue(tx, DeliveryState.SENT, before=NOW - 3_600),
        "expire 500": lambda tx: overdue(tx, DeliveryState.WAITING, before=NOW),
        "until when a sealing key is needed": key_needed,
        "list 1,000 who were exposed": lambda tx: routes.exposed(tx, "link:sent", **since, limit=1_000),
        "tell of 1,000 left waiting": lambda tx: housekeeping.left_waiting(
            tx, "account:shop", accepted_after=NOW - 3_600, limit=1_000
        ),
    }


async def fill(database: Database, size: int, *, postgres: bool) -> None:
    plain = {
        "part": "1", "parts": "1", "origin": ":origin", "message_class": "'ordinary'", "sender": "'Shop'",
        "recipient": "'47' || (90000000 + n)", "sealed": ":sealed", "registered": "1",
        "accepted_at": f"{NOW - 1_800} + n / 1e6", "due_at": f"{NOW - 1_800} + n / 1e6",
        "expires_at": f"{NOW + 86_400}",
        "attempts": "0", "reason": "''", "next_hop_id": "''", "attempted_at": "0", "sent_at": "0", "ended_at": "0",
        "receipt": "''", "receipt_state": "0", "receipt_at": "0", "holder": "''",
    }  # fmt: skip
    assert set(Message.__struct_fields__) <= {*plain, "id", "submission", "target", "user_reference", "sessions_ended"}

    async def work(tx: Transaction) -> None:
        for kind, changes in KINDS.items():
            given: dict[str, object] = {
                "target": changes["target"],
                "state": changes["state"],
                "origin": "account:shop",
            }
            row = {"id": f"'{kind}' || n", "submission": f"'{kind}' || n", **plain, **changes}
            row |= {"target": ":target", "state": ":state"}
            if kind == "sent":
                row |= {"sent_at": row["attempted_at"], "next_hop_id": "'net' || n"}
            await tx.execute(
                f"INSERT INTO sms_message ({', '.join(row)}) WITH RECURSIVE counted (n) AS"
                " (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < :size)"
                f" SELECT {', '.join(row.values())} FROM counted",
                {"size": size, "sealed": bytes(150), **given},
            )
        await tx.execute(
            "INSERT INTO sms_waiting (target, messages) SELECT target, COUNT(*) FROM sms_message"
            " WHERE state = 'waiting' GROUP BY target"
        )

    await database.write(work)
    if postgres:  # as its autovacuum would, a minute later
        await database.write(lambda tx: tx.execute("ANALYZE"))


async def empty(database: Database) -> None:
    async def work(tx: Transaction) -> None:
        for table in ("sms_message", "sms_waiting"):
            await tx.execute(f"DELETE FROM {table}")

    await database.write(work)


async def milliseconds(database: Database, work: Work) -> float:
    """The best of some runs, each of which is undone."""
    took: list[float] = []

    async def run(tx: Transaction) -> None:
        started = time.perf_counter()
        itself = await work(tx)
        took.append(itself if isinstance(itself, float) else time.perf_counter() - started)
        raise _Undone

    for _ in range(RUNS):
        with contextlib.suppress(_Undone):
            await database.write(run)
    return min(took) * 1_000


async def run(sizes: list[int], url: str) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {name: {} for name in statements()}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="prikkfri-waiting-") as folder:
            database = await open_database(Location(Path(folder), url), "sms")
            try:
                started = time.perf_counter()
                await fill(database, size, postgres=bool(url))
                print(f"{size:,} of each kind, filled in {time.perf_counter() - started:.0f} s", flush=True)
                for name, work in statements().items():
                    found[name][size] = await milliseconds(database, work)
                await empty(database)
            finally:
                await database.close()
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", default="1000,100000,1000000")
    arguments.add_argument("--database", default="", help="postgresql://...: an empty database of PostgreSQL's")
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    sizes = [int(size) for size in chosen.sizes.split(",")]
    engine = "PostgreSQL" if chosen.database else "SQLite"
    print(
        f"{engine}, {platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )
    found = asyncio.run(run(sizes, chosen.database))
    print(f"{'ms':36}" + "".join(f"{size:>12,}" for size in sizes) + f"{'ratio':>10}")
    for name, took in found.items():
        ratio = took[sizes[-1]] / took[sizes[0]]
        print(f"{name:36}" + "".join(f"{took[size]:12.3f}" for size in sizes) + f"{ratio:10.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
