"""What a device has of its own, and shows that it has: a key, or a secret where it can make none, as televisions."""

import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from prikkfri.protocols import possession
from prikkfri.protocols.possession import Purpose


@dataclass(frozen=True)
class DeviceKey:
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False
    )

    @property
    def holder(self) -> str:
        return possession.holder_of_key(*possession.public_coordinates(self.private.public_key()))

    @property
    def names(self) -> dict[str, str]:
        """What tells the door whose a ticket is to be."""
        return {"holder": self.holder}

    def proof(self, purpose: Purpose, subject: str) -> str:
        return possession.prove(self.private, purpose, subject)


@dataclass(frozen=True)
class DeviceSecret:
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def holder(self) -> str:
        return possession.holder_of_secret(self.secret)

    @property
    def names(self) -> dict[str, str]:
        return {"secret": self.secret}

    def proof(self, purpose: Purpose, subject: str) -> str:
        """To the door, in an address, a secret is not shown."""
        return self.secret if purpose == "sign-in" else ""
