"""Canaries and routes at work: the centre, networks that the test plays, phones that tell; on both engines."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from message_table import BASE, fill
from sms_house import HURRIED, PASSWORD
from waiting import eventually

from prikkfri.config import Canary
from prikkfri.protocols.smpp.pdu import ShortMessage
from prikkfri.sms.canaries import store
from prikkfri.sms.canaries.service import PhoneReport
from prikkfri.sms.http import application, commands
from prikkfri.sms.trust.routes import Trust
from prikkfri.storage import Transaction

NUMBER = "4790000001"
PHONES = ("4790000801", "4790000802")
GRACE_SECONDS = 1.0
CANARIES_MAX = 1_000
"""A way is trusted again after some 125."""
OURS = {
    "canaries": tuple(Canary(msisdn=f"+{phone}", link="nord") for phone in PHONES),
    "canary_seconds": 0.02,
    "canary_grace_seconds": GRACE_SECONDS,
}
BOTH = [PhoneReport(phone, ()) for phone in PHONES]


def token_of(message: ShortMessage) -> str:
    return message.octets.decode().split()[-1]


class Handing:
    """The network of link nord: hands canaries to their phones, or as the test says; all else it only keeps.

    With each canary that it takes a moment passes.
    """

    def __init__(self, at: Any, link: Any) -> None:
        self.at = at
        self.link = link
        self.astray = False
        self.receipts = True
        self.phones_tell = True
        self.moment = 0.05
        self.others: list[ShortMessage] = []
        self.canaries = 0

    async def run(self) -> None:
        while True:
            request, message = await self.message()
            identity = f"net-{self.canaries}-{len(self.others)}"
            self.link.take_message(request, identity)
            if self.receipts:
                self.link.tell(message, identity)
            if message.destination not in PHONES:
                self.others.append(message)
                continue
            self.canaries += 1
            phone = message.destination
            if self.astray and self.canaries % 4 == 0:
                phone = next(other for other in PHONES if other != phone)
            if self.phones_tell:
                await self.at.canaries.take_reports([PhoneReport(phone, [token_of(message)]), *BOTH])
            self.at.clock.advance(self.moment)

    async def message(self) -> Any:
        while True:
            event = await self.link.connection.take(1)
            if isinstance(body := getattr(event[0], "body", None), ShortMessage):
                return event[0], body

    async def way(self) -> Any:
        return (await self.at.canaries.route_statuses())[0]

    async def until_way(self, **wanted: object) -> None:
        """However long it takes on a busy machine, while canaries go on coming, and not too many of them."""
        began = seen = self.canaries

        async def so() -> bool:
            way = await self.way()
            return all(getattr(way, name) == value for name, value in wanted.items())

        async def so_or_further() -> bool:
            return self.canaries > seen or await so()

        while not await so():
            seen = self.canaries
            assert seen < began + CANARIES_MAX, f"{CANARIES_MAX} canaries, and not {wanted}"
            await eventually(so_or_further, what=str(wanted))


@asynccontextmanager
async def handing_over(at: Any, **flags: bool) -> AsyncIterator[Handing]:
    network = Handing(at, await at.network.bound())
    for name, value in flags.items():
        setattr(network, name, value)
    running = asyncio.create_task(network.run())
    try:
        yield network
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@pytest.fixture
async def handing(house: Any) -> AsyncIterator[Handing]:
    async with house(**OURS) as at, handing_over(at) as network:
        yield network


async def send(at: Any, number: str = NUMBER) -> str:
    shop = at.centre.authenticate("shop", PASSWORD, address="127.0.0.1")
    identity = await at.centre.submit(shop, "Shop", f"+{number}", "Kassen kommer")
    assert isinstance(identity, str), identity
    return identity


async def test_canaries_that_arrive_prove_the_way_and_are_nobodys_messages(handing: Any) -> None:
    at = handing.at

    async def proven() -> bool:
        return (await handing.way()).judged >= 5

    await eventually(proven)
    way = await handing.way()
    assert (way.partner, way.state, way.trusted, way.astray) == ("Fjordmobil", "open", True, 0)
    assert (way.canaries_to_prove, way.proving_seconds) == (0, 0.0)
    for step in ("canary", "route", "receipt"):
        found = await at.outcomes(step)
        assert {(o.verdict, o.layer, o.customer, o.device) for o in found} == {("kept", "link", "", "")}
        assert found[0].dimensions == {"link": "nord", "partner": "Fjordmobil", "direction": "out"}
    assert await at.outcomes("deliver") == await at.outcomes("submit") == []
    assert at.canaries.counters()['canaries_total{verdict="arrived"}'] >= 5
    tokens = await at.fetch("SELECT token FROM sms_canary")
    assert len({token for (token,) in tokens}) == len(tokens)


async def test_a_way_on_which_messages_go_astray_is_stopped_and_its_messages_are_kept(handing: Any) -> None:
    at = handing.at
    gone = await send(at)

    await eventually(lambda: len(handing.others) == 1)
    handing.astray = True
    await handing.until_way(state="stopped")
    way = await handing.way()
    assert (way.by, way.reason, way.trusted) == ("rule:canaries", "misdelivery", False)
    assert 0 < way.exposed_since <= way.likely_since <= way.stopped_at

    kept = await send(at)
    astray_so_far = handing.canaries

    await eventually(lambda: handing.canaries > astray_so_far + 5)  # canaries go on
    assert [message.destination for message in handing.others] == [NUMBER]
    assert (await handing.way()).waiting == 1
    asked = [o for o in await at.outcomes("deliver") if o.promise == kept]
    assert [(o.verdict, o.reason, o.dimensions["partner"]) for o in asked] == [("asked", "route-stopped", "Fjordmobil")]
    broken = [o for o in await at.outcomes("route") if o.verdict == "broken"]
    assert min(o.time for o in broken) == pytest.approx(way.exposed_since)
    assert {o.reason: o.time for o in broken if o.promise == ""} == {
        "misdelivery-not-excluded": way.exposed_since,
        "misdelivery": way.likely_since,
    }
    assert [o.dimensions["by"] for o in await at.outcomes("stop-route")] == ["rule:canaries"]

    listed = [
        message async for page in at.canaries.exposed("nord", since=0.0, until=way.stopped_at) for message in page
    ]
    assert [message.message for message in listed] == [gone]

    handing.astray = False
    assert await at.canaries.switch("nord", "open", who="Kari")

    async def flowed() -> bool:
        return "sent" in [step.event for step in (await at.centre.trail(kept)).steps]

    await eventually(flowed)
    way = await handing.way()
    assert (way.state, way.by, way.waiting) == ("open", "Kari", 0)
    trail = await at.centre.trail(kept)
    # It was never held: it was taken on when its route was stopped already.
    assert sorted(step.event for step in trail.steps if step.event in ("held", "freed", "sent")) == ["freed", "sent"]
    listed = [
        message async for page in at.canaries.exposed("nord", since=0.0, until=way.stopped_at) for message in page
    ]
    assert [message.message for message in listed] == [gone]


async def test_a_way_that_is_proven_again_stays_stopped_until_a_person_opens_it(handing: Any) -> None:
    handing.astray = True
    await handing.until_way(state="stopped")
    kept = await send(handing.at)
    handing.astray, handing.moment = False, 0.2
    await handing.until_way(trusted=True)
    judged = (await handing.way()).judged

    async def judged_on() -> bool:
        return (await handing.way()).judged > judged

    await eventually(judged_on)
    way = await handing.way()
    assert (way.state, way.by, way.waiting) == ("stopped", "rule:canaries", 1)
    assert await handing.at.outcomes("open-route") == []
    assert handing.others == []
    assert "sent" not in [step.event for step in (await handing.at.centre.trail(kept)).steps]


async def test_what_goes_astray_anew_began_after_the_proof_that_the_last_time_was_over(handing: Any) -> None:
    handing.astray = True
    await handing.until_way(state="stopped")
    handing.astray, handing.moment = False, 0.2
    await handing.until_way(trusted=True)
    assert await handing.at.canaries.switch("nord", "open", who="Kari")
    first = await handing.way()
    handing.astray = True
    await handing.until_way(state="stopped", by="rule:canaries")
    again = await handing.way()
    assert first.stopped_at < again.exposed_since <= again.likely_since <= again.stopped_at


async def test_what_waited_here_went_astray_when_it_left_and_not_when_it_was_made(house: Any) -> None:
    """The centre may be away from its database between: what left meanwhile went before the fault."""
    async with house() as at:
        began = at.clock.now()

        async def put(tx: Transaction, token: str, verdict: str, *, made_at: float, left_at: float) -> None:
            await fill(tx, [{**BASE, "id": token, "submission": token, "state": "sent", "attempted_at": left_at}])
            await store.add(tx, token, token, link="nord", phone=PHONES[0], now=made_at)
            await tx.execute(f"UPDATE sms_canary SET verdict = '{verdict}', decided_at = 9e9 WHERE token = '{token}'")

        async def work(tx: Transaction) -> None:
            await put(tx, "home", "arrived", made_at=began - 60, left_at=began - 60)
            await put(tx, "waited", "not-on-its-phone", made_at=began - 50, left_at=began - 10)
            await put(tx, "home-too", "arrived", made_at=began - 40, left_at=began - 40)
            await put(tx, "stayed", "unsent", made_at=began - 30, left_at=0.0)

        await at.database.write(work)
        assert await at.canaries.switch("nord", "stopped", who="Kari")
        [way] = [way for way in await at.canaries.route_statuses() if way.link == "nord"]
        assert (way.exposed_since, way.likely_since) == (began - 60, began - 10)


async def test_a_message_is_told_to_have_gone_when_it_went_however_late_its_answer_is_stored(house: Any) -> None:
    async with house() as at:
        link = await at.bound_link()
        message, went_at = await send(at), at.clock.now()
        request, _ = await link.message()
        at.clock.advance(4.0)
        link.take_message(request, "net-1")
        await at.until("SELECT state FROM sms_message", "sent")
        gone = [o.time for o in await at.outcomes("deliver") if o.promise == message and o.layer == "link"]
        listed = [
            each.sent_at async for page in at.canaries.exposed("nord", since=0.0, until=went_at + 60) for each in page
        ]
        assert gone == listed == [went_at]


async def test_a_canary_in_doubt_is_not_sent_again(house: Any) -> None:
    """A second one would say nothing of what became of the first."""
    seldom = OURS | {"canary_seconds": 3_600.0, "canary_grace_seconds": 3_600.0}
    async with house(**seldom, in_doubt_seconds=1.0) as at:
        link = await at.network.bound()
        await link.message()
        link.cut()
        await at.until("SELECT state FROM sms_message", "in-doubt")
        await at.bound_link()
        at.clock.advance(1.0)
        await at.until("SELECT state FROM sms_message", "unreported")
        assert await at.fetch("SELECT attempts FROM sms_message") == [(1,)]


async def test_lost_receipts_are_told_apart_and_stop_nothing(house: Any) -> None:
    async with house(**OURS) as at, handing_over(at, receipts=False) as handing:

        async def seen() -> bool:
            return len(await at.outcomes("receipt")) >= 8

        await eventually(seen)
        assert {(o.verdict, o.reason) for o in await at.outcomes("receipt")} == {("broken", "no-receipt")}
        assert {o.verdict for o in await at.outcomes("canary")} == {"kept"}
        way = await handing.way()
        assert (way.state, way.trusted, way.astray) == ("open", True, 0)


async def test_phones_that_fall_silent_stop_nothing(house: Any) -> None:
    async with house(**OURS) as at, handing_over(at, phones_tell=False) as handing:
        await at.until("SELECT verdict FROM sms_canary ORDER BY made_at LIMIT 1", "untold")
        assert await at.outcomes("route") == []
        assert (await handing.way()).trusted


async def test_a_restart_remembers_what_was_stopped_and_what_was_found(house: Any) -> None:
    async with house(**OURS) as at:
        async with handing_over(at, astray=True) as handing:
            await handing.until_way(state="stopped")
        stopped = await handing.way()
    async with house(**OURS) as at:

        async def remembered() -> bool:
            return (await at.canaries.route_statuses())[0].astray > 0

        await eventually(remembered)
        [way] = await at.canaries.route_statuses()
        assert (way.state, way.trusted, way.by, way.reason) == ("stopped", False, "rule:canaries", "misdelivery")
        assert (way.stopped_at, way.exposed_since) == (stopped.stopped_at, stopped.exposed_since)
        await send(at)
        assert await at.fetch("SELECT target FROM sms_message WHERE message_class = 'ordinary'") == [("held:nord",)]


async def test_where_a_person_decides_the_rule_only_says_that_messages_go_astray(house: Any) -> None:
    async with house(**OURS, canary_rule="watch") as at, handing_over(at, astray=True) as handing:
        await handing.until_way(trusted=False)
        going = handing.canaries
        await eventually(lambda: handing.canaries > going + 8)
        way = await handing.way()
        assert (way.state, way.by, way.stopped_at) == ("open", "", 0.0)
        assert at.canaries.counters()["routes_not_trusted"] == 1
        # Since when messages go astray is told once, when it is found.
        told = [o.reason for o in await at.outcomes("route") if o.promise == "" and o.verdict == "broken"]
        assert sorted(told) == ["misdelivery", "misdelivery-not-excluded"]
        assert await at.outcomes("stop-route") == []


async def test_a_person_may_open_a_way_that_is_not_proven_and_only_what_is_new_stops_it_again(house: Any) -> None:
    async with house(**OURS) as at, handing_over(at, astray=True) as handing:
        await handing.until_way(state="stopped")
        handing.astray = False
        assert await at.canaries.switch("nord", "open", who="Kari")
        going = handing.canaries
        await eventually(lambda: handing.canaries > going + 8)
        way = await handing.way()
        assert (way.state, way.trusted, way.by, way.reason) == ("open", False, "Kari", "opened")
    async with house(**OURS) as at, handing_over(at) as handing:
        going = handing.canaries
        await eventually(lambda: handing.canaries > going + 8)
        way = await handing.way()
        assert (way.state, way.trusted) == ("open", False)
        handing.astray = True
        await handing.until_way(state="stopped", by="rule:canaries")


async def test_canaries_go_to_each_phone_in_turn_and_wait_no_longer_than_they_prove_anything(handing: Any) -> None:
    at = handing.at
    await eventually(lambda: handing.canaries >= 4)
    phones = [phone for (phone,) in await at.fetch("SELECT phone FROM sms_canary ORDER BY made_at LIMIT 4")]
    assert sorted(phones) == [PHONES[0]] * 2 + [PHONES[1]] * 2
    [(seconds,)] = await at.fetch("SELECT MAX(expires_at - accepted_at) FROM sms_message")
    assert seconds == pytest.approx(2 * GRACE_SECONDS + OURS["canary_seconds"])


async def test_a_canary_that_is_not_where_it_is_said_to_be_is_followed_by_more_at_once(house: Any) -> None:
    async with house(**OURS | {"canary_seconds": 3_600.0, "canary_grace_seconds": 30.0}) as at:
        link = await at.network.bound()
        request, message = await link.message()
        link.take_message(request, "net-1")
        link.tell(message, "net-1")
        await link.answered()
        await at.until("SELECT state FROM sms_message", "delivered")
        assert not (await at.canaries.route_statuses())[0].suspected
        at.clock.advance(3.1)
        await at.canaries.take_reports(BOTH)
        await link.message()
        [way] = await at.canaries.route_statuses()
        assert (way.suspected, way.judged) == (True, 0)
        await at.canaries.take_reports([PhoneReport(message.destination, [token_of(message)]), *BOTH])
        await at.until("SELECT verdict FROM sms_canary ORDER BY made_at LIMIT 1", "arrived")


async def test_a_route_that_is_being_proven_is_followed_by_more_at_once_and_says_how_long_it_takes(house: Any) -> None:
    async with house() as at:
        await at.database.write(lambda tx: store.put_trust(tx, "nord", Trust(condemned=True)))
    async with house(**OURS | {"canary_seconds": 3_600.0, "canary_grace_seconds": 30.0}) as at:
        link = await at.network.bound()
        request, message = await link.message()
        [way] = await at.canaries.route_statuses()
        assert (way.trusted, way.canaries_to_prove, way.proving_seconds) == (False, 100, 114.0)
        link.take_message(request, "net-1")
        link.tell(message, "net-1")
        await link.answered()
        await at.until("SELECT state FROM sms_message", "delivered")
        await at.canaries.take_reports([PhoneReport(message.destination, [token_of(message)]), *BOTH])
        await link.message()
        [way] = await at.canaries.route_statuses()
        assert (way.canaries_to_prove, way.suspected) == (99, False)


async def test_what_would_be_noticed_is_told_by_the_canaries_that_tell_anything(handing: Any) -> None:
    at = handing.at

    async def judged() -> bool:
        return (await handing.way()).judged >= 3

    await eventually(judged)
    way = await handing.way()
    assert way.canaries_per_minute == pytest.approx(60 / OURS["canary_seconds"])
    assert [each.minutes for each in way.noticed] == [1, 10, 60]
    shares = [each.share for each in way.noticed]
    assert shares == sorted(shares, reverse=True) and 0 < shares[-1] < shares[0] < 0.05
    [look] = at.canaries.coverage()
    assert (look.link, look.noticed) == ("nord", way.noticed)
    handing.phones_tell = False
    at.clock.advance(1_000.0)
    assert [each.share for each in at.canaries.coverage()[0].noticed] == [None] * 3


async def test_a_phone_that_is_not_ours_cannot_say_that_canaries_strayed(house: Any) -> None:
    async with house(**OURS) as at, handing_over(at, phones_tell=False):
        await at.until("SELECT COUNT(*) > 0 FROM sms_canary", True)
        [(token,)] = await at.fetch("SELECT token FROM sms_canary ORDER BY made_at LIMIT 1")
        assert (
            await at.canaries.take_reports([PhoneReport("+4799999999", [token]), PhoneReport("+" + PHONES[0], [])]) == 1
        )
        assert await at.fetch("SELECT COUNT(*) FROM sms_canary WHERE stray_at > 0 OR arrived_at > 0") == [(0,)]


async def test_canaries_are_erased_with_their_messages_after_two_days(house: Any) -> None:
    async with house(**OURS) as at, handing_over(at):
        await at.until("SELECT COUNT(*) > 0 FROM sms_canary WHERE verdict <> ''", True)
        [(oldest, message)] = await at.fetch("SELECT token, message FROM sms_canary ORDER BY made_at LIMIT 1")
    at.clock.advance(1.9 * 86_400)
    async with house(**OURS, timing=replace(HURRIED, erase_every_seconds=0.02)) as at, handing_over(at) as handing:
        await eventually(lambda: handing.canaries > 3)
        assert await at.fetch(f"SELECT COUNT(*) FROM sms_canary WHERE token = '{oldest}'") == [(1,)]
        at.clock.advance(0.2 * 86_400)
        await at.until(f"SELECT COUNT(*) FROM sms_canary WHERE token = '{oldest}'", 0)
        assert await at.fetch(f"SELECT 1 FROM sms_message WHERE id = '{message}'") == []


async def test_messages_of_a_stopped_route_go_by_the_link_that_stands_in(house: Any) -> None:
    async with house(instead="syd") as at:
        waiting = await send(at)
        assert await at.canaries.switch("nord", "stopped", who="Kari")
        nord, syd = await at.network.bound(), await at.other.bound()
        fresh = await send(at)
        taken = []
        for number in range(2):
            request, message = await syd.message()
            assert message.destination == NUMBER
            syd.take_message(request, f"syd-{number}")
            taken.append(message)
        assert nord.connection.arrived(1) == []
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'sent'", 2)
        events = [step.event for step in (await at.centre.trail(waiting)).steps]
        assert "sent-another-way" in events
        gone = {o.promise: o.dimensions["partner"] for o in await at.outcomes("deliver") if o.layer == "link"}
        assert gone == {waiting: "Sydtel", fresh: "Sydtel"}
        assert [page async for page in at.canaries.exposed("nord", since=0.0, until=1e11)] == []


async def test_what_waits_behind_another_message_does_not_follow_it_over_a_link_that_was_stopped(house: Any) -> None:
    async with house(window=1, link_changes={"binds": 2}) as at:
        coming = {asyncio.ensure_future(link.message()): link for link in [await at.network.bound() for _ in "12"]}
        await eventually(lambda: at.centre.counters()["link_binds_bound"] == 2)
        await send(at)
        [came], others = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
        second = await send(at)  # claimed over the other bind, and behind the first
        await at.until(f"SELECT state FROM sms_message WHERE id = '{second}'", "sending")
        assert await at.canaries.switch("nord", "stopped", who="Kari")
        coming[came].take_message(came.result()[0], "n1")
        await at.until(f"SELECT state FROM sms_message WHERE id = '{second}'", "waiting")
        assert coming[came].connection.arrived(1) == [] and not any(each.done() for each in others)
        for each in others:
            each.cancel()


async def test_commands_need_their_key_and_say_what_is_wrong(house: Any) -> None:
    async with house(canaries=OURS["canaries"], canary_seconds=60.0) as at:
        app = application(at.centre, commands(at.canaries, command_key="role", canary_key="phone"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sms") as http:
            role, phone = {"Authorization": "Bearer role"}, {"Authorization": "Bearer phone"}
            said = {"phones": [{"phone": f"+{PHONES[0]}", "tokens": ["x"]}, {"phone": "+4799999999", "tokens": []}]}
            answer = await http.post("/canaries/received", json=said, headers=phone)
            assert (answer.status_code, answer.json()) == (200, {"known": 1})
            assert (await http.post("/canaries/received", json=said, headers=role)).status_code == 401
            for method, path in (("GET", "/routes"), ("POST", "/routes/nord"), ("GET", "/routes/nord/exposed")):
                assert (await http.request(method, path, headers=phone)).status_code == 401
                assert (await http.request(method, path)).status_code == 401
            stop = {"state": "stopped", "by": "Kari"}
            for _ in range(2):
                [way] = (await http.post("/routes/nord", json=stop, headers=role)).json()
                assert (way["state"], way["by"], way["trusted"]) == ("stopped", "Kari", True)
            assert len(await at.outcomes("stop-route")) == 1
            assert (await http.post("/routes/south", json=stop, headers=role)).status_code == 404
            for wrong in ({"state": "shut", "by": "Kari"}, {"state": "open"}, {"state": "open", "by": ""}):
                assert (await http.post("/routes/nord", json=wrong, headers=role)).status_code == 400
            assert (await http.get("/routes/nord/exposed?since=x&until=1", headers=role)).status_code == 400
            assert (await http.get("/routes/nord/exposed?since=0&until=1", headers=role)).json() == []
        closed = application(at.centre, commands(at.canaries, command_key="", canary_key=""))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(closed), base_url="http://sms") as http:
            assert (await http.get("/routes", headers={"Authorization": "Bearer "})).status_code == 401
