"""Reports: how each link's partner speaks, and what waits for whom; counted as it goes by, since the centre started."""

from dataclasses import dataclass

from prikkfri.errors import StorageError
from prikkfri.sms.conformance import LinkReport, LinkStatus, label, metrics, report
from prikkfri.sms.receipts.service import Receipts
from prikkfri.sms.routes.store import waiting
from prikkfri.sms.routing import Party
from prikkfri.sms.shared.service import CentreState, log
from prikkfri.storage import Queries


@dataclass(frozen=True)
class AccountReport:
    account: str
    binds: int
    waiting: int


@dataclass(frozen=True)
class Report:
    since: float
    """From here on it is counted: seconds since 1970 UTC."""
    links: tuple[LinkReport, ...]
    accounts: tuple[AccountReport, ...]


class Reports:
    def __init__(self, shared: CentreState, receipts: Receipts) -> None:
        self._shared = shared
        self._receipts = receipts
        self._since = shared.clock.now()
        self._waiting: dict[str, int] = {}

    async def keep(self) -> None:
        """Looks now and then how much waits; until cancelled."""
        names = [("link", link.name) for link in self._shared.settings.links]
        names += [("held", name) for _, name in names] + [("account", name) for name in self._shared.accounts]
        parties = [str(Party(*each)) for each in names]

        async def work(queries: Queries) -> dict[str, int]:
            return {party: await waiting(queries, party) for party in parties}

        while True:
            try:
                self._waiting = await self._shared.database.read(work)
            except StorageError as error:
                log.error("what waits is not counted: %s", error)
            await self._shared.clock.sleep(self._shared.timing.count_every_seconds)

    def report(self) -> Report:
        shared = self._shared
        accounts = (
            AccountReport(name, shared.bound.count(Party("account", name)), self._waiting.get(f"account:{name}", 0))
            for name in shared.accounts
        )
        return Report(self._since, tuple(self._links()), tuple(accounts))

    def _links(self) -> list[LinkReport]:
        shared, receipts, found = self._shared, self._receipts, []
        for link in shared.settings.links:
            party, name = Party("link", link.name), link.name
            standing = LinkStatus(
                name,
                link.partner,
                shared.bound.count(party),
                shared.bound.since.get(party, 0.0),
                self._waiting.get(str(party), 0) + self._waiting.get(f"held:{name}", 0),
                receipts.setting(name),
                receipts.habit(name),
                receipts.waiting(name),
                receipts.held(name),
            )
            found.append(report(standing, shared.traffic[name], shared.clock.monotonic()))
        return found

    def metrics(self) -> dict[str, float]:
        found = self.report()
        values: dict[str, float] = {}
        for link in found.links:
            values |= metrics(link)
        for account in found.accounts:
            values[f'account_binds{{account="{label(account.account)}"}}'] = account.binds
            values[f'account_waiting{{account="{label(account.account)}"}}'] = account.waiting
        # A family's lines stand together (the text format asks for that).
        return dict(sorted(values.items(), key=lambda item: item[0].partition("{")[0]))
