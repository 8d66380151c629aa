"""The kick-off, staged small from the command line: the loop closes."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from prikkfri.simulation.crowd import arrivals, match_shape

KEYS = [
    "viewers",
    "inside",
    "inside_disturbed",
    "inside_switches",
    "inside_switches_failed",
    "outside",
    "got_in",
    "saw_open_channel",
    "turned_away",
    "wait_p50_s",
    "wait_p99_s",
    "detected_after_s",
    "placed",
    "cleared",
    "status_page_after_s",
    "open_channel_after_s",
    "hit_true",
    "hit_listed",
    "hit_missed",
    "hit_wrongly_listed",
    "credited",
    "credited_twice",
    "recovered_after_s",
    "declared_over_after_s",
    "passed",
]


def rehearse(folder: Path, *arguments: str) -> tuple[dict[str, object], str, str]:
    command = [sys.executable, "-m", "prikkfri", "rehearse", "kickoff", *arguments]
    command += ["--json", str(folder / "result.json"), "--report", str(folder / "report.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=folder)
    assert done.returncode in (0, 1), done.stderr
    report = (folder / "report.html").read_text(encoding="utf-8")
    return json.loads((folder / "result.json").read_text(encoding="utf-8")), report, done.stderr


@pytest.mark.slow
def test_sign_in_killed_at_the_kick_off(tmp_path: Path) -> None:
    """What must hold on any machine; how quick it was is the rehearsal's to say, not a test's."""
    result, report, said = rehearse(tmp_path, "--inside", "20", "--outside", "160", "--seconds", "40")
    assert list(result) == KEYS
    assert result["inside_disturbed"] == 0, said
    assert result["inside_switches"] and result["inside_switches_failed"] == 0, said
    assert result["placed"] == ["layer=signin"], said
    assert result["hit_true"] and result["hit_missed"] == 0 and result["hit_wrongly_listed"] == 0, said
    assert result["credited_twice"] == 0
    assert result["saw_open_channel"], said
    for check in ("Everybody credited was told by SMS", "Whoever asks afterwards is told"):
        assert f"✓  {check}" in said, said
    assert "The answer sheet" in report
    assert "http-equiv" not in report and "src=" not in report, "the page stands alone"


def test_a_crowd_comes_in_the_shape_of_the_match() -> None:

    shape = match_shape()
    came = arrivals(shape, 20_000, seconds=75.0, lots=random.Random(4))
    assert came == sorted(came)
    assert came[0] >= 0 and came[-1] < 75
    for minute in range(0, 75, 5):
        share = sum(minute <= moment < minute + 5 for moment in came) / len(came)
        assert abs(share - sum(shape[minute : minute + 5]) / sum(shape)) < 0.01
