"""Whether a name is the one that somebody typed: the words of it in any order, each at least begun."""

import unicodedata


def folded(text: str) -> str:
    """Without the case of letters and without accents; å and ø and ä are letters of their own and stay."""
    if text.isascii():  # most are, and a search goes through all of them
        return text.lower()
    letters = unicodedata.normalize("NFC", text.casefold())
    return "".join(each if each in "åäöøæ" else _plain(each) for each in letters)


def words_of(name: str) -> tuple[str, ...]:
    return tuple(folded(name).replace("-", " ").split())


def is_named(name: str, sought: tuple[str, ...]) -> bool:
    """Whether each of the words sought begins a word of the name, each another one."""
    left = list(words_of(name))
    for word in sorted(sought, key=len, reverse=True):  # the longest first: a short one would take its place
        found = next((each for each in left if each.startswith(word)), None)
        if found is None:
            return False
        left.remove(found)
    return bool(sought)


def _plain(letter: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFD", letter) if not unicodedata.combining(each))
