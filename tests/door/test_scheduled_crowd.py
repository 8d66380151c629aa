"""A crowd that gathers in a scheduled room, in virtual time: pages that ask as they are told, and a signin."""

import heapq
import random
from dataclasses import dataclass, field

from prikkfri.door.steering import OrderRequest, Steering, apply_order, draw_position
from prikkfri.door.waiting_room import Capacity, Line

START = 1_000_000.0
STEP = 0.05


@dataclass
class Crowd:
    """`people` gather evenly over the room's time, but for each tenth, who comes within ten seconds after it opens."""

    people: int
    per_second: float
    room_s: float
    positions: dict[int, float] = field(default_factory=dict)
    inside: set[int] = field(default_factory=set)
    called_at: dict[int, float] = field(default_factory=dict)
    signed_in: list[float] = field(default_factory=list)
    waits_told: list[tuple[int, float]] = field(default_factory=list)
    """Who was told to be called when, before it opened."""

    @property
    def opens_at(self) -> float:
        return START + self.room_s

    def run(self) -> None:
        line = Line(START * 64, START)
        line.heard(Capacity(self.per_second, 0.0, 0), START)
        wanted = OrderRequest("schedule", "Kari", 0, opens_at=self.opens_at)
        steering = apply_order(line.steering, wanted, now=START, rate_max=self.per_second)
        assert isinstance(steering, Steering)
        line.steer(steering, START)
        lots = random.Random(1)
        asks = [(self._comes_at(person, lots), person) for person in range(self.people)]
        heapq.heapify(asks)
        due: dict[int, float] = {}
        queue: list[float] = []
        """When those arrive at signin who were let in."""
        now, heard_at, spent, serving = START, START, 0, 0.0
        while len(self.signed_in) < self.people and now < self.opens_at + 600:
            now += STEP
            line.moved(now)
            if now - heard_at >= 1:
                heard_at = now
                waiting = sum(1 for at in queue if at <= now)
                line.heard(Capacity(self.per_second, waiting / self.per_second, spent), now)
            while asks and asks[0][0] <= now:
                at, person = heapq.heappop(asks)
                if (again_s := self._ask(line, person, now, due, lots)) is None:
                    heapq.heappush(queue, now + 0.1 + 0.2 * lots.random())
                else:
                    heapq.heappush(asks, (at + again_s, person))
            serving = serving + self.per_second * STEP if queue and queue[0] <= now else 0.0
            while serving >= 1 and queue and queue[0] <= now:
                heapq.heappop(queue)
                serving, spent = serving - 1, spent + 1
                self.signed_in.append(now)

    def _comes_at(self, person: int, lots: random.Random) -> float:
        late = person % 10 == 9
        return self.opens_at + 10 * lots.random() if late else START + 1 + (self.room_s - 1) * lots.random()

    def _ask(self, line: Line, person: int, now: float, due: dict[int, float], lots: random.Random) -> float | None:
        """Seconds until they ask again; None: they are let in."""
        if person not in self.positions:
            if room := line.steering.closed_room:
                self.positions[person] = draw_position(room, f"d-{person:022}", b"k" * 32, 1 << 14)
                line.joined_room(self.positions[person], now)
                self.inside.add(person)
            elif line.at_once():
                self.positions[person], self.called_at[person] = float("inf"), now
                return None
            else:
                self.positions[person] = line.joined(lots.random(), now)
            return 1.0
        position = self.positions[person]
        if person not in due:
            line.came_back(position, now)
        else:
            line.landed(position, due[person])
        if line.let_in(position):
            self.called_at[person] = now
            return None
        place, due[person] = line.told(position, now)
        if now < self.opens_at and place.wait_s is not None:
            self.waits_told.append((person, now + place.wait_s))
        return place.poll_after_s + (0.0 if place.held else 0.08)


def test_when_a_room_opens_all_get_in_by_lot_at_the_rate_of_signin_and_nobody_is_overtaken() -> None:
    crowd = Crowd(600, 20.0, 40.0)
    crowd.run()
    assert len(crowd.signed_in) == 600 and 480 < len(crowd.inside) <= 540
    first = min(crowd.called_at.values())
    assert crowd.opens_at <= first < crowd.opens_at + 1
    overtaken, soonest = 0, float("inf")
    for person in sorted(crowd.positions, key=lambda each: crowd.positions[each], reverse=True):
        overtaken += crowd.called_at[person] > soonest + 1
        soonest = min(soonest, crowd.called_at[person])
    assert overtaken == 0
    busy = sum(1 for at in crowd.signed_in if crowd.opens_at + 1 <= at < crowd.opens_at + 21)
    assert busy >= 0.95 * 20 * 20
    lasts = [crowd.called_at[person] for person in crowd.positions if person not in crowd.inside]
    assert min(lasts) > max(crowd.called_at[person] for person in crowd.inside) - 1
    final = dict(crowd.waits_told)
    errors = sorted(abs(told - crowd.called_at[person]) for person, told in final.items())
    assert errors[len(errors) // 2] < 10  # more have come since they were told
