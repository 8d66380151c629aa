"""People who got what was not for them, and what networks hand in that we never sent them."""

from typing import Any, cast

import httpx
import pytest
from sms_house import NUMBER
from waiting import eventually

from prikkfri.config import Account, Canary, Sms
from prikkfri.protocols.asgi import edge
from prikkfri.protocols.smpp.pdu import Command, ShortMessage, Status
from prikkfri.sms.canaries.phones import START, TEXT, token_of
from prikkfri.sms.canaries.service import Canaries
from prikkfri.sms.http import wrong_number_routes
from prikkfri.sms.routing import Party, Routes
from prikkfri.sms.submission import Rules
from prikkfri.sms.trust import wrong_numbers
from prikkfri.sms.trust.wrong_numbers import BatchHints, Complainants, ComplaintRules, note_hints, says_wrong_number
from prikkfri.web.wrong_number.page import page

PHONE = "4790000801"
OURS = {"canaries": (Canary(msisdn=f"+{PHONE}", link="nord"),), "canary_seconds": 3_600.0}


@pytest.mark.parametrize(
    "text",
    ["Feil nummer", "feilnr!", "Hei?  fel nummer", "FEL MOTTAGARE", "wrong number, sorry", "Wrong  person",
     "ikke til meg", "inte till mig", "Not for me", "…feil person"],
)  # fmt: skip
def test_who_got_what_was_not_for_them_says_so_in_three_languages(text: str) -> None:
    assert says_wrong_number(text) == (not text.startswith("Hei"))


@pytest.mark.parametrize("text", ["", "STOPP", "nummer feil", "feil", "wrong", "not for melon", "feil numeral"])
def test_what_says_something_else_is_no_hint(text: str) -> None:
    assert not says_wrong_number(text)


ACCOUNTS = (
    Account(system_id="shop", password="x", senders=("Shop", "+4722222222"), short_codes=("2010",)),
    Account(system_id="any", password="x", senders=("*",)),
)
LISTENING = ComplaintRules.of(Sms(accounts=ACCOUNTS, wrong_number_code="2050"))
PARTNER = Rules(Party("link", "syd"), Routes({}, {}, 0, neighbours={"syd": "Sydtel"}))
OWN = Rules(Party("link", "nord"), Routes({}, {}, 0, neighbours={"syd": "Sydtel"}))


def heard(message: ShortMessage, rules: Rules = PARTNER) -> tuple[bool, BatchHints]:
    found = BatchHints()
    return note_hints(found, message, rules, LISTENING), found


def message(source: str, destination: str, text: str, coding: int = 0) -> ShortMessage:
    octets = text.encode("utf-16-be") if coding else text.encode()
    return ShortMessage(source, destination, octets=octets, data_coding=coding)


def test_what_is_written_to_the_code_for_it_is_for_us_and_nobody_else() -> None:
    assert heard(message("+4790000001", "2050", "Feil nummer")) == (True, BatchHints(wrong_numbers=["4790000001"]))
    assert heard(message("4790000001", "2050", "Fel nummer", 8)) == (True, BatchHints(wrong_numbers=["4790000001"]))
    assert heard(message("4790000001", "2050", "hei")) == (True, BatchHints())
    assert heard(message("4790000001", "2050", "x", 4)) == (True, BatchHints())  # no text at all
    assert heard(message("4790000001", "2010", "Feil nummer")) == (
        False,
        BatchHints(),
    )  # an account's, and read by nobody
    assert not note_hints(BatchHints(), message("4790000001", "", "Feil nummer"), PARTNER, ComplaintRules())


def test_what_a_partner_hands_in_under_our_accounts_names_is_noticed() -> None:
    for name in ("Shop", "4722222222", "+4722222222", "2010"):
        assert heard(message(name, NUMBER, "hei")) == (False, BatchHints(in_our_name=1))
        assert heard(message(name, NUMBER, "hei"), OWN) == (False, BatchHints())  # of our own network: no partner
    for name in ("shop", "4790000001", "*"):
        assert heard(message(name, NUMBER, "hei")) == (False, BatchHints())
    assert ComplaintRules.of(Sms(accounts=ACCOUNTS)).our_names == {"Shop", "4722222222", "2010"}
    batch = BatchHints()
    for name in ("Shop", "2010", "shop"):
        note_hints(batch, message(name, NUMBER, "hei"), PARTNER, LISTENING)
    assert batch == BatchHints(in_our_name=2)


@pytest.mark.parametrize("coding", [0, 8])
def test_a_canary_that_is_handed_in_is_known_by_its_token(coding: int) -> None:
    text = TEXT.format(token="ab12")
    assert token_of(text) == "ab12"
    assert heard(message("prikkfri", f"+{NUMBER}", text, coding))[1].canaries == [(NUMBER, "ab12")]
    assert heard(message("prikkfri", NUMBER, f"re: {text}", coding))[1].canaries == []
    both = ShortMessage("x", NUMBER, octets=text.encode("utf-16-be") + START.encode(), data_coding=8)
    assert heard(both)[1].canaries[0][1].startswith("ab12"), "whatever stands behind it in another alphabet"


def test_each_number_counts_once_a_day_and_a_network_and_all_together_only_so_often() -> None:
    day, sayers = wrong_numbers.DAY_SECONDS, Complainants()
    assert sayers.takes("1", "", 0.0)
    assert not sayers.takes("1", "", day - 1)
    assert sayers.takes("1", "", day + 1)
    sayers = Complainants()
    taken = [sayers.takes(f"2{n}", "192.0.2.1", 1.0) for n in range(9)]
    assert taken == [True] * wrong_numbers.OF_NETWORK_A_DAY + [False] * 4
    assert sayers.takes("3", "192.0.2.2", 1.0)
    crowd = [sayers.takes(f"4{n}", f"198.51.{n}.1", 10_000.0) for n in range(200)]
    assert sum(crowd) == wrong_numbers.ALL_A_MINUTE
    assert [sayers.takes(f"5{n}", f"198.52.{n}.1", 10_001.0) for n in range(2)] == [True, False]


async def hints(at: Any) -> dict[str, int]:
    return next(iter(await at.canaries.route_statuses())).hints


async def test_who_writes_to_the_code_counts_once_and_nothing_is_kept_of_it(house: Any) -> None:
    async with house(**OURS, wrong_number_code="2050") as at:
        link = await at.bound_link()
        await link.message()  # a canary

        async def says(number: str, text: bytes) -> None:
            link.ask(Command.DELIVER_SM, ShortMessage(number, "2050", octets=text))
            assert (await link.answered()).status == Status.OK

        for number in ("4791000001", "4791000001", "4791000002"):
            await says(number, b"Wrong number")
        await says("4791000003", b"Hei")

        async def counted() -> bool:
            return await hints(at) == {"people": 2}

        await eventually(counted)
        assert await at.fetch("SELECT COUNT(*) FROM sms_message WHERE message_class <> 'canary'") == [(0,)]
        [way] = await at.canaries.route_statuses()
        assert (way.state, way.trusted) == ("open", True)


async def test_a_canary_that_a_network_hands_in_for_another_is_astray_and_for_its_phone_is_not(house: Any) -> None:
    async with house(**OURS) as at:
        link = await at.bound_link()
        request, canary = await link.message()
        link.take_message(request, "net-1")

        async def hand_in(destination: str) -> None:
            link.ask(Command.DELIVER_SM, ShortMessage("prikkfri", destination, octets=canary.octets))
            await link.answered()

        await hand_in(PHONE)
        await hand_in("4791000001")
        await at.until("SELECT verdict FROM sms_canary ORDER BY made_at LIMIT 1", "wrong-phone")
        found = "SELECT stray_on, arrived_at FROM sms_canary ORDER BY made_at LIMIT 1"
        assert await at.fetch(found) == [("4791000001", 0.0)]


async def test_what_is_handed_in_in_our_name_and_receipts_of_other_numbers_are_hints(house: Any) -> None:
    async with house(nord={"network": "partner", "transit": True}) as at:
        link, client = await at.bound_link(), await at.bound_client()
        link.ask(Command.DELIVER_SM, ShortMessage("2010", "2020", octets=b"hei"))
        await link.answered()
        await client.submit()
        request, sent = await link.message()
        link.take_message(request, "ff")
        await at.until(
            "SELECT state FROM sms_message WHERE message_class = 'ordinary' AND recipient = '4790000001'", "sent"
        )
        wrong = ShortMessage(sent.source, "4790000077", octets=sent.octets)
        link.tell(wrong, "ff")
        await link.answered()
        at.clock.advance(130.0)

        async def counted() -> bool:
            return await hints(at) == {"returned": 1, "receipts": 1}

        await eventually(counted)


async def test_a_partners_complaint_counts_stands_in_the_journal_and_a_route_is_looked_at_closely(house: Any) -> None:
    async with house(**OURS) as at:
        assert not await at.canaries.complain("south", who="Kari")
        for _ in range(2):
            assert await at.canaries.complain("nord", who="Kari")

        async def counted() -> bool:
            return await hints(at) == {"partner": 2}

        await eventually(counted)
        told = await at.outcomes("complaint")
        assert [(o.dimensions["by"], o.dimensions["partner"], o.reason) for o in told] == [
            ("Kari", "Fjordmobil", "misdelivery")
        ] * 2
        [way] = await at.canaries.route_statuses()
        assert (way.suspected, way.state) == (True, "open")
        at.clock.advance(61.0)
        assert not (await at.canaries.route_statuses())[0].suspected
    async with house(**OURS) as at:  # a restart forgets nothing
        await eventually(counted)


class Hearing:
    """What the canaries are told by the page."""

    def __init__(self, known: bool) -> None:
        self.known = known
        self.said: list[tuple[str, str]] = []

    def say_wrong_number(self, number: str, *, address: str) -> bool:
        self.said.append((number, address))
        return self.known

    def page(self) -> httpx.AsyncClient:
        routes = wrong_number_routes(cast(Canaries, self), page)
        return httpx.AsyncClient(transport=httpx.ASGITransport(edge(routes)), base_url="http://sms")


@pytest.mark.parametrize(
    ("language", "title", "thanks", "sorry"),
    [
        ("nb", "Fikk du en melding som ikke var til deg?", "Takk.", "Dette er ikke et telefonnummer"),
        ("sv", "Fick du ett meddelande som inte var till dig?", "Tack.", "Detta är inte ett telefonnummer"),
        ("en", "Did you get a message that was not for you?", "Thank you.", "This is not a phone number"),
    ],
)
async def test_the_page_takes_a_number_in_three_languages(language: str, title: str, thanks: str, sorry: str) -> None:
    hearing = Hearing(known=True)
    async with hearing.page() as http:
        shown = await http.get("/wrong-number", headers={"accept-language": language})
        assert (shown.status_code, f'<html lang="{language}">' in shown.text) == (200, True)
        assert title in shown.text and 'name="number"' in shown.text
        assert (await http.get(f"/wrong-number?lang={language}")).text == shown.text
        done = await http.post("/wrong-number", data={"lang": language, "number": " +4790000001 "})
        assert done.status_code == 200 and thanks in done.text and 'name="number"' not in done.text
        assert hearing.said == [("+4790000001", "127.0.0.1")]
        assert (await http.post("/wrong-number", content=b"x" * 1_001)).status_code == 413
    async with Hearing(known=False).page() as http:
        refused = await http.post("/wrong-number", data={"lang": language, "number": "<b>"})
        assert refused.status_code == 422 and sorry in refused.text and "<b>" not in refused.text


async def test_what_is_said_on_the_page_counts_for_the_link_of_its_number(house: Any) -> None:
    async with house(**OURS) as at:
        assert at.canaries.say_wrong_number(f"+{NUMBER}", address="192.0.2.1")
        assert at.canaries.say_wrong_number(f"+{NUMBER}", address="192.0.2.1")  # answered alike, and not counted
        for number in ("", "hei", "+4479460000", "2010"):
            assert not at.canaries.say_wrong_number(number, address="192.0.2.1")

        async def counted() -> bool:
            return await hints(at) == {"people": 1}

        await eventually(counted)
