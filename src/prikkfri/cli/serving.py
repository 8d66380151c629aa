"""Starting the roles on this machine and keeping them running."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from prikkfri.app.locks import SUPERVISED, hold_lock, refuse_held
from prikkfri.cli.installation import refuse_file
from prikkfri.cli.options import HOME, ConfigFile, Home, refuse_no_database, roles_named
from prikkfri.config import ROLES, load


def serve(
    home: Home = HOME,
    demo: Annotated[bool, typer.Option("--demo", help="Made-up customers, phones and a little life.")] = False,
    only: Annotated[str | None, typer.Option(help=f"Some roles, with commas between them: {', '.join(ROLES)}.")] = None,
    database: Annotated[str | None, typer.Option(help="postgresql://... instead of SQLite files in the home.")] = None,
    instance: Annotated[
        str, typer.Option(help="Their processes of this name, beside those that run elsewhere under another.")
    ] = "",
    config: ConfigFile = None,
) -> None:
    """Start the roles on this machine and keep them running."""
    roles = roles_named(only) or list(ROLES)
    refuse_no_database(database)
    if database:
        os.environ["PRIKKFRI_STORAGE_URL"] = database
    if instance:
        os.environ["PRIKKFRI_INSTANCE"] = instance
    refuse_file(home)
    from prikkfri.app.__main__ import process_of
    from prikkfri.cli.running import serve_roles

    settings = load(home, file=config, environment=os.environ, demo=demo)
    with alone_with(home, [process_of(role, settings) for role in roles]):
        raise typer.Exit(serve_roles(home, roles, config, demo=demo))


@contextlib.contextmanager
def alone_with(home: Path, processes: Sequence[str]) -> Iterator[None]:
    """Nobody else keeps these processes running on this home meanwhile. Raises `UsageError` when somebody does."""
    with contextlib.ExitStack() as locks:
        for process in processes:
            locks.enter_context(hold_lock(home, SUPERVISED + process))
        for process in processes:
            refuse_held(home, process)
        yield
