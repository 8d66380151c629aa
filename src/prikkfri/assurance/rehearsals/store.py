"""Orders and what became of them, as files of a home (`HOME/run/rehearsals`): whoever may write there may stage."""

import contextlib
from pathlib import Path
from typing import TypeVar

import msgspec

from prikkfri.assurance.rehearsals.staging import EVENINGS, Evening, Order, Stage, Staging
from prikkfri.storage.keys import write_whole

T = TypeVar("T")


def put_order(home: Path, order: Order) -> None:
    _put(home, "order", order)


def order(home: Path) -> Order | None:
    return _read(home, "order", Order)


def take_order(home: Path) -> Order | None:
    """The order that waits, which then waits no more."""
    found = order(home)
    if found is not None:
        with contextlib.suppress(FileNotFoundError):
            _file(home, "order").unlink()
    return found


def put_staging(home: Path, staging: Staging) -> None:
    _put(home, staging.evening, staging)


def stagings(home: Path) -> dict[Evening, Staging]:
    """The last of each evening."""
    found = {evening: _read(home, evening, Staging) for evening in EVENINGS}
    return {evening: staging for evening, staging in found.items() if staging is not None}


def put_stage(home: Path, stage: Stage) -> None:
    _put(home, "stage", stage)


def stage(home: Path) -> Stage:
    return _read(home, "stage", Stage) or Stage()


def _file(home: Path, name: str) -> Path:
    return home / "run" / "rehearsals" / f"{name}.json"


def _put(home: Path, name: str, content: object) -> None:
    write_whole(_file(home, name), msgspec.json.encode(content), mode=0o600)


def _read(home: Path, name: str, kind: type[T]) -> T | None:
    """None when there is none, or another version wrote it."""
    try:
        return msgspec.json.decode(_file(home, name).read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None
