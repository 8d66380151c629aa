"""What every role's listening sockets have in common."""

import asyncio
import socket

from prikkfri.app.serving import listen
from prikkfri.simulation.installation import free_ports


async def test_small_answers_are_not_held_back_for_the_last_ones_acknowledgement() -> None:
    """An answer is written in two pieces; without TCP_NODELAY the second one waits some 40 ms for the first's ACK."""
    [port] = free_ports(1)
    without_delay: asyncio.Queue[int] = asyncio.Queue()

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        without_delay.put_nowait(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listening = listen(port, "loopback")
    servers = [await asyncio.start_server(connected, sock=each) for each in listening]
    try:
        for address in ("127.0.0.1", "::1")[: len(listening)]:
            reader, writer = await asyncio.open_connection(address, port)
            assert await without_delay.get()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
    finally:
        for server in servers:
            server.close()
            await server.wait_closed()
