"""What roles publish for others to check by: public keys and the revocation list, over HTTP to other machines.

Whoever publishes does so in its own home, `HOME/public`, as on one machine; another machine's home holds a copy of it
in the same places, so that whoever reads there need not know. The copy is good without the publisher, however long: it
says how old it is. Where the publisher runs on the same home nothing is copied.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from prikkfri.app.internal_network import following, identity_of, internal_client
from prikkfri.app.limits import LIMITS, AppLimits
from prikkfri.app.locks import file_name, lock_holder
from prikkfri.app.roles import Role
from prikkfri.clock import Clock
from prikkfri.config import Config, Edge, process_name
from prikkfri.errors import RemoteProtocolError, StorageError
from prikkfri.journal import role_of
from prikkfri.protocols import jwt
from prikkfri.protocols.asgi import NOT_FOUND, HttpResponse, Request, Route, edge, header
from prikkfri.storage.keys import command_key, made_command_key, write_whole

log = logging.getLogger("prikkfri.app")

CLOCKS_APART_SECONDS_MAX = 60.0
"""A list that is of later than that was written by a clock that was wrong, and holds up no other."""
REVOKED = "revoked"
PLACES: Mapping[str, Mapping[str, str]] = {
    "signin": {
        "playback-keys": "playback-keys/signin.json",
        "device-keys": "device-keys/signin.json",
        REVOKED: "revoked.json",
    },
    "door": {"playback-keys": "playback-keys/door.json", "pass-keys": "pass-keys/door.json"},
}
"""What each role publishes, and where below `HOME/public` it stands."""
READ: Mapping[str, Mapping[str, Sequence[str]]] = {
    "signin": {"door": ("pass-keys",), "signin": ("device-keys",)},
    "door": {"signin": ("device-keys", REVOKED)},
    "playout": {"signin": ("playback-keys", "device-keys", REVOKED), "door": ("playback-keys",)},
    "assurance": {"signin": ("device-keys", REVOKED)},
}
"""What each role reads of whom; of its own role, what the other processes publish."""


def reading_key(role: str) -> str:
    """The name of the key by which what a role publishes is read, and nothing else is done."""
    return f"{role}-published"


def place_of(process: str, name: str) -> str | None:
    """Where below `HOME/public` stands what a process (a role, or `ROLE/INSTANCE`) publishes; None: it does not.

    Each has its own keys, or those of the home that it shares; of what is revoked they say the same.
    """
    role = role_of(process)
    place = PLACES[role].get(name)
    return place and place.replace(f"/{role}.json", f"/{file_name(process)}.json")


def serving_published(application: ASGIApp, process: str, home: Path) -> ASGIApp:
    """Answers `/published/NAME` to whoever has the key for reading it, and hands on the rest."""
    seen: dict[str, tuple[tuple[int, ...], bytes, str]] = {}

    async def answer(request: Request) -> HttpResponse:
        place = place_of(process, name := request.parts["name"])
        if place is None:
            return NOT_FOUND
        try:
            file = home / "public" / place
            if not (changed := _stamp(file)):
                return NOT_FOUND
            if seen.get(name, ((), b"", ""))[0] != changed:
                content = await asyncio.to_thread(file.read_bytes)
                seen[name] = changed, content, tag_of(content)
        except OSError:
            return NOT_FOUND
        _, content, tag = seen[name]
        tagged = (b"etag", tag.encode())
        if header(request.scope, b"if-none-match") == tag:
            return HttpResponse(304, None, (tagged,))
        return HttpResponse(200, None, (tagged, (b"content-type", b"application/json")), content)

    answer_own = edge([Route("GET", "/published/{name}", answer, key=command_key(home, reading_key(role_of(process))))])

    async def answer_any(scope: Scope, receive: Receive, send: Send) -> None:
        own = scope.get("path", "").startswith("/published/")
        await (answer_own if own else application)(scope, receive, send)

    return answer_any


@dataclass
class _Source:
    process: str
    url: str
    names: Sequence[str]
    heard_at: float
    """When all that it publishes was last known to be as it is here; 0: never."""
    trouble: str = ""


class Copies:
    """What other machines' roles publish, copied into this home and kept up to date."""

    def __init__(
        self, role: str, config: Config, clock: Clock, client: httpx.AsyncClient, *, limits: AppLimits = LIMITS
    ) -> None:
        self._home = config.home
        self._processes: Callable[[str], Mapping[str, Edge]] = config.roles.processes
        self._clock = clock
        self._client = client
        self._limits = limits
        self._tags: dict[tuple[str, str], tuple[tuple[int, ...], str]] = {}
        """By publisher and name: the file that was in force here after it was heard, and what it calls its content."""
        now = clock.now()  # what was noted by a clock that was ahead must not pass for young until then
        self._sources = [
            _Source(process, url, names, min(heard_at(config.home, process), now))
            for process, url, names in read_elsewhere(role, config)
        ]

    async def follow(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources:
                tasks.create_task(self._follow(source), name=f"published by {source.process}")

    async def _follow(self, source: _Source) -> None:
        while True:
            await self.step(source.process)
            await self._clock.sleep(self._limits.published_read_seconds)

    async def step(self, process: str) -> None:
        """Asks a process once for what it publishes."""
        [source] = [each for each in self._sources if each.process == process]
        trouble = ""
        for name in source.names:
            trouble = trouble or await self._copy(source, name)
        if trouble and trouble != source.trouble:
            log.warning("%s; what was known last stays in force", trouble)
        elif source.trouble and not trouble:
            log.info("what %s publishes is heard again", process)
        source.trouble = trouble
        if trouble:
            return
        source.heard_at = self._clock.now()
        try:
            await asyncio.to_thread(_note_heard, self._home, process, source.heard_at)
        except OSError as error:
            log.warning("how old the copies are is not noted: %s", error.strerror)

    async def _copy(self, source: _Source, name: str) -> str:
        """Copies one document if it is another; returns what went wrong, empty when it is as it is there."""
        url, place = f"{source.url}/published/{name}", self._place(source.process, name)
        try:
            key = made_command_key(self._home, reading_key(role_of(source.process)))
        except (StorageError, OSError) as error:  # to mend it is no reason to do without what is known
            return f"what {source.process} publishes cannot be asked for: {error}"
        if key is None:
            name = f"{reading_key(role_of(source.process))}-command.key"
            return f"there is no keys/{name}: `prikkfri keys machine` makes a copy of it"
        headers = {"authorization": f"Bearer {key}", "accept-encoding": "identity"}
        try:
            written, tag = self._tags.get((source.process, name), ((), ""))
            if written and _stamp(place) == written:
                headers["if-none-match"] = tag
            async with (
                self._clock.timeout(self._limits.published_seconds_max),
                self._client.stream("GET", url, headers=headers, follow_redirects=False) as answer,
            ):
                if answer.status_code == 304 and "if-none-match" in headers:
                    return ""
                if answer.status_code != 200:
                    return f"{source.process} on {source.url} answers {answer.status_code} to /published/{name}"
                if "content-encoding" in answer.headers:  # what is small on the way may be boundless here
                    return f"{source.process} on {source.url} publishes {name} in a coding that was not asked for"
                content = bytearray()
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > self._limits.published_bytes_max:
                        return f"{source.process} on {source.url} publishes too much as {name}"
        except (httpx.HTTPError, TimeoutError) as error:
            return f"{source.process} does not answer on {source.url} ({type(error).__name__})"
        except OSError as error:
            return f"{place}: {error.strerror}"
        whole = bytes(content)
        try:
            self._tags[source.process, name] = (
                await asyncio.to_thread(self._keep, source.process, name, whole),
                tag_of(whole),
            )
        except RemoteProtocolError:
            return f"{source.process} on {source.url} publishes what is no {name}"
        except OSError as error:
            return f"{place}: {error.strerror}"
        return ""

    def _keep(self, process: str, name: str, content: bytes) -> tuple[int, ...]:
        """Returns what tells whether the copy is still that file; nothing where it is none."""
        check_published(name, content)
        place = self._place(process, name)
        there = place.read_bytes() if place.exists() else None
        if there != content:
            # Whoever publishes on this very home knows better; a list of what is revoked they publish together.
            publishers = self._processes(role_of(process)) if name == REVOKED else [process]
            if any(lock_holder(self._home, each) for each in publishers):
                return ()
            if name == REVOKED and there is not None and _as_of(there, self._clock.now()) > _as_of(content, inf):
                return _stamp(place)  # of several that publish it, one was slower
            write_whole(place, content)
        return _stamp(place)

    def _place(self, process: str, name: str) -> Path:
        place = place_of(process, name)
        assert place is not None
        return self._home / "public" / place

    def troubles(self) -> list[str]:
        """Whose keys and revocations are old here, a sentence each."""
        now, most = self._clock.now(), self._limits.published_age_seconds_max
        return [
            f"what {source.process} publishes is"
            f" {f'{now - source.heard_at:.0f} s old' if source.heard_at else 'not known'} here:"
            f" {source.trouble or 'it is being asked'}"
            for source in self._sources
            if now - source.heard_at > most
        ]

    def counters(self) -> dict[str, float]:
        """Figures for `/metrics`: how old what is known is; of what was never heard since 1970."""
        now = self._clock.now()
        return {f'published_age_seconds{{from="{each.process}"}}': now - each.heard_at for each in self._sources}


def check_published(name: str, content: bytes) -> None:
    """Raises `RemoteProtocolError` when it is not what it is called, as whoever reads it here would see it."""
    if name != REVOKED:
        jwt.read_jwks(content)
        return
    from prikkfri.streaming.revocations import read_revocations

    read_revocations(content)


def _as_of(document: bytes, now: float) -> float:
    """Of when a revocation list is; of a time that is still to come, or of none, it is of no time at all."""
    from prikkfri.streaming.revocations import read_revocations

    try:
        as_of = read_revocations(document).as_of
    except RemoteProtocolError:
        return 0.0
    return as_of if as_of <= now + CLOCKS_APART_SECONDS_MAX else 0.0


def tag_of(content: bytes) -> str:
    """By which a publisher knows whether somebody has the same."""
    return f'"{hashlib.sha256(content).hexdigest()}"'


def _stamp(file: Path) -> tuple[int, ...]:
    """Another one when the file is another; empty when it is missing. Raises `OSError`."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def _heard_file(home: Path, process: str) -> Path:
    return home / "public" / "heard" / file_name(process)


def heard_at(home: Path, process: str) -> float:
    """When this home last knew what a process elsewhere publishes; 0: never."""
    try:
        return _heard_file(home, process).stat().st_mtime
    except OSError:
        return 0.0


def _note_heard(home: Path, process: str, at: float) -> None:
    file = _heard_file(home, process)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.utime(file, (at, at))


def read_elsewhere(role: str, config: Config) -> list[tuple[str, str, Sequence[str]]]:
    """What a role reads of processes on other machines: of whom, at which address, and what."""
    own = process_name(role, config.instance)
    return [
        (process, edge.internal, names)
        for of, names in READ.get(role, {}).items()
        for process, edge in config.roles.processes(of).items()
        if edge.internal_url and process != own
    ]


def with_published(role: Role, name: str, config: Config, clock: Clock) -> Role:
    """The role with what it publishes, and with copies of what others publish on other machines."""
    if name in PLACES:
        process = process_name(name, config.instance)
        role = replace(role, application=serving_published(role.application, process, config.home))
    if not read_elsewhere(name, config):
        return role  # who reads nothing elsewhere needs no certificate to start
    client = internal_client(identity := identity_of(config, clock))
    copies = Copies(name, config, clock, client)
    before, troubles, close = role.counters, role.troubles, role.close

    async def close_all() -> None:
        await client.aclose()
        await close()

    return replace(
        role,
        work=(*role.work, copies.follow, *following(identity)),
        counters=_both(before, copies.counters),
        troubles=lambda: [*(troubles() if troubles else ()), *copies.troubles()],
        close=close_all,
    )


def _both(
    first: Callable[[], Mapping[str, float]], second: Callable[[], Mapping[str, float]]
) -> Callable[[], Mapping[str, float]]:
    return lambda: {**first(), **second()}
