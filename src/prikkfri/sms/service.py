"""The message centre: takes messages on from accounts and links, carries them to links and accounts, tells of both.

Theory of operation. Every bound connection has two tasks (`sessions`). One takes the session's events in batches: it
decides what they come to (`intake`), stores that in one transaction (`submissions`), and only then answers. The other
claims what is due for that party, as much as the window has room for, and writes it to the wire (`dispatch`). The
database is the queue between them all, so a crash loses nothing: what is WAITING is claimed again, what was SENDING is
in doubt. A sender's receipt is claimed as it falls due, by the transaction that ends the message, where its account is
bound and no older one waits. A network's receipt that fits no message yet waits there, too. Each state changes by its
table alone (`lifecycle`).

The rooms: the edges of `accounts` and `links`, `sessions`, `submissions`, `dispatch`, `receipts`, `quarantine`,
`housekeeping`, `keys`, `reports`, `routes`, `placing`, `restores` and `trails`. They know each other in one direction,
and `shared` is all that they share.

Another process writes, or nobody can tell what is written (`FatalError`): to answer or to claim now would be a guess.
The role ends, and finds out when it starts again what there is.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from prikkfri.clock import Clock, SteadyClock
from prikkfri.config import Account, Sms
from prikkfri.journal import Journal
from prikkfri.sms import store, transit
from prikkfri.sms.accounts.service import Accounts
from prikkfri.sms.addresses import read_recipient
from prikkfri.sms.authentication import Rejection
from prikkfri.sms.binding import ROOM, ConnectionLimits
from prikkfri.sms.conformance import Signs
from prikkfri.sms.dispatch.service import Dispatch
from prikkfri.sms.holding.service import Holders, Holding
from prikkfri.sms.housekeeping.service import Housekeeping
from prikkfri.sms.keys.service import Keys
from prikkfri.sms.links.service import Links
from prikkfri.sms.placing.service import Placing
from prikkfri.sms.quarantine.service import Quarantine
from prikkfri.sms.receipts.service import Receipts
from prikkfri.sms.reports.service import Reports
from prikkfri.sms.restores.service import Restores
from prikkfri.sms.routes.service import RouteSwitch
from prikkfri.sms.routing import ExposedMessage, Party, RouteOutage, find_route, numbering_of
from prikkfri.sms.sealing import Sealer
from prikkfri.sms.sessions.service import Sessions
from prikkfri.sms.shared.service import WIRE, CentreState, Wire
from prikkfri.sms.submission import Doubt, Refusal
from prikkfri.sms.submissions.service import Submissions
from prikkfri.sms.timing import TIMING, Timing
from prikkfri.sms.trail import Trail
from prikkfri.sms.trails.service import erase_trails, message_trail, message_trails
from prikkfri.storage import Database, Transaction
from prikkfri.storage.marks import Mark
from prikkfri.storage.sealing_keys import SealingKeys


class SmsCentre:
    """The front door: what other parts of the house may ask of the message centre."""

    def __init__(
        self,
        *,
        database: Database,
        journal: Journal,
        settings: Sms,
        sealing_keys: SealingKeys,
        clock: Clock,
        entropy: Callable[[int], bytes],
        smpp_sockets: Sequence[socket.socket],
        timing: Timing = TIMING,
        wire: Wire = WIRE,
        room: ConnectionLimits = ROOM,
        trusted: Sequence[str] = (),
        mark: Mark | None = None,
        holders: Holders | None = None,
    ) -> None:
        """`smpp_sockets` listen already; `entropy(n)` gives n random octets fit for keys. Raises `StorageError`.

        `trusted`: addresses or networks of proxies, which connect for others. `mark`: where it is noted how far the
        centre has come, on another disk than the database's; None: a restored snapshot is not noticed.
        `holders`: who holds a number now; None: a message is for whoever has its number.
        """
        self._sockets = smpp_sockets
        self._steady = SteadyClock(clock)
        sealer = Sealer(entropy, sealing_keys.load())
        shared = CentreState(database, journal, settings, self._steady, entropy, sealer, timing, wire)
        self._keys = Keys(shared, sealing_keys)
        receipts = Receipts(shared)
        quarantine = Quarantine(shared, receipts)
        self._shared = shared
        self._receipts = receipts
        self.reports = Reports(shared, receipts)
        """How the partners speak, and what waits for whom."""
        self.quarantine = quarantine
        """What is held for a person, and what a person does with it."""
        self.restores = Restores(shared, receipts, mark)
        """Whether a snapshot was restored, and what a person says of what waited in it."""
        holding = Holding(shared, holders)
        self._submissions = Submissions(shared, receipts, self._keys, holding)
        dispatch = Dispatch(shared, receipts, quarantine, holding)
        self._sessions = Sessions(shared, self._submissions, dispatch)
        self._accounts = Accounts(shared, self._sessions, room, trusted)
        self._links = Links(shared, self._sessions)
        self._housekeeping = Housekeeping(shared, receipts)
        self._routes = RouteSwitch(shared)
        self._placing = Placing(shared)

    async def run(self) -> None:
        """Serves until cancelled; then unbinds and closes within seconds."""
        shared = self._shared
        await self._routes.recover()  # first: canaries, which begin at the same time, ask which routes are stopped
        await self.restores.notice()
        await self._keys.recover()
        self._steady.goes_on_from(await shared.database.read(store.newest))
        await self._submissions.recover()
        await self._receipts.recover()
        await self._housekeeping.recover()
        await self._sessions.tell_left_waiting([Party("account", name) for name in shared.accounts])
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            listening = [
                await loop.create_server(lambda: self._accounts.accept(tasks), sock=each) for each in self._sockets
            ]
            for link in shared.settings.links:
                for bind in range(1, link.binds + 1):
                    tasks.create_task(self._links.keep(link), name=f"link {link.name}, bind {bind}")
            tasks.create_task(self._housekeeping.keep(), name="housekeeping")
            tasks.create_task(self._keys.keep(), name="sealing keys")
            tasks.create_task(self._placing.keep(), name="placing")
            tasks.create_task(self._receipts.keep(), name="receipts")
            tasks.create_task(self.reports.keep(), name="reports")
            tasks.create_task(self.restores.keep(), name="restores")
            tasks.create_task(self.restores.keep_mark(), name="mark")
            try:
                while True:
                    await shared.clock.sleep(shared.timing.look_seconds)
                    for connection in list(shared.bound.connections):
                        connection.tick()
            finally:
                shared.bound.leaving = True
                for server in listening:
                    server.close()
                await self._sessions.unbind_all()

    async def keys_missing(self) -> int:
        """How many keys are not here by which something is sealed that may still be sent. Raises `StorageError`."""
        return await self._keys.missing()

    def authenticate(self, system_id: str, password: str, *, address: str) -> Account | Rejection:
        """Over either edge; `address` is the client's."""
        return self._accounts.authenticate(system_id, password, address=address)

    async def submit(self, account: Account, sender: str, recipient: str, text: str) -> str | Doubt | Refusal:
        """Takes a text on: returns its id once it is durable. Raises `StorageError` or `FencedOut`: it is not kept."""
        return await self._submissions.submit(account, sender, recipient, text)

    async def trail(self, message: str) -> Trail | None:
        return await message_trail(self._shared.database, message)

    async def trails(self, messages: Sequence[str]) -> list[Trail]:
        return await message_trails(self._shared.database, messages)

    async def erase_trails(self, messages: Sequence[str]) -> int:
        """Erases what is known of messages that have ended; returns how many those were."""
        return await erase_trails(self._shared.database, messages)

    async def send_canary(
        self, link: str, phone: str, text: str, *, seconds: float, note: Callable[[Transaction, str], Awaitable[None]]
    ) -> None:
        """Sends our own message over a link, stopped or not; `note` stores with it, by its id, what it is for.

        `seconds`: how long it may wait for the link. Raises `StorageError`.
        """
        await self._submissions.send_canary(link, phone, text, seconds=seconds, note=note)

    def signs(self, link: str) -> Signs:
        """What of a link's traffic may hint that messages go astray."""
        traffic = self._shared.traffic[link]
        return Signs(traffic.taken, traffic.misfits, traffic.returned)

    def take_returned(self) -> list[tuple[str, str]]:
        """The canaries that networks have handed in since this was last asked, as (destination, token)."""
        return _taken(self._shared.returned)

    def take_complainants(self) -> list[tuple[str, str]]:
        """Who has written since then that a message was not for them, as (link, number)."""
        return _taken(self._shared.said)

    def link_of(self, number: str) -> str | None:
        """The link that messages to a phone take; None: it is no phone's number, or no link takes it."""
        recipient = read_recipient(number, 0, numbering_of(self._shared.settings))
        route = find_route(self._shared.routes, recipient.text) if recipient else None
        return route.party.name if route and route.party.kind != "account" else None

    @property
    def is_linked(self) -> bool:
        """Whether any link is bound."""
        return bool(self._shared.bound.links())

    @property
    def holds(self) -> bool:
        """Whether nothing is sent, since a snapshot was restored."""
        return self._shared.holds

    def outage_of(self, link: str) -> RouteOutage | None:
        """What is known of the last time that a link's route was stopped."""
        return self._shared.outages.get(link)

    async def switch_route(
        self, link: str, state: str, *, who: str, reason: str, exposed_since: float = 0.0, likely_since: float = 0.0
    ) -> None:
        """Makes a link's route `stopped` or `open`; a no-op when it is so. Raises `StorageError`.

        Stopped, its messages are kept, or go by another link that takes their numbers too.
        """
        await self._routes.switch(
            link, state, who=who, reason=reason, exposed_since=exposed_since, likely_since=likely_since
        )
        await self._placing.place()

    async def waiting(self, link: str) -> int:
        """How many messages wait for a link, those that are held included."""
        return await self._routes.waiting(link)

    def exposed(self, link: str, *, since: float, until: float) -> AsyncIterator[list[ExposedMessage]]:
        """The messages that went over a link in a time, oldest first, page by page; canaries left out."""
        return self._routes.exposed(link, since=since, until=until)

    @property
    def accepted(self) -> int:
        """Messages taken on since the start."""
        return self._shared.counters.accepted

    def counters(self) -> dict[str, float]:
        counted, bound = self._shared.counters, self._shared.bound
        return {
            "messages_accepted_total": counted.accepted,
            "messages_refused_total": counted.refused,
            **{f'messages_turned_back_total{{reason="{why}"}}': counted.turned_back[why] for why in transit.STATUSES},
            "messages_sent_total": counted.sent,
            "messages_delivered_total": counted.delivered,
            "messages_failed_total": counted.failed,
            "messages_in_doubt_total": counted.in_doubt,
            "messages_quarantined_total": counted.quarantined,
            "receipts_unmatched_total": counted.receipts_unmatched,
            "receipts_contradicted_total": counted.receipts_contradicted,
            "messages_changed_hands_total": counted.changed_hands,
            "holders_unknown_total": counted.holders_unknown,
            "secrets_wrong_total": counted.secrets_wrong,
            "secrets_not_looked_at_total": counted.secrets_not_looked_at,
            "connections": len(bound.connections),
            "connections_unbound": self._accounts.unbound,
            "connections_cut_total": counted.cut,
            "binds_refused_total": counted.binds_refused,
            "links_bound": len(bound.links()),
            "links": len(self._shared.settings.links),
            "links_down": len(self._shared.routes.down),
            "link_binds_bound": sum(bound.links()),
            "link_binds_configured": sum(link.binds for link in self._shared.settings.links),
            **self.reports.metrics(),
            **self.restores.metrics(),
        }


def _taken(waiting: deque[tuple[str, str]]) -> list[tuple[str, str]]:
    found = list(waiting)
    waiting.clear()
    return found
