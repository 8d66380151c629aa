"""Judged runs, as many as are wanted, a few minutes at a time: what is done stands in a file, and is gone on with.

The first line of the file is the seed of the first run, drawn when the file is begun; each run that has been judged is
a line of its own. For the benchmarks beside this module.
"""

import argparse
import os
import platform
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from prikkfri.clock import SystemClock

T = TypeVar("T")


class Line(msgspec.Struct, Generic[T]):
    judged: T
    seconds: float
    """How long one took of those that were judged at once."""


def add_options(arguments: argparse.ArgumentParser, *, file: Path) -> None:
    arguments.add_argument("--minutes", type=float, default=8.0, help="for this call")
    arguments.add_argument("--processes", type=int, default=None, help="side by side; without it one for each core")
    arguments.add_argument("--file", type=Path, default=file)


def go_on(
    chosen: argparse.Namespace,
    kind: type[T],
    *,
    wanted: Callable[[int], Sequence[int]],
    judge: Callable[[Sequence[int], int | None], Iterable[T]],
    at_once: int,
    say: Callable[[T], None],
) -> tuple[int, list[Line[T]]]:
    """The first seed, and all that has been judged: `wanted` seeds from it, or as many as the minutes allow.

    `judge` gets some seeds and how many processes to take; `at_once` are judged between two looks at the clock.
    """
    file, clock = chosen.file, SystemClock()
    print(f"{platform.platform()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before")
    if not file.exists():
        file.write_text(f"{secrets.randbelow(1_000_000_000)}\n", encoding="utf-8")
    first, *lines = file.read_text(encoding="utf-8").splitlines()
    # A line that was being written when it was stopped is judged again.
    done = [msgspec.json.decode(line, type=Line[kind]) for line in lines if line.endswith("}")]  # type: ignore[valid-type]
    file.write_text(first + "\n" + "".join(_line(each) for each in done), encoding="utf-8")
    seeds, began = wanted(int(first)), clock.monotonic()
    while len(done) < len(seeds) and clock.monotonic() - began < 60 * chosen.minutes:
        since = clock.monotonic()
        some = list(judge(seeds[len(done) : len(done) + at_once], chosen.processes))
        taken = (clock.monotonic() - since) / len(some)
        with file.open("a", encoding="utf-8") as opened:
            for each in some:
                done.append(Line(each, taken))
                opened.write(_line(done[-1]))
                say(each)
        print(f"  {len(done)} of {len(seeds)}, {taken:.1f} s each", flush=True)
    return int(first), done


def _line(line: Line[T]) -> str:
    return msgspec.json.encode(line).decode() + "\n"
