"""Passwords: Argon2id (RFC 9106), one cost for all, so that time tells nothing of who exists."""

import unicodedata

from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

MEMORY_KIB = 19_456
PASSES = 2
PARALLELISM = 1
SALT_BYTES = 16
HASH_BYTES = 32
PASSWORD_LENGTH_MAX = 256

_COST = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={PARALLELISM}$"
_LENGTH_MAX = 256


def hash_password(password: str, salt: bytes) -> str:
    """The hash in PHC form; `salt` is 16 random bytes. Takes some 25 ms of a core and 19 MiB."""
    return hash_secret(
        _prepared(password),
        salt,
        time_cost=PASSES,
        memory_cost=MEMORY_KIB,
        parallelism=PARALLELISM,
        hash_len=HASH_BYTES,
        type=Type.ID,
    ).decode()


def matches(password: str, password_hash: str) -> bool:
    """Costs the same whether it matches or not."""
    try:
        return verify_secret(password_hash.encode(), _prepared(password), Type.ID)
    except (VerificationError, InvalidHashError):
        return False


def costs_the_same(password_hash: str) -> bool:
    """Whether a hash made elsewhere may be taken in: another cost would tell who came from there."""
    return password_hash.isascii() and password_hash.startswith(_COST) and len(password_hash) <= _LENGTH_MAX


def _prepared(password: str) -> bytes:
    """One keyboard sends å as one character, another as two (RFC 8265, OpaqueString)."""
    return unicodedata.normalize("NFC", password).encode()
