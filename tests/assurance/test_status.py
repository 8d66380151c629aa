from dataclasses import replace
from zoneinfo import ZoneInfo

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import Fact, Incident, happened, opened
from prikkfri.assurance.segments import Segment
from prikkfri.assurance.status import LANGUAGES, TOLD_AFTER_SECONDS, Statement, concerned, statements

OSLO = ZoneInfo("Europe/Oslo")
NINE = 1_534_791_600.0  # 20 August 2018, 21:00 in Oslo
SIGN_IN = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})


def suspected(seen: float = 0.9) -> Incident:
    return opened("1", Alarm("share", SIGN_IN, NINE, NINE - 5, 0.005, seen, 40, 30.0, 25.0), NINE)


def confirmed(seen: float = 0.9) -> Incident:
    return happened(suspected(seen), Fact("evidence", NINE + 10))


def told(*incidents: Incident, now: float = NINE + 20) -> list[str]:
    return [each.id for each in statements(incidents, now=now, zone=OSLO)]


def severity(public: tuple[Statement, ...], service: str, steps: list[str]) -> str:
    """The worst that is told of these steps of a service."""
    order = ("operational", "partial_outage", "major_outage")
    return max((each.severity for each in concerned(public, service, steps)), key=order.index, default="operational")


def test_a_suspicion_is_not_told_and_a_confirmed_incident_is() -> None:
    assert told(suspected()) == []
    assert told(confirmed()) == ["1"]


def test_what_turned_out_to_be_nothing_is_not_told() -> None:
    assert told(happened(confirmed(), Fact("dismiss", NINE + 15, "kari"))) == []


def test_a_component_is_not_operational_until_it_is_proven_over() -> None:
    incident = confirmed()
    for kind, expected in (
        ("mitigate", "major_outage"), ("improving", "major_outage"), ("proven", "operational"),
    ):  # fmt: skip
        incident = happened(incident, Fact(kind, NINE + 30))  # type: ignore[arg-type]
        public = statements([incident], now=NINE + 40, zone=OSLO)
        assert severity(public, "television", ["enter", "sign-in"]) == expected
    public = statements([confirmed(0.05)], now=NINE + 20, zone=OSLO)
    assert severity(public, "television", ["sign-in"]) == "partial_outage"
    assert severity(public, "television", ["start-playback"]) == "operational"
    assert severity(public, "messages", []) == "operational"


def test_every_text_is_told_in_every_language() -> None:
    incident = confirmed()
    for fact in (
        Fact("estimate", NINE + 20, "kari", solution_at=NINE + 900, next_update_at=NINE + 600),
        Fact("mitigate", NINE + 30, "rule:open-channel"),
        Fact("improving", NINE + 40),
        Fact("relapse", NINE + 50),
        Fact("all-clear", NINE + 60, "kari"),
    ):
        incident = happened(incident, fact)
    (statement,) = statements([incident], now=NINE + 70, zone=OSLO)
    assert len(statement.updates) == 6
    for texts in (statement.title, *(update.body for update in statement.updates)):
        assert set(texts) == set(LANGUAGES)
        assert all(texts.values())
        assert len(set(texts.values())) == len(LANGUAGES)


def test_what_is_told_never_names_a_partner_or_a_segment() -> None:
    partner = Segment.of({"service": "messages", "step": "deliver", "partner": "Telia"})
    alarm = Alarm("share", partner, NINE, NINE, 0.005, 0.05, 40, 30.0, 25.0)
    incident = happened(opened("1", alarm, NINE), Fact("mitigate", NINE + 5, "kari", "stopped partner=Telia"))
    (statement,) = statements([incident], now=NINE + 70, zone=OSLO)
    assert "Telia" not in str([statement.title, statement.updates])


def test_an_estimate_stands_with_its_time_and_is_overdue_by_itself() -> None:
    estimate = Fact("estimate", NINE + 20, "kari", solution_at=NINE + 900, next_update_at=NINE + 600)
    incident = happened(confirmed(), estimate)
    (before,) = statements([incident], now=NINE + 599, zone=OSLO)
    assert (before.solution_overdue, before.next_update_overdue) == (False, False)
    assert before.updates[0].body["en"].endswith("Expected to be solved by 21:15. Next word by 21:10.")
    (late,) = statements([incident], now=NINE + 901, zone=OSLO)
    assert (late.solution_overdue, late.next_update_overdue) == (True, True)
    assert late.updates[0].body["nb"] == "Det skulle vært løst 21:15. Det er det ikke."
    over = happened(happened(incident, Fact("improving", NINE + 950)), Fact("proven", NINE + 999))
    (after,) = statements([over], now=NINE + 1_000, zone=OSLO)
    assert not after.solution_overdue


def test_a_new_estimate_does_not_rewrite_the_old_one() -> None:
    incident = happened(confirmed(), Fact("estimate", NINE + 20, "kari", solution_at=NINE + 900))
    incident = happened(incident, Fact("estimate", NINE + 800, "kari", solution_at=NINE + 3_600))
    (statement,) = statements([incident], now=NINE + 810, zone=OSLO)
    assert "22:00" in statement.updates[0].body["sv"]
    assert "21:15" in statement.updates[1].body["sv"]


def test_a_persons_all_clear_is_told_as_a_belief() -> None:
    over = happened(confirmed(), Fact("all-clear", NINE + 60, "kari"))
    (statement,) = statements([over], now=NINE + 70, zone=OSLO)
    assert statement.over
    assert statement.updates[0].body["en"].startswith("We believe")


def test_a_resolved_incident_leaves_the_page_after_a_day() -> None:
    over = replace(happened(confirmed(), Fact("all-clear", NINE + 60, "kari")), unproven=False)
    assert told(over, now=NINE + 60 + TOLD_AFTER_SECONDS - 1) == ["1"]
    assert told(over, now=NINE + 60 + TOLD_AFTER_SECONDS) == []
