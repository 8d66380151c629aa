"""How a partner speaks, told from its own traffic: by link, in memory that does not grow with what passes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from prikkfri.protocols.smpp.receipt import Receipt

WORDS_MAX = 20
"""Of each link; whatever more its receipts say is counted together."""
OTHER_WORDS = "other"
NO_WORD = "none"


@dataclass
class Traffic:
    """Of one link, since the centre started."""

    states: Counter[str] = field(default_factory=Counter)
    """Receipts by the state that they tell."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Those whose state nobody knows, by its word."""
    unnamed: int = 0
    """Receipts that say of no message."""

    def note_receipts(self, receipts: Iterable[Receipt], *, unnamed: int = 0) -> list[str]:
        """Counts what has come; returns the unknown words that have come for the first time."""
        self.unnamed += unnamed
        new = []
        for receipt in receipts:
            if receipt.state is not None:
                self.states[receipt.state.name] += 1
                continue
            word = receipt.word or NO_WORD
            if word not in self.unknown and len(self.unknown) >= WORDS_MAX:
                word = OTHER_WORDS
            if word not in self.unknown:
                new.append(word)
            self.unknown[word] += 1
        return new


def label(text: str) -> str:
    """A word of a partner as the value of a label in Prometheus' text format."""
    plain = text.encode("unicode_escape").decode()  # a backslash is two there
    return plain.replace('"', '\\"')
