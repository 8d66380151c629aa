"""Password hashes as other systems write them: read, or refused when checking one would cost too much or prove little.

Argon2id in PHC form; bcrypt (`$2a$`, `$2b$`, `$2y$`); PBKDF2 as Django (`pbkdf2_sha256$N$SALT$HASH`), as passlib
(`$pbkdf2-sha256$N$SALT$HASH`) and in PHC form (`$pbkdf2-sha256$i=N$SALT$HASH`, into which the fields of a Keycloak
export go as they are).
"""

import base64
import re
from dataclasses import dataclass
from typing import Literal

LENGTH_MAX = 254
ARGON2_MEMORY_KIB_MAX = 65_536
"""For each hash thread."""
ARGON2_KIB_PASSES_MAX = 4 * 65_536
ARGON2_LANES_MAX = 4
BCRYPT_COST_MIN, BCRYPT_COST_MAX = 4, 12
PBKDF2_ITERATIONS_MIN = 1_000
PBKDF2_ITERATIONS_MAX = {"sha1": 1_200_000, "sha256": 1_200_000, "sha512": 600_000}
"""For each block of the digest's length. All of these maxima come to some 0.3 s of a core."""
SALT_BYTES_MIN, SALT_BYTES_MAX = 4, 64
HASH_BYTES_MIN, HASH_BYTES_MAX = 16, 64
DIGEST_BYTES = {"sha1": 20, "sha256": 32, "sha512": 64}

Digest = Literal["sha1", "sha256", "sha512"]

_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=([1-9]\d{0,8}),t=([1-9]\d{0,4}),p=([1-9]\d{0,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)",
    re.ASCII,
)
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_DJANGO = re.compile(r"pbkdf2_(sha1|sha256|sha512)\$([1-9]\d{0,8})\$([^$]+)\$([A-Za-z0-9+/]+=*)", re.ASCII)
_PBKDF2 = re.compile(
    r"\$pbkdf2(-sha1|-sha256|-sha512|)\$(?:i=)?([1-9]\d{0,8})(?:,l=\d{1,3})?\$([A-Za-z0-9+/.]+=*)\$([A-Za-z0-9+/.]+=*)",
    re.ASCII,
)


class NoPasswordHash(ValueError):
    """Says why, as the end of "password_hash ..."."""


@dataclass(frozen=True, slots=True)
class Argon2id:
    encoded: str


@dataclass(frozen=True, slots=True)
class Bcrypt:
    encoded: str


@dataclass(frozen=True, slots=True)
class Pbkdf2:
    digest: Digest
    iterations: int
    salt: bytes
    derived: bytes


PasswordHash = Argon2id | Bcrypt | Pbkdf2


def parse(text: str) -> PasswordHash:
    """The hash that `text` is. Raises `NoPasswordHash`."""
    if len(text) > LENGTH_MAX:
        raise NoPasswordHash(f"is longer than {LENGTH_MAX} characters")
    if found := _ARGON2.fullmatch(text):
        return _argon2id(text, *map(int, found.groups()[:3]), *map(_decoded, found.groups()[3:]))  # type: ignore[arg-type]
    if found := _BCRYPT.fullmatch(text):
        if not BCRYPT_COST_MIN <= int(found[1]) <= BCRYPT_COST_MAX:
            raise NoPasswordHash(
                f"has a bcrypt cost of {int(found[1])}; {BCRYPT_COST_MIN} to {BCRYPT_COST_MAX} will do"
            )
        return Bcrypt(text)
    if found := _DJANGO.fullmatch(text):
        return _pbkdf2(found[1], int(found[2]), found[3].encode(), _decoded(found[4]))
    if found := _PBKDF2.fullmatch(text):
        return _pbkdf2(found[1][1:] or "sha1", int(found[2]), _decoded(found[3]), _decoded(found[4]))
    raise NoPasswordHash("is neither Argon2id (PHC form, v=19) nor bcrypt nor PBKDF2 (Django, passlib, PHC form)")


def _argon2id(text: str, memory_kib: int, passes: int, lanes: int, salt: bytes, derived: bytes) -> Argon2id:
    if memory_kib > ARGON2_MEMORY_KIB_MAX or memory_kib * passes > ARGON2_KIB_PASSES_MAX:
        raise NoPasswordHash(
            f"has m={memory_kib},t={passes}; m may be {ARGON2_MEMORY_KIB_MAX} at most,"
            f" m times t {ARGON2_KIB_PASSES_MAX}"
        )
    if lanes > ARGON2_LANES_MAX:
        raise NoPasswordHash(f"has p={lanes}; {ARGON2_LANES_MAX} at most")
    if memory_kib < 8 * lanes:  # RFC 9106, 3.1
        raise NoPasswordHash(f"has m={memory_kib}, which is too little for p={lanes}")
    _refuse_lengths(salt, derived, salt_min=8)
    return Argon2id(text)


def _pbkdf2(digest: str, iterations: int, salt: bytes, derived: bytes) -> Pbkdf2:
    _refuse_lengths(salt, derived, salt_min=SALT_BYTES_MIN)
    blocks = -(-len(derived) // DIGEST_BYTES[digest])
    most = PBKDF2_ITERATIONS_MAX[digest] // blocks
    if not PBKDF2_ITERATIONS_MIN <= iterations <= most:
        raise NoPasswordHash(f"has {iterations} iterations; {PBKDF2_ITERATIONS_MIN} to {most} will do")
    return Pbkdf2(digest, iterations, salt, derived)  # type: ignore[arg-type]


def _refuse_lengths(salt: bytes, derived: bytes, *, salt_min: int) -> None:
    if not salt_min <= len(salt) <= SALT_BYTES_MAX:
        raise NoPasswordHash(f"has a salt of {len(salt)} bytes; {salt_min} to {SALT_BYTES_MAX} will do")
    if not HASH_BYTES_MIN <= len(derived) <= HASH_BYTES_MAX:
        raise NoPasswordHash(f"has {len(derived)} bytes of hash; {HASH_BYTES_MIN} to {HASH_BYTES_MAX} will do")


def _decoded(text: str) -> bytes:
    """Base64, padded or not, with passlib's `.` or the usual `+`."""
    plain = text.rstrip("=").replace(".", "+")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise NoPasswordHash("has a salt or a hash that is not base64") from None
