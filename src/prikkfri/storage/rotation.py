"""Taking up new keys while a role runs: signing keys when whoever verifies has heard of them, command keys at once.

A person has the next key made (`HOME/keys/NAME.next.pem`, `HOME/keys/NAME.next.key`); the role that owns the key does
the rest, also over its own restarts. What the earlier key signed is believed as before; the earlier command key is
taken until the next rotation, since other machines have copies of it. By an earlier secret of a role nothing more is
made.
"""

import base64
import fcntl
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from prikkfri.clock import Clock
from prikkfri.errors import StorageError
from prikkfri.storage.keys import (
    EARLIER_MAX,
    SIGNING_KEYS,
    SecretKey,
    SigningKey,
    command_key,
    earlier_secrets,
    publish_public_key,
    read_secret,
    read_signing_key,
    role_secret,
    secret_file,
    secret_octets,
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


class SecretRotation:
    """One secret of a role. What was made by an earlier one stays good: twelve are kept."""

    def __init__(
        self,
        home: Path,
        name: str,
        key: SecretKey,
        clock: Clock,
        *,
        is_busy: Callable[[], bool] = lambda: False,
        limits: StorageLimits = LIMITS,
    ) -> None:
        """`key` becomes the next one, unless something `is_busy` for which it must stay the same."""
        self._home = home
        self._name = name
        self._key = key
        self._clock = clock
        self._is_busy = is_busy
        self._limits = limits
        self._next = b""
        self._since = math.inf

    async def follow(self) -> None:
        """Until cancelled."""
        await _following(self.step, f"the next key {self._name}", self._clock, self._limits)

    def step(self) -> None:
        """Knows the next key, or uses it from now on. Raises `StorageError` and `OSError`."""
        with _one_at_a_time(self._home):
            self._step()

    def _step(self) -> None:
        file, following = secret_file(self._home, self._name), secret_file(self._home, f"{self._name}.next")
        if not following.exists():
            self._next = b""
        elif (later := secret_octets(following)) != self._next:
            self._next, self._since = later, self._clock.monotonic()
            log.info("a next key %s is known", self._name)
        elif self._clock.monotonic() - self._since >= self._limits.key_published_seconds and not self._is_busy():
            # In this order: whatever it breaks off between, no key by which something was made is lost.
            earlier = (secret_octets(file), *earlier_secrets(self._home, self._name))
            lines = [base64.urlsafe_b64encode(each) for each in dict.fromkeys(earlier)][:EARLIER_MAX]
            write_whole(secret_file(self._home, f"{self._name}.earlier"), b"\n".join(lines) + b"\n", mode=0o600)
            os.replace(following, file)
            self._next = b""
            log.info("there is a new key %s; what the earlier ones made stays good", self._name)
        now = role_secret(self._home, self._name)
        self._key.current, others = now.current, (self._next, *now.others)
        self._key.others = tuple(each for each in dict.fromkeys(others) if each and each != now.current)


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Of the processes on a home one changes keys at a time; it takes a moment."""
    folder = home / "run"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(folder / "keys.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


class AcceptedKeys:
    """The command keys by which a role may be told something, by what they were when it was put together.

    The owner notes of each what it has come to (`NAME-command.own.key`, which no other machine has): what a copy from
    elsewhere puts back in its place is found out, and undone.
    """

    def __init__(self, home: Path, names: Sequence[str], clock: Clock, *, limits: StorageLimits = LIMITS) -> None:
        """Raises `StorageError`."""
        self._home = home
        self._clock = clock
        self._limits = limits
        self._built = {name: command_key(home, name) for name in names}
        self._seen: list[int] = []
        self.others: dict[str, str] = {}
        """What else is taken: in place of which key it comes. An empty one lets nobody in."""
        for name in names:
            self._put_back(name)
        self._read()

    async def follow(self) -> None:
        """Until cancelled."""
        await _following(self.step, "a next command key", self._clock, self._limits)

    def step(self) -> None:
        """Takes what is next, and keeps taking what is now. Raises `StorageError` and `OSError`."""
        if self._stamps() == self._seen and not any(self._file(name, ".next").exists() for name in self._built):
            return
        with _one_at_a_time(self._home):
            for name in self._built:
                self._put_back(name)
                self._take_next(name)
            self._read()

    def _take_next(self, name: str) -> None:
        key, following = self._file(name), self._file(name, ".next")
        if not following.exists():
            return
        later = read_secret(following)
        self.others[later.decode()] = self._built[name]  # before anybody can send it
        write_whole(self._file(name, ".earlier"), key.read_bytes(), mode=0o600)
        write_whole(self._file(name, ".own"), later, mode=0o600)
        os.replace(following, key)
        log.info("the command key %s is a new one; the earlier one is taken until the next", name)

    def _put_back(self, name: str) -> None:
        """What another machine's copy has put in the place of a key that was changed is taken away again."""
        key, own = self._file(name), self._file(name, ".own")
        if not own.exists() or not key.exists() or (there := read_secret(key)) == (ours := read_secret(own)):
            return
        earlier = self._file(name, ".earlier")
        if earlier.exists() and read_secret(earlier) == there:
            log.warning("the command key %s was put back from elsewhere: the newer one is in its place again", name)
            write_whole(key, ours, mode=0o600)
        elif not self._file(name, ".next").exists():  # a person has put another one there: that is a change, too
            write_whole(earlier, ours, mode=0o600)
            write_whole(own, there, mode=0o600)

    def _file(self, name: str, which: str = "") -> Path:
        return secret_file(self._home, f"{name}-command{which}")

    def _stamps(self) -> list[int]:
        return [_changed_at(self._file(name, which)) for name in self._built for which in ("", ".earlier")]

    def _read(self) -> None:
        others: dict[str, str] = {}
        for name, built in self._built.items():
            taken = {command_key(self._home, name)}
            earlier = self._file(name, ".earlier")
            if earlier.exists():
                taken.add(read_secret(earlier).decode())
            others |= {key: built for key in taken if key != built}
            if built not in taken:
                others[built] = ""
        self.others = others
        self._seen = self._stamps()


def _changed_at(file: Path) -> int:
    """0: it is not there."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return 0
    return found.st_mtime_ns ^ found.st_ino
