"""Who asks, by their device token: judged by public keys and the revocation list on disk."""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually

from prikkfri.clock import ManualClock
from prikkfri.protocols import device_token
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.storage import StorageLimits
from prikkfri.storage.device_tokens import DeviceTokens
from prikkfri.storage.keys import SigningKey, publish_public_key, signing_key, write_whole


class Signin:
    """Makes keys and tokens, and says what is revoked."""

    def __init__(self, home: Path, clock: ManualClock) -> None:
        self.home = home
        self.clock = clock
        self.key = signing_key(home, "signin-device")
        self._lists = 0

    def token(self, key: SigningKey | None = None, **changes: Any) -> str:
        key = key or self.key
        now = self.clock.now()
        plain = DeviceToken("s-1", "d-AAAAAAAAAAAAAAAAAAAAAA", ("basic",), now, now + 1_000, b"0123456789abcdef")
        return device_token.issue(key.private, key.kid, replace(plain, **changes))

    def publish(self, key: SigningKey | None = None) -> None:
        publish_public_key(self.home, "device", "signin", key or self.key)

    def revoke(self, *names: str, as_of: float | None = None) -> None:
        as_of = self.clock.now() if as_of is None else as_of
        self.write_list(json.dumps({"as_of": as_of, "device_tokens": names}))

    def write_list(self, document: str) -> None:
        """A new list each time, as far as its time tells."""
        self._lists += 1
        path = self.home / "public" / "revoked.json"
        write_whole(path, document.encode())
        os.utime(path, (self._lists, self._lists))


@pytest.fixture
def signin(tmp_path: Path, clock: ManualClock) -> Signin:
    return Signin(tmp_path, clock)


@pytest.fixture
def tokens(signin: Signin) -> DeviceTokens:
    signin.publish()
    return DeviceTokens(signin.home, signin.clock)


def jti(token_id: bytes) -> str:
    return DeviceToken("", "", (), 0, 0, token_id).jti


def test_a_token_of_ours_is_good_until_it_expires(signin: Signin, tokens: DeviceTokens) -> None:
    token = signin.token()
    known, wrong = tokens.judge(token)
    assert known is not None and (known.subscriber, known.packages, wrong) == ("s-1", ("basic",), None)
    signin.clock.advance(999)
    assert tokens.judge(token) == (known, None)
    signin.clock.advance(1)
    assert tokens.judge(token) == (known, "expired")
    assert tokens.judge(signin.token(expires_at=signin.clock.now() + 1)) != (known, "expired")


def test_one_verdict_is_not_anothers(signin: Signin, tokens: DeviceTokens) -> None:
    for _ in range(2):
        for subscriber in ("s-1", "s-2", "s-3"):
            known, wrong = tokens.judge(signin.token(subscriber=subscriber))
            assert known is not None and (known.subscriber, wrong) == (subscriber, None)
    assert tokens.judge(signin.token()[:-8] + "A" * 8) == (None, "bad-token")
    assert tokens.judge("") == (None, "bad-token")


async def test_what_the_list_names_is_revoked_and_no_other(signin: Signin, tokens: DeviceTokens) -> None:
    first, second = signin.token(), signin.token(token_id=b"fedcba9876543210")
    await tokens.read_revoked()  # there is none yet
    assert tokens.revoked_as_of == 0
    assert (tokens.judge(first)[1], tokens.judge(second)[1]) == (None, None)
    signin.revoke(jti(b"fedcba9876543210"))
    await tokens.read_revoked()
    assert tokens.revoked_as_of == signin.clock.now()
    assert (tokens.judge(first)[1], tokens.judge(second)[1]) == (None, "revoked")
    signin.clock.advance(2_000)
    assert (tokens.judge(first)[1], tokens.judge(second)[1]) == ("expired", "revoked")
    signin.revoke(jti(b"0123456789abcdef"))
    await tokens.read_revoked()
    assert (tokens.judge(first)[1], tokens.judge(second)[1]) == ("revoked", "expired")


@pytest.mark.parametrize("document", ["{ torn", "[]", "{}", '{"as_of": 1, "device_tokens": 3}'])
async def test_a_list_that_cannot_be_read_or_is_gone_leaves_the_last_one_in_force(
    signin: Signin, tokens: DeviceTokens, caplog: pytest.LogCaptureFixture, document: str
) -> None:
    signin.revoke(jti(b"0123456789abcdef"), as_of=77.0)
    await tokens.read_revoked()
    signin.write_list(document)
    await tokens.read_revoked()
    assert "the revocation list cannot be read" in caplog.text
    assert tokens.judge(signin.token())[1] == "revoked"
    (signin.home / "public" / "revoked.json").unlink()
    await tokens.read_revoked()
    assert tokens.judge(signin.token())[1] == "revoked" and tokens.revoked_as_of == 77.0
    signin.revoke(as_of=78.0)
    await tokens.read_revoked()
    assert tokens.judge(signin.token())[1] is None and tokens.revoked_as_of == 78.0


async def test_the_list_is_followed(signin: Signin) -> None:
    signin.publish()
    tokens = DeviceTokens(signin.home, signin.clock, limits=StorageLimits(revoked_read_seconds=0.0))
    following = asyncio.create_task(tokens.follow())
    for name in (b"0123456789abcdef", b"fedcba9876543210"):
        signin.revoke(jti(name))
        await eventually(lambda name=name: tokens.judge(signin.token(token_id=name))[1] == "revoked")  # type: ignore[misc]
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def test_a_key_that_is_made_later_is_found_and_the_disk_is_asked_once_a_second(signin: Signin) -> None:
    tokens = DeviceTokens(signin.home, signin.clock)
    assert tokens.judge(signin.token())[1] == "bad-token"
    signin.publish()
    signin.clock.advance(0.5)
    assert tokens.judge(signin.token())[1] == "bad-token"
    signin.clock.advance(0.5)
    assert tokens.judge(signin.token())[1] is None


def test_a_key_set_that_cannot_be_read_is_said_and_leaves_the_last_one_in_force(
    signin: Signin, tokens: DeviceTokens, caplog: pytest.LogCaptureFixture
) -> None:
    assert tokens.judge(signin.token())[1] is None
    (signin.home / "public" / "device-keys" / "signin.json").write_text("{ torn")
    signin.clock.advance(2)
    assert tokens.judge(signin.token(signing_key(signin.home, "a-new-one")))[1] == "bad-token"
    assert "the public keys of device tokens cannot be read" in caplog.text
    assert tokens.judge(signin.token(subscriber="s-2"))[1] is None


def test_verdicts_are_remembered_in_bounds_those_that_were_asked_for_last(signin: Signin) -> None:
    """What is remembered is known also when its key is gone from the set, and what is forgotten is not."""
    signin.publish()
    tokens = DeviceTokens(signin.home, signin.clock, limits=StorageLimits(verdicts_remembered_max=3))
    by_old = {name: signin.token(subscriber=name) for name in ("a", "b")}
    for name in ("a", "b", "a"):
        assert tokens.judge(by_old[name])[1] is None
    assert tokens.remembered == 2
    (signin.home / "public" / "device-keys" / "signin.json").unlink()
    new = signing_key(signin.home, "a-new-one")
    signin.publish(new)
    signin.clock.advance(2)
    for name in ("c", "d"):
        assert tokens.judge(signin.token(new, subscriber=name))[1] is None
    assert tokens.remembered == 3
    assert tokens.judge(by_old["a"])[1] is None
    assert tokens.judge(by_old["b"])[1] == "bad-token"
    assert tokens.remembered == 3
