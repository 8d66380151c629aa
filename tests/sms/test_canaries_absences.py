"""What comes of our own absence is no word on a route; on both engines where it is stored."""

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import eventually

from prikkfri.config import Canary as CanaryPhone
from prikkfri.config import Link, Sms
from prikkfri.errors import StorageError, StorageUnavailable
from prikkfri.protocols.smpp.pdu import Command, ShortMessage
from prikkfri.sms.canaries.absences import LATE_GRACES_MAX, LATE_SECONDS_MAX, NEVER_AWAY, Absences
from prikkfri.sms.canaries.service import PhoneReport
from prikkfri.sms.canaries.shared.service import CanaryState
from prikkfri.sms.canaries.verdicts import AWAY_GRACES_MAX, SILENT_GRACES, Canary, Verdict, judge
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.timing import TIMING

GRACE = 10.0
DELIVERED = DeliveryState.DELIVERED


PAUSE = 1.5


def absences(*spells: tuple[float, float]) -> Absences:
    """Ours, who were away in these spells and there at all other times up to 10,000."""
    found = Absences(0.0, PAUSE)
    for begin, end in spells:
        found = found.there_all_along(begin).there(end)
    return found.there_all_along(10_000.0)


# When we were away.


@given(st.lists(st.floats(0.01, 9.0), max_size=30), st.floats(0.0, 90.0), st.floats(0.0, 90.0))
def test_of_each_time_we_were_away_for_as_long_as_nothing_showed_that_we_were_there(
    pauses: list[float], since: float, seconds: float
) -> None:
    until, at = since + seconds, 0.0
    found, expected = Absences(0.0, PAUSE), 0.0
    for pause in pauses:
        if at + pause > until:
            break
        at += pause
        found = found.there(at)
        if pause > PAUSE:
            expected += max(0.0, min(at, until) - max(at - pause, since))
    if until - at > PAUSE:  # we may not have come back yet
        expected += until - max(at, since)
    assert found.seconds(since, until) == pytest.approx(expected)


def test_what_was_before_the_start_nobody_has_seen_and_who_is_never_looked_for_is_never_away() -> None:
    started = Absences.since_start(100.0, every_seconds=0.5, grace_seconds=30.0)
    assert (started.seconds(40.0, 90.0), started.seconds(99.0, 101.0)) == (50.0, 1.0)
    assert started.pause_seconds_max == 0.5 + LATE_SECONDS_MAX
    hurried = Absences.since_start(100.0, every_seconds=0.5, grace_seconds=2.0)
    assert hurried.pause_seconds_max == 0.5 + 2.0 * LATE_GRACES_MAX
    assert NEVER_AWAY.seconds(0.0, 1e9) == 0.0
    assert absences((5.0, 9.0)).seconds(-inf, 6.0) == 1.0


def test_a_clock_that_is_set_back_makes_no_absence() -> None:
    assert Absences(100.0, PAUSE).there(40.0).there(40.5).seconds(0.0, 200.0) == pytest.approx(159.5)


# What is said of a canary.


def canary(state: DeliveryState = DeliveryState.SENT, **known: float) -> Canary:
    times = {"attempted_at": 100.0, "sent_at": 100.0, "ended_at": 0.0, "arrived_at": 0.0, "stray_at": 0.0, **known}
    made_at = times.pop("made_at", 99.0)
    return Canary("token", "id", "nord", "4790000001", state, *times.values(), made_at=made_at)


EXPIRED = {"state": DeliveryState.EXPIRED, "attempted_at": 0.0, "sent_at": 0.0, "ended_at": 121.0}
"""It had 22 s in which it could leave."""
CASES: list[tuple[Canary, dict[str, Any], Verdict | None]] = [
    # Told of too late: only a phone that was heard from in between says that it had not got it.
    (canary(DELIVERED, ended_at=101.0, arrived_at=113.0), {"heard_before": 110.1}, Verdict.LATE),
    (canary(DELIVERED, ended_at=101.0, arrived_at=113.0), {"heard_before": 110.0}, Verdict.VOID),
    (canary(DELIVERED, ended_at=101.0, arrived_at=113.0), {"heard_before": 0.0}, Verdict.VOID),
    (canary(DELIVERED, ended_at=101.0, arrived_at=110.0), {"heard_before": 0.0}, Verdict.ARRIVED),
    # Never sent: its link's matter when it had a grace time in which we were there.
    (canary(**EXPIRED), {}, Verdict.UNSENT),  # type: ignore[arg-type]
    (canary(**EXPIRED), {"absences": absences((100.0, 112.0))}, Verdict.UNSENT),  # type: ignore[arg-type]
    (canary(**EXPIRED), {"absences": absences((100.0, 112.1))}, Verdict.VOID),  # type: ignore[arg-type]
    (canary(**EXPIRED), {"unlinked": absences((100.0, 112.1))}, Verdict.NO_LINK),  # type: ignore[arg-type]
    (canary(**EXPIRED), {"unlinked": absences((100.0, 112.0))}, Verdict.UNSENT),  # type: ignore[arg-type]
    # A network's word is a network's, however long we were away.
    (
        canary(DeliveryState.REJECTED, attempted_at=0.0, sent_at=0.0, ended_at=121.0),
        {"absences": absences((100.0, 121.0)), "unlinked": absences((100.0, 121.0))},
        Verdict.UNSENT,
    ),
    (canary(DeliveryState.UNDELIVERABLE, ended_at=121.0), {"absences": absences((100.0, 121.0))}, Verdict.REFUSED),
    # What proves that messages go astray proves it.
    (canary(DELIVERED, ended_at=101.0), {"absences": absences((100.0, 160.0))}, Verdict.MISSING),
    (canary(DELIVERED, ended_at=101.0, stray_at=150.0), {"absences": absences((90.0, 160.0))}, Verdict.WRONG_PHONE),
    (canary(), {"absences": absences((101.0, 160.0))}, Verdict.LOST),
]


@pytest.mark.parametrize(("of", "known", "expected"), CASES)
def test_what_comes_of_our_own_absence_is_void_and_proof_stays_proof(
    of: Canary, known: dict[str, Any], expected: Verdict | None
) -> None:
    found = judge(of, 1e9, grace_seconds=GRACE, now=170.0, **known)
    assert found is not None and found.verdict is expected


def test_a_receipt_has_its_time_while_we_are_there_to_hear_it() -> None:
    arrived, away = canary(arrived_at=101.0), absences((105.0, 125.0))
    assert judge(arrived, 1e9, grace_seconds=GRACE, now=130.0, absences=away) is None
    told = judge(arrived, 1e9, grace_seconds=GRACE, now=130.1, absences=away)
    assert told is not None and (told.verdict, told.receipted) == (Verdict.ARRIVED, False)
    # It comes to an end even so.
    long = absences((105.0, 9_000.0))
    assert judge(arrived, 1e9, grace_seconds=GRACE, now=110.0 + AWAY_GRACES_MAX * GRACE, absences=long) is None
    assert judge(arrived, 1e9, grace_seconds=GRACE, now=110.1 + AWAY_GRACES_MAX * GRACE, absences=long) is not None


def test_a_phone_is_not_silent_while_we_cannot_hear_it() -> None:
    astray, away = canary(DELIVERED, ended_at=101.0), absences((112.0, 200.0))
    silent_at = 111.0 + SILENT_GRACES * GRACE + 88.0
    assert judge(astray, 105.0, grace_seconds=GRACE, now=silent_at, absences=away) is None
    untold = judge(astray, 105.0, grace_seconds=GRACE, now=silent_at + 0.1, absences=away)
    assert untold is not None and untold.verdict is Verdict.UNTOLD


# At work.

PHONES = ("4790000801", "4790000802")
BOTH = [PhoneReport(phone, ()) for phone in PHONES]
GRACE_SECONDS = 5.0
SELDOM = {
    "canaries": tuple(CanaryPhone(msisdn=f"+{phone}", link="nord") for phone in PHONES),
    "canary_seconds": 3_600.0,
    "canary_grace_seconds": GRACE_SECONDS,
}
"""One canary, and no other for an hour; it may wait for that long and two grace times."""
STEP_SECONDS = 0.5
LIFE_SECONDS = 3_600.0 + 2 * GRACE_SECONDS


async def looked(at: Any) -> None:
    """Canaries have been looked at since the clock was moved."""
    await eventually(lambda: at.canaries.counters()["canaries_looked_at_seconds"] == at.clock.now())


async def let_pass(at: Any, seconds: float) -> None:
    """While we are there."""
    for _ in range(round(seconds / STEP_SECONDS)):
        at.clock.advance(STEP_SECONDS)
        await looked(at)


async def sent_canary(at: Any, link: Any) -> str:
    """The token of the canary, which the network has taken and told of."""
    request, message = await link.message()
    link.take_message(request, "net-1")
    link.tell(message, "net-1")
    await link.answered()
    await at.until("SELECT state FROM sms_message", "delivered")
    await looked(at)
    return str(message.octets.decode().split()[-1])


async def told(at: Any, step: str = "canary") -> list[tuple[str, str, str]]:
    return [(o.verdict, o.layer, o.reason) for o in await at.outcomes(step)]


async def test_what_phones_could_not_tell_while_we_could_not_store_is_not_late(house: Any) -> None:
    async with house(**SELDOM) as at:
        link = await at.network.bound()
        token = await sent_canary(at, link)
        phone, other = await phones_of(at)
        await at.canaries.take_reports(BOTH)
        at.engine.refusal = StorageUnavailable("away")
        at.clock.advance(GRACE_SECONDS + 1.0)
        with pytest.raises(StorageError):
            await at.canaries.take_reports([PhoneReport(phone, [token]), PhoneReport(other, ())])
        at.engine.refusal = None
        assert await at.canaries.take_reports([PhoneReport(phone, [token]), PhoneReport(other, ())]) == 2
        await at.until("SELECT verdict FROM sms_canary", "void")

        async def judged() -> bool:
            [way] = await at.canaries.route_statuses()
            return (way.judged, way.astray, way.trusted) == (1, 0, True)

        await eventually(judged)
        assert await told(at) == await told(at, "route") == await told(at, "receipt") == []


async def test_what_came_late_to_a_phone_that_we_hear_is_late(house: Any) -> None:
    async with house(**SELDOM) as at:
        link = await at.network.bound()
        _, message = await link.message()  # which it does not answer
        phone, _ = await phones_of(at)
        for _ in range(2):
            await let_pass(at, GRACE_SECONDS)
            await at.canaries.take_reports(BOTH)
        await at.canaries.take_reports([PhoneReport(phone, [message.octets.decode().split()[-1]])])
        await at.until("SELECT verdict FROM sms_canary", "late")
        assert await told(at) == [("broken", "link", "late")]


async def phones_of(at: Any) -> tuple[str, str]:
    [(phone,)] = await at.fetch("SELECT phone FROM sms_canary")
    return phone, next(each for each in PHONES if each != phone)


async def test_what_ran_out_of_time_while_we_could_not_send_is_void(house: Any) -> None:
    async with house(**SELDOM) as at:
        await at.until("SELECT COUNT(*) FROM sms_canary", 1)
        await looked(at)
        at.engine.refusal = StorageUnavailable("away")
        at.clock.advance(LIFE_SECONDS + 1.0)
        at.engine.refusal = None
        await at.until("SELECT verdict FROM sms_canary ORDER BY made_at LIMIT 1", "void")
        assert await told(at) == await told(at, "route") == []


async def test_what_ran_out_of_time_while_its_link_was_down_and_we_were_there_is_told_of_its_link(house: Any) -> None:
    async with house(**SELDOM) as at:
        await at.until("SELECT COUNT(*) FROM sms_canary", 1)
        await let_pass(at, 2 * GRACE_SECONDS)
        at.clock.advance(LIFE_SECONDS)
        await at.until("SELECT verdict FROM sms_canary ORDER BY made_at LIMIT 1", "unsent")
        assert await told(at) == [("broken", "link", "unsent")]


async def test_what_could_not_leave_since_no_link_was_there_is_our_own_side(house: Any) -> None:
    """Neither of two links comes up: that says nothing against either of their partners."""
    async with house(**SELDOM, instead="syd") as at:
        await at.until("SELECT COUNT(*) FROM sms_canary", 1)
        await let_pass(at, 2 * GRACE_SECONDS)
        at.clock.advance(LIFE_SECONDS)
        await at.until("SELECT verdict FROM sms_canary ORDER BY made_at LIMIT 1", "no-link")
        [outcome] = await at.outcomes("canary")
        assert (outcome.verdict, outcome.layer, outcome.reason) == ("broken", "sms-centre", "no-link")
        assert outcome.dimensions == {}
        assert {o.verdict for o in await at.outcomes("route")} == {"kept"}


class LinkedCentre:
    """A centre of which only this is asked."""

    is_linked = True


def test_while_we_are_away_nobody_sees_whether_links_are_there(clock: Any) -> None:
    """Only a look that found none says so."""
    links = tuple(
        Link(name=name, partner=name, host="h", port=1, system_id="s", password="p", prefixes=()) for name in "ab"
    )
    centre = LinkedCentre()
    canaries = CanaryState(centre, None, None, Sms(links=links), clock, bytes, TIMING)  # type: ignore[arg-type]
    began = clock.now()
    for seconds, linked in ((0.5, True), (10.0, True), (10.5, False), (14.0, False), (20.0, True), (20.5, True)):
        centre.is_linked = linked
        canaries.look_at_links(began + seconds)
    assert canaries.unlinked.seconds(began, began + 20.5) == 10.0
    alone = CanaryState(centre, None, None, Sms(links=links[:1]), clock, bytes, TIMING)  # type: ignore[arg-type]
    centre.is_linked = False
    alone.look_at_links(began + 90.0)
    assert alone.unlinked.seconds(began, began + 90.0) == 0.0  # of one link nobody can tell whose side it is


async def test_a_restart_says_nothing_of_what_came_while_nobody_was_there(house: Any) -> None:
    async with house(**SELDOM) as at:
        link = await at.network.bound()
        token = await sent_canary(at, link)
        phone, _ = await phones_of(at)
        await at.canaries.take_reports(BOTH)
    at.clock.advance(GRACE_SECONDS + 1.0)
    async with house(**SELDOM) as at:
        await at.canaries.take_reports([PhoneReport(phone, [token])])
        await at.until(f"SELECT verdict FROM sms_canary WHERE token = '{token}'", "void")
        assert await told(at) == []


async def test_a_canary_that_a_network_hands_in_is_proof_also_when_it_cannot_be_stored_at_once(house: Any) -> None:
    async with house(**SELDOM) as at:
        link = await at.network.bound()
        request, message = await link.message()
        link.take_message(request, "net-1")
        at.engine.fails_where = "SELECT 1 FROM sms_canary WHERE stray_at > 0"
        back = ShortMessage(source="4790000999", destination="4790000998", octets=message.octets)
        link.ask(Command.DELIVER_SM, back, "back")
        await at.engine.failed.wait()
        at.engine.fails_where = ""
        await at.until("SELECT verdict FROM sms_canary ORDER BY made_at LIMIT 1", "wrong-phone")
        assert ("broken", "link", "wrong-phone") in await told(at)
