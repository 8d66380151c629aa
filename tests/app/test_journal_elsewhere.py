"""Assurance follows the spool of a role on another machine, and that role trims by what assurance says."""

from pathlib import Path

import pytest
from machines import Machines
from outcome_rows import outcome_rows
from waiting import eventually

from prikkfri.assurance import service
from prikkfri.journal import read_page
from prikkfri.storage import Location, open_reader, open_spool_reader

pytestmark = pytest.mark.usefixtures("own_logs")


async def test_what_a_door_elsewhere_saw_comes_once_over_its_death_and_it_hears_how_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "TAKEN_REPORTED_SECONDS", 0.2)
    machines = Machines(tmp_path, {"a": ["assurance"], "b": ["door"]})
    door_home, core = machines.home("b"), machines.home("a")
    origin = {"origin": machines.config("b").roles.viewer.url}

    async def ask(url: str, letters: str) -> None:
        async with machines.client("b") as client:
            for letter in letters:
                token = {"authorization": f"Bearer {letter}", **origin}
                assert (await client.post(f"{url}/playback-token", headers=token)).status_code == 401

    async def written() -> int:
        reader = open_spool_reader(door_home, "door")
        try:
            page = await read_page(reader, "door", 0)
            return page.newest if page else 0
        finally:
            await reader.close()

    async def stored() -> list[int]:
        reader = open_reader(Location(core), "assurance")
        try:
            rows = await reader.read(lambda q: outcome_rows(q, "position", "stream = 'door'"))
            return sorted(row[0] for row in rows)
        finally:
            await reader.close()

    async def told() -> int:
        reader = open_spool_reader(door_home, "door")
        try:
            row = await reader.read(lambda q: q.fetch_one("SELECT position FROM journal_follower"))
            return row[0] if row else 0
        finally:
            await reader.close()

    async with machines.running("a", "assurance"):
        count = 0
        for letters in ("abc", "defgh"):  # the door is started anew in between
            async with machines.running("b", "door") as door:
                await ask(door, letters)
                count += len(letters)

                async def all_told(least: int = count) -> bool:
                    return (newest := await written()) >= least and await told() == newest

                await eventually(all_told, what="assurance to say how far it has come")
        positions = await stored()
        assert len(positions) >= count and positions == list(range(1, len(positions) + 1))
    # Assurance's machine holds nothing of the door's but what it was told.
    assert not (core / "spool").exists()
