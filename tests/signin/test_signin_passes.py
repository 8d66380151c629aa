"""The waiting room's passes, as sign-in honours them."""

import pytest
from signin_house import DEVICE, PASSWORD, BuildHouse, House

from prikkfri.config import Door, Signin
from prikkfri.protocols import admission_pass
from prikkfri.protocols.admission_pass import Pass
from prikkfri.signin.hash_pool import Overloaded
from prikkfri.storage.keys import SigningKey, publish_public_key, signing_key

OTHER_DEVICE = "d-BBBBBBBBBBBBBBBBBBBBBB"


@pytest.fixture
def door_key(house: House) -> SigningKey:
    key = signing_key(house.config.home, "door-pass")
    publish_public_key(house.config.home, "pass", "door", key)
    return key


def body(admission: str, password: str = PASSWORD, device: str = DEVICE) -> dict[str, str]:
    return {"login": "kari@example.no", "password": password, "device": device, "pass": admission}


def issue(house: House, key: SigningKey, *, promise: str = "enter-1", lifetime_s: float = 300) -> str:
    admission = Pass("pass-1", DEVICE, house.clock.now() + lifetime_s, promise)
    return admission_pass.issue(key.private, key.kid, admission)


async def test_a_kept_sign_in_settles_the_promise_that_its_pass_carries(house: House, door_key: SigningKey) -> None:
    async with house.client() as client:
        assert (await client.post("/sign-in", json=body(issue(house, door_key)))).status_code == 200
        assert (await client.post("/sign-in", json=body("no.pass.atall"))).status_code == 200
    assert [outcome.promise for outcome in await house.journalled()] == ["enter-1", ""]


@pytest.fixture
def lanes(house: House, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """In which lane each hash was asked for."""
    lanes: list[bool] = []
    run = house.service.pool.run

    async def noted(work: object, *, with_pass: bool = False) -> object:
        lanes.append(with_pass)
        return await run(work, with_pass=with_pass)  # type: ignore[arg-type]

    monkeypatch.setattr(house.service.pool, "run", noted)
    return lanes


async def test_whose_answer_is_lost_comes_again_with_the_same_pass_and_promise(
    house: House, door_key: SigningKey, lanes: list[bool]
) -> None:
    admission = issue(house, door_key)
    async with house.client() as client:
        for _ in range(6):
            assert (await client.post("/sign-in", json=body(admission))).status_code == 200
    assert lanes == [True] * 5 + [False]
    assert [outcome.promise for outcome in await house.journalled()] == ["enter-1"] * 5 + [""]


async def test_a_pass_outlives_typing_errors_but_not_guessing(
    house: House, door_key: SigningKey, lanes: list[bool]
) -> None:
    admission = issue(house, door_key)
    async with house.client() as client:
        for _ in range(6):
            assert (await client.post("/sign-in", json=body(admission, "feil"))).status_code == 401
    assert lanes == [True] * 5 + [False]


async def test_a_refusal_for_load_costs_no_try(
    house: House, door_key: SigningKey, lanes: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    admission = issue(house, door_key)
    async with house.client() as client:
        with monkeypatch.context() as full:
            full.setattr(house.service.pool, "refusal", lambda **_: Overloaded(1.0))
            for _ in range(7):
                assert (await client.post("/sign-in", json=body(admission))).status_code == 503
        assert (await client.post("/sign-in", json=body(admission))).status_code == 200
    assert lanes == [True]


async def test_a_pass_that_is_late_or_anothers_is_none(house: House, door_key: SigningKey, lanes: list[bool]) -> None:
    stranger = signing_key(house.config.home, "stranger")
    forged = admission_pass.issue(stranger.private, door_key.kid, Pass("p", DEVICE, house.clock.now() + 60, ""))
    async with house.client() as client:
        await client.post("/sign-in", json=body(issue(house, door_key, lifetime_s=-1)))
        await client.post("/sign-in", json=body(issue(house, door_key), device=OTHER_DEVICE))
        await client.post("/sign-in", json=body(forged))
        signed = (await client.post("/sign-in", json=body(issue(house, door_key)))).json()
        await client.post("/sign-in", json=body(signed["device_token"]))
    assert lanes == [False, False, False, True, False]


async def test_a_refusal_for_load_hashes_nothing_and_is_recorded(build_house: BuildHouse) -> None:
    house = await build_house(Signin(hash_threads=1, hash_queue_seconds_max=0.0001), door=Door(waiting_room="on"))
    house.service.pool._running = 1  # the only thread is busy
    async with house.client() as client:
        answer = await client.post("/sign-in", json=body(""))
    assert (answer.status_code, answer.json()["error"]) == (503, "overloaded")
    assert [(o.verdict, o.reason, o.customer) for o in house.recorded] == [("broken", "overloaded", "")]
    assert house.service.pool.counters.hashes == 0
