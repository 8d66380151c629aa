"""The playback token, judged by pycose and joserfc, which are other people's COSE and JOSE."""

import base64
import json

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, KeySet
from pycose.algorithms import Es256
from pycose.headers import KID, Algorithm
from pycose.keys import CoseKey, EC2Key
from pycose.messages import CoseMessage, Sign1Message

from prikkfri.errors import LocalProtocolError, RemoteProtocolError
from prikkfri.protocols import cat

NOW = 1_534_791_600.0
PRIVATE = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())


def jwks(*keys: tuple[ec.EllipticCurvePrivateKey, str]) -> bytes:
    return json.dumps({"keys": [cat.public_jwk(key.public_key(), kid) for key, kid in keys]}).encode()


KEYS = cat.read_jwks(jwks((PRIVATE, "door-1")))
TOKEN = cat.issue(PRIVATE, "door-1", "door", "s-17", ["basic", "sport"], NOW, 3600.0, b"0123456789abcdef")
CLAIMS = cat.Claims("door", "s-17", NOW, NOW + 3600, b"0123456789abcdef", frozenset({"basic", "sport"}))


def decoded(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


def encoded(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def foreign_key(key: ec.EllipticCurvePrivateKey) -> EC2Key:
    numbers = key.private_numbers()
    return EC2Key(
        crv="P_256",
        x=numbers.public_numbers.x.to_bytes(32),
        y=numbers.public_numbers.y.to_bytes(32),
        d=numbers.private_value.to_bytes(32),
    )


def foreign_token(claims: object, kid: bytes = b"door-1", key: ec.EllipticCurvePrivateKey = PRIVATE) -> str:
    message = Sign1Message(phdr={Algorithm: Es256, KID: kid}, payload=cbor2.dumps(claims))
    message.key = foreign_key(key)
    return encoded(message.encode())


GOOD_CLAIMS = {
    1: "door",
    2: "s-17",
    4: int(NOW) + 3600,
    6: int(NOW),
    7: b"0123456789abcdef",
    310: 1,
    -70001: ["basic", "sport"],
}


@given(
    subscriber=st.text(min_size=1, max_size=64),
    packages=st.sets(st.text(min_size=1, max_size=8), max_size=8),
    now=st.floats(1e9, 4e9),
    lifetime_s=st.floats(1, 1e6),
    token_id=st.binary(min_size=1, max_size=32),
)
@settings(deadline=None)
def test_what_is_issued_is_verified(
    subscriber: str, packages: set[str], now: float, lifetime_s: float, token_id: bytes
) -> None:
    token = cat.issue(PRIVATE, "door-1", "door", subscriber, packages, now, lifetime_s, token_id)
    verdict = cat.verify(token, KEYS, now, 0)
    assert verdict.standing == "ok"
    claims = verdict.claims
    assert claims is not None
    assert (claims.subscriber, claims.packages, claims.token_id) == (subscriber, frozenset(packages), token_id)
    assert now - 1 < claims.issued_at <= now
    assert 0 <= claims.expires_at - (now + lifetime_s) <= 1


@pytest.mark.parametrize(
    ("after_s", "grace_s", "standing"),
    [
        (3599.9, 0, "ok"),
        (3600.0, 0, "expired"),
        (3600.0, 60, "expired-but-honoured"),
        (3659.9, 60, "expired-but-honoured"),
        (3660.0, 60, "expired"),
    ],
)
def test_expiry_and_grace(after_s: float, grace_s: float, standing: str) -> None:
    verdict = cat.verify(TOKEN, KEYS, NOW + after_s, grace_s)
    assert verdict == cat.Verdict(standing, CLAIMS)  # type: ignore[arg-type]
    assert verdict == cat.judge(CLAIMS, NOW + after_s, grace_s)


@given(at=st.integers(0, len(decoded(TOKEN)) - 1), bit=st.integers(0, 7))
@settings(deadline=None)
def test_no_bit_can_be_changed(at: int, bit: int) -> None:
    signed = bytearray(decoded(TOKEN))
    signed[at] ^= 1 << bit
    verdict = cat.verify(encoded(bytes(signed)), KEYS, NOW, 0)
    assert verdict.standing == "bad"
    assert verdict.claims is None


@given(st.binary(max_size=900) | st.binary(max_size=700).map(lambda rest: b"\xd2\x84" + rest))
@settings(deadline=None)
def test_any_bytes_are_refused_without_an_exception(signed: bytes) -> None:
    assert cat.verify(encoded(signed), KEYS, NOW, 0).standing == "bad"


@given(st.text(max_size=2000))
@settings(deadline=None)
def test_any_text_is_refused_without_an_exception(token: str) -> None:
    assert cat.verify(token, KEYS, NOW, 0).standing == "bad"


def test_deep_nesting_is_refused() -> None:
    for opening in (b"\x81", b"\xa1\x01", b"\xd2", b"\x9f"):
        assert cat.verify(encoded(b"\xd2\x84" + opening * 300), KEYS, NOW, 0).standing == "bad"


def test_size_is_limited_before_anything_is_parsed() -> None:
    assert cat.verify(TOKEN + "A" * cat.TOKEN_LENGTH_MAX, KEYS, NOW, 0).reason == "malformed"


def test_a_token_of_a_stranger_is_refused() -> None:
    claims = ("door", "s-17", ["sport"], NOW, 3600.0, b"id")
    assert cat.verify(cat.issue(STRANGER, "door-1", *claims), KEYS, NOW, 0).reason == "bad-signature"
    assert cat.verify(cat.issue(STRANGER, "other", *claims), KEYS, NOW, 0).reason == "unknown-key"


def test_an_unsigned_map_is_no_token() -> None:
    """CWT libraries hand back claims that nobody has signed when the outermost tag is missing."""
    assert cat.verify(encoded(cbor2.dumps(GOOD_CLAIMS)), KEYS, NOW, 0).standing == "bad"
    assert cat.verify(encoded(cbor2.dumps(cbor2.CBORTag(61, GOOD_CLAIMS))), KEYS, NOW, 0).standing == "bad"


def test_another_algorithm_is_refused() -> None:
    """Neither a header that names another algorithm nor a MAC made with the public key gets in."""
    _, unprotected, payload, signature = cbor2.loads(decoded(TOKEN)).value
    for algorithm in (5, -8, -35, None):
        protected = cbor2.dumps({1: algorithm, 4: b"door-1"})
        forged = cbor2.CBORTag(18, [protected, unprotected, payload, signature])
        assert cat.verify(encoded(cbor2.dumps(forged)), KEYS, NOW, 0).standing == "bad"
    mac = cbor2.CBORTag(17, [cbor2.dumps({1: 5, 4: b"door-1"}), {}, payload, bytes(32)])
    assert cat.verify(encoded(cbor2.dumps(mac)), KEYS, NOW, 0).standing == "bad"


@pytest.mark.parametrize("more", [{}, {3: 60}, {2: [310], 310: 1}, {"note": 1}], ids=str)
def test_a_header_that_is_not_understood_is_refused_though_it_is_signed(more: dict[object, object]) -> None:
    protected, payload = cbor2.dumps({1: -7, 4: b"door-1", **more}), cbor2.dumps(GOOD_CLAIMS)
    signed = PRIVATE.sign(cbor2.dumps(["Signature1", protected, b"", payload]), ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(signed)
    token = encoded(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, r.to_bytes(32) + s.to_bytes(32)])))
    wanted = cat.Verdict("bad", reason="malformed") if more else cat.Verdict("ok", CLAIMS)
    assert cat.verify(token, KEYS, NOW, 0) == wanted


def test_a_foreign_library_reads_our_token() -> None:
    message = CoseMessage.decode(decoded(TOKEN))
    assert isinstance(message, Sign1Message)
    assert message.phdr == {Algorithm: Es256, KID: b"door-1"}
    assert message.uhdr == {}
    message.key = foreign_key(PRIVATE)
    assert message.verify_signature()
    assert cbor2.loads(message.payload) == GOOD_CLAIMS
    message.key = foreign_key(STRANGER)
    assert not message.verify_signature()


def test_we_read_a_token_of_a_foreign_library() -> None:
    assert cat.verify(foreign_token(GOOD_CLAIMS), KEYS, NOW, 0) == cat.Verdict("ok", CLAIMS)
    assert isinstance(foreign_key(PRIVATE), CoseKey)


@pytest.mark.parametrize(
    "change",
    [
        {1: ""},
        {1: 7},
        {2: "s" * 65},
        {4: "tomorrow"},
        {4: -1},
        {4: 1.5},
        {6: None},
        {4: 1 << 40},
        {6: 1 << 40},
        {7: b""},
        {7: "text"},
        {7: b"x" * 33},
        {310: 2},
        {-70001: "sport"},
        {-70001: [7]},
        {-70001: ["p"] * 33},
        {311: ["192.0.2.1"]},  # catnip, a restriction that we would overlook
        {5: int(NOW) + 60},  # nbf
    ],
    ids=str,
)
def test_claims_that_are_not_understood_are_refused(change: dict[int, object]) -> None:
    assert cat.verify(foreign_token(GOOD_CLAIMS | change), KEYS, NOW, 0) == cat.Verdict("bad", reason="bad-claims")


@pytest.mark.parametrize("missing", sorted(GOOD_CLAIMS))
def test_a_missing_claim_is_refused(missing: int) -> None:
    claims = {claim: value for claim, value in GOOD_CLAIMS.items() if claim != missing}
    assert cat.verify(foreign_token(claims), KEYS, NOW, 0).reason == "bad-claims"


@pytest.mark.parametrize("payload", [[], "text", None, 1 << 70])
def test_a_payload_that_is_no_map_is_refused(payload: object) -> None:
    assert cat.verify(foreign_token(payload), KEYS, NOW, 0).reason == "bad-claims"


def test_what_would_be_refused_is_not_issued() -> None:
    for subscriber, packages, token_id in (("", [], b"id"), ("s", ["p" * 65], b"id"), ("s", [], b"")):
        with pytest.raises(LocalProtocolError):
            cat.issue(PRIVATE, "door-1", "door", subscriber, packages, NOW, 60.0, token_id)
    with pytest.raises(LocalProtocolError, match="characters"):
        cat.issue(PRIVATE, "door-1", "door", "s", [f"{n:060}" for n in range(20)], NOW, 60.0, b"id")


def test_the_key_set_is_read_by_a_foreign_library() -> None:
    keys = KeySet.import_key_set(json.loads(jwks((PRIVATE, "door-1"), (STRANGER, "signin-1"))))
    assert [key.kid for key in keys.keys] == ["door-1", "signin-1"]
    ours = keys.keys[0]
    assert isinstance(ours, ECKey)
    assert ours.public_key.public_numbers() == PRIVATE.public_key().public_numbers()


def test_a_key_set_of_a_foreign_library_is_read() -> None:
    key = ECKey.generate_key("P-256", {"kid": "theirs", "use": "sig"}, private=True)
    keys = cat.read_jwks(json.dumps(KeySet([key]).as_dict(private=False)).encode())
    token = cat.issue(key.private_key, "theirs", "door", "s-1", [], NOW, 60.0, b"id")
    assert cat.verify(token, keys, NOW, 0).standing == "ok"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": 1}',
        b'{"keys": [{}]}',
        b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}',
        b'{"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "x": "AA", "y": "AA"}]}',
        json.dumps({"keys": [cat.public_jwk(PRIVATE.public_key(), "a") | {"d": "AAAA"}]}).encode(),
        json.dumps({"keys": [cat.public_jwk(PRIVATE.public_key(), str(n)) for n in range(cat.KEYS_MAX + 1)]}).encode(),
    ],
    ids=lambda document: document[:40].decode(),
)
def test_what_is_no_public_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        cat.read_jwks(document)
