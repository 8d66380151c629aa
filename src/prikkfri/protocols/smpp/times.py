"""Times as SMPP writes them (7.1.1): `YYMMDDhhmmsstnnp`, absolute or relative."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from prikkfri.errors import RemoteProtocolError

_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([-+R])", re.ASCII)
_DAY_SECONDS = 86_400
VALIDITY_DAYS_MAX = 30


def parse_time(text: str, now: float) -> float | None:
    """Seconds since 1970 UTC, None when empty. Raises RemoteProtocolError."""
    if not text:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise RemoteProtocolError("time not of the form YYMMDDhhmmsstnnp")
    year, month, day, hour, minute, second, tenth, quarters = (int(match[group]) for group in range(1, 9))
    if match[9] == "R":
        days = year * 365 + month * 30 + day
        return now + days * _DAY_SECONDS + hour * 3600 + minute * 60 + second
    ahead = timedelta(minutes=quarters * 15)
    offset = -ahead if match[9] == "-" else ahead
    try:
        moment = datetime(2000 + year, month, day, hour, minute, second, tenth * 100_000, tzinfo=timezone(offset))
        return moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise RemoteProtocolError(f"no such time: {error}") from None


def format_relative(seconds: float) -> str:
    """A validity period from now, never longer than what is asked, and at least a second.

    Whole seconds, and at most 30 days, since a month means 31 of them to some.
    """
    return _written_period(min(max(int(seconds), 1), VALIDITY_DAYS_MAX * _DAY_SECONDS))


@lru_cache(maxsize=4_096)
def _written_period(seconds: int) -> str:
    """What was accepted at about one time has about as long."""
    days, rest = divmod(seconds, _DAY_SECONDS)
    return f"0000{days:02}{rest // 3600:02}{rest // 60 % 60:02}{rest % 60:02}000R"


def format_absolute(moment: float, now: float) -> str:
    """The same as a moment in UTC: never later than what is asked, at least a second from now, at most 30 days."""
    whole = int(min(max(moment, now + 1.0), now + VALIDITY_DAYS_MAX * _DAY_SECONDS))
    return f"{datetime.fromtimestamp(whole, UTC):%y%m%d%H%M%S}000+"


def format_minute(moment: float) -> str:
    """`YYMMDDhhmm` in UTC, as delivery receipts carry it."""
    return _written_minute(int(moment // 60))


@lru_cache(maxsize=4_096)
def _written_minute(minute: int) -> str:
    """Receipts of one moment tell of few minutes."""
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%y%m%d%H%M")
