"""The account against the truth: an honest evening passes, and each kind of lie turns its check red."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from prikkfri.config import Sms, load
from prikkfri.simulation.demo import PARTNER_CANARIES, PARTNER_PEOPLE, write_configuration
from prikkfri.simulation.incident_reports import IncidentReport
from prikkfri.simulation.misdelivery import Plan, RouteView, SentMessage, Truth, faults_of, in_demo, token_of
from prikkfri.simulation.misdelivery_result import judge, report
from prikkfri.simulation.partners.network import Delivery, Fault
from prikkfri.simulation.partners.operators import LOSES_RECEIPTS, MISDELIVERS, SHORT_CODE
from prikkfri.simulation.report import render
from prikkfri.sms.trust.flying import Allowance, flying_seconds_max
from prikkfri.sms.trust.noticing import settling_seconds
from prikkfri.sms.trust.routes import Trust

BEGAN = 1_000.0
FAULT, STOPPED, MENDED, PROVEN, OPENED, OVER = 1_020.0, 1_030.0, 1_033.0, 1_040.0, 1_041.0, 1_047.0
NORD, SYD, STRANGER = "4791100000", "4792100000", "4791100001"
KEYS = [
    "messages",
    "misdelivered_by_us",
    "lost",
    "misdelivered_by_partner",
    "detected_after_s",
    "placed",
    "route_stopped_after_s",
    "exposed_true",
    "exposed_listed",
    "exposed_missed",
    "exposed_wrongly_listed",
    "declared_over_too_early",
    "late_share",
    "late_worst_s",
    "not_judged",
    "passed",
]


def truth() -> Truth:
    """Ten messages to Nordtel, one each four seconds; the fifth of them reaches a stranger; one reply to the box."""
    found = Truth(Plan(), began_at=BEGAN, fault_at=FAULT, mended_at=MENDED, opened_at=OPENED)
    found.deliveries = {"fjordmobil": [], "nordtel": [], "sydtel": []}
    for number in range(10):
        at, token = BEGAN + 5 * number, f"{number:05d}"
        found.sent.append(SentMessage(token, "code", NORD, at, f"id-{number}"))
        held = STOPPED <= at < OPENED
        handed_at = OPENED + 0.1 if held else at
        phone = STRANGER if number == 5 else NORD
        bad = FAULT <= handed_at < MENDED
        found.deliveries["nordtel"].append(Delivery(handed_at, NORD, phone, f"Koden er 1 (m{token})", bad))
    found.deliveries["nordtel"].append(Delivery(FAULT + 3, NORD, STRANGER, "Prikkfri canary x", True))
    found.sent.append(SentMessage("00010", "reply", SHORT_CODE, BEGAN, "id-10"))
    found.replies = [("00010", SHORT_CODE)]
    return found


def seen() -> RouteView:
    ways: dict[str, dict[str, Any]] = {
        link: {"link": link, "state": "open", "trusted": True, "astray": 0, "judged": 500}
        for link in ("fjordmobil", "nordtel", "sydtel")
    }
    ways["nordtel"] |= {"astray": 5, "stopped_at": STOPPED, "exposed_since": BEGAN + 12, "likely_since": FAULT}
    listed = [{"message": f"id-{number}", "sent_at": BEGAN + 5 * number} for number in (3, 4, 5)]
    return RouteView(ways, [(STOPPED, "nordtel", "rule:canaries")], PROVEN, listed)


def account(service: str, place: tuple[str, str], told: str = "") -> IncidentReport:
    incident = {
        "service": service,
        "opened_at": STOPPED + 2,
        "confirmed_at": STOPPED + 8,
        "resolved_at": OVER,
        "unproven": False,
        "placement": {"placed": [{"segment": {"values": [place]}}], "cleared": []},
        "timeline": [{"at": STOPPED, "kind": "mitigate", "who": "rule", "text": "stopped", "state": "mitigated"}],
    }
    answer = {"number": 6, "question": "Exposed?", "text": told, "evidence": [], "known": True}
    return IncidentReport(incident, [answer], {"hits": []}, [])


def accounts() -> list[IncidentReport]:
    told = "3 messages went that way and may have been read by strangers; 3 sensitive."
    return [account("messages", ("link", "nordtel"), told), account("receipts", ("partner", "Sydtel"))]


def red(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> set[str]:
    result, checks = judge(truth, accounts, seen)
    assert result.passed is all(check.holds for check in checks)
    return {check.name for check in checks if not check.holds}


def test_an_honest_account_passes() -> None:
    result, checks = judge(truth(), accounts(), seen())
    assert [check.name for check in checks if not check.holds] == []
    assert list(asdict(result)) == KEYS
    assert (result.messages, result.misdelivered_by_partner, result.exposed_true, result.exposed_listed) == (
        11,
        1,
        2,
        3,
    )
    assert (result.route_stopped_after_s, result.detected_after_s, result.passed) == (10.0, 12.0, True)


def test_a_misdelivery_that_a_busy_machine_did_not_find_in_its_time_has_no_list_to_be_judged() -> None:
    """What else it says of that time is held against it all the same."""
    evening, found = truth(), seen()
    found.stops, found.exposed, found.proven_at = [], [], 0.0
    told = [account("messages", ("account", "shop")), *accounts()[1:]]
    told[0].incident["resolved_at"] = FAULT + 5
    of_the_list = {
        "No message that went that way is missing from the list", "The answer sheet names as many",
        "Nothing was declared over too early",
    }  # fmt: skip

    def failed() -> set[str]:
        return {check.name for check in judge(evening, told, found)[1] if check.holds is False}

    assert of_the_list <= failed()
    evening.late = [3.0] * 10
    assert failed() == set() and judge(evening, told, found)[0].not_judged
    found.exposed = [{"message": "id-0", "sent_at": FAULT}]
    assert failed() == {"No other message is on the list as gone that way"}
    found.stops, found.exposed = [(STOPPED, "nordtel", "rule:canaries")], []
    assert of_the_list <= failed(), "it was found, and they are missing"


def test_in_a_demo_what_others_sent_that_way_is_counted_by_the_answer_sheet_alone() -> None:
    evening, found = truth(), seen()
    found.exposed.append({"message": "id-of-others", "sent_at": FAULT + 1})
    said = "4 messages went that way and may have been read by strangers; 4 sensitive."
    told = [account("messages", ("link", "nordtel"), said), *accounts()[1:]]
    assert red(evening, told, found) == {"No other message is on the list as gone that way"}
    evening.others_write = True
    assert red(evening, told, found) == set()
    assert judge(evening, told, found)[0].exposed_listed == 3
    found.exposed.append({"message": "id-10", "sent_at": FAULT + 1})  # of the evening, and never went there
    assert "No other message is on the list as gone that way" in red(evening, told, found)


def test_a_message_whose_sender_had_no_answer_in_time_is_counted_on_the_list_and_not_named() -> None:
    """The centre may be away from its database, and take it on when nobody waits for its answer any more."""
    evening, found = truth(), seen()
    token, at = "00011", FAULT + 1
    evening.sent.append(SentMessage(token, "notice", NORD, at))
    evening.deliveries["nordtel"].append(Delivery(at, NORD, NORD, f"Kassen kommer (m{token})", True))
    taken_on = "Every message was taken on"
    missing = "No message that went that way is missing from the list"
    assert red(evening, accounts(), found) == {taken_on, missing}
    found.exposed.append({"message": "nobody-knows", "sent_at": at})
    told = [account("messages", ("link", "nordtel"), "4 messages went that way"), *accounts()[1:]]
    assert red(evening, told, found) == {taken_on}
    found.exposed.append({"message": "nor-this", "sent_at": at})
    assert "No other message is on the list as gone that way" in red(evening, told, found)


@pytest.mark.parametrize(("green_at", "figure"), [(MENDED + 20, "20.0 s after the fault had ended"), (0.0, "never")])
def test_whoever_looked_says_whether_the_status_page_was_green_in_the_end(green_at: float, figure: str) -> None:
    found = truth()
    found.green_at = green_at
    _, checks = judge(found, accounts(), seen())
    assert (checks[-1].name, checks[-1].figure) == ("The status page was green again in the end", figure)
    assert checks[-1].holds is bool(green_at)


def test_in_a_demo_the_evening_goes_by_the_pace_of_its_canaries() -> None:
    plan = in_demo(Plan(seed=7), Sms(canary_seconds=1.5, canary_grace_seconds=4.0, canary_rule="watch"))
    assert (plan.canary_seconds, plan.canary_grace_seconds, plan.canary_rule) == (1.5, 4.0, "watch")
    assert (plan.people, plan.canaries, plan.seed) == (PARTNER_PEOPLE, PARTNER_CANARIES, 7)


def test_no_promise_of_an_evening_in_a_demo_runs_out(tmp_path: Path) -> None:
    """Not what waits while the route is proven, for a share of 2 % and more, nor what has lost its receipt."""
    assert write_configuration(tmp_path)
    config = load(tmp_path, file=None, environment={}, demo=True)
    plan, promised = in_demo(Plan(), config.sms), config.assurance.delivery_grace_seconds
    canaries = Trust(condemned=True, share=0.02).canaries_to_prove
    proof = flying_seconds_max(
        canaries, always_seconds=plan.canary_seconds, phones=plan.canaries, allowance=Allowance(0.0)
    )
    proof += settling_seconds(plan.canary_grace_seconds, config.sms.canary_receipted_seconds)
    assert proof < plan.prove_seconds_max
    assert plan.detect_seconds_max + plan.stopped_seconds + plan.prove_seconds_max < promised
    (misdelivers, astray), (deaf, silent) = faults_of(plan)
    assert (misdelivers, astray) == (MISDELIVERS, Fault(misdeliver=0.3, population=1_000_000))
    assert (deaf, silent) == (LOSES_RECEIPTS, Fault(lose_receipts=0.6, until_mended=True))
    assert plan.receipts_lost_seconds < promised


def lose(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    del truth.deliveries["nordtel"][0]


def hand_to_another_number(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    truth.deliveries["nordtel"][0] = replace(truth.deliveries["nordtel"][0], destination=STRANGER, phone=STRANGER)


def hand_to_another_account(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    truth.replies.append(("00000", SHORT_CODE))


def send_twice(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    truth.deliveries["nordtel"].append(truth.deliveries["nordtel"][9])


def refuse(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    truth.sent.append(SentMessage("00011", "code", SYD, BEGAN))


def raise_nothing(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    accounts.clear()


def place_elsewhere(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    accounts[0] = account("messages", ("link", "sydtel"), "3 messages went that way")


def place_at_all_partners(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    accounts[0] = account("messages", ("step", "route"), "3 messages went that way")


def never_stop(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    seen.stops.clear()


def stop_too_late(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    seen.stops[0] = (FAULT + 60, "nordtel", "rule:canaries")


def stop_another(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    seen.stops.append((STOPPED, "sydtel", "rule:canaries"))


def take_lost_receipts_for_misdelivery(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    seen.ways["sydtel"]["astray"] = 3


def miss_one(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    seen.exposed.pop()


def list_one_too_many(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    seen.exposed.append({"message": "id-9", "sent_at": FAULT + 25})


def list_what_never_went_there(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    seen.exposed.append({"message": "id-10", "sent_at": BEGAN + 13})


def say_another_number(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    accounts[0] = account("messages", ("link", "nordtel"), "30 messages went that way")


def open_unproven(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    seen.proven_at = 0.0


def prove_too_early(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    seen.proven_at = MENDED - 1


def resolve_too_early(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    accounts[0].incident["resolved_at"] = MENDED - 1


def never_resolve(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    accounts[0].incident["resolved_at"] = None


def resolve_by_word_alone(truth: Truth, accounts: list[IncidentReport], seen: RouteView) -> None:
    accounts[0].incident["unproven"] = True


Lie = Callable[[Truth, list[IncidentReport], RouteView], None]


@pytest.mark.parametrize(
    ("lie", "turned_red"),
    [
        (lose, "No message was lost"),
        (hand_to_another_number, "We handed no message to anyone but its recipient"),
        (hand_to_another_account, "We handed no message to anyone but its recipient"),
        (send_twice, "No message came twice"),
        (refuse, "Every message was taken on"),
        (raise_nothing, "An incident was raised within 45 s"),
        (raise_nothing, "They were told as an incident of receipts at Sydtel"),
        (place_elsewhere, "It was placed at Nordtel and nowhere else"),
        (place_at_all_partners, "It was placed at Nordtel and nowhere else"),
        (never_stop, "The route was stopped within 45 s by rule:canaries"),
        (stop_too_late, "The route was stopped within 45 s by rule:canaries"),
        (stop_another, "No other route was stopped"),
        (take_lost_receipts_for_misdelivery, "Sydtel's lost receipts were not taken for misdelivery"),
        (miss_one, "No message that went that way is missing from the list"),
        (list_one_too_many, "No other message is on the list as gone that way"),
        (list_what_never_went_there, "No other message is on the list as gone that way"),
        (say_another_number, "The answer sheet names as many"),
        (open_unproven, "The route was proven by canaries before a person opened it"),
        (prove_too_early, "Nothing was declared over too early"),
        (resolve_too_early, "Nothing was declared over too early"),
        (never_resolve, "It was declared over by the data"),
        (resolve_by_word_alone, "It was declared over by the data"),
    ],
)
def test_each_lie_turns_its_check_red(lie: Lie, turned_red: str) -> None:
    evening = truth(), accounts(), seen()
    lie(*evening)
    assert turned_red in red(*evening)


def test_a_calm_evening_has_no_incident_and_no_stop() -> None:
    calm, quiet = truth(), seen()
    calm.fault_at = calm.mended_at = 0.0
    quiet.stops.clear()
    quiet.ways["nordtel"] |= {"astray": 0, "stopped_at": 0.0}
    quiet.exposed.clear()
    assert red(calm, [], quiet) == set()
    assert red(calm, accounts(), quiet) == {"No incident was confirmed, since there was none"}
    assert "No route was stopped" in red(calm, [], replace(quiet, stops=[(STOPPED, "nordtel", "rule:canaries")]))


def test_the_worlds_own_mark_is_read_from_its_texts_alone() -> None:
    assert token_of("Ring meg (m00012)") == "00012"
    assert token_of("Prikkfri canary 00ab") == token_of("(m1) og mer") == ""


def test_the_report_is_a_page() -> None:
    evening = truth(), accounts(), seen()
    result, checks = judge(*evening)
    page = report(*evening, result, checks, staged_at="now", machine="m", again="prikkfri rehearse", commit="c")
    text = render(page)
    assert "Nordtel" in text
    assert page.lines[0].values and sum(page.lines[0].values) == 11
    assert sum(page.lines[2].values) == 2
    clocks = [event.second for event in page.events]
    assert clocks == sorted(clocks)


def verdicts(found: Truth, told: list[IncidentReport], saw: RouteView) -> dict[str, str]:
    result, checks = judge(found, told, saw)
    assert result.passed is all(check.verdict == "passed" for check in checks)
    assert bool(result.not_judged) is any(check.verdict == "not judged" for check in checks)
    assert not any("-" in check.figure for check in checks if check.verdict != "not judged")
    return {check.name: check.verdict for check in checks}


def test_on_a_machine_that_was_too_busy_what_is_a_matter_of_time_is_not_judged() -> None:
    busy = replace(truth(), late=[0.0, 4.2])
    found = verdicts(busy, accounts(), seen())
    assert [name for name, verdict in found.items() if verdict == "not judged"] == [
        "An incident was raised within 45 s",
        "The route was stopped within 45 s by rule:canaries",
    ]
    assert "failed" not in found.values()
    result, _ = judge(busy, accounts(), seen())
    assert not result.passed and "4.2 s at the worst" in result.not_judged
    assert (result.late_share, result.late_worst_s) == (0.5, 4.2)
    never = verdicts(busy, [], replace(seen(), exposed=[]))
    assert never["It was declared over by the data"] == "not judged"
    assert never["They were told as an incident of receipts at Sydtel"] == "not judged"
    assert never["No message that went that way is missing from the list"] == "failed", "which is false on any machine"


def test_what_came_before_the_fault_is_no_figure_to_judge_by() -> None:
    told = accounts()
    told[0].incident["opened_at"] = FAULT - 4.4
    early = replace(seen(), stops=[(FAULT - 1, "nordtel", "rule:canaries")])
    found = verdicts(truth(), told, early)
    assert found["An incident was raised within 45 s"] == "not judged"
    assert found["The route was stopped within 45 s by rule:canaries"] == "not judged"
    result, _ = judge(truth(), told, early)
    assert (result.detected_after_s, result.route_stopped_after_s) == (None, None)
