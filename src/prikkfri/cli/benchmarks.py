"""Measuring real roles on this machine."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from prikkfri.cli.options import JsonFile
from prikkfri.cli.printing import refuse_unwritable, write_json, write_text
from prikkfri.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

commands = typer.Typer(help="Measure real roles on this machine.", rich_markup_mode=None)
TURNS = 2
"""Each of two that are compared runs so often, in turns."""
LOAD_MAX = 100.0


class Other(StrEnum):
    none = "none"
    kannel = "kannel"


@commands.command("sms")
def bench_sms(
    messages: Annotated[int, typer.Option(min=1, help="How many go as fast as they can.")] = 60_000,
    receipts: Annotated[bool, typer.Option(help="Receipts, from the network and to the account.")] = True,
    pace: Annotated[float, typer.Option(min=1, help="Messages a second while answers are timed.")] = 3_000.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long answers are timed.")] = 5.0,
    database: Annotated[str, typer.Option(help="postgresql://...: an empty database of PostgreSQL's.")] = "",
    other: Annotated[Other, typer.Option("--vs", help="Run Debian's Kannel beside it, in turns.")] = Other.none,
    json_file: JsonFile = None,
) -> None:
    """What a message costs the SMS centre and how fast it goes, synced before each answer; judged at both ends."""
    import uvloop

    from prikkfri.simulation.bench import kannel, machine, sms

    refuse_unwritable(json_file, "--json")
    cores = machine.this_machine()
    if other is Other.kannel:
        kannel.refuse_missing()
    progress = Console(stderr=True, highlight=False)
    say_cores(progress, cores.shared)
    load = sms.Load(messages=messages, receipts=receipts, per_second=pace, paced_seconds=seconds)
    turns = TURNS if other is Other.kannel else 1
    ours, theirs = [], []
    for _ in range(turns):
        ours.append(uvloop.run(sms.run(load, database=database, cores=cores, say=progress.print)))
        if other is Other.kannel:
            theirs.append(uvloop.run(kannel.run(load, cores=cores, say=progress.print)))
    best = min(ours, key=lambda each: each.cpu_us_per_message)
    found: dict[str, Any] = asdict(best)
    if theirs:
        found["kannel"] = asdict(min(theirs, key=lambda each: each.cpu_us_per_message))
        found["kannel_ratio"] = round(found["kannel"]["cpu_us_per_message"] / best.cpu_us_per_message, 2)
    say_figures(progress, found)
    say_goals(progress, best.goals(), machine.busy(best.others_share))
    if json_file is not None:
        write_json(found, json_file)
    raise typer.Exit(0 if all(each.clean for each in ours) else 1)


@commands.command("signin")
def bench_signin(
    points: Annotated[
        str, typer.Option(help="How many times the hash limit comes, with commas between them.")
    ] = "0.5,1,2,5,10",
    seconds: Annotated[float, typer.Option(min=1, help="How long each point is measured.")] = 15.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often each point runs; the median counts.")] = 3,
    together: Annotated[
        bool, typer.Option("--together", help="All of ours on one core, the crowd on the other.")
    ] = False,
    alike: Annotated[
        bool, typer.Option("--alike", help="All give up after 10 s exactly; without it 10 s is the mean.")
    ] = False,
    json_file: JsonFile = None,
    svg_file: Annotated[Path | None, typer.Option("--svg", help="Write the curve as a picture.")] = None,
) -> None:
    """How many people get in when more come than can be hashed; those inside, and a plain FastAPI server, beside it."""
    loads = loads_of(points)
    refuse_unwritable(json_file, "--json")
    refuse_unwritable(svg_file, "--svg")
    import uvloop

    from prikkfri.simulation.bench import curve, machine, signin

    cores = machine.this_machine()
    progress = Console(stderr=True, highlight=False)
    say_cores(progress, cores.shared)
    plan = signin.Plan(points=loads, seconds=seconds, rounds=rounds, together=together, alike=alike)
    found = uvloop.run(signin.run(plan, cores=cores, say=lambda line: progress.print(line, soft_wrap=True)))
    say_figures(progress, {name: value for name, value in asdict(found).items() if name != "baseline"})
    say_goals(progress, found.goals(), machine.busy(found.others_share))
    if svg_file is not None:
        where = "; ".join(filter(None, (found.machine, machine.busy(found.others_share))))
        write_text(curve.picture(found.points, found.baseline.points, where), svg_file, "--svg")
    if json_file is not None:
        write_json(asdict(found), json_file)
    raise typer.Exit(1 if found.inside_failed else 0)


def loads_of(text: str) -> tuple[float, ...]:
    """Raises `UsageError` for what is no list of loads."""
    try:
        loads = tuple(float(word) for word in text.split(","))
    except ValueError:
        loads = ()
    if not loads or not all(0 < load_x <= LOAD_MAX for load_x in loads) or len({*loads}) < len(loads):
        raise UsageError(f"--points {text!r}: say how many times the limit, such as 0.5,1,10; each once, at most 100")
    return loads


def say_cores(progress: Console, shared: bool) -> None:
    if shared:
        progress.print("this machine has one core for us: all share it, and the figures are worse than with two")


def say_figures(progress: Console, found: "Mapping[str, Any]") -> None:
    table = Table(box=None, show_header=False)
    for name, value in found.items():
        if isinstance(value, dict):
            for inner, figure in value.items():
                table.add_row(f"{name}: {inner}", _written(figure))
        elif not isinstance(value, list):
            table.add_row(name, _written(value))
    progress.print(table)


def _written(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def say_goals(progress: Console, goals: "Sequence[tuple[str, bool]]", busy: str) -> None:
    """The goals are of a quiet machine, so that none of them decides how the command ends."""
    for name, holds in goals:
        progress.print(f"{'[green]✓[/green]' if holds else '[yellow]not here:[/yellow]'} {name}")
    if busy:
        progress.print(f"[yellow]{busy}[/yellow]: these figures say little")
