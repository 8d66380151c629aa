"""Device token: the lasting right of one device to watch, for as long as nobody signs it out.

Signed by signin, verified by the door with public keys alone.
"""

import base64
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from prikkfri.protocols import jwt
from prikkfri.protocols.token_names import NAME_LENGTH_MAX

TYPE = "device+jwt"
ISSUER = "signin"
TOKEN_ID_BYTES = 16
PACKAGES_MAX = 32

_CLAIMS = ("iss", "sub", "device", "packages", "iat", "exp", "jti")
_DEVICE = re.compile(r"d-[A-Za-z0-9_-]{22}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DeviceToken:
    subscriber: str
    device: str
    packages: tuple[str, ...]
    issued_at: float
    expires_at: float
    token_id: bytes
    """16 bytes, with which the ids of all playback tokens that come of it begin."""

    @property
    def jti(self) -> str:
        return jti(self.token_id)


def jti(token_id: bytes) -> str:
    return base64.urlsafe_b64encode(token_id).rstrip(b"=").decode()


def is_device(device: object) -> bool:
    """Whether this can be the pseudonym of a device: `d-` and 22 base64url characters."""
    return isinstance(device, str) and _DEVICE.fullmatch(device) is not None


def issue(private_key: ec.EllipticCurvePrivateKey, kid: str, token: DeviceToken) -> str:
    return jwt.sign(
        private_key,
        kid,
        TYPE,
        {
            "iss": ISSUER,
            "sub": token.subscriber,
            "device": token.device,
            "packages": list(token.packages),
            "iat": int(token.issued_at),
            "exp": int(token.expires_at),
            "jti": token.jti,
        },
    )


def verified(token: str, public_keys: jwt.PublicKeys) -> DeviceToken | None:
    """What a token says whose signature holds, expired or not; None when it does not hold."""
    claims = jwt.verified(token, TYPE, public_keys, issuer=ISSUER, names=_CLAIMS)
    if claims is None:
        return None
    subscriber, device, packages = claims["sub"], claims["device"], claims["packages"]
    issued_at, expires_at, jti = claims["iat"], claims["exp"], claims["jti"]
    if not (isinstance(subscriber, str) and isinstance(device, str) and is_device(device) and isinstance(jti, str)):
        return None
    if not isinstance(packages, list) or len(packages) > PACKAGES_MAX:
        return None
    if not all(isinstance(name, str) and 0 < len(name) <= NAME_LENGTH_MAX for name in (subscriber, *packages)):
        return None
    if not (jwt.is_time(issued_at) and jwt.is_time(expires_at)):
        return None
    try:
        token_id = base64.urlsafe_b64decode(jti + "==")
    except ValueError:
        return None
    if len(token_id) != TOKEN_ID_BYTES:
        return None
    return DeviceToken(subscriber, device, tuple(packages), float(issued_at), float(expires_at), token_id)
