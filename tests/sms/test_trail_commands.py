"""What other roles ask of messages: their trails, and to have erased what is over; on both engines for the table."""

from typing import Any

import httpx
import pytest
from message_table import BASE, NOW, STATES, fill

from prikkfri.sms.http import MESSAGES_MAX, application, trail_commands
from prikkfri.sms.trails import store
from prikkfri.storage import Database

KEY = {"authorization": "Bearer k"}
OVER = {"delivered", "undeliverable", "expired", "rejected", "unreported"}


async def test_trails_are_told_to_whoever_has_the_key_and_erased_when_they_are_over(house: Any) -> None:
    async with house() as at:
        over = {"id": "m-1", "submission": "m-1", "state": "delivered", "ended_at": at.clock.now(), "receipt": "given"}
        await at.database.write(lambda t: fill(t, [BASE | over]))
        waits = await at.centre.submit(
            at.centre.authenticate("shop", "secret12", address=""), "Shop", "+4790000001", "hei"
        )
        serving = application(at.centre, trail_commands(at.centre, command_key="k"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(serving), base_url="http://sms") as role:
            wanted = {"messages": [waits, "unknown", "m-1"]}
            for path in ("/trails", "/trails/erase"):
                assert (await role.post(path, json=wanted)).status_code == 401
                too_many = {"messages": ["m"] * (MESSAGES_MAX + 1), "by": "Eva"}
                assert (await role.post(path, json=too_many, headers=KEY)).status_code == 400
            told = await role.post("/trails", json=wanted, headers=KEY)
            assert [(each["id"], each["state"]) for each in told.json()["trails"]] == [
                (waits, "waiting"), ("m-1", "delivered"),
            ]  # fmt: skip
            assert "90000001" not in told.text
            assert (await role.post("/trails/erase", json=wanted, headers=KEY)).status_code == 400  # by whom?
            erased = await role.post("/trails/erase", json=wanted | {"by": "Eva"}, headers=KEY)
            assert erased.json() == {"erased": 1}
            told = await role.post("/trails", json=wanted, headers=KEY)
            assert [each["id"] for each in told.json()["trails"]] == [waits]


@pytest.mark.parametrize("state", STATES)
async def test_only_what_is_over_is_erased(database: Database, state: str) -> None:
    over = {"state": state, "ended_at": NOW if state in OVER or state == "quarantined" else 0.0}
    rows = [
        BASE | over | {"id": "a", "submission": "a"},
        BASE | over | {"id": "b-1", "submission": "b-1", "parts": 2},
        BASE | over | {"id": "b-2", "submission": "b-1", "part": 2, "parts": 2},
        BASE | over | {"id": "other", "submission": "other"},
    ]
    rows += [
        BASE | over | {"id": f"r-{each}", "submission": f"r-{each}", "receipt": each} for each in ("waiting", "sending")
    ]
    await database.write(lambda t: fill(t, rows))
    for row in rows:
        await database.write(lambda t, row=row: t.execute(
            "INSERT INTO sms_event (message, time, event, detail) VALUES (:id, 1, 'e', '')", {"id": row["id"]}
        ))  # fmt: skip
    for message, parts in (("a", 1), ("b-1", 2), ("r-waiting", 0), ("r-sending", 0), ("unknown", 0)):
        erased = await database.write(lambda t, message=message: store.erase(t, message))
        assert erased == (parts if state in OVER else 0), message
    left = {row[0] for row in await database.read(lambda q: q.fetch("SELECT id FROM sms_message"))}
    assert left == ({"other", "r-waiting", "r-sending"} if state in OVER else {row["id"] for row in rows})
    assert {row[0] for row in await database.read(lambda q: q.fetch("SELECT message FROM sms_event"))} == left
