"""Contacts: who turns to customer service, for each 1,000 active customers, minute by minute in each service.

Theory of operation. Active in a minute is whoever a role saw ask for something in it. Of n active customers b turned to
customer service: a share like any other, watched by the same test (`shares.py`), in buckets of a minute. Contacts are
handed in by somebody else's system, and late: a minute is counted when one of a later minute has come, or after
`QUIET_SECONDS`, and what comes for a minute that is counted already counts in the next. What is older than
`LATE_SECONDS` says nothing of the present. Nothing is asked before the first contact: that nobody hands them in is not
that nobody calls.

An alarm is a sign of something that no role has seen. It opens a suspicion; alone it confirms nothing, for people call
about their bill as well.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from prikkfri.assurance.detection import shares
from prikkfri.assurance.detection.series import CONTACT_STEP, Alarm, Settings
from prikkfri.assurance.detection.shares import ShareSettings
from prikkfri.assurance.segments import Segment

MINUTE_SECONDS = 60.0
SERVICES_MAX = 20
QUIET_SECONDS = 300.0
LATE_SECONDS = 900.0
MINUTES_KEPT = 60
"""So long it is known how many were active."""
ORDINARY = 0.001
"""The share that is taken for ordinary before anything is known."""


class ContactMoment(NamedTuple):
    service: str
    at: float


class ContactRates:
    """What is known of all services; one owner changes it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tested = _tested(settings)
        self._services: list[str] = []
        self._shares = shares.fresh(0, self._tested)
        self._minute = -1
        """The one that runs."""
        self._asking: dict[str, set[str]] = {}
        self._active: dict[int, dict[str, int]] = {}
        """How many were active, by minute and service."""
        self._waiting: dict[int, dict[str, int]] = {}
        """Contacts of minutes that are not counted yet."""
        self._next: int | None = None
        """The first minute that is not counted; None: no contact has ever come."""
        self._raised: dict[str, Alarm] = {}

    @property
    def standing(self) -> tuple[Alarm, ...]:
        """The alarms that stand now."""
        return tuple(self._raised.values())

    @property
    def counted_to(self) -> float:
        """Contacts from then on are not counted yet."""
        return 0.0 if self._next is None else self._next * MINUTE_SECONDS

    def ask(self, start: float, asking: Iterable[tuple[str, str]]) -> None:
        """Who asked for something in the bucket that began at `start`: service, and customer or device."""
        minute = int(start // MINUTE_SECONDS)
        if minute != self._minute:
            if self._minute >= 0:
                self._active[self._minute] = {service: len(known) for service, known in self._asking.items()}
            while len(self._active) > MINUTES_KEPT:
                del self._active[min(self._active)]
            self._minute, self._asking = minute, {}
        for service, who in asking:
            self._asking.setdefault(service, set()).add(who)

    def take(self, contacts: Iterable[ContactMoment], now: float) -> list[Alarm]:
        """Takes what has been handed in; returns the alarms that it raises."""
        for service, at in contacts:
            if not now - LATE_SECONDS <= at <= now + MINUTE_SECONDS or not self._knows(service):
                continue
            minute = int(at // MINUTE_SECONDS)
            if self._next is None:
                self._next = minute
            minute = max(minute, self._next)
            counts = self._waiting.setdefault(minute, {})
            counts[service] = counts.get(service, 0) + 1
        if self._next is None:
            return []
        quiet = int((now - QUIET_SECONDS) // MINUTE_SECONDS)
        # Who was active in the minute that runs is not known yet.
        until = min(max(quiet, max(self._waiting, default=quiet)), self._minute)
        if until - self._next > MINUTES_KEPT:
            self._next = until - MINUTES_KEPT
        alarms: list[Alarm] = []
        while self._next < until:
            alarms += self._count(self._next, now)
            self._next += 1
        return alarms

    def _knows(self, service: str) -> bool:
        if service not in self._services:
            if len(self._services) >= SERVICES_MAX:
                return False
            self._services.append(service)
            self._shares = shares.grown(self._shares, shares.fresh(1, self._tested, [ORDINARY]))
        return True

    def _count(self, minute: int, now: float) -> list[Alarm]:
        counts = self._waiting.pop(minute, {})
        active = self._active.get(minute)
        if active is None:  # nobody watched then
            return []
        contacts = np.array([counts.get(service, 0) for service in self._services], dtype=float)
        customers = np.array([active.get(service, 0) for service in self._services], dtype=float)
        before, order = self._shares, self._services
        # More who call than who are active: all of them, as far as a share can say.
        self._shares, raised = shares.step(
            before, np.maximum(customers, contacts), contacts, minute * MINUTE_SECONDS, self._tested
        )
        alarms: list[Alarm] = []
        for number, service in enumerate(order):
            if raised[number]:
                self._raised[service] = self._alarm(number, float(before.fit.share[number]), now)
                alarms.append(self._raised[service])
            elif not self._shares.standing[number]:
                self._raised.pop(service, None)
        return alarms

    def _alarm(self, number: int, level: float, now: float) -> Alarm:
        since, customers, contacts = shares.best(self._shares, number)
        share, usual = 1_000 * contacts / customers, 1_000 * level
        return Alarm(
            kind="contacts",
            segment=Segment.of({"service": self._services[number], "step": CONTACT_STEP}),
            raised_at=now,
            since=since,
            level=level,
            seen=contacts / customers,
            promises=customers,
            evidence=self._tested.threshold,
            threshold=self._tested.threshold,
            text=f"{share:.3g} contacts for each 1,000 active customers a minute, ordinarily {usual:.2g}",
        )


def _tested(settings: Settings) -> ShareSettings:
    return ShareSettings(
        bucket_seconds=MINUTE_SECONDS,
        series=SERVICES_MAX,
        false_alarms_per_month=settings.false_alarms_per_month,
        half_life_seconds=6 * 3_600.0,
        prior_share=ORDINARY,
        prior_promises=2_000.0,
    )


class KeptContacts(msgspec.Struct):
    """What is not counted yet is stored as it was taken in, and no part of it."""

    services: list[str]
    shares: dict[str, list[float]]
    active: dict[int, dict[str, int]]
    next: int | None
    raised: dict[str, Alarm]


def kept(rates: ContactRates) -> KeptContacts:
    return KeptContacts(rates._services, shares.kept(rates._shares), rates._active, rates._next, rates._raised)


def restored(document: KeptContacts, settings: Settings) -> ContactRates:
    rates = ContactRates(settings)
    rates._services, rates._active = document.services, document.active
    rates._next, rates._raised = document.next, document.raised
    if document.services:
        rates._shares = shares.restored(document.shares)
    return rates
