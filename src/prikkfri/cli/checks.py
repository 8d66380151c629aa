"""Looking at an installation before it is started."""

import typer
from rich.table import Table
from rich.text import Text

from prikkfri.cli.installation import configuration
from prikkfri.cli.options import HOME, ConfigFile, Home
from prikkfri.cli.printing import console
from prikkfri.clock import SystemClock


def check(home: Home = HOME, config: ConfigFile = None) -> None:
    """Look at configuration, keys, database, clock, ports and disk."""
    import asyncio

    from prikkfri.app import checking

    settings = configuration(home, config)
    findings = asyncio.run(checking.check(settings, SystemClock()))
    table = Table("", "what", "found", box=None, header_style="dim")
    table.add_row("✓", "configuration", str(config or home / "prikkfri.toml"))
    for finding in findings:
        table.add_row("✓" if finding.holds else Text("✗", "red"), finding.subject, finding.detail)
    console.print(table)
    raise typer.Exit(0 if all(finding.holds for finding in findings) else 1)
