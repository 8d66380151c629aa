"""Keys on disk: made at first start with mode 0600, their public halves published for whoever verifies."""

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prikkfri.errors import StorageError, UsageError

if TYPE_CHECKING:  # a command that only reads a secret does not wait for what signs
    from cryptography.hazmat.primitives.asymmetric import ec

NEW_KEY = "put the right one back, or remove the file to have a new key made"

Use = Literal["playback", "device", "pass"]


SIGNING_KEYS: Mapping[str, tuple[Use, str]] = {
    "signin-device": ("device", "signin"),
    "signin-playback": ("playback", "signin"),
    "door-playback": ("playback", "door"),
    "door-pass": ("pass", "door"),
}
"""What each is for, and who signs by it."""
SECRETS: Mapping[str, str] = {
    "door-ticket": "door",
    "signin-session": "signin",
    "signin-codes": "signin",
    "console": "assurance",
}
"""Secrets that one role alone knows, and which: nobody else checks by them."""
EARLIER_MAX = 12
"""Of one secret, the newest: what was made by an older one is good no more."""
PUBLISHED_MAX = 12
"""Of one issuer and use, the newest: whoever reads them takes no more than 256 in all."""


@dataclass
class SigningKey:
    kid: str
    private: "ec.EllipticCurvePrivateKey"

    def become(self, other: "SigningKey") -> None:
        """Signs as that one from now on."""
        self.kid, self.private = other.kid, other.private


@dataclass
class SecretKey:
    """A secret of one role: by `current` something is made, by any of `all` it may have been."""

    current: bytes = field(repr=False)
    others: tuple[bytes, ...] = field(default=(), repr=False)
    """The next one, as another process may be quicker, and earlier ones, the newest first."""

    @property
    def all(self) -> tuple[bytes, ...]:
        return (self.current, *self.others)


def role_secret(home: Path, name: str) -> SecretKey:
    """The secret of a role, made if missing, with those that were before it. Raises `StorageError`."""
    return SecretKey(secret_key(home, name), earlier_secrets(home, name))


def earlier_secrets(home: Path, name: str) -> tuple[bytes, ...]:
    """Of `HOME/keys/NAME.earlier.key`, one a line, the newest first. Raises `StorageError`."""
    try:
        lines = secret_file(home, f"{name}.earlier").read_bytes().split()
    except FileNotFoundError:
        return ()
    return tuple(_decoded(secret_file(home, f"{name}.earlier"), line) for line in lines[:EARLIER_MAX])


def signing_key(home: Path, name: str) -> SigningKey:
    """The P-256 key in `HOME/keys/NAME.pem`, made if missing. Raises `StorageError` when the file holds no such key."""
    path = signing_file(home, name)
    if not path.exists():
        _create(path, _fresh_pem())
    return read_signing_key(path, name)


def signing_file(home: Path, name: str) -> Path:
    return home / "keys" / f"{name}.pem"


def _fresh_pem() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_signing_key(path: Path, name: str) -> SigningKey:
    """The P-256 key in a file. Raises `StorageError` when it holds none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        private = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise StorageError(f"{path}: not a private key in PEM; {NEW_KEY}") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise StorageError(f"{path}: not a P-256 key; {NEW_KEY}")
    return SigningKey(f"{name}-{_thumbprint(private.public_key())[:16]}", private)


def make_next_key(home: Path, name: str) -> Path:
    """Makes the next of a signing key, a role's secret or a command key (`NAME-command`), for its role to take up.

    Raises `UsageError` when the key itself is not here, or the next one is there already.
    """
    now, later = (
        (signing_file(home, each) if name in SIGNING_KEYS else secret_file(home, each))
        for each in (name, f"{name}.next")
    )
    if not now.exists():
        raise UsageError(f"--home {home}: there is no keys/{now.name}; go where the role runs that owns it")
    if later.exists():
        raise UsageError(f"--home {home}: keys/{later.name} is there already; its role takes it up when it runs")
    _create(later, _fresh_pem() if name in SIGNING_KEYS else base64.urlsafe_b64encode(secrets.token_bytes(32)))
    return later


def secret_key(home: Path, name: str) -> bytes:
    """The 32 random bytes of `HOME/keys/NAME.key` (base64url there), made if missing. Raises `StorageError`."""
    return base64.urlsafe_b64decode(_secret(home, name))


def made_secret_key(home: Path, name: str) -> bytes | None:
    """The same where it has been made. Raises `StorageError`."""
    try:
        return base64.urlsafe_b64decode(read_secret(secret_file(home, name)))
    except FileNotFoundError:
        return None


def command_key(home: Path, role: str) -> str:
    """What callers of a role's commands send as `Authorization: Bearer`; made if missing. Raises `StorageError`."""
    return _secret(home, f"{role}-command").decode()


def made_command_key(home: Path, role: str) -> str | None:
    """The same, for whoever types; None while the role has not made it. Raises `StorageError`."""
    return command_key(home, role) if secret_file(home, f"{role}-command").exists() else None


class CallersKeys(Mapping[str, str]):
    """The command keys of roles as their callers send them, read at each call.

    Empty while the file is none: then the callee is down and says so, and whoever calls it has no reason to be.
    """

    def __init__(self, home: Path, roles: Sequence[str]) -> None:
        self._home = home
        self._roles = roles

    def __getitem__(self, role: str) -> str:
        if role not in self._roles:
            raise KeyError(role)
        try:
            return command_key(self._home, role)
        except (StorageError, OSError):
            return ""

    def __iter__(self) -> Iterator[str]:
        return iter(self._roles)

    def __len__(self) -> int:
        return len(self._roles)


def publish_public_key(home: Path, use: Use, issuer: str, key: SigningKey) -> None:
    """Adds the public half to `HOME/public/USE-keys/ISSUER.json`; earlier keys stay, as tokens by them live on.

    Raises `StorageError` when the file holds something else.
    """
    from prikkfri.protocols.cat import public_jwk

    path = home / "public" / f"{use}-keys" / f"{issuer}.json"
    earlier = []
    try:
        earlier = [jwk for jwk in json.loads(path.read_bytes())["keys"] if jwk["kid"] != key.kid]
    except FileNotFoundError:
        pass
    except (ValueError, TypeError, KeyError):
        raise StorageError(
            f"{path}: not a JWK set; put the right one back, or remove it (what earlier keys signed is refused then)"
        ) from None
    keys = [*earlier, public_jwk(key.private.public_key(), key.kid)][-PUBLISHED_MAX:]
    write_whole(path, json.dumps({"keys": keys}).encode())


def read_public_keys(home: Path, use: Use) -> bytes:
    """The public keys of all issuers as one JWK set. Raises `StorageError` when a file is not a JWK set."""
    keys: list[object] = []
    for path in sorted((home / "public" / f"{use}-keys").glob("*.json")):
        try:
            keys += json.loads(path.read_bytes())["keys"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(f"{path}: not a JWK set: {type(error).__name__}") from None
    return json.dumps({"keys": keys}).encode()


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replaces a file so that a reader, or a crash, meets the old content or the new and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path, content, mode)
    os.replace(temporary, path)


def secret_file(home: Path, name: str) -> Path:
    return home / "keys" / f"{name}.key"


def _secret(home: Path, name: str) -> bytes:
    path = secret_file(home, name)
    if not path.exists():
        _create(path, base64.urlsafe_b64encode(secrets.token_bytes(32)))
    return read_secret(path)


def read_secret(path: Path) -> bytes:
    """What a file holds of 32 random octets, in base64url. Raises `StorageError` when it holds none."""
    content = path.read_bytes().strip()
    _decoded(path, content)
    return content


def secret_octets(path: Path) -> bytes:
    """The 32 random octets that a file holds. Raises `StorageError` when it holds none."""
    return base64.urlsafe_b64decode(read_secret(path))


def _decoded(path: Path, content: bytes) -> bytes:
    try:
        if len(octets := base64.urlsafe_b64decode(content)) == 32:
            return octets
    except ValueError:
        pass
    raise StorageError(f"{path}: not 32 bytes in base64url; {NEW_KEY}")


def _create(path: Path, content: bytes) -> None:
    """Of two processes that start at once, one makes the key and both use it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = _temporary(path, content, 0o600)
    with suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # messages are sealed and acknowledged with it from now on
    finally:
        os.close(folder)


def _temporary(path: Path, content: bytes, mode: int) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _thumbprint(public: "ec.EllipticCurvePublicKey") -> str:
    """RFC 7638, base64url."""
    from prikkfri.protocols.cat import public_jwk

    jwk = public_jwk(public, "")
    members = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()
