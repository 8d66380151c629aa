"""What networks hand in for others than our accounts: where it may go, and what goes round and round."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from prikkfri.config import Account, Canary, Link, Sms
from prikkfri.protocols.smpp.pdu import Command, MessageResponse, ShortMessage, Status, Tag
from prikkfri.protocols.smpp.session import Request
from prikkfri.sms.loops import TURNS_MAX, Turns
from prikkfri.sms.routing import Party, Routes, find_route
from prikkfri.sms.submission import AcceptedSubmission, Refusal, Rules, decide
from prikkfri.sms.transit import LOOP, NO_TRANSIT, RECEIPT, refused, resembles_receipt

NOW = 1_700_000_000.0


def link(name: str, *prefixes: str, **fields: Any) -> Link:
    return Link(**{"name": name, "partner": name.title(), "host": "h", "port": 1, "system_id": "s", "password": "p",
                   "prefixes": prefixes, **fields})  # fmt: skip


OURS, MINE = "4740000001", "4740000002"
NORD_S, SYD_S, CANARY, HUB_S = "4690000001", "4590000001", "4590000801", "33600000001"
LINKS = (
    link("own", "474", network="own"),
    link("nord", "46"),
    link("nord-2", "4670", partner="Nord"),
    link("syd", "45"),
    link("hub", "", "33", transit=True),
)
SETTINGS = Sms(
    accounts=(Account(system_id="shop", password="x", senders=("*",), short_codes=("2010", "4690000099")),),
    links=LINKS,
    canaries=(Canary(msisdn=f"+{CANARY}", link="syd"),),
)
TEXT = ShortMessage(source="4790000009", destination=OURS, octets=b"hei")


def why(origin: str, recipient: str, message: ShortMessage = TEXT) -> str:
    return refused(message, Routes.of(SETTINGS), Party.parse(origin), recipient)


@pytest.mark.parametrize("recipient", [OURS, MINE, NORD_S, SYD_S, CANARY, HUB_S, "2010", "4690000099"])
def test_an_account_a_canary_and_our_own_network_send_to_anybody(recipient: str) -> None:
    for origin in ("account:shop", "canary:nord", "link:own"):
        assert why(origin, recipient) == ""


@pytest.mark.parametrize(
    ("origin", "recipient", "reason"),
    [
        *((f"link:{name}", number, "") for name in ("nord", "syd", "hub") for number in ("2010", "4690000099", OURS)),
        ("link:nord", CANARY, ""),
        ("link:syd", CANARY, LOOP),
        ("link:nord", SYD_S, NO_TRANSIT),
        ("link:nord", HUB_S, NO_TRANSIT),
        ("link:nord", "12025550100", NO_TRANSIT),
        ("link:nord", NORD_S, LOOP),
        ("link:nord", "4670000001", LOOP),  # by another link of the same partner
        ("link:nord-2", NORD_S, LOOP),
        ("link:nord-2", SYD_S, NO_TRANSIT),
        ("link:hub", SYD_S, ""),
        ("link:hub", HUB_S, LOOP),
        ("link:hub", "12025550100", LOOP),
    ],
)
def test_a_partner_sends_to_us_and_to_others_only_where_its_link_says_so(
    origin: str, recipient: str, reason: str
) -> None:
    assert why(origin, recipient) == reason


def test_what_a_partner_hands_in_leaves_by_the_next_link_and_never_by_its_own() -> None:
    links = (link("syd", "45", transit=True), link("syd-2", "45", partner="Syd"), link("hub", "45"))
    rules = Rules(Party("link", "syd"), Routes.of(replace(SETTINGS, links=links)))
    message = structs.replace(TEXT, destination=SYD_S)
    for party, target in ((Party("link", "syd"), "hub"), (Party("account", "shop"), "syd")):
        found = decide(message, structs.replace(rules, party=party), reference=lambda *_: 0, now=NOW)
        assert isinstance(found, AcceptedSubmission) and found.target == Party("link", target)


def test_a_number_that_no_network_takes_has_no_route_whoever_asks() -> None:
    routes = Routes.of(replace(SETTINGS, links=LINKS[:-1]))
    for origin in ("link:own", "link:nord", "account:shop"):
        assert refused(TEXT, routes, Party.parse(origin), HUB_S) == ""
        assert find_route(routes, HUB_S, Party.parse(origin)) is None


def test_a_link_is_a_partners_without_transit_unless_it_says_otherwise() -> None:
    plain = link("plain", "47")
    assert (plain.network, plain.transit) == ("partner", False)


@given(st.sampled_from([each.name for each in LINKS]), st.sets(st.sampled_from([each.name for each in LINKS])),
       st.sampled_from([OURS, NORD_S, SYD_S, CANARY, HUB_S, "4670000001", "12025550100"]))  # fmt: skip
def test_whatever_is_stopped_nothing_goes_back_to_the_partner_it_came_from(
    origin: str, stopped: set[str], recipient: str
) -> None:
    stood_in = tuple(replace(each, instead="nord" if each.name != "nord" else "syd") for each in LINKS)
    routes = Routes.of(replace(SETTINGS, links=stood_in), stopped)
    found = find_route(routes, recipient, Party("link", origin))
    partners = {each.name: each.partner for each in LINKS if each.network == "partner"}
    if found is not None:
        assert partners.get(found.party.name) != partners.get(origin, "nobody")
        assert (found.party.kind == "held") == (found.party.name in stopped)
    else:
        assert refused(TEXT, routes, Party("link", origin), recipient) == LOOP


RECEIPTS = [
    {"esm_class": 0x04},
    {"esm_class": 0x44},
    {"esm_class": 0x20},
    {"tlvs": ((Tag.RECEIPTED_MESSAGE_ID, b"7\0"),)},
    {"tlvs": ((Tag.MESSAGE_STATE, b"\2"),)},
    {"octets": b"id:7 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201 stat:DELIVRD err:000 text:hei"},
    {"octets": b"STAT: delivrd, ID: 7"},
    {"octets": "stat:DELIVRD id:7".encode("utf-16-be"), "data_coding": 8},
    {"octets": "id:7 stat:UNDELIV err:001".encode("utf-16-be"), "data_coding": 8},
    {"octets": b"", "tlvs": ((Tag.MESSAGE_PAYLOAD, b"id:7 stat:EXPIRED"),)},
]


@pytest.mark.parametrize("fields", RECEIPTS)
def test_what_looks_like_a_receipt_goes_to_no_phone(fields: dict[str, Any]) -> None:
    told = structs.replace(TEXT, **fields)
    assert resembles_receipt(told)
    for origin, recipient in product(("link:own", "link:nord", "link:hub"), (OURS, NORD_S)):
        assert why(origin, recipient, told) == RECEIPT
    assert why("link:nord", "2010", told) == ""
    assert why("account:shop", OURS, told) == ""


@pytest.mark.parametrize("octets", [b"hei", b"My id: 7", b"stat: good", b"idle statistics", b"paid:7 thermostat:on",
                                    b"id: stat:", b"stat:9 id:7"])  # fmt: skip
def test_what_people_write_is_no_receipt(octets: bytes) -> None:
    assert not resembles_receipt(structs.replace(TEXT, octets=octets))
    assert not resembles_receipt(structs.replace(TEXT, octets=octets, esm_class=0x40))
    assert not resembles_receipt(structs.replace(TEXT, octets=octets, esm_class=0x08))


def test_each_refusal_has_its_status() -> None:
    def decided(origin: str, **fields: Any) -> Refusal | AcceptedSubmission:
        message = structs.replace(TEXT, **fields)
        return decide(message, Rules(Party.parse(origin), Routes.of(SETTINGS)), reference=lambda *_: 1, now=NOW)

    assert decided("link:nord", destination=SYD_S) == Refusal(Status.INVALID_DESTINATION, "no-transit")
    assert decided("link:nord", destination=NORD_S) == Refusal(Status.INVALID_DESTINATION, "loop")
    assert decided("link:own", esm_class=4) == Refusal(Status.PERMANENT_APPLICATION_ERROR, "receipt-as-message")
    found = decided("link:own", destination=OURS)
    assert isinstance(found, AcceptedSubmission)
    assert found.target == Party("link", "own")


# the same again and again


def test_the_same_message_goes_a_few_times_at_once_and_then_once_a_minute() -> None:
    turns = Turns()
    assert [turns.take("a", OURS, TEXT, NOW) for _ in range(7)] == [True] * TURNS_MAX + [False] * 2
    assert not turns.take("a", OURS, TEXT, NOW + 59.0)
    assert [turns.take("a", OURS, TEXT, NOW + 61.0) for _ in range(2)] == [True, False]
    assert [turns.take("a", OURS, TEXT, NOW + 3_661.0) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    "change",
    [{"octets": b"hej"}, {"data_coding": 8}, {"esm_class": 0x40}, {"tlvs": ((Tag.SAR_SEQUENCE, b"\2"),)},
     {"tlvs": ((Tag.SAR_REFERENCE, b"\0\2"),)}, {"tlvs": ((Tag.MESSAGE_PAYLOAD, b"hej"),), "octets": b""}],
)  # fmt: skip
def test_another_message_is_not_the_same(change: dict[str, Any]) -> None:
    turns = Turns()
    for _ in range(TURNS_MAX):
        assert turns.take("a", OURS, TEXT, NOW)
    assert turns.take("a", OURS, structs.replace(TEXT, **change), NOW)
    assert turns.take("b", OURS, TEXT, NOW)
    assert turns.take("a", MINE, TEXT, NOW)
    again = structs.replace(TEXT, esm_class=0x80, octets=b"", tlvs=((Tag.MESSAGE_PAYLOAD, TEXT.octets), (0x1500, b"x")))
    assert not turns.take("a", OURS, again, NOW)


def test_what_was_silent_longest_is_forgotten() -> None:
    turns = Turns(kept_max=2)
    for _ in range(TURNS_MAX):
        assert turns.take("a", OURS, TEXT, NOW)
    assert turns.take("b", OURS, TEXT, NOW)
    assert not turns.take("a", OURS, TEXT, NOW)
    assert [turns.take("c", OURS, TEXT, NOW) for _ in range(6)] == [True] * TURNS_MAX + [False]
    assert len(turns) == 2
    assert not turns.take("a", OURS, TEXT, NOW)


# through the centre's door


PARTNER = {"prefixes": ("46",)}


async def handed_in(peer: Any, destination: str, octets: bytes = b"hei", **fields: Any) -> int:
    peer.ask(Command.DELIVER_SM, ShortMessage(source="4790000009", destination=destination, octets=octets, **fields))
    return int((await peer.answered()).status)


async def test_a_partners_message_for_another_partner_goes_nowhere_and_is_counted(house: Any) -> None:
    async with house(beside=PARTNER) as at:
        nord, _, client = await at.network.bound(), await at.other.bound(), await at.bound_client()
        assert await handed_in(nord, "4690000001") == Status.INVALID_DESTINATION
        assert await handed_in(nord, "4790000001") == Status.INVALID_DESTINATION
        assert await handed_in(nord, "2010") == Status.OK
        request, message = await client.message()
        assert message.destination == "2010"
        client.answer(request, body=MessageResponse())
        assert await at.fetch("SELECT COUNT(*) FROM sms_message") == [(1,)]
        counted = at.centre.counters()
        assert counted['messages_turned_back_total{reason="no-transit"}'] == 1
        assert counted['messages_turned_back_total{reason="loop"}'] == 1
        assert counted["messages_refused_total"] == 2
        assert counted['link_handed_in_total{link="nord"}'] == 1
        assert counted['link_turned_back_total{link="nord",reason="no-transit"}'] == 1
        assert counted['link_turned_back_total{link="nord",reason="loop"}'] == 1
        told = {link.link: (link.handed_in, link.turned_back) for link in at.centre.reports.report().links}
        assert told == {"nord": (1, {"no-transit": 1, "loop": 1}), "syd": (0, {})}
        assert [outcome.reason for outcome in await at.outcomes("submit")] == ["no-transit", "loop", ""]


async def test_a_partner_with_transit_reaches_the_other(house: Any) -> None:
    async with house(nord={"transit": True}, beside=PARTNER) as at:
        nord, syd = await at.network.bound(), await at.other.bound()
        assert await handed_in(nord, "4690000001") == Status.OK
        assert (await syd.message())[1].destination == "4690000001"
        assert await handed_in(syd, "4790000001") == Status.INVALID_DESTINATION


async def test_our_own_networks_customers_reach_each_other_and_everybody(house: Any) -> None:
    async with house(nord={"network": "own"}, beside=PARTNER) as at:
        own, syd = await at.network.bound(), await at.other.bound()
        assert await handed_in(own, "4690000001") == Status.OK
        assert (await syd.message())[1].destination == "4690000001"
        assert await handed_in(syd, "4790000001") == Status.OK
        request, message = await own.message()
        assert message.destination == "4790000001"
        own.take_message(request, "own-1")
        assert await handed_in(own, "4790000001", b"hallo") == Status.OK
        assert (await own.message())[1].octets == b"hallo"


async def test_a_loop_over_two_networks_is_cut(house: Any) -> None:
    async with house(nord={"network": "own"}) as at:
        own = await at.network.bound()
        assert await handed_in(own, "4790000001") == Status.OK
        for turn in range(1, TURNS_MAX + 1):
            request, message = await own.message()
            own.take_message(request, f"own-{turn}")
            last = await handed_in(own, message.destination, message.octets, data_coding=message.data_coding)
        assert last == Status.INVALID_DESTINATION
        assert await at.fetch("SELECT COUNT(*) FROM sms_message") == [(TURNS_MAX,)]
        assert at.centre.counters()['messages_turned_back_total{reason="loop"}'] == 1


async def test_who_says_the_same_to_or_as_an_account_is_in_no_loop(house: Any) -> None:
    async with house() as at:
        nord = await at.network.bound()
        for _ in range(TURNS_MAX + 2):
            assert await handed_in(nord, "2010", b"JA") == Status.OK
        shop = at.centre.authenticate("shop", "secret12", address="127.0.0.1")
        sent = [await at.centre.submit(shop, "Shop", "+4790000001", "hei") for _ in range(TURNS_MAX + 2)]
        assert all(isinstance(each, str) for each in sent)


@pytest.mark.parametrize("fields", RECEIPTS)
async def test_no_receipt_leaves_as_a_message(house: Any, fields: dict[str, Any]) -> None:
    async with house(nord={"network": "own"}) as at:
        own = await at.network.bound()
        own.ask(Command.DELIVER_SM, structs.replace(TEXT, destination="4790000002", **fields))
        own.ask(Command.DELIVER_SM, structs.replace(TEXT, destination="4790000003"))
        while not isinstance(found := await own.event(), Request):
            pass
        assert found.body.destination == "4790000003"
        assert await at.fetch("SELECT recipient FROM sms_message") == [("4790000003",)]


async def test_a_stop_brings_nothing_back_to_the_partner_it_came_from(house: Any) -> None:
    """Our own network's link is stopped, and the partner's takes its messages: but not those that it handed in."""
    async with house(instead="syd", nord={"network": "own"}, beside=PARTNER) as at:
        own, syd, client = await at.network.bound(), await at.other.bound(), await at.bound_client()
        await at.centre.switch_route("nord", "stopped", who="Kari", reason="r")
        assert await handed_in(syd, "4790000001") == Status.OK
        assert (await client.submit(destination="4790000002"))[0] == Status.OK
        assert (await syd.message())[1].destination == "4790000002"
        await at.until("SELECT target FROM sms_message WHERE recipient = '4790000001'", "held:nord")
        await at.centre.switch_route("nord", "open", who="Kari", reason="r")
        assert (await own.message())[1].destination == "4790000001"


async def test_what_waits_when_a_route_stops_is_not_moved_back_either(house: Any) -> None:
    async with house(instead="syd", nord={"network": "own"}, beside=PARTNER, window=1) as at:
        own, syd, client = await at.network.bound(), await at.other.bound(), await at.bound_client()
        assert (await client.submit(destination="4790000001"))[0] == Status.OK
        first, _ = await own.message()  # not answered: its window is full
        assert await handed_in(syd, "4790000002") == Status.OK
        assert (await client.submit(destination="4790000003"))[0] == Status.OK
        await at.centre.switch_route("nord", "stopped", who="Kari", reason="r")
        assert (await syd.message())[1].destination == "4790000003"
        own.take_message(first, "own-1")
        await at.centre.switch_route("nord", "open", who="Kari", reason="r")
        assert (await own.message())[1].destination == "4790000002"
