"""Whose a ticket or a pass is: a key of the device's own, or, where it has none, a secret. Proof of possession.

A ticket and a pass carry their `holder`: `k-` and the thumbprint (RFC 7638) of a P-256 public key, or `s-` and the
SHA-256 of a secret of 43 characters, both base64url. The proof of a key is `X.Y.SIGNATURE` (base64url, ES256), that of
a secret is the secret. What is signed names what it is for and the very ticket or pass. Both are made by us and end
soon, so a proof needs no time of its own: the clocks of televisions are wrong by hours.
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec

from prikkfri.protocols import es256

HOLDER_LENGTH = 45
PROOF_LENGTH_MAX = 174

Purpose = Literal["enter", "sign-in"]

_STANDARD = str.maketrans("-_", "+/")
_HOLDER = re.compile(r"[ks]-[A-Za-z0-9_-]{43}", re.ASCII)
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_KEY_PROOF = re.compile(r"([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{86})", re.ASCII)


def is_holder(value: str) -> bool:
    return _HOLDER.fullmatch(value) is not None


def is_secret(value: str) -> bool:
    """Whether it can be one: 43 base64url characters, 32 random octets."""
    return _SECRET.fullmatch(value) is not None


def has_key(holder: str) -> bool:
    """Whether it is a key, whose proofs may stand in an address: what a secret's holder shows is the secret."""
    return holder.startswith("k-")


def holder_of_key(x: str, y: str) -> str:
    """Of a P-256 public key by its base64url coordinates, as a JSON Web Key has them."""
    canonical = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'
    return "k-" + _text(hashlib.sha256(canonical.encode()).digest())


def holder_of_secret(secret: str) -> str:
    return "s-" + _text(hashlib.sha256(secret.encode()).digest())


def message(purpose: Purpose, subject: str) -> bytes:
    """What a key signs for a ticket or a pass (`subject`)."""
    return f"prikkfri-{purpose}\n{subject}".encode()


def proven(holder: str, proof: str, purpose: Purpose, subject: str) -> bool:
    """Whether whoever gave the proof has what the holder has. A key's takes some 75 us."""
    if not has_key(holder):
        return is_secret(proof) and hmac.compare_digest(holder, holder_of_secret(proof))
    if not (parts := _KEY_PROOF.fullmatch(proof)) or not hmac.compare_digest(holder, holder_of_key(parts[1], parts[2])):
        return False
    x, y, signature = map(_octets, parts.groups())
    try:
        key = es256.public_key(x, y)
    except ValueError:
        return False
    return es256.holds(key, signature, message(purpose, subject))


def public_coordinates(key: ec.EllipticCurvePublicKey) -> tuple[str, str]:
    """`x` and `y`, base64url."""
    numbers = key.public_numbers()
    return _text(numbers.x.to_bytes(es256.NUMBER_BYTES)), _text(numbers.y.to_bytes(es256.NUMBER_BYTES))


def prove(key: ec.EllipticCurvePrivateKey, purpose: Purpose, subject: str) -> str:
    """A key's proof."""
    signature = es256.signature(key, message(purpose, subject))
    return ".".join((*public_coordinates(key.public_key()), _text(signature)))


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _octets(text: str) -> bytes:
    return binascii.a2b_base64(text.translate(_STANDARD) + "==")
