"""Who asks, by their device token: judged by public keys and the revocation list on disk; no other role is needed."""

import asyncio
import hashlib
import json
import logging
import math
from collections import OrderedDict
from pathlib import Path
from typing import Literal

from prikkfri.clock import Clock
from prikkfri.errors import RemoteProtocolError, StorageError
from prikkfri.protocols import device_token, jwt
from prikkfri.protocols.device_token import DeviceToken
from prikkfri.storage.keys import read_public_keys
from prikkfri.storage.limits import LIMITS, StorageLimits

log = logging.getLogger(__name__)

Wrong = Literal["bad-token", "expired", "revoked"]


class DeviceTokens:
    def __init__(self, home: Path, clock: Clock, *, limits: StorageLimits = LIMITS) -> None:
        self.revoked_as_of = 0.0
        """Of the revocation list as last read; 0: none was."""
        self._home = home
        self._clock = clock
        self._limits = limits
        self._keys: jwt.PublicKeys = {}
        self._keys_read_at = -math.inf
        self._verdicts: OrderedDict[bytes, DeviceToken] = OrderedDict()
        self._revoked: frozenset[str] = frozenset()
        self._revoked_changed = 0.0

    @property
    def remembered(self) -> int:
        """Verdicts on signatures that are remembered."""
        return len(self._verdicts)

    def judge(self, token: str) -> tuple[DeviceToken | None, Wrong | None]:
        """What it says when it is ours, and what is wrong with it; None: nothing."""
        known = self._verified(token)
        if known is None:
            return None, "bad-token"
        if known.jti in self._revoked:
            return known, "revoked"
        return known, "expired" if known.expires_at <= self._clock.now() else None

    async def follow(self) -> None:
        """Until cancelled: follows the revocation list.

        One that is missing or unreadable refuses nobody; the one last read goes on being honoured.
        """
        while True:
            await self.read_revoked()
            await self._clock.sleep(self._limits.revoked_read_seconds)

    async def read_revoked(self) -> None:
        """Reads the list if it has changed."""
        try:
            path = self._home / "public" / "revoked.json"
            changed = path.stat().st_mtime
            if changed != self._revoked_changed:
                document = json.loads(await asyncio.to_thread(path.read_bytes))
                self._revoked = frozenset(map(str, document["device_tokens"]))
                self.revoked_as_of = float(document["as_of"])
                self._revoked_changed = changed
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            log.error("the revocation list cannot be read: %s", type(error).__name__)

    def _verified(self, token: str) -> DeviceToken | None:
        """The verdict on a signature does not change, and verifying costs a hundred times what remembering does."""
        digest = hashlib.sha256(token.encode()).digest()
        if known := self._verdicts.get(digest):
            self._verdicts.move_to_end(digest)
            return known
        self._know_key_of(token)
        known = device_token.verified(token, self._keys)
        if known is not None:
            self._verdicts[digest] = known
            if len(self._verdicts) > self._limits.verdicts_remembered_max:
                self._verdicts.popitem(last=False)
        return known

    def _know_key_of(self, token: str) -> None:
        """Signin may have made its key after we started; looks at most once a second."""
        kid = jwt.key_id(token)
        now = self._clock.monotonic()
        if kid is None or kid in self._keys or now - self._keys_read_at < 1:
            return
        self._keys_read_at = now
        try:
            self._keys = jwt.read_jwks(read_public_keys(self._home, "device"))
        except (StorageError, RemoteProtocolError) as error:
            log.error("the public keys of device tokens cannot be read: %s", error)
