"""The evening of the kick-off, staged against real roles: who watches, who comes, what breaks, and what they got.

Theory of operation. The people inside sign in first and watch. From 20:30 (second 0 of the evening) a crowd comes in
the shape of a real match. At a moment the fault takes sign-in and the interface away, later it gives them back. Every
person keeps what they asked for and got by their own watch, without looking into the product. That is the truth with
which the product's own report is compared afterwards.
"""

import asyncio
import random
import statistics
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial

import aiohttp

from prikkfri.clock import Clock
from prikkfri.errors import PrikkfriError
from prikkfri.simulation.company import keep_company, usage
from prikkfri.simulation.crowd import arrivals, match_shape
from prikkfri.simulation.demo import PASSWORD, Person
from prikkfri.simulation.device_key import DeviceKey, DeviceSecret
from prikkfri.simulation.duty import Duty
from prikkfri.simulation.faults import HARMED, Fault
from prikkfri.simulation.installation import BorrowedInstallation, Installation
from prikkfri.simulation.kickoff_plan import Plan
from prikkfri.simulation.lateness import keep_time
from prikkfri.simulation.people import TROUBLE, Addresses, LineView, Viewer, ViewerRequest, device_pseudonym
from prikkfri.streaming.demo import FALLBACK

WATCH_SECONDS = 2.0
SWITCH_SHARE = 0.15
"""How often, each time they fetch, somebody inside switches channel."""
OUTSIDE_SECONDS = 5.0
"""Who has got in before that needs no open channel."""
ONE_IN_TELEVISIONS = 4
"""One in so many has a television, which can make no key."""
BACK_SHARE = 0.9
"""In this part of the evening everybody inside has come back once."""
TEXTS_SECONDS_MAX = 20.0
ASKING_AT_ONCE = 10
POLL_SECONDS = 0.3
ON_AIR_SECONDS_MAX = 20.0
CLOSED_SECONDS_MAX = 60.0
EARLY_AT_ONCE = 4
"""Before the crowd nobody is in a hurry."""
START_OF_THE_EVENING = (20, 30)


@dataclass
class ViewerExperience:
    """What somebody who was in before the crowd went through."""

    fetches: int = 0
    failed: int = 0
    troubles: list[tuple[float, str]] = field(default_factory=list)
    """When what did not come, seconds since the beginning."""
    switches: int = 0
    switches_failed: int = 0
    came_back: bool = False
    """They closed the viewer and came back during the evening, as a device that is known."""
    without_line: bool = False
    """Then their device token got them in, at the door alone."""


@dataclass
class Truth:
    """What really happened, told by the people themselves and by whoever broke things."""

    plan: Plan
    began_at: float
    """20:30, in seconds since 1970 UTC."""
    inside: list[ViewerExperience] = field(default_factory=list)
    outside: list[ViewerRequest] = field(default_factory=list)
    fault_at: float = 0.0
    given_back_at: float = 0.0
    last_back_in_at: float = 0.0
    """When a sign-in succeeded again after the fault; 0: never."""
    offered: list[float] = field(default_factory=list)
    """When each one came, seconds since the beginning."""
    status_at: list[tuple[float, str]] = field(default_factory=list)
    """When the public status page first said what: indicator by time."""
    open_channel_at: float = 0.0
    """When an open channel was first offered by playout that was not open before."""
    always_open: frozenset[str] = frozenset()
    inside_ids: frozenset[str] = frozenset()
    others_ask: bool = False
    """Others than these people use the installation, too: of whether they were hit the truth knows nothing."""
    ended_at: float = 0.0
    green_at: float | None = None
    """When the status page was green afterwards, 0: never; None: nobody has looked."""
    late: list[float] = field(default_factory=list)
    """By how much each tick of the rehearsal's own clock, and each one who came, was late."""
    others: list[float] = field(default_factory=list)
    """What part of the machine others took, by stretch."""
    told_hit: dict[str, bool] = field(default_factory=dict)
    """What each one who asked afterwards was told, by subscriber: whether a fault had hit them."""
    texts: dict[str, list[str]] = field(default_factory=dict)
    """What came on each one's phone about it, by subscriber."""

    def people(self) -> set[str]:
        """All who took part."""
        return {*self.inside_ids, *(asked.subscriber_id for asked in self.outside)}

    def hit(self) -> set[str]:
        """Who asked and did not get it within the grace time."""
        return {asked.subscriber_id for asked in self.outside if self.waited(asked) > self.plan.grace_seconds}

    def certain(self, tolerance_seconds: float) -> set[str]:
        """Those for whom no quarrel about a watch decides whether they were hit.

        Of somebody who was still waiting when the evening ended, too early to be hit, nobody knows.
        """
        grace = self.plan.grace_seconds
        far = (a for a in self.outside if abs(self.waited(a) - grace) > tolerance_seconds)
        return {a.subscriber_id for a in far if a.got_at or self.waited(a) > grace}

    def open_channel_delays(self) -> list[float]:
        """Seconds from coming until an open channel was playing, in order; for those who stood outside longer."""
        outside = [asked for asked in self.outside if self.waited(asked) > OUTSIDE_SECONDS]
        return sorted((asked.saw_open_channel_at or self.ended_at) - asked.asked_at for asked in outside)

    def waited(self, asked: ViewerRequest) -> float:
        """Seconds until they got it, or until the evening ended."""
        return (asked.got_at or self.ended_at) - asked.asked_at


Say = Callable[[str], None]


@dataclass
class Evening:
    """The people of one evening at the edge of an installation."""

    installation: Installation | BorrowedInstallation
    plan: Plan
    people: list[Person]
    phones: str
    """Where the phones of the people are to be seen."""
    http: aiohttp.ClientSession
    clock: Clock
    say: Say

    def __post_init__(self) -> None:
        self.config = self.installation.configuration()
        self.at = Addresses.of(self.config)
        self.line = LineView(self.http, f"{self.at.door}/line", self.clock)
        self.status_url = f"{self.config.roles.status.url}/api/v2/summary.json"
        self._lots = random.Random(self.plan.seed)
        self._outside: list[Viewer] = []

    async def stage(self) -> Truth:
        """Lets the evening happen; returns the truth about it."""
        plan = self.plan
        insiders = [self._viewer(number) for number in range(plan.inside)]
        self.say(f"{plan.inside} viewers sign in and begin to watch")
        few = asyncio.Semaphore(EARLY_AT_ONCE)
        await asyncio.gather(*(self._come_early(viewer, few) for viewer in insiders))
        packages = await self._packages()
        await self._until_on_air(insiders[0], packages)
        await self._until_closed()
        truth = Truth(plan, began_at=self.clock.now())
        truth.always_open = frozenset(await self._open_channels())
        truth.others_ask = isinstance(self.installation, BorrowedInstallation)
        truth.inside_ids = frozenset(viewer.person.subscriber_id for viewer in insiders)
        truth.inside = [ViewerExperience() for _ in insiders]
        end = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for viewer, told in zip(insiders, truth.inside, strict=True):
                tasks.create_task(self._watch(viewer, told, packages, truth, end))
                tasks.create_task(self._come_back(viewer, told, end))
            tasks.create_task(self._look_at_the_status_page(truth, end))
            tasks.create_task(self._look_for_open_channels(truth, end))
            tasks.create_task(self._tell(truth, end))
            time_keeping = tasks.create_task(keep_time(truth.late, self.clock))
            company = tasks.create_task(
                keep_company(truth.others, partial(usage, self.config.home, self.config.storage.url))
            )
            if plan.fault is not None:
                tasks.create_task(self._break(truth, plan.fault))
            crowd = asyncio.gather(*(tasks.create_task(come) for come in self._crowd(truth)))
            await asyncio.sleep(plan.evening_seconds)
            truth.ended_at = self.clock.now()
            end.set()
            time_keeping.cancel()
            company.cancel()
            await crowd
        return truth

    async def look_back(self, truth: Truth, credited: Mapping[str, Collection[str]]) -> None:
        """The morning after: a person has those credited told, and whoever has got in asks whether a fault hit them.

        `credited`: the subscribers who got a credit, by incident.
        """
        if any(credited.values()):
            self.say("a person on duty has those credited told by SMS")
            duty = await Duty.signed_in(self.http, self.config)
            for incident in (incident for incident, subscribers in credited.items() if subscribers):
                await duty.tell_those_credited(incident)
            await self._read_texts(truth, {each for theirs in credited.values() for each in theirs} & truth.people())
        few = asyncio.Semaphore(ASKING_AT_ONCE)
        await asyncio.gather(*(self._ask_whether_hit(viewer, truth, few) for viewer in self._outside))

    async def _read_texts(self, truth: Truth, expected: set[str]) -> None:
        """Looks at everybody's phone until all who are expected to have been told have been, or for long enough."""
        give_up_at = self.clock.now() + TEXTS_SECONDS_MAX
        while self.clock.now() < give_up_at:
            for viewer in self._outside:
                texts = await self._texts(viewer.person, since=truth.began_at)
                if texts is not None:
                    truth.texts[viewer.person.subscriber_id] = texts
            if all(truth.texts.get(subscriber) for subscriber in expected):
                return
            await asyncio.sleep(1)

    async def _texts(self, person: Person, *, since: float) -> list[str] | None:
        """What has come on a phone from the operator; None when nobody can look at it."""
        try:
            async with self.http.get(f"{self.phones}/phones/{person.msisdn}/inbox") as response:
                if response.status != 200:
                    return None
                sender = self.config.operator[:11]
                theirs = [entry for entry in await response.json() if entry["from"] == sender]
                return [entry["text"] for entry in theirs if entry["received_at"] >= since]
        except TROUBLE:
            return None

    async def _ask_whether_hit(self, viewer: Viewer, truth: Truth, few: asyncio.Semaphore) -> None:
        async with few:
            if viewer.device_token and (told := await viewer.was_hit(since=truth.began_at)) is not None:
                truth.told_hit[viewer.person.subscriber_id] = told

    async def _come_early(self, viewer: Viewer, few: asyncio.Semaphore) -> None:
        async with few:
            if not (await viewer.sign_in(give_up_at=self.clock.now() + 60)).got_at:
                raise PrikkfriError("somebody who came before the crowd could not sign in; see the logs in the home")

    def _viewer(self, number: int) -> Viewer:
        """One of the people, by their place among those who take part."""
        device = device_pseudonym(number, seed=self.plan.seed)
        key = DeviceSecret() if number % ONE_IN_TELEVISIONS == 0 else DeviceKey()
        return Viewer(self.people[number], device, PASSWORD, self.http, self.at, self.clock, key=key, line=self.line)

    async def _packages(self) -> dict[str, str]:
        async with self.http.get(f"{self.at.playout}/channels") as response:
            return {channel["id"]: channel["package"] for channel in await response.json()}

    async def _open_channels(self) -> list[str]:
        try:
            async with self.http.get(f"{self.at.playout}/open") as response:
                return [channel["id"] for channel in await response.json()]
        except TROUBLE:
            return []

    async def _until_on_air(self, viewer: Viewer, packages: dict[str, str]) -> None:
        """Channels that were started with the house have their first picture some seconds later."""
        give_up_at = self.clock.now() + ON_AIR_SECONDS_MAX
        for channel in (channel for channel, package in packages.items() if package in viewer.person.packages):
            while trouble := await viewer.watch(channel):
                if self.clock.now() > give_up_at:
                    raise PrikkfriError(f"the channel {channel} does not come on air: {trouble}")
                await asyncio.sleep(POLL_SECONDS)

    async def _until_closed(self) -> None:
        """An earlier evening may have opened the channel of the match."""
        give_up_at = self.clock.now() + CLOSED_SECONDS_MAX
        while FALLBACK in await self._open_channels():
            if self.clock.now() > give_up_at:
                raise PrikkfriError(f"the channel {FALLBACK} stands open already; close it in the console")
            await asyncio.sleep(POLL_SECONDS)

    async def _watch(
        self, viewer: Viewer, told: ViewerExperience, packages: dict[str, str], truth: Truth, end: asyncio.Event
    ) -> None:
        mine = [channel for channel, package in packages.items() if package in viewer.person.packages]
        lots = random.Random(f"{self.plan.seed} {viewer.device}")
        channel = lots.choice(mine)
        await asyncio.sleep(lots.random() * WATCH_SECONDS)
        while not end.is_set():
            switching = lots.random() < SWITCH_SHARE
            if switching:
                channel = lots.choice([other for other in mine if other != channel] or mine)
            trouble = await viewer.watch(channel)
            told.fetches += 1
            told.switches += switching
            if trouble:
                told.failed += 1
                told.switches_failed += switching
                told.troubles.append((self.clock.now() - truth.began_at, f"{channel}: {trouble}"))
            await asyncio.sleep(WATCH_SECONDS)

    async def _come_back(self, viewer: Viewer, told: ViewerExperience, end: asyncio.Event) -> None:
        """Somebody inside begins anew with nothing but their device token; turned away, they ask again."""
        lots = random.Random(f"{self.plan.seed} back {viewer.device}")
        await asyncio.sleep(lots.random() * BACK_SHARE * self.plan.evening_seconds)
        told.came_back = True
        while not told.without_line and not end.is_set():
            told.without_line = await viewer.renew()
            await asyncio.sleep(POLL_SECONDS)

    def _crowd(self, truth: Truth) -> list[Coroutine[None, None, None]]:
        plan = self.plan
        moments = arrivals(match_shape(), plan.outside, seconds=plan.evening_seconds, lots=self._lots)
        if plan.fault == "crowd":
            start = plan.evening_seconds * plan.fault_from
            moments += (start + self._lots.random() * plan.rush_seconds for _ in range(plan.rush))
            moments.sort()
        truth.offered = moments
        give_up_at = truth.began_at + plan.evening_seconds
        coming = []
        for number, moment in enumerate(moments, plan.inside):
            viewer = self._viewer(number)
            told = ViewerRequest(viewer.person.subscriber_id, asked_at=truth.began_at + moment, device=viewer.device)
            truth.outside.append(told)
            self._outside.append(viewer)
            coming.append(self._come(viewer, told, give_up_at, truth))
        return coming

    async def _come(self, viewer: Viewer, told: ViewerRequest, give_up_at: float, truth: Truth) -> None:
        planned_at = told.asked_at
        await asyncio.sleep(planned_at - self.clock.now())
        told.asked_at = self.clock.now()
        truth.late.append(told.asked_at - planned_at)
        await viewer.sign_in(give_up_at=give_up_at, asked=told)
        if told.got_at and truth.given_back_at and not truth.last_back_in_at:
            truth.last_back_in_at = told.got_at

    async def _break(self, truth: Truth, fault: Fault) -> None:
        plan = self.plan
        await asyncio.sleep(plan.evening_seconds * plan.fault_from)
        truth.fault_at = self.clock.now()
        self.say(f"the fault: {plan.what_fails}")
        if fault == "crowd":
            await asyncio.sleep(plan.rush_seconds)
            truth.given_back_at = self.clock.now()
            self.say(plan.how_it_ends)
            return
        await asyncio.gather(*(self.installation.harm(role, fault) for role in HARMED))
        await asyncio.sleep(plan.evening_seconds * (plan.fault_to - plan.fault_from))
        self.say(plan.how_it_ends)
        truth.given_back_at = self.clock.now()
        await asyncio.gather(*(self.installation.give_back(role) for role in HARMED))

    async def _look_at_the_status_page(self, truth: Truth, end: asyncio.Event) -> None:
        while not end.is_set():
            try:
                async with self.http.get(self.status_url) as response:
                    indicator = (await response.json())["status"]["indicator"]
            except TROUBLE:
                indicator = "unreachable"
            if not truth.status_at or truth.status_at[-1][1] != indicator:
                truth.status_at.append((self.clock.now(), indicator))
            await asyncio.sleep(POLL_SECONDS)

    async def _look_for_open_channels(self, truth: Truth, end: asyncio.Event) -> None:
        while not end.is_set() and not truth.open_channel_at:
            if set(await self._open_channels()) - truth.always_open:
                truth.open_channel_at = self.clock.now()
            await asyncio.sleep(POLL_SECONDS)

    async def _tell(self, truth: Truth, end: asyncio.Event) -> None:
        """A line now and then for whoever looks on, with the evening's own clock."""
        while not end.is_set():
            came = sum(asked.asked_at <= self.clock.now() for asked in truth.outside)
            got_in = sum(bool(asked.got_at) for asked in truth.outside)
            self.say(f"{came - got_in:4d} outside, {got_in:4d} got in")
            await asyncio.sleep(5)


def evening_clock(plan: Plan, seconds: float) -> str:
    """What the clock shows so many seconds after the beginning, when 75 minutes take `evening_seconds`."""
    hour, minute = START_OF_THE_EVENING
    minutes = hour * 60 + minute + seconds / plan.evening_seconds * len(match_shape())
    return f"{int(minutes // 60) % 24:02d}:{int(minutes % 60):02d}"


def waits(truth: Truth) -> list[float]:
    """How long each one who got in has waited: seconds, in order."""
    return sorted(asked.got_at - asked.asked_at for asked in truth.outside if asked.got_at)


def quantile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie; 0 without values."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]
