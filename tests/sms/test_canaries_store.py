"""What each statement of the canaries' store does, and to which of them not, on both engines."""

from functools import partial
from typing import Any

from message_table import BASE, NOW, Row, fill

from prikkfri.sms.canaries import store
from prikkfri.sms.canaries.verdicts import Canary, JudgedCanary, Verdict
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.store import add_events
from prikkfri.sms.trail import Step
from prikkfri.sms.trust.evidence import Evidence, Hint
from prikkfri.sms.trust.routes import Trust, observe, observe_hints
from prikkfri.storage import Database, Transaction

PHONE, OTHER = "4790000801", "4790000802"
COLUMNS = (
    "token",
    "message",
    "link",
    "phone",
    "made_at",
    "arrived_at",
    "stray_at",
    "stray_on",
    "verdict",
    "decided_at",
)


def canary(token: str, **columns: Any) -> Row:
    row = {"token": token, "message": f"m-{token}", "link": "nord", "phone": PHONE, "made_at": NOW - 50,
           "arrived_at": 0.0, "stray_at": 0.0, "stray_on": "", "verdict": "", "decided_at": 0.0}  # fmt: skip
    return {**row, **columns}


async def put(tx: Transaction, rows: list[Row]) -> None:
    """Canaries, each with its message, which the network has taken."""
    await fill(tx, [{**BASE, "id": row["message"], "submission": row["message"], "state": "sent"} for row in rows])
    await tx.execute_many(
        f"INSERT INTO sms_canary ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})", rows
    )


async def read(tx: Transaction) -> dict[str, Row]:
    rows = await tx.fetch(f"SELECT {', '.join(COLUMNS)} FROM sms_canary")
    return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in rows}


async def effect(database: Database, rows: list[Row], work: Any) -> tuple[Any, dict[str, Row]]:
    """What `work` returns, and of each canary that it changed what is new."""

    async def run(tx: Transaction) -> tuple[Any, dict[str, Row]]:
        await put(tx, rows)
        before = await read(tx)
        result = await work(tx)
        after = await read(tx)
        changed = {
            token: {name: value for name, value in row.items() if row[name] != before.get(token, {}).get(name)}
            for token, row in after.items()
            if row != before.get(token)
        }
        return result, changed | {token: {} for token in before.keys() - after.keys()}

    return await database.write(run)


async def test_a_canary_is_stored_with_what_it_is_for(database: Database) -> None:
    async def add(tx: Transaction) -> None:
        await store.add(tx, "new", "m-new", link="syd", phone=OTHER, now=NOW)

    _, changed = await effect(database, [canary("old")], add)
    assert changed == {"new": canary("new", link="syd", phone=OTHER, made_at=NOW)}


async def test_a_phone_tells_of_its_own_canaries_and_of_those_that_strayed_to_it(database: Database) -> None:
    rows = [
        canary("mine"),
        canary("mine-again", arrived_at=NOW - 9),
        canary("not-told"),
        canary("strayed", phone=OTHER),
        canary("strayed-before", phone=OTHER, stray_at=NOW - 9, stray_on="third"),
        canary("theirs", phone=OTHER),
        canary("decided", phone=OTHER, verdict="arrived", arrived_at=NOW - 8, decided_at=NOW - 7),
    ]
    tokens = ["mine", "mine-again", "strayed", "strayed-before", "decided", "nobodys", "mine"]
    said = [(PHONE, token) for token in tokens]
    strays, changed = await effect(database, rows, partial(store.mark_reported, said=said, now=NOW))
    assert changed == {
        "mine": {"arrived_at": NOW},
        "strayed": {"stray_at": NOW, "stray_on": PHONE},
        "decided": {"stray_at": NOW, "stray_on": PHONE},
    }
    sent = (DeliveryState.SENT, BASE["attempted_at"], BASE["sent_at"], 0.0)
    assert strays == [
        Canary("strayed", "m-strayed", "nord", OTHER, *sent, 0.0, NOW, "", NOW - 50),
        Canary("decided", "m-decided", "nord", OTHER, *sent, NOW - 8, NOW, "arrived", NOW - 50),
    ]
    assert strays[0].state is DeliveryState.SENT


async def test_two_phones_that_tell_of_one_canary_at_once_are_both_heard(database: Database) -> None:
    said = [(OTHER, "both"), (PHONE, "both"), (PHONE, "mine")]
    rows = [canary("both"), canary("mine")]
    strays, changed = await effect(database, rows, partial(store.mark_reported, said=said, now=NOW))
    assert [each.token for each in strays] == ["both"]
    assert changed["both"] == {"arrived_at": NOW, "stray_at": NOW, "stray_on": OTHER}


async def test_those_that_are_undecided_are_judged_the_oldest_first(database: Database) -> None:
    rows = [canary(f"t{late}", made_at=NOW - late, verdict="lost" if late == 3 else "") for late in (1, 5, 3, 2, 4)]
    found, changed = await effect(database, rows, partial(store.undecided, limit=3))
    assert [each.token for each in found] == ["t5", "t4", "t2"]
    assert changed == {}


async def test_a_verdict_stands_unless_another_came_before_it(database: Database) -> None:
    rows = [canary("a"), canary("b", verdict="arrived"), canary("c", verdict="missing"), canary("d")]

    async def decide(tx: Transaction) -> list[str]:
        stored = await read(tx)

        def known(token: str, verdict: str) -> Canary:
            row = stored[token]
            return Canary(token, row["message"], "nord", PHONE, DeliveryState.SENT, 1.0, 1.0, 0.0, 0.0, 0.0, verdict)

        judged = [
            JudgedCanary(known("a", ""), Verdict.LOST, False),
            JudgedCanary(known("b", "arrived"), Verdict.WRONG_PHONE, False),
            JudgedCanary(known("c", ""), Verdict.LATE, False),
            JudgedCanary(known("a", ""), Verdict.LOST, False),  # as a look and a phone may both have found it
            JudgedCanary(known("a", ""), Verdict.LATE, False),
        ]
        return [each.canary.token for each in await store.decide(tx, judged, now=NOW)]

    stood, changed = await effect(database, rows, decide)
    assert stood == ["a", "b"]
    assert changed == {
        "a": {"verdict": "lost", "decided_at": NOW},
        "b": {"verdict": "wrong-phone", "decided_at": NOW},
    }


async def test_a_links_newest_verdicts_are_told_in_the_order_of_making_with_when_each_left(database: Database) -> None:
    rows = [
        canary("a", made_at=1.0, decided_at=9.0, verdict="lost"),
        canary("c", made_at=3.0, decided_at=7.0, verdict="arrived"),
        canary("b", made_at=2.0, decided_at=8.0, verdict="late"),
        canary("open", made_at=4.0),
        canary("other", made_at=2.5, decided_at=9.0, verdict="lost", link="syd"),
    ]
    every, _ = await effect(database, rows, partial(store.verdicts, link="nord", limit=10))
    left = BASE["attempted_at"]
    assert every == [
        (1.0, left, 9.0, PHONE, "lost"),
        (2.0, left, 8.0, PHONE, "late"),
        (3.0, left, 7.0, PHONE, "arrived"),
    ]
    newest = await database.read(partial(store.verdicts, link="nord", limit=2))
    assert newest == every[1:]
    earlier = await database.read(partial(store.verdicts, link="nord", limit=2, before=3.0))
    assert earlier == every[:2]


async def test_a_canary_that_comes_back_is_astray_once_and_not_when_it_is_for_its_phone(database: Database) -> None:
    rows = [canary("t1"), canary("t2"), canary("t3", stray_at=5.0, stray_on=OTHER)]

    async def work(tx: Transaction) -> list[str | None]:
        told = [("t1", OTHER), ("t1", OTHER), ("t2", PHONE), ("t3", OTHER), ("none", OTHER)]
        found = [await store.mark_returned(tx, token, to, now=NOW) for token, to in told]
        return [each and each.token for each in found]

    found, changed = await effect(database, rows, work)
    assert found == ["t1", None, None, None, None]
    assert changed == {"t1": {"stray_at": NOW, "stray_on": OTHER}}


async def test_what_is_known_of_a_route_is_kept_as_it_is(database: Database) -> None:
    trust = observe(Trust(judged=4), PHONE, Verdict.MISSING, sent_at=NOW - 9, now=NOW)
    trust = observe_hints(trust, {Hint.PEOPLE: 2}, messages=10, seconds=3.0, now=NOW)

    async def work(tx: Transaction) -> list[Trust | None]:
        await store.put_trust(tx, "nord", Trust())
        await store.put_trust(tx, "nord", trust)
        await store.put_trust(tx, "syd", Trust(condemned=True, evidence=Evidence({"": (1.0,)})))
        return [await store.trust(tx, link) for link in ("nord", "syd", "fjord")]

    assert (await effect(database, [], work))[0] == [trust, Trust(condemned=True), None]


async def test_old_canaries_go_with_their_messages_and_leave_the_others(database: Database) -> None:
    rows = [canary(f"t{late}", made_at=NOW - late) for late in range(5)]

    async def erase(tx: Transaction) -> Any:
        await add_events(tx, [(row["message"], Step(1.0, "seen")) for row in rows])
        erased = await store.erase(tx, made_before=NOW - 2, limit=2)
        erased_then = await store.erase(tx, made_before=NOW - 2, limit=2)
        kept = [
            {row[0] for row in await tx.fetch(sql)}
            for sql in ("SELECT id FROM sms_message", "SELECT message FROM sms_event")
        ]
        return erased, erased_then, kept

    result, changed = await effect(database, rows, erase)
    assert result == (2, 1, [{"m-t0", "m-t1"}, {"m-t0", "m-t1"}])
    assert changed.keys() == {"t2", "t3", "t4"}
