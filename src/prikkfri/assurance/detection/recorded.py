"""What would have been told of a recorded series, bucket by bucket, as if it were live."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from prikkfri.assurance.detection import shares
from prikkfri.assurance.detection.counts import Counts, CountSettings
from prikkfri.assurance.detection.shares import ShareSettings
from prikkfri.assurance.tally import Bucket

Direction = Literal["rise", "fall"]


@dataclass(frozen=True)
class Finding:
    """An alarm of a recording; times are seconds since 1970."""

    since: float
    """When it most likely began."""
    until: float
    """When it was over; the end of the recording, if it never was."""
    detected: float
    """When it was known: the end of the bucket that told it."""
    direction: Direction
    expected: float
    """Of a bucket, or the ordinary share."""
    seen: float


def in_counts(buckets: Iterable[Bucket], settings: CountSettings) -> list[Finding]:
    """Falls and rushes of what was settled."""
    counts, found = Counts(1, settings), list[Finding]()
    calm = settings.calm_buckets + 1
    for bucket in buckets:
        sign = int(counts.step([bucket.settled], bucket.time)[0])
        calm += 1
        if not sign:
            continue
        end = bucket.time + settings.bucket_seconds
        if calm > settings.calm_buckets:
            expected, direction = float(counts.expected[0]), "rise" if sign > 0 else "fall"
            found.append(Finding(bucket.time, end, end, direction, expected, bucket.settled))  # type: ignore[arg-type]
        else:
            found[-1] = replace(found[-1], until=end)
        calm = 0
    return found


def in_shares(buckets: Iterable[Bucket], settings: ShareSettings) -> list[Finding]:
    """Rises of the share of what was broken."""
    state, found = shares.fresh(1, settings), list[Finding]()
    for bucket in buckets:
        state, raised = shares.step(state, np.array([bucket.settled]), np.array([bucket.broken]), bucket.time, settings)
        end = bucket.time + settings.bucket_seconds
        if raised[0]:
            since, of, seen = shares.best(state, 0)
            found.append(Finding(since, end, end, "rise", float(state.fit.share[0]), seen / of))
        elif state.standing[0]:
            found[-1] = replace(found[-1], until=end)
    return found
