"""Links: several binds that share the load, and who takes over when none is left."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sms_house import HURRIED, Peer
from waiting import eventually

from prikkfri.protocols.smpp.pdu import Command, MessageResponse, ShortMessage, Status
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
        assert [at.centre.counters()[name] for name in ("links", "links_bound", "link_binds_configured")] == [1, 1, 4]
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
        second.answer(gone[1], Status.OK, MessageResponse("net-1"))
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
            second.answer(request, Status.OK, MessageResponse("net-1"))
        first.cut()
        await at.until("SELECT COUNT(*) > 0 FROM sms_message WHERE state = 'in-doubt'", 1)
        at.clock.advance(30.0)
        await at.network.bound()
        await eventually(lambda: at.centre.counters()["link_binds_bound"] == 2)
        at.clock.advance(30.0)
        await at.until("SELECT COUNT(*) FROM sms_message WHERE state = 'in-doubt'", 0)


# another link takes over

SECOND = {"prefixes": ("47",), "priority": 1}
SOON = replace(HURRIED, take_over_seconds=1.0)
"""Less than a bind may take."""


async def down(at: Any, links: int = 1, seconds: float = 1.0) -> None:
    at.clock.advance(seconds, on_the_wire=True)
    await eventually(lambda: at.centre.counters()["links_down"] == links)


async def targets(at: Any) -> dict[str, int]:
    return dict(await at.fetch("SELECT target, COUNT(*) FROM sms_message GROUP BY target"))


async def placed(at: Any, wanted: dict[str, int]) -> bool:
    return await targets(at) == wanted


async def message_for(peer: Peer) -> str:
    request, message = await peer.message()
    peer.take_message(request, f"id-{message.destination}")
    return message.destination


async def test_another_link_takes_over_when_one_is_down_and_gives_back_what_comes_after(house: Any) -> None:
    async with house(timing=SOON, beside=SECOND) as at:
        nord, syd = await at.network.bound(), await at.other.bound()
        await hand_in(at, ["4790000001"])
        assert await message_for(nord) == "4790000001"
        nord.cut()
        await eventually(lambda: at.centre.counters()["links_bound"] == 1)
        await hand_in(at, ["4790000002", "4790000003"])
        await down(at, 0, 0.75)
        assert await targets(at) == {"link:nord": 3}
        await down(at, 1, 0.25)
        assert {await message_for(syd) for _ in range(2)} == {"4790000002", "4790000003"}
        await hand_in(at, ["4790000004"])
        assert await message_for(syd) == "4790000004"
        [(moved,)] = await at.fetch("SELECT id FROM sms_message WHERE recipient = '4790000002'")
        trail = await at.centre.trail(moved)
        [step] = [step for step in trail.steps if step.event == "sent-another-way"]
        assert step.detail == "from link nord to link syd"
        nord = await at.network.bound()
        await eventually(lambda: at.centre.counters()["links_down"] == 0)
        await hand_in(at, ["4790000005"])
        assert await message_for(nord) == "4790000005"


async def test_a_link_that_was_never_bound_is_down_too(house: Any) -> None:
    async with house(timing=SOON, beside=SECOND) as at:
        syd = await at.other.bound()
        await hand_in(at, ["4790000001"])
        await down(at)
        assert await message_for(syd) == "4790000001"


async def test_a_link_is_not_down_while_one_of_its_binds_is_left(house: Any) -> None:
    async with house(timing=SOON, nord={"binds": 2}, beside=SECOND) as at:
        first, second = await at.network.bound(), await at.network.bound()
        await at.other.bound()
        await eventually(lambda: at.centre.counters()["link_binds_bound"] == 3)
        first.cut()
        await eventually(lambda: at.centre.counters()["link_binds_bound"] == 2)
        await down(at, 0, 5.0)
        await hand_in(at, ["4790000001"])
        assert await message_for(second) == "4790000001"


async def test_what_no_other_link_takes_waits_for_its_own(house: Any) -> None:
    async with house(timing=SOON, nord={"prefixes": ("47", "46")}, beside=SECOND) as at:
        syd = await at.other.bound()
        await hand_in(at, ["4690000001", "4790000001"])
        await down(at)
        assert await message_for(syd) == "4790000001"
        await hand_in(at, ["4690000002", "4790000002"])
        assert await message_for(syd) == "4790000002"
        nord = await at.network.bound()
        assert {await message_for(nord) for _ in range(2)} == {"4690000001", "4690000002"}


async def test_when_both_are_down_whoever_comes_back_takes_all(house: Any) -> None:
    async with house(timing=SOON, beside=SECOND) as at:
        await at.bound_client()  # the centre runs
        await down(at, 2)
        await hand_in(at, ["4790000001"])
        syd = await at.other.bound()
        assert await message_for(syd) == "4790000001"
        syd.cut()
        await eventually(lambda: at.centre.counters()["links_bound"] == 0)
        await hand_in(at, ["4790000002"])
        await down(at, 2)
        nord = await at.network.bound()
        assert await message_for(nord) == "4790000002"


@pytest.mark.parametrize("how", ["priority", "instead"])
async def test_a_stopped_route_goes_by_the_next_link_with_what_comes_back_to_it(house: Any, how: str) -> None:
    links = {"beside": SECOND} if how == "priority" else {"instead": "syd"}
    async with house(timing=SOON, **links, window=1) as at:
        nord, syd = await at.network.bound(), await at.other.bound()
        await hand_in(at, ["4790000001", "4790000002"])
        request, message = await nord.message()
        await at.centre.switch_route("nord", "stopped", who="Kari", reason="r")
        assert await message_for(syd) != message.destination
        nord.answer(request, Status.QUEUE_FULL, MessageResponse())
        await at.until(f"SELECT target FROM sms_message WHERE recipient = '{message.destination}'", "link:syd")
        at.clock.advance(1.0, on_the_wire=True)
        assert await message_for(syd) == message.destination
        await at.centre.switch_route("nord", "open", who="Kari", reason="r")
        await hand_in(at, ["4790000003"])
        assert await message_for(nord) == "4790000003"


async def test_whoever_takes_over_gets_nothing_that_it_handed_in(house: Any) -> None:
    async with house(timing=SOON, nord={"network": "own"}, beside=SECOND) as at:
        syd = await at.other.bound()
        syd.ask(Command.DELIVER_SM, ShortMessage(source="4590000001", destination="4790000001", octets=b"hei"))
        assert (await syd.answered()).status == Status.OK
        await hand_in(at, ["4790000002"])
        await down(at)
        assert await message_for(syd) == "4790000002"
        syd.ask(Command.DELIVER_SM, ShortMessage(source="4590000001", destination="4790000003", octets=b"hei"))
        assert (await syd.answered()).status == Status.OK
        nord = await at.network.bound()
        assert {await message_for(nord) for _ in range(2)} == {"4790000001", "4790000003"}


async def test_more_than_one_look_takes_in_goes_on(house: Any) -> None:
    """What waits is looked at in batches, those that stay among those that go."""
    async with house(timing=SOON, nord={"prefixes": ("47", "46")}, beside=SECOND, window=1) as at:
        await hand_in(at, [*numbers(260, "4690"), *numbers(260), *numbers(260, "4691")])
        await at.other.bound()
        await down(at)
        await eventually(lambda: placed(at, {"link:syd": 260, "link:nord": 520}))


async def test_that_a_network_has_not_answered_in_time_is_said_in_words(
    house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(timing=replace(HURRIED, connect_seconds_max=0.0)):
        await eventually(lambda: "link nord: cannot connect: no answer" in caplog.text)
