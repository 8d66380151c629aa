"""Money and numbers in three languages; the blanks are such that no line breaks there."""

import pytest

from prikkfri.protocols import money


@pytest.mark.parametrize(
    ("minor", "currency", "language", "said"),
    [
        (4_900, "NOK", "nb", "kr 49,00"),
        (4_900, "SEK", "sv", "49,00 kr"),
        (4_900, "NOK", "en", "kr 49.00"),
        (123_456_705, "NOK", "nb", "kr 1 234 567,05"),
        (123_456_705, "SEK", "sv", "1 234 567,05 kr"),
        (123_456_705, "EUR", "en", "€ 1,234,567.05"),
        (-150, "USD", "nb", "−USD 1,50"),
        (0, "DKK", "en", "kr 0.00"),
    ],
)
def test_an_amount_is_written_as_people_write_it(
    minor: int, currency: str, language: money.Language, said: str
) -> None:
    assert money.format_amount(minor, currency, language) == said.replace(" ", "\u00a0")


def test_figures_have_the_marks_of_their_language() -> None:
    assert money.format_number(31_204, "en") == "31,204"
    assert money.format_number(31_204.25, "nb", decimals=1) == "31\u00a0204,2"
    assert money.format_number(999, "sv") == "999"
