"""Customers who come with the password that they had elsewhere."""

import asyncio

import bcrypt
import pytest
from signin_house import DEVICE, PASSWORD, BuildHouse, House

from prikkfri.signin import store
from prikkfri.signin.credentials import costs_the_same, matches
from prikkfri.signin.limits import Limits
from prikkfri.storage import Transaction
from prikkfri.subscribers.store import write_imported_passwords

ELSEWHERE = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
KARI = {"login": "kari@example.no", "password": PASSWORD, "device": DEVICE}
WRONG = KARI | {"password": "gal hest"}
UNKNOWN = WRONG | {"login": "nobody@example.no"}


async def from_elsewhere(house: House, *, own: str | None = None) -> None:
    """Kari has an imported password, and of our own what is said."""

    async def seed(transaction: Transaction) -> None:
        await write_imported_passwords(transaction, {"s-1": ELSEWHERE}, superseded=())

    async def forget(transaction: Transaction) -> None:
        await transaction.execute("DELETE FROM credential WHERE subscriber_id = 's-1'")
        if own:
            await store.put_credentials(transaction, [("s-1", own)], 0.0)

    await house.subscribers.write(seed)
    await house.database.write(forget)
    await house.service.keep_house()


async def own_hash(house: House) -> str | None:
    return await house.database.read(lambda q: store.password_hash(q, "s-1"))


async def test_the_imported_password_opens_and_is_renewed_at_the_first_sign_in(house: House) -> None:
    await from_elsewhere(house)
    async with house.client() as client:
        assert (await client.post("/sign-in", json=WRONG)).status_code == 401
        assert await own_hash(house) is None
        assert (await client.post("/sign-in", json=KARI)).status_code == 200
        renewed = await own_hash(house)
        assert renewed is not None and costs_the_same(renewed) and matches(PASSWORD, renewed)
        assert (await client.post("/sign-in", json=KARI)).status_code == 200
        assert await own_hash(house) == renewed


async def test_a_password_of_our_own_is_the_only_one_that_counts(house: House, hashed: str) -> None:
    other = "$argon2id$v=19$m=19456,t=2,p=1$" + "A" * 22 + "$" + "A" * 43
    await from_elsewhere(house, own=other)
    async with house.client() as client:
        assert (await client.post("/sign-in", json=KARI)).status_code == 401
    assert await own_hash(house) == other


async def test_a_password_set_meanwhile_keeps_out_whoever_knew_the_one_before(
    build_house: BuildHouse, hashed: str
) -> None:
    """The new one ended all sessions; a sign-in under way must not open another."""
    compared, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(password: str, expected: str) -> bool:
        loop.call_soon_threadsafe(compared.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(60)
        return matches(password, expected)

    house = await build_house(matches=slowly)
    async with house.client() as client:
        signing_in = asyncio.create_task(client.post("/sign-in", json=KARI))
        await compared.wait()
        await house.database.write(lambda t: store.put_credentials(t, [("s-1", hashed[:-2] + "AA")], 1.0))
        go_on.set()
        assert (await signing_in).json()["error"] == "wrong-credentials"
    assert await house.database.read(lambda q: store.devices(q, "s-1", house.clock.now())) == []
    assert [each.reason for each in house.recorded] == ["wrong-credentials"]


class Slept:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.mark.parametrize("took_s", [0.0, 0.25, 0.6])
async def test_wrong_and_unknown_are_told_at_one_time_whatever_they_cost(
    build_house: BuildHouse, took_s: float
) -> None:
    built: list[House] = []

    def taking(password: str, expected: str) -> bool:
        if expected == ELSEWHERE and built:
            built[0].clock.advance(took_s)
        return False

    slept = Slept()
    built.append(await build_house(matches=taking, limits=Limits(wrong_after_seconds=0.6), sleep=slept))
    async with built[0].client() as client:
        await client.post("/sign-in", json=UNKNOWN)
        assert slept.seconds == []  # nobody was imported: all cost the same
        await from_elsewhere(built[0])
        await client.post("/sign-in", json=UNKNOWN)
        await client.post("/sign-in", json=WRONG)
    assert slept.seconds == [0.6] + [0.6 - took_s] * (took_s < 0.6)
