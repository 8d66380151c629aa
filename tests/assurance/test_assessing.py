"""What the roles tell of what was done about an incident."""

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.incidents import happened, opened
from prikkfri.assurance.response.assessing import cells, done, settled
from prikkfri.assurance.segments import Segment
from prikkfri.journal import Outcome

NORD = Segment.of({"service": "messages", "step": "route", "layer": "link", "link": "nord"})
INCIDENT = opened("i", Alarm("share", NORD, 1_002.0, 1_000.0, 0.0, 1.0, 5.0, 30.0, 25.0), 1_002.0)


def switch(time: float, step: str = "stop-route", link: str = "nord", by: str = "rule:canaries") -> Outcome:
    dimensions = {"link": link, "partner": link.title(), "direction": "out", "by": by}
    return Outcome(
        time=time, service="messages", step=step, layer="sms-centre", verdict="kept", reason="misdelivery",
        dimensions=dimensions,
    )  # fmt: skip


def test_what_was_done_on_the_way_stands_in_the_timeline_once() -> None:
    told = [switch(1_001.0), switch(1_050.0, "open-route", by="Kari")]
    facts = done(told, INCIDENT)
    assert [(fact.kind, fact.at, fact.who, fact.text) for fact in facts] == [
        ("mitigate", 1_001.0, "rule:canaries", "stopped the route over nord (Nord): misdelivery"),
        ("act", 1_050.0, "Kari", "opened the route over nord (Nord)"),
    ]
    incident = INCIDENT
    for fact in facts:
        incident = happened(incident, fact)
    assert incident.state == "mitigated"
    assert done(told, incident) == []


def test_what_was_done_elsewhere_or_before_is_no_part_of_it() -> None:
    assert done([switch(990.0), switch(1_001.0, link="syd"), switch(1_001.0, "deliver")], INCIDENT) == []


def test_a_channel_that_was_opened_helps_those_who_cannot_sign_in() -> None:
    sign_in = Segment.of({"service": "television", "step": "sign-in", "layer": "signin"})
    incident = opened("i", Alarm("plunge", sign_in, 1_010.0, 1_000.0, 5.0, 0.0, 50.0, 30.0, 25.0), 1_010.0)
    acts = [channel(1_003.0, "open-channel", "rule:fallback", "sign-in does not answer"), channel(1_200.0, by="Kari")]
    assert [(fact.kind, fact.who, fact.text) for fact in done(acts, incident)] == [
        ("mitigate", "rule:fallback", "opened the channel sport to everybody: sign-in does not answer"),
        ("act", "Kari", "closed the channel sport again"),
    ]
    assert cells(settled(acts, now=2_000.0), since=0.0, until=2_000.0) == []  # no promise to anybody


def channel(time: float, step: str = "close-channel", by: str = "", reason: str = "") -> Outcome:
    return Outcome(
        time=time, service="television", step=step, layer="streams", verdict="kept", reason=reason,
        dimensions={"channel": "sport", "by": by},
    )  # fmt: skip
