"""`serve` where some of what its roles need is broken: those stay down with the mend, the others serve."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from waiting import until

from prikkfri.config import ROLES
from prikkfri.simulation.installation import free_ports, ports_section

pytestmark = pytest.mark.slow


def test_what_is_broken_stays_down_with_its_mend_and_the_others_serve(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    (folder / "token.py").write_text("raise SystemExit('not the token that was meant')")
    ports = dict(zip(ROLES, free_ports(len(ROLES)), strict=True))
    (home / "prikkfri.toml").write_text(ports_section([*ports.values(), *free_ports(1)]))
    (home / "sms.db").write_text("no database at all" * 1_000)
    (home / "keys").mkdir()
    (home / "keys" / "status-command.key").write_text("rubbish")
    command = [sys.executable, "-P", "-m", "prikkfri", "serve", "--only", "status,sms,door", "--home", str(home)]
    out = tmp_path / "out"
    with out.open("wb") as file:
        serving = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
    try:
        until(lambda: "Ctrl-C stops everything." in out.read_text() or serving.poll() is not None, seconds_max=120)
        said = " ".join(out.read_text().split())
        assert "· sms stays down: " in said and "sms.db: file is not a database; put a copy back in its place" in said
        assert "· status stays down: " in said and "remove the file to have a new key made" in said
        assert "crash loop" not in said and "Traceback" not in said
        assert httpx.get(f"http://127.0.0.1:{ports['door']}/health", timeout=60).json()["role"] == "door"
        second = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
        assert second.returncode == 2 and second.stdout == ""
        assert second.stderr.count("\n") == 1 and f"process {serving.pid} holds it" in second.stderr
        os.kill(serving.pid, signal.SIGTERM)
        assert serving.wait(60) == 0
    finally:
        serving.kill()
        serving.wait()
