"""The misdelivery at its real size through incident response: what a look costs as it goes on, and what it lists.

    python benchmarks/misdelivery.py [--messages 4000000] [--exposed 200000] [--hours 10] [--compressed 1]
        [--look-every 60] [--exposed-only]

Twenty ways carry messages at an even rate; after a quarter of an hour one of them goes bad, and stays so for the hours.
Each message is told of as the SMS centre tells it: handed in, asked of the centre, asked of the link, settled; four in
a hundred phones are off. A canary flies on each way every five seconds; of those on the bad way one in twenty is not on
its phone, and the way is condemned, from a minute before it went bad. Outcomes go through the same store, detection,
placing and lists as those of a real day (SQLite in a temporary folder); people and roles are made up. `--compressed N`:
N times as many messages a second in an Nth of the time. `--exposed-only`: nothing is detected and nobody is listed as
hit; the incident is given, and only what it exposed is followed.

Printed are CPU seconds of what a look does for the exposed messages and of the rest of it, those of the first and of
the last tenth of the looks, the longest time for which the loop (the console, say) was held up, what a restart costs,
the peak of memory, and the exposed messages against the truth.
"""

import argparse
import asyncio
import os
import platform
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TypeVar
from zoneinfo import ZoneInfo

from evening import nothing_else

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import ExposedMessage
from prikkfri.assurance.incidents import Incident, open_incident
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.response.exposures.service import Exposures
from prikkfri.assurance.response.service import Response
from prikkfri.assurance.response.tables import exposed_csv
from prikkfri.assurance.response.timing import TIMING
from prikkfri.assurance.segments import Segment
from prikkfri.clock import ManualClock
from prikkfri.config import Assurance
from prikkfri.journal import Outcome, Page
from prikkfri.sms import outcomes as sms
from prikkfri.sms.canaries.verdicts import Canary, JudgedCanary, Verdict
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.messages import Message, message_id
from prikkfri.sms.routing import Party
from prikkfri.storage import Database, Location, open_database

BEGAN = 1_700_000_000.0
ORDINARY_SECONDS = 900
AFTER_SECONDS = 120
WAYS = 20
BAD = "way-07"
PARTNERS = {f"way-{number:02d}": f"Partner {number:02d}" for number in range(WAYS)}
ACCOUNT = Party("account", "shop")
CLASSES = ("notice", "notice", "notice", "code", "health")
CANARY_EVERY_SECONDS = 5
NOTICED_AFTER_SECONDS = 45
NOT_EXCLUDED_SECONDS = 60
ASTRAY_SHARE = 0.05
OFF_SHARE = 0.04
OFF_SECONDS_MAX = 600
TICK_EVERY_SECONDS = 10
BEAT_SECONDS = 0.002
ZONE = ZoneInfo("Europe/Oslo")
T = TypeVar("T")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--messages", type=int, default=4_000_000, help="while one way is bad")
    arguments.add_argument("--exposed", type=int, default=200_000, help="of them, those that go that way")
    arguments.add_argument("--hours", type=float, default=10.0, help="for which it is bad")
    arguments.add_argument("--compressed", type=float, default=1.0, help="times as many messages a second")
    arguments.add_argument("--look-every", type=int, default=60, help="seconds between two looks")
    arguments.add_argument("--exposed-only", action="store_true", help="nothing is followed but what it exposed")
    chosen = arguments.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before")
    seconds = round(chosen.hours * 3_600 / chosen.compressed)
    traffic = Traffic(chosen.messages, chosen.exposed, seconds)
    with tempfile.TemporaryDirectory(prefix="pf-misdelivery-") as folder:
        asyncio.run(misdelivery(Path(folder), traffic, look_every=chosen.look_every, whole=not chosen.exposed_only))


class Traffic:
    """What the SMS centre tells, second by second."""

    def __init__(self, messages: int, exposed: int, seconds: int) -> None:
        self.fault = BEGAN + ORDINARY_SECONDS
        self.end = self.fault + seconds
        self.until = self.end + AFTER_SECONDS
        self.exposed: set[str] = set()
        """Messages that went the bad way while it was bad, or when that cannot be excluded."""
        self._per_second = messages / seconds
        self._bad_share = exposed / messages
        self._random = Random(7)
        self._number = round(-OFF_SECONDS_MAX * self._per_second)
        self._later: dict[int, list[Outcome]] = defaultdict(list)
        for ago in range(OFF_SECONDS_MAX, 0, -1):
            self.told(BEGAN - ago)

    def told(self, second: float) -> list[Outcome]:
        due = int(second - BEGAN)
        until = round((due + 1) * self._per_second)
        first, count = self._number, until - self._number
        for index in range(count):
            self._message(second + index / count, first + index)
        self._number = until
        if due % CANARY_EVERY_SECONDS == 0:
            for link in PARTNERS:
                self._canary(second, link)
        if second == self.fault + NOTICED_AFTER_SECONDS:
            earliest = self.fault - NOT_EXCLUDED_SECONDS
            self._tell(second, *sms.condemned(BAD, PARTNERS, earliest=earliest, likeliest=self.fault))
        return self._later.pop(due, [])

    def _tell(self, at: float, *outcomes: Outcome) -> None:
        """`at`: when it is told, which may be long after what it tells of."""
        if at >= BEGAN:  # of what was handed in before only its end
            self._later[int(at - BEGAN)] += outcomes

    def _message(self, at: float, number: int) -> None:
        random = self._random
        bad = int((number + 1) * self._bad_share) > int(number * self._bad_share)
        link = BAD if bad else f"way-{(8 + number % (WAYS - 1)) % WAYS:02d}"
        identity, message_class = message_id(at, random.randbytes(5)), CLASSES[number % len(CLASSES)]
        recipient = f"467{random.randrange(10**8):08d}"
        message = Message(
            id=identity, submission=identity, part=1, parts=1, origin=str(ACCOUNT), target=f"link:{link}",
            message_class=message_class, sender="Shop", recipient=recipient, sealed=None, registered=1,
            accepted_at=at, due_at=at, expires_at=at + 172_800, attempted_at=at + 0.05,
        )  # fmt: skip
        self._tell(
            at,
            sms.submitted(ACCOUNT, message_class, PARTNERS, reason="", now=at),
            sms.asked(message, PARTNERS),
        )
        self._tell(at + 0.1, sms.handed_over(message, PARTNERS))
        off = random.random() < OFF_SHARE
        settled_at = at + (random.uniform(30, OFF_SECONDS_MAX) if off else random.uniform(1, 10))
        state = DeliveryState.UNDELIVERABLE if off else DeliveryState.DELIVERED
        self._tell(
            settled_at,
            sms.settled(
                identity, recipient, state, "network-027" if off else "",
                sms.dimensions(message.origin, message.target, message_class, PARTNERS), now=settled_at,
            ),
        )  # fmt: skip
        if bad and self.fault - NOT_EXCLUDED_SECONDS <= message.attempted_at < self.end:
            self.exposed.add(identity)

    def _canary(self, at: float, link: str) -> None:
        identity = message_id(at, self._random.randbytes(5))
        canary = Canary(identity, identity, link, "46700000000", DeliveryState.DELIVERED, at, at, at, at, 0.0)
        bad = link == BAD and self.fault <= at <= self.end
        missing = bad and self._random.random() < ASTRAY_SHARE
        judged = JudgedCanary(canary, Verdict.MISSING if missing else Verdict.ARRIVED, receipted=True)
        trusted = not bad or at < self.fault + NOTICED_AFTER_SECONDS
        self._tell(at, *sms.canary(judged, PARTNERS, trusted=trusted, now=at))


@dataclass
class Cost:
    """CPU seconds of each look, and the most of the loop's own thread in one piece."""

    seconds: list[float] = field(default_factory=list)
    in_one_piece: list[float] = field(default_factory=list)

    async def of(self, work: Awaitable[T]) -> T:
        pieces = [0.0]
        beating = asyncio.create_task(beat(pieces))
        await asyncio.sleep(2 * BEAT_SECONDS)
        pieces[:], spent = [0.0], time.process_time()
        done = await work
        spent = time.process_time() - spent
        await asyncio.sleep(2 * BEAT_SECONDS)
        beating.cancel()
        self.seconds.append(spent)
        self.in_one_piece.append(max(pieces))
        return done

    def print(self, name: str) -> None:
        """The first is had by itself: it reads what was before it."""
        first, later = self.seconds[0], self.seconds[1:]
        in_one_piece = f"{1_000 * max(self.in_one_piece):.0f} ms at most in one piece"
        if not later:
            print(f"  {name}: {first:.3f} CPU s, {in_one_piece}")
            return
        tenth = max(1, len(later) // 10)
        began, ended = (sum(some) / tenth for some in (later[:tenth], later[-tenth:]))
        print(
            f"  {name}: {first:.3f} CPU s the first, then {max(later):.3f} at most and {sum(later) / len(later):.4f}"
            f" on the mean of {len(later)}; {began:.4f} in the first tenth, {ended:.4f} in the last;"
            f" {in_one_piece}"
        )


async def beat(pieces: list[float]) -> None:
    """In CPU of the loop's thread: the clock on the wall shows the neighbours of a shared machine as well."""
    while True:
        began = time.thread_time()
        await asyncio.sleep(BEAT_SECONDS)
        pieces.append(time.thread_time() - began)


async def misdelivery(folder: Path, traffic: Traffic, *, look_every: int, whole: bool) -> None:
    clock = ManualClock(BEGAN)
    database = await open_database(Location(folder), "assurance")
    response = Response(database, settings=Assurance(), surroundings=nothing_else(clock), clock=clock, zone=ZONE)
    exposed, looks = Cost(), Cost()
    outcomes = 0
    for told in seconds(clock, traffic):
        outcomes = await take(database, response if whole else None, told, outcomes, clock)
        clock.advance(1)
        second = int(clock.now() - BEGAN)
        if whole and second % TICK_EVERY_SECONDS == 0:
            await response.watch.tick()
        if second % look_every == 0:
            incident = await known(response, traffic, clock.now(), whole=whole)
            if incident is not None:
                await exposed.of(response.evaluations.exposures.figures(incident))
            if whole:
                cost = looks if incident is not None else Cost()
                await cost.of(response.evaluations.look())
    octets = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    print(f"  {outcomes:,} outcomes stored, {octets / 1e6:,.0f} MB")
    for name, cost in (("what it exposed", exposed), ("the rest of a look", looks)):
        if cost.seconds:
            cost.print(name)
    await report(response, database, traffic, clock, whole=whole)
    await database.close()


def seconds(clock: ManualClock, traffic: Traffic) -> Iterator[list[Outcome]]:
    while clock.now() < traffic.until:
        yield traffic.told(clock.now())


async def take(
    database: Database, response: Response | None, told: Sequence[Outcome], taken: int, clock: ManualClock
) -> int:
    """Stored some at a time, as a follower stores a page; how many there are now."""
    most = TIMING.outcomes_at_once_max
    for first in range(0, len(told), most):
        part = list(told[first : first + most])
        page = Page("i", taken + 1, taken + len(part), part, taken + len(part), 0, 0)
        taken += len(part)
        await database.write(lambda t, page=page: outcome_store.add_outcomes(t, "sms", page, clock.now()))  # type: ignore[misc]
        if response is not None:
            response.watch.arrived("sms", part)
    return taken


async def known(response: Response, traffic: Traffic, now: float, *, whole: bool) -> Incident | None:
    """The incident of the messages that went astray, when there is one."""
    if whole:
        of_messages = [each for each in await response.register.incidents() if each.service == "messages"]
        return min(of_messages, key=lambda each: each.opened_at, default=None)
    opened_at = traffic.fault + NOTICED_AFTER_SECONDS + CANARY_EVERY_SECONDS
    place = Segment.of({"service": "messages", "step": "route", "layer": "link", "link": BAD, "partner": PARTNERS[BAD]})
    alarm = Alarm("share", place, opened_at, traffic.fault, 0.0, 1.0, 12, 12.0, 25.0)
    return open_incident("m", alarm, opened_at) if now >= opened_at else None


async def report(response: Response, database: Database, traffic: Traffic, clock: ManualClock, *, whole: bool) -> None:
    incident = await known(response, traffic, clock.now(), whole=whole)
    if incident is None:
        print("  no incident was opened")
        return
    places = ", ".join(str(segment) for segment in incident.segments)
    print(f"  the incident is {incident.state}, since {incident.since - traffic.fault:+.0f} s, placed at {places}")
    restarted = Exposures(database, response.register, clock=clock, timing=TIMING)
    again, listing = Cost(), Cost()
    figures = await again.of(restarted.figures(incident))
    listed, octets = await listing.of(handed_out(response.evaluations.exposures, incident))
    again.print("known again after a restart")
    listing.print(f"listed, {octets / 1e6:,.1f} MB of CSV")
    named = {each.message for each in listed}
    counted = "the same" if figures and figures.messages == len(listed) else f"{figures.messages if figures else 0:,}"
    print(f"  exposed {len(traffic.exposed):,}, listed {len(listed):,} ({counted} after the restart);")
    print(f"  missing {len(traffic.exposed - named):,}, too many {len(named - traffic.exposed):,}")
    print(f"  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB at the peak")


async def handed_out(exposures: Exposures, incident: Incident) -> tuple[list[ExposedMessage], int]:
    """As whoever downloads it gets it; and how long that is."""
    listed: list[ExposedMessage] = []
    octets = 0
    async for page in exposures.messages(incident):
        listed += page
        octets += len(await asyncio.to_thread(exposed_csv, page, ZONE, headed=False))
    return listed, octets


if __name__ == "__main__":
    main()
