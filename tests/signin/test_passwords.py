"""Setting a password by a code or a link, through the front door, on both engines."""

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import replace

import httpx
import pytest
from signin_house import COMMAND_KEY, DEVICE, PASSWORD, BuildHouse, Hindered, House, slowed
from waiting import WAIT_SECONDS_MAX, eventually

from prikkfri.config import Signin
from prikkfri.errors import StorageUnavailable
from prikkfri.journal import Outcome
from prikkfri.protocols.guessing import Limit
from prikkfri.signin import store as signin_store
from prikkfri.signin.hash_pool import HashResult
from prikkfri.signin.passwords import codes, store
from prikkfri.signin.passwords.limits import PasswordLimits
from prikkfri.signin.passwords.service import RETRY_AFTER_SECONDS, CodeRequest, NewPassword, PasswordRefusal

KARI, NEW = "kari@example.no", "en helt ny hest"
OTHER_DEVICE = "d-BBBBBBBBBBBBBBBBBBBBBB"
KEY = {"authorization": f"Bearer {COMMAND_KEY}"}


async def ask(client: httpx.AsyncClient, login: str = KARI, device: str = DEVICE, **more: str) -> httpx.Response:
    return await client.post("/password/code", json={"login": login, "device": device} | more)


async def choose(
    client: httpx.AsyncClient, code: str, login: str = KARI, device: str = DEVICE, password: str = NEW
) -> httpx.Response:
    return await client.post("/password", json={"login": login, "device": device, "code": code, "password": password})


async def sign_in(client: httpx.AsyncClient, password: str, device: str = DEVICE) -> httpx.Response:
    return await client.post("/sign-in", json={"login": KARI, "password": password, "device": device})


async def sent(house: House, client: httpx.AsyncClient, login: str = KARI, device: str = DEVICE) -> str:
    """The code that somebody was sent."""
    assert (await ask(client, login, device)).status_code == 202
    await house.passwords.send_next()
    return house.centre.code


def other(code: str) -> str:
    return codes.code_of((int(code) + 1) % codes.CODES)


def told(outcomes: list[Outcome], step: str) -> list[tuple[str, str, str, str]]:
    return [(o.verdict, o.reason, o.layer, o.customer) for o in outcomes if o.step == step]


async def test_a_code_sets_a_password_once_and_ends_all_sessions(house: House) -> None:
    async with house.client() as client:
        before = (await sign_in(client, PASSWORD, OTHER_DEVICE)).json()["device_token"]
        code = await sent(house, client)
        [(number, text)] = house.centre.texts
        assert number == "+4791234567"
        assert text.startswith(f"{code} er koden din") and "10 minutter" in text and "Prikkfri" in text
        assert len(code) == 8 and code.isdigit()
        assert (await choose(client, f"{code[:4]} {code[4:]}")).status_code == 204
        assert (await client.get("/devices", headers={"authorization": f"Bearer {before}"})).status_code == 401
        assert (await client.get("/session")).status_code == 401
        assert (await sign_in(client, PASSWORD)).status_code == 401
        assert (await sign_in(client, NEW)).status_code == 200
        again = await choose(client, code, password="another one yet")
        assert (again.status_code, again.json()["error"]) == (401, "wrong-code")
        assert (await sign_in(client, NEW)).status_code == 200
    assert told(house.recorded, "send-code") == [("kept", "", "signin", "s-1")]
    assert told(house.recorded, "set-password") == [], "it stands in the journal, once"
    outcomes = await house.journalled()
    assert told(outcomes, "set-password") == [("kept", "", "signin", "s-1"), ("broken", "wrong-code", "signin", "")]
    for each in (*house.recorded, *(o for o in outcomes if o.step == "set-password")):
        assert (each.service, each.device, list(each.dimensions)) == ("television", DEVICE, ["client"])
    await house.service.keep_house()
    assert len(json.loads((house.config.home / "public" / "revoked.json").read_bytes())["device_tokens"]) == 1


async def test_a_code_outlives_a_change_of_the_key_of_its_hash(house: House) -> None:
    async with house.client() as client:
        code = await sent(house, client)
        key = house.passwords._key
        key.current, key.others = b"another key", (key.current,)
        assert (await choose(client, other(code))).status_code == 401
        assert (await choose(client, code)).status_code == 204
        code = await sent(house, client)
        key.others = ()
        assert (await choose(client, code)).status_code == 204


async def test_a_code_goes_to_the_number_that_was_asked_with_and_says_how_long_it_is_good(
    build_house: BuildHouse,
) -> None:
    house = await build_house(password_limits=PasswordLimits(code_seconds=3_600.0))
    await house.subscribers.write(
        lambda t: t.execute(
            "INSERT INTO mobile_number (msisdn, starts, ends, subscriber_id, product) VALUES"
            " ('+4791234568', 1, 1e12, 's-1', 'mobile')"
        )
    )
    async with house.client() as client:
        for login, number in ((KARI, "+4791234567"), ("912 34 568", "+4791234568"), ("91234567", "+4791234567")):
            await sent(house, client, login)
            assert house.centre.texts[-1][0] == number
            assert " 60 minutter" in house.centre.texts[-1][1]


@pytest.mark.parametrize(("starts", "ends", "reason"), [(0, 600, ""), (-600, 0, "no-number"), (1, 600, "no-number")])
async def test_a_code_goes_to_a_number_that_is_theirs_at_this_moment(
    house: House, starts: int, ends: int, reason: str
) -> None:
    now = house.clock.now()
    await house.subscribers.write(
        lambda t: t.execute(
            "UPDATE mobile_number SET starts = :starts, ends = :ends", {"starts": now + starts, "ends": now + ends}
        )
    )
    async with house.client() as client:
        await ask(client)
        await house.passwords.send_next()
    assert [r for _, r, _, _ in told(house.recorded, "send-code")] == [reason]
    assert len(house.centre.texts) == (not reason)


async def test_a_number_is_read_as_people_of_the_operators_country_write_it(build_house: BuildHouse) -> None:
    house = await build_house(region="SE")
    await house.subscribers.write(lambda t: t.execute("UPDATE mobile_number SET msisdn = '+46701740605'"))
    async with house.client() as client:
        code = await sent(house, client, "070-174 06 05")
        assert house.centre.texts[-1][0] == "+46701740605"
        assert (await choose(client, code, "070-174 06 05")).status_code == 204


async def test_the_code_comes_in_the_language_of_the_page(house: House) -> None:
    async with house.client() as client:
        for language, words in (("sv", "är din kod"), ("en", "is your code"), ("nb", "er koden din")):
            await ask(client, language=language)
            await house.passwords.send_next()
            assert words in house.centre.texts[-1][1]


async def test_nobody_learns_who_is_a_customer(house: House) -> None:
    async with house.client() as client:
        answers = [await ask(client, login) for login in (KARI, "nobody@example.no", "+4799999999", "ola@example.no")]
        assert {(a.status_code, a.text, str(a.headers)) for a in answers} == {
            (202, answers[0].text, str(answers[0].headers))
        }
        assert house.centre.texts == []  # answered before anybody was looked up
        for _ in answers:
            await house.passwords.send_next()
        wrong = [await choose(client, "00000000", login) for login in (KARI, "nobody@example.no")]
        assert {(a.status_code, a.text) for a in wrong} == {(401, wrong[0].text)}
    assert len(house.centre.texts) == 1
    assert told(house.recorded, "send-code") == [
        ("kept", "", "signin", "s-1"),
        ("broken", "unknown-customer", "signin", ""),
        ("broken", "unknown-customer", "signin", ""),
        ("broken", "no-number", "signin", "s-2"),
    ]
    # One write each, so that time does not tell either.
    assert told(await house.journalled(), "set-password") == [("broken", "wrong-code", "signin", "")] * 2


async def test_five_tries_and_then_the_right_code_is_none(house: House) -> None:
    async with house.client() as client:
        code = await sent(house, client)
        for _ in range(4):
            assert (await choose(client, other(code))).status_code == 401
        assert (await choose(client, code)).status_code == 204
        code = await sent(house, client)
        for _ in range(5):
            assert (await choose(client, other(code))).status_code == 401
        assert (await choose(client, code)).status_code == 401


async def test_a_code_is_good_for_ten_minutes_and_for_the_device_that_asked(house: House) -> None:
    async with house.client() as client:
        code = await sent(house, client)
        for _ in range(6):
            assert (await choose(client, code, device=OTHER_DEVICE)).status_code == 401
        house.clock.advance(599)
        assert (await choose(client, code)).status_code == 204
        code = await sent(house, client)
        house.clock.advance(600)
        assert (await choose(client, code)).status_code == 401


async def test_the_newest_code_of_a_device_is_the_one_that_counts(house: House) -> None:
    async with house.client() as client:
        first = await sent(house, client)
        second = await sent(house, client)
        assert (await choose(client, first)).status_code == (204 if first == second else 401)
        assert (await choose(client, second)).status_code == 204


async def test_a_customer_gets_so_many_codes_from_wherever_they_are_asked(build_house: BuildHouse) -> None:
    house = await build_house(password_limits=PasswordLimits(codes_per_hour=2, codes_per_day=3))
    for n in range(6):
        async with house.client(f"10.0.0.{n}") as client:
            assert (await ask(client)).status_code == 202
        await house.passwords.send_next()
        house.clock.advance(1_200)
    reasons = [(reason, customer) for _, reason, _, customer in told(house.recorded, "send-code")]
    assert reasons == [(reason, "s-1") for reason in ("", "", "too-many-codes", "", "too-many-codes", "too-many-codes")]
    house.clock.advance(86_400)
    async with house.client() as client:
        await sent(house, client)
    assert len(house.centre.texts) == 4


async def test_a_login_is_asked_for_so_often_from_one_network_known_or_not(house: House) -> None:
    for login in (KARI, "nobody@example.no"):
        async with house.client() as client:
            for _ in range(4):
                assert (await ask(client, login)).status_code == 202
            refused = await ask(client, f" {login.upper()}")
            assert (refused.status_code, refused.json()["error"]) == (429, "too-many-tries")
            assert int(refused.headers["retry-after"]) == 150
        async with house.client("10.1.1.1") as client:
            assert (await ask(client, login)).status_code == 202
    assert told(house.recorded, "send-code") == [("broken", "too-many-tries", "signin", "")] * 2


async def test_a_network_guesses_so_often(build_house: BuildHouse) -> None:
    house = await build_house(password_limits=PasswordLimits(network=Limit(2, 900)))
    async with house.client() as client:
        link = (
            await client.post("/customers/password-link", json={"customer": "s-1", "by": "Eva"}, headers=KEY)
        ).json()["link"]
        for _ in range(2):
            assert (await client.post("/password", json={"link": "x" * 43, "password": NEW})).status_code == 401
        right = {"link": link.partition("#password=")[2], "password": NEW}
        refused = await client.post("/password", json=right)
        assert (refused.status_code, refused.json()["error"]) == (429, "too-many-tries")
        assert int(refused.headers["retry-after"]) == 450
        house.clock.advance(900)
        assert (await client.post("/password", json=right)).status_code == 204


@pytest.mark.parametrize("with_pass", [True, False])
async def test_when_sign_in_is_full_nothing_is_hashed_or_sent_and_the_code_stays_good(
    build_house: BuildHouse, with_pass: bool
) -> None:
    house = await build_house(Signin(hash_threads=1, hash_queue_seconds_max=90.0))
    await slowed(house.service.pool, house.clock)
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(60)

    async with house.client() as client:
        code = await sent(house, client)
        crowd = [asyncio.create_task(house.service.pool.run(slow, with_pass=with_pass)) for _ in range(30)]
        await asyncio.sleep(0)
        refused = await ask(client)
        assert (refused.status_code, refused.json()["error"]) == (503, "overloaded")
        assert "retry-after" in refused.headers
        hashes = house.service.pool.counters.hashes
        full = await choose(client, code)
        assert (full.status_code, full.json()["error"]) == (503, "overloaded")
        assert house.service.pool.counters.hashes == hashes
        release.set()
        assert any(isinstance(each, HashResult) for each in await asyncio.gather(*crowd))
        assert (await choose(client, code)).status_code == 204
    assert [r for _, r, _, _ in told(house.recorded, "send-code")] == ["", "overloaded"]
    assert [r for _, r, _, _ in told(house.recorded, "set-password")] == ["overloaded"]


async def test_when_sign_in_fills_up_after_the_proof_was_good_it_says_when_to_come_again(
    build_house: BuildHouse,
) -> None:
    hindered: list[Hindered] = []

    def seen(database: object) -> Hindered:
        hindered.append(Hindered(database))  # type: ignore[arg-type]
        return hindered[-1]

    house = await build_house(Signin(hash_threads=1, hash_queue_seconds_max=90.0), seen_through=seen)
    await slowed(house.service.pool, house.clock)
    release, loop = asyncio.Event(), asyncio.get_running_loop()
    crowd: list[asyncio.Task[object]] = []

    def slow() -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(60)

    async def and_many_come(work: object) -> object:
        done = await hindered[-1].whole.write(work)  # type: ignore[arg-type]
        crowd.extend(asyncio.create_task(house.service.pool.run(slow, with_pass=True)) for _ in range(30))
        await asyncio.sleep(0)
        return done

    async with house.client() as client:
        code = await sent(house, client)
        for each in hindered:
            each.write = and_many_come
        refused = await house.passwords.set(NewPassword(NEW, "10.0.0.1", "phone", KARI, code, DEVICE))
        assert refused is not None and refused.reason == "overloaded"
        assert refused.retry_after_s is not None and refused.retry_after_s > 0
        release.set()
        await asyncio.gather(*crowd)
        for each in hindered:
            each.write = each.whole.write
        assert (await choose(client, code)).status_code == 204, "the code is good as it was"


async def test_a_database_that_stops_answering_after_the_proof_was_good_holds_nobody_up(
    build_house: BuildHouse,
) -> None:
    async def hangs(work: object) -> None:
        await asyncio.Event().wait()

    def stuck(database: object) -> Hindered:
        hindered = Hindered(database)  # type: ignore[arg-type]
        hindered.write = hangs
        return hindered

    made = await (await build_house()).passwords.make_link("s-1", by="Eva")
    assert made is not None
    house = await build_house(seen_through=stuck, password_limits=PasswordLimits(database_seconds_max=0.1))
    link = made.link.partition("#password=")[2]
    setting = asyncio.ensure_future(house.passwords.set(NewPassword(NEW, "10.0.0.1", "phone", link=link)))
    await asyncio.wait([setting], timeout=WAIT_SECONDS_MAX)
    assert setting.done(), "it waits"
    assert setting.result() == PasswordRefusal("database-unavailable", RETRY_AFTER_SECONDS)


async def test_a_code_that_was_refused_and_cannot_be_taken_back_holds_up_no_other(build_house: BuildHouse) -> None:
    def stuck_from_then_on(database: object) -> Hindered:
        hindered = Hindered(database)  # type: ignore[arg-type]

        async def hangs(work: object) -> None:
            await asyncio.Event().wait()

        async def once(work: object) -> object:
            hindered.write = hangs
            return await hindered.whole.write(work)  # type: ignore[arg-type]

        hindered.write = once
        return hindered

    limits = PasswordLimits(database_seconds_max=0.5)
    house = await build_house(seen_through=stuck_from_then_on, password_limits=limits)
    house.centre.answer = ""
    assert house.passwords.ask_for_code(CodeRequest(KARI, DEVICE, "10.0.0.1", "phone", "nb")) is None
    sending = asyncio.ensure_future(house.passwords.send_next())
    await asyncio.wait([sending], timeout=WAIT_SECONDS_MAX)
    assert sending.done(), "it waits"
    assert told(house.recorded, "send-code") == [("broken", "database-unavailable", "signin", "")]


async def test_a_code_that_does_not_leave_is_seen(house: House) -> None:
    since = house.clock.now() - 1
    async with house.client() as client:
        # One whose answer never came may have arrived; one that was refused counts towards nothing.
        for answer, status, counted in (("", 401, 0), (None, 204, 1)):
            house.centre.answer = answer
            code = await sent(house, client)
            assert (await choose(client, code)).status_code == status
            assert len(await house.database.read(lambda q: store.codes_made(q, "s-1", since))) == counted
    assert told(house.recorded, "send-code") == [
        ("broken", "not-accepted", "sms-centre", "s-1"),
        ("broken", "no-answer", "sms-centre", "s-1"),
    ]


async def test_more_than_can_wait_are_refused_alike(build_house: BuildHouse) -> None:
    house = await build_house(password_limits=PasswordLimits(waiting_max=1))
    async with house.client() as client:
        assert (await ask(client)).status_code == 202
        for login in (KARI, "nobody@example.no"):
            refused = await ask(client, login)
            assert (refused.status_code, refused.json()["error"]) == (503, "overloaded")
            assert int(refused.headers["retry-after"]) == RETRY_AFTER_SECONDS
    assert told(house.recorded, "send-code") == [("broken", "overloaded", "signin", "")] * 2


async def test_without_an_account_for_codes_it_says_who_can_help(build_house: BuildHouse) -> None:
    house = await build_house(sends=False)
    async with house.client() as client:
        refused = await ask(client)
    assert (refused.status_code, refused.json()["error"]) == (403, "no-codes")


async def test_a_database_that_does_not_answer_holds_nobody_up_longer_than_may_be(
    build_house: BuildHouse, caplog: pytest.LogCaptureFixture
) -> None:
    async def hangs(work: object) -> None:
        await asyncio.Event().wait()

    def stuck(database: object) -> Hindered:
        hindered = Hindered(database)  # type: ignore[arg-type]
        hindered.read = hindered.write = hangs
        return hindered

    house = await build_house(seen_through=stuck, password_limits=PasswordLimits(database_seconds_max=0.0))
    room, code = house.passwords, NewPassword(NEW, "10.0.0.1", "phone", KARI, "12345678", DEVICE)
    assert room.ask_for_code(CodeRequest(KARI, DEVICE, "10.0.0.1", "phone", "nb")) is None
    asked: tuple[Awaitable[object], ...] = (
        room.send_next(), room.set(code), room.set(replace(code, code="", link="x")), room.make_link("s-1", by="Eva"),
    )  # fmt: skip
    found = []
    for each in map(asyncio.ensure_future, asked):
        await asyncio.wait([each], timeout=WAIT_SECONDS_MAX)
        assert each.done(), "it waits"
        found.append(each.exception() or each.result())
    away = PasswordRefusal("database-unavailable", RETRY_AFTER_SECONDS)
    assert found[:3] == [None, away, away] and isinstance(found[3], TimeoutError)
    assert told(house.recorded, "send-code") == [("broken", "database-unavailable", "signin", "")]
    assert "a code is not sent: the database did not answer in time" in caplog.text
    assert "a password is not set: the database did not answer in time" in caplog.text


async def test_codes_are_sent_and_forgotten_by_whoever_runs_and_a_disk_that_is_full_is_said(
    build_house: BuildHouse, caplog: pytest.LogCaptureFixture
) -> None:
    hindered: list[Hindered] = []

    def seen(database: object) -> Hindered:
        hindered.append(Hindered(database))  # type: ignore[arg-type]
        return hindered[-1]

    async def full(work: object) -> None:
        raise StorageUnavailable("disk full")

    house = await build_house(seen_through=seen, password_limits=PasswordLimits(delay_seconds_max=0.0, senders=2))
    async with house.client() as client:
        await sent(house, client)
        house.clock.advance(86_401)
        for attempt, texts, outcomes in ((full, 1, 4), (hindered[-1].whole.write, 3, 7)):
            for each in hindered:
                each.write = attempt
            running = asyncio.create_task(house.passwords.run())
            for login in (KARI, "+4791234567", "nobody@example.no"):
                assert (await ask(client, login)).status_code == 202
            await eventually(lambda n=outcomes: len(told(house.recorded, "send-code")) == n)  # type: ignore[misc]
            assert len(house.centre.texts) == texts
            running.cancel()
            await asyncio.wait([running])
    assert "codes and links are kept a while longer: disk full" in caplog.text
    assert "a code is not sent: disk full" in caplog.text
    made = await house.database.read(lambda q: store.codes_made(q, "s-1", 0.0))
    assert made == [house.clock.now()] * 2, "that of yesterday is forgotten"


async def test_a_database_that_is_away_is_our_fault_and_says_so(build_house: BuildHouse) -> None:
    hindered: list[Hindered] = []

    def seen(database: object) -> Hindered:
        hindered.append(Hindered(database))  # type: ignore[arg-type]
        return hindered[-1]

    async def away(work: object) -> None:
        raise StorageUnavailable("gone")

    house = await build_house(seen_through=seen, password_limits=PasswordLimits(network=Limit(2, 900)))
    for each in hindered:
        each.write = each.read = away  # type: ignore[assignment]
    async with house.client() as client:
        assert (await ask(client)).status_code == 202
        await house.passwords.send_next()
        for refused in (
            await choose(client, "12345678"),
            await choose(client, "12345678"),
            await client.post("/password", json={"link": "x" * 43, "password": NEW}),  # nothing was guessed so far
            await client.post("/customers/password-link", json={"customer": "s-1", "by": "Eva"}, headers=KEY),
        ):
            assert (refused.status_code, refused.json()["error"]) == (503, "database-unavailable")
    assert [(o.step, o.reason) for o in house.recorded] == [
        ("send-code", "database-unavailable"),
        ("set-password", "database-unavailable"),
        ("set-password", "database-unavailable"),
        ("set-password", "database-unavailable"),
    ]


async def test_a_link_of_the_operator_sets_a_password_once_and_is_on_the_record(house: House) -> None:
    async with house.client() as client:
        made = await client.post("/customers/password-link", json={"customer": "s-2", "by": "Eva"}, headers=KEY)
        address, _, secret = made.json()["link"].partition("#password=")
        assert address == "http://localhost:8080/"
        assert made.json()["expires_at"] == house.clock.now() + 86_400
        newer = (
            await client.post("/customers/password-link", json={"customer": "s-2", "by": "Eva"}, headers=KEY)
        ).json()["link"]
        old = await client.post("/password", json={"link": secret, "password": NEW})
        assert (old.status_code, old.json()["error"]) == (401, "bad-link")
        secret = newer.partition("#password=")[2]
        house.clock.advance(86_399)
        assert (await client.post("/password", json={"link": secret, "password": NEW})).status_code == 204
        assert (await client.post("/password", json={"link": secret, "password": NEW})).status_code == 401
        late = (
            await client.post("/customers/password-link", json={"customer": "s-2", "by": "Eva"}, headers=KEY)
        ).json()["link"]
        house.clock.advance(86_400)
        late = await client.post("/password", json={"link": late.partition("#password=")[2], "password": NEW})
        assert late.status_code == 401
    outcomes = await house.journalled()
    made_by = [(o.customer, o.verdict, o.dimensions) for o in outcomes if o.step == "password-link"]
    assert made_by == [("s-2", "kept", {"by": "Eva"})] * 3
    assert told(outcomes, "set-password") == [("kept", "", "signin", "s-2")]
    assert told(house.recorded, "set-password") == [("broken", "bad-link", "signin", "")] * 3
    rows = await house.database.read(lambda q: q.fetch("SELECT * FROM password_link"))
    assert secret.encode() not in repr(rows).encode()


async def test_one_proof_used_twice_at_once_sets_one_password(house: House) -> None:
    async with house.client() as client:
        code = await sent(house, client)
        both = await asyncio.gather(choose(client, code), choose(client, code, password="the other one"))
        assert sorted(answer.status_code for answer in both) == [204, 401]
        set_by_first = both[0].status_code == 204
        assert (await sign_in(client, NEW)).status_code == (200 if set_by_first else 401)
    assert sorted(told(await house.journalled(), "set-password")) == [
        ("broken", "wrong-code", "signin", ""),
        ("kept", "", "signin", "s-1"),
    ]


async def test_a_new_password_ends_every_other_proof(house: House) -> None:
    async with house.client() as client:
        made = await client.post("/customers/password-link", json={"customer": "s-1", "by": "Eva"}, headers=KEY)
        elsewhere = await sent(house, client, device=OTHER_DEVICE)
        assert (await choose(client, await sent(house, client))).status_code == 204
        secret = made.json()["link"].partition("#password=")[2]
        assert (await client.post("/password", json={"link": secret, "password": NEW})).status_code == 401
        assert (await choose(client, elsewhere, device=OTHER_DEVICE)).status_code == 401


async def test_only_whoever_has_the_key_makes_links_and_only_for_customers(house: House) -> None:
    async with house.client() as client:
        assert (await client.post("/customers/password-link", json={"customer": "s-1", "by": "Eva"})).status_code == 401
        nobody = await client.post("/customers/password-link", json={"customer": "s-9", "by": "Eva"}, headers=KEY)
        assert (nobody.status_code, nobody.json()["error"]) == (404, "no-such-customer")
        whole = {"customer": "s-1", "by": "Eva"}
        for wrong in ({"by": "Eva"}, whole | {"by": ""}, whole | {"by": "x" * 65}, whole | {"customer": ""}, [],
                      whole | {"customer": "s\0"}, whole | {"by": "E\0"}):  # fmt: skip
            answer = await client.post("/customers/password-link", json=wrong, headers=KEY)
            assert answer.status_code == 400
    assert await house.database.read(lambda q: q.fetch("SELECT * FROM password_link")) == []


GOOD = {"login": KARI, "device": DEVICE, "code": "12345678", "password": NEW}


async def test_what_is_no_request_is_refused(house: House) -> None:
    requests: list[tuple[str, dict[str, str]]] = [
        ("/password/code", {"login": KARI, "device": "d-short"}),
        ("/password/code", {"login": KARI, "device": DEVICE, "language": "xx"}),
        ("/password/code", {"login": "", "device": DEVICE}),
        ("/password/code", {"login": "x" * 255, "device": DEVICE}),
        ("/password", GOOD | {"password": "nine char"}),
        ("/password", GOOD | {"password": "x" * 257}),
        ("/password", GOOD | {"code": ""}),
        ("/password", GOOD | {"login": "k\0"}),
        ("/password", GOOD | {"code": "1\0"}),
        ("/password", {"password": NEW, "link": "x\0"}),
        ("/password", GOOD | {"link": "x"}),
        ("/password", GOOD | {"device": "d-short"}),
    ]
    async with house.client() as client:
        for path, wrong in requests:
            answer = await client.post(path, json=wrong)
            assert (answer.status_code, answer.json()["error"]) == (400, "bad-request"), wrong
        for path in ("/password", "/password/code"):
            elsewhere = await client.post(path, json=GOOD, headers={"origin": "https://evil.example"})
            assert (elsewhere.status_code, elsewhere.json()["error"]) == (403, "bad-origin")
    assert house.recorded == []


async def test_what_is_past_its_time_is_erased(house: House) -> None:
    async with house.client() as client:
        await sent(house, client)
        await client.post("/customers/password-link", json={"customer": "s-1", "by": "Eva"}, headers=KEY)

    async def left() -> tuple[int, int]:
        found = [
            await house.database.read(lambda q, t=table: q.fetch(f"SELECT 1 FROM {t}"))
            for table in ("password_code", "password_link")
        ]
        return len(found[0]), len(found[1])

    await house.passwords.forget()
    house.clock.advance(86_400)
    await house.passwords.forget()
    assert await left() == (1, 1)
    house.clock.advance(1)
    await house.passwords.forget()
    assert await left() == (0, 1)
    house.clock.advance(86_400)
    await house.passwords.forget()
    assert await left() == (0, 0)


async def test_the_database_holds_no_code(house: House) -> None:
    async with house.client() as client:
        code = await sent(house, client)
    rows = await house.database.read(lambda q: q.fetch("SELECT code_hash, device, subscriber_id FROM password_code"))
    kept = bytes(rows[0][0])
    assert kept == codes.code_hash(b"key of codes in the test", "s-1", DEVICE, code)
    assert kept != codes.code_hash(b"another key", "s-1", DEVICE, code)
    assert await house.database.read(lambda q: signin_store.password_hash(q, "s-1")) is not None
