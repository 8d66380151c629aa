"""Staging an incident against real roles."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from prikkfri.cli.installation import configuration
from prikkfri.cli.options import JsonFile
from prikkfri.cli.printing import refuse_unwritable, write_json, write_text
from prikkfri.clock import SystemClock
from prikkfri.config import Config
from prikkfri.errors import UsageError
from prikkfri.simulation import mechanisms
from prikkfri.simulation.faults import Fault
from prikkfri.simulation.kickoff_plan import Plan

if TYPE_CHECKING:
    from prikkfri.simulation.report import Check

commands = typer.Typer(help="Stage an incident against real roles.", rich_markup_mode=None)


Database = Annotated[
    str,
    typer.Option(
        help="postgresql://... instead of SQLite: a database of its own there, or that of the demo in --home."
    ),
]


class FaultName(StrEnum):
    kill = "kill"
    freeze = "freeze"
    slow = "slow"
    crowd = "crowd"
    none = "none"

    @property
    def fault(self) -> Fault | None:
        return None if self is FaultName.none else cast(Fault, self.value)


@commands.command("kickoff")
def rehearse_kickoff_command(
    fault: Annotated[
        FaultName,
        typer.Option(help="What happens to sign-in and the interface; crowd: more come at once than they can take."),
    ] = FaultName.kill,
    inside: Annotated[int, typer.Option(min=1, help="Viewers who came before the crowd.")] = Plan.inside,
    outside: Annotated[int, typer.Option(min=1, help="People in the crowd.")] = Plan.outside,
    rush: Annotated[int, typer.Option(min=1, help="With --fault crowd: people more, at once.")] = Plan.rush,
    seconds: Annotated[float, typer.Option(min=20, help="How long the 75 minutes take.")] = Plan.evening_seconds,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn by lot.")] = Plan.seed,
    json_file: JsonFile = None,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write the evening as one HTML page.")] = None,
    home: Annotated[Path | None, typer.Option(help="A demo that runs (default: an installation of its own).")] = None,
    database: Database = "",
    without: Annotated[str, typer.Option(help=f"Switch a mechanism off: {', '.join(mechanisms.KICKOFF)}.")] = "",
) -> None:
    """Stage a kick-off whose sign-in fails, against real roles, and hold the account against the truth."""
    plan = Plan(
        inside=inside,
        outside=outside,
        evening_seconds=seconds,
        fault=fault.fault,
        rush=rush,
        seed=seed,
    )
    refuse_switching_off(home, without)
    mechanism = mechanism_of(mechanisms.KICKOFF, without)
    database = database_of(home, database)
    refuse_unwritable(json_file, "--json")
    refuse_unwritable(report_file, "--report")
    import asyncio

    from prikkfri.simulation.rehearsing import rehearse_kickoff, report_of_kickoff

    staging = rehearse_kickoff(plan, say=progress_since_now(), home=home, without=mechanism, database=database)
    result, checks, truth, told = asyncio.run(staging)
    again = f"prikkfri rehearse kickoff --fault {fault.value} --inside {inside} --outside {outside}"
    again += f" --rush {rush}" if fault is FaultName.crowd else ""
    again += f" --seconds {seconds:g} --seed {seed}"
    again += (f" --home {home}" if home else "") + (f" --without {without}" if without else "")
    again += f" --database {shown_url(database)}" if database else ""
    if report_file is not None:
        zone = ZoneInfo((configuration(home, None) if home else Config()).streaming.timezone)
        page = report_of_kickoff(truth, told, result, checks, again=again, zone=zone)
        write_text(page, report_file, "--report")
    if json_file is not None:
        write_json(asdict(result), json_file)
    say_checks(checks, again)
    raise typer.Exit(0 if result.passed else 1)


@commands.command("misdelivery")
def rehearse_misdelivery_command(
    fault: Annotated[bool, typer.Option(help="Let one partner misdeliver and another lose receipts.")] = True,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn by lot.")] = 1,
    small: Annotated[bool, typer.Option("--small", help="Fewer phones, under a minute.")] = False,
    home: Annotated[Path | None, typer.Option(help="A demo that runs (default: an installation of its own).")] = None,
    database: Database = "",
    without: Annotated[str, typer.Option(help=f"Switch a mechanism off: {', '.join(mechanisms.MISDELIVERY)}.")] = "",
    json_file: JsonFile = None,
    report_file: Annotated[Path | None, typer.Option("--report", help="Write the evening as one HTML page.")] = None,
) -> None:
    """Stage a partner that hands messages to strangers, and hold the account against the truth."""
    refuse_switching_off(home, without)
    mechanism = mechanism_of(mechanisms.MISDELIVERY, without)
    database = database_of(home, database)
    refuse_unwritable(json_file, "--json")
    refuse_unwritable(report_file, "--report")
    import asyncio

    from prikkfri.simulation import misdelivery
    from prikkfri.simulation.rehearsing import rehearse_misdelivery, report_of_misdelivery

    plan = replace(misdelivery.SMALL if small else misdelivery.Plan(), fault=fault, seed=seed)
    staging = rehearse_misdelivery(plan, say=progress_since_now(), home=home, without=mechanism, database=database)
    result, checks, truth, told, seen = asyncio.run(staging)
    again = f"prikkfri rehearse misdelivery{' --small' if small else ''}{'' if fault else ' --no-fault'} --seed {seed}"
    again += (f" --home {home}" if home else "") + (f" --without {without}" if without else "")
    again += f" --database {shown_url(database)}" if database else ""
    if report_file is not None:
        zone = ZoneInfo((configuration(home, None) if home else Config()).streaming.timezone)
        page = report_of_misdelivery(truth, told, seen, result, checks, again=again, zone=zone)
        write_text(page, report_file, "--report")
    if json_file is not None:
        write_json(asdict(result), json_file)
    say_checks(checks, again)
    raise typer.Exit(0 if result.passed else 1)


def database_of(home: Path | None, named: str) -> str:
    """Where a demo in `home` has its databases, as its own settings say it; a rehearsal of its own goes by no other."""
    return named if home is None else named or configuration(home, None).storage.url


def shown_url(database: str) -> str:
    """As it may be printed, without a password."""
    return re.sub(r"\bpassword=[^\s&]+", "password=...", re.sub(r"(://[^:/@]*):[^@/]*@", r"\1@", database))


def refuse_switching_off(home: Path | None, without: str) -> None:
    if home is not None and without:
        raise UsageError("nothing is switched off in a demo that runs; leave out --home or --without")


def mechanism_of(known: Mapping[str, mechanisms.Mechanism], name: str) -> mechanisms.Mechanism | None:
    if name and name not in known:
        raise UsageError(f"--without: there is no mechanism {name!r} to switch off; there are {', '.join(known)}")
    return known.get(name)


def progress_since_now() -> Callable[[str], None]:
    """Says lines on standard error, each with the seconds that have passed."""
    progress, began = Console(stderr=True, highlight=False), SystemClock().monotonic()
    return lambda line: progress.print(f"{SystemClock().monotonic() - began:6.1f} s  {line}", soft_wrap=True)


def say_checks(checks: "Sequence[Check]", again: str) -> None:
    """The checks of a rehearsal, on standard error, so that `--json -` stays one document."""
    from prikkfri.simulation.lateness import reason_not_judged

    progress = Console(stderr=True, highlight=False)
    table = Table(box=None, show_header=False)
    marks = {True: "[green]✓ passed[/green]", False: "[red]✗ failed[/red]", None: "[yellow]? not judged[/yellow]"}
    for check_ in checks:
        table.add_row(marks[check_.holds], check_.name, check_.figure)
    progress.print(table)
    if reason := reason_not_judged(checks):
        progress.print(f"not judged: {reason}", style="yellow", soft_wrap=True)
    progress.print(f"again: {again}", style="dim", soft_wrap=True)
