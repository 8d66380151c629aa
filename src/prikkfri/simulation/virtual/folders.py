"""Folders for the files of a drawn world: in memory where there is such a file system, else wherever files are."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IN_MEMORY = Path("/dev/shm")  # noqa: S108
PREFIX = "prikkfri-world-"


@contextmanager
def world_folder(root: Path | None = None) -> Iterator[Path]:
    """It is gone afterwards; and so are those of processes that were killed: files in memory take memory."""
    root = root or (IN_MEMORY if IN_MEMORY.is_dir() else Path(tempfile.gettempdir()))
    for left in root.glob(f"{PREFIX}*"):
        if not _is_alive(left.name.removeprefix(PREFIX).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=root) as folder:
        yield Path(folder)


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True
