"""What most commands take."""

from pathlib import Path
from typing import Annotated

import typer

from prikkfri.config import HOME_VARIABLE, ROLES
from prikkfri.errors import UsageError

Home = Annotated[Path, typer.Option(help="Where everything is kept.", envvar=HOME_VARIABLE)]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The TOML file (default: prikkfri.toml in the home).")
]
By = Annotated[str, typer.Option(help="Your name, for the record (default: that of your account on this machine).")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write one JSON document there (-: standard output).")]
HOME = Path("prikkfri-home")


def roles_named(only: str | None) -> list[str]:
    """The roles of `--only ROLE,...`; without it none. Raises `UsageError` when it names none, or one that is none.

    A script whose variable is empty would else start all of them.
    """
    roles = [role.strip() for role in (only or "").split(",") if role.strip()]
    if only is not None and not roles:
        raise UsageError(f"--only names no role; leave it out, or name some of {', '.join(ROLES)}")
    if unknown := [role for role in roles if role not in ROLES]:
        raise UsageError(f"--only: there is no role {unknown[0]!r}; the roles are {', '.join(ROLES)}")
    return roles


def refuse_no_database(named: str | None) -> None:
    """Raises `UsageError` for a `--database` that names none: with an empty variable a script would else get SQLite."""
    if named is not None and not named.strip():
        raise UsageError("--database names none; leave it out, or say where it is: postgresql://HOST/NAME")
