"""A connection as its owner meets it: events in order with an end to them, and no more of them than fit."""

import asyncio
from typing import Any

from prikkfri.clock import ManualClock
from prikkfri.protocols.smpp.pdu import Bind, Command, MessageResponse, Pdu, ShortMessage, Status, encode
from prikkfri.protocols.smpp.session import Limits, Request, SessionEnd, Side
from prikkfri.sms.server import EVENTS_MAX, Connection


class Wire(asyncio.Transport):
    """A transport that remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None:
        assert self.reading, "asked twice"
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading, "asked twice"
        self.reading = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def commands(self) -> list[int]:
        """Of the PDUs that were written."""
        found, rest = [], self.written
        while rest:
            found.append(int.from_bytes(rest[4:8], "big"))
            rest = rest[int.from_bytes(rest[:4], "big") :]
        return found


def submits(count: int, first: int = 1) -> bytes:
    message = ShortMessage(source="Shop", destination="4790000001", octets=b"hei")
    return b"".join(encode(Pdu(Command.SUBMIT_SM, Status.OK, first + number, message)) for number in range(count))


async def bound(clock: ManualClock) -> tuple[Connection, Wire]:
    """A connection whose peer, an account, has bound."""
    made: list[Connection] = []
    connection: Connection = Connection(Side.CENTRE, Limits(), clock, made.append)
    wire = Wire()
    connection.connection_made(wire)
    assert made == [connection]
    connection.data_received(encode(Pdu(Command.BIND_TRANSCEIVER, Status.OK, 1, Bind("shop", "secret12"))))
    [bind] = await connection.take(10)
    assert isinstance(bind, Request)
    connection.session.answer(bind, Status.OK)
    connection.flush()
    assert wire.commands() == [Command.BIND_TRANSCEIVER_RESP]
    wire.written = b""
    connection.awake.clear()
    return connection, wire


async def test_events_come_in_order_and_the_end_last(clock: ManualClock) -> None:
    connection, _ = await bound(clock)
    connection.data_received(submits(3))
    [first] = await connection.take(1)
    assert isinstance(first, Request)
    connection.connection_lost(None)
    assert connection.awake.is_set()
    *rest, ended = await connection.take(10)
    assert [getattr(event, "sequence", 0) for event in (first, *rest)] == [1, 2, 3]
    assert ended == SessionEnd("connection lost", ())
    assert connection.ended
    connection.close("once more")
    assert connection.arrived(10) == []


async def test_who_waits_for_events_is_woken_by_each_kind_of_them(clock: ManualClock) -> None:
    connection, _ = await bound(clock)
    for bring, found in (
        (lambda: connection.data_received(submits(1)), Request),
        (lambda: connection.close("enough"), SessionEnd),
    ):
        taking = asyncio.create_task(connection.take(10))
        await asyncio.sleep(0)
        assert not taking.done()
        bring()
        [event] = await taking
        assert isinstance(event, found)


async def test_after_the_end_the_wire_is_closed(clock: ManualClock) -> None:
    connection, wire = await bound(clock)
    connection.close("enough")
    assert wire.closed
    assert await connection.take(10) == [SessionEnd("enough", ())]
    assert connection.arrived(10) == []


async def test_who_hands_in_more_than_is_taken_is_read_no_further(clock: ManualClock) -> None:
    connection, wire = await bound(clock)
    connection.data_received(submits(EVENTS_MAX - 1))
    assert wire.reading
    connection.data_received(submits(1, EVENTS_MAX))
    assert not wire.reading
    connection.data_received(submits(5, EVENTS_MAX + 1))
    await connection.take(5)
    assert not wire.reading
    await connection.take(1)
    assert wire.reading


async def test_who_does_not_read_is_not_read_and_is_asked_again_when_it_does(clock: ManualClock) -> None:
    connection, wire = await bound(clock)
    connection.pause_writing()
    assert (connection.writable, wire.reading) == (False, False)
    connection.data_received(submits(1))
    await connection.take(1)
    assert not wire.reading
    connection.awake.clear()
    connection.resume_writing()
    assert (connection.writable, wire.reading, connection.awake.is_set()) == (True, True, True)


async def test_a_silent_peer_is_asked_whether_it_is_there_and_then_given_up(clock: ManualClock) -> None:
    connection, wire = await bound(clock)
    clock.advance(29.0)
    connection.tick()
    assert wire.commands() == []
    clock.advance(1.0)
    connection.tick()
    assert wire.commands() == [Command.ENQUIRE_LINK]
    clock.advance(60.0)
    connection.tick()
    assert await connection.take(10) == [SessionEnd("no answer to enquire_link", ())]
    assert wire.closed


async def test_what_is_answered_goes_out_when_it_is_flushed(clock: ManualClock) -> None:
    connection, wire = await bound(clock)
    connection.data_received(submits(2))
    for request in await connection.take(10):
        assert isinstance(request, Request)
        connection.session.answer(request, Status.OK, MessageResponse("id"))
    assert wire.commands() == []
    connection.flush()
    assert wire.commands() == [Command.SUBMIT_SM_RESP] * 2
    connection.connection_lost(None)
    connection.flush()  # a no-op from here on
