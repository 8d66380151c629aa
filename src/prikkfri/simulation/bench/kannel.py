"""Debian's Kannel before the same network as ours, with as many of the same messages: `prikkfri bench sms --vs kannel`.

Its bearerbox lets nobody bind, so its messages are handed in over HTTP, by as many connections as fit, and it tells
over HTTP that they were delivered. The CPU is that of both its boxes, bearerbox and smsbox. It keeps in memory what
its receipts are for, and syncs nothing. It logs what it is asked to as an operator has it (level 1): at level 0, which
holds where nothing is said, it writes each PDU to its log, and takes twice the CPU.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from prikkfri.errors import PrikkfriError, UsageError
from prikkfri.simulation.bench import machine
from prikkfri.simulation.bench.machine import Cores
from prikkfri.simulation.bench.sms import Load, Say
from prikkfri.simulation.bench.sms_ledger import Ledger, phone_of, words_of
from prikkfri.simulation.bench.sms_peers import PASSWORD, STILL_SECONDS_MAX, Sink
from prikkfri.simulation.installation import free_ports

BOXES = Path("/usr/sbin")  # which is not on the path of whoever is not root
CONNECTIONS = 32
READY_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 5.0
ASK_AGAIN_SECONDS = 0.1
SETTINGS = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = {password}
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
log-file = {folder}/bearerbox.log
log-level = 1
sms-incoming-queue-limit = -1
sms-outgoing-queue-limit = -1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {boxes}
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
max-pending-requests = 512
log-file = {folder}/smsbox.log
log-level = 1

group = sendsms-user
username = app
password = {password}

group = smsc
smsc = smpp
smsc-id = bench
host = 127.0.0.1
port = {link}
transceiver-mode = true
smsc-username = kannel
smsc-password = {password}
system-type = ""
max-pending-submits = {window}
"""


@dataclass(frozen=True)
class KannelResult:
    messages: int
    messages_per_second: float
    cpu_us_per_message: float
    peak_rss_mb: float
    lost: int
    duplicated: int
    misdelivered: int
    fsync: bool = False


def refuse_missing(folder: Path = BOXES) -> None:
    """Raises `UsageError` where Kannel is not installed."""
    if not all((folder / name).exists() for name in ("bearerbox", "smsbox")):
        raise UsageError("--vs kannel: Kannel is not here; install Debian's package kannel, or leave --vs out")


async def run(load: Load, *, cores: Cores, say: Say) -> KannelResult:
    """Raises `PrikkfriError` when Kannel does not come up."""
    with (
        tempfile.TemporaryDirectory(prefix="prikkfri-bench-", ignore_cleanup_errors=True) as folder,
        machine.on_core(cores.rest),
    ):
        admin, boxes, sendsms, link, application = free_ports(5)
        path = Path(folder) / "kannel.conf"
        path.write_text(
            SETTINGS.format(
                admin=admin, boxes=boxes, sendsms=sendsms, link=link, password=PASSWORD, folder=folder,
                window=load.link_window * load.link_binds,
            ),
            encoding="utf-8",
        )  # fmt: skip
        ledger = Ledger(load.receipts)
        sink = Sink(ledger, window=load.link_window * load.link_binds)
        await sink.listen(link)
        client = _Application(ledger, sendsms, application)
        try:
            async with client.listening(), _boxes(path, cores, admin) as pids:
                await client.send(load.warm_up)
                say(f"{load.messages:,} messages through Kannel")
                cpu, began = machine.cpu_seconds(pids), time.perf_counter()
                await client.send(load.messages)
                seconds, cpu = time.perf_counter() - began, machine.cpu_seconds(pids) - cpu
                verdict = ledger.verdict()
                return KannelResult(
                    messages=load.messages,
                    messages_per_second=round(load.messages / seconds),
                    cpu_us_per_message=round(cpu / load.messages * 1e6, 1),
                    peak_rss_mb=round(sum(map(machine.peak_rss_mb, pids)), 1),
                    lost=verdict.lost,
                    duplicated=verdict.duplicated,
                    misdelivered=verdict.misdelivered,
                )
        finally:
            await sink.close()


@contextlib.asynccontextmanager
async def _boxes(configuration: Path, cores: Cores, admin: int) -> AsyncIterator[list[int]]:
    """Both boxes, bound to the network; their processes."""
    running: list[asyncio.subprocess.Process] = []
    try:
        for program, said in (("bearerbox", "Kannel bearerbox"), ("smsbox", "(online ")):
            with machine.on_core(cores.tried), (configuration.parent / f"{program}.out").open("ab") as out:
                running.append(
                    await asyncio.create_subprocess_exec(
                        str(BOXES / program), "-v", "4", str(configuration),
                        stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
                    )
                )  # fmt: skip
            await _until_said(admin, said, running)
        await _until_said(admin, "smsbox:", running)
        yield [process.pid for process in running]
    finally:
        for process in reversed(running):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _until_said(admin: int, word: str, running: list[asyncio.subprocess.Process]) -> None:
    give_up_at = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < give_up_at and all(process.returncode is None for process in running):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", admin)
            writer.write(f"GET /status.txt?password={PASSWORD} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            if word in answer.decode("latin-1"):
                return
        await asyncio.sleep(ASK_AGAIN_SECONDS)
    raise PrikkfriError(f"Kannel does not come up: its status does not say {word!r}")


class _Application:
    """Hands messages in to smsbox over HTTP, and is told over HTTP what became of them."""

    def __init__(self, ledger: Ledger, sendsms: int, port: int) -> None:
        self._ledger = ledger
        self._sendsms = sendsms
        self._port = port

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._be_told, "127.0.0.1", self._port)
        try:
            yield
        finally:
            server.close()

    async def send(self, messages: int) -> None:
        left = iter(range(messages))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(CONNECTIONS, messages)):
                tasks.create_task(self._hand_in(left))
        moves, since = -1, 0.0
        while not self._ledger.settled:
            if moves != self._ledger.moves:
                moves, since = self._ledger.moves, time.perf_counter()
            elif time.perf_counter() - since > STILL_SECONDS_MAX:
                return
            await asyncio.sleep(0.01)

    async def _hand_in(self, left: Iterator[int]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._sendsms)
        for _ in left:
            number = self._ledger.hand_in(0)
            told = f"&dlr-mask=1&dlr-url={quote(f'http://127.0.0.1:{self._port}/?id={number}&to=%p', safe='')}"
            path = (
                f"/cgi-bin/sendsms?username=app&password={PASSWORD}&from=Shop&to={phone_of(number)}"
                f"&text={quote(words_of(number))}{told if self._ledger.receipts else ''}"
            )
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            status, _ = await _read_message(reader)
            if " 202 " not in status:
                raise PrikkfriError(f"Kannel said {status.strip()!r} to a message")
            self._ledger.accept(number, str(number))
        writer.close()

    async def _be_told(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                line, _ = await _read_message(reader)
                fields = parse_qs(urlsplit(line.split(" ")[1]).query)
                self._ledger.tell(0, fields["id"][0], fields["to"][0].strip().lstrip("+"), delivered=True)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()


async def _read_message(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """The first line of an HTTP message, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, _, rest = head.partition("\r\n")
    length = next(
        (int(line.split(":")[1]) for line in rest.split("\r\n") if line.lower().startswith("content-length:")), 0
    )
    return first, await reader.readexactly(length)
