"""From the counts of series to alarms."""

from prikkfri.assurance.detection.series import (
    HINTS,
    ODDS_RATIOS,
    SECONDS_PER_YEAR,
    SERIES_MAX,
    TESTS,
    Alarm,
    Kind,
    Level,
    SeriesState,
    Settings,
    Sum,
    detect,
    step,
)

__all__ = [
    "HINTS",
    "ODDS_RATIOS",
    "SECONDS_PER_YEAR",
    "SERIES_MAX",
    "TESTS",
    "Alarm",
    "Kind",
    "Level",
    "SeriesState",
    "Settings",
    "Sum",
    "detect",
    "step",
]
