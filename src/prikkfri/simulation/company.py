"""Company: how much of the machine was taken by others than the rehearsal and the roles that it tries.

Read from Linux' /proc; elsewhere nothing is known of others.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

SAMPLE_SECONDS = 2.0
KEEPERS = ("autovacuum", "background writer", "checkpointer", "io worker", "walwriter")
"""Those that do what a database's writes have left to be done."""


@dataclass(frozen=True)
class Usage:
    """What has been used of the machine so far, in ticks of the kernel's."""

    busy: int
    """By anybody; and by the machine's other guests, where it is a guest itself."""
    idle: int
    ours: Mapping[int, int] = field(default_factory=dict)
    """By each of our processes."""


def others_share(before: Usage, after: Usage) -> float:
    """The part of the time of all cores that others took between two readings, 0 to 1."""
    busy, idle = after.busy - before.busy, after.idle - before.idle
    ours = sum(max(0, used - before.ours.get(process, 0)) for process, used in after.ours.items())
    return min(1.0, max(0, busy - ours) / (busy + idle)) if busy + idle > 0 else 0.0


def family(parents: Mapping[int, int], heads: set[int]) -> set[int]:
    """`heads` and whoever descends from them. `parents`: each process' own."""
    children: dict[int, list[int]] = {}
    for process, parent in parents.items():
        children.setdefault(parent, []).append(process)
    found, ahead = set[int](), list(heads & parents.keys())
    while ahead:
        process = ahead.pop()
        if process not in found:
            found.add(process)
            ahead += children.get(process, ())
    return found


def backends(titles: Mapping[int, str], parents: Mapping[int, int], database: str) -> set[int]:
    """Who works for a database of a PostgreSQL, and who keeps that server's house. `titles`: of its processes.

    A backend's title is `postgres: USER DATABASE CLIENT WHAT IT DOES`, another's is `postgres: WHAT IT IS`.
    """
    own = {process for process, title in titles.items() if title.split()[2:3] == [database]}
    servers = {parents[process] for process in own}
    keepers = {process for process, title in titles.items() if title.removeprefix("postgres: ").startswith(KEEPERS)}
    return own | {process for process in keepers if parents[process] in servers}


def usage(home: Path, url: str = "", proc: Path = Path("/proc")) -> Usage | None:
    """As of now; ours are this process, those that hold the locks of `home`, and their families. None: not known.

    `url`: of the PostgreSQL that the roles have; what works for their database on this machine is ours, too.
    """
    try:
        user, nice, system, idle, waiting, *more = map(int, (proc / "stat").read_text().split("\n", 1)[0].split()[1:9])
    except (OSError, ValueError):
        return None
    database = _named(url)
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    titles: dict[int, str] = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:  # the name of a program, in brackets, may hold anything
                name, _, rest = (folder / "stat").read_text().rpartition(")")
                if database and name.endswith("(postgres"):
                    titles[int(folder.name)] = (folder / "cmdline").read_text().rstrip("\0 ")
            except OSError:
                continue  # it has ended
            fields = rest.split()
            parents[int(folder.name)] = int(fields[1])
            used[int(folder.name)] = int(fields[11]) + int(fields[12])
    heads = {os.getpid(), *backends(titles, parents, database)}
    for lock in home.glob("run/*.lock"):
        text = lock.read_text(encoding="utf-8").strip()
        heads |= {int(text)} if text.isdecimal() else set()
    ours = {process: used[process] for process in family(parents, heads)}
    return Usage(user + nice + system + sum(more), idle + waiting, ours)


@lru_cache
def _named(url: str) -> str:
    if not url:
        return ""
    from prikkfri.storage.postgres import database_name  # its driver is loaded only where one is

    return database_name(url)


async def keep_company(
    shares: list[float], read: Callable[[], Usage | None], *, pause_seconds: float = SAMPLE_SECONDS
) -> None:
    """Until cancelled: adds what part of the machine others took, again and again."""
    before = read()
    while before is not None:
        await asyncio.sleep(pause_seconds)
        after = read()
        if after is not None:
            shares.append(others_share(before, after))
        before = after
