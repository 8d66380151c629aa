"""One-time codes of an authenticator: HOTP (RFC 4226) and TOTP (RFC 6238) with SHA-1, as every one of them knows."""

import base64
import hmac
from urllib.parse import quote

STEP_SECONDS = 30
DIGITS = 6
SKEW_STEPS = 1
"""How many steps a clock may be ahead or behind (RFC 6238, 5.2)."""
RECOVERY_CODES = 8
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


def recovery_codes(secret: bytes) -> tuple[str, ...]:
    """What gets in once each when the authenticator is lost: 50 bits each, `abcde-fghij`, made from its secret."""
    digests = (hmac.digest(secret, b"recovery %d" % number, "sha256") for number in range(RECOVERY_CODES))
    texts = (base64.b32encode(digest).decode().lower() for digest in digests)
    return tuple(f"{text[:5]}-{text[5:10]}" for text in texts)


def matching_recovery(secret: bytes, code: str) -> int | None:
    """Which of the recovery codes this is, counted from 0; None when it is none."""
    found = None
    for number, known in enumerate(recovery_codes(secret)):
        if hmac.compare_digest(known.encode(), code.lower().encode()):
            found = number
    return found


def shown_secret(secret: bytes) -> str:
    """In base32, as authenticators take it by hand."""
    return base64.b32encode(secret).decode().rstrip("=")


def otpauth(secret: bytes, *, issuer: str, name: str) -> str:
    """The address that authenticators read (Key Uri Format)."""
    label = f"{quote(issuer, safe='')}:{quote(name, safe='')}"
    return f"otpauth://totp/{label}?secret={shown_secret(secret)}&issuer={quote(issuer, safe='')}"
