"""One-time codes against the RFCs' own vectors, and what a code may be good for."""

from datetime import UTC, datetime

import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prikkfri.protocols.one_time import SECRET_BYTES, STEP_SECONDS, hotp, matching_step, otpauth, shown_secret, step_at

SECRET = b"12345678901234567890"


def test_the_vectors_of_rfc_4226() -> None:
    codes = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
    assert [hotp(SECRET, counter) for counter in range(10)] == codes


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
        (2000000000, "69279037"), (20000000000, "65353130"),
    ],
)  # fmt: skip
def test_the_vectors_of_rfc_6238(now: int, code: str) -> None:
    assert hotp(SECRET, step_at(now), digits=8) == code
    assert matching_step(SECRET, code[2:], float(now), after=0) == step_at(now)


def test_a_code_is_good_one_step_before_and_after_and_once() -> None:
    now, here = 1_700_000_010.0, step_at(1_700_000_010.0)
    codes = {skew: hotp(SECRET, here + skew) for skew in range(-2, 3)}
    assert len({*codes.values()}) == 5
    found = {skew: matching_step(SECRET, code, now, after=0) for skew, code in codes.items()}
    assert found == {-2: None, -1: here - 1, 0: here, 1: here + 1, 2: None}
    assert matching_step(SECRET, codes[0], now, after=here) is None
    assert matching_step(SECRET, codes[-1], now, after=here) is None
    assert matching_step(SECRET, codes[1], now, after=here) == here + 1
    for wrong in ("", "1", codes[0] + "0", codes[0][:5], "æøå", "٣٣٣٣٣٣"):
        assert matching_step(SECRET, wrong, now, after=0) is None
    assert matching_step(SECRET, hotp(SECRET, 0), 3.0, after=-1) == 0


def test_a_secret_is_typed_or_read_as_an_address() -> None:
    assert shown_secret(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert otpauth(SECRET, issuer="Fjord nett", name="kari:å") == (
        "otpauth://totp/Fjord%20nett:kari%3A%C3%A5?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Fjord%20nett"
    )


@settings(max_examples=200)
@given(secret=st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES), now=st.integers(0, 20_000_000_000))
def test_a_foreign_authenticator_that_took_the_address_shows_codes_that_are_right(secret: bytes, now: int) -> None:
    theirs = pyotp.parse_uri(otpauth(secret, issuer="Fjord nett", name="kari"))
    assert isinstance(theirs, pyotp.TOTP) and theirs.byte_secret() == secret
    moment = datetime.fromtimestamp(now, UTC)
    assert matching_step(secret, theirs.at(moment), now, after=-1) is not None
    assert theirs.at(moment) == hotp(secret, step_at(now))
    assert theirs.verify(hotp(secret, step_at(now)), for_time=moment)


@settings(max_examples=50)
@given(issuer=st.text(min_size=1, max_size=40), name=st.text(min_size=1, max_size=40))
def test_a_foreign_authenticator_reads_the_names_in_the_address(issuer: str, name: str) -> None:
    theirs = pyotp.parse_uri(otpauth(SECRET, issuer=issuer, name=name))
    assert isinstance(theirs, pyotp.TOTP)
    assert (theirs.issuer, theirs.name) == (issuer, name)
    assert (theirs.secret, theirs.digits, theirs.interval) == (shown_secret(SECRET), 6, STEP_SECONDS)
