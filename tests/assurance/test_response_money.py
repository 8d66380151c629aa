"""Who gets a credit by the rule, who only when a person says so, and who never: over a real database, with restarts."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from response_house import FAULT_SECONDS, WELL_SECONDS, House, open_house, tried

from prikkfri.assurance.incidents import Fact
from prikkfri.assurance.post_incident.service import RULE
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response import store
from prikkfri.clock import ManualClock
from prikkfri.journal import Outcome
from prikkfri.storage import Location


@pytest.fixture
async def house(location: Location, clock: ManualClock) -> AsyncIterator[House]:
    house = await open_house(location, clock)
    yield house
    await house.close()


async def test_when_the_data_proves_it_over_each_one_hit_is_credited_by_the_rule_once(house: House) -> None:
    began = house.began_at
    before = ServiceCredit("before:a", "before", "a", 700, "NOK", "other", "an older one")
    await house.database.write(lambda t: store.give_credits(t, [before], given_by="Kari", now=1.0))
    await house.fault(
        tried(began, "a"),  # ten minutes to the end: the second tier, above the cap for one
        tried(began + 1, "b"),  # a second less
        tried(began + 2, "c"),
        tried(began + 2 + 59, "c", kept=True),  # within the grace time
        tried(began + 3, "d"),
        tried(began + 3 + 90, "d", kept=True),
        tried(began + FAULT_SECONDS - 59, "short"),
        tried(began + 4, "basic"),
        tried(began + 5, "own", reason="wrong-credentials"),
    )
    house.products["basic"] = "basic"
    response = await house.start()
    assert await house.amounts() == {}
    await response.evaluations.look()
    incident = await house.incident()
    assert (incident.state, incident.resolved_by, incident.ended_at) == ("resolved", "data", began + FAULT_SECONDS)
    assert await house.amounts() == {"a": 5_000, "b": 2_000, "d": 2_000}
    given = await house.given()
    assert {(each.given_by, each.given_at, each.told_at) for each in given} == {(RULE, house.clock.now(), 0.0)}
    assert {each.credit.currency for each in given} == {"NOK"} and given[0].credit.policy == "kick-off"
    assert house.entries(incident, "credited") == [(RULE, "3 customers were credited kr\u00a090.00 together")]
    assert set(house.asked_products_at) == {began}
    known = await response.evaluations.known("i")
    assert known is not None and (known.credited, known.told) == (3, 0)
    # Looking again, and after a restart, gives nobody a second one; nor is another incident's touched.
    house.clock.advance(10)
    await response.evaluations.look()
    response = await house.start()
    await response.evaluations.look()
    assert await house.given() == given and await house.incident() == incident
    assert [each.credit for each in await house.given("before")] == [before]


async def test_who_comes_to_the_list_late_is_credited_and_the_others_stay_as_they_were(house: House) -> None:
    await house.fault(tried(house.began_at, "a"))
    response = await house.start()
    await response.evaluations.look()
    frozen = await response.register.listed("i")
    house.clock.advance(60)
    response = await house.start()
    await house.outcomes(tried(house.began_at + 1, "late"))
    await response.evaluations.look()
    assert await house.amounts() == {"a": 5_000, "late": 2_000}
    assert {each.given_at for each in await house.given()} == {house.clock.now(), house.clock.now() - 60}
    listed = await response.register.listed("i")
    assert frozen is not None and listed is not None
    assert (frozen.hit, listed.hit) == (1, 2)
    assert listed.frozen == frozen.frozen == store.FrozenList(frozen.digest, house.clock.now() - 60)
    assert listed.digest != frozen.digest and frozen.frozen.digest
    # Nor does it stand after a quarter of an hour, for whoever is told of later still.
    house.clock.advance(house.timing.after_seconds)
    await house.outcomes(tried(house.began_at + 1, "later"))
    await response.evaluations.look()
    await (await house.start()).evaluations.look()
    assert await house.amounts() == {"a": 5_000, "late": 2_000, "later": 2_000}


@pytest.mark.parametrize(
    ("cap", "hours", "amounts"),
    [(0, 0.0, {"b": 5_000, "c": 5_000}), (7_000, 0.0, {"a": 2_000, "b": 5_000, "c": 5_000}),
     (0, -24.0, {"a": 5_000, "b": 5_000, "c": 5_000}), (0, 24.0, {"a": 5_000, "b": 5_000, "c": 5_000})],
)  # fmt: skip
async def test_two_incidents_of_one_night_pay_no_more_than_the_cap_of_the_night(
    house: House, cap: int, hours: float, amounts: dict[str, int]
) -> None:
    remedy = replace(house.settings.remedies[0], cap_per_customer_and_night=cap)
    house.settings = replace(house.settings, remedies=(remedy,))
    incident = await house.fault(*(tried(house.began_at, each) for each in "abc"))
    other = replace(
        incident, id="j", state="reviewed", alarms=(), resolved_at=1.0, opened_at=incident.opened_at + hours * 3_600
    )
    given = [
        ServiceCredit("j:a", "j", "a", 5_000, "NOK", "p", ""),
        ServiceCredit("j:b", "j", "b", 5_000, "SEK", "p", ""),
    ]
    await house.database.write(lambda t: store.save_incident(t, other))
    await house.database.write(lambda t: store.give_credits(t, given, given_by=RULE, now=1.0))
    response = await house.start()
    await response.evaluations.look()
    assert await house.amounts() == amounts
    # The cap holds for a person's word as well; the incident's own do not count against it.
    assert await response.actions.release("i", by="Kari") == 0
    await response.evaluations.look()
    assert await house.amounts() == amounts


async def test_who_was_credited_and_is_on_the_list_no_more_keeps_it_and_is_told_to_a_person(house: House) -> None:
    began = house.began_at
    await house.fault(tried(began, "a"), tried(began, "b"), tried(began, "c"))
    response = await house.start()
    await response.evaluations.look()
    given = await house.given()
    assert len(given) == 3 and (await house.incident()).doubted == 0
    # Late, a role tells that they had got it in time.
    await house.outcomes(tried(began + 1, "a", kept=True))
    await response.evaluations.look()
    incident = await house.incident()
    text = "credited customers stand on the list no more: a person must look; nothing is taken back by itself"
    assert house.entries(incident, "doubted") == [("data", f"1 {text}")] and incident.doubted == 1
    assert {hit.key for hit in await response.register.hits("i")} >= {"customer:b", "customer:c"}
    # Said once; once more when it is one more, and by the next run as well.
    await response.evaluations.look()
    response = await house.start()
    await response.evaluations.look()
    assert await house.incident() == incident
    await house.outcomes(tried(began + 1, "b", kept=True))
    await response.evaluations.look()
    incident = await house.incident()
    assert house.entries(incident, "doubted")[1:] == [("data", f"2 {text}")] and incident.doubted == 2
    assert await house.given() == given


async def test_a_persons_word_that_it_is_over_gives_nobody_anything(house: House) -> None:
    await house.fault(tried(house.began_at, "a"), facts=[Fact("evidence", house.began_at + 20)])
    response = await house.start()
    await response.actions.act("i", Fact("all-clear", house.clock.now(), "Kari", "it works again"))
    await response.evaluations.look()
    house.clock.advance(10)
    await house.outcomes(tried(house.began_at + 1, "late"))
    await response.evaluations.look()
    incident = await house.incident()
    assert (incident.state, incident.unproven) == ("resolved", True)
    assert len(await response.register.hits("i")) == 2 and await house.amounts() == {}
    # ... until a person says that, too.
    assert await response.actions.release("i", by="Ola") == 2
    assert {each.given_by for each in await house.given()} == {"Ola"}
    assert house.entries(await house.incident(), "credited") == [
        ("Ola", "2 customers were credited kr\u00a070.00 together")
    ]
    assert await response.actions.release("i", by="Ola") == 0
    assert len(house.entries(await house.incident(), "credited")) == 1


@pytest.mark.parametrize(("cap_total", "by_rule"), [(10_000, True), (9_999, False)])
async def test_above_the_cap_of_the_whole_nobody_is_credited_without_a_person(
    house: House, cap_total: int, by_rule: bool
) -> None:
    remedy = replace(house.settings.remedies[0], cap_total=cap_total)
    house.settings = replace(house.settings, remedies=(remedy,))
    await house.fault(tried(house.began_at, "a"), tried(house.began_at, "b"))
    response = await house.start()
    await response.evaluations.look()
    assert (await house.incident()).state == "resolved"
    assert await house.amounts() == ({"a": 5_000, "b": 5_000} if by_rule else {})
    assert await response.actions.release("i", by="Kari") == (0 if by_rule else 2)
    assert await house.amounts() == {"a": 5_000, "b": 5_000}


async def test_what_an_incident_has_cost_already_counts_towards_its_cap(house: House) -> None:
    """Also for those who stand on its list no more."""
    other = [ServiceCredit(f"i:x{n}", "i", f"x{n}", 5_000, "NOK", "kick-off", "") for n in range(2)]
    elsewhere = ServiceCredit("j:y", "j", "y", 15_000, "NOK", "kick-off", "")
    await house.database.write(lambda t: store.give_credits(t, [*other, elsewhere], given_by=RULE, now=1.0))
    await house.fault(tried(house.began_at, "a"))
    response = await house.start()
    await response.evaluations.look()
    assert (await house.amounts())["a"] == 5_000  # 150.00: no more than the cap
    await house.outcomes(tried(house.began_at, "b"))
    await response.evaluations.look()
    assert len(await response.register.hits("i")) == 2 and "b" not in await house.amounts()
    assert await response.actions.release("i", by="Kari") == 1


async def test_what_only_a_device_tells_waits_for_a_person(house: House) -> None:
    await house.fault(
        tried(house.began_at, "seen"),
        tried(house.began_at, "told", observed=False),
        # A device may say what it likes about whose it is.
        tried(house.began_at, device="d-thief"),
        tried(house.began_at + 200, "thief", device="d-thief", kept=True, observed=False),
    )
    response = await house.start()
    await response.evaluations.look()
    assert await house.amounts() == {"seen": 5_000}
    assert {hit.key for hit in await response.register.hits("i")} == {
        "customer:seen",
        "customer:told",
        "device:d-thief",
    }
    assert await response.actions.release("i", by="Kari") == 1
    assert await house.amounts() == {"seen": 5_000, "told": 5_000}


async def test_a_device_is_its_holders_and_of_two_at_once_nobodys(house: House) -> None:
    began = house.began_at

    def both(at: float, device: str, **more: str) -> list[Outcome]:
        return [tried(at, "one", device=device, kept=True), tried(at, "two", device=device, kept=True, **more)]

    await house.outcomes(
        *both(began - 5_000, "d-two"),
        *both(began - 5_000, "d-elsewhere", service="music"),
        tried(began - 5_000, "old", device="d-handed-on", kept=True),
        tried(began - 5_000, "past", device="d-no-more", kept=True),
        tried(began - 100, "before", device="d-before", kept=True),
    )
    devices = ("d-own", "d-two", "d-elsewhere", "d-next", "d-handed-on", "d-no-more", "d-before", "d-nobody")
    await house.fault(
        *(tried(began, device=device) for device in devices),
        tried(began + 90, "own", device="d-own", kept=True),
        *both(began + 90, "d-two"),
        # Of the other one only another service tells.
        *both(began + 90, "d-elsewhere", service="music"),
        *both(began + 90, "d-next"),
        tried(began + 90, "new", device="d-handed-on", kept=True),
    )
    response = await house.start()
    await response.evaluations.look()
    listed = {hit.device: hit.customer for hit in await response.register.hits("i")}
    theirs = {"d-own": "own", "d-handed-on": "new", "d-no-more": "past", "d-before": "before"}
    assert listed == dict.fromkeys(devices, "") | theirs
    assert await house.amounts() == {"own": 2_000, "new": 2_000, "past": 5_000, "before": 5_000}
    assert await response.actions.release("i", by="Kari") == 0


async def test_what_a_person_found_to_be_nothing_gives_nobody_anything(house: House) -> None:
    await house.fault(tried(house.began_at, "a"), facts=[Fact("evidence", house.began_at + 20)])
    response = await house.start()
    await response.actions.act("i", Fact("dismiss", house.clock.now(), "Kari", "a test of ours"))
    for _ in range(2):
        await response.evaluations.look()
    assert (await house.incident()).state == "resolved" and await response.announcements.told() == ()
    assert len(await response.register.hits("i")) == 1 and await house.amounts() == {}


async def test_while_it_is_not_over_nobody_is_credited_and_the_list_is_frozen_when_it_is(house: House) -> None:
    await house.fault(tried(house.began_at, "a"))
    blind = {"signin"}
    house.around["blind"] = lambda: frozenset(blind)
    response = await house.start()
    for _ in range(2):
        await response.evaluations.look()
    assert (await house.incident()).state == "recovering"
    assert len(await response.register.hits("i")) == 1 and await house.amounts() == {}
    open_still = await response.register.listed("i")
    assert open_still is not None and open_still.frozen == store.FrozenList("", 0.0)
    blind.clear()
    await response.evaluations.look()
    assert await house.amounts() == {"a": 5_000}
    listed = await response.register.listed("i")
    assert listed is not None and listed.frozen == store.FrozenList(listed.digest, house.clock.now())


async def test_what_could_not_be_given_is_given_by_the_next_look(house: House) -> None:
    await house.fault(tried(house.began_at, "a"))
    house.subscribers_dead = True
    response = await house.start()
    await response.evaluations.look()
    assert (await house.incident()).state == "resolved" and await house.amounts() == {}
    known = await response.evaluations.known("i")
    assert known is not None and known.remedy is None and known.credited == 0
    assert [answer.text for answer in await response.evaluations.answers(known) if answer.number == 11] == [
        "Not known yet."
    ]
    house.subscribers_dead = False
    await response.evaluations.look()
    assert await house.amounts() == {"a": 5_000}
    assert [who for who, _ in house.entries(await house.incident(), "credited")] == [RULE]


async def test_a_crash_while_credits_are_given_doubles_nothing(house: House) -> None:
    await house.fault(tried(house.began_at, "a"), tried(house.began_at, "b"))
    given = ServiceCredit("i:a", "i", "a", 4_000, "NOK", "kick-off", "sign-in failed for 8 min")
    await house.database.write(lambda t: store.give_credits(t, [given], given_by=RULE, now=1.0))
    response = await house.start()
    await response.evaluations.look()
    assert await house.amounts() == {"a": 4_000, "b": 5_000}
    assert house.entries(await house.incident(), "credited") == [(RULE, "1 customer was credited kr\u00a050.00")]


async def test_a_crash_before_credits_are_given_forgets_nobody_however_long_the_restart_takes(house: House) -> None:
    house.timing = replace(house.timing, after_seconds=60.0)
    await house.fault(tried(house.began_at, "a"))
    house.killed = True
    response = await house.start()
    with pytest.raises(asyncio.CancelledError):
        await response.evaluations.look()
    house.killed = False
    house.clock.advance(60)
    await house.outcomes(*(tried(house.clock.now() - 61 + n / 2, kept=True) for n in range(120)))
    response = await house.start()
    await response.evaluations.look()
    assert (await house.incident()).state == "resolved" and await house.amounts() == {"a": 5_000}


@pytest.mark.parametrize(("hold_seconds", "over"), [(WELL_SECONDS - 1, True), (WELL_SECONDS, False)])
async def test_it_is_over_when_it_has_held_for_as_long_as_the_operator_says(
    house: House, hold_seconds: float, over: bool
) -> None:
    house.settings = replace(house.settings, hold_seconds=hold_seconds)
    await house.fault(tried(house.began_at, "a"))
    await (await house.start()).evaluations.look()
    assert ((await house.incident()).state == "resolved") == over
    assert await house.amounts() == ({"a": 5_000} if over else {})


async def test_without_a_policy_for_the_service_there_is_nothing_to_give(house: House) -> None:
    remedy = house.settings.remedies[0]
    house.settings = replace(house.settings, remedies=(replace(remedy, service="messages"),))
    await house.fault(tried(house.began_at, "a"))
    response = await house.start()
    await response.evaluations.look()
    assert (await house.incident()).state == "resolved"
    assert await response.actions.release("i", by="Kari") == 0 and await house.amounts() == {}
    known = await response.evaluations.known("i")
    assert known is not None and known.remedy is None
