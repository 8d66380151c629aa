"""Leases on both engines: one holds it, and it is free when its holder ends, however that ends."""

import psycopg
import pytest

from prikkfri.errors import StorageUnavailable
from prikkfri.storage import Location
from prikkfri.storage.leases import open_lease


async def test_one_holds_a_lease_until_it_gives_it_back(location: Location) -> None:
    first, second, other = (open_lease(location, name) for name in ("sms", "sms", "signin/b"))
    try:
        assert await first.take() and await first.take()
        assert not await second.take() and not await second.take()
        assert await other.take()  # of another name
        await first.close()
        assert await second.take()
        assert not await first.take()
        await second.close()
        assert await first.take()
    finally:
        for each in (first, second, other):
            await each.close()


async def test_whose_session_has_ended_holds_nothing(postgres_url: str, location: Location) -> None:
    location = Location(location.home, postgres_url)
    first, second = open_lease(location, "sms"), open_lease(location, "sms")
    try:
        assert await first.take()
        _end_sessions(postgres_url)
        assert await first.take()  # nobody was quicker
        _end_sessions(postgres_url)
        assert await second.take()
        assert not await first.take()
    finally:
        await first.close()
        await second.close()


async def test_of_a_server_that_is_away_nothing_is_known(location: Location) -> None:
    lease = open_lease(Location(location.home, "postgresql://127.0.0.1:1/none"), "sms")
    with pytest.raises(StorageUnavailable, match="the lease sms"):
        await lease.take()
    await lease.close()


def _end_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'prikkfri lease sms'"
            " AND datname = current_database()"
        )
        while connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'prikkfri lease sms'"
            " AND datname = current_database()"
        ).fetchone():
            pass
