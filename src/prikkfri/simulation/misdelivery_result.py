"""The account of the misdelivery held against its truth: figures, checks, the report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from prikkfri.simulation.incident_reports import IncidentReport
from prikkfri.simulation.kickoff_result import NOT_YET
from prikkfri.simulation.lateness import (
    ALREADY,
    green_checks,
    lateness,
    not_judged,
    reason_not_judged,
    unless_held,
    within,
)
from prikkfri.simulation.misdelivery import PERSON, RouteView, Truth, compressed, token_of
from prikkfri.simulation.partners.operators import LOSES_RECEIPTS, MISDELIVERS, Partner
from prikkfri.simulation.report import Check, Event, Line, Period, Question, Report
from prikkfri.sms.canaries.stopping.service import RULE

TAKEN_ON = "Every message was taken on"
DETECTED_SECONDS_MAX = 45.0
"""A share of 5 % is found after some 150 canaries in the mean; see docs/decisions/canaries.md."""


@dataclass(frozen=True)
class Result:
    """The figures, named as in the JSON; seconds are counted from the fault.

    They are -1 for what never came, and null for what came before the fault: that is no figure to judge by.
    """

    messages: int
    misdelivered_by_us: int
    lost: int
    misdelivered_by_partner: int
    detected_after_s: float | None
    placed: list[str]
    route_stopped_after_s: float | None
    exposed_true: int
    exposed_listed: int
    exposed_missed: int
    exposed_wrongly_listed: int
    """Listed as gone that way when it most likely misdelivered, and did not; or that never went that way."""
    declared_over_too_early: bool
    late_share: float
    """Of what the rehearsal itself wanted to do at a moment: how much came late."""
    late_worst_s: float
    not_judged: str
    """Why some checks could not be judged; empty: all were."""
    passed: bool


def judge(truth: Truth, accounts: Sequence[IncidentReport], seen: RouteView) -> tuple[Result, list[Check]]:
    """Compares what people, phones and partners went through with what the product says of it."""
    account = _of(accounts, "messages")
    true, went_there = truth.exposed(), truth.went_there()
    way = seen.ways.get(MISDELIVERS.link, {})
    ours = {message.id for message in truth.accepted().values()}
    judged = [each for each in seen.exposed if each["message"] in ours or not truth.others_write]
    listed = {each["message"] for each in judged}
    certain = {each["message"] for each in judged if each["sent_at"] >= way["likely_since"]}
    # Whoever had no answer in time knows no id of a message that was taken on all the same: such are only counted.
    nameless = set[str]() if truth.others_write else listed - ours
    unanswered, unanswered_exposed = (0, 0) if truth.others_write else truth.unanswered_there()
    stops = [at for at, link, _ in seen.stops if link == MISDELIVERS.link]
    timeliness = lateness(truth.late, truth.others)
    result = Result(
        messages=len(truth.accepted()),
        misdelivered_by_us=truth.misdelivered_by_us(),
        lost=len(truth.lost()),
        misdelivered_by_partner=len(truth.misdelivered_by_partner()),
        detected_after_s=_after(truth, account.incident["opened_at"] if account else 0.0),
        placed=_placed(account),
        route_stopped_after_s=_after(truth, stops[0] if stops else 0.0),
        exposed_true=len(true) + unanswered_exposed,
        exposed_listed=len(listed),
        exposed_missed=len(true - listed) + max(0, unanswered_exposed - len(nameless)),
        exposed_wrongly_listed=len(certain - true - nameless)
        + len(listed - went_there - nameless)
        + max(0, len(nameless) - unanswered),
        declared_over_too_early=_over_too_early(truth, accounts, seen),
        late_share=timeliness.share,
        late_worst_s=timeliness.worst_s,
        not_judged="",
        passed=False,
    )
    checks = _checks(truth, result, accounts, seen) if truth.fault_at else _calm_checks(truth, result, accounts, seen)
    passed = all(check.holds for check in checks)
    return replace(result, not_judged=reason_not_judged(checks), passed=passed), checks


def _of(accounts: Sequence[IncidentReport], service: str) -> IncidentReport | None:
    """The first incident of a service that began after the fault, as far as it could."""
    return next((account for account in accounts if account.incident["service"] == service), None)


def _placed(account: IncidentReport | None) -> list[str]:
    return [_segment(each["segment"]) for each in account.incident["placement"]["placed"]] if account else []


def _segment(segment: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in segment["values"])


def _is_at(partner: Partner, places: Sequence[str]) -> bool:
    """Whether a fault was placed at this partner and nowhere else."""
    names = (f"link={partner.link}", f"partner={partner.name}")
    return bool(places) and all(any(name in place for name in names) for place in places)


def _after(truth: Truth, moment: float | None) -> float | None:
    """Seconds from the fault; None when the moment was before it."""
    if not moment or not truth.fault_at:
        return NOT_YET
    return round(moment - truth.fault_at, 2) if moment >= truth.fault_at else None


def _over_too_early(truth: Truth, accounts: Sequence[IncidentReport], seen: RouteView) -> bool:
    """Whether an incident was resolved, or the way called proven, before the partner had mended it."""
    resolved = [account.incident["resolved_at"] for account in accounts if account.incident["resolved_at"]]
    proven = [seen.proven_at] if seen.proven_at else []
    return bool(truth.fault_at) and any(truth.fault_at < at < truth.mended_at for at in [*resolved, *proven])


def _shared_checks(truth: Truth, result: Result) -> list[Check]:
    refused = len(truth.sent) - result.messages
    return [
        Check("We handed no message to anyone but its recipient", f"{result.misdelivered_by_us} of {result.messages}",
              result.messages > 0 and result.misdelivered_by_us == 0),
        Check("No message was lost", f"{result.lost} of {result.messages}", result.lost == 0),
        Check("No message came twice", f"{truth.twice()}", truth.twice() == 0),
        Check(TAKEN_ON, f"{refused} were not", refused == 0),
    ]  # fmt: skip


def _checks(truth: Truth, result: Result, accounts: Sequence[IncidentReport], seen: RouteView) -> list[Check]:
    others = sorted({link for _, link, _ in seen.stops} - {MISDELIVERS.link})
    by = {who for _, link, who in seen.stops if link == MISDELIVERS.link}
    stopper = RULE if truth.plan.canary_rule == "stop" else PERSON
    deaf = seen.ways.get(LOSES_RECEIPTS.link, {})
    account, receipts = _of(accounts, "messages"), _placed(_of(accounts, "receipts"))
    resolved_at = account.incident["resolved_at"] if account else None
    exposed_told = _exposed_told(account)
    busy = lateness(truth.late, truth.others).too_busy
    unfound = busy if result.route_stopped_after_s == NOT_YET else ""  # then nobody could say who was exposed by it
    over_s, proven_s = _after(truth, resolved_at), _after(truth, seen.proven_at)
    return [
        *_shared_checks(truth, result),
        within(f"An incident was raised within {DETECTED_SECONDS_MAX:.0f} s", result.detected_after_s,
               DETECTED_SECONDS_MAX, busy, figure=_seconds(result.detected_after_s)),
        unless_held(Check(f"It was placed at {MISDELIVERS.name} and nowhere else",
                          "; ".join(result.placed) or "nowhere", _is_at(MISDELIVERS, result.placed)), busy),
        within(f"The route was stopped within {DETECTED_SECONDS_MAX:.0f} s by {stopper}", result.route_stopped_after_s,
               DETECTED_SECONDS_MAX, busy, also=by == {stopper},
               figure=f"{_seconds(result.route_stopped_after_s)} by {', '.join(sorted(by)) or 'nobody'}"),
        Check("No other route was stopped", ", ".join(others) or "none", not others),
        Check(f"{LOSES_RECEIPTS.name}'s lost receipts were not taken for misdelivery",
              f"{deaf.get('astray', '?')} canaries astray there",
              deaf.get("astray") == 0 and deaf.get("trusted") is True),
        unless_held(Check(f"They were told as an incident of receipts at {LOSES_RECEIPTS.name}",
                          "; ".join(receipts) or "nowhere", _is_at(LOSES_RECEIPTS, receipts)), busy),
        unless_held(Check("No message that went that way is missing from the list",
                          f"{result.exposed_missed} of {result.exposed_true}",
                          result.exposed_true > 0 and result.exposed_missed == 0), unfound),
        Check("No other message is on the list as gone that way", f"{result.exposed_wrongly_listed} of"
              f" {result.exposed_listed}", result.exposed_wrongly_listed == 0),
        unless_held(Check("The answer sheet names as many", exposed_told or "it says nothing",
                          exposed_told.startswith(f"{len(seen.exposed):,} messages ")), unfound),
        _in_order(Check("The route was proven by canaries before a person opened it", _seconds(proven_s),
                        bool(seen.proven_at) and seen.proven_at <= truth.opened_at), proven_s, busy),
        unless_held(_in_order(Check("Nothing was declared over too early", _seconds(over_s),
                                    not result.declared_over_too_early), over_s, ""), unfound),
        _in_order(Check("It was declared over by the data", _seconds(over_s),
                        bool(account) and bool(resolved_at) and not (account and account.incident["unproven"])),
                  over_s, busy),
        *green_checks(truth.green_at, truth.mended_at, busy),
    ]  # fmt: skip


def _in_order(check: Check, after_s: float | None, busy: str) -> Check:
    """A check whose figure is `after_s`: before the fault it is none; and what never came may want time."""
    if after_s is None and check.holds:
        return not_judged(check, ALREADY)
    return unless_held(check, busy) if after_s == NOT_YET else check


def _calm_checks(truth: Truth, result: Result, accounts: Sequence[IncidentReport], seen: RouteView) -> list[Check]:
    opened = [account for account in accounts if account.incident["confirmed_at"]]
    astray = sum(way["astray"] for way in seen.ways.values())
    return [
        *_shared_checks(truth, result),
        Check("No route was stopped", f"{len(seen.stops)}", not seen.stops),
        Check("No canary went astray", f"{astray}", astray == 0),
        Check("No incident was confirmed, since there was none", f"{len(opened)}", not opened),
    ]


def _exposed_told(account: IncidentReport | None) -> str:
    """What the sixth answer says."""
    return next((str(a["text"]) for a in account.answers if a["number"] == 6), "") if account else ""


def _seconds(figure: float | None) -> str:
    return "before the fault" if figure is None else "never" if figure == NOT_YET else f"{figure:.1f} s"


def report(
    truth: Truth, accounts: Sequence[IncidentReport], seen: RouteView, result: Result, checks: Sequence[Check], *,
    staged_at: str,
    machine: str, again: str, commit: str,
) -> Report:  # fmt: skip
    """The evening as a page."""
    account = _of(accounts, "messages")
    deliveries = [(link, each) for link, theirs in truth.deliveries.items() for each in theirs]
    seconds = int(max((each.time for _, each in deliveries), default=truth.began_at) - truth.began_at) + 1

    def line(name: str, moments: Sequence[float]) -> Line:
        values = [0.0] * seconds
        for moment in moments:
            if 0 <= (second := int(moment - truth.began_at)) < seconds:
                values[second] += 1
        return Line(name, values)

    people = [(link, each) for link, each in deliveries if token_of(each.text)]
    astray = [each.time for _, each in deliveries if each.phone not in ("", each.destination)]
    sentence = (
        f"{MISDELIVERS.name} handed {truth.plan.misdeliver:.0%} of the messages to wrong phones and said that they were"
        f" delivered. {result.exposed_true} messages went that way before the route was stopped,"
        f" {result.misdelivered_by_partner} of them to a stranger; the product lists {result.exposed_listed} and misses"
        f" {result.exposed_missed}."
        f" This is {compressed(truth.plan)}."
        if truth.fault_at
        else f"{result.messages} messages went over {len(truth.deliveries)} partners; nothing failed."
    )
    fault = Period("the fault", truth.fault_at - truth.began_at, truth.mended_at - truth.began_at)
    way = seen.ways.get(MISDELIVERS.link, {})
    return Report(
        title="Rehearsal: the misdelivery",
        sentence=sentence,
        passed=result.passed,
        staged_at=staged_at,
        machine=machine,
        again=again,
        commit=commit,
        checks=checks,
        events=_events(truth, accounts, seen),
        lines=[
            line("messages handed in", [each.at for each in truth.sent]),
            line(f"messages to {MISDELIVERS.name}", [each.time for link, each in people if link == MISDELIVERS.link]),
            line("messages and canaries on a wrong phone", astray),
        ],
        unit="messages a second",
        periods=[fault] if truth.fault_at else [],
        comparison=[
            ("Messages", f"{result.messages}", "-"),
            ("Handed to a stranger by us", f"{result.misdelivered_by_us}", "-"),
            ("Lost", f"{result.lost}", "-"),
            ("Went the bad way", f"{result.exposed_true}", f"{result.exposed_listed} listed"),
            ("Canaries astray", "-", f"{way.get('astray', 0)} of {way.get('judged', 0)}"),
            ("Broken", MISDELIVERS.name if truth.fault_at else "nothing", "; ".join(result.placed) or "nothing"),
        ],
        answers=[Question(a["number"], a["question"], a["text"], a["evidence"], a["known"]) for a in account.answers]
        if account
        else [],
    )


def _events(truth: Truth, accounts: Sequence[IncidentReport], seen: RouteView) -> list[Event]:
    told: list[tuple[float, str, str]] = [(truth.began_at, "happened", "people write to each other")]
    if truth.fault_at:
        wrong = f"{MISDELIVERS.name} misdelivers {truth.plan.misdeliver:.0%}"
        told.append((truth.fault_at, "happened", f"{wrong}, {LOSES_RECEIPTS.name} loses receipts"))
        told.append((truth.mended_at, "happened", "the partners have restarted their systems"))
    told += [(at, "done", f"the route over {link} is stopped by {who}") for at, link, who in seen.stops]
    if seen.proven_at:
        told.append((seen.proven_at, "seen", "the canaries have proven the way again"))
    if truth.opened_at:
        told.append((truth.opened_at, "done", "a person opens the route"))
    told += [(at, "seen", f"the status page says: {says}") for at, says in truth.status_at]
    seen_kinds = {"alarm", "evidence", "placed", "improving", "relapse", "proven"}
    for account in accounts:
        for entry in account.incident["timeline"]:
            kind = "seen" if entry["kind"] in seen_kinds else "done"
            text = f"{account.incident['service']}: {entry['text'] or entry['kind']} ({entry['state']})"
            told.append((entry["at"], kind, text))
    return [
        Event(round(at - truth.began_at, 1), f"{at - truth.began_at:.1f} s", kind, text)
        for at, kind, text in sorted(told)
    ]
