"""Playout as a role: how it sees that people do not get in, and what the demo opens then."""

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from waiting import eventually

from prikkfri.app.roles import playout
from prikkfri.clock import SystemClock
from prikkfri.config import Channel, Config, load
from prikkfri.simulation.installation import free_ports, ports_section
from prikkfri.streaming.fallback import LONG_LINE, NOT_ANSWERING


def configuration(home: Path, *, demo: bool = False) -> Config:
    (home / "prikkfri.toml").write_text(ports_section(free_ports(8)) + "[streaming]\nfallback_wait_seconds = 60\n")
    return load(home, file=None, environment={}, demo=demo)


REFUSED, LATE = httpx.ConnectError("refused"), httpx.ReadTimeout("late")
Answer = httpx.Response | httpx.HTTPError


def line(wait_s: object, **more: object) -> httpx.Response:
    return httpx.Response(200, json={"wait_s": wait_s, **more})


@pytest.mark.parametrize(
    ("health", "waiting", "trouble"),
    [
        (httpx.Response(200), line(0), ""),
        (httpx.Response(200), line(60.0), ""),
        (httpx.Response(200), line(60.1), LONG_LINE),
        (httpx.Response(200), line(None), LONG_LINE),  # it stands still
        (httpx.Response(200), line(None, ordered={"state": "paused"}), LONG_LINE),
        (httpx.Response(200), line(60.1, ordered={"state": "drained"}), LONG_LINE),
        # Until a room opens nobody has waited in vain.
        (httpx.Response(200), line(660.0, ordered={"state": "scheduled", "in_s": 600.0}), ""),
        (httpx.Response(200), line(660.1, ordered={"state": "scheduled", "in_s": 600.0}), LONG_LINE),
        (httpx.Response(200), line(100, ordered={"state": "scheduled"}), ""),
        (httpx.Response(200), line(100, ordered="soon"), ""),
        (httpx.Response(200), REFUSED, ""),  # without a door one signs in all the same
        (httpx.Response(200), LATE, ""),
        (httpx.Response(200), httpx.Response(503), ""),
        (httpx.Response(200), httpx.Response(200, text="no JSON"), ""),
        (httpx.Response(200), httpx.Response(200, json=[]), ""),
        (httpx.Response(200), httpx.Response(200, json={}), ""),
        (httpx.Response(200), line("soon"), ""),
        (httpx.Response(200), line([]), ""),
        (httpx.Response(503), line(0), NOT_ANSWERING),
        (REFUSED, line(0), NOT_ANSWERING),
        (LATE, line(100), NOT_ANSWERING),
        (REFUSED, REFUSED, NOT_ANSWERING),
    ],
)
async def test_people_do_not_get_in_when_signin_is_silent_or_the_line_is_long(
    tmp_path: Path, health: Answer, waiting: Answer, trouble: str
) -> None:
    config = configuration(tmp_path)
    answers = {
        f"http://localhost:{config.roles.signin.port}/health": health,
        f"http://localhost:{config.roles.door.port}/line": waiting,
    }

    def answer(request: httpx.Request) -> httpx.Response:
        given = answers[str(request.url)]
        if isinstance(given, httpx.HTTPError):
            raise given
        return given

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        assert await playout.sign_in_trouble(client, config) == trouble


@pytest.mark.parametrize(
    ("demo", "channels", "opened"),
    [
        (True, (), {"sport", "torget"}),
        (True, (Channel(id="own", name="Own", number=1), Channel(id="sport", name="Sport", number=2)), set()),
        (False, (), set()),
    ],
    ids=["the demo", "own channels in the demo", "no demo"],
)
async def test_the_demo_opens_its_match_when_sign_in_is_silent_and_nothing_that_nobody_asked_for(
    tmp_path: Path, demo: bool, channels: tuple[Channel, ...], opened: set[str]
) -> None:
    config = configuration(tmp_path, demo=demo)
    settings = replace(config.streaming, channels=channels, fallback_after_seconds=0.0)
    role = await playout.build(replace(config, streaming=settings), SystemClock())
    http = httpx.AsyncClient(transport=httpx.ASGITransport(role.application), base_url="http://playout")
    running = [asyncio.create_task(work()) for work in role.work]

    try:
        await eventually((tmp_path / "playout" / "fallback.json").exists, what="the rule to decide")
        assert {channel["id"] for channel in (await http.get("/open")).json()} == opened
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await http.aclose()
        await role.close()
