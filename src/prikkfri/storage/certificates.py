"""The certificates of this installation's machines, and the authority of its own that signs them (X.509, RFC 5280).

`HOME/tls/ca.pem` is what every machine believes, `HOME/tls/ca.key` lies on the one machine where certificates are made,
`HOME/tls/machine.pem` is a machine's own certificate with its key. A certificate and its key are one file, so that
nobody reads the one without the other while they are replaced.
"""

import ipaddress
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from prikkfri.errors import StorageError, UsageError
from prikkfri.storage.keys import write_whole

if TYPE_CHECKING:  # a command that only asks a role does not wait for what signs
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

AUTHORITY_DAYS = 3_650
MACHINE_DAYS = 397
SKEW = timedelta(minutes=10)
"""A certificate holds from so long before it is made: the other machine's clock may be behind."""
RENEWED_AHEAD_SECONDS = 30 * 86_400.0
"""So long before the end it is said that a certificate ends."""


@dataclass(frozen=True)
class Certificate:
    """What people want to know of one."""

    names: tuple[str, ...]
    """Hosts and addresses; of an authority its own name."""
    expires_at: float
    fingerprint: str
    """SHA-256, hexadecimal."""


def authority_file(home: Path) -> Path:
    return home / "tls" / "ca.pem"


def machine_file(home: Path) -> Path:
    return home / "tls" / "machine.pem"


def authority_key_file(home: Path) -> Path:
    return home / "tls" / "ca.key"


def next_authority_key_file(home: Path) -> Path:
    return home / "tls" / "ca.next.key"


def make_authority(home: Path, operator: str, now: float) -> Certificate:
    """Makes the installation's authority, or renews it for ten years more with the key that it has.

    What it has signed is believed with the old certificate as with the new; another one that is believed beside it
    stays so. Raises `StorageError`.
    """
    _refuse_elsewhere(home)
    if authority_key_file(home).exists():
        key = _authority_key(authority_key_file(home))
    else:
        key = _new_key(authority_key_file(home))
    made, others = _authority(key, operator, now), []
    with suppress(StorageError):  # it is made anew, whatever is there
        others = [each for each in _authorities(home) if each.public_key() != key.public_key()]
    _write_authorities(home, [made, *others])
    return _described(made)


def replace_authority(home: Path, operator: str, now: float) -> tuple[Literal["believed", "signs"], Certificate]:
    """Another authority in place of the one that there is, in two steps; each is to be taken to all machines.

    At first the next one is `believed` beside the present one, and signs nothing; then it `signs`, and the earlier one
    is believed until `forget_authority`. Raises `StorageError`, and `UsageError` with the mend.
    """
    _refuse_elsewhere(home)
    if not authority_key_file(home).exists():
        raise UsageError(f"--home {home}: there is no authority yet; `prikkfri keys authority` makes one")
    following, had = next_authority_key_file(home), _authorities(home)
    if not following.exists():
        if len(had) > 1:
            raise UsageError(
                f"--home {home}: the one before is believed still; when every machine shows a certificate of the"
                " present one, `prikkfri keys authority --forget`"
            )
        made = _authority(key := _fresh_key(), operator, now)
        write_whole(following, _pem(key), mode=0o600)
        _write_authorities(home, [*had, made])
        return "believed", _described(made)
    key = _authority_key(following)
    [made, *_] = [each for each in had if each.public_key() == key.public_key()] or [_authority(key, operator, now)]
    _write_authorities(home, [made, *(each for each in had if each.public_key() != key.public_key())])
    os.replace(following, authority_key_file(home))
    return "signs", _described(made)


def forget_authority(home: Path) -> Certificate:
    """Whom the authority has replaced is believed no more. Raises `UsageError` when it has not signed yet."""
    _refuse_elsewhere(home)
    if next_authority_key_file(home).exists():
        raise UsageError(f"--home {home}: the next authority signs nothing yet; `prikkfri keys authority --replace`")
    key = _authority_key(authority_key_file(home))
    [own, *_] = [each for each in _authorities(home) if each.public_key() == key.public_key()]
    _write_authorities(home, [own])
    return _described(own)


def read_authorities(home: Path) -> list[Certificate]:
    """Those that every machine believes, the one that signs first. Raises `StorageError`."""
    return [_described(each) for each in _authorities(home)]


def _refuse_elsewhere(home: Path) -> None:
    if authority_file(home).exists() and not authority_key_file(home).exists():
        raise UsageError(f"--home {home}: the authority's key, tls/ca.key, lies on another machine; change it there")


def _authorities(home: Path) -> "list[x509.Certificate]":
    try:
        return _read_all(authority_file(home))
    except FileNotFoundError:
        return []


def _write_authorities(home: Path, found: "Sequence[x509.Certificate]") -> None:
    write_whole(authority_file(home), b"".join(each.public_bytes(_encoding()) for each in found))


def _fresh_key() -> "ec.EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _new_key(file: Path) -> "ec.EllipticCurvePrivateKey":
    key = _fresh_key()
    write_whole(file, _pem(key), mode=0o600)
    return key


def _authority(key: "ec.EllipticCurvePrivateKey", operator: str, now: float) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Prikkfri of {operator}"[:64])])
    begins, ends = _span(now, AUTHORITY_DAYS)
    usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def make_machine(home: Path, names: Sequence[str], now: float, *, into: Path | None = None) -> Certificate:
    """Makes a machine's key and its certificate, for hosts and addresses by which the others reach it.

    Into another home (None: into this one), beside what every machine believes. Raises `UsageError` with the mend.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    if not authority_key_file(home).exists():
        elsewhere = "lies on another machine: make it there" if authority_file(home).exists() else "is not made yet"
        raise UsageError(f"--home {home}: the authority's key {elsewhere}; `prikkfri keys authority` makes one")
    signing, key = _authority_key(authority_key_file(home)), ec.generate_private_key(ec.SECP256R1())
    signers = [each for each in _authorities(home) if each.public_key() == signing.public_key()]
    if not signers:
        raise UsageError(f"--home {home}: tls/ca.pem is not of tls/ca.key; `prikkfri keys authority` makes it anew")
    [authority, *_] = signers
    begins, ends = _span(now, MACHINE_DAYS)
    try:
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    except ValueError:
        raise UsageError(f"{', '.join(names)}: names are hosts such as door-1.internal, or addresses") from None
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(min(ends, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**dict.fromkeys(_USAGES, False) | {"digital_signature": True}), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .sign(signing, hashes.SHA256())
    )
    target = into or home
    if into is not None:
        write_whole(authority_file(into), authority_file(home).read_bytes())
    write_whole(machine_file(target), _pem(key) + made.public_bytes(_encoding()), mode=0o600)
    return _described(made)


def read_certificate(path: Path) -> Certificate | None:
    """What stands in a file, None when it is missing. Raises `StorageError` when it holds none."""
    try:
        return _described(_read(path))
    except FileNotFoundError:
        return None


def _read(path: Path) -> "x509.Certificate":
    return _read_all(path)[0]


def _read_all(path: Path) -> "list[x509.Certificate]":
    from cryptography import x509

    content = path.read_bytes()
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise StorageError(f"{path}: not a certificate in PEM; make it with `prikkfri keys machine`") from None


def _authority_key(path: Path) -> "ec.EllipticCurvePrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise StorageError(f"{path}: not the authority's key; put the right one back")
    return key


def _described(made: "x509.Certificate") -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    try:
        found = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(str(name.value) for name in found)
    except x509.ExtensionNotFound:
        names = tuple(str(part.value) for part in made.subject)
    return Certificate(names, made.not_valid_after_utc.timestamp(), made.fingerprint(hashes.SHA256()).hex())


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode("ascii"))


def _span(now: float, days: int) -> tuple[datetime, datetime]:
    made_at = datetime.fromtimestamp(now, UTC)
    return made_at - SKEW, made_at + timedelta(days=days)


def _pem(key: "ec.EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(_encoding(), serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _encoding() -> "Encoding":
    from cryptography.hazmat.primitives import serialization

    return serialization.Encoding.PEM


_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip
