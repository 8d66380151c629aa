"""What the SMS centre holds for a person."""

import getpass
from typing import Annotated
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from prikkfri.cli.installation import asked_of_sms, configuration
from prikkfri.cli.options import HOME, By, ConfigFile, Home, JsonFile
from prikkfri.cli.printing import console, moment, write_json
from prikkfri.config import Config
from prikkfri.errors import UsageError

commands = typer.Typer(help="What the SMS centre holds for a person.", rich_markup_mode=None)


@commands.callback()
def quarantine(
    context: typer.Context,
    link: Annotated[str, typer.Option(help="Only what is held of this link.")] = "",
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """List messages and receipts in quarantine, the newest first; exit code 1 while there are any."""
    if context.invoked_subcommand is not None:
        sources = [context.get_parameter_source(name) for name in ("home", "config", "json_file", "link")]
        if any(source is not None and source.name == "COMMANDLINE" for source in sources):
            raise UsageError(f"options come last: prikkfri quarantine {context.invoked_subcommand} ID --home ...")
        return
    settings = configuration(home, config)
    found = asked_of_sms(settings, "GET", f"/quarantine?link={quote(link, safe='')}")
    zone = ZoneInfo(settings.streaming.timezone)
    if link and not found:
        refuse_unknown_link(settings, "--link", link)
    if json_file is not None:
        write_json(found, json_file)
    elif not found:
        console.print("nothing is in quarantine")
    else:
        table = Table("since", "id", "what", "link", "why", "from", "to", "particulars", box=None, header_style="dim")
        for entry in found:
            cells = [entry[name] for name in ("id", "kind", "link", "reason", "sender", "recipient", "detail")]
            table.add_row(moment(entry["held_at"], zone), *map(Text, cells))
        console.print(table)
    raise typer.Exit(1 if found else 0)


@commands.command("show")
def show_quarantined(
    identifier: Annotated[str, typer.Argument(metavar="ID")],
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Show one entry, masked, what has happened to it, and whether it can be released."""
    settings = configuration(home, config)
    found = asked_of_sms(settings, "GET", f"/quarantine/{quote(identifier, safe='')}")
    if json_file is not None:
        write_json(found, json_file)
        return
    entry, zone = found["entry"], ZoneInfo(settings.streaming.timezone)
    console.print(Text(f"{entry['kind']} {entry['id']}  {entry['sender']} → {entry['recipient']}  {entry['reason']}"))
    console.print(Text(f"link {entry['link']}; {entry['detail']}"))
    if found["hindrance"]:
        console.print(Text(f"cannot be released: {found['hindrance']}"))
    elif found["goes_to"]:
        console.print(Text(f"released, it goes to {found['goes_to']}"))
    table = Table(box=None, show_header=False)
    for step in found["steps"]:
        table.add_row(moment(step["time"], zone), step["event"], Text(step["detail"]))
    console.print(table)


@commands.command("release")
def release_quarantined(
    identifier: Annotated[str, typer.Argument(metavar="ID")], by: By = "", home: Home = HOME, config: ConfigFile = None
) -> None:
    """Let a message go out by the routes of now, or a receipt end the message that it fits by now."""
    say_of_quarantine(configuration(home, config), identifier, "release", by)
    console.print(f"{identifier} is released")


@commands.command("discard")
def discard_quarantined(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Leave it out with --receipts-of.")] = "",
    receipts_of: Annotated[str, typer.Option(help="A link: all of its receipts that fit nothing.")] = "",
    by: By = "",
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Discard an entry for good; the body of a message is erased."""
    settings = configuration(home, config)
    if bool(identifier) == bool(receipts_of):
        raise UsageError("say which: prikkfri quarantine discard ID, or --receipts-of LINK")
    if identifier:
        say_of_quarantine(settings, identifier, "discard", by)
        console.print(f"{identifier} is discarded")
        return
    found, more = 0, True
    while more:
        wanted = {"link": receipts_of, "action": "discard", "by": by or getpass.getuser()}
        more = asked_of_sms(settings, "POST", "/quarantine", wanted)["discarded"]
        found += more
    if not found:
        refuse_unknown_link(settings, "--receipts-of", receipts_of)
    console.print(f"{found:,} receipts are discarded")


def refuse_unknown_link(settings: Config, option: str, link: str) -> None:
    """Raises `UsageError` for one that is not configured: that nothing is held of it says nothing.

    Of one that was, and has gone, something may still be held: that is asked first.
    """
    links = [each.name for each in settings.sms.links]
    if link not in links:
        raise UsageError(f"{option}: there is no link {link!r}; there are {', '.join(links) or 'none'}")


def say_of_quarantine(settings: Config, identifier: str, action: str, by: str) -> None:
    wanted = {"action": action, "by": by or getpass.getuser()}
    asked_of_sms(settings, "POST", f"/quarantine/{quote(identifier, safe='')}", wanted)
