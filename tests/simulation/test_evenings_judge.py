"""The judge of evenings: what it says of the product, and that it notices faults that are put into the product."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from prikkfri.assurance.detection import Alarm
from prikkfri.assurance.impact import Scope, impact
from prikkfri.assurance.remedies import Trial
from prikkfri.assurance.response.actions.service import Actions
from prikkfri.assurance.response.evaluation import BEFORE_SECONDS, Evaluation, until
from prikkfri.assurance.response.evaluations.service import Evaluations
from prikkfri.assurance.response.service import Response, ResponseRooms
from prikkfri.assurance.response.watching.service import SeriesWatch
from prikkfri.assurance.service import Assurance
from prikkfri.assurance.watching import Watch
from prikkfri.journal import Page, Source
from prikkfri.simulation.evenings.drawing import TABLE, UNDISTURBED, Act, Disturbance, Evening, Fault, Restart, draw
from prikkfri.simulation.evenings.many import evening, played
from prikkfri.simulation.evenings.running import Parts

pytestmark = pytest.mark.slow

SIGN_IN = Fault(
    place={"service": "television", "step": "sign-in", "layer": "signin"}, kind="refused", share=1.0,
    spells=((150.0, 220.0),),
)  # fmt: skip
PARTNER = Fault(
    place={"service": "messages", "step": "deliver", "layer": "link", "partner": "partner-0"}, kind="refused",
    share=1.0, spells=((150.0, 230.0),),
)  # fmt: skip
WATCHING = Fault(
    place={"service": "television", "step": "start-playback", "layer": "streams"}, kind="refused", share=0.8,
    spells=((150.0, 200.0),),
)  # fmt: skip
SMALL = replace(
    TABLE, minutes=(7.0, 8.0), outcomes_least=4_500, outcomes_per_second=(10.0, 11.0), partners=(1, 2, 3),
    viewers=(300.0, 400.0), phones=(200.0, 300.0), began=(150.0, 180.0), lasts=(40.0, 90.0), twin_share=0.0,
    again_share=0.0,
)  # fmt: skip
"""Evenings of a few minutes, as many as a test run has time for."""
AGAIN = replace(
    SMALL, outcomes_least=6_500, outcomes_per_second=(3.5, 4.0), lasts=(80.0, 90.0), quiet_share=0.0, faults=(1,),
    broken_share=(0.8, 1.0), again_share=1.0, again_after=(1_200.0, 1_500.0), again_rest=240.0,
)  # fmt: skip
"""A heavy fault in little traffic, twice."""


def small(*faults: Fault, disturbance: Disturbance = UNDISTURBED, **known: Any) -> Evening:
    """An evening of six minutes in which all is as usual but for this."""
    usual = replace(
        draw(1), seconds=360.0, per_second=12.0, messages_part=0.45, viewers=300, phones=200, phones_off=0.04,
        ordinary_broken=0.001, partners=3, accounts=2, night=False, crowd_at=0.0, leaving_at=0.0, unbound_from=0.0,
        faults=faults, acts=(), twin=False, disturbance=disturbance,
    )  # fmt: skip
    return replace(usual, **known)


def away(at: float, seconds: float, *, killed: bool = False) -> Disturbance:
    return replace(UNDISTURBED, restarts=(Restart(at=at, away_seconds=seconds, steps=3, killed=killed),))


def test_a_product_without_a_fault_of_ours_is_found_right() -> None:
    judged = played(small(SIGN_IN, PARTNER, seconds=460.0))
    assert judged.findings == ()
    figures = judged.figures
    assert (figures.faults, figures.found, figures.placed_wrong) == (2, 2, 0)
    assert figures.hit_true > 30


def test_what_a_person_declares_over_before_it_was_confirmed_is_found_again_as_from_then() -> None:
    """As in evening 322626799: in two spells, and somebody is satisfied after the first."""
    link = {"service": "messages", "step": "deliver", "layer": "link"}
    fault = Fault(place=link, kind="refused", share=1.0, spells=((150.0, 172.0), (222.0, 250.0)))
    declared = played(small(fault, acts=(Act(at=162.0, kind="all-clear"),)))
    assert declared.findings == ()


def test_what_goes_on_in_a_small_place_is_not_over_because_all_is_well_in_a_large_one_beside_it() -> None:
    """As in evening 149899720: a few of an account's messages fail in spells, until long after a partner is well."""
    spells = ((150, 180), (218, 249), (266, 304), (320, 337), (370, 388), (417, 432), (464, 478), (501, 534))
    account = {"service": "messages", "step": "deliver", "layer": "link", "account": "account-4"}
    flapping = Fault(place=account, kind="refused", share=0.8, spells=spells)
    whole = replace(PARTNER, spells=((228.0, 258.0), (277.0, 307.0), (336.0, 356.0)))
    plan = small(
        flapping, whole, seed=5, seconds=720.0, per_second=5.0, messages_part=0.9, partners=2, accounts=5,
        viewers=60, phones=1_028, phones_off=0.02,
    )  # fmt: skip
    judged = played(plan)
    assert judged.findings == () and (judged.figures.faults, judged.figures.found) == (2, 2)


def test_of_what_has_only_begun_elsewhere_nothing_is_said_when_a_fault_is_over() -> None:
    """As in evening 384956608: clients fail to sign in since a moment when the streams are told to be well again."""
    client = {"service": "television", "step": "sign-in", "layer": "signin", "client": "television"}
    another = Fault(place=client, kind="refused", share=1.0, spells=((235.0, 315.0),))
    judged = played(small(WATCHING, another, seconds=460.0))
    assert judged.findings == () and (judged.figures.faults, judged.figures.found) == (2, 2)


def test_the_same_seed_is_the_same_evening_in_any_process() -> None:
    tiny = replace(SMALL, minutes=(2.0, 2.1), outcomes_least=1_200)
    script = (
        "import sys; from dataclasses import replace; from prikkfri.simulation.evenings import drawing, many;"
        "tiny = replace(drawing.TABLE, **eval(sys.argv[1])); print(many.evening(5, table=tiny).digest)"
    )
    told = {name: value for name, value in vars(tiny).items() if value != getattr(TABLE, name)}
    digests = {
        subprocess.run(
            [sys.executable, "-c", script, repr(told)], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for seed in ("1", "77")
    }  # fmt: skip
    assert digests == {evening(5, table=tiny).digest}


FRESH = secrets.randbelow(1_000_000)


@pytest.mark.parametrize("seed", [13, 15, 21, FRESH], ids=["away", "skewed", "slow", "fresh"])
def test_an_evening_by_lot_is_found_right(seed: int) -> None:
    judged = evening(seed, table=SMALL)
    if judged.findings and seed == FRESH and "CI" in os.environ:
        # What a change did not bring holds no change up; the seed is in the summary, to be mended and kept.
        pytest.xfail(f"small evening {seed}: {judged.findings}")
    assert judged.findings == (), f"seed {seed}: {judged.drawn}"


def with_room(**rooms: Any) -> Parts:
    """Incident response with a fault in one of its rooms."""
    return Parts(response=partial(Response, rooms=ResponseRooms(**rooms)))


class ByLayerAlone(Evaluations):
    async def _list(self, seen: Evaluation, now: float) -> bool:
        incident = seen.incident
        outcomes = await self._register.outcomes(incident.since - BEFORE_SECONDS, now + 1)
        places = tuple(segment.base for segment in incident.segments)
        scope = Scope(places, incident.since, until(incident, now))
        made = impact(outcomes, scope, now=now, expectations=self._expectations)
        return await super()._list(replace(seen, impact=made), now)


class WithoutKey(Actions):
    async def trial(self, *arguments: Any, **known: Any) -> Trial | None:
        tried = await super().trial(*arguments, **known)
        at = self._clock.now()
        return tried and replace(tried, credits=tuple(replace(c, key=f"{c.key}:{at}") for c in tried.credits))


class Forgetting(SeriesWatch):
    async def recover(self) -> None:
        self.began_at = self._clock.now()
        await super().recover()

    async def _take_alarm(self, alarm: Alarm, now: float) -> None:
        if alarm.raised_at > self.began_at:
            await super()._take_alarm(alarm, now)


class DropsLate(Assurance):
    async def _take(self, transaction: Any, stream: str, page: Page) -> None:
        since = self.clock.now() - 4.0
        await super()._take(transaction, stream, replace(page, outcomes=[o for o in page.outcomes if o.time > since]))


def losing_position(source: Source) -> Source:
    """Whoever starts again goes on from the end."""
    began = False

    async def jumping(stream: str, after: int) -> Page | None:
        nonlocal began
        page = await source(stream, after)
        if not began and after and page is not None:
            while page is not None and page.last < page.newest:
                page = await source(stream, page.last)
            page = page and replace(page, outcomes=[], first=page.last)
        began = began or page is not None
        return page

    return jumping


@pytest.mark.parametrize(
    ("parts", "disturbance", "faults", "figure"),
    [
        (with_room(evaluations=ByLayerAlone), UNDISTURBED, [PARTNER], "hit_wrongly_listed"),
        (Parts(source=losing_position), away(170.0, 15.0), [SIGN_IN], "hit_missed"),
        (Parts(assurance=DropsLate), replace(UNDISTURBED, late_part=0.4), [WATCHING], "hit_missed"),
        (with_room(actions=WithoutKey), away(410.0, 1.0), [SIGN_IN], "credited_twice"),
    ],
    ids=["a list by layer alone", "a lost position", "a late outcome dropped", "credits without their key"],
)
def test_a_fault_of_the_product_is_noticed(
    parts: Parts, disturbance: Disturbance, faults: Sequence[Fault], figure: str
) -> None:
    # Few messages, that nothing else is late; or many, and phones that are off at other partners, too.
    messages: dict[str, float] = {"messages_part": 0.02} if WATCHING in faults else {}
    messages = {"messages_part": 0.6, "phones_off": 0.05, "partners": 2} if PARTNER in faults else messages
    longer = {"seconds": 460.0} if figure == "credited_twice" else {}
    judged = played(small(*faults, disturbance=disturbance, **messages, **longer), parts)
    assert judged.figures.faults == 1
    assert getattr(judged.figures, figure) > 0, judged.findings


def test_alarms_that_are_forgotten_at_a_restart_are_noticed() -> None:
    short = replace(SIGN_IN, spells=((150.0, 200.0),))
    plan = small(short, disturbance=away(156.0, 46.0))
    judged, whole = played(plan, with_room(watch=Forgetting)), played(plan)
    assert judged.figures.found < judged.figures.faults, judged.findings
    assert whole.findings == (), "without the fault of ours it is found"


class HeldUp(SeriesWatch):
    """An alarm of a share stands for as long as anything is left of the slightest alternative."""

    def _advance(self, *arguments: Any, **known: Any) -> tuple[Watch, tuple[Alarm, ...]]:
        watch, alarms = super()._advance(*arguments, **known)
        if watch.sums is not None:
            by = np.where(watch.sums.shares_stand, 0, -1)
            watch = replace(watch, sums=replace(watch.sums, alternative=by))
        return watch, alarms


def test_an_alarm_that_hides_the_next_fault_is_noticed() -> None:
    held_up, whole = (evening(15, parts=parts, table=AGAIN) for parts in (with_room(watch=HeldUp), Parts()))
    assert (held_up.figures.faults, held_up.figures.found) == (2, 1), held_up.findings
    assert held_up.figures.hit_missed > 20
    assert (whole.figures.found, whole.findings) == (2, ()), "without the fault of ours it is found"


class WritesBehind(Assurance):
    """Stores outcomes after it has said how far it has read: some at a time, and the last when it is stopped."""

    async def run(self) -> None:
        self.behind: list[tuple[str, Page]] = []
        try:
            await super().run()
        finally:
            await self.catch_up()

    async def catch_up(self) -> None:
        pages, self.behind = self.behind, []

        async def work(transaction: Any) -> None:
            for stream, page in pages:
                await super(WritesBehind, self)._take(transaction, stream, page)

        await self.database.write(work)

    async def _take(self, transaction: Any, stream: str, page: Page) -> None:
        self.behind.append((stream, page))
        self._fresh_of[stream] = page
        if len(self.behind) >= 400:
            asyncio.get_running_loop().create_task(self.catch_up())


@pytest.mark.parametrize("killed", [True, False])
def test_what_is_stored_too_late_is_lost_when_power_is_and_that_is_noticed(*, killed: bool) -> None:
    judged = played(small(SIGN_IN, disturbance=away(205.0, 1.0, killed=killed)), Parts(assurance=WritesBehind))
    assert (judged.figures.hit_missed > 0) is killed, judged.findings


def test_of_a_kill_at_any_step_nothing_is_lost() -> None:
    restarts = tuple(Restart(at=at, away_seconds=1.0, steps=int(at) % 37, killed=True) for at in (100.0, 156.0, 200.0))
    judged = played(small(SIGN_IN, PARTNER, seconds=460.0, disturbance=replace(UNDISTURBED, restarts=restarts)))
    assert judged.findings == ()
    assert judged.figures.found == 2
