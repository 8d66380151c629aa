"""What a message costs the message centre, and how fast it goes, over real sockets: `prikkfri bench sms`.

The sms role is a process of its own on a core of its own, with its database in a fresh home, as everybody runs it:
receipts, the trail, the journal, and an fsync before each answer. Both ends are on the other core. First some messages
warm up what is learnt (how a network writes its ids), then so many go as fast as the windows allow: these give CPU and
rate. Then a stretch at a steady pace gives how long answers take, counted from when a message was due.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prikkfri.simulation.bench import machine
from prikkfri.simulation.bench.distance import listen_far_away
from prikkfri.simulation.bench.machine import Cores
from prikkfri.simulation.bench.sms_ledger import Ledger
from prikkfri.simulation.bench.sms_peers import PASSWORD, Sender, Sink, Taken, account_name, written_down
from prikkfri.simulation.installation import Installation, free_ports
from prikkfri.storage import Location, open_database

CONFIGURATION = """
[roles.sms]
port = {http}
smpp_port = {smpp}
[[sms.links]]
name = "bench"
partner = "bench"
host = "127.0.0.1"
port = {link}
system_id = "prikkfri"
password = "{password}"
prefixes = [""]
window = {window}
binds = {binds}
"""
ACCOUNT = """
[[sms.accounts]]
system_id = "{name}"
senders = ["*"]
password = "{password}"
throughput_per_second_max = 1000000.0
"""
CPU_US_MAX, CPU_US_MAX_WITHOUT_RECEIPTS = 80.0, 45.0
PER_SECOND_MIN = 10_000.0
RESPONSE_MS_MAX = 50.0
RSS_MB_MAX = 200.0
"""The goals, on a quiet machine."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Load:
    messages: int = 60_000
    receipts: bool = True
    accounts: int = 2
    binds: int = 4
    window: int = 50
    """Of each bind of an account."""
    link_binds: int = 2
    link_window: int = 100
    round_trip_seconds: float = 0.0
    """How far away the network is."""
    warm_up: int = 500
    per_second: float = 3_000.0
    """The steady pace at which answers are timed."""
    paced_seconds: float = 5.0


@dataclass(frozen=True)
class Result:
    messages: int
    receipts: bool
    seconds: float
    messages_per_second: float
    cpu_us_per_message: float
    response_p99_ms: float
    peak_rss_mb: float
    fsync_ms: float
    """What one takes on this disk."""
    lost: int
    duplicated: int
    misdelivered: int
    fsync: bool
    """Whether the database waits for the disk, as it says itself."""
    database: str
    others_share: float
    """What part of the machine others took meanwhile."""
    machine: str

    @property
    def clean(self) -> bool:
        return self.fsync and not (self.lost or self.duplicated or self.misdelivered)

    def goals(self) -> list[tuple[str, bool]]:
        """What is wanted on a quiet machine, and whether it was reached."""
        cpu_max = CPU_US_MAX if self.receipts else CPU_US_MAX_WITHOUT_RECEIPTS
        return [
            ("none lost, twice or astray", self.clean),
            (f"{cpu_max:g} us CPU a message", self.cpu_us_per_message <= cpu_max),
            (f"{PER_SECOND_MIN:,.0f} messages/s", self.messages_per_second >= PER_SECOND_MIN),
            (f"99 % of answers within {RESPONSE_MS_MAX:g} ms", self.response_p99_ms <= RESPONSE_MS_MAX),
            (f"{RSS_MB_MAX:g} MB", self.peak_rss_mb <= RSS_MB_MAX),
        ]


async def run(load: Load, *, database: str, cores: Cores, say: Say, taken: Taken = written_down) -> Result:
    """Raises `PrikkfriError`. `taken`: what the network does with a message that it has taken."""
    with (
        tempfile.TemporaryDirectory(prefix="prikkfri-bench-", ignore_cleanup_errors=True) as folder,
        machine.on_core(cores.rest),
    ):
        home = Path(folder)
        http, smpp, link, far = free_ports(4)
        (home / "prikkfri.toml").write_text(configuration(load, http, smpp, link), encoding="utf-8")
        (home / "prikkfri.toml").chmod(0o600)
        installation = Installation(home, {"PRIKKFRI_STORAGE_URL": database} if database else {})
        fsync = await waits_for_the_disk(Location(home, database))
        ledger = Ledger(load.receipts)
        sink = Sink(ledger, window=load.link_window, taken=taken)
        sender = Sender(ledger, smpp, load.accounts, load.binds, load.window)
        line: asyncio.Server | None = None
        try:
            await sink.listen(far if load.round_trip_seconds else link)
            if load.round_trip_seconds:
                line = await listen_far_away(link, far, load.round_trip_seconds)
            with machine.on_core(cores.tried):
                await installation.start_program("sms", ["-m", "prikkfri.app", "sms", "--home", folder])
            return await _measured(installation.pid("sms"), home, load, ledger, sender, fsync, database, cores, say)
        finally:
            await sender.close()
            await installation.stop()
            if line is not None:
                line.close()
            await sink.close()


async def _measured(
    pid: int, home: Path, load: Load, ledger: Ledger, sender: Sender, fsync: bool, database: str, cores: Cores, say: Say
) -> Result:
    fsync_ms = machine.fsync_ms(home)
    await sender.bind()
    await sender.send(load.warm_up)
    say(f"{load.messages:,} messages, as fast as they go")
    others = machine.watching_others(home)
    cpu, began = machine.cpu_seconds([pid]), time.perf_counter()
    await sender.send(load.messages)
    seconds, cpu = time.perf_counter() - began, machine.cpu_seconds([pid]) - cpu
    paced = int(load.per_second * load.paced_seconds)
    say(f"{paced:,} at {load.per_second:,.0f} a second")
    await sender.send_at(paced, load.per_second)
    verdict = ledger.verdict()
    return Result(
        messages=load.messages,
        receipts=load.receipts,
        seconds=round(seconds, 2),
        messages_per_second=round(load.messages / seconds),
        cpu_us_per_message=round(cpu / load.messages * 1e6, 1),
        response_p99_ms=round(machine.quantile(sender.late_s, 0.99) * 1_000, 1),
        peak_rss_mb=round(machine.peak_rss_mb(pid), 1),
        fsync_ms=round(fsync_ms, 2),
        lost=verdict.lost,
        duplicated=verdict.duplicated,
        misdelivered=verdict.misdelivered,
        fsync=fsync,
        database="PostgreSQL" if database else "SQLite",
        others_share=round(others(), 3),
        machine=machine.described(cores),
    )


def configuration(load: Load, http: int, smpp: int, link: int) -> str:
    accounts = (ACCOUNT.format(name=account_name(number), password=PASSWORD) for number in range(load.accounts))
    centre = CONFIGURATION.format(
        http=http, smpp=smpp, link=link, password=PASSWORD, window=load.link_window, binds=load.link_binds
    )
    return centre + "".join(accounts)


_SYNCED_SQLITE = "SELECT synchronous >= 2 FROM pragma_synchronous"
_SYNCED_POSTGRES = "SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') = 'on'"


async def waits_for_the_disk(location: Location) -> bool:
    """Whether what is committed there has been synced, by the settings with which a role opens it."""
    statement = _SYNCED_POSTGRES if location.url else _SYNCED_SQLITE
    database = await open_database(location, "sms")
    try:
        row = await database.write(lambda transaction: transaction.fetch_one(statement))
    finally:
        await database.close()
    return bool(row and row[0])
