"""Who holds a number is asked once for each, answers or not; nothing waits for it, and it is said once."""

import asyncio
import os
from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
from msgspec import structs
from sms_house import SETTINGS

from prikkfri.clock import ManualClock
from prikkfri.errors import StorageUnavailable
from prikkfri.sms.holders import NumberHolder
from prikkfri.sms.holding.service import Holding
from prikkfri.sms.messages import Message
from prikkfri.sms.sealing import Sealer
from prikkfri.sms.shared.service import CentreState
from prikkfri.sms.timing import TIMING

ONE, TWO, THREE = "4790000001", "4790000002", "4790000003"
CANNOT = "who holds a number cannot be told"


def message(identity: str, recipient: str, holder: str = "", target: str = "link:nord") -> Message:
    plain = Message(identity, "m", 1, 1, "account:shop", target, "ordinary", "Shop", recipient, None, 1, 0.0, 0.0, 9.0)
    return structs.replace(plain, holder=holder)


class Subscribers:
    """What they answer, or how they fail."""

    def __init__(self, **held: str) -> None:
        self.held = {number.removeprefix("n"): holder for number, holder in held.items()}
        self.asked: list[list[str]] = []
        self.fails = self.silent = False

    async def __call__(self, numbers: Collection[str]) -> Mapping[str, str]:
        self.asked.append([*numbers])
        if self.fails:
            raise StorageUnavailable("away")
        if self.silent:
            await asyncio.Event().wait()
        return {number: holder for number, holder in self.held.items() if number in numbers}


def holding(subscribers: Subscribers | None, *, seconds_max: float = 60.0) -> tuple[Holding, CentreState, ManualClock]:
    clock, timing = ManualClock(1_000_000.0), replace(TIMING, holders_seconds_max=seconds_max)
    shared = CentreState(None, None, SETTINGS, clock, os.urandom, Sealer(os.urandom), timing)  # type: ignore[arg-type]
    return Holding(shared, subscribers), shared, clock


async def test_each_message_is_bound_to_the_holder_of_its_number_who_is_asked_for_once() -> None:
    subscribers = Subscribers(n4790000001="s-1", n4790000003="s-3")
    hold, shared, _ = holding(subscribers)
    messages = [message("a", ONE), message("b", TWO), message("c", ONE), message("d", THREE, target="account:shop")]
    assert [each.holder for each in await hold.bind(messages)] == ["s-1", "", "s-1", ""]
    assert subscribers.asked == [[ONE, TWO]] and [each.holder for each in messages] == [""] * 4
    alone = [message("d", THREE, target="account:shop")]
    assert await hold.bind(alone) == alone and len(subscribers.asked) == 1, "nobody is asked about nobody"
    assert await hold.bind([message("b", TWO)]) == [message("b", TWO)]
    assert shared.counters.holders_unknown == 0


async def test_whoever_has_changed_is_found_and_of_what_is_bound_to_nobody_nobody_is_asked() -> None:
    subscribers = Subscribers(n4790000001="s-1", n4790000002="s-9")
    hold, shared, _ = holding(subscribers)
    looked = [message("same", ONE, "s-1"), message("another", TWO, "s-2"), message("nobody", THREE, "s-3"),
              message("again", TWO, "s-2"), message("free", "4790000004")]  # fmt: skip
    assert await hold.look(looked) == {
        "another": NumberHolder.ANOTHERS, "again": NumberHolder.ANOTHERS, "nobody": NumberHolder.NOBODYS
    }  # fmt: skip
    assert subscribers.asked == [[ONE, TWO, THREE]]
    assert await hold.look([message("free", ONE)]) == {} and len(subscribers.asked) == 1
    subscribers.held.clear()
    assert await hold.look([message("same", ONE, "s-1")]) == {"same": NumberHolder.NOBODYS}
    assert shared.counters.holders_unknown == 0


async def test_where_there_are_no_subscribers_nothing_is_bound_and_nothing_unknown() -> None:
    hold, shared, _ = holding(None)
    messages = [message("a", ONE, "s-1")]
    assert await hold.bind(messages) == messages and await hold.look(messages) == {}
    assert shared.counters.holders_unknown == 0


async def test_after_no_answer_nobody_is_asked_for_a_while_each_number_is_counted_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subscribers = Subscribers(n4790000001="s-1", n4790000002="s-2")
    hold, shared, clock = holding(subscribers)
    bound = [message("a", ONE, "s-9"), message("b", TWO, "s-2")]

    async def asked_and_unknown(seconds: float) -> tuple[int, int]:
        clock.advance(seconds)
        before = len(subscribers.asked), shared.counters.holders_unknown
        found = await hold.look(bound)
        unknown = shared.counters.holders_unknown - before[1]
        assert found == ({} if unknown else {"a": NumberHolder.ANOTHERS})
        return len(subscribers.asked) - before[0], unknown

    subscribers.fails = True
    assert await asked_and_unknown(0.0) == (1, 2)
    subscribers.fails = False
    pause = shared.timing.holders_pause_seconds
    assert await asked_and_unknown(0.0) == await asked_and_unknown(pause - 1) == (0, 2)
    subscribers.fails = True
    assert await asked_and_unknown(1.0) == (1, 2)
    assert caplog.text.count(CANNOT) == 1 and "away" in caplog.text
    subscribers.fails = False
    assert await asked_and_unknown(pause) == await asked_and_unknown(0.0) == (1, 0)
    subscribers.fails = True
    assert await asked_and_unknown(0.0) == (1, 2)
    assert caplog.text.count(CANNOT) == 2, "it had been told meanwhile"


async def test_that_nobody_has_answered_in_time_is_said_in_words(caplog: pytest.LogCaptureFixture) -> None:
    subscribers = Subscribers()
    subscribers.silent = True
    hold, shared, _ = holding(subscribers, seconds_max=0.001)
    messages = [message("a", ONE)]
    assert await hold.bind(messages) == messages
    assert shared.counters.holders_unknown == 1
    assert f"{CANNOT}, and messages go on as before: no answer" in caplog.text
