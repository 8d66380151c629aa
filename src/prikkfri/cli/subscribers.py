"""Who the customers are."""

import getpass
from collections.abc import Callable, Collection, Set
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from prikkfri.cli.installation import asked_of, configuration, read
from prikkfri.cli.options import HOME, By, ConfigFile, Home, JsonFile
from prikkfri.cli.printing import console, moment, refuse_unwritable, write_json
from prikkfri.clock import SystemClock
from prikkfri.config import Config
from prikkfri.errors import StorageError, UsageError

if TYPE_CHECKING:
    from prikkfri.subscribers.profile import Profile

WHY_CHARACTERS_MIN, WHY_CHARACTERS_MAX = 4, 200

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

    from prikkfri.signin.store import who_has_password
    from prikkfri.storage import Location, open_database, open_reader
    from prikkfri.subscribers.service import ImportReport, import_file

    settings = configuration(home, config)

    async def work(progress: Callable[[int, int], None]) -> ImportReport:
        location = Location(settings.home, settings.storage.url)
        database = await open_database(location, "subscribers")

        async def own_passwords(subscriber_ids: Collection[str]) -> Set[str]:
            try:
                signin = open_reader(location, "signin")
                try:
                    return await signin.read(lambda queries: who_has_password(queries, subscriber_ids))
                finally:
                    await signin.close()
            except StorageError:  # nobody has signed in yet, or its database is away: sign-in goes by its own anyway
                return frozenset()

        try:
            return await import_file(
                database,
                file,
                region=settings.region,
                timezone=ZoneInfo(settings.streaming.timezone),
                clock=SystemClock(),
                progress=progress,
                own_passwords=own_passwords,
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
    profile = found(configuration(home, config), key, unmasked=unmasked)
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


@commands.command("password-link")
def password_link(
    key: Annotated[str, typer.Argument(metavar="MSISDN|ID")],
    by: By = "",
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Make a link by which a customer sets a password, once, within 24 hours; it ends an earlier one."""
    settings = configuration(home, config)
    wanted = {"customer": customer_of(settings, key), "by": by or getpass.getuser()}
    made = asked_of("signin", settings, "POST", "/customers/password-link", wanted)
    if json_file is not None:
        write_json(made, json_file)
        return
    console.print(Text(made["link"]), soft_wrap=True)
    until = moment(made["expires_at"], ZoneInfo(settings.streaming.timezone))
    console.print(f"for customer {wanted['customer']}, once, until {until}; give it to nobody else", soft_wrap=True)


@commands.command("end-sessions")
def end_sessions(
    key: Annotated[str, typer.Argument(metavar="MSISDN|ID")],
    by: By = "",
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Sign a customer out on every device."""
    settings = configuration(home, config)
    wanted = {"customer": customer_of(settings, key), "by": by or getpass.getuser()}
    ended = asked_of("signin", settings, "POST", "/customers/devices/end", wanted)
    if json_file is not None:
        write_json(ended, json_file)
        return
    devices = "1 device" if ended["ended"] == 1 else f"{ended['ended']} devices"
    console.print(f"customer {wanted['customer']} is signed out on {devices}", soft_wrap=True)


Why = Annotated[str, typer.Option("--why", help="Why, for the record: 4 to 200 characters.")]


@commands.command("export")
def export_subscriber(
    key: Annotated[str, typer.Argument(metavar="MSISDN|ID")],
    why: Why,
    by: By = "",
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Export all that is kept of a customer, for them, as JSON: what they hold, how they signed in, what they did."""
    settings = configuration(home, config)
    refuse_unwritable(json_file, "--json")
    told = asked_of("assurance", settings, "POST", "/customers/data/export", _about(settings, key, why, by))
    if json_file is not None:
        write_json(told, json_file)
        return
    parts = ", ".join(f"{len(told[name])} {name}" for name in ("subscriptions", "incidents", "messages", "outcomes"))
    console.print(f"customer {told['customer']['id']}: {parts}; write them with --json FILE", soft_wrap=True)


@commands.command("erase")
def erase_subscriber(
    key: Annotated[str, typer.Argument(metavar="MSISDN|ID")],
    why: Why,
    yes: Annotated[bool, typer.Option("--yes", help="You are sure: it cannot be undone.")] = False,
    by: By = "",
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Erase a customer for good: who they are, how they sign in, their messages, their name on what they did."""
    settings = configuration(home, config)
    wanted = _about(settings, key, why, by)
    if not yes:
        raise UsageError(f"nothing is erased yet: say --yes to erase customer {wanted['customer']} for good")
    told = asked_of("assurance", settings, "POST", "/customers/data/erase", wanted)
    if json_file is not None:
        write_json(told, json_file)
        return
    console.print(
        f"customer {wanted['customer']} is erased, with {told['messages']} messages; no name is on {told['outcomes']}"
        " outcomes any more. The journals run out by themselves; a later file that names them brings them back",
        soft_wrap=True,
    )


def _about(settings: Config, key: str, why: str, by: str) -> dict[str, str]:
    if not WHY_CHARACTERS_MIN <= len(why.strip()) <= WHY_CHARACTERS_MAX:
        raise UsageError(f"--why takes {WHY_CHARACTERS_MIN} to {WHY_CHARACTERS_MAX} characters")
    return {"customer": customer_of(settings, key), "by": by or getpass.getuser(), "why": why.strip()}


def customer_of(settings: Config, key: str) -> str:
    """The id of whom something is done for: not of whoever held a number last, who may be anybody by now."""
    profile = found(settings, key)
    if profile.holders and not any(each.now for each in profile.holders):
        raise UsageError(f"nobody holds {key!r} now; say the subscriber id: prikkfri subscribers show {key!r}")
    return profile.id


def found(settings: Config, key: str, *, unmasked: bool = False) -> "Profile":
    """Whoever has this id, or holds (or last held) this number. Raises `UsageError` when there is nobody."""
    from prikkfri.subscribers.service import show

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
    return profile
