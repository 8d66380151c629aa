"""Guides: the XMLTV files that schedules come from, whether they are fit for use, and what is to be said of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prikkfri.config import Channel
from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols.xmltv import Listing, Omission, read_xmltv

LEFT_OUT_SHARE_MAX = 0.5


@dataclass(frozen=True)
class Guide:
    listings: tuple[Listing, ...]
    listed: frozenset[str]
    """The channels that anything is listed for, as the guide calls them."""
    left_out_told: str
    """How many programmes are left out, and why; empty when none is."""

    def unlisted(self, channels: Iterable[Channel]) -> list[Channel]:
        return [channel for channel in channels if xmltv_id(channel) not in self.listed]

    def told(self, channels: Iterable[Channel]) -> str:
        """What whoever looks after it should know, of channels that take their schedule from it; empty: nothing."""
        missing = [f"nothing is listed for channel {each.id} ({xmltv_id(each)})" for each in self.unlisted(channels)]
        return "; ".join(filter(None, [self.left_out_told, *missing]))


def read_guide(document: bytes) -> Guide:
    """Raises `RemoteProtocolError` for what is no guide, and for one that lists nothing or loses most programmes."""
    read = read_xmltv(document)
    used, left_out = len(read.listings), sum(each.count for each in read.left_out)
    told = _told(read.left_out, used + left_out)
    if not used + left_out:
        raise RemoteProtocolError("no programme is listed")
    if left_out > LEFT_OUT_SHARE_MAX * (used + left_out):
        raise RemoteProtocolError(told)
    return Guide(read.listings, frozenset(listing.channel for listing in read.listings), told)


def xmltv_id(channel: Channel) -> str:
    """What the guide calls a channel."""
    return channel.xmltv_id or channel.id


def _told(left_out: Sequence[Omission], of: int) -> str:
    if not left_out:
        return ""
    whys = ", ".join(f"{each.count:,} {each.why} (first on line {each.first_line:,})" for each in left_out)
    return f"{sum(each.count for each in left_out):,} of {of:,} programmes are left out: {whys}"
