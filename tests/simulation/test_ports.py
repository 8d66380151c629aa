"""Ports for installations that stand beside each other on one machine."""

import gc
import socket

from prikkfri.app.serving import listen
from prikkfri.simulation.installation import free_ports


def test_a_port_is_given_once_and_can_be_listened_on_again_and_again() -> None:
    ports = free_ports(40)
    gc.collect()
    others = []
    for _ in range(200):
        other = socket.socket()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        others.append(other)
    given = [*ports, *free_ports(40), *(other.getsockname()[1] for other in others)]
    assert len(given) == len(set(given))
    for _ in range(2):  # a role that was killed is started again
        for listening in listen(ports[0], "loopback"):
            listening.close()
    for other in others:
        other.close()
