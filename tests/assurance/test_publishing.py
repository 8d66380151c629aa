"""The summary for the public: never more than is known, and never that all is well while it is not."""

import json
import re
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.assurance.overview import Breakage, Overview, RoleState
from prikkfri.assurance.publishing import as_known, moment, summary, unknown_summary
from prikkfri.assurance.status import LANGUAGES, Statement, Update
from prikkfri.protocols.iso8601 import iso

NOW = 1_700_000_000.0
MINUTE = 60.0
URL = "http://status.test"
UTC = ZoneInfo("UTC")
ROLES = ("viewer", "signin", "door", "playout", "sms", "status")
HEALTHY = tuple(RoleState(role, True, NOW - 999) for role in ROLES)
ORDER = ("operational", "unknown", "partial_outage", "major_outage")
STANDS_ON = {
    "sign-in": ("television", {"enter", "sign-in", "playback-token"}, {"signin", "door"}),
    "watch": ("television", {"start-playback", "switch-channel", "watch"}, {"playout"}),
    "messages": ("messages", {"submit", "deliver", "receipt"}, {"sms"}),
}
"""Of each component: its service, the steps of it that are its own, and the roles that serve them."""


def seen(*breakages: Breakage, blind: tuple[tuple[str, float], ...] = ()) -> Overview:
    return Overview(NOW, "kept", (), breakages, blind, (), NOW)


def breakage(step: str, share: float, *, since: float = NOW - 30, service: str = "television") -> Breakage:
    hit = round(share * 1_000)
    return Breakage(service, step, since, True, hit, 1_000, hit, 1_000)


@given(st.integers(0, 40), st.integers(0, 4_000), st.integers(3, 1_000))
def test_what_is_broken_for_a_few_customers_is_the_consoles_matter(hit: int, others: int, broken: int) -> None:
    """However many promises they were: one phone that is off may be sent a great many messages."""
    one = Breakage("messages", "deliver", NOW - 30, True, broken, broken, hit, hit + others)
    state = states(told(seen(one)))["messages"][0]
    if hit < 10 or 99 * hit < others:
        assert state == "operational"
    else:
        assert state == ("major_outage" if hit >= others else "partial_outage")


def statement(**facts: Any) -> Statement:
    said = {language: f"{language}: it fails" for language in LANGUAGES}
    known: dict[str, Any] = {
        "id": "1", "service": "television", "steps": ("sign-in",), "severity": "major_outage", "stage": "investigating",
        "state": "confirmed",
        "title": said, "since": NOW - 60, "updated_at": NOW - 20, "resolved_at": None, "expected_solution_at": None,
        "next_update_at": None, "solution_overdue": False, "next_update_overdue": False, "updates": (),
    }  # fmt: skip
    return Statement(**{**known, **facts})


def told(overview: Overview, *statements: Statement, roles: tuple[RoleState, ...] = HEALTHY) -> dict[str, Any]:
    return summary(overview, roles, operator="Nordavind", url=URL, zone=UTC, told=statements)


def states(document: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {part["id"]: (part["state"], part["since"]) for part in document["components"]}


def test_the_shape_is_the_one_that_statuspage_made_common() -> None:
    updates = tuple(Update(at, "investigating", {"nb": f"nb {at}", "sv": "sv", "en": f"en {at}"}) for at in (NOW, 7.0))
    open_one = statement(expected_solution_at=NOW + 900, next_update_at=NOW + 600, updates=updates)
    document = told(seen(), open_one)
    assert document["page"] == {
        "id": "prikkfri", "name": "Nordavind", "url": URL, "time_zone": "UTC",
        "updated_at": "2023-11-14T22:13:20.000Z",
    }  # fmt: skip
    assert document["status"] == {
        "indicator": "critical", "description": "Major Service Outage", "state": "major_outage",
    }  # fmt: skip
    assert document["scheduled_maintenances"] == []
    assert [(part["id"], part["name"], part["position"]) for part in document["components"]] == [
        ("sign-in", "Signing in", 1), ("watch", "Watching", 2), ("messages", "Text messages", 3),
    ]  # fmt: skip
    assert document["components"][0] == {
        "id": "sign-in", "name": "Signing in", "status": "major_outage", "state": "major_outage",
        "since": iso(NOW - 60), "description": "Major disruption", "position": 1, "page_id": "prikkfri",
        "group_id": None, "group": False, "showcase": True, "only_show_if_degraded": False, "start_date": None,
        "created_at": iso(NOW), "updated_at": iso(NOW),
    }  # fmt: skip
    assert document["components"][1]["description"] is None
    (incident,) = document["incidents"]
    first, second = incident.pop("incident_updates")
    assert incident == {
        "id": "1", "name": "en: it fails", "names": open_one.title, "status": "investigating", "state": "confirmed",
        "impact": "critical",
        "started_at": iso(NOW - 60), "created_at": iso(NOW - 60), "updated_at": iso(NOW - 20), "resolved_at": None,
        "expected_at": iso(NOW + 900), "next_update_at": iso(NOW + 600), "page_id": "prikkfri", "shortlink": "",
    }  # fmt: skip
    assert first == {
        "id": "1-1700000000-investigating", "incident_id": "1", "status": "investigating", "body": f"en {NOW}",
        "bodies": updates[0].body, "created_at": iso(NOW), "updated_at": iso(NOW),
    }  # fmt: skip
    assert second["created_at"] == "1970-01-01T00:00:07.000Z"


def test_what_is_over_is_no_outage_and_promises_nothing_more() -> None:
    over = statement(
        stage="resolved", severity="partial_outage", resolved_at=NOW - 10, expected_solution_at=NOW - 5,
        next_update_at=NOW - 7,
    )  # fmt: skip
    document = told(seen(), over)
    assert document["status"]["indicator"] == "none"
    assert states(document)["sign-in"] == ("operational", None)
    (incident,) = document["incidents"]
    assert (incident["status"], incident["impact"], incident["resolved_at"]) == ("resolved", "major", iso(NOW - 10))
    # It was mended before the time that was promised: after that time nobody is told that this did not hold.
    assert (incident["expected_at"], incident["next_update_at"]) == (None, None)


@pytest.mark.parametrize(
    ("share", "state", "indicator"),
    [(0.05, "partial_outage", "major"), (0.499, "partial_outage", "major"), (0.5, "major_outage", "critical")],
)
def test_a_breakage_is_major_from_half_of_the_promises_on(share: float, state: str, indicator: str) -> None:
    document = told(seen(breakage("start-playback", share)))
    assert states(document) == {
        "sign-in": ("operational", None), "watch": (state, iso(NOW - 30)), "messages": ("operational", None),
    }  # fmt: skip
    assert document["status"]["indicator"] == indicator


def test_a_component_is_said_to_fail_since_its_own_fault_began() -> None:
    watching = statement(id="2", steps=("watch",), since=NOW - 100)
    document = told(seen(), statement(since=NOW - 7_200), watching)
    assert states(document)["watch"] == ("major_outage", iso(NOW - 100))
    assert states(document)["sign-in"] == ("major_outage", iso(NOW - 7_200))


def test_a_small_incident_does_not_hide_that_most_fails_now() -> None:
    document = told(seen(breakage("enter", 0.9)), statement(severity="partial_outage"))
    assert states(document)["sign-in"] == ("major_outage", iso(NOW - 60))


def test_every_step_belongs_to_its_component() -> None:
    for name, (service, steps, _) in STANDS_ON.items():
        for step in steps:
            document = told(seen(breakage(step, 0.9, service=service)))
            assert [each for each, (state, _) in states(document).items() if state != "operational"] == [name], step


def test_what_belongs_to_no_component_is_not_all_well_either() -> None:
    strange = statement(service="receipts", steps=())
    assert told(seen(), strange)["status"]["indicator"] == "critical"
    assert told(seen(), statement(steps=("record",), severity="partial_outage"))["status"]["indicator"] == "major"
    assert told(seen(breakage("receipt", 0.1, service="receipts")))["status"]["indicator"] == "major"
    assert told(seen(), replace(strange, stage="resolved"))["status"]["indicator"] == "none"


def test_since_when_it_is_not_known_is_said_when_that_is_known() -> None:
    roles = tuple(replace(role, answers=None, since=0.0) if role.role == "sms" else role for role in HEALTHY)
    document = told(seen(blind=(("playout", NOW - 40), ("door", NOW - 50), ("signin", NOW - 45))), roles=roles)
    assert states(document) == {
        "sign-in": ("unknown", iso(NOW - 50)), "watch": ("unknown", iso(NOW - 40)), "messages": ("unknown", None),
    }  # fmt: skip
    assert {part["status"] for part in document["components"]} == {"degraded_performance"}
    assert document["components"][0]["description"] == "Not known right now"
    assert document["status"] == {
        "indicator": "minor", "description": "Not Everything Is Known Right Now", "state": "unknown",
    }  # fmt: skip


any_step = st.sampled_from([("television", step) for step in ("enter", "sign-in", "watch", "switch-channel")])
any_step |= st.sampled_from([("messages", step) for step in ("submit", "deliver", "receipt")])
breakages = st.builds(
    lambda place, share, ago: breakage(place[1], share, since=NOW - ago, service=place[0]),
    any_step,
    st.sampled_from([0.05, 0.3, 0.5, 1.0]),
    st.integers(1, 800),
)
statements = st.builds(
    lambda place, whole, severity, stage, ago: statement(
        service=place[0], steps=() if whole else (place[1],), severity=severity, stage=stage, since=NOW - ago
    ),
    any_step,
    st.booleans(),
    st.sampled_from(["partial_outage", "major_outage"]),
    st.sampled_from(["investigating", "identified", "monitoring", "resolved"]),
    st.integers(1, 800),
)
role_states = st.fixed_dictionaries({role: st.sampled_from([True, True, True, None, False]) for role in ROLES})


@given(
    st.lists(breakages, max_size=2), st.lists(statements, max_size=2), role_states,
    st.sets(st.sampled_from(["signin", "door", "playout", "sms"]), max_size=1),
)  # fmt: skip
def test_the_worst_that_is_known_of_a_component_is_said_and_well_only_what_is_seen_to_be(
    broken: list[Breakage], incidents: list[Statement], answers: dict[str, bool | None], blind: set[str]
) -> None:
    roles = tuple(RoleState(role, answer, NOW - 20) for role, answer in answers.items())
    document = told(seen(*broken, blind=tuple((stream, NOW - 30) for stream in blind)), *incidents, roles=roles)
    worst = []
    for name, (service, steps, served_by) in STANDS_ON.items():
        faults = [
            ("major_outage" if b.recent_broken >= 500 else "partial_outage", b.since)
            for b in broken
            if b.service == service and b.step in steps
        ]
        faults += [
            (each.severity, each.since)
            for each in incidents
            if each.stage != "resolved" and each.service == service and (not each.steps or set(each.steps) & steps)
        ]
        unseen = [NOW - 30 for stream in blind & served_by]
        unseen += [NOW - 20 for role in served_by if answers[role] is not True]
        if faults:
            expected = (max((state for state, _ in faults), key=ORDER.index), iso(min(since for _, since in faults)))
        else:
            expected = ("unknown", iso(min(unseen))) if unseen else ("operational", None)
        assert states(document)[name] == expected
        worst.append(expected[0])
    assert document["status"]["state"] == max(worst, key=ORDER.index)
    indicators = ("none", "minor", "major", "critical")
    assert document["status"]["indicator"] == indicators[max(map(ORDER.index, worst))]


def test_what_is_not_confirmed_for_a_minute_is_not_known_any_more() -> None:
    document = told(seen(), statement(severity="partial_outage"))
    assert as_known(document, NOW + MINUTE) == document
    later = as_known(document, NOW + MINUTE + 0.001)
    assert later["status"] == {
        "indicator": "major",
        "description": "Not Known Since 2023-11-14T22:13:20.000Z; Last Known: Partial System Outage",
        "state": "unknown",
        "last_known": document["status"],
    }
    assert states(later) == {
        "sign-in": ("partial_outage", iso(NOW - 60)), "watch": ("unknown", iso(NOW)), "messages": ("unknown", iso(NOW)),
    }  # fmt: skip
    assert later["components"][0] == document["components"][0]
    assert {part["status"] for part in later["components"][1:]} == {"degraded_performance"}
    assert {part["description"] for part in later["components"][1:]} == {"Not known right now"}
    assert later["incidents"] == document["incidents"] and later["page"] == document["page"]


def test_before_anything_was_told_nothing_is_known() -> None:
    document = unknown_summary("Nordavind", URL, UTC)
    assert document["status"] == {"indicator": "minor", "description": "Not Known Yet", "state": "unknown"}
    assert document["page"] == {
        "id": "prikkfri", "name": "Nordavind", "url": URL, "time_zone": "UTC",
        "updated_at": "1970-01-01T00:00:00.000Z",
    }  # fmt: skip
    assert [document[part] for part in ("components", "incidents", "scheduled_maintenances")] == [[], [], []]


def test_a_moment_is_written_and_read_alike_and_needs_its_zone() -> None:
    assert iso(1_700_000_000.1234) == "2023-11-14T22:13:20.123Z"
    assert moment("2023-11-14T22:13:20.123Z") == moment("2023-11-14T23:13:20.123+01:00") == 1_700_000_000.123
    for wrong, says in (("2023-11-14T22:13:20", "says no zone"), ("yesterday", "yesterday"), ("", "isoformat")):
        with pytest.raises(ValueError, match=says):
            moment(wrong)


def test_every_time_of_the_document_is_of_the_zone_that_its_texts_are_in() -> None:
    """Programs and people read one clock: whoever shows a body beside its time shows one time."""
    oslo = ZoneInfo("Europe/Oslo")
    update = Update(NOW, "identified", {language: "kl. 23:28" for language in LANGUAGES})
    incident = statement(updates=(update,), expected_solution_at=NOW + 900, next_update_at=NOW + 600)
    ended = replace(incident, id="2", state="resolved", stage="resolved", resolved_at=NOW - 10)
    known = seen(breakage("sign-in", 0.7), blind=(("playout", NOW - 50),))
    document = summary(known, HEALTHY, operator="Nordavind", url=URL, zone=oslo, told=(incident, ended))
    for each in (document, as_known(document, NOW + 3_600), unknown_summary("Nordavind", URL, oslo)):
        assert each["page"]["time_zone"] == "Europe/Oslo"
        times = re.findall(r"\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d)", json.dumps(each))
        assert times and {time[-6:] for time in times} == {"+01:00"}
    assert document["incidents"][0]["expected_at"] == "2023-11-14T23:28:20.000+01:00"
