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


def public_key(x: bytes, y: bytes) -> ec.EllipticCurvePublicKey:
    """The key with these coordinates. Raises `ValueError` where they are no point of the curve."""
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)


def holds(public_key: ec.EllipticCurvePublicKey, signature: bytes, content: bytes) -> bool:
    """Whether the key has signed; a signature of another length than `SIGNATURE_BYTES` is none."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = int.from_bytes(signature[:NUMBER_BYTES]), int.from_bytes(signature[NUMBER_BYTES:])
    try:
        public_key.verify(encode_dss_signature(r, s), content, _verifying)
    except InvalidSignature:
        return False
    return True
