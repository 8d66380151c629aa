"""A role without a database starts and serves, also where its spool cannot be opened."""

import asyncio
from pathlib import Path

import pytest
from waiting import eventually

from prikkfri.app.roles import build
from prikkfri.clock import SystemClock
from prikkfri.config import Config
from prikkfri.journal import read_page
from prikkfri.storage import open_spool_reader


@pytest.mark.parametrize("name", ["door", "playout"])
async def test_a_disk_that_takes_no_spool_stops_no_role(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it recorded meanwhile is written as soon as the disk takes it, at the latest when it stops."""
    (tmp_path / "spool").write_text("in the way")
    role = await build(name, Config(home=tmp_path, demo=True), SystemClock())
    working = [asyncio.create_task(work()) for work in role.work]
    await eventually(lambda: "the spool cannot be written" in caplog.text)
    assert not any(task.done() for task in working)
    (tmp_path / "spool").unlink()
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    await role.close()
    assert [file.name for file in (tmp_path / "spool").iterdir()] == [f"{name}.db"]
    reader = open_spool_reader(tmp_path, name)
    assert await read_page(reader, name, 0) is not None
    await reader.close()
