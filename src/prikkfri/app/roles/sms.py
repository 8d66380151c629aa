"""The sms role: SMPP, the message API and delivery, over its database."""

import asyncio
import contextlib
import dataclasses
import logging
import os
import resource
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from prikkfri.app.limits import smpp_connections_for
from prikkfri.app.roles import Role
from prikkfri.app.roles.journals import location_of, trimming
from prikkfri.app.serving import listen
from prikkfri.clock import Clock
from prikkfri.config import Config
from prikkfri.errors import UsageError
from prikkfri.journal import open_journal
from prikkfri.journal.http import serving_journal
from prikkfri.journal.others import OthersArea
from prikkfri.sms.binding import ConnectionLimits, promised_too_many
from prikkfri.sms.canaries.service import Canaries
from prikkfri.sms.http import (
    application,
    commands,
    load_commands,
    quarantine_commands,
    report_commands,
    restore_commands,
    trail_commands,
    wrong_number_routes,
)
from prikkfri.sms.load import Busyness, Capacity, capacity_between
from prikkfri.sms.service import SmsCentre
from prikkfri.storage import open_database, open_reader
from prikkfri.storage.keys import command_key
from prikkfri.storage.marks import MarkFile
from prikkfri.storage.sealing_keys import SealingKeyFiles
from prikkfri.subscribers.store import holders_at
from prikkfri.web.wrong_number import page as wrong_number

log = logging.getLogger("prikkfri.sms")

CAPACITY_SECONDS = 5.0


async def build(config: Config, clock: Clock) -> Role:
    location = location_of(config)
    database = await open_database(location, "sms")
    journal = await open_journal(database, stream="sms", clock=clock)
    sockets = listen(config.roles.sms.smpp_port, config.bind)

    connections_max = smpp_connections_for(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if wrong := promised_too_many(config.sms.accounts, config.sms.links, connections_max):
        log.warning("%s", wrong)

    async def close() -> None:
        for each in sockets:  # those of a centre that never came to run, too
            each.close()
        await centre.restores.mark_last()
        await subscribers.close()
        await database.close()

    subscribers = OthersArea(lambda: open_reader(location, "subscribers"), clock)

    async def holders(numbers: Collection[str]) -> Mapping[str, str] | None:
        """Who holds these numbers, written without the `+` of E.164."""
        written, now = {f"+{number}" for number in numbers}, clock.now()
        found = await subscribers.use(lambda reader: reader.read(lambda q: holders_at(q, written, now)))
        return None if found is None else {msisdn.removeprefix("+"): holder for msisdn, holder in found.items()}

    folder = Path(config.sms.sealing_folder) if config.sms.sealing_folder else None
    settings = dataclasses.replace(config.sms, region=config.sms.region or config.region)
    centre = SmsCentre(
        database=database,
        journal=journal,
        settings=settings,
        sealing_keys=SealingKeyFiles(config.home, folder),
        clock=clock,
        entropy=os.urandom,
        smpp_sockets=sockets,
        room=ConnectionLimits(connections_max=connections_max),
        trusted=config.trusted_proxies,
        mark=MarkFile(_mark_file(config)),
        holders=holders,
    )
    try:
        if config.roles.sms.instances and not config.sms.keys_lost:
            await _refuse_without_keys(centre, folder or config.home / "keys" / "sealing")
        await centre.restores.notice()  # before anybody can hand anything in
    except BaseException:
        await close()
        raise
    canaries = Canaries(centre, database=database, journal=journal, settings=settings, clock=clock, entropy=os.urandom)

    def looked() -> Busyness:
        return Busyness(clock.monotonic(), centre.accepted, time.thread_time())

    measured = Capacity(0.0, None)

    async def measure() -> None:
        nonlocal measured
        before = looked()
        while True:
            await asyncio.sleep(CAPACITY_SECONDS)
            measured, before = capacity_between(before, now := looked()), now

    commanded = command_key(config.home, "sms")
    keys = {"command_key": commanded, "canary_key": command_key(config.home, "canaries")}
    return Role(
        serving_journal(
            application(
                centre,
                [
                    *commands(canaries, **keys),
                    *quarantine_commands(centre.quarantine, command_key=commanded),
                    *report_commands(centre.reports, canaries, command_key=commanded),
                    *wrong_number_routes(canaries, wrong_number.page),
                    *trail_commands(centre, command_key=commanded),
                    *restore_commands(centre.restores, command_key=commanded),
                    *load_commands(lambda: measured, command_key=commanded),
                ],
                public_url=config.roles.sms.url,
            ),
            lambda: journal,
            commanded,
        ),
        work=(centre.run, canaries.run, trimming(journal, config, clock), measure),
        counters=lambda: {**centre.counters(), **canaries.counters(), "loop_busy_share": measured.busy},
        troubles=centre.restores.troubles,
        close=close,
    )


async def _refuse_without_keys(centre: SmsCentre, folder: Path) -> None:
    """Whoever takes over on another home could open nothing of what waits, and would quarantine it."""
    if missing := await centre.keys_missing():
        raise UsageError(
            f"{folder}: {missing} keys are missing by which waiting messages are sealed; copy them there from the home"
            " on which the SMS centre worked before, set `sms.sealing_folder` to a folder that both reach, or, where"
            " they are lost for good, `sms.keys_lost`: those messages are then quarantined"
        )


def _mark_file(config: Config) -> Path:
    if config.sms.mark_file:
        # Its folder is not made: under the mount point of a disk that is away it would be the wrong one.
        return Path(config.sms.mark_file)
    folder = config.home / "marks"
    with contextlib.suppress(OSError):  # the mark's first writing says it
        folder.mkdir(exist_ok=True)
    return folder / "sms.mark"
