"""Where a message goes, and what is known of a route that was stopped."""

from dataclasses import replace
from typing import Any

import pytest

from prikkfri.config import Account, Link, Sms
from prikkfri.sms.routing import Party, Route, RouteOutage, Routes, apply_switch, find_route, sources, stand_ins, way_on


def link(name: str, *prefixes: str, instead: str = "", priority: int = 0) -> Link:
    return Link(name=name, partner=name.title(), host="h", port=1, system_id="s", password="p", prefixes=prefixes,
                instead=instead, priority=priority)  # fmt: skip


LINKS = (link("nord", "47", "4690"), link("syd", "46", "479", instead="fjord"), link("fjord", "45"))
SETTINGS = Sms(
    accounts=(
        Account(system_id="shop", password="x", short_codes=("2010", "2011")),
        Account(system_id="clinic", password="x", short_codes=("47",)),
    ),
    links=LINKS,
)


def to(text: str, matched: str) -> Route:
    return Route(Party.parse(text), matched)


FOUND = {
    "2010": to("account:shop", "2010"),
    "2011": to("account:shop", "2011"),
    "47": to("account:clinic", "47"),  # a short code before any prefix
    "4712345678": to("link:nord", "47"),
    "4790000001": to("link:syd", "479"),
    "4690000001": to("link:nord", "4690"),
    "4680000001": to("link:syd", "46"),
    "4690000": to("link:nord", "4690"),
    "469000": None,  # a short code of nobody, and not of Sweden
    "46901": None,
    "469": None,
    "4512345678": to("link:fjord", "45"),
    "20100": None,
    "4412345678": None,
    "4": None,
}


def test_a_short_code_goes_to_its_account_and_a_number_by_its_longest_prefix() -> None:
    routes = Routes.of(SETTINGS)
    assert {recipient: find_route(routes, recipient) for recipient in FOUND} == FOUND


def test_what_would_take_a_stopped_link_is_held_or_goes_by_the_one_that_stands_in() -> None:
    def by(*stopped: str) -> dict[str, str]:
        routes = Routes.of(SETTINGS, stopped)
        found = {number: find_route(routes, number) for number in ("2010", "4712345678", "4790000001", "4512345678")}
        return {number: f"{route.party} {route.matched}" for number, route in found.items() if route is not None}

    usual = by()
    assert by("nord") == usual | {"4712345678": "held:nord 47"}
    assert by("syd") == usual | {"4790000001": "link:fjord 479"}
    assert by("syd", "fjord") == usual | {"4790000001": "held:syd 479", "4512345678": "held:fjord 45"}
    assert by("fjord") == usual | {"4512345678": "held:fjord 45"}


def test_an_empty_prefix_takes_all_numbers_that_no_other_takes() -> None:
    routes = Routes.of(Sms(links=(link("rest", ""), link("nord", "47"), link("usa", "1"))))
    assert find_route(routes, "4512345678") == to("link:rest", "")
    assert find_route(routes, "4712345678") == to("link:nord", "47")
    assert find_route(routes, "4711") == find_route(routes, "1999") == to("link:rest", "")
    assert find_route(routes, "12125550123") == to("link:usa", "1")
    assert find_route(Routes.of(Sms()), "4712345678") is None


def test_of_links_with_one_prefix_the_first_takes_it_and_the_next_while_it_is_stopped() -> None:
    chain = (link("b", "47", instead="c"), link("a", "47", "46", instead="b"), link("c", "47", "46"))
    for links in (chain, chain[::-1], chain[1:] + chain[:1]):
        for stopped, party in ((), "link:a"), (("a",), "link:b"), (("b",), "link:a"), (("c",), "link:a"):
            for number in ("4712345678", "4612345678"):
                found = find_route(Routes.of(Sms(links=links), stopped), number)
                assert found == to(party, number[:2]), (links, stopped)
    around = (link("a", "47", instead="b"), link("b", "46", instead="a"))
    assert find_route(Routes.of(Sms(links=around)), "4612345678") == to("link:b", "46")


ORDERED = (link("c", "47", "46", priority=2), link("a", "47", instead="d"), link("b", "47", "46", priority=1),
           link("d", "45"))  # fmt: skip


@pytest.mark.parametrize(
    ("stopped", "down", "party"),
    [
        ("", "", "link:a"),
        ("", "a", "link:d"),
        ("a", "", "link:d"),
        ("a", "d", "link:b"),
        ("d", "a", "link:b"),
        ("", "ad", "link:b"),
        ("d", "ab", "link:c"),
        ("", "abcd", "link:a"),  # none is there: it waits for the first
        ("a", "bcd", "link:d"),
        ("abd", "c", "link:c"),
        ("abcd", "", "held:a"),
    ],
)
def test_the_first_link_that_is_open_and_bound_takes_a_number(stopped: str, down: str, party: str) -> None:
    for links in (ORDERED, ORDERED[::-1]):
        assert find_route(Routes.of(Sms(links=links), [*stopped], [*down]), "4712345678") == to(party, "47")


def test_what_can_go_on_from_a_link_is_looked_at_and_nothing_else() -> None:
    def bypassed(stopped: str, down: str) -> set[str]:
        return set(Routes.of(Sms(links=ORDERED), [*stopped], [*down]).bypassed())

    assert bypassed("", "") == set()
    assert bypassed("", "a") == {"a"}
    assert bypassed("b", "d") == {"b", "d"}
    assert bypassed("ab", "cd") == set()
    alone = Sms(links=(link("a", "47"), link("b", "46")))
    assert Routes.of(alone, ["a"], ["a", "b"]).bypassed() == set()
    assert Routes.of(alone, [], ["a"]).bypassed() == set()


def test_an_accounts_own_number_is_read_as_a_recipient_is() -> None:
    def settings(code: str, **fields: Any) -> Sms:
        return Sms(accounts=(Account(system_id="shop", password="x", short_codes=(code,), **fields),), region="NO")

    for code in ("+4746789012", "4746789012", "46789012"):
        assert find_route(Routes.of(settings(code)), "4746789012") == to("account:shop", "4746789012")
    abroad = settings("46789012", numbers_unmarked="international")
    assert find_route(Routes.of(abroad), "46789012") == to("account:shop", "46789012")
    for code in ("02800", "2010", "110"):
        assert find_route(Routes.of(settings(code)), code) == to("account:shop", code)


def test_a_party_has_a_kind_and_a_name_whatever_stands_in_it() -> None:
    assert Party.parse("link:a:b:c") == ("link", "a:b:c")
    assert str(Party("account", "shop")) == "account:shop"


def test_a_canary_goes_over_its_link_whatever_its_number_and_whether_or_not_it_is_stopped() -> None:
    for number in ("4790000801", "1", "2010"):
        assert find_route(Routes.over("nord"), number) == to("link:nord", "")


CHAIN = (link("a", "47", instead="b"), link("b", "47"))


@pytest.mark.parametrize(
    ("stopped", "down", "link", "looked_at"),
    [
        ("", "", "a", ["held:a"]),  # left from when it was stopped
        ("a", "", "a", ["link:a", "held:a"]),
        ("", "a", "a", ["link:a", "held:a"]),
        ("ab", "cd", "a", ["link:a"]),  # held where it is, however much it is
        ("", "abcd", "a", ["held:a"]),
        ("b", "", "a", ["held:a"]),
    ],
)
def test_looked_at_is_what_waits_where_it_may_have_another_way(
    stopped: str, down: str, link: str, looked_at: list[str]
) -> None:
    routes = Routes.of(Sms(links=ORDERED), [*stopped], [*down])
    assert [str(party) for party in sources(routes, link)] == looked_at


def test_what_waits_goes_on_by_its_own_number_and_else_to_its_link_or_is_held_for_it() -> None:
    def way(source: str, recipient: str, stopped: str, origin: str = "account:shop") -> str:
        routes = Routes.of(replace(SETTINGS, links=CHAIN), [*stopped])
        return str(way_on(routes, Party.parse(source), recipient, Party.parse(origin)))

    assert way("link:a", "4790000001", "a") == "link:b"
    assert way("held:a", "4790000001", "a") == "link:b"
    assert way("held:a", "4790000001", "") == "link:a"
    assert way("link:a", "4790000001", "ab") == "held:a"
    assert way("link:a", "4690000001", "a") == "held:a", "no network takes it any more"
    assert way("held:a", "4690000001", "") == "link:a"
    assert way("link:a", "2010", "a") == "held:a", "its number is an account's by now"
    assert way("held:a", "2010", "") == "link:a"
    assert way("link:a", "4790000001", "a", "link:b") == "held:a", "never back to where it came from"


def test_who_has_stood_in_for_a_link_that_is_back() -> None:
    def stood_in(before: tuple[str, str], after: tuple[str, str]) -> set[str]:
        settings = Sms(links=ORDERED)
        first, then = (Routes.of(settings, [*stopped], [*down]) for stopped, down in (before, after))
        return set(stand_ins(first, then))

    assert stood_in(("", ""), ("", "")) == set()
    assert stood_in(("", ""), ("a", "")) == set()
    everybody = stood_in(("a", ""), ("", ""))
    assert everybody and "a" not in everybody
    assert stood_in(("", "a"), ("", "")) == everybody
    one = sorted(everybody)[0]
    assert stood_in(("a", one), ("", one)) == everybody - {one} == stood_in((one, "a"), (one, ""))
    assert stood_in(("a", ""), ("", "a")) == set()


def switch(
    known: RouteOutage | None, state: str, now: float, *, by: str = "Kari", since: float = 0.0
) -> RouteOutage | None:
    return apply_switch(
        known, state, who=by, reason=f"because {by}", exposed_since=since, likely_since=since + 0.5, now=now
    )


def test_an_opening_keeps_all_that_is_known_of_the_stop_and_a_new_stop_nothing() -> None:
    stopped = switch(None, "stopped", 5.0, since=1.0)
    assert stopped == RouteOutage("stopped", 5.0, "Kari", "because Kari", 5.0, 1.0, 1.5)
    opened = switch(stopped, "open", 7.0, by="Ola")
    assert opened == RouteOutage("open", 7.0, "Ola", "because Ola", 5.0, 1.0, 1.5)
    assert switch(opened, "stopped", 9.0, since=8.0) == RouteOutage(
        "stopped", 9.0, "Kari", "because Kari", 9.0, 8.0, 8.5
    )
    assert (stopped.stopped, opened.stopped) == (True, False)


def test_a_route_that_is_so_already_is_not_switched() -> None:
    stopped = switch(None, "stopped", 5.0)
    assert switch(None, "open", 5.0) is None
    assert switch(stopped, "stopped", 6.0, by="Ola") is None
    assert switch(switch(stopped, "open", 7.0), "open", 8.0, by="Ola") is None
