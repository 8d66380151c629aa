"""Taking up new keys while a role runs: signing keys when whoever verifies has heard of them, command keys at once.

A person has the next key made (`HOME/keys/NAME.next.pem`, `HOME/keys/NAME.next.key`); the role that owns the key does
the rest, also over its own restarts. What the earlier key signed is believed as before; the earlier command key is
taken until the next rotation, since other machines have copies of it.
"""

import logging
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from prikkfri.clock import Clock
from prikkfri.errors import StorageError
from prikkfri.storage.keys import (
    SIGNING_KEYS,
    SigningKey,
    command_key,
    publish_public_key,
    read_secret,
    read_signing_key,
    secret_file,
    signing_file,
    write_whole,
)
from prikkfri.storage.limits import LIMITS, StorageLimits

log = logging.getLogger(__name__)


def _nothing() -> None:
    """Most keys are verified elsewhere alone."""


async def _following(step: Callable[[], None], what: str, clock: Clock, limits: StorageLimits) -> None:
    """Until cancelled; what goes wrong again and again is said once."""
    said = ""
    while True:
        trouble = ""
        try:
            step()
        except (StorageError, OSError) as error:
            trouble = str(error)
            if trouble != said:
                log.error("%s is not taken up: %s", what, trouble)
        said = trouble
        await clock.sleep(limits.next_key_read_seconds)


class KeyRotation:
    """One signing key of a role."""

    def __init__(
        self,
        home: Path,
        name: str,
        key: SigningKey,
        clock: Clock,
        *,
        published: Callable[[], None] = _nothing,
        issuer: str = "",
        limits: StorageLimits = LIMITS,
    ) -> None:
        """`key` becomes the next one. `published` is called when its public half is, before it signs anything.

        `issuer`: whose keys it is published among; empty: its role's. Another process may use the same key.
        """
        self._home = home
        self._name = name
        self._key = key
        self._clock = clock
        self._published = published
        self._use, own = SIGNING_KEYS[name]
        self._issuer = issuer or own
        self._limits = limits
        self._next: SigningKey | None = None
        self._since = math.inf
        self._seen = 0

    async def follow(self) -> None:
        """Until cancelled."""
        await _following(self.step, f"the next key {self._name}", self._clock, self._limits)

    def step(self) -> None:
        """Publishes the next key, or signs with it from now on. Raises `StorageError` and `OSError`."""
        file = signing_file(self._home, f"{self._name}.next")
        if not file.exists():
            self._next = None
            self._follow_others()
            return
        following = read_signing_key(file, self._name)
        if self._next is None or self._next.kid != following.kid:
            self._publish(following)
            self._next, self._since = following, self._clock.monotonic()
            log.info("the next key %s is published", following.kid)
        elif self._clock.monotonic() - self._since >= self._limits.key_published_seconds:
            with suppress(FileNotFoundError):  # another process on this home has done it
                os.replace(file, signing_file(self._home, self._name))
            self._key.become(following)
            self._next = None
            log.info("%s signs from now on", following.kid)

    def _publish(self, key: SigningKey) -> None:
        publish_public_key(self._home, self._use, self._issuer, key)
        self._published()

    def _follow_others(self) -> None:
        """Another process on this home may have signed with the next one a moment sooner."""
        file = signing_file(self._home, self._name)
        if (changed := file.stat().st_mtime_ns) == self._seen:
            return
        self._seen, now = changed, read_signing_key(file, self._name)
        if now.kid != self._key.kid:
            self._publish(now)
            self._key.become(now)
            log.info("%s signs from now on, as in another process", now.kid)


class AcceptedKeys:
    """The command keys by which a role may be told something, by what they were when it was put together."""

    def __init__(self, home: Path, names: Sequence[str], clock: Clock, *, limits: StorageLimits = LIMITS) -> None:
        """Raises `StorageError`."""
        self._home = home
        self._clock = clock
        self._limits = limits
        self._built = {name: command_key(home, name) for name in names}
        self.others: dict[str, str] = {}
        """What else is taken: in place of which key it comes. An empty one lets nobody in."""
        self._read()

    async def follow(self) -> None:
        """Until cancelled."""
        await _following(self.step, "a next command key", self._clock, self._limits)

    def step(self) -> None:
        """Takes what is next, and keeps taking what is now. Raises `StorageError` and `OSError`."""
        for name in self._built:
            key = secret_file(self._home, f"{name}-command")
            following = secret_file(self._home, f"{name}-command.next")
            if not following.exists():
                continue
            later = read_secret(following).decode()
            self.others[later] = self._built[name]  # before anybody can send it
            write_whole(secret_file(self._home, f"{name}-command.earlier"), key.read_bytes(), mode=0o600)
            os.replace(following, key)
            self._read()
            log.info("the command key %s is a new one; the earlier one is taken until the next", name)

    def _read(self) -> None:
        others: dict[str, str] = {}
        for name, built in self._built.items():
            taken = {command_key(self._home, name)}
            earlier = secret_file(self._home, f"{name}-command.earlier")
            if earlier.exists():
                taken.add(read_secret(earlier).decode())
            others |= {key: built for key in taken if key != built}
            if built not in taken:
                others[built] = ""
        self.others = others
