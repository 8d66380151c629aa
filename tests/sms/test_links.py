"""Links: several binds that share the load, and who takes over when none is left."""

import asyncio
from typing import Any

import pytest
from sms_house import Peer
from waiting import eventually

from prikkfri.protocols.smpp.pdu import MessageAnswer, Status
from prikkfri.protocols.smpp.session import Request
from prikkfri.sms.delivery import at_once


def numbers(count: int, prefix: str = "4790") -> list[str]:
    return [f"{prefix}{number:06d}" for number in range(count)]


async def hand_in(at: Any, recipients: list[str]) -> None:
    account = at.centre.authenticate("shop", "secret12", address="127.0.0.1")
    ids = await asyncio.gather(*(at.centre.submit(account, "Shop", f"+{each}", "hei") for each in recipients))
    assert all(isinstance(each, str) for each in ids)


async def taken(peer: Peer, count: int) -> list[Request]:
    return [await peer.request() for _ in range(count)]


def recipients(requests: list[Request]) -> set[str]:
    return {request.body.destination for request in requests}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("room", "window", "binds", "takes"),
    [(50, 50, 1, 50), (7, 50, 1, 7), (50, 50, 2, 25), (7, 50, 2, 7), (50, 50, 3, 17), (1, 1, 5, 1), (0, 50, 2, 0),
     (50, 50, 0, 50)],
)  # fmt: skip
def test_a_bind_takes_its_part_of_a_window_at_once(room: int, window: int, binds: int, takes: int) -> None:
    assert at_once(room, window, binds) == takes


async def test_a_link_carries_its_window_over_each_of_its_binds_before_any_answer(house: Any) -> None:
    """A network far away answers all that it has been sent one round trip later, in the test's own time."""
    async with house(nord={"binds": 4, "window": 50}) as at:
        peers = [await at.network.bound() for _ in range(4)]
        await eventually(lambda: at.centre.counters()["link_binds_bound"] == 4)
        assert [at.centre.counters()[name] for name in ("links", "links_bound", "link_binds")] == [1, 1, 4]
        await hand_in(at, numbers(400))
        came, round_trips = set(), 0
        while len(came) < 400:
            waiting = [await taken(peer, 50) for peer in peers]
            came |= set.union(*map(recipients, waiting))
            for peer, requests in zip(peers, waiting, strict=True):
                for request in requests:
                    peer.take_message(request, request.body.destination)  # type: ignore[union-attr]
            round_trips += 1
        assert round_trips == 2  # of 100 ms each: 2,000 a second
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'sent'", 400)


async def test_what_one_bind_has_lost_goes_on_over_the_other(house: Any) -> None:
    async with house(nord={"binds": 2}, window=1) as at:
        first, second = await at.network.bound(), await at.network.bound()
        await eventually(lambda: at.centre.counters()["link_binds_bound"] == 2)
        await hand_in(at, numbers(3))
        gone = [*await taken(first, 1), *await taken(second, 1)]
        first.cut()
        second.answer(gone[1], Status.OK, MessageAnswer("net-1"))
        assert not recipients(await taken(second, 1)) & recipients(gone)
        await at.network.bound()
        assert at.centre.counters()["links_bound"] == 1


async def test_a_bind_that_comes_and_goes_keeps_no_doubt_waiting(house: Any) -> None:
    async with house(nord={"binds": 2}) as at:
        first, second = await at.network.bound(), await at.network.bound()
        await eventually(lambda: at.centre.counters()["link_binds_bound"] == 2)
        await hand_in(at, numbers(11))  # one more than a bind takes
        await taken(first, 1)
        for request in await taken(second, 1):
            second.answer(request, Status.OK, MessageAnswer("net-1"))
        first.cut()
        await at.until("SELECT COUNT(*) > 0 FROM sms_message WHERE state = 'in-doubt'", 1)
        at.clock.advance(30.0)
        await at.network.bound()
        await eventually(lambda: at.centre.counters()["link_binds_bound"] == 2)
        at.clock.advance(30.0)
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'in-doubt'", 0)
