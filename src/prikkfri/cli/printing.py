"""How commands say what they found: on the terminal, or as one JSON document."""

import json
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console

console = Console(highlight=False)


def write_json(document: object, file: Path) -> None:
    """Writes one JSON document and nothing else; `-` is standard output."""
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")


def moment(time: float, zone: ZoneInfo) -> str:
    """A moment as people read it, in the installation's zone."""
    return f"{datetime.fromtimestamp(time, zone):%Y-%m-%d %H:%M:%S}.{int(time % 1 * 1000):03d}"
