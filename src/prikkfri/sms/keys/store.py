"""All SQL of the sealing keys: until when what may still be sent, or was sealed once, needs its key."""
# ruff: noqa: S608

import math

from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.sealing import HOUR_SECONDS, KeyName
from prikkfri.storage import Queries

_MAY_BE_SENT = (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.IN_DOUBT)
"""What is SENT is not written again."""


async def earliest_open(queries: Queries) -> float:
    """When the first of the messages expires that may still be sent; infinite when there is none."""
    found = await queries.fetch(_each("SELECT MIN(expires_at)"))
    return min((float(row[0]) for row in found if row[0] is not None), default=math.inf)


async def latest_sealed(queries: Queries) -> float:
    """When the last of the messages expires that may still be sent, or released; 0 when there is none."""
    held = f"SELECT MAX(expires_at) FROM sms_message WHERE state = '{DeliveryState.QUARANTINED}'"
    found = await queries.fetch(f"{_each('SELECT MAX(expires_at)')} UNION ALL {held}")
    return max((float(row[0]) for row in found if row[0] is not None), default=0.0)


async def sealed_now(queries: Queries) -> set[KeyName]:
    """The names of the keys by which what may still be sent is sealed. It reads all of that: for a start."""
    found = await queries.fetch(_each(f"SELECT DISTINCT message_class, FLOOR(expires_at / {HOUR_SECONDS})"))
    return {KeyName(message_class, int(hour)) for message_class, hour in found}


def _each(selected: str) -> str:
    # Of each state by itself: an index has the first and the last of it at hand.
    return " UNION ALL ".join(
        f"{selected} FROM sms_message WHERE ended_at = 0 AND state = '{state}'" for state in _MAY_BE_SENT
    )
