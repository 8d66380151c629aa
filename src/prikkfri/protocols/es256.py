"""ES256: ECDSA with P-256 and SHA-256, as JOSE and COSE carry it (RFC 7518 section 3.4: `r` and `s`, 32 octets each).

Deterministic (RFC 6979): what is signed twice is the same twice.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

NUMBER_BYTES = 32
SIGNATURE_BYTES = 2 * NUMBER_BYTES

_signing = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_verifying = ec.ECDSA(hashes.SHA256())


def signature(private_key: ec.EllipticCurvePrivateKey, content: bytes) -> bytes:
    return b"".join(n.to_bytes(NUMBER_BYTES) for n in decode_dss_signature(private_key.sign(content, _signing)))


def holds(x: bytes, y: bytes, signature: bytes, content: bytes) -> bool:
    """Whether the key with these coordinates has signed; no where they are no point of the curve."""
    r, s = (int.from_bytes(half) for half in (signature[:NUMBER_BYTES], signature[NUMBER_BYTES:]))
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)
        key.verify(encode_dss_signature(r, s), content, _verifying)
    except (ValueError, InvalidSignature):
        return False
    return True
