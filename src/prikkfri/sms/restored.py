"""The mark, by which a database is known that is behind what it has been, and what becomes of what waits in it then.

How far the centre has come is noted on another path than the database's. A database that is behind that note, or that
is another one, was restored from a snapshot: what waits in it may have been sent since.
"""

import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from prikkfri.config import SENSITIVE_CLASSES
from prikkfri.sms.lifecycle import DeliveryState

_FORMAT = "prikkfri-mark-1"
_OCTET_MAX = 255
UNKNOWN = -1
"""How much is missing from a database that is another one."""


@dataclass(frozen=True)
class Mark:
    line: str
    """The history to which it belongs: another one begins with a lost database, and when a restored one is noticed."""
    commits: int
    position: int
    """Of the journal: outcomes."""
    at: float


class RestoreGap(NamedTuple):
    commits: int
    outcomes: int


class Decision(StrEnum):
    """Of a person, about the messages that waited in a restored snapshot."""

    DISCARD = "discard"
    SEND = "send"
    """They may come twice; of those that harm somebody then it is reported that nobody knows."""


class Restore(NamedTuple):
    """A restored snapshot that was noticed; the store's columns follow the order of these fields."""

    number: int
    line: str
    """The history that began when it was noticed."""
    mark_line: str
    mark_commits: int
    """The mark by which it was noticed."""
    noticed_at: float
    snapshot_at: float
    """When the newest outcome in it was stored; 0: it holds none."""
    marked_at: float
    commits_missing: int
    """`UNKNOWN` of another database, as the outcomes."""
    outcomes_missing: int
    found: int
    """1 when all that waited in it is known; until then nothing is taken on."""
    waiting: int
    """Messages that waited in it, or were in doubt: they may have been sent since."""
    sensitive: int
    """Of these, those that are never sent again; canaries, too."""
    accepted: int
    """Messages taken on since then, until a person had decided."""
    decision: str = ""
    decided_by: str = ""
    decided_at: float = 0.0
    given_up: int = 0
    let_go: int = 0
    """Messages that are sent, or waited for, as any other."""
    done_at: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether nothing is sent."""
        return not self.done_at

    @property
    def seconds_missing(self) -> float | None:
        """None: nobody can tell."""
        known = self.snapshot_at and self.commits_missing != UNKNOWN
        return max(self.marked_at - self.snapshot_at, 0.0) if known else None


def format_mark(mark: Mark) -> bytes:
    body = f"{_FORMAT} {mark.line} {mark.commits} {mark.position} {mark.at!r}"
    return f"{body} {zlib.crc32(body.encode()):08x}\n".encode()


def parse_mark(octets: bytes) -> Mark | None:
    """None: it is not, or not wholly, what was written."""
    try:
        body, _, check = octets.decode("ascii").removesuffix("\n").rpartition(" ")
        form, line, commits, position, at = body.split(" ")
        if form != _FORMAT or check != f"{zlib.crc32(body.encode()):08x}":
            return None
        return Mark(line, int(commits), int(position), float(at))
    except ValueError:
        return None


def find_gap(mark: Mark | None, found: Mark, noticed: Restore | None) -> RestoreGap | None:
    """What a database lacks that was there when the mark was made; None: nothing that the mark could tell.

    `found`: how far the database has come. `noticed`: the last time that something was missing from it.
    """
    if mark is None or (noticed is not None and (noticed.mark_line, noticed.mark_commits) == (mark.line, mark.commits)):
        return None
    if mark.line != found.line:
        return RestoreGap(UNKNOWN, UNKNOWN)
    if mark.commits <= found.commits:
        return None
    return RestoreGap(mark.commits - found.commits, max(mark.position - found.position, 0))


def octet_of(line: str) -> int:
    """The high octet of references of long texts in the first day of a history, 1 to 255; 0: none was lost before it.

    Another one than that of the history which was lost, as the mark tells: what the two have sent meets at no phone.
    """
    _, restored, tail = line.rpartition(".")
    return int(tail[-2:], 16) or _OCTET_MAX if restored else 0


def next_line(incarnation: str, entropy: bytes, mark: Mark) -> str:
    """The history that begins when it is noticed that the one of the mark is lost."""
    return f"{incarnation}.{entropy.hex()}{octet_of(mark.line) % _OCTET_MAX + 1:02x}"


def is_sensitive(message_class: str) -> bool:
    """Whether it is never sent when it may come twice."""
    return message_class in {*SENSITIVE_CLASSES, "canary"}


def is_abandoned(decision: str, state: str, message_class: str, *, overdue: bool) -> bool:
    """Whether a message that waited in a restored snapshot ends; one that a network has taken waits for its word."""
    may_be_sent = state in (DeliveryState.WAITING, DeliveryState.IN_DOUBT)
    return may_be_sent and (decision == Decision.DISCARD or is_sensitive(message_class) or overdue)


def trouble(restore: Restore) -> str:
    """A sentence for whoever looks after the centre."""
    if restore.decision:
        return "the SMS centre sends nothing until what waited in the restored snapshot has been gone through"
    return (
        f"the SMS centre sends nothing: its database is behind what it has been, as from a snapshot; {restore.waiting}"
        " messages in it may have been sent since; a person decides: prikkfri sms restored"
    )
