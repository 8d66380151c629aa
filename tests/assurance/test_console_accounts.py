"""Accounts, sessions and looks on both engines."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from prikkfri.assurance.console import Account, Busy, Console, Look, ensure_first_account
from prikkfri.assurance.console.service import WORD_CHARACTERS, Limits, generated_password
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
    console = Console(assurance_database, clock=clock, limits=Limits(hashes_waiting_max=3))
    tries = await asyncio.gather(*(console.sign_in("nobody", "password") for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, Busy) for result in tries) == 5
    assert tries.count(None) == 3
    # Those who come after the crowd are served again.
    assert await console.sign_in("nobody", "password") is None


async def test_a_session_ends_by_itself_by_a_sign_out_and_with_its_account_and_no_other_does(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, limits=Limits(session_seconds=100.0))
    names = ("kari", "ola")
    passwords = {name: await console.add_account(name, by="duty") for name in names}

    async def sign_in(name: str) -> str:
        token = await console.sign_in(name, passwords[name] or "")
        assert token is not None
        return token

    kari, ola, another = await sign_in("kari"), await sign_in("ola"), await sign_in("kari")
    assert len({kari, ola, another}) == 3
    stored = await assurance_database.read(
        lambda q: q.fetch("SELECT token_digest, name, expires_at FROM console_session")
    )
    assert sorted(row[1:] for row in stored) == [
        ("kari", clock.now() + 100), ("kari", clock.now() + 100), ("ola", clock.now() + 100),
    ]  # fmt: skip
    assert not {kari, ola, another} & {row[0] for row in stored}  # whoever reads the table cannot sign in by it
    await console.sign_out(kari)
    assert [await console.who(token) for token in (kari, ola, another)] == [None, "ola", "kari"]
    clock.advance(99.9)
    assert await console.who(ola) == "ola"
    clock.advance(0.1)
    assert [await console.who(token) for token in (ola, another)] == [None, None]
    kari, ola = await sign_in("kari"), await sign_in("ola")
    count = "SELECT COUNT(*) FROM console_session"
    assert await assurance_database.read(lambda q: q.fetch_one(count)) == (2,)  # those past their time are gone
    await console.remove_account("kari")
    assert [await console.who(kari), await console.who(ola)] == [None, "ola"]
    assert [account.name for account in await console.accounts()] == ["ola"]
    assert await console.sign_in("kari", passwords["kari"] or "") is None


async def test_a_changed_password_opens_the_door_and_the_old_one_does_not(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock)
    old, others = await console.add_account("kari", by="duty"), await console.add_account("ola", by="duty")
    assert old and others and old != others
    token, ola = await console.sign_in("kari", old), await console.sign_in("ola", others)
    assert token and ola
    new = "n" * 12
    for refused in ("n" * 11, "n" * 201):
        assert not await console.change_password("kari", old, refused)
    assert not await console.change_password("kari", "wrong", new)
    assert not await console.change_password("nobody", old, new)
    assert await console.who(token) == "kari"
    assert await console.change_password("kari", old, new)
    assert [await console.who(token), await console.who(ola)] == [None, "ola"]
    assert await console.sign_in("kari", old) is None
    assert await console.who(await console.sign_in("kari", new) or "") == "kari"
    assert await console.change_password("kari", new, "m" * 200)
    assert await console.who(await console.sign_in("kari", "m" * 200) or "") == "kari"


async def test_an_account_that_is_there_is_not_replaced_and_of_all_there_is_a_most(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, limits=Limits(accounts_max=2))
    password = await console.add_account("x" * 40, by="duty")
    clock.advance(5)
    assert await console.add_account("x" * 40, by="somebody else") is None
    assert await console.sign_in("x" * 40, password or "")
    assert await console.accounts() == [Account("x" * 40, clock.now() - 5, "duty")]
    assert await console.add_account("second", by="duty") and await console.add_account("third", by="duty") is None
    assert [account.name for account in await console.accounts()] == ["second", "x" * 40]


async def test_looks_are_kept_whole_and_shown_newest_first_up_to_a_limit(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, limits=Limits(looks_shown_max=3))
    for number in range(5):
        await console.record_look(who=f"w{number}", what="outcomes", subject=f"s-{number}", why=f"case {number}")
        clock.advance(1)
    now = clock.now()
    shown = [Look(now - 5 + n, f"w{n}", "outcomes", f"s-{n}", f"case {n}") for n in (4, 3, 2)]
    assert await console.looks() == shown
    await assurance_database.write(lambda t: erase_looks(t, before=now - 3))
    count = "SELECT COUNT(*) FROM look"
    assert await assurance_database.read(lambda q: q.fetch_one(count)) == (3,)
    assert await console.looks() == shown


def test_a_generated_password_can_be_read_out_and_never_comes_twice() -> None:
    made = {generated_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        groups = password.split("-")
        assert [len(group) for group in groups] == [4] * 5 and set("".join(groups)) <= set(WORD_CHARACTERS)
    assert not set("l1o0") & set(WORD_CHARACTERS) and len(set(WORD_CHARACTERS)) == 32 == len(WORD_CHARACTERS)
