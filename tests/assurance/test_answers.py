from collections import Counter
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from prikkfri.assurance import plain
from prikkfri.assurance.answers import NOT_KNOWN, QUESTIONS, IncidentFacts, Load, answer_sheet, headline
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import NOBODY_EXPOSED, ExposedMessage, ExposureFigures, Scope, impact
from prikkfri.assurance.incidents import Fact, Incident, apply_fact, open_incident, record_placement
from prikkfri.assurance.localisation import Cell, ClearedValue, Placement, place
from prikkfri.assurance.notices import notices, sensitive_count
from prikkfri.assurance.recovery import Criteria, Evidence, judge
from prikkfri.assurance.remedies import Policy, Tier, trial
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Bucket
from prikkfri.journal import Outcome

OSLO = ZoneInfo("Europe/Oslo")
NINE = 1_534_791_600.0  # 20 August 2018, 21:00 in Oslo
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})


def incident() -> Incident:
    found = open_incident("1", Alarm("share", SIGN_IN, NINE, NINE - 5, 0.005, 0.9, 40, 30.0, 25.0), NINE)
    return apply_fact(found, Fact("evidence", NINE + 10))


def whole(now: float) -> IncidentFacts:
    table = [
        Cell(Segment.of({"step": "sign-in", "layer": "signin"}), 100, 90),
        Cell(Segment.of({"step": "start-playback", "layer": "streams"}), 900, 1),
    ]
    found = record_placement(incident(), place(table), NINE + 12)
    found = apply_fact(found, Fact("mitigate", NINE + 20, "rule:open-channel", "Sport 1 moved to the open channel"))
    found = apply_fact(found, Fact("estimate", NINE + 30, "kari", solution_at=NINE + 900, next_update_at=NINE + 600))
    outcomes = [
        Outcome(
            time=NINE + second, service="television", step="sign-in", layer="signin", verdict="broken",
            reason="overloaded", customer=f"C{second}", device=f"d-{second}",
        )
        for second in range(40)
    ]  # fmt: skip
    scope = Scope(found.segments, found.since, now)
    listed = impact(outcomes, scope, now=now)
    policy = Policy(
        name="kick-off", service="television", tiers=(Tier(from_minutes=0.0, amount=4_900),), products={"*": 1.0},
        cap_per_customer=4_900, cap_total=10**9,
    )  # fmt: skip
    buckets = [Bucket(NINE + second, 0 if second < 60 else 5, 5 if second < 60 else 0) for second in range(120)]
    evidence = Evidence(buckets=buckets, bucket_seconds=1.0, usual_share=0.0, fault_share=0.9)
    return IncidentFacts(
        incident=found,
        impact=listed,
        load=Load("signin", 31.0, 100.0, NINE - 86_400),
        exposed=NOBODY_EXPOSED,
        recovery=judge(evidence, Criteria(), now=NINE + 120),
        history=(replace(incident(), id="0", since=NINE - 30 * 86_400),),
        remedy=trial(policy, listed.hits, incident="1", ended_at=NINE + 60, products={}),
        credited=40,
        told=0,
    )


def test_what_is_not_known_is_said_plainly() -> None:
    answers = answer_sheet(IncidentFacts(incident=incident()), now=NINE + 20, zone=OSLO)
    assert [answer.number for answer in answers] == list(range(1, 12))
    assert tuple(answer.question for answer in answers) == QUESTIONS
    unknown = {answer.number for answer in answers if not answer.known}
    assert unknown == {2, 3, 4, 5, 6, 8, 9, 10, 11}
    assert all(answer.text == NOT_KNOWN for answer in answers if not answer.known)


def test_all_eleven_are_answered_from_what_is_known() -> None:
    answers = answer_sheet(whole(NINE + 300), now=NINE + 300, zone=OSLO)
    assert all(answer.known for answer in answers)
    texts = {answer.number: answer.text for answer in answers}
    assert texts[1] == "Sign-in has failed since 20:59:55."
    assert "streams" in texts[2].lower()
    assert texts[3] == "No: sign-in was asked for at most 31% of its measured capacity."
    assert texts[4].startswith("One place: ")
    assert texts[5] == "40 of 40 who asked; the list names each."
    assert texts[6].startswith("Nobody")
    assert "the rule for open channels at 21:00:20" in texts[7]
    assert texts[8] == "Expected solution 21:15:00; next update 21:10:00."
    waits = "It waits for: stable for 60 s (300 s required)."
    assert texts[9] == f"Not yet certain: it has been well for 60 s. {waits}"
    assert texts[10].startswith("Yes, once in this place")
    assert texts[11] == "40 get kr\u00a01,960.00 together (kick-off); 40 are given."


def said(number: int, now: float = NINE + 300, **known: Any) -> tuple[str, tuple[str, ...]]:
    """The answer to a question, and its evidence, from the whole that is known with some of it otherwise."""
    answer = answer_sheet(replace(whole(NINE + 300), **known), now=now, zone=OSLO)[number - 1]
    assert answer.known == (answer.text != NOT_KNOWN)
    return answer.text, answer.evidence


def test_the_evidence_is_the_figures() -> None:
    known = whole(NINE + 300)
    assert known.impact is not None and known.recovery is not None
    found = known.incident
    assert said(1)[1] == (found.alarms[0].sentence, "seen by the system 5 s after it most likely began")
    cleared = [each.sentence for each in found.placement.cleared if "sign-in" not in str(each.segment)]
    assert said(2) == ("Streams and starting to watch are not affected.", tuple(cleared))
    assert said(3)[1] == ("31 a second at the peak, 100 measured (2018-08-19 21:00)",)
    assert said(4)[1] == (found.placement.placed[0].sentence,)
    assert said(5)[1] == (f"digest of the list {known.impact.digest[:16]}",)
    assert said(7) == (
        "One measure, by the rule for open channels at 21:00:20. Whether it helped does not show yet.",
        ("21:00:20 the rule for open channels: Sport 1 moved to the open channel",),
    )
    assert said(8)[1] == ()
    assert said(9)[1] == tuple(f"{check.name}: {check.figures}" for check in known.recovery.checks)
    assert said(10) == (
        "Yes, once in this place; the last began 2018-07-21 21:00.",
        ("0: Sign-in",),
    )
    assert said(11)[1] == ("0 have been told",)


def test_the_list_says_who_is_not_on_it_for_certain() -> None:
    known = whole(NINE + 300)
    assert known.impact is not None
    hits = [
        structs.replace(hit, customer="" if n < 3 else hit.customer, observed=n < 38)
        for n, hit in enumerate(known.impact.hits)
    ]
    listed = replace(known.impact, hits=tuple(hits), asked=1_234, unsettled=1_001, unconfirmed=1_672)
    text, evidence = said(5, impact=listed)
    assert text == "38 of 1,234 who asked; the list names each."
    assert evidence[1:] == (
        "3 of them are devices whose holder is not known yet",
        "1,001 more still wait within the grace time",
        "2 more are known only from what their device reported",
        "1,672 devices may be made up (never came back) and are on no list",
    )


def test_whether_it_helped_is_said_by_how_it_went_on() -> None:
    found = incident()
    assert said(7, incident=found) == ("Nothing yet.", ())
    for n, (kind, who, says) in enumerate((
        ("mitigate", "kari", "Whether it helped does not show yet."), ("improving", "data", "It seems to have helped."),
        ("act", "ola", "It seems to have helped."), ("proven", "data", "It has been over since then."),
        ("review", "kari", "It has been over since then."), ("told", "kari", "It has been over since then."),
        ("credited", "rule:policy", "It has been over since then."),
    )):  # fmt: skip
        found = apply_fact(found, Fact(kind, NINE + n, who, ""))  # type: ignore[arg-type]
        assert said(7, incident=found)[0].endswith(says)
    assert said(7, incident=replace(found, timeline=found.timeline[:-3]))[0].startswith("2 measures, the last by ola")
    assert said(7, incident=found) == (
        "4 measures, the last by the policy at 21:00:06. It has been over since then.",
        ("21:00:00 kari: mitigate", "21:00:02 ola: act", "21:00:05 kari: told", "21:00:06 the policy: credited"),
    )


def test_when_it_is_solved_is_said_as_far_as_it_was_promised() -> None:
    for solution, following, says in (
        (900, None, "Expected solution 21:15:00; next update not known yet."),
        (None, 600, "Expected solution not known yet; next update 21:10:00."),
        (299, 300, "Expected solution 21:04:59, overdue by 0 min; next update 21:05:00."),
        (-3_300, 300, "Expected solution 20:05:00, overdue by 60 min; next update 21:05:00."),
    ):
        promised = Fact(
            "estimate", NINE, "kari", "", *(each and NINE + each for each in (solution, following))
        )  # fmt: skip
        assert said(8, incident=apply_fact(incident(), promised)) == (says, ())
    over = apply_fact(apply_fact(incident(), Fact("improving", NINE + 60)), Fact("proven", NINE + 90))
    assert said(8, incident=over) == ("It was solved at 21:01:30.", ())


def test_whether_it_is_over_is_said_with_what_speaks_for_it() -> None:
    known = whole(NINE + 300)
    assert known.recovery is not None
    checks = tuple(f"{check.name}: {check.figures}" for check in known.recovery.checks)
    waits = "It waits for: stable for 60 s (300 s required)."
    assert said(9, recovery=replace(known.recovery, improving=False)) == (f"No. {waits}", checks)
    assert said(9, recovery=None) == (NOT_KNOWN, ())
    lacking_nothing = tuple(replace(check, met=True) for check in known.recovery.checks)
    assert said(9, recovery=replace(known.recovery, improving=False, checks=lacking_nothing))[0] == "No."
    found = apply_fact(apply_fact(incident(), Fact("improving", NINE + 60)), Fact("proven", NINE + 90))
    assert said(9, incident=found) == ("Yes, since 21:01:30, by the data.", checks)
    for times in ("once", "2 times"):
        found = apply_fact(found, Fact("relapse", NINE + 100))
        found = apply_fact(found, Fact("all-clear", NINE + 200, "kari"))
        text, evidence = said(9, incident=found)
        assert text == "Yes, since 21:03:20, said a person; the data had not proven it."
        assert evidence == (*checks, f"it was said to be over {times} before, and was not")


def test_what_was_nothing_is_not_told_as_a_failure() -> None:
    nothing = apply_fact(incident(), Fact("dismiss", NINE + 60, "kari"))
    assert said(1, incident=nothing)[0] == "Sign-in seemed to fail from 20:59:55 on; it was nothing."
    assert said(8, incident=nothing) == ("There was nothing to solve.", ())
    assert said(9, incident=nothing)[0] == "Dismissed: kari found that it was nothing."


def test_what_happened_before_and_what_they_get_is_told_or_not_known() -> None:
    known = whole(NINE + 300)
    assert known.history and known.remedy
    (before,) = known.history
    assert said(10, history=()) == ("Not in the history that we have.", ())
    text, evidence = said(10, history=tuple(replace(before, id=str(n)) for n in range(9)))
    assert text.startswith("Yes, 9 times in this place;") and len(evidence) == 6
    assert said(11, credited=0, told=1_234) == (
        "40 get kr\u00a01,960.00 together (kick-off); none is given yet.", ("1,234 have been told",)
    )  # fmt: skip
    costly = replace(known.remedy, over_cap=True, left_out={"z": 2, "a": 1_000})
    assert said(11, remedy=costly, told=None)[1] == (
        "1,000 get nothing: a", "2 get nothing: z", "the sum is above the policy's cap: a person must release it",
        "0 have been told",
    )  # fmt: skip
    one = replace(known.remedy, credits=known.remedy.credits[:1])
    assert said(11, remedy=one, credited=1)[0] == "1 gets kr\u00a049.00 (kick-off); 1 is given."
    assert said(11, remedy=replace(costly, credits=())) == (
        "Nothing, by the policy.", ("1,000 get nothing: a", "2 get nothing: z")
    )  # fmt: skip


def test_nobody_can_say_who_is_exposed_without_a_canary() -> None:
    assert said(6, exposed=None) == (
        NOT_KNOWN, ("no canary proves this way, so whether messages went to strangers cannot be seen",)
    )  # fmt: skip
    assert said(6) == ("Nobody, as far as the journal shows.", ())


def test_several_places_are_counted_and_named() -> None:
    cells = [
        Cell(Segment.of({"partner": partner, "direction": "in"}), 100, failed)
        for partner, failed in (("Telia", 90), ("Tre", 85), ("Tele2", 0), ("Ice", 0))
    ]
    found = record_placement(incident(), place(cells), NINE + 12)
    text, evidence = said(4, incident=found)
    assert text == "2 places: partner Telia; partner Tre." and len(evidence) == 2
    assert headline(IncidentFacts(incident=found), OSLO).startswith(
        "Television (partner Telia) and television (partner Tre) broken"
    )
    assert said(4, incident=incident()) == (NOT_KNOWN, ())


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ({"service": "television"}, "Television"),
        ({"service": "television", "layer": "signin"}, "Sign-in"),
        ({"service": "television", "layer": "streams"}, "Streams"),
        ({"service": "messages", "layer": "sms-centre"}, "The message centre"),
        ({"service": "messages", "step": "deliver", "partner": "Telia"}, "Delivery of messages (partner Telia)"),
        ({"partner": "Telia", "direction": "in"}, "Coming in, partner Telia"),
    ],
)
def test_a_place_is_named_as_people_say_it(segment: dict[str, str], name: str) -> None:
    found = open_incident("1", Alarm("share", Segment.of(segment), NINE, NINE - 5, 0.005, 0.9, 40, 30.0, 25.0), NINE)
    assert headline(IncidentFacts(incident=found), OSLO) == f"{name} may be broken since 20:59:55, not confirmed"
    assert answer_sheet(IncidentFacts(incident=found), now=NINE, zone=OSLO)[0].text.startswith(
        f"{name} may have failed since"
    )
    found = apply_fact(found, Fact("confirm", NINE, "kari"))
    assert headline(IncidentFacts(incident=found), OSLO) == f"{name} broken since 20:59:55"
    assert headline(IncidentFacts(incident=replace(found, alarms=())), OSLO) == "Something broken since 20:59:55"


@pytest.mark.parametrize("count", [1, 6, 7, 8])
def test_of_much_that_never_failed_six_are_named(count: int) -> None:
    steps = [f"step-{n}" for n in range(count)]
    cleared = tuple(ClearedValue(Segment.of({"step": step}), 900.0, 1.0, 0.0) for step in steps)
    names = [each.replace("-", " ") for each in steps[:6]] + [f"{count - 6} more"] * (count > 6)
    whole = " and ".join((", ".join(names[:-1]), names[-1]) if count > 1 else names)
    found = replace(incident(), placement=Placement((), cleared))
    text, evidence = said(2, incident=found)
    assert text == f"S{whole[1:]} {'is' if count == 1 else 'are'} not affected."
    assert evidence == tuple(each.sentence for each in cleared[:6])


def test_the_headline_names_two_of_what_is_cleared_and_the_draft_every_place() -> None:
    cells = [Cell(Segment.of({"step": step}), 100, failed) for step, failed in
             (("sign-in", 90), ("enter", 85), ("watch", 0), ("submit", 0), ("deliver", 0), ("zap", 0))]  # fmt: skip
    found = record_placement(incident(), place(cells), NINE + 12)
    assert len(found.placement.cleared) >= 3
    names = [plain.place(each.segment) for each in found.placement.cleared]
    assert headline(IncidentFacts(incident=found), OSLO).endswith(f"; {names[0]} and {names[1]} are not affected")
    text = notices(found, (), hit=None)[0].text
    assert text.startswith("Where: sign-in; the waiting room.")


def test_a_missed_promise_is_shown_as_missed() -> None:
    answers = answer_sheet(whole(NINE + 300), now=NINE + 1_200, zone=OSLO)
    assert "expected solution 21:15:00, overdue by 5 min" in answers[7].text.lower()


def test_over_without_proof_is_told_as_such() -> None:
    over = apply_fact(incident(), Fact("all-clear", NINE + 60, "kari"))
    answers = answer_sheet(IncidentFacts(incident=over), now=NINE + 70, zone=OSLO)
    assert answers[8].text == "Yes, since 21:01:00, said a person; the data had not proven it."


def test_a_list_that_may_lack_somebody_says_so() -> None:
    known = replace(whole(NINE + 300), incomplete="the door's spool dropped 12 outcomes")
    answers = answer_sheet(known, now=NINE + 300, zone=OSLO)
    assert "the list may lack somebody: the door's spool dropped 12 outcomes" in answers[4].evidence


def test_load_is_a_cause_only_from_the_capacity_on() -> None:
    def said(peak: float) -> str:
        known = IncidentFacts(incident=incident(), load=Load("signin", peak, 100.0, NINE))
        return answer_sheet(known, now=NINE, zone=OSLO)[2].text

    peaks = (31.0, 79.9, 80.0, 99.9, 100.0, 150.0)
    assert [said(peak).split(":")[0] for peak in peaks] == ["No", "No", *["Close to it"] * 2, "Yes", "Yes"]
    small = IncidentFacts(incident=incident(), load=Load("signin", 0.1, 0.5, NINE))
    assert answer_sheet(small, now=NINE, zone=OSLO)[2].text.startswith("No: sign-in was asked for at most 20%")
    unmeasured = IncidentFacts(incident=incident(), load=Load("signin", 5.0, 0.0, NINE))
    assert not answer_sheet(unmeasured, now=NINE, zone=OSLO)[2].known


def test_exposure_counts_the_sensitive_and_names_the_notices_that_are_due() -> None:
    classes = ["code"] * 3 + ["notice"] * 7
    exposed = ExposureFigures(Counter(classes))
    drafts = notices(incident(), exposed, hit=None)
    assert [draft.due_at for draft in drafts] == sorted(draft.due_at for draft in drafts)
    answers = answer_sheet(
        IncidentFacts(incident=incident(), exposed=exposed, notices=drafts), now=NINE + 25 * 3_600, zone=OSLO
    )
    assert answers[5].text.startswith("10 messages went that way")
    assert "3 sensitive" in answers[5].text
    assert answers[5].text == (
        "10 messages went that way and may have been read by strangers; 3 sensitive."
    )  # fmt: skip
    assert answers[5].evidence == (
        "which of them a stranger saw is not known; no body is kept in this list",
        "notice to those to whom the messages were sent: overdue (GDPR, article 34)",
        "notice to the authority for network and information security: overdue"
        " (NIS 2, article 23(4)(a): early warning, if the incident is significant)",
        "notice to the authority for electronic communications: overdue"
        " (Regulation (EU) 611/2013, article 2(2): personal data breach)",
        "notice to the data protection authority: due 2018-08-23 21:00 (GDPR, article 33)",
    )
    assert "+47" not in str(answers[5])


def test_the_drafts_are_due_by_the_law_and_say_what_is_known_and_what_is_not() -> None:
    classes = ["code", "otp", "notice", ""]
    exposed = [
        ExposedMessage(f"m{n}", "+4790000001", "", "clinic", name, NINE, "kept") for n, name in enumerate(classes)
    ]
    assert [sensitive_count(ExposureFigures.of([each])) for each in exposed] == [1, 1, 0, 0]
    assert [sensitive_count(ExposureFigures({name: 2})) for name in ("log-in-code", "health", "x")] == [2, 2, 0]
    found = incident()
    aware = NINE + 10
    for hit, lacking in ((None, "who read the messages"), (0, "who read the messages"), (7, "")):
        drafts = notices(found, ExposureFigures.of(exposed), hit=hit)
        assert [(draft.due_at - aware) / 3_600 for draft in drafts] == [0, 24, 24, 72]
        assert ["article 34" in drafts[0].basis, "NIS 2" in drafts[1].basis] == [True, True]
        assert "611/2013" in drafts[2].basis and "article 33" in drafts[3].basis
        facts = drafts[1].text.split("\n")
        assert facts == [
            "Where: sign-in.",
            f"Customers hit: {'not known yet' if hit is None else hit}.",
            "Messages that went that way: 4 (1 code, 1 otp, 1 notice, 1 unclassified);"
            " which of them a stranger saw is not known.",
            "Measures: none yet.",
        ]
        assert drafts[2].text == drafts[3].text == drafts[1].text
        for draft in drafts[2:]:
            assert draft.lacking == ("the likely consequences", "the contact point", *([lacking] if lacking else []))
        assert drafts[0].lacking == () and "ask its sender for a new one" in drafts[0].text
        assert drafts[1].lacking == (
            "whether an unlawful or malicious act is suspected", "whether other countries are affected",
        )  # fmt: skip
    assert not drafts[0].overdue(drafts[0].due_at) and drafts[0].overdue(drafts[0].due_at + 1)
    assert [draft.basis[:5] for draft in notices(found, ExposureFigures.of(exposed[2:]), hit=1)] == [
        "NIS 2",
        "Regul",
        "GDPR,",
    ]
    assert [draft.basis[:5] for draft in notices(found, NOBODY_EXPOSED, hit=1)] == ["NIS 2"]
    assert "Messages" not in notices(found, NOBODY_EXPOSED, hit=1)[0].text
    for kind, text in (("mitigate", "route stopped"), ("note", "not a measure"), ("act", "called Telia"), ("act", "")):
        found = apply_fact(found, Fact(kind, NINE + 20, "kari", text))  # type: ignore[arg-type]
    assert notices(found, NOBODY_EXPOSED, hit=1)[0].text.endswith("Measures: route stopped; called Telia.")
    assert notices(apply_fact(found, Fact("proven", NINE + 30)), ExposureFigures.of(exposed), hit=1)
    assert notices(apply_fact(incident(), Fact("dismiss", NINE + 30, "kari")), ExposureFigures.of(exposed), hit=1) == ()


def test_a_suspicion_has_no_notices() -> None:
    suspected = open_incident("1", Alarm("share", SIGN_IN, NINE, NINE, 0.0, 0.9, 40, 30.0, 25.0), NINE)
    assert notices(suspected, None, hit=None) == ()


def test_what_holds_the_fault_is_not_cleared() -> None:
    television = {"service": "television"}
    table = [
        Cell(Segment.of({**television, "step": "sign-in", "layer": "signin"}), 100, 90),
        Cell(Segment.of({**television, "step": "start-playback", "layer": "streams"}), 900, 1),
    ]
    found = record_placement(incident(), place(table), NINE + 12)
    assert Segment.of(television) not in {each.segment for each in found.placement.cleared}
    answers = answer_sheet(IncidentFacts(incident=found), now=NINE + 20, zone=OSLO)
    assert "television" not in answers[1].text and "streams" in answers[1].text.lower()
    assert "television" not in headline(IncidentFacts(incident=found), OSLO)


def test_the_headline_of_what_is_over_says_until_when() -> None:
    over = apply_fact(incident(), Fact("all-clear", NINE + 60, "kari"))
    assert headline(IncidentFacts(incident=over), OSLO) == "Sign-in failed from 20:59:55 to 21:01:00"
    assert (
        answer_sheet(IncidentFacts(incident=over), now=NINE + 70, zone=OSLO)[0].text
        == "Sign-in failed from 20:59:55 to 21:01:00."
    )
    nothing = apply_fact(incident(), Fact("dismiss", NINE + 60, "kari"))
    assert headline(IncidentFacts(incident=nothing), OSLO).endswith("kari found that it was nothing")


def test_of_what_is_over_is_said_what_was_not_affected() -> None:
    known = whole(NINE + 300)
    over = replace(known, incident=apply_fact(known.incident, Fact("all-clear", NINE + 310, "kari")))
    assert headline(over, OSLO).endswith("; streams and starting to watch were not affected; 40 hit")
    assert answer_sheet(over, now=NINE + 320, zone=OSLO)[1].text == "Streams and starting to watch were not affected."


def test_of_what_is_over_nothing_is_still_to_come() -> None:
    over = apply_fact(incident(), Fact("all-clear", NINE + 60, "kari"))
    texts = {each.number: each.text for each in answer_sheet(IncidentFacts(incident=over), now=NINE + 70, zone=OSLO)}
    assert texts[7] == "Nothing is on record." and texts[8] == "It was solved at 21:01:00."
    assert {texts[number] for number in (2, 3, 4)} == {"Not known."}
    assert {texts[number] for number in (5, 6, 10, 11)} == {NOT_KNOWN}  # of those hit more may become known


def test_what_a_role_saw_itself_has_its_place_without_a_placing() -> None:
    seen = Segment.of({"service": "television", "layer": "streams", "channel": "sport"})
    alarm = Alarm("told", seen, NINE, NINE, 0.0, 0.0, 0, 0.0, 0.0, "the picture has gone, as playout sees it")
    assert said(4, incident=open_incident("1", alarm, NINE)) == (
        "As a role saw it itself: streams (Sport).", (alarm.sentence,)
    )  # fmt: skip


def test_where_messages_go_astray_nothing_is_cleared_for_which_only_receipts_speak() -> None:
    """It was said that log-in codes were not affected, and below it that 14 may have been read by strangers."""

    def cell(settled: int, broken: int, **values: str) -> Cell:
        return Cell(Segment.of({"service": "messages", **values}), settled, broken)

    north, south = {"link": "nordtel", "partner": "Nordtel"}, {"link": "sydtel", "partner": "Sydtel"}
    cells = [
        cell(100, 83, step="route", layer="link", direction="out", **north),
        cell(250, 0, step="route", layer="link", direction="out", **south),
        cell(172, 0, step="deliver", account="legevakt", **{"class": "log-in-code"}),
        cell(188, 0, step="submit", layer="sms-centre", account="shop", **{"class": "notice"}),
        cell(90, 0, step="deliver", layer="account", direction="in"),
    ]
    alarm = Alarm("share", Segment.of({"service": "messages", "step": "route"}), NINE, NINE, 0.0, 0.5, 40, 30.0, 25.0)
    noted = record_placement(open_incident("1", alarm, NINE), place(cells), NINE + 12)
    known = IncidentFacts(incident=noted)
    assert {("class", "log-in-code"), ("step", "deliver")} <= {
        value for each in noted.placement.cleared for value in each.segment.values
    }
    answer = answer_sheet(known, now=NINE + 20, zone=OSLO)[1]
    for word in ("class", "account ", "delivery", "log-in"):
        assert word not in answer.text + str(answer.evidence) + headline(known, OSLO) + noted.timeline[-1].text
    assert "messages over link sydtel" in answer.text and "handing in messages" in answer.text
    assert headline(replace(known, impact=replace(whole(NINE + 300).impact, hits=())), OSLO).endswith(  # type: ignore[type-var]
        "; messages may have come to strangers"
    )
    nobody = replace(whole(NINE + 300).impact, hits=(), asked=0)  # type: ignore[type-var]
    assert answer_sheet(replace(known, impact=nobody), now=NINE + 20, zone=OSLO)[4].text.startswith(
        "Nobody is known to have missed a message"
    )
    assert said(5, impact=nobody)[0] == "Nobody who is known: nobody asked there meanwhile."
    late = replace(alarm, segment=Segment.of({"service": "messages", "step": "canary"}))  # which is no word on that
    assert "strangers" not in headline(replace(known, incident=open_incident("1", late, NINE)), OSLO)


def test_the_headline_is_one_sentence() -> None:
    assert headline(whole(NINE + 300), OSLO) == (
        "Sign-in broken since 20:59:55; streams and starting to watch are not affected; 40 hit"
    )
