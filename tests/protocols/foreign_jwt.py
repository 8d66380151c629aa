"""Tokens as PyJWT, somebody else's JOSE, makes and judges them."""

import json
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from jwt.utils import base64url_encode

from prikkfri.protocols import jwt
from prikkfri.protocols.cat import public_jwk

KID = "door-1"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
DOCUMENT = json.dumps({"keys": [public_jwk(PRIVATE.public_key(), KID)]}).encode()
KEYS = jwt.read_jwks(DOCUMENT)


def signed(claims: object, token_type: object, *, key: Any = PRIVATE, algorithm: str = "ES256", **headers: Any) -> str:
    """Whatever `claims` are, signed. A header that is given as None is left out."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    chosen = {"typ": token_type, "kid": KID} | headers
    chosen = {name: value for name, value in chosen.items() if value is not None} | (
        {} if chosen["typ"] is not None else {"typ": None}  # PyJWT says JWT otherwise
    )
    return pyjwt.api_jws.encode(payload, key, algorithm, chosen)


def headed(header: object, claims: object) -> str:
    """Signed, under a header that PyJWT would not write."""
    content = b".".join(base64url_encode(json.dumps(part).encode()) for part in (header, claims))
    return b".".join((content, base64url_encode(ECAlgorithm(ECAlgorithm.SHA256).sign(content, PRIVATE)))).decode()


def bad_signatures(claims: dict[str, Any], token_type: str) -> dict[str, str]:
    """Tokens that are right in all they say, and are not from whom they say that they are."""
    good = signed(claims, token_type)
    head, payload, signature = good.split(".")
    unsigned = pyjwt.api_jws.encode(json.dumps(claims).encode(), None, "none", {"typ": token_type, "kid": KID})
    point = PRIVATE.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return {
        "unsigned": unsigned,
        "signature left out": f"{head}.{payload}.",
        "header of another": f"{unsigned.split('.')[0]}.{payload}.{signature}",
        "no signature at all": f"{head}.{payload}",
        "signature of another": signed(claims, token_type, key=STRANGER),
        "signed with our public key as a secret": signed(claims, token_type, key=point, algorithm="HS256"),
        "another algorithm": signed(claims, token_type, key=ec.generate_private_key(ec.SECP384R1()), algorithm="ES384"),
        "signature altered": f"{head}.{payload}.{signature[:-8]}AAAAAAA{signature[-1]}",
        "payload altered": f"{head}.{payload[:-4]}AAAA.{signature}",
        "brings its key along": signed(
            claims, token_type, key=STRANGER, jwk=public_jwk(STRANGER.public_key(), KID), jku="https://example.org/k"
        ),
        "unknown key": signed(claims, token_type, kid="door-2"),
        "key not named": signed(claims, token_type, kid=None),
        "untyped": signed(claims, None),
        "another type": signed(claims, "JWT"),
        "type in other letters": signed(claims, token_type.upper()),
        "a header that must be understood": signed(claims, token_type, crit=["exp"], exp=1),
        "an unencoded payload": signed(claims, token_type, crit=["b64"], b64=False),
        "an unknown header": signed(claims, token_type, until="tomorrow"),
        "a header that another kind of token has": signed(claims, token_type, cty="JWT"),
        "a key that is named by no text": headed({"alg": "ES256", "kid": [KID], "typ": token_type}, claims),
        "a type that is no text": headed({"alg": "ES256", "kid": KID, "typ": [token_type]}, claims),
        "an algorithm that is no text": headed({"alg": ["ES256"], "kid": KID, "typ": token_type}, claims),
        "an algorithm in other letters": headed({"alg": "es256", "kid": KID, "typ": token_type}, claims),
        "no algorithm": headed({"kid": KID, "typ": token_type}, claims),
        "a header that is no object": headed(["ES256", KID, token_type], claims),
        "a header of half an octet": f"{head[:-3]}.{payload}.{signature}",
        "a signature that is too long": f"{good}AA",
        "a signature that is too short": good[:-2],
        "padded": f"{good}==",
        "in the other alphabet": f"{head}.{payload}.{'+/' + signature[2:]}",
        "with a line's end": f"{good}\n",
        "encrypted": f"{good}.{payload}.{signature}",
        "twice": f"{good}{good}",
        "no text": "",
        "dots": "..",
    }


def judged_by_pyjwt(token: str, issuer: str) -> dict[str, Any]:
    """Its claims, by PyJWT's own rules but for time."""
    keys = {key.key_id: key for key in pyjwt.PyJWKSet.from_json(DOCUMENT.decode()).keys}
    header = pyjwt.get_unverified_header(token)
    claims: dict[str, Any] = pyjwt.decode(
        token,
        keys[header["kid"]],
        algorithms=["ES256"],
        issuer=issuer,
        options={"verify_exp": False, "verify_iat": False, "require": ["iss", "exp"]},
    )
    return claims
