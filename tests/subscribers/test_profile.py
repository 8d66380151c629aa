"""A subscriber as a person is shown them."""

from zoneinfo import ZoneInfo

import pytest

from prikkfri.subscribers.profile import HeldSubscription, masked_email, masked_name, profile
from prikkfri.subscribers.subscriptions import STILL, Subscriber, Subscription

OSLO = ZoneInfo("Europe/Oslo")
KARI = Subscriber("s-1", "Kari Nordmann", "kari@example.no")
NEW_YEAR = 1_640_991_600.0  # 2022 in Oslo, and an hour before it in UTC
NUMBER = Subscription("s-1", "mobile", "Fri", "+4791234567", NEW_YEAR, NEW_YEAR + 86_400)
SPORT = Subscription("s-1", "television", "sport", "", NEW_YEAR, STILL)


@pytest.mark.parametrize(
    ("name", "masked"),
    [("Kari Nordmann", "K••• N•••"), ("Bo", "B•••"), ("Åse  Ø von X", "Å••• Ø••• v••• X•••"), ("", ""), (" ", "")],
)
def test_a_name_is_shown_by_its_first_letters(name: str, masked: str) -> None:
    assert masked_name(name) == masked


@pytest.mark.parametrize(
    ("email", "masked"),
    [
        ("kari@example.no", "k•••@example.no"),
        ("k@x", "k•••@x"),
        ("", ""),
        ("kari", ""),
        ("@x", "•••@x"),
        ("k@home@x", "k•••@x"),
    ],
)
def test_an_address_is_shown_by_its_first_letter_and_its_domain(email: str, masked: str) -> None:
    assert masked_email(email) == masked


@pytest.mark.parametrize(("now", "held"), [(-0.1, False), (0.0, True), (86_399.9, True), (86_400.0, False)])
def test_what_is_held_at_the_moment_is_told(now: float, held: bool) -> None:
    shown = profile(KARI, [NUMBER, SPORT], [NUMBER], now=NEW_YEAR + now, timezone=OSLO, unmasked=False)
    number = HeldSubscription("s-1", "mobile", "Fri", "+47 ••••• 567", "2022-01-01", "2022-01-02", held)
    assert shown.subscriptions == (
        number,
        HeldSubscription("s-1", "television", "sport", "", "2022-01-01", "", now >= 0),
    )
    assert shown.holders == (number,)
    assert (shown.id, shown.name, shown.email) == ("s-1", "K••• N•••", "k•••@example.no")


def test_unmasked_all_of_it_is_shown() -> None:
    shown = profile(KARI, [NUMBER], [NUMBER], now=0.0, timezone=OSLO, unmasked=True)
    assert (shown.name, shown.email) == (KARI.name, KARI.email)
    assert [held.number for held in shown.subscriptions + shown.holders] == ["+4791234567"] * 2
