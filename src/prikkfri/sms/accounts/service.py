"""The edge of the accounts: who may connect, who may bind, whose secret is right."""

import asyncio
from collections.abc import Sequence

from prikkfri.config import Account
from prikkfri.errors import FatalError
from prikkfri.protocols.smpp.pdu import Bind, BindResponse, Status, Tag
from prikkfri.protocols.smpp.session import Limits, Request, Side
from prikkfri.sms import server
from prikkfri.sms.authentication import Rejection, Secrets
from prikkfri.sms.binding import ConnectionLimits, UnboundConnections, bind_refused
from prikkfri.sms.routing import Party
from prikkfri.sms.sessions.service import Sessions
from prikkfri.sms.shared.service import SYSTEM_ID, CentreState, Connection, log
from prikkfri.sms.submission import TokenBucket

WINDOW = 50


class Accounts:
    def __init__(self, shared: CentreState, sessions: Sessions, room: ConnectionLimits, trusted: Sequence[str]) -> None:
        """`trusted`: addresses or networks of proxies, which connect for others."""
        self._shared = shared
        self._sessions = sessions
        self._room = room
        self._secrets = Secrets(shared.settings.accounts)
        self._unbound: UnboundConnections[Connection] = UnboundConnections(room, trusted)
        self._binds: dict[str, TokenBucket] = {}

    @property
    def unbound(self) -> int:
        """How many connections have not bound."""
        return len(self._unbound)

    def authenticate(self, system_id: str, password: str, *, address: str) -> Account | Rejection:
        """Over either edge; `address` is the client's."""
        found = self._secrets.authenticate(system_id, password, address=address, now=self._shared.clock.now())
        counters = self._shared.counters
        counters.secrets_wrong += isinstance(found, Rejection) and found.retry_after_s is None
        counters.secrets_not_looked_at += isinstance(found, Rejection) and found.retry_after_s is not None
        return found

    def accept(self, tasks: asyncio.TaskGroup) -> Connection:
        """What answers a client that connects; it is served among `tasks`."""

        def opened(connection: Connection) -> None:
            if self._makes_room_for(connection):
                tasks.create_task(self._serve(connection), name="account")
            else:
                connection.abort()

        shared = self._shared
        limits = Limits(
            window=WINDOW, bind_seconds_max=shared.timing.bind_seconds_max, sequence_max=shared.wire.sequence_max
        )
        return server.Connection(Side.CENTRE, limits, self._shared.clock, opened)

    def _makes_room_for(self, connection: Connection) -> bool:
        """Takes a new connection on, if need be in the place of one that has not bound; whether it could."""
        bound = self._shared.bound
        if bound.leaving:
            return False
        if len(bound.connections) >= self._room.connections_max:
            if (silent := self._unbound.oldest()) is None:
                self._shared.counters.cut += 1
                return False
            self._cut(silent)
        if (silent := self._unbound.enter(connection, connection.address)) is not None:
            self._cut(silent)
        bound.connections[connection] = None
        return True

    def _cut(self, connection: Connection) -> None:
        self._shared.counters.cut += 1
        self._unbound.leave(connection)
        self._shared.bound.connections.pop(connection, None)
        connection.abort()

    async def _serve(self, connection: Connection) -> None:
        try:
            account = await self._welcome(connection)
            if account is not None:
                await self._sessions.attend(connection, Party("account", account.system_id))
        except FatalError:
            raise
        except Exception:
            # One connection's misfortune is not to take down the centre.
            log.exception("connection from %s given up", connection.peer)
        finally:
            connection.close("closed")
            self._shared.bound.connections.pop(connection, None)
            self._unbound.leave(connection)

    async def _welcome(self, connection: Connection) -> Account | None:
        [first] = await connection.take(1)
        if not isinstance(first, Request) or not isinstance(first.body, Bind):
            return None
        account = self.authenticate(first.body.system_id, first.body.password, address=connection.address)
        if isinstance(account, Rejection):
            if account.retry_after_s is not None:
                connection.session.answer(first, Status.BIND_FAILED)
            else:
                await self._refuse_bind(connection, first, Status.INVALID_PASSWORD, "wrong system_id or password")
            return None
        party, now = Party("account", account.system_id), self._shared.clock.monotonic()
        bucket = self._binds.get(account.system_id) or TokenBucket(account.binds_max, now)
        left = bind_refused(account, self._shared.bound.count(party), bucket, self._room, now)
        if isinstance(left, str):
            await self._refuse_bind(connection, first, Status.BIND_FAILED, f"{party}: {left}")
            return None
        self._binds[account.system_id] = left
        self._unbound.leave(connection)
        connection.session.answer(first, Status.OK, BindResponse(SYSTEM_ID, ((Tag.SC_INTERFACE_VERSION, b"\x34"),)))
        connection.flush()
        return account

    async def _refuse_bind(self, connection: Connection, bind: Request, status: Status, why: str) -> None:
        log.warning("bind from %s refused: %s", connection.peer, why)
        self._shared.counters.binds_refused += 1
        await self._shared.clock.sleep(self._shared.timing.wrong_password_seconds)
        connection.session.answer(bind, status)
