"""`prikkfri simulate waiting-room`: six crowds before the real line, and forgers before the real door."""

import asyncio
import base64
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from prikkfri.clock import ManualClock
from prikkfri.config import Config
from prikkfri.config import Door as DoorSettings
from prikkfri.door.service import Admitted, Door, Refused, Waiting, load_keys
from prikkfri.door.ticket import opened, sealed
from prikkfri.door.waiting_room import Capacity
from prikkfri.protocols import admission_pass, jwt
from prikkfri.simulation.device_key import DeviceKey
from prikkfri.simulation.waiting import judging
from prikkfri.simulation.waiting.judging import Result
from prikkfri.simulation.waiting.world import AGAIN_SECONDS_MAX, LATER_SHARE, Evening, Scene, World
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import read_public_keys

PEOPLE_PER_CAPACITY = 500
"""The crowd is what signin takes in so many seconds."""
PEOPLE_OF_SMALLER_SCENES = 5
"""Bots are drawn with a fifth of the people."""
KILLED_SECONDS = 20.0
PATIENCE_SECONDS = 10.0
"""In the mean, of those who come ten times as fast as they can be let in."""
FORGED = 2_000
REPEATED = 200
TICKETS_TIMED = 20_000


def scenes(people: int, seed: int) -> dict[str, Scene]:
    fewer = max(1_000, people // PEOPLE_OF_SMALLER_SCENES)
    capacity, smaller = max(2.0, people / PEOPLE_PER_CAPACITY), max(2.0, fewer / PEOPLE_PER_CAPACITY)
    return {
        "leaving_12": Scene(people, capacity, leaving=0.12, seed=seed),
        "leaving_45": Scene(people, capacity, leaving=0.45, seed=seed + 1),
        "bots_30": Scene(fewer, smaller, bots=0.3, seed=seed + 2),
        "all_leave": Scene(people, capacity, all_leave_after_s=60.0, seed=seed + 3),
        "ten_times": Scene(people, capacity, load_x=10.0, patience_s=PATIENCE_SECONDS, seed=seed + 4),
        "door_killed": Scene(
            people, capacity, load_x=10.0, patience_s=PATIENCE_SECONDS, door_killed_at_s=KILLED_SECONDS, seed=seed + 5
        ),
    }


def simulate(people: int, seed: int, say: Callable[[str], None]) -> Result:
    """`say` is told the name of each scene that is over."""
    evenings: dict[str, Evening] = {}
    drawn = scenes(people, seed)
    for name, scene in drawn.items():
        evenings[name] = World(scene).run()
        say(name)
    leaving = [evenings["leaving_12"], evenings["leaving_45"]]
    forged, repeated, tickets = at_the_door(seed)
    say("forgers")
    return Result(
        waiting_peak=max(evening.waiting_peak for evening in leaving),
        state_bytes=max(evening.state_bytes for evening in evenings.values()),
        overtaken_by_more_than_1_s=sum(judging.overtaken(evening) for evening in leaving),
        estimate_error_s={name: judging.estimate_error(evenings[name]) for name in ("leaving_12", "leaving_45")},
        machine_used=min(judging.machine_used(evening) for evening in leaving),
        passes_outstanding_s=max(judging.outstanding_s(evening) for evening in leaving),
        bots_30={"honest_share": judging.machine_used(evenings["bots_30"])},
        all_leave_recovery_s=judging.recovery_s(evenings["all_leave"], drawn["all_leave"], LATER_SHARE),
        ten_times={"goodput_share": judging.goodput_share(evenings["ten_times"], drawn["ten_times"])},
        door_killed={
            "goodput_share": judging.goodput_share_after_restart(evenings["door_killed"], drawn["door_killed"]),
            "overtaken": judging.overtaken(evenings["door_killed"], judging.OVERTAKEN_SECONDS + AGAIN_SECONDS_MAX),
        },
        forged_admitted=forged,
        repeated_admitted=repeated,
        tickets_per_cpu_s=tickets,
    )


def at_the_door(seed: int) -> tuple[int, int, float]:
    """Forged and stolen tickets that the real door let in, passes beyond one for each ticket shown again and again, and
    tickets sealed and opened in a second of CPU."""
    lots = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        home, clock = Path(folder), ManualClock()
        keys = load_keys(home)

        async def ask() -> Capacity | None:
            return Capacity(10.0 * REPEATED, 0.0) if joined else None

        joined: list[Admitted | Waiting | Refused] = []
        config = Config(home=home, door=DoorSettings(joins_per_network=0))
        door = Door(
            record=lambda outcome: None,
            config=config,
            keys=keys,
            clock=clock,
            tokens=DeviceTokens(home, clock),
            ask_capacity=ask,
        )
        key, thief = DeviceKey(), DeviceKey()
        joined += [door.enter(f"d-{number:022d}", key.holder) for number in range(REPEATED)]
        tickets = [answer.ticket for answer in joined if isinstance(answer, Waiting)]
        for _ in range(20):
            clock.advance(0.25)
            asyncio.run(door.ask_signin())
        forgeries = [_altered(tickets[0], lots) for _ in range(FORGED)]
        forged = sum(isinstance(door.waiting(each, key.proof("enter", each)), Admitted) for each in forgeries)
        forged += sum(isinstance(door.waiting(each, thief.proof("enter", each)), Admitted) for each in tickets)
        pass_keys = jwt.read_jwks(read_public_keys(home, "pass"))
        repeated = 0
        for ticket in tickets:
            answers = [door.waiting(ticket, key.proof("enter", ticket)) for _ in range(3)]
            passes = [admission_pass.verified(a.admission, pass_keys) for a in answers if isinstance(a, Admitted)]
            repeated += max(0, len({each.pass_id for each in passes if each}) - 1)
        known = opened(tickets[0], keys.ticket.current, clock.now())
        assert known is not None
        began = time.process_time()
        for _ in range(TICKETS_TIMED):
            opened(sealed(known, keys.ticket.current), keys.ticket.current, clock.now())
        return forged, repeated, round(TICKETS_TIMED / (time.process_time() - began))


def _altered(ticket: str, lots: np.random.Generator) -> str:
    """A ticket of which some bits were turned."""
    content = bytearray(base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4)))
    for at in lots.choice(len(content), int(lots.integers(1, 9)), replace=False):
        content[at] ^= int(lots.integers(1, 256))
    return base64.urlsafe_b64encode(bytes(content)).rstrip(b"=").decode()
