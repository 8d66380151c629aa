"""Running what decides over a drawn world, in virtual time."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from prikkfri.cli.options import JsonFile
from prikkfri.cli.printing import refuse_unwritable, write_json
from prikkfri.clock import SystemClock
from prikkfri.errors import UsageError

if TYPE_CHECKING:
    from prikkfri.simulation.evenings.judging import Judgement, Result
    from prikkfri.simulation.messages import many
    from prikkfri.simulation.waiting.judging import Result as WaitingResult

commands = typer.Typer(help="Run what decides over a drawn world, in virtual time.", rich_markup_mode=None)


@commands.command("evenings")
def simulate_evenings(
    seed: Annotated[int, typer.Option(min=0, help="Of the first evening; the next one has the next seed.")] = 1,
    evenings: Annotated[int, typer.Option(min=1, help="How many.")] = 60,
    json_file: JsonFile = None,
) -> None:
    """Judge assurance over evenings drawn by lot: alarms, places, lists and credits against the truth."""
    from prikkfri.simulation.evenings.judging import Judgement, goal_holds
    from prikkfri.simulation.evenings.many import simulate

    refuse_unwritable(json_file, "--json")
    progress = Console(stderr=True, highlight=False)
    with Progress(console=progress, transient=True) as bar:
        task = bar.add_task("evenings", total=evenings)

        def say(judged: Judgement) -> None:
            bar.advance(task)
            say_evening(progress, judged)

        found, every = simulate(seed, evenings, clock=SystemClock(), say=say)
    say_draws(progress)
    say_evenings(progress, found, every)
    if json_file is not None:
        write_json(asdict(found), json_file)
    raise typer.Exit(0 if goal_holds(found, every) else 1)


def say_evening(progress: Console, judged: "Judgement") -> None:
    """An evening on which something was wrong, as its seed, and how to see it again."""
    if not judged.findings:
        return
    progress.print(f"[red]✗[/red] seed {judged.seed}: {judged.drawn}", soft_wrap=True)
    for finding in judged.findings:
        progress.print(f"    {finding}", soft_wrap=True)
    progress.print(f"    again: prikkfri simulate evenings --seed {judged.seed} --evenings 1", style="dim")


def say_draws(progress: Console) -> None:
    """What evenings are drawn from."""
    from prikkfri.simulation.evenings import drawing

    table = Table("drawn", "from", box=None, header_style="dim")
    for what, of in drawing.rows():
        table.add_row(what, of)
    progress.print(table)


def say_evenings(progress: Console, found: "Result", every: "Sequence[Judgement]") -> None:
    from prikkfri.simulation.evenings.judging import goal_holds

    table = Table(box=None, show_header=False)
    for name, value in asdict(found).items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    progress.print(table)
    failing = [str(each.seed) for each in every if each.findings]
    if failing:
        progress.print(f"seeds with findings: {', '.join(failing)}", soft_wrap=True)
    progress.print("the goal holds" if goal_holds(found, every) else "the goal does not hold")


FINDINGS_SHOWN_MAX = 5


@commands.command("sms")
def simulate_sms(
    seed: Annotated[int, typer.Option(min=0, help="Of the first world; the next one has the next seed.")] = 1,
    events: Annotated[int, typer.Option(min=1, help="Messages that are handed in, at least.")] = 20_000,
    misdelivering_partner: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, metavar="SHARE",
            help="Instead: how soon a partner is noticed that misdelivers this share (0.05), at default settings.",
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Drawn runs of such a partner.")] = 100,
    hours: Annotated[
        float, typer.Option(min=0.0, help="Instead: so many hours of an honest partner; is its route stopped?")
    ] = 0.0,
    json_file: JsonFile = None,
) -> None:  # fmt: skip
    """Judge the message centre among drawn partners and faults: nothing to a stranger, lost, or twice untold."""
    if hours or misdelivering_partner == 0:
        if misdelivering_partner:
            raise UsageError("--hours is of an honest partner: leave --misdelivering-partner out, or say 0")
        simulate_honest(seed, hours or 1_000.0, json_file)
    elif misdelivering_partner is not None:
        simulate_misdelivering(seed, misdelivering_partner, runs, json_file)
    else:
        simulate_worlds(seed, events, json_file)


def simulate_misdelivering(seed: int, share: float, runs: int, json_file: Path | None) -> None:
    from prikkfri.simulation.misdelivering import HARD_CASE, noticing

    refuse_unwritable(json_file, "--json")
    progress = Console(stderr=True, highlight=False)
    with Progress(console=progress, transient=True) as bar:
        task = bar.add_task("runs", total=2 * runs)
        found = noticing(share, seed, runs, say=lambda _: bar.advance(task))
        alone = noticing(share, seed, runs, assumed=HARD_CASE, say=lambda _: bar.advance(task))
    say_assumed(progress, asdict(found.assumed), found.settings)
    table = Table("", "people answer too", "canaries alone", box=None, header_style="dim")
    left_out = {"assumed", "settings", "share", "runs", "goal_s"}
    for name, value in asdict(found).items():
        if name not in left_out:
            table.add_row(name, f"{value}", f"{asdict(alone)[name]}")
    progress.print(f"{share:.2%} of a route's messages go astray; {runs} runs, seconds from the fault to the stop:")
    progress.print(table)
    holds = found.holds and alone.holds
    if found.goal_s is None:
        progress.print("no goal is stated for so small a share")
    else:
        progress.print(f"the goal (half within {found.goal_s:.0f} s) {'holds' if holds else 'does not hold'}")
    if json_file is not None:
        write_json({**asdict(found), "canaries_alone": asdict(alone)}, json_file)
    raise typer.Exit(0 if holds else 1)


def simulate_honest(seed: int, hours: float, json_file: Path | None) -> None:
    from prikkfri.simulation.misdelivering import honest_hours

    refuse_unwritable(json_file, "--json")
    progress = Console(stderr=True, highlight=False)
    with Progress(console=progress, transient=True) as bar:
        task = bar.add_task("hours", total=hours)
        found = honest_hours(hours, seed, say=lambda run: bar.advance(task, run.hours))
    say_assumed(progress, asdict(found.assumed), found.settings)
    stopped = f"stopped wrongly {found.stopped_wrongly} times; by the bound {found.stopped_wrongly_max:.2g} at most"
    progress.print(f"{found.hours:,.0f} hours of an honest route, {found.canaries:,} canaries: {stopped}")
    if json_file is not None:
        write_json(asdict(found), json_file)
    raise typer.Exit(0 if found.holds else 1)


def say_assumed(progress: Console, assumed: Mapping[str, float], settings: Mapping[str, float]) -> None:
    """What the figures stand on."""
    table = Table("assumed or set", "", box=None, header_style="dim")
    for name, value in (*settings.items(), *assumed.items()):
        table.add_row(name, f"{value:g}")
    progress.print(table)


def simulate_worlds(seed: int, events: int, json_file: Path | None) -> None:
    from prikkfri.simulation.messages.many import Judgement, simulate, worlds

    refuse_unwritable(json_file, "--json")
    progress = Console(stderr=True, highlight=False)
    with Progress(console=progress, transient=True) as bar:
        task = bar.add_task("worlds", total=len(worlds(seed, events)))

        def say(judged: Judgement) -> None:
            bar.advance(task)
            say_world(progress, judged)

        found, every = simulate(seed, events, clock=SystemClock(), say=say)
    say_worlds(progress, found, every)
    if json_file is not None:
        write_json(asdict(found), json_file)
    raise typer.Exit(0 if found.holds and not any(each.findings for each in every) else 1)


def say_world(progress: Console, judged: "many.Judgement") -> None:
    """A world in which something was wrong, as its seed, and how to see it again."""
    if not judged.findings:
        return
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(judged.faults.items()))
    progress.print(f"[red]✗[/red] seed {judged.seed}: {faults or 'no fault'}", soft_wrap=True)
    for finding in judged.findings[:FINDINGS_SHOWN_MAX]:
        progress.print(f"    {finding}", soft_wrap=True, markup=False)
    if (more := len(judged.findings) - FINDINGS_SHOWN_MAX) > 0:
        progress.print(f"    and {more} more", style="dim")
    progress.print(f"    again: prikkfri simulate sms --seed {judged.seed} --events 1", style="dim")


def say_worlds(progress: Console, found: "many.Result", every: "Sequence[many.Judgement]") -> None:
    table = Table(box=None, show_header=False)
    table.add_row("worlds", f"{len(every):,} of {found.events // max(len(every), 1):,} messages")
    for name, value in asdict(found).items():
        if name == "faults":
            for kind, count in value.items():
                table.add_row(f"  {kind}", f"{count:,}")
        else:
            table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    progress.print(table)
    failing = [str(each.seed) for each in every if each.findings]
    if failing:
        progress.print(f"seeds with findings: {', '.join(failing)}", soft_wrap=True)
    if found.misdelivered == 0:
        progress.print(f"at most {found.bound:.2g} of messages go to a stranger under this mix (at 95 %)")


@commands.command("waiting-room")
def simulate_waiting_room(
    seed: Annotated[int, typer.Option(min=0, help="Of the crowds.")] = 1,
    events: Annotated[int, typer.Option(min=1_000, help="People in each of the two large crowds.")] = 20_000,
    json_file: JsonFile = None,
) -> None:
    """Judge the line before crowds drawn by lot: its order, the waits it shows, and what of the machine is used."""
    from prikkfri.simulation.waiting.judging import document
    from prikkfri.simulation.waiting.many import scenes, simulate

    refuse_unwritable(json_file, "--json")
    progress = Console(stderr=True, highlight=False)
    with Progress(console=progress, transient=True) as bar:
        task = bar.add_task("crowds", total=len(scenes(events, seed)) + 1)
        found = simulate(events, seed, say=lambda name: bar.advance(task))
    say_line(progress, found)
    if json_file is not None:
        write_json(document(found), json_file)
    raise typer.Exit(0 if found.holds else 1)


def say_line(progress: Console, found: "WaitingResult") -> None:
    from prikkfri.simulation.waiting.judging import document

    table = Table(box=None, show_header=False)
    for name, value in document(found).items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    progress.print(table)
    progress.print("the goal holds" if found.holds else "the goal does not hold")
