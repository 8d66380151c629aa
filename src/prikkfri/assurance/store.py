"""All SQL of what is counted of outcomes, and of alarms."""

from collections.abc import Iterable
from dataclasses import dataclass

from prikkfri.assurance.counting import PERIOD_SECONDS, Count
from prikkfri.assurance.outcomes.stored import stored_text
from prikkfri.storage import Queries, Transaction


@dataclass(frozen=True)
class Alarm:
    """Something that a follower could not explain, until a person has seen it."""

    text: str
    first_at: float
    last_at: float
    times: int
    seen_by: str
    seen_at: float


async def add_counts(transaction: Transaction, counts: Iterable[Count]) -> None:
    await transaction.execute_many(
        "INSERT INTO outcome_count (second, service, step, layer, verdict, reason, observed, outcomes)"
        " VALUES (:second, :service, :step, :layer, :verdict, :reason, :observed, :outcomes)"
        " ON CONFLICT (second, service, step, layer, verdict, reason, observed)"
        " DO UPDATE SET outcomes = outcome_count.outcomes + excluded.outcomes",
        [count._asdict() for count in counts],
    )


async def counts(queries: Queries, *, since: int, until: int, period: int) -> list[Count]:
    """What was counted from `since` to before `until`, added up in periods of `period` seconds.

    `period` is a multiple of the periods in which counts are kept.
    """
    if period == PERIOD_SECONDS:  # as they are kept, each kind is one row: adding up a thousand of them costs as much
        rows = await queries.fetch(
            "SELECT second, service, step, layer, verdict, reason, observed, outcomes FROM outcome_count"
            " WHERE second >= :since AND second < :until ORDER BY 1, 2, 3, 4, 5, 6, 7",
            {"since": since, "until": until},
        )
        return [Count._make((*row[:6], bool(row[6]), row[7])) for row in rows]
    rows = await queries.fetch(
        "SELECT second / :period * :period, service, step, layer, verdict, reason, observed,"
        " CAST(SUM(outcomes) AS BIGINT) FROM outcome_count WHERE second >= :since AND second < :until"
        " GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1",
        {"since": since, "until": until, "period": period},
    )
    return [Count._make((*row[:6], bool(row[6]), row[7])) for row in rows]


async def raise_alarm(transaction: Transaction, text: str, now: float) -> None:
    """Stores an alarm; the same text, which names positions, is the same event met again."""
    await transaction.execute(
        "INSERT INTO alarm (text, first_at, last_at, times, seen_by, seen_at) VALUES (:text, :now, :now, 1, '', 0)"
        " ON CONFLICT (text) DO UPDATE SET last_at = excluded.last_at, times = alarm.times + 1",
        {"text": stored_text(text), "now": now},
    )


async def alarms(queries: Queries, *, most: int) -> list[Alarm]:
    """Unseen alarms first, then the newest."""
    rows = await queries.fetch(
        "SELECT text, first_at, last_at, times, seen_by, seen_at FROM alarm"
        " ORDER BY CASE WHEN seen_by = '' THEN 0 ELSE 1 END, last_at DESC LIMIT :most",
        {"most": most},
    )
    return [Alarm(*row) for row in rows]


async def mark_alarm_seen(transaction: Transaction, text: str, *, by: str, now: float) -> None:
    await transaction.execute(
        "UPDATE alarm SET seen_by = :by, seen_at = :now WHERE text = :text AND seen_by = ''",
        {"text": text, "by": by, "now": now},
    )


async def erase_counts(transaction: Transaction, *, before: float) -> int:
    return await transaction.execute(
        "DELETE FROM outcome_count WHERE second < :before AND second <= (SELECT MIN(second) + 600 FROM outcome_count)",
        {"before": int(before)},
    )
