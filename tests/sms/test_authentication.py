"""Secrets of accounts: what may be guessed, over both edges together, and who is not locked out by it."""

import asyncio
import base64
from typing import Any

import httpx
import pytest

from prikkfri.config import Account
from prikkfri.protocols.smpp.pdu import Status
from prikkfri.sms.authentication import Rejection, Secrets
from prikkfri.sms.http import application

PASSWORD = "secret12"
SHOP = Account(system_id="shop", password=PASSWORD, senders=("Shop",))
SLOW = Account(system_id="slow", password=PASSWORD, senders=("Shop",))


def guess(secrets: Secrets, times: int, *, name: str = "shop", address: str, now: float = 0.0) -> list[float | None]:
    """How each wrong secret was answered."""
    answers = [secrets.authenticate(name, f"{n}", address=address, now=now) for n in range(times)]
    assert all(isinstance(answer, Rejection) for answer in answers)
    return [answer.retry_after_s for answer in answers if isinstance(answer, Rejection)]


@pytest.mark.parametrize("name", ["shop", "nobody"])
def test_an_account_is_guessed_six_times_from_one_network_and_then_not_even_the_right_secret_is_looked_at(
    name: str,
) -> None:
    secrets = Secrets([SHOP])
    assert guess(secrets, 8, name=name, address="192.0.2.1") == [None] * 6 + [50.0] * 2
    early = secrets.authenticate(name, PASSWORD, address="192.0.2.1", now=49.0)
    assert early == Rejection(pytest.approx(1.0))  # type: ignore[arg-type]
    later = secrets.authenticate(name, PASSWORD, address="192.0.2.1", now=50.0)
    assert later == (SHOP if name == "shop" else Rejection())


def test_a_network_is_one_and_guesses_at_all_names_together() -> None:
    secrets = Secrets([SHOP])
    wrong = [guess(secrets, 1, address=f"2001:db8::{n:x}")[0] for n in range(8)]
    assert wrong == [None] * 6 + [50.0] * 2
    many = [guess(secrets, 1, name=f"n{n}", address="2001:db8::1")[0] for n in range(100)]
    assert many[:94] == [None] * 94 and all(many[94:])


def test_the_usual_network_is_not_locked_out_by_guesses_from_everywhere_and_a_new_one_is() -> None:
    secrets = Secrets([SHOP, SLOW])
    assert secrets.authenticate("shop", PASSWORD, address="198.51.100.1", now=0.0) is SHOP
    for n in range(60):
        guess(secrets, 1, address=f"192.0.2.{n}")
    assert isinstance(secrets.authenticate("shop", PASSWORD, address="203.0.113.1", now=0.0), Rejection)
    assert secrets.authenticate("slow", PASSWORD, address="203.0.113.1", now=0.0) is SLOW
    for _ in range(200):  # what is right costs nothing
        assert secrets.authenticate("shop", PASSWORD, address="198.51.100.1", now=0.0) is SHOP
    # Its own network is no way to guess without end.
    assert guess(secrets, 7, address="198.51.100.1") == [None] * 6 + [50.0]


def test_to_be_right_once_is_no_way_to_guess_anew_from_the_same_network() -> None:
    secrets = Secrets([SHOP])
    assert guess(secrets, 5, address="192.0.2.1") == [None] * 5
    assert secrets.authenticate("shop", PASSWORD, address="192.0.2.1", now=0.0) is SHOP
    assert guess(secrets, 2, address="192.0.2.1") == [None, 50.0]


def test_of_the_usual_networks_the_newest_are_remembered() -> None:
    secrets = Secrets([SHOP], networks_max=2)
    homes = [f"198.51.100.{n}" for n in range(3)]
    assert all(secrets.authenticate("shop", PASSWORD, address=home, now=0.0) is SHOP for home in homes)
    for n in range(60):
        guess(secrets, 1, address=f"192.0.2.{n}")
    let_in = [secrets.authenticate("shop", PASSWORD, address=home, now=0.0) is SHOP for home in homes]
    assert let_in == [False, True, True]


async def test_both_edges_count_together_and_at_once(house: Any) -> None:
    async with house() as at:
        transport = httpx.ASGITransport(application(at.centre))
        async with httpx.AsyncClient(transport=transport, base_url="http://sms") as api:

            async def over_http(secret: str) -> httpx.Response:
                credentials = base64.b64encode(f"shop:{secret}".encode()).decode()
                return await api.get("/messages/x", headers={"Authorization": f"Basic {credentials}"})

            binds = await asyncio.gather(*(at.client(password=f"wrong{n}") for n in range(3)))
            assert {status for _, status in binds} == {Status.INVALID_PASSWORD}
            answers = await asyncio.gather(*(over_http(f"wrong{n}") for n in range(5)))
            assert sorted(answer.status_code for answer in answers) == [401] * 3 + [429] * 2
            refused = await over_http(PASSWORD)
            assert (refused.status_code, refused.json()["error"]) == (429, "too-many-tries")
            assert refused.headers["retry-after"] == "50" and refused.json()["retry_after_s"] == 50
            _, status = await at.client()
            assert status == Status.BIND_FAILED
            assert at.centre.counters()["secrets_wrong_total"] == 6
            assert at.centre.counters()["secrets_not_looked_at_total"] == 4
            at.clock.advance(50)
            await at.bound_client()
            assert (await over_http(PASSWORD)).status_code == 404
