"""The installation's own authority and the machines' certificates, as OpenSSL and another verifier see them."""

import ipaddress
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from prikkfri.errors import StorageError, UsageError
from prikkfri.storage.certificates import (
    AUTHORITY_DAYS,
    MACHINE_DAYS,
    authority_file,
    authority_key_file,
    forget_authority,
    machine_file,
    make_authority,
    make_machine,
    read_authorities,
    read_certificate,
    replace_authority,
)

NOW = 1_790_000_000.0
DAY = 86_400.0


@pytest.fixture
def office(tmp_path: Path) -> Path:
    make_authority(tmp_path, "Fjordnett", NOW)
    return tmp_path


def verify(authority: Path, machine: Path, name: x509.DNSName | x509.IPAddress, now: float = NOW) -> None:
    [believed, *_] = x509.load_pem_x509_certificates(authority.read_bytes())
    [leaf] = x509.load_pem_x509_certificates(machine.read_bytes())
    policy = PolicyBuilder().store(Store([believed])).time(datetime.fromtimestamp(now, UTC))
    policy.build_server_verifier(name).verify(leaf, [])
    policy.build_client_verifier().verify(leaf, [])


def test_a_machine_is_believed_by_its_names_in_its_time_as_server_and_client(office: Path) -> None:
    made = make_machine(office, ["door-1.internal", "10.0.0.7", "2001:db8::7"], NOW)
    assert made.names == ("door-1.internal", "10.0.0.7", "2001:db8::7")
    assert made.expires_at == NOW + MACHINE_DAYS * DAY
    files = authority_file(office), machine_file(office)
    names = (x509.DNSName("door-1.internal"), *(x509.IPAddress(ipaddress.ip_address(a)) for a in made.names[1:]))
    for name in names:
        verify(*files, name)
    verify(*files, names[0], NOW - 300)  # the other machine's clock is behind
    for name, now in ((x509.DNSName("door-2.internal"), NOW), (names[0], made.expires_at + 1), (names[0], NOW - DAY)):
        with pytest.raises(VerificationError):
            verify(*files, name, now)
    assert read_certificate(files[1]) == made


def test_openssl_believes_it_strictly(office: Path) -> None:
    make_machine(office, ["door-1.internal"], NOW)
    for purpose in ("sslserver", "sslclient"):
        command = f"openssl verify -x509_strict -purpose {purpose} -attime {NOW:.0f} -verify_hostname door-1.internal"
        files = ["-CAfile", authority_file(office), machine_file(office)]
        found = subprocess.run([*command.split(), *files], capture_output=True, text=True)
        assert found.returncode == 0, found.stderr


def test_keys_are_their_owners_alone(office: Path) -> None:
    make_machine(office, ["a"], NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (office / "tls").iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "machine.pem": 0o600}


def test_an_authority_that_is_renewed_believes_and_is_believed_as_before(office: Path) -> None:
    """What was signed before the renewal is good with the new certificate, what is signed after it with the old one."""
    before, name = make_machine(office, ["a.internal"], NOW), x509.DNSName("a.internal")
    old = office / "old.pem"
    old.write_bytes(authority_file(office).read_bytes())
    old_machine = office / "machine-old.pem"
    old_machine.write_bytes(machine_file(office).read_bytes())
    renewed = make_authority(office, "Fjordnett", NOW + DAY)
    assert renewed.expires_at == NOW + DAY + AUTHORITY_DAYS * DAY
    after = make_machine(office, ["a.internal"], NOW + DAY)
    assert after.fingerprint != before.fingerprint
    for authority in (old, authority_file(office)):
        for machine in (old_machine, machine_file(office)):
            verify(authority, machine, name, NOW + DAY)


def test_another_home_gets_what_it_needs_and_not_the_authoritys_key(office: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    make_machine(office, ["b.internal"], NOW, into=there)
    assert sorted(path.name for path in (there / "tls").iterdir()) == ["ca.pem", "machine.pem"]
    verify(authority_file(office), machine_file(there), x509.DNSName("b.internal"))
    for make in (lambda: make_machine(there, ["b"], NOW), lambda: make_authority(there, "Fjordnett", NOW)):
        with pytest.raises(UsageError, match="lies on another machine"):
            make()


def test_no_certificate_outlives_its_authority(office: Path) -> None:
    late = NOW + (AUTHORITY_DAYS - 10) * DAY
    assert make_machine(office, ["a"], late).expires_at == NOW + AUTHORITY_DAYS * DAY


def test_what_is_wrong_is_said_with_its_file(office: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="prikkfri keys authority"):
        make_machine(tmp_path / "none", ["a"], NOW)
    with pytest.raises(UsageError, match="names are hosts"):
        make_machine(office, ["a" * 70 + ".x"], NOW)
    assert read_certificate(tmp_path / "none.pem") is None
    authority_file(office).write_text("rubbish")
    with pytest.raises(StorageError, match=r"ca\.pem: not a certificate"):
        make_machine(office, ["a"], NOW)
    (office / "tls" / "ca.key").write_text("rubbish")
    with pytest.raises(StorageError, match=r"ca\.key: not the authority's key"):
        make_authority(office, "Fjordnett", NOW)


def test_another_authority_is_believed_before_it_signs_and_the_one_before_until_it_is_forgotten(office: Path) -> None:
    name = x509.DNSName("door-1.internal")
    make_machine(office, ["door-1.internal"], NOW)
    old, shown_before = (authority_file(office).read_bytes(), machine_file(office).read_bytes())
    with pytest.raises(UsageError, match="no authority yet"):
        replace_authority(office / "elsewhere", "Fjordnett", NOW)

    def by(authority: bytes, machine: bytes) -> bool:
        """Whether a machine that has this file believes the one that shows that."""
        believed = x509.load_pem_x509_certificates(authority)
        leaf = x509.load_pem_x509_certificates(machine)[-1]
        try:
            policy = PolicyBuilder().store(Store(believed)).time(datetime.fromtimestamp(NOW, UTC))
            policy.build_server_verifier(name).verify(leaf, [])
            policy.build_client_verifier().verify(leaf, [])
        except VerificationError:
            return False
        return True

    step, following = replace_authority(office, "Fjordnett", NOW)
    both = authority_file(office).read_bytes()
    assert step == "believed" and following in read_authorities(office) and len(read_authorities(office)) == 2
    make_machine(office, ["door-1.internal"], NOW)
    assert by(old, machine_file(office).read_bytes()) and by(both, shown_before)  # whoever has not heard goes on
    with pytest.raises(UsageError, match="signs nothing yet"):
        forget_authority(office)
    make_authority(office, "Fjordnett", NOW + DAY)  # renewed meanwhile: it forgets nobody
    assert len(read_authorities(office)) == 2
    step, signs = replace_authority(office, "Fjordnett", NOW)
    assert (step, signs) == ("signs", following) and read_authorities(office)[0] == following
    make_machine(office, ["door-1.internal"], NOW)
    shown_after = machine_file(office).read_bytes()
    assert by(both, shown_after) and not by(old, shown_after) and by(both, shown_before)
    with pytest.raises(UsageError, match="--forget"):
        replace_authority(office, "Fjordnett", NOW)
    assert forget_authority(office) == following
    only = authority_file(office).read_bytes()
    assert by(only, shown_after) and not by(only, shown_before)
    assert stat.S_IMODE(authority_key_file(office).stat().st_mode) == 0o600
