"""Revocations: tokens and subscribers that may no longer watch, however long their tokens last."""

import base64
from dataclasses import dataclass, field

import msgspec

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.cat import Claims

DOCUMENT_BYTES_MAX = 16 << 20
STALE_SECONDS = 600.0
"""The writer renews the list at least every minute; one that is older than this raises an alarm."""


class _Document(msgspec.Struct):
    updated_at: float
    token_ids: list[str] = []
    """base64url without padding."""
    subscribers: dict[str, float] = {}
    """Tokens that were issued to them before this moment are void."""


@dataclass(frozen=True)
class Revocations:
    updated_at: float = 0.0
    token_ids: frozenset[bytes] = frozenset()
    subscribers: dict[str, float] = field(default_factory=dict)

    def cover(self, claims: Claims) -> bool:
        return claims.token_id in self.token_ids or claims.issued_at < self.subscribers.get(claims.subscriber, 0.0)

    def is_stale(self, now: float) -> bool:
        return now - self.updated_at > STALE_SECONDS


def read_revocations(document: bytes) -> Revocations:
    """Raises `RemoteProtocolError` when it is not such a list."""
    try:
        read = msgspec.json.decode(document, type=_Document)
        token_ids = frozenset(base64.urlsafe_b64decode(token_id + "==") for token_id in read.token_ids)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RemoteProtocolError(f"not a revocation list: {error}") from None
    return Revocations(read.updated_at, token_ids, read.subscribers)
