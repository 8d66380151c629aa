"""What became of a canary, and where messages go whose route is stopped: the decisions alone."""

import pytest

from prikkfri.config import Canary as CanaryPhone
from prikkfri.config import Link, Sms
from prikkfri.errors import ConfigError
from prikkfri.sms.canaries.phones import phone_of_turn, phones_by_link
from prikkfri.sms.canaries.verdicts import Canary, Verdict, judge
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.routing import Party, RouteOutage, Routes, apply_switch, way_on

GRACE = 10.0


def canary(state: DeliveryState = DeliveryState.SENT, *, sent_at: float = 100.0, **known: float) -> Canary:
    times = {"attempted_at": 99.9, "ended_at": 0.0, "arrived_at": 0.0, "stray_at": 0.0, **known}
    return Canary("token", "id", "nord", "4790000001", state, sent_at=sent_at, **times)  # type: ignore[arg-type]


def verdict(of: Canary, *, now: float, heard_at: float | None = None) -> Verdict | None:
    judged = judge(of, now if heard_at is None else heard_at, grace_seconds=GRACE, now=now)
    return judged and judged.verdict


RECEIPTED = {"state": DeliveryState.DELIVERED, "ended_at": 101.0}


@pytest.mark.parametrize(
    ("of", "now", "expected"),
    [
        (canary(**RECEIPTED, arrived_at=101.5), 102.0, Verdict.ARRIVED),
        (canary(**RECEIPTED, arrived_at=111.0), 111.5, Verdict.LATE),
        (canary(**RECEIPTED), 111.0, None),  # its time is not over
        (canary(**RECEIPTED), 111.1, Verdict.MISSING),
        (canary(), 109.0, None),
        (canary(), 110.1, Verdict.LOST),
        (canary(arrived_at=101.0), 105.0, None),  # its receipt may still come
        (canary(arrived_at=101.0), 110.1, Verdict.ARRIVED),
        (canary(DeliveryState.UNDELIVERABLE, ended_at=101.0), 102.0, Verdict.REFUSED),
        (canary(DeliveryState.EXPIRED, sent_at=0.0, ended_at=130.0), 131.0, Verdict.UNSENT),
        (canary(DeliveryState.WAITING, sent_at=0.0), 1_000.0, None),
        (canary(stray_at=101.0), 101.5, Verdict.WRONG_PHONE),
        (canary(**RECEIPTED, arrived_at=101.0, stray_at=102.0), 102.0, Verdict.WRONG_PHONE),  # to its phone and another
    ],
)
def test_a_canary_is_judged_by_phone_and_network_together(of: Canary, now: float, expected: Verdict | None) -> None:
    assert verdict(of, now=now) == expected


def test_a_phone_that_is_silent_says_nothing_about_the_way() -> None:
    gone = canary(**RECEIPTED)  # type: ignore[arg-type]
    assert verdict(gone, now=120.0, heard_at=110.9) is None
    assert verdict(gone, now=150.0, heard_at=110.9) is Verdict.UNTOLD
    assert verdict(gone, now=150.0, heard_at=111.1) is Verdict.MISSING


def test_a_receipt_is_told_apart_from_an_arrival() -> None:
    without = judge(canary(arrived_at=101.0), 0.0, grace_seconds=GRACE, now=111.0)
    assert without is not None
    assert (without.verdict, without.receipted) == (Verdict.ARRIVED, False)


# Routes: where messages go whose link is stopped.


def link(name: str, instead: str = "") -> Link:
    return Link(
        name=name, partner=name.title(), host="h", port=1, system_id="s", password="p", prefixes=(), instead=instead
    )


LINKS = (link("nord"), link("syd", instead="fjord"), link("fjord"))


def party(text: str) -> Party:
    return Party.parse(text)


def test_what_waits_is_held_while_its_route_is_stopped() -> None:
    stopped, opened = Routes.of(Sms(links=LINKS), ["nord"]), Routes.of(Sms(links=LINKS))
    assert way_on(stopped, party("link:nord"), "4790000001", None) == party("held:nord")
    assert way_on(opened, party("held:nord"), "4790000001", None) == party("link:nord")


def test_a_switch_that_changes_nothing_is_none_and_an_opening_keeps_what_is_known_of_the_stop() -> None:
    def to(known: RouteOutage | None, state: str, now: float) -> RouteOutage | None:
        return apply_switch(known, state, who="Kari", reason="r", exposed_since=1.0, likely_since=2.0, now=now)

    assert to(None, "open", 5.0) is None
    stopped = to(None, "stopped", 5.0)
    assert stopped == RouteOutage("stopped", 5.0, "Kari", "r", 5.0, 1.0, 2.0)
    assert to(stopped, "stopped", 6.0) is None
    again = to(stopped, "open", 7.0)
    assert again is not None
    assert (again.stopped, again.changed_at, again.stopped_at, again.exposed_since) == (False, 7.0, 5.0, 1.0)


def phone(msisdn: str, link: str = "nord") -> CanaryPhone:
    return CanaryPhone(msisdn=msisdn, link=link)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            Sms(links=(link("syd"), link("nord")), canaries=(phone("+4790000801", link="south"),)),
            "sms.canaries: there is no link 'south'; known: nord, syd",
        ),
        (Sms(links=LINKS, canaries=(phone("90000801"),)), "sms.canaries: '90000801' is no number in E.164"),
        (Sms(links=LINKS, canaries=(phone("+nobody"),)), "sms.canaries: '+nobody' is no number in E.164"),
        (Sms(links=(link("nord", instead="nord"),)), "sms.links: `instead` of nord names no other link: 'nord'"),
        (Sms(links=(link("nord", instead="south"),)), "sms.links: `instead` of nord names no other link: 'south'"),
    ],
)
def test_a_canary_or_a_stand_in_that_cannot_be_is_refused(settings: Sms, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        phones_by_link(settings)
    assert str(refused.value) == says


def test_each_phone_has_its_turn() -> None:
    phones = tuple(phone(f"+479000080{number}") for number in range(3))
    found = phones_by_link(Sms(links=LINKS, canaries=phones))
    assert found == {"nord": ["4790000800", "4790000801", "4790000802"]}
    assert {phone_of_turn(found["nord"], turn) for turn in range(5)} == set(found["nord"])
