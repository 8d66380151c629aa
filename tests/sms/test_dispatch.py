"""What is claimed for a party is written, put aside or given back: a sending task, its store and the wire under it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
from message_table import BASE, NOW, Row, fill, message
from msgspec import structs
from sms_house import HURRIED, PASSWORD
from waiting import eventually

from prikkfri.clock import ManualClock
from prikkfri.config import Account, Link, Sms
from prikkfri.errors import StorageUnavailable
from prikkfri.journal import Journal, open_journal
from prikkfri.protocols.smpp.pdu import Bind, BindResponse, Command, ShortMessage, Status
from prikkfri.protocols.smpp.receipt import MessageState, Receipt, parse_receipt
from prikkfri.protocols.smpp.session import Limits, Request, Session, Side
from prikkfri.sms.dispatch.service import PAUSE_SECONDS_MIN, Dispatch
from prikkfri.sms.holding.service import Holding
from prikkfri.sms.intake import ReceiptDelivery
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import DueReceipt
from prikkfri.sms.pace import PAUSE_SECONDS, Pace
from prikkfri.sms.quarantine.service import Quarantine
from prikkfri.sms.receipts.service import ReceiptResult, Receipts
from prikkfri.sms.routing import Party, RouteOutage
from prikkfri.sms.sealing import NONCE_OCTETS, Envelope, Sealer
from prikkfri.sms.server import Connection
from prikkfri.sms.shared.service import CLAIMED_RECEIPTS_MAX, CentreState
from prikkfri.storage import Database, Transaction

NORD, SHOP = Party("link", "nord"), Party("account", "shop")
LINK = Link(name="nord", partner="Fjordmobil", host="h", port=1, system_id="p", password=PASSWORD, prefixes=("47",))
STOPPED = RouteOutage("stopped", NOW, "Kari", "r", NOW, 0.0, 0.0)
TIMING = replace(HURRIED, look_seconds=1.0, storage_pause_seconds=0.0)


class StandingClock(ManualClock):
    """No wait by it ends by itself: what it is to last is kept."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.waits: list[float | None] = []
        self.stands = True

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        self.waits.append(seconds)
        return super().timeout(None) if self.stands else asyncio.timeout(0)


class Partner(asyncio.Transport):
    """The other end of a bind, without a socket: it answers nothing but the bind."""

    def __init__(self, party: Party, clock: ManualClock, limits: Limits) -> None:
        super().__init__()
        ours = Side.ESME if party.kind == "link" else Side.CENTRE
        self.connection: Connection = Connection(ours, limits, clock, lambda _: None)
        self.session = Session(Side.CENTRE if ours is Side.ESME else Side.ESME, Limits(), 0.0)
        self.requests: list[Request] = []
        self.connection.connection_made(self)
        if ours is Side.ESME:
            self.connection.session.bind(Command.BIND_TRANSCEIVER, Bind("prikkfri", PASSWORD), 0.0)
            self.connection.flush()
            self.session.answer(self.requests.pop(), Status.OK, BindResponse("network"))
            self.connection.data_received(self.session.outgoing())
        else:
            self.session.bind(Command.BIND_TRANSCEIVER, Bind(party.name, PASSWORD), 0.0)
            self.connection.data_received(self.session.outgoing())
            [request] = self.connection.arrived(1)
            assert isinstance(request, Request)
            self.connection.session.answer(request, Status.OK, BindResponse("centre"))
            self.connection.flush()

    def write(self, data: Any) -> None:
        self.requests += [each for each in self.session.receive(data, 0.0) if isinstance(each, Request)]

    def close(self) -> None:
        """It has been left."""

    def is_closing(self) -> bool:
        return self.connection.ended

    def pause_reading(self) -> None:
        """Nothing is read from it."""

    resume_reading = pause_reading

    @property
    def told(self) -> list[str]:
        """The messages of which it was told."""
        return [parse_receipt(each.body).message_id for each in self.requests if isinstance(each.body, ShortMessage)]

    @property
    def got(self) -> list[str]:
        """The recipients of what was written to it."""
        bodies = [each.body for each in self.requests]
        return [body.destination for body in bodies if isinstance(body, ShortMessage)]


class Desk:
    """A dispatch, and its database as it sees it: what follows a transaction is a test's to say."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self.database = database
        self.clock = StandingClock()
        self.sealer = Sealer(os.urandom)
        self.shared = CentreState(
            cast(Database, self), journal, Sms(links=(LINK,), accounts=(Account(system_id="shop", password=PASSWORD),),
            region="NO"), self.clock, os.urandom, self.sealer, TIMING
        )  # fmt: skip
        self.receipts = receipts = Receipts(self.shared)
        self.look = asyncio.Event()
        self.asked = asyncio.Event()
        self.dispatch = Dispatch(
            self.shared, receipts, Quarantine(self.shared, receipts), Holding(self.shared, self._holders)
        )
        self.after: list[Callable[[], object]] = []
        """What happens after each transaction that writes."""
        self.refusals: list[Exception] = []
        """Instead of each."""
        self.tasks: list[asyncio.Task[None]] = []
        self.writes = 0

    async def write(self, work: Any) -> Any:
        if self.refusals:
            raise self.refusals.pop(0)
        self.writes += 1
        result = await self.database.write(work)
        if self.after:
            self.after.pop(0)()
        return result

    async def _holders(self, numbers: Collection[str]) -> Mapping[str, str]:
        self.asked.set()
        await self.look.wait()
        return dict.fromkeys(numbers, "s-1")

    def row(self, identity: str, recipient: str = "", **changes: Any) -> Row:
        """A message that is sealed for who is to get it."""
        row = {**BASE, "id": identity, "submission": identity, "recipient": recipient or f"479000{identity:>04}"}
        row |= changes
        envelope = Envelope(b"hei", 0, 0, 5, 0)
        return {**row, "sealed": self.sealer.seal(envelope, message(row).binding, os.urandom(NONCE_OCTETS))}

    async def due(self, *rows: Row) -> None:
        await self.database.write(lambda tx: fill(tx, list(rows)))

    async def queued(self, partner: Partner, *rows: Row, party: Party = NORD) -> None:
        """Claimed already, and in the queue of this bind."""
        claimed = [{**row, "state": "sending"} for row in rows]
        await self.due(*claimed)
        for row in claimed:
            self.shared.pairs[party].enter(message(row), partner.connection)

    def bound(self, party: Party = NORD, window: int = 10, sequence_max: int = 1_000) -> Partner:
        partner = Partner(party, self.clock, Limits(window=window, sequence_max=sequence_max))
        self.shared.bound.enter(party, partner.connection, NOW)
        return partner

    def sends(self, partner: Partner, party: Party = NORD) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(self.dispatch.send_out(partner.connection, party)))
        return self.tasks[-1]

    async def rests(self, waits: int = 1) -> None:
        """Until whoever sends has come to wait once more; `waits`: so often in all."""
        await eventually(lambda: len(self.clock.waits) >= waits or any(task.done() for task in self.tasks))
        assert not any(task.done() for task in self.tasks), "nobody sends any more"

    async def claimed(self, *identities: str) -> None:
        """Receipts of the shop that were claimed as their messages ended."""
        rows = [self.row(each, state="delivered", receipt="sending", ended_at=NOW - 9) for each in identities]
        await self.due(*rows)
        self.shared.claimed_receipts[SHOP].extend(
            DueReceipt(row["id"], row["sender"], row["recipient"], 2, row["accepted_at"], NOW - 9) for row in rows
        )

    async def receipt_states(self) -> dict[str, str]:
        return dict(await self.database.read(lambda queries: queries.fetch("SELECT id, receipt FROM sms_message")))

    async def states(self) -> dict[str, str]:
        return dict(await self.database.read(lambda queries: queries.fetch("SELECT id, state FROM sms_message")))


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    desk = Desk(database, await open_journal(database, stream="sms", clock=ManualClock(NOW)))
    yield desk
    for task in desk.tasks:
        task.cancel()
    await asyncio.gather(*desk.tasks, return_exceptions=True)


async def test_for_a_party_whose_messages_are_being_placed_nothing_is_claimed_until_they_are(desk: Desk) -> None:
    """What is placed from the front would be overtaken by what was claimed from behind."""
    partner = desk.bound()
    desk.shared.drained = frozenset({NORD})
    await desk.due(desk.row("1"))
    desk.sends(partner)
    await desk.rests()
    assert (await desk.states(), partner.got) == ({"1": "waiting"}, [])
    desk.shared.drained = frozenset()
    desk.shared.bound.wake([NORD])
    await desk.rests(2)
    assert (await desk.states(), partner.got) == ({"1": "sending"}, ["4790000001"])


async def test_for_a_peer_that_does_not_read_nothing_is_claimed_until_it_does(desk: Desk) -> None:
    partner = desk.bound()
    partner.connection.pause_writing()
    await desk.due(desk.row("1"))
    desk.sends(partner)
    await desk.rests()
    assert await desk.states() == {"1": "waiting"}
    partner.connection.resume_writing()
    await desk.rests(2)
    assert partner.got == ["4790000001"]


async def test_after_a_claim_that_was_full_the_next_follows_without_a_wait(desk: Desk) -> None:
    """With two bound each claims half of a window at once."""
    partner = desk.bound()
    desk.bound()
    rows = [desk.row(f"{number}", due_at=NOW - 100 + number) for number in range(10)]
    await desk.due(*rows)
    desk.sends(partner)
    await desk.rests()
    assert partner.got == [row["recipient"] for row in rows]


async def test_after_a_claim_that_the_storage_refused_it_waits_before_the_next(desk: Desk) -> None:
    partner = desk.bound(window=1)
    await desk.due(desk.row("1"))
    desk.refusals = [StorageUnavailable("no room")]
    desk.sends(partner)
    await desk.rests()
    assert partner.got == []
    partner.connection.awake.set()
    await desk.rests(2)
    assert partner.got == ["4790000001"]


async def test_whoever_sends_waits_for_a_look_or_for_as_long_as_its_rate_says(desk: Desk) -> None:
    partner = desk.bound()
    desk.sends(partner)
    await desk.rests()
    await desk.due(desk.row("1"))
    for rate, tokens in ((4.0, 0.0), (0.5, 0.0), (4_000.0, 199.0)):
        desk.shared.paces[NORD] = Pace(rate_max=rate, tokens=tokens, at=0.0)
        partner.connection.awake.set()
        await desk.rests(len(desk.clock.waits) + 1)
    look = TIMING.look_seconds
    assert (desk.clock.waits, partner.got) == ([look, 0.25, look, PAUSE_SECONDS_MIN], [])


async def test_the_room_that_a_claim_took_and_did_not_fill_is_given_back(desk: Desk) -> None:
    desk.shared.paces[NORD] = Pace(rate_max=100.0, tokens=10.0, at=0.0)
    await desk.due(*(desk.row(f"{number}") for number in range(3)))
    desk.sends(desk.bound())
    await desk.rests()
    assert desk.shared.pace(NORD).room(0.0) == 7


async def test_receipts_and_messages_together_fill_no_more_than_the_room_there_is(desk: Desk) -> None:
    partner = desk.bound(SHOP, window=3)
    receipts = [
        desk.row(f"{number}", state="delivered", receipt="waiting", receipt_state=2, ended_at=NOW - 9)
        for number in (1, 2)
    ]
    here = [desk.row(f"{number}", "4790000009", target=str(SHOP), origin=str(NORD)) for number in (3, 4, 5)]
    await desk.due(*receipts, *here)
    desk.sends(partner, SHOP)
    await desk.rests()
    assert len(partner.requests) == 3
    assert sorted((await desk.states()).values()) == ["delivered", "delivered", "sending", "waiting", "waiting"]


async def test_a_receipt_that_was_claimed_as_the_centre_leaves_waits_again(desk: Desk) -> None:
    partner = desk.bound(SHOP)
    await desk.due(desk.row("1", state="delivered", receipt="waiting", receipt_state=2, ended_at=NOW - 9))
    desk.after = [lambda: setattr(desk.shared.bound, "leaving", True)]
    sending = desk.sends(partner, SHOP)
    await desk.rests()
    partner.connection.awake.set()
    await sending
    found = await desk.database.read(lambda queries: queries.fetch("SELECT receipt, receipt_at FROM sms_message"))
    assert (found, partner.requests) == ([("waiting", NOW)], [])


async def test_receipts_that_were_claimed_at_once_leave_as_there_is_room_and_in_their_order(desk: Desk) -> None:
    partner = desk.bound(SHOP, window=2)
    await desk.claimed("1", "2", "3")
    desk.sends(partner, SHOP)
    await desk.rests()
    assert (partner.told, [each.id for each in desk.shared.claimed_receipts[SHOP]]) == (["1", "2"], ["3"])
    partner.session.answer(partner.requests[0], Status.OK)
    partner.connection.data_received(partner.session.outgoing())
    partner.connection.awake.set()
    await desk.rests(2)
    assert (partner.told, len(desk.shared.claimed_receipts[SHOP])) == (["1", "2", "3"], 0)
    assert set((await desk.receipt_states()).values()) == {"sending"}


async def test_what_was_claimed_at_once_does_not_leave_while_nothing_may(desk: Desk) -> None:
    partner = desk.bound(SHOP)
    await desk.claimed("1")
    desk.shared.holds = True
    desk.sends(partner, SHOP)
    await desk.rests()
    assert partner.told == []
    desk.shared.holds, desk.shared.paces[SHOP] = False, Pace().answered(0, True, 0.0)
    partner.connection.awake.set()
    await desk.rests(2)
    assert partner.told == []
    del desk.shared.paces[SHOP]
    partner.connection.pause_writing()
    partner.connection.awake.set()
    await desk.rests(3)
    assert partner.told == []
    partner.connection.resume_writing()
    await desk.rests(4)
    assert partner.told == ["1"]


async def test_what_was_claimed_at_once_and_differs_is_kept_back_and_keeps_nobody_behind_it(desk: Desk) -> None:
    partner = desk.bound(SHOP)
    await desk.claimed("1", "2")
    first = desk.shared.claimed_receipts[SHOP].popleft()
    desk.shared.claimed_receipts[SHOP].appendleft(structs.replace(first, recipient="x" * 30))
    desk.sends(partner, SHOP)
    await desk.rests()
    assert partner.told == ["2"]
    assert await desk.receipt_states() == {"1": "waiting", "2": "sending"}


async def test_what_was_claimed_at_once_as_the_centre_leaves_waits_again(desk: Desk) -> None:
    partner = desk.bound(SHOP)
    sending = desk.sends(partner, SHOP)
    await desk.rests()
    await desk.claimed("1")
    desk.shared.bound.leaving = True
    partner.connection.awake.set()
    await sending
    assert (partner.told, await desk.receipt_states()) == ([], {"1": "waiting"})
    assert not desk.shared.claimed_receipts[SHOP]


async def test_what_was_claimed_at_once_and_nobody_is_there_to_write_waits_again(desk: Desk) -> None:
    """Whoever was bound has gone while it was being stored."""
    await desk.claimed("1", "2")
    desk.refusals, desk.clock.stands = [StorageUnavailable("no room")], False
    desk.tasks.append(asyncio.create_task(desk.receipts.keep()))
    await eventually(lambda: not desk.shared.claimed_receipts[SHOP])
    assert await desk.receipt_states() == {"1": "waiting", "2": "waiting"}


async def test_receipts_are_claimed_at_once_only_for_who_is_there_and_has_caught_up(desk: Desk) -> None:
    """What falls due behind older ones, or beyond what may stand in memory, waits stored."""
    assert not desk.shared.takes_receipts(str(SHOP))
    desk.sends(partner := desk.bound(SHOP, window=1), SHOP)
    await desk.rests()  # it has claimed, and nothing more waits
    takes = desk.shared.takes_receipts
    assert takes(str(SHOP)) and not takes(str(NORD)) and not takes("account:bank") and not takes("")
    desk.shared.claimed_receipts[SHOP].extend([cast(DueReceipt, None)] * (CLAIMED_RECEIPTS_MAX - 1))
    assert takes(str(SHOP))
    desk.shared.claimed_receipts[SHOP].append(cast(DueReceipt, None))
    assert not takes(str(SHOP))
    desk.shared.claimed_receipts[SHOP].clear()
    desk.shared.holds = True
    assert not takes(str(SHOP))
    desk.shared.holds, desk.shared.paces[SHOP] = False, Pace().answered(0, True, 0.0)
    assert not takes(str(SHOP))
    del desk.shared.paces[SHOP]
    partner.connection.close("gone")
    assert not takes(str(SHOP))


async def test_a_network_s_receipt_claims_the_sender_s_in_its_own_transaction_unless_an_older_one_waits(
    desk: Desk,
) -> None:
    partner = desk.bound(SHOP)
    sent = [desk.row(f"{number}", state="sent", next_hop_key=f"net{number}") for number in (1, 2, 3)]
    await desk.due(*sent, desk.row("9", state="sent", origin="account:bank", next_hop_key="net9"))
    settling = ReceiptResult()

    async def told(tx: Transaction, *numbers: int) -> None:
        deliveries = [
            ReceiptDelivery(cast(Request, None), Receipt(f"net{number}", MessageState.DELIVERED), "", "", None)
            for number in numbers
        ]
        assert not await desk.receipts.take(tx, settling, "nord", deliveries, NOW)
        await desk.receipts.record(tx, settling, NOW)

    await desk.write(lambda tx: told(tx, 1))  # nobody has looked yet whether older ones wait
    assert await desk.receipt_states() == {"1": "waiting", "2": "", "3": "", "9": ""}
    desk.sends(partner, SHOP)
    await desk.rests()
    assert partner.told == ["1"]
    settling = ReceiptResult()
    await desk.write(lambda tx: told(tx, 2, 9))
    assert await desk.receipt_states() == {"1": "sending", "2": "sending", "3": "", "9": "waiting"}
    writes = desk.writes
    desk.receipts.tell(settling)
    await desk.rests(2)
    assert (partner.told, desk.writes) == (["1", "2"], writes)  # nothing was claimed for that
    settling, desk.shared.holds = ReceiptResult(), True
    await desk.write(lambda tx: told(tx, 3))
    desk.shared.holds = False
    assert (await desk.receipt_states())["3"] == "waiting"
    assert not desk.shared.takes_receipts(str(SHOP))


async def test_a_receipt_that_is_on_its_way_already_is_not_told_again_by_what_ends_its_message_anew(desk: Desk) -> None:
    """A person has freed it from quarantine, of which its sender is just being told."""
    await desk.due(desk.row("1", state="sent", receipt="sending"))
    settling = ReceiptResult(to_end=[("1", DeliveryState.DELIVERED, "")], origins={str(SHOP)})
    await desk.write(lambda tx: desk.receipts.record(tx, settling, NOW))
    assert [ending.receipt for ending in settling.ended] == ["sending"]
    desk.receipts.tell(settling)
    assert not desk.shared.claimed_receipts[SHOP]


async def test_what_was_claimed_at_once_and_finds_no_sequence_number_keeps_its_place(desk: Desk) -> None:
    partner = desk.bound(SHOP, sequence_max=1)
    await desk.claimed("1", "2", "3")
    desk.sends(partner, SHOP)
    await desk.rests()
    assert (partner.told, [each.id for each in desk.shared.claimed_receipts[SHOP]]) == (["1"], ["2", "3"])


async def test_an_answer_alone_claims_nothing_where_all_that_was_due_has_been_claimed(desk: Desk) -> None:
    partner = desk.bound()
    await desk.due(desk.row("1"))
    desk.sends(partner)
    await desk.rests()
    writes = desk.writes
    await desk.due(desk.row("2"))
    partner.connection.awake.set()
    await desk.rests(2)
    assert (desk.writes, partner.got) == (writes, ["4790000001"])
    desk.shared.bound.wake([NORD])
    await desk.rests(3)
    assert partner.got == ["4790000001", "4790000002"]


async def test_what_is_full_of_older_receipts_has_not_caught_up(desk: Desk) -> None:
    ended = {"state": "delivered", "receipt": "waiting", "receipt_state": 2, "ended_at": NOW - 9}
    await desk.due(desk.row("1", **ended), desk.row("2", **ended))
    desk.sends(desk.bound(SHOP, window=1), SHOP)
    await desk.rests()
    assert not desk.shared.takes_receipts(str(SHOP))


async def test_what_another_bind_has_claimed_for_this_one_does_not_leave_while_the_party_pauses(desk: Desk) -> None:
    partner = desk.bound()
    desk.shared.paces[NORD] = Pace().answered(0, True, 0.0)
    await desk.queued(partner, desk.row("1"))
    desk.sends(partner)
    await desk.rests()
    assert (await desk.states(), partner.got) == ({"1": "waiting"}, [])
    assert not len(desk.shared.pairs[NORD])


async def test_the_one_that_shows_whether_a_party_takes_any_again_leaves(desk: Desk) -> None:
    partner = desk.bound()
    desk.shared.paces[NORD] = Pace().answered(0, True, -PAUSE_SECONDS)
    await desk.due(desk.row("1"), desk.row("2"))
    desk.sends(partner)
    await desk.rests()
    assert partner.got == ["4790000001"]


async def test_what_is_claimed_when_a_party_pauses_while_it_is_asked_who_holds_its_number_is_given_back(
    desk: Desk,
) -> None:
    partner = desk.bound()
    await desk.due(desk.row("1", holder="s-1"))
    desk.sends(partner)
    await eventually(desk.asked.is_set)
    desk.shared.paces[NORD] = Pace().answered(0, True, 0.0)
    desk.look.set()
    await eventually(lambda: not len(desk.shared.pairs[NORD]))
    assert (await desk.states(), partner.got) == ({"1": "waiting"}, [])


async def test_what_a_bind_that_has_ended_had_to_write_leaves_by_another_that_is_there(desk: Desk) -> None:
    gone, heir = desk.bound(), desk.bound()
    await desk.queued(gone, desk.row("1"))
    gone.connection.close("gone")
    await desk.dispatch.leave(gone.connection, NORD)
    assert await desk.states() == {"1": "sending"}
    assert heir.connection.awake.is_set()
    desk.sends(heir)
    await desk.rests()
    assert heir.got == ["4790000001"]


@pytest.mark.parametrize("leaving", [False, True])
async def test_where_there_is_no_other_bind_or_the_centre_leaves_it_waits_again(desk: Desk, leaving: bool) -> None:
    gone = desk.bound()
    if leaving:
        desk.bound()
    desk.shared.bound.leaving = leaving
    await desk.queued(gone, desk.row("1"))
    gone.connection.close("gone")
    await desk.dispatch.leave(gone.connection, NORD)
    assert await desk.states() == {"1": "waiting"}
    assert not len(desk.shared.pairs[NORD])


async def test_what_cannot_be_written_is_put_aside_although_what_follows_is_still_asked_about(desk: Desk) -> None:
    """By one bind leaves what another claims of its pairs: the second asks who holds a number as the first writes."""
    first, second = desk.bound(), desk.bound()
    await desk.queued(first, desk.row("1"), desk.row("2"), {**desk.row("3"), "sealed": b"another's"})
    await desk.due(desk.row("4", "4790000002", holder="s-1"))
    desk.sends(second)
    await eventually(desk.asked.is_set)
    desk.sends(first)
    await desk.rests(2)  # the second waits for who holds it
    assert first.got == ["4790000001", "4790000002"]
    assert await desk.states() == {"1": "sending", "2": "sending", "3": "quarantined", "4": "sending"}
    desk.look.set()
    await eventually(lambda: len(first.got) == 3)


async def test_what_cannot_be_written_is_put_aside_although_the_bind_has_ended_meanwhile(desk: Desk) -> None:
    partner = desk.bound()
    await desk.due({**desk.row("1"), "sealed": b"another's"}, desk.row("2", due_at=NOW - 50))
    desk.after = [lambda: partner.connection.close("gone")]
    await desk.sends(partner)
    assert await desk.states() == {"1": "quarantined", "2": "sending"}
    desk.shared.bound.leave(NORD, partner.connection, 0.0)
    await desk.dispatch.leave(partner.connection, NORD)
    assert await desk.states() == {"1": "quarantined", "2": "waiting"}


async def test_what_is_too_late_once_it_is_claimed_keeps_nobody_behind_it(desk: Desk) -> None:
    partner = desk.bound()
    await desk.due(desk.row("1", expires_at=NOW + 2), desk.row("2", due_at=NOW - 50))
    desk.after = [lambda: desk.clock.advance(1.5)]
    desk.sends(partner)
    await desk.rests()
    assert (await desk.states(), partner.got) == ({"1": "waiting", "2": "sending"}, ["4790000002"])


async def test_what_is_claimed_when_its_link_is_stopped_keeps_no_canary_behind_it(desk: Desk) -> None:
    partner = desk.bound()
    await desk.due(desk.row("1"), desk.row("2", due_at=NOW - 50, message_class="canary", origin="canary:nord"))
    desk.after = [lambda: desk.shared.know_outages({"nord": STOPPED})]
    desk.sends(partner)
    await desk.rests()
    assert (await desk.states(), partner.got) == ({"1": "waiting", "2": "sending"}, ["4790000002"])


async def test_a_short_code_that_a_network_would_read_as_a_number_of_its_region_does_not_leave(desk: Desk) -> None:
    partner = desk.bound()
    await desk.due(desk.row("1", "02800"), desk.row("2", "2010", due_at=NOW - 50))
    desk.sends(partner)
    await desk.rests()
    assert (await desk.states(), partner.got) == ({"1": "quarantined", "2": "sending"}, ["2010"])


async def test_what_is_another_subscriber_s_by_now_keeps_nobody_behind_it(desk: Desk) -> None:
    partner = desk.bound()
    await desk.due(desk.row("1", holder="s-2"), desk.row("2", due_at=NOW - 50))
    desk.look.set()
    desk.sends(partner)
    await desk.rests(2)  # the first wait is for who holds it
    assert (await desk.states(), partner.got) == ({"1": "rejected", "2": "sending"}, ["4790000002"])


async def test_once_a_bind_has_written_what_waited_for_it_the_others_look_for_more(desk: Desk) -> None:
    busy, idle = desk.bound(window=1), desk.bound()
    desk.sends(idle)
    await desk.rests()
    await desk.queued(busy, desk.row("1"))
    await desk.due(desk.row("2"))
    desk.sends(busy)
    await eventually(lambda: idle.got == ["4790000002"])
    assert busy.got == ["4790000001"]


async def test_what_follows_a_message_that_a_bind_had_written_when_it_ended_leaves_by_the_next(desk: Desk) -> None:
    gone = desk.bound()
    await desk.due(desk.row("1"))
    sending = desk.sends(gone)
    await desk.rests()
    gone.connection.close("gone")
    await sending
    desk.tasks.clear()
    desk.shared.bound.leave(NORD, gone.connection, 0.0)
    await desk.dispatch.leave(gone.connection, NORD)
    await desk.due(desk.row("2", "4790000001"))
    following = desk.bound()
    desk.sends(following)
    await desk.rests(2)
    assert (gone.got, following.got) == (["4790000001"], ["4790000001"])
