"""Which message a partner's receipt tells of, when it writes the id in another way than when it gave it.

Partners answer a submission with `ff` and tell of it as `255`, as `FF` or as `0000000255`, and some write one way in
the receipt's parameter and another in its text. Ids are therefore kept folded (`fold`): small letters, no zeros before
them. A receipt's ids are looked for by each reading that its link may have (`expected_ids`), at most three keys for
each id, so that an index on the folded id is enough; what is found is told apart by the phone's number (`match`). What
fitted teaches how the link writes (`learn`); how it is known to write is then the only way that is tried (`readings`),
and `complaint` says when nothing fits any more.

    habit = Habit()                                             # stored by link, with what it has taught
    ways = readings(setting, habit)                             # setting: None, or what an operator says
    rows = SELECT ... WHERE key IN expected_ids(ids, ways)      # key: fold(the id of the answer)
    found = match(ids, (receipt.source, receipt.destination), rows, ways)
    habit = learn(habit, found)
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import repeat
from typing import Protocol

import msgspec
from msgspec import structs

VOTES_MIN = 10
"""So many receipts, and all by one reading, before a link is taken to write so always."""
MISSES_MAX = 5
"""So many in a row that fit nothing, and what was learnt is doubted."""
COMPLAINT_MISSES = 20
_DIGITS_MAX = 64
_AGREEING_DIGITS_MIN = 6
_DECIMAL_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_HEXADECIMAL_DIGITS = re.compile(r"[0-9a-f]+", re.ASCII)


class Reading(StrEnum):
    """How the id of a receipt is to be read to become the one of the answer."""

    SAME = "same"
    """As it is written, but for case and zeros."""
    DECIMAL = "decimal"
    """The receipt writes to base ten what the answer wrote to base sixteen."""
    HEXADECIMAL = "hexadecimal"
    """The other way round."""


ALL = tuple(Reading)
_SAME, _DECIMAL, _HEXADECIMAL = ALL


def fold(identity: str) -> str:
    """An id without what partners change from one PDU to the next: case, and the zeros before it."""
    identity = identity.strip().lower()
    return identity.lstrip("0") or identity[:1]


@lru_cache(maxsize=1_024)
def key(identity: str, reading: Reading) -> str | None:
    """The folded id that an answer had, if a receipt's id is to be read so; None when it cannot be."""
    folded = fold(identity)
    if not folded or len(folded) > _DIGITS_MAX:
        return folded or None if reading is _SAME else None
    if reading is _SAME:
        return folded
    if reading is _DECIMAL:
        return f"{int(folded):x}" if _DECIMAL_DIGITS.fullmatch(folded) else None
    return str(int(folded, 16)) if _HEXADECIMAL_DIGITS.fullmatch(folded) else None


def expected_ids(identities: Collection[str], ways: Sequence[Reading] = ALL) -> frozenset[str]:
    """The folded ids that a message may have of which a receipt with these ids tells."""
    return _expected(tuple(identities), tuple(ways))


@lru_cache(maxsize=1_024)  # a receipt's are asked for ahead, and again when it is looked at
def _expected(identities: tuple[str, ...], ways: tuple[Reading, ...]) -> frozenset[str]:
    return frozenset([found for each in identities for way in ways if (found := key(each, way)) is not None])


def keys_apart(receipts: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """Of the keys that several receipts may be about, those sets of which no key is another receipt's, too."""
    times = Counter(found for keys in receipts for found in keys)
    return [keys for keys in receipts if keys and all(times[found] == 1 for found in keys)]


class Candidate(Protocol):
    """A message that went over the link, and is open or has ended not long ago."""

    @property
    def message(self) -> str: ...

    @property
    def key(self) -> str:
        """The folded id that the link gave it."""

    @property
    def recipient(self) -> str:
        """With its country code."""


class Match(msgspec.Struct, frozen=True, gc=False):
    message: str
    taught: Reading | None
    """The one reading by which it fits; None when more than one does (`5` is five to any base)."""


class MismatchReason(StrEnum):
    NO_MESSAGE = "fits-no-message"
    OTHER_NUMBER = "fits-another-number"
    """The id is known, and none of the receipt's numbers is that of the message: it is not moved by it."""
    OTHER_REFERENCE = "names-another-reference"
    """The id is known, no number is told, and the reference is not that of the message, on a link that gives ours back.
    """
    SEVERAL = "fits-several"


def match(
    identities: Sequence[str],
    addresses: Collection[str],
    candidates: Collection[Candidate],
    ways: Sequence[Reading] = ALL,
) -> Match | MismatchReason:
    """The message of which a receipt tells.

    `identities`: that of the parameter before that of the text. `addresses`: both of the receipt's, since partners
    swap them; empty ones count for nothing, and where none is told, the id alone must name one message.
    """
    told = [address for address in addresses if address]
    expected = expected_ids(identities, ways)
    by_id = [each for each in candidates if each.key in expected]
    if not by_id:
        return MismatchReason.NO_MESSAGE
    fitting = [each for each in by_id if any(map(is_number_of, repeat(each.recipient), told))] if told else by_id
    if not fitting:
        return MismatchReason.OTHER_NUMBER
    # The parameter is the network's own word, and as it is written comes before what it could be read as.
    for identity in identities:
        read = [key(identity, way) for way in ways]
        by_this = [each for each in fitting if each.key in read]
        if len({each.message for each in by_this}) == 1:
            found = by_this[0]
            taught = ways[read.index(found.key)] if told and read.count(found.key) == 1 else None
            return Match(found.message, taught)
    return MismatchReason.SEVERAL


def is_number_of(recipient: str, written: str) -> bool:
    """Whether a partner may write a phone's number so: with its country code, or as people of its own country do."""
    digits = written.strip().lstrip("+").lstrip("0")
    return recipient == digits or (len(digits) >= _AGREEING_DIGITS_MIN and recipient.endswith(digits))


class Habit(msgspec.Struct, frozen=True, gc=False):
    """What a link's receipts have taught of how it writes ids; to be stored by link."""

    same: int = 0
    decimal: int = 0
    hexadecimal: int = 0
    """How many receipts fitted by this reading and no other."""
    missed: int = 0
    """How many in a row fitted nothing, up to now."""

    @property
    def settled(self) -> Reading | None:
        """The one way in which the link writes; None while that is not known, or when it writes in several."""
        same, decimal, hexadecimal = self.same, self.decimal, self.hexadecimal
        votes = same + decimal + hexadecimal
        if votes < VOTES_MIN or votes not in (same, decimal, hexadecimal):
            return None
        return _SAME if same else _DECIMAL if decimal else _HEXADECIMAL


def readings(setting: Reading | None, habit: Habit) -> tuple[Reading, ...]:
    """The ways to try: what is set; else what was learnt, unless it has begun to fail; else all."""
    if setting is not None:
        return (setting,)
    settled = habit.settled if habit.missed < MISSES_MAX else None
    return (settled,) if settled else ALL


def learn(habit: Habit, found: Match | MismatchReason) -> Habit:
    """What is known after one more receipt. One that fits another number or several teaches nothing."""
    if not isinstance(found, Match):
        return structs.replace(habit, missed=habit.missed + 1) if found is MismatchReason.NO_MESSAGE else habit
    if found.taught is None:
        return structs.replace(habit, missed=0)
    same, decimal, hexadecimal = habit.same, habit.decimal, habit.hexadecimal
    if habit.settled not in (None, found.taught):
        same = decimal = hexadecimal = 0  # the partner has changed its ways
    return Habit(
        same + (found.taught is _SAME),
        decimal + (found.taught is _DECIMAL),
        hexadecimal + (found.taught is _HEXADECIMAL),
    )


def complaint(link: str, setting: Reading | None, habit: Habit) -> str | None:
    """One line for people when a link's receipts fit no message by any reading that is tried; None while they do."""
    if habit.missed < COMPLAINT_MISSES:
        return None
    tried = f"as {setting}, as is set" if setting else "to any base"
    return f"link {link}: the last {habit.missed} receipts fit no message, their ids read {tried}"
