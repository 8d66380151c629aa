"""Who may connect and bind: silence shuts nobody out, and no account takes what is for all."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sms_house import HURRIED, PASSWORD, House
from waiting import eventually

from prikkfri.config import Account, Link
from prikkfri.protocols.smpp.pdu import Command, Status
from prikkfri.protocols.smpp.session import SessionEnd
from prikkfri.sms.binding import ConnectionLimits, UnboundConnections, bind_refused, promised_too_many
from prikkfri.sms.submission import TokenBucket

ONE_ENGINE = pytest.mark.parametrize("location", ["sqlite"], indirect=True)
"""Nothing here asks the database for much: one engine is enough."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def silent(house: House, number: int, address: str = "127.0.0.1") -> list[Stream]:
    """So many connections that say nothing."""
    opened: list[Stream] = []
    for start in range(0, number, 50):
        some = (
            asyncio.open_connection("127.0.0.1", house.port, local_addr=(address, 0))
            for _ in range(min(50, number - start))
        )
        opened += await asyncio.gather(*some)
    return opened


def close(streams: list[Stream]) -> None:
    for _, writer in streams:
        writer.transport.abort()


@pytest.mark.parametrize("addresses", [["127.0.0.1"], [f"127.0.2.{number}" for number in range(1, 7)]],
                         ids=["from one address", "from many"])  # fmt: skip
@ONE_ENGINE
async def test_hundreds_of_silent_connections_shut_no_account_out(house: Any, addresses: list[str]) -> None:
    async with house(room=ConnectionLimits(connections_max=120, unbound_max=60, unbound_of_address_max=20)) as at:
        held = [stream for address in addresses for stream in await silent(at, 240 // len(addresses), address)]
        room = min(60, 20 * len(addresses))
        await eventually(lambda: at.centre.counters()["connections_cut_total"] == 240 - room, what="all to be taken up")
        assert at.centre.counters()["connections_unbound"] == room
        for _ in range(3):
            await at.bound_client()
        await at.bound_client("clinic")
        assert [await reader.read() for reader, _ in held[:10]] == [b""] * 10, "the oldest made room"
        close(held)


@ONE_ENGINE
async def test_behind_a_trusted_proxy_there_is_more_than_one_address(house: Any) -> None:
    room = ConnectionLimits(unbound_max=60, unbound_of_address_max=5)
    async with house(room=room, trusted=("127.0.3.0/24",)) as at:
        held = await silent(at, 40, "127.0.3.1") + await silent(at, 10, "127.0.4.1")
        await eventually(lambda: at.centre.counters()["connections_unbound"] == 45)
        close(held)


@ONE_ENGINE
async def test_a_full_centre_gives_a_silent_ones_place_to_a_newcomer(house: Any) -> None:
    async with house(room=ConnectionLimits(connections_max=4)) as at:  # the link's own is one
        await at.bound_link()
        [(reader, writer)] = await silent(at, 1)
        await eventually(lambda: at.centre.counters()["connections"] == 2)
        for _ in range(3):
            await at.bound_client()
        assert await reader.read() == b""
        writer.close()
        _, cut = await at.asking_client()
        assert isinstance(cut, SessionEnd), "nobody who is bound leaves for another"


@ONE_ENGINE
async def test_a_connection_binds_in_time_or_is_closed(house: Any) -> None:
    async with house(timing=replace(HURRIED, bind_seconds_max=3.0)) as at:
        [(reader, writer)] = await silent(at, 1)
        await eventually(lambda: at.centre.counters()["connections_unbound"] == 1)
        bound = await at.bound_client()
        at.clock.advance(3.0, on_the_wire=True)
        assert await reader.read() == b""
        await eventually(lambda: at.centre.counters()["connections_unbound"] == 0)
        assert (await bound.submit())[0] == Status.OK
        writer.close()


@ONE_ENGINE
async def test_an_account_has_as_many_binds_as_it_may(house: Any) -> None:
    accounts = (
        Account(system_id="shop", password=PASSWORD, senders=("*",), binds_max=2),
        Account(system_id="web", password=PASSWORD, senders=("*",), binds_max=0),
        Account(system_id="clinic", password=PASSWORD, senders=("*",)),
    )
    async with house(accounts=accounts) as at:
        first = await at.bound_client()
        await at.bound_client(command=Command.BIND_RECEIVER)
        asked = [await at.client() for _ in range(3)]
        assert [status for _, status in asked] == [Status.BIND_FAILED] * 3
        assert isinstance(await asked[0][0].event(), SessionEnd)
        assert (await at.client("web"))[1] == Status.BIND_FAILED
        assert at.centre.counters()["binds_refused_total"] == 4
        await at.bound_client("clinic")
        assert (await first.submit())[0] == Status.OK
        first.cut()
        at.clock.advance(1.0, on_the_wire=True)

        async def binds() -> bool:
            return (await at.client())[1] == Status.OK

        await eventually(binds, what="a place that was left to be free")


@ONE_ENGINE
async def test_an_account_that_binds_again_and_again_is_slowed(house: Any) -> None:
    async with house(accounts=(Account(system_id="shop", password=PASSWORD, binds_max=3),)) as at:
        await at.bound_link()
        for _ in range(3):
            client = await at.bound_client()
            client.cut()
            await eventually(lambda: at.centre.counters()["connections"] == 1, what="the link alone")
        assert (await at.client())[1] == Status.BIND_FAILED
        at.clock.advance(0.5, on_the_wire=True)
        assert (await at.client())[1] == Status.OK


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60))
def test_the_room_is_never_over_its_size_and_whoever_comes_has_a_place(steps: list[tuple[int, bool]]) -> None:
    room = ConnectionLimits(unbound_max=6, unbound_of_address_max=3)
    unbound: UnboundConnections[int] = UnboundConnections(room, ["10.0.0.0/32"])
    held: dict[int, int] = {}
    for connection, (network, leaves) in enumerate(steps):
        own = [each for each, of in held.items() if of == network]
        gone = unbound.enter(connection, f"10.0.0.{network}")
        if network and len(own) == 3:
            assert gone == own[0], "of a network that has its share the oldest leaves"
        else:
            assert gone == (next(iter(held)) if len(held) == 6 else None)
        if gone is not None:
            del held[gone]
        held[connection] = network
        if leaves:
            unbound.leave(connection)
            unbound.leave(connection)
            del held[connection]
        assert len(unbound) == len(held) <= 6
        assert unbound.oldest() == next(iter(held), None)


def test_the_bucket_of_binds_fills_to_as_many_as_an_account_may_have() -> None:
    account, room = Account(system_id="a", password="", binds_max=4), ConnectionLimits(binds_per_second_max=1.0)
    bucket: str | TokenBucket = TokenBucket(0.0, 0.0)
    for _ in range(4):
        assert isinstance(bucket, TokenBucket)
        bucket = bind_refused(account, 3, bucket, room, 1_000.0)
    assert isinstance(bucket, TokenBucket)
    assert bind_refused(account, 3, bucket, room, 1_000.0) == "more than 1 binds a second"
    assert bind_refused(account, 4, bucket, room, 2_000.0) == "4 binds, and `binds_max` is 4"
    assert isinstance(bind_refused(account, 3, bucket, room, 1_001.0), TokenBucket)


def test_silence_from_a_whole_site_makes_room_for_itself_alone() -> None:
    unbound: UnboundConnections[int] = UnboundConnections(ConnectionLimits(unbound_max=10, unbound_of_address_max=2))
    assert unbound.enter(0, "192.0.2.1") is None
    gone = [unbound.enter(number, f"2001:db8:1:{number:x}::1") for number in range(1, 8)]
    assert gone == [None] * 4 + [1, 2, 3]
    assert len(unbound) == 5 and unbound.oldest() == 0


@pytest.mark.parametrize(("binds", "wrong"), [((), False), ((5,), False), ((1, 4), False), ((2, 4), True)])
def test_more_binds_than_there_are_connections_are_said_with_the_mend(binds: tuple[int, ...], wrong: bool) -> None:
    accounts = [Account(system_id=name, password=PASSWORD, binds_max=10) for name in "ab"]
    link = Link(name="a", partner="A", host="h", port=1, system_id="s", password="p", prefixes=())
    said = promised_too_many(accounts, [replace(link, binds=each) for each in binds], 25)
    assert bool(said) is wrong
    if wrong:
        assert said.startswith(
            "accounts may hold 20 binds (the sum of `binds_max`) and links 6 (the sum of `binds`), but"
        )
        assert "lower `binds_max`" in said and "\n" not in said
