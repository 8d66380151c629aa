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


Coming = Literal["start-playback", "switch-channel", ""]
"""What a viewer did by asking for a channel's playlist; empty: went on watching."""


@dataclass(frozen=True, slots=True)
class _Seen:
    channel: str
    at: float
    told_at: float
    """When it was last said that the viewer came or switched."""


class Presence:
    """Who has been seen lately on which channel: tells a viewer who comes or switches from one who stays. The longest
    unseen are forgotten first, so at worst one who stays is taken for one who comes."""

    def __init__(self, *, absent_seconds: float, switch_seconds_min: float, viewers_max: int) -> None:
        self._absent_seconds = absent_seconds
        self._switch_seconds_min = switch_seconds_min
        self._viewers_max = viewers_max
        self._seen: dict[int, _Seen] = {}

    def comes(self, claims: Claims, channel_id: str, now: float) -> Coming:
        """Whether the holder of the token comes, switches or stays; marks them as seen."""
        coming = self.coming(claims, channel_id, now)
        viewer = hash((claims.token_id, claims.subscriber))
        last = self._seen.pop(viewer, None)
        kept = last.channel if last and not coming else channel_id
        self._seen[viewer] = _Seen(kept, now, now if coming or last is None else last.told_at)
        if len(self._seen) > self._viewers_max:
            del self._seen[next(iter(self._seen))]
        return coming

    def coming(self, claims: Claims, channel_id: str, now: float) -> Coming:
        """Whether the holder of the token comes, switches or stays; marks nobody."""
        last = self._seen.get(hash((claims.token_id, claims.subscriber)))
        if last is None or now - last.at > self._absent_seconds:
            return "start-playback"
        if last.channel != channel_id and now - last.told_at >= self._switch_seconds_min:
            return "switch-channel"
        return ""

    def stays(self, claims: Claims, channel_id: str, now: float) -> bool:
        """Whether the holder of the token has been on this channel lately."""
        last = self._seen.get(hash((claims.token_id, claims.subscriber)))
        return last is not None and last.channel == channel_id and now - last.at <= self._absent_seconds


class OncePerPeriod:
    """Lets each key through once in a period, and only so many keys: a device that hammers does not flood."""

    def __init__(self, *, period_seconds: float, keys_max: int) -> None:
        self._period_seconds = period_seconds
        self._keys_max = keys_max
        self._keys: set[int] = set()
        self._since = float("-inf")

    def lets_through(self, key: tuple[str, ...], now: float) -> bool:
        if not 0 <= now - self._since < self._period_seconds:
            self._keys, self._since = set(), now
        hashed = hash(key)
        if hashed in self._keys or len(self._keys) >= self._keys_max:
            return False
        self._keys.add(hashed)
        return True
