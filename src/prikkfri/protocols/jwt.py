"""JSON Web Tokens (RFC 7519) as used between our own roles: ES256, explicit types (RFC 8725 section 3.11).

A token is read by rules narrower than those of JOSE at large: compact form, a header of exactly `alg`, `kid` and `typ`,
one algorithm. So there is nothing to choose for whoever made it (RFC 8725 section 3.1), and reading costs little beside
the signature.
"""

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols import es256

TOKEN_LENGTH_MAX = 2048
KEYS_MAX = 256
HEADERS_REMEMBERED = 256
"""One for each key and type of token; the rest is what strangers make up."""

PublicKeys = Mapping[str, ec.EllipticCurvePublicKey]

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}", re.ASCII)
_HEADER_NAMES = {"alg", "kid", "typ"}
_STANDARD = str.maketrans("-_", "+/")
_decoder = msgspec.json.Decoder()


class _Header(NamedTuple):
    kid: str
    token_type: str


def sign(private_key: ec.EllipticCurvePrivateKey, kid: str, token_type: str, claims: dict[str, Any]) -> str:
    """The same token for the same claims."""
    content = f"{_header_segment(kid, token_type)}.{_segment(_json(claims))}"
    return f"{content}.{_segment(es256.signature(private_key, content.encode()))}"


def verified(
    token: str, token_type: str, public_keys: PublicKeys, *, issuer: str, names: Collection[str]
) -> dict[str, Any] | None:
    """The claims of a token of this type and issuer whose signature holds; None otherwise.

    A token that carries any other claims than those of `names`, or not all of them, is none: `nbf` and `aud` restrict
    it, and to overlook a restriction would be to widen the right. Times are the caller's to judge.
    """
    header = _header_of(token)
    key = public_keys.get(header.kid) if header else None
    if header is None or key is None or header.token_type != token_type:
        return None
    content, _, signature = token.rpartition(".")
    if not es256.holds(key, _octets(signature), content.encode()):
        return None
    try:
        claims = _decoder.decode(_octets(content.partition(".")[2]))
    except (ValueError, RecursionError):
        return None
    if not isinstance(claims, dict) or claims.keys() != set(names):
        return None
    return claims if claims["iss"] == issuer else None


def is_time(value: object) -> TypeGuard[int]:
    """Whether a claim is whole seconds since 1970 UTC, and not so many that arithmetic fails."""
    return type(value) is int and 0 < value < 1 << 40


def key_id(token: str) -> str | None:
    """The key that a token says it is signed with, unverified; None when the token is malformed."""
    header = _header_of(token)
    return header.kid if header else None


def read_jwks(document: bytes) -> dict[str, ec.EllipticCurvePublicKey]:
    """The keys of a JWK set by key id. Raises `RemoteProtocolError` when it is not one, or holds a private key."""
    try:
        jwks = json.loads(document)["keys"]
        if not isinstance(jwks, list) or len(jwks) > KEYS_MAX:
            raise RemoteProtocolError(f"a JWK set holds a list of at most {KEYS_MAX} keys")
        if any(jwk["kty"] != "EC" or jwk["crv"] != "P-256" or "d" in jwk for jwk in jwks):
            raise RemoteProtocolError("not a public P-256 key")
        return {str(jwk["kid"]): es256.public_key(_octets(jwk["x"]), _octets(jwk["y"])) for jwk in jwks}
    except RemoteProtocolError:
        raise
    except Exception as error:  # json, base64 and cryptography each raise their own
        raise RemoteProtocolError(f"not a JWK set: {type(error).__name__}") from error


def _header_of(token: str) -> _Header | None:
    if len(token) > TOKEN_LENGTH_MAX or not (compact := _COMPACT.fullmatch(token)):
        return None
    return _header(compact[1])


@lru_cache(HEADERS_REMEMBERED)
def _header(segment: str) -> _Header | None:
    """What a header says that is one of ours; None for any other."""
    try:
        said = _decoder.decode(_octets(segment))
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.keys() != _HEADER_NAMES or said["alg"] != "ES256":
        return None
    kid, token_type = said["kid"], said["typ"]
    return _Header(kid, token_type) if isinstance(kid, str) and isinstance(token_type, str) else None


@lru_cache(HEADERS_REMEMBERED)
def _header_segment(kid: str, token_type: str) -> str:
    return _segment(_json({"alg": "ES256", "kid": kid, "typ": token_type}))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _octets(segment: str) -> bytes:
    """Of base64url without padding; half of what `base64` takes for it. Raises `ValueError`."""
    return binascii.a2b_base64(segment.translate(_STANDARD) + "==")
