"""Playback token: a CTA-5007 Common Access Token, the proof that its holder may watch now.

A CBOR Web Token (RFC 8392) in COSE_Sign1 (RFC 9052), ES256, base64url without padding, so that it fits into a path.
Only the claims below are understood; a token that carries any other is refused, since CTA-5007 claims restrict, and
to overlook a restriction would be to widen the right.
"""

import base64
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import COSE, COSEKey
from cwt.cose_key_interface import COSEKeyInterface

from prikkfri.errors import LocalProtocolError, RemoteProtocolError
from prikkfri.protocols import es256
from prikkfri.protocols.token_names import NAME_LENGTH_MAX

TOKEN_LENGTH_MAX = 1024
PACKAGES_MAX = 32
KEYS_MAX = 256
TOKEN_ID_BYTES_MAX = 32

# RFC 8392 section 4, CTA-5007 (catv), and our own claim in the range for private use (below -65536).
_ISS, _SUB, _EXP, _IAT, _CTI, _CATV, _PACKAGES = 1, 2, 4, 6, 7, 310, -70001
_CLAIMS = frozenset({_ISS, _SUB, _EXP, _IAT, _CTI, _CATV, _PACKAGES})
_ALG, _KID, _ES256 = 1, 4, -7
_COSE_SIGN1 = 18
_COSE_SIGN1_OF_FOUR = b"\xd2\x84"
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{16,{TOKEN_LENGTH_MAX}}}", re.ASCII)

PublicKeys = Mapping[str, COSEKeyInterface]


@dataclass(frozen=True, slots=True)
class Claims:
    issuer: str
    subscriber: str
    issued_at: float
    expires_at: float
    token_id: bytes
    packages: frozenset[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`claims` are those of a token whose signature holds; None when bad. `reason` says why a token is bad."""

    standing: Literal["ok", "expired-but-honoured", "expired", "bad"]
    claims: Claims | None = None
    reason: Literal["", "malformed", "unknown-key", "bad-signature", "bad-claims"] = ""


def issue(
    private_key: ec.EllipticCurvePrivateKey,
    kid: str,
    issuer: str,
    subscriber: str,
    packages: Collection[str],
    now: float,
    lifetime_s: float,
    token_id: bytes,
) -> str:
    """A signed token. Times are whole seconds in it: issued at rounded down, expiry rounded up.

    Raises `LocalProtocolError` for what `verify` would refuse: empty or overlong names, too many packages.
    """
    claims = {
        _ISS: issuer,
        _SUB: subscriber,
        _EXP: math.ceil(now + lifetime_s),
        _IAT: int(now),
        _CTI: token_id,
        _CATV: 1,
        _PACKAGES: sorted(packages),
    }
    if _claims_of(claims) is None:
        raise LocalProtocolError("a playback token cannot carry these claims")
    protected, payload = cbor2.dumps({_ALG: _ES256, _KID: kid.encode()}), cbor2.dumps(claims)
    to_be_signed = cbor2.dumps(["Signature1", protected, b"", payload])  # RFC 9052 section 4.4
    signature = es256.signature(private_key, to_be_signed)
    signed = cbor2.dumps(cbor2.CBORTag(_COSE_SIGN1, [protected, {}, payload, signature]))
    token = base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
    if len(token) > TOKEN_LENGTH_MAX:
        raise LocalProtocolError(f"playback token of {len(token)} characters; at most {TOKEN_LENGTH_MAX}")
    return token


def verify(token: str, public_keys: PublicKeys, now: float, grace_s: float) -> Verdict:
    """What the token is worth now; `grace_s` is for how long an expired one is honoured."""
    if not _TOKEN.fullmatch(token):
        return Verdict("bad", reason="malformed")
    try:
        signed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if not signed.startswith(_COSE_SIGN1_OF_FOUR):
            return Verdict("bad", reason="malformed")
        protected = cbor2.loads(cbor2.loads(signed).value[0])
        kid = protected[_KID].decode()
        if protected != {_ALG: _ES256, _KID: kid.encode()}:
            return Verdict("bad", reason="malformed")
    except Exception:  # cbor2 and base64 raise whatever the bytes provoke; all of it means one thing
        return Verdict("bad", reason="malformed")
    key = public_keys.get(kid)
    if key is None:
        return Verdict("bad", reason="unknown-key")
    try:
        payload = _cose.decode(signed, [key])
    except Exception:  # cwt raises its own errors, ValueError and those of cryptography
        return Verdict("bad", reason="bad-signature")
    try:
        claims = _claims_of(cbor2.loads(payload))
    except Exception:  # signed by us, and still not CBOR
        claims = None
    if claims is None:
        return Verdict("bad", reason="bad-claims")
    return judge(claims, now, grace_s)


def judge(claims: Claims, now: float, grace_s: float) -> Verdict:
    """The verdict on claims whose signature has been verified before: all of `verify` that depends on time."""
    if now < claims.expires_at:
        return Verdict("ok", claims)
    if now < claims.expires_at + grace_s:
        return Verdict("expired-but-honoured", claims)
    return Verdict("expired", claims)


def public_jwk(public_key: ec.EllipticCurvePublicKey, kid: str) -> dict[str, str]:
    """The key as a JSON Web Key (RFC 7517) for verification with ES256."""
    numbers = public_key.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "use": "sig",
        "alg": "ES256",
        "kid": kid,
        "x": base64.urlsafe_b64encode(numbers.x.to_bytes(32)).rstrip(b"=").decode(),
        "y": base64.urlsafe_b64encode(numbers.y.to_bytes(32)).rstrip(b"=").decode(),
    }


def read_jwks(document: bytes) -> dict[str, COSEKeyInterface]:
    """The keys of a JWK set by key id; raises `RemoteProtocolError` when it is not one, or holds a private key."""
    try:
        jwks = json.loads(document)["keys"]
        if not isinstance(jwks, list) or len(jwks) > KEYS_MAX:
            raise RemoteProtocolError(f"a JWK set holds a list of at most {KEYS_MAX} keys")
        keys = {}
        for jwk in jwks:
            if jwk["kty"] != "EC" or jwk["crv"] != "P-256" or "d" in jwk:
                raise RemoteProtocolError("not a public P-256 key")
            public = {name: jwk[name] for name in ("kty", "crv", "kid", "x", "y")}
            keys[str(jwk["kid"])] = COSEKey.from_jwk({**public, "alg": "ES256", "key_ops": ["verify"]})
        return keys
    except RemoteProtocolError:
        raise
    except Exception as error:  # json, cwt and cryptography each raise their own
        raise RemoteProtocolError(f"not a JWK set: {type(error).__name__}") from error


_cose = COSE.new(verify_kid=True)


def _claims_of(claims: object) -> Claims | None:
    if not isinstance(claims, dict) or claims.keys() != _CLAIMS or claims[_CATV] != 1:
        return None
    issuer, subscriber, packages = claims[_ISS], claims[_SUB], claims[_PACKAGES]
    if not isinstance(packages, list) or len(packages) > PACKAGES_MAX:
        return None
    if not all(isinstance(name, str) and 0 < len(name) <= NAME_LENGTH_MAX for name in (issuer, subscriber, *packages)):
        return None
    if not all(isinstance(claims[time], int) and 0 < claims[time] < 1 << 40 for time in (_IAT, _EXP)):
        return None
    if not isinstance(claims[_CTI], bytes) or not 0 < len(claims[_CTI]) <= TOKEN_ID_BYTES_MAX:
        return None
    return Claims(issuer, subscriber, float(claims[_IAT]), float(claims[_EXP]), claims[_CTI], frozenset(packages))
