"""The admission pass, against PyJWT, which is other people's JOSE: each thing that it says can make it none."""

from typing import Any

import jwt as pyjwt
import pytest
from foreign_jwt import KEYS, KID, PRIVATE, bad_signatures, judged_by_pyjwt, signed
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.protocols import admission_pass
from prikkfri.protocols.admission_pass import Pass

NOW = 1_700_000_000
DEVICE = "d-AAAAAAAAAAAAAAAAAAAAAA"
HOLDER = "k-" + "h" * 43
PASS = Pass("pass-1", DEVICE, NOW + 60.0, "enter-1", HOLDER)
CLAIMS: dict[str, Any] = {
    "iss": "door", "jti": "pass-1", "device": DEVICE, "exp": NOW + 60, "promise": "enter-1", "holder": HOLDER
}  # fmt: skip

LEFT_OUT = object()
WRONG: list[tuple[str, Any]] = [
    *((name, LEFT_OUT) for name in CLAIMS),
    *((name, None) for name in CLAIMS),
    *((name, ["a"]) for name in CLAIMS),
    ("iss", "signin"),
    ("iss", ""),
    ("jti", ""),
    ("jti", "p" * 65),
    ("jti", 1),
    ("device", "d-short"),
    ("device", DEVICE + "\n"),
    ("exp", 0),
    ("exp", -1),
    ("exp", 2**40),
    ("exp", 10**400),
    ("exp", True),
    ("exp", NOW + 0.5),
    ("exp", str(NOW)),
    ("promise", "p" * 65),
    ("promise", 7),
    ("holder", ""),
    ("holder", "k-" + "h" * 42),
    ("holder", "x-" + "h" * 43),
    ("holder", HOLDER + "\n"),
    ("nbf", NOW - 1),  # restrictions that we would overlook, even where they hold
    ("nbf", NOW + 3_600),
    ("aud", "signin"),
    ("sub", "s-1"),
]


def test_a_pass_of_a_foreign_library_says_what_ours_says() -> None:
    assert admission_pass.verified(signed(CLAIMS, "pass+jwt"), KEYS) == PASS
    ours = admission_pass.issue(PRIVATE, KID, PASS)
    assert judged_by_pyjwt(ours, "door") == CLAIMS
    assert pyjwt.get_unverified_header(ours) == {"alg": "ES256", "typ": "pass+jwt", "kid": KID}
    later = admission_pass.issue(PRIVATE, KID, Pass("pass-1", DEVICE, NOW + 60.9, "enter-1", HOLDER))
    assert admission_pass.verified(later, KEYS) == PASS


@pytest.mark.parametrize("wrong", bad_signatures(CLAIMS, "pass+jwt").items(), ids=lambda wrong: wrong[0])
def test_whatever_is_not_signed_as_ours_is_none(wrong: tuple[str, str]) -> None:
    assert admission_pass.verified(wrong[1], KEYS) is None


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda part: str(part)[:20])
def test_one_claim_that_is_wrong_is_enough(name: str, value: object) -> None:
    claims = {claim: said for claim, said in (CLAIMS | {name: value}).items() if said is not LEFT_OUT}
    assert admission_pass.verified(signed(claims, "pass+jwt"), KEYS) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jti", "p" * 64),
        ("promise", ""),
        ("promise", "p" * 64),
        ("holder", "s-" + "-" * 43),
        ("exp", 1),
        ("exp", 2**40 - 1),
    ],
)
def test_what_is_just_within_its_limits_is_taken(name: str, value: object) -> None:
    assert admission_pass.verified(signed(CLAIMS | {name: value}, "pass+jwt"), KEYS) is not None


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*CLAIMS, "nbf", "aud"]),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=70),
        max_size=8,
    )
)
def test_whatever_else_is_signed_is_none_or_says_exactly_this(changes: dict[str, Any]) -> None:
    said = CLAIMS | changes
    told = admission_pass.verified(signed(said, "pass+jwt"), KEYS)
    if told is not None:
        assert said.keys() == CLAIMS.keys() and said["iss"] == "door"
        again = [told.pass_id, told.device, told.expires_at, told.promise, told.holder]
        assert again == [said[name] for name in ("jti", "device", "exp", "promise", "holder")]
