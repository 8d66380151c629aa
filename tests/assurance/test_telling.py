"""What those credited are told, in their language, in letters that cost least."""

import pytest

from prikkfri.assurance import telling
from prikkfri.protocols.money import Language

GSM = set("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ÄÖÑÜ§¿äöñüà") | {
    chr(letter) for start in (65, 97) for letter in range(start, start + 26)
}
"""The default alphabet (3GPP TS 23.038, 6.2.1)."""


@pytest.mark.parametrize(
    ("number", "language", "said"),
    [
        ("+4791234567", "nb", "Du ble rammet av en feil hos oss, og det er vi lei for."
         " kr 1 049,00 trekkes fra neste regning."),
        ("+4512345678", "nb", "Du ble rammet"),
        ("+46701234567", "sv", "Du drabbades av ett fel hos oss, och det beklagar vi."
         " 1 049,00 kr dras av på nästa faktura."),
        ("+441632960000", "en", "You were hit by a fault on our side, and we are sorry."
         " kr 1,049.00 comes off your next bill."),
        ("", "en", "You were hit"),
    ],
)  # fmt: skip
def test_a_customer_is_told_in_the_language_of_their_number(number: str, language: Language, said: str) -> None:
    assert telling.language_of(number) == language and language in telling.LANGUAGES
    text = telling.of_credit(104_900, "NOK", language)
    assert text.startswith(said)
    assert set(text) <= GSM and len(text) <= 160
