"""Guessing is slowed down: each failed try fills a bucket that drains with time; a full one refuses.

Only failures count, and an unknown login counts like a known one. Three buckets are filled at once: for the login
from this address, for the login from anywhere, and for the address with any login.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Limit:
    failures_max: float
    drains_in_s: float
    """A full bucket is empty after so many seconds."""


@dataclass(frozen=True, slots=True)
class Bucket:
    failures: float
    at: float


SAME_LOGIN_AND_ADDRESS = Limit(6, 300)
SAME_LOGIN = Limit(50, 900)
"""High, since anybody can fill it and so keep the owner out for a while."""
SAME_ADDRESS = Limit(3_000, 900)
"""High, since thousands of homes may share the address of one operator's translator."""


def limits(login: str, address: str) -> dict[Key, Limit]:
    """The buckets that a try of `login` from `address` looks into."""
    return {(login, address): SAME_LOGIN_AND_ADDRESS, (login, ""): SAME_LOGIN, ("", address): SAME_ADDRESS}


def retry_after(buckets: Mapping[Key, Bucket], tried: Mapping[Key, Limit], now: float) -> float | None:
    """None: may try. Otherwise the seconds until one more try has room in every bucket."""
    waits = []
    for key, limit in tried.items():
        over = _level(buckets.get(key), limit, now) + 1 - limit.failures_max
        if over > 0:
            waits.append(over * limit.drains_in_s / limit.failures_max)
    return max(waits, default=None)


def after_failure(buckets: Mapping[Key, Bucket], tried: Mapping[Key, Limit], now: float) -> dict[Key, Bucket]:
    """The buckets that a failure changes, as they are then."""
    return {key: Bucket(_level(buckets.get(key), limit, now) + 1, now) for key, limit in tried.items()}


def _level(bucket: Bucket | None, limit: Limit, now: float) -> float:
    if bucket is None:
        return 0.0
    return max(0.0, bucket.failures - (now - bucket.at) * limit.failures_max / limit.drains_in_s)
