"""Assurance at work: follows every role's stream, watches who answers, publishes, erases on time.

Theory of operation. One task follows each stream. A page of outcomes is stored, counted and joined to subscribers in
the transaction that moves the follower's position on, so that a crash of either side loses nothing and doubles
nothing. Everything that is told (the overview, the chart, the status page) is read from those tables, so that a
restart needs no rebuilding.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from zoneinfo import ZoneInfo

import msgspec

from prikkfri.assurance import clocks, store
from prikkfri.assurance.console import store as console_store
from prikkfri.assurance.controls import Controls
from prikkfri.assurance.counting import PERIOD_SECONDS, Count, CountWindow, count
from prikkfri.assurance.customers import CustomerDevice, PasswordLink
from prikkfri.assurance.http import RoleClient
from prikkfri.assurance.loads import Layer, Measured, loads
from prikkfri.assurance.outcomes import store as outcome_store
from prikkfri.assurance.outcomes.stored import OutcomeFilter, StoredOutcome
from prikkfri.assurance.overview import (
    RECENT_SECONDS,
    SETTLING_SECONDS,
    WINDOW_SECONDS,
    Chart,
    Overview,
    RoleState,
    StreamState,
    chart,
    overview,
    together,
    with_people,
)
from prikkfri.assurance.partners import PartnersReport
from prikkfri.assurance.programmes import Programmes
from prikkfri.assurance.publishing import summary
from prikkfri.assurance.quarantine import HeldEntry, ReleaseCheck
from prikkfri.assurance.status import Statement
from prikkfri.clock import Clock
from prikkfri.config import Assurance as Settings
from prikkfri.errors import InDoubt, StorageError
from prikkfri.journal import Follower, Outcome, Page, Source, role_of, taken_to
from prikkfri.storage import Database, Transaction

log = logging.getLogger("prikkfri.assurance")

FOLLOW_SECONDS = 0.2
TROUBLE_SECONDS = 2.0
HEALTH_SECONDS = 5.0
PUBLISH_SECONDS = 5.0
CONTROLS_SECONDS = 3.0
PROGRAMMES_SECONDS = 60.0
SILENT_SECONDS = 5.0
"""A role that is started anew is silent for less."""
ERASE_SECONDS = 600.0
DAY_SECONDS = 86_400
TAKEN_REPORTED_SECONDS = 10.0
ALARMS_PENDING_MAX = 1_000
ALARMS_SHOWN_MAX = 50
OUTCOMES_SHOWN_MAX = 200


class Assurance:
    """Everything that the console and the status page tell, from what the roles have written."""

    def __init__(
        self,
        database: Database,
        *,
        sources: Mapping[str, Source],
        neighbours: RoleClient,
        clock: Clock,
        settings: Settings,
        operator: str,
        status_url: str,
        zone: ZoneInfo,
        arrived: Callable[[str, Sequence[Outcome]], None] = lambda stream, outcomes: None,
        told: Callable[[], Awaitable[Sequence[Statement]]] | None = None,
        capacities: Mapping[Layer, Sequence[Measured]] = MappingProxyType({}),
    ) -> None:
        """`sources` reads each stream by its name (`signin`, `sms`, `playout`, `door`, or `ROLE/INSTANCE`).

        `arrived` is called with what has been stored; `told` gives what the public is told of incidents.
        `capacities`: what each layer was measured to take, the newest last.
        """
        self.database = database
        self.clock = clock
        self.streams = {stream: StreamState(stream) for stream in sources}
        self.processes = {process: RoleState(process) for process in neighbours.processes}
        """Whether each process answers that works: a role by its name, and beside it `ROLE/INSTANCE`."""
        self.controls = Controls()
        """What people on duty can switch, as the roles last told."""
        self.programmes: Programmes = {}
        """What is on, as playout last told: whatever becomes of it, the schedule stands."""
        self.published_at = 0.0
        """When the status page last took the summary; 0: not yet."""
        self.publish_trouble = ""
        self._sources = sources
        self._neighbours = neighbours
        self._settings = settings
        self._operator = operator
        self.status_url = status_url
        self._zone = zone
        self._arrived = arrived
        self._told = told
        self._capacities = capacities
        self._publishing = asyncio.Event()
        self._fresh_of: dict[str, Page] = {}
        self._counts = CountWindow()
        """What the overview counts; whoever reads it goes one after the other."""
        self._counting = asyncio.Lock()
        self._counted_from: dict[str, int] = {}
        """By stream: the first period of what was taken and not handed on yet."""
        self._doubtful: dict[str, Page] = {}
        """What was perhaps stored: the next step of its stream finds out."""
        self._clocks: dict[str, clocks.RoleClock] = {}
        self._taken = 0
        self._untold: dict[str, str] = {}
        """By stream: why its role did not note how much of it is stored, when it was last told."""
        self._alarms: list[str] = []
        self._follower = Follower(database, name="assurance", take=self._take, alarm=self._note_alarm)

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for stream in self._sources:
                tasks.create_task(self._follow(stream), name=f"follow {stream}")
            for process in self.processes:
                tasks.create_task(self._watch(process), name=f"watch {process}")
            tasks.create_task(self._publish(), name="publish")
            tasks.create_task(self._follow_controls(), name="controls")
            tasks.create_task(self._follow_programmes(), name="programmes")
            tasks.create_task(self._erase(), name="erase")
            tasks.create_task(self._report_taken(), name="report taken")

    # Following.

    async def _report_taken(self) -> None:
        while True:
            await asyncio.sleep(TAKEN_REPORTED_SECONDS)
            await self.report_taken()

    async def report_taken(self) -> None:
        """Tells each role how much of its journal is stored here, so that it may drop that; who is away hears later."""
        for stream, at in list(self._follower.committed.items()):
            trouble = await self._neighbours.report_taken(role_of(stream), stream, at.incarnation, at.position)
            if trouble and trouble != self._untold.get(stream):
                log.warning("how far stream %s is stored is not noted where it is written: %s", stream, trouble)
            elif self._untold.get(stream) and not trouble:
                log.info("how far stream %s is stored is noted again", stream)
            self._untold[stream] = trouble

    async def _follow(self, stream: str) -> None:
        while True:
            pause_seconds = await self.step(stream)
            await asyncio.sleep(pause_seconds)

    async def step(self, stream: str) -> float:
        """Takes one page of a stream, if there is one; returns the seconds until it should be looked at again."""
        state = self.streams[stream]
        now = self.clock.now()
        found = False

        async def source(stream: str, after: int) -> Page | None:
            nonlocal found
            page = await self._sources[stream](stream, after)
            found = page is not None
            return page

        try:
            await self._settle_doubt(stream)
            taken = await self._follower.step(stream, source)
            if taken:
                fresh = self._fresh_of.pop(stream)
                # Whatever fails after this: what is stored is not met again.
                self._hand_on(stream, fresh)
                self._look_at_clock(stream, fresh, now)
            await self._store_alarms()
        except InDoubt as error:
            self._counts.forget()
            if page := self._fresh_of.pop(stream, None):
                self._doubtful[stream] = page
            return self._troubled(stream, error, now)
        except (StorageError, ValueError) as error:
            return self._troubled(stream, error, now)
        if state.trouble:
            log.info("stream %s is followed again", stream)
        overflowed = self._follower.overflowed.get(stream, 0)
        if overflowed > state.overflowed:
            self._note_alarm(
                f"stream {stream}: its role has dropped {overflowed} outcomes; lists made from it are incomplete"
            )
        behind = self._follower.behind.get(stream, 0)
        self.streams[stream] = StreamState(
            stream,
            exists=found,
            current_at=now if not behind else state.current_at,
            behind=behind,
            overflowed=overflowed,
        )
        return 0.0 if behind else FOLLOW_SECONDS

    def _look_at_clock(self, stream: str, page: Page, now: float) -> None:
        times = [outcome.time for outcome in page.outcomes if outcome.observed]
        state, before = self.streams[stream], self._clocks.get(stream, clocks.RoleClock())
        current = not state.behind and now - state.current_at <= TROUBLE_SECONDS and page.last == page.newest
        after = self._clocks[stream] = clocks.seen(before, times, now, current=current)
        if after.wrong and not before.wrong:
            self._note_alarm(clocks.sentence(stream, clocks.off_seconds(times, now)))

    def _troubled(self, stream: str, error: Exception, now: float) -> float:
        state = self.streams[stream]
        if not state.trouble:
            log.warning("stream %s cannot be followed: %s", stream, error)
        self.streams[stream] = replace(state, trouble=str(error), trouble_since=state.trouble_since or now)
        return TROUBLE_SECONDS

    async def _settle_doubt(self, stream: str) -> None:
        """Finds out whether what was lost at its commit has been stored; if so it is handed on."""
        if page := self._doubtful.get(stream):
            stored = await taken_to(self.database, stream, incarnation=page.incarnation) >= page.last
            del self._doubtful[stream]
            if stored:
                self._hand_on(stream, page)

    def _hand_on(self, stream: str, page: Page) -> None:
        self._taken += len(page.outcomes)
        self._counts.add(self._counted_from.pop(stream, 0))
        self._arrived(stream, page.outcomes)

    async def _take(self, transaction: Transaction, stream: str, page: Page) -> None:
        now = self.clock.now()
        await outcome_store.add_outcomes(transaction, stream, page, now)
        counted = count(page.outcomes, now)
        self._counted_from[stream] = counted[0].second if counted else int(now)
        await store.add_counts(transaction, counted)
        await outcome_store.join_devices(transaction, page.outcomes, now)
        await outcome_store.note_late(transaction, page.outcomes, now)
        self._fresh_of[stream] = page

    def _note_alarm(self, text: str) -> None:
        log.error("%s", text)
        if len(self._alarms) < ALARMS_PENDING_MAX:
            self._alarms.append(text)

    async def _store_alarms(self) -> None:
        if not self._alarms:
            return
        texts, self._alarms = self._alarms, []
        now = self.clock.now()

        async def work(transaction: Transaction) -> None:
            for text in texts:
                await store.raise_alarm(transaction, text, now)

        try:
            await self.database.write(work)
        except (StorageError, InDoubt):  # an alarm that is told twice is one alarm
            self._alarms = texts + self._alarms
            raise

    # Watching, publishing, erasing.

    @property
    def roles(self) -> dict[str, RoleState]:
        """Whether each role answers: any of its processes."""
        return together(self.processes.values())

    async def _watch(self, process: str) -> None:
        while True:
            await self.look_at(process)
            await asyncio.sleep(HEALTH_SECONDS)

    async def look_at(self, process: str) -> None:
        """Asks a process once whether it answers."""
        answers = await self._neighbours.answers(process)
        if self.processes[process].answers is not answers:
            self.processes[process] = RoleState(process, answers, self.clock.now())

    async def _publish(self) -> None:
        while True:
            await self.publish()
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`, which swallows being cancelled in the moment of the event: the role would not stop.
                async with asyncio.timeout(PUBLISH_SECONDS):
                    await self._publishing.wait()
            self._publishing.clear()

    def publish_soon(self) -> None:
        """Something has changed that the public should not wait for."""
        self._publishing.set()

    async def publish(self) -> None:
        """Tells the status page once; what goes wrong is kept for the console and tried again later."""
        try:
            seen = await self.overview()
            told = await self._told() if self._told else ()
        except StorageError as error:
            self.publish_trouble = f"nothing can be read: {error}"
            return
        roles = list(self.roles.values())
        document = summary(seen, roles, operator=self._operator, url=self.status_url, zone=self._zone, told=told)
        self.publish_trouble = await self._neighbours.publish(msgspec.json.encode(document))
        if not self.publish_trouble:
            self.published_at = self.clock.now()

    # What people on duty switch.

    async def _follow_controls(self) -> None:
        while True:
            await self.look_at_controls()
            await asyncio.sleep(CONTROLS_SECONDS)

    async def look_at_controls(self) -> None:
        """Asks the roles once how their channels, their routes and the line stand."""
        asked = self._neighbours
        self.controls = Controls(*await asyncio.gather(asked.channels(), asked.routes(), asked.line()))

    async def _follow_programmes(self) -> None:
        while True:
            await self.look_at_programmes()
            await asyncio.sleep(PROGRAMMES_SECONDS)

    async def look_at_programmes(self) -> None:
        """Asks playout once what is on; without an answer what it told before stands."""
        told = await self._neighbours.programmes(self.clock.now())
        self.programmes = self.programmes if told is None else told

    async def switch_channel(self, channel: str, state: str, *, by: str) -> str:
        """Opens a channel to everybody (`open`), closes it (`closed`), or leaves it to the rule (`rule`).

        Returns what went wrong; empty when it was done.
        """
        trouble = await self._neighbours.switch_channel(channel, state, by=by)
        await self.look_at_controls()
        return trouble

    async def steer_line(self, order: Mapping[str, object]) -> str:
        """Hands an order to the door; returns what went wrong, empty when it holds."""
        trouble = await self._neighbours.steer_line(order)
        await self.look_at_controls()
        return trouble

    async def complain(self, link: str, *, by: str) -> str:
        """Says that a partner complains of misdelivery; returns what went wrong, empty when it was noted."""
        trouble = await self._neighbours.complain(link, by=by)
        await self.look_at_controls()
        return trouble

    async def switch_route(self, link: str, state: str, *, by: str) -> str:
        """Stops a route (`stopped`) or opens it (`open`); returns what went wrong, empty when it was done."""
        trouble = await self._neighbours.switch_route(link, state, by=by)
        await self.look_at_controls()
        return trouble

    async def partners(self) -> PartnersReport | None:
        """How the partners of the SMS centre speak; None when it does not say."""
        return await self._neighbours.partners()

    async def troubles_of(self, role: str) -> tuple[str, ...]:
        """What a role says is wrong though it serves, a sentence each; nothing when it does not answer."""
        return await self._neighbours.troubles(role)

    async def quarantine(self, link: str = "") -> tuple[HeldEntry, ...] | None:
        """What the SMS centre holds for a person; None when it does not say."""
        return await self._neighbours.quarantine(link)

    async def quarantine_entry(self, identity: str) -> tuple[bool, ReleaseCheck | None]:
        """Whether the SMS centre answered, and one entry of its quarantine."""
        return await self._neighbours.quarantine_entry(identity)

    async def say_of_quarantine(self, identity: str, action: str, *, by: str) -> str:
        """Releases (`release`) or discards (`discard`) an entry; returns what went wrong, empty when it was done."""
        return await self._neighbours.say_of_quarantine(identity, action, by=by)

    async def devices_of_customer(self, customer: str) -> tuple[CustomerDevice, ...] | None:
        """Where a customer is signed in; None when signin does not say."""
        return await self._neighbours.devices(customer)

    async def end_devices_of_customer(self, customer: str, *, by: str) -> int | None:
        """Signs a customer out everywhere; of how many devices, None when signin does not say that it did."""
        return await self._neighbours.end_devices(customer, by=by)

    async def password_link(self, customer: str, *, by: str) -> PasswordLink | None:
        """A link by which a customer sets a password, once; None when signin makes none."""
        return await self._neighbours.password_link(customer, by=by)

    async def _erase(self) -> None:
        while True:
            try:
                await self.erase()
            except (StorageError, InDoubt) as error:  # what is erased twice is erased
                log.warning("what is past its time could not be erased: %s", error)
            await asyncio.sleep(ERASE_SECONDS)

    async def erase(self) -> None:
        """Erases what has been kept for as long as the settings say."""
        now, settings = self.clock.now(), self._settings
        outcomes_before = now - settings.outcomes_kept_days * DAY_SECONDS
        counts_before = now - settings.counts_kept_days * DAY_SECONDS
        erased = 1
        while erased:
            erased = await self.database.write(
                lambda t: outcome_store.erase_outcomes(t, before=outcomes_before, now=now)
            )
        erased = 1
        while erased:
            erased = await self.database.write(lambda t: store.erase_counts(t, before=counts_before))
        looks_before = now - settings.looks_kept_days * DAY_SECONDS
        await self.database.write(lambda t: console_store.erase_accesses(t, before=looks_before))

    # Telling.

    async def overview(self) -> Overview:
        """What the last quarter of an hour comes to. Raises `StorageError`."""
        now = self.clock.now()
        until = int(now) + PERIOD_SECONDS
        since = (int(now) - WINDOW_SECONDS) // PERIOD_SECONDS * PERIOD_SECONDS
        counts = await self._counted(since, until)
        streams, roles = list(self.streams.values()), list(self.roles.values())
        crowd = loads(counts, self._capacities, now)
        seen = overview(counts, streams, roles, now, loads=crowd)
        if not seen.breakages:
            return seen
        people = await self.database.read(lambda q: outcome_store.people(q, since=now - RECENT_SECONDS))
        return with_people(seen, people)

    async def _counted(self, since: int, until: int) -> list[Count]:
        async with self._counting:
            first = self._counts.to_read(since=since, until=until)
            try:
                read = await self.database.read(
                    lambda q: store.counts(q, since=first, until=until, period=PERIOD_SECONDS)
                )
            except BaseException:  # cancelled, too
                self._counts.forget()
                raise
            return self._counts.completed(read, since=since, read_from=first)

    async def chart(self, *, seconds: int, period: int) -> Chart:
        """The last whole periods that are settled, over about `seconds`. Raises `StorageError`."""
        until = int(self.clock.now() - SETTLING_SECONDS) // period * period
        since = until - seconds // period * period
        counts = await self.database.read(lambda q: store.counts(q, since=since, until=until, period=period))
        return chart(counts, since=since, until=until, period=period)

    async def outcomes(self, sought: OutcomeFilter) -> list[StoredOutcome]:
        """The newest outcomes that answer to `sought`, at most `OUTCOMES_SHOWN_MAX`."""
        return await self.database.read(lambda q: outcome_store.outcomes(q, sought, most=OUTCOMES_SHOWN_MAX))

    async def outcomes_of_customer(self, customer: str) -> list[StoredOutcome]:
        """The newest outcomes of a subscriber, with those of a device from before they had signed in on it."""
        return await self.database.read(
            lambda q: outcome_store.outcomes_of_customer(q, customer, most=OUTCOMES_SHOWN_MAX)
        )

    async def alarms(self) -> list[store.Alarm]:
        return await self.database.read(lambda q: store.alarms(q, most=ALARMS_SHOWN_MAX))

    async def mark_alarm_seen(self, text: str, by: str) -> None:
        now = self.clock.now()
        await self.database.write(lambda t: store.mark_alarm_seen(t, text, by=by, now=now))

    def counters(self) -> dict[str, float]:
        """Figures for `/metrics`."""
        now = self.clock.now()
        return {
            "outcomes_taken_total": self._taken,
            "outcomes_behind": sum(state.behind for state in self.streams.values()),
            "outcomes_overflowed": sum(state.overflowed for state in self.streams.values()),
            "streams_blind": sum(state.blind_since(now) is not None for state in self.streams.values()),
            "status_published_at_seconds": self.published_at,
        }

    def blind(self) -> frozenset[str]:
        """The streams that cannot be read to their end just now."""
        now = self.clock.now()
        return frozenset(s.stream for s in self.streams.values() if s.behind or s.blind_since(now) is not None)

    def silent(self) -> frozenset[str]:
        """The roles that have not answered for a while.

        None while not one of several answers: then it is we who are cut off, as likely as not.
        """
        now, asked = self.clock.now(), [state for state in self.roles.values() if state.answers is not None]
        if len(asked) > 1 and not any(state.answers for state in asked):
            return frozenset()
        return frozenset(
            state.role for state in asked if state.answers is False and now - state.since >= SILENT_SECONDS
        )

    def incomplete(self) -> str:
        """Why a list made from the journal may lack somebody; empty when it does not."""
        dropped = [f"{s.stream} dropped {s.overflowed} outcomes" for s in self.streams.values() if s.overflowed]
        unread = [f"{stream} is not read to its end" for stream in sorted(self.blind())]
        return "; ".join(dropped + unread)
