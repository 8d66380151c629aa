"""One process of a kind on one home: a lock that the kernel takes back when its holder ends, however it ends.

A frozen holder keeps it. The files stay where they are: one that was removed could be held twice.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from prikkfri.errors import UsageError

PID_BYTES_MAX = 20


SUPERVISED = "supervised-"
"""Before the name of a role: the lock of whoever keeps it running."""


def file_name(process: str) -> str:
    """What the files of a process are called, after its role, or `ROLE/INSTANCE`."""
    return process.replace("/", ".")


def lock_file(home: Path, name: str) -> Path:
    return home / "run" / f"{file_name(name)}.lock"


@contextlib.contextmanager
def hold_lock(home: Path, name: str) -> Iterator[None]:
    """Holds a lock of a home, named after a process. Raises `UsageError` with the holder when another has it."""
    path = lock_file(home, name)
    try:
        for folder in (home, path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UsageError(out_of_reach(error)) from None
    try:
        _take(file, fcntl.LOCK_EX, home, name)
        with contextlib.suppress(OSError):  # on a full disk it is held all the same, by whom nobody can read
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def refuse_held(home: Path, name: str) -> None:
    """Raises `UsageError` when a process holds the lock; makes nothing."""
    try:
        file = os.open(lock_file(home, name), os.O_RDONLY)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(out_of_reach(error)) from None
    try:
        _take(file, fcntl.LOCK_SH, home, name)
    finally:
        os.close(file)


def lock_holder(home: Path, name: str) -> int:
    """The process that holds the lock; 0 when none does, or it cannot be told. Makes nothing."""
    try:
        with lock_file(home, name).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read(PID_BYTES_MAX) or 0)
    except (OSError, ValueError):
        pass
    return 0


def _take(file: int, kind: int, home: Path, name: str) -> None:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(file, PID_BYTES_MAX, 0).decode("ascii", "replace").strip()
        who = f"process {pid}" if pid else "another process"
        raise UsageError(
            f"{name.removeprefix(SUPERVISED)} runs on {home} already: {who} holds it; stop that one first"
            f"{f' (kill {pid})' if pid else ''}, or choose another home with --home"
        ) from None


def out_of_reach(error: OSError) -> str:
    """One line for a file or folder that cannot be used, with the mend."""
    where = error.filename or "the home"
    return (
        f"{where}: {error.strerror}; let whoever runs Prikkfri read and write there, make room on the disk, "
        "or choose another home with --home"
    )
