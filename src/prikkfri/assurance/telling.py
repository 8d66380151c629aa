"""What those credited are told by SMS, in their language."""

from collections.abc import Mapping

from prikkfri.protocols import money
from prikkfri.protocols.money import Language
from prikkfri.subscribers.numbers import country_code

_TEXTS: Mapping[Language, str] = {
    "nb": "Du ble rammet av en feil hos oss, og det er vi lei for. {amount} trekkes fra neste regning.",
    "sv": "Du drabbades av ett fel hos oss, och det beklagar vi. {amount} dras av på nästa faktura.",
    "en": "You were hit by a fault on our side, and we are sorry. {amount} comes off your next bill.",
}
_LANGUAGES: Mapping[str, Language] = {"47": "nb", "45": "nb", "46": "sv"}
"""By the country code of a number: of a customer, that is all that tells of their language."""


LANGUAGES: tuple[Language, ...] = tuple(_TEXTS)


def language_of(msisdn: str) -> Language:
    """The language of ours that whoever holds a number most likely reads."""
    return _LANGUAGES.get(country_code(msisdn), "en")


def of_credit(amount: int, currency: str, language: Language) -> str:
    """`amount` in the smallest unit. Every letter is one of the GSM alphabet, in which a message is cheapest."""
    said = money.format_amount(amount, currency, language).replace("\u00a0", " ")
    return _TEXTS[language].format(amount=said)
