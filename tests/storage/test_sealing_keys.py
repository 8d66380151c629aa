"""Keys of sealed messages on disk: durable when kept, their owner's alone, and gone when they are destroyed."""

import asyncio
import base64
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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


OPENED = """
import asyncio, sys
from pathlib import Path
from prikkfri.storage.sealing_keys import SealingKeyFiles
home, opened = Path(sys.argv[1]), []
kept = SealingKeyFiles(home)
sys.addaudithook(lambda event, told: opened.append(told[0]) if event == "open" else None)
for name in ("5-otp", "6-otp"):
    opened.clear()
    asyncio.run(kept.keep({name: bytes(range(32))}))
    print(*(path for path in map(Path, filter(None, opened)) if path.is_relative_to(home)))
"""


def test_a_key_is_durable_with_its_folder_and_a_new_folder_with_those_that_it_stands_in(tmp_path: Path) -> None:
    """A folder is opened for no other end than to be synced."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", OPENED, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    first, second = (line.split() for line in told.stdout.splitlines())
    folders = [str(folder(tmp_path)), str(tmp_path / "keys"), str(tmp_path)]
    assert first[-4:] == [str(folder(tmp_path) / "5-otp.making"), *folders]
    assert second[-2:] == [str(folder(tmp_path) / "6-otp.making"), folders[0]]
    # What one process keeps another finds.
    asyncio.run(SealingKeyFiles(tmp_path).keep({"7-otp": OTP}))
    assert set(SealingKeyFiles(tmp_path).load()) == {"5-otp", "6-otp", "7-otp"}


async def test_to_keep_a_key_again_does_no_harm_and_another_one_is_refused(tmp_path: Path) -> None:
    kept = SealingKeyFiles(tmp_path)
    await kept.keep({"5-otp": OTP})
    await kept.keep({"5-otp": OTP})
    with pytest.raises(StorageError, match=r"5-otp\.key: there is another key already"):
        await kept.keep({"5-otp": ORDINARY})
    assert kept.load() == {"5-otp": OTP}


@pytest.mark.parametrize("octets", [0, 31, 33])
async def test_what_was_cut_short_is_no_key_and_in_nobodys_way(
    tmp_path: Path, octets: int, caplog: pytest.LogCaptureFixture
) -> None:
    kept = SealingKeyFiles(tmp_path)
    await kept.keep({"5-otp": OTP})
    (folder(tmp_path) / "5-otp.key").write_bytes(bytes(octets))
    for name in ("6-otp.key", "7-otp.making", "5-otp.making"):
        (folder(tmp_path) / name).write_bytes(bytes(octets))
    await kept.keep({"5-otp": ORDINARY})
    assert kept.load() == {"5-otp": ORDINARY}
    assert f"{folder(tmp_path) / '6-otp.key'}: not 32 octets: removed" in caplog.text
    assert sorted(file.name for file in folder(tmp_path).iterdir()) == ["5-otp.key", "7-otp.making"]
    await kept.destroy(["4-otp"])
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
        found = SealingKeyFiles(tmp_path).load()
        assert found.items() <= whole.items()
        await asyncio.sleep(0)
    await destroying
    assert kept.load() == {}


async def test_who_looks_while_keys_are_made_finds_them_whole_or_not_at_all_and_takes_none_away(tmp_path: Path) -> None:
    """The centre takes messages while it looks at its keys; another process may look, too."""
    kept = SealingKeyFiles(tmp_path)
    whole = {f"{hour}-otp": os.urandom(KEY_OCTETS) for hour in range(60)}
    making = asyncio.create_task(kept.keep(whole))
    while not making.done():
        assert SealingKeyFiles(tmp_path).load().items() <= whole.items()
        await asyncio.sleep(0)
    await making
    assert kept.load() == whole
    more = {f"{hour}-code": os.urandom(KEY_OCTETS) for hour in range(60)}
    making = asyncio.create_task(kept.keep(more))
    await asyncio.sleep(0)
    assert kept.load().items() <= (whole | more).items()
    await making
    assert kept.load() == whole | more
    making = asyncio.create_task(kept.keep(whole := {f"{hour}-link": os.urandom(KEY_OCTETS) for hour in range(60)}))
    for _ in range(20):
        await SealingKeyFiles(tmp_path).destroy([])
    await making
    assert kept.load().items() >= whole.items()


@pytest.mark.parametrize(
    "read", [ORDINARY, base64.urlsafe_b64encode(OTP), b"half of it"], ids=["octets", "a key", "no key"]
)
@pytest.mark.parametrize("name", ["5-otp", EARLIER])
def test_what_is_written_over_while_somebody_reads_it_is_no_key(tmp_path: Path, name: str, read: bytes) -> None:
    folder(tmp_path).mkdir(parents=True)
    path = tmp_path / "keys" / "sealing.key" if name == EARLIER else folder(tmp_path) / f"{name}.key"
    os.mkfifo(path)  # which shows when it is open, and what is read is what is written from then on

    def destroy() -> None:
        with path.open("wb") as open_to_a_reader:
            path.rename(path.with_suffix(".going"))
            open_to_a_reader.write(read)

    with ThreadPoolExecutor(1) as other:
        destroying = other.submit(destroy)
        assert SealingKeyFiles(tmp_path).load() == {}
        destroying.result()


async def test_an_earlier_key_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "sealing.key").write_bytes(b"half of it")
    with pytest.raises(StorageError, match=r"sealing\.key: not 32 bytes"):
        SealingKeyFiles(tmp_path).load()


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
    with pytest.raises(StorageError, match=r"5-otp\.key: Is a directory; sealing keys are kept there"):
        SealingKeyFiles(tmp_path / "b").load()


async def test_in_memory_they_are_the_same_but_for_the_disk() -> None:
    kept = SealingKeysInMemory({EARLIER: OTP})
    await kept.keep({"5-otp": ORDINARY})
    assert kept.load() == {EARLIER: OTP, "5-otp": ORDINARY}
    await kept.destroy([EARLIER, "4-otp"])
    assert kept.load() == {"5-otp": ORDINARY}
