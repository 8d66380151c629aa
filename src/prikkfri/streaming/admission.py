"""Admission: may this token's holder watch this channel now?"""

from dataclasses import dataclass
from typing import Literal

from prikkfri.config import Channel
from prikkfri.protocols.cat import Claims, Verdict
from prikkfri.streaming.revocations import Revocations


@dataclass(frozen=True, slots=True)
class Refusal:
    error: Literal["bad-token", "expired", "revoked", "not-entitled"]
    """What the device is told; it signs in anew, or renews its token, or offers another package."""
    reason: str
    """What the journal is told."""


def refusal(verdict: Verdict, channel: Channel, revocations: Revocations) -> Refusal | None:
    """None: admitted. A token that has expired is honoured for some hours, a revoked one never."""
    claims = verdict.claims
    if claims is None:
        return Refusal("bad-token", f"token-{verdict.reason}")
    if revocations.cover(claims):
        return Refusal("revoked", "revoked")
    if verdict.standing == "expired":
        return Refusal("expired", "expired")
    if channel.package not in claims.packages:
        return Refusal("not-entitled", "not-entitled")
    return None


class Presence:
    """Who has been seen lately: tells a viewer who comes from one who stays. The longest unseen are forgotten first,
    so at worst one who stays is taken for one who comes."""

    def __init__(self, *, absent_seconds: float, viewers_max: int) -> None:
        self._absent_seconds = absent_seconds
        self._viewers_max = viewers_max
        self._last_seen: dict[int, float] = {}

    def comes(self, claims: Claims, channel_id: str, now: float) -> bool:
        """Whether the holder of the token was not on this channel before; marks them as seen."""
        came = not self.stays(claims, channel_id, now)
        viewer = _viewer(claims, channel_id)
        self._last_seen.pop(viewer, None)
        self._last_seen[viewer] = now
        if len(self._last_seen) > self._viewers_max:
            del self._last_seen[next(iter(self._last_seen))]
        return came

    def stays(self, claims: Claims, channel_id: str, now: float) -> bool:
        """Whether the holder of the token has been on this channel lately."""
        last = self._last_seen.get(_viewer(claims, channel_id))
        return last is not None and now - last <= self._absent_seconds


def _viewer(claims: Claims, channel_id: str) -> int:
    return hash((claims.token_id, claims.subscriber, channel_id))


class OncePerPeriod:
    """Lets each key through once in a period, and only so many keys: a device that hammers does not flood."""

    def __init__(self, *, period_seconds: float, keys_max: int) -> None:
        self._period_seconds = period_seconds
        self._keys_max = keys_max
        self._keys: set[int] = set()
        self._since = 0.0

    def lets_through(self, key: tuple[str, ...], now: float) -> bool:
        if not 0 <= now - self._since < self._period_seconds:
            self._keys, self._since = set(), now
        hashed = hash(key)
        if hashed in self._keys or len(self._keys) >= self._keys_max:
            return False
        self._keys.add(hashed)
        return True
