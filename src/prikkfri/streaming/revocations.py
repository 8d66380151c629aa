"""Revocations: device tokens that are signed out; no playback token that came of one may be watched with any more."""

import base64
from dataclasses import dataclass

import msgspec

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.cat import Claims

STALE_SECONDS = 300.0
"""It is written every minute; one that is older than this raises an alarm."""
DEVICE_TOKEN_ID_BYTES = 16
"""With these the id of a playback token begins."""


class _Document(msgspec.Struct):
    as_of: float
    device_tokens: list[str]
    """Their ids: base64url without padding."""


@dataclass(frozen=True)
class Revocations:
    as_of: float = 0.0
    device_tokens: frozenset[bytes] = frozenset()

    def cover(self, claims: Claims) -> bool:
        return claims.token_id[:DEVICE_TOKEN_ID_BYTES] in self.device_tokens

    def is_stale(self, now: float) -> bool:
        return now - self.as_of > STALE_SECONDS


def read_revocations(document: bytes) -> Revocations:
    """Raises `RemoteProtocolError` when it is not such a list."""
    try:
        read = msgspec.json.decode(document, type=_Document)
        device_tokens = frozenset(base64.urlsafe_b64decode(token_id + "==") for token_id in read.device_tokens)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"not a revocation list: {error}") from None
    return Revocations(read.as_of, device_tokens)
