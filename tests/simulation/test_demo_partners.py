"""What a demo has so that the misdelivery can be staged in it, and what tells the people of one evening apart."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from waiting import WAIT_SECONDS_MAX

from prikkfri.assurance.detection import Settings
from prikkfri.assurance.watching import Watch, advance, kept
from prikkfri.cli.running import demo_programs
from prikkfri.clock import SystemClock
from prikkfri.config import load
from prikkfri.errors import UsageError
from prikkfri.journal import Outcome
from prikkfri.simulation import demo, people
from prikkfri.simulation.misdelivery import Plan
from prikkfri.simulation.rehearsing import MESSAGES, is_alarmed, rehearse_misdelivery


def home_of(folder: Path, configuration: str) -> Path:
    (folder / "prikkfri.toml").write_text(configuration, encoding="utf-8")
    return folder


def test_a_new_demo_has_two_partners_beside_its_own_network(tmp_path: Path) -> None:
    assert demo.write_configuration(tmp_path)
    config = load(tmp_path, file=None, environment={}, demo=True)
    assert [link.name for link in config.sms.links] == ["handsets", "nordtel", "sydtel"]
    assert [(port, each.link) for port, each in demo.partners_of(config).items()] == [
        (8091, "nordtel"),
        (8092, "sydtel"),
    ]
    programs = {program.name: list(program.arguments) for program in demo_programs(config, None)}
    assert list(programs) == ["handsets", "nordtel", "sydtel", "life", "stage"]
    canaries = {canary.msisdn.lstrip("+") for canary in config.sms.canaries}
    for name, smpp_port, http_port in (("nordtel", 2777, 8091), ("sydtel", 2778, 8092)):
        assert {f"--smpp-port={smpp_port}", f"--http-port={http_port}"} <= set(programs[name])
        theirs = [argument.partition("=")[0] for argument in programs[name] if argument.endswith("=canary")]
        assert len(theirs) == demo.PARTNER_CANARIES and set(theirs) <= canaries
    assert len(canaries) == 2 * demo.PARTNER_CANARIES


def test_a_demo_without_them_stages_no_misdelivery_and_says_what_to_do(tmp_path: Path) -> None:
    home = home_of(tmp_path, demo.configuration())
    config = load(home, file=None, environment={}, demo=True)
    assert demo.partners_of(config) == {}
    assert [program.name for program in demo_programs(config, None)] == ["handsets", "life", "stage"]
    with pytest.raises(UsageError, match=r"before a demo had the partners Nordtel and Sydtel.*in a new home"):
        demo.refuse_without_partners(config)


async def test_a_home_on_which_nothing_runs_stages_no_misdelivery(tmp_path: Path) -> None:
    demo.write_configuration(tmp_path)
    with pytest.raises(Exception, match="viewer does not run"):
        await rehearse_misdelivery(Plan(), say=lambda line: None, home=tmp_path)


async def serving(answers: dict[str, Any]) -> tuple[web.AppRunner, str]:
    application = web.Application()
    for path, answer in answers.items():
        application.router.add_get(path, answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, site.name


async def test_whether_a_fault_hit_somebody_is_asked_of_this_evening_alone() -> None:
    async def was_i_hit(_: web.Request) -> web.Response:
        return web.json_response({"incidents": [{"asked_at": 100.0}]})

    runner, url = await serving({"/was-i-hit": was_i_hit})
    try:
        async with people.open_session() as http:
            at = people.Addresses(url, url, url, url, url)
            viewer = people.Viewer(demo.people(1)[0], "d-1", "", http, at, SystemClock(), device_token="t")
            assert await viewer.was_hit(since=100.0) is True
            assert await viewer.was_hit(since=100.1) is False
    finally:
        await runner.cleanup()


async def test_the_status_page_is_asked_until_it_is_green() -> None:
    said = iter(["critical", "minor", "none"])

    async def summary(_: web.Request) -> web.Response:
        return web.json_response({"status": {"indicator": next(said)}})

    runner, url = await serving({"/summary.json": summary})
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(WAIT_SECONDS_MAX):
            assert await people.until_green(http, f"{url}/summary.json", SystemClock(), again_seconds=0.01) > 0
            assert next(said, "all said") == "all said"
    finally:
        await runner.cleanup()


def watched(seconds: int) -> tuple[float, str]:
    """What is kept of a watch after so long: receipts come for a minute, do not for ten seconds, and come again."""
    told = [
        ("sms", Outcome(time=1_000.5 + second, service="receipts", step="receipt", layer="link", verdict=verdict))
        for second in range(seconds)
        for verdict in ["broken" if 60 <= second < 70 else "kept"] * 10
    ]
    until = 1_000.0 + seconds
    watch, _ = advance(Watch(1_000.0), told, Settings(), until=until)
    return until, kept(watch)


def test_an_evening_begins_when_no_alarm_of_its_services_stands_any_more() -> None:
    """Where one stands what fails anew raises no other, though the incident is over."""
    assert not is_alarmed(None, MESSAGES)
    assert [is_alarmed(watched(seconds), MESSAGES) for seconds in (60, 70, 75, 160)] == [False, True, True, False]
    assert not is_alarmed(watched(70), ("television",))
