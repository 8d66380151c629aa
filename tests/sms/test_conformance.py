"""What a partner's own traffic tells of it."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from msgspec import structs
from sms_house import HURRIED
from waiting import eventually

from prikkfri.protocols.smpp.pdu import NOTHING, Status
from prikkfri.protocols.smpp.receipt import MessageState, Receipt
from prikkfri.protocols.smpp.session import PeerResponse, ResponseTimeout, SessionEnd, UnreadableResponse
from prikkfri.sms.conformance import (
    OTHERWISE,
    RATE_SECONDS,
    WORDS_MAX,
    Durations,
    LinkStatus,
    Rate,
    Spread,
    Traffic,
    how_ids_are_written,
    label,
    metrics,
    report,
)
from prikkfri.sms.http import application, report_commands
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import DueReceipt, Message
from prikkfri.sms.network_receipts import ReceiptMatch
from prikkfri.sms.receipt_ids import COMPLAINT_MISSES, VOTES_MIN, Habit, Match, Reading

DUE = DueReceipt(*[0] * len(DueReceipt.__struct_fields__))


def said(word: str) -> Receipt:
    return Receipt("1", None, word=word)


def test_each_unknown_word_is_told_once_and_counted_always() -> None:
    traffic = Traffic()
    assert traffic.note_receipts([said("GONE"), Receipt("1", MessageState.EXPIRED), said("GONE"), said("")]) == [
        "GONE", "none"
    ]  # fmt: skip
    assert traffic.note_receipts([said("GONE"), said("gone"), Receipt("1", MessageState.EXPIRED)], unnamed=2) == [
        "gone"
    ]
    assert dict(traffic.unknown) == {"GONE": 3, "none": 1, "gone": 1}
    assert (dict(traffic.states), traffic.unnamed) == ({"EXPIRED": 2}, 2)


def test_words_without_end_are_counted_together() -> None:
    traffic = Traffic()
    words = [f"w{number}" for number in range(WORDS_MAX + 3)]
    assert traffic.note_receipts([said(word) for word in words]) == [*words[:WORDS_MAX], "other"]
    assert traffic.note_receipts([said("w0"), said("w900")]) == []
    assert (len(traffic.unknown), traffic.unknown["other"], traffic.unknown["w0"]) == (WORDS_MAX + 1, 4, 2)


@pytest.mark.parametrize(
    ("word", "shown"), [("GONE", "GONE"), ('a"b', 'a\\"b'), ("a\\b", "a\\\\b"), ("a\nb", "a\\nb"), ("ø", "\\xf8")]
)
def test_a_word_is_a_label_whatever_it_says(word: str, shown: str) -> None:
    assert label(word) == shown


# What is counted as it goes by.


def message(identity: str = "m", attempts: int = 1) -> Message:
    return Message(identity, identity, 1, 1, "account:shop", "link:nord", "ordinary", "Shop", "47", None, 0, 0.0, 0.0,
                   9.0, attempts=attempts)  # fmt: skip


def fitting(state: DeliveryState, sent_at: float = 0.0) -> ReceiptMatch:
    return ReceiptMatch("m", state, sent_at, Match("m", None))


def test_answers_are_counted_with_how_long_they_took() -> None:
    traffic = Traffic()
    answers = [
        PeerResponse(message("m0"), Status.OK, NOTHING, asked_at=10.0),
        PeerResponse(message("m1"), Status.QUEUE_FULL, NOTHING, asked_at=9.9),
    ]
    traffic.note_events([*answers, PeerResponse(DUE, Status.OK, NOTHING)], 10.2)
    assert (traffic.taken, dict(traffic.refused), traffic.answered_late) == (1, {"smpp-14": 1}, 0)
    assert (traffic.round_trip.longest, sum(traffic.round_trip.counts)) == (pytest.approx(0.3), 2)
    traffic.note_events([ResponseTimeout(message("m2")), ResponseTimeout(DUE)], 70.0)
    assert traffic.unanswered == 1
    traffic.note_events([PeerResponse(message("m2"), Status.OK, NOTHING, late=True, asked_at=10.0)], 80.0)
    assert (traffic.taken, traffic.answered_late, sum(traffic.round_trip.counts)) == (2, 1, 2)


def test_what_a_session_leaves_unanswered_or_unreadable_is_counted() -> None:
    traffic = Traffic()
    traffic.note_events(
        [UnreadableResponse(message("m0")), SessionEnd("cut", (message("m1"), DUE, message("m2"), None))], 11.0
    )
    assert (traffic.unreadable, traffic.unanswered) == (1, 2)


def test_whatever_happens_again_is_counted_again() -> None:
    traffic, over = Traffic(), SessionEnd("cut", (message("m1"),))
    for event in (
        ResponseTimeout(message()),
        UnreadableResponse(message()),
        over,
        PeerResponse(message(), Status.OK, NOTHING, late=True),
    ):
        traffic.note_events([event], 5.0)
        traffic.note_events([event], 5.0)
    assert (traffic.unanswered, traffic.unreadable, traffic.answered_late, traffic.taken) == (4, 2, 2, 2)
    assert traffic.rate.per_second(5.0) == 2 / 60
    for _ in range(2):
        traffic.note_receipts([], unnamed=2)
        traffic.note_fitting(fitting(DeliveryState.UNREPORTED), 104.0, waited=False)
        traffic.note_fitting(fitting(DeliveryState.SENT, 103.5), 104.0, waited=False)
    assert (traffic.unnamed, traffic.late, traffic.receipts) == (4, 2, 2)
    assert traffic.receipt_after.longest == 0.5


def test_a_receipt_is_early_late_repeated_or_as_it_should_be() -> None:
    traffic = Traffic()
    traffic.note_fitting(fitting(DeliveryState.SENT, 100.0), 104.0, waited=False)
    traffic.note_fitting(fitting(DeliveryState.IN_DOUBT, 105.0), 104.0, waited=False)
    assert (traffic.receipts, traffic.early, sum(traffic.receipt_after.counts)) == (2, 0, 2)
    assert traffic.receipt_after.longest == 4.0
    traffic.note_fitting(fitting(DeliveryState.SENT), 104.0, waited=True)
    assert (traffic.receipts, traffic.early, sum(traffic.receipt_after.counts)) == (3, 1, 2)
    for state in (DeliveryState.UNREPORTED, DeliveryState.DELIVERED, DeliveryState.EXPIRED):
        traffic.note_fitting(fitting(state), 104.0, waited=True)
    assert (traffic.receipts, traffic.early, traffic.late, traffic.repeated) == (3, 1, 1, 2)


def test_what_a_partner_hands_in_is_counted_by_submission_and_what_is_refused_by_reason() -> None:
    traffic = Traffic()
    second = structs.replace(message("m-2"), submission="m", part=2)
    traffic.note_handed_in([message(), second, message("n")], [], refused=0)
    assert (traffic.handed_in, dict(traffic.turned_back)) == (2, {})
    traffic.note_handed_in([message("o")], ["loop", "loop", "no-transit"], refused=3)
    assert (traffic.handed_in, dict(traffic.turned_back)) == (3, {"loop": 2, "no-transit": 1})
    traffic.note_handed_in([], ["loop"], refused=3)
    assert dict(traffic.turned_back) == {"loop": 3, "no-transit": 1, OTHERWISE: 2}
    assert report(STANDING, traffic, 0.0).turned_back == {"loop": 3, OTHERWISE: 2, "no-transit": 1}
    assert metrics(report(STANDING, traffic, 0.0))['link_turned_back_total{link="nord",reason="other"}'] == 2.0


def test_a_spread_tells_shares_from_above_and_never_more_than_the_longest() -> None:
    spread = Spread()
    assert [spread.quantile(share) for share in (0.0, 0.5, 1.0)] == [None, None, None]
    for seconds in (0.005, 0.006, 0.02, 90_000.0):
        spread.note(seconds)
    assert [spread.quantile(share) for share in (0.0, 0.25, 0.26, 0.5, 0.75, 0.76, 1.0)] == [
        0.005, 0.005, 0.01, 0.01, 0.025, 90_000.0, 90_000.0
    ]  # fmt: skip
    short = Spread()
    short.note(0.03)
    assert short.quantile(0.95) == 0.03


def test_a_rate_is_that_of_the_last_minute_and_keeps_no_more() -> None:
    rate = Rate()
    assert rate.per_second(0.0) == 0.0
    for second in range(200):
        rate.note(2, second + 0.5)
        rate.note(1, second + 0.9)
    assert rate.per_second(199.9) == 3.0
    assert rate.per_second(228.0) == 1.5 + 0.05
    assert rate.per_second(258.9) == 0.05
    assert rate.per_second(259.0) == 0.0
    assert len(rate.seconds) == RATE_SECONDS
    rate.note(6, 300.0)
    assert rate.per_second(300.0) == 0.1


def test_statuses_without_end_are_counted_together() -> None:
    traffic = Traffic()
    for status in range(1, WORDS_MAX + 3):
        traffic.note_events([PeerResponse(message(), status, NOTHING)], 0.0)
    assert (len(traffic.refused), traffic.refused["other"], traffic.refused["smpp-01"]) == (WORDS_MAX + 1, 2, 1)


# The report.

STANDING = LinkStatus("nord", "Fjordmobil", 2, 50.0, 7, None, Habit(), 3, 4)


def test_a_link_that_has_said_nothing_has_no_shares() -> None:
    found = report(STANDING, Traffic(), 0.0)
    shares = (found.without_answer, found.without_receipt, found.late, found.out_of_order, found.unmatched)
    assert shares == (None,) * 5
    assert (found.round_trip, found.ids, found.complaint) == (Durations(None, None, None), "not known yet", "")
    assert (found.link, found.partner, found.binds, found.bound_since, found.waiting) == (
        "nord",
        "Fjordmobil",
        2,
        50.0,
        7,
    )
    assert (found.receipts_waiting, found.receipts_held) == (3, 4)
    assert "link_share_without_answer" not in str(metrics(found))
    assert metrics(found)['link_binds{link="nord"}'] == 2.0


def test_shares_are_of_what_they_could_have_been_of() -> None:
    traffic = Traffic(taken=95, unanswered=4, answered_late=3, receipts=80, early=20, late=10, unmatched=30, missing=20)
    traffic.refused["smpp-58"] = 4
    traffic.unknown['"'] = 2
    traffic.states["EXPIRED"] = 3
    for seconds in [0.02] * 19 + [3.0, 4.0]:
        traffic.round_trip.note(seconds)
    found = report(STANDING, traffic, 0.0)
    assert found.without_answer == 4 / 100
    assert found.without_receipt == 20 / 100
    assert found.late == 10 / 90
    assert found.out_of_order == 20 / 80
    assert found.unmatched == 30 / 120
    assert found.round_trip == Durations(0.025, 4.0, 4.0)
    told = metrics(found)
    assert told['link_receipts_by_state_total{link="nord",state="EXPIRED"}'] == 3.0
    assert told['link_round_trip_seconds{link="nord",quantile="0.5"}'] == 0.025
    assert told['link_share_receipts_unmatched{link="nord"}'] == 0.25
    assert told['link_refused_total{link="nord",status="smpp-58"}'] == 4.0
    assert told['receipts_unknown_state_total{link="nord",word="\\""}'] == 2.0


def test_how_ids_are_written_is_said_with_how_it_is_known() -> None:
    assert how_ids_are_written(Reading.SAME, Habit(decimal=99)) == "as they were given, as is set"
    learnt = "to base ten, given to base sixteen, as was learnt"
    assert how_ids_are_written(None, Habit(decimal=VOTES_MIN)) == learnt
    assert how_ids_are_written(None, Habit(decimal=VOTES_MIN - 1)) == f"not known yet: decimal {VOTES_MIN - 1}"
    assert how_ids_are_written(None, Habit(same=2, hexadecimal=1)) == "not known yet: same 2, hexadecimal 1"
    wrong = replace(STANDING, habit=Habit(missed=COMPLAINT_MISSES))
    assert report(wrong, Traffic(), 0.0).complaint.startswith("link nord: the last 20 receipts fit no message")
    found = report(replace(wrong, setting=Reading.DECIMAL), Traffic(), 0.0)
    assert found.complaint.endswith("as decimal, as is set")
    assert found.ids == "to base ten, given to base sixteen, as is set"


# Over the wire.


async def test_a_link_is_told_of_by_its_own_traffic(house: Any) -> None:
    async with house() as at:
        link, client = await at.network.bound(), await at.bound_client()
        sent = []
        for number in range(4):
            await client.submit(destination=f"479000000{number}")
            request, told = await link.message()
            sent.append(told)
            if number == 3:
                link.tell(told, "net-3")
                assert (await link.answered()).status == Status.OK
            at.clock.advance(0.2, on_the_wire=True)
            if number == 2:
                link.answer(request, 0x45)
            else:
                link.take_message(request, f"net-{number}")
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'delivered'", 1)
        at.clock.advance(3.0)
        for number in (0, 0):
            link.tell(sent[number], f"net-{number}")
            assert (await link.answered()).status == Status.OK
        link.tell(sent[1], "none")
        assert (await link.answered()).status == Status.OK
        at.clock.advance(HURRIED.early_receipt_seconds)
        await at.until("SELECT state FROM sms_network_receipt", "held")
        at.clock.advance(73 * 3_600.0)
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'unreported'", 1)
        await client.submit(destination="2010")

        serving = application(at.centre, report_commands(at.centre.reports, at.canaries, command_key="k"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(serving), base_url="http://sms") as http:
            assert (await http.get("/links")).status_code == 401
            http.headers["authorization"] = "Bearer k"

            async def counted() -> bool:
                [nord] = (await http.get("/links")).json()["links"]
                return nord["receipts_held"] == 1 and nord["without_receipt"] is not None

            await eventually(counted)
            document = (await http.get("/links")).json()
        [nord] = document["links"]
        assert (nord["link"], nord["partner"], nord["binds"], nord["waiting"]) == ("nord", "Fjordmobil", 1, 0)
        assert (nord["taken"], nord["refused"], nord["unanswered"]) == (3, {"smpp-45": 1}, 0)
        assert nord["round_trip"]["longest"] == pytest.approx(0.2)
        assert (nord["receipts"], nord["repeated"], nord["states"]) == (2, 1, {"DELIVERED": 4})
        assert (nord["out_of_order"], nord["unmatched"], nord["without_receipt"]) == (1 / 2, 1 / 3, 1 / 3)
        assert nord["receipt_after"]["longest"] == pytest.approx(3.2 + 0.2 * 2)
        assert {each["account"] for each in document["accounts"]} == {"shop", "clinic", "slow", "abroad"}
        told = at.centre.counters()
        assert told['link_taken_total{link="nord"}'] == 3
        families = [name.partition("{")[0] for name in told]
        assert (
            len([name for name, before in zip(families[1:], families, strict=False) if name != before])
            == len(set(families)) - 1
        )  # the lines of a family stand together


async def test_what_waits_is_known_by_link_and_account(house: Any) -> None:
    async with house(timing=replace(HURRIED, count_every_seconds=0.02)) as at:
        client = await at.bound_client()
        for number in range(3):
            await client.submit(destination=f"479000000{number}")
        await eventually(lambda: [link.waiting for link in at.centre.reports.report().links] == [3])
        await at.centre.switch_route("nord", "stopped", who="Kari", reason="test")
        await at.until("SELECT COUNT(*) FROM sms_message WHERE SUBSTR(target, 1, 4) = 'held'", 3)
        await eventually(lambda: [link.waiting for link in at.centre.reports.report().links] == [3])
        await client.submit(destination="2020")
        await eventually(
            lambda: {each.account: each.waiting for each in at.centre.reports.report().accounts}["clinic"] == 1
        )
