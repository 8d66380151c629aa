"""Accounts, sessions and looks on both engines."""

import asyncio
import hashlib
import re
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Literal

import pytest
from argon2 import PasswordHasher
from console_doubles import KEY, QUICK_HASHER
from waiting import eventually

from prikkfri.assurance.console import (
    Busy,
    Console,
    ConsoleUser,
    CustomerAccess,
    SecondFactorChallenge,
    TooManyTries,
    ensure_first_user,
)
from prikkfri.assurance.console.places import HashCaller, HashQuota, has_room
from prikkfri.assurance.console.service import WORD_CHARACTERS, Limits, generated_password
from prikkfri.assurance.console.store import (
    SecondFactor,
    codes,
    erase_accesses,
    knows_browser,
    spend_recovery,
    use_code,
)
from prikkfri.clock import ManualClock
from prikkfri.protocols.one_time import hotp, shown_secret, step_at
from prikkfri.storage import Database, Location, open_database
from prikkfri.storage.keys import SecretKey


@pytest.fixture
async def assurance_database(location: Location) -> AsyncIterator[Database]:
    database = await open_database(location, "assurance")
    yield database
    await database.close()


async def test_accounts_sessions_and_looks(assurance_database: Database, clock: ManualClock) -> None:
    console = Console(assurance_database, clock=clock, key=KEY)
    made = await ensure_first_user(assurance_database, clock)
    assert made is not None and await ensure_first_user(assurance_database, clock) is None
    name, password = made
    token = await console.sign_in(name, password)
    assert token is not None and await console.who(token) == name
    assert await console.sign_in(name, password + "x") is None
    assert await console.who("") is None and await console.who(token + "x") is None
    for refused in ("", " duty", "duty ", "a\nb", "x" * 41, name):
        assert await console.add_user(refused, by=name) is None
    assert await console.add_user("ola", by=name)
    assert [account.name for account in await console.users()] == [name, "ola"]
    await console.record_access(who="ola", what="a customer's page", subject="s-1", why="case 1")
    clock.advance(10)
    await console.record_access(who=name, what="a customer's page", subject="s-2", why="case 2")
    assert [look.subject for look in await console.accesses()] == ["s-2", "s-1"]
    await assurance_database.write(lambda t: erase_accesses(t, before=clock.now()))
    assert [look.subject for look in await console.accesses()] == ["s-2"]
    await console.remove_user(name)
    assert await console.who(token) is None


async def test_two_first_starts_at_once_make_one_account(assurance_database: Database, clock: ManualClock) -> None:
    made = await asyncio.gather(*(ensure_first_user(assurance_database, clock) for _ in range(3)))
    assert len([account for account in made if account]) == 1


class Waiting(PasswordHasher):
    """Takes until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go_on = threading.Event()

    def verify(self, *given: Any, **named: Any) -> Literal[True]:
        self.go_on.wait()
        return super().verify(*given, **named)


async def test_a_crowd_at_the_console_is_refused_at_once(assurance_database: Database, clock: ManualClock) -> None:
    hasher = Waiting()
    console = Console(assurance_database, clock=clock, key=KEY, hasher=hasher)
    tries = [asyncio.create_task(console.sign_in("nobody", "password")) for _ in range(8)]
    await eventually(lambda: sum(each.done() for each in tries) == 5)
    hasher.go_on.set()
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, Busy) for result in found) == 5
    assert found.count(None) == 3
    # Those who come after the crowd are served again.
    assert await console.sign_in("nobody", "password") is None


async def test_a_session_ends_by_itself_by_a_sign_out_and_with_its_account_and_no_other_does(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, limits=Limits(session_seconds=100.0))
    names = ("kari", "ola")
    passwords = {name: await console.add_user(name, by="duty") for name in names}

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
    await console.remove_user("kari")
    assert [await console.who(kari), await console.who(ola)] == [None, "ola"]
    assert [account.name for account in await console.users()] == ["ola"]
    assert await console.sign_in("kari", passwords["kari"] or "") is None


async def test_a_changed_password_opens_the_door_and_the_old_one_does_not(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY)
    old, others = await console.add_user("kari", by="duty"), await console.add_user("ola", by="duty")
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
    assert await console.sign_in("kari", old) is None and await console.sign_in("ola", new) is None
    assert await console.who(await console.sign_in("kari", new) or "") == "kari"
    assert await console.sign_in("ola", others), "another's password is what it was"
    assert await console.change_password("kari", new, "m" * 200)
    assert await console.who(await console.sign_in("kari", "m" * 200) or "") == "kari"


async def test_an_account_that_is_there_is_not_replaced_and_of_all_there_is_a_most(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, limits=Limits(users_max=2))
    password = await console.add_user("x" * 40, by="duty")
    clock.advance(5)
    assert await console.add_user("x" * 40, by="somebody else") is None
    assert await console.sign_in("x" * 40, password or "")
    assert await console.users() == [ConsoleUser("x" * 40, clock.now() - 5, "duty")]
    assert await console.add_user("second", by="duty") and await console.add_user("third", by="duty") is None
    assert [account.name for account in await console.users()] == ["second", "x" * 40]


async def test_looks_are_kept_whole_and_shown_newest_first_up_to_a_limit(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, limits=Limits(accesses_shown_max=3))
    for number in range(5):
        await console.record_access(who=f"w{number}", what="outcomes", subject=f"s-{number}", why=f"case {number}")
        clock.advance(1)
    now = clock.now()
    shown = [CustomerAccess(now - 5 + n, f"w{n}", "outcomes", f"s-{n}", f"case {n}") for n in (4, 3, 2)]
    assert await console.accesses() == shown
    await assurance_database.write(lambda t: erase_accesses(t, before=now - 3))
    count = "SELECT COUNT(*) FROM look"
    assert await assurance_database.read(lambda q: q.fetch_one(count)) == (3,)
    assert await console.accesses() == shown


def test_a_generated_password_can_be_read_out_and_never_comes_twice() -> None:
    made = {generated_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        groups = password.split("-")
        assert [len(group) for group in groups] == [4] * 5 and set("".join(groups)) <= set(WORD_CHARACTERS)
    assert not set("l1o0") & set(WORD_CHARACTERS) and len(set(WORD_CHARACTERS)) == 32 == len(WORD_CHARACTERS)


HOME, OFFICE, KNOWN = HashCaller(False, "192.0.2.1"), HashCaller(False, "198.51.100.1"), HashCaller(True, "browser")
STRANGERS = {HashCaller(False, f"203.0.113.{n}"): 3 for n in range(4)}


@pytest.mark.parametrize(
    ("waiting", "asking", "room"),
    [
        ({}, HOME, True), ({HOME: 2}, HOME, True), ({HOME: 3}, HOME, False), ({HOME: 3}, OFFICE, True),
        (STRANGERS, OFFICE, False), (STRANGERS, KNOWN, True), ({**STRANGERS, KNOWN: 2}, KNOWN, True),
        ({**STRANGERS, KNOWN: 3}, KNOWN, False), ({HashCaller(True, str(n)): 2 for n in range(10)}, KNOWN, False),
        ({HashCaller(True, str(n)): 2 for n in range(9)}, KNOWN, True),
        ({HashCaller(True, str(n)): 2 for n in range(9)}, HOME, True),
    ],
)  # fmt: skip
def test_places_before_the_hash_thread_are_shared_by_network_and_some_kept_for_who_is_known(
    waiting: dict[HashCaller, int], asking: HashCaller, room: bool
) -> None:
    assert has_room(waiting, asking, HashQuota()) is room
    assert has_room({}, asking, HashQuota(of_one=1)) and not has_room({asking: 1}, asking, HashQuota(of_one=1))


class Gated(PasswordHasher):
    """Compares passwords when the test opens the gate."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.open = threading.Event()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        assert self.open.wait(60)
        return super().verify(hash, password)


async def test_while_a_network_guesses_people_elsewhere_and_in_known_browsers_get_in(
    assurance_database: Database, clock: ManualClock
) -> None:
    hasher = Gated()
    console = Console(assurance_database, clock=clock, key=KEY, hasher=hasher)
    password = await console.add_user("kari", by="duty") or ""
    browser = await console.remember_browser("kari", "planted")
    assert browser != "planted" and await console.remember_browser("kari", browser) == browser
    flood = [asyncio.create_task(console.sign_in(f"n{n}", "wrong", address="192.0.2.1")) for n in range(100)]
    await eventually(lambda: sum(guess.done() for guess in flood) == 97)
    here = asyncio.create_task(console.sign_in("kari", password, address="192.0.2.1"))
    with pytest.raises(Busy):
        await here
    people = [
        asyncio.create_task(console.sign_in("kari", password, address="198.51.100.1")),
        asyncio.create_task(console.sign_in("kari", password, address="192.0.2.1", browser=browser)),
    ]
    hasher.open.set()
    assert all(isinstance(token, str) for token in await asyncio.gather(*people))
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert answers.count(None) == 3 and sum(isinstance(answer, Busy) for answer in answers) == 97


async def test_a_name_and_a_network_are_guessed_so_often_and_a_known_browser_is_not_kept_out(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, hasher=QUICK_HASHER)
    passwords = {name: await console.add_user(name, by="duty") or "" for name in ("kari", "ola")}
    browser = await console.remember_browser("kari", "")
    rows = await assurance_database.read(lambda q: q.fetch("SELECT token_digest, name FROM console_browser"))
    assert len(rows) == 1 and rows[0][0] != browser and rows[0][1] == "kari"

    async def tried(name: str, password: str, **more: str) -> str:
        try:
            return "in" if await console.sign_in(name, password, **more) else "wrong"
        except TooManyTries as refusal:
            assert refusal.retry_after_s > 0
            return "too many"

    here = {"address": "192.0.2.1"}
    assert [await tried("kari", "wrong", **here) for _ in range(7)] == ["wrong"] * 6 + ["too many"]
    assert await tried("kari", passwords["kari"], **here) == "too many"  # tells nothing, though it is right
    assert await tried("kari", passwords["kari"], browser=browser, **here) == "in"
    assert await tried("kari", passwords["kari"], address="198.51.100.1") == "in"
    assert await tried("ola", passwords["ola"], browser=browser, **here) == "in"
    for number in range(44):
        await tried("kari", "wrong", address=f"203.0.113.{number}")
    assert await tried("kari", passwords["kari"], address="198.51.100.1") == "too many"
    assert await tried("kari", passwords["kari"], address="198.51.100.1", browser=browser) == "in"
    for number in range(54):
        await tried(f"n{number}", "wrong", **here)
    assert await tried("ola", passwords["ola"], browser=browser, **here) == "too many"  # it is known to kari alone
    assert [await tried("kari", "wrong", browser=browser) for _ in range(7)] == ["wrong"] * 6 + ["too many"]
    clock.advance(900)
    assert await tried("kari", passwords["kari"], **here) == "in"


async def test_browsers_are_known_so_long_so_many_and_no_longer_than_their_account(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, limits=Limits(browsers_max=2, browser_seconds=100.0))
    count = "SELECT COUNT(*) FROM console_browser WHERE name = 'kari'"

    async def known(browser: str, name: str = "kari") -> bool:
        digest = hashlib.sha256(browser.encode()).hexdigest()
        return await assurance_database.read(lambda q: knows_browser(q, digest, name, since=clock.now() - 100))

    browsers = []
    for _ in range(3):
        browsers.append(await console.remember_browser("kari", ""))
        clock.advance(1)
    another = await console.remember_browser("ola", browsers[2])
    assert another == browsers[2] and [await known(each) for each in browsers] == [False, True, True]
    clock.advance(98)
    assert [await known(each) for each in browsers] == [False, False, True]
    await console.remember_browser("kari", "")
    assert await assurance_database.read(lambda q: q.fetch_one(count)) == (2,)
    await console.remove_user("kari")
    assert await assurance_database.read(lambda q: q.fetch_one(count)) == (0,) and await known(another, "ola")


async def test_whoever_got_hold_of_a_session_does_not_guess_its_password_in_peace(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, hasher=QUICK_HASHER)
    password = await console.add_user("kari", by="duty") or ""
    for _ in range(6):
        assert not await console.change_password("kari", "wrong", "n" * 12)
    with pytest.raises(TooManyTries):
        await console.change_password("kari", password, "n" * 12)
    assert await console.sign_in("kari", password)


MADE_UP_CODE = "000000"


async def with_codes(console: Console, name: str, clock: ManualClock) -> tuple[str, bytes]:
    """Password and secret of an account whose sign-in asks for a code."""
    password = await console.add_user(name, by="duty") or ""
    while True:  # until no two codes of these minutes are the same by chance, nor the one that is made up
        salt, secret = console.offer_codes(name)
        near = [hotp(secret, step) for step in range(step_at(clock.now()) - 2, step_at(clock.now()) + 8)]
        if len({MADE_UP_CODE, *near}) == len(near) + 1:
            break
    assert isinstance(await console.sign_in(name, password), str)  # an offer alone asks for nothing
    assert await console.begin_codes(name, salt, hotp(secret, step_at(clock.now())))
    clock.advance(30)
    return password, secret


async def test_an_account_that_is_not_there_has_no_codes(assurance_database: Database) -> None:
    assert await assurance_database.read(lambda q: codes(q, "nobody")) == SecondFactor("", 0)


async def test_an_account_with_a_second_factor_needs_both_and_each_code_is_used_once(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, hasher=QUICK_HASHER)
    password, secret = await with_codes(console, "kari", clock)
    code = hotp(secret, step_at(clock.now()))
    assert await console.sign_in("kari", "wrong") is None
    first, second = await console.sign_in("kari", password), await console.sign_in("kari", password)
    assert isinstance(first, SecondFactorChallenge) and isinstance(second, SecondFactorChallenge)
    assert await console.who(first.half_in) is None
    before = hotp(secret, step_at(clock.now()) - 1)  # the one that it was begun with
    for wrong in ("", MADE_UP_CODE, before, code + "0"):
        assert await console.sign_in_with_code(first.half_in, wrong) is None
    assert await console.sign_in_with_code("made up", code) is None
    entered = await asyncio.gather(*(console.sign_in_with_code(half.half_in, code) for half in (first, second)))
    [found] = [each for each in entered if each]  # of two at once one gets in
    assert found[0] == "kari" and await console.who(found[1]) == "kari"
    for half in (first, second):
        assert await console.sign_in_with_code(half.half_in, code) is None
    clock.advance(30)
    late = await console.sign_in("kari", password)
    assert isinstance(late, SecondFactorChallenge)
    clock.advance(300)
    assert await console.sign_in_with_code(late.half_in, hotp(secret, step_at(clock.now()))) is None


async def test_codes_are_guessed_so_often_in_an_hour(assurance_database: Database, clock: ManualClock) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, hasher=QUICK_HASHER)
    password, secret = await with_codes(console, "kari", clock)
    browser = await console.remember_browser("kari", "")
    half, known = await console.sign_in("kari", password), await console.sign_in("kari", password, browser=browser)
    assert isinstance(half, SecondFactorChallenge) and isinstance(known, SecondFactorChallenge)
    for _ in range(10):
        assert await console.sign_in_with_code(half.half_in, "wrong") is None
    code = hotp(secret, step_at(clock.now()))
    with pytest.raises(TooManyTries):
        await console.sign_in_with_code(half.half_in, code)
    assert await console.sign_in_with_code(known.half_in, code)  # whoever has the password keeps its owner not out


async def test_whoever_reads_the_database_cannot_make_codes_and_nobody_replaces_them(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, hasher=QUICK_HASHER)
    password, secret = await with_codes(console, "kari", clock)
    [row] = await assurance_database.read(lambda q: q.fetch("SELECT * FROM console_account WHERE name = 'kari'"))
    assert not [value for value in row if value in (secret, secret.hex(), shown_secret(secret))]
    salt, other = console.offer_codes("kari")
    assert (
        other != secret != Console(assurance_database, clock=clock, key=SecretKey(b"x" * 32)).secret_of("kari", row[-3])
    )
    assert secret == console.secret_of("kari", row[-3]) != console.secret_of("ola", row[-3])
    assert not await console.begin_codes("kari", salt, hotp(other, step_at(clock.now())))  # it has some already
    assert [each.two_factor for each in await console.users()] == [True]
    await console.remove_codes("kari")
    assert isinstance(await console.sign_in("kari", password), str)
    for bad in ("", "x" * 21, "x" * 23, "æ" * 22):
        assert not await console.begin_codes("kari", bad, hotp(console.secret_of("kari", bad), step_at(clock.now())))
    valid = {hotp(other, step_at(clock.now()) + skew) for skew in (-1, 0, 1)}
    assert not await console.begin_codes("kari", salt, min({"000000", "000001", "000002", "000003"} - valid))
    assert await console.begin_codes("kari", salt, hotp(other, step_at(clock.now())))


async def test_a_recovery_code_gets_in_once_each_when_the_authenticator_is_lost(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, hasher=QUICK_HASHER)
    password = await console.add_user("kari", by="duty") or ""
    salt, secret = console.offer_codes("kari")
    recovery = await console.begin_codes("kari", salt, hotp(secret, step_at(clock.now())))
    assert len(set(recovery)) == 8 and await console.recovery_codes_left("kari") == 8
    assert all(re.fullmatch("[a-z2-7]{5}-[a-z2-7]{5}", code) for code in recovery)
    assert not await console.begin_codes("kari", salt, hotp(secret, step_at(clock.now()))), "they are given once"

    async def enters(code: str) -> bool:
        half = await console.sign_in("kari", password)
        assert isinstance(half, SecondFactorChallenge)
        return await console.sign_in_with_code(half.half_in, code) is not None

    assert sorted(await asyncio.gather(enters(recovery[3]), enters(recovery[3].upper()))) == [False, True]
    assert [await enters(code) for code in (recovery[0], recovery[0], recovery[7], recovery[3], "aaaaa-aaaaa")] == [
        True, False, True, False, False,
    ]  # fmt: skip
    assert await console.recovery_codes_left("kari") == 5
    [row] = await assurance_database.read(lambda q: q.fetch("SELECT * FROM console_account WHERE name = 'kari'"))
    assert not set(recovery) & set(map(str, row)), "whoever reads the database has none"
    assert row[-1] == 0b10001001
    assert await assurance_database.read(lambda q: codes(q, "nobody")) == SecondFactor("", 0, 0)
    await console.remove_codes("kari")
    assert await console.recovery_codes_left("kari") == 0
    again, fresh = console.offer_codes("kari")
    clock.advance(3_600)
    renewed = await console.begin_codes("kari", again, hotp(fresh, step_at(clock.now())))
    assert not set(renewed) & set(recovery) and await console.recovery_codes_left("kari") == 8
    assert not await enters(recovery[1]) and await enters(renewed[3])


async def test_what_becomes_of_ones_second_factor_changes_nothing_of_anothers(
    assurance_database: Database, clock: ManualClock
) -> None:
    console = Console(assurance_database, clock=clock, key=KEY, hasher=QUICK_HASHER)
    at = step_at(clock.now())
    recovery = {}
    for name in ("kari", "ola"):
        await console.add_user(name, by="duty")
        salt, secret = console.offer_codes(name)
        recovery[name] = await console.begin_codes(name, salt, hotp(secret, at))
    assert all(recovery.values())
    known = await assurance_database.read(lambda q: codes(q, "ola"))
    kari = await assurance_database.read(lambda q: codes(q, "kari"))
    used = replace(kari, step=kari.step + 1)
    assert await assurance_database.write(lambda t: spend_recovery(t, "kari", kari.salt, 1))
    assert await assurance_database.write(lambda t: use_code(t, "kari", used))
    # Of a factor that has been replaced meanwhile, nothing gets in any more.
    later = SecondFactor("another", used.step + 1)
    assert not await assurance_database.write(lambda t: spend_recovery(t, "kari", later.salt, 2))
    assert not await assurance_database.write(lambda t: use_code(t, "kari", later))
    assert await assurance_database.read(lambda q: codes(q, "kari")) == replace(used, spent=0b10)
    await console.remove_codes("kari")
    assert await assurance_database.read(lambda q: codes(q, "ola")) == known
    assert [each.two_factor for each in await console.users()] == [False, True]


@pytest.mark.parametrize("named", [True, False], ids=["named", "of-the-first-key"])
async def test_a_second_factor_outlives_a_change_of_the_key_that_it_came_of(
    assurance_database: Database, clock: ManualClock, named: bool
) -> None:
    """It is told by which key it came; of one from before there was a second key that is not written."""
    key = SecretKey(b"a" * 32)
    console = Console(assurance_database, clock=clock, key=key, hasher=QUICK_HASHER)
    password = await console.add_user("kari", by="duty") or ""
    salt, _ = console.offer_codes("kari")
    salt = salt if named else salt.partition(".")[2]
    secret = console.secret_of("kari", salt)
    assert await console.begin_codes("kari", salt, hotp(secret, step_at(clock.now())))

    async def enters(code: str) -> bool:
        half = await console.sign_in("kari", password)
        assert isinstance(half, SecondFactorChallenge)
        return await console.sign_in_with_code(half.half_in, code) is not None

    key.current, key.others = b"b" * 32, (b"a" * 32,)
    assert console.secret_of("kari", salt) == secret
    clock.advance(60)
    assert await enters(hotp(secret, step_at(clock.now())))
    _, fresh = console.offer_codes("ola")
    assert fresh != secret
    key.others = ()  # dropped, as the thirteenth before
    clock.advance(60)
    assert not await enters(hotp(secret, step_at(clock.now())))
