"""Where the console's first account is told."""

from pathlib import Path


def first_user_file(home: Path) -> Path:
    """Name and password, written once with mode 0600; to be removed when it has been read."""
    return home / "console-first-account"
