#!/usr/bin/env python3
"""Copies a home while everything runs: backup.py HOME FOLDER. FOLDER is made, and must not be there yet.

SQLite's own online backup takes each database as it is at one moment, without holding anybody up. Left out: the keys
of sealed messages (keys/sealing) and the mark (marks), by design (docs/operating.md); run, logs and the console's first
password. On a PostgreSQL the databases are not in the home: pg_dump takes those. Needs Python alone.
"""

import contextlib
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = ("keys/sealing", "marks", "run", "logs", "console-first-account")
FIRST = ("assurance.db",)
"""Whoever follows a journal is copied before it: behind it takes the rest, ahead of it some is not known."""


def databases(home: Path) -> list[Path]:
    found = [path.relative_to(home) for path in [*home.glob("*.db"), *home.glob("spool/*.db")]]
    return sorted(found, key=lambda path: (path.name not in FIRST, path))


def files(home: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(home):
        inside = Path(folder).relative_to(home)
        folders[:] = [name for name in folders if (inside / name).as_posix() not in LEFT_OUT]
        for name in names:
            path = inside / name
            if path.as_posix() not in LEFT_OUT and not name.endswith((".db", ".db-wal", ".db-shm")):
                yield path


def copy_database(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        contextlib.closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as read,
        contextlib.closing(sqlite3.connect(target)) as written,
    ):
        read.backup(written)
        said = written.execute("PRAGMA quick_check").fetchone()[0]
    if said != "ok":
        raise sqlite3.DatabaseError(f"{source}: {said}")


def backup(home: Path, folder: Path) -> None:
    os.umask(0o077)
    folder.mkdir(parents=True, mode=0o700)
    for path in databases(home):
        copy_database(home / path, folder / path)
    for path in files(home):
        (folder / path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # it was replaced by a newer one meanwhile
            shutil.copy2(home / path, folder / path)


def main() -> int:
    if len(sys.argv) != 3:
        print("backup.py HOME FOLDER", file=sys.stderr)
        return 2
    home, folder = map(Path, sys.argv[1:])
    try:
        if not home.is_dir():
            raise FileNotFoundError(f"there is no home at {home}")
        backup(home, folder)
    except (OSError, sqlite3.Error) as error:
        print(f"no whole copy was made: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
