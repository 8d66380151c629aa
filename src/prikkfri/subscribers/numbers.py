"""Telephone numbers: E.164 (`+4791234567`) inside, whatever people write at the edges, masked where they are shown."""

import phonenumbers

WRITTEN_CHARACTERS_MAX = 40


def e164(written: str, region: str) -> str | None:
    """The number that somebody in `region` (`NO`, `SE`) wrote, in E.164; None when it cannot be a number.

    Length and country decide, not whether the range is in use: numbering plans change faster than programs.
    """
    if len(written) > WRITTEN_CHARACTERS_MAX:
        return None
    try:
        number = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    formatted: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return formatted
