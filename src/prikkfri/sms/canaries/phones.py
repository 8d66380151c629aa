"""Which phones of our own prove which link, by the configuration."""

from collections.abc import Sequence

from prikkfri.config import Sms
from prikkfri.errors import ConfigError
from prikkfri.sms.addresses import read_recipient

TEXT = "Prikkfri canary {token}"
"""What stands on a canary phone; the token is the last word."""
START = TEXT.partition("{")[0]


def token_of(text: str) -> str:
    """A canary's token; empty when the text is somebody's message."""
    return text.removeprefix(START) if text.startswith(START) else ""


def digits(msisdn: str) -> str:
    """A number as it stands on the wire."""
    return msisdn.removeprefix("+")


def phones_by_link(settings: Sms) -> dict[str, list[str]]:
    """Raises `ConfigError` when a canary names no link or has no number, or a link is to stand in that is none."""
    links = {link.name for link in settings.links}
    for link in settings.links:
        if link.instead and link.instead not in links - {link.name}:
            raise ConfigError(f"sms.links: `instead` of {link.name} names no other link: {link.instead!r}")
    found: dict[str, list[str]] = {}
    for canary in settings.canaries:
        if canary.link not in links:
            raise ConfigError(f"sms.canaries: there is no link {canary.link!r}; known: {', '.join(sorted(links))}")
        if not canary.msisdn.startswith("+") or read_recipient(canary.msisdn) is None:
            raise ConfigError(f"sms.canaries: {canary.msisdn!r} is no number in E.164")
        found.setdefault(canary.link, []).append(digits(canary.msisdn))
    return found


def phone_of_turn(phones: Sequence[str], turn: int) -> str:
    """Each in its turn."""
    return phones[turn % len(phones)]
