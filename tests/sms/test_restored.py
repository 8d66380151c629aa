"""The mark: read back as it was written or not at all; and what it tells of a database."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from prikkfri.config import SENSITIVE_CLASSES
from prikkfri.sms.lifecycle import DeliveryState
from prikkfri.sms.restored import (
    UNKNOWN,
    Decision,
    Mark,
    Restore,
    RestoreGap,
    find_gap,
    format_mark,
    is_abandoned,
    is_sensitive,
    next_line,
    octet_of,
    parse_mark,
    trouble,
)

COUNTS = st.integers(0, 2**62)
MARKS = st.builds(
    Mark,
    line=st.text("0123456789abcdef.", min_size=1, max_size=40),
    commits=COUNTS,
    position=COUNTS,
    at=st.floats(0, 1e11),
)
BEGUN = Restore(1, "new", "old", 7, 1_000.0, 900.0, 960.5, 3, 2, 1, 5, 2, 0)


@given(MARKS)
def test_a_mark_is_read_as_it_was_written(mark: Mark) -> None:
    assert parse_mark(format_mark(mark)) == mark


@given(MARKS, st.data())
def test_a_torn_or_garbled_mark_is_none(mark: Mark, data: st.DataObject) -> None:
    octets = format_mark(mark)
    assert parse_mark(octets[: data.draw(st.integers(0, len(octets) - 2))]) is None
    place, bit = data.draw(st.integers(0, len(octets) - 2)), data.draw(st.integers(0, 7))
    changed = bytearray(octets)
    changed[place] ^= 1 << bit
    # The case of its check is the one thing that may differ: its digits are compared as they are written.
    assert parse_mark(bytes(changed)) is None


@given(st.binary(max_size=120))
def test_what_is_no_mark_is_none(octets: bytes) -> None:
    assert parse_mark(octets) is None


def test_another_format_is_none() -> None:
    for octets in (b"prikkfri-mark-2 a 1 2 3.0", b"prikkfri-mark-1 a  1 2 3.0"):
        assert parse_mark(octets + f" {zlib.crc32(octets):08x}\n".encode()) is None


def test_what_is_missing_is_what_the_mark_had() -> None:
    mark = Mark("line", 10, 100, 5.0)
    assert find_gap(None, Mark("line", 0, 0, 0.0), None) is None
    for commits in (10, 11):
        assert find_gap(mark, Mark("line", commits, 0, 0.0), None) is None
    assert find_gap(mark, Mark("line", 9, 97, 0.0), None) == RestoreGap(1, 3)
    assert find_gap(mark, Mark("line", 0, 101, 0.0), None) == RestoreGap(10, 0)
    assert find_gap(mark, Mark("other", 99, 999, 0.0), None) == RestoreGap(UNKNOWN, UNKNOWN)


@given(st.binary(min_size=7, max_size=7), st.integers(1, 300))
def test_histories_that_follow_each_other_have_octets_of_their_own(entropy: bytes, many: int) -> None:
    lines = ["0123abcd"]
    for _ in range(many):
        lines.append(next_line("0123abcd", entropy, Mark(lines[-1], 1, 1, 0.0)))
    octets = [octet_of(line) for line in lines]
    assert octets[0] == 0 and set(octets[1:]) <= set(range(1, 256))
    assert all(len(set(octets[at : at + 255])) == 255 for at in range(1, many - 253))
    assert len(set(octets[:256])) == len(octets[:256])


def test_a_history_of_before_has_an_octet_too() -> None:
    assert [octet_of(f"0123abcd.00112233445566{last}") for last in ("00", "01", "ff")] == [255, 1, 255]


def test_what_was_noticed_by_a_mark_is_not_noticed_by_it_again() -> None:
    """The process ended before the first mark of the new history was written."""
    noticed = BEGUN._replace(mark_line="line", mark_commits=10)
    assert find_gap(Mark("line", 10, 0, 0.0), Mark("new", 3, 0, 0.0), noticed) is None
    assert find_gap(Mark("line", 11, 0, 0.0), Mark("new", 3, 0, 0.0), noticed) == RestoreGap(UNKNOWN, UNKNOWN)
    assert find_gap(Mark("new", 10, 0, 0.0), Mark("new", 3, 0, 0.0), noticed) == RestoreGap(7, 0)


@given(st.lists(st.sampled_from(("commit", "mark", "snapshot", "start")), max_size=40), st.data())
def test_whatever_happens_a_start_is_held_exactly_when_a_mark_is_ahead(events: list[str], data: st.DataObject) -> None:
    """Commits, marks, snapshots, and starts from the database or any snapshot of it, in any order."""
    database, mark, lines = Mark("0", 0, 0, 0.0), None, 0
    noticed: Restore | None = None
    snapshots: list[tuple[Mark, Restore | None]] = []
    marked: set[tuple[str, int]] = set()  # all histories that the mark has seen
    for event in events:
        if event == "commit":
            database = Mark(database.line, database.commits + 1, 0, 0.0)
        elif event == "mark":
            mark = database
            marked = {(database.line, commits) for commits in range(database.commits + 1)}
        elif event == "snapshot":
            snapshots.append((database, noticed))
        else:
            database, noticed = data.draw(st.sampled_from([(database, noticed), *snapshots]))
            found = find_gap(mark, database, noticed)
            behind = mark is not None and (mark.line, mark.commits) not in {
                (database.line, commits) for commits in range(database.commits + 1)
            }
            known = noticed is not None and mark is not None and noticed.mark_line == mark.line
            known = known and noticed is not None and mark is not None and noticed.mark_commits == mark.commits
            assert (found is not None) == (behind and not known)
            if found is not None:
                assert mark is not None
                lines += 1
                database = Mark(str(lines), database.commits + 1, 0, 0.0)
                noticed = BEGUN._replace(number=lines, line=str(lines), mark_line=mark.line, mark_commits=mark.commits)
    assert mark is None or (mark.line, mark.commits) in marked


def test_what_may_be_sent_is_given_up_or_not_as_decided_and_a_sensitive_one_always() -> None:
    for state in DeliveryState:
        may_be_sent = state in (DeliveryState.WAITING, DeliveryState.IN_DOUBT)
        assert is_abandoned(Decision.DISCARD, state, "ordinary", overdue=False) == may_be_sent
        assert not is_abandoned(Decision.SEND, state, "ordinary", overdue=False)
        assert is_abandoned(Decision.SEND, state, "ordinary", overdue=True) == may_be_sent
        for message_class in {*SENSITIVE_CLASSES, "canary"}:
            assert is_abandoned(Decision.SEND, state, message_class, overdue=False) == may_be_sent
    assert is_sensitive("canary") and is_sensitive("log-in-code") and not is_sensitive("ordinary")


def test_what_is_known_of_a_restored_snapshot() -> None:
    assert BEGUN.seconds_missing == 60.5
    assert BEGUN._replace(marked_at=899.0).seconds_missing == 0.0
    assert BEGUN._replace(snapshot_at=0.0).seconds_missing is None
    assert BEGUN._replace(commits_missing=UNKNOWN).seconds_missing is None
    assert BEGUN.holds and not BEGUN._replace(done_at=1.0).holds
    assert "5 messages in it may have been sent since" in trouble(BEGUN)
    assert "has been gone through" in trouble(BEGUN._replace(decision="send"))
