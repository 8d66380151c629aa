"""Fallback: which channels are open, where no sign-in is needed.

Theory of operation. When people have not been let in for `fallback_after_seconds`, because sign-in does not answer or
because the line before it is too long, the configured channels open by rule: whoever stands outside has the programme
at a plain address. They close by rule once all has been well without a break for `fallback_held_seconds`, so that
nobody is thrown out while the crowd is still coming back. A person may open or close a channel; what a person has said,
no rule takes back until a person lets the rule decide again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from prikkfri.config import Channel, Streaming

RULE = "rule:fallback"
NOT_ANSWERING = "sign-in does not answer"
LONG_LINE = "the line before sign-in is too long"

Said = Literal["open", "closed"]


@dataclass(frozen=True)
class ChannelOverride:
    """What a person has said of a channel."""

    said: Said
    by: str
    """Their name."""


@dataclass(frozen=True)
class Fallback:
    """What has been decided; stored, so that a restart of playout closes nothing."""

    by_rule_since: float | None = None
    """Since when the rule holds the fallback channels open."""
    by_person: Mapping[str, ChannelOverride] = field(default_factory=dict)
    """By channel."""


@dataclass(frozen=True)
class SignInHealth:
    """How sign-in has done of late, as playout itself has seen it."""

    trouble: str
    """Why people do not get in, as it was last; empty: they do."""
    since: float
    """Since when they do, or do not."""

    def asked(self, trouble: str, now: float) -> "SignInHealth":
        return SignInHealth(trouble, self.since if bool(trouble) == bool(self.trouble) else now)


@dataclass(frozen=True)
class ChannelStatus:
    """Whether a channel stands open, and who wants it so."""

    channel: Channel
    open: bool
    by: str
    """`configuration`, `rule:fallback` or the name of a person; empty for one that is closed and that nobody closed."""


def trouble_of(answers: bool, wait_s: float | None, settings: Streaming) -> str:
    """Why people do not get in; `wait_s` is what whoever comes now has to wait (endless: nobody gets in), None
    when nobody says."""
    if not answers:
        return NOT_ANSWERING
    return LONG_LINE if wait_s is not None and wait_s > settings.fallback_wait_seconds else ""


def apply_rule(fallback: Fallback, seen: SignInHealth, settings: Streaming, *, now: float) -> Fallback:
    """What the rule makes of how sign-in does."""
    lasted = now - seen.since
    if fallback.by_rule_since is None and seen.trouble and lasted >= settings.fallback_after_seconds:
        return replace(fallback, by_rule_since=now)
    if fallback.by_rule_since is not None and not seen.trouble and lasted >= settings.fallback_held_seconds:
        return replace(fallback, by_rule_since=None)
    return fallback


def apply_override(fallback: Fallback, channel: str, override: ChannelOverride | None) -> Fallback:
    """What a person says of a channel; None lets the rule decide again."""
    others = {known: other for known, other in fallback.by_person.items() if known != channel}
    return replace(fallback, by_person=others if override is None else {**others, channel: override})


def channel_statuses(channels: Sequence[Channel], fallback: Fallback, settings: Streaming) -> tuple[ChannelStatus, ...]:
    """How every channel stands now."""
    by_rule = settings.fallback_channels if fallback.by_rule_since is not None else ()

    def status(channel: Channel) -> ChannelStatus:
        if override := fallback.by_person.get(channel.id):
            return ChannelStatus(channel, override.said == "open", override.by)
        if channel.open:
            return ChannelStatus(channel, True, "configuration")
        return ChannelStatus(channel, True, RULE) if channel.id in by_rule else ChannelStatus(channel, False, "")

    return tuple(status(channel) for channel in channels)


def open_channels(channels: Sequence[Channel], fallback: Fallback, settings: Streaming) -> tuple[Channel, ...]:
    """The channels that anybody may watch now."""
    return tuple(each.channel for each in channel_statuses(channels, fallback, settings) if each.open)
