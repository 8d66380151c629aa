"""Keys of sealed messages on disk: durable when kept, their owner's alone, and gone when they are destroyed."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from prikkfri.errors import StorageError
from prikkfri.storage.keys import secret_key
from prikkfri.storage.sealing_keys import EARLIER, KEY_OCTETS, SealingKeyFiles, SealingKeysInMemory

OTP, ORDINARY = os.urandom(KEY_OCTETS), os.urandom(KEY_OCTETS)


def folder(home: Path) -> Path:
    return home / "keys" / "sealing"


async def test_keys_are_kept_each_in_a_file_of_its_owners_alone(tmp_path: Path) -> None:
    kept = SealingKeyFiles(tmp_path)
    assert kept.load() == {}
    assert not (tmp_path / "keys").exists(), "a look makes nothing"
    await kept.keep({"5-otp": OTP, "5-ordinary": ORDINARY})
    assert SealingKeyFiles(tmp_path).load() == {"5-otp": OTP, "5-ordinary": ORDINARY}
    files = sorted(folder(tmp_path).iterdir())
    assert [file.name for file in files] == ["5-ordinary.key", "5-otp.key"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(folder(tmp_path).stat().st_mode) == 0o700


async def test_to_keep_a_key_again_does_no_harm_and_another_one_is_refused(tmp_path: Path) -> None:
    kept = SealingKeyFiles(tmp_path)
    await kept.keep({"5-otp": OTP})
    await kept.keep({"5-otp": OTP})
    with pytest.raises(StorageError, match=r"5-otp\.key: there is another key already"):
        await kept.keep({"5-otp": ORDINARY})
    assert kept.load() == {"5-otp": OTP}


@pytest.mark.parametrize("octets", [0, 31, 33])
async def test_what_was_cut_short_is_no_key_and_in_nobodys_way(tmp_path: Path, octets: int) -> None:
    kept = SealingKeyFiles(tmp_path)
    await kept.keep({"5-otp": OTP})
    (folder(tmp_path) / "5-otp.key").write_bytes(bytes(octets))
    (folder(tmp_path) / "6-otp.key").write_bytes(bytes(octets))
    await kept.keep({"5-otp": ORDINARY})
    assert kept.load() == {"5-otp": ORDINARY}
    assert [file.name for file in folder(tmp_path).iterdir()] == ["5-otp.key"]


async def test_a_destroyed_key_is_written_over_in_its_place_and_removed(tmp_path: Path) -> None:
    """A second name of the file, as a copy made by hard links has one, holds nothing of it any more."""
    kept = SealingKeyFiles(tmp_path)
    await kept.keep({"5-otp": OTP, "6-otp": ORDINARY})
    os.link(folder(tmp_path) / "5-otp.key", tmp_path / "copy")
    await kept.destroy(["5-otp", "4-otp"])
    assert kept.load() == {"6-otp": ORDINARY}
    left = (tmp_path / "copy").read_bytes()
    assert len(left) == KEY_OCTETS and not set(zip(left, OTP, strict=True)) >= {(each, each) for each in OTP}
    assert left != bytes(KEY_OCTETS), "what is left seals nothing that anybody could guess"
    await kept.destroy(["5-otp"])
    await SealingKeyFiles(tmp_path / "empty").destroy(["5-otp"])


@pytest.mark.parametrize("octets", [0, 3, 32, 44])
async def test_what_ended_in_the_middle_of_its_destruction_is_destroyed_at_the_next_start(
    tmp_path: Path, octets: int
) -> None:
    """However much of it was written over by then; the earlier version's key too, which else would refuse to start."""
    secret_key(tmp_path, "sealing")
    kept = SealingKeyFiles(tmp_path)
    await kept.keep({"5-otp": OTP, "6-otp": ORDINARY})
    for number, file in enumerate((tmp_path / "keys" / "sealing.key", folder(tmp_path) / "5-otp.key")):
        going = file.with_suffix(".going")
        file.rename(going)
        going.write_bytes(bytes(octets))
        os.link(going, tmp_path / f"copy-{number}")
    assert kept.load() == {"6-otp": ORDINARY}
    assert [file.name for file in folder(tmp_path).iterdir()] == ["6-otp.key"]
    assert [file.name for file in (tmp_path / "keys").iterdir()] == ["sealing"]
    for number in range(2):
        left = (tmp_path / f"copy-{number}").read_bytes()
        assert len(left) == octets and (octets == 0 or left != bytes(octets))


async def test_who_looks_while_keys_are_destroyed_finds_them_whole_or_not_at_all(tmp_path: Path) -> None:
    earlier, kept = secret_key(tmp_path, "sealing"), SealingKeyFiles(tmp_path)
    whole = {EARLIER: earlier, **{f"{hour}-otp": os.urandom(KEY_OCTETS) for hour in range(40)}}
    await kept.keep({name: key for name, key in whole.items() if name != EARLIER})
    destroying = asyncio.create_task(kept.destroy(list(whole)))
    while not destroying.done():
        found = kept.load()
        assert found.items() <= whole.items()
        await asyncio.sleep(0)
    await destroying
    assert kept.load() == {}


async def test_the_key_of_an_earlier_version_is_read_and_destroyed_and_never_made(tmp_path: Path) -> None:
    earlier = secret_key(tmp_path, "sealing")
    os.link(tmp_path / "keys" / "sealing.key", tmp_path / "copy")
    before = (tmp_path / "copy").read_bytes()
    kept = SealingKeyFiles(tmp_path)
    assert kept.load() == {EARLIER: earlier}
    await kept.destroy([EARLIER])
    assert kept.load() == {} and not (tmp_path / "keys" / "sealing.key").exists()
    left = (tmp_path / "copy").read_bytes()
    assert len(left) == len(before) and left != before


async def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("in the way")
    kept = SealingKeyFiles(tmp_path)
    for refused in (kept.keep({"5-otp": OTP}), kept.destroy(["5-otp"])):
        with pytest.raises(StorageError, match="sealing keys are kept there"):
            await refused
    folder(tmp_path / "b").parent.mkdir(parents=True)
    (folder(tmp_path / "b").parent / "sealing").mkdir()
    (folder(tmp_path / "b") / "5-otp.key").mkdir()
    with pytest.raises(StorageError, match="sealing keys are kept there"):
        SealingKeyFiles(tmp_path / "b").load()


async def test_in_memory_they_are_the_same_but_for_the_disk() -> None:
    kept = SealingKeysInMemory({EARLIER: OTP})
    await kept.keep({"5-otp": ORDINARY})
    assert kept.load() == {EARLIER: OTP, "5-otp": ORDINARY}
    await kept.destroy([EARLIER, "4-otp"])
    assert kept.load() == {"5-otp": ORDINARY}
