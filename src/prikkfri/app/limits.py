"""Sizes and times of supervising and serving: one value for every role."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AppLimits:
    answers_end_seconds_max: int = 3
    """What a role's requests get when it stops: server-sent events never end by themselves."""
    trim_seconds: float = 10.0
    """From one trimming of the journal to the next."""
    log_bytes_max: int = 20_000_000
    log_files_max: int = 3
    """Earlier ones that are kept beside the one that is written."""
    stop_seconds_max: float = 8.0
    """What a role gets to stop before it is killed."""
    ready_seconds_max: float = 60.0
    pause_seconds: float = 0.25
    """Before a role that has ended is started again; twice as long each time, up to `pause_seconds_max`."""
    pause_seconds_max: float = 30.0
    away_pause_seconds_max: float = 1.0
    """At most so long before a role is started again whose database was not at hand."""
    database_asked_seconds: float = 0.5
    """From one try to reach a PostgreSQL that does not answer at a role's start to the next."""
    crash_loop_ends: int = 4
    """So many ends within `crash_loop_seconds` are called a crash loop."""
    crash_loop_seconds: float = 60.0
    certificate_read_seconds: float = 2.0
    """How often it is seen whether this machine's certificate is a new one."""
    published_read_seconds: float = 2.0
    """How often another machine is asked for its public keys and revocations."""
    published_seconds_max: float = 5.0
    published_bytes_max: int = 64 << 20
    """Of one document: a revocation list of two million device tokens."""
    published_age_seconds_max: float = 120.0
    """What was not heard for so long is called old; it stays in force."""
    handshakes_max: int = 128
    """Connections of other machines at a time of which none has shown a certificate yet."""
    handshake_seconds_max: float = 10.0
    """How long one may take to say anything, and then to show it."""
    standby_seconds: float = 1.0
    """How often a process that stands by sees whether the other has ended."""
    mended_asked_seconds: float = 30.0
    """From one try to the next of a program that a person has to mend first."""


LIMITS = AppLimits()
DESCRIPTORS_KEPT = 128
"""Of the process's descriptors so many are no connection's: databases, spools, keys, logs, calls to other roles."""
SMPP_CONNECTIONS_MAX = 1_000


def smpp_connections_for(descriptors: int) -> int:
    """How many SMPP connections fit a process that may have so many files open, beside as many of HTTP."""
    return max(32, min(SMPP_CONNECTIONS_MAX, (descriptors - DESCRIPTORS_KEPT) // 2))
