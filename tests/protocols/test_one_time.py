"""One-time codes against the RFCs' own vectors, and what a code may be good for."""

import pytest

from prikkfri.protocols.one_time import hotp, matching_step, otpauth, read_secret, shown_secret, step_at

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
    assert read_secret(shown_secret(SECRET)) == SECRET
    assert [read_secret(wrong) for wrong in ("", "GEZDGNBV", "gezdgnbvgy3tqojqgezdgnbvgy3tqoj!", "ø")] == [None] * 4
    assert otpauth(SECRET, issuer="Fjord nett", name="kari:å") == (
        "otpauth://totp/Fjord%20nett:kari%3A%C3%A5?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Fjord%20nett"
    )
