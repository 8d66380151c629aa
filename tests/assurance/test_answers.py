from dataclasses import replace
from zoneinfo import ZoneInfo

from prikkfri.assurance.answers import NOT_KNOWN, QUESTIONS, Known, Load, answer_sheet, headline
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import Exposed, Scope, impact
from prikkfri.assurance.incidents import Fact, Incident, happened, opened, placed
from prikkfri.assurance.localisation import Cell, place
from prikkfri.assurance.notices import notices
from prikkfri.assurance.recovery import Criteria, Evidence, judge
from prikkfri.assurance.remedies import Policy, Tier, trial
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.tally import Bucket
from prikkfri.journal import Outcome

OSLO = ZoneInfo("Europe/Oslo")
NINE = 1_534_791_600.0  # 20 August 2018, 21:00 in Oslo
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})


def incident() -> Incident:
    found = opened("1", Alarm("share", SIGN_IN, NINE, NINE - 5, 0.005, 0.9, 40, 30.0, 25.0), NINE)
    return happened(found, Fact("evidence", NINE + 10))


def whole(now: float) -> Known:
    table = [
        Cell(Segment.of({"step": "sign-in", "layer": "signin"}), 100, 90),
        Cell(Segment.of({"step": "start-playback", "layer": "streams"}), 900, 1),
    ]
    found = placed(incident(), place(table), NINE + 12)
    found = happened(found, Fact("mitigate", NINE + 20, "rule:open-channel", "Sport 1 moved to the open channel"))
    found = happened(found, Fact("estimate", NINE + 30, "kari", solution_at=NINE + 900, next_update_at=NINE + 600))
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
    return Known(
        incident=found,
        impact=listed,
        load=Load("signin", 31.0, 100.0, NINE - 86_400),
        exposed=(),
        recovery=judge(evidence, Criteria(), now=NINE + 120),
        history=(replace(incident(), id="0", since=NINE - 30 * 86_400),),
        remedy=trial(policy, listed.hits, incident="1", ended_at=NINE + 60, products={}),
        credited=40,
        told=0,
    )


def test_what_is_not_known_is_said_plainly() -> None:
    answers = answer_sheet(Known(incident=incident()), now=NINE + 20, zone=OSLO)
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
    assert "streams" in texts[2]
    assert texts[3] == "No: signin was asked for at most 31% of its measured capacity."
    assert texts[4].startswith("One place: ")
    assert texts[5] == "40 of 40 who asked; the list names each."
    assert texts[6].startswith("Nobody")
    assert "rule:open-channel at 21:00:20" in texts[7]
    assert texts[8] == "Expected solution 21:15:00; next word 21:10:00."
    assert texts[9] == "Not yet certain: it has been well for 60 s."
    assert texts[10].startswith("Yes, once in this place")
    assert texts[11] == "40 get 1,960.00 NOK together (kick-off); 40 are given."


def test_a_missed_promise_is_shown_as_missed() -> None:
    answers = answer_sheet(whole(NINE + 300), now=NINE + 1_200, zone=OSLO)
    assert "expected solution 21:15:00, overdue by 5 min" in answers[7].text.lower()


def test_over_without_proof_is_told_as_such() -> None:
    over = happened(incident(), Fact("all-clear", NINE + 60, "kari"))
    answers = answer_sheet(Known(incident=over), now=NINE + 70, zone=OSLO)
    assert answers[8].text == "Yes, since 21:01:00, said a person; the data had not proven it."


def test_a_list_that_may_lack_somebody_says_so() -> None:
    known = replace(whole(NINE + 300), incomplete="the door's spool dropped 12 outcomes")
    answers = answer_sheet(known, now=NINE + 300, zone=OSLO)
    assert "the list may lack somebody: the door's spool dropped 12 outcomes" in answers[4].evidence


def test_load_is_a_cause_only_from_the_capacity_on() -> None:
    def said(peak: float) -> str:
        known = Known(incident=incident(), load=Load("signin", peak, 100.0, NINE))
        return answer_sheet(known, now=NINE, zone=OSLO)[2].text

    assert [said(peak).split(":")[0] for peak in (31.0, 85.0, 150.0)] == ["No", "Close to it", "Yes"]


def test_exposure_counts_the_sensitive_and_names_the_notices_that_are_due() -> None:
    classes = ["code"] * 3 + ["notice"] * 7
    exposed = [Exposed(f"m{n}", "+4790000001", "", "clinic", name, NINE, "kept") for n, name in enumerate(classes)]
    drafts = notices(incident(), exposed, hit=None)
    assert [draft.due_at for draft in drafts] == sorted(draft.due_at for draft in drafts)
    answers = answer_sheet(
        Known(incident=incident(), exposed=exposed, notices=drafts), now=NINE + 25 * 3_600, zone=OSLO
    )
    assert answers[5].text.startswith("10 messages went that way")
    assert "3 sensitive" in answers[5].text
    assert sum("overdue" in line for line in answers[5].evidence) == 3
    assert "+47" not in str(answers[5])


def test_a_suspicion_has_no_notices() -> None:
    suspected = opened("1", Alarm("share", SIGN_IN, NINE, NINE, 0.0, 0.9, 40, 30.0, 25.0), NINE)
    assert notices(suspected, (), hit=None) == ()


def test_what_holds_the_fault_is_not_cleared() -> None:
    television = {"service": "television"}
    table = [
        Cell(Segment.of({**television, "step": "sign-in", "layer": "signin"}), 100, 90),
        Cell(Segment.of({**television, "step": "start-playback", "layer": "streams"}), 900, 1),
    ]
    found = placed(incident(), place(table), NINE + 12)
    assert Segment.of(television) in {each.segment for each in found.placement.cleared}
    answers = answer_sheet(Known(incident=found), now=NINE + 20, zone=OSLO)
    assert "television" not in answers[1].text and "streams" in answers[1].text
    assert "television" not in headline(Known(incident=found), OSLO)


def test_the_headline_of_what_is_over_says_until_when() -> None:
    over = happened(incident(), Fact("all-clear", NINE + 60, "kari"))
    assert headline(Known(incident=over), OSLO) == "Sign-in was broken from 20:59:55 to 21:01:00"
    assert (
        answer_sheet(Known(incident=over), now=NINE + 70, zone=OSLO)[0].text
        == "Sign-in failed from 20:59:55 to 21:01:00."
    )
    nothing = happened(incident(), Fact("dismiss", NINE + 60, "kari"))
    assert headline(Known(incident=nothing), OSLO).endswith("kari found that it was nothing")


def test_the_headline_is_one_sentence() -> None:
    assert headline(whole(NINE + 300), OSLO) == (
        "Sign-in broken since 20:59:55; streams, start-playback cleared; 40 hit"
    )
