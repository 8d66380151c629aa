"""Which table an outcome lies in: one for each day (UTC) of its time.

A day that is past its time goes as a whole, and whoever writes works in the indexes of today, however much is kept.
What is told long after its day, or of a day that has not come, lies in the one table of the rest: no clock that is
wrong makes tables without end.
"""

from typing import Final

DAY_SECONDS: Final = 86_400
DAYS_BACK_MAX: Final = 7
"""A table is made for a day up to so many before today ..."""
DAYS_AHEAD_MAX: Final = 1
"""... or after it: clocks are not all alike at midnight."""
REST: Final = -1
"""Stands for the day of what lies in no day's table."""

_COLUMNS = (
    "stream TEXT NOT NULL, incarnation TEXT NOT NULL, position BIGINT NOT NULL, time DOUBLE PRECISION NOT NULL,"
    " service TEXT NOT NULL, step TEXT NOT NULL, layer TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL,"
    " customer TEXT NOT NULL, device TEXT NOT NULL, promise TEXT NOT NULL, observed BOOLEAN NOT NULL,"
    " dimensions TEXT NOT NULL, PRIMARY KEY (stream, incarnation, position)"
)
_INDEXES = {
    "time": "(time)",
    "broken": "(time) WHERE verdict = 'broken'",
    "customer": "(customer, time) WHERE customer <> ''",
    "device": "(device, time) WHERE device <> ''",
    "route": "(time) WHERE step = 'route'",
    "delivery": "(promise) WHERE step = 'deliver' AND promise <> ''",
}
"""The table of the rest has the same, by migrations."""


def calendar_day(time: float) -> int:
    """The number of a moment's day, from 1 January 1970."""
    return int(time // DAY_SECONDS)


def day_of(time: float, now: float) -> int:
    """The day in whose table that lies which is stored now of a moment; `REST`: in none."""
    day, today = calendar_day(time), calendar_day(now)
    return day if today - DAYS_BACK_MAX <= day <= today + DAYS_AHEAD_MAX else REST


def table_of(day: int) -> str:
    return "outcome" if day == REST else f"outcome_{day}"


def statements_of(day: int) -> list[str]:
    """What makes the table of a day."""
    table = table_of(day)
    made = [f"CREATE TABLE {table} ({_COLUMNS})"]
    return made + [f"CREATE INDEX {table}_{name} ON {table} {of}" for name, of in _INDEXES.items()]
