"""The product's own report on an evening, read where an operator reads it: from its commands."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prikkfri.app.process import python
from prikkfri.errors import PrikkfriError
from prikkfri.simulation.installation import BorrowedInstallation, Installation

COMMAND_SECONDS_MAX = 60.0
TRIES_MAX = 3
AGAIN_SECONDS = 2.0


@dataclass(frozen=True)
class IncidentReport:
    """What the product says of one incident; documents as its commands print them."""

    incident: dict[str, Any]
    answers: Sequence[dict[str, Any]]
    affected: dict[str, Any]
    credits: Sequence[dict[str, Any]]


async def read_incidents(installation: Installation | BorrowedInstallation, service: str) -> list[dict[str, Any]]:
    """Its incidents of a service, the oldest first."""
    found = None
    for _ in range(TRIES_MAX):
        if (found := await _command(installation, "incidents")) is not None:
            break
        await asyncio.sleep(AGAIN_SECONDS)  # a busy database is no empty one
    found = found or []  # without assurance there is no account at all
    return [incident for incident in reversed(found) if incident["service"] == service]


async def read_reports(installation: Installation | BorrowedInstallation, service: str) -> list[IncidentReport]:
    """All that it says of its incidents of a service, the oldest first."""
    told = []
    for incident in await read_incidents(installation, service):
        shown, affected, credits = await asyncio.gather(
            _command(installation, "incidents", "show", incident["id"]),
            _command(installation, "affected", incident["id"]),
            _command(installation, "credits", incident["id"]),
        )
        told.append(
            IncidentReport(shown["incident"], shown["answers"], affected or {"hits": [], "asked": 0}, credits or [])
        )
    return told


async def _command(installation: Installation | BorrowedInstallation, *arguments: str) -> Any:
    """The JSON that a command prints; None when it has nothing to show."""
    installed = ["--home", str(installation.home)]
    installed += ["--config", str(installation.file)] if installation.file is not None else []
    process = await asyncio.create_subprocess_exec(
        *python(["-m", "prikkfri", *arguments, "--json", "-", *installed]),
        env=installation.environment(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS_MAX)
    if not out and process.returncode == 1:
        return None
    if not out:
        raise PrikkfriError(f"prikkfri {' '.join(arguments)}: {errors.decode().strip()}")
    return json.loads(out)
