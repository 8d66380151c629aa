"""Incident response over a real database: from outcomes as they come in to what is decided and given."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from surroundings import surroundings

from prikkfri.assurance.impact import Hit, Impact, ListChange, Scope
from prikkfri.assurance.incidents import Fact, Incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.response import store as response_store
from prikkfri.assurance.response.service import Response
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance as Settings
from prikkfri.config import Remedy, Tier
from prikkfri.journal import Outcome, Page
from prikkfri.storage import Database, Location, open_database

REMEDY = Remedy(name="kick-off", service="television", tiers=(Tier(from_minutes=0.0, amount=4_900),))
SETTINGS = Settings(
    sign_in_grace_seconds=10.0, line_grace_seconds=10.0, warm_up_seconds=8.0, hold_seconds=6.0, remedies=(REMEDY,)
)


@dataclass
class Evening:
    response: Response
    database: Database
    clock: ManualClock
    taken: int = 0
    customers: int = 0
    changed: list[None] = field(default_factory=list)

    async def arrive(self, *outcomes: Outcome) -> None:
        page = Page("i", self.taken + 1, self.taken + len(outcomes), list(outcomes), self.taken + len(outcomes), 0, 0)
        self.taken += len(outcomes)
        now = self.clock.now()
        await self.database.write(lambda t: outcome_store.add_outcomes(t, "signin", page, now))
        self.response.watch.arrived("signin", outcomes)

    async def seconds(self, count: int, *, answered: bool = True, each: int = 3) -> None:
        """So many seconds in which people come to sign in, and are answered or not."""
        for _ in range(count):
            outcomes = []
            for number in range(each):
                self.customers += 1
                who, at = f"s-{self.customers}", self.clock.now() + number / each
                asked = {"service": "television", "step": "sign-in", "device": f"d-{who}", "promise": f"p-{who}"}
                outcomes.append(Outcome(time=at, layer="door", verdict="asked", **asked))  # type: ignore[arg-type]
                if answered:
                    kept = {**asked, "customer": who}
                    outcomes.append(Outcome(time=at, layer="signin", verdict="kept", **kept))  # type: ignore[arg-type]
            await self.arrive(*outcomes)
            self.clock.advance(1)
            await self.response.watch.tick()
            await self.response.evaluations.look()

    async def incident(self) -> Incident:
        (found,) = await self.response.register.incidents()
        return found


@pytest.fixture
async def evening(location: Location, clock: ManualClock) -> AsyncIterator[Evening]:
    database = await open_database(location, "assurance")

    async def products(customers: Sequence[str], at: float) -> Mapping[str, str]:
        return dict.fromkeys(customers, "sport")

    async def tell(*_: Any) -> str:
        return ""

    zone = ZoneInfo("Europe/Oslo")
    response = Response(
        database,
        settings=SETTINGS,
        surroundings=surroundings(capacity_per_second=lambda *at: (40.0, clock.now()), products=products),
        clock=clock,
        zone=zone,
    )
    yield Evening(response, database, clock)
    await database.close()


def opened_by_rule(at: float) -> Outcome:
    return Outcome(
        time=at, service="television", step="open-channel", layer="streams", verdict="kept",
        reason="sign-in does not answer", dimensions={"channel": "sport", "by": "rule:fallback"},
    )  # fmt: skip


async def test_a_fault_is_told_by_its_beginning_and_what_the_rule_did_helps(evening: Evening) -> None:
    await evening.seconds(20)
    fault = evening.clock.now()
    await evening.seconds(4, answered=False)
    await evening.arrive(opened_by_rule(evening.clock.now() - 0.5))
    await evening.seconds(3, answered=False)
    suspicion = await evening.incident()
    assert suspicion.state == "suspected" and await evening.response.announcements.told() == ()
    await evening.seconds(20, answered=False)
    incident = await evening.incident()
    assert incident.state == "mitigated"
    assert incident.since == fault
    assert [entry.who for entry in incident.timeline if entry.kind == "mitigate"] == ["rule:fallback"]
    (told,) = await evening.response.announcements.told()
    assert (told.title["en"], told.severity) == ("Major problems with signing in", "major_outage")
    await evening.seconds(40)
    incident = await evening.incident()
    assert incident.state == "resolved"
    given = await evening.response.register.credits(incident.id)
    hits = await evening.response.register.hits(incident.id)
    # Nobody came to a customer's name on a device that never got in: they are listed, and wait to be known.
    assert len(hits) == 27 * 3 and given == []


async def test_incidents_of_one_minute_never_have_one_name(evening: Evening, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["ab12", "ab12", "ab12", "cd34"])
    monkeypatch.setattr("secrets.token_hex", lambda octets: next(drawn))
    stopped = Outcome(
        time=evening.clock.now(), service="messages", step="stop-route", layer="sms-centre", verdict="kept",
        reason="misdelivery", dimensions={"link": "nord", "by": "rule:canaries"},
    )  # fmt: skip
    for outcome in (opened_by_rule(evening.clock.now()), stopped):
        await evening.arrive(outcome)
        await evening.response.watch.tick()
    found = await evening.response.register.incidents()
    assert sorted(incident.id[-4:] for incident in found) == ["ab12", "cd34"]


async def test_a_suspicion_that_the_data_takes_back_is_nobodys_business(evening: Evening) -> None:
    await evening.seconds(20)
    await evening.arrive(opened_by_rule(evening.clock.now()))
    await evening.seconds(2)
    assert (await evening.incident()).state == "suspected"
    await evening.seconds(45)
    incident = await evening.incident()
    assert (incident.state, incident.resolved_by, incident.confirmed_at) == ("resolved", "data", None)
    assert (
        await evening.response.announcements.told() == () and await evening.response.register.credits(incident.id) == []
    )


async def test_what_a_person_dismissed_gives_nobody_anything(evening: Evening) -> None:
    await evening.seconds(20)
    refused = [
        Outcome(
            time=evening.clock.now(), service="television", step="sign-in", layer="signin", verdict="broken",
            reason="overloaded", customer=f"s-{n}", device=f"d-s-{n}",
        )
        for n in range(40)
    ]  # fmt: skip
    await evening.arrive(*refused)
    await evening.seconds(6)
    incident = await evening.incident()
    await evening.response.actions.act(incident.id, Fact("dismiss", evening.clock.now(), "Kari", "a test of ours"))
    await evening.seconds(10)
    incident = await evening.incident()
    assert incident.dismissed and await evening.response.register.hits(incident.id) != []
    assert await evening.response.register.credits(incident.id) == []


async def test_what_was_dismissed_or_dealt_with_is_not_back_after_a_restart(evening: Evening) -> None:
    await evening.seconds(30)
    await evening.seconds(25, answered=False)
    incident = await evening.incident()
    assert incident.state in ("suspected", "confirmed")
    await evening.response.actions.act(incident.id, Fact("dismiss", evening.clock.now(), "Kari", "a test of ours"))
    dismissed = await evening.incident()
    blind = {"signin"}
    evening.response = Response(
        evening.database,
        settings=SETTINGS,
        surroundings=surroundings(blind=lambda: frozenset(blind)),
        clock=evening.clock,
        zone=ZoneInfo("Europe/Oslo"),
    )
    await evening.response.recover()
    for count in (2, 40):  # what nobody has read yet is read, and the same goes on
        await evening.seconds(count, answered=False)
        blind.clear()
    again = await evening.incident()
    assert (again.id, again.state, again.dismissed) == (dismissed.id, "resolved", True)
    assert await evening.response.announcements.told() == () and again.reopened == 0


async def deliver(evening: Evening, seconds: int, *, refusing: str, others: int = 4) -> None:
    """Messages to one phone that refuses them, a second apart, and to others that do not."""
    for second in range(seconds):
        now = evening.clock.now()
        sent = [*([refusing] if refusing else []), *(f"+4790000{evening.customers + n:03d}" for n in range(others))]
        evening.customers += others
        await evening.arrive(
            *(
                Outcome(
                    time=now, service="messages", step="deliver", layer="link", device=number,
                    verdict="broken" if number == refusing else "kept",
                    reason="undeliverable" if number == refusing else "", dimensions={"link": "nord"},
                )
                for number in sent
            )
        )  # fmt: skip
        evening.clock.advance(1)
        await evening.response.watch.tick()
        if second % 2:
            await evening.response.evaluations.look()


async def test_a_phone_that_is_off_is_no_incident_however_many_messages_are_sent_to_it(evening: Evening) -> None:
    await deliver(evening, 10, refusing="", others=4)
    await deliver(evening, 60, refusing="+4799999999", others=2)
    suspicion = await evening.incident()
    assert (suspicion.state, suspicion.confirmed_at) == ("suspected", None)
    assert await evening.response.announcements.told() == ()
    await deliver(evening, 110, refusing="")
    assert ((await evening.incident()).state, (await evening.incident()).confirmed_at) == ("resolved", None)


async def test_a_crowd_that_waited_too_long_was_load(evening: Evening) -> None:
    await evening.seconds(20)
    came = evening.clock.now()
    crowd = [
        Outcome(
            time=came + n / 100, service="television", step="enter", layer="door", verdict="asked",
            device=f"d-c-{n}", promise=f"c-{n}",
        )
        for n in range(400)
    ]  # fmt: skip
    await evening.arrive(*crowd)
    for second in range(30):  # ten a second get in, in the order in which they came
        now = evening.clock.now()
        got_in = [
            Outcome(
                time=now, service="television", step="sign-in", layer="signin", verdict="kept",
                device=f"d-c-{n}", promise=f"c-{n}", customer=f"c-{n}",
            )
            for n in range(second * 10, second * 10 + 10)
        ]  # fmt: skip
        await evening.arrive(*got_in)
        evening.clock.advance(1)
        await evening.response.watch.tick()
        await evening.response.evaluations.look()
    incident = await evening.incident()
    assert came < incident.since < came + 2  # the first who were to wait too long
    known = await evening.response.evaluations.known(incident.id)
    assert known is not None and known.load is not None and known.load.peak_per_second >= 80
    [was_it_load] = [answer.text for answer in await evening.response.evaluations.answers(known) if answer.number == 3]
    assert was_it_load.startswith("Yes: sign-in was asked for at most 200%")


async def test_of_a_list_what_has_changed_is_written(evening: Evening) -> None:
    def hit(number: int, *, unanswered: int = 1) -> Hit:
        return Hit(f"s-{number}", f"d-{number}", "television", "sign-in", 1.0, 1, unanswered, "", None, True)

    async def stored(hits: Sequence[Hit], before: Sequence[Hit] | None) -> list[Hit]:
        made = Impact(Scope((), 0.0, 1.0), tuple(hits), len(hits), 0, "digest")
        change = ListChange.between({each.key: each for each in before}, hits) if before is not None else None
        await evening.database.write(lambda t: response_store.save_impact(t, "i", made, "", 1.0, change=change))
        return await evening.database.snapshot(lambda q: response_store.hits_of(q, "i"))

    first = [hit(number) for number in range(5)]
    assert await stored(first, None) == first
    then = [hit(0), hit(2, unanswered=7), hit(4), hit(5)]
    assert await stored(then, first) == then
    assert await stored([], then) == []
    assert await stored(first, None) == first


def again(evening: Evening, **around: Any) -> Response:
    """A new one on the same database, as after a crash."""
    return Response(
        evening.database,
        settings=SETTINGS,
        surroundings=surroundings(**around),
        clock=evening.clock,
        zone=ZoneInfo("Europe/Oslo"),
    )


async def partly(evening: Evening, seconds: int, *, told: bool = True, broken: int = 0) -> list[Outcome]:
    """Ten a second ask, and `broken` of them are not answered; `told` false: assurance is away, and this is left."""
    outcomes = []
    for _ in range(seconds):
        for number in range(10):
            evening.customers += 1
            who, at = f"s-{evening.customers}", evening.clock.now() + number / 10
            asked = {"service": "television", "step": "sign-in", "device": f"d-{who}", "promise": f"p-{who}"}
            outcomes.append(Outcome(time=at, layer="door", verdict="asked", **asked))  # type: ignore[arg-type]
            if number >= broken:
                outcomes.append(Outcome(time=at, layer="signin", verdict="kept", customer=who, **asked))  # type: ignore[arg-type]
        evening.clock.advance(1)
        if told:
            await evening.arrive(*outcomes)
            outcomes.clear()
            await evening.response.watch.tick()
    return outcomes


@pytest.mark.parametrize("before", [0, 12])
@pytest.mark.parametrize("read_first", [True, False])
async def test_a_restart_during_a_fault_swallows_no_incident(evening: Evening, before: int, read_first: bool) -> None:
    """Away for thirty seconds, `before` seconds after the fault began; its followers read on before or after."""
    await partly(evening, 20)
    fault = evening.clock.now()
    await partly(evening, before, broken=3)
    missed = await partly(evening, 30, told=False, broken=3)
    if read_first:
        await evening.arrive(*missed)
    evening.response = again(evening)
    await evening.response.recover()
    if not read_first:
        await evening.arrive(*missed)
    await partly(evening, 3, broken=3)
    incident = await evening.incident()
    assert incident.open and incident.alarms[0].kind == "share"
    assert fault <= incident.alarms[0].since <= fault + 15
    # Once more: what stands in the incident is not raised again.
    evening.response = again(evening)
    await evening.response.recover()
    await partly(evening, 2, broken=3)
    assert (await evening.incident()).alarms[: len(incident.alarms)] == incident.alarms


async def test_how_many_asked_and_still_wait_is_as_of_the_last_look(evening: Evening) -> None:
    """It was as of the last change of the list: "1 more still wait within the grace time", hours after it was over."""
    await evening.seconds(20)
    await evening.arrive(opened_by_rule(evening.clock.now()))
    await evening.seconds(12, answered=False)
    identifier = (await evening.incident()).id
    figures, hits = [], []
    for count in (12, 3):
        await evening.seconds(count)
        known = await evening.response.evaluations.known(identifier)
        assert known is not None and known.impact is not None
        figures.append(known.impact.figures)
        hits.append(known.impact.hits)
    assert hits[0] == hits[1] and len(hits[0]) == 36
    (asked, *waiting), later = figures
    assert later == (asked + 9, *waiting)
