"""What incident response knows beside the outcomes of an incident: canaries, contacts, load, history, what is blind."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs
from response_house import FAULT_SECONDS, SIGN_IN, WELL_SECONDS, House, open_house, tried
from waiting import eventually

from prikkfri.assurance.answers import Load
from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import NOBODY_EXPOSED
from prikkfri.assurance.incidents import Fact, Incident, apply_fact, open_incident
from prikkfri.assurance.notices import notices
from prikkfri.assurance.overview import RoleState, overview
from prikkfri.assurance.publishing import summary
from prikkfri.assurance.recovery import Check
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response import store
from prikkfri.assurance.response.store import Contact
from prikkfri.assurance.response.timing import Timing
from prikkfri.assurance.segments import Segment
from prikkfri.clock import ManualClock
from prikkfri.journal import Outcome
from prikkfri.storage import Location

NORD = Segment.of({"service": "messages", "link": "nord"})
SYD = Segment.of({"service": "messages", "link": "syd"})


@pytest.fixture
async def house(location: Location, clock: ManualClock) -> AsyncIterator[House]:
    house = await open_house(location, clock)
    yield house
    await house.close()


def alarm(segment: Segment, at: float) -> Alarm:
    return Alarm("share", segment, at + 5, at, 0.005, 1.0, 40.0, 30.0, 25.0)


async def messages_fail(house: House, *segments: Segment) -> Incident:
    """An incident of messages, ten seconds old, in these places."""
    began = house.clock.now() - 10
    incident = replace(
        open_incident("m", alarm(segments[0], began), began), alarms=tuple(alarm(s, began) for s in segments)
    )
    incident = apply_fact(incident, Fact("evidence", began + 5))
    await house.database.write(lambda t: store.save_incident(t, incident))
    await house.start()
    return incident


def canary(at: float, link: str = "nord", *, trusted: bool = True) -> Outcome:
    return Outcome(
        time=at, service="messages", step="route", layer="link", verdict="kept" if trusted else "broken",
        reason="" if trusted else "misdelivery", dimensions={"link": link, "direction": "out"},
    )  # fmt: skip


def sent(at: float, promise: str, link: str = "nord") -> Outcome:
    return Outcome(
        time=at, service="messages", step="deliver", layer="link", verdict="asked", promise=promise,
        device="+4790000001", dimensions={"link": link, "direction": "out", "class": "code"},
    )  # fmt: skip


async def exposed(house: House) -> list[str] | None:
    known = await house.response.evaluations.known("m")
    assert known is not None
    sheet = {answer.number: answer.text for answer in await house.response.evaluations.answers(known)}
    assert ("Nobody" in sheet[6]) is (known.exposed is not None and known.exposed.messages == 0)
    pages = [page async for page in house.response.evaluations.exposures.messages(known.incident)]
    assert len(pages) == bool(known.exposed)
    return None if known.exposed is None else [each.message for page in pages for each in page]


async def test_that_nobody_is_exposed_only_canaries_that_flew_meanwhile_can_say(house: House) -> None:
    incident = await messages_fail(house, NORD)
    await house.outcomes(sent(incident.since + 1, "m1"))
    assert await exposed(house) is None
    # Those that flew before the incident, or another way, say nothing of it.
    await house.outcomes(canary(incident.since - 1), canary(incident.since + 1, "syd"))
    assert await exposed(house) is None
    await house.outcomes(canary(incident.since))
    assert await exposed(house) == []


async def test_of_an_incident_in_two_places_canaries_must_have_flown_in_both(house: House) -> None:
    incident = await messages_fail(house, NORD, SYD)
    await house.outcomes(canary(incident.since + 1))
    assert await exposed(house) is None
    await house.outcomes(canary(incident.since + 2, "syd"))
    assert await exposed(house) == []


async def test_exposed_is_what_went_that_way_from_the_first_canary_that_strayed(house: House) -> None:
    incident = await messages_fail(house, NORD)
    since = incident.since
    await house.outcomes(
        canary(since - house.timing.exposed_before_seconds - 1, trusted=False),  # another story
        sent(since - house.timing.exposed_before_seconds, "long before"),
        canary(since - 1_800, trusted=False),
        sent(since - 1_801, "before"),
        sent(since - 1_800, "first"),
        sent(since + 1, "second"),
        sent(since + 1, "over there", "syd"),
        canary(since + 2, trusted=False),
        canary(since + 3),
        sent(since + 3, "after"),
    )
    assert await exposed(house) == ["first", "second"]
    known = await house.response.evaluations.known("m")
    assert known is not None and known.notices
    assert known.notices == notices(known.incident, known.exposed, hit=None)
    await house.response.evaluations.look()
    known = await house.response.evaluations.known("m")
    assert known is not None and known.impact is not None
    assert known.notices == notices(known.incident, known.exposed, hit=len(known.impact.hits))


async def test_nothing_of_television_exposes_anybody(house: House) -> None:
    await house.fault()
    await house.start()
    known = await house.response.evaluations.known("i")
    assert known is not None and known.exposed == NOBODY_EXPOSED


async def ring(house: House, *times: float, service: str = "television") -> None:
    await house.response.register.add_contacts(
        [Contact(f"{service}-{at}-{n}", at, service, "", "telephone") for n, at in enumerate(times)]
    )


async def contacts(house: House) -> Check:
    """What the last look made of them."""
    await house.response.evaluations.look()
    known = await house.response.evaluations.known("i")
    assert known is not None and known.recovery is not None
    return next(check for check in known.recovery.checks if check.name == "contacts falling")


async def test_without_a_signal_of_contacts_the_proof_rests_on_the_rest(house: House) -> None:
    await house.fault()
    await house.start()
    await ring(house, house.began_at + 1, service="messages")
    await ring(house, house.began_at - 601)
    assert (await contacts(house)).met is None
    assert (await house.incident()).state == "resolved"


async def test_contacts_hold_an_incident_open_until_a_whole_minute_is_quiet(house: House) -> None:
    incident = await house.fault()
    minute = incident.since - 600  # minutes are counted from here on
    while minute + 60 <= house.clock.now():
        minute += 60
    house.clock.advance(minute + 60 - house.clock.now())
    await house.outcomes(*(tried(minute + n / 4, kept=True) for n in range(1_000)))
    await house.start()
    await ring(house, *(minute + 5 + n for n in range(20)))
    await ring(house, *(minute + 70 + n / 10 for n in range(100)), service="messages")
    # The minute that has just begun says nothing yet ...
    check = await contacts(house)
    assert (check.met, check.text) == (False, "20 contacts of late, 20 at the worst")
    house.clock.advance(59)
    assert not (await contacts(house)).met and (await house.incident()).state == "recovering"
    # ... when it is over, nobody rang in it.
    house.clock.advance(1)
    check = await contacts(house)
    assert (check.met, check.text) == (True, "0 contacts of late, 20 at the worst")
    assert (await house.incident()).state == "resolved"


async def test_a_minute_that_runs_counts_when_it_is_already_worse(house: House) -> None:
    incident = await house.fault()
    await house.start()
    minute = incident.since - 600 + (house.clock.now() - incident.since + 600) // 60 * 60
    await ring(house, minute - 30, *(minute + n / 10 for n in range(8)))
    check = await contacts(house)
    assert (check.met, check.text) == (False, "8 contacts of late, 8 at the worst")


@pytest.mark.parametrize("most", [1, 7, 2_000])
async def test_a_look_is_the_same_however_few_outcomes_are_read_at_once(house: House, most: int) -> None:
    house.timing = Timing(relearn_seconds=5.0, outcomes_at_once_max=most)
    began = house.began_at
    await house.fault(*(tried(began, f"c{n}", device=f"d{n}") for n in range(20)), tried(began + 1, "c0", device="d0"))
    await house.start()
    await house.response.evaluations.look()
    hits = await house.response.register.hits("i")
    assert sorted((hit.customer, hit.tries) for hit in hits) == sorted(
        [("c0", 2), *((f"c{n}", 1) for n in range(1, 20))]
    )
    known = await house.response.evaluations.known("i")
    assert known is not None and known.impact is not None and known.impact.asked == 20


async def test_the_answers_are_kept_for_whoever_does_not_ask_the_role(house: House) -> None:
    await house.fault(tried(house.began_at, "a"))
    await house.start()
    await house.response.evaluations.look()
    known = await house.response.evaluations.known("i")
    assert known is not None
    stored = await house.database.read(lambda q: store.answers(q, "i"))
    assert tuple(stored) == await house.response.evaluations.answers(known)
    assert [answer.number for answer in stored] == list(range(1, 12))


async def test_load_is_told_by_the_busiest_seconds_of_the_incident(house: House) -> None:
    house.around["capacity_per_second"] = lambda service, since, until: (40.0, 1.0)
    incident = await house.fault(
        # Two minutes before it a line may have filled; what came earlier, or after its end, was no part of it.
        *(entered(house.began_at - 121 - n / 100) for n in range(300)),
        *(entered(house.began_at - 119 + n / 100) for n in range(50)),
        *(entered(house.began_at + FAULT_SECONDS + 1 + n / 100) for n in range(300)),
    )
    await house.start()
    await house.response.evaluations.look()
    known = await house.response.evaluations.known("i")
    assert known is not None and known.load is not None
    assert known.load == Load("signin", 10.0, 40.0, 1.0)
    for later in ((7.0, 2.0), None):  # what the machines take under the fault, and after a restart, changes nothing
        house.around["capacity_per_second"] = lambda service, since, until, later=later: later
        await house.start()
        await house.response.evaluations.look()
        known = await house.response.evaluations.known("i")
        assert known is not None and known.load == Load("signin", 10.0, 40.0, 1.0)
    assert incident.open


async def test_of_messages_the_crowd_is_what_is_handed_in(house: House) -> None:
    house.around["capacity_per_second"] = lambda service, since, until: {"messages": (400.0, until)}.get(service)
    await messages_fail(house, NORD)
    await house.response.evaluations.look()
    known = await house.response.evaluations.known("m")
    assert known is not None and known.load is not None
    assert (known.load.layer, known.load.capacity_per_second) == ("sms-centre", 400.0)
    assert known.load.measured_at == known.incident.opened_at


def entered(at: float) -> Outcome:
    return tried(at, step="enter", layer="door", kept=True)


async def test_the_history_is_that_of_the_same_place(house: House) -> None:
    for number, (name, segment) in enumerate({"same": SIGN_IN, "elsewhere": NORD}.items()):
        at = house.began_at - 86_400 + number
        earlier = apply_fact(open_incident(name, alarm(segment, at), at), Fact("evidence", at))
        earlier = apply_fact(apply_fact(earlier, Fact("all-clear", at + 60, "Kari")), Fact("review", at + 90, "Kari"))
        await house.database.write(lambda t, earlier=earlier: store.save_incident(t, earlier))  # type: ignore[misc]
    await house.fault()
    response = await house.start()
    known = await response.evaluations.known("i")
    assert known is not None and known.history is not None
    assert [incident.id for incident in known.history] == ["same"]
    assert [incident.id for incident in await response.register.incidents()] == ["i", "elsewhere", "same"]
    assert [incident.id for incident in await response.register.incidents(most=1)] == ["i"]
    assert [incident.id for incident in response.register.open_incidents] == ["i"]


async def test_a_role_that_does_not_answer_confirms_what_was_suspected(house: House) -> None:
    began = house.clock.now() - 5
    suspected = replace(open_incident("i", alarm(SIGN_IN, began), began), hit=30, asked=40)
    await house.database.write(lambda t: store.save_incident(t, suspected))
    silent: set[str] = {"sms"}
    house.around["silent"] = lambda: frozenset(silent)
    response = await house.start()
    await response.watch.tick()
    assert (await house.incident()).state == "suspected" and house.changed == 0
    silent.add("signin")
    await response.watch.tick()
    assert (await house.incident()).state == "confirmed" and house.changed == 1
    (told,) = await response.announcements.told()
    assert told.id == "i"


def channel_opened(at: float) -> Outcome:
    return Outcome(
        time=at, service="television", step="open-channel", layer="streams", verdict="kept",
        reason="sign-in does not answer", dimensions={"channel": "sport", "by": "rule:fallback"},
    )  # fmt: skip


async def test_an_alarm_joins_the_incident_of_its_service_and_else_opens_another(house: House) -> None:
    await messages_fail(house, NORD)
    response = house.response
    response.watch.arrived("playout", [channel_opened(house.clock.now())])
    await response.watch.tick()
    (new,) = [incident for incident in await response.register.incidents() if incident.id != "m"]
    assert (new.service, new.state, new.since) == ("television", "suspected", house.clock.now())
    assert [entry.kind for entry in (await house.incident("m")).timeline] == ["alarm", "evidence"]
    assert [incident.id for incident in response.register.open_incidents] == [new.id, "m"]
    house.clock.advance(1)
    response.watch.arrived("playout", [channel_opened(house.clock.now())])
    await response.watch.tick()
    await response.watch.tick()
    assert len(await response.register.incidents()) == 2
    assert [entry.kind for entry in (await house.incident(new.id)).timeline] == ["alarm", "alarm"]


def picture(at: float, gone: str = "") -> Outcome:
    return Outcome(
        time=at, service="television", step="picture", layer="streams", verdict="broken" if gone else "kept",
        reason=gone, dimensions={"channel": "sport"},
    )  # fmt: skip


async def test_a_picture_that_is_gone_is_told_of_watching_alone_until_it_is_back(house: House) -> None:
    response = await house.start()

    async def passes(seconds: float, *told: Outcome) -> dict[str, str]:
        """What the public reads of each component after this."""
        await house.outcomes(*told)
        response.watch.arrived("playout", told)
        house.clock.advance(seconds)
        await response.watch.tick()
        await response.evaluations.look()
        now = house.clock.now()
        document = summary(
            overview([], [], [], now),
            [RoleState("playout", True)],
            operator="X",
            url="u",
            zone=ZoneInfo("Europe/Oslo"),
            told=await response.announcements.told(),
        )
        return {component["id"]: component["state"] for component in document["components"]}

    assert (await passes(1, picture(house.clock.now())))["watch"] == "operational"
    assert (await passes(3, picture(house.clock.now(), "slate")))["watch"] == "operational"
    shown = await passes(10)
    assert shown["watch"] == "partial_outage"
    assert {state for component, state in shown.items() if component != "watch"} == {"operational"}
    assert (await passes(600))["watch"] == "partial_outage"
    await passes(3, picture(house.clock.now()))
    assert (await passes(30))["watch"] == "operational"
    (incident,) = await response.register.incidents()
    assert (incident.state, incident.resolved_by) == ("resolved", "data")


@pytest.mark.parametrize(("after_seconds", "reopened"), [(89, True), (90, False)])
async def test_an_alarm_soon_after_the_end_reopens_and_a_later_one_is_another_incident(
    house: House, after_seconds: int, reopened: bool
) -> None:
    await house.fault()
    response = await house.start()
    await response.evaluations.look()
    assert (await house.incident()).state == "resolved"
    house.clock.advance(after_seconds)  # three times as long as all had to be well
    response.watch.arrived("playout", [channel_opened(house.clock.now())])
    await response.watch.tick()
    assert len(await response.register.incidents()) == (1 if reopened else 2)
    first = await house.incident()
    assert (first.state, first.reopened) == (("confirmed", 1) if reopened else ("resolved", 0))


async def test_what_fails_in_another_service_is_no_part_of_it(house: House) -> None:
    began = house.began_at
    others = {"service": "music", "step": "play", "layer": "player"}
    await house.fault(
        *(tried(began - 30 + n / 2, kept=True, **others) for n in range(60)),
        *(tried(began + n, f"m{n}", device=f"d{n}", **others) for n in range(60)),
        *(tried(began + n, f"c{n}") for n in range(60)),
        facts=[Fact("evidence", began + 20)],
    )
    response = await house.start()
    await response.evaluations.look()
    incident = await house.incident()
    assert {(each.get("service"), each.get("step")) for each in incident.segments} == {("television", "sign-in")}
    assert {hit.service for hit in await response.register.hits("i")} == {"television"}


async def restarted(house: House) -> None:
    """A new run, which can read nothing at first."""
    blind = {"signin"}
    house.around["blind"] = lambda: frozenset(blind)
    response = await house.start()
    for _ in range(3):
        house.clock.advance(2)
        await response.watch.tick()
        blind.clear()


async def forget_watch(house: House) -> None:
    """As before anything was kept of the series."""
    await house.database.write(lambda t: t.execute("DELETE FROM watch"))


@pytest.mark.parametrize("kept", [True, False])
async def test_after_a_restart_what_no_incident_knows_is_raised_and_what_one_knows_is_not_raised_again(
    house: House, kept: bool
) -> None:
    house.timing = Timing()
    now = house.clock.now()
    refused = [tried(now - 60 + n / 4, f"s{n}") for n in range(200)]
    await house.outcomes(*(tried(now - 900 + n, kept=True) for n in range(840)), *refused)
    await restarted(house)
    (incident,) = await house.response.register.incidents()
    assert incident.alarms[0].segment == SIGN_IN
    if not kept:
        await forget_watch(house)
    await restarted(house)
    assert await house.response.register.incidents() == [incident]


@pytest.mark.parametrize("kept", [True, False])
async def test_what_ran_out_before_a_restart_is_raised_once_although_nothing_can_be_read_at_first(
    house: House, kept: bool
) -> None:
    house.timing = Timing()
    now = house.clock.now()
    asked = [
        tried(now - 300 + n, f"s{n}", layer="door", promise=f"p{n}", verdict="asked", reason="") for n in range(200)
    ]
    later = [tried(now - 100 + n, kept=True) for n in range(99)]
    await house.outcomes(*(tried(now - 900 + n, kept=True) for n in range(600)), *asked, *later)
    await restarted(house)
    (incident,) = await house.response.register.incidents()
    if not kept:
        await forget_watch(house)
    await restarted(house)
    assert await house.response.register.incidents() == [incident]


async def test_what_arrives_while_an_earlier_run_is_read_is_not_lost_and_what_came_before_is_not_doubled(
    house: House,
) -> None:
    house.timing = replace(house.timing, outcomes_at_once_max=1)  # so that reading takes a while
    await house.outcomes(*(tried(house.clock.now() - 4 + n, kept=True) for n in range(4)))
    response = await house.start()
    response.watch.arrived("playout", [channel_opened(house.clock.now())])
    await response.recover()
    await response.watch.tick()
    assert await response.register.incidents() == []
    recovering = asyncio.create_task(response.recover())
    await asyncio.sleep(0)
    response.watch.arrived("playout", [channel_opened(house.clock.now())])
    await recovering
    await response.watch.tick()
    assert len(await response.register.incidents()) == 1


@pytest.mark.parametrize("blind", [frozenset(), frozenset({"signin"})])
async def test_what_is_not_answered_breaks_a_promise_unless_nothing_can_be_seen(
    house: House, blind: frozenset[str]
) -> None:
    house.timing = Timing()
    now = house.clock.now()
    await house.outcomes(*(tried(now - 300 + n / 2, kept=True) for n in range(600)))
    house.around["blind"] = lambda: blind
    response = await house.start()
    asked = [
        tried(now + n / 10, verdict="asked", reason="", layer="door", promise=f"p{n}", device=f"d{n}")
        for n in range(100)
    ]
    response.watch.arrived("door", asked)
    for _ in range(8):
        house.clock.advance(10)
        response.watch.arrived("signin", [tried(house.clock.now() - 5 + n / 2, kept=True) for n in range(10)])
        await response.watch.tick()
    assert [incident.alarms[0].kind for incident in await response.register.incidents()] == ([] if blind else ["share"])


@pytest.mark.parametrize(
    ("step", "layer", "after_seconds", "listed"),
    [("sign-in", "door", 10, 0), ("sign-in", "door", 11, 1), ("enter", "door", 20, 0), ("enter", "door", 21, 1)],
)
async def test_grace_times_are_the_operators_to_set(
    house: House, step: str, layer: str, after_seconds: int, listed: int
) -> None:
    house.settings = replace(house.settings, sign_in_grace_seconds=10.0, line_grace_seconds=20.0)
    asked = tried(house.began_at, verdict="asked", reason="", step=step, layer=layer, promise="p", device="d")
    await house.fault(asked, tried(house.began_at + after_seconds, "a", kept=True, promise="p", device="d"))
    response = await house.start()
    await response.evaluations.look()
    assert len(await response.register.hits("i")) == listed


@pytest.mark.parametrize(("after_seconds", "listed"), [(5, 0), (6, 1)])
async def test_the_grace_time_of_a_message_is_the_operators_to_set(
    house: House, after_seconds: int, listed: int
) -> None:
    house.settings = replace(house.settings, delivery_grace_seconds=5.0)
    incident = await messages_fail(house, NORD)
    asked = sent(incident.since + 1, "m1")
    await house.outcomes(asked, structs.replace(asked, time=asked.time + after_seconds, verdict="kept"))
    await house.response.evaluations.look()
    assert len(await house.response.register.hits("m")) == listed


async def test_a_list_that_may_lack_somebody_says_so(house: House) -> None:
    house.around["incomplete"] = lambda: "7 outcomes were dropped"
    await house.fault(tried(house.began_at, "a"))
    response = await house.start()
    await response.evaluations.look()
    listed, known = await response.register.listed("i"), await response.evaluations.known("i")
    assert listed is not None and listed.incomplete == "7 outcomes were dropped"
    assert known is not None and known.incomplete == "7 outcomes were dropped"


async def test_a_fault_that_begins_is_an_incident_when_what_has_arrived_is_settled(house: House) -> None:
    house.timing = Timing()
    now = house.clock.now()
    await house.outcomes(*(tried(now - 900 + n, kept=True) for n in range(900)))
    response = await house.start()
    refused = [tried(now + n / 20, f"s{n}") for n in range(100)]
    response.watch.arrived("signin", refused)
    await response.watch.tick()
    assert await response.register.incidents() == []
    house.clock.advance(5 + house.timing.settling_seconds)
    await response.watch.tick()
    (incident,) = await response.register.incidents()
    assert (incident.service, incident.alarms[0].kind) == ("television", "share")
    assert now - 1 <= incident.since <= now + 1
    assert incident.id.startswith("20231114-23") and house.changed == 1


async def test_a_database_that_fails_for_a_while_ends_no_watch(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Its tables are there again after a moment: what was raised and said meanwhile is not lost."""
    house.timing = replace(house.timing, tick_seconds=0.001, look_seconds=0.001)
    await house.fault(tried(house.began_at, "a"))
    credit = ServiceCredit("i:b", "i", "b", 1_000, "NOK", "kick-off", "")
    await house.database.write(lambda t: store.give_credits(t, [credit], given_by="Kari", now=1.0))
    response = await house.start()
    assert await response.announcements.tell("i", by="Kari") == 1
    tables = ("incident", "service_credit")
    running = asyncio.create_task(response.run())
    await eventually(lambda: said(house, "told"))
    for table in tables:
        await house.database.write(lambda t, table=table: t.execute(f"ALTER TABLE {table} RENAME TO no_{table}"))  # type: ignore[misc]
    caplog.clear()
    response.watch.arrived("playout", [channel_opened(house.clock.now())])
    await eventually(lambda: caplog.text.count("incident response waits for its database") > 5)
    for table in tables:
        await house.database.write(lambda t, table=table: t.execute(f"ALTER TABLE no_{table} RENAME TO {table}"))  # type: ignore[misc]
    await eventually(lambda: response.register.open_incidents)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def said(house: House, kind: str) -> bool:
    return bool(house.entries(await house.incident(), kind))


async def test_what_a_person_says_during_a_look_goes_before_it(house: House) -> None:
    await house.fault(facts=[Fact("evidence", house.began_at + 20)])
    response = await house.start()
    looking: asyncio.Task[Any] = asyncio.create_task(response.evaluations.look())
    await asyncio.sleep(0)  # the look has begun, on the incident as it was
    await response.actions.act("i", Fact("dismiss", house.clock.now(), "Kari", "a test of ours"))
    await looking
    assert (await house.incident()).dismissed
    await response.evaluations.look()
    assert (await house.incident()).dismissed


async def test_the_public_is_told_soon_of_a_promise_and_of_nothing_that_has_not_changed(house: House) -> None:
    await house.fault()
    response = await house.start()
    await response.actions.act("i", Fact("estimate", house.clock.now(), "Kari", solution_at=house.clock.now() + 600))
    assert house.changed == 1
    await response.watch.tick()
    assert house.changed == 1
    await response.evaluations.look()
    assert house.changed == 2 and response.register.open_incidents == []
    await response.evaluations.look()
    assert house.changed == 2


async def test_two_signs_at_once_are_both_taken(house: House) -> None:
    response = await house.start()
    route = Outcome(
        time=house.clock.now(), service="messages", step="stop-route", layer="sms-centre", verdict="kept",
        reason="misdelivery", dimensions={"link": "nord", "by": "rule:canaries"},
    )  # fmt: skip
    response.watch.arrived("playout", [channel_opened(house.clock.now())])
    response.watch.arrived("sms", [route])
    await response.watch.tick()
    assert {incident.service for incident in await response.register.incidents()} == {"television", "messages"}


@pytest.mark.parametrize(
    ("ended_before", "confirmed", "state"),
    [(200.0, True, "confirmed"), (200.0, False, "resolved"), (None, True, "resolved")],
)
async def test_after_a_restart_it_is_still_known_that_what_failed_in_the_fault_before_was_not_usual(
    house: House, ended_before: float | None, *, confirmed: bool, state: str
) -> None:
    """A third of all fails, five minutes before an incident as well as since: the one before is long over by now."""
    began, now = house.began_at, house.clock.now()
    if ended_before is not None:
        earlier = open_incident("before", alarm(SIGN_IN, began - 300), began - 295)
        facts = [Fact("evidence", began - 290)] if confirmed else []
        for fact in (*facts, Fact("all-clear", began - 180, "Kari")):
            earlier = apply_fact(earlier, fact)
        earlier = replace(earlier, since=began - 300, ended_at=began - ended_before)
        await house.database.write(lambda t: store.save_incident(t, earlier))
    third = [tried(at + n, kept=n % 3 > 0) for at in (began - 300.0, now - 88.0) for n in range(87)]
    house.timing = replace(house.timing, after_seconds=60.0)
    await house.fault(*third)
    await house.start()
    await house.response.evaluations.look()
    assert (await house.incident()).state == state


async def test_a_resolved_incident_is_looked_at_for_a_while_and_then_left(house: House) -> None:
    await house.fault(tried(house.began_at, "a"))
    response = await house.start()
    await response.evaluations.look()
    assert (await house.incident()).state == "resolved"
    assert (house.clock.now() - WELL_SECONDS) > house.began_at
    house.clock.advance(house.timing.after_seconds - 1)
    await house.outcomes(tried(house.began_at, "late"))
    await response.evaluations.look()
    assert len(await response.register.hits("i")) == 2
    house.clock.advance(1)
    looked_at = await house.incident()
    await house.outcomes(tried(house.clock.now() - 5, "now"))
    await response.evaluations.look()
    assert len(await response.register.hits("i")) == 2 and await house.incident() == looked_at
