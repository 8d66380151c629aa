"""One role as a process: what the supervisor starts."""

import argparse
import asyncio
import contextlib
import errno
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from prikkfri.app.connections import Connections, limits_for, raise_descriptor_limit
from prikkfri.app.internal_network import Identity
from prikkfri.app.limits import LIMITS, smpp_connections_for
from prikkfri.app.locks import hold_lock, out_of_reach
from prikkfri.app.logs import configure_logs
from prikkfri.app.process import run_until_stopped, say_it_waits, say_ready
from prikkfri.app.roles import Role, build
from prikkfri.app.roles.journals import location_of
from prikkfri.app.serving import listen, listen_at, serve, with_health
from prikkfri.app.standby import turn_of
from prikkfri.app.supervisor import AWAY
from prikkfri.clock import Clock, SystemClock
from prikkfri.config import ROLES, Config, load, process_name
from prikkfri.errors import FatalError, StorageError, StorageUnavailable, StorageUnwritable, UsageError
from prikkfri.storage.opening import AREAS, unreachable

log = logging.getLogger("prikkfri.app")


async def until_database(name: str, config: Config, clock: Clock) -> None:
    """Waits until a role's PostgreSQL answers, if it has one: ended, it would be started later and later."""
    location, said = location_of(config), ""
    while name in AREAS and location.url and (trouble := await unreachable(location, name)):
        if trouble != said:
            log.warning("waits for its database: %s", trouble)
        said = trouble
        await clock.sleep(LIMITS.database_asked_seconds)
    if said:
        log.info("its database answers")


async def run(name: str, config: Config) -> None:
    """Runs one role until cancelled; one that must not work beside another process waits for its end first."""
    await until_database(name, config, SystemClock())
    async with contextlib.AsyncExitStack() as opened:
        edge = config.roles.edge(name, config.instance)
        if (turn := turn_of(name, config)) is not None:
            opened.push_async_callback(turn.end)
            await turn.come(_stand_by)
        sockets = [opened.enter_context(each) for each in listen(edge.port, config.bind)]
        identity, among_machines = None, []
        if edge.tls_port:
            identity = Identity(config.home, SystemClock())
            host = urlsplit(edge.internal).hostname or ""
            among_machines = [opened.enter_context(each) for each in listen_at(host, edge.tls_port)]
        descriptors = raise_descriptor_limit()
        smpp = smpp_connections_for(descriptors) if name == "sms" else 0
        connections = Connections(limits_for(descriptors, smpp=smpp), config.trusted_proxies)
        fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        role = await build(name, config, SystemClock())
        troubles = role.troubles
        if identity is not None:
            troubles = partial(_all_troubles, identity, role)
        serving = with_health(
            role.application,
            name,
            lambda: {**role.counters(), **connections.counters(), **(identity.counters() if identity else {})},
            troubles=troubles,
            metrics_from=config.metrics_from,
            fatal=fatal,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(serve(serving, sockets, connections=connections))
                if identity is not None:
                    tasks.create_task(serve(serving, among_machines, connections=connections, tls=identity.server))
                    tasks.create_task(identity.follow())
                if turn is not None:
                    tasks.create_task(turn.keep())
                tasks.create_task(_until(fatal))
                for work in role.work:
                    tasks.create_task(work())
                log.info("ready on port %d", edge.port)
                say_ready()
        finally:
            log.info("stopping")
            await role.close()


def _stand_by(why: str) -> None:
    log.warning("stands by: %s", why)
    say_it_waits(why)


def _all_troubles(identity: Identity, role: Role) -> list[str]:
    return [*identity.troubles(), *(role.troubles() if role.troubles else ())]


async def _until(fatal: asyncio.Future[None]) -> None:
    """Raises what a request met that the role must not outlive."""
    await fatal


def process_of(role: str, config: Config) -> str:
    """The name of the process that is started here. Raises `UsageError` when no such process is configured."""
    name = process_name(role, config.instance)
    if name not in config.roles.processes(role):
        raise UsageError(
            f"instance {config.instance!r}: `roles.{role}.instances` of the configuration has none of that name; add it"
            " there, on every machine, or leave --instance out"
        )
    return name


def mend_of(error: BaseException) -> str:
    """What a person has to mend before the role can run, in one line; empty when starting it again may help."""
    match error:
        case BaseExceptionGroup():
            return next(filter(None, map(mend_of, error.exceptions)), "")
        case UsageError() | StorageUnwritable():
            return str(error)
        case StorageUnavailable() | FatalError():
            return ""
        case StorageError():
            return str(error)
        case OSError(filename=str() | bytes() | Path()) | OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EROFS):
            return out_of_reach(error)
    return ""


def code_of(error: BaseException) -> int:
    """With which a role ends that nobody has to mend first: `AWAY` where only its database was not at hand."""
    match error:
        case BaseExceptionGroup():
            return AWAY if {*map(code_of, error.exceptions)} == {AWAY} else 1
        case StorageUnavailable():
            return AWAY
    return 1


def lines_of(error: BaseException) -> list[str]:
    """What ends the role, once each, where all of it is known and no trace tells more; else empty."""
    match error:
        case BaseExceptionGroup():
            each = [lines_of(one) for one in error.exceptions]
            return list(dict.fromkeys(line for lines in each for line in lines)) if all(each) else []
        case StorageError() | FatalError():
            return [str(error)]
    return []


def main(words: Sequence[str] | None = None) -> int:
    """Runs one role until it is told to stop; returns the exit code. `words`: what was typed (None: `sys.argv`)."""
    parser = argparse.ArgumentParser(prog="python -m prikkfri.app", description="Runs one role; see `prikkfri serve`.")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--demo", action="store_true")
    arguments = parser.parse_args(words)
    try:
        config = load(arguments.home, file=arguments.config, environment=os.environ, demo=arguments.demo)
        process = process_of(arguments.role, config)
        with hold_lock(arguments.home, process):
            configure_logs(arguments.home, process)
            uvloop.run(run_until_stopped(lambda: run(arguments.role, config)))
    except Exception as error:  # the edge of the process
        if line := mend_of(error):
            said = f"{line}\n".encode(errors="replace")
            try:
                os.write(sys.stderr.fileno(), said)
            except OSError:  # its log is on the very disk that is full: the supervisor hears it
                os.write(sys.stdout.fileno(), said)
            return 2
        known = lines_of(error)
        for line in known:
            log.error("the role ends: %s", line)
        if not known:
            log.exception("the role ends")
        return code_of(error)
    return 0


if __name__ == "__main__":
    logging.raiseExceptions = False  # a log that cannot be written is no traceback: it would not be written either
    sys.exit(main())
