"""Sizes and times of the storage: one value, the same for every area of an installation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StorageLimits:
    group_works_max: int = 2_000
    """Works in one transaction."""
    pending_works_max: int = 20_000
    """Works that wait for a transaction; who comes then is refused."""
    busy_milliseconds_max: int = 2_000
    """How long another process may hold SQLite's lock."""
    wal_pages_before_checkpoint: int = 1_000
    wal_bytes_kept_max: int = 64 << 20
    """A reader that was frozen in the middle of a statement lets the log grow; afterwards it shrinks to this."""
    connect_seconds_max: int = 5
    readers_max: int = 4
    """Reads of an area at once, each over a connection of its own: a long one holds no short one up."""
    idle_in_transaction_seconds_max: int = 10
    """A writer that is frozen in the middle of a transaction must not hold its stream's row against its successor."""
    lease_quiet_seconds: int = 10
    """Whoever holds a lease and has not been heard from for so long is asked by the server whether it is there ..."""
    lease_asked_seconds: int = 5
    """... every so often ..."""
    lease_asked_max: int = 3
    """... and so many times: one that vanished without a word holds it for 25 s."""
    in_doubt_seconds_max: float = 10.0
    """How long we try to find out what became of a commit whose answer was lost."""
    verdicts_remembered_max: int = 50_000
    """Device tokens whose signature need not be verified again."""
    revoked_read_seconds: float = 5.0
    next_key_read_seconds: float = 1.0
    """How often a role sees whether a person has had a next key made."""
    key_published_seconds: float = 60.0
    """So long a key is published before anything is signed by it: other machines ask every two seconds."""


LIMITS = StorageLimits()
