"""Who the customers are."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from prikkfri.cli.installation import configuration, read
from prikkfri.cli.options import HOME, ConfigFile, Home, JsonFile
from prikkfri.cli.printing import console, write_json
from prikkfri.clock import SystemClock
from prikkfri.errors import UsageError

commands = typer.Typer(help="Who the customers are.", rich_markup_mode=None)


@commands.command("import")
def import_subscribers(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Its columns: docs/subscribers.md.")],
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Import customers and what they subscribe to; safe to break off and to repeat."""
    import asyncio

    from prikkfri.storage import Location, open_database
    from prikkfri.subscribers.service import ImportReport, import_file

    settings = configuration(home, config)

    async def work(progress: Callable[[int, int], None]) -> ImportReport:
        database = await open_database(Location(settings.home, settings.storage.url), "subscribers")
        try:
            return await import_file(
                database,
                file,
                region=settings.region,
                timezone=ZoneInfo(settings.streaming.timezone),
                clock=SystemClock(),
                progress=progress,
            )
        finally:
            await database.close()

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(file.name, total=None)
        report = asyncio.run(work(lambda done, size: bar.update(task, completed=done, total=size)))
    if json_file is not None:
        write_json({**asdict(report), "rejected_file": str(report.rejected_file or "")}, json_file)
    else:
        console.print(
            f"{report.rows:,} rows in {report.seconds:.1f} s: {report.added:,} added, {report.changed:,} changed, "
            f"{report.unchanged:,} as they were, {report.rejected:,} rejected"
        )
        if report.encoding == "cp1252":
            console.print("read as Windows-1252; if letters have become others, save the file as CSV UTF-8")
        if report.rejected_file:
            console.print(f"what was rejected, with line and reason: {report.rejected_file}")
    raise typer.Exit(1 if report.rejected else 0)


@commands.command("show")
def show_subscriber(
    key: Annotated[str, typer.Argument(metavar="MSISDN|ID")],
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Names and numbers in full.")] = False,
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Show one customer, masked: what is held, from when to when, and who held a number before."""
    from prikkfri.subscribers.service import show

    settings = configuration(home, config)
    profile = read(
        settings,
        "subscribers",
        lambda database: show(
            database,
            key,
            region=settings.region,
            timezone=ZoneInfo(settings.streaming.timezone),
            now=SystemClock().now(),
            unmasked=unmasked,
        ),
    )
    if profile is None:
        raise UsageError(
            f"nobody in {settings.home} is or holds {key!r}; import customers with prikkfri subscribers import"
            " FILE.csv, or name another home with --home"
        )
    if json_file is not None:
        write_json(asdict(profile), json_file)
        return
    console.print(f"{profile.id}  {profile.name}  {profile.email}")
    for title, rows in (("", profile.subscriptions), ("who has held this number", profile.holders)):
        table = Table(box=None, show_header=False, title=title or None, title_justify="left")
        for item in rows:
            period = f"{item.since} – {item.until}"
            table.add_row(
                item.subscriber_id if title else item.kind, item.product, item.number, period, "now" if item.now else ""
            )
        if rows:
            console.print(table)
