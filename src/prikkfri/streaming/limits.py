"""The constants of time and size of playout: one value, so that whoever builds it may run it at another pace."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    stalled_seconds: float = 10.0
    """A channel without a new segment for so long has no picture to promise."""
    picture_told_seconds: float = 3.0
    """A picture that has gone, or is back, for so long is told."""
    sign_in_asked_seconds: float = 0.5
    housekeeping_seconds: float = 1.0
    schedule_renewal_seconds: float = 600.0
    keys_refresh_seconds: float = 0.25
    """However many unknown keys are met, the files are looked at no more often."""
    absent_seconds: float = 300.0
    """Who has asked for nothing for so long comes anew."""
    switch_seconds_min: float = 1.0
    """Nobody's switching counts more often than this: two players with one token do not flood the journal."""
    refusal_period_seconds: float = 60.0
    report_period_seconds: float = 10.0
    retry_seconds: float = 1.0
    """After which a source that cannot be read, or an encoder that failed, is tried again."""

    present_viewers_max: int = 50_000
    verified_tokens_max: int = 20_000
    refused_customers_max: int = 200_000
    refused_strangers_max: int = 2_000
    reports_per_period_max: int = 20_000
    reports_per_network: int = 120
    """So many reports of one network are taken at once; homes behind one address share it, and what is not taken costs
    nobody anything."""
    reports_per_network_per_second: float = 5.0
    guides_kept_max: int = 8
    keys_bytes_max: int = 1 << 20
    revocations_bytes_max: int = 16 << 20
