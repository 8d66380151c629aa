"""From the counts of series to alarms."""

from prikkfri.assurance.detection.series import (
    CONTACT_STEP,
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
    "CONTACT_STEP",
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
