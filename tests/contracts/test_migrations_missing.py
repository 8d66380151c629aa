"""How far an area is from what this version knows, looked at without a change, on either engine."""

import pytest

from prikkfri.errors import StorageError
from prikkfri.storage import Location, open_database
from prikkfri.storage.opening import history, migrate, migrations_missing, open_unmigrated


async def test_what_an_area_has_still_to_get_is_told_and_nothing_is_made(location: Location) -> None:
    assert await migrations_missing(location, "signin") is None
    assert await migrations_missing(location, "signin") is None
    assert list(location.home.iterdir()) == []
    old = open_unmigrated(location, "signin")
    await old.engine.prepare()
    assert await migrations_missing(location, "signin") is None
    await migrate(old, up_to=2)
    await old.close()
    assert await migrations_missing(location, "signin") == len(history()) - 2
    assert await migrations_missing(location, "sms") is None
    new = await open_database(location, "signin")
    assert await migrations_missing(location, "signin") == 0
    await new.write(lambda t: t.execute("INSERT INTO migration (number, name) VALUES (9999, 'later')"))
    await new.close()
    with pytest.raises(StorageError, match=r"signin: written by a newer version \(migration 9999\)"):
        await migrations_missing(location, "signin")
