"""All seven roles idle: memory (PSS) and CPU of each process. The goal: under 600 MB, and 5 % of a core without the
picture (playout draws three test pictures in the demo, which is work and not idling).

Last run: see the closing lines of docs/architecture.md; say `python benchmarks/idle.py` for your own machine.
"""

import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from prikkfri.config import ROLES
from prikkfri.simulation.installation import free_ports, ports_section

SETTLE_SECONDS = 15
MEASURE_SECONDS = 30


def main() -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        (home / "prikkfri.toml").write_text(ports_section(free_ports(len(ROLES) + 1)), encoding="utf-8")
        serving = subprocess.Popen(
            [sys.executable, "-m", "prikkfri", "serve", "--home", folder], stdout=subprocess.DEVNULL
        )
        try:
            time.sleep(SETTLE_SECONDS)
            supervisor = psutil.Process(serving.pid)
            processes = {child.cmdline()[3]: child for child in supervisor.children()} | {"supervisor": supervisor}
            before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
            time.sleep(MEASURE_SECONDS)
            where = f"{psutil.cpu_count()} cores, {platform.machine()}, load {psutil.getloadavg()[0]:.1f}"
            print(f"{datetime.now(UTC):%Y-%m-%d}, {where}")
            total_mb = total_percent = 0.0
            for name, process in processes.items():
                percent = (sum(process.cpu_times()[:2]) - before[name]) / MEASURE_SECONDS * 100
                mb = process.memory_full_info().pss / 1e6
                total_mb, total_percent = total_mb + mb, total_percent + percent
                print(f"{name:12} {mb:7.1f} MB {percent:6.2f} % of a core")
            print(f"{'all':12} {total_mb:7.1f} MB {total_percent:6.2f} % of a core")
        finally:
            serving.send_signal(signal.SIGTERM)
            serving.wait(20)


if __name__ == "__main__":
    main()
