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
from prikkfri.config import ROLES


def serve(
    home: Home = HOME,
    demo: Annotated[bool, typer.Option("--demo", help="Made-up customers, phones and a little life.")] = False,
    only: Annotated[str | None, typer.Option(help=f"Some roles, with commas between them: {', '.join(ROLES)}.")] = None,
    database: Annotated[str | None, typer.Option(help="postgresql://... instead of SQLite files in the home.")] = None,
    config: ConfigFile = None,
) -> None:
    """Start the roles on this machine and keep them running."""
    roles = roles_named(only) or list(ROLES)
    refuse_no_database(database)
    if database:
        os.environ["PRIKKFRI_STORAGE_URL"] = database
    refuse_file(home)
    from prikkfri.cli.running import serve_roles

    with alone_with(home, roles):
        raise typer.Exit(serve_roles(home, roles, config, demo=demo))


@contextlib.contextmanager
def alone_with(home: Path, roles: Sequence[str]) -> Iterator[None]:
    """Nobody else keeps these roles running on this home meanwhile. Raises `UsageError` when somebody does."""
    with contextlib.ExitStack() as locks:
        for role in roles:
            locks.enter_context(hold_lock(home, SUPERVISED + role))
        for role in roles:
            refuse_held(home, role)
        yield
