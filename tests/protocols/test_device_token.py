"""The device token, against PyJWT, which is other people's JOSE: each thing that it says can make it none."""

import base64
import json
from typing import Any

import jwt as pyjwt
import pytest
from foreign_jwt import DOCUMENT, KEYS, KID, PRIVATE, bad_signatures, headed, judged_by_pyjwt, signed
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.errors import RemoteProtocolError
from prikkfri.protocols import admission_pass, cat, device_token, jwt
from prikkfri.protocols.device_token import DeviceToken, is_device

NOW = 1_700_000_000
DEVICE = "d-AAAAAAAAAAAAAAAAAAAAAA"
ID = b"0123456789abcdef"
TOKEN = DeviceToken("s-1", DEVICE, ("basic", "sport"), float(NOW), NOW + 60.0, ID)
CLAIMS: dict[str, Any] = {
    "iss": "signin",
    "sub": "s-1",
    "device": DEVICE,
    "packages": ["basic", "sport"],
    "iat": NOW,
    "exp": NOW + 60,
    "jti": base64.urlsafe_b64encode(ID).rstrip(b"=").decode(),
}

devices = st.text("AZaz09_-", min_size=22, max_size=22).map("d-{}".format)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
tokens = st.builds(
    DeviceToken,
    subscriber=names,
    device=devices,
    packages=st.lists(names, max_size=6).map(tuple),
    issued_at=st.integers(1, 2**40 - 1).map(float),
    expires_at=st.integers(1, 2**40 - 1).map(float),
    token_id=st.binary(min_size=16, max_size=16),
)


def test_a_token_of_a_foreign_library_says_what_ours_says() -> None:
    assert device_token.verified(signed(CLAIMS, "device+jwt"), KEYS) == TOKEN
    ours = device_token.issue(PRIVATE, KID, TOKEN)
    assert judged_by_pyjwt(ours, "signin") == CLAIMS
    assert pyjwt.get_unverified_header(ours) == {"alg": "ES256", "typ": "device+jwt", "kid": KID}
    assert TOKEN.jti == CLAIMS["jti"]


@settings(max_examples=40, deadline=None)
@given(tokens)
def test_what_is_issued_is_verified_here_and_elsewhere(token: DeviceToken) -> None:
    issued = device_token.issue(PRIVATE, KID, token)
    if len(issued) > jwt.TOKEN_LENGTH_MAX:
        assert device_token.verified(issued, KEYS) is None
        return
    assert device_token.verified(issued, KEYS) == token
    claims = judged_by_pyjwt(issued, "signin")
    assert (claims["sub"], claims["device"], tuple(claims["packages"]), claims["iat"], claims["exp"]) == (
        token.subscriber, token.device, token.packages, token.issued_at, token.expires_at,
    )  # fmt: skip


def test_times_are_whole_seconds_and_never_later_than_meant() -> None:
    broken = DeviceToken("s-1", DEVICE, (), NOW + 0.9, NOW + 60.9, ID)
    told = device_token.verified(device_token.issue(PRIVATE, KID, broken), KEYS)
    assert told is not None and (told.issued_at, told.expires_at) == (NOW, NOW + 60)


def test_what_is_headed_as_ours_is_taken_whoever_wrote_it() -> None:
    """Or the tokens under other headers would be refused for another reason."""
    assert device_token.verified(headed({"typ": "device+jwt", "kid": KID, "alg": "ES256"}, CLAIMS), KEYS) == TOKEN


@pytest.mark.parametrize("wrong", bad_signatures(CLAIMS, "device+jwt").items(), ids=lambda wrong: wrong[0])
def test_whatever_is_not_signed_as_ours_is_none(wrong: tuple[str, str]) -> None:
    assert device_token.verified(wrong[1], KEYS) is None


LEFT_OUT = object()
WRONG: list[tuple[str, Any]] = [
    *((name, LEFT_OUT) for name in CLAIMS),
    *((name, None) for name in CLAIMS),
    *((name, {"a": 1}) for name in CLAIMS),
    ("iss", "door"),
    ("iss", ""),
    ("iss", "Signin"),
    ("iss", ["signin"]),
    ("sub", ""),
    ("sub", "s" * 65),
    ("sub", 1),
    ("device", "d-short"),
    ("device", DEVICE + "\n"),
    ("device", "e" + DEVICE[1:]),
    ("device", [DEVICE]),
    ("packages", "sport"),
    ("packages", [""]),
    ("packages", ["p" * 65]),
    ("packages", [1]),
    ("packages", [["sport"]]),
    ("packages", ["p"] * 33),
    *((time, value) for time in ("iat", "exp") for value in (0, -1, 2**40, 10**400, True, NOW + 0.5, str(NOW))),
    ("jti", ""),
    ("jti", "AAAA"),
    ("jti", base64.urlsafe_b64encode(ID[:15]).decode()),
    ("jti", base64.urlsafe_b64encode(ID + b"x").decode()),
    ("jti", "é" * 22),
    ("jti", 5),
    ("nbf", NOW - 1),  # restrictions that we would overlook, even where they hold
    ("nbf", NOW + 3_600),
    ("aud", "door"),
    ("aud", "someone else"),
    ("scope", "read"),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda part: str(part)[:20])
def test_one_claim_that_is_wrong_is_enough(name: str, value: object) -> None:
    claims = {claim: said for claim, said in (CLAIMS | {name: value}).items() if said is not LEFT_OUT}
    assert device_token.verified(signed(claims, "device+jwt"), KEYS) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("sub", "s" * 64), ("packages", []), ("packages", ["p" * 32] * 32), ("iat", 1), ("exp", 2**40 - 1), ("exp", 1)],
    ids=lambda part: str(part)[:20],
)
def test_what_is_just_within_its_limits_is_taken(name: str, value: object) -> None:
    assert device_token.verified(signed(CLAIMS | {name: value}, "device+jwt"), KEYS) is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "aud"]), json_values, max_size=9))
def test_whatever_else_is_signed_is_none_or_says_exactly_this(changes: dict[str, Any]) -> None:
    said = CLAIMS | changes
    told = device_token.verified(signed(said, "device+jwt"), KEYS)
    if told is not None:
        assert said.keys() == CLAIMS.keys() and said["iss"] == "signin"
        again = [told.subscriber, told.device, list(told.packages), told.issued_at, told.expires_at]
        assert again == [said[name] for name in ("sub", "device", "packages", "iat", "exp")]


@pytest.mark.parametrize("payload", [b"[]", b'"text"', b"null", b"", b"{", b"\xff", b"[" * 900])
def test_a_payload_that_is_no_object_is_none(payload: bytes) -> None:
    assert device_token.verified(signed(payload, "device+jwt"), KEYS) is None


def test_another_kind_of_token_is_none() -> None:
    ticket_of_the_door = admission_pass.issue(
        PRIVATE, KID, admission_pass.Pass("p", DEVICE, NOW + 60.0, "", "k-" + "h" * 43)
    )
    playback = cat.issue(PRIVATE, KID, "signin", "s-1", ["sport"], NOW, 60, ID)
    assert device_token.verified(ticket_of_the_door, KEYS) is None
    assert device_token.verified(playback, KEYS) is None
    assert admission_pass.verified(device_token.issue(PRIVATE, KID, TOKEN), KEYS) is None
    assert cat.verify(device_token.issue(PRIVATE, KID, TOKEN), cat.read_jwks(DOCUMENT), NOW, 0).standing == "bad"


def test_a_token_that_is_too_long_is_none_and_costs_nothing() -> None:
    room = jwt.TOKEN_LENGTH_MAX - len(signed(CLAIMS, "device+jwt"))
    long = CLAIMS | {"packages": ["basic", "sport", *["p" * 60] * 12]}
    fits = signed(long, "device+jwt")
    assert room > 0 and len(fits) <= jwt.TOKEN_LENGTH_MAX and device_token.verified(fits, KEYS) is not None
    longer = signed(CLAIMS | {"packages": ["p" * 64] * 32}, "device+jwt")
    assert len(longer) > jwt.TOKEN_LENGTH_MAX
    assert device_token.verified(longer, KEYS) is None
    assert jwt.key_id(longer) is None


@given(st.text(max_size=200) | st.text("eyJhbGciOiJFUzI1NiJ9._-", max_size=200))
def test_any_text_is_none(text: str) -> None:
    assert device_token.verified(text, KEYS) is None


def test_the_key_that_a_token_names_is_told_before_it_is_trusted() -> None:
    assert jwt.key_id(signed(CLAIMS, "device+jwt", kid="door-2")) == "door-2"
    for text in ("", "a.b.c", "é.é.é", signed(CLAIMS, "device+jwt", kid=None)):
        assert jwt.key_id(text) is None


def jwk(**changes: object) -> dict[str, object]:
    changed = {**cat.public_jwk(PRIVATE.public_key(), KID), **changes}
    return {name: value for name, value in changed.items() if value is not LEFT_OUT}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": 1}',
        b'{"keys": [1]}',
        *(json.dumps({"keys": [jwk(), wrong]}).encode() for wrong in (
            jwk(kty="RSA"), jwk(kty="oct", k="AAAA"), jwk(crv="P-384"), jwk(d="AAAA"), jwk(x="AA"), jwk(y=LEFT_OUT),
            jwk(kid=LEFT_OUT), jwk(crv=LEFT_OUT),
        )),
        json.dumps({"keys": [jwk(kid=str(number)) for number in range(jwt.KEYS_MAX + 1)]}).encode(),
    ],
    ids=lambda _: "document",
)  # fmt: skip
def test_what_is_no_public_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        jwt.read_jwks(document)


def test_a_key_set_of_as_many_keys_as_may_be_is_read() -> None:
    document = json.dumps({"keys": [jwk(kid=str(number)) for number in range(jwt.KEYS_MAX)]}).encode()
    assert jwt.read_jwks(document).keys() == {str(number) for number in range(jwt.KEYS_MAX)}
    assert jwt.read_jwks(b'{"keys": []}') == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [(DEVICE, True), ("d-" + "_" * 22, True), (DEVICE + "A", False), (DEVICE[:-1], False), (DEVICE + "\n", False),
     ("d-" + "å" * 22, False), ("D" + DEVICE[1:], False), ("", False), (None, False), (5, False)],
)  # fmt: skip
def test_what_can_be_the_pseudonym_of_a_device(text: object, said: bool) -> None:
    assert is_device(text) is said
