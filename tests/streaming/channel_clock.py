"""A clock for a channel's thread that moves only because the channel works: nobody waits for seconds to pass."""

import threading

from prikkfri.streaming.playout import Feed
from prikkfri.streaming.ticks import TICKS_PER_SECOND, Tick

TICK_SECONDS = 1 / TICKS_PER_SECOND
BEGAN = 1_700_000_000.4


class Clock:
    """Moves as a channel's work takes time; just before a tick is due when it begins."""

    def __init__(self) -> None:
        self.steady = 0.0
        self.wall_ahead = BEGAN + 0.99 * TICK_SECONDS

    def monotonic(self) -> float:
        return self.steady

    def now(self) -> float:
        return self.steady + self.wall_ahead


class Timed:
    """A feed that takes its time for each tick, and says when it has been asked for so many."""

    def __init__(self, feed: Feed, clock: Clock, ticks: int) -> None:
        self.on_air, self.preset = feed.on_air, feed.preset
        self.enough = threading.Event()
        self._feed = feed
        self._clock = clock
        self._left = ticks

    def take(self, tick: int, *, hurried: bool) -> Tick:
        self._clock.steady += TICK_SECONDS
        self._left -= 1
        if self._left <= 0:
            self.enough.set()
        return self._feed.take(tick, hurried=hurried)

    def start(self) -> None:
        self._feed.start()

    def stop(self) -> None:
        self._feed.stop()
