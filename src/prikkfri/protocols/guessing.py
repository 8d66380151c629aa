"""Guessing is slowed down: each failure fills buckets that drain with time; a full one refuses.

Only failures count, and an unknown name counts like a known one. A place is reserved in every bucket before a secret
is compared and given back when it was right, so that guesses at the same time do not pass the limit. Three buckets are
looked into at once: the name from this network, the name from anywhere, and the network with any name. Whoever is
known to belong to the name (its device, its browser, its usual network) has a bucket of their own instead: what
strangers fill does not keep them out.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

Key = tuple[str, str, str]
NAME_CHARACTERS_MAX = 254
"""The longest e-mail address (RFC 5321); of a longer name only so much is remembered."""


@dataclass(frozen=True, slots=True)
class Limit:
    failures_max: float
    drains_in_s: float
    """A full bucket is empty after so many seconds."""


class FailureCounter(NamedTuple):
    """Of one bucket. A tuple, because eight of them are made at each try."""

    failures: float
    at: float
    reserved: int = 0
    """Tries under way, which may become failures; they do not drain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    name_and_network: Limit = Limit(6, 300)
    """Also of whoever is known."""
    name: Limit = Limit(50, 900)
    """High, since anybody can fill it and so keep out the owner on a device that is not known."""
    network: Limit = Limit(3_000, 900)
    """High, since thousands of homes may share the address of one operator's translator."""


def stranger(name: str, network: str, limits: Limits) -> dict[Key, Limit]:
    """The buckets that a try of `name` from `network` looks into."""
    name = name[:NAME_CHARACTERS_MAX]
    return {
        ("name and network", name, network): limits.name_and_network,
        ("name", name, ""): limits.name,
        ("network", "", network): limits.network,
    }


def acquaintance(name: str, known: str, limits: Limits) -> dict[Key, Limit]:
    """The bucket of somebody (`known`: their device, browser or network) who has been right about `name` before."""
    return {("known", name[:NAME_CHARACTERS_MAX], known): limits.name_and_network}


def retry_after(buckets: Mapping[Key, FailureCounter], tried: Mapping[Key, Limit], now: float) -> float | None:
    """None: may try. Otherwise the seconds until one more try has room in every bucket."""
    waits = []
    for key, limit in tried.items():
        bucket = buckets.get(key) or FailureCounter(0.0, now)
        over = _level(bucket, limit, now) + bucket.reserved + 1 - limit.failures_max
        if over > 0:
            waits.append(over * limit.drains_in_s / limit.failures_max)
    return max(waits, default=None)


def reserved(
    buckets: Mapping[Key, FailureCounter], tried: Mapping[Key, Limit], now: float
) -> dict[Key, FailureCounter]:
    """The buckets that a try under way changes, as they are then."""
    return _changed(buckets, tried, now, failures=0, places=1)


def settled(
    buckets: Mapping[Key, FailureCounter], tried: Mapping[Key, Limit], now: float, *, failed: bool
) -> dict[Key, FailureCounter]:
    """The same when its end is known: a reserved place has become a failure, or is free again."""
    return _changed(buckets, tried, now, failures=int(failed), places=-1)


def _changed(
    buckets: Mapping[Key, FailureCounter], tried: Mapping[Key, Limit], now: float, *, failures: int, places: int
) -> dict[Key, FailureCounter]:
    changed = {}
    for key, limit in tried.items():
        bucket = buckets.get(key) or FailureCounter(0.0, now)
        changed[key] = FailureCounter(_level(bucket, limit, now) + failures, now, max(0, bucket.reserved + places))
    return changed


def _level(bucket: FailureCounter, limit: Limit, now: float) -> float:
    return max(0.0, bucket.failures - (now - bucket.at) * limit.failures_max / limit.drains_in_s)


class Guesses:
    """The buckets of one account's edges, in memory: the newest `buckets_max` of them."""

    def __init__(self, *, buckets_max: int) -> None:
        self._buckets_max = buckets_max
        self._buckets: OrderedDict[Key, FailureCounter] = OrderedDict()

    def reserve(self, tried: Mapping[Key, Limit], now: float) -> float | None:
        """Takes a place, which `settle` ends; or, when there is none, the seconds until there may be one."""
        wait_s = retry_after(self._buckets, tried, now)
        if wait_s is None:
            self._keep(reserved(self._buckets, tried, now))
        return wait_s

    def settle(self, tried: Mapping[Key, Limit], now: float, *, failed: bool) -> None:
        self._keep(settled(self._buckets, tried, now, failed=failed))

    def _keep(self, changed: Mapping[Key, FailureCounter]) -> None:
        for key, bucket in changed.items():
            if bucket.failures or bucket.reserved:
                self._buckets[key] = bucket
                self._buckets.move_to_end(key)
            else:
                self._buckets.pop(key, None)
        while len(self._buckets) > self._buckets_max:
            self._buckets.popitem(last=False)
