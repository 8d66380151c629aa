"""The stage of a demo: takes an order, tells how it goes, and is there for the next one whatever comes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import eventually

from prikkfri.assurance.rehearsals import store
from prikkfri.assurance.rehearsals.staging import Evening, Order, Staging, Verdict
from prikkfri.clock import ManualClock
from prikkfri.config import Config, load
from prikkfri.errors import UsageError
from prikkfri.simulation import demo
from prikkfri.simulation.report import Check
from prikkfri.simulation.stage import STOPPED, Play, Say, Told, keep_stage, stage_of

CHECKS = [Check("It was placed", "signin", True)]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    demo.write_configuration(tmp_path)
    return load(tmp_path, file=None, environment={}, demo=True)


@asynccontextmanager
async def stage(config: Config, clock: ManualClock, **plays: Play) -> AsyncIterator[asyncio.Task[None]]:
    known: dict[Evening, Play] = {"kickoff": plays["kickoff"]} if plays else {}
    keeping = asyncio.create_task(keep_stage(config, clock, known, poll_seconds=0.001))
    try:
        yield keeping
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def told(config: Config, so: Callable[[Staging], bool]) -> Staging:
    await eventually(lambda: (found := store.stagings(config.home).get("kickoff")) is not None and so(found))
    return store.stagings(config.home)["kickoff"]


async def test_an_order_is_played_step_by_step_to_its_checks(config: Config, clock: ManualClock) -> None:
    go_on = asyncio.Event()

    async def play(home: Path, say: Say) -> Told:
        assert home == config.home
        say("people come")
        clock.advance(3)
        await go_on.wait()
        return CHECKS, ["i-1"]

    began = clock.now()
    async with stage(config, clock, kickoff=play):
        store.put_order(config.home, Order("kickoff", "duty", clock.now()))
        running = await told(config, lambda staging: bool(staging.steps))
        assert (running.state, running.by, running.since) == ("running", "duty", began)
        assert [(step.at, step.text) for step in running.steps] == [(began, "people come")]
        assert store.order(config.home) is None
        go_on.set()
        ended = await told(config, lambda staging: staging.state != "running")
    assert (ended.state, ended.until, ended.incidents) == ("passed", began + 3, ("i-1",))
    assert ended.verdicts == (Verdict("It was placed", "signin", True),) and ended.steps == running.steps


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (UsageError("an incident is open"), "an incident is open"),
        (KeyError("x"), "It went wrong by itself: KeyError"),
        (TimeoutError(), "The demo does not answer: TimeoutError"),
    ],
)
async def test_an_evening_that_goes_wrong_by_itself_says_so_and_the_next_is_played(
    config: Config, clock: ManualClock, error: Exception, trouble: str
) -> None:
    outcomes: list[Exception | Told] = [error, (CHECKS, [])]

    async def play(home: Path, say: Say) -> Told:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async with stage(config, clock, kickoff=play):
        store.put_order(config.home, Order("kickoff", "duty", clock.now()))
        off = await told(config, lambda staging: staging.state != "running")
        assert (off.state, off.trouble) == ("broken-off", trouble)
        store.put_order(config.home, Order("kickoff", "duty", clock.now()))
        assert (await told(config, lambda staging: staging.state == "passed")).trouble == ""


async def test_a_demo_that_is_stopped_breaks_its_evening_off(config: Config, clock: ManualClock) -> None:
    async def play(home: Path, say: Say) -> Told:
        await asyncio.Event().wait()
        raise AssertionError

    async with stage(config, clock, kickoff=play) as keeping:
        store.put_order(config.home, Order("kickoff", "duty", clock.now()))
        running = await told(config, lambda staging: staging.state == "running")
        keeping.cancel()
        assert (await told(config, lambda staging: staging.state != "running")).trouble == STOPPED
    store.put_staging(config.home, replace(running, state="running"))  # it was killed
    async with stage(config, clock):
        off = await told(config, lambda staging: staging.state != "running")
        assert (off.state, off.trouble) == ("broken-off", STOPPED)


async def test_an_order_of_before_the_stage_was_there_is_dropped(config: Config, clock: ManualClock) -> None:
    store.put_order(config.home, Order("kickoff", "duty", clock.now() - 10.1))
    async with stage(config, clock):
        await eventually(lambda: store.order(config.home) is None)
    assert store.stagings(config.home) == {}
    assert store.stage(config.home) == stage_of(config)


def test_a_demo_says_what_it_can_stage_and_where_its_partners_phones_are(config: Config, tmp_path: Path) -> None:
    found = stage_of(config)
    assert (found.hindrances, found.pages) == (
        {}, {"Nordtel": "http://localhost:8091", "Sydtel": "http://localhost:8092"},
    )  # fmt: skip
    (tmp_path / "prikkfri.toml").write_text(demo.configuration())
    lacking = stage_of(load(tmp_path, file=None, environment={}, demo=True))
    assert list(lacking.hindrances) == ["misdelivery"] and lacking.pages == {}
    assert "before a demo had the partners Nordtel and Sydtel" in lacking.hindrances["misdelivery"]
