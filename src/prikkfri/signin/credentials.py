"""Passwords: Argon2id (RFC 9106), one cost for all that we hash ourselves.

What was imported may be another kind of hash or have another cost: it is checked as it is, and renewed if it was right.
"""

import hashlib
import hmac
import unicodedata

import bcrypt
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

from prikkfri.protocols import password_hash as foreign

MEMORY_KIB = 19_456
PASSES = 2
PARALLELISM = 1
SALT_BYTES = 16
HASH_BYTES = 32
PASSWORD_LENGTH_MAX = 256
PASSWORD_LENGTH_MIN = 10
"""Of a new one; what is in use is taken as it is."""
BCRYPT_BYTES_MAX = 72
"""What comes after them no bcrypt has ever looked at."""

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
    """Costs the same whether it matches or not. The hash may be any that `protocols.password_hash` reads."""
    given = _prepared(password)
    try:
        match foreign.parse(password_hash):
            case foreign.Argon2id(encoded):
                return verify_secret(encoded.encode(), given, Type.ID)
            case foreign.Bcrypt(encoded):
                return b"\0" not in given and bcrypt.checkpw(given[:BCRYPT_BYTES_MAX], encoded.encode())
            case foreign.Pbkdf2(digest, iterations, salt, derived):
                made = hashlib.pbkdf2_hmac(digest, given, salt, iterations, len(derived))
                return hmac.compare_digest(made, derived)
    except (VerificationError, InvalidHashError, ValueError):
        return False


def costs_the_same(password_hash: str) -> bool:
    """Whether a hash is as ours are: another cost would tell whose it is."""
    return password_hash.isascii() and password_hash.startswith(_COST) and len(password_hash) <= _LENGTH_MAX


def _prepared(password: str) -> bytes:
    """One keyboard sends å as one character, another as two (RFC 8265, OpaqueString)."""
    return unicodedata.normalize("NFC", password).encode()
