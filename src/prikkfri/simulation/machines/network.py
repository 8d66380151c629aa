"""The network between machines: what one sends another is passed on, later, not at all, or torn.

Each machine has a tunnel (`namespaces`); whatever it sends comes here as packets, and what becomes of one is said by
the `Cable` between its ends. TCP on both sides is the kernel's own, with its retransmissions.
"""

import asyncio
import os
import random
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from prikkfri.simulation.machines.namespaces import Namespace
from prikkfri.simulation.machines.packets import ends, resets

PACKET_BYTES_MAX = 65_535
PACKETS_AT_ONCE = 64
HELD_PACKETS_MAX = 4_096
"""Of a cable that is stalled; what comes beyond is lost, as in a full buffer."""
NETWORK = "10.77.0"
PREFIX = 24

State = Literal["passes", "stalls", "resets", "cut"]


@dataclass
class Cable:
    """Between two machines, in both directions."""

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    """At most so much more, drawn for each packet; none overtakes another."""
    loss: float = 0.0
    """The share of packets that are lost."""
    state: State = "passes"
    """`stalls`: what is sent waits until it passes again; `resets`: each packet tears its connection; `cut`: all is
    lost, and nobody is told."""
    passed: int = 0
    lost: int = 0
    torn: int = 0
    held: list[tuple[int, bytes]] = field(default_factory=list)
    due: dict[int, float] = field(default_factory=dict)
    """By the descriptor of its recipient: when what was sent there last arrives."""


class Network:
    """The machines by name, in namespaces of their own; each reaches the others over the cables between them."""

    def __init__(self, machines: Sequence[str], lots: random.Random) -> None:
        """Raises `UsageError` where this process may make none."""
        self.address = {name: f"{NETWORK}.{number}" for number, name in enumerate(machines, 1)}
        self.namespaces: dict[str, Namespace] = {}
        self._tunnels: dict[str, int] = {}
        self._lots = lots
        self._cables = {frozenset(pair): Cable() for pair in combinations(machines, 2)}
        self._at = {socket.inet_aton(address): name for name, address in self.address.items()}
        try:
            for name in machines:
                self.namespaces[name] = Namespace.make()
                self._tunnels[name] = self.namespaces[name].tunnel(f"{self.address[name]}/{PREFIX}")
        except BaseException:
            self.close()
            raise

    def open(self) -> None:
        """Begins to pass packets on, on the running loop."""
        self._loop = asyncio.get_running_loop()
        for name, descriptor in self._tunnels.items():
            self._loop.add_reader(descriptor, self._take, name)

    def close(self) -> None:
        for descriptor in self._tunnels.values():
            if hasattr(self, "_loop") and not self._loop.is_closed():
                self._loop.remove_reader(descriptor)
            os.close(descriptor)
        for namespace in self.namespaces.values():
            namespace.close()
        self._tunnels.clear()
        self.namespaces.clear()

    def cables(self, *machines: str) -> Iterable[Cable]:
        """All, or those from and to any of these machines; of two, the one between them."""
        if len(machines) == 2:
            return [self._cables[frozenset(machines)]]
        return [cable for pair, cable in self._cables.items() if not machines or pair & set(machines)]

    def named_cables(self) -> dict[str, Cable]:
        return {"-".join(sorted(pair)): cable for pair, cable in self._cables.items()}

    def be(self, state: State, *machines: str) -> None:
        """Of the cables of `machines` (`cables`). Passing again, what was held goes on."""
        for cable in self.cables(*machines):
            cable.state = state
            if state == "passes":
                held, cable.held = cable.held, []
                for descriptor, packet in held:
                    self._send(cable, descriptor, packet)

    def _take(self, name: str) -> None:
        for _ in range(PACKETS_AT_ONCE):
            try:
                packet = os.read(self._tunnels[name], PACKET_BYTES_MAX)
            except (BlockingIOError, KeyError):
                return
            self._pass_on(name, packet)

    def _pass_on(self, source: str, packet: bytes) -> None:
        found = ends(packet)
        target = self._at.get(found[1]) if found else None
        if target is None or target == source:
            return
        cable, descriptor = self._cables[frozenset((source, target))], self._tunnels[target]
        if cable.state == "cut" or (cable.state == "passes" and self._lots.random() < cable.loss):
            cable.lost += 1
        elif cable.state == "stalls":
            if len(cable.held) < HELD_PACKETS_MAX:
                cable.held.append((descriptor, packet))
            else:
                cable.lost += 1
        elif cable.state == "resets":
            if torn := resets(packet):
                cable.torn += 1
                self._write(self._tunnels[source], torn[0])
                self._write(descriptor, torn[1])
        else:
            self._send(cable, descriptor, packet)

    def _send(self, cable: Cable, descriptor: int, packet: bytes) -> None:
        cable.passed += 1
        wait = cable.delay_seconds + self._lots.random() * cable.jitter_seconds
        if not wait:
            self._write(descriptor, packet)
            return
        due = max(cable.due.get(descriptor, 0.0), self._loop.time() + wait)
        cable.due[descriptor] = due
        self._loop.call_at(due, self._write, descriptor, packet)

    def _write(self, descriptor: int, packet: bytes) -> None:
        if descriptor in self._tunnels.values():
            try:
                os.write(descriptor, packet)
            except OSError:
                return  # no room, or the namespace has no such address any more: it is lost
