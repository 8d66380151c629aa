"""The report on the evening held against its truth: figures, checks, the report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from prikkfri.simulation.incident_reports import IncidentReport
from prikkfri.simulation.kickoff import Truth, evening_clock, quantile, waits
from prikkfri.simulation.lateness import green_checks, lateness, reason_not_judged, timed, unless_held, within
from prikkfri.simulation.report import Check, Event, Line, Period, Question, Report

WATCH_TOLERANCE_SECONDS = 0.75
"""A person's watch and a role's differ by what a request takes on a busy machine."""
DETECTED_SECONDS_MAX = 15.0
STATUS_PAGE_SECONDS_MAX = 25.0
OPEN_CHANNEL_SECONDS_MAX = 10.0
OFFERED_SECONDS_MAX = 5.0
ERRORS_ONE_IN = 100
OVERTAKEN_SECONDS_MAX = 5.0
PACE_SECONDS = 3.0
PACE_SHARE_MIN = 0.5
NOT_YET = -1.0
"""A moment that never came."""


@dataclass(frozen=True)
class Result:
    """The figures, named as in the JSON; seconds are counted from the fault, or from its end for what follows that.

    Seconds are -1 for what never came, and null for what came before it could: that is no figure to judge by.
    """

    viewers: int
    inside: int
    inside_disturbed: int
    inside_switches: int
    inside_switches_failed: int
    known_devices: int
    """Those inside who came back with their device token during the evening ..."""
    known_without_line_share: float
    """... and the share of them who never saw a line."""
    outside: int
    got_in: int
    saw_open_channel: int
    turned_away: int
    wait_p50_s: float
    wait_p99_s: float
    detected_after_s: float | None
    placed: list[str]
    cleared: list[str]
    status_page_after_s: float | None
    open_channel_after_s: float | None
    hit_true: int
    hit_listed: int
    hit_missed: int
    hit_wrongly_listed: int
    credited: int
    credited_twice: int
    recovered_after_s: float | None
    declared_over_after_s: float | None
    late_share: float
    """Of what the rehearsal itself wanted to do at a moment: how much came late."""
    late_worst_s: float
    not_judged: str
    """Why some checks could not be judged; empty: all were."""
    passed: bool


def judge(truth: Truth, accounts: Sequence[IncidentReport]) -> tuple[Result, list[Check]]:
    """Compares what the people went through with what the product says of it."""
    accounts = [of_those_who_took_part(each, truth) if truth.others_ask else each for each in accounts]
    account = accounts[0] if accounts else None
    true = truth.hit()
    held_by = {asked.device: asked.subscriber_id for asked in truth.outside}
    hits = [hit for each in accounts for hit in each.affected["hits"]]
    listed = {hit["customer"] or held_by.get(hit["device"], hit["device"]) for hit in hits}
    certain = truth.certain(WATCH_TOLERANCE_SECONDS)
    credited = [credit["customer"] for each in accounts for credit in each.credits]
    waited = waits(truth)
    fault = truth.fault_at
    timeliness = lateness(truth.late, truth.others)
    resolved_at = account.incident["resolved_at"] if account else None
    known = [each for each in truth.inside if each.came_back]
    result = Result(
        viewers=len(truth.inside) + len(truth.outside),
        inside=len(truth.inside),
        inside_disturbed=sum(bool(each.failed) for each in truth.inside),
        inside_switches=sum(each.switches for each in truth.inside),
        inside_switches_failed=sum(each.switches_failed for each in truth.inside),
        known_devices=len(known),
        known_without_line_share=round(sum(each.without_line for each in known) / max(1, len(known)), 4),
        outside=len(truth.outside),
        got_in=len(waited),
        saw_open_channel=sum(bool(each.saw_open_channel_at) for each in truth.outside),
        turned_away=sum(not each.got_at and each.subscriber_id in true for each in truth.outside),
        wait_p50_s=round(quantile(waited, 0.5), 2),
        wait_p99_s=round(quantile(waited, 0.99), 2),
        detected_after_s=_after(fault, account.incident["opened_at"] if account else None),
        placed=_placed(account),
        cleared=_cleared(account),
        status_page_after_s=_after(fault, _status_told_at(truth)),
        open_channel_after_s=_after(fault, truth.open_channel_at),
        hit_true=len(true),
        hit_listed=len(listed),
        hit_missed=len((true & certain) - listed),
        hit_wrongly_listed=len((listed - true) & certain) + len(listed - {a.subscriber_id for a in truth.outside}),
        credited=len(set(credited)),
        credited_twice=len(credited) - len(set(credited)),
        recovered_after_s=_after(truth.given_back_at, truth.last_back_in_at),
        declared_over_after_s=_after(truth.given_back_at, resolved_at),
        late_share=timeliness.share,
        late_worst_s=timeliness.worst_s,
        not_judged="",
        passed=False,
    )
    checks = (
        _checks_of_a_fault(truth, result, account, set(credited))
        if fault
        else _checks_of_a_calm_evening(truth, result, accounts)
    )
    passed = all(check.holds for check in checks)
    return replace(result, not_judged=reason_not_judged(checks), passed=passed), checks


def of_those_who_took_part(account: IncidentReport, truth: Truth) -> IncidentReport:
    """An account without the hits and credits of others who use the same installation."""
    people, devices = truth.people(), {asked.device for asked in truth.outside}
    hits = [hit for hit in account.affected["hits"] if hit["customer"] in people or hit["device"] in devices]
    credits = [credit for credit in account.credits if credit["customer"] in people]
    return replace(account, affected=account.affected | {"hits": hits}, credits=credits)


def _after(start: float, moment: float | None) -> float | None:
    """Seconds from `start`; None when the moment was before it."""
    if not moment or not start:
        return NOT_YET
    return round(moment - start, 2) if moment >= start else None


def _status_told_at(truth: Truth) -> float:
    """When the status page told of an outage, after the fault or since before it; 0: never."""
    tells = [says in ("major", "critical") for _, says in truth.status_at]
    at = [at for at, _ in truth.status_at]
    before = [index for index, moment in enumerate(at) if moment < truth.fault_at]
    if before and tells[before[-1]]:
        return at[before[-1]]
    return next((moment for moment, told in zip(at, tells, strict=True) if told and moment >= truth.fault_at), 0.0)


def _placed(account: IncidentReport | None) -> list[str]:
    return [_segment(each["segment"]) for each in account.incident["placement"]["placed"]] if account else []


def _cleared(account: IncidentReport | None) -> list[str]:
    return [_segment(each["segment"]) for each in account.incident["placement"]["cleared"]] if account else []


def _segment(segment: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in segment["values"])


def _shared_checks(truth: Truth, result: Result) -> list[Check]:
    busy = lateness(truth.late, truth.others).too_busy
    troubles = sorted(trouble for each in truth.inside for trouble in each.troubles)
    first = f"; first after {troubles[0][0]:.1f} s, {troubles[0][1]}" if troubles else ""
    disturbed = [
        Check("Nobody who was inside was disturbed", f"{result.inside_disturbed} of {result.inside}{first}",
              result.inside_disturbed == 0),
        Check("Everybody inside could switch channel",
              f"{result.inside_switches_failed} of {result.inside_switches} failed",
              result.inside_switches > 0 and result.inside_switches_failed == 0),
        Check("No device that was known saw a line",
              f"{result.known_without_line_share:.1%} of {result.known_devices} came in at once",
              result.known_devices > 0 and result.known_without_line_share == 1),
    ]  # fmt: skip
    return [unless_held(check, busy) for check in disturbed]


def _checks_of_a_fault(truth: Truth, result: Result, account: IncidentReport | None, credited: set[str]) -> list[Check]:
    busy = lateness(truth.late, truth.others).too_busy
    return [
        *_shared_checks(truth, result),
        within(f"The incident was raised within {DETECTED_SECONDS_MAX:.0f} s", result.detected_after_s,
               DETECTED_SECONDS_MAX, busy, figure=_seconds(result.detected_after_s)),
        unless_held(Check("It was placed at sign-in", "; ".join(result.placed) or "nowhere",
              bool(result.placed) and all("signin" in place or "sign-in" in place for place in result.placed)), busy),
        unless_held(Check("The streams were cleared", "; ".join(result.cleared) or "nothing",
              any("streams" in place for place in result.cleared)), busy),
        within(f"The status page told of it within {STATUS_PAGE_SECONDS_MAX:.0f} s", result.status_page_after_s,
               STATUS_PAGE_SECONDS_MAX, busy, figure=_seconds(result.status_page_after_s)),
        within(f"The match stood open, no sign-in needed, within {OPEN_CHANNEL_SECONDS_MAX:.0f} s",
               result.open_channel_after_s, OPEN_CHANNEL_SECONDS_MAX, busy,
               figure=_seconds(result.open_channel_after_s)),
        timed(_offered_check(truth), busy),
        Check("Nobody who was hit is missing from the list", f"{result.hit_missed} of {result.hit_true}",
              result.hit_true > 0 and result.hit_missed == 0),
        Check("Nobody is on the list who was not hit", f"{result.hit_wrongly_listed} of {result.hit_listed}",
              result.hit_wrongly_listed == 0),
        unless_held(Check("Everybody on the list who is known is credited", f"{result.credited} of {result.hit_listed}",
              result.credited > 0 and result.credited == sum(bool(h["customer"]) for h in account.affected["hits"])
              if account else False), busy),
        Check("Nobody is credited twice", f"{result.credited_twice}", result.credited_twice == 0),
        *_look_back_checks(truth, credited),
        *(crowd_checks(truth) if truth.plan.fault == "crowd" else ()),
        unless_held(Check("Everybody who came got in before the end, or had not waited long",
                          f"{result.turned_away} turned away", result.turned_away == 0), busy),
        _over_check(result, busy),
        *green_checks(truth.green_at, truth.given_back_at, busy),
    ]  # fmt: skip


def _over_check(result: Result, busy: str) -> Check:
    name, after_s, recovered_s = (
        "It was declared over by the data, and not too early", result.declared_over_after_s, result.recovered_after_s,
    )  # fmt: skip
    if after_s is None:
        return Check(name, "before the fault had ended", False)
    if after_s == NOT_YET:
        return unless_held(Check(name, _seconds(after_s), False), busy)
    return Check(name, _seconds(after_s), after_s >= (recovered_s or 0.0))


def _look_back_checks(truth: Truth, credited: set[str]) -> list[Check]:
    """What those hit have of it in the end."""
    busy = lateness(truth.late, truth.others).too_busy
    with_phone = credited & set(truth.texts)
    once = sum(len(truth.texts[subscriber]) == 1 for subscriber in with_phone)
    others = sum(bool(texts) for subscriber, texts in truth.texts.items() if subscriber not in credited)
    certain = truth.certain(WATCH_TOLERANCE_SECONDS) & set(truth.told_hit)
    wrongly = sum(truth.told_hit[subscriber] != (subscriber in truth.hit()) for subscriber in certain)
    return [
        unless_held(Check("Everybody credited was told by SMS, once, and nobody else",
              f"{once} of {len(credited)}, and {others} others",
              bool(credited) and once == len(credited) and others == 0), busy),
        Check("Whoever asks afterwards is told rightly whether they were hit",
              f"{wrongly} of {len(certain)} who asked wrongly", bool(certain) and wrongly == 0),
    ]  # fmt: skip


def crowd_checks(truth: Truth) -> list[Check]:
    """Whether a line is a line: nobody meets an error, nobody is overtaken, and the machines never work in vain."""
    busy = lateness(truth.late, truth.others).too_busy
    met_error = sum(bool(asked.refused) for asked in truth.outside)
    overtaken = overtaken_by(truth)
    pace = paces(truth)
    return [
        unless_held(Check(f"At most 1 in {ERRORS_ONE_IN} met an error instead of a place in the line",
              f"{met_error} of {len(truth.outside)}", met_error * ERRORS_ONE_IN <= len(truth.outside)), busy),
        timed(Check(f"Nobody got in more than {OVERTAKEN_SECONDS_MAX:.0f} s after somebody who came later",
              f"{max(overtaken, default=0):.1f} s at most", max(overtaken, default=0) <= OVERTAKEN_SECONDS_MAX), busy),
        timed(Check("Sign-ins went on at their pace while the crowd waited",
              f"{min(pace, default=0):.0f} a second in the slowest {PACE_SECONDS:.0f} s, {max(pace, default=0):.0f} in "
              "the fastest", bool(pace) and min(pace) >= PACE_SHARE_MIN * max(pace)), busy),
    ]  # fmt: skip


def overtaken_by(truth: Truth) -> list[float]:
    """Seconds by which each one who got in did so after somebody who had come later."""
    came = sorted((asked for asked in truth.outside if asked.got_at), key=lambda asked: asked.asked_at)
    overtaken, soonest_later = [], float("inf")
    for asked in reversed(came):
        overtaken.append(max(0.0, asked.got_at - soonest_later))
        soonest_later = min(soonest_later, asked.got_at)
    return overtaken


def paces(truth: Truth) -> list[float]:
    """Sign-ins a second, in stretches of `PACE_SECONDS`, while more stood outside than get in within one."""
    if not truth.fault_at:
        return []
    got = sorted(asked.got_at for asked in truth.outside if asked.got_at)
    found = []
    start = truth.fault_at
    while start + PACE_SECONDS <= truth.ended_at:
        end = start + PACE_SECONDS
        waiting = sum(asked.asked_at < start and not 0 < asked.got_at < start for asked in truth.outside)
        inside = sum(start <= at < end for at in got)
        if waiting > inside:
            found.append(inside / PACE_SECONDS)
        start = end
    return found


def _offered_check(truth: Truth) -> Check:
    delays = truth.open_channel_delays()
    late = sum(delay > OFFERED_SECONDS_MAX for delay in delays)
    return Check(f"Whoever stood outside had an open channel playing within {OFFERED_SECONDS_MAX:.0f} s",
                 f"{late} of {len(delays)} later; the slowest {max(delays, default=0):.1f} s", not late)  # fmt: skip


def _checks_of_a_calm_evening(truth: Truth, result: Result, accounts: Sequence[IncidentReport]) -> list[Check]:
    opened = [account for account in accounts if account.incident["confirmed_at"]]
    return [
        *_shared_checks(truth, result),
        Check("No incident was confirmed, since there was none", f"{len(opened)}", not opened),
        Check("Nobody was listed", f"{result.hit_listed}", result.hit_listed == 0),
    ]


def _seconds(figure: float | None) -> str:
    return "never" if figure is None or figure == NOT_YET else f"{figure:.1f} s"


def report(
    truth: Truth, accounts: Sequence[IncidentReport], result: Result, checks: Sequence[Check], *, staged_at: str,
    machine: str, again: str, commit: str,
) -> Report:  # fmt: skip
    """The evening as a page."""
    account = accounts[0] if accounts else None
    seconds = int(truth.plan.evening_seconds) + 1
    offered, goodput, waiting = [0.0] * seconds, [0.0] * seconds, [0.0] * seconds
    for asked in truth.outside:
        start = int(asked.asked_at - truth.began_at)
        end = int(asked.got_at - truth.began_at) if asked.got_at else seconds
        if 0 <= start < seconds:
            offered[start] += 1
        if 0 <= end < seconds:
            goodput[end] += 1
        for second in range(max(start, 0), min(end, seconds)):
            waiting[second] += 1
    listed, true = result.hit_listed, result.hit_true
    sentence = (
        f"{result.outside} people came to a kick-off while {result.inside} were watching; {truth.plan.what_fails}. "
        f"{true} did not get in within {truth.plan.grace_seconds:.0f} s; the product lists {listed}, misses "
        f"{result.hit_missed} and lists {result.hit_wrongly_listed} wrongly."
        if truth.fault_at
        else f"{result.outside} people came to a kick-off while {result.inside} were watching; nothing failed."
    )
    name = "the rush" if truth.plan.fault == "crowd" else "the fault"
    fault = [
        Period(name, truth.fault_at - truth.began_at, truth.given_back_at - truth.began_at)
    ] if truth.fault_at else []  # fmt: skip
    return Report(
        title="Rehearsal: the kick-off",
        sentence=sentence,
        passed=result.passed,
        staged_at=staged_at,
        machine=machine,
        again=again,
        commit=commit,
        checks=checks,
        events=_events(truth, account),
        lines=[Line("came", offered), Line("got in", goodput), Line("stand outside", waiting)],
        unit="people a second, and people outside",
        periods=fault,
        comparison=[
            ("Hit", f"{true}", f"{listed}"),
            ("Got in", f"{result.got_in}", "-"),
            ("Saw the open channel", f"{result.saw_open_channel}", "-"),
            ("Broken", truth.plan.what_fails, "; ".join(result.placed) or "nothing"),
        ],
        answers=[Question(a["number"], a["question"], a["text"], a["evidence"], a["known"]) for a in account.answers]
        if account
        else [],
    )


def _events(truth: Truth, account: IncidentReport | None) -> list[Event]:
    told: list[tuple[float, str, str]] = [(truth.began_at, "happened", "the crowd begins to come")]
    if truth.fault_at:
        told.append((truth.fault_at, "happened", truth.plan.what_fails))
        told.append((truth.given_back_at, "happened", truth.plan.how_it_ends))
    if truth.last_back_in_at:
        told.append((truth.last_back_in_at, "happened", "the first one gets in again"))
    if truth.open_channel_at:
        told.append((truth.open_channel_at, "done", "a channel stands open, no sign-in needed"))
    told += [(at, "seen", f"the status page says: {says}") for at, says in truth.status_at]
    if account:
        seen = {"alarm", "evidence", "placed", "improving", "relapse", "proven"}
        for entry in account.incident["timeline"]:
            told.append((entry["at"], "seen" if entry["kind"] in seen else "done",
                         f"{entry['who']}: {entry['text'] or entry['kind']} ({entry['state']})"))  # fmt: skip
    return [
        Event(round(at - truth.began_at, 1), evening_clock(truth.plan, at - truth.began_at), kind, text)
        for at, kind, text in sorted(told)
    ]
