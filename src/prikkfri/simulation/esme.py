"""An account's own system, bound over SMPP: it submits notices, takes receipts and replies, and may answer them."""

import asyncio
from dataclasses import dataclass, field

from prikkfri.clock import Clock
from prikkfri.errors import LocalProtocolError, PrikkfriError, RemoteProtocolError
from prikkfri.protocols.smpp.concatenation import payload
from prikkfri.protocols.smpp.pdu import Bind, Command, MessageResponse, ShortMessage, Status, encode_body
from prikkfri.protocols.smpp.receipt import is_receipt, parse_receipt
from prikkfri.protocols.smpp.session import Limits, PeerResponse, Request, SessionEnd, Side
from prikkfri.protocols.smpp.text import decode_text, encode_text
from prikkfri.sms.server import Connection

_NUMBER, _ISDN = 1, 1
ANSWER_SECONDS_MAX = 10.0


@dataclass
class Esme:
    port: int
    account: str
    password: str = field(repr=False)
    clock: Clock
    receipts: dict[str, str] = field(default_factory=dict)
    """State by message id."""
    replies: list[tuple[float, str, str]] = field(default_factory=list)
    """(time, sender, text)."""
    _connection: Connection | None = None
    _reading: asyncio.Task[None] | None = None

    async def bind(self) -> None:
        """Raises `PrikkfriError` when the centre does not let it in."""
        connection: Connection = Connection(Side.ESME, Limits(window=50), self.clock, lambda _: None)
        await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", self.port)
        connection.session.bind(Command.BIND_TRANSCEIVER, Bind(self.account, self.password), self.clock.monotonic())
        connection.flush()
        [first] = await connection.take(1)
        if not isinstance(first, PeerResponse) or first.status != Status.OK:
            raise PrikkfriError(f"account {self.account} cannot bind to port {self.port}")
        self._connection = connection
        self._reading = asyncio.create_task(self._read(connection), name=f"account {self.account}")

    async def submit(self, sender: str, recipient: str, text: str) -> str:
        """The id that the centre gives it; empty when it refuses, or does not answer in time."""
        if self._connection is None:
            return ""
        coding, octets = encode_text(text)
        message = ShortMessage(
            source=sender, destination=recipient, destination_ton=_NUMBER, destination_npi=_ISDN, octets=octets,
            data_coding=coding, registered_delivery=1,
        )  # fmt: skip
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        try:
            self._connection.session.ask(Command.SUBMIT_SM, encode_body(message), answer, self.clock.monotonic())
            self._connection.flush()
            return await asyncio.wait_for(answer, ANSWER_SECONDS_MAX)
        except (LocalProtocolError, TimeoutError):
            return ""

    @property
    def bound(self) -> bool:
        return self._reading is not None and not self._reading.done()

    async def unbind(self) -> None:
        if self._connection is None or self._reading is None:
            return
        self._connection.close("done")
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self, connection: Connection) -> None:
        while True:
            for event in await connection.take(100):
                match event:
                    case SessionEnd():
                        return
                    case PeerResponse(context=asyncio.Future() as answer, status=status, body=body) if (
                        not answer.done()
                    ):
                        taken = status == Status.OK and isinstance(body, MessageResponse)
                        answer.set_result(body.message_id if taken and isinstance(body, MessageResponse) else "")
                    case Request(command=Command.DELIVER_SM, body=ShortMessage() as message):
                        self._take(message)
                        connection.session.answer(event, Status.OK, MessageResponse())
            connection.flush()

    def _take(self, message: ShortMessage) -> None:
        try:
            if is_receipt(message):
                receipt = parse_receipt(message)
                self.receipts[receipt.message_id] = receipt.state.name if receipt.state else receipt.word
            else:
                text = decode_text(message.data_coding, payload(message))
                self.replies.append((self.clock.now(), message.source, text))
        except RemoteProtocolError:
            return
