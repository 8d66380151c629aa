"""The judge of messages reads the wire by itself: what comes to a stranger, gets lost, or comes twice is said."""

import random
from types import SimpleNamespace
from typing import Any

import pytest

from prikkfri.protocols.smpp.concatenation import ESM_CLASS_HEADER
from prikkfri.protocols.smpp.pdu import HEADER, Command, ShortMessage, Tag, encode_body
from prikkfri.protocols.smpp.session import Limits
from prikkfri.simulation.messages.drawing import TABLE, draw
from prikkfri.simulation.messages.many import Judgement, result, worlds
from prikkfri.simulation.messages.oracle import Book, Figures, Piece, Row, judge
from prikkfri.simulation.messages.peers import bodies
from prikkfri.simulation.messages.running import TIMES
from prikkfri.simulation.messages.texts import GSM, UCS2, WrittenMessage, compose, decode, encode, marks_in, proof_of
from prikkfri.simulation.messages.wire import Frames, short
from prikkfri.sms.timing import TIMING, Timing

ANNA, BERIT = "4790000001", "4790000002"


def written(
    number: int = 1, *, recipient: str = ANNA, coding: int = GSM, marks: int = 1, **known: Any
) -> WrittenMessage:
    text = compose(random.Random(number), number, recipient, coding, marks)
    facts = {"account": "shop", "sender": "Shop", "sensitive": False, "at": 0.0, **known}
    return WrittenMessage(number=number, recipient=recipient, text=text, coding=coding, **facts)


class Wire:
    """A centre, an account on one side and a partner on the other, as the judge sees them."""

    def __init__(self, *messages: WrittenMessage) -> None:
        self.book = Book({each.number: each for each in messages})
        self.account: Any = SimpleNamespace(number=1, peer=SimpleNamespace(number=2))
        self.link: Any = SimpleNamespace(number=3, peer=SimpleNamespace(number=4))
        self.rows: list[Row] = []
        self.sequence = 0

    def accept(self, message: WrittenMessage, status: int = 0, state: str = "delivered", **known: Any) -> list[bytes]:
        """Hands it in, and has it taken; the bodies."""
        handed = bodies(message, 7)
        for place, body in enumerate(handed, start=1):
            self.sequence += 1
            asked = HEADER.pack(16 + len(body), Command.SUBMIT_SM, 0, self.sequence) + body
            for octet in (asked[:9], asked[9:]):
                self.book.centre_hears(self.account, octet)
            identity = f"id-{message.number}-{place}"
            answer = identity.encode() + b"\0"
            head = HEADER.pack(16 + len(answer), Command.SUBMIT_SM_RESP, status, self.sequence)
            self.book.centre_says(self.account, head + answer)
            facts = {
                "doubts": 0,
                "target": "link:nord",
                "recipient": message.recipient,
                "next_hop_id": "",
                "reason": "",
            }
            row = Row(id=identity, submission=identity, part=0, state=state, **{**facts, **known})
            self.rows += [row] if status == 0 else []
        return handed

    def send(self, body: bytes, *, taken: bool = True) -> None:
        self.sequence += 1
        self.book.centre_says(self.link, HEADER.pack(16 + len(body), Command.SUBMIT_SM, 0, self.sequence) + body)
        if taken:
            self.book.take(self.link.peer, self.sequence)

    def judged(self) -> tuple[Figures, list[str]]:
        return judge(self.book, self.rows)


def redirected(body: bytes, to: str) -> bytes:
    return body.replace(ANNA.encode(), to.encode())


@pytest.mark.parametrize("coding", [GSM, UCS2])
@pytest.mark.parametrize("marks", [1, 2, 9, 14, 20])
def test_what_is_as_it_should_be_is_found_so(coding: int, marks: int) -> None:
    message = written(coding=coding, marks=marks)
    wire = Wire(message)
    for body in wire.accept(message):
        wire.send(body)
    parts = len(wire.rows)
    assert (parts > 1) is (marks > 2)
    assert wire.judged() == (Figures(accepted=parts, delivered=parts), [])


def test_each_part_of_a_text_tells_whose_it_is() -> None:
    for number in (*range(1, 200), 839, 1_619, 2_233):  # of the last ones a cut leaves a letter to the last part
        message = written(number, coding=(GSM, UCS2)[number % 2], marks=9 + number % 12)
        for body in bodies(message, number):
            read = short(body)
            assert read.part is not None and read.part.reference == number % 256
            found = list(marks_in(decode(read.text, read.coding)))
            assert found and all(each == (number, proof_of(number, ANNA)) for each in found)


@pytest.mark.parametrize("coding", [GSM, UCS2])
def test_a_text_is_read_as_it_was_written(coding: int) -> None:
    text = compose(random.Random(1), 1, ANNA, coding, 30)
    assert decode(encode(text, coding), coding) == text


def test_a_message_at_a_strangers_phone_is_seen_when_it_leaves() -> None:
    message = written()
    wire = Wire(message)
    [body] = wire.accept(message)
    wire.send(redirected(body, BERIT), taken=False)
    figures, wrong = wire.judged()
    assert figures.misdelivered >= 1
    assert any(f"1 left for {BERIT}" in each for each in wrong)


def test_a_part_of_a_neighbours_text_is_seen() -> None:
    one, other = written(1), written(2, recipient=BERIT)
    wire = Wire(one, other)
    [first], [second] = wire.accept(one), wire.accept(other)
    # The second goes to its own phone with the first one's octets in it.
    swapped = second[: -len(encode(other.text, GSM))] + encode(one.text, GSM)
    wire.send(swapped, taken=False)
    wire.send(first)
    figures, _ = wire.judged()
    assert figures.misdelivered >= 1


def test_two_texts_in_one_are_seen() -> None:
    one, other = written(1, marks=9), written(2, marks=9)
    wire = Wire(one, other)
    parts, others = wire.accept(one), wire.accept(other)
    assert len(parts) == len(others) == 2
    wire.send(parts[0])
    wire.send(others[1])  # of the same sender, reference and total
    figures, wrong = wire.judged()
    assert figures.misdelivered == 1 and "torn" in wrong[0]


def test_what_was_acknowledged_and_is_gone_is_lost_and_what_was_refused_is_not() -> None:
    one, other = written(1), written(2)
    wire = Wire(one, other)
    wire.accept(one)
    wire.accept(other, status=0x14)
    wire.rows.clear()
    figures, wrong = wire.judged()
    assert (figures.accepted, figures.lost, len(wrong)) == (1, 1, 1)
    assert wire.book.refused == {0x14: 1}


def test_what_is_told_as_delivered_and_came_to_nobody_is_lost() -> None:
    message = written()
    wire = Wire(message)
    wire.accept(message)
    assert wire.judged()[0].lost == 1


@pytest.mark.parametrize(
    ("state", "reason", "hop", "doubts", "lost"),
    [
        ("delivered", "", "a1", 0, 0),
        ("delivered", "", "a2", 0, 1),  # told of another id
        ("undeliverable", "network-001", "a1", 0, 1),  # told otherwise
        ("undeliverable", "smpp-0x45", "a1", 0, 0),  # by its answer, not by a receipt
        ("delivered", "", "a2", 1, 0),  # in doubt it may be found by our own reference
        ("delivered", "", "", 0, 0),
    ],
)
def test_an_end_that_its_link_has_not_told_is_seen(state: str, reason: str, hop: str, doubts: int, lost: int) -> None:
    message = written()
    wire = Wire(message)
    [body] = wire.accept(message, state=state, reason=reason, next_hop_id=hop, doubts=doubts)
    wire.send(body)
    wire.book.told["nord", ANNA, "a1"].add("delivered")
    assert wire.judged()[0].lost == lost


@pytest.mark.parametrize(
    ("nameless", "given", "lost"),
    [(False, (1, 1), 2), (True, (1, 1), 0), (True, (1, 0), 2), (False, (2, 1), 1)],
)
def test_a_receipt_of_which_nobody_can_know_what_it_tells_of_is_not_held_against_anybody(
    nameless: bool, given: tuple[int, int], lost: int
) -> None:
    """One id for two messages: where receipts say no number, or the number is one, neither can be settled."""
    one, other = written(1), written(2, recipient=BERIT)
    wire = Wire(one, other)
    wire.book.nameless |= {"nord"} if nameless else set()
    for message, times in zip((one, other), given, strict=True):
        [body] = wire.accept(message, state="sent", next_hop_id="a1")
        wire.send(body)
        for _ in range(times):
            wire.book.given[wire.book.name("nord", message.recipient, "a1")] += 1
        wire.book.heard.add(wire.book.name("nord", message.recipient, "a1"))
    assert wire.judged()[0].lost == lost


@pytest.mark.parametrize("doubts", [0, 1])
@pytest.mark.parametrize(("state", "reason"), [("delivered", ""), ("undeliverable", "network-001")])
def test_an_end_by_a_receipt_of_another_message_is_seen_also_after_a_doubt(
    doubts: int, state: str, reason: str
) -> None:
    for fate in ("delivered", "undeliverable"):
        message = written()
        wire = Wire(message)
        [body] = wire.accept(message, state=state, reason=reason, next_hop_id="a1", doubts=doubts)
        wire.book.told["nord", ANNA, "a1"].add(state)
        wire.send(body, taken=False)
        wire.book.decide(wire.link.peer, wire.sequence, fate)
        wire.book.take(wire.link.peer, wire.sequence)
        figures, wrong = wire.judged()
        assert figures.lost == (fate != state)
        assert all("would tell" in each for each in wrong)


@pytest.mark.parametrize(
    ("sensitive", "doubts", "found"),
    [(False, 0, (0, 1)), (False, 1, (0, 0)), (True, 0, (1, 0)), (True, 1, (1, 0))],
)
def test_twice_is_told_unless_it_was_in_doubt_and_a_sensitive_one_always(
    sensitive: bool, doubts: int, found: tuple[int, int]
) -> None:
    message = written(sensitive=sensitive)
    wire = Wire(message)
    [body] = wire.accept(message, doubts=doubts)
    wire.send(body)
    wire.send(body)
    figures, _ = wire.judged()
    assert (figures.duplicated_sensitive, figures.duplicated_ordinary_unlisted) == found


def test_order_is_that_of_acceptance_for_each_sender_and_recipient() -> None:
    three = [written(1), written(2), written(3, recipient=BERIT)]
    wire = Wire(*three)
    [first], [second], [third] = (wire.accept(each) for each in three)
    for body in (third, second, first):
        wire.send(body)
    figures, wrong = wire.judged()
    assert figures.out_of_order == 1 and "left before" in wrong[-1]
    # Whose first attempt nobody knows is in no order.
    wire.rows = [row._replace(doubts=1) if row.id == "id-1-1" else row for row in wire.rows]
    assert wire.judged()[0].out_of_order == 0


def test_what_was_handed_in_whole_is_a_message_for_each_part_that_it_left_in() -> None:
    message = written(marks=9, over="http")
    wire = Wire(message)
    wire.book.accept(Piece(1, 0), "s")
    for number, body in enumerate(bodies(message, 1), start=1):
        wire.send(body)
        wire.rows.append(Row(f"p{number}", "s", number, "delivered", 0, "link:nord", ANNA, "", ""))
    assert wire.judged() == (Figures(accepted=2, delivered=2), [])


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("undeliverable", "failed_openly"), ("rejected", "failed_openly"), ("expired", "failed_openly"),
        ("sent", "handed_over"), ("unreported", "handed_over"), ("waiting", "waiting"), ("sending", "waiting"),
        ("in-doubt", "in_doubt"), ("quarantined", "quarantined"),
    ],
)  # fmt: skip
def test_each_state_is_counted_as_what_it_is(state: str, kind: str) -> None:
    message = written()
    wire = Wire(message)
    wire.accept(message, state=state)
    assert wire.judged() == (Figures(accepted=1, **{kind: 1}), [])


def test_the_wire_is_read_in_any_pieces_and_with_parameters() -> None:
    message = ShortMessage(
        source="Shop", destination=ANNA, octets=b"", data_coding=4,
        tlvs=((0x020C, b"\1\2"), (0x020E, b"\3"), (0x020F, b"\2"),
              (Tag.MESSAGE_PAYLOAD, b"x" * 300)),
    )  # fmt: skip
    body = encode_body(message)
    octets = HEADER.pack(16 + len(body), Command.SUBMIT_SM, 0, 9) + body
    frames = Frames()
    found = [frame for octet in octets * 2 for frame in frames.feed(bytes((octet,)))]
    assert [(frame.sequence, frame.body) for frame in found] == [(9, body)] * 2
    read = short(body)
    assert (read.source, read.destination, read.coding, read.text) == ("Shop", ANNA, 4, b"x" * 300)
    assert read.part == (0x0102, 3, 2) and not read.is_receipt
    wide = ShortMessage(
        source="S", destination=ANNA, octets=b"\6\x08\4\1\2\3\2text", esm_class=ESM_CLASS_HEADER
    )  # fmt: skip
    assert short(encode_body(wide)).part == (0x0102, 3, 2)


def test_worlds_are_as_many_as_the_messages_asked_for_and_drawn_by_their_seed_alone() -> None:
    assert worlds(5, 1) == range(5, 6)
    assert worlds(5, TABLE.messages * 2 + 1) == range(5, 8)
    assert draw(3) == draw(3) != draw(4)


def test_figures_add_up_and_say_whether_it_holds() -> None:
    good = Judgement(
        seed=1, events=10, figures=Figures(accepted=9, delivered=8, waiting=1), faults={"cut": 1}, findings=(),
        digest="a",
    )  # fmt: skip
    found = result([good, good], seed=1, seconds=1.0)
    assert (found.events, found.accepted, found.faults, found.adds_up, found.holds) == (20, 18, {"cut": 2}, True, True)
    assert found.bound == 3 / 18
    lost = Judgement(
        seed=2, events=1, figures=Figures(accepted=1, delivered=1, lost=1), faults={}, findings=("gone",), digest="b"
    )  # fmt: skip
    assert not result([good, lost], seed=1, seconds=1.0).holds
    assert not result([Judgement(seed=1, events=1, figures=Figures(accepted=1), faults={}, findings=(), digest="")],
                      seed=1, seconds=1.0).holds  # fmt: skip


def test_what_was_accepted_after_a_snapshot_is_counted_apart_and_what_was_before_is_lost() -> None:
    first, second = written(1), written(2)
    wire = Wire(first, second)
    wire.accept(first)
    restored = wire.book.snapshot()
    wire.accept(second)
    restored()
    figures, wrong = judge(wire.book, [])
    assert (figures.restored, figures.lost) == (1, 1)
    assert len(wrong) == 1 and "number=1" in wrong[0]


def test_what_leaves_before_anybody_has_decided_is_told() -> None:
    message = written(1)
    wire = Wire(message)
    [body] = wire.accept(message)
    wire.book.snapshot()()
    wire.send(body)
    figures, wrong = judge(wire.book, wire.rows)
    assert figures.restored == 0 and "left after a snapshot was restored" in wrong[0]
    other = Wire(message)
    [body] = other.accept(message)
    other.book.snapshot()()
    other.book.held = False
    other.send(body)
    assert judge(other.book, other.rows)[1] == []


def test_receipts_that_were_taken_after_the_snapshot_are_forgotten_with_it() -> None:
    book = Book({})
    book.heard.add(("nord", ANNA, "1"))
    restored = book.snapshot()
    book.heard.add(("nord", ANNA, "2"))
    restored()
    assert book.heard == {("nord", ANNA, "1")}


def test_of_a_receipt_whose_answer_was_on_its_way_when_a_snapshot_was_restored_the_centre_knows_nothing() -> None:
    book = Book({})
    restored, sent_after = book.snapshot(), book.restores
    restored()
    book.hear([("nord", ANNA, "1")], restores=sent_after)
    book.hear([("nord", ANNA, "2")], restores=book.restores)
    assert book.heard == {("nord", ANNA, "2")}


def test_ids_of_a_link_whose_receipts_say_no_number_are_alike_whoever_they_are_for() -> None:
    message = written(1)
    for nameless, known in ((frozenset(), False), (frozenset({"nord"}), True)):
        wire = Wire(message)
        [body] = wire.accept(message, state="unreported", target="link:nord", recipient=ANNA, next_hop_id="7")
        wire.send(body)
        wire.rows.append(wire.rows[0]._replace(id="another", submission="another", recipient=BERIT))
        wire.book.nameless = nameless
        wire.book.heard.add(("nord", ANNA, "7"))
        assert (judge(wire.book, wire.rows)[1] == []) is known


@pytest.mark.parametrize("times", [TIMING, TIMES])
def test_a_receipt_that_overtook_its_answer_waits_for_longer_than_that_may_take(times: Timing) -> None:
    """Held before its answer came, it was never looked at again: seed 555615993, in which a link stood for 22 s."""
    assert times.early_receipt_seconds >= 2 * Limits().answer_seconds_max
