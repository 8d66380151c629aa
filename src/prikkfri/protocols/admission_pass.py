"""Admission pass: the waiting room has let this device in, and signin takes those who hold one first.

Signed by the door, verified by signin with public keys alone. Short-lived.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from prikkfri.protocols import jwt
from prikkfri.protocols.device_token import is_device
from prikkfri.protocols.possession import is_holder

TYPE = "pass+jwt"
ISSUER = "door"
ID_LENGTH_MAX = 64
AFRESH_SECONDS = 6 * 3_600.0
"""For so long after somebody joined the line the door may give their pass afresh: a later one with the same id."""

_CLAIMS = ("iss", "jti", "device", "exp", "promise", "holder")


@dataclass(frozen=True, slots=True)
class Pass:
    pass_id: str
    device: str
    expires_at: float
    promise: str
    """The asking that this pass answers, and that the sign-in settles."""
    holder: str
    """Whose it is, see `possession`."""


def issue(private_key: ec.EllipticCurvePrivateKey, kid: str, admission: Pass) -> str:
    return jwt.sign(
        private_key,
        kid,
        TYPE,
        {
            "iss": ISSUER,
            "jti": admission.pass_id,
            "device": admission.device,
            "exp": int(admission.expires_at),
            "promise": admission.promise,
            "holder": admission.holder,
        },
    )


def verified(token: str, public_keys: jwt.PublicKeys) -> Pass | None:
    """What a pass says whose signature holds, expired or not; None when it does not hold."""
    claims = jwt.verified(token, TYPE, public_keys, issuer=ISSUER, names=_CLAIMS)
    if claims is None:
        return None
    pass_id, device, expires_at, promise = claims["jti"], claims["device"], claims["exp"], claims["promise"]
    if not (isinstance(pass_id, str) and isinstance(promise, str) and isinstance(device, str) and is_device(device)):
        return None
    if not isinstance(holder := claims["holder"], str) or not is_holder(holder):
        return None
    if not jwt.is_time(expires_at) or not 0 < len(pass_id) <= ID_LENGTH_MAX or len(promise) > ID_LENGTH_MAX:
        return None
    return Pass(pass_id, device, float(expires_at), promise, holder)
