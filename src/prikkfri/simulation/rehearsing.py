"""Staging a rehearsal from nothing: a home of its own, roles and phones, the evening, the account, the report."""

import asyncio
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from prikkfri.clock import SystemClock
from prikkfri.config import ROLES
from prikkfri.simulation import demo, kickoff_result, misdelivery, misdelivery_result
from prikkfri.simulation.account import Account, accounts, incidents
from prikkfri.simulation.installation import Installation, free_ports, ports_section
from prikkfri.simulation.kickoff import Evening, Plan, Say, Truth
from prikkfri.simulation.kickoff_result import Result
from prikkfri.simulation.people import open_session
from prikkfri.simulation.report import Check, render

LATE_SECONDS = 3.0
"""So long the product gets, after the evening, to take in what came last."""


def _configuration(plan: Plan, ports: Sequence[int], handset_smpp_port: int) -> str:
    """The demo's, with the times of assurance as compressed as the evening is."""
    return (
        demo.configuration(handset_smpp_port=handset_smpp_port)
        + ports_section(ports)
        + f"""
[assurance]
sign_in_grace_seconds = {plan.grace_seconds}
line_grace_seconds = {plan.grace_seconds}
warm_up_seconds = 8
hold_seconds = 6
tell_account = "operator"

[[assurance.remedies]]
name = "Sign-in failed at a live event"
service = "television"
tiers = [{{from_minutes = 0, amount = 4900}}]
"""
    )


async def rehearse_kickoff(plan: Plan, *, say: Say) -> tuple[Result, list[Check], Truth, list[Account]]:
    """Stages the evening in a temporary home, and holds the product's account against the truth."""
    with tempfile.TemporaryDirectory(prefix="prikkfri-rehearsal-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        *ports, handset_smpp, handset_http = free_ports(len(ROLES) + 3)
        (home / "prikkfri.toml").write_text(_configuration(plan, ports, handset_smpp), encoding="utf-8")
        (home / "prikkfri.toml").chmod(0o600)
        people = demo.people(plan.inside + plan.outside, seed=plan.seed)
        installation = Installation(home)
        say(f"seven roles start, with {len(people)} customers, in {home}")
        try:
            await demo.seed(installation.configuration(), people)
            phones = [
                "-m",
                "prikkfri.simulation.handsets",
                f"--smpp-port={handset_smpp}",
                f"--http-port={handset_http}",
            ]
            await installation.start_program("handsets", [*phones, f"{people[0].msisdn}={people[0].name}"])
            await installation.start()
            async with open_session() as http:
                evening = Evening(installation, plan, people, http, SystemClock(), say)
                truth = await evening.stage()
            await asyncio.sleep(LATE_SECONDS)
            say("the product gives its account")
            told = await accounts(home, "television")
        finally:
            await installation.stop()
    result, checks = kickoff_result.judge(truth, told)
    return result, checks, truth, told


async def rehearse_misdelivery(
    plan: misdelivery.Plan, *, say: Say
) -> tuple[misdelivery_result.Result, list[Check], misdelivery.Truth, list[Account], misdelivery.Seen]:
    """Stages the misdelivery in a temporary home, and holds the product's account against the truth."""
    with tempfile.TemporaryDirectory(prefix="prikkfri-rehearsal-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        ports = free_ports(len(ROLES) + 1 + 2 * len(misdelivery.PARTNERS))
        smpp, http = ports[-6:-3], ports[-3:]
        (home / "prikkfri.toml").write_text(misdelivery.configuration(plan, ports, smpp), encoding="utf-8")
        (home / "prikkfri.toml").chmod(0o600)
        installation = Installation(home)

        async def account() -> list[Account]:
            messages, receipts = await asyncio.gather(accounts(home, "messages"), incidents(home, "receipts"))
            return [*messages, *(Account(incident, (), {"hits": []}, ()) for incident in receipts)]

        say(f"{len(misdelivery.ROLES_NEEDED)} roles and {len(misdelivery.PARTNERS)} partners start, in {home}")
        try:
            partners = await misdelivery.start_partners(installation, plan, smpp, http)
            await installation.start(misdelivery.ROLES_NEEDED)
            async with open_session() as session:
                evening = misdelivery.Evening(installation, plan, partners, session, SystemClock(), say)
                truth, told = await evening.stage(account)
        finally:
            await installation.stop()
    result, checks = misdelivery_result.judge(truth, told, evening.seen)
    return result, checks, truth, told, evening.seen


def report_of_misdelivery(
    truth: misdelivery.Truth,
    told: Sequence[Account],
    seen: misdelivery.Seen,
    result: misdelivery_result.Result,
    checks: Sequence[Check],
    *,
    again: str,
) -> str:
    """The evening as one page of HTML."""
    return render(
        misdelivery_result.report(
            truth,
            told,
            seen,
            result,
            checks,
            staged_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            machine=machine(),
            again=again,
            commit=commit(),
        )
    )


def report_of_kickoff(
    truth: Truth, told: Sequence[Account], result: Result, checks: Sequence[Check], *, again: str
) -> str:
    """The evening as one page of HTML."""
    return render(
        kickoff_result.report(
            truth,
            told,
            result,
            checks,
            staged_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
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
