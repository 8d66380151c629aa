"""What has been broken, the answers, who was hit, and what they got."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from prikkfri.cli.installation import configuration, read
from prikkfri.cli.options import HOME, ConfigFile, Home, JsonFile
from prikkfri.cli.printing import console, moment, write_json, write_text
from prikkfri.errors import PrikkfriError, UsageError
from prikkfri.protocols import money

if TYPE_CHECKING:
    from prikkfri.assurance.answers import Answer
    from prikkfri.assurance.impact import Impact
    from prikkfri.assurance.incidents import Incident
    from prikkfri.assurance.response.store import CreditRecord
    from prikkfri.storage import Database, Queries

commands = typer.Typer(help="What has been broken, and the answers.", rich_markup_mode=None)
INCIDENTS_SHOWN_MAX = 100


@commands.callback()
def incidents(context: typer.Context, json_file: JsonFile = None, home: Home = HOME, config: ConfigFile = None) -> None:
    """List incidents, the newest first; exit code 1 while one is open."""
    if context.invoked_subcommand is not None:
        sources = [context.get_parameter_source(name) for name in ("home", "config", "json_file")]
        if any(source is not None and source.name == "COMMANDLINE" for source in sources):
            raise UsageError(f"options come last: prikkfri incidents {context.invoked_subcommand} ID --home ...")
        return
    from prikkfri.assurance import plain
    from prikkfri.assurance.incidents import describe_state, document
    from prikkfri.assurance.response import store

    settings = configuration(home, config)
    found = read(settings, "assurance", lambda d: d.read(lambda q: store.incidents(q, most=INCIDENTS_SHOWN_MAX)))
    zone = ZoneInfo(settings.streaming.timezone)
    if json_file is not None:
        write_json([document(incident) for incident in found], json_file)
    elif not found:
        console.print("no incident")
    else:
        table = Table("id", "state", "since", "where", box=None, header_style="dim")
        for incident in found:
            where = "; ".join(plain.place(segment) for segment in incident.segments)
            table.add_row(incident.id, describe_state(incident), moment(incident.since, zone), where)
        console.print(table)
    raise typer.Exit(1 if any(incident.open for incident in found) else 0)


@commands.command("show")
def show_incident(
    identifier: Annotated[str, typer.Argument(metavar="ID")],
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """The answer sheet of one incident, and its timeline."""
    from prikkfri.assurance.incidents import describe_state, document, in_order
    from prikkfri.assurance.response import store

    async def work(database: "Database") -> "tuple[Incident, list[Answer]]":
        async def both(queries: "Queries") -> "tuple[Incident, list[Answer]]":
            return await _incident(queries, identifier, home), await store.answers(queries, identifier)

        return await database.snapshot(both)

    settings = configuration(home, config)
    zone = ZoneInfo(settings.streaming.timezone)
    incident, answers = read(settings, "assurance", work)
    if json_file is not None:
        write_json({"incident": document(incident), "answers": [asdict(answer) for answer in answers]}, json_file)
        return
    since = f"  since {moment(incident.since, zone)}\n"
    console.print(Text.assemble(f"{incident.id}  ", (describe_state(incident), "bold"), since))
    for answer in answers:
        console.print(Text.assemble(f"{answer.number:2}. ", (answer.question, "bold")), soft_wrap=True)
        console.print(f"    {answer.text}", style="" if answer.known else "dim", soft_wrap=True)
        for line in answer.evidence:
            console.print(f"      · {line}", style="dim", soft_wrap=True)
    table = Table(box=None, show_header=False, title="timeline", title_justify="left")
    for entry, stood in in_order(incident):
        table.add_row(moment(entry.at, zone), entry.who, entry.kind, stood, entry.text)
    console.print("", table)


def affected(
    identifier: Annotated[str, typer.Argument(metavar="INCIDENT")],
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the list there, with the evidence.")] = None,
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Who was hit by an incident: how many, and the list."""
    from prikkfri.assurance.response import store

    async def work(database: "Database") -> "tuple[Impact, str] | None":
        incident = await database.read(lambda q: _incident(q, identifier, home))
        found = await database.snapshot(lambda q: store.impact_of(q, incident))
        return found and found[:2]

    settings = configuration(home, config)
    found = read(settings, "assurance", work)
    if found is None:
        raise PrikkfriError("the list has not been made yet; it is a few seconds after an incident is opened")
    impact, incomplete = found
    if csv_file is not None:
        from prikkfri.assurance.response.tables import hits_csv

        write_text(hits_csv(impact.hits, ZoneInfo(settings.streaming.timezone)), csv_file, "--csv")
    if json_file is not None:
        import msgspec

        write_json({**msgspec.to_builtins(impact), "incomplete": incomplete}, json_file)
        return
    console.print(f"{impact.seen:,} of {impact.asked:,} who asked were hit; digest {impact.digest}")
    if reported := len(impact.hits) - impact.seen:
        console.print(f"{reported:,} more are known only from what their device reported")
    if impact.unconfirmed:
        console.print(f"{impact.unconfirmed:,} devices may be made up (never came back) and are on no list")
    if impact.unsettled:
        console.print(f"{impact.unsettled:,} more still wait within the grace time")
    if incomplete:
        console.print(f"the list may lack somebody: {incomplete}")


def credits(
    identifier: Annotated[str, typer.Argument(metavar="INCIDENT")],
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write them there, for billing.")] = None,
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """The service credits given for an incident: one for each customer hit."""
    from prikkfri.assurance.response import store

    async def work(database: "Database") -> "list[CreditRecord]":
        await database.read(lambda q: _incident(q, identifier, home))
        return await database.read(lambda q: store.credits_of(q, identifier))

    settings = configuration(home, config)
    given = read(settings, "assurance", work)
    if csv_file is not None:
        from prikkfri.assurance.response.tables import credits_csv

        write_text(credits_csv(given, ZoneInfo(settings.streaming.timezone)), csv_file, "--csv")
    if json_file is not None:
        rows = [{**asdict(each.credit), "given_by": each.given_by, "given_at": each.given_at} for each in given]
        write_json(rows, json_file)
        return
    total = (
        money.format_amount(sum(each.credit.amount for each in given), given[0].credit.currency, "en") if given else "0"
    )
    told = sum(bool(each.told_at) for each in given)
    console.print(f"{len(given):,} credits, {total} together; {told:,} customers have been told")


async def _incident(queries: "Queries", identifier: str, home: Path) -> "Incident":
    """Raises `UsageError` when there is none of that name."""
    from prikkfri.assurance.response import store

    if (incident := await store.incident(queries, identifier)) is None:
        raise UsageError(
            f"there is no incident {identifier} in {home}; list them with prikkfri incidents --home {home},"
            " or name another home with --home"
        )
    return incident
