"""JSON Web Tokens (RFC 7519) as used between our own roles: ES256, explicit types (RFC 8725 section 3.11)."""

import base64
import json
from collections.abc import Collection, Mapping
from typing import Any, TypeGuard

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry, extract_compact

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols import es256

TOKEN_LENGTH_MAX = 2048
KEYS_MAX = 32

PublicKeys = Mapping[str, ECKey]
_registry = JWSRegistry(algorithms=["ES256"])


def sign(private_key: ec.EllipticCurvePrivateKey, kid: str, token_type: str, claims: dict[str, Any]) -> str:
    """The same token for the same claims."""
    parts = [_segment(_json(part)) for part in ({"alg": "ES256", "kid": kid, "typ": token_type}, claims)]
    signature = es256.signature(private_key, ".".join(parts).encode())
    return ".".join((*parts, _segment(signature)))


def verified(
    token: str, token_type: str, public_keys: PublicKeys, *, issuer: str, names: Collection[str]
) -> dict[str, Any] | None:
    """The claims of a token of this type and issuer whose signature holds; None otherwise.

    A token that carries any other claims than those of `names`, or not all of them, is none: `nbf` and `aud` restrict
    it, and to overlook a restriction would be to widen the right. Times are the caller's to judge.
    """
    kid = key_id(token)
    key = public_keys.get(kid) if kid else None
    if key is None:
        return None
    try:
        decoded = jwt.decode(token, key, registry=_registry)
    except (JoseError, ValueError, TypeError, RecursionError):
        return None
    if decoded.header.get("typ") != token_type or decoded.claims.keys() != set(names):
        return None
    return dict(decoded.claims) if decoded.claims["iss"] == issuer else None


def is_time(value: object) -> TypeGuard[int]:
    """Whether a claim is whole seconds since 1970 UTC, and not so many that arithmetic fails."""
    return type(value) is int and 0 < value < 1 << 40


def key_id(token: str) -> str | None:
    """The key that a token says it is signed with, unverified; None when the token is malformed."""
    if len(token) > TOKEN_LENGTH_MAX or not token.isascii():
        return None
    try:
        kid = extract_compact(token.encode(), registry=_registry).headers().get("kid")
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return kid if isinstance(kid, str) else None


def read_jwks(document: bytes) -> dict[str, ECKey]:
    """The keys of a JWK set by key id. Raises `RemoteProtocolError` when it is not one, or holds a private key."""
    try:
        jwks = json.loads(document)["keys"]
        if not isinstance(jwks, list) or len(jwks) > KEYS_MAX:
            raise RemoteProtocolError(f"a JWK set holds a list of at most {KEYS_MAX} keys")
        if any(jwk["kty"] != "EC" or jwk["crv"] != "P-256" or "d" in jwk for jwk in jwks):
            raise RemoteProtocolError("not a public P-256 key")
        return {str(jwk["kid"]): ECKey.import_key({k: jwk[k] for k in ("kty", "crv", "x", "y")}) for jwk in jwks}
    except RemoteProtocolError:
        raise
    except Exception as error:  # json, joserfc and cryptography each raise their own
        raise RemoteProtocolError(f"not a JWK set: {type(error).__name__}") from error


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
