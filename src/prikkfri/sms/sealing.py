"""The sealed message: a body that can be opened only as the message it is (law 1), and by nobody once its hour is over.

AES-256-GCM; message id, account, sender, recipient, part, expiry and class are the associated data. A row of which any
of these has been swapped, by a bug or by hand, does not open. Each class of messages has a key of its own for each hour
in which messages expire; with that hour the key goes (`keys/service.py`), and what was sealed by it is noise, wherever
a copy of it lies.

What an earlier version sealed has no version octet, less of a binding and one key for all; its key goes when the last
of what waited at the upgrade has expired.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from prikkfri.protocols.smpp.pdu import Tlv
from prikkfri.storage.sealing_keys import EARLIER, KEY_OCTETS

NONCE_OCTETS = 12
HOUR_SECONDS = 3_600
VERSION = b"\x01"
"""Before the nonce. One in 256 of what an earlier version sealed begins with it, too: then both are tried."""
_BODY = len(VERSION) + NONCE_OCTETS
_NEVER = 2**40
"""The hour of an earlier version's key, until it is known when it may go."""


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """All of a message that is nobody's business but the recipient's."""

    octets: bytes
    data_coding: int
    esm_class: int
    sender_ton: int
    sender_npi: int
    protocol_id: int = 0
    priority: int = 0
    service_type: str = ""
    tlvs: tuple[Tlv, ...] = ()


class Binding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a seal ties the envelope to."""

    message_id: str
    account: str
    """The party that handed it in, as `kind:name`."""
    sender: str
    recipient: str
    part: int
    expires_at: float
    message_class: str


class KeyName(NamedTuple):
    """Which messages a key seals."""

    message_class: str | None
    """None: all that an earlier version sealed."""
    hour: int
    """In which they expire, counted from 1970 UTC."""

    @property
    def text(self) -> str:
        """Fit to name a file."""
        if self.message_class is None:
            return EARLIER if self.hour == _NEVER else str(self.hour)
        return f"{self.hour}-{quote(self.message_class, safe='')}"


def read_name(text: str) -> KeyName | None:
    """None: it names no key."""
    if text == EARLIER:
        return KeyName(None, _NEVER)
    hour, dash, message_class = text.partition("-")
    if not (hour.isascii() and hour.isdecimal()):
        return None
    return KeyName(unquote(message_class) if dash else None, int(hour))


def hour_of(expires_at: float) -> int:
    return int(expires_at // HOUR_SECONDS)


def keys_to_destroy(names: Iterable[KeyName], *, now: float, earliest_open: float) -> list[KeyName]:
    """The keys of hours that have ended, where nothing that may still be sent expires before such an end.

    `earliest_open`: when the first of what may still be sent expires. It is later than `now` unless housekeeping is
    behind, or something is under way at this moment.
    """
    until = min(now, earliest_open)
    return [name for name in names if (name.hour + 1) * HOUR_SECONDS <= until]


class SealBroken(Exception):
    """The sealed message is not the message that it is said to be."""


class KeyGone(SealBroken):
    """There is no key for such a message: its hour is over, or the key was lost."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


class Sealer:
    def __init__(self, entropy: Callable[[int], bytes], keys: Mapping[str, bytes] | None = None) -> None:
        """`entropy(n)` gives n random octets; `keys` are those that were kept, by the text of their names."""
        self._entropy = entropy
        self._ciphers: dict[tuple[str | None, int], AESGCM] = {}
        self.fresh: dict[KeyName, bytes] = {}
        """Keys that are kept nowhere yet: what is sealed by one must not be acknowledged before it is."""
        for text, key in (keys or {}).items():
            if name := read_name(text):
                self._ciphers[name] = _cipher(key)

    @property
    def names(self) -> list[KeyName]:
        return [KeyName(*name) for name in self._ciphers]

    def seal(self, envelope: Envelope, binding: Binding, nonce: bytes) -> bytes:
        """`nonce`: NONCE_OCTETS random octets, never used before with this key."""
        name = (binding.message_class, hour_of(binding.expires_at))
        cipher = self._ciphers.get(name) or self._begin(KeyName(*name))
        return VERSION + nonce + cipher.encrypt(nonce, _encoder.encode(envelope), _encoder.encode(binding))

    def open(self, sealed: bytes, binding: Binding) -> Envelope:
        """Raises SealBroken when anything differs from what was sealed, KeyGone when there is no key for it."""
        cipher = self._ciphers.get((binding.message_class, hour_of(binding.expires_at)))
        if cipher is not None and sealed[:1] == VERSION:
            plain = _opened(cipher, sealed[1:_BODY], sealed[_BODY:], binding)
            if plain is not None:
                return _decoder.decode(plain)
        return self._open_earlier(sealed, binding, is_known=cipher is not None)

    def _open_earlier(self, sealed: bytes, binding: Binding, *, is_known: bool) -> Envelope:
        """`is_known`: whether there is a key of this version for such a message."""
        bound = (binding.message_id, binding.sender, binding.recipient, binding.expires_at)
        earlier = [cipher for (message_class, _), cipher in self._ciphers.items() if message_class is None]
        for cipher in earlier:
            plain = _opened(cipher, sealed[:NONCE_OCTETS], sealed[NONCE_OCTETS:], bound)
            if plain is not None:
                return _decoder.decode(plain)
        gone = not is_known if sealed[:1] == VERSION else not earlier
        raise (KeyGone if gone else SealBroken)(binding.message_id)

    def rename(self, name: KeyName, new: KeyName) -> None:
        """The key of one name has another from now on."""
        self._ciphers[new] = self._ciphers.pop(name)

    def forget(self, names: Iterable[KeyName]) -> None:
        for name in names:
            self._ciphers.pop(name, None)
            self.fresh.pop(name, None)

    def _begin(self, name: KeyName) -> AESGCM:
        key = self._entropy(KEY_OCTETS)
        self._ciphers[name] = cipher = _cipher(key)
        self.fresh[name] = key
        return cipher


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_OCTETS:
        raise ValueError(f"a sealing key has {KEY_OCTETS} octets, not {len(key)}")
    return AESGCM(key)


def _opened(cipher: AESGCM, nonce: bytes, body: bytes, bound: Binding | tuple[object, ...]) -> bytes | None:
    try:
        return cipher.decrypt(nonce, body, _encoder.encode(bound))
    except (InvalidTag, ValueError):
        return None
