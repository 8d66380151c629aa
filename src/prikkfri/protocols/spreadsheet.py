"""CSV that people open in a spreadsheet: no cell of it is a formula."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: object) -> object:
    """What to write: a text that a spreadsheet would take for a formula is marked as text (`'`).

    A number with its plus is none. `strip_mark` takes the mark off again.
    """
    if isinstance(value, str) and _is_formula(value):
        return f"'{value}"
    return value


def strip_mark(text: str) -> str:
    """What was meant by a cell that `cell` may have marked."""
    return text[1:] if text[:1] == "'" and _is_formula(text[1:]) else text


def _is_formula(text: str) -> bool:
    return text.startswith(_FORMULA) and not text.lstrip("+").isdigit()
