"""The stage of a demo: plays the evenings that are ordered in its console, one at a time, and tells how they go.

`python -m prikkfri.simulation.stage --home HOME`, until SIGTERM or the end of standard input.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from prikkfri.app.process import run_until_stopped, say_ready
from prikkfri.assurance.rehearsals import store
from prikkfri.assurance.rehearsals.staging import (
    Evening,
    Order,
    Stage,
    Staging,
    Step,
    Verdict,
    break_off,
    conclude,
    is_stale,
)
from prikkfri.clock import Clock, SystemClock
from prikkfri.config import Config, load
from prikkfri.errors import PrikkfriError, UsageError
from prikkfri.simulation import demo
from prikkfri.simulation.people import TROUBLE
from prikkfri.simulation.report import Check

log = logging.getLogger("prikkfri.stage")

POLL_SECONDS = 0.5
TELL_SECONDS = 2.0
STEPS_MAX = 200
STOPPED = "The demo was stopped while it went on."

Say = Callable[[str], None]
Told = tuple[Sequence[Check], Sequence[str]]
"""What an evening came to: its checks, and the ids of its incidents."""
Play = Callable[[Path, Say], Awaitable[Told]]


async def play_kickoff(home: Path, say: Say, *, database: str = "", file: Path | None = None) -> Told:
    from prikkfri.simulation.kickoff_plan import Plan
    from prikkfri.simulation.rehearsing import rehearse_kickoff

    _, checks, _, told = await rehearse_kickoff(Plan(), say=say, home=home, database=database, file=file)
    return checks, [each.incident["id"] for each in told]


async def play_misdelivery(home: Path, say: Say, *, database: str = "", file: Path | None = None) -> Told:
    from prikkfri.simulation.misdelivery import Plan
    from prikkfri.simulation.rehearsing import rehearse_misdelivery

    _, checks, _, told, _ = await rehearse_misdelivery(Plan(), say=say, home=home, database=database, file=file)
    return checks, [each.incident["id"] for each in told]


def plays_of(config: Config, file: Path | None = None) -> dict[Evening, Play]:
    """What can be played against the demo, wherever its databases are.

    What they need is imported when they are wanted: a demo waits for hours between two of them.
    """
    database = config.storage.url
    return {
        "kickoff": partial(play_kickoff, database=database, file=file),
        "misdelivery": partial(play_misdelivery, database=database, file=file),
    }


def stage_of(config: Config) -> Stage:
    """What can be staged in a demo that is so configured."""
    pages = {partner.name: f"http://localhost:{port}" for port, partner in demo.partners_of(config).items()}
    try:
        demo.refuse_without_partners(config)
    except UsageError as error:
        return Stage({"misdelivery": f"{error}"}, pages)
    return Stage({}, pages)


@dataclass
class _Playing:
    """An evening that goes on, and what of it has been told."""

    home: Path
    clock: Clock
    staging: Staging
    _steps: list[Step] = field(default_factory=list)

    def say(self, text: str) -> None:
        self._steps.append(Step(self.clock.now(), text))
        self.tell(self.staging)

    def tell(self, staging: Staging) -> None:
        now = self.clock.now()
        self.staging = replace(staging, steps=tuple(self._steps[-STEPS_MAX:]), told_at=now)
        try:
            store.put_staging(self.home, self.staging)
        except OSError as error:  # on a full disk the evening goes on
            log.warning("what the evening does cannot be told: %s", error)

    async def go_on_telling(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            self.tell(self.staging)


async def play(home: Path, order: Order, clock: Clock, played: Play) -> None:
    """Plays what was ordered to its end, whatever comes of it."""
    now = clock.now()
    playing = _Playing(home, clock, Staging(order.evening, order.by, now, now))
    playing.tell(playing.staging)
    telling = asyncio.create_task(playing.go_on_telling())
    try:
        checks, incidents = await played(home, playing.say)
        verdicts = tuple(Verdict(check.name, check.figure, check.holds) for check in checks)
        playing.tell(conclude(playing.staging, verdicts, tuple(incidents), clock.now()))
    except asyncio.CancelledError:
        playing.tell(break_off(playing.staging, STOPPED, clock.now()))
        raise
    except PrikkfriError as error:
        playing.tell(break_off(playing.staging, str(error), clock.now()))
    except TROUBLE as error:
        log.exception("the evening was broken off")
        playing.tell(break_off(playing.staging, f"The demo does not answer: {type(error).__name__}", clock.now()))
    except Exception as error:  # whatever went wrong with one evening, the next can be ordered
        log.exception("the evening was broken off")
        playing.tell(break_off(playing.staging, f"It went wrong by itself: {type(error).__name__}", clock.now()))
    finally:
        telling.cancel()


async def keep_stage(config: Config, clock: Clock, plays: dict[Evening, Play], *, poll_seconds: float) -> None:
    """Goes on until cancelled."""
    home = config.home
    store.put_stage(home, stage_of(config))
    for left in store.stagings(home).values():
        if left.state == "running":
            store.put_staging(home, break_off(left, STOPPED, clock.now()))
    say_ready()
    while True:
        order = store.take_order(home)
        if order is not None and not is_stale(order, clock.now()):
            await play(home, order, clock, plays[order.evening])
        await asyncio.sleep(poll_seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m prikkfri.simulation.stage")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    arguments = parser.parse_args()
    config = load(arguments.home, file=arguments.config, environment=os.environ, demo=True)
    plays = plays_of(config, arguments.config)
    asyncio.run(run_until_stopped(lambda: keep_stage(config, SystemClock(), plays, poll_seconds=POLL_SECONDS)))
