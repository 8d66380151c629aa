from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prikkfri.assurance import status
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import Fact, Incident, apply_fact, open_incident, record_alarm, record_placement
from prikkfri.assurance.localisation import Cell, place
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.status import LANGUAGES, Statement, open_statements, weigh, weight, what

OSLO = ZoneInfo("Europe/Oslo")
NINE = 1_534_791_600.0  # 20 August 2018, 21:00 in Oslo
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})


def alarm(segment: Segment, kind: Any = "share", seen: float = 0.9) -> Alarm:
    return Alarm(kind, segment, NINE, NINE - 5, 0.005, seen, 40, 30.0, 25.0)


def statements(incidents: Iterable[Incident], **known: Any) -> tuple[Statement, ...]:
    """What is told when the list of each incident that has none names the share of customers that its alarms saw."""
    listed = [
        each if each.asked else replace(each, hit=round(1_000 * max(a.seen for a in each.alarms)), asked=1_000)
        for each in incidents
    ]
    return status.statements(listed, **known)


def suspected(seen: float = 0.9) -> Incident:
    return open_incident("1", Alarm("share", SIGN_IN, NINE, NINE - 5, 0.005, seen, 40, 30.0, 25.0), NINE)


def confirmed(seen: float = 0.9) -> Incident:
    return apply_fact(suspected(seen), Fact("evidence", NINE + 10))


def opened_and_seen(segment: Segment) -> Incident:
    return apply_fact(open_incident("1", alarm(segment), NINE), Fact("evidence", NINE + 10))


def told(*incidents: Incident, now: float = NINE + 20) -> list[str]:
    return [each.id for each in statements(incidents, now=now, zone=OSLO)]


def severity(public: tuple[Statement, ...], service: str, steps: list[str]) -> str:
    """The worst that is told of these steps of a service."""
    order = ("operational", "partial_outage", "major_outage")
    return max(
        (each.severity for each in open_statements(public, service, steps)), key=order.index, default="operational"
    )


def test_a_suspicion_is_not_told_and_a_confirmed_incident_is() -> None:
    assert told(suspected()) == []
    assert told(confirmed()) == ["1"]


def test_what_turned_out_to_be_nothing_is_not_told() -> None:
    assert told(apply_fact(confirmed(), Fact("dismiss", NINE + 15, "kari"))) == []


def test_what_was_called_nothing_is_told_when_the_data_says_again_that_it_is_there() -> None:
    nothing = apply_fact(confirmed(), Fact("dismiss", NINE + 15, "kari"))
    again = record_alarm(nothing, alarm(SIGN_IN), NINE + 60)
    assert again.open and told(again, now=NINE + 70) == ["1"]
    over = apply_fact(apply_fact(again, Fact("improving", NINE + 80)), Fact("proven", NINE + 90))
    assert told(over, now=NINE + 99) == ["1"]


def test_a_component_is_not_operational_until_it_is_proven_over() -> None:
    incident = confirmed()
    for kind, expected in (
        ("mitigate", "major_outage"), ("improving", "major_outage"), ("proven", "operational"),
    ):  # fmt: skip
        incident = apply_fact(incident, Fact(kind, NINE + 30))  # type: ignore[arg-type]
        public = statements([incident], now=NINE + 40, zone=OSLO)
        assert severity(public, "television", ["enter", "sign-in"]) == expected
    public = statements([confirmed(0.05)], now=NINE + 20, zone=OSLO)
    assert severity(public, "television", ["sign-in"]) == "partial_outage"
    assert severity(public, "television", ["start-playback"]) == "operational"
    assert severity(public, "messages", []) == "operational"


TELEVISION, SIGN_IN_STEPS, WATCH_STEPS = "television", ["enter", "sign-in", "playback-token"], ["watch"]


@pytest.mark.parametrize(
    ("segment", "steps", "title"),
    [
        ({"service": TELEVISION, "step": "sign-in"}, ("sign-in",), "Major problems with signing in"),
        ({"service": TELEVISION, "layer": "signin"}, ("sign-in",), "Major problems with signing in"),
        ({"service": TELEVISION, "layer": "door"}, ("enter", "playback-token"), "Major problems with signing in"),
        ({"service": TELEVISION, "step": "enter", "layer": "door"}, ("enter",), "Major problems with signing in"),
        (
            {"service": TELEVISION, "layer": "streams"},
            ("start-playback", "switch-channel", "watch"),
            "Major problems with television",
        ),
        ({"service": TELEVISION, "step": "watch"}, ("watch",), "Major problems with television"),
        ({"service": TELEVISION}, (), "Major problems with television"),
        ({"service": TELEVISION, "layer": "guide"}, (), "Major problems with television"),
        ({"service": "messages", "layer": "signin"}, (), "Major problems with text messages"),
        ({"service": "messages", "step": "deliver"}, ("deliver",), "Major problems with text messages"),
        ({"service": "receipts"}, (), "Major problems with a service"),
    ],
)
def test_what_fails_is_told_of_the_steps_that_it_is_about(
    segment: dict[str, str], steps: tuple[str, ...], title: str
) -> None:
    incident = opened_and_seen(Segment.of(segment))
    (statement,) = statements([incident], now=NINE + 20, zone=OSLO)
    assert (statement.steps, statement.title["en"]) == (steps, title)
    assert statement.title == what(replace(incident, hit=900, asked=1_000))
    assert what(incident)["en"].lower() == title.lower().removeprefix("major ")
    for asked in (SIGN_IN_STEPS, WATCH_STEPS):
        concerns = segment["service"] == TELEVISION and (not steps or bool(set(asked) & set(steps)))
        assert [each.id for each in open_statements([statement], TELEVISION, asked)] == ["1"] * concerns
    assert len(open_statements([statement], segment["service"], [])) == 1


@pytest.mark.parametrize(
    ("service", "title"),
    [
        (TELEVISION, ("Store problemer med TV", "Stora problem med tv", "Major problems with television")),
        ("messages", ("Store problemer med tekstmeldinger", "Stora problem med sms",
                      "Major problems with text messages")),
        ("receipts", ("Store problemer med en tjeneste", "Stora problem med en tjänst",
                      "Major problems with a service")),
    ],
)  # fmt: skip
def test_each_service_has_its_own_name_in_each_language(service: str, title: tuple[str, ...]) -> None:
    (statement,) = statements([opened_and_seen(Segment.of({"service": service}))], now=NINE + 20, zone=OSLO)
    assert tuple(statement.title[language] for language in ("nb", "sv", "en")) == title


def test_all_ways_of_signing_in_together_are_signing_in() -> None:
    layers = [Segment.of({"service": TELEVISION, "layer": layer}) for layer in ("signin", "door")]
    incident = record_alarm(open_incident("1", alarm(layers[0]), NINE), alarm(layers[1]), NINE + 1)
    (statement,) = statements([incident], now=NINE + 20, zone=OSLO)
    assert list(statement.steps) == sorted(SIGN_IN_STEPS)
    assert statement.title == {
        "nb": "Store problemer med innlogging", "sv": "Stora problem med inloggning",
        "en": "Major problems with signing in",
    }  # fmt: skip


def test_an_incident_of_which_nothing_was_written_down_is_told_as_of_its_opening() -> None:
    (statement,) = statements([replace(confirmed(), timeline=())], now=NINE + 20, zone=OSLO)
    assert (statement.updates, statement.updated_at, statement.stage) == ((), NINE, "investigating")


def test_several_places_are_all_told_of() -> None:
    layers = [{"service": TELEVISION, "layer": layer} for layer in ("signin", "streams")]
    incident = open_incident("1", alarm(Segment.of(layers[0])), NINE)
    for more, steps in ((layers[1], ("sign-in", "start-playback", "switch-channel", "watch")), ({"layer": "x"}, ())):
        incident = record_alarm(incident, alarm(Segment.of({"service": TELEVISION, **more})), NINE + 1)
        (statement,) = statements([incident], now=NINE + 20, zone=OSLO)
        assert (statement.steps, statement.title["en"]) == (steps, "Major problems with television")


@pytest.mark.parametrize(
    ("alarms", "severity"),
    [
        ([("share", 0.49)], "partial_outage"), ([("share", 0.5)], "major_outage"),
        ([("share", 0.1), ("share", 0.7)], "major_outage"), ([("share", 0.1), ("plunge", 0.0)], "partial_outage"),
        ([("told", 0.9)], "major_outage"),
    ],
)  # fmt: skip
def test_how_bad_it_is_goes_by_the_share_of_customers_and_not_by_nobody_coming(
    alarms: list[tuple[str, float]], severity: str
) -> None:
    steps = ("sign-in", "enter")
    made = [alarm(Segment.of({"service": TELEVISION, "step": step}), *each) for step, each in zip(steps, alarms)]  # noqa: B905
    incident = open_incident("1", made[0], NINE)
    for each in made[1:]:
        incident = record_alarm(incident, each, NINE + 1)
    incident = apply_fact(incident, Fact("confirm", NINE + 2))
    (statement,) = statements([incident], now=NINE + 20, zone=OSLO)
    assert statement.severity == severity


def test_that_all_fails_in_one_place_says_nothing_of_the_whole() -> None:
    cells = [Cell(Segment.of({"step": step}), 100, failed) for step, failed in (("sign-in", 100), ("enter", 0))]
    incident = replace(record_placement(confirmed(0.9), place(cells), NINE + 12), hit=100, asked=1_000)
    (statement,) = statements([incident], now=NINE + 20, zone=OSLO)
    assert statement.severity == "partial_outage"


@example(9, 0, "share", False)
@example(10, 0, "share", False)
@example(10, 990, "share", False)
@example(10, 991, "share", False)
@example(500, 500, "share", False)
@example(500, 501, "share", False)
@given(st.integers(0, 3_000), st.integers(0, 3_000), st.sampled_from(["share", "plunge", "told"]), st.booleans())
def test_the_public_is_told_how_many_customers_fail_of_those_who_asked(
    hit: int, others: int, kind: str, by_person: bool
) -> None:
    """Whatever an alarm is made of: six messages to nobody we know are no outage."""
    incident = open_incident("1", alarm(Segment.of({"service": "messages", "step": "deliver"}), kind, 1.0), NINE)
    incident = apply_fact(incident, Fact("confirm" if by_person else "evidence", NINE + 10))
    incident = replace(incident, hit=hit, asked=hit + others)
    told = {each.id: each.severity for each in status.statements([incident], now=NINE + 20, zone=OSLO)}
    if hit >= 10 and hit >= others:
        assert told == {"1": "major_outage"}
    elif hit >= 10 and 99 * hit >= others:
        assert told == {"1": "partial_outage"}
    else:
        assert told == ({"1": "partial_outage"} if by_person or kind == "told" else {})
    assert weight(incident) == told.get("1", "operational")
    assert weigh(hit, hit + others) == ("operational" if hit < 10 or 99 * hit < others else told["1"])


@pytest.mark.parametrize(
    ("hit", "asked", "told"),
    [
        (9, 9, "operational"),
        (10, 10, "major_outage"),
        (10, 20, "major_outage"),
        (10, 21, "partial_outage"),
        (10, 1_000, "partial_outage"),
        (10, 1_001, "operational"),
        (10, 0, "major_outage"),  # of those who asked nothing is known
    ],
)
def test_how_bad_it_is_turns_with_one_customer(hit: int, asked: int, told: str) -> None:
    assert weigh(hit, asked) == told


def test_the_newest_incident_stands_first() -> None:
    older = replace(confirmed(), id="older", opened_at=NINE - 1)
    assert told(older, confirmed()) == told(confirmed(), older) == ["1", "older"]


STORY = [
    (10, "investigating", "Vi kjenner til problemet og arbeider med å løse det. Mange er rammet.",
     "Vi känner till problemet och arbetar med att lösa det. Många är drabbade.",
     "We are aware of the problem and working to fix it. Many are affected."),
    (20, "investigating",
     "Vi kjenner til problemet og arbeider med å løse det. Mange er rammet. Ventes løst kl. 21:15."
     " Neste oppdatering kl. 21:10.",
     "Vi känner till problemet och arbetar med att lösa det. Många är drabbade. Väntas vara löst kl. 21:15."
     " Nästa uppdatering kl. 21:10.",
     "We are aware of the problem and working to fix it. Many are affected. Expected to be solved by 21:15."
     " Next update by 21:10."),
    (30, "identified", "En midlertidig løsning er på plass. Vi arbeider videre.",
     "En tillfällig lösning är på plats. Vi arbetar vidare.",
     "A workaround is in place. We are still working on it."),
    (35, "identified", "En midlertidig løsning er på plass. Vi arbeider videre. Når det er løst, vet vi ikke ennå.",
     "En tillfällig lösning är på plats. Vi arbetar vidare. När det är löst vet vi inte än.",
     "A workaround is in place. We are still working on it. When it will be solved is not known yet."),
    (40, "monitoring", "Det ser ut til å virke igjen. Vi følger med til det er stabilt.",
     "Det ser ut att fungera igen. Vi följer läget tills det är stabilt.",
     "It seems to work again. We are monitoring it until it is stable."),
    (50, "investigating",
     "Problemet er tilbake. Vi kjenner til problemet og arbeider med å løse det. Mange er rammet.",
     "Problemet är tillbaka. Vi känner till problemet och arbetar med att lösa det. Många är drabbade.",
     "The problem is back. We are aware of the problem and working to fix it. Many are affected."),
    (60, "resolved", "Vi mener at problemet er løst, og følger fortsatt med.",
     "Vi anser att problemet är löst och följer fortfarande läget.",
     "We believe that the problem is fixed, and are still monitoring it."),
    (70, "investigating",
     "Problemet er tilbake. Vi kjenner til problemet og arbeider med å løse det. Mange er rammet.",
     "Problemet är tillbaka. Vi känner till problemet och arbetar med att lösa det. Många är drabbade.",
     "The problem is back. We are aware of the problem and working to fix it. Many are affected."),
    (80, "monitoring", "Det ser ut til å virke igjen. Vi følger med til det er stabilt.",
     "Det ser ut att fungera igen. Vi följer läget tills det är stabilt.",
     "It seems to work again. We are monitoring it until it is stable."),
    (90, "resolved", "Problemet er løst.", "Problemet är löst.", "The problem is fixed."),
]  # fmt: skip
"""What the public reads of one incident: seconds after nine, stage, and the text in each language."""


def test_a_whole_evening_is_told_word_by_word() -> None:
    incident = suspected()
    for at, kind, promised in (
        (10, "evidence", (None, None)), (15, "note", (None, None)), (20, "estimate", (900.0, 600.0)),
        (25, "act", (None, None)), (30, "mitigate", (None, None)), (35, "estimate", (None, None)),
        (40, "improving", (None, None)), (50, "relapse", (None, None)), (60, "all-clear", (None, None)),
        (70, "alarm", (None, None)), (80, "improving", (None, None)), (90, "proven", (None, None)),
        (95, "credited", (None, None)), (99, "review", (None, None)),
    ):  # fmt: skip
        solution, following = (NINE + each if each else None for each in promised)
        incident = apply_fact(incident, Fact(kind, NINE + at, "kari", "", solution, following))  # type: ignore[arg-type]
    (statement,) = statements([incident], now=NINE + 99, zone=OSLO)
    told = [(u.at - NINE, u.stage, u.body["nb"], u.body["sv"], u.body["en"]) for u in reversed(statement.updates)]
    assert told == STORY
    assert (statement.stage, statement.updated_at, statement.resolved_at) == ("resolved", NINE + 90, NINE + 90)
    assert (statement.since, statement.service) == (NINE - 5, TELEVISION)


def test_a_promise_that_has_passed_is_told_as_missed_in_every_language() -> None:
    estimate = Fact("estimate", NINE + 20, "kari", solution_at=NINE + 900, next_update_at=NINE + 600)
    incident = apply_fact(confirmed(0.1), estimate)
    assert "Noen er rammet." in statements([incident], now=NINE + 20, zone=OSLO)[0].updates[-1].body["nb"]
    for now, missed in ((600, ()), (600.5, (600,)), (900, (600,)), (901, (900, 600))):
        (statement,) = statements([incident], now=NINE + now, zone=OSLO)
        assert [update.at - NINE for update in statement.updates[:-2]] == list(missed)
        assert statement.updated_at == NINE + max((20, *missed))
        assert (statement.solution_overdue, statement.next_update_overdue) == (900 in missed, 600 in missed)
        assert (statement.expected_solution_at, statement.next_update_at) == (NINE + 900, NINE + 600)
    assert [update.body for update in statement.updates[:2]] == [
        {"nb": "Det skulle vært løst kl. 21:15. Det er det ikke.",
         "sv": "Det skulle ha varit löst kl. 21:15. Det är det inte.",
         "en": "It was to be solved by 21:15. It is not."},
        {"nb": "Oppdateringen som var lovet kl. 21:10, er forsinket.",
         "sv": "Uppdateringen som utlovades kl. 21:10 är försenad.",
         "en": "The update promised for 21:10 is late."},
    ]  # fmt: skip


def test_every_text_is_told_in_every_language() -> None:
    incident = confirmed()
    for fact in (
        Fact("estimate", NINE + 20, "kari", solution_at=NINE + 900, next_update_at=NINE + 600),
        Fact("mitigate", NINE + 30, "rule:open-channel"),
        Fact("improving", NINE + 40),
        Fact("relapse", NINE + 50),
        Fact("all-clear", NINE + 60, "kari"),
    ):
        incident = apply_fact(incident, fact)
    (statement,) = statements([incident], now=NINE + 70, zone=OSLO)
    assert len(statement.updates) == 6
    for texts in (statement.title, *(update.body for update in statement.updates)):
        assert set(texts) == set(LANGUAGES)
        assert all(texts.values())
        assert len(set(texts.values())) == len(LANGUAGES)


def test_what_is_told_never_names_a_partner_or_a_segment() -> None:
    partner = Segment.of({"service": "messages", "step": "deliver", "partner": "Telia"})
    alarm = Alarm("share", partner, NINE, NINE, 0.005, 0.05, 40, 30.0, 25.0)
    incident = apply_fact(open_incident("1", alarm, NINE), Fact("mitigate", NINE + 5, "kari", "stopped partner=Telia"))
    (statement,) = statements([incident], now=NINE + 70, zone=OSLO)
    assert "Telia" not in str([statement.title, statement.updates])


def test_an_estimate_stands_with_its_time_and_is_overdue_by_itself() -> None:
    estimate = Fact("estimate", NINE + 20, "kari", solution_at=NINE + 900, next_update_at=NINE + 600)
    incident = apply_fact(confirmed(), estimate)
    (before,) = statements([incident], now=NINE + 599, zone=OSLO)
    assert (before.solution_overdue, before.next_update_overdue) == (False, False)
    assert before.updates[0].body["en"].endswith("Expected to be solved by 21:15. Next update by 21:10.")
    (late,) = statements([incident], now=NINE + 901, zone=OSLO)
    assert (late.solution_overdue, late.next_update_overdue) == (True, True)
    assert late.updates[0].body["nb"] == "Det skulle vært løst kl. 21:15. Det er det ikke."
    over = apply_fact(apply_fact(incident, Fact("improving", NINE + 950)), Fact("proven", NINE + 999))
    (after,) = statements([over], now=NINE + 1_000, zone=OSLO)
    assert not after.solution_overdue and not after.next_update_overdue
    assert after.updates[0].body["en"] == "The problem is fixed."


def test_a_new_estimate_does_not_rewrite_the_old_one() -> None:
    incident = apply_fact(confirmed(), Fact("estimate", NINE + 20, "kari", solution_at=NINE + 900))
    incident = apply_fact(incident, Fact("estimate", NINE + 800, "kari", solution_at=NINE + 3_600))
    (statement,) = statements([incident], now=NINE + 810, zone=OSLO)
    assert "22:00" in statement.updates[0].body["sv"]
    assert "21:15" in statement.updates[1].body["sv"]


def test_a_persons_all_clear_is_told_as_a_belief() -> None:
    over = apply_fact(confirmed(), Fact("all-clear", NINE + 60, "kari"))
    (statement,) = statements([over], now=NINE + 70, zone=OSLO)
    assert statement.over
    assert statement.updates[0].body["en"].startswith("We believe")
    reviewed = apply_fact(over, Fact("review", NINE + 3_600, "kari"))
    (statement,) = statements([reviewed], now=NINE + 3_700, zone=OSLO)
    assert statement.over and "is mended." not in str(statement.updates)


def test_a_resolved_incident_leaves_the_page_after_a_day() -> None:
    over = replace(apply_fact(confirmed(), Fact("all-clear", NINE + 60, "kari")), unproven=False)
    assert told(over, now=NINE + 60 + 86_400 - 1) == ["1"]
    assert told(over, now=NINE + 60 + 86_400) == []
