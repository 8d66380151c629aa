"""The database: group commit over SQLite or PostgreSQL, and one migration history."""

from prikkfri.storage.database import Database, Parameters, Queries, Row, Snapshot, Transaction
from prikkfri.storage.limits import StorageLimits
from prikkfri.storage.opening import Location, open_database, open_reader, open_spool, open_spool_reader
from prikkfri.storage.sets import fetch_in, fetch_pages, in_parts, insert_new, named_row_sets, named_sets, named_values

__all__ = [
    "Database",
    "Location",
    "Parameters",
    "Queries",
    "Row",
    "Snapshot",
    "StorageLimits",
    "Transaction",
    "fetch_in",
    "fetch_pages",
    "in_parts",
    "insert_new",
    "named_row_sets",
    "named_sets",
    "named_values",
    "open_database",
    "open_reader",
    "open_spool",
    "open_spool_reader",
]
