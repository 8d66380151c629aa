"""The unit in `deploy/systemd`, as systemd itself reads it."""

import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "deploy" / "systemd"
EXPOSURE_MAX = 2.0
"""Of ten, as `systemd-analyze security` counts it. What is left: a network, files of its own, threads' niceness."""


def settings() -> dict[str, str]:
    lines = (SYSTEMD / "prikkfri.service").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_it_runs_the_roles_as_the_user_who_is_made_for_them_in_the_home_that_they_are_told() -> None:
    unit = settings()
    assert unit["ExecStart"] == "/opt/prikkfri/bin/prikkfri serve"
    assert unit["Environment"] == f"PRIKKFRI_HOME=/var/lib/{unit['StateDirectory']}"
    [user] = [line for line in (SYSTEMD / "prikkfri.sysusers").read_text().splitlines() if line.startswith("u ")]
    assert user.split()[1] == unit["User"] == unit["Group"]
    assert user.endswith(f" /var/lib/{unit['StateDirectory']}")


def test_what_the_roles_do_to_themselves_is_allowed() -> None:
    """They raise their limit of open files, and hash threads give way: both are calls of `@resources`."""
    assert "@resources" not in settings()["SystemCallFilter"]
    assert int(settings()["LimitNOFILE"]) >= 20_000


@pytest.mark.slow
def test_systemd_takes_it_and_finds_little_that_is_exposed(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    unit = tmp_path / "prikkfri.service"
    text = (SYSTEMD / "prikkfri.service").read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/prikkfri/bin/prikkfri", "/bin/true"))
    for words in (
        ["verify", str(unit)],
        ["security", "--offline=true", f"--threshold={EXPOSURE_MAX * 10:.0f}", str(unit)],
    ):
        done = subprocess.run(["systemd-analyze", "--no-pager", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "prikkfri.service" not in done.stderr, done.stderr
