"""Hashes that other systems made: which are read, and which are refused before anybody waits for them."""

import base64
import hashlib

import bcrypt
import pytest
from argon2.low_level import Type, hash_secret
from hypothesis import given
from hypothesis import strategies as st

from prikkfri.protocols.password_hash import Argon2id, Bcrypt, NoPasswordHash, Pbkdf2, parse
from prikkfri.signin.credentials import hash_password, matches

SALT = b"0123456789abcdef"


def plain(content: bytes) -> str:
    return base64.b64encode(content).decode()


def argon2id(m: int = 64, t: int = 1, p: int = 1, salt: bytes = SALT, length: int = 32) -> str:
    return f"$argon2id$v=19$m={m},t={t},p={p}${plain(salt).rstrip('=')}${plain(bytes(length)).rstrip('=')}"


def pbkdf2(n: int = 29_000, digest: str = "-sha256", salt: bytes = SALT, length: int = 32) -> str:
    return f"$pbkdf2{digest}${n}${plain(salt).rstrip('=')}${plain(bytes(length)).rstrip('=')}"


RFC_6070 = bytes.fromhex("4b007901b765489abead49d926f721d065a429c1")
KEYCLOAK = hashlib.pbkdf2_hmac("sha256", b"hest", SALT, 27_500, 64)
MADE_ELSEWHERE = {
    # As django.contrib.auth.hashers and passlib.hash write them in their documentation and tests.
    "django": ("lètmein", "pbkdf2_sha256$10000$seasalt$CWWFdHOWwPnki7HvkcqN9iA2T3KLW1cf2uZ5kvArtVY="),
    "django sha1": ("lètmein", "pbkdf2_sha1$10000$seasalt$oAfF6vgs95ncksAhGXOWf4Okq7o="),
    "passlib sha256": (
        "password",
        "$pbkdf2-sha256$1212$4vjV83LKPjQzk31VI4E0Vw$hsYF68OiOUPdDZ1Fg.fJPeq1h/gXXY7acBp9/6c.tmQ",
    ),
    "passlib sha512": (
        "password",
        "$pbkdf2-sha512$1212$RHY0Fr3IDMSVO/RSZyb5ow$eNLfBK.eVozomMr.1gYa17k9B7KIK25NOEshvhrSX.esqY3s.FvWZViXz4KoLlQI"
        ".BzY/YTNJOiKc5gBYFYGww",
    ),
    "RFC 6070": ("password", f"$pbkdf2$4096${plain(b'salt')}${plain(RFC_6070)}"),
    "keycloak": ("hest", f"$pbkdf2-sha256$i=27500${plain(SALT)}${plain(KEYCLOAK)}"),
    "phc with a length": (
        "hest",
        f"$pbkdf2-sha256$i=27500,l=64${plain(SALT).rstrip('=')}${plain(KEYCLOAK).rstrip('=')}",
    ),
    # The test vectors of OpenBSD's and PHP's bcrypt.
    "bcrypt 2a": ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    "bcrypt 2y": ("rasmuslerdorf", "$2y$07$usesomesillystringfore2uDLvp1Ii2e./U9C8sBjqp8I90dH6hi"),
    "bcrypt 2b": ("hest", bcrypt.hashpw(b"hest", bcrypt.gensalt(4, b"2b")).decode()),
    "argon2id": ("hest", hash_secret(b"hest", SALT, 2, 64, 4, 24, Type.ID).decode()),
    "ours": ("hest", hash_password("hest", SALT)),
}


@pytest.mark.parametrize("kind", MADE_ELSEWHERE)
def test_what_others_made_is_right_for_its_password_alone(kind: str) -> None:
    password, made = MADE_ELSEWHERE[kind]
    assert matches(password, made)
    assert not matches(password + "x", made)
    assert not matches("", made)


def test_each_form_is_read_for_what_it_is() -> None:
    assert parse(MADE_ELSEWHERE["django"][1]) == Pbkdf2(
        "sha256", 10_000, b"seasalt", base64.b64decode("CWWFdHOWwPnki7HvkcqN9iA2T3KLW1cf2uZ5kvArtVY=")
    )
    assert parse(MADE_ELSEWHERE["keycloak"][1]) == Pbkdf2("sha256", 27_500, SALT, KEYCLOAK)
    assert parse(MADE_ELSEWHERE["bcrypt 2y"][1]) == Bcrypt(MADE_ELSEWHERE["bcrypt 2y"][1])
    assert parse(argon2id()) == Argon2id(argon2id())


def test_what_bcrypt_never_looked_at_is_not_asked_for() -> None:
    long = "å" * 40
    made = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    assert matches(long, made)
    assert not matches("å" * 35, made)
    # Others end a password at its NUL: what they made must not open by all that begins alike.
    for whole in (b"with \0 in it", b"with "):
        assert not matches("with \0 in it", bcrypt.hashpw(whole, bcrypt.gensalt(4)).decode())


BCRYPT_REST = "$" + "a" * 53


@pytest.mark.parametrize(
    "dearest",
    [
        "$2b$12" + BCRYPT_REST,
        "$2b$04" + BCRYPT_REST,
        argon2id(65_536, 4),
        argon2id(32, 1, 4),
        argon2id(26_214, 10),
        argon2id(salt=b"8 bytes!"),
        argon2id(salt=bytes(64)),
        argon2id(length=16),
        argon2id(length=64),
        pbkdf2(1_000),
        pbkdf2(1_200_000),
        pbkdf2(600_000, length=33),
        pbkdf2(600_000, length=64),
        pbkdf2(600_000, "-sha512", length=64),
        pbkdf2(1_200_000, "-sha1", length=20),
        pbkdf2(1_200_000, "", length=20),
        pbkdf2(salt=bytes(4)),
    ],
)
def test_the_dearest_and_the_cheapest_are_taken(dearest: str) -> None:
    parse(dearest)


@pytest.mark.parametrize(
    ("absurd", "why"),
    [
        ("$2b$13" + BCRYPT_REST, "has a bcrypt cost of 13; 4 to 12 will do"),
        ("$2b$03" + BCRYPT_REST, "has a bcrypt cost of 3; 4 to 12 will do"),
        ("$2x$10" + BCRYPT_REST, "is neither"),
        ("$2b$10$" + "a" * 52, "is neither"),
        (argon2id(65_537), "has m=65537,t=1; m may be 65536 at most, m times t 262144"),
        (argon2id(65_536, 5), "has m=65536,t=5"),
        (argon2id(p=5), "has p=5; 4 at most"),
        (argon2id(31, p=4), "has m=31, which is too little for p=4"),
        (argon2id(salt=bytes(7)), "has a salt of 7 bytes; 8 to 64 will do"),
        (argon2id(salt=bytes(65)), "has a salt of 65 bytes"),
        (argon2id(length=15), "has 15 bytes of hash; 16 to 64 will do"),
        (argon2id(length=65), "has 65 bytes of hash"),
        (argon2id().replace("$v=19", ""), "is neither"),
        (argon2id().replace("argon2id", "argon2i"), "is neither"),
        (argon2id(salt=b"12345678a")[:-1] + "=", "is neither"),
        (pbkdf2(999), "has 999 iterations; 1000 to 1200000 will do"),
        (pbkdf2(1_200_001), "has 1200001 iterations"),
        (pbkdf2(600_001, length=33), "has 600001 iterations; 1000 to 600000 will do"),
        (pbkdf2(600_001, "-sha512", length=64), "has 600001 iterations"),
        (pbkdf2(salt=bytes(3)), "has a salt of 3 bytes; 4 to 64 will do"),
        (pbkdf2().replace("sha256", "md5"), "is neither"),
        ("$pbkdf2-sha256$29000$AAAAA$" + "A" * 43, "has a salt or a hash that is not base64"),
        ("5f4dcc3b5aa765d61d8327deb882cf99", "is neither Argon2id"),
        ("hest", "is neither"),
        ("$2b$10$" + "a" * 250, "is longer than 254 characters"),
    ],
)
def test_what_costs_too_much_or_is_none_is_refused_with_the_reason(absurd: str, why: str) -> None:
    with pytest.raises(NoPasswordHash) as refused:
        parse(absurd)
    assert str(refused.value).startswith(why)
    assert not matches("hest", absurd)


@given(st.text(max_size=300) | st.from_regex(r"\$(pbkdf2|argon2id|2b)[$-][\x20-\x7e]{0,80}"))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except NoPasswordHash as reason:
        assert str(reason)
