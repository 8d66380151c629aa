"""The sealed message: a body that can be opened only as the message it is (law 1).

AES-256-GCM; message id, sender, recipient and expiry are the associated data. A row whose recipient has been swapped,
by a bug or by hand, does not open.
"""

from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from prikkfri.protocols.smpp.pdu import Tlv

KEY_OCTETS = 32
NONCE_OCTETS = 12


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


class Binding(NamedTuple):
    """What a seal ties the envelope to."""

    message_id: str
    sender: str
    recipient: str
    expires_at: float


class SealBroken(Exception):
    """The sealed message is not the message that it is said to be."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


class Sealer:
    def __init__(self, key: bytes) -> None:
        """`key`: KEY_OCTETS random octets."""
        if len(key) != KEY_OCTETS:
            raise ValueError(f"a sealing key has {KEY_OCTETS} octets, not {len(key)}")
        self._cipher = AESGCM(key)

    def seal(self, envelope: Envelope, binding: Binding, nonce: bytes) -> bytes:
        """`nonce`: NONCE_OCTETS random octets, never used before with this key."""
        sealed = self._cipher.encrypt(nonce, _encoder.encode(envelope), _encoder.encode(binding))
        return nonce + sealed

    def open(self, sealed: bytes, binding: Binding) -> Envelope:
        """Raises SealBroken when anything differs from what was sealed."""
        try:
            plain = self._cipher.decrypt(sealed[:NONCE_OCTETS], sealed[NONCE_OCTETS:], _encoder.encode(binding))
        except (InvalidTag, ValueError):
            raise SealBroken(binding.message_id) from None
        return _decoder.decode(plain)
