"""Keys that are changed while their role runs: no token, pass or command is refused for it, then or later."""

import asyncio
import json
from pathlib import Path

import pytest
from waiting import eventually

from prikkfri.clock import ManualClock
from prikkfri.errors import StorageError, UsageError
from prikkfri.protocols import jwt
from prikkfri.storage.keys import (
    EARLIER_MAX,
    PUBLISHED_MAX,
    SECRETS,
    SIGNING_KEYS,
    command_key,
    make_next_key,
    publish_public_key,
    read_public_keys,
    role_secret,
    secret_file,
    signing_file,
    signing_key,
)
from prikkfri.storage.limits import LIMITS
from prikkfri.storage.rotation import AcceptedKeys, KeyRotation, SecretRotation


def published(home: Path, name: str) -> set[str]:
    return set(jwt.read_jwks(read_public_keys(home, SIGNING_KEYS[name][0])))


@pytest.mark.parametrize("name", SIGNING_KEYS)
def test_a_key_signs_when_it_has_been_published_for_long_enough(tmp_path: Path, clock: ManualClock, name: str) -> None:
    key = signing_key(tmp_path, name)
    publish_public_key(tmp_path, *SIGNING_KEYS[name], key)
    first, told = key.kid, []
    rotation = KeyRotation(tmp_path, name, key, clock, published=lambda: told.append(published(tmp_path, name)))
    rotation.step()
    assert (key.kid, told) == (first, [])
    made = make_next_key(tmp_path, name)
    assert made.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="is there already"):
        make_next_key(tmp_path, name)
    rotation.step()
    assert key.kid == first and len(told) == 1 and told[0] > {first}
    clock.advance(LIMITS.key_published_seconds - 0.1)
    rotation.step()
    assert key.kid == first
    clock.advance(0.1)
    rotation.step()
    assert key.kid != first and published(tmp_path, name) == {first, key.kid}
    assert signing_key(tmp_path, name).kid == key.kid
    assert not made.exists()
    rotation.step()
    assert published(tmp_path, name) == {first, key.kid}


def test_a_role_that_is_started_anew_goes_on_with_the_next_key(tmp_path: Path, clock: ManualClock) -> None:
    """It waits once more: whoever verifies may have heard of it a moment ago."""
    key = signing_key(tmp_path, "door-pass")
    make_next_key(tmp_path, "door-pass")
    KeyRotation(tmp_path, "door-pass", key, clock).step()
    clock.advance(LIMITS.key_published_seconds)
    key = signing_key(tmp_path, "door-pass")
    publish_public_key(tmp_path, "pass", "door", key)
    later = KeyRotation(tmp_path, "door-pass", key, clock)
    before = key.kid
    later.step()
    assert key.kid == before
    clock.advance(LIMITS.key_published_seconds)
    later.step()
    assert key.kid != before and published(tmp_path, "door-pass") == {before, key.kid}


def test_a_next_key_that_is_none_changes_nothing(tmp_path: Path, clock: ManualClock) -> None:
    key = signing_key(tmp_path, "door-pass")
    publish_public_key(tmp_path, "pass", "door", key)
    signing_file(tmp_path, "door-pass.next").write_text("rubbish")
    with pytest.raises(StorageError, match="not a private key"):
        KeyRotation(tmp_path, "door-pass", key, clock).step()
    assert published(tmp_path, "door-pass") == {key.kid}


def test_many_rotations_leave_no_more_keys_than_readers_take(tmp_path: Path, clock: ManualClock) -> None:
    for name in ("signin-playback", "door-playback"):
        key = signing_key(tmp_path, name)
        publish_public_key(tmp_path, *SIGNING_KEYS[name], key)
        rotation = KeyRotation(tmp_path, name, key, clock)
        for _ in range(PUBLISHED_MAX + 3):
            make_next_key(tmp_path, name)
            rotation.step()
            clock.advance(LIMITS.key_published_seconds)
            rotation.step()
        listed = json.loads((tmp_path / "public" / "playback-keys" / f"{SIGNING_KEYS[name][1]}.json").read_bytes())
        assert len(listed["keys"]) == PUBLISHED_MAX and listed["keys"][-1]["kid"] == key.kid
    assert len(published(tmp_path, "door-playback")) == 2 * PUBLISHED_MAX


def test_a_command_key_is_taken_at_once_and_the_one_before_it_until_the_next(
    tmp_path: Path, clock: ManualClock
) -> None:
    built = command_key(tmp_path, "signin")
    keys = AcceptedKeys(tmp_path, ["signin", "canaries"], clock)
    assert keys.others == {}
    make_next_key(tmp_path, "signin-command")
    keys.step()
    second = command_key(tmp_path, "signin")
    assert second != built and keys.others == {second: built}
    make_next_key(tmp_path, "signin-command")
    keys.step()
    third = command_key(tmp_path, "signin")
    # With the first nobody is let in any more.
    assert keys.others == {second: built, third: built, built: ""}
    again = AcceptedKeys(tmp_path, ["signin"], clock)  # the role was started anew
    assert again.others == {second: third}
    assert secret_file(tmp_path, "signin-command.earlier").stat().st_mode & 0o777 == 0o600


def test_what_a_copy_from_elsewhere_puts_back_is_found_out_and_undone(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Also while the role was stopped; what a person puts there is a change like any other."""
    file = secret_file(tmp_path, "signin-command")
    first = command_key(tmp_path, "signin")
    keys = AcceptedKeys(tmp_path, ["signin"], clock)
    make_next_key(tmp_path, "signin-command")
    keys.step()
    second = command_key(tmp_path, "signin")
    file.write_text(first)  # a bundle that was made of an earlier copy
    keys.step()
    assert command_key(tmp_path, "signin") == second and keys.others == {second: first}
    assert "put back from elsewhere" in caplog.text
    file.write_text(first)
    again = AcceptedKeys(tmp_path, ["signin"], clock)
    assert command_key(tmp_path, "signin") == second and again.others == {second: first}
    third = command_key(tmp_path / "elsewhere", "signin")
    file.write_text(third)
    again.step()
    assert command_key(tmp_path, "signin") == third and again.others == {second: first, third: first, first: ""}


def test_two_processes_on_one_home_take_one_next_command_key_up(tmp_path: Path, clock: ManualClock) -> None:
    first = command_key(tmp_path, "signin")
    one, other = (AcceptedKeys(tmp_path, ["signin"], clock) for _ in range(2))
    make_next_key(tmp_path, "signin-command")
    one.step()
    other.step()
    second = command_key(tmp_path, "signin")
    assert one.others == other.others == {second: first}


def test_a_next_command_key_that_was_made_while_its_role_was_stopped_is_taken_up(
    tmp_path: Path, clock: ManualClock
) -> None:
    first = command_key(tmp_path, "signin")
    make_next_key(tmp_path, "signin-command")
    AcceptedKeys(tmp_path, ["signin"], clock).step()
    assert command_key(tmp_path, "signin") != first


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_known_before_it_is_used_and_the_ones_before_it_stay_known(
    tmp_path: Path, clock: ManualClock, name: str
) -> None:
    """By each process on the home, whichever is first; over a restart, too."""
    keys = [role_secret(tmp_path, name) for _ in range(2)]
    rotations = [SecretRotation(tmp_path, name, key, clock) for key in keys]
    first = keys[0].current
    assert keys[0].all == (first,)
    made = make_next_key(tmp_path, name)
    for rotation in rotations:
        rotation.step()
    for key in keys:
        assert key.current == first and len(key.all) == 2
    second = keys[0].others[0]
    clock.advance(LIMITS.key_published_seconds - 0.1)
    rotations[1].step()
    assert keys[1].current == first
    clock.advance(0.1)
    for rotation in rotations:
        rotation.step()
    for key in (*keys, role_secret(tmp_path, name)):
        assert (key.current, key.all) == (second, (second, first))
    assert not made.exists() and secret_file(tmp_path, f"{name}.earlier").stat().st_mode & 0o777 == 0o600
    assert repr(keys[0]) == "SecretKey()"
    for _ in range(EARLIER_MAX + 2):
        make_next_key(tmp_path, name)
        rotations[0].step()
        clock.advance(LIMITS.key_published_seconds)
        rotations[0].step()
    assert len(keys[0].all) == len(set(keys[0].all)) == EARLIER_MAX + 1 and first not in keys[0].all


def test_a_secret_by_which_lots_are_drawn_waits_for_the_last_of_them(tmp_path: Path, clock: ManualClock) -> None:
    key, busy = role_secret(tmp_path, "door-ticket"), True
    rotation = SecretRotation(tmp_path, "door-ticket", key, clock, is_busy=lambda: busy)
    first = key.current
    make_next_key(tmp_path, "door-ticket")
    for _ in range(3):
        rotation.step()
        clock.advance(LIMITS.key_published_seconds)
    assert key.current == first
    busy = False
    rotation.step()
    assert key.current != first


def test_only_the_owners_home_makes_a_next_key(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no keys/door-pass\.pem; go where the role runs"):
        make_next_key(tmp_path, "door-pass")


class ImpatientClock(ManualClock):
    """Whoever sleeps by it is awake at once."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = 0

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        await asyncio.sleep(0)


async def test_what_cannot_be_taken_up_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is looked at each second for as long as nobody mends it, and would push all else out of the log."""
    clock = ImpatientClock()
    key = signing_key(tmp_path, "door-pass")
    before = command_key(tmp_path, "door")
    signing_file(tmp_path, "door-pass.next").write_text("rubbish")
    (command := secret_file(tmp_path, "door-command.next")).write_text("rubbish")
    keys = AcceptedKeys(tmp_path, ["door"], clock)
    tasks = [asyncio.create_task(each.follow()) for each in (KeyRotation(tmp_path, "door-pass", key, clock), keys)]
    await eventually(lambda: clock.slept >= 10)
    assert sorted(record.getMessage().partition(":")[0] for record in caplog.records) == [
        "a next command key is not taken up",
        "the next key door-pass is not taken up",
    ]
    command.unlink()
    make_next_key(tmp_path, "door-command")
    await eventually(lambda: command_key(tmp_path, "door") != before)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
