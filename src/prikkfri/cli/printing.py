"""How commands say what they found: on the terminal, or as one JSON document."""

import json
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console

from prikkfri.errors import UsageError

console = Console(highlight=False, markup=False)
"""What is printed may be anybody's: a name, a note, a partner's word. In brackets it would be markup, and gone."""


def write_json(document: object, file: Path) -> None:
    """Writes one JSON document and nothing else; `-` is standard output."""
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
    else:
        write_text(text, file, "--json")


def write_text(text: str, file: Path, option: str) -> None:
    """Writes a file that `option` named, as it stands. Raises `UsageError` when it cannot be written."""
    try:
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise _unwritable(file, option, error.strerror or "it cannot be written") from None


def refuse_unwritable(file: Path | None, option: str) -> None:
    """Raises `UsageError` for a file that could not be written, before the work whose result it is to hold."""
    if file is None or str(file) == "-":
        return
    if not file.absolute().parent.is_dir():
        raise _unwritable(file, option, "there is no such folder")
    if file.is_dir():
        raise _unwritable(file, option, "it is a folder")


def _unwritable(file: Path, option: str, why: str) -> UsageError:
    return UsageError(f"{option} {file}: {why}; name a file that can be written")


def moment(time: float, zone: ZoneInfo) -> str:
    """A moment as people read it, in the installation's zone."""
    return f"{datetime.fromtimestamp(time, zone):%Y-%m-%d %H:%M:%S}.{int(time % 1 * 1000):03d}"
