"""The edge of the links: each is bound to its network, and bound again whenever that has ended."""

import asyncio

from prikkfri.config import Link
from prikkfri.errors import FatalError
from prikkfri.protocols.smpp.pdu import Bind, Command, Status
from prikkfri.protocols.smpp.session import Limits, PeerResponse, Side
from prikkfri.sms import delivery, server
from prikkfri.sms.routing import Party
from prikkfri.sms.sessions.service import Sessions
from prikkfri.sms.shared.service import CentreState, Connection, log


class Links:
    def __init__(self, shared: CentreState, sessions: Sessions) -> None:
        self._shared = shared
        self._sessions = sessions

    async def keep(self, link: Link) -> None:
        """Keeps one bind of a link until the centre leaves."""
        failures = 0
        bound = self._shared.bound
        while not bound.leaving:
            connection: Connection = server.Connection(
                Side.ESME,
                Limits(window=link.window, sequence_max=self._shared.wire.sequence_max),
                self._shared.clock,
                lambda opened: bound.connections.update({opened: None}),
            )
            try:
                await self._connect(connection, link)
                if await self._bind(connection, link):
                    failures = 0
                    log.info("link %s is bound", link.name)
                    await self._sessions.attend(connection, Party("link", link.name))
                    log.info("link %s has ended", link.name)
            except (OSError, TimeoutError) as error:
                log.warning("link %s: cannot connect: %s", link.name, str(error) or "no answer")
            except FatalError:
                raise
            except Exception:
                log.exception("link %s: connection given up", link.name)
            finally:
                connection.close("closed")
                bound.connections.pop(connection, None)
            spread, first = self._shared.entropy(1)[0] / 255, self._shared.timing.reconnect_seconds
            await self._shared.clock.sleep(delivery.reconnect_pause(failures, spread, first_seconds=first))
            failures += 1

    async def _connect(self, connection: Connection, link: Link) -> None:
        async with self._shared.clock.timeout(self._shared.timing.connect_seconds_max):
            await asyncio.get_running_loop().create_connection(lambda: connection, link.host, link.port)

    async def _bind(self, connection: Connection, link: Link) -> bool:
        bind = Bind(link.system_id, link.password)
        connection.session.bind(Command.BIND_TRANSCEIVER, bind, self._shared.clock.monotonic())
        connection.flush()
        [first] = await connection.take(1)
        if isinstance(first, PeerResponse) and first.status == Status.OK:
            return True
        why = (
            f"status {first.status:#x}" if isinstance(first, PeerResponse) else getattr(first, "reason", "out of step")
        )
        log.warning("link %s: bind refused: %s", link.name, why)
        return False
