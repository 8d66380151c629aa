"""All SQL of one customer: the lists they stand on, what was given, their messages; and their name taken off it all.

To erase somebody is to put a name drawn by lot in the place of theirs, the same everywhere: lists, sums and credits
stand, and nobody can go back.
"""

from collections.abc import Callable, Mapping, Sequence

from prikkfri.assurance.outcomes.store import every_table, tables_of
from prikkfri.assurance.personal.history import CustomerHit, Number
from prikkfri.storage import Queries, Transaction

_HIT = (
    "SELECT h.incident, h.step, h.first_asked, h.tries, h.unanswered, h.last_reason, h.kept_later_at, h.observed,"
    " COALESCE(c.amount, 0), COALESCE(c.currency, ''), COALESCE(c.given_by, ''), COALESCE(c.given_at, 0),"
    " COALESCE(c.told_message, ''), COALESCE(c.told_at, 0) FROM incident_hit h"
    " LEFT JOIN service_credit c ON c.credit_key = h.incident || ':' || h.customer AND h.customer <> ''"
)


async def hits_of(queries: Queries, customer: str, numbers: Sequence[Number], *, most: int) -> list[CustomerHit]:
    """The lists on which a customer stands, by name or by a number that they held, the newest first."""
    rows = await queries.fetch(
        _HIT + " WHERE h.customer = :customer AND h.customer <> '' ORDER BY h.first_asked DESC LIMIT :most",
        {"customer": customer, "most": most},
    )
    for number in numbers:
        rows += await queries.fetch(
            _HIT + " WHERE h.device = :device AND h.customer = '' AND h.first_asked >= :since"
            " AND h.first_asked < :until ORDER BY h.first_asked DESC LIMIT :most",
            {"device": number.msisdn, "since": number.since, "until": number.until, "most": most},
        )
    hits = [CustomerHit(*row)._replace(observed=bool(row[7])) for row in rows]
    return sorted(hits, key=lambda hit: hit.asked_at, reverse=True)[:most]


async def messages_to(queries: Queries, numbers: Sequence[Number], *, most: int) -> list[str]:
    """The ids of text messages to these numbers while they were held, the newest first."""
    found: dict[str, float] = {}
    for number in numbers:
        for table in await tables_of(queries, since=number.since, until=number.until):
            rows = await queries.fetch(
                f"SELECT promise, MAX(time) FROM {table} WHERE device = :device AND device <> '' AND time >= :since"  # noqa: S608
                " AND time < :until AND service = 'messages' AND step = 'deliver' AND promise <> ''"
                " GROUP BY promise ORDER BY 2 DESC LIMIT :most",
                {"device": number.msisdn, "since": number.since, "until": number.until, "most": most},
            )
            for promise, time in rows:
                found[promise] = max(time, found.get(promise, time))
    return sorted(found, key=lambda message: found[message], reverse=True)[:most]


async def recorded(queries: Queries, what: str, *, since: float) -> list[str]:
    """Of whom it is on record since then that this was done."""
    rows = await queries.fetch(
        "SELECT DISTINCT subject FROM look WHERE at >= :since AND what = :what ORDER BY subject",
        {"since": since, "what": what},
    )
    return [subject for (subject,) in rows]


async def erase(
    transaction: Transaction, customer: str, numbers: Sequence[Number], drawn: Callable[[str], str]
) -> tuple[int, list[str] | None]:
    """Takes a customer's name off all that is kept; returns how many outcomes and which incidents it concerned.

    None for the incidents: of them nothing was kept of which a history is made.
    `drawn` gives a name drawn by lot: for the customer (`erased-`), and for each device of theirs (`d-erased-`).
    """
    who = {"customer": customer, "nobody": drawn("erased-")}
    touched = {
        incident
        for (incident,) in await transaction.fetch(
            "SELECT incident FROM incident_hit WHERE customer = :customer AND customer <> ''", who
        )
    }
    tables = await every_table(transaction)
    erased = await _erase_devices(transaction, who, tables, drawn)
    erased += await _of_each(
        transaction, tables, "SET customer = :nobody, device = '' WHERE customer = :customer AND customer <> ''", who
    )
    held = await transaction.execute("UPDATE device_holder SET customer = :nobody WHERE customer = :customer", who)
    await transaction.execute(
        "UPDATE incident_hit SET customer = :nobody, person = :person,"
        " device = CASE WHEN SUBSTR(device, 1, 9) = 'd-erased-' THEN device ELSE '' END"
        " WHERE customer = :customer AND customer <> ''",
        {**who, "person": f"customer:{who['nobody']}"},
    )
    await transaction.execute(
        # By their keys, one for each incident there was: a customer may have been credited and stand on no list now.
        "UPDATE service_credit SET customer = :nobody, credit_key = incident || :key, told_message = ''"
        " WHERE credit_key IN (SELECT id || :theirs FROM incident) AND customer = :customer",
        {**who, "key": f":{who['nobody']}", "theirs": f":{customer}"},
    )
    for number in numbers:
        outcomes, incidents = await _erase_number(transaction, number, tables, drawn("d-erased-"))
        erased, touched = erased + outcomes, touched | incidents
    if not (erased or touched or held):
        return 0, None
    # No history is known again that was made of their outcomes: its pieces go with the next look.
    await transaction.execute("DELETE FROM incident_checkpoint", {})
    return erased, sorted(touched)


async def _of_each(transaction: Transaction, tables: Sequence[str], change: str, who: Mapping[str, object]) -> int:
    """Changes the outcomes of each table; returns how many that were."""
    return sum([await transaction.execute(f"UPDATE {table} {change}", who) for table in tables])


async def _erase_devices(
    transaction: Transaction, who: Mapping[str, str], tables: Sequence[str], drawn: Callable[[str], str]
) -> int:
    """Renames what was done on the devices that a customer held; returns how many outcomes that were."""
    rows = await transaction.fetch(
        "SELECT mine.device, (SELECT COUNT(*) FROM device_holder other WHERE other.device = mine.device)"
        " FROM device_holder mine WHERE mine.customer = :customer",
        who,
    )
    erased = 0
    for device, holders in rows:
        # A device that others hold as well stays theirs: what this customer did on it keeps no device at all.
        other = drawn("d-erased-") if holders == 1 else ""
        held = {**who, "device": device, "other": other}
        erased += await _of_each(
            transaction,
            tables,
            "SET customer = :nobody, device = :other WHERE customer = :customer AND customer <> ''"
            " AND device = :device",
            held,
        )
        await transaction.execute(
            "UPDATE incident_hit SET device = :other WHERE customer = :customer AND customer <> ''"
            " AND device = :device",
            held,
        )
        if other:
            erased += await _of_each(
                transaction, tables, "SET device = :other WHERE device = :device AND device <> ''", held
            )
            await transaction.execute("DELETE FROM device_named WHERE device = :device", held)
            await transaction.execute("UPDATE device_holder SET device = :other WHERE device = :device", held)
    return erased


async def _erase_number(
    transaction: Transaction, number: Number, tables: Sequence[str], other: str
) -> tuple[int, set[str]]:
    """Renames what went to a number while it was held; returns how many outcomes, and which incidents."""
    held = {"device": number.msisdn, "since": number.since, "until": number.until}
    renamed = {**held, "other": other, "person": f"device:{other}"}
    while_held = "device = :device AND customer = '' AND first_asked >= :since AND first_asked < :until"
    touched = await transaction.fetch(f"SELECT incident FROM incident_hit WHERE {while_held}", held)  # noqa: S608
    erased = await _of_each(
        transaction,
        tables,
        "SET device = :other WHERE device = :device AND device <> '' AND time >= :since AND time < :until",
        {**held, "other": other},
    )
    await transaction.execute(
        f"UPDATE incident_hit SET device = :other, person = :person WHERE {while_held}",  # noqa: S608
        renamed,
    )
    return erased, {incident for (incident,) in touched}
