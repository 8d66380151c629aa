"""Staging a rehearsal from nothing: a home of its own, roles and phones, the evening, the account, the report."""

import asyncio
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from aiohttp import ClientSession

from prikkfri.app.locks import hold_lock
from prikkfri.assurance import watching
from prikkfri.assurance.response import store
from prikkfri.assurance.response.timing import TIMING
from prikkfri.clock import SystemClock
from prikkfri.config import ROLES, Config
from prikkfri.errors import UsageError
from prikkfri.simulation import demo, kickoff_result, life, misdelivery, misdelivery_result
from prikkfri.simulation.duty import Duty
from prikkfri.simulation.incident_reports import IncidentReport, read_incidents, read_reports
from prikkfri.simulation.installation import (
    BorrowedInstallation,
    Installation,
    demo_settings,
    free_ports,
    ports_section,
    stored_at,
)
from prikkfri.simulation.kickoff import Evening, Say, Truth
from prikkfri.simulation.kickoff_plan import Plan
from prikkfri.simulation.kickoff_result import Result
from prikkfri.simulation.mechanisms import Mechanism
from prikkfri.simulation.partners.operators import PARTNERS
from prikkfri.simulation.people import open_session, until_green
from prikkfri.simulation.report import Check, render
from prikkfri.storage import Location, open_reader

LOCK = "rehearsal"
"""Of a demo's home: one evening is staged at a time."""
CALM_SECONDS_MAX = 120.0
CALM_AGAIN_SECONDS = 3.0
QUIET_SECONDS_MAX = 600.0
"""An alarm goes two or three minutes after a minute's fault, and what is known of it is kept every half minute."""
MESSAGES = ("messages", "receipts")
LATE_SECONDS = 3.0
OVER_SECONDS_MAX = 60.0
"""How long a rehearsal waits for "over" when its evening has ended: on a busy machine everything comes later."""
"""So long the product gets, after the evening, to take in what came last."""


async def rehearse_kickoff(
    plan: Plan,
    *,
    say: Say,
    home: Path | None = None,
    without: Mechanism | None = None,
    database: str = "",
    file: Path | None = None,
) -> tuple[Result, list[Check], Truth, list[IncidentReport]]:
    """Stages the evening, and holds the product's account against the truth.

    In a temporary home, `without` a mechanism if one is named; or in `home`, against a demo that runs there.
    `database`: the PostgreSQL that the demo runs on, or the server on which the rehearsal makes one of its own.
    `file`: the configuration of the demo, where that is not in its home.
    Raises `PrikkfriError`.
    """
    if home is not None:
        truth, told = await _kickoff_in(BorrowedInstallation(home, demo_settings(database), file), plan, say)
    else:
        async with a_database(database) as own:
            truth, told = await _kickoff_of_its_own(plan, say, without or Mechanism("nothing"), own)
    result, checks = kickoff_result.judge(truth, told)
    return result, checks, truth, told


async def _kickoff_of_its_own(
    plan: Plan, say: Say, without: Mechanism, database: str
) -> tuple[Truth, list[IncidentReport]]:
    with tempfile.TemporaryDirectory(prefix="prikkfri-rehearsal-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        *ports, handset_smpp, handset_http = free_ports(len(ROLES) + 3)
        settings = demo.configuration(handset_smpp_port=handset_smpp, grace_seconds=plan.grace_seconds)
        (home / "prikkfri.toml").write_text(settings + ports_section(ports), encoding="utf-8")
        (home / "prikkfri.toml").chmod(0o600)
        people = demo.people(plan.inside + plan.coming, seed=plan.seed)
        installation = Installation(home, {**without.settings, **stored_at(database)})
        say(f"seven roles start, with {len(people)} customers, in {home}")
        try:
            await demo.seed(installation.configuration(), people)
            phones = ["-m", "prikkfri.simulation.handsets"]
            phones += [f"--smpp-port={handset_smpp}", f"--http-port={handset_http}", *demo.phones(people)]
            await installation.start_program("handsets", phones)
            await installation.start([role for role in ROLES if role != without.role])
            async with open_session() as http:
                phones_url = f"http://localhost:{handset_http}"
                evening = Evening(installation, plan, people, phones_url, http, SystemClock(), say)
                return await stage_kickoff(evening)
        finally:
            await installation.stop()


@asynccontextmanager
async def a_database(server: str) -> AsyncIterator[str]:
    """One of a rehearsal's own on a PostgreSQL server, empty when none is named."""
    if not server:
        yield ""
        return
    from prikkfri.storage.postgres import own_database

    async with own_database(server) as url:
        yield url


async def _kickoff_in(installation: BorrowedInstallation, plan: Plan, say: Say) -> tuple[Truth, list[IncidentReport]]:
    home = installation.home
    installation.refuse_idle()
    config = installation.configuration()
    # Those of whom the demo's own life is made have asked for things of which the rehearsal knows nothing.
    people = demo.people(demo.PEOPLE)[life.VIEWERS + 1 :]
    if plan.inside + plan.coming > len(people):
        fewer = "--outside or --rush" if plan.fault == "crowd" else "--outside"
        raise UsageError(f"the demo has {len(people)} customers for a rehearsal; ask for fewer with {fewer}")
    grace_seconds = config.assurance.sign_in_grace_seconds
    if grace_seconds >= plan.evening_seconds * (plan.fault_to - plan.fault_from):
        raise UsageError(
            f"{home}: with a grace time of {grace_seconds:g} s nobody is hit; set sign_in_grace_seconds and"
            " line_grace_seconds to 6 under [assurance]"
        )
    plan = replace(plan, grace_seconds=grace_seconds)
    with hold_lock(home, LOCK):
        try:
            async with open_session() as http:
                await _begin_anew(installation, ("television",), http, say)
                phones_url = f"http://localhost:{config.phones_port}"
                evening = Evening(installation, plan, people, phones_url, http, SystemClock(), say)
                return await stage_kickoff(evening)
        finally:
            await installation.stop()


async def _begin_anew(
    installation: BorrowedInstallation, services: Sequence[str], http: ClientSession, say: Say
) -> None:
    """Waits until nothing of these services is open, and has looked back on what could still be opened again.

    Raises `PrikkfriError` with the mend when something stays open.
    """
    clock, config = SystemClock(), installation.configuration()
    give_up_at, told = clock.now() + CALM_SECONDS_MAX, False
    while True:
        found = [each for service in services for each in await read_incidents(installation, service)]
        still = [each for each in found if each["resolved_at"] is None]
        if not still:
            break
        if clock.now() > give_up_at:
            raise UsageError(
                f"an incident of {still[0]['service']} is open in {config.home}: declare it over in the console, then"
                " stage the evening again"
            )
        if not told:
            say("waiting until what was before is over")
            told = True
        await asyncio.sleep(CALM_AGAIN_SECONDS)
    lately = [each for each in found if each["resolved_at"] > clock.now() - TIMING.after_seconds]
    if again := [each["id"] for each in lately if each["state"] == "resolved"]:
        duty = await Duty.signed_in(http, config)
        for incident in again:
            await duty.review(incident, "Looked back on, before the next evening of the demo.")


async def _until_quiet(config: Config, services: Collection[str], say: Say) -> None:
    """Waits until no alarm of these services stands, for a while: where one does, what fails anew raises no other."""
    clock = SystemClock()
    give_up_at, told = clock.now() + QUIET_SECONDS_MAX, False
    database = open_reader(Location(config.home, config.storage.url), "assurance")
    try:
        while is_alarmed(await database.read(store.watch), services) and clock.now() < give_up_at:
            if not told:
                say("waiting until the alarms of what was before have gone")
                told = True
            await asyncio.sleep(CALM_AGAIN_SECONDS)
    finally:
        await database.close()


def is_alarmed(kept: tuple[float, str] | None, services: Collection[str]) -> bool:
    """Whether an alarm of these services stood when the watch was kept; None: it never was."""
    if kept is None:
        return False
    standing = watching.restored(kept[1], [], counted_to=kept[0]).standing
    return any(alarm.segment.get("service") in services for alarm in standing)


async def stage_kickoff(evening: Evening) -> tuple[Truth, list[IncidentReport]]:
    """The evening, the product's account of it, and the morning after."""
    truth = await evening.stage()
    await asyncio.sleep(LATE_SECONDS)
    if truth.fault_at:
        await _until_over(evening, truth.began_at)
    if truth.others_ask and truth.fault_at:
        evening.say("waiting until the status page is green again")
        truth.green_at = await until_green(evening.http, evening.status_url, evening.clock)
    evening.say("the product gives its account")
    found = await read_reports(evening.installation, "television")
    told = [each for each in found if each.incident["opened_at"] >= truth.began_at]
    credited = {each.incident["id"]: {credit["customer"] for credit in each.credits} for each in told}
    await evening.look_back(truth, credited)
    return truth, told


async def _until_over(evening: Evening, began_at: float) -> None:
    """Waits until what was raised since is over as the product sees it, which credits those hit; or for long enough."""
    give_up_at, told = evening.clock.now() + OVER_SECONDS_MAX, False
    while evening.clock.now() < give_up_at:
        found = await read_incidents(evening.installation, "television")
        if all(each["resolved_at"] is not None for each in found if each["opened_at"] >= began_at):
            return
        if not told:
            evening.say("waiting until the product has declared it over")
            told = True
        await asyncio.sleep(CALM_AGAIN_SECONDS)


async def rehearse_misdelivery(
    plan: misdelivery.Plan,
    *,
    say: Say,
    home: Path | None = None,
    without: Mechanism | None = None,
    database: str = "",
    file: Path | None = None,
) -> tuple[misdelivery_result.Result, list[Check], misdelivery.Truth, list[IncidentReport], misdelivery.RouteView]:
    """Stages the misdelivery, and holds the product's account against the truth.

    In a temporary home, `without` a mechanism if one is named; or in `home`, against a demo that runs there.
    `database`: the PostgreSQL that the demo runs on, or the server on which the rehearsal makes one of its own.
    `file`: the configuration of the demo, where that is not in its home.
    Raises `PrikkfriError`.
    """
    if home is not None:
        truth, told, seen = await _misdelivery_in(BorrowedInstallation(home, demo_settings(database), file), plan, say)
    else:
        async with a_database(database) as own:
            truth, told, seen = await _misdelivery_of_its_own(plan, say, without or Mechanism("nothing"), own)
    result, checks = misdelivery_result.judge(truth, told, seen)
    return result, checks, truth, told, seen


async def _misdelivery_of_its_own(
    plan: misdelivery.Plan, say: Say, without: Mechanism, database: str
) -> tuple[misdelivery.Truth, list[IncidentReport], misdelivery.RouteView]:
    with tempfile.TemporaryDirectory(prefix="prikkfri-rehearsal-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        ports = free_ports(len(ROLES) + 1 + 2 * len(PARTNERS))
        smpp, http = ports[-6:-3], ports[-3:]
        (home / "prikkfri.toml").write_text(misdelivery.configuration(plan, ports, smpp), encoding="utf-8")
        (home / "prikkfri.toml").chmod(0o600)
        installation = Installation(home, {**without.settings, **stored_at(database)})
        say(f"{len(misdelivery.ROLES_NEEDED)} roles and {len(PARTNERS)} partners start, in {home}")
        try:
            partners = await misdelivery.start_partners(installation, plan, smpp, http)
            await installation.start(misdelivery.ROLES_NEEDED)
            async with open_session() as session:
                evening = misdelivery.Evening(installation, plan, partners, session, SystemClock(), say)
                truth, told = await evening.stage(partial(account_of_messages, installation))
        finally:
            await installation.stop()
    return truth, told, evening.seen


async def _misdelivery_in(
    installation: BorrowedInstallation, plan: misdelivery.Plan, say: Say
) -> tuple[misdelivery.Truth, list[IncidentReport], misdelivery.RouteView]:
    home = installation.home
    installation.refuse_idle()
    config = installation.configuration()
    demo.refuse_without_partners(config)
    partners = {each.link: f"http://localhost:{port}" for port, each in demo.partners_of(config).items()}
    plan = misdelivery.in_demo(plan, config.sms)
    with hold_lock(home, LOCK):
        async with open_session() as session:
            await _begin_anew(installation, MESSAGES, session, say)
            await _until_quiet(config, MESSAGES, say)
            evening = misdelivery.Evening(installation, plan, partners, session, SystemClock(), say)
            truth, told = await evening.stage(partial(account_of_messages, installation))
    return truth, [each for each in told if each.incident["opened_at"] >= truth.began_at], evening.seen


async def account_of_messages(installation: Installation | BorrowedInstallation) -> list[IncidentReport]:
    messages, receipts = await asyncio.gather(
        read_reports(installation, "messages"), read_incidents(installation, "receipts")
    )
    return [*messages, *(IncidentReport(incident, (), {"hits": []}, ()) for incident in receipts)]


def report_of_misdelivery(
    truth: misdelivery.Truth,
    told: Sequence[IncidentReport],
    seen: misdelivery.RouteView,
    result: misdelivery_result.Result,
    checks: Sequence[Check],
    *,
    again: str,
    zone: ZoneInfo,
) -> str:
    """The evening as one page of HTML."""
    return render(
        misdelivery_result.report(
            truth,
            told,
            seen,
            result,
            checks,
            staged_at=f"{datetime.now(zone):%Y-%m-%d %H:%M} ({zone.key})",
            machine=machine(),
            again=again,
            commit=commit(),
        )
    )


def report_of_kickoff(
    truth: Truth, told: Sequence[IncidentReport], result: Result, checks: Sequence[Check], *, again: str, zone: ZoneInfo
) -> str:
    """The evening as one page of HTML."""
    return render(
        kickoff_result.report(
            truth,
            told,
            result,
            checks,
            staged_at=f"{datetime.now(zone):%Y-%m-%d %H:%M} ({zone.key})",
            machine=machine(),
            again=again,
            commit=commit(),
        )
    )


def result_json(result: Result) -> str:
    return json.dumps(asdict(result), ensure_ascii=False, indent=2) + "\n"


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def commit() -> str:
    """The commit of the code that runs, when it runs from a checkout."""
    root = Path(__file__).parents[3]
    try:
        told = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), "describe", "--always", "--dirty"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return "(not a checkout)"
    return told.stdout.strip()
