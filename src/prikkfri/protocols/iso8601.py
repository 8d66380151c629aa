"""Moments as ISO 8601 says them.

What people and what programs read of one output is of one zone, the installation's; who must have UTC gets it.
"""

from datetime import UTC, datetime, tzinfo


def iso(moment: float, zone: tzinfo = UTC) -> str:
    """Seconds since 1970 UTC on the clocks of `zone`, with milliseconds and the offset: `Z` for none."""
    return datetime.fromtimestamp(moment, zone).isoformat(timespec="milliseconds").replace("+00:00", "Z")
