"""Contacts with customer service, handed in."""

from pathlib import Path
from typing import Annotated

import typer

from prikkfri.cli.installation import asked_of, configuration
from prikkfri.cli.options import HOME, ConfigFile, Home, JsonFile
from prikkfri.cli.printing import console, refuse_unwritable, write_json
from prikkfri.errors import UsageError


def contacts(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="id, at, service, kind, channel; see docs.")],
    json_file: JsonFile = None,
    home: Home = HOME,
    config: ConfigFile = None,
) -> None:
    """Hand in who turned to customer service; safe to repeat. Exit code 1 when a row was refused."""
    from prikkfri.assurance.response.http import CONTACTS_BYTES_MAX, CONTACTS_PATH

    refuse_unwritable(json_file, "--json")
    settings = configuration(home, config)
    try:
        with file.open("rb") as opened:
            content = opened.read(CONTACTS_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}; name a CSV file that can be read") from None
    if len(content) > CONTACTS_BYTES_MAX:
        raise UsageError(f"{file}: larger than {CONTACTS_BYTES_MAX:,} bytes; hand it in in parts")
    told = asked_of("assurance", settings, "POST", CONTACTS_PATH, content)
    if json_file is not None:
        write_json(told, json_file)
    else:
        console.print(f"{told['found']:,} contacts read, {told['new']:,} of them new; {told['refused']:,} rows refused")
        for each in told["examples"]:
            console.print(f"line {each['line']}: {each['why']}", markup=False)
    raise typer.Exit(1 if told["refused"] else 0)
