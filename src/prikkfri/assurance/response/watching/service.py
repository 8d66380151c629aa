"""Watching: outcomes as they are stored, into the detection of every series, into alarms, into incidents.

Every second that is settled is counted. An alarm opens an incident or joins one. What is known of all series is kept
now and then, and after each alarm: a restart counts on from there, from the stored outcomes, and takes the alarms that
no incident knows.
"""

import logging
import math
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo

from prikkfri.assurance import incidents, watching
from prikkfri.assurance.detection import SECONDS_PER_YEAR, Alarm
from prikkfri.assurance.detection import Settings as Detection
from prikkfri.assurance.detection.contacts import LATE_SECONDS, ContactMoment
from prikkfri.assurance.detection.volumes import Rush
from prikkfri.assurance.incidents import Fact
from prikkfri.assurance.response import assessing, store
from prikkfri.assurance.response.register.service import IncidentRegister
from prikkfri.assurance.response.surroundings import Surroundings
from prikkfri.assurance.response.timing import Timing
from prikkfri.assurance.tally import ANSWERED_KEPT_SECONDS, Expectation
from prikkfri.clock import Clock
from prikkfri.config import Assurance as Settings
from prikkfri.journal import Outcome
from prikkfri.storage import Database

log = logging.getLogger("prikkfri.assurance")

CONTACTS_MAX = 20_000
"""That are read again after a restart."""
SAME_SECONDS = 10.0
"""Counted again after a restart, an alarm is raised at the same moment, but for what came late the first time."""


class SeriesWatch:
    def __init__(
        self,
        database: Database,
        register: IncidentRegister,
        *,
        settings: Settings,
        surroundings: Surroundings,
        expectations: Mapping[tuple[str, str], Expectation],
        clock: Clock,
        zone: tzinfo,
        timing: Timing,
    ) -> None:
        self._database = database
        self._register = register
        self._settings = settings
        self._around = surroundings
        self._expectations = expectations
        self._clock = clock
        self._zone = zone
        self._timing = timing
        self._detection = Detection(
            warm_up_buckets=max(int(settings.warm_up_seconds), 1),
            # More than once a second is no alarm any more, and never would need an infinite threshold.
            false_alarms_per_year=min(max(settings.false_alarms_per_year, 1e-300), SECONDS_PER_YEAR),
        )
        self._arrived: list[watching.Arrival] = []
        self._raised: list[Alarm] = []
        """Alarms that stand in no incident yet: the database may fail by the very fault that raised them."""
        self._watch = watching.Watch(clock.now() - timing.settling_seconds)
        self._kept_at = clock.now()

    @property
    def standing(self) -> tuple[Alarm, ...]:
        """The alarms that stand now."""
        return self._watch.standing

    @property
    def rushes(self) -> tuple[Rush, ...]:
        """Where far more come than of late."""
        return self._watch.rushes

    def arrived(self, stream: str, outcomes: Sequence[Outcome]) -> None:
        """Takes outcomes that have been stored."""
        self._arrived += [(stream, outcome) for outcome in outcomes]

    async def recover(self) -> None:
        """Goes on where an earlier run has stopped, or learns levels from the last half hour."""
        now = self._clock.now()
        kept = await self._database.read(store.watch)
        self._register.new_contacts = []
        if kept is not None and now - kept[0] < self._timing.relearn_seconds:
            await self._count_on(*kept, now)
            since = self._watch.contacts.counted_to if self._watch.contacts is not None else 0.0
            since = max(since, now - LATE_SECONDS)
            self._register.new_contacts = await self._database.read(
                lambda q: store.contacts_since(q, since, most=CONTACTS_MAX)
            )
        else:
            await self._relearn(now, kept[1] if kept is not None else "")

    def forget_arrived(self) -> None:
        """What has arrived is stored, and will be read from there."""
        self._arrived.clear()

    async def _count_on(self, counted_to: float, document: str, now: float) -> None:
        """As if there had been no restart: from what was kept, and from the outcomes since then."""
        remembered = max(each.grace_seconds for each in self._expectations.values()) + ANSWERED_KEPT_SECONDS
        before = [("", outcome) for outcome in await self._register.outcomes(counted_to - remembered, counted_to)]
        since = await self._register.outcomes(counted_to, now + watching.AHEAD_SECONDS_MAX)
        self._watch = watching.restored(
            document, before, counted_to=counted_to, settings=self._detection, expectations=self._expectations
        )
        self._watch, alarms = self._replayed(since, now)
        told = [alarm for outcome in since if (alarm := assessing.sign(outcome))]
        self._raised += [alarm for alarm in (*told, *alarms) if not self._is_known(alarm, within_seconds=SAME_SECONDS)]

    def _take_contacts(self, now: float) -> list[Alarm]:
        contacts, self._register.new_contacts = self._register.new_contacts, []
        moments = [ContactMoment(each.service, each.at) for each in contacts]
        self._watch, alarms = watching.with_contacts(self._watch, moments, self._detection, now=now)
        return alarms

    async def _relearn(self, now: float, document: str) -> None:
        """`document`: what was kept too long ago to be counted on from; of weeks it still tells."""
        if document:
            self._watch = watching.remembering(document, since=self._watch.counted_to)
        since = now - self._timing.relearn_seconds
        past = await self._register.outcomes(since, now + watching.AHEAD_SECONDS_MAX)
        if past:
            self._watch = replace(self._watch, counted_to=math.floor(past[0].time))
            self._watch, _ = self._replayed(past, now)
            # What was raised then has been dealt with then, unless it stands and no incident is about it.
            standing = self._watch.standing
            self._raised += [alarm for alarm in standing if not self._is_known(alarm, within_seconds=math.inf)]

    def _replayed(self, past: Sequence[Outcome], now: float) -> tuple[watching.Watch, tuple[Alarm, ...]]:
        """Counts what is stored. What has been handed on while it was read is in it."""
        if self._arrived:
            read = Counter(_told(outcome) for outcome in past)
            self._arrived = [each for each in self._arrived if read[_told(each[1])] <= 0]
        # All of that time has been seen, whatever is blind now: what ran out in it would else run out later, all at
        # once.
        last = past[-1].time if past else 0.0
        until = max(self._watch.counted_to, min(now, last) - self._timing.settling_seconds)
        return self._advance([("", outcome) for outcome in past], until=until, blind=frozenset())

    def _is_known(self, alarm: Alarm, *, within_seconds: float) -> bool:
        return any(incidents.knows(each, alarm, within_seconds=within_seconds) for each in self._register.known)

    async def tick(self) -> None:
        """Counts what has settled, and takes the alarms that this raises. Raises `StorageError`."""
        now = self._clock.now()
        arrived, self._arrived = self._arrived, []
        until = now - self._timing.settling_seconds
        self._watch, alarms = self._advance(arrived, until=until, blind=self._around.blind())
        alarms = (*alarms, *self._take_contacts(now))
        told = [alarm for _, outcome in arrived if (alarm := assessing.sign(outcome))]
        self._raised += (*told, *alarms)
        async with self._register.acting:
            taken = bool(self._raised)
            while self._raised:
                await self._take_alarm(self._raised[0], now)
                del self._raised[0]
            if taken or now - self._kept_at >= self._timing.watch_kept_every_seconds:
                await self._keep(now)
            for incident in self._register.known:
                await self._register.save(incidents.confirm_silence(incident, self._around.silent(), now))

    async def _keep(self, now: float) -> None:
        """Keeps the watch; what it has raised stands in incidents."""
        counted_to, document = self._watch.counted_to, watching.kept(self._watch)
        await self._database.write(lambda t: store.save_watch(t, counted_to, document))
        self._kept_at = now

    def _advance(
        self, arrived: Sequence[watching.Arrival], *, until: float, blind: frozenset[str]
    ) -> tuple[watching.Watch, tuple[Alarm, ...]]:
        return watching.advance(
            self._watch,
            arrived,
            self._detection,
            until=until,
            blind=blind,
            expectations=self._expectations,
        )

    async def _take_alarm(self, alarm: Alarm, now: float) -> None:
        log.warning("alarm: %s", alarm.sentence)
        if ended := watching.went_home(self._watch, alarm, self._around.programmes(), self._detection):
            log.info("no incident of it: “%s” has ended, and fewer come", ended.title)
            return
        within_seconds = incidents.JOIN_HOLDS * self._settings.hold_seconds
        save = self._register.save
        for incident in self._register.known:
            if incidents.stays_dismissed(incident, alarm, within_seconds=within_seconds):
                text = f"as dismissed, and neither new nor worse: {alarm.sentence}"
                await save(incidents.apply_fact(incident, Fact("note", now, text=text)))
                return
        for incident in self._register.known:
            if incidents.joins(incident, alarm, within_seconds=within_seconds):
                await save(incidents.record_alarm(incident, alarm, now))
                return
        await save(incidents.open_incident(self._fresh_id(now), alarm, now))

    def _fresh_id(self, now: float) -> str:
        """By its minute, and what tells those of one minute apart: none has another's."""
        moment = datetime.fromtimestamp(now, self._zone)
        taken = {incident.id for incident in (*self._register.known, *self._register.earlier)}
        while (identifier := f"{moment:%Y%m%d-%H%M}-{secrets.token_hex(2)}") in taken:
            pass
        return identifier


def _told(outcome: Outcome) -> tuple[object, ...]:
    """What tells one outcome from another."""
    return outcome.time, outcome.promise, outcome.step, outcome.verdict, outcome.layer, outcome.device, outcome.customer
