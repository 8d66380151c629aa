"""What an operator types."""

import sys
from typing import Annotated

import typer

from prikkfri.app.locks import out_of_reach
from prikkfri.cli import (
    benchmarks,
    checks,
    contacts,
    incidents,
    keys,
    line,
    locating,
    messages,
    quarantine,
    recordings,
    rehearsals,
    restored,
    serving,
    simulations,
    subscribers,
)
from prikkfri.errors import PrikkfriError, UsageError

application = typer.Typer(
    name="prikkfri",
    help="Television sign-in and text messages that stand when everyone comes at once, and answers.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Runs a command; bad usage and bad input are one line and exit code 2."""
    try:
        sys.exit(application(sys.argv[1:] or ["--help"], prog_name="prikkfri", standalone_mode=False) or 0)
    except typer.Abort:
        sys.exit(130)
    except typer.TyperException as error:
        print(f"prikkfri: {describe_misuse(error)}", file=sys.stderr)
        sys.exit(2)
    except UsageError as error:
        print(f"prikkfri: {error}", file=sys.stderr)
        sys.exit(2)
    except PrikkfriError as error:
        print(f"prikkfri: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"prikkfri: {out_of_reach(error)}", file=sys.stderr)
        sys.exit(2)


def describe_misuse(error: typer.TyperException) -> str:
    """What was typed wrong, with its option, and whose help tells more."""
    said = error.format_message().replace("Value error, ", "").rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "prikkfri"
    return f"{said}; see {command} --help"


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"prikkfri {version('prikkfri')}")
        raise typer.Exit


@application.callback()
def _commands(
    _: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """What stands before every command."""


application.command()(serving.serve)
application.command()(checks.check)
application.command()(messages.send)
application.command()(messages.message)
application.command()(messages.links)
application.command()(messages.complaint)
application.command()(incidents.affected)
application.command()(incidents.credits)
application.command()(contacts.contacts)
application.command()(recordings.detect)
application.command()(locating.locate)
application.add_typer(subscribers.commands, name="subscribers")
application.add_typer(rehearsals.commands, name="rehearse")
application.add_typer(simulations.commands, name="simulate")
application.add_typer(benchmarks.commands, name="bench")
application.add_typer(quarantine.commands, name="quarantine", invoke_without_command=True)
application.add_typer(line.commands, name="line")
application.add_typer(keys.commands, name="keys")
application.add_typer(restored.commands, name="sms")
application.add_typer(incidents.commands, name="incidents", invoke_without_command=True)
