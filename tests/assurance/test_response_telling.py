"""Those credited are told by a text message: each once, whatever fails; whoever could not be, is told again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from response_house import House, open_house, tried
from waiting import eventually

from prikkfri.assurance.incidents import Fact
from prikkfri.assurance.post_incident.service import RULE
from prikkfri.assurance.remedies import ServiceCredit
from prikkfri.assurance.response import store
from prikkfri.clock import ManualClock
from prikkfri.storage import Location

CUSTOMERS = ("a", "b", "c")


@pytest.fixture
async def house(location: Location, clock: ManualClock) -> AsyncIterator[House]:
    """An incident of which three customers were credited, and nobody has been told."""
    house = await open_house(location, clock)
    await house.fault(tried(house.began_at, "a"))
    credits = [ServiceCredit(f"i:{who}", "i", who, 1_000 + n, "NOK", "kick-off", "") for n, who in enumerate(CUSTOMERS)]
    elsewhere = [ServiceCredit("j:a", "j", "a", 7_000, "SEK", "kick-off", "")]
    await house.database.write(lambda t: store.give_credits(t, [*credits, *elsewhere], given_by=RULE, now=1.0))
    await house.start()
    yield house
    assert [each.told_at for each in await house.given("j")] == [0.0]
    await house.close()


async def told(house: House) -> dict[str, str]:
    """The message that told each customer, of those who have been told."""
    return {each.credit.customer: each.told_message for each in await house.given() if each.told_at}


async def say_so(house: House, by: str = "Kari") -> int:
    """A person has them told; returns how many were still to be."""
    untold = await house.response.announcements.tell("i", by=by)
    if untold:
        await house.response.announcements.tell_next()
    return untold


async def test_each_one_credited_is_told_once_with_their_own_amount(house: House) -> None:
    assert await say_so(house) == 3
    assert [to for _, to, _ in house.sms.accepted] == ["+47-a", "+47-b", "+47-c"]
    assert {sender for sender, _, _ in house.sms.accepted} == {"Test"}
    texts = [text for _, _, text in house.sms.accepted]
    for text, amount in zip(texts, ("kr 10,00", "kr 10,01", "kr 10,02"), strict=True):
        assert amount in text and "neste regning" in text
    assert await told(house) == {"a": "m-1", "b": "m-2", "c": "m-3"}
    assert {each.told_at for each in await house.given()} == {house.clock.now()}
    assert house.entries(await house.incident(), "told") == [("Kari", "3 customers were told by SMS")]
    known = await house.response.evaluations.known("i")
    assert known is not None and (known.credited, known.told) == (3, 3)
    # Saying so again tells nobody, before and after a restart.
    house.sms.accepted.clear()
    assert await say_so(house) == 0
    await house.start()
    assert await say_so(house) == 0 and house.sms.accepted == []


async def test_two_people_who_say_so_at_once_tell_each_one_once(house: House) -> None:
    assert (
        await house.response.announcements.tell("i", by="Kari")
        == await house.response.announcements.tell("i", by="Ola")
        == 3
    )
    await house.response.announcements.tell_next()
    await house.response.announcements.tell_next()
    assert sorted(to for _, to, _ in house.sms.accepted) == ["+47-a", "+47-b", "+47-c"]
    assert len(house.entries(await house.incident(), "told")) == 1


async def test_who_could_not_be_told_is_told_when_somebody_says_so_again(house: House) -> None:
    house.sms.refuses = {"+47-b"}
    assert await say_so(house) == 3
    assert await told(house) == {"a": "m-1", "c": "m-2"}
    known = await house.response.evaluations.known("i")
    assert known is not None and known.told == 2
    house.sms.refuses = set()
    await house.start()
    assert await say_so(house, by="Ola") == 1
    assert await told(house) == {"a": "m-1", "b": "m-3", "c": "m-2"}
    assert [len(house.sms.sent_to(f"+47-{who}")) for who in CUSTOMERS] == [1, 1, 1]
    assert house.entries(await house.incident(), "told") == [
        ("Kari", "2 customers were told by SMS; 1 could not be"),
        ("Ola", "1 customers were told by SMS"),
    ]


async def test_while_nobody_knows_the_numbers_nobody_counts_as_told(house: House) -> None:
    house.subscribers_dead = True
    assert await say_so(house) == 3
    assert await told(house) == {} and house.sms.accepted == []
    assert house.entries(await house.incident(), "told") == [("Kari", "0 customers were told by SMS; 3 could not be")]
    house.subscribers_dead = False
    assert await say_so(house) == 3
    assert set(await told(house)) == set(CUSTOMERS)


async def test_after_a_crash_between_sending_and_marking_nobody_is_told_twice(house: House) -> None:
    house.sms.never_answers = {"+47-b"}
    await house.response.announcements.tell("i", by="Kari")
    telling = asyncio.create_task(house.response.announcements.tell_next())
    await eventually(lambda: house.sms.sent_to("+47-b"))
    telling.cancel()  # the process is killed here
    with contextlib.suppress(asyncio.CancelledError):
        await telling
    house.sms.never_answers = set()
    response = await house.start()
    known = await response.evaluations.known("i")
    assert known is not None and known.told == 1  # of the other nobody knows
    assert await say_so(house, by="Ola") == 1
    assert [len(house.sms.sent_to(f"+47-{who}")) for who in CUSTOMERS] == [1, 1, 1]
    assert await say_so(house) == 0


async def test_after_an_answer_that_was_lost_that_one_is_not_told_twice_and_the_rest_wait(house: House) -> None:
    house.sms.loses_answer = {"+47-b"}
    assert await say_so(house) == 3
    assert [to for _, to, _ in house.sms.accepted] == ["+47-a", "+47-b"]
    assert house.entries(await house.incident(), "told") == [
        ("Kari", "1 customers were told by SMS; of one nobody knows, and 1 wait")
    ]
    assert await say_so(house) == 1
    assert [len(house.sms.sent_to(f"+47-{who}")) for who in CUSTOMERS] == [1, 1, 1]


async def test_the_running_role_tells_whenever_somebody_says_so(house: House) -> None:
    running = asyncio.create_task(house.response.run())
    house.sms.refuses = {"+47-c"}
    assert await house.response.announcements.tell("i", by="Kari") == 3
    await eventually(lambda: len(house.sms.accepted) == 2)
    await eventually(lambda: said(house, 1))
    house.sms.refuses = set()
    assert await house.response.announcements.tell("i", by="Kari") == 1
    await eventually(lambda: said(house, 2))
    assert sorted(await told(house)) == list(CUSTOMERS)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_telling_goes_on_after_a_failure_of_the_database(house: House, caplog: pytest.LogCaptureFixture) -> None:
    assert await house.response.announcements.tell("i", by="Kari") == 3
    await house.database.write(lambda t: t.execute("ALTER TABLE service_credit RENAME TO away"))
    running = asyncio.create_task(house.response.run())
    await eventually(lambda: "those hit were not all told" in caplog.text)
    await house.database.write(lambda t: t.execute("ALTER TABLE away RENAME TO service_credit"))
    assert await house.response.announcements.tell("i", by="Ola") == 3
    await eventually(lambda: said(house, 1))
    assert sorted(await told(house)) == list(CUSTOMERS) and len(house.sms.accepted) == 3
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def said(house: House, times: int) -> bool:
    return len(house.entries(await house.incident(), "told")) == times


async def test_what_people_do_is_refused_for_an_incident_that_is_not_there(house: House) -> None:
    assert await house.response.announcements.tell("nothing", by="Kari") == 0
    with pytest.raises(Exception, match="there is no incident nothing"):
        await house.response.actions.release("nothing", by="Kari")
    with pytest.raises(Exception, match="there is no incident nothing"):
        await house.response.actions.act("nothing", Fact("note", 1.0, "Kari", "?"))
    assert await house.response.evaluations.known("nothing") is None
