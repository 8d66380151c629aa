"""Fallback: which channels are open, where no sign-in is needed."""

from collections.abc import Sequence

from prikkfri.config import Channel


def open_channels(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    return tuple(channel for channel in channels if channel.open)
