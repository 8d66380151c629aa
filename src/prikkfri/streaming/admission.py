"""Admission: may this token's holder watch this channel now?"""

from dataclasses import dataclass, replace
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
Owed = Literal["", "broken", "kept"]
"""What is to be told of a viewer whose picture went: that it has, then that it is back."""
ASKS_SECONDS_MAX = 30.0
"""Whoever has not asked for a playlist for so long had left before the picture went."""


@dataclass(frozen=True, slots=True)
class PictureOutage:
    """When a channel's picture last went, and when it was back; infinity while it is gone."""

    since: float
    until: float


@dataclass(frozen=True, slots=True)
class _Seen:
    channel: str
    at: float
    told_at: float
    """When it was last said that the viewer came or switched."""
    lost_at: float = float("-inf")
    """Since when the picture was away that the viewer last lost, and what is still to be told of that."""
    owed: Owed = ""


class Presence:
    """Who has been seen lately on which channel: tells a viewer who comes or switches from one who stays, and who of
    those had a picture that went. The longest unseen are forgotten first, so at worst one who stays is taken for one
    who comes."""

    def __init__(self, *, absent_seconds: float, switch_seconds_min: float, viewers_max: int) -> None:
        self._absent_seconds = absent_seconds
        self._switch_seconds_min = switch_seconds_min
        self._viewers_max = viewers_max
        self._seen: dict[int, _Seen] = {}

    def comes(self, claims: Claims, channel_id: str, now: float, away: PictureOutage | None = None) -> Coming:
        """Whether the holder of the token comes, switches or stays; marks them as seen.

        `away`: of this channel. Who watched it then is owed word of it.
        """
        coming = self.coming(claims, channel_id, now)
        viewer = hash((claims.token_id, claims.subscriber))
        last = self._seen.pop(viewer, None)
        seen = _Seen(channel_id, now, now) if coming or last is None else replace(last, at=now)
        if last and away and channel_id == seen.channel and _lost(seen, last.at, away):
            seen = replace(seen, lost_at=away.since, owed="broken")
        self._seen[viewer] = seen
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

    def owed(self, claims: Claims, channel_id: str) -> Owed:
        """What is to be told of this viewer on this channel."""
        last = self._seen.get(hash((claims.token_id, claims.subscriber)))
        return last.owed if last and last.channel == channel_id else ""

    def told(self, claims: Claims) -> None:
        """What was owed has been told."""
        viewer = hash((claims.token_id, claims.subscriber))
        last = self._seen[viewer]
        self._seen[viewer] = replace(last, owed="kept" if last.owed == "broken" else "")


def _lost(seen: _Seen, asked_at: float, away: PictureOutage) -> bool:
    """Whether a viewer who asked before at `asked_at` watched when the picture went, and it is not known yet."""
    watched = seen.told_at <= away.since and away.since - ASKS_SECONDS_MAX <= asked_at <= away.until
    return watched and seen.lost_at < away.since


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
