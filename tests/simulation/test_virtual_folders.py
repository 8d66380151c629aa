"""Folders of drawn worlds."""

import os
import subprocess
import sys
from pathlib import Path

from prikkfri.simulation.virtual.folders import PREFIX, world_folder


def test_a_world_leaves_no_files_and_takes_away_those_of_processes_that_were_killed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, nobodys = tmp_path / f"{PREFIX}{gone.pid}-abc", tmp_path / f"{PREFIX}nobody-abc"
    theirs, others = tmp_path / f"{PREFIX}{os.getppid()}-abc", tmp_path / "prikkfri-home"
    for folder in (left, nobodys, theirs, others):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_text("x", encoding="utf-8")
    with world_folder(tmp_path) as first:
        (first / "file").write_text("x", encoding="utf-8")
        with world_folder(tmp_path) as second:
            assert first.is_dir() and second.is_dir() and first != second
            assert first.parent == second.parent == tmp_path
    assert sorted(tmp_path.iterdir()) == sorted([theirs, others])
    assert (theirs / "deep" / "file").is_file()
