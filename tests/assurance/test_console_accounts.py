"""Accounts, sessions and looks on both engines."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from prikkfri.assurance.console import Busy, Console, ensure_first_account
from prikkfri.assurance.console.service import HASHES_WAITING_MAX
from prikkfri.assurance.console.store import erase_looks
from prikkfri.clock import ManualClock
from prikkfri.storage import Database, Location, open_database


@pytest.fixture
async def assurance_database(location: Location) -> AsyncIterator[Database]:
    database = await open_database(location, "assurance")
    yield database
    await database.close()


async def test_accounts_sessions_and_looks(assurance_database: Database, clock: ManualClock) -> None:
    console = Console(assurance_database, clock=clock)
    made = await ensure_first_account(assurance_database, clock)
    assert made is not None and await ensure_first_account(assurance_database, clock) is None
    name, password = made
    token = await console.sign_in(name, password)
    assert token is not None and await console.who(token) == name
    assert await console.sign_in(name, password + "x") is None
    assert await console.who("") is None and await console.who(token + "x") is None
    for refused in ("", " duty", "duty ", "a\nb", "x" * 41, name):
        assert await console.add_account(refused, by=name) is None
    assert await console.add_account("ola", by=name)
    assert [account.name for account in await console.accounts()] == [name, "ola"]
    await console.record_look(who="ola", what="outcomes of a customer", subject="s-1", why="case 1")
    clock.advance(10)
    await console.record_look(who=name, what="outcomes of a customer", subject="s-2", why="case 2")
    assert [look.subject for look in await console.looks()] == ["s-2", "s-1"]
    await assurance_database.write(lambda t: erase_looks(t, before=clock.now()))
    assert [look.subject for look in await console.looks()] == ["s-2"]
    await console.remove_account(name)
    assert await console.who(token) is None


async def test_two_first_starts_at_once_make_one_account(assurance_database: Database, clock: ManualClock) -> None:
    made = await asyncio.gather(*(ensure_first_account(assurance_database, clock) for _ in range(3)))
    assert len([account for account in made if account]) == 1


async def test_a_crowd_at_the_console_is_refused_at_once(assurance_database: Database, clock: ManualClock) -> None:
    console = Console(assurance_database, clock=clock)
    tries = await asyncio.gather(
        *(console.sign_in("nobody", "password") for _ in range(HASHES_WAITING_MAX + 15)), return_exceptions=True
    )
    assert sum(isinstance(result, Busy) for result in tries) == 15
    assert tries.count(None) == HASHES_WAITING_MAX
