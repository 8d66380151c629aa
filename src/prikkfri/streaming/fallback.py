"""Fallback: which channels are open, where no sign-in is needed.

Theory of operation. When sign-in has not answered for `fallback_after_seconds`, the configured channels open by rule:
whoever cannot get in has the programme at a plain address. They close by rule once sign-in has answered without a
break for `fallback_held_seconds`, so that nobody is thrown out while the crowd is still coming back. A person may open
or close a channel; what a person has said, no rule takes back until a person lets the rule decide again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from prikkfri.config import Channel, Streaming

Said = Literal["open", "closed"]


@dataclass(frozen=True)
class Fallback:
    """What has been decided; stored, so that a restart of playout closes nothing."""

    by_rule_since: float | None = None
    """Since when the rule holds the fallback channels open."""
    by_person: Mapping[str, Said] = field(default_factory=dict)
    """What a person has said of a channel."""


@dataclass(frozen=True)
class SignInSeen:
    """How sign-in has answered of late, as playout itself has seen it."""

    answers: bool
    since: float
    """Since when it is so."""

    def asked(self, answers: bool, now: float) -> "SignInSeen":
        return self if answers == self.answers else SignInSeen(answers, now)


def ruled(fallback: Fallback, seen: SignInSeen, settings: Streaming, *, now: float) -> Fallback:
    """What the rule makes of how sign-in answers."""
    lasted = now - seen.since
    if fallback.by_rule_since is None and not seen.answers and lasted >= settings.fallback_after_seconds:
        return replace(fallback, by_rule_since=now)
    if fallback.by_rule_since is not None and seen.answers and lasted >= settings.fallback_held_seconds:
        return replace(fallback, by_rule_since=None)
    return fallback


def said(fallback: Fallback, channel: str, what: Said | None) -> Fallback:
    """What a person says of a channel; None lets the rule decide again."""
    others = {known: word for known, word in fallback.by_person.items() if known != channel}
    return replace(fallback, by_person=others if what is None else {**others, channel: what})


def open_channels(channels: Sequence[Channel], fallback: Fallback, settings: Streaming) -> tuple[Channel, ...]:
    """The channels that anybody may watch now."""

    def stands_open(channel: Channel) -> bool:
        word = fallback.by_person.get(channel.id)
        by_rule = fallback.by_rule_since is not None and channel.id in settings.fallback_channels
        return word == "open" or (word is None and (channel.open or by_rule))

    return tuple(channel for channel in channels if stands_open(channel))
