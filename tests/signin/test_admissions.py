"""An admission is spent once, in the transaction of the session that it opens, by the device it was given to."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from signin_house import DEVICE, DEVICE_KEY, PASSWORD, BuildHouse, Hindered, House, Passwords, slowed
from waiting import eventually

from prikkfri.config import Signin
from prikkfri.errors import InDoubt, StorageUnavailable
from prikkfri.protocols import admission_pass, guessing
from prikkfri.protocols.admission_pass import AFRESH_SECONDS, Pass
from prikkfri.signin import store
from prikkfri.signin.limits import Limits
from prikkfri.signin.service import Attempt, Refused
from prikkfri.simulation.device_key import DeviceKey, DeviceSecret
from prikkfri.storage import Database, Location, open_database
from prikkfri.storage.keys import publish_public_key, signing_key

SECOND_PERSON = "UPDATE fixed_subscription SET subscriber_id = 's-2' WHERE product = 'sport'"
UNHURRIED = Limits(guesses=guessing.Limits(name_and_network=guessing.Limit(100, 300)))
PASS_SECONDS = 300.0


@pytest.fixture
async def house(build_house: BuildHouse, passwords: Passwords) -> House:
    """Both of its customers have television."""
    return await two_customers(await build_house(matches=passwords, limits=UNHURRIED))


async def two_customers(house: House) -> House:
    await house.subscribers.write(lambda t: t.execute(SECOND_PERSON))
    return house


def issue(house: House, pass_id: str = "pass-1", holder: str = DEVICE_KEY.holder, lifetime_s: float = 60.0) -> str:
    key = signing_key(house.config.home, "door-pass")
    publish_public_key(house.config.home, "pass", "door", key)
    admission = Pass(pass_id, DEVICE, house.clock.now() + lifetime_s, f"enter-{pass_id}", holder)
    return admission_pass.issue(key.private, key.kid, admission)


def body(admission: str, **more: str) -> dict[str, str]:
    kari = {"login": "kari@example.no", "password": PASSWORD, "device": DEVICE, "pass": admission}
    return kari | {"proof": DEVICE_KEY.proof("sign-in", admission)} | more


async def asked(client: httpx.AsyncClient, admission: str, **more: str) -> tuple[int, str]:
    answer = await client.post("/sign-in", json=body(admission, **more))
    return answer.status_code, answer.json().get("error", "")


async def counted(house: House) -> tuple[int, int, int]:
    """Sessions, device tokens and admissions in the database."""
    tables = ("session", "device_token", "admission")
    rows = [await house.database.read(lambda q, t=t: q.fetch_one(f"SELECT COUNT(*) FROM {t}")) for t in tables]
    return tuple(row[0] for row in rows)  # type: ignore[return-value]


def told(house: House) -> list[tuple[str, str]]:
    return [(outcome.reason or outcome.verdict, outcome.promise) for outcome in house.recorded]


async def test_the_same_device_repeating_gets_the_same_answer_without_a_hash(
    house: House, passwords: Passwords
) -> None:
    admission = issue(house)
    async with house.client() as client:
        first = await client.post("/sign-in", json=body(admission))
        house.clock.advance(20)
        again = [await client.post("/sign-in", json=body(admission)) for _ in range(12)]
        assert (await client.get("/session")).json()["signed_in_at"] == house.clock.now() - 20
    assert first.status_code == 200
    assert all(each.json() == first.json() for each in again)
    assert all(each.headers["set-cookie"] == first.headers["set-cookie"] for each in again)
    assert len(passwords.compared) == 1
    assert await counted(house) == (1, 1, 1)
    assert [outcome.promise for outcome in await house.journalled()] == ["enter-pass-1"] and not house.recorded
    assert house.service.counters()["sign_ins_repeated_total"] == 12


async def test_another_pass_opens_another_session(house: House) -> None:
    async with house.client() as client:
        answers = [await client.post("/sign-in", json=body(issue(house, name))) for name in ("a", "b")]
    first, second = (answer.json() for answer in answers)
    assert first["device_token"] != second["device_token"] and first["playback_token"] != second["playback_token"]
    assert await counted(house) == (2, 2, 2)


async def test_after_a_restart_a_repeat_is_compared_again_and_answered_the_same(
    build_house: BuildHouse, passwords: Passwords
) -> None:
    before, after = [await two_customers(await build_house(matches=passwords)) for _ in range(2)]
    admission = issue(before)
    async with before.client() as client, after.client() as later:
        first = await client.post("/sign-in", json=body(admission))
        before.clock.advance(5)
        assert await asked(later, admission, password="feil") == (401, "wrong-credentials")
        for _ in range(2):
            assert await asked(later, admission, login="ola@example.no") == (409, "pass-spent")
        again = [await later.post("/sign-in", json=body(admission)) for _ in range(2)]
    assert [each.json() for each in again] == [{"error": "pass-spent", "message": again[0].json()["message"]}] * 2
    assert await counted(before) == (1, 1, 1)

    third = await build_house(matches=passwords)
    async with third.client() as client:
        again = [await client.post("/sign-in", json=body(admission)) for _ in range(2)]
    assert [each.json() for each in again] == [first.json()] * 2
    assert len(passwords.compared) == 4, "the second repeat is known again"
    assert await counted(before) == (1, 1, 1)
    assert len(await before.journalled()) == 1


async def test_two_at_once_with_one_pass_open_one_session(house: House, passwords: Passwords) -> None:
    admission = issue(house)
    passwords.open.clear()
    async with house.client() as client:
        asking = [asyncio.create_task(client.post("/sign-in", json=body(admission))) for _ in range(2)]
        load = lambda: house.service.pool.load  # noqa: E731
        await eventually(lambda: load().running + load().waiting_with_pass == 2)
        passwords.open.set()
        first, second = await asyncio.gather(*asking)
    assert first.status_code == second.status_code == 200 and first.json() == second.json()
    assert await counted(house) == (1, 1, 1)
    assert len(await house.journalled()) == 1


async def test_one_pass_signs_in_one_person(house: House, passwords: Passwords) -> None:
    admission = issue(house)
    async with house.client() as client:
        assert await asked(client, admission) == (200, "")
        assert await asked(client, admission, login="ola@example.no") == (409, "pass-spent")
        assert await asked(client, admission, login="ola@example.no") == (409, "pass-spent")
    assert len(passwords.compared) == 1
    assert told(house) == [("pass-spent", "")] * 2
    assert len(await house.journalled()) == 1


async def test_by_a_pass_that_is_spent_a_password_is_guessed_once(house: House, passwords: Passwords) -> None:
    admission = issue(house)
    async with house.client() as client:
        assert await asked(client, admission) == (200, "")
        assert await asked(client, admission, password="feil") == (409, "pass-spent")
        assert await asked(client, admission) == (409, "pass-spent"), "nor is it told that this one is right"
    assert len(passwords.compared) == 1


async def test_a_pass_of_another_device_is_refused_and_stays_good(house: House, passwords: Passwords) -> None:
    admission, secret = issue(house), DeviceSecret()
    of_a_television = issue(house, "pass-2", secret.holder)
    thief = DeviceKey()
    stolen: list[tuple[str, dict[str, str]]] = [
        (admission, {"device": "d-BBBBBBBBBBBBBBBBBBBBBB"}),
        (admission, {"proof": ""}),
        (admission, {"proof": thief.proof("sign-in", admission)}),
        (admission, {"proof": DEVICE_KEY.proof("enter", admission)}),  # as it stands in an address of the door
        (admission, {"proof": DEVICE_KEY.proof("sign-in", of_a_television)}),
        (of_a_television, {"proof": DEVICE_KEY.proof("sign-in", of_a_television)}),
        (of_a_television, {"proof": secret.holder[2:]}),
    ]
    async with house.client() as client:
        for shown, more in stolen:
            assert await asked(client, shown, **more) == (403, "not-your-pass")
        assert not passwords.compared
        assert told(house) == [("not-your-pass", "")] * len(stolen)
        assert await asked(client, admission) == (200, "")
        assert await asked(client, admission, proof=thief.proof("sign-in", admission)) == (403, "not-your-pass")
        assert await asked(client, of_a_television, proof=secret.secret) == (200, "")
    assert [outcome.promise for outcome in await house.journalled()] == ["enter-pass-1", "enter-pass-2"]


async def test_a_session_that_has_ended_does_not_come_back(house: House) -> None:
    admission = issue(house)
    async with house.client() as client:
        await client.post("/sign-in", json=body(admission))
        assert (await client.post("/sign-out")).status_code == 204
        assert await asked(client, admission) == (409, "pass-spent")
    assert (await counted(house))[0] == 0


async def test_whose_television_has_ended_meanwhile_is_told_that(house: House) -> None:
    admission = issue(house)
    async with house.client() as client:
        await client.post("/sign-in", json=body(admission))
        await house.subscribers.write(lambda t: t.execute("DELETE FROM fixed_subscription"))
        assert await asked(client, admission) == (403, "no-subscription")
    assert [(o.reason, o.customer, o.promise) for o in house.recorded] == [("no-subscription", "s-1", "")]


async def test_a_pass_that_is_past_its_time_repeats_nothing(house: House) -> None:
    admission = issue(house, lifetime_s=60)
    async with house.client() as client:
        first = (await client.post("/sign-in", json=body(admission))).json()
        house.clock.advance(61)
        later = (await client.post("/sign-in", json=body(admission))).json()
        assert later["device_token"] != first["device_token"]
        again = await client.post("/sign-in", json=body(issue(house)))  # its ticket gave it afresh
    assert again.json() == first
    assert [outcome.promise for outcome in await house.journalled()] == ["enter-pass-1", ""]


async def test_of_two_processes_one_spends_a_pass(house: House, location: Location) -> None:
    other = await open_database(location, "signin")
    try:
        until = house.clock.now() + 60
        for number in range(5):
            spent = await asyncio.gather(
                *(
                    each.write(lambda t, n=number: store.spend(t, f"p-{n}", until=until))
                    for each in (house.database, other)
                )
            )
            assert sorted(spent) == [False, True]
    finally:
        await other.close()


async def test_by_what_somebody_is_known_again_is_forgotten_with_their_pass(house: House, passwords: Passwords) -> None:
    async with house.client() as client:
        first = (await client.post("/sign-in", json=body(issue(house, lifetime_s=60)))).json()
        for seconds, compared in ((59, 1), (1, 2)):
            house.clock.advance(seconds)
            await house.service.keep_house()
            again = await client.post("/sign-in", json=body(issue(house, lifetime_s=60)))
            assert again.json() == first and len(passwords.compared) == compared


@pytest.mark.parametrize("failure", [StorageUnavailable("the disk is full"), InDoubt("perhaps")])
async def test_a_failure_of_the_database_spends_nothing_twice(
    build_house: BuildHouse, passwords: Passwords, failure: Exception
) -> None:
    """In doubt, the rows may be there: whoever comes again gets that session, or one."""
    failures: list[Exception] = [failure]

    def seen_through(whole: Database) -> Hindered:
        async def write(work: Any) -> Any:
            if isinstance(failure, InDoubt) or not failures:
                done = await whole.write(work)
            if failures:
                raise failures.pop()
            return done

        hindered = Hindered(whole)
        hindered.write = write
        return hindered

    house = await build_house(matches=passwords, seen_through=seen_through)
    admission = issue(house)
    async with house.client() as client:
        assert await asked(client, admission) == (503, "database-unavailable")
        assert await asked(client, admission) == (200, "")
    assert await counted(house) == (1, 1, 1)
    kept = [outcome.verdict for outcome in (*await house.journalled(), *house.recorded)]
    in_doubt = isinstance(failure, InDoubt)
    assert len(passwords.compared) == (1 if in_doubt else 2)
    assert kept.count("kept") == (2 if in_doubt else 1)  # of the first it was told that nobody heard of it


async def test_who_left_and_comes_again_is_told_kept_once_more(house: House) -> None:
    admission = issue(house)
    own = body(admission)
    attempt = Attempt(own["login"], PASSWORD, DEVICE, "127.0.0.1", "other", admission, own["proof"])
    answer = await house.service.sign_in(attempt)
    house.service.left_before_answer(attempt, answer)
    assert told(house) == [("undelivered", "enter-pass-1")]
    for _ in range(2):
        assert await house.service.sign_in(attempt) == answer
    assert told(house) == [("undelivered", "enter-pass-1"), ("kept", "enter-pass-1")]


@pytest.mark.parametrize("failure", [StorageUnavailable("gone"), TimeoutError()])
async def test_a_repeat_meets_a_dead_database_as_everybody_does(
    build_house: BuildHouse, passwords: Passwords, failure: Exception
) -> None:
    dead = False

    def seen_through(whole: Database) -> Hindered:
        async def read(work: Any) -> Any:
            if dead:
                raise failure
            return await whole.read(work)

        hindered = Hindered(whole)
        hindered.read = read
        return hindered

    house = await build_house(matches=passwords, seen_through=seen_through)
    admission = issue(house)
    async with house.client() as client:
        first = await client.post("/sign-in", json=body(admission))
        dead = True
        assert await asked(client, admission) == (503, "database-unavailable")
        assert await asked(client, admission, password="feil") == (503, "database-unavailable")
        dead = False
        assert first.status_code == 200
        assert await asked(client, admission) == (409, "pass-spent"), "the one guess is taken"


@pytest.mark.parametrize(
    ("password", "told_then"), [(PASSWORD, ("undelivered", "enter-pass-1")), ("feil", ("abandoned", ""))]
)
async def test_who_leaves_while_it_is_looked_up_has_no_answer(
    build_house: BuildHouse, passwords: Passwords, password: str, told_then: tuple[str, str]
) -> None:
    hanging = asyncio.Event()
    hangs = False

    def seen_through(whole: Database) -> Hindered:
        async def read(work: Any) -> Any:
            if hangs:
                hanging.set()
                await asyncio.Event().wait()
            return await whole.read(work)

        hindered = Hindered(whole)
        hindered.read = read
        return hindered

    house = await build_house(matches=passwords, seen_through=seen_through, limits=Limits(database_seconds_max=300))
    own = body(issue(house))
    attempt = Attempt(own["login"], PASSWORD, DEVICE, "127.0.0.1", "other", own["pass"], own["proof"])
    first = await house.service.sign_in(attempt)
    hangs = True
    leaving = asyncio.create_task(house.service.sign_in(replace(attempt, password=password)))
    await hanging.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    assert told(house) == [told_then]
    hangs = False
    again = await house.service.sign_in(attempt)
    assert again == first if password == PASSWORD else isinstance(again, Refused)


async def test_an_admission_stays_spent_for_as_long_as_its_ticket_may_give_passes(house: House) -> None:
    async with house.client() as client:
        await client.post("/sign-in", json=body(issue(house)))
    for seconds, left in ((AFRESH_SECONDS + PASS_SECONDS, 1), (0.5, 0)):
        house.clock.advance(seconds)
        await house.service.keep_house()
        assert (await counted(house))[2] == left


async def test_what_is_past_is_forgotten_in_bounded_steps_all_of_it(build_house: BuildHouse) -> None:
    steps: list[int] = []

    def seen_through(whole: Database) -> Hindered:
        async def write(work: Any) -> Any:
            done = await whole.write(work)
            steps.append(done)
            return done

        hindered = Hindered(whole)
        hindered.write = write
        return hindered

    house = await build_house(seen_through=seen_through, limits=Limits(admissions_forgotten_max=2))
    now = house.clock.now()
    for number in range(6):
        until = now - 1 + (2 if number == 5 else 0)
        assert await house.database.write(lambda t, n=number, u=until: store.spend(t, f"p-{n}", until=u))
    await house.service.keep_house()
    assert steps[-3:] == [2, 2, 1]
    assert (await counted(house))[2] == 1
    assert not await house.database.write(lambda t: store.spend(t, "p-5", until=now))
    assert await house.database.read(lambda q: store.is_spent(q, "p-5"))
    assert not await house.database.read(lambda q: store.is_spent(q, "p-1"))


async def test_a_refusal_for_load_spends_nothing(build_house: BuildHouse, passwords: Passwords) -> None:
    signin = Signin(hash_threads=1, hash_queue_seconds_max=90.0)
    house = await build_house(signin, matches=passwords, limits=UNHURRIED)
    await slowed(house.service.pool, house.clock)
    admission = issue(house)
    passwords.open.clear()
    async with house.client() as client:
        others = [asyncio.create_task(asked(client, issue(house, f"o-{n}"), password="feil")) for n in range(6)]
        await eventually(lambda: house.service.pool.refusal(with_pass=True))
        assert await asked(client, admission) == (503, "overloaded")
        passwords.open.set()
        await asyncio.gather(*others)
        assert await counted(house) == (0, 0, 0)
        assert await asked(client, admission) == (200, "")
