"""Opening an area: find its engine, bring its tables up to date."""

import logging
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from prikkfri.errors import StorageDamaged, StorageError, StorageUnavailable
from prikkfri.storage.database import Database, Queries, Transaction
from prikkfri.storage.limits import LIMITS, StorageLimits
from prikkfri.storage.sqlite import SqliteEngine

log = logging.getLogger(__name__)

AREAS = ("signin", "sms", "assurance", "subscribers")
"""Each a SQLite file or a PostgreSQL schema, written by one role (subscribers: by the import)."""
_MADE_SQLITE = "SELECT 1 FROM sqlite_master WHERE name = 'migration' AND :area <> ''"
_MADE_POSTGRES = "SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = :area AND tablename = 'migration'"


@dataclass(frozen=True)
class Location:
    """Where the databases of an installation are: `url` of PostgreSQL, or `home` with a SQLite file for each area."""

    home: Path
    url: str = ""


def open_unmigrated(
    location: Location, area: str, *, read_only: bool = False, limits: StorageLimits = LIMITS
) -> Database:
    """Opens an area with the tables that it has."""
    if area not in AREAS:
        raise StorageError(f"there is no area {area!r}")
    if location.url:
        from prikkfri.storage.postgres import PostgresEngine  # its driver takes longer to load than a command may

        return Database(PostgresEngine(location.url, area=area, limits=limits), area=area, limits=limits)
    engine = SqliteEngine(location.home / f"{area}.db", read_only=read_only, limits=limits)
    return Database(engine, area=area, limits=limits)


async def open_database(location: Location, area: str, *, limits: StorageLimits = LIMITS) -> Database:
    """Opens an area for writing and reading and migrates it. Raises `StorageError`."""
    return await _migrated(open_unmigrated(location, area, limits=limits))


async def migrations_missing(location: Location, area: str) -> int | None:
    """How many migrations an area has still to get; None when it has no tables yet. Makes nothing.

    Raises `StorageError` when it cannot be read, or a newer version has written it.
    """
    if not location.url and not (location.home / f"{area}.db").exists():
        return None
    database = open_reader(location, area)
    made = _MADE_POSTGRES if location.url else _MADE_SQLITE
    try:
        if await database.read(lambda queries: queries.fetch_one(made, {"area": area})) is None:
            return None
        had = await database.read(applied)
    finally:
        await database.close()
    known = {number for number, _, _ in history()}
    _refuse_newer(area, had - known)
    return len(known - had)


async def unreachable(location: Location, area: str) -> str:
    """Why a PostgreSQL does not answer; empty when it does. Raises what else `StorageError` an answer is."""
    database = open_reader(location, area)
    try:
        await database.read(lambda queries: queries.fetch_one("SELECT 1"))
    except StorageUnavailable as error:
        return str(error)
    finally:
        await database.close()
    return ""


def open_reader(location: Location, area: str) -> Database:
    """Opens another role's area to read. Raises `StorageUnavailable` when a SQLite file does not exist yet."""
    return open_unmigrated(location, area, read_only=True)


def _spool_file(home: Path, stream: str) -> Path:
    return home / "spool" / f"{stream.replace('/', '.')}.db"


async def open_spool(home: Path, stream: str) -> Database:
    """Each process of a role without a database has a SQLite file for its journal, whatever the others use.

    A file that is damaged is set aside as `STREAM.db.damaged` and begun anew: who follows is alarmed, the role runs.
    """
    file = _spool_file(home, stream)
    try:
        return await _migrated(Database(SqliteEngine(file), area=stream))
    except StorageDamaged as error:
        log.error("%s; it is set aside", error)
        for suffix in ("", "-wal", "-shm"):
            part = file.with_name(file.name + suffix)
            if part.exists():
                part.replace(file.with_name(f"{file.name}.damaged{suffix}"))
        return await _migrated(Database(SqliteEngine(file), area=stream))


def open_spool_reader(home: Path, stream: str) -> Database:
    return Database(SqliteEngine(_spool_file(home, stream), read_only=True), area=stream)


async def _migrated(database: Database) -> Database:
    try:
        await database.engine.prepare()
        await migrate(database)
    except BaseException as error:  # also when whoever opens is told to stop
        await database.close()
        raise database.engine.portable(error) from error
    return database


def history() -> list[tuple[int, str, str]]:
    """The migrations in order: number, name, SQL."""
    folder = resources.files("prikkfri.storage") / "migrations"
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return sorted((int(e.name[:4]), e.name[5:-4], e.read_text(encoding="utf-8")) for e in found)


async def migrate(database: Database, *, up_to: int | None = None) -> None:
    """Applies what the area has not had yet, in one transaction. Raises `StorageError`.

    Refuses an area that a newer version has written: an old program would not know what it destroys.
    """
    known = history()

    async def apply(transaction: Transaction) -> None:
        await database.engine.lock_for_migration(transaction)
        await transaction.execute(
            "CREATE TABLE IF NOT EXISTS migration (number BIGINT PRIMARY KEY, name TEXT NOT NULL)"
        )
        had = await applied(transaction)
        _refuse_newer(database.area, had - {number for number, _, _ in known})
        for number, name, sql in known:
            if number in had or (up_to is not None and number > up_to):
                continue
            for statement in database.engine.ddl(sql).split(";\n"):
                if statement.strip():
                    await transaction.execute(statement)
            await transaction.execute(
                "INSERT INTO migration (number, name) VALUES (:number, :name)", {"number": number, "name": name}
            )

    await database.write(apply)


def _refuse_newer(area: str, unknown: set[int]) -> None:
    if unknown:
        raise StorageError(f"{area}: written by a newer version (migration {max(unknown)}); install that version")


async def applied(queries: Queries) -> set[int]:
    """The numbers of the migrations that an area has had."""
    return {row[0] for row in await queries.fetch("SELECT number FROM migration")}
