"""What an operator types."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from prikkfri.app import checking
from prikkfri.app.logs import log_file
from prikkfri.app.supervisor import Program, Supervisor
from prikkfri.clock import SystemClock
from prikkfri.config import ROLES, Config, load
from prikkfri.errors import PrikkfriError, UsageError

application = typer.Typer(
    name="prikkfri",
    help="Television sign-in and text messages that stand when everyone comes at once, and answers.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console = Console(highlight=False)

Home = Annotated[Path, typer.Option(help="Where everything is kept.", envvar="PRIKKFRI_HOME_FOLDER")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The TOML file (default: prikkfri.toml in the home).")
]
HOME = Path("prikkfri-home")


def main() -> None:
    """Runs a command; bad usage and bad input are one line and exit code 2."""
    try:
        sys.exit(application(sys.argv[1:] or ["--help"], standalone_mode=False) or 0)
    except typer.Abort:
        sys.exit(130)
    except typer.TyperException as error:
        print(f"prikkfri: {error} See prikkfri --help.", file=sys.stderr)
        sys.exit(2)
    except UsageError as error:
        print(f"prikkfri: {error}", file=sys.stderr)
        sys.exit(2)
    except PrikkfriError as error:
        print(f"prikkfri: {error}", file=sys.stderr)
        sys.exit(1)


@application.callback()
def _commands() -> None:
    """Keeps `serve` a command of its own, however few there are."""


def configuration(home: Path, file: Path | None, *, demo: bool = False) -> Config:
    return load(home, file=file, environment=os.environ, demo=demo)


@application.command()
def serve(
    home: Home = HOME,
    demo: Annotated[bool, typer.Option("--demo", help="Made-up customers, phones and a little life.")] = False,
    only: Annotated[str, typer.Option(help=f"Some roles, with commas between them: {', '.join(ROLES)}.")] = "",
    database: Annotated[str, typer.Option(help="postgresql://... instead of SQLite files in the home.")] = "",
    config: ConfigFile = None,
) -> None:
    """Start the roles on this machine and keep them running."""
    if database:
        os.environ["PRIKKFRI_STORAGE_URL"] = database
    roles = [role.strip() for role in only.split(",") if role.strip()] or list(ROLES)
    if unknown := [role for role in roles if role not in ROLES]:
        raise UsageError(f"there is no role {unknown[0]!r}; the roles are {', '.join(ROLES)}")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = configuration(home, config, demo=demo)
    programs = [role_program(role, settings, config) for role in roles]
    supervisor = Supervisor(programs, say=lambda line: console.print(f"· {line}", soft_wrap=True))
    console.print(f"starting {', '.join(roles)} …")
    code = asyncio.run(supervisor.run(when_ready=lambda: console.print("ready")))
    raise typer.Exit(code)


@application.command()
def check(home: Home = HOME, config: ConfigFile = None) -> None:
    """Look at configuration, keys, database, clock, ports and disk."""
    settings = configuration(home, config)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    findings = asyncio.run(checking.check(settings, SystemClock()))
    table = Table("", "what", "found", box=None, header_style="dim")
    table.add_row("✓", "configuration", str(config or home / "prikkfri.toml"))
    for finding in findings:
        table.add_row("✓" if finding.holds else "[red]✗[/red]", finding.subject, finding.detail)
    console.print(table)
    raise typer.Exit(0 if all(finding.holds for finding in findings) else 1)


def role_program(role: str, settings: Config, config: Path | None) -> Program:
    arguments = ["-m", "prikkfri.app", role, "--home", str(settings.home)]
    if config is not None:
        arguments += ["--config", str(config)]
    if settings.demo:
        arguments.append("--demo")
    return Program(role, arguments, log_file(settings.home, role))
