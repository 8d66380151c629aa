"""The waiting room's passes, as sign-in honours them: who has a good one goes first, and their promise is settled."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from signin_house import DEVICE, DEVICE_KEY, PASSWORD, SLOW_HASH_SECONDS, BuildHouse, Hindered, House, Passwords, slowed
from waiting import eventually

from prikkfri.config import Door, Signin
from prikkfri.errors import StorageUnavailable
from prikkfri.protocols import admission_pass, guessing
from prikkfri.protocols.admission_pass import Pass
from prikkfri.signin.limits import Limits
from prikkfri.storage import Database
from prikkfri.storage.keys import SigningKey, make_next_key, publish_public_key, signing_key
from prikkfri.storage.limits import LIMITS
from prikkfri.storage.rotation import SecretRotation

HOLDER = DEVICE_KEY.holder
CROWD_OF_ONE_LOGIN = Limits(guesses=guessing.Limits(name_and_network=guessing.Limit(100, 300)))
"""For tests in which one login stands for many: how it may be guessed at is not their subject."""


@pytest.fixture
async def house(build_house: BuildHouse, passwords: Passwords) -> House:
    """With one thread, so that it shows who goes first."""
    return await build_house(Signin(hash_threads=1), matches=passwords, limits=CROWD_OF_ONE_LOGIN)


@pytest.fixture
def door_key(house: House) -> SigningKey:
    return made_key(house)


def made_key(house: House) -> SigningKey:
    key = signing_key(house.config.home, "door-pass")
    publish_public_key(house.config.home, "pass", "door", key)
    return key


def body(admission: str, password: str = PASSWORD, device: str = DEVICE) -> dict[str, str]:
    proof = DEVICE_KEY.proof("sign-in", admission)
    return {"login": "kari@example.no", "password": password, "device": device, "pass": admission, "proof": proof}


def issue(
    house: House, key: SigningKey, *, pass_id: str = "pass-1", promise: str = "enter-1", lifetime_s: float = 300
) -> str:
    admission = Pass(pass_id, DEVICE, house.clock.now() + lifetime_s, promise, DEVICE_KEY.holder)
    return admission_pass.issue(key.private, key.kid, admission)


def promises(house: House) -> list[str]:
    """Of the sign-ins that were refused: which had a pass that was honoured."""
    return [outcome.promise for outcome in house.recorded]


async def test_a_kept_sign_in_settles_the_promise_that_its_pass_carries(house: House, door_key: SigningKey) -> None:
    async with house.client() as client:
        assert (await client.post("/sign-in", json=body(issue(house, door_key)))).status_code == 200
        assert (await client.post("/sign-in", json=body("no.pass.atall"))).status_code == 200
    assert [outcome.promise for outcome in await house.journalled()] == ["enter-1", ""]


async def test_who_has_a_pass_goes_first_and_each_in_the_order_of_coming(
    house: House, door_key: SigningKey, passwords: Passwords
) -> None:
    passwords.open.clear()
    first = issue(house, door_key)
    stranger = signing_key(house.config.home, "stranger")
    forged = admission_pass.issue(stranger.private, door_key.kid, Pass("p", DEVICE, house.clock.now() + 60, "", HOLDER))
    late = issue(house, door_key, lifetime_s=0)
    come = [("a", ""), ("b", forged), ("c", late), ("d", ""), ("e", ""), ("f", first), ("g", first)]
    load = lambda: house.service.pool.load  # noqa: E731
    async with house.client() as client:
        asking = []
        for number, (name, admission) in enumerate(come):
            asking.append(asyncio.create_task(client.post("/sign-in", json=body(admission, name))))
            await eventually(
                lambda number=number: (
                    passwords.compared and sum((load().waiting_with_pass, load().waiting_without)) == number
                )
            )
        assert (load().waiting_with_pass, load().waiting_without) == (2, 4)
        passwords.open.set()
        await asyncio.gather(*asking)
    assert "".join(password for password, _ in passwords.compared) == "afgbcde"


async def test_a_pass_outlives_typing_errors_but_not_guessing(house: House, door_key: SigningKey) -> None:
    admission = issue(house, door_key)
    async with house.client() as client:
        for _ in range(11):
            assert (await client.post("/sign-in", json=body(admission, "feil"))).status_code == 401
    assert promises(house) == ["enter-1"] * 10 + [""]


async def test_wrong_passwords_do_not_spend_a_pass(house: House, door_key: SigningKey) -> None:
    admission = issue(house, door_key)
    async with house.client() as client:
        for _ in range(9):
            assert (await client.post("/sign-in", json=body(admission, "feil"))).status_code == 401
        assert (await client.post("/sign-in", json=body(admission))).status_code == 200
    assert [outcome.promise for outcome in await house.journalled()] == ["enter-1"]


async def test_a_pass_counts_as_spent_once_it_has_come_to_a_hash_and_once_only(
    house: House, door_key: SigningKey
) -> None:
    spent = []
    async with house.client() as client:
        for admission in (issue(house, door_key), issue(house, door_key), issue(house, door_key, pass_id="pass-2"), ""):
            await client.post("/sign-in", json=body(admission, "feil"))
            spent.append(house.service.capacity()["spent"])
    assert spent == [1, 1, 2, 2]


@pytest.fixture
async def full_house(
    build_house: BuildHouse, passwords: Passwords
) -> AsyncIterator[tuple[House, list["asyncio.Task[Any]"]]]:
    """Its one thread is busy, and its line so long that nobody else is taken; and those who fill it."""
    house = await build_house(
        Signin(hash_threads=1, hash_queue_seconds_max=90.0), matches=passwords, limits=CROWD_OF_ONE_LOGIN
    )
    await slowed(house.service.pool, house.clock)
    passwords.open.clear()
    others = made_key(house)
    async with house.client() as client:
        asking = []
        for number in range(5):
            admission = issue(house, others, pass_id=f"other-{number}", promise="")
            somebody = body(admission, "feil") | {"login": f"{number}@example.no"}
            asking.append(asyncio.create_task(client.post("/sign-in", json=somebody)))
        await eventually(lambda: house.service.pool.refusal(with_pass=True))
        yield house, asking
        passwords.open.set()
        await asyncio.gather(*asking)


async def test_a_refusal_for_load_costs_no_try_and_no_hash(
    full_house: tuple[House, list["asyncio.Task[Any]"]], passwords: Passwords
) -> None:
    house, others = full_house
    admission = issue(house, signing_key(house.config.home, "door-pass"))
    async with house.client() as client:
        for _ in range(7):
            answer = await client.post("/sign-in", json=body(admission, "typed wrongly"))
            assert (answer.status_code, answer.json()["error"]) == (503, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1
        assert [(o.verdict, o.reason, o.customer) for o in house.recorded] == [("broken", "overloaded", "")] * 7
        assert promises(house) == ["enter-1"] * 7
        passwords.open.set()
        await asyncio.gather(*others)
        del house.recorded[:]
        house.clock.advance(300 - 1)
        for _ in range(11):
            assert (await client.post("/sign-in", json=body(admission, "typed wrongly"))).status_code == 401
            house.clock.advance(0.01)
    assert promises(house) == ["enter-1"] * 10 + [""]


@pytest.mark.parametrize(
    ("used", "honoured"),
    [
        ("000000", "00000-"),
        ("00000120", "00000120"),  # the first is forgotten: memory is bounded
        ("01020000", "0102000-"),  # the one that is used stays known
    ],
)
async def test_so_many_passes_are_remembered_and_the_newest(
    build_house: BuildHouse, passwords: Passwords, used: str, honoured: str
) -> None:
    limits = Limits(passes_remembered_max=2, tries_with_one_pass=5, guesses=CROWD_OF_ONE_LOGIN.guesses)
    house = await build_house(matches=passwords, limits=limits)
    key = made_key(house)
    passes = [issue(house, key, pass_id=f"pass-{number}", promise=str(number)) for number in range(3)]
    async with house.client() as client:
        for number in map(int, used):
            await client.post("/sign-in", json=body(passes[number], "feil"))
    assert "".join(promise or "-" for promise in promises(house)) == honoured


async def test_a_database_that_is_dead_costs_no_try(build_house: BuildHouse, passwords: Passwords) -> None:
    failures = [StorageUnavailable("the disk is full")] * 7

    def seen_through(whole: Database) -> Hindered:
        async def write(work: Any) -> Any:
            if failures:
                raise failures.pop()
            return await whole.write(work)

        hindered = Hindered(whole)
        hindered.write = write
        return hindered

    house = await build_house(matches=passwords, seen_through=seen_through)
    admission = issue(house, made_key(house))
    async with house.client() as client:
        statuses = [(await client.post("/sign-in", json=body(admission))).status_code for _ in range(13)]
    assert statuses == [503] * 7 + [200] * 6
    assert promises(house) == ["enter-1"] * 7
    assert [outcome.promise for outcome in await house.journalled()] == ["enter-1"]


async def test_a_pass_that_is_late_or_forged_is_none(house: House, door_key: SigningKey) -> None:
    stranger = signing_key(house.config.home, "stranger")
    forged = admission_pass.issue(
        stranger.private, door_key.kid, Pass("p", DEVICE, house.clock.now() + 60, "p", HOLDER)
    )
    async with house.client() as client:
        for admission, device in (
            (issue(house, door_key, lifetime_s=-1), DEVICE),
            (issue(house, door_key, lifetime_s=0), DEVICE),
            (forged, DEVICE),
            (issue(house, door_key, lifetime_s=1), DEVICE),
        ):
            signed = (await client.post("/sign-in", json=body(admission, device=device))).json()
        await client.post("/sign-in", json=body(signed["device_token"]))
    assert [outcome.promise for outcome in await house.journalled()] == ["", "", "", "enter-1", ""]


async def test_a_key_that_the_door_makes_later_is_found_and_asked_for_at_most_once_a_second(house: House) -> None:
    early = signing_key(house.config.home, "door-pass")
    async with house.client() as client:
        await client.post("/sign-in", json=body(issue(house, early)))
        publish_public_key(house.config.home, "pass", "door", early)
        house.clock.advance(0.9)
        await client.post("/sign-in", json=body(issue(house, early)))
        house.clock.advance(0.2)
        await client.post("/sign-in", json=body(issue(house, early)))
    assert [outcome.promise for outcome in await house.journalled()] == ["", "", "enter-1"]


async def test_a_torn_key_file_takes_nothing_from_those_who_come_without_a_pass(
    house: House, door_key: SigningKey
) -> None:
    (house.config.home / "public" / "pass-keys" / "door.json").write_text("{ torn")
    async with house.client() as client:
        assert (await client.post("/sign-in", json=body(issue(house, door_key)))).status_code == 200
    assert [outcome.promise for outcome in await house.journalled()] == [""]


@pytest.mark.parametrize(("waiting_room", "queued"), [("on", 5), ("off", 20)])
async def test_while_the_waiting_room_is_on_those_without_a_pass_have_a_quarter_of_the_line(
    build_house: BuildHouse, passwords: Passwords, waiting_room: Literal["on", "off"], queued: int
) -> None:
    signin = Signin(hash_threads=1, hash_queue_seconds_max=20.5 * SLOW_HASH_SECONDS)
    reads = 0

    def seen_through(whole: Database) -> Hindered:
        async def read(work: Any) -> Any:
            nonlocal reads
            reads += 1
            return await whole.read(work)

        hindered = Hindered(whole)
        hindered.read = read
        return hindered

    house = await build_house(
        signin,
        matches=passwords,
        door=Door(waiting_room=waiting_room),
        seen_through=seen_through,
        limits=CROWD_OF_ONE_LOGIN,
    )
    await slowed(house.service.pool, house.clock)
    passwords.open.clear()
    refused = 30 - 1 - queued  # one is being hashed
    async with house.client() as client:
        asking = [asyncio.create_task(client.post("/sign-in", json=body(""))) for _ in range(30)]
        await eventually(lambda: house.service.pool.counters.refused >= refused)
        assert house.service.pool.load.waiting_without == queued
        before = reads
        assert (await client.post("/sign-in", json=body(""))).status_code == 503
        assert reads == before  # nothing is done for whoever is refused
        passwords.open.set()
        statuses = [answer.status_code for answer in await asyncio.gather(*asking)]
    assert statuses.count(503) == refused


async def test_the_answer_of_then_outlives_a_change_of_the_key_that_it_came_of(
    house: House, door_key: SigningKey
) -> None:
    admission = issue(house, door_key)
    key = house.service._keys.session
    rotation = SecretRotation(house.config.home, "signin-session", key, house.clock)
    async with house.client() as client:
        first = await client.post("/sign-in", json=body(admission))
        before = key.current
        make_next_key(house.config.home, "signin-session")
        rotation.step()
        house.clock.advance(LIMITS.key_published_seconds)
        rotation.step()
        assert before in key.others
        again = await client.post("/sign-in", json=body(admission))
        assert again.status_code == 200, again.text
        assert again.json()["device_token"] == first.json()["device_token"]
        key.others = ()
        assert (await client.post("/sign-in", json=body(admission))).status_code == 409
