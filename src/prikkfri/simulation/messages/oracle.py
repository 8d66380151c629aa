"""The judge's own book: what was handed in, what was answered, what left, and what each phone got.

It reads the octets on the wire (`wire`), and shares no code with the centre.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from prikkfri.simulation.messages.texts import WrittenMessage, decode, marks_in, proof_of
from prikkfri.simulation.messages.wire import (
    DELIVER,
    DELIVER_ANSWER,
    SUBMIT,
    SUBMIT_ANSWER,
    Frames,
    Part,
    Short,
    short,
)
from prikkfri.simulation.virtual.network import Pipe

_ASKED = {SUBMIT: SUBMIT_ANSWER, DELIVER: DELIVER_ANSWER}


class Piece(NamedTuple):
    """What one PDU has of a message."""

    number: int
    part: int
    """Of how it was cut, from 1; 0: it is whole. On its way it may be cut anew."""


@dataclass
class Book:
    written: Mapping[int, WrittenMessage]
    """By number."""
    nameless: Set[str] = frozenset()
    """Links whose receipts say no number."""
    accepted: dict[Piece, str] = field(default_factory=dict)
    """The id that the centre gave it."""
    order: list[Piece] = field(default_factory=list)
    """As they were accepted."""
    refused: Counter[int] = field(default_factory=Counter)
    """By status."""
    left: dict[Piece, int] = field(default_factory=dict)
    """The place in the order in which each left for the first time."""
    taken: Counter[Piece] = field(default_factory=Counter)
    """How often whoever is next took it on; how often a phone got it."""
    told: defaultdict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """What was told by receipts: states by link, number and the id that the link had given."""
    heard: set[tuple[str, str, str]] = field(default_factory=set)
    """Of them, those that the centre has said it has taken."""
    given: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """To how many messages a link gave what its receipts can name them by: link, number and id."""
    fates: defaultdict[Piece, set[str]] = field(default_factory=lambda: defaultdict(set))
    """What its link decided to tell of each, as often as it took it on."""
    strangers: list[str] = field(default_factory=list)
    """A message, or a part of one, that came to somebody else. There is to be none."""
    torn: list[str] = field(default_factory=list)
    """A text that is not what was written."""
    restores: int = 0
    """So many snapshots were restored."""
    forgotten: set[Piece] = field(default_factory=set)
    """Accepted after a snapshot that was restored."""
    held: bool = False
    """A snapshot was restored, and no person has said yet what becomes of what waited in it."""
    rash: list[str] = field(default_factory=list)
    """What left all the same."""

    def __post_init__(self) -> None:
        self._frames: defaultdict[tuple[int, bool], Frames] = defaultdict(Frames)
        self._asked: dict[tuple[int, int], Piece] = {}
        self._handed: dict[tuple[int, int], _Seen] = {}
        self._parts: dict[tuple[str, str, int, int], dict[int, str]] = {}
        self._last: dict[tuple[str, str, int, int], int] = {}
        """Of which message the part was that left last, by what a phone puts parts together by."""
        self._texts: defaultdict[tuple[str, str], list[WrittenMessage]] = defaultdict(list)
        for each in self.written.values():
            self._texts[each.sender, each.recipient].append(each)
        self._places = 0

    def name(self, link: str, number: str, identity: str) -> tuple[str, str, str]:
        """What a receipt can say of a message: over which link, for whom, and by which id."""
        return link, "" if link in self.nameless else number, identity

    # the wire

    def centre_hears(self, pipe: Pipe, octets: bytes) -> None:
        """`pipe`: the centre's end."""
        for command, _, sequence, body in self._frames[pipe.number, True].feed(octets):
            if command in _ASKED and (seen := self._seen(body)) is not None:
                self._asked[pipe.number, sequence] = seen.piece

    def centre_says(self, pipe: Pipe, octets: bytes) -> None:
        for command, status, sequence, body in self._frames[pipe.number, False].feed(octets):
            if command in _ASKED:
                self._leaves(pipe, sequence, body)
            elif command in (SUBMIT_ANSWER, DELIVER_ANSWER):
                piece = self._asked.pop((pipe.number, sequence), None)
                if piece is None:
                    continue
                if status == 0:
                    self.accept(piece, body.split(b"\0")[0].decode("latin-1"))
                else:
                    self.refused[status] += 1

    def accept(self, piece: Piece, identity: str) -> None:
        self.accepted[piece] = identity
        self.order.append(piece)

    def snapshot(self) -> Callable[[], None]:
        """To be called when what is stored at this moment is brought back: what came after it is not known any more."""
        accepted, heard = set(self.accepted), set(self.heard)

        def restored() -> None:
            self.forgotten |= set(self.accepted) - accepted
            self.heard &= heard
            self.held = True
            self.restores += 1

        return restored

    def hear(self, receipt: Iterable[tuple[str, str, str]], *, restores: int) -> None:
        """The centre has said that it has taken a receipt, which was sent to it after so many restores.

        What it has said of one from before the last is on its way still: of that it knows nothing any more.
        """
        if restores == self.restores:
            self.heard.update(receipt)

    def _leaves(self, pipe: Pipe, sequence: int, body: bytes) -> None:
        seen = self._seen(body)
        if self.held:
            said = seen.piece if seen else "a receipt"
            self.rash.append(f"{said} left after a snapshot was restored, and nobody had decided")
        if seen is None:
            return  # a receipt
        self._handed[pipe.peer.number, sequence] = seen
        self._places += 1
        self.left.setdefault(seen.piece, self._places)
        whose = seen.message.destination.lstrip("+")
        for number, proof in seen.marks:
            known = self.written.get(number)
            if known is None or known.recipient != whose or proof != proof_of(number, whose):
                self.strangers.append(f"{number} left for {whose}")

    def decide(self, pipe: Pipe, sequence: int, state: str) -> None:
        """Whoever is at the other end will tell this of it, if anything."""
        self.fates[self._handed[pipe.number, sequence].piece].add(state)

    def take(self, pipe: Pipe, sequence: int) -> None:
        """Whoever is at the other end has taken on what came to `pipe`, and handed it to the phone."""
        piece, message, text, _ = self._handed.pop((pipe.number, sequence))
        self.taken[piece] += 1
        written = self.written[piece.number]
        if message.part is None:
            if text != written.text:
                self.torn.append(f"{piece.number}: {text!r}")
            return
        key = _together(message, message.part)
        parts = self._parts.setdefault(key, {})
        parts[message.part.number] = text
        if len(parts) == message.part.total:
            del self._parts[key]
            whole = "".join(parts[place] for place in sorted(parts))
            if whole != written.text:
                self.torn.append(f"{piece.number}: {whole!r}")

    def _seen(self, body: bytes) -> "_Seen | None":
        try:
            message = short(body)
        except (ValueError, IndexError):
            return None  # no message of anybody's
        if message.is_receipt:
            return None
        text = decode(message.text, message.coding)
        marks = marks_in(text)
        number = marks[0][0] if marks else self._whose(message, text)
        if number is None:
            return None
        if message.part is not None:
            self._last[_together(message, message.part)] = number
        return _Seen(Piece(number, message.part.number if message.part else 0), message, text, marks)

    def _whose(self, message: Short, text: str) -> int | None:
        """Of which message a part is that has no whole mark, having been cut anew."""
        if message.part is None:
            return None
        told = [each for each in self._texts[message.source, message.destination.lstrip("+")] if text in each.text]
        if not told:
            self.strangers.append(f"a part of nobody's text left for {message.destination}: {text!r}")
            return None
        if len(told) == 1:
            return told[0].number
        # A few letters, or none, may be of several: those of whom a part has left before.
        return self._last.get(_together(message, message.part), told[0].number)


def _together(message: Short, part: Part) -> tuple[str, str, int, int]:
    """By what a phone puts parts together: sender, number and total.

    TS 23.040 has references of 8 and of 16 bits in two elements (9.2.3.24.1 and .8); phones are about that keep the
    number alone (Android: address, reference_number and count), so of two of one number it is taken to be the same.
    """
    return message.source, message.destination, part.reference, part.total


class _Seen(NamedTuple):
    """A PDU with something of a message in it."""

    piece: Piece
    message: Short
    text: str
    marks: Sequence[tuple[int, str]]


class Row(NamedTuple):
    """What the centre has stored of a message at the end."""

    id: str
    submission: str
    part: int
    state: str
    doubts: int
    """And whether it waited in a snapshot that was restored: it may have left before."""
    target: str
    recipient: str
    next_hop_id: str
    reason: str


_OPENLY = frozenset({"undeliverable", "rejected", "expired"})
_HANDED_OVER = frozenset({"sent", "unreported"})
_WAITING = frozenset({"waiting", "sending"})


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What became of messages; each part is one."""

    accepted: int = 0
    delivered: int = 0
    failed_openly: int = 0
    cancelled: int = 0
    in_doubt: int = 0
    quarantined: int = 0
    handed_over: int = 0
    waiting: int = 0
    restored: int = 0
    lost: int = 0
    misdelivered: int = 0
    """Texts, or parts of them, that were shown to somebody else, or as part of another text."""
    out_of_order: int = 0
    duplicated_sensitive: int = 0
    duplicated_ordinary_unlisted: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


def judge(book: Book, rows: Sequence[Row]) -> tuple[Figures, list[str]]:
    """The figures of a world, and in words what is wrong."""
    by_id = {row.id: row for row in rows}
    _cut(book, rows)
    states: Counter[str] = Counter()
    wrong: list[str] = [*(f"to a stranger: {each}" for each in book.strangers), *(f"torn: {t}" for t in book.torn)]
    wrong += book.rash
    lost = restored = twice_sensitive = twice_unlisted = 0
    for piece, identity in book.accepted.items():
        row = by_id.get(identity)
        if row is None and piece in book.forgotten:
            restored += 1
            continue
        if row is None:
            lost += 1
            wrong.append(f"{piece}: accepted as {identity}, and not known any more")
            continue
        kind = (
            "failed_openly" if row.state in _OPENLY
            else "handed_over" if row.state in _HANDED_OVER
            else "waiting" if row.state in _WAITING
            else row.state.replace("-", "_")
        )  # fmt: skip
        states[kind] += 1
        # Where a partner gave one id twice to messages for one number, nobody can know of which it tells.
        is_named = book.given[_name(book, row)] <= 1
        if row.state == "delivered" and not book.taken[piece] and is_named:
            lost += 1
            wrong.append(f"{piece}: told as delivered, and nobody got it")
        if is_named and (told := _told_otherwise(book, piece, row)) is not None:
            lost += 1
            wrong.append(f"{piece}: {row.state}, and {told}")
        if book.taken[piece] > 1:
            if book.written[piece.number].sensitive:
                twice_sensitive += 1
                wrong.append(f"{piece}: {book.taken[piece]} times, though it is sensitive")
            elif not row.doubts:
                twice_unlisted += 1
                wrong.append(f"{piece}: {book.taken[piece]} times, and never in doubt")
    # What was claimed when a process ended may have left or not: which attempt is the first one nobody knows.
    unsure = {piece for piece, identity in book.accepted.items() if identity in by_id and by_id[identity].doubts}
    figures = Figures(
        accepted=len(book.accepted),
        restored=restored,
        lost=lost,
        misdelivered=len(book.strangers) + len(book.torn),
        out_of_order=len(late := _out_of_order(book, unsure)),
        duplicated_sensitive=twice_sensitive,
        duplicated_ordinary_unlisted=twice_unlisted,
        **states,
    )
    wrong += late
    return figures, wrong


def _name(book: Book, row: Row) -> tuple[str, str, str]:
    return book.name(row.target.removeprefix("link:"), row.recipient, row.next_hop_id)


def _told_otherwise(book: Book, piece: Piece, row: Row) -> str | None:
    """What its link has told of it, where its end is by a receipt and that is another."""
    key = _name(book, row)
    if row.state in _HANDED_OVER and not row.doubts and key in book.heard:
        return f"{row.target} was answered that its receipt is taken"
    by_receipt = row.state == "delivered" or row.reason.startswith("network-")
    if by_receipt and piece in book.fates and row.state not in book.fates[piece]:
        return f"{row.target} would tell {sorted(book.fates[piece])} of it"
    if not by_receipt or not row.next_hop_id or row.doubts:  # who is in doubt may be found by our own reference
        return None
    told = book.told[key]
    return None if row.state in told else f"{row.target} told {sorted(told) or 'nothing'} of it"


def _cut(book: Book, rows: Sequence[Row]) -> None:
    """What was handed in as one and left in parts is a message for each part."""
    parts: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.part:
            parts[row.submission].append(row)
    accepted: dict[Piece, str] = {}
    order: list[Piece] = []
    for piece in book.order:
        identity = book.accepted[piece]
        cut = sorted(parts.get(identity, ()), key=lambda row: row.part)
        before = len(cut) * max(piece.part - 1, 0)
        found = {Piece(piece.number, before + row.part): row.id for row in cut} or {piece: identity}
        accepted |= found
        order += found
    book.accepted, book.order = accepted, order


def _out_of_order(book: Book, unsure: Set[Piece]) -> list[str]:
    """First attempts that left before what was accepted before them, for an account's sender and one recipient."""
    found = []
    newest: dict[tuple[str, str, str], tuple[int, Piece]] = {}
    for piece in book.order:
        place = book.left.get(piece)
        if place is None or piece in unsure:
            continue
        written = book.written[piece.number]
        pair = (written.account, written.sender, written.recipient)
        before = newest.get(pair)
        if before is not None and place < before[0]:
            found.append(f"{piece} left before {before[1]}, which was accepted before it")
        if before is None or place > before[0]:
            newest[pair] = (place, piece)
    return found
