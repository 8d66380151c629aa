"""The seal against AES-GCM used by hand: what is stored can be opened by the book, and by nothing less."""

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from prikkfri.sms.sealing import KEY_OCTETS, NONCE_OCTETS, Binding, Envelope, SealBroken, Sealer

KEY, NONCE = bytes(range(32)), bytes(range(100, 112))
BINDING = Binding("id-1", "Shop", "4790000001", 1_700_000_000.0)
ENVELOPE = Envelope(b"your code is 483 201", 8, 0x40, 5, 9, 11, 2, "CMT", ((0x1401, b"x"),))


def test_a_seal_is_aes_256_gcm_over_the_envelope_with_the_binding_beside_it() -> None:
    """What is stored before an upgrade is opened after it: the layout is part of the promise."""
    assert (KEY_OCTETS, NONCE_OCTETS) == (32, 12)
    sealed = Sealer(KEY).seal(ENVELOPE, BINDING, NONCE)
    assert sealed[:12] == NONCE
    bound = msgspec.msgpack.encode(["id-1", "Shop", "4790000001", 1_700_000_000.0])
    plain = AESGCM(KEY).decrypt(NONCE, sealed[12:], bound)
    assert msgspec.msgpack.decode(plain) == [
        b"your code is 483 201", 8, 0x40, 5, 9, 11, 2, "CMT", [[0x1401, b"x"]],
    ]  # fmt: skip
    assert Sealer(KEY).open(sealed, BINDING) == ENVELOPE
    assert b"483 201" not in sealed


def test_a_seal_says_which_message_does_not_open_and_nothing_of_what_is_in_it() -> None:
    sealed = Sealer(KEY).seal(ENVELOPE, BINDING, NONCE)
    for wrong in (b"", sealed[:5], sealed[:12], sealed[:27], sealed[:-1], sealed + b"\0", b"\0" + sealed[1:]):
        with pytest.raises(SealBroken) as broken:
            Sealer(KEY).open(wrong, BINDING)
        assert broken.value.args == ("id-1",)
        assert broken.value.__cause__ is None


@pytest.mark.parametrize("octets", [0, 16, 31, 33])
def test_a_key_of_another_length_is_not_used(octets: int) -> None:
    with pytest.raises(ValueError, match=f"32 octets, not {octets}"):
        Sealer(bytes(octets))
