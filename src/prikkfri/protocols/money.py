"""Amounts and numbers as a language writes them (CLDR): `kr 1 960,00`, `1 960,00 kr`, `kr 1,960.00`."""

from typing import Literal

Language = Literal["nb", "sv", "en"]
_SPACE = "\u00a0"
_SEPARATORS = {"nb": (_SPACE, ","), "sv": (_SPACE, ","), "en": (",", ".")}
_SYMBOLS = {"NOK": "kr", "SEK": "kr", "DKK": "kr", "EUR": "€"}
_AFTER = {"sv"}
"""Languages that write the currency after the figure."""


def format_number(value: float, language: Language, *, decimals: int = 0) -> str:
    """`1 960,5`, `1,960.5`."""
    thousands, point = _SEPARATORS[language]
    return f"{value:,.{decimals}f}".replace(",", "\0").replace(".", point).replace("\0", thousands)


def format_amount(minor: int, currency: str, language: Language) -> str:
    """An amount in the currency's smallest unit; its parts are held together on one line."""
    sign, symbol = "−" if minor < 0 else "", _SYMBOLS.get(currency, currency)
    amount = format_number(abs(minor) / 100, language, decimals=2)
    return sign + _SPACE.join((amount, symbol) if language in _AFTER else (symbol, amount))
