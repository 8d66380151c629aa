"""The seal against AES-GCM used by hand: what is stored can be opened by the book, and by nothing less."""

import os
from collections import Counter

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from prikkfri.sms.sealing import (
    HOUR_SECONDS,
    NONCE_OCTETS,
    Binding,
    Envelope,
    KeyGone,
    KeyName,
    SealBroken,
    Sealer,
    hour_of,
    keys_to_destroy,
    read_name,
)
from prikkfri.storage.sealing_keys import EARLIER, KEY_OCTETS

NOW = 1_700_000_000.0
HOUR = 472_222
KEY, NONCE = bytes(range(32)), bytes(range(100, 112))
BINDING = Binding("id-1", "account:shop", "Shop", "4790000001", 2, NOW, "otp")
ENVELOPE = Envelope(b"your code is 483 201", 8, 0x40, 5, 9, 11, 2, "CMT", ((0x1401, b"x"),))
PLAIN = [b"your code is 483 201", 8, 0x40, 5, 9, 11, 2, "CMT", [[0x1401, b"x"]]]
OTHERS = (
    structs.replace(BINDING, message_id="id-2"),
    structs.replace(BINDING, account="account:clinic"),
    structs.replace(BINDING, sender="Shoq"),
    structs.replace(BINDING, recipient="4790000002"),
    structs.replace(BINDING, part=1),
    structs.replace(BINDING, expires_at=NOW + 0.5),
    structs.replace(BINDING, expires_at=NOW + HOUR_SECONDS),
    structs.replace(BINDING, message_class="ordinary"),
    structs.replace(BINDING, message_id="id-1account:shop", account=""),
)


def earlier_seal(key: bytes, binding: Binding, nonce: bytes = NONCE, plain: object = PLAIN) -> bytes:
    """As the version before this one sealed."""
    bound = [binding.message_id, binding.sender, binding.recipient, binding.expires_at]
    return nonce + AESGCM(key).encrypt(nonce, msgspec.msgpack.encode(plain), msgspec.msgpack.encode(bound))


def test_a_seal_is_aes_256_gcm_over_the_envelope_with_the_binding_beside_it() -> None:
    """What is stored before an upgrade is opened after it: the layout is part of the promise."""
    assert (KEY_OCTETS, NONCE_OCTETS) == (32, 12)
    sealer = Sealer(lambda octets: KEY[:octets])
    sealed = sealer.seal(ENVELOPE, BINDING, NONCE)
    assert (sealed[:1], sealed[1:13]) == (b"\x01", NONCE)
    bound = msgspec.msgpack.encode(["id-1", "account:shop", "Shop", "4790000001", 2, NOW, "otp"])
    assert msgspec.msgpack.decode(AESGCM(KEY).decrypt(NONCE, sealed[13:], bound)) == PLAIN
    assert sealer.open(sealed, BINDING) == ENVELOPE
    assert b"483 201" not in sealed


def test_a_seal_says_which_message_does_not_open_and_nothing_of_what_is_in_it() -> None:
    sealer = Sealer(os.urandom)
    sealed = sealer.seal(ENVELOPE, BINDING, NONCE)
    for wrong in (b"", sealed[:5], sealed[:13], sealed[:28], sealed[:-1], sealed + b"\0", b"\x02" + sealed[1:]):
        with pytest.raises(SealBroken) as broken:
            sealer.open(wrong, BINDING)
        assert broken.value.args == ("id-1",)
        assert broken.value.__cause__ is None


@pytest.mark.parametrize("octets", [0, 16, 31, 33])
def test_a_key_of_another_length_is_not_used(octets: int) -> None:
    with pytest.raises(ValueError, match=f"32 octets, not {octets}"):
        Sealer(os.urandom, {"472222-otp": bytes(octets)})
    with pytest.raises(ValueError, match=f"32 octets, not {octets}"):
        Sealer(lambda _: bytes(octets)).seal(ENVELOPE, BINDING, NONCE)


@pytest.mark.parametrize("other", OTHERS)
def test_a_seal_opens_as_no_other_message_even_where_there_are_all_keys(other: Binding) -> None:
    sealer = Sealer(os.urandom)
    sealed = sealer.seal(ENVELOPE, BINDING, NONCE)
    with pytest.raises(SealBroken):
        sealer.open(sealed, other)
    sealer.seal(ENVELOPE, other, NONCE)
    with pytest.raises(SealBroken) as broken:
        sealer.open(sealed, other)
    assert broken.type is SealBroken, "there is a key; it is not for this"
    same = Sealer(lambda octets: KEY[:octets])  # were the keys all the same, the binding would hold it alone
    sealed = same.seal(ENVELOPE, BINDING, NONCE)
    same.seal(ENVELOPE, other, NONCE)
    with pytest.raises(SealBroken):
        same.open(sealed, other)


def test_each_class_and_hour_of_expiry_has_a_key_of_its_own_from_the_source_of_chance() -> None:
    drawn: list[bytes] = []

    def entropy(octets: int) -> bytes:
        drawn.append(os.urandom(octets))
        return drawn[-1]

    sealer = Sealer(entropy)
    begin = HOUR * HOUR_SECONDS
    for moment in (begin, begin + 1.5, begin + 3_599.9, begin + 3_600, begin - 0.1):
        for message_class in ("otp", "ordinary"):
            binding = structs.replace(BINDING, expires_at=moment, message_class=message_class)
            assert sealer.open(sealer.seal(ENVELOPE, binding, NONCE), binding) == ENVELOPE
    expected = {KeyName(each, hour) for each in ("otp", "ordinary") for hour in (HOUR - 1, HOUR, HOUR + 1)}
    assert set(sealer.names) == set(sealer.fresh) == expected
    assert Counter(sealer.fresh.values()) == Counter(drawn) and {len(key) for key in drawn} == {32}


def test_what_was_kept_opens_and_is_not_fresh() -> None:
    first = Sealer(os.urandom)
    sealed = first.seal(ENVELOPE, BINDING, NONCE)
    again = Sealer(os.urandom, {name.text: key for name, key in first.fresh.items()} | {"rubbish": b""})
    assert again.open(sealed, BINDING) == ENVELOPE
    again.seal(ENVELOPE, BINDING, NONCE)
    assert again.fresh == {} and again.names == [KeyName("otp", HOUR)]


def test_without_its_key_a_seal_says_that_the_key_is_gone() -> None:
    sealer = Sealer(os.urandom)
    sealed, other = sealer.seal(ENVELOPE, BINDING, NONCE), structs.replace(BINDING, message_class="ordinary")
    kept = sealer.seal(ENVELOPE, other, NONCE)
    sealer.forget([KeyName("otp", HOUR), KeyName("never", HOUR)])
    with pytest.raises(KeyGone, match=r"^id-1$"):
        sealer.open(sealed, BINDING)
    assert sealer.open(kept, other) == ENVELOPE
    assert sealer.names == list(sealer.fresh) == [KeyName("ordinary", HOUR)]
    with pytest.raises(SealBroken):
        sealer.open(sealed, other)
    sealer.seal(ENVELOPE, BINDING, NONCE)
    with pytest.raises(SealBroken):  # a new key of that name is another one
        sealer.open(sealed, BINDING)


@given(st.text(max_size=20), st.integers(0, 2**39))
def test_the_name_of_a_key_names_a_file_and_is_read_again(message_class: str, hour: int) -> None:
    message_class = message_class.encode("utf-8", "ignore").decode()
    for name in (KeyName(message_class, hour), KeyName(None, hour)):
        assert read_name(name.text) == name
        assert not set("/\0\\") & set(name.text) and not name.text.startswith(".")


def test_what_names_no_key_is_none() -> None:
    for text in ("", "-otp", "x-otp", "earlier-otp", "12a-otp", "٣-otp", "²"):
        assert read_name(text) is None, text
    assert KeyName("log-in/code", 5).text == "5-log-in%2Fcode"
    assert read_name("5") == KeyName(None, 5) and read_name("5-") == KeyName("", 5)


def test_hours_are_those_of_the_clock_in_utc() -> None:
    found = [hour_of(each) for each in (-0.5, 0.0, 3_599.9, 3_600.0, NOW)]
    assert found == [-1, 0, 0, 1, HOUR]


def test_a_key_is_over_when_its_hour_has_ended_and_nothing_of_it_may_still_be_sent() -> None:
    names = [KeyName("otp", HOUR), KeyName("ordinary", HOUR + 1), KeyName(None, HOUR)]
    end = (HOUR + 1) * HOUR_SECONDS
    later = end + 10 * HOUR_SECONDS
    assert keys_to_destroy(names, now=end - 0.001, earliest_open=later) == []
    assert keys_to_destroy(names, now=end, earliest_open=later) == [names[0], names[2]]
    assert keys_to_destroy(names, now=later, earliest_open=end - 0.001) == []
    assert keys_to_destroy(names, now=later, earliest_open=end) == [names[0], names[2]]
    assert keys_to_destroy(names, now=end + HOUR_SECONDS, earliest_open=end + HOUR_SECONDS) == names


@given(st.floats(0, 4e9), st.floats(0, 4e9), st.floats(0, 4e9))
def test_no_key_is_over_while_what_it_sealed_may_be_sent(expires_at: float, other: float, now: float) -> None:
    name = KeyName("otp", hour_of(expires_at))
    earliest = min(expires_at, other)
    assert keys_to_destroy([name], now=now, earliest_open=earliest) == []
    if now < expires_at:
        assert keys_to_destroy([name], now=now, earliest_open=4e10) == []
    assert keys_to_destroy([name], now=expires_at + HOUR_SECONDS, earliest_open=4e10) == [name]


# What an earlier version sealed.


@pytest.mark.parametrize("nonce", [NONCE, b"\x01" + NONCE[1:]])
def test_what_was_sealed_before_an_upgrade_opens_after_it(nonce: bytes) -> None:
    """Also where it begins as if it were of this version, which one in 256 does."""
    sealed = earlier_seal(KEY, BINDING, nonce)
    sealer = Sealer(os.urandom, {EARLIER: KEY})
    assert sealer.open(sealed, BINDING) == ENVELOPE
    new = sealer.seal(ENVELOPE, BINDING, NONCE)
    assert sealer.open(sealed, BINDING) == sealer.open(new, BINDING) == ENVELOPE
    for other in (structs.replace(BINDING, recipient="4790000002"), structs.replace(BINDING, expires_at=NOW + 1)):
        with pytest.raises(SealBroken):
            sealer.open(sealed, other)
    with pytest.raises(SealBroken):
        sealer.open(earlier_seal(os.urandom(32), BINDING, nonce), BINDING)
    [name] = [name for name in sealer.names if name.message_class is None]
    assert keys_to_destroy([name], now=4e9, earliest_open=4e10) == [], "nobody knows yet how long it is needed"
    sealer.rename(name, KeyName(None, HOUR))
    assert sealer.open(sealed, BINDING) == ENVELOPE
    sealer.forget([KeyName(None, HOUR)])
    with pytest.raises(SealBroken):
        sealer.open(sealed, BINDING)
    assert sealer.open(new, BINDING) == ENVELOPE


def test_whether_a_key_is_gone_is_told_by_who_sealed() -> None:
    old, new = earlier_seal(KEY, BINDING), b"\x01" + bytes(60)
    with pytest.raises(KeyGone):
        Sealer(os.urandom).open(old, BINDING)
    with pytest.raises(KeyGone):
        Sealer(os.urandom, {EARLIER: KEY}).open(new, BINDING)
    with pytest.raises(SealBroken) as broken:
        Sealer(os.urandom, {EARLIER: bytes(32)}).open(old, BINDING)
    assert broken.type is SealBroken
