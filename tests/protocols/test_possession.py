"""Proof of possession, against PyJWT, which is other people's ES256: whose a ticket or a pass is, and nobody else's."""

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from prikkfri.protocols import es256, possession
from prikkfri.protocols.possession import is_holder, message, proven
from prikkfri.simulation.device_key import DeviceKey, DeviceSecret

KEY, OTHER = DeviceKey(), DeviceKey()
SECRET = DeviceSecret("s" * 43)
ES256 = ECAlgorithm(ECAlgorithm.SHA256)
TICKET = "ticket-1"


def text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def test_a_key_is_known_by_its_thumbprint() -> None:
    """The example of RFC 7638 is RSA; ours are computed from the key as PyJWT writes it."""
    jwk = json.loads(ECAlgorithm.to_jwk(KEY.private.public_key()))
    canonical = json.dumps(
        {name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"), sort_keys=True
    )
    assert KEY.holder == "k-" + text(hashlib.sha256(canonical.encode()).digest())
    assert SECRET.holder == "s-" + text(hashlib.sha256(b"s" * 43).digest())
    assert is_holder(KEY.holder) and is_holder(SECRET.holder)
    assert (possession.has_key(KEY.holder), possession.has_key(SECRET.holder)) == (True, False)


def test_what_a_foreign_library_signs_proves_and_what_we_sign_it_takes() -> None:
    x, y = possession.public_coordinates(KEY.private.public_key())
    foreign = ES256.sign(message("enter", TICKET), KEY.private)
    assert proven(KEY.holder, f"{x}.{y}.{text(foreign)}", "enter", TICKET)
    ours = base64.urlsafe_b64decode(KEY.proof("sign-in", TICKET).split(".")[2] + "==")
    assert ES256.verify(b"prikkfri-sign-in\nticket-1", KEY.private.public_key(), ours)
    assert (
        len(KEY.proof("enter", TICKET)) == possession.PROOF_LENGTH_MAX and len(KEY.holder) == possession.HOLDER_LENGTH
    )


def test_the_same_is_signed_the_same() -> None:
    assert KEY.proof("enter", TICKET) == KEY.proof("enter", TICKET) != KEY.proof("enter", TICKET + "2")


def test_a_proof_is_for_one_holder_one_purpose_and_one_ticket() -> None:
    proof = KEY.proof("enter", TICKET)
    assert proven(KEY.holder, proof, "enter", TICKET)
    assert not proven(OTHER.holder, proof, "enter", TICKET)
    assert not proven(KEY.holder, OTHER.proof("enter", TICKET), "enter", TICKET)
    assert not proven(KEY.holder, proof, "sign-in", TICKET)
    assert not proven(KEY.holder, proof, "enter", "ticket-2")


def test_a_key_of_another_does_not_prove_with_the_holders_coordinates() -> None:
    x, y = possession.public_coordinates(KEY.private.public_key())
    theirs = OTHER.proof("enter", TICKET).split(".")[2]
    assert not proven(KEY.holder, f"{x}.{y}.{theirs}", "enter", TICKET)


def test_a_secret_proves_by_being_shown_and_nothing_else_does() -> None:
    assert proven(SECRET.holder, "s" * 43, "sign-in", TICKET)
    for wrong in ("", "s" * 42, "s" * 44, "t" * 43, SECRET.holder, SECRET.holder[2:]):
        assert not proven(SECRET.holder, wrong, "sign-in", TICKET)
    short = "s-" + text(hashlib.sha256(b"short").digest())
    assert not proven(short, "short", "sign-in", TICKET), "what can be guessed is no secret"
    as_if_a_key = "k-" + SECRET.holder[2:]
    assert not proven(as_if_a_key, "s" * 43, "sign-in", TICKET)


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 1), (2**256 - 1, 5)])
def test_what_is_no_point_of_the_curve_proves_nothing(x: int, y: int) -> None:
    told = text(x.to_bytes(32)), text(y.to_bytes(32))
    holder = possession.holder_of_key(*told)
    assert not proven(holder, ".".join((*told, "A" * 86)), "enter", TICKET)


@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, bytes(32) + b"\x01" * 32])
def test_an_impossible_signature_proves_nothing(signature: bytes) -> None:
    x, y = possession.public_coordinates(KEY.private.public_key())
    assert not proven(KEY.holder, f"{x}.{y}.{text(signature)}", "enter", TICKET)


@given(st.text(max_size=200))
def test_any_text_proves_nothing(proof: str) -> None:
    assert not proven(KEY.holder, proof, "enter", TICKET)
    assert proven(SECRET.holder, proof, "enter", TICKET) == (proof == "s" * 43)


@given(st.text("ks-_AZaz09+\n", max_size=48))
def test_a_holder_is_a_kind_and_a_digest(value: str) -> None:
    well = len(value) == 45 and value[:2] in ("k-", "s-") and not set(value[2:]) & set("+\n")
    assert is_holder(value) == well
    assert is_holder(value[:2] + "A" * 43) == (value[:2] in ("k-", "s-"))


def test_a_signature_with_small_numbers_is_as_long_as_any() -> None:
    """One in 256 has a leading zero octet in one of its numbers."""
    private = ec.derive_private_key(20_261_125, ec.SECP256R1())
    made = [es256.signature(private, b"%d" % number) for number in range(600)]
    assert {len(each) for each in made} == {es256.SIGNATURE_BYTES}
    small = next(number for number, each in enumerate(made) if 0 in (each[0], each[32]))
    assert ES256.verify(b"%d" % small, private.public_key(), made[small])
