"""What is done about an incident: by people, who say what they did and release credits, and by the rule of remedies."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import tzinfo
from functools import partial

from prikkfri.assurance import incidents
from prikkfri.assurance.impact import Impact
from prikkfri.assurance.incidents import Fact, Incident
from prikkfri.assurance.post_incident.service import RULE, record_credits
from prikkfri.assurance.remedies import Policy, ServiceCredit, Tier, Trial, night, trial
from prikkfri.assurance.response import store
from prikkfri.assurance.response.register.service import IncidentRegister
from prikkfri.assurance.response.store import CreditRecord
from prikkfri.assurance.response.surroundings import Surroundings
from prikkfri.clock import Clock
from prikkfri.config import Assurance as Settings
from prikkfri.config import Remedy
from prikkfri.errors import StorageError, UsageError
from prikkfri.storage import Database

log = logging.getLogger("prikkfri.assurance")


class Actions:
    def __init__(
        self,
        database: Database,
        register: IncidentRegister,
        *,
        settings: Settings,
        surroundings: Surroundings,
        clock: Clock,
        zone: tzinfo,
    ) -> None:
        self._database = database
        self._register = register
        self._settings = settings
        self._around = surroundings
        self._clock = clock
        self._zone = zone

    async def act(self, identifier: str, fact: Fact) -> Incident:
        """Something that a person or another role did. Raises `UsageError` when there is no such incident."""
        register = self._register
        async with register.acting:
            incident = register.current(identifier) or await register.incident(identifier)
            if incident is None:
                raise UsageError(f"there is no incident {identifier}")
            incident = incidents.apply_fact(incident, fact)
            await register.save(incident)
            return incident

    async def release(self, identifier: str, *, by: str) -> int:
        """Gives the credits that wait for a person; returns how many were given."""
        register = self._register
        incident = await register.incident(identifier)
        if incident is None:
            raise UsageError(f"there is no incident {identifier}")
        async with register.acting:
            listed = await self._database.snapshot(lambda q: store.impact_of(q, incident))
            given = await self._give(incident, listed[0], by=by, by_person=True) if listed else []
            if given:
                now = register.current(identifier) or incident
                await register.save(record_credits(now, given, by, self._clock.now()))
            return len(given)

    # Remedies.

    async def trial_of(self, incident: Incident, made: Impact) -> Trial | None:
        """What a list would give beside what was given; None without a remedy for the service."""
        return await self.trial(incident, made, await self._register.credits(incident.id))

    async def trial(
        self, incident: Incident, made: Impact, given: Sequence[CreditRecord], *, released: bool = False
    ) -> Trial | None:
        """The same, when what was `given` is known; `released`: also for what only devices reported."""
        policy = self._policy(incident.service)
        if policy is None:
            return None
        customers = [hit.customer for hit in made.hits if hit.customer]
        products = await self._around.products(customers, incident.since)
        ended_at = incident.ended_at or self._clock.now()
        since, until = night(incident.opened_at, self._zone)
        that_night = await self._database.read(
            partial(store.credited_amounts, since=since, until=until, currency=policy.currency, but=incident.id)
        )
        return await asyncio.to_thread(
            trial,
            policy,
            made.hits,
            incident=incident.id,
            ended_at=ended_at,
            products=products,
            reported_released=released,
            given=[each.credit for each in given],
            that_night=that_night,
        )

    async def give_by_rule(self, incident: Incident, made: Impact) -> list[ServiceCredit]:
        """What the rule gives for a list and was not given, as it is given; of what cannot be stored, none."""
        try:
            return await self._give(incident, made, by=RULE, by_person=False)
        except StorageError as error:
            log.error("incident %s: its credits are not given yet: %s", incident.id, error)
            self._register.lists.pop(incident.id, None)  # so that the next look lists anew, and gives
            return []

    async def _give(self, incident: Incident, made: Impact, *, by: str, by_person: bool) -> list[ServiceCredit]:
        """Gives what has not been given; a person's word goes above the cap of the whole and for what was reported."""
        given = await self._register.credits(incident.id)
        tried = await self.trial(incident, made, given, released=by_person)
        if tried is None or not tried.credits or (tried.over_cap and not by_person):
            return []
        now = self._clock.now()
        return await self._database.write(lambda t: store.give_credits(t, tried.credits, given_by=by, now=now))

    def _policy(self, service: str) -> Policy | None:
        remedy = next((each for each in self._settings.remedies if each.service == service), None)
        return _policy(remedy) if remedy else None


def _policy(remedy: Remedy) -> Policy:
    return Policy(
        name=remedy.name,
        service=remedy.service,
        currency=remedy.currency,
        tiers=tuple(Tier(from_minutes=tier.from_minutes, amount=tier.amount) for tier in remedy.tiers),
        products=dict.fromkeys(remedy.products, 1.0),
        cap_per_customer=remedy.cap_per_customer,
        cap_per_customer_and_night=remedy.cap_per_customer_and_night,
        cap_total=remedy.cap_total,
    )
