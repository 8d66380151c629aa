"""A crowd before the waiting room, in simulated time: people who poll as they are told, and a signin with a line."""

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

from prikkfri.door import waiting_room
from prikkfri.door.waiting_room import Capacity

STEP_SECONDS = 0.05


@dataclass
class Person:
    arrived: float
    patient: bool
    number: int = -1
    told_wait_s: float | None = None
    let_in: float | None = None
    signed_in: float | None = None


@dataclass
class Evening:
    people: list[Person] = field(default_factory=list)
    busy: list[tuple[float, float]] = field(default_factory=list)
    """Time, and the share of signin's capacity that was in use in the second before."""
    longest_wait_at_signin_s: float = 0.0
    silent: list[float] = field(default_factory=list)
    """The front at each step while signin was dead."""


def evening_of(
    arrivals_per_second: dict[tuple[float, float], float],
    *,
    capacity: float,
    claimed: float | None = None,
    dead: tuple[float, float] = (0, 0),
    leaving: float = 0.0,
    seconds: float,
    seed: int = 1,
) -> Evening:
    """`arrivals_per_second`: rates by (from, to). `claimed`: what signin reports, when that is not its capacity.
    `leaving`: the share of people who close the page while they wait."""
    lots = random.Random(seed)
    evening = Evening()
    line = waiting_room.opened(0, 0.0, 0.0)
    polls: list[tuple[float, int, Person]] = []
    at_signin: deque[tuple[float, Person]] = deque()
    serving, served, asked, order = 0.0, 0, -1.0, 0
    now = 0.0

    def admit(person: Person) -> None:
        person.let_in = now
        at_signin.append((now + lots.uniform(0.05, 0.3), person))

    def answer(person: Person) -> None:
        nonlocal order, line
        waited = person.told_wait_s is not None
        if moved := waiting_room.let_in(line, person.number, waited=waited):
            line = moved
            admit(person)
            return
        place = waiting_room.place(line, person.number)
        if person.told_wait_s is None:
            person.told_wait_s = place.wait_s
        if person.patient:
            order += 1
            heapq.heappush(polls, (now + place.poll_after_s, order, person))

    while now < seconds:
        now += STEP_SECONDS
        alive = not dead[0] <= now < dead[1]
        if now - asked >= 1.0:
            asked = now
            line = waiting_room.moved(line, now)
            if alive:
                line = waiting_room.heard(line, Capacity(claimed or capacity, len(at_signin) / capacity), now)
        rate = sum(rate for (start, end), rate in arrivals_per_second.items() if start <= now < end)
        for _ in range(int(rate * STEP_SECONDS + lots.random())):
            line, number = waiting_room.joined(waiting_room.moved(line, now))
            person = Person(now, lots.random() >= leaving, number)
            evening.people.append(person)
            answer(person)
        while polls and polls[0][0] <= now:
            _, _, person = heapq.heappop(polls)
            line = waiting_room.moved(line, now)
            answer(person)
        if alive:
            serving = min(serving + capacity * STEP_SECONDS, 1 + capacity * STEP_SECONDS)
            while serving >= 1 and at_signin and at_signin[0][0] <= now:
                since, person = at_signin.popleft()
                person.signed_in = now
                evening.longest_wait_at_signin_s = max(evening.longest_wait_at_signin_s, now - since)
                serving, served = serving - 1, served + 1
        else:
            evening.silent.append(line.front)
        if round(now / STEP_SECONDS) % round(1 / STEP_SECONDS) == 0:
            evening.busy.append((now, served / capacity))
            served = 0
    return evening


def busy_share(evening: Evening, start: float, end: float) -> float:
    shares = [share for at, share in evening.busy if start < at <= end]
    return sum(shares) / len(shares)
