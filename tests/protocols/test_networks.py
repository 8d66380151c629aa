"""Networks: what counts as one sender, and how much each of them may do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.protocols.networks import EARLY_SECONDS, Allowance, NetworkQuota, Networks, network_of, networks_of


@pytest.mark.parametrize(
    ("address", "prefix", "network"),
    [
        ("192.0.2.77", 32, "192.0.2.77"),
        ("192.0.2.77", 24, "192.0.2.0/24"),
        ("::ffff:192.0.2.77", 24, "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", 24, "2001:db8:1:2::/64"),
        ("fe80::1%eth0", 32, "fe80::/64"),
        ("", 32, ""),
        ("a socket", 32, "a socket"),
    ],
)
def test_an_address_counts_by_its_network(address: str, prefix: int, network: str) -> None:
    assert network_of(address, prefix) == network


def test_networks_hold_their_addresses_and_no_others() -> None:
    networks = Networks(["192.0.2.0/24", "2001:db8::1"])
    assert all(networks.hold(each) for each in ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1", "2001:db8::1%eth0"))
    assert not any(networks.hold(each) for each in ("192.0.3.9", "2001:db8::2", "", "nonsense"))
    assert not Networks().hold("127.0.0.1")


@given(
    st.integers(1, 20), st.floats(0.1, 50), st.lists(st.floats(0, 3), max_size=60), st.sampled_from(["a", "192.0.2.1"])
)
def test_no_more_than_the_burst_and_the_rate_are_taken_in_any_time(
    burst: int, per_second: float, pauses: list[float], address: str
) -> None:
    allowance = Allowance(burst=burst, per_second=per_second)
    now, taken = 0.0, []
    for pause in pauses:
        now += pause
        retry_after_s = allowance.take(address, now)
        if retry_after_s is None:
            taken.append(now)
        else:
            assert 0 < retry_after_s <= 1 / per_second + 1e-6
            assert len(taken) >= burst  # nobody is refused who has not had the whole burst
    for start, first in enumerate(taken):
        for end in range(start, len(taken)):
            assert end - start + 1 <= burst + (taken[end] - first) * per_second + 0.06


def test_whoever_waits_as_told_is_taken() -> None:
    allowance = Allowance(burst=2, per_second=0.5)
    assert [allowance.take("a", 0.0) for _ in range(3)] == [None, None, 2.0]
    assert allowance.take("a", 2.0) is None
    assert allowance.take("a", -1_000.0) == 2.0  # a clock that was set back forgives nothing, and adds nothing
    assert allowance.take("b", 2.0) is None


def test_without_a_burst_and_for_free_networks_there_is_no_limit() -> None:
    unlimited = Allowance(burst=0, per_second=0)
    assert all(unlimited.take("a", 0.0) is None for _ in range(10))
    free = Allowance(burst=1, per_second=0, free=Networks(["192.0.2.1"]))
    assert all(free.take("192.0.2.1", 0.0) is None for _ in range(10)) and len(free) == 0


def test_neighbours_in_one_prefix_have_one_allowance_together() -> None:
    together = Allowance(burst=1, per_second=0.001, ipv4_prefix=24)
    assert together.take("192.0.2.1", 0.0) is None and together.take("192.0.3.1", 0.0) is None
    assert together.take("192.0.2.2", 0.0) is not None


def test_nobody_is_refused_for_less_time_than_can_be_told_apart() -> None:
    allowance = Allowance(burst=1, per_second=1 / EARLY_SECONDS)
    assert [allowance.take("a", 0.0) for _ in range(2)] == [None, None]
    slower = Allowance(burst=1, per_second=0.9 / EARLY_SECONDS)
    assert slower.take("a", 0.0) is None and slower.take("a", 0.0) is not None


def test_what_is_remembered_is_bounded() -> None:
    allowance = Allowance(burst=1, per_second=0.001, networks_max=3)
    assert all(allowance.take(name, 0.0) is None for name in "abcd")
    assert len(allowance) == 3
    assert allowance.take("d", 0.0) is not None and allowance.take("a", 0.0) is None


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("192.0.2.77", ("192.0.2.77",)),
        ("::ffff:192.0.2.77", ("192.0.2.77",)),
        ("2001:db8:1:2:3::4", ("2001:db8:1:2::/64", "2001:db8:1::/48")),
        ("a socket/64x", ("a socket/64x",)),
    ],
)
def test_an_address_counts_for_its_network_and_its_site(address: str, networks: tuple[str, ...]) -> None:
    assert networks_of(address) == networks


def test_whoever_holds_a_whole_site_does_not_get_every_place() -> None:
    shares = NetworkQuota(100, 10)
    taken = [shares.take(f"2001:db8:1:{number:x}::1") for number in range(1_000)]
    places = [each for each in taken if each is not None]
    assert len(places) == shares.held == 20
    assert shares.used_up("2001:db8:1:ffff::1") == "2001:db8:1::/48"
    assert shares.used_up("2001:db8:2::1") is None and shares.take("192.0.2.1") is not None
    shares.give_back(places[0])
    assert shares.take("2001:db8:1:ffff::1") is not None
    assert shares.take("2001:db8:1:fffe::1") is None


def test_a_subscribers_network_fills_before_its_site_does() -> None:
    shares = NetworkQuota(100, 10)
    assert [shares.take(f"2001:db8:1:1::{number:x}") is not None for number in range(11)] == [True] * 10 + [False]
    assert shares.used_up("2001:db8:1:1::1") == "2001:db8:1:1::/64"
    assert shares.take("2001:db8:1:2::1") is not None


def test_a_trusted_site_has_no_share_and_all_together_have_the_places() -> None:
    shares = NetworkQuota(30, 10, ["2001:db8:1::/48"])
    assert sum(shares.take(f"2001:db8:1:1::{number:x}") is not None for number in range(40)) == 30
    assert shares.used_up("2001:db8:1:1::1") is None and shares.take("192.0.2.1") is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 3)), max_size=80))
def test_what_was_given_back_can_be_taken_again(steps: list[tuple[bool, int, int]]) -> None:
    shares, held = NetworkQuota(8, 2), list[tuple[str, ...]]()
    for takes, site, network in steps:
        if takes and (place := shares.take(f"2001:db8:{site:x}:{network:x}::1")) is not None:
            held.append(place)
        elif not takes and held:
            shares.give_back(held.pop())
        sites = [each[1] for each in held]
        assert shares.held == len(held) <= 8 and all(sites.count(each) <= 4 for each in sites)
        assert all(held.count(each) <= 2 for each in held)


def test_whoever_holds_a_whole_site_may_do_as_much_as_two() -> None:
    """However many networks they send from; a site beside it is another's."""
    allowance = Allowance(burst=5, per_second=1.0)
    taken = [allowance.take(f"2001:db8:1:{number:x}::1", 0.0) for number in range(20)]
    assert taken[:10] == [None] * 10 and all(wait == pytest.approx(0.5) for wait in taken[10:])
    assert allowance.take("2001:db8:2::1", 0.0) is None
    assert [allowance.take("2001:db8:1:99::1", at) for at in (0.4, 0.5)] == [pytest.approx(0.1), None]
    assert len(allowance) == 10 + 1 + 2 + 1  # networks and sites that have been let do something
    one = [allowance.take("2001:db8:3:1::1", 0.0) for _ in range(6)]
    assert one[:5] == [None] * 5 and one[5] == pytest.approx(1.0)
    assert allowance.take("2001:db8:3:2::1", 0.0) is None, "what was refused costs the site nothing"
    four = [allowance.take("192.0.2.1", 0.0) for _ in range(6)]
    assert four[:5] == [None] * 5 and four[5] == pytest.approx(1.0)


def test_what_is_no_address_counts_for_itself() -> None:
    for text in ("", "unix:", "x:y", "a/64", "::1/64"):
        assert networks_of(text) == (text,)
    assert networks_of("192.0.2.9", 24) == ("192.0.2.0/24",)
