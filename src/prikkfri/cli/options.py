"""What most commands take."""

from pathlib import Path
from typing import Annotated

import typer

from prikkfri.config import HOME_VARIABLE

Home = Annotated[Path, typer.Option(help="Where everything is kept.", envvar=HOME_VARIABLE)]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="The TOML file (default: prikkfri.toml in the home).")
]
By = Annotated[str, typer.Option(help="Your name, for the record (default: that of your account on this machine).")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write one JSON document there (-: standard output).")]
HOME = Path("prikkfri-home")
