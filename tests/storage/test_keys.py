"""Keys on disk: made once, their owner's alone, and published so that what an earlier one signed lives on."""

import base64
import json
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey

from prikkfri.errors import StorageError
from prikkfri.protocols import jwt
from prikkfri.storage.keys import (
    CallersKeys,
    SigningKey,
    command_key,
    publish_public_key,
    read_public_keys,
    secret_key,
    signing_key,
    write_whole,
)


def pem(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_signing_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first, again = signing_key(tmp_path, "signin"), signing_key(tmp_path, "signin")
    assert first.private.private_numbers() == again.private.private_numbers() and first.kid == again.kid
    assert isinstance(first.private.curve, ec.SECP256R1)
    assert [file.name for file in (tmp_path / "keys").iterdir()] == ["signin.pem"]
    assert (mode(tmp_path / "keys" / "signin.pem"), mode(tmp_path / "keys")) == (0o600, 0o700)
    assert signing_key(tmp_path, "door").private.private_numbers() != first.private.private_numbers()


def test_a_key_is_named_after_its_holder_and_its_thumbprint(tmp_path: Path) -> None:
    """As somebody else's implementation of RFC 7638 computes it."""
    key = signing_key(tmp_path, "signin")
    assert key.kid == f"signin-{ECKey.import_key(pem(key.private)).thumbprint()[:16]}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a private key in PEM"),
        (b"rubbish", "not a private key in PEM"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "not a P-256 key"),
        (pem(rsa.generate_private_key(65537, 2048)), "not a P-256 key"),
    ],
)
def test_a_file_that_holds_another_key_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "keys" / "signin.pem"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(StorageError, match=f"signin.pem: {said}"):
        signing_key(tmp_path, "signin")
    assert file.read_bytes() == content


def test_secrets_are_made_once_each_its_own_and_are_their_owners_alone(tmp_path: Path) -> None:
    sealing = secret_key(tmp_path, "sealing")
    assert len(sealing) == 32 and secret_key(tmp_path, "sealing") == sealing
    others = [secret_key(tmp_path, "tickets"), *(base64.urlsafe_b64decode(command_key(tmp_path, r)) for r in "ab")]
    assert len({sealing, *others}) == 4 and {len(other) for other in others} == {32}
    assert len(set(sealing)) > 10 and sealing[:16] != sealing[16:]
    assert command_key(tmp_path, "a") == command_key(tmp_path, "a")
    files = sorted((tmp_path / "keys").iterdir())
    assert [file.name for file in files] == ["a-command.key", "b-command.key", "sealing.key", "tickets.key"]
    assert {mode(file) for file in files} == {0o600}


def test_a_secret_may_be_written_by_hand_with_a_newline(tmp_path: Path) -> None:
    written = base64.urlsafe_b64encode(bytes(range(32)))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "sms-command.key").write_bytes(written + b"\n")
    assert command_key(tmp_path, "sms") == written.decode()
    assert secret_key(tmp_path, "sms-command") == bytes(range(32))


@pytest.mark.parametrize("content", [b"", b"rubbish", base64.urlsafe_b64encode(bytes(31)), b"\xff" * 44])
def test_a_secret_that_is_too_short_or_none_is_refused_and_not_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys").mkdir()
    file = tmp_path / "keys" / "sealing.key"
    file.write_bytes(content)
    with pytest.raises(StorageError, match="remove the file to have a new key made") as error:
        secret_key(tmp_path, "sealing")
    assert file.read_bytes() == content
    assert not content or content.decode("latin-1") not in str(error.value)


def test_who_calls_a_role_whose_key_is_none_goes_on_and_has_the_key_once_it_is_mended(tmp_path: Path) -> None:
    keys = CallersKeys(tmp_path, ["sms", "status"])
    (tmp_path / "keys").mkdir()
    file = tmp_path / "keys" / "sms-command.key"
    file.write_bytes(b"rubbish")
    assert keys["sms"] == "" and keys["status"] == command_key(tmp_path, "status")
    file.unlink()
    assert keys["sms"] == command_key(tmp_path, "sms") != ""
    assert list(keys) == ["sms", "status"] and "signin" not in keys


def test_of_many_that_start_at_once_all_use_the_key_that_one_has_made(tmp_path: Path) -> None:
    for turn in range(5):
        home = tmp_path / str(turn)
        barrier = threading.Barrier(4)

        def start(home: Path = home, barrier: threading.Barrier = barrier) -> tuple[bytes, str]:
            barrier.wait(60)
            return secret_key(home, "sealing"), signing_key(home, "signin").kid

        with ThreadPoolExecutor(4) as starting:
            found = {each.result() for each in [starting.submit(start) for _ in range(4)]}
        assert found == {(secret_key(home, "sealing"), signing_key(home, "signin").kid)}
        assert sorted(file.name for file in (home / "keys").iterdir()) == ["sealing.key", "signin.pem"]


def test_published_keys_stay_when_another_comes_and_stand_there_once(tmp_path: Path) -> None:
    keys = [SigningKey(f"signin-{i}", ec.generate_private_key(ec.SECP256R1())) for i in range(3)]
    for key in (keys[0], keys[1], keys[0], keys[0]):
        publish_public_key(tmp_path, "device", "signin", key)
    publish_public_key(tmp_path, "device", "other", keys[2])
    publish_public_key(tmp_path, "pass", "door", keys[2])
    found = jwt.read_jwks(read_public_keys(tmp_path, "device"))
    assert sorted(found) == ["signin-0", "signin-1", "signin-2"]
    assert len(json.loads(read_public_keys(tmp_path, "device"))["keys"]) == 3
    for key in keys:
        numbers = key.private.public_key().public_numbers()
        assert found[key.kid].public_numbers() == numbers
    files = [file for file in (tmp_path / "public").rglob("*") if file.is_file()]
    assert len(files) == 3 and {mode(file) for file in files} == {0o644}
    assert not any(b'"d"' in file.read_bytes() for file in files)


def test_nobody_has_published_anything_yet(tmp_path: Path) -> None:
    assert json.loads(read_public_keys(tmp_path, "playback")) == {"keys": []}


@pytest.mark.parametrize("content", [b"{ torn", b"[]", b"{}", b'{"keys": 3}'])
def test_a_published_file_that_is_no_key_set_is_said(tmp_path: Path, content: bytes) -> None:
    publish_public_key(tmp_path, "playback", "door", signing_key(tmp_path, "door"))
    (tmp_path / "public" / "playback-keys" / "signin.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"signin\.json: not a JWK set"):
        read_public_keys(tmp_path, "playback")
    with pytest.raises(StorageError, match=r"signin\.json: not a JWK set; .* remove it"):
        publish_public_key(tmp_path, "playback", "signin", signing_key(tmp_path, "signin"))


def test_a_file_is_replaced_whole_so_that_who_reads_the_old_one_goes_on_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "public" / "revoked.json"
    write_whole(path, b"the old content", mode=0o600)
    with path.open("rb") as reading:
        write_whole(path, b"new")
        assert reading.read() == b"the old content"
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o644
    assert [file.name for file in path.parent.iterdir()] == ["revoked.json"]
