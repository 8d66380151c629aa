"""What the journal is told of messages and canaries."""

import pytest
from msgspec import structs

from prikkfri.assurance.tally import own_error
from prikkfri.journal import Outcome
from prikkfri.sms import outcomes
from prikkfri.sms.canaries.verdicts import Canary, JudgedCanary, Verdict
from prikkfri.sms.delivery import status_reason
from prikkfri.sms.lifecycle import RESTORED, DeliveryState
from prikkfri.sms.messages import Message
from prikkfri.sms.routing import Party

NOW = 1_700_000_000.0
PARTNERS = outcomes.Partners({"nord": "Fjordmobil", "syd": "Sydtel"})
OUT = {"link": "nord", "partner": "Fjordmobil", "direction": "out"}
IN = {"link": "syd", "partner": "Sydtel", "direction": "in"}
MESSAGE = Message("id-2", "id", 2, 3, "account:shop", "link:nord", "log-in-code", "Shop", "4790000001", b"x", 1,
                  NOW - 60, NOW - 50, NOW + 60)  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "target", "found"),
    [
        ("account:shop", "link:nord", {"account": "shop", **OUT}),
        ("account:shop", "held:nord", {"account": "shop", **OUT}),
        ("link:syd", "account:clinic", {**IN, "account": "clinic"}),
        ("link:syd", "link:nord", OUT),
        ("account:shop", "link:fjord", {"account": "shop", "link": "fjord", "partner": "", "direction": "out"}),
    ],
)
def test_an_outcome_says_whose_message_went_which_way(origin: str, target: str, found: dict[str, str]) -> None:
    assert PARTNERS.dimensions(origin, target, "ordinary") == {"class": "ordinary", **found}


def said(outcome: Outcome) -> tuple[object, ...]:
    return (outcome.service, outcome.step, outcome.layer, outcome.verdict, outcome.reason, outcome.time)


def test_a_request_is_kept_or_refused_in_its_partys_name() -> None:
    taken = outcomes.submitted(Party("account", "shop"), "ordinary", PARTNERS, reason="", now=NOW)
    assert said(taken) == ("messages", "submit", "sms-centre", "kept", "", NOW)
    assert taken.dimensions == {"class": "ordinary", "account": "shop"}
    refused = outcomes.submitted(Party("link", "syd"), "ordinary", PARTNERS, reason="no-route", now=NOW)
    assert said(refused) == ("messages", "submit", "sms-centre", "broken", "no-route", NOW)
    assert refused.dimensions == {"class": "ordinary", **IN}


def test_what_was_taken_on_is_promised_to_the_phone_under_the_id_that_the_sender_knows() -> None:
    ways = {"class": "log-in-code", "account": "shop", **OUT}
    for target, reason in (("link:nord", ""), ("held:nord", "route-stopped")):
        asked = outcomes.asked(structs.replace(MESSAGE, target=target), PARTNERS)
        assert said(asked) == ("messages", "deliver", "sms-centre", "asked", reason, NOW - 60)
        assert (asked.device, asked.promise, asked.dimensions) == ("+4790000001", "id", ways)
        later = outcomes.asked(structs.replace(MESSAGE, target=target), PARTNERS, now=NOW)
        assert later == structs.replace(asked, time=NOW)
    went = structs.replace(MESSAGE, attempted_at=NOW - 9)
    gone = outcomes.handed_over(went, PARTNERS, reason="in-doubt")
    assert said(gone) == ("messages", "deliver", "link", "asked", "in-doubt", NOW - 9)
    assert (gone.device, gone.promise, gone.dimensions) == ("+4790000001", "id", ways)
    assert outcomes.handed_over(went, PARTNERS).reason == ""


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        (DeliveryState.DELIVERED, "", ("link", "kept", "")),
        (DeliveryState.DELIVERED, "network-000", ("link", "kept", "")),
        (DeliveryState.UNDELIVERABLE, "network-011", ("link", "broken", "network-011")),
        (DeliveryState.UNDELIVERABLE, "network-A1", ("link", "broken", "network-other")),
        (DeliveryState.REJECTED, "smpp-0b", ("link", "broken", "smpp-0b")),
        (DeliveryState.REJECTED, "smpp-deadbeef", ("link", "broken", "smpp-other")),
        (DeliveryState.UNREPORTED, "in-doubt", ("link", "broken", "in-doubt")),
        (DeliveryState.UNREPORTED, "", ("link", "broken", "unreported")),
        (DeliveryState.EXPIRED, "expired", ("sms-centre", "broken", "expired")),
        (DeliveryState.QUARANTINED, "misdirected", ("sms-centre", "broken", "misdirected")),
        (DeliveryState.UNREPORTED, RESTORED, ("sms-centre", "broken", RESTORED)),
    ],
)
def test_only_what_was_delivered_is_kept_and_who_gave_it_up_is_named(
    state: DeliveryState, reason: str, told: tuple[str, str, str]
) -> None:
    outcome = outcomes.settled("id", "4790000001", state, reason, {"class": "ordinary"}, now=NOW)
    assert said(outcome) == ("messages", "deliver", *told, NOW)
    assert (outcome.device, outcome.promise, outcome.dimensions) == ("+4790000001", "id", {"class": "ordinary"})


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        (DeliveryState.DELIVERED, "", ("account", "kept", "")),
        (DeliveryState.REJECTED, "smpp-0b", ("account", "broken", "smpp-0b")),
        (DeliveryState.EXPIRED, outcomes.NOT_BOUND, ("account", "broken", "account-not-bound")),
        (DeliveryState.QUARANTINED, "misdirected", ("sms-centre", "broken", "misdirected")),
    ],
)
def test_what_an_account_takes_refuses_or_never_comes_for_is_its_own_matter(
    state: DeliveryState, reason: str, told: tuple[str, str, str]
) -> None:
    outcome = outcomes.settled("id", "2010", state, reason, {}, for_account=True, now=NOW)
    assert said(outcome) == ("messages", "deliver", *told, NOW)
    assert own_error(outcome.service, outcome.reason, outcome.layer) is (told[0] == "account")


def test_what_waits_for_an_account_that_nobody_has_bound_is_asked_of_the_account() -> None:
    waiting = structs.replace(MESSAGE, origin="link:syd", target="account:clinic", recipient="2020")
    bound, unbound = outcomes.asked(waiting, PARTNERS), outcomes.asked(waiting, PARTNERS, bound=False)
    assert said(bound) == ("messages", "deliver", "sms-centre", "asked", "", NOW - 60)
    assert said(unbound) == ("messages", "deliver", "account", "asked", "account-not-bound", NOW - 60)
    left = outcomes.left_waiting(waiting, PARTNERS, now=NOW)
    assert said(left) == ("messages", "deliver", "account", "asked", "account-not-bound", NOW)
    assert {each.promise for each in (bound, unbound, left)} == {"id"}
    assert unbound.dimensions == left.dimensions == bound.dimensions


def test_who_has_no_number_has_no_device() -> None:
    assert outcomes.device("4790000001") == "+4790000001"
    assert outcomes.device("2010") == ""


CANARY = Canary("token", "id", "nord", "4790000801", DeliveryState.DELIVERED, 1.0, 2.0, 3.0, 4.0, 0.0)


@pytest.mark.parametrize(
    ("verdict", "receipted", "canary", "receipt"),
    [
        (Verdict.ARRIVED, True, "", ""),
        (Verdict.ARRIVED, False, "", "no-receipt"),
        (Verdict.LATE, True, "late", ""),
        (Verdict.LATE, False, "late", None),
        (Verdict.WRONG_PHONE, True, "wrong-phone", ""),
        (Verdict.MISSING, True, "not-on-its-phone", ""),
        (Verdict.LOST, False, "lost", None),
        (Verdict.REFUSED, False, "refused", None),
        (Verdict.UNSENT, False, "unsent", None),
    ],
)
@pytest.mark.parametrize("trusted", [True, False])
def test_a_canary_tells_of_its_arrival_of_its_receipt_and_of_the_trust_in_its_way(
    verdict: Verdict, receipted: bool, canary: str, receipt: str | None, trusted: bool
) -> None:
    told = outcomes.canary(JudgedCanary(CANARY, verdict, receipted), PARTNERS, trusted=trusted, now=NOW)

    def outcome(service: str, step: str, reason: str) -> tuple[object, ...]:
        return (service, step, "link", "broken" if reason else "kept", reason, NOW)

    expected = [outcome("messages", "canary", canary), outcome("messages", "route", "" if trusted else "misdelivery")]
    if receipt is not None:
        expected.append(outcome("receipts", "receipt", receipt))
    assert [said(each) for each in told] == expected
    assert {(each.promise, each.device, each.customer, *each.dimensions.values()) for each in told} == {
        ("id", "", "", "nord", "Fjordmobil", "out")
    }


def test_of_a_canary_that_nobody_knows_of_nothing_is_told() -> None:
    assert outcomes.canary(JudgedCanary(CANARY, Verdict.UNTOLD, True), PARTNERS, trusted=True, now=NOW) == []


def test_since_when_messages_go_astray_stands_at_that_time() -> None:
    told = outcomes.condemned("nord", PARTNERS, earliest=5.0, likeliest=7.0)
    assert [said(each) for each in told] == [
        ("messages", "route", "link", "broken", "misdelivery-not-excluded", 5.0),
        ("messages", "route", "link", "broken", "misdelivery", 7.0),
    ]
    assert [each.dimensions for each in told] == [OUT, OUT]


@pytest.mark.parametrize(("state", "step"), [("stopped", "stop-route"), ("open", "open-route")])
def test_who_switched_a_route_is_told(state: str, step: str) -> None:
    told = outcomes.switched("nord", state, PARTNERS, who="Kari", reason="why", now=NOW)
    assert said(told) == ("messages", step, "sms-centre", "kept", "why", NOW)
    assert told.dimensions == {**OUT, "by": "Kari"}


def test_that_nothing_is_sent_and_who_let_it_be_sent_again_is_told() -> None:
    stopped = outcomes.sending("", by="rule:snapshot", now=NOW)
    assert said(stopped) == ("messages", "stop-sending", "sms-centre", "kept", "snapshot-restored", NOW)
    started = outcomes.sending("discard", by="Kari", now=NOW)
    assert said(started) == ("messages", "start-sending", "sms-centre", "kept", "discard", NOW)
    assert (stopped.dimensions, started.dimensions) == ({"by": "rule:snapshot"}, {"by": "Kari"})


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        ("network-000", "network-000"),
        ("network-7", "network-007"),
        ("network-00027", "network-027"),
        ("network-999", "network-999"),
        ("network-1000", "network-other"),
        ("network-" + "9" * 64, "network-other"),
        ("network-" + "0" * 64, "network-000"),
        ("network-", "network-other"),
        ("network-A1", "network-other"),
        ("network--1", "network-other"),
        ("network-²", "network-other"),
        ("network-0x1", "network-other"),
        ("smpp-01", "smpp-01"),
        ("smpp-ff", "smpp-ff"),
        ("smpp-100", "smpp-other"),
        ("smpp-3ff", "smpp-other"),
        ("smpp-400", "smpp-400"),
        ("smpp-4ff", "smpp-4ff"),
        ("smpp-500", "smpp-other"),
        ("smpp-ffffffff", "smpp-other"),
        ("in-doubt", "in-doubt"),
        ("", ""),
    ],
)
def test_of_what_a_partner_may_write_as_a_reason_only_so_much_is_told_apart(written: str, counted: str) -> None:
    assert outcomes.counted_reason(written) == counted


def test_whatever_errors_a_partner_writes_they_are_a_thousand_and_one_reasons() -> None:
    letters = [chr(each) for each in range(0x21, 0x100)]
    errors = [*(f"{each:05}" for each in range(2_000)), *letters, *(a + b for a in letters for b in "09Aå²")]
    assert len({outcomes.counted_reason(f"network-{error}") for error in errors}) == 1_001
    assert len({outcomes.counted_reason(status_reason(each)) for each in range(0x2000)}) == 0x200 + 1
