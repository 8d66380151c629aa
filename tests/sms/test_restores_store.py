"""What each statement about restored snapshots does, and to which messages not, on both engines."""

from functools import partial

import pytest
from message_table import BASE, NOW, STATES, Row, crossed, effect

from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.restored import Restore
from prikkfri.sms.restores import store
from prikkfri.storage import Database, Transaction

FIRST = Restore(1, "new", "old", 7, 1_000.0, 900.0, 960.5, 3, 2, 1, 5, 2, 4)
SECOND = Restore(
    2, "newer", "new", 9, 2_000.0, 1_900.0, 1_960.5, -1, -1, 0, 6, 3, 1, "send", "Kari", 2_100.0, 1, 2, 3.0
)
BEGINNING = (-1.0, "")


async def test_of_restored_snapshots_the_newest_is_told_as_it_was_put_last(database: Database) -> None:
    assert (await database.read(store.newest), await database.read(store.accepted)) == (None, 0)
    for put, newest, accepted in (
        (SECOND, SECOND, 1),
        (FIRST, SECOND, 5),
        (SECOND._replace(accepted=2, found=1), SECOND._replace(accepted=2, found=1), 6),
    ):
        await database.write(partial(store.put, restore=put))
        assert await database.read(store.newest) == newest
        assert await database.read(store.accepted) == accepted
    changed = SECOND._replace(**{each: getattr(FIRST, each) for each in Restore._fields if each != "number"})
    await database.write(partial(store.put, restore=changed))
    assert await database.read(store.newest) == changed
    # What is taken on is counted with the newest.
    await database.write(partial(store.count_accepted, messages=3))
    assert await database.read(store.newest) == changed._replace(accepted=7)
    assert await database.read(store.accepted) == 11


def table() -> list[Row]:
    """Of every state, expiry, end, and note of an earlier snapshot."""
    return crossed(
        state=STATES,
        expires_at=(NOW, NOW + 1),
        ended_at=(0.0, NOW - 200),
        restored=(0, 1, -1, 2, -2),
        message_class=("ordinary", "canary"),
    )


@pytest.mark.parametrize("limit", [3, 10, 1_000])
async def test_those_that_waited_are_noted_once_in_the_order_of_their_expiry(database: Database, limit: int) -> None:
    told: list[str] = []

    async def work(tx: Transaction) -> list[int]:
        steps, after = [], BEGINNING
        while True:
            classes, on = await store.find(tx, DeliveryState.WAITING, 2, after=after, limit=limit)
            told.extend(classes)
            steps.append(len(classes))
            if on is None:
                return steps
            assert on > after
            after = on

    found = await effect(database, table(), work)

    def noted(row: Row) -> Row | None:
        return {"restored": 2} if row["state"] == "waiting" and not row["ended_at"] and row["restored"] != 2 else None

    found.must_be(noted)
    order = sorted(
        (row for row in found.before.values() if row["state"] == "waiting" and not row["ended_at"]),
        key=lambda row: (row["expires_at"], row["id"]),
    )
    assert told == [row["message_class"] for row in order if noted(row)]
    assert len(found.result) == len(order) // limit + 1
    assert found.result[0] == sum(noted(row) is not None for row in order[:limit])


async def test_where_it_goes_on_is_behind_the_last_that_was_looked_at(database: Database) -> None:
    rows = [{**BASE, "id": each, "expires_at": NOW + at} for at, each in enumerate("dcba")]
    one = partial(store.find, state=DeliveryState.WAITING, number=1, limit=1)
    for after, on in ((BEGINNING, (NOW, "d")), ((NOW, "c"), (NOW, "d")), ((NOW, "d"), (NOW + 1, "c")),
                      ((NOW + 2, "b"), (NOW + 3, "a")), ((NOW + 3, "a"), None)):  # fmt: skip
        found = await effect(database, rows, partial(one, after=after))
        assert found.result == (["ordinary"] if on else [], on)


async def test_those_that_have_not_been_gone_through_are_told_in_the_order_of_their_ids(database: Database) -> None:
    found = await effect(database, table(), partial(store.waited, limit=10_000))
    waited = sorted(each["id"] for each in found.before.values() if each["restored"] > 0 and not each["ended_at"])
    assert found.result == [
        store.WaitingMessage(each, row["state"], row["message_class"], row["expires_at"])
        for each in waited
        for row in [found.before[each]]
    ]
    found.untouched()
    assert [each.id for each in (await effect(database, table(), partial(store.waited, limit=3))).result] == waited[:3]


async def test_one_that_is_let_go_has_waited_all_the_same_and_is_let_go_once(database: Database) -> None:
    some = [each["id"] for number, each in enumerate(table()) if number % 3]
    found = await effect(database, table(), partial(store.let_go, ids=[*some, *some]))
    found.must_be(lambda row: {"restored": -row["restored"]} if row["id"] in some and row["restored"] > 0 else None)
