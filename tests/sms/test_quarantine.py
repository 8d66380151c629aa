"""What is held for a person: seen masked and without its body, let go only where it is right, or discarded."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from message_table import BASE, NOW, STATES, crossed, effect, numbered
from message_table import message as row_message
from msgspec import structs
from sms_house import HURRIED, NUMBER, House, Peer

from prikkfri.protocols.smpp.pdu import Command, ShortMessage, Status
from prikkfri.protocols.smpp.receipt import MessageState, is_receipt, parse_receipt
from prikkfri.sms.http import application, quarantine_commands
from prikkfri.sms.messages import Message
from prikkfri.sms.network_receipts import NetworkReceipt
from prikkfri.sms.quarantine import store
from prikkfri.sms.quarantine.entries import HeldMessage, HeldReceipt, Hindrance, message_entry, receipt_entry, way_out
from prikkfri.sms.routing import Party, Routes
from prikkfri.sms.sealing import Envelope, Sealer
from prikkfri.sms.store import COLUMNS
from prikkfri.storage import Database, Transaction

EARLY_SECONDS = HURRIED.early_receipt_seconds
BODY = b"Koden er 483 201"
SEALER = Sealer(os.urandom)
ROUTES = Routes({"2010": Party("account", "shop")}, {"47": ("syd",)}, 2)


def stored(**changes: Any) -> Message:
    message = Message(
        "m1", "m1", 1, 1, "account:shop", "link:nord", "ordinary", "4790000077", NUMBER, None, 1, NOW, NOW, NOW + 60
    )
    message = type(message)(**{**{f: getattr(message, f) for f in message.__struct_fields__}, **changes})
    sealed = SEALER.seal(Envelope(BODY, 0, 0, 0, 0), message.binding, bytes(12))
    return type(message)(**{**{f: getattr(message, f) for f in message.__struct_fields__}, "sealed": sealed})


def changed(message: Message, **changes: Any) -> Message:
    return type(message)(**{**{f: getattr(message, f) for f in message.__struct_fields__}, **changes})


# Decisions.


def test_a_message_goes_out_by_the_routes_of_today_and_only_when_its_seal_opens_in_time() -> None:
    message = stored()
    assert way_out(message, SEALER, ROUTES, NOW) == Party("link", "syd")
    assert way_out(message, SEALER, ROUTES, NOW + 59.9) == Party("link", "syd")
    assert way_out(message, SEALER, ROUTES, NOW + 60) is Hindrance.TOO_LATE
    assert way_out(stored(recipient="2010"), SEALER, ROUTES, NOW) == Party("account", "shop")
    assert way_out(stored(recipient="46700000001"), SEALER, ROUTES, NOW) is Hindrance.NO_ROUTE
    theirs = replace(ROUTES, neighbours={"syd": "Sydtel"})
    assert way_out(stored(origin="link:syd"), SEALER, ROUTES, NOW) == Party("link", "syd")
    assert way_out(stored(origin="link:syd"), SEALER, theirs, NOW) is Hindrance.NO_ROUTE
    for other in ({"recipient": "4790000002"}, {"sender": "X"}, {"id": "m2"}, {"expires_at": NOW}, {"sealed": None}):
        assert way_out(changed(message, **other), SEALER, ROUTES, NOW) is Hindrance.SEAL_BROKEN, other
    for other in ({"message_class": "never-seen"}, {"expires_at": NOW + 7_200}):
        assert way_out(changed(message, **other), SEALER, ROUTES, NOW) is Hindrance.TEXT_GONE, other
    canary = stored(origin="canary:nord")
    assert way_out(canary, SEALER, ROUTES, NOW) == Party("link", "nord")


def test_what_is_held_is_shown_masked() -> None:
    entry = message_entry(HeldMessage(stored(), "misdirected", NOW + 5))
    assert (entry.id, entry.kind, entry.link, entry.held_at, entry.reason) == ("m1", "message", "nord", NOW + 5,
                                                                               "misdirected")  # fmt: skip
    assert entry.detail == "class ordinary, from account shop"
    assert not any(number in str(entry) for number in (NUMBER, "4790000077", "483"))
    assert message_entry(HeldMessage(stored(sender="Shop"), "", NOW)).sender == "Shop"
    receipt = NetworkReceipt("r1", "nord", "A1", "", 7, NUMBER, "4790000077", 5, "", "042", NOW, NOW, 3)
    entry = receipt_entry(HeldReceipt(receipt, "held", "fits-no-message", NOW + 6, ""))
    assert (entry.id, entry.kind, entry.link, entry.held_at, entry.reason) == ("r1", "receipt", "nord", NOW + 6,
                                                                               "fits-no-message")  # fmt: skip
    assert entry.detail == "id A1, UNDELIVERABLE, error 042"
    assert not any(number in str(entry) for number in (NUMBER, "4790000077"))
    assert entry.recipient != entry.sender
    odd = structs.replace(receipt, next_hop_id="", other_id="B2", told=0, word="GONE")
    assert receipt_entry(HeldReceipt(odd, "held", "", NOW, "")).detail == (
        "id none (B2 in its text), unknown state GONE, error 042"
    )
    silent = structs.replace(odd, word="")
    assert "unknown state none" in receipt_entry(HeldReceipt(silent, "held", "", NOW, "")).detail


# The table.


async def test_messages_in_quarantine_are_found_by_party_the_newest_first_and_as_they_are(database: Database) -> None:
    rows = numbered([
        {**BASE, "state": state, "target": target, "ended_at": NOW + number, "reason": f"why {number}",
         "sessions_ended": number}
        for number, (state, target) in enumerate([("quarantined", "link:nord"), ("quarantined", "link:syd"),
            ("rejected", "link:nord"), ("quarantined", "link:nord"), ("waiting", "link:nord")])
    ])  # fmt: skip
    meant = [HeldMessage(row_message(row), row["reason"], row["ended_at"]) for row in rows]

    async def look(tx: Transaction) -> list[Any]:
        found = [await store.messages(tx, party=party, limit=limit) for party, limit in (("", 9), ("", 2),
                 ("link:nord", 9), ("link:none", 9))]  # fmt: skip
        return [*found, [await store.message(tx, each.message.id) for each in meant]]

    found = await effect(database, rows, look)
    found.untouched()
    first, second, _, fourth, _ = meant
    assert found.result == [
        [fourth, second, first],
        [fourth, second],
        [fourth, first],
        [],
        [first, second, None, fourth, None],
    ]


async def test_what_is_freed_waits_as_if_it_had_just_come_and_what_is_discarded_has_no_body(database: Database) -> None:
    rows = crossed(state=STATES, target=("link:nord", "account:shop"), message_class=("ordinary", "canary"))
    asked = {row["id"] for row in rows if row["target"] == "link:nord"}

    async def free(tx: Transaction) -> None:
        for each in asked:
            await store.free(tx, each, "link:syd", now=NOW + 5)

    async def discard(tx: Transaction) -> None:
        for each in asked:
            await store.discard_message(tx, each, now=NOW + 5)

    freed = {"state": "waiting", "target": "link:syd", "reason": "released", "due_at": NOW + 5, "ended_at": 0}
    discarded = {"state": "rejected", "reason": "discarded", "sealed": None, "ended_at": NOW + 5}
    for work, new in ((free, freed), (discard, discarded)):
        found = await effect(database, rows, work)
        found.must_be(
            lambda row, new=new: new if row["id"] in asked and row["state"] == "quarantined" else None  # type: ignore[misc]
        )


# Over the wire, and by command.


@asynccontextmanager
async def duty(at: House, key: str = "k") -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has the command key."""
    serving = application(at.centre, quarantine_commands(at.centre.quarantine, command_key="k"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(serving), base_url="http://sms") as http:
        http.headers["authorization"] = f"Bearer {key}"
        yield http


async def one_held(at: House, sql: str) -> tuple[Peer, Peer, str]:
    """A message in quarantine: what `sql` did to it before it was claimed is undone by nobody."""
    client = await at.bound_client()
    _, identity = await client.submit(octets=BODY, registered_delivery=1)
    await at.change(sql)
    link = await at.bound_link()
    await at.until(f"SELECT state FROM sms_message WHERE id = '{identity}'", "quarantined")
    return link, client, identity


async def test_a_broken_seal_can_only_be_discarded_and_who_did_it_stands_in_the_trail(house: Any) -> None:
    async with house() as at, duty(at) as http:
        _, client, identity = await one_held(at, "UPDATE sms_message SET recipient = '4790000002'")
        [entry] = (await http.get("/quarantine")).json()
        assert (entry["id"], entry["kind"], entry["link"], entry["reason"]) == (identity, "message", "nord",
                                                                                "misdirected")  # fmt: skip
        shown = (await http.get(f"/quarantine/{identity}")).json()
        assert shown["hindrance"].startswith("the seal does not open")
        assert [step["event"] for step in shown["steps"]][:2] == ["accepted", "attempted"]
        refused = await http.post(f"/quarantine/{identity}", json={"action": "release", "by": "Kari"})
        assert (refused.status_code, refused.json()["error"]) == (409, "not-released")
        assert refused.json()["message"] == shown["hindrance"]
        assert await at.fetch("SELECT state FROM sms_message") == [("quarantined",)]

        done = await http.post(f"/quarantine/{identity}", json={"action": "discard", "by": "Kari"})
        assert done.status_code == 200
        assert await at.fetch("SELECT state, reason, sealed, ended_at FROM sms_message") == [
            ("rejected", "discarded", None, at.clock.now())
        ]
        [step] = [step for step in (await at.centre.trail(identity)).steps if step.event == "discarded"]
        assert step.detail == "by Kari; quarantined for misdirected before"
        again = await http.post(f"/quarantine/{identity}", json={"action": "discard", "by": "Ola"})
        assert (again.status_code, again.json()["error"]) == (404, "not-held")
        assert (await http.get("/quarantine")).json() == []
        assert (await http.get(f"/quarantine/{identity}")).status_code == 404
        _, receipt = await client.message()
        assert parse_receipt(receipt).state is MessageState.UNKNOWN


async def test_a_message_whose_seal_is_whole_goes_out_when_a_person_says_so(house: Any) -> None:
    async with house() as at, duty(at) as http:
        link, client, identity = await one_held(at, "UPDATE sms_message SET sealed = NULL")
        request, receipt = await client.message()
        assert is_receipt(receipt)
        client.answer(request)
        # As it was sealed, and for a link that is not there any more.
        [row] = await at.fetch(f"SELECT {COLUMNS} FROM sms_message")
        sealer = Sealer(os.urandom, at.sealing_keys.load())
        sealed = sealer.seal(Envelope(BODY, 0, 0, 5, 0), Message(*row).binding, bytes(12))
        gone = {"sealed": sealed, "target": "link:gone"}
        await at.database.write(
            lambda tx: tx.execute("UPDATE sms_message SET sealed = :sealed, target = :target", gone)
        )

        shown = (await http.get(f"/quarantine/{identity}")).json()
        assert (shown["hindrance"], shown["goes_to"]) == ("", "link nord")
        assert "483 201" not in str(shown)
        done = await http.post(f"/quarantine/{identity}", json={"action": "release", "by": "Kari"})
        assert done.status_code == 200
        request, message = await link.message()
        assert (message.octets, message.destination) == (BODY, NUMBER)
        link.take_message(request, "net-1")
        await at.until("SELECT state FROM sms_message", "sent")
        [step] = [step for step in (await at.centre.trail(identity)).steps if step.event == "released"]
        assert step.detail == "from quarantine by Kari, to link nord"
        link.tell(message, "net-1")
        assert (await link.answered()).status == Status.OK
        await at.until("SELECT state FROM sms_message", "delivered")
        await at.nothing_more_for_account(client, link)  # its sender was told once, and is not told otherwise


async def held_receipt(at: House, link: Peer, identity: str = "A1", **fields: Any) -> str:
    """The id in quarantine of a receipt that fits no message."""
    octets = f"id:{identity} sub:001 stat:DELIVRD err:000".encode()
    told = {"source": NUMBER, "destination": "Shop", "octets": octets, "esm_class": 4, **fields}
    link.ask(Command.DELIVER_SM, ShortMessage(**told))
    assert (await link.answered()).status == Status.OK
    at.clock.advance(EARLY_SECONDS)
    where = f"WHERE next_hop_id = '{identity}'"
    await at.until(f"SELECT state FROM sms_network_receipt {where}", "held")
    return str((await at.fetch(f"SELECT id FROM sms_network_receipt {where}"))[0][0])


async def test_a_receipt_is_released_when_it_fits_a_message_by_now(house: Any) -> None:
    async with house(receipts_kept_max=1) as at, duty(at) as http:
        link, client = await at.network.bound(), await at.bound_client()
        receipt = await held_receipt(at, link)
        [entry] = (await http.get("/quarantine?link=nord")).json()
        assert (entry["id"], entry["kind"], entry["detail"]) == (receipt, "receipt", "id A1, DELIVERED, error 000")
        assert (await http.get("/quarantine?link=syd")).json() == []
        shown = (await http.get(f"/quarantine/{receipt}")).json()
        assert (shown["hindrance"], shown["goes_to"], shown["steps"]) == ("", "", [])
        say = {"action": "release", "by": "Kari"}
        refused = await http.post(f"/quarantine/{receipt}", json=say)
        assert (refused.status_code, refused.json()["message"]) == (409, "it fits no message still")
        assert await at.fetch("SELECT state FROM sms_network_receipt") == [("held",)]

        await client.submit()
        request, _ = await link.message()
        link.take_message(request, "161")  # the same to another base
        await at.until("SELECT state FROM sms_message", "sent")
        assert (await http.post(f"/quarantine/{receipt}", json=say)).status_code == 200
        [(identity, state)] = await at.fetch("SELECT id, state FROM sms_message")
        assert state == "delivered"
        [step] = [step for step in (await at.centre.trail(identity)).steps if step.event == "receipt-released"]
        assert step.detail == "from quarantine by Kari: id A1, DELIVERED, error 000"
        assert await at.fetch("SELECT 1 FROM sms_network_receipt") == []
        assert (await http.post(f"/quarantine/{receipt}", json=say)).status_code == 404
        await held_receipt(at, link, "B2")  # there is room for one again


async def test_receipts_are_discarded_alone_or_all_of_a_link_and_kept_with_who_did_it(house: Any) -> None:
    async with house(receipts_kept_max=3) as at, duty(at) as http:
        link = await at.network.bound()
        ids = [await held_receipt(at, link, identity) for identity in ("A1", "A2", "A3")]
        assert [entry["id"] for entry in (await http.get("/quarantine")).json()] == ids[::-1]  # the newest first
        say = {"action": "discard", "by": "Kari"}
        assert (await http.post(f"/quarantine/{ids[1]}", json=say)).status_code == 200
        assert (await http.post(f"/quarantine/{ids[1]}", json=say)).status_code == 404
        assert (await http.post(f"/quarantine/{ids[1]}", json={**say, "action": "release"})).status_code == 404
        assert (await http.get(f"/quarantine/{ids[1]}")).json()["hindrance"] == "discarded by Kari"
        for link_name, found in (("syd", 0), ("nord", 2), ("nord", 0)):
            answer = await http.post("/quarantine", json={"link": link_name, **say})
            assert answer.json() == {"discarded": found}
        rows = await at.fetch("SELECT state, changed_by, changed_at FROM sms_network_receipt")
        assert rows == [("discarded", "Kari", at.clock.now())] * 3
        assert (await http.get("/quarantine")).json() == []
        for identity in ("B1", "B2", "B3"):
            await held_receipt(at, link, identity)


async def test_what_still_waits_is_not_for_people_yet(house: Any) -> None:
    async with house() as at, duty(at) as http:
        link = await at.network.bound()
        link.ask(Command.DELIVER_SM, ShortMessage(source=NUMBER, octets=b"id:A1 stat:DELIVRD", esm_class=4))
        assert (await link.answered()).status == Status.OK
        [(receipt,)] = await at.fetch("SELECT id FROM sms_network_receipt")
        assert (await http.get("/quarantine")).json() == []
        assert (await http.get(f"/quarantine/{receipt}")).status_code == 404
        for action in ("release", "discard"):
            answer = await http.post(f"/quarantine/{receipt}", json={"action": action, "by": "Kari"})
            assert answer.status_code == 404
        assert await at.fetch("SELECT state FROM sms_network_receipt") == [("waiting",)]


@pytest.mark.parametrize(
    "wrong",
    [{"action": "release"}, {"action": "release", "by": ""}, {"action": "burn", "by": "K"}, {"action": "discard",
     "by": "K" * 65}, {"action": "release", "by": "K", "why": "x"}, []],
)  # fmt: skip
async def test_what_is_not_asked_rightly_is_refused(house: Any, wrong: object) -> None:
    async with house() as at, duty(at) as http, duty(at, "wrong") as stranger:
        assert (await http.post("/quarantine/x", json=wrong)).status_code == 400
        assert (
            await http.post("/quarantine", json={"link": "nord", "by": "K", "action": "release"})
        ).status_code == 400
        for path in ("/quarantine", "/quarantine/x"):
            assert (await stranger.get(path)).status_code == 401
            assert (await stranger.post(path, json=wrong)).status_code == 401
