"""Messages that arrive, and late, through incident response and a real database: a suspicion that lists nobody."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from surroundings import surroundings

from prikkfri.assurance import answers
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.tally import EXPECTATIONS
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Location, open_database

OSLO = ZoneInfo("Europe/Oslo")
EVERY_SECONDS = 5.0
AT_ONCE = 10
LATE_SECONDS = EXPECTATIONS["messages", "deliver"].slow_seconds + EVERY_SECONDS


def message(at: float, verdict: str, promise: str, reason: str = "") -> Outcome:
    return Outcome(
        time=at, service="messages", step="deliver", layer="link", verdict=verdict, promise=promise, reason=reason,  # type: ignore[arg-type]
        customer=f"s-{promise}", dimensions={"partner": "Telia"},
    )  # fmt: skip


async def test_what_is_slow_is_a_suspicion_in_its_place_and_lists_nobody(
    location: Location, clock: ManualClock
) -> None:
    database = await open_database(location, "assurance")
    response = Response(
        database, settings=Settings(hold_seconds=30.0), surroundings=surroundings(), clock=clock, zone=OSLO
    )
    await response.recover()
    began, taken = clock.now(), 0
    told: list[Outcome] = []
    for turn in range(90):
        at, took = began + turn * EVERY_SECONDS, 2.0 if turn < 50 else LATE_SECONDS
        for number in range(AT_ONCE):
            told.append(message(at, "asked", f"{turn}-{number}"))
            broken = number == 0 and turn % 20 == 0
            told.append(message(at + took, "broken" if broken else "kept", f"{turn}-{number}", "phone-off" * broken))
    told.sort(key=lambda outcome: outcome.time)
    for _ in range(90):
        clock.advance(EVERY_SECONDS)
        now = clock.now()
        arrived = [each for each in told[taken:] if each.time < now]
        page = Page("i", taken + 1, taken + len(arrived), arrived, taken + len(arrived), 0, 0)
        await database.write(lambda t, page=page: outcome_store.add_outcomes(t, "sms", page, clock.now()))  # type: ignore[misc]
        response.watch.arrived("sms", arrived)
        taken += len(arrived)
        await response.watch.tick()
    await response.evaluations.look()
    (found,) = await response.register.incidents()
    slow = [alarm for alarm in found.alarms if alarm.kind == "slow"]
    assert {alarm.segment.get("partner") for alarm in slow} == {"", "Telia"}
    assert {alarm.kind for alarm in found.alarms} <= {"slow", "plunge"} and found.state == "suspected"
    assert await response.announcements.told() == ()
    alone = replace(found, alarms=tuple(slow))
    assert answers.headline(answers.IncidentFacts(incident=alone), OSLO).startswith("Delivery of messages may be slow")
    await response.register.save(alone)
    await response.evaluations.look()
    assert (await response.register.hits(found.id), (await response.register.incidents())[0].hit) == ([], 0)
    await database.close()
