"""Who an account is: a name and a secret, over SMPP and over HTTP, which share what may be guessed."""

import hmac
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from prikkfri.config import Account
from prikkfri.protocols.guessing import Guesses, Limit, Limits, acquaintance, stranger
from prikkfri.protocols.networks import network_of

LIMITS = Limits(network=Limit(100, 900))
"""Fewer from one network than for customers: behind it stand a few senders, and no thousands of homes."""
BUCKETS_MAX = 100_000
NETWORKS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Rejection:
    """No account."""

    retry_after_s: float | None = None
    """None: name or secret is wrong. Otherwise so much went wrong before that this secret was not looked at."""


class Secrets:
    """The accounts' secrets, and who guessed at them; in memory, like the networks from which each was right."""

    def __init__(
        self, accounts: Iterable[Account], limits: Limits = LIMITS, *, networks_max: int = NETWORKS_MAX
    ) -> None:
        self._accounts = {account.system_id: account for account in accounts}
        self._limits = limits
        self._networks_max = networks_max
        self._guesses = Guesses(buckets_max=BUCKETS_MAX)
        self._usual: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Account and network, the newest last: strangers' guesses elsewhere do not lock these out."""

    def authenticate(self, name: str, secret: str, *, address: str, now: float) -> Account | Rejection:
        """The account, if the secret is its; whether the name is known takes the same time."""
        network = network_of(address)
        tried = acquaintance(name, network, self._limits)
        if (name, network) not in self._usual:
            tried |= stranger(name, network, self._limits)
        wait_s = self._guesses.reserve(tried, now)
        if wait_s is not None:
            return Rejection(wait_s)
        account = self._accounts.get(name)
        expected = account.password if account else ""
        matches = hmac.compare_digest(secret.encode(), expected.encode())
        found = account if account is not None and expected and matches else None
        self._guesses.settle(tried, now, failed=found is None)
        if found is None:
            return Rejection()
        self._usual[name, network] = None
        self._usual.move_to_end((name, network))
        if len(self._usual) > self._networks_max:
            self._usual.popitem(last=False)
        return found
