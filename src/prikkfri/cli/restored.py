"""What a person sees and says of the SMS centre after a restored snapshot."""

import getpass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.text import Text

from prikkfri.cli.installation import asked_of_sms, configuration
from prikkfri.cli.options import HOME, By, ConfigFile, Home, JsonFile
from prikkfri.cli.printing import console, moment, write_json
from prikkfri.sms.restored import UNKNOWN, Decision

commands = typer.Typer(help="The SMS centre.", rich_markup_mode=None)


@commands.callback()
def centre() -> None:
    """The SMS centre."""


@commands.command()
def restored(
    then: Annotated[
        Decision | None,
        typer.Option(
            help="What becomes of what waited in the snapshot: discard it, or send it all the same, where ordinary"
            " messages may come twice and sensitive ones are reported and never sent."
        ),
    ] = None,
    by: By = "",
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Show what a restored snapshot lacks, and say what becomes of what waited in it; exit code 1 while it is held."""
    settings = configuration(home, config)
    if then is None:
        found = asked_of_sms(settings, "GET", "/restored")
    else:
        found = asked_of_sms(settings, "POST", "/restored", {"action": then, "by": by or getpass.getuser()})
    if json_file is not None:
        write_json(found, json_file)
    elif found["restore"] is None:
        console.print("no restored snapshot was ever noticed")
    else:
        for line in restored_lines(found["restore"], ZoneInfo(settings.streaming.timezone)):
            console.print(Text(line), soft_wrap=True)
    raise typer.Exit(1 if found["holds"] and then is None else 0)


def restored_lines(found: dict[str, Any], zone: ZoneInfo) -> list[str]:
    """What is said of a restored snapshot, line by line."""
    if found["commits_missing"] == UNKNOWN:
        lacks = "it is another database: all that the last one knew is missing"
    else:
        since = found["seconds_missing"]
        lacks = f"it is {found['commits_missing']:,} commits and {found['outcomes_missing']:,} outcomes behind"
        lacks += "" if since is None else f", from {since:,.0f} s before the last mark"
    lines = [
        f"noticed {moment(found['noticed_at'], zone)}, by the mark of {moment(found['marked_at'], zone)}: {lacks}",
        f"{found['waiting']:,} messages waited in it and may have been sent since, {found['sensitive']:,} of them"
        " sensitive",
        f"{found['accepted']:,} messages were accepted after it was noticed, until somebody decided",
    ]
    if not found["decision"]:
        return [*lines, "nothing is sent until somebody decides: --then discard, or --then send"]
    said = f"{found['decision']}, by {found['decided_by']}, {moment(found['decided_at'], zone)}"
    done = f"done {moment(found['done_at'], zone)}" if found["done_at"] else "under way, and nothing is sent yet"
    return [*lines, f"{said}: {found['given_up']:,} given up, {found['let_go']:,} kept; {done}"]
