"""The channels as they are configured."""

import re
from collections.abc import Sequence
from datetime import UTC
from typing import Literal

from prikkfri.config import Channel
from prikkfri.errors import ConfigError
from prikkfri.streaming.picture import colour_of
from prikkfri.streaming.schedule import from_configuration

CHANNELS_MAX = 64
TEST_PICTURE = "test-picture"
_TOKEN_IN_PATH = re.compile(r"/live/[^/]+/")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)


def check_channels(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """The channels in order of their numbers; raises `ConfigError` for what cannot be put on air."""
    if len(channels) > CHANNELS_MAX:
        raise ConfigError(f"{len(channels)} channels; one playout carries at most {CHANNELS_MAX}")
    for channel in channels:
        name = f"channel `{channel.id}`"
        if not _ID.fullmatch(channel.id):
            raise ConfigError(
                f"{name}: an id is at most 32 small letters, digits and hyphens, since it stands in a path"
            )
        try:
            colour_of(channel.colour)
        except ValueError:
            raise ConfigError(f"{name}: `colour` is written #rrggbb, not {channel.colour!r}") from None
        for programme in channel.programmes:
            try:
                from_configuration([programme], UTC, 0, 1)
            except ValueError:
                raise ConfigError(
                    f"{name}: a programme's `start` is HH:MM or an ISO 8601 moment, not {programme.start!r}"
                ) from None
    for setting in ("id", "number"):
        values = [getattr(channel, setting) for channel in channels]
        for value in values:
            if values.count(value) > 1:
                raise ConfigError(f"two channels have the {setting} {value!r}; give each its own")
    return tuple(sorted(channels, key=lambda channel: channel.number))


def source_kind(source: str) -> Literal["test-picture", "address", "file"]:
    if source == TEST_PICTURE:
        return "test-picture"
    return "address" if "://" in source else "file"


def loggable(source: str) -> str:
    """The source as it may be logged: without user, password, query and playback token."""
    scheme, separator, rest = source.partition("://")
    if not separator:
        return source
    return f"{scheme}://{_TOKEN_IN_PATH.sub('/live/***/', rest.partition('?')[0].rpartition('@')[2])}"
