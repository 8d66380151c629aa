"""One-time codes of an authenticator: HOTP (RFC 4226) and TOTP (RFC 6238) with SHA-1, as every one of them knows."""

import base64
import hmac
from urllib.parse import quote

STEP_SECONDS = 30
DIGITS = 6
SKEW_STEPS = 1
"""How many steps a clock may be ahead or behind (RFC 6238, 5.2)."""
SECRET_BYTES = 20
"""As long as the hash, as RFC 4226 recommends."""


def hotp(secret: bytes, counter: int, *, digits: int = DIGITS) -> str:
    """RFC 4226, 5.3."""
    digest = hmac.digest(secret, counter.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}}"


def step_at(now: float) -> int:
    return int(now) // STEP_SECONDS


def matching_step(secret: bytes, code: str, now: float, *, after: int) -> int | None:
    """The step whose code this is, within the skew and later than the step `after`, whose code was used; else None."""
    here = step_at(now)
    found = None
    for step in range(max(0, here - SKEW_STEPS), here + SKEW_STEPS + 1):
        if hmac.compare_digest(hotp(secret, step).encode(), code.encode()) and step > after:
            found = step
    return found


def shown_secret(secret: bytes) -> str:
    """In base32, as authenticators take it by hand."""
    return base64.b32encode(secret).decode().rstrip("=")


def otpauth(secret: bytes, *, issuer: str, name: str) -> str:
    """The address that authenticators read (Key Uri Format)."""
    label = f"{quote(issuer, safe='')}:{quote(name, safe='')}"
    return f"otpauth://totp/{label}?secret={shown_secret(secret)}&issuer={quote(issuer, safe='')}"
