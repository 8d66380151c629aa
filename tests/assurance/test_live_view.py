"""The live view: one look for all who watch, as seldom as it is dear, and trouble that is said."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator, MutableMapping
from contextlib import aclosing
from typing import Any

import pytest

from prikkfri.assurance.overview import Chart, Series
from prikkfri.clock import ManualClock
from prikkfri.errors import StorageUnavailable
from prikkfri.protocols.asgi import JSON, HttpResponse, respond
from prikkfri.web.console.live import LiveUpdates, Pace, chart_document, stream_of

QUICK = Pace(live_seconds=0.001)


class Sight:
    """Something to be looked at, and how often it was."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.looks: list[str] = []
        self.takes_seconds = 0.0
        self.gone = False

    async def __call__(self, subject: str) -> dict[str, Any]:
        self.looks.append(subject)
        self.clock.advance(self.takes_seconds)
        if self.gone:
            raise StorageUnavailable("the disk is gone")
        return {"at": self.clock.now(), "html": {subject: str(len(self.looks))}}


async def told(events: AsyncIterator[bytes]) -> tuple[str, dict[str, Any]]:
    event = await anext(events)
    if event == b"retry: 2000\n\n":
        event = await anext(events)
    name, data, *rest = event.decode().split("\n")
    assert rest == ["", ""]
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_however_many_watch_it_is_looked_at_once_and_each_subject_by_itself(clock: ManualClock) -> None:
    sight = Sight(clock)
    live = LiveUpdates(sight, clock=clock, pace=QUICK)
    async with aclosing(live.events("a")) as one, aclosing(live.events("a")) as two, aclosing(live.events("b")) as b:
        assert await told(one) == await told(two) == ("seen", {"at": clock.now(), "html": {"a": "1"}})
        assert await told(b) == ("seen", {"at": clock.now(), "html": {"b": "2"}})
        assert (sight.looks, live.watchers) == (["a", "b"], 3)
        assert await told(one) == ("same", {})
        clock.advance(0.001)
        assert (await told(two))[1]["html"] == {"a": "3"} and (await told(one))[1]["html"] == {"a": "3"}
    assert live.watchers == 0


async def test_nobody_who_comes_is_shown_what_was_seen_when_nobody_watched(clock: ManualClock) -> None:
    live = LiveUpdates(Sight(clock), clock=clock, pace=QUICK)
    for seen in ("1", "2"):
        async with aclosing(live.events("a")) as events:
            assert (await told(events))[1]["html"] == {"a": seen}


async def test_what_is_slow_to_find_out_is_shown_less_often(clock: ManualClock) -> None:
    sight = Sight(clock)
    sight.takes_seconds = 2.0
    live = LiveUpdates(sight, clock=clock, pace=Pace(live_seconds=0.001, looking_share_max=0.1))
    async with aclosing(live.events("a")) as events:
        assert (await told(events))[0] == "seen"
        clock.advance(17.9)  # 19.9 s after the look began, which took two
        assert (await told(events))[0] == "same"
        clock.advance(0.1)
        assert (await told(events))[0] == "seen" and len(sight.looks) == 2


async def test_trouble_is_told_and_is_over_by_itself(clock: ManualClock) -> None:
    sight = Sight(clock)
    live = LiveUpdates(sight, clock=clock, pace=QUICK)
    async with aclosing(live.events("a")) as events:
        sight.gone = True
        assert await told(events) == ("trouble", {"at": clock.now(), "trouble": "the disk is gone"})
        sight.gone = False
        clock.advance(1)
        assert (await told(events))[0] == "seen"


async def test_whoever_has_watched_for_long_has_to_come_again(clock: ManualClock) -> None:
    live = LiveUpdates(Sight(clock), clock=clock, pace=Pace(live_seconds=0.001, watch_seconds_max=10.0))
    events = live.events("a")
    await told(events)
    clock.advance(9.9)
    await told(events)
    clock.advance(0.1)
    with pytest.raises(StopAsyncIteration):
        await anext(events)
    assert live.watchers == 0


async def test_it_is_full_when_as_many_watch_as_may(clock: ManualClock) -> None:
    live = LiveUpdates(Sight(clock), clock=clock, pace=Pace(live_seconds=0.001, watchers_max=2))
    async with aclosing(live.events("a")) as one:
        await told(one)
        assert not live.full
        async with aclosing(live.events("b")) as two:
            await told(two)
            assert live.full
        assert not live.full


def test_what_devices_report_is_a_line_of_its_own() -> None:
    lines = tuple(Series("television", "watch", observed, (1.23456,), (0.0,)) for observed in (True, False))
    shown = chart_document(Chart(5, (100,), lines))
    assert (shown["period"], shown["times"]) == (5, (100,))
    assert [(line["key"], line["name"], line["kept"], line["broken"]) for line in shown["series"]] == [
        ("television/watch", "watch", [1.235], [0.0]),
        ("television/watch/reported", "watch (reported)", [1.235], [0.0]),
    ]


async def stream(*, leaves_after: int | None, head: bool = False) -> tuple[list[bytes], list[bytes]]:
    """What was sent of an endless stream of which a client reads so many parts (None: it ends by itself), and how it
    was left."""
    sent: list[bytes] = []
    ended: list[bytes] = []
    left = asyncio.Event()

    async def parts() -> AsyncGenerator[bytes, None]:
        try:
            for number in itertools.count():
                if leaves_after is None and number == 3:
                    return
                yield b"%d" % number
                await asyncio.sleep(0)
        finally:
            ended.append(b"closed")

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("body", b"headers"))
        if leaves_after is not None and len(sent) > leaves_after:
            left.set()

    await respond(send, HttpResponse(200, None, (JSON,), stream=stream_of(parts())), head=head, receive=receive)
    return sent, ended


async def test_a_stream_is_sent_part_by_part_until_it_ends_or_the_client_leaves() -> None:
    assert await stream(leaves_after=None) == ([b"headers", b"0", b"1", b"2", b""], [b"closed"])
    sent, ended = await stream(leaves_after=5)
    assert sent[:6] == [b"headers", b"0", b"1", b"2", b"3", b"4"] and len(sent) < 12
    assert ended == [b"closed"]
    assert (await stream(leaves_after=None, head=True))[0] == [b"headers", b""]


async def test_a_stream_that_fails_fails_its_request() -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"1"
        raise ValueError("of ours")

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: MutableMapping[str, Any]) -> None:
        pass

    with pytest.raises(ValueError, match="of ours"):
        await respond(send, HttpResponse(200, stream=stream_of(broken())), receive=receive)
